//! The networks of a policy: an actor and, where the site asks for one, an imputer.

use rt_config::Site;

use crate::agent::actor_spec;
use crate::kernels::{NetSpec, SpecError};
use crate::pipeline::{ImputerShape, column_count};

/// The shapes of a policy's networks. Its parameters are the actor's and then the imputer's, each in the order of
/// [`NetSpec`]: one publication, one file, one adoption.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicySpec {
    /// From the state to the action.
    pub actor: NetSpec,
    /// From what was read to what was not ([`ImputerShape`]), when a tag of the site has a masked autoencoder.
    pub imputer: Option<NetSpec>,
}

impl PolicySpec {
    /// The networks of this site's policies. Allocates: not for the real-time thread.
    pub fn of(site: &Site) -> Self {
        let imputer = ImputerShape::of(site).map(|shape| shape.spec());
        Self { actor: actor_spec(column_count(site), site.setpoints.len()), imputer }
    }

    /// The networks, in the order of their parameters.
    pub fn nets(&self) -> impl Iterator<Item = &NetSpec> {
        [&self.actor].into_iter().chain(&self.imputer)
    }

    /// Weights and biases of all networks.
    pub fn parameters(&self) -> usize {
        self.nets().map(NetSpec::parameters).fold(0, usize::saturating_add)
    }

    /// Checks every network.
    ///
    /// # Errors
    /// Names the first layer that does not fit.
    pub fn check(&self) -> Result<(), SpecError> {
        self.nets().try_for_each(NetSpec::check)
    }
}

impl From<NetSpec> for PolicySpec {
    fn from(actor: NetSpec) -> Self {
        Self { actor, imputer: None }
    }
}

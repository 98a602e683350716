//! The keeper's part: judges networks and hands them over.

use policy::file::PolicyFile;
use policy::kernels::Kernel;
use policy::pipeline::Columns;
use policy::wire::{Verifier, WeightsRefused};
use policy::{AdoptedPolicy, Agent, PolicySource, actor_spec};
use rt_config::Site;
use shm::cell;

/// The newest policy that was handed over, as the daemon hands it over.
#[derive(Debug)]
pub struct Newest {
    policies: cell::Reader<AdoptedPolicy>,
    announced: bool,
}

impl PolicySource for Newest {
    fn refresh(&mut self) -> bool {
        let first = !std::mem::replace(&mut self.announced, true);
        self.policies.update() || first
    }

    fn current(&self) -> Option<&AdoptedPolicy> {
        Some(self.policies.get())
    }
}

/// Judges networks and hands them over.
pub struct Desk {
    verifier: Verifier,
    policies: cell::Writer<AdoptedPolicy>,
}

impl Desk {
    /// A desk that believes epoch 0, and the agent that follows what it adopts: at first the policy of this file, or the
    /// nominal one.
    ///
    /// # Panics
    /// The site makes no agent.
    pub fn new(site: &Site, kernel: Kernel, file: Option<&PolicyFile>) -> (Self, Agent<Newest>) {
        let spec = actor_spec(Columns::of(site).len(), site.setpoints.len());
        let mut verifier = Verifier::new(&spec, site.tag_list_hash(), kernel).expect("a network");
        let mut first = AdoptedPolicy::nominal(&spec, site).expect("a network");
        if let Some(file) = file {
            first.adopt(&file.weights()).expect("a network of the site's shape");
            verifier.count(first.generation());
        }
        let (policies, newest) = cell::channel([first.clone(), first.clone(), first]);
        let newest = Newest { policies: newest, announced: false };
        (Self { verifier, policies }, Agent::new(site, newest, kernel).expect("a site with an agent"))
    }

    /// From now on only this epoch's learner is believed.
    pub fn grant(&mut self, epoch: u64) {
        self.verifier.grant(epoch);
    }

    /// The newest generation that was believed.
    pub fn newest(&self) -> u64 {
        self.verifier.newest()
    }

    /// Judges the network in these words; its generation when it was adopted.
    ///
    /// # Errors
    /// Says why it is refused.
    ///
    /// # Panics
    /// What was verified has another shape.
    pub fn offer(&mut self, words: &[u64]) -> Result<u64, WeightsRefused> {
        let weights = self.verifier.verify(words)?;
        self.policies.back_mut().adopt(&weights).expect("a network of the same shape");
        self.policies.publish();
        Ok(weights.generation())
    }

    /// Judges and hands over nothing. Only mutants do that.
    pub(super) fn judge(&mut self, words: &[u64]) -> Result<u64, WeightsRefused> {
        self.verifier.verify(words).map(|weights| weights.generation())
    }

    /// Hands over whatever lies at the back. Only mutants do that.
    pub(super) fn hand_over_unjudged(&mut self) {
        self.policies.publish();
    }
}

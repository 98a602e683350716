//! A policy that has its moods: what verification, pipeline and kernels let nobody see otherwise.

use rt_core::image::Image;
use rt_core::ports::{Action, Moment, NoAction, Observed, Policy};

/// What is wrong with a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Nothing.
    #[default]
    Well,
    /// Its actions are not numbers.
    NotFinite,
    /// Its actions are far out of every range.
    OutOfBounds,
    /// It goes to and fro from one decision to the next.
    Restless,
    /// Its state is incomplete.
    Blind,
}

/// A policy with moods.
pub(crate) struct Moody<P> {
    /// The policy when it is well.
    pub(crate) inner: P,
    /// How it is at present.
    pub(crate) mood: Mood,
    turn: bool,
}

impl<P> Moody<P> {
    /// A policy that is well.
    pub(crate) fn new(inner: P) -> Self {
        Self { inner, mood: Mood::Well, turn: false }
    }
}

impl<P: Policy> Policy for Moody<P> {
    fn adopt(&mut self) -> Option<u64> {
        self.inner.adopt()
    }

    fn observe(&mut self, image: &Image, moment: &Moment) -> Observed {
        let observed = self.inner.observe(image, moment);
        Observed { complete: observed.complete && self.mood != Mood::Blind, ..observed }
    }

    fn decide(&mut self, explore: bool, action: &mut Action) -> Result<(), NoAction> {
        self.inner.decide(explore, action)?;
        self.turn = !self.turn;
        match self.mood {
            Mood::Well | Mood::Blind => {}
            Mood::NotFinite => action.fill(f64::NAN),
            Mood::OutOfBounds => action.iter_mut().for_each(|value| *value = 1e6 - *value),
            // To either end of whatever the envelope permits.
            Mood::Restless => action.fill(if self.turn { f64::MAX } else { f64::MIN }),
        }
        Ok(())
    }
}

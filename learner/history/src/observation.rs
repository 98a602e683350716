//! What an agent sees at one instant of the past.

use learner::Step;

/// One observation of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// When, nanoseconds since 1970; of a recording on the machine's monotonic clock.
    pub at_ns: i64,
    /// Every column of the state is usable, and every setpoint was read back.
    pub complete: bool,
    /// The site has a masked autoencoder, and every value of the state that it learns from was read.
    pub all_read: bool,
    /// The observation before it does not connect to this one.
    pub gap: bool,
    /// Setpoints were moved after it, or it was time to.
    pub decision: bool,
    /// The reward, if there is one.
    pub reward: Option<f64>,
    /// The state, in the order of the columns.
    pub state: Vec<f32>,
    /// The setpoints as read back, in [0, 1].
    pub action: Vec<f32>,
    /// Lower bounds of the next action, in [0, 1].
    pub lo: Vec<f32>,
    /// Upper bounds of the next action, in [0, 1].
    pub hi: Vec<f32>,
}

impl Observation {
    /// The observation as a learner takes it in, the `sequence`-th one.
    #[must_use]
    pub fn step(&self, sequence: u64) -> Step<'_> {
        Step {
            sequence,
            complete: self.complete,
            all_read: self.all_read,
            reward: self.reward.map(|reward| reward as f32),
            decision: self.decision,
            gap: self.gap,
            terminal: false,
            state: &self.state,
            action: &self.action,
            lo: &self.lo,
            hi: &self.hi,
        }
    }
}

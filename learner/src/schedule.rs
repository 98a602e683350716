//! How much to learn from an observation: a number of updates aimed at, never a floor and never back-pressure.

use serde::{Deserialize, Serialize};

use crate::options::AgentOptions;

/// Observations whose updates may be made up for; what is older is let go.
const BACKLOG_OBSERVATIONS_MAX: u64 = 100;
/// The part of a smoothed change that stays.
const SMOOTHING: f32 = 0.9;

/// The smoothed change of a loss.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Change {
    last: Option<f32>,
    smoothed: Option<f32>,
}

impl Change {
    /// Whether the loss has settled: its smoothed change is below `threshold`.
    fn settled(&mut self, loss: f32, threshold: f32) -> bool {
        if let Some(last) = self.last {
            let change = (loss - last).abs();
            let smoothed = match self.smoothed {
                Some(smoothed) => SMOOTHING * smoothed + (1.0 - SMOOTHING) * change,
                None => change,
            };
            self.smoothed = Some(smoothed);
        }
        self.last = Some(loss);
        self.smoothed.is_some_and(|smoothed| smoothed < threshold)
    }
}

/// Counts observations and updates, and says whether another update is due.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Schedule {
    per_observation: u64,
    threshold: f32,
    owed: u64,
    critic: Change,
    actor: Change,
    /// Observations since the start.
    pub(crate) observations: u64,
    /// Critic updates since the start.
    pub(crate) critic_updates: u64,
    /// Actor updates since the start.
    pub(crate) actor_updates: u64,
}

impl Schedule {
    pub(crate) fn new(options: &AgentOptions) -> Self {
        Self {
            per_observation: options.critic_updates as u64,
            threshold: options.loss_threshold as f32,
            owed: 0,
            critic: Change::default(),
            actor: Change::default(),
            observations: 0,
            critic_updates: 0,
            actor_updates: 0,
        }
    }

    /// Goes on where `before` was, with the numbers that this one was set to.
    pub(crate) fn resume(&mut self, before: Self) {
        *self = Self { per_observation: self.per_observation, threshold: self.threshold, ..before };
    }

    /// There is one observation more to learn from.
    pub(crate) fn observed(&mut self) {
        self.observations += 1;
        let most = self.per_observation * BACKLOG_OBSERVATIONS_MAX;
        self.owed = (self.owed + self.per_observation).min(most);
    }

    /// One more critic update is wanted.
    pub(crate) fn owe(&mut self) {
        self.owed += 1;
    }

    /// Whether a critic update is due.
    pub(crate) fn is_due(&self) -> bool {
        self.owed > 0
    }

    /// A critic update was made; when its loss has settled, the rest of this observation's updates is let go.
    pub(crate) fn critic_updated(&mut self, loss: f32) {
        self.critic_updates += 1;
        self.owed = self.owed.saturating_sub(1);
        if self.critic.settled(loss, self.threshold) {
            self.owed -= self.owed % self.per_observation;
        }
    }

    /// An update of the critics was made, and with it one of the actor, if that moved.
    pub(crate) fn updated_together(&mut self, actor_moved: bool) {
        self.critic_updates += 1;
        self.actor_updates += u64::from(actor_moved);
        self.owed = self.owed.saturating_sub(1);
    }

    /// An actor update was made; whether the next one of this critic update is worth it.
    pub(crate) fn actor_updated(&mut self, loss: f32) -> bool {
        self.actor_updates += 1;
        !self.actor.settled(loss, self.threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule::new(&AgentOptions::default())
    }

    #[test]
    fn an_observation_is_worth_ten_updates_while_the_loss_changes() {
        let mut schedule = schedule();
        schedule.observed();
        let mut loss = 1.0;
        while schedule.is_due() {
            schedule.critic_updated(loss);
            loss -= 0.01;
        }
        assert_eq!(schedule.critic_updates, 10);
    }

    #[test]
    fn a_settled_loss_ends_the_updates_of_its_observation_alone() {
        let mut schedule = schedule();
        schedule.observed();
        schedule.observed();
        schedule.critic_updated(0.5);
        schedule.critic_updated(0.5);
        assert_eq!(schedule.owed, 10);
        assert!(schedule.actor_updated(0.5));
        assert!(!schedule.actor_updated(0.5));
    }

    #[test]
    fn the_backlog_is_bounded() {
        let mut schedule = schedule();
        for _ in 0..10_000 {
            schedule.observed();
        }
        assert_eq!(schedule.owed, 1_000);
    }
}

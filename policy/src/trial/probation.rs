//! The probation: what a policy makes of the plant, against what the one before it made of it.

use std::collections::VecDeque;

use rt_config::Probation as Settings;
use shm_layout::{StepHead, StepRef};

use super::answers::Examiner;
use crate::agent::AdoptedPolicy;

/// Fewer decisions of the policy before say nothing about it.
const COMPARED_FROM: usize = 8;
/// A reward that hardly varies is taken to vary by this part of its magnitude, and by this part of what was gained since
/// the start, whichever is more: near the best reward both magnitude and spread are small, and a dip of theirs is no
/// collapse.
const LEAST_SPREAD: f64 = 0.125;

/// Why a policy did not stand its probation.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum ProbationFailed {
    /// The runtime tripped, and the policy is to blame.
    #[error("trip: {cause}")]
    Trip {
        /// The trip's cause.
        cause: &'static str,
    },
    /// The envelope has to keep its actions in range more often than those of the policy before.
    #[error("clamps: {value:.2} of its outputs, {before:.2} before")]
    Clamps {
        /// The share of its outputs.
        value: f64,
        /// The same of the policy before.
        before: f64,
    },
    /// The mean reward has collapsed.
    #[error("reward: {value:.4} on average, {before:.4} before")]
    Reward {
        /// Its mean reward.
        value: f64,
        /// The same of the policy before.
        before: f64,
    },
}

/// Judges what came of the policy `now` against what came of the one `before`. `worst` is the lowest mean reward of a policy
/// that was kept: what lies between it and `before` was gained.
pub(super) fn judge(
    settings: &Settings,
    before: &Window,
    now: &Window,
    worst: Option<f64>,
) -> Result<(), ProbationFailed> {
    if before.decisions.len() < COMPARED_FROM {
        return Ok(());
    }
    let (share, share_before) = (now.clamped(), before.clamped());
    if share - share_before > settings.clamps {
        return Err(ProbationFailed::Clamps { value: share, before: share_before });
    }
    let (Some(reward), Some(usual)) = (now.reward(), before.reward()) else { return Ok(()) };
    let gained = worst.map_or(0.0, |worst| usual.mean - worst);
    let spread = usual.deviation.max(LEAST_SPREAD * usual.mean.abs().max(gained));
    if usual.mean - reward.mean > settings.reward * spread {
        return Err(ProbationFailed::Reward { value: reward.mean, before: usual.mean });
    }
    Ok(())
}

/// What came of the last decisions with which a policy drove the plant.
#[derive(Clone, Debug)]
pub(super) struct Window {
    decisions: VecDeque<Outcome>,
    length: usize,
    /// Since the last decision.
    rewards: Mean,
    /// The reward of the first step is another policy's.
    has_acted: bool,
}

/// One decision and the rewards before the next one.
#[derive(Clone, Copy, Debug)]
struct Outcome {
    /// `None` without any reward.
    reward: Option<f64>,
    /// The share of outputs out of range.
    clamped: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn note(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

/// Rewards over a window.
struct Rewards {
    mean: f64,
    deviation: f64,
}

impl Window {
    /// A window of so many decisions.
    pub(super) fn new(decisions: u32) -> Self {
        let length = decisions as usize;
        Self { decisions: VecDeque::with_capacity(length), length, rewards: Mean::default(), has_acted: false }
    }

    /// Another policy drives from now on.
    pub(super) fn clear(&mut self) {
        self.decisions.clear();
        (self.rewards, self.has_acted) = (Mean::default(), false);
    }

    /// Takes in a step of the policy that drives the plant.
    pub(super) fn note(&mut self, policy: &AdoptedPolicy, examiner: &mut Examiner, step: &StepRef<'_>) {
        if step.head.has(StepHead::GAP_BEFORE) {
            (self.rewards, self.has_acted) = (Mean::default(), false);
        }
        if self.has_acted && step.head.has(StepHead::REWARD_VALID) {
            self.rewards.note(step.head.reward);
        }
        self.has_acted = true;
        if !step.head.has(StepHead::STATE_COMPLETE | StepHead::DECISION_SLOT) {
            return;
        }
        let mut clamped = Mean::default();
        examiner.ask(policy, step).for_each(|answer| clamped.note(f64::from(u8::from(answer.clamped))));
        if self.decisions.len() == self.length {
            self.decisions.pop_front();
        }
        let reward = std::mem::take(&mut self.rewards).value();
        self.decisions.push_back(Outcome { reward, clamped: clamped.value().unwrap_or(0.0) });
    }

    /// The mean reward, when enough of it was seen.
    pub(super) fn mean(&self) -> Option<f64> {
        self.reward().filter(|_| self.decisions.len() >= COMPARED_FROM).map(|reward| reward.mean)
    }

    fn clamped(&self) -> f64 {
        let mut share = Mean::default();
        self.decisions.iter().for_each(|outcome| share.note(outcome.clamped));
        share.value().unwrap_or(0.0)
    }

    fn reward(&self) -> Option<Rewards> {
        let rewards = || self.decisions.iter().filter_map(|outcome| outcome.reward);
        let mut mean = Mean::default();
        rewards().for_each(|reward| mean.note(reward));
        let mean = mean.value()?;
        let mut square = Mean::default();
        rewards().for_each(|reward| square.note((reward - mean) * (reward - mean)));
        Some(Rewards { mean, deviation: square.value()?.sqrt() })
    }
}

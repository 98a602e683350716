//! From a stream of steps to transitions: all-the-time n-step windows.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// What the runtime reports at an observation slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step<'a> {
    /// Counts the steps; a jump means that some were lost.
    pub sequence: u64,
    /// Every column of the state is valid and fresh.
    pub complete: bool,
    /// Every value of the state that an imputer learns from was read; false where there is none.
    pub all_read: bool,
    /// The reward of this observation, if it could be computed.
    pub reward: Option<f32>,
    /// A decision was taken on this state.
    pub decision: bool,
    /// More than two observation periods have passed since the step before.
    pub gap: bool,
    /// Nothing comes after this state: what an action led to ends here. An industrial plant has no such state.
    pub terminal: bool,
    /// The state.
    pub state: &'a [f32],
    /// The action read back: in force since the step before; normalised.
    pub action: &'a [f32],
    /// The lower bounds of the action to take now, normalised.
    pub lo: &'a [f32],
    /// The upper bounds of the action to take now, normalised.
    pub hi: &'a [f32],
}

/// A window that ends at the present step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Window {
    /// How many steps it spans.
    pub(crate) n: usize,
    /// `sum gamma^k r_(1+k)` over it.
    pub(crate) reward_sum: f32,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is a state to keep; the windows that end in it are complete.
    Kept,
    /// Something of it is missing or not finite.
    Rejected,
}

/// Cuts a stream of steps into windows.
///
/// A window's action must be the same throughout, so no decision lies inside one: it starts at a decision or later, and
/// ends at the latest at the next decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Windows {
    gamma: f64,
    n_max: usize,
    last_sequence: Option<u64>,
    last_decided: bool,
    /// The rewards since the first state of the longest window.
    rewards: VecDeque<f32>,
}

impl Windows {
    pub(crate) fn new(gamma: f64, n_max: usize) -> Self {
        Self { gamma, n_max, last_sequence: None, last_decided: false, rewards: VecDeque::with_capacity(n_max + 1) }
    }

    /// The discount of the sums.
    pub(crate) fn gamma(&self) -> f64 {
        self.gamma
    }

    /// Takes in a step and leaves in `windows` those that end in it, the longest first.
    pub(crate) fn push(&mut self, step: &Step<'_>, windows: &mut Vec<Window>) -> Fate {
        windows.clear();
        let numbers = [step.state, step.action, step.lo, step.hi];
        if !step.complete || !numbers.iter().all(|x| x.iter().all(|x| x.is_finite())) {
            self.last_sequence = None;
            self.rewards.clear();
            return Fate::Rejected;
        }
        let follows = self.last_sequence.is_some_and(|last| !step.gap && step.sequence == last.wrapping_add(1));
        let reward = step.reward.filter(|reward| reward.is_finite());
        if self.last_decided || !follows || reward.is_none() {
            self.rewards.clear();
        }
        if let (true, Some(reward)) = (follows, reward) {
            if self.rewards.len() == self.n_max {
                self.rewards.pop_front();
            }
            self.rewards.push_back(reward);
        }
        self.last_sequence = Some(step.sequence);
        self.last_decided = step.decision;

        let mut sum = 0.0;
        for (i, &reward) in self.rewards.iter().rev().enumerate() {
            sum = f64::from(reward) + self.gamma * sum;
            windows.push(Window { n: i + 1, reward_sum: sum as f32 });
        }
        windows.reverse();
        Fate::Kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(sequence: u64, reward: f32, decision: bool) -> Step<'static> {
        Step {
            sequence,
            complete: true,
            all_read: false,
            reward: Some(reward),
            decision,
            gap: false,
            terminal: false,
            state: &[0.5],
            action: &[0.5],
            lo: &[0.0],
            hi: &[1.0],
        }
    }

    fn spans(windows: &mut Windows, step: &Step<'_>) -> Vec<(usize, f32)> {
        let mut out = Vec::new();
        windows.push(step, &mut out);
        out.iter().map(|w| (w.n, w.reward_sum)).collect()
    }

    #[test]
    fn one_step_transitions_follow_every_step_when_each_one_decides() {
        let mut windows = Windows::new(0.5, 1);
        assert_eq!(spans(&mut windows, &step(0, 9.0, true)), []);
        assert_eq!(spans(&mut windows, &step(1, 2.0, true)), [(1, 2.0)]);
        assert_eq!(spans(&mut windows, &step(2, 3.0, true)), [(1, 3.0)]);
    }

    #[test]
    fn windows_grow_until_the_next_decision_and_discount_their_rewards() {
        let mut windows = Windows::new(0.5, 3);
        spans(&mut windows, &step(0, 9.0, true));
        assert_eq!(spans(&mut windows, &step(1, 1.0, false)), [(1, 1.0)]);
        let two = spans(&mut windows, &step(2, 2.0, false));
        assert_eq!(two, [(2, 1.0 + 0.5 * 2.0), (1, 2.0)]);
        let three = spans(&mut windows, &step(3, 4.0, true));
        assert_eq!(three, [(3, 1.0 + 0.5 * 2.0 + 0.25 * 4.0), (2, 4.0), (1, 4.0)]);
        assert_eq!(spans(&mut windows, &step(4, 8.0, false)), [(1, 8.0)]);
    }

    #[test]
    fn a_decision_between_those_of_the_grid_ends_every_window_before_it() {
        let mut windows = Windows::new(1.0, 4);
        spans(&mut windows, &step(0, 9.0, true));
        spans(&mut windows, &step(1, 1.0, false));
        // The action was the same up to this step, and is another one behind it.
        assert_eq!(spans(&mut windows, &step(2, 2.0, true)), [(2, 3.0), (1, 2.0)]);
        assert_eq!(spans(&mut windows, &step(3, 4.0, false)), [(1, 4.0)]);
        assert_eq!(spans(&mut windows, &step(4, 8.0, true)), [(2, 12.0), (1, 8.0)]);
    }

    #[test]
    fn a_gap_a_lost_step_or_an_incomplete_one_ends_the_window() {
        for breaker in 0..3 {
            let mut windows = Windows::new(0.5, 4);
            spans(&mut windows, &step(0, 1.0, true));
            spans(&mut windows, &step(1, 1.0, false));
            let mut next = step(2, 1.0, false);
            match breaker {
                0 => next.gap = true,
                1 => next.sequence = 3,
                _ => {
                    let broken = Step { complete: false, ..next };
                    assert_eq!(windows.push(&broken, &mut Vec::new()), Fate::Rejected);
                    next.sequence = 3;
                }
            }
            assert_eq!(spans(&mut windows, &next), []);
            let after = step(next.sequence + 1, 5.0, false);
            assert_eq!(spans(&mut windows, &after), [(1, 5.0)]);
        }
    }

    #[test]
    fn a_reward_that_is_missing_or_not_finite_is_in_no_window() {
        for reward in [None, Some(f32::NAN), Some(f32::INFINITY)] {
            let mut windows = Windows::new(0.5, 4);
            spans(&mut windows, &step(0, 1.0, true));
            let bad = Step { reward, ..step(1, 0.0, false) };
            assert_eq!(spans(&mut windows, &bad), []);
            assert_eq!(spans(&mut windows, &step(2, 3.0, false)), [(1, 3.0)]);
        }
    }

    #[test]
    fn a_state_that_is_not_finite_is_rejected() {
        let mut windows = Windows::new(0.5, 1);
        let bad = Step { state: &[f32::NAN], ..step(0, 0.0, true) };
        assert_eq!(windows.push(&bad, &mut Vec::new()), Fate::Rejected);
    }
}

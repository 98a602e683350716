//! Rewards that come late: a step waits for the one that tells what it was worth.
//!
//! What an action does to a plant with a dead time of `n` observations, the reward shows `n` observations later. Counted from
//! when they come, rewards reach an action through `n` steps of bootstrapping, behind the noise of `n` actions more. So a step
//! waits, and goes on with the reward of `n` observations later. What a policy is worth differs from that by the factor
//! `gamma^n` and by the next `n` rewards, which no action changes any more (Katsikopoulos and Engelbrecht 2003, "Markov
//! decision processes with delays and asynchronous cost collection").
//!
//! What still waits where steps are missing is not learnt from. Nor is, therefore, a terminal step: a dead time is for plants,
//! which have none.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::options::AgentShape;
use crate::transitions::Step;

/// Observations of a dead time, at most.
pub(crate) const DEAD_TIME_MAX: usize = 1_000;

/// Steps that wait for their reward.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Waiting {
    dead_time: usize,
    steps: VecDeque<Kept>,
}

/// A step without its reward.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    sequence: u64,
    complete: bool,
    all_read: bool,
    decision: bool,
    gap: bool,
    terminal: bool,
    /// State, action, lower and upper bounds.
    numbers: [Vec<f32>; 4],
}

impl Kept {
    fn of(step: &Step<'_>) -> Self {
        let Step { sequence, complete, all_read, reward: _, decision, gap, terminal, state, action, lo, hi } = *step;
        let numbers = [state, action, lo, hi].map(<[f32]>::to_vec);
        Self { sequence, complete, all_read, decision, gap, terminal, numbers }
    }

    fn with(&self, reward: Option<f32>) -> Step<'_> {
        let Self { sequence, complete, all_read, decision, gap, terminal, ref numbers } = *self;
        let [state, action, lo, hi] = numbers;
        Step { sequence, complete, all_read, reward, decision, gap, terminal, state, action, lo, hi }
    }
}

/// A step that has its reward.
#[derive(Debug)]
pub(crate) enum Due<'a> {
    /// At once.
    Now(Step<'a>),
    /// One that has waited.
    Late(Kept, Option<f32>),
}

impl Due<'_> {
    pub(crate) fn step(&self) -> Step<'_> {
        match self {
            Self::Now(step) => *step,
            Self::Late(kept, reward) => kept.with(*reward),
        }
    }
}

impl Waiting {
    pub(crate) fn new(dead_time: usize) -> Self {
        Self { dead_time, steps: VecDeque::new() }
    }

    /// Takes a step in, and gives the one whose reward came with it. Where steps are missing, nobody will know what those before
    /// were worth, and they are forgotten.
    pub(crate) fn push<'a>(&mut self, step: &Step<'a>) -> Option<Due<'a>> {
        if self.dead_time == 0 {
            return Some(Due::Now(*step));
        }
        let follows = self.steps.back().is_none_or(|last| step.sequence == last.sequence.wrapping_add(1));
        if step.gap || !follows {
            self.steps.clear();
        }
        self.steps.push_back(Kept::of(step));
        if self.steps.len() <= self.dead_time {
            return None;
        }
        self.steps.pop_front().map(|kept| Due::Late(kept, step.reward))
    }

    /// Whether so many steps of such widths can wait here.
    pub(crate) fn fits(&self, dead_time: usize, AgentShape { state, action }: AgentShape) -> bool {
        let widths = |kept: &Kept| kept.numbers.each_ref().map(Vec::len) == [state, action, action, action];
        self.dead_time == dead_time && self.steps.len() <= dead_time && self.steps.iter().all(widths)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(sequence: u64) -> Step<'static> {
        Step {
            sequence,
            complete: !sequence.is_multiple_of(3),
            all_read: true,
            reward: Some(sequence as f32),
            decision: sequence.is_multiple_of(2),
            gap: false,
            terminal: false,
            state: &[0.5, 0.25],
            action: &[0.75],
            lo: &[0.0],
            hi: &[1.0],
        }
    }

    /// Sequence and reward of what is handed on.
    fn pushed(waiting: &mut Waiting, step: &Step<'_>) -> Option<(u64, Option<f32>)> {
        waiting.push(step).map(|due| (due.step().sequence, due.step().reward))
    }

    #[test]
    fn a_step_has_the_reward_of_so_many_observations_later_and_all_else_of_its_own() {
        let mut waiting = Waiting::new(2);
        assert!(waiting.push(&step(4)).is_none() && waiting.push(&step(5)).is_none());
        let due = waiting.push(&step(6)).unwrap();
        assert_eq!(due.step(), Step { reward: Some(6.0), ..step(4) });
        assert_eq!(pushed(&mut waiting, &Step { reward: None, ..step(7) }), Some((5, None)));
        let shape = |state| AgentShape { state, action: 1 };
        assert!(waiting.fits(2, shape(2)) && !waiting.fits(1, shape(2)) && !waiting.fits(2, shape(3)));
    }

    #[test]
    fn what_waited_before_a_gap_is_forgotten() {
        for after in [step(9), Step { gap: true, ..step(6) }] {
            let mut waiting = Waiting::new(2);
            (4..6).for_each(|sequence| assert_eq!(pushed(&mut waiting, &step(sequence)), None));
            let first = after.sequence;
            assert_eq!(pushed(&mut waiting, &after), None);
            assert_eq!(pushed(&mut waiting, &step(first + 1)), None);
            assert_eq!(pushed(&mut waiting, &step(first + 2)), Some((first, Some((first + 2) as f32))));
        }
    }

    #[test]
    fn without_a_dead_time_a_step_goes_on_as_it_is() {
        let mut waiting = Waiting::new(0);
        assert_eq!(waiting.push(&step(1)).unwrap().step(), step(1));
    }
}

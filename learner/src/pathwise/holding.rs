//! What it is worth to hold a setpoint for good: two critics of their own, and the best of some actions to hold.
//!
//! The actor climbs slopes, and a slope says what a small change of one decision is worth. Where a plant has come to the end
//! of a range nothing changes with that, and behind a slow actuator a single decision hardly shows at all: there the actor
//! stays, however bad it is. What holding would bring shows in full. It is learnt from the same transitions, whatever was done
//! next, for the policy that is judged never changes its mind. With `H'` slowly following copies and `b` the mean reward:
//! ```text
//! y   = R_n - b (1 - gamma^n)/(1 - gamma) + gamma^n mean_i H'_i(s', clip(a))
//! L_i = (y - H_i(s, a))^2 / 2
//! ```
//! The best of a state is the one of [`CANDIDATES`] actions, drawn evenly within the bounds, with the largest
//! `mean_i H_i - dev_i H_i`. Where that is worth more than what the actor does, the actor is drawn to it: a policy that does
//! at every state what the better of several policies does is at least as good as each of them (Barreto et al. 2017,
//! "Successor features for transfer in reinforcement learning", theorem 1), as far as the critics are right.

use serde::{Deserialize, Serialize};

use super::judge::{Centre, Judge, Trained};
use super::settings::Settings;
use crate::examiner::mean_and_deviation;
use crate::nets::Critic;
use crate::options::{AgentOptions, AgentShape};
use crate::random::Stream;
use crate::replay::Batch;
use crate::threads::Threads;

const JUDGES: usize = 2;
/// Actions to hold that are judged at a state in an update.
const CANDIDATES: usize = 8;

/// What a checkpoint keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct HoldingState {
    judges: Vec<Trained>,
    stream: Stream,
}

/// The critics of holding.
#[derive(Debug)]
pub(super) struct Holding {
    action: usize,
    judges: Vec<Judge>,
    stream: Stream,
    /// One for each thread.
    workers: Vec<()>,
    /// Actions to hold, `[rows][CANDIDATES][d]`.
    candidates: Vec<f32>,
    /// The actions that were taken, within the bounds of the next states, `[rows][d]`.
    held: Vec<f32>,
    targets: Vec<f32>,
}

impl Holding {
    pub(super) fn new(critic: &Critic, shape: AgentShape, options: &AgentOptions, threads: &Threads) -> Self {
        let (rows, d) = (options.batch_size, shape.action);
        let judge = |index| {
            let stream = &mut Stream::new(options.seed, "holding initialisation", index);
            Judge::new(critic, stream, rows, CANDIDATES, 1)
        };
        Self {
            action: d,
            judges: (0..JUDGES).map(judge).collect(),
            stream: Stream::new(options.seed, "holding candidates", 0),
            workers: vec![(); threads.count().min(JUDGES)],
            candidates: vec![0.0; rows * CANDIDATES * d],
            held: vec![0.0; rows * d],
            targets: vec![0.0; rows],
        }
    }

    /// One update, from the transitions of a batch.
    pub(super) fn learn(
        &mut self,
        critic: &Critic,
        batch: &Batch,
        centre: Centre,
        settings: &Settings,
        threads: &Threads,
    ) {
        self.draw(batch);
        let Self { judges, workers, candidates, held, targets, .. } = self;
        threads.each_with(workers, judges, |(), judge| judge.judge_next(critic, batch, held));
        for (row, target) in targets.iter_mut().enumerate() {
            let (next, _) = mean_and_deviation(judges.iter().map(|judge| judge.next_q[row]));
            *target = centre.reward(batch, row) + batch.discounts[row] * next;
        }
        threads.each_with(workers, judges, |(), judge| judge.learn(critic, batch, candidates, targets, settings));
    }

    /// The candidates at the states, and what holding on means at the next ones.
    fn draw(&mut self, batch: &Batch) {
        let d = self.action;
        self.stream.uniforms(&mut self.candidates);
        for (row, candidates) in self.candidates.chunks_exact_mut(CANDIDATES * d).enumerate() {
            for (at, candidate) in candidates.iter_mut().enumerate() {
                let (lo, hi) = (batch.lo[row * d + at % d], batch.hi[row * d + at % d]);
                *candidate = lo + *candidate * (hi - lo);
            }
        }
        for (at, held) in self.held.iter_mut().enumerate() {
            *held = batch.actions[at].max(batch.next_lo[at]).min(batch.next_hi[at]);
        }
    }

    /// The best action to hold at a state of the latest update, and its value less what the critics disagree by.
    pub(super) fn best(&self, row: usize) -> (f32, &[f32]) {
        let judged = (row * CANDIDATES..(row + 1) * CANDIDATES).map(|at| {
            let (mean, deviation) = mean_and_deviation(self.judges.iter().map(|judge| judge.values[at]));
            (mean - deviation, at)
        });
        let (value, at) =
            judged.fold((f32::NEG_INFINITY, row * CANDIDATES), |best, one| if one.0 > best.0 { one } else { best });
        (value, &self.candidates[at * self.action..(at + 1) * self.action])
    }

    pub(super) fn is_finite(&self) -> bool {
        self.judges.iter().all(|judge| judge.trained.is_finite())
    }

    pub(super) fn state(&self) -> HoldingState {
        HoldingState {
            judges: self.judges.iter().map(|judge| judge.trained.clone()).collect(),
            stream: self.stream.clone(),
        }
    }

    /// Whether a stored state has this shape.
    pub(super) fn fits(&self, state: &HoldingState, critic: &Critic) -> bool {
        state.judges.len() == self.judges.len() && state.judges.iter().all(|judge| judge.fits(critic.len()))
    }

    /// Takes over a stored state that fits.
    pub(super) fn restore(&mut self, state: HoldingState) {
        for (judge, trained) in self.judges.iter_mut().zip(state.judges) {
            judge.trained = trained;
        }
        self.stream = state.stream;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::testing::noise;

    const SHAPE: AgentShape = AgentShape { state: 2, action: 1 };
    const GAMMA: f32 = 0.75;
    const CENTRE: Centre = Centre { mean_reward: 0.0, gamma: GAMMA };

    fn options() -> AgentOptions {
        AgentOptions { batch_size: 32, gamma: f64::from(GAMMA), seed: 3, ..AgentOptions::pathwise() }
    }

    /// One that has learnt from noise, and the batch of its latest update.
    fn learnt(updates: usize, reward: impl Fn(f32) -> f32) -> (Holding, Batch) {
        let (options, threads) = (options(), Threads::new(1).unwrap());
        let critic = Critic::new(SHAPE.state, SHAPE.action);
        let (mut holding, settings) = (Holding::new(&critic, SHAPE, &options, &threads), Settings::new(&options));
        let (replay, mut batch) = (noise(SHAPE, &options, reward), Batch::new(SHAPE, options.batch_size));
        let mut stream = Stream::new(1, "test", 0);
        for _ in 0..updates {
            replay.sample(None, options.gamma, &mut stream, &mut batch);
            holding.learn(&critic, &batch, CENTRE, &settings, &threads);
        }
        (holding, batch)
    }

    #[test]
    fn an_action_is_judged_as_if_it_were_held_for_good() {
        let (holding, batch) = learnt(1_500, |a| -(a - 0.4).abs());
        for row in 0..batch.rows() {
            let (value, best) = holding.best(row);
            let worth = -(best[0] - 0.4).abs() / (1.0 - GAMMA);
            assert!((value - worth).abs() < 0.25 && (best[0] - 0.4).abs() < 0.3, "{value}, not {worth}, at {best:?}");
        }
    }

    #[test]
    fn targets_are_those_of_the_formula() {
        let (mut holding, mut batch) = learnt(1, |_| -1.0);
        batch.discounts.fill(0.0);
        let (critic, options, threads) = (Critic::new(2, 1), options(), Threads::new(1).unwrap());
        holding.learn(&critic, &batch, Centre { mean_reward: -0.4, ..CENTRE }, &Settings::new(&options), &threads);
        assert!(holding.targets.iter().all(|target| (target - (-1.0 + 0.4 / 0.25)).abs() < 1e-6), "nothing follows");
        batch.discounts.fill(0.5);
        holding.learn(&critic, &batch, Centre { mean_reward: -0.4, ..CENTRE }, &Settings::new(&options), &threads);
        let [one, other] = [0, 1].map(|judge: usize| holding.judges[judge].next_q[7]);
        assert!((holding.targets[7] - (-1.0 + 0.4 * 0.5 / 0.25 + 0.5 * (one + other) / 2.0)).abs() < 1e-5);
    }

    #[test]
    fn what_is_restored_judges_as_what_was_kept() {
        let (kept, batch) = learnt(200, |a| a);
        let (mut restored, _) = learnt(1, |a| a);
        let (critic, threads) = (Critic::new(2, 1), Threads::new(1).unwrap());
        assert!(restored.fits(&kept.state(), &critic) && !restored.fits(&kept.state(), &Critic::new(3, 1)));
        restored.restore(kept.state());
        let best = |mut holding: Holding| {
            holding.learn(&critic, &batch, CENTRE, &Settings::new(&options()), &threads);
            let (value, best) = holding.best(0);
            (value, best.to_vec())
        };
        assert_eq!(best(restored), best(kept));
    }

    #[test]
    fn candidates_and_what_is_held_on_lie_within_the_bounds() {
        let (mut holding, mut batch) = learnt(1, |_| 0.0);
        for (bounds, at) in
            [&mut batch.lo, &mut batch.hi, &mut batch.next_lo, &mut batch.next_hi].into_iter().zip([0.3, 0.4, 0.5, 0.6])
        {
            bounds.fill(at);
        }
        holding.draw(&batch);
        assert!(holding.candidates.iter().all(|a| (0.3..=0.4).contains(a)));
        assert!(holding.held.iter().all(|a| (0.5..=0.6).contains(a)));
        let spread = |at: usize| (holding.candidates[at] - holding.candidates[at + 1]).abs();
        assert!((0..100).any(|at| spread(at) > 0.05), "they differ");
    }

    #[test]
    fn where_the_critics_disagree_holding_is_worth_less() {
        let (mut holding, _) = learnt(1, |_| 0.0);
        for (judge, sign) in holding.judges.iter_mut().zip([-1.0, 1.0]) {
            judge.values.fill(0.0);
            judge.values[CANDIDATES + 2] = 3.0 + sign;
            judge.values[CANDIDATES + 5] = 3.0 + 2.0 * sign;
        }
        let (value, best) = holding.best(1);
        assert!((value - 2.0).abs() < 1e-6 && best == &holding.candidates[CANDIDATES + 2..=CANDIDATES + 2]);
    }
}

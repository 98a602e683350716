//! The percentile actor: actor and proposal move towards the best of many candidate actions.
//!
//! Candidates at a state are partly uniform within the bounds, partly from the proposal. The actor maximises the
//! likelihood of the best few, the proposal that of somewhat more; so the proposal keeps looking around the actor.

use serde::{Deserialize, Serialize};

use crate::ensemble::{Candidates, Ensemble};
use crate::nets::{Actor, ActorPass, AdamW, AdamWOptions, SIGMA_MAX, falling};
use crate::options::{AgentOptions, AgentShape};
use crate::random::Stream;
use crate::replay::{Batch, Replay};
use crate::threads::Threads;

/// A network of the actor's shape with its optimiser.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Trained {
    parameters: Vec<f32>,
    optimiser: AdamW,
}

/// What a checkpoint keeps of actor and proposal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PercentileState {
    actor: Trained,
    proposal: Trained,
    batch_stream: Stream,
    candidate_stream: Stream,
}

/// Actor and proposal with their buffers.
#[derive(Debug)]
pub(crate) struct Percentile {
    shape: AgentShape,
    net: Actor,
    state: PercentileState,
    optimiser: AdamWOptions,
    uniform: usize,
    actor_best: usize,
    proposal_best: usize,
    gradient: Vec<f32>,
    batch: Batch,
    pass: ActorPass<f32>,
    candidates: Vec<f32>,
    values: Vec<f32>,
    order: Vec<u32>,
    /// For each state the candidates from best to worst, as many as the proposal needs.
    best: Vec<u32>,
}

impl Percentile {
    pub(crate) fn new(shape: AgentShape, options: &AgentOptions) -> Self {
        let net = Actor::new(shape.state, shape.action);
        let trained = |role| {
            let mut parameters = vec![0.0; net.len()];
            net.init(&mut parameters, &mut Stream::new(options.seed, role, 0));
            Trained { parameters, optimiser: AdamW::new(net.len()) }
        };
        let (rows, count) = (options.batch_size, options.candidates);
        let part = |share: f64| ((count as f64 * share) as usize).clamp(1, count);
        let proposal_best = part(options.proposal_percentile.max(options.actor_percentile));
        Self {
            shape,
            net,
            state: PercentileState {
                actor: trained("actor initialisation"),
                proposal: trained("proposal initialisation"),
                batch_stream: Stream::new(options.seed, "actor batch", 0),
                candidate_stream: Stream::new(options.seed, "candidates", 0),
            },
            optimiser: AdamWOptions {
                learning_rate: options.actor_lr as f32,
                weight_decay: options.weight_decay as f32,
            },
            uniform: (count as f64 * options.uniform_weight).round() as usize,
            actor_best: part(options.actor_percentile),
            proposal_best,
            gradient: vec![0.0; net.len()],
            batch: Batch::new(shape, rows),
            pass: ActorPass::new(rows, shape.action),
            candidates: vec![0.0; rows * count * shape.action],
            values: vec![0.0; rows * count],
            order: Vec::with_capacity(count),
            best: vec![0; rows * proposal_best],
        }
    }

    /// The actor's network.
    pub(crate) fn net(&self) -> &Actor {
        &self.net
    }

    /// The actor's parameters: what is published.
    pub(crate) fn actor(&self) -> &[f32] {
        &self.state.actor.parameters
    }

    #[cfg(test)]
    pub(crate) fn actor_mut(&mut self) -> &mut [f32] {
        &mut self.state.actor.parameters
    }

    /// One update of actor and proposal; the actor's loss.
    pub(crate) fn update(&mut self, replay: &Replay, ensemble: &mut Ensemble, threads: &Threads) -> f32 {
        replay.sample(None, &mut self.state.batch_stream, &mut self.batch);
        self.draw_candidates();
        let candidates = Candidates {
            states: &self.batch.states,
            actions: &self.candidates,
            repeat: self.values.len() / self.batch.rows(),
        };
        ensemble.judge(candidates, threads, &mut self.values);
        self.rank();
        let (actor_best, proposal_best) = (self.actor_best, self.proposal_best);
        self.approach(Who::Proposal, proposal_best);
        self.approach(Who::Actor, actor_best)
    }

    fn draw_candidates(&mut self) {
        let (rows, d) = (self.batch.rows(), self.shape.action);
        let net = self.net;
        net.forward(&self.state.proposal.parameters, &self.batch.states, rows, &mut self.pass);
        let count = self.values.len() / rows;
        let stream = &mut self.state.candidate_stream;
        for (row, candidates) in self.candidates.chunks_exact_mut(count * d).enumerate() {
            let own = row * d..(row + 1) * d;
            let (lo, hi) = (&self.batch.lo[own.clone()], &self.batch.hi[own.clone()]);
            let (mu, sigma) = (&self.pass.mu[own.clone()], &self.pass.sigma[own]);
            let (uniform, proposed) = candidates.split_at_mut(self.uniform.min(count) * d);
            for action in uniform.chunks_exact_mut(d) {
                for i in 0..d {
                    action[i] = lo[i] + (hi[i] - lo[i]) * stream.uniform();
                }
            }
            for action in proposed.chunks_exact_mut(d) {
                for i in 0..d {
                    let sample = mu[i] + sigma[i] * stream.normal();
                    action[i] = sample.max(lo[i]).min(hi[i]);
                }
            }
        }
    }

    /// Sorts out the best candidates of each state; of equally good ones the earlier.
    fn rank(&mut self) {
        let count = self.values.len() / self.batch.rows();
        let rows = self.values.chunks_exact(count).zip(self.best.chunks_exact_mut(self.proposal_best));
        for (values, best) in rows {
            let by_value = |a: &u32, b: &u32| values[*b as usize].total_cmp(&values[*a as usize]).then(a.cmp(b));
            self.order.clear();
            self.order.extend(0..count as u32);
            self.order.select_nth_unstable_by(best.len() - 1, by_value);
            best.copy_from_slice(&self.order[..best.len()]);
            best.sort_unstable_by(by_value);
        }
    }

    /// A step up the mean log-likelihood of the best `count` candidates; its negative value before the step.
    fn approach(&mut self, who: Who, count: usize) -> f32 {
        let rows = self.batch.rows();
        let net = self.net;
        let trained = match who {
            Who::Actor => &mut self.state.actor,
            Who::Proposal => &mut self.state.proposal,
        };
        let p = &trained.parameters;
        net.forward(p, &self.batch.states, rows, &mut self.pass);

        let d = self.shape.action;
        let per_state = self.values.len() / rows;
        let share = 1.0 / (rows * count) as f32;
        let mut loss = 0.0;
        for row in 0..rows {
            let best = &self.best[row * self.proposal_best..][..count];
            for i in 0..d {
                let at = row * d + i;
                let (mu, precision) = (self.pass.mu[at], 1.0 / self.pass.sigma[at]);
                let (mut d_mu, mut squares) = (0.0, 0.0);
                for &candidate in best {
                    let action = self.candidates[(row * per_state + candidate as usize) * d + i];
                    let z = (action - mu) * precision;
                    d_mu -= z;
                    squares += z * z;
                }
                self.pass.d_mu[at] = d_mu * precision * share;
                self.pass.d_sigma[at] = (count as f32 - squares) * precision * share;
                loss += (0.5 * squares - count as f32 * libm::logf(precision)) * share;
            }
        }
        self.gradient.fill(0.0);
        net.backward(p, &self.batch.states, rows, &mut self.pass, &mut self.gradient);
        trained.optimiser.step(&mut trained.parameters, &self.gradient, self.optimiser);
        loss
    }

    /// Teaches actor and proposal to hold `nominal` with the largest deviation, on random states.
    pub(crate) fn learn_nominal(&mut self, nominal: &[f32], options: &AgentOptions) {
        let steps = options.nominal_actor_steps;
        for step in 0..steps {
            let learning_rate = falling(options.nominal_lr, step, steps);
            let optimiser = AdamWOptions { learning_rate, ..self.optimiser };
            let stream = &mut self.state.candidate_stream;
            for x in &mut self.batch.states {
                *x = stream.uniform();
            }
            self.step_to_nominal(Who::Actor, nominal, optimiser);
            self.step_to_nominal(Who::Proposal, nominal, optimiser);
        }
        self.state.actor.optimiser.reset();
        self.state.proposal.optimiser.reset();
    }

    fn step_to_nominal(&mut self, who: Who, nominal: &[f32], optimiser: AdamWOptions) {
        let rows = self.batch.rows();
        let net = self.net;
        let trained = match who {
            Who::Actor => &mut self.state.actor,
            Who::Proposal => &mut self.state.proposal,
        };
        let p = &trained.parameters;
        net.forward(p, &self.batch.states, rows, &mut self.pass);
        let share = 1.0 / rows as f32;
        for (i, nominal) in (0..self.pass.mu.len()).zip(nominal.iter().cycle()) {
            self.pass.d_mu[i] = (self.pass.mu[i] - nominal) * share;
            self.pass.d_sigma[i] = (self.pass.sigma[i] - SIGMA_MAX as f32) * share;
        }
        self.gradient.fill(0.0);
        net.backward(p, &self.batch.states, rows, &mut self.pass, &mut self.gradient);
        trained.optimiser.step(&mut trained.parameters, &self.gradient, optimiser);
    }

    pub(crate) fn state(&self) -> &PercentileState {
        &self.state
    }

    /// Takes over a stored state; false, and nothing changed, when it is of another shape.
    pub(crate) fn restore(&mut self, state: PercentileState) -> bool {
        let len = self.net.len();
        let fits = |trained: &Trained| trained.parameters.len() == len && trained.optimiser.fits(len);
        if !fits(&state.actor) || !fits(&state.proposal) {
            return false;
        }
        self.state = state;
        true
    }
}

/// Which of the two networks.
#[derive(Debug, Clone, Copy)]
enum Who {
    Actor,
    Proposal,
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: AgentShape = AgentShape { state: 3, action: 2 };

    #[test]
    fn the_nominal_start_holds_the_nominal_setpoint() {
        let options = AgentOptions { batch_size: 64, ..AgentOptions::default() };
        let mut percentile = Percentile::new(SHAPE, &options);
        percentile.learn_nominal(&[0.2, 0.7], &options);
        let mut pass = ActorPass::new(1, 2);
        percentile.net.forward(percentile.actor(), &[0.3, 0.9, 0.1], 1, &mut pass);
        assert!((pass.mu[0] - 0.2).abs() < 0.06 && (pass.mu[1] - 0.7).abs() < 0.06, "{:?}", pass.mu);
        assert!(pass.sigma.iter().all(|s| *s > 0.05), "{:?}", pass.sigma);
    }

    #[test]
    fn ranking_puts_the_best_first_and_keeps_the_order_of_equals() {
        let options =
            AgentOptions { batch_size: 1, candidates: 10, proposal_percentile: 0.4, ..AgentOptions::default() };
        let mut percentile = Percentile::new(SHAPE, &options);
        percentile.values = vec![0.0, 5.0, 1.0, 5.0, -3.0, 2.0, 1.0, 0.0, 4.0, -9.0];
        percentile.rank();
        assert_eq!(percentile.best, [1, 3, 8, 5]);
    }

    #[test]
    fn the_actor_approaches_the_best_candidates() {
        let options = AgentOptions { batch_size: 8, candidates: 20, actor_lr: 1e-2, ..AgentOptions::default() };
        let mut percentile = Percentile::new(SHAPE, &options);
        let mut loss = Vec::new();
        for _ in 0..200 {
            // Every candidate is the same action, so that its likelihood must rise.
            percentile.candidates.iter_mut().enumerate().for_each(|(i, a)| *a = if i % 2 == 0 { 0.8 } else { 0.1 });
            percentile.values.fill(1.0);
            percentile.rank();
            loss.push(percentile.approach(Who::Actor, 1));
        }
        assert!(loss[199] < loss[0]);
        percentile.net.forward(&percentile.state.actor.parameters, &percentile.batch.states, 8, &mut percentile.pass);
        for mu in percentile.pass.mu.chunks_exact(2) {
            assert!((mu[0] - 0.8).abs() < 0.1 && (mu[1] - 0.1).abs() < 0.1, "{mu:?}");
        }
    }
}

//! The percentile actor: actor and proposal move towards the best of many candidate actions.
//!
//! Candidates at a state are partly uniform within the bounds, partly from the proposal. The actor maximises the
//! likelihood of the best few, the proposal that of somewhat more; so the proposal keeps looking around the actor.

use serde::{Deserialize, Serialize};

use crate::ensemble::{Candidates, Ensemble};
use crate::examiner::norm;
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

/// One of the two networks: it follows the best candidates.
#[derive(Debug)]
struct Follower {
    trained: Trained,
    /// How many of the best candidates it moves towards.
    count: usize,
    loss: f32,
    gradient_norm: f32,
}

/// What a thread needs for one network at a time.
#[derive(Debug)]
struct Workspace {
    gradient: Vec<f32>,
    pass: ActorPass<f32>,
}

/// Actor and proposal with their buffers.
#[derive(Debug)]
pub(crate) struct Percentile {
    shape: AgentShape,
    net: Actor,
    /// Actor and proposal.
    followers: [Follower; 2],
    workspaces: Vec<Workspace>,
    batch_stream: Stream,
    candidate_stream: Stream,
    optimiser: AdamWOptions,
    uniform: usize,
    batch: Batch,
    /// `[state][candidate][d]`, the uniform ones first.
    candidates: Vec<f32>,
    /// For each state the normal numbers of those from the proposal.
    noise: Vec<f32>,
    values: Vec<f32>,
    /// The candidates of one state in the order of [`key`].
    order: Vec<u64>,
    /// `[state][rank][d]`: the best candidates, as many as the proposal needs, from the best on.
    best: Vec<f32>,
}

const ACTOR: usize = 0;
const PROPOSAL: usize = 1;

impl Percentile {
    pub(crate) fn new(shape: AgentShape, options: &AgentOptions, threads: &Threads) -> Self {
        let net = Actor::new(shape.state, shape.action);
        let (rows, count) = (options.batch_size, options.candidates);
        let follower = |role, count| {
            let mut parameters = vec![0.0; net.len()];
            net.init(&mut parameters, &mut Stream::new(options.seed, role, 0));
            Follower {
                trained: Trained { parameters, optimiser: AdamW::new(net.len()) },
                count,
                loss: 0.0,
                gradient_norm: 0.0,
            }
        };
        let workspace = || Workspace { gradient: vec![0.0; net.len()], pass: ActorPass::new(rows, shape.action) };
        let part = |share: f64| ((count as f64 * share) as usize).clamp(1, count);
        let actor_best = part(options.actor_percentile);
        let proposal_best = part(options.proposal_percentile).max(actor_best);
        let uniform = ((count as f64 * options.uniform_weight).round() as usize).min(count);
        Self {
            shape,
            net,
            followers: [
                follower("actor initialisation", actor_best),
                follower("proposal initialisation", proposal_best),
            ],
            workspaces: (0..threads.count().min(2)).map(|_| workspace()).collect(),
            batch_stream: Stream::new(options.seed, "actor batch", 0),
            candidate_stream: Stream::new(options.seed, "candidates", 0),
            optimiser: AdamWOptions {
                learning_rate: options.actor_lr as f32,
                weight_decay: options.weight_decay as f32,
            },
            uniform,
            batch: Batch::new(shape, rows),
            candidates: vec![0.0; rows * count * shape.action],
            noise: vec![0.0; rows * (count - uniform) * shape.action],
            values: vec![0.0; rows * count],
            order: Vec::with_capacity(count),
            best: vec![0.0; rows * proposal_best * shape.action],
        }
    }

    /// The actor's network.
    pub(crate) fn net(&self) -> &Actor {
        &self.net
    }

    /// The actor's parameters: what is published.
    pub(crate) fn actor(&self) -> &[f32] {
        &self.followers[ACTOR].trained.parameters
    }

    /// Length of the actor's gradient in the latest update.
    pub(crate) fn gradient_norm(&self) -> f32 {
        self.followers[ACTOR].gradient_norm
    }

    #[cfg(test)]
    pub(crate) fn actor_mut(&mut self) -> &mut [f32] {
        &mut self.followers[ACTOR].trained.parameters
    }

    /// One update of actor and proposal; the actor's loss.
    pub(crate) fn update(&mut self, replay: &Replay, ensemble: &mut Ensemble, threads: &Threads) -> f32 {
        replay.sample(None, ensemble.gamma(), &mut self.batch_stream, &mut self.batch);
        self.draw_candidates();
        let candidates = Candidates {
            states: self.batch.states(),
            actions: &self.candidates,
            repeat: self.values.len() / self.batch.rows(),
        };
        ensemble.judge(candidates, threads, &mut self.values);
        self.rank();
        self.follow(threads)
    }

    fn draw_candidates(&mut self) {
        let (rows, d) = (self.batch.rows(), self.shape.action);
        let pass = &mut self.workspaces[0].pass;
        self.net.forward(&self.followers[PROPOSAL].trained.parameters, self.batch.states(), rows, pass);
        self.candidate_stream.normals(self.net.kernel, &mut self.noise);
        let count = self.values.len() / rows;
        let mut noise = self.noise.chunks_exact(d);
        for (row, candidates) in self.candidates.chunks_exact_mut(count * d).enumerate() {
            let own = row * d..(row + 1) * d;
            let (lo, hi) = (&self.batch.lo[own.clone()], &self.batch.hi[own.clone()]);
            let (mu, sigma) = (&pass.mu[own.clone()], &pass.sigma[own]);
            let (uniform, proposed) = candidates.split_at_mut(self.uniform * d);
            self.candidate_stream.uniforms(uniform);
            for action in uniform.chunks_exact_mut(d) {
                for (i, action) in action.iter_mut().enumerate() {
                    *action = lo[i] + (hi[i] - lo[i]) * *action;
                }
            }
            for (action, noise) in proposed.chunks_exact_mut(d).zip(&mut noise) {
                for (i, action) in action.iter_mut().enumerate() {
                    *action = (mu[i] + sigma[i] * noise[i]).max(lo[i]).min(hi[i]);
                }
            }
        }
    }

    /// Picks out the best candidates of each state; of equally good ones the earlier.
    fn rank(&mut self) {
        let (rows, d) = (self.batch.rows(), self.shape.action);
        let count = self.values.len() / rows;
        let best_count = self.best.len() / (rows * d);
        let states = self.values.chunks_exact(count).zip(self.candidates.chunks_exact(count * d));
        for ((values, candidates), best) in states.zip(self.best.chunks_exact_mut(best_count * d)) {
            self.order.clear();
            self.order.extend(values.iter().enumerate().map(|(i, value)| key(*value, i)));
            self.order.select_nth_unstable(best_count - 1);
            let ranked = &mut self.order[..best_count];
            ranked.sort_unstable();
            for (best, key) in best.chunks_exact_mut(d).zip(ranked) {
                let candidate = (*key as u32) as usize;
                best.copy_from_slice(&candidates[candidate * d..][..d]);
            }
        }
    }

    /// A step of both networks towards the best candidates; the actor's loss before it.
    fn follow(&mut self, threads: &Threads) -> f32 {
        let (net, optimiser, batch, d) = (self.net, self.optimiser, &self.batch, self.shape.action);
        let best = Best { actions: &self.best, per_state: self.best.len() / batch.rows(), d };
        threads.each_with(&mut self.workspaces, &mut self.followers, |workspace, follower| {
            follower.approach(workspace, &net, batch.states(), best, optimiser);
        });
        self.followers[ACTOR].loss
    }

    /// Teaches actor and proposal to hold `nominal` with the largest deviation, on random states.
    pub(crate) fn learn_nominal(&mut self, nominal: &[f32], options: &AgentOptions, threads: &Threads) {
        let (net, steps) = (self.net, options.nominal_actor_steps);
        for step in 0..steps {
            let learning_rate = falling(options.nominal_lr, step, steps);
            let optimiser = AdamWOptions { learning_rate, ..self.optimiser };
            self.candidate_stream.uniforms(self.batch.states_mut());
            let (batch, shown) = (&self.batch, Shown { actions: nominal, deviation: Some(SIGMA_MAX as f32) });
            threads.each_with(&mut self.workspaces, &mut self.followers, |workspace, follower| {
                follower.imitate(workspace, &net, batch, shown, optimiser);
            });
        }
        for follower in &mut self.followers {
            follower.trained.optimiser.reset();
        }
    }

    /// Teaches actor and proposal what was done, on the states of the memory: mean and deviation become those of the actions
    /// there.
    pub(crate) fn learn_behaviour(&mut self, replay: &Replay, gamma: f64, options: &AgentOptions, threads: &Threads) {
        let (net, steps) = (self.net, options.behaviour_steps);
        for step in 0..steps {
            replay.sample(None, gamma, &mut self.batch_stream, &mut self.batch);
            let learning_rate = falling(options.nominal_lr, step, steps);
            let optimiser = AdamWOptions { learning_rate, ..self.optimiser };
            let (batch, shown) = (&self.batch, Shown { actions: &self.batch.actions, deviation: None });
            threads.each_with(&mut self.workspaces, &mut self.followers, |workspace, follower| {
                follower.imitate(workspace, &net, batch, shown, optimiser);
            });
        }
        for follower in &mut self.followers {
            follower.trained.optimiser.reset();
        }
    }

    pub(crate) fn state(&self) -> PercentileState {
        PercentileState {
            actor: self.followers[ACTOR].trained.clone(),
            proposal: self.followers[PROPOSAL].trained.clone(),
            batch_stream: self.batch_stream.clone(),
            candidate_stream: self.candidate_stream.clone(),
        }
    }

    /// Takes over a stored state; false, and nothing changed, when it is of another shape.
    pub(crate) fn restore(&mut self, state: PercentileState) -> bool {
        let len = self.net.len();
        let fits = |trained: &Trained| trained.parameters.len() == len && trained.optimiser.fits(len);
        if !fits(&state.actor) || !fits(&state.proposal) {
            return false;
        }
        self.followers[ACTOR].trained = state.actor;
        self.followers[PROPOSAL].trained = state.proposal;
        self.batch_stream = state.batch_stream;
        self.candidate_stream = state.candidate_stream;
        true
    }
}

/// A number that is the smaller the better the value of candidate `index` is; of equal values that of the earlier one.
fn key(value: f32, index: usize) -> u64 {
    let bits = value.to_bits();
    // The bits of positive numbers rise with them, those of negative ones fall.
    let rising = if bits >> 31 == 0 { bits | 1 << 31 } else { !bits };
    u64::from(!rising) << 32 | index as u64
}

/// The best candidates.
#[derive(Debug, Clone, Copy)]
struct Best<'a> {
    /// `[state][rank][d]`
    actions: &'a [f32],
    /// Numbers for each state.
    per_state: usize,
    d: usize,
}

/// What is to be imitated.
#[derive(Clone, Copy)]
struct Shown<'a> {
    /// Of each state in turn, or one for all.
    actions: &'a [f32],
    /// `None`: as far as the mean still is from the actions.
    deviation: Option<f32>,
}

impl Follower {
    /// A step up the mean log-likelihood of its share of the best candidates; its negative value before the step.
    fn approach(
        &mut self,
        workspace: &mut Workspace,
        net: &Actor,
        states: &[f32],
        best: Best<'_>,
        optimiser: AdamWOptions,
    ) {
        let (d, count) = (best.d, self.count);
        let rows = best.actions.len() / best.per_state;
        let pass = &mut workspace.pass;
        net.forward(&self.trained.parameters, states, rows, pass);
        let share = 1.0 / (rows * count) as f32;
        self.loss = 0.0;
        for (row, actions) in best.actions.chunks_exact(best.per_state).enumerate() {
            for i in 0..d {
                let at = row * d + i;
                let (mu, precision) = (pass.mu[at], 1.0 / pass.sigma[at]);
                let (mut sum, mut squares) = (0.0, 0.0);
                for action in actions[..count * d].chunks_exact(d) {
                    let z = (action[i] - mu) * precision;
                    sum += z;
                    squares += z * z;
                }
                pass.d_mu[at] = -sum * precision * share;
                pass.d_sigma[at] = (count as f32 - squares) * precision * share;
                self.loss += (0.5 * squares - count as f32 * libm::logf(precision)) * share;
            }
        }
        self.descend(workspace, net, states, rows, optimiser);
    }

    /// A step towards what is shown.
    fn imitate(
        &mut self,
        workspace: &mut Workspace,
        net: &Actor,
        batch: &Batch,
        shown: Shown<'_>,
        optimiser: AdamWOptions,
    ) {
        let (pass, rows) = (&mut workspace.pass, batch.rows());
        net.forward(&self.trained.parameters, batch.states(), rows, pass);
        let share = 1.0 / rows as f32;
        for (i, action) in (0..pass.mu.len()).zip(shown.actions.iter().cycle()) {
            let off = pass.mu[i] - action;
            pass.d_mu[i] = off * share;
            pass.d_sigma[i] = (pass.sigma[i] - shown.deviation.unwrap_or(off.abs())) * share;
        }
        self.descend(workspace, net, batch.states(), rows, optimiser);
    }

    /// A step against the gradient, whose beginnings at mean and deviation are set.
    fn descend(
        &mut self,
        workspace: &mut Workspace,
        net: &Actor,
        states: &[f32],
        rows: usize,
        optimiser: AdamWOptions,
    ) {
        let Workspace { gradient, pass } = workspace;
        let Trained { parameters, optimiser: moments } = &mut self.trained;
        gradient.fill(0.0);
        net.backward(parameters, states, rows, pass, gradient);
        self.gradient_norm = norm(gradient);
        moments.step(net.kernel, parameters, gradient, optimiser);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: AgentShape = AgentShape { state: 3, action: 2 };

    #[test]
    fn the_nominal_start_holds_the_nominal_setpoint() {
        let options = AgentOptions { batch_size: 64, ..AgentOptions::default() };
        let mut percentile = Percentile::new(SHAPE, &options, &Threads::new(1).unwrap());
        percentile.learn_nominal(&[0.2, 0.7], &options, &Threads::new(1).unwrap());
        let mut pass = ActorPass::new(1, 2);
        percentile.net.forward(percentile.actor(), &[0.3, 0.9, 0.1], 1, &mut pass);
        assert!((pass.mu[0] - 0.2).abs() < 0.06 && (pass.mu[1] - 0.7).abs() < 0.06, "{:?}", pass.mu);
        assert!(pass.sigma.iter().all(|s| *s > 0.05), "{:?}", pass.sigma);
    }

    #[test]
    fn ranking_puts_the_best_first_and_keeps_the_order_of_equals() {
        let options =
            AgentOptions { batch_size: 1, candidates: 10, proposal_percentile: 0.4, ..AgentOptions::default() };
        let mut percentile = Percentile::new(SHAPE, &options, &Threads::new(1).unwrap());
        percentile.values = vec![0.0, 5.0, 1.0, 5.0, -3.0, 2.0, 1.0, 0.0, 4.0, -9.0];
        percentile.candidates.iter_mut().enumerate().for_each(|(i, a)| *a = i as f32);
        percentile.rank();
        assert_eq!(percentile.best, [2.0, 3.0, 6.0, 7.0, 16.0, 17.0, 10.0, 11.0]);
    }

    #[test]
    fn the_actor_approaches_the_best_candidates() {
        let options = AgentOptions { batch_size: 8, candidates: 20, actor_lr: 1e-2, ..AgentOptions::default() };
        let mut percentile = Percentile::new(SHAPE, &options, &Threads::new(1).unwrap());
        let threads = Threads::new(1).unwrap();
        let mut loss = Vec::new();
        for _ in 0..200 {
            // Every candidate is the same action, so that its likelihood must rise.
            percentile.candidates.iter_mut().enumerate().for_each(|(i, a)| *a = if i % 2 == 0 { 0.8 } else { 0.1 });
            percentile.values.fill(1.0);
            percentile.rank();
            loss.push(percentile.follow(&threads));
        }
        assert!(loss[199] < loss[0]);
        let mut pass = ActorPass::new(8, 2);
        percentile.net.forward(percentile.actor(), percentile.batch.states(), 8, &mut pass);
        for mu in pass.mu.chunks_exact(2) {
            assert!((mu[0] - 0.8).abs() < 0.1 && (mu[1] - 0.1).abs() < 0.1, "{mu:?}");
        }
    }

    #[test]
    fn keys_order_values_from_the_best_to_the_worst() {
        let values = [f32::INFINITY, 3.5, 1e-40, 0.0, -0.0, -1e-40, -2.0, f32::NEG_INFINITY];
        let keys: Vec<u64> = values.iter().map(|value| key(*value, 7)).collect();
        assert!(keys.is_sorted_by(|a, b| a < b), "{keys:x?}");
        assert!(key(1.0, 3) < key(1.0, 4));
    }
}

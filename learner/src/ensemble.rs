//! The ensemble of critics: Q-learning with regularised corrections (QRC), a gradient method without target networks.
//!
//! Per sample, with `sg` the stop-gradient and `a'_j` drawn from the actor at `s'`:
//! ```text
//! y   = R_n + gamma^n mean_j q(s', a'_j)      d_l = sg(y) - q(s, a)      d_r = y - sg(q(s, a))
//! L_q = d_l^2 / 2 + sg(tanh h(s, a)) d_r      L_h = (sg(d_l) - h(s, a))^2 / 2      and |w_h|^2 / 2 once
//! ```

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::discount::Discount;
use crate::examiner::{Critics, mean_and_deviation, norm};
use crate::nets::{ActionPass, Actor, ActorPass, AdamW, AdamWOptions, Critic, Real as _, StatePass, falling};
use crate::options::{AgentOptions, AgentShape, Aggregation, ENSEMBLE_MAX};
use crate::random::Stream;
use crate::replay::{Batch, Replay};
use crate::threads::Threads;

/// Actions that are passed over in one piece; their activations stay in the second-level cache.
const PIECE_ROWS: usize = 256;

/// What a checkpoint keeps of a critic.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CriticState {
    pub(crate) parameters: Vec<f32>,
    optimiser: AdamW,
    init_stream: Stream,
    batch_stream: Stream,
    action_stream: Stream,
    /// Updates since the last initialisation.
    updates: u64,
    /// It counts in the estimates.
    active: bool,
}

/// A critic.
#[derive(Debug)]
struct Member {
    index: usize,
    state: CriticState,
    judged: Vec<f32>,
    loss: f32,
    gradient_norm: f32,
}

/// What a thread needs for one critic at a time; it stays in its cache for the next one.
#[derive(Debug)]
struct Workspace {
    batch: Batch,
    gradient: Vec<f32>,
    /// The state stream at the states and then at the next states.
    at: StatePass<f32>,
    pass: ActionPass<f32>,
    /// For next actions and candidates.
    piece: ActionPass<f32>,
    next_actor: ActorPass<f32>,
    next_actions: Vec<f32>,
    next_q: Vec<f32>,
    d_next_q: Vec<f32>,
    q: Vec<f32>,
    h: Vec<f32>,
}

/// What judging asks: the same number of actions at each of some states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidates<'a> {
    pub(crate) states: &'a [f32],
    /// `[states][repeat][d]`.
    pub(crate) actions: &'a [f32],
    pub(crate) repeat: usize,
}

/// The critics.
#[derive(Debug)]
pub(crate) struct Ensemble {
    shape: AgentShape,
    critic: Critic,
    members: Vec<Member>,
    workspaces: Vec<Workspace>,
    optimiser: AdamWOptions,
    discount: Discount,
    aggregation: Aggregation,
    reset_period: u64,
    reset_warmup: u64,
    updates: u64,
}

/// What a checkpoint keeps of the ensemble.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct EnsembleState {
    pub(crate) critics: Vec<CriticState>,
    updates: u64,
}

impl Ensemble {
    pub(crate) fn new(shape: AgentShape, options: &AgentOptions, threads: &Threads) -> Self {
        let critic = Critic::new(shape.state, shape.action);
        let workspaces = threads.count().min(options.ensemble);
        let members = (0..options.ensemble).map(|index| Member::new(index, &critic, options)).collect();
        Self {
            shape,
            critic,
            members,
            workspaces: (0..workspaces).map(|_| Workspace::new(shape, &critic, options)).collect(),
            optimiser: AdamWOptions {
                learning_rate: options.critic_lr as f32,
                weight_decay: options.weight_decay as f32,
            },
            discount: Discount::new(options),
            aggregation: options.aggregation,
            reset_period: options.reset_period,
            reset_warmup: options.reset_warmup,
            updates: 0,
        }
    }

    /// The discount of the next update.
    pub(crate) fn gamma(&self) -> f64 {
        self.discount.at(self.updates)
    }

    /// One update of every critic; the mean loss.
    pub(crate) fn update(
        &mut self,
        replay: &Replay,
        actor: &Actor,
        actor_parameters: &[f32],
        threads: &Threads,
    ) -> f32 {
        let (critic, optimiser, gamma, d) = (self.critic, self.optimiser, self.gamma(), self.shape.action);
        threads.each_with(&mut self.workspaces, &mut self.members, |workspace, member| {
            let Member { index, state, .. } = member;
            replay.sample(Some(*index), gamma, &mut state.batch_stream, &mut workspace.batch);
            workspace.draw_next_actions(actor, actor_parameters, d, &mut state.action_stream);
            member.learn(workspace, &critic, optimiser);
        });
        self.updates += 1;
        self.reset_in_turn();
        let losses: f32 = self.members.iter().map(|member| member.loss).sum();
        losses / self.members.len() as f32
    }

    /// Re-initialises the critic that learnt longest, when it is time, and lets warmed-up ones count.
    fn reset_in_turn(&mut self) {
        for member in &mut self.members {
            if member.state.updates >= self.reset_warmup {
                member.state.active = true;
            }
        }
        if self.reset_period == 0 || !self.updates.is_multiple_of(self.reset_period) {
            return;
        }
        let active = self.members.iter().filter(|member| member.state.active);
        // The last active critic stays: somebody has to judge.
        if active.clone().count() < 2 {
            return;
        }
        // Of equally old ones the first.
        let oldest = active
            .max_by_key(|member| (member.state.updates, std::cmp::Reverse(member.index)))
            .map(|member| member.index);
        if let Some(index) = oldest {
            self.members[index].reset(&self.critic);
        }
    }

    /// What the active critics say of every candidate, as one number each, into `values`.
    pub(crate) fn judge(&mut self, candidates: Candidates<'_>, threads: &Threads, values: &mut [f32]) {
        let (critic, shape) = (self.critic, self.shape);
        threads.each_with(&mut self.workspaces, &mut self.members, |workspace, member| {
            if member.state.active {
                member.judge(workspace, &critic, shape, candidates);
            }
        });
        match self.aggregation {
            Aggregation::Mean => self.average(values),
            Aggregation::Percentile(part) => self.aggregate(values, |values| quantile(values, part as f32)),
            Aggregation::Ucb(bonus) => self.aggregate(values, |values| {
                let (mean, deviation) = mean_and_deviation(values.iter().copied());
                mean + bonus as f32 * deviation
            }),
        }
    }

    /// The mean of what the active critics said, critic by critic.
    fn average(&self, values: &mut [f32]) {
        values.fill(0.0);
        let mut active = 0;
        for member in self.members.iter().filter(|member| member.state.active) {
            active += 1;
            for (value, &judged) in values.iter_mut().zip(&member.judged) {
                *value += judged;
            }
        }
        let share = 1.0 / active.max(1) as f32;
        values.iter_mut().for_each(|value| *value *= share);
    }

    /// Another number from what the active critics said, candidate by candidate.
    fn aggregate(&self, values: &mut [f32], one_of: impl Fn(&mut [f32]) -> f32) {
        let mut said = [0.0; ENSEMBLE_MAX];
        for (at, value) in values.iter_mut().enumerate() {
            let mut active = 0;
            for member in self.members.iter().filter(|member| member.state.active) {
                said[active] = member.judged[at];
                active += 1;
            }
            *value = one_of(&mut said[..active]);
        }
    }

    /// Teaches every critic `q(s, a) = -|a - a0|_1` on random states and actions: the `steps` of all nominal steps.
    pub(crate) fn learn_nominal(
        &mut self,
        steps: Range<usize>,
        nominal: &[f32],
        options: &AgentOptions,
        threads: &Threads,
    ) {
        let (critic, optimiser) = (self.critic, self.optimiser);
        let all = options.nominal_critic_steps;
        threads.each_with(&mut self.workspaces, &mut self.members, |workspace, member| {
            for step in steps.clone() {
                let learning_rate = falling(options.nominal_lr, step, all);
                let optimiser = AdamWOptions { learning_rate, ..optimiser };
                member.learn_nominal(workspace, &critic, nominal, optimiser);
            }
            if steps.end == all {
                member.state.optimiser.reset();
            }
        });
    }

    /// The critics that count.
    pub(crate) fn critics(&self) -> Critics<'_> {
        let active = self.members.iter().filter(|member| member.state.active);
        let parameters = active.map(|member| member.state.parameters.as_slice()).collect();
        Critics { net: self.critic, parameters, common_value: 0.0 }
    }

    /// Length of the critics' gradient in the latest update, mean over the ensemble.
    pub(crate) fn gradient_norm(&self) -> f32 {
        self.members.iter().map(|member| member.gradient_norm).sum::<f32>() / self.members.len() as f32
    }

    /// The critic's parameters are finite, all of them.
    pub(crate) fn is_finite(&self) -> bool {
        self.members.iter().all(|member| member.state.parameters.iter().all(|p| p.is_finite()))
    }

    pub(crate) fn state(&self) -> EnsembleState {
        EnsembleState { critics: self.members.iter().map(|m| m.state.clone()).collect(), updates: self.updates }
    }

    /// Takes over a stored state; false, and nothing changed, when it is of another shape.
    pub(crate) fn restore(&mut self, state: EnsembleState) -> bool {
        let len = self.critic.len();
        let fits = |critic: &CriticState| critic.parameters.len() == len && critic.optimiser.fits(len);
        if state.critics.len() != self.members.len()
            || !state.critics.iter().all(fits)
            || !state.critics.iter().any(|critic| critic.active)
        {
            return false;
        }
        for (member, state) in self.members.iter_mut().zip(state.critics) {
            member.state = state;
        }
        self.updates = state.updates;
        true
    }
}

impl Member {
    fn new(index: usize, critic: &Critic, options: &AgentOptions) -> Self {
        let stream = |role| Stream::new(options.seed, role, index);
        let mut init_stream = stream("critic initialisation");
        let mut parameters = vec![0.0; critic.len()];
        critic.init(&mut parameters, &mut init_stream);
        Self {
            index,
            state: CriticState {
                parameters,
                optimiser: AdamW::new(critic.len()),
                init_stream,
                batch_stream: stream("critic batch"),
                action_stream: stream("critic next actions"),
                updates: 0,
                active: true,
            },
            judged: vec![0.0; options.batch_size * options.candidates],
            loss: 0.0,
            gradient_norm: 0.0,
        }
    }

    fn reset(&mut self, critic: &Critic) {
        critic.init(&mut self.state.parameters, &mut self.state.init_stream);
        self.state.optimiser.reset();
        self.state.updates = 0;
        self.state.active = false;
    }

    /// One step on the batch at hand.
    fn learn(&mut self, workspace: &mut Workspace, critic: &Critic, optimiser: AdamWOptions) {
        let p = &self.state.parameters;
        let rows = workspace.batch.rows();
        let Workspace { batch, at, pass, q, h, d_next_q, gradient, .. } = workspace;
        critic.forward_states(p, &batch.both_states, 2 * rows, at);
        critic.forward_actions(p, at, 0..rows, &batch.actions, 1, pass);
        critic.q(p, pass, q);
        critic.h(p, pass, h);
        next_gradients(batch, h, d_next_q);
        gradient.fill(0.0);
        workspace.pass_over_next_actions(critic, p);

        let Workspace { batch, at, pass, q: dq, h: dh, next_q, gradient: g, .. } = workspace;
        self.loss = own_gradients(batch, next_q, dq, dh) + critic.h_penalty(p);
        critic.backward_actions(p, at, 0..rows, &batch.actions, dq, Some(dh), pass, g);
        critic.backward_states(p, &batch.both_states, 2 * rows, at, g);
        critic.regularise_h(p, g);
        self.gradient_norm = norm(g);
        self.descend(g, critic, optimiser);
        self.state.updates += 1;
    }

    fn descend(&mut self, gradient: &[f32], critic: &Critic, optimiser: AdamWOptions) {
        let state = &mut self.state;
        state.optimiser.step(critic.kernel, &mut state.parameters, gradient, optimiser);
    }

    fn learn_nominal(&mut self, workspace: &mut Workspace, critic: &Critic, nominal: &[f32], optimiser: AdamWOptions) {
        let rows = workspace.batch.rows();
        let Workspace { batch, at, pass, gradient: g, q, .. } = workspace;
        let stream = &mut self.state.action_stream;
        stream.uniforms(batch.states_mut());
        stream.uniforms(&mut batch.actions);
        let p = &self.state.parameters;
        critic.forward_states(p, batch.states(), rows, at);
        critic.forward_actions(p, at, 0..rows, &batch.actions, 1, pass);
        critic.q(p, pass, q);
        let share = 1.0 / rows as f32;
        for (q, action) in q.iter_mut().zip(batch.actions.chunks_exact(nominal.len())) {
            let distance: f32 = action.iter().zip(nominal).map(|(a, b)| (a - b).abs()).sum();
            *q = (*q + distance) * share;
        }
        g.fill(0.0);
        critic.backward_actions(p, at, 0..rows, &batch.actions, q, None, pass, g);
        critic.backward_states(p, batch.states(), rows, at, g);
        self.descend(g, critic, optimiser);
    }

    fn judge(&mut self, workspace: &mut Workspace, critic: &Critic, shape: AgentShape, candidates: Candidates<'_>) {
        let Candidates { states, actions, repeat } = candidates;
        let rows = states.len() / shape.state;
        let Workspace { at, piece, .. } = workspace;
        let p = &self.state.parameters;
        critic.forward_states(p, states, rows, at);
        for states in pieces(rows, piece.rows() / repeat) {
            let own = states.start * repeat..states.end * repeat;
            let actions = &actions[own.start * shape.action..own.end * shape.action];
            critic.forward_actions(p, at, states, actions, repeat, piece);
            critic.q(p, piece, &mut self.judged[own]);
        }
    }
}

impl Workspace {
    fn new(shape: AgentShape, critic: &Critic, options: &AgentOptions) -> Self {
        let (rows, repeat) = (options.batch_size, options.next_actions);
        Self {
            batch: Batch::new(shape, rows),
            gradient: vec![0.0; critic.len()],
            at: StatePass::new(2 * rows),
            pass: ActionPass::new(rows),
            piece: ActionPass::new(PIECE_ROWS.max(options.candidates).max(repeat)),
            next_actor: ActorPass::new(rows, shape.action),
            next_actions: vec![0.0; rows * repeat * shape.action],
            next_q: vec![0.0; rows * repeat],
            d_next_q: vec![0.0; rows * repeat],
            q: vec![0.0; rows],
            h: vec![0.0; rows],
        }
    }

    /// `a'_j ~ actor(s')`, clipped to the bounds there.
    fn draw_next_actions(&mut self, actor: &Actor, actor_parameters: &[f32], d: usize, stream: &mut Stream) {
        let rows = self.batch.rows();
        let repeat = self.next_q.len() / rows;
        let pass = &mut self.next_actor;
        actor.forward(actor_parameters, self.batch.next_states(), rows, pass);
        stream.normals(actor.kernel, &mut self.next_actions);
        for (row, actions) in self.next_actions.chunks_exact_mut(repeat * d).enumerate() {
            let own = row * d..(row + 1) * d;
            let (lo, hi) = (&self.batch.next_lo[own.clone()], &self.batch.next_hi[own.clone()]);
            let (mu, sigma) = (&pass.mu[own.clone()], &pass.sigma[own]);
            for action in actions.chunks_exact_mut(d) {
                for (i, action) in action.iter_mut().enumerate() {
                    *action = (mu[i] + sigma[i] * *action).max(lo[i]).min(hi[i]);
                }
            }
        }
    }

    /// The values of the next actions, and their gradients: there and back piece by piece, since the gradient at a next
    /// value does not depend on any of the values.
    fn pass_over_next_actions(&mut self, critic: &Critic, p: &[f32]) {
        let rows = self.batch.rows();
        let (repeat, d) = (self.next_q.len() / rows, self.next_actions.len() / self.next_q.len());
        let Self { at, piece, gradient, .. } = self;
        for states in pieces(rows, piece.rows() / repeat) {
            let own = states.start * repeat..states.end * repeat;
            let actions = &self.next_actions[own.start * d..own.end * d];
            let states = rows + states.start..rows + states.end;
            critic.forward_actions(p, at, states.clone(), actions, repeat, piece);
            critic.q(p, piece, &mut self.next_q[own.clone()]);
            critic.backward_actions(p, at, states, actions, &self.d_next_q[own], None, piece, gradient);
        }
    }
}

/// The quantile `part` of some numbers, on a straight line between the two nearest; it sorts them.
fn quantile(numbers: &mut [f32], part: f32) -> f32 {
    numbers.sort_unstable_by(f32::total_cmp);
    let place = part * (numbers.len() - 1) as f32;
    let (below, above) = (numbers[place as usize], numbers[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// `0..rows` in pieces of at most `len`.
fn pieces(rows: usize, len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..rows).step_by(len).map(move |from| from..(from + len).min(rows))
}

/// The gradients of the mean loss at each next q, from the corrections `h`.
fn next_gradients(batch: &Batch, h: &[f32], d_next_q: &mut [f32]) {
    let repeat = d_next_q.len() / h.len();
    let share = 1.0 / d_next_q.len() as f32;
    let rows = d_next_q.chunks_exact_mut(repeat).zip(h.iter().zip(&batch.discounts));
    for (d_next_q, (h, discount)) in rows {
        d_next_q.fill(h.hyperbolic_tangent() * discount * share);
    }
}

/// Replaces `q` and `h` by the gradients of the mean loss at them, and returns the loss.
fn own_gradients(batch: &Batch, next_q: &[f32], q: &mut [f32], h: &mut [f32]) -> f32 {
    let rows = q.len();
    let repeat = next_q.len() / rows;
    let share = 1.0 / rows as f32;
    let mut loss = 0.0;
    for (row, next_q) in next_q.chunks_exact(repeat).enumerate() {
        let next = next_q.iter().sum::<f32>() / repeat as f32;
        let delta = batch.rewards[row] + batch.discounts[row] * next - q[row];
        let residual = delta - h[row];
        loss += 0.5 * delta * delta + h[row].hyperbolic_tangent() * delta + 0.5 * residual * residual;
        q[row] = -delta * share;
        h[row] = -residual * share;
    }
    loss * share
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examiner::Examiner;
    use crate::options::GammaSchedule;
    use crate::replay::testing::noise;

    const SHAPE: AgentShape = AgentShape { state: 2, action: 1 };

    fn options() -> AgentOptions {
        AgentOptions {
            batch_size: 32,
            candidates: 8,
            next_actions: 3,
            gamma: 0.5,
            critic_lr: 1e-3,
            ..AgentOptions::default()
        }
    }

    fn actor() -> (Actor, Vec<f32>) {
        let actor = Actor::new(2, 1);
        let mut parameters = vec![0.0; actor.len()];
        actor.init(&mut parameters, &mut Stream::new(4, "test", 0));
        (actor, parameters)
    }

    /// The reward is minus the distance of the action from 0.3.
    fn replay(options: &AgentOptions) -> Replay {
        noise(SHAPE, options, |action| -(action - 0.3).abs())
    }

    #[test]
    fn the_loss_falls_and_the_better_action_is_judged_better() {
        let options = options();
        let threads = Threads::new(1).unwrap();
        let mut ensemble = Ensemble::new(SHAPE, &options, &threads);
        let (actor, parameters) = actor();
        let replay = replay(&options);
        let losses: Vec<f32> = (0..400).map(|_| ensemble.update(&replay, &actor, &parameters, &threads)).collect();
        let mean = |x: &[f32]| x.iter().sum::<f32>() / x.len() as f32;
        assert!(mean(&losses[350..]) < 0.3 * mean(&losses[..10]));
        let mut values = [0.0; 3];
        let candidates = Candidates { states: &[0.5, 0.5], actions: &[0.3, 0.6, 0.9], repeat: 3 };
        ensemble.judge(candidates, &threads, &mut values);
        assert!(values[0] > values[1] && values[1] > values[2], "{values:?}");
    }

    #[test]
    fn the_gradients_of_the_loss_are_those_of_its_formula() {
        let mut batch = Batch::new(SHAPE, 1);
        (batch.rewards[0], batch.discounts[0]) = (-1.0, 0.9);
        let (mut q, mut h, mut d_next) = ([0.5], [0.2], [0.0; 2]);
        next_gradients(&batch, &h, &mut d_next);
        let loss = own_gradients(&batch, &[0.1, 0.3], &mut q, &mut h);
        let delta = -1.0 + 0.9 * 0.2 - 0.5;
        let tanh = 0.2_f32.tanh();
        let expected = 0.5 * delta * delta + tanh * delta + 0.5 * (delta - 0.2_f32).powi(2);
        assert!((loss - expected).abs() < 1e-6);
        assert!((q[0] + delta).abs() < 1e-6 && (h[0] - (0.2 - delta)).abs() < 1e-6);
        assert!(d_next.iter().all(|d| (d - tanh * 0.9 / 2.0).abs() < 1e-6));
    }

    #[test]
    fn critics_are_reset_in_turn_and_leave_the_judging_until_warmed_up() {
        let options = AgentOptions { reset_period: 10, reset_warmup: 5, batch_size: 4, ..options() };
        let threads = Threads::new(1).unwrap();
        let mut ensemble = Ensemble::new(SHAPE, &options, &threads);
        let (actor, parameters) = actor();
        let replay = replay(&options);
        let mut history = Vec::new();
        for _ in 0..22 {
            ensemble.update(&replay, &actor, &parameters, &threads);
            let state = ensemble.state();
            history.push((state.critics[0].active, state.critics[1].active));
        }
        assert_eq!(history[8..10], [(true, true), (false, true)]);
        assert_eq!(history[13..15], [(false, true), (true, true)]);
        assert_eq!(history[19], (true, false));
    }

    #[test]
    fn the_values_of_those_that_count_become_one_as_it_is_set() {
        let candidates = Candidates { states: &[0.5, 0.5], actions: &[0.1, 0.4, 0.9], repeat: 3 };
        let judged = |aggregation, ensemble: &mut Ensemble| {
            let mut values = [0.0; 3];
            ensemble.aggregation = aggregation;
            ensemble.judge(candidates, &Threads::new(1).unwrap(), &mut values);
            values
        };
        let options = AgentOptions { ensemble: 4, ..options() };
        let mut ensemble = Ensemble::new(SHAPE, &options, &Threads::new(1).unwrap());
        ensemble.members[1].state.active = false;
        let mean = judged(Aggregation::Mean, &mut ensemble);
        for (at, mean) in mean.into_iter().enumerate() {
            let mut said: Vec<f32> = [0, 2, 3].map(|member: usize| ensemble.members[member].judged[at]).into();
            said.sort_by(f32::total_cmp);
            let deviation = (said.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 3.0).sqrt();
            assert!(deviation > 1e-4, "they disagree");
            for (aggregation, expected) in [
                (Aggregation::Mean, said.iter().sum::<f32>() / 3.0),
                (Aggregation::Percentile(0.0), said[0]),
                (Aggregation::Percentile(0.25), 0.5 * (said[0] + said[1])),
                (Aggregation::Percentile(0.5), said[1]),
                (Aggregation::Percentile(1.0), said[2]),
                (Aggregation::Ucb(2.0), mean + 2.0 * deviation),
                (Aggregation::Ucb(-0.5), mean - 0.5 * deviation),
            ] {
                let found = judged(aggregation, &mut ensemble)[at];
                assert!((found - expected).abs() < 1e-6, "{aggregation:?}: {found}, not {expected}");
            }
        }
    }

    #[test]
    fn critics_look_ahead_as_far_as_the_discount_of_the_day() {
        for (updates, expected) in [(u64::MAX, -1.0), (1, -2.0)] {
            let gamma_schedule = Some(GammaSchedule { from: 0.0, updates });
            let (options, threads) = (AgentOptions { gamma_schedule, ..options() }, Threads::new(1).unwrap());
            let mut ensemble = Ensemble::new(SHAPE, &options, &threads);
            let ((actor, parameters), replay) = (actor(), noise(SHAPE, &options, |_| -1.0));
            (0..600).for_each(|_| _ = ensemble.update(&replay, &actor, &parameters, &threads));
            let judged = Examiner::new(SHAPE).judge(&ensemble.critics(), &[0.5, 0.5], &[0.5])[0];
            assert!((judged.value - expected).abs() < 0.2, "{judged:?}, not {expected}");
        }
    }

    #[test]
    fn an_ensemble_begins_with_the_nominal_preference() {
        let options = AgentOptions { nominal_critic_steps: 300, ..options() };
        let threads = Threads::new(1).unwrap();
        let mut ensemble = Ensemble::new(SHAPE, &options, &threads);
        ensemble.learn_nominal(0..300, &[0.6], &options, &threads);
        let mut values = [0.0; 3];
        let candidates = Candidates { states: &[0.2, 0.8], actions: &[0.6, 0.3, 0.0], repeat: 3 };
        ensemble.judge(candidates, &threads, &mut values);
        for (value, expected) in values.iter().zip([0.0, -0.3, -0.6]) {
            assert!((value - expected).abs() < 0.1, "{values:?}");
        }
    }
}

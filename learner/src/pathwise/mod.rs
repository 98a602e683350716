//! The pathwise actor: it climbs the gradient of the critics' value at its own action.
//!
//! A deterministic policy gradient (Silver et al. 2014; Lillicrap et al. 2016), reparametrised: at a state an action is
//! `a = clip(mu + sigma e)` with `e` normal, and mean and deviation both climb `Q(s, a)`. Per transition, with `Q'` and
//! `mu', sigma'` slowly following copies (Polyak averages) and `b` the mean reward:
//! ```text
//! y   = R_n - b (1 - gamma^n)/(1 - gamma) + gamma^n (mean_i Q'_i - k dev_i Q'_i)(s', a'),  a' = clip(mu' + sigma' e')
//! L_i = (y - Q_i(s, a))^2 / 2                             b <- b + rate mean(y - Q)
//! mu: along dQ/da,  sigma: along e dQ/da + c dev_i dQ_i/da,  Q = mean_i Q_i
//! ```
//! - `e` comes in pairs of opposite sign, which takes the first-order noise out of both gradients.
//! - `gamma` is the discount of the update: it may grow (`discount.rs`).
//! - Centring on the mean reward (Naik et al. 2024) takes out what is common to all values: without it a discount near 1
//!   makes the critics spend their time on a constant.
//! - `k` makes targets pessimistic where critics disagree, between the mean and, for two critics, the smaller one
//!   (Fujimoto et al. 2018).
//! - Where the value curves down with `C` around the best action, `sigma` settles at `c dev(dQ/da) / C`: by the part
//!   `dev(dQ/da) / C` the critics disagree about where the best action is. So exploration is as wide as what is not known
//!   (Osband et al. 2016), and it vanishes when the critics agree.
//!   Early on they agree because they know nothing, so `c` begins larger and falls with the number of updates.
//! - What a history shows cannot be tried. At its states `k` is larger, and the mean is pulled towards the action `a` that was
//!   taken there by `w u (a - mu) / d`, with `u` the mean size of the slopes (behaviour cloning as a part of the improvement,
//!   Fujimoto and Gu 2021, there in proportion to the values) and `d` the mean deviation of what was done there
//!   (`behaviour.rs`): critics know no more than was tried. The actor begins as the cloned behaviour.
//! - Slopes see only what is near. Where holding some setpoint still is worth more than what the actor does, its mean is drawn
//!   there, too (`holding.rs`), in slopes of the mean size as above.
//! - Near a bound the mean's slope towards it falls to 0, and beyond it turns back: outside, values say nothing (Hausknecht
//!   and Stone 2016, "inverting gradients", within the last tenth of the way).

mod behaviour;
mod holding;
mod judge;
mod settings;

use serde::{Deserialize, Serialize};

use self::behaviour::Behaviour;
use self::holding::{Holding, HoldingState};
use self::judge::{Centre, Judge, Trained};
use self::settings::Settings;
use crate::examiner::{Critics, mean_and_deviation, norm};
use crate::nets::{Actor, ActorPass, AdamWOptions, Critic, SIGMA_MAX, falling};
use crate::options::{AgentOptions, AgentShape};
use crate::random::Stream;
use crate::replay::{Batch, Replay};
use crate::threads::Threads;

/// The part of the way between the bounds, next to a bound, in which the mean's slope towards it falls to 0.
const BRAKE: f32 = 0.1;
/// Actions drawn at a state: a pair of opposite deviations.
const PAIR: usize = 2;

/// What a checkpoint keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PathwiseState {
    critics: Vec<Trained>,
    holding: Option<HoldingState>,
    behaviour: Option<Vec<f32>>,
    actor: Trained,
    mean_reward: f32,
    updates: u64,
    batch_stream: Stream,
    noise_stream: Stream,
    nominal_stream: Stream,
}

/// Critics and actor.
#[derive(Debug)]
pub(crate) struct Pathwise {
    shape: AgentShape,
    net: Actor,
    critic: Critic,
    members: Vec<Judge>,
    holding: Option<Holding>,
    /// What a history has shown, if there is one.
    behaviour: Option<Behaviour>,
    actor: Trained,
    settings: Settings,
    mean_reward: f32,
    updates: u64,
    batch_stream: Stream,
    noise_stream: Stream,
    nominal_stream: Stream,
    /// One for each thread.
    workers: Vec<()>,
    batch: Batch,
    gradient: Vec<f32>,
    pass: ActorPass<f32>,
    noise: Vec<f32>,
    actions: Vec<f32>,
    next_actions: Vec<f32>,
    targets: Vec<f32>,
}

impl Pathwise {
    pub(crate) fn new(shape: AgentShape, options: &AgentOptions, threads: &Threads) -> Self {
        let (net, critic) = (Actor::new(shape.state, shape.action), Critic::new(shape.state, shape.action));
        let mut actor = vec![0.0; net.len()];
        net.init(&mut actor, &mut Stream::new(options.seed, "actor initialisation", 0));
        let (rows, d) = (options.batch_size, shape.action);
        let drawn = || vec![0.0; rows * PAIR * d];
        let member = |index| {
            let stream = &mut Stream::new(options.seed, "critic initialisation", index);
            Judge::new(&critic, stream, rows, PAIR, PAIR).with_slopes(shape)
        };
        Self {
            shape,
            net,
            critic,
            members: (0..options.ensemble).map(member).collect(),
            behaviour: None,
            holding: (options.holding > 0.0).then(|| Holding::new(&critic, shape, options, threads)),
            actor: Trained::new(actor),
            settings: Settings::new(options),
            updates: 0,
            mean_reward: 0.0,
            batch_stream: Stream::new(options.seed, "pathwise batch", 0),
            noise_stream: Stream::new(options.seed, "pathwise noise", 0),
            nominal_stream: Stream::new(options.seed, "pathwise nominal", 0),
            workers: vec![(); threads.count().min(options.ensemble)],
            batch: Batch::new(shape, rows),
            gradient: vec![0.0; net.len()],
            pass: ActorPass::new(rows, d),
            noise: vec![0.0; rows * d],
            actions: drawn(),
            next_actions: drawn(),
            targets: vec![0.0; rows],
        }
    }

    pub(crate) fn net(&self) -> &Actor {
        &self.net
    }

    /// The parameters that act: the copy's.
    pub(crate) fn actor(&self) -> &[f32] {
        &self.actor.slow
    }

    #[cfg(test)]
    pub(crate) fn actor_mut(&mut self) -> &mut [f32] {
        &mut self.actor.slow
    }

    /// The discount of the next update.
    pub(crate) fn gamma(&self) -> f64 {
        self.settings.discount.at(self.updates)
    }

    /// What is taken off the rewards of the next update.
    fn centre(&self) -> Centre {
        Centre { mean_reward: self.mean_reward, gamma: self.gamma() as f32 }
    }

    /// One update of all critics, and of the actor if it `moves`, at this part of their learning rates; the critics' mean
    /// loss, and the mean size of the actor's slope.
    pub(crate) fn update(&mut self, replay: &Replay, moves: bool, rate: f32, threads: &Threads) -> (f32, f32) {
        let (centre, settings) = (self.centre(), self.settings.slowed(rate));
        replay.sample(None, self.gamma(), &mut self.batch_stream, &mut self.batch);
        let rows = self.batch.rows();
        self.net.forward(&self.actor.slow, self.batch.next_states(), rows, &mut self.pass);
        self.noise_stream.normals(self.net.kernel, &mut self.noise);
        let (lo, hi) = (&self.batch.next_lo, &self.batch.next_hi);
        draw_pairs(self.shape.action, &self.pass, &self.noise, (lo, hi), &mut self.next_actions);
        self.judge_next(threads);
        self.set_targets(centre);

        self.net.forward(&self.actor.parameters, self.batch.states(), rows, &mut self.pass);
        self.noise_stream.normals(self.net.kernel, &mut self.noise);
        draw_pairs(self.shape.action, &self.pass, &self.noise, (&self.batch.lo, &self.batch.hi), &mut self.actions);
        self.updates += 1;
        if let Some(holding) = &mut self.holding {
            holding.learn(&self.critic, &self.batch, centre, &settings, threads);
        }
        self.learn(settings, threads);
        let steepness = self.climb(moves.then_some(settings.actor));
        let losses: f32 = self.members.iter().map(|member| member.loss).sum();
        (losses / self.members.len() as f32, steepness)
    }

    /// The copies' values of the next actions.
    fn judge_next(&mut self, threads: &Threads) {
        let (critic, batch, actions) = (self.critic, &self.batch, &self.next_actions);
        threads.each_with(&mut self.workers, &mut self.members, |(), member| {
            member.judge_next(&critic, batch, actions);
        });
    }

    fn set_targets(&mut self, centre: Centre) {
        let Settings { pessimism, historical_pessimism, .. } = self.settings;
        for (row, target) in self.targets.iter_mut().enumerate() {
            let discount = self.batch.discounts[row];
            let pessimism = if row < self.batch.historical_from { pessimism } else { historical_pessimism };
            let mut next = 0.0;
            for drawn in row * PAIR..(row + 1) * PAIR {
                let (mean, deviation) = mean_and_deviation(self.members.iter().map(|member| member.next_q[drawn]));
                next += (mean - pessimism * deviation) / PAIR as f32;
            }
            *target = centre.reward(&self.batch, row) + discount * next;
        }
    }

    /// Every critic makes a step towards the targets, and leaves its slopes at the actor's actions as they were before.
    fn learn(&mut self, settings: Settings, threads: &Threads) {
        let critic = self.critic;
        let (batch, actions, targets) = (&self.batch, &self.actions, &self.targets);
        threads.each_with(&mut self.workers, &mut self.members, |(), member| {
            member.learn(&critic, batch, actions, targets, &settings);
        });
        let error = self.members.iter().map(|member| member.q.iter().sum::<f32>()).sum::<f32>();
        // `q` now holds the gradients, each minus the difference divided by the number of rows.
        self.mean_reward -= settings.centring_rate * error / self.members.len() as f32;
    }

    /// A step of the actor up the critics' slopes, if there is one for it; the mean size of the slope before it.
    fn climb(&mut self, step: Option<AdamWOptions>) -> f32 {
        let (d, rows) = (self.shape.action, self.batch.rows());
        let share = 1.0 / rows as f32;
        let mut steepness = 0.0;
        for row in 0..rows {
            for i in 0..d {
                let at = row * d + i;
                let (up, wider) = self.slopes(row, i);
                let up = self.brake(at, up);
                self.pass.d_mu[at] = -up * share;
                self.pass.d_sigma[at] = -wider * share;
                steepness += up.abs() * share;
            }
        }
        self.draw_to_holding();
        self.hold_to_history(steepness / d as f32);
        self.propagate();
        if let Some(step) = step {
            self.step_actor(step);
            self.actor.follow(self.settings.average_rate);
        }
        steepness
    }

    /// The actor's gradient, from those of the means and deviations of its pass.
    fn propagate(&mut self) {
        self.gradient.fill(0.0);
        let rows = self.batch.rows();
        self.net.backward(&self.actor.parameters, self.batch.states(), rows, &mut self.pass, &mut self.gradient);
    }

    fn step_actor(&mut self, settings: AdamWOptions) {
        let Trained { parameters, optimiser, .. } = &mut self.actor;
        optimiser.step(self.net.kernel, parameters, &self.gradient, settings);
    }

    /// Pulls the mean towards the action that a history shows, at its states: what was never tried there, the critics only
    /// imagine. The pull is measured in slopes of the mean size and deviations of what was done, so it means the same whatever
    /// the reward's scale, and the less was tried, the closer it holds.
    fn hold_to_history(&mut self, mean_slope: f32) {
        let (d, from, rows) = (self.shape.action, self.batch.historical_from, self.batch.rows());
        let Some(behaviour) = self.behaviour.as_mut().filter(|_| from < rows) else { return };
        let pull = self.settings.cloning * mean_slope / rows as f32;
        let states = &self.batch.states()[from * self.shape.state..];
        for (at, deviation) in (from * d..rows * d).zip(behaviour.deviations(&self.net, states, rows - from)) {
            self.pass.d_mu[at] += pull * (self.pass.mu[at] - self.batch.actions[at]) / deviation;
        }
    }

    /// Pulls the mean to the best action to hold, where that is worth more than what the actor does. Not at the states of a
    /// history, where holding cannot be tried. The slopes that a bound makes void count, too: at the end of a range there are
    /// no others.
    fn draw_to_holding(&mut self) {
        let Some(holding) = &self.holding else { return };
        let slopes = self.members.iter().flat_map(|member| &member.slopes);
        let mean_slope =
            slopes.map(|slope| slope.abs()).sum::<f32>() / (self.members.len() * self.actions.len()) as f32;
        let pull = self.settings.holding * mean_slope / self.batch.rows() as f32;
        for row in 0..self.batch.historical_from.min(self.batch.rows()) {
            let drawn = (row * PAIR..(row + 1) * PAIR).flat_map(|at| self.members.iter().map(move |m| m.values[at]));
            let own = drawn.sum::<f32>() / (PAIR * self.members.len()) as f32;
            let (value, best) = holding.best(row);
            if value > own {
                for (at, best) in (row * self.shape.action..).zip(best) {
                    self.pass.d_mu[at] += pull * (self.pass.mu[at] - best).clamp(-1.0, 1.0);
                }
            }
        }
    }

    /// The critics' mean slopes at mean and deviation of component `i`, the latter with its part for curiosity.
    fn slopes(&self, row: usize, i: usize) -> (f32, f32) {
        let d = self.shape.action;
        let at = row * d + i;
        let (mu, sigma, curiosity) = (self.pass.mu[at], self.pass.sigma[at], self.settings.curiosity_at(self.updates));
        let (mut up, mut wider) = (0.0, 0.0);
        for (drawn, sign) in [(row * PAIR, 1.0), (row * PAIR + 1, -1.0)] {
            let noise = sign * self.noise[at];
            let slopes = self.members.iter().map(|member| member.slopes[drawn * d + i]);
            let (slope, deviation) = mean_and_deviation(slopes);
            let action = mu + sigma * noise;
            // What is clipped does not change with mean or deviation.
            let leaves = if slope > 0.0 { action >= self.batch.hi[at] } else { action <= self.batch.lo[at] };
            let slope = if leaves { 0.0 } else { slope };
            up += slope / PAIR as f32;
            wider += (slope * noise + curiosity * deviation) / PAIR as f32;
        }
        (up, wider)
    }

    /// The slope at the mean, less near the bound that it leads to.
    fn brake(&self, at: usize, up: f32) -> f32 {
        let (lo, hi, mu) = (self.batch.lo[at], self.batch.hi[at], self.pass.mu[at]);
        let room = if up > 0.0 { hi - mu } else { mu - lo };
        up * (room / (BRAKE * (hi - lo)).max(f32::EPSILON)).clamp(-1.0, 1.0)
    }

    /// Teaches the actor to hold `nominal` with the largest deviation, on random states.
    pub(crate) fn learn_nominal_actor(&mut self, nominal: &[f32], options: &AgentOptions) {
        let (rows, steps) = (self.batch.rows(), options.nominal_actor_steps);
        let share = 1.0 / rows as f32;
        for step in 0..steps {
            self.nominal_stream.uniforms(self.batch.states_mut());
            let pass = &mut self.pass;
            self.net.forward(&self.actor.parameters, self.batch.states(), rows, pass);
            for (i, nominal) in (0..pass.mu.len()).zip(nominal.iter().cycle()) {
                pass.d_mu[i] = (pass.mu[i] - nominal) * share;
                pass.d_sigma[i] = (pass.sigma[i] - SIGMA_MAX as f32) * share;
            }
            self.imitate(falling(options.nominal_lr, step, steps));
        }
        self.actor.settle();
    }

    /// Teaches the actor what was done, on the states of the memory: mean and deviation become those of the actions there, and
    /// it is held to them from now on.
    pub(crate) fn learn_behaviour(&mut self, replay: &Replay, options: &AgentOptions) {
        let (rows, steps) = (self.batch.rows(), options.behaviour_steps);
        let share = 1.0 / rows as f32;
        for step in 0..steps {
            replay.sample(None, self.gamma(), &mut self.batch_stream, &mut self.batch);
            let pass = &mut self.pass;
            self.net.forward(&self.actor.parameters, self.batch.states(), rows, pass);
            for (i, taken) in self.batch.actions.iter().enumerate() {
                pass.d_mu[i] = (pass.mu[i] - taken) * share;
                pass.d_sigma[i] = (pass.sigma[i] - (pass.mu[i] - taken).abs()) * share;
            }
            self.imitate(falling(options.nominal_lr, step, steps));
        }
        self.actor.settle();
        self.behaviour = Some(Behaviour::new(self.actor.slow.clone(), rows, self.shape.action));
    }

    /// A step of the actor against the gradients of its pass.
    fn imitate(&mut self, learning_rate: f32) {
        self.propagate();
        self.step_actor(AdamWOptions { learning_rate, ..self.settings.actor });
    }

    /// Teaches every critic `q(s, a) = -|a - a0|_1` on random states and actions: the `steps` of all nominal steps.
    pub(crate) fn learn_nominal_critics(
        &mut self,
        steps: std::ops::Range<usize>,
        nominal: &[f32],
        options: &AgentOptions,
        threads: &Threads,
    ) {
        let all = options.nominal_critic_steps;
        for step in steps.clone() {
            self.nominal_stream.uniforms(self.batch.states_mut());
            self.nominal_stream.uniforms(&mut self.batch.actions);
            for (target, action) in self.targets.iter_mut().zip(self.batch.actions.chunks_exact(nominal.len())) {
                *target = -action.iter().zip(nominal).map(|(a, b)| (a - b).abs()).sum::<f32>();
            }
            let (critic, batch, targets) = (self.critic, &self.batch, &self.targets);
            let learning_rate = falling(options.nominal_lr, step, all);
            let optimiser = AdamWOptions { learning_rate, ..self.settings.critic };
            threads.each_with(&mut self.workers, &mut self.members, |(), member| {
                member.approach(&critic, batch, targets, optimiser);
            });
        }
        if steps.end == all {
            self.members.iter_mut().for_each(|member| member.trained.settle());
        }
    }

    /// The critics; what centring takes off their values is common to all.
    pub(crate) fn critics(&self) -> Critics<'_> {
        let parameters = self.members.iter().map(|member| member.trained.parameters.as_slice()).collect();
        Critics { net: self.critic, parameters, common_value: self.centre().value() }
    }

    /// Lengths of the gradients in the latest update: the critics', mean over the ensemble, and the actor's.
    pub(crate) fn gradient_norms(&self) -> (f32, f32) {
        let critics: f32 = self.members.iter().map(|member| norm(&member.gradient)).sum();
        (critics / self.members.len() as f32, norm(&self.gradient))
    }

    /// The critics' parameters are finite, all of them.
    pub(crate) fn critics_are_finite(&self) -> bool {
        self.members.iter().all(|member| member.trained.is_finite())
            && self.holding.as_ref().is_none_or(Holding::is_finite)
    }

    pub(crate) fn state(&self) -> PathwiseState {
        PathwiseState {
            critics: self.members.iter().map(|member| member.trained.clone()).collect(),
            holding: self.holding.as_ref().map(Holding::state),
            behaviour: self.behaviour.as_ref().map(|behaviour| behaviour.parameters().to_vec()),
            actor: self.actor.clone(),
            mean_reward: self.mean_reward,
            updates: self.updates,
            batch_stream: self.batch_stream.clone(),
            noise_stream: self.noise_stream.clone(),
            nominal_stream: self.nominal_stream.clone(),
        }
    }

    /// Takes over a stored state; false, and nothing changed, when it is of another shape.
    pub(crate) fn restore(&mut self, state: PathwiseState) -> bool {
        let fits = state.critics.len() == self.members.len()
            && state.critics.iter().all(|critic| critic.fits(self.critic.len()))
            && match (&self.holding, &state.holding) {
                (Some(holding), Some(state)) => holding.fits(state, &self.critic),
                // What was not learnt before begins anew, and what is not wanted any more is left.
                _ => true,
            }
            && state.actor.fits(self.net.len())
            && state.behaviour.as_ref().is_none_or(|behaviour| behaviour.len() == self.net.len())
            && state.mean_reward.is_finite();
        if !fits {
            return false;
        }
        for (member, trained) in self.members.iter_mut().zip(state.critics) {
            member.trained = trained;
        }
        if let (Some(holding), Some(state)) = (&mut self.holding, state.holding) {
            holding.restore(state);
        }
        let (rows, d) = (self.batch.rows(), self.shape.action);
        self.behaviour = state.behaviour.map(|behaviour| Behaviour::new(behaviour, rows, d));
        self.actor = state.actor;
        self.mean_reward = state.mean_reward;
        self.updates = state.updates;
        self.batch_stream = state.batch_stream;
        self.noise_stream = state.noise_stream;
        self.nominal_stream = state.nominal_stream;
        true
    }
}

/// `clip(mu + sigma e)` and `clip(mu - sigma e)` for each state of `d` components.
fn draw_pairs(d: usize, pass: &ActorPass<f32>, noise: &[f32], (lo, hi): (&[f32], &[f32]), actions: &mut [f32]) {
    for (row, pair) in actions.chunks_exact_mut(PAIR * d).enumerate() {
        let (one, other) = pair.split_at_mut(d);
        for i in 0..d {
            let at = row * d + i;
            let deviation = pass.sigma[at] * noise[at];
            one[i] = (pass.mu[at] + deviation).max(lo[at]).min(hi[at]);
            other[i] = (pass.mu[at] - deviation).max(lo[at]).min(hi[at]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examiner::Examiner;
    use crate::options::GammaSchedule;
    use crate::replay::testing::{narrow, noise};

    const SHAPE: AgentShape = AgentShape { state: 2, action: 1 };

    fn options() -> AgentOptions {
        AgentOptions { batch_size: 32, gamma: 0.5, seed: 3, ..AgentOptions::pathwise() }
    }

    fn pathwise(options: &AgentOptions) -> Pathwise {
        Pathwise::new(SHAPE, options, &Threads::new(1).unwrap())
    }

    /// The mean action after some updates, from the nominal action `from`.
    fn learnt(options: &AgentOptions, from: f32, reward: impl Fn(f32) -> f32) -> (f32, f32) {
        let threads = Threads::new(1).unwrap();
        let (mut pathwise, replay) = (pathwise(options), noise(SHAPE, options, reward));
        pathwise.learn_nominal_actor(&[from], options);
        for _ in 0..400 {
            pathwise.update(&replay, true, 1.0, &threads);
        }
        acts(&pathwise, [0.5, 0.5])
    }

    /// Mean and deviation of what is done at a state.
    fn acts(pathwise: &Pathwise, state: [f32; 2]) -> (f32, f32) {
        let mut pass = ActorPass::new(1, 1);
        pathwise.net.forward(pathwise.actor(), &state, 1, &mut pass);
        (pass.mu[0], pass.sigma[0])
    }

    #[test]
    fn the_actor_climbs_to_the_best_action_and_explores_less_there() {
        let options = AgentOptions { curiosity_first: 0.0, ..options() };
        let (mu, sigma) = learnt(&options, 0.8, |a| -(a - 0.3).abs());
        assert!((mu - 0.3).abs() < 0.08 && sigma < 0.05, "{mu} {sigma}");
    }

    #[test]
    fn the_nominal_start_holds_the_nominal_setpoint_and_prefers_it() {
        let (options, threads) = (AgentOptions { nominal_critic_steps: 300, ..options() }, Threads::new(1).unwrap());
        let mut pathwise = pathwise(&options);
        pathwise.learn_nominal_actor(&[0.6], &options);
        pathwise.learn_nominal_critics(0..300, &[0.6], &options, &threads);
        let (mu, sigma) = acts(&pathwise, [0.3, 0.9]);
        assert!((mu - 0.6).abs() < 0.08 && sigma > 0.05, "{mu} {sigma}");
        let judged = Examiner::new(SHAPE).judge(&pathwise.critics(), &[0.2, 0.8].repeat(3), &[0.6, 0.3, 0.0]);
        for (judged, expected) in judged.iter().zip([0.0, -0.3, -0.6]) {
            assert!((judged.value - expected).abs() < 0.12, "{judged:?}");
        }
    }

    #[test]
    fn targets_are_those_of_the_formula() {
        let options = AgentOptions { batch_size: 1, ensemble: 2, pessimism: 0.5, ..options() };
        let mut pathwise = pathwise(&options);
        pathwise.members[0].next_q = vec![1.0, 3.0];
        pathwise.members[1].next_q = vec![2.0, 3.0];
        (pathwise.batch.rewards[0], pathwise.batch.discounts[0]) = (-1.0, 0.25);
        pathwise.set_targets(Centre { mean_reward: -0.4, gamma: 0.5 });
        let expected = -1.0 + 0.4 * 0.75 / 0.5 + 0.25 * (1.5 - 0.5 * 0.5 + 3.0) / 2.0;
        assert!((pathwise.targets[0] - expected).abs() < 1e-6, "{:?}", pathwise.targets);
    }

    #[test]
    fn critics_look_ahead_as_far_as_the_discount_of_the_day() {
        for (updates, expected) in [(u64::MAX, -1.0), (1, -2.0)] {
            let gamma_schedule = Some(GammaSchedule { from: 0.0, updates });
            let (options, threads) = (AgentOptions { gamma_schedule, ..options() }, Threads::new(1).unwrap());
            let (mut pathwise, replay) = (pathwise(&options), noise(SHAPE, &options, |_| -1.0));
            (0..600).for_each(|_| _ = pathwise.update(&replay, true, 1.0, &threads));
            let judged = Examiner::new(SHAPE).judge(&pathwise.critics(), &[0.5, 0.5], &[0.5])[0];
            assert!((judged.value - expected).abs() < 0.1, "{judged:?}, not {expected}");
        }
    }

    #[test]
    fn what_a_history_shows_is_worth_less_where_the_critics_disagree_about_it() {
        let options = AgentOptions { batch_size: 1, pessimism: 0.5, historical_pessimism: 2.0, ..options() };
        let mut pathwise = pathwise(&options);
        pathwise.members[0].next_q = vec![1.0, 1.0];
        pathwise.members[1].next_q = vec![2.0, 2.0];
        pathwise.batch.discounts[0] = 0.25;
        pathwise.batch.historical_from = 0;
        pathwise.set_targets(Centre { mean_reward: 0.0, gamma: 0.5 });
        assert!((pathwise.targets[0] - 0.25 * (1.5 - 2.0 * 0.5)).abs() < 1e-6, "{:?}", pathwise.targets);
    }

    #[test]
    fn an_actor_that_learns_from_a_history_stays_near_what_it_shows() {
        let held = |cloning, range| {
            let options = AgentOptions { cloning, ..options() };
            let (threads, mut pathwise) = (Threads::new(1).unwrap(), pathwise(&options));
            let replay = narrow(SHAPE, &options, range);
            pathwise.learn_behaviour(&replay, &options);
            for _ in 0..400 {
                pathwise.update(&replay, true, 1.0, &threads);
            }
            acts(&pathwise, [0.5, 0.5]).0
        };
        let free = held(0.0, 0.2..0.4);
        assert!(free > 0.6, "the more, the better, as far as was seen: {free}");
        for half in [0.02, 0.1] {
            let (range, usual) = (0.3 - half..0.3 + half, AgentOptions::pathwise().cloning);
            let left = held(usual, range.clone()) - 0.3;
            assert!(left > 0.2 * half && left < 1.5 * half, "{left} with {range:?}");
        }
    }

    #[test]
    fn only_what_a_history_shows_is_held_to_it_as_closely_as_it_was_done_there() {
        let mut pathwise = pathwise(&AgentOptions { batch_size: 2, ..options() });
        let parameters = pathwise.actor().to_vec();
        let deviation = acts(&pathwise, [0.9, 0.1]).1;
        assert!((deviation - acts(&pathwise, [0.1, 0.9]).1).abs() > 1e-4, "it is another one elsewhere: {deviation}");
        pathwise.behaviour = Some(Behaviour::new(parameters, 2, 1));
        pathwise.batch.historical_from = 1;
        pathwise.batch.states_mut().copy_from_slice(&[0.1, 0.9, 0.9, 0.1]);
        pathwise.batch.actions.copy_from_slice(&[0.2, 0.2]);
        pathwise.pass.mu.copy_from_slice(&[0.5, 0.5]);
        pathwise.pass.d_mu.fill(0.0);
        pathwise.hold_to_history(3.0);
        let expected = AgentOptions::pathwise().cloning as f32 * 3.0 / 2.0 * 0.3 / deviation;
        let found = &pathwise.pass.d_mu;
        assert!(found[0] == 0.0 && (found[1] / expected - 1.0).abs() < 1e-5, "{found:?}, not {expected}");
    }

    #[test]
    fn where_slopes_see_nothing_the_actor_is_drawn_to_what_is_best_to_hold() {
        let learnt = |holding| {
            let options = AgentOptions { holding, curiosity: 0.0, curiosity_first: 0.0, ..options() };
            let (threads, mut pathwise) = (Threads::new(1).unwrap(), pathwise(&options));
            let two_hills = |a: f32| (0.5 - 2.0 * (a - 0.1).abs()).max(1.0 - 4.0 * (a - 0.8).abs());
            let replay = noise(SHAPE, &options, two_hills);
            pathwise.learn_nominal_actor(&[0.1], &options);
            // The critics know both hills before the actor takes its first step.
            for update in 0..1_600 {
                pathwise.update(&replay, update >= 1_000, 1.0, &threads);
            }
            acts(&pathwise, [0.5, 0.5]).0
        };
        let (without, with) = (learnt(0.0), learnt(4.0));
        assert!((without - 0.1).abs() < 0.1, "{without}");
        assert!((with - 0.8).abs() < 0.1, "{with}");
    }

    #[test]
    fn what_a_history_shows_is_not_drawn_to_what_nobody_can_hold() {
        let pulled = |historical_from| {
            let options = AgentOptions { batch_size: 1, holding: 4.0, ..options() };
            let (threads, mut pathwise) = (Threads::new(1).unwrap(), pathwise(&options));
            pathwise.update(&noise(SHAPE, &options, |a| a), true, 1.0, &threads);
            pathwise.batch.historical_from = historical_from;
            for member in &mut pathwise.members {
                member.values.fill(-1e6);
                member.slopes.fill(-0.5);
            }
            pathwise.pass.d_mu.fill(0.0);
            pathwise.draw_to_holding();
            let best = pathwise.holding.as_ref().unwrap().best(0).1[0];
            (pathwise.pass.d_mu[0], 4.0 * 0.5 * (pathwise.pass.mu[0] - best).max(-1.0))
        };
        let ((online, expected), (historical, _)) = (pulled(1), pulled(0));
        assert!(expected != 0.0 && (online - expected).abs() < 1e-6, "{online}, not {expected}");
        assert_eq!(historical, 0.0);
    }

    #[test]
    fn a_critic_that_is_lost_is_noticed_that_of_holding_as_well() {
        let options = AgentOptions { holding: 1.0, ..options() };
        let reward_of_one = |reward: f32| {
            let (threads, mut pathwise) = (Threads::new(1).unwrap(), pathwise(&options));
            pathwise.update(&noise(SHAPE, &options, |a| a), true, 1.0, &threads);
            let (holding, batch) = (pathwise.holding.as_mut().unwrap(), &mut pathwise.batch);
            batch.rewards[0] = reward;
            let centre = Centre { mean_reward: 0.0, gamma: 0.5 };
            holding.learn(&pathwise.critic, batch, centre, &pathwise.settings, &threads);
            pathwise.critics_are_finite()
        };
        assert!(reward_of_one(0.0) && !reward_of_one(f32::NAN));
    }

    #[test]
    fn slopes_end_at_bounds_and_turn_back_beyond() {
        let options = AgentOptions { batch_size: 1, ..options() };
        let mut pathwise = pathwise(&options);
        (pathwise.batch.lo[0], pathwise.batch.hi[0]) = (0.2, 0.7);
        let braked = |pathwise: &mut Pathwise, mu, up| {
            pathwise.pass.mu[0] = mu;
            pathwise.brake(0, up)
        };
        assert_eq!(braked(&mut pathwise, 0.4, 2.0), 2.0);
        assert!((braked(&mut pathwise, 0.675, 2.0) - 1.0).abs() < 1e-5);
        assert!(braked(&mut pathwise, 0.8, 2.0) == -2.0 && braked(&mut pathwise, 0.8, -2.0) == -2.0);
        assert!(braked(&mut pathwise, 0.1, -2.0) == 2.0);
    }
}

//! The agent: memory, critics, actor and schedule in one place.

use policy::kernels::ParameterCount;
use rayon::ThreadPoolBuildError;

use crate::examiner::Examiner;
use crate::imputer::Imputer;
use crate::learning::Learning;
use crate::nets::{ActorPass, falling};
use crate::options::{AgentOptions, AgentShape, OptionsError};
use crate::random::Stream;
use crate::replay::{Origin, Replay};
use crate::schedule::Schedule;
use crate::threads::Threads;
use crate::transitions::Step;

/// Why an agent cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// An option cannot be.
    #[error(transparent)]
    Options(#[from] OptionsError),
    /// A state or an action without columns.
    #[error("an agent needs columns: the state has {}, the action {}", .0.state, .0.action)]
    Empty(AgentShape),
    /// The nominal action has another width than the action, or is not within 0 and 1.
    #[error("the nominal action {found:?} is not {expected} numbers from 0 to 1")]
    Nominal {
        /// What was given.
        found: Vec<f32>,
        /// Components of the action.
        expected: usize,
    },
    /// The operating system gave no threads.
    #[error("no threads for the learner")]
    Threads(#[from] ThreadPoolBuildError),
}

/// What one call of [`Agent::update`] did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// Mean loss of the critics.
    pub critic_loss: f32,
    /// The actor's loss in the last of its updates, 0 when there was none; how steep the way up is for the pathwise actor,
    /// whether it moves or not.
    pub actor_loss: f32,
    /// Actor updates made.
    pub actor_updates: usize,
}

/// Counts since the agent's birth, across resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Observations taken in.
    pub observations: u64,
    /// Critic updates made. Per observation this is the ratio achieved of `critic_updates`.
    pub critic_updates: u64,
    /// Actor updates made.
    pub actor_updates: u64,
    /// Transitions in memory.
    pub transitions: u64,
    /// Steps that were rejected because something was missing or not finite.
    pub rejected: u64,
}

/// A learning agent.
///
/// The same options, steps and order of calls give the same bits, whatever the number of threads. Not for the
/// real-time thread: calls allocate and take as long as they take.
#[derive(Debug)]
pub struct Agent {
    pub(crate) shape: AgentShape,
    pub(crate) options: AgentOptions,
    pub(crate) nominal: Vec<f32>,
    pub(crate) learning: Learning,
    pub(crate) replay: Replay,
    pub(crate) schedule: Schedule,
    pub(crate) exploration: Stream,
    pub(crate) imputer: Option<Imputer>,
    pub(crate) threads: Threads,
    pub(crate) examiner: Examiner,
    /// In this process; nothing that is learnt depends on it.
    pub(crate) last_update: Option<Update>,
    act_pass: ActorPass<f32>,
}

impl Agent {
    /// An agent that knows nothing; [`Self::learn_nominal`] comes next. `nominal` is the normalised nominal action;
    /// `threads` 0 or 1 means the calling thread alone.
    ///
    /// # Errors
    /// [`AgentError`], when an option, a width or the nominal action cannot be, or threads cannot be had.
    pub fn new(shape: AgentShape, options: AgentOptions, nominal: &[f32], threads: usize) -> Result<Self, AgentError> {
        options.check()?;
        options.imputer.map_or(Ok(()), |imputer| crate::imputer::check(&imputer, shape.state))?;
        if shape.state == 0 || shape.action == 0 {
            return Err(AgentError::Empty(shape));
        }
        let fits = nominal.iter().all(|a| (0.0..=1.0).contains(a));
        if nominal.len() != shape.action || !fits {
            return Err(AgentError::Nominal { found: nominal.to_vec(), expected: shape.action });
        }
        let threads = Threads::new(threads)?;
        Ok(Self {
            shape,
            nominal: nominal.to_vec(),
            learning: Learning::new(shape, &options, &threads),
            replay: Replay::new(shape, &options),
            schedule: Schedule::new(&options),
            exploration: Stream::new(options.seed, "exploration", 0),
            imputer: options.imputer.map(|shape| Imputer::new(shape, options.seed)),
            threads,
            examiner: Examiner::new(shape),
            last_update: None,
            act_pass: ActorPass::new(1, shape.action),
            options,
        })
    }

    /// Teaches actor and critics to hold the nominal setpoint: what an agent does before it knows the plant. This takes
    /// seconds; `go_on` is asked every few steps, and when it says no, the agent is good for nothing.
    pub fn learn_nominal(&mut self, mut go_on: impl FnMut() -> bool) {
        /// Steps between two questions.
        const STRIDE: usize = 20;
        self.learning.learn_nominal_actor(&self.nominal, &self.options, &self.threads);
        let all = self.options.nominal_critic_steps;
        for from in (0..all).step_by(STRIDE) {
            if !go_on() {
                return;
            }
            let steps = from..(from + STRIDE).min(all);
            self.learning.learn_nominal_critics(steps, &self.nominal, &self.options, &self.threads);
        }
    }

    /// Teaches the actor what was done in the history that it remembers, so that it begins there and not at the nominal
    /// setpoint. Without a history nothing happens.
    pub fn learn_behaviour(&mut self) {
        if self.replay.len() > 0 {
            self.learning.learn_behaviour(&self.replay, &self.options, &self.threads);
        }
    }

    /// Takes in a step of the running plant.
    ///
    /// # Panics
    /// If a slice of the step has another width than the agent's shape.
    pub fn observe(&mut self, step: &Step<'_>) {
        self.assert_shape(step);
        self.replay.push(step, Origin::Online);
        self.imputer.iter_mut().for_each(|imputer| imputer.observe(step));
        self.schedule.observed();
    }

    /// Takes in a step of a recording. It gives rise to no updates of its own.
    ///
    /// # Panics
    /// If a slice of the step has another width than the agent's shape.
    pub fn observe_historical(&mut self, step: &Step<'_>) {
        self.assert_shape(step);
        self.replay.push(step, Origin::Historical);
        self.imputer.iter_mut().for_each(|imputer| imputer.observe(step));
    }

    fn assert_shape(&self, step: &Step<'_>) {
        assert_eq!(step.state.len(), self.shape.state, "columns of the state");
        for numbers in [step.action, step.lo, step.hi] {
            assert_eq!(numbers.len(), self.shape.action, "columns of the action");
        }
    }

    /// One update on the history that it remembers, which no observation gives rise to: the one after `made` of `updates`.
    /// None before it remembers enough. For the pathwise actor learning rates fall linearly, to 0 after the last one. The end of
    /// such a training is known, and the policy is what it is then: without that it is wherever the last few batches have
    /// moved it. A percentile actor's critics begin anew in turns, to the end, and need their rates.
    pub fn study(&mut self, made: u64, updates: u64) -> Option<Update> {
        self.schedule.owe();
        self.update_at(falling(1.0, made.min(updates) as usize, updates.max(1) as usize))
    }

    /// Whether [`Self::update`] has something to do.
    #[must_use]
    pub fn is_update_due(&self) -> bool {
        let enough = self.options.warmup_transitions.clamp(1, self.replay.capacity());
        self.replay.len() >= enough && self.schedule.is_due()
    }

    /// One update of the critics and those of the actor that follow it, if one is due. The imputer, if there is one, learns
    /// what it owes in any case: it needs no decisions.
    pub fn update(&mut self) -> Option<Update> {
        self.update_at(1.0)
    }

    /// The same, at this part of the learning rates.
    fn update_at(&mut self, rate: f32) -> Option<Update> {
        self.imputer.iter_mut().for_each(Imputer::update);
        if !self.is_update_due() {
            return None;
        }
        let Self { replay, schedule, options, threads, .. } = self;
        self.last_update = Some(self.learning.update(replay, schedule, options, rate, threads));
        self.last_update
    }

    /// The action at a state: the mean, or a sample when exploring, within the bounds.
    pub fn act(&mut self, state: &[f32], lo: &[f32], hi: &[f32], explore: bool, action: &mut [f32]) {
        let (net, parameters) = (self.learning.net(), self.learning.actor());
        net.forward(parameters, state, 1, &mut self.act_pass);
        for (i, action) in action.iter_mut().enumerate() {
            let noise = if explore { self.act_pass.sigma[i] * self.exploration.normal() } else { 0.0 };
            *action = (self.act_pass.mu[i] + noise).max(lo[i]).min(hi[i]);
        }
    }

    /// The actor's parameters by columns, as [`policy::wire::from_columns`] takes them with two heads of `action` outputs:
    /// torso 1, torso 2, mu, sigma; of each the weights `[inputs][outputs]` and then the biases.
    #[must_use]
    pub fn actor_parameters(&self) -> &[f32] {
        self.learning.actor()
    }

    /// The policy's parameters in the order in which they are published: the actor's, and the imputer's if there is one.
    ///
    /// # Errors
    /// A network of the policy has another size than this agent's: a fault of the program.
    pub fn published_parameters(&self) -> Result<Vec<f32>, ParameterCount> {
        let spec = policy::actor_spec(self.shape.state, self.shape.action);
        let heads = [self.shape.action; 2];
        let mut parameters = policy::wire::from_columns(&spec, &heads, self.actor_parameters())?;
        if let Some(imputer) = &self.imputer {
            parameters.extend(imputer.published()?);
        }
        Ok(parameters)
    }

    /// The widths of state and action.
    #[must_use]
    pub fn shape(&self) -> AgentShape {
        self.shape
    }

    /// The options it was built with.
    #[must_use]
    pub fn options(&self) -> &AgentOptions {
        &self.options
    }

    /// Transitions that the memory can keep, online and historical each.
    #[must_use]
    pub fn replay_capacity(&self) -> usize {
        self.replay.capacity()
    }

    /// What it has done so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            observations: self.schedule.observations,
            critic_updates: self.schedule.critic_updates,
            actor_updates: self.schedule.actor_updates,
            transitions: self.replay.len() as u64,
            rejected: self.replay.rejected(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Aggregation, GammaSchedule, Improver};
    use policy::kernels::{Kernel, PackedNet};

    const SHAPE: AgentShape = AgentShape { state: 3, action: 2 };

    fn options(seed: u64) -> AgentOptions {
        AgentOptions {
            seed,
            batch_size: 16,
            candidates: 12,
            next_actions: 2,
            ensemble: 3,
            nominal_critic_steps: 5,
            nominal_actor_steps: 5,
            ..AgentOptions::default()
        }
    }

    fn learn(seed: u64, threads: usize) -> Vec<u32> {
        learn_by(options(seed), threads)
    }

    fn learn_by(options: AgentOptions, threads: usize) -> Vec<u32> {
        let mut agent = Agent::new(SHAPE, options, &[0.5, 0.5], threads).unwrap();
        agent.learn_nominal(|| true);
        live(&mut agent);
        agent.actor_parameters().iter().map(|p| p.to_bits()).collect()
    }

    /// Ten steps, and what they are worth.
    fn live(agent: &mut Agent) {
        let mut action = [0.0; 2];
        for sequence in 0..10 {
            let level = (sequence as f32 * 0.7).sin().abs();
            let step = Step {
                sequence,
                complete: true,
                all_read: true,
                reward: Some(-level),
                decision: true,
                gap: false,
                terminal: false,
                state: &[level, action[0], action[1]],
                action: &action.clone(),
                lo: &[0.0, 0.2],
                hi: &[1.0, 0.8],
            };
            agent.observe(&step);
            while agent.update().is_some() {}
            agent.act(step.state, step.lo, step.hi, true, &mut action);
        }
        assert_eq!(agent.counts().critic_updates, 100);
    }

    #[test]
    fn the_same_seed_gives_the_same_bits_whatever_the_number_of_threads() {
        let one = learn(1, 1);
        assert_eq!(one, learn(1, 1));
        assert_eq!(one, learn(1, 2));
        assert_eq!(one, learn(1, 3));
        assert_ne!(one, learn(2, 1));
    }

    #[test]
    fn so_it_is_with_the_pathwise_actor() {
        let options = |seed| AgentOptions { improver: Improver::Pathwise, ..options(seed) };
        let one = learn_by(options(1), 1);
        assert_eq!(one, learn_by(options(1), 1));
        assert_eq!(one, learn_by(options(1), 2));
        assert_eq!(one, learn_by(options(1), 3));
        assert_ne!(one, learn_by(options(2), 1));
        assert_ne!(one, learn(1, 1));
    }

    #[test]
    fn so_it_is_with_every_option_and_each_of_them_counts() {
        for improver in [Improver::Percentile, Improver::Pathwise] {
            let plain = AgentOptions { improver, ..options(1) };
            let mut one_each = vec![
                AgentOptions { gamma_schedule: Some(GammaSchedule { from: 0.2, updates: 50 }), ..plain.clone() },
                AgentOptions { recency: Some(3.0), ..plain.clone() },
                AgentOptions { critic_warmup_updates: 40, ..plain.clone() },
            ];
            if improver == Improver::Percentile {
                one_each.push(AgentOptions { aggregation: Aggregation::Ucb(2.0), ..plain.clone() });
                one_each.push(AgentOptions { aggregation: Aggregation::Percentile(0.0), ..plain.clone() });
            } else {
                one_each.push(AgentOptions { holding: 4.0, ..plain.clone() });
            }
            let mut seen = vec![learn_by(plain, 1)];
            for options in one_each {
                let one = learn_by(options.clone(), 1);
                assert_eq!(one, learn_by(options.clone(), 3));
                assert!(!seen.contains(&one), "{options:?}");
                seen.push(one);
            }
        }
    }

    /// A step of an endless level, the `sequence`-th one.
    fn level(agent: &mut Agent, sequence: u64, observe: fn(&mut Agent, &Step<'_>)) {
        let level = (sequence as f32 * 0.7).sin().abs();
        let step = Step {
            sequence,
            complete: true,
            all_read: true,
            reward: Some(-level),
            decision: true,
            gap: false,
            terminal: false,
            state: &[level, 0.5, 0.5],
            action: &[0.5, 0.5],
            lo: &[0.0, 0.2],
            hi: &[1.0, 0.8],
        };
        observe(agent, &step);
    }

    #[test]
    fn the_actor_holds_the_nominal_setpoint_until_the_critics_are_warm() {
        for improver in [Improver::Percentile, Improver::Pathwise] {
            let options = AgentOptions { improver, critic_warmup_updates: 25, actor_updates: 1, ..options(1) };
            let mut agent = Agent::new(SHAPE, options, &[0.5, 0.5], 1).unwrap();
            agent.learn_nominal(|| true);
            let nominal = agent.actor_parameters().to_vec();
            (0..10).for_each(|sequence| level(&mut agent, sequence, Agent::observe));
            for updates in 1..=30_u64 {
                let critic = agent.learning.critics().parameters[0].to_vec();
                agent.update().unwrap();
                assert_ne!(agent.learning.critics().parameters[0], critic);
                let counts = agent.counts();
                assert_eq!((counts.critic_updates, counts.actor_updates), (updates, updates.saturating_sub(25)));
                assert_eq!(agent.actor_parameters() == nominal, updates <= 25, "{updates}");
                assert!(agent.health().is_some_and(|health| health.actor_loss.is_finite()));
            }
        }
    }

    #[test]
    fn learning_begins_with_a_full_memory_at_the_latest() {
        let options = AgentOptions { warmup_transitions: 1_000, replay_capacity: 8, ..options(1) };
        let mut agent = Agent::new(SHAPE, options, &[0.5, 0.5], 1).unwrap();
        let due: Vec<bool> = (0..12)
            .map(|sequence| {
                level(&mut agent, sequence, Agent::observe);
                agent.is_update_due()
            })
            .collect();
        assert_eq!(due.iter().position(|due| *due), Some(8));
    }

    #[test]
    fn an_imputer_of_more_than_the_state_is_refused() {
        let fine = policy::pipeline::ImputerShape { tags: 3, traces: 1, last: 0, missing_max: 1, horizon: 5 };
        let built = |imputer| {
            let options = AgentOptions { imputer: Some(imputer), ..options(1) };
            Agent::new(SHAPE, options, &[0.5, 0.5], 1).map(|_| ()).map_err(|error| error.to_string())
        };
        assert_eq!(built(fine), Ok(()));
        for (field, wrong) in [
            ("imputer.tags", policy::pipeline::ImputerShape { tags: 4, ..fine }),
            ("imputer.last", policy::pipeline::ImputerShape { last: 1, ..fine }),
            ("imputer.missing_max", policy::pipeline::ImputerShape { missing_max: 0, ..fine }),
            ("imputer.horizon", policy::pipeline::ImputerShape { horizon: 0, ..fine }),
        ] {
            assert!(built(wrong).unwrap_err().starts_with(field), "{wrong:?}");
        }
    }

    #[test]
    fn an_imputer_learns_the_same_whatever_the_number_of_threads_and_takes_no_numbers_from_the_others() {
        let imputer = Some(policy::pipeline::ImputerShape { tags: 3, traces: 1, last: 0, missing_max: 1, horizon: 5 });
        let imputing = |threads| {
            let mut agent = Agent::new(SHAPE, AgentOptions { imputer, ..options(1) }, &[0.5, 0.5], threads).unwrap();
            agent.learn_nominal(|| true);
            live(&mut agent);
            agent
        };
        let bits = |agent: &Agent| -> Vec<u32> {
            agent.imputer.as_ref().unwrap().parameters().iter().map(|p| p.to_bits()).collect()
        };
        let (one, three) = (imputing(1), imputing(3));
        assert_eq!(bits(&one), bits(&three));
        let fresh = Agent::new(SHAPE, AgentOptions { imputer, ..options(1) }, &[0.5, 0.5], 1).unwrap();
        assert_ne!(bits(&one), bits(&fresh));
        assert_eq!(learn(1, 1), one.actor_parameters().iter().map(|p| p.to_bits()).collect::<Vec<_>>());
    }

    #[test]
    fn the_runtime_computes_the_same_action_from_the_published_parameters() {
        let mut agent = Agent::new(SHAPE, options(3), &[0.3, 0.6], 1).unwrap();
        agent.learn_nominal(|| true);
        let mut net = PackedNet::new(&policy::actor_spec(3, 2)).unwrap();
        net.pack(&agent.published_parameters().unwrap()).unwrap();
        let (mut scratch, mut out, mut action) = (net.scratch(), [0.0; 4], [0.0; 2]);
        for state in [[0.1, 0.5, 0.9], [1.0, 0.0, 0.3]] {
            net.forward(Kernel::best(), &state, &mut scratch, &mut out);
            agent.act(&state, &[-9.0; 2], &[9.0; 2], false, &mut action);
            for i in 0..2 {
                assert!((out[i] - action[i]).abs() < 1e-5, "{out:?} {action:?}");
                assert!((policy::sigma(out[2 + i]) - agent.act_pass.sigma[i]).abs() < 1e-5);
            }
        }
    }

    #[test]
    fn what_was_done_in_a_history_is_imitated_at_its_states() {
        for improver in [Improver::Percentile, Improver::Pathwise] {
            let options = AgentOptions { improver, ..options(1) };
            let mut agent = Agent::new(SHAPE, options, &[0.5, 0.5], 1).unwrap();
            agent.learn_nominal(|| true);
            let nominal = agent.actor_parameters().to_vec();
            agent.learn_behaviour();
            assert!(agent.actor_parameters() == nominal, "there is no history");
            let mut random = Stream::new(5, "test", 0);
            let (mut state, mut action) = ([0.0; 3], [0.0; 2]);
            for sequence in 0..500 {
                // What is in force at a state was chosen at the one before.
                action = [0.2 + 0.5 * state[0], 0.7 - 0.4 * state[1]];
                random.uniforms(&mut state);
                agent.observe_historical(&Step {
                    sequence,
                    complete: true,
                    all_read: true,
                    reward: Some(0.0),
                    decision: true,
                    gap: false,
                    terminal: false,
                    state: &state,
                    action: &action,
                    lo: &[0.0, 0.0],
                    hi: &[1.0, 1.0],
                });
            }
            agent.learn_behaviour();
            for _ in 0..20 {
                random.uniforms(&mut state);
                agent.act(&state, &[0.0; 2], &[1.0; 2], false, &mut action);
                for (found, shown) in action.iter().zip([0.2 + 0.5 * state[0], 0.7 - 0.4 * state[1]]) {
                    assert!((found - shown).abs() < 0.06, "{improver:?}: {found}, not {shown}");
                }
                let sigma = &agent.act_pass.sigma;
                assert!(sigma.iter().all(|sigma| *sigma < 0.05), "{improver:?}: nothing varied, {sigma:?}");
            }
        }
    }

    /// How far one update of a study of a history moves the critics and what they teach.
    fn moved(agent: &mut Agent, made: u64) -> f32 {
        let parameters = |agent: &Agent| agent.learning.critics().parameters.concat();
        let before = parameters(agent);
        agent.study(made, 200).unwrap();
        parameters(agent).iter().zip(before).map(|(after, before)| (after - before).powi(2)).sum::<f32>().sqrt()
    }

    #[test]
    fn a_study_of_a_history_comes_to_rest_and_leaves_nothing_owed() {
        for (improver, rests) in [(Improver::Pathwise, true), (Improver::Percentile, false)] {
            let mut agent = Agent::new(SHAPE, AgentOptions { improver, ..options(1) }, &[0.5, 0.5], 1).unwrap();
            assert!(agent.study(0, 200).is_none(), "it remembers nothing");
            let mut agent = Agent::new(SHAPE, AgentOptions { improver, ..options(1) }, &[0.5, 0.5], 1).unwrap();
            (0..50).for_each(|sequence| level(&mut agent, sequence, Agent::observe_historical));
            let moves: Vec<f32> = (0..200).map(|made| moved(&mut agent, made)).collect();
            assert_eq!(moves[199] < 0.02 * moves[100], rests, "{improver:?}: {moves:?}");
            assert_eq!((agent.counts().critic_updates, agent.update()), (200, None));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let narrow = AgentShape { state: 0, ..SHAPE };
        assert!(matches!(Agent::new(narrow, options(1), &[0.5, 0.5], 1), Err(AgentError::Empty(_))));
        assert!(matches!(Agent::new(SHAPE, options(1), &[0.5, 1.5], 1), Err(AgentError::Nominal { .. })));
        let bad = AgentOptions { batch_size: 0, ..options(1) };
        assert!(matches!(Agent::new(SHAPE, bad, &[0.5, 0.5], 1), Err(AgentError::Options(_))));
    }
}

//! An agent and a plant in one process, in simulated time: how well does it learn?
//!
//! One decision per step, exploration included. The state is made as the runtime makes it: every tag normalised and
//! traced with the decays 0, 0.75, 0.9 and 0.95, then the bounds of the actions.

use plants::{Plant, Signal};

use crate::agent::{Agent, AgentError};
use crate::options::{AgentOptions, AgentShape};
use crate::transitions::Step;

/// The decays of the traces of every tag.
const DECAYS: [f32; 4] = [0.0, 0.75, 0.9, 0.95];

/// What is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct Experiment {
    /// Steps of the plant, one decision each.
    pub steps: u64,
    /// The permitted change of every action per step, normalised; 1 for any.
    pub delta: f32,
    /// Updates at most per step: stands for the learner's share of the CPU.
    pub updates_per_step_max: f64,
    /// The agent's options.
    pub options: AgentOptions,
}

/// Runs an agent on a plant and returns the reward of every step.
///
/// # Errors
/// [`AgentError`], when the options cannot be.
pub fn run(plant: &mut dyn Plant, experiment: &Experiment) -> Result<Vec<f64>, AgentError> {
    let mut run = Run::new(plant, experiment)?;
    Ok((0..experiment.steps).map(|_| run.step()).collect())
}

/// An experiment under way.
#[derive(Debug)]
pub struct Run<'a> {
    plant: &'a mut dyn Plant,
    agent: Agent,
    observer: Observer,
    delta: f32,
    updates_per_step: f64,
    budget: f64,
    sequence: u64,
    reward: Option<f32>,
    readings: Vec<f64>,
    written: Vec<f64>,
    action: Vec<f32>,
}

impl<'a> Run<'a> {
    /// A plant as it is, and an agent that holds its nominal setpoint.
    ///
    /// # Errors
    /// [`AgentError`], when the options cannot be.
    pub fn new(plant: &'a mut dyn Plant, experiment: &Experiment) -> Result<Self, AgentError> {
        let (inputs, outputs) = (plant.inputs(), plant.outputs());
        let shape = AgentShape {
            state: DECAYS.len() * (inputs.len() + outputs.len()) + 2 * inputs.len(),
            action: inputs.len(),
        };
        let nominal: Vec<f32> = inputs.iter().map(|s| normalise(s, s.nominal)).collect();
        let mut agent = Agent::new(shape, experiment.options.clone(), &nominal, 1)?;
        agent.learn_nominal(|| true);
        let mut readings = vec![0.0; outputs.len()];
        plant.observe(&mut readings);
        Ok(Self {
            plant,
            agent,
            observer: Observer::new(outputs.iter().chain(inputs).copied().collect()),
            delta: experiment.delta,
            updates_per_step: experiment.updates_per_step_max,
            budget: 0.0,
            sequence: 0,
            reward: None,
            readings,
            written: inputs.iter().map(|s| s.nominal).collect(),
            action: nominal,
        })
    }

    /// Observes, learns, decides and lets the plant step; its reward.
    pub fn step(&mut self) -> f64 {
        let lo: Vec<f32> = self.action.iter().map(|a| (a - self.delta).max(0.0)).collect();
        let hi: Vec<f32> = self.action.iter().map(|a| (a + self.delta).min(1.0)).collect();
        let values = self.readings.iter().chain(&self.written);
        let state = self.observer.observe(values, &lo, &hi);
        self.agent.observe(&Step {
            sequence: self.sequence,
            complete: state.iter().all(|x| x.is_finite()),
            reward: self.reward,
            decision: true,
            gap: false,
            state,
            action: &self.action,
            lo: &lo,
            hi: &hi,
        });
        self.budget += self.updates_per_step;
        while self.budget >= 1.0 {
            self.budget -= 1.0;
            self.agent.update();
        }
        self.agent.act(state, &lo, &hi, true, &mut self.action);
        for ((written, signal), action) in self.written.iter_mut().zip(self.plant.inputs()).zip(&self.action) {
            *written = signal.lo + (signal.hi - signal.lo) * f64::from(*action);
        }
        self.plant.step(&self.written, &mut self.readings);
        self.sequence += 1;
        self.reward = Some(self.plant.reward() as f32);
        self.plant.reward()
    }

    /// The agent, to look at.
    pub fn agent(&mut self) -> &mut Agent {
        &mut self.agent
    }
}

fn normalise(signal: &Signal, value: f64) -> f32 {
    ((value - signal.lo) / (signal.hi - signal.lo)) as f32
}

/// Traces of tags, and the state that they make.
#[derive(Debug)]
struct Observer {
    tags: Vec<Signal>,
    begun: bool,
    state: Vec<f32>,
}

impl Observer {
    fn new(tags: Vec<Signal>) -> Self {
        Self { state: vec![0.0; tags.len() * DECAYS.len()], begun: false, tags }
    }

    /// Takes in a value for every tag; one that is missing holds its traces.
    fn observe<'a>(&mut self, values: impl Iterator<Item = &'a f64>, lo: &[f32], hi: &[f32]) -> &[f32] {
        let traced = self.tags.len() * DECAYS.len();
        let traces = self.state[..traced].chunks_exact_mut(DECAYS.len());
        for ((traces, tag), &value) in traces.zip(&self.tags).zip(values) {
            if value.is_nan() {
                continue;
            }
            let value = normalise(tag, value);
            for (trace, decay) in traces.iter_mut().zip(DECAYS) {
                *trace = if self.begun { decay * *trace + (1.0 - decay) * value } else { value };
            }
        }
        self.begun = true;
        self.state.truncate(traced);
        self.state.extend(lo.iter().chain(hi));
        &self.state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean(rewards: &[f64]) -> f64 {
        rewards.iter().sum::<f64>() / rewards.len() as f64
    }

    #[test]
    fn saturation_is_learnt_with_few_updates() {
        let experiment = Experiment {
            steps: 500,
            delta: 0.2,
            updates_per_step_max: 2.0,
            options: AgentOptions {
                batch_size: 24,
                candidates: 24,
                next_actions: 2,
                actor_updates: 1,
                critic_lr: 1e-3,
                actor_lr: 1e-3,
                gamma: 0.9,
                nominal_critic_steps: 200,
                ..AgentOptions::default()
            },
        };
        let mut plant = plants::by_name("saturation", 1).unwrap();
        let rewards = run(plant.as_mut(), &experiment).unwrap();
        let (first, last) = (mean(&rewards[..70]), mean(&rewards[430..]));
        assert!(last > -0.15 && last > first + 0.1, "{first} to {last}");
    }
}

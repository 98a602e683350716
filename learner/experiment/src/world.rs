//! What a trial acts on: a plant in this process, or an environment that another one has.

use bridge::{Broken, Outcome, Remote, Variable};
use plants::Plant;

use crate::environment::Environment;

/// An environment that runs.
#[derive(Debug)]
pub struct World {
    inputs: Vec<Variable>,
    outputs: Vec<Variable>,
    reward_scale: f64,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Here { environment: plants::Environment, plant: Box<dyn Plant> },
    There(Remote),
}

/// Why there is no world.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoWorld {
    /// The environment's options cannot be.
    #[error(transparent)]
    Impossible(#[from] plants::ImpossibleOptions),
    /// Another process has no environment for us.
    #[error(transparent)]
    Broken(#[from] Broken),
}

impl World {
    /// The environment, before its first episode.
    pub(crate) fn open(environment: &Environment) -> Result<Self, NoWorld> {
        match environment {
            Environment::Plant(environment) => {
                let plant = environment.build(0)?;
                let all = |signals: &[plants::Signal]| signals.iter().map(Variable::from).collect();
                let (inputs, outputs) = (all(plant.inputs()), all(plant.outputs()));
                let place = Place::Here { environment: environment.clone(), plant };
                Ok(Self { inputs, outputs, reward_scale: 1.0, place })
            }
            Environment::Remote(options) => {
                let remote = match &options.socket {
                    Some(socket) => Remote::connect(socket)?,
                    None => Remote::start(&options.command)?,
                };
                let (inputs, outputs) = (remote.actions().to_vec(), remote.observations().to_vec());
                Ok(Self { inputs, outputs, reward_scale: options.reward_scale, place: Place::There(remote) })
            }
        }
    }

    /// What the agent sets.
    #[must_use]
    pub fn inputs(&self) -> &[Variable] {
        &self.inputs
    }

    /// What it observes.
    #[must_use]
    pub fn outputs(&self) -> &[Variable] {
        &self.outputs
    }

    /// What the agent's reward is of the environment's.
    pub(crate) fn reward_scale(&self) -> f64 {
        self.reward_scale
    }

    /// Begins an episode, which `seed` determines.
    pub(crate) fn begin(&mut self, seed: u64, readings: &mut [f64]) -> Result<(), NoWorld> {
        match &mut self.place {
            Place::Here { environment, plant } => {
                *plant = environment.build(seed)?;
                plant.observe(readings);
            }
            Place::There(remote) => remote.reset(seed, readings)?,
        }
        Ok(())
    }

    /// Makes a step. A plant of ours goes on for ever.
    pub(crate) fn step(&mut self, written: &[f64], readings: &mut [f64]) -> Result<Outcome, Broken> {
        match &mut self.place {
            Place::Here { plant, .. } => {
                plant.step(written, readings);
                Ok(Outcome { reward: plant.reward(), terminated: false, truncated: false })
            }
            Place::There(remote) => remote.step(written, readings),
        }
    }
}

//! The two ways to learn, behind one face: critics that judge, and the actor that they teach.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::agent::Update;
use crate::ensemble::{Ensemble, EnsembleState};
use crate::examiner::Critics;
use crate::nets::Actor;
use crate::options::{AgentOptions, AgentShape, Improver};
use crate::pathwise::{Pathwise, PathwiseState};
use crate::percentile::{Percentile, PercentileState};
use crate::replay::Replay;
use crate::schedule::Schedule;
use crate::threads::Threads;

/// Critics and actor.
#[derive(Debug)]
pub(crate) enum Learning {
    /// QRC critics and the percentile actor.
    Percentile(Box<(Ensemble, Percentile)>),
    /// Critics and the actor that climbs their slopes.
    Pathwise(Box<Pathwise>),
}

/// What a checkpoint keeps of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum LearningState {
    Percentile(Box<(EnsembleState, PercentileState)>),
    Pathwise(Box<PathwiseState>),
}

impl LearningState {
    /// How the agent learnt that it is of.
    pub(crate) fn improver(&self) -> Improver {
        match self {
            Self::Percentile(_) => Improver::Percentile,
            Self::Pathwise(_) => Improver::Pathwise,
        }
    }
}

impl Learning {
    pub(crate) fn new(shape: AgentShape, options: &AgentOptions, threads: &Threads) -> Self {
        match options.improver {
            Improver::Percentile => Self::Percentile(Box::new((
                Ensemble::new(shape, options, threads),
                Percentile::new(shape, options, threads),
            ))),
            Improver::Pathwise => Self::Pathwise(Box::new(Pathwise::new(shape, options, threads))),
        }
    }

    /// The actor's network.
    pub(crate) fn net(&self) -> &Actor {
        match self {
            Self::Percentile(both) => both.1.net(),
            Self::Pathwise(pathwise) => pathwise.net(),
        }
    }

    /// The parameters of the actor that acts.
    pub(crate) fn actor(&self) -> &[f32] {
        match self {
            Self::Percentile(both) => both.1.actor(),
            Self::Pathwise(pathwise) => pathwise.actor(),
        }
    }

    #[cfg(test)]
    pub(crate) fn actor_mut(&mut self) -> &mut [f32] {
        match self {
            Self::Percentile(both) => both.1.actor_mut(),
            Self::Pathwise(pathwise) => pathwise.actor_mut(),
        }
    }

    /// The discount of the next update.
    pub(crate) fn gamma(&self) -> f64 {
        match self {
            Self::Percentile(both) => both.0.gamma(),
            Self::Pathwise(pathwise) => pathwise.gamma(),
        }
    }

    /// One update of the critics and those of the actor that follow it, which the schedule hears of. The pathwise ones learn
    /// at this part of their rates.
    pub(crate) fn update(
        &mut self,
        replay: &Replay,
        schedule: &mut Schedule,
        options: &AgentOptions,
        rate: f32,
        threads: &Threads,
    ) -> Update {
        let actor_moves = schedule.critic_updates >= options.critic_warmup_updates;
        match self {
            Self::Percentile(both) => {
                let (ensemble, percentile) = &mut **both;
                let critic_loss = ensemble.update(replay, percentile.net(), percentile.actor(), threads);
                schedule.critic_updated(critic_loss);
                let mut update = Update { critic_loss, actor_loss: 0.0, actor_updates: 0 };
                while actor_moves && update.actor_updates < options.actor_updates {
                    update.actor_loss = percentile.update(replay, ensemble, threads);
                    update.actor_updates += 1;
                    if !schedule.actor_updated(update.actor_loss) {
                        break;
                    }
                }
                update
            }
            Self::Pathwise(pathwise) => {
                let (critic_loss, actor_loss) = pathwise.update(replay, actor_moves, rate, threads);
                schedule.updated_together(actor_moves);
                Update { critic_loss, actor_loss, actor_updates: usize::from(actor_moves) }
            }
        }
    }

    /// Teaches the actor to hold `nominal`.
    pub(crate) fn learn_nominal_actor(&mut self, nominal: &[f32], options: &AgentOptions, threads: &Threads) {
        match self {
            Self::Percentile(both) => both.1.learn_nominal(nominal, options, threads),
            Self::Pathwise(pathwise) => pathwise.learn_nominal_actor(nominal, options),
        }
    }

    /// Teaches the actor what was done in the memory.
    pub(crate) fn learn_behaviour(&mut self, replay: &Replay, options: &AgentOptions, threads: &Threads) {
        match self {
            Self::Percentile(both) => both.1.learn_behaviour(replay, both.0.gamma(), options, threads),
            Self::Pathwise(pathwise) => pathwise.learn_behaviour(replay, options),
        }
    }

    /// Teaches the critics to prefer `nominal`: the `steps` of all nominal steps.
    pub(crate) fn learn_nominal_critics(
        &mut self,
        steps: Range<usize>,
        nominal: &[f32],
        options: &AgentOptions,
        threads: &Threads,
    ) {
        match self {
            Self::Percentile(both) => both.0.learn_nominal(steps, nominal, options, threads),
            Self::Pathwise(pathwise) => pathwise.learn_nominal_critics(steps, nominal, options, threads),
        }
    }

    /// The critics that count.
    pub(crate) fn critics(&self) -> Critics<'_> {
        match self {
            Self::Percentile(both) => both.0.critics(),
            Self::Pathwise(pathwise) => pathwise.critics(),
        }
    }

    /// Lengths of the gradients in the latest update: the critics', mean over the ensemble, and the actor's.
    pub(crate) fn gradient_norms(&self) -> (f32, f32) {
        match self {
            Self::Percentile(both) => (both.0.gradient_norm(), both.1.gradient_norm()),
            Self::Pathwise(pathwise) => pathwise.gradient_norms(),
        }
    }

    /// The critics' parameters are finite, all of them.
    pub(crate) fn critics_are_finite(&self) -> bool {
        match self {
            Self::Percentile(both) => both.0.is_finite(),
            Self::Pathwise(pathwise) => pathwise.critics_are_finite(),
        }
    }

    pub(crate) fn state(&self) -> LearningState {
        match self {
            Self::Percentile(both) => LearningState::Percentile(Box::new((both.0.state(), both.1.state()))),
            Self::Pathwise(pathwise) => LearningState::Pathwise(Box::new(pathwise.state())),
        }
    }

    /// Takes over a stored state; what does not fit, if it does not, and then nothing is changed.
    pub(crate) fn restore(&mut self, state: LearningState) -> Result<(), &'static str> {
        match (self, state) {
            (Self::Percentile(both), LearningState::Percentile(state)) => {
                let (critics, actor) = *state;
                let before = both.0.state();
                if !both.0.restore(critics) {
                    return Err("the critics: was the ensemble changed?");
                }
                if !both.1.restore(actor) {
                    both.0.restore(before);
                    return Err("the actor");
                }
                Ok(())
            }
            (Self::Pathwise(pathwise), LearningState::Pathwise(state)) => {
                if pathwise.restore(*state) {
                    Ok(())
                } else {
                    Err("the networks: was the ensemble changed?")
                }
            }
            _ => Err("the way to learn"),
        }
    }
}

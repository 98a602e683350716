//! What an agent is set to.

use policy::pipeline::ImputerShape;
use serde::{Deserialize, Serialize};

use crate::dead_time::DEAD_TIME_MAX;

/// The largest ensemble.
pub const ENSEMBLE_MAX: usize = 10;
/// The most observation periods in an action period.
pub const N_STEP_MAX: usize = 1_000;

/// The widths of what the agent sees and does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentShape {
    /// Columns of the state.
    pub state: usize,
    /// Number of setpoints.
    pub action: usize,
}

/// How an agent learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Improver {
    /// QRC critics, and an actor that moves towards the best of many candidate actions.
    Percentile,
    /// Critics that learn from slowly following copies of themselves, and an actor that climbs their gradient.
    Pathwise,
}

/// How the values that the critics give to a candidate become the one by which it is ranked.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Aggregation {
    /// Their mean.
    Mean,
    /// This quantile, 0 to 1, on a straight line between the two nearest values.
    Percentile(f64),
    /// Their mean plus so many standard deviations, -10 to 10: the upper confidence bound of optimism in the face of
    /// uncertainty, the lower one of caution.
    Ucb(f64),
}

/// A discount that grows while the critics learn: linearly in the effective horizon, `1 / (1 - gamma)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GammaSchedule {
    /// The discount of the first update, at least 0 and at most that of the agent.
    pub from: f64,
    /// Critic updates until it is that of the agent.
    pub updates: u64,
}

/// The agent's options; the defaults are those of the product, [`Self::pathwise`] has those of the other way to learn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AgentOptions {
    /// Determines every random number of the agent.
    pub seed: u64,
    /// How it learns.
    pub improver: Improver,
    /// Discount per observation period, in `[0, 1)`.
    pub gamma: f64,
    /// How the discount grows to that, if it does.
    pub gamma_schedule: Option<GammaSchedule>,
    /// Observation periods in an action period, hence the longest transition.
    pub n_step_max: usize,
    /// Observations after which the reward shows what an action did, 0 to 1,000.
    pub dead_time: usize,
    /// Number of critics, 1 to [`ENSEMBLE_MAX`].
    pub ensemble: usize,
    /// Percentile: probability with which a critic sees a transition, in `(0, 1]`.
    pub ensemble_probability: f64,
    /// Transitions in a batch.
    pub batch_size: usize,
    /// Learning rate of the critics.
    pub critic_lr: f64,
    /// Learning rate of actor and proposal.
    pub actor_lr: f64,
    /// Decoupled weight decay of all networks.
    pub weight_decay: f64,
    /// Actions sampled at the next state for a critic's target.
    pub next_actions: usize,
    /// Candidate actions per state in an actor update.
    pub candidates: usize,
    /// Percentile: by what candidates are ranked.
    pub aggregation: Aggregation,
    /// The part of the candidates that is uniform within the bounds; the others come from the proposal.
    pub uniform_weight: f64,
    /// The best part of the candidates, towards which the actor moves.
    pub actor_percentile: f64,
    /// The best part of the candidates, towards which the proposal moves.
    pub proposal_percentile: f64,
    /// Critic updates aimed at per observation.
    pub critic_updates: usize,
    /// Actor updates at most after each critic update; the pathwise actor makes one.
    pub actor_updates: usize,
    /// Percentile: updates end early when the smoothed change of the loss is smaller than this.
    pub loss_threshold: f64,
    /// Transitions kept, in the online part and in the historical part each.
    pub replay_capacity: usize,
    /// What the rows of both parts together may take, in MiB; the capacity shrinks to it.
    pub replay_memory_mib_max: usize,
    /// The part of a batch that is online data, when there is historical data too; less while online data is less of all.
    pub online_weight: f64,
    /// Transitions in which the weight of one in replay falls by the factor e, above 0; without it all weigh the same.
    pub recency: Option<f64>,
    /// Percentile: a critic is re-initialised every so many critic updates; 0 for never.
    pub reset_period: u64,
    /// Updates before a re-initialised critic counts again.
    pub reset_warmup: u64,
    /// Steps in which the critics learn to prefer the nominal setpoint, at the start.
    pub nominal_critic_steps: usize,
    /// Steps in which the actor learns the nominal setpoint, at the start.
    pub nominal_actor_steps: usize,
    /// Steps in which the actor learns what was done in a history, before it learns more from it.
    pub behaviour_steps: usize,
    /// Learning rate of these steps.
    pub nominal_lr: f64,
    /// Pathwise: the part of the way that a critic's copy, from which targets are taken, follows it per update; in
    /// `(0, 1]`.
    pub target_rate: f64,
    /// Pathwise: the same of the actor's copy, which acts and is published.
    pub average_rate: f64,
    /// Pathwise: deviations among the critics by which a target is below their mean; 0 to 10.
    pub pessimism: f64,
    /// Pathwise: the same for what a history shows, which nobody can try; 0 to 10.
    pub historical_pessimism: f64,
    /// Pathwise: the weight of the critics' disagreement in the exploration, in the long run; 0 to 10.
    pub curiosity: f64,
    /// Pathwise: the same at first, as far as above that, times `gamma`; 0 to 100.
    pub curiosity_first: f64,
    /// Pathwise: updates in which the difference falls by the factor e; 1 or more.
    pub curiosity_updates: f64,
    /// Pathwise: the part of the mean temporal difference by which the mean reward moves per update; 0 to 1.
    pub centring_rate: f64,
    /// Pathwise: how strongly the actor is held to the actions of a history; 0 to 100. A slope of mean size moves it away from
    /// them by 1 / `cloning` of their own mean deviation there.
    pub cloning: f64,
    /// Pathwise: how strongly the actor is drawn to the best setpoint to hold still, where that is worth more than what it
    /// does; 0 to 100, 0 for not at all. A slope of mean size keeps it off by 1 / `holding` of a setpoint's range.
    pub holding: f64,
    /// Transitions before the first update, but never more than the memory keeps.
    pub warmup_transitions: usize,
    /// Critic updates before the first one of the actor, which holds what it began with until then.
    pub critic_warmup_updates: u64,
    /// What an imputer sees of the state, when the site has a masked autoencoder.
    pub imputer: Option<ImputerShape>,
}

impl Default for AgentOptions {
    fn default() -> Self {
        Self {
            seed: 0,
            improver: Improver::Percentile,
            gamma: 0.9727,
            gamma_schedule: None,
            n_step_max: 1,
            dead_time: 0,
            ensemble: 2,
            ensemble_probability: 0.5,
            batch_size: 256,
            critic_lr: 1e-4,
            actor_lr: 1e-4,
            weight_decay: 1e-3,
            next_actions: 10,
            candidates: 128,
            aggregation: Aggregation::Mean,
            uniform_weight: 0.84,
            actor_percentile: 0.05,
            proposal_percentile: 0.2,
            critic_updates: 10,
            actor_updates: 3,
            loss_threshold: 1e-4,
            replay_capacity: 1_000_000,
            replay_memory_mib_max: 160,
            online_weight: 0.75,
            recency: None,
            reset_period: 10_000,
            reset_warmup: 1_000,
            nominal_critic_steps: 1_000,
            nominal_actor_steps: 100,
            behaviour_steps: 1_000,
            nominal_lr: 3e-3,
            target_rate: 0.05,
            average_rate: 0.02,
            pessimism: 0.5,
            historical_pessimism: 2.0,
            curiosity: 0.5,
            curiosity_first: 4.0,
            curiosity_updates: 2_000.0,
            centring_rate: 0.02,
            cloning: 0.7,
            holding: 0.0,
            warmup_transitions: 1,
            critic_warmup_updates: 0,
            imputer: None,
        }
    }
}

/// An option that cannot be.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{option} is {value}, but must be {permitted}")]
pub struct OptionsError {
    /// The option's name.
    pub option: &'static str,
    /// Its value.
    pub value: f64,
    /// What it may be.
    pub permitted: &'static str,
}

impl AgentOptions {
    /// What the pathwise way of learning was measured with: few small batches with a fast optimiser. `actor_updates`,
    /// `next_actions`, the options of candidates, ensemble mask and resets, and `loss_threshold` mean nothing to it.
    #[must_use]
    pub fn pathwise() -> Self {
        Self {
            improver: Improver::Pathwise,
            ensemble: 2,
            batch_size: 64,
            critic_updates: 6,
            critic_lr: 1e-3,
            actor_lr: 1e-3,
            ..Self::default()
        }
    }

    /// Checks every option; the first that cannot be is the error.
    ///
    /// # Errors
    /// [`OptionsError`] with the option's name, value and permitted range.
    pub fn check(&self) -> Result<(), OptionsError> {
        let count = |option, value: usize, max: usize, permitted| {
            check(option, value as f64, (1..=max).contains(&value), permitted)
        };
        let share = |option, value: f64| {
            let fits = value > 0.0 && value <= 1.0;
            check(option, value, fits, "above 0 and at most 1")
        };
        let rate = |option, value: f64| {
            let fits = value > 0.0 && value < 1.0;
            check(option, value, fits, "between 0 and 1")
        };
        let fits = (0.0..1.0).contains(&self.gamma);
        check("gamma", self.gamma, fits, "at least 0 and below 1")?;
        count("ensemble", self.ensemble, ENSEMBLE_MAX, "1 to 10")?;
        count("n_step_max", self.n_step_max, N_STEP_MAX, "1 to 1,000")?;
        let fits = self.dead_time <= DEAD_TIME_MAX;
        check("dead_time", self.dead_time as f64, fits, "0 to 1,000")?;
        count("batch_size", self.batch_size, 65_536, "1 to 65,536")?;
        count("candidates", self.candidates, 4_096, "1 to 4,096")?;
        count("next_actions", self.next_actions, 256, "1 to 256")?;
        count("critic_updates", self.critic_updates, 1_000, "1 to 1,000")?;
        let capacity_max = 100_000_000;
        count("replay_capacity", self.replay_capacity, capacity_max, "1 to 100,000,000")?;
        self.aggregation.check()?;
        self.check_schedules()?;
        share("ensemble_probability", self.ensemble_probability)?;
        share("actor_percentile", self.actor_percentile)?;
        share("proposal_percentile", self.proposal_percentile)?;
        share("online_weight", self.online_weight)?;
        rate("critic_lr", self.critic_lr)?;
        rate("actor_lr", self.actor_lr)?;
        rate("nominal_lr", self.nominal_lr)?;
        let fits = (0.0..=1.0).contains(&self.uniform_weight);
        check("uniform_weight", self.uniform_weight, fits, "0 to 1")?;
        share("target_rate", self.target_rate)?;
        share("average_rate", self.average_rate)?;
        let fits = (0.0..=1.0).contains(&self.centring_rate);
        check("centring_rate", self.centring_rate, fits, "0 to 1")?;
        for (option, value) in
            [("curiosity_first", self.curiosity_first), ("cloning", self.cloning), ("holding", self.holding)]
        {
            check(option, value, (0.0..=100.0).contains(&value), "0 to 100")?;
        }
        let fits = self.curiosity_updates >= 1.0 && self.curiosity_updates.is_finite();
        check("curiosity_updates", self.curiosity_updates, fits, "1 or more")?;
        for (option, value) in [
            ("pessimism", self.pessimism),
            ("historical_pessimism", self.historical_pessimism),
            ("curiosity", self.curiosity),
        ] {
            check(option, value, (0.0..=10.0).contains(&value), "0 to 10")?;
        }
        let fits = (0.0..1.0).contains(&self.weight_decay);
        check("weight_decay", self.weight_decay, fits, "at least 0 and below 1")
    }

    /// Checks what changes with the number of updates and with age.
    fn check_schedules(&self) -> Result<(), OptionsError> {
        if let Some(GammaSchedule { from, updates }) = self.gamma_schedule {
            let fits = (0.0..=self.gamma).contains(&from);
            check("gamma_schedule.from", from, fits, "at least 0 and at most gamma")?;
            check("gamma_schedule.updates", updates as f64, updates > 0, "1 or more")?;
        }
        match self.recency {
            Some(recency) => check("recency", recency, recency > 0.0 && recency.is_finite(), "above 0"),
            None => Ok(()),
        }
    }
}

impl Aggregation {
    fn check(self) -> Result<(), OptionsError> {
        match self {
            Self::Mean => Ok(()),
            Self::Percentile(part) => check("aggregation", part, (0.0..=1.0).contains(&part), "0 to 1"),
            Self::Ucb(bonus) => check("aggregation", bonus, (-10.0..=10.0).contains(&bonus), "-10 to 10"),
        }
    }
}

fn check(option: &'static str, value: f64, fits: bool, permitted: &'static str) -> Result<(), OptionsError> {
    if fits { Ok(()) } else { Err(OptionsError { option, value, permitted }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_permitted() {
        assert_eq!(AgentOptions::default().check(), Ok(()));
        assert_eq!(AgentOptions::pathwise().check(), Ok(()));
    }

    #[test]
    fn an_option_that_cannot_be_is_named() {
        let options = AgentOptions { gamma: f64::NAN, ..AgentOptions::default() };
        assert_eq!(options.check().unwrap_err().option, "gamma");
        let scheduled = |from, updates| AgentOptions {
            gamma_schedule: Some(GammaSchedule { from, updates }),
            ..AgentOptions::pathwise()
        };
        assert_eq!(scheduled(0.9727, 1).check(), Ok(()));
        let options = AgentOptions { ensemble: 11, ..AgentOptions::default() };
        assert_eq!(options.check().unwrap_err().option, "ensemble");
        for (option, options) in [
            ("target_rate", AgentOptions { target_rate: 0.0, ..AgentOptions::pathwise() }),
            ("average_rate", AgentOptions { average_rate: 1.5, ..AgentOptions::pathwise() }),
            ("centring_rate", AgentOptions { centring_rate: -0.1, ..AgentOptions::pathwise() }),
            ("pessimism", AgentOptions { pessimism: f64::NAN, ..AgentOptions::pathwise() }),
            ("historical_pessimism", AgentOptions { historical_pessimism: -1.0, ..AgentOptions::pathwise() }),
            ("curiosity", AgentOptions { curiosity: 11.0, ..AgentOptions::pathwise() }),
            ("curiosity_first", AgentOptions { curiosity_first: -1.0, ..AgentOptions::pathwise() }),
            ("cloning", AgentOptions { cloning: -1.0, ..AgentOptions::pathwise() }),
            ("holding", AgentOptions { holding: 101.0, ..AgentOptions::pathwise() }),
            ("curiosity_updates", AgentOptions { curiosity_updates: 0.0, ..AgentOptions::pathwise() }),
            ("aggregation", AgentOptions { aggregation: Aggregation::Percentile(1.1), ..AgentOptions::default() }),
            ("aggregation", AgentOptions { aggregation: Aggregation::Ucb(f64::NAN), ..AgentOptions::default() }),
            ("recency", AgentOptions { recency: Some(0.0), ..AgentOptions::pathwise() }),
            ("dead_time", AgentOptions { dead_time: 1_001, ..AgentOptions::pathwise() }),
            ("gamma_schedule.from", scheduled(0.98, 10)),
            ("gamma_schedule.from", scheduled(-0.1, 10)),
            ("gamma_schedule.updates", scheduled(0.9, 0)),
        ] {
            assert_eq!(options.check().unwrap_err().option, option);
        }
    }
}

//! What a site says of how its agent learns and explores.

/// How an agent learns; see the learner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Improver {
    /// The actor climbs the critics' slopes.
    Pathwise,
    /// The actor moves towards the best of many candidates.
    Percentile,
}

/// How the percentile actor draws candidate actions and chooses among them; see the learner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidates {
    /// Their number for each state.
    pub count: usize,
    /// By what they are ranked.
    pub aggregation: Aggregation,
    /// The part of them that is uniform within the bounds, 0 to 1.
    pub uniform_weight: f64,
    /// The best part of them, which the actor follows.
    pub actor_percentile: f64,
    /// The same for the proposal; not less.
    pub proposal_percentile: f64,
}

/// By what candidates are ranked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregation {
    /// The critics' mean.
    Mean,
    /// This quantile of their values, 0 to 1.
    Percentile(f64),
    /// Their mean plus so many standard deviations, -10 to 10.
    Ucb(f64),
}

/// A discount that grows while the critics learn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GammaSchedule {
    /// The discount of the first update, at least 0 and at most `gamma`.
    pub from: f64,
    /// Critic updates until it is `gamma`.
    pub updates: u64,
}

/// The learner's options, with the defaults of the description of keys.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentOptions {
    /// Discount per observation period, in [0, 1).
    pub gamma: f64,
    /// How it grows to that, if it does.
    pub gamma_schedule: Option<GammaSchedule>,
    /// How it learns.
    pub improver: Improver,
    /// Number of critics, 1 to 10.
    pub ensemble: usize,
    /// Transitions per batch.
    pub batch_size: usize,
    /// Candidate actions of the actor's update.
    pub candidates: Candidates,
    /// Learning rate of the critics.
    pub critic_lr: f64,
    /// Learning rate of actor and proposal.
    pub actor_lr: f64,
    /// Decoupled weight decay of all networks, at least 0 and below 1.
    pub weight_decay: f64,
    /// Critic updates aimed at per observation.
    pub critic_updates: usize,
    /// Deviations among the critics by which a target is below their mean, 0 to 10.
    pub pessimism: f64,
    /// The same for what a history shows.
    pub historical_pessimism: f64,
    /// How much the critics' disagreement widens exploration, 0 to 10.
    pub curiosity: f64,
    /// How strongly the actor is held to the actions of a history, 0 to 100.
    pub cloning: f64,
    /// How strongly the actor is drawn to the best setpoint to hold still, 0 to 100; 0 for not at all.
    pub holding: f64,
    /// Actor updates at most after each critic update.
    pub actor_updates: usize,
    /// Updates end early when the smoothed change of the loss falls below this.
    pub loss_threshold: f64,
    /// Critic updates before the actor's first.
    pub critic_warmup_updates: u64,
    /// Transitions kept online.
    pub replay_capacity: usize,
    /// The part of a batch that is online data, where there is historical data as well.
    pub online_weight: f64,
    /// Observations in which the weight of what is replayed falls by the factor `gamma`; `None`: it does not fall.
    pub effective_episodes: Option<f64>,
    /// Probability with which a member sees a transition.
    pub ensemble_probability: f64,
    /// Critic updates after which a critic begins anew; 0 for never.
    pub reset_period: u64,
    /// Updates before it counts again.
    pub reset_warmup: u64,
    /// Trace decays, in the order of the state's columns.
    pub traces: Vec<f64>,
    /// Observations whose values are columns of the state beside the traces.
    pub past_values: usize,
    /// Observations after which the reward shows what an action did.
    pub dead_time: usize,
    /// The columns that tell how many observations are left until the next decision.
    pub decision_clock: DecisionClock,
    /// The running agent samples its action; otherwise it takes the mean.
    pub explore: bool,
    /// Whether, and how, an exploring agent begins with a sweep.
    pub sweep: Option<Sweep>,
    /// How it explores beyond noise.
    pub excursions: Excursions,
    /// Updates between two attempts to publish.
    pub publish_every: usize,
}

/// An exploring agent begins by taking its setpoints slowly through their scale and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The learner's updates until it ends, at least 1.
    pub until_updates: u64,
    /// The way there and back, in decisions; at least 2.
    pub period: u32,
    /// Where it begins.
    pub start: SweepStart,
}

/// Where a sweep begins, and ends when it lasts for a whole number of periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepStart {
    /// At the nominal setpoint, going up.
    Nominal,
    /// At the lower end of the scale.
    Low,
    /// At the upper end of the scale.
    High,
}

/// How often, and for how long, an exploring agent goes somewhere else and stays there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Excursions {
    /// The chance that a decision begins one while nothing is learnt yet, 0 to 1.
    pub rate: f64,
    /// The learner's updates in which the chance falls by the factor e.
    pub fading_updates: f64,
    /// The longest one, in decisions.
    pub decisions_max: u32,
}

/// How the state tells how many observations are left until the next decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionClock {
    /// Not at all.
    Off,
    /// A column for each observation of the action period, 1 in one of them.
    OneHot,
    /// One column, 1 being a whole action period.
    Countdown,
}

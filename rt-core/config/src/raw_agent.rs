//! The learner's keys. A part of the raw file.

use crate::form::{At, choices, sections};
use crate::form_special::OrOff;
use crate::raw_stages::ClockName;
use crate::value::Whole;

choices! {
    /// How an agent learns.
    enum ImproverName {
        /// The actor climbs the critics' slopes.
        Pathwise = "pathwise",
        /// The actor moves towards the best of many candidates.
        Percentile = "percentile",
    }

    /// Where a sweep begins.
    enum SweepStartName {
        /// At the nominal setpoint, going up.
        Nominal = "nominal",
        /// At the lower end of the scale.
        Low = "low",
        /// At the upper end of the scale.
        High = "high",
    }

    /// How the critics' values become one, CoreRL's words.
    enum AggregationName {
        /// Their mean.
        Mean = "mean",
        /// A percentile of them.
        Percentile = "percentile",
        /// An upper confidence bound.
        Ucb = "ucb",
    }
}

sections! {
    /// The learner's options.
    struct Agent {
        /// Discount per observation period, at least 0 and below 1.
        gamma: f64, Default("0.9727");
        /// The discount of an agent that has learnt nothing is lower, and grows to `gamma`. Absent: it is `gamma` from the start.
        gamma_schedule: GammaSchedule, Optional;
        /// How it learns: `pathwise` (the actor climbs the critics' slopes) or `percentile` (it moves towards the best of many candidates).
        improver: ImproverName, Default("pathwise");
        /// Number of critics.
        ensemble: Whole<1, 10>, Default("2");
        /// Transitions per batch. Absent: 64, or 256 with `percentile`.
        batch_size: Whole<1, 65536>, Optional;
        /// With `percentile`: candidate actions per state in the actor's update.
        candidates: Whole<20, 4096>, Default("128");
        /// With `percentile`: by which value candidates are ranked: the critics' `mean`, their `percentile`, or `ucb`, mean plus `std_bonus` standard deviations.
        ensemble_aggregation: AggregationName, Default("mean");
        /// With `ensemble_aggregation: percentile`: which one, as a part, 0 (the lowest of the critics' values) to 1 (the highest).
        ensemble_percentile: f64, Default("0.5");
        /// With `ensemble_aggregation: ucb`: standard deviations among the critics, -10 to 10; below 0, what they disagree about is avoided.
        std_bonus: f64, Default("1.0");
        /// With `percentile`: the part of the candidates that is uniform within the bounds, 0 to 1; the others come from the proposal.
        uniform_weight: f64, Default("0.84");
        /// With `percentile`: the best part of the candidates, which the actor follows, above 0 and at most 1.
        actor_percentile: f64, Default("0.05");
        /// With `percentile`: the same for the proposal, at least `actor_percentile` and at most 1.
        proposal_percentile: f64, Default("0.2");
        /// Learning rate of the critics. Absent: 0.001, or 0.0001 with `percentile`.
        critic_lr: f64, Optional;
        /// Learning rate of the actor. Absent: as that of the critics.
        actor_lr: f64, Optional;
        /// Decoupled weight decay of all networks (AdamW), at least 0 and below 1.
        weight_decay: f64, Default("0.001");
        /// Critic updates aimed at per observation. Absent: 6, or 10 with `percentile`.
        critic_updates: Whole<1, 1000>, Optional;
        /// With `pathwise`: deviations among the critics by which a target is below their mean, 0 to 10.
        pessimism: f64, Default("0.5");
        /// With `pathwise`: the same for what a history shows, which nobody can try, 0 to 10.
        historical_pessimism: f64, Default("2");
        /// With `pathwise`: how much the critics' disagreement widens exploration, 0 to 10. Absent: 0.5, or 0 where nothing counts that follows a decision (`gamma: 0`).
        curiosity: f64, Optional;
        /// With `pathwise`: how strongly the actor is held to the actions of a history, at its states, 0 to 100: a slope of mean size moves it away from them by 1 / `cloning` of their own mean deviation there. So it leaves them the less, the less was tried.
        cloning: f64, Default("0.7");
        /// With `pathwise`: how strongly the actor is drawn to the best setpoint to hold still, where holding it is worth more than what the actor does, 0 to 100. 0: not at all; anything else makes an update nearly twice as long.
        holding: f64, Default("0");
        /// With `percentile`: actor updates at most after each critic update.
        actor_updates: Whole<0, 100>, Default("3");
        /// With `percentile`: the updates of an observation end early when the smoothed change of the loss falls below this, 0 or more; 0 for never.
        loss_threshold: f64, Default("0.0001");
        /// Critic updates before the actor's first: until then it holds what it began with, the nominal setpoint or what a history shows, and explores around it.
        critic_warmup_updates: Whole<0, 1_000_000_000>, Default("0");
        /// Transitions kept online.
        replay_capacity: Whole<1000, 100_000_000>, Default("1000000");
        /// The part of a batch that is the plant's own experience, where there is a history as well, and at most what it is of all data; above 0 and at most 1.
        online_weight: f64, Default("0.75");
        /// What is recent is learnt from more often: a transition's weight falls by the factor `gamma` (0.01, if that is below) in so many observations, but for 1 % of a batch. Above 0; `off`: all weigh the same.
        effective_episodes: OrOff<f64>, Default("off");
        /// With `percentile`: probability with which a critic sees a transition, above 0 and at most 1.
        ensemble_probability: f64, Default("0.5");
        /// With `percentile`: critic updates after which the critic that learnt longest begins anew, 1 or more; `off`: none does.
        reset_period: OrOff<Whole<1, 1_000_000_000>>, Default("10000");
        /// With `percentile`: updates before a critic that began anew counts again.
        reset_warmup: Whole<0, 1_000_000_000>, Default("1000");
        /// Decays of the traces, each at least 0 and below 1, in the order of the state's columns.
        traces: Vec<At<f64>>, Default("[0, 0.75, 0.9, 0.95]");
        /// Columns of each tag beside its traces: its values of so many observations before. For a plant that answers after a dead time, some more than that.
        past_values: Whole<0, 64>, Default("0");
        /// The plant's dead time: observations after which the reward shows what an action did. `gamma` counts from there.
        dead_time: Whole<0, 1_000>, Default("0");
        /// Columns of the state that tell how many observations are left until the next decision: `off`, `one_hot` or `countdown`.
        decision_clock: ClockName, Default("off");
        /// The running agent samples its action; otherwise it takes the mean.
        explore: bool, Default("true");
        /// An agent that has learnt nothing takes its setpoints slowly through their scale and back, within the bounds, before it follows what it learns. Absent: it does not.
        sweep: Sweep, Optional;
        /// While exploring, the chance that a decision of an agent that has learnt nothing begins an excursion: anywhere within the bounds, for a while; 0 to 1. It fades as the agent learns.
        excursions: f64, Default("0");
        /// The longest excursion, in decisions. Otherwise what the discount looks ahead, from 10 to 1000.
        excursion_decisions: Whole<1, 1_000>, Optional;
        /// The decisions in which the chance of an excursion falls to about a third. Otherwise 30 and three times what the discount looks ahead.
        excursion_fading: Whole<1, 1_000_000>, Optional;
        /// Updates between two attempts to publish a policy.
        publish_every: Whole<1, 1_000_000>, Default("200");
    }

    /// Going slowly through everything once, for a plant that is slow, or whose reward has several maxima.
    struct Sweep {
        /// How long it lasts, in decisions of a learner that makes as many updates as it aims at; a slower one takes longer.
        decisions: Whole<1, 1_000_000>, Required;
        /// The first setpoint's way there and back, in decisions: several times what the plant takes to settle. Others are up to twice as fast.
        period: Whole<2, 1_000_000>, Required;
        /// Where it begins and, after whole periods, ends. What the agent finds first afterwards is what is near: of several maxima rather one next to where the sweep ends.
        start: SweepStartName, Default("nominal");
    }

    /// A discount that grows while the critics learn, linearly in what it looks ahead, `1 / (1 - gamma)` observations.
    struct GammaSchedule {
        /// The discount of the first update, at least 0 and at most `gamma`.
        from: f64, Default("0");
        /// Critic updates until it is `gamma`.
        updates: Whole<1, 1_000_000_000>, Required;
    }
}

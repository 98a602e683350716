//! The counters of the runtime, of its connections and of the learner: one word each, by the order of these tables.

abi_table! {
    /// Counters and states that the runtime publishes; each has one writing thread.
    pub enum Counter: u16 {
        /// Control cycles executed.
        Cycles => "cycles",
        /// Control slots skipped because the loop was late by a period or more.
        SlotsSkipped => "slots_skipped",
        /// Release time of the first cycle, CLOCK_MONOTONIC nanoseconds.
        TimeFirst => "t_first_ns",
        /// Release time of the latest cycle, CLOCK_MONOTONIC nanoseconds.
        TimeLast => "t_last_ns",
        /// Control period, nanoseconds.
        Period => "period_ns",
        /// Present mode, as the number of the mode.
        Mode => "mode",
        /// 1 while armed.
        Armed => "armed",
        /// Bits of real-time means that were asked for and not confirmed.
        Degraded => "degraded",
        /// Samples taken from the sample ring.
        SamplesReceived => "samples_received",
        /// Samples lost because the sample ring was full.
        SamplesLost => "samples_lost",
        /// Setpoint values confirmed by the server.
        SetpointsWritten => "setpoints_written",
        /// Setpoint values that the server refused.
        SetpointsRejected => "setpoints_rejected",
        /// Setpoint sets not sent because they had expired.
        SetpointsExpired => "setpoints_expired",
        /// Setpoint sets not sent because a newer one was there.
        SetpointsSuperseded => "setpoints_superseded",
        /// Setpoint sets lost because the setpoint ring was full.
        SetpointsLost => "setpoints_lost",
        /// Plant heartbeats written.
        Heartbeats => "heartbeats",
        /// Values that the envelope changed.
        Clamps => "clamps",
        /// Policy outputs that were not finite.
        NanOutputs => "nan_outputs",
        /// Steps published for the learner.
        TransitionsSent => "transitions_sent",
        /// Policies adopted.
        PoliciesAdopted => "policies_adopted",
        /// Policies refused by verification.
        PoliciesRefused => "policies_refused",
        /// Generation of the policy in use, 0 is the nominal one.
        PolicyGeneration => "policy_generation",
        /// Age of the policy: time since the learner last confirmed it, nanoseconds.
        PolicyAge => "policy_age_ns",
        /// Grant of the learner that is attached, 0 when none was.
        LearnerEpoch => "learner_epoch",
        /// 1 while the learner's heartbeat is fresh.
        LearnerAlive => "learner_alive",
        /// Allocations by the control thread inside a cycle.
        AllocationsInCycle => "allocations_in_cycle",
        /// Page faults of the control thread after warm-up.
        PageFaultsInCycle => "page_faults_in_cycle",
        /// I/O cycles executed.
        IoCycles => "io_cycles",
        /// I/O calls that missed their deadline.
        IoTimeouts => "io_timeouts",
        /// Connections established after the first.
        Reconnects => "reconnects",
        /// 1 while the plant connection is up.
        Connected => "connected",
        /// Writes that failed as a whole.
        WriteFailures => "write_failures",
        /// Writes whose outcome is not known.
        WritesUnknown => "writes_unknown",
        /// Events published.
        Events => "events",
        /// Trips: latched entries to FALLBACK.
        Trips => "trips",
        /// Cycle ends without a setpoint, by decision.
        NoWrites => "no_writes",
        /// Cycles that are missing in the recording.
        CyclesUnrecorded => "cycles_unrecorded",
        /// Time before each slot that the control thread spins instead of sleeping, nanoseconds.
        SpinMargin => "spin_margin_ns",
        /// Times that something took the CPU away from the control thread while it was spinning.
        SpinGaps => "spin_gaps",
        /// The longest of these gaps, nanoseconds.
        SpinGapLongest => "spin_gap_longest_ns",
        /// Slots that began late because the cycle before had worked too long.
        MissesByBody => "misses_by_body",
        /// Slots that began late because the kernel woke the control thread late.
        MissesByWake => "misses_by_wake",
        /// Slots that began late because of a gap while spinning.
        MissesByGap => "misses_by_gap",
        /// Epoch under which the lease of the plant is held, 0 while it is not.
        LeaseEpoch => "lease_epoch",
        /// Setpoint sets not sent because the lease of the plant was not held at that moment.
        SetpointsFenced => "setpoints_fenced",
        /// Policies refused by their trial.
        PoliciesFailedTrial => "policies_failed_trial",
        /// Policies that did not stand their probation: the one before came back.
        PoliciesRolledBack => "policies_rolled_back",
        /// 1 while the learner lives, gets steps, and neither learns nor publishes.
        LearnerStalled => "learner_stalled",
        /// Subscriptions that ended, fell silent, or said nothing of a tag that had changed.
        SubscriptionsEnded => "subscriptions_ended",
        /// Notification messages that were missing and were asked for again.
        MessagesRepublished => "messages_republished",
        /// Notification messages that were missing and never came: everything was read instead.
        MessagesLost => "messages_lost",
        /// Notified values before which the server threw others away, because they came too fast.
        ValueOverflows => "value_overflows",
        /// Observations of which it could be said whether all goals were met.
        GoalsJudged => "goals_judged",
        /// Observations with all goals met.
        GoalsMet => "goals_met",
        /// Observations of which it could be said whether a tag lay in a red or yellow zone.
        ZonesJudged => "zones_judged",
        /// Observations without a tag in a red or yellow zone.
        ZonesClear => "zones_clear",
    }
}

abi_table! {
    /// Counters and states that the learner publishes.
    pub enum LearnerCounter: u16 {
        /// Latest heartbeat, CLOCK_MONOTONIC nanoseconds.
        Heartbeat => "heartbeat_ns",
        /// Critic updates done.
        Updates => "updates",
        /// Actor updates done.
        ActorUpdates => "actor_updates",
        /// Policies published.
        PoliciesPublished => "policies_published",
        /// Candidates that the gate refused.
        PoliciesGated => "policies_gated",
        /// Steps received from the runtime.
        TransitionsReceived => "transitions_received",
        /// Steps lost because the learner read too slowly.
        TransitionsLost => "transitions_lost",
        /// Generation that the heartbeat confirms as the best known.
        BestGeneration => "best_generation",
        /// Transitions in the replay memory.
        ReplayLength => "replay_len",
        /// Latest critic loss, as the bits of an f64.
        CriticLossBits => "critic_loss_bits",
        /// Checkpoints written.
        Checkpoints => "checkpoints",
        /// Publications refused because the segment is no longer ours or damaged.
        PublishFailures => "publish_failures",
        /// Estimates of decisions published.
        Estimates => "estimates",
        /// Updates at the latest look at the networks' health, 0 before the first.
        HealthUpdates => "health_updates",
        /// Latest loss of the actor (pathwise: mean size of the value's slope), as the bits of an f64.
        ActorLossBits => "actor_loss_bits",
        /// Length of the critics' gradient in the latest update, mean over the ensemble, as the bits of an f64.
        CriticGradientNormBits => "critic_gradient_norm_bits",
        /// Length of the actor's gradient in the latest update, as the bits of an f64.
        ActorGradientNormBits => "actor_gradient_norm_bits",
        /// Share of the critics' units that are off at every state of late, as the bits of an f64.
        DeadUnitsBits => "dead_units_bits",
        /// Stable rank of the critics' features at the states of late, the lowest of the ensemble, as the bits of an f64.
        StableRankBits => "stable_rank_bits",
        /// Mean standard deviation of the critics' values at the states of late, as the bits of an f64.
        EnsembleSpreadBits => "ensemble_spread_bits",
        /// Mean size of the difference between a value and the reward and value that followed, as the bits of an f64.
        PredictionErrorBits => "prediction_error_bits",
        /// Mean shift of the state's columns of late, in standard deviations of before, as the bits of an f64.
        DriftMeanBits => "drift_mean_bits",
        /// The largest of these shifts, as the bits of an f64.
        DriftLargestBits => "drift_largest_bits",
        /// The column that it is of.
        DriftColumn => "drift_column",
        /// What the critics expect of the actor beyond the nominal setpoint, in value, as the bits of an f64.
        ValueAddedBits => "value_added_bits",
        /// Observations and updates that a learner without a checkpoint has to go through before it stands by anything; 0 for
        /// one that does not rebuild itself.
        RebuildSteps => "rebuild_steps",
        /// Those of them that it has gone through.
        RebuildStepsDone => "rebuild_steps_done",
    }
}

abi_table! {
    /// Counters and states of one connection to the plant: written by its io thread.
    pub enum ConnectionCounter: u16 {
        /// 1 while the connection is up.
        Up => "up",
        /// Connections that were established.
        Connects => "connects",
        /// Samples that were good.
        SamplesGood => "samples_good",
        /// Samples that were uncertain.
        SamplesUncertain => "samples_uncertain",
        /// Samples that were bad.
        SamplesBad => "samples_bad",
        /// Calls that missed their deadline.
        ErrorsTimeout => "errors_timeout",
        /// Calls that the server refused as a whole.
        ErrorsRefused => "errors_refused",
        /// Values that the server refused to take.
        ErrorsValueRefused => "errors_value_refused",
        /// Connections that were lost.
        ErrorsLost => "errors_lost",
        /// Attempts to connect that failed.
        ErrorsConnect => "errors_connect",
    }
}

impl Counter {
    /// The counter's word.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl ConnectionCounter {
    /// The counter's word among those of its connection.
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl LearnerCounter {
    /// The counter's word.
    pub const fn index(self) -> usize {
        self as usize
    }

    /// Whether the word is the bits of an f64, which its name says.
    pub fn is_float(self) -> bool {
        self.name().ends_with("_bits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn counter_names_are_unique_and_documented() {
        let names: BTreeSet<_> = Counter::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), Counter::COUNT);
        let names: BTreeSet<_> = LearnerCounter::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), LearnerCounter::COUNT);
        let names: BTreeSet<_> = ConnectionCounter::ALL.iter().map(|c| c.name()).collect();
        assert_eq!(names.len(), ConnectionCounter::COUNT);
        assert_eq!(Counter::Cycles.doc(), "Control cycles executed.");
        assert_eq!(Counter::ALL[Counter::Events.index()], Counter::Events);
    }
}

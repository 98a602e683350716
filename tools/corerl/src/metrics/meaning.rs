//! What the words of the counter tables are as metrics: their names, kinds and units.

use shm_layout::{Counter, LearnerCounter};

use super::NS_PER_S;
use super::exposition::{Kind, Value};

/// How a word is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It only grows.
    Count,
    /// A state, or a number that comes and goes.
    State,
    /// Nanoseconds, shown in seconds.
    Duration,
    /// The bits of a number.
    Number,
}

impl Meaning {
    pub(super) const fn kind(self) -> Kind {
        match self {
            Self::Count => Kind::Counter,
            Self::State | Self::Duration | Self::Number => Kind::Gauge,
        }
    }

    pub(super) fn value(self, word: u64) -> Value {
        match self {
            Self::Count | Self::State => Value::Count(word),
            Self::Duration => Value::Number(word as f64 / NS_PER_S),
            Self::Number => Value::Number(f64::from_bits(word)),
        }
    }

    /// The metric's name: what it is of, the word's name without its unit, ours.
    fn name(self, prefix: &str, word: &str) -> String {
        match self {
            Self::Count => format!("{prefix}_{word}_total"),
            Self::State => format!("{prefix}_{word}"),
            Self::Duration => format!("{prefix}_{}_seconds", word.trim_end_matches("_ns")),
            Self::Number => format!("{prefix}_{}", word.trim_end_matches("_bits")),
        }
    }

    /// What it means, in the unit that is shown.
    fn help(self, doc: &str) -> String {
        match self {
            Self::Count | Self::State => doc.to_owned(),
            Self::Duration => doc.replace("nanoseconds", "seconds"),
            Self::Number => doc.replace(", as the bits of an f64", ""),
        }
    }
}

/// A word as a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) name: String,
    pub(super) help: String,
    pub(super) meaning: Meaning,
}

/// A counter of the runtime as a metric; `None` for one that another metric tells, or that means nothing to people.
pub(super) fn of_runtime(counter: Counter) -> Option<Word> {
    let meaning = match counter {
        Counter::Cycles
        | Counter::SlotsSkipped
        | Counter::SamplesReceived
        | Counter::SamplesLost
        | Counter::SetpointsWritten
        | Counter::SetpointsRejected
        | Counter::SetpointsExpired
        | Counter::SetpointsSuperseded
        | Counter::SetpointsLost
        | Counter::SetpointsFenced
        | Counter::Heartbeats
        | Counter::NanOutputs
        | Counter::TransitionsSent
        | Counter::PoliciesAdopted
        | Counter::PoliciesRefused
        | Counter::PoliciesFailedTrial
        | Counter::PoliciesRolledBack
        | Counter::AllocationsInCycle
        | Counter::PageFaultsInCycle
        | Counter::IoCycles
        | Counter::IoTimeouts
        | Counter::Reconnects
        | Counter::WritesUnknown
        | Counter::Events
        | Counter::Trips
        | Counter::NoWrites
        | Counter::CyclesUnrecorded
        | Counter::SpinGaps
        | Counter::MissesByBody
        | Counter::MissesByWake
        | Counter::MissesByGap
        | Counter::SubscriptionsEnded
        | Counter::MessagesRepublished
        | Counter::MessagesLost
        | Counter::ValueOverflows
        | Counter::GoalsJudged
        | Counter::GoalsMet
        | Counter::ZonesJudged
        | Counter::ZonesClear => Meaning::Count,
        Counter::Armed
        | Counter::Degraded
        | Counter::PolicyGeneration
        | Counter::LearnerEpoch
        | Counter::LearnerAlive
        | Counter::LearnerStalled
        | Counter::Connected
        | Counter::LeaseEpoch => Meaning::State,
        Counter::Period | Counter::PolicyAge | Counter::SpinMargin | Counter::SpinGapLongest => Meaning::Duration,
        // The sum over all limits has a name that does not clash with the one by limit.
        Counter::Clamps => {
            let (name, help) = ("corerl_rt_clamped_values_total".to_owned(), counter.doc().to_owned());
            return Some(Word { name, help, meaning: Meaning::Count });
        }
        // The mode has a metric of its own; instants of the monotonic clock say nothing; nobody counts failures of writes as a
        // whole apart from time-outs and refusals.
        Counter::Mode | Counter::TimeFirst | Counter::TimeLast | Counter::WriteFailures => return None,
    };
    Some(word(meaning, "corerl_rt", counter.name(), counter.doc()))
}

/// A counter of the learner as a metric; `None` for one that another metric tells.
pub(super) fn of_learner(counter: LearnerCounter) -> Option<Word> {
    let (meaning, name) = match counter {
        // The health of the networks has `updates` of its own.
        LearnerCounter::Updates => (Meaning::Count, "critic_updates"),
        LearnerCounter::HealthUpdates => (Meaning::State, "updates"),
        LearnerCounter::ReplayLength => (Meaning::State, "replay_transitions"),
        LearnerCounter::ActorUpdates
        | LearnerCounter::PoliciesPublished
        | LearnerCounter::PoliciesGated
        | LearnerCounter::TransitionsReceived
        | LearnerCounter::TransitionsLost
        | LearnerCounter::Checkpoints
        | LearnerCounter::PublishFailures
        | LearnerCounter::Estimates => (Meaning::Count, counter.name()),
        LearnerCounter::BestGeneration
        | LearnerCounter::DriftColumn
        | LearnerCounter::RebuildSteps
        | LearnerCounter::RebuildStepsDone => (Meaning::State, counter.name()),
        LearnerCounter::CriticLossBits
        | LearnerCounter::ActorLossBits
        | LearnerCounter::CriticGradientNormBits
        | LearnerCounter::ActorGradientNormBits
        | LearnerCounter::DeadUnitsBits
        | LearnerCounter::StableRankBits
        | LearnerCounter::EnsembleSpreadBits
        | LearnerCounter::PredictionErrorBits
        | LearnerCounter::DriftMeanBits
        | LearnerCounter::DriftLargestBits
        | LearnerCounter::ValueAddedBits => (Meaning::Number, counter.name()),
        // Its age is shown.
        LearnerCounter::Heartbeat => return None,
    };
    Some(word(meaning, "corerl_learner", name, counter.doc()))
}

fn word(meaning: Meaning, prefix: &str, name: &str, doc: &str) -> Word {
    Word { name: meaning.name(prefix, name), help: meaning.help(doc), meaning }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_gets_its_unit_into_name_help_and_number() {
        let age = of_runtime(Counter::PolicyAge).unwrap();
        assert_eq!(age.name, "corerl_rt_policy_age_seconds");
        assert_eq!(age.help, "Age of the policy: time since the learner last confirmed it, seconds.");
        assert_eq!(age.meaning.value(1_500_000_000), Value::Number(1.5));
        let loss = of_learner(LearnerCounter::CriticLossBits).unwrap();
        assert_eq!((loss.name.as_str(), loss.help.as_str()), ("corerl_learner_critic_loss", "Latest critic loss."));
        assert_eq!(loss.meaning.value(0.25_f64.to_bits()), Value::Number(0.25));
    }

    #[test]
    fn names_that_other_documents_promise_are_kept() {
        let health = [
            "updates",
            "critic_loss",
            "actor_loss",
            "critic_gradient_norm",
            "actor_gradient_norm",
            "dead_units",
            "stable_rank",
            "ensemble_spread",
            "prediction_error",
            "drift_mean",
            "drift_largest",
            "drift_column",
            "value_added",
        ];
        let learner: Vec<_> =
            LearnerCounter::ALL.iter().filter_map(|&of| of_learner(of)).map(|word| word.name).collect();
        for name in health {
            assert!(learner.contains(&format!("corerl_learner_{name}")), "{name}");
        }
        let runtime: Vec<_> = Counter::ALL.iter().filter_map(|&of| of_runtime(of)).map(|word| word.name).collect();
        for name in ["goals_judged", "goals_met", "zones_judged", "zones_clear"] {
            assert!(runtime.contains(&format!("corerl_rt_{name}_total")), "{name}");
        }
    }
}

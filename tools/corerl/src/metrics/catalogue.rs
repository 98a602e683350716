//! The metrics, each with its name, kind, labels, help, and where its numbers come from: what is listed is what is served.

use rt_core::mode::Mode;
use rt_core::tag::Quality;
use shm::histogram::Snapshot;
use shm_layout::{ConnectionCounter, Counter, HistogramKind, LearnerCounter, LearnerHistogram, RoundTrip};

use super::NS_PER_S;
use super::buckets::{Span, in_seconds};
use super::exposition::{Kind, Value};
use super::meaning::{self, Meaning};
use super::sight::Sight;
use super::tally::{LIMITS, QUALITIES};

/// Labels that every sample has, before its own.
pub(super) const COMMON_LABELS: [&str; 2] = ["service", "agent_id"];

const RUNTIME: &str = "corerl-rt";
const LEARNER: &str = "corerl-learner";

/// From 100 ns to 1 s: what happens within a period.
const WITHIN_A_PERIOD: Span = Span { first: 2, last: 9 };
/// From 10 us to 10 s: what goes over a network, or takes a learner's while.
const LONG: Span = Span { first: 4, last: 10 };

/// One metric.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Whose it is.
    pub(super) service: &'static str,
    /// Beside [`COMMON_LABELS`].
    pub(super) labels: &'static [&'static str],
    pub(super) help: String,
    /// Only served on demand, because there may be many.
    pub(super) per_tag: bool,
    source: Source,
}

/// One number of a metric, with the values of its labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) labels: Vec<String>,
    pub(super) value: Value,
}

/// Where a metric's numbers come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    Runtime(Counter, Meaning),
    Learner(LearnerCounter, Meaning),
    /// Whatever is made of what is seen of an agent.
    Sight(fn(&Sight<'_>) -> Vec<Sample>),
}

impl Family {
    /// The metric's samples of an agent that is there.
    pub(super) fn samples(&self, sight: &Sight<'_>) -> Vec<Sample> {
        match self.source {
            Source::Runtime(counter, meaning) => vec![plain(meaning.value(sight.memory.counter(counter)))],
            Source::Learner(counter, meaning) => {
                sight.memory.learner_counter(counter).map(|word| plain(meaning.value(word))).into_iter().collect()
            }
            Source::Sight(read) => read(sight),
        }
    }
}

/// All metrics, in the order in which they are served.
pub(super) fn families() -> Vec<Family> {
    let words = Counter::ALL.iter().filter_map(|&counter| {
        let meaning::Word { name, help, meaning } = meaning::of_runtime(counter)?;
        Some(family(name, meaning.kind(), RUNTIME, &[], help, Source::Runtime(counter, meaning)))
    });
    let learner_words = LearnerCounter::ALL.iter().filter_map(|&counter| {
        let meaning::Word { name, help, meaning } = meaning::of_learner(counter)?;
        Some(family(name, meaning.kind(), LEARNER, &[], help, Source::Learner(counter, meaning)))
    });
    let own = |service: &'static str| {
        move |(name, kind, labels, help, read): &Entry| {
            family((*name).to_owned(), *kind, service, labels, (*help).to_owned(), Source::Sight(*read))
        }
    };
    let per_tag = PER_TAG.iter().map(own(RUNTIME)).map(|family| Family { per_tag: true, ..family });
    STATE
        .iter()
        .map(own(RUNTIME))
        .chain(words)
        .chain(CYCLE.iter().chain(CONNECTIONS).map(own(RUNTIME)))
        .chain(learner_words)
        .chain(OF_LEARNER.iter().map(own(LEARNER)))
        .chain(per_tag)
        .collect()
}

fn family(
    name: String,
    kind: Kind,
    service: &'static str,
    labels: &'static [&'static str],
    help: String,
    source: Source,
) -> Family {
    Family { name, kind, service, labels, help, per_tag: false, source }
}

/// Name, kind, labels beside the common ones, help, and how it is read.
type Entry = (&'static str, Kind, &'static [&'static str], &'static str, fn(&Sight<'_>) -> Vec<Sample>);

/// How an agent is.
const STATE: &[Entry] = &[
    ("corerl_rt_build_info", Kind::Gauge, &["version"], "1, with the runtime's version.", |of| {
        vec![labelled([&of.memory.description().version], Value::Count(1))]
    }),
    ("corerl_rt_uptime_seconds", Kind::Gauge, &[], "Time since the runtime's start, seconds.", |of| {
        vec![plain(Value::Number(of.status.uptime_s))]
    }),
    ("corerl_rt_mode", Kind::Gauge, &["mode"], "1 for the mode that holds, 0 for the others.", |of| {
        let holds = |mode: Mode| of.memory.counter(Counter::Mode) == mode as u64;
        Mode::ALL.iter().map(|mode| labelled([mode.name()], truth(holds(*mode)))).collect()
    }),
    ("corerl_rt_latched", Kind::Gauge, &[], "1 while a trip is latched: an operator has to reset it.", |of| {
        vec![plain(truth(of.status.latched.is_some()))]
    }),
    (
        "corerl_rt_with_operator",
        Kind::Gauge,
        &["setpoint"],
        "1 for a setpoint that a person has, 0 for one that is the agent's.",
        |of| {
            let names = of.memory.description().setpoints.iter().map(|setpoint| &setpoint.name);
            names.map(|name| labelled([name], truth(of.status.with_operator.contains(name)))).collect()
        },
    ),
];

/// What the cycles did.
const CYCLE: &[Entry] = &[
    (
        "corerl_rt_release_lateness_seconds",
        Kind::Histogram,
        &[],
        "Wake-up of the control thread after the slot's release time, seconds.",
        |of| vec![plain(times(&of.memory.histogram(HistogramKind::Lateness), WITHIN_A_PERIOD))],
    ),
    ("corerl_rt_execution_seconds", Kind::Histogram, &[], "The control cycle's body, seconds.", |of| {
        vec![plain(times(&of.memory.histogram(HistogramKind::Execution), WITHIN_A_PERIOD))]
    }),
    (
        "corerl_rt_response_seconds",
        Kind::Histogram,
        &[],
        "From the receipt of the newest sample to the hand-over of the setpoints, seconds.",
        |of| vec![plain(times(&of.memory.histogram(HistogramKind::Response), LONG))],
    ),
    (
        "corerl_inference_latency_seconds",
        Kind::Histogram,
        &[],
        "One decision of the policy, from the complete state to the action, seconds.",
        |of| vec![plain(times(&of.memory.histogram(HistogramKind::Inference), WITHIN_A_PERIOD))],
    ),
    (
        "corerl_rt_clamps_total",
        Kind::Counter,
        &["setpoint", "limit"],
        "Cycles in which a limit of the envelope changed a setpoint, counted from cycle records since this program has seen the \
         runtime.",
        clamps,
    ),
    (
        "corerl_rt_records_missed_total",
        Kind::Counter,
        &[],
        "Cycle records that were overwritten before this program read them: what is counted from records lacks theirs.",
        |of| vec![plain(Value::Count(of.tally.missed))],
    ),
    ("corerl_rt_reward", Kind::Gauge, &[], "The newest reward.", |of| {
        of.tally.reward.map(|reward| plain(Value::Number(reward))).into_iter().collect()
    }),
    (
        "corerl_rt_setpoint_value",
        Kind::Gauge,
        &["setpoint", "stage"],
        "A setpoint in engineering units: wanted by policy or fallback, sent, and read_back from the plant.",
        setpoint_values,
    ),
    (
        "corerl_rt_setpoint_limit",
        Kind::Gauge,
        &["setpoint", "bound"],
        "The range of a setpoint in engineering units: its lower and its upper bound.",
        |of| {
            let setpoints = of.memory.description().setpoints.iter();
            let each = setpoints.flat_map(|of| [(&of.name, "lower", of.lo), (&of.name, "upper", of.hi)]);
            each.map(|(name, bound, value)| labelled([name.as_str(), bound], Value::Number(value))).collect()
        },
    ),
    ("corerl_rt_tags", Kind::Gauge, &["quality"], "Tags of this quality in the newest cycle.", |of| {
        let count = |quality: Quality| of.tally.tags.iter().filter(|tag| tag.quality == quality as u8).count() as u64;
        QUALITIES.iter().map(|(quality, name)| labelled([*name], Value::Count(count(*quality)))).collect()
    }),
];

/// What the connections did.
const CONNECTIONS: &[Entry] = &[
    ("corerl_rt_connection_up", Kind::Gauge, &["connection_id"], "1 while the connection is up.", |of| {
        per_connection(of, &[("", ConnectionCounter::Up)])
    }),
    ("corerl_rt_connects_total", Kind::Counter, &["connection_id"], "Connections that were established.", |of| {
        per_connection(of, &[("", ConnectionCounter::Connects)])
    }),
    (
        "corerl_rt_samples_total",
        Kind::Counter,
        &["connection_id", "quality"],
        "Samples that were read or told, by their quality.",
        |of| {
            let qualities = [
                ("good", ConnectionCounter::SamplesGood),
                ("uncertain", ConnectionCounter::SamplesUncertain),
                ("bad", ConnectionCounter::SamplesBad),
            ];
            per_connection(of, &qualities)
        },
    ),
    (
        "coreio_opc_roundtrip_seconds",
        Kind::Histogram,
        &["connection_id", "op"],
        "Calls to the plant that were answered, seconds; exchange is a write and a read at once.",
        |of| {
            let each =
                of.connections().flat_map(|(place, id)| RoundTrip::ALL.iter().map(move |call| (place, id, *call)));
            each.map(|(place, id, call)| labelled([id, call.name()], times(&of.memory.round_trips(place, call), LONG)))
                .collect()
        },
    ),
    (
        "coreio_opc_errors_total",
        Kind::Counter,
        &["connection_id", "error_type"],
        "What went wrong: a call missed its deadline (timeout), was refused as a whole (refused), a value was refused \
         (value_refused), the connection was lost (lost), or did not come about (connect).",
        |of| {
            let errors = [
                ("timeout", ConnectionCounter::ErrorsTimeout),
                ("refused", ConnectionCounter::ErrorsRefused),
                ("value_refused", ConnectionCounter::ErrorsValueRefused),
                ("lost", ConnectionCounter::ErrorsLost),
                ("connect", ConnectionCounter::ErrorsConnect),
            ];
            per_connection(of, &errors)
        },
    ),
];

/// What the learner does, beside its counters.
const OF_LEARNER: &[Entry] = &[
    (
        "corerl_learner_heartbeat_age_seconds",
        Kind::Gauge,
        &[],
        "Time since the learner last said that it lives, seconds.",
        |of| {
            let beat = of.memory.learner_counter(LearnerCounter::Heartbeat).filter(|beat| *beat > 0);
            let age = beat.map(|beat| of.now_ns.saturating_sub(beat) as f64 / NS_PER_S);
            age.map(|age| plain(Value::Number(age))).into_iter().collect()
        },
    ),
    (
        "corerl_learning_step_duration_seconds",
        Kind::Histogram,
        &[],
        "One update of the learner: critics, and actor where it is due, seconds.",
        |of| {
            let steps = of.memory.learner_histogram(LearnerHistogram::Step);
            steps.map(|steps| plain(times(&steps, LONG))).into_iter().collect()
        },
    ),
];

/// Numbers of single tags.
const PER_TAG: &[Entry] = &[
    ("corerl_rt_tag_value", Kind::Gauge, &["tag"], "A tag's value in engineering units (--per-tag).", |of| {
        of.tags().map(|(name, tag)| labelled([name], Value::Number(tag.value))).collect()
    }),
    ("corerl_rt_tag_age_seconds", Kind::Gauge, &["tag"], "A tag's age, seconds (--per-tag).", |of| {
        of.tags()
            .filter_map(|(name, tag)| Some(labelled([name], Value::Number(tag.age()? as f64 / NS_PER_S))))
            .collect()
    }),
    ("corerl_rt_tag_good", Kind::Gauge, &["tag"], "1 while a tag is good (--per-tag).", |of| {
        of.tags().map(|(name, tag)| labelled([name], truth(tag.quality == Quality::Good as u8))).collect()
    }),
];

fn clamps(of: &Sight<'_>) -> Vec<Sample> {
    let named = of.memory.description().setpoints.iter().zip(&of.tally.clamps);
    let each = named.flat_map(|(setpoint, counts)| LIMITS.iter().zip(counts).map(move |limit| (&setpoint.name, limit)));
    each.map(|(name, ((_, limit), count))| labelled([name.as_str(), limit], Value::Count(*count))).collect()
}

fn setpoint_values(of: &Sight<'_>) -> Vec<Sample> {
    let named = of.memory.description().setpoints.iter().zip(&of.tally.setpoints);
    let stages = |(name, part): (&str, &shm_layout::SetpointPart)| {
        [("wanted", part.desired), ("sent", part.sent), ("read_back", part.readback)]
            .map(|(stage, value)| labelled([name, stage], Value::Number(value)))
    };
    named.map(|(setpoint, part)| (setpoint.name.as_str(), part)).flat_map(stages).collect()
}

/// One sample for each connection and word; a word without a name adds no label.
fn per_connection(of: &Sight<'_>, words: &[(&str, ConnectionCounter)]) -> Vec<Sample> {
    let each = of.connections().flat_map(|(place, id)| words.iter().map(move |word| (place, id, word)));
    let sample = |(place, id, (name, counter)): (usize, &str, &(&str, ConnectionCounter))| {
        let labels = [id, *name].into_iter().filter(|label| !label.is_empty()).map(str::to_owned).collect();
        Some(Sample { labels, value: Value::Count(of.memory.connection_counter(place, *counter)?) })
    };
    each.filter_map(sample).collect()
}

fn times(snapshot: &Snapshot, span: Span) -> Value {
    Value::Distribution(in_seconds(snapshot, span))
}

fn truth(holds: bool) -> Value {
    Value::Count(holds.into())
}

fn plain(value: Value) -> Sample {
    Sample { labels: Vec::new(), value }
}

fn labelled<const N: usize>(labels: [impl AsRef<str>; N], value: Value) -> Sample {
    Sample { labels: labels.map(|label| label.as_ref().to_owned()).into(), value }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_metric_has_a_name_of_its_own_with_the_suffix_of_its_kind_and_a_sentence() {
        let families = families();
        let names: BTreeSet<_> = families.iter().map(|family| &family.name).collect();
        assert_eq!(names.len(), families.len());
        for Family { name, kind, help, .. } in &families {
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
            assert!(name.chars().all(legal) && help.ends_with('.'), "{name}: {help}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            assert!(!help.contains("nanoseconds") && !name.ends_with("_ns"), "{name}: {help}");
        }
    }

    #[test]
    fn no_name_is_that_of_a_part_of_a_histogram_or_of_another_ones_total() {
        let families = families();
        let names: BTreeSet<_> = families.iter().map(|family| family.name.as_str()).collect();
        for name in &names {
            let parts = ["bucket", "sum", "count", "total"].map(|part| format!("{name}_{part}"));
            assert!(parts.iter().all(|part| !names.contains(part.as_str())), "{name}");
        }
    }

    #[test]
    fn the_names_that_users_bring_along_are_there() {
        let families = families();
        let labels = |name: &str| families.iter().find(|family| family.name == name).map(|family| family.labels);
        assert_eq!(labels("corerl_inference_latency_seconds"), Some(&[][..]));
        assert_eq!(labels("corerl_learning_step_duration_seconds"), Some(&[][..]));
        assert_eq!(labels("coreio_opc_roundtrip_seconds"), Some(&["connection_id", "op"][..]));
        assert_eq!(labels("coreio_opc_errors_total"), Some(&["connection_id", "error_type"][..]));
    }
}

//! The end of a run in numbers: a table for people, `corerl.demo/1` for programs.

use serde::Serialize;
use shm::histogram::Snapshot;
use shm_layout::{Counter, LearnerCounter};

use super::recording::{ModeChange, Recording};

/// The name of the JSON's schema.
const SCHEMA: &str = "corerl.demo/1";

/// The JSON of a run; its fields are the schema `corerl.demo/1`.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    schema: &'static str,
    plant: String,
    seconds: f64,
    degraded: bool,
    degraded_because: Vec<String>,
    period_us: f64,
    cycles: u64,
    slots_elapsed: u64,
    slots_skipped: u64,
    lateness_us: Quantiles,
    execution_us: Quantiles,
    samples_received: u64,
    samples_lost: u64,
    setpoints_written: u64,
    setpoints_rejected: u64,
    heartbeats: u64,
    transitions_sent: u64,
    transitions_lost: u64,
    learner_updates: u64,
    policies_published: u64,
    policies_adopted: u64,
    policies_refused: u64,
    policies_failed_trial: u64,
    policies_rolled_back: u64,
    reward: Reward,
    mode_changes: Vec<ModeChange>,
    allocations_in_cycle: u64,
    page_faults_in_cycle: u64,
    records_lost: u64,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Quantiles {
    /// In microseconds; 0 when nothing was counted.
    fn of(histogram: &Snapshot) -> Self {
        let us = |ns: Option<u64>| ns.unwrap_or(0) as f64 / 1000.0;
        Self {
            p50: us(histogram.quantile_ns(0.5)),
            p99: us(histogram.quantile_ns(0.99)),
            p999: us(histogram.quantile_ns(0.999)),
            max: us(histogram.max_ns()),
        }
    }
}

#[derive(Debug, Serialize)]
struct Reward {
    first: Option<f64>,
    last: Option<f64>,
}

impl Summary {
    /// The numbers of a recording.
    pub(crate) fn of(recording: &Recording) -> Self {
        let counter = |counter| recording.counters.get(counter);
        let learner = |counter| recording.learner.get(counter);
        let reward = recording.reward();
        Self {
            schema: SCHEMA,
            plant: recording.plant.clone(),
            seconds: recording.running_ns() as f64 * 1e-9,
            degraded: counter(Counter::Degraded) != 0 || !recording.degraded.is_empty(),
            degraded_because: recording.degraded.clone(),
            period_us: recording.period_ns as f64 / 1000.0,
            cycles: counter(Counter::Cycles),
            slots_elapsed: recording.slots_elapsed(),
            slots_skipped: counter(Counter::SlotsSkipped),
            lateness_us: Quantiles::of(&recording.lateness),
            execution_us: Quantiles::of(&recording.execution),
            samples_received: counter(Counter::SamplesReceived),
            samples_lost: counter(Counter::SamplesLost),
            setpoints_written: counter(Counter::SetpointsWritten),
            setpoints_rejected: counter(Counter::SetpointsRejected),
            heartbeats: counter(Counter::Heartbeats),
            transitions_sent: counter(Counter::TransitionsSent),
            transitions_lost: learner(LearnerCounter::TransitionsLost),
            learner_updates: learner(LearnerCounter::Updates),
            policies_published: learner(LearnerCounter::PoliciesPublished),
            policies_adopted: counter(Counter::PoliciesAdopted),
            policies_refused: counter(Counter::PoliciesRefused),
            policies_failed_trial: counter(Counter::PoliciesFailedTrial),
            policies_rolled_back: counter(Counter::PoliciesRolledBack),
            reward: Reward { first: reward.map(|(first, _)| first), last: reward.map(|(_, last)| last) },
            mode_changes: recording.mode_changes.clone(),
            allocations_in_cycle: counter(Counter::AllocationsInCycle),
            page_faults_in_cycle: counter(Counter::PageFaultsInCycle),
            records_lost: recording.records_lost,
        }
    }

    /// As JSON with a line break at the end.
    pub(crate) fn json(&self) -> String {
        // Strings and numbers alone: nothing in it can fail to be serialised.
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The rows of the table: what, and how much.
    pub(crate) fn rows(&self) -> Vec<(&'static str, String)> {
        let quantiles =
            |q: &Quantiles| format!("p50 {:.1}  p99 {:.1}  p99.9 {:.1}  max {:.1} us", q.p50, q.p99, q.p999, q.max);
        let reward = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
        let real_time = if self.degraded {
            match self.degraded_because.as_slice() {
                [] => "degraded".to_owned(),
                reasons => format!("degraded: {}", reasons.join("; ")),
            }
        } else {
            "granted and confirmed".to_owned()
        };
        let identity = if self.slots_elapsed == self.cycles + self.slots_skipped {
            "cycles + lost slots = slots elapsed"
        } else {
            "cycles + lost slots DIFFER from slots elapsed"
        };
        vec![
            ("plant", self.plant.clone()),
            ("ran", format!("{:.1} s at {} us", self.seconds, self.period_us)),
            ("real-time", real_time),
            (
                "cycles",
                format!("{} of {} slots, {} lost ({identity})", self.cycles, self.slots_elapsed, self.slots_skipped),
            ),
            ("lateness", quantiles(&self.lateness_us)),
            ("execution", quantiles(&self.execution_us)),
            ("samples", format!("{} received, {} lost", self.samples_received, self.samples_lost)),
            (
                "setpoints",
                format!(
                    "{} written, {} rejected; {} heartbeats",
                    self.setpoints_written, self.setpoints_rejected, self.heartbeats
                ),
            ),
            (
                "learner",
                format!(
                    "{} updates; {} transitions sent, {} lost",
                    self.learner_updates, self.transitions_sent, self.transitions_lost
                ),
            ),
            (
                "policies",
                format!(
                    "{} published, {} adopted, {} refused, {} failed their trial, {} rolled back",
                    self.policies_published,
                    self.policies_adopted,
                    self.policies_refused,
                    self.policies_failed_trial,
                    self.policies_rolled_back
                ),
            ),
            (
                "reward",
                format!(
                    "{} over the first tenth, {} over the last",
                    reward(self.reward.first),
                    reward(self.reward.last)
                ),
            ),
            (
                "in the cycle",
                format!("{} allocations, {} page faults", self.allocations_in_cycle, self.page_faults_in_cycle),
            ),
        ]
    }

    /// The table for people.
    pub(crate) fn table(&self) -> String {
        self.rows().into_iter().map(|(what, how_much)| format!("{what:14}{how_much}\n")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::recording::tests::example;
    use super::*;

    #[test]
    fn the_json_has_every_field_of_its_schema() {
        let json: serde_json::Value = serde_json::from_str(&Summary::of(&example()).json()).unwrap();
        assert_eq!(json["schema"], "corerl.demo/1");
        for field in [
            "seconds",
            "degraded",
            "period_us",
            "cycles",
            "slots_elapsed",
            "slots_skipped",
            "samples_received",
            "samples_lost",
            "setpoints_written",
            "setpoints_rejected",
            "heartbeats",
            "transitions_sent",
            "transitions_lost",
            "learner_updates",
            "policies_published",
            "policies_adopted",
            "policies_refused",
            "policies_failed_trial",
            "policies_rolled_back",
            "allocations_in_cycle",
            "page_faults_in_cycle",
        ] {
            assert!(!json[field].is_null(), "{field}");
        }
        for (object, fields) in [
            ("lateness_us", &["p50", "p99", "p999", "max"][..]),
            ("execution_us", &["p50", "p99", "p999", "max"]),
            ("reward", &["first", "last"]),
        ] {
            for field in fields {
                assert!(json[object][field].is_number(), "{object}.{field}");
            }
        }
        assert_eq!(json["mode_changes"][0]["cause"], "armed");
        assert_eq!(json["slots_elapsed"], 10_000);
        assert_eq!(json["cycles"].as_u64().unwrap() + json["slots_skipped"].as_u64().unwrap(), 10_000);
    }

    #[test]
    fn the_table_says_when_the_count_of_slots_does_not_add_up() {
        let mut recording = example();
        assert!(!Summary::of(&recording).table().contains("DIFFER"));
        recording.counters.0[Counter::SlotsSkipped.index()] = 9;
        assert!(Summary::of(&recording).table().contains("DIFFER"));
    }

    #[test]
    fn a_run_without_decisions_has_no_reward() {
        let mut recording = example();
        recording.decisions.clear();
        let json: serde_json::Value = serde_json::from_str(&Summary::of(&recording).json()).unwrap();
        assert!(json["reward"]["first"].is_null());
    }
}

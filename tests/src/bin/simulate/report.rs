//! What came of the seeds, for people and for programs.

use std::time::Duration;

use serde_json::{Value, json};
use tests::simulation::{Failed, Passed};

use crate::seeds::Outcomes;

/// So many failures are told; the others are counted.
const FAILURES_TOLD: usize = 3;

/// The sum of all outcomes.
pub(crate) struct Report<'a> {
    passed: Vec<(u64, &'a Passed)>,
    failed: Vec<(u64, &'a Failed)>,
    took: Duration,
}

impl<'a> Report<'a> {
    pub(crate) fn new(outcomes: &'a Outcomes, took: Duration) -> Self {
        let passed = outcomes.iter().filter_map(|(seed, outcome)| Some((*seed, outcome.as_ref().ok()?))).collect();
        let failed = outcomes.iter().filter_map(|(seed, outcome)| Some((*seed, &**outcome.as_ref().err()?))).collect();
        Self { passed, failed, took }
    }

    /// Whether every one of so many seeds passed: one that was not run has not.
    pub(crate) fn all_passed(&self, seeds: u64) -> bool {
        self.failed.is_empty() && self.passed.len() as u64 == seeds
    }

    fn sum(&self, count: impl Fn(&Passed) -> u64) -> u64 {
        self.passed.iter().map(|(_, passed)| count(passed)).sum()
    }

    fn simulated_s(&self) -> f64 {
        self.passed.iter().map(|(_, passed)| passed.simulated.as_seconds()).sum()
    }

    /// Simulated time by real time.
    fn speed(&self) -> f64 {
        self.simulated_s() / self.took.as_secs_f64()
    }

    /// The hash of all outputs: the seed's own, or one over those of all seeds in their order.
    fn hash(&self) -> String {
        if let [(_, only)] = &self.passed[..] {
            return only.hash.clone();
        }
        let mut hasher = blake3::Hasher::new();
        for (_, passed) in &self.passed {
            hasher.update(passed.hash.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    pub(crate) fn text(&self, repeat: impl Fn(u64) -> String) -> String {
        let mut text = String::new();
        for (seed, failed) in self.failed.iter().take(FAILURES_TOLD) {
            text += &format!(
                "seed {seed}, slot {}: {} is broken\n  {}\n",
                failed.slot, failed.broken.invariant, failed.broken.what
            );
            failed.before.iter().for_each(|line| text += &format!("    {line}\n"));
            text += &format!("  to repeat it: {}\n", repeat(*seed));
        }
        if self.failed.len() > FAILURES_TOLD {
            let others: Vec<_> = self.failed.iter().skip(FAILURES_TOLD).map(|(seed, _)| seed.to_string()).collect();
            text += &format!("and seeds {}\n", others.join(", "));
        }
        let longest = self.passed.iter().map(|(_, passed)| passed.recovery).max().unwrap_or(0);
        text += &format!(
            "{} seeds passed, {} failed\n\
             {} cycles, {:.0} s of simulated time in {:.1} s: {:.0} x real time, {:.0} cycles/s\n\
             {} faults, {} changes of mode, {} trips, {} cycles in RUN, {} writes; {} networks adopted, {} refused, \
             {} failed their trial, {} rolled back\n\
             RUN again at most {longest} slots after the last fault\n\
             hash of all outputs {}\n",
            self.passed.len(),
            self.failed.len(),
            self.sum(|passed| passed.cycles),
            self.simulated_s(),
            self.took.as_secs_f64(),
            self.speed(),
            self.sum(|passed| passed.cycles) as f64 / self.took.as_secs_f64(),
            self.sum(|passed| passed.faults as u64),
            self.sum(|passed| passed.transitions),
            self.sum(|passed| passed.trips),
            self.sum(|passed| passed.in_run),
            self.sum(|passed| passed.writes),
            self.sum(|passed| passed.adopted),
            self.sum(|passed| passed.refused),
            self.sum(|passed| passed.failed_trial),
            self.sum(|passed| passed.rolled_back),
            self.hash(),
        );
        text
    }

    pub(crate) fn json(&self, repeat: impl Fn(u64) -> String) -> Value {
        let failed = self.failed.iter().map(|(seed, failed)| {
            json!({
                "seed": seed,
                "slot": failed.slot,
                "invariant": failed.broken.invariant,
                "what": failed.broken.what,
                "before": failed.before,
                "repeat": repeat(*seed),
            })
        });
        json!({
            "passed": self.passed.len(),
            "failed": failed.collect::<Vec<_>>(),
            "cycles": self.sum(|passed| passed.cycles),
            "simulated_s": self.simulated_s(),
            "took_s": self.took.as_secs_f64(),
            "speed": self.speed(),
            "faults": self.sum(|passed| passed.faults as u64),
            "transitions": self.sum(|passed| passed.transitions),
            "trips": self.sum(|passed| passed.trips),
            "cycles_in_run": self.sum(|passed| passed.in_run),
            "writes": self.sum(|passed| passed.writes),
            "networks_adopted": self.sum(|passed| passed.adopted),
            "networks_refused": self.sum(|passed| passed.refused),
            "networks_failed_trial": self.sum(|passed| passed.failed_trial),
            "networks_rolled_back": self.sum(|passed| passed.rolled_back),
            "learners_stalled": self.sum(|passed| passed.stalled),
            "recovery_slots_max": self.passed.iter().map(|(_, passed)| passed.recovery).max(),
            "hash": self.hash(),
        })
    }
}

//! What a run of the demo leaves: plain data, from which summary, JSON and report are made.

use shm::histogram::Snapshot;
use shm_layout::{Counter, LearnerCounter};

/// Everything that was seen.
#[derive(Debug, Clone)]
pub(crate) struct Recording {
    /// Name of the plant.
    pub(crate) plant: String,
    /// The control period, nanoseconds.
    pub(crate) period_ns: u64,
    /// Names of the tags, in the order of [`Decision::tags`].
    pub(crate) tags: Vec<String>,
    /// Names of the setpoints, in the order of [`Decision::setpoints`].
    pub(crate) setpoints: Vec<String>,
    /// What happened at decision slots, oldest first.
    pub(crate) decisions: Vec<Decision>,
    /// Changes of the mode, oldest first.
    pub(crate) mode_changes: Vec<ModeChange>,
    /// Adoptions of policies, oldest first.
    pub(crate) adoptions: Vec<Adoption>,
    /// Everything else that was reported, oldest first, up to [`HAPPENINGS_MAX`].
    pub(crate) happenings: Vec<Happening>,
    /// The runtime's counters.
    pub(crate) counters: Counters,
    /// The learner's counters.
    pub(crate) learner: LearnerCounters,
    /// Wake-up after the release time.
    pub(crate) lateness: Snapshot,
    /// The cycle's body.
    pub(crate) execution: Snapshot,
    /// Cycle records and events that were overwritten before we read them.
    pub(crate) records_lost: u64,
    /// What was asked of the kernel and not granted.
    pub(crate) degraded: Vec<String>,
}

/// One decision slot.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    /// Release time, CLOCK_MONOTONIC nanoseconds.
    pub(crate) time_ns: u64,
    /// Reward of the step that ended here; NaN when there is none.
    pub(crate) reward: f64,
    /// Values of the tags, engineering units; NaN when missing.
    pub(crate) tags: Vec<f64>,
    /// Values that the envelope let through, engineering units.
    pub(crate) setpoints: Vec<f64>,
}

/// One change of the mode.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct ModeChange {
    /// Slot in which it happened.
    pub(crate) cycle: u64,
    /// The mode before.
    pub(crate) from: String,
    /// The mode after.
    pub(crate) to: String,
    /// Why.
    pub(crate) cause: String,
}

/// One adoption of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Adoption {
    /// CLOCK_MONOTONIC nanoseconds.
    pub(crate) time_ns: u64,
    /// Its generation.
    pub(crate) generation: u64,
}

/// An event of the runtime.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happening {
    /// CLOCK_MONOTONIC nanoseconds.
    pub(crate) time_ns: u64,
    /// What happened, for people.
    pub(crate) what: String,
}

/// The most events that a recording keeps.
pub(crate) const HAPPENINGS_MAX: usize = 500;

/// The runtime's counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counters(pub(crate) Vec<u64>);

impl Counters {
    /// All zero.
    pub(crate) fn new() -> Self {
        Self(vec![0; Counter::COUNT])
    }

    /// One of them.
    pub(crate) fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter.index()).copied().unwrap_or(0)
    }
}

/// The learner's counters at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LearnerCounters(pub(crate) Vec<u64>);

impl LearnerCounters {
    /// All zero.
    pub(crate) fn new() -> Self {
        Self(vec![0; LearnerCounter::COUNT])
    }

    /// One of them.
    pub(crate) fn get(&self, counter: LearnerCounter) -> u64 {
        self.0.get(counter.index()).copied().unwrap_or(0)
    }

    /// The sums: counts of a learner and of those before it.
    pub(crate) fn plus(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(ours, theirs)| ours.wrapping_add(*theirs)).collect())
    }
}

impl Recording {
    /// Slots that the clock says have passed: `floor((t_last - t_first)/T) + 1`, or 0 before the first cycle.
    pub(crate) fn slots_elapsed(&self) -> u64 {
        if self.counters.get(Counter::Cycles) == 0 || self.period_ns == 0 {
            return 0;
        }
        self.running_ns() / self.period_ns + 1
    }

    /// Time from the first to the last cycle, nanoseconds.
    pub(crate) fn running_ns(&self) -> u64 {
        let first = self.counters.get(Counter::TimeFirst);
        self.counters.get(Counter::TimeLast).saturating_sub(first)
    }

    /// Seconds since the first cycle.
    pub(crate) fn seconds_at(&self, time_ns: u64) -> f64 {
        let first = self.counters.get(Counter::TimeFirst);
        time_ns.saturating_sub(first) as f64 * 1e-9
    }

    /// Mean rewards over the first and the last tenth of the decisions; `None` before there are ten.
    pub(crate) fn reward(&self) -> Option<(f64, f64)> {
        let rewards: Vec<f64> =
            self.decisions.iter().map(|decision| decision.reward).filter(|reward| reward.is_finite()).collect();
        let tenth = rewards.len() / 10;
        if tenth == 0 {
            return None;
        }
        let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
        Some((mean(&rewards[..tenth]), mean(&rewards[rewards.len() - tenth..])))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A recording of a thousand decisions, for the tests of everything that is made from recordings.
    pub(crate) fn example() -> Recording {
        let mut counters = Counters::new();
        counters.0[Counter::Cycles.index()] = 9_990;
        counters.0[Counter::SlotsSkipped.index()] = 10;
        counters.0[Counter::TimeFirst.index()] = 5_000_000_000;
        counters.0[Counter::TimeLast.index()] = 14_999_000_000;
        let mut lateness = Snapshot::default();
        for value in [1_000, 2_000, 2_000, 50_000] {
            lateness.record(value);
        }
        Recording {
            plant: "saturation".to_owned(),
            period_ns: 1_000_000,
            tags: ["u", "level", "level_sp"].map(str::to_owned).to_vec(),
            setpoints: vec!["u".to_owned()],
            decisions: (0..1000_u32)
                .map(|k| Decision {
                    time_ns: 5_000_000_000 + u64::from(k) * 10_000_000,
                    reward: if k == 0 { f64::NAN } else { -1.0 / f64::from(k) },
                    tags: vec![0.25, 0.5 + 1.0 / f64::from(k + 2), 0.5],
                    setpoints: vec![0.25],
                })
                .collect(),
            mode_changes: vec![ModeChange {
                cycle: 12,
                from: "shadow".to_owned(),
                to: "run".to_owned(),
                cause: "armed".to_owned(),
            }],
            adoptions: vec![Adoption { time_ns: 9_000_000_000, generation: 1 }],
            happenings: vec![Happening { time_ns: 6_000_000_000, what: "connection_up plant".to_owned() }],
            counters,
            learner: LearnerCounters::new(),
            execution: lateness.clone(),
            lateness,
            records_lost: 0,
            degraded: vec!["no <FIFO> priority".to_owned()],
        }
    }

    #[test]
    fn elapsed_slots_come_from_the_clock() {
        let recording = example();
        assert_eq!(recording.slots_elapsed(), 10_000);
        let empty = Recording { counters: Counters::new(), ..recording };
        assert_eq!(empty.slots_elapsed(), 0);
    }

    #[test]
    fn rewards_are_means_over_tenths_and_missing_ones_do_not_count() {
        let mut recording = example();
        for (k, decision) in recording.decisions.iter_mut().enumerate() {
            decision.reward = if k < 500 { -1.0 } else { -0.25 };
        }
        recording.decisions[3].reward = f64::NAN;
        assert_eq!(recording.reward(), Some((-1.0, -0.25)));
        recording.decisions.truncate(9);
        assert_eq!(recording.reward(), None);
    }
}

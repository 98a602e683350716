//! What a run leaves behind: every slot in histograms, raw and corrected for coordinated omission.

use rt_core::time::Period;
use serde::Serialize;
use shm::histogram::Snapshot;

/// The microsecond histogram reaches so far at least.
pub(super) const MICROSECONDS_MIN: usize = 100;
/// One wait can lose so many slots before the rest is counted only.
const CORRECTED_MAX: u64 = 1_000_000;

/// The slots of one run.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    period: Period,
    /// Slots that were taken.
    pub(super) slots: u64,
    /// Slots that were lost.
    pub(super) lost: u64,
    pub(super) lateness: Corrected,
    pub(super) execution: Snapshot,
    pub(super) response: Corrected,
    /// Raw release lateness in whole microseconds, for formats that count so.
    pub(super) microseconds: Box<[u64]>,
}

/// One kind of time, as it was measured, and with what the lost slots would have shown.
#[derive(Clone, Debug, Default)]
pub(super) struct Corrected {
    pub(super) raw: Snapshot,
    pub(super) corrected: Snapshot,
}

impl Corrected {
    fn note(&mut self, value_ns: u64, period: Period, skipped: u64) {
        self.raw.record(value_ns);
        // A wait that lost slots was a wait for each of them, a period shorter for every one.
        for lost in 0..=skipped.min(CORRECTED_MAX) {
            self.corrected.record(value_ns.saturating_sub(period.as_ns().saturating_mul(lost)));
        }
    }
}

impl Tape {
    /// An empty tape; `microseconds` is the reach of the microsecond histogram.
    pub(super) fn new(period: Period, microseconds: usize) -> Self {
        Self {
            period,
            slots: 0,
            lost: 0,
            lateness: Corrected::default(),
            execution: Snapshot::default(),
            response: Corrected::default(),
            microseconds: vec![0; microseconds.max(MICROSECONDS_MIN)].into(),
        }
    }

    /// Notes a slot that began `lateness_ns` after the release that was waited for, before which `skipped` slots were lost.
    ///
    /// # Real-time
    /// Allocates nothing; bounded by the number of lost slots.
    pub(super) fn note(&mut self, lateness_ns: u64, execution_ns: u64, skipped: u64) {
        self.slots += 1;
        self.lost += skipped;
        self.lateness.note(lateness_ns, self.period, skipped);
        self.execution.record(execution_ns);
        self.response.note(lateness_ns.saturating_add(execution_ns), self.period, skipped);
        let microsecond = usize::try_from(lateness_ns / 1000).unwrap_or(usize::MAX);
        if let Some(count) = self.microseconds.get_mut(microsecond) {
            *count += 1;
        }
    }

    /// Lost slots in a million of all.
    pub(super) fn lost_per_million(&self) -> f64 {
        1e6 * self.lost as f64 / (self.slots + self.lost).max(1) as f64
    }
}

/// The figures of a histogram that are quoted, nanoseconds.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Figures {
    pub(super) count: u64,
    pub(super) min_ns: Option<u64>,
    pub(super) mean_ns: Option<f64>,
    pub(super) p50_ns: Option<u64>,
    pub(super) p90_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
    pub(super) p999_ns: Option<u64>,
    pub(super) p9999_ns: Option<u64>,
    pub(super) max_ns: Option<u64>,
}

impl Figures {
    pub(super) fn of(histogram: &Snapshot) -> Self {
        let quantile = |q| histogram.quantile_ns(q);
        Self {
            count: histogram.count(),
            min_ns: histogram.min_ns(),
            mean_ns: histogram.mean_ns(),
            p50_ns: quantile(0.5),
            p90_ns: quantile(0.9),
            p99_ns: quantile(0.99),
            p999_ns: quantile(0.999),
            p9999_ns: quantile(0.9999),
            max_ns: histogram.max_ns(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tape() -> Tape {
        Tape::new(Period::from_ns(1_000_000).unwrap(), 0)
    }

    #[test]
    fn a_lost_slot_shows_in_the_corrected_histogram_with_the_wait_it_had() {
        let mut tape = tape();
        tape.note(2_400_000, 50_000, 2);
        assert_eq!((tape.slots, tape.lost), (1, 2));
        assert_eq!((tape.lateness.raw.count(), tape.lateness.corrected.count()), (1, 3));
        assert_eq!(
            (tape.lateness.corrected.min_ns(), tape.lateness.corrected.max_ns()),
            (Some(400_000), Some(2_400_000))
        );
        assert_eq!(tape.response.corrected.mean_ns(), Some(1_450_000.0));
        assert_eq!(tape.execution.count(), 1);
    }

    #[test]
    fn without_lost_slots_nothing_is_corrected() {
        let mut tape = tape();
        (0..1000).for_each(|value| tape.note(value, 10, 0));
        assert_eq!(tape.lateness.raw, tape.lateness.corrected);
        assert_eq!(tape.lost_per_million(), 0.0);
        assert_eq!(tape.microseconds[0], 1000);
    }

    #[test]
    fn lost_slots_are_counted_in_a_million_of_all_slots() {
        let mut tape = tape();
        (0..9).for_each(|_| tape.note(0, 0, 0));
        tape.note(1_000_000, 0, 1);
        assert_eq!(tape.lost_per_million(), 1e6 / 11.0);
    }
}

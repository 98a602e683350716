//! From the histograms in shared memory, 32 buckets an octave, to the few that Prometheus keeps.

use shm::histogram::Snapshot;
use shm_layout::{bucket_of, upper_bound};

use super::NS_PER_S;
use super::exposition::Distribution;

/// The powers of ten of nanoseconds between which a metric has limits: 1, 2 and 5 times each of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: u32,
    pub(super) last: u32,
}

impl Span {
    /// The limits, nanoseconds: each is the upper border of the bucket that holds the round number, so that the counts are
    /// exact, and at most 1/32 above it.
    fn limits_ns(self) -> impl Iterator<Item = u64> {
        (self.first..self.last)
            .flat_map(|power| [1, 2, 5].map(|digit: u64| digit * 10_u64.pow(power)))
            .chain([10_u64.pow(self.last)])
            .map(|round| upper_bound(bucket_of(round)))
    }
}

/// How many values lie below each limit, in seconds.
pub(super) fn in_seconds(snapshot: &Snapshot, span: Span) -> Distribution {
    let mut filled = snapshot.buckets().peekable();
    let mut below = 0_u64;
    let buckets = span.limits_ns().map(|limit| {
        while let Some((_, _, count)) = filled.next_if(|(_, upper, _)| *upper <= limit) {
            below = below.saturating_add(count);
        }
        (limit as f64 / NS_PER_S, below)
    });
    Distribution { buckets: buckets.collect(), sum: snapshot.sum_ns() as f64 / NS_PER_S, count: snapshot.count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Span = Span { first: 2, last: 9 };

    #[test]
    fn limits_are_round_to_a_thirty_second_and_increase() {
        let limits: Vec<_> = SPAN.limits_ns().collect();
        assert_eq!(limits.len(), 22);
        assert!(limits.windows(2).all(|pair| pair[0] < pair[1]));
        for (limit, round) in limits.iter().zip([100, 200, 500, 1_000, 2_000, 5_000_u64]) {
            assert!((round..=round + round / 32).contains(limit), "{limit} for {round}");
        }
    }

    #[test]
    fn every_value_is_counted_below_the_first_limit_that_it_does_not_exceed() {
        let limits: Vec<_> = SPAN.limits_ns().collect();
        for value in [0, 99, 100, 103, 104, 7_777, limits[5], limits[5] + 1, 999_999_999, 5_000_000_000] {
            let mut snapshot = Snapshot::default();
            snapshot.record(value);
            let distribution = in_seconds(&snapshot, SPAN);
            let expected: Vec<_> = limits.iter().map(|limit| u64::from(value <= *limit)).collect();
            let counts: Vec<_> = distribution.buckets.iter().map(|(_, count)| *count).collect();
            assert_eq!((counts, distribution.count), (expected, 1), "{value}");
            assert_eq!(distribution.sum, value as f64 / 1e9);
        }
    }
}

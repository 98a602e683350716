//! Latency histograms: recorded by one thread without waiting, read by anyone at any time.
//!
//! The buckets are those of [`shm_layout::bucket_of`]: 32 per octave, so that a value read back is
//! never below the one recorded and at most 1/32 above it. A snapshot taken while the writer records
//! may miss its latest values, never count one twice.

#[cfg(not(loom))]
use shm_layout::{CLAIM_WORD, HistogramKind, Shape};
use shm_layout::{HISTOGRAM_BUCKETS, HISTOGRAM_WORDS, bucket_of, lower_bound, upper_bound};

use crate::region::Region;
use crate::sync::{Arc, AtomicU64, Ordering};
#[cfg(not(loom))]
use crate::{RoleRefused, Segment};

/// Words before the buckets; the smallest value is stored as its complement, so that 0 is "none".
const MIN_COMPLEMENT: usize = 0;
const MAX: usize = 1;
const SUM: usize = 2;
const BUCKETS: usize = HISTOGRAM_WORDS - HISTOGRAM_BUCKETS;

const _: () = assert!(BUCKETS == SUM + 1);

/// A histogram on the heap, empty.
///
/// # Real-time
///
/// Not for the real-time thread.
pub fn heap() -> (Writer, Reader) {
    let region = Arc::new(Region::heap(HISTOGRAM_WORDS, HISTOGRAM_WORDS, 1));
    let writer = Writer { region: Arc::clone(&region), slot: 0 };
    (writer, Reader { region, slot: 0 })
}

/// Claims the segment's writer: one per [`HistogramKind`], in the order of its table.
///
/// # Errors
///
/// [`RoleRefused`]: another kind, read-only, or claimed before.
#[cfg(not(loom))]
pub fn writers(segment: &Segment) -> Result<[Writer; HistogramKind::COUNT], RoleRefused> {
    let region = claimed(segment)?;
    Ok(std::array::from_fn(|slot| Writer { region: Arc::clone(&region), slot }))
}

/// Claims the segment's writer: one per histogram of it, in their order.
///
/// # Errors
///
/// [`RoleRefused`]: another kind, read-only, or claimed before.
#[cfg(not(loom))]
pub fn all_writers(segment: &Segment) -> Result<Vec<Writer>, RoleRefused> {
    let region = claimed(segment)?;
    Ok((0..region.slots).map(|slot| Writer { region: Arc::clone(&region), slot }).collect())
}

#[cfg(not(loom))]
fn claimed(segment: &Segment) -> Result<Arc<Region>, RoleRefused> {
    segment.claimed::<CLAIM_WORD>(Shape::Histograms, "histogram")
}

/// Adds to a word that no other thread writes.
#[inline]
fn add(word: &AtomicU64, by: u64) {
    // Relaxed, and a load and a store for being the only writer: no order between words is promised.
    word.store(word.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

/// Raises a word that no other thread writes.
#[inline]
fn raise(word: &AtomicU64, to: u64) {
    if word.load(Ordering::Relaxed) < to {
        word.store(to, Ordering::Relaxed);
    }
}

/// The side that records.
#[derive(Debug)]
pub struct Writer {
    region: Arc<Region>,
    slot: usize,
}

impl Writer {
    /// A reader of the same histogram in this process.
    pub fn reader(&self) -> Reader {
        Reader { region: Arc::clone(&self.region), slot: self.slot }
    }

    /// Records a value, in nanoseconds.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn record(&mut self, value_ns: u64) {
        let words = self.region.slot(self.slot);
        let [min_complement, max, sum, buckets @ ..] = words else {
            return;
        };
        raise(min_complement, !value_ns);
        raise(max, value_ns);
        add(sum, value_ns);
        if let Some(bucket) = buckets.get(bucket_of(value_ns)) {
            add(bucket, 1);
        }
    }
}

/// A side that reads.
#[derive(Clone, Debug)]
pub struct Reader {
    region: Arc<Region>,
    slot: usize,
}

impl Reader {
    /// A reader of one of the segment's histograms; read-only access is enough.
    ///
    /// # Errors
    ///
    /// [`RoleRefused::WrongShape`].
    #[cfg(not(loom))]
    pub fn new(segment: &Segment, kind: HistogramKind) -> Result<Self, RoleRefused> {
        let region = segment.readable(Shape::Histograms, "histogram")?;
        let slot = kind as usize;
        Ok(Self { region, slot })
    }

    /// Readers of all histograms of a segment, in their order.
    ///
    /// # Errors
    ///
    /// [`RoleRefused::WrongShape`].
    #[cfg(not(loom))]
    pub fn all(segment: &Segment) -> Result<Vec<Self>, RoleRefused> {
        let region = segment.readable(Shape::Histograms, "histogram")?;
        Ok((0..region.slots).map(|slot| Self { region: Arc::clone(&region), slot }).collect())
    }

    /// A private copy of the present state.
    ///
    /// # Real-time
    ///
    /// Not for the real-time thread.
    pub fn snapshot(&self) -> Snapshot {
        let words = self.region.slot(self.slot);
        let word = |index: usize| words.get(index).map_or(0, |word| word.load(Ordering::Relaxed));
        let counts: Box<[u64]> = (0..HISTOGRAM_BUCKETS).map(|i| word(BUCKETS + i)).collect();
        let count = counts.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
        Snapshot { count, sum_ns: word(SUM), min_ns: !word(MIN_COMPLEMENT), max_ns: word(MAX), counts }
    }
}

/// A histogram at one moment: plain numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    counts: Box<[u64]>,
    count: u64,
    sum_ns: u64,
    min_ns: u64,
    max_ns: u64,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self { counts: vec![0; HISTOGRAM_BUCKETS].into(), count: 0, sum_ns: 0, min_ns: u64::MAX, max_ns: 0 }
    }
}

impl Snapshot {
    /// Records a value, in nanoseconds, into this copy.
    pub fn record(&mut self, value_ns: u64) {
        self.count += 1;
        self.sum_ns = self.sum_ns.wrapping_add(value_ns);
        self.min_ns = self.min_ns.min(value_ns);
        self.max_ns = self.max_ns.max(value_ns);
        if let Some(count) = self.counts.get_mut(bucket_of(value_ns)) {
            *count += 1;
        }
    }

    /// Number of values.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Smallest value, nanoseconds; `None` without values.
    pub fn min_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.min_ns)
    }

    /// Largest value, nanoseconds; `None` without values.
    pub fn max_ns(&self) -> Option<u64> {
        (self.count > 0).then_some(self.max_ns)
    }

    /// Sum of all values, nanoseconds; it begins anew at 0 after 584 years.
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// Mean value, nanoseconds; `None` without values.
    pub fn mean_ns(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum_ns as f64 / self.count as f64)
    }

    /// The value that a part `q` (0 to 1) of all values does not exceed, nanoseconds: never below the
    /// exact one and at most 1/32 above it. `None` without values.
    pub fn quantile_ns(&self, q: f64) -> Option<u64> {
        // The count as f64 may be the next number above it.
        let rank = ((q.clamp(0.0, 1.0) * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut below = 0_u64;
        let bucket = self.counts.iter().position(|count| {
            below = below.saturating_add(*count);
            below >= rank
        })?;
        // The last bucket also counts what is too large for it.
        let upper = if bucket + 1 == HISTOGRAM_BUCKETS { self.max_ns } else { upper_bound(bucket) };
        Some(upper.min(self.max_ns).max(self.min_ns))
    }

    /// Number of values above a limit, nanoseconds; those in the limit's own bucket are not counted.
    pub fn count_above(&self, limit_ns: u64) -> u64 {
        let above = self.counts.get(bucket_of(limit_ns) + 1..).unwrap_or(&[]);
        above.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// The buckets that are not empty: lower bound, upper bound (nanoseconds, both included), count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        let bounded = |(i, count): (usize, &u64)| (lower_bound(i), upper_bound(i), *count);
        let filled = |(_, count): &(usize, &u64)| **count > 0;
        self.counts.iter().enumerate().filter(filled).map(bounded)
    }

    /// Adds the values of another histogram.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours = ours.saturating_add(*theirs);
        }
        self.count = self.count.saturating_add(other.count);
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
        self.min_ns = self.min_ns.min(other.min_ns);
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// What was recorded since an earlier snapshot of the same histogram.
    ///
    /// Smallest and largest value are then known to their bucket only.
    pub fn since(&self, earlier: &Self) -> Self {
        let pairs = self.counts.iter().zip(&earlier.counts);
        let counts: Box<[u64]> = pairs.map(|(now, then)| now.saturating_sub(*then)).collect();
        let first = counts.iter().position(|count| *count > 0);
        let last = counts.iter().rposition(|count| *count > 0);
        Self {
            count: counts.iter().fold(0, |sum, n| sum.saturating_add(*n)),
            sum_ns: self.sum_ns.wrapping_sub(earlier.sum_ns),
            min_ns: first.map_or(u64::MAX, |i| lower_bound(i).max(self.min_ns)),
            max_ns: last.map_or(0, |i| match i + 1 {
                HISTOGRAM_BUCKETS => self.max_ns,
                _ => upper_bound(i).min(self.max_ns),
            }),
            counts,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Access, SegmentKind, Spec};
    use proptest::prelude::*;
    use shm_layout::RoundTrip;

    #[test]
    fn counts_that_nobody_can_have_recorded_have_quantiles_and_a_sum_all_the_same() {
        let mut counts = vec![0; HISTOGRAM_BUCKETS];
        counts[7] = u64::MAX >> 1;
        let snapshot = Snapshot { count: counts[7], min_ns: 7, max_ns: 7, counts: counts.into(), sum_ns: 0 };
        assert_eq!([0.0, 0.5, 1.0].map(|q| snapshot.quantile_ns(q)), [Some(7); 3]);
        let snapshot = Snapshot { counts: vec![u64::MAX; HISTOGRAM_BUCKETS].into(), ..snapshot };
        assert_eq!(snapshot.count_above(0), u64::MAX);
    }

    #[test]
    fn an_empty_histogram_has_no_figures() {
        let snapshot = heap().1.snapshot();
        assert_eq!(snapshot, Snapshot::default());
        assert_eq!(snapshot.count(), 0);
        assert_eq!(snapshot.quantile_ns(0.5), None);
        assert_eq!((snapshot.min_ns(), snapshot.max_ns()), (None, None));
        assert_eq!(snapshot.mean_ns(), None);
    }

    #[test]
    fn the_histograms_of_a_segment_are_apart() {
        let segment = Segment::create(&Spec::histograms()).unwrap();
        let [mut lateness, _, mut response, _] = writers(&segment).unwrap();
        lateness.record(5);
        response.record(u64::MAX);
        assert!(writers(&segment).is_err());
        let descriptor = segment.read_only_fd().unwrap();
        let attached = Segment::attach(descriptor, Access::ReadOnly, SegmentKind::Histograms);
        let attached = attached.unwrap();
        let snapshot = |kind| Reader::new(&attached, kind).unwrap().snapshot();
        assert_eq!(snapshot(HistogramKind::Lateness).max_ns(), Some(5));
        assert_eq!(snapshot(HistogramKind::Execution).count(), 0);
        let overflowed = snapshot(HistogramKind::Response);
        assert_eq!(overflowed.quantile_ns(1.0), Some(u64::MAX));
        assert_eq!(overflowed.min_ns(), Some(u64::MAX));
    }

    #[test]
    fn the_round_trips_of_connections_are_apart() {
        let segment = Segment::create(&Spec::round_trips(2)).unwrap();
        let mut writers = all_writers(&segment).unwrap();
        let slot = RoundTrip::Write.slot(1);
        writers[slot].record(7);
        assert!(all_writers(&segment).is_err(), "they were claimed before");
        let counts: Vec<_> = Reader::all(&segment).unwrap().iter().map(|reader| reader.snapshot().count()).collect();
        assert_eq!(counts.len(), 2 * RoundTrip::COUNT);
        assert_eq!((counts.iter().sum::<u64>(), counts[slot]), (1, 1));
    }

    #[test]
    fn the_difference_of_two_snapshots_holds_what_came_between() {
        let (mut writer, reader) = heap();
        writer.record(10);
        let earlier = reader.snapshot();
        writer.record(1000);
        writer.record(2000);
        let between = reader.snapshot().since(&earlier);
        assert_eq!(between.count(), 2);
        assert_eq!(between.mean_ns(), Some(1500.0));
        assert!((990..=1000).contains(&between.min_ns().unwrap()));
        assert_eq!(between.max_ns(), Some(2000));
        assert_eq!(between.count_above(1500), 1);
        let none = reader.snapshot().since(&reader.snapshot());
        assert_eq!(none.count(), 0);
        assert_eq!(none.max_ns(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn quantiles_are_never_below_and_at_most_a_thirty_second_above(
            mut values in prop::collection::vec(
                (0_u32..40).prop_flat_map(|bits| 0_u64..1 << bits), 1..300),
            q in 0.0..=1.0_f64,
        ) {
            let (mut writer, reader) = heap();
            for value in &values {
                writer.record(*value);
            }
            values.sort_unstable();
            let rank = (q * values.len() as f64).ceil().max(1.0) as usize;
            let exact = values[rank - 1];
            let snapshot = reader.snapshot();
            let found = snapshot.quantile_ns(q).unwrap();
            prop_assert!(found >= exact, "{found} < {exact}");
            prop_assert!(found - exact <= exact / 32, "{found} for {exact}");
            prop_assert_eq!(snapshot.count(), values.len() as u64);
            prop_assert_eq!(snapshot.min_ns(), values.first().copied());
            prop_assert_eq!(snapshot.max_ns(), values.last().copied());
        }

        #[test]
        fn merging_is_recording_both(
            ours in prop::collection::vec(0_u64..1 << 41, 0..50),
            theirs in prop::collection::vec(0_u64..1 << 41, 0..50),
        ) {
            let of = |values: &[u64]| {
                let mut snapshot = Snapshot::default();
                values.iter().for_each(|value| snapshot.record(*value));
                snapshot
            };
            let mut merged = of(&ours);
            merged.merge(&of(&theirs));
            prop_assert_eq!(merged, of(&[ours, theirs].concat()));
        }
    }
}

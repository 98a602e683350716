//! Curves of any length in a fixed number of columns: lowest and highest value of each, so that no spike is lost.

use shm::histogram::Snapshot;

/// Columns of a curve at most; as many are drawn as can be seen.
const COLUMNS_MAX: usize = 400;
/// Columns of a curve of quantiles at most.
const QUANTILE_COLUMNS_MAX: usize = 120;
/// Width of a column at first, nanoseconds. Whenever there are too many, two become one.
const WIDTH_NS: u64 = 1 << 20;

/// Values that can be put together.
trait Merge: Clone + Default {
    fn merge(&mut self, later: &Self);
}

/// A row of columns, all of them equally wide.
#[derive(Debug)]
struct Columns<C> {
    width_ns: u64,
    max: usize,
    columns: Vec<C>,
}

impl<C: Merge> Columns<C> {
    fn new(max: usize) -> Self {
        Self { width_ns: WIDTH_NS, max, columns: Vec::new() }
    }

    /// The column of this instant.
    fn at(&mut self, since_ns: u64) -> Option<&mut C> {
        while since_ns / self.width_ns >= self.max as u64 {
            self.halve();
        }
        let index = usize::try_from(since_ns / self.width_ns).ok()?;
        if index >= self.columns.len() {
            self.columns.resize(index + 1, C::default());
        }
        self.columns.get_mut(index)
    }

    fn halve(&mut self) {
        let pairs = self.columns.chunks(2).filter_map(|pair| {
            let (first, rest) = pair.split_first()?;
            let mut both = first.clone();
            rest.iter().for_each(|later| both.merge(later));
            Some(both)
        });
        self.columns = pairs.collect();
        self.width_ns = self.width_ns.saturating_mul(2);
    }
}

/// A point: nanoseconds since the beginning, and a value.
type Point = (u64, f64);

#[derive(Clone, Debug, Default)]
struct Extremes {
    lowest: Option<Point>,
    highest: Option<Point>,
    /// When a value was missing last.
    missing: Option<u64>,
}

impl Merge for Extremes {
    fn merge(&mut self, later: &Self) {
        let by = |one: Option<Point>, other: Option<Point>, is_better: fn(f64, f64) -> bool| match (one, other) {
            (Some(one), Some(other)) => Some(if is_better(other.1, one.1) { other } else { one }),
            (one, other) => one.or(other),
        };
        self.lowest = by(self.lowest, later.lowest, |new, old| new < old);
        self.highest = by(self.highest, later.highest, |new, old| new > old);
        self.missing = later.missing.or(self.missing);
    }
}

/// A curve.
#[derive(Debug)]
pub(super) struct Envelope(Columns<Extremes>);

impl Envelope {
    pub(super) fn new() -> Self {
        Self(Columns::new(COLUMNS_MAX))
    }

    /// Takes a value in; one that is not finite interrupts the curve.
    pub(super) fn push(&mut self, since_ns: u64, value: f64) {
        let Some(column) = self.0.at(since_ns) else { return };
        if value.is_finite() {
            let point = Some((since_ns, value));
            column.merge(&Extremes { lowest: point, highest: point, missing: None });
        } else {
            column.missing = Some(since_ns);
        }
    }

    /// The curve by seconds: lowest and highest value of each column in their order. Where nothing but missing values
    /// were, there is a point that is no number.
    pub(super) fn points(&self) -> Vec<(f64, f64)> {
        let seconds = |(at_ns, value): Point| (at_ns as f64 / 1e9, value);
        let mut points = Vec::new();
        for column in &self.0.columns {
            match (column.lowest, column.highest) {
                (Some(lowest), Some(highest)) if lowest.0 < highest.0 => points.extend([lowest, highest].map(seconds)),
                (Some(lowest), Some(highest)) if lowest.0 > highest.0 => points.extend([highest, lowest].map(seconds)),
                (Some(only), _) => points.push(seconds(only)),
                _ => points.extend(column.missing.map(|at_ns| seconds((at_ns, f64::NAN)))),
            }
        }
        points
    }
}

impl Merge for Snapshot {
    fn merge(&mut self, later: &Self) {
        Self::merge(self, later);
    }
}

/// How a span of time is distributed, over time and altogether.
#[derive(Debug)]
pub(super) struct Spread {
    columns: Columns<Snapshot>,
    pub(super) all: Snapshot,
}

impl Spread {
    pub(super) fn new() -> Self {
        Self { columns: Columns::new(QUANTILE_COLUMNS_MAX), all: Snapshot::default() }
    }

    pub(super) fn push(&mut self, since_ns: u64, value_ns: u64) {
        self.all.record(value_ns);
        if let Some(column) = self.columns.at(since_ns) {
            column.record(value_ns);
        }
    }

    /// Seconds, and what `of` says of each column, in microseconds.
    pub(super) fn points(&self, of: impl Fn(&Snapshot) -> Option<u64>) -> Vec<(f64, f64)> {
        let middle = |index: usize| (index as f64 + 0.5) * self.columns.width_ns as f64 / 1e9;
        let columns = self.columns.columns.iter().enumerate();
        columns.filter_map(|(index, column)| Some((middle(index), of(column)? as f64 / 1e3))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_curve_keeps_its_spikes_and_stays_small() {
        let mut curve = Envelope::new();
        for k in 0..1_000_000_u64 {
            let value = match k {
                543_210 => 9.0,
                777_777 => -9.0,
                _ => 0.0,
            };
            curve.push(k * 1_000_000, value);
        }
        let points = curve.points();
        assert!(points.len() <= 2 * COLUMNS_MAX, "{}", points.len());
        assert!(points.contains(&(543.21, 9.0)) && points.contains(&(777.777, -9.0)));
        assert!(points.is_sorted_by(|one, other| one.0 < other.0));
    }

    #[test]
    fn what_is_missing_interrupts_a_curve_and_a_moment_of_it_does_not_hide_the_values_beside() {
        let mut curve = Envelope::new();
        for (second, value) in [(0, 1.0), (1, f64::NAN), (2, f64::INFINITY), (3, 2.0)] {
            curve.push(second * 1_000_000_000, value);
        }
        let points = curve.points();
        let finite: Vec<_> = points.iter().filter(|point| point.1.is_finite()).copied().collect();
        assert_eq!(finite, [(0.0, 1.0), (3.0, 2.0)]);
        assert!(points.iter().any(|(at, value)| (*at - 1.5).abs() < 1.0 && value.is_nan()), "{points:?}");
    }

    #[test]
    fn a_spread_loses_no_value_and_its_largest_one_stays_where_it_was() {
        let mut spread = Spread::new();
        for k in 0..100_000_u64 {
            spread.push(k * 10_000_000, if k == 50_000 { 7_000_000 } else { 1_000 });
        }
        let largest = spread.points(Snapshot::max_ns);
        let (at, value) = largest.iter().copied().max_by(|one, other| one.1.total_cmp(&other.1)).unwrap();
        assert!((at - 500.0).abs() < 10.0 && value >= 7_000.0, "{at} {value}");
        assert_eq!(spread.all.count(), 100_000);
        assert!(largest.len() <= QUANTILE_COLUMNS_MAX);
    }
}

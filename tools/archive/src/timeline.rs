//! How a run's cycles lie in time.

use std::ops::RangeInclusive;

/// A stretch in which a run's clocks go side by side.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// Which.
    pub cycles: RangeInclusive<u64>,
    /// When the first of them was, nanoseconds since 1970.
    pub unix_ns: u64,
    /// From cycle to cycle.
    pub period_ns: u64,
}

/// An instant, and in which stretch: a clock that is set back has the same instants once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// The stretch's first cycle.
    pub stretch: u64,
    /// Nanoseconds since 1970.
    pub unix_ns: u64,
}

/// The stretches of a run, in the order of their cycles.
#[derive(Clone, Debug)]
pub struct Timeline(Vec<Stretch>);

impl Stretch {
    /// The first of its cycles.
    pub fn first(&self) -> u64 {
        *self.cycles.start()
    }

    /// When one of its cycles was.
    pub fn unix_ns(&self, cycle: u64) -> u64 {
        self.unix_ns.saturating_add(cycle.saturating_sub(self.first()).saturating_mul(self.period_ns))
    }

    /// When the first cycle behind it would be by its clock.
    pub(crate) fn end_ns(&self) -> u64 {
        self.unix_ns(self.cycles.end().saturating_add(1))
    }

    /// Its cycles in these times, both included.
    pub fn cycles(&self, from_ns: u64, to_ns: u64) -> Option<RangeInclusive<u64>> {
        let period_ns = self.period_ns.max(1);
        let first = self.first().saturating_add(from_ns.saturating_sub(self.unix_ns).div_ceil(period_ns));
        let last = self.first().saturating_add(to_ns.checked_sub(self.unix_ns)? / period_ns).min(*self.cycles.end());
        (first <= last).then_some(first..=last)
    }
}

impl Timeline {
    /// From where each clock begins, with its time, in the order of cycles.
    pub fn new(clocks: &[(u64, u64)], period_ns: u64) -> Self {
        // SQLite's integers end at this one.
        let ends = clocks.iter().skip(1).map(|(next, _)| next - 1).chain([i64::MAX as u64]);
        let stretch =
            |(&(first, unix_ns), end): (&(u64, u64), u64)| Stretch { cycles: first..=end, unix_ns, period_ns };
        Self(clocks.iter().zip(ends).map(stretch).collect())
    }

    /// In the order of their cycles.
    pub fn stretches(&self) -> &[Stretch] {
        &self.0
    }

    /// When a cycle was; `None` before the first clock.
    pub fn moment(&self, cycle: u64) -> Option<Moment> {
        let behind = self.0.partition_point(|stretch| stretch.first() <= cycle);
        let stretch = self.0.get(behind.checked_sub(1)?)?;
        Some(Moment { stretch: stretch.first(), unix_ns: stretch.unix_ns(cycle) })
    }

    /// From one moment to a later one, stretch by stretch, with the times in each.
    pub(crate) fn way(&self, from: Moment, to: Moment) -> impl Iterator<Item = (Moment, u64)> {
        let between = self.0.iter().filter(move |stretch| (from.stretch..=to.stretch).contains(&stretch.first()));
        between.map(move |stretch| {
            let first = stretch.first();
            let begin = if first == from.stretch { from.unix_ns } else { stretch.unix_ns };
            let end = if first == to.stretch { to.unix_ns } else { stretch.end_ns() };
            (Moment { stretch: first, unix_ns: begin }, end)
        })
    }
}

//! The absolute grid of slots, and the multiples of it at which observations and decisions are due.
//!
//! Slot k is released at `t0 + k*T`, for ever: lateness of one cycle never moves the next one, so nothing drifts. A cycle
//! that comes late by a period or more takes the slot in which it finds itself; the slots before it are counted as skipped
//! and never caught up.

use core::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::carry::Carrier;
use crate::time::{MonoTime, Period, Span};

/// One slot of the grid, as the control thread woke up in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Its number k; also the number of the cycle that runs in it. Strictly increasing, with holes where slots were skipped.
    pub index: u64,
    /// When it was released: `t0 + k*T`.
    pub release: MonoTime,
    /// When the thread woke up.
    pub woke: MonoTime,
    /// Release lateness: how long after the release that the thread slept until it woke up; zero when it woke up before.
    /// When slots were skipped, that release is the first skipped one's, so that a late wake-up is told in full length.
    pub lateness: Span,
    /// Slots between the one before and this one that no cycle ran in.
    pub skipped: u64,
    /// Real time since the previous wake-up; one period in the first slot.
    pub dt: Span,
}

/// The grid `t0 + k*T`, and the position on it.
///
/// After every [`Grid::wake`]: `floor((release - t0) / T) + 1 == cycles + skipped`.
///
/// # Real-time
/// Everything but [`Grid::new`] is wait-free and free of allocation and panics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    t0: MonoTime,
    period: Period,
    next_index: u64,
    last_woke: Option<MonoTime>,
    cycles: u64,
    skipped: u64,
}

impl Grid {
    /// A grid whose slot 0 is released at `t0`.
    pub const fn new(t0: MonoTime, period: Period) -> Self {
        Self { t0, period, next_index: 0, last_woke: None, cycles: 0, skipped: 0 }
    }

    /// The release of the next slot: what the control thread sleeps until.
    pub const fn next_release(&self) -> MonoTime {
        self.release(self.next_index)
    }

    /// The release of slot `index`.
    pub const fn release(&self, index: u64) -> MonoTime {
        self.t0.plus(self.period.span().times(index))
    }

    /// Takes the slot that `now` lies in, or the next one when `now` is before its release.
    pub fn wake(&mut self, now: MonoTime) -> Slot {
        let lateness = now.since(self.next_release());
        let elapsed_slots = now.since(self.t0).periods(self.period);
        let index = elapsed_slots.max(self.next_index);
        let skipped = index.saturating_sub(self.next_index);
        let release = self.release(index);
        let dt = self.last_woke.map_or(self.period.span(), |last| now.since(last));
        self.next_index = index.saturating_add(1);
        self.last_woke = Some(now);
        self.cycles = self.cycles.saturating_add(1);
        self.skipped = self.skipped.saturating_add(skipped);
        Slot { index, release, woke: now, lateness, skipped, dt }
    }

    /// The first slot's release.
    pub const fn t0(&self) -> MonoTime {
        self.t0
    }

    /// The distance between two releases.
    pub const fn period(&self) -> Period {
        self.period
    }

    /// How many slots were taken.
    pub const fn cycles(&self) -> u64 {
        self.cycles
    }

    /// How many slots were skipped.
    pub const fn skipped(&self) -> u64 {
        self.skipped
    }
}

/// A multiple of the grid: due in slots 0, n, 2n, …
///
/// When such a slot is skipped, it is made up once, in the first cycle after it. Two missed ones are not made up twice.
///
/// # Real-time
/// Wait-free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every {
    slots: NonZeroU64,
    since: Since,
}

/// Where an [`Every`] counts from: the index of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Since {
    /// Nothing yet.
    Nowhere,
    /// The first slot that was looked at, which was not due.
    Start(u64),
    /// The last occurrence.
    Taken(u64),
}

/// One occurrence of an [`Every`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// There was none before, or more than two multiples passed since: what came before does not belong to this one.
    pub gap: bool,
}

impl Every {
    /// Due every `slots` slots.
    pub const fn new(slots: NonZeroU64) -> Self {
        Self { slots, since: Since::Nowhere }
    }

    /// Whether this is due in the slot with this index, and if so, takes it.
    pub fn take(&mut self, index: u64) -> Option<Due> {
        let multiple = |index: u64| index / self.slots;
        let (due, gap) = match self.since {
            Since::Nowhere => (index.is_multiple_of(self.slots.get()), true),
            Since::Start(start) => (multiple(index) > multiple(start), true),
            Since::Taken(last) => {
                let gap = index.saturating_sub(last) > self.slots.get().saturating_mul(2);
                (multiple(index) > multiple(last), gap)
            }
        };
        self.since = match self.since {
            _ if due => Since::Taken(index),
            Since::Nowhere => Since::Start(index),
            since => since,
        };
        due.then_some(Due { gap })
    }

    /// Forgets the last occurrence: the next one will be a gap.
    pub fn restart(&mut self) {
        self.since = Since::Nowhere;
    }

    pub(crate) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { slots: _, since } = self;
        carrier.carry(since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn period(ns: u64) -> Period {
        Period::from_ns(ns).unwrap()
    }

    fn every(slots: u64) -> Every {
        Every::new(NonZeroU64::new(slots).unwrap())
    }

    #[test]
    fn a_punctual_wake_takes_the_next_slot() {
        let mut grid = Grid::new(MonoTime::from_ns(500), period(100));
        let first = grid.wake(MonoTime::from_ns(503));
        assert_eq!((first.index, first.skipped, first.lateness.as_ns(), first.dt.as_ns()), (0, 0, 3, 100));
        let second = grid.wake(MonoTime::from_ns(601));
        assert_eq!((second.index, second.skipped, second.lateness.as_ns(), second.dt.as_ns()), (1, 0, 1, 98));
    }

    #[test]
    fn a_wake_late_beyond_a_period_takes_the_slot_it_lies_in() {
        let mut grid = Grid::new(MonoTime::ZERO, period(100));
        grid.wake(MonoTime::ZERO);
        let late = grid.wake(MonoTime::from_ns(432));
        assert_eq!((late.index, late.skipped, late.lateness.as_ns(), late.dt.as_ns()), (4, 3, 332, 432));
        assert_eq!(grid.next_release(), MonoTime::from_ns(500));
    }

    #[test]
    fn an_early_wake_takes_the_coming_slot() {
        let mut grid = Grid::new(MonoTime::ZERO, period(100));
        grid.wake(MonoTime::ZERO);
        let early = grid.wake(MonoTime::from_ns(90));
        assert_eq!((early.index, early.skipped, early.lateness), (1, 0, Span::ZERO));
    }

    #[test]
    fn a_skipped_multiple_is_made_up_once() {
        let mut every = every(10);
        assert_eq!(every.take(0), Some(Due { gap: true }));
        assert_eq!(every.take(9), None);
        assert_eq!(every.take(13), Some(Due { gap: false }));
        assert_eq!(every.take(14), None);
        assert_eq!(every.take(20), Some(Due { gap: false }));
        assert_eq!(every.take(41), Some(Due { gap: true }));
        assert_eq!(every.take(49), None);
        every.restart();
        assert_eq!(every.take(49), None);
        assert_eq!(every.take(51), Some(Due { gap: true }));
    }

    proptest! {
        #[test]
        fn every_slot_is_a_cycle_or_skipped(
            t0 in 0_u64..1 << 60,
            period_ns in 1_u64..10_000_000,
            pauses in prop::collection::vec((0_u64..5, 0_u64..10_000_000), 1..200),
        ) {
            let mut grid = Grid::new(MonoTime::from_ns(t0), period(period_ns));
            let mut last_release = None;
            for (late_periods, jitter) in pauses {
                let now = grid.next_release() + Span::from_ns(period_ns * late_periods + jitter % period_ns);
                let slot = grid.wake(now);
                // The slot that `now` lies in, on the absolute grid.
                prop_assert_eq!(slot.release.as_ns(), t0 + slot.index * period_ns);
                prop_assert_eq!(slot.lateness.as_ns(), period_ns * late_periods + jitter % period_ns);
                prop_assert_eq!(slot.skipped, late_periods);
                prop_assert_eq!((now.as_ns() - t0) / period_ns + 1, grid.cycles() + grid.skipped());
                prop_assert!(last_release.is_none_or(|last| slot.release > last));
                prop_assert!(grid.next_release() > now);
                last_release = Some(slot.release);
            }
        }

        #[test]
        fn a_grid_survives_any_clock(t0: u64, period_ns in 1_u64.., instants in prop::collection::vec(any::<u64>(), 1..50)) {
            let mut grid = Grid::new(MonoTime::from_ns(t0), period(period_ns));
            let mut last = None;
            for now in instants {
                let slot = grid.wake(MonoTime::from_ns(now));
                prop_assert!(last.is_none_or(|last| slot.index > last));
                last = Some(slot.index);
            }
        }

        #[test]
        fn a_multiple_is_due_exactly_once_per_interval_that_has_a_cycle(
            slots in 1_u64..20,
            steps in prop::collection::vec(1_u64..30, 1..200),
        ) {
            let mut every = every(slots);
            let mut index = 0;
            let mut intervals = std::collections::BTreeSet::new();
            let mut taken = 0;
            for step in steps {
                intervals.insert(index / slots);
                taken += usize::from(every.take(index).is_some());
                prop_assert_eq!(taken, intervals.len());
                index += step;
            }
        }
    }
}

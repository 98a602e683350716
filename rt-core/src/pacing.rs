//! How a loop waits for its slots: how long before a release it begins to spin, and who is to blame for a late slot.
//!
//! Waking a sleeping thread takes the kernel some tens of microseconds, and now and then much more. A loop that lets
//! itself be woken a margin early and reads the clock until the release begins within a clock reading of it; and while it
//! spins, it sees whenever something takes the CPU away.

use crate::schedule::Slot;
use crate::time::{MonoTime, Period, Span};

/// Spinning takes at most one part in so many of each period.
pub const SPIN_PARTS: u64 = 4;
/// Two readings of the clock that lie further apart than this, while spinning, are a gap: something else had the CPU.
pub const GAP_MIN: Span = Span::from_ns(10_000);
/// A slot that begins later than one part in so many of a period is a miss.
pub const MISS_PARTS: u64 = 10;

/// The kernel's tick comes at multiples of a millisecond or more since boot, on all machines at the same instants: the grid
/// lies half a millisecond behind them.
const TICK_DISTANCE: Span = Span::from_ns(500_000);

const _: () = assert!(
    100 / SPIN_PARTS <= 95 / 2,
    "the kernel stops real-time threads at 95 % of a CPU: half of that belongs to the cycle's body"
);

/// How far behind the multiples of its period since boot a grid lies if nothing else is said: away from the kernel's tick,
/// which would otherwise fall into the last microseconds before a slot.
pub const fn usual_phase(period: Period) -> Span {
    TICK_DISTANCE.min(Span::from_ns(period.as_ns() / 2))
}

/// Whether a loop spins before a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spin {
    /// It sleeps until the release.
    Off,
    /// It measures at its start how late the machine wakes it, and spins that long; not where others need its CPU.
    #[default]
    Auto,
    /// It spins this long, at most [`Spin::longest`].
    Margin(Span),
}

impl Spin {
    /// The longest margin at this period.
    pub const fn longest(period: Period) -> Span {
        Span::from_ns(period.as_ns() / SPIN_PARTS)
    }
}

/// One wait for a slot, in the order in which its instants came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The loop came from its previous slot, and began to wait.
    pub begun: MonoTime,
    /// The kernel woke it.
    pub woke: MonoTime,
    /// The longest time between two readings of the clock while it spun.
    pub gap: Span,
}

/// Why a slot was a miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The work of the slot before ended after the release.
    Body,
    /// The kernel woke the loop after the release.
    Wake,
    /// Something took the CPU away while the loop was spinning towards the release.
    Gap,
}

/// What waiting for slots has come to. Plain numbers of one thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delays {
    /// Misses because of a long body.
    pub by_body: u64,
    /// Misses because of a late wake-up.
    pub by_wake: u64,
    /// Misses because of a gap.
    pub by_gap: u64,
    /// Gaps of at least [`GAP_MIN`], whether they cost anything or not.
    pub gaps: u64,
    /// The longest of them.
    pub gap_longest: Span,
}

impl Delays {
    /// Counts what the wait for `slot` was like; says whom to blame when the slot was a miss.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn note(&mut self, wait: &Wait, slot: &Slot, period: Period) -> Option<Blame> {
        if wait.gap >= GAP_MIN {
            self.gaps = self.gaps.saturating_add(1);
            self.gap_longest = self.gap_longest.max(wait.gap);
        }
        let blame = blame(wait, slot, period)?;
        let count = match blame {
            Blame::Body => &mut self.by_body,
            Blame::Wake => &mut self.by_wake,
            Blame::Gap => &mut self.by_gap,
        };
        *count = count.saturating_add(1);
        Some(blame)
    }

    /// All misses.
    pub const fn misses(&self) -> u64 {
        self.by_body.saturating_add(self.by_wake).saturating_add(self.by_gap)
    }
}

fn blame(wait: &Wait, slot: &Slot, period: Period) -> Option<Blame> {
    if slot.lateness.as_ns() <= period.as_ns() / MISS_PARTS {
        return None;
    }
    // The release that the loop was waiting for: the first skipped slot's, if there is one.
    let awaited = slot.release.minus(period.span().times(slot.skipped));
    Some(if wait.begun > awaited {
        Blame::Body
    } else if wait.woke > awaited {
        Blame::Wake
    } else {
        Blame::Gap
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schedule::Grid;

    const PERIOD_NS: u64 = 1_000_000;

    fn period() -> Period {
        Period::from_ns(PERIOD_NS).unwrap()
    }

    /// What slot 1 of a grid was like that was waited for from `begun` on, woken at `woke`, and begun at `now`, all
    /// counted from its release.
    fn noted(begun: i64, woke: i64, now: i64, gap: u64) -> (Option<Blame>, Delays) {
        let t0 = 10 * PERIOD_NS;
        let mut grid = Grid::new(MonoTime::from_ns(t0), period());
        grid.wake(MonoTime::from_ns(t0));
        let at = |offset: i64| MonoTime::from_ns((t0 + PERIOD_NS).strict_add_signed(offset));
        let slot = grid.wake(at(now));
        let mut delays = Delays::default();
        let wait = Wait { begun: at(begun), woke: at(woke), gap: Span::from_ns(gap) };
        (delays.note(&wait, &slot, period()), delays)
    }

    #[test]
    fn a_slot_within_a_tenth_of_a_period_is_no_miss() {
        assert_eq!(noted(-900_000, 99_000, 100_000, 0), (None, Delays::default()));
        assert_eq!(noted(-900_000, -50_000, 80, 60), (None, Delays::default()));
    }

    #[test]
    fn whoever_came_last_before_the_release_was_passed_is_to_blame() {
        let (blame, delays) = noted(5_000, 105_000, 105_000, 0);
        assert_eq!((blame, delays.by_body, delays.misses()), (Some(Blame::Body), 1, 1));
        let (blame, delays) = noted(-800_000, 105_000, 105_000, 0);
        assert_eq!((blame, delays.by_wake, delays.misses()), (Some(Blame::Wake), 1, 1));
        let (blame, delays) = noted(-800_000, -40_000, 105_000, 140_000);
        assert_eq!((blame, delays.by_gap, delays.misses()), (Some(Blame::Gap), 1, 1));
    }

    #[test]
    fn lost_slots_are_blamed_by_the_first_of_them() {
        // Slot 1 was waited for in time; the wake-up came in slot 3, just after its release.
        let (blame, _) = noted(-800_000, 2_000_005, 2_000_010, 0);
        assert_eq!(blame, Some(Blame::Wake));
        let (blame, _) = noted(-800_000, -1, 2_000_010, 2_000_011);
        assert_eq!(blame, Some(Blame::Gap));
        let (blame, _) = noted(1, 2_000_005, 2_000_010, 0);
        assert_eq!(blame, Some(Blame::Body));
    }

    #[test]
    fn a_gap_counts_though_the_slot_was_in_time_and_a_short_one_does_not() {
        let (blame, delays) = noted(-800_000, -50_000, 90, GAP_MIN.as_ns());
        assert_eq!((blame, delays.gaps, delays.gap_longest, delays.misses()), (None, 1, GAP_MIN, 0));
        assert_eq!(noted(-800_000, -50_000, 90, GAP_MIN.as_ns() - 1).1.gaps, 0);
    }

    #[test]
    fn a_grid_lies_half_a_millisecond_behind_the_tick_or_half_a_period_when_that_is_shorter() {
        assert_eq!(usual_phase(period()).as_ns(), 500_000);
        assert_eq!(usual_phase(Period::from_ns(8_000_000).unwrap()).as_ns(), 500_000);
        assert_eq!(usual_phase(Period::from_ns(100_000).unwrap()).as_ns(), 50_000);
    }

    #[test]
    fn the_longest_margin_is_a_quarter_of_the_period() {
        assert_eq!(Spin::longest(period()).as_ns(), 250_000);
    }
}

//! The values of ours that a setpoint's node may show: what tells a person's hand from our own.
//!
//! A value that was handed over may show up at the plant from then on. Once a newer one is confirmed it may still be seen
//! for `settle`, and no longer than until the newer one was seen. What shows up and is none of these was written by
//! somebody else; or, when it is what the node has shown before our write, the plant ignores us.

use serde::{Deserialize, Serialize};

use crate::image::ReadBack;
use crate::time::{MonoTime, Span};

/// How many values are told apart; beyond that the two oldest are merged into one interval.
const ENTRIES_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// The value, or the ends of what was merged.
    lo: f64,
    hi: f64,
    /// The cycle that handed it over.
    cycle: u64,
    /// When a newer value was confirmed.
    superseded: Option<MonoTime>,
}

/// Whose value the plant shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// One of ours.
    Ours,
    /// What it showed before our write, and it had the time to change.
    Ignored,
    /// Neither ours nor what it was.
    Foreign,
}

/// The trail of one setpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trail {
    /// Newest first, without gaps.
    entries: [Option<Entry>; ENTRIES_MAX],
    shown: Option<f64>,
    judged: MonoTime,
}

impl Trail {
    pub(crate) const EMPTY: Self = Self { entries: [None; ENTRIES_MAX], shown: None, judged: MonoTime::ZERO };

    /// Begins at a value that was read back.
    pub(crate) fn start(&mut self, read_back: ReadBack) {
        let ReadBack { value, received } = read_back;
        *self = Self { shown: Some(value), judged: received, ..Self::EMPTY };
        self.push(value, 0);
    }

    /// Another value was handed over.
    pub(crate) fn push(&mut self, value: f64, cycle: u64) {
        let [.., second, last] = &mut self.entries;
        if let (Some(newer), Some(oldest)) = (second.as_mut(), last.take()) {
            (newer.lo, newer.hi) = (newer.lo.min(oldest.lo), newer.hi.max(oldest.hi));
        }
        // Everything moves one place on. (Not by `rotate_right`: it asserts, and the compiler does not see that it need not.)
        let mut moving = Some(Entry { lo: value, hi: value, cycle, superseded: None });
        for place in &mut self.entries {
            core::mem::swap(place, &mut moving);
        }
    }

    /// The plant confirmed the set of this cycle; the value that was in it, when it can still be told.
    pub(crate) fn confirm(&mut self, cycle: u64, now: MonoTime) -> Option<f64> {
        let mut from_there = self.entries.iter_mut().flatten().skip_while(|entry| entry.cycle > cycle);
        let confirmed = from_there.next().copied();
        for older in from_there {
            older.superseded = older.superseded.or(Some(now));
        }
        confirmed.filter(|entry| entry.lo == entry.hi).map(|entry| entry.lo)
    }

    /// What a read-back says; `None` when it was judged before.
    pub(crate) fn judge(&mut self, read_back: ReadBack, settle: Span) -> Option<Sight> {
        let ReadBack { value, received } = read_back;
        if received <= self.judged {
            return None;
        }
        self.judged = received;
        let alive = |entry: &Entry| entry.superseded.is_none_or(|at| received <= at.plus(settle));
        // The oldest one that it may be: a value that comes again must not hide those between.
        let matches = |entry: &Option<Entry>| entry.is_some_and(|e| alive(&e) && (e.lo..=e.hi).contains(&value));
        let Some(seen) = self.entries.iter().rposition(matches) else {
            return Some(if self.shown == Some(value) { Sight::Ignored } else { Sight::Foreign });
        };
        self.shown = Some(value);
        for gone in self.entries.iter_mut().skip(seen.saturating_add(1)) {
            *gone = None;
        }
        Some(Sight::Ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Span = Span::from_ms(10);

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Span::from_ms(ms)
    }

    fn begun() -> Trail {
        let mut trail = Trail::EMPTY;
        trail.start(ReadBack { value: 0.0, received: at(0) });
        trail
    }

    fn sees(trail: &mut Trail, value: f64, ms: u64) -> Sight {
        trail.judge(ReadBack { value, received: at(ms) }, SETTLE).unwrap()
    }

    #[test]
    fn values_on_their_way_and_the_one_before_are_ours() {
        let mut trail = begun();
        trail.push(1.0, 1);
        trail.push(2.0, 2);
        assert_eq!(sees(&mut trail, 0.0, 1), Sight::Ours);
        assert_eq!(trail.confirm(1, at(2)), Some(1.0));
        assert_eq!(sees(&mut trail, 0.0, 12), Sight::Ours, "it may take t_settle");
        assert_eq!(sees(&mut trail, 2.0, 13), Sight::Ours);
    }

    #[test]
    fn what_stays_at_its_old_value_for_longer_than_it_may_take_ignores_us() {
        let mut trail = begun();
        trail.push(1.0, 1);
        assert_eq!(sees(&mut trail, 0.0, 50), Sight::Ours, "nothing was confirmed yet");
        trail.confirm(1, at(60));
        assert_eq!(sees(&mut trail, 0.0, 70), Sight::Ours);
        assert_eq!(sees(&mut trail, 0.0, 71), Sight::Ignored);
    }

    #[test]
    fn any_other_value_is_foreign_and_so_is_one_of_ours_that_comes_back() {
        let mut trail = begun();
        trail.push(1.0, 1);
        assert_eq!(sees(&mut trail, 0.5, 1), Sight::Foreign);
        trail.confirm(1, at(2));
        assert_eq!(sees(&mut trail, 1.0, 3), Sight::Ours);
        assert_eq!(sees(&mut trail, 0.0, 4), Sight::Foreign, "the newer one had been seen");
    }

    #[test]
    fn a_value_that_comes_again_hides_nothing_in_between() {
        let mut trail = begun();
        for (cycle, value) in [(1, 1.0), (2, 0.0), (3, 1.0)] {
            trail.push(value, cycle);
        }
        trail.confirm(3, at(1));
        for (ms, value) in [(2, 0.0), (3, 1.0), (4, 0.0), (5, 1.0)] {
            assert_eq!(sees(&mut trail, value, ms), Sight::Ours, "at {ms} ms");
        }
        assert_eq!(sees(&mut trail, 0.0, 6), Sight::Foreign);
    }

    #[test]
    fn a_read_back_is_judged_once() {
        let mut trail = begun();
        assert_eq!(trail.judge(ReadBack { value: 9.0, received: at(0) }, SETTLE), None);
        assert_eq!(sees(&mut trail, 9.0, 1), Sight::Foreign);
        assert_eq!(trail.judge(ReadBack { value: 9.0, received: at(1) }, SETTLE), None);
    }

    #[test]
    fn more_values_than_can_be_told_apart_are_one_interval() {
        let mut trail = begun();
        for cycle in 1..=20 {
            trail.push(cycle as f64, cycle);
        }
        assert_eq!(trail.confirm(3, at(1)), None, "it lies in the interval");
        assert_eq!(sees(&mut trail, 3.5, 1), Sight::Ours);
        assert_eq!(sees(&mut trail, 7.5, 1 + 1), Sight::Foreign);
        assert_eq!(trail.confirm(18, at(3)), Some(18.0));
        assert_eq!(sees(&mut trail, 3.0, 13), Sight::Ours);
        assert_eq!(sees(&mut trail, 3.0, 14), Sight::Ignored, "it was shown and stayed");
    }
}

//! The values of ours that a setpoint's node may show: what tells a person's hand from our own.
//!
//! A value that was handed over may show up at the plant from then on. Once a newer one is confirmed it may still be seen
//! for `settle`, and no longer than until the newer one was seen. What shows up and is none of these was written by
//! somebody else; or, when it is what the node has shown before our write, the plant ignores us.
//!
//! Of a setpoint that moves faster than its node shows it, more values are on their way than can be told apart. Neighbours
//! are merged into intervals then, each of a short time: inside of one a foreign value passes for ours, and an interval
//! that lived longer than its values would hide a person's hand for as long as the setpoint moves.

use serde::{Deserialize, Serialize};

use crate::image::ReadBack;
use crate::time::{MonoTime, Span};

/// How many values or intervals are told apart.
const ENTRIES_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// The value, or the ends of what was merged.
    lo: f64,
    hi: f64,
    /// The cycle that handed it over.
    cycle: u64,
    /// When a newer value was confirmed; of what was merged, the last time.
    superseded: Option<MonoTime>,
}

impl Entry {
    fn is_alive(&self, at: MonoTime, settle: Span) -> bool {
        self.superseded.is_none_or(|superseded| at <= superseded.plus(settle))
    }

    fn is(&self, value: f64) -> bool {
        self.lo == value && self.hi == value
    }
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
        if self.entries.iter().all(Option::is_some) {
            self.merge_neighbours();
        }
        // Everything moves one place on. (Not by `rotate_right`: it asserts, and the compiler does not see that it need not.)
        let mut moving = Some(Entry { lo: value, hi: value, cycle, superseded: None });
        for place in &mut self.entries {
            core::mem::swap(place, &mut moving);
        }
    }

    /// Makes one of two neighbours: of those whose values were superseded within the shortest time, or of the two oldest.
    fn merge_neighbours(&mut self) {
        let time = |(place, (newer, older)): (usize, (&Option<Entry>, &Option<Entry>))| {
            let (newer, older) = newer.as_ref()?.superseded.zip(older.as_ref()?.superseded)?;
            Some((newer.since(older), place))
        };
        let pairs = self.entries.iter().zip(self.entries.iter().skip(1)).enumerate();
        // Of several the oldest: what was written just now is best told apart.
        let shortest = pairs.rev().filter_map(time).min_by_key(|(time, _)| *time);
        let newer = shortest.map_or(ENTRIES_MAX - 2, |(_, place)| place);
        // What is older moves one place up; the oldest place becomes free.
        let mut moving = None;
        for (_, place) in self.entries.iter_mut().enumerate().rev().take_while(|(place, _)| *place > newer) {
            core::mem::swap(place, &mut moving);
        }
        if let (Some(Some(newer)), Some(older)) = (self.entries.get_mut(newer), moving) {
            (newer.lo, newer.hi) = (newer.lo.min(older.lo), newer.hi.max(older.hi));
        }
    }

    /// The plant confirmed the set of this cycle; the value that was in it, when it can still be told.
    pub(crate) fn confirm(&mut self, cycle: u64, now: MonoTime) -> Option<f64> {
        let mut from_there = self.entries.iter_mut().flatten().skip_while(|entry| entry.cycle > cycle);
        let confirmed = from_there.next().copied();
        for older in from_there {
            older.superseded = older.superseded.or(Some(now));
        }
        confirmed.filter(|entry| entry.is(entry.lo)).map(|entry| entry.lo)
    }

    /// What a read-back says; `None` when it was judged before.
    pub(crate) fn judge(&mut self, read_back: ReadBack, settle: Span) -> Option<Sight> {
        let ReadBack { value, received } = read_back;
        if received <= self.judged {
            return None;
        }
        self.judged = received;
        for entry in &mut self.entries {
            *entry = entry.filter(|entry| entry.is_alive(received, settle));
        }
        // One that it is goes before those that merely hold it.
        let holds = |entry: &Entry| (entry.lo..=entry.hi).contains(&value);
        let Some(seen) = self.oldest(|entry| entry.is(value)).or_else(|| self.oldest(holds)) else {
            return Some(if self.shown == Some(value) { Sight::Ignored } else { Sight::Foreign });
        };
        self.shown = Some(value);
        for gone in self.entries.iter_mut().skip(seen.saturating_add(1)) {
            *gone = None;
        }
        Some(Sight::Ours)
    }

    /// The oldest of those that it may be: a value that comes again must not hide those between.
    fn oldest(&self, may_be: impl Fn(&Entry) -> bool) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.as_ref().is_some_and(&may_be))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn f33_what_stays_at_its_old_value_for_longer_than_it_may_take_ignores_us() {
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

    /// Settling takes so long that not every value in between can be told apart.
    const LONG: Span = Span::from_ms(1_000);

    #[test]
    fn f30_a_hand_is_seen_also_where_the_setpoint_has_just_been() {
        let mut trail = begun();
        for ms in 1..5_000 {
            // Up for a second and down for a second, by one in every millisecond; the plant follows at once.
            let value = if ms % 2_000 < 1_000 { ms % 1_000 } else { 1_000 - ms % 1_000 };
            trail.push(value as f64, ms);
            trail.confirm(ms, at(ms));
            if ms < 2_500 {
                // Nothing is read: all that was written may still be to come.
                continue;
            }
            let shown = ReadBack { value: value as f64, received: at(ms) };
            assert_eq!(trail.judge(shown, LONG), Some(Sight::Ours), "after {ms} ms");
            let hand = ReadBack { value: (ms * 37 % 1_000) as f64 + 0.5, received: at(ms + 1) };
            assert_eq!(trail.clone().judge(hand, LONG), Some(Sight::Foreign), "after {ms} ms");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// A setpoint on its way, here slow and there fast, with a plant that confirms and shows what was written some time
        /// later: all of that is ours, and nothing is that lies beyond what it was in the last moments.
        #[test]
        fn what_may_still_show_is_ours_and_little_else(
            moves in prop::collection::vec((1_u64..4, 0_u8..8), 400..900),
            (confirmed_after, shown_after) in (0_usize..6, 0_usize..30),
        ) {
            let mut written = std::vec![(0.0, 0)];
            let (mut trail, mut now) = (begun(), 0);
            for (cycle, (ms, way)) in (1_u64..).zip(moves) {
                now += ms;
                let step = if cycle % 200 < 100 { 1.0 } else { -1.0 } * f64::from(way) + 1e-3;
                written.push((written.last().unwrap().0 + step, now));
                trail.push(written.last().unwrap().0, cycle);
                trail.confirm(cycle.saturating_sub(confirmed_after as u64), at(now));
                let ago = |cycles: usize| written[written.len().saturating_sub(1 + cycles)];
                let may_show = confirmed_after.max(shown_after);
                // A value may be shown for as long as settling takes after a newer one was confirmed.
                if now - ago(may_show).1 <= 100 {
                    let shown = ReadBack { value: ago(may_show).0, received: at(now) };
                    prop_assert_eq!(trail.judge(shown, Span::from_ms(100)), Some(Sight::Ours), "{} ms", now);
                }
                let recent = || written.iter().filter(|(_, at)| now - at <= 100 + 100 / 4 + 4 * 6).map(|(value, _)| *value);
                for foreign in [recent().fold(f64::MAX, f64::min) - 1e-4, recent().fold(f64::MIN, f64::max) + 1e-4] {
                    let hand = ReadBack { value: foreign, received: at(now + 1) };
                    let sight = trail.clone().judge(hand, Span::from_ms(100));
                    prop_assert_ne!(sight, Some(Sight::Ours), "{} at {} ms", foreign, now);
                }
            }
        }
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

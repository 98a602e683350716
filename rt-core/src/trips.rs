//! Counting what leads to FALLBACK when it happens too often.

use serde::{Deserialize, Serialize};

/// The longest window in which something is counted.
pub const WINDOW_MAX: u8 = 64;

/// `m` times among the last `n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOf {
    /// So often is too often; at least 1.
    pub m: u8,
    /// Among so many; at least `m`, at most [`WINDOW_MAX`].
    pub n: u8,
}

impl OutOf {
    pub(crate) const fn is_possible(self) -> bool {
        1 <= self.m && self.m <= self.n && self.n <= WINDOW_MAX
    }
}

/// When a setpoint that is moved to and fro chatters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChatterSettings {
    /// So many decisions among so many turned it around.
    pub reversals: OutOf,
    /// A reversal counts when it leads back by so much of the range in RUN, above 0 and at most 1.
    pub stroke: f64,
}

/// How much of each is too much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TripSettings {
    /// The policy's output may be not finite for so many cycles; one more trips (`nan_limit`, default 1).
    pub not_finite_cycles_max: u32,
    /// So many outputs in a row may be out of range; one more trips.
    pub out_of_bounds_max: u32,
    /// The plant may refuse so many writes of one setpoint in a row; one more trips.
    pub refused_max: u32,
    /// Cycles late by a period or more that trip.
    pub overruns: OutOf,
    /// Reversals that trip; `None` switches this off.
    pub chatter: Option<ChatterSettings>,
    /// Decisions that come too late: no trip, but FALLBACK as long as it is so.
    pub late_decisions: OutOf,
    /// So many decisions in a row may find an incomplete state; one more is no trip, but leads to HOLD.
    pub incomplete_max: u32,
}

/// How often something happened in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Streak(u32);

impl Streak {
    pub(crate) fn note(&mut self, happened: bool) {
        self.0 = if happened { self.0.saturating_add(1) } else { 0 };
    }

    pub(crate) const fn exceeds(self, max: u32) -> bool {
        self.0 > max
    }
}

/// In which of the last 64 cases something happened; the newest is the lowest bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Recent(u64);

impl Recent {
    pub(crate) fn note(&mut self, happened: bool) {
        self.0 = (self.0 << 1) | u64::from(happened);
    }

    pub(crate) fn reaches(self, limit: OutOf) -> bool {
        let unused = u32::from(WINDOW_MAX.saturating_sub(limit.n));
        self.0.checked_shl(unused).unwrap_or(0).count_ones() >= u32::from(limit.m)
    }
}

/// The turning points of one setpoint while the policy moves it. A way back that is shorter than the stroke is no
/// reversal, so noise and rounding do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reversals {
    /// The farthest point since the last turn.
    extreme: Option<f64>,
    rising: Option<bool>,
    turned: bool,
    recent: Recent,
}

impl Reversals {
    /// The setpoint went to `value`.
    pub(crate) fn follow(&mut self, value: f64, stroke: f64) {
        let moved = value - *self.extreme.get_or_insert(value);
        let onwards = self.rising.is_some_and(|rising| if rising { moved > 0.0 } else { moved < 0.0 });
        if onwards {
            self.extreme = Some(value);
        } else if moved != 0.0 && moved.abs() >= stroke {
            self.turned |= self.rising.is_some();
            (self.rising, self.extreme) = (Some(moved > 0.0), Some(value));
        }
    }

    /// Another decision was taken: closes the books on the one before.
    pub(crate) fn next_decision(&mut self) {
        self.recent.note(self.turned);
        self.turned = false;
    }

    /// Somebody else moves it.
    pub(crate) fn pause(&mut self) {
        (self.extreme, self.rising) = (None, None);
    }

    pub(crate) fn reach(&self, limit: OutOf) -> bool {
        self.recent.reaches(limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_streak_ends_when_the_thing_does_not_happen() {
        let mut streak = Streak::default();
        for happened in [true, true, false, true] {
            streak.note(happened);
        }
        assert!(streak.exceeds(0) && !streak.exceeds(1));
    }

    #[test]
    fn what_happened_counts_in_the_window_alone() {
        let mut recent = Recent::default();
        for case in 0..100 {
            recent.note(case % 10 == 0);
        }
        let reaches = |m, n| recent.reaches(OutOf { m, n });
        assert!(reaches(6, 64) && !reaches(7, 64));
        assert!(reaches(1, 10) && !reaches(2, 10));
        assert!(!reaches(1, 9));
    }

    #[test]
    fn a_window_that_cannot_be_counted_is_none() {
        let possible = |m, n| OutOf { m, n }.is_possible();
        assert!(possible(1, 1) && possible(64, 64));
        assert!(!possible(0, 1) && !possible(2, 1) && !possible(1, 65));
    }

    fn reversals(path: &[f64]) -> u32 {
        let mut reversals = Reversals::default();
        let mut counted = 0;
        for value in path {
            reversals.follow(*value, 1.0);
            counted += u32::from(reversals.turned);
            reversals.next_decision();
        }
        assert_eq!(reversals.recent.0.count_ones(), counted);
        counted
    }

    #[test]
    fn a_way_back_of_a_stroke_or_more_is_a_reversal() {
        assert_eq!(reversals(&[0.0, 1.0, 0.0, 1.0, 0.0]), 3);
        assert_eq!(reversals(&[0.0, 2.0, 1.5, 1.01, 2.5, 1.6, 1.4]), 1);
        assert_eq!(reversals(&[0.0, 0.5, 0.0, 0.5, 0.0]), 0);
        assert_eq!(reversals(&[0.0, 0.5, 1.0, 1.5, 2.0, 9.0]), 0);
        assert_eq!(reversals(&[0.0, -1.0, -0.1, -0.0, 5.0]), 1);
        assert_eq!(reversals(&[3.0, 3.0, 3.0]), 0);
    }

    #[test]
    fn a_turn_across_somebody_elses_move_does_not_count() {
        let mut reversals = Reversals::default();
        for value in [0.0, 2.0] {
            reversals.follow(value, 1.0);
        }
        reversals.pause();
        reversals.follow(0.0, 1.0);
        reversals.next_decision();
        assert!(!reversals.reach(OutOf { m: 1, n: 1 }));
    }
}

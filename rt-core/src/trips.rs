//! Counting what latches FALLBACK when it happens too often.

/// The longest window over which overruns are counted, in cycles.
pub const OVERRUN_WINDOW_MAX: u8 = 64;

/// How much of each is too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TripSettings {
    /// The policy's output may be not finite for so many cycles; one more trips (`nan_limit`, default 1).
    pub not_finite_cycles_max: u32,
    /// So many outputs in a row may be out of range; one more trips.
    pub out_of_bounds_max: u32,
    /// The plant may refuse so many writes of one setpoint in a row; one more trips.
    pub refused_max: u32,
    /// So many overruns in the window trip; at least 1.
    pub overruns: u8,
    /// The window in cycles, at most [`OVERRUN_WINDOW_MAX`] and at least `overruns`.
    pub overrun_window: u8,
    /// So many decisions in a row may find an incomplete state; one more is no trip, but leads to HOLD.
    pub incomplete_max: u32,
}

/// How often something happened in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Streak(u32);

impl Streak {
    pub(crate) fn note(&mut self, happened: bool) {
        self.0 = if happened { self.0.saturating_add(1) } else { 0 };
    }

    pub(crate) const fn exceeds(self, max: u32) -> bool {
        self.0 > max
    }
}

/// Which of the last 64 cycles were late by a period or more; the newest is the lowest bit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Overruns(u64);

impl Overruns {
    pub(crate) fn note(&mut self, overrun: bool) {
        self.0 = (self.0 << 1) | u64::from(overrun);
    }

    pub(crate) fn among_last(self, window: u8) -> u32 {
        let unused = u32::from(OVERRUN_WINDOW_MAX.saturating_sub(window));
        self.0.checked_shl(unused).unwrap_or(0).count_ones()
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
    fn overruns_are_counted_in_the_window_alone() {
        let mut overruns = Overruns::default();
        for cycle in 0..100 {
            overruns.note(cycle % 10 == 0);
        }
        assert_eq!(overruns.among_last(64), 6);
        assert_eq!(overruns.among_last(10), 1);
        assert_eq!(overruns.among_last(9), 0);
        assert_eq!(overruns.among_last(0), 0);
    }
}

//! The decision clock: how many observations are left until the next decision, 0 in the one that decides.

use rt_config::{DecisionClock, Site};
use rt_core::carry::Carrier;
use rt_core::ports::Moment;
use rt_core::time::{MonoTime, Span};

/// The clock of a site.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    columns: DecisionClock,
    obs_period: Span,
    /// Observations from one decision to the next, at least 1.
    every: u64,
    /// The observation of the grid that decided last, if nothing is missing since.
    decided: Option<MonoTime>,
    /// `None` until there was a decision.
    left: Option<u64>,
}

impl Clock {
    pub(super) fn new(site: &Site) -> Self {
        Self {
            columns: site.agent.decision_clock,
            obs_period: site.interaction.obs_period,
            every: site.observations_per_decision(),
            decided: None,
            left: None,
        }
    }

    /// How many columns of the state it fills.
    pub(super) fn len(&self) -> usize {
        columns(self.columns, self.every)
    }

    /// Takes an observation's moment in. By time, not by counting: after a skipped observation the clock is still right.
    /// An observation that decides because of a trigger moves no later decision.
    pub(super) fn tick(&mut self, moment: &Moment, triggered: bool) {
        if self.columns == DecisionClock::Off {
            return;
        }
        if moment.decision {
            (self.decided, self.left) = (Some(moment.release), Some(0));
            return;
        }
        self.decided = self.decided.filter(|_| !moment.gap);
        self.left = self.decided.map(|decided| {
            let period_ns = self.obs_period.as_ns().max(1);
            let passed = moment.release.since(decided).as_ns().saturating_add(period_ns / 2) / period_ns;
            // A decision that is overdue comes next.
            self.every.saturating_sub(passed).max(1).min(self.every - 1)
        });
        if triggered {
            self.left = Some(0);
        }
    }

    /// Writes the columns, zeros when nothing is known; whether it is known, or nobody wants to know.
    pub(super) fn write(&self, columns: &mut [f32]) -> bool {
        match self.columns {
            DecisionClock::Off => return true,
            DecisionClock::OneHot => {
                for (place, column) in (0..).zip(columns) {
                    *column = if self.left == Some(place) { 1.0 } else { 0.0 };
                }
            }
            DecisionClock::Countdown => {
                let left = self.left.map_or(0.0, |left| left as f64 / self.every as f64);
                columns.iter_mut().for_each(|column| *column = left as f32);
            }
        }
        self.left.is_some()
    }

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        // What the site fixes; and what every observation fills before it is used.
        let Self { columns, obs_period: _, every: _, decided, left: _ } = self;
        if *columns != DecisionClock::Off {
            carrier.carry(decided);
        }
    }
}

/// How many columns such a clock has.
pub(super) fn columns(clock: DecisionClock, every: u64) -> usize {
    match clock {
        DecisionClock::Off => 0,
        DecisionClock::OneHot => usize::try_from(every).unwrap_or(usize::MAX),
        DecisionClock::Countdown => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(columns: DecisionClock, every: u64) -> Clock {
        Clock { columns, obs_period: Span::from_ms(10), every, decided: None, left: None }
    }

    /// What the clock shows at these moments: milliseconds, decision, gap.
    fn shown(clock: Clock, moments: &[(u64, bool, bool)]) -> Vec<Option<Vec<f32>>> {
        shown_with_triggers(clock, moments, &[])
    }

    /// The same, with triggers at some of them.
    fn shown_with_triggers(
        mut clock: Clock,
        moments: &[(u64, bool, bool)],
        triggered: &[u64],
    ) -> Vec<Option<Vec<f32>>> {
        let show = |&(ms, decision, gap): &(u64, bool, bool)| {
            let release = MonoTime::ZERO + Span::from_ms(ms);
            clock.tick(&Moment { cycle: ms, release, decision, gap, mode: 2 }, triggered.contains(&ms));
            let mut columns = vec![f32::NAN; clock.len()];
            let known = clock.write(&mut columns);
            assert!(known || columns.iter().all(|x| *x == 0.0));
            known.then_some(columns)
        };
        moments.iter().map(show).collect()
    }

    #[test]
    fn one_column_is_hot_and_moves_to_the_decision() {
        let grid: Vec<_> = (0..7).map(|slot| (10 * slot, slot % 3 == 1, false)).collect();
        let hot = |place: usize| Some((0..3).map(|at| f32::from(u8::from(at == place))).collect::<Vec<_>>());
        let expected = [None, hot(0), hot(2), hot(1), hot(0), hot(2), hot(1)];
        assert_eq!(shown(clock(DecisionClock::OneHot, 3), &grid), expected);
    }

    #[test]
    fn a_countdown_is_a_share_of_the_action_period() {
        let grid: Vec<_> = (0..5).map(|slot| (10 * slot, slot % 4 == 0, false)).collect();
        let expected = [0.0, 0.75, 0.5, 0.25, 0.0].map(|left| Some(vec![left]));
        assert_eq!(shown(clock(DecisionClock::Countdown, 4), &grid), expected);
    }

    #[test]
    fn a_site_that_always_decides_has_a_constant_column() {
        let grid: Vec<_> = (0..3).map(|slot| (10 * slot, true, slot == 0)).collect();
        assert_eq!(shown(clock(DecisionClock::OneHot, 1), &grid), vec![Some(vec![1.0]); 3]);
        assert_eq!(shown(clock(DecisionClock::Countdown, 1), &grid), vec![Some(vec![0.0]); 3]);
        assert_eq!(shown(clock(DecisionClock::Off, 1), &[(0, false, true)]), [Some(vec![])]);
        // Without a decision where there is always one, it is still one of the columns.
        assert_eq!(shown(clock(DecisionClock::OneHot, 1), &[(0, true, false), (10, false, false)])[1], Some(vec![1.0]));
    }

    #[test]
    fn a_decision_that_came_late_is_counted_from_its_observation() {
        let moments = [(3, true, false), (10, false, false), (20, false, false)];
        let expected = [0.0, 7.0, 6.0].map(|left| Some(vec![left / 8.0]));
        assert_eq!(shown(clock(DecisionClock::Countdown, 8), &moments), expected);
    }

    #[test]
    fn a_trigger_decides_now_and_moves_no_later_decision() {
        let grid: Vec<_> = (0..6).map(|slot| (10 * slot, slot % 4 == 0, false)).collect();
        let expected = [0.0, 0.75, 0.0, 0.25, 0.0, 0.75].map(|left| Some(vec![left]));
        assert_eq!(shown_with_triggers(clock(DecisionClock::Countdown, 4), &grid, &[20]), expected);
        // Where no decision of the grid is known, the triggered one is known all the same.
        let expected = [None, Some(vec![0.0]), None];
        let grid = [(10, false, false), (20, false, false), (30, false, false)];
        assert_eq!(shown_with_triggers(clock(DecisionClock::Countdown, 4), &grid, &[20]), expected);
    }

    #[test]
    fn after_a_gap_nothing_is_known_until_the_next_decision_but_a_skipped_observation_does_no_harm() {
        let left = |left: f32| Some(vec![left / 8.0]);
        // One late by a slot, one skipped, an overdue decision, a gap, and a decision behind it.
        let moments = [(0, true, false), (14, false, false), (30, false, false), (95, false, false)];
        let expected = [left(0.0), left(7.0), left(5.0), left(1.0)];
        assert_eq!(shown(clock(DecisionClock::Countdown, 8), &moments), expected);
        let moments = [(0, true, false), (20, false, true), (30, false, false), (40, true, true), (50, false, false)];
        let expected = [left(0.0), None, None, left(0.0), left(7.0)];
        assert_eq!(shown(clock(DecisionClock::Countdown, 8), &moments), expected);
    }
}

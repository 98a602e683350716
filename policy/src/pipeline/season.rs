//! Tags that tell where on its circle the plant's time is: hour, day, week or year, UTC.
//!
//! The time is the newest source timestamp among the good and fresh values of an observation. So it is recorded with them,
//! and a replay sees the same one; nobody asks a clock. A source whose clock is ahead takes the others along.

use core::f64::consts::TAU;

use rt_config::{Season, SeasonPart, Tag, TagKind};
use rt_core::tag::TagId;

use super::{Values, narrowed, value_of};

/// Ticks of source timestamps: 100 ns.
const TICKS_PER_SECOND: i64 = 10_000_000;
const TICKS_PER_HOUR: i64 = 3_600 * TICKS_PER_SECOND;
const TICKS_PER_DAY: i64 = 24 * TICKS_PER_HOUR;
/// The first day of the ticks, 1601-01-01, was a Monday.
const TICKS_PER_WEEK: i64 = 7 * TICKS_PER_DAY;
/// Days of 4, of 100 and of 400 years that begin with the year after a leap year of that kind, as 1601 does.
const DAYS_PER_4_YEARS: i64 = 4 * 365 + 1;
const DAYS_PER_100_YEARS: i64 = 25 * DAYS_PER_4_YEARS - 1;
const DAYS_PER_400_YEARS: i64 = 4 * DAYS_PER_100_YEARS + 1;
/// What a column of a missing time shows: the middle of the circle, where no time is.
const NOWHERE: f32 = 0.5;

const _: () = assert!(DAYS_PER_400_YEARS % 7 == 0, "the calendar repeats with its weekdays");

/// The seasonal tags of a site. They remember nothing.
#[derive(Clone, Debug)]
pub(super) struct Seasons(Vec<Stage>);

#[derive(Clone, Debug)]
struct Stage {
    tag: TagId,
    season: Season,
    part: SeasonPart,
}

impl Seasons {
    pub(super) fn new(tags: &[Tag]) -> Self {
        let stage = |(index, tag): (usize, &Tag)| match tag.kind {
            TagKind::Seasonal(season, part) => Some(Stage { tag: TagId::new(index)?, season, part }),
            _ => None,
        };
        Self(tags.iter().enumerate().filter_map(stage).collect())
    }

    /// How many columns of the state they fill.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Puts the tags' values in their places; `newest` is asked for the plant's time if there is any such tag.
    pub(super) fn tell(&self, raw: &mut Values, fresh: &mut [bool], newest: impl FnOnce(&[bool]) -> Option<i64>) {
        if self.0.is_empty() {
            return;
        }
        let ticks = newest(fresh);
        for stage in &self.0 {
            let index = stage.tag.index();
            if let (Some(value), Some(fresh)) = (raw.get_mut(index), fresh.get_mut(index)) {
                *value = ticks.map(|ticks| coordinate(share(ticks, stage.season), stage.part));
                *fresh = value.is_some();
            }
        }
    }

    /// Writes their columns; whether every one has a value.
    pub(super) fn write(&self, values: &Values, columns: &mut [f32]) -> bool {
        let mut complete = true;
        for (stage, column) in self.0.iter().zip(columns) {
            let value = value_of(values, stage.tag);
            complete &= value.is_some();
            *column = value.map_or(NOWHERE, narrowed);
        }
        complete
    }
}

/// How far round the time has gone, in [0, 1).
fn share(ticks: i64, season: Season) -> f64 {
    let (passed, all) = match season {
        Season::Hour => (ticks.rem_euclid(TICKS_PER_HOUR), TICKS_PER_HOUR),
        Season::Day => (ticks.rem_euclid(TICKS_PER_DAY), TICKS_PER_DAY),
        Season::Week => (ticks.rem_euclid(TICKS_PER_WEEK), TICKS_PER_WEEK),
        Season::Year => {
            let (day, days) = day_of_year(ticks.div_euclid(TICKS_PER_DAY));
            (day * TICKS_PER_DAY + ticks.rem_euclid(TICKS_PER_DAY), days * TICKS_PER_DAY)
        }
    };
    passed as f64 / all as f64
}

/// The day of its year, the first being 0, and how many the year has, by the Gregorian calendar at all times. `day` counts
/// from 1601-01-01.
fn day_of_year(day: i64) -> (i64, i64) {
    // A leap day is the last one of its years, and would begin a fifth century or year: it belongs to the fourth.
    let day = day.rem_euclid(DAYS_PER_400_YEARS);
    let century = (day / DAYS_PER_100_YEARS).min(3);
    let day = day - century * DAYS_PER_100_YEARS;
    let four = day / DAYS_PER_4_YEARS;
    let day = day - four * DAYS_PER_4_YEARS;
    let year = (day / 365).min(3);
    let leap = year == 3 && (four != 24 || century == 3);
    (day - year * 365, if leap { 366 } else { 365 })
}

/// The sine or cosine of an angle, scaled to [0, 1].
fn coordinate(share: f64, part: SeasonPart) -> f64 {
    let on_circle = match part {
        SeasonPart::Sin => libm::sin(TAU * share),
        SeasonPart::Cos => libm::cos(TAU * share),
    };
    0.5 + 0.5 * on_circle
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SEASONS: [Season; 4] = [Season::Hour, Season::Day, Season::Week, Season::Year];

    /// The days before a year, counted one by one.
    fn days_before(year: i64) -> i64 {
        (1601..year).map(days_of).sum()
    }

    fn days_of(year: i64) -> i64 {
        if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 366 } else { 365 }
    }

    #[test]
    fn every_day_of_nine_centuries_has_its_place_in_its_year() {
        let mut day = 0;
        for year in 1601..2501 {
            for expected in 0..days_of(year) {
                assert_eq!(day_of_year(day), (expected, days_of(year)), "day {expected} of {year}");
                day += 1;
            }
        }
    }

    #[test]
    fn known_instants_have_their_place_in_week_day_and_hour() {
        // 2000-02-29 18:00 UTC was a Tuesday: 951847200 s after 1970-01-01.
        const UNIX: i64 = 11_644_473_600;
        let ticks = (951_847_200 + UNIX) * TICKS_PER_SECOND;
        assert_eq!(UNIX, days_before(1970) * 86_400);
        assert_eq!(share(ticks, Season::Hour), 0.0);
        assert_eq!(share(ticks, Season::Day), 0.75);
        assert_eq!(share(ticks, Season::Week), 1.75 / 7.0);
        assert_eq!(share(ticks, Season::Year), 59.75 / 366.0);
        // A quarter of an hour later, and Sunday the day after New Year's Eve of a common year: 2023-01-01.
        assert_eq!(share(ticks + TICKS_PER_HOUR / 4, Season::Hour), 0.25);
        let new_year = (1_672_531_200 + UNIX) * TICKS_PER_SECOND;
        assert_eq!((share(new_year, Season::Year), share(new_year, Season::Week)), (0.0, 6.0 / 7.0));
        assert_eq!(share(new_year - 1, Season::Year), (365 * TICKS_PER_DAY - 1) as f64 / (365 * TICKS_PER_DAY) as f64);
    }

    #[test]
    fn a_circle_begins_at_the_cosines_end() {
        let at = |share| (coordinate(share, SeasonPart::Sin), coordinate(share, SeasonPart::Cos));
        for (share, (sin, cos)) in [(0.0, (0.5, 1.0)), (0.25, (1.0, 0.5)), (0.5, (0.5, 0.0)), (0.75, (0.0, 0.5))] {
            let found = at(share);
            assert!((found.0 - sin).abs() < 1e-15 && (found.1 - cos).abs() < 1e-15, "{share}: {found:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_the_time_it_is_on_the_circle(ticks in any::<i64>()) {
            for season in SEASONS {
                let share = share(ticks, season);
                // Rounded to a whole turn at the very end.
                prop_assert!((0.0..=1.0).contains(&share), "{season:?} {share}");
                let (sin, cos) = (coordinate(share, SeasonPart::Sin), coordinate(share, SeasonPart::Cos));
                prop_assert!((0.0..=1.0).contains(&sin) && (0.0..=1.0).contains(&cos));
                prop_assert!(((sin - 0.5).powi(2) + (cos - 0.5).powi(2) - 0.25).abs() < 1e-12);
            }
        }
    }
}

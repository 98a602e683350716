//! Clock times along the axis of a picture.

use chart::Axis;
use jiff::civil::{DateTime, date};
use jiff::{Span, Unit};

use super::time::Zone;

/// Ticks of an axis at most.
const TICKS_MAX: f64 = 8.0;

/// What people count clock times in, from the finest on.
const STEPS: [(Unit, &[i64]); 7] = [
    (Unit::Millisecond, &[1, 2, 5, 10, 20, 50, 100, 200, 500]),
    (Unit::Second, &[1, 2, 5, 10, 15, 30]),
    (Unit::Minute, &[1, 2, 5, 10, 15, 30]),
    (Unit::Hour, &[1, 2, 3, 6, 12]),
    (Unit::Day, &[1, 2, 5, 10]),
    (Unit::Month, &[1, 2, 3, 6]),
    (Unit::Year, &[1, 2, 5, 10, 20, 50, 100]),
];

/// An axis from one time to another that counts seconds since `zero`; all of them nanoseconds since 1970.
pub(in crate::data) fn axis(zone: &Zone, (from, to): (u64, u64), zero: u64) -> Axis {
    let second = |unix_ns: u64| (i128::from(unix_ns) - i128::from(zero)) as f64 / 1e9;
    let to = to.max(from + 1);
    let ticks = ticks(zone, from, to).into_iter().map(|(unix_ns, text)| (second(unix_ns), text));
    Axis { from: second(from), to: second(to), ticks: ticks.collect() }
}

/// Round times of the zone's clocks and calendar, with their names.
fn ticks(zone: &Zone, from: u64, to: u64) -> Vec<(u64, String)> {
    let (unit, count) = step((to - from) as f64 / 1e9);
    let begin = zone.at(from).datetime();
    let anchor = anchor(begin, unit, count);
    // As many steps as surely lie before the beginning.
    let passed = begin.duration_since(anchor).as_secs_f64() / (seconds(unit) * count as f64 * 1.02);
    let mut ticks: Vec<(u64, String)> = Vec::new();
    for steps in passed as i64.. {
        let Some(time) = after(anchor, unit, steps * count).and_then(|time| zone.instant(time)) else { break };
        if time > to {
            break;
        }
        // A clock that is put forward leaves out some of its times.
        if time >= from && ticks.last().is_none_or(|last| last.0 < time) {
            ticks.push((time, zone.at(time).strftime(format(unit)).to_string()));
        }
    }
    ticks
}

/// The finest step that does not crowd an axis of so many seconds.
fn step(width_s: f64) -> (Unit, i64) {
    let all = STEPS.iter().flat_map(|(unit, counts)| counts.iter().map(|count| (*unit, *count)));
    let is_wide = |(unit, count): &(Unit, i64)| width_s / (seconds(*unit) * *count as f64) <= TICKS_MAX;
    all.into_iter().find(is_wide).unwrap_or((Unit::Year, 100))
}

/// About how many.
fn seconds(unit: Unit) -> f64 {
    match unit {
        Unit::Millisecond => 1e-3,
        Unit::Second => 1.0,
        Unit::Minute => 60.0,
        Unit::Hour => 3_600.0,
        Unit::Day => 86_400.0,
        Unit::Month => 30.4 * 86_400.0,
        _ => 365.2 * 86_400.0,
    }
}

/// From where steps are counted.
fn anchor(begin: DateTime, unit: Unit, count: i64) -> DateTime {
    match unit {
        Unit::Millisecond => begin.with().minute(0).second(0).subsec_nanosecond(0).build().unwrap_or(begin),
        Unit::Second | Unit::Minute | Unit::Hour => begin.date().to_datetime(jiff::civil::Time::midnight()),
        Unit::Day => begin.date().first_of_month().to_datetime(jiff::civil::Time::midnight()),
        Unit::Month => date(begin.year(), 1, 1).at(0, 0, 0, 0),
        _ => {
            let count = i16::try_from(count).unwrap_or(1);
            date(begin.year() / count * count, 1, 1).at(0, 0, 0, 0)
        }
    }
}

fn after(anchor: DateTime, unit: Unit, count: i64) -> Option<DateTime> {
    let span = Span::new();
    let span = match unit {
        Unit::Millisecond => span.try_milliseconds(count),
        Unit::Second => span.try_seconds(count),
        Unit::Minute => span.try_minutes(count),
        Unit::Hour => span.try_hours(count),
        Unit::Day => span.try_days(count),
        Unit::Month => span.try_months(count),
        _ => span.try_years(count),
    };
    anchor.checked_add(span.ok()?).ok()
}

fn format(unit: Unit) -> &'static str {
    match unit {
        Unit::Millisecond => "%H:%M:%S%.3f",
        Unit::Second => "%H:%M:%S",
        Unit::Minute => "%H:%M",
        Unit::Hour => "%m-%d %H:%M",
        Unit::Day => "%Y-%m-%d",
        Unit::Month => "%Y-%m",
        _ => "%Y",
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn told(zone: &str, from: &str, to: &str) -> Vec<String> {
        let zone = if zone == "UTC" { TimeZone::UTC } else { TimeZone::posix(zone).unwrap() };
        let zone = Zone::of(zone);
        let [from, to] = [from, to].map(|text| zone.read_ns(text).unwrap());
        ticks(&zone, from, to).into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_on_the_clock_and_in_the_calendar() {
        let day = "2026-11-26";
        let of_day = |from: &str, to: &str| told("UTC", &format!("{day} {from}"), &format!("{day} {to}"));
        assert_eq!(of_day("14:00:10", "14:10"), ["14:02", "14:04", "14:06", "14:08", "14:10"]);
        assert_eq!(
            of_day("14:00:59", "14:01:02"),
            [
                "14:00:59.000",
                "14:00:59.500",
                "14:01:00.000",
                "14:01:00.500",
                "14:01:01.000",
                "14:01:01.500",
                "14:01:02.000"
            ]
        );
        assert_eq!(
            of_day("01:00", "20:00"),
            ["11-26 03:00", "11-26 06:00", "11-26 09:00", "11-26 12:00", "11-26 15:00", "11-26 18:00"]
        );
        assert_eq!(told("UTC", "2026-01-15", "2026-05-02"), ["2026-02", "2026-03", "2026-04", "2026-05"]);
        assert_eq!(told("UTC", "1973-05-01", "2026-11-27"), ["1980", "1990", "2000", "2010", "2020"]);
    }

    #[test]
    fn a_clock_that_is_put_forward_or_back_has_its_own_times() {
        // Clocks of Berlin go from 02:00 to 03:00 in March.
        let zone = "CET-1CEST,M3.5.0,M10.5.0/3";
        let spring = told(zone, "2026-03-29 00:30", "2026-03-29 06:30");
        assert_eq!(spring, ["03-29 01:00", "03-29 03:00", "03-29 04:00", "03-29 05:00", "03-29 06:00"]);
        assert_eq!(told(zone, "2026-10-24", "2026-10-26").last().unwrap(), "10-26 00:00");
    }

    proptest! {
        #[test]
        fn any_window_has_few_ticks_that_rise_inside_it(from in 0_u64..4_000_000_000_000_000_000, width in prop_oneof![10_000_000_u64..60_000_000_000, 1_000_000_000_u64..4_000_000_000_000_000_000]) {
            let zone = Zone::of(TimeZone::UTC);
            let ticks = ticks(&zone, from, from + width);
            prop_assert!((1..=9).contains(&ticks.len()), "{ticks:?}");
            prop_assert!(ticks.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 != pair[1].1), "{ticks:?}");
            prop_assert!(ticks.iter().all(|tick| (from..=from + width).contains(&tick.0)));
        }
    }
}

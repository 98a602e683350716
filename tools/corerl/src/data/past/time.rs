//! Times as people write and read them.

use clap::Args;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ZonedDateTime};

use crate::failure::{Exit, Failure};

/// Without `--from`, the time before `--to` that is shown.
const USUAL: &str = "1h";

/// Between which times.
#[derive(Clone, Debug, Args)]
pub(super) struct Window {
    /// From this time on [default: an hour before --to].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,
    /// Up to this time [default: now].
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    #[command(flatten)]
    zone: ZoneArguments,
}

/// In which zone.
#[derive(Clone, Debug, Args)]
pub(in crate::data) struct ZoneArguments {
    /// The zone of times that have none, and of those that are printed: UTC, or a name like Europe/Berlin [default: this machine's].
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
}

/// What `--help` says of times.
pub(super) const TIMES: &str = "Times: 2026-03-01T14:05:00Z, \"2026-03-01 14:05\", 2026-03-01, 14:05 (today), \"yesterday 14:05\", now, and -90m, -2h or -7d from now.";

/// A zone, and what the time is in it.
#[derive(Clone, Debug)]
pub(in crate::data) struct Zone {
    now: ZonedDateTime,
}

impl ZoneArguments {
    pub(in crate::data) fn zone(&self) -> Result<Zone, Failure> {
        match self.zone.as_deref() {
            None => Ok(Zone::of(TimeZone::system())),
            Some(name) => Zone::named(name),
        }
    }
}

impl Window {
    /// Both ends, nanoseconds since 1970, and the zone that they were read in.
    pub(super) fn read(&self) -> Result<(u64, u64, Zone), Failure> {
        let zone = self.zone.zone()?;
        let to = self.to.as_deref().map_or_else(|| Ok(zone.now.clone()), |text| zone.read(text))?;
        let from = match self.from.as_deref() {
            Some(text) => zone.read(text)?,
            None => to.checked_sub(USUAL.parse::<Span>().unwrap_or_default()).unwrap_or_else(|_| to.clone()),
        };
        if from > to {
            return Err(Failure::new(Exit::Usage, format!("--from {from} is after --to {to}")));
        }
        Ok((since_1970(&from), since_1970(&to), zone))
    }
}

impl Zone {
    pub(super) fn of(zone: TimeZone) -> Self {
        Self { now: Timestamp::now().to_zoned_datetime(zone) }
    }

    /// The zone of a name.
    pub(in crate::data) fn named(name: &str) -> Result<Self, Failure> {
        named_zone(name).map(Self::of)
    }

    /// What it is called, for people.
    pub(in crate::data) fn name(&self) -> String {
        let zone = self.now.time_zone();
        match zone.iana_name() {
            _ if *zone == TimeZone::UTC => "UTC".to_owned(),
            Some(name) => name.to_owned(),
            None => format!("UTC{}", self.now.strftime("%:z")),
        }
    }

    /// A time in it.
    pub(super) fn at(&self, unix_ns: u64) -> ZonedDateTime {
        // In i64, nanoseconds reach to the year 2262.
        let ns = i64::try_from(unix_ns).unwrap_or(i64::MAX);
        let time = Timestamp::from_nanosecond(ns.into()).unwrap_or(Timestamp::MAX);
        time.to_zoned_datetime(self.now.time_zone().clone())
    }

    /// When its clocks show that, nanoseconds since 1970; the time after it, if they never do.
    pub(super) fn instant(&self, civil: DateTime) -> Option<u64> {
        Some(since_1970(&civil.to_zoned_datetime(self.now.time_zone().clone()).ok()?))
    }

    /// A time as [`TIMES`] says.
    pub(super) fn read(&self, text: &str) -> Result<ZonedDateTime, Failure> {
        self.understood(text.trim())
            .ok_or_else(|| Failure::new(Exit::Usage, format!("{text:?} is no time that is understood here. {TIMES}")))
    }

    /// The same as nanoseconds since 1970.
    pub(super) fn read_ns(&self, text: &str) -> Result<u64, Failure> {
        self.read(text).map(|time| since_1970(&time))
    }

    fn understood(&self, text: &str) -> Option<ZonedDateTime> {
        let zone = self.now.time_zone();
        if let Some(span) = text.strip_prefix('-') {
            return self.now.checked_sub(span.parse::<Span>().ok()?).ok();
        }
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Some(instant.to_zoned_datetime(zone.clone()));
        }
        let (day, rest) = text.split_once(' ').unwrap_or((text, ""));
        let today = self.now.date();
        let civil = match day {
            "now" if rest.is_empty() => return Some(self.now.clone()),
            "today" => on(today, rest)?,
            "yesterday" => on(today.yesterday().ok()?, rest)?,
            _ if rest.is_empty() && text.contains(':') && !text.contains('-') => on(today, text)?,
            _ => text.parse::<DateTime>().ok()?,
        };
        civil.to_zoned_datetime(zone.clone()).ok()
    }

    /// A time for people and for programs: ISO 8601 with its offset, to the millisecond.
    pub(in crate::data) fn tell(&self, unix_ns: u64) -> String {
        self.tell_to(unix_ns, 3)
    }

    /// The same to the microsecond, in which a source's time is kept.
    pub(in crate::data) fn tell_micros(&self, unix_us: u64) -> String {
        self.tell_to(unix_us.saturating_mul(1_000), 6)
    }

    fn tell_to(&self, unix_ns: u64, digits: usize) -> String {
        let time = self.at(unix_ns);
        if *self.now.time_zone() == TimeZone::UTC {
            return format!("{:.digits$}", time.timestamp());
        }
        time.strftime(&format!("%Y-%m-%dT%H:%M:%S%.{digits}f%:z")).to_string()
    }
}

/// A time of a day; its beginning, if none is given.
fn on(date: Date, time: &str) -> Option<DateTime> {
    let time = if time.is_empty() { Time::midnight() } else { time.parse().ok()? };
    Some(date.to_datetime(time))
}

fn since_1970(time: &ZonedDateTime) -> u64 {
    u64::try_from(time.timestamp().as_nanosecond()).unwrap_or(0)
}

/// The zone of a name.
pub(in crate::data) fn named_zone(name: &str) -> Result<TimeZone, Failure> {
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| {
        let advice = "give UTC or a name like Europe/Berlin";
        Failure::new(Exit::Usage, format!("this machine knows no time zone {name}: {advice}"))
    })
}

/// A span as people write it, nanoseconds.
pub(in crate::data) fn span_ns(text: &str) -> Result<u64, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| format!("{text:?} is no span of time: write 10s, 1m or 1h"))?;
    match u64::try_from(span.as_nanos()) {
        Ok(ns) if ns > 0 => Ok(ns),
        _ => Err(format!("{text:?} is not longer than nothing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> Zone {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        Zone { now: "2026-11-27T04:30:00Z".parse::<Timestamp>().unwrap().to_zoned_datetime(zone) }
    }

    #[test]
    fn times_are_read_as_people_write_them_and_told_with_their_offset() {
        let zone = berlin();
        for (text, told) in [
            ("2026-11-26T14:05:00Z", "2026-11-26T15:05:00.000+01:00"),
            ("2026-07-01T12:00:00.25+02:00", "2026-07-01T12:00:00.250+02:00"),
            ("2026-07-01 14:05", "2026-07-01T14:05:00.000+02:00"),
            ("2026-07-01", "2026-07-01T00:00:00.000+02:00"),
            ("14:05", "2026-11-27T14:05:00.000+01:00"),
            ("14:05:07.5", "2026-11-27T14:05:07.500+01:00"),
            ("yesterday 14:05", "2026-11-26T14:05:00.000+01:00"),
            ("yesterday", "2026-11-26T00:00:00.000+01:00"),
            ("today", "2026-11-27T00:00:00.000+01:00"),
            ("now", "2026-11-27T05:30:00.000+01:00"),
            ("-90m", "2026-11-27T04:00:00.000+01:00"),
            ("-1d", "2026-11-26T05:30:00.000+01:00"),
        ] {
            assert_eq!(zone.tell(zone.read_ns(text).unwrap()), told, "{text}");
        }
        for text in ["", "noon", "25:00", "-", "-3x", "2026-13-01", "tomorrow"] {
            assert!(zone.read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn utc_is_told_with_a_z_and_the_ends_of_the_scale_are_no_panic() {
        let zone = Zone { now: Timestamp::UNIX_EPOCH.to_zoned_datetime(TimeZone::UTC) };
        assert_eq!(zone.tell(1_500_000_000), "1970-01-01T00:00:01.500Z");
        assert!(zone.tell(u64::MAX).starts_with("2262-"));
    }

    #[test]
    fn spans_are_longer_than_nothing() {
        assert_eq!(
            [span_ns("1m"), span_ns("250ms"), span_ns("1h 30m")],
            [Ok(60_000_000_000), Ok(250_000_000), Ok(5_400_000_000_000)]
        );
        assert!(["0s", "-1s", "soon", ""].iter().all(|text| span_ns(text).is_err()));
    }
}

//! Times as other historians write them.

use clap::ValueEnum;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};

use super::file::Cell;

/// Spellings of a time of a wall clock. What has month and day the other way round needs a format.
const SPELLINGS: [&str; 6] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S%.f",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M",
    "%Y-%m-%d",
];

/// How times are written that have no offset.
#[derive(Clone, Debug)]
pub(super) struct Clock {
    /// Whose time it is; without one such times are refused.
    pub(super) zone: Option<TimeZone>,
    /// Which of two hours that are called alike.
    pub(super) twice: Twice,
    /// How they are written; found out, if it is not said.
    pub(super) format: Option<String>,
}

/// What is done with a time that a clock showed twice, because it was set back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Twice {
    /// Refuse its line.
    Refuse,
    /// It is the first one, in summer time.
    Earlier,
    /// It is the second one, in winter time.
    Later,
}

/// Units of numbers that count from 1970.
const EPOCHS: [(&str, i64); 4] = [("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000), ("ns", 1)];

impl Clock {
    /// Nanoseconds since 1970, or what is wrong with the time.
    pub(super) fn read(&self, cell: &Cell<'_>) -> Result<u64, String> {
        let unix_ns = match *cell {
            Cell::Nothing => return Err("it has no time".to_owned()),
            Cell::Instant { unix_ns, is_utc: true } => unix_ns,
            Cell::Instant { unix_ns, is_utc: false } => {
                let wall = Timestamp::from_nanosecond(unix_ns.into()).map_err(|error| error.to_string())?;
                self.place(TimeZone::UTC.to_datetime(wall))?
            }
            Cell::Whole(count) => self.count(count, &count.to_string())?,
            Cell::Number(number) => self.text(&number.to_string())?,
            Cell::Text(text) => self.text(text.trim())?,
        };
        u64::try_from(unix_ns).map_err(|_| "its time lies before 1970".to_owned())
    }

    fn text(&self, text: &str) -> Result<i64, String> {
        if let Some(format) = self.format.as_deref().filter(|format| format.contains('%')) {
            let with_offset = Timestamp::strptime(format, text).ok().map(since_1970);
            let unread = |error| format!("`{text}` is not written as {format}: {error}");
            return with_offset.map_or_else(|| self.place(DateTime::strptime(format, text).map_err(unread)?), Ok);
        }
        if let Ok(count) = text.parse::<i64>() {
            return self.count(count, text);
        }
        if let Some(unix_ns) = self.decimal(text) {
            return Ok(unix_ns);
        }
        if let Ok(instant) = text.parse::<Timestamp>() {
            return Ok(since_1970(instant));
        }
        let spaced = text.replacen('T', " ", 1);
        let wall = SPELLINGS.iter().find_map(|spelling| DateTime::strptime(spelling, &spaced).ok());
        let wall = wall.ok_or_else(|| {
            format!("`{text}` is no time that is read without --time-format, which says how it is written: like %m/%d/%Y %H:%M:%S")
        })?;
        self.place(wall)
    }

    /// A whole number: of the unit that was said, or of the one that makes it a time of this century.
    fn count(&self, count: i64, text: &str) -> Result<i64, String> {
        let guessed = match count.unsigned_abs() {
            0..100_000_000_000 => 1_000_000_000,
            100_000_000_000..100_000_000_000_000 => 1_000_000,
            100_000_000_000_000..100_000_000_000_000_000 => 1_000,
            _ => 1,
        };
        let each = self.each().unwrap_or(guessed);
        count.checked_mul(each).ok_or_else(|| format!("`{text}` lies beyond the year 2262"))
    }

    /// A number with a point: the digits behind it are read as they stand.
    fn decimal(&self, text: &str) -> Option<i64> {
        let (whole, part) = text.split_once('.')?;
        let is_number = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let whole: i64 = whole.parse().ok().filter(|_| is_number)?;
        let each = self.count(1, text).ok()?;
        let nines: i64 = format!("{part:0<9.9}").parse().ok()?;
        let fraction = i128::from(nines) * i128::from(each) / 1_000_000_000;
        self.count(whole, text).ok()?.checked_add(fraction as i64)
    }

    fn each(&self) -> Option<i64> {
        let format = self.format.as_deref()?;
        EPOCHS.iter().find(|(name, _)| *name == format).map(|(_, each)| *each)
    }

    /// What a clock on the wall showed, as an instant.
    fn place(&self, wall: DateTime) -> Result<i64, String> {
        let Some(zone) = &self.zone else {
            return Err(format!("{wall} has no offset: say with --zone whose time it is, like Europe/Berlin or UTC"));
        };
        let ambiguous = zone.to_ambiguous_timestamp(wall);
        let instant = match (ambiguous.offset(), self.twice) {
            (AmbiguousOffset::Unambiguous { .. }, _) => ambiguous.unambiguous(),
            (AmbiguousOffset::Gap { .. }, _) => {
                return Err(format!("{wall} never was: the clock was set forward over it; is --zone right?"));
            }
            (AmbiguousOffset::Fold { .. }, Twice::Earlier) => ambiguous.earlier(),
            (AmbiguousOffset::Fold { .. }, Twice::Later) => ambiguous.later(),
            (AmbiguousOffset::Fold { .. }, Twice::Refuse) => {
                return Err(format!(
                    "{wall} was twice, as the clock was set back: write times with offsets, or say --twice earlier or later"
                ));
            }
        };
        instant.map(since_1970).map_err(|error| error.to_string())
    }
}

/// Nanoseconds since 1970, up to where i64 ends.
fn since_1970(instant: Timestamp) -> i64 {
    i64::try_from(instant.as_nanosecond()).unwrap_or(i64::MAX)
}

/// Whether a text is a way to write times: a unit of numbers from 1970, or a pattern.
pub(super) fn format(text: &str) -> Result<String, String> {
    let is_known = text.contains('%') || EPOCHS.iter().any(|(name, _)| *name == text);
    is_known.then(|| text.to_owned()).ok_or_else(|| {
        format!("`{text}` is no way to write times: s, ms, us or ns since 1970, or a pattern like %m/%d/%Y %H:%M:%S")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(format: Option<&str>, twice: Twice) -> Clock {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        Clock { zone: Some(zone), twice, format: format.map(str::to_owned) }
    }

    fn read(clock: &Clock, text: &str) -> Result<String, String> {
        let ns = clock.read(&Cell::Text(text))?;
        Ok(Timestamp::from_nanosecond(ns.into()).unwrap().to_string())
    }

    #[test]
    fn times_are_read_as_historians_write_them() {
        let clock = clock(None, Twice::Refuse);
        for (text, told) in [
            ("2026-07-01T12:00:00.25+02:00", "2026-07-01T10:00:00.25Z"),
            ("2026-07-01T12:00:00Z", "2026-07-01T12:00:00Z"),
            ("2026-07-01 12:00:00.5", "2026-07-01T10:00:00.5Z"),
            ("2026-01-01T12:00", "2026-01-01T11:00:00Z"),
            ("01.07.2026 12:00", "2026-07-01T10:00:00Z"),
            ("2026-07-01", "2026-06-30T22:00:00Z"),
            ("1782900000", "2026-07-01T10:00:00Z"),
            ("1782900000.123456789", "2026-07-01T10:00:00.123456789Z"),
            ("1782900000123", "2026-07-01T10:00:00.123Z"),
            ("1782900000123456789", "2026-07-01T10:00:00.123456789Z"),
        ] {
            assert_eq!(read(&clock, text).as_deref(), Ok(told), "{text}");
        }
        for text in ["", "noon", "07/01/2026 12:00", "2026-13-01", "1e99", "-5"] {
            assert!(read(&clock, text).is_err(), "{text}");
        }
    }

    #[test]
    fn hours_that_were_twice_or_never_are_refused_unless_it_is_said_which() {
        let twice = "2026-10-25 02:30:00";
        assert!(read(&clock(None, Twice::Refuse), twice).unwrap_err().contains("--twice"));
        assert_eq!(read(&clock(None, Twice::Earlier), twice).unwrap(), "2026-10-25T00:30:00Z");
        assert_eq!(read(&clock(None, Twice::Later), twice).unwrap(), "2026-10-25T01:30:00Z");
        for way in [Twice::Refuse, Twice::Earlier, Twice::Later] {
            assert!(read(&clock(None, way), "2026-03-29 02:30:00").unwrap_err().contains("never was"));
        }
        let nowhere = Clock { zone: None, ..clock(None, Twice::Refuse) };
        assert!(read(&nowhere, "2026-07-01 12:00:00").unwrap_err().contains("--zone"));
        assert!(read(&nowhere, "2026-07-01T12:00:00Z").is_ok());
    }

    #[test]
    fn a_format_that_is_said_counts_alone() {
        let american = clock(Some("%m/%d/%Y %H:%M"), Twice::Refuse);
        assert_eq!(read(&american, "07/01/2026 12:00").unwrap(), "2026-07-01T10:00:00Z");
        assert!(read(&american, "2026-07-01 12:00").is_err());
        assert_eq!(read(&clock(Some("ms"), Twice::Refuse), "1000").unwrap(), "1970-01-01T00:00:01Z");
        assert_eq!(format("ms").as_deref(), Ok("ms"));
        assert!(format("%Y").is_ok() && format("iso").is_err());
    }
}

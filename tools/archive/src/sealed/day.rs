//! Days.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDate};

const DAY_NS: u64 = 86_400_000_000_000;

/// A day in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(u32);

impl Day {
    /// That of an instant, nanoseconds since 1970.
    pub const fn of(unix_ns: u64) -> Self {
        // 64 bits of nanoseconds are 213,504 days.
        Self((unix_ns / DAY_NS) as u32)
    }

    /// The one before.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Days since 1970.
    pub(crate) const fn number(self) -> u32 {
        self.0
    }

    /// Its first instant, nanoseconds since 1970.
    pub const fn first_ns(self) -> u64 {
        (self.0 as u64).saturating_mul(DAY_NS)
    }

    /// Its last one.
    pub const fn last_ns(self) -> u64 {
        self.first_ns().saturating_add(DAY_NS - 1)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of 32 bits of days chrono knows those up to the year 262,142, and so does this.
        let date = DateTime::from_timestamp(i64::from(self.0) * 86_400, 0).unwrap_or(DateTime::<chrono::Utc>::MAX_UTC);
        write!(f, "{}", date.format("%Y-%m-%d"))
    }
}

/// A day is written YYYY-MM-DD.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a day is written YYYY-MM-DD, from 1970-01-01 on")]
pub struct NoDay;

impl FromStr for Day {
    type Err = NoDay;

    fn from_str(text: &str) -> Result<Self, NoDay> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").map_err(|_| NoDay)?;
        let days = date.signed_duration_since(NaiveDate::default()).num_days();
        u32::try_from(days).map(Self).map_err(|_| NoDay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_and_ends_in_utc_and_is_read_as_it_is_written() {
        let day = Day::of(1_709_210_096_000_000_000);
        assert_eq!(day.to_string(), "2024-02-29");
        assert_eq!("2024-02-29".parse(), Ok(day));
        assert_eq!((Day::of(day.first_ns()), Day::of(day.last_ns())), (day, day));
        assert_eq!(Day::of(day.first_ns() - 1), day.before());
        assert_eq!(Day::of(day.last_ns() + 1).before(), day);
        assert_eq!("1969-12-31".parse::<Day>(), Err(NoDay));
        assert!(!Day(u32::MAX).to_string().is_empty());
    }
}

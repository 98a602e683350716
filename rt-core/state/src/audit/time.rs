//! Wall-clock time for people.

use chrono::{DateTime, SecondsFormat};

/// A time in UTC as RFC 3339 writes it, to the millisecond.
pub fn utc(unix_ns: u64) -> String {
    // In i64, nanoseconds reach to the year 2262.
    let time = DateTime::from_timestamp_nanos(i64::try_from(unix_ns).unwrap_or(i64::MAX));
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_people_read_them() {
        assert_eq!(utc(1_709_210_096_999_999_999), "2024-02-29T12:34:56.999Z");
        assert_eq!(utc(0), "1970-01-01T00:00:00.000Z");
        assert!(utc(u64::MAX).starts_with("2262-"));
    }
}

//! Instants for people.

use chrono::{DateTime, SecondsFormat};

/// A time in UTC as ISO 8601 writes it, to the microsecond.
pub fn utc(unix_ns: u64) -> String {
    // In i64, nanoseconds reach to the year 2262.
    let time = DateTime::from_timestamp_nanos(i64::try_from(unix_ns).unwrap_or(i64::MAX));
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_told_to_the_microsecond_and_never_overflows() {
        assert_eq!(utc(1_709_210_096_000_001_999), "2024-02-29T12:34:56.000001Z");
        assert!(utc(u64::MAX).starts_with("2262-"));
    }
}

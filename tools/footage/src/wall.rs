//! Wall time for people: the control path knows monotonic time alone.

use tables::utc;

/// One instant by both clocks, from which every other one is told. The wall clock's later corrections are not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WallClock {
    /// By the machine's monotonic clock.
    pub monotonic_ns: u64,
    /// The same instant in nanoseconds since 1970.
    pub unix_ns: u64,
}

impl WallClock {
    /// Nanoseconds since 1970; the ends of that range for what lies beyond.
    pub fn unix_ns(&self, monotonic_ns: u64) -> u64 {
        if monotonic_ns >= self.monotonic_ns {
            self.unix_ns.saturating_add(monotonic_ns - self.monotonic_ns)
        } else {
            self.unix_ns.saturating_sub(self.monotonic_ns - monotonic_ns)
        }
    }

    /// The same as text: ISO 8601, UTC, to the microsecond.
    pub fn utc(&self, monotonic_ns: u64) -> String {
        utc(self.unix_ns(monotonic_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_and_after_the_pair_are_told_from_it_and_never_overflow() {
        let clock = WallClock { monotonic_ns: 5_000_000_000, unix_ns: 1_709_210_096_000_000_000 };
        assert_eq!(clock.utc(5_000_001_999), "2024-02-29T12:34:56.000001Z");
        assert_eq!(clock.utc(4_000_000_000), "2024-02-29T12:34:55.000000Z");
        assert!(clock.utc(u64::MAX).starts_with("2262-"));
        let early = WallClock { monotonic_ns: u64::MAX, unix_ns: 0 };
        assert_eq!(early.utc(0), "1970-01-01T00:00:00.000000Z");
    }
}

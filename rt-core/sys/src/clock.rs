//! The clocks: monotonic for everything, wall time for certificates alone.

use rt_core::ports::Clock;
use rt_core::time::{MonoTime, NS_PER_S, Span};
use rustix::thread::clock_nanosleep_absolute;
use rustix::time::{ClockId, Timespec};

/// Looks at both clocks until one took no longer than this to be read between two looks at the other: a thread that was taken
/// from its CPU in between would pair two instants.
const PAIR_WITHIN: Span = Span::from_ns(20_000);
/// On a machine that never gives so long a moment, the best of so many pairs counts.
const PAIRS_MAX: usize = 16;

/// CLOCK_MONOTONIC: nanoseconds since boot, the same in every process of this machine.
#[derive(Clone, Copy, Debug)]
pub struct MonotonicClock(());

impl MonotonicClock {
    /// The clock.
    pub const fn new() -> Self {
        Self(())
    }

    /// One instant by both clocks, for whoever tells people when something was that has monotonic time alone.
    pub fn with_wall_time(&self) -> (MonoTime, UnixTime) {
        let mut best = (Span::MAX, (MonoTime::ZERO, UnixTime(0)));
        for _ in 0..PAIRS_MAX {
            let (before, wall, behind) = (self.now(), unix_time(), self.now());
            let took = behind.since(before);
            if took < best.0 {
                best = (took, (before + Span::from_ns(took.as_ns() / 2), wall));
            }
            if took <= PAIR_WITHIN {
                break;
            }
        }
        best.1
    }

    /// Sleeps until `deadline`; returns at once when it has passed. A signal does not end the sleep.
    ///
    /// # Real-time
    /// The control thread's one system call (`clock_nanosleep`, absolute). Allocates nothing.
    pub fn sleep_until(&self, deadline: MonoTime) {
        let request = timespec(deadline);
        while let Err(errno) = clock_nanosleep_absolute(ClockId::Monotonic, &request) {
            if errno != rustix::io::Errno::INTR {
                // Only a malformed request can fail otherwise, and `timespec` makes none. Returning early is safe: the
                // schedule takes the real time from the clock.
                return;
            }
        }
    }
}

impl Default for MonotonicClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for MonotonicClock {
    /// # Real-time
    /// A read in the vDSO, no system call.
    fn now(&self) -> MonoTime {
        let time = read(libc::CLOCK_MONOTONIC);
        MonoTime::from_ns((time.tv_sec as u64).saturating_mul(NS_PER_S).saturating_add(time.tv_nsec as u64))
    }
}

/// The time of a clock that exists: reading it cannot fail. Through the C library, which has looked up the vDSO before any
/// thread begins; rustix looks it up when it is first asked, and asserts what it read, so that it could allocate and panic.
fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` lives across the call, which writes to it and keeps no pointer.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time
}

/// The instant as the kernel takes it. An instant beyond the kernel's range (292 years) becomes the last one in it.
fn timespec(time: MonoTime) -> Timespec {
    let last_s = i64::MAX as u64 / NS_PER_S;
    Timespec { tv_sec: (time.as_ns() / NS_PER_S).min(last_s) as i64, tv_nsec: (time.as_ns() % NS_PER_S) as i64 }
}

/// Wall time: nanoseconds since 1970-01-01T00:00:00Z. For the validity of certificates and for people; nothing that
/// decides about the plant may depend on it, because anyone who spoofs a time server can move it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(u64);

impl UnixTime {
    /// Nanoseconds since the epoch.
    pub const fn as_ns(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_s(self) -> u64 {
        self.0 / NS_PER_S
    }
}

/// The wall time now; zero when the clock stands before 1970.
pub fn unix_time() -> UnixTime {
    let time = read(libc::CLOCK_REALTIME);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    UnixTime(seconds.saturating_mul(NS_PER_S).saturating_add(time.tv_nsec as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_never_goes_back_and_a_sleep_never_ends_early() {
        let clock = MonotonicClock::new();
        for ms in [0, 1, 3] {
            let deadline = clock.now() + Span::from_ms(ms);
            clock.sleep_until(deadline);
            assert!(clock.now() >= deadline);
        }
    }

    #[test]
    fn a_deadline_in_the_past_returns_at_once() {
        let clock = MonotonicClock::new();
        clock.sleep_until(MonoTime::ZERO);
        clock.sleep_until(MonoTime::from_ns(1));
    }

    #[test]
    fn instants_are_split_exactly_and_the_far_future_stays_in_range() {
        let split = timespec(MonoTime::from_ns(3_000_000_007));
        assert_eq!((split.tv_sec, split.tv_nsec), (3, 7));
        let far = timespec(MonoTime::from_ns(u64::MAX));
        assert!(far.tv_sec > 0 && (0..1_000_000_000).contains(&far.tv_nsec));
    }

    #[test]
    fn an_instant_by_both_clocks_lies_between_two_looks_at_each() {
        let clock = MonotonicClock::new();
        let (early, early_wall) = (clock.now(), unix_time());
        let (now, wall) = clock.with_wall_time();
        assert!(early <= now && now <= clock.now());
        assert!(early_wall <= wall && wall <= unix_time());
    }

    #[test]
    fn wall_time_is_after_the_year_2020() {
        assert!(unix_time().as_s() > 1_577_836_800);
        assert_eq!(UnixTime(1_999_999_999).as_s(), 1);
    }
}

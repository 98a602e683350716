//! Keeping a grid: sleep until shortly before a release, spin the rest.

use rt_core::pacing::{Blame, Delays, Spin, Wait};
use rt_core::ports::Clock;
use rt_core::schedule::{Grid, Slot};
use rt_core::time::{MonoTime, Period, Span};

use crate::{Grant, Granted, MonotonicClock};

/// Wake-ups by which the margin is calibrated.
const WAKES: usize = 200;
/// Time between two of them: long enough for the CPU to become idle, as it does between two cycles.
const WAKES_APART: Span = Span::from_ms(1);
/// Calibrating ends after this time, with as many wake-ups as there were.
const CALIBRATION_MAX: Span = Span::from_ms(250);
/// The margin covers all but one in so many of the wake-ups, and a quarter more.
const WAKES_UNCOVERED: usize = 50;
/// Fewer wake-ups say nothing about the tail.
const WAKES_MIN: usize = WAKES_UNCOVERED;

const _: () = assert!(WAKES_APART.as_ns() * WAKES as u64 <= CALIBRATION_MAX.as_ns());
const _: () = assert!(WAKES / WAKES_UNCOVERED >= 2, "one outlier must not become the margin");

/// How a loop shall keep its grid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pacing {
    /// The distance between two releases.
    pub period: Period,
    /// The grid lies this far behind the multiples of the period since boot.
    pub phase: Span,
    /// Whether the loop spins before a release.
    pub spin: Spin,
    /// The loop's CPU belongs to nothing else of ours; without that, [`Spin::Auto`] does not spin.
    pub cpu_is_alone: bool,
}

impl Pacing {
    /// The first release after `now` that leaves a whole period to get ready.
    fn first_release(&self, now: MonoTime) -> MonoTime {
        let earliest = (now + self.period.span()).minus(self.phase);
        let slots = earliest.as_ns().div_ceil(self.period.as_ns());
        MonoTime::ZERO + self.period.span().times(slots) + self.phase
    }

    /// How long to spin. The real-time thread that will spin calls this, on its CPU and with its priority.
    fn margin(&self, clock: &MonotonicClock, granted: &Granted) -> Span {
        match self.spin {
            Spin::Off => Span::ZERO,
            Spin::Margin(margin) => margin.min(Spin::longest(self.period)),
            // Without a priority, spinning uses up the time slice that the cycle needs.
            Spin::Auto if self.cpu_is_alone && matches!(granted.fifo, Grant::Confirmed(_)) => {
                calibrated(clock, self.period).min(Spin::longest(self.period))
            }
            Spin::Auto => Span::ZERO,
        }
    }
}

/// A slot of the grid, as [`Pacer::next_slot`] found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paced {
    /// The slot.
    pub slot: Slot,
    /// Whom to blame, when it was a miss.
    pub blame: Option<Blame>,
}

/// A loop's grid, and its way of waiting for the next slot.
#[derive(Clone, Copy, Debug)]
pub struct Pacer {
    clock: MonotonicClock,
    grid: Grid,
    margin: Span,
    delays: Delays,
}

impl Pacer {
    /// Calibrates, if it is asked for and makes sense (at most a quarter of a second), then lays the grid. To be called by the
    /// thread that keeps the grid, once it has its CPU and priority, which `granted` tells.
    pub fn start(clock: MonotonicClock, pacing: &Pacing, granted: &Granted) -> Self {
        let margin = pacing.margin(&clock, granted);
        let grid = Grid::new(pacing.first_release(clock.now()), pacing.period);
        Self { clock, grid, margin, delays: Delays::default() }
    }

    /// Waits for the next slot and takes it; without waiting, when it has passed.
    ///
    /// # Real-time
    /// The control thread's one system call is the sleep in here. It then reads the clock until the release, for at most
    /// a quarter of the period. Allocates nothing.
    pub fn next_slot(&mut self) -> Paced {
        let begun = self.clock.now();
        let release = self.grid.next_release();
        self.clock.sleep_until(release.minus(self.margin));
        let woke = self.clock.now();
        let (now, gap) = self.spin(woke, release);
        let slot = self.grid.wake(now);
        let blame = self.delays.note(&Wait { begun, woke, gap }, &slot, self.grid.period());
        Paced { slot, blame }
    }

    /// Reads the clock until `release`; the instant at which it was reached, and the longest pause between two readings.
    fn spin(&self, from: MonoTime, release: MonoTime) -> (MonoTime, Span) {
        let (mut now, mut gap) = (from, Span::ZERO);
        while now < release {
            std::hint::spin_loop();
            let last = now;
            now = self.clock.now();
            gap = gap.max(now.since(last));
        }
        (now, gap)
    }

    /// The grid.
    pub const fn grid(&self) -> &Grid {
        &self.grid
    }

    /// How long before a release it begins to spin; zero when it sleeps until the release.
    pub const fn margin(&self) -> Span {
        self.margin
    }

    /// What waiting has come to so far.
    pub const fn delays(&self) -> &Delays {
        &self.delays
    }
}

/// A margin that covers this machine's usual wake-ups.
fn calibrated(clock: &MonotonicClock, period: Period) -> Span {
    let apart = WAKES_APART.min(period.span());
    let end = clock.now() + CALIBRATION_MAX;
    let mut lateness = [Span::ZERO; WAKES];
    let mut count = 0;
    for place in &mut lateness {
        let alarm = clock.now() + apart;
        clock.sleep_until(alarm);
        let now = clock.now();
        *place = now.since(alarm);
        count += 1;
        if now > end {
            break;
        }
    }
    lateness.get_mut(..count).map_or(Span::MAX, covering)
}

/// The margin that covers all but one in [`WAKES_UNCOVERED`] of these wake-ups, and a quarter more; [`Span::MAX`] when there
/// are too few to tell.
fn covering(lateness: &mut [Span]) -> Span {
    if lateness.len() < WAKES_MIN {
        return Span::MAX;
    }
    lateness.sort_unstable();
    let rank = lateness.len() - 1 - lateness.len() / WAKES_UNCOVERED;
    let usual = lateness.get(rank).copied().unwrap_or(Span::MAX);
    usual + Span::from_ns(usual.as_ns() / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Period = Period::from_ns(2_000_000).unwrap();

    fn pacing(spin: Spin) -> Pacing {
        Pacing { period: PERIOD, phase: Span::from_ns(300_000), spin, cpu_is_alone: true }
    }

    fn granted(fifo: Grant<u8>) -> Granted {
        Granted { affinity: Grant::NotAsked, fifo }
    }

    #[test]
    fn the_grid_lies_at_multiples_of_the_period_plus_the_phase_a_period_ahead_at_least() {
        for now in [0, 1, 299_999, 300_000, 300_001, 1_999_999, 2_000_000, 123_456_789_012] {
            let now = MonoTime::from_ns(now);
            let first = pacing(Spin::Off).first_release(now);
            assert_eq!(first.as_ns() % PERIOD.as_ns(), 300_000);
            assert!(first >= now + PERIOD.span() && first <= now + PERIOD.span().times(2), "{now:?} {first:?}");
        }
    }

    #[test]
    fn no_slot_is_taken_before_its_release_whether_it_spins_or_not() {
        for spin in [Spin::Off, Spin::Margin(Span::from_ms(1))] {
            let mut pacer = Pacer::start(MonotonicClock::new(), &pacing(spin), &granted(Grant::NotAsked));
            for _ in 0..5 {
                let Paced { slot, .. } = pacer.next_slot();
                assert!(slot.woke >= slot.release);
            }
            assert_eq!(pacer.grid().cycles(), 5);
        }
    }

    #[test]
    fn a_margin_beyond_the_permitted_share_is_cut() {
        let clock = MonotonicClock::new();
        let margin = |spin| pacing(spin).margin(&clock, &granted(Grant::NotAsked));
        assert_eq!(margin(Spin::Margin(Span::from_ms(1))), Spin::longest(PERIOD));
        assert_eq!(margin(Spin::Margin(Span::from_ns(50_000))), Span::from_ns(50_000));
        assert_eq!(margin(Spin::Off), Span::ZERO);
    }

    #[test]
    fn the_automatic_margin_needs_a_cpu_of_its_own_and_a_confirmed_priority() {
        let clock = MonotonicClock::new();
        let auto = pacing(Spin::Auto);
        let refused = Grant::Refused { asked: 80, cause: crate::RefusalCause::NotPermitted };
        assert_eq!(auto.margin(&clock, &granted(refused)), Span::ZERO);
        let shared = Pacing { cpu_is_alone: false, ..auto };
        assert_eq!(shared.margin(&clock, &granted(Grant::Confirmed(80))), Span::ZERO);
        let margin = auto.margin(&clock, &granted(Grant::Confirmed(80)));
        assert!(margin > Span::ZERO && margin <= Spin::longest(PERIOD));
    }

    #[test]
    fn the_margin_covers_the_usual_wake_up_and_not_the_outlier() {
        let mut lateness: Vec<Span> = (1..=100).map(|us| Span::from_ns(us * 1_000)).collect();
        lateness[99] = Span::from_ms(500);
        lateness.reverse();
        assert_eq!(covering(&mut lateness).as_ns(), 98_000 + 98_000 / 4);
        assert_eq!(covering(&mut lateness[..WAKES_MIN - 1]), Span::MAX);
    }
}

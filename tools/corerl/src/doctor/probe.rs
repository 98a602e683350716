//! Gaps: times at which something takes the CPU away from a thread with a real-time priority.

use rt_core::pacing::{Delays, GAP_MIN, Spin};
use rt_core::time::{Period, Span};
use rt_sys::{MonotonicClock, Pacer, Pacing, RealtimeRequest, spawn_realtime, stolen_ticks};

use super::Finding;
use crate::output::span;

/// The probe spins through a quarter of each of these periods, and leaves the rest of the CPU to others.
const PERIOD: Period = Period::from_ns(20_000_000).expect("not zero");
const PERIODS: u64 = 250;
/// The control thread's default priority.
const PRIORITY: u8 = 80;
/// A gap that costs a cycle of a millisecond its slot is one that matters.
const LONGEST_TOLERATED: Span = Span::from_ns(100_000);

const _: () = assert!(PERIOD.as_ns() * PERIODS == 5_000_000_000, "the help says five seconds");

/// Looks for five seconds.
pub(super) fn gaps(cpu: Option<usize>) -> Finding {
    eprintln!("looking for gaps, five seconds (--quick skips it)");
    let request = RealtimeRequest { cpu, priority: Some(PRIORITY) };
    let stolen = || cpu.and_then(stolen_ticks);
    let before = stolen();
    let thread = spawn_realtime("corerl-probe", request, |granted| {
        let pacing = Pacing { period: PERIOD, phase: Span::ZERO, spin: Spin::Margin(Span::MAX), cpu_is_alone: true };
        let mut pacer = Pacer::start(MonotonicClock::new(), &pacing, &granted);
        (0..PERIODS).for_each(|_| {
            pacer.next_slot();
        });
        (*pacer.delays(), pacer.margin())
    });
    let found = thread.ok().and_then(|thread| thread.join().ok());
    let stolen_ms = before.zip(stolen()).map(|(before, after)| after.saturating_sub(before) * 10);
    match found {
        Some((delays, margin)) => judge(&delays, margin.times(PERIODS), stolen_ms),
        None => Finding::ok("gaps", "no thread could be started", "tried")
            .degraded("unknown", "raise the limit on processes"),
    }
}

fn judge(delays: &Delays, watched: Span, stolen_ms: Option<u64>) -> Finding {
    let per_second = delays.gaps as f64 / watched.as_seconds();
    let stolen = stolen_ms.map_or(String::new(), |ms| format!("; the hypervisor took {ms} ms in these five seconds"));
    let longest =
        if delays.gaps == 0 { String::new() } else { format!(", the longest {}", span(delays.gap_longest.as_ns())) };
    let least = span(GAP_MIN.as_ns());
    let fact = format!("{per_second:.0} of {least} or more per second of spinning{longest}{stolen}");
    Finding::ok("gaps", fact, "tried: spinning through a quarter of five seconds on control's CPU").degraded_unless(
        delays.gap_longest <= LONGEST_TOLERATED,
        "a slot that falls into such a gap begins as late as the gap is long",
        "what is degraded above; on bare metal also the firmware's own interrupts (SMI), on a virtual machine its host",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn a_long_gap_degrades_and_short_ones_do_not() {
        let found = |gaps, longest_ns| {
            let delays = Delays { gaps, gap_longest: Span::from_ns(longest_ns), ..Delays::default() };
            judge(&delays, Span::from_ms(1250), Some(20))
        };
        let fine = found(50, 99_000);
        assert_eq!(fine.verdict, Verdict::Ok);
        assert!(fine.fact.starts_with("40 of 10.0 us or more") && fine.fact.contains("took 20 ms"), "{}", fine.fact);
        assert_eq!(found(1, 100_001).verdict, Verdict::Degraded);
        assert!(!found(0, 0).fact.contains("longest"));
    }
}

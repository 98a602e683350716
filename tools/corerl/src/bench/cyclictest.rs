//! cyclictest of Debian's rt-tests: run as its users run it, its histogram read.
//!
//! It tells no lost slots, but its histogram does: like the loops here it skips the slots that a late wake-up has passed, so
//! a lateness of two periods and a half is two lost slots.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rt_core::pacing::Delays;
use rt_core::time::Span;

use super::contestant::{Measured, Seat, Window};
use super::tape::Tape;
use crate::failure::{Exit, Failure};
use crate::run::find_program;

/// Reach of its histogram, microseconds. What lies beyond counts as this much.
const REACH_US: u64 = 20_000;

/// Where it is installed.
pub(super) fn installed() -> Option<PathBuf> {
    find_program(None, "cyclictest")
}

/// A running cyclictest. Dropping it ends it.
pub(super) struct Run {
    child: Child,
    window: Window,
}

impl Run {
    /// Starts it within the second before the window's begin, at which it aligns its first slot.
    pub(super) fn start(path: &Path, seat: Seat, window: Window) -> Result<Self, Failure> {
        let clock = rt_sys::MonotonicClock::new();
        clock.sleep_until(window.begin.minus(Span::from_ms(900)));
        let us = |span: Span| (span.as_ns() / 1000).to_string();
        let mut command = Command::new(path);
        command.args(["--quiet", "--mlockall", "--threads=1", "--histogram", &REACH_US.to_string()]);
        command.args(["--interval", &us(window.period.span()), "--loops", &window.slots.to_string()]);
        command.args(["--secaligned", &us(seat.phase)]);
        command.args(["--policy=fifo", "--priority", &seat.priority.to_string()]);
        if let Some(cpu) = seat.cpu {
            command.args(["--affinity", &cpu.to_string()]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = rt_sys::without_blocked_signals(&mut command)
            .spawn()
            .map_err(|error| Failure::io(format_args!("cannot start {}", path.display()), &error))?;
        Ok(Self { child, window })
    }

    pub(super) fn finish(mut self) -> Result<Measured, Failure> {
        let mut text = String::new();
        let read = self.child.stdout.take().map(|mut output| output.read_to_string(&mut text));
        let status = self.child.wait();
        let fine = matches!(read, Some(Ok(_))) && status.is_ok_and(|status| status.success());
        let mut tape = self.window.tape();
        if !fine || !fill(&mut tape, &text, self.window.period.span()) {
            return Err(Failure::new(Exit::Unavailable, "cyclictest failed, or its histogram is not understood"));
        }
        Ok(Measured { tape, delays: Delays::default(), margin: Span::ZERO, degraded: Vec::new(), purity: None })
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // It has ended, or it is ended: either way it is waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a histogram (`000012 000345` per line, totals behind `#`) into the tape; `false` when it has no sample.
fn fill(tape: &mut Tape, text: &str, period: Span) -> bool {
    let mut note = |us: u64, count: u64| {
        let lateness_ns = us.saturating_mul(1000);
        (0..count).for_each(|_| tape.note(lateness_ns, 0, lateness_ns / period.as_ns().max(1)));
    };
    let number = |text: &str| text.trim().parse::<u64>().ok();
    for line in text.lines() {
        if let Some(overflows) = line.strip_prefix("# Histogram Overflows:") {
            note(REACH_US, number(overflows).unwrap_or(0));
        } else if let Some((us, count)) = line.split_once(' ')
            && let (Some(us), Some(count)) = (number(us), number(count))
        {
            note(us, count);
        }
    }
    tape.slots > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_core::time::Period;

    const OUTPUT: &str = "# /dev/cpu_dma_latency set to 0us\n# Histogram\n000000 000000\n000012 000003\n002500 000001\n\
                          # Total: 000000004\n# Min Latencies: 00012\n# Histogram Overflows: 00001\n\
                          # Histogram Overflow at cycle number:\n# Thread 0: 00227\n";

    #[test]
    fn a_histogram_tells_the_slots_that_were_lost() {
        let period = Period::from_ns(1_000_000).unwrap();
        let mut tape = Tape::new(period, 0);
        assert!(fill(&mut tape, OUTPUT, period.span()));
        assert_eq!((tape.slots, tape.lost), (5, 2 + 20));
        assert_eq!(tape.lateness.raw.min_ns(), Some(12_000));
        assert_eq!(tape.lateness.raw.max_ns(), Some(REACH_US * 1000));
    }

    #[test]
    fn output_without_a_sample_is_not_understood() {
        let period = Period::from_ns(1_000_000).unwrap();
        assert!(!fill(&mut Tape::new(period, 0), "Unable to change scheduling policy!\n", period.span()));
    }
}

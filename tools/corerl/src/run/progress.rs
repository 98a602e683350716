//! What the foreground parent says while its children run: one line, taken from shared memory.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use rt_control::Address;
use rt_core::mode::Mode;
use shm::histogram::Snapshot;
use shm_layout::{Counter, HistogramKind};
use watch::{Agent, From};

use crate::output::span;

/// On a terminal one line is drawn over and over; anything else gets a line now and then.
const TERMINAL_EVERY: Duration = Duration::from_secs(1);
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// How long the runtime may keep the parent waiting: stopping must not.
const CALL_TIMEOUT: Duration = Duration::from_millis(100);

/// Prints the line when it is due.
pub(super) struct Progress {
    agent: Agent,
    is_terminal: bool,
    due: Instant,
    lateness_before: Snapshot,
}

impl Progress {
    pub(super) fn new(address: &Address) -> Self {
        Self {
            agent: Agent::new(address.clone(), From::Newest).within(CALL_TIMEOUT),
            is_terminal: std::io::stderr().is_terminal(),
            due: Instant::now(),
            lateness_before: Snapshot::default(),
        }
    }

    /// Prints the line if it is time for it. A runtime that does not hand out its segments makes no line, and no harm.
    pub(super) fn show_when_due(&mut self) {
        if Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + if self.is_terminal { TERMINAL_EVERY } else { PLAIN_EVERY };
        // Attached to once: it is one runtime that the parent is the parent of.
        if self.agent.memory().is_none() {
            let _ = self.agent.look();
        }
        let Some(line) = self.line() else { return };
        // The cursor returns to the line's beginning, so that a child's message writes over it.
        let text = if self.is_terminal { format!("\x1b[2K{line}\r") } else { format!("{line}\n") };
        // Nobody reads it any more: no reason to end.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }

    fn line(&mut self) -> Option<String> {
        let memory = self.agent.memory()?;
        let mut rewards = Mean::default();
        let _ = memory.cycles(|cycle| rewards.take(cycle.head.reward));
        let get = |counter| memory.counter(counter);
        let mode = u8::try_from(get(Counter::Mode)).ok().and_then(Mode::from_number).map_or("?", Mode::name);
        let armed = if get(Counter::Armed) == 1 { "armed" } else { "not armed" };
        let (cycles, skipped) = (get(Counter::Cycles), get(Counter::SlotsSkipped));
        let generation = get(Counter::PolicyGeneration);
        let lateness = memory.histogram(HistogramKind::Lateness);
        let recent = lateness.since(&self.lateness_before);
        self.lateness_before = lateness;
        let p99 = recent.quantile_ns(0.99).map_or("-".into(), span);
        let reward = rewards.value().map_or("-".into(), |reward| format!("{reward:.4}"));
        Some(format!(
            "{mode}, {armed}, {cycles} cycles, {skipped} skipped, lateness p99 {p99}, policy {generation}, mean reward {reward}"
        ))
    }
}

/// The mean of what is a number.
#[derive(Default)]
struct Mean {
    sum: f64,
    count: u32,
}

impl Mean {
    fn take(&mut self, value: f64) {
        if value.is_finite() {
            self.sum += value;
            self.count += 1;
        }
    }

    fn value(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }
}

//! What the foreground parent says while its children run: one line, taken from shared memory.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use rt_control::{Address, Client};
use rt_core::mode::Mode;
use shm::{Access, Segment, broadcast, counters, histogram};
use shm_layout::{Counter, CycleLayout, HistogramKind, SegmentKind};

use crate::output::span;

/// On a terminal one line is drawn over and over; anything else gets a line now and then.
const TERMINAL_EVERY: Duration = Duration::from_secs(1);
const PLAIN_EVERY: Duration = Duration::from_secs(10);
/// How long the runtime may keep the parent waiting: stopping must not.
const CALL_TIMEOUT: Duration = Duration::from_millis(100);

/// Prints the line when it is due.
pub(super) struct Progress<'a> {
    address: &'a Address,
    is_terminal: bool,
    due: Instant,
    view: Option<View>,
}

impl<'a> Progress<'a> {
    pub(super) fn new(address: &'a Address) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        Self { address, is_terminal, due: Instant::now(), view: None }
    }

    /// Prints the line if it is time for it. A runtime that does not hand out its segments makes no line, and no harm.
    pub(super) fn show_when_due(&mut self) {
        if Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + if self.is_terminal { TERMINAL_EVERY } else { PLAIN_EVERY };
        if self.view.is_none() {
            self.view = View::attach(self.address);
        }
        let Some(view) = &mut self.view else { return };
        let line = view.line();
        // The cursor returns to the line's beginning, so that a child's message writes over it.
        let text = if self.is_terminal { format!("\x1b[2K{line}\r") } else { format!("{line}\n") };
        // Nobody reads it any more: no reason to end.
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// The runtime's segments, attached read-only.
struct View {
    counters: counters::Reader<Counter>,
    lateness: histogram::Reader,
    lateness_before: histogram::Snapshot,
    cycles: broadcast::Reader,
    layout: CycleLayout,
    words: Vec<u64>,
}

impl View {
    fn attach(address: &Address) -> Option<Self> {
        let mut client = Client::connect(address, CALL_TIMEOUT).ok()?;
        let mut segment = |kind: SegmentKind| {
            let descriptor = client.segment(kind.code()).ok()?;
            Segment::attach(descriptor, Access::ReadOnly, kind).ok()
        };
        let cycles = segment(SegmentKind::Cycles)?;
        let layout = CycleLayout::from_dims(cycles.header().dims())?;
        Some(Self {
            counters: counters::Reader::new(&segment(SegmentKind::Counters)?).ok()?,
            lateness: histogram::Reader::new(&segment(SegmentKind::Histograms)?, HistogramKind::Lateness).ok()?,
            lateness_before: histogram::Snapshot::default(),
            cycles: broadcast::Reader::new(&cycles, broadcast::Start::Newest).ok()?,
            layout,
            words: vec![0; layout.words()],
        })
    }

    fn line(&mut self) -> String {
        let get = |counter| self.counters.get(counter);
        let mode = u8::try_from(get(Counter::Mode)).ok().and_then(Mode::from_number).map_or("?", Mode::name);
        let armed = if get(Counter::Armed) == 1 { "armed" } else { "not armed" };
        let (cycles, skipped) = (get(Counter::Cycles), get(Counter::SlotsSkipped));
        let generation = get(Counter::PolicyGeneration);
        let lateness = self.lateness.snapshot();
        let recent = lateness.since(&self.lateness_before);
        self.lateness_before = lateness;
        let p99 = recent.quantile_ns(0.99).map_or("-".into(), span);
        let reward = self.mean_reward().map_or("-".into(), |reward| format!("{reward:.4}"));
        format!(
            "{mode}, {armed}, {cycles} cycles, {skipped} skipped, lateness p99 {p99}, policy {generation}, mean reward {reward}"
        )
    }

    /// The mean of the rewards since the last line.
    fn mean_reward(&mut self) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0_u32);
        // No more than the ring holds, however fast the writer is.
        for _ in 0..self.cycles_at_most() {
            match self.cycles.next(&mut self.words) {
                broadcast::Next::Record { .. } => {}
                broadcast::Next::Lost(_) => continue,
                broadcast::Next::Empty | broadcast::Next::Damaged { .. } => break,
            }
            if let Ok(record) = self.layout.view(&self.words)
                && record.head.reward.is_finite()
            {
                sum += record.head.reward;
                count += 1;
            }
        }
        (count > 0).then(|| sum / f64::from(count))
    }

    fn cycles_at_most(&self) -> u64 {
        let period_ns = self.counters.get(Counter::Period).max(1);
        2 * PLAIN_EVERY.as_nanos() as u64 / period_ns
    }
}

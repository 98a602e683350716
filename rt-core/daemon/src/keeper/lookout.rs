//! What the keeper, outside of the real-time class, watches about the threads inside: that control goes on, and that the
//! kernel still grants what it granted at the start.

use std::io;

use rt_core::time::{MonoTime, Period, Span};
use rt_sys::{Granted, LockError, ThreadView};
use shm_layout::EventKind;

use super::Journal;

/// Control stands still when no cycle came to its end for so many periods, and for so long.
const STANDSTILL_PERIODS: u64 = 10;
const STANDSTILL_MIN: Span = Span::from_ms(100);

/// A thread with deadlines, and what it was granted at its start.
#[derive(Debug)]
pub(crate) struct Watched {
    name: &'static str,
    view: ThreadView,
    granted: Granted,
}

impl Watched {
    pub(crate) fn new(name: &'static str, tid: i32, granted: Granted) -> io::Result<Self> {
        Ok(Self { name, view: ThreadView::open(tid)?, granted })
    }

    /// The thread as the kernel shows it.
    pub(crate) fn view(&self) -> &ThreadView {
        &self.view
    }

    /// What of the request is not so now, each as a sentence.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = String> {
        let still = self.view.still(&self.granted);
        still.refusals().map(|refusal| format!("{} thread: {refusal}", self.name)).collect::<Vec<_>>().into_iter()
    }
}

/// The threads with deadlines, and what is not as it was asked for.
pub(crate) struct Lookout {
    control: Watched,
    io: Vec<Watched>,
    memory: Option<LockError>,
    degraded: Vec<String>,
    progress: Progress,
}

impl Lookout {
    pub(crate) fn new(control: Watched, io: Vec<Watched>, memory: Option<LockError>, period: Period) -> Self {
        let mut lookout = Self { control, io, memory, degraded: Vec::new(), progress: Progress::new(period) };
        lookout.degraded = lookout.found();
        lookout
    }

    /// The control thread as the kernel shows it.
    pub(crate) fn control(&self) -> &ThreadView {
        self.control.view()
    }

    /// What was asked of the kernel and is not so, each as a sentence.
    pub(crate) fn degraded(&self) -> &[String] {
        &self.degraded
    }

    fn found(&self) -> Vec<String> {
        let threads = std::iter::once(&self.control).chain(&self.io).flat_map(Watched::refusals);
        self.memory.iter().map(ToString::to_string).chain(threads).collect()
    }

    /// Asks the kernel again. `true` when its answer is another one than before; what was lost since is in the journal.
    pub(crate) fn look_again(&mut self, journal: &mut Journal) -> bool {
        let found = self.found();
        let changed = found != self.degraded;
        for lost in found.iter().filter(|reason| !self.degraded.contains(reason)) {
            journal.note(EventKind::Degraded, lost);
        }
        for back in self.degraded.iter().filter(|reason| !found.contains(reason)) {
            tracing::info!("no longer so: {back}");
        }
        self.degraded = found;
        changed
    }

    /// Notices that no cycle comes to its end. Nothing is to be stopped then: the plant heartbeat counts cycles, and stands
    /// still with them; the service manager is told only of cycles, too.
    pub(crate) fn follow(&mut self, cycles: u64, now: MonoTime, journal: &mut Journal) {
        if let Some(since) = self.progress.follow(cycles, now) {
            let text = format!("control stands still: no cycle for {} ms", since.as_ns() / 1_000_000);
            journal.entry(EventKind::Fault).numbers(cycles, since.as_ns()).text(&text).publish();
        }
    }
}

/// Whether the count of cycles goes on.
struct Progress {
    patience: Span,
    cycles: u64,
    since: Option<MonoTime>,
    said: bool,
}

impl Progress {
    fn new(period: Period) -> Self {
        let patience = period.span().times(STANDSTILL_PERIODS).max(STANDSTILL_MIN);
        Self { patience, cycles: 0, since: None, said: false }
    }

    /// For how long there was no new cycle, once it has become too long. The first cycle is waited for without impatience.
    fn follow(&mut self, cycles: u64, now: MonoTime) -> Option<Span> {
        if cycles != self.cycles {
            (self.cycles, self.since, self.said) = (cycles, Some(now), false);
        }
        let standing = now.since(self.since?);
        let is_new = standing > self.patience && !self.said;
        self.said |= is_new;
        is_new.then_some(standing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standstill_is_said_once_and_again_after_control_went_on() {
        let mut progress = Progress::new(Period::from_ns(1_000_000).expect("a millisecond"));
        let at = |ms| MonoTime::ZERO + Span::from_ms(ms);
        assert_eq!(progress.follow(0, at(0)), None);
        assert_eq!(progress.follow(0, at(5_000)), None, "nothing has begun");
        assert_eq!(progress.follow(1, at(5_001)), None);
        assert_eq!(progress.follow(1, at(5_101)), None);
        assert_eq!(progress.follow(1, at(5_102)), Some(Span::from_ms(101)));
        assert_eq!(progress.follow(1, at(6_000)), None);
        assert_eq!(progress.follow(2, at(6_001)), None);
        assert_eq!(progress.follow(2, at(6_200)), Some(Span::from_ms(199)));
    }

    #[test]
    fn a_slow_loop_is_given_ten_periods() {
        let mut progress = Progress::new(Period::from_ns(100_000_000).expect("a tenth of a second"));
        let at = |ms| MonoTime::ZERO + Span::from_ms(ms);
        progress.follow(1, at(0));
        assert_eq!(progress.follow(1, at(1_000)), None);
        assert_eq!(progress.follow(1, at(1_001)), Some(Span::from_ms(1_001)));
    }
}

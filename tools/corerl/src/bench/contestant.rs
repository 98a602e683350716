//! Loops that can be measured side by side, each in its seat, through the same window of time.

use std::collections::BTreeSet;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rt_config::Site;
use rt_core::pacing::{Delays, Spin};
use rt_core::ports::Clock;
use rt_core::time::{MonoTime, Period, Span};
use rt_daemon::Rehearsal;
use rt_sys::{
    Cpus, Faults, Granted, MonotonicClock, Pacer, Pacing, Placement, RealtimeRequest, prefault_stack, spawn_realtime,
};
use shm::broadcast::{self, Next};
use shm_layout::{Counter, CycleLayout};

use super::cyclictest;
use super::options::pause;
use super::tape::Tape;
use crate::failure::{Exit, Failure};

/// Stack that a measured thread may use without a fault.
const STACK_PREFAULT_BYTES: usize = 256 * 1024;
/// How often cycle records are taken out of their ring, which holds a minute of them.
const DRAIN_EVERY: Span = Span::from_ms(20);
/// So long after the window's end the record of its last slot is waited for.
const LAST_RECORD_MAX: Span = Span::from_ms(5000);

/// What is measured.
#[derive(Clone, Debug)]
pub(super) enum Contestant {
    /// The control loop with its cycle.
    Real(Box<Site>),
    /// The control loop's way of waiting, without a cycle.
    Bare,
    /// The plainest loop that keeps a grid: sleep until the release, look at the clock.
    Reference,
    /// cyclictest, at this path.
    Cyclictest(PathBuf),
}

/// Where and how a contestant runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seat {
    pub(super) cpu: Option<usize>,
    /// SCHED_FIFO, 2 to 98: the io thread of a control loop lies below.
    pub(super) priority: u8,
    /// The grid lies this far behind the multiples of the period.
    pub(super) phase: Span,
    /// Of our own loops.
    pub(super) spin: Spin,
}

/// When it is measured: whole seconds of the monotonic clock, so that cyclictest can begin in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) begin: MonoTime,
    pub(super) period: Period,
    pub(super) slots: u64,
    /// Reach of the microsecond histogram.
    pub(super) microseconds: usize,
}

/// A wait, as far as it belongs to a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    /// Of the first slot that it held up.
    lateness: Span,
    /// Slots beside that one.
    lost: u64,
}

/// What came out.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    pub(super) tape: Tape,
    pub(super) delays: Delays,
    pub(super) margin: Span,
    /// What was asked of the kernel and is not so.
    pub(super) degraded: Vec<String>,
    /// Of the control thread within the window; of the real loop only.
    pub(super) purity: Option<Purity>,
}

/// Each of these reasons once, however many measurements were degraded for it.
pub(super) fn each_once<'a>(reasons: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    reasons.into_iter().collect::<BTreeSet<_>>().into_iter().cloned().collect()
}

/// What the control thread did besides its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Purity {
    pub(super) allocations: u64,
    pub(super) page_faults: Option<u64>,
}

impl Contestant {
    pub(super) fn ours(site: Option<Site>) -> Self {
        site.map_or(Self::Bare, |site| Self::Real(Box::new(site)))
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Real(_) => "corerl",
            Self::Bare => "corerl, bare",
            Self::Reference => "plain loop",
            Self::Cyclictest(_) => "cyclictest",
        }
    }

    /// Prepares what takes an unknown time on a busy machine, so that the window can be chosen after it.
    pub(super) fn ready(&self, seat: Seat) -> Result<Ready<'_>, Failure> {
        match self {
            Self::Real(site) => rehearsal(site, seat).map(|rehearsal| Ready::Real(Box::new(rehearsal))),
            Self::Bare => Ok(Ready::Thread(bare, seat)),
            Self::Reference => Ok(Ready::Thread(reference, seat)),
            Self::Cyclictest(path) => Ok(Ready::Cyclictest(path, seat)),
        }
    }
}

/// A contestant before its window is known.
pub(super) enum Ready<'a> {
    Real(Box<Rehearsal>),
    Thread(fn(&Pacing, &Window, &Granted) -> Measured, Seat),
    Cyclictest(&'a Path, Seat),
}

impl Ready<'_> {
    /// Starts it, some time before the window begins.
    pub(super) fn start(self, window: Window) -> Result<Running, Failure> {
        let began = match self {
            Self::Real(rehearsal) => Began::Real(Box::new(RealLoop::new(*rehearsal, window))),
            Self::Thread(body, seat) => Began::Thread(on_a_thread(body, seat, window)?),
            Self::Cyclictest(path, seat) => Began::Cyclictest(cyclictest::Run::start(path, seat, window)?),
        };
        Ok(Running { began, window })
    }
}

impl Seat {
    fn request(&self) -> RealtimeRequest {
        RealtimeRequest { cpu: self.cpu, priority: Some(self.priority) }
    }

    fn placement(&self) -> Placement {
        Cpus::allowed().placement(self.cpu, None)
    }

    fn pacing(&self, period: Period) -> Pacing {
        let cpu_is_alone = self.placement().control_is_alone();
        Pacing { period, phase: self.phase, spin: self.spin, cpu_is_alone }
    }
}

impl Window {
    /// A window of so many slots that leaves `ahead` for starting, from the next full second on.
    pub(super) fn ahead(now: MonoTime, ahead: Span, period: Period, slots: u64, microseconds: usize) -> Self {
        let second = Span::from_ms(1000);
        let seconds = (now + ahead).as_ns().div_ceil(second.as_ns());
        Self { begin: MonoTime::ZERO + second.times(seconds), period, slots, microseconds }
    }

    pub(super) fn end(&self) -> MonoTime {
        self.begin + self.period.span().times(self.slots)
    }

    pub(super) fn tape(&self) -> Tape {
        Tape::new(self.period, self.microseconds)
    }

    /// What a wait that ended with the slot of `release` is to the window's slots. One that reaches across an edge counts for
    /// the slots on this side, as if it had been a wait for the first of them: each slot of the window is told once.
    ///
    /// # Real-time
    /// Allocates nothing; bounded.
    fn part(&self, release: MonoTime, lateness: Span, skipped: u64) -> Option<Part> {
        let period = self.period.span();
        let waited_for = release.minus(period.times(skipped));
        let before = self.begin.since(waited_for).as_ns().div_ceil(period.as_ns());
        let first = waited_for + period.times(before);
        let beyond = if release < self.end() { 0 } else { release.since(self.end()).periods(self.period) + 1 };
        (first <= release && first < self.end()).then(|| Part {
            lateness: Span::from_ns(lateness.as_ns().saturating_sub(period.times(before).as_ns())),
            lost: skipped.saturating_sub(before + beyond),
        })
    }

    /// Whether no slot of the window comes after that of `release`.
    fn ends_with(&self, release: MonoTime) -> bool {
        release + self.period.span() >= self.end()
    }
}

/// A contestant that has been started. Dropping one that was not finished ends it, at the window's end at the latest.
pub(super) struct Running {
    began: Began,
    window: Window,
}

enum Began {
    Real(Box<RealLoop>),
    Thread(JoinHandle<Measured>),
    Cyclictest(cyclictest::Run),
}

impl Running {
    /// Waits for the window's end; the result.
    pub(super) fn finish(self) -> Result<Measured, Failure> {
        // A long measurement is not thrown away because a loop began a moment late.
        let began_late = self.window.slots / 100;
        let uncounted = match self.began {
            // It begins and ends by itself, as near to the window as it can.
            Began::Cyclictest(_) => 1 + began_late,
            Began::Real(_) | Began::Thread(_) => began_late,
        };
        let measured = match self.began {
            Began::Real(real) => real.finish()?,
            Began::Thread(thread) => {
                thread.join().map_err(|_| Failure::new(Exit::Internal, "a measuring thread panicked"))?
            }
            Began::Cyclictest(run) => run.finish()?,
        };
        let accounted = measured.tape.slots + measured.tape.lost;
        if accounted + uncounted < self.window.slots {
            let message = format!("only {accounted} of {} slots were measured: try again", self.window.slots);
            return Err(Failure::new(Exit::Temporary, message));
        }
        Ok(measured)
    }

    /// A descriptor of the shared memory that it writes in every slot, where it has one.
    pub(super) fn shared_memory(&self) -> Option<BorrowedFd<'_>> {
        match &self.began {
            Began::Real(real) => real.rehearsal.records_descriptor(),
            Began::Thread(_) | Began::Cyclictest(_) => None,
        }
    }
}

fn on_a_thread(
    body: fn(&Pacing, &Window, &Granted) -> Measured,
    seat: Seat,
    window: Window,
) -> Result<JoinHandle<Measured>, Failure> {
    // Here, because a thread that is pinned sees no CPU but its own.
    let pacing = seat.pacing(window.period);
    let thread = spawn_realtime("bench-loop", seat.request(), move |granted| {
        prefault_stack::<STACK_PREFAULT_BYTES>();
        body(&pacing, &window, &granted)
    });
    thread.map_err(|error| Failure::io("cannot start a thread", &error))
}

fn bare(pacing: &Pacing, window: &Window, granted: &Granted) -> Measured {
    let mut tape = window.tape();
    let clock = MonotonicClock::new();
    let mut pacer = Pacer::start(clock, pacing, granted);
    let mut before = *pacer.delays();
    while pacer.grid().next_release() < window.end() {
        let slot = pacer.next_slot().slot;
        let execution = clock.now().since(slot.woke);
        match window.part(slot.release, slot.lateness, slot.skipped) {
            Some(Part { lateness, lost }) => tape.note(lateness.as_ns(), execution.as_ns(), lost),
            None => before = *pacer.delays(),
        }
    }
    let degraded = refusals(granted);
    Measured { tape, delays: since(pacer.delays(), &before), margin: pacer.margin(), degraded, purity: None }
}

/// As plain as it gets, and on purpose not made of the parts that are measured against it.
fn reference(pacing: &Pacing, window: &Window, granted: &Granted) -> Measured {
    let mut tape = window.tape();
    let clock = MonotonicClock::new();
    let period = window.period.span();
    let mut next = window.begin + pacing.phase;
    while next < window.end() {
        clock.sleep_until(next);
        let lateness = clock.now().since(next);
        let skipped = lateness.periods(window.period);
        if let Some(Part { lateness, lost }) = window.part(next + period.times(skipped), lateness, skipped) {
            tape.note(lateness.as_ns(), 0, lost);
        }
        next = next + period.times(skipped + 1);
    }
    Measured { tape, delays: Delays::default(), margin: Span::ZERO, degraded: refusals(granted), purity: None }
}

fn refusals(granted: &Granted) -> Vec<String> {
    granted.refusals().map(|refusal| refusal.to_string()).collect()
}

fn since(now: &Delays, before: &Delays) -> Delays {
    Delays {
        by_body: now.by_body - before.by_body,
        by_wake: now.by_wake - before.by_wake,
        by_gap: now.by_gap - before.by_gap,
        gaps: now.gaps - before.gaps,
        gap_longest: now.gap_longest,
    }
}

/// The control loop, read through its own cycle records and counters: measuring adds nothing to it.
struct RealLoop {
    rehearsal: Rehearsal,
    records: broadcast::Reader,
    layout: CycleLayout,
    words: Vec<u64>,
    window: Window,
    tape: Tape,
    /// The window's last slot has been told.
    complete: bool,
}

/// Starts the control loop of a site in a seat.
fn rehearsal(site: &Site, seat: Seat) -> Result<Rehearsal, Failure> {
    let mut site = site.clone();
    let runtime = &mut site.runtime;
    (runtime.spin, runtime.phase, runtime.control_cpu) = (seat.spin, seat.phase, seat.cpu);
    runtime.control_priority = seat.priority;
    runtime.io_priority = runtime.io_priority.min(seat.priority.saturating_sub(1));
    Rehearsal::start(&site, &seat.placement())
        .map_err(|error| Failure::new(Exit::Unavailable, format_args!("the control loop does not start: {error}")))
}

impl RealLoop {
    fn new(rehearsal: Rehearsal, window: Window) -> Self {
        let (records, layout) = rehearsal.records();
        Self {
            rehearsal,
            records,
            layout,
            words: vec![0; layout.words()],
            window,
            tape: window.tape(),
            complete: false,
        }
    }

    fn finish(mut self) -> Result<Measured, Failure> {
        let clock = MonotonicClock::new();
        clock.sleep_until(self.window.begin);
        self.rehearsal.warmed_up();
        let (delays, faults) = (self.delays(), self.rehearsal.page_faults());
        // A cycle that is held up writes its record after the window's end.
        while !self.complete && clock.now() < self.window.end() + LAST_RECORD_MAX {
            pause(&clock, DRAIN_EVERY);
            self.drain()?;
        }
        let counters = self.rehearsal.counters();
        let changed = |faults: Option<Faults>| Some(self.rehearsal.page_faults()?.since(faults?));
        let purity = Purity {
            allocations: counters.get(Counter::AllocationsInCycle),
            page_faults: changed(faults).map(|faults| faults.minor + faults.major),
        };
        Ok(Measured {
            delays: since(&self.delays(), &delays),
            margin: Span::from_ns(counters.get(Counter::SpinMargin)),
            degraded: self.rehearsal.degraded().to_vec(),
            purity: Some(purity),
            tape: self.tape,
        })
    }

    /// Takes the records that have come in. The ring holds a minute of them, so that none is missed.
    fn drain(&mut self) -> Result<(), Failure> {
        loop {
            match self.records.next(&mut self.words) {
                Next::Record { .. } => {}
                Next::Empty => return Ok(()),
                missed => {
                    return Err(Failure::new(Exit::Internal, format_args!("cycle records are missing: {missed:?}")));
                }
            }
            let record = self.layout.view(&self.words).map_err(|error| Failure::new(Exit::Internal, error))?;
            let head = record.head;
            let release = MonoTime::from_ns(head.release_ns);
            let part = self.window.part(release, Span::from_ns(head.lateness_ns.into()), head.skipped.into());
            if let Some(Part { lateness, lost }) = part {
                self.tape.note(lateness.as_ns(), head.execution_ns.into(), lost);
            }
            self.complete |= self.window.ends_with(release);
        }
    }

    fn delays(&self) -> Delays {
        let get = |counter| self.rehearsal.counters().get(counter);
        Delays {
            by_body: get(Counter::MissesByBody),
            by_wake: get(Counter::MissesByWake),
            by_gap: get(Counter::MissesByGap),
            gaps: get(Counter::SpinGaps),
            gap_longest: Span::from_ns(get(Counter::SpinGapLongest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seat() -> Seat {
        Seat { cpu: None, priority: 2, phase: Span::from_ns(200_000), spin: Spin::Off }
    }

    /// Again, as the message tells, where a busy machine did not let a loop begin in time.
    fn measured(contestant: &Contestant, seat: Seat, slots: u64) -> Measured {
        let period = Period::from_ns(2_000_000).unwrap();
        let once = || {
            let ready = contestant.ready(seat)?;
            let window = Window::ahead(MonotonicClock::new().now(), Span::from_ms(600), period, slots, 0);
            ready.start(window)?.finish()
        };
        let came_in_time =
            |result: &Result<_, Failure>| !matches!(result, Err(failure) if failure.exit() == Exit::Temporary);
        (0..10).map(|_| once()).find(came_in_time).expect("ten times too late").unwrap()
    }

    #[test]
    fn every_loop_accounts_for_every_slot_of_its_window() {
        // An unoptimised build moves a whole cycle through the stack several times: more than a test's thread has.
        let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(account_for_every_slot).unwrap();
        thread.join().unwrap();
    }

    fn account_for_every_slot() {
        let site = super::super::site::of_the_goals(Span::from_ms(2)).unwrap();
        for contestant in [Contestant::Bare, Contestant::Reference, Contestant::Real(Box::new(site))] {
            let Measured { tape, .. } = measured(&contestant, seat(), 50);
            assert_eq!(tape.slots + tape.lost, 50, "{}", contestant.name());
            assert_eq!(tape.lateness.corrected.count(), 50, "{}", contestant.name());
        }
    }

    #[test]
    fn a_bare_loop_spins_where_the_runtime_would() {
        let cpus = Cpus::allowed();
        let cpu = cpus.placement(None, None).control;
        let seat = Seat { cpu, priority: 2, phase: Span::ZERO, spin: Spin::Auto };
        let Measured { margin, degraded, .. } = measured(&Contestant::Bare, seat, 10);
        assert_eq!(margin > Span::ZERO, cpus.list().len() > 1 && degraded.is_empty());
    }

    #[test]
    fn a_window_begins_at_a_full_second() {
        let now = MonoTime::from_ns(1_700_000_000);
        let window = Window::ahead(now, Span::from_ms(500), Period::from_ns(1_000_000).unwrap(), 1000, 0);
        assert_eq!(window.begin.as_ns(), 3_000_000_000);
        assert!(
            window.part(window.begin, Span::ZERO, 0).is_some() && window.part(window.end(), Span::ZERO, 0).is_none()
        );
    }

    proptest! {
        #[test]
        fn whatever_waits_a_grid_is_passed_with_each_slot_of_the_window_is_told_once(
            skips in proptest::collection::vec(prop_oneof![4 => Just(0u64), 1 => 1u64..40], 1..60),
            phase_ns in 0u64..2_000_000,
            late_ns in 0u64..2_000_000,
        ) {
            let period = Period::from_ns(2_000_000).unwrap();
            let window = Window { begin: MonoTime::from_ns(1_000_000_000), period, slots: 20, microseconds: 0 };
            let mut tape = window.tape();
            let mut next = window.begin.minus(period.span().times(15)) + Span::from_ns(phase_ns);
            for skipped in skips.into_iter().chain(std::iter::repeat(0)) {
                let release = next + period.span().times(skipped);
                let lateness = period.span().times(skipped) + Span::from_ns(late_ns);
                if let Some(part) = window.part(release, lateness, skipped) {
                    let mut slots = (0..=skipped).map(|slot| next + period.span().times(slot));
                    let first = slots.find(|&slot| slot >= window.begin).unwrap();
                    prop_assert_eq!(part.lateness, (next + lateness).since(first), "it was waited for until it ended");
                    tape.note(part.lateness.as_ns(), 0, part.lost);
                }
                if window.ends_with(release) {
                    break;
                }
                next = release + period.span();
            }
            prop_assert_eq!(tape.slots + tape.lost, window.slots);
        }
    }
}

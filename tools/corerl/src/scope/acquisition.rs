//! Sweeps: which samples are kept around a trigger.
//!
//! Samples come in the order of time and stay for as long as a sweep is and a little longer, whether anybody waits for a
//! trigger or not; so a sweep has its time before the trigger at once. Where the runtime has not run for that long, it begins
//! later, and no trigger is missed for want of it.

use super::capture::{Capture, Frame};
use super::channel::CHANNELS_MAX;

/// Samples of a sweep at most: some 80 MB.
pub(super) const SAMPLES_MAX: usize = 500_000;
/// An event may be told so much later than its record.
const LATE_EVENTS_NS: u64 = 1_000_000_000;

/// One cycle as a scope keeps it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sample {
    /// Number of the control slot.
    pub(super) cycle: u64,
    /// Release time of the slot, CLOCK_MONOTONIC nanoseconds.
    pub(super) time_ns: u64,
    /// Records before it that were overwritten before they were read.
    pub(super) lost: u64,
    /// Slots before it that passed without a cycle.
    pub(super) skipped: u32,
    /// One value per channel; NaN for none.
    pub(super) values: [f64; CHANNELS_MAX],
}

impl Sample {
    /// Nothing is known of the time between the sample before and this one.
    pub(super) const fn follows_a_gap(&self) -> bool {
        self.lost > 0 || self.skipped > 0
    }
}

/// How sweeps follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// One, then it stops.
    Single,
    /// One at each trigger.
    Normal,
    /// One at each trigger, and one without whenever none has come for as long as a sweep is.
    Continuous,
}

impl Repeat {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Normal => "normal",
            Self::Continuous => "continuous",
        }
    }
}

/// How long a sweep is, and how much of it lies before the trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Timing {
    pub(super) span_ns: u64,
    pub(super) pre_ns: u64,
}

impl Timing {
    /// A sweep of this length with this share before the trigger.
    pub(super) fn new(span_ns: u64, pre: f64) -> Self {
        Self { span_ns, pre_ns: (span_ns as f64 * pre.clamp(0.0, 1.0)) as u64 }
    }

    /// The share before the trigger.
    pub(super) fn pre(self) -> f64 {
        self.pre_ns as f64 / self.span_ns as f64
    }

    /// A sweep around a trigger at this time.
    pub(super) const fn around(self, trigger_ns: u64, triggered: bool) -> Frame {
        Frame { span_ns: self.span_ns, pre_ns: self.pre_ns, trigger_ns, triggered }
    }
}

/// What it is doing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    /// Nothing: sweeps are not wanted.
    Stopped,
    /// It waits for a trigger.
    Waiting {
        /// Triggers before this time do not count.
        since_ns: Option<u64>,
        /// The cycle of an event that triggers and whose record has not come yet.
        expected: Option<u64>,
    },
    /// It was triggered and waits for the rest of the sweep.
    Sweeping(Frame),
}

impl State {
    const ARMED: Self = Self::Waiting { since_ns: None, expected: None };
}

/// Makes sweeps out of samples.
#[derive(Clone, Debug)]
pub(super) struct Acquisition {
    pub(super) timing: Timing,
    pub(super) repeat: Repeat,
    state: State,
    kept: Kept,
    /// The runtime that the samples are of has ended.
    ended: bool,
}

impl Acquisition {
    /// Stopped, so that what the runtime still remembers is no trigger.
    pub(super) fn new(timing: Timing, repeat: Repeat) -> Self {
        Self { timing, repeat, state: State::Stopped, kept: Kept::default(), ended: false }
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    /// The samples that are kept, the oldest first.
    pub(super) fn samples(&self) -> &[Sample] {
        self.kept.as_slice()
    }

    /// Waits for a trigger among the samples to come.
    pub(super) fn arm(&mut self) {
        let since_ns = self.newest_ns().map(|newest| newest.saturating_add(1));
        self.state = State::Waiting { since_ns, expected: None };
    }

    /// Gives up the sweep that is waited for.
    pub(super) fn stop(&mut self) {
        self.state = State::Stopped;
    }

    /// Takes the newest sample for the trigger.
    pub(super) fn force(&mut self) {
        if let (State::Waiting { .. }, Some(newest)) = (self.state, self.newest_ns()) {
            self.state = State::Sweeping(self.timing.around(newest, false));
        }
    }

    /// Another length or share. What was under way begins anew.
    pub(super) fn retime(&mut self, timing: Timing) {
        self.timing = timing;
        if let State::Sweeping(_) = self.state {
            self.arm();
        }
    }

    /// Takes a sample; the sweep that ended before it, if one did.
    pub(super) fn push(&mut self, sample: Sample, triggers: bool) -> Option<Capture> {
        if std::mem::take(&mut self.ended) {
            self.kept = Kept::default();
        }
        let done = match self.state {
            State::Sweeping(frame) if sample.time_ns >= frame.end_ns() => Some(self.complete(frame, false)),
            _ => None,
        };
        self.kept.push(sample);
        if let Some(triggered) = self.is_due(&sample, triggers) {
            self.state = State::Sweeping(self.timing.around(sample.time_ns, triggered));
        }
        self.kept.forget_before(self.oldest_needed_ns(sample.time_ns));
        done
    }

    /// An event of this cycle triggers. Its record may have come already.
    pub(super) fn event(&mut self, cycle: u64) {
        let State::Waiting { since_ns, expected: None } = self.state else { return };
        // Another runtime counts its cycles anew.
        let samples = if self.ended { &[] } else { self.samples() };
        let record = samples.iter().find(|sample| sample.cycle >= cycle);
        match record {
            Some(record) if since_ns.is_some_and(|since| record.time_ns < since) => {}
            Some(record) => self.state = State::Sweeping(self.timing.around(record.time_ns, true)),
            None => self.state = State::Waiting { since_ns, expected: Some(cycle) },
        }
    }

    /// The runtime has ended: what there is of the sweep under way. It waits for the next runtime's samples.
    pub(super) fn end(&mut self) -> Option<Capture> {
        self.ended = true;
        match self.state {
            State::Sweeping(frame) => Some(self.complete(frame, true)),
            State::Waiting { .. } => {
                self.state = State::ARMED;
                None
            }
            State::Stopped => None,
        }
    }

    fn complete(&mut self, frame: Frame, ended: bool) -> Capture {
        self.state = match self.repeat {
            Repeat::Single => State::Stopped,
            // Samples from the end of the sweep on may be the next trigger.
            Repeat::Normal | Repeat::Continuous if !ended => {
                State::Waiting { since_ns: Some(frame.end_ns()), expected: None }
            }
            Repeat::Normal | Repeat::Continuous => State::ARMED,
        };
        Capture { frame, ended, samples: frame.of(self.samples()).to_vec() }
    }

    /// Whether a sweep begins with this sample: by a trigger, or without one.
    fn is_due(&mut self, sample: &Sample, triggers: bool) -> Option<bool> {
        let State::Waiting { since_ns, expected } = &mut self.state else { return None };
        let since_ns = *since_ns.get_or_insert(sample.time_ns);
        if sample.time_ns < since_ns {
            return None;
        }
        if triggers || expected.is_some_and(|cycle| sample.cycle >= cycle) {
            return Some(true);
        }
        let waited_ns = sample.time_ns - since_ns;
        (self.repeat == Repeat::Continuous && waited_ns >= self.timing.span_ns).then_some(false)
    }

    fn oldest_needed_ns(&self, newest_ns: u64) -> u64 {
        let rolling = newest_ns.saturating_sub(self.timing.span_ns).saturating_sub(LATE_EVENTS_NS);
        match self.state {
            State::Sweeping(frame) => rolling.min(frame.start_ns()),
            State::Stopped | State::Waiting { .. } => rolling,
        }
    }

    fn newest_ns(&self) -> Option<u64> {
        self.samples().last().map(|sample| sample.time_ns)
    }
}

/// The newest samples, contiguous; pushing costs a constant time on average.
#[derive(Clone, Debug, Default)]
struct Kept {
    samples: Vec<Sample>,
    /// Those before it are forgotten.
    first: usize,
}

impl Kept {
    fn as_slice(&self) -> &[Sample] {
        self.samples.get(self.first..).unwrap_or_default()
    }

    fn push(&mut self, sample: Sample) {
        self.samples.push(sample);
        if self.samples.len() - self.first > SAMPLES_MAX {
            self.first += 1;
        }
    }

    fn forget_before(&mut self, time_ns: u64) {
        self.first += self.as_slice().partition_point(|sample| sample.time_ns < time_ns);
        if self.first > self.samples.len() / 2 {
            self.samples.drain(..std::mem::take(&mut self.first));
        }
    }
}

#[cfg(test)]
mod tests;

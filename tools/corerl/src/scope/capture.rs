//! A sweep that was taken, and the frame that it lies in.

use super::acquisition::Sample;

/// Where a sweep lies in time: CLOCK_MONOTONIC nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) span_ns: u64,
    /// Of it before the trigger.
    pub(super) pre_ns: u64,
    /// The sample that triggered, or with which it began without.
    pub(super) trigger_ns: u64,
    /// There was a trigger.
    pub(super) triggered: bool,
}

impl Frame {
    pub(super) const fn start_ns(&self) -> u64 {
        self.trigger_ns.saturating_sub(self.pre_ns)
    }

    /// The first instant that is not part of it; the trigger always is.
    pub(super) const fn end_ns(&self) -> u64 {
        let rest = self.span_ns.saturating_sub(self.pre_ns);
        self.trigger_ns.saturating_add(if rest == 0 { 1 } else { rest })
    }

    /// The samples in it.
    pub(super) fn of<'a>(&self, samples: &'a [Sample]) -> &'a [Sample] {
        let at = |time_ns| samples.partition_point(|sample: &Sample| sample.time_ns < time_ns);
        samples.get(at(self.start_ns())..at(self.end_ns())).unwrap_or_default()
    }
}

/// The samples of one sweep.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Capture {
    pub(super) frame: Frame,
    /// The runtime ended before the sweep did.
    pub(super) ended: bool,
    pub(super) samples: Vec<Sample>,
}

impl Capture {
    /// Records in it that were overwritten before they were read.
    pub(super) fn lost(&self) -> u64 {
        // What was lost before its first sample lies in front of it.
        self.samples.iter().skip(1).fold(0, |lost, sample| sample.lost.saturating_add(lost))
    }

    /// Slots in it that passed without a cycle.
    pub(super) fn skipped(&self) -> u64 {
        self.samples.iter().skip(1).map(|sample| u64::from(sample.skipped)).sum()
    }

    /// The sample at the trigger.
    pub(super) fn at_trigger(&self) -> Option<&Sample> {
        self.samples.iter().find(|sample| sample.time_ns >= self.frame.trigger_ns)
    }
}

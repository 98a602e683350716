//! The scope without screen, files and time: records and events go in, sweeps come out.

use shm_layout::{CycleRef, EventRecord};
use watch::Missed;

use super::acquisition::{Acquisition, Repeat, SAMPLES_MAX, Sample, State, Timing};
use super::capture::{Capture, Frame};
use super::channel::{CHANNELS_MAX, Channel, Names, Probe, Signal};
use super::file::Saved;
use super::trigger::{Detector, Trigger};

/// What a scope is set to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setup {
    /// Names of the channels.
    pub(super) channels: Vec<String>,
    pub(super) trigger: Trigger,
    pub(super) timing: Timing,
    pub(super) repeat: Repeat,
}

/// What was read, and what was not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) records: u64,
    /// Records that were overwritten before they were read.
    pub(super) lost: u64,
    /// Slots that passed without a cycle.
    pub(super) skipped: u64,
    /// Events that were overwritten before they were read: a trigger may have been among them.
    pub(super) events_lost: u64,
    /// Times that a ring held what no sound writer writes.
    pub(super) damaged: u64,
}

/// A scope on one agent.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    names: Names,
    channels: Vec<Channel>,
    period_ns: u64,
    detector: Detector,
    /// What the trigger looks at; `None` also while the runtime has nothing of this name.
    looks_at: Option<Signal>,
    probe: Probe,
    acquisition: Acquisition,
    /// The cycle that was read last.
    cycle: Option<u64>,
    counts: Counts,
    last: Option<Capture>,
}

impl Scope {
    /// A scope on a runtime with these names and this period. It does not wait for a trigger yet.
    pub(super) fn new(setup: Setup, names: Names, period_ns: u64) -> Result<Self, String> {
        let mut scope = Self {
            channels: Channel::all(&setup.channels, &names)?,
            acquisition: Acquisition::new(checked(setup.timing, period_ns)?, setup.repeat),
            names,
            period_ns,
            detector: Detector::new(Trigger::None),
            looks_at: None,
            probe: Probe::new(),
            cycle: None,
            counts: Counts::default(),
            last: None,
        };
        scope.set_trigger(setup.trigger)?;
        Ok(scope)
    }

    pub(super) fn channels(&self) -> &[Channel] {
        &self.channels
    }

    pub(super) fn trigger(&self) -> &Trigger {
        self.detector.trigger()
    }

    /// The trigger looks at a channel that the runtime does not have.
    pub(super) fn is_blind(&self) -> bool {
        self.trigger().signal().is_some() && self.looks_at.is_none()
    }

    pub(super) fn timing(&self) -> Timing {
        self.acquisition.timing
    }

    pub(super) fn repeat(&self) -> Repeat {
        self.acquisition.repeat
    }

    pub(super) fn state(&self) -> State {
        self.acquisition.state()
    }

    pub(super) fn period_ns(&self) -> u64 {
        self.period_ns
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn is_sweeping(&self) -> bool {
        matches!(self.state(), State::Sweeping(_))
    }

    /// What it is doing, in a word.
    pub(super) fn state_name(&self) -> &'static str {
        match self.state() {
            _ if self.rolling().is_some() && *self.trigger() == Trigger::None => "rolling",
            State::Stopped => "stopped",
            State::Waiting { .. } => "waiting",
            State::Sweeping(_) => "triggered",
        }
    }

    /// A capture of this scope with all that is needed to keep it.
    pub(super) fn saved(&self, agent: String, capture: &Capture) -> Saved {
        Saved {
            agent,
            period_ns: self.period_ns,
            trigger: self.trigger().to_string(),
            titles: self.channels.iter().map(Channel::title).collect(),
            capture: capture.clone(),
        }
    }

    /// The last sweep that was taken.
    pub(super) fn last(&self) -> Option<&Capture> {
        self.last.as_ref()
    }

    /// Takes a cycle record.
    pub(super) fn record(&mut self, record: &CycleRef<'_>) {
        let head = record.head;
        let lost = self.cycle.replace(head.cycle).map_or(0, |before| {
            head.cycle.saturating_sub(before).saturating_sub(1).saturating_sub(u64::from(head.skipped))
        });
        self.counts.records += 1;
        self.counts.lost = self.counts.lost.saturating_add(lost);
        self.counts.skipped += u64::from(head.skipped);
        self.probe.look(head, lost > 0);
        let value = |signal: Option<Signal>| signal.map_or(f64::NAN, |signal| self.probe.value(signal, record));
        let mut values = [f64::NAN; CHANNELS_MAX];
        for (to, channel) in values.iter_mut().zip(&self.channels) {
            *to = value(channel.signal);
        }
        let triggers = self.detector.record(head, value(self.looks_at));
        let sample = Sample { cycle: head.cycle, time_ns: head.release_ns, lost, skipped: head.skipped, values };
        let done = self.acquisition.push(sample, triggers);
        self.keep(done);
    }

    /// Takes an event; best before the records of its time.
    pub(super) fn event(&mut self, event: &EventRecord) {
        if self.detector.event(event) {
            self.acquisition.event(event.cycle);
        }
    }

    /// Takes what reading says was missed. Where cycles were lost, their records say by their numbers.
    pub(super) fn missed(&mut self, cycles: Missed, events: Missed) {
        self.counts.events_lost += events.lost;
        self.counts.damaged += u64::from(cycles.damaged) + u64::from(events.damaged);
    }

    /// The runtime has ended. Whatever sweep was under way is the last one now.
    pub(super) fn ended(&mut self) {
        let done = self.acquisition.end();
        self.keep(done);
        self.detector.reset();
        (self.probe, self.cycle) = (Probe::new(), None);
    }

    /// Another runtime is there, perhaps with other tags and another period.
    pub(super) fn follow(&mut self, names: Names, period_ns: u64) {
        for channel in &mut self.channels {
            channel.resolve(&names);
        }
        self.looks_at = self.trigger().signal().and_then(|signal| names.find(signal));
        (self.names, self.period_ns) = (names, period_ns);
        // A sweep that has no room for as many cycles, or not two of them, becomes one that has.
        self.acquisition.retime(fitting(self.acquisition.timing, period_ns));
    }

    /// Waits for a trigger from now on. What was read before is history, and what is missing of it nobody's loss.
    pub(super) fn begin(&mut self) {
        self.counts = Counts::default();
        self.arm();
    }

    pub(super) fn arm(&mut self) {
        self.acquisition.arm();
    }

    /// Stops where it is; what rolled by stays as it is.
    pub(super) fn stop(&mut self) {
        if let Some(frame) = self.rolling() {
            let samples = frame.of(self.acquisition.samples()).to_vec();
            self.last = Some(Capture { frame, ended: false, samples });
        }
        self.acquisition.stop();
    }

    pub(super) fn force(&mut self) {
        self.acquisition.force();
    }

    pub(super) fn set_repeat(&mut self, repeat: Repeat) {
        self.acquisition.repeat = repeat;
    }

    pub(super) fn set_trigger(&mut self, trigger: Trigger) -> Result<(), String> {
        self.looks_at = trigger.signal().map(|signal| self.names.require(signal)).transpose()?;
        self.detector = Detector::new(trigger);
        self.rearm();
        Ok(())
    }

    pub(super) fn set_timing(&mut self, timing: Timing) -> Result<(), String> {
        self.acquisition.retime(checked(timing, self.period_ns)?);
        Ok(())
    }

    /// Shows other channels. Samples that are there already have their values in other places, so it begins anew.
    pub(super) fn set_channels(&mut self, wanted: &[String]) -> Result<(), String> {
        self.channels = Channel::all(wanted, &self.names)?;
        let Acquisition { timing, repeat, .. } = self.acquisition;
        let was_stopped = self.state() == State::Stopped;
        self.acquisition = Acquisition::new(timing, repeat);
        self.last = None;
        if !was_stopped {
            self.arm();
        }
        Ok(())
    }

    /// What there is to be seen: the sweep under way when it is long, the last one, or else what rolls by.
    pub(super) fn picture(&self) -> Option<Picture<'_>> {
        let samples = self.acquisition.samples();
        let of_frame = |frame: Frame| Picture { frame, ended: false, samples: frame.of(samples) };
        match (self.rolling(), self.state(), &self.last) {
            (Some(frame), ..) => Some(of_frame(frame)),
            (None, State::Sweeping(frame), last) if last.is_none() || frame.span_ns > SLOW_NS => Some(of_frame(frame)),
            (.., last) => last.as_ref().map(Picture::of),
        }
    }

    /// The newest span of time, while nobody waits for a trigger, or before the first one.
    fn rolling(&self) -> Option<Frame> {
        let is_rolling = match self.state() {
            State::Stopped => false,
            State::Waiting { .. } => *self.trigger() == Trigger::None || self.last.is_none(),
            State::Sweeping(_) => *self.trigger() == Trigger::None && self.repeat() != Repeat::Single,
        };
        let newest = self.acquisition.samples().last().filter(|_| is_rolling)?;
        let Timing { span_ns, .. } = self.timing();
        Some(Frame { span_ns, pre_ns: span_ns, trigger_ns: newest.time_ns, triggered: false })
    }

    fn rearm(&mut self) {
        if self.state() != State::Stopped {
            self.arm();
        }
    }

    fn keep(&mut self, done: Option<Capture>) {
        if let Some(capture) = done {
            self.last = Some(capture);
        }
    }
}

/// A sweep that is longer is shown while it comes in.
const SLOW_NS: u64 = 1_000_000_000;

/// What is to be seen of samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Picture<'a> {
    pub(super) frame: Frame,
    pub(super) ended: bool,
    pub(super) samples: &'a [Sample],
}

impl<'a> Picture<'a> {
    pub(super) fn of(capture: &'a Capture) -> Self {
        Self { frame: capture.frame, ended: capture.ended, samples: &capture.samples }
    }
}

/// This sweep, or the next one to it that [`checked`] permits.
fn fitting(timing: Timing, period_ns: u64) -> Timing {
    let period_ns = period_ns.max(1);
    let (least, most) = (period_ns.saturating_mul(2), period_ns.saturating_mul(SAMPLES_MAX as u64));
    let span_ns = timing.span_ns.clamp(least, most);
    let pre_ns = (timing.pre_ns as f64 * (span_ns as f64 / timing.span_ns.max(1) as f64)) as u64;
    Timing { span_ns, pre_ns: pre_ns.min(span_ns) }
}

/// A sweep must have room for its samples, and at least two.
fn checked(timing: Timing, period_ns: u64) -> Result<Timing, String> {
    let cycles = timing.span_ns / period_ns.max(1);
    if cycles > SAMPLES_MAX as u64 {
        return Err(format!(
            "a sweep of {cycles} cycles is too long: {SAMPLES_MAX} are kept; choose a shorter time base"
        ));
    }
    if cycles < 2 {
        return Err(format!(
            "a sweep shorter than two cycles of {period_ns} ns shows nothing: choose a longer time base"
        ));
    }
    Ok(timing)
}

#[cfg(test)]
mod tests;

//! One cycle, from the wake-up to the report.

use crate::envelope::{Acted, Envelope, EnvelopeError, Limits, Verdict, Withheld};
use crate::fallback::Fallback;
use crate::image::Image;
use crate::mode::{Cause, Conditions, Effect, Mode, ModeMachine};
use crate::ports::{Action, Clock, Command, Commands, Field, FieldReport, Moment, NoAction, Policy, Recorder};
use crate::record::{CycleView, Event, EventKind, Fault, Flags, SetpointRow};
use crate::reference::{Patience, Reference};
use crate::schedule::{Every, Slot};
use crate::setpoint::{SETPOINTS_MAX, SetpointSet, SetpointSettings};
pub use crate::settings::{CycleSettings, SettingsError};
use crate::tag::TAGS_MAX;
use crate::time::{MonoTime, Period, Span};
use crate::trips::{Overruns, Streak, TripSettings};

/// The most reports of the io thread that one cycle takes in; the rest waits for the next one.
pub const REPORTS_PER_CYCLE_MAX: usize = 2 * TAGS_MAX;
/// The most commands that one cycle takes.
pub const COMMANDS_PER_CYCLE_MAX: usize = 8;
/// The plant heartbeat counts modulo this.
pub const HEARTBEAT_MODULUS: u16 = 1000;

/// A [`Cycle`] is not larger than this.
pub const CYCLE_BYTES_MAX: usize = 256 * 1024;

const _: () = assert!(size_of::<Cycle>() <= CYCLE_BYTES_MAX, "it is built on a thread's stack before it moves");
const _: () = assert!(REPORTS_PER_CYCLE_MAX > TAGS_MAX, "one read of every tag has to fit into one cycle");
const _: () = assert!(SETPOINTS_MAX <= u32::BITS as usize, "setpoints are reported as bits of a u32");

/// What the caller of a cycle wants to know; everything else is in the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CycleOutcome {
    /// The mode that held.
    pub mode: Mode,
    /// What was particular.
    pub flags: Flags,
    /// The setpoints that were put into the set, as bits.
    pub written: u32,
    /// Samples that were taken in.
    pub samples: u32,
    /// From the receipt of the newest sample to the set's being handed over; `None` when there was no set.
    pub response: Option<Span>,
    /// From the wake-up to the end of the cycle's work.
    pub execution: Span,
}

/// The control cycle of one agent.
///
/// It is large ([`CYCLE_BYTES_MAX`]): build it once, where it stays.
#[derive(Clone, Debug)]
pub struct Cycle {
    period: Period,
    patience: Patience,
    trips: TripSettings,
    policy_age_max: Option<Span>,
    explore: bool,

    observe_every: Every,
    decide_every: Every,
    image: Image,
    channels: [Option<Channel>; SETPOINTS_MAX],
    rows: [SetpointRow; SETPOINTS_MAX],
    setpoint_count: usize,
    machine: ModeMachine,

    last_index: Option<u64>,
    newest_sample: Option<MonoTime>,
    link: bool,
    heartbeat: u16,
    overruns: Overruns,
    decisions: Decisions,
}

/// One setpoint's way to the plant.
#[derive(Clone, Copy, Debug)]
struct Channel {
    settings: SetpointSettings,
    envelope: Envelope,
    fallback: Fallback,
    fallback_output: Option<f64>,
    reference: Reference,
    refused: Streak,
}

/// What came of the decisions so far.
#[derive(Clone, Copy, Debug, Default)]
struct Decisions {
    generation: Option<u64>,
    confirmed_at: MonoTime,
    /// The last good action.
    action: Option<Action>,
    /// The newest output was not finite, and for how many cycles that has been so.
    output_bad: bool,
    not_finite: Streak,
    out_of_bounds: Streak,
    incomplete: Streak,
}

/// What one cycle gathers on its way.
struct Pass {
    slot: Slot,
    /// min(real time since the last cycle, T).
    dt: Span,
    previous: Mode,
    flags: Flags,
    samples: u32,
    reward: Option<f64>,
    fault: Option<Fault>,
}

impl Cycle {
    /// A cycle in STARTUP, unarmed.
    ///
    /// # Errors
    /// Says what is wrong with the settings.
    pub fn new(settings: &CycleSettings<'_>) -> Result<Self, SettingsError> {
        settings.validate()?;
        let mut channels = [None; SETPOINTS_MAX];
        for (setpoint, (channel, of)) in channels.iter_mut().zip(settings.setpoints).enumerate() {
            *channel = Some(Channel::new(of, settings.envelope(setpoint, of)?));
        }
        Ok(Self {
            period: settings.period,
            patience: Patience { expiry: settings.expiry, confirm: settings.confirm_within },
            trips: settings.trips,
            policy_age_max: settings.policy_age_max,
            explore: settings.explore,
            observe_every: Every::new(settings.observe_every),
            decide_every: Every::new(settings.decide_every),
            image: Image::new(settings.tags)?,
            channels,
            rows: [SetpointRow::WITHHELD; SETPOINTS_MAX],
            setpoint_count: settings.setpoints.len(),
            machine: ModeMachine::new(settings.modes),
            last_index: None,
            newest_sample: None,
            link: false,
            heartbeat: 0,
            overruns: Overruns::default(),
            decisions: Decisions::default(),
        })
    }

    /// Runs one cycle in `slot`.
    ///
    /// # Real-time
    /// Wait-free as long as the ports are. Bounded by [`COMMANDS_PER_CYCLE_MAX`] commands, [`REPORTS_PER_CYCLE_MAX`] reports,
    /// one observation, one decision, and work linear in tags and setpoints.
    pub fn run(
        &mut self,
        slot: &Slot,
        clock: &impl Clock,
        field: &mut impl Field,
        commands: &mut impl Commands,
        policy: &mut impl Policy,
        recorder: &mut impl Recorder,
    ) -> CycleOutcome {
        let mut pass = self.begin(slot, recorder);
        self.take_commands(&pass, commands, recorder);
        self.drain(&mut pass, field, recorder);
        self.settle_references(&pass);
        self.adopt(&pass, policy, recorder);
        self.observe_and_decide(&mut pass, policy);
        self.compute_fallbacks(&pass);
        self.change_mode(&mut pass, recorder);
        let set = self.judge(&pass);
        let response = self.send(&mut pass, set.as_ref(), field, clock);
        self.report(&pass, set.as_ref(), response, clock, recorder)
    }

    /// The present mode.
    pub const fn mode(&self) -> Mode {
        self.machine.mode()
    }

    /// The mode machine, to look at.
    pub const fn machine(&self) -> &ModeMachine {
        &self.machine
    }

    /// The process image, to look at.
    pub const fn image(&self) -> &Image {
        &self.image
    }

    /// Changes the limits of one setpoint between two cycles; `false` when there is no such setpoint.
    ///
    /// # Errors
    /// Says what is wrong with the new limits; the old ones stay.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn set_limits(&mut self, setpoint: usize, limits: Limits) -> Result<bool, EnvelopeError> {
        match self.channels.get_mut(setpoint) {
            Some(Some(channel)) => channel.envelope.set_limits(limits).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Opens the books of this cycle, and checks what the cycle expects of itself.
    fn begin(&mut self, slot: &Slot, recorder: &mut impl Recorder) -> Pass {
        let mut pass = Pass {
            slot: *slot,
            dt: slot.dt.min(self.period.span()),
            previous: self.machine.mode(),
            flags: Flags::NONE,
            samples: 0,
            reward: None,
            fault: None,
        };
        if slot.skipped > 0 {
            recorder.event(pass.event(EventKind::SlotsSkipped { count: slot.skipped }));
        }
        self.overruns.note(slot.skipped > 0);
        if self.last_index.is_some_and(|last| slot.index <= last) {
            pass.fault = Some(Fault::SlotNotIncreasing);
        }
        self.last_index = Some(slot.index);
        if self.channels.iter().flatten().any(|channel| !channel.envelope.intact()) {
            pass.fault = pass.fault.or(Some(Fault::LimitsCorrupt));
        }
        pass
    }

    fn take_commands(&mut self, pass: &Pass, commands: &mut impl Commands, recorder: &mut impl Recorder) {
        for _ in 0..COMMANDS_PER_CYCLE_MAX {
            let Some(command) = commands.next_command() else { break };
            let latch = self.machine.latch();
            let effect = self.machine.command(command);
            match command {
                Command::PolicyConfirmed(at) => {
                    self.decisions.confirmed_at = self.decisions.confirmed_at.max(at);
                    continue;
                }
                Command::Lease(_) if effect == Effect::Ignored => continue,
                Command::Reset => self.reset_counts(),
                _ => {}
            }
            recorder.event(pass.event(EventKind::Command { command, effect }));
            if let (Some(cause), None) = (latch, self.machine.latch()) {
                recorder.event(pass.event(EventKind::LatchCleared { cause }));
            }
        }
    }

    fn reset_counts(&mut self) {
        self.overruns = Overruns::default();
        self.decisions.not_finite = Streak::default();
        self.decisions.out_of_bounds = Streak::default();
        for channel in self.channels.iter_mut().flatten() {
            channel.refused = Streak::default();
        }
    }

    /// Takes in what the io thread reported, and moves the image to this cycle's instant.
    fn drain(&mut self, pass: &mut Pass, field: &mut impl Field, recorder: &mut impl Recorder) {
        let mut bound_met = true;
        for _ in 0..REPORTS_PER_CYCLE_MAX {
            let Some(report) = field.next_report() else {
                bound_met = false;
                break;
            };
            let known = self.take_report(report, pass, recorder);
            pass.flags = pass.flags.with_if(!known, Flags::FOREIGN_REPORT);
        }
        pass.flags = pass.flags.with_if(bound_met, Flags::DRAIN_BOUND);
        self.image.advance(pass.slot.woke);
    }

    /// `false` when the report is about something that does not exist.
    fn take_report(&mut self, report: FieldReport, pass: &mut Pass, recorder: &mut impl Recorder) -> bool {
        match report {
            FieldReport::Sample(sample) => {
                pass.samples = pass.samples.saturating_add(1);
                self.newest_sample = self.newest_sample.max(Some(sample.received));
                self.image.receive(&sample)
            }
            FieldReport::Wrote { cycle, written, refused } => {
                for (index, channel) in self.channels.iter_mut().flatten().enumerate() {
                    channel.take_outcome(cycle, has_bit(written, index), has_bit(refused, index), pass.slot.woke);
                }
                if refused != 0 {
                    recorder.event(pass.event(EventKind::WriteRefused { setpoints: refused }));
                }
                true
            }
            FieldReport::Link(up) => {
                if !up {
                    self.channels.iter_mut().flatten().for_each(Channel::disconnect);
                }
                if self.link != up {
                    self.link = up;
                    recorder.event(pass.event(EventKind::Link { up }));
                }
                true
            }
            FieldReport::Kind { setpoint, kind } => {
                let Some(Some(channel)) = self.channels.get_mut(usize::from(setpoint)) else { return false };
                if channel.envelope.kind() != Some(kind) {
                    channel.envelope.set_kind(Some(kind));
                    recorder.event(pass.event(EventKind::Kind { setpoint, kind }));
                }
                true
            }
        }
    }

    fn settle_references(&mut self, pass: &Pass) {
        for channel in self.channels.iter_mut().flatten() {
            let read_back = if self.link { self.image.read_back(channel.settings.tag) } else { None };
            let moved = channel.reference.settle(read_back, pass.slot.woke, self.patience);
            if moved || pass.previous != Mode::Fallback {
                channel.fallback.track(channel.reference.value());
            }
        }
    }

    fn adopt(&mut self, pass: &Pass, policy: &mut impl Policy, recorder: &mut impl Recorder) {
        if let Some(generation) = policy.adopt() {
            self.decisions.generation = Some(generation);
            // Whoever published it was alive just now.
            self.decisions.confirmed_at = self.decisions.confirmed_at.max(pass.slot.woke);
            recorder.event(pass.event(EventKind::PolicyAdopted { generation }));
        }
    }

    fn observe_and_decide(&mut self, pass: &mut Pass, policy: &mut impl Policy) {
        if !pass.previous.policy_runs() {
            self.observe_every.restart();
            self.decide_every.restart();
            self.decisions.forget();
            return;
        }
        if let Some(due) = self.observe_every.take(pass.slot.index) {
            let decision = self.decide_every.take(pass.slot.index).is_some();
            let moment = Moment {
                cycle: pass.slot.index,
                release: pass.slot.release,
                decision,
                gap: due.gap,
                mode: pass.previous as u8,
            };
            let observed = policy.observe(&self.image, &moment);
            pass.reward = observed.reward;
            pass.flags = pass.flags.with(Flags::OBSERVED).with_if(due.gap, Flags::GAP);
            pass.flags = pass.flags.with_if(observed.complete, Flags::COMPLETE).with_if(decision, Flags::DECISION);
            if decision {
                self.decide(pass, observed.complete, policy);
            }
        }
        self.decisions.not_finite.note(self.decisions.output_bad);
    }

    fn decide(&mut self, pass: &mut Pass, complete: bool, policy: &mut impl Policy) {
        let explore = self.explore && pass.previous.explores();
        let mut action = [0.0; SETPOINTS_MAX];
        let decided = if complete { policy.decide(explore, &mut action) } else { Err(NoAction::Incomplete) };
        let outputs = || action.iter().zip(self.channels.iter().flatten());
        let decided = decided.and_then(|()| {
            if outputs().all(|(value, _)| value.is_finite()) { Ok(()) } else { Err(NoAction::NotFinite) }
        });
        let out_of_bounds = decided.is_ok() && outputs().any(|(value, channel)| channel.out_of_range(*value));
        let not_finite = decided == Err(NoAction::NotFinite);
        pass.flags = pass.flags.with_if(decided.is_ok(), Flags::DECIDED).with_if(explore, Flags::EXPLORED);
        pass.flags = pass.flags.with_if(out_of_bounds, Flags::OUT_OF_BOUNDS).with_if(not_finite, Flags::NOT_FINITE);
        self.decisions.note(decided, &action, out_of_bounds, pass.previous);
    }

    fn compute_fallbacks(&mut self, pass: &Pass) {
        for channel in self.channels.iter_mut().flatten() {
            channel.fallback_output = channel.fallback.step(channel.reference.value(), pass.dt);
        }
    }

    fn change_mode(&mut self, pass: &mut Pass, recorder: &mut impl Recorder) {
        let latch = self.machine.latch();
        if let Some(fault) = pass.fault {
            pass.flags = pass.flags.with(Flags::FAULT);
            if latch.is_none() {
                recorder.event(pass.event(EventKind::Fault { fault }));
            }
            self.machine.trip(fault.cause());
        }
        let conditions = self.conditions(pass.slot.woke);
        if let Some(change) = self.machine.step(&conditions) {
            let kind = EventKind::ModeChanged { from: change.from, to: change.to, cause: change.cause };
            recorder.event(pass.event(kind));
            if change.from == Mode::Shadow {
                // What went wrong while nothing was written, at a start for example, is no reason to stop now.
                self.reset_counts();
            }
        }
        if let (None, Some(cause)) = (latch, self.machine.latch()) {
            recorder.event(pass.event(EventKind::Latched { cause }));
        }
        let state = [
            (self.link, Flags::LINK),
            (self.machine.armed(), Flags::ARMED),
            (self.machine.lease(), Flags::LEASE),
            (self.machine.latch().is_some(), Flags::LATCHED),
        ];
        pass.flags = state.iter().fold(pass.flags, |flags, (holds, flag)| flags.with_if(*holds, *flag));
    }

    fn conditions(&self, now: MonoTime) -> Conditions {
        let channels = || self.channels.iter().flatten();
        let last_known = channels().all(|channel| channel.reference.value().is_some());
        let kinds_known = channels().all(|channel| channel.envelope.kind().is_some());
        let expired = |max: Span| now.since(self.decisions.confirmed_at) > max;
        Conditions {
            now,
            link: self.link,
            inputs: self.image.required_missing().map(|(_, missing)| missing),
            read_back: last_known && kinds_known,
            policy_adopted: self.decisions.generation.is_some(),
            policy_expired: self.policy_age_max.is_some_and(expired),
            state_incomplete: self.decisions.incomplete.exceeds(self.trips.incomplete_max),
            // Without a connection nothing of ours reaches the plant, and its own logic has taken over: there is nothing to
            // let go of, and the runtime keeps waiting for the plant to come back.
            fallback_usable: !self.link || channels().all(|channel| channel.fallback_output.is_some()),
            interlock_release: channels().any(|channel| channel.envelope.demands_release(&self.image)),
            trip: self.trip(),
        }
    }

    fn trip(&self) -> Option<Cause> {
        let refused = |channel: &Channel| channel.refused.exceeds(self.trips.refused_max);
        let overruns = self.overruns.among_last(self.trips.overrun_window);
        let trips = [
            (self.decisions.not_finite.exceeds(self.trips.not_finite_cycles_max), Cause::OutputNotFinite),
            (self.decisions.out_of_bounds.exceeds(self.trips.out_of_bounds_max), Cause::OutputOutOfBounds),
            (self.channels.iter().flatten().any(refused), Cause::WriteRefused),
            (overruns >= u32::from(self.trips.overruns), Cause::Overruns),
        ];
        trips.iter().find(|(tripped, _)| *tripped).map(|(_, cause)| *cause)
    }

    /// Passes what the mode's law asks for through the envelope; the set, when the mode writes.
    fn judge(&mut self, pass: &Pass) -> Option<SetpointSet> {
        let mode = self.machine.mode();
        let mut set = SetpointSet {
            cycle: pass.slot.index,
            expires: pass.slot.release.plus(self.patience.expiry),
            values: [None; SETPOINTS_MAX],
            heartbeat: None,
        };
        let action = self.decisions.action.unwrap_or([f64::NAN; SETPOINTS_MAX]);
        let places = self.rows.iter_mut().zip(set.values.iter_mut()).zip(action);
        for (channel, ((row, value), action)) in self.channels.iter_mut().flatten().zip(places) {
            *row = channel.judge(mode, action, pass, &self.image);
            *value = row.sent;
        }
        if mode.heartbeat() {
            let next = self.heartbeat.saturating_add(1);
            self.heartbeat = if next < HEARTBEAT_MODULUS { next } else { 0 };
            set.heartbeat = Some(self.heartbeat);
        }
        mode.writes().then_some(set)
    }

    /// Hands the set over; the response time.
    fn send(
        &self,
        pass: &mut Pass,
        set: Option<&SetpointSet>,
        field: &mut impl Field,
        clock: &impl Clock,
    ) -> Option<Span> {
        let taken = field.send(set?);
        pass.flags = pass.flags.with(if taken { Flags::SENT } else { Flags::SET_LOST });
        self.newest_sample.map(|received| clock.now().since(received))
    }

    fn report(
        &self,
        pass: &Pass,
        set: Option<&SetpointSet>,
        response: Option<Span>,
        clock: &impl Clock,
        recorder: &mut impl Recorder,
    ) -> CycleOutcome {
        let rows = self.rows.get(..self.setpoint_count).unwrap_or(&self.rows);
        let view = CycleView {
            slot: pass.slot,
            mode: self.machine.mode(),
            previous: pass.previous,
            flags: pass.flags,
            setpoints: rows,
            image: &self.image,
            reward: pass.reward,
            generation: self.decisions.generation.unwrap_or(0),
            heartbeat: set.and_then(|set| set.heartbeat),
            samples: pass.samples,
            response,
            execution: clock.now().since(pass.slot.woke),
        };
        recorder.cycle(&view);
        let bits = rows.iter().rev().fold(0_u32, |bits, row| (bits << 1) | u32::from(row.sent.is_some()));
        CycleOutcome {
            mode: view.mode,
            flags: view.flags,
            written: bits,
            samples: view.samples,
            response,
            execution: view.execution,
        }
    }
}

impl Pass {
    const fn event(&self, kind: EventKind) -> Event {
        Event { cycle: self.slot.index, at: self.slot.woke, kind }
    }
}

impl Fault {
    const fn cause(self) -> Cause {
        match self {
            Self::SlotNotIncreasing => Cause::InternalFault,
            Self::LimitsCorrupt => Cause::LimitsCorrupt,
        }
    }
}

impl Decisions {
    fn note(&mut self, decided: Result<(), NoAction>, action: &Action, out_of_bounds: bool, mode: Mode) {
        self.incomplete.note(decided == Err(NoAction::Incomplete));
        match decided {
            Ok(()) => {
                self.action = Some(*action);
                self.output_bad = false;
                self.out_of_bounds.note(out_of_bounds);
            }
            Err(no_action) => {
                self.output_bad |= no_action == NoAction::NotFinite;
                // The last action stays while it drives the plant; one from before an interruption must not come back.
                if mode != Mode::Run {
                    self.action = None;
                }
            }
        }
    }

    /// The policy does not run: what it said before counts no more.
    fn forget(&mut self) {
        *self = Self { generation: self.generation, confirmed_at: self.confirmed_at, ..Self::default() };
    }
}

impl Channel {
    fn new(settings: &SetpointSettings, envelope: Envelope) -> Self {
        Self {
            settings: *settings,
            envelope,
            fallback: Fallback::new(settings.fallback),
            fallback_output: None,
            reference: Reference::UNKNOWN,
            refused: Streak::default(),
        }
    }

    fn take_outcome(&mut self, cycle: u64, written: bool, refused: bool, now: MonoTime) {
        if refused {
            self.refused.note(true);
            self.reference.lose();
        } else if written {
            self.refused.note(false);
            self.reference.confirm(cycle, now);
        }
    }

    /// Outstanding writes have an unknown outcome, and the node may be another one when the plant comes back.
    fn disconnect(&mut self) {
        self.reference.lose();
        self.envelope.set_kind(None);
    }

    fn out_of_range(&self, value: f64) -> bool {
        let Limits { lo, hi, .. } = self.envelope.limits();
        value < lo || value > hi
    }

    /// What becomes of this setpoint in this cycle: a value that is sent, or a reason why not.
    fn judge(&mut self, mode: Mode, action: f64, pass: &Pass, image: &Image) -> SetpointRow {
        let last = self.reference.value();
        let hold = last.unwrap_or(f64::NAN);
        let desired = match mode {
            Mode::Startup | Mode::Release => f64::NAN,
            Mode::Shadow => action,
            Mode::Run if action.is_finite() => action,
            Mode::Run | Mode::Hold => hold,
            Mode::Fallback => self.fallback_output.unwrap_or(f64::NAN),
        };
        let verdict = if mode.writes() {
            self.envelope.judge(desired, last, pass.dt, image)
        } else {
            Verdict::Withhold(Withheld::Mode)
        };
        let read_back = image.read_back(self.settings.tag).map(|read_back| read_back.value);
        let (sent, acted, withheld) = match verdict {
            Verdict::Write { value, acted } => {
                self.reference.wrote(value, pass.slot.index, pass.slot.woke);
                (Some(value), acted, None)
            }
            Verdict::Withhold(reason) => {
                self.reference.rested();
                (None, Acted::NOTHING, Some(reason))
            }
        };
        SetpointRow { desired, sent, last, read_back, acted, withheld }
    }
}

fn has_bit(bits: u32, index: usize) -> bool {
    u32::try_from(index).ok().and_then(|index| bits.checked_shr(index)).is_some_and(|rest| rest & 1 == 1)
}

//! One cycle, from the wake-up to the report.

use crate::alarm::{ALARMS_MAX, Alarms, Trouble, Troubles};
use crate::carry::Carrier;
use crate::changes::ChangeSet;
use crate::channel::{Channel, Finding, Instant};
use crate::decisions::Decisions;
use crate::image::Image;
use crate::mode::{Cause, Conditions, Effect, Mode, ModeMachine};
use crate::ports::{Because, Clock, Command, Commands, Field, FieldReport, Moment, NoAction, Policy, Recorder};
use crate::record::{CycleView, Event, EventKind, Fault, Flags, SetpointRow};
use crate::reference::Patience;
use crate::schedule::{Every, Slot};
use crate::setpoint::{SETPOINTS_MAX, SetpointSet};
pub use crate::settings::{CycleSettings, SettingsError};
use crate::tag::{TAGS_MAX, TagId};
use crate::time::{MonoTime, Period, Span};
use crate::trips::{Recent, TripSettings};

/// The most reports of the io thread that one cycle takes in; the rest waits for the next one.
pub const REPORTS_PER_CYCLE_MAX: usize = 2 * TAGS_MAX;
/// The most commands that one cycle takes.
pub const COMMANDS_PER_CYCLE_MAX: usize = 8;
/// The plant heartbeat counts modulo this.
pub const HEARTBEAT_MODULUS: u16 = 1000;

/// A [`Cycle`] is not larger than this.
pub const CYCLE_BYTES_MAX: usize = 384 * 1024;

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
    /// What the policy took for its decision; `None` when none was asked of it.
    pub inference: Option<Span>,
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
    first_policy_waits: bool,
    decide_within: Span,
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
    alarms: Alarms,
    overruns: Recent,
    decisions: Decisions,
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
    because: Because,
    inference: Option<Span>,
    fault: Option<Fault>,
    /// A setpoint turned out to ignore what is written.
    mismatch: bool,
    /// The plant refused to write a setpoint.
    refused: bool,
}

impl Cycle {
    /// A cycle in STARTUP, unarmed.
    ///
    /// # Errors
    /// Says what is wrong with the settings.
    pub fn new(settings: &CycleSettings<'_>) -> Result<Self, SettingsError> {
        settings.validate()?;
        let stroke = settings.trips.chatter.map_or(1.0, |chatter| chatter.stroke);
        let mut channels = [None; SETPOINTS_MAX];
        for (setpoint, (channel, of)) in channels.iter_mut().zip(settings.setpoints).enumerate() {
            *channel = Some(Channel::new(of, settings.envelope(setpoint, of)?, stroke));
        }
        Ok(Self {
            period: settings.period,
            patience: Patience {
                expiry: settings.expiry,
                confirm: settings.confirm_within,
                settle: settings.settle_within,
            },
            trips: settings.trips,
            policy_age_max: settings.policy_age_max,
            first_policy_waits: settings.first_policy_waits,
            decide_within: settings.decide_within,
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
            alarms: Alarms::new(settings.alarms),
            overruns: Recent::default(),
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
        self.take_changes(&pass, commands, recorder);
        self.take_commands(&pass, commands, recorder);
        self.drain(&mut pass, field, recorder);
        self.settle_references(&mut pass, recorder);
        self.adopt(&pass, policy, recorder);
        self.observe_and_decide(&mut pass, policy, clock);
        self.compute_fallbacks(&pass);
        let conditions = self.change_mode(&mut pass, recorder);
        self.turn_alarms(&pass, &conditions, recorder);
        let set = self.judge(&pass);
        let response = self.send(&mut pass, set.as_ref(), field, clock);
        self.report(&pass, set.as_ref(), response, clock, recorder)
    }

    /// The present mode.
    pub const fn mode(&self) -> Mode {
        self.machine.mode()
    }

    /// The generation of the weights that it adopted last; 0 before the first.
    pub fn generation(&self) -> u64 {
        self.decisions.generation.unwrap_or(0)
    }

    /// The mode machine, to look at.
    pub const fn machine(&self) -> &ModeMachine {
        &self.machine
    }

    /// The process image, to look at.
    pub const fn image(&self) -> &Image {
        &self.image
    }

    /// Hands the cycle's memory over to be kept, or takes over a memory that was kept: then the next cycle is the one that
    /// would have followed there. Both cycles must be made from the same settings.
    ///
    /// # Real-time
    /// As wait-free as the carrier; bounded by the number of tags and setpoints. Between two cycles only.
    pub fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self {
            // What the settings fix.
            period: _,
            patience: _,
            trips: _,
            policy_age_max: _,
            first_policy_waits: _,
            decide_within: _,
            explore: _,
            setpoint_count: _,
            // Every cycle fills them before it shows them.
            rows: _,
            observe_every,
            decide_every,
            image,
            channels,
            machine,
            last_index,
            newest_sample,
            link,
            heartbeat,
            alarms,
            overruns,
            decisions,
        } = self;
        observe_every.carry(carrier);
        decide_every.carry(carrier);
        image.carry(carrier);
        channels.iter_mut().flatten().for_each(|channel| channel.carry(carrier));
        machine.carry(carrier);
        carrier.carry(last_index);
        carrier.carry(newest_sample);
        carrier.carry(link);
        carrier.carry(heartbeat);
        alarms.carry(carrier);
        carrier.carry(overruns);
        carrier.carry(decisions);
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
            because: Because::default(),
            inference: None,
            fault: None,
            mismatch: false,
            refused: false,
        };
        if slot.skipped > 0 {
            recorder.event(pass.event(EventKind::SlotsSkipped { count: slot.skipped }));
        }
        self.overruns.note(slot.skipped > 0);
        if self.last_index.is_some_and(|last| slot.index <= last) {
            pass.fault = Some(Fault::SlotNotIncreasing);
        }
        self.last_index = Some(slot.index);
        if self.channels.iter().flatten().any(|channel| !channel.envelope().intact()) {
            pass.fault = pass.fault.or(Some(Fault::LimitsCorrupt));
        }
        pass
    }

    /// Takes the newest change set: all of it, or nothing.
    fn take_changes(&mut self, pass: &Pass, commands: &mut impl Commands, recorder: &mut impl Recorder) {
        let Some(changes) = commands.next_changes() else { return };
        let number = changes.number();
        let kind = if changes.fits(self.setpoint_count, self.image.len()) {
            self.apply(changes);
            EventKind::Changed { number }
        } else {
            EventKind::ChangesUnfit { number }
        };
        recorder.event(pass.event(kind));
    }

    fn apply(&mut self, changes: &ChangeSet) {
        for (channel, tuning) in self.channels.iter_mut().flatten().zip(changes.setpoints()) {
            channel.tune(tuning.limits, tuning.nominal);
        }
        for (index, settings) in changes.tags().enumerate() {
            if let Some(tag) = TagId::new(index) {
                self.image.set_settings(tag, *settings);
            }
        }
    }

    fn take_commands(&mut self, pass: &Pass, commands: &mut impl Commands, recorder: &mut impl Recorder) {
        for _ in 0..COMMANDS_PER_CYCLE_MAX {
            let Some(command) = commands.next_command() else { break };
            let latch = self.machine.latch();
            let effect = match command {
                Command::HandBack { setpoint } => self.hand_back(pass, setpoint, recorder),
                _ => self.machine.command(command),
            };
            match command {
                Command::PolicyConfirmed(at) => {
                    self.decisions.confirmed_at = self.decisions.confirmed_at.max(at);
                    continue;
                }
                Command::Lease(_) if effect == Effect::Ignored => continue,
                Command::Lease(true) => {
                    self.channels.iter_mut().flatten().for_each(|channel| channel.begin_anew(pass.slot.woke));
                }
                Command::Reset => self.reset_counts(),
                _ => {}
            }
            recorder.event(pass.event(EventKind::Command { command, effect }));
            if let (Some(cause), None) = (latch, self.machine.latch()) {
                recorder.event(pass.event(EventKind::LatchCleared { cause }));
            }
        }
    }

    fn hand_back(&mut self, pass: &Pass, setpoint: u8, recorder: &mut impl Recorder) -> Effect {
        let channel = self.channels.get_mut(usize::from(setpoint)).and_then(Option::as_mut);
        let changed = channel.is_some_and(Channel::hand_back);
        if changed {
            recorder.event(pass.event(EventKind::SetpointReturned { setpoint }));
        }
        Effect::of(changed)
    }

    fn reset_counts(&mut self) {
        self.overruns = Recent::default();
        self.decisions.reset_counts();
        self.channels.iter_mut().flatten().for_each(Channel::reset_counts);
    }

    /// Takes in what the io thread reported, and moves the image to this cycle's instant.
    fn drain(&mut self, pass: &mut Pass, field: &mut impl Field, recorder: &mut impl Recorder) {
        let (mut bound_met, odd_times) = (true, self.image.odd_times());
        for _ in 0..REPORTS_PER_CYCLE_MAX {
            let Some(report) = field.next_report() else {
                bound_met = false;
                break;
            };
            let known = self.take_report(report, pass, recorder);
            pass.flags = pass.flags.with_if(!known, Flags::FOREIGN_REPORT);
        }
        pass.flags = pass.flags.with_if(bound_met, Flags::DRAIN_BOUND);
        pass.flags = pass.flags.with_if(self.image.odd_times() != odd_times, Flags::ODD_SOURCE_TIME);
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
                    pass.refused = true;
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
                if channel.learn_kind(kind) {
                    recorder.event(pass.event(EventKind::Kind { setpoint, kind }));
                }
                true
            }
        }
    }

    /// Finds what every setpoint moves from, and whose it is.
    fn settle_references(&mut self, pass: &mut Pass, recorder: &mut impl Recorder) {
        for (setpoint, channel) in (0_u8..).zip(self.channels.iter_mut().flatten()) {
            let kind = match channel.settle(&self.image, self.link, pass.previous, self.patience) {
                None => continue,
                Some(Finding::Taken) => EventKind::SetpointTaken { setpoint },
                Some(Finding::Returned) => EventKind::SetpointReturned { setpoint },
                Some(Finding::Ignored) => EventKind::ReadBackMismatch { setpoint },
            };
            pass.mismatch |= matches!(kind, EventKind::ReadBackMismatch { .. });
            recorder.event(pass.event(kind));
        }
        let taken = self.channels.iter().flatten().any(Channel::with_operator);
        pass.flags = pass.flags.with_if(taken, Flags::OPERATOR);
    }

    fn adopt(&mut self, pass: &Pass, policy: &mut impl Policy, recorder: &mut impl Recorder) {
        if let Some(generation) = policy.adopt() {
            let is_first = self.decisions.generation.replace(generation).is_none();
            // Whoever published it was alive just now; the first one was there before anybody.
            if !(is_first && self.first_policy_waits) {
                self.decisions.confirmed_at = self.decisions.confirmed_at.max(pass.slot.woke);
            }
            recorder.event(pass.event(EventKind::PolicyAdopted { generation }));
        }
    }

    fn observe_and_decide(&mut self, pass: &mut Pass, policy: &mut impl Policy, clock: &impl Clock) {
        if !pass.previous.policy_runs() {
            self.observe_every.restart();
            self.decide_every.restart();
            self.decisions.forget();
            return;
        }
        if let Some(due) = self.observe_every.take(pass.slot.index) {
            let scheduled = self.decide_every.take(pass.slot.index).is_some();
            let moment = Moment {
                cycle: pass.slot.index,
                release: pass.slot.release,
                decision: scheduled,
                gap: due.gap,
                mode: pass.previous as u8,
            };
            let observed = policy.observe(&self.image, &moment);
            (pass.reward, pass.because) = (observed.reward, observed.because);
            let decision = scheduled || observed.triggered;
            pass.flags = pass.flags.with(Flags::OBSERVED).with_if(due.gap, Flags::GAP);
            pass.flags = pass.flags.with_if(observed.complete, Flags::COMPLETE).with_if(decision, Flags::DECISION);
            pass.flags = pass.flags.with_if(observed.triggered, Flags::TRIGGERED);
            if decision {
                self.decide(pass, observed.complete, policy, clock);
            }
        }
        self.decisions.end_cycle();
    }

    fn decide(&mut self, pass: &mut Pass, complete: bool, policy: &mut impl Policy, clock: &impl Clock) {
        let explore = self.explore && pass.previous.explores();
        let mut action = [0.0; SETPOINTS_MAX];
        let began = clock.now();
        let decided = if complete { policy.decide(explore, &mut action) } else { Err(NoAction::Incomplete) };
        let took = clock.now().since(began);
        let late = took > self.decide_within;
        pass.inference = complete.then_some(took);
        let outputs = || action.iter().zip(self.channels.iter().flatten());
        let decided = decided.and_then(|()| match outputs().all(|(value, _)| value.is_finite()) {
            false => Err(NoAction::NotFinite),
            true if late => Err(NoAction::Late),
            true => Ok(()),
        });
        let out_of_bounds = decided.is_ok() && outputs().any(|(value, channel)| channel.out_of_range(*value));
        let facts = [
            (decided.is_ok(), Flags::DECIDED),
            (explore, Flags::EXPLORED),
            (out_of_bounds, Flags::OUT_OF_BOUNDS),
            (decided == Err(NoAction::NotFinite), Flags::NOT_FINITE),
            (decided == Err(NoAction::Late), Flags::LATE_DECISION),
        ];
        pass.flags = facts.iter().fold(pass.flags, |flags, (holds, flag)| flags.with_if(*holds, *flag));
        self.decisions.note(decided, &action, out_of_bounds, pass.previous);
        if pass.previous == Mode::Run {
            self.channels.iter_mut().flatten().for_each(Channel::next_decision);
        }
    }

    fn compute_fallbacks(&mut self, pass: &Pass) {
        for channel in self.channels.iter_mut().flatten() {
            channel.compute_fallback(pass.dt, &self.image);
        }
    }

    /// The conditions under which it was changed, or not.
    fn change_mode(&mut self, pass: &mut Pass, recorder: &mut impl Recorder) -> Conditions {
        let latch = self.machine.latch();
        if let Some(fault) = pass.fault {
            pass.flags = pass.flags.with(Flags::FAULT);
            if latch.is_none() {
                recorder.event(pass.event(EventKind::Fault { fault }));
            }
            self.machine.trip(fault.cause());
        }
        let conditions = self.conditions(pass);
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
        conditions
    }

    fn turn_alarms(&mut self, pass: &Pass, conditions: &Conditions, recorder: &mut impl Recorder) {
        if self.alarms.is_empty() {
            return;
        }
        let mode = self.machine.mode();
        let there = [
            (!mode.writes(), Trouble::NotInCharge),
            (mode == Mode::Hold, Trouble::Hold),
            (mode == Mode::Fallback, Trouble::Fallback),
            (mode == Mode::Release, Trouble::Release),
            (self.machine.latch().is_some(), Trouble::Tripped),
            (conditions.inputs.is_some(), Trouble::InputBad),
            (conditions.policy_expired, Trouble::PolicyExpired),
            (pass.flags.contains(Flags::OPERATOR), Trouble::Operator),
            (pass.slot.skipped > 0, Trouble::SlotsSkipped),
            (pass.refused, Trouble::WriteRefused),
        ];
        let troubles = there.iter().fold(Troubles::NONE, |all, (is_there, trouble)| all.with_if(*is_there, *trouble));
        let (turned, raised) = (self.alarms.turn(troubles, pass.slot.woke), self.alarms.raised());
        for (alarm, place) in (0_u8..).zip(0..ALARMS_MAX).filter(|(_, place)| has_bit(turned, *place)) {
            recorder.event(pass.event(EventKind::Alarm { alarm, raised: has_bit(raised, place) }));
        }
    }

    fn conditions(&self, pass: &Pass) -> Conditions {
        let channels = || self.channels.iter().flatten();
        let now = pass.slot.woke;
        let confirmed_at = self.decisions.confirmed_at;
        let never = self.first_policy_waits && confirmed_at == MonoTime::ZERO;
        let expired = |max: Span| never || now.since(confirmed_at) > max;
        Conditions {
            now,
            link: self.link,
            inputs: self.image.required_missing().map(|(_, missing)| missing),
            read_back: channels().all(Channel::is_known),
            policy_adopted: self.decisions.generation.is_some(),
            policy_expired: self.policy_age_max.is_some_and(expired),
            state_incomplete: self.decisions.incomplete.exceeds(self.trips.incomplete_max),
            decisions_late: self.decisions.late.reaches(self.trips.late_decisions),
            read_back_mismatch: pass.mismatch,
            // Without a connection nothing of ours reaches the plant, and its own logic has taken over: there is nothing to
            // let go of, and the runtime keeps waiting for the plant to come back.
            fallback_usable: !self.link || channels().all(Channel::fallback_usable),
            interlock_release: channels().any(|channel| channel.envelope().demands_release(&self.image)),
            trip: self.trip(),
        }
    }

    fn trip(&self) -> Option<Cause> {
        let chatter = self.trips.chatter.map(|chatter| chatter.reversals);
        let trips = [
            (self.decisions.not_finite.exceeds(self.trips.not_finite_cycles_max), Cause::OutputNotFinite),
            (self.decisions.out_of_bounds.exceeds(self.trips.out_of_bounds_max), Cause::OutputOutOfBounds),
            (self.any_channel(|channel| channel.refused_more_than(self.trips.refused_max)), Cause::WriteRefused),
            (self.overruns.reaches(self.trips.overruns), Cause::Overruns),
            (self.any_channel(|channel| chatter.is_some_and(|limit| channel.reverses(limit))), Cause::Chatter),
        ];
        trips.iter().find(|(tripped, _)| *tripped).map(|(_, cause)| *cause)
    }

    fn any_channel(&self, wrong: impl Fn(&Channel) -> bool) -> bool {
        self.channels.iter().flatten().any(wrong)
    }

    /// Passes what the mode's law asks for through the envelope; the set, when there is anything to be written: setpoints and
    /// heartbeat in a mode that writes, alarms for as long as the plant is ours.
    fn judge(&mut self, pass: &Pass) -> Option<SetpointSet> {
        let mode = self.machine.mode();
        let mut set = SetpointSet {
            cycle: pass.slot.index,
            expires: pass.slot.release.plus(self.patience.expiry),
            values: [None; SETPOINTS_MAX],
            heartbeat: None,
            alarms: None,
        };
        let at = Instant { cycle: pass.slot.index, now: pass.slot.woke, dt: pass.dt };
        let action = self.decisions.action.unwrap_or([f64::NAN; SETPOINTS_MAX]);
        let places = self.rows.iter_mut().zip(set.values.iter_mut()).zip(action);
        for (channel, ((row, value), action)) in self.channels.iter_mut().flatten().zip(places) {
            *row = channel.judge(mode, action, at, &self.image);
            *value = row.sent;
        }
        if mode.heartbeat() {
            let next = self.heartbeat.saturating_add(1);
            self.heartbeat = if next < HEARTBEAT_MODULUS { next } else { 0 };
            set.heartbeat = Some(self.heartbeat);
        }
        if self.machine.lease() && !self.alarms.is_empty() {
            set.alarms = Some(self.alarms.raised());
        }
        (mode.writes() || set.alarms.is_some()).then_some(set)
    }

    /// Hands the set over; the response time, when there are setpoints in it.
    fn send(
        &self,
        pass: &mut Pass,
        set: Option<&SetpointSet>,
        field: &mut impl Field,
        clock: &impl Clock,
    ) -> Option<Span> {
        let taken = field.send(set?);
        if !self.machine.mode().writes() {
            return None;
        }
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
            because: pass.because,
            generation: self.generation(),
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
            inference: pass.inference,
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

fn has_bit(bits: u32, index: usize) -> bool {
    u32::try_from(index).ok().and_then(|index| bits.checked_shr(index)).is_some_and(|rest| rest & 1 == 1)
}

//! Events: one record in shared memory and one line in the log each.

use rt_core::mode::Mode;
use rt_core::ports::{Clock, Command};
use rt_core::record::{Event, EventKind as CoreEvent};
use rt_sys::MonotonicClock;
use shm::broadcast;
use shm_layout::{EventKind, EventRecord};

use crate::adapters::effect_name;

/// The one writer of the event ring.
pub(crate) struct Journal {
    ring: broadcast::Writer,
    clock: MonotonicClock,
    count: u64,
    cycle: u64,
}

impl Journal {
    pub(crate) fn new(ring: broadcast::Writer, clock: MonotonicClock) -> Self {
        Self { ring, clock, count: 0, cycle: 0 }
    }

    /// Events so far.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Something that the keeper itself did or saw.
    pub(crate) fn note(&mut self, kind: EventKind, text: &str) {
        self.entry(kind).text(text).publish();
    }

    /// An entry of the keeper's, to be completed.
    pub(crate) fn entry(&mut self, kind: EventKind) -> Entry<'_> {
        let (cycle, at) = (self.cycle, self.clock.now().as_ns());
        let record = EventRecord::new(kind, cycle, at);
        Entry { journal: self, record, message: String::new() }
    }

    /// An event of the control thread.
    pub(crate) fn record(&mut self, event: &Event) {
        self.cycle = event.cycle;
        let entry = |kind| EventRecord::new(kind, event.cycle, event.at.as_ns());
        let (mut record, message) = match event.kind {
            CoreEvent::ModeChanged { from, to, cause } => {
                let mut record = entry(EventKind::ModeChange);
                (record.a, record.b, record.cause) = (from as u64, to as u64, cause as u32);
                (record, format!("{} -> {}: {}", from.name(), to.name(), cause.name()))
            }
            CoreEvent::Command { command, effect } => {
                (entry(command_kind(command)), format!("{}: {}", command_name(command), effect_name(effect)))
            }
            CoreEvent::PolicyAdopted { generation } => {
                let mut record = entry(EventKind::PolicyAdopted);
                record.a = generation;
                (record, format!("generation {generation}"))
            }
            CoreEvent::Latched { cause } => {
                let mut record = entry(EventKind::Trip);
                record.cause = cause as u32;
                (record, cause.name().to_owned())
            }
            CoreEvent::LatchCleared { cause } => {
                let mut record = entry(EventKind::TripReset);
                record.cause = cause as u32;
                (record, cause.name().to_owned())
            }
            CoreEvent::Link { up: true } => (entry(EventKind::ConnectionUp), String::new()),
            CoreEvent::Link { up: false } => (entry(EventKind::ConnectionDown), String::new()),
            CoreEvent::Kind { setpoint, kind } => {
                (entry(EventKind::SetpointKind), format!("setpoint {setpoint}: {kind:?}"))
            }
            CoreEvent::WriteRefused { setpoints } => {
                let mut record = entry(EventKind::SetpointRejected);
                record.a = u64::from(setpoints);
                (record, format!("setpoints {setpoints:#b}"))
            }
            CoreEvent::SetpointTaken { setpoint } => of_setpoint(entry(EventKind::OperatorTook), setpoint),
            CoreEvent::SetpointReturned { setpoint } => of_setpoint(entry(EventKind::OperatorReturned), setpoint),
            CoreEvent::ReadBackMismatch { setpoint } => of_setpoint(entry(EventKind::ReadBackMismatch), setpoint),
            CoreEvent::Changed { number } => {
                let mut record = entry(EventKind::Configured);
                record.a = number;
                (record, format!("change {number}"))
            }
            CoreEvent::ChangesUnfit { number } => {
                (entry(EventKind::Fault), format!("change {number} is for other setpoints or tags"))
            }
            CoreEvent::SlotsSkipped { count } => {
                let mut record = entry(EventKind::SlotsSkipped);
                record.a = count;
                (record, format!("{count} slots"))
            }
            CoreEvent::Fault { fault } => (entry(EventKind::Fault), format!("{fault:?}")),
        };
        record.set_text(&message);
        self.publish(&record);
        log(&record, &message);
    }

    fn publish(&mut self, record: &EventRecord) {
        self.count += u64::from(self.ring.publish(&record.to_words()).is_ok());
    }
}

/// An entry that is being written.
pub(crate) struct Entry<'a> {
    journal: &'a mut Journal,
    record: EventRecord,
    message: String,
}

impl Entry<'_> {
    pub(crate) fn numbers(mut self, a: u64, b: u64) -> Self {
        (self.record.a, self.record.b) = (a, b);
        self
    }

    pub(crate) fn uid(mut self, uid: u32) -> Self {
        self.record.uid = uid;
        self
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.record.set_text(text);
        self.message = text.to_owned();
        self
    }

    pub(crate) fn publish(self) {
        self.journal.publish(&self.record);
        log(&self.record, &self.message);
    }
}

fn of_setpoint(mut record: EventRecord, setpoint: u8) -> (EventRecord, String) {
    record.a = setpoint.into();
    (record, format!("setpoint {setpoint}"))
}

fn command_kind(command: Command) -> EventKind {
    match command {
        Command::Arm => EventKind::Armed,
        Command::Disarm => EventKind::Disarmed,
        _ => EventKind::Command,
    }
}

fn command_name(command: Command) -> &'static str {
    match command {
        Command::Arm => "arm",
        Command::Disarm => "disarm",
        Command::Release => "release",
        Command::Reset => "reset",
        Command::Hold => "hold",
        Command::Lease(true) => "lease",
        Command::Lease(false) => "loss of the lease",
        Command::HandBack { .. } => "hand back",
        Command::PolicyConfirmed(_) => "policy confirmed",
    }
}

/// What an operator has to look at is a warning, the rest is information; skipped slots come in crowds and are for
/// those who ask.
fn log(record: &EventRecord, message: &str) {
    let (cycle, event) = (record.cycle, record.kind().map_or("unknown", EventKind::name));
    let to_degraded = record.kind() == Some(EventKind::ModeChange)
        && u8::try_from(record.b)
            .ok()
            .and_then(Mode::from_number)
            .is_some_and(|to| matches!(to, Mode::Hold | Mode::Fallback | Mode::Release));
    match record.kind() {
        Some(EventKind::SlotsSkipped) => tracing::debug!(cycle, event, "{message}"),
        Some(
            EventKind::Trip
            | EventKind::Fault
            | EventKind::Degraded
            | EventKind::ConnectionDown
            | EventKind::SetpointRejected
            | EventKind::OperatorTook
            | EventKind::ReadBackMismatch
            | EventKind::PolicyRefused
            | EventKind::PolicyFailedTrial
            | EventKind::PolicyRolledBack
            | EventKind::LearnerLost
            | EventKind::LearnerStalled
            | EventKind::Lost
            | EventKind::AccessRefused,
        ) => tracing::warn!(cycle, event, "{message}"),
        _ if to_degraded => tracing::warn!(cycle, event, "{message}"),
        _ => tracing::info!(cycle, event, "{message}"),
    }
}

//! Events of the control thread as they lie in shared memory: one function for the runtime and for whoever reads recordings.

use rt_core::mode::{Effect, Mode};
use rt_core::ports::Command;
use rt_core::record::{Event, EventKind as Core};
use shm_layout::{EventKind, EventRecord};

/// How much an event matters to whoever watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// For those who ask: such events come in crowds.
    Detail,
    /// What happens in good order.
    Note,
    /// What an operator has to look at.
    Warning,
}

impl Concern {
    /// How much this one matters.
    pub fn of(record: &EventRecord) -> Self {
        use EventKind as Kind;
        let Some(kind) = record.kind() else { return Self::Note };
        match kind {
            Kind::SlotsSkipped => Self::Detail,
            Kind::Trip | Kind::Fault | Kind::Degraded | Kind::ConnectionDown | Kind::SetpointRejected => Self::Warning,
            Kind::OperatorTook | Kind::ReadBackMismatch | Kind::Lost | Kind::AccessRefused => Self::Warning,
            Kind::PolicyRefused | Kind::PolicyFailedTrial | Kind::PolicyRolledBack => Self::Warning,
            Kind::LearnerLost | Kind::LearnerStalled | Kind::AuditLog => Self::Warning,
            Kind::Alarm if record.b == 1 => Self::Warning,
            Kind::Subscription if record.b == 0 => Self::Warning,
            Kind::ModeChange if is_degraded(record.b) => Self::Warning,
            _ => Self::Note,
        }
    }
}

fn is_degraded(mode: u64) -> bool {
    let mode = u8::try_from(mode).ok().and_then(Mode::from_number);
    matches!(mode, Some(Mode::Hold | Mode::Fallback | Mode::Release))
}

/// The record of an event of the control thread, and its text in full: the record holds as much of it as fits. Setpoints are
/// called by these names, in the site's order, and by their numbers where there is none.
pub fn event_record(event: &Event, setpoints: &[String]) -> (EventRecord, String) {
    let entry = |kind| EventRecord::new(kind, event.cycle, event.at.as_ns());
    let (mut record, message) = match event.kind {
        Core::ModeChanged { from, to, cause } => {
            let mut record = entry(EventKind::ModeChange);
            (record.a, record.b, record.cause) = (from as u64, to as u64, cause as u32);
            (record, format!("{} -> {}: {}", from.name(), to.name(), cause.name()))
        }
        Core::Command { command, effect } => {
            (entry(command_kind(command)), format!("{}: {}", command_name(command), effect_name(effect)))
        }
        Core::PolicyAdopted { generation } => {
            let mut record = entry(EventKind::PolicyAdopted);
            record.a = generation;
            (record, format!("generation {generation}"))
        }
        Core::Latched { cause } => {
            let mut record = entry(EventKind::Trip);
            record.cause = cause as u32;
            (record, cause.name().to_owned())
        }
        Core::LatchCleared { cause } => {
            let mut record = entry(EventKind::TripReset);
            record.cause = cause as u32;
            (record, cause.name().to_owned())
        }
        Core::Link { up: true } => (entry(EventKind::ConnectionUp), String::new()),
        Core::Link { up: false } => (entry(EventKind::ConnectionDown), String::new()),
        Core::Kind { setpoint, kind } => {
            (entry(EventKind::SetpointKind), format!("{}: {kind:?}", name_of(setpoint, setpoints)))
        }
        Core::WriteRefused { setpoints: bits } => {
            let mut record = entry(EventKind::SetpointRejected);
            record.a = u64::from(bits);
            (record, format!("refused: {}", names_of(bits, setpoints)))
        }
        Core::SetpointTaken { setpoint } => of_setpoint(entry(EventKind::OperatorTook), setpoint, setpoints),
        Core::SetpointReturned { setpoint } => of_setpoint(entry(EventKind::OperatorReturned), setpoint, setpoints),
        Core::ReadBackMismatch { setpoint } => of_setpoint(entry(EventKind::ReadBackMismatch), setpoint, setpoints),
        Core::Changed { number } => {
            let mut record = entry(EventKind::Configured);
            record.a = number;
            (record, format!("change {number}"))
        }
        Core::ChangesUnfit { number } => {
            (entry(EventKind::Fault), format!("change {number} is for other setpoints or tags"))
        }
        Core::SlotsSkipped { count } => {
            let mut record = entry(EventKind::SlotsSkipped);
            record.a = count;
            (record, format!("{count} slots"))
        }
        Core::Alarm { alarm, raised } => {
            let mut record = entry(EventKind::Alarm);
            (record.a, record.b) = (alarm.into(), raised.into());
            (record, format!("alarm {alarm} {}", if raised { "raised" } else { "cleared" }))
        }
        Core::Fault { fault } => (entry(EventKind::Fault), format!("{fault:?}")),
    };
    record.set_text(&message);
    (record, message)
}

fn of_setpoint(mut record: EventRecord, setpoint: u8, setpoints: &[String]) -> (EventRecord, String) {
    record.a = setpoint.into();
    (record, name_of(setpoint, setpoints))
}

fn name_of(setpoint: u8, setpoints: &[String]) -> String {
    setpoints.get(usize::from(setpoint)).cloned().unwrap_or_else(|| format!("setpoint {setpoint}"))
}

/// The setpoints of these bits.
fn names_of(bits: u32, setpoints: &[String]) -> String {
    let places = (0_u8..).take(u32::BITS as usize).filter(|place| bits >> place & 1 == 1);
    places.map(|place| name_of(place, setpoints)).collect::<Vec<_>>().join(", ")
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

/// Whether a command of an operator changed anything, in a word for people.
fn effect_name(effect: Effect) -> &'static str {
    match effect {
        Effect::Taken => "taken",
        Effect::Ignored => "ignored",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_core::time::MonoTime;

    #[test]
    fn setpoints_are_called_by_their_names() {
        let names = ["FEED_SP", "ACID_SP"].map(str::to_owned);
        let said = |kind, names: &[String]| event_record(&Event { cycle: 1, at: MonoTime::ZERO, kind }, names).1;
        assert_eq!(said(Core::WriteRefused { setpoints: 0b1 }, &names), "refused: FEED_SP");
        assert_eq!(said(Core::WriteRefused { setpoints: 0b111 }, &names), "refused: FEED_SP, ACID_SP, setpoint 2");
        assert_eq!(said(Core::SetpointTaken { setpoint: 1 }, &names), "ACID_SP");
        assert_eq!(said(Core::ReadBackMismatch { setpoint: 1 }, &[]), "setpoint 1");
    }
}

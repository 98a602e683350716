//! How a connection is served: its periods and deadlines, and what is written beside the setpoints.

use rt_core::alarm::{AlarmSettings, Trouble, Troubles};
use rt_core::time::{Period, Span};

use super::connections::node;
use super::runtime::{LEASE_TERM_MAX, LEASE_TERM_USUAL};
use super::{Context, given_or, multiple, positive, written};
use crate::complaint::Complaints;
use crate::form::Field;
use crate::raw::{AlarmTag as RawAlarm, InteractionHeartbeat, Io, Pairing, TroubleName};
use crate::site::{Alarm, Heartbeat, LeaseTag};

/// I/O periods in the term of a lease's tag, at least: a runtime looks at it so often before it does anything about it.
const LEASE_LOOKS_MIN: u64 = 32;
/// The shortest default deadline of a call.
const CALL_TIMEOUT_MIN: Span = Span::from_ms(100);

/// How a connection is served.
pub(super) struct Service {
    pub(super) period: Option<Span>,
    pub(super) phase: Option<Span>,
    pub(super) call_timeout: Option<Span>,
    pub(super) spin: Option<Span>,
    pub(super) paired: bool,
    pub(super) heartbeat: Option<Option<Heartbeat>>,
    pub(super) lease: Option<Option<LeaseTag>>,
    pub(super) alarms: Option<Vec<Alarm>>,
}

impl Service {
    pub(super) fn of(
        io: Option<&Io>,
        ingress: Option<&Field<Span>>,
        general: Option<&InteractionHeartbeat>,
        context: &Context<'_>,
        complaints: &mut Complaints<'_>,
    ) -> Self {
        let control = context.period.map(Period::span);
        let chosen = io.map(|io| &io.period).filter(|period| period.given).or(ingress.filter(|period| period.given));
        let period = match chosen {
            Some(field) => multiple(field, "the I/O period", control, "runtime.period", complaints),
            None => control,
        };
        let half = control.map(|span| Span::from_ns(span.as_ns() / 2));
        let phase = io.map_or(half, |io| given_or(&io.phase, half));
        if let (Some(phase), Some(period), Some(io)) = (phase, period, io)
            && phase >= period
        {
            complaints.error(io.phase.at, "the phase is not below the I/O period", "write a shorter one");
        }
        let usual = period.map(|period| period.times(2).max(CALL_TIMEOUT_MIN));
        let call_timeout = match io.map(|io| &io.call_timeout).filter(|timeout| timeout.given) {
            Some(field) => positive(field, complaints),
            None => usual,
        };
        let paired = io.is_some_and(|io| io.pairing.value == Some(Pairing::Paired));
        let spin = spin(io, period, complaints);
        let (heartbeat, lease) = (heartbeat(io, general, complaints), lease(io, period, complaints));
        let others = [
            heartbeat.iter().flatten().map(|beat| &beat.node).next(),
            lease.iter().flatten().map(|lease| &lease.node).next(),
        ];
        let alarms = alarms(io, &others, complaints);
        Self { period, phase, call_timeout, paired, spin, heartbeat, lease, alarms }
    }
}

fn spin(io: Option<&Io>, period: Option<Span>, complaints: &mut Complaints<'_>) -> Option<Span> {
    let Some(field) = io.map(|io| &io.spin).filter(|spin| spin.given) else { return Some(Span::ZERO) };
    let spin = field.value?;
    if spin.times(4) > period? {
        let help = "write a shorter one: whoever shares the CPU needs it, too";
        complaints.error(field.at, "the I/O thread would look for longer than a quarter of its period", help);
        return None;
    }
    Some(spin)
}

/// The outer `None` means that it was complained of.
fn lease(io: Option<&Io>, period: Option<Span>, complaints: &mut Complaints<'_>) -> Option<Option<LeaseTag>> {
    let Some(field) = io.map(|io| &io.lease).filter(|lease| lease.given) else { return Some(None) };
    let lease = field.value.as_ref()?;
    let node = node(&lease.node, complaints);
    let shortest = period.map(|period| period.times(LEASE_LOOKS_MIN));
    let term = given_or(&lease.term, shortest.map(|shortest| shortest.max(LEASE_TERM_USUAL)));
    if let (Some(term), Some(shortest)) = (term, shortest)
        && !(shortest..=LEASE_TERM_MAX).contains(&term)
    {
        let message = format!("a term of {} is not one in which a runtime sees the others", written(term));
        let (from, to) = (written(shortest), written(LEASE_TERM_MAX));
        complaints.error(
            lease.term.at,
            message,
            format!("write {from} to {to}: at least {LEASE_LOOKS_MIN} I/O periods"),
        );
        return None;
    }
    Some(Some(LeaseTag { node: node?, term: term? }))
}

/// The outer `None` means that it was complained of.
fn heartbeat(
    io: Option<&Io>,
    general: Option<&InteractionHeartbeat>,
    complaints: &mut Complaints<'_>,
) -> Option<Option<Heartbeat>> {
    let own = io.map(|io| &io.heartbeat).filter(|beat| beat.given);
    let (node, period) = match (own, general) {
        (Some(own), Some(_)) => {
            let help = "keep `runtime.io.CONNECTION.heartbeat` or `interaction.heartbeat`";
            complaints.error(own.at, "the plant heartbeat of this connection is given twice", help);
            return None;
        }
        (Some(own), None) => own.value.as_ref().map(|own| (&own.node, &own.period))?,
        (None, Some(general)) => (&general.node, &general.period),
        (None, None) => return Some(None),
    };
    let node = self::node(node, complaints);
    let period = positive(period, complaints);
    Some(Some(Heartbeat { node: node?, period: period? }))
}

/// `None` when one was complained of.
fn alarms(io: Option<&Io>, others: &[Option<&String>], complaints: &mut Complaints<'_>) -> Option<Vec<Alarm>> {
    let Some(field) = io.map(|io| &io.alarms).filter(|alarms| alarms.given) else { return Some(Vec::new()) };
    let mut seen: Vec<String> = others.iter().copied().flatten().cloned().collect();
    let alarms = field.value.as_ref()?.iter().map(|raw| alarm(&raw.value, &mut seen, complaints));
    alarms.collect::<Vec<_>>().into_iter().collect()
}

fn alarm(raw: &RawAlarm, seen: &mut Vec<String>, complaints: &mut Complaints<'_>) -> Option<Alarm> {
    let node = node(&raw.node, complaints)?;
    if seen.contains(&node) {
        let message = "the heartbeat, the lease or another alarm is written to the same node";
        complaints.error(raw.node.at, message, "give each a node of its own");
        return None;
    }
    seen.push(node.clone());
    let troubles = raw.when.value.as_ref()?;
    if troubles.is_empty() {
        complaints.error(
            raw.when.at,
            "this alarm would never be raised",
            "write one or more words, for example [fallback]",
        );
        return None;
    }
    let when = troubles.iter().fold(Troubles::NONE, |all, word| all.with_if(true, trouble(word.value)));
    Some(Alarm {
        node,
        settings: AlarmSettings { when, on_delay: raw.on_delay.value?, off_delay: raw.off_delay.value? },
    })
}

fn trouble(word: TroubleName) -> Trouble {
    match word {
        TroubleName::NotInCharge => Trouble::NotInCharge,
        TroubleName::Hold => Trouble::Hold,
        TroubleName::Fallback => Trouble::Fallback,
        TroubleName::Release => Trouble::Release,
        TroubleName::Tripped => Trouble::Tripped,
        TroubleName::InputBad => Trouble::InputBad,
        TroubleName::PolicyExpired => Trouble::PolicyExpired,
        TroubleName::Operator => Trouble::Operator,
        TroubleName::SlotsSkipped => Trouble::SlotsSkipped,
        TroubleName::WriteRefused => Trouble::WriteRefused,
    }
}

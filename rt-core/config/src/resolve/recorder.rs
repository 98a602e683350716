//! The flight recorder.

use rt_core::time::Span;

use super::runtime::unless_off;
use super::{Context, given_or, positive};
use crate::complaint::Complaints;
use crate::duration::written;
use crate::raw::Runtime as RawRuntime;
use crate::raw_recorder::{Flight as RawFlight, FlightTriggerName};
use crate::site::{Flight, FlightTrigger};

/// A file begins so long before its incident, where the cycle records reach back so far.
const BEFORE_USUAL: Span = Span::from_ms(30_000);
/// A longer one behind the incident is a typing error.
const AFTER_MAX: Span = Span::from_ms(3_600_000);

/// The outer `None` means that it was complained of.
pub(super) fn resolve(
    raw: &RawRuntime,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Option<Flight>> {
    let recorder = raw.recorder.value.as_ref()?;
    let reach = raw.record_span.value;
    let flight = recorder.flight.value.as_ref();
    flight.and_then(|choice| unless_off(choice, |raw| flight_of(raw, reach, context, complaints)))
}

fn flight_of(
    raw: &RawFlight,
    reach: Option<Span>,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Flight> {
    let before = given_or(&raw.before, reach.map(|reach| reach.min(BEFORE_USUAL)))?;
    if let Some(reach) = reach.filter(|reach| before > *reach) {
        let message = format!("cycle records of {} reach less far back than {}", written(reach), written(before));
        complaints.error(raw.before.at, message, "write a shorter one, or a longer `runtime.record_span`");
    }
    let after = positive(&raw.after, complaints)?;
    if after > AFTER_MAX {
        let help = format!("write at most {}; `corerl record` goes on for ever", written(AFTER_MAX));
        complaints.error(raw.after.at, "this is no incident any more", help);
    }
    let on = raw.on.value.as_ref()?.iter().map(|name| trigger(name.value)).collect();
    Some(Flight {
        dir: raw.dir.value.as_ref().map(|path| context.path(path)),
        on,
        before,
        after,
        pause: raw.pause.value?,
        budget_bytes: raw.budget_mib.value?.0 << 20,
    })
}

const fn trigger(name: FlightTriggerName) -> FlightTrigger {
    match name {
        FlightTriggerName::Trip => FlightTrigger::Trip,
        FlightTriggerName::LostSlot => FlightTrigger::LostSlot,
        FlightTriggerName::Fault => FlightTrigger::Fault,
    }
}

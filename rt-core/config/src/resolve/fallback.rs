//! Fallbacks: what a setpoint does when the policy is not trusted.

use nalgebra::{SMatrix, SVector};
use rt_core::fallback::{FallbackError, FallbackLaw, INPUTS_MAX, PidError, STATES_MAX, StateSpace, StateSpaceError};
use rt_core::setpoint::Rate;
use rt_core::tag::TagId;

use super::setpoints::inside;
use super::tags::Tags;
use super::{Context, given_or_none, multiple, positive};
use crate::complaint::{Complaints, Place};
use crate::form::{At, Field};
use crate::form_special::FallbackChoice;
use crate::raw::{ControllerInput, Pid, Ramp, StateSpaceController};
use crate::site::Range;

type Rows = Vec<At<Vec<At<f64>>>>;

/// What is known of the setpoint.
pub(super) struct Given<'r> {
    pub(super) choice: Option<&'r FallbackChoice>,
    pub(super) nominal: Option<f64>,
    pub(super) range: Option<Range>,
    pub(super) rate: Option<Rate>,
}

pub(super) fn resolve(
    given: &Given<'_>,
    tags: &Tags<'_>,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<FallbackLaw> {
    match given.choice {
        None | Some(FallbackChoice::Hold) => Some(FallbackLaw::Hold),
        Some(FallbackChoice::Nominal) => given.nominal.map(FallbackLaw::Nominal),
        Some(FallbackChoice::Ramp(raw)) => ramp(&raw.value, given, complaints),
        Some(FallbackChoice::Pid(raw)) => pid(&raw.value, tags, complaints),
        Some(FallbackChoice::StateSpace(raw)) => state_space(raw, tags, context, complaints),
    }
}

fn ramp(raw: &Ramp, given: &Given<'_>, complaints: &mut Complaints<'_>) -> Option<FallbackLaw> {
    let (target, per_second) = (raw.to.value, raw.rate.value);
    if let (Some(target), Some(range)) = (target, given.range)
        && !inside(target, range)
    {
        let message = format!("the ramp ends at {target}, outside the limits [{}, {}]", range.lo, range.hi);
        complaints.error(raw.to.at, message, "write a value inside the limits");
    }
    if per_second.is_some_and(|per_second| per_second <= 0.0) {
        complaints.error(raw.rate.at, "a ramp needs a rate above 0", "write engineering units per second");
        return None;
    }
    if let (Some(per_second), Some(Rate::PerSecond(limit))) = (per_second, given.rate)
        && per_second > limit
    {
        let message = format!("the ramp's {per_second} per second is more than the rate limit permits ({limit})");
        complaints.notice(raw.rate.at, message, "the limit holds");
    }
    Some(FallbackLaw::Ramp { target: target?, per_second: per_second? })
}

fn pid(raw: &Pid, tags: &Tags<'_>, complaints: &mut Complaints<'_>) -> Option<FallbackLaw> {
    let input = tags.measured(&raw.input, "a fallback", complaints);
    let target = raw.target.value.as_ref().and_then(|target| tags.program_on_image(target, complaints));
    let law = FallbackLaw::Pid(rt_core::fallback::Pid {
        input: input?,
        target: target?,
        gain: raw.gain.value?,
        integral_time: given_or_none(&raw.integral_time)?,
        derivative_time: raw.derivative_time.value?,
    });
    let Err(error) = law.validate() else { return Some(law) };
    let (at, help) = match error {
        FallbackError::Pid(PidError::IntegralTime) => {
            (raw.integral_time.at, "write a longer one, or leave it out for no integral part")
        }
        _ => (raw.gain.at, "write a number above or below 0"),
    };
    complaints.error(at, error.to_string(), help);
    None
}

fn state_space(
    at: &At<StateSpaceController>,
    tags: &Tags<'_>,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<FallbackLaw> {
    let raw = &at.value;
    let period = context.period.map(rt_core::time::Period::span);
    let period = positive(&raw.period, complaints)
        .and_then(|_| multiple(&raw.period, "period", period, "runtime.period", complaints));
    let inputs = inputs(&raw.inputs, tags, complaints);
    let states = raw.a.value.as_ref().map(Vec::len);
    if let Some(states) = states.filter(|states| !(1..=STATES_MAX).contains(states)) {
        let message = format!("{states} states; 1 to {STATES_MAX} are possible");
        complaints.error(raw.a.at, message, "write a row of A for each state");
        return None;
    }
    let (states, inputs) = (states?, inputs?);
    let given = inputs.iter().flatten().count();
    let a = matrix(&raw.a, states, states, "A", complaints);
    let b = matrix(&raw.b, states, given, "B", complaints);
    let c = vector(&raw.c, states, "C", complaints);
    let d = if raw.d.given { vector(&raw.d, given, "D", complaints) } else { Some(SVector::zeros()) };
    let tracking = vector(&raw.tracking, states, "tracking", complaints);
    let law = FallbackLaw::StateSpace(StateSpace {
        period: period?,
        inputs,
        a: a?,
        b: b?,
        c: c?,
        d: d?,
        tracking: tracking?,
        offset: raw.offset.value?,
    });
    let Err(error) = law.validate() else { return Some(law) };
    let (at, help) = match error {
        FallbackError::StateSpace(StateSpaceError::Tracking) => {
            (raw.tracking.at, "choose `tracking` so that every eigenvalue of A - L C lies inside the unit circle")
        }
        _ => (at.at, "correct the controller"),
    };
    complaints.error(at, error.to_string(), help);
    None
}

fn inputs(
    field: &Field<Vec<At<ControllerInput>>>,
    tags: &Tags<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<[Option<(TagId, f64)>; INPUTS_MAX]> {
    let raw = field.value.as_ref()?;
    if !(1..=INPUTS_MAX).contains(&raw.len()) {
        let message = format!("{} inputs; 1 to {INPUTS_MAX} are possible", raw.len());
        complaints.error(field.at, message, "write `[{tag: NAME, target: VALUE}]`");
        return None;
    }
    let mut inputs = [None; INPUTS_MAX];
    let mut complete = true;
    for (place, input) in inputs.iter_mut().zip(raw) {
        let tag = tags.measured(&input.value.tag, "a fallback", complaints);
        *place = tag.zip(input.value.target.value);
        complete &= place.is_some();
    }
    complete.then_some(inputs)
}

fn matrix<const R: usize, const C: usize>(
    field: &Field<Rows>,
    rows: usize,
    columns: usize,
    name: &str,
    complaints: &mut Complaints<'_>,
) -> Option<SMatrix<f64, R, C>> {
    let raw = field.value.as_ref()?;
    let mut fits = complain_of_length(raw.len(), rows, "rows", name, field.at, complaints);
    for row in raw {
        fits &= complain_of_length(row.value.len(), columns, "columns", name, row.at, complaints);
    }
    let number = |row, column| raw.get(row).and_then(|row: &At<Vec<At<f64>>>| row.value.get(column));
    fits.then(|| SMatrix::from_fn(|row, column| number(row, column).map_or(0.0, |number| number.value)))
}

fn vector<const N: usize>(
    field: &Field<Vec<At<f64>>>,
    length: usize,
    name: &str,
    complaints: &mut Complaints<'_>,
) -> Option<SVector<f64, N>> {
    let raw = field.value.as_ref()?;
    complain_of_length(raw.len(), length, "numbers", name, field.at, complaints)
        .then(|| SVector::from_fn(|index, _| raw.get(index).map_or(0.0, |number| number.value)))
}

/// Whether there are as many as there should be.
fn complain_of_length(
    found: usize,
    expected: usize,
    what: &str,
    name: &str,
    at: Place,
    complaints: &mut Complaints<'_>,
) -> bool {
    if found != expected {
        let help = format!("write {expected}: one per state or input");
        complaints.error(at, format!("{name} has {found} {what}, expected {expected}"), help);
    }
    found == expected
}

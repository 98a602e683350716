//! The pipeline's optional stages: filters, triggers, the decision clock, guardrails.

use rt_core::expression::Program;
use rt_core::time::Span;

use super::setpoints::inside;
use super::{Context, Interaction, number, positive};
use crate::complaint::{Complaints, Place};
use crate::duration::written;
use crate::form::Field;
use crate::form_special::OneOrMore;
use crate::raw::TagType;
use crate::raw_stages::{
    ClockName, EventName, Filter as RawFilter, FilterName, GuardrailSchedule, Trigger as RawTrigger,
};
use crate::site::{DecisionClock, Filter, Guardrail, Range, Trigger};
use crate::value::Formula;

/// The most columns of a decision clock.
const CLOCK_COLUMNS_MAX: u64 = 64;
/// The smallest deviation that a moving average knows, unless the file says it, as a share of the tag's range.
const DEVIATION_MIN_SHARE: f64 = 0.01;

/// Makes a program of a condition, or complains.
pub(super) type Compile<'c> = &'c mut dyn FnMut(&Formula, &mut Complaints<'_>) -> Option<Program>;

/// `None` when one was complained of.
pub(super) fn filters(
    field: &Field<OneOrMore<RawFilter>>,
    r#type: TagType,
    range: Option<Option<Range>>,
    compile: Compile<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Vec<Filter>> {
    if !field.given {
        return Some(Vec::new());
    }
    let raw: Vec<&RawFilter> = match field.value.as_ref()? {
        OneOrMore::One(filter) => vec![filter],
        OneOrMore::More(list) => list.iter().map(|filter| &filter.value).collect(),
    };
    // What a tag's filters remember is bounded: a recording has room for one of each kind.
    for (place, filter) in raw.iter().enumerate() {
        if raw.iter().take(place).any(|other| other.name.value.is_some() && other.name.value == filter.name.value) {
            let help = "keep one of each kind; join conditions with `or`";
            complaints.error(filter.name.at, "this kind of filter is there twice", help);
        }
    }
    let resolved: Vec<Option<Option<Filter>>> =
        raw.iter().map(|raw| filter(raw, r#type, range, compile, complaints)).collect();
    let resolved: Option<Vec<Option<Filter>>> = resolved.into_iter().collect();
    Some(resolved?.into_iter().flatten().collect())
}

/// The inner `None` is a filter that does nothing.
fn filter(
    raw: &RawFilter,
    r#type: TagType,
    range: Option<Option<Range>>,
    compile: Compile<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Option<Filter>> {
    let name = raw.name.value?;
    complain_of_others(raw, name, complaints);
    if r#type == TagType::AiSetpoint && matches!(name, FilterName::ExpMoving | FilterName::StuckDetector) {
        let message = "a setpoint stays and jumps as the agent wants it: that is nothing odd";
        complaints.error(raw.name.at, message, "remove this filter; conditional is possible");
        return None;
    }
    let count = |value: u64| u32::try_from(value).ok();
    Some(match name {
        FilterName::Identity => None,
        FilterName::ExpMoving => {
            let decay = number(&raw.alpha, |x| (0.0..1.0).contains(&x), "at least 0 and below 1", complaints);
            let tolerance = number(&raw.tolerance, |x| x > 0.0, "above 0", complaints);
            let deviation_min = deviation_min(raw, range, complaints);
            Some(Filter::MovingAverage {
                decay: decay?,
                tolerance: tolerance?,
                deviation_min: deviation_min?,
                warmup: count(raw.warmup.value?.0)?,
            })
        }
        FilterName::StuckDetector => {
            let within = number(&raw.eps, |x| x >= 0.0, "at least 0", complaints)?;
            Some(Filter::Stuck { within, observations: count(raw.step_tol.value?.0)? })
        }
        FilterName::Conditional => {
            if !raw.condition.given {
                let help = "write `condition: \"{TAG} < 1\"`: the value is missing while it holds";
                complaints.error(raw.at, "a conditional filter needs a `condition`", help);
            }
            let condition = compile(raw.condition.value.as_ref()?, complaints)?;
            Some(Filter::Conditional(Box::new(condition)))
        }
    })
}

/// `range` is `None` when it was complained of.
fn deviation_min(raw: &RawFilter, range: Option<Option<Range>>, complaints: &mut Complaints<'_>) -> Option<f64> {
    if raw.deviation_min.given {
        return number(&raw.deviation_min, |x| x > 0.0, "above 0", complaints);
    }
    let usual = range?.map(|range| (range.hi - range.lo) * DEVIATION_MIN_SHARE);
    if usual.is_none() {
        let help = "write `deviation_min:` in engineering units: a smaller deviation counts as this one";
        complaints.error(raw.at, "this tag has no range to take the smallest deviation from", help);
    }
    usual
}

/// Keys of other filters.
fn complain_of_others(raw: &RawFilter, name: FilterName, complaints: &mut Complaints<'_>) {
    let keys: [(bool, Place, &str, FilterName, &str); 7] = [
        (raw.alpha.given, raw.alpha.at, "alpha", FilterName::ExpMoving, "exp_moving"),
        (raw.tolerance.given, raw.tolerance.at, "tolerance", FilterName::ExpMoving, "exp_moving"),
        (raw.warmup.given, raw.warmup.at, "warmup", FilterName::ExpMoving, "exp_moving"),
        (raw.deviation_min.given, raw.deviation_min.at, "deviation_min", FilterName::ExpMoving, "exp_moving"),
        (raw.eps.given, raw.eps.at, "eps", FilterName::StuckDetector, "stuck_detector"),
        (raw.step_tol.given, raw.step_tol.at, "step_tol", FilterName::StuckDetector, "stuck_detector"),
        (raw.condition.given, raw.condition.at, "condition", FilterName::Conditional, "conditional"),
    ];
    for (given, at, key, of, word) in keys {
        if given && of != name {
            let message = format!("`{key}` belongs to the filter {word}");
            complaints.error(at, message, format!("write `name: {word}` or remove `{key}`"));
        }
    }
}

/// The outer `None` means that it was complained of.
pub(super) fn trigger(
    field: &Field<RawTrigger>,
    compile: Compile<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Option<Trigger>> {
    if !field.given {
        return Some(None);
    }
    let raw = field.value.as_ref()?;
    let events: Vec<EventName> = match raw.event.value.as_ref()? {
        OneOrMore::One(event) => vec![*event],
        OneOrMore::More(list) => list.iter().map(|event| event.value).collect(),
    };
    if !events.contains(&EventName::EmitAction) {
        let help = "write `event: step_emit_action`, or remove the trigger";
        complaints.error(raw.event.at, "a trigger makes a decision, which is not what this one asks for", help);
    }
    if events.contains(&EventName::PeriodReset) {
        let help = "the decisions of `interaction.action_period` come when they would have come without the trigger";
        complaints.notice(raw.event.at, "`action_period_reset` has no effect here", help);
    }
    let condition = compile(raw.condition.value.as_ref()?, complaints)?;
    Some(Some(Trigger { condition: Box::new(condition), min_distance: raw.min_distance.value? }))
}

/// A clock with a column per observation has few of them.
pub(super) fn decision_clock(
    field: &Field<ClockName>,
    interaction: Option<&Interaction>,
    complaints: &mut Complaints<'_>,
) -> Option<DecisionClock> {
    Some(match field.value? {
        ClockName::Off => DecisionClock::Off,
        ClockName::Countdown => DecisionClock::Countdown,
        ClockName::OneHot => {
            let observations = interaction.map_or(1, Interaction::observations_per_decision);
            if observations > CLOCK_COLUMNS_MAX {
                let message = format!("{observations} columns; {CLOCK_COLUMNS_MAX} are possible for a clock");
                complaints.error(field.at, message, "write countdown: it has one");
            }
            DecisionClock::OneHot
        }
    })
}

/// The outer `None` means that it was complained of.
pub(super) fn guardrail(
    field: &Field<GuardrailSchedule>,
    scale: Option<Range>,
    nominal: Option<f64>,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Option<Guardrail>> {
    if !field.given {
        return Some(None);
    }
    let raw = field.value.as_ref()?;
    let (start, duration) = (raw.starting_range.value, positive(&raw.duration, complaints));
    if let (Some(start), Some(scale)) = (start, scale)
        && !(inside(start.lo, scale) && inside(start.hi, scale))
    {
        let message = format!("the starting range is wider than the operating range [{}, {}]", scale.lo, scale.hi);
        complaints.error(raw.starting_range.at, message, "write a range inside: it widens to the operating range");
    }
    if let (Some(start), Some(nominal)) = (start, nominal)
        && !inside(nominal, start)
    {
        let message = format!("the nominal setpoint {nominal} is outside the starting range");
        complaints.error(raw.starting_range.at, message, "write a range around the nominal setpoint");
    }
    let observations = observations(duration?, context.obs_period?, raw.duration.at, complaints)?;
    Some(Some(Guardrail { start: start?, observations }))
}

/// How many observations a duration takes, begun ones included.
fn observations(duration: Span, period: Span, at: Place, complaints: &mut Complaints<'_>) -> Option<u32> {
    let count = u32::try_from(duration.as_ns().div_ceil(period.as_ns().max(1))).ok();
    if count.is_none() {
        let message = format!("{} are more than {} observations", written(duration), u32::MAX);
        complaints.error(at, message, "write a shorter duration");
    }
    count
}

//! Setpoints: the agent's half (scale, bounds, nominal value) and the plant's half (limits, rate, fallback, interlocks).

use rt_core::envelope::{self, INTERLOCKS_MAX, Interlock, InterlockAction, LimitsByMode};
use rt_core::expression::{Op, Program};
use rt_core::setpoint::{Rate, SetpointSettings};
use rt_core::tag::TagId;
use rt_core::time::Span;

use super::connections::{Connections, complain_of_unknown};
use super::fallback::{self, Given};
use super::tags::Tags;
use super::{Context, cascade, given_or, positive, stages};
use crate::complaint::{Complaints, quoted};
use crate::form::{At, Field};
use crate::form_special::{RateChoice, Then};
use crate::raw::{Limits, ModeLimits, Runtime, Tag as RawTag, TagType};
use crate::site::{Connection, Range, Setpoint};
use crate::value::{Formula, FormulaPair, Named};

pub(crate) fn resolve(
    tags: &Tags<'_>,
    connections: &Connections,
    runtime: &Runtime,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Vec<Setpoint>> {
    complain_of_strangers(tags, &runtime.limits, "limits", complaints);
    complain_of_strangers(tags, &runtime.fallback, "fallback", complaints);
    complain_of_shared_nodes(tags, connections, complaints);
    let refresh = positive(&runtime.refresh, complaints);
    let setpoints: Vec<Option<Setpoint>> = tags
        .raw
        .iter()
        .enumerate()
        .filter(|(_, tag)| tag.value.r#type.value == Some(TagType::AiSetpoint))
        .map(|(index, tag)| setpoint(index, tag, tags, runtime, context, refresh, complaints))
        .collect();
    setpoints.into_iter().collect()
}

fn is_setpoint(tags: &Tags<'_>, index: usize) -> bool {
    tags.raw.get(index).is_some_and(|tag| tag.value.r#type.value == Some(TagType::AiSetpoint))
}

/// Names in a mapping by setpoint that are no setpoint's.
fn complain_of_strangers<T>(tags: &Tags<'_>, field: &Field<Named<T>>, what: &str, complaints: &mut Complaints<'_>) {
    for (name, _) in field.value.iter().flat_map(|named| &named.0) {
        match tags.names.iter().position(|known| *known == name.value) {
            // A type that could not be read may have meant a setpoint.
            Some(index) if tags.raw.get(index).is_none_or(|tag| tag.value.r#type.value.is_none()) => {}
            Some(index) if is_setpoint(tags, index) => {}
            Some(_) => complaints.error(
                name.at,
                format!("{} is not a setpoint and has no {what}", quoted(&name.value)),
                "give the tag `type: ai_setpoint`, or remove this entry",
            ),
            None => {
                let setpoints: Vec<String> = tags
                    .names
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| is_setpoint(tags, *index))
                    .map(|(_, name)| name.clone())
                    .collect();
                complain_of_unknown(&name.value, name.at, "setpoint", &setpoints, complaints);
            }
        }
    }
}

/// A setpoint's node is written by nothing else.
fn complain_of_shared_nodes(tags: &Tags<'_>, connections: &Connections, complaints: &mut Complaints<'_>) {
    let mut seen = std::collections::BTreeMap::new();
    for (index, raw) in tags.raw.iter().enumerate().filter(|(index, _)| is_setpoint(tags, *index)) {
        let Some(source) = tags.get(index).and_then(|tag| tag.source.as_ref()) else { continue };
        if connections.get(source.connection).is_some_and(|connection| is_written_beside(connection, &source.node)) {
            let message = "the heartbeat, the lease or an alarm of the connection is written to the same node";
            complaints.error(raw.value.node_identifier.at, message, "give each a node of its own");
        }
        if let Some(line) = seen.insert((source.connection, source.node.clone()), raw.value.node_identifier.at.line) {
            complaints.error(
                raw.value.node_identifier.at,
                format!("two setpoints write the same node, the other one in line {line}"),
                "give each setpoint a node of its own",
            );
        }
    }
}

/// Whether something that is no setpoint is written to this node.
fn is_written_beside(connection: &Connection, node: &str) -> bool {
    let heartbeat = connection.heartbeat.iter().map(|heartbeat| &heartbeat.node);
    let lease = connection.lease.iter().map(|lease| &lease.node);
    heartbeat.chain(lease).chain(connection.alarms.iter().map(|alarm| &alarm.node)).any(|written| written == node)
}

fn setpoint(
    index: usize,
    at: &At<RawTag>,
    tags: &Tags<'_>,
    runtime: &Runtime,
    context: &Context<'_>,
    refresh: Option<Span>,
    complaints: &mut Complaints<'_>,
) -> Option<Setpoint> {
    let raw = &at.value;
    let name = raw.name.value.as_ref()?;
    if !raw.operating_range.given {
        let help = "write `operating_range: [lo, hi]`: the action is scaled by it";
        complaints.error(at.at, format!("the setpoint {} has no operating range", quoted(name)), help);
    }
    let scale = raw.operating_range.value;
    let nominal = scale.and_then(|scale| nominal(&raw.nominal_setpoint, scale, complaints));
    let action_bounds = action_bounds(raw, scale, tags, complaints);
    let guardrail = stages::guardrail(&raw.guardrail_schedule, scale, nominal, context, complaints);
    let limits = find(&runtime.limits, name);
    if limits.is_none() && runtime.limits.value.is_some() {
        let help = "write `rate:` in engineering units per second, or `rate: unlimited`, under `runtime.limits`";
        complaints.error(at.at, format!("the setpoint {} has no entry in `runtime.limits`", quoted(name)), help);
    }
    let (limits_at, limits) = limits?;
    let range = limits_range(limits, scale, complaints);
    let rate = limits.rate.value.map(rate);
    if let (Some(nominal), Some(range)) = (nominal, range)
        && !inside(nominal, range)
    {
        let at = if raw.nominal_setpoint.given { raw.nominal_setpoint.at } else { limits_at.at };
        let message = format!("the nominal setpoint {nominal} is outside the limits [{}, {}]", range.lo, range.hi);
        complaints.error(at, message, "write a `nominal_setpoint` inside the limits");
    }
    let given = Given { choice: find(&runtime.fallback, name).map(|(_, choice)| choice), nominal, range, rate };
    let fallback = fallback::resolve(&given, tags, context, complaints);
    let by_mode = by_mode(limits, range.zip(rate), complaints);
    if let (Some(scale), Some(by_mode)) = (scale, &by_mode) {
        tell_of_bounds_beyond_limits(raw, scale, by_mode.run, tags, complaints);
    }
    let operator_when = operator_when(limits, tags, complaints);
    let interlocks = interlocks(limits, range, tags, complaints);
    let cascade = cascade::resolve(index, raw, tags, complaints);
    let tag = TagId::new(index)?;
    let settings = SetpointSettings {
        tag,
        limits: by_mode?,
        fallback: fallback?,
        operator_when: operator_when?,
        cascade: cascade?,
        refresh: refresh?,
    };
    Some(Setpoint {
        tag,
        settings,
        interlocks: interlocks?,
        scale: scale?,
        action_bounds: action_bounds?,
        guardrail: guardrail?,
        nominal: nominal?,
    })
}

fn find<'r, T>(named: &'r Field<Named<T>>, name: &str) -> Option<&'r (At<String>, T)> {
    named.value.as_ref()?.0.iter().find(|(key, _)| key.value == name)
}

const fn rate(choice: RateChoice) -> Rate {
    match choice {
        RateChoice::PerSecond(per_second) => Rate::PerSecond(per_second),
        RateChoice::Unlimited => Rate::Unlimited,
    }
}

/// The limits in each mode that writes: those of all modes, or narrower ones.
fn by_mode(raw: &Limits, common: Option<(Range, Rate)>, complaints: &mut Complaints<'_>) -> Option<LimitsByMode> {
    let modes = raw.by_mode.value.as_ref()?;
    let run = in_mode(modes.run.value.as_ref()?, common, complaints);
    let hold = in_mode(modes.hold.value.as_ref()?, common, complaints);
    let fallback = in_mode(modes.fallback.value.as_ref()?, common, complaints);
    Some(LimitsByMode { run: run?, hold: hold?, fallback: fallback? })
}

fn in_mode(
    raw: &ModeLimits,
    common: Option<(Range, Rate)>,
    complaints: &mut Complaints<'_>,
) -> Option<envelope::Limits> {
    let (common_range, common_rate) = common?;
    let range = given_or(&raw.range, Some(common_range))?;
    let rate = if raw.rate.given { rate(raw.rate.value?) } else { common_rate };
    if !(inside(range.lo, common_range) && inside(range.hi, common_range)) {
        let Range { lo, hi } = common_range;
        let message = format!("these limits are wider than the setpoint's own [{lo}, {hi}]");
        complaints.error(raw.range.at, message, "write a range inside, or widen `range` of the setpoint");
    }
    let faster = match (rate, common_rate) {
        (_, Rate::Unlimited) => false,
        (Rate::Unlimited, Rate::PerSecond(_)) => true,
        (Rate::PerSecond(here), Rate::PerSecond(everywhere)) => here > everywhere,
    };
    if faster {
        complaints.error(raw.rate.at, "this rate is above the setpoint's own", "write a lower one");
    }
    Some(envelope::Limits { lo: range.lo, hi: range.hi, rate })
}

/// The outer `None` means that it was complained of.
fn operator_when(raw: &Limits, tags: &Tags<'_>, complaints: &mut Complaints<'_>) -> Option<Option<Program>> {
    if !raw.operator_when.given {
        return Some(None);
    }
    tags.program_on_image(raw.operator_when.value.as_ref()?, complaints).map(Some)
}

pub(super) fn inside(value: f64, range: Range) -> bool {
    (range.lo..=range.hi).contains(&value)
}

fn nominal(field: &Field<f64>, scale: Range, complaints: &mut Complaints<'_>) -> Option<f64> {
    if !field.given {
        return Some(scale.lo + (scale.hi - scale.lo) / 2.0);
    }
    let nominal = field.value?;
    if inside(nominal, scale) {
        return Some(nominal);
    }
    let message = format!("the nominal setpoint {nominal} is outside the operating range [{}, {}]", scale.lo, scale.hi);
    complaints.error(field.at, message, "write a value inside the operating range");
    None
}

/// The first that is given: action bounds, red bounds; else the operating range. The outer `None` means that it was
/// complained of.
fn action_bounds(
    raw: &RawTag,
    scale: Option<Range>,
    tags: &Tags<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Option<(Program, Program)>> {
    if raw.action_bounds.given {
        let FormulaPair(lo, hi) = raw.action_bounds.value.as_ref()?;
        let (lo_tree, hi_tree) = (tags.tree(lo, complaints), tags.tree(hi, complaints));
        let (lo_constant, hi_constant) = (lo_tree?.constant(), hi_tree?.constant());
        if let (Some(lo), Some(hi)) = (lo_constant, hi_constant)
            && lo >= hi
        {
            let message = format!("the action bounds are reversed: {lo} is not below {hi}");
            complaints.error(raw.action_bounds.at, message, "write the lower bound first");
            return None;
        }
        for (formula, constant) in [(lo, lo_constant), (hi, hi_constant)] {
            if let (Some(constant), Some(scale)) = (constant, scale)
                && !inside(constant, scale)
            {
                let message =
                    format!("the bound {constant} is outside the operating range [{}, {}]", scale.lo, scale.hi);
                complaints.notice(
                    formula.place(0, complaints),
                    message,
                    "the operating range holds where it is narrower",
                );
            }
        }
        let (lo, hi) = (tags.program(lo, complaints), tags.program(hi, complaints));
        return Some(Some((lo?, hi?)));
    }
    let constant = |value: f64| Program::new(&[Op::Const(value)]).ok();
    match (raw.red_bounds.given, raw.red_bounds.value) {
        (true, None) => None,
        (true, Some(red)) => Some(Some((constant(red.lo)?, constant(red.hi)?))),
        (false, _) => Some(None),
    }
}

/// The agent knows its own bounds alone. Where the limits are narrower, what it learns to do trips the runtime.
fn tell_of_bounds_beyond_limits(
    raw: &RawTag,
    scale: Range,
    run: envelope::Limits,
    tags: &Tags<'_>,
    complaints: &mut Complaints<'_>,
) {
    // A bound that moves with a tag may be anywhere; it is judged while it runs.
    let mut bound = |formula: &Formula| tags.tree(formula, complaints).and_then(|tree| tree.constant());
    let (at, lo, hi) = match (&raw.action_bounds.value, raw.red_bounds.value) {
        (Some(FormulaPair(lo, hi)), _) => (raw.action_bounds.at, bound(lo), bound(hi)),
        (None, Some(red)) => (raw.red_bounds.at, Some(red.lo), Some(red.hi)),
        (None, None) => (raw.operating_range.at, Some(scale.lo), Some(scale.hi)),
    };
    let below = lo.is_some_and(|lo| lo.max(scale.lo) < run.lo);
    let above = hi.is_some_and(|hi| hi.min(scale.hi) > run.hi);
    if below || above {
        let message = format!("the agent may choose what is beyond the limits [{}, {}]", run.lo, run.hi);
        let help =
            "write `action_bounds` inside the limits: too many such actions in a row (`runtime.clamp_limit`) trip";
        complaints.notice(at, message, help);
    }
}

fn limits_range(limits: &Limits, scale: Option<Range>, complaints: &mut Complaints<'_>) -> Option<Range> {
    if !limits.range.given {
        return scale;
    }
    let range = limits.range.value?;
    if let Some(scale) = scale
        && !(inside(range.lo, scale) && inside(range.hi, scale))
    {
        let message = format!("these limits are wider than the operating range [{}, {}]", scale.lo, scale.hi);
        complaints.notice(limits.range.at, message, "a read-back outside the operating range counts as missing");
    }
    Some(range)
}

fn interlocks(
    limits: &Limits,
    range: Option<Range>,
    tags: &Tags<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Vec<Interlock>> {
    let raw = limits.interlocks.value.as_ref()?;
    if let Some(excess) = raw.get(INTERLOCKS_MAX) {
        let message = format!("{} interlocks; {INTERLOCKS_MAX} are possible for one setpoint", raw.len());
        complaints.error(excess.at, message, "join conditions with `or`");
    }
    let interlocks: Vec<Option<Interlock>> = raw
        .iter()
        .map(|interlock| {
            let when = &interlock.value.when.value;
            let condition = when.as_ref().and_then(|when| tags.program_on_image(when, complaints));
            let action = match interlock.value.then.value? {
                Then::BlockIncrease => InterlockAction::BlockIncrease,
                Then::BlockDecrease => InterlockAction::BlockDecrease,
                Then::Release => InterlockAction::Release,
                Then::Force(value) => {
                    if range.is_some_and(|range| !inside(value, range)) {
                        let message = format!("the forced value {value} is outside the limits");
                        complaints.error(interlock.value.then.at, message, "write a value inside the limits");
                    }
                    InterlockAction::Force(value)
                }
            };
            Some(Interlock { condition: condition?, action })
        })
        .collect();
    interlocks.into_iter().collect()
}

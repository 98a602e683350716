//! The `runtime:` section, apart from what belongs to connections and setpoints.

use rt_core::pacing::{Spin, usual_phase};
use rt_core::time::{Period, Span};
use rt_core::trips::{ChatterSettings, OutOf};

use super::connections::Connections;
use super::{Context, given_or, number, positive};
use crate::complaint::Complaints;
use crate::duration::written;
use crate::form::Field;
use crate::form_special::OrOff;
use crate::raw::{
    Canary as RawCanary, Chatter, Cpus, Inference, Lease, Priorities, Probation as RawProbation, Rearm,
    Restarts as RawRestarts, Runtime as RawRuntime,
};
use crate::site::{Canary, Probation, Restarts, Runtime};
use crate::value::Whole;

/// The cycle records of so long are kept at least, or the reader is told.
const RECORD_SPAN_USUAL: Span = Span::from_ms(60_000);
/// A plant has shown what was written to it after this long, unless its connection is slower.
const SETTLE_USUAL: Span = Span::from_ms(1_000);
/// Whoever stands by takes over after this long, unless the control period is long.
pub(super) const LEASE_TERM_USUAL: Span = Span::from_ms(1_000);
/// A longer term is a typing error.
pub(super) const LEASE_TERM_MAX: Span = Span::from_ms(3_600_000);
/// Control periods in the usual and in the shortest term: late cycles must not lose the plant.
const LEASE_PERIODS_USUAL: u64 = 16;
const LEASE_PERIODS_MIN: u64 = 8;
/// The cycle records of so long are kept at most.
const RECORD_SPAN_MAX: Span = Span::from_ms(3_600_000);

pub(crate) fn resolve(
    raw: &RawRuntime,
    connections: &Connections,
    context: &Context<'_>,
    complaints: &mut Complaints<'_>,
) -> Option<Runtime> {
    let cpus = raw.cpus.value.as_ref().map(|cpus| self::cpus(cpus, complaints));
    let priorities = raw.priorities.value.as_ref().and_then(|priorities| self::priorities(priorities, complaints));
    let overrun_limit = raw.overruns.value.as_ref().and_then(|of| out_of(&of.m, &of.n, "late cycles", complaints));
    let inference = raw.inference.value.as_ref().and_then(|inference| self::inference(inference, context, complaints));
    let chatter = raw.chatter.value.as_ref().and_then(|choice| unless_off(choice, |raw| chatter(raw, complaints)));
    let canary = raw.canary.value.as_ref().and_then(|choice| unless_off(choice, |raw| canary(raw, complaints)));
    let probation =
        raw.probation.value.as_ref().and_then(|choice| unless_off(choice, |raw| probation(raw, complaints)));
    let restarts = raw.restarts.value.as_ref().and_then(|choice| unless_off(choice, |raw| restarts(raw, complaints)));
    let t_settle = t_settle(raw, connections, complaints);
    let setpoint_expiry = setpoint_expiry(raw, connections, complaints);
    let record_span = record_span(raw, complaints);
    let flight = super::recorder::resolve(raw, context, complaints);
    let phase = context.period.and_then(|period| phase(raw, period, complaints));
    let spin = context.period.and_then(|period| spin(raw, period, complaints));
    complain_of_unsigned(raw, context, complaints);
    let lease_term = raw
        .lease
        .value
        .as_ref()
        .and_then(|lease| context.period.and_then(|period| lease_term(lease, period, complaints)));
    let max_policy_age = raw.max_policy_age.value.map(|age| age.on().copied());
    if max_policy_age == Some(Some(Span::ZERO)) {
        complaints.error(raw.max_policy_age.at, "every policy would be too old", "write a longer duration, or off");
    }
    let ten_observations = context.observations(10);
    let t_hold = given_or(&raw.t_hold, ten_observations);
    let t_recover = given_or(&raw.t_recover, ten_observations);
    let count = |value: u64| u32::try_from(value).ok();
    let (control_cpu, io_cpu, learner_cpus) = cpus?;
    let (control_priority, io_priority, learner_nice) = priorities?;
    let (decide_within, late_limit) = inference?;
    Some(Runtime {
        period: context.period?,
        phase: phase?,
        spin: spin?,
        control_cpu,
        io_cpu,
        control_priority,
        io_priority,
        learner_cpus,
        learner_nice,
        strict: raw.strict.value?,
        t_hold: t_hold?,
        t_recover: t_recover?,
        t_release: raw.t_release.value?,
        t_settle: t_settle?,
        recoveries_per_hour: count(raw.recoveries_per_hour.value?.0)?,
        nan_limit: count(raw.nan_limit.value?.0)?,
        clamp_limit: count(raw.clamp_limit.value?.0)?,
        write_fail_limit: count(raw.write_fail_limit.value?.0)?,
        overrun_limit: overrun_limit?,
        decide_within,
        late_limit,
        chatter: chatter?,
        canary: canary?,
        probation: probation?,
        max_policy_age: max_policy_age?,
        setpoint_expiry: setpoint_expiry?,
        rearms: raw.rearm.value? == Rearm::AfterGates,
        restarts: restarts?,
        lease_term: lease_term?,
        operators: raw.operators.value.as_ref()?.iter().map(|operator| operator.value.clone()).collect(),
        record_span: record_span?,
        flight: flight?,
        state_dir: raw.state_dir.value.as_ref().map(|path| context.path(path)),
        policy_file: raw.policy_file.value.as_ref().map(|path| context.path(path)),
        policy_keys: raw.policy_keys.value.as_ref()?.iter().map(|key| key.value.0.clone()).collect(),
    })
}

/// Outside a laboratory somebody has to vouch for a policy file.
fn complain_of_unsigned(raw: &RawRuntime, context: &Context<'_>, complaints: &mut Complaints<'_>) {
    if raw.policy_file.given && !context.lab && raw.policy_keys.value.as_ref().is_some_and(Vec::is_empty) {
        let help = "write the public key of whoever signs policies into `runtime.policy_keys`; `corerl model keygen` makes one";
        complaints.error(raw.policy_file.at, "no key is trusted that could have signed the policy file", help);
    }
}

fn phase(raw: &RawRuntime, period: Period, complaints: &mut Complaints<'_>) -> Option<Span> {
    let phase = given_or(&raw.phase, Some(usual_phase(period)))?;
    if phase < period.span() {
        return Some(phase);
    }
    let message = format!("a phase of {} is not below the control period", written(phase));
    complaints.error(raw.phase.at, message, format!("write less than {}", written(period.span())));
    None
}

fn spin(raw: &RawRuntime, period: Period, complaints: &mut Complaints<'_>) -> Option<Spin> {
    let spin = raw.spin.value?;
    match spin {
        Spin::Margin(margin) if margin > Spin::longest(period) => {
            let message = format!("spinning for {} takes more than a quarter of the control period", written(margin));
            let help = format!("write at most {}, or auto", written(Spin::longest(period)));
            complaints.error(raw.spin.at, message, help);
            None
        }
        Spin::Margin(Span::ZERO) => Some(Spin::Off),
        spin => Some(spin),
    }
}

/// The CPUs of control, io and learner.
fn cpus(raw: &Cpus, complaints: &mut Complaints<'_>) -> (Option<usize>, Option<usize>, Option<Vec<usize>>) {
    let index = |value: Option<u64>| value.and_then(|value| usize::try_from(value).ok());
    let control = index(raw.control.value.map(|cpu| cpu.0));
    let io = index(raw.io.value.map(|cpu| cpu.0));
    if control.is_some() && control == io {
        let help = "give the control thread a CPU of its own where there are two";
        complaints.notice(raw.io.at, "control and io share a CPU", help);
    }
    let learner = raw.learner.value.as_ref().map(|cpus| cpus.iter().filter_map(|cpu| index(Some(cpu.value.0))));
    let learner: Option<Vec<usize>> = learner.map(Iterator::collect);
    if learner.as_ref().is_some_and(Vec::is_empty) {
        complaints.error(raw.learner.at, "the learner needs a CPU", "name one, or leave the key out");
    }
    if learner.iter().flatten().any(|cpu| Some(*cpu) == control) {
        let help = "leave it the control thread's alone where there are two";
        complaints.notice(raw.learner.at, "control and learner share a CPU", help);
    }
    (control, io, learner)
}

fn priorities(raw: &Priorities, complaints: &mut Complaints<'_>) -> Option<(u8, u8, u8)> {
    let (control, io) = (raw.control.value?.0, raw.io.value?.0);
    if io >= control {
        let message = format!("the io threads' priority {io} is not below the control thread's ({control})");
        let at = if raw.io.given { raw.io.at } else { raw.control.at };
        complaints.error(at, message, "give control the higher number");
        return None;
    }
    let small = |value: u64| u8::try_from(value).ok();
    Some((small(control)?, small(io)?, small(raw.learner_nice.value?.0)?))
}

/// `m` of `n` of something.
fn out_of<const MAX: u64>(
    m: &Field<Whole<1, MAX>>,
    n: &Field<Whole<1, MAX>>,
    what: &str,
    complaints: &mut Complaints<'_>,
) -> Option<OutOf> {
    let limit = OutOf { m: u8::try_from(m.value?.0).ok()?, n: u8::try_from(n.value?.0).ok()? };
    if limit.m > limit.n {
        let at = if m.given { m.at } else { n.at };
        complaints.error(at, format!("{} {what} in {} can never be", limit.m, limit.n), "write an `m` of at most `n`");
        return None;
    }
    Some(limit)
}

fn inference(raw: &Inference, context: &Context<'_>, complaints: &mut Complaints<'_>) -> Option<(Span, OutOf)> {
    let half = context.period.map(|period| Span::from_ns(period.as_ns() / 2));
    let within = if raw.within.given { positive(&raw.within, complaints) } else { half };
    let limit = out_of(&raw.m, &raw.n, "late decisions", complaints);
    Some((within?, limit?))
}

/// The outer `None` means that it was complained of.
pub(super) fn unless_off<T, U>(choice: &OrOff<T>, resolve: impl FnOnce(&T) -> Option<U>) -> Option<Option<U>> {
    choice.on().map_or(Some(None), |raw| resolve(raw).map(Some))
}

fn chatter(raw: &Chatter, complaints: &mut Complaints<'_>) -> Option<ChatterSettings> {
    let stroke = number(&raw.stroke, |part| part > 0.0 && part <= 1.0, "above 0 and at most 1", complaints);
    let reversals = out_of(&raw.m, &raw.n, "reversals", complaints);
    Some(ChatterSettings { reversals: reversals?, stroke: stroke? })
}

fn canary(raw: &RawCanary, complaints: &mut Complaints<'_>) -> Option<Canary> {
    let saturation = share(&raw.saturation, complaints);
    let clamps = share(&raw.clamps, complaints);
    let divergence = share(&raw.divergence, complaints);
    Some(Canary {
        decisions: u32::try_from(raw.decisions.value?.0).ok()?,
        saturation: saturation?,
        clamps: clamps?,
        divergence: divergence?,
    })
}

fn probation(raw: &RawProbation, complaints: &mut Complaints<'_>) -> Option<Probation> {
    let clamps = share(&raw.clamps, complaints);
    let reward = number(&raw.reward, |deviations| deviations > 0.0, "above 0", complaints);
    Some(Probation { decisions: u32::try_from(raw.decisions.value?.0).ok()?, clamps: clamps?, reward: reward? })
}

fn restarts(raw: &RawRestarts, complaints: &mut Complaints<'_>) -> Option<Restarts> {
    let within = positive(&raw.within, complaints);
    Some(Restarts { n: u32::try_from(raw.n.value?.0).ok()?, within: within? })
}

fn share(field: &Field<f64>, complaints: &mut Complaints<'_>) -> Option<f64> {
    number(field, |share| (0.0..=1.0).contains(&share), "at least 0 and at most 1", complaints)
}

fn t_settle(raw: &RawRuntime, connections: &Connections, complaints: &mut Complaints<'_>) -> Option<Span> {
    if raw.t_settle.given {
        return positive(&raw.t_settle, complaints);
    }
    let slowest = connections.periods.iter().flatten().max().copied();
    slowest.map(|slowest| slowest.times(3).max(SETTLE_USUAL))
}

fn setpoint_expiry(raw: &RawRuntime, connections: &Connections, complaints: &mut Complaints<'_>) -> Option<Span> {
    let slowest = connections.periods.iter().flatten().max().copied();
    if !raw.setpoint_expiry.given {
        return slowest.map(|slowest| slowest.times(2));
    }
    let expiry = positive(&raw.setpoint_expiry, complaints)?;
    if let Some(slowest) = slowest.filter(|slowest| expiry < *slowest) {
        let message = "setpoints would expire before they are sent: this is shorter than the I/O period";
        complaints.error(raw.setpoint_expiry.at, message, format!("write {} or more", written(slowest)));
    }
    Some(expiry)
}

fn lease_term(raw: &Lease, period: Period, complaints: &mut Complaints<'_>) -> Option<Span> {
    if !raw.term.given {
        return Some(period.span().times(LEASE_PERIODS_USUAL).max(LEASE_TERM_USUAL));
    }
    let term = positive(&raw.term, complaints)?;
    let shortest = period.span().times(LEASE_PERIODS_MIN);
    if (shortest..=LEASE_TERM_MAX).contains(&term) {
        return Some(term);
    }
    let message = format!("a term of {} is not one in which cycles can renew the lease", written(term));
    let help = format!(
        "write {} to {}: at least {LEASE_PERIODS_MIN} control periods",
        written(shortest),
        written(LEASE_TERM_MAX)
    );
    complaints.error(raw.term.at, message, help);
    None
}

fn record_span(raw: &RawRuntime, complaints: &mut Complaints<'_>) -> Option<Span> {
    let span = positive(&raw.record_span, complaints)?;
    if span > RECORD_SPAN_MAX {
        let message = format!("cycle records of {} would fill the memory", written(span));
        complaints.error(raw.record_span.at, message, format!("write at most {}", written(RECORD_SPAN_MAX)));
        return None;
    }
    if span < RECORD_SPAN_USUAL {
        let message = format!(
            "cycle records of less than {} may not reach back to the cause of an incident",
            written(RECORD_SPAN_USUAL)
        );
        complaints.notice(raw.record_span.at, message, "");
    }
    Some(span)
}

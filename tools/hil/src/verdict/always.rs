//! What is expected of every scenario.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Patience, Verdict, nanoseconds};
use crate::scenario::Step;
use crate::take::{CycleSeen, Sent, SetpointSeen, StepOutcome, Take, seconds};

/// Rounding of a product and two differences.
const ROUNDING: f64 = 1e-9;
/// A range that was changed live is noticed by whoever watches within this time, nanoseconds.
const RANGE_NOTICED: i64 = 2_000_000_000;
/// When another runtime takes over, cycles of the last moments may not be seen, nanoseconds.
const CHANGE_OVER: i64 = 2_000_000_000;
/// A step that comes later than this makes another scenario of it.
const STEP_LATE_MAX: Duration = Duration::from_secs(1);

pub(super) fn judge(due: &[Step], take: &Take, patience: Patience) -> Vec<Verdict> {
    let mut verdicts = vec![ranges(take), rates(take)];
    verdicts.extend(plant(take));
    verdicts.push(missed(take));
    verdicts.extend(punctual(due, take, patience));
    verdicts.extend(steps(take));
    verdicts
}

/// Every written value of every cycle.
fn written(take: &Take) -> impl Iterator<Item = (&SetpointSeen, &CycleSeen, &Sent)> + Clone {
    take.cycles.iter().flat_map(move |cycle| {
        let sent = take.setpoints.iter().zip(&cycle.setpoints);
        sent.filter(|(_, sent)| sent.written).map(move |(setpoint, sent)| (setpoint, cycle, sent))
    })
}

fn counted(expectation: &str, wrong: &[String], of: usize, what: &str) -> Verdict {
    let found = match wrong.first() {
        None => format!("0 of {of} {what}"),
        Some(first) => format!("{} of {of} {what}, first {first}", wrong.len()),
    };
    Verdict { expectation: expectation.to_owned(), found, required: "0".to_owned(), ok: wrong.is_empty() }
}

/// I1 and I3: inside the range, or nearer to it than before; finite.
fn ranges(take: &Take) -> Verdict {
    let wrong: Vec<_> = written(take)
        .filter(|(setpoint, cycle, sent)| !is_inside(setpoint, cycle.at, sent))
        .map(|(setpoint, cycle, sent)| format!("{} = {:?} at {}", setpoint.name, sent.sent, told(cycle)))
        .collect();
    counted("setpoints stay inside their ranges", &wrong, written(take).count(), "values outside")
}

fn is_inside(setpoint: &SetpointSeen, at: i64, sent: &Sent) -> bool {
    let Some(value) = sent.sent else { return false };
    let ends = setpoint.ranges.iter().skip(1).map(|range| range.0).chain([i64::MAX]);
    let mut valid = setpoint.ranges.iter().zip(ends).filter(|((from, ..), to)| {
        (from.saturating_sub(RANGE_NOTICED)..to.saturating_add(RANGE_NOTICED)).contains(&at)
    });
    valid.any(|((_, lo, hi), _)| {
        let distance = |value: f64| (lo - value).max(value - hi).max(0.0);
        distance(value) == 0.0 || sent.last.is_some_and(|last| distance(value) < distance(last))
    })
}

/// I2: no change beyond the rate and the time that counts for it.
fn rates(take: &Take) -> Verdict {
    let limited = written(take).filter_map(|(setpoint, cycle, sent)| {
        let counts_s = cycle.dt_ns.min(take.period_ns) as f64 / 1e9;
        Some((setpoint, cycle, (sent.sent? - sent.last?).abs(), setpoint.rate_per_s? * counts_s))
    });
    let wrong: Vec<_> = limited
        .clone()
        .filter(|(_, _, change, permitted)| *change > permitted * (1.0 + ROUNDING) + ROUNDING)
        .map(|(setpoint, cycle, change, permitted)| {
            format!("{} by {change} where {permitted} is permitted, at {}", setpoint.name, told(cycle))
        })
        .collect();
    counted("changes stay within their rates", &wrong, limited.count(), "changes too large")
}

fn told(cycle: &CycleSeen) -> String {
    format!("{:.3} s", seconds(cycle.at))
}

/// What the plant has accepted are values that some cycle has let through, bit for bit.
fn plant(take: &Take) -> Option<Verdict> {
    let writes = take.writes.as_ref()?;
    let node_of = |setpoint: &SetpointSeen| setpoint.node.clone();
    let let_through: BTreeSet<_> =
        written(take).filter_map(|(setpoint, _, sent)| Some((node_of(setpoint), sent.sent?.to_bits()))).collect();
    let may_be_missed = |at: i64| take.leaders.iter().skip(1).any(|from| at.abs_diff(*from) <= CHANGE_OVER as u64);
    let judged = writes.iter().filter(|write| !may_be_missed(write.at));
    let foreign = |node: &str, value: f64| !let_through.contains(&(node.to_owned(), value.to_bits()));
    let wrong: Vec<_> = judged
        .clone()
        .filter(|write| write.value.is_none_or(|value| foreign(&write.node, value)))
        .map(|write| format!("{} = {:?} at {:.3} s", write.node, write.value, seconds(write.at)))
        .collect();
    let count = judged.count();
    // Who has not seen every cycle cannot say what none of them has let through.
    (take.missed == 0).then(|| counted("the plant is written what the envelope let through", &wrong, count, "others"))
}

/// Whoever has not seen everything cannot say that nothing was wrong.
fn missed(take: &Take) -> Verdict {
    let missed = [(take.missed, "cycles"), (take.missed_events, "events"), (take.missed_writes, "writes")];
    let ok = missed.iter().all(|(count, _)| *count == 0);
    let found = missed.map(|(count, what)| format!("{count} {what}")).join(", ");
    Verdict { expectation: "nothing was missed".to_owned(), found, required: "0".to_owned(), ok }
}

/// Steps began, and were taken back, when the scenario says so.
fn punctual(due: &[Step], take: &Take, patience: Patience) -> Option<Verdict> {
    let moments = due.iter().zip(&take.steps).flat_map(|(step, seen)| {
        let end = step.lasts.map(|lasts| step.at.saturating_add(lasts));
        [(Some(step.at), seen.begun), (end, seen.ended)].map(|(due, at)| Some((seen, nanoseconds(due?), at?)))
    });
    let moments: Vec<_> = moments.flatten().collect();
    let late_max = nanoseconds(patience.of(STEP_LATE_MAX));
    let wrong: Vec<_> = moments
        .iter()
        .filter(|(_, due, at)| at.saturating_sub(*due) > late_max)
        .map(|(seen, due, at)| {
            let [due, at] = [due, at].map(|at| seconds(*at));
            format!("\"{}\" at {at:.3} s instead of {due:.3} s", seen.title)
        })
        .collect();
    (!moments.is_empty()).then(|| counted("steps come when they should", &wrong, moments.len(), "moments too late"))
}

/// Every step was done, or refused, as it should be.
fn steps(take: &Take) -> Vec<Verdict> {
    let verdict = |title: &str, found: &str, ok| Verdict {
        expectation: title.to_owned(),
        found: found.to_owned(),
        required: "as written".to_owned(),
        ok,
    };
    let of_step = |step: &crate::take::StepSeen| match &step.outcome {
        StepOutcome::Done | StepOutcome::NotPossibleHere(_) => None,
        StepOutcome::Refused(why) => Some(verdict(&step.title, &format!("refused: {why}"), true)),
        StepOutcome::Failed(why) => Some(verdict(&step.title, why, false)),
        StepOutcome::Due => Some(verdict(&step.title, "it was not reached", false)),
    };
    take.steps.iter().filter_map(of_step).collect()
}

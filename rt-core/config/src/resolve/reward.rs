//! The reward: an expression, or goals in order of priority and an optimisation at the end.

use rt_core::tag::TagId;

use super::tags::Tags;
use crate::complaint::{Complaints, Place, quoted};
use crate::form::{At, Field};
use crate::form_special::{Goals, OneOrMore};
use crate::raw::{Direction, GoalOp, Priority, Reward as RawReward};
use crate::site::{Goal, Objective, Range, Reward};

pub(crate) fn resolve(tags: &Tags<'_>, raw: &RawReward, complaints: &mut Complaints<'_>) -> Option<Reward> {
    match (raw.value.given, raw.priorities.given) {
        (true, false) => tags.program(raw.value.value.as_ref()?, complaints).map(Reward::Expression),
        (false, true) => priorities(tags, raw.priorities.value.as_ref()?, raw.priorities.at, complaints),
        (true, true) => {
            complaints.error(raw.at, "the reward has both `value` and `priorities`", "keep one of the two");
            None
        }
        (false, false) => {
            let help = "write `value: \"-abs({TAG} - 0.5)\"` or `priorities: [{tags: [TAG], directions: min}]`";
            complaints.error(raw.at, "the reward has neither `value` nor `priorities`", help);
            None
        }
    }
}

fn priorities(tags: &Tags<'_>, raw: &Goals, at: Place, complaints: &mut Complaints<'_>) -> Option<Reward> {
    const HELP: &str = "write `{tags: [TAG], directions: min}` (or max) as the last entry";
    let Some((last, goals)) = raw.0.split_last() else {
        complaints.error(at, "there are no priorities", HELP);
        return None;
    };
    let goals: Vec<Option<Goal>> = goals.iter().map(|goal| self::goal(tags, goal, complaints)).collect();
    let optimise = if last.value.op.given {
        complaints.error(last.at, "the last priority must be an optimisation", HELP);
        None
    } else {
        optimisation(tags, last, complaints)
    };
    Some(Reward::Priorities { goals: goals.into_iter().collect::<Option<_>>()?, optimise: optimise? })
}

fn goal(tags: &Tags<'_>, at: &At<Priority>, complaints: &mut Complaints<'_>) -> Option<Goal> {
    let raw = &at.value;
    if !raw.op.given {
        let help = "write `op: up_to` or `op: down_to` with `tag` and `thresh`; an optimisation comes last";
        complaints.error(at.at, "this goal has no `op`", help);
        return None;
    }
    let op = raw.op.value?;
    match op {
        GoalOp::And | GoalOp::Or => {
            complain_of_others(at, "a joint goal", &["goals"], complaints);
            let parts = raw.goals.value.as_ref().map_or(&[][..], |goals| &goals.0);
            if parts.is_empty() {
                complaints.error(at.at, "a joint goal needs `goals`", "list the goals that it joins");
            }
            let parts: Vec<Option<Goal>> = parts.iter().map(|part| goal(tags, part, complaints)).collect();
            let parts: Vec<Goal> = parts.into_iter().collect::<Option<_>>()?;
            if parts.is_empty() {
                return None;
            }
            Some(if op == GoalOp::And { Goal::All(parts) } else { Goal::Any(parts) })
        }
        GoalOp::UpTo | GoalOp::DownTo => {
            complain_of_others(at, "a goal", &["tag", "thresh"], complaints);
            if !raw.tag.given || !raw.thresh.given {
                complaints.error(at.at, "a goal needs `tag` and `thresh`", "write both");
                return None;
            }
            let tag = tags.find(raw.tag.value.as_ref()?, raw.tag.at, complaints);
            let range = tag.and_then(|tag| range(tags, tag, raw.tag.at, complaints));
            let threshold = raw.thresh.value.as_ref()?;
            let constant = tags.tree(threshold, complaints)?.constant();
            if let (Some(constant), Some(range)) = (constant, range) {
                complain_of_threshold(op, constant, range, raw.thresh.at, complaints);
            }
            let program = tags.program(threshold, complaints);
            let (tag, threshold, range) = (tag?, program?, range?);
            Some(match op {
                GoalOp::UpTo => Goal::UpTo { tag, threshold, range },
                _ => Goal::DownTo { tag, threshold, range },
            })
        }
    }
}

/// Keys of a priority that do not belong to what it is.
fn complain_of_others(at: &At<Priority>, what: &str, own: &[&str], complaints: &mut Complaints<'_>) {
    let raw = &at.value;
    for (name, given, place) in [
        ("op", raw.op.given, raw.op.at),
        ("goals", raw.goals.given, raw.goals.at),
        ("tag", raw.tag.given, raw.tag.at),
        ("thresh", raw.thresh.given, raw.thresh.at),
        ("tags", raw.tags.given, raw.tags.at),
        ("directions", raw.directions.given, raw.directions.at),
        ("weights", raw.weights.given, raw.weights.at),
    ] {
        if given && name != "op" && !own.contains(&name) {
            complaints.error(place, format!("{what} has no `{name}`"), format!("it has: {}", own.join(", ")));
        }
    }
}

/// The violation is scaled by the distance from the threshold to the range's end, which must not vanish.
fn complain_of_threshold(op: GoalOp, threshold: f64, range: Range, at: Place, complaints: &mut Complaints<'_>) {
    let fits = if op == GoalOp::UpTo { threshold > range.lo } else { threshold < range.hi };
    if !fits {
        let message = format!("the threshold {threshold} is outside the tag's range [{}, {}]", range.lo, range.hi);
        complaints.error(at, message, "the goal would always be met: write a value inside the range");
    }
}

fn range(tags: &Tags<'_>, tag: TagId, at: Place, complaints: &mut Complaints<'_>) -> Option<Range> {
    // A tag that could not be resolved has been complained of.
    let tag = tags.get(tag.index())?;
    if tag.normal_range.is_none() {
        let message = format!("the tag {} has no range to scale the goal", quoted(&tag.name));
        complaints.error(at, message, "give the tag an `expected_range` or an `operating_range`");
    }
    tag.normal_range
}

fn optimisation(tags: &Tags<'_>, at: &At<Priority>, complaints: &mut Complaints<'_>) -> Option<Vec<Objective>> {
    let raw = &at.value;
    complain_of_others(at, "an optimisation", &["tags", "directions", "weights"], complaints);
    let names = raw.tags.value.as_ref().map_or(&[][..], Vec::as_slice);
    if names.is_empty() || !raw.directions.given {
        complaints.error(
            at.at,
            "an optimisation needs `tags` and `directions`",
            "write `{tags: [TAG], directions: min}`",
        );
        return None;
    }
    let count = names.len();
    let directions: Vec<Direction> = match raw.directions.value.as_ref()? {
        OneOrMore::One(direction) => vec![*direction; count],
        OneOrMore::More(list) => list.iter().map(|direction| direction.value).collect(),
    };
    let weights = weights(&raw.weights, count, complaints)?;
    for (length, what, at) in
        [(directions.len(), "directions", raw.directions.at), (weights.len(), "weights", raw.weights.at)]
    {
        if length != count {
            complaints.error(at, format!("{length} {what} for {count} tags"), "write one per tag");
            return None;
        }
    }
    let objectives: Vec<Option<Objective>> = names
        .iter()
        .zip(directions)
        .zip(weights)
        .map(|((name, direction), weight)| {
            let tag = tags.find(&name.value, name.at, complaints)?;
            let range = range(tags, tag, name.at, complaints)?;
            Some(Objective { tag, range, minimise: direction == Direction::Min, weight })
        })
        .collect();
    objectives.into_iter().collect()
}

fn weights(field: &Field<Vec<At<f64>>>, count: usize, complaints: &mut Complaints<'_>) -> Option<Vec<f64>> {
    if !field.given {
        return Some(vec![1.0; count]);
    }
    let weights = field.value.as_ref()?;
    for weight in weights.iter().filter(|weight| weight.value <= 0.0) {
        complaints.error(weight.at, format!("{} is not a weight", weight.value), "write a number above 0");
    }
    Some(weights.iter().map(|weight| weight.value).collect())
}

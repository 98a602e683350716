//! What the segments of one runtime say of each other: sums that have to come out even. A learner's counters are left out:
//! they go on when it joins another runtime, and its segments begin anew.

use std::collections::BTreeMap;
use std::time::Duration;

use shm::{Segment, SegmentKind, counters, histogram, lease};
use shm_layout::{CONTROL_WORD, Counter, HistogramKind};

use super::Findings;
use super::finding::{FOREIGN, REPORT};

/// Counters are no snapshot: a sum that does not come out is read again so many times before it is called wrong.
const LOOKS: usize = 200;
const LOOK_EVERY: Duration = Duration::from_micros(500);

pub(super) fn examine(segments: &BTreeMap<SegmentKind, Segment>, findings: &mut Findings) {
    let reader = |kind| segments.get(&kind);
    let Some(counted) =
        reader(SegmentKind::Counters).and_then(|segment| counters::Reader::<Counter>::new(segment).ok())
    else {
        return;
    };
    findings.about(SegmentKind::Counters);
    slots(&counted, findings);
    shares(&counted, findings);
    let rings = [
        (SegmentKind::Cycles, Counter::Cycles),
        (SegmentKind::Transitions, Counter::TransitionsSent),
        (SegmentKind::Events, Counter::Events),
    ];
    for (kind, counter) in rings {
        if let Some(segment) = reader(kind) {
            findings.about(kind);
            published(segment, &|| counted.get(counter), counter.name(), findings);
        }
    }
    if let Some(segment) = reader(SegmentKind::Histograms) {
        findings.about(SegmentKind::Histograms);
        recorded(segment, &counted, findings);
    }
    if let Some(segment) = reader(SegmentKind::Lease) {
        findings.about(SegmentKind::Lease);
        held(segment, &counted, findings);
    }
    findings.about_all();
}

/// Two numbers that have to be the same at some instant soon; what they were at the last look when they never were.
fn settle(left: &dyn Fn() -> u64, right: &dyn Fn() -> u64) -> Result<(), (u64, u64)> {
    let mut found = (0, 0);
    for _ in 0..LOOKS {
        found = (left(), right());
        // The left one again, so that both were so at one instant.
        if found.0 == found.1 && left() == found.0 {
            return Ok(());
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Err(found)
}

/// Every slot of the grid is a cycle or counted as skipped.
fn slots(counted: &counters::Reader<Counter>, findings: &mut Findings) {
    if counted.get(Counter::Cycles) == 0 {
        return;
    }
    let period_ns = counted.get(Counter::Period);
    if period_ns == 0 {
        findings.add("its period is 0", FOREIGN);
        return;
    }
    let accounted = || counted.get(Counter::Cycles).saturating_add(counted.get(Counter::SlotsSkipped));
    let elapsed = || {
        let running_ns = counted.get(Counter::TimeLast).saturating_sub(counted.get(Counter::TimeFirst));
        (running_ns / period_ns).saturating_add(1)
    };
    if let Err((accounted, elapsed)) = settle(&accounted, &elapsed) {
        findings
            .add(format!("cycles and skipped slots add up to {accounted}, but {elapsed} slots have passed"), REPORT);
    }
}

/// What is a part of something is not more than it.
fn shares(counted: &counters::Reader<Counter>, findings: &mut Findings) {
    let pairs = [(Counter::GoalsMet, Counter::GoalsJudged), (Counter::ZonesClear, Counter::ZonesJudged)];
    for (part, whole) in pairs {
        // The part first: both only grow.
        let (of, all) = (counted.get(part), counted.get(whole));
        if of > all {
            findings.add(format!("{part} is {of}, more than {whole}, which is {all}"), REPORT);
        }
    }
}

fn published(segment: &Segment, counted: &dyn Fn() -> u64, name: &str, findings: &mut Findings) {
    if let Err((records, count)) = settle(&|| segment.word(CONTROL_WORD).unwrap_or(0), counted) {
        findings.add(format!("{records} records were published, but the counter {name} says {count}"), REPORT);
    }
}

/// Every cycle has a lateness.
fn recorded(segment: &Segment, counted: &counters::Reader<Counter>, findings: &mut Findings) {
    let Ok(lateness) = histogram::Reader::new(segment, HistogramKind::Lateness) else { return };
    if let Err((values, cycles)) = settle(&|| lateness.snapshot().count(), &|| counted.get(Counter::Cycles)) {
        findings.add(format!("the lateness of {values} cycles was recorded, but {cycles} were executed"), REPORT);
    }
}

/// The epoch under which the lease is held is the one that the control thread says.
fn held(segment: &Segment, counted: &counters::Reader<Counter>, findings: &mut Findings) {
    let epoch = || match lease::look(segment) {
        Ok(lease::State::Held { epoch, .. }) => epoch,
        _ => 0,
    };
    if let Err((held, said)) = settle(&epoch, &|| counted.get(Counter::LeaseEpoch)) {
        findings.add(format!("it is held under epoch {held}, but the counter lease_epoch says {said}"), REPORT);
    }
}

//! Whether time moves: cycles, the lease, the learner's heartbeat.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use shm::{Segment, SegmentKind, counters, lease};
use shm_layout::{Counter, LearnerCounter};

use super::super::found::{Owner, now_ns};
use super::finding::{FOREIGN, LEARNER, STUCK};
use super::{Findings, Subject};
use crate::output::span;

/// The next cycle is waited for so many periods, but this long at least and at most.
const PERIODS: u32 = 4;
const PATIENCE_MIN: Duration = Duration::from_millis(500);
const PATIENCE_MAX: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(1);

pub(super) fn examine(segments: &BTreeMap<SegmentKind, Segment>, subject: &Subject, findings: &mut Findings) {
    if let Some(counted) = reader::<Counter>(segments) {
        findings.about(SegmentKind::Counters);
        cycles(&counted, subject, findings);
        learner(&counted, segments, findings);
    }
    if let Some(segment) = segments.get(&SegmentKind::Lease) {
        findings.about(SegmentKind::Lease);
        term(segment, findings);
    }
    findings.about_all();
    let owner = Owner::of(subject.description.pid);
    if !owner.owner_alive {
        findings.add(format!("the runtime, process {}, is not there", owner.owner_pid), STUCK);
    }
}

fn reader<C: counters::Table>(segments: &BTreeMap<SegmentKind, Segment>) -> Option<counters::Reader<C>> {
    counters::Reader::new(segments.get(&C::KIND)?).ok()
}

fn cycles(counted: &counters::Reader<Counter>, subject: &Subject, findings: &mut Findings) {
    let last_ns = counted.get(Counter::TimeLast);
    if last_ns > now_ns() {
        findings.add("the latest cycle was released in the future", FOREIGN);
    }
    let wanted = Duration::from_nanos(subject.description.period_ns).saturating_mul(PERIODS).max(PATIENCE_MIN);
    if wanted > PATIENCE_MAX {
        // Cycles that are so far apart are judged by their age.
        let age_ns = now_ns().saturating_sub(last_ns);
        if Duration::from_nanos(age_ns) > wanted {
            findings.add(format!("no cycle was executed for {}", span(age_ns)), STUCK);
        }
        return;
    }
    let (begin, count) = (Instant::now(), counted.get(Counter::Cycles));
    while counted.get(Counter::Cycles) == count {
        if begin.elapsed() > wanted {
            let age_ns = now_ns().saturating_sub(last_ns);
            findings.add(format!("its cycles stand still: the latest one was {} ago", span(age_ns)), STUCK);
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

fn term(segment: &Segment, findings: &mut Findings) {
    // Read before the clock: a renewal in between only helps.
    if let Ok(lease::State::Held { epoch, until_ms }) = lease::look(segment) {
        let over_ms = (now_ns() / 1_000_000).saturating_sub(until_ms);
        if over_ms > 0 {
            findings.add(format!("it is held under epoch {epoch}, and ran out {over_ms} ms ago"), STUCK);
        }
    }
}

fn learner(counted: &counters::Reader<Counter>, segments: &BTreeMap<SegmentKind, Segment>, findings: &mut Findings) {
    let epoch = counted.get(Counter::LearnerEpoch);
    if epoch == 0 {
        return;
    }
    findings.about(SegmentKind::LearnerCounters);
    let Some(learner) = reader::<LearnerCounter>(segments) else { return };
    let generation = segments.get(&SegmentKind::LearnerCounters).map_or(0, |segment| segment.header().generation());
    if generation != epoch {
        findings.add(format!("it was made for epoch {generation}, the learner has epoch {epoch}"), FOREIGN);
    }
    let heartbeat_ns = learner.get(LearnerCounter::Heartbeat);
    let now_ns = now_ns();
    if heartbeat_ns > now_ns {
        findings.add("the learner's heartbeat is in the future", FOREIGN);
    }
    if counted.get(Counter::LearnerAlive) == 0 {
        let heard = match heartbeat_ns {
            0 => "never".to_owned(),
            then => format!("{} ago", span(now_ns.saturating_sub(then))),
        };
        findings.add(format!("the learner does not live: its heart beat last {heard}"), LEARNER);
    } else if counted.get(Counter::LearnerStalled) == 1 {
        findings.add("the learner lives, gets steps, and neither learns nor publishes", LEARNER);
    }
}

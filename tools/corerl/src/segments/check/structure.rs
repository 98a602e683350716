//! One segment by itself: its owner and writer, its geometry, and what lies in it.

use shm::{Segment, SegmentKind, counters};
use shm_layout::{CLAIM_WORD, ConnectionCounter, Counter, CycleLayout, StepLayout};

use super::super::found::now_ns;
use super::super::states::named_histograms;
use super::finding::{FOREIGN, REPORT};
use super::{Finding, Findings, Subject, is_of_learner, rings, weights};

/// What is found in a segment without looking at any other.
pub(in super::super) fn examine_segment(agent: &str, segment: &Segment, subject: &Subject) -> Vec<Finding> {
    let kind = segment.header().kind();
    let mut findings = Findings::of(agent);
    findings.about(kind);
    owner(segment, subject, &mut findings);
    writer(segment, subject, &mut findings);
    if !has_right_records(segment, subject) {
        findings.add("its records have other sizes than those of this agent", REPORT);
        return findings.list;
    }
    match kind {
        SegmentKind::Cycles | SegmentKind::Transitions | SegmentKind::Events | SegmentKind::Estimates => {
            rings::examine(segment, subject, &mut findings);
        }
        SegmentKind::Weights => weights::examine(segment, &mut findings),
        SegmentKind::Counters => states(segment, &mut findings),
        SegmentKind::Histograms | SegmentKind::RoundTrips | SegmentKind::LearnerHistograms => {
            distributions(segment, &mut findings);
        }
        SegmentKind::LearnerCounters | SegmentKind::Connections | SegmentKind::Lease => {}
    }
    findings.list
}

fn owner(segment: &Segment, subject: &Subject, findings: &mut Findings) {
    let (owner, runtime) = (segment.header().owner_pid(), subject.description.pid);
    if owner != runtime {
        findings.add(format!("process {owner} made it, but the runtime is process {runtime}"), FOREIGN);
    }
    let created_ns = segment.header().created_monotonic_ns();
    if created_ns > now_ns() {
        findings.add("it was made in the future", FOREIGN);
    }
}

fn writer(segment: &Segment, subject: &Subject, findings: &mut Findings) {
    let claimed = segment.word(CLAIM_WORD).unwrap_or(0);
    let learner = subject.status.learner.pid;
    if !is_of_learner(segment.header().kind()) {
        let runtime = subject.description.pid;
        if claimed != u64::from(runtime) {
            findings.add(format!("its writer is process {claimed}, but the runtime is process {runtime}"), FOREIGN);
        }
    } else if claimed != 0 && claimed != u64::from(learner) {
        findings.add(format!("its writer is process {claimed}, but the learner is process {learner}"), FOREIGN);
    }
}

fn has_right_records(segment: &Segment, subject: &Subject) -> bool {
    let header = segment.header();
    let description = &subject.description;
    let count = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
    let setpoints = count(description.setpoints.len());
    let expected = match header.kind() {
        SegmentKind::Cycles => {
            CycleLayout::new(setpoints, count(description.tags.len())).map(|layout| (layout.dims(), layout.words()))
        }
        SegmentKind::Transitions => {
            StepLayout::new(count(description.columns.len()), setpoints).map(|layout| (layout.dims(), layout.words()))
        }
        SegmentKind::Events => Some((header.dims(), shm_layout::EVENT_WORDS)),
        SegmentKind::Estimates => Some((header.dims(), shm_layout::ESTIMATE_WORDS)),
        SegmentKind::Counters => Some((header.dims(), Counter::COUNT)),
        SegmentKind::LearnerCounters => Some((header.dims(), shm_layout::LearnerCounter::COUNT)),
        SegmentKind::Connections => {
            let connections = count(subject.status.connections.len());
            Some(([connections, 0, 0, 0], ConnectionCounter::COUNT * connections.max(1) as usize))
        }
        // Of any size, or of a size that the header was checked for.
        SegmentKind::Weights
        | SegmentKind::Histograms
        | SegmentKind::RoundTrips
        | SegmentKind::LearnerHistograms
        | SegmentKind::Lease => return true,
    };
    expected == Some((header.dims(), header.slot_words()))
}

/// Words that are no counts.
fn states(segment: &Segment, findings: &mut Findings) {
    let Ok(reader) = counters::Reader::<Counter>::new(segment) else { return };
    let mode = reader.get(Counter::Mode);
    if u8::try_from(mode).ok().and_then(rt_core::mode::Mode::from_number).is_none() {
        findings.add(format!("its mode is {mode}, which is none"), FOREIGN);
    }
    for state in [Counter::Armed, Counter::Connected, Counter::LearnerAlive, Counter::LearnerStalled] {
        let value = reader.get(state);
        if value > 1 {
            findings.add(format!("{state} is {value}, and can only be 0 or 1"), FOREIGN);
        }
    }
    let allocations = reader.get(Counter::AllocationsInCycle);
    if allocations > 0 {
        findings.add(format!("the control thread allocated {allocations} times inside a cycle"), REPORT);
    }
}

fn distributions(segment: &Segment, findings: &mut Findings) {
    for (name, snapshot) in named_histograms(segment).unwrap_or_default() {
        // A value that is being recorded raises the largest before it is counted, never after.
        if let (Some(min_ns), Some(max_ns)) = (snapshot.min_ns(), snapshot.max_ns())
            && min_ns > max_ns
        {
            findings.add(format!("the smallest {name} is {min_ns} ns, the largest {max_ns} ns"), FOREIGN);
        }
    }
}

//! A recording, told: what is gathered while it is read.

use std::collections::{BTreeMap, VecDeque};

use rt_core::mode::Mode;
use rt_recording::Concern;
use rt_recording::capture::Gap;
use shm_layout::{CycleHead, CycleRef, EventKind, EventRecord};

use super::envelope::{Envelope, Spread};
use super::tracks::{SetpointTrack, TagTrack};
use crate::ending::Ending;
use crate::file::{Footage, Provenance, count_gap};
use crate::legend::Legend;
use crate::wall::WallClock;
use crate::words::{limit_names, mode_name, told};

/// So many events are listed; further ones are counted.
const EVENTS_MAX: usize = 1_000;
/// So many changes of mode, of policies and of worst losses are kept.
const MODES_MAX: usize = 2_000;
const POLICIES_MAX: usize = 1_000;
const LOSSES_MAX: usize = 10;
/// So many trips are told in full.
const TRIPS_MAX: usize = 20;
/// What is told with a trip: so many events, not older than this.
const BEFORE_MAX: usize = 12;
const BEFORE_NS: u64 = 10_000_000_000;

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) struct Happening {
    pub(super) since_s: f64,
    pub(super) time_ns: u64,
    pub(super) cycle: u64,
    pub(super) concern: Concern,
    pub(super) text: String,
}

/// A trip, and how things stood.
#[derive(Debug)]
pub(super) struct Trip {
    pub(super) happening: Happening,
    /// What happened in the seconds before it, the latest last.
    pub(super) before: Vec<Happening>,
    /// How things stood: sentences.
    pub(super) state: Vec<String>,
}

/// A span of time in one mode.
#[derive(Clone, Copy, Debug)]
pub(super) struct InMode {
    pub(super) mode: u8,
    pub(super) from_s: f64,
    pub(super) to_s: f64,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Story {
    pub(super) legend: Legend,
    pub(super) provenance: Provenance,
    pub(super) clock: WallClock,
    /// When the first cycle was released, and the last one.
    pub(super) span_ns: Option<(u64, u64)>,
    pub(super) cycles: u64,
    last: Option<u64>,
    pub(super) cycles_missing: u64,
    pub(super) events_missing: u64,
    pub(super) slots_lost: u64,
    /// Where most slots were lost at once: seconds, how many, in how late a cycle.
    pub(super) losses: Vec<(f64, u32, u32)>,
    pub(super) tags: Vec<TagTrack>,
    pub(super) setpoints: Vec<SetpointTrack>,
    pub(super) reward: Envelope,
    pub(super) rewards: (u64, f64),
    pub(super) lateness: Spread,
    pub(super) execution: Spread,
    pub(super) modes: Vec<InMode>,
    pub(super) mode_changes: u64,
    /// How often each change was made, by modes and cause: there are not many of them.
    pub(super) mode_causes: BTreeMap<String, u64>,
    /// Nanoseconds in each mode.
    pub(super) mode_ns: [u64; Mode::ALL.len()],
    pub(super) policies: Vec<(f64, u64)>,
    pub(super) adoptions: u64,
    pub(super) decisions: u64,
    pub(super) decided: u64,
    pub(super) events: Vec<Happening>,
    pub(super) events_left_out: u64,
    recent: VecDeque<Happening>,
    pub(super) trips: Vec<Trip>,
    pub(super) trips_count: u64,
    pub(super) limits_changed: bool,
    pub(super) ending: Ending,
}

impl Story {
    pub(super) fn new(footage: &Footage) -> Self {
        let legend = footage.legend().clone();
        Self {
            tags: legend.tags.iter().cloned().map(TagTrack::new).collect(),
            setpoints: legend.setpoints.iter().map(|_| SetpointTrack::new()).collect(),
            legend,
            provenance: footage.provenance().clone(),
            clock: footage.clock(),
            span_ns: None,
            cycles: 0,
            last: None,
            cycles_missing: 0,
            events_missing: 0,
            slots_lost: 0,
            losses: Vec::new(),
            reward: Envelope::new(),
            rewards: (0, 0.0),
            lateness: Spread::new(),
            execution: Spread::new(),
            modes: Vec::new(),
            mode_changes: 0,
            mode_causes: BTreeMap::new(),
            mode_ns: [0; Mode::ALL.len()],
            policies: Vec::new(),
            adoptions: 0,
            decisions: 0,
            decided: 0,
            events: Vec::new(),
            events_left_out: 0,
            recent: VecDeque::new(),
            trips: Vec::new(),
            trips_count: 0,
            limits_changed: false,
            ending: Ending::Closed,
        }
    }

    pub(super) fn end(&mut self, ending: Ending) {
        self.ending = ending;
    }

    /// Seconds since the first cycle.
    pub(super) fn since_s(&self, time_ns: u64) -> f64 {
        let first_ns = self.span_ns.map_or(time_ns, |(first_ns, _)| first_ns);
        time_ns.wrapping_sub(first_ns).cast_signed() as f64 / 1e9
    }

    /// From the first cycle to the last one.
    pub(super) fn seconds(&self) -> f64 {
        self.span_ns.map_or(0.0, |(first_ns, last_ns)| last_ns.saturating_sub(first_ns) as f64 / 1e9)
    }

    pub(super) fn gap(&mut self, gap: &Gap) {
        count_gap(gap, &mut self.cycles_missing, &mut self.events_missing);
    }

    pub(super) fn cycle(&mut self, record: &CycleRef<'_>) {
        let head = record.head;
        let (first_ns, _) = *self.span_ns.get_or_insert((head.release_ns, head.release_ns));
        self.span_ns = Some((first_ns, head.release_ns.max(first_ns)));
        let since_ns = head.release_ns.saturating_sub(first_ns);
        self.cycles += 1;
        self.count_slots(head);
        self.follow_mode(head);
        self.follow_policy(head);
        if head.reward.is_finite() {
            self.reward.push(since_ns, head.reward);
            self.rewards = (self.rewards.0 + 1, self.rewards.1 + head.reward);
        }
        self.lateness.push(since_ns, head.lateness_ns.into());
        self.execution.push(since_ns, head.execution_ns.into());
        self.tags.iter_mut().zip(record.tags).for_each(|(tag, part)| tag.take(since_ns, part));
        self.setpoints.iter_mut().zip(record.setpoints).for_each(|(setpoint, part)| setpoint.take(since_ns, part));
    }

    fn count_slots(&mut self, head: &CycleHead) {
        let expected = self.last.map(|last| last.saturating_add(1).saturating_add(head.skipped.into()));
        let missing = expected.map_or(0, |expected| head.cycle.saturating_sub(expected));
        self.cycles_missing = self.cycles_missing.saturating_add(missing);
        self.last = Some(head.cycle);
        if head.skipped > 0 {
            self.slots_lost = self.slots_lost.saturating_add(head.skipped.into());
            self.losses.push((self.since_s(head.release_ns), head.skipped, head.lateness_ns));
            self.losses.sort_by_key(|loss| std::cmp::Reverse(loss.1));
            self.losses.truncate(LOSSES_MAX);
        }
    }

    fn follow_mode(&mut self, head: &CycleHead) {
        let at_s = self.since_s(head.release_ns);
        if let Some(time) = self.mode_ns.get_mut(usize::from(head.mode)) {
            *time = time.saturating_add(head.dt_ns);
        }
        match self.modes.last_mut() {
            Some(last) if last.mode == head.mode => last.to_s = at_s,
            last => {
                self.mode_changes += u64::from(last.is_some());
                if let Some(last) = last {
                    last.to_s = at_s;
                }
                if self.modes.len() < MODES_MAX {
                    self.modes.push(InMode { mode: head.mode, from_s: at_s, to_s: at_s });
                }
            }
        }
    }

    fn follow_policy(&mut self, head: &CycleHead) {
        self.decisions += u64::from(head.has(CycleHead::DECISION_SLOT));
        self.decided += u64::from(head.has(CycleHead::DECIDED));
        if head.has(CycleHead::POLICY_ADOPTED) {
            self.adoptions += 1;
            if self.policies.len() < POLICIES_MAX {
                self.policies.push((self.since_s(head.release_ns), head.policy_generation));
            }
        }
    }

    pub(super) fn event(&mut self, event: &EventRecord) {
        let happening = Happening {
            since_s: self.since_s(event.time_ns),
            time_ns: event.time_ns,
            cycle: event.cycle,
            concern: Concern::of(event),
            text: told(event, &self.legend),
        };
        // The first set of limits is the site file's.
        self.limits_changed |= event.kind() == Some(EventKind::Configured) && event.a > 0;
        if event.kind() == Some(EventKind::ModeChange) {
            *self.mode_causes.entry(event.text().replace('_', " ")).or_default() += 1;
        }
        if event.kind() == Some(EventKind::Trip) {
            self.trips_count += 1;
            if self.trips.len() < TRIPS_MAX {
                self.trips.push(self.trip(happening.clone()));
            }
        }
        self.recent.push_back(happening.clone());
        if self.recent.len() > BEFORE_MAX {
            self.recent.pop_front();
        }
        if self.events.len() < EVENTS_MAX && happening.concern > Concern::Detail {
            self.events.push(happening);
        } else {
            self.events_left_out += 1;
        }
    }

    fn trip(&self, happening: Happening) -> Trip {
        let oldest_ns = happening.time_ns.saturating_sub(BEFORE_NS);
        let before = self.recent.iter().filter(|before| before.time_ns >= oldest_ns).cloned().collect();
        let mut state = Vec::new();
        // The record of the cycle that tripped tells the mode that it went into.
        let earlier = self.modes.iter().rev().find(|mode| mode.from_s < happening.since_s);
        if let Some(last) = earlier.or(self.modes.last()) {
            state.push(format!("mode {} since {:.3} s", mode_name(last.mode), last.from_s));
        }
        let worried = self.tags.iter().filter_map(|tag| Some(format!("{} was {}", tag.legend.name, tag.worry?)));
        state.extend(worried);
        for (setpoint, legend) in self.setpoints.iter().zip(&self.legend.setpoints) {
            let acting: Vec<_> = limit_names(setpoint.acting).collect();
            if !acting.is_empty() {
                state.push(format!("{} was held by: {}", legend.name, acting.join(", ")));
            }
        }
        Trip { happening, before, state }
    }

    /// What is not in the page because it is not in the file.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.provenance.lost_before > 0 {
            warnings.push(format!("{} cycles before this file were not recorded", self.provenance.lost_before));
        }
        if self.cycles_missing > 0 {
            warnings.push(format!(
                "{} cycles are missing before, among or behind those that were read",
                self.cycles_missing
            ));
        }
        if self.events_missing > 0 {
            warnings.push(format!("{} events are missing", self.events_missing));
        }
        if self.ending.is_incomplete() {
            warnings.push(self.ending.to_string());
        }
        warnings
    }
}

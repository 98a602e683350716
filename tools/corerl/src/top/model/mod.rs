//! What was seen of one agent: fed with records, counters and answers, and pure. Who feeds it is no matter here.

mod minute;
mod threads;

use std::collections::VecDeque;
use std::time::Instant;

use rt_control::{Description, Status};
use shm_layout::{Counter, CycleHead, CycleRef, EstimateRecord, EventRecord, LearnerCounter, SetpointPart, TagPart};

pub(super) use minute::{Minute, Of};
pub(super) use threads::{Policy, Processes, Thread};

/// Events, and estimates, that are kept.
const EVENTS_MAX: usize = 2000;
const ESTIMATES_MAX: usize = 120;

/// Everything that the screen can show of one agent.
#[derive(Clone, Debug, Default)]
pub(super) struct Model {
    pub(super) presence: Presence,
    pub(super) description: Option<Description>,
    pub(super) status: Option<Status>,
    /// The newest cycle.
    pub(super) head: Option<CycleHead>,
    pub(super) tags: Vec<Tag>,
    pub(super) setpoints: Vec<Setpoint>,
    pub(super) minute: Minute,
    pub(super) counters: Counters,
    /// The newest last.
    pub(super) events: VecDeque<EventRecord>,
    /// The newest last.
    pub(super) estimates: VecDeque<EstimateRecord>,
    pub(super) processes: Processes,
    /// Records that were overwritten before they were read.
    pub(super) missed: u64,
    /// A ring holds what no sound writer writes.
    pub(super) damaged: bool,
    /// The cycles at the last time that they moved, and when that was.
    moved: Option<(u64, Instant)>,
}

/// Whether anybody is there.
#[derive(Clone, Debug, Default)]
pub(super) enum Presence {
    /// Nobody has answered yet, for this reason if one is known.
    #[default]
    Awaited,
    /// The runtime answers.
    Here,
    /// It is there and does not answer; its memory is still read.
    Silent {
        /// Since when.
        since: Instant,
        /// Why, in words.
        why: String,
    },
    /// Nobody is there any more, since then; what was seen before is still shown.
    Gone(Instant),
}

/// A tag in the newest cycle, and the lowest and highest value that was seen of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tag {
    pub(super) part: TagPart,
    pub(super) seen: [f64; 2],
}

/// A setpoint in the newest cycle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setpoint {
    pub(super) part: SetpointPart,
    /// The limits that acted since the last look.
    pub(super) acted: u32,
}

/// The runtime's counters, and the learner's once one has joined.
#[derive(Clone, Debug)]
pub(super) struct Counters {
    pub(super) runtime: [u64; Counter::COUNT],
    pub(super) learner: Option<[u64; LearnerCounter::COUNT]>,
}

impl Default for Counters {
    fn default() -> Self {
        Self { runtime: [0; Counter::COUNT], learner: None }
    }
}

impl Counters {
    pub(super) fn get(&self, counter: Counter) -> u64 {
        self.runtime.get(counter.index()).copied().unwrap_or(0)
    }

    pub(super) fn set(&mut self, counter: Counter, value: u64) {
        if let Some(word) = self.runtime.get_mut(counter.index()) {
            *word = value;
        }
    }

    pub(super) fn set_of_learner(&mut self, counter: LearnerCounter, value: u64) {
        let counters = self.learner.get_or_insert([0; LearnerCounter::COUNT]);
        if let Some(word) = counters.get_mut(counter.index()) {
            *word = value;
        }
    }

    pub(super) fn of_learner(&self, counter: LearnerCounter) -> Option<u64> {
        self.learner.as_ref().and_then(|counters| counters.get(counter.index()).copied())
    }
}

impl Model {
    /// Who answers. Another run of a runtime is another life: what the one before showed is forgotten.
    pub(super) fn describe(&mut self, description: &Description) {
        if self.description.as_ref().is_some_and(|before| before.run != description.run) {
            let events = std::mem::take(&mut self.events);
            *self = Self { events, ..Self::default() };
        }
        self.description = Some(description.clone());
        self.presence = Presence::Here;
    }

    /// There was no answer at this moment, because nobody is there or for another reason.
    pub(super) fn miss(&mut self, now: Instant, is_gone: bool, reason: &str) {
        let why = reason.to_owned();
        self.presence = match (&self.presence, is_gone) {
            (Presence::Awaited, true) => Presence::Awaited,
            (Presence::Gone(since), true) => Presence::Gone(*since),
            (_, true) => Presence::Gone(now),
            (Presence::Silent { since, .. }, false) => Presence::Silent { since: *since, why },
            (_, false) => Presence::Silent { since: now, why },
        };
    }

    /// Before the records of a look are taken in.
    pub(super) fn begin_look(&mut self) {
        self.setpoints.iter_mut().for_each(|setpoint| setpoint.acted = 0);
    }

    /// Takes in a cycle.
    pub(super) fn cycle(&mut self, record: &CycleRef<'_>) {
        self.head = Some(*record.head);
        self.minute.take(record.head);
        let unseen = TagPart { value: f64::NAN, age_ns: 0, source_time: 0, quality: 0, stale: 0, reserved: [0; 6] };
        self.tags.resize(record.tags.len(), Tag { part: unseen, seen: [f64::NAN; 2] });
        for (tag, part) in self.tags.iter_mut().zip(record.tags) {
            tag.part = *part;
            // A value that is no number leaves both as they are.
            tag.seen = [tag.seen[0].min(part.value), tag.seen[1].max(part.value)];
        }
        let acted = |index: usize| self.setpoints.get(index).map_or(0, |setpoint| setpoint.acted);
        let setpoints = record.setpoints.iter().enumerate();
        self.setpoints = setpoints.map(|(at, part)| Setpoint { part: *part, acted: acted(at) | part.acted }).collect();
    }

    /// Takes in an event. A runtime that stood by has a past of its own, so its events may be older than those that are known.
    pub(super) fn event(&mut self, event: &EventRecord) {
        let place = self.events.partition_point(|known| known.time_ns <= event.time_ns);
        self.events.insert(place, *event);
        if self.events.len() > EVENTS_MAX {
            self.events.pop_front();
        }
    }

    /// Takes in what the critics expected of a decision.
    pub(super) fn estimate(&mut self, estimate: &EstimateRecord) {
        keep(&mut self.estimates, *estimate, ESTIMATES_MAX);
    }

    /// Takes in counters, at this moment.
    pub(super) fn count(&mut self, counters: Counters, now: Instant) {
        let cycles = counters.get(Counter::Cycles);
        if self.moved.is_none_or(|(before, _)| before != cycles) {
            self.moved = Some((cycles, now));
        }
        self.counters = counters;
    }

    /// Since when no cycle was executed, as far as anybody looked.
    pub(super) fn still_since(&self) -> Option<Instant> {
        self.moved.map(|(_, since)| since)
    }

    /// Generations of the policy, as they came into use: when, and which. The newest last.
    pub(super) fn generations(&self) -> impl Iterator<Item = (u64, u64)> {
        self.minute.generations()
    }

    /// The name of a setpoint or tag; its number where nobody has said one.
    pub(super) fn setpoint_name(&self, index: usize) -> String {
        let named = self.description.as_ref().and_then(|of| of.setpoints.get(index));
        named.map_or_else(|| format!("setpoint {index}"), |setpoint| printable(&setpoint.name))
    }

    pub(super) fn tag_name(&self, index: usize) -> String {
        let named = self.description.as_ref().and_then(|of| of.tags.get(index));
        named.map_or_else(|| format!("tag {index}"), |tag| printable(&tag.name))
    }
}

/// Foreign text is not let loose on a terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

fn keep<T>(kept: &mut VecDeque<T>, new: T, at_most: usize) {
    if kept.len() >= at_most {
        kept.pop_front();
    }
    kept.push_back(new);
}

#[cfg(test)]
pub(super) mod examples;

#[cfg(test)]
mod tests;

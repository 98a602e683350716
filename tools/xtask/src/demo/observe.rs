//! Watching a runtime from outside: read-only descriptors from the control socket, and nothing that it could notice.

use rt_control::{Address, Description};
use rt_core::mode::Mode;
use shm::histogram::Snapshot;
use shm_layout::{Counter, CycleHead, CycleRef, EventKind, EventRecord, HistogramKind, LearnerCounter};
use watch::{Agent, Blind, From, Memory, Missed};

use super::recording::{
    Adoption, Counters, Decision, HAPPENINGS_MAX, Happening, LearnerCounters, ModeChange, Recording,
};

/// The memory of a runtime, and what was read of it.
#[derive(Debug)]
pub(crate) struct Observer {
    agent: Agent,
    /// What learners before the present one had counted.
    learner_before: LearnerCounters,
    recording: Recording,
}

impl Observer {
    /// Attaches to the runtime at `address`.
    pub(crate) fn attach(address: &Address, plant: &str) -> Result<Self, Blind> {
        let mut agent = Agent::new(address.clone(), From::Oldest);
        let (memory, status) = agent.status()?;
        let recording = empty(plant, memory.description(), status.degraded);
        Ok(Self { agent, learner_before: LearnerCounters::new(), recording })
    }

    /// What was read so far.
    pub(crate) fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Takes everything that is new. The memory stays readable after the runtime has ended.
    pub(crate) fn drain(&mut self) {
        self.follow_learner();
        let Some(memory) = self.agent.memory() else { return };
        let recording = &mut self.recording;
        let cycles = memory.cycles(|cycle| record_cycle(recording, cycle));
        let events = memory.events(|event| record_event(recording, event));
        recording.records_lost += count(cycles) + count(events);
        recording.counters = Counters(Counter::ALL.iter().map(|&counter| memory.counter(counter)).collect());
        recording.learner = learner_counters(memory).plus(&self.learner_before);
        recording.lateness = memory.histogram(HistogramKind::Lateness);
        recording.execution = memory.histogram(HistogramKind::Execution);
    }

    /// A learner that takes over gets a segment of its own: what the one before had counted is kept.
    fn follow_learner(&mut self) {
        let Some(memory) = self.agent.memory() else { return };
        let (before, counted) = (memory.learner_epoch(), learner_counters(memory));
        if memory.counter(Counter::LearnerEpoch) == before.unwrap_or(0) {
            return;
        }
        // Between the grant and its descriptors lies a moment; the next drain tries again.
        if let Ok(memory) = self.agent.look()
            && before.is_some()
            && memory.learner_epoch() != before
        {
            self.learner_before = self.learner_before.plus(&counted);
        }
    }
}

fn learner_counters(memory: &Memory) -> LearnerCounters {
    let counted = LearnerCounter::ALL.iter().map(|&counter| memory.learner_counter(counter).unwrap_or(0));
    LearnerCounters(counted.collect())
}

/// How many records were missed, at least.
fn count(missed: Missed) -> u64 {
    missed.lost + u64::from(missed.damaged)
}

fn empty(plant: &str, description: &Description, degraded: Vec<String>) -> Recording {
    Recording {
        plant: plant.to_owned(),
        period_ns: description.period_ns,
        tags: description.tags.iter().map(|tag| tag.name.clone()).collect(),
        setpoints: description.setpoints.iter().map(|setpoint| setpoint.name.clone()).collect(),
        decisions: Vec::new(),
        mode_changes: Vec::new(),
        adoptions: Vec::new(),
        happenings: Vec::new(),
        counters: Counters::new(),
        learner: LearnerCounters::new(),
        lateness: Snapshot::default(),
        execution: Snapshot::default(),
        records_lost: 0,
        degraded,
    }
}

fn record_cycle(recording: &mut Recording, cycle: &CycleRef<'_>) {
    let head = cycle.head;
    if head.has(CycleHead::POLICY_ADOPTED) {
        recording.adoptions.push(Adoption { time_ns: head.release_ns, generation: head.policy_generation });
    }
    if head.has(CycleHead::DECISION_SLOT) {
        recording.decisions.push(Decision {
            time_ns: head.release_ns,
            reward: head.reward,
            tags: cycle.tags.iter().map(|tag| tag.value).collect(),
            // A setpoint that was not sent stays at what was written last.
            setpoints: cycle
                .setpoints
                .iter()
                .map(|part| if part.sent.is_finite() { part.sent } else { part.last })
                .collect(),
        });
    }
}

fn record_event(recording: &mut Recording, event: &EventRecord) {
    if event.kind() == Some(EventKind::ModeChange) {
        recording.mode_changes.push(mode_change(event));
    }
    // Adoptions are marked in the plot, and are many.
    if event.kind() != Some(EventKind::PolicyAdopted) && recording.happenings.len() < HAPPENINGS_MAX {
        let kind = event.kind().map_or("unknown", EventKind::name);
        recording
            .happenings
            .push(Happening { time_ns: event.time_ns, what: format!("{kind} {}", event.text()).trim_end().to_owned() });
    }
}

fn mode_change(event: &EventRecord) -> ModeChange {
    let mode = |number: u64| {
        let mode = u8::try_from(number).ok().and_then(Mode::from_number);
        mode.map_or_else(|| format!("mode {number}"), |mode| mode.name().to_owned())
    };
    // The text reads `from -> to: cause`.
    let cause = event.text().rsplit_once(": ").map(|(_, cause)| cause.to_owned());
    ModeChange {
        cycle: event.cycle,
        from: mode(event.a),
        to: mode(event.b),
        cause: cause.unwrap_or_else(|| format!("cause {}", event.cause)),
    }
}

#[cfg(test)]
mod tests {
    use shm_layout::CycleLayout;

    use super::super::recording::tests::example;
    use super::*;

    #[test]
    fn a_decision_slot_becomes_a_decision_and_an_adoption_is_marked() {
        let layout = CycleLayout::new(1, 2).unwrap();
        let mut words = vec![0; layout.words()];
        let record = layout.view_mut(&mut words).unwrap();
        record.head.flags = CycleHead::DECISION_SLOT | CycleHead::POLICY_ADOPTED;
        (record.head.reward, record.head.release_ns, record.head.policy_generation) = (-0.5, 77, 3);
        (record.setpoints[0].sent, record.setpoints[0].last) = (f64::NAN, 0.25);
        (record.tags[0].value, record.tags[1].value) = (1.0, 2.0);
        let mut recording = example();
        recording.decisions.clear();
        recording.adoptions.clear();
        record_cycle(&mut recording, &layout.view(&words).unwrap());
        let expected = Decision { time_ns: 77, reward: -0.5, tags: vec![1.0, 2.0], setpoints: vec![0.25] };
        assert_eq!(recording.decisions, [expected]);
        assert_eq!(recording.adoptions, [Adoption { time_ns: 77, generation: 3 }]);
    }

    #[test]
    fn a_change_of_mode_has_names_and_a_cause_even_when_numbers_are_unknown() {
        let mut event = EventRecord::new(EventKind::ModeChange, 9, 10);
        (event.a, event.b) = (1, 2);
        event.set_text("shadow -> run: armed");
        let change = mode_change(&event);
        assert_eq!((change.from.as_str(), change.to.as_str(), change.cause.as_str()), ("shadow", "run", "armed"));
        (event.a, event.cause) = (700, 5);
        event.set_text("");
        let change = mode_change(&event);
        assert_eq!((change.from.as_str(), change.cause.as_str()), ("mode 700", "cause 5"));
    }

    #[test]
    fn events_are_kept_up_to_a_limit() {
        let mut recording = example();
        for _ in 0..2 * HAPPENINGS_MAX {
            record_event(&mut recording, &EventRecord::new(EventKind::TagBad, 1, 1));
        }
        assert_eq!(recording.happenings.len(), HAPPENINGS_MAX);
    }
}

//! Watching a runtime from outside: read-only descriptors from the control socket, and nothing that it could notice.

use std::time::Duration;

use rt_control::{Address, CallError, Client, Description};
use rt_core::mode::Mode;
use shm::broadcast::{self, Next, Start};
use shm::histogram::{self, Snapshot};
use shm::{Access, AttachRefused, RoleRefused, Segment, SegmentKind, counters};
use shm_layout::{
    Counter, CycleHead, CycleLayout, CycleRef, EVENT_WORDS, EventKind, EventRecord, HistogramKind, LearnerCounter,
};
use thiserror::Error;

use super::recording::{
    Adoption, Counters, Decision, HAPPENINGS_MAX, Happening, LearnerCounters, ModeChange, Recording,
};

/// A call over the control socket is answered within this time or fails.
const CALL_PATIENCE: Duration = Duration::from_secs(2);

/// Records taken in one go, at most: as many as an hour at 1 kHz has.
const RECORDS_AT_ONCE_MAX: usize = 3_600_000;

/// Why a runtime cannot be watched.
#[derive(Debug, Error)]
pub(crate) enum ObserveError {
    /// The control socket.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A segment that is not what it should be.
    #[error("the segment {kind} is refused: {reason}")]
    Attach {
        /// Which.
        kind: SegmentKind,
        /// Why.
        reason: AttachRefused,
    },
    /// A segment of another kind.
    #[error("the segment cannot be read: {0}")]
    Role(#[from] RoleRefused),
    /// Sizes that no runtime has.
    #[error("the cycle records have an impossible layout {0:?}")]
    Layout([u32; 4]),
}

/// Readers of a runtime's segments, and what they have read.
#[derive(Debug)]
pub(crate) struct Observer {
    client: Client,
    layout: CycleLayout,
    cycles: broadcast::Reader,
    words: Vec<u64>,
    events: broadcast::Reader,
    counters: counters::Reader<Counter>,
    lateness: histogram::Reader,
    execution: histogram::Reader,
    learner: Option<AttachedLearner>,
    /// What learners before the present one had counted.
    learner_before: LearnerCounters,
    recording: Recording,
}

#[derive(Debug)]
struct AttachedLearner {
    epoch: u64,
    counters: counters::Reader<LearnerCounter>,
}

impl Observer {
    /// Attaches to the runtime at `address`.
    pub(crate) fn attach(address: &Address, plant: &str) -> Result<Self, ObserveError> {
        let mut client = Client::connect(address, CALL_PATIENCE).map_err(CallError::from)?;
        let description = client.describe()?;
        let degraded = client.status()?.degraded;
        let cycles = segment(&mut client, SegmentKind::Cycles)?;
        let dims = cycles.header().dims();
        let layout = CycleLayout::from_dims(dims).ok_or(ObserveError::Layout(dims))?;
        let events = segment(&mut client, SegmentKind::Events)?;
        let counters = segment(&mut client, SegmentKind::Counters)?;
        let histograms = segment(&mut client, SegmentKind::Histograms)?;
        Ok(Self {
            layout,
            cycles: broadcast::Reader::new(&cycles, Start::Oldest)?,
            words: vec![0; layout.words()],
            events: broadcast::Reader::new(&events, Start::Oldest)?,
            counters: counters::Reader::new(&counters)?,
            lateness: histogram::Reader::new(&histograms, HistogramKind::Lateness)?,
            execution: histogram::Reader::new(&histograms, HistogramKind::Execution)?,
            learner: None,
            learner_before: LearnerCounters::new(),
            recording: empty(plant, &description, degraded),
            client,
        })
    }

    /// What was read so far.
    pub(crate) fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Takes everything that is new. The memory stays readable after the runtime has ended.
    pub(crate) fn drain(&mut self) {
        self.follow_learner();
        self.drain_cycles();
        self.drain_events();
        self.read_counters();
        self.recording.lateness = self.lateness.snapshot();
        self.recording.execution = self.execution.snapshot();
    }

    fn drain_cycles(&mut self) {
        for _ in 0..RECORDS_AT_ONCE_MAX {
            match self.cycles.next(&mut self.words) {
                Next::Record { .. } => {
                    if let Ok(cycle) = self.layout.view(&self.words) {
                        record_cycle(&mut self.recording, &cycle);
                    }
                }
                Next::Lost(count) => self.recording.records_lost += count,
                Next::Damaged { .. } => self.recording.records_lost += 1,
                Next::Empty => break,
            }
        }
    }

    fn drain_events(&mut self) {
        let mut words = [0; EVENT_WORDS];
        for _ in 0..RECORDS_AT_ONCE_MAX {
            match self.events.next(&mut words) {
                Next::Record { .. } => record_event(&mut self.recording, &EventRecord::from_words(&words)),
                Next::Lost(count) => self.recording.records_lost += count,
                Next::Damaged { .. } => self.recording.records_lost += 1,
                Next::Empty => break,
            }
        }
    }

    fn read_counters(&mut self) {
        let counters = Counter::ALL.iter().map(|&counter| self.counters.get(counter));
        self.recording.counters = Counters(counters.collect());
        let now = self.learner.as_ref().map_or_else(LearnerCounters::new, |learner| learner.read());
        self.recording.learner = now.plus(&self.learner_before);
    }

    /// A learner that takes over gets a segment of its own: attach to it as well.
    fn follow_learner(&mut self) {
        let epoch = self.counters.get(Counter::LearnerEpoch);
        if epoch == 0 || self.learner.as_ref().is_some_and(|learner| learner.epoch == epoch) {
            return;
        }
        // Between the grant and its descriptors lies a moment; the next drain tries again.
        let attached = segment(&mut self.client, SegmentKind::LearnerCounters)
            .and_then(|segment| Ok(counters::Reader::new(&segment)?));
        if let Ok(counters) = attached
            && let Some(before) = self.learner.replace(AttachedLearner { epoch, counters })
        {
            self.learner_before = self.learner_before.plus(&before.read());
        }
    }
}

impl AttachedLearner {
    fn read(&self) -> LearnerCounters {
        LearnerCounters(LearnerCounter::ALL.iter().map(|&counter| self.counters.get(counter)).collect())
    }
}

fn segment(client: &mut Client, kind: SegmentKind) -> Result<Segment, ObserveError> {
    let descriptor = client.segment(kind.code())?;
    Segment::attach(descriptor, Access::ReadOnly, kind).map_err(|reason| ObserveError::Attach { kind, reason })
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

//! The control thread's side: every port of the cycle, with a copy of what passed it.

use std::cell::Cell;

use policy::{AdoptedPolicy, Agent, NOMINAL_GENERATION, PolicySource};
use rt_core::changes::ChangeSet;
use rt_core::cycle::{COMMANDS_PER_CYCLE_MAX, Cycle, CycleOutcome, REPORTS_PER_CYCLE_MAX};
use rt_core::image::Image;
use rt_core::ports::{
    Action, Clock, Command, Commands, Field, FieldReport, Moment, NoAction, Observed, Policy, Recorder,
};
use rt_core::record::{CycleView, Event, EventKind};
use rt_core::schedule::Slot;
use rt_core::setpoint::SetpointSet;
use rt_core::time::MonoTime;
use shm::spsc::{Consumer, Producer};

use crate::state;

/// How often a cycle may ask the clock.
const READINGS_MAX: usize = 4;
/// Events of one cycle: about every command, every report and a few more.
const EVENTS_MAX: usize = 2 * COMMANDS_PER_CYCLE_MAX + REPORTS_PER_CYCLE_MAX + 8;
/// Bytes of the state that one entry carries.
pub(crate) const CHUNK_BYTES: usize = 48;
/// An entry is not larger than this.
const ENTRY_BYTES_MAX: usize = 64;

const _: () = assert!(size_of::<Entry>() <= ENTRY_BYTES_MAX, "the ring is dimensioned in entries");

/// What travels through the ring: of a cycle first the slot, at last [`Entry::End`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    /// The state before the next cycle, in so many bytes of the chunks that follow.
    State {
        bytes: u32,
        generation: u64,
        steps_sent: u64,
        lost: u64,
    },
    Chunk([u8; CHUNK_BYTES]),
    Slot(Slot),
    Command(Command),
    /// A change set, in so many bytes of the chunks that follow.
    Changes {
        bytes: u32,
    },
    Report(FieldReport),
    Reading(MonoTime),
    Adopted(u64),
    Set {
        expires: MonoTime,
        heartbeat: Option<u16>,
        alarms: Option<u32>,
        taken: bool,
    },
    Value(Option<f64>),
    Event(EventKind),
    End,
    /// From this cycle on nothing was recorded, until the next state.
    Lost {
        cycle: u64,
    },
}

/// The scribe asks for a state, with which a new file begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateWanted;

/// The control thread's end of a recording.
#[derive(Debug)]
pub struct Tape {
    ring: Producer<Entry>,
    wanted: Consumer<StateWanted>,
    state: Box<[u8]>,
    setpoints: usize,
    progress: Progress,
    notes: Notes,
}

/// Whether this thread records at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Every cycle, so far.
    Recording,
    /// Nothing before the next state: so many cycles were not recorded, and the scribe knows of it, or not yet.
    Waiting { lost: u64, since: Option<u64>, told: bool },
}

/// What passed the ports in one cycle. The vectors never grow beyond what they were made with.
#[derive(Debug)]
struct Notes {
    commands: Shelf<Command>,
    changes: KeptChanges,
    reports: Shelf<FieldReport>,
    events: Shelf<EventKind>,
    readings: Cell<Readings>,
    adopted: Option<u64>,
    set: Option<(SetpointSet, bool)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Readings {
    taken: [MonoTime; READINGS_MAX],
    count: usize,
}

/// The encoding of a change set, if there was one.
#[derive(Debug)]
struct KeptChanges {
    room: Box<[u8]>,
    bytes: Option<usize>,
    whole: bool,
}

impl KeptChanges {
    fn new(room: usize) -> Self {
        Self { room: vec![0; room].into(), bytes: None, whole: true }
    }

    fn clear(&mut self) {
        (self.bytes, self.whole) = (None, true);
    }

    fn note(&mut self, changes: &ChangeSet) {
        self.bytes = state::keep_changes(changes, &mut self.room);
        self.whole = self.bytes.is_some();
    }

    fn encoded(&self) -> Option<&[u8]> {
        self.room.get(..self.bytes?)
    }

    fn entries(&self) -> usize {
        self.bytes.map_or(0, |bytes| 1 + bytes.div_ceil(CHUNK_BYTES))
    }
}

/// A list that never allocates: what does not fit is not whole any more.
#[derive(Debug)]
struct Shelf<T> {
    values: Vec<T>,
    whole: bool,
}

impl<T> Shelf<T> {
    fn new(capacity: usize) -> Self {
        Self { values: Vec::with_capacity(capacity), whole: true }
    }

    fn clear(&mut self) {
        self.values.clear();
        self.whole = true;
    }

    fn note(&mut self, value: T) {
        if self.values.len() < self.values.capacity() {
            self.values.push(value);
        } else {
            self.whole = false;
        }
    }
}

impl Tape {
    pub(crate) fn new(
        ring: Producer<Entry>,
        wanted: Consumer<StateWanted>,
        state_bytes: usize,
        setpoints: usize,
    ) -> Self {
        Self {
            ring,
            wanted,
            state: vec![0; state_bytes].into(),
            setpoints,
            progress: Progress::Waiting { lost: 0, since: None, told: true },
            notes: Notes::new(state_bytes),
        }
    }

    /// Runs one cycle on these ports and notes what passes them. `steps_sent` is the number of steps that the learner was
    /// sent before.
    ///
    /// # Real-time
    /// What [`Cycle::run`] takes, and a copy of what passed: bounded by the number of reports. Wait-free, no allocation. Now
    /// and then, when a new file begins, the state is encoded first: bounded by tags, columns and setpoints.
    #[expect(clippy::too_many_arguments, reason = "the cycle's ports, one by one")]
    pub fn run<S: PolicySource>(
        &mut self,
        slot: &Slot,
        steps_sent: u64,
        cycle: &mut Cycle,
        clock: &impl Clock,
        field: &mut impl Field,
        commands: &mut impl Commands,
        agent: &mut Agent<S>,
        recorder: &mut impl Recorder,
    ) -> CycleOutcome {
        if self.wanted.pop().is_some() {
            self.keep_state(steps_sent, cycle, agent);
        }
        self.notes.clear();
        let Notes { commands: noted_commands, changes, reports, events, readings, adopted, set } = &mut self.notes;
        cycle.run(
            slot,
            &NotedClock { clock, readings },
            &mut NotedField { field, reports, set },
            &mut NotedCommands { commands, noted: noted_commands, changes },
            &mut NotedPolicy { policy: agent, adopted },
            &mut NotedRecorder { recorder, events },
        )
    }

    /// Hands the cycle that was run over to the scribe, all of it or nothing: to be called when its record and its step are
    /// published, because that is where the scribe takes them from.
    ///
    /// # Real-time
    /// Wait-free; bounded by the number of reports.
    pub fn hand_over(&mut self, slot: &Slot) {
        if self.progress == Progress::Recording && self.notes.is_whole() {
            let values = if self.notes.set.is_some() { self.setpoints } else { 0 };
            if self.ring.room() >= self.notes.entries() + values {
                return self.push_cycle(slot);
            }
        }
        self.lose(slot);
    }

    /// The state goes ahead of the cycle that is to come. When there is no room for it the scribe asks again.
    fn keep_state<S: PolicySource>(&mut self, steps_sent: u64, cycle: &mut Cycle, agent: &mut Agent<S>) {
        let lost = match self.progress {
            Progress::Recording => 0,
            Progress::Waiting { lost, .. } => lost,
        };
        let Some(bytes) = state::keep(cycle, agent, &mut self.state) else { return };
        let state = self.state.get(..bytes).unwrap_or_default();
        let entries = 1 + bytes.div_ceil(CHUNK_BYTES);
        if self.ring.room() < entries {
            return;
        }
        let generation = agent.source().current().map_or(NOMINAL_GENERATION, AdoptedPolicy::generation);
        let length = u32::try_from(bytes).unwrap_or(u32::MAX);
        // There is room for all of them: this thread is the only one that fills the ring.
        let _ = self.ring.push(Entry::State { bytes: length, generation, steps_sent, lost });
        for chunk in chunks(state) {
            let _ = self.ring.push(chunk);
        }
        self.progress = Progress::Recording;
    }

    fn push_cycle(&mut self, slot: &Slot) {
        let Self { ring, notes, setpoints, .. } = self;
        // There is room for all of it: this thread is the only one that fills the ring.
        let mut push = |entry| {
            let _ = ring.push(entry);
        };
        push(Entry::Slot(*slot));
        notes.commands.values.iter().for_each(|command| push(Entry::Command(*command)));
        if let Some(changes) = notes.changes.encoded() {
            push(Entry::Changes { bytes: u32::try_from(changes.len()).unwrap_or(u32::MAX) });
            chunks(changes).for_each(&mut push);
        }
        notes.reports.values.iter().for_each(|report| push(Entry::Report(*report)));
        let Readings { taken, count } = notes.readings.get();
        taken.iter().take(count).for_each(|reading| push(Entry::Reading(*reading)));
        if let Some(generation) = notes.adopted {
            push(Entry::Adopted(generation));
        }
        if let Some((set, taken)) = &notes.set {
            let SetpointSet { expires, heartbeat, alarms, .. } = *set;
            push(Entry::Set { expires, heartbeat, alarms, taken: *taken });
            set.values.iter().take(*setpoints).for_each(|value| push(Entry::Value(*value)));
        }
        notes.events.values.iter().for_each(|event| push(Entry::Event(*event)));
        push(Entry::End);
    }

    fn lose(&mut self, slot: &Slot) {
        let (lost, since, told) = match self.progress {
            Progress::Recording => (0, None, false),
            Progress::Waiting { lost, since, told } => (lost, since, told),
        };
        let since = since.unwrap_or(slot.index);
        let told = told || self.ring.push(Entry::Lost { cycle: since }).is_ok();
        self.progress = Progress::Waiting { lost: lost + 1, since: Some(since), told };
    }
}

/// Bytes as entries, the last one filled up with zeros.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = Entry> {
    bytes.chunks(CHUNK_BYTES).map(|part| {
        let mut chunk = [0; CHUNK_BYTES];
        chunk.iter_mut().zip(part).for_each(|(to, from)| *to = *from);
        Entry::Chunk(chunk)
    })
}

impl Notes {
    fn new(changes_bytes: usize) -> Self {
        Self {
            commands: Shelf::new(COMMANDS_PER_CYCLE_MAX),
            changes: KeptChanges::new(changes_bytes),
            reports: Shelf::new(REPORTS_PER_CYCLE_MAX),
            events: Shelf::new(EVENTS_MAX),
            readings: Cell::default(),
            adopted: None,
            set: None,
        }
    }

    fn clear(&mut self) {
        self.commands.clear();
        self.changes.clear();
        self.reports.clear();
        self.events.clear();
        self.readings.set(Readings::default());
        (self.adopted, self.set) = (None, None);
    }

    fn is_whole(&self) -> bool {
        let lists = self.commands.whole && self.reports.whole && self.events.whole;
        lists && self.changes.whole && self.readings.get().count <= READINGS_MAX
    }

    /// Entries of the ring, without the values of the set.
    fn entries(&self) -> usize {
        const SLOT_AND_END: usize = 2;
        let lists = self.commands.values.len() + self.reports.values.len() + self.events.values.len();
        let single = usize::from(self.adopted.is_some()) + usize::from(self.set.is_some());
        SLOT_AND_END + lists + self.changes.entries() + self.readings.get().count + single
    }
}

struct NotedClock<'a, C> {
    clock: &'a C,
    readings: &'a Cell<Readings>,
}

impl<C: Clock> Clock for NotedClock<'_, C> {
    fn now(&self) -> MonoTime {
        let now = self.clock.now();
        let mut readings = self.readings.get();
        if let Some(place) = readings.taken.get_mut(readings.count) {
            *place = now;
        }
        readings.count = readings.count.saturating_add(1);
        self.readings.set(readings);
        now
    }
}

struct NotedField<'a, F> {
    field: &'a mut F,
    reports: &'a mut Shelf<FieldReport>,
    set: &'a mut Option<(SetpointSet, bool)>,
}

impl<F: Field> Field for NotedField<'_, F> {
    fn next_report(&mut self) -> Option<FieldReport> {
        let report = self.field.next_report()?;
        self.reports.note(report);
        Some(report)
    }

    fn send(&mut self, set: &SetpointSet) -> bool {
        let taken = self.field.send(set);
        *self.set = Some((*set, taken));
        taken
    }
}

struct NotedCommands<'a, C> {
    commands: &'a mut C,
    noted: &'a mut Shelf<Command>,
    changes: &'a mut KeptChanges,
}

impl<C: Commands> Commands for NotedCommands<'_, C> {
    fn next_command(&mut self) -> Option<Command> {
        let command = self.commands.next_command()?;
        self.noted.note(command);
        Some(command)
    }

    fn next_changes(&mut self) -> Option<&ChangeSet> {
        let changes = self.commands.next_changes()?;
        self.changes.note(changes);
        Some(changes)
    }
}

/// The policy itself is computed again in a replay; what is noted is which weights it follows.
struct NotedPolicy<'a, P> {
    policy: &'a mut P,
    adopted: &'a mut Option<u64>,
}

impl<P: Policy> Policy for NotedPolicy<'_, P> {
    fn adopt(&mut self) -> Option<u64> {
        *self.adopted = self.policy.adopt();
        *self.adopted
    }

    fn observe(&mut self, image: &Image, moment: &Moment) -> Observed {
        self.policy.observe(image, moment)
    }

    fn decide(&mut self, explore: bool, action: &mut Action) -> Result<(), NoAction> {
        self.policy.decide(explore, action)
    }
}

struct NotedRecorder<'a, R> {
    recorder: &'a mut R,
    events: &'a mut Shelf<EventKind>,
}

impl<R: Recorder> Recorder for NotedRecorder<'_, R> {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.recorder.cycle(view);
    }

    fn event(&mut self, event: Event) {
        self.events.note(event.kind);
        self.recorder.event(event);
    }
}

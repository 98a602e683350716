//! The same cycle, fed from a recording.

use std::cell::Cell;
use std::path::Path;
use std::slice;

use policy::kernels::Kernel;
use policy::pipeline::Columns;
use policy::{AdoptedPolicy, Agent, PolicySource, PolicySpec};
use rt_config::Site;
use rt_core::changes::ChangeSet;
use rt_core::cycle::Cycle;
use rt_core::ports::{Clock, Command, Commands, Field, FieldReport, Recorder};
use rt_core::record::{CycleView, Event, EventKind, Flags};
use rt_core::setpoint::SetpointSet;
use rt_core::time::MonoTime;
use shm_layout::{CycleHead, CycleLayout, SetpointPart, StepHead, StepLayout, TagPart};

use crate::compare::{self, Difference, Part};
use crate::frame::{Changes, CycleFrame, Handover, KeptPolicy, Opening, POLICIES_KEPT};
use crate::outputs::CycleRecords;
use crate::state;

/// Why a recording cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayRefused {
    /// Its site is none for this program.
    #[error("the recorded site file is refused by this version of CoreRL\n{0}")]
    Site(String),
    /// No cycle or agent can be made for its site.
    #[error("the recorded site makes no cycle: {0}")]
    Cycle(String),
    /// Its state is none of such a cycle.
    #[error("the recorded state does not fit the recorded site: replay it with the version of CoreRL that made it")]
    State,
    /// Weights are not believed, or are for another network.
    #[error("the recorded weights of generation {generation} are not believed: {reason}")]
    Policy {
        /// Which.
        generation: u64,
        /// Why.
        reason: String,
    },
    /// A change set is not believed.
    #[error("the recorded change set {number} is not believed: {reason}")]
    Changes {
        /// Its number.
        number: u64,
        /// Why.
        reason: String,
    },
    /// The weights that a cycle follows are not in the file.
    #[error("the weights of generation {generation} are not in the recording")]
    NoPolicy {
        /// Which.
        generation: u64,
    },
}

/// A cycle and its agent, as they were when a file was opened, on one kernel.
#[derive(Debug)]
pub struct Replay {
    site: Site,
    spec: PolicySpec,
    cycle: Box<Cycle>,
    agent: Box<Agent<Deck>>,
    records: CycleRecords,
    step_layout: StepLayout,
    steps_sent: u64,
    generation: u64,
}

impl Replay {
    /// A replay of the file with this opening.
    ///
    /// # Errors
    /// Says what of it this program cannot use.
    pub fn new(opening: &Opening, kernel: Kernel) -> Result<Self, ReplayRefused> {
        let loaded = rt_config::parse_to_look_at(&opening.site_text, Path::new(&opening.site_file));
        let site = loaded.map_err(|refused| ReplayRefused::Site(refused.to_string()))?.site;
        let cycle_error = |error: &dyn ToString| ReplayRefused::Cycle(error.to_string());
        let lists = site.cycle_lists();
        let cycle = Cycle::new(&site.cycle_settings(&lists)).map_err(|error| cycle_error(&error))?;
        let agent = Agent::new(&site, Deck::default(), kernel).map_err(|error| cycle_error(&error))?;
        let (mut cycle, mut agent) = (Box::new(cycle), Box::new(agent));
        if !state::put_back(&mut cycle, &mut agent, &opening.state) {
            return Err(ReplayRefused::State);
        }
        let (setpoints, tags, columns) = (site.setpoints.len(), site.tags.len(), Columns::of(&site).len());
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let too_large = || cycle_error(&"it has more tags or columns than a record holds");
        let cycle_layout = CycleLayout::new(count(setpoints), count(tags)).ok_or_else(too_large)?;
        let step_layout = StepLayout::new(count(columns), count(setpoints)).ok_or_else(too_large)?;
        Ok(Self {
            spec: PolicySpec::of(&site),
            site,
            records: CycleRecords::new(cycle_layout, cycle.generation()),
            cycle,
            agent,
            step_layout,
            steps_sent: opening.steps_sent,
            generation: opening.generation,
        })
    }

    /// The site.
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// Takes weights in, before the first cycle that follows them.
    ///
    /// # Errors
    /// They are not believed.
    pub fn take_policy(&mut self, policy: &KeptPolicy) -> Result<(), ReplayRefused> {
        let generation = policy.origin.generation;
        let adopted = AdoptedPolicy::kept(&self.spec, policy.origin, &policy.parameters)
            .map_err(|error| ReplayRefused::Policy { generation, reason: error.to_string() })?;
        let deck = self.agent.source_mut();
        deck.policies.retain(|policy| policy.generation() != generation);
        deck.policies.push(adopted);
        let surplus = deck.policies.len().saturating_sub(POLICIES_KEPT);
        deck.policies.drain(..surplus);
        Ok(())
    }

    /// Runs the cycle once more and compares all that came out of it.
    ///
    /// # Errors
    /// The weights that it follows are missing.
    pub fn run(&mut self, recorded: &CycleFrame) -> Result<Result<(), Difference>, ReplayRefused> {
        self.generation = recorded.adopted.unwrap_or(self.generation);
        if !self.agent.source_mut().turn_to(self.generation, recorded.adopted.is_some()) {
            return Err(ReplayRefused::NoPolicy { generation: self.generation });
        }
        let mut field = RecordedField {
            reports: recorded.reports.iter(),
            taken: recorded.set.as_ref().is_none_or(|set| set.taken),
            set: None,
        };
        let changes = recorded.changes.as_ref().map(change_set).transpose()?;
        let mut commands = RecordedCommands { commands: recorded.commands.iter(), changes };
        let clock = RecordedClock { readings: &recorded.clock, asked: Cell::new(0) };
        let mut recorder = Replayed { records: &mut self.records, record: Vec::new(), events: Vec::new() };
        let outcome =
            self.cycle.run(&recorded.slot, &clock, &mut field, &mut commands, self.agent.as_mut(), &mut recorder);
        let came_out = CameOut {
            inputs_left: [
                field.reports.len(),
                commands.commands.len(),
                recorded.clock.len().abs_diff(clock.asked.get()),
            ],
            set: field.set,
            events: recorder.events,
            record: recorder.record,
            step: if outcome.flags.contains(Flags::OBSERVED) && outcome.mode.transitions() {
                self.step()
            } else {
                Vec::new()
            },
        };
        Ok(self.compare(recorded, &came_out))
    }

    fn step(&mut self) -> Vec<u64> {
        let mut words = vec![0; self.step_layout.words()];
        if let Ok(record) = self.step_layout.view_mut(&mut words) {
            record.head.sequence = self.steps_sent;
            self.agent.step().write_to(record);
        }
        self.steps_sent += 1;
        words
    }

    fn compare(&self, recorded: &CycleFrame, replayed: &CameOut) -> Result<(), Difference> {
        let cycle = recorded.slot.index;
        for (name, left) in ["reports", "commands", "clock readings"].into_iter().zip(&replayed.inputs_left) {
            compare::values(cycle, || format!("{name} that the cycle left or missed"), &0, left)?;
        }
        compare::words(cycle, &recorded.record, &replayed.record, self.parts_of_record())?;
        self.compare_sets(cycle, recorded.set.as_ref(), replayed.set.as_ref())?;
        compare::values(cycle, || "the events".to_owned(), &recorded.events, &replayed.events)?;
        compare::words(cycle, &recorded.step, &replayed.step, self.parts_of_step())
    }

    fn compare_sets(
        &self,
        cycle: u64,
        recorded: Option<&Handover>,
        replayed: Option<&SetpointSet>,
    ) -> Result<(), Difference> {
        let there = |is_there| if is_there { "there" } else { "not there" };
        let name = || "the setpoint set".to_owned();
        compare::values(cycle, name, &there(recorded.is_some()), &there(replayed.is_some()))?;
        let (Some(recorded), Some(replayed)) = (recorded, replayed) else { return Ok(()) };
        compare::values(cycle, || "the set's expiry".to_owned(), &recorded.expires, &replayed.expires)?;
        compare::values(cycle, || "the plant heartbeat".to_owned(), &recorded.heartbeat, &replayed.heartbeat)?;
        compare::values(cycle, || "the alarms".to_owned(), &recorded.alarms, &replayed.alarms)?;
        for (setpoint, (recorded, replayed)) in recorded.values.iter().zip(&replayed.values).enumerate() {
            // As bits: -0 is not 0, and NaN is itself.
            if recorded.map(f64::to_bits) != replayed.map(f64::to_bits) {
                let name = format!("setpoint {} in the set", self.setpoint_name(setpoint));
                compare::values(cycle, || name, &format!("{recorded:?}"), &format!("{replayed:?}"))?;
            }
        }
        Ok(())
    }

    fn setpoint_name(&self, setpoint: usize) -> &str {
        let tag = self.site.setpoints.get(setpoint).and_then(|setpoint| self.site.tags.get(setpoint.tag.index()));
        tag.map_or("?", |tag| &tag.name)
    }

    fn parts_of_record(&self) -> impl Iterator<Item = Part<'static>> {
        let part = |name: String, description| Part { name, description };
        let setpoints = (0..self.site.setpoints.len())
            .map(move |index| part(format!("setpoint {}: ", self.setpoint_name(index)), SetpointPart::DESCRIPTION));
        let tags = self.site.tags.iter().map(move |tag| part(format!("tag {}: ", tag.name), TagPart::DESCRIPTION));
        [part(String::new(), CycleHead::DESCRIPTION)].into_iter().chain(setpoints).chain(tags)
    }

    fn parts_of_step(&self) -> impl Iterator<Item = Part<'static>> {
        let number = |name: String| Part { name, description: "f32" };
        let columns = Columns::of(&self.site);
        let columns: Vec<_> = columns.as_slice().iter().map(|column| column.name.clone()).collect();
        let of_setpoints = move |what: &'static str| {
            (0..self.site.setpoints.len()).map(move |index| format!("step: {what} of {}", self.setpoint_name(index)))
        };
        let actions =
            ["action", "lower bound", "upper bound", "mean", "sample", "decision"].into_iter().flat_map(of_setpoints);
        let state = columns.into_iter().map(|name| format!("step: column {name}"));
        let head = Part { name: "step: ".to_owned(), description: StepHead::DESCRIPTION };
        [head].into_iter().chain(state.chain(actions).map(number))
    }
}

fn change_set(recorded: &Changes) -> Result<ChangeSet, ReplayRefused> {
    let Changes { number, setpoints, tags } = recorded;
    ChangeSet::new(*number, setpoints, tags)
        .map_err(|error| ReplayRefused::Changes { number: *number, reason: error.to_string() })
}

/// What came out of a replayed cycle.
struct CameOut {
    /// Reports and commands that the cycle did not take, and clock readings that it did not or too often ask for.
    inputs_left: [usize; 3],
    set: Option<SetpointSet>,
    events: Vec<EventKind>,
    record: Vec<u64>,
    step: Vec<u64>,
}

/// The recorded weights, and those in use.
#[derive(Debug, Default)]
struct Deck {
    policies: Vec<AdoptedPolicy>,
    current: Option<usize>,
    is_new: bool,
}

impl Deck {
    /// Whether there are weights of this generation.
    fn turn_to(&mut self, generation: u64, is_new: bool) -> bool {
        self.current = self.policies.iter().position(|policy| policy.generation() == generation);
        self.is_new = is_new;
        self.current.is_some()
    }
}

impl PolicySource for Deck {
    fn refresh(&mut self) -> bool {
        self.is_new
    }

    fn current(&self) -> Option<&AdoptedPolicy> {
        self.policies.get(self.current?)
    }
}

struct RecordedField<'a> {
    reports: slice::Iter<'a, FieldReport>,
    taken: bool,
    set: Option<SetpointSet>,
}

impl Field for RecordedField<'_> {
    fn next_report(&mut self) -> Option<FieldReport> {
        self.reports.next().copied()
    }

    fn send(&mut self, set: &SetpointSet) -> bool {
        self.set = Some(*set);
        self.taken
    }
}

struct RecordedCommands<'a> {
    commands: slice::Iter<'a, Command>,
    changes: Option<ChangeSet>,
}

impl Commands for RecordedCommands<'_> {
    fn next_command(&mut self) -> Option<Command> {
        self.commands.next().copied()
    }

    fn next_changes(&mut self) -> Option<&ChangeSet> {
        self.changes.as_ref()
    }
}

/// The clock as it was read. A cycle that asks more often than the recorded one is found out by the count.
struct RecordedClock<'a> {
    readings: &'a [MonoTime],
    asked: Cell<usize>,
}

impl Clock for RecordedClock<'_> {
    fn now(&self) -> MonoTime {
        let asked = self.asked.replace(self.asked.get() + 1);
        self.readings.get(asked).copied().unwrap_or(MonoTime::ZERO)
    }
}

struct Replayed<'a> {
    records: &'a mut CycleRecords,
    record: Vec<u64>,
    events: Vec<EventKind>,
}

impl Recorder for Replayed<'_> {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.record = self.records.fill(view).map(<[u64]>::to_vec).unwrap_or_default();
    }

    fn event(&mut self, event: Event) {
        self.events.push(event.kind);
    }
}

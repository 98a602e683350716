//! The control thread: the grid, the cycle, and what is counted about it.

use policy::kernels::Kernel;
use policy::{AdoptedPolicy, Agent, AgentError};
use rt_config::Site;
use rt_control::Wishes;
use rt_core::changes::ChangeSet;
use rt_core::cycle::{Cycle, CycleOutcome, SettingsError};
use rt_core::record::{Event, Flags};
use rt_core::schedule::Slot;
use rt_recording::Tape;
use rt_sys::{Granted, MonotonicClock, Pacer, Pacing, guard, prefault_stack};
use shm::spsc::{Consumer, Producer};
use shm::{broadcast, cell, counters, histogram};
use shm_layout::{Counter, StepLayout};

use crate::adapters::{Line, Lines, Order, Orders, Recording, VerifiedPolicy};
use crate::segments::Records;
use crate::tenure::Tenure;

/// Stack that the loop may use without a fault.
const STACK_PREFAULT_BYTES: usize = 512 * 1024;

/// Everything that the control thread owns. It is built at rest, moved to the thread once, and never allocates again.
pub struct ControlLoop {
    clock: MonotonicClock,
    pacing: Pacing,
    cycle: Box<Cycle>,
    lines: Lines,
    orders: Orders,
    agent: Box<Agent<VerifiedPolicy>>,
    recording: Recording,
    steps: StepRing,
    counters: counters::Writer<Counter>,
    timing: Timing,
    /// The recording, when there is one.
    tape: Option<Tape>,
}

/// The control thread's ends of everything that connects it with other threads and processes.
pub struct Ends {
    /// The connections to the plant.
    pub lines: Vec<Line>,
    /// The keeper's orders.
    pub orders: Consumer<Order>,
    /// Changes of limits, nominal values and rules for tags.
    pub changes: cell::Reader<Box<ChangeSet>>,
    /// The lease of the plant.
    pub tenure: Tenure,
    /// Events, to the keeper.
    pub events: Producer<Event>,
    /// Networks that were verified and packed.
    pub networks: cell::Reader<AdoptedPolicy>,
    /// What others read.
    pub records: Records,
}

/// Why there is no control loop for a site.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum UnfitForControl {
    /// The cycle refuses the settings.
    #[error(transparent)]
    Cycle(#[from] SettingsError),
    /// There is no agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// The histograms of a cycle.
struct Timing {
    lateness: histogram::Writer,
    execution: histogram::Writer,
    response: histogram::Writer,
    inference: histogram::Writer,
}

/// The ring through which the learner gets its steps.
struct StepRing {
    ring: broadcast::Writer,
    layout: StepLayout,
    words: Box<[u64]>,
    sent: u64,
    wishes: Wishes,
}

impl ControlLoop {
    /// The loop of this site, before its first cycle.
    ///
    /// # Errors
    /// When cycle or agent refuse the site.
    pub fn new(site: &Site, kernel: Kernel, clock: MonotonicClock, ends: Ends) -> Result<Self, UnfitForControl> {
        let Ends { lines, orders, changes, tenure, events, networks, records } = ends;
        let Records { cycle_layout, step_layout, cycles, steps, counters, histograms } = records;
        let [lateness, execution, response, inference] = histograms;
        let cycle = Cycle::new(&site.cycle_settings(&site.cycle_lists()))?;
        Ok(Self {
            clock,
            pacing: Pacing {
                period: site.runtime.period,
                phase: site.runtime.phase,
                spin: site.runtime.spin,
                cpu_is_alone: false,
            },
            cycle: Box::new(cycle),
            lines: Lines::new(lines),
            orders: Orders::new(orders, changes, tenure),
            agent: Box::new(Agent::new(site, VerifiedPolicy::new(networks), kernel)?),
            recording: Recording::new(cycles, cycle_layout, events),
            steps: StepRing::new(steps, step_layout),
            counters,
            timing: Timing { lateness, execution, response, inference },
            tape: None,
        })
    }

    /// The same loop, with a recording of all its cycles.
    #[must_use]
    pub fn recorded_on(self, tape: Tape) -> Self {
        Self { tape: Some(tape), ..self }
    }

    /// Lays the grid, says that it is `ready`, and runs until the keeper orders a stop. The thread has been granted its CPU
    /// and priority; `cpu_is_alone` says that the CPU is for nothing else of ours.
    ///
    /// # Real-time
    /// The control thread itself: one system call per cycle, the sleep.
    pub(crate) fn run(mut self, granted: &Granted, cpu_is_alone: bool, ready: impl FnOnce()) {
        prefault_stack::<STACK_PREFAULT_BYTES>();
        let mut pacer = Pacer::start(self.clock, &Pacing { cpu_is_alone, ..self.pacing }, granted);
        self.counters.set(Counter::Period, self.pacing.period.as_ns());
        self.counters.set(Counter::SpinMargin, pacer.margin().as_ns());
        // Before anyone is told: the io grids are laid behind this one.
        self.counters.set(Counter::TimeFirst, pacer.grid().t0().as_ns());
        ready();
        let mut allocations = Allocations::default();
        while !self.orders.stop {
            let slot = pacer.next_slot().slot;
            self.work(&slot, &pacer, &mut allocations);
        }
        guard::disarm();
    }

    /// All that is done between two sleeps. `cargo xtask purity` follows every call from here in the released program, and
    /// has RealtimeSanitizer watch it in a build of its own (`--cfg rtsan`).
    ///
    /// # Real-time
    /// Wait-free.
    #[inline(never)]
    #[cfg_attr(rtsan, sanitize(realtime = "nonblocking"))]
    fn work(&mut self, slot: &Slot, pacer: &Pacer, allocations: &mut Allocations) {
        let outcome = self.one_cycle(slot);
        allocations.note(self.orders.warmed_up);
        self.count(pacer, slot, &outcome, allocations);
    }

    /// The work of one slot: the cycle, and the step for the learner.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn one_cycle(&mut self, slot: &Slot) -> CycleOutcome {
        self.orders.begin_cycle(slot.woke);
        let Self { clock, cycle, lines, orders, agent, recording, steps, tape, .. } = self;
        let outcome = match tape {
            None => cycle.run(slot, clock, lines, orders, agent.as_mut(), recording),
            Some(tape) => tape.run(slot, steps.sent, cycle, clock, lines, orders, agent, recording),
        };
        orders.end_cycle(outcome.flags.contains(Flags::ARMED));
        if outcome.flags.contains(Flags::OBSERVED) && outcome.mode.transitions() {
            steps.send(agent);
        }
        if let Some(tape) = tape {
            tape.hand_over(slot);
        }
        outcome
    }

    fn count(&mut self, pacer: &Pacer, slot: &Slot, outcome: &CycleOutcome, allocations: &Allocations) {
        self.timing.lateness.record(slot.lateness.as_ns());
        self.timing.execution.record(outcome.execution.as_ns());
        if let Some(response) = outcome.response {
            self.timing.response.record(response.as_ns());
        }
        if let Some(inference) = outcome.inference {
            self.timing.inference.record(inference.as_ns());
        }
        let totals = &self.recording.totals;
        let delays = pacer.delays();
        let figures = [
            (Counter::Cycles, pacer.grid().cycles()),
            (Counter::SlotsSkipped, pacer.grid().skipped()),
            (Counter::MissesByBody, delays.by_body),
            (Counter::MissesByWake, delays.by_wake),
            (Counter::MissesByGap, delays.by_gap),
            (Counter::SpinGaps, delays.gaps),
            (Counter::SpinGapLongest, delays.gap_longest.as_ns()),
            // The clock's word, not the count's: whoever checks the slot identity takes it from here.
            (Counter::TimeLast, slot.woke.as_ns()),
            (Counter::Mode, outcome.mode as u64),
            (Counter::Armed, u64::from(outcome.flags.contains(Flags::ARMED))),
            (Counter::LeaseEpoch, self.orders.lease_epoch()),
            (Counter::Connected, u64::from(outcome.flags.contains(Flags::LINK))),
            (Counter::Clamps, totals.clamps),
            (Counter::NanOutputs, totals.not_finite),
            (Counter::NoWrites, totals.no_writes),
            (Counter::SetpointsLost, totals.sets_lost),
            (Counter::PolicyGeneration, totals.generation),
            (Counter::TransitionsSent, self.steps.sent),
            (Counter::GoalsJudged, self.steps.wishes.goals_judged),
            (Counter::GoalsMet, self.steps.wishes.goals_met),
            (Counter::ZonesJudged, self.steps.wishes.zones_judged),
            (Counter::ZonesClear, self.steps.wishes.zones_clear),
            (Counter::AllocationsInCycle, allocations.counted),
        ];
        for (counter, value) in figures {
            self.counters.set(counter, value);
        }
    }
}

/// Allocations of this thread since the warm-up ended.
#[derive(Default)]
struct Allocations {
    armed: bool,
    counted: u64,
}

impl Allocations {
    fn note(&mut self, warmed_up: bool) {
        if warmed_up && !self.armed {
            guard::arm();
            self.armed = true;
        }
        self.counted = guard::counts().total();
    }
}

impl StepRing {
    fn new(ring: broadcast::Writer, layout: StepLayout) -> Self {
        Self { ring, layout, words: vec![0; layout.words()].into(), sent: 0, wishes: Wishes::default() }
    }

    fn send(&mut self, agent: &Agent<VerifiedPolicy>) {
        let step = agent.step();
        note(&mut self.wishes, step.goals_met, step.zones_clear);
        // The words have the layout's size by construction; were it otherwise, the step is left out and the cycle goes on.
        let Ok(record) = self.layout.view_mut(&mut self.words) else { return };
        record.head.sequence = self.sent;
        step.write_to(record);
        self.sent += u64::from(self.ring.publish(&self.words).is_ok());
    }
}

/// Counts whether the site's goals and zones could be judged, and were as they should be.
fn note(wishes: &mut Wishes, goals_met: Option<bool>, zones_clear: Option<bool>) {
    wishes.goals_judged += u64::from(goals_met.is_some());
    wishes.goals_met += u64::from(goals_met == Some(true));
    wishes.zones_judged += u64::from(zones_clear.is_some());
    wishes.zones_clear += u64::from(zones_clear == Some(true));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_judged_counts_neither_as_met_nor_as_missed() {
        let mut wishes = Wishes::default();
        for said in [(Some(true), None), (Some(true), Some(true)), (Some(false), Some(false)), (None, Some(false))] {
            note(&mut wishes, said.0, said.1);
        }
        assert_eq!(wishes, Wishes { goals_judged: 3, goals_met: 2, zones_judged: 3, zones_clear: 1 });
    }
}

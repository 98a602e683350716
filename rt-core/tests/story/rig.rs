//! The cycle's world: a plant that answers one cycle later, a policy that says what it is told to, a simulated clock.

use std::cell::Cell;
use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::rc::Rc;

use rt_core::changes::{ChangeSet, SetpointTuning};
use rt_core::cycle::{Cycle, CycleOutcome, CycleSettings};
use rt_core::envelope::{Interlock, Limits, LimitsByMode};
use rt_core::fallback::FallbackLaw;
use rt_core::image::Image;
use rt_core::mode::{Mode, ModeSettings};
use rt_core::ports::{
    Action, Because, Clock, Command, Commands, Field, FieldReport, Moment, NoAction, Observed, Policy, Recorder,
};
use rt_core::record::{CycleView, Event, EventKind, Flags, SetpointRow};
use rt_core::schedule::Grid;
use rt_core::setpoint::{Rate, ScalarKind, SetpointSet, SetpointSettings};
use rt_core::tag::{Quality, Sample, TagId, TagSettings};
use rt_core::time::{MonoTime, Period, Span};
use rt_core::trips::{ChatterSettings, OutOf, TripSettings};

pub(crate) const PERIOD: Period = Period::from_ns(1_000_000).unwrap();
/// Every setpoint moves by at most 0.1 in a cycle.
pub(crate) const RATE_PER_S: f64 = 100.0;
pub(crate) const STEP: f64 = 0.1;

/// The tags: one measured value, two read-backs, and of a cascade the operator's setpoint and the mode.
pub(crate) fn tag(index: usize) -> TagId {
    TagId::new(index).unwrap()
}

#[derive(Clone)]
pub(crate) struct TestClock(pub(crate) Rc<Cell<MonoTime>>);

impl Clock for TestClock {
    fn now(&self) -> MonoTime {
        self.0.get()
    }
}

/// The plant and the io thread together: what is sent in one cycle is written and read back before the next one.
pub(crate) struct Plant {
    pub(crate) reports: VecDeque<FieldReport>,
    pub(crate) sent: Option<SetpointSet>,
    pub(crate) values: [f64; 2],
    pub(crate) measured: f64,
    pub(crate) quality: Quality,
    /// The measured value is not updated.
    pub(crate) silent: bool,
    pub(crate) link: bool,
    pub(crate) refuses: [bool; 2],
    /// The outcome of writes is not reported.
    pub(crate) mute: bool,
    /// Writes are confirmed and do not move the setpoint.
    pub(crate) stuck: [bool; 2],
    /// A person moves the setpoints, between our write and the next reading.
    pub(crate) hand: [Option<f64>; 2],
    /// The operator's half of a cascade, whose other half is setpoint 0.
    pub(crate) panel: Option<Panel>,
    /// Sets that were handed over since the last one that moved the setpoint.
    pub(crate) waiting: [usize; 2],
    pub(crate) heartbeats: Vec<u16>,
    /// What was written last into the tags of the alarms, as bits.
    pub(crate) alarms: Option<u32>,
    pub(crate) sets: usize,
}

/// What an operator has beside the agent's setpoint: one of their own, and the word of which the plant follows.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    pub(crate) setpoint: f64,
    pub(crate) operator: bool,
    /// Nobody can read the word.
    pub(crate) hidden: bool,
    /// While the plant follows the operator's setpoint, the agent's follows it, too.
    pub(crate) tracks: bool,
}

impl Panel {
    pub(crate) const OPERATORS: Self = Self { setpoint: 5.0, operator: true, hidden: false, tracks: false };

    /// The word that the mode tag shows: 1 for the operator, 2 for the agent.
    fn show(&self) -> f64 {
        let shown = Some(self.operator).filter(|_| !self.hidden);
        shown.map_or(f64::NAN, |operator| if operator { 1.0 } else { 2.0 })
    }
}

impl Plant {
    pub(crate) fn connect(&mut self) {
        self.link = true;
        self.reports.push_back(FieldReport::Link(true));
        self.reports.push_back(FieldReport::Kind { setpoint: 0, kind: ScalarKind::Double });
        self.reports.push_back(FieldReport::Kind { setpoint: 1, kind: ScalarKind::Float });
    }

    pub(crate) fn disconnect(&mut self) {
        self.link = false;
        self.reports.push_back(FieldReport::Link(false));
    }

    /// One I/O cycle at `now`.
    pub(crate) fn exchange(&mut self, now: MonoTime) {
        if !self.link {
            return;
        }
        if let Some(set) = self.sent.take().filter(|set| set.expires >= now) {
            let present = set.values.iter().enumerate().filter(|(_, value)| value.is_some());
            let bits = present.fold(0, |bits, (index, _)| bits | 1 << index);
            let refused = bits & (u32::from(self.refuses[0]) | u32::from(self.refuses[1]) << 1);
            let written = bits & !refused;
            if self.refuses != [true; 2] {
                let moves = |index: &usize| !self.stuck[*index] && !self.refuses[*index];
                for (index, value) in set.values.iter().enumerate().take(2).filter(|(index, _)| moves(index)) {
                    let (held, reach) = (self.values[index], STEP * self.waiting[index] as f64 + 1e-9);
                    let value = value.unwrap_or(held);
                    assert!((value - held).abs() <= reach, "F31: the plant is moved from {held} to {value}");
                    (self.values[index], self.waiting[index]) = (value, 0);
                }
                self.heartbeats.extend(set.heartbeat);
                self.alarms = set.alarms.or(self.alarms);
            }
            if !self.mute {
                self.reports.push_back(FieldReport::Wrote { cycle: set.cycle, written, refused });
            }
        }
        for (held, hand) in self.values.iter_mut().zip(&mut self.hand) {
            *held = hand.take().unwrap_or(*held);
        }
        let sample = |index, value, quality| {
            FieldReport::Sample(Sample { tag: tag(index), value, quality, received: now, source_time: 1 })
        };
        if let Some(panel) = &mut self.panel {
            if panel.operator && panel.tracks {
                self.values[0] = panel.setpoint;
            }
            self.reports.push_back(sample(3, panel.setpoint, Quality::Good));
            self.reports.push_back(sample(4, panel.show(), Quality::Good));
        }
        if !self.silent {
            self.reports.push_back(sample(0, self.measured, self.quality));
        }
        self.reports.push_back(sample(1, self.values[0], Quality::Good));
        self.reports.push_back(sample(2, self.values[1], Quality::Good));
    }
}

impl Field for Plant {
    fn next_report(&mut self) -> Option<FieldReport> {
        self.reports.pop_front()
    }

    fn send(&mut self, set: &SetpointSet) -> bool {
        self.sets += 1;
        self.waiting = self.waiting.map(|waiting| waiting + 1);
        self.sent = Some(*set);
        true
    }
}

/// Decides what it is told to.
pub(crate) struct Scripted {
    pub(crate) action: [f64; 2],
    pub(crate) complete: bool,
    pub(crate) generation: Option<u64>,
    pub(crate) observations: u64,
    pub(crate) decision_slots: u64,
    /// The cycles in which something happens upon which to decide.
    pub(crate) triggers: Vec<u64>,
    pub(crate) decisions: u64,
    pub(crate) explored: bool,
    /// How long a decision takes.
    pub(crate) takes: Span,
    /// The clock that goes on meanwhile.
    pub(crate) clock: TestClock,
}

impl Policy for Scripted {
    fn adopt(&mut self) -> Option<u64> {
        self.generation.take()
    }

    fn observe(&mut self, image: &Image, moment: &Moment) -> Observed {
        self.decision_slots += u64::from(moment.decision);
        self.observations += 1;
        let triggered = self.triggers.contains(&moment.cycle) && !moment.decision;
        Observed { complete: self.complete, reward: image.usable(tag(0)), because: Because::default(), triggered }
    }

    fn decide(&mut self, explore: bool, action: &mut Action) -> Result<(), NoAction> {
        self.decisions += 1;
        self.explored = explore;
        self.clock.0.set(self.clock.now() + self.takes);
        for (place, value) in action.iter_mut().zip(self.action) {
            *place = value;
        }
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) events: Vec<Event>,
    pub(crate) rows: Vec<SetpointRow>,
    pub(crate) cycles: u64,
    pub(crate) mode: Mode,
}

impl Recorder for Notes {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.cycles += 1;
        self.mode = view.mode;
        self.rows = view.setpoints.to_vec();
    }

    fn event(&mut self, event: Event) {
        self.events.push(event);
    }
}

#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) commands: VecDeque<Command>,
    changes: VecDeque<Box<ChangeSet>>,
    taken: Option<Box<ChangeSet>>,
}

impl Commands for Queue {
    fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    fn next_changes(&mut self) -> Option<&ChangeSet> {
        self.taken = Some(self.changes.pop_front()?);
        self.taken.as_deref()
    }
}

pub(crate) struct Rig {
    pub(crate) grid: Grid,
    pub(crate) clock: TestClock,
    /// Boxed: it is large, and the rig moves.
    pub(crate) cycle: Box<Cycle>,
    pub(crate) plant: Plant,
    pub(crate) policy: Scripted,
    pub(crate) commands: Queue,
    pub(crate) notes: Notes,
    pub(crate) limits: [LimitsByMode; 2],
    /// Its memory is not what it was.
    pub(crate) damaged: bool,
    /// It has alarms.
    rings: bool,
}

pub(crate) fn limits(lo: f64, hi: f64) -> LimitsByMode {
    LimitsByMode::same(Limits { lo, hi, rate: Rate::PerSecond(RATE_PER_S) })
}

pub(crate) fn setpoint(index: usize, fallback: FallbackLaw) -> SetpointSettings {
    SetpointSettings {
        tag: tag(index),
        limits: limits(0.0, 10.0),
        fallback,
        operator_when: None,
        cascade: None,
        refresh: Span::from_ms(100),
    }
}

pub(crate) fn tags() -> [TagSettings; 5] {
    let required = TagSettings {
        required: true,
        stale_after: Span::from_ms(5),
        substitute_for: Span::from_ms(3),
        source_time_advancing: false,
        sound: None,
        spike: None,
        frozen_after: None,
    };
    [true, true, true, false, false].map(|needed| TagSettings { required: needed, ..required })
}

pub(crate) fn with_settings<T>(interlocks: &[(usize, Interlock)], use_them: impl FnOnce(CycleSettings<'_>) -> T) -> T {
    let (tags, setpoints) = (tags(), [setpoint(1, FallbackLaw::Hold), setpoint(2, RAMP)]);
    use_them(CycleSettings {
        period: PERIOD,
        observe_every: NonZeroU64::new(5).unwrap(),
        decide_every: NonZeroU64::new(10).unwrap(),
        tags: &tags,
        setpoints: &setpoints,
        interlocks,
        alarms: &[],
        expiry: Span::from_ms(2),
        confirm_within: Span::from_ms(10),
        settle_within: Span::from_ms(5),
        decide_within: Span::from_ns(500_000),
        modes: ModeSettings {
            hold_max: Span::from_ms(50),
            recover_after: Span::from_ms(30),
            returns_per_hour: 3,
            release_after: Span::from_ms(200),
        },
        trips: TripSettings {
            not_finite_cycles_max: 1,
            out_of_bounds_max: 3,
            refused_max: 2,
            overruns: OutOf { m: 3, n: 20 },
            chatter: Some(ChatterSettings { reversals: OutOf { m: 10, n: 12 }, stroke: 0.01 }),
            late_decisions: OutOf { m: 3, n: 10 },
            incomplete_max: 4,
        },
        policy_age_max: Some(Span::from_ms(2_000)),
        first_policy_waits: false,
        explore: true,
    })
}

pub(crate) const RAMP: FallbackLaw = FallbackLaw::Ramp { target: 1.0, per_second: 50.0 };

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with_interlocks(&[])
    }

    pub(crate) fn with_interlocks(interlocks: &[(usize, Interlock)]) -> Self {
        with_settings(interlocks, |settings| Self::with(&settings))
    }

    pub(crate) fn with(settings: &CycleSettings<'_>) -> Self {
        let t0 = MonoTime::from_ns(7_000_000_123);
        let clock = TestClock(Rc::new(Cell::new(t0)));
        let mut rig = Self {
            grid: Grid::new(t0, PERIOD),
            clock: clock.clone(),
            rings: !settings.alarms.is_empty(),
            cycle: Box::new(Cycle::new(settings).unwrap()),
            plant: Plant {
                reports: VecDeque::new(),
                sent: None,
                values: [5.0, 5.0],
                measured: 1.0,
                quality: Quality::Good,
                silent: false,
                link: false,
                refuses: [false; 2],
                mute: false,
                stuck: [false; 2],
                hand: [None; 2],
                panel: None,
                waiting: [0; 2],
                heartbeats: Vec::new(),
                alarms: None,
                sets: 0,
            },
            policy: Scripted {
                action: [6.0, 6.0],
                complete: true,
                generation: Some(1),
                observations: 0,
                decision_slots: 0,
                triggers: Vec::new(),
                decisions: 0,
                explored: false,
                takes: Span::ZERO,
                clock,
            },
            commands: Queue::default(),
            notes: Notes::default(),
            limits: [limits(0.0, 10.0); 2],
            damaged: false,
        };
        rig.plant.connect();
        rig
    }

    /// A rig in RUN that has reached the policy's action.
    pub(crate) fn running() -> Self {
        Self::new().started()
    }

    pub(crate) fn started(self) -> Self {
        let mut rig = self;
        rig.say(&[Command::Lease(true), Command::Arm]);
        rig.run(60);
        assert_eq!(rig.cycle.mode(), Mode::Run);
        assert!((rig.plant.values[0] - 6.0).abs() < 1e-9 && (rig.plant.values[1] - 6.0).abs() < 1e-6);
        rig
    }

    pub(crate) fn say(&mut self, commands: &[Command]) {
        self.commands.commands.extend(commands);
    }

    /// Gives the two setpoints other limits, and setpoint 0 this nominal value.
    pub(crate) fn change(&mut self, limits_of: [LimitsByMode; 2], nominal: f64) {
        let tunings = limits_of.map(|limits| SetpointTuning { limits, nominal });
        self.commands.changes.push_back(Box::new(ChangeSet::new(1, &tunings, &tags()).unwrap()));
        self.limits = limits_of;
    }

    /// One cycle that wakes up `late` after its release.
    pub(crate) fn cycle_late(&mut self, late: Span) -> CycleOutcome {
        let woke = self.grid.next_release() + late;
        self.plant.exchange(woke);
        self.clock.0.set(woke);
        let slot = self.grid.wake(woke);
        let before = self.plant.sets;
        let outcome =
            self.cycle.run(&slot, &self.clock, &mut self.plant, &mut self.commands, &mut self.policy, &mut self.notes);
        self.check(&outcome, self.plant.sets - before);
        outcome
    }

    pub(crate) fn run(&mut self, cycles: usize) {
        for _ in 0..cycles {
            self.cycle_late(Span::from_ns(20_000));
        }
    }

    /// What holds in every cycle.
    pub(crate) fn check(&self, outcome: &CycleOutcome, sets: usize) {
        assert_eq!(self.grid.cycles(), self.notes.cycles);
        assert_eq!(outcome.mode, self.notes.mode);
        let rings = self.rings && self.cycle.machine().lease();
        assert_eq!(sets, usize::from(outcome.mode.writes() || rings));
        for (index, row) in self.notes.rows.iter().enumerate() {
            assert_ne!(row.sent.is_some(), row.withheld.is_some(), "I4");
            assert_eq!(outcome.written >> index & 1 == 1, row.sent.is_some());
            let Some(sent) = row.sent else { continue };
            let last = row.last.unwrap();
            let Limits { lo, hi, .. } = self.limits[index].of(outcome.mode).unwrap();
            let distance = |value: f64| (lo - value).max(value - hi).max(0.0);
            assert!(sent.is_finite(), "I3");
            assert!(distance(sent) == 0.0 || distance(sent) < distance(last), "I1: {last} -> {sent}");
            assert!((sent - last).abs() <= STEP, "I2: {last} -> {sent}");
            assert!(outcome.mode.writes());
        }
        assert_eq!(outcome.flags.contains(Flags::FAULT), self.damaged);
    }

    pub(crate) fn modes(&self) -> Vec<(Mode, &'static str)> {
        let change = |event: &Event| match event.kind {
            EventKind::ModeChanged { to, cause, .. } => Some((to, cause.name())),
            _ => None,
        };
        self.notes.events.iter().filter_map(change).collect()
    }

    pub(crate) fn saw(&self, wanted: impl Fn(&EventKind) -> bool) -> bool {
        self.notes.events.iter().any(|event| wanted(&event.kind))
    }
}

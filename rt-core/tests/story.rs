//! The whole cycle on a simulated clock: a plant that answers one cycle later, a policy that says what it is told to.

use std::cell::Cell;
use std::collections::VecDeque;
use std::num::NonZeroU64;

use rt_core::cycle::{Cycle, CycleOutcome, CycleSettings, SettingsError};
use rt_core::envelope::{Interlock, InterlockAction, Limits, Withheld};
use rt_core::expression::{Op, Program};
use rt_core::image::Image;
use rt_core::mode::{Mode, ModeSettings};
use rt_core::ports::{
    Action, Clock, Command, Commands, Field, FieldReport, Moment, NoAction, Observed, Policy, Recorder,
};
use rt_core::record::{CycleView, Event, EventKind, Flags, SetpointRow};
use rt_core::schedule::Grid;
use rt_core::setpoint::{FallbackLaw, Rate, ScalarKind, SetpointSet, SetpointSettings};
use rt_core::tag::{Quality, Sample, TagId, TagSettings};
use rt_core::time::{MonoTime, Period, Span};
use rt_core::trips::TripSettings;

use proptest::prelude::*;

const PERIOD: Period = Period::from_ns(1_000_000).unwrap();
/// Every setpoint moves by at most 0.1 in a cycle.
const RATE_PER_S: f64 = 100.0;
const STEP: f64 = 0.1;

/// The tags: one measured value, two read-backs.
fn tag(index: usize) -> TagId {
    TagId::new(index).unwrap()
}

struct TestClock(Cell<MonoTime>);

impl Clock for TestClock {
    fn now(&self) -> MonoTime {
        self.0.get()
    }
}

/// The plant and the io thread together: what is sent in one cycle is written and read back before the next one.
struct Plant {
    reports: VecDeque<FieldReport>,
    sent: Option<SetpointSet>,
    values: [f64; 2],
    measured: f64,
    quality: Quality,
    link: bool,
    refuses: bool,
    /// The outcome of writes is not reported.
    mute: bool,
    heartbeats: Vec<u16>,
    sets: usize,
}

impl Plant {
    fn connect(&mut self) {
        self.link = true;
        self.reports.push_back(FieldReport::Link(true));
        self.reports.push_back(FieldReport::Kind { setpoint: 0, kind: ScalarKind::Double });
        self.reports.push_back(FieldReport::Kind { setpoint: 1, kind: ScalarKind::Float });
    }

    fn disconnect(&mut self) {
        self.link = false;
        self.reports.push_back(FieldReport::Link(false));
    }

    /// One I/O cycle at `now`.
    fn exchange(&mut self, now: MonoTime) {
        if !self.link {
            return;
        }
        if let Some(set) = self.sent.take().filter(|set| set.expires >= now) {
            let present = set.values.iter().enumerate().filter(|(_, value)| value.is_some());
            let bits = present.fold(0, |bits, (index, _)| bits | 1 << index);
            let (written, refused) = if self.refuses { (0, bits) } else { (bits, 0) };
            if !self.refuses {
                for (held, value) in self.values.iter_mut().zip(set.values) {
                    *held = value.unwrap_or(*held);
                }
                self.heartbeats.extend(set.heartbeat);
            }
            if !self.mute {
                self.reports.push_back(FieldReport::Wrote { cycle: set.cycle, written, refused });
            }
        }
        let sample = |index, value, quality| {
            FieldReport::Sample(Sample { tag: tag(index), value, quality, received: now, source_time: 1 })
        };
        self.reports.push_back(sample(0, self.measured, self.quality));
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
        self.sent = Some(*set);
        true
    }
}

/// Decides what it is told to.
struct Scripted {
    action: [f64; 2],
    complete: bool,
    generation: Option<u64>,
    observations: u64,
    decision_slots: u64,
    decisions: u64,
    explored: bool,
}

impl Policy for Scripted {
    fn adopt(&mut self) -> Option<u64> {
        self.generation.take()
    }

    fn observe(&mut self, image: &Image, moment: &Moment) -> Observed {
        self.decision_slots += u64::from(moment.decision);
        self.observations += 1;
        Observed { complete: self.complete, reward: image.usable(tag(0)) }
    }

    fn decide(&mut self, explore: bool, action: &mut Action) -> Result<(), NoAction> {
        self.decisions += 1;
        self.explored = explore;
        for (place, value) in action.iter_mut().zip(self.action) {
            *place = value;
        }
        Ok(())
    }
}

#[derive(Default)]
struct Notes {
    events: Vec<Event>,
    rows: Vec<SetpointRow>,
    cycles: u64,
    mode: Mode,
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
struct Queue(VecDeque<Command>);

impl Commands for Queue {
    fn next_command(&mut self) -> Option<Command> {
        self.0.pop_front()
    }
}

struct Rig {
    grid: Grid,
    clock: TestClock,
    cycle: Cycle,
    plant: Plant,
    policy: Scripted,
    commands: Queue,
    notes: Notes,
    limits: [(f64, f64); 2],
}

fn setpoint(index: usize, fallback: FallbackLaw) -> SetpointSettings {
    SetpointSettings {
        tag: tag(index),
        lo: 0.0,
        hi: 10.0,
        rate: Rate::PerSecond(RATE_PER_S),
        fallback,
        refresh: Span::from_ms(100),
    }
}

fn tags() -> [TagSettings; 3] {
    [TagSettings {
        required: true,
        stale_after: Span::from_ms(5),
        substitute_for: Span::from_ms(3),
        source_time_advancing: false,
    }; 3]
}

fn with_settings<T>(interlocks: &[(usize, Interlock)], use_them: impl FnOnce(CycleSettings<'_>) -> T) -> T {
    let (tags, setpoints) = (tags(), [setpoint(1, FallbackLaw::Hold), setpoint(2, RAMP)]);
    use_them(CycleSettings {
        period: PERIOD,
        observe_every: NonZeroU64::new(5).unwrap(),
        decide_every: NonZeroU64::new(10).unwrap(),
        tags: &tags,
        setpoints: &setpoints,
        interlocks,
        expiry: Span::from_ms(2),
        confirm_within: Span::from_ms(10),
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
            overruns: 3,
            overrun_window: 20,
            incomplete_max: 4,
        },
        policy_age_max: Some(Span::from_ms(2_000)),
        explore: true,
    })
}

const RAMP: FallbackLaw = FallbackLaw::Ramp { target: 1.0, per_second: 50.0 };

impl Rig {
    fn new() -> Self {
        Self::with_interlocks(&[])
    }

    fn with_interlocks(interlocks: &[(usize, Interlock)]) -> Self {
        let t0 = MonoTime::from_ns(7_000_000_123);
        let mut rig = Self {
            grid: Grid::new(t0, PERIOD),
            clock: TestClock(Cell::new(t0)),
            cycle: with_settings(interlocks, |settings| Cycle::new(&settings)).unwrap(),
            plant: Plant {
                reports: VecDeque::new(),
                sent: None,
                values: [5.0, 5.0],
                measured: 1.0,
                quality: Quality::Good,
                link: false,
                refuses: false,
                mute: false,
                heartbeats: Vec::new(),
                sets: 0,
            },
            policy: Scripted {
                action: [6.0, 6.0],
                complete: true,
                generation: Some(1),
                observations: 0,
                decision_slots: 0,
                decisions: 0,
                explored: false,
            },
            commands: Queue::default(),
            notes: Notes::default(),
            limits: [(0.0, 10.0); 2],
        };
        rig.plant.connect();
        rig
    }

    /// A rig in RUN that has reached the policy's action.
    fn running() -> Self {
        let mut rig = Self::new();
        rig.say(&[Command::Lease(true), Command::Arm]);
        rig.run(60);
        assert_eq!(rig.cycle.mode(), Mode::Run);
        assert!((rig.plant.values[0] - 6.0).abs() < 1e-9 && (rig.plant.values[1] - 6.0).abs() < 1e-6);
        rig
    }

    fn say(&mut self, commands: &[Command]) {
        self.commands.0.extend(commands);
    }

    /// One cycle that wakes up `late` after its release.
    fn cycle_late(&mut self, late: Span) -> CycleOutcome {
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

    fn run(&mut self, cycles: usize) {
        for _ in 0..cycles {
            self.cycle_late(Span::from_ns(20_000));
        }
    }

    /// What holds in every cycle.
    fn check(&self, outcome: &CycleOutcome, sets: usize) {
        assert_eq!(self.grid.cycles(), self.notes.cycles);
        assert_eq!(outcome.mode, self.notes.mode);
        assert_eq!(sets, usize::from(outcome.mode.writes()));
        for (index, row) in self.notes.rows.iter().enumerate() {
            assert_ne!(row.sent.is_some(), row.withheld.is_some(), "I4");
            assert_eq!(outcome.written >> index & 1 == 1, row.sent.is_some());
            let Some(sent) = row.sent else { continue };
            let last = row.last.unwrap();
            let (lo, hi) = self.limits[index];
            let distance = |value: f64| (lo - value).max(value - hi).max(0.0);
            assert!(sent.is_finite(), "I3");
            assert!(distance(sent) == 0.0 || distance(sent) < distance(last), "I1: {last} -> {sent}");
            assert!((sent - last).abs() <= STEP, "I2: {last} -> {sent}");
            assert!(outcome.mode.writes());
        }
        assert!(!outcome.flags.contains(Flags::FAULT));
    }

    fn modes(&self) -> Vec<(Mode, &'static str)> {
        let change = |event: &Event| match event.kind {
            EventKind::ModeChanged { to, cause, .. } => Some((to, cause.name())),
            _ => None,
        };
        self.notes.events.iter().filter_map(change).collect()
    }

    fn saw(&self, wanted: impl Fn(&EventKind) -> bool) -> bool {
        self.notes.events.iter().any(|event| wanted(&event.kind))
    }
}

#[test]
fn from_startup_to_run_through_an_outage_and_back() {
    let mut rig = Rig::new();
    rig.run(30);
    assert_eq!(rig.modes(), [(Mode::Shadow, "startup_complete")]);
    assert_eq!((rig.policy.observations, rig.policy.decision_slots, rig.policy.decisions), (5, 2, 2));
    assert!(!rig.policy.explored, "SHADOW decides and does not explore");
    assert_eq!((rig.plant.sets, rig.plant.heartbeats.len()), (0, 0), "and writes nothing");
    assert_eq!(rig.plant.values, [5.0, 5.0]);

    rig.say(&[Command::Lease(true), Command::Arm]);
    rig.run(31);
    assert!(rig.policy.explored);
    assert!((rig.plant.values[0] - 6.0).abs() < 1e-9);

    rig.plant.disconnect();
    rig.run(30);
    assert_eq!(rig.cycle.mode(), Mode::Hold);
    rig.run(30);
    assert_eq!(rig.cycle.mode(), Mode::Fallback);
    rig.run(1_000);
    assert_eq!(rig.cycle.mode(), Mode::Fallback, "an outage is waited out");

    // Meanwhile somebody moved the setpoints: from there it goes on, without a jump.
    rig.plant.values = [2.0, 8.0];
    rig.plant.connect();
    rig.run(10);
    assert!((rig.plant.values[0] - 2.0).abs() < 1e-9, "the fallback of setpoint 0 holds what it found");
    assert!(rig.plant.values[1] < 8.0, "that of setpoint 1 ramps to its target");
    assert!(rig.plant.values[1] > 8.0 - 10.5 * 0.05, "at the ramp's own speed, from where it found it");
    rig.run(100);
    assert!((rig.plant.values[0] - 6.0).abs() < 1e-9);
    assert_eq!(
        rig.modes(),
        [
            (Mode::Shadow, "startup_complete"),
            (Mode::Run, "armed"),
            (Mode::Hold, "link_lost"),
            (Mode::Fallback, "t_hold_elapsed"),
            (Mode::Run, "recovered"),
        ]
    );
    let beats: Vec<_> = rig.plant.heartbeats.iter().zip(rig.plant.heartbeats.iter().skip(1)).collect();
    assert!(beats.iter().all(|(a, b)| a != b), "the heartbeat counts");
}

#[test]
fn the_heartbeat_counts_modulo_1000_and_stops_with_writing() {
    let mut rig = Rig::running();
    for _ in 0..1_100 {
        rig.say(&[Command::PolicyConfirmed(rig.clock.now())]);
        rig.run(1);
    }
    let beats = &rig.plant.heartbeats;
    assert!(beats.windows(2).all(|pair| pair[1] == (pair[0] + 1) % 1000));
    assert!(beats.contains(&0) && beats.contains(&999) && !beats.contains(&1000));
    rig.say(&[Command::Release]);
    rig.run(2);
    let beats = rig.plant.heartbeats.len();
    rig.run(50);
    assert_eq!((rig.cycle.mode(), rig.plant.heartbeats.len()), (Mode::Release, beats));
    rig.say(&[Command::Arm]);
    rig.run(3);
    assert_eq!(rig.cycle.mode(), Mode::Run);
}

#[test]
fn an_output_that_is_not_finite_keeps_the_last_value_and_trips() {
    let mut rig = Rig::running();
    rig.policy.action = [f64::NAN, 6.0];
    let mut flagged = 0;
    for _ in 0..12 {
        let outcome = rig.cycle_late(Span::ZERO);
        if outcome.flags.contains(Flags::NOT_FINITE) {
            flagged += 1;
        }
        if flagged == 1 && outcome.flags.contains(Flags::NOT_FINITE) {
            assert_eq!(outcome.mode, Mode::Run, "the last good value in the same cycle");
            assert!((rig.notes.rows[0].sent.unwrap() - 6.0).abs() < 1e-9);
        }
    }
    assert_eq!((flagged, rig.cycle.mode()), (2, Mode::Fallback));
    assert!(rig.saw(|event| matches!(event, EventKind::Latched { cause } if cause.name() == "output_not_finite")));
    rig.policy.action = [6.0, 6.0];
    rig.run(200);
    assert_eq!(rig.cycle.mode(), Mode::Fallback, "latched");
    rig.say(&[Command::Reset]);
    rig.run(2);
    assert_eq!(rig.cycle.mode(), Mode::Run);
    assert!(rig.saw(|event| matches!(event, EventKind::LatchCleared { .. })));
}

#[test]
fn outputs_out_of_bounds_are_clamped_and_trip_when_they_go_on() {
    let mut rig = Rig::running();
    rig.policy.action = [99.0, 6.0];
    rig.run(30);
    assert_eq!(rig.cycle.mode(), Mode::Run);
    rig.run(10);
    assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "output_out_of_bounds")));
}

#[test]
fn refused_writes_are_read_back_before_they_are_repeated_and_trip() {
    let mut rig = Rig::running();
    rig.plant.refuses = true;
    rig.policy.action = [7.0, 7.0];
    let mut withheld = false;
    let refused = |event: &EventKind| matches!(event, EventKind::WriteRefused { setpoints: 3 });
    for _ in 0..100 {
        let seen_before = rig.saw(refused);
        rig.run(1);
        if rig.saw(refused) && !seen_before {
            withheld = rig.notes.rows[0].withheld == Some(Withheld::LastUnknown);
        }
    }
    assert!(withheld);
    assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "write_refused")));
}

#[test]
fn writes_that_nobody_confirms_are_held_until_they_are_read_back() {
    let mut rig = Rig::running();
    rig.plant.mute = true;
    rig.policy.action = [9.0, 6.0];
    rig.run(40);
    assert!(rig.modes().contains(&(Mode::Hold, "read_back_lost")));
    rig.plant.mute = false;
    rig.run(100);
    assert_eq!(rig.cycle.mode(), Mode::Run);
    assert!((rig.plant.values[0] - 9.0).abs() < 1e-9);
}

#[test]
fn a_bad_required_tag_leads_to_hold_and_back() {
    let mut rig = Rig::running();
    rig.plant.quality = Quality::Uncertain;
    rig.run(3);
    assert_eq!(rig.cycle.mode(), Mode::Run, "substituted");
    rig.run(3);
    assert_eq!(rig.modes().last(), Some(&(Mode::Hold, "required_tag_bad")));
    rig.plant.quality = Quality::Good;
    rig.run(2);
    assert_eq!(rig.modes().last(), Some(&(Mode::Run, "recovered")));
}

#[test]
fn a_pause_of_the_process_is_one_overrun_and_no_burst() {
    let mut rig = Rig::running();
    // The plant's samples were read before the pause: woken up, the runtime finds old ones.
    let woke = rig.grid.next_release() + Span::from_ms(5_000);
    rig.clock.0.set(woke);
    let slot = rig.grid.wake(woke);
    let outcome = rig.cycle.run(&slot, &rig.clock, &mut rig.plant, &mut rig.commands, &mut rig.policy, &mut rig.notes);
    assert_eq!((slot.skipped, outcome.mode, outcome.written), (5_000, Mode::Fallback, 0), "the policy aged, too");
    assert!(rig.saw(|event| matches!(event, EventKind::SlotsSkipped { count: 5_000 })));
    let elapsed = (slot.release.since(rig.grid.t0()).as_ns()) / PERIOD.as_ns() + 1;
    assert_eq!(elapsed, rig.grid.cycles() + rig.grid.skipped());
    rig.say(&[Command::PolicyConfirmed(woke)]);
    rig.run(40);
    assert_eq!(rig.cycle.mode(), Mode::Run);
}

#[test]
fn a_burst_of_overruns_trips() {
    let mut rig = Rig::running();
    for _ in 0..3 {
        rig.cycle_late(Span::from_ms(1));
    }
    assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "overruns")));
}

#[test]
fn an_unconfirmed_policy_ages_and_a_confirmed_one_does_not() {
    let mut rig = Rig::running();
    for _ in 0..30 {
        rig.run(100);
        rig.say(&[Command::PolicyConfirmed(rig.clock.now())]);
    }
    assert_eq!(rig.cycle.mode(), Mode::Run);
    rig.run(2_003);
    assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "policy_age")));
    rig.policy.generation = Some(2);
    rig.run(40);
    assert_eq!(rig.cycle.mode(), Mode::Run);
}

#[test]
fn incomplete_states_keep_the_last_action_and_lead_to_hold_when_they_go_on() {
    let mut rig = Rig::running();
    rig.policy.complete = false;
    rig.policy.action = [9.0, 9.0];
    rig.run(40);
    assert_eq!(rig.cycle.mode(), Mode::Run);
    assert!((rig.plant.values[0] - 6.0).abs() < 1e-9);
    rig.run(15);
    assert_eq!(rig.modes().last(), Some(&(Mode::Hold, "state_incomplete")));
    rig.policy.complete = true;
    rig.run(50);
    assert_eq!(rig.cycle.mode(), Mode::Run);
    assert!((rig.plant.values[0] - 9.0).abs() < 1e-9);
}

#[test]
fn an_action_from_before_an_interruption_does_not_come_back() {
    let mut rig = Rig::running();
    rig.policy.complete = false;
    rig.plant.disconnect();
    rig.run(15);
    rig.plant.values = [2.0, 2.0];
    rig.plant.connect();
    rig.run(4);
    assert_eq!((rig.cycle.mode(), rig.notes.rows[0].sent), (Mode::Run, Some(2.0)), "not on the way to 6");
}

#[test]
fn after_a_reconnect_nothing_is_written_before_the_data_types_are_known_again() {
    let mut rig = Rig::running();
    rig.plant.disconnect();
    rig.run(5);
    rig.plant.link = true;
    rig.plant.reports.push_back(FieldReport::Link(true));
    rig.run(10);
    assert_eq!((rig.cycle.mode(), rig.notes.rows[0].withheld), (Mode::Hold, Some(Withheld::KindUnknown)));
    rig.plant.connect();
    rig.run(2);
    assert_eq!((rig.cycle.mode(), rig.notes.rows[0].withheld), (Mode::Run, None));
}

#[test]
fn a_ramp_that_was_interrupted_goes_on_from_what_is_read_back() {
    let mut rig = Rig::running();
    rig.policy.action = [f64::NAN; 2];
    rig.run(60);
    assert_eq!(rig.cycle.mode(), Mode::Fallback);
    rig.plant.disconnect();
    rig.run(5);
    rig.plant.values = [8.0, 8.0];
    rig.plant.connect();
    rig.run(10);
    assert_eq!(rig.plant.values[0], 8.0);
    assert!(rig.plant.values[1] < 8.0 && rig.plant.values[1] > 8.0 - 10.5 * 0.05);
}

#[test]
fn losing_the_lease_stops_writing_in_the_same_cycle() {
    let mut rig = Rig::running();
    rig.say(&[Command::Lease(false)]);
    let outcome = rig.cycle_late(Span::ZERO);
    assert_eq!((outcome.mode, outcome.written, outcome.response), (Mode::Shadow, 0, None));
    assert_eq!(rig.modes().last(), Some(&(Mode::Shadow, "lease_lost")));
}

#[test]
fn an_interlock_can_take_the_hands_off_the_plant() {
    let condition = Program::new(&[Op::Tag(tag(0)), Op::Const(50.0), Op::Gt]).unwrap();
    let mut rig = Rig::with_interlocks(&[(1, Interlock { condition, action: InterlockAction::Release })]);
    rig.say(&[Command::Lease(true), Command::Arm]);
    rig.run(20);
    assert_eq!(rig.cycle.mode(), Mode::Run);
    rig.plant.measured = 51.0;
    rig.run(1);
    assert_eq!(rig.modes().last(), Some(&(Mode::Release, "interlock_release")));
}

#[test]
fn limits_that_shrink_during_run_lead_the_setpoint_back() {
    let mut rig = Rig::running();
    rig.limits[0] = (0.0, 3.0);
    let limits = Limits { lo: 0.0, hi: 3.0, rate: Rate::PerSecond(RATE_PER_S) };
    assert_eq!(rig.cycle.set_limits(0, limits), Ok(true));
    assert_eq!(rig.cycle.set_limits(2, limits), Ok(false));
    rig.policy.action = [2.5, 6.0];
    rig.run(60);
    assert_eq!((rig.cycle.mode(), rig.plant.values[0]), (Mode::Run, 2.5));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let refused = |change: fn(&mut CycleSettings<'_>)| {
        with_settings(&[], |mut settings| {
            change(&mut settings);
            Cycle::new(&settings).unwrap_err()
        })
    };
    let multiples = refused(|settings| settings.decide_every = NonZeroU64::new(12).unwrap());
    assert_eq!(multiples, SettingsError::Multiples { observe: 5, decide: 12 });
    let read_back = refused(|settings| settings.tags = &settings.tags[..2]);
    assert_eq!(read_back, SettingsError::ReadBack { setpoint: 1, tag: 2 });
    let confirmation = refused(|settings| settings.confirm_within = Span::ZERO);
    assert!(matches!(confirmation, SettingsError::Confirmation { .. }));
    let overruns = refused(|settings| settings.trips.overruns = 0);
    assert_eq!(overruns, SettingsError::Overruns { overruns: 0, window: 20 });
    assert!(matches!(refused(|settings| settings.modes.returns_per_hour = 17), SettingsError::Returns { .. }));
    let condition = Program::new(&[Op::Const(0.0)]).unwrap();
    let interlock = Interlock { condition, action: InterlockAction::BlockIncrease };
    let foreign = with_settings(&[(2, interlock)], |settings| Cycle::new(&settings).unwrap_err());
    assert_eq!(foreign, SettingsError::Interlock { interlock: 0, setpoint: 2 });
}

/// What may happen in one cycle of a bad day.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Nothing,
    Late(u64),
    Action(f64, f64),
    Incomplete(bool),
    Connection(bool),
    Refuse(bool),
    Mute(bool),
    Measured(f64),
    Quality(u8),
    MovedByHand(f64),
    Say(u8),
    Limits(f64, f64),
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        30 => Just(Mishap::Nothing),
        2 => (0_u64..20_000_000).prop_map(Mishap::Late),
        4 => (any::<f64>(), -2.0..12.0_f64).prop_map(|(a, b)| Mishap::Action(a, b)),
        4 => (0.0..10.0_f64, 0.0..10.0_f64).prop_map(|(a, b)| Mishap::Action(a, b)),
        1 => any::<bool>().prop_map(Mishap::Incomplete),
        2 => any::<bool>().prop_map(Mishap::Connection),
        1 => prop::bool::weighted(0.3).prop_map(Mishap::Refuse),
        1 => any::<bool>().prop_map(Mishap::Mute),
        1 => any::<f64>().prop_map(Mishap::Measured),
        1 => (0_u8..3).prop_map(Mishap::Quality),
        1 => (-20.0..30.0_f64).prop_map(Mishap::MovedByHand),
        8 => (0_u8..8).prop_map(Mishap::Say),
        1 => (0.0..10.0_f64, 0.0..10.0_f64).prop_map(|(a, b)| Mishap::Limits(a.min(b), a.max(b))),
    ]
}

impl Rig {
    fn befall(&mut self, mishap: Mishap) {
        let mut late = Span::ZERO;
        match mishap {
            Mishap::Nothing => {}
            Mishap::Late(ns) => late = Span::from_ns(ns),
            Mishap::Action(first, second) => self.policy.action = [first, second],
            Mishap::Incomplete(incomplete) => self.policy.complete = !incomplete,
            Mishap::Connection(true) => self.plant.connect(),
            Mishap::Connection(false) => self.plant.disconnect(),
            Mishap::Refuse(refuses) => self.plant.refuses = refuses,
            Mishap::Mute(mute) => self.plant.mute = mute,
            Mishap::Measured(value) => self.plant.measured = value,
            Mishap::Quality(number) => {
                self.plant.quality = [Quality::Good, Quality::Uncertain, Quality::Bad][usize::from(number)];
            }
            Mishap::MovedByHand(value) => self.plant.values = [value; 2],
            Mishap::Say(number) => self.say(&[[
                Command::Arm,
                Command::Arm,
                Command::Lease(true),
                Command::Reset,
                Command::Hold,
                Command::Disarm,
                Command::Release,
                Command::PolicyConfirmed(self.clock.now()),
            ][usize::from(number)]]),
            Mishap::Limits(lo, hi) => {
                let rate = Rate::PerSecond(RATE_PER_S);
                self.limits[0] = (lo, hi);
                assert_eq!(self.cycle.set_limits(0, Limits { lo, hi, rate }), Ok(true));
            }
        }
        self.cycle_late(late);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn whatever_happens_every_cycle_keeps_the_invariants_and_run_comes_back(
        mishaps in prop::collection::vec(mishap(), 1..400),
    ) {
        let mut rig = Rig::new();
        rig.say(&[Command::Lease(true), Command::Arm]);
        for mishap in mishaps {
            rig.befall(mishap);
        }
        // Everything is well again: the operator resets, arms, and it runs.
        (rig.plant.refuses, rig.plant.mute, rig.plant.quality, rig.plant.measured) = (false, false, Quality::Good, 1.0);
        (rig.policy.complete, rig.policy.action) = (true, [5.0, 5.0]);
        rig.befall(Mishap::Limits(0.0, 10.0));
        rig.plant.connect();
        rig.run(30);
        rig.say(&[Command::PolicyConfirmed(rig.clock.now()), Command::Lease(true), Command::Reset, Command::Arm]);
        rig.run(100);
        prop_assert_eq!(rig.cycle.mode(), Mode::Run);
    }
}

#[test]
fn the_same_inputs_give_the_same_bits() {
    let story = || {
        let mut rig = Rig::running();
        let mut bits = Vec::new();
        for cycle in 0..500_u64 {
            rig.policy.action = [5.0 + 4.0 * (cycle as f64 * 0.37).fract(), 3.0];
            rig.cycle_late(Span::from_ns(cycle * 7_919 % 900_000));
            bits.extend(rig.notes.rows.iter().map(|row| row.sent.map(f64::to_bits)));
        }
        bits
    };
    assert_eq!(story(), story());
}

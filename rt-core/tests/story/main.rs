//! The whole cycle on a simulated clock.

mod alarms;
mod cascade;
mod mishaps;
mod operator;
mod rig;

use std::num::NonZeroU64;

use rt_core::carry::Carrier;
use rt_core::cycle::{Cycle, CycleSettings, SettingsError};
use rt_core::envelope::{Acted, Interlock, InterlockAction, LimitsByMode, Withheld};
use rt_core::expression::{Op, Program};
use rt_core::mode::Mode;
use rt_core::ports::{Command, FieldReport};
use rt_core::record::{EventKind, Flags, Reply};
use rt_core::tag::Quality;
use rt_core::time::Span;
use rt_core::trips::OutOf;
use serde::Serialize;
use serde::de::DeserializeOwned;

use rig::{PERIOD, Rig, STEP, limits, tag, with_settings};

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
fn a_trigger_makes_a_decision_between_those_of_the_grid_and_moves_none_of_them() {
    // Observations every 5 cycles, decisions every 10; a trigger is seen by observations alone.
    let decided = |triggers: &[u64]| {
        let mut rig = Rig::new();
        rig.policy.triggers = triggers.to_vec();
        let mut slots = Vec::new();
        for _ in 0..45 {
            let (cycle, before) = (rig.notes.cycles, rig.policy.decisions);
            let outcome = rig.cycle_late(Span::from_ns(20_000));
            let flags = [Flags::DECISION, Flags::TRIGGERED].map(|flag| outcome.flags.contains(flag));
            assert_eq!(rig.policy.decisions - before, u64::from(flags[0]), "cycle {cycle}");
            if flags[0] {
                slots.push((cycle, flags[1]));
            }
        }
        slots
    };
    let grid: Vec<_> = [10, 20, 30, 40].map(|cycle| (cycle, false)).into();
    assert_eq!(decided(&[]), grid);
    assert_eq!(decided(&[20, 22, 30]), grid, "where there is a decision already, or no observation");
    let mut with_one = grid;
    with_one.insert(2, (25, true));
    assert_eq!(decided(&[25]), with_one);
}

#[test]
fn f96_the_heartbeat_counts_modulo_1000_and_stops_with_writing() {
    let mut rig = Rig::running();
    for _ in 0..1_100 {
        rig.say(&[Command::PolicyConfirmed(rig.clock.0.get())]);
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
fn a_first_policy_that_waits_for_somebody_to_stand_by_it_does_not_run_before() {
    // Longer than the machine has been up: it is not the age that speaks against it.
    let policy_age_max = Some(Span::from_ms(10_000));
    let mut rig = with_settings(&[], |settings| {
        Rig::with(&CycleSettings { first_policy_waits: true, policy_age_max, ..settings })
    });
    rig.say(&[Command::Lease(true), Command::Arm]);
    rig.run(2_000);
    assert_eq!(
        (rig.cycle.mode(), rig.cycle.generation()),
        (Mode::Shadow, 1),
        "adopted, armed, and nobody stands by it"
    );
    rig.say(&[Command::PolicyConfirmed(rig.clock.0.get())]);
    rig.run(5);
    assert_eq!(rig.modes(), [(Mode::Shadow, "startup_complete"), (Mode::Run, "armed")]);

    // A second one comes from somebody who lives.
    rig.run(11_000);
    assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "policy_age")));
    rig.policy.generation = Some(2);
    rig.run(60);
    assert_eq!(rig.modes().last(), Some(&(Mode::Run, "recovered")));
}

#[test]
fn f23_an_output_that_is_not_finite_keeps_the_last_value_and_trips() {
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
fn f22_outputs_out_of_bounds_are_clamped_and_trip_when_they_go_on() {
    let mut rig = Rig::running();
    rig.policy.action = [99.0, 6.0];
    rig.run(30);
    assert_eq!(rig.cycle.mode(), Mode::Run);
    rig.run(10);
    assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "output_out_of_bounds")));
    assert!(rig.saw(|event| matches!(event, EventKind::Latched { cause } if cause.name() == "output_out_of_bounds")));
}

#[test]
fn f48_refused_writes_are_read_back_before_they_are_repeated_and_trip() {
    let mut rig = Rig::running();
    rig.plant.refuses = [true; 2];
    rig.policy.action = [7.0, 7.0];
    let mut withheld = false;
    assert_eq!(rig.notes.rows[0].reply, Some(Reply::Accepted));
    let refused = |event: &EventKind| matches!(event, EventKind::WriteRefused { setpoints: 3 });
    for _ in 0..100 {
        let seen_before = rig.saw(refused);
        rig.run(1);
        if rig.saw(refused) && !seen_before {
            withheld = rig.notes.rows[0].withheld == Some(Withheld::LastUnknown);
        }
    }
    assert!(withheld);
    assert_eq!(rig.notes.rows.iter().map(|row| row.reply).collect::<Vec<_>>(), [Some(Reply::Refused); 2]);
    assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "write_refused")));
}

#[test]
fn f51_of_a_set_that_was_written_in_part_the_rest_is_read_back_and_corrected_and_nothing_is_hidden() {
    let mut rig = Rig::running();
    rig.policy.action = [7.0, 7.0];
    while rig.plant.values[0] < 6.5 {
        rig.run(1);
    }
    rig.plant.refuses = [false, true];
    let before = rig.plant.values;
    while !rig.saw(|event| matches!(event, EventKind::WriteRefused { setpoints: 0b10 })) {
        rig.run(1);
    }
    assert!(rig.plant.values[0] > before[0] && rig.plant.values[1] == before[1]);
    assert_eq!(rig.notes.rows[0].withheld, None, "the one that was written goes on");
    assert_eq!(rig.notes.rows[1].withheld, Some(Withheld::LastUnknown), "the other one is read back first");
    rig.plant.refuses = [false; 2];
    rig.run(60);
    assert!(rig.plant.values.iter().all(|value| (value - 7.0).abs() < 1e-6), "{:?}", rig.plant.values);
    assert!(!rig.saw(|event| matches!(event, EventKind::Latched { .. })));
}

#[test]
fn f36_writes_that_nobody_confirms_are_held_until_they_are_read_back() {
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
fn f52_a_bad_required_tag_leads_to_hold_and_back() {
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
fn f52_f60_a_required_tag_that_stays_bad_or_is_no_number_is_held_for_t_hold_and_then_given_up() {
    let maladies: [fn(&mut rig::Plant); 3] = [
        |plant| plant.quality = Quality::Bad,
        |plant| plant.measured = f64::NAN,
        |plant| plant.measured = f64::INFINITY,
    ];
    for malady in maladies {
        let mut rig = Rig::running();
        malady(&mut rig.plant);
        rig.run(2);
        assert_eq!(rig.modes().last(), Some(&(Mode::Hold, "required_tag_bad")));
        rig.run(51);
        assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "t_hold_elapsed")));
        (rig.plant.quality, rig.plant.measured) = (Quality::Good, 1.0);
        rig.run(40);
        assert_eq!(rig.modes().last(), Some(&(Mode::Run, "recovered")));
    }
}

#[test]
fn f64_a_required_tag_that_nobody_updates_is_held_when_it_is_stale_and_then_given_up() {
    let mut rig = Rig::running();
    rig.plant.silent = true;
    rig.run(5);
    assert_eq!(rig.cycle.mode(), Mode::Run, "as old as it may be");
    rig.run(1);
    assert_eq!(rig.modes().last(), Some(&(Mode::Hold, "required_tag_stale")));
    rig.run(50);
    assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "t_hold_elapsed")));
    rig.plant.silent = false;
    rig.run(40);
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
fn f69_a_burst_of_overruns_trips() {
    let mut rig = Rig::running();
    for _ in 0..3 {
        rig.cycle_late(Span::from_ms(1));
    }
    assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "overruns")));
}

#[test]
fn f27_a_late_decision_holds_the_value_and_too_many_lead_to_fallback() {
    let mut rig = Rig::running();
    (rig.policy.action, rig.policy.takes) = ([9.0, 9.0], Span::from_ns(500_001));
    let (mut late, mut run) = (0, 0);
    for _ in 0..30 {
        let outcome = rig.cycle_late(Span::ZERO);
        late += usize::from(outcome.flags.contains(Flags::LATE_DECISION));
        let asked = outcome.flags.contains(Flags::DECISION) && outcome.flags.contains(Flags::COMPLETE);
        assert_eq!(outcome.inference, asked.then_some(rig.policy.takes));
        if outcome.mode == Mode::Run {
            run += 1;
            assert!(rig.notes.rows.iter().all(|row| row.sent == row.last), "the value is held");
        }
    }
    assert!(run > 10);
    assert_eq!((late, rig.modes().last()), (3, Some(&(Mode::Fallback, "decisions_late"))));
    rig.policy.takes = Span::from_ns(500_000);
    rig.run(200);
    assert_eq!(rig.modes().last(), Some(&(Mode::Run, "recovered")), "it is no trip");
}

#[test]
fn f26_a_policy_that_moves_a_setpoint_to_and_fro_trips() {
    let mut rig = Rig::running();
    for decision in 0..20 {
        rig.policy.action[1] = if decision % 2 == 0 { 5.5 } else { 6.5 };
        rig.run(10);
    }
    assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "chatter")));
    assert!(rig.saw(|event| matches!(event, EventKind::Latched { cause } if cause.name() == "chatter")));
    rig.policy.action[1] = 6.0;
    rig.run(200);
    assert_eq!(rig.cycle.mode(), Mode::Fallback, "latched");
    rig.say(&[Command::Reset]);
    rig.run(40);
    assert_eq!(rig.cycle.mode(), Mode::Run);
}

#[test]
fn small_noise_and_slow_swings_are_no_chatter() {
    let mut rig = Rig::running();
    for decision in 0..60 {
        let noise = if decision % 2 == 0 { 0.04 } else { -0.04 };
        rig.policy.action = [6.0 + noise, if decision / 2 % 2 == 0 { 5.0 } else { 7.0 }];
        rig.say(&[Command::PolicyConfirmed(rig.clock.0.get())]);
        rig.run(10);
    }
    assert_eq!(rig.cycle.mode(), Mode::Run);
}

#[test]
fn an_unconfirmed_policy_ages_and_a_confirmed_one_does_not() {
    let mut rig = Rig::running();
    for _ in 0..30 {
        rig.run(100);
        rig.say(&[Command::PolicyConfirmed(rig.clock.0.get())]);
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
fn f25_limits_that_shrink_during_run_lead_the_setpoint_back() {
    let mut rig = Rig::running();
    rig.change([limits(0.0, 3.0), limits(0.0, 10.0)], 2.0);
    rig.run(2);
    let on_its_way = rig.notes.rows[0];
    assert!(on_its_way.acted.contains(Acted::RETURNING), "{on_its_way:?}");
    assert!((on_its_way.last.unwrap() - on_its_way.sent.unwrap() - STEP).abs() < 1e-9, "at the permitted rate");
    rig.run(98);
    assert_eq!((rig.cycle.mode(), rig.plant.values[0]), (Mode::Run, 3.0), "no fault of the policy");
    rig.policy.action = [2.5, 6.0];
    rig.run(60);
    assert_eq!((rig.cycle.mode(), rig.plant.values[0]), (Mode::Run, 2.5));
    assert!(rig.saw(|event| matches!(event, EventKind::Changed { number: 1 })));
}

/// Radiation: one bit of the first setpoint's limits, and nothing else of the cycle's memory.
struct FlippedBit {
    bit: usize,
    is_done: bool,
}

impl Carrier for FlippedBit {
    fn carry<T: Serialize + DeserializeOwned>(&mut self, value: &mut T) {
        if self.is_done || std::any::type_name::<T>() != std::any::type_name::<LimitsByMode>() {
            return;
        }
        self.is_done = true;
        let mut bytes = postcard::to_allocvec(value).unwrap();
        bytes[self.bit / 8] ^= 1 << (self.bit % 8);
        *value = postcard::from_bytes(&bytes).unwrap();
    }
}

#[test]
fn f32_a_flipped_bit_in_the_limits_stops_that_setpoint_in_the_same_cycle_and_trips() {
    // Of the lower end, of the upper one, and in a mode that does not write now.
    for bit in [7, 8 * 8 + 51, 8 * 17 + 5] {
        let mut rig = Rig::running();
        let (before, writes) = (rig.plant.values, rig.plant.sets);
        let mut flip = FlippedBit { bit, is_done: false };
        rig.cycle.carry(&mut flip);
        rig.damaged = true;
        assert!(flip.is_done);
        rig.policy.action = [9.0, 9.0];
        rig.run(1);
        assert_eq!(rig.notes.rows[0].withheld, Some(Withheld::LimitsCorrupt), "bit {bit}");
        assert_eq!(rig.modes().last(), Some(&(Mode::Fallback, "limits_corrupt")), "bit {bit}");
        rig.run(50);
        assert_eq!(rig.plant.values[0], before[0], "bit {bit}: it was moved by limits that nobody has set");
        assert!(rig.plant.sets > writes);
        rig.say(&[Command::Reset]);
        rig.run(50);
        assert_eq!(rig.cycle.mode(), Mode::Fallback, "it trips again as long as the limits are not right");
        // New limits are right limits.
        rig.change([limits(0.0, 10.0), limits(0.0, 10.0)], 5.0);
        rig.run(1);
        rig.damaged = false;
        rig.say(&[Command::Reset]);
        rig.run(100);
        assert_eq!(rig.cycle.mode(), Mode::Run, "bit {bit}");
    }
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
    let overruns = refused(|settings| settings.trips.overruns.m = 0);
    assert_eq!(overruns, SettingsError::Window { what: "overruns", m: 0, n: 20 });
    let late = refused(|settings| settings.trips.late_decisions = OutOf { m: 2, n: 65 });
    assert_eq!(late, SettingsError::Window { what: "late decisions", m: 2, n: 65 });
    let reversals = refused(|settings| settings.trips.chatter.as_mut().unwrap().reversals.n = 9);
    assert_eq!(reversals, SettingsError::Window { what: "reversals", m: 10, n: 9 });
    let stroke = refused(|settings| settings.trips.chatter.as_mut().unwrap().stroke = 0.0);
    assert_eq!(stroke, SettingsError::Stroke { stroke: 0.0 });
    assert!(matches!(refused(|settings| settings.modes.returns_per_hour = 17), SettingsError::Returns { .. }));
    let condition = Program::new(&[Op::Const(0.0)]).unwrap();
    let interlock = Interlock { condition, action: InterlockAction::BlockIncrease };
    let foreign = with_settings(&[(2, interlock)], |settings| Cycle::new(&settings).unwrap_err());
    assert_eq!(foreign, SettingsError::Interlock { interlock: 0, setpoint: 2 });
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

//! Whose hand is on a setpoint, and no bump when it changes hands.

use rt_core::envelope::{Limits, LimitsByMode, Withheld};
use rt_core::expression::{Op, Program};
use rt_core::fallback::{FallbackLaw, Pid};
use rt_core::mode::Mode;
use rt_core::ports::Command;
use rt_core::record::{EventKind, Flags};
use rt_core::setpoint::Rate;
use rt_core::time::Span;

use crate::rig::{RATE_PER_S, Rig, STEP, limits, tag, with_settings};

fn took(setpoint: u8) -> impl Fn(&EventKind) -> bool {
    move |event| *event == EventKind::SetpointTaken { setpoint }
}

fn returned(setpoint: u8) -> impl Fn(&EventKind) -> bool {
    move |event| *event == EventKind::SetpointReturned { setpoint }
}

#[test]
fn f30_a_setpoint_that_a_person_moves_is_theirs_until_it_is_handed_back() {
    let mut rig = Rig::running();
    rig.plant.hand[0] = Some(3.0);
    let outcome = rig.cycle_late(Span::ZERO);
    assert_eq!((outcome.mode, outcome.written), (Mode::Run, 0b10), "the other one goes on");
    assert!(outcome.flags.contains(Flags::OPERATOR) && rig.saw(took(0)));
    assert_eq!(rig.notes.rows[0].withheld, Some(Withheld::Operator));
    for value in [3.0, 7.5, 1.0] {
        rig.plant.hand[0] = Some(value);
        rig.run(60);
        assert_eq!((rig.cycle.mode(), rig.plant.values[0]), (Mode::Run, value));
        assert_eq!(rig.notes.rows[0].last, Some(value), "it is tracked");
    }
    assert!(!rig.saw(returned(0)));
    rig.say(&[Command::HandBack { setpoint: 0 }, Command::HandBack { setpoint: 1 }, Command::HandBack { setpoint: 9 }]);
    let outcome = rig.cycle_late(Span::ZERO);
    assert_eq!(outcome.written, 0b11);
    assert!((rig.notes.rows[0].sent.unwrap() - 1.0).abs() <= STEP, "from where it is");
    assert!(rig.saw(returned(0)) && !rig.saw(returned(1)));
    rig.run(60);
    assert!((rig.plant.values[0] - 6.0).abs() < 1e-9);
}

#[test]
fn f30_a_persons_setpoint_stays_theirs_in_every_mode() {
    let mut rig = Rig::running();
    rig.plant.hand[1] = Some(3.0);
    rig.run(2);
    for commands in [&[Command::Hold][..], &[Command::Reset], &[Command::Disarm], &[Command::Arm], &[Command::Reset]] {
        rig.say(commands);
        rig.run(70);
        assert_eq!(rig.plant.values[1], 3.0);
    }
    assert_eq!(rig.cycle.mode(), Mode::Run);
    assert_eq!(rig.notes.rows[1].withheld, Some(Withheld::Operator));
}

#[test]
fn what_was_moved_while_nobody_wrote_is_where_it_goes_on() {
    let mut rig = Rig::running();
    rig.say(&[Command::Disarm]);
    rig.run(20);
    rig.plant.hand = [Some(2.0), Some(8.0)];
    rig.run(20);
    rig.say(&[Command::Arm]);
    rig.run(60);
    assert!(!rig.saw(took(0)) && !rig.saw(took(1)));
    assert!((rig.plant.values[0] - 6.0).abs() < 1e-9);
}

#[test]
fn f33_an_actuator_that_ignores_us_leads_to_fallback_and_is_no_person() {
    let mut rig = Rig::running();
    rig.plant.stuck[0] = true;
    rig.policy.action = [8.0, 6.0];
    rig.run(30);
    assert!(rig.modes().contains(&(Mode::Fallback, "read_back_mismatch")));
    assert!(rig.saw(|event| *event == EventKind::ReadBackMismatch { setpoint: 0 }));
    assert!(!rig.saw(took(0)) && !rig.saw(|event| *event == EventKind::ReadBackMismatch { setpoint: 1 }));
    rig.plant.stuck[0] = false;
    rig.run(100);
    assert_eq!(rig.cycle.mode(), Mode::Run);
    assert!((rig.plant.values[0] - 8.0).abs() < 1e-9);
}

#[test]
fn a_plant_that_shows_our_value_late_is_neither() {
    let mut rig = Rig::running();
    for turn in 0..20 {
        rig.policy.action = [if turn % 3 == 0 { 8.0 } else { 4.0 }, 6.0];
        for _ in 0..4 {
            rig.plant.stuck[0] = true;
            rig.run(4);
            rig.plant.stuck[0] = false;
            rig.run(1);
        }
    }
    assert!(!rig.saw(took(0)) && rig.modes().len() == 2, "{:?}", rig.modes());
}

#[test]
fn f30_a_mode_tag_takes_a_setpoint_and_gives_it_back() {
    // Tag 0 measures; above 50 it stands for "manual".
    let manual = Program::new(&[Op::Tag(tag(0)), Op::Const(50.0), Op::Gt]).unwrap();
    let rig = with_settings(&[], |settings| {
        let mut setpoints = settings.setpoints.to_vec();
        setpoints[0].operator_when = Some(manual);
        Rig::with(&rt_core::cycle::CycleSettings { setpoints: &setpoints, ..settings })
    });
    let mut rig = rig.started();
    assert!(!rig.cycle_late(Span::ZERO).flags.contains(Flags::OPERATOR));
    rig.plant.measured = 51.0;
    assert_eq!(rig.cycle_late(Span::ZERO).written, 0b10);
    rig.plant.hand[0] = Some(2.0);
    rig.run(20);
    rig.say(&[Command::HandBack { setpoint: 0 }]);
    rig.run(20);
    assert_eq!((rig.plant.values[0], rig.saw(returned(0))), (2.0, false), "the mode tag has the last word");
    rig.plant.measured = f64::NAN;
    rig.run(1);
    assert_eq!(rig.notes.rows[0].withheld, Some(Withheld::Operator), "undecidable counts as a person");
    rig.plant.measured = 1.0;
    rig.run(60);
    assert!(rig.saw(returned(0)) && (rig.plant.values[0] - 6.0).abs() < 1e-9);
}

#[test]
fn each_mode_that_writes_has_its_limits() {
    let mut rig = Rig::running();
    let narrow = |lo, hi| Limits { lo, hi, rate: Rate::PerSecond(RATE_PER_S) };
    let by_mode = LimitsByMode { run: narrow(0.0, 7.0), hold: narrow(0.0, 10.0), fallback: narrow(0.0, 4.0) };
    rig.change([by_mode, limits(0.0, 10.0)], 5.0);
    rig.policy.action = [7.5, 6.0];
    rig.run(30);
    assert!((rig.plant.values[0] - 7.0).abs() < 1e-9);
    rig.policy.action = [7.0, 6.0];
    rig.say(&[Command::Hold]);
    rig.run(20);
    assert!((rig.plant.values[0] - 7.0).abs() < 1e-9);
    rig.run(80);
    assert_eq!(rig.cycle.mode(), Mode::Fallback);
    assert!((rig.plant.values[0] - 4.0).abs() < 1e-9, "the fallback that holds is led into its own range");
}

#[test]
fn a_fallback_behind_a_limit_does_not_wind_up() {
    let rig = with_settings(&[], |settings| {
        let mut setpoints = settings.setpoints.to_vec();
        setpoints[0].fallback = eager();
        Rig::with(&rt_core::cycle::CycleSettings { setpoints: &setpoints, ..settings })
    });
    let mut rig = rig.started();
    rig.policy.action = [f64::NAN; 2];
    rig.run(1_000);
    assert_eq!((rig.cycle.mode(), rig.plant.values[0]), (Mode::Fallback, 10.0), "at its upper limit");
    // From 49 below its target to 50 above: it leaves the limit at once.
    rig.plant.measured = 100.0;
    rig.run(3);
    assert!(rig.plant.values[0] < 10.0);
}

/// xorshift64*: which switch comes next, and when.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// A controller that would be far away by now, had it not followed.
fn eager() -> FallbackLaw {
    FallbackLaw::Pid(Pid {
        input: tag(0),
        target: Program::new(&[Op::Const(50.0)]).unwrap(),
        gain: 0.001,
        integral_time: Some(Span::from_ms(10)),
        derivative_time: Span::ZERO,
    })
}

#[test]
fn f31_no_switch_bumps_the_plant() {
    const SWITCHES: u32 = 10_000;
    let rig = with_settings(&[], |mut settings| {
        let mut setpoints = settings.setpoints.to_vec();
        setpoints[0].fallback = eager();
        settings.modes.returns_per_hour = 16;
        Rig::with(&rt_core::cycle::CycleSettings { setpoints: &setpoints, ..settings })
    });
    let (mut rig, mut dice, mut first_of_fallback) = (rig.started(), Dice(0x5eed), 0.0_f64);
    for _ in 0..SWITCHES {
        let setpoint = dice.below(2) as u8;
        match dice.below(8) {
            0 => rig.say(&[Command::Hold]),
            1 => rig.say(&[Command::Reset]),
            2 => rig.say(&[Command::Disarm, Command::Arm]),
            3 => rig.plant.hand[usize::from(setpoint)] = Some(dice.below(100) as f64 * 0.1),
            4 => rig.say(&[Command::HandBack { setpoint }]),
            5 => rig.policy.action = [(); 2].map(|()| dice.below(100) as f64 * 0.1),
            6 => rig.policy.action[0] = f64::NAN,
            _ => rig.say(&[Command::Release, Command::Reset]),
        }
        rig.say(&[Command::PolicyConfirmed(rig.clock.0.get())]);
        for _ in 0..dice.below(40) {
            let before = rig.cycle.mode();
            // `Rig` asserts at every write what F31 demands: the plant is moved by a step at most.
            let outcome = rig.cycle_late(Span::from_ns(20_000));
            if (before, outcome.mode) == (Mode::Run, Mode::Fallback)
                && let Some((sent, last)) = rig.notes.rows[0].sent.zip(rig.notes.rows[0].last)
            {
                first_of_fallback = first_of_fallback.max((sent - last).abs());
            }
        }
        if rig.cycle.mode() == Mode::Release {
            rig.say(&[Command::Arm]);
        }
    }
    assert!(first_of_fallback > 0.0 && first_of_fallback < 0.01, "the integrator followed: {first_of_fallback}");
    let seen = |mode: Mode| rig.modes().iter().filter(|(to, _)| *to == mode).count();
    for mode in [Mode::Run, Mode::Hold, Mode::Fallback, Mode::Shadow, Mode::Release] {
        assert!(seen(mode) > 100, "{mode:?}: {}", seen(mode));
    }
    assert!(rig.saw(took(0)) && rig.saw(took(1)) && rig.saw(returned(0)) && rig.saw(returned(1)));
}

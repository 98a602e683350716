//! A setpoint that is the agent's half of a cascade: an operator has the other half, and the word of which one the plant
//! follows.

use rt_core::cycle::CycleSettings;
use rt_core::envelope::Withheld;
use rt_core::mode::Mode;
use rt_core::ports::Command;
use rt_core::record::{EventKind, Flags};
use rt_core::setpoint::{Cascade, ModeWord};
use rt_core::tag::Quality;
use rt_core::time::Span;

use crate::operator::Dice;
use crate::rig::{Panel, Rig, STEP, tag, with_settings};

const CASCADE: Cascade = Cascade {
    operators: tag_at(3),
    operator_when: Some(ModeWord { tag: tag_at(4), value: 1.0 }),
    agent_when: ModeWord { tag: tag_at(4), value: 2.0 },
};

const fn tag_at(index: usize) -> rt_core::tag::TagId {
    rt_core::tag::TagId::new(index).unwrap()
}

fn cascaded(panel: Panel) -> Rig {
    let mut rig = with_settings(&[], |settings| {
        let mut setpoints = settings.setpoints.to_vec();
        setpoints[0].cascade = Some(CASCADE);
        Rig::with(&CycleSettings { setpoints: &setpoints, ..settings })
    });
    rig.plant.panel = Some(panel);
    rig
}

/// In RUN, the plant following the agent's setpoint.
fn running() -> Rig {
    let mut agents = Panel::OPERATORS;
    agents.operator = false;
    cascaded(agents).started()
}

fn panel(rig: &mut Rig) -> &mut Panel {
    rig.plant.panel.as_mut().expect("there is one")
}

fn took(event: &EventKind) -> bool {
    *event == EventKind::SetpointTaken { setpoint: 0 }
}

#[test]
fn while_the_plant_follows_the_operator_nothing_is_written_and_their_setpoint_is_tracked() {
    let mut rig = running();
    panel(&mut rig).operator = true;
    let outcome = rig.cycle_late(Span::ZERO);
    assert_eq!((outcome.mode, outcome.written), (Mode::Run, 0b10), "the other one goes on");
    assert!(outcome.flags.contains(Flags::OPERATOR) && rig.saw(took));
    rig.run(3);
    for value in [3.0, 7.5, 1.0] {
        panel(&mut rig).setpoint = value;
        rig.run(20);
        let row = rig.notes.rows[0];
        assert_eq!((row.withheld, row.last, row.read_back), (Some(Withheld::Operator), Some(value), Some(value)));
        assert!((rig.plant.values[0] - 6.0).abs() < 1e-9, "what we wrote last stays in ours");
    }
    assert_eq!(rig.cycle.mode(), Mode::Run);
}

#[test]
fn whoever_gets_it_begins_where_the_plant_is_then() {
    // A plant that tracks is where the operator left it; one that does not has jumped to the agent's half by itself.
    for (tracks, stands) in [(false, 6.0), (true, 2.0)] {
        let mut rig = running();
        (panel(&mut rig).operator, panel(&mut rig).setpoint, panel(&mut rig).tracks) = (true, 2.0, tracks);
        rig.run(30);
        panel(&mut rig).operator = false;
        let outcome = rig.cycle_late(Span::ZERO);
        assert_eq!(outcome.written, 0b11, "at once");
        let row = rig.notes.rows[0];
        assert!((row.last.unwrap() - stands).abs() < 1e-9, "{row:?}");
        assert!((row.sent.unwrap() - stands).abs() <= STEP);
        assert!(rig.saw(|event| *event == EventKind::SetpointReturned { setpoint: 0 }));
        rig.run(60);
        assert!((rig.plant.values[0] - 6.0).abs() < 1e-9 && rig.modes().len() == 2, "{:?}", rig.modes());
    }
}

#[test]
fn a_switch_that_nobody_writes_in_leaves_the_agents_half_where_it_goes_on_from() {
    let mut rig = running();
    (panel(&mut rig).operator, panel(&mut rig).setpoint) = (true, 2.0);
    rig.run(30);
    rig.say(&[Command::Disarm]);
    rig.run(2);
    panel(&mut rig).operator = false;
    rig.run(20);
    rig.say(&[Command::Arm]);
    rig.run(1);
    let last = rig.notes.rows[0].last.unwrap();
    assert!((last - 6.0).abs() < 1e-9, "the plant has followed it meanwhile: {last}");
}

#[test]
fn a_word_that_cannot_be_read_counts_as_the_operators() {
    let mut rig = running();
    panel(&mut rig).hidden = true;
    rig.run(1);
    assert_eq!(rig.notes.rows[0].withheld, Some(Withheld::Operator));
    let row = rig.notes.rows[0];
    assert_eq!((row.read_back, row.last), (None, None), "and nobody knows what the plant follows");
    rig.run(20);
    rig.say(&[Command::HandBack { setpoint: 0 }]);
    rig.run(1);
    assert_eq!(rig.notes.rows[0].withheld, Some(Withheld::Operator), "the mode tag has the last word");
    panel(&mut rig).hidden = false;
    rig.run(60);
    assert!((rig.plant.values[0] - 6.0).abs() < 1e-9);
}

#[test]
fn a_plant_that_moves_the_agents_half_just_before_it_shows_the_switch_has_taken_nothing() {
    let mut rig = running();
    rig.plant.hand[0] = Some(2.0);
    rig.run(1);
    assert!(rig.saw(took), "which looks like a hand");
    rig.plant.hand[0] = None;
    (panel(&mut rig).operator, panel(&mut rig).setpoint, panel(&mut rig).tracks) = (true, 2.0, true);
    rig.run(20);
    panel(&mut rig).operator = false;
    rig.run(60);
    assert!((rig.plant.values[0] - 6.0).abs() < 1e-9, "{:?}", rig.plant.values);
}

#[test]
fn a_hand_on_the_agents_half_is_a_persons_until_it_is_handed_back_whatever_the_mode_tag_says_meanwhile() {
    let mut rig = running();
    rig.plant.hand[0] = Some(3.0);
    rig.run(20);
    assert_eq!((rig.plant.values[0], rig.saw(took)), (3.0, true));
    panel(&mut rig).operator = true;
    rig.run(5);
    panel(&mut rig).operator = false;
    rig.run(60);
    assert_eq!(rig.plant.values[0], 3.0, "the hand is still there");
    rig.plant.hand[0] = None;
    rig.say(&[Command::HandBack { setpoint: 0 }]);
    rig.run(60);
    assert!((rig.plant.values[0] - 6.0).abs() < 1e-9);
}

#[test]
fn a_runtime_may_start_while_the_plant_follows_the_operator() {
    let mut rig = cascaded(Panel::OPERATORS);
    rig.say(&[Command::Lease(true), Command::Arm]);
    rig.run(60);
    assert_eq!((rig.cycle.mode(), rig.plant.values), (Mode::Run, [5.0, 6.0_f32.into()]));
    panel(&mut rig).operator = false;
    rig.run(60);
    assert!((rig.plant.values[0] - 6.0).abs() < 1e-9);
}

#[test]
fn one_word_is_enough_and_two_that_contradict_each_other_are_none() {
    let mut settings = [rt_core::tag::TagSettings { required: false, ..crate::rig::tags()[0] }; 5];
    settings[0].required = false;
    let mut image = rt_core::image::Image::new(&settings).unwrap();
    let mut followed = |cascade: Cascade, mode: f64, quality: Quality| {
        let at = image.now();
        image.receive(&rt_core::tag::Sample { tag: tag(4), value: mode, quality, received: at, source_time: 1 });
        cascade.followed(tag(1), &image)
    };
    let (ours, operators) = (Some(tag(1)), Some(tag(3)));
    let by_agent = Cascade { operator_when: None, ..CASCADE };
    for (cascade, expected) in [
        (CASCADE, [operators, ours, None]),
        (by_agent, [operators, ours, operators]),
        (Cascade { operator_when: Some(CASCADE.agent_when), ..CASCADE }, [None, None, None]),
    ] {
        assert_eq!([1.0, 2.0, 3.0].map(|mode| followed(cascade, mode, Quality::Good)), expected, "{cascade:?}");
        assert_eq!(followed(cascade, f64::NAN, Quality::Good), None);
        // The last good word would do for a measured value; whose the plant is has to be certain.
        followed(cascade, 2.0, Quality::Good);
        assert_eq!(followed(cascade, 1.0, Quality::Uncertain), None);
    }
}

#[test]
fn f31_no_switch_of_operator_and_agent_bumps_the_plant() {
    const SWITCHES: u32 = 10_000;
    const SEED: u64 = 0xca5c;
    println!("seed {SEED:#x}");
    let (mut rig, mut dice) = (running(), Dice(SEED));
    let mut returned_in_run = 0_u32;
    for _ in 0..SWITCHES {
        match dice.below(9) {
            0 => rig.say(&[Command::Hold]),
            1 => rig.say(&[Command::Reset]),
            2 => rig.say(&[Command::Disarm, Command::Arm]),
            3 => rig.say(&[Command::HandBack { setpoint: 0 }]),
            4 => rig.policy.action = [(); 2].map(|()| dice.below(100) as f64 * 0.1),
            5 => panel(&mut rig).hidden ^= true,
            6 => panel(&mut rig).tracks ^= true,
            7 => panel(&mut rig).operator ^= true,
            _ => panel(&mut rig).setpoint = dice.below(100) as f64 * 0.1,
        }
        rig.say(&[Command::PolicyConfirmed(rig.clock.0.get())]);
        for _ in 0..dice.below(40) {
            // `Rig` asserts at every write that what the plant follows is moved by a step at most.
            let before = rig.notes.rows.first().and_then(|row| row.withheld);
            let outcome = rig.cycle_late(Span::from_ns(20_000));
            let follows_operator = rig.plant.panel.is_some_and(|panel| panel.operator || panel.hidden);
            assert!(!(follows_operator && outcome.written & 1 == 1), "nothing is written into a hand");
            let returned = before == Some(Withheld::Operator) && outcome.written & 1 == 1;
            returned_in_run += u32::from(returned && outcome.mode == Mode::Run);
        }
        if rig.cycle.mode() == Mode::Release {
            rig.say(&[Command::Arm]);
        }
    }
    assert!(returned_in_run > 100, "{returned_in_run}");
    assert!(rig.cycle.machine().latch().is_none_or(|cause| cause.name() != "read_back_mismatch"));
}

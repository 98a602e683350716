//! Decisions put together from records that are made here.

use rt_core::record::Reply;
use rt_recording::Estimate;
use shm_layout::{CycleHead, CycleLayout, StepHead, StepLayout};

use super::decision::{Outcome, SetpointName};
use super::*;

const RANGE: u32 = 1;
const RATE: u32 = 2;

fn names() -> Names {
    let setpoint = SetpointName { name: "FLOW".into(), unit: "l/s".into(), scale: [10.0, 30.0] };
    Names {
        agent: "works/ph".into(),
        setpoints: vec![setpoint],
        columns: vec!["PH@0".into(), "FLOW@0".into()],
        tags: vec!["PH".into()],
    }
}

fn step(gathering: &mut Gathering<'_>, cycle: u64, [mean, sampled, decided]: [f32; 3], flags: u32) {
    let layout = StepLayout::new(2, 1).unwrap();
    let mut words = vec![0; layout.words()];
    let step = layout.view_mut(&mut words).unwrap();
    (step.head.cycle, step.head.time_ns, step.head.mode) = (cycle, cycle * 1_000_000, 2);
    (step.head.flags, step.head.reward) = (flags, -0.5);
    step.state.copy_from_slice(&[0.25, 0.75]);
    step.lo.fill(0.25);
    step.hi.fill(0.75);
    (step.mean[0], step.sampled[0], step.decided[0]) = (mean, sampled, decided);
    gathering.step(&layout.view(&words).unwrap());
}

fn cycle(gathering: &mut Gathering<'_>, at: u64, flags: u16, values: [f64; 2], numbers: [u32; 2]) {
    answered(gathering, at, flags, values, numbers, Some(Reply::Accepted));
}

fn answered(
    gathering: &mut Gathering<'_>,
    cycle: u64,
    flags: u16,
    [sent, readback]: [f64; 2],
    [acted, state]: [u32; 2],
    reply: Option<Reply>,
) {
    let layout = CycleLayout::new(1, 0).unwrap();
    let mut words = vec![0; layout.words()];
    let record = layout.view_mut(&mut words).unwrap();
    (record.head.cycle, record.head.flags, record.head.mode) = (cycle, flags, 2);
    (record.head.goal, record.head.zone, record.head.zone_depth) = (2, CycleHead::RED, 0.25);
    let part = &mut record.setpoints[0];
    (part.desired, part.sent, part.readback, part.acted, part.state) = (24.0, sent, readback, acted, state);
    part.reply = reply.map_or(0, |reply| reply as u32);
    gathering.cycle(&layout.view(&words).unwrap());
}

const SLOT: u16 = CycleHead::DECISION_SLOT;

#[test]
fn a_setpoint_is_followed_from_the_policys_wish_to_the_plant_until_the_next_decision() {
    let names = names();
    let mut gathering = Gathering::new(&names, 5, None);
    step(&mut gathering, 10, [0.875, 1.0, 0.75], StepHead::DECISION_SLOT | StepHead::EXPLORED);
    cycle(&mut gathering, 10, SLOT | CycleHead::DECIDED, [21.0, 20.0], [RATE, 0]);
    cycle(&mut gathering, 11, 0, [22.0, 21.0], [RATE | RANGE, 0]);
    cycle(&mut gathering, 12, 0, [23.0, 22.0], [0, 0]);
    // Its step is not known, because it came after the steps were read.
    cycle(&mut gathering, 13, SLOT | CycleHead::DECIDED, [29.0, 23.0], [0, 0]);
    cycle(&mut gathering, 14, 0, [30.0, 29.0], [0, 0]);
    gathering.estimate(Estimate { cycle: 10, value: -3.0, spread: 0.5, nominal_value: -4.0, updates: 9 });
    gathering.estimate(Estimate { cycle: 11, value: 0.0, spread: 0.0, nominal_value: 0.0, updates: 9 });

    let decision = &gathering.decisions[0];
    let way = &decision.setpoints[0];
    assert_eq!((way.mean, way.sampled, way.agent_bounds, way.bounded), (27.5, 30.0, [15.0, 25.0], 25.0));
    assert_eq!((way.desired, way.envelope, way.sent, way.on_plant), (24.0, 21.0, 23.0, 22.0));
    assert_eq!((way.limits.as_slice(), way.withheld), (&["agent_upper_bound", "rate", "range"][..], None));
    assert_eq!((decision.outcome, decision.estimate.map(|of| of.value)), (Outcome::Decided, Some(-3.0)));

    let text = for_people(decision, 15_000_000, "ago", true);
    let expected = "cycle 10, 5.0 ms ago: run, the nominal policy, explored, reward -0.50000 \
    (goal 2 not met; PH in red, 25 % of it)\n\
  \x20             mean      sampled   bounded   envelope  sent      reply     plant     limits\n  \
  FLOW [l/s]  27.50000  30.00000  25.00000  21.00000  23.00000  accepted  22.00000  agent upper bound, rate, range\n  \
  value -3.00000 +- 0.50000, of the nominal setpoint -4.00000 (after 9 updates)\n  \
  PH@0    0.25000\n  FLOW@0  0.75000\n";
    assert_eq!(text, expected);
}

#[test]
fn what_the_plant_refused_or_has_not_answered_is_not_told_as_if_it_were_there() {
    let names = names();
    let mut gathering = Gathering::new(&names, 5, None);
    for at in [10, 20, 30] {
        step(&mut gathering, at, [0.5; 3], StepHead::DECISION_SLOT);
        let before = [None, Some(Reply::Refused), Some(Reply::Accepted)][(at / 10 - 1) as usize];
        answered(&mut gathering, at, SLOT | CycleHead::DECIDED, [20.0, 15.0], [0, 0], before);
        if at == 10 {
            // Nothing was sent in between: the value has to be read back first.
            answered(&mut gathering, 11, 0, [f64::NAN, 15.0], [0, 3], Some(Reply::Refused));
        }
    }
    let replies: Vec<_> = gathering.decisions.iter().map(|decision| decision.setpoints[0].reply).collect();
    assert_eq!(replies, [Some("refused"), Some("accepted"), None]);
    let text = for_people(&gathering.decisions[0], 0, "ago", false);
    assert!(text.contains("20.00000  refused  15.00000  not sent: last unknown\n"), "{text}");
}

#[test]
fn of_a_capture_a_decision_tells_what_its_cycles_do() {
    let names = names();
    let layout = CycleLayout::new(1, 0).unwrap();
    let mut gathering = Gathering::new(&names, 2, Some(31));
    for at in 10..=40 {
        let mut words = vec![0; layout.words()];
        let record = layout.view_mut(&mut words).unwrap();
        (record.head.cycle, record.head.release_ns, record.head.mode) = (at, at * 1_000_000, 2);
        record.head.flags = if at.is_multiple_of(10) { SLOT | CycleHead::DECIDED } else { 0 };
        record.setpoints[0].sent = at as f64;
        record.setpoints[0].reply = Reply::Accepted as u32;
        gathering.cycle_alone(&layout.view(&words).unwrap());
    }
    let told: Vec<_> = gathering.decisions.iter().map(|of| (of.cycle, of.outcome, of.setpoints[0].sent)).collect();
    assert_eq!(told, [(20, Outcome::Decided, 29.0), (30, Outcome::Decided, 31.0)]);
    let way = &gathering.decisions[0].setpoints[0];
    assert!(way.mean.is_nan() && way.bounded.is_nan() && gathering.decisions[0].state.is_empty());
    assert_eq!((way.envelope, way.reply), (20.0, Some("accepted")));
}

#[test]
fn what_came_to_nothing_says_why() {
    let names = names();
    let mut gathering = Gathering::new(&names, 5, None);
    let outcomes = [
        (0, Outcome::NoState),
        (CycleHead::NOT_FINITE, Outcome::NotFinite),
        (CycleHead::LATE_DECISION, Outcome::Late),
        (CycleHead::DECIDED, Outcome::Decided),
    ];
    for (at, (flags, _)) in (0..).zip(outcomes) {
        step(&mut gathering, at, [f32::NAN; 3], StepHead::DECISION_SLOT);
        // The mode does not write.
        cycle(&mut gathering, at, SLOT | flags, [f64::NAN, 20.0], [0, 1]);
    }
    step(&mut gathering, 9, [0.5; 3], StepHead::DECISION_SLOT);
    let told: Vec<_> = gathering.decisions.iter().map(|decision| decision.outcome).collect();
    assert_eq!(told[..4], outcomes.map(|(_, outcome)| outcome));
    assert_eq!(told[4], Outcome::Unknown);
    let text = for_people(&gathering.decisions[0], 0, "ago", false);
    assert!(text.contains("no decision: the state was not complete\n"), "{text}");
    assert!(
        text.contains("FLOW [l/s]  -     -        -        -         -     -      20.00000  not sent: mode\n"),
        "{text}"
    );
    assert!(text.contains("value: no estimate"), "{text}");
    let json = serde_json::to_value(&gathering.decisions[1]).unwrap();
    assert_eq!((&json["outcome"], &json["setpoints"][0]["withheld"]), (&"not_finite".into(), &"mode".into()));
    assert!(json["setpoints"][0]["mean"].is_null() && json["estimate"].is_null());
}

#[test]
fn the_last_ones_are_kept_as_of_the_cycle_that_was_asked_for() {
    let names = names();
    let cycles = |last, until| {
        let mut gathering = Gathering::new(&names, last, until);
        for at in (0..100).step_by(10) {
            step(&mut gathering, at, [0.5; 3], if at == 50 { 0 } else { StepHead::DECISION_SLOT });
            cycle(&mut gathering, at, SLOT, [f64::from(at as u32), 1.0], [0, 0]);
        }
        gathering.decisions.iter().map(|decision| (decision.cycle, decision.setpoints[0].sent)).collect::<Vec<_>>()
    };
    assert_eq!(cycles(2, None), [(80, 80.0), (90, 90.0)]);
    assert_eq!(cycles(2, Some(35)), [(20, 20.0), (30, 30.0)]);
    assert_eq!(cycles(1, Some(59)), [(40, 40.0)]);
    assert_eq!(cycles(9, Some(5)), [(0, 0.0)]);
}

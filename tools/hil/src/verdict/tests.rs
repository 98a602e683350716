use std::path::Path;

use super::*;
use crate::take::{
    CycleSeen, EventSeen, HistorySeen, Sent, SetpointSeen, StepOutcome, StepSeen, TagSeen, Take, WriteSeen,
};

/// A second of the take's time.
const S: i64 = 1_000_000_000;
const RUN: u8 = 2;
const HOLD: u8 = 3;

fn cycle(at: i64, mode: u8, sent: f64, last: f64) -> CycleSeen {
    let sent = Sent { sent: Some(sent), last: Some(last), readback: Some(last), written: true };
    let (dt_ns, tags) = (1_000_000_000, vec![(Some(0.25), 0), (Some(0.5), 0)]);
    CycleSeen { at, dt_ns, skipped: 1, mode, lateness_ns: 0, reward: Some(-1.0), setpoints: vec![sent], tags }
}

/// RUN, HOLD after two seconds, and RUN again after four; one step of three seconds' end.
fn take() -> Take {
    let mut take = Take::new("test");
    take.period_ns = 1_000_000_000;
    let (name, node, unit) = ("u".to_owned(), "u".to_owned(), String::new());
    take.setpoints = vec![SetpointSeen { name, node, unit, rate_per_s: Some(0.1), ranges: vec![(0, 0.0, 0.5)] }];
    take.tags = ["u", "level"].map(|name| TagSeen { name: name.into(), unit: String::new() }).into();
    let modes = [RUN, RUN, HOLD, HOLD, RUN, RUN];
    take.cycles = modes.iter().zip(0..).map(|(mode, k)| cycle(k * S, *mode, 0.25, 0.25)).collect();
    take.events = vec![EventSeen { at: 2 * S, kind: "trip".into(), text: "chatter".into(), a: 0 }];
    take.writes = Some(vec![WriteSeen { at: S, node: "u".into(), value: Some(0.25), status: "Good".into() }]);
    let (begun, ended, outcome) = (Some(S), Some(3 * S), StepOutcome::Done);
    take.steps = vec![StepSeen { title: "a step".into(), begun, ended, outcome }];
    take.end = 5 * S;
    take.history = Some(HistorySeen { rewards: take.cycles.len() as u64 - 1, lost: 2 });
    take
}

/// The scenario of the take, with this expectation, as YAML.
fn scenario(expectation: &str) -> Scenario {
    let text = format!(
        "about: a test\nsite: sites/saturation.yaml\nplant: {{simulated: {{}}}}\nduration: 5s\n\
         timeline:\n  - {{when: 1s, kill: learner, for: 2s, as: step}}\nexpect:\n  - {expectation}\n"
    );
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hil/test.yaml");
    Scenario::parse(&text, &file).unwrap_or_else(|error| panic!("{error}"))
}

/// Whether this expectation is met by the take.
fn met(expectation: &str, take: &Take) -> bool {
    let verdicts = judge(&scenario(expectation), take, Patience::default());
    verdicts.last().unwrap().ok
}

#[test]
fn each_expectation_is_met_when_it_should_be_and_not_when_it_should_not() {
    for (good, bad) in [
        ("{mode: hold, within: 2s}", "{mode: hold, within: 1s}"),
        ("{mode: run, within: 1s, after: step/end}", "{mode: fallback, within: 5s}"),
        ("{stays: run, to: 1s}", "{stays: run}"),
        ("{history_lost: 3}", "{history_lost: 2}"),
        ("{never: hold, to: 1s}", "{never: hold}"),
        ("{settles: run, within: 4s}", "{settles: run, within: 3s}"),
        ("{modes: [hold, run], within: 5s}", "{modes: [run, hold], within: 5s}"),
        ("{event: {kind: trip, says: chatter}}", "{event: {kind: trip, says: overruns}}"),
        ("{event: {kind: trip}, after: step, within: 1s}", "{event: {kind: trip, at_most: 0}}"),
        ("{error: {tag: level, target: 0.4, below: 0.2}}", "{error: {tag: level, target: 0.4, below: 0.05}}"),
        ("{reward: -1}", "{reward: -0.9}"),
        ("{lost_slots: 6}", "{lost_slots: 5}"),
        ("{value: {setpoint: u, is: 0.25}, within: 1s}", "{value: {setpoint: u, is: 0.3}, within: 5s}"),
    ] {
        assert!(met(good, &take()), "{good}");
        assert!(!met(bad, &take()), "{bad}");
    }
}

#[test]
fn a_tolerance_is_granted_and_no_more() {
    assert!(met("{lost_slots: 5, tolerance: 1}", &take()));
    assert!(met("{reward: -0.9, tolerance: 0.2}", &take()));
    assert!(!met("{reward: -0.9, tolerance: 0.05}", &take()));
}

/// The sentences about what is expected of every scenario and is not so.
fn wrong(change: impl FnOnce(&mut Take)) -> Vec<String> {
    let mut take = take();
    change(&mut take);
    let due = scenario("{stays: run}").steps;
    always::judge(&due, &take, Patience::default())
        .into_iter()
        .filter(|verdict| !verdict.ok)
        .map(|verdict| verdict.expectation)
        .collect()
}

#[test]
fn ranges_rates_foreign_writes_and_steps_that_failed_are_found_in_every_take() {
    assert_eq!(wrong(|_| {}), Vec::<String>::new());
    assert_eq!(wrong(|take| take.cycles[1] = cycle(S, RUN, 0.6, 0.55)), ["setpoints stay inside their ranges"]);
    assert_eq!(wrong(|take| take.cycles[1].setpoints[0].sent = None), ["setpoints stay inside their ranges"]);
    assert_eq!(wrong(|take| take.cycles[1] = cycle(S, RUN, 0.4, 0.25)), ["changes stay within their rates"]);
    let foreign = |take: &mut Take| take.writes.as_mut().unwrap()[0].value = Some(0.3);
    assert_eq!(wrong(foreign), ["the plant is written what the envelope let through"]);
    assert_eq!(wrong(|take| take.steps[0].outcome = StepOutcome::Failed("no".into())), ["a step"]);
    assert_eq!(wrong(|take| take.steps[0].outcome = StepOutcome::Due), ["a step"]);
}

#[test]
fn outside_of_the_range_only_the_way_back_is_right() {
    assert_eq!(wrong(|take| take.cycles[1] = cycle(S, RUN, 0.55, 0.6)), Vec::<String>::new());
}

#[test]
fn a_step_that_begins_or_ends_much_too_late_is_found_unless_there_is_patience() {
    let late = ["steps come when they should"];
    assert_eq!(wrong(|take| take.steps[0].begun = Some(2 * S + 1)), late);
    assert_eq!(wrong(|take| take.steps[0].ended = Some(4 * S + 1)), late);
    assert_eq!(wrong(|take| take.steps[0].ended = Some(4 * S)), Vec::<String>::new());
    let (due, mut take) = (scenario("{stays: run}").steps, take());
    take.steps[0].ended = Some(5 * S);
    assert!(always::judge(&due, &take, Patience(2.0)).iter().all(|verdict| verdict.ok));
}

#[test]
fn what_was_missed_is_told_whatever_it_was() {
    let missed = ["nothing was missed"];
    assert_eq!(wrong(|take| take.missed = 1), missed);
    assert_eq!(wrong(|take| take.missed_events = 1), missed);
    assert_eq!(wrong(|take| take.missed_writes = 1), missed);
}

#[test]
fn after_skipped_slots_a_setpoint_may_not_move_further_than_in_one_period() {
    let far = |take: &mut Take| take.cycles[1] = CycleSeen { dt_ns: 3_000_000_000, ..cycle(S, RUN, 0.45, 0.25) };
    assert_eq!(wrong(far), ["changes stay within their rates"]);
    let soon = |take: &mut Take| take.cycles[1] = CycleSeen { dt_ns: 500_000_000, ..cycle(S, RUN, 0.33, 0.25) };
    assert_eq!(wrong(soon), ["changes stay within their rates"]);
}

#[test]
fn a_setpoint_is_untouched_when_neither_a_cycle_nor_the_plant_says_otherwise() {
    let hands_off = |take: &mut Take| {
        take.cycles.iter_mut().for_each(|cycle| cycle.setpoints[0].written = false);
        take.writes = Some(Vec::new());
    };
    let mut nothing = take();
    hands_off(&mut nothing);
    assert!(met("{untouched: u}", &nothing));
    let of = |change: fn(&mut Take)| {
        let mut take = nothing.clone();
        change(&mut take);
        met("{untouched: u}", &take)
    };
    assert!(!of(|nothing| nothing.cycles.clear()));
    assert!(!of(|nothing| nothing.writes = take().writes));
    assert!(!of(|nothing| nothing.cycles = take().cycles));
}

#[test]
fn a_plant_is_written_nothing_when_it_says_so_whatever_the_runtime_has_tried() {
    // The write of the take is a second after its begin.
    assert!(met("{no_write: u, from: 1100ms}", &take()) && !met("{no_write: u, to: 1100ms}", &take()));
    let mut mute = take();
    mute.writes = None;
    assert!(!met("{no_write: u, from: 1100ms}", &mute));
}

#[test]
fn what_the_programs_do_at_their_end_unsettles_nothing() {
    let mut take = take();
    take.cycles.push(cycle(take.end + 1, HOLD, 0.25, 0.25));
    assert!(met("{settles: run, within: 4s}", &take));
}

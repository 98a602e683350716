use std::path::Path;

use io_loop::Simulated;
use tempfile::TempDir;

use super::*;
use crate::rehearsal::bus;

/// Of the example's FEED_SP: where the simulated plant has it, and how far it moves in one period.
const START: f64 = 0.25;
const STEP: f64 = 0.5 * 0.001;

fn site() -> Site {
    rt_config::parse(rt_config::example(), Path::new("example.yaml")).expect("the example is valid").site
}

/// A hand on FEED_SP over a simulated plant.
#[expect(clippy::type_complexity, reason = "the plant is a closure, which has no name")]
fn hand(value: f64) -> Hand<Simulated<impl FnMut(&[f64], &mut [f64]) + Send>> {
    let wishes = [Wish { setpoint: 0, value }];
    let site = reduced(&site(), &wishes);
    let mut hand = Hand::over(&site, &wishes, |index, connection| Ok(bus(&site, index, connection))).expect("a hand");
    hand.look().expect("a plant");
    hand
}

/// The same, in the place of a runtime that is not there.
#[expect(clippy::type_complexity, reason = "the plant is a closure, which has no name")]
fn seated(value: f64) -> (Hand<Simulated<impl FnMut(&[f64], &mut [f64]) + Send>>, TempDir) {
    let (mut hand, directory) = (hand(value), tempfile::tempdir().expect("a directory"));
    let address = Address::new(directory.path(), "works", "ph", "main").expect("a short path");
    hand.take(&address, "test").expect("nobody has it");
    (hand, directory)
}

fn output<P: FnMut(&[f64], &mut [f64]) + Send + 'static>(hand: &mut Hand<Simulated<P>>) -> f64 {
    hand.plants[0].io.bus_mut().outputs()[0]
}

#[test]
fn a_wish_is_reached_in_steps_that_the_rate_permits_and_its_prospect_says_how_it_ends() {
    let (mut hand, _directory) = seated(0.75);
    let [prospect] = &hand.prospects().expect("a verdict")[..] else { panic!("one wish") };
    assert_eq!((prospect.present, prospect.wanted, prospect.goal), (START, 0.75, 0.5));
    assert_eq!((prospect.acted, prospect.takes), (Acted::RANGE, Duration::from_millis(500)));
    let (mut before, mut arrived) = (START, false);
    while !arrived {
        arrived = hand.step().expect("a step");
        let now = output(&mut hand);
        assert!((now - before).abs() <= STEP, "{before} to {now}");
        before = now;
    }
    assert_eq!(before, 0.5);
    assert!(hand.steps() >= ((0.5 - START) / STEP) as u64);
}

#[test]
fn nothing_is_sent_before_the_place_of_the_one_who_writes_is_taken_nor_after_it_was_lost() {
    let mut unseated = hand(0.3);
    for _ in 0..20 {
        assert!(!unseated.step().expect("a step"));
    }
    assert_eq!(output(&mut unseated), START);

    let (mut hand, directory) = seated(0.3);
    assert!(!hand.step().expect("a step"));
    let held = output(&mut hand);
    std::fs::remove_file(directory.path().join("works/ph.lock")).expect("the lock's file");
    assert!(matches!(hand.step(), Err(HandError::Ousted { .. })));
    assert_eq!(output(&mut hand), held);
}

#[test]
fn a_second_hand_on_an_agent_is_refused_while_the_first_one_writes() {
    let (_first, directory) = seated(0.3);
    let address = Address::new(directory.path(), "works", "ph", "main").expect("a short path");
    let refused = hand(0.3).take(&address, "test");
    assert!(matches!(refused, Err(HandError::Call(_))), "the first one answers nobody but at its slots: {refused:?}");
}

#[test]
fn what_is_not_as_expected_ends_it_and_the_last_value_stays() {
    let (mut refused, _directory) = seated(0.3);
    refused.plants[0].io.bus_mut().faults.refuse = Some(0x8003_0000);
    assert!(matches!(refused.step(), Err(HandError::Refused { .. })));
    assert_eq!(output(&mut refused), START);

    let (mut moved, _directory) = seated(0.3);
    assert!(!moved.step().expect("a step"));
    moved.plants[0].io.bus_mut().force(0, 0.1);
    assert!(matches!(moved.step(), Err(HandError::Foreign { .. })));
    assert_eq!(output(&mut moved), 0.1);

    let (mut gone, _directory) = seated(0.3);
    gone.plants[0].io.bus_mut().faults.gone = true;
    assert!(matches!(gone.step(), Err(HandError::Lost { .. })));
}

//! Policies that are well formed and wrong, learners that stop, and others that may not publish at all.

use rt_core::mode::Mode;
use rustix::process::Signal;
use shm_layout::{Counter, EventKind};
use tests::{Place, assert_equal, replayed, wait_for, wait_for_count, wait_for_more};

/// A plant that follows at once, and a probation that calls a fall by one standard deviation a collapse.
const QUICK: [(&str, &str); 3] = [
    ("rate: 0.2", "rate: 200"),
    ("canary: {decisions: 4}", "canary: {decisions: 4, divergence: 1.0}"),
    ("probation: {decisions: 8, reward: 100}", "probation: {decisions: 64, reward: 1.0}"),
];

#[test]
fn f10_a_policy_whose_reward_collapses_makes_room_for_the_one_before_and_the_recording_replays() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &QUICK);
    let mut runtime = place.runtime(&site, &["--arm", "--record", "run.rec"]);
    runtime.wait_for_mode("run");
    let (counters, mut events) = (runtime.counters(), runtime.events());
    events.drain();

    let mut forger = runtime.forger(&site);
    // A quarter of the range holds the level, all of it lets the vessel overflow.
    forger.publish(&forger.constant(0.25));
    assert_eq!(events.next(EventKind::PolicyProven).a, 1);
    forger.publication.generation = 2;
    forger.publish(&forger.constant(1.0));
    runtime.wait_for_status("the probation", |status| {
        status.on_probation.is_some_and(|probation| (probation.generation, probation.before) == (2, 1))
    });
    let rolled_back = events.next(EventKind::PolicyRolledBack);
    assert_eq!((rolled_back.a, rolled_back.b), (2, 1), "{}", rolled_back.text());
    assert!(rolled_back.text().starts_with("reward: -0."), "{}", rolled_back.text());
    wait_for("the policy before", || (counters.get(Counter::PolicyGeneration) == 1).then_some(()));

    // The generation that failed is refused for ever.
    forger.publish(&forger.constant(0.25));
    wait_for_count(&counters, Counter::PoliciesRefused, 1);
    wait_for_more(&counters, Counter::Cycles, 100);
    let counts = [Counter::PoliciesAdopted, Counter::PoliciesRolledBack, Counter::PoliciesFailedTrial];
    assert_eq!(counts.map(|counter| counters.get(counter)), [2, 1, 0]);
    assert_eq!(counters.get(Counter::Mode), Mode::Run as u64);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);

    assert_equal(&replayed(&place, "run.rec"));
}

#[test]
fn f10_a_policy_whose_outputs_saturate_never_drives_the_plant() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let (counters, mut events) = (runtime.counters(), runtime.events());
    let mut forger = runtime.forger(&site);
    forger.publish(&forger.constant(1.5));
    let failed = events.next(EventKind::PolicyFailedTrial);
    assert_eq!((failed.a, failed.text()), (1, "saturation: 1.00 of its outputs, at most 0.5"));
    assert_eq!([Counter::PoliciesAdopted, Counter::PolicyGeneration].map(|counter| counters.get(counter)), [0, 0]);
    assert_eq!(runtime.status().on_trial, None);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn f02_a_stopped_learner_is_told_of_at_once_and_ends_run_by_the_policys_age_alone() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[("max_policy_age: off", "max_policy_age: 8s")]);
    let mut learner = place.learner(&site, "checkpoints");
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let (counters, mut events) = (runtime.counters(), runtime.events());
    wait_for_count(&counters, Counter::PoliciesAdopted, 1);
    events.drain();

    learner.signal(Signal::STOP);
    let lost = events.next(EventKind::LearnerLost);
    assert_eq!(counters.get(Counter::Mode), Mode::Run as u64);
    assert!(lost.text().starts_with(&format!("process {} silent for 3.", learner.pid())), "{}", lost.text());
    assert!(lost.text().contains("; FALLBACK in "), "{}", lost.text());
    assert!(counters.get(Counter::PolicyAge) > 2_000_000_000);
    assert_eq!(events.modes_until(Mode::Fallback), [Mode::Fallback]);
    learner.signal(Signal::CONT);
    assert_eq!(events.modes_until(Mode::Run), [Mode::Run]);
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
}

#[test]
fn f20_a_learner_that_nobody_has_waited_for_is_no_living_one() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let learner = place.learner(&site, "checkpoints");
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_status("the learner", |status| status.learner.alive);
    let mut events = runtime.events();
    learner.signal(Signal::KILL);
    let lost = events.next(EventKind::LearnerLost);
    assert!(std::fs::exists(format!("/proc/{}", learner.pid())).unwrap(), "a zombie has its number");
    assert!(lost.text().starts_with(&format!("process {} has ended", learner.pid())), "{}", lost.text());
    assert!(!runtime.status().learner.alive);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn f16_nothing_that_runtime_and_learner_share_lies_in_dev_shm_so_it_may_be_full() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let mut learner = place.learner(&site, "checkpoints");
    wait_for_count(&runtime.counters(), Counter::PoliciesAdopted, 1);
    for pid in [runtime.process.pid(), learner.pid()] {
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
        let shared: Vec<_> = maps.lines().filter(|line| line.contains("-s ") || line.contains("ws ")).collect();
        assert!(shared.len() >= 3, "{maps}");
        assert!(shared.iter().all(|line| line.contains("/memfd:corerl-")), "{shared:#?}");
    }
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
}

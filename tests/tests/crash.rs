//! Processes that are killed, stopped and started again, and what must not come of it.

use std::collections::BTreeSet;

use rt_core::mode::Mode;
use rustix::process::Signal;
use shm_layout::{Counter, CycleHead, EventKind};
use tests::{CycleRecord, Place, Plant, Runtime, is_alive, signal_to, wait_for, wait_for_count, wait_for_more};

/// Learners that are killed one after another.
const LEARNERS: u64 = 5;
/// Policies that each of them brings across before it is killed in the middle of the next ones.
const POLICIES: u64 = 3;

#[test]
fn f01_a_learner_killed_while_it_publishes_leaves_the_last_policy_and_the_next_one_joins_by_a_new_epoch() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[("publish_every: 2", "publish_every: 1")]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let (counters, mut events) = (runtime.counters(), runtime.events());
    events.drain();
    for epoch in 1..=LEARNERS {
        let mut learner = place.learner(&site, "checkpoints");
        wait_for_count(&counters, Counter::LearnerEpoch, epoch);
        wait_for_more(&counters, Counter::PoliciesAdopted, POLICIES);
        learner.kill();
        let generation = counters.get(Counter::PolicyGeneration);
        wait_for_more(&counters, Counter::Cycles, 20);
        assert!(counters.get(Counter::PolicyGeneration) >= generation.max(epoch * POLICIES));
        assert_eq!(counters.get(Counter::Mode), Mode::Run as u64);
    }
    let silent = runtime.wait_for_status("the last learner to be missed", |status| !status.learner.alive);
    assert_eq!((silent.learner.epoch, silent.mode.as_str()), (LEARNERS, "run"));
    assert_eq!(counters.get(Counter::PoliciesRefused), 0, "half a network was taken for a whole one");
    assert_eq!(events.modes(), []);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn f13_a_stopped_learner_is_fenced_out_by_the_next_one_and_ends_when_it_wakes_up() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let (counters, mut events) = (runtime.counters(), runtime.events());
    events.drain();
    let mut first = place.learner(&site, "first");
    wait_for_count(&counters, Counter::PoliciesAdopted, POLICIES);
    first.signal(Signal::STOP);
    wait_for("the silence to be noticed", || (counters.get(Counter::LearnerAlive) == 0).then_some(()));
    let generation = counters.get(Counter::PolicyGeneration);

    let mut second = place.learner(&site, "second");
    wait_for_count(&counters, Counter::PolicyGeneration, generation + POLICIES);
    first.signal(Signal::CONT);
    assert_eq!(first.exit_code(), 75, "{}", first.said());
    assert!(first.said().contains("another learner has taken over (epoch 2, this one's is 1)"), "{}", first.said());
    wait_for_more(&counters, Counter::PoliciesAdopted, POLICIES);
    assert_eq!((counters.get(Counter::LearnerEpoch), counters.get(Counter::PoliciesRefused)), (2, 0));
    assert_eq!(events.modes(), []);
    assert_eq!((second.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
}

#[test]
fn f34_a_plant_that_dies_and_comes_back_is_held_given_up_and_taken_over_again_from_where_it_is() {
    let place = Place::new();
    let mut plant = place.plant();
    let port = plant.port();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let (mut cycles, mut events) = (runtime.cycles(), runtime.events());
    // Far from where a new plant starts, so that a set from before its death would be seen.
    let before = wait_for("the policy to move the setpoint", || setpoint_beyond(&cycles.drain(), 0.35));
    plant.process.kill();
    assert_eq!(events.modes_until(Mode::Fallback), [Mode::Shadow, Mode::Run, Mode::Hold, Mode::Fallback]);
    cycles.drain();

    plant = place.plant_on(port);
    assert_eq!(events.modes_until(Mode::Run), [Mode::Run]);
    wait_for_more(&runtime.counters(), Counter::Cycles, 20);
    let records = cycles.drain();
    let connected = records.iter().filter(|record| record.head.has(CycleHead::CONNECTED));
    let seen: Vec<_> = connected.skip_while(|record| record.tags[0].value != 0.25).collect();
    assert!(!seen.is_empty(), "the value before the death ({before}) was written again before the new one was read");
    assert_moves_within_its_rate(&seen);
    assert_eq!((runtime.process.stop(Signal::TERM), plant.process.stop(Signal::TERM)), (0, 0));
}

fn setpoint_beyond(records: &[CycleRecord], bound: f64) -> Option<f64> {
    records.iter().map(|record| record.tags[0].value).find(|value| *value > bound)
}

/// What is read back moves by at most the rate of the rig's site in the time that passed since the plant was seen first.
fn assert_moves_within_its_rate(records: &[&CycleRecord]) {
    const RATE_PER_S: f64 = 0.2;
    let (start, from) = (records[0].head.release_ns, records[0].tags[0].value);
    for record in records {
        let (moved, ns) = (record.tags[0].value - from, record.head.release_ns - start);
        assert!(moved.abs() <= RATE_PER_S * ns as f64 * 1e-9 + 1e-9, "{moved} in {ns} ns");
    }
}

#[test]
fn f15_a_runtime_that_was_killed_starts_unarmed_on_its_stale_socket_and_everybody_attaches_anew() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let mut learner = place.learner(&site, "checkpoints");
    runtime.wait_for_mode("run");
    wait_for_count(&runtime.counters(), Counter::PoliciesAdopted, POLICIES);
    runtime.process.kill();
    assert!(runtime.socket().exists(), "a killed process removes nothing");
    let absent = place.corerl(&["agent", "status"]).output().unwrap();
    assert_eq!(absent.status.code(), Some(69));

    let mut runtime = place.runtime(&site, &[]);
    let status = runtime.wait_for_status("the learner", |status| status.learner.alive && status.mode == "shadow");
    assert_eq!((status.armed, status.learner.pid, status.learner.epoch), (false, learner.pid(), 1));
    wait_for_count(&runtime.counters(), Counter::PoliciesAdopted, POLICIES);
    assert_eq!(owners_of_segments(&place), BTreeSet::from([runtime.process.pid()]));
    assert_eq!(runtime.counters().get(Counter::SetpointsWritten), 0, "an unarmed runtime wrote");

    let arm = place.corerl(&["agent", "arm", "--cause", "systest"]).status().unwrap();
    assert!(arm.success());
    runtime.wait_for_mode("run");
    wait_for_count(&runtime.counters(), Counter::SetpointsWritten, 1);
    assert_eq!((learner.stop(Signal::INT), runtime.process.stop(Signal::TERM)), (0, 0));
    drop(plant);
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

/// The processes that own the segments which `corerl shm ls` finds.
fn owners_of_segments(place: &Place) -> BTreeSet<u32> {
    let listed = place.corerl(&["shm", "ls", "--json"]).output().unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let segments = listed["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 12, "{listed}");
    segments.iter().map(|segment| u32::try_from(segment["owner_pid"].as_u64().unwrap()).unwrap()).collect()
}

#[test]
fn a_third_runtime_of_the_same_agent_is_refused_and_the_others_go_on() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut first = place.runtime(&site, &[]);
    first.wait_for_mode("shadow");
    let mut second = place.runtime(&site, &[]);
    second.wait_for_status("the first one", |status| status.lease.partner == Some(first.process.pid()));
    second.wait_for_mode("shadow");
    let mut third = place.runtime(&site, &[]);
    assert_eq!(third.process.exit_code(), 75);
    let said = third.process.wait_until_it_says(&format!("process {}", second.process.pid()));
    assert!(said.contains("stop one of them first, or give this one another `runtime.instance`"), "{said}");
    let mut company = place.company(&site, &[]);
    assert_eq!(company.process.exit_code(), 75, "{}", company.process.said());
    assert_eq!((first.status().mode, second.status().mode), ("shadow".into(), "shadow".into()));
    assert_eq!((second.process.stop(Signal::TERM), first.process.stop(Signal::TERM)), (0, 0));
    drop(plant);
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

/// `corerl run` with everybody at work.
struct Company {
    place: Place,
    plant: Plant,
    parent: Runtime,
    runtime_pid: u32,
    learner_pid: u32,
}

impl Company {
    fn at_work() -> Self {
        let place = Place::new();
        let plant = place.plant();
        let site = place.site(plant.url(), &[]);
        let parent = place.company(&site, &["--arm"]);
        parent.wait_for_mode("run");
        wait_for_count(&parent.counters(), Counter::PoliciesAdopted, POLICIES);
        let runtime_pid = parent.client().describe().unwrap().pid;
        let learner_pid = parent.status().learner.pid;
        Self { place, plant, parent, runtime_pid, learner_pid }
    }

    /// Ends the plant, after which nothing may be left.
    fn assert_nothing_is_left(mut self) {
        assert_eq!(self.plant.process.stop(Signal::TERM), 0);
        wait_for("runtime and learner to end", || {
            (!is_alive(self.runtime_pid) && !is_alive(self.learner_pid)).then_some(())
        });
        assert_eq!(self.place.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn the_runtime_of_a_killed_foreground_parent_releases_the_plant_and_everything_ends() {
    let mut company = Company::at_work();
    let mut events = company.parent.events();
    company.parent.process.kill();
    wait_for("the runtime to end", || (!is_alive(company.runtime_pid)).then_some(()));
    let events = events.drain();
    let last_mode = events.iter().rfind(|event| event.kind() == Some(EventKind::ModeChange)).map(|event| event.b);
    assert_eq!(last_mode, Some(Mode::Release as u64));
    assert_eq!(events.last().and_then(|event| event.kind()), Some(EventKind::Stopping));
    company.assert_nothing_is_left();
}

#[test]
fn a_killed_runtime_ends_its_foreground_parent_which_cleans_up_after_it() {
    let mut company = Company::at_work();
    signal_to(company.runtime_pid, Signal::KILL);
    assert_eq!(company.parent.process.exit_code(), 70);
    company.parent.process.wait_until_it_says("the runtime was killed by signal 9");
    company.assert_nothing_is_left();
}

#[test]
fn f19_a_killed_learner_is_started_again_by_its_foreground_parent() {
    let mut company = Company::at_work();
    signal_to(company.learner_pid, Signal::KILL);
    let next = company.parent.wait_for_status("the next learner", |status| status.learner.epoch == 2);
    assert_ne!(next.learner.pid, company.learner_pid);
    assert_eq!(next.mode, "run");
    company.learner_pid = next.learner.pid;
    // It publishes what it goes on from as soon as it has joined; whether more follows is up to what there is to learn.
    wait_for_more(&company.parent.counters(), Counter::PoliciesAdopted, 1);
    assert_eq!(company.parent.process.stop(Signal::INT), 0);
    company.assert_nothing_is_left();
}

#[test]
fn f89_a_runtime_that_keeps_dying_waits_in_release_for_an_operator() {
    let place = Place::new();
    let plant = place.plant();
    let changes = [("  period: 5ms", "  period: 5ms\n  rearm: after_gates\n  restarts: {n: 2}")];
    let site = place.site(plant.url(), &changes);
    for _ in 0..2 {
        let mut runtime = place.runtime(&site, &[]);
        runtime.wait_for_mode("run");
        runtime.process.kill();
    }
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("release");
    let counters = runtime.counters();
    wait_for_more(&counters, Counter::Cycles, 100);
    let status = runtime.status();
    assert_eq!((status.mode.as_str(), status.armed, counters.get(Counter::Heartbeats)), ("release", false, 0));
    assert_eq!(runtime.events().texts(EventKind::Fault), ["2 starts in 600 s ended in no order: RELEASE"]);
    assert!(place.corerl(&["agent", "arm", "--cause", "f89"]).status().unwrap().success());
    runtime.wait_for_mode("run");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);

    // One end in order, and what was before is forgotten.
    let mut runtime = place.runtime(&site, &[]);
    runtime.wait_for_mode("run");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    drop(plant);
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

#[test]
fn f78_sigterm_and_sigint_end_every_program_in_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut company = Company::at_work();
        assert_eq!(company.parent.process.stop(signal), 0, "{}", company.parent.process.said());
        company.assert_nothing_is_left();
        assert_ends_alone(signal);
    }
}

/// A runtime without a plant, and a learner without a runtime at its end.
fn assert_ends_alone(signal: Signal) {
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let mut runtime = place.runtime(&site, &[]);
    let mut learner = place.learner(&site, "checkpoints");
    runtime.wait_for_status("the learner", |status| status.learner.alive);
    assert_eq!(runtime.process.stop(signal), 0, "{}", runtime.process.said());
    assert_eq!(learner.stop(signal), 0, "{}", learner.said());
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

//! Recordings of real runs: every bit comes out of the replay again, whatever became of the recorder.

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, assert_equal, replayed, wait_for_count, wait_for_more};

#[test]
fn a_run_with_a_learner_replays_bit_for_bit_with_every_kernel() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[("explore: false", "explore: true")]);
    let mut runtime = place.company(&site, &["--arm", "--record", "run.rec"]);
    runtime.wait_for_mode("run");
    let counters = runtime.counters();
    wait_for_count(&counters, Counter::PoliciesAdopted, 3);
    wait_for_more(&counters, Counter::Cycles, 200);
    assert_eq!((counters.get(Counter::AllocationsInCycle), counters.get(Counter::CyclesUnrecorded)), (0, 0));
    let cycles = counters.get(Counter::Cycles);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    let file = replayed(&place, "run.rec");
    assert!(assert_equal(&file) >= cycles, "{file:#}");
    assert_eq!((&file["ending"]["kind"], &file["first_cycle"]), (&Value::from("closed"), &Value::from(0)));
    assert!(file["policies"].as_u64() >= Some(2), "{file:#}");
}

#[test]
fn a_recording_of_a_killed_runtime_replays_up_to_its_last_whole_record() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm", "--record", "run.rec"]);
    runtime.wait_for_mode("run");
    wait_for_more(&runtime.counters(), Counter::Cycles, 200);
    runtime.process.kill();
    let file = replayed(&place, "run.rec");
    assert!(assert_equal(&file) > 100, "{file:#}");
    assert_eq!(file["ending"]["kind"], "cut");
}

#[test]
fn a_full_disk_stops_the_recording_and_not_the_runtime() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm", "--record", "/dev/full"]);
    runtime.wait_for_mode("run");
    let counters = runtime.counters();
    wait_for_count(&counters, Counter::CyclesUnrecorded, 100);
    wait_for_more(&counters, Counter::Cycles, 100);
    assert_eq!(runtime.status().mode, "run");
    runtime.process.wait_until_it_says("recording stopped: No space left on device");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn a_place_where_nothing_can_be_written_starts_nothing() {
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let mut runtime = place.runtime(&site, &["--record", "no/such/directory/run.rec"]);
    assert_eq!(runtime.process.exit_code(), 69);
    runtime.process.wait_until_it_says("cannot create the recording: No such file or directory");
}

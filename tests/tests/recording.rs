//! Recordings of real runs: every bit comes out of the replay again, whatever became of the recorder.

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, wait_for_count, wait_for_more};

/// Replays the recording of this name with every kernel; what was told about the file.
fn replayed(place: &Place, name: &str) -> Value {
    let output =
        place.command("corerl").args(["replay", "--kernel", "all", "--json", name]).output().expect("corerl starts");
    assert!(output.status.success(), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).expect("an object");
    told["files"][0].clone()
}

/// Every kernel gave every bit again; the number of cycles.
fn assert_equal(file: &Value) -> u64 {
    let kernels = file["kernels"].as_array().expect("a list of kernels");
    assert!(!kernels.is_empty());
    for kernel in kernels {
        assert_eq!((&kernel["equal_cycles"], &kernel["difference"]), (&file["cycles"], &Value::Null), "{kernel}");
    }
    file["cycles"].as_u64().expect("a number of cycles")
}

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

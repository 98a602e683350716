//! Recordings of real runs: every bit comes out of the replay again, whatever became of the recorder.

use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Plant, Runtime, SiteFile, program};

const SITE: &str = "schema: corerl/1
lab: true
agent_name: agent
seed: 3
coreio:
  opc_connections:
    - {connection_id: plant, opc_conn_url: '{url}'}
interaction: {obs_period: 10ms, action_period: 10ms}
agent: {batch_size: 32, candidates: 16, publish_every: 2}
pipeline:
  tags:
    - name: u
      type: ai_setpoint
      node_identifier: nsu=urn:corerl:plant;s=saturation.u
      operating_range: [0, 0.5]
      nominal_setpoint: 0.25
    - {name: level, node_identifier: nsu=urn:corerl:plant;s=saturation.level, operating_range: [0, 1]}
  reward: {value: '-abs({level} - 0.5)'}
runtime:
  site: rig
  period: 5ms
  t_hold: 1s
  overruns: {m: 48, n: 64}
  recoveries_per_hour: 16
  limits: {u: {range: [0, 0.5], rate: 200}}
  fallback: {u: nominal}
";

fn replay(file: &Path) -> (Output, Value) {
    let output = Command::new(program("corerl"))
        .args(["replay", "--kernel", "all", "--json"])
        .arg(file)
        .output()
        .expect("corerl starts");
    let told = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output, told)
}

/// Every kernel gave every bit again; the number of cycles.
fn assert_equal(told: &Value) -> u64 {
    let file = &told["files"][0];
    let kernels = file["kernels"].as_array().expect("a list of kernels");
    assert!(!kernels.is_empty());
    for kernel in kernels {
        assert_eq!((&kernel["equal_cycles"], &kernel["difference"]), (&file["cycles"], &Value::Null), "{kernel}");
    }
    file["cycles"].as_u64().expect("a number of cycles")
}

#[test]
fn a_run_with_a_learner_replays_bit_for_bit_with_every_kernel() {
    let directory = tempfile::tempdir().unwrap();
    let plant = Plant::start("saturation");
    let site = SiteFile::write(directory.path(), SITE, plant.url());
    let file = directory.path().join("run.rec");
    let options = ["--arm", "--record", file.to_str().unwrap()];
    let mut runtime = Runtime::start_with_company(&site, directory.path(), &options);
    runtime.wait_for_mode("run");
    runtime.wait_for_count(Counter::PoliciesAdopted, 3);
    let cycles = runtime.counters().get(Counter::Cycles);
    runtime.wait_for_count(Counter::Cycles, cycles + 200);
    assert_eq!(runtime.counters().get(Counter::AllocationsInCycle), 0);
    runtime.process.signal(Signal::TERM);
    assert!(runtime.process.wait().success());
    let (output, told) = replay(&file);
    assert!(output.status.success(), "{told:#}");
    assert!(assert_equal(&told) >= cycles);
    assert_eq!(told["files"][0]["ending"]["kind"], "closed");
    assert!(told["files"][0]["policies"].as_u64() >= Some(2), "{told:#}");
}

#[test]
fn a_recording_of_a_killed_runtime_replays_up_to_its_last_whole_record() {
    let directory = tempfile::tempdir().unwrap();
    let plant = Plant::start("saturation");
    let site = SiteFile::write(directory.path(), SITE, plant.url());
    let file = directory.path().join("run.rec");
    let mut runtime = Runtime::start(&site, directory.path(), &["--arm", "--record", file.to_str().unwrap()]);
    runtime.wait_for_mode("run");
    runtime.wait_for_count(Counter::Cycles, 400);
    runtime.process.signal(Signal::KILL);
    runtime.process.wait();
    let (output, told) = replay(&file);
    assert!(output.status.success(), "{told:#}");
    assert!(assert_equal(&told) > 100);
    assert_eq!(told["files"][0]["ending"]["kind"], "cut");
}

#[test]
fn a_full_disk_stops_the_recording_and_not_the_runtime() {
    let directory = tempfile::tempdir().unwrap();
    let plant = Plant::start("saturation");
    let site = SiteFile::write(directory.path(), SITE, plant.url());
    let mut runtime = Runtime::start(&site, directory.path(), &["--arm", "--record", "/dev/full"]);
    runtime.wait_for_mode("run");
    runtime.wait_for_count(Counter::CyclesUnrecorded, 100);
    let counters = runtime.counters();
    let cycles = counters.get(Counter::Cycles);
    runtime.wait_for_count(Counter::Cycles, cycles + 100);
    assert_eq!(runtime.status().mode, "run");
    runtime.process.signal(Signal::TERM);
    assert!(runtime.process.wait().success());
}

//! `cargo xtask demo`, as a person starts it. The periods are longer than its own, so that a machine that is busy with other
//! things leaves the learner enough updates for every observation; nothing that is promised changes with them.

use std::process::Command;

use serde_json::Value;
use tests::{Place, Process, program, wait_for, workspace};

/// Numbers that are counts.
const COUNTS: &[&str] = &[
    "cycles",
    "slots_elapsed",
    "slots_skipped",
    "samples_received",
    "samples_lost",
    "setpoints_written",
    "setpoints_rejected",
    "heartbeats",
    "transitions_sent",
    "transitions_lost",
    "learner_updates",
    "policies_published",
    "policies_adopted",
    "policies_refused",
    "policies_failed_trial",
    "policies_rolled_back",
    "allocations_in_cycle",
    "page_faults_in_cycle",
];
/// Counts of what may not be lost, refused or impure.
const ZERO: &[&str] =
    &["samples_lost", "setpoints_rejected", "transitions_lost", "policies_refused", "allocations_in_cycle"];

fn xtask(place: &Place) -> Command {
    let mut command = children::cargo();
    command.current_dir(workspace()).arg("xtask").env("TMPDIR", place.path("tmp"));
    command
}

/// Runs the demo to its end; its JSON.
fn demonstrate(place: &Place) -> Value {
    // What has to be built is built before the waiting begins.
    program("corerl");
    assert!(xtask(place).args(["demo", "--help"]).output().unwrap().status.success());
    let json = place.path("demo.json");
    let mut command = xtask(place);
    command.args(["demo", "--seconds", "24", "--period", "2ms", "--obs", "20ms"]);
    command.arg("--json").arg(&json).arg("--report").arg(place.path("report"));
    let mut demo = Process::start(command);
    wait_for("the end of the demo", || (!demo.is_running()).then_some(()));
    assert_eq!(demo.exit_code(), 0, "{}", demo.said());
    serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap()
}

#[test]
fn the_demo_learns_loses_nothing_reports_every_field_and_leaves_nothing_behind() {
    let place = Place::new();
    let json = demonstrate(&place);
    assert_schema(&json);
    let count = |name: &str| json[name].as_u64().unwrap();
    assert_eq!(count("cycles") + count("slots_skipped"), count("slots_elapsed"));
    for name in ZERO {
        assert_eq!(count(name), 0, "{name}");
    }
    if json["degraded"] == false {
        assert_eq!(count("page_faults_in_cycle"), 0);
    }
    for name in ["samples_received", "setpoints_written", "heartbeats", "transitions_sent", "learner_updates"] {
        assert!(count(name) > 0, "{name}");
    }
    assert!(count("policies_adopted") > 0 && count("policies_adopted") <= count("policies_published"));
    let (first, last) = (json["reward"]["first"].as_f64().unwrap(), json["reward"]["last"].as_f64().unwrap());
    assert!(last > first, "the reward went from {first} to {last}");
    assert_eq!(
        (json["mode_changes"][0]["from"].as_str(), json["mode_changes"][1]["to"].as_str()),
        (Some("startup"), Some("run"))
    );
    assert!(place.path("report").join("report.html").is_file());
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

/// All fields of `corerl.demo/1` are there and of their types.
fn assert_schema(json: &Value) {
    assert_eq!(json["schema"], "corerl.demo/1");
    assert!(json["degraded"].is_boolean() && json["seconds"].is_f64());
    assert_eq!(json["period_us"], 2000.0);
    for name in COUNTS {
        assert!(json[name].is_u64(), "{name}: {}", json[name]);
    }
    for name in ["lateness_us", "execution_us"] {
        let quantiles = ["p50", "p99", "p999", "max"].map(|q| json[name][q].as_f64().unwrap_or(f64::NAN));
        assert!(quantiles.is_sorted() && quantiles[0] > 0.0, "{name}: {quantiles:?}");
    }
    for change in json["mode_changes"].as_array().unwrap() {
        assert!(change["cycle"].is_u64(), "{change}");
        assert!(["from", "to", "cause"].iter().all(|name| change[*name].is_string()), "{change}");
    }
}

//! What every program logs where nobody reads along: one JSON object per line, with the same fields everywhere.

use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use tests::{Place, Process, wait_for};

const LEVELS: [&str; 5] = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

/// Checks each line that a service said, of which there is one at least; the last of them.
fn check(said: &str, service: &str, agent: Option<&str>) -> Value {
    let mut correlation = None;
    let mut last = Value::Null;
    for line in said.lines() {
        let entry: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{service}: {error}: {line}"));
        assert_eq!(entry["service"], service, "{line}");
        assert!(entry["timestamp"].as_f64().is_some_and(|seconds| seconds > 1.6e9), "{line}");
        assert!(entry["level"].as_str().is_some_and(|level| LEVELS.contains(&level)), "{line}");
        assert!(entry["message"].as_str().is_some_and(|message| !message.is_empty()), "{line}");
        if let Some(agent) = agent {
            assert_eq!(entry["agent_id"], agent, "{line}");
        }
        let id = entry["correlation_id"].as_str().unwrap_or_else(|| panic!("{line}")).to_owned();
        assert_eq!(*correlation.get_or_insert_with(|| id.clone()), id, "a process has one identity");
        last = entry;
    }
    assert!(!last.is_null(), "{service} said nothing");
    last
}

#[test]
fn every_program_logs_json_lines_with_the_same_fields() {
    let place = Place::new();
    let mut plant = place.plant_with(&["--log", "debug"]);
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &[]);
    let mut learner = place.learner(&site, "checkpoints");
    runtime.wait_for_mode("shadow");
    learner.wait_until_it_says("joined the runtime");

    let mut metrics = place.corerl(&["metrics", "--listen", "127.0.0.1:0", "--tether"]);
    metrics.stdout(Stdio::null());
    let mut metrics = Process::start(metrics);
    metrics.wait_until_it_says("serving");
    let mut scada = place.command("corerl-ua-server");
    scada.args(["--lab", "--port", "0", "--every", "0.05", "--tether", "--runtime-dir"]).arg(place.path("run"));
    scada.stdout(Stdio::null());
    let mut scada = Process::start(scada);
    // A socket that nobody listens on any more is something to tell of.
    assert_eq!(learner.stop(Signal::TERM), 0);
    runtime.process.kill();
    metrics.wait_until_it_says("rig/agent");
    scada.wait_until_it_says("rig/agent");
    assert_eq!((metrics.stop(Signal::TERM), scada.stop(Signal::TERM), plant.process.stop(Signal::TERM)), (0, 0, 0));

    check(&runtime.process.said(), "corerl-rt", Some("rig/agent"));
    check(&learner.said(), "corerl-learner", Some("rig/agent"));
    check(&metrics.said(), "corerl-metrics", None);
    check(&scada.said(), "corerl-ua-server", None);
    check(&plant.process.said(), "corerl-plant", None);
}

#[test]
fn metrics_whose_port_is_taken_say_so_as_a_critical_line_and_end_with_their_code() {
    let place = Place::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut metrics = Process::start(place.corerl(&["metrics", "--listen", &address]));
    assert_eq!(metrics.exit_code(), 69);
    let said = wait_for("its last words", || Some(metrics.said()).filter(|said| said.contains("--listen")));
    let last = check(&said, "corerl-metrics", None);
    assert_eq!(last["level"], "CRITICAL");
    assert!(last["exception"].as_str().is_some_and(|exception| exception.contains(&address)), "{last}");
}

#[test]
fn the_last_words_of_a_service_that_cannot_go_on_are_critical() {
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let mut command = place.command("corerl-rt");
    command.arg("--config").arg(site.path()).args(["--runtime-dir", "/dev/null/none"]);
    let mut runtime = Process::start(command);
    assert_ne!(runtime.exit_code(), 0);
    let said = wait_for("its last words", || Some(runtime.said()).filter(|said| said.contains("CRITICAL")));
    let last = check(&said, "corerl-rt", Some("rig/agent"));
    assert_eq!(last["level"], "CRITICAL");
    assert!(last["exception"].as_str().is_some_and(|exception| exception.contains("/dev/null/none")), "{last}");
}

//! `corerl hil record` and `run`, end to end: what was recorded of an agent at somebody's server runs again at that server.

use std::path::Path;
use std::process::{Command, Output};

use rustix::process::Signal;
use serde_json::Value;
use tests::{Place, Runtime, program};

/// A scenario of the least that can be recorded.
fn record(place: &Place, site: &Path, options: &[&str]) -> String {
    let mut command = place.corerl(&["hil", "record", "--for", "1s"]);
    let output = command.arg("--config").arg(site).args(options).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Runs what was recorded.
fn run(place: &Place, scenario: &str, options: &[&str]) -> Output {
    std::fs::write(place.path("recorded.yaml"), scenario).unwrap();
    let mut command = place.command("corerl");
    command.args(["hil", "run", "recorded.yaml", "--json", "--patience", "5"]).args(options).output().unwrap()
}

/// How it came out; all of it when it did not pass.
fn outcome(output: &Output) -> (Option<i32>, String) {
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.code(), said["scenarios"][0]["outcome"].as_str().unwrap_or("?").to_owned())
}

fn armed(place: &Place, site: &tests::SiteFile) -> Runtime {
    let runtime = place.runtime(site, &["--arm"]);
    runtime.wait_for_mode("run");
    runtime
}

#[test]
fn what_was_recorded_at_a_secured_server_runs_again_at_one_that_the_same_command_starts() {
    let place = Place::new();
    let plant = place.plant_with(&["--security", "encrypt", "--trust-all-clients"]);
    let security = "      security_policy: {policy: basic256_sha256, client_cert_path: client.der, \
                    client_key_path: client.pem, trust_dir: pki}\ninteraction:\n";
    let site = place.site(plant.url(), &[("interaction:\n", security)]);
    let operate = |words: &[&str]| {
        let done = place.command("corerl").args(words).output().unwrap();
        assert!(done.status.success(), "{done:?}");
    };
    let own = ["--application-uri", "urn:corerl:rig:agent", "--cert", "client.der", "--key", "client.pem"];
    operate(&[&["io", "cert", "create"][..], &own].concat());
    operate(&["io", "trust", "add", "plant-pki/own/cert.der", "--trust-dir", "pki"]);
    let mut runtime = armed(&place, &site);
    let plant_program = program("corerl-plant");
    let start = [plant_program.to_str().unwrap(), "--port", "{port}", "--step", "20ms", "--pki", "plant-pki"];
    let secured = ["--security", "encrypt", "--trust-all-clients"];
    let options = [&["--ready", "127.0.0.1", "--"][..], &start, &secured].concat();
    let scenario = record(&place, site.path(), &options);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    assert!(scenario.contains("opc.tcp://127.0.0.1:{port}") && scenario.contains("stays: run"), "{scenario}");

    // Beside the plant that it was recorded at: the command takes another port.
    let output = run(&place, &scenario, &[]);
    assert_eq!(outcome(&output), (Some(0), "passed".to_owned()), "{output:?}");
    // A command that starts nothing is told with what it said.
    let output = run(&place, &scenario.replace("\"--step\"", "\"--stop\""), &[]);
    assert_eq!(outcome(&output), (Some(1), "broken".to_owned()), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("unexpected argument '--stop'"), "{output:?}");
}

#[test]
fn what_was_recorded_on_a_rig_runs_again_on_it_and_leaves_it_there() {
    let place = Place::new();
    let mut plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = armed(&place, &site);
    let rig = |permits: bool| {
        let text = format!(
            "name = \"pump\"\nabout = \"a pump\"\nendpoint = \"{}\"\npermits_writing = {permits}\n",
            plant.url()
        );
        std::fs::write(place.path("rig.toml"), text).unwrap();
    };
    rig(false);
    let scenario = record(&place, site.path(), &["--rig", "rig.toml"]);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    assert!(scenario.contains(r#"plant: {"existing":{"rig":"pump"}}"#), "{scenario}");

    assert_eq!(outcome(&run(&place, &scenario, &[])), (Some(0), "skipped".to_owned()));
    let refused = run(&place, &scenario, &["--rig", "rig.toml"]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    rig(true);
    let output = run(&place, &scenario, &["--rig", "rig.toml"]);
    assert_eq!(outcome(&output), (Some(0), "passed".to_owned()), "{output:?}");
    assert_eq!(plant.process.stop(Signal::TERM), 0);
}

#[test]
fn what_nothing_can_be_made_of_is_refused_before_anything_is_watched() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = armed(&place, &site);
    let refused = |options: &[&str], code: i32, word: &str| {
        let mut command: Command = place.corerl(&["hil", "record"]);
        let output = command.arg("--config").arg(site.path()).args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{options:?}: {output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains(word), "{options:?}: {output:?}");
    };
    assert!(record(&place, site.path(), &[]).contains(r#"plant: {"simulated":{"name":"saturation"}}"#));
    refused(&["--rig", "nowhere.toml"], 78, "nowhere.toml cannot be read");
    refused(&["--directory", "nowhere", "--", "pump"], 69, "nowhere");
    refused(&["--ready", "x"], 2, "COMMAND");
    refused(&["--rig", "rig.toml", "--", "pump"], 2, "cannot be used with");
    let text = std::fs::read_to_string(site.path()).unwrap();
    std::fs::write(site.path(), text.replace("nsu=urn:corerl:plant;", "nsu=urn:works;")).unwrap();
    refused(&[], 2, "say behind `--` how its server is started");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

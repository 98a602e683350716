//! A plant that refuses what is written to it: what the runtime's records, its commands and its files say of it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::EventKind;
use tests::{Place, wait_for};

/// Has the plant refuse the setpoint, or take it again.
fn fault(socket: &Path, request: &str) {
    let mut stream = UnixStream::connect(socket).expect("the plant listens for faults");
    writeln!(stream, "{request}").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    assert!(answer.contains("done"), "{request}: {answer}");
}

fn corerl(place: &Place, words: &[&str]) -> Output {
    place.corerl(words).output().expect("corerl can be started")
}

/// What the plant answered to the setpoint of each decision.
fn replies(told: &Value) -> Vec<&str> {
    let decisions = told["decisions"].as_array().expect("decisions").iter();
    decisions.filter_map(|decision| decision["setpoints"][0]["reply"].as_str()).collect()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn f48_what_a_plant_refuses_is_never_told_as_written_and_a_reset_that_does_not_help_says_so() {
    let place = Place::new();
    let socket = place.path("faults");
    let plant = place.plant_with(&["--faults", socket.to_str().unwrap()]);
    let recorder = "  site: rig\n  recorder: {flight: {on: [trip], before: 2s, after: 200ms}}\n";
    let site = place.site(plant.url(), &[("  site: rig\n", recorder)]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let mut events = runtime.events();
    let before = wait_for("decisions in RUN", || {
        let told = json(&corerl(&place, &["agent", "why", "--json", "--last", "3"]));
        replies(&told).contains(&"accepted").then_some(told)
    });
    assert_eq!(before["schema"], "corerl.why/2");

    fault(&socket, r#"{"do": "refuse", "node": "u", "status": "BadNotWritable"}"#);
    let status = runtime.wait_for_status("the trip", |status| status.latched.is_some());
    assert_eq!(status.latched.as_deref(), Some("write_refused"));
    let texts = events.texts(EventKind::SetpointRejected);
    assert!(texts.iter().any(|text| text == "refused: u"), "{texts:?}");

    let reset = corerl(&place, &["agent", "reset", "--cause", "hope", "--watch", "20s", "--json"]);
    assert_eq!(reset.status.code(), Some(1), "{reset:?}");
    let told = json(&reset);
    assert_eq!((&told["tripped"]["cause"], &told["tripped"]["again"]), (&"write_refused".into(), &true.into()));
    assert!(told["tripped"]["connections"][0].as_str().is_some_and(|said| said.contains("BadNotWritable")), "{told:#}");

    let file = wait_for("the flight file", || runtime.status().flight.and_then(|flight| flight.newest));
    let why = ["agent", "why", "--from", &file, "--json", "--last", "100"];
    let told = json(&place.command("corerl").args(why).output().unwrap());
    assert!(replies(&told).contains(&"refused"), "{told:#}");

    fault(&socket, r#"{"do": "clear", "node": "u", "kind": "refuse"}"#);
    let reset = corerl(&place, &["agent", "reset", "--cause", "repaired"]);
    assert_eq!(reset.status.code(), Some(0), "{reset:?}");
    assert!(String::from_utf8_lossy(&reset.stderr).contains("no trip in the 1.0 s since"), "{reset:?}");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

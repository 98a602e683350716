//! `corerl io` against a server: what an engineer looks at before anything is controlled, and beside what is.

use std::collections::BTreeSet;

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, Process, Proxy, SiteFile, wait_for_more};

const LEVEL: &str = "nsu=urn:corerl:plant;s=saturation.level";
/// Of the rig's site: how far the setpoint moves in one period, and where the plant has it at the start.
const STEP: f64 = 0.2 * 0.005;
const START: f64 = 0.25;

/// What the command printed, as JSON.
fn told(place: &Place, words: &[&str], site: Option<&SiteFile>) -> Value {
    let mut command = place.command("corerl");
    command.args(words);
    if let Some(site) = site {
        command.arg("--config").arg(site.path());
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_server_is_discovered_browsed_and_read_beside_a_runtime_that_writes() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");

    let offered = told(&place, &["io", "discover", plant.url(), "--json"], None);
    assert_eq!(offered["endpoints"][0]["security"], "None");
    assert_eq!(offered["endpoints"][0]["supported"], true);

    let tree = told(&place, &["io", "browse", "--json"], Some(&site));
    let nodes = tree["nodes"].as_array().unwrap();
    let find = |node: &str| nodes.iter().find(|leaf| leaf["node"] == node).unwrap_or_else(|| panic!("{node}: {tree}"));
    let level = find(LEVEL);
    assert_eq!(
        (&level["name"], &level["data_type"], &level["access"]),
        (&"level".into(), &"Double".into(), &"read".into())
    );
    assert_eq!(find("nsu=urn:corerl:plant;s=saturation.u")["access"], "read, write");
    assert_eq!(find("nsu=urn:corerl:plant;s=saturation.u.EURange")["depth"], 2);
    let part = told(&place, &["io", "browse", "ns=2;s=saturation.Faults", "--json"], Some(&site));
    assert_eq!(part["nodes"].as_array().map(Vec::len), Some(5));

    let values = told(&place, &["io", "read", "--json"], Some(&site));
    let tags: Vec<_> = values["values"].as_array().unwrap().iter().map(|value| value["tag"].clone()).collect();
    assert_eq!(tags, ["u", "level"]);
    let one = told(&place, &["io", "read", "level", "--json"], Some(&site));
    assert_eq!((&one["values"][0]["node"], &one["values"][0]["quality"]), (&LEVEL.into(), &"Good".into()));
    assert!(one["values"][0]["value"].is_f64());

    wait_for_more(&runtime.counters(), Counter::Cycles, 20);
    assert_eq!(runtime.status().mode, "run");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn what_cannot_be_read_is_named_with_what_to_do_about_it() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let refused = |words: &[&str]| {
        let mut command = place.command("corerl");
        let output = command.args(words).arg("--config").arg(site.path()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = refused(&["io", "read", "lvel"]);
    assert_eq!(code, Some(78));
    assert!(said.contains("`lvel`") && said.contains("u, level"), "{said}");
    let (code, _) = refused(&["io", "read", "ns=2;s=nothing"]);
    assert_eq!(code, Some(1), "it was read, and is not good");
    let (code, said) = refused(&["io", "browse", "nsu=urn:nobody;i=1"]);
    assert_eq!(code, Some(69));
    assert!(said.contains("urn:nobody") && said.contains("urn:corerl:plant"), "{said}");
    let (code, said) = refused(&["io", "browse", "--connection", "plnt"]);
    assert_eq!(code, Some(78));
    assert!(said.contains("no such connection, but: plant"), "{said}");
    let silent = place.command("corerl").args(["io", "discover", "opc.tcp://127.0.0.1:1"]).output().unwrap();
    assert_eq!(silent.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&silent.stderr).contains("connection refused"));
}

/// `corerl io write` with these words: exit code, JSON (null without), and what it said.
fn write(place: &Place, site: &SiteFile, words: &[&str]) -> (Option<i32>, Value, String) {
    let mut command =
        place.corerl(&[&["io", "write", "--json", "--config"][..], &[site.path().to_str().unwrap()], words].concat());
    let output = command.stdin(std::process::Stdio::null()).output().unwrap();
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), json, String::from_utf8_lossy(&output.stderr).into_owned())
}

fn value_of(place: &Place, site: &SiteFile, tag: &str) -> f64 {
    told(place, &["io", "read", tag, "--json"], Some(site))["values"][0]["value"].as_f64().unwrap()
}

#[test]
fn a_setpoint_is_written_by_hand_through_the_envelope_step_by_step_and_recorded() {
    let place = Place::new();
    let plant = place.plant();
    let cable = Proxy::before(plant.port());
    let site = place.site(&cable.url(), &[]);
    let (code, written, said) = write(&place, &site, &["u=0.75", "--yes", "--cause", "trial"]);
    assert_eq!(code, Some(0), "{said}");
    let of = &written["setpoints"][0];
    assert_eq!((&of["before"], &of["wanted"], &of["goal"]), (&START.into(), &0.75.into(), &0.5.into()));
    assert_eq!(of["shown"], 0.5);
    assert!(of["remark"].as_str().unwrap().contains("limited to the range"), "{of}");
    let least = ((0.5 - START) / STEP).floor() as u64;
    assert!(cable.writes() >= least, "{} writes, each of {STEP} at most", cable.writes());
    assert_eq!(value_of(&place, &site, "u"), 0.5);

    let log = place.path("state/rig.agent.main.audit");
    let shown = told(&place, &["audit", "show", log.to_str().unwrap(), "--json"], None);
    assert_eq!(shown["ok"], true);
    let texts: Vec<_> = shown["entries"].as_array().unwrap().iter().map(|entry| entry["text"].to_string()).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("u from 0.25 to 0.5 (asked for 0.75); io write: trial"), "{texts:?}");
    assert!(texts[1].contains("done, u is 0.5"), "{texts:?}");
    drop(plant);
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

#[test]
fn a_hand_gets_the_plant_from_a_disarmed_runtime_and_gives_it_back_disarmed() {
    let place = Place::new();
    let plant = place.plant();
    let cable = Proxy::before(plant.port());
    let lease = "      lease: {node: nsu=urn:corerl:plant;s=saturation.Lease, term: 1s}";
    let changes = [
        ("  period: 5ms", "  period: 5ms\n  rearm: after_gates"),
        ("  io:\n    plant:", &format!("  io:\n    plant:\n{lease}")),
    ];
    let site = place.site(plant.url(), &changes);
    let mut runtime = place.runtime(&site, &[]);
    runtime.wait_for_mode("run");
    let hand = place.site(&cable.url(), &changes);
    let (code, _, said) = write(&place, &hand, &["u=0.3", "--yes"]);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("rig/agent is armed and in mode run: `corerl agent disarm` first"), "{said}");
    assert_eq!(cable.writes(), 0);

    assert!(place.corerl(&["agent", "disarm"]).status().unwrap().success());
    runtime.wait_for_status("disarmed", |status| !status.armed && status.mode == "shadow");
    let before = runtime.counters().get(Counter::SetpointsWritten);
    let (code, written, said) = write(&place, &hand, &["u=0.3", "--yes"]);
    assert_eq!((code, &written["setpoints"][0]["shown"]), (Some(0), &0.3.into()), "{said}");
    let after = runtime.wait_for_status("the plant", |status| status.lease.leads && status.lease.epoch > 2);
    assert_eq!((after.armed, after.mode.as_str(), after.lease.epoch), (false, "shadow", 3));
    wait_for_more(&runtime.counters(), Counter::Cycles, 50);
    let after = runtime.wait_for_status("the claim", |status| status.connections[0].claimed == Some(true));
    assert_eq!((after.armed, after.mode.as_str(), after.with_operator), (false, "shadow", vec![]));
    assert_eq!(runtime.counters().get(Counter::SetpointsWritten), before);
    assert_eq!(value_of(&place, &site, "u"), 0.3);

    // A hand that takes its time says who has the plant, and is killed on the way.
    let slow = place.site(&cable.url(), &[&changes[..], &[("rate: 0.2", "rate: 0.005")]].concat());
    let words = ["io", "write", "u=0.5", "--yes", "--config", slow.path().to_str().unwrap()];
    let mut hand = Process::start(place.corerl(&words));
    runtime.wait_for_status("whoever leads", |status| !status.lease.leads);
    let status = place.corerl(&["agent", "status"]).output().unwrap();
    assert_eq!(status.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&status.stderr).contains("writes setpoints by hand"));
    hand.kill();
    let after = runtime.wait_for_status("the plant", |status| status.lease.leads && status.lease.epoch > 4);
    assert_eq!((after.armed, after.lease.epoch), (false, 5));
    assert_eq!(runtime.counters().get(Counter::SetpointsWritten), before);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    drop(plant);
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

#[test]
fn a_hand_writes_no_setpoint_unconfirmed_none_that_is_not_listed_and_none_of_another_machine_s_plant() {
    let places = [Place::new(), Place::new()];
    let plant = places[0].plant();
    let cable = Proxy::before(plant.port());
    let lease = "  io:\n    plant:\n      lease: {node: nsu=urn:corerl:plant;s=saturation.Lease, term: 1s}";
    let changes = [("  io:\n    plant:", lease)];
    let site = places[1].site(&cable.url(), &changes);
    let (code, _, said) = write(&places[1], &site, &["u=0.3"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("nobody is there to confirm") && said.contains("--yes"), "{said}");
    for other in ["level", LEVEL] {
        let (code, _, said) = write(&places[1], &site, &[&format!("{other}=0.3"), "--yes"]);
        assert_eq!(code, Some(78), "{said}");
        assert!(said.contains("is no setpoint of this site, which has: u"), "{said}");
    }
    assert_eq!(cable.writes(), 0);

    let mut elsewhere = places[0].runtime(&places[0].site(plant.url(), &changes), &[]);
    elsewhere.wait_for_status("the claim", |status| status.connections[0].claimed == Some(true));
    let (code, _, said) = write(&places[1], &site, &["u=0.3", "--yes"]);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("another machine has the lease of plant"), "{said}");
    assert_eq!((cable.writes(), value_of(&places[1], &site, "u")), (0, START));
    assert_eq!(elsewhere.process.stop(Signal::TERM), 0);
    let (code, _, said) = write(&places[1], &site, &["u=0.3", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(places[1].path("state").exists());
    drop(plant);
    for place in places {
        assert_eq!(place.left_behind(), Vec::<String>::new());
    }
}

#[test]
fn a_site_file_is_drafted_from_a_server_with_every_node_once_and_lacks_nothing_but_a_setpoint() {
    let place = Place::new();
    let mut plant = place.plant();
    let corerl = |words: &[&str]| {
        let output = place.command("corerl").args(words).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, _, said) = corerl(&["config", "from-server", plant.url(), "-o", "draft.yaml"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("left to fill in") && said.contains("there is no setpoint to move"), "{said}");
    let text = std::fs::read_to_string(place.path("draft.yaml")).unwrap();
    let nodes = nodes_of(&text);
    let tree = told(&place, &["io", "browse", "--json"], Some(&place.site(plant.url(), &[])));
    let scalars = tree["nodes"].as_array().unwrap().iter().filter(|leaf| {
        let of = leaf["data_type"].as_str();
        of.is_some_and(|of| !["array", "other"].contains(&of))
    });
    let scalars: BTreeSet<_> = scalars.map(|leaf| leaf["node"].as_str().unwrap().to_owned()).collect();
    assert_eq!(nodes.iter().cloned().collect::<BTreeSet<_>>(), scalars);
    assert_eq!(nodes.len(), scalars.len(), "each once");
    assert!(text.contains("expected_range: [0.0, 0.5]") && text.contains("unit: \"1\""), "{text}");

    let (code, complaints, _) = corerl(&["config", "check", "draft.yaml", "--json"]);
    let complaints: Value = serde_json::from_str(&complaints).unwrap();
    let errors = complaints["complaints"].as_array().unwrap().iter().filter(|of| of["severity"] == "error");
    let errors: Vec<_> = errors.map(|of| &of["message"]).collect();
    assert_eq!((code, errors), (Some(78), vec![&"there is no setpoint to move".into()]));
    let u = "node_identifier: \"nsu=urn:corerl:plant;s=saturation.u\"";
    assert!(text.contains(u), "{text}");
    let text = text.replace(u, &format!("{u}\n      type: ai_setpoint\n      operating_range: [0, 0.5]"));
    let text = text.replace("  # limits:", "  limits:").replace("  #   \"", "    \"");
    std::fs::write(place.path("draft.yaml"), &text).unwrap();
    let (code, _, said) = corerl(&["config", "check", "draft.yaml"]);
    assert_eq!(code, Some(0), "{said}\n{text}");
    let (code, _, said) = corerl(&["config", "from-server", plant.url(), "-o", "draft.yaml"]);
    assert_eq!(code, Some(70), "not overwritten: {said}");

    plant.process.kill();
    let plant = place.plant_with(&["--security", "encrypt", "--trust-all-clients"]);
    let (code, _, said) = corerl(&["config", "from-server", plant.url()]);
    assert_eq!(code, Some(78));
    assert!(said.contains("cannot be read in clear") && said.contains("corerl io cert create"), "{said}");
    let certificate = ["--cert", "client.der", "--key", "client.pem"];
    assert_eq!(
        corerl(&[&["io", "cert", "create", "--application-uri", "urn:corerl:rt"][..], &certificate].concat()).0,
        Some(0)
    );
    std::fs::create_dir_all(place.path("trust/trusted")).unwrap();
    std::fs::copy(place.path("plant-pki/own/cert.der"), place.path("trust/trusted/plant.der")).unwrap();
    let (code, secured, said) = corerl(&[&["config", "from-server", plant.url()][..], &certificate].concat());
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(nodes_of(&secured), nodes);
    assert!(
        secured.contains("policy: basic256_sha256") && secured.contains("client_cert_path: \"client.der\""),
        "{secured}"
    );
    assert!(!secured.contains("lab: true"), "{secured}");
}

/// The nodes that a drafted site file names.
fn nodes_of(text: &str) -> Vec<String> {
    let named = text.lines().filter_map(|line| line.trim().strip_prefix("node_identifier: "));
    named.map(|node| node.trim_matches('"').to_owned()).collect()
}

//! `corerl io` against a server: what an engineer looks at before anything is controlled, and beside what is.

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, SiteFile, wait_for_more};

const LEVEL: &str = "nsu=urn:corerl:plant;s=saturation.level";

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
    assert_eq!(part["nodes"].as_array().map(Vec::len), Some(3));

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

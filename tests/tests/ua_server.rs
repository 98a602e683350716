//! `corerl-ua-server` beside real runtimes: what a SCADA reads of them.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, Process, SiteFile, wait_for, wait_for_more};

/// An agent's node.
fn node(name: &str) -> String {
    format!("nsu=urn:corerl:runtime;s=rig/agent.{name}")
}

/// The server, and a client of it with a place and a site file of its own.
struct Scada {
    server: Process,
    said: Value,
    place: Place,
    site: SiteFile,
}

impl Scada {
    fn beside(place: &Place, options: &[&str], changes: &[(&str, &str)]) -> Self {
        let mut command = place.command("corerl-ua-server");
        command
            .arg("--runtime-dir")
            .arg(place.path("run"))
            .args(["--port", "0", "--every", "0.1", "--json", "--tether"]);
        command.args(options).stdout(Stdio::piped());
        let mut server = Process::start(command);
        let mut line = String::new();
        BufReader::new(server.stdout().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        let own = Place::new();
        let site = own.site(said["url"].as_str().unwrap(), changes);
        Self { server, said, place: own, site }
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, Value, String) {
        let output = self.place.command("corerl").args(words).arg("--config").arg(self.site.path()).output().unwrap();
        let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code(), json, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Values and qualities of these nodes of the agent.
    fn read<const N: usize>(&self, names: [&str; N]) -> [(Option<f64>, String); N] {
        let nodes = names.map(node);
        let words: Vec<_> = ["io", "read", "--json"].into_iter().chain(nodes.iter().map(String::as_str)).collect();
        let (_, read, said) = self.run(&words);
        let values = read["values"].as_array().unwrap_or_else(|| panic!("{said}"));
        std::array::from_fn(|place| {
            let of = &values[place];
            (of["value"].as_f64(), of["quality"].as_str().unwrap().to_owned())
        })
    }

    /// Waits until a node has this quality.
    fn wait_for(&self, name: &str, quality: &str) {
        wait_for(&format!("{name} to be {quality}"), || {
            let [(_, found)] = self.read([name]);
            found.starts_with(quality).then_some(())
        });
    }
}

#[test]
fn an_agent_is_shown_with_quality_until_it_is_gone_and_again_when_it_is_back() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut scada = Scada::beside(&place, &["--lab"], &[]);
    let mut runtime = place.runtime(&site, &[]);
    runtime.wait_for_mode("shadow");
    scada.wait_for("u.SetpointRaw", "Good");
    let [mode, sent, low, high, lost] =
        scada.read(["Mode", "u.Setpoint", "u.Bounds.Low", "u.Bounds.High", "LostSlots"]);
    assert_eq!((mode.0, low.0, high.0), (Some(1.0), Some(0.0), Some(0.5)));
    assert!(sent.1.starts_with("BadNoData"), "nothing is written in SHADOW: {sent:?}");
    assert_eq!(lost.1, "Good");

    assert!(place.corerl(&["agent", "arm"]).status().unwrap().success());
    runtime.wait_for_mode("run");
    scada.wait_for("u.Setpoint", "Good");
    scada.wait_for("Reward", "Good");
    let [mode, raw, reward, version] = scada.read(["Mode", "u.SetpointRaw", "Reward", "PolicyVersion"]);
    assert_eq!((mode.0, raw.0, version.0), (Some(2.0), Some(f64::from(0.4_f32)), Some(0.0)));
    assert!(reward.0.is_some_and(|reward| (-0.5..=0.0).contains(&reward)), "{reward:?}");
    let [(before, _)] = scada.read(["Heartbeat"]);
    wait_for("the heartbeat", || (scada.read(["Heartbeat"])[0].0 > before).then_some(()));

    // It shows what a SCADA needs to know, and lets nobody write.
    let (_, tree, said) = scada.run(&["io", "browse", "--json"]);
    let find = |name: &str| {
        let leaves = tree["nodes"].as_array().unwrap_or_else(|| panic!("{said}"));
        leaves.iter().find(|leaf| leaf["node"] == node(name)).unwrap_or_else(|| panic!("{name}: {tree}")).clone()
    };
    for (name, data_type) in
        [("Mode", "UInt32"), ("Heartbeat", "UInt64"), ("u.Setpoint", "Double"), ("u.Clamped", "Boolean")]
    {
        let leaf = find(name);
        assert_eq!((&leaf["data_type"], &leaf["access"]), (&data_type.into(), &"read".into()), "{name}");
    }
    for property in ["Mode.EnumStrings", "u.Setpoint.EURange"] {
        find(property);
    }

    runtime.process.kill();
    for name in ["Mode", "Heartbeat", "u.Setpoint", "u.Clamped", "u.Bounds.Low"] {
        scada.wait_for(name, "BadNoCommunication");
    }
    let mut runtime = place.runtime(&site, &["--arm"]);
    for name in ["Mode", "Heartbeat", "u.Setpoint", "u.Clamped", "u.Bounds.Low"] {
        scada.wait_for(name, "Good");
    }
    assert!(scada.server.said().contains("rig/agent: is back"), "{}", scada.server.said());

    // Nobody notices when it goes.
    scada.server.kill();
    wait_for_more(&runtime.counters(), Counter::Cycles, 20);
    assert_eq!((runtime.status().mode.as_str(), runtime.process.stop(Signal::TERM)), ("run", 0));
}

#[test]
fn a_runtime_that_takes_over_is_shown_in_the_place_of_the_one_before() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut first = place.runtime(&site, &["--arm"]);
    first.wait_for_mode("run");
    let mut second = place.runtime(&site, &[]);
    second.wait_for_status("the one that leads", |status| status.lease.partner.is_some() && status.mode == "shadow");
    let mut scada = Scada::beside(&place, &["--lab", "--agent", "rig/agent"], &[]);
    scada.wait_for("u.Setpoint", "Good");
    first.process.signal(Signal::STOP);
    second.wait_for_status("the lease", |status| status.lease.leads);
    wait_for("the mode of the one that leads now", || (scada.read(["Mode"])[0].0 == Some(1.0)).then_some(()));
    first.process.signal(Signal::CONT);
    assert_eq!(scada.server.stop(Signal::TERM), 0);
    assert_eq!((second.process.stop(Signal::TERM), first.process.stop(Signal::TERM)), (0, 0));
}

#[test]
fn it_encrypts_and_asks_who_is_there_unless_it_is_told_otherwise() {
    let place = Place::new();
    let scada = Scada::beside(&place, &[], &[]);
    let offered =
        scada.place.command("corerl").args(["io", "discover", scada.said["url"].as_str().unwrap(), "--json"]).output();
    let offered: Value = serde_json::from_slice(&offered.unwrap().stdout).unwrap();
    let security: Vec<_> = offered["endpoints"].as_array().unwrap().iter().map(|of| &of["security"]).collect();
    assert_eq!(security, ["Basic256Sha256/SignAndEncrypt"]);
    assert_eq!(
        offered["endpoints"][0]["thumbprint"].as_str().map(str::to_lowercase).as_deref(),
        scada.said["thumbprint"].as_str()
    );
    let (code, _, said) = scada.run(&["io", "browse"]);
    assert_eq!(code, Some(69), "in clear: {said}");
}

//! `corerl metrics`: what it serves is what Prometheus reads, what the shared memory holds, and what the dashboard asks for.

mod exposition;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, Process, wait_for, wait_for_count, wait_for_more, workspace};

use exposition::{Labels, Page};

/// A running `corerl metrics`.
struct Exporter {
    process: Process,
    address: String,
}

impl Exporter {
    fn start(place: &Place, options: &[&str]) -> Self {
        let mut command = place.corerl(&["metrics", "--listen", "127.0.0.1:0", "--json", "--tether"]);
        command.args(options).stdout(Stdio::piped());
        let mut process = Process::start(command);
        let mut line = String::new();
        BufReader::new(process.stdout().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line:?}"));
        assert_eq!(said["schema"], "corerl.metrics/1");
        let address = said["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self { process, address }
    }

    /// The answer's status, headers and body.
    fn ask(&self, request: &str) -> (u16, String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), body.to_owned())
    }

    fn get(&self, path: &str) -> (u16, String, String) {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\n\r\n", self.address))
    }

    fn scrape(&self) -> Page {
        let (status, head, body) = self.get("/metrics");
        assert_eq!(status, 200, "{body}");
        assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{head}");
        exposition::read(&body)
    }

    fn health(&self) -> (u16, Value) {
        let (status, _, body) = self.get("/healthcheck");
        (status, serde_json::from_str(&body).unwrap())
    }
}

/// The number of the only sample with these labels.
fn number(page: &Page, name: &str, labels: &[(&str, &str)]) -> f64 {
    let family = page.get(name).unwrap_or_else(|| panic!("{name} is not served"));
    let fits = |found: &Labels| labels.iter().all(|(name, value)| found.get(*name).is_some_and(|found| found == value));
    let found: Vec<_> = family.samples.iter().filter(|(_, found, _)| fits(found)).collect();
    assert_eq!(found.len(), 1, "{name}{labels:?}: {found:?}");
    found[0].2
}

/// The table that the program gives of its metrics: type, and whether it is served only on demand.
fn listed(place: &Place) -> BTreeMap<String, (String, bool)> {
    let output = place.command("corerl").args(["metrics", "--list", "--json"]).output().unwrap();
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |metric: &Value| {
        let text = |key: &str| metric[key].as_str().unwrap().to_owned();
        (text("name"), (text("type"), text("help").contains("--per-tag")))
    };
    list["metrics"].as_array().unwrap().iter().map(of).collect()
}

/// Every counter and part of a histogram, which never go down while a runtime lives.
fn counts(page: &Page) -> BTreeMap<(String, Labels), f64> {
    let counted = page.values().filter(|family| family.kind != "gauge").flat_map(|family| &family.samples);
    counted.map(|(name, labels, number)| ((name.clone(), labels.clone()), *number)).collect()
}

#[test]
fn a_scrape_is_well_formed_complete_and_agrees_with_the_shared_memory() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let mut learner = place.learner(&site, "checkpoints");
    let counters = runtime.counters();
    wait_for_count(&counters, Counter::PoliciesAdopted, 3);
    runtime.wait_for_mode("run");
    let mut exporter = Exporter::start(&place, &["--per-tag"]);

    let before = exporter.scrape();
    let output = place.corerl(&["shm", "dump", "counters", "--json"]).output().unwrap();
    let dumped: Value = serde_json::from_slice(&output.stdout).unwrap();
    let after = exporter.scrape();

    for (name, word) in [("cycles", "cycles"), ("samples_received", "samples_received"), ("heartbeats", "heartbeats")] {
        let metric = format!("corerl_rt_{name}_total");
        let value = dumped["content"]["counters"][word].as_f64().unwrap();
        let [low, high] = [&before, &after].map(|page| number(page, &metric, &[("agent_id", "rig/agent")]));
        assert!(low <= value && value <= high && low > 0.0, "{metric}: {low} <= {value} <= {high}");
    }
    let (earlier, later) = (counts(&before), counts(&after));
    assert!(earlier.iter().all(|(of, count)| later[of] >= *count), "a counter went down");
    for name in ["corerl_inference_latency_seconds", "corerl_learning_step_duration_seconds"] {
        let count = format!("{name}_count");
        assert!(before[name].samples.iter().any(|(of, _, number)| *of == count && *number > 0.0), "{name} is empty");
    }
    assert!(number(&later_of(&after, "coreio_opc_roundtrip_seconds_count"), "n", &[("op", "write")]) > 0.0);
    assert!(number(&later_of(&after, "coreio_opc_roundtrip_seconds_count"), "n", &[("op", "read")]) > 0.0);
    assert_eq!(number(&after, "corerl_rt_mode", &[("mode", "run")]), 1.0);
    assert_eq!(number(&after, "corerl_rt_connection_up", &[("connection_id", "plant")]), 1.0);
    assert!(number(&after, "corerl_rt_samples_total", &[("quality", "good")]) > 0.0);

    let listed = listed(&place);
    for (name, family) in &after {
        assert_eq!(listed.get(name).map(|(kind, _)| kind), Some(&family.kind), "{name} is served and not listed so");
        assert!(family.help.ends_with('.'), "{name}: {}", family.help);
        for (_, labels, _) in &family.samples {
            assert_eq!(labels["agent_id"], "rig/agent");
            assert!(["corerl-rt", "corerl-learner"].contains(&labels["service"].as_str()), "{name}: {labels:?}");
        }
    }
    let missing: Vec<_> = listed.keys().filter(|name| !after.contains_key(*name)).collect();
    assert!(missing.is_empty(), "listed and not served: {missing:?}");

    assert_eq!(exporter.process.stop(Signal::TERM), 0);
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
}

/// One kind of sample of a page, under the name `n`.
fn later_of(page: &Page, name: &str) -> Page {
    let family = &page[name.trim_end_matches("_count")];
    let samples = family.samples.iter().filter(|(of, ..)| of == name).cloned().collect();
    let only = exposition::Family { kind: family.kind.clone(), help: family.help.clone(), samples };
    Page::from([("n".to_owned(), only)])
}

#[test]
fn a_runtime_that_is_gone_makes_the_health_check_fail_until_it_is_back() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &[]);
    runtime.wait_for_mode("shadow");
    let exporter = Exporter::start(&place, &["--agent", "rig/agent"]);
    let (status, health) = exporter.health();
    assert_eq!((status, &health["status"]), (200, &Value::from("healthy")), "{health}");
    assert_eq!(health["agents"][0]["agent_id"], "rig/agent");
    assert_eq!(health["agents"][0]["mode"], "shadow");

    runtime.process.kill();
    let health =
        wait_for("the health check to fail", || Some(exporter.health()).filter(|(status, _)| *status == 503)).1;
    assert!(health["reasons"][0].as_str().unwrap().starts_with("rig/agent: "), "{health}");
    let page = exporter.scrape();
    assert_eq!(number(&page, "corerl_rt_up", &[("agent_id", "rig/agent")]), 0.0);
    assert_eq!(page.len(), 1, "{:?}", page.keys());

    let mut runtime = place.runtime(&site, &[]);
    wait_for("the health check to succeed again", || (exporter.health().0 == 200).then_some(()));
    assert_eq!(number(&exporter.scrape(), "corerl_rt_up", &[]), 1.0);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn a_latched_trip_is_told_by_the_health_check_and_is_no_reason_to_start_anew() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[("overruns: {m: 64, n: 64}", "overruns: {m: 3, n: 64}")]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let exporter = Exporter::start(&place, &["--agent", "rig/agent"]);
    // The last look at the agent may have been before it was so.
    let until_latched_is = |latched: &Value| {
        wait_for("the health check to tell of the trip, or of none", || {
            let (status, health) = exporter.health();
            assert_eq!((status, &health["agents"][0]["healthy"]), (200, &Value::Bool(true)), "{health}");
            (health["agents"][0]["latched"] == *latched).then_some(())
        });
        let gauge = number(&exporter.scrape(), "corerl_rt_latched", &[("agent_id", "rig/agent")]);
        assert_eq!(gauge, if latched.is_null() { 0.0 } else { 1.0 });
    };
    until_latched_is(&Value::Null);

    let counters = runtime.counters();
    wait_for("pauses close enough to each other to trip", || {
        runtime.process.signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(20));
        runtime.process.signal(Signal::CONT);
        wait_for_more(&counters, Counter::Cycles, 1);
        (counters.get(Counter::Trips) > 0).then_some(())
    });
    until_latched_is(&Value::from("overruns"));
    let reset = place.corerl(&["agent", "reset"]).output().unwrap();
    assert!(reset.status.success(), "{reset:?}");
    until_latched_is(&Value::Null);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn what_is_not_served_is_refused_with_a_sentence_and_an_agent_that_is_not_there_is_told() {
    let place = Place::new();
    let exporter = Exporter::start(&place, &["--agent", "rig/agent"]);
    for (request, status, sentence) in [
        ("GET / HTTP/1.1\r\n\r\n", 404, "/metrics and /healthcheck"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 1\r\n\r\nx", 405, "only GET and HEAD"),
        ("nonsense\r\n\r\n", 400, "method, path, version"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(2_000)).as_str(), 400, "longer than 1024 bytes"),
    ] {
        let (found, _, body) = exporter.ask(request);
        assert!(found == status && body.contains(sentence), "{request:?}: {found} {body:?}");
    }
    assert_eq!(exporter.ask("HEAD /metrics HTTP/1.1\r\n\r\n").2, "");
    assert_eq!(exporter.health().0, 503);
    let once = place.corerl(&["metrics", "--once", "--agent", "rig/agent"]).output().unwrap();
    assert_eq!(once.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&once.stdout).contains("corerl_rt_up{"), "{once:?}");
    assert!(String::from_utf8_lossy(&once.stderr).contains("no runtime was found"), "{once:?}");
}

#[test]
fn the_dashboard_asks_for_nothing_that_is_not_served() {
    let text = std::fs::read_to_string(workspace().join("tools/grafana/corerl.json")).unwrap();
    let dashboard: Value = serde_json::from_str(&text).unwrap();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let names: Vec<_> = variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["datasource", "agent"]);
    let place = Place::new();
    let listed = listed(&place);
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "two panels have one number");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        for target in panel["targets"].as_array().unwrap() {
            let query = target["expr"].as_str().unwrap();
            let asked = metrics_in(query);
            assert!(!asked.is_empty() && query.contains("$agent"), "{}: {query}", panel["title"]);
            for name in asked {
                let histogram = name.strip_suffix("_bucket").and_then(|name| listed.get(name));
                let is_histogram = histogram.is_some_and(|(kind, _)| kind == "histogram");
                let is_plain = listed.get(name).is_some_and(|(kind, per_tag)| kind != "histogram" && !per_tag);
                assert!(is_histogram || is_plain, "{}: nobody serves {name}", panel["title"]);
            }
        }
    }
    let [asked, ..] = metrics_in(variables[1]["definition"].as_str().unwrap())[..] else { panic!("no agents") };
    assert!(listed.contains_key(asked), "nobody serves {asked}");
}

/// The names of our metrics in a query.
fn metrics_in(query: &str) -> Vec<&str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("corerl_") || word.starts_with("coreio_")).collect()
}

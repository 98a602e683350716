//! `corerl shm` beside runtimes that really run, die and come back; and the format of their memory, read by another language.

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, Process, Runtime, SiteFile, wait_for, wait_for_more, workspace};

/// The number of cycles that the other language follows.
const FOLLOWED: usize = 20;
/// More records than were made until the dump is taken.
const DUMPED: &str = "4000";

/// What a process says on standard output, as it says it.
struct Said(Arc<Mutex<Vec<Value>>>);

impl Said {
    fn of(process: &mut Process) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (stdout, kept) = (process.stdout().expect("standard output was piped"), Arc::clone(&lines));
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let said = serde_json::from_str(&line).unwrap_or(Value::String(line));
                kept.lock().unwrap().push(said);
            }
        });
        Self(lines)
    }

    fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    fn values(&self) -> usize {
        self.all().iter().filter(|said| said["values"]["level"]["value"].is_number()).count()
    }

    fn wait_for_values(&self, more: usize) {
        let before = self.values();
        wait_for("values", || (self.values() >= before + more).then_some(()));
    }

    fn wait_for_event(&self, event: &str) -> Value {
        wait_for(event, || self.all().into_iter().find(|said| said["event"] == event))
    }
}

fn running(place: &Place, site: &SiteFile) -> Runtime {
    let runtime = place.runtime(site, &["--arm"]);
    runtime.wait_for_mode("run");
    runtime
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn a_runtime_that_is_killed_and_started_again_is_followed_and_told() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = running(&place, &site);
    let mut command = place.corerl(&["shm", "watch", "level", "u", "--every", "20ms", "--json"]);
    command.stdout(Stdio::piped());
    let mut watcher = Process::start(command);
    let said = Said::of(&mut watcher);
    said.wait_for_values(3);
    runtime.process.kill();
    said.wait_for_event("gone");
    let mut successor = running(&place, &site);
    assert_eq!(said.wait_for_event("restarted")["pid"], successor.process.pid());
    said.wait_for_values(3);
    assert_eq!(watcher.stop(Signal::INT), 0);
    let end = said.wait_for_event("end");
    assert_eq!((&end["restarts"], end["lines"].as_u64()), (&1.into(), Some(values_and_gaps(&said))));
    let times: Vec<u64> = said.all().iter().filter_map(|said| said["time_ns"].as_u64()).collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "time went back: {times:?}");
    assert_eq!(successor.process.stop(Signal::TERM), 0);
}

/// Lines with values, those of a tag that is not there yet included.
fn values_and_gaps(said: &Said) -> u64 {
    said.all().iter().filter(|said| said.get("values").is_some()).count() as u64
}

#[test]
fn another_language_reads_the_same_memory() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = running(&place, &site);
    let reader = workspace().join("tools/python/corerl_shm.py");
    let followed = FOLLOWED.to_string();
    let mut python = Command::new("python3");
    python.env("PYTHONDONTWRITEBYTECODE", "1").arg(reader).arg(runtime.socket()).args(["--cycles", &followed]);
    let output = python.output().expect("python3 is needed here: it is another language");
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<Value> =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let [counters, cycles @ ..] = lines.as_slice() else { panic!("nothing was read: {output:?}") };

    let dumped = json(&place.corerl(&["shm", "dump", "--json", "--last", DUMPED]).output().unwrap());
    assert_counters(counters, content(&dumped, "counters"));
    let records = content(&dumped, "cycles")["records"].as_array().unwrap();
    let compared = cycles.iter().filter(|theirs| theirs.get("lost").is_none()).map(|theirs| {
        let ours = records.iter().find(|ours| ours["sequence"] == theirs["sequence"]);
        assert_same(theirs, ours.unwrap_or_else(|| panic!("no such record: {theirs}")));
    });
    assert!(compared.count() > FOLLOWED / 2, "{cycles:?}");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

fn content<'a>(dumped: &'a Value, segment: &str) -> &'a Value {
    let segments = dumped["segments"].as_array().unwrap();
    &segments.iter().find(|found| found["segment"] == segment).unwrap()["content"]
}

/// What never changes is the same, and what only grows has not shrunk.
fn assert_counters(theirs: &Value, ours: &Value) {
    let ours = &ours["counters"];
    assert_eq!(theirs.as_object().unwrap().len(), Counter::COUNT);
    for counter in [Counter::TimeFirst, Counter::Period, Counter::LeaseEpoch] {
        assert_eq!(theirs[counter.name()], ours[counter.name()], "{counter}");
    }
    for counter in [Counter::Cycles, Counter::SlotsSkipped, Counter::TimeLast, Counter::SamplesReceived] {
        assert!(theirs[counter.name()].as_u64() <= ours[counter.name()].as_u64(), "{counter}: {theirs} {ours}");
    }
    assert!(theirs["cycles"].as_u64() > Some(0));
}

/// Every field that both tell of a cycle.
fn assert_same(theirs: &Value, ours: &Value) {
    let told = [
        "cycle",
        "release_ns",
        "dt_ns",
        "policy_generation",
        "reward",
        "lateness_ns",
        "execution_ns",
        "skipped",
        "cause",
    ];
    for field in told {
        assert_eq!(theirs[field], ours[field], "{field}");
    }
    let parts = [
        ("setpoints", &["desired", "sent", "last", "readback", "acted", "state"][..]),
        ("tags", &["value", "age_ns", "quality"]),
    ];
    for (part, fields) in parts {
        let (theirs, ours) = (theirs[part].as_array().unwrap(), ours[part].as_array().unwrap());
        assert!(!theirs.is_empty() && theirs.len() == ours.len());
        for (theirs, ours) in theirs.iter().zip(ours) {
            fields.iter().for_each(|field| assert_eq!(theirs[field], ours[field], "{part} {field}"));
        }
    }
}

#[test]
fn a_sound_runtime_passes_the_check_and_one_that_was_stopped_or_killed_does_not() {
    let place = Place::new();
    let check = || place.corerl(&["shm", "check", "--json"]).output().unwrap();
    assert_eq!(check().status.code(), Some(69), "nobody is there");
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = running(&place, &site);
    let mut learner = place.learner(&site, "checkpoints");
    wait_for_more(&runtime.counters(), Counter::PoliciesAdopted, 1);
    let sound = check();
    assert_eq!(sound.status.code(), Some(0), "{sound:?}");
    assert_eq!((&json(&sound)["segments"], &json(&sound)["findings"]), (&12.into(), &Value::Array(Vec::new())));

    learner.kill();
    runtime.wait_for_status("the learner's loss", |status| !status.learner.alive);
    let alone = check();
    assert_eq!(alone.status.code(), Some(1));
    assert!(json(&alone)["findings"][0]["what"].as_str().unwrap().contains("does not live"), "{alone:?}");

    runtime.process.signal(Signal::STOP);
    let stopped = check();
    assert_eq!(stopped.status.code(), Some(1));
    assert!(json(&stopped)["findings"][0]["what"].as_str().unwrap().contains("does not say how it is"), "{stopped:?}");
    runtime.process.kill();
    assert_eq!(check().status.code(), Some(69), "nobody is there any more");
}

#[test]
fn what_there_is_is_listed_with_its_owner_and_shown_by_its_name() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = running(&place, &site);
    let mut standby = place.runtime(&site, &[]);
    standby.wait_for_status("standing by", |status| status.lease.partner.is_some());
    let listed = json(&place.corerl(&["shm", "ls", "--json"]).output().unwrap());
    let agents = listed["agents"].as_array().unwrap();
    let pids: Vec<u64> = agents.iter().filter_map(|agent| agent["pid"].as_u64()).collect();
    assert_eq!(pids, [&runtime, &standby].map(|of| u64::from(of.process.pid())));
    let segments = listed["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 16, "eight of each: {segments:?}");
    for segment in segments {
        assert_eq!((&segment["owner_program"], &segment["owner_alive"]), (&"corerl-rt".into(), &true.into()));
        assert!(
            segment["age_ns"].as_u64() > Some(0) && segment["findings"].as_array().unwrap().is_empty(),
            "{segment}"
        );
    }
    assert_eq!(standby.process.stop(Signal::TERM), 0);

    let show = |name: &str| place.corerl(&["shm", "show", name, "--json"]).output().unwrap();
    let setpoint = json(&show("u"));
    assert_eq!((&setpoint["setpoint"]["range"][1], &setpoint["read"]["quality"]), (&0.5.into(), &"good".into()));
    assert!(setpoint["setpoint"]["writer"].as_str().unwrap().contains("policy"), "{setpoint}");
    assert_eq!(json(&show("level"))["setpoint"], Value::Null);
    assert_eq!(json(&show("cycles"))["dims"][1], 2);
    let unknown = show("levle");
    assert_eq!(unknown.status.code(), Some(69));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("did you mean `level`?"), "{unknown:?}");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

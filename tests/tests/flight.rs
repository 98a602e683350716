//! The flight recorder of a real runtime, and `corerl record` beside one: what is in the files is what was in the rings, and
//! whatever is killed leaves no half file under a final name.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rt_core::mode::Mode;
use rt_recording::capture::{Closed, Ending, Frame, Next, Reader, Reason, Trigger, TriggerKind};
use rustix::process::Signal;
use serde_json::Value;
use shm::broadcast::{self, Start};
use shm_layout::{Counter, CycleLayout, EventKind, SegmentKind};
use tests::{Place, Process, Runtime, wait_for, wait_for_count, wait_for_more};

/// Where a cycle record has the release time of its slot.
const RELEASE_WORD: usize = 1;

/// What one capture holds.
struct Held {
    reason: Reason,
    pid: u32,
    /// Words of cycle records, by cycle.
    cycles: HashMap<u64, Vec<u64>>,
    events: Vec<EventKind>,
    ending: Ending,
}

fn read(path: &Path) -> Held {
    let file = std::fs::File::open(path).expect("the capture is there");
    let mut reader = Reader::open(std::io::BufReader::new(file)).expect("it is a capture");
    let layout = reader.layout();
    let mut held = Held {
        reason: reader.opening().reason.clone(),
        pid: reader.opening().pid,
        cycles: HashMap::new(),
        events: Vec::new(),
        ending: Ending::Closed(Closed::Complete),
    };
    loop {
        match reader.next_frame().expect("it can be read") {
            Next::Frame(Frame::Cycle(words)) => {
                let cycle = layout.view(&words).expect("the layout's words").head.cycle;
                held.cycles.insert(cycle, words);
            }
            Next::Frame(Frame::Event(event)) => held.events.extend(event.kind()),
            Next::Frame(Frame::Gap(gap)) => panic!("{gap:?}"),
            Next::Frame(_) => {}
            Next::End(ending) => return Held { ending, ..held },
        }
    }
}

/// The files of the flight recorder whose names end like this.
fn flights(place: &Place, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place.path("state/flight")).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect()
}

/// The rig with this flight recorder.
fn site(place: &Place, url: &str, flight: &str) -> tests::SiteFile {
    let recorder = format!("  site: rig\n  recorder: {{flight: {flight}}}\n  overruns: {{m: 3, n: 64}}\n");
    place.site(url, &[("  overruns: {m: 64, n: 64}\n", ""), ("  site: rig\n", &recorder)])
}

/// The words of every cycle record that the ring holds.
fn in_the_ring(runtime: &Runtime) -> HashMap<u64, Vec<u64>> {
    let segment = runtime.segment(SegmentKind::Cycles);
    let layout = CycleLayout::from_dims(segment.header().dims()).expect("the runtime's own sizes");
    let mut ring = broadcast::Reader::new(&segment, Start::Oldest).expect("a ring of records");
    let (mut words, mut found) = (vec![0; layout.words()], HashMap::new());
    while let broadcast::Next::Record { .. } = ring.next(&mut words) {
        found.insert(layout.view(&words).expect("the layout's words").head.cycle, words.clone());
    }
    found
}

#[test]
fn a_trip_leaves_a_file_with_the_records_of_before_and_after_as_they_lie_in_the_ring() {
    let place = Place::new();
    let plant = place.plant();
    let site = site(&place, plant.url(), "{on: [trip], before: 500ms, after: 300ms}");
    let mut runtime = place.runtime(&site, &["--arm"]);
    let (counters, mut events) = (runtime.counters(), runtime.events());
    events.modes_until(Mode::Run);
    wait_for_more(&counters, Counter::Cycles, 100);
    let trip = wait_for("pauses close enough to each other to trip", || {
        runtime.process.signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(20));
        runtime.process.signal(Signal::CONT);
        wait_for_more(&counters, Counter::Cycles, 1);
        events.drain().into_iter().find(|event| event.kind() == Some(EventKind::Trip))
    });
    let said = events.next(EventKind::Recording);
    let [path] = &flights(&place, "-trip.cap")[..] else { panic!("one trip, one file") };
    let status = runtime
        .wait_for_status("the file to be told", |status| status.flight.as_ref().is_some_and(|of| of.newest.is_some()));
    assert_eq!(status.latched_since.map(|since| since.cycle), Some(trip.cycle));
    let flight = status.flight.unwrap();
    assert_eq!((flight.newest.as_deref(), flight.saving), (path.to_str(), None));
    assert_eq!(path.parent().and_then(Path::to_str), Some(&*flight.directory));
    let health = place.corerl(&["metrics", "--once"]).output().unwrap();
    let page = String::from_utf8_lossy(&health.stdout).into_owned();
    assert!(page.lines().any(|line| line.starts_with("corerl_rt_latched") && line.ends_with(" 1")), "{page}");
    let held = read(path);
    assert_eq!(held.ending, Ending::Closed(Closed::Complete));
    let Reason::Flight(Trigger { kind, cycle, .. }) = held.reason else { panic!("{:?}", held.reason) };
    assert_eq!((kind, cycle), (TriggerKind::Trip, trip.cycle));
    assert_eq!(counters.get(Counter::Trips), 1);
    assert_eq!((held.pid, said.a, said.b), (runtime.process.pid(), held.cycles.len() as u64, 0));
    assert!(held.events.contains(&EventKind::Trip) && held.events.contains(&EventKind::SlotsSkipped));
    let wanted = trip.time_ns - 500_000_000..=trip.time_ns + 300_000_000;
    let mut ring = in_the_ring(&runtime);
    ring.retain(|_, words| wanted.contains(&words[RELEASE_WORD]));
    assert!(ring.keys().any(|cycle| *cycle < trip.cycle) && ring.keys().any(|cycle| *cycle > trip.cycle));
    assert!(held.cycles == ring, "{} cycles in the file, {} in the ring", held.cycles.len(), ring.len());
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn a_command_saves_and_sigterm_closes_what_is_being_saved() {
    let place = Place::new();
    let site = site(&place, "opc.tcp://127.0.0.1:1", "{on: [], after: 10min}");
    let mut runtime = place.runtime(&site, &[]);
    wait_for_count(&runtime.counters(), Counter::Cycles, 50);
    let output = place.corerl(&["agent", "save-flight", "--cause", "it smelt odd"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("-command.cap"), "{said}");
    assert_eq!(flights(&place, ".cap"), [] as [PathBuf; 0]);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    let [path] = &flights(&place, "-command.cap")[..] else { panic!("one command, one file") };
    assert!(said.contains(&path.display().to_string()), "{said}");
    let held = read(path);
    assert_eq!(held.ending, Ending::Closed(Closed::RuntimeEnded));
    assert!(
        matches!(&held.reason, Reason::Flight(Trigger { text, .. }) if text == "it smelt odd"),
        "{:?}",
        held.reason
    );
    assert!(held.cycles.len() > 50);
    let replayed = place.command("corerl").arg("replay").arg(path).output().unwrap();
    let said = String::from_utf8_lossy(&replayed.stderr).into_owned();
    assert!(!replayed.status.success() && said.contains("this is a capture, which cannot be replayed"), "{said}");
}

#[test]
fn what_is_saved_after_limits_were_changed_live_opens_with_the_site_that_holds() {
    let place = Place::new();
    let site = site(&place, "opc.tcp://127.0.0.1:1", "{on: [], after: 10ms}");
    let mut runtime = place.runtime(&site, &[]);
    wait_for_count(&runtime.counters(), Counter::Cycles, 50);
    let text = std::fs::read_to_string(site.path()).unwrap();
    let other = place.path("other.yaml");
    std::fs::write(&other, format!("{text}\n# narrower\n")).unwrap();
    let output =
        place.corerl(&["config", "apply", other.to_str().unwrap(), "--cause", "night shift"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(place.corerl(&["agent", "save-flight"]).status().unwrap().success());
    let path = wait_for("the file", || flights(&place, "-command.cap").pop());
    let reader = Reader::open(std::fs::File::open(&path).unwrap()).unwrap();
    assert!(reader.opening().site_text.ends_with("# narrower\n"), "{}", reader.opening().site_text);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn a_runtime_that_is_killed_while_it_saves_leaves_no_half_file_under_the_final_name_and_the_next_one_keeps_it() {
    let place = Place::new();
    let site = site(&place, "opc.tcp://127.0.0.1:1", "{on: [], after: 10min}");
    let mut runtime = place.runtime(&site, &[]);
    let counters = runtime.counters();
    wait_for_count(&counters, Counter::Cycles, 50);
    assert!(place.corerl(&["agent", "save-flight"]).status().unwrap().success());
    wait_for_more(&counters, Counter::Cycles, 50);
    runtime.process.kill();
    assert_eq!((flights(&place, ".cap").len(), flights(&place, ".part").len()), (0, 1));
    let mut next = place.runtime(&site, &[]);
    wait_for("what was left to be kept", || (flights(&place, "-cut.cap").len() == 1).then_some(()));
    let held = read(&flights(&place, "-cut.cap")[0]);
    assert!(matches!(held.ending, Ending::Cut { .. }), "{:?}", held.ending);
    assert!(held.cycles.len() > 50 && flights(&place, ".part").is_empty());
    assert_eq!(next.process.stop(Signal::TERM), 0);
}

#[test]
fn a_disk_that_refuses_is_said_once_and_changes_no_cycle() {
    let place = Place::new();
    std::fs::write(place.path("nowhere"), "no directory").unwrap();
    let site = site(&place, "opc.tcp://127.0.0.1:1", "{on: [], dir: nowhere}");
    let mut runtime = place.runtime(&site, &[]);
    let counters = runtime.counters();
    for _ in 0..2 {
        let output = place.corerl(&["agent", "save-flight"]).output().unwrap();
        assert_eq!(output.status.code(), Some(75), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("the flight recorder cannot write"), "{output:?}");
    }
    wait_for_more(&counters, Counter::Cycles, 50);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn corerl_record_goes_on_when_the_runtime_is_killed_and_comes_back() {
    let place = Place::new();
    let site = site(&place, "opc.tcp://127.0.0.1:1", "off");
    let mut runtime = place.runtime(&site, &[]);
    wait_for_count(&runtime.counters(), Counter::Cycles, 50);
    let mut command = place.corerl(&["record", "--json"]);
    command.arg("--out").arg(place.path("captures")).stdout(Stdio::piped());
    let mut recorder = Process::start(command);
    let captures = || std::fs::read_dir(place.path("captures")).map_or(0, Iterator::count);
    wait_for("the first file", || (captures() == 1).then_some(()));
    wait_for_more(&runtime.counters(), Counter::Cycles, 100);
    let first = runtime.process.pid();
    runtime.process.kill();
    recorder.wait_until_it_says("the runtime has ended; waiting for the next one");
    let mut next = place.runtime(&site, &[]);
    wait_for("the second file", || (captures() == 2).then_some(()));
    wait_for_more(&next.counters(), Counter::Cycles, 100);
    let second = next.process.pid();
    let output = recorder.stdout().expect("a pipe");
    assert_eq!(recorder.stop(Signal::INT), 0);
    let told: Value = serde_json::from_reader(output).expect("an object");
    assert_eq!((&told["lost_cycles"], &told["lost_events"]), (&Value::from(0), &Value::from(0)), "{told:#}");
    let files = told["files"].as_array().expect("a list");
    let held: Vec<_> = files.iter().map(|file| read(Path::new(file["path"].as_str().expect("a path")))).collect();
    let ends: Vec<_> = held.iter().map(|held| (held.pid, held.ending)).collect();
    assert_eq!(ends, [(first, Ending::Closed(Closed::RuntimeEnded)), (second, Ending::Closed(Closed::Complete))]);
    assert!(held[0].cycles.contains_key(&0) && held[0].cycles.len() > 150, "from the oldest that the ring held");
    let ring = in_the_ring(&next);
    assert!(held[1].cycles.iter().all(|(cycle, words)| ring.get(cycle) == Some(words)));
    assert_eq!(next.process.stop(Signal::TERM), 0);
}

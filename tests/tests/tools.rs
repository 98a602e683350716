//! Programs of `tools/` that watch: whatever becomes of them, no cycle is changed.

use std::io::Read;
use std::process::Stdio;

use rustix::process::Signal;
use shm_layout::Counter;
use tests::{Place, Process, assert_accounted, wait_for, wait_for_more};

/// What a person may watch with.
const WATCHERS: &[&[&str]] = &[
    &["agent", "status", "--json"],
    &["shm", "ls", "--json"],
    &["shm", "dump", "counters", "--json"],
    &["shm", "dump", "histograms", "--json"],
    &["shm", "dump", "weights", "--json"],
    &["shm", "dump", "events", "--json", "--last", "4000"],
    &["shm", "dump", "transitions", "--json", "--last", "8000"],
    &["shm", "dump", "cycles", "--json", "--last", "12000"],
    &["metrics", "--json", "--listen", "127.0.0.1:0"],
    &["shm", "dump", "--json", "--last", "2000"],
    &["shm", "check", "--json"],
    &["shm", "show", "level", "--json"],
    &["shm", "watch", "level", "--every", "1ms", "--json"],
    &["shm", "scope", "--headless", "--json"],
];

#[test]
fn killing_whoever_watches_changes_no_cycle() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let mut learner = place.learner(&site, "checkpoints");
    runtime.wait_for_mode("run");
    let (counters, mut events, mut cycles) = (runtime.counters(), runtime.events(), runtime.cycles());
    wait_for_more(&counters, Counter::PoliciesAdopted, 3);
    events.drain();
    for words in WATCHERS {
        kill_while_it_prints(&place, words);
        kill_while_it_is_stopped(&place, words, || wait_for_more(&counters, Counter::Cycles, 20));
    }
    wait_for_more(&counters, Counter::Cycles, 20);
    assert_eq!(events.modes(), []);
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));

    assert_accounted(&counters);
    let records = cycles.drain();
    let first = records.first().expect("cycles were recorded").head.cycle;
    let last = records.last().expect("cycles were recorded").head.cycle;
    let missed: u64 = records.iter().skip(1).map(|record| u64::from(record.head.skipped)).sum();
    assert_eq!(records.len() as u64 + missed, last - first + 1, "a cycle left no record");
}

/// Kills it when it has begun to print and cannot go on, because nobody reads.
fn kill_while_it_prints(place: &Place, words: &[&str]) {
    let mut command = place.corerl(words);
    command.stdout(Stdio::piped());
    let mut watcher = Process::start(command);
    let mut byte = [0];
    let mut stdout = watcher.stdout().unwrap();
    stdout.read_exact(&mut byte).unwrap();
    assert_eq!(byte, *b"{");
    watcher.kill();
}

/// Stops it wherever it is, on its way to the runtime or in the middle of its memory, and kills it there.
fn kill_while_it_is_stopped(place: &Place, words: &[&str], meanwhile: impl Fn()) {
    let mut command = place.corerl(words);
    command.stdout(Stdio::null());
    let mut watcher = Process::start(command);
    watcher.signal(Signal::STOP);
    meanwhile();
    watcher.kill();
}

#[test]
fn a_watcher_that_hangs_keeps_nobody_else_from_being_answered() {
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let mut runtime = place.runtime(&site, &[]);
    let counters = runtime.counters();
    // More than the runtime listens to at the same time, and all of them silent.
    let silent: Vec<_> = (0..40).map(|_| runtime.client()).collect();
    let status = wait_for("an answer", || {
        let output = place.corerl(&["agent", "status", "--json"]).output().unwrap();
        output.status.success().then_some(output.stdout)
    });
    let status: serde_json::Value = serde_json::from_slice(&status).unwrap();
    assert_eq!(status["schema"], "corerl.agent/1");
    wait_for_more(&counters, Counter::Cycles, 20);
    drop(silent);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    assert_accounted(&counters);
}

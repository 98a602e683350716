//! The oscilloscope on a real runtime: what happened, what was before it, and every cycle of both.

use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, Process, wait_for, wait_for_more};

/// Waits with a scope for `trigger`, in a process of its own.
fn scope(place: &Place, words: &[&str]) -> Process {
    let mut command = place.corerl(&["shm", "scope", "u.sent", "level", "mode", "reward", "--headless", "--json"]);
    command.args(words).stdout(std::process::Stdio::piped());
    Process::start(command)
}

fn report(mut scope: Process) -> Value {
    let stdout = scope.stdout().expect("standard output was piped");
    let said = std::io::read_to_string(stdout).expect("text");
    assert_eq!(scope.exit_code(), 0);
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("not JSON: {said:?}"))
}

/// Rows of a capture: cycles and modes.
fn rows(text: &str) -> Vec<(u64, f64)> {
    let rows = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    let cells = rows.map(|row| row.split(',').collect::<Vec<_>>());
    cells.map(|cells| (cells[1].parse().unwrap(), cells[6].parse().unwrap())).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_scope_catches_a_change_of_mode_with_the_time_before_it_and_every_cycle() {
    let place = Place::new();
    let plant = place.plant();
    // HOLD shall last longer than the sweep.
    let site = place.site(plant.url(), &[("t_hold: 300ms", "t_hold: 10s")]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    runtime.wait_for_mode("run");
    let counters = runtime.counters();
    wait_for_more(&counters, Counter::Cycles, 100);
    let waiting = ["--trigger", "mode to hold", "--timebase", "20ms", "--pre", "0.4", "--save", "hold.csv"];
    let waiting = scope(&place, &waiting);
    // The commands come until the scope is there to see one.
    let file = place.path("hold.csv");
    wait_for("the capture", || {
        let hold = place.corerl(&["agent", "hold", "--cause", "a test"]).output().unwrap();
        assert!(hold.status.success(), "{}", said(&hold));
        wait_for_more(&counters, Counter::Cycles, 60);
        if file.exists() {
            return Some(());
        }
        place.corerl(&["agent", "reset", "--cause", "a test"]).output().unwrap();
        runtime.wait_for_mode("run");
        // Longer than what is kept before the trigger.
        wait_for_more(&counters, Counter::Cycles, 40);
        None
    });
    let report = report(waiting);
    assert_eq!((&report["schema"], &report["triggered"]), (&"corerl.shm.scope/1".into(), &true.into()));

    let text = std::fs::read_to_string(&file).unwrap();
    let rows = rows(&text);
    let trigger = report["trigger_cycle"].as_u64().unwrap();
    let (run, hold) = (2.0, 3.0);
    let first = rows.first().unwrap().0;
    assert!(rows.iter().all(|&(cycle, mode)| mode == if cycle < trigger { run } else { hold }), "{text}");
    // 80 of 200 ms lie before the trigger, and 5 ms from cycle to cycle.
    assert_eq!((trigger - first, report["lost"].as_u64()), (16, Some(0)), "{text}");
    let slots = rows.last().unwrap().0 - first + 1;
    assert_eq!(rows.len() as u64 + report["skipped"].as_u64().unwrap(), slots, "every slot is accounted for");

    let again = place.command("corerl").args(["shm", "scope", "--load", "hold.csv", "--headless", "--json"]).output();
    let again: Value = serde_json::from_slice(&again.unwrap().stdout).unwrap();
    assert_eq!(again, report, "what was saved is what was measured");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn a_trigger_that_never_comes_and_a_runtime_that_ends_are_told_apart() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &[]);
    wait_for_more(&runtime.counters(), Counter::Cycles, 20);
    let run = |words: &[&str]| {
        let output = place.corerl(&[&["shm", "scope"], words].concat()).output().unwrap();
        (output.status.code(), said(&output))
    };
    let (exit, said) = run(&["--headless", "--trigger", "level above 1e9", "--for", "100ms"]);
    assert!(exit == Some(1) && said.contains("no trigger came: level above 1000000000 in"), "{exit:?} {said}");
    let (exit, said) = run(&["levle", "--headless"]);
    assert!(exit == Some(2) && said.contains("did you mean `level`?"), "{exit:?} {said}");
    let (exit, said) = run(&["level"]);
    assert!(exit == Some(2) && said.contains("--headless"), "{exit:?} {said}");

    // A sweep that is longer than the runtime lives.
    let sweeping = scope(&place, &["--timebase", "10s", "--pre", "0", "--save", "end.csv"]);
    wait_for("the scope to attach", || attached(sweeping.pid()).then_some(()));
    wait_for_more(&runtime.counters(), Counter::Cycles, 100);
    runtime.process.kill();
    let report = report(sweeping);
    assert_eq!((&report["ended"], &report["lost"]), (&true.into(), &0.into()));
    assert!(report["samples"].as_u64() > Some(0), "{report}");
}

/// Whether a process has a runtime's memory open.
fn attached(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains("memfd:"))
}

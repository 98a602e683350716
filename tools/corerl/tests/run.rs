//! `corerl run` with real processes: shell scripts stand in for runtime and learner and note what happens to them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rt_control::{Address, Server};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A liveness bound, far above what is promised: these tests assert order, not time.
const PATIENCE: Duration = Duration::from_secs(30);

/// A stand-in that ends at SIGTERM or with its parent. (`wait` gives way to a trap in every shell, `read` does not.)
const OBEDIENT: &str = "trap 'note term; kill $reader; exit 0' TERM
exec 3<&0
(read line <&3; note tether) &
reader=$!
note start
wait";
/// A stand-in that ignores SIGTERM and its parent.
const STUBBORN: &str = "trap '' TERM; note start; exec sleep 20";

/// A directory with a site file and programs, and the socket that the runtime would have.
struct Scene {
    directory: TempDir,
    /// Bound by the test in the runtime's place, so that the parent finds something that listens.
    _server: Server,
}

impl Scene {
    fn new(runtime: &str, learner: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("site.yaml");
        fs::write(&config, rt_config::example()).unwrap();
        let site = rt_config::load(&config).expect("the example is valid").site;
        let address = Address::new(directory.path(), &site.name, &site.agent_name, &site.instance).unwrap();
        let scene = Self { _server: Server::bind(&address).unwrap(), directory };
        scene.program("corerl-rt", runtime);
        scene.program("corerl-learner", learner);
        scene
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn program(&self, name: &str, script: &str) {
        let log = self.path("log");
        let text = format!("#!/bin/sh\nnote() {{ echo \"{name} $1\" >> '{}'; }}\n{script}\n", log.display());
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn start(&self, arguments: &[&str]) -> Child {
        Command::new(env!("CARGO_BIN_EXE_corerl"))
            .args(["run", "--config"])
            .arg(self.path("site.yaml"))
            .arg("--runtime-dir")
            .arg(self.directory.path())
            .arg("--programs")
            .arg(self.directory.path())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Waits until runtime and learner are there. Which of them writes its line sooner is the scheduler's.
    fn wait_for_both(&self) {
        self.wait_for("corerl-rt start", 1);
        self.wait_for("corerl-learner start", 1);
    }

    fn log(&self) -> Vec<String> {
        fs::read_to_string(self.path("log")).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Waits until the log holds `line` so many times.
    fn wait_for(&self, line: &str, times: usize) {
        let begin = Instant::now();
        while self.log().iter().filter(|found| *found == line).count() < times {
            assert!(begin.elapsed() < PATIENCE, "no `{line}` in {:?}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn sigterm_stops_it_and_is_no_failure() {
    let scene = Scene::new(OBEDIENT, OBEDIENT);
    let parent = scene.start(&[]);
    scene.wait_for_both();
    signal(&parent, Signal::TERM);
    let output = parent.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(output.stdout.is_empty(), "messages are no data");
    assert!(said(&output).contains("stopped: SIGTERM"), "{}", said(&output));
}

#[test]
fn children_of_a_killed_parent_end_by_themselves() {
    let scene = Scene::new(OBEDIENT, OBEDIENT);
    let mut parent = scene.start(&[]);
    scene.wait_for("corerl-learner start", 1);
    signal(&parent, Signal::KILL);
    parent.wait().unwrap();
    scene.wait_for("corerl-learner tether", 1);
    scene.wait_for("corerl-rt tether", 1);
}

#[test]
fn a_tethered_parent_stops_when_its_own_standard_input_ends() {
    let scene = Scene::new(OBEDIENT, OBEDIENT);
    let mut parent = scene.start(&["--tether"]);
    scene.wait_for_both();
    drop(parent.stdin.take());
    let output = parent.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("stopped: the parent closed our standard input"), "{}", said(&output));
}

#[test]
fn children_that_do_not_end_are_killed_and_it_is_said() {
    let scene = Scene::new(STUBBORN, STUBBORN);
    let parent = scene.start(&[]);
    scene.wait_for_both();
    signal(&parent, Signal::INT);
    let output = parent.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("the runtime did not end when it was asked to, and is killed"));
    assert!(said(&output).contains("the learner did not end when it was asked to, and is killed"));
}

#[test]
fn the_end_of_the_runtime_is_the_end_and_its_code_is_passed_on() {
    for (script, code) in [("note start; sleep 0.3; exit 3", 70), ("exit 77", 77), ("kill -9 $$", 70)] {
        let scene = Scene::new(script, OBEDIENT);
        let output = scene.start(&["--no-learner"]).wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains("error: the runtime "), "{}", said(&output));
        assert!(!scene.log().iter().any(|line| line.starts_with("corerl-learner")));
    }
}

#[test]
fn a_learner_that_dies_is_started_again_and_the_runtime_does_not_notice() {
    let scene = Scene::new(OBEDIENT, "note start; exit 1");
    let parent = scene.start(&[]);
    scene.wait_for("corerl-rt start", 1);
    scene.wait_for("corerl-learner start", 2);
    assert_eq!(scene.log().iter().filter(|line| line.starts_with("corerl-rt")).count(), 1);
    signal(&parent, Signal::TERM);
    let output = parent.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(said(&output).contains("the learner ended with exit code 1; the policy stays"), "{}", said(&output));
}

#[test]
fn a_refused_site_file_starts_nothing() {
    let scene = Scene::new(OBEDIENT, OBEDIENT);
    fs::write(scene.path("site.yaml"), "agent_nam: a\n").unwrap();
    let output = scene.start(&[]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output).contains("site.yaml:1:1: error"), "{}", said(&output));
    assert_eq!(scene.log(), Vec::<String>::new());
}

#[test]
fn a_missing_program_is_named() {
    let scene = Scene::new(OBEDIENT, OBEDIENT);
    fs::remove_file(scene.path("corerl-rt")).unwrap();
    let output = scene.start(&[]).wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(69));
    assert!(said(&output).contains("`corerl-rt` was not found"), "{}", said(&output));
}

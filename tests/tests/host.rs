//! Faults of the host, section E of the catalogue: what the machine and its people do to a runtime, and what must come of it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rt_core::mode::{Cause, Mode};
use rt_sys::{Cpus, Task, tasks_of};
use rustix::process::Signal;
use shm_layout::{Counter, EventKind};
use tests::{
    Place, Process, Runtime, assert_accounted, assert_on_grid, not_judged, wait_for, wait_for_count, wait_for_more,
};

/// The period of the rig's site.
const PERIOD_NS: u64 = 5_000_000;
/// Many cycles more than anything here needs to show up.
const A_WHILE: u64 = 50;

fn control(runtime: &Runtime) -> Task {
    let tasks = tasks_of(runtime.process.pid());
    tasks.into_iter().find(|task| task.name == "corerl-control").expect("a runtime has a control thread")
}

/// Runs a command of the system to its end.
fn system(command: &str) -> bool {
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    Command::new(program).args(words).stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn assert_ends_accounted(runtime: &mut Runtime) {
    let counters = runtime.counters();
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    assert_accounted(&counters);
}

#[test]
fn f69_pauses_skip_slots_without_a_burst_and_too_many_of_them_trip() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[("overruns: {m: 64, n: 64}", "overruns: {m: 3, n: 64}")]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let (counters, mut events, mut cycles) = (runtime.counters(), runtime.events(), runtime.cycles());
    events.modes_until(Mode::Run);
    let skipped = counters.get(Counter::SlotsSkipped);
    let trip = wait_for("pauses close enough to each other to trip", || {
        runtime.process.signal(Signal::STOP);
        std::thread::sleep(Duration::from_millis(20));
        runtime.process.signal(Signal::CONT);
        wait_for_more(&counters, Counter::Cycles, 1);
        events.drain().into_iter().find(|event| event.kind() == Some(EventKind::Trip))
    });
    assert_eq!(trip.cause, Cause::Overruns as u32);
    assert!(counters.get(Counter::SlotsSkipped) >= skipped + 3);
    let status = runtime.wait_for_status("the latch", |status| status.latched.is_some());
    assert_eq!(status.mode, "fallback");
    assert_on_grid(&cycles.drain(), PERIOD_NS);
    assert_ends_accounted(&mut runtime);
}

/// A program of the highest priority that does nothing but use up this CPU, for 300 ms of it; the kernel ends it then.
fn hog(cpu: usize) -> Process {
    let mut command = Command::new("prlimit");
    command.args(["--rttime=300000:300000", "chrt", "--fifo", "99", "taskset", "--cpu-list", &cpu.to_string()]);
    command.args(["sh", "-c", "while :; do :; done"]);
    Process::start(command)
}

#[test]
fn f70_a_starved_control_thread_is_noticed_from_outside_and_no_heartbeat_is_sent_for_it() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let (counters, mut events, mut cycles) = (runtime.counters(), runtime.events(), runtime.cycles());
    events.modes_until(Mode::Run);
    let task = control(&runtime);
    if !task.scheduling.is_realtime() || Cpus::allowed().list().len() < 2 {
        return not_judged("it takes real-time privileges and a second CPU to starve one thread alone");
    }
    let mut hog = hog(task.cpu);
    let (mut standstill, mut seen) = (None, Vec::new());
    while hog.is_running() {
        seen.push((counters.get(Counter::Cycles), counters.get(Counter::Heartbeats)));
        standstill = standstill.or_else(|| events.texts(EventKind::Fault).pop());
        std::thread::sleep(Duration::from_millis(5));
    }
    let told = standstill.unwrap_or_else(|| events.next(EventKind::Fault).text().to_owned());
    assert!(told.starts_with("control stands still: no cycle for "), "{told}");
    // The set of the last cycle may still be on its way; after it none is left to send.
    let standing = seen.chunk_by(|a, b| a.0 == b.0).max_by_key(|seen| seen.len()).expect("the hog ran");
    assert!(standing.len() > 1 && standing[standing.len() - 1].1 - standing[0].1 <= 1, "{seen:?}");
    wait_for_more(&counters, Counter::Cycles, A_WHILE);
    wait_for_more(&counters, Counter::Heartbeats, 1);
    assert_on_grid(&cycles.drain(), PERIOD_NS);
    assert_ends_accounted(&mut runtime);
}

#[test]
fn f71_a_kernel_that_throttles_real_time_threads_is_reported_at_start() {
    let place = Place::new();
    let limit = place.path("sched_rt_runtime_us");
    std::fs::write(&limit, "100000\n").unwrap();
    // In a mount namespace of its own, where the kernel's file is another one: nobody else's real-time threads are touched.
    let script = format!("mount --bind {} /proc/sys/kernel/sched_rt_runtime_us && exec \"$@\"", limit.display());
    let apart = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    if !Command::new(apart[0]).args(&apart[1..]).arg("true").stderr(Stdio::null()).status().is_ok_and(|s| s.success()) {
        return not_judged("it takes a mount namespace to show another limit");
    }
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let mut runtime = place.runtime_under(&apart, &site, &[]);
    let said = runtime.process.wait_until_it_says("the kernel stops real-time threads beyond");
    assert!(said.contains("10 % of a CPU (/proc/sys/kernel/sched_rt_runtime_us)"), "{said}");
    wait_for_count(&runtime.counters(), Counter::Cycles, A_WHILE);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

/// The number of the system call in which a thread is; `None` when it is in none.
fn system_call(pid: u32, task: &Task) -> Option<i64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{}/syscall", task.tid)).expect("the thread lives");
    text.split(' ').next()?.trim().parse().ok()
}

#[test]
fn f72_the_control_thread_waits_for_its_next_slot_and_for_nobody_else() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let mut learner = place.learner(&site, "checkpoints");
    runtime.wait_for_mode("run");
    let counters = runtime.counters();
    wait_for_count(&counters, Counter::PoliciesAdopted, 1);
    let (pid, task) = (runtime.process.pid(), control(&runtime));
    let (cycles, policies) = (counters.get(Counter::Cycles), counters.get(Counter::PoliciesAdopted));
    let mut calls = BTreeSet::new();
    // Keeper, io thread and learner are busy with everything that they share with it. The other test of this is
    // `cargo xtask purity`: RealtimeSanitizer.
    wait_for("cycles, policies and questions", || {
        runtime.status();
        calls.extend((0..100).filter_map(|_| system_call(pid, &task)));
        let enough =
            counters.get(Counter::Cycles) > cycles + 1000 && counters.get(Counter::PoliciesAdopted) > policies + 3;
        enough.then_some(())
    });
    assert_eq!(calls, BTreeSet::from([libc::SYS_clock_nanosleep]), "it sleeps by one call");
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
}

/// Pages that are in use are given up only when they are asked for again and again.
const SQUEEZES: usize = 20;

/// A control group whose memory can be limited; `None` where none can be made.
struct Group(PathBuf);

impl Group {
    fn new() -> Option<Self> {
        let group = Path::new("/sys/fs/cgroup/memory").join(format!("corerl-systest-{}", std::process::id()));
        std::fs::create_dir(&group).ok().map(|()| Self(group))
    }

    /// A script that enters the group, and becomes the program that it is given.
    fn entrance(&self) -> String {
        format!("echo $$ > {}/cgroup.procs && exec \"$@\"", self.0.display())
    }

    /// A process that runs already enters; what it has stays where it was counted.
    fn take_in(&self, pid: u32) {
        std::fs::write(self.0.join("cgroup.procs"), pid.to_string()).expect("the group takes a process");
    }

    /// How many processes the kernel has killed in it for want of memory.
    fn killed(&self) -> u64 {
        let told = std::fs::read_to_string(self.0.join("memory.oom_control")).expect("the kernel counts");
        let count = told.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).expect("a number")
    }

    /// The kernel takes every page from it that can be had again from a file.
    fn squeeze(&self) {
        for _ in 0..SQUEEZES {
            let _ = std::fs::write(self.0.join("memory.force_empty"), "0");
        }
    }

    /// Whatever is inside has so much room and no more.
    fn limit_to_present_and(&self, spare: u64) {
        let present = std::fs::read_to_string(self.0.join("memory.usage_in_bytes")).expect("the kernel counts");
        let limit = present.trim().parse::<u64>().expect("a number") + spare;
        std::fs::write(self.0.join("memory.limit_in_bytes"), limit.to_string()).expect("the group takes a limit");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[test]
fn f19_a_learner_that_is_killed_for_want_of_memory_is_started_again_and_the_runtime_goes_on() {
    let Some(group) = Group::new() else {
        return not_judged("it takes control groups of version 1 to limit the memory of one program");
    };
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut company = place.company(&site, &["--arm"]);
    let before = company.wait_for_status("the learner", |status| status.learner.alive && status.mode == "run");
    let mut events = company.events();
    events.drain();
    group.take_in(before.learner.pid);
    // Less than the learner has, or the kernel would choose the eater.
    group.limit_to_present_and(4 << 20);
    // Keeps all of its input in memory.
    let mut command = Command::new("sh");
    command.args(["-c", &group.entrance(), "sh", "sh", "-c", "head -c 64m /dev/zero | tail > /dev/null"]);
    let mut eater = Process::start(command);
    let next = company.wait_for_status("the next learner", |status| status.learner.epoch == 2 && status.learner.alive);
    assert!(group.killed() >= 1, "it ended for another reason");
    assert_ne!(next.learner.pid, before.learner.pid);
    assert_eq!((next.mode.as_str(), events.modes()), ("run", vec![]));
    eater.kill();
    assert_eq!(company.process.stop(Signal::INT), 0, "{}", company.process.said());
    drop(plant);
    assert_eq!(place.left_behind(), Vec::<String>::new());
}

#[test]
fn f73_the_control_thread_takes_no_page_fault_when_memory_is_short() {
    const SPARE: u64 = 16 << 20;
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let group = Group::new();
    let entrance = group.as_ref().map(Group::entrance);
    let starter = ["sh", "-c", entrance.as_deref().unwrap_or("exec \"$@\""), "sh"];
    // A copy of its own: the pages of its code count for the group that reads them first, and can be taken from it.
    let (copy, original) = (place.path("copy"), r#"cp "$1" "$0" && shift && exec "$0" "$@""#);
    let copied = [&starter[..], &["sh", "-c", original, copy.to_str().expect("a plain path")]].concat();
    let mut runtime = place.runtime_under(&copied, &site, &["--arm"]);
    runtime.wait_for_mode("run");
    let counters = runtime.counters();
    wait_for_count(&counters, Counter::Cycles, 400);
    if runtime.status().degraded.iter().any(|reason| reason.contains("lock")) {
        return not_judged("memory is not locked here, and the runtime says so");
    }
    let before = control(&runtime).faults;
    match &group {
        // Ten times as much as there is room for goes through the group's page cache.
        Some(group) => {
            group.limit_to_present_and(SPARE);
            let (ballast, blocks) = (place.path("ballast"), (10 * SPARE) >> 20);
            let script = format!("dd if=/dev/zero of={} bs=1M count={blocks}", ballast.display());
            let mut command = Command::new(starter[0]);
            command.args(&starter[1..]).args(["sh", "-c", &script]);
            let mut eater = Process::start(command);
            wait_for("the ballast to be written", || (!eater.is_running()).then_some(()));
            assert_eq!(eater.exit_code(), 0, "{}", eater.said());
            group.squeeze();
        }
        None => not_judged("the pressure: it takes control groups of version 1 to limit the memory of one program"),
    }
    wait_for_more(&counters, Counter::Cycles, 400);
    let faults = control(&runtime).faults.since(before);
    assert_eq!((faults.minor, faults.major), (0, 0));
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn f74_a_control_thread_that_was_moved_to_other_cpus_is_reported_until_it_is_back() {
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let mut runtime = place.runtime(&site, &[]);
    let mut events = runtime.events();
    let others: Vec<_> = Cpus::allowed().list().iter().map(ToString::to_string).collect();
    let lost = |reason: &&String| reason.starts_with("control thread: not pinned to CPU ");
    let status = runtime.status();
    if others.len() < 2 || status.degraded.iter().any(|reason| lost(&reason)) {
        return not_judged("the thread has no CPU of its own here");
    }
    let task = control(&runtime);
    assert!(system(&format!("taskset --cpu-list --pid {} {}", others.join(","), task.tid)));
    let told = wait_for("the alarm", || events.texts(EventKind::Degraded).into_iter().find(|text| lost(&text)));
    assert!(told.contains("taken away"), "{told}");
    runtime.wait_for_status("the loss in the status", |status| status.degraded.iter().any(|reason| lost(&reason)));
    assert!(runtime.counters().get(Counter::Degraded) > 0);
    assert!(system(&format!("taskset --cpu-list --pid {} {}", task.cpu, task.tid)));
    runtime.wait_for_status("the return", |status| !status.degraded.iter().any(|reason| lost(&reason)));
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

/// Starts a program without the privileges that the runtime asks for.
const WITHOUT_PRIVILEGES: &[&str] = &["prlimit", "--rtprio=0", "--memlock=65536"];
/// As root, these have to be given up, too.
const WITHOUT_CAPABILITIES: &[&str] =
    &["setpriv", "--bounding-set=-sys_nice,-ipc_lock,-sys_resource", "--inh-caps=-all"];

#[test]
fn f75_without_privileges_a_runtime_says_that_it_is_degraded_and_a_strict_one_does_not_start() {
    let place = Place::new();
    let plant = place.plant();
    let mut without = WITHOUT_PRIVILEGES.to_vec();
    if rustix::process::geteuid().is_root() {
        without.extend(WITHOUT_CAPABILITIES);
    }
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime_under(&without, &site, &["--arm"]);
    runtime.wait_for_mode("run");
    let degraded = runtime.status().degraded.join("\n");
    for part in
        ["memlock limit is 64 kB", "control thread: no SCHED_FIFO priority", "io thread: no SCHED_FIFO priority"]
    {
        assert!(degraded.contains(part), "{degraded}");
    }
    let task = control(&runtime);
    assert_eq!((task.scheduling.policy, task.scheduling.priority), (0, 0));
    assert_eq!(runtime.process.stop(Signal::TERM), 0);

    let strict = place.site(plant.url(), &[("  period: 5ms\n", "  period: 5ms\n  strict: true\n")]);
    let mut runtime = place.runtime_under(&without, &strict, &["--arm"]);
    assert_eq!(runtime.process.exit_code(), 77);
    let said = runtime.process.wait_until_it_says("no SCHED_FIFO priority");
    assert!(said.contains("grant CAP_SYS_NICE") && said.contains("grant CAP_IPC_LOCK"), "{said}");
}

#[test]
fn f76_a_runtime_that_gets_no_descriptor_goes_on_and_reconnects_and_answers_once_it_does() {
    let place = Place::new();
    let mut plant = place.plant();
    let port = plant.port();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let (counters, mut events) = (runtime.counters(), runtime.events());
    events.modes_until(Mode::Run);
    let pid = runtime.process.pid();
    // Below this there are only standard input and output: what is open stays, and nothing new can be opened.
    assert!(system(&format!("prlimit --pid {pid} --nofile=3:")));
    let _asking = Process::start(place.corerl(&["agent", "status"]));
    runtime.process.wait_until_it_says("no caller can be accepted at the control socket");
    wait_for_more(&counters, Counter::Cycles, A_WHILE);
    wait_for_more(&counters, Counter::Heartbeats, 2);
    assert_eq!(events.modes(), []);
    plant.process.kill();
    assert_eq!(events.modes_until(Mode::Fallback), [Mode::Hold, Mode::Fallback]);
    let _plant = place.plant_on(port);
    wait_for_more(&counters, Counter::Cycles, A_WHILE);

    assert!(system(&format!("prlimit --pid {pid} --nofile=256:")));
    assert_eq!(events.modes_until(Mode::Run), [Mode::Run]);
    assert_eq!(runtime.status().mode, "run");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

fn oom_score(pid: u32) -> i32 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).expect("the process lives");
    text.trim().parse().expect("a number")
}

#[test]
fn f77_when_memory_is_short_the_learner_is_killed_long_before_the_runtime() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &[]);
    let mut learner = place.learner(&site, "checkpoints");
    runtime.wait_for_status("the learner", |status| status.learner.alive);
    assert_eq!(oom_score(learner.pid()), 500);
    let runtimes = oom_score(runtime.process.pid());
    if runtimes != -900 {
        let said = runtime.process.wait_until_it_says("this process is not protected when memory is short");
        assert!(said.contains("grant CAP_SYS_RESOURCE"), "{said}");
        assert_eq!(runtimes, oom_score(std::process::id()));
    }
    assert_eq!((learner.stop(Signal::TERM), runtime.process.stop(Signal::TERM)), (0, 0));
}

#[test]
fn f78_a_signal_that_asks_for_nothing_is_recorded_and_changes_nothing() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let (counters, mut events) = (runtime.counters(), runtime.events());
    events.modes_until(Mode::Run);
    // Whoever expects SIGHUP to reload the file finds it unread.
    std::fs::write(site.path(), "nonsense: true\n").unwrap();
    for (signal, name) in [(Signal::HUP, "HangUp"), (Signal::USR1, "User1"), (Signal::USR2, "User2")] {
        runtime.process.signal(signal);
        let told = events.next(EventKind::Signal);
        assert!(told.text().contains(name), "{}", told.text());
    }
    runtime.process.signal(Signal::PIPE);
    wait_for_more(&counters, Counter::Cycles, A_WHILE);
    assert_eq!((events.modes(), runtime.status().mode.as_str()), (vec![], "run"));
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
}

#[test]
fn f78_sigterm_leaves_the_last_value_on_the_plant() {
    let place = Place::new();
    let plant = place.plant();
    let site = place.site(plant.url(), &[]);
    let mut runtime = place.runtime(&site, &["--arm"]);
    let mut cycles = runtime.cycles();
    // The way from 0.25, where the plant starts, to the nominal 0.4 takes most of a second.
    let shown = wait_for("the setpoint to be on its way", || {
        cycles.drain().iter().map(|record| record.tags[0].value).find(|value| *value > 0.3)
    });
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    let sent = cycles.drain().iter().map(|record| record.setpoints[0].sent).fold(shown, f64::max);

    let mut next = place.runtime(&site, &[]);
    let mut cycles = next.cycles();
    next.wait_for_mode("shadow");
    cycles.drain();
    wait_for_more(&next.counters(), Counter::Cycles, A_WHILE);
    let values: Vec<_> = cycles.drain().iter().map(|record| record.tags[0].value).collect();
    assert!(values.iter().all(|value| *value == values[0]), "it moves: {values:?}");
    assert!((shown..=sent).contains(&values[0]), "{} after {shown}, sent at most {sent}", values[0]);
    assert_eq!(next.process.stop(Signal::TERM), 0);
}

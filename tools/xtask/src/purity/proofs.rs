//! The proofs, each over the runtime at work and over the impure cycle.

use std::time::Duration;

use rt_sys::Task;
use shm_layout::Counter;

use super::graph::{Graph, Kind, Offence, Reach};
use super::scene::{Impure, Scene};
use super::{Bench, Finding, Verdict, sanitizer, trace};

/// Cycles that a proof looks at.
const CYCLES: u64 = 3_000;
/// How long an impure cycle runs under a proof.
const IMPURE_FOR: Duration = Duration::from_millis(300);
/// Fewer cycles than an impure one comes to in that time, on any machine.
const IMPURE_CYCLES: u64 = 10;
/// The threads that may have a real-time priority.
const REALTIME: &[&str] = &["corerl-control", "corerl-io"];
/// Where the work between two sleeps begins.
const WORK: &str = "rt_daemon::control::ControlLoop::work";
const IMPURE_WORK: &str = "impure::Loop::work";
/// Where the impure cycle calls through a pointer in static memory.
const IMPURE_HOOK: &str = "impure::impurity::call_hook";

/// What a look at the runtime gave: a sentence, or why it cannot be judged here.
enum Look {
    Clean(String),
    NotHere(String),
}

/// A look at the runtime, and what was caught; the error says what was found, or was not caught.
type Proof = Result<(Look, Vec<String>), String>;

/// All proofs.
pub(super) fn all(bench: &Bench) -> Vec<Finding> {
    let mut findings = vec![finding("sanitizer", sanitized(bench)), finding("call graph", graph(bench))];
    let scene = Scene::start(bench, &bench.programs.join("corerl-rt"), None);
    let mut scene = match scene {
        Ok(scene) => scene,
        Err(message) => {
            findings.push(finding("a real run", Err(message)));
            return findings;
        }
    };
    findings.extend([
        finding("allocations", allocations(bench, &mut scene)),
        finding("page faults", page_faults(bench, &mut scene)),
        finding("priorities", priorities(bench, &scene)),
        finding("system calls", system_calls(bench, &mut scene)),
    ]);
    findings.extend(scene.end().err().map(|message| finding("the end", Err(message))));
    findings
}

fn finding(proof: &'static str, outcome: Proof) -> Finding {
    match outcome {
        Ok((Look::Clean(seen), caught)) => Finding { proof, verdict: Verdict::Proven, seen, caught },
        Ok((Look::NotHere(seen), caught)) => Finding { proof, verdict: Verdict::NotHere, seen, caught },
        Err(seen) => Finding { proof, verdict: Verdict::Refuted, seen, caught: Vec::new() },
    }
}

/// RealtimeSanitizer watches whole cycles, through the modes and with new policies and a recording.
fn sanitized(bench: &Bench) -> Proof {
    let program = bench.sanitized.join("corerl-rt");
    let entered = Graph::of(&program)?.calls(WORK, sanitizer::ENTRY)?;
    demand(entered, || format!("{WORK} does not tell the sanitizer that it begins"))?;
    let log = bench.directory.join("sanitizer");
    let mut scene = Scene::start(bench, &program, Some(&log))?;
    scene.tour()?;
    scene.cycles(CYCLES)?;
    let (cycles, policies) = (scene.count(Counter::Cycles), scene.count(Counter::PoliciesAdopted));
    scene.end()?;
    let report = sanitizer::Report::read(&log)?;
    demand(report.errors == Some(0), || format!("RealtimeSanitizer found {report:?}"))?;
    let seen = format!("{cycles} cycles in every mode but RELEASE, {policies} policies, 0 findings");
    let mut caught = Vec::new();
    for (what, function) in
        [("allocation", "malloc"), ("lock", "syscall"), ("print", "write"), ("system-call", "sched_yield")]
    {
        let log = bench.directory.join(format!("sanitizer-{what}"));
        Impure::start(&bench.sanitized.join("impure"), what, Some(&log))?.end()?;
        let report = sanitizer::Report::read(&log)?;
        let is_caught = report.functions.iter().any(|found| found == function);
        demand(is_caught, || format!("the {what} of an impure cycle was not caught: {report:?}"))?;
        caught.push(format!("{what} ({function})"));
    }
    Ok((Look::Clean(seen), caught))
}

/// No panic, allocator, system call or blocking function can be reached from the cycle.
fn graph(bench: &Bench) -> Proof {
    let reach = Graph::of(&bench.programs.join("corerl-rt"))?.reach(WORK)?;
    let first: Vec<_> =
        reach.offences.iter().take(5).map(|offence| format!("{:?}: {}", offence.kind, offence.way)).collect();
    demand(first.is_empty(), || format!("{} offences, first:\n  {}", reach.offences.len(), first.join("\n  ")))?;
    let foreign: Vec<_> = reach.foreign.iter().map(String::as_str).collect();
    let seen =
        format!("{} functions reached by every call, of libraries {}; no panic", reach.functions, foreign.join(", "));
    let impure = Graph::of(&bench.impure)?.reach(IMPURE_WORK)?;
    Ok((Look::Clean(seen), caught_in(&impure)?))
}

fn caught_in(impure: &Reach) -> Result<Vec<String>, String> {
    let kinds = [(Kind::Panic, "panic"), (Kind::Allocation, "allocation"), (Kind::Foreign, "library function")];
    let reached = kinds.map(|(kind, name)| (impure.offences.iter().any(|offence| offence.kind == kind), name));
    // Others call through pointers, too: this one is in static memory.
    let hook = impure.offences.iter().any(|Offence { kind, way }| {
        *kind == Kind::Pointer && way.split(" <- ").nth(1).is_some_and(|function| function == IMPURE_HOOK)
    });
    reached
        .into_iter()
        .chain([(hook, "pointer in static memory")])
        .map(|(is_caught, name)| {
            demand(is_caught, || format!("no {name} is reached from the impure cycle")).map(|()| name.to_owned())
        })
        .collect()
}

/// The allocation guard of the runtime itself.
fn allocations(bench: &Bench, scene: &mut Scene) -> Proof {
    scene.cycles(CYCLES)?;
    let (cycles, counted) = (scene.count(Counter::Cycles), scene.count(Counter::AllocationsInCycle));
    demand(counted == 0, || format!("{counted} allocations in {cycles} cycles"))?;
    let run = |what| {
        let impure = Impure::start(&bench.impure, what, None)?;
        std::thread::sleep(IMPURE_FOR);
        impure.end()
    };
    let (clean, guilty) = (run("nothing")?, run("allocation")?);
    demand(clean.allocations == 0, || format!("the guard counts where nothing is: {clean:?}"))?;
    demand(guilty.allocations >= IMPURE_CYCLES, || format!("the guard does not count: {guilty:?}"))?;
    let caught = format!("{} in {} cycles", guilty.allocations, guilty.cycles);
    Ok((Look::Clean(format!("0 in {cycles} cycles")), vec![caught]))
}

/// What the kernel counts for the control thread.
fn page_faults(bench: &Bench, scene: &mut Scene) -> Proof {
    let before = scene.control()?;
    scene.cycles(CYCLES)?;
    let faults = scene.control()?.faults.since(before.faults);
    let caught = impure_faults(bench)?;
    let degraded = scene.status()?.degraded;
    if let Some(reason) = degraded.iter().find(|reason| reason.contains("lock")) {
        return Ok((Look::NotHere(format!("memory is not locked: {reason}")), caught));
    }
    let all = faults.minor + faults.major;
    demand(all == 0, || format!("{faults:?} of the control thread in {CYCLES} cycles"))?;
    Ok((Look::Clean(format!("0 minor, 0 major in {CYCLES} cycles after the warm-up")), caught))
}

fn impure_faults(bench: &Bench) -> Result<Vec<String>, String> {
    let impure = Impure::start(&bench.impure, "page-fault", None)?;
    let before = impure.control()?;
    std::thread::sleep(IMPURE_FOR);
    let faults = impure.control()?.faults.since(before.faults);
    impure.end()?;
    demand(faults.minor > 0, || format!("the page faults of an impure cycle are not seen: {faults:?}"))?;
    Ok(vec![format!("{} minor", faults.minor)])
}

/// Who has which priority, as the kernel shows it.
fn priorities(bench: &Bench, scene: &Scene) -> Proof {
    let (mut realtime, mut others) = (Vec::new(), Vec::new());
    for task in scene.tasks() {
        let kind = if REALTIME.contains(&task.name.as_str()) { &mut realtime } else { &mut others };
        kind.push(task);
    }
    let impure = Impure::start(&bench.impure, "helper", None)?;
    let helpers: Vec<_> = impure.tasks().into_iter().filter(|task| !REALTIME.contains(&task.name.as_str())).collect();
    impure.end()?;
    if !realtime.iter().all(|task| task.scheduling.is_realtime()) {
        return Ok((
            Look::NotHere("nobody is granted a real-time priority, which a helper could inherit".to_owned()),
            Vec::new(),
        ));
    }
    let ordinary = |task: &&Task| task.scheduling.policy == 0 && task.scheduling.priority == 0;
    demand(others.iter().all(|task| ordinary(&task)), || format!("not SCHED_OTHER: {}", names(&others)))?;
    let caught: Vec<_> = helpers.iter().filter(|task| !ordinary(task)).map(describe).collect();
    demand(!caught.is_empty(), || format!("a helper with a priority is not seen among {}", names(&helpers)))?;
    Ok((Look::Clean(format!("{}; SCHED_OTHER: {}", names(&realtime), names(&others))), caught))
}

fn names(tasks: &[Task]) -> String {
    tasks.iter().map(describe).collect::<Vec<_>>().join(", ")
}

fn describe(task: &Task) -> String {
    match task.scheduling.policy {
        0 => task.name.clone(),
        1 => format!("{} FIFO {}", task.name, task.scheduling.priority),
        policy => format!("{} policy {policy}", task.name),
    }
}

/// What strace sees of the control thread, which it alone looks at. It is attached after the warm-up and taken away before
/// the end: starting and stopping a thread takes other calls, and belongs to no cycle.
fn system_calls(bench: &Bench, scene: &mut Scene) -> Proof {
    if let Err(reason) = trace::is_there() {
        return Ok((Look::NotHere(reason), Vec::new()));
    }
    let log = |name: &str| bench.directory.join(format!("trace-{name}"));
    let control = scene.control()?;
    let calls = match trace::watch(control.tid, &log("runtime"), || scene.cycles(CYCLES)) {
        Err(reason) if reason.contains(trace::NOT_PERMITTED) => return Ok((Look::NotHere(reason), Vec::new())),
        calls => calls?,
    };
    demand(calls.others().is_empty(), || format!("the control thread asked for {}", calls.others().join(", ")))?;
    demand(calls.sleeps() > 0, || "strace saw nothing at all".to_owned())?;
    let seen = format!("{} sleeps (clock_nanosleep) and nothing else", calls.sleeps());
    let mut caught = Vec::new();
    for (what, call) in [("system-call", "sched_yield"), ("lock", "futex"), ("print", "write")] {
        let impure = Impure::start(&bench.impure, what, None)?;
        let tid = impure.control()?.tid;
        let calls = trace::watch(tid, &log(what), || {
            std::thread::sleep(IMPURE_FOR);
            Ok(())
        })?;
        impure.end()?;
        let is_caught = calls.others().iter().any(|other| other.starts_with(call));
        demand(is_caught, || format!("the {call} of an impure cycle was not seen, only {:?}", calls.others()))?;
        caught.push(call.to_owned());
    }
    Ok((Look::Clean(seen), caught))
}

fn demand(holds: bool, complaint: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(complaint()) }
}

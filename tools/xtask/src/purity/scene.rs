//! What the proofs look at: the runtime at work beside a plant and a learner, and the impure cycle alone.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rt_control::{Act, Address, Client, Status};
use rt_core::mode::Mode;
use rt_sys::{Task, tasks_of};
use rustix::process::Signal;
use shm::{SegmentKind, counters};
use shm_layout::Counter;

use super::{Bench, sanitizer};
use crate::demo::{AGENT, DemoPlant, SITE, Values, plant_url};
use children::Child;

/// Every wait is for a fact, and no longer than this.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The control socket answers within this time.
const ANSWER: Duration = Duration::from_secs(5);
/// Everything ends in order within this time.
const END: Duration = Duration::from_secs(5);
/// Cycles after which the runtime has warmed up, and looks at itself.
const WARM_CYCLES: u64 = 1_000;
/// Policies that have to come across before anything counts.
const POLICIES_MIN: u64 = 3;

/// A runtime that drives a plant with a learner's policies, and records.
pub(super) struct Scene {
    runtime: Child,
    learner: Child,
    plant: Child,
    address: Address,
    counters: counters::Reader<Counter>,
}

impl Scene {
    /// Starts the runtime `program` with everything around it, and waits until it is warm, in RUN and following a learner.
    /// What a sanitized one says goes into `log`.
    pub(super) fn start(bench: &Bench, program: &Path, log: Option<&Path>) -> Result<Self, String> {
        let directory = bench.directory.join("scene");
        std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let (plant, site) = start_plant(bench, &directory)?;
        let run = directory.join("run");
        let common = |command: &mut Command| {
            command.arg("--tether").arg("--config").arg(&site).arg("--runtime-dir").arg(&run);
        };
        let mut command = Command::new(program);
        common(&mut command);
        command.arg("--arm").arg("--record").arg(directory.join("recording"));
        let mut runtime = start("corerl-rt", &mut command, log)?;
        let address = Address::new(&run, SITE, AGENT, "main").map_err(|error| error.to_string())?;
        let counters = wait("the control socket", || {
            runtime.check()?;
            Ok(counters_of(&address).ok())
        })?;
        let mut command = Command::new(bench.programs.join("corerl-learner"));
        common(&mut command);
        command.arg("--checkpoint-dir").arg(directory.join("checkpoints")).args(["--threads", "1"]);
        let learner = Child::start("corerl-learner", &mut command)?;
        let mut scene = Self { runtime, learner, plant, address, counters };
        scene.wait_for_mode(Mode::Run)?;
        scene.wait_for(Counter::PoliciesAdopted, POLICIES_MIN)?;
        scene.wait_for(Counter::Cycles, WARM_CYCLES)?;
        Ok(scene)
    }

    /// A counter of the runtime's.
    pub(super) fn count(&self, counter: Counter) -> u64 {
        self.counters.get(counter)
    }

    /// Waits for so many more cycles.
    pub(super) fn cycles(&mut self, more: u64) -> Result<(), String> {
        self.wait_for(Counter::Cycles, self.count(Counter::Cycles) + more)
    }

    fn wait_for(&mut self, counter: Counter, at_least: u64) -> Result<(), String> {
        self.wait(&format!("{} {at_least}", counter.name()), |scene| scene.count(counter) >= at_least)
    }

    fn wait_for_mode(&mut self, mode: Mode) -> Result<(), String> {
        self.wait(&format!("mode {}", mode.name()), |scene| scene.count(Counter::Mode) == mode as u64)
    }

    fn wait(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<(), String> {
        wait(what, || {
            self.plant.check().and(self.runtime.check()).and(self.learner.check())?;
            Ok(holds(self).then_some(()))
        })
    }

    /// Takes the runtime through the modes, by command.
    pub(super) fn tour(&mut self) -> Result<(), String> {
        for (act, mode) in
            [(Act::Hold, Mode::Fallback), (Act::Reset, Mode::Run), (Act::Disarm, Mode::Shadow), (Act::Arm, Mode::Run)]
        {
            let mut client = Client::connect(&self.address, ANSWER).map_err(|error| error.to_string())?;
            client.act(act, "purity").map_err(|error| error.to_string())?;
            self.wait_for_mode(mode)?;
        }
        Ok(())
    }

    /// What the runtime says of itself.
    pub(super) fn status(&self) -> Result<Status, String> {
        let mut client = Client::connect(&self.address, ANSWER).map_err(|error| error.to_string())?;
        client.status().map_err(|error| error.to_string())
    }

    /// The runtime's threads, as the kernel shows them.
    pub(super) fn tasks(&self) -> Vec<Task> {
        tasks_of(self.runtime.pid())
    }

    /// The control thread.
    pub(super) fn control(&self) -> Result<Task, String> {
        control_of(self.tasks())
    }

    /// Ends everything in order.
    pub(super) fn end(mut self) -> Result<(), String> {
        for child in [&mut self.learner, &mut self.runtime] {
            let end = child.stop(Signal::TERM, END);
            end.filter(|status| status.success()).ok_or_else(|| {
                let how = end.map_or_else(|| "had to be killed".to_owned(), |status| status.to_string());
                format!("{} did not end in order ({how}); it said last:\n{}", child.name(), child.last_lines())
            })?;
        }
        self.plant.let_go(END);
        Ok(())
    }
}

fn start(name: &'static str, command: &mut Command, log: Option<&Path>) -> Result<Child, String> {
    match log {
        None => Child::start(name, command),
        Some(log) => sanitizer::start(name, command, log),
    }
}

fn start_plant(bench: &Bench, directory: &Path) -> Result<(Child, std::path::PathBuf), String> {
    let demo = DemoPlant::by_name("multi_action_saturation")?;
    let mut command = Command::new(bench.programs.join("corerl-plant"));
    command.args(["--plant", demo.name, "--step", "10ms", "--port", "0", "--json", "--tether", "--pki"]);
    let mut plant = Child::start("corerl-plant", command.arg(directory.join("pki")))?;
    let url = plant_url(&mut plant)?;
    let site = directory.join("site.yaml");
    let text = demo.site_file(&Values { url: &url, period: "1ms", obs_period: "10ms", seed: 1, policy: None });
    std::fs::write(&site, text).map_err(|error| format!("{} cannot be written: {error}", site.display()))?;
    Ok((plant, site))
}

fn counters_of(address: &Address) -> Result<counters::Reader<Counter>, String> {
    let mut client = Client::connect(address, ANSWER).map_err(|error| error.to_string())?;
    let segment = watch::segment(&mut client, SegmentKind::Counters).map_err(|error| error.to_string())?;
    counters::Reader::new(&segment).map_err(|error| error.to_string())
}

fn wait<T>(what: &str, mut fact: impl FnMut() -> Result<Option<T>, String>) -> Result<T, String> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(fact) = fact()? {
            return Ok(fact);
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Err(format!("waited {PATIENCE:?} in vain for {what}"))
}

fn control_of(tasks: Vec<Task>) -> Result<Task, String> {
    let control = tasks.into_iter().find(|task| task.name == "corerl-control");
    control.ok_or_else(|| "there is no control thread".to_owned())
}

/// What an impure cycle says at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
pub(super) struct Confession {
    pub(super) cycles: u64,
    pub(super) allocations: u64,
}

/// A running impure cycle.
pub(super) struct Impure(Child);

impl Impure {
    /// Starts one that does `what`, and waits until its loop has warmed up. What a sanitized one says goes into `log`.
    pub(super) fn start(program: &Path, what: &str, log: Option<&Path>) -> Result<Self, String> {
        let mut child = start("impure", Command::new(program).arg(what), log)?;
        match child.line(PATIENCE) {
            Some(line) if line == "ready" => Ok(Self(child)),
            said => Err(format!("impure {what} said {said:?}; its last words:\n{}", child.last_lines())),
        }
    }

    /// Its threads.
    pub(super) fn tasks(&self) -> Vec<Task> {
        tasks_of(self.0.pid())
    }

    /// Its control thread.
    pub(super) fn control(&self) -> Result<Task, String> {
        control_of(self.tasks())
    }

    /// Ends it; what it counted.
    pub(super) fn end(mut self) -> Result<Confession, String> {
        self.0.let_go(END).ok_or("impure had to be killed")?;
        let said = self.0.line(END).unwrap_or_default();
        serde_json::from_str(&said).map_err(|error| format!("impure said `{said}`: {error}"))
    }
}

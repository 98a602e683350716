//! One run: start in order, watch, stop in order, and look for what was left behind.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use rt_control::{Address, CallError, ConnectError};
use rt_sys::Lifeline;
use rustix::process::Signal;
use tempfile::TempDir;
use watch::Blind;

use super::observe::Observer;
use super::plan::{AGENT, DemoPlant, SITE, Values};
use super::progress::Progress;
use super::recording::Recording;
use crate::scratch;
use children::{Child, processes_left};

/// The plant says where it listens within this time.
const PLANT_START: Duration = Duration::from_secs(10);

/// The runtime answers at its control socket within this time.
const RUNTIME_START: Duration = Duration::from_secs(20);

/// New records are taken this often.
const DRAIN_EVERY: Duration = Duration::from_millis(50);

/// `corerl run` stops runtime and learner within this time, or is killed.
const RUNTIME_STOP: Duration = Duration::from_secs(3);

/// The same for the plant.
const PLANT_STOP: Duration = Duration::from_secs(2);

/// And for the historian, which keeps what is left first.
const HISTORIAN_STOP: Duration = Duration::from_secs(5);

/// What a recording of the run is called.
pub(crate) const RECORDING: &str = "demo.rec";

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) plant: &'static DemoPlant,
    /// Directory of the release binaries.
    pub(crate) programs: PathBuf,
    pub(crate) seconds: u64,
    pub(crate) period: String,
    pub(crate) obs_period: String,
    pub(crate) seed: u64,
    /// Where site file and recording are kept, if they are.
    pub(crate) keep: Option<PathBuf>,
    /// The policy to start with, if it is not the nominal one.
    pub(crate) policy: Option<PathBuf>,
    /// Where the historian keeps what happens.
    pub(crate) history: PathBuf,
    /// Where the learner finds and leaves its checkpoints; `None`: it begins anew, or leaves a given policy as it is.
    pub(crate) checkpoints: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct End {
    /// What was seen; `None` when the runtime never answered.
    pub(crate) recording: Option<Recording>,
    /// What went wrong, each in a sentence.
    pub(crate) trouble: Vec<String>,
}

/// The processes, in the order of their start.
struct Company {
    plant: Child,
    historian: Child,
    corerl: Child,
}

impl Company {
    /// An error when one of them has ended.
    fn check(&mut self) -> Result<(), String> {
        self.plant.check()?;
        self.historian.check()?;
        self.corerl.check()
    }
}

/// Runs the demo. `Err` when it could not even be started.
pub(crate) fn run(order: &Order) -> Result<End, String> {
    // First, while there is one thread: Ctrl-C becomes something to read.
    let lifeline = Lifeline::new(false).map_err(|error| format!("signals cannot be watched: {error}"))?;
    let directory = scratch::directory("corerl-demo")?;
    let mut company = start(order, &directory)?;
    let address =
        Address::new(&directory.path().join("run"), SITE, AGENT, "main").map_err(|error| error.to_string())?;
    let mut trouble = Vec::new();
    let mut observer = match connect(&address, order, &mut company, &lifeline) {
        Ok(observer) => observer,
        Err(message) => {
            trouble.push(message);
            None
        }
    };
    if let Some(observer) = &mut observer {
        trouble.extend(watch(observer, order.seconds, &mut company, &lifeline).err());
    }
    trouble.extend(stop(&mut company));
    let recording = observer.map(|mut observer| {
        // The mapped memory outlives its writers.
        observer.drain();
        observer.recording().clone()
    });
    trouble.extend(leftovers(directory.path(), &address));
    Ok(End { recording, trouble })
}

fn start(order: &Order, directory: &TempDir) -> Result<Company, String> {
    let program = |name: &str| Command::new(order.programs.join(name));
    let seed = order.seed.to_string();
    let mut plant = Child::start(
        "corerl-plant",
        program("corerl-plant")
            .args(["--plant", order.plant.name, "--step", &order.obs_period, "--seed", &seed])
            .args(["--port", "0", "--json", "--tether"])
            // So that a plant that is left behind can be told from another one.
            .arg("--pki")
            .arg(directory.path().join("pki")),
    )?;
    let url = plant_url(&mut plant)?;
    let values = Values {
        url: &url,
        period: &order.period,
        obs_period: &order.obs_period,
        seed: order.seed,
        policy: order.policy.as_deref(),
    };
    let kept = order.keep.as_deref().unwrap_or(directory.path());
    let site = kept.join("site.yaml");
    std::fs::write(&site, order.plant.site_file(&values)).map_err(|error| super::unwritable(&site, &error))?;
    let runtime_dir = directory.path().join("run");
    let mut historian = program("corerl-historian");
    historian.arg("--tether").arg("--history").arg(&order.history).arg("--runtime-dir").arg(&runtime_dir);
    let historian = Child::start("corerl-historian", &mut historian)?;
    let mut run = program("corerl");
    run.args(["run", "--arm", "--tether", "--config"]).arg(&site);
    run.arg("--runtime-dir").arg(&runtime_dir);
    run.arg("--programs").arg(&order.programs).arg("--checkpoint-dir");
    run.arg(order.checkpoints.clone().unwrap_or_else(|| directory.path().join("checkpoints")));
    if order.policy.is_some() && order.checkpoints.is_none() {
        run.arg("--no-learner");
    }
    if order.keep.is_some() {
        run.arg("--record").arg(kept.join(RECORDING));
    }
    let corerl = Child::start("corerl run", &mut run)?;
    Ok(Company { plant, historian, corerl })
}

/// Waits for the line in which the plant says where it listens.
pub(crate) fn plant_url(plant: &mut Child) -> Result<String, String> {
    let line = plant.line(PLANT_START).ok_or_else(|| match plant.check() {
        Err(message) => message,
        Ok(()) => format!("{} did not say where it listens within {PLANT_START:?}", plant.name()),
    })?;
    let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
    said["url"]
        .as_str()
        .map(str::to_owned)
        .ok_or_else(|| format!("{} said `{line}` instead of where it listens", plant.name()))
}

/// Waits until the runtime answers; `None` when Ctrl-C came first.
fn connect(
    address: &Address,
    order: &Order,
    company: &mut Company,
    lifeline: &Lifeline,
) -> Result<Option<Observer>, String> {
    let start = Instant::now();
    loop {
        match Observer::attach(address, order.plant.name) {
            Ok(observer) => return Ok(Some(observer)),
            Err(Blind::Call(CallError::Connect(ConnectError::NotRunning { .. }))) => {}
            // A runtime that is just starting may hang up once; another one that cannot be understood will not change.
            Err(error) if start.elapsed() > RUNTIME_START / 4 => return Err(error.to_string()),
            Err(_) => {}
        }
        company.check()?;
        if start.elapsed() > RUNTIME_START {
            let said = company.corerl.last_lines();
            return Err(format!("the runtime did not answer within {RUNTIME_START:?}; corerl run said last:\n{said}"));
        }
        if lifeline.wait(DRAIN_EVERY).asks_to_stop() {
            return Ok(None);
        }
    }
}

/// Watches for `seconds`, or until Ctrl-C; an error when a process ended by itself.
fn watch(observer: &mut Observer, seconds: u64, company: &mut Company, lifeline: &Lifeline) -> Result<(), String> {
    let mut progress = Progress::new(seconds);
    let end = Instant::now() + Duration::from_secs(seconds);
    let mut outcome = Ok(());
    while outcome.is_ok() && Instant::now() < end {
        if lifeline.wait(DRAIN_EVERY).asks_to_stop() {
            break;
        }
        observer.drain();
        progress.show(observer.recording());
        outcome = company.check();
    }
    progress.finish();
    outcome
}

/// Runtime and learner first, then the plant, and whoever keeps what they left behind. What had to be killed is trouble.
fn stop(company: &mut Company) -> Vec<String> {
    let mut trouble = Vec::new();
    if company.corerl.ended().is_none() {
        let end = company.corerl.stop(Signal::INT, RUNTIME_STOP);
        trouble.extend(bad_end(&company.corerl, end));
    }
    if company.plant.ended().is_none() {
        let end = company.plant.let_go(PLANT_STOP);
        trouble.extend(bad_end(&company.plant, end));
    }
    if company.historian.ended().is_none() {
        let end = company.historian.let_go(HISTORIAN_STOP);
        trouble.extend(bad_end(&company.historian, end));
    }
    trouble
}

/// A sentence about an end that was not in order.
fn bad_end(child: &Child, end: Option<ExitStatus>) -> Option<String> {
    match end {
        Some(status) if status.success() => None,
        Some(status) => Some(child.obituary(status)),
        None => {
            Some(format!("{} did not end in time and was killed; it said last:\n{}", child.name(), child.last_lines()))
        }
    }
}

/// Processes and sockets that should be gone and are not.
fn leftovers(directory: &Path, address: &Address) -> Vec<String> {
    let mut trouble = processes_left(&directory.display().to_string());
    if address.socket().exists() {
        trouble.push(format!("left behind: the socket {}", address.socket().display()));
    }
    trouble
}

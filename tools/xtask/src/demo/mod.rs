//! `cargo xtask demo`: plant, runtime and learner as real processes; this one only watches.

mod observe;
mod plan;
mod progress;
mod recording;
mod report;
mod run;
mod summary;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use crate::workspace;
pub(crate) use observe::Observer;
pub(crate) use plan::{AGENT, DemoPlant, SITE, Values};
pub(crate) use run::plant_url;
use run::{End, Order};
use summary::Summary;

/// The longest run, seconds: everything that is seen stays in memory.
const SECONDS_MAX: u64 = 3600;

/// Below the report's directory: what the historian keeps of all runs of the demo.
const HISTORY: &str = "history";

/// The programs of the demo and the packages that they come from.
const PACKAGES: &[&str] = &["rt-daemon", "learner-daemon", "corerl", "historian", "plant-sim"];

/// Starts a simulated plant, the runtime and the learner, watches them, and reports.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask demo\n  \
    cargo xtask demo --seconds 60 --plant three_tanks --report report\n  \
    cargo xtask demo --seconds 10 --json demo.json\n  \
    cargo xtask demo --record    then, to start with what was recorded:\n  \
    corerl learn --from report/demo.rec --config report/site.yaml --out report/policy.safetensors\n  \
    cargo xtask demo --policy report/policy.safetensors")]
pub(crate) struct DemoArguments {
    /// How long to watch, seconds.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=SECONDS_MAX))]
    seconds: u64,
    /// The control period, as in a site file.
    #[arg(long, default_value = "1ms")]
    period: String,
    /// Time between observations, and between decisions; also the plant's step.
    #[arg(long, default_value = "10ms")]
    obs: String,
    /// saturation, multi_action_saturation or three_tanks.
    #[arg(long, default_value = "saturation")]
    plant: String,
    /// Seed of plant and agent.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the numbers (`corerl.demo/1`) to this file; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write report.html into this directory.
    #[arg(long, value_name = "DIR", default_value = "report")]
    report: PathBuf,
    /// Also keep the site file and a recording of every cycle in that directory: site.yaml and demo.rec.
    #[arg(long)]
    record: bool,
    /// Start with this policy instead of the nominal setpoints. It stays as it is, unless there is a learner that goes on
    /// from a checkpoint.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Directory of the learner's checkpoints, from which it goes on.
    #[arg(long, value_name = "DIR")]
    checkpoint_dir: Option<PathBuf>,
}

/// Runs the demo.
pub(crate) fn run(arguments: &DemoArguments) -> ExitCode {
    match demonstrate(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("demo: {message}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate(arguments: &DemoArguments) -> Result<(), String> {
    let plant = DemoPlant::by_name(&arguments.plant)?;
    let policy = arguments.policy.as_deref().map(found).transpose()?;
    let programs = build_release()?;
    fs::create_dir_all(&arguments.report).map_err(|error| unwritable(&arguments.report, &error))?;
    let order = Order {
        plant,
        programs,
        seconds: arguments.seconds,
        period: arguments.period.clone(),
        obs_period: arguments.obs.clone(),
        seed: arguments.seed,
        keep: arguments.record.then(|| arguments.report.clone()),
        policy,
        history: arguments.report.join(HISTORY),
        checkpoints: arguments.checkpoint_dir.clone(),
    };
    let End { recording, trouble } = run::run(&order)?;
    if let Some(recording) = recording {
        publish(arguments, plant, &recording)?;
    }
    if trouble.is_empty() { Ok(()) } else { Err(trouble.join("\n")) }
}

/// A recording of a run of the simplest plant, kept in this directory.
pub(crate) fn recorded(programs: &Path, seconds: u64, keep: &Path) -> Result<PathBuf, String> {
    let order = Order {
        plant: DemoPlant::by_name("saturation")?,
        programs: programs.to_owned(),
        seconds,
        period: "1ms".to_owned(),
        obs_period: "10ms".to_owned(),
        seed: 1,
        keep: Some(keep.to_owned()),
        policy: None,
        history: keep.join(HISTORY),
        checkpoints: None,
    };
    let End { trouble, .. } = run::run(&order)?;
    if trouble.is_empty() { Ok(keep.join(run::RECORDING)) } else { Err(trouble.join("\n")) }
}

/// Writes report and JSON, and prints the table.
fn publish(arguments: &DemoArguments, plant: &DemoPlant, recording: &recording::Recording) -> Result<(), String> {
    let summary = Summary::of(recording);
    let page = arguments.report.join("report.html");
    fs::write(&page, report::page(recording, plant.pairs)).map_err(|error| unwritable(&page, &error))?;
    match arguments.json.as_deref() {
        Some(file) if file == Path::new("-") => {
            // Standard output is for the data then.
            eprint!("{}", summary.table());
            print!("{}", summary.json());
        }
        json => {
            print!("{}", summary.table());
            if let Some(file) = json {
                fs::write(file, summary.json()).map_err(|error| unwritable(file, &error))?;
            }
        }
    }
    eprintln!("report: {}", page.display());
    eprintln!("history: {0}; corerl data tags --history {0}", arguments.report.join(HISTORY).display());
    Ok(())
}

/// Where a file really is: the site file that names it lies elsewhere.
fn found(file: &Path) -> Result<PathBuf, String> {
    file.canonicalize().map_err(|error| format!("{} cannot be read: {error}", file.display()))
}

fn unwritable(path: &Path, error: &io::Error) -> String {
    format!("{} cannot be written: {error}", path.display())
}

/// Builds what the demo needs; answers where it is.
pub(crate) fn build_release() -> Result<PathBuf, String> {
    let target_directory = workspace::metadata()?.target_directory;
    eprintln!("building plant, runtime and learner");
    let mut build = workspace::cargo();
    build.args(["build", "--release"]).args(PACKAGES.iter().flat_map(|package| ["--package", package]));
    workspace::run_build(&mut build, "plant, runtime and learner")?;
    Ok(target_directory.join("release"))
}

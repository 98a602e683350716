//! Plants that nobody here wrote, controlled through the real transport: what an agent reaches that begins with nothing,
//! beside the nominal action and, for the reactor, beside a model-predictive controller that has its model.
//!
//! Everybody meets the same references and disturbances, seed by seed and step by step: the plant's clock begins with the
//! first heartbeat. What the plant itself says is what counts: its own reward, which the agent does not see, and how far the
//! outputs lie from their references. Runs are made one after the other.

mod actor;
mod figures;
mod process;
mod server;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::harness::{Estimate, Row};
use crate::peer::{Peer, Role, with_role};
use actor::{Actor, Kind};
use figures::{Figures, PARTS, spread};
use server::{Announcement, Server, Step};

/// Where the plants, their sites and the controller lie.
const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tools/xtask/interop/plants");
/// The plants, and who acts on each.
const PLANTS: &[(&str, &[Kind])] = &[
    ("cstr", &[Kind::Agent, Kind::Constant, Kind::Predictive]),
    ("four_tank", &[Kind::Agent, Kind::Constant]),
    ("tclab", &[Kind::Agent, Kind::Constant]),
    ("pendulum", &[Kind::Agent, Kind::Constant]),
];

/// Time between two steps of a plant, milliseconds, and of the agent's observations and decisions.
const PACE_MS: u64 = 30;

/// Whoever acts has begun after this time, or never will.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What `plants` runs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of plants")]
pub(crate) struct PlantOptions {
    /// Only this one: cstr, four_tank, tclab, pendulum.
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(PLANTS.iter().map(|plant| plant.0)))]
    plant: Option<String>,
    /// Steps of a run; an agent makes 33 a second.
    #[arg(long, value_name = "N", default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(100..=50_000))]
    steps: u64,
    /// Runs of each kind, with the seeds from 1 on.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
}

pub(super) fn run(peers: &[Peer], options: &PlantOptions) -> Result<Vec<Row>, String> {
    let python = with_role(peers, Role::Plants).ok_or("a Python with the plants is needed")?;
    let mut rows = vec![
        Row::exact("steps of a run", options.steps as f64, ""),
        Row::exact("runs of each kind", options.seeds as f64, "").note("figures are medians, lowest and highest"),
        Row::exact("time between two steps of agent and do-mpc", PACE_MS as f64, "ms"),
    ];
    for (plant, kinds) in PLANTS.iter().filter(|plant| options.plant.as_deref().is_none_or(|name| name == plant.0)) {
        for kind in *kinds {
            let (about, runs) = runs(*kind, plant, python, options)?;
            rows.extend(rows_of(&format!("{plant}, {}", kind.name()), *kind, &about, &runs));
        }
    }
    Ok(rows)
}

/// One of the scripts, which is not to leave anything beside itself.
fn python_script(python: &Path, name: &str) -> Command {
    let mut command = Command::new(python);
    command.args(["-W", "ignore"]).arg(Path::new(SCRIPTS).join(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// One run per seed, and what the plant is.
fn runs(
    kind: Kind,
    plant: &str,
    python: &Path,
    options: &PlantOptions,
) -> Result<(Announcement, Vec<Figures>), String> {
    let mut runs = Vec::new();
    let mut about = None;
    for seed in 1..=options.seeds {
        let mut server = Server::start(python, plant, seed, kind.pace_ms())?;
        let mut actor = Actor::start(kind, plant, seed, &server.plant.url, python)?;
        let steps = course(&mut server, &mut actor, options.steps)?;
        let figures = Figures::of(&steps);
        let late = steps.last().map_or(0, |step| step.late);
        eprintln!("{plant}, {}, seed {seed}: reward {:.4}, {late} steps late", kind.name(), figures.reward);
        about = Some(server.plant.clone());
        runs.push(figures);
    }
    about.map(|about| (about, runs)).ok_or_else(|| "there is no seed".to_owned())
}

/// So many steps of the plant; an error when nobody acts on it any more.
fn course(server: &mut Server, actor: &mut Actor, count: u64) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    let mut heard = Instant::now();
    while (steps.len() as u64) < count {
        actor.check()?;
        if let Some(step) = server.step()? {
            steps.push(step);
            heard = Instant::now();
        } else if heard.elapsed() > SILENCE_MAX {
            return Err(format!("nobody has acted on the plant for {SILENCE_MAX:?}"));
        }
    }
    Ok(steps)
}

/// The lines of one kind of runs on one plant.
fn rows_of(who: &str, kind: Kind, about: &Announcement, runs: &[Figures]) -> Vec<Row> {
    let row =
        |what: &str, figure: Estimate, unit: &str| Row::measured(format!("{who}, {what}"), figure, unit.to_owned());
    let mut rows = vec![row("reward of the last quarter", spread(runs, |run| run.reward), "")];
    for (i, tracked) in about.tracked.iter().enumerate() {
        rows.push(row(&format!("{}, RMSE", tracked.output), spread(runs, |run| run.errors[i]), &tracked.unit));
    }
    for (i, input) in about.inputs.iter().enumerate() {
        let what = format!("{}, travel in a step of {}", input.name, about.step);
        rows.push(row(&what, spread(runs, |run| run.travels[i]), &input.unit));
    }
    if kind == Kind::Agent {
        for part in 0..PARTS {
            rows.push(row(&format!("reward, tenth {}", part + 1), spread(runs, |run| run.rewards[part]), ""));
        }
    }
    rows
}

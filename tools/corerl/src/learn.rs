//! `corerl learn`: a policy from what was recorded of a plant, before an agent ever touches it.

use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use chart::{Line, LineChart};
use clap::Args;
use history::{Evaluation, Source, SourceError, Taught, Training, TrainingError, usual_updates};
use indicatif::{ProgressBar, ProgressStyle};
use learner::{Belongs, checkpoint_name};
use policy::file::{self, Origin, Purpose};
use rt_config::Site;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::fresh::FreshFile;
use crate::model::save_policy;
use crate::output::{print_json, print_text, table};

/// Points of a learning curve.
const CURVE_POINTS: u64 = 200;
/// A policy that never ran: a runtime gives it a generation of its own.
const GENERATION: u64 = 1;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  corerl learn --from history.csv --config site.yaml --out policy.safetensors --checkpoint-dir checkpoints\n\nPut `policy_file: policy.safetensors` below `runtime:` of the site file, and `corerl run --config site.yaml` starts with it, in\nSHADOW until somebody arms it. With --checkpoint-dir here and there, its learner goes on from what was learnt; without, it begins from\nnothing and replaces the policy. The end of the history, a fifth by default, does not teach but judges.\n\nExit codes: 2 one of the files is there already, 69 the history cannot be read or teaches nothing, 75 the policy cannot be written, 78 the site file is refused."
)]
pub(crate) struct LearnArguments {
    /// The history: a CSV or Parquet file, or a recording of `corerl run --record`.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The site file of the agent.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where to put the policy.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Updates of the critics; by default five for each observation that teaches, 2,000 to 50,000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    updates: Option<u64>,
    /// The share of the history at its end that judges.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = share)]
    held_out: f64,
    /// Also put a checkpoint here, which `corerl run` with the same --checkpoint-dir goes on from: it remembers the history.
    #[arg(long, value_name = "DIR")]
    checkpoint_dir: Option<PathBuf>,
    /// Also draw the losses over the updates.
    #[arg(long, value_name = "FILE")]
    curves: Option<PathBuf>,
    /// Replace the policy and the curves, if they are there.
    #[arg(long)]
    force: bool,
    /// Threads to learn with; by default one for each CPU.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    if (0.0..=0.9).contains(&share) { Ok(share) } else { Err("0 to 0.9".to_owned()) }
}

impl From<TrainingError> for Failure {
    fn from(error: TrainingError) -> Self {
        let exit = match &error {
            TrainingError::Source(SourceError::Io(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                Exit::NoPermission
            }
            TrainingError::Source(_) | TrainingError::Nothing { .. } => Exit::Unavailable,
            TrainingError::Agent(_) => Exit::Internal,
        };
        Self::new(exit, error)
    }
}

/// What became of it.
#[derive(Debug, Serialize)]
struct Learnt<'a> {
    from: &'a Path,
    policy: &'a Path,
    taught: Taught,
    updates: u64,
    critic_loss: f64,
    evaluation: Option<Evaluation>,
}

pub(crate) fn run(arguments: &LearnArguments) -> Result<Exit, Failure> {
    let site = crate::run::load_site(&arguments.config)?;
    let in_file = |error: TrainingError| Failure::from(error).about(&arguments.from);
    let source = Source::open(&arguments.from).map_err(|error| in_file(error.into()))?;
    let threads = arguments.threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    let training = Training::new(&site, &source, arguments.held_out, threads, || true);
    let mut training = training.map_err(in_file)?;
    let taught = *training.taught();
    let updates = arguments.updates.unwrap_or_else(|| usual_updates(taught.teaching));
    // Whether there is room for all of it is known before anything is learnt.
    let mut files = [Some(&arguments.out), arguments.curves.as_ref()].into_iter().flatten();
    files.try_for_each(|path| FreshFile::can_be(path, arguments.force))?;
    let checkpoint =
        arguments.checkpoint_dir.as_deref().map(|directory| place_of_checkpoint(directory, &site)).transpose()?;
    let losses = learn(&mut training, updates);
    save(&site, &training, updates, &arguments.out)?;
    if let Some(path) = &checkpoint {
        let belongs = Belongs { tag_list_hash: site.tag_list_hash(), generation: GENERATION };
        training.agent().save(path, belongs).map_err(|error| Failure::new(Exit::Temporary, error))?;
    }
    if let Some(path) = &arguments.curves {
        FreshFile::write(path, arguments.force, curves(&losses).as_bytes())?;
    }
    let learnt = Learnt {
        from: &arguments.from,
        policy: &arguments.out,
        taught,
        updates,
        critic_loss: losses.last().map_or(f64::NAN, |last| last.1),
        evaluation: training.evaluate(),
    };
    if arguments.json {
        print_json("corerl.learn/1", &learnt)?
    } else {
        print_text(&text(&site, &learnt))?
    }
    Ok(Exit::Fine)
}

/// The mean loss of each part of the updates, by the update with which it ends.
fn learn(training: &mut Training, updates: u64) -> Vec<(f64, f64)> {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(updates) } else { ProgressBar::hidden() };
    let style = ProgressStyle::with_template("{wide_bar} {human_pos} of {human_len} updates, loss {msg}, {eta} left");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let part = updates.div_ceil(CURVE_POINTS).max(1);
    let (mut losses, mut sum, mut count) = (Vec::new(), 0.0, 0.0);
    for update in 1..=updates {
        (sum, count) = (sum + training.learn(update - 1, updates), count + 1.0);
        bar.inc(1);
        if update.is_multiple_of(part) || update == updates {
            losses.push((update as f64, sum / count));
            bar.set_message(format!("{:.3e}", sum / count));
            (sum, count) = (0.0, 0.0);
        }
    }
    bar.finish_and_clear();
    losses
}

/// Where the learner of this site looks for its checkpoint. One that is there has learnt from the plant itself.
fn place_of_checkpoint(directory: &Path, site: &Site) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(directory)
        .map_err(|error| Failure::io(format_args!("cannot make {}", directory.display()), &error))?;
    let path = directory.join(checkpoint_name(site));
    if path.exists() {
        let message = format!("{} is there already: name another directory, or move it away", path.display());
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(path)
}

fn save(site: &Site, training: &Training, updates: u64, path: &Path) -> Result<(), Failure> {
    let internal = |error: &dyn std::fmt::Display| Failure::new(Exit::Internal, error);
    let parameters = training.agent().published_parameters().map_err(|error| internal(&error))?;
    let origin = Origin {
        created_by: format!("corerl {}, from a history", env!("CARGO_PKG_VERSION")),
        generation: GENERATION,
        updates,
        nominal: false,
    };
    let bytes = file::to_bytes(&Purpose::of(site), &origin, &parameters).map_err(|error| internal(&error))?;
    save_policy(path, &bytes)
}

fn curves(losses: &[(f64, f64)]) -> String {
    let points = losses.iter().map(|(update, loss)| (*update, loss.max(f64::MIN_POSITIVE).log10())).collect();
    let line = Line { name: "critics".to_owned(), class: "c0".to_owned(), points };
    let (x_label, y_label) = ("update".to_owned(), "loss of the critics, powers of ten".to_owned());
    LineChart { x_label, y_label, lines: vec![line], ..LineChart::default() }.file("Learning from a history")
}

fn text(site: &Site, learnt: &Learnt<'_>) -> String {
    let Learnt { policy, taught, updates, critic_loss, evaluation, .. } = learnt;
    let mut rows = vec![
        ["observations".to_owned(), format!("{}, of which {} teach", taught.observations, taught.teaching)],
        ["transitions".to_owned(), taught.transitions.to_string()],
        ["updates".to_owned(), format!("{updates}, loss of the critics {critic_loss:.3e} at the end")],
    ];
    if let Some(found) = evaluation {
        let number = |value: Option<f64>| value.map_or_else(|| "unknown".to_owned(), |value| format!("{value:.4}"));
        rows.push(["judged by".to_owned(), format!("{} observations", found.observations)]);
        rows.push(["mean reward there".to_owned(), number(found.mean_reward)]);
        rows.push(["value of what was done".to_owned(), format!("{:.4}", found.value_taken)]);
        rows.push(["value of the policy".to_owned(), format!("{:.4}", found.value_policy)]);
        rows.push(["value of the nominal setpoints".to_owned(), format!("{:.4}", found.value_nominal)]);
        rows.push(["value and what followed".to_owned(), format!("correlation {}", number(found.return_correlation))]);
        for (setpoint, distance) in site.setpoints.iter().zip(&found.distance) {
            let name = site.tags.get(setpoint.tag.index()).map_or("", |tag| tag.name.as_str());
            rows.push([
                format!("distance of {name} from what was done"),
                format!("{:.1} % of its range", distance * 100.0),
            ]);
        }
    }
    rows.push(["policy".to_owned(), policy.display().to_string()]);
    table(&rows)
}

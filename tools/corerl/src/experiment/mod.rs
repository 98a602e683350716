//! `corerl experiment`: how well agents learn, on simulated environments.

mod files;
mod serve;
mod work;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use bridge::Broken;
use clap::{Args, Subcommand};
use experiment::{Case, CaseError, Comparison, ExperimentError, Report, SCHEMA, Sweep, SweepError, Variation};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};
use work::Seeds;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        corerl experiment run --case saturation --seeds 1..5\n  \
                        corerl experiment cases saturation > mine.yaml\n  \
                        corerl experiment run --case mine.yaml --set agent.gamma=0.9")]
pub(crate) struct ExperimentArguments {
    #[command(subcommand)]
    command: ExperimentCommand,
}

#[derive(Debug, Subcommand)]
enum ExperimentCommand {
    /// Let agents learn on one case.
    #[command(
        after_help = "Example:\n  corerl experiment run --case saturation --steps 600 --seeds 1..5\n\nThe directory of the results holds the case as it was run, a report, and the learning curves as SVG and CSV."
    )]
    Run(RunArguments),
    /// Let agents learn on all cases by which learning is judged.
    #[command(
        after_help = "Examples:\n  corerl experiment suite --seeds 1..5\n  corerl experiment suite --only saturation,stand_still\n\nExit code 1: a case has not reached its reference with one of the seeds."
    )]
    Suite(SuiteArguments),
    /// Say whether the results of one experiment are better than those of another one by more than chance.
    #[command(
        after_help = "Example:\n  corerl experiment compare experiments/saturation-1 experiments/saturation-2\n\nSeeds are paired; the interval is a 95 % bootstrap interval of the mean difference."
    )]
    Compare {
        /// The directory or report of an experiment, or a directory with several.
        one: PathBuf,
        /// What it is compared with.
        other: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Try values of options, and rank them.
    #[command(
        after_help = "Examples:\n  corerl experiment sweep --case saturation --vary agent.gamma=0.9,0.99 --vary agent.critic_lr=1e-4,1e-3\n  corerl experiment sweep --case saturation --vary agent.batch_size=64,128,256 --random 10"
    )]
    Sweep(SweepArguments),
    /// Serve an environment to programs that are no agents of ours, such as those in Python with Gymnasium.
    #[command(
        after_help = "Examples:\n  corerl experiment serve --environment saturation --socket /tmp/saturation\n  corerl experiment serve --case mine.yaml --socket /tmp/mine\n\ntools/gymnasium has a client, and the crate `bridge` the protocol. It serves until it is killed; without --socket it\nserves whoever has started it with a socket as standard input."
    )]
    Serve(serve::ServeArguments),
    /// List the cases, or print one to begin with.
    #[command(after_help = "Example:\n  corerl experiment cases saturation > mine.yaml")]
    Cases {
        /// The case to print.
        name: Option<String>,
    },
}

/// How much is run.
#[derive(Debug, Args)]
struct Extent {
    /// Seeds: the first and the last one, or a list.
    #[arg(long, value_name = "A..B", default_value = "1..5")]
    seeds: Seeds,
    /// Trials at the same time; by default one for each CPU.
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Another value of an option, for all cases.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = variation)]
    set: Vec<Variation>,
    /// Where to put the results; by default a new directory below `experiments`.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// A case file, or the name of a case.
    #[arg(long, value_name = "FILE|NAME")]
    case: String,
    /// Steps, instead of the case's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    steps: Option<u64>,
    #[command(flatten)]
    extent: Extent,
}

#[derive(Debug, Args)]
struct SuiteArguments {
    /// Names of cases, instead of all.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    #[command(flatten)]
    extent: Extent,
}

#[derive(Debug, Args)]
struct SweepArguments {
    /// A case file, or the name of a case.
    #[arg(long, value_name = "FILE|NAME")]
    case: String,
    /// Steps, instead of the case's.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    steps: Option<u64>,
    /// An option and the values to try.
    #[arg(long, value_name = "KEY=VALUE,…", required = true, value_parser = variation)]
    vary: Vec<Variation>,
    /// So many combinations by chance, instead of all.
    #[arg(long, value_name = "N")]
    random: Option<usize>,
    /// What chance begins with.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    random_seed: u64,
    #[command(flatten)]
    extent: Extent,
}

fn variation(text: &str) -> Result<Variation, String> {
    Variation::parse(text).map_err(|error| error.to_string())
}

pub(crate) fn run(arguments: &ExperimentArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        ExperimentCommand::Run(arguments) => one(arguments),
        ExperimentCommand::Suite(arguments) => suite(arguments),
        ExperimentCommand::Compare { one, other, json } => compare(one, other, *json),
        ExperimentCommand::Sweep(arguments) => sweep(arguments),
        ExperimentCommand::Serve(arguments) => serve::run(arguments),
        ExperimentCommand::Cases { name } => cases(name.as_deref()),
    }
}

impl From<CaseError> for Failure {
    fn from(error: CaseError) -> Self {
        let exit = match &error {
            CaseError::Unknown { .. } => Exit::Unavailable,
            CaseError::Read { .. } => Exit::NoPermission,
            CaseError::Form { .. } => Exit::BadConfiguration,
        };
        Self::new(exit, error)
    }
}

impl From<ExperimentError> for Failure {
    fn from(error: ExperimentError) -> Self {
        match error {
            ExperimentError::Case(error) => error.into(),
            ExperimentError::Impossible { .. } => Self::new(Exit::BadConfiguration, error),
            ExperimentError::Broken { ref source, .. } => Self::new(exit_of(source), error),
            ExperimentError::Unbelievable(_) => Self::new(Exit::Internal, error),
        }
    }
}

/// What a caller may do about an environment of another process.
fn exit_of(broken: &Broken) -> Exit {
    match broken {
        Broken::Silent { .. } => Exit::Temporary,
        Broken::Refused(_) => Exit::BadConfiguration,
        _ => Exit::Unavailable,
    }
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Case(error) => error.into(),
            SweepError::Form(_) | SweepError::TooMany(_) => Self::new(Exit::Usage, error),
        }
    }
}

/// The case with other values and steps, as the command line asks for them.
fn prepared(mut case: Case, steps: Option<u64>, extent: &Extent) -> Result<Case, Failure> {
    case.steps = steps.unwrap_or(case.steps);
    if let Some(several) = extent.set.iter().find(|of| of.values.len() > 1) {
        let message = format!("--set {} has several values: use corerl experiment sweep --vary", several.key);
        return Err(Failure::new(Exit::Usage, message));
    }
    let varied = Sweep::new(extent.set.clone()).grid(&case)?;
    Ok(varied.into_iter().next().map_or(case, |(_, case)| case))
}

fn one(arguments: &RunArguments) -> Result<Exit, Failure> {
    let extent = &arguments.extent;
    let case = prepared(Case::load(&arguments.case)?, arguments.steps, extent)?;
    let directory = files::directory(extent.out.as_deref(), &case.name)?;
    let reports = work::run(std::slice::from_ref(&case), &extent.seeds, work::jobs(extent.jobs))?;
    for report in &reports {
        files::keep(&directory, &case, report)?;
        if extent.json {
            print_report(report)?;
        } else {
            print_text(&seeds_text(report))?;
        }
    }
    eprintln!("results: {}", directory.display());
    Ok(Exit::Fine)
}

fn print_report(report: &Report) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(report)
        .map_err(|error| Failure::new(Exit::Internal, format_args!("the report cannot be written: {error}")))?;
    print_text(&(text + "\n"))
}

fn seeds_text(report: &Report) -> String {
    let last = if report.seeds.iter().any(|score| score.mean_last.is_some()) { "judged" } else { "last 100" };
    let mut rows = vec![
        ["seed", last, "variance", "1,000 steps without exploring", "the same, nominal", "updates", "time"]
            .map(str::to_owned),
    ];
    rows.extend(report.seeds.iter().map(|score| {
        [
            score.seed.to_string(),
            format!("{:.4}", score.judged()),
            format!("{:.1e}", score.actor_variance),
            format!("{:.4}", score.deterministic),
            format!("{:.4}", score.nominal),
            score.updates.to_string(),
            format!("{:.1} s", score.wall_s),
        ]
    }));
    let judged = match (report.reference, report.passed) {
        (Some(reference), Some(passed)) => {
            format!("; the reference passes at {reference}: {}", if passed { "passed" } else { "not passed" })
        }
        _ => String::new(),
    };
    let Report { case, steps, median, worst, .. } = report;
    let summary = format!("{case}, {steps} steps: median {median:.4}, worst {worst:.4}{judged}\n");
    table(&rows) + &summary + &returns_text(report)
}

/// What the evaluation's episodes came to, if there were any.
fn returns_text(report: &Report) -> String {
    let mut text = String::new();
    for score in &report.seeds {
        if let (Some(mean), Some(worst)) = (score.return_mean, score.return_worst) {
            text +=
                &format!("seed {}, episodes without exploring: mean return {mean:.2}, worst {worst:.2}\n", score.seed);
        }
    }
    match report.return_reference {
        Some(reference) if report.passed == Some(true) => {
            text + &format!("the mean return passes at {reference}: passed\n")
        }
        Some(reference) => text + &format!("the mean return passes at {reference}: not passed\n"),
        None => text,
    }
}

fn suite(arguments: &SuiteArguments) -> Result<Exit, Failure> {
    let extent = &arguments.extent;
    let names: Vec<&str> = match arguments.only.as_slice() {
        [] => Case::names().collect(),
        only => only.iter().map(String::as_str).collect(),
    };
    let cases = names.iter().map(|name| prepared(Case::named(name)?, None, extent)).collect::<Result<Vec<_>, _>>()?;
    let directory = files::directory(extent.out.as_deref(), "suite")?;
    let reports = work::run(&cases, &extent.seeds, work::jobs(extent.jobs))?;
    for (case, report) in cases.iter().zip(&reports) {
        files::keep(&directory.join(&case.name), case, report)?;
    }
    if extent.json {
        #[derive(Serialize)]
        struct Suite<'a> {
            reports: &'a [Report],
        }
        print_json("corerl.experiment-suite/1", &Suite { reports: &reports })?;
    } else {
        print_text(&suite_text(&cases, &reports))?;
    }
    eprintln!("results: {}", directory.display());
    let passed = reports.iter().all(|report| report.passed != Some(false));
    Ok(if passed { Exit::Fine } else { Exit::CheckFailed })
}

fn suite_text(cases: &[Case], reports: &[Report]) -> String {
    let heads = ["case", "steps", "reference passes at", "it scored", "median", "worst", "variance", "CPU a step", ""];
    let mut rows = vec![heads.map(str::to_owned)];
    for (case, report) in cases.iter().zip(reports) {
        let number = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let variances = report.seeds.iter().map(|score| score.actor_variance);
        let seconds: f64 = report.seeds.iter().map(|score| score.wall_s).sum();
        let steps = report.steps * report.seeds.len() as u64;
        rows.push([
            report.case.clone(),
            report.steps.to_string(),
            number(report.reference),
            number(case.reference.and_then(|reference| reference.scored)),
            format!("{:.4}", report.median),
            format!("{:.4}", report.worst),
            format!("{:.1e}", variances.fold(0.0, f64::max)),
            format!("{:.1} ms", seconds / steps.max(1) as f64 * 1e3),
            match report.passed {
                Some(true) => "passed".to_owned(),
                Some(false) => "NOT PASSED".to_owned(),
                None => String::new(),
            },
        ]);
    }
    table(&rows)
}

fn compare(one: &Path, other: &Path, json: bool) -> Result<Exit, Failure> {
    let (ones, others) = (files::reports(one)?, files::reports(other)?);
    // Two single reports are compared whatever they are called: what is wrong with that is worth saying.
    let single = ones.len() == 1 && others.len() == 1;
    let pairs: Vec<_> = ones
        .iter()
        .filter_map(|one| Some((one, others.iter().find(|other| single || other.case == one.case)?)))
        .collect();
    if pairs.is_empty() {
        return Err(Failure::new(Exit::Usage, "they have no case in common"));
    }
    let compared = pairs.into_iter().map(|(one, other)| Comparison::of(one, other));
    let compared = compared.collect::<Result<Vec<_>, _>>().map_err(|error| Failure::new(Exit::Usage, error))?;
    if json {
        #[derive(Serialize)]
        struct Comparisons<'a> {
            comparisons: &'a [Comparison],
        }
        print_json("corerl.experiment-comparison/1", &Comparisons { comparisons: &compared })?;
    } else {
        let mut rows = vec![["case", "seeds", "difference", "95 % interval", ""].map(str::to_owned)];
        rows.extend(compared.iter().map(comparison_row));
        print_text(&table(&rows))?;
    }
    Ok(Exit::Fine)
}

fn comparison_row(compared: &Comparison) -> [String; 5] {
    let Comparison { case, seeds, difference, interval: [lo, hi], significant } = compared;
    let verdict = match significant {
        true if *difference > 0.0 => "the first one is better",
        true => "the second one is better",
        false => "no significant difference",
    };
    [
        case.clone(),
        seeds.len().to_string(),
        format!("{difference:+.4}"),
        format!("{lo:+.4} to {hi:+.4}"),
        verdict.to_owned(),
    ]
}

fn sweep(arguments: &SweepArguments) -> Result<Exit, Failure> {
    let extent = &arguments.extent;
    let case = prepared(Case::load(&arguments.case)?, arguments.steps, extent)?;
    let sweep = Sweep::new(arguments.vary.clone());
    let varied = match arguments.random {
        None => sweep.grid(&case)?,
        Some(count) => sweep.random(&case, count, arguments.random_seed)?,
    };
    let (names, cases): (Vec<_>, Vec<_>) = varied.into_iter().unzip();
    let directory = files::directory(extent.out.as_deref(), &format!("{}-sweep", case.name))?;
    let reports = work::run(&cases, &extent.seeds, work::jobs(extent.jobs))?;
    for (number, (case, report)) in (1..).zip(cases.iter().zip(&reports)) {
        files::keep(&directory.join(format!("{number:03}")), case, report)?;
    }
    let mut ranked: Vec<Ranked<'_>> = (1..)
        .zip(names.iter().zip(&reports))
        .map(|(number, (options, report))| Ranked { number, options, median: report.median, worst: report.worst })
        .collect();
    ranked.sort_by(|one, other| other.median.total_cmp(&one.median));
    print_ranking(&ranked, extent.json)?;
    eprintln!("results: {}", directory.display());
    Ok(Exit::Fine)
}

/// A combination with its scores.
#[derive(Debug, Serialize)]
struct Ranked<'a> {
    number: usize,
    options: &'a str,
    median: f64,
    worst: f64,
}

fn print_ranking(ranked: &[Ranked<'_>], json: bool) -> Result<(), Failure> {
    if json {
        #[derive(Serialize)]
        struct Ranking<'a> {
            reports: &'static str,
            ranking: &'a [Ranked<'a>],
        }
        return print_json("corerl.experiment-sweep/1", &Ranking { reports: SCHEMA, ranking: ranked });
    }
    let mut rows = vec![["median", "worst", "in", "options"].map(str::to_owned)];
    rows.extend(ranked.iter().map(|of| {
        [format!("{:.4}", of.median), format!("{:.4}", of.worst), format!("{:03}", of.number), of.options.to_owned()]
    }));
    print_text(&table(&rows))
}

fn cases(name: Option<&str>) -> Result<Exit, Failure> {
    if let Some(name) = name {
        // What is not there is said with what there is.
        Case::named(name)?;
        print_text(Case::text(name).unwrap_or_default())?;
        return Ok(Exit::Fine);
    }
    let mut rows = vec![["case", "steps", "what it is about"].map(str::to_owned)];
    for name in Case::names() {
        let case = Case::named(name)?;
        rows.push([name.to_owned(), case.steps.to_string(), case.about]);
    }
    print_text(&table(&rows))?;
    Ok(Exit::Fine)
}

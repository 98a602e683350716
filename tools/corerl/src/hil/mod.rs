//! `corerl hil`: the whole system against a plant, along a timeline of troubles, judged by expectations.

mod many;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use hil::{
    Circumstances, Counts, Patience, Programs, RecordedPlant, Recording, Rig, Scenario, Stop, Summary, Take, Verdict,
};
use indicatif::{ProgressBar, ProgressStyle};
use rt_sys::Lifeline;
use serde_json::json;

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};
use crate::run::{find_program, load_site};
use crate::target::Target;

/// What every JSON of this command says of itself.
const SCHEMA: &str = "corerl.hil/1";
/// Characters of a cell of a table, at most.
const CELL_MAX: usize = 64;
/// The library of this project, from its directory.
const LIBRARY: &str = "tests/hil";

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  corerl hil list tests/hil\n  corerl hil run tests/hil --jobs 3 --junit hil.xml\n  \
                  corerl hil run tests/hil/server_restarts.yaml --out report\n  \
                  corerl hil record --config site.yaml --for 60s --out mine.yaml\n  \
                  corerl hil replay tests/hil/server_restarts.yaml report/server_restarts/take.json"
)]
pub(crate) struct HilArguments {
    #[command(subcommand)]
    command: HilCommand,
}

#[derive(Debug, Subcommand)]
enum HilCommand {
    /// Run scenarios: start plant, runtime and learner, let things happen, and judge what was seen.
    #[command(
        after_help = "Examples:\n  corerl hil run tests/hil --jobs 3\n  corerl hil run mine.yaml --out report --json\n  \
                      corerl hil run pump.yaml --rig tests/hil/rigs/bench.toml\n\n\
                      Exit code 1: something was not as expected. Scenarios for real hardware are skipped unless --rig names it."
    )]
    Run(RunArguments),
    /// List scenarios and the faults that they cover.
    #[command(after_help = "Example:\n  corerl hil list tests/hil")]
    List {
        /// Scenarios, or directories with some [default: tests/hil].
        scenarios: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Watch a running agent for a while, and make a scenario of what was seen.
    #[command(after_help = "Examples:\n  corerl hil record --config site.yaml --for 60s --out mine.yaml\n  \
                      corerl hil record --config site.yaml --out pump.yaml -- ./pump-server --port {port}\n  \
                      corerl hil record --config site.yaml --out bench.yaml --rig tests/hil/rigs/bench.toml\n\n\
                      What people did becomes the timeline, what the agent did becomes expectations. Nothing is changed, and \
                      nothing is started: the agent runs at the plant already. What follows `--` is how the plant's server was \
                      started; `corerl hil run` starts it so again, with a free port in the place of {port}.")]
    Record(RecordArguments),
    /// Judge a take that `hil run --out` has kept against a scenario's expectations once more, without a plant.
    #[command(after_help = "Example:\n  corerl hil replay mine.yaml report/mine/take.json\n\n\
                      Exit code 1: something was not as expected. To run the scenario itself again: `corerl hil run`.")]
    Replay {
        /// The scenario, with its expectations as they are now.
        scenario: PathBuf,
        /// The take.
        take: PathBuf,
        /// Things may come so many times later than the scenario says.
        #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = patience)]
        patience: f64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of scenarios: every key, with its default and what it means.
    #[command(after_help = "Example:\n  corerl hil schema > scenario.schema.json")]
    Schema,
}

#[derive(Debug, Args)]
struct RunArguments {
    /// Scenarios, or directories with some.
    #[arg(required = true)]
    scenarios: Vec<PathBuf>,
    /// Keep a page with plots and the take of each scenario below this directory.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write the results as JUnit's XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Scenarios at the same time; they share CPUs and patience.
    #[arg(long, value_name = "N", default_value_t = NonZeroUsize::MIN)]
    jobs: NonZeroUsize,
    /// Things may come so many times later than the scenarios say.
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0, value_parser = patience)]
    patience: f64,
    /// The real hardware that may be touched.
    #[arg(long, value_name = "RIG.toml")]
    rig: Option<PathBuf>,
    /// Directory of corerl, corerl-rt, corerl-learner, corerl-historian and corerl-plant [default: this program's own, then PATH].
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct RecordArguments {
    #[command(flatten)]
    target: Target,
    /// The site file that the agent runs with.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// For how long, such as 60s; Ctrl-C ends it earlier.
    #[arg(long = "for", value_name = "TIME", default_value = "10s", value_parser = length)]
    length: Duration,
    /// The scenario's file [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The simulated plant that it shall run against, as `corerl-plant --plant` has it [default: the one whose nodes the site has].
    #[arg(long, value_name = "NAME", conflicts_with_all = ["rig", "start"])]
    plant: Option<String>,
    /// The real hardware that it shall run against: the server that the agent is connected with.
    #[arg(long, value_name = "RIG.toml", conflicts_with = "start")]
    rig: Option<PathBuf>,
    /// A line of the plant's standard output that holds this says that it listens [default: its port is asked].
    #[arg(long, value_name = "TEXT", requires = "start")]
    ready: Option<String>,
    /// Where the plant is started [default: the present directory].
    #[arg(long, value_name = "DIR", requires = "start")]
    directory: Option<PathBuf>,
    /// The command that starts the plant's server, any OPC UA server, that it shall run against.
    #[arg(last = true, value_name = "COMMAND")]
    start: Vec<String>,
}

fn patience(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (0.1..=100.0).contains(factor));
    factor.ok_or_else(|| "write a number from 0.1 to 100".to_owned())
}

fn length(text: &str) -> Result<Duration, String> {
    let length = Duration::from_nanos(rt_config::duration(text)?.as_ns());
    let fits = (Duration::from_secs(1)..=Duration::from_secs(600)).contains(&length);
    fits.then_some(length).ok_or_else(|| format!("`{text}` is not from 1s to 600s"))
}

pub(crate) fn run(arguments: &HilArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        HilCommand::Run(arguments) => run_scenarios(arguments),
        HilCommand::List { scenarios, json } => list(scenarios, *json),
        HilCommand::Record(arguments) => record(arguments),
        HilCommand::Replay { scenario, take, patience, json } => replay(scenario, take, *patience, *json),
        HilCommand::Schema => print_text(&format!("{:#}\n", Scenario::schema())).map(|()| Exit::Fine),
    }
}

fn load(paths: &[PathBuf]) -> Result<Vec<Scenario>, Failure> {
    let files = hil::find(paths).map_err(|why| Failure::new(Exit::Unavailable, why))?;
    hil::load_all(&files).map_err(|wrong| {
        eprintln!("{}", wrong.join("\n"));
        let count = wrong.len();
        let them = if count == 1 { "one scenario is".to_owned() } else { format!("{count} scenarios are") };
        Failure::new(Exit::BadConfiguration, format_args!("{them} refused"))
    })
}

fn run_scenarios(arguments: &RunArguments) -> Result<Exit, Failure> {
    // First, while there is only one thread: all others inherit the blocked signals.
    let lifeline = Lifeline::new(false).map_err(|error| Failure::io("cannot watch for signals", &error))?;
    let scenarios = load(&arguments.scenarios)?;
    let rig = arguments.rig.as_deref().map(Rig::load).transpose();
    let with = Circumstances {
        programs: Programs::find(|name| find_program(arguments.programs.as_deref(), name))
            .map_err(|why| Failure::new(Exit::Unavailable, why))?,
        rig: rig.map_err(|why| Failure::new(Exit::BadConfiguration, why))?,
        patience: Patience(arguments.patience),
        stop: Stop::default(),
    };
    if let Some(out) = &arguments.out {
        create(out)?;
    }
    let results = many::run(&scenarios, &with, arguments.jobs.get(), &lifeline);
    let summaries: Vec<_> =
        scenarios.iter().zip(&results).map(|(scenario, result)| Summary::of(scenario, result)).collect();
    if let Some(out) = &arguments.out {
        scenarios.iter().zip(&results).try_for_each(|(scenario, result)| keep(out, scenario, result))?;
    }
    if let Some(file) = &arguments.junit {
        write(file, &hil::junit(&summaries))?;
    }
    if arguments.json {
        print_json(SCHEMA, &hil::json(&summaries))?;
    } else {
        print_text(&told(&summaries))?;
    }
    match summaries.iter().filter(|summary| summary.is_bad()).count() {
        _ if with.stop.is_asked() => Err(Failure::new(Exit::Temporary, "stopped before the end")),
        0 => Ok(Exit::Fine),
        _ => Ok(Exit::CheckFailed),
    }
}

/// A page and the take of one scenario.
fn keep(out: &Path, scenario: &Scenario, result: &hil::Result) -> Result<(), Failure> {
    let directory = out.join(&scenario.name);
    create(&directory)?;
    write(&directory.join("report.html"), &hil::page(scenario, result))?;
    let take = directory.join("take.json");
    result.take.keep(&take).map_err(|error| Failure::io(format_args!("cannot write {}", take.display()), &error))
}

fn create(directory: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(directory)
        .map_err(|error| Failure::io(format_args!("cannot make the directory {}", directory.display()), &error))
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(file, text).map_err(|error| Failure::io(format_args!("cannot write {}", file.display()), &error))
}

/// A table of all verdicts, and how many scenarios came out how.
fn told(summaries: &[Summary]) -> String {
    let mut rows = vec![["scenario", "expectation", "found", "required", "ok"].map(String::from)];
    for summary in summaries {
        let of_verdict = |verdict: &Verdict| row(&summary.scenario, verdict);
        rows.extend(summary.verdicts.iter().map(of_verdict));
        rows.push([&summary.scenario, &summary.outcome.name().to_uppercase(), "", "", ""].map(cell));
    }
    let reasons = summaries.iter().filter_map(|summary| {
        let why = summary.outcome.why()?;
        Some(format!("{} {}: {why}\n", summary.scenario, summary.outcome.name()))
    });
    format!(
        "{}\n{}{} scenarios: {}\n",
        table(&rows),
        reasons.collect::<String>(),
        summaries.len(),
        Counts::of(summaries)
    )
}

fn row(scenario: &str, verdict: &Verdict) -> [String; 5] {
    let ok = if verdict.ok { "ok" } else { "NOT" };
    [scenario, &verdict.expectation, &verdict.found, &verdict.required, ok].map(cell)
}

/// As much of a text as a table can bear: its first line, cut where that is long. JSON, JUnit and the page have all of it.
fn cell(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= CELL_MAX && line.len() == text.len() {
        return line.to_owned();
    }
    line.chars().take(CELL_MAX - 1).chain(['…']).collect()
}

fn list(paths: &[PathBuf], json: bool) -> Result<Exit, Failure> {
    let library = [PathBuf::from(LIBRARY)];
    let scenarios = load(if paths.is_empty() { &library } else { paths })?;
    if json {
        let entries: Vec<_> = scenarios
            .iter()
            .map(|scenario| {
                let (name, about, faults) = (&scenario.name, &scenario.about, &scenario.faults);
                let (file, duration_s) = (scenario.file.display().to_string(), scenario.duration.as_secs_f64());
                json!({ "scenario": name, "about": about, "faults": faults, "file": file, "duration_s": duration_s })
            })
            .collect();
        print_json(SCHEMA, &json!({ "scenarios": entries }))?;
        return Ok(Exit::Fine);
    }
    let mut rows = vec![["scenario", "faults", "lasts", "about"].map(String::from)];
    rows.extend(scenarios.into_iter().map(|scenario| {
        let lasts = format!("{} s", scenario.duration.as_secs_f64());
        [scenario.name, scenario.faults.join(" "), lasts, scenario.about]
    }));
    print_text(&table(&rows))?;
    Ok(Exit::Fine)
}

fn replay(scenario: &Path, take: &Path, patience: f64, json: bool) -> Result<Exit, Failure> {
    let scenario = load(&[scenario.to_owned()])?.remove(0);
    let take = Take::read(take).map_err(|why| Failure::new(Exit::BadConfiguration, why))?;
    take.check_that_it_is_of(&scenario).map_err(|why| Failure::new(Exit::BadConfiguration, why))?;
    let verdicts = hil::judge(&scenario, &take, Patience(patience));
    let failed = verdicts.iter().any(|verdict| !verdict.ok);
    if json {
        let outcome = if failed { "failed" } else { "passed" };
        print_json(SCHEMA, &json!({ "scenario": scenario.name, "outcome": outcome, "verdicts": verdicts }))?;
    } else {
        let heading = ["scenario", "expectation", "found", "required", "ok"].map(String::from);
        let rows = verdicts.iter().map(|verdict| row(&scenario.name, verdict));
        print_text(&table(&std::iter::once(heading).chain(rows).collect::<Vec<_>>()))?;
    }
    Ok(if failed { Exit::CheckFailed } else { Exit::Fine })
}

fn record(arguments: &RecordArguments) -> Result<Exit, Failure> {
    let lifeline = Lifeline::new(false).map_err(|error| Failure::io("cannot watch for signals", &error))?;
    let site = load_site(&arguments.config)?;
    let (address, client) = arguments.target.connect()?;
    drop(client);
    let plant = recorded_plant(arguments, &site)?;
    let site_file = arguments.config.canonicalize().unwrap_or_else(|_| arguments.config.clone());
    let recording = Recording::new(&site, &site_file, &plant).map_err(|refused| {
        eprintln!("{refused}");
        Failure::new(Exit::BadConfiguration, "no scenario can be made of this site and plant")
    })?;
    let stop = Stop::default();
    let bar = ProgressBar::new(100).with_style(
        ProgressStyle::with_template("{wide_bar} {percent} %, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let recorded = hil::record(address, &recording, arguments.length, &stop, |share| {
        bar.set_position((share * 100.0) as u64);
        if lifeline.wait(Duration::ZERO).asks_to_stop() {
            stop.ask();
        }
    });
    bar.finish_and_clear();
    let recorded = recorded.map_err(|why| Failure::new(Exit::Unavailable, why))?;
    match &arguments.out {
        Some(file) => {
            write(file, &recorded.text)?;
            eprintln!("{}: {} cycles seen; run it with `corerl hil run`", file.display(), recorded.take.cycle_count());
        }
        None => print_text(&recorded.text)?,
    }
    Ok(Exit::Fine)
}

/// What the scenario shall run against.
fn recorded_plant(arguments: &RecordArguments, site: &rt_config::Site) -> Result<RecordedPlant, Failure> {
    if let Some(file) = &arguments.rig {
        let rig = Rig::read(file).map_err(|why| Failure::new(Exit::BadConfiguration, why))?;
        let url = site.connections.first().map_or("", |connection| connection.url.as_str());
        if rig.endpoint.trim_end_matches('/') != url.trim_end_matches('/') {
            eprintln!(
                "warning: the rig `{}` is at {}, and the site's server at {url}: see that they are the same",
                rig.name, rig.endpoint
            );
        }
        return Ok(RecordedPlant::Existing { rig });
    }
    let (start, ready) = (arguments.start.clone(), arguments.ready.clone());
    if start.is_empty() {
        let named = arguments.plant.as_ref().map(|name| RecordedPlant::Simulated { name: name.clone() });
        return named.or_else(|| RecordedPlant::simulated_for(site)).ok_or_else(|| {
            let message = "the site has no nodes of a simulated plant: say behind `--` how its server is started, or name its rig \
                           with --rig";
            Failure::new(Exit::Usage, message)
        });
    }
    let directory = arguments.directory.clone().unwrap_or_else(|| PathBuf::from("."));
    let directory = directory
        .canonicalize()
        .map_err(|error| Failure::io(format_args!("cannot use the directory {}", directory.display()), &error))?;
    Ok(RecordedPlant::External { start, ready, directory })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_the_first_line_of_a_text_and_says_that_there_is_more() {
        assert_eq!(cell("within 5 s"), "within 5 s");
        assert_eq!(cell("refused: site.yaml\n  ^"), "refused: site.yaml…");
        assert_eq!(cell(&"ö".repeat(CELL_MAX)).chars().count(), CELL_MAX);
        let cut = cell(&"ö".repeat(CELL_MAX + 1));
        assert!(cut.chars().count() == CELL_MAX && cut.ends_with('…'));
    }
}

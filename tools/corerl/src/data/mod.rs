//! `corerl data`: what was recorded of a plant, before anybody learns from it, and what the historian has kept.

mod ending;
mod import;
mod page;
mod past;
mod tags;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use history::{Correlation, GoalFacts, NarrowFacts, Source, Table, TagFacts, correlations};
use rt_config::Site;
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::fresh::FreshFile;
use crate::output::{print_json, print_text, table};

pub(crate) use tags::{TagsArguments, draft_tags};

/// Correlations that are told; all of them are in the page.
const CORRELATIONS_TOLD: usize = 10;

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  corerl data query PH --from -15m\n  corerl data at \"yesterday 14:05\"\n  corerl data report --from history.csv --config site.yaml --out report.html"
)]
pub(crate) struct DataArguments {
    #[command(subcommand)]
    command: DataCommand,
}

#[derive(Debug, Subcommand)]
enum DataCommand {
    /// Say what is in a history: ranges, gaps, correlations, what of it an agent sees, and how the site's goals were met.
    #[command(
        after_help = "Example:\n  corerl data report --from history.csv --config site.yaml --out report.html\n\nThe first line of a CSV file names the columns: first the time, then tags by the names of the site file. An empty cell says\nnothing: the value before it holds for as long as the tag's `stale_after`. A Parquet file has the same columns, the time wherever it\nlikes; null is an empty cell; its compression is snappy, gzip, LZ4 or none. Without --config nothing is said of goals, nor of what an agent sees.\n\nExit codes: 69 the history cannot be read, 78 the site file is refused."
    )]
    Report(ReportArguments),
    /// Print what was kept of tags, setpoints, rewards and modes between two times.
    Query(past::query::QueryArguments),
    /// Tell how it was at one time, what the agent did, and why.
    At(past::moment::AtArguments),
    /// List what happened between two times.
    Events(past::events::EventsArguments),
    /// List what is kept, and how it was last.
    Tags(past::inventory::TagsKeptArguments),
    /// List what is missing, and why.
    Gaps(past::gaps::GapsArguments),
    /// Draw what was kept, in the terminal or into an SVG file.
    Plot(past::plot::PlotArguments),
    /// Write what was kept as a table with a column for each tag, to learn from or for a spreadsheet.
    Export(past::export::ExportKeptArguments),
    /// Bring in old records of the plant: an export of another historian, or of CoreRL's old sensor database.
    Import(import::ImportArguments),
    /// Tell how the running historian is, and what it has kept since its start.
    Status(past::status::StatusArguments),
    /// Check whether what is kept is what was written.
    Verify(past::verify::VerifyArguments),
}

#[derive(Debug, Args)]
struct ReportArguments {
    /// The history: a CSV or Parquet file, or a historian's directory with one agent.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The site file: its goals and ranges.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Also write one page with plots, to be mailed.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the page, if it is there.
    #[arg(long, requires = "out")]
    force: bool,
    #[command(flatten)]
    zone: past::time::ZoneArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Everything that is said of a history.
#[derive(Debug, Serialize)]
struct Report {
    file: String,
    rows: usize,
    hours: f64,
    seconds_between_rows: f64,
    rows_replaced: u64,
    tags: Vec<TagFacts>,
    /// Tags that the agent hardly sees; empty without a site.
    narrow: Vec<NarrowFacts>,
    correlations: Vec<Correlation>,
    goals: Option<GoalFacts>,
}

pub(crate) fn run(arguments: &DataArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        DataCommand::Report(arguments) => report(arguments),
        DataCommand::Query(arguments) => past::query::run(arguments),
        DataCommand::At(arguments) => past::moment::run(arguments),
        DataCommand::Events(arguments) => past::events::run(arguments),
        DataCommand::Tags(arguments) => past::inventory::run(arguments),
        DataCommand::Gaps(arguments) => past::gaps::run(arguments),
        DataCommand::Plot(arguments) => past::plot::run(arguments),
        DataCommand::Export(arguments) => past::export::run(arguments),
        DataCommand::Import(arguments) => import::run(arguments),
        DataCommand::Status(arguments) => past::status::run(arguments),
        DataCommand::Verify(arguments) => past::verify::run(arguments),
    }
}

/// Reads a history.
pub(crate) fn read(path: &Path) -> Result<Table, Failure> {
    if path.is_dir() {
        return past::export::everything(path, None).map(|(_, table)| table);
    }
    Table::read(path).map_err(|refused| Failure::new(Exit::Unavailable, format!("{}: {refused}", path.display())))
}

/// What a history is of, and its rows: a table's own, or what was kept at the site's pace.
fn rows<'a>(source: &'a Source, from: &Path, site: Option<&Site>) -> Result<(String, Cow<'a, Table>), Failure> {
    match source {
        Source::Table(table) => Ok((from.display().to_string(), Cow::Borrowed(table))),
        Source::Archive(directory) => {
            let (agent, table) = past::export::everything(directory, site)?;
            Ok((agent, Cow::Owned(table)))
        }
        Source::Recording(_) => {
            let message = "it is a recording: `corerl report` says what happened in it";
            Err(Failure::new(Exit::Usage, message).about(from))
        }
    }
}

fn report(arguments: &ReportArguments) -> Result<Exit, Failure> {
    let zone = arguments.zone.zone()?;
    let endings = [("html", ()), ("htm", ())];
    arguments.out.as_deref().map(|path| ending::format(path, None, &endings)).transpose()?;
    let site = arguments.config.as_deref().map(crate::run::load_site).transpose()?;
    let unfit = |error| Failure::new(Exit::Unavailable, error).about(&arguments.from);
    let source = Source::open(&arguments.from).map_err(unfit)?;
    let (name, table) = rows(&source, &arguments.from, site.as_ref())?;
    let mut rewards = Vec::new();
    let mut take = |at_ns, reward| rewards.push((at_ns, reward));
    let goals = site.as_ref().map(|site| GoalFacts::of(site, &source, &table, &mut take)).transpose().map_err(unfit)?;
    let ends = [table.times_ns.first(), table.times_ns.last()].map(|time| time.copied().unwrap_or(0));
    let tags: Vec<_> = table.columns.iter().map(|column| TagFacts::of(&table, column)).collect();
    let report = Report {
        file: arguments.from.display().to_string(),
        rows: table.times_ns.len(),
        hours: (ends[1] - ends[0]) as f64 / 3.6e12,
        seconds_between_rows: table.pace_ns().unwrap_or(0) as f64 / 1e9,
        rows_replaced: table.replaced,
        narrow: site.as_ref().map(|site| NarrowFacts::of(site, &tags)).unwrap_or_default(),
        tags,
        correlations: correlations(&table),
        goals,
    };
    if let Some(out) = &arguments.out {
        let text = page::page(&report, &name, &table, &rewards, &zone);
        FreshFile::write(out, arguments.force, text.as_bytes())?;
        eprintln!("page: {}", out.display());
    }
    if arguments.json {
        print_json("corerl.data-report/1", &report)?;
    } else {
        print_text(&text(&report))?;
    }
    Ok(Exit::Fine)
}

fn text(report: &Report) -> String {
    let Report { rows, hours, seconds_between_rows, rows_replaced, .. } = report;
    let mut text = format!("{rows} rows over {hours:.1} h, usually {seconds_between_rows} s apart");
    if *rows_replaced > 0 {
        text += &format!("; {rows_replaced} rows had the time of the row after them, which counts");
    }
    text += "\n\n";
    let mut lines = vec![HEADS.map(str::to_owned)];
    lines.extend(report.tags.iter().map(|facts| tag_cells(facts, *rows)));
    text += &table(&lines);
    if !report.narrow.is_empty() {
        text += &format!("\n{NARROW}\n");
        text += &table(&report.narrow.iter().map(narrow_cells).collect::<Vec<_>>());
    }
    text += "\nstrongest correlations\n";
    let mut lines = vec![["", "", "coefficient", "after rows"].map(str::to_owned)];
    lines.extend(report.correlations.iter().take(CORRELATIONS_TOLD).map(correlation_cells));
    text += &table(&lines);
    if let Some(goals) = &report.goals {
        text += "\n";
        text += &table(&goal_cells(goals));
    }
    text
}

const HEADS: [&str; 8] = ["tag", "values", "lowest", "1 %", "mean", "99 %", "highest", "longest gap"];

/// What is said above tags that hardly move in their range.
const NARROW: &str =
    "hardly seen by an agent: an `expected_range` shows how they move (`corerl config tags` drafts it)";

fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

fn tag_cells(facts: &TagFacts, rows: usize) -> [String; 8] {
    let share = facts.values as f64 / rows.max(1) as f64 * 100.0;
    let mark = if facts.constant { " (never changes)" } else { "" };
    [
        format!("{}{mark}", facts.name),
        format!("{share:.1} %"),
        number(facts.min),
        number(facts.low),
        number(facts.mean),
        number(facts.high),
        number(facts.max),
        format!("{:.0} s", facts.longest_gap_s),
    ]
}

fn narrow_cells(narrow: &NarrowFacts) -> [String; 2] {
    let NarrowFacts { tag, range: [lo, hi], used } = narrow;
    [tag.clone(), format!("moves within {:.1} % of its range, {lo} to {hi}", used * 100.0)]
}

fn correlation_cells(found: &Correlation) -> [String; 4] {
    [found.one.clone(), found.other.clone(), format!("{:+.3}", found.coefficient), found.lag_rows.to_string()]
}

fn goal_cells(goals: &GoalFacts) -> Vec<[String; 2]> {
    let share = |count: u64| format!("{:.1} %", count as f64 / goals.observations.max(1) as f64 * 100.0);
    let mut rows = vec![
        ["observations".to_owned(), goals.observations.to_string()],
        ["with a complete state".to_owned(), share(goals.complete)],
        ["with a reward".to_owned(), share(goals.rewarded)],
        ["mean reward".to_owned(), number(goals.mean_reward)],
        ["worst reward".to_owned(), number(goals.worst_reward)],
        ["setpoints moved".to_owned(), share(goals.moves)],
    ];
    let percent = |share: f64| format!("{:.2} %", share * 100.0);
    rows.extend(goals.zones.iter().map(|zone| {
        let parts =
            [("operating range", zone.out_of_operating), ("red bounds", zone.red), ("yellow bounds", zone.yellow)];
        let parts: Vec<_> = parts.iter().filter(|(_, share)| *share > 0.0).collect();
        let parts: Vec<_> = parts.iter().map(|(of, share)| format!("{} out of its {of}", percent(*share))).collect();
        [zone.tag.clone(), parts.join(", ")]
    }));
    rows
}

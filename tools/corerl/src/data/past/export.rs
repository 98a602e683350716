//! `corerl data export`: what was kept, as a table.

use std::fmt::Display;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use archive::RunInfo;
use clap::{Args, ValueEnum};
use history::{Cell, Rows, Table, Wanted};
use indicatif::{ProgressBar, ProgressStyle};
use recall::Past;
use rt_config::Site;
use tables::{Coding, Column, Kind, ParquetFile, Rows as _, Value};

use super::Where;
use super::series::Series;
use super::sheet::column;
use super::time::{TIMES, Window, Zone, span_ns};
use crate::data::ending;
use crate::failure::{Exit, Failure};
use crate::fresh::FreshFile;

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  corerl data export --from -1d --out day.csv\n  \
    corerl data export PH FEED_SP.sent --every 1m --from 2026-03-01 --to 2026-04-01 --out march.parquet\n\n\
    A row every so often, with the value that holds then; a cell is empty where nothing is kept, and NaN where there was no good value. \
    In Parquet both are null, and each column has its unit as metadata of its field. \
    `corerl data report` and `corerl learn` read such files.\n\n{TIMES}"))]
pub(crate) struct ExportKeptArguments {
    /// Columns, as `corerl data tags` lists them [default: all tags].
    #[arg(value_name = "TAG")]
    tags: Vec<String>,
    #[command(flatten)]
    of: Where,
    #[command(flatten)]
    window: Window,
    /// From row to row.
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = span_ns)]
    every: u64,
    /// The file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How it is written [default: what the file's name ends with].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Replace the file, if it is there, and write it however many rows it has.
    #[arg(long)]
    force: bool,
}

/// More rows are written only if somebody insists: they fill a disk before anybody notices.
const ROWS_UNASKED: u64 = 20_000_000;

/// How a table is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// Comma-separated values.
    Csv,
    /// Columns with their units.
    Parquet,
}

pub(crate) fn run(arguments: &ExportKeptArguments) -> Result<Exit, Failure> {
    let (from, to, zone) = arguments.window.read()?;
    let endings = [("csv", Format::Csv), ("parquet", Format::Parquet)];
    let format = ending::format(&arguments.out, arguments.format, &endings)?;
    let past = arguments.of.open()?;
    let all = Series::all(&*past, &arguments.of)?;
    let agent = the_agent(&all)?;
    // Names that nothing has are refused before anything is written.
    Series::named(&*past, &arguments.of, &arguments.tags)?;
    let (from, to) = kept(&*past, &agent, (from, to), arguments.every)?;
    let count = to.checked_sub(from).map_or(0, |width| width / arguments.every + 1);
    if count > ROWS_UNASKED && !arguments.force {
        let message = format!(
            "that would be {count} rows: give a longer --every or a later --from, or --force if it shall be so many"
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let wanted = Wanted { agent: &agent, times_ns: (from, to), every_ns: arguments.every, columns: &arguments.tags };
    let rows = Rows::begin(&*past, &wanted)?;
    let fresh = FreshFile::begin(&arguments.out, arguments.force)?;
    let sheet = match format {
        Format::Csv => Sheet::csv(fresh.file()?, rows.names())?,
        Format::Parquet => Sheet::parquet(fresh.file()?, rows.names(), &agent, &all)?,
    };
    let rows = write(rows, sheet, &bar(count), &zone)?;
    fresh.keep()?;
    eprintln!("{}: {rows} rows", arguments.out.display());
    Ok(Exit::Fine)
}

/// The part of a window, row by row from its beginning, in which anything of an agent is kept.
fn kept(past: &dyn Past, agent: &str, (from, to): (u64, u64), every_ns: u64) -> Result<(u64, u64), Failure> {
    let is_inside = |(begin, end): (u64, u64)| begin <= to && end >= from;
    let runs = past.runs()?;
    let inside = runs.iter().filter(|run| run.agent == agent && run.times_ns.is_some_and(is_inside));
    let Some((begin, end)) = RunInfo::times_of(inside) else { return Ok((from.max(1), 0)) };
    let before = begin.saturating_sub(from).div_ceil(every_ns);
    Ok((from + before * every_ns, to.min(end)))
}

/// Rows of a table of everything at most, if nobody says how many.
const ROWS_MAX: u64 = 100_000;

/// All tags of an agent in a historian's directory, the site's or the only one there is: a row for each of the site's
/// observations, or one a second; fewer if that were too many.
pub(in crate::data) fn everything(history: &Path, site: Option<&Site>) -> Result<(String, Table), Failure> {
    let agent = site.map(|site| archive::label(&site.name, &site.agent_name, &site.instance));
    let of = Where::directory(history, agent);
    let past = of.open()?;
    let agent = the_agent(&Series::all(&*past, &of)?)?;
    let runs = past.runs()?;
    let times_ns = RunInfo::times_of(runs.iter().filter(|run| run.agent == agent)).unwrap_or_default();
    let step_ns = site.map_or(1_000_000_000, |site| site.interaction.obs_period.as_ns());
    let every_ns = (times_ns.1.saturating_sub(times_ns.0) / ROWS_MAX).max(step_ns);
    let table = Rows::begin(&*past, &Wanted { agent: &agent, times_ns, every_ns, columns: &[] })?.rest()?;
    Ok((agent, table))
}

/// A table is of one agent.
fn the_agent(all: &[Series]) -> Result<String, Failure> {
    let mut agents: Vec<_> = all.iter().map(|series| series.agent.as_str()).collect();
    agents.sort_unstable();
    agents.dedup();
    match agents[..] {
        [agent] => Ok(agent.to_owned()),
        _ => Err(Failure::new(
            Exit::Usage,
            format!("there are several agents: give --agent with one of {}", agents.join(", ")),
        )),
    }
}

fn bar(rows: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos} of {len} rows, {eta} left");
    ProgressBar::new(rows).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// A file that is being written.
enum Sheet {
    Csv(Box<csv::Writer<BufWriter<File>>>),
    Parquet(Box<ParquetFile>),
}

fn unwritten(error: impl Display) -> Failure {
    Failure::new(Exit::Internal, format!("the table cannot be written: {error}"))
}

impl Sheet {
    fn csv<'a>(file: File, names: impl Iterator<Item = &'a str>) -> Result<Self, Failure> {
        let mut writer = csv::Writer::from_writer(BufWriter::new(file));
        writer.write_record(["time"].into_iter().chain(names)).map_err(unwritten)?;
        Ok(Self::Csv(Box::new(writer)))
    }

    fn parquet<'a>(
        file: File,
        names: impl Iterator<Item = &'a str>,
        agent: &str,
        all: &[Series],
    ) -> Result<Self, Failure> {
        let columns: Vec<Column> = std::iter::once(column("time", Kind::Time, "", "when it was so, UTC"))
            .chain(names.map(|name| {
                let unit = all.iter().find(|series| series.address == name).map_or("", |series| &series.unit);
                column(name, Kind::Number, unit, "the value that holds then")
            }))
            .collect();
        let about = [("corerl.agent", agent.to_owned())];
        let written = ParquetFile::begin(file, &columns, &about, Coding::Common).map_err(unwritten)?;
        Ok(Self::Parquet(Box::new(written)))
    }

    fn row(&mut self, unix_ns: u64, cells: impl Iterator<Item = Cell>, zone: &Zone) -> Result<(), Failure> {
        match self {
            Self::Csv(writer) => {
                writer.write_record([zone.tell(unix_ns)].into_iter().chain(cells.map(cell))).map_err(unwritten)
            }
            Self::Parquet(written) => {
                let numbers = cells.map(|cell| Value::Number(cell.value().unwrap_or(f64::NAN)));
                let values: Vec<_> = std::iter::once(Value::Time(unix_ns)).chain(numbers).collect();
                written.row(&values).map_err(unwritten)
            }
        }
    }

    fn end(self) -> Result<(), Failure> {
        match self {
            Self::Csv(mut writer) => writer.flush().map_err(unwritten),
            Self::Parquet(written) => written.close().map(|_| ()).map_err(unwritten),
        }
    }
}

fn write(mut rows: Rows<'_>, mut sheet: Sheet, bar: &ProgressBar, zone: &Zone) -> Result<u64, Failure> {
    let mut count = 0;
    while let Some(part) = rows.more()? {
        for (row, time_ns) in part.times_ns.iter().enumerate() {
            sheet.row(time_ns.cast_unsigned(), part.columns.iter().map(|column| column.cell(row)), zone)?;
            count += 1;
        }
        bar.set_position(count);
    }
    bar.finish_and_clear();
    sheet.end()?;
    Ok(count)
}

fn cell(cell: Cell) -> String {
    match cell {
        Cell::Nothing => String::new(),
        Cell::Bad => "NaN".to_owned(),
        // With as many digits as it takes to read the very same number again.
        Cell::Value(value) => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use archive::{Commit, Point, Reader, Run, Store, TrackName};
    use clap::Parser as _;
    use history::{GoalFacts, Source};

    use super::*;

    const BEGIN_NS: u64 = 1_764_165_600_000_000_000;
    const CYCLES: u64 = 30;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        asked: ExportKeptArguments,
    }

    fn site() -> Site {
        rt_config::parse(rt_config::example(), Path::new("example.yaml")).unwrap().site
    }

    /// All tags of the site that are read, kept in each of some cycles.
    fn kept_of(site: &Site, directory: &Path) {
        let mut store = Store::open(directory).unwrap();
        let (name, agent, instance) = (site.name.clone(), site.agent_name.clone(), site.instance.clone());
        let period_ns = site.interaction.obs_period.as_ns();
        let run = Run { site: name, agent, instance, number: 1, period_ns };
        let run = store.run(&run).unwrap().run;
        let read = site.tags.iter().filter(|tag| tag.source.is_some());
        let names: Vec<_> = read
            .map(|tag| TrackName { kind: archive::TrackKind::Tag, name: tag.name.clone(), unit: String::new() })
            .collect();
        let tracks = store.tracks(run, &names).unwrap();
        let point = |cycle| Point::new(cycle, cycle as f64, 0);
        let points = (0..CYCLES).flat_map(|cycle| tracks.iter().map(move |track| (*track, point(cycle)))).collect();
        let commit = Commit {
            points,
            events: Vec::new(),
            gaps: Vec::new(),
            clock: Some((0, BEGIN_NS)),
            last_cycle: Some(CYCLES - 1),
            cycle_records: 0..CYCLES,
            events_read: 0..0,
        };
        store.commit(run, &commit).unwrap();
    }

    #[test]
    fn what_was_kept_of_a_site_is_read_and_judged_at_its_own_pace() {
        let (site, directory) = (site(), tempfile::tempdir().unwrap());
        kept_of(&site, directory.path());
        let (agent, table) = everything(directory.path(), Some(&site)).unwrap();
        assert!(agent.ends_with(&site.agent_name), "{agent}");
        let period_ns = site.interaction.obs_period.as_ns();
        assert_eq!(table.pace_ns(), Some(period_ns.cast_signed()));
        assert_eq!(table.times_ns.len() as u64, CYCLES);
        let source = Source::open(directory.path()).unwrap();
        let goals = GoalFacts::of(&site, &source, &table, |_, _| {}).unwrap();
        assert_eq!(goals.observations, CYCLES);
        let other = Site { agent_name: "another".into(), ..site };
        assert_eq!(everything(directory.path(), Some(&other)).unwrap_err().exit(), Exit::Usage);
    }

    #[test]
    fn rows_begin_and_end_with_what_is_kept_and_stay_on_their_grid() {
        let (site, directory) = (site(), tempfile::tempdir().unwrap());
        kept_of(&site, directory.path());
        let past = Reader::open(directory.path()).unwrap();
        let agent = archive::label(&site.name, &site.agent_name, &site.instance);
        let end = BEGIN_NS + (CYCLES - 1) * site.interaction.obs_period.as_ns();
        let of = |window, every_ns| kept(&past, &agent, window, every_ns).unwrap();
        assert_eq!(of((0, u64::MAX), 1), (BEGIN_NS, end));
        assert_eq!(of((BEGIN_NS - 25, u64::MAX), 10), (BEGIN_NS + 5, end));
        assert_eq!(of((BEGIN_NS + 3, end - 3), 10), (BEGIN_NS + 3, end - 3));
        let (from, to) = of((0, 1_000), 1);
        assert!(from > to, "nothing is kept there");
    }

    #[test]
    fn more_rows_than_anybody_means_are_refused_before_there_is_a_file() {
        let (site, directory) = (site(), tempfile::tempdir().unwrap());
        kept_of(&site, directory.path());
        let [history, out] = ["", "out.csv"].map(|name| directory.path().join(name));
        let words = ["export", "--from", "2020-01-01", "--every", "10ns", "--history"].map(std::ffi::OsString::from);
        let Line { asked } =
            Line::parse_from(words.into_iter().chain([history.into(), "--out".into(), out.clone().into()]));
        let refused = run(&asked).unwrap_err();
        assert!(refused.exit() == Exit::Usage && refused.to_string().contains("a longer --every"), "{refused}");
        assert!(!out.exists());
    }
}

//! `corerl data export`: what was kept, as a table.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use history::{Cell, Rows, Table, Wanted};
use indicatif::{ProgressBar, ProgressStyle};

use super::Where;
use super::series::Series;
use super::time::{TIMES, Window, Zone, span_ns};
use crate::failure::{Exit, Failure};
use crate::fresh::FreshFile;

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  corerl data export --from -1d --out day.csv\n  \
    corerl data export PH FEED_SP.sent --every 1m --from 2026-03-01 --to 2026-04-01 --out march.csv\n\n\
    A row every so often, with the value that holds then; a cell is empty where nothing is kept, and NaN where there was no good value. \
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
    #[arg(long, value_name = "FILE.csv")]
    out: PathBuf,
    /// Replace the file, if it is there.
    #[arg(long)]
    force: bool,
}

pub(crate) fn run(arguments: &ExportKeptArguments) -> Result<Exit, Failure> {
    let (from, to, zone) = arguments.window.read()?;
    let past = arguments.of.open()?;
    let agent = the_agent(&Series::all(&*past, &arguments.of)?)?;
    // Names that nothing has are refused before anything is written.
    Series::named(&*past, &arguments.of, &arguments.tags)?;
    let wanted = Wanted { agent: &agent, times_ns: (from, to), every_ns: arguments.every, columns: &arguments.tags };
    let fresh = FreshFile::begin(&arguments.out, arguments.force)?;
    let written = write(Rows::begin(&*past, &wanted)?, fresh.file()?, &bar((to - from) / arguments.every + 1), &zone);
    let rows = written?;
    fresh.keep()?;
    eprintln!("{}: {rows} rows", arguments.out.display());
    Ok(Exit::Fine)
}

/// Rows of a table of everything at most, if nobody says how many.
const ROWS_MAX: u64 = 100_000;

/// All tags of the only agent of a historian's directory: a row a second, or fewer if that were too many.
pub(in crate::data) fn everything(history: &Path) -> Result<Table, Failure> {
    let of = Where::directory(history);
    let past = of.open()?;
    let agent = the_agent(&Series::all(&*past, &of)?)?;
    let times = past.runs()?.into_iter().filter_map(|run| run.times_ns);
    let times_ns = times.reduce(|(from, to), (begin, end)| (from.min(begin), to.max(end))).unwrap_or_default();
    let every_ns = (times_ns.1.saturating_sub(times_ns.0) / ROWS_MAX).max(1_000_000_000);
    Ok(Rows::begin(&*past, &Wanted { agent: &agent, times_ns, every_ns, columns: &[] })?.rest()?)
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

fn write(mut rows: Rows<'_>, file: std::fs::File, bar: &ProgressBar, zone: &Zone) -> Result<u64, Failure> {
    let failed = |error: csv::Error| Failure::new(Exit::Internal, format!("the table cannot be written: {error}"));
    let mut writer = csv::Writer::from_writer(std::io::BufWriter::new(file));
    writer.write_record(["time"].into_iter().chain(rows.names())).map_err(failed)?;
    let mut count = 0;
    while let Some(part) = rows.more()? {
        for (row, time_ns) in part.times_ns.iter().enumerate() {
            let cells = part.columns.iter().map(|column| cell(column.cell(row)));
            writer.write_record([zone.tell(time_ns.cast_unsigned())].into_iter().chain(cells)).map_err(failed)?;
            count += 1;
        }
        bar.set_position(count);
    }
    bar.finish_and_clear();
    writer.flush().and_then(|()| writer.get_ref().get_ref().flush()).map_err(|error| failed(error.into()))?;
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

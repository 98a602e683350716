//! `corerl export`: recordings in formats that other programs open.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use footage::export::{Bound, Contents, ExportError, Exported, Format, Pick, Selection, export};
use footage::{Footage, FootageRefused, Moment};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::fresh::FreshFile;
use crate::output::{print_json, print_text};
use crate::reading::Progress;

/// A cycle instead of a time.
const CYCLE: &str = "cycle:";

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        corerl export site.rec --to mcap                       site.rec.mcap, for Foxglove and PlotJuggler\n  \
                        corerl export flight.cap --to parquet --out run.parquet\n  \
                        corerl export site.rec --to csv --from 10 --until 20 --every 100\n  \
                        corerl export site.rec --to csv --events               what happened, instead of the cycles\n\n\
                        Reads recordings (`corerl run --record`) and captures (`corerl record`, the flight recorder). In tables a tag \
                        has the columns NAME, NAME.quality, NAME.age_s and NAME.source_time; a setpoint SP.raw (what the policy asked for), \
                        SP.sent (what the envelope let through), SP.reply (what the plant answered last), SP.last (what it moves from), \
                        SP.readback, SP.limits and SP.withheld. An answer comes after its cycle: SP.reply may be the one to the \
                        write before the latest. Times are wall-clock \
                        times, UTC, told from one instant that the file knows by both clocks.\n\n\
                        What is cut, damaged or missing in FILE is said on standard error, and everything before it is exported.\n\n\
                        Exit codes: 0 exported, 1 nothing in the file can be read, 2 the output is there already, \
                        or nothing lies in the range, 69 the file is not there.")]
pub(crate) struct ExportArguments {
    /// The recording or capture.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The format.
    #[arg(long, value_enum)]
    to: To,
    /// Where it is written [default: FILE with the format's ending added].
    #[arg(long, value_name = "PATH")]
    out: Option<PathBuf>,
    /// Begin so many seconds after the first cycle, or with a cycle: 12.5 or cycle:120500.
    #[arg(long, value_name = "S|cycle:N", value_parser = bound)]
    from: Option<Bound>,
    /// End there; that cycle is the last one.
    #[arg(long, value_name = "S|cycle:N", value_parser = bound)]
    until: Option<Bound>,
    /// One cycle of each N.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// The cycles of decisions alone.
    #[arg(long, conflicts_with = "every")]
    decisions: bool,
    /// A table of events instead of cycles; MCAP has both.
    #[arg(long)]
    events: bool,
    /// Replace the output if it is there.
    #[arg(long)]
    force: bool,
    /// Print one object with what was exported.
    #[arg(long)]
    json: bool,
}

/// Formats by their names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum To {
    /// Channels of Protobuf messages: Foxglove, PlotJuggler.
    Mcap,
    /// Columns: pandas, DuckDB, Spark.
    Parquet,
    /// Text: spreadsheets.
    Csv,
}

impl To {
    fn format(self) -> (Format, &'static str) {
        match self {
            Self::Mcap => (Format::Mcap, "mcap"),
            Self::Parquet => (Format::Parquet, "parquet"),
            Self::Csv => (Format::Csv, "csv"),
        }
    }
}

fn bound(text: &str) -> Result<Bound, String> {
    let what = || format!("`{text}` is no place in a recording: give seconds, as 12.5, or a cycle, as {CYCLE}120500");
    match text.strip_prefix(CYCLE) {
        Some(cycle) => cycle.parse().map(Bound::Cycle).map_err(|_| what()),
        None => {
            let seconds = text.parse::<f64>().ok().filter(|seconds| seconds.is_finite());
            seconds.map(Bound::Seconds).ok_or_else(what)
        }
    }
}

pub(crate) fn run(arguments: &ExportArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Told<'a> {
        file: String,
        out: String,
        format: Format,
        #[serde(flatten)]
        exported: &'a Exported,
    }
    let (format, ending) = arguments.to.format();
    let contents = if arguments.events { Contents::Events } else { Contents::Cycles };
    let out = arguments.out.clone().unwrap_or_else(|| {
        let kind = if arguments.events { format!("events.{ending}") } else { ending.to_owned() };
        arguments.file.with_added_extension(kind)
    });
    let mut footage = open(&arguments.file)?;
    let fresh = FreshFile::begin(&out, arguments.force)?;
    let pick = if arguments.decisions { Pick::Decisions } else { Pick::Every(arguments.every) };
    let selection = Selection { from: arguments.from, until: arguments.until, pick };
    let progress = Progress::new(&arguments.file, footage.progress().1);
    let exported = export(&mut footage, &selection, (format, contents), fresh.file()?, |bytes| progress.at(bytes));
    progress.end();
    let exported = exported.map_err(|error| failed(&arguments.file, &out, &error))?;
    let is_empty = exported.cycles_between == 0 && exported.events == 0;
    let is_chosen = arguments.from.is_some() || arguments.until.is_some();
    if is_empty
        && is_chosen
        && let Some(range) = range(&arguments.file)?
    {
        let message = format!("nothing lies between --from and --until: it has {range}");
        return Err(Failure::new(Exit::Usage, message).about(&arguments.file));
    }
    if exported.cycles_read == 0 && exported.events == 0 {
        let why = exported.ending.as_ref().map(ToString::to_string).unwrap_or_default();
        return Err(
            Failure::new(Exit::CheckFailed, "no cycle in it can be read: ".to_owned() + &why).about(&arguments.file)
        );
    }
    fresh.keep()?;
    warn(&arguments.file, &exported);
    if arguments.json {
        let (file, out) = (arguments.file.display().to_string(), out.display().to_string());
        print_json("corerl.export/1", &Told { file, out, format, exported: &exported })?;
    } else {
        print_text(&told(&out, contents, format, &exported))?;
    }
    Ok(Exit::Fine)
}

/// Opens a recording or a capture.
pub(crate) fn open(path: &Path) -> Result<Footage, Failure> {
    Footage::open(path).map_err(|refused| match refused {
        FootageRefused::Io(error) => Failure::io(format_args!("cannot read {}", path.display()), &error),
        refused => Failure::new(Exit::CheckFailed, refused).about(path),
    })
}

/// From where to where a file goes, for people; nothing when it holds no cycle.
fn range(path: &Path) -> Result<Option<String>, Failure> {
    let mut footage = open(path)?;
    let mut ends = None;
    loop {
        let moment = footage.next_moment();
        match moment.map_err(|error| Failure::io(format_args!("cannot read {}", path.display()), &error))? {
            Moment::Cycle(record) => {
                let here = (record.head.cycle, record.head.release_ns);
                ends = Some((ends.map_or(here, |(first, _)| first), here));
            }
            Moment::Event(_) | Moment::Gap(_) => {}
            Moment::End(_) => break,
        }
    }
    Ok(ends.map(|((first, first_ns), (last, last_ns))| {
        let seconds = last_ns.saturating_sub(first_ns) as f64 / 1e9;
        format!("the cycles {first} to {last}, from 0 to {seconds:.3} s")
    }))
}

fn failed(from: &Path, to: &Path, error: &ExportError) -> Failure {
    let (file, exit) = match error {
        ExportError::Read(error) if error.kind() == std::io::ErrorKind::PermissionDenied => (from, Exit::NoPermission),
        ExportError::Read(_) => (from, Exit::Unavailable),
        _ => (to, Exit::Internal),
    };
    Failure::new(exit, error).about(file)
}

/// Says what is not in the export because it is not in the file.
fn warn(file: &Path, exported: &Exported) {
    let Exported { cycles_missing, events_missing, .. } = exported;
    let file = file.display();
    if *cycles_missing > 0 {
        eprintln!("warning: {file}: {cycles_missing} cycles before, among or behind those that were read are missing");
    }
    if *events_missing > 0 {
        eprintln!("warning: {file}: {events_missing} events are missing");
    }
    if let Some(ending) = exported.ending.as_ref().filter(|ending| ending.is_incomplete()) {
        let last =
            exported.last_cycle.map_or_else(String::new, |cycle| format!(" (the last cycle exported is {cycle})"));
        eprintln!("warning: {file}: {ending}{last}");
    }
}

fn told(out: &Path, contents: Contents, format: Format, exported: &Exported) -> String {
    let Exported { cycles, events, .. } = exported;
    let range = match (exported.first_cycle, exported.last_cycle) {
        (Some(first), Some(last)) => format!(" ({first} to {last})"),
        _ => String::new(),
    };
    let what = match (format, contents) {
        (Format::Mcap, _) => format!("{cycles} cycles{range}, {events} events"),
        (_, Contents::Cycles) => format!("{cycles} cycles{range}"),
        (_, Contents::Events) => format!("{events} events"),
    };
    format!("{}: {what}\n", out.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_time_or_a_cycle_and_anything_else_is_told_how_to_be_written() {
        assert_eq!(bound("12.5"), Ok(Bound::Seconds(12.5)));
        assert_eq!(bound("cycle:7"), Ok(Bound::Cycle(7)));
        for wrong in ["", "nan", "inf", "cycle:", "cycle:-1", "10s"] {
            assert!(bound(wrong).unwrap_err().contains("cycle:120500"), "{wrong}");
        }
    }
}

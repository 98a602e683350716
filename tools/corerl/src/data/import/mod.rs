//! `corerl data import`: a plant's old records, from an export of another historian, into the archive.
//!
//! # Contract
//! - Nothing is guessed: times without an offset need a zone, what cannot be read is refused by line, and as long as something
//!   is refused nothing is brought in, unless that was asked for.
//! - All of it is there, or nothing; also while a historian writes, and on days that are sealed.
//! - A value that an import has brought in is not brought in again.

mod clock;
mod file;
mod gather;
mod hold;
mod layout;
mod mapping;
mod undo;
mod units;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use archive::{Brought, Old, OldTrack, Reader, Store, StoreError, TrackKind, TrackName, Turn, label};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use self::clock::{Clock, Twice};
use self::file::Input;
use self::gather::{Gathered, Gathering, Quality, Refusals};
use self::layout::{Layout, LayoutArguments};
use self::mapping::{Mapping, MappingArguments};
use super::past::time::{named_zone, span_ns};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  corerl data import export.csv --agent works/ph --zone Europe/Berlin --dry-run\n  \
    corerl data import export.csv --agent works/ph --column TI-7=TEMP --unit TEMP=°F:°C --hold 1h\n  \
    corerl data import sensors.parquet --agent works/ph --map tags.csv --refused refused.txt\n  \
    corerl data import --undo 2950819999b80ea2 --agent works/ph\n\n\
    A wide table has a time and a column for each tag, a long one a time, a tag, a value and perhaps a quality in each row. An empty cell \
    says nothing. The file need not be sorted. What other tools wrote into the history is looked at by `corerl data query`, `at` and \
    `export`, and learnt from by `corerl learn --from`, as if it had been kept live. Values of one tag and time that an earlier import \
    brought in are left out, so files may overlap.\n\n\
    Exit codes: 1 something is refused, and nothing was brought in; 69 the file or the history cannot be used; 75 another import is under way; \
    78 the mapping is wrong."
)]
pub(crate) struct ImportArguments {
    /// The file: CSV, or Parquet.
    #[arg(value_name = "FILE", required_unless_present = "undo")]
    file: Option<PathBuf>,
    /// The directory that corerl-historian keeps; it is made if it is not there.
    #[arg(long, value_name = "DIRECTORY", default_value = "history")]
    history: PathBuf,
    /// Whose it will be.
    #[arg(long, value_name = "SITE/AGENT", value_parser = whose)]
    agent: (String, String),
    #[command(flatten)]
    mapping: MappingArguments,
    #[command(flatten)]
    layout: LayoutArguments,
    /// The zone of times that have no offset: UTC, or a name like Europe/Berlin.
    #[arg(long, value_name = "ZONE")]
    zone: Option<String>,
    /// What a time is that a clock showed twice, because it was set back.
    #[arg(long, value_enum, default_value_t = Twice::Refuse)]
    twice: Twice,
    /// How times are written: s, ms, us or ns since 1970, or a pattern like "%m/%d/%Y %H:%M:%S" [default: found out].
    #[arg(long, value_name = "FORMAT", value_parser = clock::format)]
    time_format: Option<String>,
    /// How a quality is written in numbers.
    #[arg(long, value_enum)]
    quality: Option<Quality>,
    /// For how long a value counts when no other one follows [default: twice as long as a tag's values are usually apart, two
    /// minutes at least].
    #[arg(long, value_name = "SPAN", value_parser = span_ns)]
    hold: Option<u64>,
    /// Bring in what can be read, although something is refused.
    #[arg(long)]
    skip_refused: bool,
    /// Write everything that is refused into this file, one line each.
    #[arg(long, value_name = "FILE")]
    refused: Option<PathBuf>,
    /// Take back what an import brought in, by the run that it told.
    #[arg(long, value_name = "RUN", conflicts_with = "file", value_parser = undo::number)]
    undo: Option<u64>,
    /// Say what would be brought in, and bring in nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is said of an import.
#[derive(Debug, Serialize)]
struct Summary {
    file: PathBuf,
    history: PathBuf,
    agent: String,
    dry_run: bool,
    rows: u64,
    /// Lines and cells that are refused.
    refused: u64,
    /// Values with the time of a later one of the same tag, which counts.
    replaced: u64,
    tags: Vec<TagTold>,
    /// What was brought in; nothing for a dry run, or when everything was there.
    brought: Option<BroughtTold>,
}

#[derive(Debug, Serialize)]
struct TagTold {
    tag: String,
    /// In the file.
    name: String,
    unit: String,
    /// New ones.
    values: usize,
    /// Those that an earlier import brought in.
    known: u64,
    /// Of those, how many are others in this file; they stay as they were.
    differing: u64,
    from: Option<String>,
    to: Option<String>,
}

#[derive(Debug, Serialize)]
struct BroughtTold {
    run: String,
    points: u64,
    bytes: u64,
    days: usize,
}

pub(crate) fn run(arguments: &ImportArguments) -> Result<Exit, Failure> {
    match (&arguments.file, arguments.undo) {
        (Some(file), _) => import(arguments, file),
        (None, Some(number)) => undo::run(arguments, number),
        (None, None) => Err(Failure::new(Exit::Usage, "name a file, or a run to --undo")),
    }
}

fn import(arguments: &ImportArguments, file: &Path) -> Result<Exit, Failure> {
    let mapping = Mapping::read(&arguments.mapping)?;
    let zone = arguments.zone.as_deref().map(named_zone).transpose()?;
    let clock = Clock { zone, twice: arguments.twice, format: arguments.time_format.clone() };
    let mut refusals = Refusals::new(arguments.refused.as_deref())?;
    let mut gathering = gather(arguments, file, &clock, &mapping, &mut refusals)?;
    refusals.end()?;
    let replaced = gathering.tags.iter_mut().map(|tag| hold::in_order(&mut tag.values)).sum();
    let is_wanted = refusals.count == 0 || arguments.skip_refused;
    let (site, agent) = &arguments.agent;
    let mut summary = Summary {
        file: file.to_owned(),
        history: arguments.history.clone(),
        agent: label(site, agent, "main"),
        dry_run: arguments.dry_run,
        rows: gathering.rows,
        refused: refusals.count,
        replaced,
        tags: Vec::new(),
        brought: None,
    };
    if arguments.dry_run || !is_wanted {
        // Where there is no history nothing is known.
        let reader = Reader::open(&arguments.history).ok();
        summary.tags = sift(reader.as_ref(), &summary.agent, &mut gathering.tags)?;
    } else {
        bring(arguments, &mut gathering.tags, &mut summary)?;
    }
    if arguments.json {
        print_json("corerl.data-import/1", &summary)?;
    } else {
        print_text(&text(&summary))?;
    }
    tell(&refusals, file, arguments.skip_refused);
    Ok(if is_wanted { Exit::Fine } else { Exit::CheckFailed })
}

fn whose(text: &str) -> Result<(String, String), String> {
    let halves = text.split_once('/').filter(|(site, agent)| !site.is_empty() && !agent.is_empty());
    let halves = halves.filter(|(_, agent)| !agent.contains(['/', '@']));
    halves.map(|(site, agent)| (site.to_owned(), agent.to_owned())).ok_or_else(|| "write SITE/AGENT".to_owned())
}

/// Reads the file.
fn gather<'a>(
    arguments: &ImportArguments,
    file: &Path,
    clock: &'a Clock,
    mapping: &'a Mapping,
    refusals: &mut Refusals,
) -> Result<Gathering<'a>, Failure> {
    let in_file = |failure: Failure| failure.about(file);
    let input = Input::open(file)?;
    let layout = Layout::of(&input.names, &arguments.layout, mapping);
    let layout = layout.map_err(|why| in_file(Failure::new(Exit::Usage, why)))?;
    let wanted = layout.wanted.clone();
    let mut gathering = Gathering::new(layout, clock, mapping, arguments.quality, input.decimal_comma);
    input.each(&wanted, |place, row| gathering.take(place, row, refusals)).map_err(in_file)?;
    one_tag_each(&gathering.tags).map_err(|why| in_file(Failure::new(Exit::Usage, why)))?;
    Ok(gathering)
}

/// In a long table, too, no two names may become one tag.
fn one_tag_each(tags: &[Gathered]) -> Result<(), String> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for Gathered { name, becomes, .. } in tags {
        if becomes.tag.is_empty() {
            return Err(format!("`{name}` becomes a tag without a name: say with --column what it shall be called"));
        }
        if let Some(other) = seen.insert(&becomes.tag, name) {
            return Err(format!("{other} and {name} would both be the tag {}: name one with --column", becomes.tag));
        }
    }
    Ok(())
}

/// Takes out what earlier imports brought in; what is left of each tag.
fn sift(reader: Option<&Reader>, agent: &str, tags: &mut [Gathered]) -> Result<Vec<TagTold>, Failure> {
    let mut told = Vec::new();
    for Gathered { name, becomes, values } in tags {
        let (mut known, mut differing) = (0, 0);
        let there = match (reader, values.first(), values.last()) {
            (Some(reader), Some(first), Some(last)) => {
                imported(reader, agent, &becomes.tag, (first.unix_ns, last.unix_ns))?
            }
            _ => HashMap::new(),
        };
        values.retain(|old| {
            let Some(value) = there.get(&old.unix_ns) else { return true };
            known += 1;
            differing += u64::from(*value != key(old.value, old.state));
            false
        });
        let time = |old: Option<&Old>| old.map(|old| tables::utc(old.unix_ns));
        told.push(TagTold {
            tag: becomes.tag.clone(),
            name: name.clone(),
            unit: becomes.unit.clone(),
            values: values.len(),
            known,
            differing,
            from: time(values.first()),
            to: time(values.last()),
        });
    }
    Ok(told)
}

/// What was brought in of a tag between two times: values that are as old as their time, and no repetitions.
fn imported(
    reader: &Reader,
    agent: &str,
    tag: &str,
    (from_ns, to_ns): (u64, u64),
) -> Result<HashMap<u64, (u64, u32)>, Failure> {
    let mut found = HashMap::new();
    for track in reader.tracks(Some(tag))? {
        if track.agent != agent || track.name.kind != TrackKind::Tag {
            continue;
        }
        let points = reader.between(&track, from_ns, to_ns)?.into_iter();
        let own = points.filter(|timed| timed.point.age_us == 0);
        found.extend(own.map(|timed| (timed.unix_ns, key(timed.point.value, timed.point.state))));
    }
    Ok(found)
}

/// To be compared: no value is like no value.
fn key(value: f64, state: u32) -> (u64, u32) {
    (if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }, state)
}

/// Brings in what is not there yet.
fn bring(arguments: &ImportArguments, tags: &mut [Gathered], summary: &mut Summary) -> Result<(), Failure> {
    let in_history = |error| unusable(error, &arguments.history);
    let turn = Turn::take(&arguments.history).map_err(in_history)?;
    let mut store = Store::open(&arguments.history).map_err(in_history)?;
    let reader = Reader::open(&arguments.history).map_err(in_history)?;
    summary.tags = sift(Some(&reader), &summary.agent, tags)?;
    let end_ns = tags.iter().filter_map(|tag| tag.values.last()).map(|old| old.unix_ns).max().unwrap_or(0);
    let tracks: Vec<OldTrack> =
        tags.iter().filter(|tag| !tag.values.is_empty()).map(|tag| track(tag, arguments.hold, end_ns)).collect();
    let style = ProgressStyle::with_template("{bar:40} {pos} days written, {elapsed}");
    let bar = ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let (site, agent) = &arguments.agent;
    let brought = store.bring(&turn, (site, agent), &tracks, &mut |days| bar.set_position(days as u64));
    bar.finish_and_clear();
    summary.brought = brought.map_err(in_history)?.map(|Brought { run, points, bytes, days }| BroughtTold {
        run: format!("{run:016x}"),
        points,
        bytes,
        days,
    });
    Ok(())
}

/// Why a history cannot be used.
fn unusable(error: StoreError, history: &Path) -> Failure {
    let exit = if matches!(error, StoreError::Taken) { Exit::Temporary } else { Exit::Unavailable };
    Failure::new(exit, error).about(history)
}

fn track(tag: &Gathered, hold: Option<u64>, end_ns: u64) -> OldTrack {
    let Gathered { becomes, values, .. } = tag;
    let holds_ns = hold.unwrap_or_else(|| hold::usual_ns(values));
    let name = TrackName { kind: TrackKind::Tag, name: becomes.tag.clone(), unit: becomes.unit.clone() };
    OldTrack { name, values: hold::repeated(values, holds_ns, end_ns) }
}

fn text(summary: &Summary) -> String {
    let mut rows = vec![["tag", "in the file", "unit", "new", "known", "from", "to"].map(str::to_owned)];
    rows.extend(summary.tags.iter().map(|of| {
        let [from, to] = [&of.from, &of.to].map(|time| time.clone().unwrap_or_else(|| "-".to_owned()));
        [of.tag.clone(), of.name.clone(), of.unit.clone(), of.values.to_string(), of.known.to_string(), from, to]
    }));
    let mut text = table(&rows);
    text += &match &summary.brought {
        Some(of) => {
            format!("brought in: {} points of {} days in {} bytes, run {}\n", of.points, of.days, of.bytes, of.run)
        }
        None if summary.tags.iter().all(|of| of.values == 0 && of.known > 0) => {
            "nothing to bring in: all of it is there\n".to_owned()
        }
        None => "nothing was brought in\n".to_owned(),
    };
    text
}

/// What a person has to know besides.
fn tell(refusals: &Refusals, file: &Path, skip_refused: bool) {
    refusals.told.iter().for_each(|told| eprintln!("{}: {told}", file.display()));
    let more = refusals.count - refusals.told.len() as u64;
    if more > 0 {
        eprintln!("{more} more are refused: --refused FILE lists all of them");
    }
    if refusals.count > 0 && !skip_refused {
        eprintln!("as long as something is refused nothing is brought in: mend the file, or give --skip-refused");
    }
}

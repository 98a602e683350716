//! `corerl data query`: values between two times, each as it was kept, or what every minute was like.

use std::path::PathBuf;
use std::time::Duration;

use archive::{Bucket, Timed};
use clap::{Args, ValueEnum};
use recall::Past;
use serde::Serialize;
use tables::{Kind, Value};

use super::Where;
use super::series::{Series, kept_span};
use super::sheet::{Format, Sheet, column};
use super::time::{TIMES, Window, Zone, span_ns};
use crate::data::ending;
use crate::failure::{Exit, Failure};
use crate::fresh::FreshFile;
use crate::output::{json_text, print_text};

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  \
    corerl data query PH --from \"yesterday 14:00\" --to \"yesterday 14:10\"\n  \
    corerl data query PH FEED_SP.sent --from -1d --every 10m\n  \
    corerl data query PH FEED_SP.sent mode --from -5m --format csv > trend.csv\n\n\
    A setpoint has .raw (what policy or fallback asked for), .sent (what the envelope let through), .written and .readback behind \
    its name; an agent has reward, mode, policy, value and spread. `corerl data tags` lists what there is. What does not change is kept \
    once a minute: the first value is the one that holds at the beginning, with its own time. With --every a value counts for as long \
    as it was held; minutes and hours are kept for longer than values are. Rows begin at whole multiples of --every, UTC: the first \
    is the one in which --from lies, and each is of its whole span.\n\n{TIMES}"))]
pub(crate) struct QueryArguments {
    /// What is asked for.
    #[arg(required = true, value_name = "TAG")]
    tags: Vec<String>,
    #[command(flatten)]
    of: Where,
    #[command(flatten)]
    window: Window,
    /// One row for so long a time: 10s, 1m, 1h.
    #[arg(long, value_name = "SPAN", value_parser = span_ns)]
    every: Option<u64>,
    /// What is told of each such time.
    #[arg(long = "show", value_enum, default_value_t = Figure::Mean, requires = "every")]
    figure: Figure,
    /// How it is told [default: what the file's name ends with, else table].
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Into this file instead of standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file, if it is there.
    #[arg(long, requires = "out")]
    force: bool,
}

/// A time of which nothing is missing but a cycle or two, at its end, is whole.
const WHOLE: f64 = 0.999;

/// What a time was like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// The mean of what was held.
    Mean,
    /// The least.
    Min,
    /// The greatest.
    Max,
    /// What was held last.
    Last,
    /// Values that were kept.
    Count,
    /// The share of the known time with a good value.
    Good,
    /// The share of its span in which there was a value.
    Known,
}

/// What was found of one series.
#[derive(Debug, Serialize)]
struct Found<T> {
    agent: String,
    tag: String,
    unit: String,
    points: Vec<T>,
}

/// One value.
#[derive(Debug, Serialize)]
struct Told {
    time: String,
    cycle: u64,
    value: Option<f64>,
    /// Quality of a tag, limits that acted on what was sent, why nothing was written, or the mode's name.
    state: String,
    /// When it was so by its source's own clock; `null` when the source says nothing of it.
    source_time: Option<String>,
    #[serde(skip)]
    unix_ns: u64,
    #[serde(skip)]
    source_us: Option<u64>,
}

/// What one time was like.
#[derive(Debug, Serialize)]
struct Stretch {
    time: String,
    count: u64,
    mean: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    last: Option<f64>,
    good: Option<f64>,
    /// The share of its span in which there was a value: what the other figures are of.
    known: f64,
    #[serde(skip)]
    bucket: Bucket,
}

#[derive(Serialize)]
struct Printed<'a, T> {
    from: String,
    to: String,
    series: &'a [Found<T>],
}

pub(crate) fn run(arguments: &QueryArguments) -> Result<Exit, Failure> {
    let (from, to, zone) = arguments.window.read()?;
    let past = arguments.of.open()?;
    let series = Series::named(&*past, &arguments.of, &arguments.tags)?;
    let is_empty = match arguments.every {
        None => {
            let found = found(series, |series| values(series, &*past, (from, to), &zone))?;
            put(arguments, &found, (from, to), &zone, &sheet)?;
            found.iter().all(|found| found.points.is_empty())
        }
        Some(every) => {
            let found = found(series, |series| stretches(series, &*past, (from, to), every, &zone))?;
            put(arguments, &found, (from, to), &zone, &|found, _| wide(found, arguments.figure))?;
            mention_partial(&found, arguments.figure);
            found.iter().all(|found| found.points.is_empty())
        }
    };
    if is_empty {
        let kept = kept_span(&*past, &arguments.of, &zone)?;
        eprintln!("nothing of it is kept from {} to {}{kept}", zone.tell(from), zone.tell(to));
    }
    Ok(Exit::Fine)
}

fn found<T>(series: Vec<Series>, read: impl Fn(&Series) -> Result<Vec<T>, Failure>) -> Result<Vec<Found<T>>, Failure> {
    let found = series.into_iter().map(|series| {
        let points = read(&series)?;
        Ok(Found { agent: series.agent, tag: series.address, unit: series.unit, points })
    });
    found.collect()
}

fn put<T: Serialize>(
    arguments: &QueryArguments,
    found: &[Found<T>],
    (from, to): (u64, u64),
    zone: &Zone,
    sheet: &dyn Fn(&[Found<T>], Format) -> Sheet,
) -> Result<(), Failure> {
    let (out, force) = (arguments.out.as_deref(), arguments.force);
    let said = if arguments.json { Some(Format::Json) } else { arguments.format };
    let format = out.map_or(Ok(said.unwrap_or(Format::Table)), |path| ending::format(path, said, &Format::ENDINGS))?;
    if format != Format::Json {
        return sheet(found, format).put(format, (out, force), zone);
    }
    let printed = Printed { from: zone.tell(from), to: zone.tell(to), series: found };
    let text = json_text("corerl.data-query/1", &printed)?;
    out.map_or_else(|| print_text(&text), |path| FreshFile::write(path, force, text.as_bytes()))
}

/// The values of a series. What holds at the beginning was kept before it, unless something was kept just then.
fn values(series: &Series, past: &dyn Past, (from, to): (u64, u64), zone: &Zone) -> Result<Vec<Told>, Failure> {
    let mut points = series.between(past, from, to)?;
    if points.first().is_none_or(|first| first.unix_ns > from) {
        points.splice(0..0, series.at(past, from)?);
    }
    let told = |Timed { unix_ns, point }: Timed| Told {
        time: zone.tell(unix_ns),
        cycle: point.cycle,
        value: point.value.is_finite().then_some(point.value),
        state: series.state(&point),
        source_time: point.source().map(|source_us| zone.tell_micros(source_us)),
        unix_ns,
        source_us: point.source(),
    };
    Ok(points.into_iter().map(told).collect())
}

/// What a series was like in each stretch of this width, whole ones: from the one in which the window begins to the one in which
/// it ends.
fn stretches(
    series: &Series,
    past: &dyn Past,
    (from, to): (u64, u64),
    width_ns: u64,
    zone: &Zone,
) -> Result<Vec<Stretch>, Failure> {
    let mut buckets: Vec<Bucket> = Vec::new();
    let (first, last) = (from - from % width_ns, to.saturating_sub(1).max(from));
    for track in series.tracks() {
        buckets.extend(past.buckets(track, first, last, Duration::from_nanos(width_ns))?);
    }
    // Two runs may have a part of one stretch each: the one that began later says how it was then.
    buckets.sort_by_key(|bucket| bucket.unix_ns);
    let finite = |value: f64| Some(value).filter(|value| value.is_finite());
    let told = |bucket: Bucket| Stretch {
        time: zone.tell(bucket.unix_ns),
        count: bucket.count,
        mean: finite(bucket.mean),
        min: finite(bucket.min),
        max: finite(bucket.max),
        last: finite(bucket.last),
        good: bucket.good(),
        known: bucket.valued_ns as f64 / width_ns as f64,
        bucket,
    };
    Ok(buckets.into_iter().map(told).collect())
}

/// A row for each value, in the order of their times. People have the sources' times in other formats: no screen is as wide.
fn sheet(found: &[Found<Told>], format: Format) -> Sheet {
    let mut all: Vec<_> = found.iter().flat_map(|of| of.points.iter().map(move |told| (of, told))).collect();
    all.sort_by_key(|(_, told)| told.unix_ns);
    let word = |text: &str| Value::Word(text.to_owned().into());
    let row = |(of, told): (&Found<Told>, &Told)| {
        let value = Value::Number(told.value.unwrap_or(f64::NAN));
        let source = told.source_us.map_or(Value::Nothing, Value::Micros);
        let state = word(&told.state);
        vec![Value::Time(told.unix_ns), word(&of.agent), word(&of.tag), value, word(&of.unit), state, source]
    };
    let mut sheet = Sheet {
        columns: vec![
            column("time", Kind::Time, "", "when it was so"),
            column("agent", Kind::Word, "", "whose it is"),
            column("tag", Kind::Word, "", "what it is of"),
            column("value", Kind::Number, "", "the value, in its unit"),
            column("unit", Kind::Word, "", "the unit"),
            column("state", Kind::Word, "", "quality, limits that acted, why nothing was written, or the mode's name"),
            column(
                "source_time",
                Kind::Micros,
                "",
                "when it was so by the clock of its source, if that says anything of it",
            ),
        ],
        rows: all.into_iter().map(row).collect(),
    };
    if format == Format::Table {
        sheet.columns.pop();
        sheet.rows.iter_mut().for_each(|row| _ = row.pop());
    }
    sheet
}

/// A row for each time, with a column for each series.
fn wide(found: &[Found<Stretch>], figure: Figure) -> Sheet {
    let mut times: Vec<u64> = found.iter().flat_map(|of| of.points.iter().map(|told| told.bucket.unix_ns)).collect();
    times.sort_unstable();
    times.dedup();
    let many = found.iter().any(|of| of.agent != found[0].agent);
    let mut columns = vec![column("time", Kind::Time, "", "when it begins")];
    columns.extend(found.iter().map(|of| {
        let unit = if matches!(figure, Figure::Count | Figure::Good | Figure::Known) { "" } else { &of.unit };
        let name = if many { format!("{} {}", of.agent, of.tag) } else { of.tag.clone() };
        column(&name, Kind::Number, unit, "what was held in that time")
    }));
    let cell = |of: &Found<Stretch>, time: u64| {
        let at = of.points.partition_point(|told| told.bucket.unix_ns <= time);
        let told = at.checked_sub(1).and_then(|at| of.points.get(at)).filter(|told| told.bucket.unix_ns == time);
        told.map_or(Value::Nothing, |told| Value::Number(figure.of(told)))
    };
    let row = |time: u64| {
        let cells = found.iter().map(|of| cell(of, time));
        std::iter::once(Value::Time(time)).chain(cells).collect()
    };
    Sheet { columns, rows: times.into_iter().map(row).collect() }
}

/// Says of how many figures nobody would see that they are of a part of their time.
fn mention_partial(found: &[Found<Stretch>], figure: Figure) {
    let all = || found.iter().flat_map(|of| &of.points);
    let partial = all().filter(|told| told.known > 0.0 && told.known < WHOLE).count();
    if partial > 0 && figure != Figure::Known {
        let total = all().count();
        eprintln!(
            "{partial} of {total} figures are of a part of their time alone: --show known tells how much of it had a value"
        );
    }
}

impl Figure {
    fn of(self, told: &Stretch) -> f64 {
        let value = match self {
            Self::Mean => told.mean,
            Self::Min => told.min,
            Self::Max => told.max,
            Self::Last => told.last,
            Self::Count => Some(told.count as f64),
            Self::Good => told.good,
            Self::Known => Some(told.known),
        };
        value.unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use archive::Reader;
    use clap::Parser as _;

    use super::super::moment::tests::{BEGIN_NS, kept};
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        asked: QueryArguments,
    }

    const SECOND_NS: u64 = 1_000_000_000;
    const MINUTE_NS: u64 = 60 * SECOND_NS;

    /// The minutes of a level that was kept for one and a half, between two times since its begin.
    fn minutes(from_s: u64, to_s: u64) -> Vec<Stretch> {
        let directory = tempfile::tempdir().unwrap();
        kept(directory.path());
        let past = Reader::open(directory.path()).unwrap();
        let Line { asked } = Line::parse_from(["query", "level", "--zone", "UTC"]);
        let (.., zone) = asked.window.read().unwrap();
        let level = Series::named(&past, &asked.of, &asked.tags).unwrap().remove(0);
        let window = (BEGIN_NS + from_s * SECOND_NS, BEGIN_NS + to_s * SECOND_NS);
        stretches(&level, &past, window, MINUTE_NS, &zone).unwrap()
    }

    #[test]
    fn a_figure_says_of_how_much_of_its_time_it_is() {
        let known: Vec<_> = minutes(0, 120).iter().map(|row| (row.known * 100.0).round()).collect();
        assert_eq!(known, [100.0, 48.0], "the last point is of second 89");
    }

    #[test]
    fn rows_are_whole_from_the_one_in_which_the_window_begins_to_the_one_in_which_it_ends() {
        let rows = |from_s, to_s| {
            let begin_s = |row: &Stretch| (row.bucket.unix_ns - BEGIN_NS) / SECOND_NS;
            minutes(from_s, to_s).iter().map(begin_s).collect::<Vec<_>>()
        };
        assert_eq!([rows(10, 50), rows(0, 60), rows(0, 61)], [vec![0], vec![0], vec![0, 60]]);
        assert_eq!([rows(59, 60), rows(60, 60), rows(200, 300)], [vec![0], vec![60], vec![]]);
    }
}

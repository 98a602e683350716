//! `corerl data query`: values between two times.

use archive::Timed;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::series::Series;
use super::time::{TIMES, Window, Zone};
use super::{Where, number};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  \
    corerl data query PH --from \"yesterday 14:00\" --to \"yesterday 14:10\"\n  \
    corerl data query PH FEED_SP.sent mode --from -5m --format csv > trend.csv\n\n\
    A setpoint has .raw (what policy or fallback asked for), .sent (what the envelope let through), .written and .readback behind \
    its name; an agent has reward, mode, policy, value and spread. `corerl data tags` lists what there is. What does not change is kept \
    once a minute: the first value is the one that holds at the beginning, with its own time.\n\n{TIMES}"))]
pub(crate) struct QueryArguments {
    /// What is asked for.
    #[arg(required = true, value_name = "TAG")]
    tags: Vec<String>,
    #[command(flatten)]
    of: Where,
    #[command(flatten)]
    window: Window,
    /// How it is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// The same as --format json.
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns for people.
    Table,
    /// A line for each value, with a heading.
    Csv,
    /// One object with all series.
    Json,
}

/// What was found of one series.
#[derive(Debug, Serialize)]
struct Found {
    agent: String,
    tag: String,
    unit: String,
    points: Vec<Told>,
}

/// One value.
#[derive(Debug, Serialize)]
struct Told {
    time: String,
    cycle: u64,
    value: Option<f64>,
    /// Quality of a tag, limits that acted on what was sent, why nothing was written, or the mode's name.
    state: String,
    #[serde(skip)]
    unix_ns: u64,
}

#[derive(Serialize)]
struct Printed<'a> {
    from: String,
    to: String,
    series: &'a [Found],
}

pub(crate) fn run(arguments: &QueryArguments) -> Result<Exit, Failure> {
    let (from, to, zone) = arguments.window.read()?;
    let reader = arguments.of.open()?;
    let mut found = Vec::new();
    for series in Series::named(&reader, &arguments.of, &arguments.tags)? {
        // What holds at the beginning was kept before it, unless something was kept just then.
        let mut points = series.between(&reader, from, to)?;
        if points.first().is_none_or(|first| first.unix_ns > from) {
            points.splice(0..0, series.at(&reader, from)?);
        }
        let points = points.iter().map(|timed| told(&series, timed, &zone)).collect();
        found.push(Found { agent: series.agent, tag: series.address, unit: series.unit, points });
    }
    let printed = Printed { from: zone.tell(from), to: zone.tell(to), series: &found };
    match if arguments.json { Format::Json } else { arguments.format } {
        Format::Json => print_json("corerl.data-query/1", &printed)?,
        Format::Csv => print_text(&csv(&found)?)?,
        Format::Table => print_text(&text(&found))?,
    }
    if found.iter().all(|found| found.points.is_empty()) {
        eprintln!("nothing is kept from {} to {}; `corerl data gaps` says what is missing", printed.from, printed.to);
    }
    Ok(Exit::Fine)
}

fn told(series: &Series, timed: &Timed, zone: &Zone) -> Told {
    let Timed { unix_ns, point } = *timed;
    Told {
        time: zone.tell(unix_ns),
        cycle: point.cycle,
        value: point.value.is_finite().then_some(point.value),
        state: series.state(&point),
        unix_ns,
    }
}

/// All values in the order of their times.
fn in_order(found: &[Found]) -> Vec<(&Found, &Told)> {
    let mut all: Vec<_> = found.iter().flat_map(|of| of.points.iter().map(move |told| (of, told))).collect();
    all.sort_by_key(|(_, told)| told.unix_ns);
    all
}

fn text(found: &[Found]) -> String {
    let mut rows = vec![["time", "tag", "value", "", ""].map(str::to_owned)];
    rows.extend(in_order(found).into_iter().map(|(of, told)| {
        let value = number(told.value.unwrap_or(f64::NAN));
        [told.time.clone(), of.tag.clone(), value, of.unit.clone(), told.state.clone()]
    }));
    table(&rows)
}

fn csv(found: &[Found]) -> Result<String, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut written = writer.write_record(["time", "agent", "tag", "value", "unit", "state"]);
    for (of, told) in in_order(found) {
        let value = told.value.map_or_else(String::new, |value| value.to_string());
        let row = [&told.time, &of.agent, &of.tag, &value, &of.unit, &told.state];
        written = written.and_then(|()| writer.write_record(row));
    }
    let text = written.map_err(|error| error.to_string()).and_then(|()| {
        let bytes = writer.into_inner().map_err(|error| error.to_string())?;
        String::from_utf8(bytes).map_err(|error| error.to_string())
    });
    text.map_err(|error| Failure::new(Exit::Internal, format!("the values cannot be written as CSV: {error}")))
}

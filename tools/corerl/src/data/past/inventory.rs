//! `corerl data tags`: what is kept, and how it was last.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use archive::{RunId, Timed, TrackId};
use clap::Args;
use recall::Past;
use serde::Serialize;

use super::series::Series;
use super::time::ZoneArguments;
use super::{Where, number};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  corerl data tags\n  corerl data tags --history /var/lib/corerl/history --agent works/ph --json"
)]
pub(crate) struct TagsKeptArguments {
    #[command(flatten)]
    of: Where,
    #[command(flatten)]
    zone: ZoneArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is known of a series without reading it.
#[derive(Debug, Serialize)]
struct Listed {
    agent: String,
    tag: String,
    kind: &'static str,
    unit: String,
    /// When it was kept last, and with which value.
    time: Option<String>,
    value: Option<f64>,
    state: String,
}

/// The newest points of a run's tracks.
type Newest = BTreeMap<TrackId, Timed>;

pub(crate) fn run(arguments: &TagsKeptArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        tags: &'a [Listed],
    }
    let zone = arguments.zone.zone()?;
    let past = arguments.of.open()?;
    let mut newest: BTreeMap<RunId, Newest> = BTreeMap::new();
    let mut entries = Vec::new();
    for series in Series::all(&*past, &arguments.of)? {
        let found = last(&*past, &series, &mut newest)?;
        entries.push(Listed {
            tag: series.address.clone(),
            kind: series.kind.name(),
            unit: series.unit.clone(),
            time: found.map(|timed| zone.tell(timed.unix_ns)),
            value: found.map(|timed| timed.point.value).filter(|value| value.is_finite()),
            state: found.map_or_else(String::new, |timed| series.state(&timed.point)),
            agent: series.agent,
        });
    }
    if arguments.json {
        print_json("corerl.data-tags/1", &Printed { tags: &entries })?;
    } else {
        print_text(&text(&entries))?;
    }
    Ok(Exit::Fine)
}

/// The newest point of a series with its time; every run is looked through once.
fn last(past: &dyn Past, series: &Series, newest: &mut BTreeMap<RunId, Newest>) -> Result<Option<Timed>, Failure> {
    for track in series.tracks().iter().rev() {
        let of_run = match newest.entry(track.run) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(past.newest(track.run)?),
        };
        if let Some(timed) = of_run.get(&track.id) {
            return Ok(Some(*timed));
        }
    }
    // Days that are sealed are not looked through for all tracks at once.
    let ends = past.runs()?.into_iter().filter(|run| series.tracks().iter().any(|track| track.run == run.id));
    let Some(end) = ends.filter_map(|run| run.times_ns.map(|(_, end)| end)).max() else { return Ok(None) };
    series.at(past, end)
}

fn text(entries: &[Listed]) -> String {
    let mut rows = vec![["agent", "tag", "newest", "", "at", ""].map(str::to_owned)];
    rows.extend(entries.iter().map(|entry| {
        let value = number(entry.value.unwrap_or(f64::NAN));
        let time = entry.time.clone().unwrap_or_default();
        [entry.agent.clone(), entry.tag.clone(), value, entry.unit.clone(), time, entry.state.clone()]
    }));
    table(&rows)
}

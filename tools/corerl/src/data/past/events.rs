//! `corerl data events`: what happened between two times.

use std::collections::BTreeMap;

use archive::{Event, RunId};
use clap::Args;
use footage::words::event_named;
use recall::Past;
use serde::Serialize;

use super::Where;
use super::series::kept_span;
use super::time::{TIMES, Window, Zone};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  corerl data events --from \"yesterday 14:00\" --to \"yesterday 14:10\"\n  \
    corerl data events --from -7d --kind trip --kind mode_change\n\n{TIMES}"))]
pub(crate) struct EventsArguments {
    #[command(flatten)]
    of: Where,
    #[command(flatten)]
    window: Window,
    /// Only events of this kind; may be given several times.
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// An event, told.
#[derive(Debug, Serialize)]
pub(super) struct Told {
    pub(super) agent: String,
    pub(super) time: String,
    cycle: u64,
    pub(super) kind: String,
    uid: Option<u32>,
    text: String,
    #[serde(skip)]
    pub(super) unix_ns: u64,
}

pub(crate) fn run(arguments: &EventsArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        events: &'a [Told],
    }
    let (from, to, zone) = arguments.window.read()?;
    let past = arguments.of.open()?;
    let kinds = arguments.kind.iter().map(|kind| event_named(kind)).collect::<Result<Vec<_>, _>>();
    let kinds = kinds.map_err(|error| Failure::new(Exit::Usage, error))?;
    let is_asked = |event: &Event| kinds.is_empty() || kinds.iter().any(|kind| kind.name() == event.kind);
    let found = between(&*past, &arguments.of, (from, to), &zone, is_asked)?;
    if arguments.json {
        print_json("corerl.data-events/1", &Printed { events: &found })?;
    } else if found.is_empty() {
        let kept = kept_span(&*past, &arguments.of, &zone)?;
        eprintln!("nothing of it is kept from {} to {}{kept}", zone.tell(from), zone.tell(to));
    } else {
        print_text(&text(&found))?;
    }
    Ok(Exit::Fine)
}

/// The events between two times, as they are told.
pub(super) fn between(
    past: &dyn Past,
    of: &Where,
    (from, to): (u64, u64),
    zone: &Zone,
    is_asked: impl Fn(&Event) -> bool,
) -> Result<Vec<Told>, Failure> {
    let agents: BTreeMap<RunId, String> = past.runs()?.into_iter().map(|run| (run.id, run.agent)).collect();
    let events = past.events(from, to)?.into_iter();
    let told = events.filter(|(_, event)| is_asked(event)).filter_map(|(run, event)| {
        let agent = agents.get(&run).filter(|agent| of.is_of(agent))?.clone();
        let Event { cycle, unix_ns, kind, uid, text, .. } = event;
        Some(Told { agent, time: zone.tell(unix_ns), cycle, kind, uid, text, unix_ns })
    });
    Ok(told.collect())
}

pub(super) fn text(events: &[Told]) -> String {
    let mut rows = vec![["time", "agent", "cycle", "event", ""].map(str::to_owned)];
    rows.extend(events.iter().map(|event| {
        let who = event.uid.map_or_else(String::new, |uid| format!(" (user {uid})"));
        let text = format!("{}{who}", event.text);
        [event.time.clone(), event.agent.clone(), event.cycle.to_string(), event.kind.replace('_', " "), text]
    }));
    table(&rows)
}

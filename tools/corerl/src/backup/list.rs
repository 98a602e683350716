//! `corerl backup list`: which backups there are.

use backup::{Depot, Kept, Keys, Newest, peek};
use clap::Args;
use indicatif::HumanBytes;
use serde::Serialize;
use tables::utc;

use super::{Opening, PLACES, Store};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

#[derive(Debug, Args)]
#[command(
    after_help = format!("Examples:\n  corerl backup list backups\n  corerl backup list s3://plant-backups/works --json | jq '.backups[-1].backup'\n\nThe newest record of an encrypted backup is told to those who have its key.\n\n{PLACES}")
)]
pub(super) struct ListArguments {
    /// The place.
    #[arg(value_name = "PLACE")]
    place: String,
    #[command(flatten)]
    store: Store,
    #[command(flatten)]
    opening: Opening,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Listed {
    backup: String,
    site: String,
    begun: String,
    bytes: u64,
    encrypted: bool,
    newest: Option<Recorded>,
}

/// The newest record of all.
#[derive(Debug, Serialize)]
struct Recorded {
    agent: String,
    cycle: u64,
    time: String,
}

pub(super) fn run(arguments: &ListArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        backups: &'a [Listed],
    }
    let keys = arguments.opening.keys()?;
    let depot = Depot::at(&arguments.place, arguments.store.endpoint.as_deref())?;
    let listed: Vec<_> = depot.list()?.iter().map(|kept| listed(&depot, kept, &keys)).collect();
    if arguments.json {
        print_json("corerl.backup-list/1", &Printed { backups: &listed })?;
    } else {
        let mut rows = vec![["begun", "size", "encrypted", "newest record", "backup"].map(str::to_owned)];
        rows.extend(listed.iter().map(row));
        print_text(&table(&rows))?;
    }
    Ok(Exit::Fine)
}

fn listed(depot: &Depot, kept: &Kept, keys: &Keys) -> Listed {
    let about = depot.open(&kept.name).ok().and_then(|from| peek(from, keys).ok());
    let recorded =
        |newest: &Newest| Recorded { agent: newest.agent.clone(), cycle: newest.cycle, time: utc(newest.unix_ns) };
    Listed {
        backup: depot.address_of(&kept.name),
        site: kept.name.site().to_owned(),
        begun: format!("{:.3}", kept.name.begun()),
        bytes: kept.size,
        encrypted: kept.name.is_locked(),
        newest: about.and_then(|about| about.newest().map(recorded)),
    }
}

fn row(listed: &Listed) -> [String; 5] {
    let encrypted = if listed.encrypted { "yes" } else { "no" };
    let newest = listed.newest.as_ref();
    let newest = newest.map_or_else(|| "-".to_owned(), |of| format!("{} cycle {} at {}", of.agent, of.cycle, of.time));
    [listed.begun.clone(), HumanBytes(listed.bytes).to_string(), encrypted.to_owned(), newest, listed.backup.clone()]
}

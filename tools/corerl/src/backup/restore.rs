//! `corerl backup restore`: an empty machine has a site again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use backup::Contents;
use clap::Args;
use serde::Serialize;

use super::told::{NewestTold, OfClass, Watched, bar, by_class, class_rows, restore_row};
use super::{Chosen, PLACES, Which};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

#[derive(Debug, Args)]
#[command(
    after_help = format!("Examples:\n  corerl backup restore backups --to /srv/corerl\n  corerl backup restore s3://plant-backups/works --identity key.txt --to /srv/corerl\n\nNothing is overwritten, and nothing is there before the last byte has been checked. Site files are at the top, beside them\nwhat lay beside them, `state`, `checkpoints` and `history`, so that\n\n  corerl run --config /srv/corerl/site.yaml --checkpoint-dir /srv/corerl/checkpoints\n  corerl-historian --history /srv/corerl/history\n\ngo on from there. What lay elsewhere is in `elsewhere` with its whole path: put it back there.\n\n{PLACES}\n\nExit codes: 1 it is not what was written, 2 there is something already, 69 there is no backup, 77 it is for another key.")
)]
pub(super) struct RestoreArguments {
    #[command(flatten)]
    which: Which,
    /// The directory that it becomes: empty, or not there yet.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What became of it.
#[derive(Debug, Serialize)]
struct Restored<'a> {
    backup: String,
    to: &'a Path,
    seconds: f64,
    files: Vec<OfClass>,
    newest: Vec<NewestTold>,
}

pub(super) fn run(arguments: &RestoreArguments) -> Result<Exit, Failure> {
    let chosen = arguments.which.choose()?;
    let (contents, took) = bring_back(&chosen, &arguments.to)?;
    let restored = Restored {
        backup: chosen.address(),
        to: &arguments.to,
        seconds: took.as_secs_f64(),
        files: by_class(&contents.manifest),
        newest: NewestTold::of(&contents.about, rt_sys::unix_time().as_ns()),
    };
    if arguments.json {
        print_json("corerl.backup-restore/1", &restored)?;
    } else {
        let mut rows = vec![["backup".to_owned(), restored.backup.clone()]];
        rows.extend(class_rows(&restored.files));
        rows.extend(restored.newest.iter().map(NewestTold::row));
        rows.push(restore_row(took));
        rows.push(["to".to_owned(), arguments.to.display().to_string()]);
        print_text(&table(&rows))?;
    }
    Ok(Exit::Fine)
}

/// Brings a backup back; what was in it, and how long that took.
pub(super) fn bring_back(chosen: &Chosen, to: &Path) -> Result<(Contents, Duration), Failure> {
    let begun = Instant::now();
    let bar = bar("restoring", chosen.size);
    let from = Watched { from: chosen.depot.open(&chosen.name)?, bar: &bar };
    let restored = backup::restore(from, &chosen.keys, to);
    bar.finish_and_clear();
    match restored {
        Err(backup::RestoreError::Archive(error)) => Err(chosen.failed(error)),
        restored => Ok((restored?, begun.elapsed())),
    }
}

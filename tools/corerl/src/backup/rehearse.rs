//! `corerl backup rehearse`: a restore into a place of its own, and proof that what is there then can be used.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::proofs::{Proof, proofs};
use super::restore::bring_back;
use super::told::{NewestTold, RESTORE_ALLOWED, restore_row};
use super::{PLACES, Which};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

#[derive(Debug, Args)]
#[command(
    after_help = format!("Examples:\n  corerl backup rehearse backups\n  corerl backup rehearse s3://plant-backups/works --identity key.txt --within /var/tmp\n\nThe backup is restored into a temporary directory; then site files are read, every block, row and byte of the history is verified,\nlearners take checkpoints over, policies are examined, audit logs followed from entry to entry. Nothing of it is left.\n\n{PLACES}\n\nExit codes: 1 something could not be used, 69 there is no backup, 77 it is for another key.")
)]
pub(super) struct RehearseArguments {
    #[command(flatten)]
    which: Which,
    /// Where there is room for what is restored [default: TMPDIR or /tmp].
    #[arg(long, value_name = "DIR")]
    within: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Rehearsed {
    backup: String,
    ok: bool,
    restore_seconds: f64,
    newest: Vec<NewestTold>,
    proofs: Vec<Proof>,
}

pub(super) fn run(arguments: &RehearseArguments) -> Result<Exit, Failure> {
    let chosen = arguments.which.choose()?;
    let room = arguments.within.clone().unwrap_or_else(std::env::temp_dir);
    let place = tempfile::Builder::new().prefix("corerl-rehearsal-").tempdir_in(&room);
    let place = place.map_err(|error| Failure::io("it cannot be written", &error).about(&room))?;
    let root = place.path().join("site");
    let (contents, took) = bring_back(&chosen, &root)?;
    let proofs = proofs(&root, &contents);
    let rehearsed = Rehearsed {
        backup: chosen.address(),
        ok: took <= RESTORE_ALLOWED && proofs.iter().all(|proof| proof.ok),
        restore_seconds: took.as_secs_f64(),
        newest: NewestTold::of(&contents.about, rt_sys::unix_time().as_ns()),
        proofs,
    };
    if arguments.json {
        print_json("corerl.backup-rehearse/1", &rehearsed)?;
    } else {
        let mut rows = vec![["backup".to_owned(), rehearsed.backup.clone()]];
        rows.extend(rehearsed.proofs.iter().map(Proof::row));
        rows.extend(rehearsed.newest.iter().map(NewestTold::row));
        rows.push(restore_row(took));
        print_text(&table(&rows))?;
    }
    Ok(if rehearsed.ok { Exit::Fine } else { Exit::CheckFailed })
}

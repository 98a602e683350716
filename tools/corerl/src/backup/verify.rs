//! `corerl backup verify`: whether every byte is what was written.

use backup::ReadError;
use clap::Args;
use serde::Serialize;

use super::told::{Watched, bar};
use super::{PLACES, Which};
use crate::failure::{Exit, Failure};
use crate::output::{self, Finding, print_json, print_text};

#[derive(Debug, Args)]
#[command(
    after_help = format!("Examples:\n  corerl backup verify backups\n  corerl backup verify s3://plant-backups/works --identity key.txt --json\n\nWhether what is in it can be used, `corerl backup rehearse` says.\n\n{PLACES}\n\nExit codes: 1 it is not what was written, 69 there is none, 77 it is for another key.")
)]
pub(super) struct VerifyArguments {
    #[command(flatten)]
    which: Which,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &VerifyArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        backup: String,
        ok: bool,
        findings: &'a [Finding],
    }
    let chosen = arguments.which.choose()?;
    let bar = bar("reading", chosen.size);
    let from = Watched { from: chosen.depot.open(&chosen.name)?, bar: &bar };
    let verified = backup::verify(from, &chosen.keys);
    bar.finish_and_clear();
    let (findings, files) = match verified {
        Ok(contents) => (Vec::new(), contents.manifest.files.len()),
        Err(ReadError::Damaged(findings)) => {
            (findings.into_iter().map(|of| Finding { place: of.place, what: of.what }).collect(), 0)
        }
        Err(error) => return Err(chosen.failed(error)),
    };
    let backup = chosen.address();
    if arguments.json {
        print_json("corerl.backup-verify/1", &Printed { backup, ok: findings.is_empty(), findings: &findings })?;
    } else if findings.is_empty() {
        eprintln!("{backup}: {files} files, every byte as it was written");
    } else {
        eprintln!("{backup}: NOT what was written");
        print_text(&output::findings(&findings))?;
    }
    Ok(if findings.is_empty() { Exit::Fine } else { Exit::CheckFailed })
}

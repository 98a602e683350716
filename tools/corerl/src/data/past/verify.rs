//! `corerl data verify`: whether what is kept is what was written.

use std::path::PathBuf;

use clap::Args;
use recall::AskError;
use serde::Serialize;

use super::place::read;
use crate::failure::{Exit, Failure};
use crate::output::{self, Finding, print_json, print_text};

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  corerl data verify --history /var/lib/corerl/history\n\nEvery block, every row and every byte of sealed days is checked against its checksum. Exit codes: 1 something has changed."
)]
pub(crate) struct VerifyArguments {
    /// The directory that corerl-historian keeps.
    #[arg(long, value_name = "DIRECTORY", default_value = "history")]
    history: PathBuf,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &VerifyArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        findings: &'a [Finding],
    }
    // Whoever names a wrong directory is told so as by every command.
    read(&arguments.history)?;
    let findings = archive::verify(&arguments.history).map_err(AskError::from)?;
    let findings: Vec<_> = findings.into_iter().map(|of| Finding { place: of.place, what: of.what }).collect();
    if arguments.json {
        print_json("corerl.data-verify/1", &Printed { findings: &findings })?;
    } else if findings.is_empty() {
        eprintln!("{}: everything is as it was written", arguments.history.display());
    } else {
        print_text(&output::findings(&findings))?;
    }
    Ok(if findings.is_empty() { Exit::Fine } else { Exit::CheckFailed })
}

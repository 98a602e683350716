//! `corerl data verify`: whether what is kept is what was written.

use std::path::PathBuf;

use archive::Checked;
use clap::Args;
use recall::AskError;
use serde::Serialize;

use super::place::read;
use super::time::{Zone, ZoneArguments};
use crate::failure::{Exit, Failure};
use crate::output::{self, Finding, print_json, print_text};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  corerl data verify --history /var/lib/corerl/history

Every row is checked against the number and the sum of what was written, every block and every byte of sealed days against its
checksum, and events by their numbers. So whatever a disk, a copy or a hand does to the history is found. What cannot be found:
- an older copy in its place, or one that has lost the end of its hot.sqlite-wal: it is whole, and ends earlier;
- a change by somebody who computes the sums anew: there is no secret in them. Who did what is proven by the audit log, whose
  records hang together: corerl audit verify.

Exit codes: 1 something has changed.")]
pub(crate) struct VerifyArguments {
    /// The directory that corerl-historian keeps.
    #[arg(long, value_name = "DIRECTORY", default_value = "history")]
    history: PathBuf,
    #[command(flatten)]
    zone: ZoneArguments,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What was looked at, for scripts.
#[derive(Serialize)]
struct Looked {
    blocks: u64,
    points: u64,
    events: u64,
    rows: u64,
    /// Whether the number and the sum of rows are known.
    rows_are_counted: bool,
    sealed_files: u64,
    sealed_days: u64,
    from: Option<String>,
    to: Option<String>,
}

impl Looked {
    fn of(checked: &Checked, zone: &Zone) -> Self {
        let Checked { rows, rows_are_counted, blocks, points, events, files, days, times_ns } = *checked;
        let (from, to) = times_ns.map(|(from, to)| (zone.tell(from), zone.tell(to))).unzip();
        Self { blocks, points, events, rows, rows_are_counted, sealed_files: files, sealed_days: days, from, to }
    }

    /// In one sentence.
    fn text(&self) -> String {
        let Self { blocks, points, events, rows, sealed_files, sealed_days, .. } = self;
        let mut text = format!(
            "checked {points} points and {events} events in {rows} rows, {blocks} of them blocks, and {sealed_files} files of \
             {sealed_days} sealed days"
        );
        if let (Some(from), Some(to)) = (&self.from, &self.to) {
            text += &format!(", from {from} to {to}");
        }
        if !self.rows_are_counted {
            text += "; a version without sums of rows has written it, so what is missing among rows, or has changed in them outside of \
                     blocks, is not found: it will be of what is there when corerl-historian opens it the next time";
        }
        text
    }
}

pub(crate) fn run(arguments: &VerifyArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        checked: &'a Looked,
        findings: &'a [Finding],
    }
    let zone = arguments.zone.zone()?;
    // Whoever names a wrong directory is told so as by every command.
    drop(read(&arguments.history)?);
    let verified = archive::verify(&arguments.history).map_err(AskError::from)?;
    let checked = Looked::of(&verified.checked, &zone);
    let findings: Vec<_> = verified.findings.into_iter().map(|of| Finding { place: of.place, what: of.what }).collect();
    if arguments.json {
        print_json("corerl.data-verify/1", &Printed { checked: &checked, findings: &findings })?;
    } else {
        print_text(&output::findings(&findings))?;
        let history = arguments.history.display();
        let verdict = if findings.is_empty() { "everything is as it was written" } else { "something has changed" };
        eprintln!("{history}: {verdict}; {}", checked.text());
    }
    Ok(if findings.is_empty() { Exit::Fine } else { Exit::CheckFailed })
}

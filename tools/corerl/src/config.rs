//! `corerl config`: checks site files, and prints their schema and an example.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use rt_config::{Complaint, Severity};
use serde_json::{Value, json};

/// The exit code of a bad configuration (`EX_CONFIG`).
const BAD_CONFIGURATION: u8 = 78;
/// The exit code when standard output does not take what is printed (`EX_TEMPFAIL`).
const OUTPUT_FAILED: u8 = 75;

/// Check site files, print their schema or an example.
#[derive(Args, Debug)]
pub(crate) struct ConfigCommand {
    #[command(subcommand)]
    action: ConfigAction,
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Check a site file and report everything that is wrong with it at once.
    #[command(
        after_help = "Example:\n  corerl config check site.yaml\n\nExit codes: 0 the file is fine, 78 it is refused or cannot be read."
    )]
    Check {
        /// The site file.
        file: PathBuf,
        /// Print an object with `ok` and `complaints` instead of text.
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema (draft-07) of site files: every key with description and default.
    #[command(after_help = "Example:\n  corerl config schema > corerl.schema.json")]
    Schema,
    /// Print a complete site file with comments, to start from.
    #[command(after_help = "Example:\n  corerl config example > site.yaml && corerl config check site.yaml")]
    Example,
}

/// Carries out `command`. Data goes to standard output, messages to standard error.
pub(crate) fn run(command: &ConfigCommand) -> ExitCode {
    match &command.action {
        ConfigAction::Check { file, json } => check(file, *json),
        ConfigAction::Schema => print(&format!("{:#}\n", rt_config::schema())),
        ConfigAction::Example => print(rt_config::example()),
    }
}

fn check(file: &Path, json: bool) -> ExitCode {
    let (site, complaints) = match rt_config::load(file) {
        Ok(loaded) => (Some(loaded.site), loaded.notices),
        Err(refused) => (None, refused.complaints),
    };
    if json {
        let complaints: Vec<Value> = complaints.iter().map(complaint_json).collect();
        let printed = print(&format!(
            "{:#}\n",
            json!({ "schema": "corerl.config/1", "ok": site.is_some(), "complaints": complaints })
        ));
        return if site.is_some() { printed } else { ExitCode::from(BAD_CONFIGURATION) };
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    let Some(site) = site else {
        let errors = complaints.iter().filter(|complaint| complaint.severity == Severity::Error).count();
        let plural = if errors == 1 { "" } else { "s" };
        eprintln!("{}: refused, {errors} error{plural}", file.display());
        return ExitCode::from(BAD_CONFIGURATION);
    };
    print(&format!(
        "{}: fine. Site {}, agent {}, {} connection(s), {} tags, {} setpoint(s)\n",
        file.display(),
        site.name,
        site.agent_name,
        site.connections.len(),
        site.tags.len(),
        site.setpoints.len(),
    ))
}

fn complaint_json(complaint: &Complaint) -> Value {
    json!({
        "file": complaint.file.to_string_lossy(),
        "line": complaint.place.map(|place| place.line),
        "column": complaint.place.map(|place| place.column),
        "severity": complaint.severity.name(),
        "message": complaint.message,
        "help": complaint.help,
    })
}

/// Prints data; a reader that has gone away (`| head`) is no failure.
fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("corerl config: standard output cannot be written: {error}");
            ExitCode::from(OUTPUT_FAILED)
        }
    }
}

//! `corerl config`: checks, applies, drafts and migrates site files, and prints their schema and an example.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};
use rt_config::{Complaint, Severity};
use rt_control::CONFIGURATION_BYTES_MAX;
use serde::Serialize;
use serde_json::{Value, json};

use crate::data::{TagsArguments, draft_tags};
use crate::failure::{Exit, Failure};
use crate::field::{FromServerArguments, draft_site};
use crate::migrate::{MigrateArguments, migrate};
use crate::output::print_json;
use crate::target::Target;

/// The exit code of a bad configuration (`EX_CONFIG`).
const BAD_CONFIGURATION: u8 = 78;
/// The exit code when standard output does not take what is printed (`EX_TEMPFAIL`).
const OUTPUT_FAILED: u8 = 75;

/// Check and apply site files, draft one from a server, print their schema or an example.
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
    /// Apply limits, nominal values and rules for tags of a site file to a running agent, all or nothing.
    ///
    /// Whatever else differs from the running configuration needs a restart, and refuses the file. The runtime does not
    /// touch the file that it was started with. It keeps this one in its state directory, and the next start uses it for as long
    /// as the file of the start is the same; a file that was edited meanwhile counts instead. `corerl agent status` tells which.
    #[command(
        after_help = "Example:\n  corerl config apply site.yaml --cause 'narrower limits for the night shift'\n\nExit codes: 0 applied, 69 no runtime, 75 it cannot be recorded, 77 no permission, 78 the file is refused."
    )]
    Apply(ApplyArguments),
    /// Print the JSON Schema (draft-07) of site files: every key with description and default.
    #[command(after_help = "Example:\n  corerl config schema > corerl.schema.json")]
    Schema,
    /// Draft a site file from what lies on a server.
    FromServer(FromServerArguments),
    /// Draft the tags of a site file from a history.
    Tags(TagsArguments),
    /// Make a site file of one for CoreRL's Python services.
    Migrate(MigrateArguments),
    /// Print a complete site file with comments, to start from.
    #[command(after_help = "Example:\n  corerl config example > site.yaml && corerl config check site.yaml")]
    Example,
}

#[derive(Args, Debug)]
struct ApplyArguments {
    /// The site file.
    file: PathBuf,
    #[command(flatten)]
    target: Target,
    /// Why, in your words; recorded with your user id.
    #[arg(long, value_name = "TEXT", default_value = "command line")]
    cause: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Carries out `command`. Data goes to standard output, messages to standard error.
pub(crate) fn run(command: &ConfigCommand) -> ExitCode {
    match &command.action {
        ConfigAction::Check { file, json } => check(file, *json),
        ConfigAction::Apply(arguments) => apply(arguments).unwrap_or_else(|failure| failure.report()).into(),
        ConfigAction::FromServer(arguments) => draft_site(arguments).unwrap_or_else(|failure| failure.report()).into(),
        ConfigAction::Tags(arguments) => draft_tags(arguments).unwrap_or_else(|failure| failure.report()).into(),
        ConfigAction::Migrate(arguments) => migrate(arguments).unwrap_or_else(|failure| failure.report()).into(),
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

fn apply(arguments: &ApplyArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed<'a> {
        agent: String,
        message: &'a str,
    }
    let text = std::fs::read_to_string(&arguments.file)
        .map_err(|error| Failure::io(format_args!("{} cannot be read", arguments.file.display()), &error))?;
    if text.len() > CONFIGURATION_BYTES_MAX {
        let message = format!(
            "{} has {} bytes, and a running agent takes at most {CONFIGURATION_BYTES_MAX}: restart it with the file instead",
            arguments.file.display(),
            text.len()
        );
        return Err(Failure::new(Exit::BadConfiguration, message));
    }
    let (address, mut client) = arguments.target.connect()?;
    let message = client.configure(&text, &arguments.cause)?;
    if arguments.json {
        print_json("corerl.apply/1", &Printed { agent: address.label(), message: &message })?;
    } else {
        eprintln!("{}: {message}", address.label());
    }
    Ok(Exit::Fine)
}

pub(crate) fn complaint_json(complaint: &Complaint) -> Value {
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

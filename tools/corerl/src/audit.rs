//! `corerl audit`: what was done to an agent, and whether the record of it is the one that was written.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use rt_state::audit::{self, Fault, Head, Record, VerifyError};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text};
use crate::target::Target;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl audit verify state/works.ph.main.audit")]
pub(crate) struct AuditArguments {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Find out whether an audit log is, entry for entry, what was written.
    ///
    /// Each entry holds the hash of the one before, and the newest one is kept beside the log as well: entries that were changed,
    /// taken out, put in or moved, and an end that was cut off, are found. Whoever may write both files could write another
    /// history; that is found against a head that was noted elsewhere, as `corerl agent status` and the runtime's own log
    /// show it. Without FILE, the log of the running agent is compared with the head in the runtime's memory.
    #[command(
        after_help = "Examples:\n  corerl audit verify state/works.ph.main.audit\n  corerl audit verify state/works.ph.main.audit --head 12:5b1f…\n  corerl audit verify --agent works/ph\n\nExit codes: 0 it is what was written, 1 it is not, 69 it cannot be read."
    )]
    Verify(VerifyArguments),
    /// Print an audit log, and say whether it is what was written.
    #[command(
        after_help = "Examples:\n  corerl audit show state/works.ph.main.audit\n  corerl audit show state/works.ph.main.audit --json | jq .entries[-1]"
    )]
    Show {
        /// The log.
        file: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct VerifyArguments {
    /// The log; without it, that of the running agent.
    file: Option<PathBuf>,
    /// An entry that has to be in it, NUMBER:HASH.
    #[arg(long, value_name = "HEAD", requires = "file")]
    head: Option<Head>,
    #[command(flatten)]
    target: Target,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What is printed about a log.
#[derive(Serialize)]
struct Verdict {
    file: String,
    ok: bool,
    count: Option<u64>,
    head: Option<String>,
    fault: Option<String>,
}

impl Verdict {
    fn of(file: &Path, verified: &Result<Option<Head>, Fault>) -> Self {
        let head = verified.as_ref().ok().and_then(Option::as_ref);
        Self {
            file: file.display().to_string(),
            ok: verified.is_ok(),
            count: verified.as_ref().ok().map(|head| head.as_ref().map_or(0, |head| head.n)),
            head: head.map(Head::to_string),
            fault: verified.as_ref().err().map(Fault::to_string),
        }
    }

    /// Says it to a person, beside the data.
    fn say(&self) {
        match (&self.fault, &self.head) {
            (Some(fault), _) => eprintln!("{}: NOT what was written: {fault}", self.file),
            (None, Some(head)) => {
                eprintln!("{}: {} entries, each as it was written; head {head}", self.file, self.count.unwrap_or(0));
            }
            (None, None) => eprintln!("{}: empty", self.file),
        }
    }

    fn exit(&self) -> Exit {
        if self.ok { Exit::Fine } else { Exit::CheckFailed }
    }
}

pub(crate) fn run(arguments: &AuditArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        AuditCommand::Verify(arguments) => verify(arguments),
        AuditCommand::Show { file, json } => show(file, *json),
    }
}

fn verify(arguments: &VerifyArguments) -> Result<Exit, Failure> {
    let (file, head) = match &arguments.file {
        Some(file) => (file.clone(), arguments.head.clone()),
        None => of_running(&arguments.target)?,
    };
    let verdict = Verdict::of(&file, &believed(&file, head.as_ref())?);
    if arguments.json {
        print_json("corerl.audit/1", &verdict)?;
    } else {
        verdict.say();
    }
    Ok(verdict.exit())
}

/// The log of the running agent, and the newest entry that its runtime knows of.
fn of_running(target: &Target) -> Result<(PathBuf, Option<Head>), Failure> {
    let (_, mut client) = target.connect()?;
    let status = client.status()?.audit;
    Ok((status.path.into(), status.head.and_then(|head| head.parse().ok())))
}

fn believed(file: &Path, head: Option<&Head>) -> Result<Result<Option<Head>, Fault>, Failure> {
    match audit::verify(file, head) {
        Ok(newest) => Ok(Ok(newest)),
        Err(VerifyError::Fault(fault)) => Ok(Err(fault)),
        Err(VerifyError::Io { path, source }) => Err(Failure::io(path.display(), &source)),
    }
}

fn show(file: &Path, json: bool) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Shown {
        #[serde(flatten)]
        verdict: Verdict,
        entries: Vec<Record>,
    }
    let verified = believed(file, None)?;
    let unreadable = |error| Failure::io(file.display(), &error);
    let lines = audit::records(file).map_err(unreadable)?.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let entries: Vec<Record> = lines.into_iter().flatten().collect();
    let verdict = Verdict::of(file, &verified);
    let exit = verdict.exit();
    if json {
        print_json("corerl.audit/1", &Shown { verdict, entries })?;
    } else {
        print_text(&entries.iter().map(for_people).collect::<String>())?;
        verdict.say();
    }
    Ok(exit)
}

fn for_people(Record { n, entry, .. }: &Record) -> String {
    let who = entry.uid.map(|uid| format!(" (uid {uid})")).unwrap_or_default();
    format!("{n:>6}  {}  {:<16}  {}{who}\n", entry.time, entry.what, entry.text.escape_debug())
}

//! `corerl shm`: what is in the shared memory of running agents, read-only.
//!
//! `list` says what there is, `show` tells one thing of it in words, `follow` goes on telling, `dump` leaves nothing out, and
//! `check` judges it. What a segment holds is taken apart in `records` (rings) and `states` (everything else).

mod check;
mod dump;
mod follow;
mod found;
mod list;
mod records;
mod show;
mod states;

pub(crate) use states::published_weights;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use shm::SegmentKind;

use crate::failure::{Exit, Failure};
use crate::scope::{self, ScopeArguments};
use crate::top::{self, TopArguments};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  corerl shm ls\n  corerl shm watch level\n  corerl shm check")]
pub(crate) struct ShmArguments {
    #[command(subcommand)]
    command: ShmCommand,
}

#[derive(Debug, Subcommand)]
enum ShmCommand {
    /// All agents and their segments.
    #[command(
        after_help = "Examples:\n  corerl shm ls\n  corerl shm ls --json | jq '.segments[] | select(.owner_alive | not)'\n\n\
                      Agents are found by their control sockets, those that stand by too. A segment of another layout version is \
                      listed with what it says of itself."
    )]
    Ls(list::ListArguments),
    /// One segment, tag or setpoint in words.
    #[command(
        after_help = "Examples:\n  corerl shm show weights\n  corerl shm show level\n  corerl shm show tag:events    the tag, where a segment has the name, too"
    )]
    Show(show::ShowArguments),
    /// Follow tags and setpoints: a line for every change, or for every interval.
    #[command(
        after_help = "Examples:\n  corerl shm watch level u\n  corerl shm watch level --every 100ms --for 10s\n  corerl shm watch level --json | jq '.values.level.value'\n\n\
                      Every cycle is looked at, and what was overwritten before it was read is counted and told at the end. A \
                      runtime that dies is waited for. With --json there is one object a line: values, and what became of the \
                      runtime as `event`."
    )]
    Watch(follow::WatchArguments),
    /// The content of one segment at this moment, or of all.
    #[command(
        after_help = "Examples:\n  corerl shm dump counters\n  corerl shm dump cycles --last 5 --json | jq '.content.records[].reward'\n  corerl shm dump --json > everything.json\n\n\
                      Reading never disturbs whoever writes; what was overwritten meanwhile is counted as lost."
    )]
    Dump(dump::DumpArguments),
    /// Judge everything that is there: headers, rings, checksums, heartbeats, counters against each other, time moving.
    #[command(after_help = "Examples:\n  corerl shm check\n  corerl shm check --json | jq -r '.findings[].what'\n\n\
                      Exit codes: 0 all is sound, 1 there are findings, 69 nobody is there.")]
    Check(check::CheckArguments),
    /// A running agent on one screen: mode, timing, tags, setpoints, policy, threads, events.
    #[command(after_help = "Examples:\n  corerl shm top\n  corerl shm top --agent works/ph --tab tags --no-colour\n\n\
                      `?` shows the keys. Looking disturbs nobody: memory is mapped read-only, and the screen stays when the runtime ends.")]
    Top(TopArguments),
    /// Watch signals as on an oscilloscope: triggers, cursors, captures.
    Scope(ScopeArguments),
}

pub(crate) fn run(arguments: &ShmArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        ShmCommand::Ls(arguments) => list::run(arguments),
        ShmCommand::Show(arguments) => show::run(arguments),
        ShmCommand::Watch(arguments) => follow::run(arguments),
        ShmCommand::Dump(arguments) => dump::run(arguments),
        ShmCommand::Check(arguments) => check::run(arguments),
        ShmCommand::Top(arguments) => top::run(arguments),
        ShmCommand::Scope(arguments) => scope::run(arguments),
    }
}

/// What a segment holds, both ways.
struct Content {
    json: Value,
    text: String,
}

/// Takes the names of segments.
fn segment_parser() -> PossibleValuesParser {
    PossibleValuesParser::new(SegmentKind::ALL.iter().map(|kind| kind.name()))
}

fn kind_of(name: &str) -> Result<SegmentKind, Failure> {
    SegmentKind::from_name(name).ok_or_else(|| Failure::new(Exit::Usage, format_args!("no segment is called `{name}`")))
}

/// Our own attaching was checked, so a role that is refused is a fault of this program.
fn internal(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Internal, error)
}

/// Names of the bits that are set; a bit without a name gives its number.
fn names_of_bits(bits: u64, names: &[(u64, &str)]) -> Vec<Value> {
    let set = (0..u64::BITS).map(|bit| 1_u64 << bit).filter(|bit| bits & bit != 0);
    set.map(|bit| names.iter().find(|(known, _)| *known == bit).map_or(json!(bit), |(_, name)| json!(name))).collect()
}

#[cfg(test)]
mod tests;

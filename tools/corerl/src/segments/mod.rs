//! `corerl shm`: what is in the shared memory of running agents, read-only.

mod records;
mod states;

pub(crate) use states::published_weights;

use clap::{Args, Subcommand};
use rt_control::{Address, CallError, Client, Description};
use serde::Serialize;
use serde_json::{Value, json};
use shm::{Access, Segment, SegmentKind};
use shm_layout::{Counter, LAYOUT_VERSION, LearnerCounter};

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};
use crate::target::{Directory, Target};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  corerl shm dump cycles --last 5")]
pub(crate) struct ShmArguments {
    #[command(subcommand)]
    command: ShmCommand,
}

#[derive(Debug, Subcommand)]
enum ShmCommand {
    /// The segments of all running agents.
    #[command(after_help = "Example:\n  corerl shm ls --json")]
    Ls(LsArguments),
    /// The content of one segment at this moment.
    #[command(
        after_help = "Examples:\n  corerl shm dump counters\n  corerl shm dump cycles --last 5 --json | jq '.content.records[].reward'\n\n\
                            Reading never disturbs whoever writes; what was overwritten meanwhile is counted as lost."
    )]
    Dump(DumpArguments),
    /// Watch signals as on an oscilloscope: triggers, cursors, captures.
    Scope(crate::scope::ScopeArguments),
}

#[derive(Debug, Args)]
struct LsArguments {
    #[command(flatten)]
    directory: Directory,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DumpArguments {
    /// Which segment.
    #[arg(value_name = "SEGMENT", value_parser = clap::builder::PossibleValuesParser::new(SegmentKind::ALL.iter().map(|kind| kind.name())))]
    segment: String,
    #[command(flatten)]
    target: Target,
    /// Of a ring, the newest so many records.
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &ShmArguments) -> Result<Exit, Failure> {
    match &arguments.command {
        ShmCommand::Ls(arguments) => list(arguments),
        ShmCommand::Dump(arguments) => dump(arguments),
        ShmCommand::Scope(arguments) => crate::scope::run(arguments),
    }
}

/// One line of `shm ls`; the numbers are missing where the segment was refused.
#[derive(Debug, Serialize)]
struct Listed {
    agent: String,
    segment: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(flatten)]
    facts: Option<Facts>,
}

#[derive(Debug, Serialize)]
struct Facts {
    bytes: usize,
    layout_version: u32,
    generation: u64,
    slots: usize,
    slot_bytes: usize,
    owner_pid: u32,
}

impl Facts {
    fn of(segment: &Segment) -> Self {
        let header = segment.header();
        Self {
            bytes: header.length_bytes(),
            // A segment of another version is not attached at all.
            layout_version: LAYOUT_VERSION,
            generation: header.generation(),
            slots: header.slots(),
            slot_bytes: header.slot_words() * size_of::<u64>(),
            owner_pid: header.owner_pid(),
        }
    }
}

fn list(arguments: &LsArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Segments {
        segments: Vec<Listed>,
    }
    let mut segments = Vec::new();
    for (address, mut client) in arguments.directory.running()? {
        segments.extend(SegmentKind::ALL.iter().filter_map(|&kind| look(&address, &mut client, kind)));
    }
    if arguments.json {
        print_json("corerl.shm.ls/1", &Segments { segments })?;
    } else if segments.is_empty() {
        eprintln!("no runtime is listening below {}", arguments.directory.path().display());
    } else {
        print_text(&for_people(&segments))?;
    }
    Ok(Exit::Fine)
}

fn for_people(segments: &[Listed]) -> String {
    let heading = ["agent", "segment", "bytes", "layout", "generation", "slots", "owner"].map(String::from);
    let row = |listed: &Listed| {
        let refused = || listed.refused.clone().unwrap_or_default();
        let facts = match &listed.facts {
            Some(Facts { bytes, layout_version, generation, slots, slot_bytes, owner_pid }) => [
                bytes.to_string(),
                layout_version.to_string(),
                generation.to_string(),
                format!("{slots} x {slot_bytes}"),
                owner_pid.to_string(),
            ],
            None => [String::new(), String::new(), String::new(), String::new(), refused()],
        };
        let [bytes, layout, generation, slots, owner] = facts;
        [listed.agent.clone(), listed.segment.into(), bytes, layout, generation, slots, owner]
    };
    table(&std::iter::once(heading).chain(segments.iter().map(row)).collect::<Vec<_>>())
}

/// One segment, or why it cannot be looked at; `None` if the runtime has none of this kind (before a learner joined).
fn look(address: &Address, client: &mut Client, kind: SegmentKind) -> Option<Listed> {
    let (refused, facts) = match client.segment(kind.code()) {
        Ok(descriptor) => match Segment::attach(descriptor, Access::ReadOnly, kind) {
            Ok(segment) => (None, Some(Facts::of(&segment))),
            Err(refused) => (Some(refused.to_string()), None),
        },
        Err(CallError::Refused(rt_control::Refusal::NoSuchSegment { .. })) => return None,
        Err(error) => (Some(error.to_string()), None),
    };
    Some(Listed { agent: address.label(), segment: kind.name(), refused, facts })
}

/// What a segment holds, both ways.
struct Content {
    json: Value,
    text: String,
}

fn dump(arguments: &DumpArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Dumped<'a> {
        agent: String,
        segment: &'a str,
        header: Facts,
        content: Value,
    }
    let kind = SegmentKind::from_name(&arguments.segment)
        .ok_or_else(|| Failure::new(Exit::Internal, format_args!("no segment is called {}", arguments.segment)))?;
    let (address, mut client) = arguments.target.connect()?;
    let description = client.describe()?;
    let descriptor = client.segment(kind.code())?;
    let segment = Segment::attach(descriptor, Access::ReadOnly, kind).map_err(|refused| {
        Failure::new(Exit::Unavailable, format_args!("{} of {}: {refused}", kind, address.label()))
    })?;
    let Content { json, text } = content(&segment, &description, arguments.last)?;
    if arguments.json {
        let header = Facts::of(&segment);
        print_json("corerl.shm/1", &Dumped { agent: address.label(), segment: kind.name(), header, content: json })?;
    } else {
        print_text(&text)?;
    }
    Ok(Exit::Fine)
}

fn content(segment: &Segment, names: &Description, last: u64) -> Result<Content, Failure> {
    match segment.header().kind() {
        SegmentKind::Counters => states::counters::<Counter>(segment, Counter::ALL, Counter::name, Counter::doc),
        SegmentKind::LearnerCounters => {
            states::counters::<LearnerCounter>(segment, LearnerCounter::ALL, LearnerCounter::name, LearnerCounter::doc)
        }
        SegmentKind::Histograms => states::histograms(segment),
        SegmentKind::Weights => states::weights(segment),
        SegmentKind::Cycles => records::cycles(segment, names, last),
        SegmentKind::Transitions => records::transitions(segment, names, last),
        SegmentKind::Events => records::events(segment, last),
        SegmentKind::Estimates => records::estimates(segment, last),
        SegmentKind::Lease => states::lease(segment),
    }
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

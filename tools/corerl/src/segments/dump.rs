//! `corerl shm dump`: what one segment holds at this moment, or all of them.

use clap::Args;
use rt_control::{Address, Client, Description};
use serde::Serialize;
use serde_json::Value;
use shm::{Segment, SegmentKind};
use shm_layout::{Counter, LearnerCounter};

use super::found::{Facts, Found, find};
use super::{Content, records, segment_parser, states};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text};
use crate::target::Target;

#[derive(Debug, Args)]
pub(super) struct DumpArguments {
    /// Which segment; all of them when it is left out.
    #[arg(value_name = "SEGMENT", value_parser = segment_parser())]
    segment: Option<String>,
    #[command(flatten)]
    target: Target,
    /// Of a ring, the newest so many records.
    #[arg(long, value_name = "N", default_value_t = 20)]
    last: u64,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A segment's content, or why there is none.
#[derive(Serialize)]
struct Dumped {
    segment: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    header: Option<Facts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Value>,
    #[serde(skip)]
    text: String,
}

pub(super) fn run(arguments: &DumpArguments) -> Result<Exit, Failure> {
    let (address, mut client) = arguments.target.connect()?;
    let description = client.describe()?;
    match &arguments.segment {
        Some(name) => one(arguments, name, &address, &mut client, &description),
        None => all(arguments, &address, &mut client, &description),
    }
}

fn one(
    arguments: &DumpArguments,
    name: &str,
    address: &Address,
    client: &mut Client,
    description: &Description,
) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed {
        agent: String,
        #[serde(flatten)]
        dumped: Dumped,
    }
    let kind = super::kind_of(name)?;
    let segment = watch::segment(client, kind)?;
    let dumped = Dumped::of(&segment, description, arguments.last)?;
    if arguments.json {
        print_json("corerl.shm/1", &Printed { agent: address.label(), dumped })?;
    } else {
        print_text(&dumped.text)?;
    }
    Ok(Exit::Fine)
}

fn all(
    arguments: &DumpArguments,
    address: &Address,
    client: &mut Client,
    description: &Description,
) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed {
        agent: String,
        segments: Vec<Dumped>,
    }
    let mut segments = Vec::new();
    for &kind in SegmentKind::ALL {
        match find(client, kind) {
            Some(Found::Believed(segment)) => segments.push(Dumped::of(&segment, description, arguments.last)?),
            Some(Found::Refused(refused)) => segments.push(Dumped {
                segment: kind.name(),
                header: refused.alleged.as_ref().map(Facts::alleged),
                content: None,
                text: format!("{}\n", refused.reason),
                refused: Some(refused.reason),
            }),
            None => {}
        }
    }
    if arguments.json {
        print_json("corerl.shm.dump/1", &Printed { agent: address.label(), segments })?;
    } else {
        let told = segments.iter().map(|dumped| format!("{}\n{}", dumped.segment, indented(&dumped.text)));
        print_text(&told.collect::<Vec<_>>().join("\n"))?;
    }
    Ok(Exit::Fine)
}

impl Dumped {
    fn of(segment: &Segment, names: &Description, last: u64) -> Result<Self, Failure> {
        let Content { json, text } = content(segment, names, last)?;
        let header = Some(Facts::of(segment));
        Ok(Self { segment: segment.header().kind().name(), refused: None, header, content: Some(json), text })
    }
}

pub(super) fn content(segment: &Segment, names: &Description, last: u64) -> Result<Content, Failure> {
    match segment.header().kind() {
        SegmentKind::Counters => states::counters::<Counter>(segment, Counter::ALL, Counter::name, Counter::doc),
        SegmentKind::LearnerCounters => {
            states::counters::<LearnerCounter>(segment, LearnerCounter::ALL, LearnerCounter::name, LearnerCounter::doc)
        }
        SegmentKind::Connections => states::connections(segment),
        SegmentKind::Histograms | SegmentKind::RoundTrips | SegmentKind::LearnerHistograms => {
            states::histograms(segment)
        }
        SegmentKind::Weights => Ok(states::weights(segment)),
        SegmentKind::Cycles => records::cycles(segment, names, last),
        SegmentKind::Transitions => records::transitions(segment, names, last),
        SegmentKind::Events => records::events(segment, last),
        SegmentKind::Estimates => records::estimates(segment, last),
        SegmentKind::Lease => states::lease(segment),
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

//! `corerl shm check`: whether everything in shared memory is as a sound runtime and a sound learner would leave it.
//!
//! `structure` judges each segment by itself, `rings` and `weights` what lies in it, `ledger` what the segments say of each
//! other, and `life` whether time moves. A running writer changes things between two looks: what cannot be read at one
//! instant is read again before it is called wrong.

mod finding;
mod ledger;
mod life;
mod rings;
mod structure;
mod weights;

use std::collections::BTreeMap;

use clap::Args;
use rt_control::{CallError, Client, ConnectError, Description, Status};
use serde::Serialize;
use shm::{Segment, SegmentKind};

use super::found::{Found, find};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text};
use crate::target::{CALL_TIMEOUT, Directory};
pub(super) use finding::Finding;
use finding::{Findings, LEARNER, REPORT, STUCK, VERSION};
pub(super) use structure::examine_segment;

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    #[command(flatten)]
    directory: Directory,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What a runtime says of itself.
pub(super) struct Subject {
    pub(super) description: Description,
    pub(super) status: Status,
}

impl Subject {
    pub(super) fn ask(client: &mut Client) -> Result<Self, CallError> {
        Ok(Self { description: client.describe()?, status: client.status()? })
    }
}

/// Everything that was looked at.
#[derive(Debug, Default, Serialize)]
struct Report {
    agents: Vec<String>,
    segments: usize,
    findings: Vec<Finding>,
}

pub(super) fn run(arguments: &CheckArguments) -> Result<Exit, Failure> {
    let mut report = Report::default();
    let mut silent = Vec::new();
    for address in arguments.directory.addresses()? {
        let label = address.label();
        match Client::connect(&address, CALL_TIMEOUT) {
            Ok(mut client) => report.add(label, examine(&address.label(), &mut client)),
            Err(error) => silent.push((label, error)),
        }
    }
    if report.agents.is_empty() {
        return Err(nobody(&arguments.directory, silent));
    }
    report.findings.extend(silent.into_iter().flat_map(|(label, error)| left_over(&label, &error)));
    let exit = if report.findings.is_empty() { Exit::Fine } else { Exit::CheckFailed };
    if arguments.json {
        print_json("corerl.shm.check/1", &report)?;
    } else {
        print_text(&report.findings.iter().map(|finding| format!("{finding}\n")).collect::<String>())?;
        let Report { agents, segments, findings } = &report;
        eprintln!("{segments} segments of {}: {}", agents.join(", "), told(findings.len()));
    }
    Ok(exit)
}

fn told(findings: usize) -> String {
    match findings {
        0 => "all is sound".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    }
}

impl Report {
    fn add(&mut self, agent: String, (segments, findings): (usize, Vec<Finding>)) {
        self.agents.push(agent);
        self.segments += segments;
        self.findings.extend(findings);
    }
}

fn nobody(directory: &Directory, silent: Vec<(String, ConnectError)>) -> Failure {
    match silent.into_iter().next() {
        Some((label, error)) => {
            let failure = Failure::from(error);
            let exit = failure.exit();
            Failure::new(exit, format_args!("{label}: {failure}"))
        }
        None => Failure::new(
            Exit::Unavailable,
            format_args!(
                "no runtime is listening below {}: start one with `corerl run`, or name its directory with --runtime-dir",
                directory.path().display()
            ),
        ),
    }
}

/// A socket where nobody listens, beside others that answer.
fn left_over(label: &str, error: &ConnectError) -> Vec<Finding> {
    let mut findings = Findings::of(label);
    match error {
        ConnectError::NotRunning { .. } => {
            findings.add("nobody listens at its socket: its runtime died", "start it again with `corerl run`");
        }
        ConnectError::Io { source, .. } => {
            findings
                .add(format!("its socket cannot be used: {source}"), "ask as root or as one of `runtime.operators`");
        }
    }
    findings.list
}

/// How many segments of an agent were looked at, and what was found.
fn examine(label: &str, client: &mut Client) -> (usize, Vec<Finding>) {
    let mut findings = Findings::of(label);
    let subject = match Subject::ask(client) {
        Ok(subject) => subject,
        Err(error @ CallError::NotUnderstood) => {
            findings.add(error.to_string(), VERSION);
            return (0, findings.list);
        }
        Err(error) => {
            findings.add(format!("it does not say how it is: {error}"), STUCK);
            return (0, findings.list);
        }
    };
    let segments = believed(client, &subject, &mut findings);
    for segment in segments.values() {
        findings.list.extend(examine_segment(label, segment, &subject));
    }
    ledger::examine(&segments, &mut findings);
    life::examine(&segments, &subject, &mut findings);
    (segments.len(), findings.list)
}

/// The segments whose headers are believed.
fn believed(client: &mut Client, subject: &Subject, findings: &mut Findings) -> BTreeMap<SegmentKind, Segment> {
    let mut segments = BTreeMap::new();
    for &kind in SegmentKind::ALL {
        findings.about(kind);
        match find(client, kind) {
            Some(Found::Believed(segment)) => {
                segments.insert(kind, segment);
            }
            Some(Found::Refused(refused)) => {
                let versions_differ = refused.alleged.is_some_and(|header| {
                    (header.layout_version, header.layout_hash) != (shm_layout::LAYOUT_VERSION, shm_layout::LAYOUT_HASH)
                });
                findings.add(refused.reason, if versions_differ { VERSION } else { finding::FOREIGN });
            }
            None if is_of_learner(kind) && subject.status.learner.epoch == 0 => {}
            None if is_of_learner(kind) => findings.add("a learner has joined, and its segment is not there", LEARNER),
            None => findings.add("the runtime does not have this segment", REPORT),
        }
    }
    findings.about_all();
    segments
}

/// Made for a learner, when it joins.
fn is_of_learner(kind: SegmentKind) -> bool {
    use SegmentKind::{Estimates, LearnerCounters, LearnerHistograms, Weights};
    matches!(kind, Weights | LearnerCounters | Estimates | LearnerHistograms)
}

#[cfg(test)]
mod tests;

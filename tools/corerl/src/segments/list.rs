//! `corerl shm ls`: every agent that has a control socket, and its segments.

use std::collections::BTreeMap;

use clap::Args;
use rt_control::{Address, CallError, Client, ConnectError};
use serde::Serialize;
use shm::SegmentKind;

use super::check::{Finding, Subject, examine_segment};
use super::found::{Facts, Found, Owner, find};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, span, table};
use crate::target::{CALL_TIMEOUT, Directory};

#[derive(Debug, Args)]
pub(super) struct ListArguments {
    #[command(flatten)]
    directory: Directory,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// A control socket, and who answers there.
#[derive(Debug, Serialize)]
struct Agent {
    agent: String,
    /// Leads, stands by, or what is wrong with it, in words.
    state: String,
    pid: Option<u32>,
    mode: Option<String>,
    armed: Option<bool>,
}

/// One line of the segments; the numbers are missing where nothing is known of them.
#[derive(Debug, Serialize)]
struct Listed {
    agent: String,
    segment: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    #[serde(flatten)]
    facts: Option<Facts>,
    findings: Vec<Finding>,
}

pub(super) fn run(arguments: &ListArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Printed {
        agents: Vec<Agent>,
        segments: Vec<Listed>,
    }
    let (mut agents, mut segments) = (Vec::new(), Vec::new());
    for address in arguments.directory.addresses()? {
        match Client::connect(&address, CALL_TIMEOUT) {
            Ok(client) => {
                let (agent, mut listed) = look(&address, client);
                agents.push(agent);
                segments.append(&mut listed);
            }
            Err(error) => agents.push(Agent::silent(&address, &error)),
        }
    }
    if arguments.json {
        print_json("corerl.shm.ls/1", &Printed { agents, segments })?;
    } else if agents.is_empty() {
        eprintln!("no runtime is listening below {}", arguments.directory.path().display());
    } else {
        print_text(&for_people(&agents, &segments))?;
    }
    Ok(Exit::Fine)
}

impl Agent {
    fn silent(address: &Address, error: &ConnectError) -> Self {
        let state = match error {
            ConnectError::NotRunning { .. } => "nobody listens: its runtime has died".to_owned(),
            ConnectError::Io { source, .. } => source.to_string(),
        };
        Self { agent: address.label(), state, pid: None, mode: None, armed: None }
    }

    fn unknown(address: &Address, error: &CallError) -> Self {
        Self { agent: address.label(), state: error.to_string(), pid: None, mode: None, armed: None }
    }

    fn of(address: &Address, subject: &Subject) -> Self {
        let lease = &subject.status.lease;
        let state = match (lease.leads, lease.partner) {
            (true, Some(partner)) => format!("leads, {partner} stands by"),
            (true, None) => "leads".to_owned(),
            (false, Some(partner)) => format!("stands by for {partner}"),
            (false, None) => "stands by".to_owned(),
        };
        Self {
            agent: address.label(),
            state,
            pid: Some(subject.description.pid),
            mode: Some(subject.status.mode.clone()),
            armed: Some(subject.status.armed),
        }
    }
}

/// An agent that listens. One of another version may not understand what is asked of it, and still hand out its segments.
fn look(address: &Address, mut client: Client) -> (Agent, Vec<Listed>) {
    let subject = Subject::ask(&mut client);
    let segments = SegmentKind::ALL.iter().filter_map(|&kind| {
        let found = find(&mut client, kind)?;
        Some(Listed::of(address, kind, &found, subject.as_ref().ok()))
    });
    let segments = segments.collect();
    let agent = match &subject {
        Ok(subject) => Agent::of(address, subject),
        Err(error) => Agent::unknown(address, error),
    };
    (agent, segments)
}

impl Listed {
    fn of(address: &Address, kind: SegmentKind, found: &Found, subject: Option<&Subject>) -> Self {
        let agent = address.label();
        let (refused, facts, findings) = match found {
            Found::Believed(segment) => {
                let findings = subject.map(|subject| examine_segment(&agent, segment, subject)).unwrap_or_default();
                (None, Some(Facts::of(segment)), findings)
            }
            Found::Refused(refused) => {
                (Some(refused.reason.clone()), refused.alleged.as_ref().map(Facts::alleged), Vec::new())
            }
        };
        Self { agent, segment: kind.name(), refused, facts, findings }
    }

    fn health(&self) -> String {
        match (&self.refused, self.findings.len()) {
            (Some(refused), _) => refused.clone(),
            (None, 0) => "sound".to_owned(),
            (None, 1) => "1 finding".to_owned(),
            (None, count) => format!("{count} findings"),
        }
    }
}

fn for_people(agents: &[Agent], segments: &[Listed]) -> String {
    let heading = ["agent", "process", "mode", "state"].map(String::from);
    let row = |of: &Agent| {
        let armed = of.armed.map_or("", |armed| if armed { ", armed" } else { "" });
        [
            of.agent.clone(),
            of.pid.map_or("-".to_owned(), |pid| Owner::of(pid).for_people()),
            of.mode.as_ref().map_or("-".to_owned(), |mode| format!("{mode}{armed}")),
            of.state.clone(),
        ]
    };
    let mut text = table(&std::iter::once(heading).chain(agents.iter().map(row)).collect::<Vec<_>>());
    let heading =
        ["agent", "segment", "bytes", "layout", "generation", "slots", "owner", "age", "health"].map(String::from);
    let rows = std::iter::once(heading).chain(segments.iter().map(row_of));
    text = format!("{text}\n{}", table(&rows.collect::<Vec<_>>()));
    let mut wrong = BTreeMap::new();
    for listed in segments.iter().filter(|listed| !listed.findings.is_empty()) {
        *wrong.entry(listed.agent.as_str()).or_insert(0) += listed.findings.len();
    }
    for (agent, count) in wrong {
        text += &format!("\n{agent}: `corerl shm check` tells the {count} findings\n");
    }
    text
}

fn row_of(listed: &Listed) -> [String; 9] {
    let dash = || "-".to_owned();
    let [bytes, layout, generation, slots, owner, age] = match &listed.facts {
        Some(facts) => [
            facts.bytes.to_string(),
            facts.layout_version.to_string(),
            facts.generation.to_string(),
            format!("{} x {}", facts.slots, facts.slot_bytes),
            facts.owner.for_people(),
            facts.age_ns.map_or_else(dash, span),
        ],
        None => std::array::from_fn(|_| dash()),
    };
    [listed.agent.clone(), listed.segment.into(), bytes, layout, generation, slots, owner, age, listed.health()]
}

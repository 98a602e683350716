//! `cargo xtask interop`: the runtime against OPC UA servers that share no code with it, its policies in somebody else's
//! runtime, environments exchanged with somebody else's agents, exported recordings and sealed days in somebody else's programs,
//! backups in somebody else's object store, and its agent on somebody else's plants.
//!
//! Every server presents the same nodes, so the run is one table of peers and [`case::CASES`]. In each case samples have to
//! flow in, setpoints and heartbeats have to arrive (the server counts them), and an ordeal has to be survived.

mod case;
mod examine;
mod gymnasium;
mod models;
mod objects;
mod plants;
mod readers;
mod sealed;
mod stage;

use std::borrow::Cow;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use crate::demo::build_release;
use crate::peers::{Peer, Prepared};
use case::CASES;
use children::processes_left;
use examine::Rig;

/// Runs `corerl run` against other people's servers: in clear, signed and encrypted, across restarts and renewals.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cargo xtask interop\n  cargo xtask interop --peer node-opcua\n\n\
    asyncua, onnxruntime, gymnasium, readers, objects and plants need python3 with its venv module, and PyPI the first time; node-opcua \
    needs node, npm and their registry; open62541 needs cmake, libclang and python3. A peer that cannot be had is told as \
    not there; exit code 1: one that is there failed, or none is there.")]
pub(crate) struct InteropArguments {
    /// Only this one; may be repeated.
    #[arg(long, value_enum, value_name = "NAME")]
    peer: Vec<Partner>,
    /// Print the results as JSON.
    #[arg(long)]
    json: bool,
}

/// With whom something is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Partner {
    /// An OPC UA server in Python.
    Asyncua,
    /// One in TypeScript.
    NodeOpcua,
    /// One in C.
    Open62541,
    /// Exported policies.
    Onnxruntime,
    /// Environments.
    Gymnasium,
    /// Exported recordings, and sealed days of a history.
    Readers,
    /// Backups in an object store.
    Objects,
    /// Simulated plants: a reactor, tanks, heaters, a pendulum.
    Plants,
}

/// One check of one case of one peer.
#[derive(Debug, serde::Serialize)]
struct Check {
    peer: &'static str,
    case: &'static str,
    what: Cow<'static, str>,
    passed: bool,
    facts: String,
}

/// A peer that this machine does not have.
#[derive(Debug, serde::Serialize)]
struct Absence {
    peer: &'static str,
    why: String,
}

/// What came out.
#[derive(Debug, Default)]
struct Results {
    checks: Vec<Check>,
    absent: Vec<Absence>,
}

/// Runs all cases with all peers that are there.
pub(crate) fn run(arguments: &InteropArguments) -> ExitCode {
    match perform(arguments) {
        Ok(results) => {
            print!("{}", if arguments.json { results.json() } else { results.table() });
            if results.are_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(message) => {
            eprintln!("interop: {message}");
            ExitCode::FAILURE
        }
    }
}

fn perform(arguments: &InteropArguments) -> Result<Results, String> {
    let mut results = Results::default();
    let partners = if arguments.peer.is_empty() { Partner::value_variants() } else { &arguments.peer };
    for partner in partners {
        match partner {
            Partner::Asyncua => serve(Peer::Asyncua, &mut results)?,
            Partner::NodeOpcua => serve(Peer::NodeOpcua, &mut results)?,
            Partner::Open62541 => serve(Peer::Open62541, &mut results)?,
            Partner::Onnxruntime => models::examine(&mut results.checks, &mut results.absent)?,
            Partner::Readers => readers::examine(&mut results.checks, &mut results.absent)?,
            Partner::Objects => objects::examine(&mut results.checks, &mut results.absent)?,
            Partner::Gymnasium => gymnasium::examine(&mut results.checks, &mut results.absent)?,
            Partner::Plants => plants::examine(&mut results.checks, &mut results.absent)?,
        }
    }
    Ok(results)
}

/// Runs all cases with this server, if it is there.
fn serve(peer: Peer, results: &mut Results) -> Result<(), String> {
    let (name, programs) = (peer.name(), build_release()?);
    match peer.prepare()? {
        Prepared::There(server) => examine(&Rig::new(peer, server, &programs)?, &mut results.checks),
        Prepared::Absent(why) => {
            eprintln!("{name} is not there: {why}");
            results.absent.push(Absence { peer: name, why });
        }
    }
    Ok(())
}

fn examine(rig: &Rig, checks: &mut Vec<Check>) {
    let peer = rig.peer.name();
    for case in CASES.iter().filter(|case| case.is_for(rig.peer)) {
        eprintln!("{peer}: {}", case.name);
        let mut push = |what: &'static str, passed, facts| {
            checks.push(Check { peer, case: case.name, what: what.into(), passed, facts })
        };
        if let Err(message) = rig.examine(case, &mut push) {
            push("the case could be run", false, message);
        }
        let left = processes_left(&rig.directory().display().to_string());
        push("nothing is left behind", left.is_empty(), left.join("; "));
    }
}

impl Results {
    /// Somebody was there, and nobody failed.
    fn are_good(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.passed)
    }

    fn table(&self) -> String {
        let mut text = String::new();
        for Check { peer, case, what, passed, facts } in &self.checks {
            let verdict = if *passed { "passed" } else { "FAILED" };
            text += format!("{verdict}  {peer:10}  {case:42}  {what:46}  {facts}").trim_end();
            text.push('\n');
        }
        for Absence { peer, why } in &self.absent {
            text += &format!("not there: {peer}: {why}\n");
        }
        let failed = self.checks.iter().filter(|check| !check.passed).count();
        text + &format!("{} checks passed, {failed} failed\n", self.checks.len() - failed)
    }

    fn json(&self) -> String {
        let Self { checks, absent } = self;
        let value = serde_json::json!({ "schema": "corerl.interop/1", "checks": checks, "absent": absent });
        format!("{value:#}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(passed: bool) -> Check {
        let facts = "7 in 1.0 s".to_owned();
        Check { peer: "asyncua", case: "None", what: "samples flow in".into(), passed, facts }
    }

    #[test]
    fn the_table_shows_every_check_and_counts_the_failures() {
        let results = Results { checks: vec![check(true), check(false)], absent: Vec::new() };
        let text = results.table();
        assert!(text.contains("FAILED  asyncua     None") && text.ends_with("1 checks passed, 1 failed\n"), "{text}");
    }

    #[test]
    fn who_is_not_there_is_told_and_no_failure_unless_nobody_is() {
        let absent = || vec![Absence { peer: "node-opcua", why: "it needs node".to_owned() }];
        let some = Results { checks: vec![check(true)], absent: absent() };
        assert!(some.are_good() && some.table().contains("not there: node-opcua: it needs node\n"));
        assert!(some.json().contains("it needs node") && some.json().contains("\"peer\": \"asyncua\""));
        assert!(!Results { checks: Vec::new(), absent: absent() }.are_good());
        assert!(!Results { checks: vec![check(true), check(false)], absent: Vec::new() }.are_good());
    }
}

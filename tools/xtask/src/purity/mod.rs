//! `cargo xtask purity`: the control loop proves what it does, and does not.
//!
//! Every proof looks twice: at the runtime at work, where it must find nothing, and at a cycle that does what none may
//! (`tests/impure`), where it must find just that. A proof that cannot catch anything is refuted, too.

mod graph;
mod proofs;
mod registers;
mod sanitizer;
mod scene;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::demo::build_release;
use crate::scratch;
use crate::workspace;

/// Proves that the control thread allocates nothing, takes no lock, asks the kernel for nothing but its sleep, takes no page
/// fault, shares its priority with no helper, and cannot panic.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  cargo xtask purity --json purity.json\n\n\
    Exit code 1 when a proof fails. What cannot be judged on this machine is said and is no failure.")]
pub(crate) struct PurityArguments {
    /// Write the findings (`corerl.purity/1`) to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What the proofs need.
struct Bench {
    /// Directory of the released programs.
    programs: PathBuf,
    /// The impure cycle, released.
    impure: PathBuf,
    /// Directory of the programs with RealtimeSanitizer.
    sanitized: PathBuf,
    /// For everything that the programs write.
    directory: PathBuf,
}

/// What came of one proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// The runtime is clean, and what is not was caught.
    Proven,
    /// One of the two is not so.
    Refuted,
    /// This machine does not permit to look.
    NotHere,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Finding {
    proof: &'static str,
    verdict: Verdict,
    /// What was seen of the runtime, or the reason of another verdict.
    seen: String,
    /// What was caught of the impure cycle.
    caught: Vec<String>,
}

pub(crate) fn run(arguments: &PurityArguments) -> ExitCode {
    match prove(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("purity: {message}");
            ExitCode::FAILURE
        }
    }
}

fn prove(arguments: &PurityArguments) -> Result<bool, String> {
    let programs = build_release()?;
    let impure = workspace::build_released(&["impure"], "impure")?;
    eprintln!("building the runtime with RealtimeSanitizer");
    let sanitized = sanitizer::build()?;
    let directory = scratch::directory("corerl-purity")?;
    let bench = Bench { programs, impure, sanitized, directory: directory.path().to_owned() };
    let findings = proofs::all(&bench);
    findings.iter().for_each(|finding| print!("{}", finding.line()));
    if let Some(file) = &arguments.json {
        std::fs::write(file, json(&findings))
            .map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
    }
    Ok(findings.iter().all(|finding| finding.verdict != Verdict::Refuted))
}

fn json(findings: &[Finding]) -> String {
    let value = serde_json::json!({ "schema": "corerl.purity/1", "proofs": findings });
    format!("{value:#}\n")
}

impl Finding {
    fn line(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Proven => "proven",
            Verdict::Refuted => "REFUTED",
            Verdict::NotHere => "not here",
        };
        let caught = match self.caught.as_slice() {
            [] => String::new(),
            caught => format!("; caught: {}", caught.join(", ")),
        };
        format!("{verdict:8}  {:13}  {}{caught}\n", self.proof, self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_seen_and_what_was_caught() {
        let mut finding = Finding {
            proof: "system calls",
            verdict: Verdict::Proven,
            seen: "1000 sleeps and nothing else".to_owned(),
            caught: vec!["sched_yield".to_owned(), "futex".to_owned()],
        };
        let line = "proven    system calls   1000 sleeps and nothing else; caught: sched_yield, futex\n";
        assert_eq!(finding.line(), line);
        finding.caught.clear();
        finding.verdict = Verdict::Refuted;
        assert!(finding.line().starts_with("REFUTED   system calls ") && !finding.line().contains("caught"));
        assert!(json(&[finding]).contains(r#""verdict": "refuted""#));
    }
}

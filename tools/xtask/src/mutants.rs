//! `cargo xtask mutants`: changes the envelope and the mode machine in every way that cargo-mutants knows, and tells how many of
//! the changes no test of rt-core notices.

use std::process::{Command, ExitCode};

use clap::Args;
use serde::Deserialize;

use crate::workspace;

/// What no wrong line may survive in.
const FILES: &[&str] = &["rt-core/src/envelope.rs", "rt-core/src/mode.rs"];
/// The tests that have to notice.
const TESTS: &[&str] = &["--lib", "--test", "adversary", "--test", "story"];
/// A mutant that keeps the tests busy for longer than this, in seconds, has been noticed.
const TEST_SECONDS_MAX: &str = "180";

/// Mutation score of the envelope and the mode machine, or of other files of rt-core.
#[derive(Debug, Args)]
#[command(
    after_help = "Needs cargo-mutants (cargo install cargo-mutants --locked); takes about ten seconds for each mutant.\n\
    Exit code 1: a mutant survived.\n\n\
    Examples:\n  cargo xtask mutants\n  cargo xtask mutants rt-core/src/trail.rs"
)]
pub(crate) struct MutantsArguments {
    /// Files of rt-core.
    #[arg(default_values_t = FILES.iter().map(|file| (*file).to_owned()))]
    files: Vec<String>,
}

/// What cargo-mutants has counted.
#[derive(Debug, Deserialize, PartialEq, Eq)]
struct Count {
    /// A test failed.
    caught: u32,
    /// No test failed.
    missed: u32,
    /// The tests did not end.
    timeout: u32,
    /// It did not compile.
    unviable: u32,
}

pub(crate) fn run(arguments: &MutantsArguments) -> ExitCode {
    match count(&arguments.files) {
        Ok(count) => {
            println!("{}", told(&count));
            if count.missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn told(count: &Count) -> String {
    let Count { caught, missed, timeout, unviable } = count;
    let (noticed, viable) = (caught + timeout, caught + timeout + missed);
    format!("{noticed} of {viable} viable mutants were noticed, {missed} survived; {unviable} did not compile")
}

fn count(files: &[String]) -> Result<Count, String> {
    let is_there = workspace::cargo().args(["mutants", "--version"]).output().is_ok_and(|told| told.status.success());
    if !is_there {
        return Err("cargo-mutants is not here: cargo install cargo-mutants --locked".to_owned());
    }
    let directory = workspace::metadata()?.target_directory.join("mutants");
    std::fs::create_dir_all(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    let mut mutants = workspace::cargo();
    mutants.args(["mutants", "--package", "rt-core", "--timeout", TEST_SECONDS_MAX, "--output"]).arg(&directory);
    mutants.args(files.iter().flat_map(|file| ["--file", file])).arg("--").args(TESTS);
    let ended = status(&mut mutants)?;
    // 0: all caught; 2: some missed; 3: some did not end. Everything else is no result.
    if !matches!(ended, Some(0 | 2 | 3)) {
        return Err(format!("cargo-mutants did not come to a result (exit code {ended:?})"));
    }
    let outcomes = directory.join("mutants.out/outcomes.json");
    let text = std::fs::read(&outcomes).map_err(|error| format!("{}: {error}", outcomes.display()))?;
    serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", outcomes.display()))
}

fn status(command: &mut Command) -> Result<Option<i32>, String> {
    command.status().map(|status| status.code()).map_err(|error| format!("cargo cannot be run: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mutant_that_keeps_the_tests_from_ending_counts_as_noticed_and_one_that_does_not_compile_not_at_all() {
        let text = r#"{"outcomes": [], "total_mutants": 10, "missed": 2, "caught": 5, "timeout": 1, "unviable": 2, "success": 0}"#;
        let count: Count = serde_json::from_str(text).unwrap();
        assert_eq!(told(&count), "6 of 8 viable mutants were noticed, 2 survived; 2 did not compile");
    }
}

//! RealtimeSanitizer: how programs are built with it, told what to do, and what they say.
//!
//! The sanitizer knows the functions of the C library that may block, and is told on entry to the cycle that none of them may
//! be called until it is left. It does not see a lock that is free, nor a system call without the C library: for those there
//! are the graph of calls and the trace.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{self, TRIPLE};
use children::Child;

/// The function by which the sanitizer learns that the cycle begins.
pub(super) const ENTRY: &str = "__rtsan_realtime_enter";

/// Builds the runtime and the impure cycle; the directory of the programs. The sanitizer is an unstable option of a stable
/// compiler, which has to be told that we know.
pub(super) fn build() -> Result<PathBuf, String> {
    let directory = workspace::metadata()?.target_directory.join("rtsan");
    let mut build = workspace::cargo();
    build.args(["build", "--release", "--quiet", "--package", "rt-daemon", "--package", "impure"]);
    build.args(["--target", TRIPLE, "--target-dir"]).arg(&directory);
    build.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=realtime --cfg rtsan");
    workspace::run_build(&mut build, "the sanitized programs")?;
    Ok(directory.join(TRIPLE).join("release"))
}

/// Starts a sanitized program. It goes on after a finding, and says at its end how many there were.
pub(super) fn start(name: &'static str, command: &mut Command, log: &Path) -> Result<Child, String> {
    command.env("RTSAN_OPTIONS", "halt_on_error=false:print_stats_on_exit=true:symbolize=false");
    Child::start_into(name, command, log)
}

/// What the sanitizer wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    /// How many findings it counted; `None` when it never said, because it was not there.
    pub(super) errors: Option<u64>,
    /// The functions that were called and must not be.
    pub(super) functions: Vec<String>,
}

impl Report {
    /// Reads what a sanitized program said.
    pub(super) fn read(log: &Path) -> Result<Self, String> {
        let text = std::fs::read(log).map_err(|error| format!("{} cannot be read: {error}", log.display()))?;
        Ok(Self::parse(&String::from_utf8_lossy(&text)))
    }

    fn parse(text: &str) -> Self {
        let mut report = Self::default();
        for line in text.lines() {
            if let Some((_, rest)) = line.split_once("real-time unsafe function `") {
                let function = rest.split('`').next().unwrap_or_default().to_owned();
                if !report.functions.contains(&function) {
                    report.functions.push(function);
                }
            }
            if let Some((_, count)) = line.split_once("Total error count:") {
                report.errors = count.trim().parse().ok();
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_named_once_and_the_count_is_the_sanitizers_own() {
        let text = "==7==ERROR: RealtimeSanitizer: unsafe-library-call\n\
                    Intercepted call to real-time unsafe function `malloc` in real-time context!\n    #0 0x55\n\
                    Intercepted call to real-time unsafe function `malloc` in real-time context!\n\
                    RealtimeSanitizer exit stats:\n    Total error count: 2\n    Unique error count: 1\n";
        assert_eq!(Report::parse(text), Report { errors: Some(2), functions: vec!["malloc".to_owned()] });
    }

    #[test]
    fn a_sanitizer_that_says_nothing_was_not_there() {
        assert_eq!(Report::parse("").errors, None);
    }
}

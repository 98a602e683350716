//! `cargo xtask fuzz`: builds the fuzzer under a sanitizer, and lets it try each target for a while.
//!
//! What cargo-fuzz does, without it: the pinned toolchain is told to accept the flags of a nightly one, and libFuzzer comes
//! with its crate. The committed corpus is where a run begins; what it finds is kept below `target/fuzz` and goes into the
//! repository when it is asked to.

use std::io::{BufRead as _, BufReader, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Args;

use crate::workspace::{self, TRIPLE};

/// Flags of the sanitizer and of the instrumentation that libFuzzer steers by.
const RUSTFLAGS: &[&str] = &[
    "-Zsanitizer=address",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];
/// The longest input that is tried, in bytes.
const INPUT_BYTES_MAX: u32 = 8_192;
/// An input that takes longer than this is a fault, in seconds.
const INPUT_SECONDS_MAX: u32 = 10;
/// Memory beyond this is a fault, in MiB.
const MEMORY_MIB_MAX: u32 = 1_024;
/// Lines of the fuzzer's report that are shown when it finds something.
const REPORT_LINES: usize = 40;

/// Fuzz what comes from outside: every target, or those that are named.
#[derive(Debug, Args)]
#[command(
    after_help = "Needs g++ for libFuzzer. Exit code 1: a promise was broken; the command that repeats it is printed.\n\n\
    Examples:\n  cargo xtask fuzz\n  cargo xtask fuzz ua_decode --seconds 600 --keep\n  \
    cargo xtask fuzz site_file --input target/fuzz/artifacts/site_file/crash-0123"
)]
pub(crate) struct FuzzArguments {
    /// Names of targets: the directories of tests/fuzz/corpus.
    targets: Vec<String>,
    /// For how long each of them is tried.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Try this one input instead.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Put inputs that reached new code into the corpus of the repository.
    #[arg(long, conflicts_with = "input")]
    keep: bool,
}

pub(crate) fn run(arguments: &FuzzArguments) -> ExitCode {
    match try_all(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every target kept its promises.
fn try_all(arguments: &FuzzArguments) -> Result<bool, String> {
    let targets = chosen(&arguments.targets)?;
    let fuzzer = Fuzzer::build()?;
    let mut all_kept = true;
    for target in &targets {
        all_kept &= match &arguments.input {
            Some(input) => fuzzer.repeat(target, input)?,
            None => fuzzer.search(target, arguments.seconds)?,
        };
        if arguments.keep {
            fuzzer.keep(target)?;
        }
    }
    Ok(all_kept)
}

fn corpora() -> PathBuf {
    workspace::root().join("tests/fuzz/corpus")
}

/// The targets with these names, or all of them.
fn chosen(names: &[String]) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(corpora()).map_err(|error| format!("there are no corpora: {error}"))?;
    let mut all: Vec<_> = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    all.sort();
    match names.iter().find(|name| !all.contains(name)) {
        Some(unknown) => Err(format!("there is no target `{unknown}`, only {}", all.join(", "))),
        None if names.is_empty() => Ok(all),
        None => Ok(names.to_vec()),
    }
}

/// The program that was built, and where it leaves things.
struct Fuzzer {
    program: PathBuf,
    directory: PathBuf,
}

impl Fuzzer {
    fn build() -> Result<Self, String> {
        let directory = workspace::metadata()?.target_directory.join("fuzz");
        let mut build = workspace::cargo();
        build.args(["build", "--release", "--manifest-path", "tests/fuzz/Cargo.toml", "--target", TRIPLE]);
        build.arg("--target-dir").arg(&directory);
        build.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", RUSTFLAGS.join(" "));
        workspace::run_build(&mut build, "the fuzzer")?;
        Ok(Self { program: directory.join(TRIPLE).join("release/fuzz"), directory })
    }

    /// Where something of a target is kept that does not belong to the repository.
    fn place(&self, what: &str, target: &str) -> Result<PathBuf, String> {
        let place = self.directory.join(what).join(target);
        std::fs::create_dir_all(&place).map_err(|error| format!("{} cannot be made: {error}", place.display()))?;
        Ok(place)
    }

    fn command(&self, target: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.env("CORERL_FUZZ_TARGET", target).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.arg(format!("-timeout={INPUT_SECONDS_MAX}")).arg(format!("-rss_limit_mb={MEMORY_MIB_MAX}"));
        command.arg(format!("-max_len={INPUT_BYTES_MAX}"));
        command
    }

    /// Searches for so many seconds; whether nothing was found.
    fn search(&self, target: &str, seconds: u64) -> Result<bool, String> {
        let artifacts = self.place("artifacts", target)?;
        let mut command = self.command(target);
        command.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={}/", artifacts.display()));
        command.arg(self.place("corpus", target)?).arg(corpora().join(target));
        let (kept, report) = attend(target, command)?;
        println!("{target}: {}", report.tally);
        if !kept {
            println!("{}", report.last_lines.join("\n"));
            let found = report.artifact.unwrap_or_else(|| artifacts.display().to_string());
            println!("to repeat it: cargo xtask fuzz {target} --input {found}");
        }
        Ok(kept)
    }

    /// Tries one input; whether it broke no promise.
    fn repeat(&self, target: &str, input: &Path) -> Result<bool, String> {
        let mut command = self.command(target);
        command.arg(input);
        let (kept, report) = attend(target, command)?;
        println!("{target}: {} {}", input.display(), if kept { "breaks no promise" } else { "breaks a promise" });
        if !kept {
            println!("{}", report.last_lines.join("\n"));
        }
        Ok(kept)
    }

    /// Puts what reached new code into the repository's corpus.
    fn keep(&self, target: &str) -> Result<(), String> {
        let mut command = self.command(target);
        command.arg("-merge=1").arg(corpora().join(target)).arg(self.place("corpus", target)?);
        match attend(target, command)? {
            (true, _) => Ok(()),
            (false, report) => Err(format!("the corpora were not merged\n{}", report.last_lines.join("\n"))),
        }
    }
}

/// What the fuzzer said.
#[derive(Debug, Default)]
struct Report {
    tally: Tally,
    last_lines: Vec<String>,
    /// The file with the input that broke a promise.
    artifact: Option<String>,
}

impl Report {
    fn take(&mut self, line: String) {
        self.tally.take(&line);
        if let Some((_, file)) = line.split_once("Test unit written to ") {
            self.artifact = Some(file.trim().to_owned());
        }
        if self.last_lines.len() == REPORT_LINES {
            self.last_lines.remove(0);
        }
        self.last_lines.push(line);
    }
}

/// Runs the fuzzer and listens to it; whether it ended well. On a terminal its progress is shown.
fn attend(target: &str, mut command: Command) -> Result<(bool, Report), String> {
    let mut child = command.spawn().map_err(|error| format!("the fuzzer cannot be started: {error}"))?;
    let mut report = Report::default();
    let is_watched = std::io::stderr().is_terminal();
    for line in
        child.stderr.take().map(BufReader::new).into_iter().flat_map(|lines| lines.lines().map_while(Result::ok))
    {
        if is_watched && line.starts_with('#') {
            eprint!("\r{target}: {line}\x1b[K");
        }
        report.take(line);
    }
    if is_watched {
        eprint!("\r\x1b[K");
    }
    let status = child.wait().map_err(|error| format!("the fuzzer was lost: {error}"))?;
    Ok((status.success(), report))
}

/// What a search came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    executions: u64,
    /// Edges that the corpus reached at the beginning.
    edges_before: Option<u64>,
    edges_after: u64,
    inputs: u64,
}

impl Tally {
    /// Reads `#1234 NEW cov: 56 ft: 78 corp: 9/1Kb …`; any other line says nothing.
    fn take(&mut self, line: &str) {
        let Some((executions, rest)) = line.strip_prefix('#').and_then(|line| line.split_once(char::is_whitespace))
        else {
            return;
        };
        let number = |name: &str| -> Option<u64> {
            let (_, after) = rest.split_once(name)?;
            after.trim_start().split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
        };
        if let (Ok(executions), Some(edges)) = (executions.parse(), number("cov:")) {
            self.executions = executions;
            self.edges_before.get_or_insert(edges);
            self.edges_after = edges;
            self.inputs = number("corp:").unwrap_or(self.inputs);
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { executions, edges_before, edges_after, inputs } = self;
        let before = edges_before.unwrap_or_default();
        write!(f, "{executions} executions, {before} -> {edges_after} edges reached by {inputs} inputs")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fuzzers_lines_are_added_up() {
        let mut report = Report::default();
        for line in [
            "INFO: seed corpus: files: 9",
            "#10\tINITED cov: 400 ft: 500 corp: 7/90b exec/s: 0 rss: 40Mb",
            "#2000\tNEW    cov: 420 ft: 600 corp: 8/95b lim: 4 exec/s: 1000 rss: 41Mb L: 5/9 MS: 1 ChangeBit-",
            "#4000\tDONE   cov: 430 ft: 610 corp: 12/1Kb lim: 4 exec/s: 1000 rss: 41Mb",
            "artifact_prefix='target/'; Test unit written to target/crash-1",
        ] {
            report.take(line.to_owned());
        }
        let expected = Tally { executions: 4000, edges_before: Some(400), edges_after: 430, inputs: 12 };
        assert_eq!(report.tally, expected);
        assert_eq!(report.tally.to_string(), "4000 executions, 400 -> 430 edges reached by 12 inputs");
        assert_eq!(report.artifact.as_deref(), Some("target/crash-1"));
    }

    #[test]
    fn only_the_end_of_a_long_report_is_kept() {
        let mut report = Report::default();
        (0..100).for_each(|n| report.take(n.to_string()));
        assert_eq!(report.last_lines.len(), REPORT_LINES);
        assert_eq!(report.last_lines.last().map(String::as_str), Some("99"));
    }

    #[test]
    fn a_target_that_does_not_exist_is_refused_with_those_that_do() {
        let refused = chosen(&["nothing".to_owned()]).unwrap_err();
        assert!(refused.contains("`nothing`") && refused.contains("ua_decode"), "{refused}");
        assert!(chosen(&[]).unwrap().len() >= 7);
    }
}

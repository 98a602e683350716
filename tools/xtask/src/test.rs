//! `cargo xtask test`: format, lints, the project's own rules, all tests.
//!
//! Every step runs, also after a failure; the end says which failed, what the failed tests said, and which command repeats each
//! step.

use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::{tidy, workspace};

/// One step of the test run.
struct Step {
    name: &'static str,
    /// What a person types to repeat it.
    repeat: String,
    kind: Kind,
}

enum Kind {
    /// A command of cargo with its arguments and environment.
    Cargo { arguments: Vec<String>, environment: Vec<(&'static str, String)> },
    /// The checks of [`tidy`].
    Tidy,
}

/// What became of a step.
struct Outcome {
    name: &'static str,
    repeat: String,
    passed: bool,
    took: Duration,
    tests: Tally,
    complaints: Complaints,
}

/// Of what a failed test said, so many lines are said again.
const COMPLAINT_LINES_MAX: usize = 40;

/// What failed tests said, gathered out of their runner's output: the end of a long run says it again.
#[derive(Debug, Default)]
struct Complaints {
    lines: Vec<String>,
    /// Lines of the test at hand that are still kept.
    left: usize,
}

impl Complaints {
    fn hear(&mut self, line: &str) {
        if line.starts_with("---- ") && line.ends_with(" ----") {
            self.left = COMPLAINT_LINES_MAX;
        } else if line == "failures:" || line.starts_with("test result: ") {
            self.left = 0;
        }
        if self.left > 0 && !line.is_empty() {
            self.left -= 1;
            self.lines.push(line.to_owned());
        }
    }
}

/// Tests as their runner counted them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }

    /// Whether so many tests ran, and none failed.
    pub(crate) fn has_run(self, count: u64) -> bool {
        self.passed == count && self.failed == 0
    }

    /// Reads `test result: ok. 12 passed; 0 failed; 1 ignored; …`; `None` for any other line.
    pub(crate) fn from_summary(line: &str) -> Option<Self> {
        let (_, counts) = line.split_once("test result: ")?;
        let number = |word: &str| {
            let (before, _) = counts.split_once(word)?;
            before.trim().rsplit(' ').next()?.parse::<u64>().ok()
        };
        Some(Self { passed: number(" passed")?, failed: number(" failed")?, ignored: number(" ignored")? })
    }
}

/// Runs all steps.
pub(crate) fn run() -> ExitCode {
    let target_directory = match workspace::metadata() {
        Ok(metadata) => metadata.target_directory,
        Err(message) => {
            eprintln!("xtask: {message}");
            return ExitCode::FAILURE;
        }
    };
    let outcomes: Vec<_> = steps(&target_directory).into_iter().map(perform).collect();
    print!("{}", summary(&outcomes));
    if outcomes.iter().all(|outcome| outcome.passed) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn steps(target_directory: &Path) -> Vec<Step> {
    let loom_directory = target_directory.join("loom").display().to_string();
    vec![
        cargo_step("format", &["fmt", "--all", "--", "--check"]),
        cargo_step("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
        Step { name: "tidy", repeat: "cargo xtask tidy".to_owned(), kind: Kind::Tidy },
        cargo_step("tests", &["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]),
        cargo_step("documentation tests", &["test", "--workspace", "--no-fail-fast", "--doc"]),
        Step {
            name: "loom models",
            repeat: "RUSTFLAGS='--cfg loom' cargo test -p shm --release --lib --tests --target-dir target/loom"
                .to_owned(),
            kind: Kind::Cargo {
                arguments: ["test", "-p", "shm", "--release", "--lib", "--tests", "--target-dir", &loom_directory]
                    .map(str::to_owned)
                    .to_vec(),
                environment: vec![("RUSTFLAGS", "--cfg loom".to_owned())],
            },
        },
    ]
}

fn cargo_step(name: &'static str, arguments: &[&str]) -> Step {
    Step {
        name,
        repeat: format!("cargo {}", arguments.join(" ")),
        kind: Kind::Cargo {
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            environment: Vec::new(),
        },
    }
}

fn perform(step: Step) -> Outcome {
    println!("\n== {} ({})", step.name, step.repeat);
    let start = Instant::now();
    let (passed, tests, complaints) = match &step.kind {
        Kind::Tidy => (tidy::report(), Tally::default(), Complaints::default()),
        Kind::Cargo { arguments, environment } => {
            let mut command = workspace::cargo();
            command.args(arguments).envs(environment.iter().cloned());
            if std::io::stdout().is_terminal() {
                command.env("CARGO_TERM_COLOR", "always");
            }
            forward(&mut command)
        }
    };
    Outcome { name: step.name, repeat: step.repeat, passed, took: start.elapsed(), tests, complaints }
}

/// Runs a command, shows its output as it comes, adds up the runner's summary lines, and gathers what failed tests say.
fn forward(command: &mut Command) -> (bool, Tally, Complaints) {
    let (mut tests, mut complaints) = (Tally::default(), Complaints::default());
    let mut child = match command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("cargo cannot be run: {error}");
            return (false, tests, complaints);
        }
    };
    if let Some(stdout) = child.stdout.take() {
        let mut shown = std::io::stdout().lock();
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(counted) = Tally::from_summary(&line) {
                tests.add(counted);
            }
            complaints.hear(&line);
            // A closed standard output is no reason to stop testing.
            let _ = writeln!(shown, "{line}");
        }
    }
    let passed = child.wait().is_ok_and(|status| status.success());
    (passed, tests, complaints)
}

fn summary(outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    for line in outcomes.iter().flat_map(|outcome| &outcome.complaints.lines) {
        text += &format!("{line}\n");
    }
    text += "\n== summary\n";
    let mut tests = Tally::default();
    for outcome in outcomes {
        tests.add(outcome.tests);
        let verdict = if outcome.passed { "passed" } else { "FAILED" };
        let counted = match outcome.tests {
            Tally { passed: 0, failed: 0, .. } => String::new(),
            Tally { passed, failed, .. } => format!("  {passed} tests passed, {failed} failed"),
        };
        let seconds = outcome.took.as_secs_f64();
        text += &format!("{:20} {verdict}  {seconds:7.1} s{counted}\n", outcome.name);
    }
    let failed: Vec<_> = outcomes.iter().filter(|outcome| !outcome.passed).collect();
    text += &format!(
        "{} steps passed, {} failed; {} tests passed, {} failed, {} ignored\n",
        outcomes.len() - failed.len(),
        failed.len(),
        tests.passed,
        tests.failed,
        tests.ignored
    );
    for outcome in failed {
        text += &format!("to repeat {}: {}\n", outcome.name, outcome.repeat);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &'static str, passed: bool, tests: Tally) -> Outcome {
        Outcome {
            name,
            repeat: format!("cargo {name}"),
            passed,
            took: Duration::from_millis(1500),
            tests,
            complaints: Complaints::default(),
        }
    }

    #[test]
    fn the_runners_summary_line_is_counted_and_other_lines_are_not() {
        let line = "test result: FAILED. 12 passed; 3 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        let expected = Tally { passed: 12, failed: 3, ignored: 1 };
        assert_eq!(Tally::from_summary(line), Some(expected));
        assert_eq!(Tally::from_summary("test a_test ... ok"), None);
        assert_eq!(Tally::from_summary("test result: nonsense"), None);
    }

    #[test]
    fn what_failed_tests_said_is_gathered_and_nothing_else() {
        let mut complaints = Complaints::default();
        let output = "running 2 tests\ntest a ... FAILED\ntest b ... FAILED\n\nfailures:\n\n---- a stdout ----\n\nthread 'a' panicked at \
                      x.rs:1:\nno\n\n---- b stdout ----\nError: too late\n\nfailures:\n    a\n    b\n\ntest result: FAILED. 0 passed";
        output.lines().for_each(|line| complaints.hear(line));
        let expected =
            ["---- a stdout ----", "thread 'a' panicked at x.rs:1:", "no", "---- b stdout ----", "Error: too late"];
        assert_eq!(complaints.lines, expected);

        let many = format!("---- c stdout ----\n{}", "again\n".repeat(100));
        many.lines().for_each(|line| complaints.hear(line));
        assert_eq!(complaints.lines.len(), expected.len() + COMPLAINT_LINES_MAX);

        let failed = Outcome { complaints, ..outcome("tests", false, Tally::default()) };
        let text = summary(&[failed]);
        let (before, _) = text.split_once("== summary").unwrap();
        assert!(before.starts_with("---- a stdout ----\nthread 'a' panicked at x.rs:1:\n"), "{before}");
    }

    #[test]
    fn the_summary_names_the_command_that_repeats_a_failed_step_and_only_that() {
        let tests = Tally { passed: 5, failed: 1, ignored: 0 };
        let text = summary(&[outcome("format", true, Tally::default()), outcome("tests", false, tests)]);
        assert!(text.contains("1 steps passed, 1 failed; 5 tests passed, 1 failed, 0 ignored"));
        assert!(text.contains("to repeat tests: cargo tests"));
        assert!(!text.contains("to repeat format"));
    }

    #[test]
    fn every_step_can_be_repeated_by_a_command_that_a_person_can_type() {
        for step in steps(Path::new("target")) {
            assert!(step.repeat.contains("cargo "), "{}", step.name);
        }
    }
}

//! `cargo xtask soak`: what must not happen once in very many times, as often as the catalogue of faults says.
//!
//! Every row is a test that every test run has, too, or the simulation; here it runs piece by piece, each piece with a seed
//! of its own, so that progress can be seen and a failure can be repeated alone.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::test::Tally;
use crate::workspace;

/// Packages with the tests and the simulation.
const PACKAGES: &[&str] = &["tests", "rt-core", "historian"];
/// How a line of a test begins that tells what it has measured.
const FIGURES: &str = "figures: ";
/// Where nobody watches, progress is told this often.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// One row of the catalogue.
#[derive(Debug)]
struct Row {
    name: &'static str,
    /// What is counted.
    what: &'static str,
    /// The count of the catalogue.
    full: u64,
    /// So many at once: some seconds.
    piece: u64,
    program: Program,
}

/// What counts.
#[derive(Clone, Copy, Debug)]
enum Program {
    /// A test, in the test program with the first name.
    Test(&'static str, &'static str),
    /// The simulation: each seed counts.
    Simulation,
}

const ROWS: &[Row] = &[
    Row {
        name: "F03",
        what: "reads beside a writer that never pauses",
        full: 1_000_000_000,
        piece: 20_000_000,
        program: Program::Test("soak", "f03_no_read_is_torn_or_older_while_the_writer_never_pauses"),
    },
    Row {
        name: "F06",
        what: "flips of bits in published weights",
        full: 1_000_000,
        piece: 500_000,
        program: Program::Test("soak", "f06_no_flipped_bit_in_published_weights_is_believed"),
    },
    Row {
        name: "F22",
        what: "adversarial wishes at the envelope, numbers or not (F22, F23)",
        full: 1_000_000_000,
        piece: 20_000_000,
        program: Program::Test("adversary", "f22_f23_no_wish_of_millions_gets_through"),
    },
    Row {
        name: "F31",
        what: "switches between modes, or to and from a person, at random cycles",
        full: 100_000,
        piece: 2_000,
        program: Program::Test("soak", "f31_no_switch_between_modes_or_to_and_from_a_person_makes_a_bump"),
    },
    Row {
        name: "F87",
        what: "hand-overs between two runtimes, each of which says in every cycle whether it writes",
        full: 1_000,
        piece: 50,
        program: Program::Test("lease", "f87_in_every_cycle_of_many_hand_overs_there_is_at_most_one_writer"),
    },
    Row {
        name: "F88",
        what: "losses of runtime, plant or both at random cycles",
        full: 200,
        piece: 20,
        program: Program::Test(
            "lease",
            "f88_whatever_is_killed_and_when_the_runtime_starts_from_where_the_plant_is_and_arms_as_the_file_says",
        ),
    },
    Row {
        name: "transparency",
        what: "actions within all limits at the envelope",
        full: 1_000_000,
        piece: 1_000_000,
        program: Program::Test("adversary", "an_action_within_all_limits_passes_unchanged_bit_for_bit"),
    },
    Row {
        name: "troubles",
        what: "faults of cable and server, one every five seconds",
        full: 360,
        // One run: what grows, grows in it.
        piece: 360,
        program: Program::Test("field", "one_trouble_after_another_breaks_no_invariant_and_leaves_nothing_behind"),
    },
    Row {
        name: "F34",
        what: "restarts of the server while the runtime holds",
        full: 200,
        piece: 200,
        program: Program::Test("field", "recovery::f34_good_data_comes_soon_after_the_server_listens_again"),
    },
    Row {
        name: "F80",
        what: "kills of a historian, each at a random cycle",
        full: 1_000,
        piece: 50,
        program: Program::Test("history", "a_historian_that_is_killed_at_random_keeps_everything_once"),
    },
    Row {
        name: "database",
        what: "kills of whoever keeps in PostgreSQL, and of the database, at random (F80)",
        full: 1_000,
        piece: 50,
        program: Program::Test("database", "f80_whoever_is_killed_whenever_everything_is_stored_once"),
    },
    Row { name: "simulation", what: "simulated scenarios", full: 100_000, piece: 50, program: Program::Simulation },
];

/// Run what must not happen once in very many times: every row, or those that are named.
#[derive(Debug, Args)]
#[command(
    after_help = "Rows: F03 torn reads, F06 flipped bits, F22 adversarial wishes, F31 switches, F34 restarts of the server,\n\
    F80 kills of a historian, database, F87 hand-overs, F88 losses, transparency, troubles, simulation.\n\
    Exit code 1: something happened; the command that repeats it is printed.\n\n\
    Examples:\n  cargo xtask soak --share 0.01\n  cargo xtask soak F22\n  cargo xtask soak F03 --count 1000000 --seed 7"
)]
pub(crate) struct SoakArguments {
    /// Names of rows.
    #[arg(value_name = "ROW", value_parser = clap::builder::PossibleValuesParser::new(ROWS.iter().map(|row| row.name)))]
    rows: Vec<String>,
    /// How often, instead of the catalogue's counts.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "share")]
    count: Option<u64>,
    /// The share of the catalogue's counts.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
    share: f64,
    /// Seed of the first piece.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("{text} is no number"))?;
    if share > 0.0 && share <= 1.0 { Ok(share) } else { Err("more than 0 and at most 1".to_owned()) }
}

pub(crate) fn run(arguments: &SoakArguments) -> ExitCode {
    let programs = match Programs::build() {
        Ok(programs) => programs,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            return ExitCode::FAILURE;
        }
    };
    let chosen =
        ROWS.iter().filter(|row| arguments.rows.is_empty() || arguments.rows.iter().any(|name| name == row.name));
    let outcomes: Vec<_> = chosen
        .map(|row| {
            let count = arguments.count.unwrap_or(((row.full as f64 * arguments.share).ceil() as u64).max(1));
            let outcome = soak(row, count, arguments.seed, &programs);
            if !arguments.json {
                print!("{}", outcome.text());
            }
            outcome
        })
        .collect();
    if arguments.json {
        println!(
            "{}",
            json!({ "schema": "corerl.soak/1", "rows": outcomes.iter().map(Outcome::json).collect::<Vec<_>>() })
        );
    }
    if outcomes.iter().all(|outcome| outcome.violation.is_none()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One piece of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    count: u64,
    seed: u64,
}

/// A row's count in pieces, with seeds that no other piece uses.
fn pieces(row: &Row, count: u64, seed: u64) -> impl Iterator<Item = Piece> {
    let (size, program) = (row.piece, row.program);
    (0..count.div_ceil(size)).map(move |index| {
        let before = index * size;
        let seed = match program {
            Program::Test(..) => seed + index,
            Program::Simulation => seed + before,
        };
        Piece { count: size.min(count - before), seed }
    })
}

/// What became of a row.
struct Outcome {
    row: &'static Row,
    count: u64,
    seed: u64,
    took: Duration,
    /// What the pieces have measured.
    figures: Vec<String>,
    violation: Option<Violation>,
}

/// The piece in which it happened, and what was said.
struct Violation {
    piece: Piece,
    said: String,
}

/// Runs a row to its end, or to its first violation.
fn soak(row: &'static Row, count: u64, seed: u64, programs: &Programs) -> Outcome {
    let begin = Instant::now();
    let mut progress = Progress::new(row, count);
    let mut done = 0;
    let mut figures = Vec::new();
    let violation = pieces(row, count, seed).find_map(|piece| {
        let said = programs.run(row.program, piece);
        done += piece.count;
        progress.reach(done);
        match said {
            Ok(said) => {
                figures.extend(said.lines().filter_map(|line| line.strip_prefix(FIGURES)).map(str::to_owned));
                None
            }
            Err(said) => Some(Violation { piece, said }),
        }
    });
    progress.end();
    Outcome { row, count: done, seed, took: begin.elapsed(), figures, violation }
}

impl Outcome {
    /// The command that repeats the violation.
    fn repeat(&self) -> Option<String> {
        let Piece { count, seed } = self.violation.as_ref()?.piece;
        Some(format!("cargo xtask soak {} --count {count} --seed {seed}", self.row.name))
    }

    fn text(&self) -> String {
        let Self { row, count, seed, took, figures, violation } = self;
        let violations = u32::from(violation.is_some());
        let mut text = format!(
            "{:12}  {count} {}, {:.1} s, {violations} violations, seed {seed}\n",
            row.name,
            row.what,
            took.as_secs_f64()
        );
        figures.iter().for_each(|figure| text += &format!("{:14}{figure}\n", ""));
        if let (Some(violation), Some(repeat)) = (violation, self.repeat()) {
            text += &format!("{}\nto repeat it: {repeat}\n", violation.said.trim_end());
        }
        text
    }

    fn json(&self) -> Value {
        json!({
            "row": self.row.name,
            "what": self.row.what,
            "count": self.count,
            "seconds": self.took.as_secs_f64(),
            "violations": u32::from(self.violation.is_some()),
            "seed": self.seed,
            "figures": self.figures,
            "repeat": self.repeat(),
        })
    }
}

/// The programs as they were built.
struct Programs {
    tests: Vec<(String, PathBuf)>,
    simulation: PathBuf,
}

impl Programs {
    fn build() -> Result<Self, String> {
        let mut build = workspace::cargo();
        build.args([
            "test",
            "--release",
            "--no-run",
            "--message-format",
            "json-render-diagnostics",
            "--bin",
            "simulate",
        ]);
        build.args(PACKAGES.iter().flat_map(|package| ["--package", package]));
        let mut names: Vec<_> = ROWS.iter().filter_map(|row| row.program.test()).collect();
        names.sort_unstable();
        names.dedup();
        build.args(names.iter().flat_map(|name| ["--test", name]));
        let messages = workspace::run_build(&mut build, "the tests")?;
        let tests = messages.lines().filter_map(executable).collect();
        Ok(Self { tests, simulation: workspace::metadata()?.target_directory.join("release/simulate") })
    }

    /// Runs one piece; what was said, an error when something happened that must not.
    fn run(&self, program: Program, piece: Piece) -> Result<String, String> {
        let Piece { count, seed } = piece;
        let mut command = match program {
            Program::Simulation => {
                let mut command = Command::new(&self.simulation);
                command.args(["--seeds", &format!("{seed}..{}", seed + count - 1), "--threads", "1"]);
                command
            }
            Program::Test(file, name) => {
                let mut command = Command::new(self.test(file)?);
                command.args([name, "--exact", "--nocapture"]);
                command.env("CORERL_SOAK_COUNT", count.to_string()).env("CORERL_SOAK_SEED", seed.to_string());
                command
            }
        };
        let output = command.output().map_err(|error| format!("a test cannot be started: {error}"))?;
        judge(program, &output)
    }

    fn test(&self, file: &str) -> Result<&Path, String> {
        let found = self.tests.iter().find(|(name, _)| name == file);
        found.map(|(_, path)| path.as_path()).ok_or_else(|| format!("cargo built no test program `{file}`"))
    }
}

impl Program {
    fn test(self) -> Option<&'static str> {
        match self {
            Self::Test(file, _) => Some(file),
            Self::Simulation => None,
        }
    }
}

/// A test that was not there has found nothing: it must have run.
fn judge(program: Program, output: &Output) -> Result<String, String> {
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let has_run = match program {
        Program::Test(..) => said.lines().filter_map(Tally::from_summary).any(|tally| tally.has_run(1)),
        Program::Simulation => true,
    };
    if output.status.success() && has_run { Ok(said) } else { Err(said) }
}

/// Name and path of a test program, in one of cargo's messages.
fn executable(line: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(line).ok()?;
    let path = message["executable"].as_str()?;
    Some((message["target"]["name"].as_str()?.to_owned(), path.into()))
}

/// A bar where somebody watches, a line now and then elsewhere.
struct Progress {
    bar: Option<ProgressBar>,
    row: &'static Row,
    count: u64,
    told: Instant,
}

impl Progress {
    fn new(row: &'static Row, count: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{msg:12} {wide_bar} {human_pos} of {human_len}, {eta} left").ok();
            let bar = ProgressBar::new(count).with_message(row.name);
            bar.set_style(style.unwrap_or_else(ProgressStyle::default_bar));
            bar
        });
        Self { bar, row, count, told: Instant::now() }
    }

    fn reach(&mut self, done: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None if self.told.elapsed() >= TELL_EVERY => {
                eprintln!("{}: {done} of {}", self.row.name, self.count);
                self.told = Instant::now();
            }
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    fn row(name: &str) -> &'static Row {
        ROWS.iter().find(|row| row.name == name).unwrap()
    }

    #[test]
    fn a_count_falls_into_pieces_that_are_all_of_it_and_share_no_seed() {
        let pieces: Vec<_> = pieces(row("F06"), 1_200_000, 7).collect();
        let expected = [(500_000, 7), (500_000, 8), (200_000, 9)].map(|(count, seed)| Piece { count, seed });
        assert_eq!(pieces, expected);
        let seeds: Vec<_> = super::pieces(row("simulation"), 120, 1).collect();
        assert_eq!(seeds, [(50, 1), (50, 51), (20, 101)].map(|(count, seed)| Piece { count, seed }));
    }

    #[test]
    fn a_violation_is_told_with_the_command_that_repeats_its_piece_alone() {
        let violation = Some(Violation { piece: Piece { count: 5, seed: 9 }, said: "torn\n".to_owned() });
        let (took, figures) = (Duration::from_millis(1500), vec!["median 7 ms".to_owned()]);
        let outcome = Outcome { row: row("F03"), count: 10, seed: 8, took, figures, violation };
        let text = outcome.text();
        assert!(
            text.contains("F03") && text.contains("1.5 s, 1 violations, seed 8\n              median 7 ms\ntorn\n"),
            "{text}"
        );
        assert!(text.ends_with("to repeat it: cargo xtask soak F03 --count 5 --seed 9\n"), "{text}");
        assert_eq!(outcome.json()["violations"], 1);
    }

    #[test]
    fn a_test_that_does_not_exist_is_no_success() {
        let output = |text: &str, code: i32| Output {
            status: ExitStatus::from_raw(code << 8),
            stdout: text.as_bytes().to_vec(),
            stderr: Vec::new(),
        };
        let test = Program::Test("soak", "a_test");
        assert!(judge(test, &output("test result: ok. 1 passed; 0 failed; 0 ignored;", 0)).is_ok());
        assert!(judge(test, &output("test result: ok. 0 passed; 0 failed; 0 ignored;", 0)).is_err());
        assert!(judge(test, &output("test result: FAILED. 0 passed; 1 failed; 0 ignored;", 101)).is_err());
        assert!(judge(Program::Simulation, &output("", 1)).is_err());
    }

    #[test]
    fn test_programs_are_found_in_cargos_messages() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"soak"},"executable":"target/soak-1"}"#;
        assert_eq!(executable(line), Some(("soak".to_owned(), "target/soak-1".into())));
        assert_eq!(executable(r#"{"reason":"compiler-artifact","target":{"name":"shm"},"executable":null}"#), None);
    }
}

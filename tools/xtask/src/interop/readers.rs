//! Exported recordings and sealed days in the programs that they are written for: every value, unit and count is the same there.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{Absence, Check, sealed};
use crate::demo;
use crate::peers::{Prepared, readers, scripts};
use crate::scratch;

pub(super) const NAME: &str = "readers";
const RECORDING: &str = "a recording in mcap, pyarrow and DuckDB";
const SEALED: &str = "sealed days in pyarrow and DuckDB";
/// Long enough for every mode that a start has, and for policies.
const SECONDS: u64 = 3;
/// Files of our program, by what it is told to write.
const FILES: [(&str, &[&str]); 4] = [
    ("run.csv", &["--to", "csv"]),
    ("events.csv", &["--to", "csv", "--events"]),
    ("run.mcap", &["--to", "mcap"]),
    ("run.parquet", &["--to", "parquet"]),
];

/// What the reading program found.
#[derive(Debug, Deserialize)]
struct Found {
    checks: Vec<OneFound>,
}

#[derive(Debug, Deserialize)]
struct OneFound {
    what: String,
    passed: bool,
    facts: String,
}

/// Records a short run and exports it, keeps a short history and seals it, and has both read.
pub(super) fn examine(checks: &mut Vec<Check>, absent: &mut Vec<Absence>) -> Result<(), String> {
    let python = match readers()? {
        Prepared::There(python) => python,
        Prepared::Absent(why) => {
            eprintln!("{NAME} is not there: {why}");
            absent.push(Absence { peer: NAME, why });
            return Ok(());
        }
    };
    let programs = demo::build_release()?;
    eprintln!("{NAME}: {RECORDING}");
    let directory = scratch::directory("corerl-readers")?;
    let recording = demo::recorded(&programs, SECONDS, directory.path())?;
    for (file, options) in FILES {
        export(&programs, &recording, &directory.path().join(file), options)?;
    }
    convert(&programs, &directory.path().join("scope.mcap"))?;
    read(&python, "read.py", directory.path(), RECORDING, checks)?;
    eprintln!("{NAME}: {SEALED}");
    let directory = scratch::directory("corerl-sealed")?;
    sealed::write(&programs, directory.path())?;
    read(&python, "sealed.py", directory.path(), SEALED, checks)
}

/// Has a directory read by a script of ours.
fn read(
    python: &Path,
    script: &str,
    directory: &Path,
    case: &'static str,
    checks: &mut Vec<Check>,
) -> Result<(), String> {
    let mut read = Command::new(python);
    read.arg(scripts(NAME).join(script)).arg(directory).stdin(Stdio::null());
    let output = read.output().map_err(|error| format!("python cannot be started: {error}"))?;
    let found: Option<Found> = serde_json::from_slice(&output.stdout).ok();
    let Some(found) = found else {
        let facts = String::from_utf8_lossy(&output.stderr).into_owned();
        checks.push(Check { peer: NAME, case, what: "the files are read".into(), passed: false, facts });
        return Ok(());
    };
    checks.extend(found.checks.into_iter().map(|OneFound { what, passed, facts }| Check {
        peer: NAME,
        case,
        what: what.into(),
        passed,
        facts,
    }));
    Ok(())
}

fn export(programs: &Path, recording: &Path, out: &Path, options: &[&str]) -> Result<(), String> {
    let mut export = Command::new(programs.join("corerl"));
    has_worked(export.arg("export").arg(recording).arg("--out").arg(out).args(options))
}

/// A capture of the scope, from one format into the other.
fn convert(programs: &Path, out: &Path) -> Result<(), String> {
    let mut scope = Command::new(programs.join("corerl"));
    scope.args(["shm", "scope", "--headless", "--load"]).arg(scripts(NAME).join("scope.csv"));
    has_worked(scope.arg("--save").arg(out))
}

fn has_worked(command: &mut Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("corerl cannot be started: {error}"))?;
    match output.status.success() {
        true => Ok(()),
        false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
    }
}

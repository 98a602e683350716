//! Environments exchanged with Gymnasium: ours pass its checks, and an agent learns on one of its own.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Absence, Check};
use crate::peers::{Prepared, gymnasium};
use crate::workspace;

pub(super) const NAME: &str = "gymnasium";
const PACKAGE: &str = "tools/gymnasium";
/// Long enough for two episodes, short enough to wait for.
const STEPS: &str = "400";

/// A Python that has Gymnasium, and our program.
struct Rig {
    python: PathBuf,
    corerl: PathBuf,
}

/// Runs the package's tests, and the shortest of trials through it.
pub(super) fn examine(checks: &mut Vec<Check>, absent: &mut Vec<Absence>) -> Result<(), String> {
    let python = match gymnasium()? {
        Prepared::There(python) => python,
        Prepared::Absent(why) => {
            eprintln!("{NAME} is not there: {why}");
            absent.push(Absence { peer: NAME, why });
            return Ok(());
        }
    };
    let rig = Rig { python, corerl: workspace::build_released(&["corerl"], "corerl")? };
    let mut push = |case, what: &'static str, (passed, facts)| {
        checks.push(Check { peer: NAME, case, what: what.into(), passed, facts });
    };
    let case = "our environments in Gymnasium, its in ours";
    eprintln!("{NAME}: {case}");
    push(case, "the package's tests pass", rig.tests()?);
    let case = "an agent on Pendulum-v1";
    eprintln!("{NAME}: {case}");
    let (one, other) = (rig.trial()?, rig.trial()?);
    push(case, "it learns to the end, with finite results", finite(&one));
    let curves = [&one, &other].map(|report| report.as_ref().ok().map(|report| report["seeds"][0]["curve"].clone()));
    push(case, "the same seed gives the same rewards", (curves[0].is_some() && curves[0] == curves[1], String::new()));
    Ok(())
}

/// Whether all is finite that a report says of its only seed, and what.
fn finite(report: &Result<Value, String>) -> (bool, String) {
    let report = match report {
        Ok(report) => report,
        Err(said) => return (false, said.clone()),
    };
    let number = |key: &str| report["seeds"][0][key].as_f64().unwrap_or(f64::NAN);
    let figures = ["mean_last_100", "deterministic", "return_mean"].map(number);
    (figures.iter().all(|figure| figure.is_finite()), format!("mean return {:.0}", figures[2]))
}

impl Rig {
    /// The package as it lies here, and its Python before all others.
    fn equip<'a>(&self, command: &'a mut Command) -> Result<&'a mut Command, String> {
        let package = workspace::root().join(PACKAGE);
        let programs = self.python.parent().map(Path::to_owned);
        let before = env::var_os("PATH").unwrap_or_default();
        let path: OsString = env::join_paths(programs.into_iter().chain(env::split_paths(&before)))
            .map_err(|error| error.to_string())?;
        command.env("PATH", path).env("PYTHONPATH", package.join("src")).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("CORERL", &self.corerl).current_dir(package).stdin(Stdio::null());
        // The servers that the tests start are ended by SIGTERM, which the servers examined before have made us block.
        Ok(rt_sys::without_blocked_signals(command))
    }

    fn tests(&self) -> Result<(bool, String), String> {
        let mut command = Command::new(&self.python);
        command.args(["-m", "unittest", "discover", "--start-directory", "tests"]);
        let output =
            self.equip(&mut command)?.output().map_err(|error| format!("python cannot be started: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let summary = said.lines().find(|line| line.starts_with("Ran ")).unwrap_or_default().to_owned();
        let passed = output.status.success();
        Ok((passed && !summary.starts_with("Ran 0"), if passed { summary } else { said }))
    }

    /// What a trial reports, or what it said instead.
    fn trial(&self) -> Result<Result<Value, String>, String> {
        let results = tempfile::tempdir().map_err(|error| format!("there is no temporary directory: {error}"))?;
        let mut command = Command::new(&self.corerl);
        command.args(["experiment", "run", "--case", "cases/pendulum.yaml", "--steps", STEPS, "--seeds", "1"]);
        command.args(["--set", "evaluation.episodes=2", "--json", "--out"]).arg(results.path());
        let output =
            self.equip(&mut command)?.output().map_err(|error| format!("corerl cannot be started: {error}"))?;
        let said = || String::from_utf8_lossy(&output.stderr).into_owned();
        Ok(serde_json::from_slice(&output.stdout).map_err(|_| said()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_is_good_when_its_figures_are_numbers() {
        let report =
            |mean: Value| Ok(json!({"seeds": [{"mean_last_100": -1, "deterministic": -2, "return_mean": mean}]}));
        assert_eq!(finite(&report(json!(-900.4))), (true, "mean return -900".to_owned()));
        assert!(!finite(&report(Value::Null)).0 && !finite(&Ok(json!({}))).0);
        assert_eq!(finite(&Err("gone".to_owned())), (false, "gone".to_owned()));
    }
}

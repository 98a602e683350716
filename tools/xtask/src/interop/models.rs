//! An exported policy in somebody else's runtime: the same setpoints as ours, to rounding.

use std::process::Command;

use serde::Deserialize;

use super::{Absence, Check};
use crate::peers::{Prepared, onnxruntime, script};
use crate::workspace;

const NAME: &str = "onnxruntime";
const CASE: &str = "an exported policy";
/// How far the two may be apart, in widths of a setpoint's range: single precision, summed in another order.
const APART_MAX: f64 = 1e-6;

/// What our program found.
#[derive(Debug, Deserialize)]
struct Found {
    apart: f64,
    named: bool,
    columns: usize,
}

/// Exports a policy of the example site and lets both evaluate it.
pub(super) fn examine(checks: &mut Vec<Check>, absent: &mut Vec<Absence>) -> Result<(), String> {
    let python = match onnxruntime()? {
        Prepared::There(python) => python,
        Prepared::Absent(why) => {
            eprintln!("{NAME} is not there: {why}");
            absent.push(Absence { peer: NAME, why });
            return Ok(());
        }
    };
    eprintln!("{NAME}: {CASE}");
    let program = workspace::build_released(&["tests"], "evaluate-model")?;
    let output = Command::new(program).arg(python).arg(script("onnxruntime", "evaluate.py")).output();
    let output = output.map_err(|error| format!("evaluate-model cannot be started: {error}"))?;
    let found: Option<Found> = serde_json::from_slice(&output.stdout).ok();
    let said = || String::from_utf8_lossy(&output.stderr).into_owned();
    let mut push = |what, passed, facts| checks.push(Check { peer: NAME, case: CASE, what, passed, facts });
    let Some(Found { apart, named, columns }) = found else {
        push("the model is taken", false, said());
        return Ok(());
    };
    push("it gives our setpoints and deviations", apart <= APART_MAX, format!("{apart:.1e} of their ranges apart"));
    push("it names columns and setpoints", named, format!("{columns} columns"));
    Ok(())
}

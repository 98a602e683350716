//! An exported policy in somebody else's runtime, and a policy of somebody else's in ours: the same setpoints, to rounding.

use std::process::Command;

use serde::Deserialize;

use super::{Absence, Check};
use crate::peers::{Prepared, onnxruntime, scripts};
use crate::workspace;

const NAME: &str = "onnxruntime";
const EXPORTED: &str = "an exported policy";
const FOREIGN: &str = "a policy that was made elsewhere";
/// How far the two may be apart, in widths of a setpoint's range: single precision, summed in another order.
const APART_MAX: f64 = 1e-6;

/// What our program found.
#[derive(Debug, Deserialize)]
struct Found {
    exported: Exported,
    foreign: Foreign,
}

/// Of a policy that was exported, evaluated, and imported again.
#[derive(Debug, Deserialize)]
struct Exported {
    apart: f64,
    apart_imported: f64,
    same: bool,
    named: bool,
    columns: usize,
}

/// Of a policy that somebody else made, and that was imported and evaluated.
#[derive(Debug, Deserialize)]
struct Foreign {
    apart: f64,
    /// Setpoints that lie at neither end of their scale, where all policies agree.
    inside: usize,
}

/// Has policies exported, made, imported and evaluated.
pub(super) fn examine(checks: &mut Vec<Check>, absent: &mut Vec<Absence>) -> Result<(), String> {
    let python = match onnxruntime()? {
        Prepared::There(python) => python,
        Prepared::Absent(why) => {
            eprintln!("{NAME} is not there: {why}");
            absent.push(Absence { peer: NAME, why });
            return Ok(());
        }
    };
    eprintln!("{NAME}: {EXPORTED}, {FOREIGN}");
    let program = workspace::build_released(&["tests"], "evaluate-model")?;
    let output = Command::new(program).arg(python).arg(scripts(NAME)).output();
    let output = output.map_err(|error| format!("evaluate-model cannot be started: {error}"))?;
    let found: Option<Found> = serde_json::from_slice(&output.stdout).ok();
    let mut push = |case, what: &'static str, passed, facts| {
        checks.push(Check { peer: NAME, case, what: what.into(), passed, facts })
    };
    let Some(Found { exported, foreign }) = found else {
        push(EXPORTED, "the model is taken", false, String::from_utf8_lossy(&output.stderr).into_owned());
        return Ok(());
    };
    let apart = |widths: f64| (widths <= APART_MAX, format!("{widths:.1e} of their ranges apart"));
    let (passed, facts) = apart(exported.apart);
    push(EXPORTED, "it gives our setpoints and deviations", passed, facts);
    push(EXPORTED, "it names columns and setpoints", exported.named, format!("{} columns", exported.columns));
    let (passed, facts) = apart(exported.apart_imported);
    push(EXPORTED, "imported, it gives them here", passed, facts);
    push(EXPORTED, "imported, it is what was exported", exported.same, "every bit".to_owned());
    let (passed, facts) = apart(foreign.apart);
    push(FOREIGN, "imported, it gives its setpoints here", passed && foreign.inside > 0, facts);
    Ok(())
}

//! What is told of runs: as JSON, as JUnit's XML, and as a page with plots for each scenario.

mod junit;
mod page;

use serde::Serialize;
use serde_json::{Value, json};

use crate::run::{Outcome, Result};
use crate::scenario::Scenario;
use crate::verdict::{Verdict, not_possible};

pub use junit::junit;
pub use page::page;

/// What came of a scenario, for scripts.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The scenario's name.
    pub scenario: String,
    /// What it shows.
    pub about: String,
    /// Numbers of the catalogue of faults that it covers.
    pub faults: Vec<String>,
    /// `passed`, `failed`, `skipped` or `broken`.
    pub outcome: &'static str,
    /// Why it was skipped or is broken.
    pub why: Option<String>,
    /// Steps that could not be done here.
    pub not_possible: Vec<String>,
    /// How long it took, seconds.
    pub took_s: f64,
    /// Every expectation, judged.
    pub verdicts: Vec<Verdict>,
}

impl Summary {
    /// What came of this scenario.
    pub fn of(scenario: &Scenario, result: &Result) -> Self {
        let (outcome, why) = match &result.outcome {
            Outcome::Passed => ("passed", None),
            Outcome::Failed => ("failed", None),
            Outcome::Skipped(why) => ("skipped", Some(why.clone())),
            Outcome::Broken(why) => ("broken", Some(why.clone())),
        };
        Self {
            scenario: scenario.name.clone(),
            about: scenario.about.clone(),
            faults: scenario.faults.clone(),
            outcome,
            why,
            not_possible: not_possible(&result.take),
            took_s: result.took.as_secs_f64(),
            verdicts: result.verdicts.clone(),
        }
    }

    /// It did not come out as it should have.
    pub fn is_bad(&self) -> bool {
        matches!(self.outcome, "failed" | "broken")
    }
}

/// All of them in one object.
pub fn json(summaries: &[Summary]) -> Value {
    let count = |outcome: &str| summaries.iter().filter(|summary| summary.outcome == outcome).count();
    json!({
        "scenarios": summaries,
        "passed": count("passed"),
        "failed": count("failed"),
        "skipped": count("skipped"),
        "broken": count("broken"),
    })
}

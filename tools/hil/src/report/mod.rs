//! What is told of runs: as JSON, as JUnit's XML, and as a page with plots for each scenario.

mod junit;
mod page;

use std::fmt;

use serde::ser::SerializeStruct as _;
use serde::{Serialize, Serializer};
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
    /// How it ended, and why it was skipped or is broken.
    #[serde(flatten)]
    pub outcome: Outcome,
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
        Self {
            scenario: scenario.name.clone(),
            about: scenario.about.clone(),
            faults: scenario.faults.clone(),
            outcome: result.outcome.clone(),
            not_possible: not_possible(&result.take),
            took_s: result.took.as_secs_f64(),
            verdicts: result.verdicts.clone(),
        }
    }

    /// It did not come out as it should have.
    pub fn is_bad(&self) -> bool {
        matches!(self.outcome, Outcome::Failed | Outcome::Broken(_))
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Outcome", 2)?;
        fields.serialize_field("outcome", self.name())?;
        fields.serialize_field("why", &self.why())?;
        fields.end()
    }
}

/// How many scenarios ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Everything was as expected.
    pub passed: usize,
    /// Something was not.
    pub failed: usize,
    /// Not run, or not all of it possible here.
    pub skipped: usize,
    /// Not run to its end.
    pub broken: usize,
}

impl Counts {
    /// Of all of them.
    pub fn of(summaries: &[Summary]) -> Self {
        let mut counts = Self::default();
        for summary in summaries {
            *match summary.outcome {
                Outcome::Passed => &mut counts.passed,
                Outcome::Failed => &mut counts.failed,
                Outcome::Skipped(_) => &mut counts.skipped,
                Outcome::Broken(_) => &mut counts.broken,
            } += 1;
        }
        counts
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped, broken } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped, {broken} broken")
    }
}

/// All of them in one object.
pub fn json(summaries: &[Summary]) -> Value {
    let mut told = json!(Counts::of(summaries));
    told["scenarios"] = json!(summaries);
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_counted_once_for_all_and_told_with_their_reasons() {
        let outcomes =
            [Outcome::Passed, Outcome::Skipped("no rig".into()), Outcome::Broken("no plant".into()), Outcome::Passed];
        let summaries = outcomes.map(|outcome| Summary {
            scenario: "a".into(),
            about: String::new(),
            faults: Vec::new(),
            outcome,
            not_possible: Vec::new(),
            took_s: 0.0,
            verdicts: Vec::new(),
        });
        assert_eq!(Counts::of(&summaries).to_string(), "2 passed, 0 failed, 1 skipped, 1 broken");
        let told = json(&summaries);
        assert_eq!((&told["passed"], &told["failed"]), (&json!(2), &json!(0)));
        let [passed, skipped, ..] = told["scenarios"].as_array().unwrap().as_slice() else { panic!("{told}") };
        assert_eq!((&passed["outcome"], &passed["why"]), (&json!("passed"), &Value::Null));
        assert_eq!((&skipped["outcome"], &skipped["why"]), (&json!("skipped"), &json!("no rig")));
    }
}

//! Judging a take: what was expected, what was found, and whether that is enough.
//!
//! Some things are expected of every scenario: setpoints inside their ranges, changes within their rates, nothing written at
//! the plant that no cycle has let through, every step done as it should be and when it should. The scenario expects the rest.

mod always;
mod wanted;

pub(crate) use wanted::average;

use std::time::Duration;

use serde::Serialize;

use crate::scenario::{Expectation, Scenario};
use crate::take::{StepOutcome, Take};

/// One expectation, judged.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Verdict {
    /// What was expected of.
    pub expectation: String,
    /// What was found.
    pub found: String,
    /// What was required.
    pub required: String,
    /// It is enough.
    pub ok: bool,
}

/// How much later than the scenario says something may come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Patience(pub f64);

impl Default for Patience {
    fn default() -> Self {
        Self(1.0)
    }
}

impl Patience {
    pub(crate) fn of(self, time: Duration) -> Duration {
        time.mul_f64(self.0)
    }
}

/// Judges everything that is expected of a scenario's take.
pub fn judge(scenario: &Scenario, take: &Take, patience: Patience) -> Vec<Verdict> {
    let mut verdicts = always::judge(&scenario.steps, take, patience);
    verdicts.extend(scenario.expectations.iter().map(|expectation| {
        let window = Window::of(expectation, take, patience);
        window.map_or_else(|missing| missing, |window| wanted::judge(expectation, take, window))
    }));
    verdicts
}

/// Steps that could not be done here, for people.
pub(crate) fn not_possible(take: &Take) -> Vec<String> {
    let why = |outcome: &StepOutcome| match outcome {
        StepOutcome::NotPossibleHere(why) => Some(why.clone()),
        _ => None,
    };
    take.steps.iter().filter_map(|step| Some(format!("{}: {}", step.title, why(&step.outcome)?))).collect()
}

/// The times that an expectation is about.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Times are told from here.
    origin: i64,
    from: i64,
    to: i64,
}

impl Window {
    fn of(expectation: &Expectation, take: &Take, patience: Patience) -> Result<Self, Verdict> {
        let origin = match &expectation.after {
            None => Some(0),
            Some(after) => take.steps.get(after.step).and_then(|step| if after.end { step.ended } else { step.begun }),
        };
        let Some(origin) = origin else {
            return Err(Verdict {
                expectation: expectation.to_string(),
                found: "the step before was not done".to_owned(),
                required: String::new(),
                ok: false,
            });
        };
        let later = |time: Duration| origin.saturating_add(nanoseconds(time));
        let to = match (expectation.within, expectation.to) {
            (Some(within), _) => later(patience.of(within)),
            (None, Some(to)) => later(to),
            (None, None) => take.end.max(origin),
        };
        Ok(Self { origin, from: later(expectation.from), to })
    }

    fn holds(self, at: i64) -> bool {
        (self.from..=self.to).contains(&at)
    }

    /// A time, told from the origin.
    fn told(self, at: i64) -> String {
        format!("{:.3} s", at.saturating_sub(self.origin) as f64 / 1e9)
    }

    /// What is required of something that comes.
    fn limit(self) -> String {
        format!("within {}", self.told(self.to))
    }
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;

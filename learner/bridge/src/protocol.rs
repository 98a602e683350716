//! What is said; the crate's documentation shows it.

use serde::{Deserialize, Serialize};

/// What the protocol is called, with its version.
pub const PROTOCOL: &str = "corerl.environment/1";
/// Columns of an observation or of an action, at most.
pub(crate) const COLUMNS_MAX: usize = 1_024;

/// One number that is observed or set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Variable {
    /// The name, unique within the environment.
    pub name: String,
    /// The engineering unit; `"1"` for a number without dimension.
    pub unit: String,
    /// The lowest value, in `unit`; `None` where there is no bound.
    pub lo: Option<f64>,
    /// The highest value, in `unit`; `None` where there is no bound.
    pub hi: Option<f64>,
    /// Of an action: where it is when nobody controls.
    pub nominal: f64,
}

/// What a step led to, beside the readings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outcome {
    /// The reward; NaN when there is none.
    pub reward: f64,
    /// The episode is over, and what is observed is its last state: nothing comes after it.
    pub terminated: bool,
    /// The episode is cut off: something would have come, but is not shown.
    pub truncated: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Question {
    Describe { protocol: String },
    Reset { seed: u64 },
    Step { action: Vec<Option<f64>> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Description {
    pub(crate) protocol: String,
    pub(crate) name: String,
    pub(crate) observations: Vec<Variable>,
    pub(crate) actions: Vec<Variable>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Beginning {
    pub(crate) observation: Vec<Option<f64>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Happened {
    pub(crate) observation: Vec<Option<f64>>,
    pub(crate) reward: Option<f64>,
    pub(crate) terminated: bool,
    pub(crate) truncated: bool,
}

/// An answer, or why there is none.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Answer<T> {
    Refused { error: String },
    Given(T),
}

/// What JSON has no number for is null.
pub(crate) fn written(numbers: &[f64]) -> Vec<Option<f64>> {
    numbers.iter().map(|number| number.is_finite().then_some(*number)).collect()
}

/// And null is no number.
pub(crate) fn read(number: Option<f64>) -> f64 {
    number.unwrap_or(f64::NAN)
}

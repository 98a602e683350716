//! What a benchmark prints and archives.

use std::borrow::Cow;

use serde::Serialize;

use super::{Estimate, Machine};

/// An interval that is wider does not resolve a ratio that it holds.
const RESOLVED_WIDTH_MAX: f64 = 0.3;

/// One line of a report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    what: String,
    /// The figure.
    value: f64,
    /// Its unit.
    unit: Cow<'static, str>,
    /// Its 95 % interval, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<[f64; 2]>,
    /// What it should be, and whether it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<Goal>,
    /// How it was obtained.
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'static str,
}

/// What a figure should not be above.
#[derive(Clone, Copy, Debug, Serialize)]
struct Goal {
    at_most: f64,
    verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Met,
    Missed,
    NotResolved,
}

impl Row {
    /// A figure that is what it is: a count, a size.
    pub(crate) fn exact(what: impl Into<String>, value: f64, unit: impl Into<Cow<'static, str>>) -> Self {
        Self { what: what.into(), value, unit: unit.into(), interval: None, goal: None, note: "" }
    }

    /// A figure for which something is missing here.
    pub(crate) fn not_measured(what: impl Into<String>) -> Self {
        Self::exact(what, f64::NAN, "")
    }

    /// A measured figure.
    pub(crate) fn measured(what: impl Into<String>, estimate: Estimate, unit: impl Into<Cow<'static, str>>) -> Self {
        Self { interval: Some(estimate.interval), ..Self::exact(what, estimate.median, unit) }
    }

    /// A ratio of two things that were measured in turns.
    pub(crate) fn ratio(what: impl Into<String>, estimate: Estimate) -> Self {
        Self::measured(what, estimate, "x")
    }

    /// What a reader has to know to understand the figure.
    #[must_use]
    pub(crate) fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    /// The goal: met when the interval holds or lies below it, unless the interval is too wide to tell.
    #[must_use]
    pub(crate) fn at_most(self, at_most: f64) -> Self {
        let [lo, hi] = self.interval.unwrap_or([self.value; 2]);
        let verdict = match () {
            () if hi <= at_most => Verdict::Met,
            () if lo > at_most => Verdict::Missed,
            () if hi - lo > RESOLVED_WIDTH_MAX => Verdict::NotResolved,
            () => Verdict::Met,
        };
        Self { goal: Some(Goal { at_most, verdict }), ..self }
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>9} {:<3}", number(self.value), self.unit)?;
        match self.interval {
            Some([lo, hi]) => write!(f, " {:>19}", format!("[{} .. {}]", number(lo), number(hi)))?,
            None => write!(f, " {:19}", "")?,
        }
        if let Some(Goal { at_most, verdict }) = self.goal {
            let verdict = match verdict {
                Verdict::Met => "met",
                Verdict::Missed => "MISSED",
                Verdict::NotResolved => "not resolved here",
            };
            write!(f, "  at most {at_most}: {verdict}")?;
        }
        if self.note.is_empty() { Ok(()) } else { write!(f, "  ({})", self.note) }
    }
}

fn number(value: f64) -> String {
    match value.abs() {
        _ if value.is_nan() => "not measured".to_owned(),
        _ if value.fract() == 0.0 => format!("{value:.0}"),
        ..10.0 => format!("{value:.3}"),
        ..100.0 => format!("{value:.2}"),
        ..1000.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

/// All lines of one benchmark, with the machine.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    /// The format's name and version.
    schema: &'static str,
    /// Which benchmark.
    pub(crate) bench: &'static str,
    /// Where it ran.
    machine: Machine,
    /// What came out.
    rows: Vec<Row>,
}

impl Report {
    /// A report of a run on `machine`.
    pub(crate) fn new(bench: &'static str, machine: Machine, rows: Vec<Row>) -> Self {
        Self { schema: "corerl.bench/1", bench, machine, rows }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n{}", self.bench, self.machine)?;
        let width = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        for row in &self.rows {
            writeln!(f, "  {:width$}  {row}", row.what)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(interval: [f64; 2], at_most: f64) -> Verdict {
        let estimate = Estimate { median: (interval[0] + interval[1]) / 2.0, interval };
        Row::ratio("", estimate).at_most(at_most).goal.expect("it was just set").verdict
    }

    #[test]
    fn a_goal_is_judged_by_the_interval() {
        assert_eq!(verdict([1.00, 1.04], 1.05), Verdict::Met);
        assert_eq!(verdict([1.00, 1.20], 1.05), Verdict::Met);
        assert_eq!(verdict([1.06, 1.20], 1.05), Verdict::Missed);
        assert_eq!(verdict([0.50, 1.20], 1.05), Verdict::NotResolved);
        assert_eq!(verdict([0.10, 0.90], 1.05), Verdict::Met);
        assert_eq!(verdict([1.50, 9.00], 1.05), Verdict::Missed);
    }

    #[test]
    fn what_was_not_measured_is_called_so_and_is_no_number() {
        let row = Row::not_measured("a : b").note("b is not here");
        assert_eq!(row.to_string().split_whitespace().collect::<Vec<_>>().join(" "), "not measured (b is not here)");
        assert!(serde_json::to_value(&row).unwrap()["value"].is_null());
    }

    #[test]
    fn a_count_has_no_interval_and_meets_its_goal_or_misses_it() {
        let row = |value| Row::exact("", value, "").at_most(0.0).goal.expect("it was just set").verdict;
        assert_eq!((row(0.0), row(1.0)), (Verdict::Met, Verdict::Missed));
    }
}

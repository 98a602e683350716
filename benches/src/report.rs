//! What a benchmark prints and archives.

use serde::Serialize;

use crate::Machine;

/// One line of a report.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The figure.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// What it is compared with, or how it was obtained.
    pub note: String,
}

impl Row {
    /// A row.
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str, note: impl Into<String>) -> Self {
        Self { what: what.into(), value, unit, note: note.into() }
    }
}

/// All lines of one benchmark, with the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The format's name and version.
    pub schema: &'static str,
    /// Which benchmark.
    pub bench: String,
    /// Where it ran.
    pub machine: Machine,
    /// What came out.
    pub rows: Vec<Row>,
}

impl Report {
    /// A report on this machine.
    pub fn new(bench: &str, rows: Vec<Row>) -> Self {
        Self { schema: "corerl.bench/1", bench: bench.into(), machine: Machine::describe(), rows }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}\n{}", self.bench, self.machine)?;
        let width = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        for Row { what, value, unit, note } in &self.rows {
            let value = if value.abs() < 100.0 { format!("{value:.3}") } else { format!("{value:.0}") };
            writeln!(f, "  {what:width$}  {value:>10} {unit:<6} {note}")?;
        }
        Ok(())
    }
}

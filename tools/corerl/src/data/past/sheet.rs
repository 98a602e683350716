//! What was found as columns and rows, printed or written as somebody likes it.

use std::path::Path;

use clap::ValueEnum;
use tables::{Coding, Column, Kind, ParquetFile, Rows as _, TableError, Value};

use super::number;
use super::time::Zone;
use crate::failure::{Exit, Failure};
use crate::fresh::FreshFile;
use crate::output::print_text;

/// How what was found is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns for people.
    Table,
    /// Comma-separated values with a heading.
    Csv,
    /// One object.
    Json,
    /// A file with units in the fields' metadata; needs --out.
    Parquet,
}

impl Format {
    /// How files of each are called.
    pub(super) const ENDINGS: [(&str, Self); 4] =
        [("txt", Self::Table), ("csv", Self::Csv), ("json", Self::Json), ("parquet", Self::Parquet)];
}

/// Columns and rows.
#[derive(Debug)]
pub(super) struct Sheet {
    pub(super) columns: Vec<Column>,
    pub(super) rows: Vec<Vec<Value<'static>>>,
}

/// A column.
pub(super) fn column(name: &str, kind: Kind, unit: &str, about: &'static str) -> Column {
    Column { name: name.to_owned(), kind, unit: unit.to_owned(), about }
}

impl Sheet {
    /// Columns for people.
    pub(super) fn text(&self, zone: &Zone) -> String {
        let heading = self.columns.iter().map(Column::heading).collect::<Vec<_>>();
        let cells = |row: &Vec<Value<'_>>| row.iter().map(|value| for_people(value, zone)).collect();
        let rows: Vec<Vec<String>> = std::iter::once(heading).chain(self.rows.iter().map(cells)).collect();
        let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        };
        rows.iter().map(line).collect()
    }

    /// Comma-separated values; a heading without units, as `corerl data report` and `corerl learn` read it.
    pub(super) fn csv(&self, zone: &Zone) -> Result<String, Failure> {
        let failed =
            |error: String| Failure::new(Exit::Internal, format!("the values cannot be written as CSV: {error}"));
        let mut writer = csv::Writer::from_writer(Vec::new());
        let heading = self.columns.iter().map(|column| column.name.clone()).collect();
        let rows = self.rows.iter().map(|row| row.iter().map(|value| for_programs(value, zone)).collect::<Vec<_>>());
        for row in std::iter::once(heading).chain(rows) {
            writer.write_record(row).map_err(|error| failed(error.to_string()))?;
        }
        let bytes = writer.into_inner().map_err(|error| failed(error.to_string()))?;
        String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
    }

    fn parquet(&self, file: std::fs::File) -> Result<(), TableError> {
        let mut written = ParquetFile::begin(file, &self.columns, &[], Coding::Common)?;
        self.rows.iter().try_for_each(|row| written.row(row))?;
        written.close().map(|_| ())
    }

    /// Prints it, or writes it into a file.
    pub(super) fn put(&self, format: Format, (out, force): (Option<&Path>, bool), zone: &Zone) -> Result<(), Failure> {
        let Some(path) = out else {
            return match format {
                Format::Parquet => Err(Failure::new(Exit::Usage, "Parquet is no text: give --out a file")),
                Format::Csv => print_text(&self.csv(zone)?),
                Format::Table | Format::Json => print_text(&self.text(zone)),
            };
        };
        match format {
            Format::Parquet => {
                let fresh = FreshFile::begin(path, force)?;
                self.parquet(fresh.file()?).map_err(|error| Failure::new(Exit::Internal, error).about(path))?;
                fresh.keep()
            }
            Format::Csv => FreshFile::write(path, force, self.csv(zone)?.as_bytes()),
            Format::Table | Format::Json => FreshFile::write(path, force, self.text(zone).as_bytes()),
        }
    }
}

fn for_people(value: &Value<'_>, zone: &Zone) -> String {
    match value {
        Value::Number(value) => number(*value),
        Value::Nothing => number(f64::NAN),
        other => for_programs(other, zone),
    }
}

/// With as many digits as it takes to read the very same number again.
fn for_programs(value: &Value<'_>, zone: &Zone) -> String {
    match value {
        Value::Time(unix_ns) => zone.tell(*unix_ns),
        Value::Micros(unix_us) => zone.tell_micros(*unix_us),
        Value::Number(value) if value.is_nan() => String::new(),
        Value::Number(value) => format!("{value:?}"),
        Value::Count(count) | Value::Bits(count) => count.to_string(),
        Value::Switch(on) => on.to_string(),
        Value::Choice(_, name) => (*name).to_owned(),
        Value::Word(text) => text.clone().into_owned(),
        Value::Nothing => String::new(),
    }
}

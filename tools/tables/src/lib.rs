//! Tables of typed columns, written for the programs of other people.
//!
//! # Contract
//! 1. **What a column means goes with it**: its unit and its sentence are in the schema of a Parquet file, where pyarrow shows
//!    them, and in the heading of a CSV file.
//! 2. **What is not there is null**, or an empty cell: a number that is none, a text without letters.
//! 3. Memory is bounded: rows are gathered into groups and written as they fill up.
//!
//! # Nouns
//! A table has [`Column`]s, each of a [`Kind`]; a row has a [`Value`] for each of them. [`ParquetFile`] and [`CsvFile`] are
//! [`Rows`] that lie in a file.
#![forbid(unsafe_code)]

mod arrow;
mod csv;
mod parquet;
mod time;

use std::borrow::Cow;
use std::io;

pub use csv::CsvFile;
pub use parquet::{Coding, ParquetFile};
pub use time::utc;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An instant, nanoseconds since 1970.
    Time,
    /// An instant, microseconds since 1970: whoever knows no more of it needs fewer bytes.
    Micros,
    /// A number; one that is not finite or not there is a missing one where a format has such a thing.
    Number,
    /// A whole number from 0.
    Count,
    /// A word of 64 bits.
    Bits,
    /// Yes or no.
    Switch,
    /// One of a few, which have numbers.
    Choice,
    /// Text.
    Word,
}

/// What a row holds in one column.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Of a [`Kind::Time`].
    Time(u64),
    /// Of a [`Kind::Micros`].
    Micros(u64),
    /// Of a [`Kind::Number`].
    Number(f64),
    /// Of a [`Kind::Count`].
    Count(u64),
    /// Of a [`Kind::Bits`].
    Bits(u64),
    /// Of a [`Kind::Switch`].
    Switch(bool),
    /// Of a [`Kind::Choice`].
    Choice(u8, &'static str),
    /// Of a [`Kind::Word`].
    Word(Cow<'a, str>),
    /// Of any kind: it is not there.
    Nothing,
}

/// One column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Unique in its table.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// May be empty.
    pub unit: String,
    /// What it is, in a sentence.
    pub about: &'static str,
}

impl Column {
    /// The name with its unit in brackets, unless the name says it already.
    pub fn heading(&self) -> String {
        let Self { name, unit, .. } = self;
        if unit.is_empty() || name.ends_with(&format!("_{unit}")) { name.clone() } else { format!("{name} [{unit}]") }
    }
}

/// A file of rows.
pub trait Rows {
    /// Appends a row with one value per column.
    ///
    /// # Errors
    /// [`TableError`].
    fn row(&mut self, values: &[Value<'_>]) -> Result<(), TableError>;

    /// Writes what is still missing.
    ///
    /// # Errors
    /// [`TableError`].
    fn finish(self: Box<Self>) -> Result<(), TableError>;
}

/// Why a table cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be written: {0}")]
pub enum TableError {
    /// The file cannot.
    File(#[from] io::Error),
    /// The same, as its format tells it.
    Csv(#[from] ::csv::Error),
    /// The same, as its format tells it.
    Parquet(#[from] ::parquet::errors::ParquetError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_names_the_unit_once() {
        let column =
            |name: &str, unit: &str| Column { name: name.into(), kind: Kind::Number, unit: unit.into(), about: "" };
        assert_eq!(column("PH", "pH").heading(), "PH [pH]");
        assert_eq!(column("PH.age_s", "s").heading(), "PH.age_s");
        assert_eq!(column("PH", "").heading(), "PH");
    }
}

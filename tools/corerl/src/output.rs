//! Printing data.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::{Exit, Failure};

/// Prints `value` as indented JSON, with `schema` as its first member.
pub(crate) fn print_json(schema: &str, value: &impl Serialize) -> Result<(), Failure> {
    print_text(&json_text(schema, value)?)
}

/// What [`print_json`] prints.
pub(crate) fn json_text(schema: &str, value: &impl Serialize) -> Result<String, Failure> {
    #[derive(Serialize)]
    struct Versioned<'a, T> {
        schema: &'a str,
        #[serde(flatten)]
        value: &'a T,
    }
    let text = serde_json::to_string_pretty(&Versioned { schema, value })
        .map_err(|error| Failure::new(Exit::Internal, format_args!("the data cannot be written as JSON: {error}")))?;
    Ok(text + "\n")
}

/// Prints text as it is. A reader that went away (`corerl … | head`) is no failure.
pub(crate) fn print_text(text: &str) -> Result<(), Failure> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::io("cannot write to standard output", &error))
        }
        _ => Ok(()),
    }
}

/// A table with left-aligned columns, two spaces apart; the last column is as wide as it likes.
pub(crate) fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    let mut text = String::new();
    for row in rows {
        let padded = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        text.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// What there is to add to a sentence, if there is anything.
pub(crate) fn in_brackets(all: &[String]) -> String {
    if all.is_empty() { String::new() } else { format!(" ({})", all.join("; ")) }
}

/// Something that is not what was written, and where.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) place: String,
    pub(crate) what: String,
}

/// What was found, for people: a line for each.
pub(crate) fn findings(found: &[Finding]) -> String {
    table(&found.iter().map(|of| [of.place.clone(), of.what.clone()]).collect::<Vec<_>>())
}

/// A span of nanoseconds for people, in the unit that suits it.
pub(crate) fn span(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{:.1} us", ns as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_what_people_read_and_leaves_no_spaces_at_the_end() {
        let rows = [["a".into(), "öl".into(), "x".into()], ["bcd".into(), String::new(), String::new()]];
        assert_eq!(table(&rows), "a    öl  x\nbcd\n");
    }

    #[test]
    fn spans_have_the_unit_that_suits_them() {
        assert_eq!(
            ["999 ns", "1.0 us", "2.5 ms", "61.0 s"],
            [span(999), span(1_000), span(2_500_000), span(61_000_000_000)]
        );
    }
}

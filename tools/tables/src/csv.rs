//! Comma-separated values (RFC 4180) that every spreadsheet reads: one heading, names with their units.

use std::fs::File;
use std::io::{BufWriter, Write};

use csv::{Terminator, Writer, WriterBuilder};

use crate::{Column, Rows, TableError, Value, utc};

/// Without it spreadsheets take the text for one of their country's old encodings, and `°C` and `m³/h` for something else.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A file of comma-separated values.
#[derive(Debug)]
pub struct CsvFile<W: Write> {
    writer: Writer<W>,
}

impl CsvFile<BufWriter<File>> {
    /// Begins a file with its heading.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn begin(file: File, columns: &[Column]) -> Result<Self, TableError> {
        Self::over(BufWriter::new(file), columns)
    }
}

impl<W: Write> CsvFile<W> {
    fn over(mut output: W, columns: &[Column]) -> Result<Self, TableError> {
        output.write_all(BYTE_ORDER_MARK.as_bytes())?;
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(output);
        writer.write_record(columns.iter().map(Column::heading))?;
        Ok(Self { writer })
    }
}

impl<W: Write> Rows for CsvFile<W> {
    fn row(&mut self, values: &[Value<'_>]) -> Result<(), TableError> {
        for value in values {
            match value {
                Value::Word(text) => self.writer.write_field(text.as_bytes())?,
                value => self.writer.write_field(cell(value))?,
            }
        }
        Ok(self.writer.write_record(None::<&[u8]>)?)
    }

    fn finish(mut self: Box<Self>) -> Result<(), TableError> {
        Ok(self.writer.flush()?)
    }
}

fn cell(value: &Value<'_>) -> String {
    match value {
        Value::Time(unix_ns) => utc(*unix_ns),
        Value::Micros(unix_us) => utc(unix_us.saturating_mul(1_000)),
        // With as many digits as it takes to read the very same number again. No spreadsheet knows an infinite one.
        Value::Number(number) if number.is_finite() => format!("{number:?}"),
        Value::Number(_) | Value::Nothing => String::new(),
        Value::Count(count) | Value::Bits(count) => count.to_string(),
        Value::Switch(on) => u8::from(*on).to_string(),
        Value::Choice(_, name) => (*name).to_owned(),
        Value::Word(text) => text.clone().into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Kind;

    fn column(name: &str, kind: Kind, unit: &str) -> Column {
        Column { name: name.to_owned(), kind, unit: unit.to_owned(), about: "" }
    }

    fn written(columns: &[Column], rows: &[Vec<Value<'_>>]) -> String {
        let mut bytes = Vec::new();
        let mut file = Box::new(CsvFile::over(&mut bytes, columns).unwrap());
        rows.iter().for_each(|row| file.row(row).unwrap());
        file.finish().unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn names_and_texts_are_quoted_and_what_is_no_finite_number_is_an_empty_cell() {
        let columns =
            [column("time", Kind::Time, ""), column("a \"b\", c\n", Kind::Number, "°C"), column("w", Kind::Word, "")];
        let rows = [
            vec![Value::Time(1_709_210_096_000_001_000), Value::Number(0.1), Value::Word("x".into())],
            vec![Value::Time(0), Value::Number(f64::NAN), Value::Word("1,2".into())],
            vec![Value::Time(0), Value::Number(f64::INFINITY), Value::Word("\u{fc}\r\n".into())],
        ];
        assert_eq!(
            written(&columns, &rows),
            "\u{feff}time,\"a \"\"b\"\", c\n [°C]\",w\r\n2024-02-29T12:34:56.000001Z,0.1,x\r\n\
             1970-01-01T00:00:00.000000Z,,\"1,2\"\r\n1970-01-01T00:00:00.000000Z,,\"\u{fc}\r\n\"\r\n"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_goes_in_comes_out(name in ".*", unit in ".*", rows in prop::collection::vec((any::<f64>(), ".*"), 0..20)) {
            let columns = [column(&name, Kind::Number, &unit), column("w", Kind::Word, "")];
            let values: Vec<_> =
                rows.iter().map(|(number, text)| vec![Value::Number(*number), Value::Word(text.into())]).collect();
            let text = written(&columns, &values);
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            prop_assert_eq!(&reader.headers().unwrap()[0], columns[0].heading());
            let found: Vec<_> = reader.records().map(Result::unwrap).collect();
            prop_assert_eq!(found.len(), rows.len());
            for (found, (number, text)) in found.iter().zip(&rows) {
                let read = found[0].parse::<f64>().ok();
                prop_assert_eq!(read.map(f64::to_bits), number.is_finite().then(|| number.to_bits()));
                prop_assert_eq!(&found[1], text);
            }
        }
    }
}

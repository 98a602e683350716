//! Parquet: columns of values that may be missing, in groups of rows that fit in memory.

use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

use parquet::basic::{Compression, Encoding, LogicalType, Repetition, TimeUnit, Type as Stored};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{ColumnPath, Type, TypePtr};

use crate::{Column, Kind, Rows, TableError, Value, arrow};

/// A group of rows has about so many values: tens of megabytes while it is gathered.
const GROUP_VALUES: usize = 1 << 21;
/// And at least so many rows, however many columns there are.
const GROUP_ROWS_MIN: usize = 1024;

/// How values are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// As everybody reads it: dictionaries, plain values, Snappy.
    Common,
    /// For what is kept for long: whole numbers as their differences, other numbers byte by byte, LZ4.
    Dense,
}

/// A file that is being written.
#[derive(Debug)]
pub struct ParquetFile {
    writer: SerializedFileWriter<BufWriter<File>>,
    columns: Vec<Gathered>,
    rows: usize,
    rows_max: usize,
    /// Where each group of rows ends, in bytes from the begin of the file.
    ends: Vec<u64>,
}

/// The values of one column in this group of rows, and for each row whether it has one.
#[derive(Debug)]
struct Gathered {
    values: Values,
    levels: Vec<i16>,
}

#[derive(Debug)]
enum Values {
    Longs(Vec<i64>),
    Doubles(Vec<f64>),
    Switches(Vec<bool>),
    Texts(Vec<ByteArray>),
}

impl ParquetFile {
    /// Begins a file; `about` is what it says of itself, by keys.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn begin(
        file: File,
        columns: &[Column],
        about: &[(&'static str, String)],
        coding: Coding,
    ) -> Result<Self, TableError> {
        let entry = |(key, value): (&str, String)| KeyValue::new(key.to_owned(), Some(value));
        let schema = std::iter::once((arrow::KEY, arrow::schema(columns)));
        let metadata = schema.chain(about.iter().cloned()).map(entry).collect();
        let properties = properties(columns, coding)
            .set_key_value_metadata(Some(metadata))
            .set_created_by(concat!("corerl version ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        let schema = Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?);
        let writer = SerializedFileWriter::new(BufWriter::new(file), schema, Arc::new(properties))?;
        let rows_max = (GROUP_VALUES / columns.len().max(1)).max(GROUP_ROWS_MIN);
        let columns = columns.iter().map(Gathered::of).collect();
        Ok(Self { writer, columns, rows: 0, rows_max, ends: Vec::new() })
    }

    /// Where the next row comes: the group's number, and the row's in it.
    pub fn place(&self) -> (usize, usize) {
        (self.ends.len(), self.rows)
    }

    /// Writes what is still missing; where each group of rows ends, in bytes from the begin of the file.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn close(mut self) -> Result<Vec<u64>, TableError> {
        if self.rows > 0 {
            self.end_group()?;
        }
        self.writer.finish()?;
        Ok(self.ends)
    }

    fn end_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.writer.next_row_group()?;
        for gathered in &mut self.columns {
            let Some(mut column) = group.next_column()? else { break };
            gathered.write(&mut column)?;
            column.close()?;
        }
        group.close()?;
        self.rows = 0;
        self.ends.push(self.writer.bytes_written() as u64);
        Ok(())
    }
}

impl Rows for ParquetFile {
    fn row(&mut self, values: &[Value<'_>]) -> Result<(), TableError> {
        self.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        self.rows += 1;
        if self.rows == self.rows_max {
            self.end_group()?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), TableError> {
        self.close().map(drop)
    }
}

fn properties(columns: &[Column], coding: Coding) -> WriterPropertiesBuilder {
    let common = WriterProperties::builder().set_compression(Compression::SNAPPY);
    if coding == Coding::Common {
        return common;
    }
    // Of groups of rows there are minima and maxima; of their pages they would be longer than many a page.
    let dense = common
        .set_compression(Compression::LZ4_RAW)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    columns.iter().fold(dense, |dense, column| {
        let path = ColumnPath::from(column.name.as_str());
        match column.kind {
            Kind::Time | Kind::Micros | Kind::Count => dense
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED),
            Kind::Number => dense
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT),
            Kind::Bits | Kind::Switch | Kind::Choice | Kind::Word => dense,
        }
    })
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let (stored, logical) = match column.kind {
        Kind::Time => (Stored::INT64, Some(LogicalType::timestamp(true, TimeUnit::NANOS))),
        Kind::Micros => (Stored::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS))),
        Kind::Number => (Stored::DOUBLE, None),
        Kind::Count => (Stored::INT64, None),
        Kind::Bits => (Stored::INT64, Some(LogicalType::integer(64, false))),
        Kind::Switch => (Stored::BOOLEAN, None),
        Kind::Choice | Kind::Word => (Stored::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let builder = Type::primitive_type_builder(&column.name, stored);
    Ok(Arc::new(builder.with_repetition(Repetition::OPTIONAL).with_logical_type(logical).build()?))
}

impl Gathered {
    fn of(column: &Column) -> Self {
        let values = match column.kind {
            Kind::Time | Kind::Micros | Kind::Count | Kind::Bits => Values::Longs(Vec::new()),
            Kind::Number => Values::Doubles(Vec::new()),
            Kind::Switch => Values::Switches(Vec::new()),
            Kind::Choice | Kind::Word => Values::Texts(Vec::new()),
        };
        Self { values, levels: Vec::new() }
    }

    /// Not a number is null, as an average expects it, and so is a text without letters; infinities are values.
    fn push(&mut self, value: &Value<'_>) {
        let is_there = match (&mut self.values, value) {
            (Values::Doubles(to), Value::Number(number)) => keep(to, (!number.is_nan()).then_some(*number)),
            // Nobody counts cycles, nor nanoseconds since 1970, up to where i64 ends.
            (Values::Longs(to), Value::Time(count) | Value::Micros(count) | Value::Count(count)) => {
                keep(to, Some(i64::try_from(*count).unwrap_or(i64::MAX)))
            }
            (Values::Longs(to), Value::Bits(bits)) => keep(to, Some(bits.cast_signed())),
            (Values::Switches(to), Value::Switch(on)) => keep(to, Some(*on)),
            (Values::Texts(to), Value::Choice(_, name)) => keep_text(to, name),
            (Values::Texts(to), Value::Word(text)) => !text.is_empty() && keep_text(to, text),
            // Nothing, or a value of another kind than its column's, which no table has.
            _ => false,
        };
        self.levels.push(is_there.into());
    }

    fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match &mut self.values {
            Values::Longs(values) => batch::<Int64Type>(column, values, &mut self.levels),
            Values::Doubles(values) => batch::<DoubleType>(column, values, &mut self.levels),
            Values::Switches(values) => batch::<BoolType>(column, values, &mut self.levels),
            Values::Texts(values) => batch::<ByteArrayType>(column, values, &mut self.levels),
        }
    }
}

fn keep<T>(to: &mut Vec<T>, value: Option<T>) -> bool {
    let is_there = value.is_some();
    to.extend(value);
    is_there
}

/// A text that repeats the one before shares its letters.
fn keep_text(to: &mut Vec<ByteArray>, text: &str) -> bool {
    let again = to.last().filter(|last| last.data() == text.as_bytes()).cloned();
    keep(to, Some(again.unwrap_or_else(|| ByteArray::from(text))))
}

fn batch<D: DataType>(
    column: &mut SerializedColumnWriter<'_>,
    values: &mut Vec<D::T>,
    levels: &mut Vec<i16>,
) -> Result<(), ParquetError> {
    column.typed::<D>().write_batch(values, Some(levels), None)?;
    values.clear();
    levels.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use parquet::file::reader::{FileReader as _, SerializedFileReader};
    use parquet::record::Field;
    use proptest::prelude::*;

    use super::*;

    /// A table with a column of each kind.
    fn columns() -> Vec<Column> {
        let kinds =
            [Kind::Time, Kind::Number, Kind::Count, Kind::Bits, Kind::Switch, Kind::Choice, Kind::Word, Kind::Micros];
        let column = |kind: Kind| Column { name: format!("{kind:?}"), kind, unit: "m".into(), about: "a column" };
        kinds.map(column).to_vec()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn what_goes_in_comes_out_however_it_is_coded(
            rows in prop::collection::vec((any::<u64>(), any::<u64>(), any::<bool>(), "[a-c]{0,2}"), 0..1500), dense: bool,
        ) {
            let file = tempfile::tempfile().unwrap();
            let coding = if dense { Coding::Dense } else { Coding::Common };
            let about = [("corerl.site", "works".to_owned())];
            let mut table = ParquetFile::begin(file.try_clone().unwrap(), &columns(), &about, coding).unwrap();
            table.rows_max = 1000;
            for (number, (small, bits, on, text)) in rows.iter().enumerate() {
                prop_assert_eq!(table.place(), (number / 1000, number % 1000));
                let word = Value::Word(Cow::Borrowed(text));
                let number = Value::Number(f64::from_bits(*bits));
                let (time, count) = (Value::Time(small >> 1), Value::Count(small >> 20));
                table.row(&[time, number, count, Value::Bits(*bits), Value::Switch(*on), Value::Choice(1, "one"), word, Value::Micros(small >> 14)]).unwrap();
            }
            let ends = table.close().unwrap();
            let reader = SerializedFileReader::new(file).unwrap();
            prop_assert_eq!(ends.len(), rows.len().div_ceil(1000));
            let found: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap().into_columns()).collect();
            prop_assert_eq!(found.len(), rows.len());
            for (found, (small, bits, on, text)) in found.iter().zip(&rows) {
                let number = f64::from_bits(*bits);
                let is_number = matches!(&found[1].1, Field::Double(read) if read.to_bits() == *bits);
                prop_assert!(is_number || number.is_nan() && found[1].1 == Field::Null);
                prop_assert_eq!(&found[2].1, &Field::Long((small >> 20).cast_signed()));
                prop_assert_eq!(&found[3].1, &Field::ULong(*bits));
                prop_assert_eq!(&found[4].1, &Field::Bool(*on));
                let word = if text.is_empty() { Field::Null } else { Field::Str(text.clone()) };
                prop_assert_eq!(&found[6].1, &word);
                prop_assert_eq!(&found[7].1, &Field::TimestampMicros((small >> 14).cast_signed()));
            }
        }
    }
}

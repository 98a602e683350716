//! Parquet: columns of values that may be missing, in groups of rows that fit in memory.

use std::fs::File;
use std::io::BufWriter;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, TimeUnit, Type as Stored};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::{Type, TypePtr};

use super::column::{Kind, Value};
use super::table::{Column, Rows};
use super::{ExportError, arrow};
use crate::file::Footage;

/// A group of rows has about so many values: tens of megabytes while it is gathered.
const GROUP_VALUES: usize = 1 << 21;
/// And at least so many rows, however many columns there are.
const GROUP_ROWS_MIN: usize = 1024;

/// A file that is being written.
pub(super) struct ParquetFile {
    writer: SerializedFileWriter<BufWriter<File>>,
    columns: Vec<Gathered>,
    rows: usize,
    rows_max: usize,
}

/// The values of one column in this group of rows, and for each row whether it has one.
struct Gathered {
    values: Values,
    levels: Vec<i16>,
}

enum Values {
    Longs(Vec<i64>),
    Doubles(Vec<f64>),
    Switches(Vec<bool>),
    Texts(Vec<ByteArray>),
}

impl ParquetFile {
    pub(super) fn begin(footage: &Footage, file: File, columns: Vec<Column>) -> Result<Self, ExportError> {
        let legend = footage.legend();
        let entry = |key: &str, value: String| KeyValue::new(key.to_owned(), Some(value));
        let metadata = vec![
            entry(arrow::KEY, arrow::schema(&columns)),
            entry("corerl.site", legend.site.clone()),
            entry("corerl.agent", legend.agent.clone()),
            entry("corerl.period_ns", legend.period_ns.to_string()),
            entry("corerl.program", footage.provenance().program.clone()),
        ];
        Self::over(file, &columns, metadata)
    }

    fn over(file: File, columns: &[Column], metadata: Vec<KeyValue>) -> Result<Self, ExportError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(metadata))
            .set_created_by(concat!("corerl version ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let fields = columns.iter().map(field).collect::<Result<Vec<_>, _>>()?;
        let schema = Arc::new(Type::group_type_builder("schema").with_fields(fields).build()?);
        let writer = SerializedFileWriter::new(BufWriter::new(file), schema, Arc::new(properties))?;
        let rows_max = (GROUP_VALUES / columns.len().max(1)).max(GROUP_ROWS_MIN);
        Ok(Self { writer, columns: columns.iter().map(Gathered::of).collect(), rows: 0, rows_max })
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
        Ok(())
    }
}

impl Rows for ParquetFile {
    fn row(&mut self, values: &[Value<'_>]) -> Result<(), ExportError> {
        self.columns.iter_mut().zip(values).for_each(|(column, value)| column.push(value));
        self.rows += 1;
        if self.rows == self.rows_max {
            self.end_group()?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), ExportError> {
        if self.rows > 0 {
            self.end_group()?;
        }
        self.writer.finish()?;
        Ok(())
    }
}

fn field(column: &Column) -> Result<TypePtr, ParquetError> {
    let (stored, logical) = match column.kind {
        Kind::Time => (Stored::INT64, Some(LogicalType::timestamp(true, TimeUnit::NANOS))),
        Kind::Number => (Stored::DOUBLE, None),
        Kind::Count => (Stored::INT64, None),
        Kind::Switch => (Stored::BOOLEAN, None),
        Kind::Choice | Kind::Word => (Stored::BYTE_ARRAY, Some(LogicalType::String)),
    };
    let builder = Type::primitive_type_builder(&column.name, stored);
    Ok(Arc::new(builder.with_repetition(Repetition::OPTIONAL).with_logical_type(logical).build()?))
}

impl Gathered {
    fn of(column: &Column) -> Self {
        let values = match column.kind {
            Kind::Time | Kind::Count => Values::Longs(Vec::new()),
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
            (Values::Longs(to), Value::Time(count) | Value::Count(count)) => {
                keep(to, Some(i64::try_from(*count).unwrap_or(i64::MAX)))
            }
            (Values::Switches(to), Value::Switch(on)) => keep(to, Some(*on)),
            (Values::Texts(to), Value::Choice(_, name)) => keep(to, Some(ByteArray::from(*name))),
            (Values::Texts(to), Value::Word(text)) => {
                keep(to, (!text.is_empty()).then(|| ByteArray::from(text.as_ref())))
            }
            // A value of another kind than its column's, which no table has.
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

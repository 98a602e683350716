//! Tables from Parquet files, as pandas, Polars, Spark and historians write them.
//!
//! A file has one plain column for each tag, of numbers or truth values, and one for the time, whose name is as in a CSV file
//! and whose place does not matter. What is null says nothing, like an empty cell; a number that is not finite says that there
//! is no value. The format itself is read by the crate `parquet`; what it is given, and how much it is asked for, is checked
//! here before.

mod columns;
mod pages;

use std::fs::File;
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as Stored};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_column_reader};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader as _, Length, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::{ColumnDescriptor, SchemaDescriptor};

pub use columns::{Cells, ParquetColumns};
use pages::{Bounded, Checked};

use crate::table::{CELLS_MAX, Column, TIME_NAMES, Table, TableRefused, check_names, time_of, time_of_number};

/// How a Parquet file begins, and ends.
pub(crate) const MAGIC: &[u8] = b"PAR1";
/// How pandas calls a time that has no name.
const NAMELESS_INDEX: &str = "__index_level_0__";
/// Rows that are asked for at once.
const BATCH_ROWS: usize = 1 << 14;

impl From<ParquetError> for TableRefused {
    fn from(error: ParquetError) -> Self {
        let text = match error {
            ParquetError::General(text) | ParquetError::NYI(text) | ParquetError::EOF(text) => text,
            other => other.to_string(),
        };
        Self::Parquet(text.escape_debug().to_string())
    }
}

/// What stored numbers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Itself,
    Unsigned,
    /// So many digits are behind the point.
    Decimal(i32),
}

/// What stored times mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    /// So many nanoseconds since 1970 each.
    Counts(i64),
    /// As a number in a CSV file.
    Number,
    /// As a text in a CSV file.
    Text,
    /// As Spark and Impala used to write them.
    Int96,
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> Result<Table, TableRefused> {
    let file = File::open(path)?;
    let size_bytes = Length::len(&file);
    let reader = SerializedFileReader::new(Bounded(file))?;
    let metadata = reader.metadata();
    let schema = metadata.file_metadata().schema_descr();
    let layout = Layout::of(schema)?;
    let sizes = metadata.row_groups().iter().map(|group| usize::try_from(group.num_rows()).unwrap_or(usize::MAX));
    let cells = sizes.fold(0_usize, usize::saturating_add).saturating_mul(schema.num_columns());
    if cells > CELLS_MAX {
        return Err(TableRefused::TooLarge);
    }
    let mut table = Table { columns: layout.names.iter().map(|name| Column::new(name)).collect(), ..Table::default() };
    let mut rows_before = 0;
    for place in 0..reader.num_row_groups() {
        let group = reader.get_row_group(place)?;
        rows_before += layout.take(group.as_ref(), (rows_before, size_bytes), &mut table)?;
    }
    if table.times_ns.is_empty() {
        return Err(TableRefused::NoRows);
    }
    Ok(table)
}

/// Which column is what.
struct Layout {
    time: (usize, Clock),
    /// The other columns, in their order.
    values: Vec<(usize, Meaning)>,
    names: Vec<String>,
}

impl Layout {
    fn of(schema: &SchemaDescriptor) -> Result<Self, TableRefused> {
        let columns = schema.columns();
        let refuse = TableRefused::Columns;
        if let Some(nested) =
            columns.iter().find(|column| column.path().parts().len() > 1 || column.max_rep_level() > 0)
        {
            let name = nested.path().string().escape_debug().to_string();
            return Err(refuse(format!("`{name}` is nested: write a plain column for each tag")));
        }
        let is_time = |column: &ColumnDescriptor| TIME_NAMES.contains(&column.name().to_lowercase().as_str());
        let times: Vec<usize> = (0..columns.len()).filter(|place| is_time(&columns[*place])).collect();
        let time = match times.as_slice() {
            [time] => *time,
            [one, other, ..] => {
                let (one, other) = (shown(&columns[*one]), shown(&columns[*other]));
                return Err(refuse(format!("`{one}` and `{other}` could both be the time: rename one")));
            }
            [] => return Err(refuse(no_time(columns.iter().any(|column| column.name() == NAMELESS_INDEX)))),
        };
        let clock = clock_of(&columns[time]).map_err(|what| refuse(format!("`{}` {what}", shown(&columns[time]))))?;
        let (mut values, mut names) = (Vec::new(), Vec::new());
        for (place, column) in columns.iter().enumerate().filter(|(place, _)| *place != time) {
            let meaning = meaning_of(column).map_err(|what| refuse(format!("`{}` {what}", shown(column))))?;
            values.push((place, meaning));
            names.push(column.name().trim_matches(['{', '}']).to_owned());
        }
        check_names(&names).map_err(refuse)?;
        Ok(Self { time: (time, clock), values, names })
    }

    /// Takes the rows of a group; how many they were.
    fn take(
        &self,
        group: &dyn RowGroupReader,
        (before, size_bytes): (usize, u64),
        table: &mut Table,
    ) -> Result<usize, TableRefused> {
        let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
        if rows == 0 {
            return Ok(0);
        }
        let column = |place: usize| {
            let about = group.metadata().column(place);
            let name = about.column_descr().name().escape_debug().to_string();
            let refuse = |what: String| TableRefused::Columns(format!("`{name}` {what}"));
            pages::check(about, rows, size_bytes).map_err(refuse)?;
            let pages = Checked::new(group.get_column_page_reader(place)?, about.column_descr());
            let reader = get_column_reader(about.column_descr_ptr(), Box::new(pages));
            Ok::<_, TableRefused>((reader, about.column_descr().max_def_level() > 0))
        };
        let (reader, nullable) = column(self.time.0)?;
        let times = times(reader, rows, nullable, self.time.1)?;
        let mut cells = Vec::with_capacity(self.values.len());
        for (place, meaning) in &self.values {
            let (reader, nullable) = column(*place)?;
            cells.push(numbers(reader, rows, nullable, *meaning)?);
        }
        for (row, time) in times.into_iter().enumerate() {
            let number = (before + row + 1) as u64;
            let refuse = |message: String| TableRefused::Row { row: number, message };
            let time = time.ok_or_else(|| refuse("it has no time, or one that cannot be".to_owned()))?;
            table
                .begin_row(time)
                .map_err(|_| refuse("its time is before that of the row before: sort the file by time".to_owned()))?;
            table.end_row(cells.iter().filter_map(|cells| cells.get(row).copied()));
        }
        Ok(rows)
    }
}

fn shown(column: &ColumnDescriptor) -> String {
    column.name().escape_debug().to_string()
}

fn no_time(has_nameless: bool) -> String {
    let known = TIME_NAMES.join(", ");
    let hint = if has_nameless { " (pandas: df.index.name = 'time' before it is written)" } else { "" };
    format!("none of them is the time, which has to be called one of: {known}{hint}")
}

fn meaning_of(column: &ColumnDescriptor) -> Result<Meaning, String> {
    use ConvertedType as Old;
    match column.physical_type() {
        Stored::BOOLEAN | Stored::FLOAT | Stored::DOUBLE => return Ok(Meaning::Itself),
        Stored::INT32 | Stored::INT64 => {}
        Stored::BYTE_ARRAY | Stored::FIXED_LEN_BYTE_ARRAY | Stored::INT96 => {
            return Err("holds no numbers: leave it out, or write it as doubles".to_owned());
        }
    }
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Decimal(decimal)), _) => Ok(Meaning::Decimal(decimal.scale)),
        (Some(LogicalType::Integer(integer)), _) if !integer.is_signed => Ok(Meaning::Unsigned),
        (Some(LogicalType::Integer(_) | LogicalType::Unknown), _) => Ok(Meaning::Itself),
        (None, Old::DECIMAL) => Ok(Meaning::Decimal(column.type_scale())),
        (None, Old::UINT_8 | Old::UINT_16 | Old::UINT_32 | Old::UINT_64) => Ok(Meaning::Unsigned),
        (None, Old::NONE | Old::INT_8 | Old::INT_16 | Old::INT_32 | Old::INT_64) => Ok(Meaning::Itself),
        _ => Err("holds times and not numbers: leave it out, or write it as doubles".to_owned()),
    }
}

fn clock_of(column: &ColumnDescriptor) -> Result<Clock, String> {
    use ConvertedType as Old;
    const DAY_NS: i64 = 86_400_000_000_000;
    match (column.physical_type(), column.logical_type_ref(), column.converted_type()) {
        (Stored::INT64, Some(LogicalType::Timestamp(timestamp)), _) => Ok(Clock::Counts(match timestamp.unit {
            TimeUnit::NANOS => 1,
            TimeUnit::MICROS => 1_000,
            TimeUnit::MILLIS => 1_000_000,
        })),
        (Stored::INT64, None, Old::TIMESTAMP_MICROS) => Ok(Clock::Counts(1_000)),
        (Stored::INT64, None, Old::TIMESTAMP_MILLIS) => Ok(Clock::Counts(1_000_000)),
        (Stored::INT32, Some(LogicalType::Date), _) | (Stored::INT32, None, Old::DATE) => Ok(Clock::Counts(DAY_NS)),
        (
            Stored::INT32 | Stored::INT64,
            None | Some(LogicalType::Integer(_)),
            Old::NONE | Old::INT_32 | Old::INT_64,
        )
        | (Stored::DOUBLE, ..) => Ok(Clock::Number),
        (Stored::BYTE_ARRAY, ..) => Ok(Clock::Text),
        (Stored::INT96, ..) => Ok(Clock::Int96),
        _ => Err("is no time: write a timestamp, seconds since 1970, or text like 2026-01-31T14:05:00Z".to_owned()),
    }
}

/// Every row's time, in nanoseconds since 1970, where it has one that can be.
fn times(reader: ColumnReader, rows: usize, nullable: bool, clock: Clock) -> Result<Vec<Option<i64>>, TableRefused> {
    let whole = |number: i64| match clock {
        Clock::Counts(each) => number.checked_mul(each),
        _ => time_of_number(number as f64),
    };
    let decoded = match reader {
        ColumnReader::Int32ColumnReader(reader) => decode(reader, rows, nullable, None, |days| whole(i64::from(*days))),
        ColumnReader::Int64ColumnReader(reader) => decode(reader, rows, nullable, None, |count| whole(*count)),
        ColumnReader::DoubleColumnReader(reader) => decode(reader, rows, nullable, None, |time| time_of_number(*time)),
        ColumnReader::Int96ColumnReader(reader) => {
            // The first two words are nanoseconds of a day, the third is the Julian day.
            decode(reader, rows, nullable, None, |time| {
                let [low, high, day] = *time.data() else { return None };
                let of_day = i64::try_from(u64::from(high) << 32 | u64::from(low)).ok()?;
                let days = i64::from(day) - 2_440_588;
                days.checked_mul(86_400_000_000_000)?.checked_add(of_day)
            })
        }
        ColumnReader::ByteArrayColumnReader(reader) => {
            decode(reader, rows, nullable, None, |text| time_of(std::str::from_utf8(text.data()).ok()?.trim()))
        }
        _ => return Err(TableRefused::Columns("the time is of a type that is not read".to_owned())),
    };
    decoded.map_err(Into::into)
}

/// Every row's cell, as a table keeps it.
fn numbers(reader: ColumnReader, rows: usize, nullable: bool, meaning: Meaning) -> Result<Vec<f64>, TableRefused> {
    let nothing = f64::NAN;
    // A number that is none says that there is no value.
    let cell = |number: f64| if number.is_finite() { number } else { f64::INFINITY };
    let scaled = |number: f64| match meaning {
        Meaning::Decimal(scale) => cell(number / 10_f64.powi(scale)),
        _ => number,
    };
    let is_unsigned = meaning == Meaning::Unsigned;
    let decoded = match reader {
        ColumnReader::BoolColumnReader(reader) => {
            decode(reader, rows, nullable, nothing, |is| f64::from(u8::from(*is)))
        }
        ColumnReader::Int32ColumnReader(reader) => decode(reader, rows, nullable, nothing, |number| {
            if is_unsigned { f64::from(number.cast_unsigned()) } else { scaled(f64::from(*number)) }
        }),
        ColumnReader::Int64ColumnReader(reader) => decode(reader, rows, nullable, nothing, |number| {
            if is_unsigned { number.cast_unsigned() as f64 } else { scaled(*number as f64) }
        }),
        ColumnReader::FloatColumnReader(reader) => {
            decode(reader, rows, nullable, nothing, |number| cell(f64::from(*number)))
        }
        ColumnReader::DoubleColumnReader(reader) => decode(reader, rows, nullable, nothing, |number| cell(*number)),
        _ => return Err(TableRefused::Columns("a tag is of a type that is not read".to_owned())),
    };
    decoded.map_err(Into::into)
}

/// All of a column's values in a group, or what stands where there is none.
fn decode<D: DataType, T: Clone>(
    mut reader: ColumnReaderImpl<D>,
    rows: usize,
    nullable: bool,
    missing: T,
    value: impl Fn(&D::T) -> T,
) -> Result<Vec<T>, ParquetError> {
    let mut decoded = Vec::new();
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    while decoded.len() < rows {
        levels.clear();
        values.clear();
        let batch = BATCH_ROWS.min(rows - decoded.len());
        let (records, _, _) = reader.read_records(batch, Some(&mut levels), None, &mut values)?;
        if records == 0 {
            let found = decoded.len();
            return Err(ParquetError::EOF(format!("a column has {found} values, and its group {rows} rows")));
        }
        if nullable {
            let mut values = values.iter();
            decoded.extend(levels.iter().map(|level| match level {
                0 => missing.clone(),
                _ => values.next().map_or_else(|| missing.clone(), &value),
            }));
        } else {
            decoded.extend(values.iter().map(&value));
        }
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests;

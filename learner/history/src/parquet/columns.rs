//! Columns of a Parquet file as they are, for whoever knows better than a table what they mean.

use std::fs::File;
use std::path::Path;

use parquet::basic::{LogicalType, Type as Stored};
use parquet::column::reader::{ColumnReader, get_column_reader};
use parquet::file::reader::{FileReader as _, Length, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::ColumnDescriptor;

use super::pages::{self, Bounded, Checked};
use super::{Clock, MAGIC, Meaning, clock_of, decode, meaning_of, numbers, times};
use crate::table::{CELLS_MAX, TableRefused};

/// A Parquet file whose columns are read one by one.
pub struct ParquetColumns {
    reader: SerializedFileReader<Bounded>,
    size_bytes: u64,
    rows: usize,
}

/// The cells of a column, one for each row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cells {
    /// Nanoseconds since 1970.
    Times {
        /// Where there is one that can be.
        times_ns: Vec<Option<i64>>,
        /// They are instants, and not what a clock on some wall showed.
        is_utc: bool,
    },
    /// Whole numbers.
    Wholes(Vec<Option<i64>>),
    /// Others: not a number where there is nothing, infinite for no value.
    Numbers(Vec<f64>),
    /// Texts.
    Texts(Vec<Option<String>>),
}

impl ParquetColumns {
    /// Opens a file, if it is a Parquet file.
    ///
    /// # Errors
    /// It begins as one, and cannot be read.
    pub fn open(path: &Path) -> Result<Option<Self>, TableRefused> {
        let file = File::open(path)?;
        let mut beginning = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(&file, MAGIC.len() as u64), &mut beginning)?;
        if beginning != MAGIC {
            return Ok(None);
        }
        let size_bytes = Length::len(&file);
        let reader = SerializedFileReader::new(Bounded(file))?;
        let groups = reader.metadata().row_groups().iter();
        let sizes = groups.map(|group| usize::try_from(group.num_rows()).unwrap_or(usize::MAX));
        let rows = sizes.fold(0_usize, usize::saturating_add);
        if rows > CELLS_MAX {
            return Err(TableRefused::TooLarge);
        }
        Ok(Some(Self { reader, size_bytes, rows }))
    }

    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The names of its columns.
    pub fn names(&self) -> Vec<String> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        schema.columns().iter().map(|column| column.path().string()).collect()
    }

    /// The cells of a column, by its place.
    ///
    /// # Errors
    /// It is nested, of a type or encoding that is not read, or damaged.
    pub fn read(&self, place: usize) -> Result<Cells, TableRefused> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let column = schema.column(place);
        let refuse = |what: String| TableRefused::Columns(format!("`{}` {what}", column.name().escape_debug()));
        if column.path().parts().len() > 1 || column.max_rep_level() > 0 {
            return Err(refuse("is nested: write it as a plain column".to_owned()));
        }
        let mut all = kind_of(&column).map_err(refuse)?;
        for group in 0..self.reader.num_row_groups() {
            let group = self.reader.get_row_group(group)?;
            let rows = usize::try_from(group.metadata().num_rows()).unwrap_or(0);
            if rows > 0 {
                self.take(group.as_ref(), (place, rows), &column, &mut all)?;
            }
        }
        Ok(all)
    }

    fn take(
        &self,
        group: &dyn RowGroupReader,
        (place, rows): (usize, usize),
        column: &ColumnDescriptor,
        to: &mut Cells,
    ) -> Result<(), TableRefused> {
        let about = group.metadata().column(place);
        let refuse = |what: String| TableRefused::Columns(format!("`{}` {what}", column.name().escape_debug()));
        pages::check(about, rows, self.size_bytes).map_err(refuse)?;
        let checked = Checked::new(group.get_column_page_reader(place)?, column);
        let reader = get_column_reader(about.column_descr_ptr(), Box::new(checked));
        let nullable = column.max_def_level() > 0;
        match (to, reader) {
            (Cells::Times { times_ns, .. }, reader) => {
                let clock = clock_of(column).map_err(refuse)?;
                times_ns.extend(times(reader, rows, nullable, clock)?);
            }
            (Cells::Wholes(wholes), ColumnReader::Int64ColumnReader(reader)) => {
                wholes.extend(decode(reader, rows, nullable, None, |whole| Some(*whole))?);
            }
            (Cells::Texts(texts), ColumnReader::ByteArrayColumnReader(reader)) => {
                texts.extend(decode(reader, rows, nullable, None, |text| {
                    Some(String::from_utf8_lossy(text.data()).into_owned())
                })?);
            }
            (Cells::Numbers(all), reader) => {
                all.extend(numbers(reader, rows, nullable, meaning_of(column).map_err(refuse)?)?);
            }
            _ => return Err(refuse("is of a type that is not read".to_owned())),
        }
        Ok(())
    }
}

/// What the cells of a column will be, none of them yet; or why they cannot be read.
fn kind_of(column: &ColumnDescriptor) -> Result<Cells, String> {
    let is_time = matches!(clock_of(column), Ok(Clock::Counts(_) | Clock::Int96));
    let is_utc = !matches!(column.logical_type_ref(), Some(LogicalType::Timestamp(time)) if !time.is_adjusted_to_u_t_c);
    match column.physical_type() {
        _ if is_time => Ok(Cells::Times { times_ns: Vec::new(), is_utc }),
        Stored::BYTE_ARRAY => Ok(Cells::Texts(Vec::new())),
        Stored::INT64 if meaning_of(column)? == Meaning::Itself => Ok(Cells::Wholes(Vec::new())),
        _ => meaning_of(column).map(|_| Cells::Numbers(Vec::new())),
    }
}

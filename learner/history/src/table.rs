//! Tables of values over time, from CSV files; those from Parquet files are made in `parquet.rs`.
//!
//! The first line names the columns; the first column is the time, every other one a tag. An empty cell says nothing: the
//! value before it holds for as long as the site file lets it. `NaN`, `bad` and the like say that there is no value. Commas, semicolons or tabs stand between cells; where it is not a comma, numbers may have a decimal comma.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;

use chrono::{DateTime, NaiveDate, NaiveDateTime};

use crate::parquet::MAGIC;

/// Values at most, all columns together: 4 GiB.
pub(crate) const CELLS_MAX: usize = 1 << 29;
/// Columns at most.
const COLUMNS_MAX: usize = 4_096;
/// A first line is not longer than this, bytes.
const HEADER_BYTES_MAX: u64 = 1 << 20;
/// What a column with the time may be called, in small letters.
pub const TIME_NAMES: [&str; 6] = ["time", "timestamp", "datetime", "date", "ts", "t"];
/// What people write where there is no value.
const BAD: [&str; 7] = ["nan", "null", "none", "na", "n/a", "bad", "-"];
/// Spellings of a time, beside RFC 3339 and numbers.
const TIME_FORMATS: [&str; 6] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S%.f",
    "%d.%m.%Y %H:%M:%S%.f",
    "%d.%m.%Y %H:%M",
];

/// Values over time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Rising, nanoseconds since 1970.
    pub times_ns: Vec<i64>,
    /// The columns, in the file's order.
    pub columns: Vec<Column>,
    /// Rows that have the time of the row after them; that one counts.
    pub replaced: u64,
}

/// One tag's values.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// Its name in the first line.
    pub name: String,
    cells: Vec<f64>,
}

/// What a cell says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell {
    /// Nothing.
    Nothing,
    /// That there is no value.
    Bad,
    /// A value, finite.
    Value(f64),
}

impl Cell {
    /// What a text says; `None` for one that cannot be in a cell. Where no commas stand between cells, one may stand in a number.
    #[must_use]
    pub fn read(text: &str, decimal_comma: bool) -> Option<Self> {
        number_of(text, decimal_comma).map(Self::of)
    }

    fn of(number: f64) -> Self {
        match number {
            _ if number.is_nan() => Self::Nothing,
            _ if number.is_infinite() => Self::Bad,
            _ => Self::Value(number),
        }
    }

    /// The value, if there is one.
    #[must_use]
    pub fn value(self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(value),
            Self::Nothing | Self::Bad => None,
        }
    }
}

impl Column {
    pub(crate) fn new(name: &str) -> Self {
        Self::of_cells(name, Vec::new())
    }

    /// Not a number stands for a cell that says nothing, an infinite one for no value.
    pub(crate) fn of_cells(name: &str, cells: Vec<f64>) -> Self {
        Self { name: name.to_owned(), cells }
    }

    /// The cell of a row; nothing beyond the last one.
    #[must_use]
    pub fn cell(&self, row: usize) -> Cell {
        self.cells.get(row).map_or(Cell::Nothing, |number| Cell::of(*number))
    }

    /// All cells.
    pub fn cells(&self) -> impl ExactSizeIterator<Item = Cell> {
        self.cells.iter().map(|number| Cell::of(*number))
    }
}

/// A row is earlier than the one before.
#[derive(Debug)]
pub(crate) struct Unsorted;

/// Why a file is no history.
#[derive(Debug, thiserror::Error)]
pub enum TableRefused {
    /// It cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// There is nothing in it.
    #[error("it is empty: the first line names the columns, each further one has a time and values")]
    Empty,
    /// The first line is no list of columns.
    #[error("line 1: {0}")]
    Header(String),
    /// A line is wrong.
    #[error("line {line}: {message}")]
    Line {
        /// Counted from one.
        line: u64,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A row of a file without lines is wrong.
    #[error("row {row}: {message}")]
    Row {
        /// Counted from one.
        row: u64,
        /// What is wrong, and what to do.
        message: String,
    },
    /// The columns of a file without lines are wrong.
    #[error("of its columns, {0}")]
    Columns(String),
    /// There are columns without a row.
    #[error("it has no rows: each has a time and values")]
    NoRows,
    /// It begins as a Parquet file, and goes on otherwise.
    #[error("it is no whole Parquet file, or one that is not read: {0}")]
    Parquet(String),
    /// It is larger than a computer of today remembers.
    #[error("it has more than {CELLS_MAX} values: leave tags out, or write fewer rows")]
    TooLarge,
}

impl Table {
    /// Reads a file: Parquet, when it begins so, else CSV.
    ///
    /// # Errors
    /// Says what is wrong, in which line or row, and what to do.
    pub fn read(path: &Path) -> Result<Self, TableRefused> {
        let mut file = File::open(path)?;
        let mut beginning = Vec::new();
        Read::by_ref(&mut file).take(MAGIC.len() as u64).read_to_end(&mut beginning)?;
        if beginning == MAGIC {
            return crate::parquet::read(path);
        }
        file.seek(SeekFrom::Start(0))?;
        let mut first = String::new();
        BufReader::new((&mut file).take(HEADER_BYTES_MAX))
            .read_line(&mut first)
            .map_err(|error| TableRefused::Header(format!("it is no text in UTF-8 ({error}): save it as CSV")))?;
        file.seek(SeekFrom::Start(0))?;
        Self::parse(BufReader::new(file), delimiter_of(&first))
    }

    /// Reads lines whose cells have this byte between them.
    ///
    /// # Errors
    /// Says what is wrong, in which line, and what to do.
    pub fn parse(input: impl Read, delimiter: u8) -> Result<Self, TableRefused> {
        let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).trim(csv::Trim::All).from_reader(input);
        let mut table = Self { columns: columns_of(reader.headers().map_err(wrong)?)?, ..Self::default() };
        let mut record = csv::StringRecord::new();
        let (mut cells, mut line_before) = (0, 1);
        while reader.read_record(&mut record).map_err(wrong)? {
            let line = record.position().map_or(0, csv::Position::line);
            table.take(&record, (line, line_before), delimiter != b',')?;
            line_before = line;
            cells += record.len();
            if cells > CELLS_MAX {
                return Err(TableRefused::TooLarge);
            }
        }
        if table.times_ns.is_empty() { Err(TableRefused::Empty) } else { Ok(table) }
    }

    fn take(
        &mut self,
        record: &csv::StringRecord,
        (line, before): (u64, u64),
        decimal_comma: bool,
    ) -> Result<(), TableRefused> {
        let refuse = |message: String| TableRefused::Line { line, message };
        let text = record.get(0).unwrap_or_default();
        let time = time_of(text)
            .ok_or_else(|| refuse(format!("`{text}` is no time: write 2026-01-31T14:05:00Z, or seconds since 1970")))?;
        self.begin_row(time)
            .map_err(|_| refuse(format!("its time is before that of line {before}: sort the file by time")))?;
        for (cell, column) in record.iter().skip(1).zip(&mut self.columns) {
            let value = number_of(cell, decimal_comma).ok_or_else(|| {
                let name = &column.name;
                refuse(format!("`{cell}` in column `{name}` is no number: leave it empty where there is no value"))
            })?;
            column.cells.push(value);
        }
        Ok(())
    }

    /// Appends the rows of another one with the same columns, which come later.
    pub(crate) fn append(&mut self, later: Self) {
        self.times_ns.extend(later.times_ns);
        for (column, later) in self.columns.iter_mut().zip(later.columns) {
            column.cells.extend(later.cells);
        }
    }

    /// Begins a row; one with the time of the row before replaces it.
    pub(crate) fn begin_row(&mut self, time_ns: i64) -> Result<(), Unsorted> {
        match self.times_ns.last().map(|last| last.cmp(&time_ns)) {
            Some(Ordering::Greater) => return Err(Unsorted),
            Some(Ordering::Equal) => {
                self.replaced += 1;
                self.times_ns.pop();
                for column in &mut self.columns {
                    column.cells.pop();
                }
            }
            _ => {}
        }
        self.times_ns.push(time_ns);
        Ok(())
    }

    /// Ends a row with its cells, one for each column, as they are kept.
    pub(crate) fn end_row(&mut self, cells: impl Iterator<Item = f64>) {
        for (column, cell) in self.columns.iter_mut().zip(cells) {
            column.cells.push(cell);
        }
    }

    /// The column of this name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The usual time from one row to the next, nanoseconds: the median.
    #[must_use]
    pub fn pace_ns(&self) -> Option<i64> {
        let mut pauses: Vec<i64> = self.times_ns.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let middle = pauses.len().saturating_sub(1) / 2;
        (!pauses.is_empty()).then(|| *pauses.select_nth_unstable(middle).1)
    }
}

fn wrong(error: csv::Error) -> TableRefused {
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => TableRefused::Io(error),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => TableRefused::Line {
            line,
            message: format!("it has {len} cells, and the first line has {expected_len}: is it cut off, or quoted?"),
        },
        csv::ErrorKind::Utf8 { .. } => {
            TableRefused::Line { line, message: "it is no text in UTF-8: save the file as CSV in UTF-8".to_owned() }
        }
        other => TableRefused::Line { line, message: format!("{other:?}") },
    }
}

/// What stands between the names of the first line: a comma, a tab or a semicolon.
#[must_use]
pub fn delimiter_of(first_line: &str) -> u8 {
    let count = |delimiter: u8| first_line.bytes().filter(|byte| *byte == delimiter).count();
    // Of equally many the first one.
    [b',', b'\t', b';'].into_iter().max_by_key(|delimiter| count(*delimiter)).unwrap_or(b',')
}

fn columns_of(header: &csv::StringRecord) -> Result<Vec<Column>, TableRefused> {
    let mut names = header.iter();
    let first = names.next().unwrap_or_default().trim_start_matches('\u{feff}');
    if first.is_empty() && header.len() <= 1 {
        return Err(TableRefused::Empty);
    }
    if !TIME_NAMES.contains(&first.to_lowercase().as_str()) {
        let known = TIME_NAMES.join(", ");
        let message = format!("the first column is `{first}`, and has to be the time, called one of: {known}");
        return Err(TableRefused::Header(message));
    }
    let names: Vec<_> = names.map(|name| name.trim_matches(['{', '}']).to_owned()).collect();
    check_names(&names).map_err(TableRefused::Header)?;
    Ok(names.iter().map(|name| Column::new(name)).collect())
}

/// What is wrong with the names of tags, if anything is.
pub(crate) fn check_names(names: &[String]) -> Result<(), String> {
    if names.is_empty() {
        return Err("there is no column behind the time: each further one is a tag".to_owned());
    }
    if names.len() > COLUMNS_MAX {
        return Err(format!("{} columns; {COLUMNS_MAX} are possible", names.len()));
    }
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        Some(twice) => Err(format!("two columns are called `{}`: rename one", twice.escape_debug())),
        None => Ok(()),
    }
}

/// Nanoseconds since 1970 of a number: seconds, or as many milli-, micro- or nanoseconds as make a time of this century.
pub(crate) fn time_of_number(number: f64) -> Option<i64> {
    let scale = match number.abs() {
        ..1e11 => 1e9,
        ..1e14 => 1e6,
        ..1e17 => 1e3,
        _ => 1.0,
    };
    let ns = number * scale;
    (ns.is_finite() && ns.abs() < i64::MAX as f64).then_some(ns.round() as i64)
}

/// Nanoseconds since 1970; a time without a zone is UTC.
pub(crate) fn time_of(text: &str) -> Option<i64> {
    if let Ok(number) = text.parse() {
        return time_of_number(number);
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return time.timestamp_nanos_opt();
    }
    let naive = TIME_FORMATS.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0);
    naive.or_else(day)?.and_utc().timestamp_nanos_opt()
}

/// A cell as it is kept: not a number where it says nothing, infinite where it says that there is no value. `None` for what
/// cannot be in a cell.
fn number_of(cell: &str, decimal_comma: bool) -> Option<f64> {
    if let Ok(value) = cell.parse::<f64>() {
        return Some(if value.is_finite() { value } else { f64::INFINITY });
    }
    match cell.to_ascii_lowercase().as_str() {
        "" => Some(f64::NAN),
        "true" | "on" => Some(1.0),
        "false" | "off" => Some(0.0),
        word if BAD.contains(&word) => Some(f64::INFINITY),
        word if decimal_comma => word.replacen(',', ".", 1).parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Table, TableRefused> {
        Table::parse(text.as_bytes(), delimiter_of(text.lines().next().unwrap_or_default()))
    }

    fn refused(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    fn values(table: &Table, name: &str) -> Vec<Option<f64>> {
        table.column(name).unwrap().cells().map(Cell::value).collect()
    }

    #[test]
    fn a_table_has_a_time_and_a_value_or_none_in_every_cell() {
        let table = parse("time,LEVEL,{PUMP}\n2026-01-01T00:00:00Z,0.5,true\n2026-01-01T00:00:10Z,,off\n").unwrap();
        assert_eq!(table.times_ns[1] - table.times_ns[0], 10_000_000_000);
        assert_eq!(values(&table, "LEVEL"), [Some(0.5), None]);
        assert_eq!(table.column("LEVEL").unwrap().cell(1), Cell::Nothing);
        assert_eq!(values(&table, "PUMP"), [Some(1.0), Some(0.0)]);
        assert_eq!(table.pace_ns(), Some(10_000_000_000));
    }

    #[test]
    fn files_from_other_places_are_read_too() {
        let table = parse("\u{feff}Timestamp;A;B\n31.01.2026 14:05:00;1,5;n/a\n31.01.2026 14:05:01;2;-3,25\n").unwrap();
        assert_eq!(values(&table, "A"), [Some(1.5), Some(2.0)]);
        assert_eq!(values(&table, "B"), [None, Some(-3.25)]);
        assert_eq!(table.column("B").unwrap().cell(0), Cell::Bad);
        assert_eq!(table.column("B").unwrap().cell(2), Cell::Nothing);
        assert_eq!(table.times_ns[0], 1_769_868_300_000_000_000);
        for (seconds, text) in [(1_769_868_300, "1769868300"), (1_769_868_300, "1769868300000"), (0, "1970-01-01")] {
            assert_eq!(time_of(text), Some(seconds * 1_000_000_000), "{text}");
        }
        assert_eq!(time_of("2026-01-31 14:05:00.5"), Some(1_769_868_300_500_000_000));
        assert_eq!(time_of("2026-01-31T15:05:00+01:00"), Some(1_769_868_300_000_000_000));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        assert!(refused("").contains("it is empty"));
        assert!(refused("time,A\n").contains("it is empty"));
        assert!(refused("LEVEL,time\n").contains("line 1: the first column is `LEVEL`"));
        assert!(refused("time\n1\n").contains("no column behind the time"));
        assert!(refused("time,A,A\n").contains("two columns are called `A`"));
        assert!(refused("time,A\n1,2\n3\n").contains("line 3: it has 1 cells"));
        assert!(refused("time,A\n1,2\n3,hot\n").contains("line 3: `hot` in column `A` is no number"));
        assert!(refused("time,A\n5,2\n3,1\n").contains("line 3: its time is before that of line 2: sort"));
        assert!(refused("time,A\nyesterday,2\n").contains("line 2: `yesterday` is no time"));
    }

    #[test]
    fn of_two_rows_with_one_time_the_later_one_counts() {
        let table = parse("t,A\n1,5\n1,6\n2,7\n").unwrap();
        assert_eq!((values(&table, "A"), table.replaced), (vec![Some(6.0), Some(7.0)], 1));
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_is_whole(text in "(time|t)?[,;\t][a-c]{0,2}\n([0-9a-z,;.\\-: \"\n]{0,80})") {
            if let Ok(table) = parse(&text) {
                prop_assert!(table.times_ns.is_sorted());
                prop_assert!(table.columns.iter().all(|column| column.cells().len() == table.times_ns.len()));
            }
        }
    }
}

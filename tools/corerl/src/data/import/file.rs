//! Rows of a file, whatever its format.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use history::{Cells, ParquetColumns, delimiter_of};

use crate::failure::{Exit, Failure};
use crate::reading::Progress;

/// A first line is not longer than this, bytes.
const HEADING_BYTES_MAX: u64 = 1 << 20;

/// What is in one place of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Nothing,
    Text(&'a str),
    Whole(i64),
    /// Infinite where the file says that there is no value.
    Number(f64),
    Instant {
        unix_ns: i64,
        /// It is one, and not what a clock on a wall showed.
        is_utc: bool,
    },
}

/// A file of columns.
pub(super) struct Input {
    /// What its columns are called.
    pub(super) names: Vec<String>,
    /// In its numbers a comma stands for the point.
    pub(super) decimal_comma: bool,
    rows: Rows,
}

enum Rows {
    Csv(Box<csv::Reader<BufReader<File>>>, Progress),
    Parquet(Box<ParquetColumns>),
}

impl Input {
    /// Opens a file: Parquet, when it begins so, else CSV.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let unreadable = |why: String| Failure::new(Exit::Unavailable, format!("{}: {why}", path.display()));
        if let Some(file) = ParquetColumns::open(path).map_err(|refused| unreadable(refused.to_string()))? {
            return Ok(Self { names: file.names(), decimal_comma: false, rows: Rows::Parquet(Box::new(file)) });
        }
        let io = |error: std::io::Error| unreadable(error.to_string());
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut first = String::new();
        let text = "it is no text in UTF-8: save it as CSV in UTF-8";
        BufReader::new((&mut file).take(HEADING_BYTES_MAX))
            .read_line(&mut first)
            .map_err(|_| unreadable(text.to_owned()))?;
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        let delimiter = delimiter_of(&first);
        let mut reader = csv::ReaderBuilder::new();
        reader.delimiter(delimiter).trim(csv::Trim::All).flexible(true);
        let mut reader = reader.from_reader(BufReader::new(file));
        let names = reader.headers().map_err(|_| unreadable(text.to_owned()))?;
        let names = names.iter().map(|name| name.trim_start_matches('\u{feff}').trim().to_owned()).collect();
        let rows = Rows::Csv(Box::new(reader), Progress::new(path, size));
        Ok(Self { names, decimal_comma: delimiter != b',', rows })
    }

    /// Tells every row: its place, and what it has in these columns, or why it cannot be read. A place is a line, or a row of a
    /// file without lines.
    pub(super) fn each(
        self,
        wanted: &[usize],
        mut told: impl FnMut(u64, Result<&[Cell<'_>], String>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        match self.rows {
            Rows::Csv(mut reader, progress) => {
                let mut record = csv::StringRecord::new();
                loop {
                    let (line, at) = (reader.position().line(), reader.position().byte());
                    let row = match reader.read_record(&mut record) {
                        Ok(false) => break,
                        Ok(true) => cells(&record, wanted, self.names.len()),
                        Err(error) if error.is_io_error() => {
                            return Err(Failure::new(Exit::Unavailable, format!("it cannot be read: {error}")));
                        }
                        Err(_) => Err("it is no text in UTF-8".to_owned()),
                    };
                    let line = record.position().map_or(line, csv::Position::line).max(line);
                    told(line, row.as_deref().map_err(Clone::clone))?;
                    progress.at(at);
                }
                progress.end();
                Ok(())
            }
            Rows::Parquet(file) => {
                let columns = wanted.iter().map(|place| file.read(*place)).collect::<Result<Vec<_>, _>>();
                let columns = columns.map_err(|refused| Failure::new(Exit::Unavailable, refused))?;
                for row in 0..file.rows() {
                    let cells: Vec<_> = columns.iter().map(|cells| cell(cells, row)).collect();
                    told(row as u64 + 1, Ok(&cells))?;
                }
                Ok(())
            }
        }
    }
}

fn cells<'a>(record: &'a csv::StringRecord, wanted: &[usize], columns: usize) -> Result<Vec<Cell<'a>>, String> {
    if record.len() != columns {
        return Err(format!(
            "it has {} cells, and the first line has {columns}: is it cut off, or quoted?",
            record.len()
        ));
    }
    let cell = |place: &usize| match record.get(*place) {
        None | Some("") => Cell::Nothing,
        Some(text) => Cell::Text(text),
    };
    Ok(wanted.iter().map(cell).collect())
}

fn cell(cells: &Cells, row: usize) -> Cell<'_> {
    let found = match cells {
        Cells::Times { times_ns, is_utc } => {
            times_ns.get(row).copied().flatten().map(|unix_ns| Cell::Instant { unix_ns, is_utc: *is_utc })
        }
        Cells::Wholes(wholes) => wholes.get(row).copied().flatten().map(Cell::Whole),
        Cells::Numbers(numbers) => numbers.get(row).copied().filter(|number| !number.is_nan()).map(Cell::Number),
        Cells::Texts(texts) => texts.get(row).and_then(Option::as_deref).map(Cell::Text),
    };
    found.unwrap_or(Cell::Nothing)
}

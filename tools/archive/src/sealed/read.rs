//! Reading sealed files. The format is read by the crate `parquet`, which asserts some of what a file says; so it is given
//! nothing but bytes that have the checksum or the digest that was noted when they were written.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use bytes::{Buf as _, Bytes};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::DataType;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader as _, Length, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::record::{Row, RowAccessor as _};

use super::row::{AGE, CYCLE, Owner, SOURCE, STATE, VALUE};
use crate::block::Point;
use crate::rows::{Event, Gap, Missing};
use crate::store::StoreError;

/// A group of rows of a file, or its footer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) first_byte: u64,
    pub(crate) size: u64,
    pub(crate) crc32: u32,
}

/// Rows of one track in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// The group's number.
    pub(crate) group: usize,
    pub(crate) piece: Piece,
    pub(crate) first_row: usize,
    pub(crate) rows: usize,
}

/// Pieces of a file that are what they were, and nothing else of it.
struct Verified {
    size: u64,
    pieces: [(u64, Bytes); 2],
}

impl Length for Verified {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Verified {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.from(start).map(Bytes::reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        let is_there = length <= bytes.len();
        is_there.then(|| bytes.slice(..length)).ok_or_else(|| ParquetError::EOF("a piece ends too early".to_owned()))
    }
}

impl Verified {
    /// The rest of the piece from there on.
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let rest = self.pieces.iter().find_map(|(first, bytes)| {
            let at = usize::try_from(start.checked_sub(*first)?).ok()?;
            (at < bytes.len()).then(|| bytes.slice(at..))
        });
        rest.ok_or_else(|| ParquetError::General("it refers to bytes that it should not need".to_owned()))
    }
}

/// The points that a share of a file has.
pub(crate) fn points(path: &Path, footer: Piece, share: &Share) -> Result<Vec<Point>, StoreError> {
    let read = || {
        let file = File::open(path)?;
        let group = (share.piece.first_byte, verified(&file, share.piece)?);
        let pieces = [group, (footer.first_byte, verified(&file, footer)?)];
        let reader = SerializedFileReader::new(Verified { size: footer.first_byte + footer.size, pieces })?;
        let group = reader.get_row_group(share.group)?;
        let values = column(group.as_ref(), VALUE, share)?;
        let [cycles, states, ages] = [CYCLE, STATE, AGE].map(|place| column(group.as_ref(), place, share));
        let (cycles, states, ages) = (cycles?.longs()?, states?.longs()?, ages?.longs()?);
        let point = |(((cycle, value), state), age): (((i64, f64), i64), i64)| Point {
            age_us: age as u32,
            ..Point::new(cycle.cast_unsigned(), value, state as u32)
        };
        let mut points: Vec<_> = cycles.into_iter().zip(values.numbers()?).zip(states).zip(ages).map(point).collect();
        if group.num_columns() > SOURCE {
            let sources = column(group.as_ref(), SOURCE, share)?.longs()?;
            points.iter_mut().zip(sources).for_each(|(point, us)| point.source_us = us.cast_unsigned());
        }
        Ok(points)
    };
    read().map_err(|unreadable| named(path, unreadable))
}

/// Why a file cannot be read.
enum Unreadable {
    File(io::Error),
    Format(ParquetError),
    /// Its bytes are not those that were written.
    Changed,
}

impl From<io::Error> for Unreadable {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof { Self::Changed } else { Self::File(error) }
    }
}

impl From<ParquetError> for Unreadable {
    fn from(error: ParquetError) -> Self {
        Self::Format(error)
    }
}

fn named(path: &Path, unreadable: Unreadable) -> StoreError {
    let why = match unreadable {
        Unreadable::File(error) => error.to_string(),
        Unreadable::Format(error) => error.to_string(),
        Unreadable::Changed => "it has changed since it was written".to_owned(),
    };
    StoreError::Sealed { path: path.to_owned(), why }
}

fn verified(file: &File, piece: Piece) -> Result<Bytes, Unreadable> {
    // A size that is not the file's is noticed before room for it is made.
    let end = piece.first_byte.checked_add(piece.size).ok_or(Unreadable::Changed)?;
    if end > file.metadata()?.len() {
        return Err(Unreadable::Changed);
    }
    let mut bytes = vec![0; usize::try_from(piece.size).map_err(|_| Unreadable::Changed)?];
    file.read_exact_at(&mut bytes, piece.first_byte)?;
    if crc32fast::hash(&bytes) == piece.crc32 { Ok(bytes.into()) } else { Err(Unreadable::Changed) }
}

/// Values of a column.
enum Values {
    Longs(Vec<i64>),
    Numbers(Vec<f64>),
}

impl Values {
    fn longs(self) -> Result<Vec<i64>, Unreadable> {
        if let Self::Longs(longs) = self { Ok(longs) } else { Err(Unreadable::Changed) }
    }

    fn numbers(self) -> Result<Vec<f64>, Unreadable> {
        if let Self::Numbers(numbers) = self { Ok(numbers) } else { Err(Unreadable::Changed) }
    }
}

fn column(group: &dyn RowGroupReader, place: usize, share: &Share) -> Result<Values, Unreadable> {
    match group.get_column_reader(place)? {
        ColumnReader::Int64ColumnReader(reader) => Ok(Values::Longs(decode(reader, share, 0)?)),
        ColumnReader::DoubleColumnReader(reader) => Ok(Values::Numbers(decode(reader, share, f64::NAN)?)),
        _ => Err(Unreadable::Changed),
    }
}

/// The values in the share's rows, with `nothing` where there is none.
fn decode<D: DataType>(mut reader: ColumnReaderImpl<D>, share: &Share, nothing: D::T) -> Result<Vec<D::T>, Unreadable>
where
    D::T: Copy,
{
    let (mut levels, mut values) = (Vec::new(), Vec::new());
    reader.skip_records(share.first_row)?;
    let (records, ..) = reader.read_records(share.rows, Some(&mut levels), None, &mut values)?;
    if records != share.rows {
        return Err(Unreadable::Changed);
    }
    let mut values = values.into_iter();
    Ok(levels.iter().map(|level| if *level == 0 { nothing } else { values.next().unwrap_or(nothing) }).collect())
}

/// The events of a file that has this digest, with their owners.
pub(crate) fn events(path: &Path, digest: &str) -> Result<Vec<(Owner, Event)>, StoreError> {
    rows(path, digest, |row| {
        let event = Event {
            unix_ns: long(row, 0)?,
            number: long(row, 4)?,
            cycle: long(row, 5)?,
            kind: text(row, 6),
            cause: long(row, 7)? as u32,
            uid: long(row, 8).ok().map(|uid| uid as u32),
            a: row.get_ulong(9)?,
            b: row.get_ulong(10)?,
            text: text(row, 11),
        };
        Ok((owner(row), event))
    })
}

/// The gaps of a file that has this digest, with their owners and times.
pub(crate) fn gaps(path: &Path, digest: &str) -> Result<Vec<(Owner, u64, Gap)>, StoreError> {
    rows(path, digest, |row| {
        let gap = Gap {
            what: if text(row, 4) == Missing::Events.name() { Missing::Events } else { Missing::Cycles },
            first: long(row, 5)?,
            count: long(row, 6)?,
            after_cycle: long(row, 7).ok(),
            before_cycle: long(row, 8).ok(),
            why: text(row, 9),
        };
        Ok((owner(row), long(row, 0)?, gap))
    })
}

fn rows<T>(path: &Path, digest: &str, of: impl Fn(&Row) -> Result<T, ParquetError>) -> Result<Vec<T>, StoreError> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.read_to_end(&mut bytes)?;
        if blake3::hash(&bytes).to_hex().as_str() != digest {
            return Err(Unreadable::Changed);
        }
        let reader = SerializedFileReader::new(Bytes::from(bytes))?;
        let rows = reader.get_row_iter(None)?.map(|row| of(&row?));
        Ok(rows.collect::<Result<Vec<_>, ParquetError>>()?)
    };
    read().map_err(|unreadable| named(path, unreadable))
}

fn owner(row: &Row) -> Owner {
    Owner { agent: text(row, 1), instance: text(row, 2), run: text(row, 3) }
}

fn long(row: &Row, place: usize) -> Result<u64, ParquetError> {
    row.get_long(place).map(i64::cast_unsigned)
}

/// What is null is a text without letters.
fn text(row: &Row, place: usize) -> String {
    row.get_string(place).cloned().unwrap_or_default()
}

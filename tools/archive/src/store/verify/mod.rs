//! Whether everything that is kept is what was written.

mod files;
mod rows;

use std::path::Path;

use rusqlite::{Connection, Row};

use super::roll::{kept_buckets, rolling};
use super::write::count;
use super::{HOT, Reader, RunInfo, StoreError};
use crate::block::{unpack, unpack_many};
use crate::rollup::Width;
use crate::rows::{TrackId, TrackKind};

/// One kind of check, which appends what it finds.
type Check = fn(&Connection, &mut Verified) -> Result<(), StoreError>;

/// Something that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, and where in it.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

/// What was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Rows of the hot file, of all tables.
    pub rows: u64,
    /// Whether their number and their digests are known. An archive of an earlier version has none until it is opened to be written.
    pub rows_are_counted: bool,
    /// Blocks of the hot file.
    pub blocks: u64,
    /// Points, hot and sealed.
    pub points: u64,
    /// Events, hot and sealed.
    pub events: u64,
    /// Files of sealed days.
    pub files: u64,
    /// Days that are sealed.
    pub days: u64,
    /// The first and the last instant of all runs, nanoseconds since 1970; `None` for an archive of none.
    pub times_ns: Option<(u64, u64)>,
}

/// What was looked at, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Nothing if everything is as it was written.
    pub findings: Vec<Finding>,
    /// What was looked at.
    pub checked: Checked,
}

/// Checks everything that is in a directory: SQLite's own structure and the schema, every row of every table by number and digest,
/// every block, row of the journal, minute and hour by what is in it, the numbers of events, every byte of sealed files, and
/// whether there are others than those that the catalogue knows.
///
/// # Errors
/// [`StoreError`]: it cannot even be opened.
pub fn verify(directory: &Path) -> Result<Verified, StoreError> {
    let reader = Reader::open(directory)?;
    let snapshot = reader.connection.unchecked_transaction()?;
    let mut verified = Verified::default();
    let checks: [Check; 8] = [structure, rows::schema, rows::tallies, blocks, journal, buckets, held, rows::events];
    for check in checks {
        // What SQLite itself cannot read any more is a finding like another, and what comes behind may be readable.
        if let Err(error) = check(&snapshot, &mut verified) {
            found(&mut verified.findings, HOT, error);
        }
    }
    if let Err(error) = files::sealed(&snapshot, directory, &mut verified) {
        found(&mut verified.findings, HOT, error);
    }
    if let Err(error) = rows::numbers(&snapshot, directory, &mut verified) {
        found(&mut verified.findings, HOT, error);
    }
    drop(snapshot);
    verified.checked.times_ns = RunInfo::times_of(&reader.runs().unwrap_or_default());
    Ok(verified)
}

fn found(findings: &mut Vec<Finding>, place: impl ToString, what: impl ToString) {
    findings.push(Finding { place: place.to_string(), what: what.to_string() });
}

/// As SQLite sees it.
fn structure(connection: &Connection, verified: &mut Verified) -> Result<(), StoreError> {
    let mut rows = connection.prepare("PRAGMA integrity_check")?;
    for line in rows.query_map([], |row| row.get::<_, String>(0))? {
        let line = line?;
        if line != "ok" {
            found(&mut verified.findings, HOT, line);
        }
    }
    let mut rows = connection.prepare("PRAGMA foreign_key_check")?;
    for table in rows.query_map([], |row| row.get::<_, String>(0))? {
        found(&mut verified.findings, format!("{HOT}, {}", table?), "a row refers to another one that is not there");
    }
    Ok(())
}

/// Checks each row of a table, whose first column is its number.
fn each(
    connection: &Connection,
    (table, columns): (&str, &str),
    verified: &mut Verified,
    is_whole: impl Fn(&Row<'_>, &mut Checked) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut rows = connection.prepare(&format!("SELECT {columns} FROM {table}"))?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        if !is_whole(row, &mut verified.checked).unwrap_or(false) {
            let number: i64 = row.get(0)?;
            found(&mut verified.findings, format!("{HOT}, {table}, row {number}"), "it is not what was written");
        }
    }
    Ok(())
}

fn blocks(connection: &Connection, verified: &mut Verified) -> Result<(), StoreError> {
    each(connection, ("block", "id, first_cycle, last_cycle, points, bytes"), verified, |row, checked| {
        let [first, last, points]: [i64; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
        let held = unpack(&row.get::<_, Vec<u8>>(4)?).unwrap_or_default();
        checked.blocks += 1;
        checked.points += held.len() as u64;
        let ends = held.first().zip(held.last()).map(|(first, last)| (first.cycle, last.cycle));
        Ok(ends == Some((count(first), count(last))) && held.len() as i64 == points)
    })
}

fn journal(connection: &Connection, verified: &mut Verified) -> Result<(), StoreError> {
    each(connection, ("journal", "id, first_cycle, last_cycle, points"), verified, |row, checked| {
        let [first, last]: [i64; 2] = [row.get(1)?, row.get(2)?];
        let held = unpack_many(&row.get::<_, Vec<u8>>(3)?).unwrap_or_default();
        checked.points += held.len() as u64;
        let cycles = held.iter().map(|(_, point)| point.cycle);
        Ok(cycles.clone().min().zip(cycles.max()) == Some((count(first), count(last))))
    })
}

fn buckets(connection: &Connection, verified: &mut Verified) -> Result<(), StoreError> {
    each(connection, ("rollup", "id, width_s, span, size, bytes"), verified, |row, _| {
        let [id, width_s, span, size]: [i64; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
        let bytes: Vec<u8> = row.get(4)?;
        let is_of_size = bytes.len() as i64 == size;
        let width = Width::ALL.into_iter().find(|width| width.seconds() == count(width_s));
        let buckets = kept_buckets(id, bytes)?;
        let is_in = |width: Width| buckets.iter().all(|bucket| bucket.unix_ns / width.span_ns() == count(span));
        Ok(is_of_size && width.is_some_and(is_in))
    })
}

fn held(connection: &Connection, verified: &mut Verified) -> Result<(), StoreError> {
    each(connection, ("rolling", "track"), verified, |row, _| {
        Ok(rolling(connection, TrackId(row.get(0)?), TrackKind::Tag, false)?.is_some())
    })
}

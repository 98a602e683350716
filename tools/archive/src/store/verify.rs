//! Whether everything that is kept is what was written.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use super::roll::{kept_buckets, rolling};
use super::write::count;
use super::{HOT, StoreError, open_to_read};
use crate::block::{unpack, unpack_many};
use crate::rollup::Width;
use crate::rows::{TrackId, TrackKind};
use crate::sealed::Piece;

/// One kind of check, which appends what it finds.
type Check = fn(&Connection, &mut Vec<Finding>) -> Result<(), StoreError>;

/// Something that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file, and where in it.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

/// Checks everything that is in a directory: SQLite's own structure, every block, row of the journal, minute and hour, every byte
/// of sealed files, and whether there are others than those that the catalogue knows.
///
/// # Errors
/// [`StoreError`]: it cannot even be opened.
pub fn verify(directory: &Path) -> Result<Vec<Finding>, StoreError> {
    let connection = open_to_read(directory)?;
    let snapshot = connection.unchecked_transaction()?;
    let mut findings = Vec::new();
    let checks: [Check; 5] = [structure, blocks, journal, buckets, held];
    for check in checks {
        // What SQLite itself cannot read any more is a finding like another, and what comes behind may be readable.
        if let Err(error) = check(&snapshot, &mut findings) {
            found(&mut findings, HOT, error);
        }
    }
    if let Err(error) = sealed(&snapshot, directory, &mut findings) {
        found(&mut findings, HOT, error);
    }
    Ok(findings)
}

fn found(findings: &mut Vec<Finding>, place: impl ToString, what: impl ToString) {
    findings.push(Finding { place: place.to_string(), what: what.to_string() });
}

/// As SQLite sees it.
fn structure(connection: &Connection, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    let mut rows = connection.prepare("PRAGMA integrity_check")?;
    for line in rows.query_map([], |row| row.get::<_, String>(0))? {
        let line = line?;
        if line != "ok" {
            found(findings, HOT, line);
        }
    }
    let mut rows = connection.prepare("PRAGMA foreign_key_check")?;
    for table in rows.query_map([], |row| row.get::<_, String>(0))? {
        found(findings, format!("{HOT}, {}", table?), "a row refers to another one that is not there");
    }
    Ok(())
}

/// Checks each row of a table, whose first column is its number.
fn each(
    connection: &Connection,
    (table, columns): (&str, &str),
    findings: &mut Vec<Finding>,
    is_whole: impl Fn(&Row<'_>) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut rows = connection.prepare(&format!("SELECT {columns} FROM {table}"))?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        if !is_whole(row).unwrap_or(false) {
            let number: i64 = row.get(0)?;
            found(findings, format!("{HOT}, {table}, row {number}"), "it is not what was written");
        }
    }
    Ok(())
}

fn blocks(connection: &Connection, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    each(connection, ("block", "id, first_cycle, last_cycle, points, bytes"), findings, |row| {
        let [first, last, points]: [i64; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
        let held = unpack(&row.get::<_, Vec<u8>>(4)?).unwrap_or_default();
        let ends = held.first().zip(held.last()).map(|(first, last)| (first.cycle, last.cycle));
        Ok(ends == Some((count(first), count(last))) && held.len() as i64 == points)
    })
}

fn journal(connection: &Connection, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    each(connection, ("journal", "id, first_cycle, last_cycle, points"), findings, |row| {
        let [first, last]: [i64; 2] = [row.get(1)?, row.get(2)?];
        let held = unpack_many(&row.get::<_, Vec<u8>>(3)?).unwrap_or_default();
        let cycles = held.iter().map(|(_, point)| point.cycle);
        Ok(cycles.clone().min().zip(cycles.max()) == Some((count(first), count(last))))
    })
}

fn buckets(connection: &Connection, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    each(connection, ("rollup", "id, width_s, span, size, bytes"), findings, |row| {
        let [id, width_s, span, size]: [i64; 4] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?];
        let bytes: Vec<u8> = row.get(4)?;
        let is_of_size = bytes.len() as i64 == size;
        let width = Width::ALL.into_iter().find(|width| width.seconds() == count(width_s));
        let buckets = kept_buckets(id, bytes)?;
        let is_in = |width: Width| buckets.iter().all(|bucket| bucket.unix_ns / width.span_ns() == count(span));
        Ok(is_of_size && width.is_some_and(is_in))
    })
}

fn held(connection: &Connection, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    each(connection, ("rolling", "track"), findings, |row| {
        Ok(rolling(connection, TrackId(row.get(0)?), TrackKind::Tag, false)?.is_some())
    })
}

/// Sealed files by their bytes, and the directory by its files.
fn sealed(connection: &Connection, directory: &Path, findings: &mut Vec<Finding>) -> Result<(), StoreError> {
    let mut known = BTreeSet::new();
    let mut rows = connection.prepare("SELECT id, path, size, digest FROM sealed ORDER BY day, id")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (id, path, size, digest): (i64, String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let pieces = pieces(connection, id)?;
        match check_file(&directory.join(&path), count(size), &digest, &pieces) {
            Ok(None) => {}
            Ok(Some(what)) => found(findings, &path, what),
            Err(error) => found(findings, &path, format!("it cannot be read: {error}")),
        }
        known.insert(directory.join(path));
    }
    for file in files(directory)?.into_iter().filter(|file| !known.contains(file)) {
        let path = file.strip_prefix(directory).unwrap_or(&file).display();
        let what = "no catalogue knows it: sealing or purging was interrupted, and the next time completes it";
        found(findings, path, what);
    }
    Ok(())
}

fn pieces(connection: &Connection, sealed: i64) -> Result<Vec<Piece>, StoreError> {
    let sql = "SELECT first_byte, size, crc32 FROM piece WHERE sealed = ? ORDER BY number";
    let mut rows = connection.prepare_cached(sql)?;
    let piece =
        |row: &Row<'_>| Ok(Piece { first_byte: count(row.get(0)?), size: count(row.get(1)?), crc32: row.get(2)? });
    let pieces = rows.query_map([sealed], piece)?;
    Ok(pieces.collect::<Result<_, _>>()?)
}

/// What is wrong with a file, and with which part of it.
fn check_file(path: &Path, size: u64, digest: &str, pieces: &[Piece]) -> io::Result<Option<String>> {
    let mut file = File::open(path)?;
    let found = file.metadata()?.len();
    if found != size {
        return Ok(Some(format!("it has {found} bytes, and {size} were written")));
    }
    let mut hasher = blake3::Hasher::new();
    let mut end = 0;
    for (number, piece) in pieces.iter().enumerate() {
        if piece.first_byte != end || piece.size > size - end {
            return Ok(Some("the catalogue does not know where its parts lie any more".to_owned()));
        }
        let mut bytes = Vec::new();
        (&mut file).take(piece.size).read_to_end(&mut bytes)?;
        hasher.update(&bytes);
        if crc32fast::hash(&bytes) != piece.crc32 {
            let part = if number + 1 == pieces.len() {
                "its footer".to_owned()
            } else {
                format!("group {number} of its rows")
            };
            return Ok(Some(format!("{part} is not what was written")));
        }
        end += piece.size;
    }
    let is_whole = end == size && hasher.finalize().to_hex().as_str() == digest;
    Ok((!is_whole).then(|| "its digest is not the one that was noted".to_owned()))
}

/// Every file below the directories of sites and days.
fn files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let below = |directory: &Path, prefix: &str| -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
        let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
        paths.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
        paths.sort();
        Ok(paths)
    };
    let mut files = Vec::new();
    for site in below(directory, "site=")? {
        for day in below(&site, "date=")? {
            files.extend(below(&day, "")?);
        }
    }
    Ok(files)
}

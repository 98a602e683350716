//! Sealed days: their files by their bytes, and the directory by its files.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, Row};

use super::{Verified, found};
use crate::sealed::{Class, Piece};
use crate::store::StoreError;
use crate::store::write::count;

/// Sealed files by their bytes, and the directory by its files.
pub(super) fn sealed(connection: &Connection, directory: &Path, verified: &mut Verified) -> Result<(), StoreError> {
    let Verified { findings, checked } = verified;
    let (mut known, mut days) = (BTreeSet::new(), BTreeSet::new());
    let mut rows =
        connection.prepare("SELECT id, path, size, digest, class, rows, day FROM sealed ORDER BY day, id")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (id, path, size, digest): (i64, String, i64, String) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        let pieces = pieces(connection, id)?;
        match check_file(&directory.join(&path), count(size), &digest, &pieces) {
            Ok(None) => {}
            Ok(Some(what)) => found(findings, &path, what),
            Err(error) => found(findings, &path, format!("it cannot be read: {error}")),
        }
        checked.files += 1;
        match row.get::<_, String>(4)?.as_str() {
            class if class == Class::Events.name() => checked.events += count(row.get(5)?),
            class if class == Class::Samples.name() => checked.points += count(row.get(5)?),
            _ => {}
        }
        days.insert(row.get::<_, i64>(6)?);
        known.insert(directory.join(path));
    }
    checked.days = days.len() as u64;
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

//! Which sealed files there are, and what lies where in them.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::StoreError;
use super::write::{count, instant, whole};
use crate::rows::{RunId, TrackId};
use crate::sealed::{Class, Day, Owner, Piece, Share, Written};

/// Where a sealed file belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) site: String,
    pub(super) day: Day,
    pub(super) class: Class,
    /// Its number among the parts of the day; below 0 for what was brought in.
    part: i64,
}

impl Place {
    /// That of points which a run of this number, of 63 bits, brings in. Nobody else ever takes it.
    pub(super) fn brought(site: &str, day: Day, run: u64) -> Self {
        Self { site: site.to_owned(), day, class: Class::Samples, part: -1 - run.cast_signed() }
    }

    /// The next free one. One where a file lies of which the catalogue knows nothing is free.
    pub(super) fn next(connection: &Connection, site: &str, day: Day, class: Class) -> Result<Self, StoreError> {
        let sql = "SELECT max(ifnull(max(part) + 1, 0), 0) FROM sealed WHERE (day, site, class) = (?, ?, ?)";
        let part = connection.query_row(sql, params![day.number(), site, class.name()], |row| row.get(0))?;
        let mut place = Self { site: site.to_owned(), day, class, part };
        // The file of a place that was purged may still have to be deleted.
        let mut doomed = connection.prepare_cached("SELECT 1 FROM purged WHERE path = ?")?;
        while doomed.exists([place.path()])? {
            place.part += 1;
        }
        Ok(place)
    }

    /// Below the history's directory, as partitions of Hive are called.
    pub(super) fn path(&self) -> String {
        let Self { site, day, class, part } = self;
        let part = if *part < 0 { format!("brought-{:016x}", -1 - part) } else { part.to_string() };
        format!("site={}/date={day}/{}-{part}.parquet", escaped(site), class.name())
    }

    /// Notes what was written there; the row's number.
    pub(super) fn note(&self, transaction: &Transaction<'_>, written: &Written) -> Result<i64, StoreError> {
        let Self { site, day, class, part } = self;
        let Written { size, rows, first_ns, last_ns, digest, pieces } = written;
        let [size, rows, first_ns, last_ns] = [size, rows, first_ns, last_ns].map(|number| whole(*number));
        transaction.execute(
            "INSERT INTO sealed (day, site, class, part, path, size, rows, first_ns, last_ns, digest)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![day.number(), site, class.name(), part, self.path(), size, rows, first_ns, last_ns, digest],
        )?;
        let id = transaction.last_insert_rowid();
        for (number, Piece { first_byte, size, crc32 }) in pieces.iter().enumerate() {
            transaction
                .prepare_cached("INSERT INTO piece (sealed, number, first_byte, size, crc32) VALUES (?, ?, ?, ?, ?)")?
                .execute(params![id, number as i64, whole(*first_byte), whole(*size), crc32])?;
        }
        Ok(id)
    }
}

/// A name as a part of a path: other characters than letters, digits, `-`, `_` and `.` are `%` and two digits for each byte.
fn escaped(name: &str) -> String {
    let is_plain =
        |(at, byte): (usize, u8)| byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || byte == b'.' && at > 0;
    let escape = |(at, byte)| if is_plain((at, byte)) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    name.bytes().enumerate().map(escape).collect()
}

/// Where points of one track lie in a file.
#[derive(Clone, Debug)]
pub(super) struct Stay {
    pub(super) track: TrackId,
    pub(super) group: usize,
    pub(super) first_row: usize,
    pub(super) rows: usize,
    pub(super) first_cycle: u64,
    pub(super) last_cycle: u64,
}

impl Stay {
    pub(super) fn note(&self, transaction: &Transaction<'_>, sealed: i64) -> Result<(), StoreError> {
        let Self { track, group, first_row, rows, first_cycle, last_cycle } = self;
        let sql = "INSERT INTO share (track, sealed, piece, first_row, rows, first_cycle, last_cycle)
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        let [group, first_row, rows] = [*group, *first_row, *rows].map(|number| number as i64);
        let row = params![track.0, sealed, group, first_row, rows, whole(*first_cycle), whole(*last_cycle)];
        transaction.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }
}

/// The parts of sealed files with points of a track in these cycles: the file, its footer, and where they lie.
pub(super) fn shares(
    connection: &Connection,
    track: TrackId,
    cycles: &RangeInclusive<u64>,
) -> Result<Vec<(PathBuf, Piece, Share)>, StoreError> {
    let sql = "SELECT path, piece, first_row, share.rows, part.first_byte, part.size, part.crc32,
                      footer.first_byte, footer.size, footer.crc32
               FROM share JOIN sealed ON sealed.id = share.sealed
               JOIN piece AS part ON part.sealed = share.sealed AND part.number = share.piece
               JOIN piece AS footer ON footer.sealed = share.sealed
                   AND footer.number = (SELECT max(number) FROM piece WHERE piece.sealed = share.sealed)
               WHERE track = ? AND first_cycle <= ? AND last_cycle >= ? ORDER BY first_cycle";
    let mut rows = connection.prepare_cached(sql)?;
    let share = |row: &rusqlite::Row<'_>| {
        let piece = |at| {
            Ok::<_, rusqlite::Error>(Piece {
                first_byte: count(row.get(at)?),
                size: count(row.get(at + 1)?),
                crc32: row.get(at + 2)?,
            })
        };
        let path: String = row.get(0)?;
        let [group, first_row, rows]: [i64; 3] = [row.get(1)?, row.get(2)?, row.get(3)?];
        let [group, first_row, rows] = [group, first_row, rows].map(|number| number as usize);
        Ok((path.into(), piece(7)?, Share { group, piece: piece(4)?, first_row, rows }))
    };
    let found = rows.query_map(params![track.0, whole(*cycles.end()), whole(*cycles.start())], share)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The sealed files of a class with something between two times: site, path and digest.
pub(super) fn files(
    connection: &Connection,
    class: Class,
    (from_ns, to_ns): (u64, u64),
) -> Result<Vec<(String, PathBuf, String)>, StoreError> {
    let sql =
        "SELECT site, path, digest FROM sealed WHERE class = ? AND first_ns <= ? AND last_ns >= ? ORDER BY first_ns";
    let mut rows = connection.prepare_cached(sql)?;
    let file = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?.into(), row.get(2)?));
    let found = rows.query_map(params![class.name(), instant(to_ns), instant(from_ns)], file)?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// The number of the run that a row of a sealed file is of.
pub(super) fn run_of(connection: &Connection, site: &str, owner: &Owner) -> Result<Option<RunId>, StoreError> {
    let sql = "SELECT id FROM run WHERE (site, agent, instance, number) = (?, ?, ?, ?)";
    let row = params![site, owner.agent, owner.instance, owner.run];
    let id = connection.prepare_cached(sql)?.query_row(row, |row| row.get(0)).optional()?;
    Ok(id.map(RunId))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_of_a_site_leads_out_of_its_directory() {
        for (name, part) in
            [("works-2", "works-2"), ("..", "%2E."), ("a/b=c é", "a%2Fb%3Dc%20%C3%A9"), ("v1.2", "v1.2")]
        {
            assert_eq!(escaped(name), part);
        }
    }
}

//! Reading, while somebody else writes.

use std::ops::RangeInclusive;
use std::path::Path;

use rusqlite::{Connection, params};

use super::write::{count, whole};
use super::{StoreError, each_journal_row, open_to_read, timeline};
use crate::block::{Point, unpack};
use crate::rows::{Event, RunId, TrackId, TrackKind, TrackName};

/// An archive that is read.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
}

/// A track of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// Its number.
    pub id: TrackId,
    /// The run's.
    pub run: RunId,
    /// `SITE/AGENT` of the run, with `@INSTANCE` unless that is `main`.
    pub agent: String,
    /// What it is called.
    pub name: TrackName,
}

/// A point with its time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timed {
    /// The cycle's, nanoseconds since 1970.
    pub unix_ns: u64,
    /// What was so then.
    pub point: Point,
}

impl Reader {
    /// Opens the archive that is in a directory.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        open_to_read(directory).map(|connection| Self { connection })
    }

    /// The points of a track in these cycles, in their order.
    ///
    /// # Errors
    /// [`StoreError`]. A damaged block is one of them.
    pub fn points(&self, run: RunId, track: TrackId, cycles: RangeInclusive<u64>) -> Result<Vec<Point>, StoreError> {
        // Between two statements the journal may become blocks: one snapshot for both.
        let snapshot = self.connection.unchecked_transaction()?;
        self.points_in(&snapshot, run, track, cycles)
    }

    /// The same in a snapshot.
    pub(super) fn points_in(
        &self,
        snapshot: &Connection,
        run: RunId,
        track: TrackId,
        cycles: RangeInclusive<u64>,
    ) -> Result<Vec<Point>, StoreError> {
        let (first, last) = (whole(*cycles.start()), whole(*cycles.end()));
        let mut found = Vec::new();
        let sql =
            "SELECT id, bytes FROM block WHERE track = ? AND first_cycle <= ? AND last_cycle >= ? ORDER BY first_cycle";
        let mut rows = snapshot.prepare_cached(sql)?;
        let mut rows = rows.query(params![track.0, last, first])?;
        while let Some(row) = rows.next()? {
            let (id, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            found.extend(unpack(&bytes).map_err(|_| StoreError::Damaged { table: "block", row: id })?);
        }
        each_journal_row(snapshot, run, cycles.clone(), |of, point| {
            if of == track {
                found.push(point);
            }
        })?;
        found.retain(|point| cycles.contains(&point.cycle));
        Ok(found)
    }

    /// All tracks, those of older runs first; those of one name only, if it is given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tracks(&self, name: Option<&str>) -> Result<Vec<TrackInfo>, StoreError> {
        let sql =
            "SELECT track.id, run.id, site, agent, instance, kind, name, unit FROM track JOIN run ON run.id = track.run
                   WHERE ?1 IS NULL OR name = ?1 ORDER BY run.id, track.id";
        let mut rows = self.connection.prepare_cached(sql)?;
        let mut rows = rows.query([name])?;
        let mut tracks = Vec::new();
        while let Some(row) = rows.next()? {
            let kind: String = row.get(5)?;
            // A kind of a later version is nothing that this one could read.
            let Some(kind) = TrackKind::named(&kind) else { continue };
            let [site, agent, instance]: [String; 3] = [row.get(2)?, row.get(3)?, row.get(4)?];
            let instance = if instance == "main" { String::new() } else { format!("@{instance}") };
            tracks.push(TrackInfo {
                id: TrackId(row.get(0)?),
                run: RunId(row.get(1)?),
                agent: format!("{site}/{agent}{instance}"),
                name: TrackName { kind, name: row.get(6)?, unit: row.get(7)? },
            });
        }
        Ok(tracks)
    }

    /// The points of a track between two times, both included, nanoseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn between(&self, track: &TrackInfo, from_ns: u64, to_ns: u64) -> Result<Vec<Timed>, StoreError> {
        let mut found = Vec::new();
        for stretch in timeline(&self.connection, track.run)?.stretches() {
            let Some(cycles) = stretch.cycles(from_ns, to_ns) else { continue };
            let points = self.points(track.run, track.id, cycles)?;
            found.extend(points.into_iter().map(|point| Timed { unix_ns: stretch.unix_ns(point.cycle), point }));
        }
        Ok(found)
    }

    /// The events of all runs between two times.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn events(&self, from_ns: u64, to_ns: u64) -> Result<Vec<(RunId, Event)>, StoreError> {
        let sql = "SELECT run, number, cycle, unix_ns, kind, cause, uid, a, b, text FROM event
                   WHERE unix_ns BETWEEN ? AND ? ORDER BY unix_ns, run, number";
        let mut rows = self.connection.prepare_cached(sql)?;
        let event = |row: &rusqlite::Row<'_>| {
            Ok((
                RunId(row.get(0)?),
                Event {
                    number: count(row.get(1)?),
                    cycle: count(row.get(2)?),
                    unix_ns: count(row.get(3)?),
                    kind: row.get(4)?,
                    cause: row.get(5)?,
                    uid: row.get(6)?,
                    a: count(row.get(7)?),
                    b: count(row.get(8)?),
                    text: row.get(9)?,
                },
            ))
        };
        let found = rows.query_map(params![whole(from_ns), whole(to_ns)], event)?;
        Ok(found.collect::<Result<_, _>>()?)
    }
}

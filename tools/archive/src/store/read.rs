//! Reading, while somebody else writes.

use std::ops::RangeInclusive;
use std::path::Path;

use rusqlite::{Connection, params};

use super::write::{count, whole};
use super::{StoreError, open_to_read};
use crate::block::{Point, unpack, unpack_many};
use crate::rows::{Event, RunId, TrackId, TrackKind, TrackName};

/// An archive that is read.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
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

/// A stretch in which a run's clocks go side by side.
struct Stretch {
    cycles: RangeInclusive<u64>,
    unix_ns: u64,
    period_ns: u64,
}

impl Stretch {
    fn unix_ns(&self, cycle: u64) -> u64 {
        self.unix_ns.saturating_add(cycle.saturating_sub(*self.cycles.start()).saturating_mul(self.period_ns))
    }

    /// The cycles in these times.
    fn cycles(&self, from_ns: u64, to_ns: u64) -> Option<RangeInclusive<u64>> {
        let (start, period_ns) = (*self.cycles.start(), self.period_ns.max(1));
        let first = start.saturating_add(from_ns.saturating_sub(self.unix_ns).div_ceil(period_ns));
        let last = start.saturating_add(to_ns.checked_sub(self.unix_ns)? / period_ns).min(*self.cycles.end());
        (first <= last).then_some(first..=last)
    }
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
        let (first, last) = (whole(*cycles.start()), whole(*cycles.end()));
        let mut found = Vec::new();
        let sql = "SELECT rowid, bytes FROM block WHERE track = ? AND first_cycle <= ? AND last_cycle >= ? ORDER BY first_cycle";
        let mut rows = snapshot.prepare_cached(sql)?;
        let mut rows = rows.query(params![track.0, last, first])?;
        while let Some(row) = rows.next()? {
            let (id, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            found.extend(unpack(&bytes).map_err(|_| StoreError::Damaged { table: "block", row: id })?);
        }
        let sql = "SELECT id, points FROM journal WHERE run = ? AND first_cycle <= ? AND last_cycle >= ? ORDER BY id";
        let mut rows = snapshot.prepare_cached(sql)?;
        let mut rows = rows.query(params![run.0, last, first])?;
        while let Some(row) = rows.next()? {
            let (id, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let held = unpack_many(&bytes).map_err(|_| StoreError::Damaged { table: "journal", row: id })?;
            found.extend(held.into_iter().filter(|(of, _)| *of == track).map(|(_, point)| point));
        }
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
            let Some(kind) = TrackKind::ALL.into_iter().find(|known| known.name() == kind) else { continue };
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
        for stretch in self.stretches(track.run)? {
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

    /// How a run's cycles lie in time.
    fn stretches(&self, run: RunId) -> Result<Vec<Stretch>, StoreError> {
        let sql = "SELECT first_cycle, unix_ns, period_ns FROM clock JOIN run ON run.id = clock.run WHERE run = ?
                   ORDER BY first_cycle";
        let mut rows = self.connection.prepare_cached(sql)?;
        let row = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?, row.get(2)?].map(count));
        let clocks = rows.query_map([run.0], row)?.collect::<Result<Vec<[u64; 3]>, _>>()?;
        // SQLite's integers end at this one.
        let ends = clocks.iter().skip(1).map(|[next, ..]| next - 1).chain([i64::MAX as u64]);
        let stretch =
            |(&[first, unix_ns, period_ns], end): (&[u64; 3], u64)| Stretch { cycles: first..=end, unix_ns, period_ns };
        Ok(clocks.iter().zip(ends).map(stretch).collect())
    }
}

//! Reading, while somebody else writes.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::catalogue::{files, run_of, shares};
use super::overview::label;
use super::write::{count, instant, whole};
use super::{StoreError, each_journal_row, open_to_read, timeline};
use crate::block::{Point, unpack};
use crate::rows::{Event, Gap, Missing, RunId, TrackId, TrackKind, TrackName};
use crate::sealed::{self, Class};
use crate::timeline::Timeline;

/// An archive that is read.
#[derive(Debug)]
pub struct Reader {
    pub(super) connection: Connection,
    pub(super) directory: PathBuf,
}

/// A track of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
        Ok(Self { connection: open_to_read(directory)?, directory: directory.to_owned() })
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
        for (path, footer, share) in shares(snapshot, track, &cycles)? {
            found.extend(sealed::points(&self.directory.join(path), footer, &share)?);
        }
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
        // A clock that was set puts later cycles into an earlier day.
        found.sort_by_key(|point| point.cycle);
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
            tracks.push(TrackInfo {
                id: TrackId(row.get(0)?),
                run: RunId(row.get(1)?),
                agent: label(&row.get::<_, String>(2)?, &row.get::<_, String>(3)?, &row.get::<_, String>(4)?),
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
        let snapshot = self.connection.unchecked_transaction()?;
        let sql =
            "SELECT run, number, cycle, unix_ns, kind, cause, uid, a, b, text FROM event WHERE unix_ns BETWEEN ? AND ?";
        let mut rows = snapshot.prepare_cached(sql)?;
        let found = rows.query_map(params![instant(from_ns), instant(to_ns)], event_of)?;
        let mut found = found.collect::<Result<Vec<_>, _>>()?;
        for (site, path, digest) in files(&snapshot, Class::Events, (from_ns, to_ns))? {
            for (owner, event) in sealed::events(&self.directory.join(path), &digest)? {
                let run = run_of(&snapshot, &site, &owner)?;
                found.extend(run.filter(|_| (from_ns..=to_ns).contains(&event.unix_ns)).map(|run| (run, event)));
            }
        }
        found.sort_by_key(|(run, event)| (event.unix_ns, *run, event.number));
        Ok(found)
    }

    /// What is missing between two times, of all runs, with the time where it begins as far as that is known; what has no such
    /// time is always among it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn gaps(&self, from_ns: u64, to_ns: u64) -> Result<Vec<(RunId, Option<u64>, Gap)>, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        self.gaps_in(&snapshot, from_ns, to_ns)
    }

    /// The same in a snapshot.
    pub(super) fn gaps_in(
        &self,
        snapshot: &Connection,
        from_ns: u64,
        to_ns: u64,
    ) -> Result<Vec<(RunId, Option<u64>, Gap)>, StoreError> {
        let mut runs = snapshot.prepare_cached("SELECT id FROM run")?;
        let runs = runs.query_map([], |row| row.get(0).map(RunId))?.collect::<Result<Vec<_>, _>>()?;
        let mut found = Vec::new();
        for run in runs {
            let gaps = hot_gaps(snapshot, run, &timeline(snapshot, run)?)?;
            found.extend(gaps.into_iter().map(|(unix_ns, gap)| (run, unix_ns, gap)));
        }
        for (site, path, digest) in files(snapshot, Class::Gaps, (from_ns, to_ns))? {
            for (owner, unix_ns, gap) in sealed::gaps(&self.directory.join(path), &digest)? {
                found.extend(run_of(snapshot, &site, &owner)?.map(|run| (run, Some(unix_ns), gap)));
            }
        }
        found.retain(|(_, unix_ns, _)| unix_ns.is_none_or(|unix_ns| (from_ns..=to_ns).contains(&unix_ns)));
        found.sort_by_key(|(run, unix_ns, gap)| (*unix_ns, *run, gap.what, gap.first));
        Ok(found)
    }
}

/// An event's row.
pub(super) fn event_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<(RunId, Event)> {
    let event = Event {
        number: count(row.get(1)?),
        cycle: count(row.get(2)?),
        unix_ns: count(row.get(3)?),
        kind: row.get(4)?,
        cause: row.get(5)?,
        uid: row.get(6)?,
        a: count(row.get(7)?),
        b: count(row.get(8)?),
        text: row.get(9)?,
    };
    Ok((RunId(row.get(0)?), event))
}

/// The gaps of a run that are hot, with their times: of the last cycle before, or of the first one behind.
pub(super) fn hot_gaps(
    connection: &Connection,
    run: RunId,
    timeline: &Timeline,
) -> Result<Vec<(Option<u64>, Gap)>, StoreError> {
    let sql = "SELECT what, first, count, after_cycle, before_cycle, why FROM gap WHERE run = ? ORDER BY what, first";
    let mut rows = connection.prepare_cached(sql)?;
    let gap = |row: &rusqlite::Row<'_>| {
        let cycle = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(count));
        let what: String = row.get(0)?;
        let what = if what == Missing::Events.name() { Missing::Events } else { Missing::Cycles };
        let (after_cycle, before_cycle) = (cycle(3)?, cycle(4)?);
        let moment = after_cycle.and_then(|cycle| timeline.moment(cycle));
        let moment = moment.or_else(|| before_cycle.and_then(|cycle| timeline.moment(cycle)));
        let gap = Gap {
            what,
            first: count(row.get(1)?),
            count: count(row.get(2)?),
            after_cycle,
            before_cycle,
            why: row.get(5)?,
        };
        Ok((moment.map(|moment| moment.unix_ns), gap))
    };
    let gaps = rows.query_map([run.0], gap)?;
    Ok(gaps.collect::<Result<_, _>>()?)
}

//! Writing: runs, commits, and blocks from the journal.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, named_params, params};
use serde::{Deserialize, Serialize};

use super::roll::{compacted, held, roll};
use super::{StoreError, each_journal_row, open_to_write};
use crate::block::{Point, pack, pack_many, unpack, unpack_many};
use crate::rows::{Event, Gap, Missing, Run, RunId, TrackId, TrackName};

/// Points of a block at most: a commit's worth of a block is read at once.
const BLOCK_POINTS: usize = 4096;

/// An archive that is written. There is one writer; SQLite's locks see to it that commits of two would at least follow each other.
#[derive(Debug)]
pub struct Store {
    pub(super) connection: Connection,
    pub(super) directory: PathBuf,
}

/// What is kept of a run already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its number here.
    pub run: RunId,
    /// The first cycle record of the ring that is not accounted for.
    pub next_cycle_record: u64,
    /// The first event of the ring that is not.
    pub next_event: u64,
    /// The last cycle that was read, if one was.
    pub last_cycle: Option<u64>,
}

/// What belongs together: all of it is kept, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// Numbers of the ring's records that it accounts for, kept or in a gap: from the first one to the one behind the last.
    pub cycle_records: std::ops::Range<u64>,
    /// The same of events.
    pub events_read: std::ops::Range<u64>,
    /// The last cycle that was read, with this commit or before it.
    pub last_cycle: Option<u64>,
    /// In the order of their cycles, track by track or not.
    pub points: Vec<(TrackId, Point)>,
    /// In the order of the ring.
    pub events: Vec<Event>,
    /// What is missing.
    pub gaps: Vec<Gap>,
    /// A new relation between cycles and the wall clock: from this cycle on it is so late, nanoseconds since 1970.
    pub clock: Option<(u64, u64)>,
}

impl Store {
    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Opens the archive in a directory, or begins one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self { connection: open_to_write(directory)?, directory: directory.to_owned() })
    }

    /// What is kept of this run; from now on it is known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn run(&mut self, run: &Run) -> Result<Kept, StoreError> {
        let number = format!("{:016x}", run.number);
        self.connection.execute(
            "INSERT INTO run (site, agent, instance, number, period_ns) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            params![run.site, run.agent, run.instance, number, whole(run.period_ns)],
        )?;
        let sql = "SELECT id, next_cycle_record, next_event, last_cycle FROM run WHERE (site, agent, instance, number) = (?, ?, ?, ?)";
        let kept = self.connection.query_row(sql, params![run.site, run.agent, run.instance, number], |row| {
            Ok(Kept {
                run: RunId(row.get(0)?),
                next_cycle_record: count(row.get(1)?),
                next_event: count(row.get(2)?),
                last_cycle: row.get::<_, Option<_>>(3)?.map(count),
            })
        })?;
        Ok(kept)
    }

    /// The numbers of a run's tracks; from now on they are known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn tracks(&mut self, run: RunId, names: &[TrackName]) -> Result<Vec<TrackId>, StoreError> {
        let transaction = begin(&mut self.connection)?;
        let ids = put_tracks(&transaction, run.0, names)?;
        transaction.commit()?;
        Ok(ids)
    }

    /// Keeps what a commit brings.
    ///
    /// # Errors
    /// [`StoreError`]; nothing of it is kept then. That it does not begin where the last one ended is one of them: it would leave
    /// something out, or bring it twice.
    pub fn commit(&mut self, run: RunId, commit: &Commit) -> Result<(), StoreError> {
        let transaction = begin(&mut self.connection)?;
        follows(&transaction, run, commit)?;
        if let Some((first_cycle, unix_ns)) = commit.clock {
            let sql = "INSERT INTO clock (run, first_cycle, unix_ns) VALUES (?, ?, ?) ON CONFLICT DO NOTHING";
            transaction.prepare_cached(sql)?.execute(params![run.0, whole(first_cycle), whole(unix_ns)])?;
        }
        put_points(&transaction, run, &commit.points)?;
        put_events(&transaction, run, &commit.events)?;
        put_gaps(&transaction, run, commit)?;
        let sql =
            "UPDATE run SET next_cycle_record = ?, next_event = ?, last_cycle = coalesce(?, last_cycle) WHERE id = ?";
        let next = [commit.cycle_records.end, commit.events_read.end].map(whole);
        let row = params![next[0], next[1], commit.last_cycle.map(whole), run.0];
        transaction.prepare_cached(sql)?.execute(row)?;
        Ok(transaction.commit()?)
    }

    /// What a cycle's time is by the run's clock, nanoseconds since 1970; `None` for a run without one.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unix_ns(&self, run: RunId, cycle: u64) -> Result<Option<u64>, StoreError> {
        super::unix_ns(&self.connection, run, cycle)
    }

    /// Gathers a run's journal into blocks, minutes and hours. How many points it held.
    ///
    /// # Errors
    /// [`StoreError`]; the journal stays then. A row of it that is damaged is one of them.
    pub fn compact(&mut self, run: RunId) -> Result<u64, StoreError> {
        let transaction = begin(&mut self.connection)?;
        let mut tracks: BTreeMap<TrackId, Vec<Point>> = BTreeMap::new();
        let journal = each_journal_row(&transaction, run, 0..=u64::MAX >> 1, |track, point| {
            tracks.entry(track).or_default().push(point);
        })?;
        if let Some(newest) = journal.newest {
            for (track, points) in &tracks {
                let blocks = points.chunks(BLOCK_POINTS).filter_map(|points| Block::of(*track, points));
                blocks.into_iter().try_for_each(|block| block.put(&transaction))?;
            }
            roll(&transaction, run, &tracks, newest)?;
            transaction.execute("DELETE FROM journal WHERE run = ?", [run.0])?;
        }
        transaction.commit()?;
        Ok(journal.points)
    }

    /// The newest point of a track.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn newest(&self, run: RunId, track: TrackId) -> Result<Option<Point>, StoreError> {
        let mut rows =
            self.connection.prepare_cached("SELECT id, points FROM journal WHERE run = ? ORDER BY id DESC")?;
        let mut rows = rows.query([run.0])?;
        while let Some(row) = rows.next()? {
            let (id, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let held = unpack_many(&bytes).map_err(|_| StoreError::Damaged { table: "journal", row: id })?;
            if let Some((_, point)) = held.into_iter().rfind(|(of, _)| *of == track) {
                return Ok(Some(point));
            }
        }
        if let Some(point) = held(&self.connection, track)? {
            return Ok(Some(point));
        }
        let sql = "SELECT id, bytes FROM block WHERE track = ? ORDER BY first_cycle DESC LIMIT 1";
        let block = self.connection.prepare_cached(sql)?.query_row([track.0], |row| Ok((row.get(0)?, row.get(1)?)));
        let Some((row, bytes)): Option<(i64, Vec<u8>)> = block.optional()? else { return Ok(None) };
        let points = unpack(&bytes).map_err(|_| StoreError::Damaged { table: "block", row })?;
        Ok(points.last().copied())
    }
}

/// The numbers of a run's tracks; those that are new are put there.
pub(super) fn put_tracks<'a>(
    transaction: &Transaction<'_>,
    run: i64,
    names: impl IntoIterator<Item = &'a TrackName>,
) -> Result<Vec<TrackId>, StoreError> {
    let mut ids = Vec::new();
    for TrackName { kind, name, unit } in names {
        transaction
            .prepare_cached("INSERT INTO track (run, kind, name, unit) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")?
            .execute(params![run, kind.name(), name, unit])?;
        let id = transaction
            .prepare_cached("SELECT id FROM track WHERE (run, kind, name) = (?, ?, ?)")?
            .query_row(params![run, kind.name(), name], |row| row.get(0))?;
        ids.push(TrackId(id));
    }
    Ok(ids)
}

/// A transaction that has its turn to write: what it reads stays so.
pub(super) fn begin(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Whether a commit begins where the last one of the run ended.
fn follows(transaction: &Transaction<'_>, run: RunId, commit: &Commit) -> Result<(), StoreError> {
    let sql = "SELECT next_cycle_record, next_event FROM run WHERE id = ?";
    let next = |row: &rusqlite::Row<'_>| Ok([row.get(0)?, row.get(1)?].map(count));
    let [cycle, event] = transaction.prepare_cached(sql)?.query_row([run.0], next)?;
    for (what, given, next) in
        [("cycle", commit.cycle_records.start, cycle), ("event", commit.events_read.start, event)]
    {
        if given != next {
            return Err(StoreError::OutOfOrder { what, given, next });
        }
    }
    Ok(())
}

fn put_points(transaction: &Transaction<'_>, run: RunId, points: &[(TrackId, Point)]) -> Result<(), StoreError> {
    let cycles = points.iter().map(|(_, point)| point.cycle);
    let (Some(first), Some(last)) = (cycles.clone().min(), cycles.max()) else { return Ok(()) };
    let sql = "INSERT INTO journal (run, first_cycle, last_cycle, points) VALUES (?, ?, ?, ?)";
    transaction.prepare_cached(sql)?.execute(params![run.0, whole(first), whole(last), pack_many(points)])?;
    Ok(())
}

/// A row of blocks.
pub(super) struct Block {
    track: TrackId,
    first_cycle: u64,
    last_cycle: u64,
    points: usize,
    bytes: Vec<u8>,
}

impl Block {
    /// That of these points; `None` for none.
    pub(super) fn of(track: TrackId, points: &[Point]) -> Option<Self> {
        let (first, last) = (points.first()?, points.last()?);
        let (first_cycle, last_cycle) = (first.cycle, last.cycle);
        Some(Self { track, first_cycle, last_cycle, points: points.len(), bytes: pack(points) })
    }

    pub(super) fn put(&self, transaction: &Transaction<'_>) -> Result<(), StoreError> {
        let Self { track, first_cycle, last_cycle, points, bytes } = self;
        let sql = "INSERT INTO block (track, first_cycle, last_cycle, points, bytes) VALUES (?, ?, ?, ?, ?)";
        let row = params![track.0, whole(*first_cycle), whole(*last_cycle), *points as i64, bytes];
        transaction.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }
}

fn put_events(transaction: &Transaction<'_>, run: RunId, events: &[Event]) -> Result<(), StoreError> {
    let sql = "INSERT INTO event (run, number, cycle, unix_ns, kind, cause, uid, a, b, text)
               VALUES (:run, :number, :cycle, :unix_ns, :kind, :cause, :uid, :a, :b, :text)";
    let mut insert = transaction.prepare_cached(sql)?;
    for Event { number, cycle, unix_ns, kind, cause, uid, a, b, text } in events {
        insert.execute(named_params! {
            ":run": run.0, ":number": whole(*number), ":cycle": whole(*cycle), ":unix_ns": whole(*unix_ns), ":kind": kind,
            ":cause": cause, ":uid": uid, ":a": whole(*a), ":b": whole(*b), ":text": text,
        })?;
    }
    Ok(())
}

/// Whoever found a gap may know of nothing before it; the archive does.
fn put_gaps(transaction: &Transaction<'_>, run: RunId, commit: &Commit) -> Result<(), StoreError> {
    for Gap { what, first, count, after_cycle, before_cycle, why } in &commit.gaps {
        let after_cycle = match (what, after_cycle) {
            (Missing::Cycles, None) => newest_before(transaction, run, commit, before_cycle.unwrap_or(u64::MAX >> 1))?,
            _ => *after_cycle,
        };
        let sql =
            "INSERT INTO gap (run, what, first, count, after_cycle, before_cycle, why) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let [after, before] = [after_cycle, *before_cycle].map(|cycle| cycle.map(whole));
        let row = params![run.0, what.name(), whole(*first), whole(*count), after, before, why];
        transaction.prepare_cached(sql)?.execute(row)?;
    }
    Ok(())
}

/// The newest cycle before that one of which a point is kept, now that the commit's are.
fn newest_before(
    transaction: &Transaction<'_>,
    run: RunId,
    commit: &Commit,
    cycle: u64,
) -> Result<Option<u64>, StoreError> {
    let sql = "SELECT max(last_cycle) FROM journal WHERE run = ?1 AND last_cycle < ?2";
    let kept: Option<i64> = transaction.query_row(sql, params![run.0, whole(cycle)], |row| row.get(0))?;
    let given = commit.points.iter().map(|(_, point)| point.cycle).filter(|given| *given < cycle).max();
    Ok(kept.map(count).max(given).max(compacted(transaction, run)?.filter(|compacted| *compacted < cycle)))
}

/// SQLite's integers have a sign; the bits stay what they are.
pub(super) const fn whole(number: u64) -> i64 {
    number.cast_signed()
}

/// The same of an instant in a question, where the end of all time may stand.
pub(super) const fn instant(unix_ns: u64) -> i64 {
    if unix_ns > i64::MAX as u64 { i64::MAX } else { whole(unix_ns) }
}

pub(super) const fn count(number: i64) -> u64 {
    number.cast_unsigned()
}

//! Days that are over: out of the hot file and into sealed ones.
//!
//! A file is written, put onto the disk and then at its place; after that one transaction notes it and deletes its rows. So at any
//! instant the catalogue knows where each row is, and it is in one place. What a crash leaves behind is a file of which the
//! catalogue knows nothing: nobody reads it, and the next one takes its place.

use std::ops::RangeInclusive;

use rusqlite::{Connection, Transaction, params};

use super::catalogue::{Place, Stay};
use super::read::{event_of, hot_gaps};
use super::roll::compacted;
use super::write::{Block, Store, begin, whole};
use super::{StoreError, timeline};
use crate::block::{Point, unpack};
use crate::rows::{RunId, TrackId, TrackKind, TrackName};
use crate::sealed::{
    Class, Day, Draft, Owner, Sample, Written, event_columns, event_row, gap_columns, gap_row, sample_columns,
    sample_row,
};
use crate::timeline::Timeline;

/// What was sealed of a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sealed {
    /// Points.
    pub samples: u64,
    /// Events.
    pub events: u64,
    /// Gaps.
    pub gaps: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// A run of a site.
struct RunOf {
    id: RunId,
    owner: Owner,
    timeline: Timeline,
    /// Its cycles of the day, from each of its clocks.
    cycles: Vec<RangeInclusive<u64>>,
}

/// A file that is at its place, and the rows that it stands for.
pub(super) struct Ready {
    place: Place,
    written: Written,
    stays: Vec<Stay>,
    gone: Gone,
}

/// Rows of the hot file that are in a sealed one.
#[derive(Default)]
struct Gone {
    blocks: Vec<i64>,
    /// What of those blocks belongs to other days.
    left: Vec<Block>,
    events: Vec<(RunId, u64)>,
    gaps: Vec<(RunId, &'static str, u64)>,
}

impl Store {
    /// The oldest day of which something is hot.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn oldest_hot_day(&self) -> Result<Option<Day>, StoreError> {
        let sql = "SELECT min(unix_ns) FROM event";
        let event: Option<i64> = self.connection.query_row(sql, [], |row| row.get(0))?;
        let mut oldest = event.map(|ns| ns.cast_unsigned());
        let runs = "SELECT run, min(first_cycle) FROM (
                        SELECT track.run AS run, block.first_cycle AS first_cycle FROM track JOIN block ON block.track = track.id
                        UNION ALL SELECT run, first_cycle FROM journal) GROUP BY run";
        let mut rows = self.connection.prepare(runs)?;
        let mut rows = rows.query([])?;
        while let Some(row) = rows.next()? {
            let (run, cycle): (i64, i64) = (row.get(0)?, row.get(1)?);
            let moment = timeline(&self.connection, RunId(run))?.moment(cycle.cast_unsigned());
            oldest = moment.map(|moment| moment.unix_ns).into_iter().chain(oldest).min();
        }
        Ok(oldest.map(Day::of))
    }

    /// Seals what the hot file has of a day that is over, in one file for each site and class. What comes for it later is sealed
    /// in files of its own when this is called again. Meanwhile others can commit; only at the end they wait for as long as
    /// it takes to delete the rows.
    ///
    /// # Errors
    /// [`StoreError`]; what was not sealed then is still hot.
    pub fn seal(&mut self, day: Day) -> Result<Sealed, StoreError> {
        let mut sealed = Sealed::default();
        for site in self.sites()? {
            let ids: Vec<RunId> = runs(&self.connection, &site, day)?.iter().map(|run| run.id).collect();
            for run in ids {
                self.compact(run)?;
            }
            for class in Class::ALL {
                let Some(ready) = self.write(&site, day, class)? else { continue };
                let rows = ready.written.rows;
                sealed.bytes += ready.written.size;
                match class {
                    Class::Samples => sealed.samples += rows,
                    Class::Events => sealed.events += rows,
                    Class::Gaps => sealed.gaps += rows,
                }
                ready.note(begin(&mut self.connection)?)?;
            }
        }
        Ok(sealed)
    }

    fn sites(&self) -> Result<Vec<String>, StoreError> {
        let mut rows = self.connection.prepare("SELECT DISTINCT site FROM run ORDER BY site")?;
        let sites = rows.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(sites)
    }

    /// Writes a file from one snapshot of the hot one; `None` when there is nothing to write.
    pub(super) fn write(&self, site: &str, day: Day, class: Class) -> Result<Option<Ready>, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let place = Place::next(&snapshot, site, day, class)?;
        let about = [("corerl.site", site.to_owned()), ("corerl.date", day.to_string())];
        let columns = match class {
            Class::Samples => sample_columns(),
            Class::Events => event_columns(),
            Class::Gaps => gap_columns(),
        };
        let mut draft = Draft::begin(&self.directory.join(place.path()), &columns, &about)?;
        let runs = runs(&snapshot, site, day)?;
        let (mut stays, mut gone) = (Vec::new(), Gone::default());
        match class {
            Class::Samples => samples(&snapshot, &runs, &mut draft, &mut stays, &mut gone)?,
            Class::Events => events(&snapshot, &runs, day, &mut draft, &mut gone)?,
            Class::Gaps => gaps(&snapshot, &runs, day, &mut draft, &mut gone)?,
        }
        Ok(draft.end()?.map(|written| Ready { place, written, stays, gone }))
    }
}

impl Ready {
    /// Notes the file and deletes the rows.
    pub(super) fn note(&self, transaction: Transaction<'_>) -> Result<(), StoreError> {
        let sealed = self.place.note(&transaction, &self.written)?;
        self.stays.iter().try_for_each(|stay| stay.note(&transaction, sealed))?;
        let Gone { blocks, left, events, gaps } = &self.gone;
        let mut deleted = 0;
        for block in blocks {
            deleted += transaction.prepare_cached("DELETE FROM block WHERE id = ?")?.execute([block])?;
        }
        left.iter().try_for_each(|block| block.put(&transaction))?;
        for (run, number) in events {
            let sql = "DELETE FROM event WHERE (run, number) = (?, ?)";
            deleted += transaction.prepare_cached(sql)?.execute(params![run.0, whole(*number)])?;
        }
        for (run, what, first) in gaps {
            let sql = "DELETE FROM gap WHERE (run, what, first) = (?, ?, ?)";
            deleted += transaction.prepare_cached(sql)?.execute(params![run.0, what, whole(*first)])?;
        }
        if deleted != blocks.len() + events.len() + gaps.len() {
            return Err(StoreError::Interfered);
        }
        Ok(transaction.commit()?)
    }
}

/// The runs of a site, with their cycles of a day. One without any may still have events.
fn runs(connection: &Connection, site: &str, day: Day) -> Result<Vec<RunOf>, StoreError> {
    let mut rows = connection.prepare("SELECT id, agent, instance, number FROM run WHERE site = ? ORDER BY id")?;
    let owner = |row: &rusqlite::Row<'_>| {
        Ok((RunId(row.get(0)?), Owner { agent: row.get(1)?, instance: row.get(2)?, run: row.get(3)? }))
    };
    let mut runs = Vec::new();
    for row in rows.query_map([site], owner)? {
        let (id, owner) = row?;
        let timeline = timeline(connection, id)?;
        let of_day = |stretch: &crate::timeline::Stretch| stretch.cycles(day.first_ns(), day.last_ns());
        let cycles = timeline.stretches().iter().filter_map(of_day).collect();
        runs.push(RunOf { id, owner, timeline, cycles });
    }
    Ok(runs)
}

/// Writes the day's points: by the tracks' names, those of one track in the order of its cycles.
fn samples(
    snapshot: &Connection,
    runs: &[RunOf],
    draft: &mut Draft,
    stays: &mut Vec<Stay>,
    gone: &mut Gone,
) -> Result<(), StoreError> {
    let mut tracks = Vec::new();
    for run in runs.iter().filter(|run| !run.cycles.is_empty()) {
        let mut rows = snapshot.prepare_cached("SELECT id, kind, name, unit FROM track WHERE run = ?")?;
        let mut rows = rows.query([run.id.0])?;
        while let Some(row) = rows.next()? {
            let Some(kind) = TrackKind::named(&row.get::<_, String>(1)?) else { continue };
            tracks.push((TrackName { kind, name: row.get(2)?, unit: row.get(3)? }, run, TrackId(row.get(0)?)));
        }
    }
    tracks.sort_by(|(a, run_a, _), (b, run_b, _)| (&a.name, a.kind, run_a.id).cmp(&(&b.name, b.kind, run_b.id)));
    for (name, run, track) in &tracks {
        samples_of(snapshot, run, (*track, name), draft, stays, gone)?;
    }
    Ok(())
}

fn samples_of(
    snapshot: &Connection,
    run: &RunOf,
    (track, name): (TrackId, &TrackName),
    draft: &mut Draft,
    stays: &mut Vec<Stay>,
    gone: &mut Gone,
) -> Result<(), StoreError> {
    let (Some(first), Some(last)) = (run.cycles.first(), run.cycles.last()) else { return Ok(()) };
    let sql =
        "SELECT id, bytes FROM block WHERE track = ? AND first_cycle <= ? AND last_cycle >= ? ORDER BY first_cycle";
    let mut rows = snapshot.prepare_cached(sql)?;
    let mut rows = rows.query(params![track.0, whole(*last.end()), whole(*first.start())])?;
    while let Some(row) = rows.next()? {
        let (id, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let points = unpack(&bytes).map_err(|_| StoreError::Damaged { table: "block", row: id })?;
        let is_of_day = |point: &Point| run.cycles.iter().any(|cycles| cycles.contains(&point.cycle));
        let (of_day, others): (Vec<Point>, Vec<Point>) = points.into_iter().partition(is_of_day);
        if of_day.is_empty() {
            continue;
        }
        for point in of_day {
            let unix_ns = run.timeline.moment(point.cycle).map_or(0, |moment| moment.unix_ns);
            let sample = Sample { unix_ns, owner: &run.owner, track: name, point };
            note(stays, track, draft.row(unix_ns, &sample_row(&sample))?, point.cycle);
        }
        gone.blocks.push(id);
        gone.left.extend(Block::of(track, &others));
    }
    Ok(())
}

/// A point lies in this group and row.
pub(super) fn note(stays: &mut Vec<Stay>, track: TrackId, (group, row): (usize, usize), cycle: u64) {
    match stays.last_mut() {
        Some(stay) if stay.track == track && stay.group == group => {
            stay.rows += 1;
            stay.last_cycle = cycle;
        }
        _ => stays.push(Stay { track, group, first_row: row, rows: 1, first_cycle: cycle, last_cycle: cycle }),
    }
}

fn events(
    snapshot: &Connection,
    runs: &[RunOf],
    day: Day,
    draft: &mut Draft,
    gone: &mut Gone,
) -> Result<(), StoreError> {
    let sql = "SELECT run, number, cycle, unix_ns, kind, cause, uid, a, b, text FROM event
               WHERE unix_ns BETWEEN ? AND ? ORDER BY unix_ns, run, number";
    let mut rows = snapshot.prepare_cached(sql)?;
    for row in rows.query_map(params![whole(day.first_ns()), whole(day.last_ns())], event_of)? {
        let (id, event) = row?;
        let Some(run) = runs.iter().find(|run| run.id == id) else { continue };
        draft.row(event.unix_ns, &event_row(&run.owner, &event))?;
        gone.events.push((id, event.number));
    }
    Ok(())
}

/// Gaps whose end has come into minutes and hours: those at the newest point of their run are needed there.
fn gaps(snapshot: &Connection, runs: &[RunOf], day: Day, draft: &mut Draft, gone: &mut Gone) -> Result<(), StoreError> {
    for run in runs {
        let Some(compacted) = compacted(snapshot, run.id)? else { continue };
        for (unix_ns, gap) in hot_gaps(snapshot, run.id, &run.timeline)? {
            let Some(unix_ns) = unix_ns.filter(|unix_ns| Day::of(*unix_ns) == day) else { continue };
            if gap.after_cycle.is_some_and(|after| after >= compacted) {
                continue;
            }
            draft.row(unix_ns, &gap_row(unix_ns, &run.owner, &gap))?;
            gone.gaps.push((run.id, gap.what.name(), gap.first));
        }
    }
    Ok(())
}

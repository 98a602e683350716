//! What there is: runs, tracks, the newest of everything, gaps.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use archive::{Gap, Missing, Point, RunId, RunInfo, Timed, Timeline, TrackId, TrackInfo, TrackKind, TrackName, label};
use postgres::Row;
use recall::{Answer, AskError, Missed, Page, ROWS_MAX};

use super::times::{instant, since_1970};
use super::{LIMIT, Snapshot, count, number};

/// The newest point of a track is looked for so long before its run's end; nanoseconds.
const NEWEST_NS: u64 = 86_400_000_000_000;

impl Snapshot<'_> {
    pub(super) fn runs(&mut self, after: Option<RunId>) -> Result<Answer, AskError> {
        let sql = "SELECT id, site, agent, instance, period_ns,
                          (SELECT min(unix_ns) FROM corerl.clock WHERE run = id),
                          (SELECT unix_ns + (last_cycle - first_cycle) * period_ns FROM corerl.clock
                           WHERE run = id AND first_cycle <= last_cycle ORDER BY first_cycle DESC LIMIT 1),
                          last_cycle
                   FROM corerl.run WHERE id > $1 ORDER BY id LIMIT $2";
        let rows = self.query(sql, &[&number(after.map_or(-1, |run| run.0))?, &LIMIT])?;
        let number_at = |row: &Row, column| row.get::<_, Option<i64>>(column).map(i64::cast_unsigned);
        let run = |row: &Row| RunInfo {
            id: RunId(row.get::<_, i32>(0).into()),
            agent: label(row.get(1), row.get(2), row.get(3)),
            period_ns: count(row, 4),
            times_ns: number_at(row, 5).zip(number_at(row, 6)),
            last_cycle: number_at(row, 7),
        };
        Ok(Answer::Runs(page(&rows, rows.iter().map(run).collect())?))
    }

    pub(super) fn tracks(&mut self, after: Option<(RunId, TrackId)>) -> Result<Answer, AskError> {
        let sql = "SELECT track.id, run.id, site, agent, instance, kind, name, unit
                   FROM corerl.track JOIN corerl.run ON run.id = track.run
                   WHERE (track.run, track.id) > ($1, $2) ORDER BY track.run, track.id LIMIT $3";
        let (run, track) = after.map_or((-1, -1), |(run, track)| (run.0, track.0));
        let rows = self.query(sql, &[&number(run)?, &number(track)?, &LIMIT])?;
        let track = |row: &Row| {
            Some(TrackInfo {
                id: TrackId(row.get::<_, i32>(0).into()),
                run: RunId(row.get::<_, i32>(1).into()),
                agent: label(row.get(2), row.get(3), row.get(4)),
                // A kind of a later version is nothing that this one could read.
                name: TrackName { kind: TrackKind::named(row.get(5))?, name: row.get(6), unit: row.get(7) },
            })
        };
        Ok(Answer::Tracks(page(&rows, rows.iter().filter_map(track).collect())?))
    }

    /// Those of the last stretch of the run's clock: by cycles and by times they have one order there.
    pub(super) fn newest(&mut self, run: RunId, after: Option<TrackId>) -> Result<Answer, AskError> {
        let timeline = self.timeline(run)?;
        let Some(window) = self.last_stretch(run, &timeline)? else {
            return Ok(Answer::Newest(Page { rows: Vec::new(), is_last: true }));
        };
        let sql = "SELECT track.id, newest.time, newest.cycle, value, state, age_us, source_time FROM corerl.track
                   CROSS JOIN LATERAL (
                       SELECT * FROM corerl.sample
                       WHERE track = track.id AND time >= $3 AND time <= $4 AND cycle >= $5
                       ORDER BY time DESC LIMIT 1
                   ) AS newest
                   WHERE track.run = $1 AND track.id > $2 ORDER BY track.id LIMIT $6";
        let Window { first_cycle, from_ns, to_ns } = window;
        let (from, to, first) = (instant(from_ns), instant(to_ns), first_cycle.cast_signed());
        let after = number(after.map_or(-1, |track| track.0))?;
        let rows = self.query(sql, &[&number(run.0)?, &after, &from, &to, &first, &LIMIT])?;
        let newest = |row: &Row| (TrackId(row.get::<_, i32>(0).into()), timed(row, 1, &timeline));
        Ok(Answer::Newest(page(&rows, rows.iter().map(newest).collect())?))
    }

    /// The newest cycle of a run that has, or had, a point.
    pub(super) fn newest_cycle(&mut self, run: RunId, timeline: &Timeline) -> Result<Option<u64>, AskError> {
        let Some(Window { first_cycle, from_ns, to_ns }) = self.last_stretch(run, timeline)? else { return Ok(None) };
        let sql = "SELECT max(greatest(newest.cycle, rolling.cycle)) FROM corerl.track
                   LEFT JOIN corerl.rolling ON rolling.track = track.id
                   LEFT JOIN LATERAL (
                       SELECT cycle FROM corerl.sample
                       WHERE track = track.id AND time >= $2 AND time <= $3 AND cycle >= $4
                       ORDER BY time DESC LIMIT 1
                   ) AS newest ON true
                   WHERE track.run = $1";
        let (from, to, first) = (instant(from_ns), instant(to_ns), first_cycle.cast_signed());
        let rows = self.query(sql, &[&number(run.0)?, &from, &to, &first])?;
        let found = rows.first().and_then(|row| row.get::<_, Option<i64>>(0)).map(i64::cast_unsigned);
        // Nobody knows more of a run that has rested for so long.
        found.map_or_else(|| self.last_cycle(run), |found| Ok(Some(found)))
    }

    /// Where a run's newest points lie.
    fn last_stretch(&mut self, run: RunId, timeline: &Timeline) -> Result<Option<Window>, AskError> {
        let Some(last) = self.last_cycle(run)? else { return Ok(None) };
        let Some(moment) = timeline.moment(last) else { return Ok(None) };
        let begin_ns = timeline.moment(moment.stretch).map_or(0, |begin| begin.unix_ns);
        let from_ns = moment.unix_ns.saturating_sub(NEWEST_NS).max(begin_ns);
        Ok(Some(Window { first_cycle: moment.stretch, from_ns, to_ns: moment.unix_ns }))
    }

    pub(super) fn gaps(
        &mut self,
        (from_ns, to_ns): (u64, u64),
        after: Option<(RunId, Missing, u64)>,
    ) -> Result<Answer, AskError> {
        let mut timelines = BTreeMap::new();
        let (mut run, mut what, mut first) = match after {
            Some((run, what, first)) => (number(run.0)?, what.name().to_owned(), first.cast_signed()),
            None => (-1, String::new(), -1),
        };
        // What begins at other times is passed over, so that an answer without rows is the last one.
        loop {
            let sql = "SELECT run, what, first, count, after_cycle, before_cycle, why FROM corerl.gap
                       WHERE (run, what, first) > ($1, $2, $3) ORDER BY run, what, first LIMIT $4";
            let rows = self.query(sql, &[&run, &what, &first, &LIMIT])?;
            let mut missed = Vec::new();
            for row in &rows {
                let of = RunId(row.get::<_, i32>(0).into());
                let timeline = match timelines.entry(of) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(new) => new.insert(self.timeline(of)?),
                };
                missed.push(missing(row, of, timeline));
            }
            missed.retain(|missed| missed.begin_ns().is_none_or(|begin| (from_ns..=to_ns).contains(&begin)));
            if let Some(last) = rows.last().filter(|_| missed.is_empty() && rows.len() > ROWS_MAX) {
                (run, what, first) = (last.get(0), last.get(1), last.get(2));
                continue;
            }
            return Ok(Answer::Gaps(page(&rows, missed)?));
        }
    }
}

/// Times and cycles in which something is looked for.
struct Window {
    first_cycle: u64,
    from_ns: u64,
    to_ns: u64,
}

/// What became of rows, of which one more was asked for than fits.
fn page<T: serde::Serialize>(rows: &[Row], told: Vec<T>) -> Result<Page<T>, AskError> {
    Ok(Page::of(told, rows.len() <= ROWS_MAX)?)
}

/// A point whose time, cycle, value, state, age and source's time lie in columns from this one on.
pub(super) fn timed(row: &Row, column: usize, timeline: &Timeline) -> Timed {
    let point = point(row, column + 1);
    let stored_ns = since_1970(row.get(column));
    let reckoned_ns = timeline.moment(point.cycle).map(|moment| moment.unix_ns);
    // What was estimated while the clock was set has the time that it was stored with.
    let unix_ns = reckoned_ns.filter(|reckoned| reckoned / 1_000 == stored_ns / 1_000).unwrap_or(stored_ns);
    Timed { unix_ns, point }
}

/// The same without its time.
pub(super) fn point(row: &Row, column: usize) -> Point {
    let small = |column| u32::try_from(count(row, column)).unwrap_or(u32::MAX);
    Point {
        cycle: count(row, column),
        value: row.get(column + 1),
        state: small(column + 2),
        age_us: small(column + 3),
        source_us: row.get::<_, Option<_>>(column + 4).map_or(0, |time| since_1970(time) / 1_000),
    }
}

fn missing(row: &Row, run: RunId, timeline: &Timeline) -> Missed {
    let cycle = |column| row.get::<_, Option<i64>>(column).map(i64::cast_unsigned);
    let what: &str = row.get(1);
    let gap = Gap {
        what: if what == Missing::Events.name() { Missing::Events } else { Missing::Cycles },
        first: count(row, 2),
        count: count(row, 3),
        after_cycle: cycle(4),
        before_cycle: cycle(5),
        why: row.get(6),
    };
    let time = |cycle: Option<u64>| Some(timeline.moment(cycle?)?.unix_ns);
    Missed { run, times_ns: (time(gap.after_cycle), time(gap.before_cycle)), gap }
}

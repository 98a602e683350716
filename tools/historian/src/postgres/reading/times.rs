//! What was so between two times: points, events, and what stretches were like.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archive::{Event, Gathering, Point, RunId, Stretch, TrackInfo};
use postgres::Row;
use recall::{Answer, AskError, Part, ROWS_MAX, bucket_window};

use super::lists::{point, timed};
use super::{Snapshot, count, number};

/// Rows that are asked for: one more than an answer has room for.
const LIMIT: i64 = ROWS_MAX as i64 + 1;
/// So much older a point may be that is still held where a window begins.
const HELD_FOR_NS: u64 = 3_600_000_000_000;
/// The database's times are multiples of this, nanoseconds.
const GRAIN_NS: u64 = 1_000;

impl Snapshot<'_> {
    pub(super) fn points(&mut self, track: &TrackInfo, from_ns: u64, to_ns: u64) -> Result<Answer, AskError> {
        let timeline = self.timeline(track.run)?;
        let sql = "SELECT time, cycle, value, state, age_us, source_time FROM corerl.sample
                   WHERE track = $1 AND time >= $2 AND time <= $3 ORDER BY time, cycle LIMIT $4";
        let (from, to) = (instant(from_ns), instant(to_ns));
        let mut rows = self.query(sql, &[&number(track.id.0)?, &from, &to, &LIMIT])?;
        let until_ns = whole(&mut rows, 0, to_ns);
        let mut points: Vec<_> = rows.iter().map(|row| timed(row, 0, &timeline)).collect();
        points.retain(|timed| (from_ns..=to_ns).contains(&timed.unix_ns));
        points.sort_by_key(|timed| timed.unix_ns);
        Ok(Answer::Points(Part::of(points, until_ns, |timed| timed.unix_ns)?))
    }

    pub(super) fn events(&mut self, from_ns: u64, to_ns: u64) -> Result<Answer, AskError> {
        let sql = "SELECT time, run, number, cycle, kind, cause, uid, a, b, text FROM corerl.event
                   WHERE time >= $1 AND time <= $2 ORDER BY time, run, number LIMIT $3";
        let (from, to) = (instant(from_ns.checked_next_multiple_of(GRAIN_NS).unwrap_or(u64::MAX)), instant(to_ns));
        let mut rows = self.query(sql, &[&from, &to, &LIMIT])?;
        let until_ns = whole(&mut rows, 0, to_ns);
        Ok(Answer::Events(Part::of(rows.iter().map(event).collect(), until_ns, |(_, event)| event.unix_ns)?))
    }

    /// Reckoned from points, which are read a page at a time, as an archive does it where it keeps no minutes.
    pub(super) fn buckets(
        &mut self,
        track: &TrackInfo,
        (from_ns, to_ns): (u64, u64),
        width_ns: u64,
    ) -> Result<Answer, AskError> {
        let until_ns = bucket_window(from_ns, to_ns, width_ns)?;
        let (since_ns, end_ns) = (from_ns.saturating_sub(HELD_FOR_NS), until_ns.saturating_add(width_ns - 1));
        let timeline = self.timeline(track.run)?;
        let newest = self.newest_cycle(track.run, &timeline)?;
        let losses = self.losses(track.run, newest)?;
        let width = Duration::from_nanos(width_ns);
        let mut gathering = Gathering::new(track.name.kind, timeline.clone(), losses, width);
        let mut end = None;
        for stretch in timeline.stretches() {
            // What was held at the end of one stretch is held at the beginning of the next one, if both are looked at.
            if end != stretch.first().checked_sub(1) {
                gathering.interrupt();
            }
            let Some(cycles) = stretch.cycles(since_ns, end_ns) else { continue };
            end = Some(*cycles.end());
            self.gather(track, stretch, cycles, &mut gathering)?;
        }
        let mut buckets = gathering.finish(end.and_then(|end| newest.map(|newest| newest.min(end))));
        buckets.retain(|bucket| (from_ns..=until_ns).contains(&bucket.unix_ns));
        Ok(Answer::Buckets(Part::of(buckets, until_ns, |bucket| bucket.unix_ns)?))
    }

    /// Brings the points of these cycles of a stretch.
    fn gather(
        &mut self,
        track: &TrackInfo,
        stretch: &Stretch,
        cycles: RangeInclusive<u64>,
        gathering: &mut Gathering,
    ) -> Result<(), AskError> {
        let sql = "SELECT time, cycle, value, state, age_us, source_time FROM corerl.sample
                   WHERE track = $1 AND time >= $2 AND time <= $3 AND cycle BETWEEN $4 AND $5 ORDER BY time LIMIT $6";
        let (mut first, last) = (*cycles.start(), *cycles.end());
        let to = instant(stretch.unix_ns(last));
        while first <= last {
            let from = instant(stretch.unix_ns(first));
            let bounds = (first.cast_signed(), last.cast_signed());
            let rows = self.query(sql, &[&number(track.id.0)?, &from, &to, &bounds.0, &bounds.1, &LIMIT])?;
            let points: Vec<Point> = rows.iter().map(|row| point(row, 1)).collect();
            gathering.take(&points);
            match points.last() {
                Some(point) if rows.len() > ROWS_MAX => first = point.cycle + 1,
                _ => break,
            }
        }
        Ok(())
    }

    /// The cycles of a run at which nothing is known any more.
    fn losses(&mut self, run: RunId, newest: Option<u64>) -> Result<Vec<u64>, AskError> {
        let sql = "SELECT after_cycle + 1 FROM corerl.gap WHERE run = $1 AND what = 'cycles' AND after_cycle < $2";
        let newest = newest.unwrap_or(0).cast_signed();
        Ok(self.query(sql, &[&number(run.0)?, &newest])?.iter().map(|row| count(row, 0)).collect())
    }
}

/// Takes away the rows of the last time, which may not be all of it, where more were asked for than fit; up to where those that are
/// left are everything.
fn whole(rows: &mut Vec<Row>, column: usize, to_ns: u64) -> u64 {
    if rows.len() <= ROWS_MAX {
        return to_ns;
    }
    let time = |row: &Row| since_1970(row.get(column));
    let Some(last_ns) = rows.last().map(time) else { return to_ns };
    let kept = rows.partition_point(|row| time(row) < last_ns);
    // Of one instant alone all rows go on: then they do not fit, and that is said.
    if kept > 0 {
        rows.truncate(kept);
    }
    last_ns.saturating_sub(1)
}

fn event(row: &Row) -> (RunId, Event) {
    let small = |number: i64| u32::try_from(number).unwrap_or(u32::MAX);
    let event = Event {
        number: count(row, 2),
        cycle: count(row, 3),
        unix_ns: since_1970(row.get(0)),
        kind: row.get(4),
        cause: small(row.get(5)),
        uid: row.get::<_, Option<i64>>(6).map(small),
        a: count(row, 7),
        b: count(row, 8),
        text: row.get(9),
    };
    (RunId(row.get::<_, i32>(1).into()), event)
}

/// An instant as the database has it.
pub(super) fn instant(unix_ns: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(unix_ns - unix_ns % GRAIN_NS)
}

/// Nanoseconds since 1970.
pub(super) fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

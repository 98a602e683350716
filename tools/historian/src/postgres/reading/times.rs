//! What was so between two times: points and events.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use archive::{Event, RunId, TrackInfo};
use postgres::Row;
use recall::{Answer, AskError, Part, ROWS_MAX};

use super::lists::timed;
use super::{LIMIT, Snapshot, count, number};

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
pub(in super::super) fn instant(unix_ns: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(unix_ns - unix_ns % GRAIN_NS)
}

/// Nanoseconds since 1970.
pub(super) fn since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

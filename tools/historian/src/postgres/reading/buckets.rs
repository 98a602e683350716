//! What stretches of time were like: from minutes and hours as far as these are rolled, and from points.

use std::ops::RangeInclusive;
use std::time::Duration;

use archive::{Bucket, Gathering, Rolling, Stretch, TrackInfo, Width};
use postgres::Row;
use recall::{Answer, AskError, Part, ROWS_MAX, Refusal, bucket_window};

use super::super::rolling::table;
use super::times::{instant, since_1970};
use super::{LIMIT, Snapshot, count, is_full, number};

/// So much older a point may be that is still held where a window begins.
const HELD_FOR_NS: u64 = 3_600_000_000_000;

impl Snapshot<'_> {
    /// Minutes and hours are added up as far as they are rolled; what lies behind them, and other widths, are reckoned from points,
    /// which are read a page at a time.
    pub(super) fn buckets(
        &mut self,
        track: &TrackInfo,
        (from_ns, to_ns): (u64, u64),
        width_ns: u64,
    ) -> Result<Answer, AskError> {
        let until_ns = bucket_window(from_ns, to_ns, width_ns)?;
        let (since_ns, end_ns) = (from_ns.saturating_sub(HELD_FOR_NS), until_ns.saturating_add(width_ns - 1));
        let rolled = match Width::within(width_ns) {
            Some(kept) => self.rolled(track)?.map(|(cycle, rolling)| (kept, cycle, rolling)),
            None => None,
        };
        let mut end = rolled.as_ref().map(|(_, cycle, _)| *cycle);
        let next = end.map_or(0, |cycle| cycle + 1);
        let timeline = self.timeline(track.run)?;
        let newest = self.newest_cycle(track.run, &timeline)?;
        let losses = self.losses(track.run, next..=newest.unwrap_or(0))?;
        let width = Duration::from_nanos(width_ns);
        let mut gathering = Gathering::new(track.name.kind, timeline.clone(), losses, width);
        if let Some((kept, _, rolling)) = &rolled {
            self.add_kept(track, *kept, (from_ns, end_ns), &mut gathering)?;
            gathering.go_on(rolling, *kept);
        }
        for stretch in timeline.stretches() {
            let Some(cycles) = stretch.cycles(since_ns, end_ns).and_then(|cycles| behind(cycles, next)) else {
                continue;
            };
            // What was held is held on where nothing between is left out.
            if end.is_some_and(|end| end + 1 != *cycles.start()) {
                gathering.interrupt();
            }
            end = Some(*cycles.end());
            self.gather(track, stretch, cycles, &mut gathering)?;
        }
        let mut buckets = gathering.finish(end.and_then(|end| newest.map(|newest| newest.min(end))));
        buckets.retain(|bucket| (from_ns..=until_ns).contains(&bucket.unix_ns));
        Ok(Answer::Buckets(Part::of(buckets, until_ns, |bucket| bucket.unix_ns)?))
    }

    /// Up to which cycle a track is rolled, and what it held there.
    fn rolled(&mut self, track: &TrackInfo) -> Result<Option<(u64, Rolling)>, AskError> {
        let rows = self.query("SELECT cycle, bytes FROM corerl.rolling WHERE track = $1", &[&number(track.id.0)?])?;
        let Some(row) = rows.first() else { return Ok(None) };
        let damaged = |_| Refusal::Unreadable(format!("what corerl.rolling holds of track {} is damaged", track.id.0));
        Ok(Some((count(row, 0), Rolling::unpack(track.name.kind, row.get(1)).map_err(damaged)?)))
    }

    /// Adds the minutes or hours that are kept and begin in these times.
    fn add_kept(
        &mut self,
        track: &TrackInfo,
        width: Width,
        (from_ns, end_ns): (u64, u64),
        gathering: &mut Gathering,
    ) -> Result<(), AskError> {
        let sql = format!(
            "SELECT time, number, count, known_ns, valued_ns, good_ns, mean, min, max, last FROM corerl.{}
             WHERE track = $1 AND time >= $2 AND time <= $3 AND number >= $4 ORDER BY number LIMIT $5",
            table(width)
        );
        let (from, end) = (instant(from_ns), instant(end_ns));
        let mut next = 0_i64;
        loop {
            let rows = self.query(&sql, &[&number(track.id.0)?, &from, &end, &next, &LIMIT])?;
            gathering.add(&rows.iter().map(bucket).collect::<Vec<_>>());
            match rows.last() {
                Some(last) if rows.len() > ROWS_MAX => next = last.get::<_, i64>(1) + 1,
                _ => return Ok(()),
            }
        }
    }

    /// Brings the points of these cycles of a stretch.
    fn gather(
        &mut self,
        track: &TrackInfo,
        stretch: &Stretch,
        cycles: RangeInclusive<u64>,
        gathering: &mut Gathering,
    ) -> Result<(), AskError> {
        let (mut first, last) = (*cycles.start(), *cycles.end());
        while first <= last {
            let points = self.page(track.id, stretch, first..=last)?;
            gathering.take(&points);
            match points.last() {
                Some(point) if is_full(&points) => first = point.cycle + 1,
                _ => break,
            }
        }
        Ok(())
    }
}

/// Those of these cycles that are not before this one.
fn behind(cycles: RangeInclusive<u64>, next: u64) -> Option<RangeInclusive<u64>> {
    let (first, last) = (next.max(*cycles.start()), *cycles.end());
    (first <= last).then_some(first..=last)
}

fn bucket(row: &Row) -> Bucket {
    Bucket {
        unix_ns: since_1970(row.get(0)),
        count: count(row, 2),
        known_ns: count(row, 3),
        valued_ns: count(row, 4),
        good_ns: count(row, 5),
        mean: row.get(6),
        min: row.get(7),
        max: row.get(8),
        last: row.get(9),
    }
}

//! Reading minutes, hours and other stretches of time.

use std::time::Duration;

use rusqlite::params;

use super::read::{Reader, TrackInfo};
use super::roll::{compacted, kept_buckets, losses, rolling};
use super::write::whole;
use super::{StoreError, each_journal_row, timeline};
use crate::rollup::{Bucket, Ended, Holder, Told, Width, gather};
use crate::rows::{Gap, Missing, RunId};

/// So much older a point may be that is still held where buckets are computed from points.
const HELD_FOR: Duration = Duration::from_secs(3600);

impl Reader {
    /// What a track was like in each stretch of this width that begins between two times, both included, nanoseconds since 1970;
    /// stretches begin at multiples of their width, and those about which nothing is known are left out. Whole minutes and hours
    /// are kept for longer than points are, and need no points; other widths do.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn buckets(
        &self,
        track: &TrackInfo,
        from_ns: u64,
        to_ns: u64,
        width: Duration,
    ) -> Result<Vec<Bucket>, StoreError> {
        let width_ns = u64::try_from(width.as_nanos()).unwrap_or(u64::MAX).max(1);
        // The stretch that begins last ends behind `to_ns`.
        let end_ns = to_ns.saturating_add(width_ns - 1);
        let parts = match Width::within(width_ns) {
            Some(kept) => self.kept(track, kept, from_ns, end_ns)?,
            None => self.computed(track, width_ns, from_ns, end_ns)?,
        };
        let mut buckets = gather(&parts, width_ns);
        buckets.retain(|bucket| (from_ns..=to_ns).contains(&bucket.unix_ns));
        Ok(buckets)
    }

    /// Minutes or hours that are kept, and what the journal adds to them.
    fn kept(&self, track: &TrackInfo, width: Width, from_ns: u64, to_ns: u64) -> Result<Vec<Bucket>, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let sql = "SELECT id, bytes FROM rollup WHERE track = ? AND width_s = ? AND span BETWEEN ? AND ? ORDER BY span";
        let spans = [from_ns, to_ns].map(|ns| whole(ns / width.span_ns()));
        let mut rows = snapshot.prepare_cached(sql)?;
        let mut rows = rows.query(params![track.id.0, whole(width.seconds()), spans[0], spans[1]])?;
        let mut buckets = Vec::new();
        while let Some(row) = rows.next()? {
            buckets.extend(kept_buckets(row.get(0)?, row.get(1)?)?);
        }
        let mut points = Vec::new();
        let journal = each_journal_row(&snapshot, track.run, 0..=u64::MAX >> 1, |of, point| {
            points.extend((of == track.id).then_some(point));
        })?;
        let Some(mut rolling) = rolling(&snapshot, track.id, track.name.kind, !points.is_empty())? else {
            return Ok(buckets);
        };
        let compacted = compacted(&snapshot, track.run)?;
        let timeline = timeline(&snapshot, track.run)?;
        let mut ended = Ended::default();
        if let Some(newest) = journal.newest.max(compacted) {
            let since = compacted.map_or(0, |compacted| compacted + 1);
            rolling.take(&timeline, &points, &losses(&snapshot, track.run, since..=newest)?, &mut ended);
            rolling.finish(&timeline, newest, &mut ended);
        }
        buckets.extend(ended.of(width));
        Ok(buckets)
    }

    /// Parts of stretches of any width, from points.
    fn computed(&self, track: &TrackInfo, width_ns: u64, from_ns: u64, to_ns: u64) -> Result<Vec<Bucket>, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let timeline = timeline(&snapshot, track.run)?;
        let journal = each_journal_row(&snapshot, track.run, 0..=u64::MAX >> 1, |_, _| {})?;
        let newest = journal.newest.max(compacted(&snapshot, track.run)?);
        let mut parts = Vec::new();
        let since_ns = from_ns.saturating_sub(HELD_FOR.as_nanos() as u64);
        let is_of_cycles = |run: RunId, gap: &Gap| run == track.run && gap.what == Missing::Cycles;
        let gaps = self.gaps_in(&snapshot, since_ns, to_ns)?.into_iter();
        let gaps = gaps.filter(|(run, _, gap)| is_of_cycles(*run, gap));
        let mut losses: Vec<u64> = gaps.filter_map(|(_, _, gap)| gap.after_cycle).map(|after| after + 1).collect();
        losses.retain(|loss| Some(*loss) <= newest);
        losses.sort_unstable();
        for stretch in timeline.stretches() {
            let Some(cycles) = stretch.cycles(since_ns, to_ns) else { continue };
            let mut holder = Holder::new(track.name.kind);
            let mut tell = |told| {
                if let Told::Piece(piece) = told {
                    parts.push(piece);
                }
            };
            let points = self.points_in(&snapshot, track.run, track.id, cycles.clone())?;
            holder.take(&timeline, &points, &losses, width_ns, &mut tell);
            let last = newest.map(|newest| newest.min(*cycles.end()));
            if let Some(moment) = last.and_then(|last| timeline.moment(last)) {
                holder.pass(&timeline, moment, width_ns, &mut tell);
            }
        }
        Ok(parts)
    }
}

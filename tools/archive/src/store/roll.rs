//! Minutes and hours, as the journal becomes blocks.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use rusqlite::{Connection, OptionalExtension as _, Transaction, params};

use super::write::{count, whole};
use super::{StoreError, timeline};
use crate::block::Point;
use crate::rollup::{Bucket, Ended, PARTS_MAX, Rolling, Width, gather, pack_buckets, unpack_buckets};
use crate::rows::{RunId, TrackId, TrackKind};

/// Takes a run's new points, the newest of which has this cycle, into its tracks' minutes and hours.
pub(super) fn roll(
    transaction: &Transaction<'_>,
    run: RunId,
    points: &BTreeMap<TrackId, Vec<Point>>,
    newest: u64,
) -> Result<(), StoreError> {
    let timeline = timeline(transaction, run)?;
    let since = compacted(transaction, run)?.map_or(0, |compacted| compacted + 1);
    let losses = losses(transaction, run, since..=newest)?;
    for (track, kind) in kinds(transaction, run)? {
        let Some(mut rolling) = rolling(transaction, track, kind, points.contains_key(&track))? else { continue };
        let mut ended = Ended::default();
        let points = points.get(&track).map_or(&[][..], Vec::as_slice);
        rolling.take(&timeline, points, &losses, &mut ended);
        rolling.settle(&timeline, newest, &mut ended);
        for width in Width::ALL {
            append(transaction, track, width, ended.of(width))?;
        }
        let sql = "INSERT INTO rolling (track, bytes) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET bytes = ?2";
        transaction.prepare_cached(sql)?.execute(params![track.0, rolling.pack()])?;
    }
    transaction
        .execute("UPDATE run SET compacted = max(ifnull(compacted, 0), ?) WHERE id = ?", [whole(newest), run.0])?;
    Ok(())
}

/// What a track holds; `None` for one that never had a point, unless it is to begin.
pub(super) fn rolling(
    connection: &Connection,
    track: TrackId,
    kind: TrackKind,
    begins: bool,
) -> Result<Option<Rolling>, StoreError> {
    let sql = "SELECT bytes FROM rolling WHERE track = ?";
    let bytes: Option<Vec<u8>> = connection.prepare_cached(sql)?.query_row([track.0], |row| row.get(0)).optional()?;
    let damaged = |_| StoreError::Damaged { table: "rolling", row: track.0 };
    match bytes {
        Some(bytes) => Rolling::unpack(kind, &bytes).map(Some).map_err(damaged),
        None => Ok(begins.then(|| Rolling::new(kind))),
    }
}

/// What a track holds, unless cycles behind it are missing.
pub(super) fn held(connection: &Connection, track: TrackId) -> Result<Option<Point>, StoreError> {
    let sql = "SELECT kind FROM track WHERE id = ?";
    let kind: Option<String> = connection.prepare_cached(sql)?.query_row([track.0], |row| row.get(0)).optional()?;
    let Some(kind) = kind.and_then(|kind| TrackKind::named(&kind)) else { return Ok(None) };
    Ok(rolling(connection, track, kind, false)?.and_then(|rolling| rolling.held()))
}

/// The newest cycle of a run that is in blocks.
pub(super) fn compacted(connection: &Connection, run: RunId) -> Result<Option<u64>, StoreError> {
    let sql = "SELECT compacted FROM run WHERE id = ?";
    let cycle: Option<i64> = connection.prepare_cached(sql)?.query_row([run.0], |row| row.get(0))?;
    Ok(cycle.map(count))
}

/// From which of these cycles on nothing is known, because others are missing.
pub(super) fn losses(connection: &Connection, run: RunId, cycles: RangeInclusive<u64>) -> Result<Vec<u64>, StoreError> {
    let sql = "SELECT after_cycle + 1 FROM gap WHERE run = ? AND what = 'cycles' AND after_cycle + 1 BETWEEN ? AND ?
               ORDER BY after_cycle";
    let mut rows = connection.prepare_cached(sql)?;
    let losses =
        rows.query_map(params![run.0, whole(*cycles.start()), whole(*cycles.end())], |row| row.get(0).map(count))?;
    Ok(losses.collect::<Result<_, _>>()?)
}

/// The tracks of a run.
fn kinds(connection: &Connection, run: RunId) -> Result<Vec<(TrackId, TrackKind)>, StoreError> {
    let mut rows = connection.prepare_cached("SELECT id, kind FROM track WHERE run = ? ORDER BY id")?;
    let rows = rows.query_map([run.0], |row| Ok((TrackId(row.get(0)?), row.get::<_, String>(1)?)))?;
    let mut tracks = Vec::new();
    for row in rows {
        let (track, name) = row?;
        tracks.extend(TrackKind::named(&name).map(|kind| (track, kind)));
    }
    Ok(tracks)
}

/// Puts buckets behind those that are there.
fn append(transaction: &Transaction<'_>, track: TrackId, width: Width, buckets: &[Bucket]) -> Result<(), StoreError> {
    let span = |bucket: &Bucket| bucket.unix_ns / width.span_ns();
    for buckets in buckets.chunk_by(|a, b| span(a) == span(b)) {
        let Some(span) = buckets.first().map(span) else { continue };
        let place = params![track.0, whole(width.seconds()), whole(span)];
        let sql = "SELECT id, bytes FROM rollup WHERE (track, width_s, span) = (?, ?, ?)";
        let kept = transaction.prepare_cached(sql)?.query_row(place, |row| Ok((row.get(0)?, row.get(1)?)));
        let mut all = match kept.optional()? {
            Some((row, bytes)) => kept_buckets(row, bytes)?,
            None => Vec::new(),
        };
        all.extend(buckets);
        if all.len() > PARTS_MAX {
            all = gather(&all, width.ns());
        }
        put_packed(transaction, track, width, span, &pack_buckets(&all))?;
    }
    Ok(())
}

/// Buckets as rows have them: those of each span together, with its number.
pub(super) fn packed(width: Width, buckets: &[Bucket]) -> impl Iterator<Item = (u64, Vec<u8>)> {
    let span = move |bucket: &Bucket| bucket.unix_ns / width.span_ns();
    let spans = buckets.chunk_by(move |a, b| span(a) == span(b));
    spans.filter_map(move |buckets| Some((buckets.first().map(span)?, pack_buckets(buckets))))
}

/// A row of packed buckets, in place of the one before.
pub(super) fn put_packed(
    transaction: &Transaction<'_>,
    track: TrackId,
    width: Width,
    span: u64,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO rollup (track, width_s, span, size, bytes) VALUES (?1, ?2, ?3, ?4, ?5)
               ON CONFLICT DO UPDATE SET size = ?4, bytes = ?5";
    let row = params![track.0, whole(width.seconds()), whole(span), bytes.len() as i64, bytes];
    transaction.prepare_cached(sql)?.execute(row)?;
    Ok(())
}

/// The buckets of a row.
pub(super) fn kept_buckets(row: i64, bytes: Vec<u8>) -> Result<Vec<Bucket>, StoreError> {
    unpack_buckets(&bytes).map_err(|_| StoreError::Damaged { table: "rollup", row })
}

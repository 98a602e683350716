//! One transaction's share of the rolling.

use std::collections::BTreeSet;

use archive::{Bucket, Ended, Rolling, RunId, Timeline, TrackId, TrackKind, Width};
use postgres::{Client, Transaction};

use super::super::reading::{Snapshot, instant, is_full};
use super::super::rows::DAY_NS;
use super::{RollError, table};

/// Tracks that a transaction looks at, at most.
const TRACKS_MAX: i64 = 256;
/// A transaction takes no further page when it has so many points.
const POINTS_ENOUGH: usize = 1 << 16;
/// Before every track.
pub(super) const FIRST: i32 = i32::MIN;

/// How far a run is, and is to be rolled.
pub(super) struct Goal {
    run: i32,
    next_cycle_record: i64,
    last_cycle: Option<i64>,
    /// Nothing has come for an hour.
    rests: bool,
}

/// The runs of which not everything is rolled.
pub(super) fn goals(client: &mut Client) -> Result<Vec<Goal>, RollError> {
    let sql = "SELECT id, run.next_cycle_record, run.last_cycle, run.next_cycle_record IS NOT DISTINCT FROM rolled.next_cycle_record
               FROM corerl.run LEFT JOIN corerl.rolled ON run = id
               WHERE run.next_cycle_record > coalesce(rolled.next_cycle_record, 0)
                  OR NOT rolled.rests AND rolled.at < now() - interval '1 hour'
               ORDER BY id";
    let goal = |row: &postgres::Row| Goal {
        run: row.get(0),
        next_cycle_record: row.get(1),
        last_cycle: row.get(2),
        rests: row.get(3),
    };
    Ok(client.query(sql, &[])?.iter().map(goal).collect())
}

/// Rolls tracks of a run behind this one, as many as a transaction may; up to which one, or `None` if those were all.
pub(super) fn roll(client: &mut Client, goal: &Goal, after: i32) -> Result<Option<i32>, RollError> {
    let run = RunId(goal.run.into());
    let mut snapshot = Snapshot::of(client)?;
    let timeline = snapshot.timeline(run)?;
    let losses = snapshot.losses(run, 0..=i64::MAX as u64)?;
    let newest = if goal.rests { newest(&mut snapshot, goal.run)? } else { None };
    let (tracks, mut next) = tracks(&mut snapshot, goal.run, after)?;
    let mut harvest = Harvest::default();
    let mut done = after;
    for mut track in tracks {
        let is_whole = track.take(&mut snapshot, (&timeline, &losses), &mut harvest)?;
        if let Some(newest) = newest.filter(|_| is_whole && track.next_cycle > 0) {
            track.rest(&timeline, newest, &mut harvest);
        }
        let id = track.id;
        harvest.tracks.extend(track.has_changed.then_some(track));
        if !is_whole {
            next = Some(done);
            break;
        }
        done = id;
    }
    let mut transaction = snapshot.into_writing()?;
    harvest.write(&mut transaction, goal.run)?;
    if next.is_none() {
        goal.write(&mut transaction)?;
    }
    transaction.commit()?;
    Ok(next)
}

impl Goal {
    /// It is reached.
    fn write(&self, transaction: &mut Transaction<'_>) -> Result<(), postgres::Error> {
        let Self { run, next_cycle_record, last_cycle, rests } = self;
        let sql = "INSERT INTO corerl.rolled (run, next_cycle_record, cycle, rests) VALUES ($1, $2, $3, $4)
                   ON CONFLICT (run) DO UPDATE SET next_cycle_record = $2, cycle = $3, at = now(), rests = $4
                   WHERE (rolled.next_cycle_record, rolled.rests) < ($2, $4)";
        transaction.execute(sql, &[run, next_cycle_record, last_cycle, rests]).map(drop)
    }
}

/// The newest cycle of a run that is rolled.
fn newest(snapshot: &mut Snapshot<'_>, run: i32) -> Result<Option<u64>, RollError> {
    let sql = "SELECT max(cycle) FROM corerl.rolling JOIN corerl.track ON id = track WHERE run = $1";
    let rows = snapshot.query(sql, &[&run])?;
    Ok(rows.first().and_then(|row| row.get::<_, Option<i64>>(0)).map(i64::cast_unsigned))
}

/// A track on its way.
struct Track {
    id: i32,
    rolling: Rolling,
    /// Its first one that was not taken.
    next_cycle: u64,
    /// Minutes and hours that it has come to.
    buckets: i64,
    has_changed: bool,
}

/// The first tracks of a run behind this one; and the last of them, if there may be more.
fn tracks(snapshot: &mut Snapshot<'_>, run: i32, after: i32) -> Result<(Vec<Track>, Option<i32>), RollError> {
    let sql = "SELECT id, kind, cycle, bytes, coalesce(buckets, 0) FROM corerl.track LEFT JOIN corerl.rolling ON rolling.track = id
               WHERE run = $1 AND id > $2 ORDER BY id LIMIT $3";
    let rows = snapshot.query(sql, &[&run, &after, &TRACKS_MAX])?;
    let mut tracks = Vec::new();
    for row in &rows {
        // A kind of a later version is nothing that this one could read.
        let (id, Some(kind)) = (row.get::<_, i32>(0), TrackKind::named(row.get(1))) else { continue };
        let next_cycle = row.get::<_, Option<i64>>(2).map_or(0, |cycle| cycle.cast_unsigned() + 1);
        let rolling = match row.get::<_, Option<&[u8]>>(3) {
            Some(bytes) => Rolling::unpack(kind, bytes).map_err(|why| RollError::Damaged(id, why))?,
            None => Rolling::new(kind),
        };
        tracks.push(Track { id, rolling, next_cycle, buckets: row.get(4), has_changed: false });
    }
    let next = rows.last().map(|row| row.get(0)).filter(|_| rows.len() as i64 == TRACKS_MAX);
    Ok((tracks, next))
}

impl Track {
    /// Takes its points as far as there are any; `false` where the harvest became too large before.
    fn take(
        &mut self,
        snapshot: &mut Snapshot<'_>,
        (timeline, losses): (&Timeline, &[u64]),
        harvest: &mut Harvest,
    ) -> Result<bool, RollError> {
        for stretch in timeline.stretches() {
            while self.next_cycle.max(stretch.first()) <= *stretch.cycles.end() {
                if harvest.points >= POINTS_ENOUGH {
                    return Ok(false);
                }
                let cycles = self.next_cycle.max(stretch.first())..=*stretch.cycles.end();
                let points = snapshot.page(TrackId(self.id.into()), stretch, cycles)?;
                let Some(last) = points.last().map(|point| point.cycle) else { break };
                let mut ended = Ended::default();
                let lost = losses.partition_point(|loss| *loss < self.next_cycle)
                    ..losses.partition_point(|loss| *loss <= last);
                self.rolling.take(timeline, &points, &losses[lost], &mut ended);
                self.next_cycle = last + 1;
                harvest.points += points.len();
                self.tell(&ended, harvest);
                if !is_full(&points) {
                    break;
                }
            }
        }
        Ok(true)
    }

    /// Nothing more comes for long: what is there of a minute and an hour that are not over is told, too.
    fn rest(&mut self, timeline: &Timeline, newest: u64, harvest: &mut Harvest) {
        let mut ended = Ended::default();
        self.rolling.rest(timeline, newest, &mut ended);
        self.tell(&ended, harvest);
    }

    /// What has come to its end is harvested.
    fn tell(&mut self, ended: &Ended, harvest: &mut Harvest) {
        self.has_changed = true;
        for width in Width::ALL {
            for (bucket, number) in ended.of(width).iter().zip(self.buckets..) {
                harvest.rows(width).push(Row { track: self.id, number, bucket: *bucket });
                self.buckets = number + 1;
            }
        }
    }
}

/// What a transaction writes.
#[derive(Default)]
struct Harvest {
    points: usize,
    minutes: Vec<Row>,
    hours: Vec<Row>,
    tracks: Vec<Track>,
}

/// A bucket of a track, and which of its.
struct Row {
    track: i32,
    number: i64,
    bucket: Bucket,
}

impl Harvest {
    fn rows(&mut self, width: Width) -> &mut Vec<Row> {
        match width {
            Width::Minute => &mut self.minutes,
            Width::Hour => &mut self.hours,
        }
    }

    fn write(mut self, transaction: &mut Transaction<'_>, run: i32) -> Result<(), postgres::Error> {
        let rows = self.minutes.iter().chain(&self.hours);
        let days: BTreeSet<u64> = rows.map(|row| row.bucket.unix_ns / DAY_NS).collect();
        for day in days {
            let day = i32::try_from(day).unwrap_or(i32::MAX);
            transaction.execute("SELECT corerl.rolled_day(date '1970-01-01' + $1::integer)", &[&day])?;
        }
        for width in Width::ALL {
            put(transaction, table(width), run, self.rows(width))?;
        }
        let ids: Vec<i32> = self.tracks.iter().map(|track| track.id).collect();
        let cycles: Vec<i64> = self.tracks.iter().map(|track| (track.next_cycle - 1).cast_signed()).collect();
        let buckets: Vec<i64> = self.tracks.iter().map(|track| track.buckets).collect();
        let bytes: Vec<Vec<u8>> = self.tracks.iter().map(|track| track.rolling.pack()).collect();
        let sql = "INSERT INTO corerl.rolling (track, cycle, buckets, bytes)
                   SELECT * FROM unnest($1::integer[], $2::bigint[], $3::bigint[], $4::bytea[])
                   ON CONFLICT (track) DO UPDATE
                   SET cycle = excluded.cycle, buckets = excluded.buckets, bytes = excluded.bytes";
        transaction.execute(sql, &[&ids, &cycles, &buckets, &bytes]).map(drop)
    }
}

fn put(transaction: &mut Transaction<'_>, table: &str, run: i32, rows: &[Row]) -> Result<(), postgres::Error> {
    let sql = format!(
        "INSERT INTO corerl.{table} (run, time, track, number, count, known_ns, valued_ns, good_ns, mean, min, max, last)
         SELECT $1, * FROM unnest($2::timestamptz[], $3::integer[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[],
                                  $8::bigint[], $9::float8[], $10::float8[], $11::float8[], $12::float8[])"
    );
    let times: Vec<_> = rows.iter().map(|row| instant(row.bucket.unix_ns)).collect();
    let tracks: Vec<_> = rows.iter().map(|row| row.track).collect();
    let numbers: Vec<_> = rows.iter().map(|row| row.number).collect();
    let whole = |of: fn(&Bucket) -> u64| rows.iter().map(|row| of(&row.bucket).cast_signed()).collect::<Vec<i64>>();
    let real = |of: fn(&Bucket) -> f64| rows.iter().map(|row| of(&row.bucket)).collect::<Vec<f64>>();
    let (count, known) = (whole(|bucket| bucket.count), whole(|bucket| bucket.known_ns));
    let (valued, good) = (whole(|bucket| bucket.valued_ns), whole(|bucket| bucket.good_ns));
    let (mean, min) = (real(|bucket| bucket.mean), real(|bucket| bucket.min));
    let (max, last) = (real(|bucket| bucket.max), real(|bucket| bucket.last));
    let columns: [&(dyn postgres::types::ToSql + Sync); 12] =
        [&run, &times, &tracks, &numbers, &count, &known, &valued, &good, &mean, &min, &max, &last];
    transaction.execute(&sql, &columns).map(drop)
}

//! What it takes to keep a history: commits against a plain table of the same rows, bytes of a sample, sealing a day, a trend.
//!
//! The samples are those of twelve-bit transmitters: a slow sine and noise of sixteen steps, so that nearly every one differs from
//! the one before; each is about a millisecond old, and its source gives its time to the microsecond, a little late. Every sample
//! is kept, none is left out by exception.

use std::path::Path;
use std::time::{Duration, Instant};

use archive::{Commit, Day, Point, Reader, Run, RunId, Store, TrackId, TrackKind, TrackName};
use rusqlite::{Connection, params};

use crate::harness::{Contest, Row, nanoseconds_of};

const TAGS: u64 = 1000;
const DAY_S: u64 = 86_400;
const PERIOD_NS: u64 = 1_000_000_000;
/// Where the history begins: a midnight.
const BEGIN_NS: u64 = 20_000 * DAY_S * PERIOD_NS;
/// Cycles of a commit.
const COMMIT_CYCLES: u64 = 10;
const ROUNDS: usize = 30;
/// Minutes between two compactions, as the historian has them.
const COMPACT_MINUTES: u64 = 10;
/// A month's history has a point of each of a few tags so often.
const MONTH_DAYS: u64 = 30;
const MONTH_TAGS: u64 = 10;
const MONTH_EVERY_S: u64 = 20;

pub(super) fn run() -> Result<Vec<Row>, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut rows = commits(directory.path()).map_err(|error| error.to_string())?;
    rows.extend(day(&directory.path().join("day")).map_err(|error| error.to_string())?);
    rows.extend(month(&directory.path().join("month")).map_err(|error| error.to_string())?);
    Ok(rows)
}

type Failed = Box<dyn std::error::Error>;

/// An archive that is filled.
struct History {
    store: Store,
    run: RunId,
    tracks: Vec<TrackId>,
    signal: Signal,
    next: u64,
}

/// Noise that is the same in every run.
struct Signal(u64);

impl Signal {
    fn noise(&mut self) -> u64 {
        for (left, shift) in [(true, 13), (false, 7), (true, 17)] {
            self.0 ^= if left { self.0 << shift } else { self.0 >> shift };
        }
        self.0
    }

    fn point(&mut self, tag: u64, cycle: u64) -> Point {
        let noise = self.noise();
        let steps = 2048.0 + 800.0 * (cycle as f64 / (600.0 + tag as f64)).sin() + (noise % 16) as f64;
        let sampled_us = (BEGIN_NS + cycle * PERIOD_NS) / 1_000 - 1_000;
        Point {
            age_us: 900 + (noise >> 32) as u32 % 200,
            source_us: sampled_us + (noise >> 16) % 100,
            ..Point::new(cycle, steps.round() * 10.0 / 4096.0, 0)
        }
    }
}

impl History {
    fn begin(directory: &Path, tags: u64) -> Result<Self, Failed> {
        let mut store = Store::open(directory)?;
        let run = Run {
            site: "bench".to_owned(),
            agent: "agent".to_owned(),
            instance: "main".to_owned(),
            number: 1,
            period_ns: PERIOD_NS,
        };
        let run = store.run(&run)?.run;
        let name = |tag| TrackName { kind: TrackKind::Tag, name: format!("TAG_{tag:04}"), unit: "bar".to_owned() };
        let tracks = store.tracks(run, &(0..tags).map(name).collect::<Vec<_>>())?;
        Ok(Self { store, run, tracks, signal: Signal(1), next: 0 })
    }

    /// The next cycles, with every so many of them observed.
    fn commit(&mut self, cycles: u64, every: usize) -> Commit {
        let records = self.next..self.next + cycles;
        let mut points = Vec::with_capacity(cycles as usize / every * self.tracks.len());
        for cycle in records.clone().step_by(every) {
            let point = |(tag, track): (u64, &TrackId)| (*track, self.signal.point(tag, cycle));
            points.extend((0..).zip(&self.tracks).map(point));
        }
        let clock = (self.next == 0).then_some((0, BEGIN_NS));
        self.next = records.end;
        let last_cycle = records.end.checked_sub(1);
        Commit { cycle_records: records, points, clock, last_cycle, ..Commit::default() }
    }

    /// So many minutes, compacted as the historian does; how many points.
    fn fill(&mut self, minutes: u64, every: usize) -> Result<u64, Failed> {
        let mut points = 0;
        for minute in 1..=minutes {
            let commit = self.commit(60, every);
            points += commit.points.len() as u64;
            self.store.commit(self.run, &commit)?;
            if minute.is_multiple_of(COMPACT_MINUTES) {
                self.store.compact(self.run)?;
            }
        }
        Ok(points)
    }
}

/// The same rows in commits and in a plain table, in turns.
fn commits(directory: &Path) -> Result<Vec<Row>, Failed> {
    let mut history = History::begin(&directory.join("commits"), TAGS)?;
    let plain_path = directory.join("plain.sqlite");
    let mut plain = Connection::open(&plain_path)?;
    plain.pragma_update(None, "journal_mode", "wal")?;
    plain.pragma_update(None, "synchronous", "full")?;
    plain
        .execute("CREATE TABLE sample (time INTEGER, tag INTEGER, value REAL, quality INTEGER, source INTEGER)", [])?;
    let mut signal = Signal(1);
    let mut next = 0;
    // The first failure of each; a contest goes on to its end.
    let (mut inserted, mut committed) = (Ok(()), Ok(()));
    let standings = Contest::of_samples(ROUNDS, 1)
        .sample("plain table", || {
            let cycles = next..next + COMMIT_CYCLES;
            next = cycles.end;
            let each = cycles.flat_map(|cycle| (0..TAGS).map(move |tag| (tag, cycle)));
            let points: Vec<(u64, Point)> = each.map(|(tag, cycle)| (tag, signal.point(tag, cycle))).collect();
            nanoseconds_of(|| {
                inserted = std::mem::replace(&mut inserted, Ok(())).and_then(|()| insert(&mut plain, &points))
            })
        })
        .sample("commit", || {
            let commit = history.commit(COMMIT_CYCLES, 1);
            let History { store, run, .. } = &mut history;
            nanoseconds_of(|| {
                committed = std::mem::replace(&mut committed, Ok(())).and_then(|()| store.commit(*run, &commit));
            })
        })
        .run();
    inserted?;
    committed?;
    let samples = (COMMIT_CYCLES * TAGS) as f64;
    let bytes = used_bytes(&plain_path)? as f64 / (next * TAGS) as f64;
    let per_sample = |name| standings.p50(name).times(1.0 / samples);
    Ok(vec![
        Row::measured("a sample into a plain table, 10,000 in a transaction", per_sample("plain table"), "ns"),
        Row::measured("a sample by a commit of 10,000", per_sample("commit"), "ns"),
        Row::ratio("a commit : the same rows into a plain table", standings.ratio("commit", "plain table"))
            .at_most(1.0),
        Row::ratio("control", standings.control()).note("the plain table against itself"),
        Row::exact("a sample in the plain table", bytes, "B")
            .note("time, tag, value, quality, source's time; without an index"),
    ])
}

fn insert(plain: &mut Connection, points: &[(u64, Point)]) -> rusqlite::Result<()> {
    let transaction = plain.transaction()?;
    {
        let mut insert = transaction.prepare_cached("INSERT INTO sample VALUES (?, ?, ?, ?, ?)")?;
        for (tag, point) in points {
            let time = (BEGIN_NS + point.cycle * PERIOD_NS).cast_signed();
            insert.execute(params![
                time,
                tag.cast_signed(),
                point.value,
                point.state,
                point.source_us.cast_signed()
            ])?;
        }
    }
    transaction.commit()
}

/// Bytes of a database's pages that are in use.
fn used_bytes(path: &Path) -> rusqlite::Result<i64> {
    let connection = Connection::open(path)?;
    let of = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    Ok((of("page_count")? - of("freelist_count")?) * of("page_size")?)
}

/// A day of a thousand tags at 1 Hz: how large it is, and how long it takes to be sealed.
fn day(directory: &Path) -> Result<Vec<Row>, Failed> {
    let mut history = History::begin(directory, TAGS)?;
    let began = Instant::now();
    let samples = history.fill(DAY_S / 60, 1)? as f64;
    let rate = samples / began.elapsed().as_secs_f64();
    let hot = used_bytes(&directory.join("hot.sqlite"))? as f64 / samples;
    let began = Instant::now();
    let sealed = history.store.seal(Day::of(BEGIN_NS))?;
    let sealed_s = began.elapsed().as_secs_f64();
    let reader = Reader::open(directory)?;
    let track = reader.tracks(Some("TAG_0500"))?.pop().ok_or("a tag is missing")?;
    let began = Instant::now();
    let points = reader.between(&track, BEGIN_NS, BEGIN_NS + DAY_S * PERIOD_NS - 1)?.len();
    let read_ms = began.elapsed().as_secs_f64() * 1e3;
    if (points as u64, sealed.samples as f64) != (DAY_S, samples) {
        return Err("what was sealed is not what was kept".into());
    }
    Ok(vec![
        Row::exact("samples a second, generated, committed and compacted", rate, "/s"),
        Row::exact("a hot sample, with its minutes and hours", hot, "B").at_most(28.0),
        Row::exact("a sealed sample", sealed.bytes as f64 / samples, "B").at_most(5.8),
        Row::exact("sealing a day of 1,000 tags at 1 Hz", sealed_s, "s").at_most(60.0).note("one thread"),
        Row::exact("reading one tag of that day from its file", read_ms, "ms"),
    ])
}

/// A month's minutes of one tag.
fn month(directory: &Path) -> Result<Vec<Row>, Failed> {
    let mut history = History::begin(directory, MONTH_TAGS)?;
    history.fill(MONTH_DAYS * DAY_S / 60, MONTH_EVERY_S as usize)?;
    let reader = Reader::open(directory)?;
    let track = reader.tracks(Some("TAG_0005"))?.pop().ok_or("a tag is missing")?;
    let end_ns = BEGIN_NS + MONTH_DAYS * DAY_S * PERIOD_NS;
    let mut found = Ok(Vec::new());
    let standings = Contest::of_samples(ROUNDS, 1)
        .sample("trend", || {
            nanoseconds_of(|| found = reader.buckets(&track, BEGIN_NS, end_ns, Duration::from_secs(60)))
        })
        .run();
    if found?.len() as u64 != MONTH_DAYS * DAY_S / 60 {
        return Err("the month lacks minutes".into());
    }
    Ok(vec![
        Row::measured("a month's minutes of one tag, 43,200", standings.p50("trend").times(1e-6), "ms").at_most(100.0),
    ])
}

//! Bringing in what others have kept, beside whoever writes meanwhile.
//!
//! What is old goes past the hot file: it becomes sealed files of its own, one for each day, and one transaction notes all of them.
//! So it is there as a whole or not at all, days that are sealed already only get one more file, and a historian waits for no
//! longer than that transaction. A crash leaves files of which the catalogue knows nothing; the same records again take their
//! places.
//!
//! Records from elsewhere are a run of their own. It is numbered by what is in it, so the same ones are never kept twice; its
//! cycles are as long as the greatest span of which all its times are multiples, so every time is kept to the nanosecond.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use rusqlite::{Transaction, params};

use super::StoreError;
use super::catalogue::{Place, Stay, run_of};
use super::roll::{packed, put_packed};
use super::seal::note;
use super::write::{Store, begin, put_tracks, whole};
use crate::block::Point;
use crate::exception::HOLDS_NS;
use crate::rollup::{Ended, Rolling, Width};
use crate::rows::{TrackId, TrackName};
use crate::sealed::{Day, Draft, Owner, Sample, Written, sample_columns, sample_row};
use crate::timeline::Timeline;

/// Who brings something in holds this file's lock.
const LOCK: &str = "bring.lock";
/// Why nothing is known where the records have nothing.
const HOLE: &str = "what was brought in has nothing";

/// A value from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Old {
    /// When it was so, nanoseconds since 1970.
    pub unix_ns: u64,
    /// In engineering units; NaN for none.
    pub value: f64,
    /// What is to be known beside it, as its track defines it.
    pub state: u32,
    /// How old the value was then, microseconds, saturating.
    pub age_us: u32,
}

/// Values of one track from elsewhere, by their times, which rise.
#[derive(Clone, Debug, PartialEq)]
pub struct OldTrack {
    /// What they are of.
    pub name: TrackName,
    /// At least one.
    pub values: Vec<Old>,
}

/// What was brought in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brought {
    /// The number of the run that it became.
    pub run: u64,
    /// Points.
    pub points: u64,
    /// Bytes of the files.
    pub bytes: u64,
    /// Days of which there was something.
    pub days: usize,
}

/// The turn to bring something into a history. It ends when this is dropped, or with the process.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Takes it.
    ///
    /// # Errors
    /// [`StoreError::Taken`] when somebody else has it.
    pub fn take(history: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(history)?;
        let lock = File::options().write(true).create(true).truncate(false).open(history.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StoreError::Taken),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }
}

impl Store {
    /// Brings in tracks of an agent, in one turn; `None` when the very same ones are there already. `told` hears how many of the
    /// days are written.
    ///
    /// # Errors
    /// [`StoreError`]; nothing was brought in then.
    pub fn bring(
        &mut self,
        _turn: &Turn,
        (site, agent): (&str, &str),
        tracks: &[OldTrack],
        told: &mut dyn FnMut(usize),
    ) -> Result<Option<Brought>, StoreError> {
        let Some(times) = Times::of(tracks) else { return Ok(None) };
        let number = number(site, agent, tracks);
        let owner = Owner { agent: agent.to_owned(), instance: "main".to_owned(), run: format!("{number:016x}") };
        if run_of(&self.connection, site, &owner)?.is_some() {
            return Ok(None);
        }
        let run = Coming { site, owner: &owner, tracks, times };
        let mut files = Files { directory: &self.directory, written: Vec::new() };
        for (count, day) in run.days().into_iter().enumerate() {
            run.write(day, Place::brought(site, day, number), &mut files)?;
            told(count + 1);
        }
        let buckets = run.buckets();
        let transaction = begin(&mut self.connection)?;
        run.note(&transaction, &files, &buckets)?;
        transaction.commit()?;
        let written = std::mem::take(&mut files.written);
        let sum = |of: fn(&Written) -> u64| written.iter().map(|(_, written, _)| of(written)).sum();
        let (points, bytes) = (sum(|file| file.rows), sum(|file| file.size));
        Ok(Some(Brought { run: number, points, bytes, days: written.len() }))
    }
}

/// The times of all tracks.
#[derive(Clone, Copy)]
struct Times {
    first_ns: u64,
    last_ns: u64,
    period_ns: u64,
}

impl Times {
    fn of(tracks: &[OldTrack]) -> Option<Self> {
        let all = || tracks.iter().flat_map(|track| &track.values).map(|old| old.unix_ns);
        let (first_ns, last_ns) = (all().min()?, all().max()?);
        let period_ns = all().map(|unix_ns| unix_ns - first_ns).fold(0, divisor).max(1);
        Some(Self { first_ns, last_ns, period_ns })
    }

    fn cycle(&self, unix_ns: u64) -> u64 {
        (unix_ns - self.first_ns) / self.period_ns
    }

    /// How many cycles a value counts as the one that holds.
    fn holds(&self) -> u64 {
        (HOLDS_NS / self.period_ns).max(1)
    }

    fn point(&self, old: &Old) -> Point {
        let Old { unix_ns, value, state, age_us } = *old;
        Point { age_us, ..Point::new(self.cycle(unix_ns), value, state) }
    }
}

/// The greatest number of which both are multiples.
fn divisor(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// 63 bits that no other records have.
fn number(site: &str, agent: &str, tracks: &[OldTrack]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    let mut put = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    [site, agent].into_iter().for_each(|word| put(word.as_bytes()));
    for OldTrack { name: TrackName { kind, name, unit }, values } in tracks {
        [kind.name(), name, unit].into_iter().for_each(|word| put(word.as_bytes()));
        for Old { unix_ns, value, state, age_us } in values {
            put(&unix_ns.to_le_bytes());
            put(&value.to_bits().to_le_bytes());
            put(&(u64::from(*state) << 32 | u64::from(*age_us)).to_le_bytes());
        }
    }
    let digest = hasher.finalize();
    digest.as_bytes().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)) >> 1
}

/// Files that are at their places. As long as the catalogue does not know them they go when this does.
struct Files<'a> {
    directory: &'a Path,
    written: Vec<(Place, Written, Vec<Stay>)>,
}

impl Drop for Files<'_> {
    fn drop(&mut self) {
        for (place, ..) in &self.written {
            // What cannot be deleted is replaced the next time.
            let _ = fs::remove_file(self.path(place));
        }
    }
}

impl Files<'_> {
    fn path(&self, place: &Place) -> PathBuf {
        self.directory.join(place.path())
    }
}

/// A run that is being brought in.
struct Coming<'a> {
    site: &'a str,
    owner: &'a Owner,
    tracks: &'a [OldTrack],
    times: Times,
}

/// Minutes or hours of a track that are kept together.
struct Span {
    track: usize,
    width: Width,
    span: u64,
    bytes: Vec<u8>,
}

impl Coming<'_> {
    fn days(&self) -> BTreeSet<Day> {
        self.tracks.iter().flat_map(|track| &track.values).map(|old| Day::of(old.unix_ns)).collect()
    }

    /// Writes the file of a day: track by track, those of one in the order of their times.
    fn write(&self, day: Day, place: Place, files: &mut Files<'_>) -> Result<(), StoreError> {
        let about = [("corerl.site", self.site.to_owned()), ("corerl.date", day.to_string())];
        let mut draft = Draft::begin(&files.path(&place), &sample_columns(), &about)?;
        let mut stays = Vec::new();
        for (index, OldTrack { name, values }) in self.tracks.iter().enumerate() {
            let first = values.partition_point(|old| old.unix_ns < day.first_ns());
            let of_day = values[first..].iter().take_while(|old| old.unix_ns <= day.last_ns());
            for old in of_day {
                let point = self.times.point(old);
                let sample = Sample { unix_ns: old.unix_ns, owner: self.owner, track: name, point };
                let at = draft.row(old.unix_ns, &sample_row(&sample))?;
                // Tracks get their numbers later.
                note(&mut stays, TrackId(index as i64), at, point.cycle);
            }
        }
        files.written.extend(draft.end()?.map(|written| (place, written, stays)));
        Ok(())
    }

    /// Minutes and hours of all tracks.
    fn buckets(&self) -> Vec<Span> {
        let Times { first_ns, period_ns, .. } = self.times;
        let timeline = Timeline::new(&[(0, first_ns)], period_ns);
        let mut spans = Vec::new();
        for (track, OldTrack { name, values }) in self.tracks.iter().enumerate() {
            let points: Vec<Point> = values.iter().map(|old| self.times.point(old)).collect();
            let (mut rolling, mut ended) = (Rolling::new(name.kind), Ended::default());
            rolling.take(&timeline, &points, &self.silences(&points), &mut ended);
            rolling.finish(&timeline, points.last().map_or(0, |point| point.cycle), &mut ended);
            for width in Width::ALL {
                let packed = packed(width, ended.of(width));
                spans.extend(packed.map(|(span, bytes)| Span { track, width, span, bytes }));
            }
        }
        spans
    }

    /// From where on nothing is known any more, because too long nothing comes.
    fn silences(&self, points: &[Point]) -> Vec<u64> {
        let holds = self.times.holds();
        let silent = points.windows(2).filter(|pair| pair[1].cycle - pair[0].cycle > holds);
        silent.map(|pair| pair[0].cycle + holds).collect()
    }

    /// Where no track has anything: the cycles on both sides.
    fn holes(&self) -> Vec<(u64, u64)> {
        let mut cycles: Vec<u64> =
            self.tracks.iter().flat_map(|track| &track.values).map(|old| self.times.cycle(old.unix_ns)).collect();
        cycles.sort_unstable();
        let holds = self.times.holds();
        cycles.windows(2).filter(|pair| pair[1] - pair[0] > holds + 1).map(|pair| (pair[0] + holds, pair[1])).collect()
    }

    /// Notes everything: from now on it is there.
    fn note(&self, transaction: &Transaction<'_>, files: &Files<'_>, spans: &[Span]) -> Result<(), StoreError> {
        let Times { first_ns, last_ns, period_ns } = self.times;
        let Owner { agent, instance, run } = self.owner;
        let last_cycle = whole(self.times.cycle(last_ns));
        let row = params![self.site, agent, instance, run, whole(period_ns), last_cycle];
        let sql = "INSERT INTO run (site, agent, instance, number, period_ns, last_cycle, compacted)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) RETURNING id";
        let id: i64 = transaction.query_row(sql, row, |row| row.get(0))?;
        transaction.execute("INSERT INTO clock (run, first_cycle, unix_ns) VALUES (?, 0, ?)", [id, whole(first_ns)])?;
        let ids = put_tracks(transaction, id, self.tracks.iter().map(|track| &track.name))?;
        for (place, written, stays) in &files.written {
            let sealed = place.note(transaction, written)?;
            for stay in stays {
                let track = ids[stay.track.0 as usize];
                Stay { track, ..stay.clone() }.note(transaction, sealed)?;
            }
        }
        for Span { track, width, span, bytes } in spans {
            put_packed(transaction, ids[*track], *width, *span, bytes)?;
        }
        for (after, before) in self.holes() {
            let sql = "INSERT INTO gap (run, what, first, count, after_cycle, before_cycle, why)
                       VALUES (?, 'cycles', ?, ?, ?, ?, ?)";
            let row = params![id, whole(after + 1), whole(before - after - 1), whole(after), whole(before), HOLE];
            transaction.prepare_cached(sql)?.execute(row)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::{Reader, TrackKind, verify};

    const SECOND_NS: u64 = 1_000_000_000;
    const BEGIN_NS: u64 = 20_000 * 86_400 * SECOND_NS - 7_200 * SECOND_NS;

    fn track(name: &str, values: &[(u64, f64, u32)]) -> OldTrack {
        let name = TrackName { kind: TrackKind::Tag, name: name.into(), unit: "m".into() };
        let old = |&(unix_ns, value, state): &(u64, f64, u32)| Old { unix_ns, value, state, age_us: 0 };
        OldTrack { name, values: values.iter().map(old).collect() }
    }

    fn bring(history: &Path, tracks: &[OldTrack]) -> Result<Option<Brought>, StoreError> {
        let turn = Turn::take(history)?;
        Store::open(history)?.bring(&turn, ("works", "ph"), tracks, &mut |_| {})
    }

    fn found(history: &Path, name: &str) -> Vec<(u64, f64, u32)> {
        let reader = Reader::open(history).unwrap();
        let tracks = reader.tracks(Some(name)).unwrap();
        let mut all = Vec::new();
        for track in &tracks {
            let points = reader.between(track, 0, u64::MAX >> 1).unwrap();
            all.extend(points.iter().map(|timed| (timed.unix_ns, timed.point.value, timed.point.state)));
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn every_value_comes_back_with_its_time_to_the_nanosecond_and_once(
            steps in prop::collection::vec((1u64..40_000, 1u64..3, 0u32..3), 1..60), scale in prop::sample::select(vec![1u64, 7, SECOND_NS]),
        ) {
            let directory = tempfile::tempdir().unwrap();
            let mut unix_ns = BEGIN_NS;
            let values: Vec<_> = steps.iter().map(|(step, times, state)| {
                unix_ns += step * times * scale;
                (unix_ns, f64::from(*state) / 8.0, *state)
            }).collect();
            let tracks = [track("level", &values), track("flow", &values[..1])];
            let brought = bring(directory.path(), &tracks).unwrap().unwrap();
            prop_assert_eq!(brought.points as usize, values.len() + 1);
            prop_assert_eq!(bring(directory.path(), &tracks).unwrap(), None);
            prop_assert_eq!(found(directory.path(), "level"), values);
            prop_assert_eq!(verify(directory.path()).unwrap().findings, vec![]);
        }
    }

    #[test]
    fn a_day_that_is_sealed_gets_one_more_file_and_sealing_goes_on_beside_what_was_brought() {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, run, tracks) = crate::store::histories::empty(directory.path());
        let day = Day::of(BEGIN_NS);
        let commit = |at: u64| crate::Commit {
            cycle_records: at..at + 1,
            points: vec![(tracks[0], Point::new(at, 1.0, 0))],
            clock: (at == 0).then_some((0, BEGIN_NS)),
            ..crate::Commit::default()
        };
        bring(directory.path(), &[track("old", &[(BEGIN_NS + 5, 2.0, 0)])]).unwrap().unwrap();
        store.commit(run, &commit(0)).unwrap();
        store.seal(day).unwrap();
        assert!(directory.path().join(format!("site=works/date={day}/samples-0.parquet")).exists());
        bring(directory.path(), &[track("other", &[(BEGIN_NS + 5, 3.0, 0)])]).unwrap().unwrap();
        store.commit(run, &commit(1)).unwrap();
        store.seal(day).unwrap();
        assert_eq!(found(directory.path(), "old"), [(BEGIN_NS + 5, 2.0, 0)]);
        assert_eq!(found(directory.path(), "level").len(), 2);
        assert_eq!(verify(directory.path()).unwrap().findings, []);
    }

    #[test]
    fn what_is_taken_back_was_never_there_and_may_come_again_and_what_was_live_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, run, tracks) = crate::store::histories::empty(directory.path());
        let commit = crate::Commit {
            cycle_records: 0..1,
            points: vec![(tracks[0], Point::new(0, 1.0, 0))],
            clock: Some((0, BEGIN_NS)),
            last_cycle: Some(0),
            ..crate::Commit::default()
        };
        store.commit(run, &commit).unwrap();
        let before = crate::store::histories::everything(directory.path());
        let old = [track("old", &[(BEGIN_NS, 2.0, 0), (BEGIN_NS + 8_000 * SECOND_NS, 3.0, 0)])];
        let brought = bring(directory.path(), &old).unwrap().unwrap();
        let turn = Turn::take(directory.path()).unwrap();
        assert!(!store.take_back(&turn, ("works", "ph"), 7).unwrap(), "it was kept live");
        assert!(!store.take_back(&turn, ("works", "other"), brought.run).unwrap());
        assert!(store.take_back(&turn, ("works", "ph"), brought.run).unwrap());
        assert!(!store.take_back(&turn, ("works", "ph"), brought.run).unwrap());
        drop(turn);
        assert_eq!(crate::store::histories::everything(directory.path()), before);
        assert_eq!(verify(directory.path()).unwrap().findings, []);
        assert_eq!(bring(directory.path(), &old).unwrap(), Some(brought));
    }

    #[test]
    fn minutes_know_nothing_of_where_the_records_have_nothing_and_that_is_a_gap() {
        let directory = tempfile::tempdir().unwrap();
        let at = |minutes: u64| BEGIN_NS + minutes * 60 * SECOND_NS;
        bring(directory.path(), &[track("level", &[(at(0), 1.0, 0), (at(1), 3.0, 0), (at(90), 5.0, 0)])]).unwrap();
        let reader = Reader::open(directory.path()).unwrap();
        let [level] = &reader.tracks(None).unwrap()[..] else { panic!("one track") };
        let minutes = reader.buckets(level, 0, u64::MAX >> 1, Duration::from_secs(60)).unwrap();
        let told: Vec<_> =
            minutes.iter().map(|of| ((of.unix_ns - BEGIN_NS) / 60 / SECOND_NS, of.mean, of.count)).collect();
        assert_eq!(told[..3], [(0, 1.0, 1), (1, 3.0, 1), (2, 3.0, 0)]);
        assert_eq!((told.len(), told[3].0, told[3].2), (4, 90, 1));
        let gaps = reader.gaps(0, u64::MAX).unwrap();
        assert_eq!((gaps.len(), gaps[0].1), (1, Some(at(3))));
    }

    #[test]
    fn what_fails_leaves_nothing_and_only_one_brings_something_in_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let tracks =
            [track("level", &[(BEGIN_NS, 1.0, 0)]), track("level", &[(BEGIN_NS + 9 * 3_600 * SECOND_NS, 2.0, 0)])];
        let turn = Turn::take(directory.path()).unwrap();
        assert!(matches!(bring(directory.path(), &tracks), Err(StoreError::Taken)));
        drop(turn);
        // The second day cannot be written: a file is where its directory should be.
        let day = Day::of(BEGIN_NS + 9 * 3_600 * SECOND_NS);
        let obstacle = directory.path().join(format!("site=works/date={day}"));
        fs::create_dir_all(obstacle.parent().unwrap()).unwrap();
        fs::write(&obstacle, "").unwrap();
        bring(directory.path(), &tracks).unwrap_err();
        fs::remove_file(&obstacle).unwrap();
        assert_eq!(Reader::open(directory.path()).unwrap().runs().unwrap(), []);
        assert_eq!(verify(directory.path()).unwrap().findings, []);
        bring(directory.path(), &tracks[..1]).unwrap().unwrap();
    }
}

//! What must be so when bits have changed, files are gone, or a program died between two of its acts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;

use super::histories::{BEGIN_NS, SECOND_NS, empty, everything, infos};
use super::*;
use crate::{Class, Commit, Day, Event, Gap, Limit, Missing, Retention, verify};

const DAY_S: u64 = 86_400;

/// An hour before midnight.
pub(super) fn day() -> Day {
    Day::of(BEGIN_NS)
}

/// Three days with a point every 100 s, and an event and a gap on each; the last hours are in the journal.
pub(super) fn kept(directory: &Path) -> Store {
    let (mut store, run, tracks) = empty(directory);
    let mut next = 0;
    for (number, end) in [3_000, 80_000, 176_000, 180_000].into_iter().enumerate() {
        let points = (next..end).step_by(100).flat_map(|cycle| tracks.iter().map(move |track| (*track, cycle)));
        let points =
            points.map(|(track, cycle)| (track, Point { age_us: 5, ..Point::new(cycle, cycle as f64 / 8.0, 0) }));
        let event = Event {
            number: number as u64,
            cycle: next,
            unix_ns: BEGIN_NS + next * SECOND_NS,
            kind: "trip".into(),
            cause: 1,
            uid: None,
            a: 2,
            b: 3,
            text: "overruns".into(),
        };
        let (after_cycle, why) = (next.checked_sub(1), "late".to_owned());
        let gap = Gap { what: Missing::Cycles, first: next, count: 0, after_cycle, before_cycle: Some(next), why };
        let commit = Commit {
            cycle_records: next..end,
            events_read: number as u64..number as u64 + 1,
            last_cycle: end.checked_sub(1),
            points: points.collect(),
            events: vec![event],
            gaps: vec![gap],
            clock: (next == 0).then_some((0, BEGIN_NS)),
        };
        store.commit(run, &commit).unwrap();
        if end < 180_000 {
            store.compact(run).unwrap();
        }
        next = end;
    }
    store
}

fn sealed(directory: &Path, class: &str, day: Day) -> PathBuf {
    directory.join(format!("site=works/date={day}/{class}-0.parquet"))
}

#[test]
fn a_program_that_dies_while_it_seals_has_lost_nothing_and_doubled_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = kept(directory.path());
    let before = everything(directory.path());
    let place = sealed(directory.path(), "samples", day());
    // While the file was written.
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(place.with_added_extension("part"), "half").unwrap();
    assert_eq!(everything(directory.path()), before);
    // When it was at its place, and not in the catalogue.
    let (run, ..) = empty_run(&mut store);
    store.compact(run).unwrap();
    assert!(store.write("works", day(), Class::Samples).unwrap().is_some());
    assert!(place.exists());
    assert_eq!(everything(directory.path()), before);
    let findings = verify(directory.path()).unwrap().findings;
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].what.contains("the next time completes it"), "{findings:?}");
    // In the transaction.
    let ready = store.write("works", day(), Class::Samples).unwrap().unwrap();
    let other = rusqlite::Connection::open(directory.path().join(HOT)).unwrap();
    other.execute("CREATE TRIGGER dies BEFORE DELETE ON block BEGIN SELECT raise(ABORT, 'dies'); END", []).unwrap();
    assert!(ready.note(super::write::begin(&mut store.connection).unwrap()).is_err());
    assert_eq!(everything(directory.path()), before);
    other.execute("DROP TRIGGER dies", []).unwrap();
    // And the next one completes it.
    let done = store.seal(day()).unwrap();
    assert_eq!((done.samples, done.events, done.gaps), (72, 2, 2));
    assert_eq!(everything(directory.path()), before);
    assert_eq!(verify(directory.path()).unwrap().findings, []);
    assert_eq!(store.seal(day()).unwrap(), crate::Sealed::default());
}

/// The run of [`kept`].
fn empty_run(store: &mut Store) -> (RunId, u64) {
    store
        .connection
        .query_row("SELECT id, next_event FROM run", [], |row| {
            Ok((RunId(row.get(0)?), row.get::<_, i64>(1)?.cast_unsigned()))
        })
        .unwrap()
}

#[test]
fn a_sealed_file_that_is_gone_or_cut_is_told_by_name_and_never_read_as_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = kept(directory.path());
    store.seal(day()).unwrap();
    let (reader, tracks) = infos(directory.path());
    let place = sealed(directory.path(), "samples", day());
    let whole = fs::read(&place).unwrap();
    fs::write(&place, &whole[..whole.len() - 1]).unwrap();
    let cut = reader.between(&tracks[0], 0, u64::MAX).unwrap_err();
    assert!(matches!(&cut, StoreError::Sealed { path, .. } if *path == place), "{cut}");
    assert!(verify(directory.path()).unwrap().findings[0].what.contains("were written"));
    fs::remove_file(&place).unwrap();
    assert!(matches!(reader.between(&tracks[0], 0, u64::MAX), Err(StoreError::Sealed { .. })));
    // Other days do not need it.
    assert_eq!(reader.between(&tracks[0], day().last_ns() + 1, u64::MAX).unwrap().len(), 1764);
    let findings = verify(directory.path()).unwrap().findings;
    assert!(findings.len() == 1 && findings[0].what.contains("cannot be read"), "{findings:?}");
}

#[test]
fn what_is_old_or_too_much_goes_by_whole_days_and_that_it_was_there_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = kept(directory.path());
    let days = [day(), Day::of(day().last_ns() + 1), Day::of(day().last_ns() + 1 + DAY_S * SECOND_NS)];
    days[..2].iter().for_each(|day| _ = store.seal(*day).unwrap());
    let now_ns = days[2].first_ns() + 3 * 3600 * SECOND_NS;
    let day_of_age = Limit { age: Some(Duration::from_secs(DAY_S)), bytes: None };
    let (reader, tracks) = infos(directory.path());
    let minutes = |reader: &Reader| reader.buckets(&tracks[0], 0, u64::MAX, Duration::from_secs(60)).unwrap().len();
    let (all_minutes, width) = (minutes(&reader), Duration::from_secs(3600));
    assert_eq!(store.purge(&Retention::default(), now_ns).unwrap(), []);
    let mut gone = store.purge(&Retention { samples: day_of_age, ..Retention::default() }, now_ns).unwrap();
    gone.sort_by(|a, b| a.what.cmp(&b.what));
    assert_eq!(gone.iter().map(|gone| gone.what.as_str()).collect::<Vec<_>>(), ["gaps", "samples"]);
    assert!(
        !sealed(directory.path(), "samples", days[0]).exists() && sealed(directory.path(), "events", days[0]).exists()
    );
    assert!(reader.between(&tracks[0], 0, days[0].last_ns()).unwrap().is_empty());
    assert_eq!(reader.purged(0, days[0].last_ns()).unwrap(), gone);
    assert!(reader.purged(days[1].first_ns(), u64::MAX).unwrap().is_empty());
    assert_eq!(minutes(&reader), all_minutes);
    let none = Limit { age: None, bytes: Some(0) };
    let gone = store.purge(&Retention { minutes: none, events: none, ..Retention::default() }, now_ns).unwrap();
    assert_eq!(
        gone.iter().map(|gone| (gone.what.as_str(), gone.rows)).collect::<Vec<_>>(),
        [("events", 2), ("events", 1), ("minutes", 2), ("minutes", 2)]
    );
    assert!(minutes(&reader) < all_minutes);
    assert_eq!(reader.buckets(&tracks[0], 0, u64::MAX, width).unwrap().len(), 50);
    assert_eq!(verify(directory.path()).unwrap().findings, []);
}

#[test]
fn a_purged_file_that_a_crash_has_left_is_deleted_the_next_time() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = kept(directory.path());
    store.seal(day()).unwrap();
    let place = sealed(directory.path(), "events", day());
    let bytes = fs::read(&place).unwrap();
    let retention = Retention { events: Limit { age: None, bytes: Some(0) }, ..Retention::default() };
    store.purge(&retention, u64::MAX >> 1).unwrap();
    fs::write(&place, bytes).unwrap();
    let path = place.strip_prefix(directory.path()).unwrap().to_str().unwrap();
    store.connection.execute("UPDATE purged SET path = ?", [path]).unwrap();
    assert_eq!(verify(directory.path()).unwrap().findings.len(), 1);
    store.purge(&Retention::default(), 0).unwrap();
    assert!(!place.exists());
    assert_eq!(verify(directory.path()).unwrap().findings, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_bit_that_changes_in_anything_that_is_kept_is_found(
        which in 0usize..7, row: prop::sample::Index, at: prop::sample::Index, bit in 0u8..8,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let mut store = kept(directory.path());
        let (run, tags) = (empty_run(&mut store).0, [("block", "id", "bytes"), ("journal", "id", "points"), ("rollup", "id", "bytes"), ("rolling", "track", "bytes")]);
        // Sealing compacts the journal: so one more commit comes behind it.
        store.seal(day()).unwrap();
        let (_, tracks) = infos(directory.path());
        let points = vec![(tracks[0].id, Point::new(180_001, 1.0, 0))];
        store.commit(run, &Commit { cycle_records: 180_000..180_002, events_read: 4..4, points, ..Commit::default() }).unwrap();
        prop_assert_eq!(verify(directory.path()).unwrap().findings, []);
        if let Some((table, id, bytes)) = tags.get(which) {
            let ids = format!("SELECT {id}, {bytes} FROM {table}");
            let rows: Vec<(i64, Vec<u8>)> = store.connection.prepare(&ids).unwrap()
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap();
            let (number, mut changed) = rows[row.index(rows.len())].clone();
            let at = at.index(changed.len());
            changed[at] ^= 1 << bit;
            let other = rusqlite::Connection::open(directory.path().join(HOT)).unwrap();
            other.execute(&format!("UPDATE {table} SET {bytes} = ? WHERE {id} = ?"), params![changed, number]).unwrap();
            let findings = verify(directory.path()).unwrap().findings;
            let place = format!("hot.sqlite, {table}, row {number}");
            prop_assert!(findings.iter().any(|finding| finding.place == place), "{:?}", findings);
            prop_assert!(findings.iter().all(|finding| finding.place.contains(table)), "{:?}", findings);
        } else {
            let place = sealed(directory.path(), ["samples", "events", "gaps"][which - tags.len()], day());
            let mut changed = fs::read(&place).unwrap();
            let at = at.index(changed.len());
            changed[at] ^= 1 << bit;
            fs::write(&place, changed).unwrap();
            let findings = verify(directory.path()).unwrap().findings;
            prop_assert_eq!(findings.len(), 1);
            prop_assert!(place.ends_with(&findings[0].place), "{:?}", findings);
        }
    }
}

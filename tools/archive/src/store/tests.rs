use super::*;
use crate::{Event, Gap, Missing, Point, Run, TrackKind, TrackName};

fn run(number: u64) -> Run {
    Run { site: "works".into(), agent: "ph".into(), instance: "main".into(), number, period_ns: 1_000_000 }
}

fn names() -> Vec<TrackName> {
    let tag = |name: &str| TrackName { kind: TrackKind::Tag, name: name.into(), unit: "m".into() };
    vec![tag("level"), tag("flow")]
}

fn point(cycle: u64) -> Point {
    Point { age_us: 5, source_us: 7 * cycle, ..Point::new(cycle, cycle as f64 / 8.0, 0) }
}

#[test]
fn what_was_committed_is_read_in_order_from_journal_and_blocks_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let mut store = Store::open(&path).unwrap();
    let kept = store.run(&run(u64::MAX)).unwrap();
    let tracks = store.tracks(kept.run, &names()).unwrap();
    let commit = |cycles: std::ops::Range<u64>| Commit {
        points: cycles.clone().flat_map(|cycle| tracks.iter().map(move |track| (*track, point(cycle)))).collect(),
        cycle_records: cycles,
        ..Commit::default()
    };
    store.commit(kept.run, &commit(0..10)).unwrap();
    assert_eq!(store.compact(kept.run).unwrap(), 20);
    store.commit(kept.run, &commit(10..15)).unwrap();
    assert_eq!(store.newest(kept.run, tracks[1]).unwrap(), Some(point(14)));
    let again = store.commit(kept.run, &commit(10..15)).unwrap_err();
    assert!(matches!(again, StoreError::OutOfOrder { what: "cycle", given: 10, next: 15 }), "{again}");

    let reader = Reader::open(&path).unwrap();
    let cycles = |from, to| -> Vec<u64> {
        reader.points(kept.run, tracks[0], from..=to).unwrap().iter().map(|point| point.cycle).collect()
    };
    assert_eq!(cycles(0, u64::MAX >> 1), (0..15).collect::<Vec<_>>());
    assert_eq!(cycles(8, 11), [8, 9, 10, 11]);
    drop(store);
    let mut store = Store::open(&path).unwrap();
    assert_eq!(store.run(&run(u64::MAX)).unwrap(), Kept { next_cycle_record: 15, ..kept });
    assert_eq!(store.tracks(kept.run, &names()).unwrap(), tracks);
    assert_ne!(store.run(&run(7)).unwrap().run, kept.run);
}

#[test]
fn a_commit_that_cannot_be_kept_whole_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = Store::open(directory.path()).unwrap();
    let kept = store.run(&run(1)).unwrap();
    let event = Event {
        number: 0,
        cycle: 1,
        unix_ns: 2,
        kind: "trip".into(),
        cause: 3,
        uid: None,
        a: u64::MAX,
        b: 0,
        text: "overruns".into(),
    };
    let gap =
        Gap { what: Missing::Cycles, first: 0, count: 3, after_cycle: None, before_cycle: Some(4), why: "late".into() };
    let twice = Commit {
        cycle_records: 0..3,
        events: vec![event.clone(), event.clone()],
        gaps: vec![gap.clone()],
        ..Commit::default()
    };
    assert!(matches!(store.commit(kept.run, &twice), Err(StoreError::Sqlite(_))));
    assert_eq!(store.run(&run(1)).unwrap().next_cycle_record, 0);
    let once = Commit { events: vec![event], ..twice };
    store.commit(kept.run, &once).unwrap();
    assert_eq!(store.run(&run(1)).unwrap().next_cycle_record, 3);
}

#[test]
fn other_files_are_refused_and_damage_is_told_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    rusqlite::Connection::open(path.join(HOT)).unwrap().execute("CREATE TABLE other (a)", []).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Foreign)));
    assert!(matches!(Reader::open(&path), Err(StoreError::Foreign)));
    let path = directory.path().join("new");
    let mut store = Store::open(&path).unwrap();
    let kept = store.run(&run(1)).unwrap();
    let tracks = store.tracks(kept.run, &names()).unwrap();
    store
        .commit(kept.run, &Commit { cycle_records: 0..1, points: vec![(tracks[0], point(1))], ..Commit::default() })
        .unwrap();
    let other = rusqlite::Connection::open(path.join(HOT)).unwrap();
    other
        .execute("UPDATE journal SET points = CAST(substr(points, 1, 10) || x'00' || substr(points, 12) AS BLOB)", [])
        .unwrap();
    assert!(matches!(store.compact(kept.run), Err(StoreError::Damaged { table: "journal", row: 1 })));
    let read = Reader::open(&path).unwrap().points(kept.run, tracks[0], 0..=5);
    assert!(matches!(read, Err(StoreError::Damaged { table: "journal", row: 1 })));
    other.pragma_update(None, "user_version", VERSION + 1).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::TooNew(_))));
}

#[test]
fn points_are_found_by_time_across_a_clock_that_was_set() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    let mut store = Store::open(&path).unwrap();
    let kept = store.run(&run(1)).unwrap();
    let tracks = store.tracks(kept.run, &names()).unwrap();
    let mut commit = |cycles: std::ops::Range<u64>, unix_ns| {
        let points = cycles.clone().map(|cycle| (tracks[0], point(cycle))).collect();
        let clock = Some((cycles.start, unix_ns));
        store.commit(kept.run, &Commit { points, clock, cycle_records: cycles, ..Commit::default() }).unwrap();
    };
    commit(0..10, 1_000_000_000);
    // An hour back, and from there a millisecond each.
    commit(10..20, 500_000_000);
    let reader = Reader::open(&path).unwrap();
    let [track] = &reader.tracks(Some("level")).unwrap()[..] else { panic!("one track of this name") };
    assert_eq!((track.agent.as_str(), track.name.kind), ("works/ph", TrackKind::Tag));
    let found = |from, to| -> Vec<(u64, u64)> {
        reader.between(track, from, to).unwrap().iter().map(|of| (of.unix_ns, of.point.cycle)).collect()
    };
    assert_eq!(found(1_003_000_000, 1_004_999_999), [(1_003_000_000, 3), (1_004_000_000, 4)]);
    assert_eq!(found(0, 501_000_000), [(500_000_000, 10), (501_000_000, 11)]);
    assert_eq!(found(0, u64::MAX).len(), 20);
    assert!(found(600_000_000, 900_000_000).is_empty());
}

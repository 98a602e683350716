//! Histories that nobody has thought of, and what must be so of each.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{Bucket, Commit, Day, Event, Gap, Missing, Run, TrackInfo, TrackKind, TrackName};

pub(super) const SECOND_NS: u64 = 1_000_000_000;
/// A whole day, some hours before midnight.
pub(super) const BEGIN_NS: u64 = 20_000 * 86_400 * SECOND_NS + 82_800 * SECOND_NS;

/// What comes between two looks at a runtime that has a cycle every second.
#[derive(Clone, Debug)]
pub(super) struct Step {
    /// So many cycles went by.
    cycles: u64,
    /// They are missing.
    is_lost: bool,
    /// The clock is set by so many seconds.
    clock_s: i64,
    /// Of each track: at which cycle a point is kept, its value and its state.
    points: Vec<(u8, u64, f64, u32)>,
    /// The journal is compacted behind it.
    pub(super) compacts: bool,
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let value = prop_oneof![4 => (-40i32..40).prop_map(|n| f64::from(n) / 8.0), 1 => Just(f64::NAN)];
    let point = (0u8..2, 0u64..2000, value, 0u32..2);
    let clock = prop_oneof![6 => Just(0i64), 1 => -4000i64..4000];
    let points = prop::collection::vec(point, 0..12);
    let step = (1u64..2000, prop::bool::weighted(0.1), clock, points, any::<bool>());
    let step = step.prop_map(|(cycles, is_lost, clock_s, points, compacts)| Step {
        cycles,
        is_lost,
        clock_s,
        points: if is_lost { Vec::new() } else { points },
        compacts,
    });
    prop::collection::vec(step, 1..12)
}

/// A history as the archive gets it.
pub(super) struct Told {
    pub(super) commits: Vec<(Commit, bool)>,
    /// When each cycle was, and whether it is missing.
    cycles: BTreeMap<u64, (u64, bool)>,
}

/// The commits of a history, for the tracks of these numbers.
pub(super) fn told(steps: &[Step], tracks: &[TrackId]) -> Told {
    let mut told = Told { commits: Vec::new(), cycles: BTreeMap::new() };
    let (mut cycle, mut unix_ns) = (100, BEGIN_NS);
    let mut clock_was_set = true;
    let mut gap_begins = None;
    for step in steps {
        unix_ns = unix_ns.saturating_add_signed(step.clock_s * SECOND_NS as i64);
        clock_was_set |= step.clock_s != 0;
        let first = cycle;
        for _ in 0..step.cycles {
            told.cycles.insert(cycle, (unix_ns, step.is_lost));
            (cycle, unix_ns) = (cycle + 1, unix_ns + SECOND_NS);
        }
        if step.is_lost {
            gap_begins.get_or_insert(first);
            continue;
        }
        let points: BTreeMap<(u64, u8), Point> = step
            .points
            .iter()
            .map(|&(track, at, value, state)| {
                let at = first + at % step.cycles;
                ((at, track), Point { age_us: 7, source_us: at % 5 * 1_000_003, ..Point::new(at, value, state) })
            })
            .collect();
        let mut commit = Commit { cycle_records: gap_begins.unwrap_or(first)..cycle, ..Commit::default() };
        commit.points = points.into_iter().map(|((_, track), point)| (tracks[usize::from(track)], point)).collect();
        if let Some(begin) = gap_begins.take() {
            let why = "late".to_owned();
            let after_cycle = begin.checked_sub(1).filter(|_| begin > 100);
            commit.gaps.push(Gap {
                what: Missing::Cycles,
                first: begin,
                count: first - begin,
                after_cycle,
                before_cycle: Some(first),
                why,
            });
        }
        if std::mem::take(&mut clock_was_set) {
            commit.clock = Some((first, told.cycles[&first].0));
        }
        told.commits.push((commit, step.compacts));
    }
    told
}

/// An archive with two tracks and nothing else.
pub(super) fn empty(directory: &Path) -> (Store, RunId, Vec<TrackId>) {
    let mut store = Store::open(directory).unwrap();
    let run =
        Run { site: "works".into(), agent: "ph".into(), instance: "main".into(), number: 7, period_ns: SECOND_NS };
    let run = store.run(&run).unwrap().run;
    let name = |kind, name: &str| TrackName { kind, name: name.into(), unit: "m".into() };
    let tracks = store.tracks(run, &[name(TrackKind::Tag, "level"), name(TrackKind::Sent, "feed")]).unwrap();
    (store, run, tracks)
}

/// Keeps a history; `compacts` says whether the journal is compacted where the history says so.
pub(super) fn keep(store: &mut Store, run: RunId, told: &Told, compacts: bool) {
    for (number, (commit, is_end)) in told.commits.iter().enumerate() {
        let mut commit = commit.clone();
        // Whoever begins has nothing before.
        if number == 0 {
            commit.cycle_records.start = 0;
        }
        store.commit(run, &commit).unwrap();
        if compacts && *is_end {
            store.compact(run).unwrap();
        }
    }
}

pub(super) fn infos(directory: &Path) -> (Reader, Vec<TrackInfo>) {
    let reader = Reader::open(directory).unwrap();
    let tracks = reader.tracks(None).unwrap();
    (reader, tracks)
}

/// To be compared: not a number is like itself.
fn shown(buckets: &[Bucket]) -> Vec<String> {
    buckets.iter().map(|bucket| format!("{bucket:?}")).collect()
}

/// What a track was like, second by second.
fn by_seconds(told: &Told, track: TrackId, kind: TrackKind, width_ns: u64) -> BTreeMap<u64, Bucket> {
    let points: BTreeMap<u64, Point> = told
        .commits
        .iter()
        .flat_map(|(commit, _)| &commit.points)
        .filter(|(of, _)| *of == track)
        .map(|(_, point)| (point.cycle, *point))
        .collect();
    let newest = told.commits.iter().flat_map(|(commit, _)| &commit.points).map(|(_, point)| point.cycle).max();
    let mut held: Option<Point> = None;
    let mut sums: BTreeMap<u64, (Bucket, f64)> = BTreeMap::new();
    for (&cycle, &(unix_ns, is_lost)) in told.cycles.range(..=newest.unwrap_or(0)) {
        let point = points.get(&cycle);
        held = if is_lost { None } else { point.copied().or(held) };
        let Some(Point { value, state, .. }) = held else { continue };
        // The newest cycle has no length yet.
        let known_ns = if Some(cycle) == newest { 0 } else { SECOND_NS };
        if known_ns == 0 && point.is_none() {
            continue;
        }
        let begin = unix_ns - unix_ns % width_ns;
        let empty = Bucket {
            unix_ns: begin,
            count: 0,
            known_ns: 0,
            valued_ns: 0,
            good_ns: 0,
            mean: 0.0,
            min: f64::NAN,
            max: f64::NAN,
            last: 0.0,
        };
        let (bucket, sum) = sums.entry(begin).or_insert((empty, 0.0));
        bucket.count += u64::from(point.is_some());
        bucket.known_ns += known_ns;
        bucket.min = bucket.min.min(value);
        bucket.max = bucket.max.max(value);
        bucket.last = value;
        if !value.is_nan() {
            bucket.valued_ns += known_ns;
            *sum += value * (known_ns / SECOND_NS) as f64;
            bucket.good_ns += if kind != TrackKind::Tag || state == 0 { known_ns } else { 0 };
        }
    }
    let mean = |(bucket, sum): (Bucket, f64)| Bucket { mean: sum / (bucket.valued_ns / SECOND_NS) as f64, ..bucket };
    sums.into_iter().map(|(begin, parts)| (begin, mean(parts))).collect()
}

/// Everything that a reader says of an archive, to be compared.
pub(super) fn everything(directory: &Path) -> String {
    let (reader, tracks) = infos(directory);
    let mut all = format!("{tracks:?}");
    for track in &tracks {
        all += &format!("{:?}", reader.between(track, 0, u64::MAX >> 1).unwrap());
        all += &format!(
            "{:?}",
            reader.between(track, BEGIN_NS + 3_000 * SECOND_NS, BEGIN_NS + 5_000 * SECOND_NS).unwrap()
        );
        for width in [7, 60, 3600] {
            all += &format!("{:?}", reader.buckets(track, 0, u64::MAX >> 1, Duration::from_secs(width)).unwrap());
        }
    }
    all += &format!("{:?}", reader.events(0, u64::MAX).unwrap());
    all + &format!("{:?}", reader.gaps(0, u64::MAX).unwrap())
}

/// A history of hours, in which something happens with every commit.
fn eventful(steps: &[Step], tracks: &[TrackId]) -> Told {
    let mut told = told(steps, tracks);
    for (number, (commit, _)) in told.commits.iter_mut().enumerate() {
        let unix_ns = BEGIN_NS + number as u64 * 1_700 * SECOND_NS;
        let event = |at: u64| Event {
            number: 2 * number as u64 + at,
            cycle: 100,
            unix_ns,
            kind: "trip".into(),
            cause: 3,
            uid: None,
            a: u64::MAX,
            b: at,
            text: String::new(),
        };
        commit.events = vec![event(0), Event { uid: Some(1000), text: "Ä, \"b\"".into(), ..event(1) }];
        commit.events_read = 2 * number as u64..2 * number as u64 + 2;
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_sealed_is_read_as_if_it_were_hot_and_so_is_what_comes_later(
        steps in steps(), later in steps(), order in prop::collection::vec(0usize..4, 1..5),
    ) {
        let [hot, sealed] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let steps: Vec<_> = steps.into_iter().chain(later).collect();
        let (mut plain, run, tracks) = empty(hot.path());
        let (mut store, ..) = empty(sealed.path());
        let told = eventful(&steps, &tracks);
        let half = told.commits.len() / 2;
        for (number, (commit, _)) in told.commits.iter().enumerate() {
            let mut commit = commit.clone();
            if number == 0 {
                commit.cycle_records.start = 0;
            }
            plain.commit(run, &commit).unwrap();
            store.commit(run, &commit).unwrap();
            if number == half {
                store.seal(Day::of(BEGIN_NS)).unwrap();
                prop_assert_eq!(everything(sealed.path()), everything(hot.path()));
            }
        }
        for day in order {
            store.seal(Day::of(BEGIN_NS + (day as u64) * 86_400 * SECOND_NS)).unwrap();
        }
        prop_assert_eq!(everything(sealed.path()), everything(hot.path()));
        for day in 0..4 {
            store.seal(Day::of(BEGIN_NS + day * 86_400 * SECOND_NS)).unwrap();
        }
        prop_assert_eq!(everything(sealed.path()), everything(hot.path()));
        let left: i64 = store.connection.query_row("SELECT count(*) FROM block", [], |row| row.get(0)).unwrap();
        prop_assert_eq!(left, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn minutes_and_hours_are_the_same_however_often_the_journal_was_compacted(steps in steps()) {
        let [once, often] = [false, true].map(|compacts| {
            let directory = tempfile::tempdir().unwrap();
            let (mut store, run, tracks) = empty(directory.path());
            keep(&mut store, run, &told(&steps, &tracks), compacts);
            (directory, tracks)
        });
        let (one, infos_of_one) = infos(once.0.path());
        let (other, _) = infos(often.0.path());
        let told = told(&steps, &once.1);
        for (track, seconds) in infos_of_one.iter().flat_map(|track| [60, 3600, 600, 7200].map(|width| (track, width))) {
            let of = |reader: &Reader| reader.buckets(track, 0, u64::MAX >> 1, Duration::from_secs(seconds)).unwrap();
            let found = of(&one);
            prop_assert_eq!(shown(&found), shown(&of(&other)));
            let expected = by_seconds(&told, track.id, track.name.kind, seconds * SECOND_NS);
            prop_assert_eq!(found.len(), expected.len());
            for (found, expected) in found.iter().zip(expected.values()) {
                let near = found.mean.is_nan() && expected.mean.is_nan() || (found.mean - expected.mean).abs() < 1e-9
                    || expected.valued_ns == 0;
                prop_assert!(near, "{:?} {:?}", found, expected);
                prop_assert_eq!(format!("{:?}", Bucket { mean: 0.0, ..*found }), format!("{:?}", Bucket { mean: 0.0, ..*expected }));
            }
        }
    }

    #[test]
    fn widths_that_are_not_kept_are_computed_from_points_alike(steps in steps()) {
        let directory = tempfile::tempdir().unwrap();
        let (mut store, run, tracks) = empty(directory.path());
        let told = told(&steps, &tracks);
        keep(&mut store, run, &told, true);
        let (reader, tracks) = infos(directory.path());
        for track in &tracks {
            let width_ns = 7 * SECOND_NS;
            let found = reader.buckets(track, 0, u64::MAX >> 1, Duration::from_secs(7)).unwrap();
            let expected = by_seconds(&told, track.id, track.name.kind, width_ns);
            // Across a clock that was set nothing is held where points are read by time.
            if told.commits.iter().filter(|(commit, _)| commit.clock.is_some()).count() == 1 {
                let mine: Vec<_> = found.iter().map(|bucket| (bucket.unix_ns, bucket.count, bucket.known_ns)).collect();
                let theirs: Vec<_> = expected.values().map(|bucket| (bucket.unix_ns, bucket.count, bucket.known_ns)).collect();
                prop_assert_eq!(mine, theirs);
            }
        }
    }
}

//! Whoever asks a historian is told the same, whether it keeps in files or in a database.

mod rolled;
mod server;

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use archive::{
    Bucket, Commit, Event, Gap, Limit, Missing, Point, Retention, Run, RunId, Store, TrackId, TrackInfo, TrackKind,
    TrackName,
};
use historian::{Board, Desk, Keeper, Kept, KeptFor, Postgres};
use postgres::Client;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use recall::{Asked, Host as _, Past, Refusal, Source};
use rolled::is_rolled;
use server::{Server, wait_for};

/// No multiple of what a database's times are multiples of.
const PERIOD_NS: u64 = 1_000_000_007;
const BEGIN_NS: u64 = 1_700_000_000_000_000_123;

/// Histories that are compared.
const CASES: u32 = 6;

/// Widths that need no points, seconds.
const KEPT_S: [u64; 4] = [60, 180, 3600, 86_400];

/// What lies between two gaps of a run.
#[derive(Clone, Debug)]
struct Stretch {
    cycles: u64,
    /// Every so many cycles there is a point.
    every: u64,
    /// So many cycles are missing before it.
    missing: u64,
    /// And the clock is set by so many seconds.
    clock_s: i64,
}

fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
    let clock = prop_oneof![3 => Just(0i64), 1 => -900i64..900];
    let stretch = (2u64..2500, 1u64..40, 0u64..700, clock);
    let stretch = stretch.prop_map(|(cycles, every, missing, clock_s)| Stretch { cycles, every, missing, clock_s });
    prop::collection::vec(stretch, 1..5)
}

/// The same minutes come twice, and what was held last is what was held in their second part.
fn set_back() -> Vec<Stretch> {
    let stretch = |cycles, clock_s| Stretch { cycles, every: 27, missing: 374, clock_s };
    vec![stretch(167, 0), stretch(2403, 0), stretch(402, -829), stretch(1169, 0)]
}

/// Two runs of a site as one keeper knows them.
struct Site(Vec<Begun>);

struct Begun {
    run: RunId,
    tracks: Vec<TrackId>,
    stretches: u64,
    /// The next record, and its time.
    next: (u64, u64),
}

impl Site {
    fn begin(keeper: &mut dyn Keeper, site: &str) -> Self {
        let name = |kind, name: &str| TrackName { kind, name: name.into(), unit: "m".into() };
        let begun = |number| {
            let run =
                Run { site: site.into(), agent: "ph".into(), instance: "main".into(), number, period_ns: PERIOD_NS };
            let run = keeper.run(&run).unwrap().run;
            let tracks = keeper.tracks(run, &[name(TrackKind::Tag, "level"), name(TrackKind::Sent, "feed")]).unwrap();
            Begun { run, tracks, stretches: 0, next: (0, BEGIN_NS + number * 20_000 * PERIOD_NS) }
        };
        Self((1..=2).map(begun).collect())
    }

    fn keep(&mut self, keeper: &mut dyn Keeper, stretches: &[Stretch]) {
        for Begun { run, tracks, stretches: before, next } in &mut self.0 {
            for stretch in stretches {
                let commit = commit(next, *before, stretch, tracks);
                keeper.commit(*run, &commit).unwrap();
                if before.is_multiple_of(2) {
                    keeper.settle(*run).unwrap();
                }
                *before += 1;
            }
        }
    }
}

fn commit(begin: &mut (u64, u64), at: u64, stretch: &Stretch, tracks: &[TrackId]) -> Commit {
    let (records, unix_ns) = *begin;
    // Nothing is missing before the first cycle.
    let missing = if at == 0 { 0 } else { stretch.missing };
    let (first, end) = (records + missing, records + missing + stretch.cycles);
    let now_ns = unix_ns.saturating_add_signed(stretch.clock_s * 1_000_000_000) + missing * PERIOD_NS;
    *begin = (end, now_ns + stretch.cycles * PERIOD_NS);
    let value = |cycle: u64| if cycle % 11 == 5 { f64::NAN } else { cycle as f64 / 7.0 };
    let point = |cycle| Point {
        age_us: u32::MAX,
        source_us: cycle % 3 * 1_234_567,
        ..Point::new(cycle, value(cycle), (cycle / 50 % 2) as u32)
    };
    let cycles = (first..end).filter(|cycle| (cycle - first).is_multiple_of(stretch.every));
    let gap = Gap {
        what: Missing::Cycles,
        first: records,
        count: missing,
        after_cycle: records.checked_sub(1),
        before_cycle: Some(first),
        why: "late".into(),
    };
    let event = Event {
        number: at,
        cycle: first,
        unix_ns: now_ns - now_ns % 1_000,
        kind: "trip".into(),
        cause: u32::MAX,
        uid: at.is_multiple_of(2).then_some(7),
        a: u64::MAX,
        b: 0,
        text: "level: ä".into(),
    };
    Commit {
        cycle_records: records..end,
        events_read: at..at + 1,
        points: cycles.flat_map(|cycle| tracks.iter().map(move |track| (*track, point(cycle)))).collect(),
        events: vec![event],
        gaps: (missing > 0).then_some(gap).into_iter().collect(),
        clock: (at == 0 || stretch.clock_s != 0).then_some((first, now_ns)),
        last_cycle: Some(end - 1),
    }
}

/// Everything that can be asked of a site's agent; numbers of runs and tracks are each place's own.
fn everything(past: &dyn Past, site: &str) -> Vec<String> {
    let agent = format!("{site}/ph");
    let runs: Vec<_> = past.runs().unwrap().into_iter().filter(|run| run.agent == agent).collect();
    let place = |id| runs.iter().position(|run| run.id == id);
    let mut all: Vec<_> = runs.iter().map(|run| format!("{} {:?}", run.period_ns, run.times_ns)).collect();
    let events = past.events(BEGIN_NS, u64::MAX >> 1).unwrap().into_iter();
    all.extend(events.filter_map(|(run, event)| Some(format!("{:?} {event:?}", place(run)?))));
    let gaps = past.gaps(0, u64::MAX >> 1).unwrap().into_iter();
    all.extend(gaps.filter_map(|of| Some(format!("{:?} {:?} {:?}", place(of.run)?, of.gap, of.times_ns))));
    for (track, window) in windows(past, site) {
        all.push(format!("{:?} {:?}", track.name, past.newest(track.run).unwrap().get(&track.id)));
        let mut points = past.between(&track, window.0, window.1).unwrap();
        points.sort_by_key(|timed| (timed.unix_ns, timed.point.cycle));
        all.push(format!("{points:?}"));
    }
    all
}

/// What stretches of these widths were like.
fn buckets(past: &dyn Past, site: &str, widths: &[u64]) -> Vec<Bucket> {
    let mut buckets = Vec::new();
    for (track, (from_ns, to_ns)) in windows(past, site) {
        for seconds in widths {
            buckets.extend(past.buckets(&track, from_ns, to_ns, Duration::from_secs(*seconds)).unwrap());
        }
    }
    buckets
}

/// The tracks of a site's agent, each with all its time, and with the end of it.
fn windows(past: &dyn Past, site: &str) -> Vec<(TrackInfo, (u64, u64))> {
    let agent = format!("{site}/ph");
    let runs = past.runs().unwrap();
    let windows = |track: TrackInfo| {
        let run = runs.iter().find(|run| run.id == track.run).unwrap();
        let (_, end_ns) = run.times_ns.unwrap();
        let windows = [(BEGIN_NS, end_ns + 3_600_000_000_000), (end_ns - 500 * PERIOD_NS, end_ns)];
        windows.map(|window| (track.clone(), window))
    };
    past.tracks().unwrap().into_iter().filter(|track| track.agent == agent).flat_map(windows).collect()
}

/// Has a database roll all that it has, and then rest for long.
fn rest(database: &mut Postgres, (site, runs): (&str, &Site), server: &Server) {
    let client = &mut server.client();
    wait_for(|| database.status().behind_bytes == 0);
    database.settle(runs.0[0].run).unwrap();
    wait_for(|| is_rolled(client));
    client.batch_execute("UPDATE corerl.rolled SET at = at - interval '61 minutes'").unwrap();
    database.settle(runs.0[0].run).unwrap();
    wait_for(|| client.query_one("SELECT bool_and(rests) FROM corerl.rolled", &[]).unwrap().get(0));
    let count = |client: &mut Client, what: &str| -> i64 {
        let sql = format!("SELECT {what} JOIN corerl.run ON run.id = run WHERE site = $1");
        client.query_one(&sql, &[&site]).unwrap().get(0)
    };
    let samples = count(client, "count(*) FROM corerl.sample");
    for table in ["minute", "hour"] {
        assert_eq!(
            count(client, &format!("sum(count)::bigint FROM corerl.{table}")),
            samples,
            "{table}s have every sample"
        );
    }
}

/// Purges the samples of both.
fn forget(store: &mut Store, server: &Server) {
    while let Some(day) = store.oldest_hot_day().unwrap() {
        store.seal(day).unwrap();
    }
    let none = Limit { age: None, bytes: Some(0) };
    let retention = Retention { samples: none, ..Retention::default() };
    store.purge(&retention, u64::MAX >> 1).unwrap();
    KeptFor::new(&retention).unwrap().write(&server.owner()).unwrap();
    let mut client = server.client();
    client.batch_execute("SET ROLE corerl_historian; SELECT corerl.purge(); RESET ROLE").unwrap();
    let left: i64 = client.query_one("SELECT count(*) FROM corerl.sample", &[]).unwrap().get(0);
    assert_eq!(left, 0);
}

/// What a historian answers from where it keeps.
fn asked(keeper: &dyn Keeper, kept: Kept) -> Asked<Box<dyn Source>> {
    let desk = Desk::new(Arc::new(Board::new(keeper.status())), kept);
    Asked(desk.source().unwrap())
}

fn assert_same(one: &[Bucket], other: &[Bucket]) -> Result<(), TestCaseError> {
    prop_assert_eq!(one.len(), other.len());
    for (one, other) in one.iter().zip(other) {
        // Hours are put together of minutes, or not.
        let near = (one.mean - other.mean).abs() < 1e-9 || one.mean.is_nan() && other.mean.is_nan();
        let without = |bucket: &Bucket| format!("{:?}", Bucket { mean: 0.0, ..*bucket });
        prop_assert!(near, "{:?} {:?}", one, other);
        prop_assert_eq!(without(one), without(other));
    }
    Ok(())
}

#[test]
fn a_database_answers_what_an_archive_of_the_same_commits_does() {
    let Some(server) = Server::prepared("a_database_answers_what_an_archive_of_the_same_commits_does", &[]) else {
        return;
    };
    let spill = tempfile::tempdir().unwrap();
    let mut database = Postgres::open(server.historian(), spill.path(), 1 << 26).unwrap();
    let mut sites = 0;
    let mut compare = |stretches: Vec<Stretch>, place: &Path| {
        sites += 1;
        let site = format!("works{sites}");
        let mut store = Store::open(place).unwrap();
        let mut in_files = Site::begin(&mut store, &site);
        let mut in_database = Site::begin(&mut database, &site);
        // Some of it comes after a rest.
        let (before, behind) = stretches.split_at(stretches.len() / 2);
        in_database.keep(&mut database, before);
        if !before.is_empty() {
            rest(&mut database, (&site, &in_database), &server);
        }
        in_database.keep(&mut database, behind);
        in_files.keep(&mut store, &stretches);
        wait_for(|| database.status().behind_bytes == 0);
        let of_files = asked(&store, Kept::Archive(place.to_owned()));
        let of_database = asked(&database, Kept::Database(Box::new(server.historian())));
        // Where a clock was set, an archive holds nothing beyond it in widths that it does not keep.
        let is_set = stretches.iter().skip(1).any(|stretch| stretch.clock_s != 0);
        let widths = if is_set { &[60, 3600][..] } else { &[7, 60, 3600] };
        let (all, expected) = (everything(&of_database, &site), everything(&of_files, &site));
        for (one, other) in all.iter().zip(&expected) {
            prop_assert_eq!(one, other);
        }
        prop_assert_eq!(all.len(), expected.len());
        let found = buckets(&of_database, &site, widths);
        prop_assert!(!found.is_empty());
        assert_same(&found, &buckets(&of_files, &site, widths))?;
        // Minutes and hours are left when the samples are gone, and tell the same.
        let before = buckets(&of_database, &site, &KEPT_S);
        rest(&mut database, (&site, &in_database), &server);
        assert_same(&buckets(&of_database, &site, &KEPT_S), &before)?;
        in_files.0.iter().for_each(|begun| _ = store.compact(begun.run).unwrap());
        forget(&mut store, &server);
        assert_same(&buckets(&of_database, &site, &KEPT_S), &before)?;
        assert_same(&buckets(&of_files, &site, &KEPT_S), &before)
    };
    let mut runner = TestRunner::new(Config::default());
    let random = (1..CASES).map(|_| stretches().new_tree(&mut runner).unwrap().current());
    for stretches in std::iter::once(set_back()).chain(random) {
        let place = tempfile::tempdir().unwrap();
        compare(stretches.clone(), place.path()).unwrap_or_else(|error| panic!("{stretches:#?}: {error}"));
    }
}

#[test]
fn what_was_held_where_the_rolling_ended_is_not_told_of_hours_that_came_later() {
    let test = "what_was_held_where_the_rolling_ended_is_not_told_of_hours_that_came_later";
    let Some(server) = Server::prepared(test, &[]) else { return };
    let spill = tempfile::tempdir().unwrap();
    let mut database = Postgres::open(server.historian(), spill.path(), 1 << 26).unwrap();
    let site = Site::begin(&mut database, "works");
    let Begun { run, tracks, next: (_, unix_ns), .. } = &site.0[0];
    let put = |database: &mut Postgres, records: Range<u64>, points: &[(u64, f64)]| {
        let commit = Commit {
            points: points.iter().map(|(cycle, value)| (tracks[0], Point::new(*cycle, *value, 0))).collect(),
            clock: (records.start == 0).then_some((0, *unix_ns)),
            last_cycle: Some(records.end - 1),
            cycle_records: records,
            ..Commit::default()
        };
        database.commit(*run, &commit).unwrap();
        wait_for(|| database.status().behind_bytes == 0);
    };
    let roll = |database: &mut Postgres| {
        database.settle(*run).unwrap();
        wait_for(|| is_rolled(&mut server.client()));
    };
    put(&mut database, 0..10, &[(0, 1.0)]);
    roll(&mut database);
    server.client().batch_execute("REVOKE INSERT ON corerl.rolling FROM corerl_historian").unwrap();
    put(&mut database, 10..20_001, &[(10, 5.0), (20_000, 7.0)]);
    let of_database = asked(&database, Kept::Database(Box::new(server.historian())));
    let (track, _) = windows(&of_database, "works").remove(0);
    let [from_ns, to_ns] = [15_000, 16_000].map(|cycle| unix_ns + cycle * PERIOD_NS);
    let told = || of_database.buckets(&track, from_ns, to_ns, Duration::from_secs(60)).unwrap();
    assert_eq!(told(), [], "so far before a time nobody looks for what is held there");
    server.client().batch_execute("GRANT INSERT ON corerl.rolling TO corerl_historian").unwrap();
    roll(&mut database);
    assert!(told().len() > 10 && told().iter().all(|bucket| bucket.mean == 5.0));
}

#[test]
fn whoever_may_only_insert_does_not_read_either_and_says_what_to_grant() {
    let test = "whoever_may_only_insert_does_not_read_either_and_says_what_to_grant";
    let Some(mut server) = Server::prepared(test, &[]) else { return };
    let spill = tempfile::tempdir().unwrap();
    let database = Postgres::open(server.historian(), spill.path(), 1 << 26).unwrap();
    let ask = |server: &Server| {
        let desk =
            Desk::new(Arc::new(Board::new(Keeper::status(&database))), Kept::Database(Box::new(server.historian())));
        Asked(desk.source()?).events(0, 1).map_err(|error| Refusal::Unreadable(error.to_string()))
    };
    assert_eq!(ask(&server), Ok(Vec::new()));
    let desk = Desk::new(Arc::new(Board::new(Keeper::status(&database))), Kept::Database(Box::new(server.historian())));
    let asked = Asked(desk.source().unwrap());
    assert_eq!(asked.events(u64::MAX, u64::MAX).unwrap(), [], "there is no end of time that is no window");
    server.client().batch_execute("REVOKE corerl_reader FROM corerl_historian").unwrap();
    let refused = ask(&server).unwrap_err().to_string();
    assert!(refused.contains("GRANT corerl_reader TO corerl_historian"), "{refused}");
    server.kill();
    let refused = ask(&server).unwrap_err().to_string();
    assert!(refused.contains("corerl_historian at"), "{refused}");
}

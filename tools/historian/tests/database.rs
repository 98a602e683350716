//! The keeper beside a real server, which is killed, away, or full of somebody else's rules.

mod dashboard;
mod encrypted;
mod rolled;
mod server;

use std::io::{BufRead as _, BufReader};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use archive::{Commit, Event, Gap, Kept, Limit, Missing, Point, Retention, Run, TrackId, TrackKind, TrackName};
use historian::{BUDGET_MIN, Board, Desk, Keeper as _, Kept as KeptIn, KeptFor, Postgres, Target, migrate};
use postgres::Client;
use recall::{Asked, Host as _, Past as _};
use rolled::is_rolled;
use server::{Server, wait_for};

const BUDGET: u64 = 64 << 20;
/// The first cycle's time: the last second of a day.
const BEGIN_NS: u64 = 1_700_006_399_000_000_000;

/// A run of which everything follows from its records' numbers: each is a cycle; of every fifth there is an event, and of every
/// seventh hundred nothing but a gap.
struct Writer {
    keeper: Postgres,
    kept: Kept,
    tracks: Vec<TrackId>,
}

impl Writer {
    fn open(target: Target, spill: &Path, budget: u64, number: u64) -> Self {
        let mut keeper = Postgres::open(target, spill, budget).unwrap();
        let run =
            Run { site: "works".into(), agent: "ph".into(), instance: "main".into(), number, period_ns: 1_000_000 };
        let kept = keeper.run(&run).unwrap();
        let names = [(TrackKind::Tag, "level"), (TrackKind::Sent, "valve")];
        let names = names.map(|(kind, name)| TrackName { kind, name: name.into(), unit: "m".into() });
        let tracks = keeper.tracks(kept.run, &names).unwrap();
        Self { keeper, kept, tracks }
    }

    fn next(&self) -> u64 {
        self.kept.next_cycle_record
    }

    /// The next so many records.
    fn put(&mut self, count: u64) {
        let records = self.next()..self.next() + count;
        let events = self.kept.next_event..records.end / 5;
        let clock = self.keeper.unix_ns(self.kept.run, records.start).unwrap();
        let commit = Commit {
            points: records.clone().filter(|number| !is_lost(*number)).flat_map(|cycle| self.points(cycle)).collect(),
            events: events.clone().map(event).collect(),
            gaps: gaps(records.clone()),
            clock: clock.is_none().then_some((records.start, unix_ns(records.start))),
            last_cycle: records.clone().rfind(|number| !is_lost(*number)),
            cycle_records: records.clone(),
            events_read: events.clone(),
        };
        self.keeper.commit(self.kept.run, &commit).unwrap();
        (self.kept.next_cycle_record, self.kept.next_event) = (records.end, events.end);
    }

    fn points(&self, cycle: u64) -> impl Iterator<Item = (TrackId, Point)> + use<> {
        let state = (cycle % 3) as u32;
        let point = Point { age_us: u32::MAX, source_us: source_us(cycle), ..Point::new(cycle, value(cycle), state) };
        self.tracks.clone().into_iter().map(move |track| (track, point))
    }

    /// All that was put is in the database.
    fn arrive(&self) {
        wait_for(|| {
            let status = self.keeper.status();
            status.behind_bytes == 0 && status.away.is_none()
        });
    }
}

impl Writer {
    /// All that was put is in minutes and hours.
    fn roll(&mut self, client: &mut Client) {
        self.arrive();
        self.keeper.settle(self.kept.run).unwrap();
        wait_for(|| is_rolled(client));
    }

    /// Nothing comes for an hour.
    fn rest(&mut self, client: &mut Client) {
        self.roll(client);
        client.batch_execute("UPDATE corerl.rolled SET at = at - interval '61 minutes'").unwrap();
        self.keeper.settle(self.kept.run).unwrap();
        wait_for(|| client.query_one("SELECT bool_and(rests) FROM corerl.rolled", &[]).unwrap().get(0));
    }

    /// Points of both tracks by what is told of minutes.
    fn told(&self, target: Target) -> u64 {
        let board = Arc::new(Board::new(historian::Keeper::status(&self.keeper)));
        let past = Asked(Desk::new(board, KeptIn::Database(Box::new(target))).source().unwrap());
        let (minute, end_ns) = (Duration::from_secs(60), unix_ns(self.next()));
        let minutes = |track| past.buckets(track, BEGIN_NS - 3_600_000_000_000, end_ns, minute).unwrap();
        past.tracks().unwrap().iter().flat_map(minutes).map(|bucket| bucket.count).sum()
    }
}

fn unix_ns(cycle: u64) -> u64 {
    BEGIN_NS + cycle * 1_000_000
}

/// Every third has none.
fn source_us(cycle: u64) -> u64 {
    if cycle.is_multiple_of(3) { 0 } else { (BEGIN_NS + cycle * 1_000_000) / 1_000 - 700 }
}

fn value(cycle: u64) -> f64 {
    cycle as f64 / 8.0
}

fn is_lost(number: u64) -> bool {
    number / 100 % 7 == 6
}

fn event(number: u64) -> Event {
    Event {
        number,
        cycle: number * 5,
        unix_ns: unix_ns(number * 5),
        kind: "trip".into(),
        cause: u32::MAX,
        uid: number.is_multiple_of(2).then_some(1_000),
        a: u64::MAX,
        b: 0,
        text: "no text of PostgreSQL has a \0".into(),
    }
}

/// One for each record that is lost.
fn gaps(records: Range<u64>) -> Vec<Gap> {
    let gap = |first| Gap {
        what: Missing::Cycles,
        first,
        count: 1,
        after_cycle: None,
        before_cycle: None,
        why: "overwritten before it was read".into(),
    };
    records.filter(|number| is_lost(*number)).map(gap).collect()
}

fn count(client: &mut Client, sql: &str) -> u64 {
    client.query_one(sql, &[]).unwrap().get::<_, i64>(0).cast_unsigned()
}

/// Everything up to here is there once: as samples of both tracks, or in a gap. How many cycles were lost on the way.
fn check(client: &mut Client, end: u64) -> u64 {
    let rows = client
        .query(
            "SELECT cycle, value, (extract(epoch FROM time) * 1000)::bigint, state, (extract(epoch FROM source_time) * 1000000)::bigint
             FROM corerl.sample ORDER BY cycle, track",
            &[],
        )
        .unwrap();
    let stored: Vec<u64> = rows.iter().map(|row| row.get::<_, i64>(0).cast_unsigned()).collect();
    let (pairs, rest) = stored.as_chunks::<2>();
    assert!(rest.is_empty() && pairs.iter().all(|[one, other]| one == other), "both tracks have every cycle");
    assert!(pairs.is_sorted_by(|one, other| one[0] < other[0]), "no cycle is there twice");
    for row in &rows {
        let cycle = row.get::<_, i64>(0).cast_unsigned();
        assert_eq!((row.get(1), row.get(3)), (value(cycle), (cycle % 3) as i64));
        assert_eq!(row.get::<_, i64>(2), (unix_ns(cycle) / 1_000_000).cast_signed());
        let source_us = Some(source_us(cycle)).filter(|source_us| *source_us > 0);
        assert_eq!(row.get::<_, Option<i64>>(4).map(i64::cast_unsigned), source_us);
    }
    let of = |what: &str| format!("SELECT coalesce(sum(count), 0)::bigint FROM corerl.gap WHERE what = '{what}'");
    assert_eq!(pairs.len() as u64 + count(client, &of("cycles")), end, "every cycle is stored or in a gap");
    let events = count(client, "SELECT count(*) FROM corerl.event");
    assert_eq!(events + count(client, &of("events")), end / 5, "every event, too");
    assert_eq!(count(client, "SELECT next_cycle_record FROM corerl.run"), end);
    count(
        client,
        "SELECT coalesce(sum(count), 0)::bigint FROM corerl.gap WHERE what = 'cycles' AND why NOT LIKE 'overwritten%'",
    )
}

/// splitmix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{name} is `{text}`, no number")))
}

#[test]
fn f80_whoever_is_killed_whenever_everything_is_stored_once() {
    if let Ok(target) = std::env::var("HISTORIAN_TEST_TARGET") {
        return write_until_killed(&target);
    }
    let Some(mut server) = Server::prepared("f80_whoever_is_killed_whenever_everything_is_stored_once", &[]) else {
        return;
    };
    let (seed, rounds) = (number("CORERL_SOAK_SEED", 1), number("CORERL_SOAK_COUNT", 25));
    println!("seed {seed}, {rounds} rounds");
    let mut chance = Chance(seed);
    let spill = tempfile::tempdir().unwrap();
    let mut accepted = 0;
    let mut is_up = true;
    for _ in 0..rounds {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "f80_whoever_is_killed_whenever_everything_is_stored_once", "--nocapture"])
            .env("HISTORIAN_TEST_TARGET", server.text("corerl_historian"))
            .env("HISTORIAN_TEST_PASSWORD_FILE", server.password_file())
            .env("HISTORIAN_TEST_SPILL", spill.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        for _ in 0..chance.below(4) {
            std::thread::sleep(Duration::from_millis(chance.below(150)));
            if is_up {
                server.kill()
            } else {
                server.go_on()
            }
            is_up = !is_up;
        }
        std::thread::sleep(Duration::from_millis(chance.below(200)));
        child.kill().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let last = lines.filter_map(|line| line.strip_prefix("accepted ")?.parse().ok()).max();
        child.wait().unwrap();
        accepted = accepted.max(last.unwrap_or(0));
    }
    if !is_up {
        server.go_on();
    }
    let mut writer = Writer::open(server.historian(), spill.path(), BUDGET, 1);
    println!("{} records of which {accepted} were said to be kept", writer.next());
    assert!(writer.next() >= accepted && accepted > 0);
    writer.put(1);
    writer.roll(&mut server.client());
    assert_eq!(check(&mut server.client(), writer.next()), 0);
    let samples = count(&mut server.client(), "SELECT count(*) FROM corerl.sample");
    assert_eq!(writer.told(server.historian()), samples, "every sample is rolled once");
}

/// What the process does that the test above kills: it is the test's own program once more.
fn write_until_killed(target: &str) {
    let of = |name: &str| std::env::var(name).expect("the test says where");
    let target = Target::new(target, Some(of("HISTORIAN_TEST_PASSWORD_FILE").into()), None).unwrap();
    let mut writer = Writer::open(target, of("HISTORIAN_TEST_SPILL").as_ref(), BUDGET, 1);
    loop {
        writer.put(1 + writer.next() % 97);
        println!("accepted {}", writer.next());
        writer.keeper.settle(writer.kept.run).unwrap();
        // Ten thousand records a second or so: what lies in the log of a database that is killed all the time stays below its budget.
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn f80_a_database_that_was_away_gets_all_of_it_and_it_is_told() {
    let Some(mut server) = Server::prepared("f80_a_database_that_was_away_gets_all_of_it_and_it_is_told", &[]) else {
        return;
    };
    let spill = tempfile::tempdir().unwrap();
    server.kill();
    let mut writer = Writer::open(server.historian(), spill.path(), BUDGET, 1);
    (0..200).for_each(|_| writer.put(50));
    wait_for(|| writer.keeper.status().away.is_some());
    assert!(writer.keeper.status().behind_bytes > 0);
    drop(writer);
    let mut writer = Writer::open(server.historian(), spill.path(), BUDGET, 1);
    assert_eq!(writer.next(), 10_000, "where the run is, the log knows");
    server.go_on();
    writer.put(50);
    writer.arrive();
    assert_eq!(check(&mut server.client(), 10_050), 0);
    assert_eq!(writer.keeper.status().samples, count(&mut server.client(), "SELECT count(*) FROM corerl.sample"));
    let day = |name: &str| count(&mut server.client(), &format!("SELECT count(*) FROM corerl.sample_{name}"));
    assert_eq!(day("20231114"), 2 * 900, "of its last second, whose seventh hundred was lost");
    assert!(day("20231115") > 0);
}

#[test]
fn f79_what_the_log_is_too_short_for_is_in_gaps_that_add_up() {
    let Some(mut server) = Server::prepared("f79_what_the_log_is_too_short_for_is_in_gaps_that_add_up", &[]) else {
        return;
    };
    let spill = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(server.historian(), spill.path(), BUDGET_MIN, 1);
    (0..10).for_each(|_| writer.put(50));
    writer.arrive();
    server.kill();
    (0..200).for_each(|_| writer.put(50));
    server.go_on();
    writer.put(50);
    writer.arrive();
    let lost = check(&mut server.client(), writer.next());
    let status = writer.keeper.status();
    assert!(lost > 0 && status.lost_cycles == lost && status.lost_events > 0, "{lost}, {status:?}");
    let sql = "SELECT count(*) FROM corerl.gap WHERE why = 'the database was away longer than the spill log is long'";
    assert!(count(&mut server.client(), sql) >= 2, "cycles and events");
}

#[test]
fn a_log_that_was_taken_away_leads_to_nothing_that_is_there_twice() {
    let Some(server) = Server::prepared("a_log_that_was_taken_away_leads_to_nothing_that_is_there_twice", &[]) else {
        return;
    };
    let first = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(server.historian(), first.path(), BUDGET, 1);
    writer.put(555);
    writer.arrive();
    drop(writer);
    let second = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(server.historian(), second.path(), BUDGET, 1);
    assert_eq!(writer.next(), 0);
    [100, 200, 400].into_iter().for_each(|count| writer.put(count));
    writer.arrive();
    assert_eq!(check(&mut server.client(), 700), 0);
}

#[test]
fn the_historians_role_adds_and_takes_nothing_away_and_people_read_names() {
    let Some(server) = Server::prepared("the_historians_role_adds_and_takes_nothing_away_and_people_read_names", &[])
    else {
        return;
    };
    let spill = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(server.historian(), spill.path(), BUDGET, 1);
    writer.put(10);
    writer.arrive();
    let mut client = server.client();
    for forbidden in [
        "DELETE FROM corerl.sample",
        "UPDATE corerl.sample SET value = 0",
        "TRUNCATE corerl.event",
        "UPDATE corerl.run SET site = 'x'",
        "DELETE FROM corerl.gap",
        "DELETE FROM corerl.minute",
        "UPDATE corerl.hour SET mean = 0",
        "CREATE TABLE corerl.mine ()",
        "DROP TABLE corerl.clock",
    ] {
        let refused = client.batch_execute(&format!("SET ROLE corerl_historian; {forbidden}")).unwrap_err();
        assert!(
            refused.as_db_error().unwrap().message().contains("permission denied") || forbidden.starts_with("DROP"),
            "{forbidden}: {refused:?}"
        );
        client.batch_execute("RESET ROLE").unwrap();
    }
    client.batch_execute("SET ROLE corerl_reader").unwrap();
    let sql = "SELECT site, agent, kind, tag, value, unit, quality, source_time < time
               FROM corerl.sample_named WHERE cycle = 4 ORDER BY kind DESC";
    let rows = client.query(sql, &[]).unwrap();
    let texts = |row: &postgres::Row| [0, 1, 2, 3, 5].map(|at| row.get::<_, String>(at));
    assert_eq!(texts(&rows[0]), ["works", "ph", "tag", "level", "m"]);
    assert_eq!((rows[0].get(4), rows[0].get(6), rows[0].get(7)), (0.5, Some("uncertain"), Some(true)));
    assert_eq!((texts(&rows[1])[2].as_str(), rows[1].get(6)), ("setpoint.sent", None::<&str>));
    let text: String = client.query_one("SELECT text FROM corerl.event WHERE number = 0", &[]).unwrap().get(0);
    assert_eq!(text, "no text of PostgreSQL has a \u{fffd}");
    let days = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'corerl.sample'::regclass";
    assert!(count(&mut client, days) >= 3, "the day of the samples, today and tomorrow");
}

const PURGE: &str = "SET ROLE corerl_historian; SELECT * FROM corerl.purge(); RESET ROLE";

/// Has a database keep what lies behind the first day of the samples, and everything of today.
fn days_behind_the_first(client: &mut Client) -> Limit {
    let days = count(client, "SELECT ((now() AT TIME ZONE 'UTC')::date - date '2023-11-15')::bigint");
    Limit { age: Some(Duration::from_secs(86_400 * days)), bytes: None }
}

fn keep(server: &Server, retention: Retention) {
    KeptFor::new(&retention).unwrap().write(&server.owner()).unwrap();
}

fn rows<const N: usize>(client: &mut Client, tables: [&str; N]) -> [u64; N] {
    tables.map(|of| count(client, &format!("SELECT count(*) FROM corerl.{of}")))
}

#[test]
fn what_its_owner_gave_up_is_dropped_by_whole_days_and_nothing_else_can_be() {
    let test = "what_its_owner_gave_up_is_dropped_by_whole_days_and_nothing_else_can_be";
    let Some(server) = Server::prepared(test, &[]) else { return };
    let spill = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(server.historian(), spill.path(), BUDGET, 1);
    writer.put(1_500);
    let client = &mut server.client();
    writer.rest(client);
    let all = ["sample", "event", "minute", "hour"];
    let before = rows(client, all);
    client.batch_execute(PURGE).unwrap();
    assert_eq!(rows(client, all), before, "nobody has given up anything yet");
    for forbidden in [
        "SELECT corerl.drop_parts('sample', '2100-01-01')",
        "INSERT INTO corerl.retention VALUES ('samples', 1)",
        "SELECT corerl.add_partition('minute', '2100-01-01', '2100-01-02')",
    ] {
        client.batch_execute(&format!("SET ROLE corerl_historian; {forbidden}")).unwrap_err();
        client.batch_execute("RESET ROLE").unwrap();
    }
    // A limit that leaves the second day of the samples, and not their first one.
    let limit = days_behind_the_first(client);
    keep(&server, Retention { samples: limit, ..Retention::default() });
    client.batch_execute(PURGE).unwrap();
    let [samples, rest @ ..] = rows(client, all);
    let later = "SELECT count(*) FROM corerl.sample WHERE time >= '2023-11-15 00:00+00'";
    assert!(0 < samples && samples < before[0] && samples == count(client, later), "{samples} of {before:?}");
    assert_eq!(rest, before[1..]);
    keep(&server, Retention { events: limit, minutes: limit, ..Retention::default() });
    client.batch_execute(PURGE).unwrap();
    assert_eq!(count(client, "SELECT count(*) FROM corerl.event WHERE time < '2023-11-15 00:00+00'"), 0);
    let [_, events, minutes, hours] = rows(client, all);
    assert!(events < before[1] && events > 0);
    assert_eq!((before[2], before[3]), (4, 4), "a minute and an hour of each track and day");
    assert_eq!((minutes, hours), (2, 4));
    let month = Limit { age: Some(Duration::from_secs(86_400)), bytes: None };
    keep(&server, Retention { hours: month, ..Retention::default() });
    client.batch_execute(PURGE).unwrap();
    assert_eq!(rows(client, ["hour"]), [0]);
}

#[test]
fn people_read_minutes_and_hours_by_their_names() {
    let Some(server) = Server::prepared("people_read_minutes_and_hours_by_their_names", &[]) else { return };
    let spill = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(server.historian(), spill.path(), BUDGET, 1);
    writer.put(1_500);
    let client = &mut server.client();
    writer.rest(client);
    client.batch_execute("SET ROLE corerl_reader").unwrap();
    // The last second of the hour, of which 900 cycles were kept; what was held is held on over those that were lost.
    let held = (0..600).chain([599; 100]).chain(700..1_000);
    let mean = held.clone().map(value).sum::<f64>() / 1_000.0;
    let good = held.filter(|cycle| cycle % 3 == 0).count() as f64 / 1_000.0;
    for (table, time) in [("minute", "23:59"), ("hour", "23:00")] {
        let sql = format!(
            "SELECT site, agent, kind, tag, unit, mean, min, max, last, good, count FROM corerl.{table}_named
             WHERE time = '2023-11-14 {time}+00' ORDER BY kind DESC"
        );
        let rows = client.query(&sql, &[]).unwrap();
        let texts = |row: &postgres::Row| [0, 1, 2, 3, 4].map(|at| row.get::<_, String>(at));
        assert_eq!(texts(&rows[0]), ["works", "ph", "tag", "level", "m"]);
        assert_eq!(texts(&rows[1]), ["works", "ph", "setpoint.sent", "valve", "m"]);
        for (row, good) in rows.iter().zip([good, 1.0]) {
            let [found_mean, min, max, last, found_good] = [5, 6, 7, 8, 9].map(|at| row.get::<_, f64>(at));
            assert_eq!((min, max, last, row.get(10)), (0.0, value(999), value(999), 900_i64));
            assert!((found_mean - mean).abs() < 1e-9 && (found_good - good).abs() < 1e-9, "{found_mean} {found_good}");
        }
    }
}

#[test]
fn samples_that_are_not_rolled_stay_however_old_they_are() {
    let Some(server) = Server::prepared("samples_that_are_not_rolled_stay_however_old_they_are", &[]) else { return };
    let client = &mut server.client();
    client.batch_execute("REVOKE corerl_reader FROM corerl_historian").unwrap();
    let spill = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(server.historian(), spill.path(), BUDGET, 1);
    writer.put(1_500);
    writer.arrive();
    keep(&server, Retention { samples: days_behind_the_first(client), ..Retention::default() });
    let before = rows(client, ["sample"]);
    client.batch_execute(PURGE).unwrap();
    assert_eq!(rows(client, ["sample"]), before);
    client.batch_execute("GRANT corerl_reader TO corerl_historian").unwrap();
    writer.roll(client);
    // What comes later is not rolled, and of the second day.
    client.batch_execute("REVOKE corerl_reader FROM corerl_historian").unwrap();
    writer.put(100);
    writer.arrive();
    let day = Limit { age: Some(Duration::from_secs(86_400)), bytes: None };
    keep(&server, Retention { samples: day, ..Retention::default() });
    client.batch_execute(PURGE).unwrap();
    let later = "SELECT count(*) FROM corerl.sample WHERE time >= '2023-11-15 00:00+00'";
    let [left] = rows(client, ["sample"]);
    assert!(left < before[0] && left == count(client, later) && left > 200, "{left} of {before:?}");
}

#[test]
fn of_what_is_more_than_its_owner_permits_the_oldest_parts_go_rolled_or_not() {
    let test = "of_what_is_more_than_its_owner_permits_the_oldest_parts_go_rolled_or_not";
    let Some(server) = Server::prepared(test, &[]) else { return };
    let client = &mut server.client();
    client.batch_execute("REVOKE corerl_reader FROM corerl_historian").unwrap();
    let spill = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(server.historian(), spill.path(), BUDGET, 1);
    writer.put(1_500);
    writer.arrive();
    let before = rows(client, ["sample", "event"]);
    for (class, part, end) in [("sample", 0, "2023-11-15"), ("event", 1, "2023-11-15")] {
        let all = count(client, &format!("SELECT sum(bytes)::bigint FROM corerl.parts('{class}')"));
        let of = |bytes| {
            let limit = Limit { age: None, bytes: Some(bytes) };
            match class {
                "sample" => Retention { samples: limit, ..Retention::default() },
                _ => Retention { events: limit, ..Retention::default() },
            }
        };
        keep(&server, of(all));
        client.batch_execute(PURGE).unwrap();
        assert_eq!(rows(client, ["sample", "event"])[part], before[part], "so much is permitted");
        keep(&server, of(all - 1));
        client.batch_execute(PURGE).unwrap();
        let [left] = rows(client, [class]);
        let later = format!("SELECT count(*) FROM corerl.{class} WHERE time >= '{end} 00:00+00'");
        assert!(0 < left && left < before[part] && left == count(client, &later), "{left} {class}s");
    }
    keep(&server, Retention { samples: Limit { age: None, bytes: Some(0) }, ..Retention::default() });
    client.batch_execute(PURGE).unwrap();
    assert_eq!(rows(client, ["sample"]), [0]);
    let parts = count(client, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'corerl.sample'::regclass");
    assert!(parts >= 2, "today and tomorrow are there for whoever writes");
}

#[test]
fn a_schema_is_made_once_and_whoever_finds_none_says_what_to_do() {
    let Some(server) = Server::start("a_schema_is_made_once_and_whoever_finds_none_says_what_to_do", &[]) else {
        return;
    };
    let spill = tempfile::tempdir().unwrap();
    let mut writer = Writer::open(server.owner(), spill.path(), BUDGET, 1);
    writer.put(10);
    wait_for(|| writer.keeper.status().away.is_some_and(|why| why.contains("--migrate")));
    assert_eq!(migrate(&server.owner()).unwrap(), 7);
    assert_eq!(migrate(&server.owner()).unwrap(), 0);
    writer.arrive();
    assert_eq!(check(&mut server.client(), 10), 0);
    server.client().batch_execute("INSERT INTO corerl.migration (number, form) VALUES (99, 'of tomorrow')").unwrap();
    let refused = migrate(&server.owner()).unwrap_err().to_string();
    assert!(refused.contains("99") && refused.contains("newer"), "{refused}");
}

#[test]
fn timescaledb_has_hypertables_and_under_its_own_licence_more() {
    let test = "timescaledb_has_hypertables_and_under_its_own_licence_more";
    let Some(plain) = Server::start(test, &[]) else { return };
    let there = "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'";
    if count(&mut plain.client(), there) == 0 {
        println!("{test} is skipped: PostgreSQL is here, its extension timescaledb is not");
        return;
    }
    drop(plain);
    for (licence, aggregates) in [("timescale", 1), ("apache", 0)] {
        let licence = format!("timescaledb.license={licence}");
        let settings = ["shared_preload_libraries=timescaledb", "timescaledb.telemetry_level=off", &licence];
        let Some(mut server) = Server::start(test, &settings) else { return };
        server
            .client()
            .batch_execute("CREATE SCHEMA elsewhere; CREATE EXTENSION timescaledb SCHEMA elsewhere")
            .unwrap();
        assert_eq!(migrate(&server.owner()).unwrap(), 7);
        let spill = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(server.owner(), spill.path(), BUDGET, 1);
        (0..100).for_each(|_| writer.put(50));
        server.kill();
        writer.put(50);
        server.go_on();
        writer.arrive();
        let client = &mut server.client();
        writer.roll(client);
        assert_eq!(check(client, 5_050), 0);
        let samples = rows(client, ["sample"])[0];
        assert_eq!(writer.told(server.owner()), samples);
        let chunks = "SELECT count(*) FROM timescaledb_information.chunks WHERE hypertable_name = 'sample'";
        assert_eq!(count(client, chunks), 2, "one for each day");
        let sql = "SELECT count(*) FROM timescaledb_information.continuous_aggregates";
        assert_eq!(count(client, sql), aggregates);
        if aggregates > 0 {
            client
                .batch_execute("CALL elsewhere.refresh_continuous_aggregate('corerl.sample_hourly', NULL, NULL)")
                .unwrap();
            let hours = count(client, "SELECT sum(samples)::bigint FROM corerl.sample_hourly");
            assert_eq!(hours, count(client, "SELECT count(*) FROM corerl.sample"));
            let compressed =
                "SELECT count(elsewhere.compress_chunk(chunk)) FROM elsewhere.show_chunks('corerl.sample') AS chunk";
            assert_eq!(count(client, compressed), 2);
            assert_eq!(check(client, 5_050), 0);
        }
        // Whole chunks go by age and by size, and what they were like stays.
        keep(&server, Retention { samples: days_behind_the_first(client), ..Retention::default() });
        client.batch_execute("SELECT * FROM corerl.purge()").unwrap();
        assert_eq!(count(client, chunks), 1);
        let bytes = count(client, "SELECT sum(bytes)::bigint FROM corerl.parts('sample')");
        let limit = |bytes| Retention { samples: Limit { age: None, bytes: Some(bytes) }, ..Retention::default() };
        for (bytes, left) in [(bytes, 1), (bytes - 1, 0)] {
            keep(&server, limit(bytes));
            client.batch_execute("SELECT * FROM corerl.purge()").unwrap();
            assert_eq!(count(client, chunks), left);
        }
        assert_eq!(rows(client, ["sample"]), [0]);
        assert_eq!(writer.told(server.owner()), samples);
    }
}

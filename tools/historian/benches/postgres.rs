//! How fast samples come into PostgreSQL through the keeper, beside a plain copy of the same rows into the same table, in turns:
//! `cargo bench -p historian --bench postgres`.
//!
//! The server is one of its own, with fsync and its other settings as they come. Through the keeper, the time is that from the
//! first commit to when the database has the last one: with the log, its fsyncs, and reading it back.

#[path = "../tests/server/mod.rs"]
mod server;

use std::io::{Read as _, Write as _};
use std::time::Instant;

use archive::{Commit, Point, Run, TrackKind, TrackName};
use historian::{Keeper as _, Postgres};
use postgres::Client;
use server::Server;

const ROUNDS: u64 = 7;
const TRACKS: u64 = 20;
/// A second of a runtime at a kilohertz.
const CYCLES_PER_COMMIT: u64 = 1_000;
const COMMITS: u64 = 50;
const SAMPLES: u64 = TRACKS * CYCLES_PER_COMMIT * COMMITS;
const BUDGET: u64 = 1 << 30;
const BEGIN_NS: u64 = 1_700_000_000_000_000_000;
const COLUMNS: &str = "corerl.sample (time, cycle, value, state, age_us, run, track, source_time)";

fn main() {
    let Some(server) = Server::prepared("the benchmark", &["fsync=on"]) else { return };
    let mut client = server.client();
    let (mut kept, mut copied) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        client.batch_execute("TRUNCATE corerl.sample; CHECKPOINT").unwrap();
        let through_keeper = keep(&server, round);
        let rows = read(&mut client);
        client.batch_execute("TRUNCATE corerl.sample; CHECKPOINT").unwrap();
        let plain = copy(&mut client, &rows);
        // The first one warms up.
        if round > 0 {
            kept.push(through_keeper);
            copied.push(plain);
        }
    }
    let mut shares: Vec<f64> = kept.iter().zip(&copied).map(|(kept, copied)| kept / copied).collect();
    println!("{SAMPLES} samples of {TRACKS} tracks in {COMMITS} commits, median of {ROUNDS} rounds (least to most)");
    for (what, figures, digits, unit) in [
        ("through the keeper", &mut kept, 0, "samples/s"),
        ("a plain copy", &mut copied, 0, "samples/s"),
        ("share", &mut shares, 2, "(goal: at least 0.7)"),
    ] {
        figures.sort_by(f64::total_cmp);
        let [least, median, most] = [0, figures.len() / 2, figures.len() - 1].map(|at| figures[at]);
        println!("{what:20} {median:10.digits$} ({least:.digits$} to {most:.digits$}) {unit}");
    }
}

/// Samples per second through the keeper.
fn keep(server: &Server, round: u64) -> f64 {
    let spill = tempfile::tempdir().unwrap();
    let mut keeper = Postgres::open(server.historian(), spill.path(), BUDGET).unwrap();
    let run =
        Run { site: "works".into(), agent: "ph".into(), instance: "main".into(), number: round, period_ns: 1_000_000 };
    let run = keeper.run(&run).unwrap().run;
    let name = |number| TrackName { kind: TrackKind::Tag, name: format!("tag {number}"), unit: "m".into() };
    let tracks = keeper.tracks(run, &(0..TRACKS).map(name).collect::<Vec<_>>()).unwrap();
    let commits: Vec<Commit> = (0..COMMITS)
        .map(|number| {
            let cycles = number * CYCLES_PER_COMMIT..(number + 1) * CYCLES_PER_COMMIT;
            let source_us = |cycle: u64| BEGIN_NS / 1_000 + 1_000 * cycle - 700;
            let point = |cycle: u64| Point {
                age_us: 500,
                source_us: source_us(cycle),
                ..Point::new(cycle, (cycle as f64).sin(), 0)
            };
            Commit {
                points: cycles
                    .clone()
                    .flat_map(|cycle| tracks.iter().map(move |track| (*track, point(cycle))))
                    .collect(),
                clock: (number == 0).then_some((0, BEGIN_NS)),
                cycle_records: cycles,
                ..Commit::default()
            }
        })
        .collect();
    let start = Instant::now();
    commits.iter().for_each(|commit| keeper.commit(run, commit).unwrap());
    server::wait_for(|| keeper.status().behind_bytes == 0);
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(keeper.status().samples, SAMPLES);
    SAMPLES as f64 / seconds
}

/// What is in the table, as it is copied.
fn read(client: &mut Client) -> Vec<u8> {
    let mut rows = Vec::new();
    let columns = COLUMNS.split_once(' ').unwrap().1.trim_matches(['(', ')']);
    let sql = format!("COPY (SELECT {columns} FROM corerl.sample ORDER BY cycle, track) TO STDOUT (FORMAT binary)");
    client.copy_out(&sql).unwrap().read_to_end(&mut rows).unwrap();
    rows
}

/// Samples per second in one copy.
fn copy(client: &mut Client, rows: &[u8]) -> f64 {
    let start = Instant::now();
    let mut copy = client.copy_in(&format!("COPY {COLUMNS} FROM STDIN (FORMAT binary)")).unwrap();
    copy.write_all(rows).unwrap();
    assert_eq!(copy.finish().unwrap(), SAMPLES);
    SAMPLES as f64 / start.elapsed().as_secs_f64()
}

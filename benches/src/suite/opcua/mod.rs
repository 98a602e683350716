//! A cycle's I/O over OPC UA on the loopback interface: writing 8 doubles and reading 50, by our client, by other people's and
//! by TCP alone.
//!
//! The server is open62541's, or `corerl-plant` of the same build where that cannot be had; its nodes are read several times
//! to make 50, and one is written 8 times. The floor sends as many bytes there and back as our session does, to a process
//! that answers at once: two round trips for Write and then Read, one for both together (`paired`). All clients have one
//! CPU, one after the other, and whoever answers the other.
//!
//! Then a thousand values that the server tells a hundred times a second.

mod client;
mod server;
mod sizes;
mod stranger;
mod told;

use std::cell::RefCell;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Contest, Row, Seats, Standings, nanoseconds_of};
use crate::helper::Helper;
use crate::peer::{Peer, Role, with_role};
use client::Client;
use server::Server;
use sizes::{Sizes, sizes};
use stranger::Stranger;

const READ: usize = 50;
const WRITTEN: usize = 8;
const ROUNDS: usize = 30;
const SAMPLES_PER_ROUND: usize = 100;
/// Cycles before them that warm up whoever had to wait.
const UNHEEDED: usize = 10;

/// Other people's clients, with the share of their time that ours may take: sequential, paired in clear, paired encrypted.
const STRANGERS: [(&str, Role, Option<[f64; 3]>); 2] = [
    ("open62541's client", Role::Open62541Client, Some([0.85, 0.5, 0.6])),
    ("async-opcua's client", Role::AsyncOpcuaClient, None),
];

/// How long one of our two clients looks for an answer before it sleeps.
const SPIN: Duration = Duration::from_micros(100);

/// How often a cycle begins: as soon as the one before has ended, or a thousand times a second.
const PACES: [(&str, Duration); 2] = [("free-running", Duration::ZERO), ("1 kHz", Duration::from_millis(1))];

pub(super) fn run(peers: &[Peer]) -> Result<Vec<Row>, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for encrypted in [false, true] {
        rows.extend(measure(encrypted, peers, directory.path())?);
        rows.extend(told::measure(encrypted, peers, &directory.path().join("told"))?);
    }
    Ok(rows)
}

fn measure(encrypted: bool, peers: &[Peer], directory: &Path) -> Result<Vec<Row>, String> {
    let security = if encrypted { "SignAndEncrypt" } else { "None" };
    let seats = Seats::take();
    let server = seats.for_others(|| Server::start(encrypted, 0, peers, directory))?;
    let (write, read) = sizes(&server)?;
    let (_helper, two) = seats.for_others(|| Helper::answering([write, read]))?;
    let together = (write.0 + read.0, write.1 + read.1);
    let (_other_helper, one) = seats.for_others(|| Helper::answering([together; 2]))?;
    let mut field = Field {
        two: (two, [write, read]),
        one: (one, [together]),
        client: RefCell::new(Client::connect(&server, &server.url, Duration::ZERO)?),
        spinning: RefCell::new(Client::connect(&server, &server.url, SPIN)?),
        strangers: strangers(&server, encrypted, peers)?,
    };
    let who: String = field.strangers.iter().map(|(name, _)| format!(", {name}")).collect();
    let mut rows = vec![
        Row::exact(
            format!("{security}, who took part at the server of {}: ours{who}", server.whose),
            1.0 + field.strangers.len() as f64,
            "clients",
        ),
        Row::exact(format!("{security}, bytes written and answered"), (write.0 + write.1) as f64, "B"),
        Row::exact(format!("{security}, bytes of read and answer"), (read.0 + read.1) as f64, "B"),
    ];
    for (pace, period) in PACES {
        let standings = field.compete(period)?;
        // The goals are about cycles that follow each other.
        let judged = period.is_zero().then_some(encrypted);
        rows.extend(field.rows(&standings, &format!("{security}, {pace}"), judged));
    }
    let allocations = (field.client.into_inner().allocations + field.spinning.into_inner().allocations) as f64;
    rows.push(Row::exact(format!("{security}, allocations in all our calls"), allocations, "").at_most(0.0));
    Ok(rows)
}

fn strangers(server: &Server, encrypted: bool, peers: &[Peer]) -> Result<Vec<(&'static str, Stranger)>, String> {
    let there = STRANGERS.iter().filter_map(|(name, role, _)| with_role(peers, *role).map(|program| (*name, program)));
    there.map(|(name, program)| Ok((name, Stranger::start(program, server, encrypted)?))).collect()
}

/// All who compete.
struct Field {
    /// A floor of two round trips, and what they carry.
    two: (TcpStream, [Sizes; 2]),
    /// A floor of one.
    one: (TcpStream, [Sizes; 1]),
    client: RefCell<Client>,
    /// The same, looking before it sleeps.
    spinning: RefCell<Client>,
    strangers: Vec<(&'static str, Stranger)>,
}

impl Field {
    fn compete(&mut self, period: Duration) -> Result<Standings, String> {
        let Self { two, one, client, spinning, strangers } = self;
        let in_turn = |samples, cycle: &mut dyn FnMut() -> f64| paced(samples, period, cycle);
        let mut contest = Contest::of_series(ROUNDS, SAMPLES_PER_ROUND)
            .series("floor", |n| in_turn(n, &mut || nanoseconds_of(|| round_trips(&mut two.0, &two.1))))
            .series("floor of one", |n| in_turn(n, &mut || nanoseconds_of(|| round_trips(&mut one.0, &one.1))))
            .series("sequential", |n| in_turn(n, &mut || client.borrow_mut().timed(Client::sequential)))
            .series("paired", |n| in_turn(n, &mut || client.borrow_mut().timed(Client::paired)))
            .series("spinning", |n| in_turn(n, &mut || spinning.borrow_mut().timed(Client::sequential)))
            .series("spinning, paired", |n| in_turn(n, &mut || spinning.borrow_mut().timed(Client::paired)));
        for (name, stranger) in strangers.iter_mut() {
            contest = contest.series(name, |n| stranger.cycles(UNHEEDED, n, period));
        }
        let standings = contest.run();
        let failed = client.borrow().failed + spinning.borrow().failed;
        if failed > 0 {
            return Err(format!("{failed} of our calls failed"));
        }
        match strangers.iter().find(|(_, stranger)| stranger.failed) {
            Some((name, _)) => Err(format!("{name} did not carry out its cycles")),
            None => Ok(standings),
        }
    }

    /// The report; `judged` are the figures that have goals, by whether they are encrypted.
    fn rows(&self, standings: &Standings, prefix: &str, judged: Option<bool>) -> Vec<Row> {
        let us = |what: &str, estimate| Row::measured(format!("{prefix}, {what}"), estimate, "us");
        let p50 = |what: &str, name: &str| us(&format!("{what}, p50"), standings.p50(name).times(1e-3));
        let p99 = |what: &str, name: &str| us(&format!("{what}, p99"), standings.p99(name).times(1e-3));
        let ratio = |what: &str, of: &str, to: &str, goal: Option<f64>| {
            let row = Row::ratio(format!("{prefix}, {what} : {to}"), standings.ratio(of, to));
            goal.map_or(row.clone(), |goal| row.at_most(goal))
        };
        let of_floor = judged.filter(|encrypted| !encrypted).map(|_| 1.5);
        let mut rows = vec![
            p50("floor of two round trips", "floor"),
            p50("floor of one", "floor of one"),
            p50("write, then read", "sequential"),
            p99("write, then read", "sequential"),
            ratio("write, then read", "sequential", "floor", of_floor),
            p50("paired", "paired"),
            p99("paired", "paired"),
            ratio("paired", "paired", "floor of one", of_floor),
            p50("spinning, write, then read", "spinning"),
            p50("spinning, paired", "spinning, paired"),
        ];
        for (name, _) in &self.strangers {
            let goals = STRANGERS.iter().find(|(other, ..)| other == name).and_then(|(.., goals)| *goals);
            let goal = |at: usize| goals.filter(|_| judged.is_some()).map(|goals| goals[at]);
            let paired = if judged == Some(true) { 2 } else { 1 };
            rows.extend([p50(name, name), p99(name, name)]);
            rows.push(ratio("write, then read", "sequential", name, goal(0)));
            rows.push(ratio("paired", "paired", name, goal(paired)));
            rows.push(ratio("spinning, write, then read", "spinning", name, goal(0)));
            rows.push(ratio("spinning, paired", "spinning, paired", name, goal(paired)));
        }
        rows.push(Row::ratio(format!("{prefix}, control"), standings.control()).note("the floor against itself"));
        rows
    }
}

/// Cycles on a grid, or one after the other; the first ones are not told.
fn paced(samples: usize, period: Duration, cycle: &mut dyn FnMut() -> f64) -> Vec<f64> {
    let mut next = Instant::now();
    let cycles = (0..UNHEEDED + samples).map(|_| {
        if !period.is_zero() {
            next += period;
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        cycle()
    });
    cycles.skip(UNHEEDED).collect()
}

/// Requests and answers of these sizes, one after the other.
fn round_trips(stream: &mut TcpStream, sizes: &[Sizes]) {
    let mut buffer = [1; 16 * 1024];
    for (request, answer) in sizes {
        stream.write_all(&buffer[..*request]).expect("the helper lives as long as the contest");
        stream.read_exact(&mut buffer[..*answer]).expect("the helper lives as long as the contest");
    }
}

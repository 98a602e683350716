//! A history in PostgreSQL: nothing is lost while the database is away, nothing comes twice, and whoever asks is told the same as of
//! a history in files.

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Arc;

use archive::{Reader, TrackInfo, TrackKind};
use historian::{Board, Desk, Kept};
use recall::{Asked, Host as _, KeeperStatus, Past};
use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, Plant, Process, SiteFile, wait_for_more};

#[path = "../../tools/historian/tests/server/mod.rs"]
mod server;

use server::{Server, wait_for};

/// What a site of the rig has, one of each kind.
const ALL: [&str; 9] = ["u", "level", "u.raw", "u.sent", "u.written", "u.readback", "reward", "mode", "value"];

/// The rig's site, whose historian keeps in that database.
fn site_with(place: &Place, plant: &Plant, server: &Server) -> SiteFile {
    let [host, port, user, database] = server.site("corerl_historian");
    let password = server.password_file();
    let infra = format!(
        "lab: true\ninfra:\n  db: {{drivername: postgresql, ip: {host}, port: {port}, username: {user}, db_name: {database}, \
         password: {{file: {}}}}}\n",
        password.display()
    );
    place.site(plant.url(), &[("lab: true\n", &infra)])
}

/// The historian that keeps in the database which the site file names; the other one is `main`, with its archive.
fn historian_of(place: &Place, site: &SiteFile) -> Process {
    let mut command = place.command("corerl-historian");
    command.args(["--name", "database", "--tether", "--config"]).arg(site.path());
    command.arg("--history").arg(place.path("elsewhere")).arg("--runtime-dir").arg(place.path("run"));
    Process::start(command)
}

fn output(mut command: Command) -> Output {
    command.output().expect("corerl starts")
}

/// What a command tells, and that it is fine.
fn told(place: &Place, words: &[&str]) -> Value {
    let output = output(place.corerl(words));
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("an object")
}

fn status(place: &Place, historian: &str) -> Value {
    told(place, &["data", "status", "--json", "--historian", historian])
}

/// Of each series what it was in which cycle. Each historian has looked at the clocks by itself, so their times differ by a little.
fn values(place: &Place, historian: &str) -> BTreeMap<String, Vec<(u64, Value, Value)>> {
    let words = ["data", "query", "--from", "-1h", "--json", "--historian", historian];
    let told = told(place, &[&words[..], &ALL].concat());
    let points = |of: &Value| {
        let point = |of: &Value| (of["cycle"].as_u64().unwrap(), of["value"].clone(), of["state"].clone());
        of["points"].as_array().unwrap().iter().map(point).collect()
    };
    let series = told["series"].as_array().unwrap();
    series.iter().map(|of| (of["tag"].as_str().unwrap().to_owned(), points(of))).collect()
}

/// Cycles and kinds of all events, and what is missing from the first to the last record.
fn events_and_gaps(place: &Place, historian: &str) -> (Vec<(Value, Value)>, Vec<Value>) {
    let of = |what| told(place, &["data", what, "--from", "-1h", "--json", "--historian", historian]);
    let events = of("events")["events"].as_array().unwrap().clone();
    let mut gaps = of("gaps")["gaps"].as_array().unwrap().clone();
    let before = gaps.remove(0);
    assert!(before["why"] == "before the first that is kept", "of the hour in which it ran for seconds: {before}");
    gaps.retain(|gap| gap["why"] != "after the last that is kept");
    (events.iter().map(|event| (event["cycle"].clone(), event["kind"].clone())).collect(), gaps)
}

#[test]
fn f80_a_database_that_was_away_has_everything_once_and_answers_as_files_do() {
    let test = "f80_a_database_that_was_away_has_everything_once_and_answers_as_files_do";
    let Some(mut server) = Server::prepared(test, &[]) else { return };
    let place = Place::new();
    let plant = place.plant();
    let site = site_with(&place, &plant, &server);
    let mut runtime = place.company(&site, &["--arm"]);
    let counters = runtime.counters();
    let (mut files, mut database) = (place.historian(), historian_of(&place, &site));
    wait_for_more(&counters, Counter::Cycles, 300);

    server.kill();
    wait_for(|| status(&place, "database")["keeper"]["database"]["away"].is_string());
    wait_for_more(&counters, Counter::Cycles, 400);
    let asked = output(place.corerl(&["data", "tags", "--historian", "database"]));
    let said = String::from_utf8_lossy(&asked.stderr);
    assert_eq!(asked.status.code(), Some(69), "{said}");
    assert!(said.contains("corerl_historian at"), "{said}");
    database.kill();
    let mut database = historian_of(&place, &site);
    wait_for_more(&counters, Counter::Cycles, 200);
    server.go_on();
    wait_for_more(&counters, Counter::Cycles, 200);
    assert_eq!(runtime.process.stop(Signal::TERM), 0);

    let behind = |place: &Place| status(place, "database")["keeper"]["database"]["spill_bytes"].as_u64();
    wait_for(|| {
        let newest = |historian| events_and_gaps(&place, historian).0.len();
        behind(&place) == Some(0) && newest("database") == newest("main")
    });
    let (of_database, of_files) = (values(&place, "database"), values(&place, "main"));
    assert_eq!(of_database.keys().count(), ALL.len());
    for (tag, points) in &of_files {
        assert!(!points.is_empty() && points.is_sorted_by(|one, next| one.0 < next.0), "{tag}");
        assert_eq!(&of_database[tag], points, "{tag}");
    }
    let (events, gaps) = events_and_gaps(&place, "database");
    assert_eq!((&events, &gaps), (&events_and_gaps(&place, "main").0, &Vec::new()));
    assert!(events.len() > 3, "{events:?}");

    assert_eq!((files.stop(Signal::TERM), database.stop(Signal::TERM)), (0, 0));
    let asked = output(place.corerl(&["data", "status"]));
    assert_eq!(asked.status.code(), Some(69), "nobody is there any more");
    drop(plant);
    assert_eq!(place.left_behind(), Vec::<String>::new());
    let board = Board::new(KeeperStatus::Archive { directory: String::new() });
    let desk = Desk::new(Arc::new(board), Kept::Database(Box::new(server.historian())));
    let kept = everything(&Asked(desk.source().unwrap()));
    assert_eq!(kept, everything(&Reader::open(&place.path("history")).unwrap()));
}

/// Cycle, the value's bits, and state.
type Points = Vec<(u64, u64, u32)>;

/// Every point of every track.
fn everything(past: &dyn Past) -> BTreeMap<(TrackKind, String), Points> {
    let points = |track: &TrackInfo| {
        let points = past.between(track, 0, u64::MAX >> 1).unwrap().into_iter().map(|timed| timed.point);
        let mut points: Points = points.map(|point| (point.cycle, point.value.to_bits(), point.state)).collect();
        points.sort_unstable();
        points
    };
    let tracks = past.tracks().unwrap();
    tracks.iter().map(|track| ((track.name.kind, track.name.name.clone()), points(track))).collect()
}

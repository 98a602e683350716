//! The dashboard of the history: every one of its queries, expanded as Grafana does, finds something in a real database.

use std::path::{Path, PathBuf};

use archive::{Commit, Event, Gap, Missing, Point, Run, TrackKind, TrackName};
use historian::{Keeper as _, Postgres};
use postgres::{Client, SimpleQueryMessage};
use serde_json::Value;

use super::server::{Server, wait_for};
use super::{BEGIN_NS, BUDGET};

/// A name that SQL has to be careful with.
const TAG: &str = "level's";
/// What Grafana would have computed from the width of the screen.
const INTERVAL_S: u64 = 10;

fn grafana() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../grafana")
}

fn dashboard() -> Value {
    let text = std::fs::read_to_string(grafana().join("history.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A minute of an agent of which there is everything.
fn keep(server: &Server, spill: &Path) {
    let mut keeper = Postgres::open(server.historian(), spill, BUDGET).unwrap();
    let run =
        Run { site: "works".into(), agent: "ph".into(), instance: "main".into(), number: 7, period_ns: 1_000_000_000 };
    let kept = keeper.run(&run).unwrap();
    let name = |kind: TrackKind| {
        let name = match kind {
            TrackKind::Tag => TAG,
            _ if kind.name().starts_with("setpoint") => "valve",
            _ => kind.name(),
        };
        TrackName { kind, name: name.into(), unit: "m".into() }
    };
    let tracks = keeper.tracks(kept.run, &TrackKind::ALL.map(name)).unwrap();
    let point = |cycle: u64| Point::new(cycle, 2.0, 0);
    let event = |number: u64, kind: &str| Event {
        number,
        cycle: number,
        unix_ns: BEGIN_NS + number * 1_000_000_000,
        kind: kind.into(),
        cause: 0,
        uid: None,
        a: 0,
        b: 0,
        text: "it went on".into(),
    };
    let why = "overwritten before it was read".to_owned();
    let gap = Gap { what: Missing::Cycles, first: 60, count: 3, after_cycle: Some(59), before_cycle: None, why };
    let commit = Commit {
        cycle_records: 0..63,
        events_read: 0..2,
        last_cycle: Some(59),
        points: (0..60).flat_map(|cycle| tracks.iter().map(move |track| (*track, point(cycle)))).collect(),
        events: vec![event(0, "trip"), event(1, "mode_change")],
        gaps: vec![gap],
        clock: Some((0, BEGIN_NS)),
    };
    keeper.commit(kept.run, &commit).unwrap();
    wait_for(|| {
        let status = keeper.status();
        status.behind_bytes == 0 && status.away.is_none()
    });
}

/// What Grafana makes of a query: variables of several values as literals, of one as they are; macros by the range of times.
fn expanded(sql: &str, agent: &str, tags: &[String]) -> String {
    let quoted = |text: &str| text.replace('\'', "''");
    let literals: Vec<_> = tags.iter().map(|tag| format!("'{}'", quoted(tag))).collect();
    let mut sql = sql.replace("$agent", &quoted(agent)).replace("$tag", &literals.join(","));
    let (from, to) = ("2023-11-14T23:00:00Z", "2023-11-15T01:00:00Z");
    while let Some(at) = sql.find("$__time") {
        let (name, rest) = sql[at..].split_once('(').unwrap();
        let (arguments, behind) = rest.split_once(')').unwrap();
        let (column, _) = arguments.split_once(',').unwrap_or((arguments, ""));
        let group = format!("floor(extract(epoch from {column})/{INTERVAL_S})*{INTERVAL_S}");
        let expression = match name {
            "$__timeFilter" => format!("{column} BETWEEN '{from}' AND '{to}'"),
            "$__timeGroup" => group,
            "$__timeGroupAlias" => format!("{group} AS \"time\""),
            other => panic!("Grafana has no macro {other} that is expanded here"),
        };
        sql = format!("{}{expression}{behind}", &sql[..at]);
    }
    assert!(!sql.contains('$'), "{sql}");
    sql
}

/// The first column's name, and all it has.
fn ask(client: &mut Client, what: &str, sql: &str) -> (String, Vec<String>) {
    let messages = client.simple_query(sql).unwrap_or_else(|error| panic!("{what}: {error:?}\n{sql}"));
    let (mut name, mut cells) = (String::new(), Vec::new());
    for message in messages {
        if let SimpleQueryMessage::Row(row) = message {
            name = row.columns()[0].name().to_owned();
            cells.push(row.get(0).unwrap_or_default().to_owned());
        }
    }
    assert!(!cells.is_empty(), "{what} finds nothing:\n{sql}");
    (name, cells)
}

#[test]
fn every_query_of_the_dashboard_finds_something_as_whoever_may_only_read() {
    let test = "every_query_of_the_dashboard_finds_something_as_whoever_may_only_read";
    let Some(server) = Server::prepared(test, &[]) else { return };
    let spill = tempfile::tempdir().unwrap();
    keep(&server, spill.path());
    let mut client = server.client();
    client.batch_execute("SET ROLE corerl_reader").unwrap();
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let query = |at: usize| variables[at]["query"].as_str().unwrap();
    let (_, agents) = ask(&mut client, "agents", query(1));
    let (_, tags) = ask(&mut client, "tags", &expanded(query(2), &agents[0], &[]));
    assert_eq!((agents, &tags), (vec!["works/ph".to_owned()], &vec![TAG.to_owned()]));
    let mut asked = 0;
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            let title = panel["title"].as_str().unwrap();
            let sql = expanded(target["rawSql"].as_str().unwrap(), "works/ph", &tags);
            let (first, _) = ask(&mut client, title, &sql);
            assert!(target["format"] != "time_series" || first == "time", "{title}: a series begins with its time");
            asked += 1;
        }
    }
    let annotation = &dashboard["annotations"]["list"][0]["target"]["rawSql"];
    assert_eq!(ask(&mut client, "annotation", &expanded(annotation.as_str().unwrap(), "works/ph", &tags)).1.len(), 2);
    assert!(asked >= 12, "{asked}");
}

#[test]
fn every_panel_has_a_number_of_its_own_and_no_password_is_written_down() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut numbers: Vec<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    numbers.dedup();
    assert_eq!(numbers.len(), panels.len());
    assert!(panels.iter().all(|panel| panel["datasource"]["uid"] == "${datasource}"));
    let source = grafana().join("provisioning/datasources/corerl-history.yaml");
    let source = std::fs::read_to_string(source).unwrap();
    let passwords: Vec<_> = source.lines().filter(|line| line.trim_start().starts_with("password:")).collect();
    assert_eq!(passwords, ["      password: $CORERL_GRAFANA_PASSWORD"]);
}

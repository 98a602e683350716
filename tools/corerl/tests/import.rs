//! `corerl data import` and `export` as people use them: what comes in goes out again, once, also beside a historian.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use archive::{Commit, Day, Point, Run, Store, TrackKind, TrackName, Turn};
use serde_json::Value;

const DAY_NS: u64 = 86_400_000_000_000;
/// 2026-10-25: the clocks of Berlin are set back.
const BEGIN_NS: u64 = 20_751 * DAY_NS;

fn corerl(place: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_corerl")).current_dir(place).arg("data").args(arguments).output().unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn import(place: &Path, file: &str, more: &[&str]) -> Output {
    corerl(place, &[&["import", file, "--agent", "works/ph", "--json"], more].concat())
}

/// Times and values of a tag, as `data query` tells them; repetitions have no time of their own.
fn kept(place: &Path, tag: &str) -> Vec<(String, Option<f64>, String)> {
    let window = ["--from", "2026-10-24", "--to", "2026-10-27", "--zone", "UTC", "--json"];
    let found = json(&corerl(place, &[&["query", tag][..], &window].concat()));
    let points = found["series"][0]["points"].as_array().unwrap();
    let told = |point: &Value| {
        let text = |key: &str| point[key].as_str().unwrap().to_owned();
        (text("time"), point["value"].as_f64(), text("state"))
    };
    points.iter().map(told).collect()
}

const WIDE: &str =
    "Timestamp;TI-7;PRESSURE [bar]\n25.10.2026 01:59;212;1,5\n25.10.2026 02:00;50;\n25.10.2026 03:00;bad;2,5\n";

#[test]
fn a_wide_table_of_wall_clock_times_is_brought_in_whole_or_not_at_all_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    fs::write(place.join("wide.csv"), WIDE).unwrap();
    let options = ["--zone", "Europe/Berlin", "--unit", "TI-7=°F:°C", "--refused", "refused.txt"];
    let refused = import(place, "wide.csv", &options);
    assert_eq!((refused.status.code(), json(&refused)["brought"].is_null()), (Some(1), true), "{refused:?}");
    let lines = fs::read_to_string(place.join("refused.txt")).unwrap();
    assert!(lines.starts_with("line 3: ") && lines.contains("--twice") && lines.lines().count() == 1, "{lines}");
    assert!(!place.join("history").exists(), "nothing is half there");
    let options = [&options[..], &["--twice", "later"]].concat();
    let dry = json(&import(place, "wide.csv", &[&options[..], &["--dry-run"]].concat()));
    assert_eq!((dry["tags"][0]["values"].as_u64(), place.join("history").exists()), (Some(3), false));
    let brought = json(&import(place, "wide.csv", &options));
    assert_eq!(brought["brought"]["days"], 2, "{brought}");
    assert!(import(place, "wide.csv", &options).status.success());
    assert!(json(&import(place, "wide.csv", &options))["brought"].is_null());
    let time = |clock: &str| format!("2026-10-{clock}:00.000Z");
    let own = |tag: &str| {
        let mut all = kept(place, tag);
        all.dedup_by(|later, one| (later.1, &later.2) == (one.1, &one.2));
        all
    };
    let (good, bad) = ("good".to_owned(), "bad".to_owned());
    let temperature = [
        (time("24T23:59"), Some(100.0), good.clone()),
        (time("25T01:00"), Some(10.0), good.clone()),
        (time("25T02:00"), None, bad),
    ];
    assert_eq!(own("TI-7"), temperature);
    assert_eq!(own("PRESSURE"), [(time("24T23:59"), Some(1.5), good.clone()), (time("25T02:00"), Some(2.5), good)]);
}

#[test]
fn a_file_that_overlaps_another_adds_what_is_new_and_tells_what_differs() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    fs::write(place.join("one.csv"), "time,tag,value,quality\n1792972800,PH,7.0,192\n1792972830,PH,7.1,192\n").unwrap();
    fs::write(place.join("two.csv"), "time,tag,value,quality\n1792972830,PH,7.2,192\n1792972860,PH,7.3,64\n").unwrap();
    assert!(import(place, "one.csv", &[]).status.success());
    let second = json(&import(place, "two.csv", &[]));
    let told = &second["tags"][0];
    assert_eq!([&told["values"], &told["known"], &told["differing"]].map(Value::as_u64), [Some(1); 3], "{second}");
    let found: Vec<_> = kept(place, "PH").into_iter().map(|(_, value, state)| (value, state)).collect();
    let expected =
        [(7.0, "good"), (7.1, "good"), (7.3, "uncertain")].map(|(value, state)| (Some(value), state.to_owned()));
    assert_eq!(found, expected);
    let run = second["brought"]["run"].as_str().unwrap();
    let undo = |agent: &str| corerl(place, &["import", "--undo", run, "--agent", agent]).status.code();
    assert_eq!([undo("works/other"), undo("works/ph"), undo("works/ph")], [Some(69), Some(0), Some(69)]);
    assert_eq!(kept(place, "PH").len(), 2);
    assert!(corerl(place, &["verify"]).status.success());
}

#[test]
fn what_is_exported_as_parquet_is_imported_as_it_was_with_its_nulls_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    fs::write(place.join("in.csv"), "time,PH [pH],FLOW\n1792972800,7.25,1\n1792972801,,2\n1792972802,NaN,3\n").unwrap();
    assert!(import(place, "in.csv", &[]).status.success());
    let window = ["--from", "2026-10-25T20:00:00Z", "--to", "2026-10-26T02:00:00Z", "--every", "1s"];
    let exported = corerl(place, &[&["export", "--out", "out.parquet"][..], &window].concat());
    assert!(exported.status.success(), "{exported:?}");
    assert!(fs::read(place.join("out.parquet")).unwrap().starts_with(b"PAR1"));
    let table = history::Table::read(&place.join("out.parquet")).unwrap();
    let values: Vec<_> = table.column("PH").unwrap().cells().filter_map(history::Cell::value).collect();
    assert_eq!((values.first(), values.last()), (Some(&7.25), Some(&7.25)));
    let again = json(&import(place, "out.parquet", &["--history", "other"]));
    assert!(again["tags"][0]["values"].as_u64() >= Some(1), "{again}");
    let named = corerl(place, &[&["export", "--out", "out.bin", "--format", "parquet"][..], &window].concat());
    assert!(named.status.success() && fs::read(place.join("out.bin")).unwrap().starts_with(b"PAR1"));
}

#[test]
fn what_a_historian_writes_and_seals_meanwhile_stays_and_a_second_import_waits_its_turn() {
    let directory = tempfile::tempdir().unwrap();
    let (place, history) = (directory.path(), directory.path().join("history"));
    let mut store = Store::open(&history).unwrap();
    let run =
        Run { site: "works".into(), agent: "ph".into(), instance: "main".into(), number: 1, period_ns: 1_000_000_000 };
    let run = store.run(&run).unwrap().run;
    let name = TrackName { kind: TrackKind::Tag, name: "PH".into(), unit: "pH".into() };
    let track = store.tracks(run, &[name]).unwrap()[0];
    let commit = |at: u64| Commit {
        cycle_records: at..at + 1,
        points: vec![(track, Point { age_us: 1, ..Point::new(at, at as f64, 0) })],
        clock: (at == 0).then_some((0, BEGIN_NS + 60_000_000_000)),
        last_cycle: Some(at),
        ..Commit::default()
    };
    store.commit(run, &commit(0)).unwrap();
    store.seal(Day::of(BEGIN_NS)).unwrap();
    fs::write(place.join("old.csv"), "time,PH\n2026-10-24T23:59:00Z,5\n2026-10-25T00:00:30Z,6\n").unwrap();
    let turn = Turn::take(&history).unwrap();
    assert_eq!(import(place, "old.csv", &[]).status.code(), Some(75));
    drop(turn);
    assert!(import(place, "old.csv", &[]).status.success());
    store.commit(run, &commit(1)).unwrap();
    store.seal(Day::of(BEGIN_NS)).unwrap();
    let values: Vec<_> = kept(place, "PH").into_iter().filter_map(|(_, value, _)| value).collect();
    assert_eq!(values, [5.0, 6.0, 0.0, 1.0]);
    assert!(corerl(place, &["verify"]).status.success());
}

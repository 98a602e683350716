//! `corerl export` and `corerl report` as programs, over a recording and a capture of a real run.

use std::path::Path;
use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;
use shm_layout::Counter;
use tests::{Place, wait_for_count};

fn corerl(place: &Place, arguments: &[&str]) -> Output {
    place.command("corerl").args(arguments).output().expect("corerl can be started")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A directory with a recording, `run.rec`, and a capture, `run.cap`, of the same run.
fn recorded() -> Place {
    let place = Place::new();
    let site = place.site("opc.tcp://127.0.0.1:1", &[]);
    let mut runtime = place.runtime(&site, &["--record", "run.rec"]);
    wait_for_count(&runtime.counters(), Counter::Cycles, 200);
    let mut record = place.corerl(&["record", "--for", "0.2"]);
    let output = record.arg("--out").arg(place.path("run.cap")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(runtime.process.stop(Signal::TERM), 0);
    place
}

#[test]
fn recordings_and_captures_become_files_of_every_format_and_a_page() {
    let place = recorded();
    for file in ["run.rec", "run.cap"] {
        let path = place.path(file);
        let path = path.to_str().unwrap();
        for (format, begin) in [("mcap", &b"\x89MCAP0"[..]), ("parquet", b"PAR1"), ("csv", "\u{feff}time,".as_bytes())]
        {
            let output = corerl(&place, &["export", path, "--to", format, "--json"]);
            assert!(output.status.success(), "{output:?}");
            let told: Value = serde_json::from_slice(&output.stdout).expect("an object");
            assert_eq!((&told["schema"], &told["first_cycle"]), (&"corerl.export/1".into(), &0.into()), "{told:#}");
            assert!(told["cycles"].as_u64() >= Some(200), "{told:#}");
            assert_eq!((&told["cycles_missing"], &told["ending"]["kind"]), (&0.into(), &"closed".into()), "{told:#}");
            let exported = std::fs::read(told["out"].as_str().unwrap()).unwrap();
            assert!(exported.starts_with(begin), "{format}");
            if format == "csv" {
                let rows = exported.iter().filter(|byte| **byte == b'\n').count() as u64 - 1;
                assert_eq!(told["cycles"], rows);
            }
        }
        let output = corerl(&place, &["report", path]);
        assert!(output.status.success(), "{output:?}");
        let page = std::fs::read_to_string(format!("{path}.html")).unwrap();
        assert!(page.contains("No trip.") && page.contains("</html>"), "{file}");
    }
}

/// When each cycle of a file was, microseconds of its day.
fn times_of_day(place: &Place, file: &str) -> std::collections::HashMap<String, i64> {
    let out = place.path("times.csv");
    let path = place.path(file);
    let output = corerl(place, &["export", path.to_str().unwrap(), "--to", "csv", "--out", out.to_str().unwrap()]);
    assert!(output.status.success(), "{output:?}");
    let text = std::fs::read_to_string(&out).unwrap();
    std::fs::remove_file(&out).unwrap();
    let of_row = |row: &str| {
        let mut cells = row.split(',');
        let (time, cycle) = (cells.next()?.strip_suffix('Z')?.split_once('T')?.1, cells.nth(1)?);
        let seconds = time.split(':').try_fold(0.0, |sum, part| Some(sum * 60.0 + part.parse::<f64>().ok()?))?;
        Some((cycle.to_owned(), (seconds * 1e6) as i64))
    };
    text.lines().skip(1).map(|row| of_row(row).expect("a time and a cycle")).collect()
}

#[test]
fn a_recording_and_a_capture_of_the_same_cycle_tell_the_same_time() {
    let place = recorded();
    let (recording, capture) = (times_of_day(&place, "run.rec"), times_of_day(&place, "run.cap"));
    let day = 86_400_000_000_i64;
    let apart = |(cycle, at): (&String, &i64)| Some((at - capture.get(cycle)?).rem_euclid(day));
    let apart: Vec<_> = recording.iter().filter_map(apart).map(|us| us.min(day - us)).collect();
    assert!(apart.len() > 100, "{} cycles are in both", apart.len());
    // Not how fast anything was: how well two looks at both clocks agree.
    let most = apart.iter().max();
    assert!(most < Some(&3_000), "{most:?} us");
}

#[test]
fn a_missing_file_and_an_empty_range_are_told_apart_and_leave_nothing() {
    let place = recorded();
    let path = place.path("run.rec");
    let path = path.to_str().unwrap();
    let nowhere = place.path("nowhere.rec");
    for arguments in [&["export", nowhere.to_str().unwrap(), "--to", "csv"][..], &["report", nowhere.to_str().unwrap()]]
    {
        let output = corerl(&place, arguments);
        assert_eq!(output.status.code(), Some(69), "{output:?}");
        assert!(said(&output).contains("cannot read"), "{output:?}");
    }
    for (end, at) in [("--from", "1e6"), ("--from", "cycle:99999999"), ("--until=-1", "")] {
        let mut arguments = vec!["export", path, "--to", "csv", end];
        arguments.extend(Some(at).filter(|at| !at.is_empty()));
        let output = corerl(&place, &arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said(&output).contains("it has the cycles 0 to "), "{output:?}");
    }
    for left in ["run.rec.csv", "run.rec.csv.part"] {
        assert!(!Path::new(&place.path(left)).exists(), "{left}");
    }
}

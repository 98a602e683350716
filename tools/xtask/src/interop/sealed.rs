//! Days that the historian has sealed, in the programs that they are sealed for: one dataset, partitioned as Hive does, in which
//! everything is what `corerl data` says.

use std::path::Path;
use std::process::{Command, Stdio};

use archive::{Commit, Day, Event, Gap, Missing, Point, Run, Store, StoreError, TrackKind, TrackName};

/// The last half minute of a day, which the next one's first follows: 2023-11-14T23:59:30Z.
const BEGIN_NS: u64 = 1_700_006_370_000_000_000;
const PERIOD_NS: u64 = 1_000_000_000;
const CYCLES: u64 = 60;
/// Of plants whose names have to be escaped in a path, and of others.
const SITES: [&str; 2] = ["works", "Werk 2=ü"];

/// What is asked of `corerl data`, and into which file the answer goes.
const ANSWERS: [(&str, &[&str]); 3] = [
    ("samples.csv", &["query", "level", "valve.sent", "reward", "--format", "csv"]),
    ("events.json", &["events", "--json"]),
    ("gaps.json", &["gaps", "--json"]),
];

/// Writes a history of two days, both sealed, and what our program says of it.
pub(super) fn write(programs: &Path, directory: &Path) -> Result<(), String> {
    let history = directory.join("history");
    keep(&history).map_err(|error| format!("the history cannot be written: {error}"))?;
    for (file, question) in ANSWERS {
        let mut data = Command::new(programs.join("corerl"));
        data.arg("data").args(question).arg("--history").arg(&history).args(["--zone", "UTC"]);
        data.args(["--from", "2023-11-14T23:59:30Z", "--to", "2023-11-15T00:01:00Z"]);
        let output =
            data.stdin(Stdio::null()).output().map_err(|error| format!("corerl cannot be started: {error}"))?;
        if !output.status.success() {
            return Err(format!("{data:?}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        std::fs::write(directory.join(file), output.stdout).map_err(|error| format!("{file}: {error}"))?;
    }
    Ok(())
}

fn keep(history: &Path) -> Result<(), StoreError> {
    let mut store = Store::open(history)?;
    for site in SITES {
        let (site, agent, instance) = (site.to_owned(), "ph".to_owned(), "main".to_owned());
        let run = store.run(&Run { site, agent, instance, number: 7, period_ns: PERIOD_NS })?.run;
        let name = |kind, name: &str, unit: &str| TrackName { kind, name: name.to_owned(), unit: unit.to_owned() };
        let names = [
            name(TrackKind::Tag, "level", "m"),
            name(TrackKind::Sent, "valve", "%"),
            name(TrackKind::Reward, "reward", ""),
        ];
        let tracks = store.tracks(run, &names)?;
        let points = (0..CYCLES).flat_map(|cycle| tracks.iter().map(move |track| (*track, point(cycle))));
        let commit = Commit {
            cycle_records: 0..CYCLES + 3,
            events_read: 0..2,
            last_cycle: Some(CYCLES - 1),
            points: points.collect(),
            events: vec![event(0), event(CYCLES - 1)],
            gaps: vec![gap()],
            clock: Some((0, BEGIN_NS)),
        };
        store.commit(run, &commit)?;
    }
    let first = Day::of(BEGIN_NS);
    for day in [first, Day::of(first.last_ns() + 1)] {
        store.seal(day)?;
    }
    Ok(())
}

/// Every eleventh has no value; the digits of the others are not round.
fn point(cycle: u64) -> Point {
    let value = if cycle % 11 == 10 { f64::NAN } else { cycle as f64 / 7.0 };
    let state = if value.is_nan() { 2 } else { u32::from(cycle % 5 == 4) };
    Point { age_us: 100 + cycle as u32, source_us: source_us(cycle), ..Point::new(cycle, value, state) }
}

/// Some sources give no time.
const fn source_us(cycle: u64) -> u64 {
    if cycle % 4 == 3 { 0 } else { (BEGIN_NS + cycle * PERIOD_NS) / 1_000 - 1_001 }
}

fn event(cycle: u64) -> Event {
    Event {
        number: u64::from(cycle > 0),
        cycle,
        unix_ns: BEGIN_NS + cycle * PERIOD_NS,
        kind: "trip".to_owned(),
        cause: 3,
        uid: (cycle > 0).then_some(1000),
        a: u64::MAX,
        b: cycle,
        text: "Überlauf, \"B7\"".to_owned(),
    }
}

fn gap() -> Gap {
    let why = "overwritten before it was read".to_owned();
    Gap { what: Missing::Cycles, first: 20, count: 3, after_cycle: Some(20), before_cycle: Some(24), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_history_stays_hot() {
        let directory = tempfile::tempdir().unwrap();
        keep(directory.path()).unwrap();
        assert_eq!(Store::open(directory.path()).unwrap().oldest_hot_day().unwrap(), None);
        assert_eq!(archive::verify(directory.path()).unwrap().findings, []);
    }
}

//! What must be found when rows have changed or are gone, whichever way that came.

use std::path::Path;

use proptest::prelude::*;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::faults::{day, kept};
use super::tally::{self, Table};
use super::*;
use crate::{Checked, Day, Limit, Old, OldTrack, Point, Retention, TrackKind, TrackName, Turn, verify};

/// An archive that has a row of every table.
fn full(directory: &Path) -> Store {
    let mut store = kept(directory);
    store.seal(day()).unwrap();
    let none = Limit { age: None, bytes: Some(0) };
    store.purge(&Retention { minutes: none, ..Retention::default() }, 30_000 * 86_400_000_000_000).unwrap();
    let (_, tracks) = super::histories::infos(directory);
    let points = vec![(tracks[0].id, Point::new(180_001, 1.0, 0))];
    let commit = Commit { cycle_records: 180_000..180_002, events_read: 4..4, points, ..Commit::default() };
    store.commit(tracks[0].run, &commit).unwrap();
    let name = TrackName { kind: TrackKind::Tag, name: "old".into(), unit: "m".into() };
    let values = (0..3).map(|n| Old { unix_ns: n * 1_000_000_000, value: 1.0, state: 0, age_us: 0 }).collect();
    let turn = Turn::take(directory).unwrap();
    store.bring(&turn, ("works", "old"), &[OldTrack { name, values }], &mut |_| {}).unwrap().unwrap();
    store
}

/// Every table of the file.
fn all_tables(file: &Connection) -> Vec<Table> {
    let mut names = file.prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name").unwrap();
    let names: Vec<String> = names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let columns = |name: &String| -> Vec<String> {
        let mut columns = file.prepare("SELECT name FROM pragma_table_info(?)").unwrap();
        columns.query_map([name], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    names.into_iter().map(|name| Table { columns: columns(&name), name }).collect()
}

fn rows(file: &Connection, table: &Table) -> Vec<Vec<Value>> {
    let mut rows = file.prepare(&format!("SELECT {} FROM {}", table.columns.join(", "), table.name)).unwrap();
    let row = |row: &rusqlite::Row<'_>| (0..table.columns.len()).map(|at| row.get(at)).collect();
    rows.query_map([], row).unwrap().map(Result::unwrap).collect()
}

/// The field with another bit; what was nothing becomes something.
fn flipped(field: &Value, at: usize) -> Vec<Value> {
    let flip = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        let len = bytes.len().max(1);
        match bytes.get_mut(at / 8 % len) {
            Some(byte) => *byte ^= 1 << (at % 8),
            None => bytes.push(b'x'),
        }
        bytes
    };
    match field {
        Value::Null => vec![Value::Integer(7), Value::Text("x".into())],
        Value::Integer(integer) => vec![Value::Integer(integer ^ 1 << (at % 64))],
        // Seven bits: what is no UTF-8 cannot be given to SQLite here.
        Value::Text(text) => vec![Value::Text(String::from_utf8_lossy(&flip(text.as_bytes())).into_owned())],
        Value::Blob(blob) => vec![Value::Blob(flip(blob))],
        Value::Real(real) => vec![Value::Real(-real)],
    }
}

/// Puts a row in the place of another, if there are both; how many rows that were.
fn replace(file: &Connection, table: &Table, old: &[Value], new: Option<&[Value]>) -> rusqlite::Result<usize> {
    let Table { name, columns } = table;
    let [columns, marks] = [columns.join(", "), vec!["?"; columns.len()].join(", ")];
    match new {
        Some(new) => {
            let sql = format!("UPDATE {name} SET ({columns}) = ({marks}) WHERE ({columns}) IS ({marks})");
            file.execute(&sql, params_from_iter(new.iter().chain(old)))
        }
        None => file.execute(&format!("DELETE FROM {name} WHERE ({columns}) IS ({marks})"), params_from_iter(old)),
    }
}

fn put_back(file: &Connection, table: &Table, row: &[Value]) {
    let Table { name, columns } = table;
    let marks = vec!["?"; columns.len()].join(", ");
    let sql = format!("INSERT INTO {name} ({}) VALUES ({marks})", columns.join(", "));
    file.execute(&sql, params_from_iter(row)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3))]

    #[test]
    fn every_field_of_every_table_that_changes_and_every_row_that_goes_is_found(
        row in any::<prop::sample::Index>(), bit in 0usize..1024,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let _store = full(directory.path());
        prop_assert_eq!(verify(directory.path()).unwrap().findings, []);
        let file = Connection::open(directory.path().join(HOT)).unwrap();
        file.pragma_update(None, "foreign_keys", false).unwrap();
        let tables = all_tables(&file);
        prop_assert_eq!(tables.len(), tally::tables().unwrap().len() + 1, "a table of this file is not counted");
        for table in &tables {
            let rows = rows(&file, table);
            prop_assert!(!rows.is_empty(), "this test has no row of {}", table.name);
            let old = &rows[row.index(rows.len())];
            for (at, field) in old.iter().enumerate() {
                let mut tried = flipped(field, bit).into_iter().filter_map(|field| {
                    let mut new = old.clone();
                    new[at] = field;
                    // What the schema itself refuses nobody has to find.
                    replace(&file, table, old, Some(&new)).ok().map(|rows| (rows, new))
                });
                let Some((changed, new)) = tried.next() else { continue };
                prop_assert_eq!(changed, 1);
                let findings = verify(directory.path()).unwrap().findings;
                prop_assert!(!findings.is_empty(), "{}.{} of {:?}", table.name, table.columns[at], old);
                replace(&file, table, &new, Some(old)).unwrap();
            }
            prop_assert_eq!(replace(&file, table, old, None).unwrap(), 1);
            prop_assert!(!verify(directory.path()).unwrap().findings.is_empty(), "{} without {:?}", table.name, old);
            put_back(&file, table, old);
        }
        prop_assert_eq!(verify(directory.path()).unwrap().findings, []);
    }
}

#[test]
fn what_changed_before_it_was_sealed_is_found_afterwards_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = kept(directory.path());
    let file = Connection::open(directory.path().join(HOT)).unwrap();
    file.execute("UPDATE event SET uid = 4711 WHERE number = 0", []).unwrap();
    for day in [day(), Day::of(day().last_ns() + 1), Day::of(day().last_ns() + 86_400_000_000_001)] {
        store.seal(day).unwrap();
    }
    let findings = verify(directory.path()).unwrap().findings;
    assert!(findings.len() == 1 && findings[0].what.contains("when it was sealed"), "{findings:?}");
}

#[test]
fn what_is_gone_is_told_with_its_number_and_whose_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let _store = kept(directory.path());
    let file = Connection::open(directory.path().join(HOT)).unwrap();
    file.execute("DELETE FROM event WHERE number IN (1, 2)", []).unwrap();
    let told: Vec<_> = verify(directory.path()).unwrap().findings.into_iter().map(|of| (of.place, of.what)).collect();
    let expected = [
        ("hot.sqlite, event, run 1", "4 rows were written, and 2 of them are missing"),
        ("events of works/ph, run 1", "numbers 1 to 2 are neither kept nor named as missing"),
    ];
    assert_eq!(told, expected.map(|(place, what)| (place.to_owned(), what.to_owned())));
}

#[test]
fn a_schema_that_has_changed_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let _store = kept(directory.path());
    let file = Connection::open(directory.path().join(HOT)).unwrap();
    file.execute("DROP INDEX event_by_time", []).unwrap();
    let findings = verify(directory.path()).unwrap().findings;
    assert!(findings.len() == 1 && findings[0].place == "hot.sqlite, event_by_time", "{findings:?}");
}

#[test]
fn an_archive_of_the_version_before_is_read_and_its_rows_count_from_when_it_is_opened_to_be_written() {
    let directory = tempfile::tempdir().unwrap();
    drop(kept(directory.path()));
    let file = Connection::open(directory.path().join(HOT)).unwrap();
    file.execute("DROP TABLE tally", []).unwrap();
    file.pragma_update(None, "user_version", WITHOUT_TALLY).unwrap();
    let before = verify(directory.path()).unwrap();
    assert!(before.findings.is_empty() && !before.checked.rows_are_counted && before.checked.events == 4, "{before:?}");
    let mut store = Store::open(directory.path()).unwrap();
    store.seal(day()).unwrap();
    let after = verify(directory.path()).unwrap();
    assert_eq!(after.findings, []);
    let Checked { rows_are_counted, events, points, days, files, .. } = after.checked;
    assert_eq!((rows_are_counted, events, points, days, files), (true, 4, before.checked.points, 1, 3));
    file.execute("UPDATE event SET text = 'nothing'", []).unwrap();
    assert_eq!(verify(directory.path()).unwrap().findings.len(), 1);
}

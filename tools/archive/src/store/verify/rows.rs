//! The rows of the hot file: whether all of them are there, and each as it was written.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use rusqlite::{Connection, params};

use super::{Verified, found};
use crate::rows::Missing;
use crate::sealed::{self, Class, Owner};
use crate::store::catalogue::files;
use crate::store::tally::{self, Lot, Tally};
use crate::store::write::count;
use crate::store::{HOT, StoreError, VERSION, label, versions};

/// Whether the tables and indexes are those of this version.
pub(super) fn schema(connection: &Connection, verified: &mut Verified) -> Result<(), StoreError> {
    for (name, sql) in tally::schema(versions(connection)?.1)? {
        let query = "SELECT count(*) FROM sqlite_schema WHERE (name, sql) = (?, ?)";
        let there: i64 = connection.query_row(query, params![name, sql], |row| row.get(0))?;
        if there != 1 {
            found(&mut verified.findings, format!("{HOT}, {name}"), "it is not made as this version makes it");
        }
    }
    Ok(())
}

/// Whether there are as many rows as were written, and of the same digests.
pub(super) fn tallies(connection: &Connection, verified: &mut Verified) -> Result<(), StoreError> {
    let there = tally::counted(connection)?;
    verified.checked.rows = there.values().map(|tally| count(tally.rows)).sum();
    verified.checked.rows_are_counted = versions(connection)?.1 >= VERSION;
    if !verified.checked.rows_are_counted {
        return Ok(());
    }
    let written = tally::written(connection)?;
    let owners: BTreeMap<_, _> =
        tally::tables()?.iter().filter_map(|table| Some((table.name.clone(), table.owner()?.to_owned()))).collect();
    let lots: BTreeSet<&Lot> = written.keys().chain(there.keys()).collect();
    for lot in lots {
        let [written, there] = [&written, &there].map(|tallies| tallies.get(lot).copied().unwrap_or_default());
        if let Some(what) = difference(written, there) {
            let (table, owner) = lot;
            let whose = owners.get(table).map_or_else(String::new, |of| format!(", {of} {owner}"));
            found(&mut verified.findings, format!("{HOT}, {table}{whose}"), what);
        }
    }
    Ok(())
}

/// What is wrong with rows that belong together.
fn difference(written: Tally, there: Tally) -> Option<String> {
    // A tally that was damaged has any number.
    let [written_rows, there_rows] = [written.rows, there.rows].map(i128::from);
    let rows = |rows: i128| if rows == 1 { "1 row".to_owned() } else { format!("{rows} rows") };
    match (written_rows - there_rows, written.sum == there.sum) {
        (0, true) => None,
        (0, false) if there.rows == 0 => {
            Some("a row was not what was written any more when it was sealed or purged".to_owned())
        }
        (0, false) => Some(format!("of {} at least one is not what was written", rows(there_rows))),
        (lost @ 1.., _) => Some(format!("{} were written, and {} of them are missing", rows(written_rows), lost)),
        (more, _) => Some(format!("{} too many: {} were written", rows(-more), rows(written_rows))),
    }
}

/// How many events the hot file has.
pub(super) fn events(connection: &Connection, verified: &mut Verified) -> Result<(), StoreError> {
    verified.checked.events += connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0).map(count))?;
    Ok(())
}

/// Numbers of a run's events that are accounted for.
type Numbers = Vec<Range<u64>>;

/// Whether each event from the first one that is kept up to the last one that was read is kept, or named as missing. Of a site of
/// which events or gaps were purged nobody knows.
pub(super) fn numbers(connection: &Connection, directory: &Path, verified: &mut Verified) -> Result<(), StoreError> {
    let mut rows = connection.prepare("SELECT DISTINCT site FROM purged WHERE what IN ('events', 'gaps')")?;
    let mut unknown = rows.query_map([], |row| row.get(0))?.collect::<Result<BTreeSet<String>, _>>()?;
    let mut sealed = sealed_numbers(connection, directory, &mut unknown)?;
    let mut rows = connection.prepare("SELECT id, site, agent, instance, number, next_event FROM run ORDER BY id")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let (id, site): (i64, String) = (row.get(0)?, row.get(1)?);
        let owner = Owner { agent: row.get(2)?, instance: row.get(3)?, run: row.get(4)? };
        let mut numbers = hot_numbers(connection, id)?;
        numbers.extend(sealed.remove(&key(&site, &owner)).unwrap_or_default());
        if unknown.contains(&site) {
            continue;
        }
        for hole in holes(numbers, count(row.get(5)?)) {
            let place = format!("events of {}, run {id}", label(&site, &owner.agent, &owner.instance));
            let numbers = match hole.end - hole.start {
                1 => format!("number {} is", hole.start),
                _ => format!("numbers {} to {} are", hole.start, hole.end - 1),
            };
            let what = format!("{numbers} neither kept nor named as missing");
            found(&mut verified.findings, place, what);
        }
    }
    Ok(())
}

/// A run of a site, to be looked up.
fn key(site: &str, owner: &Owner) -> [String; 4] {
    [site, &owner.agent, &owner.instance, &owner.run].map(str::to_owned)
}

fn hot_numbers(connection: &Connection, run: i64) -> Result<Numbers, StoreError> {
    let sql = "SELECT number, number + 1 FROM event WHERE run = ?1
               UNION ALL SELECT first, first + count FROM gap WHERE run = ?1 AND what = 'events'";
    let mut rows = connection.prepare_cached(sql)?;
    let numbers = rows.query_map([run], |row| Ok(count(row.get(0)?)..count(row.get(1)?)))?;
    Ok(numbers.collect::<Result<_, _>>()?)
}

/// Those of sealed days, by their runs. A file that cannot be read is a finding of its own: its site's numbers are not known.
fn sealed_numbers(
    connection: &Connection,
    directory: &Path,
    unknown: &mut BTreeSet<String>,
) -> Result<BTreeMap<[String; 4], Numbers>, StoreError> {
    let mut all: BTreeMap<_, Numbers> = BTreeMap::new();
    for (site, path, digest) in files(connection, Class::Events, (0, u64::MAX))? {
        match sealed::events(&directory.join(path), &digest) {
            Ok(events) => events.into_iter().for_each(|(owner, event)| {
                all.entry(key(&site, &owner)).or_default().push(event.number..event.number + 1);
            }),
            Err(_) => _ = unknown.insert(site),
        }
    }
    for (site, path, digest) in files(connection, Class::Gaps, (0, u64::MAX))? {
        match sealed::gaps(&directory.join(path), &digest) {
            Ok(gaps) => {
                gaps.into_iter().filter(|(_, _, gap)| gap.what == Missing::Events).for_each(|(owner, _, gap)| {
                    all.entry(key(&site, &owner)).or_default().push(gap.first..gap.first.saturating_add(gap.count));
                })
            }
            Err(_) => _ = unknown.insert(site),
        }
    }
    Ok(all)
}

/// What is missing between the first of these numbers and the end.
fn holes(mut numbers: Numbers, end: u64) -> Vec<Range<u64>> {
    numbers.sort_by_key(|numbers| numbers.start);
    let Some(mut next) = numbers.first().map(|first| first.start) else { return Vec::new() };
    let mut holes = Vec::new();
    for numbers in numbers.into_iter().chain(std::iter::once(end..end)) {
        if numbers.start > next {
            holes.push(next..numbers.start);
        }
        next = next.max(numbers.end);
    }
    holes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_neither_kept_nor_named_are_found_inside_and_at_the_end() {
        assert_eq!(holes(vec![5..6, 3..4, 4..5, 6..9], 9), []);
        assert_eq!(holes(vec![3..4, 6..7, 6..9], 11), [4..6, 9..11]);
        assert_eq!(holes(Vec::new(), 11), []);
    }
}

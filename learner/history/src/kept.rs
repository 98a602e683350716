//! What the historian has kept of an agent, as a table.

use std::collections::BTreeMap;

use archive::{HOLDS_NS, RunId, Timed, TrackInfo, TrackKind};
use recall::{AskError, Past};

use crate::table::{Column, Table};

/// So many rows are read at a time.
const ROWS: u64 = 4096;

/// What of a history becomes a table.
#[derive(Debug, Clone)]
pub struct Wanted<'a> {
    /// `SITE/AGENT`.
    pub agent: &'a str,
    /// The first row, and the time that none is after, nanoseconds since 1970.
    pub times_ns: (u64, u64),
    /// From row to row.
    pub every_ns: u64,
    /// The columns, by their [addresses](archive::TrackName::address); all tags, if there are none.
    pub columns: &'a [String],
}

/// Rows of a table, part by part: one every so often, with the value that holds then.
pub struct Rows<'a> {
    past: &'a dyn Past,
    columns: Vec<(String, Vec<TrackInfo>)>,
    /// Up to when each run is kept: what it held holds no longer.
    ends: BTreeMap<RunId, u64>,
    next_ns: u64,
    to_ns: u64,
    every_ns: u64,
}

impl<'a> Rows<'a> {
    /// Finds the columns.
    ///
    /// # Errors
    /// What was kept cannot be read.
    pub fn begin(past: &'a dyn Past, wanted: &Wanted<'_>) -> Result<Self, AskError> {
        let (from_ns, to_ns) = wanted.times_ns;
        // Most of a long history is of runs that had ended before.
        let concerns = |(begin, end): (u64, u64)| begin <= to_ns && end.saturating_add(HOLDS_NS) >= from_ns;
        let runs = past.runs()?.into_iter().filter(|run| run.times_ns.is_some_and(concerns));
        let ends: BTreeMap<RunId, u64> = runs.filter_map(|run| Some((run.id, run.times_ns?.1))).collect();
        let mut found: BTreeMap<String, Vec<TrackInfo>> = BTreeMap::new();
        let mut order = Vec::new();
        for track in past.tracks()?.into_iter().filter(|track| track.agent == wanted.agent) {
            let address = track.name.address();
            let is_wanted = match wanted.columns {
                [] => track.name.kind == TrackKind::Tag,
                columns => columns.contains(&address),
            };
            if is_wanted {
                if !found.contains_key(&address) {
                    order.push(address.clone());
                }
                let tracks = found.entry(address).or_default();
                tracks.extend(Some(track).filter(|track| ends.contains_key(&track.run)));
            }
        }
        let order = if wanted.columns.is_empty() { order } else { wanted.columns.to_vec() };
        let columns = order.into_iter().map(|address| (address.clone(), found.remove(&address).unwrap_or_default()));
        Ok(Self { past, columns: columns.collect(), ends, next_ns: from_ns, to_ns, every_ns: wanted.every_ns.max(1) })
    }

    /// The names of the columns.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The next rows as a table; `None` after the last one.
    ///
    /// # Errors
    /// What was kept cannot be read.
    pub fn more(&mut self) -> Result<Option<Table>, AskError> {
        if self.next_ns > self.to_ns {
            return Ok(None);
        }
        let left = (self.to_ns - self.next_ns) / self.every_ns + 1;
        let times: Vec<u64> = (0..left.min(ROWS)).map(|row| self.next_ns + row * self.every_ns).collect();
        let (first, last) = (self.next_ns, times.last().copied().unwrap_or(self.next_ns));
        let mut table = Table { times_ns: times.iter().map(|time| time.cast_signed()).collect(), ..Table::default() };
        for (name, tracks) in &self.columns {
            let mut points = Vec::new();
            for track in tracks {
                let end = self.ends.get(&track.run).copied().unwrap_or_default();
                let found = self.past.between(track, first.saturating_sub(HOLDS_NS), last)?;
                points.extend(found.into_iter().map(|timed| (timed, timed.unix_ns.saturating_add(HOLDS_NS).min(end))));
            }
            points.sort_by_key(|(timed, _)| timed.unix_ns);
            table.columns.push(Column::of_cells(name, held(&points, &times, tracks)));
        }
        self.next_ns = last + self.every_ns;
        Ok(Some(table))
    }

    /// All of it that is left.
    ///
    /// # Errors
    /// What was kept cannot be read.
    pub fn rest(mut self) -> Result<Table, AskError> {
        let columns = self.names().map(Column::new).collect();
        let mut whole = Table { columns, ..Table::default() };
        while let Some(part) = self.more()? {
            whole.append(part);
        }
        Ok(whole)
    }
}

/// What holds at each of these times, from points and how long they hold, as a table has it: infinite where it is no good, and not a number where nobody knows.
fn held(points: &[(Timed, u64)], times: &[u64], tracks: &[TrackInfo]) -> Vec<f64> {
    let is_tag = tracks.first().is_some_and(|track| track.name.kind == TrackKind::Tag);
    let mut after = 0;
    let cell = |time: &u64| {
        after += points[after..].iter().take_while(|(timed, _)| timed.unix_ns <= *time).count();
        let (holding, until) = after.checked_sub(1).and_then(|at| points.get(at))?;
        // Of tags the state is the quality, and 0 is good.
        let is_good = holding.point.value.is_finite() && !(is_tag && holding.point.state != 0);
        let value = if is_good { holding.point.value } else { f64::INFINITY };
        (time <= until).then_some(value)
    };
    times.iter().map(cell).map(|value| value.unwrap_or(f64::NAN)).collect()
}

#[cfg(test)]
mod tests {
    use archive::{Commit, Point, Reader, Run, Store, TrackName};

    use super::*;
    use crate::table::Cell;

    const BEGIN_NS: u64 = 1_764_165_600_000_000_000;
    const SECOND_NS: u64 = 1_000_000_000;

    #[test]
    fn what_a_run_held_is_in_no_row_behind_its_end() {
        let directory = tempfile::tempdir().unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        let (site, agent, instance) = ("works".into(), "ph".into(), "main".into());
        let run = store.run(&Run { site, agent, instance, number: 1, period_ns: SECOND_NS }).unwrap().run;
        let name = TrackName { kind: TrackKind::Tag, name: "level".into(), unit: "m".into() };
        let track = store.tracks(run, &[name]).unwrap()[0];
        let points = vec![(track, Point::new(0, 4.0, 0))];
        let clock = Some((0, BEGIN_NS));
        let commit = Commit { points, clock, last_cycle: Some(5), cycle_records: 0..6, ..Commit::default() };
        store.commit(run, &commit).unwrap();
        let past = Reader::open(directory.path()).unwrap();
        let times_ns = (BEGIN_NS, BEGIN_NS + 8 * SECOND_NS);
        let wanted = Wanted { agent: "works/ph", times_ns, every_ns: SECOND_NS, columns: &[] };
        let table = Rows::begin(&past, &wanted).unwrap().rest().unwrap();
        let there: Vec<_> = table.columns[0].cells().map(|cell| matches!(cell, Cell::Value(4.0))).collect();
        assert_eq!(there, [true, true, true, true, true, true, false, false, false]);
    }
}

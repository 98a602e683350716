//! What there is, before anybody asks for points: runs, gaps, the newest of everything.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::read::Reader;
use super::write::count;
use super::{StoreError, each_journal_row};
use crate::block::{Point, unpack};
use crate::rows::{RunId, TrackId};

/// A run of a runtime.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunInfo {
    /// Its number in this archive.
    pub id: RunId,
    /// `SITE/AGENT`, with `@INSTANCE` unless that is `main`.
    pub agent: String,
    /// Control period.
    pub period_ns: u64,
    /// The last cycle that was read of it.
    pub last_cycle: Option<u64>,
    /// When the first and the last cycle were that are kept, nanoseconds since 1970; `None` for a run of which nothing is.
    pub times_ns: Option<(u64, u64)>,
}

impl RunInfo {
    /// When the first and the last cycle of all of these were; `None` if nothing is kept of any.
    pub fn times_of<'a>(runs: impl IntoIterator<Item = &'a Self>) -> Option<(u64, u64)> {
        let times = runs.into_iter().filter_map(|run| run.times_ns);
        times.reduce(|(first, last), (begin, end)| (first.min(begin), last.max(end)))
    }
}

impl Reader {
    /// All runs, those that came first in front.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn runs(&self) -> Result<Vec<RunInfo>, StoreError> {
        let sql = "SELECT id, site, agent, instance, period_ns, last_cycle, min(unix_ns) FROM run
                   LEFT JOIN clock ON clock.run = id GROUP BY id ORDER BY id";
        let mut rows = self.connection.prepare_cached(sql)?;
        let mut rows = rows.query([])?;
        let mut runs = Vec::new();
        while let Some(row) = rows.next()? {
            let id = RunId(row.get(0)?);
            let (last, first_ns): (Option<i64>, Option<i64>) = (row.get(5)?, row.get(6)?);
            let last_ns = self.time(id, last.map(count))?;
            runs.push(RunInfo {
                id,
                agent: label(&row.get::<_, String>(1)?, &row.get::<_, String>(2)?, &row.get::<_, String>(3)?),
                period_ns: count(row.get(4)?),
                last_cycle: last.map(count),
                times_ns: first_ns.map(count).zip(last_ns),
            });
        }
        Ok(runs)
    }

    /// The newest point of each track of a run, of those days that are hot.
    ///
    /// # Errors
    /// [`StoreError`]. A damaged block is one of them.
    pub fn newest(&self, run: RunId) -> Result<BTreeMap<TrackId, Point>, StoreError> {
        let snapshot = self.connection.unchecked_transaction()?;
        let mut newest = BTreeMap::new();
        let sql = "SELECT block.rowid, track, bytes FROM block JOIN track ON track.id = track WHERE track.run = ?
                   GROUP BY track HAVING first_cycle = max(first_cycle)";
        let mut rows = snapshot.prepare_cached(sql)?;
        let mut rows = rows.query([run.0])?;
        while let Some(row) = rows.next()? {
            let (id, track, bytes): (i64, i64, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let points = unpack(&bytes).map_err(|_| StoreError::Damaged { table: "block", row: id })?;
            newest.extend(points.last().map(|point| (TrackId(track), *point)));
        }
        each_journal_row(&snapshot, run, 0..=u64::MAX >> 1, |track, point| _ = newest.insert(track, point))?;
        Ok(newest)
    }

    fn time(&self, run: RunId, cycle: Option<u64>) -> Result<Option<u64>, StoreError> {
        cycle.map_or(Ok(None), |cycle| self.unix_ns(run, cycle))
    }

    /// What a cycle's time is, nanoseconds since 1970.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn unix_ns(&self, run: RunId, cycle: u64) -> Result<Option<u64>, StoreError> {
        super::unix_ns(&self.connection, run, cycle)
    }
}

/// How an agent is called: `SITE/AGENT`, with `@INSTANCE` unless that is `main`.
pub fn label(site: &str, agent: &str, instance: &str) -> String {
    match instance {
        "main" => format!("{site}/{agent}"),
        _ => format!("{site}/{agent}@{instance}"),
    }
}

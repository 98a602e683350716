//! Reading, while somebody else writes.

use std::ops::RangeInclusive;
use std::path::Path;

use rusqlite::{Connection, params};

use super::write::whole;
use super::{StoreError, open_to_read};
use crate::block::{Point, unpack, unpack_many};
use crate::rows::{RunId, TrackId};

/// An archive that is read.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens an archive that is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        open_to_read(path).map(|connection| Self { connection })
    }

    /// The points of a track in these cycles, in their order.
    ///
    /// # Errors
    /// [`StoreError`]. A damaged block is one of them.
    pub fn points(&self, run: RunId, track: TrackId, cycles: RangeInclusive<u64>) -> Result<Vec<Point>, StoreError> {
        // Between two statements the journal may become blocks: one snapshot for both.
        let snapshot = self.connection.unchecked_transaction()?;
        let (first, last) = (whole(*cycles.start()), whole(*cycles.end()));
        let mut found = Vec::new();
        let sql = "SELECT rowid, bytes FROM block WHERE track = ? AND first_cycle <= ? AND last_cycle >= ? ORDER BY first_cycle";
        let mut rows = snapshot.prepare_cached(sql)?;
        let mut rows = rows.query(params![track.0, last, first])?;
        while let Some(row) = rows.next()? {
            let (id, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            found.extend(unpack(&bytes).map_err(|_| StoreError::Damaged { table: "block", row: id })?);
        }
        let sql = "SELECT id, points FROM journal WHERE run = ? AND first_cycle <= ? AND last_cycle >= ? ORDER BY id";
        let mut rows = snapshot.prepare_cached(sql)?;
        let mut rows = rows.query(params![run.0, last, first])?;
        while let Some(row) = rows.next()? {
            let (id, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let held = unpack_many(&bytes).map_err(|_| StoreError::Damaged { table: "journal", row: id })?;
            found.extend(held.into_iter().filter(|(of, _)| *of == track).map(|(_, point)| point));
        }
        found.retain(|point| cycles.contains(&point.cycle));
        Ok(found)
    }
}

//! The hot days: one SQLite file in the history's directory, written by one process and read by any.
//!
//! Points come in commits, one row of the journal each, so that a commit costs the same for one track and for a thousand.
//! [`Store::compact`] gathers the journal into blocks, one for each track. Everything that a commit brings is there after it, or
//! nothing: how far a run has been read is kept beside it, so that nothing is stored twice and what is missing is a row.

mod bring;
mod buckets;
mod catalogue;
mod open;
mod overview;
mod purge;
mod read;
mod roll;
mod seal;
mod snapshot;
mod take_back;
mod tally;
mod verify;
mod write;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, params};
use tables::TableError;

use crate::block::{Point, unpack_many};
use crate::rows::{RunId, TrackId};
use crate::timeline::Timeline;
use open::{open_to_read, open_to_write, versions};
use write::{count, whole};

pub use bring::{Brought, Old, OldTrack, Turn};
pub use open::is_archive;
pub use overview::{RunInfo, label};
pub use purge::{Limit, NoLimit, Purged, Retention};
pub use read::{Reader, Timed, TrackInfo};
pub use seal::Sealed;
pub use snapshot::{Snapshot, snapshot};
pub use verify::{Checked, Finding, Verified, verify};
pub use write::{Commit, Kept, Store};

/// `PRAGMA user_version` of the schema.
const VERSION: i64 = 2;
/// The schema before tallies, to which one is added when it is opened to be written.
const WITHOUT_TALLY: i64 = 1;
/// `PRAGMA application_id`: "CoRL".
const APPLICATION: i64 = 0x436f_524c;
/// What the file is called in its directory.
const HOT: &str = "hot.sqlite";
/// Its tables but the tally of them.
const SCHEMA: &str = include_str!("schema.sql");
/// How long a statement waits for another process's.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why an archive cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says so.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// A file or directory cannot be read or written.
    #[error(transparent)]
    File(#[from] std::io::Error),
    /// There is nothing of this name.
    #[error("there is no such directory")]
    NoDirectory,
    /// Something else has this name.
    #[error("it is a file, and a history is a directory")]
    NotADirectory,
    /// Nobody has kept anything there.
    #[error("no history lies there: a historian's directory has {HOT}, and site=NAME once days are sealed")]
    Empty,
    /// Only what was sealed is left.
    #[error("{HOT} is gone, which knows what its sealed days have: bring it back from a backup")]
    HotIsGone,
    /// Nobody can read it where it lies.
    #[error(
        "its writer has not ended well, and what {HOT}-wal has can only be read where this user may write: copy the directory, \
         and read the copy"
    )]
    Unfinished,
    /// Another program's file.
    #[error("it is no archive of CoreRL")]
    Foreign,
    /// A newer program's file.
    #[error("it has version {0} and this program knows up to {VERSION}: use a newer one")]
    TooNew(i64),
    /// A table cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A file of a sealed day cannot be read.
    #[error("{} cannot be read: {why}", path.display())]
    Sealed {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// Somebody else has taken away what was being sealed.
    #[error("two programs seal the same day: only one may write this history")]
    Interfered,
    /// Only one may bring something in at a time.
    #[error("another command brings something into it: try again when that one has ended")]
    Taken,
    /// A block or a row of the journal has changed since it was written.
    #[error("what it holds in {table}, row {row}, is damaged")]
    Damaged {
        /// The table.
        table: &'static str,
        /// The row's id.
        row: i64,
    },
    /// A commit that does not begin where the last one ended.
    #[error("a commit begins with {what} {given}, and {next} is next")]
    OutOfOrder {
        /// cycle or event.
        what: &'static str,
        /// Where it begins.
        given: u64,
        /// Where it should.
        next: u64,
    },
}

/// What a cycle's time is by its run's clock, nanoseconds since 1970; `None` for a run without one.
fn unix_ns(connection: &Connection, run: RunId, cycle: u64) -> Result<Option<u64>, StoreError> {
    Ok(timeline(connection, run)?.moment(cycle).map(|moment| moment.unix_ns))
}

/// What was in rows of the journal.
struct JournalRead {
    points: u64,
    /// The newest cycle of a point.
    newest: Option<u64>,
}

/// Reads the points that a run's journal has in rows of these cycles, in the order of commits.
fn each_journal_row(
    connection: &Connection,
    run: RunId,
    cycles: RangeInclusive<u64>,
    mut each: impl FnMut(TrackId, Point),
) -> Result<JournalRead, StoreError> {
    let sql = "SELECT id, points FROM journal WHERE run = ? AND first_cycle <= ? AND last_cycle >= ? ORDER BY id";
    let mut rows = connection.prepare_cached(sql)?;
    let mut rows = rows.query(params![run.0, whole(*cycles.end()), whole(*cycles.start())])?;
    let mut read = JournalRead { points: 0, newest: None };
    while let Some(row) = rows.next()? {
        let (id, bytes): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
        let held = unpack_many(&bytes).map_err(|_| StoreError::Damaged { table: "journal", row: id })?;
        read.points += held.len() as u64;
        read.newest = read.newest.max(held.iter().map(|(_, point)| point.cycle).max());
        held.into_iter().for_each(|(track, point)| each(track, point));
    }
    Ok(read)
}

/// How a run's cycles lie in time.
fn timeline(connection: &Connection, run: RunId) -> Result<Timeline, StoreError> {
    let period = "SELECT period_ns FROM run WHERE id = ?";
    let period_ns = connection.prepare_cached(period)?.query_row([run.0], |row| row.get(0).map(count))?;
    let mut rows =
        connection.prepare_cached("SELECT first_cycle, unix_ns FROM clock WHERE run = ? ORDER BY first_cycle")?;
    let clock = |row: &rusqlite::Row<'_>| Ok((count(row.get(0)?), count(row.get(1)?)));
    let clocks = rows.query_map([run.0], clock)?.collect::<Result<Vec<_>, _>>()?;
    Ok(Timeline::new(&clocks, period_ns))
}

#[cfg(test)]
mod changes;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;

//! The hot days: one SQLite file in the history's directory, written by one process and read by any.
//!
//! Points come in commits, one row of the journal each, so that a commit costs the same for one track and for a thousand.
//! [`Store::compact`] gathers the journal into blocks, one for each track. Everything that a commit brings is there after it, or
//! nothing: how far a run has been read is kept beside it, so that nothing is stored twice and what is missing is a row.

mod bring;
mod buckets;
mod catalogue;
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
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};
use tables::TableError;

use crate::block::{Point, unpack_many};
use crate::rows::{RunId, TrackId};
use crate::timeline::Timeline;
use write::{count, whole};

pub use bring::{Brought, Old, OldTrack, Turn};
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

/// Whether there is an archive in a directory.
pub fn is_archive(directory: &Path) -> bool {
    directory.join(HOT).is_file()
}

/// Opens a directory's file to be read.
fn open_to_read(directory: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(directory.join(HOT), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(PATIENCE)?;
    match versions(&connection)? {
        (APPLICATION, version) if version > VERSION => Err(StoreError::TooNew(version)),
        (APPLICATION, _) => Ok(connection),
        _ => Err(StoreError::Foreign),
    }
}

/// Opens a directory's file to be written, and makes both if they are not there.
fn open_to_write(directory: &Path) -> Result<Connection, StoreError> {
    std::fs::create_dir_all(directory)?;
    let mut connection = Connection::open(directory.join(HOT))?;
    connection.busy_timeout(PATIENCE)?;
    let (application, version) = versions(&connection)?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, version) {
        (0, 0) if tables == 0 => {
            connection.pragma_update(None, "journal_mode", "wal")?;
            let transaction = connection.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.execute_batch(tally::SCHEMA)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        (APPLICATION, VERSION) => {}
        (APPLICATION, WITHOUT_TALLY) => tally::begin(&mut connection)?,
        (APPLICATION, version) => return Err(StoreError::TooNew(version)),
        _ => return Err(StoreError::Foreign),
    }
    // What a commit has brought survives the loss of power.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    tally::keep(&connection)?;
    Ok(connection)
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

fn versions(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let of = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((of("application_id")?, of("user_version")?))
}

#[cfg(test)]
mod changes;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod tests;

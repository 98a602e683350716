//! The hot days: one SQLite file in the history's directory, written by one process and read by any.
//!
//! Points come in commits, one row of the journal each, so that a commit costs the same for one track and for a thousand.
//! [`Store::compact`] gathers the journal into blocks, one for each track. Everything that a commit brings is there after it, or
//! nothing: how far a run has been read is kept beside it, so that nothing is stored twice and what is missing is a row.

mod read;
mod write;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

pub use read::{Reader, Timed, TrackInfo};
pub use write::{Commit, Kept, Store};

/// `PRAGMA user_version` of the schema.
const VERSION: i64 = 1;
/// `PRAGMA application_id`: "CoRL".
const APPLICATION: i64 = 0x436f_524c;
/// What the file is called in its directory.
const HOT: &str = "hot.sqlite";
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
            transaction.execute_batch(include_str!("schema.sql"))?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", VERSION)?;
            transaction.commit()?;
        }
        (APPLICATION, VERSION) => {}
        (APPLICATION, version) => return Err(StoreError::TooNew(version)),
        _ => return Err(StoreError::Foreign),
    }
    // What a commit has brought survives the loss of power.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    Ok(connection)
}

fn versions(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let of = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((of("application_id")?, of("user_version")?))
}

#[cfg(test)]
mod tests;

//! Opening the hot file: to be written by one, to be read by any, and to be read where nobody may write.
//!
//! SQLite's readers and writers find each other by files beside the hot one. A reader that is alone makes them and takes them away
//! again. Where it may not even do that, and nobody else has made them, it reads the file as it is: should a writer begin meanwhile,
//! SQLite cannot know, and what was read until then has to be asked for once more.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use rustix::fs::{Access, access};

use super::{APPLICATION, HOT, PATIENCE, SCHEMA, StoreError, VERSION, WITHOUT_TALLY, tally};

/// Whether there is an archive in a directory.
pub fn is_archive(directory: &Path) -> bool {
    directory.join(HOT).is_file()
}

/// Opens a directory's file to be read.
pub(super) fn open_to_read(directory: &Path) -> Result<Connection, StoreError> {
    let hot = hot_of(directory)?;
    let way = Way::to(&hot).ok_or(StoreError::Unfinished)?;
    let connection = way.open(&hot)?;
    connection.busy_timeout(PATIENCE)?;
    match versions(&connection)? {
        (APPLICATION, version) if version > VERSION => Err(StoreError::TooNew(version)),
        (APPLICATION, WITHOUT_TALLY..) => Ok(connection),
        _ => Err(StoreError::Foreign),
    }
}

/// The hot file of a directory that has one.
fn hot_of(directory: &Path) -> Result<PathBuf, StoreError> {
    match fs::metadata(directory) {
        Ok(found) if !found.is_dir() => return Err(StoreError::NotADirectory),
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(StoreError::NoDirectory),
        found => _ = found?,
    }
    let hot = directory.join(HOT);
    match fs::metadata(&hot) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
            let has_days = entries.iter().any(|entry| entry.file_name().as_bytes().starts_with(b"site="));
            Err(if has_days { StoreError::HotIsGone } else { StoreError::Empty })
        }
        found => found.map(|_| hot).map_err(StoreError::from),
    }
}

/// How a file is opened to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Beside whoever writes it, or did until it was killed: what lies beside the file stays.
    Beside,
    /// As the first one, who takes the files beside it away again.
    Alone,
    /// As it is, and without any of SQLite's locks: nobody has it open, and this user could not make the files that a writer would
    /// be found by.
    AsItIs,
}

impl Way {
    /// `None` if there is none, because another user's process was killed before it had put everything into the file.
    fn to(hot: &Path) -> Option<Self> {
        let [wal, shm] = ["-wal", "-shm"].map(|part| fs::metadata(beside(hot, part)).map(|found| found.len()).ok());
        let may_write = |path: &Path| access(path, Access::WRITE_OK).is_ok();
        let is_ours = hot.parent().is_some_and(may_write);
        match (wal, shm) {
            (None, _) if is_ours && may_write(hot) => Some(Self::Alone),
            (None, _) => Some(Self::AsItIs),
            (Some(_), Some(_)) => Some(Self::Beside),
            (Some(_), None) if is_ours => Some(Self::Beside),
            (Some(0), None) => Some(Self::AsItIs),
            (Some(_), None) => None,
        }
    }

    fn open(self, hot: &Path) -> rusqlite::Result<Connection> {
        match self {
            Self::Beside => Connection::open_with_flags(hot, OpenFlags::SQLITE_OPEN_READ_ONLY),
            Self::Alone => Connection::open_with_flags(hot, OpenFlags::SQLITE_OPEN_READ_WRITE),
            Self::AsItIs => {
                let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                Connection::open_with_flags(format!("{}?immutable=1", uri(hot)), flags)
            }
        }
    }
}

/// The file that SQLite has beside another one.
fn beside(hot: &Path, part: &str) -> PathBuf {
    let mut name = hot.as_os_str().to_owned();
    name.push(part);
    name.into()
}

/// A path as SQLite takes it with options behind it.
fn uri(path: &Path) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte);
    let escape = |byte| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    let path: String = path.as_os_str().as_bytes().iter().map(|byte| escape(*byte)).collect();
    // Two slashes in front would begin the name of a machine.
    if path.starts_with('/') { format!("file://{path}") } else { format!("file:{path}") }
}

/// Opens a directory's file to be written, and makes both if they are not there.
pub(super) fn open_to_write(directory: &Path) -> Result<Connection, StoreError> {
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

pub(super) fn versions(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let of = |name| connection.pragma_query_value(None, name, |row| row.get(0));
    Ok((of("application_id")?, of("user_version")?))
}

#[cfg(test)]
mod tests {
    use super::super::faults::{day, kept};
    use super::*;
    use crate::{Reader, Store};

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = entries.collect();
        names.sort();
        names
    }

    fn events(connection: &Connection) -> i64 {
        connection.query_row("SELECT count(*) FROM event", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn whoever_reads_a_history_leaves_no_file_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        drop(kept(directory.path()));
        let bytes = || fs::read(directory.path().join(HOT)).unwrap();
        let (before, names_before) = (bytes(), names(directory.path()));
        for ways in [Way::Alone, Way::AsItIs] {
            let connection = ways.open(&directory.path().join(HOT)).unwrap();
            assert_eq!(events(&connection), 4);
        }
        assert_eq!(Way::to(&directory.path().join(HOT)), Some(Way::Alone));
        let reader = Reader::open(directory.path()).unwrap();
        assert_eq!(reader.events(0, u64::MAX).unwrap().len(), 4);
        drop(reader);
        assert_eq!(names(directory.path()), names_before);
        assert!(bytes() == before, "the file has changed");
    }

    #[test]
    fn what_a_killed_writer_has_left_beside_the_file_is_read_and_left_there() {
        let [directory, copy] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let store = kept(directory.path());
        let files = [HOT.to_owned(), format!("{HOT}-wal")];
        for name in &files {
            fs::copy(directory.path().join(name), copy.path().join(name)).unwrap();
        }
        drop(store);
        let read = |name: &String| fs::read(copy.path().join(name)).unwrap();
        let before = files.each_ref().map(read);
        assert_eq!(Reader::open(copy.path()).unwrap().events(0, u64::MAX).unwrap().len(), 4);
        assert!(files.each_ref().map(read) == before, "a reader has changed what it read");
    }

    #[test]
    fn a_writer_may_come_and_go_while_one_reads_who_was_there_first() {
        let directory = tempfile::tempdir().unwrap();
        drop(kept(directory.path()));
        let reader = Reader::open(directory.path()).unwrap();
        let mut store = Store::open(directory.path()).unwrap();
        store.seal(day()).unwrap();
        drop(store);
        assert_eq!(reader.events(0, u64::MAX).unwrap().len(), 4);
        drop(reader);
        assert_eq!(names(directory.path()), [HOT, "site=works"]);
    }

    #[test]
    fn a_path_that_has_signs_of_its_own_is_opened_as_it_is_called() {
        let directory = tempfile::tempdir().unwrap();
        let odd = directory.path().join("a?b=c#d%41 é");
        drop(kept(&odd));
        assert_eq!(events(&Way::AsItIs.open(&odd.join(HOT)).unwrap()), 4);
    }

    #[test]
    fn a_place_that_has_no_history_is_told_by_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let refused = |path: &Path| open_to_read(path).unwrap_err().to_string();
        assert!(refused(&directory.path().join("x")).contains("no such directory"));
        assert!(refused(directory.path()).contains("no history lies there"));
        fs::write(directory.path().join("site.yaml"), "").unwrap();
        assert!(refused(&directory.path().join("site.yaml")).contains("it is a file"));
        fs::create_dir(directory.path().join("site=works")).unwrap();
        assert!(refused(directory.path()).contains("from a backup"));
    }
}

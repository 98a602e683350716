//! The side that writes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::chain::{ExamineError, examine, judge, nothing_before};
use super::{Entry, Fault, Head, LINE_BYTES_MAX, Record, TEXT_BYTES_MAX, WRITING, hash_of, head_path, read_head};
use crate::replace::{FILE_MODE, make_directory_of, replace, sync_directory};

/// How often the lock is asked for while another process writes.
const LOCK_ATTEMPTS: u32 = 40;

/// An audit log that is appended to. Between two entries it holds nothing open.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    /// How the log was after the last look: a log that still is like that need not be read again.
    seen: Option<Seen>,
}

/// The end of a log that was believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    bytes: u64,
    head: Option<Head>,
    /// What the head's file holds.
    newest: Option<Vec<u8>>,
}

/// An entry that is on the disk.
#[derive(Debug)]
pub struct Appended {
    /// Its place.
    pub head: Head,
    /// What happened to the log of before, when it did not verify.
    pub set_aside: Option<SetAside>,
}

/// A log that is not continued.
#[derive(Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it is now, its head beside it.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Why an entry may not be on the disk.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The system refused.
    #[error("the audit log {} cannot be written: {source}", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process holds the lock for too long.
    #[error("the audit log {} is held by another process", path.display())]
    Held {
        /// The log.
        path: PathBuf,
    },
}

impl Log {
    /// The log at `path`; nothing is touched before the first entry.
    pub fn at(path: PathBuf) -> Self {
        Self { path, seen: None }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The newest entry, as far as this process knows.
    pub fn head(&self) -> Option<&Head> {
        self.seen.as_ref()?.head.as_ref()
    }

    /// Puts an entry at the end, and returns when it is on the disk. After an error it may be there or not; the log stays as
    /// whole as it was, and the next call tries again.
    ///
    /// # Errors
    /// The system refused, or another process holds the lock.
    pub fn append(&mut self, entry: &Entry) -> Result<Appended, AppendError> {
        self.append_locked(entry).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => AppendError::Held { path: self.path.clone() },
            _ => AppendError::Io { path: self.path.clone(), source },
        })
    }

    fn append_locked(&mut self, entry: &Entry) -> io::Result<Appended> {
        let text = entry.text.get(..entry.text.floor_char_boundary(TEXT_BYTES_MAX)).unwrap_or_default().to_owned();
        let entry = &Entry { text, ..entry.clone() };
        let mut file = open_locked(&self.path)?;
        let set_aside = match self.catch_up(&file) {
            // The call before failed when the entry was in the head alone; now it is in the log as well.
            Ok(Some(Record { n, entry: completed, .. })) if completed == *entry => {
                let hash = self.head().map(|head| head.hash.clone()).unwrap_or_default();
                return Ok(Appended { head: Head { n, hash }, set_aside: None });
            }
            Ok(_) => None,
            Err(ExamineError::Io(error)) => return Err(error),
            Err(ExamineError::Fault(fault)) => {
                let path = set_aside(&self.path)?;
                self.seen = Some(Seen::default());
                file = open_locked(&self.path)?;
                Some(SetAside { path, fault })
            }
        };
        if let Some(aside) = &set_aside {
            self.write(&mut file, &aside.told_by(entry))?;
        }
        let head = self.write(&mut file, entry)?;
        Ok(Appended { head, set_aside })
    }

    /// Looks at what is there, unless it is as it was left, and completes it when its newest entry is in the head alone: that
    /// entry.
    fn catch_up(&mut self, file: &File) -> Result<Option<Record>, ExamineError> {
        let newest = read_head(&head_path(&self.path))?;
        let bytes = file.metadata()?.len();
        if self.seen.as_ref().is_some_and(|seen| (seen.bytes, &seen.newest) == (bytes, &newest)) {
            return Ok(None);
        }
        let must_hold = self.head().cloned();
        let read = || examine(BufReader::new(File::open(&self.path)?), must_hold.as_ref());
        let mut found = read()?;
        let mut verdict = judge(&found, newest.as_deref(), must_hold.as_ref());
        let mut completed = None;
        if let (Err(Fault::Unfinished { .. }), Some(line)) = (&verdict, &newest) {
            complete(file, found.bytes, line)?;
            completed = serde_json::from_slice(line).ok();
            found = read()?;
            verdict = judge(&found, newest.as_deref(), must_hold.as_ref());
        }
        self.seen = Some(Seen { bytes: found.bytes, head: verdict?, newest });
        Ok(completed)
    }

    /// The head first, which holds the whole line: whatever happens to the line in the log, it can be completed.
    fn write(&mut self, file: &mut File, entry: &Entry) -> io::Result<Head> {
        let Seen { bytes, head, .. } = self.seen.clone().unwrap_or_default();
        let (n, before) = head.map_or_else(|| (0, nothing_before()), |head| (head.n, head.hash));
        let mut line = serde_json::to_vec(&Record { n: n + 1, entry: entry.clone(), before })?;
        let head = Head { n: n + 1, hash: hash_of(&line) };
        line.push(b'\n');
        if line.len() > LINE_BYTES_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        replace(&head_path(&self.path), FILE_MODE, &line)?;
        complete(file, bytes, &line)?;
        let bytes = bytes + line.len() as u64;
        self.seen = Some(Seen { bytes, head: Some(head.clone()), newest: Some(line) });
        Ok(head)
    }
}

impl SetAside {
    /// The entry with which the new log begins.
    fn told_by(&self, next: &Entry) -> Entry {
        let text = format!("the log begins anew: {}; the one of before is kept as {}", self.fault, self.path.display());
        Entry {
            time: next.time.clone(),
            runtime: next.runtime,
            cycle: next.cycle,
            what: "set_aside".into(),
            text,
            ..Entry::default()
        }
    }
}

/// Puts a line behind so many whole bytes, and onto the disk.
fn complete(mut file: &File, bytes: u64, line: &[u8]) -> io::Result<()> {
    if file.metadata()?.len() > bytes {
        file.set_len(bytes)?;
    }
    file.write_all(line)?;
    file.sync_data()
}

/// The log, made if need be, for this process alone until it is closed.
pub(super) fn open_locked(path: &Path) -> io::Result<File> {
    make_directory_of(path)?;
    for _ in 0..LOCK_ATTEMPTS {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(FILE_MODE).open(path)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            // Another process may have set it aside between open and flock.
            Ok(())
                if fs::metadata(path)
                    .is_ok_and(|there| there.ino() == file.metadata().map_or(0, |ours| ours.ino())) =>
            {
                return Ok(file);
            }
            Ok(()) | Err(Errno::WOULDBLOCK) => std::thread::sleep(WRITING),
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::ErrorKind::WouldBlock.into())
}

/// Moves the log and its head to a name that is free.
fn set_aside(path: &Path) -> io::Result<PathBuf> {
    let free = (1_u32..).map(|number| path.with_added_extension(format!("damaged-{number}")));
    let to = free.into_iter().find(|to| !to.exists()).ok_or(io::ErrorKind::AlreadyExists)?;
    fs::rename(path, &to)?;
    match fs::rename(head_path(path), head_path(&to)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    sync_directory(path)?;
    Ok(to)
}

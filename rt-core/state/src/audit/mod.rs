//! The audit log: one line of JSON per entry, each with the hash of the one before.
//!
//! ```text
//! {"n":1,"time":"2031-05-04T06:12:01.120Z","runtime":77,"cycle":0,"what":"started","text":"0.1.0 works/ph","before":"0000…"}
//! {"n":2,"time":"…","runtime":77,"cycle":91,"what":"command","uid":1000,"pid":93,"text":"arm by uid 1000: …","before":"5b1f…"}
//! ```
//! `before` is the BLAKE3 hash of the line before, of zeros for the first. The **head** beside it, `FILE.head`, is a copy of the
//! newest line. It is replaced, and on the disk, before the line is appended: a line that a crash tore or left out is in the
//! head and the log is completed from it, and a log that is longer or shorter than its head was made so by somebody else.
//!
//! Any number of processes of one user may append to one log: each append holds a lock on the file, and reads on where another
//! one has written meanwhile. A log that does not verify is never continued: it is set aside under another name, and the
//! new one begins with an entry that says so.

mod chain;
mod log;
mod time;

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use chain::{Fault, Records};
pub use log::{AppendError, Appended, Log, SetAside};
pub use time::utc;

use chain::{ExamineError, judge};

/// Longer lines are no entries.
const LINE_BYTES_MAX: usize = 32 << 10;
/// Longer texts are cut.
const TEXT_BYTES_MAX: usize = 4 << 10;
/// What a line needs beside its text.
const FRAME_BYTES_MAX: usize = 1 << 10;
/// How often a log that grows while it is read is read.
const VERIFY_ATTEMPTS: u32 = 10;
/// How long to wait for whoever is writing.
const WRITING: Duration = Duration::from_millis(5);

const _: () = assert!(6 * TEXT_BYTES_MAX + FRAME_BYTES_MAX <= LINE_BYTES_MAX, "an escape has at most six bytes");

/// What is to be recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, by the wall clock, for people: [`utc`]. Nothing is ordered by it.
    pub time: String,
    /// The process that writes.
    pub runtime: u32,
    /// The control cycle.
    pub cycle: u64,
    /// What happened, in a word.
    pub what: String,
    /// The user who asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The process that asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// What happened, in words.
    pub text: String,
}

/// An entry in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number, from 1.
    pub n: u64,
    /// What was recorded.
    #[serde(flatten)]
    pub entry: Entry,
    /// The hash of the line before, in hexadecimal digits.
    pub before: String,
}

/// The newest entry at some time: how many there are, and the hash of the last one. Written `NUMBER:HASH`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Head {
    /// The entry's number.
    pub n: u64,
    /// The hash of its line, in hexadecimal digits.
    pub hash: String,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.n, self.hash)
    }
}

/// A text that is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a head is written NUMBER:HASH, with 64 digits 0 to 9 and a to f, as `corerl agent status` shows it")]
pub struct NoHead;

impl FromStr for Head {
    type Err = NoHead;

    fn from_str(text: &str) -> Result<Self, NoHead> {
        let (n, hash) = text.split_once(':').ok_or(NoHead)?;
        let is_hash = hash.len() == 2 * blake3::OUT_LEN && hash.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
        match n.parse() {
            Ok(n) if is_hash => Ok(Self { n, hash: hash.to_owned() }),
            _ => Err(NoHead),
        }
    }
}

/// Why a log is not believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The log or its head.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not what was written.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// Where the head of the log at `path` is.
pub fn head_path(path: &Path) -> PathBuf {
    path.with_added_extension("head")
}

/// Believes the whole log at `path`, or says what is wrong with it; its newest entry, `None` when it is empty. With
/// `must_hold`, that entry has to be in it.
///
/// # Errors
/// It cannot be read; or the first thing that is wrong with it.
pub fn verify(path: &Path, must_hold: Option<&Head>) -> Result<Option<Head>, VerifyError> {
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| VerifyError::Io { path, source }
    };
    let head_path = head_path(path);
    // The head first: entries that a running runtime appends meanwhile are then found behind it, and it is read again.
    let mut attempts = 0;
    loop {
        let head = read_head(&head_path).map_err(io(&head_path))?;
        let file = File::open(path).map_err(io(path))?;
        let found = chain::examine(BufReader::new(file), must_hold).map_err(|error| match error {
            ExamineError::Io(source) => io(path)(source),
            ExamineError::Fault(fault) => fault.into(),
        });
        let verdict = found.and_then(|found| Ok(judge(&found, head.as_deref(), must_hold)?));
        let writing = matches!(verdict, Err(VerifyError::Fault(Fault::Unfinished { .. })))
            || read_head(&head_path).map_err(io(&head_path))? != head;
        attempts += 1;
        if !writing || attempts == VERIFY_ATTEMPTS {
            return verdict;
        }
        std::thread::sleep(WRITING);
    }
}

/// The entries of the log at `path`, believed or not: each line is an entry, or a fault.
///
/// # Errors
/// It cannot be opened.
pub fn records(path: &Path) -> io::Result<Records<BufReader<File>>> {
    Ok(Records::new(BufReader::new(File::open(path)?)))
}

/// The bytes of the head; `None` when there is none.
fn read_head(path: &Path) -> io::Result<Option<Vec<u8>>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(LINE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map(|_| Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn hash_of(line: &[u8]) -> String {
    blake3::hash(line).to_hex().to_string()
}

#[cfg(test)]
mod tests;

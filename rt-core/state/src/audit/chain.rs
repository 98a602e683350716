//! What a log says, and whether it is what was written.

use std::io::{self, BufRead, Read};

use super::{Head, LINE_BYTES_MAX, Record, hash_of};

/// What is wrong with a log. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// A line is no entry.
    #[error("line {line} is no entry of an audit log")]
    NoEntry {
        /// The line.
        line: u64,
    },
    /// A line has another number.
    #[error("line {line} is entry {found}: entries were taken out, put in or moved")]
    Misplaced {
        /// The line.
        line: u64,
        /// The entry that is there.
        found: u64,
    },
    /// A line does not go with the one before.
    #[error("line {line} does not follow from the line before: one of them was changed or replaced")]
    Broken {
        /// The line.
        line: u64,
    },
    /// The last line is another one than the head.
    #[error("the last line, entry {n}, is not the one that the head beside the log holds: one of them was changed")]
    OtherEnd {
        /// The entry.
        n: u64,
    },
    /// There are fewer entries than the head says.
    #[error("the log ends after entry {found}, and its head is entry {expected}: its end was cut off")]
    Cut {
        /// Entries that are there.
        found: u64,
        /// Entries that were written.
        expected: u64,
    },
    /// There are more entries than the head says, or something that is none.
    #[error("there is more behind entry {head}, which the head says is the last one")]
    Beyond {
        /// The head's entry.
        head: u64,
    },
    /// The newest entry is complete in the head alone.
    #[error(
        "the log ends before or inside entry {n}, which the head beside it holds complete: the next start of the runtime completes it"
    )]
    Unfinished {
        /// The entry.
        n: u64,
    },
    /// There are entries and no head.
    #[error("there is no head beside the log: whether its end is complete cannot be said")]
    NoHead,
    /// The head is no entry.
    #[error("the head beside the log is no entry")]
    HeadUnreadable,
    /// An entry that was there before is not there, or is another one.
    #[error("entry {} is not there with the hash {}: the log was rewritten", .0.n, .0.hash)]
    Rewritten(Head),
}

/// What whole lines were found.
#[derive(Debug, Default)]
pub(super) struct Chain {
    /// The last line, without its end; none when there is none.
    pub(super) last: Option<Vec<u8>>,
    pub(super) entries: u64,
    /// Bytes of whole lines.
    pub(super) bytes: u64,
    /// What follows the last whole line.
    pub(super) rest: Vec<u8>,
    holds: bool,
}

#[derive(Debug)]
pub(super) enum ExamineError {
    Io(io::Error),
    Fault(Fault),
}

impl From<io::Error> for ExamineError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Fault> for ExamineError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Reads to the end, and believes that every whole line follows from the one before.
pub(super) fn examine(mut reader: impl BufRead, must_hold: Option<&Head>) -> Result<Chain, ExamineError> {
    let mut chain = Chain::default();
    loop {
        let line = next_line(&mut reader)?;
        let Some(line) = line.strip_suffix(b"\n") else {
            chain.rest = line;
            return Ok(chain);
        };
        chain.take(line, must_hold)?;
    }
}

impl Chain {
    fn take(&mut self, line: &[u8], must_hold: Option<&Head>) -> Result<(), Fault> {
        let number = self.entries + 1;
        let record: Record = serde_json::from_slice(line).map_err(|_| Fault::NoEntry { line: number })?;
        if record.n != number {
            return Err(Fault::Misplaced { line: number, found: record.n });
        }
        if record.before != self.hash() {
            return Err(Fault::Broken { line: number });
        }
        self.entries = number;
        self.bytes += line.len() as u64 + 1;
        self.last = Some(line.to_vec());
        self.holds |= must_hold.is_some_and(|head| head.n == number && head.hash == self.hash());
        Ok(())
    }

    /// The hash that the next entry has to name.
    pub(super) fn hash(&self) -> String {
        self.last.as_deref().map_or_else(nothing_before, hash_of)
    }

    /// The newest entry.
    pub(super) fn head(&self) -> Option<Head> {
        self.last.is_some().then(|| Head { n: self.entries, hash: self.hash() })
    }
}

/// What the first entry names as the hash before it.
pub(super) fn nothing_before() -> String {
    "0".repeat(2 * blake3::OUT_LEN)
}

/// Believes that the lines are all that was written, or says what is wrong; the newest entry.
pub(super) fn judge(found: &Chain, head: Option<&[u8]>, must_hold: Option<&Head>) -> Result<Option<Head>, Fault> {
    let Some(head) = head else {
        let is_new = found.last.is_none() && found.rest.is_empty();
        return match must_hold {
            _ if !is_new => Err(Fault::NoHead),
            Some(must_hold) => Err(Fault::Rewritten(must_hold.clone())),
            None => Ok(None),
        };
    };
    let head = head.strip_suffix(b"\n").ok_or(Fault::HeadUnreadable)?;
    let newest: Record = serde_json::from_slice(head).map_err(|_| Fault::HeadUnreadable)?;
    let n = newest.n;
    if found.entries > n || (found.entries == n && !found.rest.is_empty()) {
        return Err(Fault::Beyond { head: n });
    }
    if found.entries < n {
        let is_next = found.entries + 1 == n && newest.before == found.hash() && head.starts_with(&found.rest);
        return Err(if is_next { Fault::Unfinished { n } } else { Fault::Cut { found: found.entries, expected: n } });
    }
    if found.last.as_deref() != Some(head) {
        return Err(Fault::OtherEnd { n });
    }
    match must_hold {
        Some(must_hold) if !found.holds => Err(Fault::Rewritten(must_hold.clone())),
        _ => Ok(found.head()),
    }
}

/// The next line with its end; without one at the end of the log, or when it is too long.
fn next_line(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// The entries of a log, one by one.
#[derive(Debug)]
pub struct Records<R> {
    reader: R,
    line: u64,
}

impl<R: BufRead> Records<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: 0 }
    }
}

impl<R: BufRead> Iterator for Records<R> {
    type Item = io::Result<Result<Record, Fault>>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match next_line(&mut self.reader) {
            Ok(line) if line.is_empty() => return None,
            Ok(line) => line,
            Err(error) => return Some(Err(error)),
        };
        self.line += 1;
        Some(Ok(serde_json::from_slice(&line).map_err(|_| Fault::NoEntry { line: self.line })))
    }
}

//! The questions, and who can answer them.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use archive::{Bucket, Event, Gap, Reader, RunId, RunInfo, StoreError, Timed, TrackId, TrackInfo};
use serde::{Deserialize, Serialize};

use crate::message::{Answer, Question, Refusal};

/// What was kept. Times are nanoseconds since 1970; both ends of a window are in it.
pub trait Past: std::fmt::Debug {
    /// All runs, those that came first in front.
    ///
    /// # Errors
    /// [`AskError`], as with all of these.
    fn runs(&self) -> Result<Vec<RunInfo>, AskError>;

    /// All tracks, those of older runs first.
    ///
    /// # Errors
    /// [`AskError`].
    fn tracks(&self) -> Result<Vec<TrackInfo>, AskError>;

    /// The newest point of each track of a run, as far as it need not be searched for.
    ///
    /// # Errors
    /// [`AskError`].
    fn newest(&self, run: RunId) -> Result<BTreeMap<TrackId, Timed>, AskError>;

    /// The points of a track between two times.
    ///
    /// # Errors
    /// [`AskError`].
    fn between(&self, track: &TrackInfo, from_ns: u64, to_ns: u64) -> Result<Vec<Timed>, AskError>;

    /// The events of all runs between two times.
    ///
    /// # Errors
    /// [`AskError`].
    fn events(&self, from_ns: u64, to_ns: u64) -> Result<Vec<(RunId, Event)>, AskError>;

    /// What is missing and begins between two times, of all runs; what has no time is always among it.
    ///
    /// # Errors
    /// [`AskError`].
    fn gaps(&self, from_ns: u64, to_ns: u64) -> Result<Vec<Missed>, AskError>;

    /// What a track was like in each stretch of this width that begins between two times; those about which nothing is known are
    /// left out.
    ///
    /// # Errors
    /// [`AskError`].
    fn buckets(&self, track: &TrackInfo, from_ns: u64, to_ns: u64, width: Duration) -> Result<Vec<Bucket>, AskError>;
}

/// Whoever answers one question at a time.
pub trait Source {
    /// The answer.
    ///
    /// # Errors
    /// [`AskError`]; a refusal is one of them.
    fn answer(&self, question: &Question) -> Result<Answer, AskError>;
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn answer(&self, question: &Question) -> Result<Answer, AskError> {
        (**self).answer(question)
    }
}

/// A gap with its place in time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missed {
    /// Of which run.
    pub run: RunId,
    /// What.
    pub gap: Gap,
    /// When the last cycle before it was, and the first one behind it, as far as that is known.
    pub times_ns: (Option<u64>, Option<u64>),
}

impl Missed {
    /// When it begins, as far as that is known.
    pub fn begin_ns(&self) -> Option<u64> {
        self.times_ns.0.or(self.times_ns.1)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The archive says so.
    #[error("the history cannot be read: {0}")]
    Store(#[from] StoreError),
    /// Nobody listens.
    #[error(
        "no historian answers at {}: start corerl-historian, name its directory with --runtime-dir, or give --history the directory that it keeps",
        .0.display()
    )]
    Absent(PathBuf),
    /// It does not answer this user.
    #[error("the historian at {} answers root, its own user and its group: ask as one of them", .0.display())]
    Forbidden(PathBuf),
    /// The kernel's.
    #[error("the historian at {} cannot be asked: {source}", path.display())]
    Socket {
        /// Where it listens.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It does not answer.
    #[error("the historian did not answer within {0:?}")]
    TimedOut(Duration),
    /// It has hung up.
    #[error("the historian closed the connection")]
    Closed,
    /// It speaks another language.
    #[error(
        "the historian speaks version {theirs} of its protocol and this program version {ours}: use programs of one release"
    )]
    Version {
        /// The historian's.
        theirs: u32,
        /// This program's.
        ours: u32,
    },
    /// The answer does not fit the question, or is none.
    #[error("the historian's answer was not understood: are both of one release?")]
    NotUnderstood,
    /// It refuses.
    #[error("the historian says: {0}")]
    Refused(#[from] Refusal),
    /// More than anybody reads.
    #[error("that is more than {0} rows: ask for a shorter time, or for longer stretches with --every")]
    TooMany(usize),
}

impl Past for Reader {
    fn runs(&self) -> Result<Vec<RunInfo>, AskError> {
        Ok(Self::runs(self)?)
    }

    fn tracks(&self) -> Result<Vec<TrackInfo>, AskError> {
        Ok(Self::tracks(self, None)?)
    }

    fn newest(&self, run: RunId) -> Result<BTreeMap<TrackId, Timed>, AskError> {
        let mut newest = BTreeMap::new();
        for (track, point) in Self::newest(self, run)? {
            let unix_ns = self.unix_ns(run, point.cycle)?;
            newest.extend(unix_ns.map(|unix_ns| (track, Timed { unix_ns, point })));
        }
        Ok(newest)
    }

    fn between(&self, track: &TrackInfo, from_ns: u64, to_ns: u64) -> Result<Vec<Timed>, AskError> {
        Ok(Self::between(self, track, from_ns, to_ns)?)
    }

    fn events(&self, from_ns: u64, to_ns: u64) -> Result<Vec<(RunId, Event)>, AskError> {
        Ok(Self::events(self, from_ns, to_ns)?)
    }

    fn gaps(&self, from_ns: u64, to_ns: u64) -> Result<Vec<Missed>, AskError> {
        let missed = |(run, _, gap): (RunId, Option<u64>, Gap)| {
            let time = |cycle: Option<u64>| cycle.map_or(Ok(None), |cycle| self.unix_ns(run, cycle));
            let times_ns = (time(gap.after_cycle)?, time(gap.before_cycle)?);
            Ok(Missed { run, gap, times_ns })
        };
        Self::gaps(self, from_ns, to_ns)?.into_iter().map(missed).collect()
    }

    fn buckets(&self, track: &TrackInfo, from_ns: u64, to_ns: u64, width: Duration) -> Result<Vec<Bucket>, AskError> {
        Ok(Self::buckets(self, track, from_ns, to_ns, width)?)
    }
}

//! Where what was read is kept.

use archive::{Commit, Kept, Point, Run, RunId, Store, StoreError, TrackId, TrackName};
use recall::KeeperStatus;

use crate::spill::SpillError;

/// What the historian needs of a place where runs are kept.
///
/// What a commit brings is there after it, or nothing; commits follow on each other by the numbers of the ring's records, so that
/// nothing is kept twice.
pub trait Keeper {
    /// What is kept of this run; from now on it is known.
    ///
    /// # Errors
    /// [`KeepError`].
    fn run(&mut self, run: &Run) -> Result<Kept, KeepError>;

    /// The numbers of a run's tracks; from now on they are known.
    ///
    /// # Errors
    /// [`KeepError`].
    fn tracks(&mut self, run: RunId, names: &[TrackName]) -> Result<Vec<TrackId>, KeepError>;

    /// The newest point of a track.
    ///
    /// # Errors
    /// [`KeepError`].
    fn newest(&self, run: RunId, track: TrackId) -> Result<Option<Point>, KeepError>;

    /// What a cycle's time is by the run's clock, nanoseconds since 1970; `None` for a run without one.
    ///
    /// # Errors
    /// [`KeepError`].
    fn unix_ns(&self, run: RunId, cycle: u64) -> Result<Option<u64>, KeepError>;

    /// Keeps what a commit brings.
    ///
    /// # Errors
    /// [`KeepError`]; nothing of it is kept then.
    fn commit(&mut self, run: RunId, commit: &Commit) -> Result<(), KeepError>;

    /// Brings what came in a hurry into its lasting form, now and then.
    ///
    /// # Errors
    /// [`KeepError`]; it stays as it was then.
    fn settle(&mut self, run: RunId) -> Result<(), KeepError>;

    /// How it is.
    fn status(&self) -> KeeperStatus;
}

/// Why nothing is kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// The archive says so.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The spill log before a database does.
    #[error(transparent)]
    Spill(#[from] SpillError),
}

impl Keeper for Store {
    fn run(&mut self, run: &Run) -> Result<Kept, KeepError> {
        Ok(Self::run(self, run)?)
    }

    fn tracks(&mut self, run: RunId, names: &[TrackName]) -> Result<Vec<TrackId>, KeepError> {
        Ok(Self::tracks(self, run, names)?)
    }

    fn newest(&self, run: RunId, track: TrackId) -> Result<Option<Point>, KeepError> {
        Ok(Self::newest(self, run, track)?)
    }

    fn unix_ns(&self, run: RunId, cycle: u64) -> Result<Option<u64>, KeepError> {
        Ok(Self::unix_ns(self, run, cycle)?)
    }

    fn commit(&mut self, run: RunId, commit: &Commit) -> Result<(), KeepError> {
        Ok(Self::commit(self, run, commit)?)
    }

    fn settle(&mut self, run: RunId) -> Result<(), KeepError> {
        self.compact(run)?;
        Ok(())
    }

    fn status(&self) -> KeeperStatus {
        KeeperStatus::Archive { directory: self.directory().display().to_string() }
    }
}

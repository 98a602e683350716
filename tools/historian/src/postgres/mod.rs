//! PostgreSQL, with TimescaleDB or without.
//!
//! Commits go into a [`spill`](crate::spill) log first; a thread of its own brings them from there into the database, many in one
//! transaction, which also says how far each run is. Whoever commits never waits for a database. Another thread rolls what is there
//! to minutes and hours.

mod apply;
mod drain;
mod migrate;
mod reading;
mod retention;
mod rolling;
mod rows;
mod target;

use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use archive::{Commit, Kept, Point, Run, RunId, TrackId, TrackName};
use recall::KeeperStatus;

pub use apply::ConnectError;
pub use migrate::{MigrateError, migrate};
pub(crate) use reading::Reading;
pub use retention::{KeptFor, RetentionError};
pub use target::{Target, TargetError};

use crate::keeper::{KeepError, Keeper};
use crate::spill::{Files, Spill, SpillError};
use drain::Drain;
use rolling::Roller;

/// Roles for the historian and for readers, as SQL.
pub const ROLES: &str = include_str!("roles.sql");

/// How long an end waits for what is on its way. Whatever is not there then comes after the next start.
const PATIENCE_AT_END: Duration = Duration::from_secs(5);

/// A keeper that brings commits into PostgreSQL.
#[derive(Debug)]
pub struct Postgres {
    /// For people.
    target: String,
    budget: u64,
    spill: Spill,
    status: Arc<Mutex<Status>>,
    drain: Option<JoinHandle<()>>,
    roller: Roller,
}

/// How it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Why nothing arrives in the database; `None` while it does.
    pub away: Option<String>,
    /// Bytes of the log that are not there yet.
    pub behind_bytes: u64,
    /// Samples that this keeper has brought there.
    pub samples: u64,
    /// Cycle records that were lost on the way.
    pub lost_cycles: u64,
    /// Events that were.
    pub lost_events: u64,
}

impl Postgres {
    /// Begins to bring into a database what is in the log in this directory, and what will come. The database may be away.
    ///
    /// # Errors
    /// [`SpillError`]: the log cannot be used.
    pub fn open(target: Target, spill: &Path, budget: u64) -> Result<Self, SpillError> {
        let spill = Spill::open(spill, budget, Files)?;
        let status = Arc::new(Mutex::new(Status::default()));
        let name = target.to_string();
        let roller = Roller::start(target.clone());
        let drain = Drain::new(target, spill.outlet(), budget, Arc::clone(&status));
        let drain = std::thread::Builder::new()
            .name("drain".to_owned())
            .spawn(move || drain.run())
            .map_err(|source| SpillError::Disk { action: "read by a thread", path: "of its own".into(), source })?;
        Ok(Self { target: name, budget, spill, status, drain: Some(drain), roller })
    }

    /// How it stands.
    pub fn status(&self) -> Status {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Status { behind_bytes: self.spill.behind(), ..status }
    }
}

impl Keeper for Postgres {
    fn run(&mut self, run: &Run) -> Result<Kept, KeepError> {
        Ok(self.spill.run(run)?)
    }

    fn tracks(&mut self, run: RunId, names: &[TrackName]) -> Result<Vec<TrackId>, KeepError> {
        Ok(self.spill.tracks(run, names)?)
    }

    fn newest(&self, run: RunId, track: TrackId) -> Result<Option<Point>, KeepError> {
        Ok(self.spill.newest(run, track)?)
    }

    fn unix_ns(&self, run: RunId, cycle: u64) -> Result<Option<u64>, KeepError> {
        Ok(self.spill.unix_ns(run, cycle)?)
    }

    fn commit(&mut self, run: RunId, commit: &Commit) -> Result<(), KeepError> {
        Ok(self.spill.commit(run, commit)?)
    }

    /// What has come into the database is rolled soon, of all runs.
    fn settle(&mut self, _: RunId) -> Result<(), KeepError> {
        self.roller.ask();
        Ok(())
    }

    fn status(&self) -> KeeperStatus {
        let Status { away, behind_bytes, samples, lost_cycles, lost_events } = Self::status(self);
        KeeperStatus::Database {
            target: self.target.clone(),
            away,
            spill_bytes: behind_bytes,
            spill_budget_bytes: self.budget,
            samples,
            lost_cycles,
            lost_events,
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.spill.close();
        let end = Instant::now() + PATIENCE_AT_END;
        for thread in [self.drain.take(), self.roller.end()].into_iter().flatten() {
            while !thread.is_finished() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

/// An error and what is behind it.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

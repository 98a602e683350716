//! The thread that brings what is in the log into the database.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::apply::{Brought, ConnectError, Database, Source};
use super::{Status, Target};
use crate::spill::{Outlet, Piece};

/// A database that was not there is asked again after so long, then after twice as long, and so on up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// How often is looked whether there is something, if nobody says so.
const PATIENCE: Duration = Duration::from_secs(1);
/// Whoever is behind is told of so often.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How often what is too old, or too much, is given up; an attempt that failed is made again then.
const PURGE_EVERY: Duration = Duration::from_secs(3600);
/// The share of the budget, in parts of 100, from which that is a warning.
const FILL_WARNED: u64 = 50;

pub(super) struct Drain {
    target: Target,
    outlet: Outlet,
    budget: u64,
    status: Arc<Mutex<Status>>,
    database: Option<Database>,
    source: Source,
    pause: Duration,
    away_since: Option<Instant>,
    told: Instant,
    /// `None` before the first time.
    purged: Option<Instant>,
}

impl Drain {
    pub(super) fn new(target: Target, outlet: Outlet, budget: u64, status: Arc<Mutex<Status>>) -> Self {
        Self {
            target,
            outlet,
            budget,
            status,
            database: None,
            source: Source::default(),
            pause: PAUSE_FIRST,
            away_since: None,
            told: Instant::now(),
            purged: None,
        }
    }

    /// Until the log is closed, and then as long as there is something and the database takes it.
    pub(super) fn run(mut self) {
        loop {
            let outcome = self.turn();
            let is_closed = self.outlet.is_closed();
            match outcome {
                Ok(0) if is_closed => return,
                Ok(0) => self.outlet.wait(PATIENCE),
                Ok(_) => {}
                Err(_) if is_closed => return,
                Err(error) => self.away(&error),
            }
            self.tell();
        }
    }

    /// Brings the next pieces; how many.
    fn turn(&mut self) -> Result<usize, ConnectError> {
        let database = match &mut self.database {
            Some(database) => database,
            None => self.database.insert(Database::connect(&self.target)?),
        };
        database.prepare_days(SystemTime::now())?;
        if self.purged.is_none_or(|purged| purged.elapsed() >= PURGE_EVERY) {
            self.purged = Some(Instant::now());
            purge(database);
        }
        let pieces = self.outlet.take()?;
        let brought = if pieces.is_empty() { Brought::default() } else { database.apply(&mut self.source, &pieces)? };
        self.back();
        self.count(&pieces, &brought);
        if !pieces.is_empty() {
            self.outlet.done(brought.positions);
        }
        Ok(pieces.len())
    }

    fn away(&mut self, error: &ConnectError) {
        self.database = None;
        let why = error.to_string();
        let mut status = self.status();
        if status.away.as_ref() != Some(&why) {
            tracing::error!(
                behind_bytes = self.outlet.behind(),
                "{} takes nothing at present, the spill log does: {why}",
                self.target
            );
            status.away = Some(why);
        }
        drop(status);
        self.away_since.get_or_insert_with(Instant::now);
        self.outlet.sleep(self.pause);
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    fn back(&mut self) {
        self.pause = PAUSE_FIRST;
        if let Some(since) = self.away_since.take() {
            self.status().away = None;
            let seconds = since.elapsed().as_secs();
            tracing::info!(
                behind_bytes = self.outlet.behind(),
                "{} takes what is kept again, after {seconds} s",
                self.target
            );
        }
    }

    fn count(&self, pieces: &[Piece], brought: &Brought) {
        for piece in pieces {
            if let Piece::Damaged(bytes) = piece {
                tracing::warn!(bytes, "the spill log is damaged");
            }
        }
        let Brought { samples, lost_cycles, lost_events, .. } = *brought;
        if lost_cycles > 0 || lost_events > 0 {
            tracing::error!(
                lost_cycles,
                lost_events,
                "what was lost on the way into {} is in its table of gaps",
                self.target
            );
        }
        let mut status = self.status();
        status.samples += samples;
        status.lost_cycles += lost_cycles;
        status.lost_events += lost_events;
    }

    fn tell(&mut self) {
        if self.told.elapsed() < TELL_EVERY {
            return;
        }
        self.told = Instant::now();
        let behind = self.outlet.behind();
        let share = behind.saturating_mul(100) / self.budget;
        match share {
            FILL_WARNED.. => {
                tracing::warn!(behind_bytes = behind, "{share} % of the spill log wait for {}", self.target)
            }
            _ if self.away_since.is_some() => {
                tracing::info!(behind_bytes = behind, "{share} % of the spill log wait for {}", self.target)
            }
            _ => {}
        }
    }

    fn status(&self) -> std::sync::MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What fails here does not mean that the database is away, and fails the next question if it is.
fn purge(database: &mut Database) {
    match database.purge() {
        Ok(purged) => purged.iter().for_each(|(class, count)| match class.as_str() {
            "samples" | "minutes" => tracing::info!("{count} days of {class} are purged"),
            "hours" => tracing::info!("{count} months of {class} are purged"),
            class => tracing::info!("{count} rows of {class} are purged"),
        }),
        Err(error) => tracing::warn!("what is too old or too much cannot be purged: {error}"),
    }
}

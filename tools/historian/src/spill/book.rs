//! What is known of runs: their tracks, and how far each is in the log.

use std::collections::BTreeMap;

use archive::{Commit, Kept, Point, Run, RunId, TrackId, TrackName};
use serde::{Deserialize, Serialize};

use super::SpillError;

/// Runs that are known at most: agents, and those that restart while the database is away.
const RUNS_MAX: usize = 1024;
/// Runs that stay known although all of them is in the database, so that a historian which comes back goes on with them.
const RUNS_KEPT: usize = 128;
const _: () = assert!(RUNS_KEPT < RUNS_MAX, "there is room for runs that are not in the database yet");

/// How far a run is: the first records of the runtime's rings that are not accounted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    pub(crate) cycle_record: u64,
    pub(crate) event: u64,
}

/// From this cycle on the wall clock was so late, nanoseconds since 1970.
pub(crate) type ClockAt = (u64, u64);

/// The wall clock's time in a cycle.
pub(crate) const fn unix_ns((first, unix_ns): ClockAt, period_ns: u64, cycle: u64) -> u64 {
    unix_ns.saturating_add(cycle.saturating_sub(first).saturating_mul(period_ns))
}

/// A run that is known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) id: RunId,
    pub(crate) run: Run,
    /// In the order of their numbers.
    pub(crate) tracks: Vec<Track>,
    pub(crate) position: Position,
    pub(crate) clock: Option<ClockAt>,
    /// The last cycle that was read.
    last_cycle: Option<u64>,
    /// The larger, the later it was used.
    used: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Track {
    pub(crate) id: TrackId,
    pub(crate) name: TrackName,
    newest: Option<Point>,
}

/// All runs that are known. Numbers of runs and tracks are this log's own and never given twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Book {
    pub(crate) runs: BTreeMap<RunId, Known>,
    last_run: i64,
    last_track: i64,
    uses: u64,
}

impl Book {
    /// What is known of a run, and whether it is new.
    pub(super) fn run(&mut self, run: &Run) -> Result<(Kept, bool), SpillError> {
        self.uses += 1;
        if let Some(known) = self.runs.values_mut().find(|known| known.run == *run) {
            known.used = self.uses;
            return Ok((known.kept(), false));
        }
        if self.runs.len() >= RUNS_MAX {
            return Err(SpillError::TooManyRuns(RUNS_MAX));
        }
        self.last_run += 1;
        let (id, used) = (RunId(self.last_run), self.uses);
        let known = Known {
            id,
            run: run.clone(),
            tracks: Vec::new(),
            position: Position::default(),
            clock: None,
            last_cycle: None,
            used,
        };
        let kept = known.kept();
        self.runs.insert(id, known);
        Ok((kept, true))
    }

    /// The numbers of tracks, and whether one is new.
    pub(super) fn tracks(&mut self, run: RunId, names: &[TrackName]) -> Result<(Vec<TrackId>, bool), SpillError> {
        let Self { runs, last_track, .. } = self;
        let known = runs.get_mut(&run).ok_or(SpillError::UnknownRun)?;
        let before = *last_track;
        let by_name: BTreeMap<_, _> =
            known.tracks.iter().map(|track| ((track.name.kind, track.name.name.clone()), track.id)).collect();
        let mut number = |name: &TrackName| {
            by_name.get(&(name.kind, name.name.clone())).copied().unwrap_or_else(|| {
                *last_track += 1;
                known.tracks.push(Track { id: TrackId(*last_track), name: name.clone(), newest: None });
                TrackId(*last_track)
            })
        };
        let ids = names.iter().map(&mut number).collect();
        Ok((ids, *last_track != before))
    }

    pub(super) fn get(&self, run: RunId) -> Result<&Known, SpillError> {
        self.runs.get(&run).ok_or(SpillError::UnknownRun)
    }

    /// Whether a commit begins where the last one ended.
    pub(super) fn follows(&self, run: RunId, commit: &Commit) -> Result<(), SpillError> {
        let next = self.get(run)?.position;
        for (what, given, next) in
            [("cycle", commit.cycle_records.start, next.cycle_record), ("event", commit.events_read.start, next.event)]
        {
            if given != next {
                return Err(SpillError::OutOfOrder { what, given, next });
            }
        }
        Ok(())
    }

    /// The commit is in the log.
    pub(super) fn apply(&mut self, run: RunId, commit: &Commit, clock: Option<ClockAt>) {
        self.uses += 1;
        let Some(known) = self.runs.get_mut(&run) else { return };
        known.used = self.uses;
        known.clock = clock;
        known.last_cycle = commit.last_cycle.or(known.last_cycle);
        known.position = Position { cycle_record: commit.cycle_records.end, event: commit.events_read.end };
        for (id, point) in &commit.points {
            if let Ok(at) = known.tracks.binary_search_by_key(id, |track| track.id) {
                known.tracks[at].newest = Some(*point);
            }
        }
    }

    /// Forgets the runs that were used longest ago and are in the database as a whole.
    pub(super) fn forget(&mut self, drained: &BTreeMap<RunId, Position>) {
        let mut whole: Vec<_> =
            self.runs.values().filter(|known| drained.get(&known.id) == Some(&known.position)).collect();
        whole.sort_by_key(|known| known.used);
        let many = self.runs.len().saturating_sub(RUNS_KEPT);
        let ids: Vec<_> = whole.into_iter().take(many).map(|known| known.id).collect();
        ids.iter().for_each(|id| _ = self.runs.remove(id));
    }
}

impl Known {
    const fn kept(&self) -> Kept {
        let Position { cycle_record, event } = self.position;
        Kept { run: self.id, next_cycle_record: cycle_record, next_event: event, last_cycle: self.last_cycle }
    }

    /// Whether all tracks of a commit are among these: numbers rise with time.
    pub(crate) fn knows_tracks_of(&self, commit: &Commit) -> bool {
        commit.points.iter().map(|(track, _)| *track).max() <= self.tracks.last().map(|track| track.id)
    }

    pub(super) fn newest(&self, track: TrackId) -> Option<Point> {
        let at = self.tracks.binary_search_by_key(&track, |track| track.id).ok()?;
        self.tracks[at].newest
    }
}

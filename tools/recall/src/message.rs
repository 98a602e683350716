//! What is asked, and what is answered.

use archive::{Bucket, Event, Missing, RunId, RunInfo, Timed, TrackId, TrackInfo};
use serde::{Deserialize, Serialize};

use crate::parts::{Page, Part};
use crate::past::Missed;

/// The version of all that follows behind the greeting.
pub const PROTOCOL: u32 = 2;

/// What a historian can be asked. Times are nanoseconds since 1970; both ends of a window are in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// The greeting, always first: which version the caller speaks.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
    },
    /// How the historian is.
    Status,
    /// The runs behind this one, in the order of their numbers.
    Runs {
        /// The last one that is known.
        after: Option<RunId>,
    },
    /// The tracks behind this one, in the order of runs.
    Tracks {
        /// The last one that is known.
        after: Option<(RunId, TrackId)>,
    },
    /// The newest points of a run's tracks behind this one, as far as they need not be searched for.
    Newest {
        /// Of which run.
        run: RunId,
        /// The last track that is known.
        after: Option<TrackId>,
    },
    /// The points of a track.
    Points {
        /// Which.
        track: TrackInfo,
        /// From when on.
        from_ns: u64,
        /// Until when.
        to_ns: u64,
    },
    /// The events of all runs.
    Events {
        /// From when on.
        from_ns: u64,
        /// Until when.
        to_ns: u64,
    },
    /// What is missing of runs, behind this gap, in the order of runs; what has no time is always among it.
    Gaps {
        /// The gaps that begin from then on.
        from_ns: u64,
        /// Until when.
        to_ns: u64,
        /// The last one that is known: its run, what is missing, its first number.
        after: Option<(RunId, Missing, u64)>,
    },
    /// What a track was like in each stretch of this width that begins in a window.
    Buckets {
        /// Which.
        track: TrackInfo,
        /// From when on.
        from_ns: u64,
        /// Until when.
        to_ns: u64,
        /// How long each is.
        width_ns: u64,
    },
}

/// What a historian answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// To the greeting: which version the historian speaks.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
    },
    /// There is no other answer.
    Refused(Refusal),
    /// How it is.
    Status(Box<Status>),
    /// Runs.
    Runs(Page<RunInfo>),
    /// Tracks.
    Tracks(Page<TrackInfo>),
    /// Newest points.
    Newest(Page<(TrackId, Timed)>),
    /// Points.
    Points(Part<Timed>),
    /// Events.
    Events(Part<(RunId, Event)>),
    /// Gaps.
    Gaps(Page<Missed>),
    /// Buckets; everything that begins until the end of the part.
    Buckets(Part<Bucket>),
}

/// Why a historian does not answer a question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// It is no question, or comes before the greeting.
    #[error("the question was not understood")]
    NotUnderstood,
    /// So many ask already.
    #[error("{0} others are being answered: try again")]
    Busy(usize),
    /// What is kept cannot be read.
    #[error("what is kept cannot be read: {0}")]
    Unreadable(String),
    /// The answer does not fit a packet.
    #[error("a part of what is kept is longer than an answer may be")]
    TooLong,
    /// Its answer would take too long.
    #[error("stretches have from {least_ms} ms to {most_days} days: ask for such ones, or for the values themselves")]
    Width {
        /// The shortest.
        least_ms: u64,
        /// The longest.
        most_days: u64,
    },
}

/// How a historian is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its process.
    pub pid: u32,
    /// For how long it has run, seconds.
    pub uptime_s: u64,
    /// Where it keeps.
    pub keeper: KeeperStatus,
    /// The agents that it has kept since its start, in the order of their names.
    pub agents: Vec<AgentStatus>,
}

/// What a historian has kept of an agent since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// `SITE/AGENT`, with `@INSTANCE` unless that is `main`.
    pub agent: String,
    /// Points of samples, setpoints, rewards and modes.
    pub samples: u64,
    /// Events.
    pub events: u64,
    /// Gaps.
    pub gaps: u64,
    /// Cycle records that are in them.
    pub lost_cycles: u64,
    /// Events that are.
    pub lost_events: u64,
    /// How long ago something was kept last, milliseconds.
    pub last_commit_age_ms: Option<u64>,
    /// Why nothing is kept at present; `None` while it is.
    pub failing: Option<String>,
}

/// Where a historian keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeeperStatus {
    /// In an archive of its own.
    Archive {
        /// Its directory.
        directory: String,
    },
    /// In a database, behind a spill log.
    Database {
        /// Which, without a password.
        target: String,
        /// Why nothing arrives there; `None` while it does.
        away: Option<String>,
        /// Bytes of the log that are not there yet.
        spill_bytes: u64,
        /// What the log may become.
        spill_budget_bytes: u64,
        /// Samples that have arrived there since the start.
        samples: u64,
        /// Cycle records that were lost on the way.
        lost_cycles: u64,
        /// Events that were.
        lost_events: u64,
    },
}

//! Files of days that are over: Parquet, one row for a point, an event or a gap.

mod day;
mod read;
mod row;
mod write;

pub use day::{Day, NoDay};
pub(crate) use read::{Piece, Share, events, gaps, points};
pub(crate) use row::{Owner, Sample, event_columns, event_row, gap_columns, gap_row, sample_columns, sample_row};
pub(crate) use write::{Draft, Written};

/// What a file has rows of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Points of tracks.
    Samples,
    /// Events.
    Events,
    /// What is missing.
    Gaps,
}

impl Class {
    /// All, in the order in which a day is sealed.
    pub const ALL: [Self; 3] = [Self::Samples, Self::Events, Self::Gaps];

    /// As directory and catalogue call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Samples => "samples",
            Self::Events => "events",
            Self::Gaps => "gaps",
        }
    }
}

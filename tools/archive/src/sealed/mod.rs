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

#[cfg(test)]
mod tests {
    use super::row::SOURCE;
    use super::*;
    use crate::block::Point;
    use crate::rows::{TrackKind, TrackName};

    #[test]
    fn a_day_that_was_sealed_without_the_times_of_sources_is_read_without_them() {
        let directory = tempfile::tempdir().unwrap();
        let owner = Owner { agent: "ph".into(), instance: "main".into(), run: "7".into() };
        let track = TrackName { kind: TrackKind::Tag, name: "level".into(), unit: "m".into() };
        let point = Point { age_us: 3, source_us: 9, ..Point::new(5, 0.5, 1) };
        let row = sample_row(&Sample { unix_ns: 1, owner: &owner, track: &track, point });
        let read = |columns| {
            let place = directory.path().join(format!("{columns}.parquet"));
            let mut draft = Draft::begin(&place, &sample_columns()[..columns], &[]).unwrap();
            draft.row(1, &row[..columns]).unwrap();
            let pieces = draft.end().unwrap().unwrap().pieces;
            let share = Share { group: 0, piece: pieces[0], first_row: 0, rows: 1 };
            points(&place, pieces[1], &share).unwrap()
        };
        assert_eq!(read(SOURCE + 1), [point]);
        assert_eq!(read(SOURCE), [Point { source_us: 0, ..point }]);
    }
}

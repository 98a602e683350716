//! Who may do what with a segment, and what is said otherwise.

use shm_layout::SegmentKind;

/// Why a segment did not become a writer or reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleRefused {
    /// The segment's kind has another structure.
    #[error("a segment of {found} is no {expected}")]
    WrongShape {
        /// Kind of the segment.
        found: SegmentKind,
        /// Structure asked for.
        expected: &'static str,
    },
    /// The structure writes, but the segment was attached read-only.
    #[error("the segment of {kind} was attached read-only")]
    ReadOnly {
        /// Kind of the segment.
        kind: SegmentKind,
    },
    /// The segment has, or had, its one writer or its one reader.
    #[error("the role was taken by process {by}: a successor needs a fresh segment")]
    Taken {
        /// Process that claimed it.
        by: u64,
    },
}

/// Words that do not fit a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("words up to {end_words} do not fit a slot of {slot_words}")]
pub struct OutOfSlot {
    /// Where the words would have ended.
    pub end_words: usize,
    /// Words of the slot.
    pub slot_words: usize,
}

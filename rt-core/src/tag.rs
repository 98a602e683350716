//! A tag's identity, a sample of it, and what its quality means.

use crate::time::{MonoTime, Span};

/// The most tags that one runtime reads. The image, the expressions and the cycle record are dimensioned by it.
pub const TAGS_MAX: usize = 512;

/// A tag's place in the site's list of tags: the index of its reading in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagId(u16);

impl TagId {
    /// The tag at `index` of the site's list; `None` at or beyond [`TAGS_MAX`].
    pub const fn new(index: usize) -> Option<Self> {
        if index < TAGS_MAX { Some(Self(index as u16)) } else { None }
    }

    /// The index in the site's list, below [`TAGS_MAX`].
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// How far a value may be trusted (OPC UA Part 8, 6.3; design: Good is used, Uncertain is replaced, Bad is missing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Quality {
    /// The value is used.
    Good = 0,
    /// The last good value stands in for at most the tag's substitution time; then it counts as bad.
    Uncertain = 1,
    /// The value is missing.
    #[default]
    Bad = 2,
}

/// One value of one tag, as the io thread received it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// Which tag.
    pub tag: TagId,
    /// The value in engineering units. Not necessarily finite: the image judges that.
    pub value: f64,
    /// The quality that the field bus reported.
    pub quality: Quality,
    /// When it was received, on our monotonic clock.
    pub received: MonoTime,
    /// The source's own timestamp in 100 ns ticks since 1601-01-01 UTC, zero when there is none. Compared with other
    /// timestamps of the same tag only, never with a clock of ours.
    pub source_time: i64,
}

/// How one tag is judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TagSettings {
    /// The mode machine insists on this tag: without it there is no RUN.
    pub required: bool,
    /// Age beyond which a reading is stale.
    pub stale_after: Span,
    /// How long the last good value stands in for an uncertain one.
    pub substitute_for: Span,
    /// Age counts from the last receipt whose source timestamp advanced, instead of from the last receipt.
    pub source_time_advancing: bool,
}

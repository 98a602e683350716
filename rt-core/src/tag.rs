//! A tag's identity, a sample of it, and what its quality means.

use serde::{Deserialize, Serialize};

use crate::time::{MonoTime, Span};

/// The most tags that one runtime reads. The image, the expressions and the cycle record are dimensioned by it.
pub const TAGS_MAX: usize = 512;

/// A tag's place in the site's list of tags: the index of its reading in the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
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

impl TryFrom<u16> for TagId {
    type Error = NoTag;

    fn try_from(index: u16) -> Result<Self, NoTag> {
        Self::new(index.into()).ok_or(NoTag { index })
    }
}

impl From<TagId> for u16 {
    fn from(tag: TagId) -> Self {
        tag.0
    }
}

/// The index of a tag that no site can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tag {index}, but there are at most {TAGS_MAX}")]
pub struct NoTag {
    /// The index.
    pub index: u16,
}

/// How far a value may be trusted (OPC UA Part 8, 6.3; design: Good is used, Uncertain is replaced, Bad is missing).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
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
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TagSettings {
    /// The mode machine insists on this tag: without it there is no RUN.
    pub required: bool,
    /// Age beyond which a reading is stale.
    pub stale_after: Span,
    /// How long the last good value stands in for an uncertain one.
    pub substitute_for: Span,
    /// Age counts from the last receipt whose source timestamp advanced, instead of from the last receipt.
    pub source_time_advancing: bool,
    /// The values that a sound sensor gives, engineering units; any other one is bad. For a 4–20 mA signal the band of
    /// NAMUR NE 43, see [`ne43_band`].
    pub sound: Option<(f64, f64)>,
    /// A jump is uncertain until it is confirmed.
    pub spike: Option<Spike>,
    /// A value that has been the same, bit for bit, for longer is uncertain.
    pub frozen_after: Option<Span>,
}

/// Why a tag cannot be judged like this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// The band of sound values is reversed or not finite.
    #[error("the band of sound values is reversed or not finite")]
    Sound,
    /// The step of a spike is not positive, or it would be confirmed by itself.
    #[error("a spike needs a finite step above 0 and at least 2 samples to confirm it")]
    Spike,
}

impl TagSettings {
    pub(crate) fn validate(&self) -> Result<(), TagError> {
        if self.sound.is_some_and(|(lo, hi)| !(lo.is_finite() && hi.is_finite() && lo < hi)) {
            return Err(TagError::Sound);
        }
        let possible = |spike: Spike| spike.step.is_finite() && spike.step > 0.0 && spike.samples >= 2;
        if self.spike.is_some_and(|spike| !possible(spike)) { Err(TagError::Spike) } else { Ok(()) }
    }
}

/// When a change from one sample to the next is not believed at once.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spike {
    /// The largest change that is, engineering units.
    pub step: f64,
    /// So many samples in a row, each near the one before, make a larger one believed; at least 2.
    pub samples: u8,
}

/// The band of measured values by NAMUR NE 43, 3.8 to 20.5 mA, for a sensor whose span from `lo` to `hi` is 4 to 20 mA.
pub const fn ne43_band(lo: f64, hi: f64) -> (f64, f64) {
    let per_ma = (hi - lo) / 16.0;
    (lo - 0.2 * per_ma, hi + 0.5 * per_ma)
}

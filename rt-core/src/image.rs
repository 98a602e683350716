//! The process image: what the control path knows of the plant at one instant.
//!
//! Samples go in as the io thread received them; what comes out is judged by the rules of [`TagSettings`]:
//! - A value that is not finite, or that no sound sensor gives, is bad.
//! - A jump is uncertain until enough samples have confirmed it, and so is a value that has been the same for too long.
//! - The last good value stands in for an uncertain one for a while; then the tag is bad.
//! - A tag ages from its last receipt, or from the last receipt whose source timestamp advanced.
//! - Source timestamps are compared with each other alone. One that goes back is counted, and changes nothing else.
//!
//! The image never reads a clock: [`Image::advance`] tells it what time it is.

mod cell;

use serde::{Deserialize, Serialize};

use crate::carry::Carrier;
use crate::tag::{Quality, Sample, TAGS_MAX, TagId, TagSettings};
use crate::time::{MonoTime, Span};

use cell::Cell;

/// One tag at the image's instant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The value that counts, engineering units: the one received when it is good, the last good one while it stands in for
    /// an uncertain one, and NaN when the value is missing.
    pub value: f64,
    /// `Good`: as received. `Uncertain`: the last good value stands in. `Bad`: there is none.
    pub quality: Quality,
    /// Time since receipt, or since the last receipt whose source timestamp advanced; [`Span::MAX`] when there was none.
    pub age: Span,
    /// It is older than the tag permits, or nothing was received at all: it counts as missing, whatever its quality.
    pub stale: bool,
    /// The source timestamp of the sample received last, in 100 ns ticks since 1601-01-01 UTC; 0 when it had none.
    pub source_time: i64,
}

impl Reading {
    /// A tag of which nothing was ever heard.
    pub const MISSING: Self =
        Self { value: f64::NAN, quality: Quality::Bad, age: Span::MAX, stale: true, source_time: 0 };
}

/// Why a tag's value cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// Its quality is bad, or it was uncertain for longer than a substitute may stand in.
    Bad,
    /// It is older than the tag permits, or nothing was received at all.
    Stale,
}

/// A value as it was read back from the plant, unjudged but for being good and fresh.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadBack {
    /// The value, engineering units, finite.
    pub value: f64,
    /// When it was received.
    pub received: MonoTime,
}

/// More tags than an image can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} tags, but an image holds at most {TAGS_MAX}")]
pub struct TooManyTags {
    /// How many were asked for.
    pub count: usize,
}

/// The process image: one [`Reading`] per tag, at one instant.
///
/// # Real-time
/// Everything but [`Image::new`] is wait-free; `O(1)` per call unless a bound is named.
#[derive(Clone, Debug)]
pub struct Image {
    now: MonoTime,
    count: usize,
    cells: [Cell; TAGS_MAX],
    odd_times: u64,
}

impl Image {
    /// An image in which every tag is missing.
    ///
    /// # Errors
    /// When there are more than [`TAGS_MAX`] tags.
    pub fn new(tags: &[TagSettings]) -> Result<Self, TooManyTags> {
        if tags.len() > TAGS_MAX {
            return Err(TooManyTags { count: tags.len() });
        }
        let mut image = Self { now: MonoTime::ZERO, count: tags.len(), cells: [Cell::VACANT; TAGS_MAX], odd_times: 0 };
        for (cell, settings) in image.cells.iter_mut().zip(tags) {
            cell.settings = *settings;
        }
        Ok(image)
    }

    /// Moves the image to the instant `now`; ages are counted up to it.
    pub fn advance(&mut self, now: MonoTime) {
        self.now = now;
    }

    /// Takes a sample in; `false` when the image has no such tag.
    #[inline]
    pub fn receive(&mut self, sample: &Sample) -> bool {
        let Some(cell) = self.cells.iter_mut().take(self.count).nth(sample.tag.index()) else { return false };
        let odd_time = cell.receive(sample);
        self.odd_times = self.odd_times.saturating_add(u64::from(odd_time));
        true
    }

    /// Changes how a tag is judged from its next sample on; `false` when the image has no such tag.
    pub fn set_settings(&mut self, tag: TagId, settings: TagSettings) -> bool {
        let Some(cell) = self.cells.iter_mut().take(self.count).nth(tag.index()) else { return false };
        cell.settings = settings;
        true
    }

    /// Samples so far whose source timestamp went back, or was missing after there had been one.
    pub const fn odd_times(&self) -> u64 {
        self.odd_times
    }

    /// How many tags it has.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether it has no tag at all.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The instant that it describes.
    pub const fn now(&self) -> MonoTime {
        self.now
    }

    /// The tag's reading; [`Reading::MISSING`] for a tag that the image does not have.
    #[inline]
    pub fn reading(&self, tag: TagId) -> Reading {
        self.cell(tag).map_or(Reading::MISSING, |cell| cell.reading(self.now))
    }

    /// All readings, in the site's order. Bounded by [`TAGS_MAX`].
    pub fn readings(&self) -> impl ExactSizeIterator<Item = Reading> {
        self.cells.iter().take(self.count).map(|cell| cell.reading(self.now))
    }

    /// The value, when it is good or substituted, and not stale. Always finite.
    #[inline]
    pub fn usable(&self, tag: TagId) -> Option<f64> {
        self.judge(tag).ok()
    }

    /// The value, or why there is none.
    ///
    /// # Errors
    /// Says whether the value is bad or stale; stale comes first.
    #[inline]
    pub fn judge(&self, tag: TagId) -> Result<f64, Missing> {
        self.cell(tag).ok_or(Missing::Stale)?.judge(self.now)
    }

    /// The first required tag whose value cannot be used. Bounded by [`TAGS_MAX`].
    pub fn required_missing(&self) -> Option<(TagId, Missing)> {
        let cells = self.cells.iter().take(self.count).enumerate().filter(|(_, cell)| cell.settings.required);
        cells.filter_map(|(index, cell)| Some((TagId::new(index)?, cell.judge(self.now).err()?))).next()
    }

    /// The value when it is itself good and fresh: no substitute will do for a reference to move from.
    #[inline]
    pub fn read_back(&self, tag: TagId) -> Option<ReadBack> {
        let cell = self.cell(tag)?;
        let read_back = cell.last_good?;
        (cell.quality == Quality::Good && cell.judge(self.now).is_ok()).then_some(read_back)
    }

    /// The source timestamp of the tag's value in 100 ns ticks since 1601-01-01 UTC, when it has one, and is itself good and
    /// fresh.
    #[inline]
    pub fn source_time(&self, tag: TagId) -> Option<i64> {
        let cell = self.cell(tag)?;
        let good = cell.quality == Quality::Good && cell.judge(self.now).is_ok();
        Some(cell.source_time).filter(|ticks| good && *ticks > 0)
    }

    pub(crate) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { now, count, cells, odd_times } = self;
        carrier.carry(now);
        cells.iter_mut().take(*count).for_each(|cell| cell.carry(carrier));
        carrier.carry(odd_times);
    }

    #[inline]
    fn cell(&self, tag: TagId) -> Option<&Cell> {
        self.cells.get(tag.index()).filter(|_| tag.index() < self.count)
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! The process image: what the control path knows of the plant at one instant.
//!
//! Samples go in as the io thread received them; what comes out is judged: quality, substitution and age by the rules of
//! [`TagSettings`]. The image never reads a clock: [`Image::advance`] tells it what time it is.

use crate::tag::{Quality, Sample, TAGS_MAX, TagId, TagSettings};
use crate::time::{MonoTime, Span};

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
}

impl Reading {
    /// A tag of which nothing was ever heard.
    pub const MISSING: Self = Self { value: f64::NAN, quality: Quality::Bad, age: Span::MAX };
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
#[derive(Clone, Copy, Debug, PartialEq)]
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
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    settings: TagSettings,
    value: f64,
    quality: Quality,
    source_time: i64,
    received: Option<MonoTime>,
    /// The receipt from which the age counts.
    fresh_at: Option<MonoTime>,
    last_good: Option<ReadBack>,
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
        let mut image = Self { now: MonoTime::ZERO, count: tags.len(), cells: [Cell::VACANT; TAGS_MAX] };
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
        cell.receive(sample);
        true
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

    #[inline]
    fn cell(&self, tag: TagId) -> Option<&Cell> {
        self.cells.get(tag.index()).filter(|_| tag.index() < self.count)
    }
}

impl Cell {
    const VACANT: Self = Self {
        settings: TagSettings {
            required: false,
            stale_after: Span::ZERO,
            substitute_for: Span::ZERO,
            source_time_advancing: false,
        },
        value: f64::NAN,
        quality: Quality::Bad,
        source_time: 0,
        received: None,
        fresh_at: None,
        last_good: None,
    };

    #[inline]
    fn receive(&mut self, sample: &Sample) {
        // Compared with the sample before, not with the newest ever seen: a source whose clock was set back is alive.
        let advanced = sample.source_time != 0 && (self.received.is_none() || sample.source_time > self.source_time);
        self.value = sample.value;
        self.quality = if sample.value.is_finite() { sample.quality } else { Quality::Bad };
        self.source_time = sample.source_time;
        self.received = Some(sample.received);
        if advanced || !self.settings.source_time_advancing {
            self.fresh_at = Some(sample.received);
        }
        if self.quality == Quality::Good {
            self.last_good = Some(ReadBack { value: sample.value, received: sample.received });
        }
    }

    #[inline]
    fn reading(&self, now: MonoTime) -> Reading {
        let age = self.fresh_at.map_or(Span::MAX, |at| now.since(at));
        let value = match self.quality {
            Quality::Good => Some(self.value),
            Quality::Uncertain => self.substitute(now),
            Quality::Bad => None,
        };
        match value {
            Some(value) => Reading { value, quality: self.quality, age },
            None => Reading { value: f64::NAN, quality: Quality::Bad, age },
        }
    }

    fn substitute(&self, now: MonoTime) -> Option<f64> {
        let good = self.last_good?;
        (now.since(good.received) <= self.settings.substitute_for).then_some(good.value)
    }

    #[inline]
    fn judge(&self, now: MonoTime) -> Result<f64, Missing> {
        let reading = self.reading(now);
        if reading.age > self.settings.stale_after || self.fresh_at.is_none() {
            Err(Missing::Stale)
        } else if reading.quality == Quality::Bad {
            Err(Missing::Bad)
        } else {
            Ok(reading.value)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: TagSettings = TagSettings {
        required: true,
        stale_after: Span::from_ms(100),
        substitute_for: Span::from_ms(30),
        source_time_advancing: false,
    };

    fn tag() -> TagId {
        TagId::new(0).unwrap()
    }

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Span::from_ms(ms)
    }

    fn sample(value: f64, quality: Quality, ms: u64) -> Sample {
        Sample { tag: tag(), value, quality, received: at(ms), source_time: 0 }
    }

    fn image(settings: TagSettings, samples: &[Sample], now_ms: u64) -> Image {
        let mut image = Image::new(&[settings]).unwrap();
        for sample in samples {
            assert!(image.receive(sample));
        }
        image.advance(at(now_ms));
        image
    }

    #[test]
    fn a_tag_that_was_never_heard_of_is_stale() {
        let image = image(PLAIN, &[], 0);
        assert_eq!(image.judge(tag()), Err(Missing::Stale));
        assert_eq!(image.required_missing(), Some((tag(), Missing::Stale)));
        assert_eq!(image.reading(tag()).age, Span::MAX);
    }

    #[test]
    fn a_good_value_is_used_until_it_is_stale() {
        let image = |now_ms| image(PLAIN, &[sample(3.5, Quality::Good, 10)], now_ms);
        assert_eq!(image(110).usable(tag()), Some(3.5));
        assert_eq!(image(111).judge(tag()), Err(Missing::Stale));
        assert_eq!(image(111).read_back(tag()), None);
    }

    #[test]
    fn an_uncertain_value_is_replaced_by_the_last_good_one_for_a_while() {
        let image =
            |now_ms| image(PLAIN, &[sample(3.5, Quality::Good, 10), sample(9.0, Quality::Uncertain, 20)], now_ms);
        assert_eq!(image(40).usable(tag()), Some(3.5));
        assert_eq!(image(40).reading(tag()).quality, Quality::Uncertain);
        assert_eq!(image(40).read_back(tag()), None);
        assert_eq!(image(41).judge(tag()), Err(Missing::Bad));
        assert!(image(41).reading(tag()).value.is_nan());
    }

    #[test]
    fn an_uncertain_value_without_a_good_one_before_it_is_bad() {
        assert_eq!(image(PLAIN, &[sample(9.0, Quality::Uncertain, 20)], 20).judge(tag()), Err(Missing::Bad));
    }

    #[test]
    fn a_value_that_is_not_finite_is_bad_whatever_its_quality() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for quality in [Quality::Good, Quality::Uncertain, Quality::Bad] {
                let image = image(PLAIN, &[sample(1.0, Quality::Good, 0), sample(value, quality, 1)], 1);
                assert_eq!(image.judge(tag()), Err(Missing::Bad));
            }
        }
    }

    #[test]
    fn age_counts_from_the_last_receipt_whose_source_time_advanced() {
        let settings = TagSettings { source_time_advancing: true, ..PLAIN };
        let stamped = |ms, source_time| Sample { source_time, ..sample(1.0, Quality::Good, ms) };
        let frozen = image(settings, &[stamped(0, 77), stamped(50, 77), stamped(90, 77)], 101);
        assert_eq!(frozen.judge(tag()), Err(Missing::Stale));
        let set_back = image(settings, &[stamped(0, 77), stamped(50, 5), stamped(90, 6)], 101);
        assert_eq!(set_back.reading(tag()).age, Span::from_ms(11));
        let without = image(settings, &[stamped(0, 0), stamped(50, 0)], 50);
        assert_eq!(without.judge(tag()), Err(Missing::Stale));
    }

    #[test]
    fn a_tag_that_the_image_does_not_have_is_refused() {
        let mut image = image(PLAIN, &[], 0);
        let foreign = TagId::new(1).unwrap();
        assert!(!image.receive(&Sample { tag: foreign, ..sample(1.0, Quality::Good, 0) }));
        assert_eq!(image.usable(foreign), None);
        assert_eq!(Image::new(&[PLAIN; TAGS_MAX + 1]).err(), Some(TooManyTags { count: TAGS_MAX + 1 }));
    }

    proptest! {
        #[test]
        fn a_usable_value_is_finite_and_was_good_not_long_ago(
            samples in prop::collection::vec((any::<f64>(), 0_u8..3, 0_u64..40), 0..30),
            wait in 0_u64..150,
        ) {
            let mut image = Image::new(&[PLAIN]).unwrap();
            let mut now = 0;
            let mut good = None;
            for (value, quality, pause) in samples {
                now += pause;
                let quality = [Quality::Good, Quality::Uncertain, Quality::Bad][usize::from(quality)];
                image.receive(&sample(value, quality, now));
                if quality == Quality::Good && value.is_finite() {
                    good = Some((value, now));
                }
            }
            now += wait;
            image.advance(at(now));
            if let Some(usable) = image.usable(tag()) {
                let (value, when) = good.unwrap();
                prop_assert_eq!(usable.to_bits(), value.to_bits());
                prop_assert!(now - when <= 100);
            }
        }
    }
}

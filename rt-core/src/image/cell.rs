//! One tag of the image.

use serde::{Deserialize, Serialize};

use super::{Missing, ReadBack, Reading};
use crate::carry::Carrier;
use crate::tag::{Quality, Sample, Spike, TagSettings};
use crate::time::{MonoTime, Span};

#[derive(Clone, Copy, Debug)]
pub(super) struct Cell {
    pub(super) settings: TagSettings,
    value: f64,
    pub(super) quality: Quality,
    pub(super) source_time: i64,
    received: Option<MonoTime>,
    /// The receipt from which the age counts.
    fresh_at: Option<MonoTime>,
    /// The receipt of the first sample with the present value.
    changed_at: MonoTime,
    pub(super) last_good: Option<ReadBack>,
    suspect: Suspect,
}

/// A value that is too far from the last good one, and how many samples have shown it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Suspect {
    value: f64,
    seen: u8,
}

impl Suspect {
    const NONE: Self = Self { value: f64::NAN, seen: 0 };
}

impl Cell {
    pub(super) const VACANT: Self = Self {
        settings: TagSettings {
            required: false,
            stale_after: Span::ZERO,
            substitute_for: Span::ZERO,
            source_time_advancing: false,
            sound: None,
            spike: None,
            frozen_after: None,
        },
        value: f64::NAN,
        quality: Quality::Bad,
        source_time: 0,
        received: None,
        fresh_at: None,
        changed_at: MonoTime::ZERO,
        last_good: None,
        suspect: Suspect::NONE,
    };

    /// Takes a sample in; whether its source timestamp went back, or vanished.
    #[inline]
    pub(super) fn receive(&mut self, sample: &Sample) -> bool {
        // Compared with the sample before, not with the newest ever seen: a source whose clock was set back is alive.
        let advanced = sample.source_time != 0 && (self.received.is_none() || sample.source_time > self.source_time);
        if self.received.is_none() || sample.value.to_bits() != self.value.to_bits() {
            self.changed_at = sample.received;
        }
        self.quality = self.judge_sample(sample);
        let odd_time = sample.source_time < self.source_time;
        self.value = sample.value;
        self.source_time = sample.source_time;
        self.received = Some(sample.received);
        if advanced || !self.settings.source_time_advancing {
            self.fresh_at = Some(sample.received);
        }
        if self.quality == Quality::Good {
            self.last_good = Some(ReadBack { value: sample.value, received: sample.received });
            self.suspect = Suspect::NONE;
        }
        odd_time
    }

    fn judge_sample(&mut self, sample: &Sample) -> Quality {
        let sound = self.settings.sound.is_none_or(|(lo, hi)| (lo..=hi).contains(&sample.value));
        if !(sample.value.is_finite() && sound) {
            return Quality::Bad;
        }
        let frozen = self.settings.frozen_after.is_some_and(|max| sample.received.since(self.changed_at) > max);
        let doubtful = frozen || self.settings.spike.is_some_and(|spike| self.is_unconfirmed(sample, spike));
        if doubtful { sample.quality.max(Quality::Uncertain) } else { sample.quality }
    }

    /// Whether the sample is a jump that too few samples have shown. One and the same sample, read again, shows nothing new.
    fn is_unconfirmed(&mut self, sample: &Sample, spike: Spike) -> bool {
        let near = |from: f64| (sample.value - from).abs() <= spike.step;
        if self.last_good.is_none_or(|good| near(good.value)) {
            self.suspect = Suspect::NONE;
            return false;
        }
        let another = sample.source_time == 0 || sample.source_time != self.source_time;
        let seen = match (near(self.suspect.value), another) {
            (true, true) => self.suspect.seen.saturating_add(1),
            (true, false) => self.suspect.seen,
            (false, _) => 1,
        };
        self.suspect = Suspect { value: sample.value, seen };
        seen < spike.samples
    }

    /// How the tag is judged is memory, too: it may change between two cycles.
    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { settings, value, quality, source_time, received, fresh_at, changed_at, last_good, suspect } = self;
        carrier.carry(settings);
        carrier.carry(value);
        carrier.carry(quality);
        carrier.carry(source_time);
        carrier.carry(received);
        carrier.carry(fresh_at);
        carrier.carry(changed_at);
        carrier.carry(last_good);
        carrier.carry(suspect);
    }

    #[inline]
    pub(super) fn reading(&self, now: MonoTime) -> Reading {
        let age = self.fresh_at.map_or(Span::MAX, |at| now.since(at));
        let value = match self.quality {
            Quality::Good => Some(self.value),
            Quality::Uncertain => self.substitute(now),
            Quality::Bad => None,
        };
        let stale = age > self.settings.stale_after || self.fresh_at.is_none();
        let (value, quality) = value.map_or((f64::NAN, Quality::Bad), |value| (value, self.quality));
        Reading { value, quality, age, stale, source_time: self.source_time }
    }

    fn substitute(&self, now: MonoTime) -> Option<f64> {
        let good = self.last_good?;
        (now.since(good.received) <= self.settings.substitute_for).then_some(good.value)
    }

    #[inline]
    pub(super) fn judge(&self, now: MonoTime) -> Result<f64, Missing> {
        let reading = self.reading(now);
        if reading.stale {
            Err(Missing::Stale)
        } else if reading.quality == Quality::Bad {
            Err(Missing::Bad)
        } else {
            Ok(reading.value)
        }
    }
}

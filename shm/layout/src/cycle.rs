//! The record of one control cycle: a head, one part per setpoint, one part per tag.

use zerocopy::{FromBytes, IntoBytes};

use crate::SizeMismatch;

/// Most setpoints or tags that a record has.
const PARTS_MAX: u32 = 1 << 16;
/// 1970-01-01 in ticks of 100 ns since 1601-01-01, as OPC UA counts time (part 6, 5.2.2.5).
const TICKS_TO_1970: i64 = 116_444_736_000_000_000;

abi_struct! {
    /// What every cycle record begins with.
    pub struct CycleHead: 96 {
        /// Number of the control slot since the start, skipped ones counted.
        pub cycle: u64,
        /// Release time of the slot, CLOCK_MONOTONIC nanoseconds.
        pub release_ns: u64,
        /// Time since the previous executed slot, nanoseconds.
        pub dt_ns: u64,
        /// Generation of the policy in use; 0 is the nominal one.
        pub policy_generation: u64,
        /// Reward of the step that ended here; NaN when there is none.
        pub reward: f64,
        /// Wake-up after the release time, nanoseconds, saturating.
        pub lateness_ns: u32,
        /// Cycle's body without this report, nanoseconds, saturating.
        pub execution_ns: u32,
        /// Receipt of the newest sample to the setpoint ring, nanoseconds, saturating; 0 without a write.
        pub response_ns: u32,
        /// Slots skipped before this one.
        pub skipped: u32,
        /// Samples taken from the sample ring.
        pub samples_drained: u32,
        /// Samples lost since the previous cycle.
        pub samples_lost: u32,
        /// Number of [`SetpointPart`]s.
        pub n_setpoints: u32,
        /// Number of [`TagPart`]s.
        pub n_tags: u32,
        /// Reason for not writing, or cause of a mode change; 0 when none.
        pub cause: u32,
        /// Bits: the associated constants.
        pub flags: u16,
        /// Number of the mode after this cycle.
        pub mode: u8,
        /// Number of the mode before this cycle.
        pub mode_previous: u8,
        /// How deep the tag of `zone_tag` lies in that zone: above 0, and 1 at its far end; 0 when none lies in one.
        pub zone_depth: f64,
        /// The first goal of the reward that is not met, from 1; 0 when all are, or there is none.
        pub goal: u16,
        /// The tag, in the order of the site file, that lies deepest in a zone; 0 when none does.
        pub zone_tag: u16,
        /// The zone in which it lies: 0 none, 1 yellow, 2 red.
        pub zone: u8,
        /// Zero.
        pub reserved: [u8; 3],
    }
}

impl CycleHead {
    /// Flag: the pipeline observed in this slot.
    pub const OBSERVATION_SLOT: u16 = 1 << 0;
    /// Flag: the policy decided in this slot.
    pub const DECISION_SLOT: u16 = 1 << 1;
    /// Flag: the runtime is armed.
    pub const ARMED: u16 = 1 << 2;
    /// Flag: another policy than in the previous cycle is in use.
    pub const POLICY_ADOPTED: u16 = 1 << 3;
    /// Flag: exploration noise was added.
    pub const EXPLORED: u16 = 1 << 4;
    /// Flag: a setpoint set went to the setpoint ring.
    pub const WROTE: u16 = 1 << 5;
    /// Flag: FALLBACK is latched.
    pub const LATCHED: u16 = 1 << 6;
    /// Flag: a step went to the learner.
    pub const STEP_SENT: u16 = 1 << 7;
    /// Flag: a violated expectation was caught in this cycle.
    pub const FAULT: u16 = 1 << 8;
    /// Flag: the plant connection is up.
    pub const CONNECTED: u16 = 1 << 9;
    /// Flag: the policy's decision of this cycle counts.
    pub const DECIDED: u16 = 1 << 10;
    /// Flag: the policy's output was not finite.
    pub const NOT_FINITE: u16 = 1 << 11;
    /// Flag: the policy's output was out of the envelope's range.
    pub const OUT_OF_BOUNDS: u16 = 1 << 12;
    /// Flag: the decision came too late, and was not used.
    pub const LATE_DECISION: u16 = 1 << 13;
    /// Flag: a decision slot because of a trigger, between those of the action period.
    pub const TRIGGERED: u16 = 1 << 14;

    /// Zone: yellow.
    pub const YELLOW: u8 = 1;
    /// Zone: red.
    pub const RED: u8 = 2;

    /// Whether all bits of `flag` are set.
    pub const fn has(&self, flag: u16) -> bool {
        self.flags & flag == flag
    }
}

abi_struct! {
    /// One setpoint in one cycle, in engineering units.
    pub struct SetpointPart: 48 {
        /// What policy or fallback asked for.
        pub desired: f64,
        /// What the envelope let through and was sent; whether the plant took it is told by later records.
        pub sent: f64,
        /// The value that the change was measured from: the last one sent, as far as no refusal is known, or read back.
        pub last: f64,
        /// The value on the plant; NaN when unknown.
        pub readback: f64,
        /// Bits of the limits that changed the value.
        pub acted: u32,
        /// Number of the setpoint's state.
        pub state: u32,
        /// What the plant answered last to a write of ours, as this cycle knows it: 0 nothing yet on this connection, 1 it was
        /// accepted, 2 it was refused. An answer comes after its cycle: it may be the one to the write before the latest.
        pub reply: u32,
        /// Zero.
        pub reserved: u32,
    }
}

abi_struct! {
    /// One tag in one cycle.
    pub struct TagPart: 32 {
        /// Value in engineering units; NaN when there never was one.
        pub value: f64,
        /// Age by the monotonic clock, nanoseconds, saturating; all bits are set when there never was a value.
        pub age_ns: u64,
        /// The source's own time for the sample received last, ticks of 100 ns since 1601-01-01 UTC; 0 when it gave none.
        pub source_time: i64,
        /// Number of the quality.
        pub quality: u8,
        /// 1 when it is older than the tag permits, so that it counts as missing whatever its quality; else 0.
        pub stale: u8,
        /// Zero.
        pub reserved: [u8; 6],
    }
}

impl TagPart {
    /// Whether it was received and is older than the tag permits; what never was is missing from the beginning.
    pub fn is_stale(&self) -> bool {
        self.stale != 0 && self.age().is_some()
    }

    /// Its age, nanoseconds; `None` when there never was a value.
    pub fn age(&self) -> Option<u64> {
        Some(self.age_ns).filter(|age_ns| *age_ns != u64::MAX)
    }

    /// What its source says when the sample received last was so, nanoseconds since 1970-01-01 UTC; `None` when it says nothing,
    /// or an instant that cannot be said so.
    pub fn source_unix_ns(&self) -> Option<u64> {
        u64::try_from(self.source_time.checked_sub(TICKS_TO_1970)?).ok()?.checked_mul(100)
    }
}

/// The sizes of a site's cycle records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CycleLayout {
    n_setpoints: usize,
    n_tags: usize,
}

/// A cycle record in its words.
#[derive(Clone, Copy, Debug)]
pub struct CycleRef<'a> {
    /// The fixed part.
    pub head: &'a CycleHead,
    /// One part per setpoint, in the order of the site file.
    pub setpoints: &'a [SetpointPart],
    /// One part per tag, in the order of the site file.
    pub tags: &'a [TagPart],
}

/// A cycle record in its words, to be filled.
#[derive(Debug)]
pub struct CycleMut<'a> {
    /// The fixed part; its two counts are filled in already.
    pub head: &'a mut CycleHead,
    /// One part per setpoint, in the order of the site file.
    pub setpoints: &'a mut [SetpointPart],
    /// One part per tag, in the order of the site file.
    pub tags: &'a mut [TagPart],
}

impl CycleLayout {
    /// The layout for so many setpoints and tags; `None` beyond 65,536 of either.
    pub const fn new(n_setpoints: u32, n_tags: u32) -> Option<Self> {
        if n_setpoints > PARTS_MAX || n_tags > PARTS_MAX {
            return None;
        }
        Some(Self { n_setpoints: n_setpoints as usize, n_tags: n_tags as usize })
    }

    /// The layout that a segment's [`dims`](crate::VerifiedHeader::dims) describe.
    pub const fn from_dims(dims: [u32; 4]) -> Option<Self> {
        Self::new(dims[0], dims[1])
    }

    /// The layout as a segment's header holds it.
    pub const fn dims(&self) -> [u32; 4] {
        [self.n_setpoints as u32, self.n_tags as u32, 0, 0]
    }

    /// Words of one record.
    pub const fn words(&self) -> usize {
        let bytes =
            size_of::<CycleHead>() + self.n_setpoints * size_of::<SetpointPart>() + self.n_tags * size_of::<TagPart>();
        bytes / size_of::<u64>()
    }

    /// The record in these words.
    ///
    /// # Errors
    ///
    /// [`SizeMismatch`] unless there are exactly [`words`](Self::words). The counts inside the head
    /// are not believed; the layout's are.
    pub fn view<'a>(&self, words: &'a [u64]) -> Result<CycleRef<'a>, SizeMismatch> {
        self.split(words).ok_or(self.mismatch(words.len()))
    }

    /// The record in these words, to be filled; the head's counts are set.
    ///
    /// # Errors
    ///
    /// [`SizeMismatch`] unless there are exactly [`words`](Self::words).
    pub fn view_mut<'a>(&self, words: &'a mut [u64]) -> Result<CycleMut<'a>, SizeMismatch> {
        let mismatch = self.mismatch(words.len());
        self.split_mut(words).ok_or(mismatch)
    }

    fn split<'a>(&self, words: &'a [u64]) -> Option<CycleRef<'a>> {
        let (head, rest) = CycleHead::ref_from_prefix(words.as_bytes()).ok()?;
        let (setpoints, rest) = <[SetpointPart]>::ref_from_prefix_with_elems(rest, self.n_setpoints).ok()?;
        let tags = <[TagPart]>::ref_from_bytes_with_elems(rest, self.n_tags).ok()?;
        Some(CycleRef { head, setpoints, tags })
    }

    fn split_mut<'a>(&self, words: &'a mut [u64]) -> Option<CycleMut<'a>> {
        let (head, rest) = CycleHead::mut_from_prefix(words.as_mut_bytes()).ok()?;
        let (setpoints, rest) = <[SetpointPart]>::mut_from_prefix_with_elems(rest, self.n_setpoints).ok()?;
        let tags = <[TagPart]>::mut_from_bytes_with_elems(rest, self.n_tags).ok()?;
        let [n_setpoints, n_tags, ..] = self.dims();
        (head.n_setpoints, head.n_tags) = (n_setpoints, n_tags);
        Some(CycleMut { head, setpoints, tags })
    }

    fn mismatch(&self, found_words: usize) -> SizeMismatch {
        SizeMismatch { found_words, expected_words: self.words() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let layout = CycleLayout::new(3, 5).unwrap();
        assert_eq!(layout.words() * 8, 96 + 3 * 48 + 5 * 32);
        let mut words = vec![0; layout.words()];
        let record = layout.view_mut(&mut words).unwrap();
        record.head.cycle = 9;
        record.head.flags = CycleHead::ARMED | CycleHead::WROTE;
        for (i, part) in record.setpoints.iter_mut().enumerate() {
            part.sent = i as f64;
        }
        for (i, part) in record.tags.iter_mut().enumerate() {
            part.age_ns = i as u64;
        }
        let record = layout.view(&words).unwrap();
        assert_eq!(record.head.cycle, 9);
        assert_eq!((record.head.n_setpoints, record.head.n_tags), (3, 5));
        assert!(record.head.has(CycleHead::ARMED) && !record.head.has(CycleHead::FAULT));
        assert_eq!(record.setpoints[2].sent, 2.0);
        assert_eq!(record.tags[4].age_ns, 4);
    }

    #[test]
    fn a_source_s_time_is_told_in_unix_time_where_it_can_be() {
        let told = |source_time| {
            let mut words = vec![0; CycleLayout::new(0, 1).unwrap().words()];
            let record = CycleLayout::new(0, 1).unwrap().view_mut(&mut words).unwrap();
            record.tags[0].source_time = source_time;
            record.tags[0].source_unix_ns()
        };
        // 2026-11-27 17:00:00.0000001 UTC.
        assert_eq!(told(134_402_724_000_000_001), Some(1_795_798_800_000_000_100));
        assert_eq!(told(116_444_736_000_000_000), Some(0));
        assert_eq!([0, -1, i64::MIN, i64::MAX, 116_444_735_999_999_999].map(told), [None; 5]);
    }

    #[test]
    fn every_other_length_is_refused() {
        let layout = CycleLayout::new(1, 1).unwrap();
        for found_words in (0..2 * layout.words()).filter(|n| *n != layout.words()) {
            let mut words = vec![0; found_words];
            let expected_words = layout.words();
            let mismatch = SizeMismatch { found_words, expected_words };
            assert_eq!(layout.view(&words).unwrap_err(), mismatch);
            assert_eq!(layout.view_mut(&mut words).unwrap_err(), mismatch);
        }
    }

    #[test]
    fn a_layout_survives_the_header() {
        let layout = CycleLayout::new(8, 58).unwrap();
        assert_eq!(CycleLayout::from_dims(layout.dims()), Some(layout));
        assert_eq!(CycleLayout::from_dims([u32::MAX, 0, 0, 0]), None);
    }
}

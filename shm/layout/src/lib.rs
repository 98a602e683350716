//! The shared-memory ABI of the runtime: what the bytes of every segment mean.
//!
//! The contract:
//!
//! 1. Every structure is `repr(C)`, without padding, little-endian, and readable from any language.
//! 2. Nothing here allocates, blocks, maps or executes; it is arithmetic on bytes and words.
//! 3. Bytes that come from another process are allegations. [`verify`] is the one function that turns
//!    a header into a [`VerifiedHeader`]; [`WeightsHeader::shape`] does so for the shape of a network.
//! 4. A changed structure changes [`LAYOUT_HASH`], and programs of different hashes refuse each other.
//!    A golden test holds every size and offset.
//!
//! The nouns: a **segment** is one sealed memfd. It opens with a [`SegmentHeader`] of 128 bytes that
//! never changes after creation, then two words that do, the claim ([`CLAIM_WORD`]) and the control
//! ([`CONTROL_WORD`]), each on a cache line of its own, and then its data from [`DATA_WORD`] on, whose
//! arrangement is the segment kind's [`Shape`]. Records live in slots of whole 64-bit words:
//! [`CycleLayout`], [`StepLayout`], [`EstimateRecord`], [`EventRecord`] and [`WeightsHeader`] say what the words hold.
//!
//! ```
//! use shm_layout::{CycleLayout, SetpointPart};
//!
//! let layout = CycleLayout::new(2, 3).unwrap();
//! let mut words = vec![0u64; layout.words()];
//! let record = layout.view_mut(&mut words).unwrap();
//! record.head.cycle = 7;
//! record.setpoints[1].sent = 0.25;
//! assert_eq!(layout.view(&words).unwrap().setpoints[1].sent, 0.25);
//! ```
//!
//! # Real-time
//!
//! Every function of this crate is wait-free: no loop but over the slices it is given, no allocation,
//! no system call, no panic.

#![no_std]
#![forbid(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("the shared-memory ABI is little-endian");

#[cfg(test)]
extern crate std;

#[macro_use]
mod abi;
mod counters;
mod cycle;
mod estimate;
mod event;
mod histogram;
mod segment;
mod step;
mod weights;

pub use counters::{ConnectionCounter, Counter, LearnerCounter};
pub use cycle::{CycleHead, CycleLayout, CycleMut, CycleRef, SetpointPart, TagPart};
pub use estimate::{ESTIMATE_WORDS, EstimateRecord};
pub use event::{EVENT_TEXT_BYTES, EVENT_WORDS, EventKind, EventRecord};
pub use histogram::{
    HISTOGRAM_BUCKETS, HISTOGRAM_SUB_BUCKETS, HISTOGRAM_VALUE_BITS, HISTOGRAM_WORDS, HistogramKind, LearnerHistogram,
    RoundTrip, bucket_of, lower_bound, upper_bound,
};
pub use segment::{
    CLAIM_WORD, CONTROL_WORD, DATA_WORD, HEADER_BYTES, HEADER_WORDS, HeaderRefused, MAGIC, MAX_SEGMENT_BYTES,
    SegmentHeader, SegmentKind, Shape, TRIPLE_DIRTY, TRIPLE_SLOTS, VerifiedHeader, verify,
};
pub use step::{StepHead, StepLayout, StepMut, StepRef};
pub use weights::{
    Activation, LayerDims, MAX_LAYERS, MAX_WIDTH, ShapeRefused, WEIGHTS_HEADER_BYTES, WEIGHTS_HEADER_WORDS,
    WEIGHTS_MAGIC, WEIGHTS_VERSION, WeightsHeader, WeightsShape, f32s_of_words, words_of_f32s,
};

/// Version of the ABI as people count it; raised by hand whenever [`LAYOUT_HASH`] changes.
pub const LAYOUT_VERSION: u32 = 7;

/// Hash of the text of every structure and table of this crate: names, types, order and sizes.
pub const LAYOUT_HASH: u64 = {
    let hash = abi::fnv(abi::FNV_START, b"corerl shared memory");
    let hash = abi::fnv(hash, SegmentHeader::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, SegmentKind::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, WeightsHeader::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, LayerDims::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, Activation::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, CycleHead::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, SetpointPart::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, TagPart::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, StepHead::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, EstimateRecord::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, EventRecord::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, EventKind::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, Counter::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, LearnerCounter::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, ConnectionCounter::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, HistogramKind::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, RoundTrip::DESCRIPTION.as_bytes());
    let hash = abi::fnv(hash, LearnerHistogram::DESCRIPTION.as_bytes());
    abi::fnv_u64s(
        hash,
        &[
            CLAIM_WORD as u64,
            CONTROL_WORD as u64,
            DATA_WORD as u64,
            HISTOGRAM_BUCKETS as u64,
            HISTOGRAM_WORDS as u64,
            HISTOGRAM_SUB_BUCKETS,
            step::PER_ACTION as u64,
        ],
    )
};

/// The record does not fit the words it was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SizeMismatch {
    /// Words that were given.
    pub found_words: usize,
    /// Words that the record needs.
    pub expected_words: usize,
}

impl core::fmt::Display for SizeMismatch {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { found_words, expected_words } = self;
        write!(f, "{found_words} words were given for a record of {expected_words}")
    }
}

impl core::error::Error for SizeMismatch {}

#[cfg(test)]
mod golden;

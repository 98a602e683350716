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
//! # For another language
//!
//! Everything below is also in `layout.json` beside this crate's manifest: numbers, structures with the offset of every field,
//! tables in the order of their codes. A test holds it against the structures. `tools/python/corerl_shm.py` reads segments by
//! it, in a page of Python.
//!
//! **Getting a segment.** The control socket of an agent is a Unix socket of type `SOCK_SEQPACKET` at
//! `RUNTIME_DIR/SITE/AGENT.sock`. One packet is one message in postcard encoding, where small numbers are single bytes: send
//! the bytes 2 (ask for a segment) and the [`SegmentKind`]'s code. The answer is the byte 2, and one descriptor by
//! `SCM_RIGHTS`; any other first byte is a refusal. Map the descriptor read-only and shared, as long as the file is. It has to
//! be sealed against shrinking and growing (`F_GET_SEALS`): then no access to it can fail.
//!
//! **Believing it.** The first 128 bytes are a [`SegmentHeader`]. Compare, in this order, `magic`, `layout_version` and
//! `layout_hash`, then `checksum` with the 64-bit FNV-1a hash of the 120 bytes before it (start `0xcbf29ce484222325`, for each
//! byte: exclusive or, then times `0x100000001b3`, modulo 2 to the 64), then `kind`, `length_bytes` with the file's length, and
//! slots with length. All words are little-endian and 8 bytes long; `slot_words`, [`CLAIM_WORD`], [`CONTROL_WORD`] and
//! [`DATA_WORD`] count in them. The header never changes. A segment of the next generation is another file: ask again when
//! the counter `learner_epoch` or the process behind the socket has changed.
//!
//! **Counters** ([`Counter`], [`LearnerCounter`]): word `DATA_WORD + code`, each written at once and for itself; no order
//! between two of them is promised. Names that end in `_bits` are the bits of a double. Of the `dims[0]` connections
//! ([`ConnectionCounter`], in the site's order) each has a group of its own, one behind the other.
//!
//! **Rings** (cycles, transitions, events, estimates): slot `i` begins at word `DATA_WORD + i * (slot_words + 1)` with a stamp;
//! its record's words follow. Record `n` lies in slot `n mod slots`, and [`CONTROL_WORD`] holds how many were published. The
//! stamp is `2n + 1` while record `n` is being written and `2n + 2` when it is whole. So, to read record `n < published`: load
//! its stamp, which has to be `2n + 2`; copy the record; load the stamp again, which still has to be `2n + 2`. Otherwise it was
//! overwritten: go on with record `published - slots * 3 / 4`, and count what lies between as lost. Loads must not be
//! reordered (on x86 they are not). A reader writes nothing and can wait for nobody, so that poll is all it can do. A record of a
//! cycle is a [`CycleHead`], `dims[0]` [`SetpointPart`]s and `dims[1]` [`TagPart`]s; a step is a [`StepHead`], then floats of 4
//! bytes: `dims[0]` of the state, and `dims[1]` each of action, lower and upper bounds, mean, sampled and decided action; the
//! others are one [`EventRecord`] or [`EstimateRecord`].
//!
//! **Histograms**: slot `i` begins at word `DATA_WORD + i * slot_words`, in the order of [`HistogramKind`] or
//! [`LearnerHistogram`], or for connection `c` of `dims[0]` in slot `3 c + code` by [`RoundTrip`]: the bitwise
//! complement of the smallest value, the largest value, the sum, then [`HISTOGRAM_BUCKETS`] counts. Bucket `b` below 64 counts
//! the value `b`; above, with `s = b / 32 - 1`, it begins at `(b - 32 s) * 2^s` ([`lower_bound`]) and ends before the next one.
//!
//! **Weights** (triple buffer): slot `i` begins at word `DATA_WORD + i * slot_words` with a [`WeightsHeader`]; parameters
//! follow. The two low bits of [`CONTROL_WORD`] are the number of the middle slot, which is whole; [`TRIPLE_DIRTY`] says that
//! the runtime has not taken it yet. Whoever cannot write the control word can only copy the middle slot, look whether
//! the control word is still the same, and believe the copy if `checksum` fits it.
//!
//! **Lease**: word `DATA_WORD` holds, from the lowest bit, 40 bits of the instant until which it holds (milliseconds of
//! CLOCK_MONOTONIC), 21 bits of epoch, 3 bits of state: 0 vacant, 1 held, 2 offered, 3 offered while armed, 4 taken by an heir.
//!
//! # Example
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
pub const LAYOUT_VERSION: u32 = 11;

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
mod description;
#[cfg(test)]
mod golden;

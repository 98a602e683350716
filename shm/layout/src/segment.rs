//! The header of a segment, its kinds and shapes, and the one function that believes it.

use core::fmt;

use zerocopy::{FromBytes, IntoBytes};

use crate::histogram::HISTOGRAM_WORDS;
use crate::{LAYOUT_HASH, LAYOUT_VERSION, abi};

/// The first eight bytes of every segment.
pub const MAGIC: [u8; 8] = *b"CoreRLsg";
/// Length of a [`SegmentHeader`] in bytes.
pub const HEADER_BYTES: usize = 128;
/// Length of a [`SegmentHeader`] in words.
pub const HEADER_WORDS: usize = HEADER_BYTES / 8;
/// Index of the word that a writer claims the segment with: 0, or the writer's process id.
pub const CLAIM_WORD: usize = 16;
/// Index of the word that readers and writer meet at. [`Shape::Triple`]: the middle slot's index and
/// [`TRIPLE_DIRTY`]. [`Shape::Broadcast`]: the number of records published. Else unused.
pub const CONTROL_WORD: usize = 32;
/// Index of the first data word.
pub const DATA_WORD: usize = 64;
/// Slots of a triple buffer.
pub const TRIPLE_SLOTS: usize = 3;
/// Bit of a triple buffer's control word: the middle slot holds what the reader has not seen.
pub const TRIPLE_DIRTY: u64 = 4;
/// A segment longer than this is refused, in bytes.
pub const MAX_SEGMENT_BYTES: u64 = 1 << 30;

const _: () = assert!(
    HEADER_WORDS <= CLAIM_WORD && CLAIM_WORD + 16 <= CONTROL_WORD && CONTROL_WORD + 16 <= DATA_WORD,
    "header, claim, control and data do not share a pair of cache lines"
);
const _: () = assert!((TRIPLE_SLOTS as u64) < TRIPLE_DIRTY, "a slot index does not touch the dirty bit");

abi_table! {
    /// What a segment holds. It fixes the segment's [`Shape`] and who writes it.
    pub enum SegmentKind: u32 {
        /// The newest network: written by the learner, read by the runtime's keeper.
        Weights => "weights",
        /// Steps for the learner: written by the runtime.
        Transitions => "transitions",
        /// One record per control cycle: written by the runtime.
        Cycles => "cycles",
        /// Mode changes, connections, adoptions: written by the runtime.
        Events => "events",
        /// The runtime's counters.
        Counters => "counters",
        /// The learner's counters and heartbeat: written by the learner.
        LearnerCounters => "learner_counters",
        /// Latency histograms: written by the runtime.
        Histograms => "histograms",
        /// The runtime's lease of the plant: one word, renewed by the runtime and ended by whoever succeeds it; and the name
        /// under which it claims the plant.
        Lease => "lease",
        /// What the critics expected of decisions: written by the learner.
        Estimates => "estimates",
        /// The counters of each connection, in the order of the site file: written by the runtime.
        Connections => "connections",
        /// Round trips of each connection: written by the runtime.
        RoundTrips => "round_trips",
        /// Durations of the learner: written by the learner.
        LearnerHistograms => "learner_histograms",
    }
}

/// How the data words of a segment are arranged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Three slots, the newest value.
    Triple,
    /// Slots of one stamp word and the record's words, overwritten in turn.
    Broadcast,
    /// One slot of independent words.
    Counters,
    /// One slot per histogram.
    Histograms,
}

impl SegmentKind {
    /// How a segment of this kind arranges its data.
    pub const fn shape(self) -> Shape {
        match self {
            Self::Weights => Shape::Triple,
            Self::Transitions | Self::Cycles | Self::Events | Self::Estimates => Shape::Broadcast,
            Self::Counters | Self::LearnerCounters | Self::Connections | Self::Lease => Shape::Counters,
            Self::Histograms | Self::RoundTrips | Self::LearnerHistograms => Shape::Histograms,
        }
    }
}

impl Shape {
    /// Words between the starts of two slots of `slot_words` usable words each.
    pub const fn stride_words(self, slot_words: usize) -> Option<usize> {
        match self {
            Self::Broadcast => slot_words.checked_add(1),
            Self::Triple | Self::Counters | Self::Histograms => Some(slot_words),
        }
    }

    /// Data words of the whole segment; `None` if the slots are not of this shape or too large.
    pub const fn data_words(self, slot_words: usize, slots: usize) -> Option<usize> {
        let fits = match self {
            Self::Triple => slots == TRIPLE_SLOTS,
            Self::Broadcast => slots.is_power_of_two() && slots >= 2,
            Self::Counters => slots == 1,
            Self::Histograms => slots >= 1 && slot_words == HISTOGRAM_WORDS,
        };
        if !fits || slot_words == 0 {
            return None;
        }
        match self.stride_words(slot_words) {
            Some(stride) => stride.checked_mul(slots),
            None => None,
        }
    }
}

abi_struct! {
    /// The first 128 bytes of a segment, constant from its creation on.
    pub struct SegmentHeader: 128 {
        /// [`MAGIC`].
        pub magic: [u8; 8],
        /// [`LAYOUT_HASH`](crate::LAYOUT_HASH) of the creator.
        pub layout_hash: u64,
        /// [`LAYOUT_VERSION`](crate::LAYOUT_VERSION) of the creator.
        pub layout_version: u32,
        /// Code of the [`SegmentKind`].
        pub kind: u32,
        /// The grant this segment was made for; a later grant has a greater number.
        pub generation: u64,
        /// Length of the segment, bytes.
        pub length_bytes: u64,
        /// Usable words per slot.
        pub slot_words: u32,
        /// Number of slots.
        pub slots: u32,
        /// Process that created the segment.
        pub owner_pid: u32,
        /// Zero.
        pub reserved_a: u32,
        /// Random number of the creating process's instance.
        pub owner_nonce: u64,
        /// CLOCK_MONOTONIC at creation, nanoseconds.
        pub created_monotonic_ns: u64,
        /// Sizes of the records. Cycles: setpoints, tags. Transitions: state, action. Connections, round trips: connections.
        /// Else zero.
        pub dims: [u32; 4],
        /// Zero.
        pub reserved_b: [u64; 4],
        /// FNV-1a over all bytes before it.
        pub checksum: u64,
    }
}

impl SegmentHeader {
    /// A header of this build with its constant fields filled in, and no geometry yet.
    pub const fn new(kind: SegmentKind) -> Self {
        Self {
            magic: MAGIC,
            layout_hash: LAYOUT_HASH,
            layout_version: LAYOUT_VERSION,
            kind: kind.code(),
            generation: 0,
            length_bytes: 0,
            slot_words: 0,
            slots: 0,
            owner_pid: 0,
            reserved_a: 0,
            owner_nonce: 0,
            created_monotonic_ns: 0,
            dims: [0; 4],
            reserved_b: [0; 4],
            checksum: 0,
        }
    }

    /// What these bytes say, if they are enough for a header and begin as one: to tell people what was not believed.
    pub fn alleged(bytes: &[u8]) -> Option<Self> {
        let (header, _) = Self::read_from_prefix(bytes).ok()?;
        (header.magic == MAGIC).then_some(header)
    }

    /// The same header with its checksum filled in.
    pub fn sealed(mut self) -> Self {
        self.checksum = self.checksum_expected();
        self
    }

    fn checksum_expected(&self) -> u64 {
        let (checked, _) = self.as_bytes().split_at(HEADER_BYTES - size_of::<u64>());
        abi::fnv(abi::FNV_START, checked)
    }
}

/// Why a header was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderRefused {
    /// Fewer bytes than a header has.
    Truncated {
        /// Bytes there were.
        found_bytes: usize,
    },
    /// Not a segment of this project.
    BadMagic {
        /// The first eight bytes.
        found: [u8; 8],
    },
    /// Another version of the ABI.
    VersionMismatch {
        /// The creator's version.
        found: u32,
        /// Our version.
        expected: u32,
    },
    /// The same version, but not the same structures: another build.
    LayoutMismatch {
        /// The creator's layout hash.
        found: u64,
        /// Our layout hash.
        expected: u64,
    },
    /// The header was damaged.
    Checksum {
        /// The checksum stored.
        found: u64,
        /// The checksum of the bytes there are.
        expected: u64,
    },
    /// Another kind of segment than asked for, or one unknown to this build.
    Kind {
        /// Code of the kind found.
        found: u32,
        /// The kind asked for.
        expected: SegmentKind,
    },
    /// The header's length is not the length of what is mapped, or beyond the limit.
    Length {
        /// Length in the header, bytes.
        found: u64,
        /// Length of the memory, bytes.
        expected: u64,
    },
    /// Slots and length do not belong together.
    Geometry {
        /// Words per slot.
        slot_words: u32,
        /// Number of slots.
        slots: u32,
        /// Length in the header, bytes.
        length_bytes: u64,
    },
}

impl fmt::Display for HeaderRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Truncated { found_bytes } => {
                write!(f, "{found_bytes} bytes are too few for a segment header")
            }
            Self::BadMagic { found } => {
                write!(f, "not a CoreRL segment: it begins with {found:02x?}")
            }
            Self::VersionMismatch { found, expected } => write!(
                f,
                "the segment has layout version {found}, this program has {expected}: \
                 runtime, learner and tools must come from one release"
            ),
            Self::LayoutMismatch { found, expected } => write!(
                f,
                "the segment has layout {found:016x}, this program has {expected:016x}: \
                 runtime, learner and tools must come from one build"
            ),
            Self::Checksum { found, expected } => {
                write!(f, "the header is damaged: checksum {found:016x} instead of {expected:016x}")
            }
            Self::Kind { found, expected } => match SegmentKind::from_code(found) {
                Some(kind) => write!(f, "a segment of {kind} instead of {expected}"),
                None => write!(f, "a segment of unknown kind {found} instead of {expected}"),
            },
            Self::Length { found, expected } => {
                write!(f, "the header speaks of {found} bytes, the segment has {expected}")
            }
            Self::Geometry { slot_words, slots, length_bytes } => {
                write!(f, "{slots} slots of {slot_words} words do not make a segment of {length_bytes} bytes")
            }
        }
    }
}

impl core::error::Error for HeaderRefused {}

/// A header that was checked: its numbers fit each other and the memory behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedHeader {
    kind: SegmentKind,
    generation: u64,
    length_bytes: usize,
    slot_words: usize,
    slots: usize,
    owner_pid: u32,
    owner_nonce: u64,
    created_monotonic_ns: u64,
    dims: [u32; 4],
}

impl VerifiedHeader {
    /// What the segment holds.
    pub const fn kind(&self) -> SegmentKind {
        self.kind
    }
    /// The grant that the segment was made for.
    pub const fn generation(&self) -> u64 {
        self.generation
    }
    /// Length of the segment, bytes; a multiple of 8.
    pub const fn length_bytes(&self) -> usize {
        self.length_bytes
    }
    /// Usable words per slot.
    pub const fn slot_words(&self) -> usize {
        self.slot_words
    }
    /// Number of slots.
    pub const fn slots(&self) -> usize {
        self.slots
    }
    /// Process that created the segment.
    pub const fn owner_pid(&self) -> u32 {
        self.owner_pid
    }
    /// Random number of the creating process's instance.
    pub const fn owner_nonce(&self) -> u64 {
        self.owner_nonce
    }
    /// CLOCK_MONOTONIC at creation, nanoseconds.
    pub const fn created_monotonic_ns(&self) -> u64 {
        self.created_monotonic_ns
    }
    /// Sizes of the records; see [`SegmentHeader::dims`].
    pub const fn dims(&self) -> [u32; 4] {
        self.dims
    }
}

/// Believes a header, or says why not.
///
/// `bytes` begins with the header, `memory_bytes` is the length of the memory as the system reports
/// it, `expected` is the kind that the caller can use. `bytes` must be a private copy: memory that
/// another process can write may change between check and use.
///
/// # Errors
///
/// The first fact that does not hold, in the order of [`HeaderRefused`].
pub fn verify(bytes: &[u8], memory_bytes: u64, expected: SegmentKind) -> Result<VerifiedHeader, HeaderRefused> {
    let (header, _) =
        SegmentHeader::read_from_prefix(bytes).map_err(|_| HeaderRefused::Truncated { found_bytes: bytes.len() })?;
    check_origin(&header)?;
    let kind = SegmentKind::from_code(header.kind)
        .filter(|kind| *kind == expected)
        .ok_or(HeaderRefused::Kind { found: header.kind, expected })?;
    if header.length_bytes != memory_bytes || header.length_bytes > MAX_SEGMENT_BYTES {
        return Err(HeaderRefused::Length { found: header.length_bytes, expected: memory_bytes });
    }
    let geometry_refused = HeaderRefused::Geometry {
        slot_words: header.slot_words,
        slots: header.slots,
        length_bytes: header.length_bytes,
    };
    let length_bytes = usize::try_from(header.length_bytes).map_err(|_| geometry_refused)?;
    let slot_words = usize::try_from(header.slot_words).map_err(|_| geometry_refused)?;
    let slots = usize::try_from(header.slots).map_err(|_| geometry_refused)?;
    let length_expected = kind
        .shape()
        .data_words(slot_words, slots)
        .and_then(|words| words.checked_add(DATA_WORD))
        .and_then(|words| words.checked_mul(size_of::<u64>()));
    if length_expected != Some(length_bytes) {
        return Err(geometry_refused);
    }
    Ok(VerifiedHeader {
        kind,
        generation: header.generation,
        length_bytes,
        slot_words,
        slots,
        owner_pid: header.owner_pid,
        owner_nonce: header.owner_nonce,
        created_monotonic_ns: header.created_monotonic_ns,
        dims: header.dims,
    })
}

/// Magic, version, hash and checksum: whether the rest of the header means what we think.
fn check_origin(header: &SegmentHeader) -> Result<(), HeaderRefused> {
    if header.magic != MAGIC {
        return Err(HeaderRefused::BadMagic { found: header.magic });
    }
    if header.layout_version != LAYOUT_VERSION {
        return Err(HeaderRefused::VersionMismatch { found: header.layout_version, expected: LAYOUT_VERSION });
    }
    if header.layout_hash != LAYOUT_HASH {
        return Err(HeaderRefused::LayoutMismatch { found: header.layout_hash, expected: LAYOUT_HASH });
    }
    let expected = header.checksum_expected();
    if header.checksum != expected {
        return Err(HeaderRefused::Checksum { found: header.checksum, expected });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> SegmentHeader {
        let mut header = SegmentHeader::new(SegmentKind::Events);
        header.generation = 3;
        header.slot_words = 16;
        header.slots = 8;
        header.length_bytes = 8 * (DATA_WORD as u64 + 8 * 17);
        header.owner_pid = 42;
        header.sealed()
    }

    fn check(header: &SegmentHeader) -> Result<VerifiedHeader, HeaderRefused> {
        verify(header.as_bytes(), 8 * (DATA_WORD as u64 + 8 * 17), SegmentKind::Events)
    }

    #[test]
    fn a_sealed_header_is_believed_with_its_facts() {
        let verified = check(&header()).unwrap();
        assert_eq!(verified.kind(), SegmentKind::Events);
        assert_eq!(verified.generation(), 3);
        assert_eq!((verified.slot_words(), verified.slots()), (16, 8));
        assert_eq!(verified.owner_pid(), 42);
    }

    #[test]
    fn f05_every_flipped_bit_is_refused() {
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = header();
            damaged.as_mut_bytes()[bit / 8] ^= 1 << (bit % 8);
            assert!(check(&damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_truncated_header_is_refused() {
        let whole = header();
        for found_bytes in 0..HEADER_BYTES {
            let refused = verify(&whole.as_bytes()[..found_bytes], whole.length_bytes, SegmentKind::Events);
            assert_eq!(refused, Err(HeaderRefused::Truncated { found_bytes }));
        }
    }

    #[test]
    fn f07_a_neighbouring_version_is_refused_with_both_versions() {
        for found in [LAYOUT_VERSION - 1, LAYOUT_VERSION + 1] {
            let mut other = header();
            other.layout_version = found;
            let refused = check(&other.sealed()).unwrap_err();
            let expected = LAYOUT_VERSION;
            assert_eq!(refused, HeaderRefused::VersionMismatch { found, expected });
            let message = std::format!("{refused}");
            assert!(message.contains(&std::format!("version {found}")));
            assert!(message.contains(&std::format!("has {expected}")));
        }
    }

    #[test]
    fn a_well_sealed_lie_about_the_geometry_is_refused() {
        for (slot_words, slots) in [(0, 8), (16, 0), (15, 8), (16, 7), (u32::MAX, u32::MAX)] {
            let mut lie = header();
            (lie.slot_words, lie.slots) = (slot_words, slots);
            assert!(matches!(check(&lie.sealed()), Err(HeaderRefused::Geometry { .. })));
        }
        for length_bytes in [0, 8, u64::MAX] {
            let mut lie = header();
            lie.length_bytes = length_bytes;
            let lie = lie.sealed();
            assert!(check(&lie).is_err());
            assert!(verify(lie.as_bytes(), length_bytes, SegmentKind::Events).is_err());
        }
    }

    #[test]
    fn another_kind_is_refused() {
        let refused = verify(header().as_bytes(), header().length_bytes, SegmentKind::Cycles);
        assert_eq!(
            refused,
            Err(HeaderRefused::Kind { found: SegmentKind::Events.code(), expected: SegmentKind::Cycles })
        );
    }

    #[test]
    fn names_lead_both_ways() {
        for kind in SegmentKind::ALL {
            assert_eq!(SegmentKind::from_name(kind.name()), Some(*kind));
            assert_eq!(SegmentKind::from_code(kind.code()), Some(*kind));
            assert!(!kind.doc().is_empty());
        }
        assert_eq!(SegmentKind::from_name("nothing"), None);
        assert_eq!(SegmentKind::from_code(u32::MAX), None);
    }
}

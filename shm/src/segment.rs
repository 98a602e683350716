//! Segments: sealed memfds with a verified header.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::Errno;
use shm_layout::{
    CLAIM_WORD, ConnectionCounter, CycleLayout, DATA_WORD, ESTIMATE_WORDS, EVENT_WORDS, HEADER_BYTES, HEADER_WORDS,
    HISTOGRAM_WORDS, HeaderRefused, HistogramKind, LearnerHistogram, MAX_SEGMENT_BYTES, RoundTrip, SegmentHeader,
    SegmentKind, Shape, StepLayout, TRIPLE_SLOTS, VerifiedHeader, verify,
};
use zerocopy::IntoBytes;

use crate::RoleRefused;
use crate::counters::Table;
use crate::lease::LEASE_WORDS;
use crate::region::{Mapping, Region, load_words};
use crate::sync::Ordering;

/// Seals that make a mapping safe: no writer can take memory away, or the seals.
const SEALS: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

/// The word beside the writer's claim: the one reader of a triple buffer.
pub(crate) const READER_CLAIM_WORD: usize = CLAIM_WORD + 1;

/// What a segment is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    kind: SegmentKind,
    slot_words: usize,
    slots: usize,
    dims: [u32; 4],
    generation: u64,
    owner_nonce: u64,
    created_monotonic_ns: u64,
}

impl Spec {
    const fn new(kind: SegmentKind, slot_words: usize, slots: usize) -> Self {
        Self { kind, slot_words, slots, dims: [0; 4], generation: 0, owner_nonce: 0, created_monotonic_ns: 0 }
    }

    /// A triple buffer for networks of at most so many words,
    /// [header](shm_layout::WeightsShape::slot_words) included.
    pub const fn weights(slot_words: usize) -> Self {
        Self::new(SegmentKind::Weights, slot_words, TRIPLE_SLOTS)
    }

    /// A broadcast ring of at least so many records, which are rounded up to a power of two.
    pub const fn broadcast(kind: SegmentKind, slot_words: usize, slots: usize) -> Self {
        let slots = match slots.checked_next_power_of_two() {
            Some(slots) if slots >= 2 => slots,
            Some(_) => 2,
            // Refused by `Segment::create`, as everything that is too large.
            None => slots,
        };
        Self::new(kind, slot_words, slots)
    }

    /// A broadcast ring of at least so many cycle records.
    pub const fn cycles(layout: &CycleLayout, slots: usize) -> Self {
        Self::broadcast(SegmentKind::Cycles, layout.words(), slots).dims(layout.dims())
    }

    /// A broadcast ring of at least so many steps for the learner.
    pub const fn transitions(layout: &StepLayout, slots: usize) -> Self {
        Self::broadcast(SegmentKind::Transitions, layout.words(), slots).dims(layout.dims())
    }

    /// A broadcast ring of at least so many events.
    pub const fn events(slots: usize) -> Self {
        Self::broadcast(SegmentKind::Events, EVENT_WORDS, slots)
    }

    /// A broadcast ring of at least so many estimates.
    pub const fn estimates(slots: usize) -> Self {
        Self::broadcast(SegmentKind::Estimates, ESTIMATE_WORDS, slots)
    }

    /// The counters of a table.
    pub const fn counters<C: Table>() -> Self {
        Self::new(C::KIND, C::COUNT, 1)
    }

    /// The words of a [lease](crate::lease).
    pub const fn lease() -> Self {
        Self::new(SegmentKind::Lease, LEASE_WORDS, 1)
    }

    /// One histogram per [`HistogramKind`].
    pub const fn histograms() -> Self {
        Self::new(SegmentKind::Histograms, HISTOGRAM_WORDS, HistogramKind::COUNT)
    }

    /// The counters of so many connections, of one at least.
    pub const fn connections(count: u32) -> Self {
        let groups = if count == 0 { 1 } else { count };
        Self::new(SegmentKind::Connections, ConnectionCounter::COUNT * groups as usize, 1).dims([count, 0, 0, 0])
    }

    /// One histogram per [`RoundTrip`] of so many connections, of one at least.
    pub const fn round_trips(count: u32) -> Self {
        let connections = if count == 0 { 1 } else { count };
        let slots = RoundTrip::COUNT * connections as usize;
        Self::new(SegmentKind::RoundTrips, HISTOGRAM_WORDS, slots).dims([count, 0, 0, 0])
    }

    /// One histogram per [`LearnerHistogram`].
    pub const fn learner_histograms() -> Self {
        Self::new(SegmentKind::LearnerHistograms, HISTOGRAM_WORDS, LearnerHistogram::COUNT)
    }

    /// The same with the sizes of its records.
    pub const fn dims(mut self, dims: [u32; 4]) -> Self {
        self.dims = dims;
        self
    }

    /// The same with the number of the grant it is made for.
    pub const fn generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// The same with the creating instance's random number and the present CLOCK_MONOTONIC time.
    pub const fn owner(mut self, nonce: u64, now_monotonic_ns: u64) -> Self {
        self.owner_nonce = nonce;
        self.created_monotonic_ns = now_monotonic_ns;
        self
    }

    /// The header that describes it; `None` if it is beyond the limits.
    fn header(&self) -> Option<SegmentHeader> {
        let data_words = self.kind.shape().data_words(self.slot_words, self.slots)?;
        let length_words = u64::try_from(data_words.checked_add(DATA_WORD)?).ok()?;
        let mut header = SegmentHeader::new(self.kind);
        header.generation = self.generation;
        header.length_bytes =
            length_words.checked_mul(size_of::<u64>() as u64).filter(|bytes| *bytes <= MAX_SEGMENT_BYTES)?;
        header.slot_words = u32::try_from(self.slot_words).ok()?;
        header.slots = u32::try_from(self.slots).ok()?;
        header.owner_pid = std::process::id();
        header.owner_nonce = self.owner_nonce;
        header.created_monotonic_ns = self.created_monotonic_ns;
        header.dims = self.dims;
        Some(header.sealed())
    }
}

/// What a process may do with a segment's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read only: the mapping cannot be written.
    ReadOnly,
    /// Read and write.
    ReadWrite,
}

/// Why a segment was not created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CreateFailed {
    /// The slots are not of the kind's shape, or beyond a limit.
    #[error("{slots} slots of {slot_words} words cannot make a segment of {kind}")]
    Geometry {
        /// Kind asked for.
        kind: SegmentKind,
        /// Words per slot asked for.
        slot_words: usize,
        /// Slots asked for.
        slots: usize,
    },
    /// The system refused.
    #[error("{call}: {errno}")]
    System {
        /// System call.
        call: &'static str,
        /// Its error.
        errno: Errno,
    },
}

/// Why a descriptor was not attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttachRefused {
    /// The descriptor is no memory that is sealed against shrinking, growing and further seals.
    #[error("the descriptor is not sealed (seals {found_bits:#x}): its memory could be taken away")]
    NotSealed {
        /// Seals found.
        found_bits: u32,
    },
    /// Shorter than a header with its control words, or beyond the limit.
    #[error("{found_bytes} bytes cannot be a segment")]
    Length {
        /// Length found.
        found_bytes: u64,
    },
    /// The header was not believed.
    #[error(transparent)]
    Header(#[from] HeaderRefused),
    /// The system refused; mapping for writing fails so with a read-only descriptor.
    #[error("{call}: {errno}")]
    System {
        /// System call.
        call: &'static str,
        /// Its error.
        errno: Errno,
    },
}

/// A mapped segment. Clones share the mapping, which lasts as long as any structure on it.
#[derive(Clone, Debug)]
pub struct Segment {
    region: Arc<Region>,
    header: VerifiedHeader,
    access: Access,
    descriptor: Arc<OwnedFd>,
}

impl Segment {
    /// Creates a segment: all its memory is there and zeroed, its size is sealed.
    ///
    /// # Errors
    ///
    /// [`CreateFailed`]; nothing is left behind.
    ///
    /// # Real-time
    ///
    /// Not for the real-time thread.
    pub fn create(spec: &Spec) -> Result<Self, CreateFailed> {
        let header = spec.header().ok_or(CreateFailed::Geometry {
            kind: spec.kind,
            slot_words: spec.slot_words,
            slots: spec.slots,
        })?;
        let failed = |call| move |errno| CreateFailed::System { call, errno };
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let descriptor =
            rustix::fs::memfd_create(format!("corerl-{}", spec.kind), flags).map_err(failed("memfd_create"))?;
        // At once: a fresh memfd has mode 0777, and a reader could open it again for writing.
        rustix::fs::fchmod(&descriptor, Mode::from_raw_mode(0o640)).map_err(failed("fchmod"))?;
        // Not ftruncate: memory that is promised only would be a bus error when there is none.
        rustix::fs::fallocate(&descriptor, FallocateFlags::empty(), 0, header.length_bytes)
            .map_err(failed("fallocate"))?;
        rustix::fs::fcntl_add_seals(&descriptor, SEALS).map_err(failed("F_ADD_SEALS"))?;
        let mapping = map(&descriptor, Access::ReadWrite).map_err(failed("mmap"))?;
        let words: [u64; HEADER_WORDS] = zerocopy::transmute!(header);
        for (to, from) in mapping.words().iter().zip(words) {
            // Relaxed: the descriptor reaches its readers through the kernel.
            to.store(from, Ordering::Relaxed);
        }
        // Our own header, read back through the one way that there is.
        let header = read_header(&mapping, header.length_bytes, spec.kind);
        let header = header.map_err(|_| CreateFailed::Geometry {
            kind: spec.kind,
            slot_words: spec.slot_words,
            slots: spec.slots,
        })?;
        Ok(Self::assemble(mapping, header, Access::ReadWrite, descriptor))
    }

    /// Maps a segment that another process created, if it is one of the expected kind.
    ///
    /// # Errors
    ///
    /// [`AttachRefused`] with the first fact that does not hold; nothing stays mapped.
    ///
    /// # Real-time
    ///
    /// Not for the real-time thread.
    pub fn attach(descriptor: OwnedFd, access: Access, expected: SegmentKind) -> Result<Self, AttachRefused> {
        let found = match rustix::fs::fcntl_get_seals(&descriptor) {
            Ok(found) => found,
            // No memfd, hence no seals.
            Err(Errno::INVAL) => SealFlags::empty(),
            Err(errno) => {
                let call = "F_GET_SEALS";
                return Err(AttachRefused::System { call, errno });
            }
        };
        if !found.contains(SEALS) {
            let found_bits = found.bits();
            return Err(AttachRefused::NotSealed { found_bits });
        }
        let failed = |call| move |errno| AttachRefused::System { call, errno };
        let stat = rustix::fs::fstat(&descriptor).map_err(failed("fstat"))?;
        let found_bytes = u64::try_from(stat.st_size).unwrap_or(0);
        let shortest_bytes = (DATA_WORD * size_of::<u64>()) as u64;
        if !(shortest_bytes..=MAX_SEGMENT_BYTES).contains(&found_bytes) {
            return Err(AttachRefused::Length { found_bytes });
        }
        let mapping = map(&descriptor, access).map_err(failed("mmap"))?;
        let header = read_header(&mapping, found_bytes, expected)?;
        Ok(Self::assemble(mapping, header, access, descriptor))
    }

    fn assemble(mapping: Mapping, header: VerifiedHeader, access: Access, descriptor: OwnedFd) -> Self {
        let slot_words = header.slot_words();
        let stride_words = header.kind().shape().stride_words(slot_words);
        let region = Region::mapped(mapping, slot_words, stride_words.unwrap_or(slot_words), header.slots());
        Self { region: Arc::new(region), header, access, descriptor: Arc::new(descriptor) }
    }

    /// The segment's verified description, as it was when it was created or attached.
    pub fn header(&self) -> &VerifiedHeader {
        &self.header
    }

    /// What this process may do with the memory.
    pub fn access(&self) -> Access {
        self.access
    }

    /// The descriptor, with the rights it was created or received with.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.descriptor.as_fd()
    }

    /// One word as it lies there at this moment, header and control words included; `None` beyond the end.
    ///
    /// For those who look at a segment from outside, without a part in its protocol: what one word says of the words beside
    /// it is theirs to find out.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn word(&self, index: usize) -> Option<u64> {
        self.region.word(index)
    }

    /// A descriptor of the same memory that cannot be mapped for writing.
    ///
    /// Its holder could open the memory anew for writing only as the creating user or root.
    ///
    /// # Errors
    ///
    /// What the system says to opening the descriptor anew.
    ///
    /// # Real-time
    ///
    /// Not for the real-time thread.
    pub fn read_only_fd(&self) -> Result<OwnedFd, Errno> {
        use std::os::fd::AsRawFd;
        let path = format!("/proc/self/fd/{}", self.descriptor.as_raw_fd());
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// The region, if the segment has the shape.
    pub(crate) fn readable(&self, shape: Shape, expected: &'static str) -> Result<Arc<Region>, RoleRefused> {
        let found = self.header.kind();
        if found.shape() != shape {
            return Err(RoleRefused::WrongShape { found, expected });
        }
        Ok(Arc::clone(&self.region))
    }

    /// The region, if the segment has the shape, is writable, and the role's word was not claimed.
    pub(crate) fn claimed<const ROLE: usize>(
        &self,
        shape: Shape,
        expected: &'static str,
    ) -> Result<Arc<Region>, RoleRefused> {
        let region = self.readable(shape, expected)?;
        if self.access == Access::ReadOnly {
            let kind = self.header.kind();
            return Err(RoleRefused::ReadOnly { kind });
        }
        region.claim::<ROLE>().map_err(|by| RoleRefused::Taken { by })?;
        Ok(region)
    }
}

/// Maps all of a sealed memfd and touches every page of it.
fn map(descriptor: &OwnedFd, access: Access) -> Result<Mapping, Errno> {
    let mut options = MmapOptions::new();
    options.populate();
    let map: Result<MmapRaw, _> = match access {
        Access::ReadOnly => options.map_raw_read_only(descriptor),
        Access::ReadWrite => options.map_raw(descriptor),
    };
    let map = map.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::INVAL))?;
    Ok(Mapping::new(map))
}

/// Copies the header once, and believes the copy or not.
fn read_header(mapping: &Mapping, memory_bytes: u64, expected: SegmentKind) -> Result<VerifiedHeader, HeaderRefused> {
    let mut copy = [0_u64; HEADER_WORDS];
    load_words(mapping.words(), &mut copy);
    const { assert!(size_of::<[u64; HEADER_WORDS]>() == HEADER_BYTES) };
    verify(copy.as_bytes(), memory_bytes, expected)
}

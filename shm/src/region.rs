//! Memory as words: on the heap, or in a segment. The structures do not know which.

use crossbeam_utils::CachePadded;
#[cfg(not(loom))]
use shm_layout::{CONTROL_WORD, DATA_WORD};

use crate::OutOfSlot;
use crate::discipline::Discipline;
use crate::sync::{AtomicU64, Ordering};

/// Words behind a structure, cut into slots by private numbers that no other process can change.
#[derive(Debug)]
pub(crate) struct Region {
    memory: Memory,
    pub(crate) slot_words: usize,
    pub(crate) slots: usize,
    stride_words: usize,
}

#[derive(Debug)]
enum Memory {
    Heap {
        control: CachePadded<AtomicU64>,
        data: Box<[AtomicU64]>,
    },
    #[cfg(not(loom))]
    Mapped(Mapping),
}

impl Region {
    /// Zeroed words on the heap; `stride_words` lie between the starts of two slots.
    pub(crate) fn heap(slot_words: usize, stride_words: usize, slots: usize) -> Self {
        let data = (0..stride_words * slots).map(|_| AtomicU64::new(0));
        Self {
            memory: Memory::Heap { control: CachePadded::new(AtomicU64::new(0)), data: data.collect() },
            slot_words,
            slots,
            stride_words,
        }
    }

    /// Words of a segment, whose header has confirmed that the slots fit.
    #[cfg(not(loom))]
    pub(crate) fn mapped(mapping: Mapping, slot_words: usize, stride_words: usize, slots: usize) -> Self {
        let (_, data) = mapping.words().split_at(DATA_WORD);
        assert!(
            stride_words >= slot_words && data.len() >= stride_words * slots,
            "a verified header describes slots inside the segment"
        );
        Self { memory: Memory::Mapped(mapping), slot_words, slots, stride_words }
    }

    /// The word at which writer and readers meet.
    #[inline]
    pub(crate) fn control(&self) -> &AtomicU64 {
        match &self.memory {
            Memory::Heap { control, .. } => control,
            #[cfg(not(loom))]
            Memory::Mapped(mapping) => mapping.word::<CONTROL_WORD>(),
        }
    }

    /// Claims the role with this number for our process; the process that has it, if it is taken.
    ///
    /// On the heap there is nothing to claim: constructors give out each role once.
    #[cfg(not(loom))]
    pub(crate) fn claim<const ROLE: usize>(&self) -> Result<(), u64> {
        let Memory::Mapped(mapping) = &self.memory else {
            return Ok(());
        };
        let us = u64::from(std::process::id());
        // Relaxed: the claim orders nothing, it only counts to one.
        mapping.word::<ROLE>().compare_exchange(0, us, Ordering::Relaxed, Ordering::Relaxed).map(drop)
    }

    /// A word of the whole segment, its header included; none on the heap, or beyond the end.
    #[cfg(not(loom))]
    pub(crate) fn word(&self, index: usize) -> Option<u64> {
        match &self.memory {
            Memory::Heap { .. } => None,
            // Acquire: partners are all Release stores of a writer; whoever reads stamps, then the control word, finds no
            // stamp of a record that the control word does not know of yet.
            Memory::Mapped(mapping) => mapping.words().get(index).map(|word| word.load(Ordering::Acquire)),
        }
    }

    /// All words of a slot; none if there is no such slot.
    #[inline]
    pub(crate) fn slot(&self, slot: usize) -> &[AtomicU64] {
        let data = match &self.memory {
            Memory::Heap { data, .. } => &**data,
            #[cfg(not(loom))]
            Memory::Mapped(mapping) => mapping.words().get(DATA_WORD..).unwrap_or(&[]),
        };
        let start = slot * self.stride_words;
        data.get(start..start + self.stride_words).unwrap_or(&[])
    }
}

/// Stores words one by one; what is left of `to` keeps its content.
#[inline]
pub(crate) fn store_words<D: Discipline>(to: &[AtomicU64], from: &[u64]) {
    for (to, from) in to.iter().zip(from) {
        D::before_store();
        to.store(*from, Ordering::Relaxed);
    }
}

/// Loads words one by one, as many as both sides have.
#[inline]
pub(crate) fn load_words(from: &[AtomicU64], to: &mut [u64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.load(Ordering::Relaxed);
    }
}

/// The part of a slot that starts at `offset_words` and has `count` words.
pub(crate) fn part(slot: &[AtomicU64], offset_words: usize, count: usize) -> Result<&[AtomicU64], OutOfSlot> {
    let end_words = offset_words.saturating_add(count);
    slot.get(offset_words..end_words).ok_or(OutOfSlot { end_words, slot_words: slot.len() })
}

/// A mapped segment as atomic words.
#[cfg(not(loom))]
#[derive(Debug)]
pub(crate) struct Mapping {
    map: memmap2::MmapRaw,
    words: usize,
}

#[cfg(not(loom))]
impl Mapping {
    /// `map` is a whole file that cannot shrink: a memfd with `F_SEAL_SHRINK`. If it was mapped
    /// read-only, nobody may store through [`words`](Self::words).
    pub(crate) fn new(map: memmap2::MmapRaw) -> Self {
        let words = map.len() / size_of::<AtomicU64>();
        assert!(
            words >= DATA_WORD && map.as_ptr().cast::<AtomicU64>().is_aligned(),
            "a mapped segment is page-aligned and longer than its header"
        );
        Self { map, words }
    }

    #[inline]
    pub(crate) fn words(&self) -> &[AtomicU64] {
        let start = self.map.as_ptr().cast::<AtomicU64>();
        // SAFETY: `start` is aligned and begins a mapping of at least `words` words (checked in `new`)
        // that lives as long as `self` and, being sealed, stays backed by memory. Every bit pattern is
        // a u64. All access of ours, and of other processes as far as the language can know, is atomic.
        unsafe { std::slice::from_raw_parts(start, self.words) }
    }

    /// A word before the data; the index is checked when compiling.
    #[inline]
    fn word<const INDEX: usize>(&self) -> &AtomicU64 {
        let preamble = self.map.as_ptr().cast::<[AtomicU64; DATA_WORD]>();
        // SAFETY: as in `words`, of which `new` has checked that there are at least DATA_WORD.
        let preamble = unsafe { &*preamble };
        const { assert!(INDEX < DATA_WORD) };
        &preamble[INDEX]
    }
}

//! The broadcast ring: one writer that overwrites, any number of readers that only read.
//!
//! Records are numbered from 0. Record `n` lies in slot `n mod slots`, behind a stamp that is
//! `2n + 1` while it is being written and `2n + 2` when it is whole. The control word counts the
//! records published. A reader has a private cursor and writes nothing, so that it can neither slow
//! nor harm the writer, and a read-only mapping is enough; what was overwritten before it came is
//! counted exactly.

#[cfg(not(loom))]
use shm_layout::{CLAIM_WORD, Shape};

use crate::OutOfSlot;
use crate::discipline::{Discipline, Sound};
use crate::region::{Region, load_words, store_words};
use crate::sync::{Arc, AtomicU64, Ordering};
#[cfg(not(loom))]
use crate::{RoleRefused, Segment};

/// A reader that was overtaken skips this part of the ring, lest it be overtaken again at once.
const MARGIN_FRACTION: u64 = 8;

/// A ring on the heap of at least so many records, rounded up to a power of two.
///
/// # Real-time
///
/// Not for the real-time thread.
pub fn heap(slot_words: usize, slots: usize) -> Writer {
    heap_with(slot_words, slots)
}

/// [`heap`] under another discipline.
#[doc(hidden)]
pub fn heap_with<D: Discipline>(slot_words: usize, slots: usize) -> Writer<D> {
    let slots = slots.next_power_of_two().max(2);
    Writer::over(Arc::new(Region::heap(slot_words, slot_words + 1, slots)))
}

/// Stamp and words of the slot that record `sequence` goes to.
#[inline]
fn slot(region: &Region, sequence: u64) -> Option<(&AtomicU64, &[AtomicU64])> {
    // The number of slots is a power of two, checked when the region was made.
    let index = sequence & (region.slots as u64 - 1);
    region.slot(index as usize).split_first()
}

const fn stamp_of(sequence: u64) -> u64 {
    sequence.wrapping_mul(2).wrapping_add(2)
}

/// The side that publishes.
#[derive(Debug)]
pub struct Writer<D = Sound> {
    region: Arc<Region>,
    sequence: u64,
    discipline: std::marker::PhantomData<D>,
}

#[cfg(not(loom))]
impl Writer {
    /// Claims the segment's writer.
    ///
    /// # Errors
    ///
    /// [`RoleRefused`]: another shape, read-only, or claimed before.
    pub fn new(segment: &Segment) -> Result<Self, RoleRefused> {
        let region = segment.claimed::<CLAIM_WORD>(Shape::Broadcast, "broadcast ring")?;
        Ok(Self::over(region))
    }
}

impl<D: Discipline> Writer<D> {
    fn over(region: Arc<Region>) -> Self {
        Self { region, sequence: 0, discipline: std::marker::PhantomData }
    }

    /// Words of a record.
    pub fn slot_words(&self) -> usize {
        self.region.slot_words
    }

    /// Records that the ring holds.
    pub fn slots(&self) -> usize {
        self.region.slots
    }

    /// Number that the next record gets: how many were published.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// A reader of the same ring in this process.
    pub fn reader(&self, start: Start) -> Reader<D> {
        Reader::over(Arc::clone(&self.region), start)
    }

    /// Publishes a record over the oldest one and gives its number. A shorter record is followed by
    /// zeros.
    ///
    /// # Errors
    ///
    /// [`OutOfSlot`] if the record is longer than a slot; then nothing was published.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn publish(&mut self, record: &[u64]) -> Result<u64, OutOfSlot> {
        let sequence = self.sequence;
        let out_of_slot = OutOfSlot { end_words: record.len(), slot_words: self.region.slot_words };
        let (stamp, words) = slot(&self.region, sequence).ok_or(out_of_slot)?;
        let (filled, rest) = words.split_at_checked(record.len()).ok_or(out_of_slot)?;
        D::before_store();
        // Release: a reader that finds this stamp with its first Acquire load sees the control word of
        // the record before, and so can count what it lost.
        stamp.store(stamp_of(sequence) - 1, D::STORE);
        // Partner: the reader's Acquire fence. If a reader has loaded one of the words below, it finds
        // the odd stamp, or a later one, when it looks again.
        D::fence_release();
        store_words::<D>(filled, record);
        for word in rest {
            D::before_store();
            word.store(0, Ordering::Relaxed);
        }
        D::before_store();
        // Release: the words are there before the reader's first Acquire load of this stamp finds it.
        stamp.store(stamp_of(sequence), D::STORE);
        D::before_store();
        // Release: the record is whole before the reader's Acquire load of the control word counts it.
        self.region.control().store(sequence + 1, D::STORE);
        self.sequence = sequence + 1;
        Ok(sequence)
    }
}

/// Where a new reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that the ring still holds.
    Oldest,
    /// At the next record to be published.
    Newest,
    /// So many records before the next one, or at the oldest.
    Back(u64),
    /// At the record of this number: where another reader stopped. What is overwritten by now is [lost](Next::Lost).
    At(u64),
}

/// What a reader found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole record was copied.
    Record {
        /// Its number.
        sequence: u64,
    },
    /// So many records were overwritten before they were read. The cursor is behind them.
    Lost(u64),
    /// No further record yet.
    Empty,
    /// The ring holds what no sound writer writes. The cursor is at the next record to be published:
    /// what follows does not connect to what came before.
    Damaged {
        /// Where the cursor was.
        cursor: u64,
        /// Records published, as the ring says.
        published: u64,
    },
}

/// A side that reads, with a cursor of its own.
#[derive(Debug)]
pub struct Reader<D = Sound> {
    region: Arc<Region>,
    cursor: u64,
    /// The control word as last seen.
    published: u64,
    discipline: std::marker::PhantomData<D>,
}

impl<D> Clone for Reader<D> {
    fn clone(&self) -> Self {
        Self { region: Arc::clone(&self.region), discipline: std::marker::PhantomData, ..*self }
    }
}

#[cfg(not(loom))]
impl Reader {
    /// A reader of the segment; there may be any number, and read-only access is enough.
    ///
    /// # Errors
    ///
    /// [`RoleRefused::WrongShape`].
    pub fn new(segment: &Segment, start: Start) -> Result<Self, RoleRefused> {
        let region = segment.readable(Shape::Broadcast, "broadcast ring")?;
        Ok(Self::over(region, start))
    }
}

impl<D: Discipline> Reader<D> {
    fn over(region: Arc<Region>, start: Start) -> Self {
        let published = region.control().load(D::LOAD);
        let held = region.slots as u64 - 1;
        let back = |records: u64| published.saturating_sub(records.min(held));
        let cursor = match start {
            Start::Oldest => back(held),
            Start::Newest => published,
            Start::Back(records) => back(records),
            // Whoever knows a number that was never published knows another ring.
            Start::At(record) => record.min(published),
        };
        Self { region, cursor, published, discipline: std::marker::PhantomData }
    }

    /// Words of a record.
    pub fn slot_words(&self) -> usize {
        self.region.slot_words
    }

    /// Another reader of the same ring, which begins where `start` says.
    #[must_use]
    pub fn again(&self, start: Start) -> Self {
        Self::over(Arc::clone(&self.region), start)
    }

    /// Number of the record that is read next.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Copies the next record, or as much of it as `record` has room for.
    ///
    /// One attempt is made: a record that is overwritten meanwhile is reported as lost, together with
    /// all that the cursor skips. After anything but `Record` the content of `record` means nothing.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn next(&mut self, record: &mut [u64]) -> Next {
        let cursor = self.cursor;
        if self.published == cursor {
            // Acquire: partner is the writer's Release store of the control word; the records that it
            // counts are whole.
            self.published = self.region.control().load(D::LOAD);
        }
        if self.published == cursor {
            return Next::Empty;
        }
        if self.published < cursor {
            return self.damaged();
        }
        if !self.copy(cursor, record) {
            return self.overtaken();
        }
        self.cursor = cursor + 1;
        Next::Record { sequence: cursor }
    }

    /// Copies a published record; whether it was whole, and still there at the end.
    #[inline]
    fn copy(&self, sequence: u64, record: &mut [u64]) -> bool {
        let Some((stamp, words)) = slot(&self.region, sequence) else {
            return false;
        };
        // Acquire: partner is the writer's Release store of the even stamp.
        if stamp.load(D::LOAD) != stamp_of(sequence) {
            return false;
        }
        load_words(words, record);
        // Partner: the writer's Release fence after the odd stamp.
        D::fence_acquire();
        // Acquire: partner is the writer's Release store of an odd stamp; if we find one, the control
        // word that we look at next counts the record before it.
        stamp.load(D::LOAD) == stamp_of(sequence)
    }

    /// The record under the cursor was overwritten: goes on where the writer is not soon.
    #[cold]
    fn overtaken(&mut self) -> Next {
        // Acquire: partner is the writer's Release store; at least the record that overwrote ours is
        // one ring ahead of the cursor.
        self.published = self.region.control().load(D::LOAD);
        let slots = self.region.slots as u64;
        let oldest = self.published.saturating_sub(slots - 1 - slots / MARGIN_FRACTION);
        if self.published.saturating_sub(self.cursor) < slots || oldest <= self.cursor {
            return self.damaged();
        }
        let lost = oldest - self.cursor;
        self.cursor = oldest;
        Next::Lost(lost)
    }

    #[cold]
    fn damaged(&mut self) -> Next {
        let damaged = Next::Damaged { cursor: self.cursor, published: self.published };
        self.cursor = self.published;
        damaged
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_reader_gets_every_record_once_and_in_order() {
        let mut writer = heap(2, 4);
        let mut reader = writer.reader(Start::Oldest);
        let mut record = [0; 2];
        assert_eq!(reader.next(&mut record), Next::Empty);
        for n in 0..10 {
            assert_eq!(writer.publish(&[n, !n]), Ok(n));
            assert_eq!(reader.next(&mut record), Next::Record { sequence: n });
            assert_eq!(record, [n, !n]);
            assert_eq!(reader.next(&mut record), Next::Empty);
        }
    }

    #[test]
    fn readers_begin_where_they_ask_to() {
        let mut writer = heap(1, 8);
        for n in 0..20 {
            writer.publish(&[n]).unwrap();
        }
        let first = |start| {
            let mut record = [0];
            let next = writer.reader(start).next(&mut record);
            (next, record[0])
        };
        assert_eq!(first(Start::Oldest), (Next::Record { sequence: 13 }, 13));
        assert_eq!(first(Start::Newest), (Next::Empty, 0));
        assert_eq!(first(Start::Back(1)), (Next::Record { sequence: 19 }, 19));
        assert_eq!(first(Start::Back(99)), (Next::Record { sequence: 13 }, 13));
        assert_eq!(first(Start::At(15)), (Next::Record { sequence: 15 }, 15));
        // Whoever has been overtaken keeps away from the record that the writer may be about to overwrite.
        assert_eq!(first(Start::At(3)), (Next::Lost(11), 0));
        assert_eq!(first(Start::At(99)), (Next::Empty, 0));
    }

    #[test]
    fn a_short_record_is_followed_by_zeros_and_a_long_one_refused() {
        let mut writer = heap(2, 2);
        let mut reader = writer.reader(Start::Oldest);
        for _ in 0..2 {
            writer.publish(&[1, 2]).unwrap();
        }
        writer.publish(&[3]).unwrap();
        assert_eq!(writer.publish(&[0; 3]).unwrap_err().end_words, 3);
        assert_eq!(writer.sequence(), 3);
        let mut record = [9; 2];
        while reader.next(&mut record) != (Next::Record { sequence: 2 }) {}
        assert_eq!(record, [3, 0]);
    }

    #[test]
    fn a_small_buffer_gets_the_beginning_of_the_record() {
        let mut writer = heap(4, 2);
        let mut reader = writer.reader(Start::Oldest);
        writer.publish(&[1, 2, 3, 4]).unwrap();
        let mut head = [0; 2];
        assert_eq!(reader.next(&mut head), Next::Record { sequence: 0 });
        assert_eq!(head, [1, 2]);
    }

    #[test]
    fn f18_a_damaged_ring_is_reported_and_left_behind() {
        let mut writer = heap(1, 4);
        let mut reader = writer.reader(Start::Oldest);
        for n in 0..3 {
            writer.publish(&[n]).unwrap();
        }
        let mut record = [0];
        reader.next(&mut record);
        let (stamp, _) = slot(&writer.region, 1).unwrap();
        stamp.store(u64::MAX, Ordering::Relaxed);
        let damaged = Next::Damaged { cursor: 1, published: 3 };
        assert_eq!(reader.next(&mut record), damaged);
        assert_eq!(reader.next(&mut record), Next::Empty);
        writer.region.control().store(1, Ordering::Relaxed);
        let damaged = Next::Damaged { cursor: 3, published: 1 };
        assert_eq!(reader.next(&mut record), damaged);
    }

    #[test]
    fn f18_any_garbage_ends_in_a_finite_number_of_calls() {
        for garbage in [0, 1, 5, u64::MAX - 1, u64::MAX] {
            let writer = heap(1, 4);
            let mut reader = writer.reader(Start::Oldest);
            writer.region.control().store(garbage, Ordering::Relaxed);
            for n in 0..4 {
                let (stamp, _) = slot(&writer.region, n).unwrap();
                stamp.store(garbage.wrapping_mul(n), Ordering::Relaxed);
            }
            let ended = (0..10).any(|_| reader.next(&mut [0]) == Next::Empty);
            assert!(ended, "control word {garbage}");
        }
    }

    #[test]
    fn a_reader_beside_a_busy_writer_gets_whole_records_and_counts_the_others() {
        const RECORDS: u64 = 200_000;
        let mut writer = heap(8, 64);
        let mut reader = writer.reader(Start::Oldest);
        let reading = std::thread::spawn(move || {
            let (mut read, mut lost, mut record) = (0, 0, [0; 8]);
            while read + lost < RECORDS {
                match reader.next(&mut record) {
                    Next::Record { sequence } => {
                        assert_eq!(record, [sequence; 8]);
                        assert_eq!(sequence, read + lost);
                        read += 1;
                    }
                    Next::Lost(count) => lost += count,
                    Next::Empty => std::thread::yield_now(),
                    Next::Damaged { .. } => panic!("a sound ring is called damaged"),
                }
            }
            assert_eq!(read + lost, RECORDS);
        });
        for n in 0..RECORDS {
            writer.publish(&[n; 8]).unwrap();
        }
        reading.join().unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn f17_read_and_lost_records_add_up_to_the_published_ones(
            slots in 2_usize..40,
            bursts in prop::collection::vec((0_u64..60, 0_usize..60), 1..20),
        ) {
            let mut writer = heap(1, slots);
            let mut reader = writer.reader(Start::Oldest);
            let (mut expected, mut record) = (0, [0]);
            for (published, reads) in bursts {
                for _ in 0..published {
                    let n = writer.sequence();
                    writer.publish(&[n]).unwrap();
                }
                for _ in 0..reads {
                    match reader.next(&mut record) {
                        Next::Record { sequence } => {
                            prop_assert_eq!(sequence, expected);
                            prop_assert_eq!(record[0], expected);
                            expected += 1;
                        }
                        Next::Lost(count) => {
                            prop_assert!(writer.sequence() - expected > writer.slots() as u64);
                            expected += count;
                        }
                        Next::Empty => prop_assert_eq!(expected, writer.sequence()),
                        Next::Damaged { .. } => prop_assert!(false),
                    }
                }
            }
        }
    }
}

//! The triple buffer of words: one writer, one reader, the newest value.
//!
//! Three slots: the writer fills the *back*, the reader reads the *front*, and the control word holds
//! the *middle* with a bit that says whether the reader has seen it. Publishing exchanges back and
//! middle, updating exchanges front and middle: one atomic swap each. A writer that stops at any
//! instruction leaves a whole value in the middle and in the front.
//!
//! Over a segment each side is claimed once in the segment's life. A successor of a dead or stale
//! writer gets a fresh segment; the stale one can then do no more than write where nobody reads.
//!
//! The words are as trustworthy as their writer. A writer that breaks the protocol can tear the
//! front: whoever crosses a border of trust verifies a checksum over what it has copied.

#[cfg(not(loom))]
use shm_layout::{CLAIM_WORD, Shape};
use shm_layout::{TRIPLE_DIRTY, TRIPLE_SLOTS};

use crate::OutOfSlot;
use crate::discipline::{Discipline, Sound};
use crate::region::{Region, load_words, part, store_words};
use crate::sync::{Arc, Ordering};
#[cfg(not(loom))]
use crate::{RoleRefused, Segment, segment::READER_CLAIM_WORD};

/// Slots at the start, when the zeroed control word says: middle 0, nothing new.
const BACK_START: usize = 1;
const FRONT_START: usize = 2;

const _: () = assert!(BACK_START + FRONT_START == 3 && TRIPLE_SLOTS == 3);

/// The control word held what no sound peer writes. The buffer is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the triple buffer's control word is damaged: {found:#x}")]
pub struct ControlDamaged {
    /// What the control word held.
    pub found: u64,
}

/// A triple buffer on the heap, zeroed.
///
/// # Real-time
///
/// Not for the real-time thread.
pub fn heap(slot_words: usize) -> (Writer, Reader) {
    heap_with(slot_words)
}

/// [`heap`] under another discipline.
#[doc(hidden)]
pub fn heap_with<D: Discipline>(slot_words: usize) -> (Writer<D>, Reader<D>) {
    let region = Arc::new(Region::heap(slot_words, slot_words, TRIPLE_SLOTS));
    (Writer::over(Arc::clone(&region)), Reader::over(region))
}

/// What both sides do: give one slot to the middle and take the other from it.
#[derive(Debug)]
struct Side<D> {
    region: Arc<Region>,
    /// The slot that is ours alone.
    own: usize,
    damaged: Option<ControlDamaged>,
    discipline: std::marker::PhantomData<D>,
}

impl<D: Discipline> Side<D> {
    fn over(region: Arc<Region>, own: usize) -> Self {
        Self { region, own, damaged: None, discipline: std::marker::PhantomData }
    }

    /// Exchanges our slot with the middle one. `dirty` goes to the peer with it.
    #[inline]
    fn exchange(&mut self, dirty: u64) -> Result<(), ControlDamaged> {
        if let Some(damaged) = self.damaged {
            return Err(damaged);
        }
        D::before_store();
        // Release: our words are in the slot (writer), or we have read them all (reader), before the
        // peer's Acquire in its own exchange gives it the slot. Acquire: the same, the other way.
        let found = self.region.control().swap(self.own as u64 | dirty, D::SWAP);
        let index = found & !TRIPLE_DIRTY;
        if index >= TRIPLE_SLOTS as u64 || index == self.own as u64 {
            // From now on the peer may own our slot: stop using the buffer rather than share it.
            return Err(*self.damaged.insert(ControlDamaged { found }));
        }
        self.own = index as usize;
        Ok(())
    }
}

/// The side that publishes.
#[derive(Debug)]
pub struct Writer<D = Sound> {
    side: Side<D>,
}

#[cfg(not(loom))]
impl Writer {
    /// Claims the segment's writer.
    ///
    /// # Errors
    ///
    /// [`RoleRefused`]: another shape, read-only, or claimed before.
    pub fn new(segment: &Segment) -> Result<Self, RoleRefused> {
        Self::with_discipline(segment)
    }
}

impl<D: Discipline> Writer<D> {
    /// [`new`](Writer::new) under another discipline.
    #[cfg(not(loom))]
    #[doc(hidden)]
    pub fn with_discipline(segment: &Segment) -> Result<Self, RoleRefused> {
        let region = segment.claimed::<CLAIM_WORD>(Shape::Triple, "triple buffer")?;
        Ok(Self::over(region))
    }

    fn over(region: Arc<Region>) -> Self {
        Self { side: Side::over(region, BACK_START) }
    }

    /// Words of a value.
    pub fn slot_words(&self) -> usize {
        self.side.region.slot_words
    }

    /// A value in the making. It starts with the words of some earlier value.
    pub fn draft(&mut self) -> Draft<'_, D> {
        Draft { writer: self }
    }

    /// Publishes a value: the reader's next update finds all of it.
    ///
    /// # Errors
    ///
    /// [`PublishFailed`]; then nothing was published.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn publish(&mut self, words: &[u64]) -> Result<(), PublishFailed> {
        let mut draft = self.draft();
        draft.write(0, words)?;
        Ok(draft.publish()?)
    }
}

/// Why nothing was published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishFailed {
    /// More words than a slot has.
    #[error(transparent)]
    OutOfSlot(#[from] OutOfSlot),
    /// The peer damaged the control word.
    #[error(transparent)]
    Damaged(#[from] ControlDamaged),
}

/// A value that the writer fills. Dropped, it is not published.
#[derive(Debug)]
pub struct Draft<'a, D: Discipline = Sound> {
    writer: &'a mut Writer<D>,
}

impl<D: Discipline> Draft<'_, D> {
    /// Puts words at an offset of the value.
    ///
    /// # Errors
    ///
    /// [`OutOfSlot`] if they do not fit; then none was put.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn write(&mut self, offset_words: usize, words: &[u64]) -> Result<(), OutOfSlot> {
        let side = &self.writer.side;
        let to = part(side.region.slot(side.own), offset_words, words.len())?;
        store_words::<D>(to, words);
        Ok(())
    }

    /// Puts floats at an offset of the value, two per word; an odd last one is followed by zero.
    ///
    /// # Errors
    ///
    /// [`OutOfSlot`] if they do not fit; then none was put.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn write_f32s(&mut self, offset_words: usize, floats: &[f32]) -> Result<(), OutOfSlot> {
        let side = &self.writer.side;
        let count = floats.len().div_ceil(2);
        let to = part(side.region.slot(side.own), offset_words, count)?;
        for (to, word) in to.iter().zip(shm_layout::words_of_f32s(floats)) {
            D::before_store();
            to.store(word, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Publishes the value: the reader's next update finds all of it.
    ///
    /// # Errors
    ///
    /// [`ControlDamaged`]; then nothing was published, and nothing ever will be.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn publish(self) -> Result<(), ControlDamaged> {
        self.writer.side.exchange(TRIPLE_DIRTY)
    }
}

/// The side that reads the newest value.
#[derive(Debug)]
pub struct Reader<D = Sound> {
    side: Side<D>,
}

#[cfg(not(loom))]
impl Reader {
    /// Claims the segment's reader, which needs to write the control word.
    ///
    /// # Errors
    ///
    /// [`RoleRefused`]: another shape, read-only, or claimed before.
    pub fn new(segment: &Segment) -> Result<Self, RoleRefused> {
        let region = segment.claimed::<READER_CLAIM_WORD>(Shape::Triple, "triple buffer")?;
        Ok(Self::over(region))
    }
}

impl<D: Discipline> Reader<D> {
    fn over(region: Arc<Region>) -> Self {
        Self { side: Side::over(region, FRONT_START) }
    }

    /// Words of a value.
    pub fn slot_words(&self) -> usize {
        self.side.region.slot_words
    }

    /// Takes the newest value to the front; `false` if it is there already.
    ///
    /// # Errors
    ///
    /// [`ControlDamaged`]; the front stays readable, and no other value will come.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn update(&mut self) -> Result<bool, ControlDamaged> {
        // Relaxed: only the exchange receives.
        let fresh = self.side.region.control().load(Ordering::Relaxed) & TRIPLE_DIRTY != 0;
        if fresh || self.side.damaged.is_some() {
            self.side.exchange(0)?;
        }
        Ok(fresh)
    }

    /// Copies words of the front value, from an offset on; zeros before the first value.
    ///
    /// # Errors
    ///
    /// [`OutOfSlot`] if a value does not have them; then none was copied.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn copy_into(&self, offset_words: usize, words: &mut [u64]) -> Result<(), OutOfSlot> {
        let from = part(self.side.region.slot(self.side.own), offset_words, words.len())?;
        load_words(from, words);
        Ok(())
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{SegmentKind, Spec, broadcast};

    #[test]
    fn the_reader_sees_the_newest_value_and_only_once_as_new() {
        let (mut writer, mut reader) = heap(2);
        assert_eq!(reader.update(), Ok(false));
        writer.publish(&[1, 1]).unwrap();
        writer.publish(&[2, 2]).unwrap();
        let mut value = [0; 2];
        assert_eq!(reader.update(), Ok(true));
        reader.copy_into(0, &mut value).unwrap();
        assert_eq!(value, [2, 2]);
        assert_eq!(reader.update(), Ok(false));
    }

    #[test]
    fn a_dropped_draft_is_not_published() {
        let (mut writer, mut reader) = heap(2);
        writer.draft().write(0, &[9, 9]).unwrap();
        assert_eq!(reader.update(), Ok(false));
    }

    #[test]
    fn floats_are_packed_two_to_a_word() {
        let (mut writer, mut reader) = heap(3);
        let mut draft = writer.draft();
        draft.write(0, &[5]).unwrap();
        draft.write_f32s(1, &[1.0, 2.0, 3.0]).unwrap();
        assert!(draft.write_f32s(2, &[1.0, 2.0, 3.0]).is_err());
        draft.publish().unwrap();
        let mut value = [0; 2];
        reader.update().unwrap();
        reader.copy_into(1, &mut value).unwrap();
        assert_eq!(shm_layout::f32s_of_words(&value), [1.0, 2.0, 3.0, 0.0]);
    }

    #[test]
    fn words_beyond_the_slot_are_refused_on_both_sides() {
        let (mut writer, reader) = heap(2);
        let refused = OutOfSlot { end_words: 3, slot_words: 2 };
        assert_eq!(writer.publish(&[0; 3]), Err(refused.into()));
        assert_eq!(reader.copy_into(1, &mut [0; 2]), Err(refused));
        assert!(reader.copy_into(usize::MAX, &mut [0; 2]).is_err());
    }

    #[test]
    fn f05_a_damaged_control_word_ends_the_buffer_and_leaves_the_front() {
        for damage in (0..64).map(|bit| 1_u64 << bit).chain([3, 7, u64::MAX]) {
            let (mut writer, mut reader) = heap(1);
            writer.publish(&[5]).unwrap();
            reader.update().unwrap();
            let before = reader.side.region.control().load(Ordering::Relaxed);
            let found = before ^ damage | TRIPLE_DIRTY;
            reader.side.region.control().store(found, Ordering::Relaxed);
            let updated = reader.update();
            let mut value = [0];
            reader.copy_into(0, &mut value).unwrap();
            // A plausible index cannot be told from a right one: then any slot's words may come.
            if updated.is_err() {
                assert_eq!(updated, Err(ControlDamaged { found }));
                assert_eq!(value, [5]);
                assert_eq!(reader.update(), updated);
            }
            let _ = writer.publish(&[6]);
        }
    }

    #[test]
    fn each_side_of_a_segment_is_claimed_once() {
        let segment = Segment::create(&Spec::weights(4)).unwrap();
        let by = u64::from(std::process::id());
        let _writer = Writer::new(&segment).unwrap();
        let _reader = Reader::new(&segment).unwrap();
        let taken = RoleRefused::Taken { by };
        assert_eq!(Writer::new(&segment).unwrap_err(), taken);
        assert_eq!(Reader::new(&segment).unwrap_err(), taken);
    }

    #[test]
    fn another_shape_is_refused() {
        let segment = Segment::create(&Spec::weights(4)).unwrap();
        let refused = broadcast::Writer::new(&segment).unwrap_err();
        let found = SegmentKind::Weights;
        let expected = "broadcast ring";
        assert_eq!(refused, RoleRefused::WrongShape { found, expected });
    }
}

//! Named counters: one word each, readable by anyone at any time.
//!
//! A counter says how much, never when: no order between two counters can be inferred.

use std::marker::PhantomData;

#[cfg(not(loom))]
use shm_layout::{CLAIM_WORD, Shape};
use shm_layout::{Counter, LearnerCounter, SegmentKind};

use crate::region::Region;
use crate::sync::{Arc, AtomicU64, Ordering};
#[cfg(not(loom))]
use crate::{RoleRefused, Segment};

/// A table of counters that a segment can hold.
pub trait Table: Copy + 'static {
    /// Kind of the segment.
    const KIND: SegmentKind;
    /// Number of counters.
    const COUNT: usize;
    /// The counter's word, below [`COUNT`](Self::COUNT).
    fn index(self) -> usize;
}

impl Table for Counter {
    const KIND: SegmentKind = SegmentKind::Counters;
    const COUNT: usize = Self::COUNT;
    fn index(self) -> usize {
        Counter::index(self)
    }
}

impl Table for LearnerCounter {
    const KIND: SegmentKind = SegmentKind::LearnerCounters;
    const COUNT: usize = Self::COUNT;
    fn index(self) -> usize {
        LearnerCounter::index(self)
    }
}

/// Counters on the heap, zeroed.
///
/// # Real-time
///
/// Not for the real-time thread.
pub fn heap<C: Table>() -> (Writer<C>, Reader<C>) {
    let region = Arc::new(Region::heap(C::COUNT, C::COUNT, 1));
    (Writer::over(Arc::clone(&region)), Reader::over(region))
}

/// There always is one: segments of another table are refused. But no panic says so.
#[inline]
fn word<C: Table>(region: &Region, counter: C) -> Option<&AtomicU64> {
    region.slot(0).get(counter.index())
}

#[cfg(not(loom))]
fn check_kind<C: Table>(segment: &Segment) -> Result<(), RoleRefused> {
    let found = segment.header().kind();
    if found != C::KIND {
        let expected = C::KIND.name();
        return Err(RoleRefused::WrongShape { found, expected });
    }
    Ok(())
}

/// The side that counts. Clones serve the threads of one process.
#[derive(Debug)]
pub struct Writer<C> {
    region: Arc<Region>,
    table: PhantomData<C>,
}

impl<C> Clone for Writer<C> {
    fn clone(&self) -> Self {
        Self { region: Arc::clone(&self.region), table: PhantomData }
    }
}

impl<C: Table> Writer<C> {
    /// Claims the segment's writer.
    ///
    /// # Errors
    ///
    /// [`RoleRefused`]: another kind, read-only, or claimed before.
    #[cfg(not(loom))]
    pub fn new(segment: &Segment) -> Result<Self, RoleRefused> {
        check_kind::<C>(segment)?;
        let region = segment.claimed::<CLAIM_WORD>(Shape::Counters, C::KIND.name())?;
        Ok(Self::over(region))
    }

    fn over(region: Arc<Region>) -> Self {
        Self { region, table: PhantomData }
    }

    /// A reader of the same counters in this process.
    pub fn reader(&self) -> Reader<C> {
        Reader::over(Arc::clone(&self.region))
    }

    /// Adds to a counter, from any thread.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn add(&self, counter: C, by: u64) {
        if let Some(word) = word(&self.region, counter) {
            word.fetch_add(by, Ordering::Relaxed);
        }
    }

    /// Sets a counter or state.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn set(&self, counter: C, to: u64) {
        if let Some(word) = word(&self.region, counter) {
            word.store(to, Ordering::Relaxed);
        }
    }

    /// The present value.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn get(&self, counter: C) -> u64 {
        word(&self.region, counter).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

/// A side that reads.
#[derive(Debug)]
pub struct Reader<C> {
    region: Arc<Region>,
    table: PhantomData<C>,
}

impl<C> Clone for Reader<C> {
    fn clone(&self) -> Self {
        Self { region: Arc::clone(&self.region), table: PhantomData }
    }
}

impl<C: Table> Reader<C> {
    /// A reader of the segment; there may be any number, and read-only access is enough.
    ///
    /// # Errors
    ///
    /// [`RoleRefused::WrongShape`].
    #[cfg(not(loom))]
    pub fn new(segment: &Segment) -> Result<Self, RoleRefused> {
        check_kind::<C>(segment)?;
        let region = segment.readable(Shape::Counters, C::KIND.name())?;
        Ok(Self::over(region))
    }

    fn over(region: Arc<Region>) -> Self {
        Self { region, table: PhantomData }
    }

    /// The present value.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn get(&self, counter: C) -> u64 {
        word(&self.region, counter).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Access, Spec};

    #[test]
    fn a_reader_of_the_segment_sees_what_was_counted() {
        let segment = Segment::create(&Spec::counters::<Counter>()).unwrap();
        let writer = Writer::<Counter>::new(&segment).unwrap();
        writer.add(Counter::Cycles, 2);
        writer.add(Counter::Cycles, 3);
        writer.set(Counter::Mode, 4);
        let descriptor = segment.read_only_fd().unwrap();
        let attached = Segment::attach(descriptor, Access::ReadOnly, SegmentKind::Counters).unwrap();
        let reader = Reader::<Counter>::new(&attached).unwrap();
        assert_eq!(reader.get(Counter::Cycles), 5);
        assert_eq!(reader.get(Counter::Mode), 4);
        assert_eq!(reader.get(Counter::Armed), 0);
        let refused = Writer::<Counter>::new(&attached).unwrap_err();
        let kind = SegmentKind::Counters;
        assert_eq!(refused, RoleRefused::ReadOnly { kind });
    }

    #[test]
    fn the_tables_are_not_mixed_up() {
        let segment = Segment::create(&Spec::counters::<LearnerCounter>()).unwrap();
        assert!(Reader::<Counter>::new(&segment).is_err());
        assert!(Reader::<LearnerCounter>::new(&segment).is_ok());
    }

    #[test]
    fn threads_of_one_process_count_together() {
        let (writer, reader) = heap::<Counter>();
        let counting = [(); 4].map(|()| {
            let writer = writer.clone();
            std::thread::spawn(move || (0..1000).for_each(|_| writer.add(Counter::Events, 1)))
        });
        for thread in counting {
            thread.join().unwrap();
        }
        assert_eq!(reader.get(Counter::Events), 4000);
    }
}

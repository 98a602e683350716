//! Named counters: one word each, readable by anyone at any time.
//!
//! A counter says how much, never when: no order between two counters can be inferred.

use std::marker::PhantomData;

#[cfg(not(loom))]
use shm_layout::{CLAIM_WORD, Shape};
use shm_layout::{ConnectionCounter, Counter, LearnerCounter, SegmentKind};

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

impl Table for ConnectionCounter {
    const KIND: SegmentKind = SegmentKind::Connections;
    const COUNT: usize = Self::COUNT;
    fn index(self) -> usize {
        ConnectionCounter::index(self)
    }
}

/// Counters on the heap, zeroed.
///
/// # Real-time
///
/// Not for the real-time thread.
pub fn heap<C: Table>() -> (Writer<C>, Reader<C>) {
    let region = Arc::new(Region::heap(C::COUNT, C::COUNT, 1));
    (Writer::over(Arc::clone(&region), 0), Reader::over(region, 0))
}

/// There always is one: segments of another table are refused. But no panic says so.
#[inline]
fn word<C: Table>(region: &Region, first: usize, counter: C) -> Option<&AtomicU64> {
    region.slot(0).get(first + counter.index())
}

/// Claims the segment's writer: one per group of counters, which lie one behind the other, each of its own thread.
///
/// # Errors
///
/// [`RoleRefused`]: another kind, read-only, or claimed before.
#[cfg(not(loom))]
pub fn writers<C: Table>(segment: &Segment) -> Result<Vec<Writer<C>>, RoleRefused> {
    check_kind::<C>(segment)?;
    let region = segment.claimed::<CLAIM_WORD>(Shape::Counters, C::KIND.name())?;
    let groups = 0..region.slot_words / C::COUNT;
    Ok(groups.map(|group| Writer::over(Arc::clone(&region), group * C::COUNT)).collect())
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
    /// Its first word.
    first: usize,
    table: PhantomData<C>,
}

impl<C> Clone for Writer<C> {
    fn clone(&self) -> Self {
        Self { region: Arc::clone(&self.region), first: self.first, table: PhantomData }
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
        Ok(Self::over(region, 0))
    }

    fn over(region: Arc<Region>, first: usize) -> Self {
        Self { region, first, table: PhantomData }
    }

    /// A reader of the same counters in this process.
    pub fn reader(&self) -> Reader<C> {
        Reader::over(Arc::clone(&self.region), self.first)
    }

    /// Adds to a counter, from any thread.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn add(&self, counter: C, by: u64) {
        if let Some(word) = word(&self.region, self.first, counter) {
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
        if let Some(word) = word(&self.region, self.first, counter) {
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
        word(&self.region, self.first, counter).map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

/// A side that reads.
#[derive(Debug)]
pub struct Reader<C> {
    region: Arc<Region>,
    /// Its first word.
    first: usize,
    table: PhantomData<C>,
}

impl<C> Clone for Reader<C> {
    fn clone(&self) -> Self {
        Self { region: Arc::clone(&self.region), first: self.first, table: PhantomData }
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
        Ok(Self::over(region, 0))
    }

    /// Readers of all groups of a segment, as [`writers`] wrote them.
    ///
    /// # Errors
    ///
    /// [`RoleRefused::WrongShape`].
    #[cfg(not(loom))]
    pub fn all(segment: &Segment) -> Result<Vec<Self>, RoleRefused> {
        check_kind::<C>(segment)?;
        let region = segment.readable(Shape::Counters, C::KIND.name())?;
        // Without a connection there is room for one all the same.
        let groups = (region.slot_words / C::COUNT).min(segment.header().dims()[0] as usize);
        Ok((0..groups).map(|group| Self::over(Arc::clone(&region), group * C::COUNT)).collect())
    }

    fn over(region: Arc<Region>, first: usize) -> Self {
        Self { region, first, table: PhantomData }
    }

    /// The present value.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn get(&self, counter: C) -> u64 {
        word(&self.region, self.first, counter).map_or(0, |word| word.load(Ordering::Relaxed))
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
    fn connections_count_apart_and_none_counts_beyond_its_own_words() {
        let segment = Segment::create(&Spec::connections(3)).unwrap();
        let writers = writers::<ConnectionCounter>(&segment).unwrap();
        assert_eq!(writers.len(), 3);
        for (writer, up) in writers.iter().zip(1..) {
            ConnectionCounter::ALL.iter().for_each(|counter| writer.add(*counter, up));
        }
        let readers = Reader::<ConnectionCounter>::all(&segment).unwrap();
        let read = |reader: &Reader<_>| ConnectionCounter::ALL.iter().map(|of| reader.get(*of)).collect::<Vec<_>>();
        let expected: Vec<_> = (1..=3).map(|up| vec![up; ConnectionCounter::COUNT]).collect();
        assert_eq!(readers.iter().map(read).collect::<Vec<_>>(), expected);
        assert!(super::writers::<ConnectionCounter>(&segment).is_err(), "they were claimed before");
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

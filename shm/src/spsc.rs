//! The ring between two threads: one producer, one consumer, every value in order.
//!
//! A full ring refuses and gives the value back; the producer's owner decides and counts. Each side
//! keeps a copy of the other's position and looks at the shared one only when the copy says that the
//! ring is full or empty, so that most calls touch no line of the other thread but the value's.

use std::mem::MaybeUninit;

use crossbeam_utils::CachePadded;

use crate::discipline::{Discipline, Sound};
use crate::sync::{Arc, AtomicUsize, UnsafeCell};

#[derive(Debug)]
struct Shared<T> {
    /// Values pushed, ever (wrapping).
    tail: CachePadded<AtomicUsize>,
    /// Values popped, ever (wrapping).
    head: CachePadded<AtomicUsize>,
    /// A power of two, so that positions may wrap.
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: a slot between head and tail belongs to the consumer, any other to the producer; it passes
// between the threads through a Release store and an Acquire load of tail or head.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// There always is one: the number of slots is a power of two. But no panic says so.
    #[inline]
    fn slot(&self, position: usize) -> Option<&UnsafeCell<MaybeUninit<T>>> {
        self.slots.get(position & self.slots.len().wrapping_sub(1))
    }
}

/// The ring is full: here is the value back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ring is full")]
pub struct Full<T>(pub T);

/// A ring that holds exactly `capacity` values.
///
/// # Panics
///
/// If `capacity` is 0 or beyond 2^31.
///
/// # Real-time
///
/// Not for the real-time thread.
pub fn channel<T: Copy + Send>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    build(capacity)
}

/// [`channel`] under another discipline. Only in models: elsewhere a weak one would be unsound.
#[cfg(loom)]
pub fn channel_with<T: Copy + Send, D: Discipline>(capacity: usize) -> (Producer<T, D>, Consumer<T, D>) {
    build(capacity)
}

fn build<T: Copy + Send, D: Discipline>(capacity: usize) -> (Producer<T, D>, Consumer<T, D>) {
    assert!((1..=1 << 31).contains(&capacity), "a ring holds between 1 and 2^31 values");
    let slots = 0..capacity.next_power_of_two();
    let shared = Arc::new(Shared {
        tail: CachePadded::new(AtomicUsize::new(0)),
        head: CachePadded::new(AtomicUsize::new(0)),
        slots: slots.map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect(),
    });
    let producer =
        Producer { shared: Arc::clone(&shared), capacity, tail: 0, head_seen: 0, discipline: std::marker::PhantomData };
    let consumer = Consumer { shared, head: 0, tail_seen: 0, discipline: std::marker::PhantomData };
    (producer, consumer)
}

/// The side that pushes.
#[derive(Debug)]
pub struct Producer<T, D = Sound> {
    shared: Arc<Shared<T>>,
    capacity: usize,
    tail: usize,
    head_seen: usize,
    discipline: std::marker::PhantomData<D>,
}

impl<T: Copy + Send, D: Discipline> Producer<T, D> {
    /// Values that the ring holds at most.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Values that can be pushed, at least.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn room(&mut self) -> usize {
        // Acquire: partner is the consumer's Release store of head, as in `push`.
        self.head_seen = self.shared.head.load(D::LOAD);
        self.capacity.saturating_sub(self.tail.wrapping_sub(self.head_seen))
    }

    /// Appends a value.
    ///
    /// # Errors
    ///
    /// [`Full`] with the value; counting it as lost is up to the caller.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), Full<T>> {
        if self.tail.wrapping_sub(self.head_seen) >= self.capacity {
            // Acquire: partner is the consumer's Release store of head; it has read the slot.
            self.head_seen = self.shared.head.load(D::LOAD);
            if self.tail.wrapping_sub(self.head_seen) >= self.capacity {
                return Err(Full(value));
            }
        }
        let Some(slot) = self.shared.slot(self.tail) else {
            return Err(Full(value));
        };
        // SAFETY: the slot is not between head and tail, hence ours until tail says otherwise.
        slot.with_mut(|slot| unsafe { slot.write(MaybeUninit::new(value)) });
        self.tail = self.tail.wrapping_add(1);
        // Release: the value is in its slot before the consumer's Acquire load of tail shows it.
        self.shared.tail.store(self.tail, D::STORE);
        Ok(())
    }
}

/// The side that pops.
#[derive(Debug)]
pub struct Consumer<T, D = Sound> {
    shared: Arc<Shared<T>>,
    head: usize,
    tail_seen: usize,
    discipline: std::marker::PhantomData<D>,
}

impl<T: Copy + Send, D: Discipline> Consumer<T, D> {
    /// Takes the oldest value.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.head == self.tail_seen {
            self.refresh();
            if self.head == self.tail_seen {
                return None;
            }
        }
        self.take()
    }

    /// Values that wait, at least.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn waiting(&mut self) -> usize {
        self.refresh();
        self.tail_seen.wrapping_sub(self.head)
    }

    #[inline]
    fn refresh(&mut self) {
        // Acquire: partner is the producer's Release store of tail; the values before it are written.
        self.tail_seen = self.shared.tail.load(D::LOAD);
    }

    /// Reads the value at head, which is before `tail_seen`, and frees its slot and those before it.
    #[inline]
    fn take(&mut self) -> Option<T> {
        let slot = self.shared.slot(self.head)?;
        // SAFETY: head is before tail, so that the producer has written the slot and leaves it to us
        // until head has passed it. T is Copy: nothing is left to drop.
        let value = slot.with(|slot| unsafe { (*slot).assume_init_read() });
        self.head = self.head.wrapping_add(1);
        // Release: the value is read before the producer's Acquire load of head frees the slot.
        self.shared.head.store(self.head, D::STORE);
        Some(value)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn a_producer_knows_its_room() {
        let (mut producer, mut consumer) = channel(3);
        assert_eq!(producer.room(), 3);
        producer.push(1).unwrap();
        producer.push(2).unwrap();
        assert_eq!(producer.room(), 1);
        assert_eq!(consumer.pop(), Some(1));
        assert_eq!(producer.room(), 2);
    }

    #[test]
    fn a_full_ring_gives_the_value_back() {
        let (mut producer, mut consumer) = channel(3);
        for n in 0..3 {
            producer.push(n).unwrap();
        }
        assert_eq!(producer.push(3), Err(Full(3)));
        assert_eq!(consumer.pop(), Some(0));
        assert_eq!(producer.push(3), Ok(()));
        assert_eq!(producer.push(4), Err(Full(4)));
    }

    #[test]
    fn values_arrive_in_order_between_threads() {
        const VALUES: u64 = 200_000;
        let (mut producer, mut consumer) = channel(8);
        let pushing = std::thread::spawn(move || {
            for n in 0..VALUES {
                while producer.push([n; 4]).is_err() {
                    std::thread::yield_now();
                }
            }
        });
        for n in 0..VALUES {
            let value = loop {
                match consumer.pop() {
                    Some(value) => break value,
                    None => std::thread::yield_now(),
                }
            };
            assert_eq!(value, [n; 4]);
        }
        assert_eq!(consumer.pop(), None);
        pushing.join().unwrap();
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn the_ring_is_a_bounded_queue(
            capacity in 1_usize..20,
            calls in prop::collection::vec(0_u8..8, 1..300),
        ) {
            let (mut producer, mut consumer) = channel(capacity);
            let mut model = VecDeque::new();
            for (n, call) in calls.into_iter().enumerate() {
                match call {
                    0..4 => {
                        let pushed = producer.push(n).is_ok();
                        prop_assert_eq!(pushed, model.len() < capacity);
                        if pushed {
                            model.push_back(n);
                        }
                    }
                    _ => prop_assert_eq!(consumer.pop(), model.pop_front()),
                }
                prop_assert_eq!(consumer.waiting(), model.len());
            }
        }
    }
}

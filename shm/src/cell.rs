//! The triple buffer of a type: one writer, one reader, the newest value, nothing copied.
//!
//! The same protocol as [`triple`](crate::triple), inside one process: three values exist from the
//! start, and ownership of each passes between writer, middle and reader by one atomic swap. So one
//! thread can prepare a large value at leisure and another take it in a moment.

use crossbeam_utils::CachePadded;

use crate::discipline::{Discipline, Sound};
use crate::sync::{Arc, AtomicUsize, Ordering, UnsafeCell};

const DIRTY: usize = 4;
/// Slots at the start; the control word 0 says: middle 0, nothing new.
const BACK_START: usize = 1;
const FRONT_START: usize = 2;

#[derive(Debug)]
struct Shared<T> {
    middle: CachePadded<AtomicUsize>,
    slots: [UnsafeCell<T>; 3],
}

// SAFETY: each slot is owned by exactly one of writer, middle and reader at any time, and passes
// between the threads through a swap with Release and Acquire; so values move, and are never shared.
unsafe impl<T: Send> Sync for Shared<T> {}

/// A triple buffer of three values that are equal in worth: the reader begins with the last one.
///
/// # Real-time
///
/// Not for the real-time thread. The values are dropped by whichever side is dropped last.
pub fn channel<T: Send>(slots: [T; 3]) -> (Writer<T>, Reader<T>) {
    build(slots)
}

/// [`channel`] under another discipline. Only in models: elsewhere a weak one would be unsound.
#[cfg(loom)]
pub fn channel_with<T: Send, D: Discipline>(slots: [T; 3]) -> (Writer<T, D>, Reader<T, D>) {
    build(slots)
}

fn build<T: Send, D: Discipline>(slots: [T; 3]) -> (Writer<T, D>, Reader<T, D>) {
    let shared = Arc::new(Shared { middle: CachePadded::new(AtomicUsize::new(0)), slots: slots.map(UnsafeCell::new) });
    let side = |own| Side { shared: Arc::clone(&shared), own, discipline: std::marker::PhantomData };
    let (writer, reader) = (side(BACK_START), side(FRONT_START));
    (Writer { side: writer }, Reader { side: reader })
}

#[derive(Debug)]
struct Side<T, D> {
    shared: Arc<Shared<T>>,
    /// Always below 3, and ours alone.
    own: usize,
    discipline: std::marker::PhantomData<D>,
}

impl<T, D: Discipline> Side<T, D> {
    /// Exchanges our slot with the middle one.
    #[inline]
    fn exchange(&mut self, dirty: usize) {
        // Release: we are done with our slot before the peer's Acquire in its own exchange gives it
        // the slot. Acquire: the same, the other way.
        let found = self.shared.middle.swap(self.own | dirty, D::SWAP);
        self.own = found & !DIRTY;
    }

    /// Our slot. Two bits could also say 3; nothing writes it, and no panic says so.
    #[inline]
    fn slot(&self) -> &UnsafeCell<T> {
        let [first, second, third] = &self.shared.slots;
        match self.own {
            0 => first,
            1 => second,
            _ => third,
        }
    }

    #[inline]
    fn get(&self) -> &T {
        // SAFETY: the slot is ours until the next exchange, which needs `&mut self`.
        self.slot().with(|value| unsafe { &*value })
    }

    #[inline]
    fn get_mut(&mut self) -> &mut T {
        // SAFETY: the slot is ours until the next exchange, and `&mut self` makes us the only user.
        self.slot().with_mut(|value| unsafe { &mut *value })
    }
}

/// The side that publishes.
#[derive(Debug)]
pub struct Writer<T, D = Sound> {
    side: Side<T, D>,
}

impl<T: Send, D: Discipline> Writer<T, D> {
    /// The value that will be published; at first it is some earlier one.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn back_mut(&mut self) -> &mut T {
        self.side.get_mut()
    }

    /// Publishes the value: it is what the reader's next update takes.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    pub fn publish(&mut self) {
        self.side.exchange(DIRTY);
    }
}

/// The side that takes the newest value.
#[derive(Debug)]
pub struct Reader<T, D = Sound> {
    side: Side<T, D>,
}

impl<T: Send, D: Discipline> Reader<T, D> {
    /// Takes the newest value; `false` if it was taken already.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn update(&mut self) -> bool {
        // Relaxed: only the exchange receives.
        let fresh = self.side.shared.middle.load(Ordering::Relaxed) & DIRTY != 0;
        if fresh {
            self.side.exchange(0);
        }
        fresh
    }

    /// The value taken last.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn get(&self) -> &T {
        self.side.get()
    }

    /// The value taken last, to be changed in place.
    ///
    /// # Real-time
    ///
    /// Wait-free.
    #[inline]
    pub fn get_mut(&mut self) -> &mut T {
        self.side.get_mut()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_reader_takes_the_newest_value() {
        let (mut writer, mut reader) = channel([0, 0, 7]);
        assert!(!reader.update());
        assert_eq!(*reader.get(), 7);
        for value in [1, 2] {
            *writer.back_mut() = value;
            writer.publish();
        }
        assert!(reader.update());
        assert_eq!(*reader.get(), 2);
        assert!(!reader.update());
        *reader.get_mut() += 1;
        assert_eq!(*reader.get(), 3);
    }

    #[test]
    fn large_values_pass_whole_between_threads() {
        let (mut writer, mut reader) = channel([(); 3].map(|()| vec![0_u64; 256]));
        let writing = std::thread::spawn(move || {
            for n in 1..=20_000_u64 {
                writer.back_mut().fill(n);
                writer.publish();
            }
        });
        let mut last = 0;
        while last < 20_000 {
            if reader.update() {
                let value = reader.get();
                assert!(value[0] > last && value.iter().all(|word| *word == value[0]));
                last = value[0];
            } else {
                std::thread::yield_now();
            }
        }
        writing.join().unwrap();
    }

    #[test]
    fn values_are_dropped_once() {
        let token = std::sync::Arc::new(());
        let (mut writer, mut reader) = channel([(); 3].map(|()| token.clone()));
        writer.publish();
        reader.update();
        drop(writer);
        assert_eq!(std::sync::Arc::strong_count(&token), 4);
        drop(reader);
        assert_eq!(std::sync::Arc::strong_count(&token), 1);
    }
}

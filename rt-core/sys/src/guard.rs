//! The allocation guard: a thread that arms itself counts what it allocates and frees.
//!
//! The counters are plain thread-local words, so counting costs nothing that other threads could feel, and only the
//! thread itself can read them: the control thread does so at the end of each cycle and puts the difference into its
//! record.
//!
//! ```
//! use rt_sys::guard::{self, CountingAllocator};
//!
//! #[global_allocator]
//! static ALLOCATOR: CountingAllocator = CountingAllocator;
//!
//! guard::arm();
//! drop(Box::new(1));
//! assert_eq!(guard::counts().allocations, 1);
//! guard::disarm();
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::hint::black_box;

thread_local! {
    // Constant and without a destructor: reading them needs no registration and never allocates.
    static ARMED: Cell<bool> = const { Cell::new(false) };
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static DEALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// What a thread allocated while it was armed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blocks asked for; a change of size counts as one.
    pub allocations: u64,
    /// Blocks given back.
    pub deallocations: u64,
}

impl Counts {
    /// What happened since `earlier`.
    pub const fn since(self, earlier: Self) -> Self {
        Self {
            allocations: self.allocations.wrapping_sub(earlier.allocations),
            deallocations: self.deallocations.wrapping_sub(earlier.deallocations),
        }
    }

    /// Allocations and deallocations together.
    pub const fn total(self) -> u64 {
        self.allocations.wrapping_add(self.deallocations)
    }
}

/// The calling thread counts from now on.
///
/// # Real-time
/// One thread-local store.
pub fn arm() {
    ARMED.set(true);
}

/// The calling thread no longer counts; what it counted stays readable.
///
/// # Real-time
/// One thread-local store.
pub fn disarm() {
    ARMED.set(false);
}

/// What the calling thread counted so far.
///
/// # Real-time
/// Two thread-local loads.
pub fn counts() -> Counts {
    Counts { allocations: ALLOCATIONS.get(), deallocations: DEALLOCATIONS.get() }
}

/// Whether this program's global allocator is a [`CountingAllocator`]; without one every count is zero and means nothing.
pub fn is_installed() -> bool {
    let was_armed = ARMED.replace(true);
    let before = counts();
    drop(black_box(Box::new(0_u8)));
    let counted = counts().since(before).total() > 0;
    ARMED.set(was_armed);
    counted
}

/// The system's allocator, with the counting described in [this module](self).
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAllocator;

fn count(counter: &'static std::thread::LocalKey<Cell<u64>>) {
    if ARMED.get() {
        counter.set(counter.get().wrapping_add(1));
    }
}

// SAFETY: every call is handed to the system's allocator unchanged; counting touches thread-local words only and neither
// allocates nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS);
        // SAFETY: the caller's promises are those that `System` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(&ALLOCATIONS);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(&ALLOCATIONS);
        // SAFETY: as above; the block came from `System`.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        count(&DEALLOCATIONS);
        // SAFETY: as above; the block came from `System`.
        unsafe { System.dealloc(block, layout) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[global_allocator]
    static ALLOCATOR: CountingAllocator = CountingAllocator;

    #[test]
    fn an_armed_thread_counts_each_kind_of_call() {
        arm();
        let before = counts();
        let mut block: Vec<u8> = Vec::with_capacity(16);
        assert_eq!(counts().since(before), Counts { allocations: 1, deallocations: 0 });
        block.reserve_exact(64);
        black_box(&mut block);
        assert_eq!(counts().since(before).allocations, 2);
        drop(black_box(block));
        assert_eq!(counts().since(before), Counts { allocations: 2, deallocations: 1 });
        drop(black_box(vec![0_u64; 9]));
        assert_eq!(counts().since(before), Counts { allocations: 3, deallocations: 2 });
        disarm();
    }

    #[test]
    fn a_thread_that_is_not_armed_counts_nothing_and_threads_do_not_see_each_other() {
        arm();
        let before = counts();
        let other = std::thread::spawn(|| {
            drop(black_box(vec![1_u8; 100]));
            counts()
        });
        let spawned = counts();
        assert_eq!(other.join().expect("it does not panic"), Counts::default());
        assert!(spawned.since(before).allocations > 0, "spawning itself allocates here");
        disarm();
        let after = counts();
        drop(black_box(vec![1_u8; 100]));
        assert_eq!(counts(), after);
    }

    #[test]
    fn the_guard_knows_whether_it_is_installed_and_leaves_the_thread_as_it_was() {
        assert!(is_installed());
        let before = counts();
        drop(black_box(vec![1_u8; 100]));
        assert_eq!(counts(), before);
    }
}

//! How the structures order and observe their shared stores.
//!
//! Only [`Sound`] is for use. The others exist so that tests can see the protocols fail: loom must
//! find the fault of every weakened one, and the crash test stops a writer before its k-th store.

use crate::sync::{Ordering, fence};

/// The orderings that publish and receive, and a call before every shared store.
pub trait Discipline: 'static {
    /// Of a load that receives what another thread published.
    const LOAD: Ordering;
    /// Of a store that publishes.
    const STORE: Ordering;
    /// Of an exchange that publishes and receives.
    const SWAP: Ordering;

    /// Orders the loads before it before the loads after it.
    fn fence_acquire();
    /// Orders the stores before it before the stores after it.
    fn fence_release();
    /// Called before every store to shared memory.
    fn before_store();
}

/// The right orderings, unobserved.
#[derive(Clone, Copy, Debug)]
pub struct Sound;

impl Discipline for Sound {
    const LOAD: Ordering = Ordering::Acquire;
    const STORE: Ordering = Ordering::Release;
    const SWAP: Ordering = Ordering::AcqRel;

    #[inline(always)]
    fn fence_acquire() {
        fence(Ordering::Acquire);
    }
    #[inline(always)]
    fn fence_release() {
        fence(Ordering::Release);
    }
    #[inline(always)]
    fn before_store() {}
}

/// A mutant: nothing is ever published, only stored.
#[cfg(loom)]
#[derive(Clone, Copy, Debug)]
pub struct NoRelease;

#[cfg(loom)]
impl Discipline for NoRelease {
    const LOAD: Ordering = Ordering::Acquire;
    const STORE: Ordering = Ordering::Relaxed;
    const SWAP: Ordering = Ordering::Acquire;

    fn fence_acquire() {
        fence(Ordering::Acquire);
    }
    fn fence_release() {}
    fn before_store() {}
}

/// A mutant: nothing is ever received, only loaded.
#[cfg(loom)]
#[derive(Clone, Copy, Debug)]
pub struct NoAcquire;

#[cfg(loom)]
impl Discipline for NoAcquire {
    const LOAD: Ordering = Ordering::Relaxed;
    const STORE: Ordering = Ordering::Release;
    const SWAP: Ordering = Ordering::Release;

    fn fence_acquire() {}
    fn fence_release() {
        fence(Ordering::Release);
    }
    fn before_store() {}
}

/// A mutant: a broadcast writer may fill the slot before it says so.
#[cfg(loom)]
#[derive(Clone, Copy, Debug)]
pub struct NoReleaseFence;

#[cfg(loom)]
impl Discipline for NoReleaseFence {
    const LOAD: Ordering = Sound::LOAD;
    const STORE: Ordering = Sound::STORE;
    const SWAP: Ordering = Sound::SWAP;

    fn fence_acquire() {
        Sound::fence_acquire();
    }
    fn fence_release() {}
    fn before_store() {}
}

/// A mutant: a broadcast reader may look at the stamp again before it has the words.
#[cfg(loom)]
#[derive(Clone, Copy, Debug)]
pub struct NoAcquireFence;

#[cfg(loom)]
impl Discipline for NoAcquireFence {
    const LOAD: Ordering = Sound::LOAD;
    const STORE: Ordering = Sound::STORE;
    const SWAP: Ordering = Sound::SWAP;

    fn fence_acquire() {}
    fn fence_release() {
        Sound::fence_release();
    }
    fn before_store() {}
}

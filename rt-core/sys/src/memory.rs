//! Memory that does not fault: locked, prefaulted, and last in line for the out-of-memory killer.
//!
//! A lock keeps pages in memory, not in their place: compaction and NUMA balancing may still move them, unless the kernel is
//! told not to (`Host::moves_locked_pages`, `Host::balances_numa`).

use std::hint::black_box;
use std::{fs, io};

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use thiserror::Error;

use crate::proc::{CAP_IPC_LOCK, has_capability, keyed_kb};

/// What a process under a limit must have left for threads and their allocator arenas after locking: with future
/// mappings locked too, a mapping beyond the limit fails, and a failed mapping aborts.
const HEADROOM_BYTES: u64 = 512 << 20;

/// The smallest page of any supported machine; touching more often than needed does no harm.
const PAGE_BYTES: usize = 4096;

/// What the kernel shows after locking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockedMemory {
    /// Kilobytes that are locked now.
    pub locked_kb: u64,
}

/// Why memory is not locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum LockError {
    /// The limit is too small to lock everything, now and later, without failing later.
    #[error(
        "the memlock limit is {limit_kb} kB, this process needs {needed_kb} kB (grant CAP_IPC_LOCK, or LimitMEMLOCK=infinity)"
    )]
    LimitTooLow {
        /// The limit in force.
        limit_kb: u64,
        /// Present size and headroom.
        needed_kb: u64,
    },
    /// The kernel refused.
    #[error("the kernel refused to lock memory: error {0}")]
    Os(i32),
    /// The call succeeded, but `/proc/self/status` shows less.
    #[error("the call succeeded, but the kernel shows only {locked_kb} kB of {resident_kb} kB locked")]
    NotConfirmed {
        /// What is locked.
        locked_kb: u64,
        /// What is in memory.
        resident_kb: u64,
    },
    /// `/proc/self/status` could not be read.
    #[error("/proc/self/status could not be read, so the lock is not confirmed")]
    Unreadable,
}

/// Locks all present and future memory of this process, and reads back what the kernel made of it. On an error nothing
/// is locked that was not before, except after [`LockError::NotConfirmed`].
///
/// # Errors
/// [`LockError`] says why not, and what to grant.
pub fn lock_memory() -> Result<LockedMemory, LockError> {
    let before = status()?;
    if !has_capability(&before, CAP_IPC_LOCK) {
        check_limit(raised_memlock_limit(), keyed_kb(&before, "VmSize").ok_or(LockError::Unreadable)?)?;
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE).map_err(|errno| LockError::Os(errno.raw_os_error()))?;
    confirmed(&status()?)
}

fn status() -> Result<String, LockError> {
    fs::read_to_string("/proc/self/status").map_err(|_| LockError::Unreadable)
}

/// The memlock limit after raising it as far as permitted; `None` is unlimited.
fn raised_memlock_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Memlock);
    // Failing leaves the old limit, which is then what counts.
    let _ = setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Memlock).current
}

fn check_limit(limit_bytes: Option<u64>, size_kb: u64) -> Result<(), LockError> {
    let needed_kb = size_kb.saturating_add(HEADROOM_BYTES / 1024);
    match limit_bytes {
        Some(limit) if limit / 1024 < needed_kb => Err(LockError::LimitTooLow { limit_kb: limit / 1024, needed_kb }),
        _ => Ok(()),
    }
}

/// Everything in memory must be locked; a few special pages of the kernel cannot be, and are never paged out.
fn confirmed(status: &str) -> Result<LockedMemory, LockError> {
    let locked_kb = keyed_kb(status, "VmLck").ok_or(LockError::Unreadable)?;
    let resident_kb = keyed_kb(status, "VmRSS").ok_or(LockError::Unreadable)?;
    if locked_kb > 0 && locked_kb >= resident_kb - resident_kb / 16 {
        Ok(LockedMemory { locked_kb })
    } else {
        Err(LockError::NotConfirmed { locked_kb, resident_kb })
    }
}

/// Touches the next `BYTES` of the calling thread's stack, so that none of it faults later. The caller makes sure that
/// the stack is larger than that.
#[inline(never)]
pub fn prefault_stack<const BYTES: usize>() {
    let mut stack = [0_u8; BYTES];
    for page in stack.chunks_mut(PAGE_BYTES) {
        if let Some(byte) = page.first_mut() {
            *byte = black_box(1);
        }
    }
    black_box(&mut stack);
}

/// Sets how eagerly the out-of-memory killer takes this process, -1000 (never) to 1000, and reads it back.
///
/// # Errors
/// Lowering the value needs CAP_SYS_RESOURCE.
pub fn set_oom_score_adj(score: i16) -> io::Result<()> {
    const PATH: &str = "/proc/self/oom_score_adj";
    fs::write(PATH, score.to_string())?;
    let found = fs::read_to_string(PATH)?;
    if found.trim() == score.to_string() {
        Ok(())
    } else {
        Err(io::Error::other(format!("{PATH} shows {} after {score} was written", found.trim())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_would_fail_later_is_refused_before_anything_is_locked() {
        assert_eq!(check_limit(None, 1 << 40), Ok(()));
        assert_eq!(
            check_limit(Some(8 << 20), 4096),
            Err(LockError::LimitTooLow { limit_kb: 8192, needed_kb: 4096 + (512 << 10) })
        );
        assert_eq!(check_limit(Some(600 << 20), 4096), Ok(()));
    }

    #[test]
    fn a_lock_is_confirmed_by_what_the_kernel_shows() {
        assert_eq!(confirmed("VmLck: 1000 kB\nVmRSS: 1010 kB\n"), Ok(LockedMemory { locked_kb: 1000 }));
        assert_eq!(
            confirmed("VmLck: 0 kB\nVmRSS: 0 kB\n"),
            Err(LockError::NotConfirmed { locked_kb: 0, resident_kb: 0 })
        );
        assert_eq!(
            confirmed("VmLck: 10 kB\nVmRSS: 1010 kB\n"),
            Err(LockError::NotConfirmed { locked_kb: 10, resident_kb: 1010 })
        );
        assert_eq!(confirmed("VmLck: 10 kB\n"), Err(LockError::Unreadable));
    }

    #[test]
    fn a_prefaulted_stack_does_not_fault_again() {
        let faults = std::thread::Builder::new()
            .stack_size(2 << 20)
            .spawn(|| {
                prefault_stack::<{ 1 << 20 }>();
                let before = crate::page_faults().expect("/proc is mounted");
                prefault_stack::<{ 1 << 19 }>();
                crate::page_faults().expect("/proc is mounted").since(before)
            })
            .expect("a thread can be made")
            .join()
            .expect("it does not panic");
        // Half a megabyte is 128 pages; what remains are faults of reading /proc.
        assert!(faults.minor < 16, "{faults:?}");
    }

    #[test]
    fn raising_the_oom_score_needs_no_privilege() {
        let present: i16 =
            fs::read_to_string("/proc/self/oom_score_adj").expect("readable").trim().parse().expect("i16");
        set_oom_score_adj(present).expect("the present value is always permitted");
        assert!(set_oom_score_adj(i16::MAX).is_err());
    }
}

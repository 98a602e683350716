//! What the runtime asks of the operating system: real-time threads, the clock, locked memory, each read back from the
//! kernel.
//!
//! # Contract
//! 1. **A request is not a fact.** Priority, affinity and memory lock are asked for and then read back from the kernel,
//!    not from a library's cache; what is not confirmed becomes a [`Refusal`] with its reason, and the caller decides
//!    whether that means `degraded` or a refusal to start.
//! 2. **All that the control thread calls in its cycle is [`MonotonicClock`], [`Pacer`] and [`guard`]**: `now` is a read
//!    in the vDSO, `sleep_until` is its one system call, [`guard::counts`] reads two thread-local words. Each function
//!    that it may call says so under *Real-time*; everything else here may allocate, read files and make system calls.
//! 3. **No thread inherits what it was not given.** Real-time threads have the kernel's reset-on-fork flag, and
//!    [`spawn_helper`] sets policy and CPUs of an ordinary thread explicitly.
//! 4. **No signal handler exists.** [`Signals`] blocks the process's signals and reads them from a descriptor, so a signal
//!    neither interrupts a sleep nor runs code on a real-time thread.
//! 5. Nothing here keeps state between calls, except the counters of [`guard`], which belong to their thread.
//!
//! # Nouns
//! [`Cpus`] are the CPUs that this process may use, a [`Placement`] says who gets which. A [`RealtimeRequest`] applied to
//! a thread yields [`Granted`], which a [`ThreadView`] compares with what the thread has later; a [`Pacer`] keeps that thread on its grid as a [`Pacing`] says. [`lock_memory`] yields [`LockedMemory`]. [`Host`] is what `corerl doctor` reports:
//! facts, each with the place where it was read.
//!
//! # Example
//! ```
//! use rt_core::ports::Clock;
//! use rt_core::time::Span;
//! use rt_sys::{Cpus, MonotonicClock, RealtimeRequest};
//!
//! let clock = MonotonicClock::new();
//! let placement = Cpus::allowed().placement(None, None);
//! let request = RealtimeRequest { cpu: placement.control, priority: Some(80) };
//! let thread = rt_sys::spawn_realtime("control", request, move |granted| {
//!     clock.sleep_until(clock.now() + Span::from_ms(1));
//!     granted.refusals().map(|refusal| refusal.to_string()).collect::<Vec<_>>()
//! })?;
//! for reason in thread.join().expect("the thread ends by itself") {
//!     println!("degraded: {reason}");
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

mod clock;
mod cpus;
mod grant;
pub mod guard;
mod host;
mod lifeline;
mod log;
mod memory;
mod notify;
mod pacer;
mod peer;
mod power;
mod proc;
mod sched;
mod signals;
mod threads;
mod view;

pub use clock::{MonotonicClock, UnixTime, unix_time};
pub use cpus::{Cpus, Placement};
pub use grant::{Grant, Granted, Refusal, RefusalCause};
pub use host::{CpuLimit, Fact, Host, HugePages, Limit, Preemption, cpu_list_contains, irqs_on, stolen_ticks};
pub use lifeline::{Lifeline, Wake};
pub use log::{say_failure, start_filtered_logging, start_logging};
pub use memory::{LockError, LockedMemory, lock_memory, prefault_stack, set_oom_score_adj};
pub use notify::ServiceManager;
pub use pacer::{Paced, Pacer, Pacing};
pub use peer::PeerProcess;
pub use power::CpusAwake;
pub use proc::{Faults, Scheduling, Task, current_tid, page_faults, realtime_tasks, tasks_of, thread_scheduling};
pub use sched::{RealtimeRequest, become_batch, become_ordinary};
pub use signals::{Signal, Signals, without_blocked_signals};
pub use threads::{spawn_helper, spawn_realtime};
pub use view::ThreadView;

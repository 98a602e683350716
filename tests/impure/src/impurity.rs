//! What a cycle may not do, and a recorder that does it.

use std::hint::black_box;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;
use rt_core::ports::Recorder;
use rt_core::record::{CycleView, Event};
use rt_sys::RealtimeRequest;

/// More than the C library ever keeps for later: such a block is always new memory.
const FRESH_BYTES: usize = 64 << 20;
/// How long the other thread keeps the lock: longer than a cycle.
const LOCKED: Duration = Duration::from_millis(3);

/// A pointer that is known at run time alone.
static HOOK: OnceLock<fn(u64)> = OnceLock::new();

/// What a cycle may not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Impurity {
    /// Nothing of it: the control experiment.
    Nothing,
    /// Takes memory and gives it back.
    Allocation,
    /// Takes a lock that an ordinary thread holds most of the time.
    Lock,
    /// Writes a line.
    Print,
    /// Asks the kernel for something.
    SystemCall,
    /// Touches memory for the first time.
    PageFault,
    /// Looks for a value that is not there, and insists on it.
    Panic,
    /// Calls through a pointer in static memory. (What is called is clean.)
    Hook,
    /// Has a helper thread with a real-time priority. (The cycle itself is clean.)
    Helper,
}

/// A recorder that does it, in every cycle.
pub(crate) struct Deed {
    impurity: Impurity,
    lock: Arc<Mutex<u64>>,
}

impl Deed {
    /// Gets ready, with the threads that it takes.
    pub(crate) fn prepare(impurity: Impurity) -> Self {
        let lock = Arc::new(Mutex::new(0));
        match impurity {
            Impurity::Lock => keep_locked(Arc::clone(&lock)),
            Impurity::Helper => help_with_priority(),
            Impurity::Hook => _ = HOOK.set(black_box(|cycle| _ = black_box(cycle))),
            _ => {}
        }
        Self { impurity, lock }
    }

    fn commit(&self, cycle: u64) {
        match self.impurity {
            Impurity::Nothing | Impurity::Helper => {}
            Impurity::Allocation => drop(black_box(Box::new(cycle))),
            Impurity::Lock => *self.lock.lock().expect("nobody panics") += 1,
            Impurity::Print => eprintln!("cycle {cycle}"),
            Impurity::SystemCall => thread::yield_now(),
            Impurity::PageFault => touch(&mut vec![0; FRESH_BYTES]),
            Impurity::Hook => call_hook(cycle),
            Impurity::Panic => assert_ne!(cycle, black_box(cycle), "a panic, as told"),
        }
    }
}

impl Recorder for Deed {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.commit(view.slot.index);
    }

    fn event(&mut self, _: Event) {}
}

fn touch(fresh: &mut [u8]) {
    if let Some(byte) = fresh.last_mut() {
        *byte = 1;
    }
    black_box(fresh);
}

/// A function of its own, so that the proof can tell whose call it has found.
#[inline(never)]
fn call_hook(cycle: u64) {
    if let Some(hook) = HOOK.get() {
        hook(cycle);
    }
}

fn keep_locked(lock: Arc<Mutex<u64>>) {
    thread::spawn(move || {
        loop {
            let locked = lock.lock().expect("nobody panics");
            thread::sleep(LOCKED);
            drop(locked);
        }
    });
}

fn help_with_priority() {
    let request = RealtimeRequest { cpu: None, priority: Some(1) };
    let helper = rt_sys::spawn_realtime("impure-helper", request, |_| {
        loop {
            thread::sleep(LOCKED);
        }
    });
    helper.expect("a thread can be started");
}

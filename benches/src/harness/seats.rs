//! Who runs on which CPU while something between two threads or processes is measured.

use rt_sys::{Cpus, become_ordinary};

/// The measuring thread on one CPU, and what it starts on another one: where the scheduler happens to put them changes
/// what is measured between them by a factor of four. With one CPU all share it; a refusal leaves them to the scheduler.
pub(crate) struct Seats {
    all: Cpus,
}

impl Seats {
    /// Seats the calling thread; until the value is dropped.
    pub(crate) fn take() -> Self {
        let seats = Self { all: Cpus::allowed() };
        seats.sit(seats.all.list().last());
        seats
    }

    /// The calling thread, and all that it starts, on so many CPUs or as many as there are; until the value is dropped.
    pub(crate) fn share(count: usize) -> Self {
        let seats = Self { all: Cpus::allowed() };
        let all = seats.all.list();
        let _ = become_ordinary(&all[all.len().saturating_sub(count)..]);
        seats
    }

    /// Starts something on the other CPU: threads and processes stay where they were started.
    pub(crate) fn for_others<T>(&self, start: impl FnOnce() -> T) -> T {
        self.sit(self.all.list().first());
        let started = start();
        self.sit(self.all.list().last());
        started
    }

    fn sit(&self, cpu: Option<&usize>) {
        let _ = become_ordinary(cpu.map_or(&[], std::slice::from_ref));
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        let _ = become_ordinary(self.all.list());
    }
}

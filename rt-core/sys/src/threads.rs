//! Threads that have exactly what they were given.

use std::io;
use std::thread::{Builder, JoinHandle};

use crate::grant::Granted;
use crate::sched::{RealtimeRequest, become_ordinary};

/// Starts a real-time thread: `request` is applied before `body` runs, and `body` is told what was granted.
/// The kernel shows the first 15 bytes of `name`.
///
/// # Errors
/// The kernel gives no more threads.
pub fn spawn_realtime<T: Send + 'static>(
    name: &str,
    request: RealtimeRequest,
    body: impl FnOnce(Granted) -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.to_owned()).spawn(move || body(request.apply()))
}

/// Starts an ordinary thread on `cpus` (anywhere, when empty), whatever the policy and CPUs of the thread that asks:
/// affinity, unlike a real-time priority, is inherited across reset-on-fork.
///
/// # Errors
/// The kernel gives no more threads.
pub fn spawn_helper<T: Send + 'static>(
    name: &str,
    cpus: &[usize],
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let cpus = cpus.to_vec();
    Builder::new().name(name.to_owned()).spawn(move || {
        // A refusal is harmless: without privileges the thread cannot have inherited a real-time priority either.
        let _ = become_ordinary(&cpus);
        body()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpus, current_tid, thread_scheduling};

    #[test]
    fn a_helper_of_a_pinned_real_time_thread_is_neither_pinned_nor_real_time() {
        let cpus = Cpus::allowed();
        let all = cpus.list().to_vec();
        let request = RealtimeRequest { cpu: all.first().copied(), priority: Some(3) };
        let outer = spawn_realtime("outer", request, move |_| {
            let inner = spawn_helper("inner", &all, || (thread_scheduling(current_tid()), Cpus::allowed()));
            inner.expect("a thread").join().expect("no panic")
        });
        let (scheduling, found) = outer.expect("a thread").join().expect("no panic");
        assert_eq!(scheduling.expect("/proc is mounted").priority, 0);
        assert_eq!(found, cpus);
    }
}

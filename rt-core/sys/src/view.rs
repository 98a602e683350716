//! A real-time thread, watched from another one.

use std::io;

use rustix::fd::OwnedFd;
use rustix::thread::{CpuSet, Pid, sched_getaffinity};

use crate::grant::{Grant, Granted, RefusalCause};
use crate::proc::{Faults, Scheduling, open_stat, read_faults, read_scheduling};
use crate::sched::Policy;

/// A thread of this process, as the kernel shows it. Takes one descriptor when it is opened, and nothing afterwards: a process
/// that has no descriptors left can still be watched.
#[derive(Debug)]
pub struct ThreadView {
    tid: i32,
    stat: OwnedFd,
}

impl ThreadView {
    /// Of thread `tid` of this process.
    ///
    /// # Errors
    /// There is no such thread (any more), or `/proc` is not readable.
    pub fn open(tid: i32) -> io::Result<Self> {
        Ok(Self { tid, stat: open_stat(tid)? })
    }

    /// Its page faults so far.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn faults(&self) -> io::Result<Faults> {
        read_faults(&self.stat)
    }

    /// Its policy and priority now.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn scheduling(&self) -> io::Result<Scheduling> {
        read_scheduling(&self.stat)
    }

    /// What it still has of what it was granted; the rest is [`RefusalCause::TakenAway`]. What was refused stays refused.
    pub fn still(&self, granted: &Granted) -> Granted {
        Granted {
            affinity: check(granted.affinity, |cpu| self.runs_only_on(cpu)),
            fifo: check(granted.fifo, |priority| {
                self.scheduling().is_ok_and(|now| now == Scheduling { policy: Policy::Fifo as u32, priority })
            }),
        }
    }

    fn runs_only_on(&self, cpu: usize) -> bool {
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_getaffinity(Pid::from_raw(self.tid)).is_ok_and(|found| found == only)
    }
}

fn check<T: Copy>(grant: Grant<T>, holds: impl FnOnce(T) -> bool) -> Grant<T> {
    match grant {
        Grant::Confirmed(asked) if !holds(asked) => Grant::Refused { asked, cause: RefusalCause::TakenAway },
        as_before => as_before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cpus, RealtimeRequest, current_tid};

    #[test]
    fn what_was_taken_away_from_a_thread_is_noticed_and_what_it_never_had_is_not() {
        let cpus = Cpus::allowed();
        let cpu = cpus.list()[0];
        std::thread::spawn(move || {
            let granted = RealtimeRequest { cpu: Some(cpu), priority: Some(0) }.apply();
            let view = ThreadView::open(current_tid()).expect("/proc is mounted");
            assert_eq!(view.still(&granted), granted);
            // As somebody would from outside.
            let mut other = CpuSet::new();
            (0..CpuSet::MAX_CPU).filter(|&number| number != cpu).for_each(|number| other.set(number));
            let moved = rustix::thread::sched_setaffinity(None, &other).is_ok();
            let taken = Grant::Refused { asked: cpu, cause: RefusalCause::TakenAway };
            let expected = if moved { taken } else { granted.affinity };
            assert_eq!(view.still(&granted), Granted { affinity: expected, ..granted });
        })
        .join()
        .expect("no panic");
    }

    #[test]
    fn a_priority_that_a_thread_does_not_have_was_taken_away() {
        let view = ThreadView::open(current_tid()).expect("/proc is mounted");
        let granted = Granted { affinity: Grant::NotAsked, fifo: Grant::Confirmed(80) };
        let still = view.still(&granted);
        assert_eq!(still.fifo, Grant::Refused { asked: 80, cause: RefusalCause::TakenAway });
        assert_eq!(still.refusals().count(), 1);
    }

    #[test]
    fn a_view_goes_on_showing_new_faults_and_a_thread_that_does_not_exist_has_none() {
        let view = ThreadView::open(current_tid()).expect("/proc is mounted");
        let before = view.faults().expect("it lives");
        drop(std::hint::black_box(vec![1_u8; 8 << 20]));
        assert!(view.faults().expect("it lives").since(before).minor > 0);
        assert!(ThreadView::open(i32::MAX).is_err());
    }
}

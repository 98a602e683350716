//! Scheduling policy and CPUs of the calling thread.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use thread_priority::{RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue, ThreadSchedulePolicy};

use crate::grant::{Grant, Granted, RefusalCause};
use crate::proc::{current_tid, thread_scheduling};

/// Policies by the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub(crate) enum Policy {
    /// SCHED_OTHER: ordinary time sharing.
    Other = libc::SCHED_OTHER,
    /// SCHED_FIFO: runs until it sleeps.
    Fifo = libc::SCHED_FIFO,
    /// SCHED_BATCH: time sharing that yields on every wake-up of others.
    Batch = libc::SCHED_BATCH,
}

/// What a real-time thread needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RealtimeRequest {
    /// The one CPU on which it shall run.
    pub cpu: Option<usize>,
    /// Its SCHED_FIFO priority, 1 to 99.
    pub priority: Option<u8>,
}

impl RealtimeRequest {
    /// Applies the request to the calling thread and reads everything back from the kernel. A refusal leaves the thread
    /// as it was in that respect and does not keep the rest from being applied.
    ///
    /// Meant to be called once per thread: without CAP_SYS_NICE the kernel does not let a thread with reset-on-fork
    /// change its policy a second time.
    pub fn apply(self) -> Granted {
        Granted {
            affinity: self.cpu.map_or(Grant::NotAsked, |cpu| Grant::from_result(cpu, pin(cpu))),
            fifo: self.priority.map_or(Grant::NotAsked, |priority| Grant::from_result(priority, set_fifo(priority))),
        }
    }
}

/// Makes the calling thread an ordinary one (SCHED_OTHER) on `cpus`; an empty slice leaves its CPUs alone.
///
/// # Errors
/// Says which of the two the kernel refused.
pub fn become_ordinary(cpus: &[usize]) -> Result<(), RefusalCause> {
    set_policy(Policy::Other, 0)?;
    if cpus.is_empty() { Ok(()) } else { confine(cpus) }
}

/// Makes the calling thread a batch thread (SCHED_BATCH), raises its nice value by `nice` (0 to 19) and confines it to
/// `cpus`, unless the slice is empty. Threads that it creates later inherit all of this.
///
/// # Errors
/// The first of the three that the kernel refused, or did not confirm.
pub fn become_batch(nice: u8, cpus: &[usize]) -> Result<(), RefusalCause> {
    set_policy(Policy::Batch, 0)?;
    rustix::process::nice(i32::from(nice.min(19)))?;
    if !cpus.is_empty() {
        confine(cpus)?;
    }
    confirm(Policy::Batch, 0)
}

fn pin(cpu: usize) -> Result<(), RefusalCause> {
    if cpu >= CpuSet::MAX_CPU {
        return Err(RefusalCause::NoSuchCpu);
    }
    if !core_affinity::set_for_current(core_affinity::CoreId { id: cpu }) {
        return Err(RefusalCause::NoSuchCpu);
    }
    confirm_cpus(&[cpu])
}

fn confine(cpus: &[usize]) -> Result<(), RefusalCause> {
    let mut set = CpuSet::new();
    for &cpu in cpus {
        if cpu >= CpuSet::MAX_CPU {
            return Err(RefusalCause::NoSuchCpu);
        }
        set.set(cpu);
    }
    sched_setaffinity(None, &set).map_err(|errno| match errno {
        rustix::io::Errno::INVAL => RefusalCause::NoSuchCpu,
        other => other.into(),
    })?;
    confirm_cpus(cpus)
}

fn confirm_cpus(cpus: &[usize]) -> Result<(), RefusalCause> {
    let found = sched_getaffinity(None)?;
    let mut asked = CpuSet::new();
    cpus.iter().for_each(|&cpu| asked.set(cpu));
    if found == asked { Ok(()) } else { Err(RefusalCause::NotConfirmed) }
}

fn set_fifo(priority: u8) -> Result<(), RefusalCause> {
    if !(1..=99).contains(&priority) {
        return Err(RefusalCause::PriorityOutOfRange);
    }
    let value = ThreadPriorityValue::try_from(priority).map_err(|_| RefusalCause::PriorityOutOfRange)?;
    thread_priority::set_thread_priority_and_policy(
        thread_priority::thread_native_id(),
        ThreadPriority::Crossplatform(value),
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    )
    .map_err(|error| match error {
        thread_priority::Error::OS(libc::EPERM) => RefusalCause::NotPermitted,
        thread_priority::Error::OS(code) => RefusalCause::Os(code),
        _ => RefusalCause::PriorityOutOfRange,
    })?;
    // The crate has no reset-on-fork for SCHED_FIFO, so the flag is added to the same policy and priority.
    set_policy(Policy::Fifo, priority)?;
    confirm(Policy::Fifo, priority)
}

/// Sets policy and priority of the calling thread; a real-time policy with reset-on-fork.
fn set_policy(policy: Policy, priority: u8) -> Result<(), RefusalCause> {
    let flags = if policy == Policy::Fifo { libc::SCHED_RESET_ON_FORK } else { 0 };
    let param = libc::sched_param { sched_priority: i32::from(priority) };
    // SAFETY: `param` lives across the call, which reads it and keeps no pointer; 0 names the calling thread.
    let result = unsafe { libc::sched_setscheduler(0, policy as i32 | flags, &param) };
    if result == 0 { Ok(()) } else { Err(last_error()) }
}

/// Asks the kernel. (`pthread_getschedparam` would answer from the C library's cache.)
fn confirm(policy: Policy, priority: u8) -> Result<(), RefusalCause> {
    // SAFETY: takes no pointer; 0 names the calling thread.
    let found = unsafe { libc::sched_getscheduler(0) };
    if found < 0 {
        return Err(last_error());
    }
    let reset = found & libc::SCHED_RESET_ON_FORK != 0;
    let seen = thread_scheduling(current_tid()).map_err(|_| RefusalCause::NotConfirmed)?;
    let as_asked = found & !libc::SCHED_RESET_ON_FORK == policy as i32
        && seen.policy == policy as u32
        && seen.priority == priority
        && (reset || policy != Policy::Fifo);
    if as_asked { Ok(()) } else { Err(RefusalCause::NotConfirmed) }
}

fn last_error() -> RefusalCause {
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EPERM) => RefusalCause::NotPermitted,
        Some(code) => RefusalCause::Os(code),
        None => RefusalCause::NotConfirmed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cpus;

    /// Runs `body` on a thread of its own, because it changes the thread.
    fn on_a_thread<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(body).join().expect("the body does not panic")
    }

    #[test]
    fn nothing_asked_changes_nothing() {
        let granted = on_a_thread(|| RealtimeRequest::default().apply());
        assert_eq!(granted, Granted { affinity: Grant::NotAsked, fifo: Grant::NotAsked });
    }

    #[test]
    fn a_cpu_that_does_not_exist_is_refused_and_the_thread_stays_where_it_was() {
        let (granted, before, after) = on_a_thread(|| {
            let before = Cpus::allowed();
            let granted = RealtimeRequest { cpu: Some(usize::MAX), priority: None }.apply();
            (granted, before, Cpus::allowed())
        });
        assert!(matches!(granted.affinity, Grant::Refused { cause: RefusalCause::NoSuchCpu, .. }));
        assert_eq!(before, after);
    }

    #[test]
    fn pinning_to_an_allowed_cpu_is_confirmed() {
        let cpu = Cpus::allowed().list()[0];
        let (granted, after) =
            on_a_thread(move || (RealtimeRequest { cpu: Some(cpu), priority: None }.apply(), Cpus::allowed()));
        assert_eq!(granted.affinity, Grant::Confirmed(cpu));
        assert_eq!(after.list(), [cpu]);
    }

    #[test]
    fn a_priority_out_of_range_is_refused_by_name() {
        for priority in [0, 100, 255] {
            let granted = on_a_thread(move || RealtimeRequest { cpu: None, priority: Some(priority) }.apply());
            assert_eq!(granted.fifo, Grant::Refused { asked: priority, cause: RefusalCause::PriorityOutOfRange });
        }
    }

    #[test]
    fn a_fifo_priority_is_either_confirmed_or_refused_and_children_never_inherit_it() {
        let (granted, own, child) = on_a_thread(|| {
            let granted = RealtimeRequest { cpu: None, priority: Some(2) }.apply();
            let own = thread_scheduling(current_tid()).expect("/proc is mounted");
            let child = on_a_thread(|| thread_scheduling(current_tid()).expect("/proc is mounted"));
            (granted, own, child)
        });
        match granted.fifo {
            Grant::Confirmed(2) => assert_eq!((own.policy, own.priority), (1, 2)),
            Grant::Refused { cause, .. } => assert_eq!(cause, RefusalCause::NotPermitted),
            other => panic!("neither confirmed nor refused: {other:?}"),
        }
        assert_eq!(child.priority, 0);
        assert_ne!(child.policy, Policy::Fifo as u32);
    }

    #[test]
    fn a_batch_thread_is_confirmed_and_its_children_inherit_it() {
        let (own, child) = on_a_thread(|| {
            become_batch(1, &[]).expect("needs no privilege");
            let own = thread_scheduling(current_tid()).expect("/proc is mounted");
            (own, on_a_thread(|| thread_scheduling(current_tid()).expect("/proc is mounted")))
        });
        assert_eq!(own.policy, Policy::Batch as u32);
        assert_eq!(child, own);
    }

    #[test]
    fn an_ordinary_thread_may_be_confined_to_several_cpus() {
        let cpus = Cpus::allowed().list().to_vec();
        let asked = cpus.clone();
        let found = on_a_thread(move || become_ordinary(&asked).map(|()| Cpus::allowed()));
        assert_eq!(found.expect("needs no privilege").list(), cpus);
        assert_eq!(on_a_thread(|| become_ordinary(&[usize::MAX])), Err(RefusalCause::NoSuchCpu));
    }
}

//! What was asked of the kernel, and what it confirmed.

use std::fmt;

use thiserror::Error;

/// The outcome of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant<T> {
    /// Nobody asked.
    NotAsked,
    /// The kernel says that it is so.
    Confirmed(T),
    /// It was asked for, and is not so.
    Refused {
        /// What was asked for.
        asked: T,
        /// Why it is not so.
        cause: RefusalCause,
    },
}

impl<T> Grant<T> {
    pub(crate) fn from_result(asked: T, result: Result<(), RefusalCause>) -> Self {
        match result {
            Ok(()) => Self::Confirmed(asked),
            Err(cause) => Self::Refused { asked, cause },
        }
    }

    /// It was asked for and is not so.
    pub const fn is_refused(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// Why a request was not confirmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RefusalCause {
    /// EPERM: the process lacks the privilege.
    #[error("no permission (grant CAP_SYS_NICE, or an rtprio limit of at least the priority)")]
    NotPermitted,
    /// Priorities of SCHED_FIFO are 1 to 99.
    #[error("outside the kernel's range 1 to 99")]
    PriorityOutOfRange,
    /// The machine has no such CPU, or this process's cpuset does not contain it.
    #[error("there is no such CPU in this process's set")]
    NoSuchCpu,
    /// The call succeeded, but reading back shows something else.
    #[error("the call succeeded, but the kernel shows something else")]
    NotConfirmed,
    /// It was granted, and somebody changed it since.
    #[error("taken away since it was granted (taskset, chrt, a cpuset, an unplugged CPU)")]
    TakenAway,
    /// Another error of the operating system.
    #[error("error {0} of the operating system")]
    Os(i32),
}

impl From<rustix::io::Errno> for RefusalCause {
    fn from(errno: rustix::io::Errno) -> Self {
        if errno == rustix::io::Errno::PERM { Self::NotPermitted } else { Self::Os(errno.raw_os_error()) }
    }
}

/// What a thread was granted. `degraded`, when [`Granted::refusals`] has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The one CPU on which the thread runs.
    pub affinity: Grant<usize>,
    /// The SCHED_FIFO priority, with reset-on-fork.
    pub fifo: Grant<u8>,
}

impl Granted {
    /// Something that was asked for is not confirmed.
    pub const fn is_degraded(&self) -> bool {
        self.affinity.is_refused() || self.fifo.is_refused()
    }

    /// What is not as asked, each as a sentence.
    pub fn refusals(&self) -> impl Iterator<Item = Refusal> {
        let affinity = match self.affinity {
            Grant::Refused { asked, cause } => Some(Refusal::Affinity { cpu: asked, cause }),
            _ => None,
        };
        let fifo = match self.fifo {
            Grant::Refused { asked, cause } => Some(Refusal::Fifo { priority: asked, cause }),
            _ => None,
        };
        affinity.into_iter().chain(fifo)
    }
}

/// One thing that was asked for and is not so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The thread is not pinned.
    Affinity {
        /// The CPU that was asked for.
        cpu: usize,
        /// Why not.
        cause: RefusalCause,
    },
    /// The thread has no real-time priority.
    Fifo {
        /// The priority that was asked for.
        priority: u8,
        /// Why not.
        cause: RefusalCause,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Affinity { cpu, cause } => write!(f, "not pinned to CPU {cpu}: {cause}"),
            Self::Fifo { priority, cause } => write!(f, "no SCHED_FIFO priority {priority}: {cause}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_asked_for_does_not_degrade() {
        let granted = Granted { affinity: Grant::NotAsked, fifo: Grant::Confirmed(80) };
        assert!(!granted.is_degraded());
        assert_eq!(granted.refusals().count(), 0);
    }

    #[test]
    fn each_refusal_is_a_sentence_with_what_was_asked() {
        let granted = Granted {
            affinity: Grant::Refused { asked: 7, cause: RefusalCause::NoSuchCpu },
            fifo: Grant::Refused { asked: 80, cause: RefusalCause::NotPermitted },
        };
        assert!(granted.is_degraded());
        let said: Vec<_> = granted.refusals().map(|refusal| refusal.to_string()).collect();
        assert_eq!(said[0], "not pinned to CPU 7: there is no such CPU in this process's set");
        assert!(said[1].starts_with("no SCHED_FIFO priority 80: no permission"));
    }
}

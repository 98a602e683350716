//! The system calls of one thread, as strace writes them down.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use children::Child;

/// strace detaches within this time.
const PATIENCE: Duration = Duration::from_secs(5);

/// The control thread's one system call.
const SLEEP: &str = "clock_nanosleep";

/// What strace says where nobody may look at another process: in a container without CAP_SYS_PTRACE, say.
pub(super) const NOT_PERMITTED: &str = "Operation not permitted";

/// What a thread asked of the kernel, by the name of the call.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Calls(BTreeMap<String, u64>);

impl Calls {
    /// Reads what strace wrote. Attaching interrupts the sleep of the thread once, and the kernel goes on with it as
    /// `restart_syscall` where the sleep was a relative one: as the first call that is nobody's. Lines about signals and about
    /// strace itself are no calls.
    fn parse(text: &str) -> Self {
        let mut calls = Self::default();
        for (index, line) in text.lines().enumerate() {
            let name = line.split_once('(').map_or("", |(name, _)| name.trim());
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            if is_name && (index, name) != (0, "restart_syscall") {
                *calls.0.entry(name.to_owned()).or_default() += 1;
            }
        }
        calls
    }

    /// How often the thread slept.
    pub(super) fn sleeps(&self) -> u64 {
        self.0.get(SLEEP).copied().unwrap_or(0)
    }

    /// What it asked for besides, each with its count.
    pub(super) fn others(&self) -> Vec<String> {
        self.0.iter().filter(|(name, _)| *name != SLEEP).map(|(name, count)| format!("{name} {count} times")).collect()
    }
}

/// strace is installed; else the remedy.
pub(super) fn is_there() -> Result<(), String> {
    let status = Command::new("strace").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err("strace is not installed (Debian: apt-get install strace)".to_owned()),
    }
}

/// Looks at one thread, and at no other of its process, as long as `meanwhile` takes.
pub(super) fn watch(tid: i32, log: &Path, meanwhile: impl FnOnce() -> Result<(), String>) -> Result<Calls, String> {
    let mut strace =
        Child::start("strace", Command::new("strace").arg("--output").arg(log).args(["--attach", &tid.to_string()]))?;
    meanwhile()?;
    strace.check()?;
    // On its own end it lets the thread go.
    strace.stop(Signal::INT, PATIENCE).ok_or("strace did not let the thread go")?;
    let text = std::fs::read_to_string(log).map_err(|error| format!("{} cannot be read: {error}", log.display()))?;
    Ok(Calls::parse(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLEPT: &str = "clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, {tv_sec=1, tv_nsec=2}, NULL) = 0\n";

    #[test]
    fn sleeps_are_counted_and_everything_else_is_named() {
        let calls = Calls::parse(&format!("{SLEPT}{SLEPT}write(2, \"cycle (1)\\n\", 10) = 10\n{SLEPT}"));
        assert_eq!((calls.sleeps(), calls.others()), (3, vec!["write 1 times".to_owned()]));
    }

    #[test]
    fn what_attaching_does_signals_and_the_end_are_no_calls_of_the_thread() {
        let text = format!(
            "restart_syscall(<... resuming interrupted clock_nanosleep ...>) = 0\n{SLEPT}--- SIGSTOP {{si_signo=SIGSTOP}} ---\n\
             strace: Process 7 detached\n+++ exited with 0 +++\n"
        );
        let calls = Calls::parse(&text);
        assert_eq!((calls.sleeps(), calls.others().len()), (1, 0));
        assert_eq!(Calls::parse(&text.repeat(2)).others(), ["restart_syscall 1 times"], "later it is somebody's");
    }

    #[test]
    fn a_call_that_was_cut_at_the_end_counts() {
        assert_eq!(Calls::parse("futex(0x7f, FUTEX_WAIT_PRIVATE, 2, NULL <detached ...>\n").others().len(), 1);
    }
}

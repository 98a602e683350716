//! Another process, and whether it has ended.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Another process. Unlike a process number, which a zombie keeps and a later process may get, this means one process for
/// ever.
#[derive(Debug)]
pub struct PeerProcess(OwnedFd);

impl PeerProcess {
    /// The process that has this number now.
    ///
    /// # Errors
    /// There is none, or the kernel has no such descriptors.
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self(pidfd_open(pid, PidfdFlags::empty())?))
    }

    /// Whether it has ended, also when nobody has waited for it yet.
    pub fn has_ended(&self) -> bool {
        let mut watched = [PollFd::new(&self.0, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut watched, Some(&at_once)), Ok(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::time::{Duration, Instant};

    #[test]
    fn f20_a_zombie_has_ended_although_its_number_exists() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let peer = PeerProcess::open(child.id()).unwrap();
        assert!(!peer.has_ended());
        child.kill().unwrap();
        let start = Instant::now();
        while !peer.has_ended() {
            assert!(start.elapsed() < Duration::from_secs(30), "the end was not seen");
            std::thread::sleep(Duration::from_millis(1));
        }
        // Nobody has waited for it: a zombie has its place in the table of processes.
        assert!(std::fs::exists(format!("/proc/{}", child.id())).unwrap());
        child.wait().unwrap();
        assert!(peer.has_ended());
    }

    #[test]
    fn a_number_that_nobody_has_names_no_process() {
        assert!(PeerProcess::open(0).is_err());
        assert!(PeerProcess::open(u32::MAX).is_err());
    }
}

//! Signals as data: blocked in every thread, read from a descriptor.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The size of the kernel's `signalfd_siginfo`; its first four bytes are the signal's number.
const SIGINFO_BYTES: usize = 128;
const _: () = assert!(size_of::<libc::signalfd_siginfo>() == SIGINFO_BYTES);

/// The signals that the runtime and its company understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Signal {
    /// SIGINT: a person pressed Ctrl-C.
    Interrupt = libc::SIGINT,
    /// SIGTERM: stop in order.
    Terminate = libc::SIGTERM,
    /// SIGHUP: reloads nothing, and is recorded.
    HangUp = libc::SIGHUP,
    /// SIGUSR1: means nothing, and is recorded.
    User1 = libc::SIGUSR1,
    /// SIGUSR2: means nothing, and is recorded.
    User2 = libc::SIGUSR2,
}

impl Signal {
    const ALL: [Self; 5] = [Self::Interrupt, Self::Terminate, Self::HangUp, Self::User1, Self::User2];

    /// The signal asks the process to end.
    pub const fn asks_to_stop(self) -> bool {
        matches!(self, Self::Interrupt | Self::Terminate)
    }

    /// The usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
            Self::HangUp => "SIGHUP",
            Self::User1 => "SIGUSR1",
            Self::User2 => "SIGUSR2",
        }
    }
}

/// The signals that wait for this process. No handler exists, so none ever runs on a real-time thread or ends its sleep.
/// Children inherit the blocking: start them through [`without_blocked_signals`].
#[derive(Debug)]
pub struct Signals(OwnedFd);

impl Signals {
    /// Blocks the signals of [`Signal`] in the calling thread and in all that it starts later; to be called on the main
    /// thread before any other exists. (SIGPIPE is ignored by every Rust program from the start.)
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn block() -> io::Result<Self> {
        let mut set = MaybeUninit::uninit();
        // SAFETY: `sigemptyset` initialises the set before anything reads it; the calls keep no pointer to it; a
        // descriptor that is not negative is new and ours alone.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            Signal::ALL.iter().for_each(|&signal| {
                libc::sigaddset(set.as_mut_ptr(), signal as i32);
            });
            libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            match libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) {
                descriptor @ 0.. => Ok(Self(OwnedFd::from_raw_fd(descriptor))),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    /// The next waiting signal, if any. Never blocks.
    pub fn next(&self) -> Option<Signal> {
        let mut info = [0_u8; SIGINFO_BYTES];
        let length = rustix::io::read(&self.0, &mut info).ok()?;
        let number = info.first_chunk().filter(|_| length == SIGINFO_BYTES).map(|bytes| u32::from_ne_bytes(*bytes))?;
        Signal::ALL.into_iter().find(|&signal| signal as u32 == number)
    }
}

/// Makes `command` start its program with no signal blocked, whatever is blocked here. (`Command` alone passes the
/// blocking on, and a program that expects to be ended by SIGTERM would not be.)
pub fn without_blocked_signals(command: &mut Command) -> &mut Command {
    let unblock = || {
        let mut none = MaybeUninit::uninit();
        // SAFETY: `sigemptyset` initialises the set before it is read; neither call keeps a pointer to it.
        let error = unsafe {
            libc::sigemptyset(none.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut())
        };
        if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
    };
    // SAFETY: between fork and exec the closure makes two async-signal-safe calls, allocates nothing and takes no lock.
    unsafe { command.pre_exec(unblock) }
}

impl AsFd for Signals {
    /// Readable when a signal waits.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blocked_signal_is_read_once_and_kills_nobody() {
        let seen = std::thread::spawn(|| {
            let signals = Signals::block().expect("a descriptor");
            assert_eq!(signals.next(), None);
            // SAFETY: sends a signal, which is blocked, to the calling thread.
            unsafe { libc::pthread_kill(libc::pthread_self(), libc::SIGUSR1) };
            (signals.next(), signals.next())
        });
        assert_eq!(seen.join().expect("no panic"), (Some(Signal::User1), None));
    }

    #[test]
    fn a_child_is_ended_by_the_signal_that_is_blocked_here() {
        use std::os::unix::process::ExitStatusExt;
        let (plain, unblocked) = std::thread::spawn(|| {
            let _signals = Signals::block().expect("a descriptor");
            let script = || {
                let mut command = Command::new("sh");
                command.args(["-c", "kill -TERM $$; exit 7"]);
                command
            };
            let plain = script().status().expect("a shell");
            (plain, without_blocked_signals(&mut script()).status().expect("a shell"))
        })
        .join()
        .expect("no panic");
        assert_eq!(plain.code(), Some(7));
        assert_eq!(unblocked.signal(), Some(libc::SIGTERM));
    }

    #[test]
    fn only_two_signals_ask_to_stop() {
        let stopping: Vec<_> = Signal::ALL.into_iter().filter(|signal| signal.asks_to_stop()).collect();
        assert_eq!(stopping, [Signal::Interrupt, Signal::Terminate]);
    }
}

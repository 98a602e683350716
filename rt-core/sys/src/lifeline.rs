//! Everything from outside that can ask a process to stop: its signals, and the parent at the other end of its standard input.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::signals::{Signal, Signals};

/// Why [`Lifeline::wait`] came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Nothing happened in that time.
    Quiet,
    /// A signal arrived.
    Signal(Signal),
    /// The parent closed its end of the tether, by dying or on purpose.
    ParentGone,
}

impl Wake {
    /// The process is asked to end.
    pub const fn asks_to_stop(self) -> bool {
        match self {
            Self::Quiet => false,
            Self::Signal(signal) => signal.asks_to_stop(),
            Self::ParentGone => true,
        }
    }

    /// A signal asks the process to end: for programs that have lost their tether already, or that count the askings.
    pub const fn is_stop_signal(self) -> bool {
        matches!(self, Self::Signal(signal) if signal.asks_to_stop())
    }
}

/// Signals and, for a tethered process, standard input, of which only the end matters: what is written into it is
/// discarded.
#[derive(Debug)]
pub struct Lifeline {
    signals: Signals,
    tethered: bool,
}

impl Lifeline {
    /// See [`Signals::block`] for when to call this. `tethered`: the process ends with its parent.
    ///
    /// # Errors
    /// The process has no descriptor left.
    pub fn new(tethered: bool) -> io::Result<Self> {
        Ok(Self { signals: Signals::block()?, tethered })
    }

    /// Waits at most `timeout` for one of them. Zero only looks.
    pub fn wait(&self, timeout: Duration) -> Wake {
        let stdin = io::stdin();
        if self.look(stdin.as_fd(), timeout) {
            Wake::ParentGone
        } else {
            self.signals.next().map_or(Wake::Quiet, Wake::Signal)
        }
    }

    /// Waits; `true` when the tether is cut.
    fn look(&self, stdin: BorrowedFd<'_>, timeout: Duration) -> bool {
        let signals = PollFd::new(&self.signals, PollFlags::IN);
        let tether = PollFd::from_borrowed_fd(stdin, PollFlags::IN);
        let mut watched = [signals, tether];
        let watched = if self.tethered { &mut watched[..] } else { &mut watched[..1] };
        let Ok(timeout) = Timespec::try_from(timeout) else { return false };
        // An interrupted or failed wait is a quiet one; callers wait in a loop.
        if poll(watched, Some(&timeout)).is_err() {
            return false;
        }
        watched.get(1).is_some_and(|tether| !tether.revents().is_empty() && is_at_end(stdin))
    }
}

/// Takes what is there; `true` at the end.
fn is_at_end(input: BorrowedFd<'_>) -> bool {
    let mut discarded = [0_u8; 256];
    match rustix::io::read(input, &mut discarded) {
        Ok(length) => length == 0,
        Err(errno) => errno != rustix::io::Errno::INTR && errno != rustix::io::Errno::AGAIN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{PipeWriter, Write};

    fn tether() -> (io::PipeReader, PipeWriter) {
        io::pipe().expect("a pipe")
    }

    #[test]
    fn a_tether_that_is_cut_is_noticed_and_what_was_written_into_it_is_not() {
        std::thread::spawn(|| {
            let (reader, mut writer) = tether();
            let lifeline = Lifeline::new(true).expect("a descriptor");
            assert!(!lifeline.look(reader.as_fd(), Duration::ZERO));
            writer.write_all(b"noise").expect("written");
            assert!(!lifeline.look(reader.as_fd(), Duration::from_secs(5)));
            drop(writer);
            assert!(lifeline.look(reader.as_fd(), Duration::from_secs(5)));
        })
        .join()
        .expect("no panic");
    }

    #[test]
    fn without_a_tether_the_end_of_standard_input_means_nothing() {
        std::thread::spawn(|| {
            let (reader, writer) = tether();
            drop(writer);
            let lifeline = Lifeline::new(false).expect("a descriptor");
            assert!(!lifeline.look(reader.as_fd(), Duration::ZERO));
        })
        .join()
        .expect("no panic");
    }

    #[test]
    fn hanging_up_does_not_stop_a_process_but_its_parents_end_does() {
        assert!(!Wake::Quiet.asks_to_stop() && !Wake::Signal(Signal::HangUp).asks_to_stop());
        assert!(Wake::ParentGone.asks_to_stop() && Wake::Signal(Signal::Terminate).asks_to_stop());
    }
}

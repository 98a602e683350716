//! Lines of JSON over a stream socket, with a deadline each.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A line is not longer than this, bytes: what the largest observations need several times over.
const LINE_BYTES_MAX: usize = 1 << 20;
/// A peer that takes nothing for so long is gone.
const TAKES_WITHIN: Duration = Duration::from_secs(30);

/// Why nothing is heard any more.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The program is not there, or may not be run.
    #[error("`{program}` cannot be started ({source}): install it, or name another program")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// Nobody listens on the socket.
    #[error("nobody serves an environment on {} ({source}): start the server, or name another socket", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A socket cannot be made to listen.
    #[error("{} cannot be listened on ({source}): name another path", socket.display())]
    Listen {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The socket is there, and reading or writing fails.
    #[error("the environment's socket fails: {0}")]
    Socket(#[from] io::Error),
    /// The other side has ended.
    #[error("the environment's process has ended{}", in_brackets(.how))]
    Ended {
        /// Its exit status, if it was a child of ours.
        how: Option<String>,
    },
    /// The other side says nothing.
    #[error("the environment has not answered for {seconds} s: look at what its process is doing, and try again")]
    Silent {
        /// So long.
        seconds: u64,
    },
    /// What came cannot be understood.
    #[error("the environment's answer cannot be understood: {0}; both sides have to speak {protocol}", protocol = crate::PROTOCOL)]
    Nonsense(String),
    /// The other side says that it cannot be done.
    #[error("the environment refuses: {0}")]
    Refused(String),
}

fn in_brackets(how: &Option<String>) -> String {
    how.as_ref().map_or(String::new(), |how| format!(" ({how}); what it said before is above"))
}

/// One end of a conversation.
#[derive(Debug)]
pub(crate) struct Channel {
    stream: UnixStream,
    /// What came and was not taken yet.
    received: Vec<u8>,
    /// How much of it has no end of a line in it.
    looked_at: usize,
}

impl Channel {
    pub(crate) fn new(stream: UnixStream) -> Result<Self, Broken> {
        stream.set_write_timeout(Some(TAKES_WITHIN))?;
        Ok(Self { stream, received: Vec::new(), looked_at: 0 })
    }

    pub(crate) fn send(&mut self, message: &impl Serialize) -> Result<(), Broken> {
        let mut line = serde_json::to_vec(message).map_err(|error| Broken::Nonsense(error.to_string()))?;
        line.push(b'\n');
        self.stream.write_all(&line).map_err(|error| match error.kind() {
            ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => Broken::Ended { how: None },
            ErrorKind::WouldBlock => Broken::Silent { seconds: TAKES_WITHIN.as_secs() },
            _ => error.into(),
        })
    }

    /// The next message; `None` when the other side has ended behind the last one. Without a limit it waits for ever.
    pub(crate) fn receive<T: DeserializeOwned>(&mut self, within: Option<Duration>) -> Result<Option<T>, Broken> {
        let deadline = within.map(|within| (Instant::now() + within, within));
        loop {
            if let Some(length) = self.received[self.looked_at..].iter().position(|byte| *byte == b'\n') {
                let end = self.looked_at + length + 1;
                let message = serde_json::from_slice(&self.received[..end]);
                self.received.drain(..end);
                self.looked_at = 0;
                return message.map(Some).map_err(|error| Broken::Nonsense(error.to_string()));
            }
            self.looked_at = self.received.len();
            if self.looked_at > LINE_BYTES_MAX {
                return Err(Broken::Nonsense(format!("a line is longer than {LINE_BYTES_MAX} bytes")));
            }
            if !self.fill(deadline)? {
                return if self.received.is_empty() { Ok(None) } else { Err(Broken::Ended { how: None }) };
            }
        }
    }

    /// Reads what is there, or waits for it; false at the end.
    fn fill(&mut self, deadline: Option<(Instant, Duration)>) -> Result<bool, Broken> {
        let mut bytes = [0; 8_192];
        let silent = |within: Duration| Broken::Silent { seconds: within.as_secs() };
        let left = match deadline {
            None => None,
            Some((at, within)) => match at.checked_duration_since(Instant::now()) {
                Some(left) if !left.is_zero() => Some(left),
                _ => return Err(silent(within)),
            },
        };
        self.stream.set_read_timeout(left)?;
        match (self.stream.read(&mut bytes), deadline) {
            (Ok(count), _) => {
                self.received.extend_from_slice(&bytes[..count]);
                Ok(count > 0)
            }
            (Err(error), _) if error.kind() == ErrorKind::Interrupted => Ok(true),
            (Err(error), _) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            (Err(error), Some((_, within))) if error.kind() == ErrorKind::WouldBlock => Err(silent(within)),
            (Err(error), _) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel() -> (Channel, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Channel::new(ours).unwrap(), theirs)
    }

    #[test]
    fn messages_are_lines_however_they_are_cut() {
        let (mut channel, mut theirs) = channel();
        for part in ["[1,", "2]\n[3", "]\n", "[4]\n[5"] {
            theirs.write_all(part.as_bytes()).unwrap();
        }
        let within = Some(Duration::from_secs(10));
        for expected in [vec![1, 2], vec![3], vec![4]] {
            assert_eq!(channel.receive::<Vec<u32>>(within).unwrap(), Some(expected));
        }
        drop(theirs);
        assert!(matches!(channel.receive::<Vec<u32>>(within), Err(Broken::Ended { .. })), "half a line is no end");
    }

    #[test]
    fn an_end_between_messages_is_an_end() {
        let (mut channel, theirs) = channel();
        drop(theirs);
        assert!(channel.receive::<u32>(None).unwrap().is_none());
    }

    #[test]
    fn silence_nonsense_and_endless_lines_are_told_apart() {
        let (mut channel, mut theirs) = channel();
        let waited = channel.receive::<u32>(Some(Duration::from_millis(5)));
        assert!(matches!(waited, Err(Broken::Silent { .. })));
        theirs.write_all(b"maybe\n").unwrap();
        assert!(matches!(channel.receive::<u32>(None), Err(Broken::Nonsense(_))));
        let writer = std::thread::spawn(move || {
            // Nobody reads to the end.
            let _ = theirs.write_all(&vec![b'1'; 2 * LINE_BYTES_MAX]);
        });
        let refused = channel.receive::<u32>(None).unwrap_err().to_string();
        assert!(refused.contains("longer than 1048576 bytes"), "{refused}");
        drop(channel);
        writer.join().unwrap();
    }

    #[test]
    fn numbers_keep_their_bits() {
        let (mut channel, theirs) = channel();
        let mut echo = Channel::new(theirs).unwrap();
        let mut bits = 0x3ff0_0000_0000_0001_u64;
        for _ in 0..2_000 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let number = f64::from_bits(bits);
            if number.is_finite() {
                channel.send(&number).unwrap();
                let back: f64 = echo.receive(None).unwrap().unwrap();
                assert_eq!(back.to_bits(), number.to_bits(), "{number:e}");
            }
        }
    }
}

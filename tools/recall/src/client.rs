//! Asking a historian.

use std::cell::Cell;
use std::io::ErrorKind;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use rt_control::packet::{self, PacketError};
use rt_control::socket;

use crate::address::Address;
use crate::message::{Answer, PROTOCOL, Question, Refusal, Status};
use crate::past::{AskError, Source};

/// How long a connection, the greeting and the status may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a part of what is kept may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A connection to a historian.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    /// An answer was missed: what comes next would be another question's.
    is_out_of_step: Cell<bool>,
}

impl Client {
    /// Connects, and finds out whether both speak the same version.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn connect(address: &Address) -> Result<Self, AskError> {
        let path = address.socket();
        let connected = socket::connect(path, CALL_TIMEOUT);
        let connected = connected.map_err(|source| match source.kind() {
            ErrorKind::PermissionDenied => AskError::Forbidden(path.to_owned()),
            _ => AskError::Socket { path: path.to_owned(), source },
        })?;
        let socket = connected.ok_or_else(|| AskError::Absent(path.to_owned()))?;
        let client = Self { socket, is_out_of_step: Cell::new(false) };
        match client.ask(&Question::Hello { protocol: PROTOCOL }, CALL_TIMEOUT)? {
            Answer::Hello { protocol: PROTOCOL } => Ok(client),
            Answer::Hello { protocol } => Err(AskError::Version { theirs: protocol, ours: PROTOCOL }),
            _ => Err(AskError::NotUnderstood),
        }
    }

    /// How the historian is.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn status(&self) -> Result<Status, AskError> {
        match self.ask(&Question::Status, CALL_TIMEOUT)? {
            Answer::Status(status) => Ok(*status),
            _ => Err(AskError::NotUnderstood),
        }
    }

    fn ask(&self, question: &Question, timeout: Duration) -> Result<Answer, AskError> {
        if self.is_out_of_step.replace(true) {
            return Err(AskError::Closed);
        }
        let failed = |error| match error {
            PacketError::TimedOut => AskError::TimedOut(timeout),
            PacketError::Os(_) => AskError::Closed,
            PacketError::NotUnderstood => AskError::NotUnderstood,
        };
        packet::send(self.socket.as_fd(), question, &[], timeout).map_err(failed)?;
        let (answer, _) = packet::receive(self.socket.as_fd(), timeout).map_err(failed)?.ok_or(AskError::Closed)?;
        self.is_out_of_step.set(false);
        match answer {
            Answer::Refused(refusal) => Err(Refusal::into(refusal)),
            answer => Ok(answer),
        }
    }
}

impl Source for Client {
    fn answer(&self, question: &Question) -> Result<Answer, AskError> {
        self.ask(question, ANSWER_TIMEOUT)
    }
}

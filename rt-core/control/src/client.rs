//! The side of tools and learners.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;
use thiserror::Error;

use crate::address::Address;
use crate::message::{Act, Answer, Description, LearnerGrant, PROTOCOL, Refusal, Request, SiteFile, Status};
use crate::packet::{self, PacketError};
use crate::socket;

/// A connection to a runtime.
#[derive(Debug)]
pub struct Client {
    socket: OwnedFd,
    timeout: Duration,
}

/// Why there is no connection.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// No runtime listens.
    #[error("no runtime is listening at {path}: start one with `corerl run`, or name its directory with --runtime-dir")]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// The kernel refused.
    #[error("cannot connect to {path}: {source}")]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Why a call gave no result.
#[derive(Debug, Error)]
pub enum CallError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The runtime refused.
    #[error("{0}")]
    Refused(Refusal),
    /// The runtime did not answer in time.
    #[error("the runtime did not answer within {0:?}")]
    TimedOut(Duration),
    /// The runtime hung up.
    #[error("the runtime closed the connection")]
    Closed,
    /// The answer does not fit the request, or is none.
    #[error("the runtime's answer was not understood: are both of one version?")]
    NotUnderstood,
    /// The kernel's.
    #[error("the control socket failed: {0}")]
    Io(std::io::Error),
}

impl Client {
    /// Connects; every call afterwards is answered within `timeout` or fails.
    ///
    /// # Errors
    /// Nobody listens, or the kernel refuses.
    pub fn connect(address: &Address, timeout: Duration) -> Result<Self, ConnectError> {
        let path = || address.socket().to_path_buf();
        match socket::connect(address.socket(), timeout) {
            Ok(Some(socket)) => Ok(Self { socket, timeout }),
            Ok(None) => Err(ConnectError::NotRunning { path: path() }),
            Err(source) => Err(ConnectError::Io { path: path(), source }),
        }
    }

    /// What the runtime controls.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn describe(&mut self) -> Result<Description, CallError> {
        match self.call(&Request::Describe)? {
            (Answer::Description(description), _) if description.protocol == PROTOCOL => Ok(description),
            _ => Err(CallError::NotUnderstood),
        }
    }

    /// How the runtime is.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn status(&mut self) -> Result<Status, CallError> {
        match self.call(&Request::Status)? {
            (Answer::Status(status), _) => Ok(*status),
            _ => Err(CallError::NotUnderstood),
        }
    }

    /// A read-only descriptor of the segment with this number.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn segment(&mut self, kind: u32) -> Result<OwnedFd, CallError> {
        match self.call(&Request::Segment { kind })? {
            (Answer::Segment, descriptors) => descriptors.into_iter().next().ok_or(CallError::NotUnderstood),
            _ => Err(CallError::NotUnderstood),
        }
    }

    /// The site file that holds.
    ///
    /// # Errors
    /// See [`CallError`]; one that is too long for an answer is a refusal.
    pub fn site_file(&mut self) -> Result<SiteFile, CallError> {
        match self.call(&Request::SiteFile)? {
            (Answer::SiteFile(file), _) => Ok(file),
            _ => Err(CallError::NotUnderstood),
        }
    }

    /// Becomes the learner of this runtime: transitions, weights, learner counters, estimates, learner
    /// histograms, in this order.
    ///
    /// # Errors
    /// See [`CallError`]; another tag list is a refusal.
    pub fn join_as_learner(&mut self, tag_list_hash: u64) -> Result<(LearnerGrant, [OwnedFd; 5]), CallError> {
        match self.call(&Request::JoinAsLearner { tag_list_hash })? {
            (Answer::Learner(grant), descriptors) => {
                Ok((grant, descriptors.try_into().map_err(|_| CallError::NotUnderstood)?))
            }
            _ => Err(CallError::NotUnderstood),
        }
    }

    /// Stands by for this runtime: its process and its writable lease.
    ///
    /// # Errors
    /// See [`CallError`]; a runtime that stands by itself refuses.
    pub fn stand_by(&mut self) -> Result<(u32, OwnedFd), CallError> {
        match self.call(&Request::StandBy)? {
            (Answer::Lease { pid }, descriptors) => {
                Ok((pid, descriptors.into_iter().next().ok_or(CallError::NotUnderstood)?))
            }
            _ => Err(CallError::NotUnderstood),
        }
    }

    /// Asks for an act; what was done, for people.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn act(&mut self, act: Act, cause: &str) -> Result<String, CallError> {
        self.done(&Request::Act { act, cause: cause.into() })
    }

    /// Gives a setpoint back that a person has, or all of them; what was done, for people.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn hand_back(&mut self, setpoint: Option<&str>, cause: &str) -> Result<String, CallError> {
        self.done(&Request::HandBack { setpoint: setpoint.map(str::to_owned), cause: cause.to_owned() })
    }

    /// Applies limits, nominal values and rules for tags of another site file; what was done, for people.
    ///
    /// # Errors
    /// See [`CallError`]; a file that cannot be applied is a refusal with every complaint.
    pub fn configure(&mut self, text: &str, cause: &str) -> Result<String, CallError> {
        self.done(&Request::Configure { text: text.to_owned(), cause: cause.to_owned() })
    }

    /// Has the flight recorder save what was just now; where, for people.
    ///
    /// # Errors
    /// See [`CallError`]; a recorder that is off or cannot write is a refusal.
    pub fn save_flight(&mut self, cause: &str) -> Result<String, CallError> {
        self.done(&Request::SaveFlight { cause: cause.to_owned() })
    }

    fn done(&mut self, request: &Request) -> Result<String, CallError> {
        match self.call(request)? {
            (Answer::Done { message }, _) => Ok(message),
            _ => Err(CallError::NotUnderstood),
        }
    }

    fn call(&mut self, request: &Request) -> Result<(Answer, Vec<OwnedFd>), CallError> {
        let failed = |error| match error {
            PacketError::Os(Errno::PIPE | Errno::CONNRESET) => CallError::Closed,
            PacketError::Os(errno) => CallError::Io(errno.into()),
            PacketError::TimedOut => CallError::TimedOut(self.timeout),
            PacketError::NotUnderstood => CallError::NotUnderstood,
        };
        packet::send(self.socket.as_fd(), request, &[], self.timeout).map_err(failed)?;
        match packet::receive(self.socket.as_fd(), self.timeout).map_err(failed)? {
            Some((Answer::Refused(refusal), _)) => Err(CallError::Refused(refusal)),
            Some(answer) => Ok(answer),
            None => Err(CallError::Closed),
        }
    }
}

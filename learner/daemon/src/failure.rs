//! Why the learner does not start, or ends: a sentence and an exit code.

use std::io::{Error, ErrorKind};
use std::path::PathBuf;
use std::process::ExitCode;

use learner::{AgentError, LoadError};
use rt_control::{AddressError, CallError};
use thiserror::Error;

/// Why there is no learner.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    /// The site file was refused; the complaints, each with its place.
    #[error("the site file was refused\n{0}")]
    Config(String),
    /// The names in the site file make no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The site's options make no agent.
    #[error("the site makes no agent: {0}")]
    Agent(#[from] AgentError),
    /// The directory of checkpoints cannot be used.
    #[error("checkpoints cannot be kept in {}: {source}; choose another with --checkpoint-dir", path.display())]
    CheckpointDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: Error,
    },
    /// The checkpoint is there but cannot be read.
    #[error("{0}; make it readable, or move it away to begin anew")]
    Checkpoint(LoadError),
    /// The runtime does not want this learner, now or ever.
    #[error("the runtime refused: {0}")]
    Refused(CallError),
    /// Another learner was admitted after this one.
    #[error("another learner has taken over (epoch {found}, this one's is {own}): only one can teach a runtime")]
    TakenOver {
        /// Its epoch.
        found: u64,
        /// Ours.
        own: u64,
    },
    /// The kernel gives no descriptor.
    #[error("cannot create {what}: {source}")]
    Resource {
        /// What.
        what: &'static str,
        /// Why.
        source: Error,
    },
    /// A fault of this program.
    #[error("internal: {0}")]
    Internal(String),
}

impl Failure {
    /// A resource that the kernel does not give.
    pub(crate) fn resource(what: &'static str) -> impl FnOnce(Error) -> Self {
        move |source| Self::Resource { what, source }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        let denied = |source: &Error| source.kind() == ErrorKind::PermissionDenied;
        ExitCode::from(match self {
            Self::CheckpointDir { source, .. } | Self::Checkpoint(LoadError::Io { source, .. }) if denied(source) => 77,
            Self::Refused(CallError::Refused(rt_control::Refusal::NotPermitted { .. })) => 77,
            Self::Agent(AgentError::Threads(_)) | Self::Resource { .. } | Self::Checkpoint(_) => 69,
            Self::Config(_) | Self::Address(_) | Self::Agent(_) | Self::CheckpointDir { .. } | Self::Refused(_) => 78,
            Self::TakenOver { .. } => 75,
            Self::Internal(_) => 70,
        })
    }
}

//! Why the runtime does not start, or ends: a sentence and an exit code.

use std::process::ExitCode;

use rt_control::{AddressError, BindError};
use thiserror::Error;

/// Why there is no runtime.
#[derive(Debug, Error)]
pub enum Failure {
    /// The site file was refused; the complaints, each with its place.
    #[error("the site file was refused\n{0}")]
    Config(String),
    /// The names in the site file make no address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The agent's address is taken, or cannot be used.
    #[error("{0}{advice}", advice = advice(.0))]
    Bind(#[from] BindError),
    /// The policy file cannot be used.
    #[error("the policy file was refused: {0}")]
    Policy(String),
    /// Strict mode, and the kernel did not grant what was asked for.
    #[error(
        "strict mode: the kernel did not grant everything a real-time loop needs: {0}. Run `corerl doctor`, or set `runtime.strict: false` to run degraded"
    )]
    NotGranted(String),
    /// The kernel gives no memory, thread or descriptor.
    #[error("cannot create {what}: {source}")]
    Resource {
        /// What.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// Something that the site's checks should have excluded.
    #[error("internal: {0}")]
    Internal(String),
}

impl Failure {
    /// A resource that the kernel does not give.
    pub(crate) fn resource(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Resource { what, source }
    }

    /// An error that the site's checks should have excluded.
    pub(crate) fn internal(error: impl std::fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Config(_) | Self::Policy(_) | Self::Address(_) => 78,
            Self::Bind(BindError::Held { .. }) => 75,
            Self::Bind(BindError::Io { source, .. }) if source.kind() == std::io::ErrorKind::PermissionDenied => 77,
            Self::Bind(_) | Self::Resource { .. } => 69,
            Self::NotGranted(_) => 77,
            Self::Internal(_) => 70,
        })
    }
}

/// What to do where a start fails; whoever runs already has nothing to choose.
fn advice(error: &BindError) -> &'static str {
    match error {
        BindError::Held { .. } => {
            ", and another runtime of this agent leads: stop one of them first, or give this one another `runtime.instance`"
        }
        BindError::Io { .. } => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_runtime_is_told_what_to_do() {
        let held = Failure::from(BindError::Held { path: "/run/ph~standby.lock".into(), pid: "7".to_owned() });
        let told = held.to_string();
        assert!(told.starts_with("process 7 has this address (lock /run/ph~standby.lock)"), "{told}");
        assert!(told.contains("stop one of them first"), "{told}");
        let source = std::io::ErrorKind::PermissionDenied.into();
        assert!(!Failure::from(BindError::Io { path: "/run".into(), source }).to_string().contains("stop one"));
    }
}

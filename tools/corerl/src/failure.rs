//! How a command ends.

use std::fmt::Display;
use std::process::ExitCode;

use rt_control::{CallError, ConnectError, Refusal};

/// The exit codes of every program of this project; those above 2 are sysexits.h's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// All is well.
    Fine = 0,
    /// A check said no.
    CheckFailed = 1,
    /// The command line does not say what is needed.
    Usage = 2,
    /// Something that is needed is not there.
    Unavailable = 69,
    /// A fault of this program or of one of its children.
    Internal = 70,
    /// Trying again may help.
    Temporary = 75,
    /// The user may not do that.
    NoPermission = 77,
    /// The site file, or a path in it, is wrong.
    BadConfiguration = 78,
}

impl Exit {
    /// The exit with this code, if it is one that a child of ours uses to say what was wrong.
    pub(crate) fn of_child(code: i32) -> Option<Self> {
        [Self::Fine, Self::Unavailable, Self::Internal, Self::Temporary, Self::NoPermission, Self::BadConfiguration]
            .into_iter()
            .find(|&exit| exit as i32 == code)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A command that could not do what it was asked: the message is complete and says what to do.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Display) -> Self {
        Self { exit, message: message.to_string() }
    }

    /// For errors of the operating system with what was attempted: the exit follows from the error's kind.
    pub(crate) fn io(attempt: impl Display, error: &std::io::Error) -> Self {
        let exit = match error.kind() {
            std::io::ErrorKind::PermissionDenied => Exit::NoPermission,
            std::io::ErrorKind::NotFound => Exit::Unavailable,
            _ => Exit::Internal,
        };
        Self::new(exit, format_args!("{attempt}: {error}"))
    }

    /// The same with the file that it is about.
    pub(crate) fn about(self, file: &std::path::Path) -> Self {
        Self { message: format!("{}: {}", file.display(), self.message), ..self }
    }

    /// The exit that belongs to it.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Prints the message; the exit that belongs to it.
    pub(crate) fn report(&self) -> Exit {
        eprintln!("error: {}", self.message);
        self.exit
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let exit = match &error {
            CallError::Connect(ConnectError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::PermissionDenied =>
            {
                Exit::NoPermission
            }
            CallError::Connect(_) | CallError::Closed | CallError::Refused(Refusal::NoSuchSetpoint { .. }) => {
                Exit::Unavailable
            }
            CallError::Refused(Refusal::NotPermitted { .. }) => Exit::NoPermission,
            CallError::Refused(Refusal::Configuration { .. }) => Exit::BadConfiguration,
            CallError::Refused(Refusal::NotNow { .. } | Refusal::NotRecorded { .. }) | CallError::TimedOut(_) => {
                Exit::Temporary
            }
            CallError::Refused(_) | CallError::NotUnderstood | CallError::Io(_) => Exit::Internal,
        };
        Self::new(exit, error)
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        CallError::from(error).into()
    }
}

impl From<watch::Blind> for Failure {
    fn from(blind: watch::Blind) -> Self {
        match blind {
            watch::Blind::Call(error) => error.into(),
            memory @ watch::Blind::Memory { .. } => Self::new(Exit::Unavailable, memory),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_the_user_is_told_apart_from_a_runtime_that_is_not_there() {
        let not_permitted = Failure::from(CallError::Refused(Refusal::NotPermitted { uid: 7 }));
        assert_eq!(not_permitted.exit, Exit::NoPermission);
        assert!(not_permitted.message.contains("user 7"));
        let absent = Failure::from(ConnectError::NotRunning { path: "/run/x.sock".into() });
        assert_eq!(absent.exit, Exit::Unavailable);
        let wrong_file = Refusal::Configuration { complaints: "site.yaml:1:1: error: …".into() };
        assert_eq!(Failure::from(CallError::Refused(wrong_file)).exit, Exit::BadConfiguration);
        let not_now = Failure::from(CallError::Refused(Refusal::NotNow { message: "not in RELEASE".into() }));
        assert_eq!((not_now.exit, not_now.message.as_str()), (Exit::Temporary, "not in RELEASE"));
    }

    #[test]
    fn only_documented_codes_of_a_child_are_passed_on() {
        assert_eq!(Exit::of_child(78), Some(Exit::BadConfiguration));
        assert_eq!(Exit::of_child(101), None);
        assert_eq!(Exit::of_child(1), None);
    }
}

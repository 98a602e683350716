//! The service manager's notification socket (sd_notify(3)).

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The service manager, if there is one. Its socket is opened once, so that telling it something takes no new descriptor.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl ServiceManager {
    /// The one that `NOTIFY_SOCKET` names; `None` when there is none.
    ///
    /// # Errors
    /// The name is none, or the process has no descriptor left.
    pub fn from_environment() -> io::Result<Option<Self>> {
        match std::env::var_os("NOTIFY_SOCKET") {
            Some(name) if !name.is_empty() => Self::at(&name).map(Some),
            _ => Ok(None),
        }
    }

    fn at(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', hidden @ ..] => SocketAddr::from_abstract_name(hidden)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, address })
    }

    /// Sends `state`, for example `READY=1`, `WATCHDOG=1`, `STOPPING=1` or `STATUS=…`. Never blocks: a manager that does not
    /// read loses the message.
    ///
    /// # Errors
    /// Nobody listens at the address, or the manager does not read.
    pub fn tell(&self, state: &str) -> io::Result<()> {
        self.socket.send_to_addr(state.as_bytes(), &self.address).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(socket: &UnixDatagram) -> String {
        let mut bytes = [0_u8; 64];
        let length = socket.recv(&mut bytes).expect("a message");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn a_message_reaches_a_socket_in_the_file_system() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let manager = UnixDatagram::bind(&path).expect("a socket");
        ServiceManager::at(path.as_os_str()).expect("a socket").tell("READY=1").expect("sent");
        assert_eq!(received(&manager), "READY=1");
    }

    #[test]
    fn a_message_reaches_an_abstract_socket() {
        let name = format!("rt-sys-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let manager = UnixDatagram::bind_addr(&address).expect("a socket");
        ServiceManager::at(OsStr::new(&format!("@{name}"))).expect("a socket").tell("WATCHDOG=1").expect("sent");
        assert_eq!(received(&manager), "WATCHDOG=1");
    }

    #[test]
    fn a_socket_that_is_not_there_is_an_error_and_no_panic() {
        let absent = ServiceManager::at(OsStr::new("/nonexistent/notify")).expect("a socket");
        assert!(absent.tell("READY=1").is_err());
    }
}

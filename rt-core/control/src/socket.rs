//! Sequenced-packet sockets in the file system: who listens, who calls, and who that is.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use crate::packet::{self, PacketError};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 16;

/// Who is calling, by the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
}

/// Listens at a path that the caller has for itself; whatever lies there is replaced. `mode` says who may connect.
///
/// # Errors
/// The kernel's.
pub fn listen(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?;
    rustix::net::listen(&socket, BACKLOG)?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    Ok(socket)
}

/// The next caller of a socket that listens; `None` when none came within `timeout`.
///
/// # Errors
/// The kernel's, when the socket itself fails.
pub fn accept(socket: BorrowedFd<'_>, timeout: Duration) -> io::Result<Option<(OwnedFd, Peer)>> {
    match packet::wait(socket, PollFlags::IN, timeout) {
        Ok(()) => {}
        Err(PacketError::Os(errno)) => return Err(errno.into()),
        Err(_) => return Ok(None),
    }
    match rustix::net::accept_with(socket, SocketFlags::CLOEXEC) {
        Ok(socket) => {
            let peer = sockopt::socket_peercred(&socket)?;
            let peer = Peer { pid: peer.pid.as_raw_nonzero().get().cast_unsigned(), uid: peer.uid.as_raw() };
            Ok(Some((socket, peer)))
        }
        Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// Connects to whoever listens at a path; `None` when nobody does.
///
/// # Errors
/// The kernel's.
pub fn connect(path: &Path, timeout: Duration) -> io::Result<Option<OwnedFd>> {
    let attempt = || {
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        // Bounds `connect` when the backlog is full.
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(timeout))?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
        Ok(socket)
    };
    match attempt() {
        Ok(socket) => Ok(Some(socket)),
        Err(Errno::NOENT | Errno::CONNREFUSED) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

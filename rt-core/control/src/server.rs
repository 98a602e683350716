//! The runtime's side.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with, sockopt,
};
use thiserror::Error;

use crate::address::Address;
use crate::message::{Answer, Request};
use crate::packet::{self, PacketError};

/// Connections that may wait for the keeper thread.
const BACKLOG: i32 = 16;
/// How long the runtime waits for one peer: the others wait meanwhile.
const PEER_TIMEOUT: Duration = Duration::from_millis(200);

/// The agent's address, held exclusively, and the socket on it. Dropping it removes both.
#[derive(Debug)]
pub struct Server {
    socket: OwnedFd,
    address: Address,
    /// Held for as long as the server lives: the kernel lets go of it when the process dies, however it dies.
    _lease: File,
}

/// Why a runtime cannot take its address.
#[derive(Debug, Error)]
pub enum BindError {
    /// Another runtime of the same agent lives.
    #[error(
        "a runtime of this agent is already running (process {pid}, lease {path}): stop it first, or give this one another `runtime.instance`"
    )]
    Held {
        /// The lock file.
        path: PathBuf,
        /// The process that wrote itself into it.
        pid: String,
    },
    /// The directory or file cannot be made.
    #[error(
        "cannot use {path} for the control socket: {source}; choose a directory you may write to with --runtime-dir"
    )]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Who is calling, by the kernel's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The process.
    pub pid: u32,
    /// Its user.
    pub uid: u32,
}

impl Server {
    /// Takes the lease and the socket of `address`. A socket left by a crashed run is replaced.
    ///
    /// # Errors
    /// Another runtime holds the lease, or the directory cannot be used.
    pub fn bind(address: &Address) -> Result<Self, BindError> {
        let path = address.socket();
        let io = |path: &Path| {
            let path = path.to_path_buf();
            move |source: std::io::Error| BindError::Io { path, source }
        };
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(io(dir))?;
        }
        let lease = take_lease(&address.lock())?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io(path)(error)),
            _ => {}
        }
        let socket = listening(path).map_err(|errno| io(path)(errno.into()))?;
        // Anyone may ask; who gets an answer is decided by the peer's user id, and a refusal is recorded.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).map_err(io(path))?;
        Ok(Self { socket, address: address.clone(), _lease: lease })
    }

    /// The next caller; `None` when none came within `timeout`.
    ///
    /// # Errors
    /// The kernel's, when the socket itself fails.
    pub fn accept(&self, timeout: Duration) -> std::io::Result<Option<Conversation>> {
        match packet::wait(self.socket.as_fd(), PollFlags::IN, timeout) {
            Ok(()) => {}
            Err(PacketError::Os(errno)) => return Err(errno.into()),
            Err(_) => return Ok(None),
        }
        match accept_with(&self.socket, SocketFlags::CLOEXEC) {
            Ok(socket) => {
                let peer = sockopt::socket_peercred(&socket)?;
                let peer = Peer { pid: peer.pid.as_raw_nonzero().get().cast_unsigned(), uid: peer.uid.as_raw() };
                Ok(Some(Conversation { socket, peer }))
            }
            Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// The address that is held.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        remove_files(&self.address);
    }
}

/// What a look at a caller brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A request.
    Request(Request),
    /// Nothing yet.
    Nothing,
    /// The caller is gone, or is no caller of ours.
    Gone,
}

/// One caller.
#[derive(Debug)]
pub struct Conversation {
    socket: OwnedFd,
    peer: Peer,
}

impl Conversation {
    /// Who is calling.
    pub fn peer(&self) -> Peer {
        self.peer
    }

    /// The next request of this caller, waiting at most `timeout`; zero only looks. A packet that is no request is answered
    /// with a refusal and counts as hanging up.
    pub fn receive(&mut self, timeout: Duration) -> Received {
        match packet::receive(self.socket.as_fd(), timeout) {
            Ok(Some((request, _))) => Received::Request(request),
            Err(PacketError::TimedOut) => Received::Nothing,
            Err(PacketError::NotUnderstood) => {
                let _ = self.answer(&Answer::Refused(crate::Refusal::NotUnderstood), &[]);
                Received::Gone
            }
            Ok(None) | Err(PacketError::Os(_)) => Received::Gone,
        }
    }

    /// Answers with at most three descriptors.
    ///
    /// # Errors
    /// The kernel's; a caller that does not listen is a broken pipe or a time-out.
    pub fn answer(&mut self, answer: &Answer, descriptors: &[BorrowedFd<'_>]) -> std::io::Result<()> {
        packet::send(self.socket.as_fd(), answer, descriptors, PEER_TIMEOUT).map_err(|error| match error {
            PacketError::Os(errno) => errno.into(),
            PacketError::TimedOut => std::io::ErrorKind::TimedOut.into(),
            PacketError::NotUnderstood => std::io::ErrorKind::InvalidData.into(),
        })
    }
}

/// Removes the socket and lock file of a runtime that is dead, and its directory if that is empty then. A live
/// runtime's are left alone.
pub fn remove_leftovers(address: &Address) {
    if address.lock().exists() || address.socket().exists() {
        let Ok(_lease) = take_lease(&address.lock()) else { return };
        remove_files(address);
    }
}

fn remove_files(address: &Address) {
    // Whoever opened the lock file before this instant finds out in `take_lease` that it is no longer the one on disk.
    let _ = std::fs::remove_file(address.socket());
    let _ = std::fs::remove_file(address.lock());
    if let Some(site) = address.socket().parent() {
        let _ = std::fs::remove_dir(site);
    }
}

fn take_lease(path: &Path) -> Result<File, BindError> {
    let io = |source: std::io::Error| BindError::Io { path: path.into(), source };
    loop {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(path)
            .map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut pid = String::new();
                let _ = file.read_to_string(&mut pid);
                return Err(BindError::Held { path: path.into(), pid: pid.trim().into() });
            }
            Err(errno) => return Err(io(errno.into())),
        }
        // The file may have been removed between open and flock; then the lease is on a file that nobody else sees.
        let ours = file.metadata().map_err(io)?.ino();
        if std::fs::metadata(path).is_ok_and(|on_disk| on_disk.ino() == ours) {
            file.set_len(0).map_err(io)?;
            file.rewind().map_err(io)?;
            writeln!(file, "{}", std::process::id()).map_err(io)?;
            return Ok(file);
        }
    }
}

fn listening(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
    bind(&socket, &SocketAddrUnix::new(path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

//! The runtime's side.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use thiserror::Error;

use crate::address::Address;
use crate::message::{Answer, Request};
use crate::packet::{self, PacketError};
use crate::socket::{self, Peer};

/// How long the runtime waits for one peer: the others wait meanwhile.
const PEER_TIMEOUT: Duration = Duration::from_millis(200);
/// A standby's seat is tried for so often, with such pauses.
const SEAT_ATTEMPTS: u32 = 20;
const SEAT_PAUSE: Duration = Duration::from_millis(5);

/// An agent's address, held exclusively, and the socket on it. Dropping it removes both.
#[derive(Debug)]
pub struct Server {
    socket: OwnedFd,
    seat: Seat,
}

/// Why a runtime cannot take an address.
#[derive(Debug, Error)]
pub enum BindError {
    /// Another runtime of the same agent lives.
    #[error("process {pid} has this address (lock {path})")]
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

impl Server {
    /// Takes `address`, to lead; if a runtime leads already, takes its [`Address::standby`], to stand by. What a crash left is
    /// replaced.
    ///
    /// # Errors
    /// Both are taken, or the directory cannot be used.
    pub fn bind(address: &Address) -> Result<Self, BindError> {
        make_directory_of(address)?;
        let standby = Seat::take_with_patience(&address.standby())?;
        match Seat::take(address) {
            Ok(leader) => {
                let server = Self { socket: leader.listen()?, seat: leader };
                standby.remove_files();
                Ok(server)
            }
            Err(BindError::Held { .. }) => Ok(Self { socket: standby.listen()?, seat: standby }),
            Err(error) => Err(error),
        }
    }

    /// Comes to lead from standing by: when the leader is dead, or `by_right` although it lives, because the lease was won
    /// from it. False while the leader lives, and when there is nothing to be promoted to.
    ///
    /// # Errors
    /// The kernel's. The server stays what it was.
    pub fn promote(&mut self, leader: &Address, by_right: bool) -> Result<bool, BindError> {
        if self.leads() {
            return Ok(false);
        }
        let seat = match Seat::take(leader) {
            Ok(seat) => seat,
            Err(BindError::Held { .. }) if by_right => Seat::seize(leader)?,
            Err(BindError::Held { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        self.socket = seat.listen()?;
        std::mem::replace(&mut self.seat, seat).remove_files();
        Ok(true)
    }

    /// Stands by from now on, after the lease was lost to somebody who has taken the address.
    ///
    /// # Errors
    /// Somebody stands by already, or the kernel's. The server stays what it was: nobody can reach it.
    pub fn step_down(&mut self) -> Result<(), BindError> {
        if self.leads() {
            let seat = Seat::take(&self.seat.address.standby())?;
            self.socket = seat.listen()?;
            self.seat = seat;
        }
        Ok(())
    }

    /// Takes the address again after somebody has removed its files.
    ///
    /// # Errors
    /// Another runtime has taken it meanwhile, or the kernel's.
    pub fn restore(&mut self) -> Result<(), BindError> {
        let address = self.address().clone();
        make_directory_of(&address)?;
        let seat = Seat::take(&address)?;
        self.socket = seat.listen()?;
        self.seat = seat;
        Ok(())
    }

    /// Whether it has the agent's own address, and not that of a standby.
    pub fn leads(&self) -> bool {
        !self.seat.address.is_standby()
    }

    /// Whether the lock file on disk is still the one whose lock it holds. If not, somebody has taken the address, or
    /// removed the file.
    pub fn is_in_place(&self) -> bool {
        self.seat.is_in_place()
    }

    /// The epoch that whoever had the address before has written down; zero when nobody has.
    pub fn epoch_before(&self) -> u64 {
        self.seat.epoch_before
    }

    /// Writes the epoch down for whoever has the address next.
    ///
    /// # Errors
    /// The kernel's.
    pub fn write_epoch(&self, epoch: u64) -> std::io::Result<()> {
        self.seat.write(epoch)
    }

    /// The next caller; `None` when none came within `timeout`.
    ///
    /// # Errors
    /// The kernel's, when the socket itself fails.
    pub fn accept(&self, timeout: Duration) -> std::io::Result<Option<Conversation>> {
        let accepted = socket::accept(self.socket.as_fd(), timeout)?;
        Ok(accepted.map(|(socket, peer)| Conversation { socket, peer }))
    }

    /// The address that is held.
    pub fn address(&self) -> &Address {
        &self.seat.address
    }
}

impl AsFd for Server {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.leads() {
            return self.seat.remove_files();
        }
        // Whoever stands by needs the files: it is about to take the address over.
        if let Ok(standby) = Seat::take(&self.seat.address.standby()) {
            self.seat.remove_files();
            standby.remove_files();
        }
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

    /// Answers with at most five descriptors.
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

/// Removes the sockets and lock files of runtimes that are dead, and their directory if that is empty then. Those of live
/// ones are left alone.
pub fn remove_leftovers(leader: &Address) {
    let standby = leader.standby();
    let paths = [leader.lock(), leader.socket().into(), standby.lock(), standby.socket().into()];
    if !paths.iter().any(|path| path.exists()) {
        return;
    }
    if let Ok(standby) = Seat::take(&standby) {
        if let Ok(leader) = Seat::take(leader) {
            leader.remove_files();
        }
        standby.remove_files();
    }
}

/// An address whose lock is held. The agent's own is taken and its files are removed by nobody but whoever holds the
/// standby's, so that of those who want it one at a time may try.
#[derive(Debug)]
struct Seat {
    address: Address,
    /// The kernel lets go of its lock when the process dies, however it dies.
    lock: File,
    epoch_before: u64,
}

impl Seat {
    /// Takes it if nobody has it.
    fn take(address: &Address) -> Result<Self, BindError> {
        let path = address.lock();
        loop {
            let mut lock = open_options().create(true).open(&path).map_err(io(&path))?;
            let locked = flock(&lock, FlockOperation::NonBlockingLockExclusive);
            let mut text = String::new();
            let _ = lock.read_to_string(&mut text);
            let mut lines = text.lines();
            let pid = lines.next().unwrap_or_default().to_owned();
            match locked {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Err(BindError::Held { path, pid }),
                Err(errno) => return Err(io(&path)(errno.into())),
            }
            let epoch_before = lines.next().and_then(|epoch| epoch.parse().ok()).unwrap_or(0);
            let seat = Self { address: address.clone(), lock, epoch_before };
            // The file may have been removed between open and flock; then the lock is on a file that nobody else sees.
            if seat.is_in_place() {
                seat.write(epoch_before).map_err(io(&path))?;
                return Ok(seat);
            }
        }
    }

    /// Takes it, waiting a little: whoever comes to lead has a standby's seat for a moment.
    fn take_with_patience(address: &Address) -> Result<Self, BindError> {
        for _ in 0..SEAT_ATTEMPTS {
            match Self::take(address) {
                Err(BindError::Held { .. }) => std::thread::sleep(SEAT_PAUSE),
                taken => return taken,
            }
        }
        Self::take(address)
    }

    /// Takes it from a holder that lives: its lock stays with it, on a file that nobody sees any more.
    fn seize(address: &Address) -> Result<Self, BindError> {
        let path = address.lock();
        let fresh = path.with_extension("seized");
        let lock = open_options().create(true).open(&fresh).map_err(io(&fresh))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|errno| io(&fresh)(errno.into()))?;
        let seat = Self { address: address.clone(), lock, epoch_before: 0 };
        seat.write(0).map_err(io(&fresh))?;
        std::fs::rename(&fresh, &path).map_err(io(&path))?;
        Ok(seat)
    }

    fn write(&self, epoch: u64) -> std::io::Result<()> {
        let mut lock = &self.lock;
        lock.set_len(0)?;
        lock.rewind()?;
        writeln!(lock, "{}\n{epoch}", std::process::id())
    }

    fn is_in_place(&self) -> bool {
        let place = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
        let on_disk = std::fs::metadata(self.address.lock()).map(place).ok();
        on_disk.is_some() && on_disk == self.lock.metadata().map(place).ok()
    }

    fn listen(&self) -> Result<OwnedFd, BindError> {
        let path = self.address.socket();
        // Anyone may ask; who gets an answer is decided by the peer's user id, and a refusal is recorded.
        socket::listen(path, 0o666).map_err(io(path))
    }

    /// Removes what is its own; the lock is held until the seat is dropped.
    fn remove_files(&self) {
        if !self.is_in_place() {
            return;
        }
        let _ = std::fs::remove_file(self.address.socket());
        let _ = std::fs::remove_file(self.address.lock());
        if let Some(site) = self.address.socket().parent() {
            let _ = std::fs::remove_dir(site);
        }
    }
}

fn make_directory_of(address: &Address) -> Result<(), BindError> {
    let Some(dir) = address.socket().parent() else { return Ok(()) };
    DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(io(dir))
}

/// An error of the kernel's at this path.
fn io(path: &Path) -> impl FnOnce(std::io::Error) -> BindError + use<> {
    let path = path.to_path_buf();
    move |source| BindError::Io { path, source }
}

fn open_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).truncate(false).mode(0o644);
    options
}

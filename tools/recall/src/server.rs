//! Being asked.

use std::fs::{DirBuilder, File, TryLockError};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread::JoinHandle;
use std::time::Duration;

use rt_control::packet::{self, PacketError};
use rt_control::socket;

use crate::address::Address;
use crate::message::{Answer, PROTOCOL, Question, Refusal, Status};
use crate::past::{AskError, Source};

/// Callers that are answered side by side. Each may have a connection to the database.
const CALLERS_MAX: usize = 4;
/// How long a caller may take for its greeting.
const GREETING_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may think about an answer before its next question.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long it may take to fetch an answer.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// How often is looked whether it is time to end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Whoever is asked.
pub trait Host: Send + Sync {
    /// How it is.
    fn status(&self) -> Status;

    /// What it has kept, for one caller.
    ///
    /// # Errors
    /// A [`Refusal`].
    fn source(&self) -> Result<Box<dyn Source>, Refusal>;
}

/// Why an address cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another historian lives there.
    #[error("another historian answers at {}", .0.display())]
    Held(PathBuf),
    /// A directory or file cannot be made.
    #[error("{} cannot be used for the socket: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// An address, held exclusively, and the socket on it. Dropping it removes both.
#[derive(Debug)]
pub struct Server {
    address: Address,
    socket: OwnedFd,
    /// The kernel lets go of its lock when the process dies, however it dies.
    lock: File,
}

impl Server {
    /// Takes an address. What a crash left there is replaced.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(address: &Address) -> Result<Self, BindError> {
        let path = address.socket();
        let directory = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o755).create(directory).map_err(io(directory))?;
        let lock = take(address)?;
        // A runtime tells its own user, root and operators; who else may look at a plant's past is its group.
        let socket = socket::listen(path, 0o660).map_err(io(path))?;
        Ok(Self { address: address.clone(), socket, lock })
    }

    /// Answers whoever calls until the other end of `stop` is dropped.
    ///
    /// # Errors
    /// The kernel's, when the socket itself fails.
    pub fn serve(self, host: &Arc<dyn Host>, stop: &Receiver<()>) -> io::Result<()> {
        let mut callers: Vec<JoinHandle<()>> = Vec::new();
        while stop.try_recv() == Err(TryRecvError::Empty) {
            let Some((socket, _)) = socket::accept(self.socket.as_fd(), LOOK_EVERY)? else { continue };
            callers.retain(|caller| !caller.is_finished());
            if callers.len() >= CALLERS_MAX {
                // Whoever is hung up on before its greeting was read does not hear why.
                let _ = receive(&socket, LOOK_EVERY);
                let _ = send(&socket, &Answer::Refused(Refusal::Busy(CALLERS_MAX)));
                continue;
            }
            let host = Arc::clone(host);
            let caller = std::thread::Builder::new().name("caller".to_owned());
            // Without a thread the caller is hung up on, which it notices.
            callers.extend(caller.spawn(move || _ = converse(&socket, &*host)));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if is_in_place(&self.address, &self.lock) {
            let _ = std::fs::remove_file(self.address.socket());
            let _ = std::fs::remove_file(self.address.lock());
        }
    }
}

/// Answers one caller until it hangs up or says nothing for too long.
fn converse(socket: &OwnedFd, host: &dyn Host) -> Result<(), PacketError> {
    match receive(socket, GREETING_TIMEOUT)? {
        Some(Question::Hello { .. }) => send(socket, &Answer::Hello { protocol: PROTOCOL })?,
        Some(_) => return send(socket, &Answer::Refused(Refusal::NotUnderstood)),
        None => return Ok(()),
    }
    let mut source = None;
    while let Some(question) = receive(socket, IDLE_TIMEOUT)? {
        match answer(&question, host, &mut source) {
            Ok(answer) => send(socket, &answer)?,
            Err(refusal) => {
                // What has failed is not asked again: the next question begins anew.
                source = None;
                send(socket, &Answer::Refused(refusal))?;
            }
        }
    }
    Ok(())
}

fn answer(question: &Question, host: &dyn Host, source: &mut Option<Box<dyn Source>>) -> Result<Answer, Refusal> {
    if *question == Question::Status {
        return Ok(Answer::Status(Box::new(host.status())));
    }
    let source = match source {
        Some(source) => source,
        None => source.insert(host.source()?),
    };
    source.answer(question).map_err(|error| match error {
        AskError::Refused(refusal) => refusal,
        other => Refusal::Unreadable(other.to_string()),
    })
}

/// The next question; `None` when the caller has hung up, or its packet is none.
fn receive(socket: &OwnedFd, timeout: Duration) -> Result<Option<Question>, PacketError> {
    match packet::receive(socket.as_fd(), timeout) {
        Ok(received) => Ok(received.map(|(question, _)| question)),
        Err(PacketError::NotUnderstood) => {
            send(socket, &Answer::Refused(Refusal::NotUnderstood))?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn send(socket: &OwnedFd, answer: &Answer) -> Result<(), PacketError> {
    packet::send(socket.as_fd(), answer, &[], FETCH_TIMEOUT)
}

/// Takes the lock of an address.
fn take(address: &Address) -> Result<File, BindError> {
    let path = address.lock();
    loop {
        let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BindError::Held(address.socket().to_owned())),
            Err(TryLockError::Error(error)) => return Err(io(&path)(error)),
        }
        // Its holder may have removed it in between; then the lock is on a file that nobody else sees.
        if is_in_place(address, &lock) {
            return Ok(lock);
        }
    }
}

fn is_in_place(address: &Address, lock: &File) -> bool {
    let place = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    let on_disk = std::fs::metadata(address.lock()).map(place).ok();
    on_disk.is_some() && on_disk == lock.metadata().map(place).ok()
}

fn io(path: &Path) -> impl FnOnce(io::Error) -> BindError + use<> {
    let path = path.to_path_buf();
    move |source| BindError::Io { path, source }
}

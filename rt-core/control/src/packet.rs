//! One packet: postcard bytes and the descriptors that travel with them.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::message::CONFIGURATION_BYTES_MAX;

/// The longest packet: enough for the description of a site with every tag that a runtime may have.
pub const PACKET_BYTES_MAX: usize = 128 * 1024;
const _: () =
    assert!(CONFIGURATION_BYTES_MAX + 4096 < PACKET_BYTES_MAX, "a site file travels in one packet, with its cause");
/// The most descriptors in a packet: those of a learner.
const DESCRIPTORS_MAX: usize = 5;

/// What went wrong with a packet.
#[derive(Debug, Error)]
pub enum PacketError {
    /// The kernel refused.
    #[error("the socket failed: {0}")]
    Os(Errno),
    /// Nothing came or went within the time.
    #[error("nothing came or went in time")]
    TimedOut,
    /// Too long, or not the expected type.
    #[error("a packet was not understood")]
    NotUnderstood,
}

impl From<Errno> for PacketError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN | Errno::TIMEDOUT => Self::TimedOut,
            other => Self::Os(other),
        }
    }
}

/// Waits until `fd` is ready for `flags`.
pub(crate) fn wait(fd: BorrowedFd<'_>, flags: PollFlags, timeout: Duration) -> Result<(), PacketError> {
    let deadline = std::time::Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(std::time::Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::from_borrowed_fd(fd, flags)], Some(&left)) {
            Ok(0) => return Err(PacketError::TimedOut),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Sends a message with descriptors, waiting at most so long for room.
///
/// # Errors
/// [`PacketError`]; nothing of it was sent then.
pub fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
    timeout: Duration,
) -> Result<(), PacketError> {
    let bytes = postcard::to_allocvec(message).map_err(|_| PacketError::NotUnderstood)?;
    if bytes.len() > PACKET_BYTES_MAX || descriptors.len() > DESCRIPTORS_MAX {
        return Err(PacketError::NotUnderstood);
    }
    wait(socket, PollFlags::OUT, timeout)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(PacketError::NotUnderstood);
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?;
    Ok(())
}

/// The next packet; `None` when the peer has closed the connection.
///
/// # Errors
/// [`PacketError`].
pub fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
    timeout: Duration,
) -> Result<Option<(T, Vec<OwnedFd>)>, PacketError> {
    wait(socket, PollFlags::IN, timeout)?;
    let mut bytes = vec![0; PACKET_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags)?;
    let descriptors: Vec<OwnedFd> = ancillary
        .drain()
        .flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => rights.collect(),
            _ => Vec::new(),
        })
        .collect();
    if received.bytes == 0 {
        return Ok(None);
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(PacketError::NotUnderstood);
    }
    let packet = bytes.get(..received.bytes).ok_or(PacketError::NotUnderstood)?;
    match postcard::take_from_bytes(packet) {
        Ok((message, [])) => Ok(Some((message, descriptors))),
        _ => Err(PacketError::NotUnderstood),
    }
}

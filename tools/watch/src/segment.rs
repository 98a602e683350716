//! One segment by itself, for whoever wants another one than those of a [`Memory`](crate::Memory), or all of it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt as _;

use rt_control::Client;
use shm::{Access, Segment, SegmentKind};
use shm_layout::{HEADER_BYTES, SegmentHeader};

use crate::agent::Blind;

/// Asks a runtime for one of its segments and maps it read-only.
///
/// # Errors
/// The runtime does not answer or has none of this kind, or the segment is not believed.
pub fn segment(client: &mut Client, kind: SegmentKind) -> Result<Segment, Blind> {
    attach(client.segment(kind.code())?, kind)
}

/// Maps a segment whose descriptor came some other way, read-only.
///
/// # Errors
/// The segment is not believed.
pub fn attach(descriptor: OwnedFd, kind: SegmentKind) -> Result<Segment, Blind> {
    Segment::attach(descriptor, Access::ReadOnly, kind).map_err(|refused| Blind::memory(kind)(&refused))
}

/// What a segment says of itself, unverified: to tell people what was not believed, such as one of another layout version.
pub fn alleged_header(descriptor: &OwnedFd) -> Option<SegmentHeader> {
    let file = File::from(descriptor.as_fd().try_clone_to_owned().ok()?);
    let mut bytes = [0; HEADER_BYTES];
    file.read_exact_at(&mut bytes, 0).ok()?;
    SegmentHeader::alleged(&bytes)
}

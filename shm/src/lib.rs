//! Lock-free structures over heap or shared memory: all atomics and all mappings of the project.
//!
//! The contract:
//!
//! 1. No call blocks, and none but a constructor or [`histogram::Reader::snapshot`] allocates.
//! 2. Whatever another process writes into a shared segment, nothing here panics, reads out of bounds
//!    or loops: geometry is copied once at [`Segment::attach`], indices found in memory are checked,
//!    and every shared word is an atomic. Content may then be nonsense; who consumes it verifies it.
//! 3. A segment can neither shrink nor grow, so that no access to it can raise a bus error.
//! 4. Nothing is lost without being counted, by the structure or, where it says so, by the caller.
//!
//! # The nouns
//!
//! | structure | module | where | gives |
//! |---|---|---|---|
//! | triple buffer of words | [`triple`] | heap, segment | the newest value |
//! | triple buffer of a type | [`cell`] | heap | the newest value, without a copy |
//! | ring, one producer, one consumer | [`spsc`] | heap | every value in order, or `Full` |
//! | broadcast ring | [`broadcast`] | heap, segment | every record to each reader, losses counted |
//! | counters | [`counters`] | heap, segment | one word each |
//! | lease | [`lease`] | heap, segment | one writer of a plant at most |
//! | histogram | [`histogram`] | heap, segment | latencies, within 1/32 |
//!
//! A [`Segment`] is a sealed memfd, described by a [`Spec`]. Its creator hands out
//! [descriptors](Segment::as_fd); whoever holds one can [attach](Segment::attach). Each segment has
//! one writer in its life: a second [claim](RoleRefused::Taken) is refused. So a stale writer is
//! fenced out by making a fresh segment of the next generation for its successor and no longer reading
//! the old one, which the stale writer may go on to scribble into.
//!
//! # Real-time
//!
//! These words are used throughout. *Wait-free*: a fixed number of steps plus the words copied,
//! whatever any other thread or process does. *Not for the real-time thread*: allocates, or makes a
//! system call.
//!
//! # Example
//!
//! ```
//! use shm::{Access, Segment, SegmentKind, Spec, broadcast};
//!
//! let segment = Segment::create(&Spec::broadcast(SegmentKind::Events, 16, 64)).unwrap();
//! let mut writer = broadcast::Writer::new(&segment).unwrap();
//! writer.publish(&[7; 16]).unwrap();
//!
//! // In another process, which was handed the read-only descriptor:
//! let descriptor = segment.read_only_fd().unwrap();
//! let attached = Segment::attach(descriptor, Access::ReadOnly, SegmentKind::Events).unwrap();
//! let mut reader = broadcast::Reader::new(&attached, broadcast::Start::Oldest).unwrap();
//! let mut record = [0; 16];
//! assert_eq!(reader.next(&mut record), broadcast::Next::Record { sequence: 0 });
//! assert_eq!(record, [7; 16]);
//! ```

#![cfg_attr(loom, allow(missing_docs, unreachable_pub))]

pub mod broadcast;
pub mod cell;
pub mod counters;
#[doc(hidden)]
pub mod discipline;
pub mod histogram;
pub mod lease;
mod region;
mod role;
#[cfg(not(loom))]
mod segment;
pub mod spsc;
mod sync;
pub mod triple;

pub use role::{OutOfSlot, RoleRefused};
#[cfg(not(loom))]
pub use segment::{Access, AttachRefused, CreateFailed, Segment, Spec};
pub use shm_layout::{HeaderRefused, SegmentKind, VerifiedHeader};

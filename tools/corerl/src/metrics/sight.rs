//! What is seen of one agent at one moment.

use rt_control::Status;
use shm_layout::TagPart;
use watch::Memory;

use super::tally::Tally;

/// An agent that is there.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    pub(super) memory: &'a Memory,
    pub(super) status: &'a Status,
    pub(super) tally: &'a Tally,
    /// CLOCK_MONOTONIC, nanoseconds.
    pub(super) now_ns: u64,
}

impl<'a> Sight<'a> {
    /// Place and `connection_id` of every connection.
    pub(super) fn connections(&self) -> impl Iterator<Item = (usize, &'a str)> {
        self.status.connections.iter().map(|connection| connection.id.as_str()).enumerate()
    }

    /// Name and newest state of every tag.
    pub(super) fn tags(&self) -> impl Iterator<Item = (&'a str, &'a TagPart)> {
        let names = self.memory.description().tags.iter().map(|tag| tag.name.as_str());
        names.zip(&self.tally.tags)
    }
}

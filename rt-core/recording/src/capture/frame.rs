//! What a capture consists of.

use serde::{Deserialize, Serialize};
use shm_layout::{CycleLayout, EventRecord};

use crate::chain::Format;

/// What every capture begins with.
pub const MAGIC: [u8; 8] = *b"CORERLCP";
/// The version of the format that this program writes, and the only one that it reads.
pub const FORMAT_VERSION: u32 = 2;

/// How a capture begins.
pub(crate) const FORMAT: Format = Format { magic: MAGIC, version: FORMAT_VERSION };

/// One frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Frame {
    /// The first one of every file.
    Opening(Box<Opening>),
    /// One cycle record, as [`CycleLayout`] describes it.
    Cycle(Vec<u64>),
    /// One event.
    Event(#[serde(with = "event_words")] EventRecord),
    /// Records are missing here.
    Gap(Gap),
    /// Something happened while the capture went on, for which one would have been begun.
    Trigger(Trigger),
    /// The file was closed in order; the last frame of its file.
    Closing(Closed),
}

/// Everything that is needed to understand a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// Version of the program that wrote the file.
    pub program: String,
    /// Name of the site file: parts of the site are named after it.
    pub site_file: String,
    /// The site file's text.
    pub site_text: String,
    /// The site.
    pub site: String,
    /// The agent.
    pub agent: String,
    /// The instance.
    pub instance: String,
    /// Hash of the tag list, as policies carry it.
    pub tag_list_hash: u64,
    /// Process id of the runtime.
    pub pid: u32,
    /// Control period, nanoseconds.
    pub period_ns: u64,
    /// Setpoints in each cycle record, in the order of the site file.
    pub setpoints: u32,
    /// Tags in each cycle record, in the order of the site file.
    pub tags: u32,
    /// Both clocks when the file was begun.
    pub clocks: Clocks,
    /// Why the file was written.
    pub reason: Reason,
}

impl Opening {
    /// The layout of the cycle records; `None` when there can be no such record.
    pub const fn layout(&self) -> Option<CycleLayout> {
        CycleLayout::new(self.setpoints, self.tags)
    }
}

/// The monotonic and the wall clock at one moment: records have the time of the one, people that of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clocks {
    /// CLOCK_MONOTONIC, nanoseconds.
    pub monotonic_ns: u64,
    /// Nanoseconds since 1970.
    pub unix_ns: u64,
}

impl Clocks {
    /// When a moment of the monotonic clock was, nanoseconds since 1970, had the wall clock not been set since.
    pub const fn unix_ns_at(&self, monotonic_ns: u64) -> u64 {
        self.unix_ns.wrapping_add(monotonic_ns.wrapping_sub(self.monotonic_ns))
    }
}

/// Why a file was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reason {
    /// `corerl record` writes file after file.
    Continuous {
        /// This file's number among those of the same run of the program, from 0.
        number: u64,
    },
    /// The flight recorder kept what was before and after this.
    Flight(Trigger),
}

/// What makes the flight recorder save.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// Which of the things it waits for.
    pub kind: TriggerKind,
    /// Cycle in which it happened.
    pub cycle: u64,
    /// CLOCK_MONOTONIC, nanoseconds.
    pub time_ns: u64,
    /// What the event says of it, or the words of whoever asked.
    pub text: String,
}

/// What the flight recorder waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TriggerKind {
    /// FALLBACK was entered and is latched.
    Trip,
    /// The control thread missed a slot.
    LostSlot,
    /// A violated expectation inside the runtime.
    Fault,
    /// Somebody asked.
    Command,
}

impl TriggerKind {
    /// As it is spelt in files' names and in site files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trip => "trip",
            Self::LostSlot => "lost_slot",
            Self::Fault => "fault",
            Self::Command => "command",
        }
    }
}

/// Which records are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// What kind of records.
    pub what: What,
    /// How many.
    pub count: u64,
    /// Cycle of the last such record before them, when the file has one.
    pub after: Option<u64>,
    /// Cycle of the first such record behind them, when the file has one.
    pub before: Option<u64>,
}

/// Kinds of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// Cycle records.
    Cycles,
    /// Events.
    Events,
}

/// Why a file was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Closed {
    /// Everything is in it that should be.
    Complete,
    /// It was long enough; another one goes on.
    Full,
    /// The runtime ended.
    RuntimeEnded,
}

/// An event as its words.
mod event_words {
    use super::EventRecord;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(event: &EventRecord, to: S) -> Result<S::Ok, S::Error> {
        event.to_words().serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<EventRecord, D::Error> {
        Ok(EventRecord::from_words(&Deserialize::deserialize(from)?))
    }
}

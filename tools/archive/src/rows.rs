//! What an archive has rows of.

use serde::{Deserialize, Serialize};

/// A run of a runtime, as it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The plant's name.
    pub site: String,
    /// The agent's.
    pub agent: String,
    /// Its instance.
    pub instance: String,
    /// A number that no other run has.
    pub number: u64,
    /// Control period.
    pub period_ns: u64,
}

/// A run's number in one archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunId(pub i64);

/// A track's number in one archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TrackId(pub i64);

/// What a track is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TrackKind {
    /// A tag; the state of its points is the quality, or [`STALE`](Self::STALE).
    Tag,
    /// What policy or fallback asked a setpoint for.
    Raw,
    /// What the envelope let through; the state of its points is the limits that acted.
    Sent,
    /// What was written last, as far as no refusal is known; the state of its points is why nothing is written now, and from bit
    /// [`REPLY_SHIFT`](Self::REPLY_SHIFT) on what the plant answered last,
    /// as the cycle knew it: it may be the answer to the write before this one.
    Written,
    /// What the plant shows.
    ReadBack,
    /// How deep a tag lay in the zone that decided a reward, above 0 and at most 1; 0 while it decided none. The state of its
    /// points is the zone, as the cycle record numbers it.
    Zone,
    /// The reward; the state of its points is the first goal that was not met, from 1, or 0.
    Reward,
    /// The mode's number; the state of its points is the flags of the cycle that say whether it was armed, and latched.
    Mode,
    /// The generation of the policy in use, 0 for the nominal one.
    Policy,
    /// What the critics expect from a decision on.
    Value,
    /// How far they disagree about it.
    Spread,
}

impl TrackKind {
    /// The state of a tag that was older than it may be, whatever its quality.
    pub const STALE: u32 = 3;

    /// Where the plant's answer lies in the state of what was written.
    pub const REPLY_SHIFT: u32 = 16;

    /// All, in the order of a sample's way.
    pub const ALL: [Self; 11] = [
        Self::Tag,
        Self::Raw,
        Self::Sent,
        Self::Written,
        Self::ReadBack,
        Self::Zone,
        Self::Reward,
        Self::Mode,
        Self::Policy,
        Self::Value,
        Self::Spread,
    ];

    /// The one of this name; a later version may have others.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// As the archive calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tag => "tag",
            Self::Raw => "setpoint.raw",
            Self::Sent => "setpoint.sent",
            Self::Written => "setpoint.written",
            Self::ReadBack => "setpoint.readback",
            Self::Zone => "tag.zone",
            Self::Reward => "reward",
            Self::Mode => "mode",
            Self::Policy => "policy",
            Self::Value => "value",
            Self::Spread => "spread",
        }
    }
}

/// A track, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackName {
    /// What it is of.
    pub kind: TrackKind,
    /// Of the tag or setpoint; what it is, for the others.
    pub name: String,
    /// Engineering unit; may be empty.
    pub unit: String,
}

impl TrackName {
    /// As people ask for it: a tag by its name, a setpoint with `.raw`, `.sent`, `.written` or `.readback` behind its name, the
    /// others by what they are.
    pub fn address(&self) -> String {
        let part = ["setpoint", "tag"].iter().find_map(|of| self.kind.name().strip_prefix(of));
        format!("{}{}", self.name, part.unwrap_or_default())
    }
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number in the runtime's ring.
    pub number: u64,
    /// The cycle in which it happened.
    pub cycle: u64,
    /// When, nanoseconds since 1970.
    pub unix_ns: u64,
    /// The name of its kind.
    pub kind: String,
    /// Cause, as the kind defines it.
    pub cause: u32,
    /// Who asked for it.
    pub uid: Option<u32>,
    /// First number.
    pub a: u64,
    /// Second number.
    pub b: u64,
    /// For people.
    pub text: String,
}

/// What is counted in a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Missing {
    /// Cycle records.
    Cycles,
    /// Events.
    Events,
}

impl Missing {
    /// As the archive calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cycles => "cycles",
            Self::Events => "events",
        }
    }
}

/// Something that should be there and is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// What is missing.
    pub what: Missing,
    /// The first number of the ring that is.
    pub first: u64,
    /// How many.
    pub count: u64,
    /// The last cycle before it that is kept.
    pub after_cycle: Option<u64>,
    /// The first one behind it.
    pub before_cycle: Option<u64>,
    /// For people.
    pub why: String,
}

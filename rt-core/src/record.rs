//! What a cycle leaves behind: one [`CycleView`] per cycle, and [`Event`]s for what happens now and then.
//!
//! The view borrows from the cycle; whoever records it copies what it keeps into its own, fixed format.

use serde::{Deserialize, Serialize};

use crate::envelope::{Acted, Withheld};
use crate::image::Image;
use crate::mode::{Cause, Effect, Mode};
use crate::ports::{Because, Command};
use crate::schedule::Slot;
use crate::setpoint::ScalarKind;
use crate::time::{MonoTime, Span};

/// What was particular about a cycle, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// An observation was made.
    pub const OBSERVED: Self = Self(1);
    /// The observation does not continue the one before.
    pub const GAP: Self = Self(1 << 1);
    /// Every column of the observed state was valid and fresh.
    pub const COMPLETE: Self = Self(1 << 2);
    /// It was a decision slot.
    pub const DECISION: Self = Self(1 << 3);
    /// The decision gave an action.
    pub const DECIDED: Self = Self(1 << 4);
    /// The policy was allowed to explore.
    pub const EXPLORED: Self = Self(1 << 5);
    /// The policy's output was not finite.
    pub const NOT_FINITE: Self = Self(1 << 6);
    /// The policy's output was out of range.
    pub const OUT_OF_BOUNDS: Self = Self(1 << 7);
    /// A set with setpoints was handed to the io thread.
    pub const SENT: Self = Self(1 << 8);
    /// A set was decided and lost, because the io thread's ring was full.
    pub const SET_LOST: Self = Self(1 << 9);
    /// More reports were waiting than one cycle takes; the rest was left for the next one.
    pub const DRAIN_BOUND: Self = Self(1 << 10);
    /// A report named a tag or a setpoint that does not exist.
    pub const FOREIGN_REPORT: Self = Self(1 << 11);
    /// The connection is up.
    pub const LINK: Self = Self(1 << 12);
    /// The runtime is armed.
    pub const ARMED: Self = Self(1 << 13);
    /// The lease is held.
    pub const LEASE: Self = Self(1 << 14);
    /// A trip is latched.
    pub const LATCHED: Self = Self(1 << 15);
    /// An expectation of the cycle itself was violated.
    pub const FAULT: Self = Self(1 << 16);
    /// The decision came too late, and was not used.
    pub const LATE_DECISION: Self = Self(1 << 17);
    /// The source timestamp of a sample went back, or vanished.
    pub const ODD_SOURCE_TIME: Self = Self(1 << 18);
    /// A person has at least one setpoint.
    pub const OPERATOR: Self = Self(1 << 19);
    /// It was a decision slot because of a trigger alone.
    pub const TRIGGERED: Self = Self(1 << 20);

    /// The bits.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Both if `holds`, unchanged otherwise.
    #[must_use]
    pub const fn with_if(self, holds: bool, other: Self) -> Self {
        if holds { self.with(other) } else { self }
    }

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What the plant answered to a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u32)]
pub enum Reply {
    /// Good: the value is there.
    Accepted = 1,
    /// A bad status: nothing has changed.
    Refused = 2,
}

impl Reply {
    /// The reply with this number, as records hold it.
    pub fn from_number(number: u32) -> Option<Self> {
        [Self::Accepted, Self::Refused].into_iter().find(|reply| *reply as u32 == number)
    }

    /// A stable name for records and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
        }
    }
}

/// One setpoint in one cycle. Exactly one of `sent` and `withheld` is there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SetpointRow {
    /// What the law of the mode asked for, engineering units; NaN when it asked for nothing.
    pub desired: f64,
    /// What was put into the set.
    pub sent: Option<f64>,
    /// The value that the change was measured from.
    pub last: Option<f64>,
    /// The value on the plant as read back, while it is good and fresh.
    pub read_back: Option<f64>,
    /// What the envelope changed.
    pub acted: Acted,
    /// Why nothing was written.
    pub withheld: Option<Withheld>,
    /// What the plant answered last, as this cycle knows it; `None` before its first answer on this connection.
    pub reply: Option<Reply>,
}

impl SetpointRow {
    pub(crate) const WITHHELD: Self = Self {
        desired: f64::NAN,
        sent: None,
        last: None,
        read_back: None,
        acted: Acted::NOTHING,
        withheld: Some(Withheld::Mode),
        reply: None,
    };
}

/// Everything about one cycle.
#[derive(Clone, Copy, Debug)]
pub struct CycleView<'a> {
    /// The slot that it ran in; its index is the cycle's number.
    pub slot: Slot,
    /// The mode that held in this cycle.
    pub mode: Mode,
    /// The mode of the cycle before.
    pub previous: Mode,
    /// What was particular.
    pub flags: Flags,
    /// One row per setpoint, in the site's order.
    pub setpoints: &'a [SetpointRow],
    /// The plant as this cycle knew it.
    pub image: &'a Image,
    /// The reward of this cycle's observation.
    pub reward: Option<f64>,
    /// What has decided it.
    pub because: Because,
    /// The generation of the weights in use; 0 before the first.
    pub generation: u64,
    /// The plant heartbeat in the set.
    pub heartbeat: Option<u16>,
    /// Samples that were taken in.
    pub samples: u32,
    /// From the receipt of the newest sample to the set's being handed over; `None` when there was no set.
    pub response: Option<Span>,
    /// From the wake-up to the moment before this record.
    pub execution: Span,
}

/// An expectation of the cycle itself that was violated. It latches FALLBACK; the period is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Fault {
    /// The slot is not later than the one before.
    SlotNotIncreasing = 1,
    /// The limits of a setpoint do not match their copy.
    LimitsCorrupt = 2,
}

/// What happens now and then.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum EventKind {
    /// The mode changed.
    ModeChanged {
        /// The mode that was left.
        from: Mode,
        /// The mode that was entered.
        to: Mode,
        /// Why.
        cause: Cause,
    },
    /// A command of an operator, or the lease, was taken or ignored.
    Command {
        /// Which.
        command: Command,
        /// What became of it.
        effect: Effect,
    },
    /// New weights were adopted.
    PolicyAdopted {
        /// Their generation.
        generation: u64,
    },
    /// A trip was latched.
    Latched {
        /// Which.
        cause: Cause,
    },
    /// An operator cleared a trip.
    LatchCleared {
        /// Which.
        cause: Cause,
    },
    /// The connection came up or went down.
    Link {
        /// It is up.
        up: bool,
    },
    /// The data type of a setpoint's node became known.
    Kind {
        /// The setpoint, in the site's order.
        setpoint: u8,
        /// What its node holds.
        kind: ScalarKind,
    },
    /// The plant refused writes.
    WriteRefused {
        /// The setpoints, as bits.
        setpoints: u32,
    },
    /// A person took a setpoint.
    SetpointTaken {
        /// The setpoint, in the site's order.
        setpoint: u8,
    },
    /// A person gave a setpoint back.
    SetpointReturned {
        /// The setpoint, in the site's order.
        setpoint: u8,
    },
    /// The plant ignores what is written to a setpoint.
    ReadBackMismatch {
        /// The setpoint, in the site's order.
        setpoint: u8,
    },
    /// A change set was taken.
    Changed {
        /// Its number.
        number: u64,
    },
    /// A change set is for other setpoints or tags; nothing of it was taken.
    ChangesUnfit {
        /// Its number.
        number: u64,
    },
    /// Slots were skipped before this one.
    SlotsSkipped {
        /// How many.
        count: u64,
    },
    /// An alarm was raised or cleared.
    Alarm {
        /// The alarm, in the site's order.
        alarm: u8,
        /// It was raised.
        raised: bool,
    },
    /// An expectation of the cycle itself was violated.
    Fault {
        /// Which.
        fault: Fault,
    },
}

/// One event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event {
    /// The cycle's number.
    pub cycle: u64,
    /// When the cycle woke up.
    pub at: MonoTime,
    /// What happened.
    pub kind: EventKind,
}

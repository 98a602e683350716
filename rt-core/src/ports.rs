//! The doors of the cycle: what it takes in and what it gives out, as traits. The daemon adapts real rings to them, a
//! simulation its own.

use core::num::NonZeroU16;

use serde::{Deserialize, Serialize};

use crate::changes::ChangeSet;
use crate::image::Image;
use crate::record::{CycleView, Event};
use crate::setpoint::{SETPOINTS_MAX, ScalarKind, SetpointSet};
use crate::tag::{Sample, TagId};
use crate::time::MonoTime;

/// The monotonic clock.
pub trait Clock {
    /// The present instant.
    ///
    /// # Real-time
    /// Called by the control thread: must not make a system call (the vDSO is fine).
    fn now(&self) -> MonoTime;
}

/// What the io thread tells the control thread, in the order in which it happened.
// Copies must be made of the words that are read afterwards: a load that spans two stores waits until both have left the
// store buffer, which is 15 ns for every report of a cycle. So the tag is a word, and the halves of a word come first in
// `Wrote`, where a sample has nothing wider.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[repr(u64)]
pub enum FieldReport {
    /// A tag was read.
    Sample(Sample),
    /// The set of this cycle was written: bit i of `written` says that the plant confirmed setpoint i, bit i of
    /// `refused` that it answered with a bad status. A setpoint in neither was not part of the request, or its outcome is unknown.
    Wrote {
        /// Setpoints that the plant confirmed.
        written: u32,
        /// Setpoints that the plant refused.
        refused: u32,
        /// The cycle whose set was sent.
        cycle: u64,
    },
    /// The connection came up (`true`) or went down.
    Link(bool),
    /// The data type of a setpoint's node, as the server told it. Sent at every connect: what was known before a
    /// [`FieldReport::Link`]`(false)` is forgotten, and without it nothing is written to that setpoint.
    Kind {
        /// The setpoint, in the site's order.
        setpoint: u8,
        /// What its node holds.
        kind: ScalarKind,
    },
}

/// The consumer side of the sample ring.
pub trait Field {
    /// The oldest report that was not taken yet.
    ///
    /// # Real-time
    /// Wait-free.
    fn next_report(&mut self) -> Option<FieldReport>;
    /// Hands a set to the io thread; `false` when the ring is full (the set is lost, and the io thread is late anyway).
    ///
    /// # Real-time
    /// Wait-free.
    fn send(&mut self, set: &SetpointSet) -> bool;
}

/// What an operator or the keeper asks of the cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The policy may write, as soon as every other condition is met.
    Arm,
    /// Back to SHADOW: nothing is written any more.
    Disarm,
    /// Take the hands off the plant.
    Release,
    /// Clear latched trips.
    Reset,
    /// Stay in HOLD until the next reset (bounded by `t_hold` like any other hold).
    Hold,
    /// The lease of this plant was won (`true`): every setpoint has to be read back anew. Or lost, which disarms.
    Lease(bool),
    /// A person gives a setpoint back that was taken on the plant.
    HandBack {
        /// The setpoint, in the site's order.
        setpoint: u8,
    },
    /// The learner's last heartbeat that confirmed its best generation was at this instant.
    PolicyConfirmed(MonoTime),
}

/// Commands and changes from the keeper thread.
pub trait Commands {
    /// The oldest command that was not taken yet.
    ///
    /// # Real-time
    /// Wait-free.
    fn next_command(&mut self) -> Option<Command>;
    /// The newest change set, when it was not taken yet.
    ///
    /// # Real-time
    /// Wait-free.
    fn next_changes(&mut self) -> Option<&ChangeSet>;
}

/// What has decided a reward, as far as a site has goals and zones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Because {
    /// The first goal that was not met, counted from 1 in the site's order.
    pub goal: Option<NonZeroU16>,
    /// The tag that lies deepest in a zone: in red, or else in yellow.
    pub zone: Option<InZone>,
}

/// A tag in one of its zones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InZone {
    /// Which.
    pub tag: TagId,
    /// In the red zone, not in the yellow one.
    pub is_red: bool,
    /// How deep: above 0, and 1 at the zone's far end.
    pub depth: f64,
}

/// What one observation amounts to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// Every column of the state is valid and fresh: a decision may be taken.
    pub complete: bool,
    /// The reward, when every input of it was there and it is finite.
    pub reward: Option<f64>,
    /// What has decided it.
    pub because: Because,
    /// Something happened upon which to decide at once; never in a decision slot of the grid.
    pub triggered: bool,
}

/// What the policy needs to know of the moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The cycle's number.
    pub cycle: u64,
    /// The instant of its release.
    pub release: MonoTime,
    /// This is a decision slot of the grid, too.
    pub decision: bool,
    /// Observation slots were skipped since the last observation, or the last value was not ours.
    pub gap: bool,
    /// The mode before this cycle, as its number in [`crate::mode::Mode`].
    pub mode: u8,
}

/// The action of one decision, engineering units, in the site's order of setpoints.
pub type Action = [f64; SETPOINTS_MAX];

/// Why there is no action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAction {
    /// No verified policy has been adopted.
    NoPolicy,
    /// The state is incomplete.
    Incomplete,
    /// The network gave a value that is not finite.
    NotFinite,
    /// It came later than it may.
    Late,
}

/// Pipeline and policy.
pub trait Policy {
    /// Adopts the newest verified weights; their generation when they are new.
    ///
    /// # Real-time
    /// Wait-free.
    fn adopt(&mut self) -> Option<u64>;
    /// Takes the image through the pipeline to state and reward, at every observation slot, and leaves the step for the learner.
    ///
    /// # Real-time
    /// Wait-free, bounded by the number of tags and columns.
    fn observe(&mut self, image: &Image, moment: &Moment) -> Observed;
    /// One forward pass on the last observation.
    ///
    /// # Real-time
    /// Wait-free, bounded by the size of the network.
    ///
    /// # Errors
    /// Says why there is no action; `action` is untouched then.
    fn decide(&mut self, explore: bool, action: &mut Action) -> Result<(), NoAction>;
}

/// The report side: cycle records and events.
pub trait Recorder {
    /// One record per cycle.
    ///
    /// # Real-time
    /// Wait-free.
    fn cycle(&mut self, view: &CycleView<'_>);
    /// One event.
    ///
    /// # Real-time
    /// Wait-free.
    fn event(&mut self, event: Event);
}

//! The mode machine: at most one transition per cycle, each with its cause.
//!
//! | mode | policy runs | setpoints written | plant heartbeat | explores | transitions to the learner |
//! |---|---|---|---|---|---|
//! | STARTUP | no | no | no | no | no |
//! | SHADOW | yes | no | no | no | yes, action = read-back |
//! | RUN | yes | the policy's | yes | yes, if configured | yes |
//! | HOLD | yes | the last value | yes | no | yes |
//! | FALLBACK | yes | the fallback's | yes | no | yes |
//! | RELEASE | no | no | no | no | no |
//!
//! Alarms are no control: whoever has configured them gets them written in every mode, while the lease is held.
//!
//! | edge | cause |
//! |---|---|
//! | STARTUP -> SHADOW | required tags good and fresh, every setpoint read back |
//! | SHADOW -> RUN | armed, lease held, policy adopted, nothing latched, nothing that speaks against RUN |
//! | RUN -> HOLD | an [obstacle](Conditions::obstacle), or by command; HOLD -> RUN when it is gone |
//! | RUN, HOLD -> FALLBACK | a trip (latched); the policy [cannot be relied on](Conditions::distrust); HOLD for `t_hold` |
//! | FALLBACK -> RUN | good conditions for `t_recover`, nothing latched, returns left in this hour |
//! | FALLBACK -> RELEASE | the fallback could not be computed for `t_release` |
//! | RUN, HOLD, FALLBACK -> SHADOW | disarmed, lease lost |
//! | RUN, HOLD, FALLBACK -> RELEASE | an interlock demands it |
//! | any -> RELEASE -> STARTUP | by command; armed again |
//!
//! Whoever loses the lease is disarmed by it: somebody else may be in charge of the plant, and coming back is an operator's
//! decision, or the site file's. A runtime that stands by may be armed; it writes as soon as it has the lease and has read
//! back what the one before it wrote last.
//!
//! A hold that an operator asked for is a HOLD like any other: it ends in FALLBACK after `t_hold`, and there it keeps the
//! policy out until it is reset.
//!
//! **Invariant.** A mode that writes is entered only through SHADOW -> RUN, which demands: armed, lease held, a policy
//! adopted, every required tag usable and every setpoint read back. Losing the lease or being disarmed leaves it at once.

use serde::{Deserialize, Serialize};

use crate::carry::Carrier;
use crate::image::Missing;
use crate::ports::Command;
use crate::time::{MonoTime, NS_PER_S, Span};

/// The most returns from FALLBACK per hour that can be permitted.
pub const RETURNS_MAX: usize = 16;

const HOUR: Span = Span::from_ns(3600 * NS_PER_S);

/// What the runtime may do at present. The numbers are stable: they are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Mode {
    /// Waits for good inputs and for the present setpoints to be read back.
    #[default]
    Startup = 0,
    /// Decides and writes nothing.
    Shadow = 1,
    /// The policy drives the plant.
    Run = 2,
    /// The last value stays, for a limited time.
    Hold = 3,
    /// The fallback drives the plant.
    Fallback = 4,
    /// Hands off, until armed again.
    Release = 5,
}

impl Mode {
    /// All modes, in the order of their numbers.
    pub const ALL: [Self; 6] = [Self::Startup, Self::Shadow, Self::Run, Self::Hold, Self::Fallback, Self::Release];

    /// Observations are made and decisions taken.
    pub const fn policy_runs(self) -> bool {
        !matches!(self, Self::Startup | Self::Release)
    }

    /// Setpoints are written.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Run | Self::Hold | Self::Fallback)
    }

    /// The plant heartbeat advances.
    pub const fn heartbeat(self) -> bool {
        self.writes()
    }

    /// The policy may explore, if that is configured.
    pub const fn explores(self) -> bool {
        matches!(self, Self::Run)
    }

    /// Transitions go to the learner.
    pub const fn transitions(self) -> bool {
        self.policy_runs()
    }

    /// The mode with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Startup),
            1 => Some(Self::Shadow),
            2 => Some(Self::Run),
            3 => Some(Self::Hold),
            4 => Some(Self::Fallback),
            5 => Some(Self::Release),
            _ => None,
        }
    }

    /// Its stable name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Shadow => "shadow",
            Self::Run => "run",
            Self::Hold => "hold",
            Self::Fallback => "fallback",
            Self::Release => "release",
        }
    }
}

/// Why a mode was left, or why a trip is latched. The numbers are stable: they are recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Cause {
    /// Inputs are good and the setpoints have been read back.
    StartupComplete = 1,
    /// Armed, and every other condition for writing is met.
    Armed = 2,
    /// An operator disarmed it.
    Disarmed = 3,
    /// An operator took its hands off the plant.
    ReleaseCommand = 4,
    /// An operator asked for HOLD.
    HoldCommand = 5,
    /// Another runtime may hold the lease now.
    LeaseLost = 6,
    /// The connection went down.
    LinkLost = 7,
    /// A required tag is bad.
    RequiredTagBad = 8,
    /// A required tag is stale.
    RequiredTagStale = 9,
    /// The value on the plant of some setpoint is not known.
    ReadBackLost = 10,
    /// Too many decisions in a row found an incomplete state.
    StateIncomplete = 11,
    /// No policy is adopted.
    NoPolicy = 12,
    /// HOLD lasted as long as it may.
    HoldElapsed = 13,
    /// The policy was not confirmed for too long.
    PolicyAge = 14,
    /// Conditions have been good (for long enough) again.
    Recovered = 15,
    /// Not even the fallback could be computed for too long.
    FallbackUnusable = 16,
    /// A tripped interlock demands it.
    InterlockRelease = 17,
    /// A setpoint on the plant stayed what it was before our confirmed write.
    ReadBackMismatch = 18,
    /// Too many of the last decisions came too late.
    DecisionsLate = 19,
    /// Latched: the policy's output was not finite.
    OutputNotFinite = 32,
    /// Latched: too many outputs in a row were out of bounds.
    OutputOutOfBounds = 33,
    /// Latched: the plant refused too many writes in a row.
    WriteRefused = 34,
    /// Latched: too many of the last cycles were late by a period or more.
    Overruns = 35,
    /// Latched: it had returned from FALLBACK as often as it may within an hour.
    ReturnsExhausted = 36,
    /// Latched: the stored limits do not match their copy.
    LimitsCorrupt = 37,
    /// Latched: an expectation of the cycle itself was violated.
    InternalFault = 38,
    /// Latched: a setpoint was moved to and fro too often.
    Chatter = 39,
}

impl Cause {
    /// Its stable name, for records and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::StartupComplete => "startup_complete",
            Self::Armed => "armed",
            Self::Disarmed => "disarmed",
            Self::ReleaseCommand => "release_command",
            Self::HoldCommand => "hold_command",
            Self::LeaseLost => "lease_lost",
            Self::LinkLost => "link_lost",
            Self::RequiredTagBad => "required_tag_bad",
            Self::RequiredTagStale => "required_tag_stale",
            Self::ReadBackLost => "read_back_lost",
            Self::StateIncomplete => "state_incomplete",
            Self::NoPolicy => "no_policy",
            Self::HoldElapsed => "t_hold_elapsed",
            Self::PolicyAge => "policy_age",
            Self::Recovered => "recovered",
            Self::FallbackUnusable => "fallback_unusable",
            Self::InterlockRelease => "interlock_release",
            Self::ReadBackMismatch => "read_back_mismatch",
            Self::DecisionsLate => "decisions_late",
            Self::OutputNotFinite => "output_not_finite",
            Self::OutputOutOfBounds => "output_out_of_bounds",
            Self::WriteRefused => "write_refused",
            Self::Overruns => "overruns",
            Self::ReturnsExhausted => "returns_exhausted",
            Self::LimitsCorrupt => "limits_corrupt",
            Self::InternalFault => "internal_fault",
            Self::Chatter => "chatter",
        }
    }
}

/// The times of the mode machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeSettings {
    /// HOLD lasts at most this long (`t_hold`).
    pub hold_max: Span,
    /// Conditions have to be good for this long before FALLBACK returns to RUN (`t_recover`).
    pub recover_after: Span,
    /// So many returns from FALLBACK are permitted in any hour, at most [`RETURNS_MAX`]; one more latches.
    pub returns_per_hour: u8,
    /// FALLBACK without a usable fallback becomes RELEASE after this long (`t_release`).
    pub release_after: Span,
}

/// What the mode machine is told in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The instant of this cycle.
    pub now: MonoTime,
    /// The connection is up.
    pub link: bool,
    /// What is wrong with the required tags, if anything.
    pub inputs: Option<Missing>,
    /// The value on the plant and the data type of every setpoint are known.
    pub read_back: bool,
    /// A verified policy has been adopted.
    pub policy_adopted: bool,
    /// The policy was not confirmed for too long.
    pub policy_expired: bool,
    /// Too many decisions in a row found an incomplete state.
    pub state_incomplete: bool,
    /// Too many of the last decisions came too late.
    pub decisions_late: bool,
    /// In this cycle a setpoint turned out to ignore what is written.
    pub read_back_mismatch: bool,
    /// The fallback can be computed.
    pub fallback_usable: bool,
    /// A tripped interlock demands that the hands are taken off the plant.
    pub interlock_release: bool,
    /// A trip that happened in this cycle; a cause that latches.
    pub trip: Option<Cause>,
}

impl Conditions {
    /// What speaks against RUN, the most fundamental one first.
    fn obstacle(&self) -> Option<Cause> {
        let inputs = self.inputs.map(|missing| match missing {
            Missing::Bad => Cause::RequiredTagBad,
            Missing::Stale => Cause::RequiredTagStale,
        });
        let if_not = |holds: bool, cause| (!holds).then_some(cause);
        if_not(self.link, Cause::LinkLost)
            .or(inputs)
            .or(if_not(self.read_back, Cause::ReadBackLost))
            .or(if_not(self.policy_adopted, Cause::NoPolicy))
            .or(if_not(!self.state_incomplete, Cause::StateIncomplete))
    }

    /// Why the policy cannot be relied on: HOLD would only lose time.
    fn distrust(&self) -> Option<Cause> {
        let if_so = |holds: bool, cause| holds.then_some(cause);
        if_so(self.policy_expired, Cause::PolicyAge)
            .or(if_so(self.decisions_late, Cause::DecisionsLate))
            .or(if_so(self.read_back_mismatch, Cause::ReadBackMismatch))
    }

    fn ready(&self) -> bool {
        self.obstacle().is_none() && self.distrust().is_none() && !self.interlock_release
    }
}

/// One change of mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The mode that was left.
    pub from: Mode,
    /// The mode that was entered.
    pub to: Mode,
    /// Why.
    pub cause: Cause,
}

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Effect {
    /// It changed something.
    Taken = 1,
    /// It asked for what was already so, or for what is impossible in this mode.
    Ignored = 2,
}

impl Effect {
    pub(crate) const fn of(changed: bool) -> Self {
        if changed { Self::Taken } else { Self::Ignored }
    }
}

/// The mode machine.
///
/// # Real-time
/// Wait-free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModeMachine {
    settings: ModeSettings,
    mode: Mode,
    since: MonoTime,
    armed: bool,
    lease: bool,
    latch: Option<Cause>,
    hold_commanded: bool,
    disarm_asked: bool,
    release_asked: bool,
    good_since: Option<MonoTime>,
    fallback_lost_since: Option<MonoTime>,
    returns: [Option<MonoTime>; RETURNS_MAX],
}

impl ModeMachine {
    /// A machine in STARTUP, unarmed and without the lease.
    pub const fn new(settings: ModeSettings) -> Self {
        Self {
            settings,
            mode: Mode::Startup,
            since: MonoTime::ZERO,
            armed: false,
            lease: false,
            latch: None,
            hold_commanded: false,
            disarm_asked: false,
            release_asked: false,
            good_since: None,
            fallback_lost_since: None,
            returns: [None; RETURNS_MAX],
        }
    }

    /// The present mode.
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether an operator armed it.
    pub const fn armed(&self) -> bool {
        self.armed
    }

    /// Whether it holds the lease of the plant.
    pub const fn lease(&self) -> bool {
        self.lease
    }

    /// The trip that an operator has to reset.
    pub const fn latch(&self) -> Option<Cause> {
        self.latch
    }

    /// Takes a command; it changes the mode at the next [`ModeMachine::step`].
    ///
    /// Release wins over everything that is said in the same cycle.
    pub fn command(&mut self, command: Command) -> Effect {
        match command {
            Command::Arm => {
                let changed = !self.armed && !self.release_asked;
                self.armed = self.armed || changed;
                Effect::of(changed)
            }
            Command::Disarm => {
                let changed = self.armed;
                (self.armed, self.disarm_asked) = (false, true);
                Effect::of(changed)
            }
            Command::Release => {
                let changed = self.mode != Mode::Release || self.armed;
                (self.armed, self.release_asked) = (false, true);
                Effect::of(changed)
            }
            Command::Reset => {
                let changed = self.latch.is_some() || self.hold_commanded;
                (self.latch, self.hold_commanded, self.returns) = (None, false, [None; RETURNS_MAX]);
                Effect::of(changed)
            }
            Command::Hold => {
                let changed = matches!(self.mode, Mode::Run | Mode::Hold) && !self.hold_commanded;
                self.hold_commanded = self.hold_commanded || changed;
                Effect::of(changed)
            }
            Command::Lease(held) => {
                let changed = self.lease != held;
                let lost = changed && !held;
                (self.lease, self.armed) = (held, self.armed && !lost);
                Effect::of(changed)
            }
            // No business of the modes.
            Command::PolicyConfirmed(_) | Command::HandBack { .. } => Effect::Ignored,
        }
    }

    /// Latches a trip of the cycle itself.
    pub fn trip(&mut self, cause: Cause) {
        self.latch = self.latch.or(Some(cause));
    }

    /// One cycle: at most one transition.
    pub fn step(&mut self, conditions: &Conditions) -> Option<Transition> {
        if let (true, Some(cause)) = (self.mode.writes(), conditions.trip) {
            self.trip(cause);
        }
        self.keep_time(conditions);
        let next = self.next(conditions);
        (self.disarm_asked, self.release_asked) = (false, false);
        let (to, cause) = next?;
        let transition = Transition { from: self.mode, to, cause };
        self.enter(transition, conditions.now);
        Some(transition)
    }

    pub(crate) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self {
            settings: _,
            mode,
            since,
            armed,
            lease,
            latch,
            hold_commanded,
            disarm_asked,
            release_asked,
            good_since,
            fallback_lost_since,
            returns,
        } = self;
        carrier.carry(mode);
        carrier.carry(since);
        carrier.carry(latch);
        for said in [armed, lease, hold_commanded, disarm_asked, release_asked] {
            carrier.carry(said);
        }
        carrier.carry(good_since);
        carrier.carry(fallback_lost_since);
        carrier.carry(returns);
    }

    fn keep_time(&mut self, conditions: &Conditions) {
        let now = conditions.now;
        self.good_since = if conditions.ready() { self.good_since.or(Some(now)) } else { None };
        let lost = self.mode == Mode::Fallback && !conditions.fallback_usable;
        self.fallback_lost_since = if lost { self.fallback_lost_since.or(Some(now)) } else { None };
    }

    fn next(&mut self, conditions: &Conditions) -> Option<(Mode, Cause)> {
        if self.mode == Mode::Release {
            return self.armed.then_some((Mode::Startup, Cause::Armed));
        }
        if self.release_asked {
            return Some((Mode::Release, Cause::ReleaseCommand));
        }
        match self.mode {
            Mode::Startup => {
                let ready = conditions.link && conditions.inputs.is_none() && conditions.read_back;
                ready.then_some((Mode::Shadow, Cause::StartupComplete))
            }
            Mode::Shadow => {
                let permitted = self.armed && self.lease && self.latch.is_none();
                (permitted && conditions.ready()).then_some((Mode::Run, Cause::Armed))
            }
            _ => self.next_of_writing(conditions),
        }
    }

    fn next_of_writing(&mut self, conditions: &Conditions) -> Option<(Mode, Cause)> {
        if !self.lease {
            return Some((Mode::Shadow, Cause::LeaseLost));
        }
        if self.disarm_asked || !self.armed {
            return Some((Mode::Shadow, Cause::Disarmed));
        }
        if conditions.interlock_release {
            return Some((Mode::Release, Cause::InterlockRelease));
        }
        if self.mode == Mode::Fallback {
            return self.next_of_fallback(conditions.now);
        }
        if let Some(cause) = self.latch.or(conditions.distrust()) {
            return Some((Mode::Fallback, cause));
        }
        let obstacle = conditions.obstacle().or(self.hold_commanded.then_some(Cause::HoldCommand));
        match (self.mode, obstacle) {
            (Mode::Run, Some(cause)) => Some((Mode::Hold, cause)),
            (Mode::Hold, None) => Some((Mode::Run, Cause::Recovered)),
            (Mode::Hold, Some(_)) if conditions.now.since(self.since) >= self.settings.hold_max => {
                Some((Mode::Fallback, Cause::HoldElapsed))
            }
            _ => None,
        }
    }

    fn next_of_fallback(&mut self, now: MonoTime) -> Option<(Mode, Cause)> {
        if self.fallback_lost_since.is_some_and(|since| now.since(since) >= self.settings.release_after) {
            return Some((Mode::Release, Cause::FallbackUnusable));
        }
        let good_since = self.good_since.map(|since| since.max(self.since))?;
        let recovered = now.since(good_since) >= self.settings.recover_after;
        if !recovered || self.latch.is_some() || self.hold_commanded {
            return None;
        }
        if self.note_return(now) {
            return Some((Mode::Run, Cause::Recovered));
        }
        self.latch = Some(Cause::ReturnsExhausted);
        None
    }

    /// Whether one more return is permitted within the hour; it is counted then.
    fn note_return(&mut self, now: MonoTime) -> bool {
        let permitted = usize::from(self.settings.returns_per_hour).min(RETURNS_MAX);
        let mut places = self.returns.iter_mut().take(permitted);
        match places.find(|place| place.is_none_or(|at| now.since(at) >= HOUR)) {
            Some(place) => {
                *place = Some(now);
                true
            }
            None => false,
        }
    }

    fn enter(&mut self, transition: Transition, now: MonoTime) {
        (self.mode, self.since) = (transition.to, now);
        if transition.to == Mode::Release {
            self.armed = false;
        }
        if !transition.to.writes() {
            self.hold_commanded = false;
        }
    }
}

#[cfg(test)]
mod tests;

//! The last code before the plant: what is written goes through [`Envelope::judge`], whoever asked for it.
//!
//! A verdict is either a value to write or a reason not to. A value that is written
//! - is finite and exact in the data type of the plant's node,
//! - lies in `[lo, hi]`; or, when the last value lay outside, strictly nearer to it than the last one,
//! - differs from the last value by no more than `rate * dt`,
//! - moves in no direction that a tripped interlock blocks.
//!
//! What satisfies all of this as it is passes unchanged, bit for bit. All comparisons are made in f64 exactly as they stand
//! here: `(value - last).abs() <= rate * dt`.

use serde::{Deserialize, Serialize};

use crate::carry::Carrier;
use crate::expression::Program;
use crate::image::Image;
use crate::mode::Mode;
use crate::setpoint::{Rate, ScalarKind};
use crate::time::Span;

/// The most interlocks of one setpoint.
pub const INTERLOCKS_MAX: usize = 4;

/// What a tripped interlock does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InterlockAction {
    /// The setpoint must not rise.
    BlockIncrease,
    /// The setpoint must not fall.
    BlockDecrease,
    /// This value is asked for instead, engineering units; range, rate and blocks still hold. The first one counts.
    Force(f64),
    /// The setpoint is not written, and the mode machine takes the hands off the plant.
    Release,
}

/// A condition and what follows from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interlock {
    /// Tripped while this is true, and while it has no value because an input is missing.
    pub condition: Program,
    /// What it does then.
    pub action: InterlockAction,
}

impl Interlock {
    /// Whether it is tripped on this image.
    ///
    /// # Real-time
    /// Wait-free, bounded by the length of the condition.
    pub fn tripped(&self, image: &Image) -> bool {
        self.condition.holds(image).unwrap_or(true)
    }
}

/// Range and rate of one setpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Lowest permitted value, engineering units.
    pub lo: f64,
    /// Highest permitted value, engineering units.
    pub hi: f64,
    /// How fast it may move.
    pub rate: Rate,
}

/// The limits of one setpoint in each of the modes that write.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LimitsByMode {
    /// What binds the policy.
    pub run: Limits,
    /// What binds the last value while it stays.
    pub hold: Limits,
    /// What binds the fallback.
    pub fallback: Limits,
}

impl LimitsByMode {
    /// The same limits whoever drives.
    pub const fn same(limits: Limits) -> Self {
        Self { run: limits, hold: limits, fallback: limits }
    }

    /// The limits in this mode; `None` in one that does not write.
    pub const fn of(&self, mode: Mode) -> Option<Limits> {
        match mode {
            Mode::Run => Some(self.run),
            Mode::Hold => Some(self.hold),
            Mode::Fallback => Some(self.fallback),
            Mode::Startup | Mode::Shadow | Mode::Release => None,
        }
    }

    /// Says what is wrong with them.
    pub(crate) fn validate(&self) -> Result<(), EnvelopeError> {
        [self.run, self.hold, self.fallback].iter().try_for_each(Limits::validate)
    }

    fn inverted(&self) -> [[u64; 3]; 3] {
        [self.run.inverted(), self.hold.inverted(), self.fallback.inverted()]
    }
}

/// Why an envelope cannot be made or changed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum EnvelopeError {
    /// The range is reversed or not finite.
    #[error("the range [{lo}, {hi}] is reversed or not finite")]
    Range {
        /// The lower end.
        lo: f64,
        /// The upper end.
        hi: f64,
    },
    /// The rate is not a positive, finite number.
    #[error("the rate {per_second} per second is not a positive, finite number")]
    Rate {
        /// What was given.
        per_second: f64,
    },
    /// More interlocks than [`INTERLOCKS_MAX`].
    #[error("more than {INTERLOCKS_MAX} interlocks for one setpoint")]
    TooManyInterlocks,
    /// The forced value is not finite.
    #[error("the forced value {value} is not finite")]
    Force {
        /// What was given.
        value: f64,
    },
}

/// What the envelope changed, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acted(u8);

impl Acted {
    /// Everything but rounding: the value is not where it was asked to be.
    const CURBED: u8 = !Self::ROUNDED.0;

    /// Nothing: the value passed as it was.
    pub const NOTHING: Self = Self(0);
    /// It was moved into the range.
    pub const RANGE: Self = Self(1);
    /// The way to it was cut to what the rate permits.
    pub const RATE: Self = Self(1 << 1);
    /// An interlock replaced or blocked it.
    pub const INTERLOCK: Self = Self(1 << 2);
    /// It was rounded to what the node can hold.
    pub const ROUNDED: Self = Self(1 << 3);
    /// The last value lay outside the range; this is the way back.
    pub const RETURNING: Self = Self(1 << 4);

    /// Every single one, with a stable name for records and messages.
    pub const NAMES: [(Self, &'static str); 5] = [
        (Self::RANGE, "range"),
        (Self::RATE, "rate"),
        (Self::INTERLOCK, "interlock"),
        (Self::ROUNDED, "rounded"),
        (Self::RETURNING, "returning"),
    ];

    /// The bits.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether more than rounding kept the value from where it was asked to be.
    pub const fn curbed(self) -> bool {
        self.0 & Self::CURBED != 0
    }
}

/// Why a setpoint is not written in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Withheld {
    /// The mode does not write.
    Mode = 1,
    /// The data type of the plant's node is not known (yet).
    KindUnknown = 2,
    /// The value that it would move from is not known: it has to be read back first.
    LastUnknown = 3,
    /// The value asked for is not finite.
    NotFinite = 4,
    /// A tripped interlock says: hands off.
    InterlockRelease = 5,
    /// The last value is out of range, and a tripped interlock blocks the way back.
    InterlockBlocked = 6,
    /// Nothing that the node can hold is permitted: its resolution is coarser than rate or range.
    Resolution = 7,
    /// The stored limits do not match their copy.
    LimitsCorrupt = 8,
    /// A person has the setpoint.
    Operator = 9,
}

impl Withheld {
    const ALL: [Self; 9] = [
        Self::Mode,
        Self::KindUnknown,
        Self::LastUnknown,
        Self::NotFinite,
        Self::InterlockRelease,
        Self::InterlockBlocked,
        Self::Resolution,
        Self::LimitsCorrupt,
        Self::Operator,
    ];

    /// The reason with this number, as records hold it.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u32 == number)
    }

    /// A stable name for records and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mode => "mode",
            Self::KindUnknown => "kind_unknown",
            Self::LastUnknown => "last_unknown",
            Self::NotFinite => "not_finite",
            Self::InterlockRelease => "interlock_release",
            Self::InterlockBlocked => "interlock_blocked",
            Self::Resolution => "resolution",
            Self::LimitsCorrupt => "limits_corrupt",
            Self::Operator => "operator",
        }
    }
}

/// What becomes of one setpoint in one cycle: exactly one of the two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// Write this value.
    Write {
        /// Finite, and exact in the node's data type.
        value: f64,
        /// What the envelope changed on the way.
        acted: Acted,
    },
    /// Write nothing, for this reason.
    Withhold(Withheld),
}

/// The envelope of one setpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Envelope {
    limits: LimitsByMode,
    /// The limits once more, inverted bit by bit, so that a flipped bit is noticed.
    inverted: [[u64; 3]; 3],
    kind: Option<ScalarKind>,
    interlocks: [Option<Interlock>; INTERLOCKS_MAX],
}

impl Envelope {
    /// An envelope that withholds everything until [`Envelope::set_kind`] tells it the node's data type.
    ///
    /// # Errors
    /// Says what is wrong with the limits.
    pub fn new(limits: LimitsByMode) -> Result<Self, EnvelopeError> {
        limits.validate()?;
        Ok(Self { limits, inverted: limits.inverted(), kind: None, interlocks: [None; INTERLOCKS_MAX] })
    }

    /// Adds an interlock.
    ///
    /// # Errors
    /// When there are [`INTERLOCKS_MAX`] already, or its value is not finite.
    pub fn add(&mut self, interlock: Interlock) -> Result<(), EnvelopeError> {
        if let InterlockAction::Force(value) = interlock.action
            && !value.is_finite()
        {
            return Err(EnvelopeError::Force { value });
        }
        let free = self.interlocks.iter_mut().find(|place| place.is_none());
        *free.ok_or(EnvelopeError::TooManyInterlocks)? = Some(interlock);
        Ok(())
    }

    /// Learns the data type of the plant's node, or forgets it.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn set_kind(&mut self, kind: Option<ScalarKind>) {
        self.kind = kind;
    }

    /// The data type of the plant's node, when it is known.
    pub const fn kind(&self) -> Option<ScalarKind> {
        self.kind
    }

    /// Changes the limits. A last value that lies outside the new range is led back at the permitted rate.
    ///
    /// # Errors
    /// Says what is wrong with the new limits; the old ones stay.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn set_limits(&mut self, limits: LimitsByMode) -> Result<(), EnvelopeError> {
        limits.validate()?;
        self.limits = limits;
        self.inverted = limits.inverted();
        Ok(())
    }

    /// The limits in force.
    pub const fn limits(&self) -> LimitsByMode {
        self.limits
    }

    /// Whether the stored limits match their copy.
    ///
    /// # Real-time
    /// Wait-free.
    pub fn intact(&self) -> bool {
        let (stored, copy) = (self.limits.inverted(), self.inverted);
        // All of them, always: nine words are compared faster than nine questions are asked.
        let differing = stored.as_flattened().iter().zip(copy.as_flattened()).fold(0, |bits, (a, b)| bits | (a ^ b));
        differing == 0
    }

    /// Whether a tripped interlock demands that the hands are taken off the plant.
    ///
    /// # Real-time
    /// Wait-free, bounded by [`INTERLOCKS_MAX`] conditions.
    pub fn demands_release(&self, image: &Image) -> bool {
        let mut releases = self.interlocks.iter().flatten().filter(|i| i.action == InterlockAction::Release);
        releases.any(|interlock| interlock.tripped(image))
    }

    /// Judges what `mode` desires, when `last` is the setpoint's last value and `dt` the time that the change may take: the
    /// smaller one of real time since the last cycle and the period. A mode that does not write gets nothing through.
    ///
    /// # Real-time
    /// Wait-free, bounded by [`INTERLOCKS_MAX`] conditions.
    pub fn judge(&self, mode: Mode, desired: f64, last: Option<f64>, dt: Span, image: &Image) -> Verdict {
        match self.constraint(mode, last, dt, image) {
            Ok((constraint, forced)) => constraint.apply(forced.unwrap_or(desired), forced.is_some()),
            Err(reason) => Verdict::Withhold(reason),
        }
    }

    /// The limits are memory, too: they may change between two cycles.
    pub(crate) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { limits, inverted, kind, interlocks: _ } = self;
        carrier.carry(limits);
        carrier.carry(inverted);
        carrier.carry(kind);
    }

    /// Everything that this cycle demands of the value, and the value that an interlock forces.
    fn constraint(
        &self,
        mode: Mode,
        last: Option<f64>,
        dt: Span,
        image: &Image,
    ) -> Result<(Constraint, Option<f64>), Withheld> {
        let Limits { lo, hi, rate } = self.limits.of(mode).ok_or(Withheld::Mode)?;
        if !self.intact() {
            return Err(Withheld::LimitsCorrupt);
        }
        let kind = self.kind.ok_or(Withheld::KindUnknown)?;
        let last = last.filter(|value| value.is_finite()).ok_or(Withheld::LastUnknown)?;
        let step = match rate {
            Rate::PerSecond(per_second) => per_second * dt.as_seconds(),
            Rate::Unlimited => f64::INFINITY,
        };
        let mut constraint = Constraint { lo, hi, last, step, kind, may_rise: true, may_fall: true };
        let mut forced = None;
        for interlock in self.interlocks.iter().flatten().filter(|interlock| interlock.tripped(image)) {
            match interlock.action {
                InterlockAction::BlockIncrease => constraint.may_rise = false,
                InterlockAction::BlockDecrease => constraint.may_fall = false,
                InterlockAction::Force(value) => forced = forced.or(Some(value)),
                InterlockAction::Release => return Err(Withheld::InterlockRelease),
            }
        }
        Ok((constraint, forced))
    }
}

impl Limits {
    fn validate(&self) -> Result<(), EnvelopeError> {
        let Self { lo, hi, rate } = *self;
        if !(lo.is_finite() && hi.is_finite() && lo <= hi) {
            return Err(EnvelopeError::Range { lo, hi });
        }
        match rate {
            Rate::PerSecond(per_second) if !(per_second.is_finite() && per_second > 0.0) => {
                Err(EnvelopeError::Rate { per_second })
            }
            _ => Ok(()),
        }
    }

    fn inverted(&self) -> [u64; 3] {
        let rate = match self.rate {
            Rate::PerSecond(per_second) => per_second,
            Rate::Unlimited => f64::INFINITY,
        };
        [!self.lo.to_bits(), !self.hi.to_bits(), !rate.to_bits()]
    }
}

/// What one cycle demands of the next value. `last` is finite, `step` is not negative (and infinite without a rate).
#[derive(Clone, Copy, Debug)]
struct Constraint {
    lo: f64,
    hi: f64,
    last: f64,
    step: f64,
    kind: ScalarKind,
    may_rise: bool,
    may_fall: bool,
}

impl Constraint {
    fn apply(&self, desired: f64, forced: bool) -> Verdict {
        if !desired.is_finite() {
            return Verdict::Withhold(Withheld::NotFinite);
        }
        let mut acted = if forced { Acted::INTERLOCK } else { Acted::NOTHING };
        let mut value = desired;
        let ranged = value.max(self.lo).min(self.hi);
        if ranged != value {
            (value, acted) = (ranged, acted.with(Acted::RANGE));
        }
        if self.outside(self.last) {
            acted = acted.with(Acted::RETURNING);
        }
        if !self.within_rate(value) {
            (value, acted) = (self.farthest(value), acted.with(Acted::RATE));
        }
        if !self.unblocked(value) {
            // The last value itself is always unblocked.
            (value, acted) = (self.last, acted.with(Acted::INTERLOCK));
        }
        let Some(converted) = self.convert(value) else {
            let blocked = self.outside(self.last) && !self.unblocked(ranged);
            return Verdict::Withhold(if blocked { Withheld::InterlockBlocked } else { Withheld::Resolution });
        };
        if converted != value {
            acted = acted.with(Acted::ROUNDED);
        }
        Verdict::Write { value: converted, acted }
    }

    /// The value that the node can hold: towards the last one first, away from it only where that is not permitted.
    fn convert(&self, value: f64) -> Option<f64> {
        if self.kind.holds(value) && self.permits(value) {
            return Some(value);
        }
        let (down, up) = (self.kind.round_down(value), self.kind.round_up(value));
        let candidates = if value > self.last { [down, up] } else { [up, down] };
        let permitted = || candidates.iter().flatten().copied().filter(|candidate| self.permits(*candidate));
        permitted().find(|candidate| !self.outside(*candidate)).or_else(|| permitted().next())
    }

    /// The converted value is checked against everything once more: this is the invariant.
    fn permits(&self, value: f64) -> bool {
        // Out of the range only on the way back into it, strictly nearer than the last value and on its side.
        let ranged = if value < self.lo {
            self.last < value
        } else if value > self.hi {
            value < self.last
        } else {
            true
        };
        value.is_finite() && ranged && self.within_rate(value) && self.unblocked(value)
    }

    fn outside(&self, value: f64) -> bool {
        value < self.lo || value > self.hi
    }

    fn within_rate(&self, value: f64) -> bool {
        (value - self.last).abs() <= self.step
    }

    fn unblocked(&self, value: f64) -> bool {
        (self.may_rise || value <= self.last) && (self.may_fall || value >= self.last)
    }

    /// The point farthest from the last value in the direction of `target` that the rate permits.
    fn farthest(&self, target: f64) -> f64 {
        let rising = (target - self.last).is_sign_positive();
        let mut value = if rising { self.last + self.step } else { self.last - self.step };
        // The sum is rounded, by less than two units of its last place: one of its neighbours keeps the rate.
        for _ in 0..3 {
            if self.within_rate(value) {
                return value;
            }
            value = if rising { value.next_down() } else { value.next_up() };
        }
        self.last
    }
}

#[cfg(test)]
mod tests;

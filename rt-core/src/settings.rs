//! What a cycle is made from, and why it may be impossible.

use core::num::NonZeroU64;

use crate::envelope::{Envelope, EnvelopeError, Interlock, Limits};
use crate::image::TooManyTags;
use crate::mode::{ModeSettings, RETURNS_MAX};
use crate::setpoint::{FallbackLaw, SETPOINTS_MAX, SetpointSettings};
use crate::tag::TagSettings;
use crate::time::{Period, Span};
use crate::trips::{OVERRUN_WINDOW_MAX, TripSettings};

/// Everything that the cycle is made from; it is copied, nothing stays borrowed.
#[derive(Clone, Copy, Debug)]
pub struct CycleSettings<'a> {
    /// The control period T.
    pub period: Period,
    /// An observation every so many slots.
    pub observe_every: NonZeroU64,
    /// A decision every so many slots; a multiple of `observe_every`.
    pub decide_every: NonZeroU64,
    /// The tags, in the site's order.
    pub tags: &'a [TagSettings],
    /// The setpoints, in the site's order.
    pub setpoints: &'a [SetpointSettings],
    /// Interlocks, each with the index of its setpoint.
    pub interlocks: &'a [(usize, Interlock)],
    /// A set must not be sent later than this after its release. Default: 2 I/O periods.
    pub expiry: Span,
    /// A changed setpoint has to be confirmed within this time, or it is read back before it is written again. At least
    /// `expiry`; a few I/O periods.
    pub confirm_within: Span,
    /// The times of the mode machine.
    pub modes: ModeSettings,
    /// What latches FALLBACK.
    pub trips: TripSettings,
    /// A policy that was not confirmed for longer leads to FALLBACK; `None` switches this off.
    pub policy_age_max: Option<Span>,
    /// The policy explores in RUN.
    pub explore: bool,
}

/// Why no cycle can be made from the settings.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum SettingsError {
    /// More tags than the image holds.
    #[error(transparent)]
    Tags(#[from] TooManyTags),
    /// More setpoints than [`SETPOINTS_MAX`].
    #[error("{count} setpoints, at most {SETPOINTS_MAX} are possible")]
    TooManySetpoints {
        /// How many.
        count: usize,
    },
    /// A setpoint's read-back is not one of the tags.
    #[error("setpoint {setpoint} is read back by tag {tag}, which does not exist")]
    ReadBack {
        /// The setpoint's index.
        setpoint: usize,
        /// The tag's index.
        tag: usize,
    },
    /// Limits or interlocks of a setpoint.
    #[error("setpoint {setpoint}: {error}")]
    Envelope {
        /// The setpoint's index.
        setpoint: usize,
        /// What is wrong with them.
        error: EnvelopeError,
    },
    /// An interlock names a setpoint that does not exist.
    #[error("interlock {interlock} belongs to setpoint {setpoint}, which does not exist")]
    Interlock {
        /// The interlock's index.
        interlock: usize,
        /// The setpoint's index.
        setpoint: usize,
    },
    /// The fallback of a setpoint has a number that is not finite, or a ramp that does not move.
    #[error("setpoint {setpoint}: the fallback's numbers are not finite, or its ramp's speed is not positive")]
    Fallback {
        /// The setpoint's index.
        setpoint: usize,
    },
    /// The decision is not at every n-th observation.
    #[error("a decision every {decide} slots is not a multiple of an observation every {observe} slots")]
    Multiples {
        /// Slots between observations.
        observe: u64,
        /// Slots between decisions.
        decide: u64,
    },
    /// Confirmations are expected before a set expires.
    #[error("confirmations are expected within {confirm_ns} ns, sooner than a set expires ({expiry_ns} ns)")]
    Confirmation {
        /// `confirm_within` in nanoseconds.
        confirm_ns: u64,
        /// `expiry` in nanoseconds.
        expiry_ns: u64,
    },
    /// The overrun window is longer than [`OVERRUN_WINDOW_MAX`], or shorter than the overruns that trip, or none trips.
    #[error(
        "{overruns} overruns of {window} cycles cannot be counted: 1 <= overruns <= window <= {OVERRUN_WINDOW_MAX}"
    )]
    Overruns {
        /// Overruns that trip.
        overruns: u8,
        /// The window in cycles.
        window: u8,
    },
    /// More returns per hour than can be remembered.
    #[error("{returns} returns per hour, at most {RETURNS_MAX} are possible")]
    Returns {
        /// How many.
        returns: u8,
    },
}

impl CycleSettings<'_> {
    pub(crate) fn validate(&self) -> Result<(), SettingsError> {
        let (observe, decide) = (self.observe_every.get(), self.decide_every.get());
        if !decide.is_multiple_of(observe) {
            return Err(SettingsError::Multiples { observe, decide });
        }
        if self.setpoints.len() > SETPOINTS_MAX {
            return Err(SettingsError::TooManySetpoints { count: self.setpoints.len() });
        }
        for (interlock, (setpoint, _)) in self.interlocks.iter().enumerate() {
            if *setpoint >= self.setpoints.len() {
                return Err(SettingsError::Interlock { interlock, setpoint: *setpoint });
            }
        }
        if self.confirm_within < self.expiry {
            let (confirm_ns, expiry_ns) = (self.confirm_within.as_ns(), self.expiry.as_ns());
            return Err(SettingsError::Confirmation { confirm_ns, expiry_ns });
        }
        let (overruns, window) = (self.trips.overruns, self.trips.overrun_window);
        if overruns == 0 || overruns > window || window > OVERRUN_WINDOW_MAX {
            return Err(SettingsError::Overruns { overruns, window });
        }
        let returns = self.modes.returns_per_hour;
        if usize::from(returns) > RETURNS_MAX {
            return Err(SettingsError::Returns { returns });
        }
        Ok(())
    }

    /// The envelope of one setpoint; everything else about it is checked on the way.
    pub(crate) fn envelope(&self, setpoint: usize, of: &SetpointSettings) -> Result<Envelope, SettingsError> {
        let tag = of.tag.index();
        if tag >= self.tags.len() {
            return Err(SettingsError::ReadBack { setpoint, tag });
        }
        let fallback_valid = match of.fallback {
            FallbackLaw::Hold => true,
            FallbackLaw::Nominal(value) => value.is_finite(),
            FallbackLaw::Ramp { target, per_second } => {
                target.is_finite() && per_second.is_finite() && per_second > 0.0
            }
        };
        if !fallback_valid {
            return Err(SettingsError::Fallback { setpoint });
        }
        let limits = Limits { lo: of.lo, hi: of.hi, rate: of.rate };
        let mut envelope = Envelope::new(limits).map_err(|error| SettingsError::Envelope { setpoint, error })?;
        for (_, interlock) in self.interlocks.iter().filter(|(index, _)| *index == setpoint) {
            envelope.add(*interlock).map_err(|error| SettingsError::Envelope { setpoint, error })?;
        }
        Ok(envelope)
    }
}

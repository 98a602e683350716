//! What a cycle is made from, and why it may be impossible.

use core::num::NonZeroU64;

use crate::alarm::{ALARMS_MAX, AlarmSettings};
use crate::envelope::{Envelope, EnvelopeError, Interlock};
use crate::fallback::FallbackError;
use crate::image::TooManyTags;
use crate::mode::{ModeSettings, RETURNS_MAX};
use crate::setpoint::{SETPOINTS_MAX, SetpointSettings};
use crate::tag::{TagError, TagSettings};
use crate::time::{Period, Span};
use crate::trips::{OutOf, TripSettings, WINDOW_MAX};

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
    /// The alarms, in the site's order.
    pub alarms: &'a [AlarmSettings],
    /// A set must not be sent later than this after its release. Default: 2 I/O periods.
    pub expiry: Span,
    /// A changed setpoint has to be confirmed within this time, or it is read back before it is written again. At least
    /// `expiry`; a few I/O periods.
    pub confirm_within: Span,
    /// After a confirmed write the plant may show the value before it for this long (`t_settle`).
    pub settle_within: Span,
    /// A decision that takes longer is not used.
    pub decide_within: Span,
    /// The times of the mode machine.
    pub modes: ModeSettings,
    /// What latches FALLBACK.
    pub trips: TripSettings,
    /// A policy that was not confirmed for longer leads to FALLBACK; `None` switches this off.
    pub policy_age_max: Option<Span>,
    /// Nobody stands by the first policy before a learner does: until then it counts as one that was not confirmed for longer.
    pub first_policy_waits: bool,
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
    /// More alarms than [`ALARMS_MAX`].
    #[error("{count} alarms, at most {ALARMS_MAX} are possible")]
    TooManyAlarms {
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
    /// The fallback of a setpoint.
    #[error("setpoint {setpoint}: {error}")]
    Fallback {
        /// The setpoint's index.
        setpoint: usize,
        /// What is wrong with it.
        error: FallbackError,
    },
    /// How a tag is judged.
    #[error("tag {tag}: {error}")]
    Tag {
        /// The tag's index.
        tag: usize,
        /// What is wrong with it.
        error: TagError,
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
    /// Something cannot be counted so often in such a window.
    #[error("{m} of {n} {what} cannot be counted: 1 <= m <= n <= {WINDOW_MAX}")]
    Window {
        /// What is to be counted.
        what: &'static str,
        /// How often is too often.
        m: u8,
        /// The window.
        n: u8,
    },
    /// The stroke of a reversal is no part of the range.
    #[error("a reversal by {stroke} of the range is not possible: above 0 and at most 1")]
    Stroke {
        /// What was given.
        stroke: f64,
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
        if self.alarms.len() > ALARMS_MAX {
            return Err(SettingsError::TooManyAlarms { count: self.alarms.len() });
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
        self.validate_counting()?;
        for (tag, settings) in self.tags.iter().enumerate() {
            settings.validate().map_err(|error| SettingsError::Tag { tag, error })?;
        }
        let returns = self.modes.returns_per_hour;
        if usize::from(returns) > RETURNS_MAX {
            return Err(SettingsError::Returns { returns });
        }
        Ok(())
    }

    fn validate_counting(&self) -> Result<(), SettingsError> {
        let TripSettings { overruns, late_decisions, chatter, .. } = self.trips;
        let windows = [("overruns", Some(overruns)), ("late decisions", Some(late_decisions))];
        let reversals = ("reversals", chatter.map(|chatter| chatter.reversals));
        for (what, window) in windows.into_iter().chain([reversals]) {
            if let Some(OutOf { m, n }) = window.filter(|window| !window.is_possible()) {
                return Err(SettingsError::Window { what, m, n });
            }
        }
        match chatter.map(|chatter| chatter.stroke) {
            Some(stroke) if !(stroke > 0.0 && stroke <= 1.0) => Err(SettingsError::Stroke { stroke }),
            _ => Ok(()),
        }
    }

    /// The envelope of one setpoint; everything else about it is checked on the way.
    pub(crate) fn envelope(&self, setpoint: usize, of: &SetpointSettings) -> Result<Envelope, SettingsError> {
        let tag = of.tag.index();
        if tag >= self.tags.len() {
            return Err(SettingsError::ReadBack { setpoint, tag });
        }
        of.fallback.validate().map_err(|error| SettingsError::Fallback { setpoint, error })?;
        let mut envelope = Envelope::new(of.limits).map_err(|error| SettingsError::Envelope { setpoint, error })?;
        for (_, interlock) in self.interlocks.iter().filter(|(index, _)| *index == setpoint) {
            envelope.add(*interlock).map_err(|error| SettingsError::Envelope { setpoint, error })?;
        }
        Ok(envelope)
    }
}

//! Bugs that are planted to see whether the simulation finds them: each wraps a sound piece in a broken variant of it.

use rt_config::Site;
use rt_core::cycle::CycleSettings;
use rt_core::envelope::LimitsByMode;
use rt_core::ports::Command;
use rt_core::setpoint::{ScalarKind, SetpointSet};
use rt_core::time::{Period, Span};
use shm_layout::WeightsHeader;

use super::controller::Inputs;
use super::desk::{Desk, Told};
use super::witness::Witness;

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// The envelope permits a step for all the time that has passed, not for one period at most.
    EnvelopeStepsByRealTime,
    /// The envelope keeps its limits when they are changed.
    EnvelopeKeepsLimits,
    /// The envelope keeps the range and forgets the rate.
    EnvelopeForgetsRate,
    /// The mode machine does not notice that the lease was lost.
    ModeIgnoresLease,
    /// The mode machine does not keep a trip.
    ModeForgetsTrips,
    /// The mode machine never ends a HOLD.
    ModeHoldsForEver,
    /// The desk hands over also when it has refused.
    HandOverOfRefused,
    /// The desk believes whatever epoch stands in the header.
    HandOverOfAnyEpoch,
    /// The desk judges, and forgets to hand over every other network.
    HandOverForgotten,
    /// The desk adopts whatever is well formed, without a trial.
    CanaryAcceptsEverything,
    /// The desk never ends a trial.
    CanaryNeverEnds,
}

impl Mutant {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::EnvelopeStepsByRealTime,
        Self::EnvelopeKeepsLimits,
        Self::EnvelopeForgetsRate,
        Self::ModeIgnoresLease,
        Self::ModeForgetsTrips,
        Self::ModeHoldsForEver,
        Self::HandOverOfRefused,
        Self::HandOverOfAnyEpoch,
        Self::HandOverForgotten,
        Self::CanaryAcceptsEverything,
        Self::CanaryNeverEnds,
    ];

    /// The invariants that it may break first: found by another one, it was not found.
    pub const fn found_by(self) -> &'static [&'static str] {
        match self {
            Self::EnvelopeStepsByRealTime | Self::EnvelopeForgetsRate => &["I2"],
            // Limits that became narrower, or slower.
            Self::EnvelopeKeepsLimits => &["I1", "I2"],
            Self::ModeIgnoresLease => &["armed and leased"],
            // Whatever tripped, and stays.
            Self::ModeForgetsTrips => &["F23", "F69"],
            Self::ModeHoldsForEver => &["t_hold"],
            Self::HandOverOfRefused | Self::HandOverOfAnyEpoch | Self::HandOverForgotten => &["sound policies alone"],
            Self::CanaryAcceptsEverything => &["F10"],
            Self::CanaryNeverEnds => &["a verdict in time"],
        }
    }

    /// What the cycle is made from.
    pub(super) fn settings(self, settings: &mut CycleSettings<'_>) {
        match self {
            // The period limits nothing but the envelope's step.
            Self::EnvelopeStepsByRealTime => {
                settings.period = Period::from_ns(1_000 * settings.period.as_ns()).unwrap_or(settings.period);
            }
            Self::ModeHoldsForEver => settings.modes.hold_max = Span::MAX,
            _ => {}
        }
    }

    /// What the cycle takes in.
    pub(super) fn inputs(self, inputs: &Inputs) -> Inputs {
        let mut inputs = inputs.clone();
        match self {
            Self::EnvelopeKeepsLimits => inputs.changes = None,
            Self::ModeIgnoresLease => inputs.commands.retain(|command| *command != Command::Lease(false)),
            Self::ModeForgetsTrips => inputs.commands.insert(0, Command::Reset),
            _ => {}
        }
        inputs
    }

    /// What the cycle gives out.
    pub(super) fn outputs(
        self,
        limits: &[(LimitsByMode, ScalarKind)],
        seen: &mut Witness,
        set: &mut Option<SetpointSet>,
    ) {
        let (Self::EnvelopeForgetsRate, Some(set)) = (self, set) else { return };
        for ((row, value), (limits, kind)) in seen.rows.iter_mut().zip(&mut set.values).zip(limits) {
            if let (Some(limits), ScalarKind::Double, true) = (limits.of(seen.mode), kind, row.sent.is_some())
                && row.desired.is_finite()
            {
                row.sent = Some(row.desired.clamp(limits.lo, limits.hi));
                *value = row.sent;
            }
        }
    }

    /// What the desk is made from.
    pub(super) fn site(self, site: &Site) -> Site {
        let mut site = site.clone();
        match self {
            Self::CanaryAcceptsEverything => site.runtime.canary = None,
            Self::CanaryNeverEnds => {
                site.interaction.action_period = Span::MAX;
                site.runtime.canary.iter_mut().for_each(|canary| canary.decisions = u32::MAX);
            }
            _ => {}
        }
        site
    }

    /// Before the desk's turn.
    pub(super) fn before_turn(self, desk: &mut Desk) {
        desk.forgetful = self == Self::HandOverForgotten;
        if let (Self::HandOverOfAnyEpoch, Some(header)) = (self, desk.waiting().and_then(WeightsHeader::from_words)) {
            desk.grant(header.epoch);
        }
    }

    /// After the desk's turn.
    pub(super) fn after_turn(self, desk: &mut Desk, told: &[Told]) {
        if self == Self::HandOverOfRefused && told.iter().any(|told| matches!(told, Told::Disbelieved(_))) {
            desk.hand_over_unjudged();
        }
    }
}

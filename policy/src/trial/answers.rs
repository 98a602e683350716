//! What networks say to a state, and how far they go with it.

use rt_config::{Range, Site};
use shm_layout::StepRef;

use crate::agent::AdoptedPolicy;
use crate::kernels::{Kernel, NetSpec, Scratch, SpecError, clip};
use crate::pipeline::normalised;

/// A mean so far beyond the setpoint's scale, in widths of that scale, is no longer aimed at its end: an actor learns from
/// actions inside, and where an end is best its mean lies there, give or take a few hundredths.
const PRESSING: f32 = 0.1;
/// An f32 at an end of the scale may lie beyond it by so much.
const ROUNDING: f64 = 1e-6;

/// The answer for one setpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Answer {
    /// Where it wants the setpoint, in [0, 1]; inside the agent's bounds.
    pub(super) action: f32,
    /// Its mean presses against an end of the scale.
    pub(super) saturated: bool,
    /// The action lies outside the range that the envelope permits in RUN.
    pub(super) clamped: bool,
}

/// Asks networks.
#[derive(Clone, Debug)]
pub(super) struct Examiner {
    kernel: Kernel,
    scratch: Scratch,
    /// Means, then logits of deviations.
    outputs: Vec<f32>,
    /// What the envelope permits in RUN, per setpoint, in the action's scale. Limits that are narrowed live curb a policy that
    /// does not know them; so these stay.
    permitted: Vec<Range>,
}

impl Examiner {
    /// An examiner of this site's networks.
    pub(super) fn new(site: &Site, spec: &NetSpec, kernel: Kernel) -> Result<Self, SpecError> {
        let permitted = site.setpoints.iter().map(|setpoint| {
            let limits = setpoint.settings.limits.run;
            Range { lo: normalised(limits.lo, setpoint.scale), hi: normalised(limits.hi, setpoint.scale) }
        });
        Ok(Self {
            kernel,
            scratch: Scratch::of(spec)?,
            outputs: vec![0.0; spec.outputs()],
            permitted: permitted.collect(),
        })
    }

    /// The policy's answers to the state of this step, setpoint by setpoint: its means, without exploration.
    pub(super) fn ask<'a>(
        &'a mut self,
        policy: &AdoptedPolicy,
        step: &'a StepRef<'_>,
    ) -> impl Iterator<Item = Answer> + use<'a> {
        policy.net().forward(self.kernel, step.state, &mut self.scratch, &mut self.outputs);
        let bounds = step.lo.iter().zip(step.hi);
        let places = self.outputs.iter().zip(bounds).zip(&self.permitted);
        places.map(|((mean, (lo, hi)), permitted)| {
            let action = clip(*mean, *lo, *hi);
            Answer {
                action,
                // NaN is inside of nothing.
                saturated: !(-PRESSING..=1.0 + PRESSING).contains(mean),
                clamped: !(permitted.lo - ROUNDING..=permitted.hi + ROUNDING).contains(&f64::from(action)),
            }
        })
    }
}

//! The trial: candidate and policy in use answer the same states.

use rt_config::Canary as Settings;
use rt_core::time::MonoTime;
use shm_layout::StepRef;

use super::Course;
use super::answers::Examiner;
use crate::agent::AdoptedPolicy;

/// Why a candidate did not stand its trial.
///
/// The rate limit is no measure of it: in the shadow the plant follows another policy, so whoever wants to be elsewhere is
/// cut by the rate in every decision. That is divergence, counted twice.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum TrialFailed {
    /// Its means press against the ends of the setpoints' scales, or are not numbers.
    #[error("saturation: {value:.2} of its outputs, at most {limit}")]
    Saturation {
        /// The share of its outputs.
        value: f64,
        /// The largest permitted share.
        limit: f64,
    },
    /// The envelope would have had to keep its actions in range.
    #[error("clamps: {value:.2} of its outputs, at most {limit}")]
    Clamps {
        /// The share of its outputs.
        value: f64,
        /// The largest permitted share.
        limit: f64,
    },
    /// It does something else than the policy in use.
    #[error("divergence: {value:.2} of the range, at most {limit}")]
    Divergence {
        /// Its mean distance from the policy in use, in parts of the setpoints' scales.
        value: f64,
        /// The largest permitted one.
        limit: f64,
    },
}

/// A trial and what it has shown so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Canary {
    course: Course,
    outputs: u32,
    saturated: u32,
    clamped: u32,
    /// Sum over all outputs.
    distance: f64,
    /// What the policy in use answers.
    usual: Vec<f32>,
}

impl Canary {
    pub(super) const fn course(&self) -> Course {
        self.course
    }

    /// Both policies answer the state of a decision.
    pub(super) fn note(
        &mut self,
        at: MonoTime,
        candidate: &AdoptedPolicy,
        in_use: &AdoptedPolicy,
        examiner: &mut Examiner,
        step: &StepRef<'_>,
    ) {
        self.course.note(at);
        self.usual.clear();
        self.usual.extend(examiner.ask(in_use, step).map(|answer| answer.action));
        for (answer, usual) in examiner.ask(candidate, step).zip(&self.usual) {
            self.outputs += 1;
            self.saturated += u32::from(answer.saturated);
            self.clamped += u32::from(answer.clamped);
            let distance = f64::from((answer.action - usual).abs());
            // As far as can be, when it is no number.
            self.distance += if distance.is_finite() { distance } else { 1.0 };
        }
    }

    /// Judges what was seen. Beside the nominal policy a distance says nothing.
    pub(super) fn judge(&self, settings: &Settings, in_use_is_nominal: bool) -> Result<(), TrialFailed> {
        let outputs = f64::from(self.outputs.max(1));
        let (value, limit) = (f64::from(self.saturated) / outputs, settings.saturation);
        if value > limit {
            return Err(TrialFailed::Saturation { value, limit });
        }
        let (value, limit) = (f64::from(self.clamped) / outputs, settings.clamps);
        if value > limit {
            return Err(TrialFailed::Clamps { value, limit });
        }
        let (value, limit) = (self.distance / outputs, settings.divergence);
        if value > limit && !in_use_is_nominal {
            return Err(TrialFailed::Divergence { value, limit });
        }
        Ok(())
    }
}

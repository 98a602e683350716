//! A vessel that drains by itself and must be held at a level (specification, section 11, "saturation").
//!
//! `m <- tau m + (1 - tau) u; S <- clip(S D(t) + m G(t), 0, 1)`, observed `clip(S - filter, 0, 1)` as `level`, reward
//! `-|level - sp|`, plus `amplitude cos(2 pi count (level - sp))` when it is multimodal. `D` oscillates; `G` is 1
//! unless it has a period. The vessel begins empty, `t` is 0 in the first step. Delays and bad readings are
//! [`Disturbances`](crate::Disturbances), as of every plant.

use std::f64::consts::TAU;

use crate::Signal;
use crate::options::options;
use crate::schedule::cosine;
use crate::simulated::{Dynamics, Simulated, copy};

pub(crate) const INPUTS: &[Signal] = &[Signal { name: "u", unit: "1", lo: 0.0, hi: 0.5, nominal: 0.25 }];

const OUTPUTS: &[Signal] = &[
    Signal { name: "level", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.0 },
    Signal { name: "level_sp", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.5 },
];

options! {
    /// A reward with several maxima: `amplitude * cos(2 pi count (level - sp))` is added to it.
    pub struct Multimodal {
        /// Maxima per unit of level.
        count: f64 = 5.0, 0.0..=1000.0;
        /// Height of the maxima, in units of reward.
        amplitude: f64 = 0.5, 0.0..=1000.0;
    }
}

options! {
    /// The variants of saturation; the default is the plain plant.
    pub struct SaturationOptions {
        /// Mean of the part of the level that stays, per step.
        decay_mean: f64 = 0.75, 0.0..=1.0;
        /// Amplitude of its oscillation.
        decay_amplitude: f64 = 0.15, 0.0..=1.0;
        /// Period of its oscillation, in steps.
        decay_period_steps: f64 = 100.0, 1.0..=1e9;
        /// When set, the gain is `gain_mean + gain_amplitude cos(2 pi t / period)` instead of 1; in steps.
        gain_period_steps: Option<f64> = None, 1.0..=1e9;
        /// Mean of a gain that has a period.
        gain_mean: f64 = 0.75, 0.0..=10.0;
        /// Amplitude of a gain that has a period.
        gain_amplitude: f64 = 0.15, 0.0..=10.0;
        /// The input's memory `tau`: `m <- tau m + (1 - tau) u`.
        input_trace: f64 = 0.0, 0.0..=1.0;
        /// The level to hold.
        setpoint: f64 = 0.5, 0.0..=1.0;
        /// A later setpoint, `[step, level]`: from this step on, this level.
        setpoint_change: Option<(u64, f64)> = None, 0.0..=1.0;
        /// What a filter takes off the reading: `clip(level - filter, 0, 1)`.
        filter: f64 = 0.0, 0.0..=1.0;
        /// A reward with several maxima.
        multimodal: Option<Multimodal> = None;
    }
    unless {
        multimodal: |o| o.multimodal.is_none_or(|m| m.is_possible()),
            "give a count and an amplitude from 0 to 1000";
    }
}

impl Multimodal {
    fn is_possible(&self) -> bool {
        let mut checks = crate::options::Checks::default();
        self.check(&mut checks);
        checks.result("multimodal").is_ok()
    }
}

/// The vessel.
#[derive(Debug, Clone)]
pub struct Vessel {
    options: SaturationOptions,
    trace: f64,
    level: f64,
    observed: [f64; 2],
}

/// The plant "saturation".
pub type Saturation = Simulated<Vessel>;

impl Saturation {
    /// A plant with an empty vessel.
    ///
    /// Nothing in it is random; it takes a seed because every plant is made from one. Options outside their permitted
    /// values are for [`Environment::build`](crate::Environment::build) to refuse.
    #[must_use]
    pub fn new(seed: u64, options: SaturationOptions) -> Self {
        Self::from_start(Vessel::new(seed, options))
    }
}

impl Vessel {
    pub(crate) fn new(_seed: u64, options: SaturationOptions) -> Self {
        Self { options, trace: 0.0, level: 0.0, observed: [0.0, options.setpoint] }
    }

    fn setpoint(&self, time_steps: u64) -> f64 {
        match self.options.setpoint_change {
            Some((from_step, setpoint)) if time_steps >= from_step => setpoint,
            _ => self.options.setpoint,
        }
    }
}

impl Dynamics for Vessel {
    const NAME: &'static str = "saturation";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn measured(&self) -> usize {
        1
    }

    fn advance(&mut self, actuators: &[f64], time_steps: u64) -> f64 {
        let o = self.options;
        let decay = o.decay_mean + o.decay_amplitude * cosine(time_steps, o.decay_period_steps);
        let gain =
            o.gain_period_steps.map_or(1.0, |period| o.gain_mean + o.gain_amplitude * cosine(time_steps, period));
        self.trace = o.input_trace * self.trace + (1.0 - o.input_trace) * actuators[0];
        self.level = (self.level * decay + self.trace * gain).clamp(0.0, 1.0);
        self.observed = [(self.level - o.filter).clamp(0.0, 1.0), self.setpoint(time_steps)];

        let error = self.observed[0] - self.observed[1];
        let bonus =
            o.multimodal.map_or(0.0, |multimodal| multimodal.amplitude * libm::cos(TAU * multimodal.count * error));
        bonus - error.abs()
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&self.observed, outputs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{close, trajectory};

    /// Without the oscillation of the decay.
    fn plain() -> SaturationOptions {
        SaturationOptions { decay_amplitude: 0.0, ..SaturationOptions::default() }
    }

    fn steps(options: SaturationOptions, input: f64, steps: usize) -> Vec<Vec<f64>> {
        trajectory(&mut Saturation::new(1, options), &vec![vec![input]; steps])
    }

    #[test]
    fn the_first_steps_follow_the_formula() {
        // D(0) = .9, D(1) = .75 + .15 cos(2 pi/100) = .899704009; rows: level, setpoint, reward.
        let found = steps(SaturationOptions::default(), 0.1, 3);
        close(&found[0], &[0.1, 0.5, -0.4]);
        close(&found[1], &[0.189_970_400_9, 0.5, -0.310_029_599_1]);
        // D(2) = .75 + .15 * .992114701 = .898817205
        close(&found[2], &[0.270_748_664_8, 0.5, -0.229_251_335_2]);
    }

    #[test]
    fn a_constant_decay_has_the_equilibrium_u_over_one_minus_d() {
        let last = steps(plain(), 0.1, 200).pop().unwrap();
        close(&last, &[0.4, 0.5, -0.1]);
    }

    #[test]
    fn gain_trace_filter_and_multimodal_follow_their_formulas() {
        let options = SaturationOptions {
            gain_period_steps: Some(500.0),
            input_trace: 0.9,
            filter: 0.01,
            multimodal: Some(Multimodal::default()),
            ..plain()
        };
        // m = .1 * .5 = .05; G(0) = .9; S = .045; observed .035; error -.465: bonus .5 cos(2 pi 2.325) = -.226995250
        close(&steps(options, 0.5, 1)[0], &[0.035, 0.5, -0.465 - 0.226_995_249_9]);
        // m = .095; G(1) = .75 + .15 cos(2 pi/500) = .899988156; S = .75 * .045 + .095 G = .119248874808
        close(&steps(options, 0.5, 2)[1][..1], &[0.109_248_874_8]);
    }

    #[test]
    fn the_setpoint_changes_at_its_step() {
        let found = steps(SaturationOptions { setpoint_change: Some((2, 0.7)), ..plain() }, 0.1, 4);
        let setpoints: Vec<f64> = found.iter().map(|row| row[1]).collect();
        assert_eq!(setpoints, [0.5, 0.5, 0.7, 0.7]);
    }
}

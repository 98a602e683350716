//! Three vessels side by side, each with an input of its own (specification, section 11, "multi_action_saturation").
//!
//! `m_i <- .9 m_i + .1 u_i; F_i <- clip(D F_i + m_i G_i(t), 0, 1)` with
//! `G_i(t) = gain_mean + gain_amplitude cos(2 pi t f_i / period + phi_i)`, reward `-sum |F_i - sp_i|`. The vessels
//! begin empty, `t` is 0 in the first step. Nothing is random.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, TAU};

use crate::Signal;
use crate::options::options;
use crate::simulated::{Dynamics, copy};

const COUNT: usize = 3;

const fn input(name: &'static str) -> Signal {
    Signal { name, unit: "1", lo: 0.0, hi: 0.5, nominal: 0.25 }
}

const fn output(name: &'static str, nominal: f64) -> Signal {
    Signal { name, unit: "1", lo: 0.0, hi: 1.0, nominal }
}

const INPUTS: &[Signal] = &[input("u1"), input("u2"), input("u3")];
const OUTPUTS: &[Signal] = &[
    output("F1", 0.0),
    output("F2", 0.0),
    output("F3", 0.0),
    output("F1_sp", 0.3),
    output("F2_sp", 0.5),
    output("F3_sp", 0.7),
];

options! {
    /// The variants of multi-action saturation; a list has one value for each vessel.
    pub struct MultiActionSaturationOptions {
        /// The part of a level that stays, per step.
        decay: f64 = 0.75, 0.0..=1.0;
        /// What an input's memory keeps of itself, per step.
        input_trace: f64 = 0.9, 0.0..=1.0;
        /// What an input adds to its memory, per step: `1 - input_trace` for an average.
        input_share: f64 = 0.1, 0.0..=1.0;
        /// Mean of the gains.
        gain_mean: f64 = 0.75, 0.0..=10.0;
        /// Amplitude of the gains' oscillations.
        gain_amplitude: f64 = 0.15, 0.0..=10.0;
        /// Period of the gains' oscillations at the frequency 1, in steps.
        gain_period_steps: f64 = 100.0, 1.0..=1e9;
        /// Frequencies of the gains' oscillations, in parts of the base frequency.
        frequencies: [f64; 3] = [1.0, 1.5, 2.0], 0.0..=1000.0;
        /// Phases of the gains' oscillations, in radians.
        phases_rad: [f64; 3] = [0.0, FRAC_PI_4, FRAC_PI_2], -10.0..=10.0;
        /// The levels to hold.
        setpoints: [f64; 3] = [0.3, 0.5, 0.7], 0.0..=1.0;
    }
}

/// The vessels.
#[derive(Debug, Clone)]
pub(crate) struct Vessels {
    options: MultiActionSaturationOptions,
    traces: [f64; COUNT],
    levels: [f64; COUNT],
}

impl Vessels {
    pub(crate) fn new(_seed: u64, options: MultiActionSaturationOptions) -> Self {
        Self { options, traces: [0.0; COUNT], levels: [0.0; COUNT] }
    }
}

impl Dynamics for Vessels {
    const NAME: &'static str = "multi_action_saturation";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn measured(&self) -> usize {
        COUNT
    }

    fn advance(&mut self, actuators: &[f64], time_steps: u64) -> f64 {
        let o = &self.options;
        let time = time_steps as f64;
        let mut reward = 0.0;
        for (i, &input) in actuators.iter().enumerate() {
            let angle = TAU * time * o.frequencies[i] / o.gain_period_steps + o.phases_rad[i];
            let gain = o.gain_mean + o.gain_amplitude * libm::cos(angle);
            self.traces[i] = o.input_trace * self.traces[i] + o.input_share * input;
            self.levels[i] = (o.decay * self.levels[i] + self.traces[i] * gain).clamp(0.0, 1.0);
            reward -= (self.levels[i] - o.setpoints[i]).abs();
        }
        reward
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&self.levels, outputs);
        copy(&self.options.setpoints, outputs.get_mut(COUNT..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{close, run};

    #[test]
    fn the_first_steps_follow_the_formula() {
        let found = run(r#"{"name": "multi_action_saturation"}"#, 1, &[vec![0.5, 0.4, 0.2], vec![0.5, 0.0, 0.0]]);
        // m = .05, .04, .02; G(0) = .9, .75 + .15 cos(pi/4) = .856066017, .75.
        close(&found[0][..3], &[0.045, 0.034_242_640_7, 0.015]);
        close(&found[0][6..], &[-(0.255 + 0.465_757_359_3 + 0.685)]);
        // m = .095, .036, .018; G(1) = .899704009, .75 + .15 cos(.03 pi + pi/4) = .845122...
        let gain_2 = 0.75 + 0.15 * libm::cos(0.03 * std::f64::consts::PI + FRAC_PI_4);
        let gain_3 = 0.75 - 0.15 * libm::sin(0.04 * std::f64::consts::PI);
        close(
            &found[1][..3],
            &[
                0.75 * 0.045 + 0.095 * 0.899_704_009_0,
                0.75 * 0.034_242_640_7 + 0.036 * gain_2,
                0.75 * 0.015 + 0.018 * gain_3,
            ],
        );
        assert_eq!(found[1][3..6], [0.3, 0.5, 0.7]);
    }

    #[test]
    fn constant_gains_have_the_equilibrium_u_g_over_one_minus_d() {
        let case = r#"{"name": "multi_action_saturation", "gain_amplitude": 0, "decay": 0.5}"#;
        let found = run(case, 1, &vec![vec![0.1, 0.2, 0.3]; 400]);
        close(&found[399][..3], &[0.15, 0.3, 0.45]);
    }
}

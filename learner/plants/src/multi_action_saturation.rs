//! Three vessels side by side, each with an input of its own.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_4, TAU};

use crate::{Plant, Signal, actuate, copy};

const COUNT: usize = 3;
const SETPOINTS: [f64; COUNT] = [0.3, 0.5, 0.7];
const FREQUENCIES: [f64; COUNT] = [1.0, 1.5, 2.0];
const PHASES: [f64; COUNT] = [0.0, FRAC_PI_4, FRAC_PI_2];

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
    output("F1_sp", SETPOINTS[0]),
    output("F2_sp", SETPOINTS[1]),
    output("F3_sp", SETPOINTS[2]),
];

/// `m_i <- .9 m_i + .1 u_i; F_i <- clip(.75 F_i + m_i G_i(t), 0, 1)`, reward `-sum |F_i - sp_i|`.
///
/// It has no noise, hence no seed.
#[derive(Debug, Clone)]
pub struct MultiActionSaturation {
    time_steps: u64,
    actuators: [f64; COUNT],
    traces: [f64; COUNT],
    levels: [f64; COUNT],
    reward: f64,
}

impl MultiActionSaturation {
    /// A plant with three empty vessels.
    #[must_use]
    pub fn new() -> Self {
        Self {
            time_steps: 0,
            actuators: [INPUTS[0].nominal; COUNT],
            traces: [0.0; COUNT],
            levels: [0.0; COUNT],
            reward: 0.0,
        }
    }
}

impl Default for MultiActionSaturation {
    fn default() -> Self {
        Self::new()
    }
}

impl Plant for MultiActionSaturation {
    fn name(&self) -> &'static str {
        "multi_action_saturation"
    }

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn step(&mut self, inputs: &[f64], outputs: &mut [f64]) {
        actuate(&mut self.actuators, inputs, INPUTS);
        let time = self.time_steps as f64;
        self.reward = 0.0;
        for i in 0..COUNT {
            let gain = 0.75 + 0.15 * libm::cos(TAU * time * FREQUENCIES[i] / 100.0 + PHASES[i]);
            self.traces[i] = 0.9 * self.traces[i] + 0.1 * self.actuators[i];
            self.levels[i] = (0.75 * self.levels[i] + self.traces[i] * gain).clamp(0.0, 1.0);
            self.reward -= (self.levels[i] - SETPOINTS[i]).abs();
        }
        self.time_steps += 1;
        self.observe(outputs);
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&self.levels, outputs);
        copy(&SETPOINTS, outputs.get_mut(COUNT..).unwrap_or_default());
    }

    fn reward(&self) -> f64 {
        self.reward
    }

    fn reset(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn constant_inputs_of_the_right_size_bring_the_levels_near_their_setpoints() {
        let mut plant = MultiActionSaturation::new();
        let mut outputs = [0.0; 6];
        for _ in 0..200 {
            plant.step(&[0.1, 0.5 / 3.0, 0.7 / 3.0], &mut outputs);
        }
        for i in 0..COUNT {
            assert!((outputs[i] - outputs[COUNT + i]).abs() < 0.2, "{outputs:?}");
        }
        assert_eq!(outputs[COUNT..], SETPOINTS);
    }

    #[test]
    fn the_first_step_follows_the_formula() {
        let mut plant = MultiActionSaturation::new();
        let mut outputs = [0.0; 6];
        plant.step(&[0.5, 0.0, 0.0], &mut outputs);
        assert_eq!(outputs[0], 0.1 * 0.5 * 0.9);
        assert_eq!(plant.reward(), -(0.3 - outputs[0]) - 0.5 - 0.7);
    }
}

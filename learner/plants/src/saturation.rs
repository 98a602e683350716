//! A vessel that drains by itself and must be held at a level.

use std::f64::consts::TAU;

use crate::noise::Noise;
use crate::{Plant, Signal, actuate, copy};

const INPUTS: &[Signal] = &[Signal { name: "u", unit: "1", lo: 0.0, hi: 0.5, nominal: 0.25 }];

const OUTPUTS: &[Signal] = &[
    Signal { name: "level", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.0 },
    Signal { name: "level_sp", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.5 },
];

/// The longest observation delay, in steps.
const DELAY_MAX: usize = 64;

/// A reward with several maxima: `amplitude * cos(2 pi count (level - sp))` is added to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Multimodal {
    /// Maxima per unit of level.
    pub count: f64,
    /// Height of the maxima, in units of reward.
    pub amplitude: f64,
}

/// The variants of [`Saturation`]; the default is the plain plant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SaturationOptions {
    /// Mean of the part of the level that stays, per step.
    pub decay_mean: f64,
    /// Amplitude of its oscillation.
    pub decay_amplitude: f64,
    /// Period of its oscillation, in steps.
    pub decay_period_steps: f64,
    /// When set, the gain is `0.75 + 0.15 cos(2 pi t / period)` instead of 1; in steps.
    pub gain_period_steps: Option<f64>,
    /// The input's memory `tau`: `m <- tau m + (1 - tau) u`.
    pub input_trace: f64,
    /// The level to hold.
    pub setpoint: f64,
    /// A later setpoint: from this step on, this level.
    pub setpoint_change: Option<(u64, f64)>,
    /// Observations lag by this many steps, at most 64.
    pub delay_steps: usize,
    /// What a filter takes off the reading: `clip(level - filter, 0, 1)`.
    pub filter: f64,
    /// A reward with several maxima.
    pub multimodal: Option<Multimodal>,
    /// Probability that a reading is missing (NaN).
    pub missing_probability: f64,
    /// Probability that `N(0, 5)` is added to a reading.
    pub perturbed_probability: f64,
}

impl Default for SaturationOptions {
    fn default() -> Self {
        Self {
            decay_mean: 0.75,
            decay_amplitude: 0.15,
            decay_period_steps: 100.0,
            gain_period_steps: None,
            input_trace: 0.0,
            setpoint: 0.5,
            setpoint_change: None,
            delay_steps: 0,
            filter: 0.0,
            multimodal: None,
            missing_probability: 0.0,
            perturbed_probability: 0.0,
        }
    }
}

/// `m <- tau m + (1 - tau) u; S <- clip(S D(t) + m G, 0, 1)`, reward `-|S - sp|`.
///
/// The reward is computed from the level as delayed and filtered, before readings are lost or perturbed.
#[derive(Debug, Clone)]
pub struct Saturation {
    options: SaturationOptions,
    seed: u64,
    noise: Noise,
    time_steps: u64,
    actuator: [f64; 1],
    trace: f64,
    level: f64,
    /// Former levels; the one of step `t` is at `t % (delay_steps + 1)`.
    delayed: [f64; DELAY_MAX + 1],
    observed: [f64; 2],
    reward: f64,
}

impl Saturation {
    /// A plant with an empty vessel.
    #[must_use]
    pub fn new(seed: u64, options: SaturationOptions) -> Self {
        Self {
            options,
            seed,
            noise: Noise::new(seed, "saturation readings"),
            time_steps: 0,
            actuator: [INPUTS[0].nominal],
            trace: 0.0,
            level: 0.0,
            delayed: [0.0; DELAY_MAX + 1],
            observed: [0.0, options.setpoint],
            reward: 0.0,
        }
    }

    fn setpoint(&self) -> f64 {
        match self.options.setpoint_change {
            Some((from_step, setpoint)) if self.time_steps >= from_step => setpoint,
            _ => self.options.setpoint,
        }
    }

    /// The level of `delay_steps` ago, 0 at first.
    fn delay(&mut self, level: f64) -> f64 {
        let length = self.options.delay_steps.min(DELAY_MAX) + 1;
        let ring = &mut self.delayed[..length];
        let now = (self.time_steps % length as u64) as usize;
        ring[now] = level;
        ring[(now + 1) % length]
    }

    fn reading(&mut self, level: f64) -> f64 {
        // Always three draws, so that one variant does not shift the noise of another.
        let (missing, perturbed, noise) = (self.noise.uniform(), self.noise.uniform(), self.noise.normal());
        if missing < self.options.missing_probability {
            f64::NAN
        } else if perturbed < self.options.perturbed_probability {
            level + 5.0 * noise
        } else {
            level
        }
    }
}

impl Plant for Saturation {
    fn name(&self) -> &'static str {
        "saturation"
    }

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn step(&mut self, inputs: &[f64], outputs: &mut [f64]) {
        let o = self.options;
        actuate(&mut self.actuator, inputs, INPUTS);
        let time = self.time_steps as f64;
        let decay = o.decay_mean + o.decay_amplitude * libm::cos(TAU * time / o.decay_period_steps);
        let gain = o.gain_period_steps.map_or(1.0, |period| 0.75 + 0.15 * libm::cos(TAU * time / period));
        self.trace = o.input_trace * self.trace + (1.0 - o.input_trace) * self.actuator[0];
        self.level = (self.level * decay + self.trace * gain).clamp(0.0, 1.0);

        let seen = (self.delay(self.level) - o.filter).clamp(0.0, 1.0);
        let error = seen - self.setpoint();
        let bonus =
            o.multimodal.map_or(0.0, |multimodal| multimodal.amplitude * libm::cos(TAU * multimodal.count * error));
        self.reward = bonus - error.abs();
        self.observed = [self.reading(seen), self.setpoint()];
        self.time_steps += 1;
        self.observe(outputs);
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&self.observed, outputs);
    }

    fn reward(&self) -> f64 {
        self.reward
    }

    fn reset(&mut self) {
        *self = Self::new(self.seed, self.options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(options: SaturationOptions, input: f64, steps: usize) -> Vec<f64> {
        let mut plant = Saturation::new(1, options);
        let mut outputs = [0.0; 2];
        (0..steps)
            .map(|_| {
                plant.step(&[input], &mut outputs);
                outputs[0]
            })
            .collect()
    }

    #[test]
    fn the_first_levels_follow_the_formula() {
        let found = levels(SaturationOptions::default(), 0.1, 2);
        let decay = 0.75 + 0.15 * libm::cos(TAU / 100.0);
        assert_eq!(found, [0.1, 0.1 * decay + 0.1]);
    }

    #[test]
    fn a_delay_shows_the_same_levels_later() {
        let plain = levels(SaturationOptions::default(), 0.1, 20);
        let options = SaturationOptions { delay_steps: 3, ..SaturationOptions::default() };
        let delayed = levels(options, 0.1, 20);
        assert_eq!(delayed[..3], [0.0; 3]);
        assert_eq!(delayed[3..], plain[..17]);
    }

    #[test]
    fn readings_are_lost_as_often_as_asked_and_the_reward_is_not() {
        let options = SaturationOptions { missing_probability: 0.4, ..SaturationOptions::default() };
        let missing = levels(options, 0.1, 2_000).iter().filter(|level| level.is_nan()).count();
        assert!((700..900).contains(&missing), "{missing}");
        let mut plant = Saturation::new(1, options);
        for _ in 0..100 {
            plant.step(&[0.1], &mut []);
            assert!(plant.reward().is_finite());
        }
    }

    #[test]
    fn the_setpoint_changes_at_its_step() {
        let mut plant =
            Saturation::new(1, SaturationOptions { setpoint_change: Some((2, 0.7)), ..SaturationOptions::default() });
        let mut outputs = [0.0; 2];
        let setpoints: Vec<f64> = (0..4)
            .map(|_| {
                plant.step(&[0.1], &mut outputs);
                outputs[1]
            })
            .collect();
        assert_eq!(setpoints, [0.5, 0.5, 0.7, 0.7]);
    }

    #[test]
    fn an_input_that_is_not_finite_leaves_the_actuator_where_it_was() {
        let mut plant = Saturation::new(1, SaturationOptions::default());
        let mut outputs = [0.0; 2];
        plant.step(&[0.1], &mut outputs);
        let mut twin = plant.clone();
        plant.step(&[f64::NAN], &mut outputs);
        twin.step(&[0.1], &mut []);
        assert_eq!(plant.reward(), twin.reward());
    }
}

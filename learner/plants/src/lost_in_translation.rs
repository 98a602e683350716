//! A number that wanders and must be repeated, under a reward far from 0 (specification, section 11,
//! "lost_in_translation").
//!
//! `s <- clip(s + U(-d, d), 0, 1)`; reward `offset - |s - a|` of the new `s`, which is also the one observed after the
//! step. The specification names neither `d` nor the start: here 0.1 and 0.5.

use crate::Signal;
use crate::noise::Noise;
use crate::options::options;
use crate::simulated::{Dynamics, copy};

const INPUTS: &[Signal] = &[Signal { name: "a", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.5 }];
const OUTPUTS: &[Signal] = &[Signal { name: "s", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.5 }];

options! {
    /// The variants of lost in translation.
    pub struct LostInTranslationOptions {
        /// The number at first.
        start: f64 = 0.5, 0.0..=1.0;
        /// The longest step `d` of the walk.
        step_max: f64 = 0.1, 0.0..=1.0;
        /// What is added to every reward.
        offset: f64 = -10.0, -1e6..=1e6;
    }
}

/// The walk.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    options: LostInTranslationOptions,
    noise: Noise,
    place: f64,
}

impl Walk {
    pub(crate) fn new(seed: u64, options: LostInTranslationOptions) -> Self {
        Self { place: options.start, noise: Noise::new(seed, "lost in translation"), options }
    }
}

impl Dynamics for Walk {
    const NAME: &'static str = "lost_in_translation";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn advance(&mut self, actuators: &[f64], _time_steps: u64) -> f64 {
        let step_max = self.options.step_max;
        self.place = (self.place + self.noise.between(-step_max, step_max)).clamp(0.0, 1.0);
        self.options.offset - (self.place - actuators[0]).abs()
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&[self.place], outputs);
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::{close, run};

    #[test]
    fn the_reward_is_ten_below_the_distance() {
        let found = run(r#"{"name": "lost_in_translation", "step_max": 0}"#, 1, &[vec![0.2], vec![0.9]]);
        close(&found[0], &[0.5, -10.3]);
        close(&found[1], &[0.5, -10.4]);
    }

    #[test]
    fn the_reward_is_of_the_number_that_is_observed_and_steps_fill_their_interval() {
        let found = run(r#"{"name": "lost_in_translation"}"#, 1, &vec![vec![0.3]; 5_000]);
        let mut longest: f64 = 0.0;
        for rows in found.windows(2) {
            close(&rows[1][1..], &[-10.0 - (rows[1][0] - 0.3).abs()]);
            longest = longest.max((rows[1][0] - rows[0][0]).abs());
        }
        assert!(longest <= 0.1 && longest > 0.099, "{longest}");
        let least = found.iter().map(|row| row[0]).fold(1.0, f64::min);
        assert_eq!(least, 0.0);
    }
}

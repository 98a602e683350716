//! Many readings that mean nothing (specification, section 11, "distraction").
//!
//! Every output is uniform in `[0, 1)` and drawn anew at every step; the specification does not name the distribution.
//! Reward `-mean |a_i - target|` over the inputs. The number of outputs and of inputs is an option.

use crate::Signal;
use crate::noise::Noise;
use crate::options::options;
use crate::simulated::{Dynamics, copy};

/// The most noise outputs.
const NOISES_MAX: usize = 100;
/// The most inputs.
const ACTIONS_MAX: usize = 8;

const fn part(name: &'static str) -> Signal {
    Signal { name, unit: "1", lo: 0.0, hi: 1.0, nominal: 0.5 }
}

/// `noise_00` to `noise_99`, one behind the other.
const NAMES: &str = match std::str::from_utf8(&names()) {
    Ok(names) => names,
    Err(_) => panic!("digits are text"),
};
const NAME_LENGTH: usize = "noise_00".len();

const fn names() -> [u8; NAME_LENGTH * NOISES_MAX] {
    let mut names = [0; NAME_LENGTH * NOISES_MAX];
    let mut at = 0;
    while at < names.len() {
        let (index, place) = (at / NAME_LENGTH, at % NAME_LENGTH);
        names[at] = match place {
            6 => b'0' + (index / 10) as u8,
            7 => b'0' + (index % 10) as u8,
            _ => b"noise_"[place],
        };
        at += 1;
    }
    names
}

const OUTPUTS: &[Signal; NOISES_MAX] = &{
    let mut outputs = [part(""); NOISES_MAX];
    let mut index = 0;
    while index < NOISES_MAX {
        let (_, rest) = NAMES.split_at(index * NAME_LENGTH);
        let (name, _) = rest.split_at(NAME_LENGTH);
        outputs[index] = part(name);
        index += 1;
    }
    outputs
};

const INPUTS: &[Signal; ACTIONS_MAX] =
    &[part("a1"), part("a2"), part("a3"), part("a4"), part("a5"), part("a6"), part("a7"), part("a8")];

options! {
    /// The variants of distraction.
    pub struct DistractionOptions {
        /// How many outputs there are.
        noises: usize = 100, 1..=100;
        /// How many inputs there are.
        actions: usize = 1, 1..=8;
        /// Where the inputs should be.
        target: f64 = 0.5, 0.0..=1.0;
    }
}

/// The readings.
#[derive(Debug, Clone)]
pub(crate) struct Distraction {
    options: DistractionOptions,
    noise: Noise,
    readings: [f64; NOISES_MAX],
}

impl Distraction {
    pub(crate) fn new(seed: u64, options: DistractionOptions) -> Self {
        let mut start = Self { options, noise: Noise::new(seed, "distraction"), readings: [0.0; NOISES_MAX] };
        start.draw();
        start
    }

    fn count(&self) -> usize {
        self.options.noises.min(NOISES_MAX)
    }

    fn draw(&mut self) {
        let count = self.count();
        for reading in &mut self.readings[..count] {
            *reading = self.noise.uniform();
        }
    }
}

impl Dynamics for Distraction {
    const NAME: &'static str = "distraction";

    fn inputs(&self) -> &'static [Signal] {
        &INPUTS[..self.options.actions.clamp(1, ACTIONS_MAX)]
    }

    fn outputs(&self) -> &'static [Signal] {
        &OUTPUTS[..self.count()]
    }

    fn advance(&mut self, actuators: &[f64], _time_steps: u64) -> f64 {
        self.draw();
        let distance: f64 = actuators.iter().map(|a| (a - self.options.target).abs()).sum();
        -distance / actuators.len() as f64
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&self.readings[..self.count()], outputs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{close, plant, run};

    #[test]
    fn the_reward_is_the_mean_distance_of_the_inputs() {
        let found = run(r#"{"name": "distraction", "noises": 2, "actions": 2}"#, 1, &[vec![0.1, 0.7], vec![0.5, 0.5]]);
        close(&[found[0][2], found[1][2]], &[-0.3, 0.0]);
    }

    #[test]
    fn there_are_as_many_outputs_as_asked_for_each_with_its_name() {
        let all = plant(r#"{"name": "distraction"}"#, 1);
        assert_eq!((all.outputs().len(), all.outputs()[0].name, all.outputs()[99].name), (100, "noise_00", "noise_99"));
        assert_eq!(plant(r#"{"name": "distraction", "noises": 37}"#, 1).outputs().len(), 37);
    }

    #[test]
    fn readings_are_uniform_and_change_at_every_step() {
        let found = run(r#"{"name": "distraction"}"#, 1, &vec![vec![0.5]; 200]);
        let all: Vec<f64> = found.iter().flat_map(|row| row[..NOISES_MAX].to_vec()).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / all.len() as f64;
        assert!((mean - 0.5).abs() < 0.01 && (variance - 1.0 / 12.0).abs() < 0.002, "{mean} {variance}");
        assert!(found.windows(2).all(|rows| rows[0][0] != rows[1][0]));
    }
}

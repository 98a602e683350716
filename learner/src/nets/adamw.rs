//! AdamW: Adam with decoupled weight decay.

use policy::kernels::Kernel;
use serde::{Deserialize, Serialize};

const BETA_1: f32 = 0.9;
const BETA_2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

/// What an optimiser is set to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct AdamWOptions {
    pub(crate) learning_rate: f32,
    pub(crate) weight_decay: f32,
}

/// A learning rate that falls to 0 over `steps`, so that the end is not as restless as the beginning.
pub(crate) fn falling(learning_rate: f64, step: usize, steps: usize) -> f32 {
    (learning_rate * (steps - step) as f64 / steps as f64) as f32
}

/// The moments of one parameter vector.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AdamW {
    first: Vec<f32>,
    second: Vec<f32>,
    steps: u32,
}

impl AdamW {
    pub(crate) fn new(len: usize) -> Self {
        Self { first: vec![0.0; len], second: vec![0.0; len], steps: 0 }
    }

    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        self.first.fill(0.0);
        self.second.fill(0.0);
        self.steps = 0;
    }

    /// Whether it was made for a parameter vector of this length.
    pub(crate) fn fits(&self, len: usize) -> bool {
        self.first.len() == len && self.second.len() == len
    }

    /// One step against the gradient.
    pub(crate) fn step(&mut self, kernel: Kernel, parameters: &mut [f32], gradient: &[f32], options: AdamWOptions) {
        self.steps = self.steps.saturating_add(1);
        let power = f64::from(self.steps);
        let correction_1 = (1.0 / (1.0 - libm::pow(f64::from(BETA_1), power))) as f32;
        let correction_2 = (1.0 / (1.0 - libm::pow(f64::from(BETA_2), power))) as f32;
        kernel.run(
            #[inline(always)]
            || self.descend(parameters, gradient, [correction_1, correction_2], options),
        );
    }

    #[inline(always)]
    fn descend(&mut self, parameters: &mut [f32], gradient: &[f32], corrections: [f32; 2], options: AdamWOptions) {
        let AdamWOptions { learning_rate, weight_decay } = options;
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((parameter, &gradient), (first, second)) in parameters.iter_mut().zip(gradient).zip(moments) {
            *first = BETA_1 * *first + (1.0 - BETA_1) * gradient;
            *second = BETA_2 * *second + (1.0 - BETA_2) * (gradient * gradient);
            let step = (*first * corrections[0]) / ((*second * corrections[1]).sqrt() + EPSILON);
            *parameter -= learning_rate * (step + weight_decay * *parameter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: AdamWOptions = AdamWOptions { learning_rate: 0.1, weight_decay: 0.0 };

    #[test]
    fn the_first_step_has_the_length_of_the_learning_rate() {
        let mut optimiser = AdamW::new(2);
        let mut parameters = [1.0, -2.0];
        optimiser.step(Kernel::best(), &mut parameters, &[0.003, -40.0], OPTIONS);
        assert!((parameters[0] - 0.9).abs() < 1e-5 && (parameters[1] + 1.9).abs() < 1e-5);
    }

    #[test]
    fn it_finds_the_minimum_of_a_parabola() {
        let mut optimiser = AdamW::new(1);
        let mut parameters = [3.0];
        for _ in 0..500 {
            let gradient = [2.0 * (parameters[0] - 1.0)];
            optimiser.step(Kernel::best(), &mut parameters, &gradient, OPTIONS);
        }
        assert!((parameters[0] - 1.0).abs() < 1e-2);
    }

    #[test]
    fn decay_shrinks_parameters_without_a_gradient() {
        let mut optimiser = AdamW::new(1);
        let mut parameters = [2.0];
        let options = AdamWOptions { weight_decay: 0.5, ..OPTIONS };
        optimiser.step(Kernel::best(), &mut parameters, &[0.0], options);
        assert!((parameters[0] - 2.0 * 0.95).abs() < 1e-6);
    }
}

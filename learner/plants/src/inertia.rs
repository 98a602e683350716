//! A position that follows its input at once, and must not be moved far (specification, section 11, "inertia").
//!
//! Reward `-|s - a| - weight |s - target|` of the old `s`; then `s <- a`. So a step's reward depends on the position
//! observed before it and on its input. The specification does not say where it begins: here at 0. Nothing is random.

use crate::Signal;
use crate::options::options;
use crate::simulated::{Dynamics, copy};

const INPUTS: &[Signal] = &[Signal { name: "a", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.5 }];
const OUTPUTS: &[Signal] = &[Signal { name: "position", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.0 }];

options! {
    /// The variants of inertia.
    pub struct InertiaOptions {
        /// The position at first.
        start: f64 = 0.0, 0.0..=1.0;
        /// The position to be at.
        target: f64 = 0.7, 0.0..=1.0;
        /// Weight of the distance from the target.
        weight: f64 = 0.2, 0.0..=1000.0;
    }
}

/// The position.
#[derive(Debug, Clone)]
pub(crate) struct Inertia {
    options: InertiaOptions,
    position: f64,
}

impl Inertia {
    pub(crate) fn new(_seed: u64, options: InertiaOptions) -> Self {
        Self { position: options.start, options }
    }
}

impl Dynamics for Inertia {
    const NAME: &'static str = "inertia";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn advance(&mut self, actuators: &[f64], _time_steps: u64) -> f64 {
        let o = &self.options;
        let reward = -(self.position - actuators[0]).abs() - o.weight * (self.position - o.target).abs();
        self.position = actuators[0];
        reward
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&[self.position], outputs);
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::{close, run};

    #[test]
    fn the_first_steps_follow_the_formula() {
        let found = run(r#"{"name": "inertia"}"#, 1, &[vec![0.4], vec![0.7], vec![0.7]]);
        close(&found[0], &[0.4, -0.4 - 0.14]);
        close(&found[1], &[0.7, -0.3 - 0.06]);
        close(&found[2], &[0.7, 0.0]);
    }
}

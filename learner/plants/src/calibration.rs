//! A quantity that wears off and is renewed at a cost (specification, section 11, "calibration").
//!
//! `cv = max(gain (u - p), 0); p <- max(p - wear + cv, 0)`, efficiency `e = slope p + b` of the new `p`, where `b`
//! alternates between two values, and cost `c = cost_scale cv`. Reward: the goal `e >= efficiency_sp` (violation
//! measured down to 0), then minimise `c` in `[0, 1]`. `t` is 0 in the first step. Nothing is random.

use crate::Signal;
use crate::goals::{prioritised, shortfall};
use crate::options::options;
use crate::schedule::alternate;
use crate::simulated::{Dynamics, copy};

const fn part(name: &'static str, nominal: f64) -> Signal {
    Signal { name, unit: "1", lo: 0.0, hi: 1.0, nominal }
}

const INPUTS: &[Signal] = &[part("u", 0.5)];
const OUTPUTS: &[Signal] = &[part("position", 0.5), part("efficiency", 0.65), part("cost", 0.0)];

options! {
    /// The variants of calibration.
    pub struct CalibrationOptions {
        /// The position `p` at first.
        start: f64 = 0.5, 0.0..=1.0;
        /// The part of the way to `u` that a step renews.
        gain: f64 = 0.1, 0.0..=1.0;
        /// What a step wears off.
        wear: f64 = 0.01, 0.0..=1.0;
        /// Efficiency per position.
        slope: f64 = 0.7, 0.0..=1.0;
        /// The efficiencies at position 0, in turn.
        offsets: [f64; 2] = [0.3, 0.1], 0.0..=1.0;
        /// How long an offset holds, in steps.
        offset_steps: u64 = 500, 1..=1_000_000_000;
        /// Cost per renewal.
        cost_scale: f64 = 10.0, 0.0..=1e6;
        /// The least efficiency.
        efficiency_sp: f64 = 0.5, 0.0..=1.0;
    }
    unless {
        slope: |o| o.slope + o.offsets[0].max(o.offsets[1]) <= 1.0,
            "keep slope + offset at most 1, or the efficiency leaves its range";
        cost_scale: |o| o.cost_scale * o.gain <= 1.0, "keep cost_scale * gain at most 1, or the cost leaves its range";
    }
}

/// The quantity.
#[derive(Debug, Clone)]
pub(crate) struct Worn {
    options: CalibrationOptions,
    position: f64,
    efficiency: f64,
    cost: f64,
}

impl Worn {
    pub(crate) fn new(_seed: u64, options: CalibrationOptions) -> Self {
        let efficiency = options.slope * options.start + options.offsets[0];
        Self { position: options.start, efficiency, cost: 0.0, options }
    }
}

impl Dynamics for Worn {
    const NAME: &'static str = "calibration";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn advance(&mut self, actuators: &[f64], time_steps: u64) -> f64 {
        let o = &self.options;
        let renewed = (o.gain * (actuators[0] - self.position)).max(0.0);
        self.position = (self.position - o.wear + renewed).max(0.0);
        self.efficiency = o.slope * self.position + alternate(time_steps, o.offset_steps, o.offsets);
        self.cost = o.cost_scale * renewed;
        prioritised(&[shortfall(self.efficiency, o.efficiency_sp, 0.0)], self.cost)
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&[self.position, self.efficiency, self.cost], outputs);
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::{close, run};

    #[test]
    fn the_first_steps_follow_the_formula() {
        let found = run(r#"{"name": "calibration"}"#, 1, &[vec![0.9], vec![0.2]]);
        // cv = .04, p = .53, e = .371 + .3, c = .4, r = -.2; then nothing is renewed.
        close(&found[0], &[0.53, 0.671, 0.4, -0.2]);
        close(&found[1], &[0.52, 0.664, 0.0, 0.0]);
    }

    #[test]
    fn without_renewal_it_wears_off_and_the_goal_is_missed_after_the_offset_falls() {
        let found = run(r#"{"name": "calibration"}"#, 1, &vec![vec![0.0]; 501]);
        close(&found[60], &[0.0, 0.3, 0.0, -0.7]);
        close(&found[499], &[0.0, 0.3, 0.0, -0.7]);
        close(&found[500], &[0.0, 0.1, 0.0, -0.9]);
    }

    #[test]
    fn it_settles_where_wear_equals_renewal() {
        let found = run(r#"{"name": "calibration"}"#, 1, &vec![vec![0.8]; 400]);
        close(&found[399], &[0.7, 0.79, 0.1, -0.05]);
    }
}

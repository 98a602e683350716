//! A vessel that must hold a moving least level with as little in it as possible (specification, section 11,
//! "saturation_goals").
//!
//! `S <- clip(S D(t) + u, 0, 1)` with the `D` of saturation. The least level is
//! `threshold = lo + margin_weight * margin` with `lo = lo_mean + lo_amplitude cos(2 pi t / lo_period)` and a margin
//! that alternates between two values. Reward: the goal `S >= threshold` (violation measured down to 0), then minimise
//! `S` in `[0, 1]`. The vessel begins empty, `t` is 0 in the first step. Nothing is random.

use crate::Signal;
use crate::goals::{prioritised, shortfall};
use crate::options::options;
use crate::saturation::INPUTS;
use crate::schedule::{alternate, cosine};
use crate::simulated::{Dynamics, copy};

const OUTPUTS: &[Signal] = &[
    Signal { name: "level", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.0 },
    Signal { name: "threshold", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.59 },
];

options! {
    /// The variants of saturation with goals.
    pub struct SaturationGoalsOptions {
        /// Mean of the part of the level that stays, per step.
        decay_mean: f64 = 0.75, 0.0..=1.0;
        /// Amplitude of its oscillation.
        decay_amplitude: f64 = 0.15, 0.0..=1.0;
        /// Period of its oscillation, in steps.
        decay_period_steps: f64 = 100.0, 1.0..=1e9;
        /// Mean of the lower bound `lo`.
        lo_mean: f64 = 0.25, 0.0..=1.0;
        /// Amplitude of its oscillation.
        lo_amplitude: f64 = 0.25, 0.0..=1.0;
        /// Period of its oscillation, in steps.
        lo_period_steps: f64 = 4000.0, 1.0..=1e9;
        /// The margins, in turn.
        margins: [f64; 2] = [0.9, 0.1], 0.0..=1.0;
        /// How long a margin holds, in steps.
        margin_steps: u64 = 400, 1..=1_000_000_000;
        /// The part of the margin that is added to the lower bound.
        margin_weight: f64 = 0.1, 0.0..=1.0;
    }
    unless {
        lo_amplitude: |o| o.lo_amplitude <= o.lo_mean, "keep it at most lo_mean, or the threshold falls below 0";
        lo_mean: |o| o.lo_mean + o.lo_amplitude + o.margin_weight * o.margins[0].max(o.margins[1]) <= 1.0,
            "keep lo_mean + lo_amplitude + margin_weight * margin at most 1, or the threshold rises above 1";
    }
}

/// The vessel.
#[derive(Debug, Clone)]
pub(crate) struct Vessel {
    options: SaturationGoalsOptions,
    level: f64,
    threshold: f64,
}

impl Vessel {
    pub(crate) fn new(_seed: u64, options: SaturationGoalsOptions) -> Self {
        Self { threshold: threshold(&options, 0), options, level: 0.0 }
    }
}

fn threshold(o: &SaturationGoalsOptions, time_steps: u64) -> f64 {
    let lo = o.lo_mean + o.lo_amplitude * cosine(time_steps, o.lo_period_steps);
    (lo + o.margin_weight * alternate(time_steps, o.margin_steps, o.margins)).clamp(0.0, 1.0)
}

impl Dynamics for Vessel {
    const NAME: &'static str = "saturation_goals";

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
        let o = &self.options;
        let decay = o.decay_mean + o.decay_amplitude * cosine(time_steps, o.decay_period_steps);
        self.level = (self.level * decay + actuators[0]).clamp(0.0, 1.0);
        self.threshold = threshold(o, time_steps);
        prioritised(&[shortfall(self.level, self.threshold, 0.0)], self.level)
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&[self.level, self.threshold], outputs);
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::{close, run};

    #[test]
    fn the_first_steps_follow_the_formula() {
        let found = run(r#"{"name": "saturation_goals"}"#, 1, &[vec![0.3], vec![0.5], vec![0.1]]);
        // Threshold .25 + .25 + .09 = .59; S = .3: v = .29/.59, r = -1 + (1 - v)/2.
        close(&found[0], &[0.3, 0.59, -0.745_762_711_9]);
        // S = .3 * .899704009 + .5 = .7699112027, above .5899996916: r = -S/2.
        close(&found[1], &[0.769_911_202_7, 0.589_999_691_6, -0.384_955_601_4]);
        // S = .7699112027 * .8988172 + .1 = .792009435
        close(&found[2][..1], &[0.792_009_434_7]);
    }

    #[test]
    fn the_threshold_moves_by_oscillation_and_margin() {
        let found = run(r#"{"name": "saturation_goals"}"#, 1, &vec![vec![0.0]; 2_001]);
        close(
            &[found[399][1], found[400][1]],
            &[
                0.25 + 0.25 * libm::cos(0.1995 * std::f64::consts::PI) + 0.09,
                0.25 + 0.25 * libm::cos(0.2 * std::f64::consts::PI) + 0.01,
            ],
        );
        close(&[found[2_000][1], found[2_000][2]], &[0.01, -1.0]);
    }
}

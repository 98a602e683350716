//! A chain of three quantities whose sensors and dynamics change with time (specification, section 11,
//! "nonstationary").
//!
//! In this order, with old values on the right:
//! `C <- sig(.85 logit C + .15 B); B <- .85 B + .15 (A + K u); A <- A + N(.05 (Abar - A), .2)`. Observed are
//! `A + N(mu_a, .05)`, `B + N(mu_b, .05)` and `C`; `N(mean, deviation)`. `logit C` is the state, so that `C` is never
//! stuck at 0 or 1. Reward: the goal `C >= .75` (violation measured down to 0), then minimise `u` in `[-1, 1]`.
//!
//! The specification prints `B <- -.85 B + ...`, and that sign is an error: with it the mean of `B` is a twelfth of
//! `A + K u`, even `u = 1` ends at a reward of -.57, and the bound of -.5 that it gives is out of everybody's reach. In
//! the product that it describes, `B` is the moving average that it is here.
//!
//! What changes: the sensors' offsets `mu_a` (upstream) and `mu_b` (downstream), and the dynamics' `Abar` (upstream)
//! and `K` (downstream). Each has a range and is `lo + (hi - lo) * step * drift`: step is 1 or, with its flag, a square
//! wave `(1 - sign sin(2 pi t/P))/2`; drift is 1 or, with its flag, `(1 + cos(2 pi t/P))/2`. `t` is 0 in the first
//! step.
//!
//! The specification does not say where it begins: here `A = B = 0`, `C = 1/2`. `A` and `B` have no bounds; their
//! readings are clipped to `[-20, 20]`, as a transmitter's at the ends of its scale: twenty deviations away.

use crate::Signal;
use crate::goals::{prioritised, shortfall};
use crate::noise::Noise;
use crate::options::options;
use crate::schedule::{drift, square};
use crate::simulated::{Dynamics, copy};

/// The ends of the scales of A and B.
const SCALE: f64 = 20.0;

const INPUTS: &[Signal] = &[Signal { name: "u", unit: "1", lo: -1.0, hi: 1.0, nominal: 0.0 }];
const OUTPUTS: &[Signal] = &[
    Signal { name: "A", unit: "1", lo: -SCALE, hi: SCALE, nominal: 0.0 },
    Signal { name: "B", unit: "1", lo: -SCALE, hi: SCALE, nominal: 0.0 },
    Signal { name: "C", unit: "1", lo: 0.0, hi: 1.0, nominal: 0.5 },
];

options! {
    /// The variants of nonstationary: eight flags, and the ranges and periods of what they change.
    pub struct NonstationaryOptions {
        /// The offset of A's sensor follows a square wave.
        upstream_sensor_step: bool = false;
        /// The offset of A's sensor drifts.
        upstream_sensor_drift: bool = false;
        /// Range of the offset of A's sensor.
        upstream_sensor_range: [f64; 2] = [-3.0, 1.0], -10.0..=10.0;
        /// Its period, in steps.
        upstream_sensor_period_steps: f64 = 300.0, 1.0..=1e9;
        /// The offset of B's sensor follows a square wave.
        downstream_sensor_step: bool = false;
        /// The offset of B's sensor drifts.
        downstream_sensor_drift: bool = false;
        /// Range of the offset of B's sensor.
        downstream_sensor_range: [f64; 2] = [-3.0, 1.0], -10.0..=10.0;
        /// Its period, in steps.
        downstream_sensor_period_steps: f64 = 500.0, 1.0..=1e9;
        /// The mean of A follows a square wave.
        upstream_dynamics_step: bool = false;
        /// The mean of A drifts.
        upstream_dynamics_drift: bool = false;
        /// Range of the mean of A.
        upstream_dynamics_range: [f64; 2] = [-1.5, 1.5], -10.0..=10.0;
        /// Its period, in steps.
        upstream_dynamics_period_steps: f64 = 700.0, 1.0..=1e9;
        /// The gain of the input follows a square wave.
        downstream_dynamics_step: bool = false;
        /// The gain of the input drifts.
        downstream_dynamics_drift: bool = false;
        /// Range of the gain of the input.
        downstream_dynamics_range: [f64; 2] = [4.0, 6.0], -10.0..=10.0;
        /// Its period, in steps.
        downstream_dynamics_period_steps: f64 = 1100.0, 1.0..=1e9;
        /// What B and `logit C` keep of themselves, per step. The rest is what moves them.
        memory: f64 = 0.85, 0.0..=0.999;
        /// The part of the way to its mean that A goes, per step.
        reversion: f64 = 0.05, 0.001..=1.0;
        /// Deviation of A's steps.
        step_deviation: f64 = 0.2, 0.0..=10.0;
        /// Deviation of the readings of A and B.
        reading_deviation: f64 = 0.05, 0.0..=10.0;
        /// The least C.
        threshold: f64 = 0.75, 0.0..=1.0;
    }
    unless {
        upstream_sensor_range: |o| o.upstream_sensor_range[0] <= o.upstream_sensor_range[1],
            "give the lower end first";
        downstream_sensor_range: |o| o.downstream_sensor_range[0] <= o.downstream_sensor_range[1],
            "give the lower end first";
        upstream_dynamics_range: |o| o.upstream_dynamics_range[0] <= o.upstream_dynamics_range[1],
            "give the lower end first";
        downstream_dynamics_range: |o| o.downstream_dynamics_range[0] <= o.downstream_dynamics_range[1],
            "give the lower end first";
    }
}

/// A number that may change with time.
#[derive(Debug, Clone, Copy)]
struct Changing {
    range: [f64; 2],
    period_steps: f64,
    steps: bool,
    drifts: bool,
}

impl Changing {
    fn at(&self, time_steps: u64) -> f64 {
        let step = if self.steps { square(time_steps, self.period_steps) } else { 1.0 };
        let drift = if self.drifts { drift(time_steps, self.period_steps) } else { 1.0 };
        self.range[0] + (self.range[1] - self.range[0]) * step * drift
    }
}

/// The chain.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    options: NonstationaryOptions,
    offset_a: Changing,
    offset_b: Changing,
    mean_a: Changing,
    gain: Changing,
    noise: Noise,
    a: f64,
    b: f64,
    logit_c: f64,
    readings: [f64; 3],
}

impl Chain {
    pub(crate) fn new(seed: u64, options: NonstationaryOptions) -> Self {
        let o = &options;
        let changing = |range, period_steps, steps, drifts| Changing { range, period_steps, steps, drifts };
        Self {
            offset_a: changing(
                o.upstream_sensor_range,
                o.upstream_sensor_period_steps,
                o.upstream_sensor_step,
                o.upstream_sensor_drift,
            ),
            offset_b: changing(
                o.downstream_sensor_range,
                o.downstream_sensor_period_steps,
                o.downstream_sensor_step,
                o.downstream_sensor_drift,
            ),
            mean_a: changing(
                o.upstream_dynamics_range,
                o.upstream_dynamics_period_steps,
                o.upstream_dynamics_step,
                o.upstream_dynamics_drift,
            ),
            gain: changing(
                o.downstream_dynamics_range,
                o.downstream_dynamics_period_steps,
                o.downstream_dynamics_step,
                o.downstream_dynamics_drift,
            ),
            noise: Noise::new(seed, "nonstationary"),
            options,
            a: 0.0,
            b: 0.0,
            logit_c: 0.0,
            readings: [0.0, 0.0, 0.5],
        }
    }
}

impl Dynamics for Chain {
    const NAME: &'static str = "nonstationary";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn advance(&mut self, actuators: &[f64], time_steps: u64) -> f64 {
        let o = &self.options;
        let (input, rest) = (actuators[0], 1.0 - o.memory);
        self.logit_c = o.memory * self.logit_c + rest * self.b;
        self.b = o.memory * self.b + rest * (self.a + self.gain.at(time_steps) * input);
        self.a += o.reversion * (self.mean_a.at(time_steps) - self.a) + o.step_deviation * self.noise.normal();

        let c = 1.0 / (1.0 + libm::exp(-self.logit_c));
        let seen_a = self.a + self.offset_a.at(time_steps) + o.reading_deviation * self.noise.normal();
        let seen_b = self.b + self.offset_b.at(time_steps) + o.reading_deviation * self.noise.normal();
        self.readings = [seen_a.clamp(-SCALE, SCALE), seen_b.clamp(-SCALE, SCALE), c];
        prioritised(&[shortfall(c, o.threshold, 0.0)], (input + 1.0) / 2.0)
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&self.readings, outputs);
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::{close, run};

    fn quiet(more: &str, input: f64, steps: usize) -> Vec<Vec<f64>> {
        let case = format!(r#"{{"name": "nonstationary", "step_deviation": 0, "reading_deviation": 0{more}}}"#);
        run(&case, 1, &vec![vec![input]; steps])
    }

    #[test]
    fn the_first_steps_follow_the_formula() {
        let found = quiet("", 1.0, 3);
        // Abar = 1.5, K = 6, offsets 1. C = sig(0) = .5: v = 1/3.
        close(&found[0], &[0.075 + 1.0, 0.9 + 1.0, 0.5, -0.666_666_666_7]);
        // A = .075 + .05 * 1.425; B = .765 + .15 * 6.075; logit C = .135
        close(&found[1], &[1.146_25, 2.676_25, 0.533_698_835_2, -0.644_200_776_5]);
        // A = .14625 + .05 * 1.35375; B = .85 * 1.67625 + .15 * 6.14625; logit C = .85 * .135 + .15 * 1.67625 = .3661875
        close(&found[2], &[1.213_937_5, 3.346_75, 0.590_537_423_8, -0.606_308_384_1]);
    }

    #[test]
    fn constant_parameters_have_an_equilibrium() {
        // A = 1.5; B = 1.5 - 6 * .2; logit C = B.
        let b = 0.3;
        let c = 1.0 / (1.0 + libm::exp(-b));
        close(&quiet("", -0.2, 1_000)[999], &[2.5, b + 1.0, c, -1.0 + 0.5 * (1.0 - (0.75 - c) / 0.75)]);
    }

    #[test]
    fn a_met_goal_leaves_the_cost_of_the_input() {
        let found = quiet(r#", "threshold": 0.5"#, 0.5, 200);
        close(&found[199][3..], &[-0.375]);
    }

    #[test]
    fn each_flag_changes_its_own_quantity_with_its_own_period() {
        let still = quiet("", 0.2, 1_200);
        for (flag, reading, half_period) in [
            ("upstream_sensor_step", 0, 150),
            ("downstream_sensor_step", 1, 250),
            ("upstream_sensor_drift", 0, 150),
            ("downstream_sensor_drift", 1, 250),
        ] {
            let found = quiet(&format!(r#", "{flag}": true"#), 0.2, 1_200);
            // In the first half of a square wave, and at the bottom of a drift, the offset is at its lower end.
            let at = if flag.ends_with("step") { half_period / 2 } else { half_period };
            close(&[found[at][reading] - still[at][reading]], &[-4.0]);
            // At three quarters of the period a square wave is at its upper end, a drift half way.
            let shift = if flag.ends_with("step") { 0.0 } else { -2.0 };
            let at = half_period * 3 / 2;
            close(&[found[at][reading] - still[at][reading]], &[shift]);
            for other in (0..3).filter(|&other| other != reading) {
                assert!((0..1_200).all(|t| found[t][other] == still[t][other]), "{flag}");
            }
        }
        // A reverts slowly, by .95 a step: 300 steps after the change it has arrived.
        let low = quiet(r#", "upstream_dynamics_step": true"#, 0.2, 351);
        assert!((low[349][0] + 0.5).abs() < 1e-6, "{:?}", low[349]);
        // At the crossing its mean is 0: .05 of the way from -1.5.
        assert!((low[350][0] + 0.425).abs() < 1e-6, "{:?}", low[350]);
        let drifting = quiet(r#", "upstream_dynamics_drift": true"#, 0.2, 352);
        assert!((drifting[351][0] - still[351][0]).abs() > 2.0);
        // K = 4 instead of 6: B is less by 2 * .2.
        let slow = quiet(r#", "downstream_dynamics_step": true"#, 0.2, 500);
        close(&[slow[499][1] - still[499][1], slow[499][0]], &[-0.4, still[499][0]]);
        let drifting = quiet(r#", "downstream_dynamics_drift": true"#, 0.2, 1_101);
        // B follows the drift by six steps: just short of nothing after a period, and of 2 * .2 in the middle.
        let behind = [550, 1_100].map(|at: usize| drifting[at][1] - still[at][1]);
        close(&behind, &[-0.399_772_256_3, -0.000_227_743_7]);
    }

    #[test]
    fn the_noise_has_the_deviations_of_the_options() {
        let case = r#"{"name": "nonstationary", "reversion": 1, "memory": 0}"#;
        let found = run(case, 1, &vec![vec![0.0]; 5_000]);
        // A is then 1.5 + N(0, .2), seen with 1 + N(0, .05); B is the A of before.
        let deviation = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            (values.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / values.len() as f64).sqrt()
        };
        let seen: Vec<f64> = found.iter().map(|row| row[0]).collect();
        assert!((deviation(&seen) - 0.206_155).abs() < 0.01, "{}", deviation(&seen));
        let noise: Vec<f64> = found.windows(2).map(|rows| rows[0][0] - rows[1][1]).collect();
        assert!((deviation(&noise) - 0.070_711).abs() < 0.005, "{}", deviation(&noise));
    }
}

//! The three-tank benchmark DTS200: two pumps fill the outer tanks, all tanks are coupled and drain (specification,
//! section 11, "three_tanks").
//!
//! `Q(C, h) = C A_V sgn(h) sqrt(2 g |h|)` flows through a valve under the head `h`; over a valve at height `H_v`
//! between the tanks `a` and `b`, `h = max(H_a - H_v, 0) - max(H_b - H_v, 0)`. `V1` and `V3` lead from tank 2 to tank
//! 1, `V2` and `V4` from tank 2 to tank 3; every tank drains.
//!
//! `H1' = V1 + V3 - Q(C5, H1) + K1 P1; H2' = -V1 - V2 - V3 - V4 - Q(C7, H2); H3' = V2 + V4 - Q(C9, H3) + K2 P2`, each
//! over `A_T`, by Euler steps, clipped to `[0, H_max]`.
//!
//! The levels of the outer tanks are to follow filtered random targets `T1` and `T3`; reward
//! `-((H1 - T1)^2 + (H3 - T3)^2) / (2 H_max^2)`. The tanks begin empty, the targets at 0.

use crate::Signal;
use crate::noise::Noise;
use crate::options::options;
use crate::simulated::{Dynamics, copy};

/// Height of the benchmark's tanks, cm.
const HEIGHT_MAX_CM: f64 = 43.1;

const fn pump(name: &'static str) -> Signal {
    Signal { name, unit: "%", lo: 0.0, hi: 100.0, nominal: 50.0 }
}

const fn height(name: &'static str) -> Signal {
    Signal { name, unit: "cm", lo: 0.0, hi: HEIGHT_MAX_CM, nominal: 0.0 }
}

const INPUTS: &[Signal] = &[pump("P1"), pump("P2")];
const OUTPUTS: &[Signal] = &[height("H1"), height("H2"), height("H3"), height("T1"), height("T3")];
/// How many outputs are measured: the levels.
const MEASURED: usize = 3;

options! {
    /// The variants of the three tanks; the default is the benchmark.
    pub struct ThreeTanksOptions {
        /// Section of a tank, cm^2.
        area_tank_cm2: f64 = 180.54, 1.0..=1e6;
        /// Section of a valve, cm^2.
        area_valve_cm2: f64 = 0.385, 0.0..=100.0;
        /// Gravity, cm/s^2.
        gravity_cm_s2: f64 = 983.991, 0.0..=1e4;
        /// Height of a tank, cm.
        height_max_cm: f64 = 43.1, 1.0..=43.1;
        /// Height of the upper coupling valves V1 and V2, cm.
        height_v12_cm: f64 = 30.6, 0.0..=43.1;
        /// Height of the middle coupling valves V3 and V4, cm.
        height_v34_cm: f64 = 15.3, 0.0..=43.1;
        /// Outflow coefficient of V1 and V2.
        c12: f64 = 0.26, 0.0..=10.0;
        /// Outflow coefficient of V3.
        c3: f64 = 0.29, 0.0..=10.0;
        /// Outflow coefficient of V4.
        c4: f64 = 0.33, 0.0..=10.0;
        /// Outflow coefficient of the drain of tank 1.
        c5: f64 = 0.78, 0.0..=10.0;
        /// Outflow coefficient of the drain of tank 2.
        c7: f64 = 0.69, 0.0..=10.0;
        /// Outflow coefficient of the drain of tank 3.
        c9: f64 = 0.82, 0.0..=10.0;
        /// Flow of pump 1, cm^3/s per percent.
        k1: f64 = 1.47, 0.0..=1000.0;
        /// Flow of pump 2, cm^3/s per percent.
        k2: f64 = 1.435, 0.0..=1000.0;
        /// Length of a step, s.
        step_s: f64 = 5.0, 1e-3..=60.0;
        /// The targets move every so many steps.
        target_period_steps: u64 = 30, 1..=1_000_000_000;
        /// The part of a filtered target that stays, per step.
        target_filter: f64 = 0.9, 0.0..=1.0;
    }
}

/// The tanks.
#[derive(Debug, Clone)]
pub(crate) struct Tanks {
    options: ThreeTanksOptions,
    noise: Noise,
    levels: [f64; 3],
    /// What the filtered targets approach.
    goals: [f64; 2],
    targets: [f64; 2],
}

impl Tanks {
    pub(crate) fn new(seed: u64, options: ThreeTanksOptions) -> Self {
        let noise = Noise::new(seed, "three tanks targets");
        Self { options, noise, levels: [0.0; 3], goals: [0.0; 2], targets: [0.0; 2] }
    }

    fn move_targets(&mut self, time_steps: u64) {
        let o = &self.options;
        if time_steps.is_multiple_of(o.target_period_steps) {
            for goal in &mut self.goals {
                *goal = o.height_max_cm * self.noise.uniform();
            }
        }
        for (target, goal) in self.targets.iter_mut().zip(self.goals) {
            *target = o.target_filter * *target + (1.0 - o.target_filter) * goal;
        }
    }

    fn move_levels(&mut self, pumps: &[f64]) {
        let o = &self.options;
        let [h1, h2, h3] = self.levels;
        let v1 = o.coupling(o.c12, o.height_v12_cm, h2, h1);
        let v2 = o.coupling(o.c12, o.height_v12_cm, h2, h3);
        let v3 = o.coupling(o.c3, o.height_v34_cm, h2, h1);
        let v4 = o.coupling(o.c4, o.height_v34_cm, h2, h3);
        let net = [
            v1 + v3 - o.flow(o.c5, h1) + o.k1 * pumps[0],
            -v1 - v2 - v3 - v4 - o.flow(o.c7, h2),
            v2 + v4 - o.flow(o.c9, h3) + o.k2 * pumps[1],
        ];
        for (level, net) in self.levels.iter_mut().zip(net) {
            *level = (*level + o.step_s * net / o.area_tank_cm2).clamp(0.0, o.height_max_cm);
        }
    }
}

impl ThreeTanksOptions {
    /// Flow through a valve under the head `head_cm`, in its direction, cm^3/s.
    fn flow(&self, coefficient: f64, head_cm: f64) -> f64 {
        let speed = libm::sqrt(2.0 * self.gravity_cm_s2 * head_cm.abs());
        let flow = coefficient * self.area_valve_cm2 * speed;
        if head_cm < 0.0 { -flow } else { flow }
    }

    /// Flow from a tank to another through a valve at `valve_cm`, cm^3/s.
    fn coupling(&self, coefficient: f64, valve_cm: f64, from_cm: f64, to_cm: f64) -> f64 {
        self.flow(coefficient, (from_cm - valve_cm).max(0.0) - (to_cm - valve_cm).max(0.0))
    }
}

impl Dynamics for Tanks {
    const NAME: &'static str = "three_tanks";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn measured(&self) -> usize {
        MEASURED
    }

    fn advance(&mut self, actuators: &[f64], time_steps: u64) -> f64 {
        self.move_targets(time_steps);
        self.move_levels(actuators);
        let errors = [self.levels[0] - self.targets[0], self.levels[2] - self.targets[1]];
        let height_max_cm = self.options.height_max_cm;
        -(errors[0] * errors[0] + errors[1] * errors[1]) / (2.0 * height_max_cm * height_max_cm)
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&self.levels, outputs);
        copy(&self.targets, outputs.get_mut(MEASURED..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{close, run};

    const NAMED: &str = r#"{"name": "three_tanks"}"#;

    #[test]
    fn the_first_steps_follow_the_formula() {
        let found = run(NAMED, 5, &[vec![40.0, 20.0], vec![40.0, 20.0]]);
        // H1 = 5 * 1.47 * 40 / 180.54; H3 = 5 * 1.435 * 20 / 180.54.
        close(&found[0][..3], &[1.628_447_989_4, 0.0, 0.794_837_709_1]);
        // Then the drains: .78 * .385 * sqrt(2 * 983.991 * 1.6284479894) = 17.000232..., likewise .82 of tank 3.
        let drain_1 = 0.78 * 0.385 * (2.0 * 983.991 * 1.628_447_989_4_f64).sqrt();
        let drain_3 = 0.82 * 0.385 * (2.0 * 983.991 * 0.794_837_709_1_f64).sqrt();
        close(
            &found[1][..3],
            &[2.0 * 1.628_447_989_4 - 5.0 * drain_1 / 180.54, 0.0, 2.0 * 0.794_837_709_1 - 5.0 * drain_3 / 180.54],
        );
        let (t1, t3) = (found[1][3], found[1][4]);
        let errors = (found[1][0] - t1).powi(2) + (found[1][2] - t3).powi(2);
        close(&found[1][5..], &[-errors / (2.0 * 43.1 * 43.1)]);
    }

    #[test]
    fn without_pumps_the_tanks_stay_empty() {
        let found = run(NAMED, 5, &vec![vec![0.0, 0.0]; 100]);
        assert_eq!(found[99][..3], [0.0; 3]);
    }

    #[test]
    fn the_levels_balance_where_inflow_equals_outflow() {
        let found = run(NAMED, 5, &vec![vec![30.0, 30.0]; 2_000]);
        // Below the coupling valves the outer tanks are alone: K P = C A sqrt(2 g H).
        let level = |k: f64, c: f64| (k * 30.0 / (c * 0.385)).powi(2) / (2.0 * 983.991);
        close(&[found[1_999][0], found[1_999][2]], &[level(1.47, 0.78), level(1.435, 0.82)]);
    }

    #[test]
    fn coupled_tanks_balance_where_each_valve_carries_what_drains() {
        // Over the middle valves alone, and over both.
        for (pumps, least, most) in [([58.0, 58.0], 15.3, 30.6), ([70.0, 72.0], 30.6, 43.0)] {
            let found = run(NAMED, 5, &vec![pumps.to_vec(); 4_000]);
            let [h1, h2, h3] = found[3_999][..3] else { unreachable!("three levels") };
            assert!(h1 > least && h3 > least && h2 > 1.0 && h1 < most && h3 < most, "{h1} {h2} {h3}");
            let flow = |c: f64, head: f64| c * 0.385 * head.signum() * (2.0 * 983.991 * head.abs()).sqrt();
            let over = |valve: f64, from: f64, to: f64| (from - valve).max(0.0) - (to - valve).max(0.0);
            let (v1, v2) = (flow(0.26, over(30.6, h1, h2)), flow(0.26, over(30.6, h3, h2)));
            let (v3, v4) = (flow(0.29, over(15.3, h1, h2)), flow(0.33, over(15.3, h3, h2)));
            let net = [
                1.47 * pumps[0] - v1 - v3 - flow(0.78, h1),
                v1 + v2 + v3 + v4 - flow(0.69, h2),
                1.435 * pumps[1] - v2 - v4 - flow(0.82, h3),
            ];
            assert!(net.iter().all(|net| net.abs() < 1e-6), "{net:?}");
        }
    }

    #[test]
    fn coupling_flows_both_ways_and_only_above_the_valve() {
        let o = ThreeTanksOptions::default();
        assert_eq!(o.coupling(o.c3, o.height_v34_cm, 15.0, 10.0), 0.0);
        assert!(o.coupling(o.c3, o.height_v34_cm, 20.0, 10.0) > 0.0);
        assert_eq!(o.coupling(o.c3, o.height_v34_cm, 20.0, 10.0), -o.coupling(o.c3, o.height_v34_cm, 10.0, 20.0));
    }

    #[test]
    fn targets_move_every_thirty_steps_and_differ_by_seed() {
        let targets = |seed| run(NAMED, seed, &vec![vec![0.0; 2]; 60]).iter().map(|row| row[3]).collect::<Vec<f64>>();
        assert_ne!(targets(1), targets(2));
        let path = targets(1);
        let goal = path[1] * 10.0 - path[0] * 9.0;
        assert!((path[29] * 10.0 - path[28] * 9.0 - goal).abs() < 1e-9);
        assert!((path[30] * 10.0 - path[29] * 9.0 - goal).abs() > 1e-3);
    }
}

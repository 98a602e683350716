//! The three-tank benchmark DTS200: two pumps fill the outer tanks, all tanks are coupled and drain.

use crate::noise::Noise;
use crate::{Plant, Signal, actuate, copy};

/// Section of a tank, cm^2.
const AREA_TANK: f64 = 180.54;
/// Section of a valve, cm^2.
const AREA_VALVE: f64 = 0.385;
/// Gravity, cm/s^2.
const GRAVITY: f64 = 983.991;
/// Height of a tank, cm.
const HEIGHT_MAX: f64 = 43.1;
/// Height of the upper coupling valves V1 and V2, cm.
const HEIGHT_V12: f64 = 30.6;
/// Height of the middle coupling valves V3 and V4, cm.
const HEIGHT_V34: f64 = 15.3;
/// Outflow coefficients of the valves.
const C_V12: f64 = 0.26;
const C_V3: f64 = 0.29;
const C_V4: f64 = 0.33;
const C_V5: f64 = 0.78;
const C_V7: f64 = 0.69;
const C_V9: f64 = 0.82;
/// Flow of the pumps, cm^3/s per percent.
const PUMP_1: f64 = 1.47;
const PUMP_2: f64 = 1.435;
/// Length of a step, s.
const STEP_S: f64 = 5.0;
/// The targets move every so many steps.
const TARGET_PERIOD_STEPS: u64 = 30;
/// The part of a filtered target that stays, per step.
const TARGET_FILTER: f64 = 0.9;

const fn pump(name: &'static str) -> Signal {
    Signal { name, unit: "%", lo: 0.0, hi: 100.0, nominal: 50.0 }
}

const fn height(name: &'static str) -> Signal {
    Signal { name, unit: "cm", lo: 0.0, hi: HEIGHT_MAX, nominal: 0.0 }
}

const INPUTS: &[Signal] = &[pump("P1"), pump("P2")];
const OUTPUTS: &[Signal] = &[height("H1"), height("H2"), height("H3"), height("T1"), height("T3")];

/// Three coupled tanks; the levels of the outer ones are to follow filtered random targets.
///
/// A step is 5 s of plant time. Reward `-((H1 - T1)^2 + (H3 - T3)^2) / (2 H_max^2)`.
#[derive(Debug, Clone)]
pub struct ThreeTanks {
    seed: u64,
    noise: Noise,
    time_steps: u64,
    pumps: [f64; 2],
    levels: [f64; 3],
    /// What the filtered targets approach.
    goals: [f64; 2],
    targets: [f64; 2],
    reward: f64,
}

impl ThreeTanks {
    /// Three empty tanks, and targets that rise from 0.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            noise: Noise::new(seed, "three tanks targets"),
            time_steps: 0,
            pumps: [INPUTS[0].nominal, INPUTS[1].nominal],
            levels: [0.0; 3],
            goals: [0.0; 2],
            targets: [0.0; 2],
            reward: 0.0,
        }
    }

    fn move_targets(&mut self) {
        if self.time_steps.is_multiple_of(TARGET_PERIOD_STEPS) {
            for goal in &mut self.goals {
                *goal = HEIGHT_MAX * self.noise.uniform();
            }
        }
        for (target, goal) in self.targets.iter_mut().zip(self.goals) {
            *target = TARGET_FILTER * *target + (1.0 - TARGET_FILTER) * goal;
        }
    }

    fn move_levels(&mut self) {
        let [h1, h2, h3] = self.levels;
        let v1 = coupling(C_V12, HEIGHT_V12, h2, h1);
        let v2 = coupling(C_V12, HEIGHT_V12, h2, h3);
        let v3 = coupling(C_V3, HEIGHT_V34, h2, h1);
        let v4 = coupling(C_V4, HEIGHT_V34, h2, h3);
        let net = [
            v1 + v3 - flow(C_V5, h1) + PUMP_1 * self.pumps[0],
            -v1 - v2 - v3 - v4 - flow(C_V7, h2),
            v2 + v4 - flow(C_V9, h3) + PUMP_2 * self.pumps[1],
        ];
        for (level, net) in self.levels.iter_mut().zip(net) {
            *level = (*level + STEP_S * net / AREA_TANK).clamp(0.0, HEIGHT_MAX);
        }
    }
}

/// Flow through a valve under the head `head_cm`, in its direction, cm^3/s.
fn flow(coefficient: f64, head_cm: f64) -> f64 {
    let speed = libm::sqrt(2.0 * GRAVITY * head_cm.abs());
    let flow = coefficient * AREA_VALVE * speed;
    if head_cm < 0.0 { -flow } else { flow }
}

/// Flow from a tank to another through a valve at `valve_cm`, cm^3/s.
fn coupling(coefficient: f64, valve_cm: f64, from_cm: f64, to_cm: f64) -> f64 {
    flow(coefficient, (from_cm - valve_cm).max(0.0) - (to_cm - valve_cm).max(0.0))
}

impl Plant for ThreeTanks {
    fn name(&self) -> &'static str {
        "three_tanks"
    }

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn step(&mut self, inputs: &[f64], outputs: &mut [f64]) {
        actuate(&mut self.pumps, inputs, INPUTS);
        self.move_targets();
        self.move_levels();
        let errors = [self.levels[0] - self.targets[0], self.levels[2] - self.targets[1]];
        self.reward = -(errors[0] * errors[0] + errors[1] * errors[1]) / (2.0 * HEIGHT_MAX * HEIGHT_MAX);
        self.time_steps += 1;
        self.observe(outputs);
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&self.levels, outputs);
        copy(&self.targets, outputs.get_mut(3..).unwrap_or_default());
    }

    fn reward(&self) -> f64 {
        self.reward
    }

    fn reset(&mut self) {
        *self = Self::new(self.seed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_pumps_the_tanks_stay_empty() {
        let mut plant = ThreeTanks::new(5);
        let mut outputs = [1.0; 5];
        for _ in 0..100 {
            plant.step(&[0.0, 0.0], &mut outputs);
        }
        assert_eq!(outputs[..3], [0.0; 3]);
    }

    #[test]
    fn the_levels_balance_where_inflow_equals_outflow() {
        let mut plant = ThreeTanks::new(5);
        let mut outputs = [0.0; 5];
        for _ in 0..2_000 {
            plant.step(&[30.0, 30.0], &mut outputs);
        }
        // Below the coupling valves the outer tanks are alone: K P = C A sqrt(2 g H).
        let expected_1 = (PUMP_1 * 30.0 / (C_V5 * AREA_VALVE)).powi(2) / (2.0 * GRAVITY);
        let expected_3 = (PUMP_2 * 30.0 / (C_V9 * AREA_VALVE)).powi(2) / (2.0 * GRAVITY);
        assert!((outputs[0] - expected_1).abs() < 1e-6, "{outputs:?} {expected_1}");
        assert!((outputs[2] - expected_3).abs() < 1e-6, "{outputs:?} {expected_3}");
    }

    #[test]
    fn coupling_flows_both_ways_and_only_above_the_valve() {
        assert_eq!(coupling(C_V3, HEIGHT_V34, 15.0, 10.0), 0.0);
        assert!(coupling(C_V3, HEIGHT_V34, 20.0, 10.0) > 0.0);
        assert_eq!(coupling(C_V3, HEIGHT_V34, 20.0, 10.0), -coupling(C_V3, HEIGHT_V34, 10.0, 20.0));
    }

    #[test]
    fn targets_move_every_thirty_steps_and_differ_by_seed() {
        let targets = |seed| {
            let mut plant = ThreeTanks::new(seed);
            let mut outputs = [0.0; 5];
            (0..60)
                .map(|_| {
                    plant.step(&[0.0, 0.0], &mut outputs);
                    outputs[3]
                })
                .collect::<Vec<f64>>()
        };
        assert_ne!(targets(1), targets(2));
        let path = targets(1);
        let goal = path[1] * 10.0 - path[0] * 9.0;
        assert!((path[29] * 10.0 - path[28] * 9.0 - goal).abs() < 1e-9);
        assert!((path[30] * 10.0 - path[29] * 9.0 - goal).abs() > 1e-3);
    }
}

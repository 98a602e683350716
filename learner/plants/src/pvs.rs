//! The tuning of a PI loop on a tank (specification, section 11, "pvs").
//!
//! A step changes the controller's `Kp` and `Ti` by the inputs, alternates the setpoint `SP` between 4 and 5, and lets
//! the loop run for 500 inner steps of 1 s. An inner step of the velocity PI and of the tank, first order, sampled
//! exactly under a zero-order hold:
//!
//! `e = SP - y; u <- clip(u + Kp (e - e_old) + Kp e / Ti, 0, 100); y <- clip(q y + (1 - q) K u, 0, 43.1)`
//!
//! with `q = exp(-hold / T)`, gain `K = 8 sin(.3 SP) + 2` and time constant `T = 11 sin(.3 SP) + 6` seconds. `Ti`
//! counts inner steps.
//!
//! What the specification leaves open, and how it is here: the loop begins at rest (`y = u = e_old = 0`) with `Kp = 1`
//! and `Ti = 10`; `Kp` is clipped to `[0.01, 10]`, `Ti` to `[1, 100]`; the setpoint alternates at every step and begins
//! at 4; the reward is `-mean |SP - y| / 43.1` over the inner steps of the step, in `[-1, 0]`. Nothing is random.

use crate::Signal;
use crate::options::options;
use crate::schedule::alternate;
use crate::simulated::{Dynamics, copy};

/// The highest level.
const LEVEL_MAX: f64 = 43.1;
/// The highest valve position, %.
const VALVE_MAX: f64 = 100.0;
const KP: [f64; 2] = [0.01, 10.0];
const TI: [f64; 2] = [1.0, 100.0];

const fn change(name: &'static str) -> Signal {
    Signal { name, unit: "1", lo: -0.1, hi: 0.1, nominal: 0.0 }
}

const INPUTS: &[Signal] = &[change("Kp_change"), change("Ti_change")];
const OUTPUTS: &[Signal] = &[
    Signal { name: "level", unit: "1", lo: 0.0, hi: LEVEL_MAX, nominal: 0.0 },
    Signal { name: "valve", unit: "%", lo: 0.0, hi: VALVE_MAX, nominal: 0.0 },
    Signal { name: "error_mean", unit: "1", lo: 0.0, hi: LEVEL_MAX, nominal: 0.0 },
    Signal { name: "Kp", unit: "1", lo: KP[0], hi: KP[1], nominal: 1.0 },
    Signal { name: "Ti", unit: "1", lo: TI[0], hi: TI[1], nominal: 10.0 },
    Signal { name: "level_sp", unit: "1", lo: 0.0, hi: LEVEL_MAX, nominal: 4.0 },
];
/// How many outputs are measured: level, valve and error.
const MEASURED: usize = 3;

options! {
    /// The variants of the tuning of a PI loop.
    pub struct PvsOptions {
        /// The controller's gain at first.
        kp_start: f64 = 1.0, 0.01..=10.0;
        /// The controller's integral time at first, in inner steps.
        ti_start: f64 = 10.0, 1.0..=100.0;
        /// The setpoints, in turn.
        setpoints: [f64; 2] = [4.0, 5.0], 0.0..=43.1;
        /// Inner steps per step.
        inner_steps: u64 = 500, 1..=10_000;
        /// Length of an inner step, in seconds.
        hold_s: f64 = 1.0, 1e-3..=1e3;
        /// What the setpoint is multiplied by inside the sines, in radians.
        sine_rad: f64 = 0.3, -10.0..=10.0;
        /// Amplitude of the tank's gain.
        gain_amplitude: f64 = 8.0, 0.0..=1000.0;
        /// Mean of the tank's gain.
        gain_mean: f64 = 2.0, 0.0..=1000.0;
        /// Amplitude of the tank's time constant, in seconds.
        time_constant_amplitude_s: f64 = 11.0, 0.0..=1e6;
        /// Mean of the tank's time constant, in seconds.
        time_constant_mean_s: f64 = 6.0, 0.0..=1e6;
    }
    unless {
        setpoints: |o| o.setpoints.iter().all(|&setpoint| o.tank(setpoint).1 > 0.0),
            "keep the time constant at these setpoints above 0";
    }
}

impl PvsOptions {
    /// The tank's gain and time constant (s) at a setpoint.
    fn tank(&self, setpoint: f64) -> (f64, f64) {
        let sine = libm::sin(self.sine_rad * setpoint);
        (self.gain_amplitude * sine + self.gain_mean, self.time_constant_amplitude_s * sine + self.time_constant_mean_s)
    }
}

/// The loop.
#[derive(Debug, Clone)]
pub(crate) struct Loop {
    options: PvsOptions,
    kp: f64,
    ti: f64,
    error_before: f64,
    valve: f64,
    level: f64,
    error_mean: f64,
    setpoint: f64,
}

impl Loop {
    pub(crate) fn new(_seed: u64, options: PvsOptions) -> Self {
        Self {
            kp: options.kp_start,
            ti: options.ti_start,
            error_before: 0.0,
            valve: 0.0,
            level: 0.0,
            error_mean: 0.0,
            setpoint: options.setpoints[0],
            options,
        }
    }

    /// One inner step, with `keeps` of the level kept.
    fn control(&mut self, gain: f64, keeps: f64) {
        let error = self.setpoint - self.level;
        let change = self.kp * (error - self.error_before) + self.kp * error / self.ti;
        self.error_before = error;
        self.valve = (self.valve + change).clamp(0.0, VALVE_MAX);
        self.level = (keeps * self.level + (1.0 - keeps) * gain * self.valve).clamp(0.0, LEVEL_MAX);
    }
}

impl Dynamics for Loop {
    const NAME: &'static str = "pvs";

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
        let o = self.options;
        self.kp = (self.kp + actuators[0]).clamp(KP[0], KP[1]);
        self.ti = (self.ti + actuators[1]).clamp(TI[0], TI[1]);
        self.setpoint = alternate(time_steps, 1, o.setpoints);
        let (gain, time_constant_s) = o.tank(self.setpoint);
        let keeps = libm::exp(-o.hold_s / time_constant_s);
        let mut errors = 0.0;
        for _ in 0..o.inner_steps {
            self.control(gain, keeps);
            errors += (self.setpoint - self.level).abs();
        }
        self.error_mean = (errors / o.inner_steps as f64).min(LEVEL_MAX);
        -self.error_mean / LEVEL_MAX
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&[self.level, self.valve, self.error_mean, self.kp, self.ti, self.setpoint], outputs);
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::{close, run};

    #[test]
    fn the_first_inner_steps_follow_the_formula() {
        let found = run(r#"{"name": "pvs", "inner_steps": 2}"#, 1, &[vec![0.1, -0.05]]);
        // SP 4: sine .932039086, K 9.456312688, T 16.252429946, q .940325604; Kp 1.1, Ti 9.95.
        // e = 4: u = 4.4 + 4.4/9.95 = 4.842211055; y = .059674396 * K * u = 2.732470...
        let (gain, q) = (9.456_312_687_7, libm::exp(-1.0 / 16.252_429_945_6));
        let first = (1.0 - q) * gain * 4.842_211_055_3;
        let error = 4.0 - first;
        let valve = 4.842_211_055_3 + 1.1 * (error - 4.0) + 1.1 * error / 9.95;
        let second = q * first + (1.0 - q) * gain * valve;
        let mean = (error.abs() + (4.0 - second).abs()) / 2.0;
        close(&found[0], &[second, valve, mean, 1.1, 9.95, 4.0, -mean / 43.1]);
    }

    #[test]
    fn the_loop_settles_at_the_setpoint_with_the_valve_at_setpoint_over_gain() {
        let found = run(r#"{"name": "pvs", "kp_start": 0.2}"#, 1, &vec![vec![0.0, 0.0]; 4]);
        for (row, (setpoint, gain)) in found.iter().zip([(4.0, 9.456_312_687_7), (5.0, 9.979_959_893_2)].iter().cycle())
        {
            close(&[row[0], row[1], row[5]], &[*setpoint, setpoint / gain, *setpoint]);
        }
    }

    #[test]
    fn a_step_is_five_hundred_inner_ones() {
        let step = &run(r#"{"name": "pvs"}"#, 1, &[vec![0.0, 0.0]])[0];
        let inner = run(r#"{"name": "pvs", "inner_steps": 1, "setpoints": [4, 4]}"#, 1, &vec![vec![0.0, 0.0]; 500]);
        let mean = inner.iter().map(|row| row[2]).sum::<f64>() / 500.0;
        close(step, &[inner[499][0], inner[499][1], mean, 1.0, 10.0, 4.0, -mean / 43.1]);
    }

    #[test]
    fn a_better_tuning_earns_more_and_both_parameters_have_ends() {
        let reward = |kp: f64| {
            let case = format!(r#"{{"name": "pvs", "kp_start": {kp}, "ti_start": 15}}"#);
            run(&case, 1, &vec![vec![0.0, 0.0]; 4])[3][6]
        };
        assert!(reward(0.5) > reward(0.05) && reward(0.5) > reward(9.0));
        let last = run(r#"{"name": "pvs", "inner_steps": 1}"#, 1, &vec![vec![0.1, -0.1]; 200]).pop().unwrap();
        assert_eq!(last[3..5], [10.0, 1.0]);
        let last = run(r#"{"name": "pvs", "inner_steps": 1}"#, 1, &vec![vec![-0.1, 0.1]; 1_000]).pop().unwrap();
        assert_eq!(last[3..5], [0.01, 100.0]);
    }
}

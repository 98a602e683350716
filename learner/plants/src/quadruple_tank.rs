//! The quadruple tank: two pumps, each feeding a lower tank and the upper tank of the other side.
//!
//! Equations and constants are those of K. H. Johansson, "The quadruple-tank process: a multivariable laboratory
//! process with an adjustable zero", IEEE Transactions on Control Systems Technology 8(3), 2000, pp. 456-465, at its
//! operating point P-, the minimum phase one:
//!
//! - `A1 h1' = -a1 sqrt(2 g h1) + a3 sqrt(2 g h3) + gamma1 k1 v1`
//! - `A2 h2' = -a2 sqrt(2 g h2) + a4 sqrt(2 g h4) + gamma2 k2 v2`
//! - `A3 h3' = -a3 sqrt(2 g h3) + (1 - gamma2) k2 v2`
//! - `A4 h4' = -a4 sqrt(2 g h4) + (1 - gamma1) k1 v1`
//!
//! Ours: a step is 1 s, ten Euler steps; levels are clipped to the tanks' 20 cm; it begins at the published levels,
//! with setpoints a little above them; reward `-(|h1 - sp1| + |h2 - sp2|) / (2 * 20)`. The point P+, which is not
//! minimum phase, has `gammas: [0.43, 0.34]`, `pumps_cm3_v_s: [3.14, 3.29]`, `start_cm: [12.6, 13.0, 4.8, 4.9]`.
//! Nothing is random.

use crate::Signal;
use crate::options::options;
use crate::simulated::{Dynamics, copy};

const HEIGHT_MAX_CM: f64 = 20.0;
/// Sections of the tanks, cm^2.
const TANKS_CM2: [f64; 4] = [28.0, 32.0, 28.0, 32.0];
/// Sections of the outlets, cm^2.
const OUTLETS_CM2: [f64; 4] = [0.071, 0.057, 0.071, 0.057];
/// Gravity, cm/s^2.
const GRAVITY: f64 = 981.0;
const INNER_STEPS: u32 = 10;
const INNER_S: f64 = 0.1;

const fn pump(name: &'static str) -> Signal {
    Signal { name, unit: "V", lo: 0.0, hi: 10.0, nominal: 3.0 }
}

const fn height(name: &'static str, nominal: f64) -> Signal {
    Signal { name, unit: "cm", lo: 0.0, hi: HEIGHT_MAX_CM, nominal }
}

const INPUTS: &[Signal] = &[pump("v1"), pump("v2")];
const OUTPUTS: &[Signal] = &[
    height("h1", 12.4),
    height("h2", 12.7),
    height("h3", 1.8),
    height("h4", 1.4),
    height("h1_sp", 13.4),
    height("h2_sp", 13.7),
];

options! {
    /// The variants of the quadruple tank; the default is Johansson's point P-.
    pub struct QuadrupleTankOptions {
        /// The part of each pump's flow that goes to the lower tank.
        gammas: [f64; 2] = [0.70, 0.60], 0.0..=1.0;
        /// Flow of each pump, cm^3/(V s).
        pumps_cm3_v_s: [f64; 2] = [3.33, 3.35], 0.0..=100.0;
        /// The levels at first, cm.
        start_cm: [f64; 4] = [12.4, 12.7, 1.8, 1.4], 0.0..=20.0;
        /// The levels of the lower tanks to hold, cm.
        setpoints_cm: [f64; 2] = [13.4, 13.7], 0.0..=20.0;
    }
}

/// The tanks.
#[derive(Debug, Clone)]
pub(crate) struct FourTanks {
    options: QuadrupleTankOptions,
    levels: [f64; 4],
}

impl FourTanks {
    pub(crate) fn new(_seed: u64, options: QuadrupleTankOptions) -> Self {
        Self { levels: options.start_cm, options }
    }

    fn flow(&mut self, volts: &[f64], seconds: f64) {
        let o = &self.options;
        let pumped = [o.pumps_cm3_v_s[0] * volts[0], o.pumps_cm3_v_s[1] * volts[1]];
        let mut out = [0.0; 4];
        for (i, out) in out.iter_mut().enumerate() {
            *out = OUTLETS_CM2[i] * libm::sqrt(2.0 * GRAVITY * self.levels[i]);
        }
        let net = [
            out[2] + o.gammas[0] * pumped[0] - out[0],
            out[3] + o.gammas[1] * pumped[1] - out[1],
            (1.0 - o.gammas[1]) * pumped[1] - out[2],
            (1.0 - o.gammas[0]) * pumped[0] - out[3],
        ];
        for (i, level) in self.levels.iter_mut().enumerate() {
            *level = (*level + seconds * net[i] / TANKS_CM2[i]).clamp(0.0, HEIGHT_MAX_CM);
        }
    }
}

impl Dynamics for FourTanks {
    const NAME: &'static str = "quadruple_tank";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn measured(&self) -> usize {
        self.levels.len()
    }

    fn advance(&mut self, actuators: &[f64], _time_steps: u64) -> f64 {
        for _ in 0..INNER_STEPS {
            self.flow(actuators, INNER_S);
        }
        let setpoints = self.options.setpoints_cm;
        let error = (self.levels[0] - setpoints[0]).abs() + (self.levels[1] - setpoints[1]).abs();
        -error / (2.0 * HEIGHT_MAX_CM)
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&self.levels, outputs);
        copy(&self.options.setpoints_cm, outputs.get_mut(self.levels.len()..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{close, run};

    #[test]
    fn one_euler_step_follows_the_equations() {
        let mut tanks =
            FourTanks::new(0, QuadrupleTankOptions { start_cm: [10.0, 9.0, 4.0, 1.0], ..Default::default() });
        tanks.flow(&[2.0, 4.0], 1.0);
        // Outlets: .071 sqrt(19620), .057 sqrt(17658), .071 sqrt(7848), .057 sqrt(1962).
        close(
            &tanks.levels,
            &[
                10.0 + (6.289_814_624 + 0.7 * 6.66 - 9.945_070_135) / 28.0,
                9.0 + (2.524_784_743 + 0.6 * 13.4 - 7.574_354_230) / 32.0,
                4.0 + (0.4 * 13.4 - 6.289_814_624) / 28.0,
                1.0 + (0.3 * 6.66 - 2.524_784_743) / 32.0,
            ],
        );
    }

    #[test]
    fn an_upper_tank_drains_by_the_square_root_law_in_seconds() {
        // sqrt h falls linearly, by a sqrt(2 g) / (2 A) per second.
        let found = run(r#"{"name": "quadruple_tank"}"#, 1, &vec![vec![0.0, 0.0]; 10]);
        let root = 1.8_f64.sqrt() - 10.0 * 0.071 * 1962.0_f64.sqrt() / 56.0;
        assert!((found[9][2] - root * root).abs() < 5e-3, "{found:?}");
    }

    #[test]
    fn the_published_voltages_hold_nearly_the_published_levels_at_both_points() {
        let last = run(r#"{"name": "quadruple_tank"}"#, 1, &vec![vec![3.0, 3.0]; 5_000]).pop().unwrap();
        for (level, published) in last.iter().zip([12.4, 12.7, 1.8, 1.4]) {
            assert!((level - published).abs() < 0.2, "{last:?}");
        }
        // (gamma1 k1 v1 + (1 - gamma2) k2 v2)^2 / (2 g a1^2), and so on.
        let level = |flow: f64, outlet: f64| (flow / outlet).powi(2) / (2.0 * 981.0);
        close(
            &last[..4],
            &[
                level(0.7 * 9.99 + 0.4 * 10.05, 0.071),
                level(0.6 * 10.05 + 0.3 * 9.99, 0.057),
                level(0.4 * 10.05, 0.071),
                level(0.3 * 9.99, 0.057),
            ],
        );
        let p_plus = r#"{"name": "quadruple_tank", "gammas": [0.43, 0.34], "pumps_cm3_v_s": [3.14, 3.29]}"#;
        let last = run(p_plus, 1, &vec![vec![3.15, 3.15]; 5_000]).pop().unwrap();
        for (level, published) in last.iter().zip([12.6, 13.0, 4.8, 4.9]) {
            assert!((level - published).abs() < 0.3, "{last:?}");
        }
    }

    #[test]
    fn the_reward_is_the_distance_from_the_setpoints_in_tank_heights() {
        let row = &run(r#"{"name": "quadruple_tank"}"#, 1, &[vec![10.0, 0.0]])[0];
        close(&row[4..], &[13.4, 13.7, -((row[0] - 13.4).abs() + (row[1] - 13.7).abs()) / 40.0]);
    }
}

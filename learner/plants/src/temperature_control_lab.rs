//! The temperature control lab: two heaters beside each other, each with a sensor.
//!
//! Equations and constants are those of the energy balance of J. D. Hedengren's course "Process Dynamics and Control",
//! <https://apmonitor.com/pdc/index.php/Main/ArduinoEstimation2>, before its parameters are estimated:
//!
//! - `m Cp T1' = U A (Ta - T1) + eps sigma A (Ta^4 - T1^4) + X + alpha1 Q1`
//! - `m Cp T2' = U A (Ta - T2) + eps sigma A (Ta^4 - T2^4) - X + alpha2 Q2`
//! - `X = U As (T2 - T1) + eps sigma As (T2^4 - T1^4)`
//!
//! with `m` .004 kg, `Cp` 500 J/(kg K), `U` 10 W/(m^2 K), `A` 1e-3 m^2, `As` 2e-4 m^2, `eps` .9, `sigma` 5.67e-8
//! W/(m^2 K^4), `alpha1` .01 W/%, `alpha2` .0075 W/%, `Ta` 23 degC.
//!
//! Ours: a step is 1 s, one Euler step (the time constant is about 2 min); it begins at the ambient temperature; reward
//! `-(|T1 - sp1| + |T2 - sp2|) / 200`. Nothing is random.

use crate::Signal;
use crate::options::options;
use crate::simulated::{Dynamics, copy};

/// `m Cp`, J/K.
const CAPACITY: f64 = 0.004 * 500.0;
/// `U`, W/(m^2 K).
const CONVECTION: f64 = 10.0;
/// `eps sigma`, W/(m^2 K^4).
const RADIATION: f64 = 0.9 * 5.67e-8;
/// `A`, m^2.
const AREA: f64 = 1e-3;
/// `As`, m^2.
const AREA_BETWEEN: f64 = 2e-4;
const ZERO_C_IN_K: f64 = 273.15;
const STEP_S: f64 = 1.0;
/// The error of reward -1, K.
const ERROR_K: f64 = 100.0;

const fn heater(name: &'static str) -> Signal {
    Signal { name, unit: "%", lo: 0.0, hi: 100.0, nominal: 50.0 }
}

const fn temperature(name: &'static str, nominal: f64) -> Signal {
    Signal { name, unit: "degC", lo: -40.0, hi: 150.0, nominal }
}

const INPUTS: &[Signal] = &[heater("Q1"), heater("Q2")];
const OUTPUTS: &[Signal] =
    &[temperature("T1", 23.0), temperature("T2", 23.0), temperature("T1_sp", 50.0), temperature("T2_sp", 40.0)];
/// How many outputs are measured.
const MEASURED: usize = 2;

options! {
    /// The variants of the temperature control lab.
    pub struct TemperatureControlLabOptions {
        /// The ambient temperature, degC, at which both heaters begin.
        ambient_c: f64 = 23.0, -40.0..=60.0;
        /// Power of each heater, W/%.
        powers_w: [f64; 2] = [0.01, 0.0075], 0.0..=0.015;
        /// The temperatures to hold, degC.
        setpoints_c: [f64; 2] = [50.0, 40.0], -40.0..=150.0;
    }
}

/// The heaters.
#[derive(Debug, Clone)]
pub(crate) struct Heaters {
    options: TemperatureControlLabOptions,
    temperatures_k: [f64; 2],
}

/// Heat that flows through `area` from one temperature to another, W.
fn exchange(area: f64, from_k: f64, to_k: f64) -> f64 {
    let fourth = |x: f64| x * x * x * x;
    area * (CONVECTION * (from_k - to_k) + RADIATION * (fourth(from_k) - fourth(to_k)))
}

impl Heaters {
    pub(crate) fn new(_seed: u64, options: TemperatureControlLabOptions) -> Self {
        Self { temperatures_k: [options.ambient_c + ZERO_C_IN_K; 2], options }
    }

    fn temperatures_c(&self) -> [f64; 2] {
        self.temperatures_k.map(|kelvin| (kelvin - ZERO_C_IN_K).clamp(OUTPUTS[0].lo, OUTPUTS[0].hi))
    }
}

impl Dynamics for Heaters {
    const NAME: &'static str = "temperature_control_lab";

    fn inputs(&self) -> &'static [Signal] {
        INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        OUTPUTS
    }

    fn measured(&self) -> usize {
        MEASURED
    }

    fn advance(&mut self, actuators: &[f64], _time_steps: u64) -> f64 {
        let o = &self.options;
        let ambient_k = o.ambient_c + ZERO_C_IN_K;
        let [first, second] = self.temperatures_k;
        let between = exchange(AREA_BETWEEN, second, first);
        let net = [
            exchange(AREA, ambient_k, first) + between + o.powers_w[0] * actuators[0],
            exchange(AREA, ambient_k, second) - between + o.powers_w[1] * actuators[1],
        ];
        for (temperature, net) in self.temperatures_k.iter_mut().zip(net) {
            *temperature += STEP_S * net / CAPACITY;
        }
        let [first, second] = self.temperatures_c();
        -((first - o.setpoints_c[0]).abs() + (second - o.setpoints_c[1]).abs()) / (2.0 * ERROR_K)
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(&self.temperatures_c(), outputs);
        copy(&self.options.setpoints_c, outputs.get_mut(MEASURED..).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use crate::conformance::{close, run};

    #[test]
    fn the_first_steps_follow_the_equations() {
        let found = run(r#"{"name": "temperature_control_lab"}"#, 1, &[vec![100.0, 40.0], vec![0.0, 0.0]]);
        // 1 W and .3 W on 2 J/K.
        close(&found[0], &[23.5, 23.15, 50.0, 40.0, -(26.5 + 16.85) / 200.0]);
        // Convection .5 * .01, .15 * .01 and, between, .35 * .002 W; radiation by differences of fourth powers.
        let fourth = |celsius: f64| (celsius + 273.15).powi(4) * 0.9 * 5.67e-8;
        let between = 0.35 * 0.002 + 2e-4 * (fourth(23.5) - fourth(23.15));
        let lost = [0.005 + 1e-3 * (fourth(23.5) - fourth(23.0)), 0.0015 + 1e-3 * (fourth(23.15) - fourth(23.0))];
        close(&found[1][..2], &[23.5 - (lost[0] + between) / 2.0, 23.15 - (lost[1] - between) / 2.0]);
    }

    #[test]
    fn at_rest_each_heater_gives_what_leaves_it() {
        let last = run(r#"{"name": "temperature_control_lab"}"#, 1, &vec![vec![60.0, 20.0]; 5_000]).pop().unwrap();
        let flow = |area: f64, from: f64, to: f64| {
            let fourth = |celsius: f64| (celsius + 273.15).powi(4);
            area * (10.0 * (from - to) + 0.9 * 5.67e-8 * (fourth(from) - fourth(to)))
        };
        let between = flow(2e-4, last[0], last[1]);
        assert!((0.6 - between - flow(1e-3, last[0], 23.0)).abs() < 1e-9, "{last:?}");
        assert!((0.15 + between - flow(1e-3, last[1], 23.0)).abs() < 1e-9, "{last:?}");
        assert!(last[0] > 50.0 && last[0] < 70.0 && last[1] > 30.0, "{last:?}");
    }
}

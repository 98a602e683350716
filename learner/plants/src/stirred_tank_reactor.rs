//! The continuously stirred tank reactor: an exothermic reaction A -> B, cooled by a jacket.
//!
//! Equations and constants are those of D. E. Seborg, T. F. Edgar, D. A. Mellichamp, "Process Dynamics and Control",
//! example 2.5 (table 2.3), a common benchmark:
//!
//! - `c' = q/V (c_f - c) - k0 exp(-E/(R T)) c`
//! - `T' = q/V (T_f - T) + (-dH)/(rho Cp) k0 exp(-E/(R T)) c + U A/(V rho Cp) (T_c - T)`
//!
//! with `q` 100 l/min, `V` 100 l, `rho` 1000 g/l, `Cp` .239 J/(g K), `-dH` 5e4 J/mol, `E/R` 8750 K, `k0` 7.2e10 /min,
//! `U A` 5e4 J/(min K), `T_f` 350 K, `c_f` 1 mol/l. Under the nominal jacket of 300 K it has three steady states: the
//! cold one at .877253 mol/l and 324.475 K, where it begins, the book's at .5 mol/l and 350 K, which is not stable, and
//! a hot one.
//!
//! Ours: a step is 0.05 min, 100 Euler steps, implicit in `c`, because the hot reaction is too fast for explicit ones;
//! reward `-|T - T_sp| / 100`; the setpoint is at 340 K, where the reactor is not stable by itself. Nothing is random.

use crate::Signal;
use crate::options::options;
use crate::simulated::{Dynamics, copy};

/// `V`, l.
const VOLUME: f64 = 100.0;
/// `q/V`, 1/min.
const DILUTION: f64 = 100.0 / VOLUME;
/// `-dH/(rho Cp)`, K l/mol.
const HEATING: f64 = 5e4 / (1000.0 * 0.239);
/// `U A/(V rho Cp)`, 1/min.
const COOLING: f64 = 5e4 / (VOLUME * 1000.0 * 0.239);
/// `E/R`, K.
const ACTIVATION: f64 = 8750.0;
/// `k0`, 1/min.
const RATE: f64 = 7.2e10;
/// `T_f`, K.
const FEED_K: f64 = 350.0;
/// `c_f`, mol/l.
const FEED: f64 = 1.0;
const INNER_STEPS: u32 = 100;
const INNER_MIN: f64 = 0.0005;
/// The error of reward -1, K.
const ERROR_K: f64 = 100.0;

const fn temperature(name: &'static str, nominal: f64) -> Signal {
    Signal { name, unit: "K", lo: 250.0, hi: 600.0, nominal }
}

const INPUTS: &[Signal] = &[Signal { name: "Tc", unit: "K", lo: 250.0, hi: 350.0, nominal: 300.0 }];
const OUTPUTS: &[Signal] = &[
    Signal { name: "c", unit: "mol/l", lo: 0.0, hi: 1.0, nominal: 0.877_252_946_080_97 },
    temperature("T", 324.475_443_431_599),
    temperature("T_sp", 340.0),
];
/// How many outputs are measured.
const MEASURED: usize = 2;

options! {
    /// The variants of the stirred tank reactor.
    pub struct StirredTankReactorOptions {
        /// The concentration at first, mol/l.
        start: f64 = 0.877_252_946_080_97, 0.0..=1.0;
        /// The temperature at first, K.
        start_k: f64 = 324.475_443_431_599, 250.0..=600.0;
        /// The temperature to hold, K.
        setpoint_k: f64 = 340.0, 250.0..=600.0;
    }
}

/// The reactor.
#[derive(Debug, Clone)]
pub(crate) struct Reactor {
    concentration: f64,
    temperature_k: f64,
    setpoint_k: f64,
}

impl Reactor {
    pub(crate) fn new(_seed: u64, options: StirredTankReactorOptions) -> Self {
        Self { concentration: options.start, temperature_k: options.start_k, setpoint_k: options.setpoint_k }
    }

    fn react(&mut self, jacket_k: f64, minutes: f64) {
        let rate = RATE * libm::exp(-ACTIVATION / self.temperature_k);
        self.concentration = (self.concentration + minutes * DILUTION * FEED) / (1.0 + minutes * (DILUTION + rate));
        let change = DILUTION * (FEED_K - self.temperature_k)
            + HEATING * rate * self.concentration
            + COOLING * (jacket_k - self.temperature_k);
        self.temperature_k += minutes * change;
    }
}

impl Dynamics for Reactor {
    const NAME: &'static str = "stirred_tank_reactor";

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
        for _ in 0..INNER_STEPS {
            self.react(actuators[0], INNER_MIN);
        }
        -(self.temperature_k - self.setpoint_k).abs() / ERROR_K
    }

    fn observe(&self, outputs: &mut [f64]) {
        let shown_k = self.temperature_k.clamp(OUTPUTS[1].lo, OUTPUTS[1].hi);
        copy(&[self.concentration, shown_k, self.setpoint_k], outputs);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{close, run};

    #[test]
    fn one_short_step_follows_the_equations() {
        let mut reactor = Reactor { concentration: 0.8, temperature_k: 340.0, setpoint_k: 340.0 };
        let minutes = 1e-6;
        reactor.react(290.0, minutes);
        // Rate 7.2e10 exp(-8750/340) = .479253...; c' = .2 - .8 rate; T' = 10 + 209.205 * .8 rate - 2.09205 * 50.
        let rate = 7.2e10 * (-8750.0_f64 / 340.0).exp();
        assert!((rate - 0.479_3).abs() < 1e-3, "{rate}");
        let slopes = [(reactor.concentration - 0.8) / minutes, (reactor.temperature_k - 340.0) / minutes];
        assert!((slopes[0] - (0.2 - 0.8 * rate)).abs() < 1e-5, "{slopes:?}");
        assert!((slopes[1] - (10.0 + 209.205_020_9 * 0.8 * rate - 104.602_510_5)).abs() < 1e-3, "{slopes:?}");
    }

    #[test]
    fn it_rests_at_the_published_cold_state_and_hardly_moves_from_the_books_one() {
        let found = run(r#"{"name": "stirred_tank_reactor"}"#, 1, &vec![vec![300.0]; 400]);
        assert!((found[399][0] - 0.877_253).abs() < 1e-5 && (found[399][1] - 324.475_44).abs() < 1e-3);
        close(&found[399][3..], &[-(340.0 - found[399][1]) / 100.0]);
        let book = r#"{"name": "stirred_tank_reactor", "start": 0.5, "start_k": 350}"#;
        let found = run(book, 1, &[vec![300.0]]);
        assert!((found[0][0] - 0.5).abs() < 1e-4 && (found[0][1] - 350.0).abs() < 1e-2, "{found:?}");
    }

    #[test]
    fn a_cold_reactor_fills_with_feed_at_the_rate_of_its_flow() {
        // Too cold to react: c = 1 - exp(-t) after one minute, twenty steps.
        let case = r#"{"name": "stirred_tank_reactor", "start": 0, "start_k": 250}"#;
        let found = run(case, 1, &vec![vec![250.0]; 20]);
        assert!((found[19][0] - 0.632_121).abs() < 3e-3, "{:?}", found[19]);
    }

    #[test]
    fn a_warm_jacket_ignites_it() {
        let found = run(r#"{"name": "stirred_tank_reactor"}"#, 1, &vec![vec![310.0]; 400]);
        let hottest = found.iter().map(|row| row[1]).fold(0.0, f64::max);
        assert!(hottest > 400.0 && hottest < 560.0, "{hottest}");
    }
}

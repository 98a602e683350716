//! The inner loops: proportional and integral, from setpoints to valves, once a second.
//!
//! The pairs are those of N. L. Ricker, "Decentralized control of the Tennessee Eastman Challenge Process", Journal of
//! Process Control 6(4), 1996, pp. 205-221, the gains ours: each feed by its own valve, the pressure of the reactor by
//! the purge, its temperature by its cooling water, its level by the temperature of the separator and that by the
//! condenser's cooling water, the levels of separator and stripper by what flows out of them. What his outer loops do
//! (production, quality, the composition of the reactor's feed) is left to whoever gives the setpoints. Recycle, steam
//! and agitator stay where the base case has them.

use super::measurements as at;
use super::valves::{self, Positions};
use crate::Signal;

const fn setpoint(name: &'static str, unit: &'static str, range: [f64; 2], nominal: f64) -> Signal {
    Signal { name, unit, lo: range[0], hi: range[1], nominal }
}

/// How many setpoints there are.
pub(super) const COUNT: usize = 7;

/// What is set from outside, at the values of the base case.
pub(super) const SIGNALS: [Signal; COUNT] = [
    setpoint("a_feed_sp", "kscmh", [0.0, 1.0], 0.250_52),
    setpoint("d_feed_sp", "kg/h", [2_500.0, 5_000.0], 3_664.0),
    setpoint("e_feed_sp", "kg/h", [3_000.0, 6_000.0], 4_509.3),
    setpoint("ac_feed_sp", "kscmh", [7.0, 12.0], 9.3477),
    setpoint("reactor_pressure_sp", "kPa", [2_600.0, 2_850.0], 2_705.0),
    setpoint("reactor_level_sp", "%", [55.0, 95.0], 75.0),
    setpoint("reactor_temperature_sp", "degC", [117.0, 126.0], 120.4),
];
/// The levels of separator and stripper, %.
const LEVEL: f64 = 50.0;
/// The temperature of the separator may be set so far, degC.
const SEPARATOR_C: [f64; 2] = [50.0, 110.0];
const SEPARATOR_BASE_C: f64 = 80.109;
const VALVE: [f64; 2] = [0.0, 100.0];

/// A controller: output per unit of error, and the seconds in which the integral repeats the proportional part.
#[derive(Debug, Clone, Copy)]
struct Loop {
    gain: f64,
    reset_s: f64,
    range: [f64; 2],
    error: f64,
    output: f64,
}

impl Loop {
    const fn new(gain: f64, reset_s: f64, range: [f64; 2], output: f64) -> Self {
        Self { gain, reset_s, range, error: 0.0, output }
    }

    const fn on_valve(gain: f64, reset_s: f64, valve: usize) -> Self {
        Self::new(gain, reset_s, VALVE, valves::BASE[valve])
    }

    /// The output a second later. It is kept within its range, so that the integral does not wind up.
    fn follow(&mut self, setpoint: f64, measured: f64) -> f64 {
        let error = setpoint - measured;
        let change = self.gain * (error - self.error + error / self.reset_s);
        self.error = error;
        self.output = (self.output + change).clamp(self.range[0], self.range[1]);
        self.output
    }
}

/// All of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loops {
    a_feed: Loop,
    d_feed: Loop,
    e_feed: Loop,
    ac_feed: Loop,
    reactor_pressure: Loop,
    reactor_level: Loop,
    reactor_temperature: Loop,
    separator_temperature: Loop,
    separator_level: Loop,
    stripper_level: Loop,
}

impl Loops {
    /// At rest in the base case.
    pub(super) fn at_rest() -> Self {
        Self {
            a_feed: Loop::on_valve(10.0, 30.0, valves::A_FEED),
            d_feed: Loop::on_valve(1.7e-3, 30.0, valves::D_FEED),
            e_feed: Loop::on_valve(1.2e-3, 30.0, valves::E_FEED),
            ac_feed: Loop::on_valve(0.7, 30.0, valves::AC_FEED),
            reactor_pressure: Loop::on_valve(-0.5, 1_200.0, valves::PURGE),
            reactor_level: Loop::new(0.8, 3_600.0, SEPARATOR_C, SEPARATOR_BASE_C),
            reactor_temperature: Loop::on_valve(-8.0, 450.0, valves::REACTOR_WATER),
            separator_temperature: Loop::on_valve(-4.0, 900.0, valves::CONDENSER_WATER),
            separator_level: Loop::on_valve(-0.5, 3_600.0, valves::SEPARATOR_LIQUID),
            stripper_level: Loop::on_valve(-0.5, 3_600.0, valves::STRIPPER_LIQUID),
        }
    }

    /// What the valves are told.
    pub(super) fn commands(&mut self, setpoints: &[f64], readings: &[f64; at::COUNT]) -> Positions {
        let mut commands = valves::BASE;
        let [a_feed, d_feed, e_feed, ac_feed, pressure, level, temperature] = std::array::from_fn(|i| setpoints[i]);
        commands[valves::A_FEED] = self.a_feed.follow(a_feed, readings[at::A_FEED]);
        commands[valves::D_FEED] = self.d_feed.follow(d_feed, readings[at::D_FEED]);
        commands[valves::E_FEED] = self.e_feed.follow(e_feed, readings[at::E_FEED]);
        commands[valves::AC_FEED] = self.ac_feed.follow(ac_feed, readings[at::AC_FEED]);
        commands[valves::PURGE] = self.reactor_pressure.follow(pressure, readings[at::REACTOR_PRESSURE]);
        let separator_c = self.reactor_level.follow(level, readings[at::REACTOR_LEVEL]);
        commands[valves::CONDENSER_WATER] =
            self.separator_temperature.follow(separator_c, readings[at::SEPARATOR_TEMPERATURE]);
        commands[valves::REACTOR_WATER] =
            self.reactor_temperature.follow(temperature, readings[at::REACTOR_TEMPERATURE]);
        commands[valves::SEPARATOR_LIQUID] = self.separator_level.follow(LEVEL, readings[at::SEPARATOR_LEVEL]);
        commands[valves::STRIPPER_LIQUID] = self.stripper_level.follow(LEVEL, readings[at::STRIPPER_LEVEL]);
        commands
    }
}

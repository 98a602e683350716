//! The Tennessee Eastman plant: a reactor, a condenser and separator, a compressor and a stripper, in one loop.
//!
//! The process of J. J. Downs and E. F. Vogel, "A plant-wide industrial process control problem", Computers and Chemical
//! Engineering 17(3), 1993, pp. 245-255, with the constants of the program that belongs to it: 50 states, 12 manipulated
//! variables, 41 measurements, 20 disturbances. The paper's units are kept inside (lb, lbmol, ft^3, mmHg, degC, MMBtu
//! for a million Btu, hours), because its constants are in them; measurements have the paper's metric ones.
//!
//! Gases A, C, D and E are fed and react to the liquids G and H, with an inert B that only the purge lets out. The base
//! case is a steady state, but not a stable one. Errors grow tenfold in 40 minutes: with the valves where the base case
//! has them, to ten digits, the plant shuts itself down by the pressure of the reactor after three and a half hours,
//! to four digits after less than three, and after half an hour when the feed of A is lost.
//!
//! - `tennessee_eastman` is the published problem: the inputs are the twelve manipulated variables.
//! - `tennessee_eastman_setpoints` has inner loops (`loops.rs`); the inputs are seven of their setpoints, and at the
//!   values of the base case the plant stays there.
//!
//! Ours: noise is from our own streams, and normal; a step is 60 s, of one Euler step per second; the reward is minus the
//! published operating cost of what was measured, in thousands of $/h, less a price for each m^3/h and mol% of G by which
//! the product misses its targets. The step in which the plant shuts down has reward `-shutdown_cost` and shows the plant
//! as it stood before; the step after it ignores its inputs, puts the plant back to the base case and has reward 0.
//! Time goes on through both, and the disturbances with it.

mod components;
mod conditions;
mod costs;
mod disturbances;
mod flowsheet;
mod limits;
mod loops;
mod measurements;
mod options;
mod process;
mod reactor;
mod separator;
mod state;
mod streams;
mod stripper;
#[cfg(test)]
mod tests;
mod thermodynamics;
mod valves;
mod vessel;

pub use disturbances::{ProcessDisturbances, UnknownDisturbance};
pub use options::TennesseeEastmanOptions;

use loops::Loops;
use process::{Process, Shutdown};

use crate::Signal;
use crate::simulated::{Dynamics, copy};

const fn valve(name: &'static str, place: usize) -> Signal {
    Signal { name, unit: "%", lo: 0.0, hi: 100.0, nominal: valves::BASE[place] }
}

/// The manipulated variables in their published order, XMV(1) to XMV(12).
const VALVES: [Signal; valves::COUNT] = [
    valve("d_feed_valve", valves::D_FEED),
    valve("e_feed_valve", valves::E_FEED),
    valve("a_feed_valve", valves::A_FEED),
    valve("ac_feed_valve", valves::AC_FEED),
    valve("recycle_valve", valves::RECYCLE),
    valve("purge_valve", valves::PURGE),
    valve("separator_liquid_valve", valves::SEPARATOR_LIQUID),
    valve("stripper_liquid_valve", valves::STRIPPER_LIQUID),
    valve("steam_valve", valves::STEAM),
    valve("reactor_water_valve", valves::REACTOR_WATER),
    valve("condenser_water_valve", valves::CONDENSER_WATER),
    valve("agitator", valves::AGITATOR),
];

/// The measurements, then the targets.
const OUTPUTS: [Signal; measurements::COUNT + 2] = {
    let mut outputs =
        [Signal { name: "product_sp", unit: "m3/h", lo: 0.0, hi: 60.0, nominal: 22.949 }; measurements::COUNT + 2];
    let mut i = 0;
    while i < measurements::COUNT {
        outputs[i] = measurements::SIGNALS[i];
        i += 1;
    }
    outputs[measurements::COUNT + 1] =
        Signal { name: "product_g_sp", unit: "mol%", lo: 0.0, hi: 100.0, nominal: 53.724 };
    outputs
};

/// Who moves the valves.
pub(crate) trait Drive: Clone + Send + std::fmt::Debug {
    /// The plant's name with this one.
    const NAME: &'static str;
    /// What is set from outside.
    const INPUTS: &'static [Signal];

    /// As in the base case.
    fn at_rest() -> Self;

    /// Runs the plant for so many seconds under these inputs.
    fn run(&mut self, process: &mut Process, seconds: u64, inputs: &[f64]) -> Result<(), Shutdown>;
}

/// Valves that are set from outside.
#[derive(Debug, Clone)]
pub(crate) struct Hands;

impl Drive for Hands {
    const NAME: &'static str = "tennessee_eastman";
    const INPUTS: &'static [Signal] = &VALVES;

    fn at_rest() -> Self {
        Self
    }

    fn run(&mut self, process: &mut Process, seconds: u64, inputs: &[f64]) -> Result<(), Shutdown> {
        let commands = std::array::from_fn(|valve| inputs[valve]);
        let outcome = (0..seconds).try_for_each(|_| process.advance(&commands));
        process.sense();
        outcome
    }
}

impl Drive for Loops {
    const NAME: &'static str = "tennessee_eastman_setpoints";
    const INPUTS: &'static [Signal] = &loops::SIGNALS;

    fn at_rest() -> Self {
        Self::at_rest()
    }

    fn run(&mut self, process: &mut Process, seconds: u64, inputs: &[f64]) -> Result<(), Shutdown> {
        (0..seconds).try_for_each(|_| {
            let outcome = process.advance(&self.commands(inputs, process.readings()));
            process.sense();
            outcome
        })
    }
}

/// The plant whose valves are set from outside.
pub(crate) type ByValves = Operated<Hands>;
/// The plant whose inner loops are given setpoints.
pub(crate) type BySetpoints = Operated<Loops>;

/// The plant with its targets, under whoever moves its valves.
#[derive(Debug, Clone)]
pub(crate) struct Operated<D> {
    options: TennesseeEastmanOptions,
    process: Process,
    drive: D,
    has_shut_down: bool,
}

impl<D: Drive> Operated<D> {
    pub(crate) fn new(seed: u64, options: TennesseeEastmanOptions) -> Self {
        Self { options, process: Process::new(seed, &options), drive: D::at_rest(), has_shut_down: false }
    }
}

impl<D: Drive> Dynamics for Operated<D> {
    const NAME: &'static str = D::NAME;

    fn inputs(&self) -> &'static [Signal] {
        D::INPUTS
    }

    fn outputs(&self) -> &'static [Signal] {
        &OUTPUTS
    }

    fn measured(&self) -> usize {
        measurements::COUNT
    }

    fn advance(&mut self, actuators: &[f64], _time_steps: u64) -> f64 {
        if self.has_shut_down {
            self.process.restart();
            (self.drive, self.has_shut_down) = (D::at_rest(), false);
            return 0.0;
        }
        match self.drive.run(&mut self.process, self.options.step_s, actuators) {
            Ok(()) => costs::reward(self.process.readings(), &self.options),
            Err(Shutdown) => {
                self.has_shut_down = true;
                -self.options.shutdown_cost
            }
        }
    }

    fn observe(&self, outputs: &mut [f64]) {
        copy(self.process.readings(), outputs);
        let targets = [self.options.product_m3_h, self.options.g_percent];
        copy(&targets, outputs.get_mut(measurements::COUNT..).unwrap_or_default());
    }
}

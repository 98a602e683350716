//! Simulated plants as pure, seeded step functions.
//!
//! # Contract
//! - A plant is a state and a step. Nothing here reads a clock, a file or the environment: the same name, options, seed
//!   and inputs give the same bits on every machine. Transcendental functions come from the `libm` crate, noise from a
//!   ChaCha8 stream with the name of its purpose.
//! - A step never panics and allocates nothing; nor does a reset. An input outside its range is clipped to it, as an
//!   actuator at its stop; an input that is not finite leaves the actuator where it was, at first at its nominal value.
//!   Input or output slices that are too short are used as far as they go.
//! - A plant computes its own reward. Outputs and inputs together hold everything that the reward depends on and that
//!   moves, thresholds and targets included, so that a controller can name it; where a plant's documentation says so,
//!   it is what was observed before the step.
//! - Options that cannot be are refused when a plant is built, all complaints together, never in a step.
//!
//! # Nouns
//! A [`Signal`] is one input or output with its unit, range and nominal value. A [`Plant`] has inputs (what a
//! controller writes) and outputs (what it reads): first measurements, then targets. An [`Environment`] describes a
//! plant and its [`Disturbances`] as a case file does, and builds it; its [`NAMES`](Environment::NAMES) are all
//! there are. [`by_name`] builds the three standard plants, of a list that does not grow.
//!
//! A plant is written as `Dynamics`, a file each, with its equations, source and reward; `Simulated` adds what all have
//! in common. "Specification" means that of the agent, whose section 11 names the environments to learn on and whose
//! section 9 the reward of goals; where it is silent, the plant's file says what was decided. Some attempts end and
//! begin again; what the step after an end does stands with the plant.
//!
//! ```
//! let mut plant = plants::by_name("saturation", 7)?;
//! let mut outputs = vec![0.0; plant.outputs().len()];
//! plant.step(&[0.125], &mut outputs);
//! assert_eq!(plant.outputs()[0].name, "level");
//! assert_eq!(outputs[0], 0.125);
//! assert_eq!(plant.reward(), -0.375);
//! # Ok::<(), plants::UnknownPlant>(())
//! ```
#![forbid(unsafe_code)]

mod calibration;
#[cfg(test)]
mod conformance;
mod distraction;
mod disturbed;
mod environment;
mod goals;
mod inertia;
mod lost_in_translation;
mod mountain_car;
mod multi_action_saturation;
mod noise;
mod nonstationary;
mod options;
mod pvs;
mod quadruple_tank;
mod saturation;
mod saturation_goals;
mod schedule;
mod simulated;
mod stirred_tank_reactor;
mod t_maze;
mod temperature_control_lab;
mod tennessee_eastman;
mod three_tanks;
mod windy_room;

pub use calibration::CalibrationOptions;
pub use distraction::DistractionOptions;
pub use disturbed::{Disturbances, Disturbed};
pub use environment::{Environment, PlantOptions};
pub use inertia::InertiaOptions;
pub use lost_in_translation::LostInTranslationOptions;
pub use mountain_car::{MountainCarContinuousOptions, StandStillOptions};
pub use multi_action_saturation::MultiActionSaturationOptions;
pub use nonstationary::NonstationaryOptions;
pub use options::{Complaint, ImpossibleOptions};
pub use pvs::PvsOptions;
pub use quadruple_tank::QuadrupleTankOptions;
pub use saturation::{Multimodal, Saturation, SaturationOptions};
pub use saturation_goals::SaturationGoalsOptions;
pub use simulated::Simulated;
pub use stirred_tank_reactor::StirredTankReactorOptions;
pub use t_maze::TMazeOptions;
pub use temperature_control_lab::TemperatureControlLabOptions;
pub use tennessee_eastman::{ProcessDisturbances, TennesseeEastmanOptions, UnknownDisturbance};
pub use three_tanks::ThreeTanksOptions;
pub use windy_room::WindyRoomOptions;

/// The names that [`by_name`] knows: a list that stays as it is, because simulations draw from it.
/// [`Environment::NAMES`] has all.
pub const NAMES: &[&str] = &["saturation", "multi_action_saturation", "three_tanks"];

/// One input or output of a plant.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signal {
    /// The name, unique within the plant.
    pub name: &'static str,
    /// The engineering unit; `"1"` for a number without dimension.
    pub unit: &'static str,
    /// The lowest value, in `unit`.
    pub lo: f64,
    /// The highest value, in `unit`.
    pub hi: f64,
    /// For an input: the value at which the plant runs without a controller. For an output: its initial value under the
    /// default options; where that is drawn, the middle of where it may begin.
    pub nominal: f64,
}

/// A simulated plant.
pub trait Plant: Send + std::fmt::Debug {
    /// The name by which [`by_name`] builds it.
    fn name(&self) -> &'static str;

    /// What a controller writes, in the order of `step`'s `inputs`.
    fn inputs(&self) -> &'static [Signal];

    /// What a controller reads, in the order of `step`'s `outputs`.
    fn outputs(&self) -> &'static [Signal];

    /// How many of the outputs, from the first on, are measured. The others are targets: a controller reads them, but
    /// no sensor does.
    fn measured(&self) -> usize {
        self.outputs().len()
    }

    /// Advances by one step under `inputs` (engineering units) and writes what is observed afterwards.
    ///
    /// A reading that is missing is NaN; only variants of a plant have missing readings.
    fn step(&mut self, inputs: &[f64], outputs: &mut [f64]);

    /// Writes what the last step left to be observed, without advancing.
    fn observe(&self, outputs: &mut [f64]);

    /// The reward of the last step; 0 before the first one.
    fn reward(&self) -> f64;

    /// Back to the initial state, noise included: the steps after it have the same bits as those of a new plant.
    fn reset(&mut self);
}

/// A name that no plant has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no plant `{name}`; known are {}", known.join(", "))]
pub struct UnknownPlant {
    /// The name that was asked for.
    pub name: String,
    /// The names that exist.
    pub known: &'static [&'static str],
}

/// Builds the standard plant called `name`; `seed` determines all of its noise.
///
/// # Errors
/// [`UnknownPlant`] when `name` is not one of [`NAMES`].
pub fn by_name(name: &str, seed: u64) -> Result<Box<dyn Plant>, UnknownPlant> {
    let unknown = || UnknownPlant { name: name.to_owned(), known: NAMES };
    let known = NAMES.iter().find(|known| **known == name).ok_or_else(unknown)?;
    Ok(Environment::named(known)?.plant.build(seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(plant: &mut dyn Plant, inputs: &[Vec<f64>]) -> Vec<u64> {
        let mut outputs = vec![0.0; plant.outputs().len()];
        let mut bits = Vec::new();
        for input in inputs {
            plant.step(input, &mut outputs);
            bits.extend(outputs.iter().map(|value| value.to_bits()));
            bits.push(plant.reward().to_bits());
        }
        bits
    }

    /// The digest of fifty steps under inputs that run through their ranges.
    fn digest(plant: &mut dyn Plant) -> u64 {
        let signals = plant.inputs();
        let inputs: Vec<Vec<f64>> = (0..50)
            .map(|step| {
                let part = f64::from(step % 10) / 10.0;
                signals.iter().map(|s| s.lo + part * (s.hi - s.lo)).collect()
            })
            .collect();
        run(plant, &inputs)
            .iter()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, bits| (hash ^ bits).wrapping_mul(0x0100_0000_01b3))
    }

    #[test]
    fn the_bits_of_fifty_steps_are_the_same_on_every_machine() {
        let golden = [
            ("saturation", 0x641f_5250_19a4_32cf_u64),
            ("multi_action_saturation", 0xee60_e7ac_43e3_7365),
            ("three_tanks", 0xbf0b_7944_197c_31b5),
        ];
        let mut found = Vec::new();
        for (name, _) in golden {
            found.push((name, digest(by_name(name, 42).unwrap().as_mut())));
        }
        assert_eq!(found, golden, "{found:x?}");
    }

    #[test]
    fn so_are_those_of_all_other_environments() {
        let golden = [
            ("saturation_goals", 0x0f05_7d18_5ed3_349e_u64),
            ("calibration", 0xf668_d4be_33d6_5f5b),
            ("mountain_car_continuous", 0xb3b4_df39_e1da_137a),
            ("stand_still", 0x9d8b_b835_7d25_51f0),
            ("inertia", 0x2fa3_5c37_cc53_c58a),
            ("distraction", 0xed44_332b_bfb1_c5b2),
            ("nonstationary", 0xfe35_13a3_4ddb_56cb),
            ("t_maze", 0xbbc7_1e3c_f45a_9936),
            ("windy_room", 0x7e5f_0560_1f5e_b950),
            ("pvs", 0xa59c_59b0_4304_dd44),
            ("lost_in_translation", 0x2282_1c6b_def4_949e),
            ("stirred_tank_reactor", 0x6e02_485a_d9f8_7b74),
            ("quadruple_tank", 0x2343_7e16_4e83_2563),
            ("temperature_control_lab", 0xce7f_2850_175c_0dda),
            ("tennessee_eastman", 0xae41_548a_d9e3_6196),
            ("tennessee_eastman_setpoints", 0x26e5_5bec_08e9_58cd),
        ];
        let others = Environment::NAMES.iter().filter(|name| !NAMES.contains(name));
        let found: Vec<_> =
            others.map(|name| (*name, digest(Environment::named(name).unwrap().build(42).unwrap().as_mut()))).collect();
        assert_eq!(found, golden, "{found:#x?}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        for unknown in ["boiler", "t_maze"] {
            let error = by_name(unknown, 0).unwrap_err();
            assert_eq!(error.known, NAMES);
            assert!(error.to_string().contains("three_tanks"));
        }
    }
}

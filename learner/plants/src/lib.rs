//! Simulated plants as pure, seeded step functions.
//!
//! # Contract
//! - A plant is a state and a step. Nothing here reads a clock, a file or the environment: the same name, seed and
//!   inputs give the same bits on every machine. Transcendental functions come from the `libm` crate, noise from a
//!   ChaCha8 stream with the name of its purpose.
//! - A step never panics and allocates nothing. An input outside its range is clipped to it, as an actuator at its
//!   stop; an input that is not finite leaves the actuator where it was. Input or output slices that are too short
//!   are used as far as they go.
//! - A plant computes its own reward. Outputs hold everything that the reward depends on, targets included, so that a
//!   controller can name it.
//!
//! # Nouns
//! A [`Signal`] is one input or output with its unit, range and nominal value. A [`Plant`] has inputs (what a
//! controller writes) and outputs (what it reads). [`by_name`] builds the standard plants; [`Saturation`] can be built
//! with the variants of [`SaturationOptions`].
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

mod multi_action_saturation;
mod noise;
mod saturation;
mod three_tanks;

pub use multi_action_saturation::MultiActionSaturation;
pub use saturation::{Multimodal, Saturation, SaturationOptions};
pub use three_tanks::ThreeTanks;

/// The names that [`by_name`] knows.
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
    /// For an input: the value at which the plant runs without a controller. For an output: its initial value.
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
    match name {
        "saturation" => Ok(Box::new(Saturation::new(seed, SaturationOptions::default()))),
        "multi_action_saturation" => Ok(Box::new(MultiActionSaturation::new())),
        "three_tanks" => Ok(Box::new(ThreeTanks::new(seed))),
        _ => Err(UnknownPlant { name: name.to_owned(), known: NAMES }),
    }
}

/// Takes over the inputs that are finite, clipped to their ranges; the others keep their last value.
fn actuate(actuators: &mut [f64], inputs: &[f64], signals: &[Signal]) {
    for ((actuator, &input), signal) in actuators.iter_mut().zip(inputs).zip(signals) {
        if input.is_finite() {
            *actuator = input.clamp(signal.lo, signal.hi);
        }
    }
}

/// Copies as many values as both slices have.
fn copy(from: &[f64], to: &mut [f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    fn any_inputs() -> impl Strategy<Value = Vec<Vec<f64>>> {
        let value = prop_oneof![
            8 => -0.2..1.2f64,
            1 => 0.0..150.0f64,
            1 => Just(f64::NAN),
            1 => Just(f64::INFINITY),
        ];
        proptest::collection::vec(proptest::collection::vec(value, 0..4), 1..200)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn the_same_seed_and_inputs_give_the_same_bits_and_a_reset_starts_anew(
            seed: u64, inputs in any_inputs(),
        ) {
            for name in NAMES {
                let mut plant = by_name(name, seed).unwrap();
                let first = run(plant.as_mut(), &inputs);
                prop_assert_eq!(&first, &run(by_name(name, seed).unwrap().as_mut(), &inputs));
                plant.reset();
                prop_assert_eq!(plant.reward(), 0.0);
                prop_assert_eq!(&first, &run(plant.as_mut(), &inputs));
            }
        }

        #[test]
        fn outputs_stay_within_their_ranges_whatever_is_written(
            seed: u64, inputs in any_inputs(),
        ) {
            for name in NAMES {
                let mut plant = by_name(name, seed).unwrap();
                let mut outputs = vec![0.0; plant.outputs().len()];
                for input in &inputs {
                    plant.step(input, &mut outputs);
                    for (value, signal) in outputs.iter().zip(plant.outputs()) {
                        prop_assert!((signal.lo..=signal.hi).contains(value), "{}: {value}", signal.name);
                    }
                    prop_assert!(plant.reward().is_finite() && plant.reward() <= 0.0);
                }
            }
        }
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
            let mut plant = by_name(name, 42).unwrap();
            let signals = plant.inputs();
            let inputs: Vec<Vec<f64>> = (0..50)
                .map(|step| {
                    let part = f64::from(step % 10) / 10.0;
                    signals.iter().map(|s| s.lo + part * (s.hi - s.lo)).collect()
                })
                .collect();
            let digest = run(plant.as_mut(), &inputs)
                .iter()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, bits| (hash ^ bits).wrapping_mul(0x0100_0000_01b3));
            found.push((name, digest));
        }
        assert_eq!(found, golden, "{found:x?}");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_known_ones() {
        let error = by_name("boiler", 0).unwrap_err();
        assert_eq!(error.known, NAMES);
        assert!(error.to_string().contains("three_tanks"));
    }

    #[test]
    fn every_plant_begins_within_its_ranges_and_answers_to_its_name() {
        for name in NAMES {
            let plant = by_name(name, 1).unwrap();
            assert_eq!(plant.name(), *name);
            let mut outputs = vec![f64::NAN; plant.outputs().len()];
            plant.observe(&mut outputs);
            for (signal, value) in plant.outputs().iter().zip(outputs) {
                assert_eq!(value, signal.nominal, "{}", signal.name);
            }
            for signal in plant.inputs().iter().chain(plant.outputs()) {
                assert!(signal.lo < signal.hi && (signal.lo..=signal.hi).contains(&signal.nominal));
            }
        }
    }
}

//! Where the plant shuts itself down.

use std::ops::RangeInclusive;

use super::flowsheet::{Flowsheet, Units};
use super::measurements::{M3, gauge_kpa};

/// Pressure of the reactor, kPa gauge, at most.
const PRESSURE_KPA: f64 = 3000.0;
/// Temperature of the reactor, degC, at most.
const TEMPERATURE_C: f64 = 175.0;
/// Liquid in the reactor, m^3.
const REACTOR_M3: RangeInclusive<f64> = 2.0..=24.0;
/// Liquid in the separator, m^3.
const SEPARATOR_M3: RangeInclusive<f64> = 1.0..=12.0;
/// Liquid in the base of the stripper, m^3.
const STRIPPER_M3: RangeInclusive<f64> = 1.0..=8.0;

/// Whether the plant may go on. What is not a number may not.
pub(super) fn hold(flowsheet: &Flowsheet) -> bool {
    let Units { reactor, separator, stripper, .. } = &flowsheet.units;
    gauge_kpa(reactor.pressure) <= PRESSURE_KPA
        && reactor.temperature_c <= TEMPERATURE_C
        && REACTOR_M3.contains(&(reactor.liquid_volume * M3))
        && SEPARATOR_M3.contains(&(separator.liquid_volume * M3))
        && STRIPPER_M3.contains(&(stripper.liquid_volume * M3))
}

#[cfg(test)]
mod tests {
    use super::super::conditions::Conditions;
    use super::super::state::State;
    use super::*;

    #[test]
    fn every_published_limit_shuts_the_plant_down() {
        let base = Flowsheet::of(&State::base(), &Conditions::base());
        assert!(hold(&base));
        let violations: [fn(&mut Flowsheet); 9] = [
            |f| f.units.reactor.pressure = 760.0 * (1.0 + 3000.1 / 101.325),
            |f| f.units.reactor.temperature_c = 175.1,
            |f| f.units.reactor.liquid_volume = 1.99 * 35.3145,
            |f| f.units.reactor.liquid_volume = 24.01 * 35.3145,
            |f| f.units.separator.liquid_volume = 0.99 * 35.3145,
            |f| f.units.separator.liquid_volume = 12.01 * 35.3145,
            |f| f.units.stripper.liquid_volume = 0.99 * 35.3145,
            |f| f.units.stripper.liquid_volume = 8.01 * 35.3145,
            |f| f.units.reactor.pressure = f64::NAN,
        ];
        for (index, violate) in violations.into_iter().enumerate() {
            let mut flowsheet = base;
            violate(&mut flowsheet);
            assert!(!hold(&flowsheet), "{index}");
        }
    }
}

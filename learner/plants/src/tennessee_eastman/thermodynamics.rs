//! Ideal mixtures: enthalpy, liquid density and vapour pressure.

use super::components::{COMPONENTS, Component, Mixture};

/// Absolute zero is so far below 0 degC, K.
pub(super) const ZERO_C_IN_K: f64 = 273.15;
/// Gas constant, mmHg ft^3/(lbmol K).
pub(super) const GAS: f64 = 998.9;
/// Gas constant, MMBtu/(lbmol K).
const GAS_MMBTU: f64 = 3.576_96e-6;
/// From Btu/degF to MMBtu/K.
const BTU_F: f64 = 1.8e-6;
/// From Btu to MMBtu.
const BTU: f64 = 1e-6;
/// Where Newton's method begins, degC; enthalpy is so near to linear that any place does.
const GUESS_C: f64 = 80.0;
/// Newton's method ends at a change as small as this, K, or after so many steps.
const CHANGE_MIN_K: f64 = 1e-12;
const NEWTON_STEPS_MAX: u32 = 20;

/// The molar enthalpy of a mixture over its temperature in degC, MMBtu/lbmol; 0 for a liquid at 0 degC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Enthalpy {
    /// Heat capacity, by powers of the temperature.
    heat: [f64; 3],
    at_zero_c: f64,
}

impl Enthalpy {
    /// Of a liquid.
    pub(super) fn of_liquid(fractions: &Mixture) -> Self {
        Self::mix(fractions, |component| component.liquid_heat, |_| 0.0)
    }

    /// Of a vapour.
    pub(super) fn of_vapour(fractions: &Mixture) -> Self {
        Self::mix(fractions, |component| component.vapour_heat, |component| component.vaporisation)
    }

    /// The internal energy of a vapour: its enthalpy less the work of `R T`.
    pub(super) fn internal_of_vapour(fractions: &Mixture) -> Self {
        let mut energy = Self::of_vapour(fractions);
        energy.heat[0] -= GAS_MMBTU;
        energy.at_zero_c -= GAS_MMBTU * ZERO_C_IN_K;
        energy
    }

    fn mix(fractions: &Mixture, heat: impl Fn(&Component) -> [f64; 3], at_zero: impl Fn(&Component) -> f64) -> Self {
        let mut mixed = Self { heat: [0.0; 3], at_zero_c: 0.0 };
        for (part, component) in fractions.iter().zip(&COMPONENTS) {
            let mass = part * component.molar_mass;
            for (mixed, heat) in mixed.heat.iter_mut().zip(heat(component)) {
                *mixed += mass * heat * BTU_F;
            }
            mixed.at_zero_c += mass * at_zero(component) * BTU;
        }
        mixed
    }

    /// At a temperature, degC.
    pub(super) fn at(&self, celsius: f64) -> f64 {
        let [constant, linear, square] = self.heat;
        self.at_zero_c + celsius * (constant + celsius * (linear / 2.0 + celsius * square / 3.0))
    }

    /// The temperature at which it is `enthalpy`, degC.
    pub(super) fn temperature_c(&self, enthalpy: f64) -> f64 {
        let [constant, linear, square] = self.heat;
        let mut celsius = GUESS_C;
        for _ in 0..NEWTON_STEPS_MAX {
            let slope = constant + celsius * (linear + celsius * square);
            let change = (enthalpy - self.at(celsius)) / slope;
            celsius += change;
            if change.abs() < CHANGE_MIN_K {
                break;
            }
        }
        celsius
    }
}

fn polynomial(terms: [f64; 3], celsius: f64) -> f64 {
    terms[0] + celsius * (terms[1] + celsius * terms[2])
}

/// Molar density of a liquid, lbmol/ft^3.
pub(super) fn liquid_density(fractions: &Mixture, celsius: f64) -> f64 {
    let volume =
        |(part, component): (&f64, &Component)| part * component.molar_mass / polynomial(component.density, celsius);
    1.0 / fractions.iter().zip(&COMPONENTS).map(volume).sum::<f64>()
}

/// Vapour pressure of a pure component that condenses, mmHg.
pub(super) fn vapour_pressure(component: &Component, celsius: f64) -> f64 {
    let [a, b, c] = component.antoine;
    libm::exp(a + b / (celsius + c))
}

//! What hold-ups mean in terms that can be measured: temperature, pressure, volume.

use super::components::{COMPONENTS, GASES, Mixture, fractions};
use super::streams::Holdup;
use super::thermodynamics::{Enthalpy, GAS, ZERO_C_IN_K, liquid_density, vapour_pressure};

/// Volume of the feed zone, ft^3.
const FEED_ZONE_VOLUME: f64 = 5000.0;

/// A vessel with a liquid and, in equilibrium with it, a vapour: the reactor, or the separator.
///
/// Gases are in the vapour alone and everything else is counted as liquid, so that the temperature follows from the
/// energy of the liquid, and the vapour of the rest from Raoult's law.
#[derive(Debug, Clone, Copy)]
pub(super) struct Vessel {
    pub(super) temperature_c: f64,
    /// Fractions of the liquid.
    pub(super) liquid: Mixture,
    /// Molar density of the liquid, lbmol/ft^3.
    pub(super) density: f64,
    /// ft^3.
    pub(super) liquid_volume: f64,
    /// ft^3.
    pub(super) vapour_volume: f64,
    /// mmHg.
    pub(super) partial_pressures: Mixture,
    /// mmHg.
    pub(super) pressure: f64,
    /// Fractions of the vapour.
    pub(super) vapour: Mixture,
}

impl Vessel {
    /// The vessel of `volume`, ft^3, with this in it.
    pub(super) fn holding(holdup: &Holdup, volume: f64) -> Self {
        let mut condensed = holdup.moles;
        condensed[GASES].fill(0.0);
        let moles: f64 = condensed.iter().sum();
        let liquid = fractions(&condensed);
        let temperature_c = Enthalpy::of_liquid(&liquid).temperature_c(holdup.energy / moles);
        let density = liquid_density(&liquid, temperature_c);
        let liquid_volume = moles / density;
        let vapour_volume = volume - liquid_volume;

        let mut partial_pressures = [0.0; COMPONENTS.len()];
        for (index, pressure) in partial_pressures.iter_mut().enumerate() {
            *pressure = if GASES.contains(&index) {
                holdup.moles[index] * GAS * (temperature_c + ZERO_C_IN_K) / vapour_volume
            } else {
                liquid[index] * vapour_pressure(&COMPONENTS[index], temperature_c)
            };
        }
        let pressure = partial_pressures.iter().sum();
        let vapour = partial_pressures.map(|partial| partial / pressure);
        Self { temperature_c, liquid, density, liquid_volume, vapour_volume, partial_pressures, pressure, vapour }
    }
}

/// The base of the stripper: a liquid with gas dissolved in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Base {
    pub(super) temperature_c: f64,
    pub(super) liquid: Mixture,
    /// lbmol/ft^3.
    pub(super) density: f64,
    /// ft^3.
    pub(super) liquid_volume: f64,
}

impl Base {
    /// The base with this in it.
    pub(super) fn holding(holdup: &Holdup) -> Self {
        let moles = holdup.total();
        let liquid = holdup.fractions();
        let temperature_c = Enthalpy::of_liquid(&liquid).temperature_c(holdup.energy / moles);
        let density = liquid_density(&liquid, temperature_c);
        Self { temperature_c, liquid, density, liquid_volume: moles / density }
    }
}

/// The feed zone: an ideal gas.
#[derive(Debug, Clone, Copy)]
pub(super) struct FeedZone {
    pub(super) temperature_c: f64,
    pub(super) gas: Mixture,
    /// mmHg; the stripper has the same.
    pub(super) pressure: f64,
}

impl FeedZone {
    /// The zone with this in it.
    pub(super) fn holding(holdup: &Holdup) -> Self {
        let moles = holdup.total();
        let gas = holdup.fractions();
        let temperature_c = Enthalpy::internal_of_vapour(&gas).temperature_c(holdup.energy / moles);
        let pressure = moles * GAS * (temperature_c + ZERO_C_IN_K) / FEED_ZONE_VOLUME;
        Self { temperature_c, gas, pressure }
    }
}

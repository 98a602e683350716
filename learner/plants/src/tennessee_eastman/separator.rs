//! From the reactor through the condenser into the separator, and on through compressor and purge.

use super::components::molar_mass;
use super::conditions::Conditions;
use super::thermodynamics::ZERO_C_IN_K;
use super::vessel::Vessel;

/// Volume of the separator, ft^3.
pub(super) const VOLUME: f64 = 3500.0;
/// The flow of vapour at which the condenser takes half of its best, lbmol/h.
const CONDENSER_FLOW: f64 = 3528.73;
/// The condenser's best heat transfer, MMBtu/(h K).
const CONDENSER_TRANSFER: f64 = 0.404_655;
/// What the compressor moves against no head, lb/h.
const COMPRESSOR_FLOW_MAX: f64 = 280_275.0;
/// The compressor's characteristic: this part of that flow is lost per cube of the ratio of pressures.
const COMPRESSOR_SLOPE: f64 = 1.0 / 1.197;
/// Its highest ratio of pressures.
const COMPRESSOR_RATIO_MAX: f64 = 1.3;
/// The recycle valve, lb/h per % and root of mmHg.
const RECYCLE_VALVE: f64 = 53.349;
/// The purge valve, lb/h per % and root of mmHg.
const PURGE_VALVE: f64 = 0.151_169;
/// What the compressor delivers at least, lb/h: a flow that is not zero, to divide by.
const DELIVERY_MIN: f64 = 1e-3;
/// `R` per kelvin of suction temperature, MMBtu/(lbmol K).
const COMPRESSION_HEAT: f64 = 1.8e-6 * 1.9872;
/// The pressure of the atmosphere, mmHg.
pub(super) const ATMOSPHERE: f64 = 760.0;

/// The heat that the condenser's water of `water_c` brings into `flow` lbmol/h of vapour, MMBtu/h: negative.
pub(super) fn warm(flow: f64, vapour_c: f64, water_c: f64, conditions: &Conditions) -> f64 {
    let ratio = flow / CONDENSER_FLOW;
    let fourth = ratio * ratio * ratio * ratio;
    CONDENSER_TRANSFER * (1.0 - 1.0 / (1.0 + fourth)) * (water_c - vapour_c) * conditions.condenser_surface
}

/// A mass flow over a difference of pressures, per root of mmHg; never backwards.
pub(super) fn driven(from: f64, to: f64) -> f64 {
    libm::sqrt((from - to).max(0.0))
}

/// What is purged, lb/h; `valve` in %.
pub(super) fn purged(pressure: f64, valve: f64) -> f64 {
    valve * PURGE_VALVE * driven(pressure, ATMOSPHERE)
}

/// What the compressor does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compressed {
    /// What reaches the feed zone, lb/h.
    pub(super) delivered: f64,
    /// Work, MMBtu/h.
    pub(super) work: f64,
}

/// Compresses the separator's vapour to a pressure `to`; the recycle valve, %, lets some of it back.
pub(super) fn compress(separator: &Vessel, to: f64, valve: f64) -> Compressed {
    let from = separator.pressure;
    let ratio = (to / from).clamp(1.0, COMPRESSOR_RATIO_MAX);
    let moved = COMPRESSOR_FLOW_MAX * (1.0 + COMPRESSOR_SLOPE * (1.0 - ratio * ratio * ratio));
    let kelvin = separator.temperature_c + ZERO_C_IN_K;
    let work = moved / molar_mass(&separator.vapour) * COMPRESSION_HEAT * kelvin * (to - from) / from;
    let back = valve * RECYCLE_VALVE * driven(to, from);
    Compressed { delivered: (moved - back).max(DELIVERY_MIN), work }
}

#[cfg(test)]
mod tests {
    use super::super::streams::Holdup;
    use super::*;

    /// From 1000 mmHg, and vapour of A alone at 80 degC.
    fn compressed(to: f64, valve: f64) -> Compressed {
        let holdup = Holdup { moles: [60.0, 25.0, 45.0, 1.0, 15.0, 2.0, 50.0, 40.0], energy: 0.57 };
        let vapour = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let separator = Vessel { pressure: 1000.0, temperature_c: 80.0, vapour, ..Vessel::holding(&holdup, VOLUME) };
        compress(&separator, to, valve)
    }

    #[test]
    fn the_compressor_moves_less_against_more_head_and_nothing_at_its_highest() {
        assert_eq!(compressed(900.0, 0.0).delivered, COMPRESSOR_FLOW_MAX);
        // 1.1^3 - 1 = .331, over 1.197.
        let moved = compressed(1100.0, 0.0);
        assert!((moved.delivered / COMPRESSOR_FLOW_MAX - (1.0 - 0.331 / 1.197)).abs() < 1e-12);
        // Over a molar mass of 2, by R T and a tenth.
        let work = moved.delivered / 2.0 * 1.8e-6 * 1.9872 * 353.15 * 0.1;
        assert!((moved.work - work).abs() < 1e-9, "{}", moved.work);
        assert!(compressed(1300.0, 0.0).delivered < 1.0 && compressed(5000.0, 0.0).delivered > 0.0);
    }

    #[test]
    fn the_recycle_valve_takes_from_what_is_delivered_and_not_from_the_work() {
        let (shut, open) = (compressed(1100.0, 0.0), compressed(1100.0, 50.0));
        assert!((shut.delivered - open.delivered - 50.0 * 53.349 * 10.0).abs() < 1e-6);
        assert_eq!(shut.work, open.work);
    }

    #[test]
    fn the_purge_needs_a_pressure_and_an_open_valve() {
        assert_eq!(purged(700.0, 50.0), 0.0);
        assert_eq!(purged(2000.0, 0.0), 0.0);
        assert!((purged(860.0, 40.0) - 40.0 * 0.151_169 * 10.0).abs() < 1e-9);
    }

    #[test]
    fn the_condenser_takes_half_of_its_best_at_its_middle_flow() {
        let heat = warm(CONDENSER_FLOW, 120.0, 80.0, &Conditions::base());
        assert!((heat + 0.5 * 0.404_655 * 40.0).abs() < 1e-12, "{heat}");
    }
}

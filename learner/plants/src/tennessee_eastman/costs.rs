//! What running the plant costs: the published function of what is lost in purge and product, of work and of steam.

use super::measurements::{COMPRESSOR_WORK, COUNT, PRODUCT, PRODUCT_D, PRODUCT_G, PURGE, PURGE_A, STEAM_FLOW};
use super::options::TennesseeEastmanOptions;

/// Prices of A to H in the purge, $/kmol; B is worth nothing.
const PURGE_PRICES: [f64; 8] = [2.206, 0.0, 6.177, 22.06, 14.56, 17.89, 30.44, 22.94];
/// Prices of D, E and F in the product, $/kmol.
const PRODUCT_PRICES: [f64; 3] = [22.06, 14.56, 17.89];
/// $/kWh of the compressor.
const WORK_PRICE: f64 = 0.0536;
/// $/kg of steam.
const STEAM_PRICE: f64 = 0.0318;
/// kmol in a thousand standard cubic metres.
const KMOL_PER_KSCM: f64 = 44.79;
/// kmol in a cubic metre of product.
const KMOL_PER_M3: f64 = 9.21;
/// $/h of a reward of -1.
const REWARD_COST: f64 = 1000.0;

/// The operating cost, $/h.
pub(super) fn operating(readings: &[f64; COUNT]) -> f64 {
    let price = |prices: &[f64], percents: &[f64]| {
        prices.iter().zip(percents).map(|(price, percent)| price * percent / 100.0).sum::<f64>()
    };
    let purged = readings[PURGE] * KMOL_PER_KSCM * price(&PURGE_PRICES, &readings[PURGE_A..]);
    let produced = readings[PRODUCT] * KMOL_PER_M3 * price(&PRODUCT_PRICES, &readings[PRODUCT_D..]);
    purged + produced + WORK_PRICE * readings[COMPRESSOR_WORK] + STEAM_PRICE * readings[STEAM_FLOW]
}

/// The reward: what the plant costs, and how far it is from what it is to produce, below zero.
pub(super) fn reward(readings: &[f64; COUNT], options: &TennesseeEastmanOptions) -> f64 {
    let error = (readings[PRODUCT] - options.product_m3_h).abs() + (readings[PRODUCT_G] - options.g_percent).abs();
    -(operating(readings) + options.error_cost * error) / REWARD_COST
}

#[cfg(test)]
mod tests {
    use super::super::process::Process;
    use super::*;

    #[test]
    fn the_base_case_costs_what_is_published() {
        let options = TennesseeEastmanOptions::default();
        let process = Process::new(1, &options);
        let cost = operating(process.readings());
        assert!((cost - 170.6).abs() < 0.1, "{cost}");
    }

    #[test]
    fn a_reward_is_the_cost_and_the_errors_in_thousands() {
        let process = Process::new(1, &TennesseeEastmanOptions::default());
        let readings = process.readings();
        let options = TennesseeEastmanOptions {
            product_m3_h: readings[PRODUCT] + 2.0,
            g_percent: readings[PRODUCT_G] - 3.0,
            ..Default::default()
        };
        assert!((reward(readings, &options) + (operating(readings) + 500.0) / 1000.0).abs() < 1e-12);
    }
}

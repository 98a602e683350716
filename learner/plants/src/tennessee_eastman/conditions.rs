//! What the plant cannot choose: the feeds' compositions and temperatures, cooling water, kinetics, wear.

use super::components::{A, B, C, COUNT, Mixture};
#[cfg(test)]
use super::valves;
use super::valves::Stuck;

/// The conditions at one time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conditions {
    /// Fractions of the feed of A and C.
    pub(super) ac_feed: Mixture,
    /// Temperatures, degC.
    pub(super) d_feed_c: f64,
    pub(super) ac_feed_c: f64,
    pub(super) reactor_water_c: f64,
    pub(super) condenser_water_c: f64,
    /// What remains of the flow of feeds whose supply fails.
    pub(super) a_supply: f64,
    pub(super) ac_supply: f64,
    /// Factors of the rates of the two main reactions.
    pub(super) kinetics: [f64; 2],
    /// Factors of the heat that goes through the stripper's, the reactor's and the condenser's surfaces.
    pub(super) stripper_surface: f64,
    pub(super) reactor_surface: f64,
    pub(super) condenser_surface: f64,
    /// Factor of the flow from the reactor to the separator.
    pub(super) reactor_outlet: f64,
    /// Which valves stick.
    pub(super) stuck: Stuck,
}

impl Conditions {
    /// The fractions of the feed of A and C that has so much A and B.
    pub(super) fn ac_feed_of(a: f64, b: f64) -> Mixture {
        let mut feed = [0.0; COUNT];
        (feed[A], feed[B], feed[C]) = (a, b, 1.0 - a - b);
        feed
    }

    /// Those of the base case.
    #[cfg(test)]
    pub(super) fn base() -> Self {
        Self {
            ac_feed: Self::ac_feed_of(0.485, 0.005),
            d_feed_c: 45.0,
            ac_feed_c: 45.0,
            reactor_water_c: 35.0,
            condenser_water_c: 40.0,
            a_supply: 1.0,
            ac_supply: 1.0,
            kinetics: [1.0; 2],
            stripper_surface: 1.0,
            reactor_surface: 1.0,
            condenser_surface: 1.0,
            reactor_outlet: 1.0,
            stuck: [false; valves::COUNT],
        }
    }
}

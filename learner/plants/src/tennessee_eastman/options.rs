//! The options of the plant, by valves or by setpoints.

use super::disturbances::ProcessDisturbances;
use crate::options::options;

options! {
    /// The variants of the Tennessee Eastman plant; the default is the undisturbed base case.
    pub struct TennesseeEastmanOptions {
        /// The published process disturbances at work, by number: `[1, 13]`.
        idv: ProcessDisturbances = ProcessDisturbances::default();
        /// They begin after so many hours.
        idv_from_h: f64 = 0.0, 0.0..=1e6;
        /// Factor of the published measurement noise.
        noise: f64 = 1.0, 0.0..=100.0;
        /// Length of a step, s.
        step_s: u64 = 60, 1..=3_600;
        /// The product flow to hold, m^3/h.
        product_m3_h: f64 = 22.949, 0.0..=60.0;
        /// The G in the product to hold, mol%.
        g_percent: f64 = 53.724, 0.0..=100.0;
        /// What an error of 1 m^3/h or 1 mol% costs, $/h.
        error_cost: f64 = 100.0, 0.0..=1e6;
        /// What a shutdown costs, in units of reward: thousands of $/h.
        shutdown_cost: f64 = 10.0, 0.0..=1e6;
    }
}

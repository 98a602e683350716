//! The discount, which may grow while the critics learn.
//!
//! How far a discount looks ahead is its *effective horizon* `1 / (1 - gamma)`. With a schedule it grows linearly with the
//! critics' updates, from that of `from` to that of `gamma`, so that what comes soon is learnt before what builds on it
//! (François-Lavet et al. 2015). It is a function of the number of updates: a checkpoint keeps nothing of it.

use crate::options::{AgentOptions, GammaSchedule};

/// The discount over the life of an agent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Discount {
    gamma: f64,
    schedule: Option<GammaSchedule>,
}

impl Discount {
    pub(crate) fn new(options: &AgentOptions) -> Self {
        Self { gamma: options.gamma, schedule: options.gamma_schedule }
    }

    /// The discount per observation period after so many critic updates.
    pub(crate) fn at(self, updates: u64) -> f64 {
        match self.schedule {
            Some(GammaSchedule { from, updates: all }) if updates < all => {
                let horizon = |gamma: f64| 1.0 / (1.0 - gamma);
                let grown = (horizon(self.gamma) - horizon(from)) * (updates as f64 / all as f64);
                1.0 - 1.0 / (horizon(from) + grown)
            }
            _ => self.gamma,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_horizon_grows_by_the_same_with_every_update_and_then_stays(
            from in 0.0..0.9_f64, more in 0.001..0.09_f64, all in 2_u64..100_000, part in 0.0..1.0_f64,
        ) {
            let gamma = from + more;
            let schedule = Some(GammaSchedule { from, updates: all });
            let discount = Discount::new(&AgentOptions { gamma, gamma_schedule: schedule, ..AgentOptions::default() });
            let horizon = |updates| 1.0 / (1.0 - discount.at(updates));
            let step = (1.0 / (1.0 - gamma) - 1.0 / (1.0 - from)) / all as f64;
            let updates = (part * all as f64) as u64;
            prop_assert!((discount.at(0) - from).abs() < 1e-12);
            prop_assert!((horizon(updates) - horizon(0) - step * updates as f64).abs() < 1e-9);
            prop_assert_eq!(discount.at(all).to_bits(), gamma.to_bits());
            prop_assert_eq!(discount.at(u64::MAX).to_bits(), gamma.to_bits());
        }
    }

    #[test]
    fn without_a_schedule_it_is_the_same_from_the_first_update_on() {
        let discount = Discount::new(&AgentOptions::default());
        assert_eq!([0, 1, 1_000_000].map(|updates| discount.at(updates)), [AgentOptions::default().gamma; 3]);
    }
}

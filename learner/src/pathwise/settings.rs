//! The options of the pathwise actor as its formulas take them.

use crate::discount::Discount;
use crate::nets::AdamWOptions;
use crate::options::AgentOptions;

/// The options as the formulas take them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) critic: AdamWOptions,
    pub(super) actor: AdamWOptions,
    pub(super) target_rate: f32,
    pub(super) average_rate: f32,
    pub(super) pessimism: f32,
    pub(super) historical_pessimism: f32,
    pub(super) curiosity: f32,
    pub(super) curiosity_first: f32,
    pub(super) curiosity_updates: f32,
    pub(super) centring_rate: f32,
    pub(super) cloning: f32,
    pub(super) holding: f32,
    pub(super) gamma: f32,
    pub(super) discount: Discount,
}

impl Settings {
    pub(super) fn new(options: &AgentOptions) -> Self {
        let optimiser = |learning_rate: f64| AdamWOptions {
            learning_rate: learning_rate as f32,
            weight_decay: options.weight_decay as f32,
        };
        Self {
            critic: optimiser(options.critic_lr),
            actor: optimiser(options.actor_lr),
            target_rate: options.target_rate as f32,
            average_rate: options.average_rate as f32,
            pessimism: options.pessimism as f32,
            historical_pessimism: options.historical_pessimism as f32,
            curiosity: options.curiosity as f32,
            curiosity_first: options.curiosity_first as f32,
            curiosity_updates: options.curiosity_updates as f32,
            centring_rate: options.centring_rate as f32,
            cloning: options.cloning as f32,
            holding: options.holding as f32,
            gamma: options.gamma as f32,
            discount: Discount::new(options),
        }
    }

    /// The same, at this part of the learning rates.
    pub(super) fn slowed(self, rate: f32) -> Self {
        let slowed = |of: AdamWOptions| AdamWOptions { learning_rate: of.learning_rate * rate, ..of };
        Self { critic: slowed(self.critic), actor: slowed(self.actor), ..self }
    }

    /// The weight of the critics' disagreement: more at first, as far as what follows an action counts.
    pub(super) fn curiosity_at(&self, updates: u64) -> f32 {
        let first = (self.curiosity_first - self.curiosity).max(0.0) * self.gamma;
        self.curiosity + first * libm::expf(-(updates as f32) / self.curiosity_updates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curiosity_falls_to_its_value_in_the_long_run_and_needs_a_future() {
        let settings = Settings::new(&AgentOptions { gamma: 0.5, ..AgentOptions::pathwise() });
        assert_eq!(settings.curiosity_at(0), 0.5 + 3.5 * 0.5);
        assert!((settings.curiosity_at(1_000_000) - 0.5).abs() < 1e-6);
        let myopic = Settings::new(&AgentOptions { gamma: 0.0, ..AgentOptions::pathwise() });
        assert_eq!(myopic.curiosity_at(0), 0.5);
    }
}

//! From a site file to an agent.

use policy::pipeline::ImputerShape;
use rt_config::Site;

use crate::options::{AgentOptions, Improver};

impl AgentOptions {
    /// The site's options, in the agent's terms.
    #[must_use]
    pub fn of(site: &Site) -> Self {
        let (from, interaction) = (&site.agent, &site.interaction);
        let improver = match from.improver {
            rt_config::Improver::Pathwise => Improver::Pathwise,
            rt_config::Improver::Percentile => Improver::Percentile,
        };
        let obs_period_ns = interaction.obs_period.as_ns().max(1);
        let defaults = Self::default();
        Self {
            seed: site.seed,
            improver,
            gamma: from.gamma,
            n_step_max: interaction.observations_per_decision() as usize,
            ensemble: from.ensemble,
            ensemble_probability: from.ensemble_probability,
            batch_size: from.batch_size,
            critic_lr: from.critic_lr,
            actor_lr: from.actor_lr,
            candidates: from.candidates,
            // Both judge actions, so a site that asks for fewer candidates gets fewer of these, too.
            next_actions: (defaults.next_actions * from.candidates / defaults.candidates)
                .clamp(1, defaults.next_actions),
            critic_updates: from.critic_updates,
            pessimism: from.pessimism,
            curiosity: from.curiosity,
            actor_updates: from.actor_updates,
            replay_capacity: from.replay_capacity,
            warmup_transitions: (interaction.warmup_period.as_ns() / obs_period_ns) as usize,
            imputer: ImputerShape::of(site),
            ..defaults
        }
    }
}

/// The file name of the checkpoint of this site's agent.
#[must_use]
pub fn checkpoint_name(site: &Site) -> String {
    format!("{}.{}.{}.ckpt", site.name, site.agent_name, site.instance)
}

/// The nominal setpoints, normalised.
#[must_use]
pub fn nominal_of(site: &Site) -> Vec<f32> {
    let normalise = |setpoint: &rt_config::Setpoint| {
        let rt_config::Range { lo, hi } = setpoint.scale;
        ((setpoint.nominal - lo) / (hi - lo)).clamp(0.0, 1.0) as f32
    };
    site.setpoints.iter().map(normalise).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_site_makes_an_agent() {
        let site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).unwrap().site;
        let options = AgentOptions::of(&site);
        assert_eq!(options.check(), Ok(()));
        assert_eq!(options.gamma, site.agent.gamma);
        let nominal = nominal_of(&site);
        assert_eq!(nominal.len(), site.setpoints.len());
        assert!(nominal.iter().all(|a| (0.0..=1.0).contains(a)));
    }

    #[test]
    fn where_a_site_says_nothing_its_agent_is_the_one_that_was_measured() {
        for (improver, measured) in [("pathwise", AgentOptions::pathwise()), ("percentile", AgentOptions::default())] {
            let text = rt_config::example().replace("\nagent:\n", &format!("\nagent:\n  improver: {improver}\n"));
            let site = rt_config::parse(&text, "site.yaml".as_ref()).unwrap().site;
            let options = AgentOptions::of(&site);
            // What the example does say, and what follows from its periods.
            let AgentOptions { seed, gamma, ensemble, n_step_max, warmup_transitions, .. } = options;
            assert_eq!(options, AgentOptions { seed, gamma, ensemble, n_step_max, warmup_transitions, ..measured });
        }
    }
}

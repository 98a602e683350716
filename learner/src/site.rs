//! From a site file to an agent.

use policy::pipeline::ImputerShape;
use rt_config::{Interaction, Site};

use crate::options::{AgentOptions, Aggregation, GammaSchedule, Improver};

impl AgentOptions {
    /// The site's options, in the agent's terms.
    #[must_use]
    pub fn of(site: &Site) -> Self {
        let (from, interaction) = (&site.agent, &site.interaction);
        let improver = match from.improver {
            rt_config::Improver::Pathwise => Improver::Pathwise,
            rt_config::Improver::Percentile => Improver::Percentile,
        };
        let aggregation = match from.candidates.aggregation {
            rt_config::Aggregation::Mean => Aggregation::Mean,
            rt_config::Aggregation::Percentile(part) => Aggregation::Percentile(part),
            rt_config::Aggregation::Ucb(bonus) => Aggregation::Ucb(bonus),
        };
        let gamma_schedule =
            from.gamma_schedule.map(|rt_config::GammaSchedule { from, updates }| GammaSchedule { from, updates });
        let defaults = Self::default();
        Self {
            seed: site.seed,
            improver,
            gamma: from.gamma,
            gamma_schedule,
            n_step_max: interaction.observations_per_decision() as usize,
            dead_time: from.dead_time,
            ensemble: from.ensemble,
            ensemble_probability: from.ensemble_probability,
            batch_size: from.batch_size,
            critic_lr: from.critic_lr,
            actor_lr: from.actor_lr,
            weight_decay: from.weight_decay,
            candidates: from.candidates.count,
            aggregation,
            uniform_weight: from.candidates.uniform_weight,
            actor_percentile: from.candidates.actor_percentile,
            proposal_percentile: from.candidates.proposal_percentile,
            // Both judge actions, so a site that asks for fewer candidates gets fewer of these, too.
            next_actions: (defaults.next_actions * from.candidates.count / defaults.candidates)
                .clamp(1, defaults.next_actions),
            critic_updates: from.critic_updates,
            pessimism: from.pessimism,
            historical_pessimism: from.historical_pessimism,
            curiosity: from.curiosity,
            cloning: from.cloning,
            holding: from.holding,
            actor_updates: from.actor_updates,
            loss_threshold: from.loss_threshold,
            replay_capacity: from.replay_capacity,
            online_weight: from.online_weight,
            recency: from.effective_episodes.map(|episodes| recency(episodes, from.gamma, interaction)),
            reset_period: from.reset_period,
            reset_warmup: from.reset_warmup,
            warmup_transitions: warmup_transitions(interaction),
            critic_warmup_updates: from.critic_warmup_updates,
            imputer: ImputerShape::of(site),
            ..defaults
        }
    }
}

/// In the `j`-th observation after a decision `j` windows end, and there are `n` observations from one to the next.
fn transitions_per_observation(interaction: &Interaction) -> f64 {
    0.5 * (interaction.observations_per_decision() as f64 + 1.0)
}

/// Transitions in which a weight falls by the factor e that falls by `gamma` in so many observations.
fn recency(effective_episodes: f64, gamma: f64, interaction: &Interaction) -> f64 {
    /// A lower discount counts as this one.
    const GAMMA_MIN: f64 = 0.01;
    effective_episodes / -libm::log(gamma.max(GAMMA_MIN)) * transitions_per_observation(interaction)
}

fn warmup_transitions(interaction: &Interaction) -> usize {
    let observations = interaction.warmup_period.as_ns() / interaction.obs_period.as_ns().max(1);
    (observations as f64 * transitions_per_observation(interaction)) as usize
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
    use crate::agent::Agent;
    use crate::options::AgentShape;
    use crate::transitions::Step;

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
    fn what_the_site_says_of_its_agent_is_what_the_agent_is_set_to() {
        let said = "  improver: percentile\n  pessimism: 0.1\n  historical_pessimism: 4\n  curiosity: 1.5\n  cloning: 3\n  \
                    weight_decay: 0.02\n  online_weight: 0.6\n  loss_threshold: 0.5\n  critic_warmup_updates: 9\n  \
                    reset_period: 77\n  reset_warmup: 5\n  uniform_weight: 0.4\n  actor_percentile: 0.1\n  \
                    proposal_percentile: 0.3\n  candidates: 32\n  actor_updates: 2\n  ensemble_probability: 0.7\n  \
                    dead_time: 7\n  holding: 2\n";
        let text = rt_config::example().replace("\nagent:\n", &format!("\nagent:\n{said}"));
        let options = AgentOptions::of(&rt_config::parse(&text, "site.yaml".as_ref()).unwrap().site);
        let AgentOptions { seed, gamma, n_step_max, warmup_transitions, .. } = options;
        let expected = AgentOptions {
            pessimism: 0.1,
            historical_pessimism: 4.0,
            curiosity: 1.5,
            cloning: 3.0,
            holding: 2.0,
            weight_decay: 0.02,
            online_weight: 0.6,
            loss_threshold: 0.5,
            critic_warmup_updates: 9,
            reset_period: 77,
            reset_warmup: 5,
            uniform_weight: 0.4,
            actor_percentile: 0.1,
            proposal_percentile: 0.3,
            candidates: 32,
            next_actions: 2,
            actor_updates: 2,
            ensemble_probability: 0.7,
            dead_time: 7,
            ..AgentOptions { seed, gamma, n_step_max, warmup_transitions, ..AgentOptions::default() }
        };
        assert_eq!(options, expected);
    }

    #[test]
    fn the_warm_up_lasts_as_many_observations_whatever_lies_between_decisions() {
        for n in 1..6_u64 {
            let text = rt_config::example().replace("action_period: 10ms", &format!("action_period: {}ms", 10 * n));
            let options = AgentOptions::of(&rt_config::parse(&text, "site.yaml".as_ref()).unwrap().site);
            let (shape, small) = (AgentShape { state: 1, action: 1 }, AgentOptions { batch_size: 1, ..options });
            let mut agent = Agent::new(shape, small, &[0.5], 1).unwrap();
            let first = (0..1_000).find(|&sequence| {
                agent.observe(&Step {
                    sequence,
                    complete: true,
                    all_read: true,
                    reward: Some(0.0),
                    decision: sequence.is_multiple_of(n),
                    gap: false,
                    terminal: false,
                    state: &[0.5],
                    action: &[0.5],
                    lo: &[0.0],
                    hi: &[1.0],
                });
                agent.is_update_due()
            });
            // The example's second has a hundred observations.
            assert!(first.is_some_and(|first| first.abs_diff(100) <= n), "{n}: {first:?}");
        }
    }

    #[test]
    fn recency_is_counted_in_observations_of_the_plant() {
        let recency = |agent: &str, action_period: &str| {
            let text = rt_config::example()
                .replace("  gamma: 0.99\n", agent)
                .replace("action_period: 10ms", &format!("action_period: {action_period}"));
            AgentOptions::of(&rt_config::parse(&text, "site.yaml".as_ref()).unwrap().site).recency
        };
        assert_eq!(recency("  gamma: 0.9\n", "10ms"), None);
        let one = recency("  gamma: 0.9\n  effective_episodes: 7\n", "10ms").unwrap();
        // After seven observations the weight is that of the discount.
        assert!(((-7.0 / one).exp() - 0.9).abs() < 1e-9);
        // Three times as many observations for a decision make twice as many transitions of them.
        let three = recency("  gamma: 0.9\n  effective_episodes: 7\n", "30ms").unwrap();
        assert!((three - 2.0 * one).abs() < 1e-9);
        assert!(recency("  gamma: 0\n  effective_episodes: 7\n", "10ms").unwrap() > 1.0);
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

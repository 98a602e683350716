//! What is absent of the agent's options depends on how it learns.

use super::{BASE, accepted, complaints};
use crate::{AgentOptions, Improver};

fn agent(options: &str) -> AgentOptions {
    accepted(&format!("agent: {options}\n{BASE}")).site.agent
}

#[test]
fn an_agent_has_the_usual_options_of_its_improver_and_keeps_those_that_are_given() {
    let facts =
        |agent: AgentOptions| (agent.improver, agent.batch_size, agent.critic_lr, agent.actor_lr, agent.critic_updates);
    assert_eq!(facts(agent("{gamma: 0.9}")), (Improver::Pathwise, 64, 1e-3, 1e-3, 6));
    assert_eq!(facts(agent("{improver: percentile}")), (Improver::Percentile, 256, 1e-4, 1e-4, 10));
    let given = "{improver: percentile, batch_size: 32, critic_lr: 0.01, critic_updates: 1}";
    assert_eq!(facts(agent(given)), (Improver::Percentile, 32, 1e-2, 1e-2, 1));
    assert_eq!(agent("{pessimism: 0, curiosity: 2}").curiosity, 2.0);
}

#[test]
fn an_option_that_cannot_be_is_refused() {
    for (options, part) in
        [("{improver: sac}", "not possible here"), ("{curiosity: 11}", "0 to 10"), ("{critic_lr: 0}", "above 0")]
    {
        let said = complaints(&format!("agent: {options}\n{BASE}"));
        assert!(said.iter().any(|said| said.message.contains(part)), "{options}: {said:?}");
    }
}

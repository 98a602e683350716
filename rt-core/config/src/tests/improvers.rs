//! What is absent of the agent's options depends on how it learns.

use super::{BASE, accepted, complaints};
use crate::{AgentOptions, Aggregation, GammaSchedule, Improver, example};

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
    assert_eq!(
        ["{gamma: 0.1}", "{gamma: 0}", "{gamma: 0, curiosity: 1}"].map(|given| agent(given).curiosity),
        [0.5, 0.0, 1.0]
    );
}

#[test]
fn candidates_are_ranked_by_what_is_asked_for() {
    let aggregation = |options| agent(options).candidates.aggregation;
    assert_eq!(aggregation("{std_bonus: 2}"), Aggregation::Mean);
    assert_eq!(aggregation("{ensemble_aggregation: ucb}"), Aggregation::Ucb(1.0));
    assert_eq!(aggregation("{ensemble_aggregation: ucb, std_bonus: -0.5}"), Aggregation::Ucb(-0.5));
    assert_eq!(
        aggregation("{ensemble_aggregation: percentile, ensemble_percentile: 0.2}"),
        Aggregation::Percentile(0.2)
    );
}

#[test]
fn what_is_off_is_off_and_what_is_given_is_kept() {
    let absent = agent("{}");
    assert_eq!((absent.gamma_schedule, absent.effective_episodes, absent.reset_period), (None, None, 10_000));
    let given = agent("{gamma_schedule: {updates: 500}, effective_episodes: 3, reset_period: off, reset_warmup: 7}");
    assert_eq!(given.gamma_schedule, Some(GammaSchedule { from: 0.0, updates: 500 }));
    assert_eq!((given.effective_episodes, given.reset_period, given.reset_warmup), (Some(3.0), 0, 7));
    assert_eq!(agent("{effective_episodes: off}"), absent);
    assert_eq!((absent.past_values, absent.dead_time), (0, 0));
    let late = agent("{past_values: 3, dead_time: 7}");
    assert_eq!((late.past_values, late.dead_time), (3, 7));
}

#[test]
fn what_the_example_shows_of_an_agent_in_remarks_is_possible_and_most_of_it_is_what_holds_anyway() {
    let (head, rest) = example().split_once("\nagent:\n").expect("the agent");
    let (section, tail) = rest.split_once("\n\n").expect("what follows");
    let with = |improver: &str, section: &str| {
        let section = section.replace("improver: percentile", &format!("improver: {improver}"));
        accepted(&format!("{head}\nagent:\n{section}\n\n{tail}")).site.agent
    };
    for improver in ["percentile", "pathwise"] {
        let shown = with(improver, &section.replace("\n  # ", "\n  "));
        let absent = with(improver, &section.replace("# improver", "improver"));
        assert!(shown.gamma_schedule.is_some() && shown.decision_clock != absent.decision_clock);
        assert!(shown.sweep.is_some());
        let AgentOptions { gamma_schedule, decision_clock, sweep, .. } = absent;
        assert_eq!(AgentOptions { gamma_schedule, decision_clock, sweep, ..shown }, absent);
    }
}

#[test]
fn an_option_that_cannot_be_is_refused() {
    for (options, part) in [
        ("{improver: sac}", "not possible here"),
        ("{curiosity: 11}", "0 to 10"),
        ("{historical_pessimism: 11}", "0 to 10"),
        ("{cloning: 101}", "0 to 100"),
        ("{holding: -1}", "0 to 100"),
        ("{critic_lr: 0}", "above 0"),
        ("{weight_decay: 1}", "below 1"),
        ("{online_weight: 0}", "above 0"),
        ("{loss_threshold: -1}", "0 or more"),
        ("{ensemble_aggregation: median}", "not possible here"),
        ("{ensemble_percentile: 50}", "0 to 1"),
        ("{std_bonus: 11}", "-10 to 10"),
        ("{uniform_weight: 1.1}", "0 to 1"),
        ("{actor_percentile: 0}", "above 0"),
        ("{actor_percentile: 0.3}", "`proposal_percentile` is 0.2, below `actor_percentile`, which is 0.3"),
        ("{effective_episodes: 0}", "0 is not above 0"),
        ("{gamma: 0.9, gamma_schedule: {from: 0.95, updates: 9}}", "the discount would fall"),
        ("{gamma_schedule: {from: 0.5}}", "`updates` is missing"),
        ("{gamma_schedule: {updates: 0}}", "a whole number"),
        ("{reset_period: 0}", "a whole number"),
        ("{critic_warmup_updates: 0.5}", "a whole number"),
    ] {
        let said = complaints(&format!("agent: {options}\n{BASE}"));
        assert!(said.iter().any(|said| said.message.contains(part)), "{options}: {said:?}");
    }
}

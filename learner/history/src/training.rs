//! Learning from a history: most of it teaches, the end of it judges.

use learner::{Agent, AgentError, AgentOptions, AgentShape, nominal_of};
use policy::pipeline::Columns;
use rt_config::Site;
use serde::Serialize;

use crate::observation::Observation;
use crate::source::{Source, SourceError};

/// Observations of the end that judge, at most: the last ones of them.
const HELD_OUT_MAX: usize = 20_000;
/// Returns are added up until this share of them is left.
const RETURN_REST: f64 = 0.01;
/// Updates for each observation that teaches, usually.
const UPDATES_PER_OBSERVATION: u64 = 5;
/// Updates usually, at least and at most.
const UPDATES: std::ops::RangeInclusive<u64> = 2_000..=50_000;
/// Fewer complete observations teach nothing.
pub const COMPLETE_MIN: u64 = 50;

/// An agent that learns from a history.
#[derive(Debug)]
pub struct Training {
    agent: Agent,
    nominal: Vec<f32>,
    gamma: f64,
    dead_time: usize,
    held_out: Vec<Observation>,
    facts: Taught,
}

/// What an agent was taught with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Taught {
    /// Observations in the history.
    pub observations: u64,
    /// Those that teach; the later ones judge.
    pub teaching: u64,
    /// Of them, those with every column of the state.
    pub complete: u64,
    /// Transitions that were made of them.
    pub transitions: u64,
}

/// How what was learnt does on the part of the history that it was not taught.
///
/// Values are what the critics expect: of the actions that were taken, of the policy's, and of the nominal ones. A policy
/// whose value is much higher than that of anything that was ever tried is not to be believed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Observations that judged.
    pub observations: usize,
    /// Mean reward there.
    pub mean_reward: Option<f64>,
    /// Mean value of the actions that were taken.
    pub value_taken: f64,
    /// Mean value of the policy's actions.
    pub value_policy: f64,
    /// Mean value of the nominal actions.
    pub value_nominal: f64,
    /// Mean distance of the policy's actions from those that were taken, per setpoint, in widths of its range.
    pub distance: Vec<f64>,
    /// Correlation of the values of the actions that were taken with the discounted rewards that followed; none without enough.
    pub return_correlation: Option<f64>,
}

/// How many updates a history of so many observations is usually worth: five for each, 2,000 to 50,000.
#[must_use]
pub fn usual_updates(observations: u64) -> u64 {
    UPDATES_PER_OBSERVATION.saturating_mul(observations).clamp(*UPDATES.start(), *UPDATES.end())
}

/// Why nothing can be learnt.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// There is no history, or it does not fit.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// There is nothing to learn from.
    #[error(
        "of {observations} observations {complete} have a complete state, at least {COMPLETE_MIN} are needed: see `corerl data \
         report` for what is missing"
    )]
    Nothing {
        /// Observations that teach.
        observations: u64,
        /// Those that are complete.
        complete: u64,
    },
    /// There is no agent for the site.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

impl Training {
    /// An agent of this site that remembers the history but for the last part of it, which is `held_out` of it. `go_on` is
    /// asked now and then; when it says no, the training is good for nothing.
    ///
    /// # Errors
    /// There is no history, or nothing can be learnt from it.
    pub fn new(
        site: &Site,
        source: &Source,
        held_out: f64,
        threads: usize,
        go_on: impl FnMut() -> bool,
    ) -> Result<Self, TrainingError> {
        let mut facts = Taught::default();
        source.observe(site, |_| facts.observations += 1)?;
        facts.teaching = (facts.observations as f64 * (1.0 - held_out.clamp(0.0, 1.0))).round() as u64;
        let shape = AgentShape { state: Columns::of(site).len(), action: site.setpoints.len() };
        let (nominal, options) = (nominal_of(site), AgentOptions::of(site));
        let (gamma, dead_time) = (options.gamma, options.dead_time);
        let mut agent = Agent::new(shape, options, &nominal, threads)?;
        agent.learn_nominal(go_on);
        let judging_from = facts.observations.saturating_sub(HELD_OUT_MAX as u64).max(facts.teaching);
        let (mut number, mut held_out) = (0, Vec::new());
        source.observe(site, |observation| {
            if number < facts.teaching {
                agent.observe_historical(&observation.step(number));
                facts.complete += u64::from(observation.complete);
            } else if number >= judging_from {
                held_out.push(observation.clone());
            }
            number += 1;
        })?;
        agent.learn_behaviour();
        facts.transitions = agent.counts().transitions;
        if facts.complete < COMPLETE_MIN || facts.transitions == 0 {
            return Err(TrainingError::Nothing { observations: facts.teaching, complete: facts.complete });
        }
        Ok(Self { agent, nominal, gamma, dead_time, held_out, facts })
    }

    /// What it is taught with.
    #[must_use]
    pub fn taught(&self) -> &Taught {
        &self.facts
    }

    /// The agent, with what it has learnt.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The update after `made` of `updates`, at rates that fall to 0 over all of them; the mean loss of the critics.
    pub fn learn(&mut self, made: u64, updates: u64) -> f64 {
        self.agent.study(made, updates).map_or(f64::NAN, |update| f64::from(update.critic_loss))
    }

    /// How the agent does on what it was not taught; `None` when nothing of that is complete.
    pub fn evaluate(&mut self) -> Option<Evaluation> {
        // The action that was taken at an observation is seen in force at the next one.
        let pairs: Vec<(usize, &Observation, &[f32])> = self
            .held_out
            .windows(2)
            .enumerate()
            .filter(|(_, pair)| pair[0].complete && pair[1].complete && !pair[1].gap)
            .map(|(place, pair)| (place, &pair[0], pair[1].action.as_slice()))
            .collect();
        if pairs.is_empty() {
            return None;
        }
        let width = self.nominal.len();
        let (mut distance, mut policy) = (vec![0.0; width], vec![0.0; width]);
        let mut sums = [0.0; 3];
        let (mut values, mut returns) = (Vec::new(), Vec::new());
        for (place, at, taken) in &pairs {
            self.agent.act(&at.state, &at.lo, &at.hi, false, &mut policy);
            for ((distance, taken), policy) in distance.iter_mut().zip(*taken).zip(&policy) {
                *distance += f64::from((taken - policy).abs()) / pairs.len() as f64;
            }
            let mut estimate = |action: &[f32]| self.agent.estimate(&at.state, action, &at.lo, &at.hi)[0];
            let (of_taken, of_policy) = (estimate(taken), estimate(&policy));
            let value = [of_taken.value, of_policy.value, of_taken.nominal_value].map(f64::from);
            sums.iter_mut().zip(value).for_each(|(sum, value)| *sum += value / pairs.len() as f64);
            if let Some(followed) = discounted(&self.held_out[*place + 1..], self.dead_time, self.gamma) {
                values.push(value[0]);
                returns.push(followed);
            }
        }
        let rewards: Vec<f64> = self.held_out.iter().filter_map(|observation| observation.reward).collect();
        let mean_reward = (!rewards.is_empty()).then(|| rewards.iter().sum::<f64>() / rewards.len() as f64);
        let [value_taken, value_policy, value_nominal] = sums;
        Some(Evaluation {
            observations: pairs.len(),
            mean_reward,
            value_taken,
            value_policy,
            value_nominal,
            distance,
            return_correlation: crate::statistics::correlation(&values, &returns, 0),
        })
    }
}

/// The discounted rewards of these observations once the dead time is over, until little is left; `None` where they end or break
/// off before that.
fn discounted(observations: &[Observation], dead_time: usize, gamma: f64) -> Option<f64> {
    let (mut sum, mut weight) = (0.0, 1.0);
    for (place, observation) in observations.iter().enumerate() {
        if observation.gap {
            return None;
        }
        if place < dead_time {
            continue;
        }
        sum += weight * observation.reward?;
        weight *= gamma;
        if weight < RETURN_REST {
            return Some(sum);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::table::Table;

    /// What is at `level` goes to where `u` is; the reward is the distance from the middle. An operator moves `u` at random.
    fn history(rows: u32) -> Source {
        history_seen_late(rows, 0)
    }

    /// The same with a level that is shown so many rows late.
    fn history_seen_late(rows: u32, late: usize) -> Source {
        let (mut level, mut u, mut random) = (0.5_f64, 0.5_f64, 12_345_u64);
        let mut on_the_way = VecDeque::from(vec![level; late]);
        let mut text = "time,u,level\n".to_owned();
        for at in 0..rows {
            if at % 5 == 0 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                u = (random >> 40) as f64 / f64::from(1 << 24);
            }
            on_the_way.push_back(level);
            let shown = on_the_way.pop_front().unwrap();
            text += &format!("{at},{u},{shown}\n");
            level = 0.5 * level + 0.5 * u;
        }
        Source::Table(Table::parse(text.as_bytes(), b',').unwrap())
    }

    fn site() -> Site {
        site_with("gamma: 0.5")
    }

    fn site_with(agent: &str) -> Site {
        let text = r#"
schema: corerl/1
lab: true
agent_name: agent
coreio: {opc_connections: [{connection_id: plant, opc_conn_url: "opc.tcp://127.0.0.1:1"}]}
interaction: {obs_period: 1s, action_period: 1s, state_age_tol: 5s}
agent: {AGENT, batch_size: 32, candidates: 32, actor_updates: 1}
pipeline:
  tags:
    - {name: u, type: ai_setpoint, node_identifier: i=1, operating_range: [0, 1], nominal_setpoint: 0.1}
    - {name: level, node_identifier: i=2, operating_range: [0, 1]}
  reward: {value: "-abs({level} - 0.7)"}
runtime: {period: 100ms, limits: {u: {rate: 1}}}
"#;
        rt_config::parse(&text.replace("AGENT", agent), "site.yaml".as_ref())
            .unwrap_or_else(|refused| panic!("{refused}"))
            .site
    }

    #[test]
    fn what_was_learnt_from_a_history_is_worth_more_than_what_was_done_in_it() {
        let mut training = Training::new(&site(), &history(1_000), 0.2, 1, || true).unwrap();
        assert_eq!((training.taught().observations, training.taught().teaching), (1_000, 800));
        assert_eq!(training.taught().transitions, 799);
        for made in 0..1_500 {
            training.learn(made, 1_500);
        }
        let found = training.evaluate().unwrap();
        assert_eq!(found.observations, 199);
        assert!(found.value_policy > found.value_taken && found.value_policy > found.value_nominal, "{found:?}");
        assert!(found.return_correlation.unwrap() > 0.8, "{found:?}");
        assert!(found.distance[0] > 0.1, "the operator moves at random");
    }

    #[test]
    fn what_a_plant_with_a_dead_time_returns_is_counted_from_when_it_shows() {
        let site = site_with("gamma: 0.5, dead_time: 10");
        let mut training = Training::new(&site, &history_seen_late(1_000, 10), 0.2, 1, || true).unwrap();
        for made in 0..1_500 {
            training.learn(made, 1_500);
        }
        let found = training.evaluate().unwrap();
        assert!(found.return_correlation.unwrap() > 0.6, "{found:?}");
    }

    #[test]
    fn an_agent_begins_with_what_was_done_and_not_with_the_nominal_setpoint() {
        // The operator holds one value, far from the nominal one.
        let rows = (0..400).fold("time,u,level\n".to_owned(), |text, at| text + &format!("{at},0.8,0.8\n"));
        let source = Source::Table(Table::parse(rows.as_bytes(), b',').unwrap());
        let mut training = Training::new(&site(), &source, 0.2, 1, || true).unwrap();
        let found = training.evaluate().unwrap();
        assert!(found.distance[0] < 0.05, "the nominal one is 0.7 away: {found:?}");
    }

    #[test]
    fn a_history_without_anything_complete_teaches_nothing() {
        let rows = (0..100).fold("time,u,level\n".to_owned(), |text, at| text + &format!("{at},0.5,bad\n"));
        let source = Source::Table(Table::parse(rows.as_bytes(), b',').unwrap());
        let refused = Training::new(&site(), &source, 0.2, 1, || true).unwrap_err().to_string();
        assert!(refused.contains("of 80 observations 0 have a complete state"), "{refused}");
    }

    #[test]
    fn returns_end_where_the_history_breaks_off() {
        let observation = |reward: Option<f64>, gap| Observation {
            at_ns: 0,
            complete: true,
            all_read: false,
            gap,
            decision: true,
            reward,
            state: Vec::new(),
            action: Vec::new(),
            lo: Vec::new(),
            hi: Vec::new(),
        };
        let ones = vec![observation(Some(1.0), false); 20];
        assert!((discounted(&ones, 0, 0.5).unwrap() - (2.0 - 0.5_f64.powi(6))).abs() < 1e-12, "until 1 % is left");
        assert_eq!(discounted(&ones[..3], 0, 0.5), None);
        let mut broken = ones.clone();
        broken[2].gap = true;
        assert_eq!(discounted(&broken, 0, 0.5), None);
        assert_eq!(discounted(&broken, 3, 0.5), None, "nobody knows how long it was");
        broken[2] = observation(None, false);
        assert_eq!(discounted(&broken, 0, 0.5), None);
        assert_eq!(
            discounted(&broken, 3, 0.5),
            discounted(&ones, 0, 0.5),
            "what comes within the dead time is not its own"
        );
    }
}

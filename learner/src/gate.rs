//! The gate: what an actor must show before it is published.
//!
//! Its parameters are finite; on the states of late its actions are finite and not far out of the action's range; and
//! the critics do not think it worse than holding the nominal setpoint. The runtime verifies again whatever arrives.

use crate::agent::Agent;
use crate::examiner::Critics;
use crate::health::clipped;
use crate::imputer::Imputer;
use crate::nets::ActorPass;

/// States of late on which an actor is judged.
const RECENT_STATES: usize = 256;
/// How far out of 0..1 a mean may lie before it is clipped.
const EXCURSION_MAX: f32 = 1.0;
/// What the critics' estimate may fall short of the nominal action's, as a part of it: it is not known better.
const SHORTFALL_RELATIVE: f32 = 1e-3;
/// The same for values near 0, in units of reward.
const SHORTFALL_ABSOLUTE: f32 = 0.02;

/// Why an actor is not published.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum GateRefusal {
    /// A parameter of the actor, of a critic or of the imputer is infinite or not a number.
    #[error("{of} has parameters that are not finite")]
    NotFinite {
        /// Whose parameters.
        of: &'static str,
    },
    /// A mean lies far outside 0..1, or is not a number.
    #[error("setpoint {setpoint}: the mean action {mean} is out of bounds on a state of late")]
    Unbounded {
        /// The component of the action.
        setpoint: usize,
        /// Its mean, normalised.
        mean: f32,
    },
    /// The critics prefer the nominal action.
    #[error("the critics expect {actor} of it, but {nominal} of the nominal action")]
    WorseThanNominal {
        /// The mean value of the actor's actions.
        actor: f32,
        /// The mean value of the nominal action.
        nominal: f32,
    },
}

/// What the gate found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Passed {
    /// States that it was judged on; 0 for an agent without experience.
    pub states: usize,
    /// The critics' mean value of its actions there.
    pub actor_value: f32,
    /// The critics' mean value of the nominal action there.
    pub nominal_value: f32,
}

impl Agent {
    /// Judges the present actor.
    ///
    /// # Errors
    /// [`GateRefusal`], when it must not be published.
    pub fn pass_gate(&mut self) -> Result<Passed, GateRefusal> {
        if !self.actor_parameters().iter().all(|p| p.is_finite()) {
            return Err(GateRefusal::NotFinite { of: "the actor" });
        }
        if !self.learning.critics_are_finite() {
            return Err(GateRefusal::NotFinite { of: "a critic" });
        }
        if !self.imputer.as_ref().is_none_or(Imputer::is_finite) {
            return Err(GateRefusal::NotFinite { of: "the imputer" });
        }
        let (n, d) = (self.shape.state, self.shape.action);
        let mut states = vec![0.0; RECENT_STATES * n];
        let (mut lo, mut hi) = (vec![0.0; RECENT_STATES * d], vec![0.0; RECENT_STATES * d]);
        let count = self.replay.recent(&mut states, &mut lo, &mut hi);
        if count == 0 {
            return Ok(Passed { states: 0, actor_value: 0.0, nominal_value: 0.0 });
        }
        states.truncate(count * n);
        lo.truncate(count * d);
        hi.truncate(count * d);
        let mut pass = ActorPass::new(count, d);
        let net = *self.learning.net();
        net.forward(self.learning.actor(), &states, count, &mut pass);
        for (i, &mean) in pass.mu.iter().enumerate() {
            // Written so that a mean that is not a number is out as well.
            let within = (-EXCURSION_MAX..=1.0 + EXCURSION_MAX).contains(&mean);
            if !within {
                return Err(GateRefusal::Unbounded { setpoint: i % d, mean });
            }
        }
        let nominal: Vec<f32> = self.nominal.iter().copied().cycle().take(count * d).collect();
        let actor_value = self.mean_value(&states, &pass.mu, &lo, &hi);
        let nominal_value = self.mean_value(&states, &nominal, &lo, &hi);
        let shortfall = SHORTFALL_ABSOLUTE + SHORTFALL_RELATIVE * nominal_value.abs();
        if actor_value >= nominal_value - shortfall {
            Ok(Passed { states: count, actor_value, nominal_value })
        } else {
            Err(GateRefusal::WorseThanNominal { actor: actor_value, nominal: nominal_value })
        }
    }

    /// The critics' mean value of one action per state, clipped to its bounds; without what is common to all values.
    fn mean_value(&mut self, states: &[f32], actions: &[f32], lo: &[f32], hi: &[f32]) -> f32 {
        let critics = Critics { common_value: 0.0, ..self.learning.critics() };
        let judged = self.examiner.judge(&critics, states, &clipped(actions, lo, hi));
        judged.iter().map(|judged| judged.value).sum::<f32>() / judged.len() as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{AgentOptions, AgentShape};
    use crate::transitions::Step;

    fn agent() -> Agent {
        let shape = AgentShape { state: 2, action: 1 };
        let options = AgentOptions { batch_size: 32, nominal_critic_steps: 300, ..AgentOptions::default() };
        let mut agent = Agent::new(shape, options, &[0.5], 1).unwrap();
        agent.learn_nominal(|| true);
        agent
    }

    fn show(agent: &mut Agent, state: [f32; 2]) {
        agent.observe(&Step {
            sequence: 0,
            complete: true,
            all_read: false,
            reward: None,
            decision: true,
            gap: false,
            terminal: false,
            state: &state,
            action: &[0.5],
            lo: &[0.0],
            hi: &[1.0],
        });
    }

    #[test]
    fn a_nominal_agent_passes_with_and_without_experience() {
        let mut agent = agent();
        assert_eq!(agent.pass_gate().unwrap().states, 0);
        for i in 0..10 {
            show(&mut agent, [0.1 * i as f32, 0.5]);
        }
        assert_eq!(agent.pass_gate().unwrap().states, 10);
    }

    #[test]
    fn parameters_that_are_not_finite_are_refused() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut agent = agent();
            agent.learning.actor_mut()[7] = bad;
            let refusal = agent.pass_gate().unwrap_err();
            assert_eq!(refusal, GateRefusal::NotFinite { of: "the actor" });
        }
    }

    #[test]
    fn an_imputer_that_is_not_finite_is_refused() {
        let mut agent = agent();
        let shape = policy::pipeline::ImputerShape { tags: 1, traces: 1, last: 0, missing_max: 1, horizon: 1 };
        let mut imputer = Imputer::new(shape, 1);
        imputer.parameters_mut()[3] = f32::NAN;
        agent.imputer = Some(imputer);
        assert_eq!(agent.pass_gate().unwrap_err(), GateRefusal::NotFinite { of: "the imputer" });
    }

    #[test]
    fn an_actor_far_out_of_bounds_is_refused() {
        let mut agent = agent();
        show(&mut agent, [0.3, 0.5]);
        agent.learning.actor_mut().iter_mut().for_each(|p| *p *= 10.0);
        assert!(matches!(agent.pass_gate(), Err(GateRefusal::Unbounded { setpoint: 0, .. })));
    }

    #[test]
    fn an_actor_that_the_critics_think_worse_than_nominal_is_refused() {
        let mut agent = agent();
        show(&mut agent, [0.3, 0.5]);
        // The mean's bias is the last but one layer's: shift the mean by 0.4.
        let at = agent.actor_parameters().len() - 256 - 1 - 1;
        agent.learning.actor_mut()[at] += 0.4;
        assert!(matches!(agent.pass_gate(), Err(GateRefusal::WorseThanNominal { .. })));
    }
}

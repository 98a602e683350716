//! Decisions on which the critics are asked for their opinion.

use learner::Agent;
use shm_layout::EstimateRecord;

/// Decisions of one turn that an opinion is given on. A learner that catches up with more has better to do.
const DECISIONS_MAX: usize = 64;

/// A decision as the runtime reported it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Decision<'a> {
    pub(crate) cycle: u64,
    pub(crate) state: &'a [f32],
    pub(crate) action: &'a [f32],
    pub(crate) lo: &'a [f32],
    pub(crate) hi: &'a [f32],
}

/// The decisions of a turn, row by row.
#[derive(Debug, Default)]
pub(crate) struct Opinions {
    cycles: Vec<u64>,
    states: Vec<f32>,
    actions: Vec<f32>,
    lo: Vec<f32>,
    hi: Vec<f32>,
}

impl Opinions {
    /// Takes a decision in, unless there are many already.
    pub(crate) fn ask(&mut self, decision: &Decision<'_>) {
        if self.cycles.len() < DECISIONS_MAX {
            self.cycles.push(decision.cycle);
            self.states.extend_from_slice(decision.state);
            self.actions.extend_from_slice(decision.action);
            self.lo.extend_from_slice(decision.lo);
            self.hi.extend_from_slice(decision.hi);
        }
    }

    /// What the critics expect of the decisions that were taken in, which are forgotten then.
    pub(crate) fn give(&mut self, agent: &mut Agent) -> Vec<EstimateRecord> {
        if self.cycles.is_empty() {
            return Vec::new();
        }
        let Self { cycles, states, actions, lo, hi } = self;
        let estimates = agent.estimate(states, actions, lo, hi);
        let updates = agent.counts().critic_updates;
        let record = |(cycle, estimate): (u64, learner::Estimate)| EstimateRecord {
            cycle,
            updates,
            value: estimate.value.into(),
            spread: estimate.spread.into(),
            nominal_value: estimate.nominal_value.into(),
        };
        let records = cycles.drain(..).zip(estimates).map(record).collect();
        [states, actions, lo, hi].into_iter().for_each(Vec::clear);
        records
    }
}

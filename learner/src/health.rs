//! How learning gets on, seen from outside, and what the critics expect of single decisions.
//!
//! All of it is computed from what is there: it draws no random number and changes nothing, so an agent learns the same
//! bits whether it is looked at or not. A look passes every critic over [`ROWS_MAX`] rows five times.

use serde::{Deserialize, Serialize};

use crate::agent::Agent;
use crate::examiner::{Features, Judged, ROWS_MAX};
use crate::imputer::Imputer;
use crate::nets::ActorPass;

/// States that the drift is measured on, of late and before.
const DRIFT_RECENT_MAX: u64 = 512;
const DRIFT_BEFORE_MAX: u64 = 1_024;
/// With fewer states before those of late there is no drift to speak of.
const DRIFT_BEFORE_MIN: u64 = 64;
/// A column that hardly moved before counts as if it had moved by so much, in its normal range.
const DEVIATION_MIN: f64 = 0.01;

/// What the critics expect of one decision. Values are discounted sums of the rewards from there on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The action's value, the mean over the ensemble.
    pub value: f32,
    /// The standard deviation over the ensemble.
    pub spread: f32,
    /// The value of the nominal action, inside the same bounds.
    pub nominal_value: f32,
}

/// How learning gets on. "Of late" are the newest 128 transitions.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Critic updates made so far.
    pub updates: u64,
    /// The critics' mean loss in the latest update.
    pub critic_loss: f64,
    /// The actor's loss in the latest update; the mean size of the value's slope at its actions, if it climbs that.
    pub actor_loss: f64,
    /// Length of the critics' gradient in the latest update, mean over the ensemble.
    pub critic_gradient_norm: f64,
    /// Length of the actor's gradient in the latest update.
    pub actor_gradient_norm: f64,
    /// Share of the critics' units that are off at every state of late, mean over the ensemble.
    pub dead_units: f64,
    /// Stable rank of the critics' features at the states of late (squared length over that of the leading direction), the
    /// lowest of the ensemble: 1 when all states look alike to a critic.
    pub stable_rank: f64,
    /// Mean standard deviation of the critics' values of the actor's actions of late.
    pub ensemble_spread: f64,
    /// Mean size of the temporal difference of late: what the critics expected against the reward and what they expect
    /// after it.
    pub prediction_error: f64,
    /// What the critics expect of the actor's actions of late, beyond what they expect of the nominal setpoint.
    pub value_added: f64,
    /// How far the state has moved lately; `None` while there are too few states to say so.
    pub drift: Option<Drift>,
    /// How well missing values are told; `None` without an imputer, and before it tells any tag better than holding it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imputation: Option<Imputation>,
}

/// How well the imputer tells values that are hidden from it, in rows that it has not learnt from yet: roots of the mean
/// square, normalised, over the tags that it tells better than their last values do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Imputation {
    /// How many tags these are.
    pub tags: usize,
    /// How far it is off.
    pub error: f64,
    /// How far the last value is off.
    pub held: f64,
}

/// How far the columns of the state have moved: the shift of a column's mean, from before to lately, in standard deviations
/// of before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Mean over the columns.
    pub mean: f64,
    /// The largest one.
    pub largest: f64,
    /// The column that it is of.
    pub column: usize,
}

impl Agent {
    /// What the critics expect of decisions, one row of `states`, `actions` and bounds for each.
    ///
    /// # Panics
    /// If the rows are not as many in each, or of another width than the agent's shape.
    pub fn estimate(&mut self, states: &[f32], actions: &[f32], lo: &[f32], hi: &[f32]) -> Vec<Estimate> {
        let rows = states.len() / self.shape.state;
        for numbers in [actions, lo, hi] {
            assert_eq!(numbers.len(), rows * self.shape.action, "columns of the action");
        }
        let nominal: Vec<f32> = self.nominal.iter().copied().cycle().take(actions.len()).collect();
        let (judged, of_nominal) = (self.judge(states, actions), self.judge(states, &clipped(&nominal, lo, hi)));
        let pairs = judged.into_iter().zip(of_nominal);
        pairs
            .map(|(Judged { value, spread }, nominal)| Estimate { value, spread, nominal_value: nominal.value })
            .collect()
    }

    /// How learning gets on; `None` before the first update of this process.
    pub fn health(&mut self) -> Option<Health> {
        let (update, batch) = (self.last_update?, self.replay.newest(ROWS_MAX, self.learning.gamma())?);
        let nominal: Vec<f32> = self.nominal.iter().copied().cycle().take(batch.actions.len()).collect();
        let acted = clipped(&self.means(batch.states()), &batch.lo, &batch.hi);
        let next = clipped(&self.means(batch.next_states()), &batch.next_lo, &batch.next_hi);

        let judged = self.judge(batch.states(), &acted);
        let of_nominal = self.judge(batch.states(), &clipped(&nominal, &batch.lo, &batch.hi));
        let expected = self.judge(batch.states(), &batch.actions);
        let afterwards = self.judge(batch.next_states(), &next);
        let features = self.examiner.features(&self.learning.critics(), batch.states(), &acted);
        let followed = batch.rewards.iter().zip(&batch.discounts).zip(&afterwards);
        let errors = expected.iter().zip(followed).map(|(expected, ((reward, discount), next))| {
            (f64::from(*reward) + f64::from(*discount) * f64::from(next.value) - f64::from(expected.value)).abs()
        });
        let (critic_gradient_norm, actor_gradient_norm) = self.learning.gradient_norms();
        Some(Health {
            updates: self.counts().critic_updates,
            critic_loss: update.critic_loss.into(),
            actor_loss: update.actor_loss.into(),
            critic_gradient_norm: critic_gradient_norm.into(),
            actor_gradient_norm: actor_gradient_norm.into(),
            dead_units: mean(features.iter().map(|features| f64::from(features.dead_units))),
            stable_rank: lowest_rank(&features),
            ensemble_spread: mean(judged.iter().map(|judged| f64::from(judged.spread))),
            prediction_error: mean(errors),
            value_added: mean_value(&judged) - mean_value(&of_nominal),
            drift: self.drift(),
            imputation: self.imputer.as_ref().and_then(Imputer::imputation),
        })
    }

    fn judge(&mut self, states: &[f32], actions: &[f32]) -> Vec<Judged> {
        self.examiner.judge(&self.learning.critics(), states, actions)
    }

    /// The actor's mean actions.
    fn means(&self, states: &[f32]) -> Vec<f32> {
        let rows = states.len() / self.shape.state;
        let mut pass = ActorPass::new(rows, self.shape.action);
        self.learning.net().forward(self.learning.actor(), states, rows, &mut pass);
        pass.mu
    }

    /// The states of late against those before, at even distances; `None` while there are too few.
    fn drift(&self) -> Option<Drift> {
        let kept = self.replay.kept_rows();
        let recent = DRIFT_RECENT_MAX.min((kept.end - kept.start) / 4);
        let border = kept.end - recent;
        let before = border - kept.start;
        if before < DRIFT_BEFORE_MIN {
            return None;
        }
        let step = before.div_ceil(DRIFT_BEFORE_MAX) as usize;
        let width = self.shape.state;
        let (old, deviations) = moments((kept.start..border).step_by(step).map(|row| self.replay.state(row)), width);
        let (new, _) = moments((border..kept.end).map(|row| self.replay.state(row)), width);
        let columns = new.iter().zip(&old).zip(&deviations);
        let shifts: Vec<f64> =
            columns.map(|((new, old), deviation)| (new - old).abs() / deviation.max(DEVIATION_MIN)).collect();
        let largest = shifts.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?;
        Some(Drift { mean: mean(shifts.iter().copied()), largest: *largest.1, column: largest.0 })
    }
}

/// Means and standard deviations of the columns of some rows.
fn moments<'a>(rows: impl Iterator<Item = &'a [f32]> + Clone, width: usize) -> (Vec<f64>, Vec<f64>) {
    let (mut means, mut squares) = (vec![0.0; width], vec![0.0; width]);
    let count = rows.clone().count() as f64;
    for row in rows.clone() {
        means.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x) / count);
    }
    for row in rows {
        let columns = squares.iter_mut().zip(row.iter().zip(&means));
        columns.for_each(|(square, (x, mean))| *square += (f64::from(*x) - mean) * (f64::from(*x) - mean) / count);
    }
    (means, squares.iter().map(|square| square.sqrt()).collect())
}

pub(crate) fn clipped(actions: &[f32], lo: &[f32], hi: &[f32]) -> Vec<f32> {
    actions.iter().zip(lo.iter().zip(hi)).map(|(action, (lo, hi))| action.max(*lo).min(*hi)).collect()
}

fn mean(numbers: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = numbers.len() as f64;
    numbers.sum::<f64>() / count
}

fn mean_value(judged: &[Judged]) -> f64 {
    mean(judged.iter().map(|judged| f64::from(judged.value)))
}

fn lowest_rank(features: &[Features]) -> f64 {
    features.iter().map(|features| f64::from(features.stable_rank)).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{AgentOptions, AgentShape, Improver};
    use crate::transitions::Step;

    const SHAPE: AgentShape = AgentShape { state: 2, action: 1 };

    fn agent(improver: Improver) -> Agent {
        let options = AgentOptions {
            seed: 5,
            improver,
            batch_size: 16,
            candidates: 12,
            next_actions: 2,
            gamma: 0.5,
            critic_updates: 2,
            critic_lr: 1e-3,
            centring_rate: 0.2,
            nominal_critic_steps: 200,
            nominal_actor_steps: 100,
            ..AgentOptions::default()
        };
        let mut agent = Agent::new(SHAPE, options, &[0.25], 1).unwrap();
        agent.learn_nominal(|| true);
        agent
    }

    /// Steps of a plant without memory; the reward is best at 0.75. What is looked at is `look`'s business.
    fn live(agent: &mut Agent, steps: u64, shift: f32, mut look: impl FnMut(&mut Agent)) {
        let mut action = [0.25_f32];
        let from = agent.counts().observations;
        for sequence in from..from + steps {
            let phase = sequence as f32 * 0.7;
            let state = [libm::sinf(phase).abs(), 0.5 + 0.3 * libm::cosf(phase) + shift];
            let reward = -(action[0] - 0.75).abs();
            let (lo, hi) = (&[0.0][..], &[1.0][..]);
            let step = Step {
                sequence,
                complete: true,
                all_read: false,
                reward: Some(reward),
                decision: true,
                gap: false,
                terminal: false,
                state: &state,
                action: &action.clone(),
                lo,
                hi,
            };
            agent.observe(&step);
            while agent.update().is_some() {}
            look(agent);
            agent.act(&state, lo, hi, true, &mut action);
        }
    }

    #[test]
    fn an_agent_learns_the_same_bits_whether_it_is_looked_at_or_not() {
        for improver in [Improver::Percentile, Improver::Pathwise] {
            let bits = |agent: &Agent| agent.actor_parameters().iter().map(|p| p.to_bits()).collect::<Vec<_>>();
            let (mut one, mut other) = (agent(improver), agent(improver));
            live(&mut one, 60, 0.0, |_| {});
            live(&mut other, 60, 0.0, |agent| {
                assert_eq!(agent.health(), agent.health());
                agent.estimate(&[0.1, 0.2, 0.3, 0.4], &[0.5, 0.6], &[0.0; 2], &[1.0; 2]);
            });
            assert_eq!(bits(&one), bits(&other), "{improver:?}");
        }
    }

    #[test]
    fn health_tells_what_was_learnt() {
        for improver in [Improver::Percentile, Improver::Pathwise] {
            let mut agent = agent(improver);
            assert_eq!(agent.health(), None);
            live(&mut agent, 1, 0.0, |_| {});
            live(&mut agent, 600, 0.0, |_| {});
            let health = agent.health().unwrap();
            assert_eq!(health.updates, agent.counts().critic_updates);
            assert!(health.critic_gradient_norm > 0.0 && health.actor_gradient_norm > 0.0, "{health:?}");
            assert!((0.0..0.9).contains(&health.dead_units) && health.stable_rank >= 1.0, "{health:?}");
            assert!(health.ensemble_spread > 0.0 && health.prediction_error > 0.0, "{health:?}");
            // Away from the nominal 0.25 it becomes better.
            assert!(health.value_added > 0.0, "{health:?}");
            let drift = health.drift.unwrap();
            assert!(drift.largest < 0.5 && drift.mean <= drift.largest, "{health:?}");
        }
    }

    #[test]
    fn a_column_that_moves_is_the_drift_and_is_named() {
        let mut agent = agent(Improver::Pathwise);
        live(&mut agent, 20, 0.0, |_| {});
        assert_eq!(agent.health().unwrap().drift, None, "too few states to speak of a drift");
        live(&mut agent, 180, 0.0, |_| {});
        live(&mut agent, 60, 0.6, |_| {});
        let Drift { mean, largest, column } = agent.health().unwrap().drift.unwrap();
        // The second column's deviation is 0.3 / sqrt 2.
        assert!(column == 1 && (1.5..4.0).contains(&largest), "{column} by {largest}");
        assert!((mean - 0.5 * largest).abs() < 0.2, "{mean} and {largest}");
    }

    #[test]
    fn a_prediction_that_is_right_has_no_error() {
        // Without an aftermath the value is the reward, and the reward of one action is a constant.
        let mut agent = agent(Improver::Percentile);
        let error = |agent: &mut Agent| agent.health().unwrap().prediction_error;
        live(&mut agent, 3, 0.0, |_| {});
        let before = error(&mut agent);
        live(&mut agent, 1_500, 0.0, |_| {});
        assert!(error(&mut agent) < 0.5 * before, "{} after {before}", error(&mut agent));
    }

    #[test]
    fn values_are_what_is_to_be_gained_centred_or_not() {
        // Reward -0.5 for ever at one action: -0.5 / (1 - 0.5) in all.
        for improver in [Improver::Percentile, Improver::Pathwise] {
            let mut agent = agent(improver);
            for sequence in 0..1_500 {
                let step = Step {
                    sequence,
                    complete: true,
                    all_read: false,
                    reward: Some(-0.5),
                    decision: true,
                    gap: false,
                    terminal: false,
                    state: &[0.5, 0.5],
                    action: &[0.25],
                    lo: &[0.25],
                    hi: &[0.25],
                };
                agent.observe(&step);
                while agent.update().is_some() {}
            }
            let estimate = agent.estimate(&[0.5, 0.5], &[0.25], &[0.25], &[0.25])[0];
            assert!((estimate.value + 1.0).abs() < 0.1, "{improver:?}: {estimate:?}");
            assert_eq!(estimate.value, estimate.nominal_value);
        }
    }
}

//! A critic as it learns: its network, the slow copy from which targets are taken, and the buffers of an update; and what is
//! taken off the rewards before.

use serde::{Deserialize, Serialize};

use super::settings::Settings;
use crate::nets::{ActionPass, AdamW, AdamWOptions, Critic, StatePass};
use crate::options::AgentShape;
use crate::random::Stream;
use crate::replay::Batch;

/// A network with its optimiser and its slowly following copy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Trained {
    pub(super) parameters: Vec<f32>,
    pub(super) slow: Vec<f32>,
    pub(super) optimiser: AdamW,
}

impl Trained {
    pub(super) fn new(parameters: Vec<f32>) -> Self {
        Self { slow: parameters.clone(), optimiser: AdamW::new(parameters.len()), parameters }
    }

    pub(super) fn fits(&self, len: usize) -> bool {
        self.parameters.len() == len && self.slow.len() == len && self.optimiser.fits(len)
    }

    /// The copy goes a part of the way.
    pub(super) fn follow(&mut self, rate: f32) {
        for (slow, parameter) in self.slow.iter_mut().zip(&self.parameters) {
            *slow += rate * (parameter - *slow);
        }
    }

    /// Ends the nominal start: the copy is where the network is, and the optimiser begins anew.
    pub(super) fn settle(&mut self) {
        self.slow.copy_from_slice(&self.parameters);
        self.optimiser.reset();
    }

    pub(super) fn is_finite(&self) -> bool {
        self.parameters.iter().chain(&self.slow).all(|p| p.is_finite())
    }
}

/// What all values have in common: the mean reward `b` for good.
#[derive(Debug, Clone, Copy)]
pub(super) struct Centre {
    pub(super) mean_reward: f32,
    pub(super) gamma: f32,
}

impl Centre {
    /// The reward of a transition less its part in that: `R_n - b (1 - gamma^n)/(1 - gamma)`.
    pub(super) fn reward(self, batch: &Batch, row: usize) -> f32 {
        batch.rewards[row] - self.mean_reward * (1.0 - batch.discounts[row]) / (1.0 - self.gamma)
    }

    /// `b/(1 - gamma)`.
    pub(super) fn value(self) -> f32 {
        self.mean_reward / (1.0 - self.gamma)
    }
}

/// A critic with its buffers.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) trained: Trained,
    pub(super) gradient: Vec<f32>,
    /// Actions drawn at a state, beside the one that was taken.
    drawn: usize,
    at: StatePass<f32>,
    pass: ActionPass<f32>,
    /// The copy's values at the next states, `[rows]` times the actions judged there.
    pub(super) next_q: Vec<f32>,
    pub(super) q: Vec<f32>,
    /// Its values of the drawn actions, `[rows][drawn]`.
    pub(super) values: Vec<f32>,
    /// The gradients of these values, `[rows][drawn][d]`; empty when nobody asks.
    pub(super) slopes: Vec<f32>,
    pub(super) loss: f32,
}

impl Judge {
    /// One that judges `drawn` actions at each of `rows` states, and `next` of them at the next states.
    pub(super) fn new(critic: &Critic, stream: &mut Stream, rows: usize, drawn: usize, next: usize) -> Self {
        let mut parameters = vec![0.0; critic.len()];
        critic.init(&mut parameters, stream);
        Self {
            trained: Trained::new(parameters),
            gradient: vec![0.0; critic.len()],
            drawn,
            at: StatePass::new(rows),
            pass: ActionPass::new(rows * drawn),
            next_q: vec![0.0; rows * next],
            q: vec![0.0; rows],
            values: vec![0.0; rows * drawn],
            slopes: Vec::new(),
            loss: 0.0,
        }
    }

    /// The same, and it tells how its values change with the drawn actions.
    pub(super) fn with_slopes(mut self, shape: AgentShape) -> Self {
        self.slopes = vec![0.0; self.values.len() * shape.action];
        self
    }

    /// The copy's values of actions at the next states.
    pub(super) fn judge_next(&mut self, critic: &Critic, batch: &Batch, actions: &[f32]) {
        let Self { trained, at, pass, next_q, .. } = self;
        let (slow, rows) = (&trained.slow, batch.rows());
        critic.forward_states(slow, batch.next_states(), rows, at);
        critic.forward_actions(slow, at, 0..rows, actions, next_q.len() / rows, pass);
        critic.q(slow, pass, next_q);
    }

    /// Judges the drawn actions, then makes a step towards the targets.
    pub(super) fn learn(
        &mut self,
        critic: &Critic,
        batch: &Batch,
        actions: &[f32],
        targets: &[f32],
        settings: &Settings,
    ) {
        let Self { trained, at, pass, values, slopes, .. } = self;
        let (p, rows) = (&trained.parameters, batch.rows());
        critic.forward_states(p, batch.states(), rows, at);
        critic.forward_actions(p, at, 0..rows, actions, self.drawn, pass);
        critic.q(p, pass, values);
        if !slopes.is_empty() {
            critic.action_gradients(p, pass, slopes);
        }
        self.descend(critic, batch, targets, settings.critic);
        self.trained.follow(settings.target_rate);
    }

    /// A step towards the targets from the states of a batch.
    pub(super) fn approach(&mut self, critic: &Critic, batch: &Batch, targets: &[f32], optimiser: AdamWOptions) {
        critic.forward_states(&self.trained.parameters, batch.states(), batch.rows(), &mut self.at);
        self.descend(critic, batch, targets, optimiser);
    }

    /// A step towards the targets after a forward pass over the states; leaves the loss's gradients in `q`.
    fn descend(&mut self, critic: &Critic, batch: &Batch, targets: &[f32], optimiser: AdamWOptions) {
        let Self { trained, at, pass, q, gradient, .. } = self;
        let (p, rows) = (&trained.parameters, batch.rows());
        critic.forward_actions(p, at, 0..rows, &batch.actions, 1, pass);
        critic.q(p, pass, q);
        let share = 1.0 / rows as f32;
        self.loss = 0.0;
        for (q, target) in q.iter_mut().zip(targets) {
            let difference = target - *q;
            self.loss += 0.5 * difference * difference * share;
            *q = -difference * share;
        }
        gradient.fill(0.0);
        critic.backward_actions(p, at, 0..rows, &batch.actions, q, None, pass, gradient);
        critic.backward_states(p, batch.states(), rows, at, gradient);
        trained.optimiser.step(critic.kernel, &mut trained.parameters, gradient, optimiser);
    }
}

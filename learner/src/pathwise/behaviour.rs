//! What was done in a history, as the actor was taught it.

use crate::nets::{Actor, ActorPass};

/// The least deviation, in widths of a setpoint's range: who never moved it did not mean its last digit.
const DEVIATION_MIN: f32 = 1e-3;

/// The actor as it began: it does not change any more.
#[derive(Debug)]
pub(super) struct Behaviour {
    parameters: Vec<f32>,
    pass: ActorPass<f32>,
}

impl Behaviour {
    /// For at most `rows` states, and actions of `d` components.
    pub(super) fn new(parameters: Vec<f32>, rows: usize, d: usize) -> Self {
        Self { parameters, pass: ActorPass::new(rows, d) }
    }

    pub(super) fn parameters(&self) -> &[f32] {
        &self.parameters
    }

    /// Mean distances of what was done at `rows` states from its mean there, `[rows][d]`, in widths of the setpoints' ranges.
    pub(super) fn deviations(&mut self, net: &Actor, states: &[f32], rows: usize) -> impl Iterator<Item = f32> {
        net.forward(&self.parameters, states, rows, &mut self.pass);
        self.pass.sigma.iter().map(|deviation| deviation.max(DEVIATION_MIN))
    }
}

//! What every plant has in common: actuators, time, reward and the way back to the start.

use crate::{Plant, Signal};

/// The part of a plant that is its own: a state, and how one step changes it.
///
/// # Real-time
/// `advance` and `observe` allocate nothing and are bounded by the size of the plant; `clone_from` of a plant's own
/// earlier state neither allocates, because all states are of fixed size.
pub trait Dynamics: Clone + Send + std::fmt::Debug {
    /// The plant's name.
    const NAME: &'static str;

    /// What a controller writes.
    fn inputs(&self) -> &'static [Signal];

    /// What a controller reads: measurements first, then targets.
    fn outputs(&self) -> &'static [Signal];

    /// How many of the outputs are measured.
    fn measured(&self) -> usize {
        self.outputs().len()
    }

    /// Advances step `time_steps` (0 is the first) and returns its reward.
    ///
    /// `actuators` has one value for each input: finite and within its range.
    fn advance(&mut self, actuators: &[f64], time_steps: u64) -> f64;

    /// Writes what is observed, as far as `outputs` goes.
    fn observe(&self, outputs: &mut [f64]);
}

/// A plant made of a state `D`, and of what every plant has: actuators, time, reward and the way back to the start.
#[derive(Debug, Clone)]
pub struct Simulated<D> {
    start: D,
    now: D,
    actuators: Vec<f64>,
    time_steps: u64,
    reward: f64,
}

impl<D: Dynamics> Simulated<D> {
    pub(crate) fn from_start(start: D) -> Self {
        let actuators = start.inputs().iter().map(|input| input.nominal).collect();
        Self { now: start.clone(), start, actuators, time_steps: 0, reward: 0.0 }
    }
}

impl<D: Dynamics> Plant for Simulated<D> {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn inputs(&self) -> &'static [Signal] {
        self.start.inputs()
    }

    fn outputs(&self) -> &'static [Signal] {
        self.start.outputs()
    }

    fn measured(&self) -> usize {
        self.start.measured()
    }

    fn step(&mut self, inputs: &[f64], outputs: &mut [f64]) {
        actuate(&mut self.actuators, inputs, self.start.inputs());
        self.reward = self.now.advance(&self.actuators, self.time_steps);
        self.time_steps += 1;
        self.now.observe(outputs);
    }

    fn observe(&self, outputs: &mut [f64]) {
        self.now.observe(outputs);
    }

    fn reward(&self) -> f64 {
        self.reward
    }

    fn reset(&mut self) {
        self.now.clone_from(&self.start);
        for (actuator, input) in self.actuators.iter_mut().zip(self.start.inputs()) {
            *actuator = input.nominal;
        }
        self.time_steps = 0;
        self.reward = 0.0;
    }
}

/// Takes over the inputs that are finite, clipped to their ranges; the others keep their last value.
fn actuate(actuators: &mut [f64], inputs: &[f64], signals: &[Signal]) {
    for ((actuator, &input), signal) in actuators.iter_mut().zip(inputs).zip(signals) {
        if input.is_finite() {
            *actuator = input.clamp(signal.lo, signal.hi);
        }
    }
}

/// Copies as many values as both slices have.
pub(crate) fn copy(from: &[f64], to: &mut [f64]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

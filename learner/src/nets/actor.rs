//! The actor's network (also the proposal's): a torso of two CReLU layers, heads for mean and deviation.
//!
//! ```text
//! state -> Lin 128 CReLU -> Lin 128 CReLU -> mu    = Lin d
//!                                         -> sigma = 0.1 sigmoid(Lin d) + 1e-5
//! ```
//! The parameter vector is, in this order, for each of the four layers the weights `[inputs][outputs]` and then the
//! biases. This is the payload of published weights.

use super::Real;
use super::activation::{bias_crelu, crelu_backward};
use super::linear::{Layout, Linear};
use crate::random::Stream;

const HIDDEN: usize = 128;
/// The deviation's upper bound (exclusive of [`SIGMA_MIN`]).
pub(crate) const SIGMA_MAX: f64 = 0.1;
/// The deviation's lower bound.
pub(crate) const SIGMA_MIN: f64 = 1e-5;

/// Shapes and places of an actor's layers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Actor {
    torso_1: Linear,
    torso_2: Linear,
    mu: Linear,
    sigma: Linear,
    len: usize,
}

/// What an actor computes for up to a number of rows, and the gradients on the way back.
#[derive(Debug, Clone)]
pub(crate) struct ActorPass<T> {
    linear: Vec<T>,
    crelu_1: Vec<T>,
    crelu_2: Vec<T>,
    /// The means, `[rows][d]`.
    pub(crate) mu: Vec<T>,
    /// The deviations, `[rows][d]`.
    pub(crate) sigma: Vec<T>,
    /// Set by the caller before the way back: the gradients at the means.
    pub(crate) d_mu: Vec<T>,
    /// Set by the caller before the way back: the gradients at the deviations.
    pub(crate) d_sigma: Vec<T>,
    d_crelu: Vec<T>,
    d_head: Vec<T>,
}

impl<T: Real> ActorPass<T> {
    pub(crate) fn new(rows: usize, action: usize) -> Self {
        let zeros = |width: usize| vec![T::zero(); rows * width];
        Self {
            linear: zeros(HIDDEN),
            crelu_1: zeros(2 * HIDDEN),
            crelu_2: zeros(2 * HIDDEN),
            mu: zeros(action),
            sigma: zeros(action),
            d_mu: zeros(action),
            d_sigma: zeros(action),
            d_crelu: zeros(2 * HIDDEN),
            d_head: zeros(2 * HIDDEN),
        }
    }
}

impl Actor {
    pub(crate) fn new(state: usize, action: usize) -> Self {
        let mut layout = Layout::default();
        Self {
            torso_1: layout.linear(state, HIDDEN),
            torso_2: layout.linear(2 * HIDDEN, HIDDEN),
            mu: layout.linear(2 * HIDDEN, action),
            sigma: layout.linear(2 * HIDDEN, action),
            len: layout.len(),
        }
    }

    /// The number of parameters.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Orthogonal torso, heads from a truncated normal distribution.
    pub(crate) fn init<T: Real>(&self, parameters: &mut [T], stream: &mut Stream) {
        self.torso_1.init_orthogonal(parameters, stream);
        self.torso_2.init_orthogonal(parameters, stream);
        self.mu.init_truncated(parameters, stream);
        self.sigma.init_truncated(parameters, stream);
    }

    /// Means and deviations for `rows` states.
    pub(crate) fn forward<T: Real>(&self, parameters: &[T], states: &[T], rows: usize, pass: &mut ActorPass<T>) {
        let p = parameters;
        let linear = &mut pass.linear[..rows * HIDDEN];
        self.torso_1.forward(p, states, rows, linear);
        bias_crelu(linear, self.torso_1.bias(p), &mut pass.crelu_1);
        self.torso_2.forward(p, &pass.crelu_1, rows, linear);
        bias_crelu(linear, self.torso_2.bias(p), &mut pass.crelu_2);

        self.mu.forward(p, &pass.crelu_2, rows, &mut pass.mu);
        self.sigma.forward(p, &pass.crelu_2, rows, &mut pass.sigma);
        let action = self.mu.outputs;
        for row in 0..rows {
            for i in 0..action {
                pass.mu[row * action + i] += self.mu.bias(p)[i];
                let sigma = &mut pass.sigma[row * action + i];
                let logit = *sigma + self.sigma.bias(p)[i];
                let sigmoid = T::one() / (T::one() + (-logit).exponential());
                *sigma = T::of(SIGMA_MAX) * sigmoid + T::of(SIGMA_MIN);
            }
        }
    }

    /// The way back of a forward pass, from `pass.d_mu` and `pass.d_sigma`; adds to `gradients`.
    pub(crate) fn backward<T: Real>(
        &self,
        parameters: &[T],
        states: &[T],
        rows: usize,
        pass: &mut ActorPass<T>,
        gradients: &mut [T],
    ) {
        let p = parameters;
        let heads = rows * self.mu.outputs;
        let d_logit = &mut pass.d_sigma[..heads];
        for (d, &sigma) in d_logit.iter_mut().zip(&pass.sigma) {
            let sigmoid = (sigma - T::of(SIGMA_MIN)) / T::of(SIGMA_MAX);
            *d *= T::of(SIGMA_MAX) * sigmoid * (T::one() - sigmoid);
        }
        let d_mu = &pass.d_mu[..heads];
        self.mu.backward(&pass.crelu_2, d_mu, rows, gradients);
        self.sigma.backward(&pass.crelu_2, d_logit, rows, gradients);

        let d_crelu = &mut pass.d_crelu[..rows * 2 * HIDDEN];
        let d_head = &mut pass.d_head[..rows * 2 * HIDDEN];
        self.mu.backward_input(p, d_mu, rows, d_crelu);
        self.sigma.backward_input(p, d_logit, rows, d_head);
        for (d, &other) in d_crelu.iter_mut().zip(d_head.iter()) {
            *d += other;
        }
        let d_linear = &mut pass.linear[..rows * HIDDEN];
        crelu_backward(d_crelu, &pass.crelu_2, HIDDEN, d_linear);
        self.torso_2.backward(&pass.crelu_1, d_linear, rows, gradients);

        self.torso_2.backward_input(p, d_linear, rows, d_crelu);
        crelu_backward(d_crelu, &pass.crelu_1, HIDDEN, d_linear);
        self.torso_1.backward(states, d_linear, rows, gradients);
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::{gradient_matches, normals};
    use super::*;

    #[test]
    fn the_gradient_equals_finite_differences() {
        const ROWS: usize = 2;
        let actor = Actor::new(3, 2);
        let stream = &mut Stream::new(8, "test", 0);
        let mut parameters = vec![0.0_f64; actor.len()];
        actor.init(&mut parameters, stream);
        let states = normals(stream, ROWS * 3);
        let d_mu = normals(stream, ROWS * 2);
        let d_sigma: Vec<f64> = normals(stream, ROWS * 2).iter().map(|d| 20.0 * d).collect();

        let loss = |p: &[f64]| {
            let mut pass = ActorPass::new(ROWS, 2);
            actor.forward(p, &states, ROWS, &mut pass);
            let sum = |d: &[f64], x: &[f64]| d.iter().zip(x).map(|(d, x)| d * x).sum::<f64>();
            sum(&d_mu, &pass.mu) + sum(&d_sigma, &pass.sigma)
        };

        let mut gradient = vec![0.0; actor.len()];
        let mut pass = ActorPass::new(ROWS, 2);
        actor.forward(&parameters, &states, ROWS, &mut pass);
        pass.d_mu.copy_from_slice(&d_mu);
        pass.d_sigma.copy_from_slice(&d_sigma);
        actor.backward(&parameters, &states, ROWS, &mut pass, &mut gradient);
        gradient_matches(&mut parameters, &gradient, loss);
    }

    #[test]
    fn deviations_stay_within_their_bounds() {
        let actor = Actor::new(2, 1);
        let stream = &mut Stream::new(8, "test", 0);
        let mut parameters = vec![0.0_f32; actor.len()];
        actor.init(&mut parameters, stream);
        let mut pass = ActorPass::new(2, 1);
        actor.forward(&parameters, &[1e4, -1e4, -1e4, 1e4], 2, &mut pass);
        for sigma in pass.sigma {
            assert!((SIGMA_MIN as f32..=(SIGMA_MAX + SIGMA_MIN) as f32).contains(&sigma));
        }
    }
}

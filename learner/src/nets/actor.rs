//! The actor's network (also the proposal's): a torso of two CReLU layers, heads for mean and deviation.
//!
//! ```text
//! state -> Lin 128 CReLU -> Lin 128 CReLU -> mu    = Lin d
//!                                         -> sigma = 0.1 sigmoid(Lin d) + 1e-5
//! ```
//! The parameter vector is, in this order, for each of the four layers the weights `[inputs][outputs]` and then the
//! biases. This is the payload of published weights.

use policy::kernels::Kernel;

use super::Real;
use super::activation::crelu_backward;
use super::gemm::{Finish, Panels};
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
    /// What its layers and its optimiser run on.
    pub(crate) kernel: Kernel,
    torso_1: Linear,
    torso_2: Linear,
    mu: Linear,
    sigma: Linear,
    len: usize,
}

/// What an actor computes for up to a number of rows, and the gradients on the way back.
#[derive(Debug, Clone)]
pub(crate) struct ActorPass<T> {
    panels: Panels<T>,
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
    d_linear: Vec<T>,
}

impl<T: Real> ActorPass<T> {
    pub(crate) fn new(rows: usize, action: usize) -> Self {
        let zeros = |width: usize| vec![T::zero(); rows * width];
        Self {
            panels: Panels::default(),
            crelu_1: zeros(2 * HIDDEN),
            crelu_2: zeros(2 * HIDDEN),
            mu: zeros(action),
            sigma: zeros(action),
            d_mu: zeros(action),
            d_sigma: zeros(action),
            d_crelu: zeros(2 * HIDDEN),
            d_linear: zeros(HIDDEN),
        }
    }
}

impl Actor {
    pub(crate) fn new(state: usize, action: usize) -> Self {
        let mut layout = Layout::new();
        Self {
            kernel: layout.kernel(),
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
        let ActorPass { panels, crelu_1, crelu_2, mu, sigma, .. } = pass;
        self.torso_1.forward(p, states, rows, Finish::Crelu(self.torso_1.bias(p)), panels, crelu_1);
        self.torso_2.forward(p, crelu_1, rows, Finish::Crelu(self.torso_2.bias(p)), panels, crelu_2);
        self.mu.forward(p, crelu_2, rows, Finish::Bias(self.mu.bias(p)), panels, mu);
        self.sigma.forward(p, crelu_2, rows, Finish::Bias(self.sigma.bias(p)), panels, sigma);
        let sigma = &mut sigma[..rows * self.sigma.outputs];
        self.kernel.run(
            #[inline(always)]
            || {
                for sigma in sigma.iter_mut() {
                    let sigmoid = T::one() / (T::one() + (-*sigma).exponential());
                    *sigma = T::of(SIGMA_MAX) * sigmoid + T::of(SIGMA_MIN);
                }
            },
        );
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
        let (p, kernel) = (parameters, self.kernel);
        let heads = rows * self.mu.outputs;
        let ActorPass { panels, crelu_1, crelu_2, sigma, d_crelu, d_linear, .. } = pass;
        let (d_mu, d_logit) = (&pass.d_mu[..heads], &mut pass.d_sigma[..heads]);
        for (d, &sigma) in d_logit.iter_mut().zip(sigma.iter()) {
            let sigmoid = (sigma - T::of(SIGMA_MIN)) / T::of(SIGMA_MAX);
            *d *= T::of(SIGMA_MAX) * sigmoid * (T::one() - sigmoid);
        }
        self.mu.backward(crelu_2, d_mu, rows, panels, gradients);
        self.sigma.backward(crelu_2, d_logit, rows, panels, gradients);

        let d_crelu = &mut d_crelu[..rows * 2 * HIDDEN];
        self.mu.backward_input(p, d_mu, rows, Finish::Set, panels, d_crelu);
        self.sigma.backward_input(p, d_logit, rows, Finish::Add, panels, d_crelu);
        let d_linear = &mut d_linear[..rows * HIDDEN];
        kernel.run(
            #[inline(always)]
            || crelu_backward(d_crelu, crelu_2, HIDDEN, d_linear),
        );
        self.torso_2.backward(crelu_1, d_linear, rows, panels, gradients);

        self.torso_2.backward_input(p, d_linear, rows, Finish::Set, panels, d_crelu);
        kernel.run(
            #[inline(always)]
            || crelu_backward(d_crelu, crelu_1, HIDDEN, d_linear),
        );
        self.torso_1.backward(states, d_linear, rows, panels, gradients);
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

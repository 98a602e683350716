//! The networks: forward and backward passes over flat parameter vectors, with hand-derived gradients.
//!
//! A network here is a description (shapes and offsets); parameters, gradients and buffers are arguments. The code is
//! generic over [`Real`], so that the tests can compare its gradients with finite differences in `f64`, while the
//! learner runs it in `f32`.

use gemm::Product;
use policy::kernels::Kernel;

mod activation;
mod actor;
mod adamw;
mod critic;
mod gemm;
mod linear;
mod perceptron;

pub(crate) use activation::relu_backward;
pub(crate) use actor::{Actor, ActorPass, SIGMA_MAX};
pub(crate) use adamw::{AdamW, AdamWOptions, falling};
pub(crate) use critic::{ActionPass, Critic, StatePass};
pub(crate) use gemm::{Finish, Panels};
pub(crate) use linear::{Head, Layout, Linear};
pub(crate) use perceptron::{Perceptron, PerceptronPass};

/// The floating-point type of a network.
pub(crate) trait Real: ndarray::NdFloat + Default {
    /// The nearest value to `value`.
    fn of(value: f64) -> Self;
    /// `e^self`, the same on every machine.
    fn exponential(self) -> Self;
    /// The hyperbolic tangent, the same on every machine.
    fn hyperbolic_tangent(self) -> Self;

    /// Computes a product with the machine's registers.
    fn compute(product: Product<'_, Self>, kernel: Kernel);
}

impl Real for f32 {
    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn exponential(self) -> Self {
        policy::kernels::exp(self)
    }

    #[inline(always)]
    fn hyperbolic_tangent(self) -> Self {
        policy::kernels::tanh(self)
    }

    fn compute(product: Product<'_, Self>, kernel: Kernel) {
        kernel.run(product);
    }
}

#[cfg(test)]
impl Real for f64 {
    fn of(value: f64) -> Self {
        value
    }

    fn exponential(self) -> Self {
        libm::exp(self)
    }

    fn hyperbolic_tangent(self) -> Self {
        libm::tanh(self)
    }

    fn compute(product: Product<'_, Self>, _: Kernel) {
        product.run_on(check::Plain);
    }
}

/// What the gradient tests of the networks share.
#[cfg(test)]
pub(crate) mod check {
    use policy::kernels::{BLOCK, KernelKind, Registers};

    use crate::random::Stream;

    /// Registers for `f64`, whatever the compiler makes of them.
    #[derive(Clone, Copy)]
    pub(crate) struct Plain;

    impl Registers<f64> for Plain {
        const KIND: KernelKind = KernelKind::Scalar;
        type Block = [f64; BLOCK];

        fn load(self, numbers: &[f64; BLOCK]) -> Self::Block {
            *numbers
        }

        fn store(self, block: Self::Block, numbers: &mut [f64; BLOCK]) {
            *numbers = block;
        }

        fn add_product(self, sum: Self::Block, x: f64, y: Self::Block) -> Self::Block {
            std::array::from_fn(|i| sum[i] + x * y[i])
        }

        fn add(self, a: Self::Block, b: Self::Block) -> Self::Block {
            std::array::from_fn(|i| a[i] + b[i])
        }

        fn negate(self, a: Self::Block) -> Self::Block {
            a.map(|a| -a)
        }

        fn positive(self, a: Self::Block) -> Self::Block {
            a.map(|a| a.max(0.0))
        }

        fn pass(self, a: Self::Block, gate: Self::Block) -> Self::Block {
            std::array::from_fn(|i| if gate[i] > 0.0 { a[i] } else { 0.0 })
        }
    }

    pub(crate) fn normals(stream: &mut Stream, count: usize) -> Vec<f64> {
        (0..count).map(|_| f64::from(stream.normal())).collect()
    }

    /// Compares `gradient` with central differences of `loss` at every fifth of the `parameters`: no layer has a width of
    /// which that would be a divisor, so every row and column of it is met.
    pub(crate) fn gradient_matches(parameters: &mut [f64], gradient: &[f64], mut loss: impl FnMut(&[f64]) -> f64) {
        let step = 1e-6;
        let scale = gradient.iter().fold(0.0_f64, |max, g| max.max(g.abs()));
        assert!(scale > 0.0, "the gradient is zero everywhere");
        for i in (0..parameters.len()).step_by(5) {
            let value = parameters[i];
            parameters[i] = value + step;
            let above = loss(parameters);
            parameters[i] = value - step;
            let below = loss(parameters);
            parameters[i] = value;
            let expected = (above - below) / (2.0 * step);
            assert!(
                (expected - gradient[i]).abs() < 1e-5 * scale + 1e-8,
                "parameter {i}: {} instead of {expected}",
                gradient[i]
            );
        }
    }
}

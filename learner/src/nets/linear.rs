//! A linear layer: where its weights lie in a network's parameter vector, how they begin, and its two passes.

use std::ops::Range;

use policy::kernels::Kernel;

use super::Real;
use super::activation::{add_column_sums, dot};
use super::gemm::{Finish, Panels, Product, view};
use crate::random::Stream;

/// Hands out the places of the layers in one flat parameter vector.
#[derive(Debug)]
pub(crate) struct Layout {
    kernel: Kernel,
    len: usize,
}

impl Layout {
    /// Nothing yet; this machine's best kernel for every layer to come.
    pub(crate) fn new() -> Self {
        Self { kernel: Kernel::best(), len: 0 }
    }

    /// The kernel of all layers.
    pub(crate) fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The number of parameters so far.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// A layer with weights `[inputs][outputs]`, followed by `outputs` biases.
    pub(crate) fn linear(&mut self, inputs: usize, outputs: usize) -> Linear {
        let at = self.vector(inputs * outputs + outputs);
        Linear { kernel: self.kernel, at, inputs, outputs, biases: outputs }
    }

    /// A layer without biases.
    pub(crate) fn linear_unbiased(&mut self, inputs: usize, outputs: usize) -> Linear {
        Linear { kernel: self.kernel, at: self.vector(inputs * outputs), inputs, outputs, biases: 0 }
    }

    /// A layer of width 1 without a bias.
    pub(crate) fn head(&mut self, inputs: usize) -> Head {
        Head { kernel: self.kernel, at: self.vector(inputs), inputs }
    }

    /// A vector of `len` parameters; its offset.
    fn vector(&mut self, len: usize) -> usize {
        let at = self.len;
        self.len += len;
        at
    }
}

/// A linear layer's shape and place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    kernel: Kernel,
    biases: usize,
    at: usize,
}

impl Linear {
    fn weights_range(&self) -> Range<usize> {
        self.at..self.at + self.inputs * self.outputs
    }

    fn bias_range(&self) -> Range<usize> {
        let at = self.weights_range().end;
        at..at + self.biases
    }

    /// The part of the layer that belongs to its last `inputs`.
    pub(crate) fn of_last_inputs(&self, inputs: usize) -> Self {
        Self { at: self.at + (self.inputs - inputs) * self.outputs, inputs, ..*self }
    }

    /// The weights, `[inputs][outputs]`.
    pub(crate) fn weights<'a, T>(&self, parameters: &'a [T]) -> &'a [T] {
        &parameters[self.weights_range()]
    }

    /// The biases.
    pub(crate) fn bias<'a, T>(&self, parameters: &'a [T]) -> &'a [T] {
        &parameters[self.bias_range()]
    }

    /// `out <- x W` for `rows` rows, finished by the activation that follows.
    pub(crate) fn forward<T: Real>(
        &self,
        parameters: &[T],
        x: &[T],
        rows: usize,
        finish: Finish<'_, T>,
        panels: &mut Panels<T>,
        out: &mut [T],
    ) {
        let (a, b) = (view(x, rows, self.inputs), view(self.weights(parameters), self.inputs, self.outputs));
        Product { a, b, finish, panels, out }.compute(self.kernel);
    }

    /// Adds the gradients of weights and biases, given the gradient `dz` at the layer's output.
    pub(crate) fn backward<T: Real>(
        &self,
        x: &[T],
        dz: &[T],
        rows: usize,
        panels: &mut Panels<T>,
        gradients: &mut [T],
    ) {
        let (a, b) = (view(x, rows, self.inputs).reversed_axes(), view(dz, rows, self.outputs));
        let out = &mut gradients[self.weights_range()];
        Product { a, b, finish: Finish::Add, panels, out }.compute(self.kernel);
        let bias = &mut gradients[self.bias_range()];
        if !bias.is_empty() {
            self.kernel.run(
                #[inline(always)]
                || add_column_sums(&dz[..rows * self.outputs], bias),
            );
        }
    }

    /// `dx <- dz W^T`, the gradient at the layer's input, finished by the way back through what comes before.
    pub(crate) fn backward_input<T: Real>(
        &self,
        parameters: &[T],
        dz: &[T],
        rows: usize,
        finish: Finish<'_, T>,
        panels: &mut Panels<T>,
        dx: &mut [T],
    ) {
        let weights = view(self.weights(parameters), self.inputs, self.outputs);
        let (a, b) = (view(dz, rows, self.outputs), weights.reversed_axes());
        Product { a, b, finish, panels, out: dx }.compute(self.kernel);
    }

    /// Orthogonal weights of gain sqrt 2, biases 0.
    pub(crate) fn init_orthogonal<T: Real>(&self, parameters: &mut [T], stream: &mut Stream) {
        let (long, short) = (self.inputs.max(self.outputs), self.inputs.min(self.outputs));
        let vectors = orthonormal(long, short, stream);
        for (i, weight) in parameters[self.weights_range()].iter_mut().enumerate() {
            let (input, output) = (i / self.outputs, i % self.outputs);
            let value = if self.inputs >= self.outputs { vectors[output][input] } else { vectors[input][output] };
            *weight = T::of(std::f64::consts::SQRT_2 * value);
        }
        parameters[self.bias_range()].fill(T::zero());
    }

    /// Takes over these weights; biases 0.
    pub(crate) fn set_weights<T: Real>(&self, parameters: &mut [T], weights: &[T]) {
        parameters[self.weights_range()].copy_from_slice(weights);
        parameters[self.bias_range()].fill(T::zero());
    }

    /// Weights from a normal distribution of deviation `1/sqrt(inputs)` cut at two deviations, biases 0.
    pub(crate) fn init_truncated<T: Real>(&self, parameters: &mut [T], stream: &mut Stream) {
        let deviation = 1.0 / (self.inputs as f64).sqrt();
        for weight in &mut parameters[self.weights_range()] {
            *weight = T::of(deviation * truncated_normal(stream));
        }
        parameters[self.bias_range()].fill(T::zero());
    }
}

/// A layer of width 1 without a bias, which no product of matrices is worth: its shape and place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    kernel: Kernel,
    inputs: usize,
    at: usize,
}

impl Head {
    /// Its place among the parameters.
    pub(crate) fn range(&self) -> Range<usize> {
        self.at..self.at + self.inputs
    }

    /// `out <- x w`, one number for each row.
    pub(crate) fn forward<T: Real>(&self, parameters: &[T], x: &[T], out: &mut [T]) {
        let weights = &parameters[self.range()];
        self.kernel.run(
            #[inline(always)]
            || {
                for (out, row) in out.iter_mut().zip(x.chunks_exact(weights.len())) {
                    *out = dot(row, weights);
                }
            },
        );
    }

    /// The gradient of each output at its row of inputs, which is the weights.
    pub(crate) fn weights_in_rows<T: Real>(&self, parameters: &[T], dx: &mut [T]) {
        dx.chunks_exact_mut(self.inputs).for_each(|dx| dx.copy_from_slice(&parameters[self.range()]));
    }

    /// Adds the gradients of the weights to `gradients` and those at `x` to `dx`, given the gradient at each output.
    pub(crate) fn backward<T: Real>(&self, parameters: &[T], x: &[T], d_out: &[T], dx: &mut [T], gradients: &mut [T]) {
        let (weights, d_weights) = (&parameters[self.range()], &mut gradients[self.range()]);
        self.kernel.run(
            #[inline(always)]
            || {
                let rows = x.chunks_exact(weights.len()).zip(dx.chunks_exact_mut(weights.len()));
                for (&d, (x, dx)) in d_out.iter().zip(rows) {
                    let pairs = weights.iter().zip(d_weights.iter_mut());
                    for ((&x, dx), (&weight, d_weight)) in x.iter().zip(dx).zip(pairs) {
                        *dx += d * weight;
                        *d_weight += d * x;
                    }
                }
            },
        );
    }
}

/// Normal within two deviations; the few that keep falling outside are cut.
fn truncated_normal(stream: &mut Stream) -> f64 {
    for _ in 0..16 {
        let x = f64::from(stream.normal());
        if x.abs() <= 2.0 {
            return x;
        }
    }
    0.0
}

/// `count` orthonormal vectors of `length >= count`, by Gram and Schmidt, twice for accuracy.
fn orthonormal(length: usize, count: usize, stream: &mut Stream) -> Vec<Vec<f64>> {
    let mut vectors: Vec<Vec<f64>> = Vec::with_capacity(count);
    for _ in 0..count {
        let mut vector: Vec<f64> = (0..length).map(|_| f64::from(stream.normal())).collect();
        for _ in 0..2 {
            for earlier in &vectors {
                let along = vector.iter().zip(earlier).map(|(a, b)| a * b).sum::<f64>();
                for (x, e) in vector.iter_mut().zip(earlier) {
                    *x -= along * e;
                }
            }
            let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
            for x in &mut vector {
                *x /= norm;
            }
        }
        vectors.push(vector);
    }
    vectors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orthogonal_weights_have_orthogonal_rows_or_columns_of_length_sqrt_2() {
        for (inputs, outputs) in [(5, 9), (9, 5)] {
            let mut layout = Layout::new();
            let layer = layout.linear(inputs, outputs);
            let mut parameters = vec![1.0_f64; layout.len()];
            layer.init_orthogonal(&mut parameters, &mut Stream::new(1, "test", 0));
            let weights = layer.weights(&parameters);
            let (short, long) = (inputs.min(outputs), inputs.max(outputs));
            let at = |one: usize, k: usize| {
                if inputs < outputs { weights[one * outputs + k] } else { weights[k * outputs + one] }
            };
            for i in 0..short {
                for j in 0..short {
                    let product: f64 = (0..long).map(|k| at(i, k) * at(j, k)).sum();
                    let expected = if i == j { 2.0 } else { 0.0 };
                    assert!((product - expected).abs() < 1e-12);
                }
            }
            assert!(layer.bias(&parameters).iter().all(|b| *b == 0.0));
        }
    }
}

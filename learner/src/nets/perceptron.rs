//! A multilayer perceptron whose hidden layers are followed by ReLU.

use policy::kernels::{Activation, Kernel, NetSpec};

use super::Real;
use super::gemm::{Finish, Panels};
use super::linear::{Layout, Linear};
use crate::random::Stream;

/// Shapes and places of its layers; of each, the parameters are the weights `[inputs][outputs]` and then the biases.
#[derive(Debug, Clone)]
pub(crate) struct Perceptron {
    /// What its layers and its optimiser run on.
    pub(crate) kernel: Kernel,
    layers: Vec<Linear>,
    len: usize,
}

/// What it computes for a number of rows, and the gradients on the way back.
#[derive(Debug, Clone)]
pub(crate) struct PerceptronPass<T> {
    panels: Panels<T>,
    /// What each layer gives, the last one's at the end.
    given: Vec<Vec<T>>,
    /// The gradients there; the last one's are set by the caller.
    gradients: Vec<Vec<T>>,
}

impl<T: Real> PerceptronPass<T> {
    pub(crate) fn new(net: &Perceptron, rows: usize) -> Self {
        let given: Vec<_> = net.layers.iter().map(|layer| vec![T::zero(); rows * layer.outputs]).collect();
        Self { panels: Panels::default(), gradients: given.clone(), given }
    }

    /// What comes out, row by row, and its gradients, to be set before the way back.
    pub(crate) fn out(&mut self) -> (&[T], &mut [T]) {
        let last = self.given.len() - 1;
        (&self.given[last], &mut self.gradients[last])
    }
}

impl Perceptron {
    /// That of this shape.
    ///
    /// # Panics
    /// If a hidden layer is not followed by ReLU, or the last one by anything.
    pub(crate) fn new(spec: &NetSpec) -> Self {
        let mut layout = Layout::new();
        for (index, layer) in spec.layers.iter().enumerate() {
            let is_last = index + 1 == spec.layers.len();
            assert_eq!(layer.activation, if is_last { Activation::Linear } else { Activation::Relu });
        }
        let layers = spec.layers.iter().map(|layer| layout.linear(layer.inputs, layer.outputs)).collect();
        Self { kernel: layout.kernel(), layers, len: layout.len() }
    }

    /// The number of parameters.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Orthogonal hidden layers; what comes out is 0.
    pub(crate) fn init<T: Real>(&self, parameters: &mut [T], stream: &mut Stream) {
        parameters.fill(T::zero());
        let hidden = self.layers.len() - 1;
        self.layers[..hidden].iter().for_each(|layer| layer.init_orthogonal(parameters, stream));
    }

    /// Computes `rows` rows, at most as many as the pass has.
    pub(crate) fn forward<T: Real>(&self, parameters: &[T], x: &[T], rows: usize, pass: &mut PerceptronPass<T>) {
        let PerceptronPass { panels, given, .. } = pass;
        for (index, layer) in self.layers.iter().enumerate() {
            let (before, here) = given.split_at_mut(index);
            let bias = layer.bias(parameters);
            let finish = if index + 1 == self.layers.len() { Finish::Bias(bias) } else { Finish::Relu(bias) };
            let x = before.last().map_or(x, Vec::as_slice);
            layer.forward(parameters, x, rows, finish, panels, &mut here[0]);
        }
    }

    /// The way back of a forward pass over the same rows, from the gradients in [`PerceptronPass::out`]; adds to `gradient`.
    pub(crate) fn backward<T: Real>(
        &self,
        parameters: &[T],
        x: &[T],
        rows: usize,
        pass: &mut PerceptronPass<T>,
        gradient: &mut [T],
    ) {
        let PerceptronPass { panels, given, gradients } = pass;
        for (index, layer) in self.layers.iter().enumerate().rev() {
            let (before, here) = gradients.split_at_mut(index);
            let x = index.checked_sub(1).map_or(x, |below| &given[below]);
            layer.backward(x, &here[0], rows, panels, gradient);
            if let Some(below) = before.last_mut() {
                layer.backward_input(parameters, &here[0], rows, Finish::Gate(x), panels, below);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use policy::kernels::LayerSpec;

    use super::super::check::{gradient_matches, normals};
    use super::*;

    #[test]
    fn the_gradient_equals_finite_differences() {
        const ROWS: usize = 3;
        let layers = vec![
            LayerSpec::new(4, 7, Activation::Relu),
            LayerSpec::new(7, 6, Activation::Relu),
            LayerSpec::new(6, 2, Activation::Linear),
        ];
        let net = Perceptron::new(&NetSpec { layers });
        let stream = &mut Stream::new(8, "test", 0);
        let mut parameters = normals(stream, net.len());
        let (x, d_out) = (normals(stream, ROWS * 4), normals(stream, ROWS * 2));
        let loss = |p: &[f64]| {
            let mut pass = PerceptronPass::new(&net, ROWS);
            net.forward(p, &x, ROWS, &mut pass);
            pass.out().0.iter().zip(&d_out).map(|(out, d)| out * d).sum::<f64>()
        };
        let (mut pass, mut gradient) = (PerceptronPass::new(&net, ROWS), vec![0.0; net.len()]);
        net.forward(&parameters, &x, ROWS, &mut pass);
        pass.out().1.copy_from_slice(&d_out);
        net.backward(&parameters, &x, ROWS, &mut pass, &mut gradient);
        gradient_matches(&mut parameters, &gradient, loss);
    }
}

//! The forward pass: layer by layer, panel by panel. Compiled once for every kind of register.

use shm_layout::Activation;

use super::dense::{BLOCKS, Block, LANES, Step, chains};
use super::math::{relu, sigmoid, tanh};
use super::pack::{LayerSpec, PackedNet, Scratch};

/// The forward pass with `G` blocks in registers.
#[inline(always)]
pub(super) fn forward<const G: usize>(net: &PackedNet, input: &[f32], scratch: &mut Scratch, out: &mut [f32]) {
    let [stage, next] = &mut scratch.stages;
    let (mut stage, mut next) = (stage.as_mut_slice(), next.as_mut_slice());
    let inputs = net.spec().inputs();
    stage.fill(0.0);
    for (slot, x) in stage.iter_mut().zip(input.iter().take(inputs)) {
        *slot = *x;
    }
    for layer in &net.layers {
        let Some((steps, biases)) = net.parts(layer) else { return };
        linear::<G>(&layer.spec, steps, biases, stage, next);
        std::mem::swap(&mut stage, &mut next);
    }
    for (out, value) in out.iter_mut().zip(stage.iter().take(net.spec().outputs())) {
        *out = *value;
    }
}

/// One layer from `stage` to `next`: panel by panel in the order of [`super::pack::PackedLayer`].
#[inline(always)]
fn linear<const G: usize>(spec: &LayerSpec, steps: &[Step], biases: &[Block], stage: &[f32], next: &mut [f32]) {
    let mut rest = Layer { spec, steps, biases, output: 0 };
    for _ in 0..biases.len() / BLOCKS {
        rest.panel::<G, 1, BLOCKS>(stage, next);
    }
    if biases.len() & 4 != 0 {
        rest.panel::<G, 2, 4>(stage, next);
    }
    if biases.len() & 2 != 0 {
        rest.panel::<G, 4, 2>(stage, next);
    }
    if biases.len() & 1 != 0 {
        rest.panel::<G, 8, 1>(stage, next);
    }
    // The next layer reads whole blocks.
    for slot in next.iter_mut().skip(spec.width()).take(LANES) {
        *slot = 0.0;
    }
}

/// Writes the values to `next[at..]`, as far as `end`.
#[inline(always)]
fn store(next: &mut [f32], at: usize, end: usize, values: &[f32; LANES]) {
    let Some(next) = next.get_mut(at..end) else { return };
    match next.first_chunk_mut() {
        Some(block) => *block = *values,
        None => next.iter_mut().zip(values).for_each(|(slot, value)| *slot = *value),
    }
}

/// What is left of a layer.
struct Layer<'a> {
    spec: &'a LayerSpec,
    steps: &'a [Step],
    biases: &'a [Block],
    /// The next output.
    output: usize,
}

impl Layer<'_> {
    /// The next panel: `C` chains for `B` blocks of outputs.
    #[inline(always)]
    fn panel<const G: usize, const C: usize, const B: usize>(&mut self, stage: &[f32], next: &mut [f32]) {
        let Some((steps, later)) = self.steps.split_at_checked(self.spec.inputs.div_ceil(C)) else { return };
        let Some((biases, others)) = self.biases.split_at_checked(B) else { return };
        let mut sums = chains::<G, C>(steps, stage);
        let mut half = BLOCKS / 2;
        while half >= B {
            let (lower, upper) = sums.split_at_mut(half);
            for (lower, upper) in lower.iter_mut().zip(upper) {
                *lower = lower.plus(upper);
            }
            half /= 2;
        }
        for (sum, bias) in sums.iter().zip(biases) {
            self.activate(&sum.plus(bias), next);
            self.output += LANES;
        }
        (self.steps, self.biases) = (later, others);
    }

    /// Applies the activation to the block of sums at the next output.
    #[inline(always)]
    fn activate(&self, sums: &Block, next: &mut [f32]) {
        let outputs = self.spec.outputs;
        match self.spec.activation {
            Activation::Linear => store(next, self.output, outputs, &sums.0),
            Activation::Relu => store(next, self.output, outputs, &sums.0.map(relu)),
            Activation::Tanh => store(next, self.output, outputs, &sums.0.map(tanh)),
            Activation::Sigmoid => store(next, self.output, outputs, &sums.0.map(sigmoid)),
            Activation::Crelu => {
                store(next, self.output, outputs, &sums.0.map(relu));
                store(next, self.output + outputs, 2 * outputs, &sums.0.map(|x| relu(-x)));
            }
        }
    }
}

//! The forward pass of a multilayer perceptron: batch 1, f32, one order of operations at every vector width.
//!
//! # The definition
//! A layer's outputs are laid in panels: as many of 128 outputs as fit, then at most one each of 64, 32 and 16, the last
//! one padded with zeros. A panel of `W` outputs has `C = 128 / W` chains. Chain `c` of an output starts at 0 and adds
//! the products `weight * input` of the inputs `c, c + C, c + 2C, …` in this order; each product and each sum is rounded
//! once, nothing is fused. Inputs beyond the last one are zero. Then the upper half of the chains is added to the lower
//! half until one is left, then the bias is added, then the activation is applied.
//!
//! So an output depends on its inputs, weights and bias, on the number of inputs and on its place in the layer, and on
//! nothing else. Vector lanes are outputs: a wider register carries more of them and changes no sum. Every [`Kernel`] is
//! the same code compiled for other registers, and gives the same bits, as long as no value is NaN (whose payload is not
//! defined).
//!
//! # Memory
//! Weights lie in one aligned buffer, in the order in which they are read, so that a pass is one stream: [`PackedNet`].

mod dense;
// Calling a function that needs AVX is unsafe; nothing else here is.
#[allow(unsafe_code)]
mod dispatch;
mod forward;
mod math;
mod pack;
#[allow(unsafe_code)]
mod registers;

pub use dispatch::{Arithmetic, Kernel, KernelKind};
pub(crate) use math::clip;
pub use math::{exp, normal_quantile, sigmoid, tanh};
pub use pack::{
    LAYERS_MAX, LayerSpec, NetSpec, PARAMETERS_MAX, PackedNet, ParameterCount, Scratch, SpecError, WIDTH_MAX,
};
pub use registers::{BLOCK, Registers};
pub use shm_layout::Activation;

#[cfg(test)]
mod tests;

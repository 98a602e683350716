//! Networks as the kernels read them: shape, packed weights, scratch memory.

use shm_layout::{Activation, MAX_LAYERS, MAX_WIDTH};

use super::dense::{BLOCKS, Block, LANES, Step};

/// The most layers in a network.
pub const LAYERS_MAX: usize = MAX_LAYERS;
/// The most inputs or outputs of a layer.
pub const WIDTH_MAX: usize = MAX_WIDTH as usize;
/// The most parameters of a network: 64 MiB of them.
pub const PARAMETERS_MAX: usize = 1 << 24;

/// One linear layer and its activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerSpec {
    /// How many values come in.
    pub inputs: usize,
    /// How many sums are formed.
    pub outputs: usize,
    /// What happens to them.
    pub activation: Activation,
}

impl LayerSpec {
    /// A layer of these sizes.
    pub const fn new(inputs: usize, outputs: usize, activation: Activation) -> Self {
        Self { inputs, outputs, activation }
    }

    /// Weights and biases.
    pub const fn parameters(&self) -> usize {
        self.inputs.saturating_add(1).saturating_mul(self.outputs)
    }

    /// How many values it hands on.
    pub const fn width(&self) -> usize {
        self.activation.width(self.outputs)
    }
}

/// The shape of a network: a chain of layers. Its parameters are, layer by layer, the weights row by row
/// (`[output][input]`) and then the biases, as in the weights segment ([`shm_layout::WeightsHeader`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetSpec {
    /// The layers, from the input on.
    pub layers: Vec<LayerSpec>,
}

/// Why a list of layers is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// No layer, or too many.
    #[error("{layers} layers, but a network has 1 to {LAYERS_MAX}")]
    Layers {
        /// Layers found.
        layers: usize,
    },
    /// A layer has no inputs or outputs, or more than [`WIDTH_MAX`].
    #[error("layer {layer} has {inputs} inputs and {outputs} outputs, each must be 1 to {WIDTH_MAX}")]
    Width {
        /// The layer's index.
        layer: usize,
        /// Its inputs.
        inputs: usize,
        /// Its outputs.
        outputs: usize,
    },
    /// A layer does not take what the one before hands on.
    #[error("layer {layer} takes {inputs} values, but the layer before gives {given}")]
    Chain {
        /// The layer's index.
        layer: usize,
        /// What it takes.
        inputs: usize,
        /// What it is given.
        given: usize,
    },
    /// More than [`PARAMETERS_MAX`].
    #[error("{parameters} parameters, at most {PARAMETERS_MAX} are possible")]
    TooLarge {
        /// Weights and biases.
        parameters: usize,
    },
}

/// Another number of parameters than the network has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found} parameters, but the network has {expected}")]
pub struct ParameterCount {
    /// Given.
    pub found: usize,
    /// Needed.
    pub expected: usize,
}

impl NetSpec {
    /// Weights and biases of all layers.
    pub fn parameters(&self) -> usize {
        self.layers.iter().fold(0, |sum: usize, layer| sum.saturating_add(layer.parameters()))
    }

    /// How many values go in.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |layer| layer.inputs)
    }

    /// How many values come out.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, LayerSpec::width)
    }

    /// Checks that the layers fit together and the sizes are within the limits.
    ///
    /// # Errors
    /// Names the first layer that does not fit.
    pub fn check(&self) -> Result<(), SpecError> {
        let layers = self.layers.len();
        if !(1..=LAYERS_MAX).contains(&layers) {
            return Err(SpecError::Layers { layers });
        }
        let mut given = self.inputs();
        for (layer, spec) in self.layers.iter().enumerate() {
            let LayerSpec { inputs, outputs, .. } = *spec;
            if !(1..=WIDTH_MAX).contains(&inputs) || !(1..=WIDTH_MAX).contains(&outputs) {
                return Err(SpecError::Width { layer, inputs, outputs });
            }
            if inputs != given {
                return Err(SpecError::Chain { layer, inputs, given });
            }
            given = spec.width();
        }
        let parameters = self.parameters();
        if parameters > PARAMETERS_MAX { Err(SpecError::TooLarge { parameters }) } else { Ok(()) }
    }
}

/// A layer of a packed network: its shape and how much of the buffers it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PackedLayer {
    pub(super) spec: LayerSpec,
    /// Where its steps begin in the buffer of weights.
    first_step: usize,
    /// How many they are.
    pub(super) steps: usize,
    /// Where its biases begin.
    first_block: usize,
    /// Blocks of outputs.
    pub(super) blocks: usize,
}

impl PackedLayer {
    /// The panels, first to last: at each the widest that the rest of the outputs fills.
    fn panels(&self) -> impl Iterator<Item = Panel> + use<> {
        let (inputs, blocks) = (self.spec.inputs, self.blocks);
        let mut block = 0;
        std::iter::from_fn(move || {
            let wide = (blocks - block).checked_ilog2().map(|log| BLOCKS.min(1 << log))?;
            let chains = BLOCKS / wide;
            let panel = Panel { output: block * LANES, chains, steps: inputs.div_ceil(chains) };
            block += wide;
            Some(panel)
        })
    }

    /// Places the weights `[output][input]` into the network's steps.
    fn place(&self, weights: &[f32], steps: &mut [Step]) {
        let mut steps = steps.iter_mut().skip(self.first_step);
        for panel in self.panels() {
            let lanes = LANES * BLOCKS / panel.chains;
            let rows = weights.chunks_exact(self.spec.inputs).skip(panel.output).take(lanes);
            for (index, step) in steps.by_ref().take(panel.steps).enumerate() {
                let mut slots = step.0.iter_mut().flat_map(|block| &mut block.0);
                for chain in 0..panel.chains {
                    let input = index * panel.chains + chain;
                    let column = rows.clone().map(|row| row.get(input).copied().unwrap_or(0.0));
                    let padded = column.chain(std::iter::repeat(0.0)).take(lanes);
                    padded.zip(slots.by_ref()).for_each(|(weight, slot)| *slot = weight);
                }
            }
        }
    }

    /// The weights `[output][input]`, taken from the network's steps.
    fn gather(&self, steps: &[Step], weights: &mut [f32]) {
        let mut steps = steps.iter().skip(self.first_step);
        for panel in self.panels() {
            let lanes = LANES * BLOCKS / panel.chains;
            for (index, step) in steps.by_ref().take(panel.steps).enumerate() {
                let values = step.0.iter().flat_map(|block| &block.0);
                for (place, value) in values.enumerate() {
                    let (input, output) = (index * panel.chains + place / lanes, panel.output + place % lanes);
                    // What lies beyond is padding.
                    let row = weights.chunks_exact_mut(self.spec.inputs).nth(output);
                    if let Some(slot) = row.and_then(|row| row.get_mut(input)) {
                        *slot = *value;
                    }
                }
            }
        }
    }
}

/// Outputs that are summed together.
struct Panel {
    /// Its first output.
    output: usize,
    /// Chains of each output.
    chains: usize,
    /// How many steps it takes.
    steps: usize,
}

/// Weights in the order in which the kernels read them: per layer, per panel, per step the weights of `C` inputs for `W`
/// outputs. All memory is taken by [`PackedNet::new`]; [`PackedNet::pack`] fills it again and again.
///
/// # Real-time
/// [`PackedNet::forward`](Self::forward) is wait-free. Making, packing and dropping are not for the real-time thread.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedNet {
    spec: NetSpec,
    pub(super) layers: Vec<PackedLayer>,
    steps: Vec<Step>,
    biases: Vec<Block>,
}

impl PackedNet {
    /// A network of this shape, all parameters zero.
    ///
    /// # Errors
    /// When the layers do not make a network.
    pub fn new(spec: &NetSpec) -> Result<Self, SpecError> {
        spec.check()?;
        let (mut steps, mut blocks) = (0, 0);
        let mut layers = Vec::with_capacity(spec.layers.len());
        for layer in &spec.layers {
            let mut packed = PackedLayer {
                spec: *layer,
                first_step: steps,
                steps: 0,
                first_block: blocks,
                blocks: layer.outputs.div_ceil(LANES),
            };
            packed.steps = packed.panels().map(|panel| panel.steps).sum();
            steps += packed.steps;
            blocks += packed.blocks;
            layers.push(packed);
        }
        Ok(Self { spec: spec.clone(), layers, steps: vec![Step::ZERO; steps], biases: vec![Block::ZERO; blocks] })
    }

    /// Takes over a network of the same shape, without allocating.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        let Self { spec, layers, steps, biases } = other;
        self.spec.layers.clone_from(&spec.layers);
        self.layers.clone_from(layers);
        self.steps.clone_from(steps);
        self.biases.clone_from(biases);
    }

    /// Takes over parameters in the order of [`NetSpec`].
    ///
    /// # Errors
    /// When they are too few or too many; then nothing changes.
    pub fn pack(&mut self, parameters: &[f32]) -> Result<(), ParameterCount> {
        let expected = self.spec.parameters();
        if parameters.len() != expected {
            return Err(ParameterCount { found: parameters.len(), expected });
        }
        let mut rest = parameters;
        for layer in &self.layers {
            let (weights, after) = rest.split_at_checked(layer.spec.inputs * layer.spec.outputs).unwrap_or((&[], rest));
            let (biases, after) = after.split_at_checked(layer.spec.outputs).unwrap_or((&[], after));
            rest = after;
            layer.place(weights, &mut self.steps);
            let slots = self.biases.iter_mut().skip(layer.first_block).flat_map(|block| &mut block.0);
            slots.zip(biases).for_each(|(slot, bias)| *slot = *bias);
        }
        Ok(())
    }

    /// The parameters in the order of [`NetSpec`], as [`PackedNet::pack`] was given them.
    pub fn unpacked(&self) -> Vec<f32> {
        let mut parameters = Vec::with_capacity(self.spec.parameters());
        for layer in &self.layers {
            let first = parameters.len();
            parameters.resize(first + layer.spec.inputs * layer.spec.outputs, 0.0);
            layer.gather(&self.steps, parameters.get_mut(first..).unwrap_or_default());
            let biases = self.biases.iter().skip(layer.first_block).flat_map(|block| &block.0);
            parameters.extend(biases.take(layer.spec.outputs));
        }
        parameters
    }

    /// The shape.
    pub fn spec(&self) -> &NetSpec {
        &self.spec
    }

    /// Bytes that one forward pass reads: packed weights, padding included.
    pub fn weight_bytes(&self) -> usize {
        size_of_val(self.steps.as_slice())
    }

    /// Scratch memory for this shape.
    pub fn scratch(&self) -> Scratch {
        Scratch::for_layers(&self.spec)
    }

    /// A layer's steps and biases.
    #[inline(always)]
    pub(super) fn parts(&self, layer: &PackedLayer) -> Option<(&[Step], &[Block])> {
        let steps = self.steps.get(layer.first_step..)?.get(..layer.steps)?;
        let biases = self.biases.get(layer.first_block..)?.get(..layer.blocks)?;
        Some((steps, biases))
    }
}

/// Memory for the values between the layers; made once.
#[derive(Clone, Debug)]
pub struct Scratch {
    pub(super) stages: [Vec<f32>; 2],
}

impl Scratch {
    /// Memory for networks of this shape.
    ///
    /// # Errors
    /// When the layers do not make a network.
    pub fn of(spec: &NetSpec) -> Result<Self, SpecError> {
        spec.check()?;
        Ok(Self::for_layers(spec))
    }

    /// Room for the widest stage, and for a block of zeros after it.
    fn for_layers(spec: &NetSpec) -> Self {
        let widest = spec.layers.iter().map(LayerSpec::width).fold(spec.inputs(), usize::max);
        let stage = vec![0.0; widest + LANES];
        Self { stages: [stage.clone(), stage] }
    }
}

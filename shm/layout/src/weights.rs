//! The header of a policy in the weights segment, and the order of its parameters.

use core::fmt;

use zerocopy::{FromBytes, IntoBytes};

/// The first eight bytes of a published network.
pub const WEIGHTS_MAGIC: [u8; 8] = *b"CoreRLnn";
/// Version of the network's format.
pub const WEIGHTS_VERSION: u32 = 1;
/// Most layers of a network, and of a policy's networks together.
pub const MAX_LAYERS: usize = 8;
/// Most inputs or outputs of a layer.
pub const MAX_WIDTH: u32 = 1 << 16;
/// Length of a [`WeightsHeader`] in bytes.
pub const WEIGHTS_HEADER_BYTES: usize = 256;
/// Length of a [`WeightsHeader`] in words.
pub const WEIGHTS_HEADER_WORDS: usize = WEIGHTS_HEADER_BYTES / 8;

abi_table! {
    /// What follows a layer's sums.
    pub enum Activation: u32 {
        /// Nothing.
        Linear => "linear",
        /// max(x, 0).
        Relu => "relu",
        /// relu(x) of all sums, then relu(-x) of all sums: twice as many values.
        Crelu => "crelu",
        /// Hyperbolic tangent.
        Tanh => "tanh",
        /// 1 / (1 + exp(-x)).
        Sigmoid => "sigmoid",
    }
}

impl Activation {
    /// Values after the activation of so many sums.
    pub const fn width(self, outputs: usize) -> usize {
        match self {
            Self::Crelu => 2 * outputs,
            Self::Linear | Self::Relu | Self::Tanh | Self::Sigmoid => outputs,
        }
    }
}

abi_struct! {
    /// One layer's sizes.
    pub struct LayerDims: 16 {
        /// Inputs.
        pub inputs: u32,
        /// Sums, before the activation.
        pub outputs: u32,
        /// Code of the [`Activation`].
        pub activation: u32,
        /// Zero.
        pub reserved: u32,
    }
}

abi_struct! {
    /// What a policy in the weights segment begins with: its actor and, where the site asks for one, its imputer.
    ///
    /// The parameters follow as f32: per layer the weights, row by row (`[output][input]`), then the
    /// biases. `checksum` is the first half of BLAKE3 over [`checked_header`](Self::checked_header)
    /// and the `payload_bytes` after the header.
    pub struct WeightsHeader: 256 {
        /// [`WEIGHTS_MAGIC`].
        pub magic: [u8; 8],
        /// [`WEIGHTS_VERSION`].
        pub version: u32,
        /// Layers in use, the actor's and then the imputer's.
        pub layers: u32,
        /// Grant of the learner that wrote it.
        pub epoch: u64,
        /// Number of the network; a later one has a greater number.
        pub generation: u64,
        /// Learner's updates when it was made.
        pub updates: u64,
        /// Hash of the tag list, with units, that the columns follow.
        pub tag_list_hash: u64,
        /// Length of the parameters, bytes.
        pub payload_bytes: u64,
        /// Checksum of header and parameters.
        pub checksum: [u8; 16],
        /// Bits: the associated constants.
        pub flags: u32,
        /// How many of the layers in use are the imputer's; 0 without one.
        pub imputer_layers: u32,
        /// The layers; those not in use are zero.
        pub dims: [LayerDims; 8],
        /// Zero.
        pub reserved_b: [u64; 6],
    }
}

/// Why a network's shape was not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeRefused {
    /// Not a network of this project.
    BadMagic {
        /// The first eight bytes.
        found: [u8; 8],
    },
    /// Another version of the format.
    VersionMismatch {
        /// The writer's version.
        found: u32,
        /// Our version.
        expected: u32,
    },
    /// No layer, or too many.
    Layers {
        /// Layers found.
        found: u32,
    },
    /// A layer's size is 0 or beyond [`MAX_WIDTH`], or its activation is unknown.
    Layer {
        /// Number of the layer.
        layer: usize,
        /// What was found.
        found: LayerDims,
    },
    /// A layer does not take what the previous one gives.
    Chain {
        /// Number of the layer.
        layer: usize,
        /// Inputs found.
        found_inputs: u32,
        /// Values that the previous layer gives.
        expected_inputs: usize,
    },
    /// The payload's length is not what the layers need.
    Payload {
        /// Length in the header, bytes.
        found_bytes: u64,
        /// Length that the layers need, bytes.
        expected_bytes: u64,
    },
}

impl Eq for LayerDims {}

impl fmt::Display for ShapeRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::BadMagic { found } => write!(f, "not a network: it begins with {found:02x?}"),
            Self::VersionMismatch { found, expected } => {
                write!(f, "the network has format version {found}, this program reads {expected}")
            }
            Self::Layers { found } => {
                write!(f, "{found} layers, but a network has 1 to {MAX_LAYERS}")
            }
            Self::Layer { layer, found } => write!(
                f,
                "layer {layer} has {} inputs, {} outputs and activation {}",
                found.inputs, found.outputs, found.activation
            ),
            Self::Chain { layer, found_inputs, expected_inputs } => {
                write!(f, "layer {layer} takes {found_inputs} values, the layer before gives {expected_inputs}")
            }
            Self::Payload { found_bytes, expected_bytes } => {
                write!(f, "{found_bytes} bytes of parameters, the layers need {expected_bytes}")
            }
        }
    }
}

impl core::error::Error for ShapeRefused {}

/// The shape of a policy's networks whose sizes fit each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeightsShape {
    /// The actor's, then the imputer's.
    layers: [LayerDims; MAX_LAYERS],
    used: usize,
    /// How many of them are the actor's.
    of_actor: usize,
}

impl WeightsShape {
    /// Checks each network's layers against each other; `imputer` is empty without one.
    ///
    /// # Errors
    ///
    /// The first fact that does not hold.
    pub fn new(actor: &[LayerDims], imputer: &[LayerDims]) -> Result<Self, ShapeRefused> {
        let used = actor.len().saturating_add(imputer.len());
        if actor.is_empty() || used > MAX_LAYERS {
            return Err(ShapeRefused::Layers { found: u32::try_from(used).unwrap_or(u32::MAX) });
        }
        let mut shape = Self { layers: [LayerDims::default(); MAX_LAYERS], used, of_actor: actor.len() };
        let mut width = None;
        for (layer, (to, found)) in shape.layers.iter_mut().zip(actor.iter().chain(imputer)).enumerate() {
            if layer == shape.of_actor {
                width = None;
            }
            let sizes_fit = [found.inputs, found.outputs].map(|size| (1..=MAX_WIDTH).contains(&size));
            let activation = Activation::from_code(found.activation)
                .filter(|_| sizes_fit == [true, true])
                .ok_or(ShapeRefused::Layer { layer, found: *found })?;
            if let Some(expected_inputs) = width.filter(|width| *width != found.inputs as usize) {
                return Err(ShapeRefused::Chain { layer, found_inputs: found.inputs, expected_inputs });
            }
            width = Some(activation.width(found.outputs as usize));
            *to = LayerDims { reserved: 0, ..*found };
        }
        Ok(shape)
    }

    /// The layers in use, the actor's and then the imputer's.
    pub fn layers(&self) -> &[LayerDims] {
        self.layers.get(..self.used).unwrap_or(&self.layers)
    }

    /// The actor's layers.
    pub fn actor(&self) -> &[LayerDims] {
        self.layers.get(..self.of_actor).unwrap_or(&self.layers)
    }

    /// The imputer's layers; empty without one.
    pub fn imputer(&self) -> &[LayerDims] {
        self.layers.get(self.of_actor..self.used).unwrap_or(&[])
    }

    /// Inputs of the actor.
    pub fn inputs(&self) -> usize {
        self.actor().first().map_or(0, |layer| layer.inputs as usize)
    }

    /// Values that the actor gives.
    pub fn outputs(&self) -> usize {
        self.actor().last().map_or(0, |layer| {
            let activation = Activation::from_code(layer.activation).unwrap_or(Activation::Linear);
            activation.width(layer.outputs as usize)
        })
    }

    /// Number of parameters of all layers.
    pub fn parameters(&self) -> u64 {
        // At most 8 * (2^16 + 1) * 2^16: no overflow.
        let of_layer = |layer: &LayerDims| (u64::from(layer.inputs) + 1) * u64::from(layer.outputs);
        self.layers().iter().map(of_layer).sum()
    }

    /// Length of the parameters, bytes.
    pub fn payload_bytes(&self) -> u64 {
        self.parameters() * size_of::<f32>() as u64
    }

    /// Words of a slot that holds header and parameters.
    pub fn slot_words(&self) -> u64 {
        WEIGHTS_HEADER_WORDS as u64 + self.payload_bytes().div_ceil(size_of::<u64>() as u64)
    }
}

impl Default for LayerDims {
    fn default() -> Self {
        zerocopy::FromZeros::new_zeroed()
    }
}

impl LayerDims {
    /// A layer's sizes.
    pub const fn new(inputs: u32, outputs: u32, activation: Activation) -> Self {
        Self { inputs, outputs, activation: activation.code(), reserved: 0 }
    }
}

impl WeightsHeader {
    /// Flag: the nominal policy, which holds the plant's nominal setpoint.
    pub const NOMINAL: u32 = 1 << 0;

    /// The header of a policy of this shape; the other fields are zero.
    pub fn new(shape: &WeightsShape) -> Self {
        let mut header: Self = zerocopy::FromZeros::new_zeroed();
        (header.magic, header.version) = (WEIGHTS_MAGIC, WEIGHTS_VERSION);
        header.layers = u32::try_from(shape.used).unwrap_or(0);
        header.imputer_layers = u32::try_from(shape.imputer().len()).unwrap_or(0);
        header.dims = shape.layers;
        header.payload_bytes = shape.payload_bytes();
        header
    }

    /// Believes magic, version, layers and length, or says why not. The checksum, the tag list and the
    /// parameters themselves are still allegations.
    ///
    /// # Errors
    ///
    /// The first fact that does not hold.
    pub fn shape(&self) -> Result<WeightsShape, ShapeRefused> {
        if self.magic != WEIGHTS_MAGIC {
            return Err(ShapeRefused::BadMagic { found: self.magic });
        }
        if self.version != WEIGHTS_VERSION {
            return Err(ShapeRefused::VersionMismatch { found: self.version, expected: WEIGHTS_VERSION });
        }
        let of_actor = self.layers.checked_sub(self.imputer_layers).and_then(|count| usize::try_from(count).ok());
        let (actor, imputer) = usize::try_from(self.layers)
            .ok()
            .and_then(|used| self.dims.get(..used))
            .and_then(|layers| layers.split_at_checked(of_actor?))
            .ok_or(ShapeRefused::Layers { found: self.layers })?;
        let shape = WeightsShape::new(actor, imputer)?;
        if shape.payload_bytes() != self.payload_bytes {
            return Err(ShapeRefused::Payload {
                found_bytes: self.payload_bytes,
                expected_bytes: shape.payload_bytes(),
            });
        }
        Ok(shape)
    }

    /// The header as the checksum covers it: with a checksum of zeros.
    pub fn checked_header(&self) -> [u8; WEIGHTS_HEADER_BYTES] {
        zerocopy::transmute!(Self { checksum: [0; 16], ..*self })
    }

    /// The header as words.
    pub fn to_words(&self) -> [u64; WEIGHTS_HEADER_WORDS] {
        zerocopy::transmute!(*self)
    }

    /// The header in the first words of a slot, unverified; `None` if there are too few.
    pub fn from_words(words: &[u64]) -> Option<Self> {
        let (header, _) = Self::read_from_prefix(words.as_bytes()).ok()?;
        Some(header)
    }
}

/// The words that hold these floats, two each; an odd last one is followed by zero.
pub fn words_of_f32s(floats: &[f32]) -> impl Iterator<Item = u64> + '_ {
    floats.chunks(2).map(|pair| {
        let half = |i: usize| u64::from(pair.get(i).map_or(0, |float: &f32| float.to_bits()));
        half(0) | half(1) << 32
    })
}

/// The floats in these words, in order.
pub fn f32s_of_words(words: &[u64]) -> &[f32] {
    // Two floats fill a word exactly, so that no word is ever refused.
    <[f32]>::ref_from_bytes(words.as_bytes()).unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn shape() -> WeightsShape {
        WeightsShape::new(&ACTOR, &[]).unwrap()
    }

    const ACTOR: [LayerDims; 3] = [
        LayerDims::new(32, 64, Activation::Crelu),
        LayerDims::new(128, 64, Activation::Relu),
        LayerDims::new(64, 4, Activation::Linear),
    ];
    const IMPUTER: [LayerDims; 2] =
        [LayerDims::new(9, 16, Activation::Relu), LayerDims::new(16, 3, Activation::Linear)];

    #[test]
    fn an_imputer_follows_the_actor_and_takes_none_of_its_values() {
        let shape = WeightsShape::new(&ACTOR, &IMPUTER).unwrap();
        let header = WeightsHeader::from_words(&WeightsHeader::new(&shape).to_words()).unwrap();
        let found = header.shape().unwrap();
        assert_eq!((found.actor(), found.imputer()), (&ACTOR[..], &IMPUTER[..]));
        assert_eq!((found.inputs(), found.outputs()), (32, 4));
        assert_eq!(found.parameters(), self::shape().parameters() + 10 * 16 + 17 * 3);
        assert_eq!((self::shape().imputer().len(), header.imputer_layers), (0, 2));
    }

    #[test]
    fn a_boundary_between_the_networks_that_cannot_be_is_refused() {
        for imputer_layers in [0, 1, 3, 4, 5, 6, u32::MAX] {
            let mut header = WeightsHeader::new(&WeightsShape::new(&ACTOR, &IMPUTER).unwrap());
            header.imputer_layers = imputer_layers;
            assert!(header.shape().is_err(), "{imputer_layers}");
        }
        let many = [ACTOR[0]; MAX_LAYERS];
        assert_eq!(WeightsShape::new(&many, &IMPUTER), Err(ShapeRefused::Layers { found: 10 }));
        assert_eq!(WeightsShape::new(&[], &IMPUTER), Err(ShapeRefused::Layers { found: 2 }));
    }

    #[test]
    fn a_network_s_shape_survives_its_header() {
        let header = WeightsHeader::new(&shape());
        let back = WeightsHeader::from_words(&header.to_words()).unwrap();
        let found = back.shape().unwrap();
        assert_eq!(found, shape());
        assert_eq!((found.inputs(), found.outputs()), (32, 4));
        assert_eq!(found.parameters(), 33 * 64 + 129 * 64 + 65 * 4);
        assert_eq!(found.slot_words(), 32 + found.parameters() / 2);
    }

    #[test]
    fn wrong_lengths_and_shapes_are_refused() {
        let bytes = shape().payload_bytes();
        for found_bytes in [0, bytes - 1, bytes + 1, u64::MAX] {
            let mut header = WeightsHeader::new(&shape());
            header.payload_bytes = found_bytes;
            let expected_bytes = bytes;
            let refused = ShapeRefused::Payload { found_bytes, expected_bytes };
            assert_eq!(header.shape(), Err(refused));
        }
        for layers in [0, 9, u32::MAX] {
            let mut header = WeightsHeader::new(&shape());
            header.layers = layers;
            assert!(matches!(header.shape(), Err(ShapeRefused::Layers { .. })));
        }
        let mut transposed = WeightsHeader::new(&shape());
        (transposed.dims[1].inputs, transposed.dims[1].outputs) = (64, 128);
        let refused = ShapeRefused::Chain { layer: 1, found_inputs: 64, expected_inputs: 128 };
        assert_eq!(transposed.shape(), Err(refused));
        for (inputs, activation) in [(0, 0), (u32::MAX, 0), (32, 99)] {
            let mut header = WeightsHeader::new(&shape());
            (header.dims[0].inputs, header.dims[0].activation) = (inputs, activation);
            assert!(matches!(header.shape(), Err(ShapeRefused::Layer { layer: 0, .. })));
        }
    }

    #[test]
    fn another_magic_or_version_is_refused() {
        let mut header = WeightsHeader::new(&shape());
        header.version += 1;
        assert!(matches!(header.shape(), Err(ShapeRefused::VersionMismatch { .. })));
        header.magic[0] ^= 1;
        assert!(matches!(header.shape(), Err(ShapeRefused::BadMagic { .. })));
    }

    #[test]
    fn the_checksum_does_not_cover_itself_and_covers_the_rest() {
        let mut header = WeightsHeader::new(&shape());
        let before = header.checked_header();
        header.checksum = [7; 16];
        assert_eq!(header.checked_header(), before);
        header.epoch = 1;
        assert_ne!(header.checked_header(), before);
    }

    #[test]
    fn floats_survive_their_words() {
        let floats = [1.0_f32, -2.5, 3e-7];
        let words: Vec<u64> = words_of_f32s(&floats).collect();
        assert_eq!(words.len(), 2);
        assert_eq!(f32s_of_words(&words), [1.0, -2.5, 3e-7, 0.0]);
    }
}

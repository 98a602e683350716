//! Policies as words of shared memory: [`encode`] for the learner, [`Verifier`] for the keeper.
//!
//! A slot of the weights segment holds a [`WeightsHeader`] and after it the parameters in the order of [`PolicySpec`]. What
//! a reader finds there is an allegation until the verifier has believed every fact of it. The verifier must be given a
//! **copy**: words that another process can still write prove nothing.
//!
//! Nothing here is for a real-time thread.

use shm_layout::{
    LayerDims, ShapeRefused, WEIGHTS_HEADER_BYTES, WEIGHTS_HEADER_WORDS, WeightsHeader, WeightsShape, f32s_of_words,
};
use zerocopy::IntoBytes;

use crate::kernels::{Kernel, LayerSpec, NetSpec, ParameterCount, SpecError};
use crate::probe::Probe;
pub use crate::probe::{GOLDEN_INPUTS, OUTPUT_MAX, PARAMETER_MAX, ParametersRefused, RECENT_STATES};
use crate::spec::PolicySpec;

/// What a learner says of the network that it publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The epoch that the runtime granted.
    pub epoch: u64,
    /// Greater than any generation before.
    pub generation: u64,
    /// The learner's updates so far.
    pub updates: u64,
    /// [`Site::tag_list_hash`](rt_config::Site::tag_list_hash).
    pub tag_list_hash: u64,
    /// The network holds the nominal setpoints.
    pub nominal: bool,
}

/// Why a network cannot be written into a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The layers make no network.
    #[error(transparent)]
    Shape(#[from] ShapeRefused),
    /// Too few or too many parameters.
    #[error(transparent)]
    Count(#[from] ParameterCount),
    /// The slot is too small.
    #[error("the slot has {found_words} words, the network needs {needed_words}")]
    Slot {
        /// The slot's words.
        found_words: usize,
        /// The network's words.
        needed_words: usize,
    },
}

/// The words of a slot for policies of this shape, header included.
///
/// # Errors
/// When the layers make no network.
pub fn slot_words(spec: &PolicySpec) -> Result<usize, ShapeRefused> {
    Ok(usize::try_from(shape_of(spec)?.slot_words()).unwrap_or(usize::MAX))
}

/// Writes header and parameters into the slot; the number of words in use. Parameters too small to be normal numbers
/// become zero, which is what the runtime demands of them; everything else is left to the verifier's judgement.
///
/// # Errors
/// When the network does not fit; the slot is untouched then.
pub fn encode(
    spec: &PolicySpec,
    publication: &Publication,
    parameters: &[f32],
    slot: &mut [u64],
) -> Result<usize, EncodeError> {
    let shape = shape_of(spec)?;
    let expected = spec.parameters();
    if parameters.len() != expected {
        return Err(ParameterCount { found: parameters.len(), expected }.into());
    }
    let (found_words, needed_words) = (slot.len(), slot_words(spec)?);
    let too_small = EncodeError::Slot { found_words, needed_words };
    let (head, payload) = slot
        .get_mut(..needed_words)
        .and_then(|slot| slot.split_at_mut_checked(WEIGHTS_HEADER_WORDS))
        .ok_or(too_small)?;

    for (word, pair) in payload.iter_mut().zip(parameters.chunks(2)) {
        let half = |i: usize| u64::from(pair.get(i).map_or(0, |x| if x.is_subnormal() { 0 } else { x.to_bits() }));
        *word = half(0) | half(1) << 32;
    }
    let mut header = WeightsHeader::new(&shape);
    header.epoch = publication.epoch;
    header.generation = publication.generation;
    header.updates = publication.updates;
    header.tag_list_hash = publication.tag_list_hash;
    header.flags = if publication.nominal { WeightsHeader::NOMINAL } else { 0 };
    header.checksum = checksum(&header, payload, shape.payload_bytes());
    head.copy_from_slice(&header.to_words());
    Ok(needed_words)
}

/// Puts parameters that a learner keeps by columns into the order of [`NetSpec`]: of each layer the weights
/// `[input][output]`, then the biases; of the last layer several heads one after another, with so many outputs each.
///
/// # Errors
/// When there are too few or too many, or the heads together have another number of outputs than the last layer.
pub fn from_columns(spec: &NetSpec, heads: &[usize], parameters: &[f32]) -> Result<Vec<f32>, ParameterCount> {
    let expected = spec.parameters();
    let (last, torso) = spec.layers.split_last().ok_or(ParameterCount { found: parameters.len(), expected })?;
    let of_heads = LayerSpec { outputs: heads.iter().sum(), ..*last }.parameters();
    let described = torso.iter().map(LayerSpec::parameters).sum::<usize>().saturating_add(of_heads);
    if let Some(found) = [described, parameters.len()].into_iter().find(|count| *count != expected) {
        return Err(ParameterCount { found, expected });
    }
    let mut rows = Vec::with_capacity(parameters.len());
    let mut rest = parameters;
    for (index, layer) in spec.layers.iter().enumerate() {
        let is_last = index == torso.len();
        let whole = [layer.outputs];
        let mut biases = Vec::with_capacity(layer.outputs);
        for &outputs in if is_last { heads } else { &whole } {
            let (weights, after) = rest.split_at_checked(layer.inputs * outputs).unwrap_or((rest, &[]));
            let (head_biases, after) = after.split_at_checked(outputs).unwrap_or((after, &[]));
            rest = after;
            rows.extend((0..outputs).flat_map(|output| weights.iter().skip(output).step_by(outputs)));
            biases.extend(head_biases);
        }
        rows.append(&mut biases);
    }
    Ok(rows)
}

fn shape_of(spec: &PolicySpec) -> Result<WeightsShape, ShapeRefused> {
    WeightsShape::new(&dims_of(&spec.actor), &spec.imputer.as_ref().map_or_else(Vec::new, dims_of))
}

fn dims_of(net: &NetSpec) -> Vec<LayerDims> {
    // A size beyond u32 becomes one that the shape refuses.
    let size = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
    let dims = |layer: &LayerSpec| LayerDims::new(size(layer.inputs), size(layer.outputs), layer.activation);
    net.layers.iter().map(dims).collect()
}

/// The first half of BLAKE3 over the header, its checksum zero, and the payload's bytes.
fn checksum(header: &WeightsHeader, payload: &[u64], payload_bytes: u64) -> [u8; 16] {
    let length = usize::try_from(payload_bytes).unwrap_or(usize::MAX);
    let mut hasher = blake3::Hasher::new();
    hasher.update(&header.checked_header());
    hasher.update(payload.as_bytes().get(..length).unwrap_or(&[]));
    hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
}

fn head(words: &[u64]) -> Result<(WeightsHeader, WeightsShape), WeightsRefused> {
    let header = WeightsHeader::from_words(words)
        .ok_or(WeightsRefused::Cut { found_words: words.len(), needed_words: WEIGHTS_HEADER_WORDS })?;
    Ok((header, header.shape()?))
}

/// The words of the parameters, if header and checksum fit them.
fn payload<'a>(words: &'a [u64], header: &WeightsHeader, shape: &WeightsShape) -> Result<&'a [u64], WeightsRefused> {
    let needed_words = usize::try_from(shape.slot_words()).unwrap_or(usize::MAX);
    let payload = words
        .get(WEIGHTS_HEADER_WORDS..needed_words)
        .ok_or(WeightsRefused::Cut { found_words: words.len(), needed_words })?;
    if header.checksum != checksum(header, payload, shape.payload_bytes()) {
        return Err(WeightsRefused::Checksum);
    }
    Ok(payload)
}

/// The header and the parameters of the network in these words, if it is whole: its sizes fit each other and its bytes the
/// checksum. Whose network it is, and whether it may be used, only a [`Verifier`] says.
///
/// # Errors
/// The first fact that does not hold.
pub fn whole(words: &[u64]) -> Result<(WeightsHeader, &[f32]), WeightsRefused> {
    let (header, shape) = head(words)?;
    let parameters = f32s_of_words(payload(words, &header, &shape)?);
    let count = usize::try_from(shape.parameters()).unwrap_or(usize::MAX);
    Ok((header, parameters.get(..count).unwrap_or(parameters)))
}

/// Why published weights were not adopted.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum WeightsRefused {
    /// Fewer words than a header, or than the header's network.
    #[error("{found_words} words, the network needs {needed_words}")]
    Cut {
        /// Words found.
        found_words: usize,
        /// Words needed.
        needed_words: usize,
    },
    /// Magic, version, sizes or length do not fit each other.
    #[error(transparent)]
    Shape(#[from] ShapeRefused),
    /// A network for another agent.
    #[error(
        "{found} layers from {found_inputs} to {found_outputs}, expected {expected} from {expected_inputs} to {expected_outputs}"
    )]
    OtherShape {
        /// Its layers.
        found: usize,
        /// Its inputs.
        found_inputs: usize,
        /// Its outputs.
        found_outputs: usize,
        /// Our layers.
        expected: usize,
        /// Our inputs.
        expected_inputs: usize,
        /// Our outputs.
        expected_outputs: usize,
    },
    /// Trained on other tags, or in another order.
    #[error("the network was trained for tag list {found:016x}, this site has {expected:016x}")]
    OtherTags {
        /// Its hash.
        found: u64,
        /// Our hash.
        expected: u64,
    },
    /// Header or parameters were changed after they were written, or written by halves.
    #[error("the checksum does not fit the bytes")]
    Checksum,
    /// From a learner that no longer, or not yet, may publish.
    #[error("published in epoch {found}, granted is epoch {granted}")]
    Epoch {
        /// Its epoch.
        found: u64,
        /// The epoch of the present grant.
        granted: u64,
    },
    /// Not newer than what was adopted already.
    #[error("generation {found} is not newer than generation {adopted}")]
    NotNewer {
        /// Its generation.
        found: u64,
        /// The newest so far.
        adopted: u64,
    },
    /// The parameters are not believed.
    #[error(transparent)]
    Parameters(#[from] ParametersRefused),
}

impl WeightsRefused {
    /// A stable name for counters and logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cut { .. } => "cut",
            Self::Shape(ShapeRefused::BadMagic { .. }) => "magic",
            Self::Shape(ShapeRefused::VersionMismatch { .. }) => "version",
            Self::Shape(_) => "malformed",
            Self::OtherShape { .. } => "other_shape",
            Self::OtherTags { .. } => "other_tags",
            Self::Checksum => "checksum",
            Self::Epoch { .. } => "epoch",
            Self::NotNewer { .. } => "not_newer",
            Self::Parameters(refused) => refused.name(),
        }
    }
}

/// Weights of which every fact was checked. Only a [`Verifier`] and [`crate::file::load`] make them.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedWeights<'a> {
    publication: Publication,
    parameters: &'a [f32],
}

impl<'a> VerifiedWeights<'a> {
    /// For those who verified them: this module, and the policy file.
    pub(crate) const fn from_verified(publication: Publication, parameters: &'a [f32]) -> Self {
        Self { publication, parameters }
    }

    /// The parameters, in the order of [`PolicySpec`].
    pub const fn parameters(&self) -> &'a [f32] {
        self.parameters
    }

    /// What the learner says of it.
    pub const fn publication(&self) -> &Publication {
        &self.publication
    }

    /// The network's number.
    pub const fn generation(&self) -> u64 {
        self.publication.generation
    }

    /// It holds the nominal setpoints.
    pub const fn nominal(&self) -> bool {
        self.publication.nominal
    }
}

/// Turns allegations into [`VerifiedWeights`]. It allocates when it is made, and not again.
#[derive(Clone, Debug)]
pub struct Verifier {
    spec: PolicySpec,
    shape: WeightsShape,
    tag_list_hash: u64,
    epoch: u64,
    newest: u64,
    probe: Probe,
}

impl Verifier {
    /// A verifier for policies of this shape and tag list. Until [`Self::grant`] it believes epoch 0.
    ///
    /// # Errors
    /// When `spec` is no network.
    pub fn new(spec: &PolicySpec, tag_list_hash: u64, kernel: Kernel) -> Result<Self, SpecError> {
        let probe = Probe::new(spec, kernel)?;
        // The limits of a spec are within those of the segment.
        let shape =
            shape_of(spec).map_err(|_| SpecError::Layers { layers: spec.nets().map(|net| net.layers.len()).sum() })?;
        Ok(Self { spec: spec.clone(), shape, tag_list_hash, epoch: 0, newest: 0, probe })
    }

    /// From now on only this epoch's learner is believed.
    pub fn grant(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// The newest generation so far: from a policy file, or the last verified one. Only later ones are believed.
    pub fn newest(&self) -> u64 {
        self.newest
    }

    /// Counts a generation that came another way, such as a policy file's.
    pub fn count(&mut self, generation: u64) {
        self.newest = self.newest.max(generation);
    }

    /// Adds a state to those that networks are probed with.
    pub fn remember(&mut self, state: &[f32]) {
        self.probe.remember(state);
    }

    /// Where parameters from elsewhere are judged in the same way.
    pub fn probe(&mut self) -> &mut Probe {
        &mut self.probe
    }

    /// Believes the network in these words, which nobody else may write any more, or says why not. A generation that was
    /// verified is not verified again. Words beyond the network are ignored.
    ///
    /// # Errors
    /// The first fact that does not hold.
    pub fn verify<'a>(&mut self, words: &'a [u64]) -> Result<VerifiedWeights<'a>, WeightsRefused> {
        let (header, shape) = head(words)?;
        self.check_shape(&shape)?;
        let payload = payload(words, &header, &shape)?;
        self.check_origin(&header)?;
        // An odd count is followed by a filling half word.
        let parameters = f32s_of_words(payload).get(..self.spec.parameters()).unwrap_or(&[]);
        self.probe.judge(parameters)?;
        self.newest = header.generation;
        let publication = Publication {
            epoch: header.epoch,
            generation: header.generation,
            updates: header.updates,
            tag_list_hash: header.tag_list_hash,
            nominal: header.flags & WeightsHeader::NOMINAL != 0,
        };
        Ok(VerifiedWeights::from_verified(publication, parameters))
    }

    fn check_shape(&self, found: &WeightsShape) -> Result<(), WeightsRefused> {
        if *found == self.shape {
            return Ok(());
        }
        Err(WeightsRefused::OtherShape {
            found: found.layers().len(),
            found_inputs: found.inputs(),
            found_outputs: found.outputs(),
            expected: self.shape.layers().len(),
            expected_inputs: self.shape.inputs(),
            expected_outputs: self.shape.outputs(),
        })
    }

    fn check_origin(&self, header: &WeightsHeader) -> Result<(), WeightsRefused> {
        let (found, expected) = (header.tag_list_hash, self.tag_list_hash);
        if found != expected {
            return Err(WeightsRefused::OtherTags { found, expected });
        }
        if header.epoch != self.epoch {
            return Err(WeightsRefused::Epoch { found: header.epoch, granted: self.epoch });
        }
        if header.generation <= self.newest {
            return Err(WeightsRefused::NotNewer { found: header.generation, adopted: self.newest });
        }
        Ok(())
    }
}

const _: () = assert!(WEIGHTS_HEADER_BYTES == 8 * WEIGHTS_HEADER_WORDS, "the payload begins at a word");

#[cfg(test)]
mod tests;

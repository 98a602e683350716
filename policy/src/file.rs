//! Policy files: safetensors with a manifest that says what the policy was trained for.
//!
//! The tensors are `layer0.weight` (`[outputs, inputs]`), `layer0.bias`, `layer1.weight`, …, all F32, as any reader of
//! safetensors understands them; of an imputer `imputer0.weight` and so on. The metadata has one entry, [`MANIFEST_KEY`], a [`Manifest`] as JSON. [`load`]
//! believes a file only when somebody whom the site trusts has signed every byte of it ([`Trust`]), every column, scale, action
//! and layer is the site's own, in its order, and the parameters pass the same judgement as published weights.
//!
//! Nothing here is for a real-time thread.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rt_config::Site;
use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use shm_layout::Activation;
use zerocopy::IntoBytes;

use crate::kernels::{LayerSpec, NetSpec, PARAMETERS_MAX, ParameterCount, SpecError};
use crate::pipeline::{Column, Columns};
use crate::probe::ParametersRefused;
use crate::spec::PolicySpec;
use crate::wire::{Publication, VerifiedWeights};

mod check;
mod signature;

use check::Allegation;
pub use check::{Check, Verdict, examine};
pub use signature::{KeyRefused, SecretKey, SignError, Signature, Trust, sign};

/// The key of the manifest in the file's metadata.
pub const MANIFEST_KEY: &str = "corerl.policy";
/// The version of the manifest's format.
pub const FORMAT_VERSION: u32 = 1;
/// Longer files are not read.
pub const FILE_BYTES_MAX: u64 = 4 * PARAMETERS_MAX as u64 + (16 << 20);

/// What a policy is for: all of it must be equal between a policy file and the site that loads it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Purpose {
    /// [`Site::tag_list_hash`], in hexadecimal digits.
    pub tag_list_hash: String,
    /// The columns of the state, with units and scales.
    pub columns: Columns,
    /// The setpoints: names, units and scales.
    pub actions: Vec<Column>,
    /// The actor's layers.
    pub layers: Vec<Layer>,
    /// The imputer's layers; none where the site has no masked autoencoder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub imputer: Vec<Layer>,
}

/// One layer, as the manifest writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// How many values come in.
    pub inputs: usize,
    /// How many sums are formed.
    pub outputs: usize,
    /// The activation's name.
    pub activation: String,
}

/// Where a policy comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The program and its version.
    pub created_by: String,
    /// The network's generation.
    pub generation: u64,
    /// The learner's updates so far.
    pub updates: u64,
    /// It holds the nominal setpoints.
    pub nominal: bool,
}

/// What a policy file says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// Where it comes from.
    #[serde(flatten)]
    pub origin: Origin,
    /// What it is for.
    #[serde(flatten)]
    pub purpose: Purpose,
    /// BLAKE3 of the parameters in the order of [`PolicySpec`], in hexadecimal digits.
    pub parameters_hash: String,
    /// Who vouches for the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<Signature>,
}

impl Purpose {
    /// What a policy for this site is for.
    pub fn of(site: &Site) -> Self {
        let columns = Columns::of(site);
        let action = |setpoint: &rt_config::Setpoint| {
            let tag = site.tags.get(setpoint.tag.index())?;
            let (name, unit) = (tag.name.clone(), tag.unit.clone());
            Some(Column { name, unit, zero: setpoint.scale.lo, one: setpoint.scale.hi })
        };
        let PolicySpec { actor, imputer } = PolicySpec::of(site);
        Self {
            tag_list_hash: format!("{:016x}", site.tag_list_hash()),
            actions: site.setpoints.iter().filter_map(action).collect(),
            layers: layers_of(&actor),
            imputer: imputer.as_ref().map_or_else(Vec::new, layers_of),
            columns,
        }
    }

    /// The shapes of the networks; `None` when an activation is unknown.
    pub fn spec(&self) -> Option<PolicySpec> {
        let imputer = if self.imputer.is_empty() { None } else { Some(net_of(&self.imputer)?) };
        Some(PolicySpec { actor: net_of(&self.layers)?, imputer })
    }

    /// Whether a policy for this purpose is one for the site whose purpose is `expected`.
    ///
    /// # Errors
    /// The first difference.
    pub fn check(&self, expected: &Self) -> Result<(), PolicyFileRefused> {
        self.check_tags(expected)?;
        self.check_layers(expected)
    }

    fn check_tags(&self, expected: &Self) -> Result<(), PolicyFileRefused> {
        compare_columns("column", self.columns.as_slice(), expected.columns.as_slice())?;
        compare_columns("setpoint", &self.actions, &expected.actions)?;
        if self.tag_list_hash != expected.tag_list_hash {
            let (found, expected) = (self.tag_list_hash.escape_debug().to_string(), expected.tag_list_hash.clone());
            return Err(PolicyFileRefused::OtherTagList { found, expected });
        }
        Ok(())
    }

    fn check_layers(&self, expected: &Self) -> Result<(), PolicyFileRefused> {
        let nets = [("actor", &self.layers, &expected.layers), ("imputer", &self.imputer, &expected.imputer)];
        for (net, found, expected) in nets {
            for layer in 0..found.len().max(expected.len()) {
                let (found, expected) = (found.get(layer).cloned(), expected.get(layer).cloned());
                if found != expected {
                    return Err(PolicyFileRefused::OtherShape { net, layer, found, expected });
                }
            }
        }
        Ok(())
    }
}

fn layers_of(net: &NetSpec) -> Vec<Layer> {
    let layer = |layer: &LayerSpec| Layer {
        inputs: layer.inputs,
        outputs: layer.outputs,
        activation: layer.activation.name().to_owned(),
    };
    net.layers.iter().map(layer).collect()
}

/// `None` when an activation is unknown.
fn net_of(layers: &[Layer]) -> Option<NetSpec> {
    let layer =
        |layer: &Layer| Some(LayerSpec::new(layer.inputs, layer.outputs, Activation::from_name(&layer.activation)?));
    Some(NetSpec { layers: layers.iter().map(layer).collect::<Option<_>>()? })
}

/// A policy file of which every fact was checked. Only [`load`] makes it.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    manifest: Manifest,
    parameters: Vec<f32>,
}

impl PolicyFile {
    /// What it says of itself.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its parameters, to be adopted like published ones.
    pub fn weights(&self) -> VerifiedWeights<'_> {
        let Origin { generation, updates, nominal, .. } = self.manifest.origin;
        let tag_list_hash = u64::from_str_radix(&self.manifest.purpose.tag_list_hash, 16).unwrap_or(0);
        let publication = Publication { epoch: 0, generation, updates, tag_list_hash, nominal };
        VerifiedWeights::from_verified(publication, &self.parameters)
    }
}

/// Why there are no bytes of a policy file.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Too few or too many parameters.
    #[error(transparent)]
    Count(#[from] ParameterCount),
    /// The purpose names an activation that does not exist.
    #[error("the purpose has a layer with an unknown activation")]
    Activation,
    /// The format refused.
    #[error("the policy cannot be written as safetensors: {0}")]
    Format(#[from] SafeTensorError),
    /// The manifest refused.
    #[error("the manifest cannot be written: {0}")]
    Manifest(#[from] serde_json::Error),
}

/// Why a policy file is not used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileRefused {
    /// It cannot be read.
    #[error("cannot read the policy file: {0}")]
    Io(#[from] io::Error),
    /// Longer than [`FILE_BYTES_MAX`].
    #[error("the policy file is longer than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// It ends before its tensors do.
    #[error("the policy file is cut short after {found_bytes} bytes")]
    Cut {
        /// Bytes found.
        found_bytes: usize,
    },
    /// It is not safetensors.
    #[error("not a safetensors file: {0}")]
    Format(SafeTensorError),
    /// It has no manifest of ours.
    #[error("not a policy of this program: its metadata has no entry `{MANIFEST_KEY}`")]
    NoManifest,
    /// The manifest's format is another one.
    #[error("the policy's format is {found}, this program reads {FORMAT_VERSION}")]
    FormatVersion {
        /// Its version.
        found: u64,
    },
    /// The manifest lacks something or says something impossible.
    #[error("the policy's manifest is malformed: {0}")]
    Manifest(serde_json::Error),
    /// Nobody signed it.
    #[error("the policy is not signed: sign it with `corerl model sign`, or permit unsigned ones with `lab: true`")]
    Unsigned,
    /// The signature is none of the key that it names, over these bytes.
    #[error("the policy's signature does not fit: the file was changed after it was signed")]
    Forged,
    /// The key is none that the site trusts.
    #[error("the policy is signed with the key {key}, which is not in `runtime.policy_keys` of the site file")]
    OtherKey {
        /// The public key.
        key: String,
    },
    /// A column or setpoint differs: another tag, another order, another unit.
    #[error(
        "{list} {index} of the policy is {found}, this site has {expected}: the policy belongs to another tag list"
    )]
    OtherTag {
        /// `column` or `setpoint`.
        list: &'static str,
        /// The first that differs.
        index: usize,
        /// Its name and unit, or `nothing`.
        found: String,
        /// Ours.
        expected: String,
    },
    /// The same tag, but another range stands for 0 to 1.
    #[error(
        "{name} of the policy is scaled from {found:?}, this site has {expected:?}: ranges were changed after training"
    )]
    OtherScale {
        /// The first column or setpoint that differs.
        name: String,
        /// What its 0 and 1 stand for.
        found: (f64, f64),
        /// Ours.
        expected: (f64, f64),
    },
    /// All columns are equal, but not the hash.
    #[error("the policy was trained for tag list {found}, this site has {expected}")]
    OtherTagList {
        /// Its hash.
        found: String,
        /// Ours.
        expected: String,
    },
    /// A network has other layers.
    #[error("layer {layer} of the policy's {net} is {found:?}, expected {expected:?}")]
    OtherShape {
        /// `actor` or `imputer`.
        net: &'static str,
        /// The first that differs.
        layer: usize,
        /// What it is.
        found: Option<Layer>,
        /// Ours.
        expected: Option<Layer>,
    },
    /// The manifest names an activation that no network has.
    #[error("the policy has a layer with an unknown activation")]
    Activation,
    /// Its layers make no network.
    #[error("the policy's layers make no network: {0}")]
    Network(#[from] SpecError),
    /// A tensor is missing, or has another shape or type than its layer.
    #[error("tensor {name} is missing or is not F32 of shape {shape:?}")]
    Tensor {
        /// Its name.
        name: String,
        /// The shape that it needs.
        shape: Vec<usize>,
    },
    /// The parameters were changed after they were written.
    #[error("the parameters do not fit the manifest's hash")]
    Hash,
    /// The parameters are not believed.
    #[error(transparent)]
    Parameters(#[from] ParametersRefused),
}

/// The bytes of a policy file that nobody has signed yet.
///
/// # Errors
/// When the parameters do not fit the purpose.
pub fn to_bytes(purpose: &Purpose, origin: &Origin, parameters: &[f32]) -> Result<Vec<u8>, WriteError> {
    let spec = purpose.spec().ok_or(WriteError::Activation)?;
    let (found, expected) = (parameters.len(), spec.parameters());
    if found != expected {
        return Err(ParameterCount { found, expected }.into());
    }
    let manifest = Manifest {
        format_version: FORMAT_VERSION,
        origin: origin.clone(),
        purpose: purpose.clone(),
        parameters_hash: hash_of(parameters),
        signature: None,
    };
    let mut rest = parameters;
    let mut tensors = Vec::new();
    for (name, shape) in tensors_of(&spec) {
        let (tensor, after) = rest.split_at_checked(shape.iter().product()).unwrap_or((rest, &[]));
        rest = after;
        tensors.push((name, TensorView::new(Dtype::F32, shape, tensor.as_bytes())?));
    }
    serialized(&manifest, tensors)
}

fn serialized(manifest: &Manifest, tensors: Vec<(String, TensorView<'_>)>) -> Result<Vec<u8>, WriteError> {
    // One entry alone: a map of several would be written in an arbitrary order.
    let metadata = HashMap::from([(MANIFEST_KEY.to_owned(), serde_json::to_string(manifest)?)]);
    Ok(safetensors::serialize(tensors, Some(metadata))?)
}

/// Reads a policy file and believes it, or says why not.
///
/// # Errors
/// The first fact that does not hold.
pub fn load(path: &Path, expected: &Purpose, trust: &Trust) -> Result<PolicyFile, PolicyFileRefused> {
    from_bytes(&read(path)?, expected, trust)
}

/// The bytes of a file that is no longer than a policy file may be.
///
/// # Errors
/// It is longer, or cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, PolicyFileRefused> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(PolicyFileRefused::TooLong);
    }
    Ok(bytes)
}

/// Believes the bytes of a policy file, or says why not.
///
/// # Errors
/// The first fact that does not hold.
pub fn from_bytes(bytes: &[u8], expected: &Purpose, trust: &Trust) -> Result<PolicyFile, PolicyFileRefused> {
    let Allegation { manifest, parameters, .. } = Allegation::followed(bytes, &Check::ALL, Some((expected, trust)))?;
    match (manifest, parameters) {
        (Some(manifest), Some(parameters)) => Ok(PolicyFile { manifest, parameters }),
        // Both were found on the way here.
        _ => Err(PolicyFileRefused::NoManifest),
    }
}

/// What a policy file says of itself, believed by nobody: for people to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Claims {
    /// Its manifest.
    pub manifest: Manifest,
    /// The shapes of its networks.
    pub spec: PolicySpec,
    /// Its parameters, in the order of [`PolicySpec`].
    pub parameters: Vec<f32>,
}

/// What the bytes of a policy file say, whoever wrote them and for whatever site. Nothing of it may act.
///
/// # Errors
/// They are no policy file, or are not whole.
pub fn claims(bytes: &[u8]) -> Result<Claims, PolicyFileRefused> {
    const WHOLE: [Check; 4] = [Check::Format, Check::Version, Check::Shape, Check::Checksum];
    let Allegation { manifest, spec, parameters, .. } = Allegation::followed(bytes, &WHOLE, None)?;
    match (manifest, spec, parameters) {
        (Some(manifest), Some(spec), Some(parameters)) => Ok(Claims { manifest, spec, parameters }),
        // All of them were found on the way here.
        _ => Err(PolicyFileRefused::NoManifest),
    }
}

/// The parameters of a policy of this shape, all of them.
fn parameters_of(tensors: &SafeTensors<'_>, spec: &PolicySpec) -> Result<Vec<f32>, PolicyFileRefused> {
    let mut parameters = Vec::new();
    for (name, shape) in tensors_of(spec) {
        let fits = |tensor: &TensorView<'_>| tensor.dtype() == Dtype::F32 && tensor.shape() == shape;
        let Some(tensor) = tensors.tensor(&name).ok().filter(fits) else {
            return Err(PolicyFileRefused::Tensor { name, shape });
        };
        let (floats, _) = tensor.data().as_chunks();
        parameters.extend(floats.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    Ok(parameters)
}

/// The version is looked at first: another one may have any other content.
fn read_manifest(text: &str) -> Result<Manifest, PolicyFileRefused> {
    #[derive(Deserialize)]
    struct Version {
        format_version: u64,
    }
    let found = serde_json::from_str::<Version>(text).map_err(PolicyFileRefused::Manifest)?.format_version;
    if found != u64::from(FORMAT_VERSION) {
        return Err(PolicyFileRefused::FormatVersion { found });
    }
    serde_json::from_str(text).map_err(PolicyFileRefused::Manifest)
}

fn compare_columns(list: &'static str, found: &[Column], expected: &[Column]) -> Result<(), PolicyFileRefused> {
    let named = |column: Option<&Column>| match column {
        // A file may say anything, and a terminal obeys some of it.
        Some(column) if column.unit.is_empty() => format!("`{}`", column.name.escape_debug()),
        Some(column) => format!("`{}` in {}", column.name.escape_debug(), column.unit.escape_debug()),
        None => "nothing".to_owned(),
    };
    for index in 0..found.len().max(expected.len()) {
        let (found, expected) = (found.get(index), expected.get(index));
        if named(found) != named(expected) {
            return Err(PolicyFileRefused::OtherTag { list, index, found: named(found), expected: named(expected) });
        }
        if let (Some(found), Some(expected)) = (found, expected)
            && (found.zero, found.one) != (expected.zero, expected.one)
        {
            let (name, scale) = (found.name.clone(), |column: &Column| (column.zero, column.one));
            return Err(PolicyFileRefused::OtherScale { name, found: scale(found), expected: scale(expected) });
        }
    }
    Ok(())
}

/// Names and shapes of a policy's tensors, in the order of its parameters.
fn tensors_of(spec: &PolicySpec) -> impl Iterator<Item = (String, Vec<usize>)> {
    ["layer", "imputer"].into_iter().zip(spec.nets()).flat_map(|(name, net)| {
        net.layers.iter().enumerate().flat_map(move |(layer, LayerSpec { inputs, outputs, .. })| {
            [
                (format!("{name}{layer}.weight"), vec![*outputs, *inputs]),
                (format!("{name}{layer}.bias"), vec![*outputs]),
            ]
        })
    })
}

fn hash_of(parameters: &[f32]) -> String {
    blake3::hash(parameters.as_bytes()).to_hex().to_string()
}

#[cfg(test)]
mod tests;

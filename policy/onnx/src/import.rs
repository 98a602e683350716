//! From a model to a policy.

use std::collections::{BTreeMap, BTreeSet};

use policy::file::{FILE_BYTES_MAX, Origin, PolicyFileRefused, Purpose};
use policy::pipeline::{Column, Columns};
use policy::{SIGMA_MAX, SIGMA_MIN};

use crate::model::{Model, Node, OPERATOR_SETS, Port, is_standard};
use crate::network::Network;
use crate::operators::{Known, apply};
use crate::protobuf::Malformed;
use crate::signal::{Row, Signal, Tail};
use crate::{ACTIONS_KEY, COLUMNS_KEY, DEVIATIONS, ORIGIN_KEY, SETPOINTS, TAG_LIST_KEY};

/// Characters of a foreign name that are shown.
const SHOWN_MAX: usize = 80;
/// The generation of a policy that does not say.
const GENERATION: u64 = 1;
/// How far inside a setpoint's scale a model may clip: rounding, in widths of the scale.
const CLIP_SLACK: f64 = 1e-6;

/// In what a model counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scale {
    /// Columns and setpoints are in their engineering units, as in a model that was exported here.
    #[default]
    Engineering,
    /// Columns and setpoints are shares of their scales in the site file, 0 to 1.
    Shares,
}

/// How a model is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading<'a> {
    /// In what it counts.
    pub scale: Scale,
    /// Its output that has the setpoints, when it is neither the only one nor called [`SETPOINTS`].
    pub output: Option<&'a str>,
}

/// A model as a policy of a site. Its parameters are not judged yet: [`policy::file::from_bytes`] does that.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    /// Where it comes from, as it says.
    pub origin: Origin,
    /// In the order of [`policy::PolicySpec`]. A model says nothing of an imputer: where the site has one, it is the one that
    /// nobody has trained.
    pub parameters: Vec<f32>,
    /// It names its columns and setpoints, and they are the site's own.
    pub is_named: bool,
    /// It says how far to explore; otherwise the deviations are the smallest.
    pub has_deviations: bool,
    /// Outputs that nobody asked for.
    pub ignored: Vec<String>,
}

/// Why a model is no policy of a site.
#[derive(Debug, thiserror::Error)]
pub enum ImportRefused {
    /// Longer than a policy file may be.
    #[error("the model is longer than {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// Not even the encoding is right.
    #[error("it is no ONNX model: {0}")]
    Malformed(#[from] Malformed),
    /// Nothing that computes.
    #[error("it is no ONNX model: it has no graph")]
    NoGraph,
    /// Which one counts?
    #[error("the model has more than one graph")]
    Graphs,
    /// Nobody knows what its operators mean.
    #[error("the model does not say for which operator set it is")]
    NoOperatorSet,
    /// The operators might mean something else.
    #[error(
        "the model is for operator set {found}, and {} to {} are read: export it for one of them (opset_version)",
        OPERATOR_SETS.start(), OPERATOR_SETS.end()
    )]
    OperatorSet {
        /// Its operator set.
        found: u64,
    },
    /// More than any multilayer perceptron has.
    #[error("the model has more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// A sparse initialiser.
    #[error("the model has sparse initialisers, which are not read: make them dense")]
    Sparse,
    /// A name that stands for two things.
    #[error("`{name}` is there twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// A constant is not what it has to be.
    #[error("initialiser `{name}` {what}")]
    Tensor {
        /// Its name.
        name: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The model takes something else than a state.
    #[error("the model's input `{name}` {what}")]
    Input {
        /// Its name.
        name: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The model takes nothing, or several things.
    #[error("the model has {found} inputs ({names}), and a policy has one: the columns of the state")]
    Inputs {
        /// How many.
        found: usize,
        /// Their names.
        names: String,
    },
    /// It is not clear which output is meant.
    #[error("the model has no output `{wanted}` among {names}: name the one with the setpoints (--output)")]
    Outputs {
        /// What was looked for.
        wanted: String,
        /// What there is.
        names: String,
    },
    /// An output is not what a policy gives.
    #[error("the model's output `{name}` {what}")]
    Output {
        /// Its name.
        name: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// An operator computes what the actor's network cannot.
    #[error("operator {operator} (`{node}`) {what}")]
    Operator {
        /// The operator.
        operator: String,
        /// The name of the node, or of what it gives.
        node: String,
        /// What is wrong.
        what: String,
    },
    /// The metadata is not what an exported model has.
    #[error("the model's metadata `{key}` cannot be read: {source}")]
    Metadata {
        /// Which entry.
        key: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The model is for another site.
    #[error(transparent)]
    Purpose(#[from] PolicyFileRefused),
    /// The site's own network has layers that no model can fill.
    #[error("the site's network is none of CReLU layers before means and deviations")]
    Network,
}

/// A foreign name as it is shown: short, and without anything that a terminal would obey.
pub(crate) fn shown(name: &str) -> String {
    name.escape_debug().take(SHOWN_MAX).collect()
}

/// A model as a policy for this purpose. The model is an allegation: whatever it holds, this ends after a bounded time, with
/// bounded memory, and without a panic.
///
/// # Errors
/// The first thing in it that is no policy, or no policy for this purpose.
pub fn from_model(bytes: &[u8], purpose: &Purpose, reading: &Reading<'_>) -> Result<Imported, ImportRefused> {
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(ImportRefused::TooLong);
    }
    let model = Model::parse(bytes)?;
    let is_named = is_for(&model, purpose)?;
    let spec = purpose.spec().ok_or(ImportRefused::Network)?;
    let mut network = Network::of(&spec.actor, purpose.actions.len()).ok_or(ImportRefused::Network)?;
    let setpoints = setpoints_of(&model, reading)?;
    let deviations = model.outputs.iter().find(|output| output.name == DEVIATIONS);
    let wanted = [Some(setpoints), deviations].into_iter().flatten().map(|output| output.name).collect();
    let values = evaluate(&mut network, &model, wanted, purpose.columns.as_slice(), reading.scale)?;
    let (actions, scale) = (purpose.actions.as_slice(), reading.scale);
    let means = means(&mut network, setpoints.name, &values, actions, scale)?;
    let logits = deviations.map(|output| logits(&mut network, output.name, &values, actions, scale)).transpose()?;
    let mut parameters = network.into_parameters(means, logits);
    parameters.resize(spec.parameters(), 0.0);
    let is_asked_for = |output: &Port<'_>| output.name == setpoints.name || output.name == DEVIATIONS;
    Ok(Imported {
        origin: origin_of(&model)?,
        is_named,
        has_deviations: deviations.is_some(),
        ignored: model.outputs.iter().filter(|output| !is_asked_for(output)).map(|output| shown(output.name)).collect(),
        parameters,
    })
}

/// Whether the model names columns and setpoints; those that it names have to be the site's own.
fn is_for(model: &Model<'_>, purpose: &Purpose) -> Result<bool, ImportRefused> {
    let columns: Option<Columns> = metadata(model, COLUMNS_KEY)?;
    let actions: Option<Vec<Column>> = metadata(model, ACTIONS_KEY)?;
    let is_named = columns.is_some() && actions.is_some();
    let tag_list = model.metadata.get(TAG_LIST_KEY).map(|hash| (*hash).to_owned());
    let found = Purpose {
        tag_list_hash: tag_list.unwrap_or_else(|| purpose.tag_list_hash.clone()),
        columns: columns.unwrap_or_else(|| purpose.columns.clone()),
        actions: actions.unwrap_or_else(|| purpose.actions.clone()),
        layers: purpose.layers.clone(),
        imputer: purpose.imputer.clone(),
    };
    found.check(purpose)?;
    Ok(is_named)
}

fn metadata<T: serde::de::DeserializeOwned>(model: &Model<'_>, key: &'static str) -> Result<Option<T>, ImportRefused> {
    let parsed = model.metadata.get(key).map(|text| serde_json::from_str(text)).transpose();
    parsed.map_err(|source| ImportRefused::Metadata { key, source })
}

fn origin_of(model: &Model<'_>) -> Result<Origin, ImportRefused> {
    if let Some(origin) = metadata::<Origin>(model, ORIGIN_KEY)? {
        return Ok(Origin { created_by: shown(&origin.created_by), ..origin });
    }
    let (name, version) = model.producer;
    let created_by = shown(format!("{name} {version}").trim());
    Ok(Origin { created_by, generation: GENERATION, updates: 0, nominal: false })
}

fn names(ports: &[Port<'_>]) -> String {
    let names: Vec<_> = ports.iter().take(SHOWN_MAX / 8).map(|port| format!("`{}`", shown(port.name))).collect();
    names.join(", ")
}

fn setpoints_of<'m, 'b>(model: &'m Model<'b>, reading: &Reading<'_>) -> Result<&'m Port<'b>, ImportRefused> {
    let wanted = reading.output.unwrap_or(SETPOINTS);
    let named = model.outputs.iter().find(|output| output.name == wanted);
    match model.outputs.as_slice() {
        [only] if reading.output.is_none() => Ok(only),
        outputs => named.ok_or_else(|| ImportRefused::Outputs { wanted: shown(wanted), names: names(outputs) }),
    }
}

/// What is known of the values that are wanted, by their names.
fn evaluate<'m>(
    network: &mut Network<'_>,
    model: &'m Model<'_>,
    wanted: BTreeSet<&'m str>,
    columns: &[Column],
    scale: Scale,
) -> Result<BTreeMap<&'m str, Known>, ImportRefused> {
    let nodes = needed(model, wanted);
    let mut known = constants(model, &nodes)?;
    let state = state_of(model, columns)?;
    let as_given = columns.iter().map(|column| Tail::NONE.times(width(column, scale)).plus(zero(column, scale)));
    insert(&mut known, state, Known::Signal(network.state(as_given)))?;
    for node in nodes {
        let value = compute(network, model, node, &known)?;
        let [output] = node.outputs.as_slice() else {
            return Err(refused(node, format!("has {} outputs, and needs one", node.outputs.len())));
        };
        insert(&mut known, output, value)?;
    }
    Ok(known)
}

/// The nodes that lead to what is wanted, in their order. What nobody needs may be anything.
fn needed<'m, 'b>(model: &'m Model<'b>, mut wanted: BTreeSet<&'m str>) -> Vec<&'m Node<'b>> {
    let mut nodes = Vec::new();
    for node in model.nodes.iter().rev() {
        if node.outputs.iter().any(|output| wanted.contains(output)) {
            wanted.extend(&node.inputs);
            nodes.push(node);
        }
    }
    nodes.reverse();
    nodes
}

/// The initialisers that these nodes take. One that is there twice is refused in any case.
fn constants<'m>(model: &'m Model<'_>, nodes: &[&Node<'_>]) -> Result<BTreeMap<&'m str, Known>, ImportRefused> {
    let taken: BTreeSet<&str> = nodes.iter().flat_map(|node| node.inputs.iter().copied()).collect();
    let (mut seen, mut known) = (BTreeSet::new(), BTreeMap::new());
    for tensor in &model.tensors {
        if !seen.insert(tensor.name) {
            return Err(ImportRefused::Twice { name: shown(tensor.name) });
        }
        if taken.contains(tensor.name) {
            known.insert(tensor.name, Known::Constant(tensor.constant()?));
        }
    }
    Ok(known)
}

/// The name of the input that is no initialiser.
fn state_of<'m>(model: &'m Model<'_>, columns: &[Column]) -> Result<&'m str, ImportRefused> {
    // Old models list their initialisers among the inputs, too.
    let is_constant = |port: &&Port<'_>| model.tensors.iter().any(|tensor| tensor.name == port.name);
    let inputs: Vec<_> = model.inputs.iter().filter(|port| !is_constant(port)).collect();
    let [state] = inputs.as_slice() else {
        return Err(ImportRefused::Inputs { found: inputs.len(), names: names(&model.inputs) });
    };
    state.expect_rows(columns.len())?;
    Ok(state.name)
}

fn insert<'m>(known: &mut BTreeMap<&'m str, Known>, name: &'m str, value: Known) -> Result<(), ImportRefused> {
    match known.insert(name, value) {
        Some(_) => Err(ImportRefused::Twice { name: shown(name) }),
        None => Ok(()),
    }
}

fn refused(node: &Node<'_>, what: String) -> ImportRefused {
    let name = if node.name.is_empty() { node.outputs.first().copied().unwrap_or_default() } else { node.name };
    ImportRefused::Operator { operator: shown(node.operator), node: shown(name), what }
}

fn compute(
    network: &mut Network<'_>,
    model: &Model<'_>,
    node: &Node<'_>,
    known: &BTreeMap<&str, Known>,
) -> Result<Known, ImportRefused> {
    if !is_standard(node.domain) {
        let what = format!("belongs to the domain {:?}, and only the standard operators are read", shown(node.domain));
        return Err(refused(node, what));
    }
    let find = |name: &&str| match known.get(*name) {
        _ if name.is_empty() => Ok(None),
        Some(value) => Ok(Some(value)),
        None => Err(refused(node, missing(model, name))),
    };
    let given = node.inputs.iter().map(find).collect::<Result<Vec<_>, _>>()?;
    apply(network, node, &given).map_err(|what| refused(node, what))
}

fn missing(model: &Model<'_>, name: &str) -> String {
    let name_shown = shown(name);
    if model.nodes.iter().any(|node| node.outputs.contains(&name)) {
        return format!("takes `{name_shown}` before it is made: the graph has a loop, or is not in its order");
    }
    format!("takes `{name_shown}`, which nothing makes: an initialiser is missing")
}

/// The numbers of a site in single precision, as a model has them.
fn zero(column: &Column, scale: Scale) -> f64 {
    if scale == Scale::Shares { 0.0 } else { f64::from(column.zero as f32) }
}

fn width(column: &Column, scale: Scale) -> f64 {
    if scale == Scale::Shares { 1.0 } else { f64::from((column.one - column.zero) as f32) }
}

/// An output over the last hidden layer, with one value for each setpoint.
fn head(
    network: &mut Network<'_>,
    name: &str,
    values: &BTreeMap<&str, Known>,
    count: usize,
) -> Result<Signal, ImportRefused> {
    let refuse = |what: String| ImportRefused::Output { name: shown(name), what };
    let signal = match values.get(name) {
        Some(Known::Signal(signal)) => signal.clone(),
        Some(Known::Constant(_)) => return Err(refuse("does not follow the state".to_owned())),
        None => return Err(refuse("is made by nothing".to_owned())),
    };
    if signal.width() != count {
        let found = signal.width();
        return Err(refuse(format!("has {found} values, and the site has {count} setpoints")));
    }
    let depth = network.depth();
    network.passed_on(signal, depth).map_err(refuse)
}

/// The rows of the means: what is left of the output when it is taken back into shares of the setpoints' scales.
fn means(
    network: &mut Network<'_>,
    name: &str,
    values: &BTreeMap<&str, Known>,
    actions: &[Column],
    scale: Scale,
) -> Result<Vec<Row>, ImportRefused> {
    let signal = head(network, name, values, actions.len())?;
    if signal.is_squashed {
        let what = "comes out of a Sigmoid, and setpoints have to be linear: a policy's network cannot bend them";
        return Err(ImportRefused::Output { name: shown(name), what: what.to_owned() });
    }
    let row = |((row, tail), action): ((Row, Tail), &Column)| {
        let tail = tail.plus(-zero(action, scale)).over(width(action, scale));
        // The runtime clips to the scale, and inside it to the agent's bounds.
        if tail.low > CLIP_SLACK || tail.high < 1.0 - CLIP_SLACK {
            let what = format!(
                "clips `{}` inside its scale from {} to {}: put narrower bounds into the site file (`action_bounds`), and export \
                 the model without them",
                action.name, action.zero, action.one
            );
            return Err(ImportRefused::Output { name: shown(name), what });
        }
        Ok(row.with(tail))
    };
    signal.parts.into_iter().zip(actions).map(row).collect()
}

/// The rows of the deviations' logits. The runtime squashes them into `SIGMA_MIN` to `SIGMA_MIN + SIGMA_MAX` of the setpoints'
/// scales, and so does the model.
fn logits(
    network: &mut Network<'_>,
    name: &str,
    values: &BTreeMap<&str, Known>,
    actions: &[Column],
    scale: Scale,
) -> Result<Vec<Row>, ImportRefused> {
    let signal = head(network, name, values, actions.len())?;
    let mut rows = Vec::new();
    for ((row, tail), action) in signal.parts.into_iter().zip(actions) {
        let tail = tail.over(width(action, scale));
        let is_ours = (tail.scale as f32, tail.offset as f32) == (SIGMA_MAX, SIGMA_MIN);
        if !signal.is_squashed || !is_ours || tail.is_clipped() {
            let what = format!(
                "is not {SIGMA_MAX} sigmoid(x) + {SIGMA_MIN} of each setpoint's scale, which is how a policy explores: give it \
                 another name, and the deviations will be the smallest"
            );
            return Err(ImportRefused::Output { name: shown(name), what });
        }
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;

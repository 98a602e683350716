//! From a policy to a model.

use policy::file::{Origin, Purpose};
use policy::kernels::{Activation, LayerSpec};
use policy::pipeline::Column;
use policy::{SIGMA_MAX, SIGMA_MIN};

use crate::graph::Graph;
use crate::{ACTIONS_KEY, COLUMNS_KEY, DEVIATIONS, ORIGIN_KEY, SETPOINTS, STATE, TAG_LIST_KEY};

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The parameters are not those of the network.
    #[error("{found} parameters, the network has {expected}")]
    Parameters {
        /// How many were given.
        found: usize,
        /// How many there have to be.
        expected: usize,
    },
    /// A layer that no policy has.
    #[error("a policy's network ends in a linear layer of two outputs for each setpoint, this one in {0}")]
    Shape(String),
    /// The metadata cannot be written.
    #[error(transparent)]
    Metadata(#[from] serde_json::Error),
}

/// The actor of a policy as a model; the policy's parameters are in the order of [`policy::PolicySpec`].
///
/// # Errors
/// The parameters do not fit the purpose.
pub fn to_model(purpose: &Purpose, origin: &Origin, parameters: &[f32]) -> Result<Vec<u8>, ExportError> {
    let shape = |text: &str| ExportError::Shape(text.to_owned());
    let spec = purpose.spec().ok_or_else(|| shape("an activation that is not known"))?;
    let (found, expected) = (parameters.len(), spec.parameters());
    if found != expected {
        return Err(ExportError::Parameters { found, expected });
    }
    let (columns, actions) = (purpose.columns.as_slice(), purpose.actions.as_slice());
    let Some((heads, torso)) = spec.actor.layers.split_last() else { return Err(shape("nothing")) };
    if heads.activation != Activation::Linear || heads.outputs != 2 * actions.len() {
        return Err(shape(&format!("{} outputs of {}", heads.outputs, heads.activation.name())));
    }
    let mut graph = Graph::default();
    graph.input(STATE, columns.len());
    graph.constant("state_zero", &[columns.len()], &zeros(columns));
    graph.constant("state_width", &[columns.len()], &widths(columns));
    graph.node("Sub", &[STATE, "state_zero"], &[], "state_above_zero");
    let mut value = graph.node("Div", &["state_above_zero", "state_width"], &[], "columns");
    // What follows is the imputer's.
    let mut rest = parameters.split_at(spec.actor.parameters()).0;
    for (number, layer) in torso.iter().enumerate() {
        value = linear(&mut graph, &mut rest, layer, &value, &format!("layer{number}"));
        value = activate(&mut graph, layer.activation, &value, &format!("layer{number}"));
    }
    act(&mut graph, rest, heads, &value, actions);
    let version = origin.created_by.rsplit(' ').next().unwrap_or_default();
    let json = [serde_json::to_string(columns)?, serde_json::to_string(actions)?, serde_json::to_string(origin)?];
    let about = [
        (COLUMNS_KEY, &*json[0]),
        (ACTIONS_KEY, &*json[1]),
        (ORIGIN_KEY, &*json[2]),
        (TAG_LIST_KEY, purpose.tag_list_hash.as_str()),
    ];
    Ok(graph.into_model("policy", ("corerl", version), &about))
}

fn zeros(columns: &[Column]) -> Vec<f32> {
    columns.iter().map(|column| column.zero as f32).collect()
}

fn widths(columns: &[Column]) -> Vec<f32> {
    columns.iter().map(|column| (column.one - column.zero) as f32).collect()
}

/// `x W' + b`, with the next parameters.
fn linear(graph: &mut Graph, rest: &mut &[f32], layer: &LayerSpec, input: &str, name: &str) -> String {
    let LayerSpec { inputs, outputs, .. } = *layer;
    let (weights, after) = rest.split_at(inputs * outputs);
    let (biases, after) = after.split_at(outputs);
    *rest = after;
    dense(graph, (weights, biases), (inputs, outputs), input, name)
}

fn dense(
    graph: &mut Graph,
    (weights, biases): (&[f32], &[f32]),
    (inputs, outputs): (usize, usize),
    input: &str,
    name: &str,
) -> String {
    let (weight, bias) = (format!("{name}.weight"), format!("{name}.bias"));
    graph.constant(&weight, &[outputs, inputs], weights);
    graph.constant(&bias, &[outputs], biases);
    graph.node("Gemm", &[input, &weight, &bias], &[("transB", 1)], &format!("{name}.sums"))
}

fn activate(graph: &mut Graph, activation: Activation, input: &str, name: &str) -> String {
    let named = |part: &str| format!("{name}.{part}");
    match activation {
        Activation::Linear => input.to_owned(),
        Activation::Relu => graph.node("Relu", &[input], &[], &named("relu")),
        Activation::Tanh => graph.node("Tanh", &[input], &[], &named("tanh")),
        Activation::Sigmoid => graph.node("Sigmoid", &[input], &[], &named("sigmoid")),
        Activation::Crelu => {
            let above = graph.node("Relu", &[input], &[], &named("above"));
            let negated = graph.node("Neg", &[input], &[], &named("negated"));
            let below = graph.node("Relu", &[&negated], &[], &named("below"));
            graph.node("Concat", &[&above, &below], &[("axis", 1)], &named("crelu"))
        }
    }
}

/// From the last hidden values to setpoints inside their scales, and deviations.
fn act(graph: &mut Graph, rest: &[f32], heads: &LayerSpec, input: &str, actions: &[Column]) {
    let (count, inputs) = (actions.len(), heads.inputs);
    let (weights, biases) = rest.split_at(inputs * heads.outputs);
    let (mean_weights, logit_weights) = weights.split_at(inputs * count);
    let (mean_biases, logit_biases) = biases.split_at(count);
    let mean = dense(graph, (mean_weights, mean_biases), (inputs, count), input, "mean");
    let logit = dense(graph, (logit_weights, logit_biases), (inputs, count), input, "logit");
    graph.constant("setpoint_zero", &[count], &zeros(actions));
    graph.constant("setpoint_width", &[count], &widths(actions));
    graph.constant("nothing", &[1], &[0.0]);
    graph.constant("all", &[1], &[1.0]);
    let not_below = graph.node("Max", &[&mean, "nothing"], &[], "mean.not_below");
    let within = graph.node("Min", &[&not_below, "all"], &[], "mean.within");
    let scaled = graph.node("Mul", &[&within, "setpoint_width"], &[], "mean.scaled");
    graph.node("Add", &[&scaled, "setpoint_zero"], &[], SETPOINTS);
    graph.constant("deviation_max", &[1], &[SIGMA_MAX]);
    graph.constant("deviation_min", &[1], &[SIGMA_MIN]);
    let share = graph.node("Sigmoid", &[&logit], &[], "deviation.share");
    let above = graph.node("Mul", &[&share, "deviation_max"], &[], "deviation.above");
    let normal = graph.node("Add", &[&above, "deviation_min"], &[], "deviation.normal");
    graph.node("Mul", &[&normal, "setpoint_width"], &[], DEVIATIONS);
    graph.output(SETPOINTS, count);
    graph.output(DEVIATIONS, count);
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::file::Purpose;

    fn purpose() -> Purpose {
        let site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).expect("the example is valid").site;
        Purpose::of(&site)
    }

    fn origin() -> Origin {
        Origin { created_by: "corerl 1.2.3".to_owned(), generation: 7, updates: 5, nominal: false }
    }

    #[test]
    fn a_model_names_its_columns_and_has_every_parameter_once() {
        let purpose = purpose();
        let count = purpose.spec().unwrap().parameters();
        let parameters: Vec<f32> = (0..count).map(|i| i as f32).collect();
        let model = to_model(&purpose, &origin(), &parameters).unwrap();
        let holds = |bytes: &[u8]| model.windows(bytes.len()).any(|window| window == bytes);
        for text in ["LEVEL@0.95", "DOSE_SP.hi", "corerl.columns", "Gemm", "Concat", "setpoints", "1.2.3"] {
            assert!(holds(text.as_bytes()), "{text}");
        }
        // Numbers that are large enough to be no others: all of them in their order, layer by layer.
        let first = purpose.layers[0].inputs * purpose.layers[0].outputs;
        let weights: Vec<u8> = parameters[..first].iter().flat_map(|value| value.to_le_bytes()).collect();
        assert!(holds(&weights));
        assert!(model.len() > 4 * count && model.len() < 4 * count + 16_384);
    }

    #[test]
    fn parameters_of_another_network_are_refused() {
        let refused = to_model(&purpose(), &origin(), &[0.0; 3]).unwrap_err().to_string();
        assert!(refused.starts_with("3 parameters, the network has "), "{refused}");
    }
}

//! What the operators mean that a multilayer perceptron is made of (onnx.ai, "ONNX Operators").

use crate::model::{Attribute, Constant, Node};
use crate::network::Network;
use crate::signal::{Signal, Tail, broadcast};

/// `LeakyRelu.alpha`, when it is not said.
const LEAK: f32 = 0.01;

/// What is known of a value of the graph.
#[derive(Debug, Clone)]
pub(crate) enum Known {
    /// It is the same for every state.
    Constant(Constant),
    /// It follows the state.
    Signal(Signal),
}

/// What a node takes: nothing where an input was left out.
type Given<'a> = [Option<&'a Known>];

/// What a node makes of what it is given, or why the actor's network cannot.
pub(crate) fn apply(network: &mut Network<'_>, node: &Node<'_>, given: &Given<'_>) -> Result<Known, String> {
    let allowed: &[&str] = match node.operator {
        "Constant" => &["value", "value_float", "value_floats"],
        "Gemm" => &["alpha", "beta", "transA", "transB"],
        "Flatten" | "Concat" => &["axis"],
        "LeakyRelu" => &["alpha"],
        _ => &[],
    };
    if let Some(other) = node.attributes.iter().find(|attribute| !allowed.contains(&attribute.name)) {
        return Err(format!("has an attribute {:?}, which is not known", crate::import::shown(other.name)));
    }
    // Whatever it does, it goes through what it is given, and may copy it.
    let size = |known: &Option<&Known>| match known {
        Some(Known::Signal(signal)) => signal.size(),
        Some(Known::Constant(_)) | None => 0,
    };
    network.spend(given.iter().map(size).sum())?;
    if node.operator == "Constant" {
        return constant(node).map(Known::Constant);
    }
    signal(network, node, given).map(Known::Signal)
}

fn signal(network: &mut Network<'_>, node: &Node<'_>, given: &Given<'_>) -> Result<Signal, String> {
    match node.operator {
        "Gemm" => gemm(network, node, given),
        "MatMul" => {
            let (input, matrix) = signal_and_constant(given)?;
            let rows = network.weighed(input, matrix, false)?;
            Ok(network.signal(input.depth, rows.into_iter().map(|row| (row, Tail::NONE)).collect()))
        }
        "Relu" => network.bent(only(given)?, 1.0, 0.0),
        "LeakyRelu" => {
            let leak = node.attribute("alpha").map_or(Some(LEAK), |alpha| alpha.float).unwrap_or(LEAK);
            network.bent(only(given)?, 1.0, -f64::from(leak))
        }
        "Abs" => network.bent(only(given)?, 1.0, 1.0),
        "Neg" => {
            let input = only(given)?;
            let negated = input.clone().map(|_, tail| tail.times(-1.0));
            Ok(Signal { is_negated: !input.is_negated, ..negated })
        }
        "Identity" => only(given).cloned(),
        "Flatten" => match int(node, "axis", 1)? {
            1 => only(given).cloned(),
            other => Err(format!("flattens from axis {other}, and rows are kept from axis 1 on")),
        },
        "Concat" => concat(network, node, given),
        "Sigmoid" => {
            let input = only(given)?;
            let parts = input.rows()?.into_iter().map(|row| (row, Tail::NONE)).collect();
            Ok(Signal { is_squashed: true, ..network.signal(input.depth, parts) })
        }
        "Clip" => clip(network, given),
        "Add" | "Sub" | "Mul" | "Div" | "Max" | "Min" => elementwise(network, node.operator, given),
        _ => Err("is not one of those that a policy's network can stand for: Gemm, MatMul, Add, Sub, Mul, Div, Relu, LeakyRelu, \
                  Abs, Neg, Concat, Flatten, Identity, Constant, Clip, Max and Min for setpoints, Sigmoid for deviations"
            .to_owned()),
    }
}

/// The one input, which follows the state.
fn only<'a>(given: &Given<'a>) -> Result<&'a Signal, String> {
    match given {
        [Some(Known::Signal(signal))] => Ok(signal),
        [_] => Err("takes nothing that follows the state".to_owned()),
        _ => Err(format!("has {} inputs, and needs one", given.len())),
    }
}

fn signal_and_constant<'a>(given: &Given<'a>) -> Result<(&'a Signal, &'a Constant), String> {
    match given {
        [Some(Known::Signal(signal)), Some(Known::Constant(constant))] => Ok((signal, constant)),
        [_, _] => Err("needs values that follow the state, and then numbers that do not".to_owned()),
        _ => Err(format!("has {} inputs, and needs two", given.len())),
    }
}

fn int(node: &Node<'_>, name: &str, usual: i64) -> Result<i64, String> {
    node.attribute(name).map_or(Ok(usual), |attribute| attribute.int.ok_or_else(|| format!("has no number as {name}")))
}

fn float(node: &Node<'_>, name: &str) -> Result<f64, String> {
    let float = node.attribute(name).map_or(Some(1.0), |attribute| attribute.float);
    let float = float.filter(|float| float.is_finite()).ok_or_else(|| format!("has no finite number as {name}"))?;
    Ok(f64::from(float))
}

fn constant(node: &Node<'_>) -> Result<Constant, String> {
    match node.attributes.as_slice() {
        [Attribute { name: "value", tensor: Some(tensor), .. }] => tensor.constant().map_err(|error| error.to_string()),
        [Attribute { name: "value_float", float: Some(float), .. }] => Constant::of(Vec::new(), vec![*float]),
        [Attribute { name: "value_floats", floats, .. }] => Constant::of(vec![floats.len()], floats.clone()),
        _ => Err("has to have one value, of single precision".to_owned()),
    }
}

/// `alpha A B + beta C`.
fn gemm(network: &mut Network<'_>, node: &Node<'_>, given: &Given<'_>) -> Result<Signal, String> {
    let (factors, biases) = given.split_at(given.len().min(2));
    let (input, matrix) = signal_and_constant(factors)?;
    if int(node, "transA", 0)? != 0 {
        return Err("transposes the batch (transA), and rows are states".to_owned());
    }
    let by_rows = int(node, "transB", 0)? != 0;
    let (alpha, beta) = (float(node, "alpha")?, float(node, "beta")?);
    let mut rows = network.weighed(input, matrix, by_rows)?;
    if alpha != 1.0 {
        rows = rows.iter().map(|row| row.with(Tail::NONE.times(alpha))).collect();
    }
    match biases {
        [] | [None] => {}
        [Some(Known::Constant(biases))] => {
            for (row, bias) in rows.iter_mut().zip(broadcast(biases, matrix_outputs(matrix, by_rows))?) {
                // Adding nothing would turn a negative zero.
                row.bias = if row.bias == 0.0 { bias * beta } else { row.bias + bias * beta };
            }
        }
        _ => return Err("adds something that follows the state".to_owned()),
    }
    Ok(network.signal(input.depth, rows.into_iter().map(|row| (row, Tail::NONE)).collect()))
}

fn matrix_outputs(matrix: &Constant, by_rows: bool) -> usize {
    let outputs = if by_rows { matrix.shape.first() } else { matrix.shape.last() };
    outputs.copied().unwrap_or_default()
}

fn concat(network: &mut Network<'_>, node: &Node<'_>, given: &Given<'_>) -> Result<Signal, String> {
    if !matches!(int(node, "axis", 0)?, 1 | -1) {
        return Err("joins states, and not what belongs to one (axis 1)".to_owned());
    }
    let signals = given.iter().map(|known| match known {
        Some(Known::Signal(signal)) => Ok(signal),
        _ => Err("joins numbers that do not follow the state".to_owned()),
    });
    let signals = signals.collect::<Result<Vec<_>, _>>()?;
    let Some(depth) = signals.iter().map(|signal| signal.depth).max() else {
        return Err("joins nothing".to_owned());
    };
    let mut parts = Vec::new();
    for signal in &signals {
        if signal.is_squashed != signals.iter().any(|signal| signal.is_squashed) {
            return Err("joins what comes out of a Sigmoid with something else".to_owned());
        }
        parts.extend(network.passed_on((*signal).clone(), depth)?.parts);
    }
    let is_squashed = signals.iter().any(|signal| signal.is_squashed);
    Ok(Signal { is_squashed, ..network.signal(depth, parts) })
}

fn clip(network: &mut Network<'_>, given: &Given<'_>) -> Result<Signal, String> {
    let [Some(Known::Signal(input)), limits @ ..] = given else {
        return Err("takes nothing that follows the state".to_owned());
    };
    let limit = |place: usize| match limits.get(place) {
        None | Some(None) => Ok(None),
        Some(Some(Known::Constant(limit))) => broadcast(limit, input.width()).map(Some),
        Some(Some(Known::Signal(_))) => Err("has limits that follow the state".to_owned()),
    };
    let (least, most) = (limit(0)?, limit(1)?);
    let clipped = input.clone().map(|place, tail| {
        let at = |limits: &Option<Vec<f64>>| limits.as_ref().and_then(|limits| limits.get(place).copied());
        let tail = at(&least).map_or(tail, |least| tail.at_least(least));
        at(&most).map_or(tail, |most| tail.at_most(most))
    });
    Ok(anew(network, clipped))
}

/// An operation with a number for each value, on either side where the order does not matter.
fn elementwise(network: &mut Network<'_>, operator: &str, given: &Given<'_>) -> Result<Signal, String> {
    let (signal, constant, is_first) = match given {
        [Some(Known::Signal(signal)), Some(Known::Constant(constant))] => (signal, constant, true),
        [Some(Known::Constant(constant)), Some(Known::Signal(signal))] => (signal, constant, false),
        [Some(_), Some(_)] => {
            return Err("has to have one input that follows the state, and one that does not".to_owned());
        }
        _ => return Err(format!("has {} inputs, and needs two", given.len())),
    };
    let numbers = broadcast(constant, signal.width())?;
    if operator == "Div" && (!is_first || numbers.contains(&0.0)) {
        return Err("divides by zero, or by what follows the state".to_owned());
    }
    let applied = signal.clone().map(|place, tail| {
        let number = numbers.get(place).copied().unwrap_or_default();
        match operator {
            "Add" => tail.plus(number),
            "Sub" if is_first => tail.plus(-number),
            "Sub" => tail.times(-1.0).plus(number),
            "Mul" => tail.times(number),
            "Div" => tail.over(number),
            "Max" => tail.at_least(number),
            _ => tail.at_most(number),
        }
    });
    Ok(anew(network, applied))
}

/// The signal as sums that are like no others.
fn anew(network: &mut Network<'_>, signal: Signal) -> Signal {
    let Signal { depth, is_squashed, parts, .. } = signal;
    Signal { is_squashed, ..network.signal(depth, parts) }
}

#[cfg(test)]
mod tests {
    use policy::actor_spec;

    use super::*;

    fn attribute(name: &str, float: f32) -> Attribute<'_> {
        Attribute { name, float: Some(float), ..Attribute::default() }
    }

    #[test]
    fn gemm_weighs_its_product_with_alpha_and_its_biases_with_beta() {
        let spec = actor_spec(2, 1);
        let mut network = Network::of(&spec, 1).unwrap();
        let state = network.state([Tail::NONE; 2].into_iter());
        let matrix = Constant::of(vec![2, 1], vec![3.0, -5.0]).unwrap();
        let biases = Constant::of(vec![1], vec![7.0]).unwrap();
        let given = [Known::Signal(state), Known::Constant(matrix), Known::Constant(biases)];
        let given: Vec<_> = given.iter().map(Some).collect();
        let attributes = vec![attribute("alpha", 0.5), attribute("beta", -2.0)];
        let mut node = Node { operator: "Gemm", attributes, ..Node::default() };
        let Known::Signal(sums) = apply(&mut network, &node, &given).unwrap() else { panic!("a signal") };
        let rows = sums.rows().unwrap();
        assert_eq!((rows[0].terms.as_slice(), rows[0].bias), ([(0, 1.5), (1, -2.5)].as_slice(), -14.0));
        node.attributes.push(Attribute { name: "transA", int: Some(1), ..Attribute::default() });
        assert!(apply(&mut network, &node, &given).unwrap_err().contains("transA"));
        node.attributes.push(attribute("gamma", 1.0));
        assert!(apply(&mut network, &node, &given).unwrap_err().contains("\"gamma\", which is not known"));
    }

    #[test]
    fn a_leaky_relu_leaks_alpha_of_what_is_below() {
        let spec = actor_spec(1, 1);
        let mut network = Network::of(&spec, 1).unwrap();
        let state = Known::Signal(network.state([Tail::NONE].into_iter()));
        let node = Node { operator: "LeakyRelu", attributes: vec![attribute("alpha", 0.25)], ..Node::default() };
        let Known::Signal(bent) = apply(&mut network, &node, &[Some(&state)]).unwrap() else { panic!("a signal") };
        assert_eq!(bent.rows().unwrap()[0].terms, [(0, 1.0), (policy::HIDDEN, -0.25)]);
    }

    #[test]
    fn constants_are_numbers_of_single_precision() {
        let spec = actor_spec(1, 1);
        let mut network = Network::of(&spec, 1).unwrap();
        let mut made = |attribute| {
            apply(&mut network, &Node { operator: "Constant", attributes: vec![attribute], ..Node::default() }, &[])
        };
        let Ok(Known::Constant(one)) = made(attribute("value_float", 2.5)) else { panic!("a constant") };
        assert_eq!((one.shape.len(), one.values.as_slice()), (0, [2.5].as_slice()));
        let floats = Attribute { name: "value_floats", floats: vec![1.0, 2.0], ..Attribute::default() };
        let Ok(Known::Constant(both)) = made(floats) else { panic!("a constant") };
        assert_eq!((both.shape.as_slice(), both.values.as_slice()), ([2].as_slice(), [1.0, 2.0].as_slice()));
        assert!(made(attribute("value_float", f32::NAN)).is_err());
        assert!(made(attribute("value_int", 1.0)).is_err());
    }
}

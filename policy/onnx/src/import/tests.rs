use policy::file::{Trust, from_bytes, to_bytes};
use policy::kernels::{Kernel, PackedNet};
use proptest::prelude::*;

use super::*;
use crate::graph::Graph;
use crate::protobuf::Message;
use crate::to_model;

fn purpose() -> Purpose {
    let site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).expect("the example is valid").site;
    Purpose::of(&site)
}

fn origin() -> Origin {
    Origin { created_by: "corerl 1.2.3".to_owned(), generation: 7, updates: 5, nominal: false }
}

/// Numbers from -1 to 1 that are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn many(&mut self, count: usize, scale: f32) -> Vec<f32> {
        (0..count).map(|_| scale * self.next()).collect()
    }
}

fn read(bytes: &[u8]) -> Result<Imported, ImportRefused> {
    from_model(bytes, &purpose(), &Reading::default())
}

fn refused(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

/// Means of the imported policy, and deviations.
fn decide(purpose: &Purpose, imported: &Imported, columns: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let spec = purpose.spec().unwrap();
    let mut net = PackedNet::new(&spec.actor).unwrap();
    net.pack(&imported.parameters[..spec.actor.parameters()]).unwrap();
    let (mut scratch, mut outputs) = (net.scratch(), vec![0.0; spec.actor.outputs()]);
    net.forward(Kernel::best(), columns, &mut scratch, &mut outputs);
    let (means, logits) = outputs.split_at(purpose.actions.len());
    (means.to_vec(), logits.iter().map(|logit| policy::sigma(*logit)).collect())
}

#[test]
fn what_was_exported_comes_back_bit_for_bit() {
    let purpose = purpose();
    let count = purpose.spec().unwrap().parameters();
    let mut random = Numbers(3).many(count, 0.3);
    // Zeros of both signs, and whole halves that are the same: a nominal policy.
    random.iter_mut().step_by(7).for_each(|number| *number = -0.0);
    for parameters in [random, vec![0.0; count], vec![-0.0; count]] {
        let imported = read(&to_model(&purpose, &origin(), &parameters).unwrap()).unwrap();
        let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect::<Vec<_>>();
        assert!(bits(&imported.parameters) == bits(&parameters));
        assert_eq!(imported.origin, origin());
        assert!(imported.is_named && imported.has_deviations && imported.ignored.is_empty());
        let files = [&parameters, &imported.parameters].map(|numbers| to_bytes(&purpose, &imported.origin, numbers));
        let [before, after] = files.map(Result::unwrap);
        assert!(before == after, "the files are the same, manifests included");
        assert!(from_bytes(&after, &purpose, &Trust { keys: Vec::new(), lab: true }).is_ok());
    }
}

/// A perceptron as other people train them.
struct Perceptron {
    /// Subtracted from each column, then divided by.
    normal: (Vec<f32>, Vec<f32>),
    /// Inputs, outputs, weights `[output][input]`, biases.
    layers: Vec<(usize, usize, Vec<f32>, Vec<f32>)>,
}

impl Perceptron {
    fn random(seed: u64, purpose: &Purpose, hidden: &[usize]) -> Self {
        let mut numbers = Numbers(seed);
        let columns = purpose.columns.as_slice();
        let middle = columns.iter().map(|column| (0.5 * (column.zero + column.one)) as f32).collect();
        let spread = columns.iter().map(|column| (0.3 * (column.one - column.zero)) as f32).collect();
        let sizes: Vec<usize> = [&[columns.len()], hidden, &[purpose.actions.len()]].concat();
        let layer = |pair: &[usize]| {
            let (inputs, outputs) = (pair[0], pair[1]);
            let weights = numbers.many(inputs * outputs, 1.0 / (inputs as f32).sqrt());
            (inputs, outputs, weights, numbers.many(outputs, 0.3))
        };
        Self { normal: (middle, spread), layers: sizes.windows(2).map(layer).collect() }
    }

    /// What it makes of a state, in double precision.
    fn answer(&self, state: &[f64]) -> Vec<f64> {
        let (middle, spread) = &self.normal;
        let normal = state.iter().zip(middle.iter().zip(spread));
        let mut values: Vec<f64> =
            normal.map(|(x, (middle, spread))| (x - f64::from(*middle)) / f64::from(*spread)).collect();
        for (place, (inputs, _, weights, biases)) in self.layers.iter().enumerate() {
            let sum = |(row, bias): (&[f32], &f32)| {
                f64::from(*bias) + row.iter().zip(&values).map(|(w, x)| f64::from(*w) * x).sum::<f64>()
            };
            let sums: Vec<f64> = weights.chunks_exact(*inputs).zip(biases).map(sum).collect();
            let is_last = place + 1 == self.layers.len();
            values = sums.into_iter().map(|sum| if is_last { sum } else { sum.max(0.0) }).collect();
        }
        values
    }

    /// As a model: each layer written in another way.
    fn model(&self) -> Vec<u8> {
        let mut graph = Graph::default();
        let columns = self.normal.0.len();
        graph.input("observation", columns);
        graph.constant("middle", &[1, columns], &self.normal.0);
        graph.constant("spread", &[columns], &self.normal.1);
        graph.node("Sub", &["observation", "middle"], &[], "centred");
        let mut value = graph.node("Div", &["centred", "spread"], &[], "normal");
        for (number, (inputs, outputs, weights, biases)) in self.layers.iter().enumerate() {
            let named = |part: &str| format!("{part}{number}");
            let by_columns: Vec<f32> =
                (0..*inputs).flat_map(|input| weights.iter().skip(input).step_by(*inputs)).copied().collect();
            let (weight, bias) = (named("weight"), named("bias"));
            graph.constant(&bias, &[*outputs], biases);
            value = match number % 3 {
                0 => {
                    graph.constant(&weight, &[*outputs, *inputs], weights);
                    graph.node("Gemm", &[&value, &weight, &bias], &[("transB", 1)], &named("sums"))
                }
                1 => {
                    graph.constant(&weight, &[*inputs, *outputs], &by_columns);
                    graph.node("Gemm", &[&value, &weight, &bias], &[], &named("sums"))
                }
                _ => {
                    graph.constant(&weight, &[*inputs, *outputs], &by_columns);
                    let product = graph.node("MatMul", &[&value, &weight], &[], &named("product"));
                    graph.node("Add", &[&bias, &product], &[], &named("sums"))
                }
            };
            if number + 1 < self.layers.len() {
                value = graph.node("Relu", &[&value], &[], &named("bent"));
            }
        }
        graph.output(&value, self.layers.last().unwrap().1);
        graph.into_model("foreign", ("pytorch", "9.9"), &[])
    }
}

/// The farthest that the imported policy's setpoints are from the perceptron's, in widths of their scales.
fn apart(perceptron: &Perceptron, purpose: &Purpose, imported: &Imported) -> f64 {
    let mut numbers = Numbers(99);
    let mut apart: f64 = 0.0;
    for _ in 0..50 {
        let columns: Vec<f32> = (0..purpose.columns.len()).map(|_| 0.5 + 0.6 * numbers.next()).collect();
        let engineering = purpose.columns.as_slice().iter().zip(&columns);
        let state: Vec<f64> =
            engineering.map(|(column, share)| column.zero + (column.one - column.zero) * f64::from(*share)).collect();
        let (means, _) = decide(purpose, imported, &columns);
        for ((mean, setpoint), action) in means.iter().zip(perceptron.answer(&state)).zip(&purpose.actions) {
            let expected = (setpoint - action.zero) / (action.one - action.zero);
            apart = apart.max((f64::from(*mean) - expected).abs());
        }
    }
    apart
}

#[test]
fn perceptrons_of_up_to_two_hidden_layers_decide_here_as_they_do_elsewhere() {
    let purpose = purpose();
    let shapes: [&[usize]; 6] = [&[], &[1], &[5], &[128], &[64, 64], &[128, 128]];
    for (seed, hidden) in (1..).zip(shapes) {
        let perceptron = Perceptron::random(seed, &purpose, hidden);
        let imported = read(&perceptron.model()).unwrap();
        let apart = apart(&perceptron, &purpose, &imported);
        assert!(apart < 1e-5, "{hidden:?}: {apart}");
        assert!(!imported.has_deviations && !imported.is_named);
        let (_, deviations) = decide(&purpose, &imported, &vec![0.5; purpose.columns.len()]);
        assert!(deviations.iter().all(|deviation| *deviation < 1.001 * SIGMA_MIN), "{deviations:?}");
        assert_eq!((imported.origin.created_by.as_str(), imported.origin.generation), ("pytorch 9.9", 1));
    }
}

/// A model with these nodes between `x`, which has the columns of the example, and `y`.
fn drawn(draw: impl FnOnce(&mut Graph, usize, usize)) -> Vec<u8> {
    let purpose = purpose();
    let mut graph = Graph::default();
    let (columns, actions) = (purpose.columns.len(), purpose.actions.len());
    graph.input("x", columns);
    graph.output("y", actions);
    draw(&mut graph, columns, actions);
    graph.into_model("drawn", ("test", "1"), &[])
}

/// The head that every policy needs.
fn head(graph: &mut Graph, input: &str, inputs: usize, actions: usize) {
    graph.constant("head", &[inputs, actions], &vec![0.01; inputs * actions]);
    graph.node("MatMul", &[input, "head"], &[], "y");
}

#[test]
fn what_bends_at_zero_is_one_hidden_layer_whatever_it_is_called() {
    type Bend = fn(f32) -> f32;
    let purpose = purpose();
    let answers = |operator: &str| {
        let bytes = drawn(|graph, columns, actions| {
            graph.constant("w", &[columns, 3], &Numbers(5).many(3 * columns, 1.0));
            graph.node("MatMul", &["x", "w"], &[], "sums");
            graph.node(operator, &["sums"], &[], "bent");
            graph.node("Identity", &["bent"], &[], "same");
            graph.node("Flatten", &["same"], &[("axis", 1)], "flat");
            head(graph, "flat", 3, actions);
        });
        let reading = Reading { scale: Scale::Shares, output: None };
        let imported = from_model(&bytes, &purpose, &reading).unwrap();
        decide(&purpose, &imported, &Numbers(6).many(purpose.columns.len(), 1.0)).0[0]
    };
    let weights = Numbers(5).many(3 * purpose.columns.len(), 1.0);
    let state = Numbers(6).many(purpose.columns.len(), 1.0);
    let expected = |bend: Bend| {
        let sum = |unit: usize| state.iter().zip(weights.iter().skip(unit).step_by(3)).map(|(x, w)| x * w).sum();
        (0..3).map(sum).map(bend).sum::<f32>() * 0.01
    };
    let bends: [(&str, Bend); 5] = [
        ("Relu", |x| x.max(0.0)),
        ("LeakyRelu", |x| x.max(0.01 * x)),
        ("Abs", f32::abs),
        ("Neg", |x| -x),
        ("Identity", |x| x),
    ];
    for (operator, bend) in bends {
        let (found, expected) = (answers(operator), expected(bend));
        assert!((found - expected).abs() < 1e-6, "{operator}: {found}, not {expected}");
    }
}

#[test]
fn whatever_cannot_be_expressed_is_refused_by_the_name_of_its_operator() {
    let said = |operator: &'static str| {
        refused(&drawn(|graph, columns, actions| {
            graph.node(operator, &["x"], &[], "bent");
            head(graph, "bent", columns, actions);
        }))
    };
    for operator in ["Tanh", "Softplus", "Elu", "Reshape", "Loop", "If", "Scan"] {
        let said = said(operator);
        assert!(said.starts_with(&format!("operator {operator} (`bent`) is not one of those")), "{said}");
    }
    assert!(said("Sigmoid").contains("operator MatMul (`y`) uses what comes out of a Sigmoid"));
    let hostile = said("\u{1b}[31mRed");
    assert!(hostile.starts_with("operator \\u{1b}[31mRed"), "{hostile}");
}

#[test]
fn networks_that_are_larger_than_a_policys_are_refused_by_their_layer() {
    let said = |widths: &[usize]| refused(&Perceptron::random(1, &purpose(), widths).model());
    assert!(said(&[129]).contains("makes 129 units in hidden layer 1, and a policy has 128"), "{}", said(&[129]));
    assert!(said(&[8, 200]).contains("makes 200 units in hidden layer 2"), "{}", said(&[8, 200]));
    assert!(said(&[8, 8, 8]).contains("makes hidden layer 3, and a policy has 2"), "{}", said(&[8, 8, 8]));
}

#[test]
fn shapes_that_do_not_agree_are_refused_where_they_do_not() {
    let said = |shape: &'static [usize]| {
        refused(&drawn(|graph, _, actions| {
            graph.constant("w", shape, &vec![0.1; shape.iter().product()]);
            graph.node("MatMul", &["x", "w"], &[], "sums");
            head(graph, "sums", 3, actions);
        }))
    };
    let columns = purpose().columns.len();
    assert!(said(&[7, 3]).contains(&format!("multiplies {columns} values with a matrix for 7")));
    assert!(said(&[12]).contains("shape [12], and needs a matrix"));
    let bias = refused(&drawn(|graph, columns, _| {
        graph.constant("b", &[3], &[0.1; 3]);
        graph.node("Add", &["x", "b"], &[], "y");
        assert!(columns != 3);
    }));
    assert!(bias.contains("operator Add (`y`) puts numbers of shape [3] to"), "{bias}");
    let outputs = refused(&drawn(|graph, columns, actions| {
        graph.constant("w", &[columns, actions + 1], &vec![0.1; columns * (actions + 1)]);
        graph.node("MatMul", &["x", "w"], &[], "y");
    }));
    assert!(outputs.contains("output `y` has 3 values, and the site has 2 setpoints"), "{outputs}");
    let mut graph = Graph::default();
    graph.input("x", 4);
    graph.output("y", 1);
    let narrow = refused(&graph.into_model("narrow", ("test", "1"), &[]));
    assert!(narrow.contains(&format!("input `x` has 4 values, but the state of this site has {columns}")), "{narrow}");
}

#[test]
fn graphs_that_lack_something_or_have_it_twice_are_refused_by_its_name() {
    let missing = refused(&drawn(|graph, _, _| drop(graph.node("MatMul", &["x", "w"], &[], "y"))));
    assert!(missing.contains("takes `w`, which nothing makes: an initialiser is missing"), "{missing}");
    let round = refused(&drawn(|graph, columns, actions| {
        graph.node("Relu", &["b"], &[], "a");
        graph.node("Relu", &["a"], &[], "b");
        head(graph, "b", columns, actions);
    }));
    assert!(round.contains("takes `b` before it is made: the graph has a loop"), "{round}");
    let twice = refused(&drawn(|graph, columns, actions| {
        graph.node("Relu", &["x"], &[], "a");
        graph.node("Neg", &["x"], &[], "a");
        head(graph, "a", columns, actions);
    }));
    assert_eq!(twice, "`a` is there twice");
    let constant = refused(&drawn(|graph, columns, actions| {
        graph.constant("head", &[1], &[1.0]);
        head(graph, "x", columns, actions);
    }));
    assert_eq!(constant, "`head` is there twice");
    let nothing = refused(&drawn(|_, _, _| ()));
    assert!(nothing.contains("output `y` is made by nothing"), "{nothing}");
    let fixed = refused(&drawn(|graph, _, actions| {
        graph.constant("y", &[1, actions], &vec![1.0; actions]);
    }));
    assert!(fixed.contains("output `y`"), "{fixed}");
}

#[test]
fn narrower_clips_are_for_the_site_file_and_wider_ones_change_nothing() {
    let scale = |share: f32| {
        let action = &purpose().actions[0];
        (action.zero + f64::from(share) * (action.one - action.zero)) as f32
    };
    let clipped = |low: f32, high: f32| {
        drawn(|graph, columns, actions| {
            graph.constant("w", &[columns, actions], &vec![0.01; columns * actions]);
            graph.constant("low", &[], &[scale(low)]);
            graph.constant("high", &[], &[scale(high)]);
            graph.node("MatMul", &["x", "w"], &[], "free");
            graph.node("Clip", &["free", "low", "high"], &[], "y");
        })
    };
    assert_eq!(read(&clipped(0.0, 1.0)).unwrap().parameters, read(&clipped(-3.0, 9.0)).unwrap().parameters);
    for (low, high) in [(0.1, 1.0), (0.0, 0.9)] {
        let said = refused(&clipped(low, high));
        assert!(said.contains("inside its scale") && said.contains("action_bounds"), "{said}");
    }
    let inside = refused(&drawn(|graph, columns, actions| {
        graph.constant("low", &[], &[0.0]);
        graph.node("Max", &["x", "low"], &[], "bent");
        head(graph, "bent", columns, actions);
    }));
    assert!(inside.contains("operator MatMul (`y`) uses what was clipped"), "{inside}");
}

#[test]
fn what_nobody_asked_for_may_be_anything_and_is_named() {
    let bytes = drawn(|graph, columns, actions| {
        head(graph, "x", columns, actions);
        graph.node("Tanh", &["x"], &[], "value");
        graph.output("value", columns);
    });
    let said = refused(&bytes);
    assert!(said.contains("no output `setpoints` among `y`, `value`") && said.contains("--output"), "{said}");
    let reading = Reading { output: Some("y"), ..Reading::default() };
    assert_eq!(from_model(&bytes, &purpose(), &reading).unwrap().ignored, ["value"]);
}

#[test]
fn a_model_is_of_the_actor_alone_and_comes_back_with_an_imputer_that_knows_nothing() {
    let mut site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).expect("the example is valid").site;
    let rule = rt_config::ImputerRule::MaskedAutoencoder { missing_max: 0.25 };
    site.tags[3].imputer = rt_config::Imputer { rule, horizon: 10 };
    let imputing = Purpose::of(&site);
    let of_actor = imputing.spec().unwrap().actor.parameters();
    let parameters = Numbers(4).many(imputing.spec().unwrap().parameters(), 0.3);
    let model = to_model(&imputing, &origin(), &parameters).unwrap();
    assert_eq!(model, to_model(&purpose(), &origin(), &parameters[..of_actor]).unwrap());
    let imported = from_model(&model, &imputing, &Reading::default()).unwrap().parameters;
    assert_eq!(imported[..of_actor], parameters[..of_actor]);
    assert!(imported.len() == parameters.len() && imported[of_actor..].iter().all(|parameter| *parameter == 0.0));
}

#[test]
fn what_a_model_says_of_its_origin_is_harmless_on_a_terminal() {
    let purpose = purpose();
    let parameters = vec![0.1; purpose.spec().unwrap().parameters()];
    let red = Origin { created_by: "\u{1b}[31mred".repeat(99), ..origin() };
    let imported = read(&to_model(&purpose, &red, &parameters).unwrap()).unwrap();
    let said = imported.origin.created_by;
    assert!(said.starts_with("\\u{1b}[31mred") && said.len() == SHOWN_MAX, "{said}");
}

#[test]
fn a_model_for_another_site_is_refused_by_the_first_name_that_differs() {
    let mut other = purpose();
    let text = serde_json::to_string(&other.columns).unwrap().replacen("LEVEL", "LEVEL_2", 1);
    other.columns = serde_json::from_str(&text).unwrap();
    let parameters = vec![0.1; other.spec().unwrap().parameters()];
    let said = refused(&to_model(&other, &origin(), &parameters).unwrap());
    assert!(said.contains("LEVEL_2") && said.contains("belongs to another tag list"), "{said}");
    let hash = Purpose { tag_list_hash: "0123456789abcdef".to_owned(), ..purpose() };
    let said = refused(&to_model(&hash, &origin(), &parameters).unwrap());
    assert!(said.contains("tag list 0123456789abcdef"), "{said}");
}

/// A model of one product, whose weights are this tensor.
fn with_tensor(tensor: Message, operator_sets: &[(&str, u64)]) -> Vec<u8> {
    let columns = purpose().columns.len() as u64;
    let dimensions = [Message::new().text(2, "batch"), Message::new().number(1, columns)];
    let shape = Message::new().messages(1, &dimensions);
    let of = Message::new().message(1, &Message::new().number(1, 1).message(2, &shape));
    let node = Message::new().texts(1, ["x", "w"]).text(2, "y").text(4, "MatMul");
    let graph = Message::new()
        .message(1, &node)
        .message(5, &tensor)
        .message(11, &Message::new().text(1, "x").message(2, &of))
        .message(12, &Message::new().text(1, "y"));
    let sets = operator_sets.iter().map(|(domain, version)| Message::new().text(1, domain).number(2, *version));
    let sets: Vec<_> = sets.collect();
    Message::new().number(1, 8).message(7, &graph).messages(8, &sets).into_bytes()
}

/// One weight of each column for each of the example's two setpoints.
fn tensor(numbers: &[f32]) -> Message {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Message::new().number(1, numbers.len() as u64 / 2).number(1, 2).number(2, 1).text(8, "w").bytes(9, &bytes)
}

#[test]
fn tensors_and_operator_sets_that_are_not_read_are_refused_by_what_they_are() {
    const SET: &[(&str, u64)] = &[("", 17)];
    let count = 2 * purpose().columns.len();
    let good = tensor(&vec![0.1; count]);
    assert!(read(&with_tensor(good.clone(), SET)).is_ok());
    let said = |tensor: Message| refused(&with_tensor(tensor, SET));
    assert!(said(good.clone().number(2, 11)).contains("initialiser `w` is of data type 11"));
    assert!(said(good.clone().number(14, 1)).contains("lies in another file"));
    assert!(said(good.clone().message(13, &Message::new().text(1, "location"))).contains("lies in another file"));
    assert!(said(tensor(&[])).contains("multiplies"));
    assert!(said(good.clone().number(1, 2)).contains("numbers, its shape"));
    assert!(said(good.clone().number(1, u64::MAX)).contains("larger than any file"));
    for (bad, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let mut numbers = vec![0.1; count];
        numbers[2] = bad;
        assert!(said(tensor(&numbers)).contains(&format!("`w` is {word} at place 2")));
    }
    let set = |sets: &[(&str, u64)]| refused(&with_tensor(good.clone(), sets));
    assert!(set(&[("", 9)]).contains("operator set 9, and 11 to 25 are read"));
    assert!(set(&[("", u64::MAX)]).contains("operator set 18446744073709551615"));
    assert!(set(&[("com.example", 17)]).contains("does not say for which operator set"));
    assert!(refused(b"").contains("no graph"));
    assert!(refused(b"PAR1 or whatever it is").contains("it is no ONNX model"));
}

#[test]
fn an_operator_of_another_domain_is_refused() {
    let node = Message::new().texts(1, ["x", "w"]).text(2, "y").text(4, "MatMul").text(7, "com.example");
    let ports = [(11, "x"), (12, "y")].map(|(field, name)| (field, Message::new().text(1, name)));
    let graph = ports.iter().fold(Message::new().message(1, &node), |graph, (field, port)| graph.message(*field, port));
    let said = refused(&Message::new().message(7, &graph).message(8, &Message::new().number(2, 17)).into_bytes());
    assert!(said.contains("operator MatMul (`y`) belongs to the domain \"com.example\""), "{said}");
}

#[test]
fn models_that_take_too_long_to_read_are_refused() {
    let said = refused(&drawn(|graph, columns, actions| {
        let mut value = "x".to_owned();
        graph.constant("up", &[columns, 2_048], &vec![0.1; columns * 2_048]);
        graph.constant("across", &[2_048, 2_048], &vec![0.1; 2_048 * 2_048]);
        value = graph.node("MatMul", &[&value, "up"], &[], "wide");
        for round in 0..50 {
            value = graph.node("MatMul", &[&value, "across"], &[], &format!("round{round}"));
        }
        head(graph, &value, 2_048, actions);
    }));
    assert!(said.contains("products to read"), "{said}");
    let copied = refused(&drawn(|graph, columns, actions| {
        graph.constant("up", &[columns, 20_000], &vec![0.1; columns * 20_000]);
        let mut value = graph.node("MatMul", &["x", "up"], &[], "wide");
        for round in 0..4_000 {
            value = graph.node("Identity", &[&value], &[], &format!("copy{round}"));
        }
        head(graph, &value, 20_000, actions);
    }));
    assert!(copied.contains("operator Identity") && copied.contains("products to read"), "{copied}");
}

fn genuine() -> Vec<u8> {
    Perceptron::random(4, &purpose(), &[3, 2]).model()
}

#[test]
fn a_model_that_is_cut_short_anywhere_is_no_policy() {
    let bytes = genuine();
    assert!(read(&bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(read(&bytes[..length]).is_err(), "{length} of {}", bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_changed_byte_panics(at in 0_usize..100_000, value: u8, at2 in 0_usize..100_000, value2: u8) {
        let mut bytes = genuine();
        let length = bytes.len();
        bytes[at % length] = value;
        bytes[at2 % length] = value2;
        if let Ok(imported) = read(&bytes) {
            prop_assert_eq!(imported.parameters.len(), purpose().spec().unwrap().parameters());
            prop_assert!(!imported.parameters.iter().any(|parameter| parameter.is_subnormal()));
        }
    }
}

//! Looking at policy files, and at what is different in two of them.

use std::path::Path;

use policy::file::{self, Claims, Origin, Purpose};
use policy::pipeline::Column;
use serde::Serialize;

use super::file_refused;
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

/// What is told of one layer's numbers.
#[derive(Debug, Serialize)]
struct LayerFacts {
    inputs: usize,
    outputs: usize,
    activation: String,
    /// Root of the mean square.
    typical: f64,
    /// The largest magnitude.
    largest: f64,
}

/// How far one layer's numbers are from another one's.
#[derive(Debug, Serialize)]
struct LayerDifference {
    /// Length of the difference in lengths of the first one.
    relative: f64,
    /// The largest difference of two numbers.
    largest: f64,
}

fn claims_of(path: &Path) -> Result<Claims, Failure> {
    let bytes = file::read(path).map_err(|refused| file_refused(path, &refused))?;
    file::claims(&bytes).map_err(|refused| file_refused(path, &refused))
}

/// The numbers of each layer, weights and biases.
fn layers(claims: &Claims) -> impl Iterator<Item = &[f32]> {
    let mut rest = claims.parameters.as_slice();
    claims.spec.nets().flat_map(|net| &net.layers).map(move |layer| {
        let (own, after) = rest.split_at_checked(layer.parameters()).unwrap_or((rest, &[]));
        rest = after;
        own
    })
}

fn length(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.map(|number| number * number).sum::<f64>().sqrt()
}

fn largest(numbers: impl Iterator<Item = f64>) -> f64 {
    numbers.map(f64::abs).fold(0.0, f64::max)
}

pub(super) fn inspect(path: &Path, json: bool) -> Result<Exit, Failure> {
    let claims = claims_of(path)?;
    let facts: Vec<LayerFacts> = claims
        .manifest
        .purpose
        .layers
        .iter()
        .chain(&claims.manifest.purpose.imputer)
        .zip(layers(&claims))
        .map(|(layer, numbers)| {
            let each = || numbers.iter().map(|number| f64::from(*number));
            LayerFacts {
                inputs: layer.inputs,
                outputs: layer.outputs,
                activation: layer.activation.clone(),
                typical: length(each()) / (numbers.len().max(1) as f64).sqrt(),
                largest: largest(each()),
            }
        })
        .collect();
    if json {
        #[derive(Serialize)]
        struct Inspection<'a> {
            file: &'a Path,
            manifest: &'a file::Manifest,
            parameters: usize,
            layers: &'a [LayerFacts],
        }
        let inspection =
            Inspection { file: path, manifest: &claims.manifest, parameters: claims.parameters.len(), layers: &facts };
        print_json("corerl.model/1", &inspection)?;
    } else {
        print_text(&text(&claims, &facts))?;
    }
    Ok(Exit::Fine)
}

fn text(claims: &Claims, facts: &[LayerFacts]) -> String {
    let Origin { created_by, generation, updates, nominal } = &claims.manifest.origin;
    let signer = claims.manifest.signature.as_ref().map_or("nobody", |signature| signature.key.as_str());
    let of_nominal = if *nominal { ", which holds the nominal setpoints" } else { "" };
    let mut text = table(&[
        ["made by".to_owned(), created_by.clone()],
        ["generation".to_owned(), format!("{generation}, after {updates} updates{of_nominal}")],
        ["signed by".to_owned(), format!("{signer} (`corerl model verify` says whether that is so)")],
        ["tag list".to_owned(), claims.manifest.purpose.tag_list_hash.clone()],
    ]);
    let Purpose { columns, actions, layers, .. } = &claims.manifest.purpose;
    text += "\nsetpoints\n";
    text += &columns_text(actions);
    let (of_actor, of_imputer) = facts.split_at(layers.len().min(facts.len()));
    text += "\nlayers\n";
    text += &layers_text(of_actor);
    if !of_imputer.is_empty() {
        text += "\nlayers of the imputer\n";
        text += &layers_text(of_imputer);
    }
    text += "\ncolumns of the state\n";
    text + &columns_text(columns.as_slice())
}

fn layers_text(facts: &[LayerFacts]) -> String {
    let mut rows = vec![["inputs", "outputs", "activation", "typical", "largest"].map(str::to_owned)];
    rows.extend(facts.iter().map(|of| {
        let [typical, largest] = [of.typical, of.largest].map(|number| format!("{number:.4}"));
        [of.inputs.to_string(), of.outputs.to_string(), of.activation.clone(), typical, largest]
    }));
    table(&rows)
}

fn columns_text(columns: &[Column]) -> String {
    let row = |column: &Column| {
        [format!("  {}", column.name), format!("{} to {}", column.zero, column.one), column.unit.clone()]
    };
    table(&columns.iter().map(row).collect::<Vec<_>>())
}

pub(super) fn diff(one: &Path, other: &Path, json: bool) -> Result<Exit, Failure> {
    let (ones, others) = (claims_of(one)?, claims_of(other)?);
    let purpose = purposes_differ(&ones.manifest.purpose, &others.manifest.purpose);
    let differences: Vec<LayerDifference> = match purpose {
        Some(_) => Vec::new(),
        None => layers(&ones).zip(layers(&others)).map(|(one, other)| difference(one, other)).collect(),
    };
    let same = purpose.is_none() && ones.parameters == others.parameters;
    if json {
        #[derive(Serialize)]
        struct Differences<'a> {
            same: bool,
            purpose: Option<&'a str>,
            layers: &'a [LayerDifference],
        }
        print_json("corerl.model/1", &Differences { same, purpose: purpose.as_deref(), layers: &differences })?;
    } else if let Some(purpose) = &purpose {
        print_text(&format!("they are for different agents: {purpose}\n"))?;
    } else if same {
        print_text("they have the same parameters\n")?;
    } else {
        let mut rows = vec![["layer", "relative difference", "largest difference"].map(str::to_owned)];
        rows.extend(
            differences
                .iter()
                .enumerate()
                .map(|(layer, of)| [layer.to_string(), format!("{:.4}", of.relative), format!("{:.4}", of.largest)]),
        );
        print_text(&table(&rows))?;
    }
    Ok(if same { Exit::Fine } else { Exit::CheckFailed })
}

/// The first thing that is different in what two policies are for.
fn purposes_differ(one: &Purpose, other: &Purpose) -> Option<String> {
    let lists = [
        ("column", one.columns.as_slice(), other.columns.as_slice()),
        ("setpoint", one.actions.as_slice(), other.actions.as_slice()),
    ];
    for (what, ones, others) in lists {
        for place in 0..ones.len().max(others.len()) {
            let (one, other) = (ones.get(place), others.get(place));
            if one != other {
                let name = |column: Option<&Column>| {
                    column.map_or_else(
                        || "nothing".to_owned(),
                        |column| format!("{} from {} to {} {}", column.name, column.zero, column.one, column.unit),
                    )
                };
                return Some(format!("{what} {place} is {} here and {} there", name(one), name(other)));
            }
        }
    }
    (one.layers != other.layers).then(|| "their networks have different layers".to_owned())
}

fn difference(one: &[f32], other: &[f32]) -> LayerDifference {
    let apart = || one.iter().zip(other).map(|(one, other)| f64::from(one - other));
    let own = length(one.iter().map(|number| f64::from(*number)));
    LayerDifference { relative: length(apart()) / own.max(f64::MIN_POSITIVE), largest: largest(apart()) }
}

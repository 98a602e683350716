//! Policies in somebody else's runtime, and somebody else's in ours: how far their setpoints are apart, as JSON. For `cargo xtask
//! interop`, which says where Python and the scripts are: `evaluate-model PYTHON DIRECTORY`.
#![forbid(unsafe_code)]

mod scripts;

use std::process::ExitCode;

use onnx::{Imported, Reading};
use policy::file::{Origin, Purpose};
use policy::kernels::{Kernel, PackedNet};
use policy::pipeline::Column;
use serde_json::{Value, json};

use scripts::Scripts;

/// States that both are asked.
const STATES: usize = 200;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match compare(&words) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("evaluate-model: {message}");
            ExitCode::FAILURE
        }
    }
}

fn compare(words: &[String]) -> Result<Value, String> {
    let scripts = Scripts::new(words)?;
    let site =
        rt_config::parse(rt_config::example(), "site.yaml".as_ref()).map_err(|refused| refused.to_string())?.site;
    let purpose = Purpose::of(&site);
    let mut numbers = Numbers(1);
    let states: Vec<Vec<f32>> = (0..STATES).map(|_| state(purpose.columns.as_slice(), &mut numbers)).collect();
    Ok(json!({
        "exported": exported(&scripts, &purpose, &states, &mut numbers)?,
        "foreign": foreign(&scripts, &purpose, &states)?,
    }))
}

/// Exports a policy, has it evaluated, and imports it again.
fn exported(scripts: &Scripts, purpose: &Purpose, states: &[Vec<f32>], numbers: &mut Numbers) -> Result<Value, String> {
    let count = purpose.spec().ok_or("the example has no network")?.parameters();
    let parameters: Vec<f32> = (0..count).map(|_| (0.2 * numbers.next() - 0.1) as f32).collect();
    let origin = Origin { created_by: "corerl 0".to_owned(), generation: 1, updates: 0, nominal: false };
    let model = onnx::to_model(purpose, &origin, &parameters).map_err(|error| error.to_string())?;
    let given = scripts.evaluate(&model, states)?;
    let imported = import(&model, purpose)?;
    let bits = |parameters: &[f32]| parameters.iter().map(|parameter| parameter.to_bits()).collect::<Vec<_>>();
    let names = |columns: &[Column]| columns.iter().map(|column| json!(column.name)).collect::<Vec<_>>();
    let columns = purpose.columns.as_slice();
    let apart = |parameters: &[f32]| {
        let ours = answers(purpose, parameters, states)?;
        Ok::<_, String>(farthest(&given, &[onnx::SETPOINTS, onnx::DEVIATIONS], &ours, purpose))
    };
    Ok(json!({
        "apart": apart(&parameters)?,
        "apart_imported": apart(&imported.parameters)?,
        "same": bits(&imported.parameters) == bits(&parameters) && imported.origin == origin,
        "named": given["columns"] == json!(names(columns)) && given["actions"] == json!(names(&purpose.actions)),
        "columns": columns.len(),
    }))
}

/// Has a policy made by somebody else, has it evaluated, and imports it.
fn foreign(scripts: &Scripts, purpose: &Purpose, states: &[Vec<f32>]) -> Result<Value, String> {
    let ends = |columns: &[Column]| columns.iter().map(|column| [column.zero, column.one]).collect::<Vec<_>>();
    let site = json!({ "columns": ends(purpose.columns.as_slice()), "actions": ends(&purpose.actions) });
    let model = scripts.make(&site)?;
    let given = scripts.evaluate(&model, states)?;
    let imported = import(&model, purpose)?;
    let ours = answers(purpose, &imported.parameters, states)?;
    let moves = |(mean, _): &(f64, f64)| *mean > 0.0 && *mean < 1.0;
    Ok(json!({
        "apart": farthest(&given, &["action"], &ours, purpose),
        "inside": ours.iter().flatten().filter(|answer| moves(answer)).count(),
    }))
}

fn import(model: &[u8], purpose: &Purpose) -> Result<Imported, String> {
    onnx::from_model(model, purpose, &Reading::default()).map_err(|error| error.to_string())
}

/// Somewhere in and around the columns' scales, engineering units.
fn state(columns: &[Column], numbers: &mut Numbers) -> Vec<f32> {
    let value = |column: &Column| (column.zero + (column.one - column.zero) * (1.4 * numbers.next() - 0.2)) as f32;
    columns.iter().map(value).collect()
}

/// Setpoints and deviations as the runtime computes them for one state, in widths of their ranges.
type Answer = Vec<(f64, f64)>;

fn answers(purpose: &Purpose, parameters: &[f32], states: &[Vec<f32>]) -> Result<Vec<Answer>, String> {
    let spec = purpose.spec().ok_or("the example has no network")?;
    let mut net = PackedNet::new(&spec.actor).map_err(|error| error.to_string())?;
    net.pack(parameters).map_err(|error| error.to_string())?;
    let (mut scratch, mut outputs) = (net.scratch(), vec![0.0; spec.actor.outputs()]);
    let answer = |state: &Vec<f32>| {
        let columns = purpose.columns.as_slice().iter().zip(state);
        // As the model normalises: in single precision.
        let normal =
            |(column, value): (&Column, &f32)| (value - column.zero as f32) / ((column.one - column.zero) as f32);
        net.forward(Kernel::best(), &columns.map(normal).collect::<Vec<f32>>(), &mut scratch, &mut outputs);
        let (means, logits) = outputs.split_at(purpose.actions.len());
        let both = means.iter().zip(logits);
        both.map(|(mean, logit)| (f64::from(mean.clamp(0.0, 1.0)), f64::from(policy::sigma(*logit)))).collect()
    };
    Ok(states.iter().map(answer).collect())
}

/// The farthest that setpoints, and deviations where they are named, are apart, in widths of the setpoints' ranges; infinite
/// where some are missing.
fn farthest(given: &Value, names: &[&str], ours: &[Answer], purpose: &Purpose) -> f64 {
    let mut apart: f64 = 0.0;
    for (row, answer) in ours.iter().enumerate() {
        for (setpoint, ((mean, sigma), action)) in answer.iter().zip(&purpose.actions).enumerate() {
            let width = action.one - action.zero;
            let expected = [action.zero + mean * width, sigma * width];
            for (name, expected) in names.iter().zip(expected) {
                let given = given[name][row][setpoint].as_f64().unwrap_or(f64::INFINITY);
                apart = apart.max((given - expected).abs() / width);
            }
        }
    }
    apart
}

/// Numbers from 0 to 1 that are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

//! An exported policy in somebody else's runtime: how far its setpoints are from ours, as JSON. For `cargo xtask interop`, which
//! says what evaluates a model: `evaluate-model PROGRAM ARGUMENT…`, a command that is given the names of the model and of a
//! file with states, and prints what the model makes of them.
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::{Command, ExitCode};

use policy::file::{Origin, Purpose};
use policy::kernels::{Kernel, NetSpec, PackedNet};
use policy::pipeline::Column;
use serde_json::{Value, json};

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

/// Exports a policy of the example site and lets both evaluate it.
fn compare(words: &[String]) -> Result<Value, String> {
    let site =
        rt_config::parse(rt_config::example(), "site.yaml".as_ref()).map_err(|refused| refused.to_string())?.site;
    let purpose = Purpose::of(&site);
    let spec = purpose.spec().ok_or("the example has no network")?;
    let mut numbers = Numbers(1);
    let parameters: Vec<f32> = (0..spec.parameters()).map(|_| (0.2 * numbers.next() - 0.1) as f32).collect();
    let columns = purpose.columns.as_slice();
    let states: Vec<Vec<f32>> = (0..STATES).map(|_| state(columns, &mut numbers)).collect();
    let origin = Origin { created_by: "corerl 0".to_owned(), generation: 1, updates: 0, nominal: false };
    let model = onnx::to_model(&purpose, &origin, &parameters).map_err(|error| error.to_string())?;
    let given = evaluate(words, &model, &states)?;
    let ours =
        states.iter().map(|state| expected(&spec, &parameters, &purpose, state)).collect::<Result<Vec<_>, _>>()?;
    let names = |columns: &[Column]| columns.iter().map(|column| json!(column.name)).collect::<Vec<_>>();
    let named = given["columns"] == json!(names(columns)) && given["actions"] == json!(names(&purpose.actions));
    Ok(json!({ "apart": farthest(&given, &ours, &purpose.actions), "named": named, "columns": columns.len() }))
}

/// Somewhere in and around the columns' scales, engineering units.
fn state(columns: &[Column], numbers: &mut Numbers) -> Vec<f32> {
    let value = |column: &Column| (column.zero + (column.one - column.zero) * (1.4 * numbers.next() - 0.2)) as f32;
    columns.iter().map(value).collect()
}

/// Setpoints and deviations as the runtime computes them, in widths of their ranges.
type Ours = Vec<(f64, f64)>;

fn expected(spec: &NetSpec, parameters: &[f32], purpose: &Purpose, state: &[f32]) -> Result<Ours, String> {
    let mut net = PackedNet::new(spec).map_err(|error| error.to_string())?;
    net.pack(parameters).map_err(|error| error.to_string())?;
    let (mut scratch, mut outputs) = (net.scratch(), vec![0.0; spec.outputs()]);
    let columns = purpose.columns.as_slice().iter().zip(state);
    // As the model normalises: in single precision.
    let normal = |(column, value): (&Column, &f32)| (value - column.zero as f32) / ((column.one - column.zero) as f32);
    net.forward(Kernel::best(), &columns.map(normal).collect::<Vec<f32>>(), &mut scratch, &mut outputs);
    let (means, logits) = outputs.split_at(purpose.actions.len());
    let both = means.iter().zip(logits);
    Ok(both.map(|(mean, logit)| (f64::from(mean.clamp(0.0, 1.0)), f64::from(policy::sigma(*logit)))).collect())
}

/// The farthest that setpoints or deviations are apart, in widths of the setpoints' ranges; infinite where some are missing.
fn farthest(given: &Value, ours: &[Ours], actions: &[Column]) -> f64 {
    let number =
        |output: &str, row: usize, setpoint: usize| given[output][row][setpoint].as_f64().unwrap_or(f64::INFINITY);
    let mut apart: f64 = 0.0;
    for (row, ours) in ours.iter().enumerate() {
        for (setpoint, ((mean, sigma), action)) in ours.iter().zip(actions).enumerate() {
            let width = action.one - action.zero;
            let given_mean = (number("setpoints", row, setpoint) - action.zero) / width;
            let given_sigma = number("deviations", row, setpoint) / width;
            apart = apart.max((given_mean - mean).abs()).max((given_sigma - sigma).abs());
        }
    }
    apart
}

fn evaluate(words: &[String], model: &[u8], states: &[Vec<f32>]) -> Result<Value, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let (model_file, states_file) = (directory.path().join("policy.onnx"), directory.path().join("states.json"));
    let json = serde_json::to_vec(states).map_err(|error| error.to_string())?;
    for (path, bytes) in [(&model_file, model), (&states_file, &*json)] {
        std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let (program, arguments) = words.split_first().ok_or("name the program that evaluates models")?;
    let output = Command::new(Path::new(program)).args(arguments).args([&model_file, &states_file]).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        return Err(format!("the model is not taken: {}", String::from_utf8_lossy(&output.stderr)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())
}

/// Numbers from 0 to 1 that are the same every time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

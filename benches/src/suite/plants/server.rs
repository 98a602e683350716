//! Somebody else's plant, behind somebody else's server, in a process of its own.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::process::Process;
use super::python_script;

/// Libraries are loaded before the first line comes.
const START: Duration = Duration::from_secs(60);
/// A step that has not come after this time waits for whoever acts.
const NEXT: Duration = Duration::from_secs(1);

/// The server of a plant.
pub(super) struct Server {
    process: Process,
    /// What it is.
    pub(super) plant: Announcement,
}

/// What it says when it is ready.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Announcement {
    /// Where it listens.
    pub(super) url: String,
    /// What a step is in the plant's own time.
    pub(super) step: String,
    /// What may be written.
    pub(super) inputs: Vec<Input>,
    /// What is to follow a reference.
    pub(super) tracked: Vec<Tracked>,
}

/// An input of the plant.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) unit: String,
}

/// An output that is to follow a reference.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Tracked {
    pub(super) output: String,
    pub(super) unit: String,
}

/// What it says of each step.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Step {
    /// The plant's own reward.
    pub(super) reward: f64,
    /// How far each tracked output lies above its reference.
    pub(super) errors: Vec<f64>,
    /// What acted.
    pub(super) inputs: Vec<f64>,
    /// Steps that came later than by the pace, so far.
    pub(super) late: u64,
}

impl Server {
    /// Starts the plant of this name.
    pub(super) fn start(python: &Path, plant: &str, seed: u64, pace_ms: u64) -> Result<Self, String> {
        let mut command = python_script(python, "server.py");
        command.args(["--plant", plant, "--seed", &seed.to_string(), "--pace-ms", &pace_ms.to_string()]);
        let mut process = Process::start("the plant's server", command)?;
        let line = process.line(START)?;
        let plant = serde_json::from_str(&line).map_err(|error| format!("the plant's server said {line}: {error}"))?;
        Ok(Self { process, plant })
    }

    /// The next step, if it comes soon.
    pub(super) fn step(&mut self) -> Result<Option<Step>, String> {
        let Some(line) = self.process.line_within(NEXT)? else { return Ok(None) };
        serde_json::from_str(&line).map_err(|error| format!("the plant's server said {line}: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_understood_as_far_as_it_matters() {
        let said = r#"{"url": "opc.tcp://127.0.0.1:1", "port": 1, "name": "cstr", "step": "15 s",
            "inputs": [{"name": "Tc", "unit": "K", "low": 295.0, "high": 302.0}],
            "tracked": [{"output": "Ca", "reference": "Ca_sp", "unit": "mol/l"}]}"#;
        let plant: Announcement = serde_json::from_str(said).unwrap();
        assert_eq!((plant.inputs[0].unit.as_str(), plant.tracked[0].output.as_str()), ("K", "Ca"));
        let said = r#"{"inputs": [300.0], "errors": [-0.5], "reward": -1.0, "setpoints": 3, "late": 2}"#;
        let step: Step = serde_json::from_str(said).unwrap();
        assert_eq!((step.inputs[0], step.errors[0], step.reward, step.late), (300.0, -0.5, -1.0, 2));
    }
}

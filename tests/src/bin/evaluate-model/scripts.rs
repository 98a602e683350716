//! What Python does.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// Python with onnx and onnxruntime, our scripts, and a place for files.
pub(crate) struct Scripts {
    python: String,
    directory: PathBuf,
    place: TempDir,
}

impl Scripts {
    pub(crate) fn new(words: &[String]) -> Result<Self, String> {
        let [python, directory] = words else {
            return Err("name Python, and the directory with the scripts".to_owned());
        };
        let place = tempfile::tempdir().map_err(|error| error.to_string())?;
        Ok(Self { python: python.clone(), directory: directory.into(), place })
    }

    /// What the model gives for these states, and what it says of itself.
    pub(crate) fn evaluate(&self, model: &[u8], states: &[Vec<f32>]) -> Result<Value, String> {
        let states = serde_json::to_vec(states).map_err(|error| error.to_string())?;
        let (model, states) = (self.put("policy.onnx", model)?, self.put("states.json", &states)?);
        let printed = self.run("evaluate.py", &[&model, &states])?;
        serde_json::from_slice(&printed).map_err(|error| error.to_string())
    }

    /// A model that somebody else made for this site.
    pub(crate) fn make(&self, site: &Value) -> Result<Vec<u8>, String> {
        let site = self.put("site.json", site.to_string().as_bytes())?;
        let model = self.place.path().join("foreign.onnx");
        self.run("perceptron.py", &[&model, &site])?;
        std::fs::read(&model).map_err(|error| format!("{}: {error}", model.display()))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, String> {
        let path = self.place.path().join(name);
        std::fs::write(&path, bytes).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(path)
    }

    fn run(&self, script: &str, files: &[impl AsRef<OsStr>]) -> Result<Vec<u8>, String> {
        let output = Command::new(Path::new(&self.python)).arg(self.directory.join(script)).args(files).output();
        let output = output.map_err(|error| format!("{}: {error}", self.python))?;
        if !output.status.success() {
            return Err(format!("{script}: {}", String::from_utf8_lossy(&output.stderr)));
        }
        Ok(output.stdout)
    }
}

//! The yardstick's step in JAX: a process that makes steps when it is told to, and times them itself.

use std::path::Path;
use std::process::Command;

use crate::helper::Dialogue;

const SCRIPT: &str = include_str!("in_jax.py");

/// Such a process, on the CPUs of the thread that started it.
pub(super) struct Jax {
    dialogue: Dialogue,
    /// It has ended, or answered with something else than times.
    pub(super) failed: bool,
}

impl Jax {
    /// Compiles the step, which takes some seconds.
    pub(super) fn start(python: &Path) -> Result<Self, String> {
        let mut command = Command::new(python);
        command.args(["-c", SCRIPT]).env("JAX_PLATFORMS", "cpu");
        Ok(Self { dialogue: Dialogue::spawn(command)?, failed: false })
    }

    /// How long each of so many steps took, nanoseconds.
    pub(super) fn steps(&mut self, count: usize) -> Vec<f64> {
        let answer = self.dialogue.ask(&count.to_string());
        let times: Vec<f64> = answer.split_whitespace().filter_map(|time| time.parse().ok()).collect();
        self.failed |= times.len() != count;
        times
    }
}

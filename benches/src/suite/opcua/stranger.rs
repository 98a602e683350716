//! Another one's client: a process that carries out cycles when it is told to, and times them itself.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::server::Server;
use crate::helper::Dialogue;

/// Such a process.
pub(super) struct Stranger {
    dialogue: Dialogue,
    /// It has ended, or answered with something else than times.
    pub(super) failed: bool,
}

impl Stranger {
    /// Connects the client to the server.
    pub(super) fn start(program: &Path, server: &Server, encrypted: bool) -> Result<Self, String> {
        let mut command = Command::new(program);
        command.args(["--url", &server.url, "--security", if encrypted { "encrypt" } else { "none" }]);
        command.arg("--pki").arg(&server.pki);
        Ok(Self { dialogue: Dialogue::spawn(command)?, failed: false })
    }

    /// How long each of so many cycles took, nanoseconds; the first `unheeded` ones are not told.
    pub(super) fn cycles(&mut self, unheeded: usize, count: usize, period: Duration) -> Vec<f64> {
        let answer = self.dialogue.ask(&format!("{} {}", unheeded + count, period.as_nanos()));
        let times: Vec<f64> = answer.split_whitespace().filter_map(|time| time.parse().ok()).skip(unheeded).collect();
        self.failed |= times.len() != count;
        times
    }
}

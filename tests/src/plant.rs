//! The simulated plant as a test uses it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::{Process, program};

/// A running `corerl-plant`.
pub struct Plant {
    /// The process.
    pub process: Process,
    url: String,
}

impl Plant {
    /// Starts the plant on a free port.
    ///
    /// # Panics
    /// It does not start listening.
    pub fn start(name: &str) -> Self {
        Self::start_on(name, 0)
    }

    /// Starts the plant on this port: again after a kill, say.
    ///
    /// # Panics
    /// It does not start listening.
    pub fn start_on(name: &str, port: u16) -> Self {
        let mut command = Command::new(program("corerl-plant"));
        command.args(["--plant", name, "--port", &port.to_string(), "--step", "10ms", "--json", "--tether"]);
        let mut process = Process::start({
            command.stdout(Stdio::piped());
            command
        });
        let mut line = String::new();
        let stdout = process.stdout().expect("standard output was piped");
        BufReader::new(stdout).read_line(&mut line).expect("the plant says where it listens");
        let said: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line:?}"));
        let url = said["url"].as_str().expect("the plant names its url").to_owned();
        Self { process, url }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The port it listens on.
    ///
    /// # Panics
    /// The url names none.
    pub fn port(&self) -> u16 {
        let port = self.url.rsplit(':').next().and_then(|rest| rest.split('/').next());
        port.and_then(|port| port.parse().ok()).expect("the url names a port")
    }
}

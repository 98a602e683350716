//! The simulated plant as a test uses it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::{Place, Process};

/// A running `corerl-plant`.
pub struct Plant {
    /// The process.
    pub process: Process,
    url: String,
}

impl Plant {
    pub(crate) fn start(place: &Place, port: u16, options: &[&str]) -> Self {
        let mut command = place.command("corerl-plant");
        command.args(["--plant", "saturation", "--step", "20ms", "--json", "--tether", "--port", &port.to_string()]);
        command.arg("--pki").arg(place.path("plant-pki")).args(options);
        command.stdout(Stdio::piped());
        let mut process = Process::start(command);
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

//! What every peer that is a plant needs around it: a place, our programs, and eyes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rt_control::Address;
use rt_sys::Lifeline;
use serde_json::Value;
use tempfile::TempDir;

use crate::demo::Observer;
use crate::scratch;
use children::Child;

/// Each check has to come true within this time; the machine may be busy.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Site and agent as the site files name them.
const SITE: &str = "interop";
const AGENT: &str = "interop";

/// Our programs, and a directory that is gone at the end.
pub(super) struct Stage {
    programs: PathBuf,
    directory: TempDir,
    lifeline: Lifeline,
}

impl Stage {
    /// With our programs in that directory.
    pub(super) fn new(programs: &Path) -> Result<Self, String> {
        let lifeline = Lifeline::new(false).map_err(|error| format!("signals cannot be watched: {error}"))?;
        Ok(Self { programs: programs.to_owned(), directory: scratch::directory("corerl-interop")?, lifeline })
    }

    /// Part of the command line of everything that is started.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// One of our programs.
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// The line of a server that says at which port it listens.
    pub(super) fn announced(&self, server: &mut Child) -> Result<Value, String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            // Warnings may come first.
            let Some(line) = server.line(LOOK_EVERY) else {
                server.check()?;
                continue;
            };
            let facts: Value = serde_json::from_str(&line).unwrap_or_default();
            if facts["port"].is_u64() {
                return Ok(facts);
            }
        }
        Err(format!("the server of {} did not start; it said last:\n{}", server.name(), server.last_lines()))
    }

    /// The runtime and its learner for this site, armed, with everything of theirs in that directory.
    pub(super) fn start_corerl(&self, directory: &Path, site: &Path) -> Result<Child, String> {
        Child::start(
            "corerl run",
            Command::new(self.programs.join("corerl"))
                .args(["run", "--arm", "--tether", "--config"])
                .arg(site)
                .arg("--runtime-dir")
                .arg(directory.join("run"))
                .arg("--checkpoint-dir")
                .arg(directory.join("checkpoints"))
                .arg("--programs")
                .arg(&self.programs),
        )
    }

    /// Watches the runtime in that directory, as soon as it answers.
    pub(super) fn attach(&self, peer: &str, directory: &Path, corerl: &mut Child) -> Result<Observer, String> {
        let address = Address::new(&directory.join("run"), SITE, AGENT, "main").map_err(|e| e.to_string())?;
        let start = Instant::now();
        loop {
            let refusal = match Observer::attach(&address, peer) {
                Ok(observer) => return Ok(observer),
                Err(refusal) => refusal,
            };
            corerl.check()?;
            if start.elapsed() > PATIENCE {
                return Err(format!("{refusal}; corerl run said last:\n{}", corerl.last_lines()));
            }
            self.pause()?;
        }
    }

    /// Waits a moment; Ctrl-C is an error that ends the case.
    pub(super) fn pause(&self) -> Result<(), String> {
        if self.lifeline.wait(LOOK_EVERY).asks_to_stop() { Err("interrupted".to_owned()) } else { Ok(()) }
    }
}

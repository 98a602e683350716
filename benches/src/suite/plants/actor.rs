//! Who acts on a plant: an agent that learns, nobody who learns, or a model-predictive controller.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::process::Process;
use super::{PACE_MS, python_script};

/// Kinds of those who act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The runtime and a learner that has learnt nothing yet.
    Agent,
    /// The runtime without a learner: it writes the nominal setpoints.
    Constant,
    /// do-mpc with the plant's own model, as a client in the runtime's place.
    Predictive,
}

impl Kind {
    /// For people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Constant => "constant",
            Self::Predictive => "do-mpc",
        }
    }

    /// Time between two steps of the plant, milliseconds. What a constant action does to it does not depend on the pace.
    pub(super) const fn pace_ms(self) -> u64 {
        match self {
            Self::Agent | Self::Predictive => PACE_MS,
            Self::Constant => PACE_MS / 3,
        }
    }
}

/// Somebody who acts.
pub(super) struct Actor {
    process: Process,
    /// Site file, sockets and checkpoints.
    _directory: TempDir,
}

impl Actor {
    /// Lets `kind` act on the plant of this name that listens at `url`.
    pub(super) fn start(kind: Kind, plant: &str, seed: u64, url: &str, python: &Path) -> Result<Self, String> {
        let directory = tempfile::tempdir().map_err(|error| format!("there is no temporary directory: {error}"))?;
        let process = match kind {
            Kind::Predictive => predictive(url, python),
            Kind::Agent | Kind::Constant => runtime(kind, plant, seed, url, directory.path()),
        }?;
        Ok(Self { process, _directory: directory })
    }

    /// An error when it has ended.
    pub(super) fn check(&mut self) -> Result<(), String> {
        self.process.check()
    }
}

fn predictive(url: &str, python: &Path) -> Result<Process, String> {
    let mut command = python_script(python, "controller.py");
    command.args(["--url", url, "--pace-ms", &PACE_MS.to_string()]);
    Process::start("the controller", command)
}

fn runtime(kind: Kind, plant: &str, seed: u64, url: &str, directory: &Path) -> Result<Process, String> {
    let site = directory.join("site.yaml");
    fs::write(&site, site_file(kind, plant, seed, url)?).map_err(|error| format!("{}: {error}", site.display()))?;
    let program = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("corerl");
    let mut command = Command::new(program);
    command.args(["run", "--arm", "--tether", "--config"]).arg(site);
    command.arg("--runtime-dir").arg(directory.join("run"));
    command.arg("--checkpoint-dir").arg(directory.join("checkpoints"));
    if kind == Kind::Constant {
        command.arg("--no-learner");
    }
    Process::start("corerl run", command)
}

/// The plant's site file. Whoever does not learn does not try anything either.
fn site_file(kind: Kind, plant: &str, seed: u64, url: &str) -> Result<String, String> {
    let template = Path::new(super::SCRIPTS).join(format!("{plant}.yaml"));
    let text = fs::read_to_string(&template).map_err(|error| format!("{}: {error}", template.display()))?;
    let explore = if kind == Kind::Agent { "true" } else { "false" };
    let text = text.replace("{{url}}", url).replace("{{seed}}", &seed.to_string());
    Ok(text.replace("{{pace}}", &format!("{PACE_MS}ms")).replace("{{explore}}", explore))
}

#[cfg(test)]
mod tests {
    use super::super::PLANTS;
    use super::*;

    #[test]
    fn every_site_file_is_accepted_and_only_the_agent_explores() {
        for (plant, kind) in PLANTS.iter().flat_map(|(plant, kinds)| kinds.iter().map(move |kind| (plant, *kind))) {
            let text = site_file(kind, plant, 7, "opc.tcp://127.0.0.1:4840").unwrap();
            let site = rt_config::parse(&text, Path::new("site.yaml"));
            let refused = site.as_ref().err().map(ToString::to_string);
            assert_eq!(refused, None, "{plant}");
            assert!(text.contains(if kind == Kind::Agent { "explore: true" } else { "explore: false" }), "{plant}");
        }
    }
}

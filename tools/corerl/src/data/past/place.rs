//! Whose history, and who is asked for it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use archive::{Reader, StoreError, is_archive};
use clap::Args;
use recall::{Address, AskError, Asked, Client, Past, Refusal};

use crate::failure::{Exit, Failure};
use crate::target::Directory;

/// Where an archive is read if nothing was said and one is there.
const USUAL: &str = "history";

/// Whose history, and who is asked for it.
#[derive(Clone, Debug, Args)]
pub(in crate::data) struct Where {
    /// Read the directory that corerl-historian keeps [default: history, if there is one; otherwise the historian is asked].
    #[arg(long, value_name = "DIRECTORY", conflicts_with_all = ["historian", "runtime_dir"])]
    history: Option<PathBuf>,
    #[command(flatten)]
    historian: Historian,
    /// Only of this agent, as SITE/AGENT.
    #[arg(long, value_name = "SITE/AGENT")]
    pub(super) agent: Option<String>,
}

/// Which running historian.
#[derive(Clone, Debug, Args)]
pub(super) struct Historian {
    /// Ask the running historian of this name [default: main].
    #[arg(long, value_name = "NAME")]
    historian: Option<String>,
    #[command(flatten)]
    directory: Directory,
}

impl Historian {
    /// Whether somebody said that it is to be asked.
    fn is_named(&self) -> bool {
        self.historian.is_some() || self.directory.runtime_dir.is_some()
    }

    pub(super) fn address(&self) -> Result<Address, Failure> {
        let name = self.historian.as_deref().unwrap_or("main");
        Address::new(&self.directory.path(), name).map_err(|error| Failure::new(Exit::Usage, error))
    }

    fn connect(&self) -> Result<Client, Failure> {
        Ok(Client::connect(&self.address()?)?)
    }
}

impl Where {
    /// What a directory has of an agent, or of all.
    pub(super) fn directory(path: &Path, agent: Option<String>) -> Self {
        let directory = Directory { runtime_dir: None };
        Self { history: Some(path.to_owned()), historian: Historian { historian: None, directory }, agent }
    }

    pub(super) fn open(&self) -> Result<Box<dyn Past>, Failure> {
        let usual = Path::new(USUAL);
        let past: Box<dyn Past> = match &self.history {
            Some(history) => Box::new(read(history)?),
            None if !self.historian.is_named() && is_archive(usual) => Box::new(read(usual)?),
            None => Box::new(Asked(self.historian.connect()?)),
        };
        self.has_agent(&*past)?;
        Ok(past)
    }

    /// Whether there is anything of the agent that is asked for.
    fn has_agent(&self, past: &dyn Past) -> Result<(), Failure> {
        let Some(asked) = &self.agent else { return Ok(()) };
        let agents: BTreeSet<String> = past.runs()?.into_iter().map(|run| run.agent).collect();
        if agents.contains(asked) {
            return Ok(());
        }
        let advice = match agents.is_empty() {
            true => "nothing was kept yet".to_owned(),
            false => format!("give --agent one of {}", Vec::from_iter(agents).join(", ")),
        };
        Err(Failure::new(Exit::Usage, format!("no agent {asked} was kept there: {advice}")))
    }

    /// Whether it is asked for this agent.
    pub(super) fn is_of(&self, agent: &str) -> bool {
        self.agent.as_ref().is_none_or(|asked| asked == agent)
    }
}

/// Opens an archive.
pub(super) fn read(history: &Path) -> Result<Reader, Failure> {
    Reader::open(history).map_err(|error| {
        let advice = match &error {
            StoreError::NoDirectory | StoreError::NotADirectory | StoreError::Empty => {
                "; give --history the directory that corerl-historian keeps"
            }
            _ => "",
        };
        Failure::new(exit(&error), format!("{}: {error}{advice}", history.display()))
    })
}

/// How a command ends that cannot open an archive.
fn exit(error: &StoreError) -> Exit {
    match error {
        StoreError::File(error) if error.kind() == ErrorKind::PermissionDenied => Exit::NoPermission,
        _ => Exit::Unavailable,
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        AskError::from(error).into()
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let exit = match &error {
            AskError::Forbidden(_) => Exit::NoPermission,
            AskError::TimedOut(_) | AskError::Refused(Refusal::Busy(_)) => Exit::Temporary,
            AskError::Refused(Refusal::Width { .. }) | AskError::TooMany(_) => Exit::Usage,
            AskError::Version { .. } | AskError::NotUnderstood => Exit::Internal,
            _ => Exit::Unavailable,
        };
        Self::new(exit, error)
    }
}

#[cfg(test)]
mod tests {
    use archive::{Run, Store};

    use super::*;

    fn kept(directory: &Path, agents: &[&str]) {
        let mut store = Store::open(directory).unwrap();
        for agent in agents {
            let (site, agent, instance) = ("works".into(), (*agent).into(), "main".into());
            store.run(&Run { site, agent, instance, number: 1, period_ns: 1_000_000 }).unwrap();
        }
    }

    fn opened(directory: &Path, agent: &str) -> Result<(), (Exit, String)> {
        let asked = Where::directory(directory, Some(agent.to_owned()));
        asked.open().map(|_| ()).map_err(|failure| (failure.exit(), failure.to_string()))
    }

    #[test]
    fn an_agent_that_was_never_kept_is_wrong_usage_and_those_that_were_are_named() {
        let directory = tempfile::tempdir().unwrap();
        kept(directory.path(), &[]);
        let (exit, told) = opened(directory.path(), "works/ph").unwrap_err();
        assert!(exit == Exit::Usage && told.contains("nothing was kept yet"), "{told}");
        kept(directory.path(), &["ph", "basin"]);
        assert_eq!(opened(directory.path(), "works/ph"), Ok(()));
        let (exit, told) = opened(directory.path(), "ph").unwrap_err();
        assert!(exit == Exit::Usage && told.contains("one of works/basin, works/ph"), "{told}");
    }

    #[test]
    fn whoever_names_a_place_without_a_history_hears_what_is_there_and_what_to_give() {
        let directory = tempfile::tempdir().unwrap();
        let told = |path: &Path| read(path).unwrap_err().to_string();
        for (path, what) in [("x", "no such directory"), (".", "no history lies there")] {
            let told = told(&directory.path().join(path));
            assert!(told.contains(what) && told.contains("give --history the directory"), "{told}");
        }
        std::fs::write(directory.path().join("hot.sqlite"), "something else").unwrap();
        let told = told(directory.path());
        assert!(!told.contains("give --history"), "{told}");
    }
}

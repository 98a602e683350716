//! Whose history, and who is asked for it.

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

    pub(super) fn connect(&self) -> Result<Client, Failure> {
        let name = self.historian.as_deref().unwrap_or("main");
        let address = Address::new(&self.directory.path(), name).map_err(|error| Failure::new(Exit::Usage, error))?;
        Ok(Client::connect(&address)?)
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
        match &self.history {
            Some(history) => Ok(Box::new(read(history)?)),
            None if !self.historian.is_named() && is_archive(usual) => Ok(Box::new(read(usual)?)),
            None => Ok(Box::new(Asked(self.historian.connect()?))),
        }
    }

    /// Whether it is asked for this agent.
    pub(super) fn is_of(&self, agent: &str) -> bool {
        self.agent.as_ref().is_none_or(|asked| asked == agent)
    }
}

/// Opens an archive.
pub(super) fn read(history: &Path) -> Result<Reader, Failure> {
    Reader::open(history).map_err(|error| {
        let advice = "give --history the directory that corerl-historian keeps, or leave it away to ask the historian";
        Failure::new(Exit::Unavailable, format!("{}: {error}; {advice}", history.display()))
    })
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

//! What the historian has kept of agents, for people: `corerl data query`, `tags`, `gaps`, `events`, `at`, `plot`, `export`.

pub(super) mod events;
pub(super) mod export;
pub(super) mod gaps;
pub(super) mod inventory;
pub(super) mod moment;
pub(super) mod plot;
pub(super) mod query;
mod series;
pub(super) mod time;

use std::path::PathBuf;

use ::archive::{Reader, StoreError};
use clap::Args;

use crate::failure::{Exit, Failure};

/// Whose history, and where it is.
#[derive(Clone, Debug, Args)]
pub(super) struct Where {
    /// The directory that corerl-historian keeps.
    #[arg(long, value_name = "DIRECTORY", default_value = "history")]
    history: PathBuf,
    /// Only of this agent, as SITE/AGENT.
    #[arg(long, value_name = "SITE/AGENT")]
    agent: Option<String>,
}

impl Where {
    fn open(&self) -> Result<Reader, Failure> {
        Reader::open(&self.history).map_err(|error| {
            let advice = "give --history the directory that corerl-historian keeps";
            Failure::new(Exit::Unavailable, format!("{}: {error}; {advice}", self.history.display()))
        })
    }

    /// Whether it is asked for this agent.
    fn is_of(&self, agent: &str) -> bool {
        self.agent.as_ref().is_none_or(|asked| asked == agent)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Exit::Unavailable, format!("the history cannot be read: {error}"))
    }
}

/// A number for people: as few digits as say it, a dash for none.
fn number(value: f64) -> String {
    if value.is_nan() { "-".to_owned() } else { format!("{value}") }
}

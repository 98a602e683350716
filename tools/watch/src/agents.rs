//! All agents of this machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::agent::{ANSWER_TIMEOUT, Agent};
use crate::memory::From;

/// Whoever was ever found below a runtime directory, in the order of their names.
#[derive(Debug)]
pub struct Agents {
    runtime_dir: PathBuf,
    from: From,
    /// Those that are meant; all when it is empty.
    wanted: Vec<String>,
    patience: Duration,
    known: BTreeMap<String, Agent>,
}

impl Agents {
    /// All agents whose sockets are in this directory. Runtimes that stand by are not meant.
    pub fn below(runtime_dir: PathBuf, from: From) -> Self {
        Self { runtime_dir, from, wanted: Vec::new(), patience: ANSWER_TIMEOUT, known: BTreeMap::new() }
    }

    /// Only those with these names, `SITE/AGENT`; all when there are none.
    pub fn only(self, wanted: Vec<String>) -> Self {
        Self { wanted, ..self }
    }

    /// With so much patience for each one's answers: the others wait meanwhile.
    pub fn within(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Where their sockets are.
    pub fn runtime_dir(&self) -> &Path {
        &self.runtime_dir
    }

    /// Those that were found so far and now; one that is gone stays, so that it can come back.
    pub fn find(&mut self) -> impl Iterator<Item = &mut Agent> {
        // A directory that cannot be read holds no agent that could be asked.
        for address in rt_control::list(&self.runtime_dir).unwrap_or_default() {
            let label = address.label();
            if !address.is_standby() && (self.wanted.is_empty() || self.wanted.contains(&label)) {
                self.known.entry(label).or_insert_with(|| Agent::new(address, self.from).within(self.patience));
            }
        }
        self.known.values_mut()
    }
}

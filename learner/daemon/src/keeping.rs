//! Where checkpoints are kept.

use std::io;
use std::path::{Path, PathBuf};

use learner::{Agent, Belongs, LoadError, checkpoint_name};
use rt_config::Site;
use tracing::{error, info};

use crate::failure::Failure;

/// The place of an agent's checkpoint.
#[derive(Debug)]
pub(crate) struct Keeping {
    path: PathBuf,
    tag_list_hash: u64,
}

impl Keeping {
    /// A file of this site's agent in `directory`, which is made if it is not there.
    pub(crate) fn new(directory: &Path, site: &Site) -> Result<Self, Failure> {
        let fail = |source| Failure::CheckpointDir { path: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(fail)?;
        Ok(Self { path: directory.join(checkpoint_name(site)), tag_list_hash: site.tag_list_hash() })
    }

    /// Goes on from the checkpoint, if there is one that fits; the generation that was published last.
    ///
    /// One that does not fit is set aside, never overwritten: the site may have changed on purpose, and then the plant is
    /// better served by an agent that begins anew than by none.
    pub(crate) fn resume(&self, agent: &mut Agent) -> Result<Option<u64>, Failure> {
        match agent.load(&self.path, self.tag_list_hash) {
            Ok(belongs) => {
                let counts = agent.counts();
                info!(
                    checkpoint = %self.path.display(),
                    observations = counts.observations,
                    updates = counts.critic_updates,
                    transitions = counts.transitions,
                    "learning goes on from the checkpoint"
                );
                Ok(Some(belongs.generation))
            }
            Err(LoadError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(unreadable @ LoadError::Io { .. }) => Err(Failure::Checkpoint(unreadable)),
            Err(refused) => {
                let aside = self.set_aside()?;
                error!(kept_as = %aside.display(), "{refused}; it was set aside and learning begins anew");
                Ok(None)
            }
        }
    }

    /// Renames the checkpoint to the first free name after it.
    fn set_aside(&self) -> Result<PathBuf, Failure> {
        let name = |number: u32| self.path.with_extension(format!("ckpt.refused-{number}"));
        let aside = (1..).map(name).find(|path| !path.exists()).unwrap_or_else(|| name(0));
        match std::fs::rename(&self.path, &aside) {
            Ok(()) => Ok(aside),
            Err(source) => Err(Failure::CheckpointDir { path: self.path.clone(), source }),
        }
    }

    /// Writes a checkpoint; whether that worked. If not, the one of before is as it was, and the next attempt may work.
    pub(crate) fn save(&self, agent: &Agent, generation: u64) -> bool {
        let belongs = Belongs { tag_list_hash: self.tag_list_hash, generation };
        match agent.save(&self.path, belongs) {
            Ok(()) => true,
            Err(failed) => {
                error!("no checkpoint: {failed}; the one of before is kept");
                false
            }
        }
    }
}

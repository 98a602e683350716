//! Where the programs are that a scenario starts.

use std::path::{Path, PathBuf};

/// The programs of a scenario.
#[derive(Clone, Debug)]
pub struct Programs {
    pub(crate) runtime: PathBuf,
    pub(crate) learner: PathBuf,
    pub(crate) historian: PathBuf,
    pub(crate) plant: PathBuf,
    /// What an operator works with.
    pub(crate) operator: PathBuf,
}

impl Programs {
    /// Found by `find`, which gets a program's name.
    ///
    /// # Errors
    /// A sentence with the first one that was not found.
    pub fn find(find: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, String> {
        let one = |name: &str| {
            find(name).ok_or_else(|| {
                format!(
                    "`{name}` was not found beside this program or in PATH: build it (`cargo build --release --workspace`), or name \
                     its directory with --programs"
                )
            })
        };
        Ok(Self {
            runtime: one("corerl-rt")?,
            learner: one("corerl-learner")?,
            historian: one("corerl-historian")?,
            plant: one("corerl-plant")?,
            operator: one("corerl")?,
        })
    }

    /// All in one directory.
    ///
    /// # Errors
    /// A sentence with the first one that is not there.
    pub fn in_directory(directory: &Path) -> Result<Self, String> {
        Self::find(|name| Some(directory.join(name)).filter(|path| path.is_file()))
    }
}

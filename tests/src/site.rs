//! The site file of the rig.

use std::path::{Path, PathBuf};

/// The site that the tests change where they need another one.
const TEMPLATE: &str = include_str!("site.yaml");

/// A site file on disk.
pub struct SiteFile {
    path: PathBuf,
}

impl SiteFile {
    /// The names of site and agent in the file.
    pub const SITE: &str = "rig";
    /// The agent's name in the file.
    pub const AGENT: &str = "agent";

    /// Writes the rig's site for the plant at `url` into `dir`, every `from` of `changes` replaced by its `to`.
    ///
    /// # Panics
    /// The file cannot be written, or does not hold what is to be changed.
    pub fn write(dir: &Path, url: &str, changes: &[(&str, &str)]) -> Self {
        let path = dir.join("site.yaml");
        std::fs::write(&path, Self::text(url, changes)).expect("the temporary directory is writable");
        Self { path }
    }

    /// The text of that file.
    ///
    /// # Panics
    /// It does not hold what is to be changed.
    pub fn text(url: &str, changes: &[(&str, &str)]) -> String {
        let text = TEMPLATE.replace("{url}", url);
        changes.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "the rig's site file does not hold {from:?}");
            text.replace(from, to)
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

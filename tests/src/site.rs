//! Site files for the plants of the rig.

use std::path::{Path, PathBuf};

/// A site file on disk.
pub struct SiteFile {
    path: PathBuf,
}

impl SiteFile {
    /// Writes `text` into `dir`, with `{url}` replaced.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn write(dir: &Path, text: &str, url: &str) -> Self {
        let path = dir.join("site.yaml");
        std::fs::write(&path, text.replace("{url}", url)).expect("the temporary directory is writable");
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

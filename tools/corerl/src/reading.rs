//! A bar on the terminal while a long file is read; nothing when standard error is none.

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};

/// The bar moves after so many bytes.
const STEP_BYTES: u64 = 1 << 20;

/// How far reading has come.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for the file at `path`, which has `length` bytes.
    pub(crate) fn new(path: &Path, length: u64) -> Self {
        let style = ProgressStyle::with_template("{msg} {bar:40} {bytes} of {total_bytes}, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        Self { bar: ProgressBar::new(length).with_style(style).with_message(name) }
    }

    /// So many bytes were read.
    pub(crate) fn at(&self, bytes: u64) {
        if bytes >= self.bar.position() + STEP_BYTES {
            self.bar.set_position(bytes);
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

//! Where a historian listens.

use std::path::{Path, PathBuf};

/// What a historian is called unless somebody says otherwise.
const USUAL: &str = "main";
const USUAL_SOCKET: &str = "historian.sock";

/// A historian's socket below a runtime directory. Agents have theirs in directories of their sites, so none of them can be
/// mistaken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    socket: PathBuf,
}

/// Why something is no historian's name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot name a historian: use letters, digits, `-`, `_` and `.`, and begin with a letter or digit")]
pub struct BadName(String);

impl Address {
    /// Of the historian of this name: `<runtime_dir>/historian.sock`, with `@<name>` behind it unless that is `main`.
    ///
    /// # Errors
    /// [`BadName`].
    pub fn new(runtime_dir: &Path, name: &str) -> Result<Self, BadName> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        if !name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) || !name.chars().all(is_plain) {
            return Err(BadName(name.to_owned()));
        }
        let file = if name == USUAL { USUAL_SOCKET.to_owned() } else { format!("historian@{name}.sock") };
        Ok(Self { socket: runtime_dir.join(file) })
    }

    /// Of the historian that has no name of its own.
    pub fn usual(runtime_dir: &Path) -> Self {
        Self { socket: runtime_dir.join(USUAL_SOCKET) }
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Whoever holds the lock of this file has the address.
    pub(crate) fn lock(&self) -> PathBuf {
        self.socket.with_extension("lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_historian_lies_beside_the_directories_of_sites_and_never_leaves_the_runtime_directory() {
        let of = |name| Address::new(Path::new("/run/corerl"), name).map(|address| address.socket().to_owned());
        assert_eq!(of("main").unwrap(), Path::new("/run/corerl/historian.sock"));
        assert_eq!(of("b-2").unwrap(), Path::new("/run/corerl/historian@b-2.sock"));
        for name in ["", "..", "a/b", "a b", "ä"] {
            assert_eq!(of(name), Err(BadName(name.to_owned())));
        }
    }
}

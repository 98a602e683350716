//! Where an agent's sockets and locks lie.

use std::path::{Path, PathBuf};

use thiserror::Error;

/// The longest path that a Unix socket may have (`sun_path` holds 108 bytes, one of them the terminating zero).
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// What follows the agent's name in the address of a runtime that stands by. No name can hold the first character.
pub const STANDBY: &str = "~standby";

/// An agent below a runtime directory: where the runtime listens that leads it, or the one that stands by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    socket: PathBuf,
}

/// Why something is no address.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// A name that cannot be part of a path.
    #[error("`{name}` cannot name a {what}: use letters, digits, `-`, `_` and `.`, and begin with a letter or digit")]
    BadName {
        /// site, agent or instance.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The kernel's limit.
    #[error(
        "the socket's path {path} is {bytes} bytes long, the kernel permits {SOCKET_PATH_BYTES_MAX}: choose a shorter --runtime-dir"
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
}

impl Address {
    /// The address of `site`, `agent` and `instance` below `runtime_dir`: `<runtime_dir>/<site>/<agent>.sock`, with
    /// `@<instance>` behind the agent's name unless it is `main`.
    ///
    /// # Errors
    /// A name that cannot be part of a path, or a path that is too long for a socket.
    pub fn new(runtime_dir: &Path, site: &str, agent: &str, instance: &str) -> Result<Self, AddressError> {
        for (what, name) in [("site", site), ("agent", agent), ("instance", instance)] {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
                return Err(AddressError::BadName { what, name: name.into() });
            }
        }
        let address = Self { socket: runtime_dir.join(format!("{}.sock", label(site, agent, instance))) };
        let longest = address.standby().socket;
        let bytes = longest.as_os_str().len();
        if bytes > SOCKET_PATH_BYTES_MAX {
            return Err(AddressError::TooLong { path: longest, bytes });
        }
        Ok(address)
    }

    /// Where the runtime listens that stands by for the one at this address; itself, if it is such an address.
    #[must_use]
    pub fn standby(&self) -> Self {
        if self.is_standby() {
            return self.clone();
        }
        let name = self.socket.file_stem().unwrap_or_default().to_string_lossy();
        Self { socket: self.socket.with_file_name(format!("{name}{STANDBY}.sock")) }
    }

    /// Whether it is the address of a runtime that stands by.
    pub fn is_standby(&self) -> bool {
        self.socket.file_stem().is_some_and(|name| name.to_string_lossy().ends_with(STANDBY))
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The lock file: whoever holds its lock has the address.
    pub fn lock(&self) -> PathBuf {
        self.socket.with_extension("lock")
    }

    /// `<site>/<agent>`, for people.
    pub fn label(&self) -> String {
        let part = |p: Option<&std::ffi::OsStr>| p.map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
        format!("{}/{}", part(self.socket.parent().and_then(Path::file_name)), part(self.socket.file_stem()))
    }
}

/// `SITE/AGENT`, with `@INSTANCE` behind it unless that is `main`: what an agent is called everywhere.
pub fn label(site: &str, agent: &str, instance: &str) -> String {
    if instance == "main" { format!("{site}/{agent}") } else { format!("{site}/{agent}@{instance}") }
}

/// The runtime directory when none is given: `CORERL_RUNTIME_DIR`, else `/run/corerl` for root and wherever it exists,
/// else `corerl` in the user's `XDG_RUNTIME_DIR`, else a directory of the user's below the temporary directory.
pub fn default_runtime_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("CORERL_RUNTIME_DIR") {
        return dir.into();
    }
    let system = Path::new("/run/corerl");
    let uid = rustix::process::getuid();
    if uid.is_root() || system.exists() {
        return system.into();
    }
    match std::env::var_os("XDG_RUNTIME_DIR") {
        Some(dir) => Path::new(&dir).join("corerl"),
        None => std::env::temp_dir().join(format!("corerl-{}", uid.as_raw())),
    }
}

/// The addresses of all sockets below `runtime_dir`, live or left over, sorted.
///
/// # Errors
/// The directory exists and cannot be read. A directory that does not exist holds nothing.
pub fn list(runtime_dir: &Path) -> std::io::Result<Vec<Address>> {
    let sites = match std::fs::read_dir(runtime_dir) {
        Ok(sites) => sites,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for site in sites.flatten().filter(|entry| entry.path().is_dir()) {
        let Ok(entries) = std::fs::read_dir(site.path()) else { continue };
        let sockets =
            entries.flatten().map(|entry| entry.path()).filter(|p| p.extension().is_some_and(|e| e == "sock"));
        found.extend(sockets.map(|socket| Address { socket }));
    }
    found.sort_by(|a, b| a.socket.cmp(&b.socket));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_below_the_site_and_carries_the_instance() {
        let address = Address::new(Path::new("/run/corerl"), "works", "ph", "main").unwrap();
        assert_eq!(address.socket(), Path::new("/run/corerl/works/ph.sock"));
        assert_eq!(address.lock(), Path::new("/run/corerl/works/ph.lock"));
        assert_eq!(address.label(), "works/ph");
        let second = Address::new(Path::new("/run/corerl"), "works", "ph", "blue").unwrap();
        assert_eq!(second.socket(), Path::new("/run/corerl/works/ph@blue.sock"));
    }

    #[test]
    fn whoever_stands_by_has_an_address_that_no_agent_can_have() {
        let address = Address::new(Path::new("/run/corerl"), "works", "ph", "blue").unwrap();
        let standby = address.standby();
        assert_eq!(standby.socket(), Path::new("/run/corerl/works/ph@blue~standby.sock"));
        assert_eq!(standby.label(), "works/ph@blue~standby");
        assert!(standby.is_standby() && !address.is_standby());
        assert_eq!(standby.standby(), standby);
        assert!(Address::new(Path::new("/run"), "works", "ph~standby", "main").is_err());
    }

    #[test]
    fn a_name_that_leaves_the_directory_is_refused() {
        for name in ["..", "a/b", "", ".x", "a b", "ä"] {
            assert!(matches!(
                Address::new(Path::new("/run"), name, "agent", "main"),
                Err(AddressError::BadName { what: "site", .. })
            ));
        }
    }

    #[test]
    fn a_path_that_no_socket_can_have_is_refused() {
        let long = "x".repeat(120);
        assert!(matches!(Address::new(Path::new("/run"), &long, "a", "main"), Err(AddressError::TooLong { .. })));
    }

    #[test]
    fn a_directory_that_does_not_exist_lists_nothing() {
        assert_eq!(list(Path::new("/nonexistent/corerl")).unwrap(), Vec::new());
    }
}

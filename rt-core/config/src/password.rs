//! Passwords that stand elsewhere: where, and how they are fetched from there.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::complaint::quoted;
use crate::site::Secret;

/// The largest password file, in bytes.
const PASSWORD_BYTES_MAX: u64 = 4096;
/// Where the service manager puts the credentials of a unit (systemd.exec(5)).
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Where a password is. It is fetched from there when it is needed, because it may have been changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// In the site file, which `lab: true` alone permits.
    Plain(Secret),
    /// In this environment variable.
    Env(String),
    /// Alone in this file.
    File(PathBuf),
    /// In this credential of the service manager: a file of this name in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

/// Why a password cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPassword {
    /// What is wrong, and where.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

impl std::fmt::Display for NoPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}; {}", self.message, self.help)
    }
}

impl std::error::Error for NoPassword {}

impl PasswordSource {
    /// The password as it is there now.
    ///
    /// # Errors
    /// [`NoPassword`]: there is none, it is empty, or it cannot be read.
    pub fn fetch(&self) -> Result<Secret, NoPassword> {
        match self {
            Self::Plain(secret) => Ok(secret.clone()),
            Self::Env(name) => match std::env::var(name) {
                Ok(value) if !value.is_empty() => Ok(Secret(value)),
                _ => Err(NoPassword {
                    message: format!("the environment variable {} holds no password", quoted(name)),
                    help: "set it in the service's environment, and here to check the file",
                }),
            },
            Self::File(path) => secret_in(path),
            Self::Credential(name) => match std::env::var_os(CREDENTIALS) {
                Some(directory) => secret_in(&Path::new(&directory).join(name)),
                None => Err(NoPassword {
                    message: format!("the service manager has handed over no credentials, and so not {}", quoted(name)),
                    help: "give it to the unit with LoadCredentialEncrypted=; to check the file elsewhere, set CREDENTIALS_DIRECTORY",
                }),
            },
        }
    }
}

fn secret_in(path: &Path) -> Result<Secret, NoPassword> {
    read(path).map(Secret).map_err(|why| NoPassword {
        message: format!("no password can be read from {}: {why}", path.display()),
        help: "put the password alone into the file, readable by this user",
    })
}

fn read(path: &Path) -> Result<String, String> {
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(PASSWORD_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > PASSWORD_BYTES_MAX {
        return Err(format!("it has more than {PASSWORD_BYTES_MAX} bytes"));
    }
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() { Err("it is empty".to_owned()) } else { Ok(line.to_owned()) }
}

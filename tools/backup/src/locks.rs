//! Encryption: as the program `age` reads and writes it.

use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use age::secrecy::SecretString;
use age::stream::StreamWriter;

/// What an encrypted archive begins with.
pub(crate) const MARK: &[u8] = b"age-encryption.org/";

/// Why something cannot be locked or opened with what was given.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is no recipient.
    #[error("{0:?} is no recipient: `age-keygen` prints one, which begins with age1")]
    NoRecipient(String),
    /// It cannot be read, or is no file of keys.
    #[error("{} holds no key that is understood: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// There is nothing in it.
    #[error("{} holds no passphrase: put one on its first line", path.display())]
    NoPassphrase {
        /// The file.
        path: PathBuf,
    },
    /// A passphrase stands alone.
    #[error("an archive is locked by a passphrase or for recipients, not by both: give one of them")]
    Both,
}

/// For whom an archive is encrypted; for nobody, then it is not.
#[derive(Default)]
pub struct Locks(Vec<Box<dyn age::Recipient + Send>>);

impl Locks {
    /// For all of these recipients, `age1…` each; or by the passphrase on the first line of a file.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(recipients: &[String], passphrase: Option<&Path>) -> Result<Self, KeyError> {
        let mut locks: Vec<Box<dyn age::Recipient + Send>> = Vec::new();
        for text in recipients {
            let recipient = age::x25519::Recipient::from_str(text.trim());
            locks.push(Box::new(recipient.map_err(|_| KeyError::NoRecipient(text.clone()))?));
        }
        if let Some(path) = passphrase {
            if !locks.is_empty() {
                return Err(KeyError::Both);
            }
            locks.push(Box::new(age::scrypt::Recipient::new(passphrase_of(path)?)));
        }
        Ok(Self(locks))
    }

    /// Whether anything is encrypted.
    pub fn is_locked(&self) -> bool {
        !self.0.is_empty()
    }

    /// A writer that encrypts, if need be.
    pub(crate) fn lock<W: Write>(&self, to: W) -> io::Result<Locked<W>> {
        if !self.is_locked() {
            return Ok(Locked::Open(to));
        }
        let recipients = self.0.iter().map(|recipient| &**recipient as &dyn age::Recipient);
        let encryptor = age::Encryptor::with_recipients(recipients).map_err(io::Error::other)?;
        encryptor.wrap_output(to).map(Locked::Encrypted)
    }
}

/// A writer that encrypts, or does not.
pub(crate) enum Locked<W: Write> {
    Open(W),
    Encrypted(StreamWriter<W>),
}

impl<W: Write> Locked<W> {
    /// What is behind this was not cut off.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Open(to) => Ok(to),
            Self::Encrypted(to) => to.finish(),
        }
    }
}

impl<W: Write> Write for Locked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Open(to) => to.write(bytes),
            Self::Encrypted(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Open(to) => to.flush(),
            Self::Encrypted(to) => to.flush(),
        }
    }
}

/// What opens encrypted archives.
#[derive(Default)]
pub struct Keys(Vec<Box<dyn age::Identity + Send + Sync>>);

impl Keys {
    /// The identities in files that `age-keygen` made, and the passphrase on the first line of another one.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(identities: &[PathBuf], passphrase: Option<&Path>) -> Result<Self, KeyError> {
        let mut keys: Vec<Box<dyn age::Identity + Send + Sync>> = Vec::new();
        for path in identities {
            let unreadable = |why: String| KeyError::Unreadable { path: path.clone(), why };
            let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
            let file = age::IdentityFile::from_buffer(BufReader::new(file));
            let file = file.map_err(|error| unreadable(error.to_string()))?;
            keys.extend(file.into_identities().map_err(|error| unreadable(error.to_string()))?);
        }
        if let Some(path) = passphrase {
            keys.push(Box::new(age::scrypt::Identity::new(passphrase_of(path)?)));
        }
        Ok(Self(keys))
    }

    /// Whether there is any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is encrypted, in clear.
    pub(crate) fn open<R: Read>(&self, from: R) -> Result<impl Read + use<R>, age::DecryptError> {
        let identities = self.0.iter().map(|identity| &**identity as &dyn age::Identity);
        age::Decryptor::new(from)?.decrypt(identities)
    }
}

fn passphrase_of(path: &Path) -> Result<SecretString, KeyError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| KeyError::Unreadable { path: path.to_owned(), why: error.to_string() })?;
    match text.lines().next().filter(|line| !line.is_empty()) {
        Some(line) => Ok(SecretString::from(line.to_owned())),
        None => Err(KeyError::NoPassphrase { path: path.to_owned() }),
    }
}

//! Who vouches for a policy file.
//!
//! The manifest of a signed file names a key and holds a signature (Ed25519) over **every byte of the file**, with zeros in the
//! signature's own place. So no bit of a signed file can be changed, whatever it stands for; readers of safetensors that know
//! nothing of it read the file as any other. Keys are written as 64 hexadecimal digits, secret ones are kept in PEM (PKCS #8),
//! as `openssl genpkey -algorithm ed25519` makes them.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use rt_config::Site;
use safetensors::tensor::SafeTensors;
use serde::{Deserialize, Serialize};

use super::{MANIFEST_KEY, PolicyFileRefused, WriteError, read_manifest};

/// Digits of a signature.
const SIGNATURE_DIGITS: usize = 2 * ed25519_dalek::SIGNATURE_LENGTH;
/// Longer files hold no key.
const KEY_FILE_BYTES_MAX: u64 = 4 << 10;
/// A secret key is for its owner alone.
const KEY_FILE_MODE: u32 = 0o600;

/// A signature, as the manifest writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The public key, in hexadecimal digits.
    pub key: String,
    /// The signature, in hexadecimal digits.
    pub ed25519: String,
}

/// Whose files are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The public keys that are trusted.
    pub keys: Vec<String>,
    /// In a laboratory a file may be unsigned, or signed by anybody. A signature that does not fit is refused there, too.
    pub lab: bool,
}

impl Trust {
    /// Whom this site trusts.
    pub fn of(site: &Site) -> Self {
        Self { keys: site.runtime.policy_keys.clone(), lab: site.lab }
    }

    /// Believes the signature of the file with these bytes.
    pub(super) fn check(&self, bytes: &[u8], signature: Option<&Signature>) -> Result<(), PolicyFileRefused> {
        let Some(Signature { key, ed25519 }) = signature else {
            return if self.lab { Ok(()) } else { Err(PolicyFileRefused::Unsigned) };
        };
        let place = place_of(ed25519, bytes).ok_or(PolicyFileRefused::Forged)?;
        let verifying = unhex(key).and_then(|key| VerifyingKey::from_bytes(&key).ok());
        let signature = unhex(ed25519).map(|digits| ed25519_dalek::Signature::from_bytes(&digits));
        let (verifying, signature) = verifying.zip(signature).ok_or(PolicyFileRefused::Forged)?;
        let message = with(bytes, place, &no_signature());
        verifying.verify_strict(&message, &signature).map_err(|_| PolicyFileRefused::Forged)?;
        if self.lab || self.keys.contains(key) {
            return Ok(());
        }
        Err(PolicyFileRefused::OtherKey { key: key.clone() })
    }
}

/// A key to sign with.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

/// Why a key is not used.
#[derive(Debug, thiserror::Error)]
pub enum KeyRefused {
    /// It cannot be read.
    #[error("cannot read the key {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could have copied it.
    #[error(
        "the key {} may be read or written by others (mode {mode:04o}): make a new one, or `chmod 600` it if you know that nobody did",
        path.display()
    )]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no such key.
    #[error("{} is no Ed25519 key in PEM (PKCS #8): `corerl model keygen` makes one", path.display())]
    Format {
        /// The file.
        path: PathBuf,
    },
}

impl SecretKey {
    /// The key that follows from these random bytes.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(SigningKey::from_bytes(&seed))
    }

    /// The key in this file, which must be for its owner alone.
    ///
    /// # Errors
    /// It cannot be read, is open to others, or is no key.
    pub fn load(path: &Path) -> Result<Self, KeyRefused> {
        let io = |source| KeyRefused::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let mode = file.metadata().map_err(io)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyRefused::Mode { path: path.to_owned(), mode });
        }
        let mut pem = String::new();
        file.take(KEY_FILE_BYTES_MAX).read_to_string(&mut pem).map_err(io)?;
        SigningKey::from_pkcs8_pem(&pem).map(Self).map_err(|_| KeyRefused::Format { path: path.to_owned() })
    }

    /// Writes the key into a new file for its owner alone.
    ///
    /// # Errors
    /// There is such a file already, or the system refuses.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF).map_err(io::Error::other)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(KEY_FILE_MODE).open(path)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()
    }

    /// Its public half, in hexadecimal digits: what site files trust.
    pub fn public(&self) -> String {
        hex(self.0.verifying_key().as_bytes())
    }
}

/// Why a file was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// It is no policy file.
    #[error(transparent)]
    Refused(#[from] PolicyFileRefused),
    /// The signed file cannot be made of it.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// The bytes of the same policy file, signed with this key; a signature that it had is replaced. What the file says is not
/// judged: who signs, vouches.
///
/// # Errors
/// The bytes are no policy file.
pub fn sign(bytes: &[u8], key: &SecretKey) -> Result<Vec<u8>, SignError> {
    let (_, head) = SafeTensors::read_metadata(bytes).map_err(PolicyFileRefused::Format)?;
    let tensors = SafeTensors::deserialize(bytes).map_err(PolicyFileRefused::Format)?;
    let text = head.metadata().as_ref().and_then(|entries| entries.get(MANIFEST_KEY));
    let mut manifest = read_manifest(text.ok_or(PolicyFileRefused::NoManifest)?)?;
    let blank = String::from_utf8_lossy(&no_signature()).into_owned();
    manifest.signature = Some(Signature { key: key.public(), ed25519: blank.clone() });
    let message = super::serialized(&manifest, tensors.tensors())?;
    let place = place_of(&blank, &message).ok_or(PolicyFileRefused::Forged)?;
    let signature = key.0.sign(&message).to_bytes();
    Ok(with(&message, place, hex(&signature).as_bytes()))
}

/// Where these digits stand in the file's head, once and only once.
fn place_of(digits: &str, bytes: &[u8]) -> Option<usize> {
    let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length))?;
    let head = bytes.get(..usize::try_from(length).ok()?.checked_add(size_of::<u64>())?)?;
    let mut places = head.windows(SIGNATURE_DIGITS).enumerate().filter(|(_, window)| *window == digits.as_bytes());
    let (place, _) = places.next()?;
    places.next().is_none().then_some(place)
}

fn with(bytes: &[u8], place: usize, digits: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes.iter_mut().skip(place).zip(digits).for_each(|(to, from)| *to = *from);
    bytes
}

fn no_signature() -> [u8; SIGNATURE_DIGITS] {
    [b'0'; SIGNATURE_DIGITS]
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Small letters alone: one writing per key and signature.
fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    if rest.is_empty() { bytes?.try_into().ok() } else { None }
}

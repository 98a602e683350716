//! Our own certificate and private key: made, stored, loaded.

use std::{
    fmt, fs,
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use opcua_crypto::{KeySize, PrivateKey, X509, X509Data};
use opcua_types::ByteString;

use super::{KEY_BITS, certificate};
use crate::{ApplicationError, limits::KEY_FILE_BYTES_MAX};

/// Length of keys that are made, in bits.
const NEW_KEY_BITS: u32 = 2048;
/// Line length of PEM files.
const PEM_LINE_CHARS: usize = 64;
/// Permission bits that nobody but the owner may have on a key.
const FOREIGN_MODE: u32 = 0o077;

/// Our application instance certificate with its private key.
pub struct ApplicationInstance {
    /// Where certificate and key came from.
    files: [PathBuf; 2],
    der: Vec<u8>,
    thumbprint: String,
    thumbprint_bytes: Vec<u8>,
    uri: String,
    key: PrivateKey,
}

impl fmt::Debug for ApplicationInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApplicationInstance({} {})", self.uri, self.thumbprint)
    }
}

impl ApplicationInstance {
    /// Loads a certificate and its private key, each in PEM or DER form.
    ///
    /// # Errors
    /// When a file cannot be read or is something else, when others than its owner have any right to the key file, and
    /// when the two do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<ApplicationInstance, ApplicationError> {
        let der = certificate::der_of(&read_bounded(certificate)?)
            .ok_or_else(|| ApplicationError::Unreadable { path: certificate.into(), what: "certificate" })?;
        let private = load_key(key)?;
        let parsed = certificate::Parsed::new(&der)
            .ok_or_else(|| ApplicationError::Unreadable { path: certificate.into(), what: "certificate" })?;
        if !KEY_BITS.contains(&private.bit_length()) {
            return Err(ApplicationError::KeyLength { bits: private.bit_length() });
        }
        if !parsed.has_key(&private) {
            return Err(ApplicationError::Mismatch { certificate: certificate.into(), key: key.into() });
        }
        Ok(ApplicationInstance {
            files: [certificate.into(), key.into()],
            thumbprint: parsed.thumbprint().to_owned(),
            thumbprint_bytes: parsed.thumbprint_bytes(),
            uri: parsed.application_uri().unwrap_or_default().to_owned(),
            der,
            key: private,
        })
    }

    /// Makes a key and a certificate signed by itself, stores them, and loads them. The certificate is stored as DER,
    /// the key as PEM with mode 0600. Existing files are not overwritten.
    ///
    /// # Errors
    /// When a file exists or cannot be written, or the names cannot be put into a certificate.
    pub fn generate(
        certificate: &Path,
        key: &Path,
        names: &Names<'_>,
    ) -> Result<ApplicationInstance, ApplicationError> {
        Self::generate_of(NEW_KEY_BITS, certificate, key, names)
    }

    /// The same with a key of this length.
    pub(crate) fn generate_of(
        key_size: u32,
        certificate: &Path,
        key: &Path,
        names: &Names<'_>,
    ) -> Result<ApplicationInstance, ApplicationError> {
        let alternate =
            X509Data::alt_host_names(names.application_uri, Some(names.hosts.to_vec()), false, false, false);
        let (made, private) = X509::cert_and_pkey(&X509Data {
            key_size,
            common_name: plain_name(names.common_name),
            organization: plain_name(names.organization),
            organizational_unit: String::new(),
            country: String::new(),
            state: String::new(),
            alt_host_names: alternate,
            certificate_duration_days: names.valid_days,
        })
        .map_err(ApplicationError::Making)?;
        let der = made.to_der().map_err(|error| ApplicationError::Making(error.to_string()))?;
        let secret = private.to_der().map_err(|error| ApplicationError::Making(error.to_string()))?;
        store(key, pem("PRIVATE KEY", secret.as_bytes()).as_bytes(), 0o600)?;
        store(certificate, &der, 0o644)?;
        ApplicationInstance::load(certificate, key)
    }

    /// Loads what is in the same files now; `None` where it is the same certificate.
    ///
    /// # Errors
    /// As [`ApplicationInstance::load`]: while one of the two files is replaced, and the other one is not yet.
    pub fn renewed(&self) -> Result<Option<ApplicationInstance>, ApplicationError> {
        let [certificate, key] = &self.files;
        let present = ApplicationInstance::load(certificate, key)?;
        Ok((present.der != self.der).then_some(present))
    }

    /// The certificate's DER bytes.
    pub fn certificate_der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-1 of the certificate in lower-case hexadecimal.
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// The ApplicationUri in the certificate; empty if it has none.
    pub fn application_uri(&self) -> &str {
        &self.uri
    }

    pub(crate) fn thumbprint_bytes(&self) -> &[u8] {
        &self.thumbprint_bytes
    }

    pub(crate) fn key(&self) -> &PrivateKey {
        &self.key
    }

    pub(crate) fn key_bytes(&self) -> usize {
        self.key.size()
    }
}

/// What a new certificate says about its owner.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// Our ApplicationUri, for example `urn:plant1:corerl:rt`.
    pub application_uri: &'a str,
    /// Common name of the subject.
    pub common_name: &'a str,
    /// Organization of the subject; may be empty.
    pub organization: &'a str,
    /// Host names and addresses of this machine.
    pub hosts: &'a [String],
    /// Validity from now on.
    pub valid_days: u32,
}

fn load_key(path: &Path) -> Result<PrivateKey, ApplicationError> {
    let mode =
        fs::metadata(path).map_err(|source| ApplicationError::File { path: path.into(), source })?.permissions().mode()
            & 0o7777;
    if mode & FOREIGN_MODE != 0 {
        return Err(ApplicationError::KeyMode { path: path.into(), mode });
    }
    let bytes = read_bounded(path)?;
    let refused = || ApplicationError::Unreadable { path: path.into(), what: "private key" };
    if bytes.starts_with(b"-----") {
        return PrivateKey::from_pem(&bytes).map_err(|_| refused());
    }
    // The crate reads PEM alone; a DER file may hold either of two forms.
    ["PRIVATE KEY", "RSA PRIVATE KEY"]
        .into_iter()
        .find_map(|label| PrivateKey::from_pem(pem(label, &bytes).as_bytes()).ok())
        .ok_or_else(refused)
}

/// Reads a small file.
pub(super) fn read_bounded(path: &Path) -> Result<Vec<u8>, ApplicationError> {
    let read = || -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        fs::File::open(path)?.take(KEY_FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|source| ApplicationError::File { path: path.into(), source })
}

/// Writes a new file that has its mode from the first moment on.
fn store(path: &Path, bytes: &[u8], mode: u32) -> Result<(), ApplicationError> {
    let write = || -> io::Result<()> {
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|source| ApplicationError::File { path: path.into(), source })
}

fn pem(label: &str, der: &[u8]) -> String {
    let base64 = ByteString::from(der).as_base64();
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(PEM_LINE_CHARS) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// A name without the characters that separate parts of a distinguished name.
fn plain_name(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, ',' | '+' | '=' | '"' | '\\' | '<' | '>' | ';' | '#') && !c.is_control())
        .collect()
}

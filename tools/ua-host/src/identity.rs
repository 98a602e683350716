//! The server's own certificate: made once, kept in the pki directory, used again.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use opcua_crypto::{CertificateStore, X509, X509Data};

use crate::Application;

/// The certificate's file below the pki directory.
pub(crate) const CERTIFICATE_FILE: &str = "own/cert.der";

/// The private key's file below the pki directory.
pub(crate) const KEY_FILE: &str = "private/private.pem";

/// Length of the RSA key: what Basic256Sha256 asks for at least.
const KEY_BITS: u32 = 2048;

/// Validity of a new certificate.
const VALID_DAYS: u32 = 3650;

/// What a client needs to trust the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Where the certificate is.
    pub certificate: PathBuf,
    /// Its SHA-1 thumbprint, 40 hexadecimal digits.
    pub thumbprint: String,
}

/// The identity could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file or directory cannot be made.
    #[error("{path} cannot be made: {reason}", path = path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The certificate is none.
    #[error("{path} is no certificate that can be read; remove it to have a new one made", path = path.display())]
    Unreadable {
        /// Where it is.
        path: PathBuf,
    },
    /// Certificate and key belong together, and one of them is missing.
    #[error("{present} exists but {absent} does not; restore it, or remove both to have new ones made",
        present = present.display(), absent = absent.display())]
    Half {
        /// What is there.
        present: PathBuf,
        /// What is not.
        absent: PathBuf,
    },
    /// The library cannot make one.
    #[error("no certificate can be made: {0}")]
    Generate(String),
}

/// Reads the identity in `pki`, or makes it when there is none.
pub(crate) fn load_or_create(pki: &Path, application: &Application) -> Result<Identity, IdentityError> {
    let certificate = pki.join(CERTIFICATE_FILE);
    let key = pki.join(KEY_FILE);
    for (directory, mode) in [("trusted", 0o755), ("rejected", 0o755), ("own", 0o755), ("private", 0o700)] {
        let path = pki.join(directory);
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(&path)
            .map_err(|error| IdentityError::Write { path, reason: error.to_string() })?;
    }
    let certificate_bytes = match (certificate.exists(), key.exists()) {
        (true, true) => CertificateStore::read_cert(&certificate)
            .and_then(|found| found.to_der().map_err(|error| error.to_string()))
            .map_err(|_| IdentityError::Unreadable { path: certificate.clone() })?,
        (false, false) => create(&certificate, &key, application)?,
        (true, false) => {
            return Err(IdentityError::Half { present: certificate, absent: key });
        }
        (false, true) => {
            return Err(IdentityError::Half { present: key, absent: certificate });
        }
    };
    let thumbprint = X509::from_der(&certificate_bytes)
        .map_err(|_| IdentityError::Unreadable { path: certificate.clone() })?
        .thumbprint()
        .as_hex_string();
    Ok(Identity { certificate: fs::canonicalize(&certificate).unwrap_or(certificate), thumbprint })
}

/// Makes certificate and key; the key is readable for its owner alone.
fn create(certificate: &Path, key: &Path, application: &Application) -> Result<Vec<u8>, IdentityError> {
    let data = X509Data {
        key_size: KEY_BITS,
        common_name: application.name.to_owned(),
        organization: "CoreRL".to_owned(),
        organizational_unit: String::new(),
        country: String::new(),
        state: String::new(),
        alt_host_names: X509Data::alt_host_names(application.uri, None, true, false, true),
        certificate_duration_days: VALID_DAYS,
    };
    let (x509, _) = CertificateStore::create_certificate_and_key(&data, false, certificate, key)
        .map_err(IdentityError::Generate)?;
    fs::set_permissions(key, Permissions::from_mode(0o600))
        .map_err(|error| IdentityError::Write { path: key.to_owned(), reason: error.to_string() })?;
    x509.to_der().map_err(|error| IdentityError::Generate(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: Application = Application { name: "Test", uri: "urn:test" };

    #[test]
    fn an_identity_is_made_once_and_found_again_and_its_key_is_private() {
        let pki = tempfile::tempdir().unwrap();
        let made = load_or_create(pki.path(), &APPLICATION).unwrap();
        assert_eq!(made.thumbprint.len(), 40);
        assert_eq!(load_or_create(pki.path(), &APPLICATION).unwrap(), made);
        let mode = fs::metadata(pki.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn half_an_identity_and_a_broken_one_are_refused_with_the_file_named() {
        let pki = tempfile::tempdir().unwrap();
        fs::create_dir_all(pki.path().join("own")).unwrap();
        fs::write(pki.path().join(CERTIFICATE_FILE), "nonsense").unwrap();
        let error = load_or_create(pki.path(), &APPLICATION).unwrap_err();
        assert!(matches!(error, IdentityError::Half { .. }), "{error}");
        fs::create_dir_all(pki.path().join("private")).unwrap();
        fs::write(pki.path().join(KEY_FILE), "nonsense").unwrap();
        let error = load_or_create(pki.path(), &APPLICATION).unwrap_err();
        assert!(error.to_string().contains("cert.der"), "{error}");
    }
}

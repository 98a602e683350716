//! The server's own certificate: made once, kept in the pki directory, used again.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use opcua_crypto::{CertificateStore, KeySize as _, PrivateKey, SecurityPolicy, X509, X509Data};
use x509_cert::Certificate;
use x509_cert::der::asn1::{BitString, UtcTime};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::time::{Time, Validity};

use crate::Application;

/// The certificate's file below the pki directory.
pub(crate) const CERTIFICATE_FILE: &str = "own/cert.der";

/// The private key's file below the pki directory.
pub(crate) const KEY_FILE: &str = "private/private.pem";

/// Length of the RSA key: what Basic256Sha256 asks for at least.
const KEY_BITS: u32 = 2048;

/// Validity of a new certificate.
const VALID_DAYS: u32 = 3650;

/// One whose life is limited is valid from so long ago.
const VALID_SINCE: Duration = Duration::from_secs(86_400);

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

/// Reads the identity in `pki`, or makes it when there is none; then its certificate may be given less time than usual.
pub(crate) fn load_or_create(
    pki: &Path,
    application: &Application,
    lifetime: Option<Duration>,
) -> Result<Identity, IdentityError> {
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
        (false, false) => create((&certificate, &key), application, lifetime)?,
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
fn create(
    (certificate, key): (&Path, &Path),
    application: &Application,
    lifetime: Option<Duration>,
) -> Result<Vec<u8>, IdentityError> {
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
    let (x509, private) = CertificateStore::create_certificate_and_key(&data, false, certificate, key)
        .map_err(IdentityError::Generate)?;
    let unwritten =
        |path: &Path, error: io::Error| IdentityError::Write { path: path.into(), reason: error.to_string() };
    fs::set_permissions(key, Permissions::from_mode(0o600)).map_err(|error| unwritten(key, error))?;
    let der = x509.to_der().map_err(|error| IdentityError::Generate(error.to_string()))?;
    let Some(lifetime) = lifetime else { return Ok(der) };
    let der = limited(&der, &private, lifetime).map_err(IdentityError::Generate)?;
    fs::write(certificate, &der).map_err(|error| unwritten(certificate, error))?;
    Ok(der)
}

/// The same certificate, valid for so long at most: a certificate knows whole seconds, and without any it has expired.
fn limited(der: &[u8], key: &PrivateKey, lifetime: Duration) -> Result<Vec<u8>, String> {
    let now = Duration::from_secs(rt_sys::unix_time().as_s());
    let until = (now + lifetime).saturating_sub(Duration::from_secs(1));
    let time = |at| UtcTime::from_unix_duration(at).map(Time::UtcTime).map_err(|error| error.to_string());
    let mut certificate = Certificate::from_der(der).map_err(|error| error.to_string())?;
    let validity = Validity { not_before: time(now.saturating_sub(VALID_SINCE))?, not_after: time(until)? };
    certificate.tbs_certificate.validity = validity;
    let signed = certificate.tbs_certificate.to_der().map_err(|error| error.to_string())?;
    // This policy signs as the certificate says that it is signed: SHA-256 with RSA, PKCS #1 v1.5.
    let mut signature = vec![0; key.size()];
    SecurityPolicy::Basic256Sha256.asymmetric_sign(key, &signed, &mut signature).map_err(|error| error.to_string())?;
    certificate.signature = BitString::from_bytes(&signature).map_err(|error| error.to_string())?;
    certificate.to_der().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: Application = Application { name: "Test", uri: "urn:test" };

    #[test]
    fn an_identity_is_made_once_and_found_again_and_its_key_is_private() {
        let pki = tempfile::tempdir().unwrap();
        let made = load_or_create(pki.path(), &APPLICATION, None).unwrap();
        assert_eq!(made.thumbprint.len(), 40);
        assert_eq!(load_or_create(pki.path(), &APPLICATION, None).unwrap(), made);
        let mode = fs::metadata(pki.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn half_an_identity_and_a_broken_one_are_refused_with_the_file_named() {
        let pki = tempfile::tempdir().unwrap();
        fs::create_dir_all(pki.path().join("own")).unwrap();
        fs::write(pki.path().join(CERTIFICATE_FILE), "nonsense").unwrap();
        let error = load_or_create(pki.path(), &APPLICATION, None).unwrap_err();
        assert!(matches!(error, IdentityError::Half { .. }), "{error}");
        fs::create_dir_all(pki.path().join("private")).unwrap();
        fs::write(pki.path().join(KEY_FILE), "nonsense").unwrap();
        let error = load_or_create(pki.path(), &APPLICATION, None).unwrap_err();
        assert!(error.to_string().contains("cert.der"), "{error}");
    }

    #[test]
    fn a_certificate_is_valid_for_as_long_as_was_asked_for_and_not_at_all_without_any_time() {
        for (lifetime_s, is_valid) in [(0, false), (3600, true)] {
            let pki = tempfile::tempdir().unwrap();
            let lifetime = Duration::from_secs(lifetime_s);
            let made = load_or_create(pki.path(), &APPLICATION, Some(lifetime)).unwrap();
            let validity =
                Certificate::from_der(&fs::read(&made.certificate).unwrap()).unwrap().tbs_certificate.validity;
            let now_s = rt_sys::unix_time().as_s();
            let [since_s, until_s] =
                [validity.not_before, validity.not_after].map(|at| at.to_unix_duration().as_secs());
            assert_eq!(until_s > now_s, is_valid, "{lifetime_s} s");
            assert!(since_s < until_s && until_s < now_s + lifetime_s);
            assert_eq!(load_or_create(pki.path(), &APPLICATION, None).unwrap(), made);
        }
    }
}

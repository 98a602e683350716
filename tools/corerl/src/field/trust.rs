//! A trust directory: `trusted/*.der` and `pending/*.der`, each file named by its thumbprint. The runtime puts what it
//! refused into `pending`; nothing but a person's decision moves it to `trusted`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use opcua_crypto::X509;
use serde::Serialize;

use crate::failure::{Exit, Failure};

/// The largest file that is read as a certificate.
const CERTIFICATE_BYTES_MAX: u64 = 64 << 10;
/// A certificate is shown to everybody who connects.
const CERTIFICATE_FILE_MODE: u32 = 0o644;
/// Digits of a thumbprint that are enough to name a certificate.
const PREFIX_DIGITS_MIN: usize = 8;
/// Digits of a whole thumbprint.
const THUMBPRINT_DIGITS: usize = 40;

/// One certificate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Entry {
    /// SHA-1 of the DER bytes, upper-case hexadecimal.
    pub(super) thumbprint: String,
    /// Subject name.
    pub(super) subject: String,
    /// End of validity, UTC.
    pub(super) valid_until: String,
    /// The file.
    pub(super) file: PathBuf,
    #[serde(skip)]
    der: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct TrustDirectory(PathBuf);

impl TrustDirectory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub(super) fn trusted(&self) -> Result<Vec<Entry>, Failure> {
        entries(&self.0.join("trusted"))
    }

    pub(super) fn pending(&self) -> Result<Vec<Entry>, Failure> {
        entries(&self.0.join("pending"))
    }

    /// Trusts a pending certificate by its thumbprint, or one from a file.
    pub(super) fn add(&self, certificate: &str) -> Result<Entry, Failure> {
        let (entry, was_pending) = if is_thumbprint(certificate) {
            (choose(self.pending()?, certificate, "pending")?, true)
        } else {
            (read(Path::new(certificate))?, false)
        };
        let directory = self.0.join("trusted");
        let file = directory.join(format!("{}.der", entry.thumbprint));
        let stored =
            fs::create_dir_all(&directory).and_then(|()| rt_state::replace(&file, CERTIFICATE_FILE_MODE, &entry.der));
        stored.map_err(|error| Failure::io(file.display(), &error))?;
        if was_pending {
            // It is trusted already; a file that stays in `pending` is no more than untidy.
            let _ = fs::remove_file(&entry.file);
        }
        Ok(Entry { file, ..entry })
    }

    /// Trusts a certificate no longer.
    pub(super) fn remove(&self, thumbprint: &str) -> Result<Entry, Failure> {
        let entry = choose(self.trusted()?, thumbprint, "trusted")?;
        fs::remove_file(&entry.file).map_err(|error| Failure::io(entry.file.display(), &error))?;
        Ok(entry)
    }
}

/// Hexadecimal digits, enough of them, and no file of that name.
fn is_thumbprint(text: &str) -> bool {
    (PREFIX_DIGITS_MIN..=THUMBPRINT_DIGITS).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && !Path::new(text).exists()
}

fn choose(entries: Vec<Entry>, thumbprint: &str, state: &str) -> Result<Entry, Failure> {
    let wanted = thumbprint.to_uppercase();
    let known = entries.iter().map(|entry| entry.thumbprint.clone()).collect::<Vec<_>>().join(", ");
    let mut found: Vec<Entry> = entries.into_iter().filter(|entry| entry.thumbprint.starts_with(&wanted)).collect();
    match (found.pop(), found.is_empty()) {
        (Some(only), true) if wanted.len() >= PREFIX_DIGITS_MIN => Ok(only),
        (Some(_), _) => Err(Failure::new(
            Exit::CheckFailed,
            format_args!("`{thumbprint}` does not name one certificate alone: write more of its digits ({known})"),
        )),
        (None, _) => {
            let known = if known.is_empty() { "there is none".into() } else { format!("there are {known}") };
            Err(Failure::new(
                Exit::CheckFailed,
                format_args!("no {state} certificate has the thumbprint {thumbprint}; {known}"),
            ))
        }
    }
}

/// The certificates in a directory, by thumbprint; a directory that does not exist holds none.
fn entries(directory: &Path) -> Result<Vec<Entry>, Failure> {
    let files = match fs::read_dir(directory) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::io(directory.display(), &error)),
    };
    let mut found = Vec::new();
    for file in files.flatten().map(|file| file.path()).filter(|path| path.is_file()) {
        match read(&file) {
            Ok(entry) => found.push(entry),
            Err(failure) => _ = failure.report(),
        }
    }
    found.sort_by(|a, b| a.thumbprint.cmp(&b.thumbprint));
    Ok(found)
}

/// Reads one certificate, DER or PEM.
fn read(path: &Path) -> Result<Entry, Failure> {
    let attempt = || {
        if fs::metadata(path)?.len() > CERTIFICATE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too large for a certificate"));
        }
        fs::read(path)
    };
    let bytes = attempt().map_err(|error| Failure::io(path.display(), &error))?;
    let parsed = if bytes.starts_with(b"-----") { X509::from_pem(&bytes) } else { X509::from_der(&bytes) };
    let entry = parsed.and_then(|certificate| {
        Ok(Entry {
            thumbprint: certificate.thumbprint().as_hex_string().to_uppercase(),
            subject: certificate.subject_name(),
            valid_until: certificate.not_after()?.to_string(),
            file: path.to_owned(),
            der: certificate.to_der()?,
        })
    });
    entry.map_err(|_| {
        Failure::new(Exit::CheckFailed, format_args!("{}: no X.509 certificate in DER or PEM form", path.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ua_session::{ApplicationInstance, Names};

    fn made(directory: &Path, name: &str) -> (PathBuf, String) {
        let names = Names {
            application_uri: "urn:test:server",
            common_name: name,
            organization: "",
            hosts: &["localhost".into()],
            valid_days: 1,
        };
        let (cert, key) = (directory.join(format!("{name}.der")), directory.join(format!("{name}.pem")));
        let instance = ApplicationInstance::generate(&cert, &key, &names).unwrap();
        (cert, instance.thumbprint().to_uppercase())
    }

    #[test]
    fn a_certificate_goes_from_pending_to_trusted_and_away_again() {
        let temporary = tempfile::tempdir().unwrap();
        let (cert, thumbprint) = made(temporary.path(), "plant");
        let directory = TrustDirectory::new(temporary.path().join("pki"));
        assert_eq!(directory.trusted().unwrap(), []);
        fs::create_dir_all(temporary.path().join("pki/pending")).unwrap();
        fs::copy(&cert, temporary.path().join("pki/pending/x.der")).unwrap();
        assert_eq!(directory.pending().unwrap()[0].thumbprint, thumbprint);

        let added = directory.add(&thumbprint[..8].to_lowercase()).unwrap();
        assert!(added.subject.contains("plant"));
        assert_eq!((directory.trusted().unwrap().len(), directory.pending().unwrap().len()), (1, 0));
        assert_eq!(fs::read(&added.file).unwrap(), fs::read(&cert).unwrap());

        assert_eq!(directory.remove("0000000000").unwrap_err().report(), Exit::CheckFailed);
        assert_eq!(directory.remove(&thumbprint[..4]).unwrap_err().report(), Exit::CheckFailed);
        directory.remove(&thumbprint).unwrap();
        assert_eq!(directory.trusted().unwrap(), []);
    }

    #[test]
    fn a_file_is_added_as_it_is_and_nonsense_is_refused() {
        let temporary = tempfile::tempdir().unwrap();
        let (cert, thumbprint) = made(temporary.path(), "plant");
        let directory = TrustDirectory::new(temporary.path().join("pki"));
        assert_eq!(directory.add(cert.to_str().unwrap()).unwrap().thumbprint, thumbprint);
        fs::write(temporary.path().join("nonsense"), "x").unwrap();
        for name in ["nonsense", "absent"] {
            assert!(directory.add(temporary.path().join(name).to_str().unwrap()).is_err());
        }
        assert_eq!(directory.trusted().unwrap().len(), 1);
    }
}

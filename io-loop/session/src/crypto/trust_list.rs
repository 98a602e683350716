//! The trust directory: whom people have decided to trust, who helps to build chains, and what authorities took back.

use std::{
    fs, io,
    io::Read,
    path::{Path, PathBuf},
};

use super::{
    application::read_bounded,
    certificate::{Parsed, der_of},
    revocation::{self, RevocationList, Standing},
};
use crate::{
    ApplicationError, CertificateFault, Trust,
    limits::{REVOCATION_LIST_BYTES_MAX, REVOCATION_LISTS_MAX, TRUSTED_CERTIFICATES_MAX},
};

/// Everything in a trust directory, as it is at one moment.
#[derive(Default)]
pub(super) struct TrustList {
    pinned: Option<Vec<u8>>,
    trusted: Vec<Parsed>,
    issuers: Vec<Parsed>,
    lists: Vec<RevocationList>,
}

impl TrustList {
    /// Reads it all. A directory that was never made holds nothing; a file that cannot be read trusts nobody, and the
    /// others still count.
    pub(super) fn read(trust: &Trust) -> Result<TrustList, CertificateFault> {
        let pinned = match &trust.pinned {
            Some(path) => der_of(&read_bounded(path).map_err(|error| unreadable(path, &error))?),
            None => None,
        };
        let Some(directory) = &trust.directory else { return Ok(TrustList { pinned, ..TrustList::default() }) };
        let certificate = |path: &Path| Parsed::new(&der_of(&read_bounded(path).ok()?)?);
        Ok(TrustList {
            pinned,
            trusted: each(&directory.join("trusted"), TRUSTED_CERTIFICATES_MAX, certificate)?,
            issuers: each(&directory.join("issuers"), TRUSTED_CERTIFICATES_MAX, certificate)?,
            lists: each(&directory.join("crl"), REVOCATION_LISTS_MAX, read_list)?,
        })
    }

    /// Whether a server's certificate is trusted by its bytes.
    pub(super) fn trusts_server(&self, one: &Parsed) -> bool {
        self.pinned.as_deref() == Some(one.der()) || self.trusts_issuer(one)
    }

    /// Whether an issuer's certificate is trusted by its bytes.
    pub(super) fn trusts_issuer(&self, one: &Parsed) -> bool {
        self.trusted.iter().any(|trusted| trusted.der() == one.der())
    }

    /// Certificates that may have issued others, those that are trusted first.
    pub(super) fn authorities(&self) -> impl Iterator<Item = &Parsed> {
        self.trusted.iter().chain(&self.issuers)
    }

    /// What an authority says of a certificate that it issued.
    pub(super) fn standing(&self, one: &Parsed, issuer: &Parsed, now_unix_s: Option<i64>) -> Standing {
        revocation::standing(&self.lists, one, issuer, now_unix_s)
    }
}

fn unreadable(path: &Path, error: &ApplicationError) -> CertificateFault {
    let kind = match error {
        ApplicationError::File { source, .. } => source.kind(),
        _ => io::ErrorKind::Other,
    };
    CertificateFault::TrustList { path: path.to_owned(), kind }
}

/// What is read from each file of a directory.
fn each<T>(
    directory: &PathBuf,
    files_max: usize,
    read: impl Fn(&Path) -> Option<T>,
) -> Result<Vec<T>, CertificateFault> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(CertificateFault::TrustList { path: directory.clone(), kind: error.kind() }),
    };
    Ok(entries.take(files_max).filter_map(Result::ok).filter_map(|entry| read(&entry.path())).collect())
}

fn read_list(path: &Path) -> Option<RevocationList> {
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(REVOCATION_LIST_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    RevocationList::new(&bytes)
}

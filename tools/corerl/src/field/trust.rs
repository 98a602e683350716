//! A trust directory: `trusted/` with servers and authorities, `issuers/` with authorities that are not trusted by
//! themselves, `crl/` with revocation lists, each file named by a thumbprint. The runtime puts what it refused into
//! `pending/`; nothing but a person's decision moves it to `trusted/`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use ua_session::{CertificateFacts, RevocationFacts, TrustItem};

use crate::failure::{Exit, Failure};

/// The largest file that is read: the largest revocation list that the runtime reads.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// A certificate is shown to everybody who connects.
const FILE_MODE: u32 = 0o644;
/// Digits of a thumbprint that are enough to name a certificate.
const PREFIX_DIGITS_MIN: usize = 8;
/// Digits of a whole thumbprint.
const THUMBPRINT_DIGITS: usize = 40;

/// What a certificate is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// A server's.
    Server,
    /// Vouches for the servers that it issued certificates for.
    Authority,
    /// An authority that is not trusted by itself: it links servers with one that is.
    Issuer,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Authority => "authority",
            Self::Issuer => "issuer",
        }
    }
}

/// One certificate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Entry {
    /// What it is good for.
    pub(super) kind: Kind,
    /// SHA-1 of the DER bytes, upper-case hexadecimal.
    pub(super) thumbprint: String,
    /// Subject name.
    pub(super) subject: String,
    /// End of validity, UTC.
    pub(super) valid_until: String,
    /// The file.
    pub(super) file: PathBuf,
    #[serde(skip)]
    pub(super) der: Vec<u8>,
}

impl Entry {
    fn new(facts: CertificateFacts, file: PathBuf) -> Self {
        Self {
            kind: if facts.is_authority { Kind::Authority } else { Kind::Server },
            thumbprint: facts.thumbprint.to_uppercase(),
            subject: facts.subject,
            valid_until: facts.valid_until,
            file,
            der: facts.der,
        }
    }
}

/// One revocation list.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct List {
    /// Name of the authority.
    pub(super) issuer: String,
    /// Thumbprint of the authority that signed it; `None` when it is not here: then the list counts for nothing.
    pub(super) authority: Option<String>,
    /// When it was issued, UTC.
    pub(super) issued: String,
    /// When the next one is due, UTC; `None` when it does not say, which counts as out of date.
    pub(super) next_update: Option<String>,
    /// Whether the next one is not due yet.
    pub(super) is_current: bool,
    /// How many certificates it revokes.
    pub(super) revoked: usize,
    /// The file.
    pub(super) file: PathBuf,
}

impl List {
    fn new(facts: RevocationFacts, authorities: &[Entry], now_unix_s: i64, file: PathBuf) -> Self {
        Self {
            authority: author(&facts, authorities).map(|authority| authority.thumbprint.clone()),
            is_current: facts.next_update_unix_s.is_some_and(|next| next >= now_unix_s),
            issuer: facts.issuer,
            issued: facts.issued,
            next_update: facts.next_update,
            revoked: facts.revoked,
            file,
        }
    }
}

fn author<'a>(facts: &RevocationFacts, authorities: &'a [Entry]) -> Option<&'a Entry> {
    authorities.iter().find(|authority| facts.is_by(&authority.der))
}

/// What was added.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Added {
    Certificate(Entry),
    List(List),
}

#[derive(Debug)]
pub(super) struct TrustDirectory(PathBuf);

impl TrustDirectory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// Who is trusted, and who helps to build chains.
    pub(super) fn trusted(&self) -> Result<Vec<Entry>, Failure> {
        let mut all = entries(&self.0.join("trusted"))?;
        all.extend(entries(&self.0.join("issuers"))?.into_iter().map(|entry| Entry { kind: Kind::Issuer, ..entry }));
        Ok(all)
    }

    pub(super) fn pending(&self) -> Result<Vec<Entry>, Failure> {
        entries(&self.0.join("pending"))
    }

    /// The revocation lists.
    pub(super) fn lists(&self, now_unix_s: i64) -> Result<Vec<List>, Failure> {
        let authorities = self.trusted()?;
        let lists = items(&self.0.join("crl"))?.into_iter().filter_map(|(item, file)| match item {
            TrustItem::RevocationList(facts) => Some(List::new(facts, &authorities, now_unix_s, file)),
            TrustItem::Certificate(_) => None,
        });
        let mut lists: Vec<_> = lists.collect();
        lists.sort_by(|a, b| (&a.issuer, &a.issued).cmp(&(&b.issuer, &b.issued)));
        Ok(lists)
    }

    /// A pending certificate, or one that is here, by its thumbprint.
    pub(super) fn find(&self, thumbprint: &str) -> Result<Entry, Failure> {
        choose(self.trusted()?.into_iter().chain(self.pending()?).collect(), thumbprint, "trusted or pending")
    }

    /// Trusts a pending certificate by its thumbprint, or what is in a file: a certificate, which as an issuer is not
    /// trusted by itself, or a revocation list.
    pub(super) fn add(&self, what: &str, as_issuer: bool, now_unix_s: i64) -> Result<Added, Failure> {
        if is_thumbprint(what) {
            let entry = choose(self.pending()?, what, "pending")?;
            let pending = entry.file.clone();
            let added = self.add_certificate(entry, as_issuer)?;
            // It is trusted already; a file that stays in `pending` is no more than untidy.
            let _ = fs::remove_file(pending);
            return Ok(added);
        }
        let file = PathBuf::from(what);
        match read(&file)? {
            TrustItem::Certificate(facts) => self.add_certificate(Entry::new(facts, file), as_issuer),
            TrustItem::RevocationList(facts) => self.add_list(facts, &file, now_unix_s),
        }
    }

    fn add_certificate(&self, entry: Entry, as_issuer: bool) -> Result<Added, Failure> {
        if as_issuer && entry.kind != Kind::Authority {
            let message = format_args!("{} ({}) is not an authority's", entry.thumbprint, entry.subject);
            return Err(Failure::new(Exit::CheckFailed, message));
        }
        let (part, kind) = if as_issuer { ("issuers", Kind::Issuer) } else { ("trusted", entry.kind) };
        let file = self.store(part, &format!("{}.der", entry.thumbprint), &entry.der)?;
        Ok(Added::Certificate(Entry { kind, file, ..entry }))
    }

    /// Puts a list into the place of its authority's last one.
    fn add_list(&self, facts: RevocationFacts, from: &Path, now_unix_s: i64) -> Result<Added, Failure> {
        let authorities = self.trusted()?;
        let Some(authority) = author(&facts, &authorities) else {
            let message = format_args!(
                "{}: no authority in {} signed this revocation list of {}: add the authority first",
                from.display(),
                self.0.display(),
                facts.issuer
            );
            return Err(Failure::new(Exit::CheckFailed, message));
        };
        let name = format!("{}.crl", authority.thumbprint);
        if let Ok(TrustItem::RevocationList(last)) = read(&self.0.join("crl").join(&name))
            && last.issued_unix_s > facts.issued_unix_s
        {
            let message = format_args!(
                "{}: this revocation list of {} was issued {}, and one of {} is here already",
                from.display(),
                facts.issuer,
                facts.issued,
                last.issued
            );
            return Err(Failure::new(Exit::CheckFailed, message));
        }
        let file = self.store("crl", &name, &facts.der)?;
        Ok(Added::List(List::new(facts, &authorities, now_unix_s, file)))
    }

    fn store(&self, part: &str, name: &str, bytes: &[u8]) -> Result<PathBuf, Failure> {
        let directory = self.0.join(part);
        let file = directory.join(name);
        let stored = fs::create_dir_all(&directory).and_then(|()| rt_state::replace(&file, FILE_MODE, bytes));
        stored.map_err(|error| Failure::io(file.display(), &error))?;
        Ok(file)
    }

    /// Trusts a certificate no longer, or builds no chains with it any more.
    pub(super) fn remove(&self, thumbprint: &str) -> Result<Entry, Failure> {
        let entry = choose(self.trusted()?, thumbprint, "trusted")?;
        fs::remove_file(&entry.file).map_err(|error| Failure::io(entry.file.display(), &error))?;
        Ok(entry)
    }
}

/// Hexadecimal digits, enough of them, and no file of that name.
pub(super) fn is_thumbprint(text: &str) -> bool {
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

/// The certificates in a directory, by thumbprint.
fn entries(directory: &Path) -> Result<Vec<Entry>, Failure> {
    let certificates = items(directory)?.into_iter().filter_map(|(item, file)| match item {
        TrustItem::Certificate(facts) => Some(Entry::new(facts, file)),
        TrustItem::RevocationList(_) => None,
    });
    let mut found: Vec<_> = certificates.collect();
    found.sort_by(|a, b| a.thumbprint.cmp(&b.thumbprint));
    Ok(found)
}

/// What is in the files of a directory; a directory that does not exist holds nothing.
fn items(directory: &Path) -> Result<Vec<(TrustItem, PathBuf)>, Failure> {
    let files = match fs::read_dir(directory) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Failure::io(directory.display(), &error)),
    };
    let mut found = Vec::new();
    for file in files.flatten().map(|file| file.path()).filter(|path| path.is_file()) {
        match read(&file) {
            Ok(item) => found.push((item, file)),
            Err(failure) => _ = failure.report(),
        }
    }
    Ok(found)
}

/// Reads a small file.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let attempt = || {
        if fs::metadata(path)?.len() > FILE_BYTES_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "too large for a certificate or a revocation list"));
        }
        fs::read(path)
    };
    attempt().map_err(|error| Failure::io(path.display(), &error))
}

/// Reads one certificate or revocation list, DER or PEM.
fn read(path: &Path) -> Result<TrustItem, Failure> {
    TrustItem::read(&read_bytes(path)?).ok_or_else(|| {
        let message = format_args!(
            "{}: neither an X.509 certificate with an RSA key nor a revocation list of version 2, in DER or PEM form \
             (openssl makes lists of version 1 unless its configuration names `crl_extensions`)",
            path.display()
        );
        Failure::new(Exit::CheckFailed, message)
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

        let Added::Certificate(added) = directory.add(&thumbprint[..8].to_lowercase(), false, 0).unwrap() else {
            panic!()
        };
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
        let added = directory.add(cert.to_str().unwrap(), false, 0).unwrap();
        assert!(
            matches!(added, Added::Certificate(entry) if (&entry.thumbprint, entry.kind) == (&thumbprint, Kind::Server))
        );
        // It could vouch for nobody.
        assert!(directory.add(cert.to_str().unwrap(), true, 0).is_err());
        fs::write(temporary.path().join("nonsense"), "x").unwrap();
        for name in ["nonsense", "absent"] {
            assert!(directory.add(temporary.path().join(name).to_str().unwrap(), false, 0).is_err());
        }
        assert_eq!(directory.trusted().unwrap().len(), 1);
    }

    /// A file of the matrix of chains, which openssl made.
    fn fixture(name: &str) -> String {
        format!("{}/../../io-loop/session/src/crypto/fixtures/chains/{name}", env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn f55_authorities_issuers_and_revocation_lists_go_where_they_belong() {
        /// 2026-07-01 and 2028-01-01, seconds since 1970.
        const NOW: i64 = 1_782_864_000;
        const LATER: i64 = 1_830_297_600;
        let temporary = tempfile::tempdir().unwrap();
        let directory = TrustDirectory::new(temporary.path().to_owned());
        let add = |name: &str, as_issuer| directory.add(&fixture(name), as_issuer, NOW);
        // Whose list it is, is not known yet.
        assert!(add("root.crl", false).is_err());
        assert!(matches!(add("root.der", false), Ok(Added::Certificate(Entry { kind: Kind::Authority, .. }))));
        assert!(matches!(add("inter.der", true), Ok(Added::Certificate(Entry { kind: Kind::Issuer, .. }))));
        // Another authority of the same name did not sign it.
        assert!(add("root_of_same_name.crl", false).is_err());
        for name in ["root_stale.crl", "root.crl", "inter.crl"] {
            assert!(matches!(add(name, false), Ok(Added::List(List { authority: Some(_), .. }))), "{name}");
        }
        // A newer one is here.
        assert!(add("root_stale.crl", false).is_err());

        let kinds: Vec<_> = directory.trusted().unwrap().iter().map(|entry| entry.kind).collect();
        assert_eq!(kinds, [Kind::Authority, Kind::Issuer]);
        for (now, is_current) in [(NOW, true), (LATER, false)] {
            let lists = directory.lists(now).unwrap();
            assert_eq!(lists.len(), 2);
            assert!(lists.iter().all(|list| list.is_current == is_current && list.authority.is_some()), "{lists:?}");
        }
        for (part, files) in [("trusted", 1), ("issuers", 1), ("crl", 2)] {
            assert_eq!(fs::read_dir(temporary.path().join(part)).unwrap().count(), files, "{part}");
        }
        let issuer = directory.trusted().unwrap().pop().unwrap();
        directory.remove(&issuer.thumbprint).unwrap();
        assert_eq!(directory.trusted().unwrap().len(), 1);
    }
}

//! What a trust directory holds, and how a certificate is judged by it, for the tools that fill and show it.

use super::{
    certificate::{self, Parsed},
    chain,
    revocation::{RevocationList, unix_s},
    trust_list::TrustList,
};
use crate::{CertificateFault, Trust};

/// A file of a trust directory, taken apart. Nothing about it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrustItem {
    /// A server's certificate, or an authority's.
    Certificate(CertificateFacts),
    /// A revocation list.
    RevocationList(RevocationFacts),
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// SHA-1 of the DER bytes, in lower-case hexadecimal.
    pub thumbprint: String,
    /// Subject name.
    pub subject: String,
    /// End of validity, UTC.
    pub valid_until: String,
    /// The same in seconds since 1970.
    pub valid_until_unix_s: Option<i64>,
    /// Whether it may issue certificates.
    pub is_authority: bool,
    /// The certificate.
    pub der: Vec<u8>,
}

/// What a revocation list says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationFacts {
    /// Name of the authority.
    pub issuer: String,
    /// When it was issued, UTC.
    pub issued: String,
    /// The same in seconds since 1970.
    pub issued_unix_s: i64,
    /// When the next one is due, UTC.
    pub next_update: Option<String>,
    /// The same in seconds since 1970.
    pub next_update_unix_s: Option<i64>,
    /// How many certificates it revokes.
    pub revoked: usize,
    /// The list.
    pub der: Vec<u8>,
}

impl TrustItem {
    /// Reads a file, DER or PEM; `None` when it is neither a certificate with an RSA key nor a revocation list.
    pub fn read(bytes: &[u8]) -> Option<TrustItem> {
        let certificate = || certificate::der_of(bytes).and_then(|der| Parsed::new(&der));
        let list = || RevocationList::new(bytes).map(|list| TrustItem::RevocationList(RevocationFacts::of(&list)));
        certificate().map(|parsed| TrustItem::Certificate(CertificateFacts::of(&parsed))).or_else(list)
    }
}

impl CertificateFacts {
    fn of(parsed: &Parsed) -> CertificateFacts {
        CertificateFacts {
            thumbprint: parsed.thumbprint().to_owned(),
            subject: parsed.subject(),
            valid_until: parsed.certificate().tbs_certificate.validity.not_after.to_string(),
            valid_until_unix_s: parsed.valid_until_unix_s(),
            is_authority: parsed.is_authority(),
            der: parsed.der().to_vec(),
        }
    }
}

impl RevocationFacts {
    fn of(list: &RevocationList) -> RevocationFacts {
        RevocationFacts {
            issuer: list.issuer(),
            issued: list.this_update().to_string(),
            issued_unix_s: unix_s(list.this_update()),
            next_update: list.next_update().map(|time| time.to_string()),
            next_update_unix_s: list.next_update().map(unix_s),
            revoked: list.revoked(),
            der: list.der().to_vec(),
        }
    }

    /// Whether an authority with this certificate (DER) signed the list, which then speaks of all that it issued.
    pub fn is_by(&self, authority: &[u8]) -> bool {
        let (list, authority) = (RevocationList::new(&self.der), Parsed::new(authority));
        list.zip(authority).is_some_and(|(list, authority)| list.names_as_issuer(&authority) && list.is_by(&authority))
    }
}

/// How a server's certificate is judged, apart from its host and application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examination {
    /// The certificate and its issuers, up to one that is trusted; if there is none, those that came with it.
    pub chain: Vec<CertificateFacts>,
    /// What is wrong.
    pub verdict: Result<(), CertificateFault>,
}

/// Judges a certificate with the chain behind it, DER or PEM, by a trust directory.
///
/// # Errors
/// It is no certificate with an RSA key.
pub fn examine(bytes: &[u8], trust: &Trust, now_unix_s: i64) -> Result<Examination, CertificateFault> {
    let bytes = certificate::binary(bytes, "CERTIFICATE").ok_or(CertificateFault::Unreadable)?;
    let server = certificate::der_of(&bytes).and_then(|der| Parsed::new(&der)).ok_or(CertificateFault::Unreadable)?;
    let sent: Vec<_> = std::iter::once(server).chain(certificate::issuers_in(&bytes)).collect();
    let mut chain: Vec<_> = sent.iter().map(CertificateFacts::of).collect();
    let verdict = TrustList::read(trust).and_then(|list| {
        chain::find(&sent, &list, |found| {
            chain = found.certificates().map(CertificateFacts::of).collect();
            found.check_strength()?;
            found.check_validity(now_unix_s)?;
            found.check(&list, trust.revocation, Some(now_unix_s))
        })
    });
    Ok(Examination { chain, verdict })
}

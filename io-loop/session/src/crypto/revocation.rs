//! Revocation lists: what an authority takes back (RFC 5280, 5 and 6.3).

use x509_cert::{
    crl::CertificateList,
    der::{
        Decode, Encode,
        oid::{AssociatedOid, ObjectIdentifier},
    },
    ext::pkix::{AuthorityKeyIdentifier, CrlNumber},
    time::Time,
};

use super::{
    certificate::{Parsed, binary},
    signature::Digest,
};
use crate::ListFault;

/// Extensions of a list that do not narrow what it speaks of. Lists of differences and lists for some certificates alone
/// have others, which are critical (RFC 5280, 5.2).
const KNOWN_EXTENSIONS: [ObjectIdentifier; 2] = [AuthorityKeyIdentifier::OID, CrlNumber::OID];

/// What an authority says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its list is current and does not name it.
    Good,
    /// Its newest list names it.
    Revoked { since_unix_s: i64 },
    /// There is no list to go by.
    Unknown(ListFault),
}

/// A revocation list taken apart; nothing about it has been checked.
pub(super) struct RevocationList {
    list: CertificateList,
    signed: Vec<u8>,
    der: Vec<u8>,
}

impl RevocationList {
    /// Reads a DER or PEM file. Lists are of version 2 (RFC 5280, 5.1.2.1).
    pub(super) fn new(bytes: &[u8]) -> Option<RevocationList> {
        let der = binary(bytes, "X509 CRL")?;
        let list = CertificateList::from_der(&der).ok()?;
        let signed = list.tbs_cert_list.to_der().ok()?;
        Some(RevocationList { list, signed, der })
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn issuer(&self) -> String {
        self.list.tbs_cert_list.issuer.to_string()
    }

    /// How many certificates it names.
    pub(super) fn revoked(&self) -> usize {
        self.list.tbs_cert_list.revoked_certificates.as_ref().map_or(0, Vec::len)
    }

    pub(super) fn this_update(&self) -> Time {
        self.list.tbs_cert_list.this_update
    }

    pub(super) fn next_update(&self) -> Option<Time> {
        self.list.tbs_cert_list.next_update
    }

    /// Whether it bears the name of this authority, which proves nothing.
    pub(super) fn names_as_issuer(&self, authority: &Parsed) -> bool {
        self.list.tbs_cert_list.issuer == authority.certificate().tbs_certificate.subject
    }

    /// Whether this authority signed it and may do so, and it speaks of all that the authority issued.
    pub(super) fn is_by(&self, authority: &Parsed) -> bool {
        let CertificateList { tbs_cert_list, signature_algorithm, signature } = &self.list;
        let is_whole = tbs_cert_list
            .crl_extensions
            .iter()
            .flatten()
            .all(|extension| !extension.critical || KNOWN_EXTENSIONS.contains(&extension.extn_id));
        let digest = Digest::of(signature_algorithm).filter(|_| tbs_cert_list.signature == *signature_algorithm);
        is_whole
            && authority.may_sign_lists()
            && digest.is_some_and(|digest| authority.has_signed(digest, &self.signed, signature.raw_bytes()))
    }

    /// What it says of a certificate. What it revokes is revoked, however old it is; that it does not name a certificate
    /// says something as long as it is current. Without a time, it is.
    fn standing(&self, one: &Parsed, now_unix_s: Option<i64>) -> Standing {
        let serial = &one.certificate().tbs_certificate.serial_number;
        let mut entries = self.list.tbs_cert_list.revoked_certificates.iter().flatten();
        if let Some(entry) = entries.find(|entry| entry.serial_number == *serial) {
            return Standing::Revoked { since_unix_s: unix_s(entry.revocation_date) };
        }
        // Authorities have to say until when a list is good (RFC 5280, 5.1.2.5).
        let until_unix_s = self.next_update().map_or(0, unix_s);
        match now_unix_s {
            Some(now_unix_s) if until_unix_s < now_unix_s => {
                Standing::Unknown(ListFault::OutOfDate { until_unix_s, now_unix_s })
            }
            _ => Standing::Good,
        }
    }
}

/// What the newest list of an authority says of a certificate that it issued.
pub(super) fn standing(lists: &[RevocationList], one: &Parsed, issuer: &Parsed, now_unix_s: Option<i64>) -> Standing {
    let is_named = |list: &&RevocationList| list.names_as_issuer(issuer);
    // One from the future would make all others old.
    let is_out = |list: &&RevocationList| now_unix_s.is_none_or(|now_unix_s| unix_s(list.this_update()) <= now_unix_s);
    let theirs = lists.iter().filter(is_named).filter(is_out).filter(|list| list.is_by(issuer));
    match theirs.max_by_key(|list| unix_s(list.this_update())) {
        Some(newest) => newest.standing(one, now_unix_s),
        None if lists.iter().any(|list| is_named(&list)) => Standing::Unknown(ListFault::Unusable),
        None => Standing::Unknown(ListFault::Absent),
    }
}

/// Seconds since 1970; X.509 knows no time before.
pub(super) fn unix_s(time: Time) -> i64 {
    i64::try_from(time.to_unix_duration().as_secs()).unwrap_or(i64::MAX)
}

//! From a server's certificate to one that is trusted: chains of issuers (OPC UA Part 4, 6.1.3; RFC 5280, 6.1).

use x509_cert::{
    der::oid::{AssociatedOid, ObjectIdentifier},
    ext::pkix::{BasicConstraints, CertificatePolicies, ExtendedKeyUsage, KeyUsage, NameConstraints, SubjectAltName},
};

use super::{certificate, certificate::Parsed, revocation::Standing, trust_list::TrustList};
use crate::{
    CertificateFault, Revocation,
    limits::{CHAIN_ISSUERS_MAX, CHAIN_SIGNATURES_MAX},
};

/// Extensions whose meaning is judged here, or restricts nothing here.
const KNOWN_EXTENSIONS: [ObjectIdentifier; 5] =
    [BasicConstraints::OID, KeyUsage::OID, ExtendedKeyUsage::OID, SubjectAltName::OID, CertificatePolicies::OID];

/// A server's certificate and its issuers, each of which signed the one before it. The last one is trusted by its bytes.
pub(super) struct Chain<'a> {
    server: &'a Parsed,
    issuers: Vec<&'a Parsed>,
}

/// Looks for a chain from the first certificate of `sent` that `judge` accepts. When there is none, the result is what is
/// wrong with the first chain that leads to somebody trusted, or else with the one that leads farthest.
pub(super) fn find<'a, T>(
    sent: &'a [Parsed],
    list: &'a TrustList,
    judge: impl FnMut(&Chain<'a>) -> Result<T, CertificateFault>,
) -> Result<T, CertificateFault> {
    let Some(server) = sent.first() else { return Err(CertificateFault::Absent) };
    let mut search = Search { sent, list, judge, signatures_left: CHAIN_SIGNATURES_MAX, refusal: None, dead_end: None };
    let mut chain = Chain { server, issuers: Vec::new() };
    match search.follow(&mut chain) {
        Some(accepted) => Ok(accepted),
        None => Err(search.verdict()),
    }
}

/// A search among certificates that may have been made to send it astray: it is bounded by the length of a chain, and by
/// the signatures that are verified in all.
struct Search<'a, F> {
    sent: &'a [Parsed],
    list: &'a TrustList,
    judge: F,
    signatures_left: usize,
    /// Why the first chain with a trusted end was refused.
    refusal: Option<CertificateFault>,
    /// Where the longest chain without one ended, with its length.
    dead_end: Option<(usize, CertificateFault)>,
}

impl<'a, F> Search<'a, F> {
    /// Follows the chain on from its last certificate.
    fn follow<T>(&mut self, chain: &mut Chain<'a>) -> Option<T>
    where
        F: FnMut(&Chain<'a>) -> Result<T, CertificateFault>,
    {
        let last = chain.last();
        let is_trusted =
            if chain.is_server_alone() { self.list.trusts_server(last) } else { self.list.trusts_issuer(last) };
        if is_trusted {
            match (self.judge)(chain) {
                Ok(accepted) => return Some(accepted),
                Err(fault) => _ = self.refusal.get_or_insert(fault),
            }
            return None;
        }
        let (mut is_named, mut is_signed) = (false, false);
        for issuer in self.list.authorities().chain(self.sent).filter(|issuer| last.names_as_issuer(issuer)) {
            if chain.certificates().any(|seen| seen.der() == issuer.der()) {
                continue;
            }
            is_named = true;
            if chain.issuers.len() == CHAIN_ISSUERS_MAX || self.signatures_left == 0 {
                self.ends(chain, CertificateFault::ChainTooLong { max: CHAIN_ISSUERS_MAX });
                return None;
            }
            self.signatures_left -= 1;
            if !last.is_signed_by(issuer) {
                continue;
            }
            is_signed = true;
            chain.issuers.push(issuer);
            let found = self.follow(chain);
            chain.issuers.pop();
            if found.is_some() {
                return found;
            }
        }
        if !is_signed {
            self.ends(chain, dead_end(chain, is_named));
        }
        None
    }

    fn ends(&mut self, chain: &Chain<'a>, fault: CertificateFault) {
        let len = chain.issuers.len();
        if self.dead_end.as_ref().is_none_or(|(longest, _)| *longest < len) {
            self.dead_end = Some((len, chain.blame(len, fault)));
        }
    }

    fn verdict(self) -> CertificateFault {
        self.refusal.or(self.dead_end.map(|(_, fault)| fault)).unwrap_or(CertificateFault::Untrusted)
    }
}

/// Why nobody is found who issued the last certificate of a chain.
fn dead_end(chain: &Chain<'_>, is_named: bool) -> CertificateFault {
    let last = chain.last();
    let issuer = last.issuer();
    if last.is_self_issued() {
        return if chain.is_server_alone() {
            CertificateFault::Untrusted
        } else {
            CertificateFault::AuthorityUntrusted
        };
    }
    if last.digest().is_none() {
        CertificateFault::Digest
    } else if is_named {
        CertificateFault::Signature { issuer }
    } else if chain.certificates().any(|earlier| last.names_as_issuer(earlier)) {
        CertificateFault::Circle { issuer }
    } else {
        CertificateFault::IssuerUnknown { issuer }
    }
}

impl<'a> Chain<'a> {
    /// The server's own certificate.
    pub(super) fn server(&self) -> &'a Parsed {
        self.server
    }

    fn last(&self) -> &'a Parsed {
        self.issuers.last().copied().unwrap_or(self.server)
    }

    /// Whether no issuer stands behind the server: it is trusted by its own bytes, or not at all.
    pub(super) fn is_server_alone(&self) -> bool {
        self.issuers.is_empty()
    }

    /// Its certificates, the server's first.
    pub(super) fn certificates(&self) -> impl Iterator<Item = &'a Parsed> {
        std::iter::once(self.server).chain(self.issuers.iter().copied())
    }

    /// Says of an issuer which one it is.
    fn blame(&self, place: usize, fault: CertificateFault) -> CertificateFault {
        match place.checked_sub(1).and_then(|above| self.issuers.get(above)) {
            Some(issuer) => CertificateFault::Issuer {
                subject: issuer.subject(),
                thumbprint: issuer.thumbprint().to_owned(),
                fault: Box::new(fault),
            },
            None => fault,
        }
    }

    /// Checks each certificate, the server's first.
    fn each(&self, check: impl Fn(usize, &Parsed) -> Result<(), CertificateFault>) -> Result<(), CertificateFault> {
        let mut certificates = self.certificates().enumerate();
        certificates.try_for_each(|(place, one)| check(place, one).map_err(|fault| self.blame(place, fault)))
    }

    /// Keys and digests are what the security policies ask for.
    pub(super) fn check_strength(&self) -> Result<(), CertificateFault> {
        self.each(|_, one| certificate::check_strength(one))
    }

    /// All of them are valid now.
    pub(super) fn check_validity(&self, now_unix_s: i64) -> Result<(), CertificateFault> {
        self.each(|_, one| one.check_validity(now_unix_s))
    }

    /// Issuers are authorities, restrict nothing that is not known here, and nobody has been revoked. Without a time,
    /// revocation lists may be missing or out of date.
    pub(super) fn check(
        &self,
        list: &TrustList,
        revocation: Revocation,
        now_unix_s: Option<i64>,
    ) -> Result<(), CertificateFault> {
        self.each(|place, one| self.check_restrictions(place, one))?;
        self.each(|place, one| match self.issuers.get(place) {
            Some(issuer) => check_revocation(one, issuer, list, revocation, now_unix_s),
            None => check_trusted_end(one, list),
        })
    }

    /// What an authority may not, and what it restricts (RFC 5280, 6.1.4).
    fn check_restrictions(&self, place: usize, one: &Parsed) -> Result<(), CertificateFault> {
        if let Some(oid) = unknown_restriction(one) {
            return Err(CertificateFault::Restriction { oid });
        }
        if place == 0 {
            return Ok(());
        }
        if !one.is_authority() {
            return Err(CertificateFault::NotAuthority);
        }
        let between = self.issuers.iter().take(place - 1).filter(|issuer| !issuer.is_self_issued()).count();
        match one.path_length() {
            Some(max) if usize::from(max) < between => Err(CertificateFault::PathLength { max, found: between }),
            _ => Ok(()),
        }
    }
}

/// A critical extension that nobody judges here, or a restriction of names. Who does not know what it means has to refuse
/// (RFC 5280, 4.2).
fn unknown_restriction(one: &Parsed) -> Option<String> {
    let extensions = one.certificate().tbs_certificate.extensions.iter().flatten();
    extensions
        .filter(|extension| extension.critical || extension.extn_id == NameConstraints::OID)
        .find(|extension| !KNOWN_EXTENSIONS.contains(&extension.extn_id))
        .map(|extension| extension.extn_id.to_string())
}

/// Nobody who is trusted through an authority has been revoked by it.
fn check_revocation(
    one: &Parsed,
    issuer: &Parsed,
    list: &TrustList,
    revocation: Revocation,
    now_unix_s: Option<i64>,
) -> Result<(), CertificateFault> {
    match list.standing(one, issuer, now_unix_s) {
        Standing::Good => Ok(()),
        Standing::Revoked { since_unix_s } => Err(CertificateFault::Revoked { issuer: issuer.subject(), since_unix_s }),
        Standing::Unknown(_) if revocation == Revocation::Optional || now_unix_s.is_none() => Ok(()),
        Standing::Unknown(why) => Err(CertificateFault::RevocationUnknown { issuer: issuer.subject(), why }),
    }
}

/// Who is trusted by his bytes needs no list. One that revokes him counts all the same, if its authority is known.
fn check_trusted_end(one: &Parsed, list: &TrustList) -> Result<(), CertificateFault> {
    let mut issuers = list.authorities().filter(|issuer| one.names_as_issuer(issuer));
    issuers.try_for_each(|issuer| match list.standing(one, issuer, None) {
        Standing::Revoked { since_unix_s } if one.is_signed_by(issuer) => {
            Err(CertificateFault::Revoked { issuer: issuer.subject(), since_unix_s })
        }
        _ => Ok(()),
    })
}

//! The server's certificate: an allegation until the trust list vouches for it and all it says fits.

use opcua_crypto::{KeySize, PrivateKey, PublicKey, X509};
use opcua_types::ByteString;
use x509_cert::{
    Certificate,
    der::{Decode, Encode, Reader, SliceReader, oid::ObjectIdentifier},
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, name::GeneralName},
};

use super::{
    KEY_BITS,
    chain::{self, Chain},
    signature::{self, Digest},
    trust_list::TrustList,
};
use crate::{
    CertificateError, CertificateFault, HostMismatch, Trust,
    limits::{CERTIFICATE_BYTES_MAX, SENT_CERTIFICATES_MAX},
};

const NANOSECONDS: i64 = 1_000_000_000;
/// Extended key usage of a server.
const SERVER_AUTHENTICATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");

/// A certificate taken apart; nothing about it has been checked.
pub(super) struct Parsed {
    der: Vec<u8>,
    x509: X509,
    key: PublicKey,
    certificate: Certificate,
    thumbprint: String,
    application_uri: Option<String>,
    hosts: Vec<String>,
    may_sign_and_encipher: bool,
    may_serve: bool,
    /// Whether its key may sign certificates and revocation lists: key usage does not forbid it.
    may_sign_certificates: bool,
    may_sign_lists: bool,
    constraints: Option<BasicConstraints>,
}

impl Parsed {
    /// Reads the DER bytes of one certificate; `None` when they are none with an RSA key.
    pub(super) fn new(der: &[u8]) -> Option<Parsed> {
        let certificate = Certificate::from_der(der).ok()?;
        let x509 = X509::from_der(der).ok()?;
        // The crate hashes its own encoding; it must be the bytes that were sent.
        if x509.to_der().ok()? != der {
            return None;
        }
        let key = x509.public_key().ok()?;
        let names =
            certificate.tbs_certificate.get::<SubjectAltName>().ok()?.map(|(_, names)| names.0).unwrap_or_default();
        let usage = certificate.tbs_certificate.get::<KeyUsage>().ok()?.map(|(_, usage)| usage);
        let purposes = certificate.tbs_certificate.get::<ExtendedKeyUsage>().ok()?.map(|(_, usage)| usage.0);
        let constraints =
            certificate.tbs_certificate.get::<BasicConstraints>().ok()?.map(|(_, constraints)| constraints);
        Some(Parsed {
            der: der.to_vec(),
            thumbprint: x509.thumbprint().as_hex_string(),
            application_uri: names.iter().find_map(|name| match name {
                GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
                _ => None,
            }),
            hosts: names.iter().filter_map(host_name).collect(),
            may_sign_and_encipher: usage.is_none_or(|usage| usage.digital_signature() && usage.key_encipherment()),
            may_serve: purposes.is_none_or(|purposes| purposes.contains(&SERVER_AUTHENTICATION)),
            may_sign_certificates: usage.is_none_or(|usage| usage.key_cert_sign()),
            may_sign_lists: usage.is_none_or(|usage| usage.crl_sign()),
            constraints,
            certificate,
            x509,
            key,
        })
    }

    pub(super) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(super) fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    pub(super) fn subject(&self) -> String {
        self.x509.subject_name()
    }

    pub(super) fn issuer(&self) -> String {
        self.certificate.tbs_certificate.issuer.to_string()
    }

    pub(super) fn key_bits(&self) -> usize {
        self.key.bit_length()
    }

    /// Issued under its own name: a root, or no authority's at all.
    pub(super) fn is_self_issued(&self) -> bool {
        self.certificate.tbs_certificate.issuer == self.certificate.tbs_certificate.subject
    }

    /// Whether it may issue certificates: it says that it is an authority's, and its key usage permits it (RFC 5280,
    /// 4.2.1.3 and 4.2.1.9).
    pub(super) fn is_authority(&self) -> bool {
        self.constraints.as_ref().is_some_and(|constraints| constraints.ca) && self.may_sign_certificates
    }

    pub(super) fn may_sign_lists(&self) -> bool {
        self.may_sign_lists
    }

    /// How many authorities may stand between it and a server; `None` is no limit.
    pub(super) fn path_length(&self) -> Option<u8> {
        self.constraints.as_ref().and_then(|constraints| constraints.path_len_constraint)
    }

    /// The algorithm of its own signature; `None` when it is not one that proves anything here.
    pub(super) fn digest(&self) -> Option<Digest> {
        let inner = &self.certificate.tbs_certificate.signature;
        Digest::of(&self.certificate.signature_algorithm).filter(|_| *inner == self.certificate.signature_algorithm)
    }

    /// Whether the name of its issuer is this certificate's, which proves nothing.
    pub(super) fn names_as_issuer(&self, issuer: &Parsed) -> bool {
        self.certificate.tbs_certificate.issuer == issuer.certificate.tbs_certificate.subject
    }

    /// Whether the key of `issuer` signed it.
    pub(super) fn is_signed_by(&self, issuer: &Parsed) -> bool {
        let Ok(signed) = self.certificate.tbs_certificate.to_der() else { return false };
        self.digest().is_some_and(|digest| issuer.has_signed(digest, &signed, self.certificate.signature.raw_bytes()))
    }

    /// Whether this certificate's key made the signature.
    pub(super) fn has_signed(&self, digest: Digest, signed: &[u8], signature: &[u8]) -> bool {
        signature::verify(&self.certificate.tbs_certificate.subject_public_key_info, digest, signed, signature)
    }

    /// Its validity by our clock (RFC 5280, 4.1.2.5).
    pub(super) fn check_validity(&self, now_unix_s: i64) -> Result<(), CertificateFault> {
        let (Ok(from), Ok(until)) = (self.x509.not_before(), self.x509.not_after()) else {
            return Err(CertificateFault::Unreadable);
        };
        if now_unix_s < from.timestamp() {
            return Err(CertificateFault::NotYetValid { from_unix_s: from.timestamp(), now_unix_s });
        }
        if now_unix_s > until.timestamp() {
            return Err(CertificateFault::Expired { until_unix_s: until.timestamp(), now_unix_s });
        }
        Ok(())
    }

    pub(super) fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    pub(super) fn thumbprint_bytes(&self) -> Vec<u8> {
        self.x509.thumbprint().value().to_vec()
    }

    pub(super) fn application_uri(&self) -> Option<&str> {
        self.application_uri.as_deref()
    }

    pub(super) fn valid_until_unix_s(&self) -> Option<i64> {
        self.x509.not_after().ok().map(|until| until.timestamp())
    }

    /// Whether this private key belongs to the certificate.
    pub(super) fn has_key(&self, private: &PrivateKey) -> bool {
        private.public_key_to_info().is_ok_and(|ours| ours == self.certificate.tbs_certificate.subject_public_key_info)
    }
}

fn host_name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::IpAddress(octets) => match octets.as_bytes() {
            bytes if bytes.len() == 4 => Some(std::net::IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
            bytes => Some(std::net::IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
        },
        _ => None,
    }
}

/// What a server's certificate is held against.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expectation<'a> {
    /// Host that we connect to.
    pub(crate) host: &'a str,
    /// ApplicationUri that the endpoint states.
    pub(crate) application_uri: &'a str,
    /// Our wall clock, nanoseconds since 1970.
    pub(crate) now_unix_ns: u64,
}

/// A server's certificate that passed every check.
pub(crate) struct PeerCertificate {
    /// The certificate, and the issuers that the server sent with it.
    sent: Vec<Parsed>,
    der: Vec<u8>,
    thumbprint: Vec<u8>,
    key: PublicKey,
    host: String,
    trust: Trust,
}

impl std::fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerCertificate({:02x?})", self.thumbprint)
    }
}

impl PeerCertificate {
    /// Checks a certificate, with the chain behind it, as a server sent it. The second result is what an operator should
    /// be told.
    ///
    /// The order is that of Part 4, 6.1.3: structure, chain, signatures and trust, which are found in one search, then
    /// policy, time, host, application, usage, revocation. Unlike there, trust comes before the policy.
    pub(crate) fn check(
        sent: &[u8],
        trust: &Trust,
        expected: Expectation<'_>,
    ) -> Result<(PeerCertificate, Option<String>), Box<CertificateError>> {
        let der = first_certificate(sent).unwrap_or(sent);
        let bare = |fault| {
            Box::new(CertificateError {
                thumbprint: String::new(),
                subject: String::new(),
                der: der.get(..CERTIFICATE_BYTES_MAX).unwrap_or(der).to_vec(),
                fault,
            })
        };
        if sent.is_empty() {
            return Err(bare(CertificateFault::Absent));
        }
        let parsed = Parsed::new(der).ok_or_else(|| bare(CertificateFault::Unreadable))?;
        let (thumbprint, subject) = (parsed.thumbprint.clone(), parsed.subject());
        let refused = |fault| {
            Box::new(CertificateError {
                thumbprint: thumbprint.clone(),
                subject: subject.clone(),
                der: der.to_vec(),
                fault,
            })
        };
        let (thumbprint_bytes, key) = (parsed.thumbprint_bytes(), parsed.key.clone());
        let sent: Vec<_> = std::iter::once(parsed).chain(issuers_in(sent)).collect();
        let mismatch = judge(&sent, trust, expected).map_err(refused)?;
        let notice = mismatch.map(|fault| format!("the server's certificate {thumbprint}: {fault}"));
        let checked = PeerCertificate {
            sent,
            der: der.to_vec(),
            thumbprint: thumbprint_bytes,
            key,
            host: expected.host.to_owned(),
            trust: trust.clone(),
        };
        Ok((checked, notice))
    }

    /// Whether the trust list vouches for it at this moment; reads files. Only what somebody decided ends what is
    /// connected: trust withdrawn, a certificate revoked. That a certificate or a revocation list has run out does not, or
    /// a clock that is set wrong would stop a plant.
    pub(crate) fn is_still_trusted(&self) -> bool {
        let vouched_for = |list: TrustList| {
            chain::find(&self.sent, &list, |chain| {
                chain.check_strength()?;
                check_host(chain, self.trust.host_mismatch, &self.host)?;
                chain.check(&list, self.trust.revocation, None)
            })
        };
        TrustList::read(&self.trust).and_then(vouched_for).is_ok()
    }

    /// Whether a certificate, or the first of a chain, is this one.
    pub(crate) fn is(&self, sent: &[u8]) -> bool {
        first_certificate(sent).unwrap_or(sent) == self.der
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn thumbprint(&self) -> &[u8] {
        &self.thumbprint
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    pub(crate) fn key_bytes(&self) -> usize {
        self.key.size()
    }
}

/// Judges a certificate with the issuers that were sent behind it. The result is a host that is not named, where that is
/// not a reason to refuse.
fn judge(
    sent: &[Parsed],
    trust: &Trust,
    expected: Expectation<'_>,
) -> Result<Option<CertificateFault>, CertificateFault> {
    let list = TrustList::read(trust)?;
    let now_unix_s = i64::try_from(expected.now_unix_ns).unwrap_or(i64::MAX) / NANOSECONDS;
    chain::find(sent, &list, |chain| {
        chain.check_strength()?;
        chain.check_validity(now_unix_s)?;
        let mismatch = check_host(chain, trust.host_mismatch, expected.host)?;
        check_use(chain.server(), expected.application_uri)?;
        chain.check(&list, trust.revocation, Some(now_unix_s))?;
        Ok(mismatch)
    })
}

/// Thumbprint and subject of a certificate as sent, for showing; empty when it is none.
pub(crate) fn describe(sent: &[u8]) -> (String, String) {
    first_certificate(sent)
        .and_then(Parsed::new)
        .map(|parsed| (parsed.thumbprint.clone(), parsed.subject()))
        .unwrap_or_default()
}

/// The keys of every certificate, and the digests of their signatures, are what the security policies ask for.
pub(super) fn check_strength(parsed: &Parsed) -> Result<(), CertificateFault> {
    let bits = parsed.key_bits();
    if !KEY_BITS.contains(&bits) {
        return Err(CertificateFault::KeyLength { bits, min: *KEY_BITS.start(), max: *KEY_BITS.end() });
    }
    // Who is trusted by its bytes may be signed with what nobody here can verify, but not with what anybody can forge.
    if signature::is_weak(&parsed.certificate.signature_algorithm) { Err(CertificateFault::Digest) } else { Ok(()) }
}

/// The certificate is a server's, and that of the application we want.
fn check_use(parsed: &Parsed, application_uri: &str) -> Result<(), CertificateFault> {
    if !parsed.may_sign_and_encipher || !parsed.may_serve {
        return Err(CertificateFault::KeyUsage);
    }
    match &parsed.application_uri {
        Some(uri) if uri == application_uri => Ok(()),
        found => Err(CertificateFault::ApplicationUri {
            expected: application_uri.to_owned(),
            found: found.clone().unwrap_or_default(),
        }),
    }
}

/// The certificate names the host. One that is vouched for by an authority alone has to: what it says of itself is all
/// that tells this server from the authority's others, and the application's name comes from the server itself.
fn check_host(
    chain: &Chain<'_>,
    mismatch: HostMismatch,
    host: &str,
) -> Result<Option<CertificateFault>, CertificateFault> {
    let names = chain.server().hosts.clone();
    if names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        return Ok(None);
    }
    let host = host.to_owned();
    match mismatch {
        _ if !chain.is_server_alone() => Err(CertificateFault::HostNotVouchedFor { host, names }),
        HostMismatch::Refuse => Err(CertificateFault::Host { host, names }),
        HostMismatch::Report => Ok(Some(CertificateFault::Host { host, names })),
    }
}

/// The DER bytes of the first certificate in a PEM or DER file.
pub(super) fn der_of(bytes: &[u8]) -> Option<Vec<u8>> {
    first_certificate(&binary(bytes, "CERTIFICATE")?).map(<[u8]>::to_vec)
}

/// The bytes of a DER file, or of the first block with this label of a PEM file.
pub(super) fn binary(bytes: &[u8], label: &str) -> Option<Vec<u8>> {
    if bytes.first() == Some(&DER_SEQUENCE) {
        return Some(bytes.to_vec());
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (base64, _) = rest.split_once("-----END")?;
    let der = ByteString::from_base64(&base64.split_whitespace().collect::<String>())?;
    Some(der.as_ref().to_vec())
}

const DER_SEQUENCE: u8 = 0x30;

/// The elements of a chain: certificates one after the other, the server's first (Part 6, 6.2.6).
fn elements(sent: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut reader = if sent.len() > CERTIFICATE_BYTES_MAX { None } else { SliceReader::new(sent).ok() };
    std::iter::from_fn(move || {
        reader.as_mut()?.tlv_bytes().ok().filter(|element| element.first() == Some(&DER_SEQUENCE))
    })
    .take(SENT_CERTIFICATES_MAX)
}

fn first_certificate(sent: &[u8]) -> Option<&[u8]> {
    elements(sent).next()
}

/// The certificates behind the first one. What is none is passed over.
pub(super) fn issuers_in(sent: &[u8]) -> impl Iterator<Item = Parsed> {
    elements(sent).skip(1).filter_map(Parsed::new)
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::LazyLock};

    use proptest::prelude::*;

    use super::*;
    use crate::{ApplicationError, ApplicationInstance, testing};

    const DAY_NS: u64 = 86_400 * 1_000_000_000;

    /// A server's certificate in a trust directory of its own.
    struct Fixture {
        directory: tempfile::TempDir,
        der: Vec<u8>,
    }

    static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
        let directory = tempfile::tempdir().unwrap();
        let (der, pem) = (directory.path().join("server.der"), directory.path().join("server.pem"));
        let application = testing::application(&der, &pem, "urn:server");
        std::fs::create_dir(directory.path().join("trusted")).unwrap();
        std::fs::copy(&der, directory.path().join("trusted/server.der")).unwrap();
        Fixture { der: application.certificate_der().to_vec(), directory }
    });

    /// The present, which the certificate must not be younger than.
    fn now_ns() -> u64 {
        LazyLock::force(&FIXTURE);
        testing::unix_ns()
    }

    fn path(name: &str) -> PathBuf {
        FIXTURE.directory.path().join(name)
    }

    fn trusted() -> Trust {
        Trust { directory: Some(FIXTURE.directory.path().into()), ..Trust::default() }
    }

    fn expected(now_unix_ns: u64) -> Expectation<'static> {
        Expectation { host: "localhost", application_uri: "urn:server", now_unix_ns }
    }

    fn fault(sent: &[u8], trust: &Trust, expected: Expectation<'_>) -> CertificateFault {
        PeerCertificate::check(sent, trust, expected).unwrap_err().fault
    }

    #[test]
    fn a_certificate_is_trusted_by_pin_or_by_directory_and_not_otherwise() {
        let now = expected(now_ns());
        let der = &FIXTURE.der;
        assert!(PeerCertificate::check(der, &trusted(), now).is_ok());
        let pinned = Trust { pinned: Some(path("server.der")), ..Trust::default() };
        assert!(PeerCertificate::check(der, &pinned, now).is_ok());
        let refused = PeerCertificate::check(der, &Trust::default(), now).unwrap_err();
        assert_eq!(refused.fault, CertificateFault::Untrusted);
        // All it takes to trust it.
        assert_eq!((refused.thumbprint.len(), &refused.der), (40, der));
        assert!(refused.subject.contains("CN=test"), "{}", refused.subject);
    }

    #[test]
    fn a_chain_is_judged_by_its_first_certificate() {
        let chain = [&FIXTURE.der[..], &[0x30, 0x03, 1, 2, 3]].concat();
        let (peer, _) = PeerCertificate::check(&chain, &trusted(), expected(now_ns())).unwrap();
        assert!(peer.is(&FIXTURE.der) && peer.is(&chain));
        assert!(!peer.is(&chain[1..]));
    }

    #[test]
    fn validity_is_judged_by_the_time_handed_in() {
        let now = now_ns();
        let late = fault(&FIXTURE.der, &trusted(), expected(now + 3 * DAY_NS));
        assert!(matches!(late, CertificateFault::Expired { .. }), "{late:?}");
        let early = fault(&FIXTURE.der, &trusted(), expected(now - DAY_NS));
        assert!(matches!(early, CertificateFault::NotYetValid { .. }), "{early:?}");
    }

    #[test]
    fn another_application_is_refused() {
        let other = Expectation { application_uri: "urn:other", ..expected(now_ns()) };
        let wrong = CertificateFault::ApplicationUri { expected: "urn:other".into(), found: "urn:server".into() };
        assert_eq!(fault(&FIXTURE.der, &trusted(), other), wrong);
    }

    #[test]
    fn another_host_is_reported_or_refused_as_the_target_says() {
        let other = Expectation { host: "elsewhere", ..expected(now_ns()) };
        let (_, notice) = PeerCertificate::check(&FIXTURE.der, &trusted(), other).unwrap();
        assert!(notice.unwrap().contains("elsewhere"));
        let strict = Trust { host_mismatch: HostMismatch::Refuse, ..trusted() };
        assert!(matches!(fault(&FIXTURE.der, &strict, other), CertificateFault::Host { .. }));
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let now = expected(now_ns());
        assert_eq!(fault(&[], &trusted(), now), CertificateFault::Absent);
        assert_eq!(fault(b"\x30\x03abc", &trusted(), now), CertificateFault::Unreadable);
        let truncated = &FIXTURE.der[..FIXTURE.der.len() - 1];
        assert_eq!(fault(truncated, &trusted(), now), CertificateFault::Unreadable);
    }

    #[test]
    fn a_pinned_file_that_is_missing_is_named() {
        let missing = Trust { pinned: Some(path("missing.der")), ..Trust::default() };
        let found = fault(&FIXTURE.der, &missing, expected(now_ns()));
        assert!(matches!(found, CertificateFault::TrustList { .. }));
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let copy = path("wide.pem");
        std::fs::copy(path("server.pem"), &copy).unwrap();
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(ApplicationInstance::load(&path("server.der"), &copy).is_ok());
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = ApplicationInstance::load(&path("server.der"), &copy).unwrap_err();
        assert!(matches!(refused, ApplicationError::KeyMode { mode: 0o640, .. }), "{refused}");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let (der, pem) = (directory.path().join("a.der"), directory.path().join("a.pem"));
        testing::application(&der, &pem, "urn:a");
        let refused = ApplicationInstance::load(&path("server.der"), &pem).unwrap_err();
        assert!(matches!(refused, ApplicationError::Mismatch { .. }), "{refused}");
    }

    proptest! {
        #[test]
        fn a_mutated_certificate_never_panics_and_is_never_trusted(place in any::<prop::sample::Index>(), flip in 1u8..) {
            let mut der = FIXTURE.der.clone();
            let at = place.index(der.len());
            der[at] ^= flip;
            prop_assert!(PeerCertificate::check(&der, &trusted(), expected(now_ns())).is_err());
            let _ = describe(&der);
        }
    }
}

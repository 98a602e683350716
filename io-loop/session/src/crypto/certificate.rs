//! The server's certificate: an allegation until it is found in the trust list and all it says fits.

use std::{fs, path::Path};

use opcua_crypto::{KeySize, PrivateKey, PublicKey, X509};
use opcua_types::ByteString;
use x509_cert::{
    Certificate,
    der::{Decode, oid::ObjectIdentifier},
    ext::pkix::{ExtendedKeyUsage, KeyUsage, SubjectAltName, name::GeneralName},
    spki::SubjectPublicKeyInfoOwned,
};

use super::{KEY_BITS, application::read_bounded};
use crate::{
    ApplicationError, CertificateError, CertificateFault, HostMismatch, Trust,
    limits::{CERTIFICATE_BYTES_MAX, TRUSTED_CERTIFICATES_MAX},
};

const NANOSECONDS: i64 = 1_000_000_000;
/// Extended key usage of a server.
const SERVER_AUTHENTICATION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
/// RSA signatures over MD5 and SHA-1, which can be forged.
const WEAK_SIGNATURES: [ObjectIdentifier; 2] =
    [ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5")];

/// A certificate taken apart; nothing about it has been checked.
pub(super) struct Parsed {
    x509: X509,
    key: PublicKey,
    key_info: SubjectPublicKeyInfoOwned,
    thumbprint: String,
    application_uri: Option<String>,
    hosts: Vec<String>,
    may_sign_and_encipher: bool,
    may_serve: bool,
    is_signed_weakly: bool,
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
        Some(Parsed {
            thumbprint: x509.thumbprint().as_hex_string(),
            application_uri: names.iter().find_map(|name| match name {
                GeneralName::UniformResourceIdentifier(uri) => Some(uri.to_string()),
                _ => None,
            }),
            hosts: names.iter().filter_map(host_name).collect(),
            may_sign_and_encipher: usage.is_none_or(|usage| usage.digital_signature() && usage.key_encipherment()),
            may_serve: purposes.is_none_or(|purposes| purposes.contains(&SERVER_AUTHENTICATION)),
            is_signed_weakly: WEAK_SIGNATURES.contains(&certificate.signature_algorithm.oid),
            key_info: certificate.tbs_certificate.subject_public_key_info,
            x509,
            key,
        })
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
        private.public_key_to_info().is_ok_and(|ours| ours == self.key_info)
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
    der: Vec<u8>,
    thumbprint: Vec<u8>,
    key: PublicKey,
    trust: Trust,
}

impl std::fmt::Debug for PeerCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeerCertificate({:02x?})", self.thumbprint)
    }
}

impl PeerCertificate {
    /// Checks a certificate, or the first of a chain, as a server sent it. The second result is what an operator should
    /// be told.
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
        let refused = |fault| {
            Box::new(CertificateError {
                thumbprint: parsed.thumbprint.clone(),
                subject: parsed.x509.subject_name(),
                der: der.to_vec(),
                fault,
            })
        };
        if !is_trusted(der, trust).map_err(refused)? {
            return Err(refused(CertificateFault::Untrusted));
        }
        check_contents(&parsed, expected).map_err(refused)?;
        let notice = match check_host(&parsed, expected.host) {
            Err(fault) if trust.host_mismatch == HostMismatch::Refuse => return Err(refused(fault)),
            Err(fault) => Some(format!("the server's certificate {}: {fault}", parsed.thumbprint)),
            Ok(()) => None,
        };
        let checked = PeerCertificate {
            der: der.to_vec(),
            thumbprint: parsed.thumbprint_bytes(),
            key: parsed.key,
            trust: trust.clone(),
        };
        Ok((checked, notice))
    }

    /// Whether it is in the trust list at this moment; reads files. That it expires does not end what is connected, or a
    /// clock that is set wrong would stop a plant.
    pub(crate) fn is_still_trusted(&self) -> bool {
        is_trusted(&self.der, &self.trust).unwrap_or(false)
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

/// Thumbprint and subject of a certificate as sent, for showing; empty when it is none.
pub(crate) fn describe(sent: &[u8]) -> (String, String) {
    first_certificate(sent)
        .and_then(Parsed::new)
        .map(|parsed| (parsed.thumbprint.clone(), parsed.x509.subject_name()))
        .unwrap_or_default()
}

fn check_contents(parsed: &Parsed, expected: Expectation<'_>) -> Result<(), CertificateFault> {
    let bits = parsed.key.bit_length();
    if !KEY_BITS.contains(&bits) {
        return Err(CertificateFault::KeyLength { bits, min: *KEY_BITS.start(), max: *KEY_BITS.end() });
    }
    let (Ok(from), Ok(until)) = (parsed.x509.not_before(), parsed.x509.not_after()) else {
        return Err(CertificateFault::Unreadable);
    };
    let now_unix_s = i64::try_from(expected.now_unix_ns).unwrap_or(i64::MAX) / NANOSECONDS;
    if now_unix_s < from.timestamp() {
        return Err(CertificateFault::NotYetValid { from_unix_s: from.timestamp(), now_unix_s });
    }
    if now_unix_s > until.timestamp() {
        return Err(CertificateFault::Expired { until_unix_s: until.timestamp(), now_unix_s });
    }
    if parsed.is_signed_weakly {
        return Err(CertificateFault::Digest);
    }
    if !parsed.may_sign_and_encipher || !parsed.may_serve {
        return Err(CertificateFault::KeyUsage);
    }
    match &parsed.application_uri {
        Some(uri) if uri == expected.application_uri => Ok(()),
        found => Err(CertificateFault::ApplicationUri {
            expected: expected.application_uri.to_owned(),
            found: found.clone().unwrap_or_default(),
        }),
    }
}

fn check_host(parsed: &Parsed, host: &str) -> Result<(), CertificateFault> {
    if parsed.hosts.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    Err(CertificateFault::Host { host: host.to_owned(), names: parsed.hosts.clone() })
}

fn is_trusted(der: &[u8], trust: &Trust) -> Result<bool, CertificateFault> {
    if let Some(path) = &trust.pinned
        && holds(path, der).map_err(|kind| CertificateFault::TrustList { path: path.clone(), kind })?
    {
        return Ok(true);
    }
    let Some(directory) = &trust.directory else { return Ok(false) };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        // A directory that was never made trusts nobody.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(CertificateFault::TrustList { path: directory.clone(), kind: error.kind() }),
    };
    // A file that cannot be read trusts nobody either; the others still count.
    Ok(entries
        .take(TRUSTED_CERTIFICATES_MAX)
        .filter_map(Result::ok)
        .any(|entry| holds(&entry.path(), der).unwrap_or(false)))
}

fn holds(path: &Path, der: &[u8]) -> Result<bool, std::io::ErrorKind> {
    let bytes = read_bounded(path).map_err(|error| match error {
        ApplicationError::File { source, .. } => source.kind(),
        _ => std::io::ErrorKind::Other,
    })?;
    Ok(der_of(&bytes).is_some_and(|trusted| trusted == der))
}

/// The DER bytes of the first certificate in a PEM or DER file.
pub(super) fn der_of(bytes: &[u8]) -> Option<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    if bytes.first() == Some(&DER_SEQUENCE) {
        return first_certificate(bytes).map(<[u8]>::to_vec);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let (_, rest) = text.split_once(BEGIN)?;
    let (base64, _) = rest.split_once("-----END")?;
    let der = ByteString::from_base64(&base64.split_whitespace().collect::<String>())?;
    first_certificate(der.as_ref()).map(<[u8]>::to_vec)
}

const DER_SEQUENCE: u8 = 0x30;

/// The first element of a chain: certificates one after the other, each a DER sequence with its length in front.
fn first_certificate(sent: &[u8]) -> Option<&[u8]> {
    if sent.len() > CERTIFICATE_BYTES_MAX {
        return None;
    }
    let len = match sent {
        [DER_SEQUENCE, short @ 0..=0x7F, ..] => 2 + usize::from(*short),
        [DER_SEQUENCE, 0x81, a, ..] => 3 + usize::from(*a),
        [DER_SEQUENCE, 0x82, a, b, ..] => 4 + usize::from(u16::from_be_bytes([*a, *b])),
        _ => return None,
    };
    sent.get(..len)
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, sync::LazyLock};

    use proptest::prelude::*;

    use super::*;
    use crate::{ApplicationInstance, testing};

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
        fs::copy(path("server.pem"), &copy).unwrap();
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(ApplicationInstance::load(&path("server.der"), &copy).is_ok());
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o640)).unwrap();
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

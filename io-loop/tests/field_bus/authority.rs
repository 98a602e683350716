//! Servers that an authority vouches for, and the authority itself.

use std::path::Path;
use std::sync::Arc;

use io_loop::{ConnectFailure, FieldBus, OpcUa, Reading};
use opcua_crypto::{PrivateKey, X509, X509Data};
use rsa::pkcs1v15::SigningKey;
use rsa::pkcs8::DecodePrivateKey;
use rsa::sha2::Sha256;
use rsa::signature::{SignatureEncoding, Signer};
use rt_core::ports::Clock as _;
use rt_core::time::Span;
use rt_sys::MonotonicClock;
use ua_session::{MessageMode, Revocation, SecurityPolicy, Target, Trust};
use x509_cert::crl::{CertificateList, RevokedCert, TbsCertList};
use x509_cert::der::asn1::BitString;
use x509_cert::der::{Decode, Encode};
use x509_cert::ext::AsExtension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, KeyUsages};
use x509_cert::serial_number::SerialNumber;
use x509_cert::{Certificate, Version};

use crate::opcua::{TestClock, bus};
use crate::plant::Plant;
use crate::security::Works;
use crate::server::{APPLICATION_URI, Server, certificate, make_certificate};

/// An authority: its certificate, and the key with which it signs.
struct Authority {
    certificate: Certificate,
    key: SigningKey<Sha256>,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = PrivateKey::new(2048).unwrap();
        let data = X509Data {
            key_size: 2048,
            common_name: name.to_owned(),
            organization: String::new(),
            organizational_unit: String::new(),
            country: String::new(),
            state: String::new(),
            alt_host_names: Vec::new().into(),
            certificate_duration_days: 2,
        };
        let plain = X509::from_pkey(&key, &data).unwrap().to_der().unwrap();
        let mut certificate = Certificate::from_der(&plain).unwrap();
        let subject = certificate.tbs_certificate.subject.clone();
        let is_authority = BasicConstraints { ca: true, path_len_constraint: None };
        let signs = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
        certificate.tbs_certificate.extensions =
            Some(vec![is_authority.to_extension(&subject, &[]).unwrap(), signs.to_extension(&subject, &[]).unwrap()]);
        let key = SigningKey::from_pkcs8_der(key.to_der().unwrap().as_bytes()).unwrap();
        let mut authority = Self { certificate: certificate.clone(), key };
        authority.certificate.signature = authority.sign(&certificate.tbs_certificate);
        authority
    }

    fn sign(&self, what: &impl Encode) -> BitString {
        BitString::from_bytes(&self.key.sign(&what.to_der().unwrap()).to_bytes()).unwrap()
    }

    /// Issues the server in `pki` a certificate for a new key.
    fn issue(&self, pki: &Path, serial: u8) {
        let file = certificate(pki);
        make_certificate(2048, &file, &pki.join("private/key.pem"), APPLICATION_URI);
        let mut issued = Certificate::from_der(&std::fs::read(&file).unwrap()).unwrap();
        issued.tbs_certificate.issuer = self.certificate.tbs_certificate.subject.clone();
        issued.tbs_certificate.serial_number = SerialNumber::from(serial);
        issued.signature = self.sign(&issued.tbs_certificate);
        std::fs::write(&file, issued.to_der().unwrap()).unwrap();
    }

    /// A revocation list with this serial number.
    fn revoke(&self, serial: u8) -> Vec<u8> {
        let Certificate { tbs_certificate: own, signature_algorithm, .. } = &self.certificate;
        let revoked = RevokedCert {
            serial_number: SerialNumber::from(serial),
            revocation_date: own.validity.not_before,
            crl_entry_extensions: None,
        };
        let list = TbsCertList {
            version: Version::V2,
            signature: signature_algorithm.clone(),
            issuer: own.subject.clone(),
            this_update: own.validity.not_before,
            next_update: Some(own.validity.not_after),
            revoked_certificates: Some(vec![revoked]),
            crl_extensions: None,
        };
        let signature = self.sign(&list);
        let algorithm = signature_algorithm.clone();
        CertificateList { tbs_cert_list: list, signature_algorithm: algorithm, signature }.to_der().unwrap()
    }
}

fn put(directory: &Path, part: &str, name: &str, bytes: &[u8]) {
    std::fs::create_dir_all(directory.join(part)).unwrap();
    std::fs::write(directory.join(part).join(name), bytes).unwrap();
}

/// Connects as the io loop does after a loss, and reads.
fn connect(bus: &mut OpcUa) -> Result<(), ConnectFailure> {
    let within = || MonotonicClock::new().now() + Span::from_ms(20_000);
    bus.connect(within())?;
    assert_eq!(bus.read(&mut [Reading::MISSING], within()), Ok(()));
    Ok(())
}

#[test]
fn f56_a_server_with_a_new_certificate_of_the_same_authority_is_connected_again_without_a_restart() {
    let (works, trust, plant) = (Works::new(), tempfile::tempdir().unwrap(), Plant::shared(0));
    let (ours, other) = (Authority::new("ours"), Authority::new("other"));
    let setup = works.setup(1, &[]);
    ours.issue(&works.pki(), 1);
    let server = Server::start(&setup, &plant);
    let port = server.port();
    put(trust.path(), "trusted", "ours.der", &ours.certificate.to_der().unwrap());
    put(trust.path(), "crl", "ours.crl", &ours.revoke(99));
    let target = Target {
        trust: Trust { directory: Some(trust.path().to_owned()), ..Trust::default() },
        ..works.target(&server.url(), SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt)
    };
    assert_eq!(target.trust.revocation, Revocation::Required);
    let mut bus = bus(target, Arc::new(TestClock::default()), 1, 0);
    connect(&mut bus).unwrap();

    // Replaced while we are connected.
    drop(server);
    ours.issue(&works.pki(), 2);
    let server = Server::start_on(port, &setup, &plant);
    assert!(bus.read(&mut [Reading::MISSING], MonotonicClock::new().now() + Span::from_ms(20_000)).is_err());
    connect(&mut bus).unwrap();

    // Taken back by the authority: the next connection is refused.
    put(trust.path(), "crl", "ours.crl", &ours.revoke(2));
    let refused = connect(&mut bus).unwrap_err();
    let fault = refused.certificate.and_then(|certificate| certificate.fault);
    assert!(fault.is_some_and(|fault| fault.contains("revoked it")), "{}", refused.message);

    // Replaced by one of an authority that nobody has decided about: it is left to a person, who decides.
    drop(server);
    other.issue(&works.pki(), 3);
    let _server = Server::start_on(port, &setup, &plant);
    let refused = connect(&mut bus).unwrap_err();
    let undecided = refused.certificate.is_some_and(|certificate| certificate.fault.is_none());
    assert!(refused.message.contains("CN=other") && undecided, "{}", refused.message);
    put(trust.path(), "trusted", "other.der", &other.certificate.to_der().unwrap());
    put(trust.path(), "crl", "other.crl", &other.revoke(99));
    connect(&mut bus).unwrap();
}

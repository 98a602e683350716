//! The certificate matrix: certificates that a server may present, and the verdict on each. `fixtures/make.sh` makes them.

use std::path::{Path, PathBuf};

use super::{Expectation, PeerCertificate};
use crate::{CertificateFault, HostMismatch, Trust};

/// 2026-07-01T00:00:00Z, nanoseconds since 1970.
const NOW_UNIX_NS: u64 = 1_782_864_000 * 1_000_000_000;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/crypto/fixtures").join(format!("{name}.der"))
}

fn der(name: &str) -> Vec<u8> {
    std::fs::read(file(name)).unwrap()
}

/// The verdict on `sent` by somebody who trusts the certificate `trusted` and connects to `host`.
fn judge(sent: &[u8], trusted: &str, host: &str) -> Result<Option<String>, CertificateFault> {
    let trust = Trust { pinned: Some(file(trusted)), host_mismatch: HostMismatch::Refuse, ..Trust::default() };
    let expected = Expectation { host, application_uri: "urn:server", now_unix_ns: NOW_UNIX_NS };
    PeerCertificate::check(sent, &trust, expected).map(|(_, notice)| notice).map_err(|error| error.fault)
}

/// The verdict on a certificate that is trusted: only what is in it counts.
fn verdict(name: &str) -> Result<Option<String>, CertificateFault> {
    judge(&der(name), name, "plant.example")
}

#[test]
fn a_trusted_certificate_that_says_what_it_should_is_accepted() {
    for name in ["good", "good_4096", "server_and_client", "issued"] {
        assert_eq!(verdict(name), Ok(None), "{name}");
    }
    assert_eq!(judge(&der("good"), "good", "10.0.0.7"), Ok(None));
    assert_eq!(judge(&der("good"), "good", "PLANT.example"), Ok(None));
}

#[test]
fn a_trusted_certificate_is_refused_for_what_it_says() {
    use CertificateFault as Fault;
    type Expected = fn(&Fault) -> bool;
    let matrix: [(&str, Expected); 12] = [
        ("expired", |fault| matches!(fault, Fault::Expired { .. })),
        ("early", |fault| matches!(fault, Fault::NotYetValid { .. })),
        ("other_application", |fault| matches!(fault, Fault::ApplicationUri { found, .. } if found == "urn:other")),
        ("no_application", |fault| matches!(fault, Fault::ApplicationUri { found, .. } if found.is_empty())),
        ("other_host", |fault| matches!(fault, Fault::Host { names, .. } if names == &["elsewhere.example"])),
        ("short_key", |fault| matches!(fault, Fault::KeyLength { bits: 1024, .. })),
        ("long_key", |fault| *fault == Fault::Unreadable),
        ("elliptic", |fault| *fault == Fault::Unreadable),
        ("sign_only", |fault| *fault == Fault::KeyUsage),
        ("client_only", |fault| *fault == Fault::KeyUsage),
        ("authority", |fault| *fault == Fault::KeyUsage),
        ("weak_digest", |fault| *fault == Fault::Digest),
    ];
    for (name, expected) in matrix {
        let fault = verdict(name).unwrap_err();
        assert!(expected(&fault), "{name}: {fault:?}");
    }
}

#[test]
fn no_certificate_is_trusted_for_its_names_or_for_an_authority_that_is_pinned() {
    // Another key under the same names.
    assert_eq!(judge(&der("impostor"), "good", "plant.example"), Err(CertificateFault::Untrusted));
    // An authority that is pinned in a server's place vouches for nothing, alone or with the chain behind it.
    let issued = der("issued");
    let unknown = CertificateFault::IssuerUnknown { issuer: "CN=authority".into() };
    assert_eq!(judge(&issued, "authority", "plant.example"), Err(unknown));
    let chain = [issued, der("authority")].concat();
    let refused = judge(&chain, "authority", "plant.example").unwrap_err();
    assert!(refused.to_string().contains("nobody has decided to trust this authority"), "{refused}");
    assert_eq!(judge(&chain, "issued", "plant.example"), Ok(None));
    // A trusted certificate behind another one proves nothing.
    let led = [der("impostor"), der("good")].concat();
    assert_eq!(judge(&led, "good", "plant.example"), Err(CertificateFault::Untrusted));
    // A chain that goes round in circles is not followed.
    let circle = [der("impostor"), der("authority"), der("impostor"), der("authority")].concat();
    assert_eq!(judge(&circle, "authority", "plant.example"), Err(CertificateFault::Untrusted));
}

#[test]
fn a_host_that_is_not_named_is_a_notice_where_the_target_says_so() {
    let trust = Trust { pinned: Some(file("other_host")), ..Trust::default() };
    let expected = Expectation { host: "plant.example", application_uri: "urn:server", now_unix_ns: NOW_UNIX_NS };
    let (_, notice) = PeerCertificate::check(&der("other_host"), &trust, expected).unwrap();
    assert!(notice.unwrap().contains("plant.example"));
}

#[test]
fn a_certificate_taken_out_of_the_trust_list_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let stored = directory.path().join("trusted/good.der");
    std::fs::create_dir(directory.path().join("trusted")).unwrap();
    std::fs::write(&stored, der("good")).unwrap();
    let trust = Trust { directory: Some(directory.path().into()), ..Trust::default() };
    let expected = Expectation { host: "plant.example", application_uri: "urn:server", now_unix_ns: NOW_UNIX_NS };
    let (peer, _) = PeerCertificate::check(&der("good"), &trust, expected).unwrap();
    assert!(peer.is_still_trusted());
    std::fs::remove_file(stored).unwrap();
    assert!(!peer.is_still_trusted());
}

//! The matrix of chains: what a server may present, what lies in the trust directory, and the verdict.
//! `fixtures/make_chains.sh` makes certificates and revocation lists.

use std::path::Path;

use proptest::prelude::*;

use super::{Expectation, PeerCertificate};
use crate::{
    CertificateFault as Fault, HostMismatch, ListFault, Revocation, Trust,
    limits::{CERTIFICATE_BYTES_MAX, CHAIN_ISSUERS_MAX},
};

/// 2026-07-01T00:00:00Z, seconds since 1970.
const NOW_UNIX_S: u64 = 1_782_864_000;

fn bytes(file: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/crypto/fixtures/chains").join(file)).unwrap()
}

/// The certificates of a chain, the server's first.
fn chain(names: &[&str]) -> Vec<u8> {
    names.iter().flat_map(|name| bytes(&format!("{name}.der"))).collect()
}

/// A trust directory of its own.
struct Works {
    directory: tempfile::TempDir,
    trust: Trust,
}

impl Works {
    fn new(trusted: &[&str], issuers: &[&str], lists: &[&str]) -> Works {
        let directory = tempfile::tempdir().unwrap();
        let path = Some(directory.path().to_owned());
        let trust = Trust { directory: path, host_mismatch: HostMismatch::Refuse, ..Trust::default() };
        let works = Works { directory, trust };
        trusted.iter().for_each(|name| works.put("trusted", &format!("{name}.der")));
        issuers.iter().for_each(|name| works.put("issuers", &format!("{name}.der")));
        lists.iter().for_each(|name| works.put("crl", &format!("{name}.crl")));
        works
    }

    fn put(&self, part: &str, file: &str) {
        std::fs::create_dir_all(self.directory.path().join(part)).unwrap();
        std::fs::write(self.directory.path().join(part).join(file), bytes(file)).unwrap();
    }

    fn take(&self, part: &str, file: &str) {
        std::fs::remove_file(self.directory.path().join(part).join(file)).unwrap();
    }

    fn check(&self, sent: &[u8]) -> Result<PeerCertificate, Fault> {
        let now_unix_ns = NOW_UNIX_S * 1_000_000_000;
        let expected = Expectation { host: "plant.example", application_uri: "urn:server", now_unix_ns };
        PeerCertificate::check(sent, &self.trust, expected).map(|(peer, _)| peer).map_err(|error| error.fault)
    }

    /// The verdict, where authorities need revocation lists and where they do not.
    fn verdicts(&mut self, sent: &[u8]) -> [Result<(), Fault>; 2] {
        [Revocation::Required, Revocation::Optional].map(|revocation| {
            self.trust.revocation = revocation;
            self.check(sent).map(|_| ())
        })
    }
}

/// What is wrong with an issuer, which is named.
fn of<'a>(issuer: &str, fault: &'a Fault) -> Option<&'a Fault> {
    match fault {
        Fault::Issuer { subject, thumbprint, fault } => {
            (subject == &format!("CN={issuer}") && thumbprint.len() == 40).then_some(fault)
        }
        _ => None,
    }
}

#[test]
fn f55_s3_a_chain_to_a_trusted_authority_is_accepted() {
    let lists = &["root", "inter", "step_1", "step_2", "step_3", "step_4"];
    let steps = &["step_1", "step_2", "step_3", "step_4"];
    for (what, sent, trusted, issuers) in [
        ("by a root", &["leaf"][..], &["root"][..], &[][..]),
        ("over SHA-384", &["leaf_sha384"], &["root"], &[]),
        ("over SHA-512", &["leaf_sha512"], &["root"], &[]),
        ("the root sent along", &["leaf", "root"], &["root"], &[]),
        ("the intermediate sent", &["leaf_of_inter", "inter"], &["root"], &[]),
        ("the whole chain sent, and noise", &["leaf_of_inter", "leaf", "root", "inter"], &["root"], &[]),
        ("the intermediate from issuers", &["leaf_of_inter"], &["root"], &["inter"]),
        ("the intermediate trusted, the root unknown", &["leaf_of_inter"], &["inter"], &[]),
        ("a root of the same name", &["leaf"], &["root_of_same_name", "root"], &[]),
        ("five issuers", &["leaf_of_step_4"], &["root"], steps),
    ] {
        let verdicts = Works::new(trusted, issuers, lists).verdicts(&chain(sent));
        assert_eq!(verdicts, [Ok(()), Ok(())], "{what}");
    }
}

#[test]
fn f55_s3_a_certificate_that_is_trusted_itself_needs_neither_chain_nor_list() {
    for name in ["leaf", "leaf_of_inter", "leaf_of_elliptic", "self_signed"] {
        assert_eq!(Works::new(&[name], &[], &[]).verdicts(&chain(&[name])), [Ok(()), Ok(())], "{name}");
    }
    // A list that revokes it counts all the same.
    for issuers in [&["inter"][..], &[]] {
        let fault = Works::new(&["leaf_revoked"], issuers, &["inter"]).check(&chain(&["leaf_revoked"])).err();
        assert_eq!(matches!(fault, Some(Fault::Revoked { .. })), !issuers.is_empty(), "{fault:?}");
    }
}

type Expected = fn(&Fault) -> bool;

#[test]
fn f55_s3_a_chain_is_refused_for_what_is_wrong_in_it_whatever_lists_are_asked_for() {
    let lists = &[
        "root",
        "root_of_same_name",
        "inter",
        "inter_revoked",
        "not_authority",
        "no_cert_sign",
        "deep",
        "inter_expired",
        "inter_early",
        "inter_short",
        "inter_sha1",
        "inter_constrained",
        "circle_a",
        "circle_b",
        "step_1",
        "step_2",
        "step_3",
        "step_4",
        "step_5",
    ];
    let matrix: [(&str, &[&str], &[&str], Expected); 24] = [
        ("signed with an elliptic curve", &["leaf_of_elliptic", "elliptic"], &["elliptic"], |fault| {
            *fault == Fault::Digest
        }),
        ("self-signed", &["self_signed"], &[], |fault| *fault == Fault::Untrusted),
        (
            "missing intermediate",
            &["leaf_of_inter"],
            &[],
            |fault| matches!(fault, Fault::IssuerUnknown { issuer } if issuer == "CN=inter"),
        ),
        ("an authority nobody trusts", &["leaf_of_same_name", "root_of_same_name"], &[], |fault| {
            of("root", fault) == Some(&Fault::AuthorityUntrusted)
        }),
        ("forged under a trusted name", &["leaf_of_same_name"], &[], |fault| matches!(fault, Fault::Signature { .. })),
        ("revoked", &["leaf_of_root_revoked"], &[], |fault| matches!(fault, Fault::Revoked { .. })),
        ("revoked by the intermediate", &["leaf_revoked", "inter"], &[], |fault| {
            matches!(fault, Fault::Revoked { .. })
        }),
        ("revoked intermediate", &["leaf_of_inter_revoked", "inter_revoked"], &[], |fault| {
            matches!(of("inter_revoked", fault), Some(Fault::Revoked { .. }))
        }),
        ("not an authority", &["leaf_of_not_authority", "not_authority"], &[], |fault| {
            of("not_authority", fault) == Some(&Fault::NotAuthority)
        }),
        ("may not sign certificates", &["leaf_of_no_cert_sign", "no_cert_sign"], &[], |fault| {
            of("no_cert_sign", fault) == Some(&Fault::NotAuthority)
        }),
        ("not an authority, from issuers", &["leaf_of_not_authority"], &["not_authority"], |fault| {
            of("not_authority", fault) == Some(&Fault::NotAuthority)
        }),
        ("path length", &["leaf_of_deep", "deep", "inter"], &[], |fault| {
            of("inter", fault) == Some(&Fault::PathLength { max: 0, found: 1 })
        }),
        (
            "loop",
            &["leaf_of_circle", "circle_a", "circle_b", "circle_a", "circle_b"],
            &[],
            |fault| matches!(of("circle_b", fault), Some(Fault::Circle { issuer }) if issuer == "CN=circle_a"),
        ),
        ("expired intermediate", &["leaf_of_expired", "inter_expired"], &[], |fault| {
            matches!(of("inter_expired", fault), Some(Fault::Expired { .. }))
        }),
        ("intermediate not yet valid", &["leaf_of_early", "inter_early"], &[], |fault| {
            matches!(of("inter_early", fault), Some(Fault::NotYetValid { .. }))
        }),
        ("weak key", &["leaf_of_short", "inter_short"], &[], |fault| {
            matches!(of("inter_short", fault), Some(Fault::KeyLength { bits: 1024, .. }))
        }),
        ("SHA-1 in the chain", &["leaf_of_sha1", "inter_sha1"], &[], |fault| {
            of("inter_sha1", fault) == Some(&Fault::Digest)
        }),
        ("SHA-1 under the server's", &["leaf_sha1"], &[], |fault| *fault == Fault::Digest),
        (
            "restricted names",
            &["leaf_of_constrained", "inter_constrained"],
            &[],
            |fault| matches!(of("inter_constrained", fault), Some(Fault::Restriction { oid }) if oid == "2.5.29.30"),
        ),
        ("expired", &["leaf_expired"], &[], |fault| matches!(fault, Fault::Expired { .. })),
        ("not yet valid", &["leaf_early"], &[], |fault| matches!(fault, Fault::NotYetValid { .. })),
        (
            "wrong host",
            &["leaf_other_host"],
            &[],
            |fault| matches!(fault, Fault::HostNotVouchedFor { host, .. } if host == "plant.example"),
        ),
        (
            "wrong application",
            &["leaf_other_application"],
            &[],
            |fault| matches!(fault, Fault::ApplicationUri { found, .. } if found == "urn:other"),
        ),
        ("six issuers", &["leaf_of_step_5"], &["step_1", "step_2", "step_3", "step_4", "step_5"], |fault| {
            of("step_1", fault) == Some(&Fault::ChainTooLong { max: CHAIN_ISSUERS_MAX })
        }),
    ];
    for (what, sent, issuers, expected) in matrix {
        for verdict in Works::new(&["root"], issuers, lists).verdicts(&chain(sent)) {
            let fault = verdict.expect_err(what);
            assert!(expected(&fault), "{what}: {fault:?}");
        }
    }
}

#[test]
fn f55_s3_an_authority_says_whom_it_revoked_or_vouches_for_nobody() {
    let matrix: [(&str, &[&str], &[&str], Expected); 7] = [
        ("no list", &["leaf"], &[], |fault| unknown(fault) == Some(ListFault::Absent)),
        ("by another authority", &["leaf"], &["root_of_same_name"], |fault| {
            unknown(fault) == Some(ListFault::Unusable)
        }),
        ("over SHA-1", &["leaf"], &["root_sha1"], |fault| unknown(fault) == Some(ListFault::Unusable)),
        ("from the future", &["leaf"], &["root_future"], |fault| unknown(fault) == Some(ListFault::Unusable)),
        ("for some certificates", &["leaf"], &["root_partial"], |fault| unknown(fault) == Some(ListFault::Unusable)),
        ("stale", &["leaf"], &["root_stale"], |fault| matches!(unknown(fault), Some(ListFault::OutOfDate { .. }))),
        ("no list of the root", &["leaf_of_inter", "inter"], &["inter"], |fault| {
            of("inter", fault).and_then(unknown) == Some(ListFault::Absent)
        }),
    ];
    for (what, sent, lists, expected) in matrix {
        let [required, optional] = Works::new(&["root"], &[], lists).verdicts(&chain(sent));
        let fault = required.expect_err(what);
        assert!(expected(&fault), "{what}: {fault:?}");
        assert_eq!(optional, Ok(()), "{what}");
    }
}

fn unknown(fault: &Fault) -> Option<ListFault> {
    match fault {
        Fault::RevocationUnknown { why, .. } => Some(*why),
        _ => None,
    }
}

#[test]
fn f55_s3_the_newest_list_counts_and_what_it_revoked_stays_revoked_when_it_has_run_out() {
    // An earlier list names `leaf`, the current one lifted that.
    assert_eq!(Works::new(&["root"], &[], &["root_before", "root"]).verdicts(&chain(&["leaf"])), [Ok(()), Ok(())]);
    // A list from the future does not put the current one out of force.
    assert_eq!(Works::new(&["root"], &[], &["root_future", "root"]).verdicts(&chain(&["leaf"])), [Ok(()), Ok(())]);
    for verdict in Works::new(&["root"], &[], &["root_stale"]).verdicts(&chain(&["leaf_of_root_revoked"])) {
        assert!(matches!(verdict, Err(Fault::Revoked { .. })), "{verdict:?}");
    }
}

#[test]
fn f55_s3_every_refusal_says_which_certificate_and_what_to_do() {
    let said = |works: Works, sent: &[&str]| works.check(&chain(sent)).unwrap_err().to_string();
    let root = || Works::new(&["root"], &[], &[]);
    for (refusal, facts) in [
        (said(root(), &["leaf_of_inter"]), ["CN=inter", "corerl io trust add"]),
        (said(root(), &["leaf"]), ["CN=root", "revocation: optional"]),
        (said(root(), &["leaf_of_expired", "inter_expired"]), ["CN=inter_expired", "expired"]),
        (said(root(), &["leaf_other_host"]), ["elsewhere.example", "trust the certificate itself"]),
        (said(root(), &["leaf_of_same_name", "root_of_same_name"]), ["CN=root", "corerl io trust add"]),
    ] {
        assert!(facts.iter().all(|fact| refusal.contains(fact)), "{refusal}");
    }
}

#[test]
fn f57_s3_a_renewal_ends_for_what_somebody_decided_and_never_for_the_clock() {
    let works = Works::new(&["root"], &[], &["root", "inter"]);
    let peer = works.check(&chain(&["leaf_of_inter", "inter"])).unwrap();
    assert!(peer.is_still_trusted());
    // What is missing while it is being replaced, or has run out, revokes nobody.
    works.take("crl", "root.crl");
    assert!(peer.is_still_trusted());
    works.put("crl", "root_stale.crl");
    assert!(peer.is_still_trusted());
    works.take("trusted", "root.der");
    assert!(!peer.is_still_trusted());
    works.put("trusted", "inter.der");
    assert!(peer.is_still_trusted());

    // Revoked, later than it was connected.
    let works = Works::new(&["root"], &[], &["root", "inter_revoked"]);
    works.take("crl", "root.crl");
    works.put("crl", "root_future.crl");
    let optional = Works { trust: Trust { revocation: Revocation::Optional, ..works.trust.clone() }, ..works };
    let peer = optional.check(&chain(&["leaf_of_inter_revoked", "inter_revoked"])).unwrap();
    assert!(peer.is_still_trusted());
    optional.take("crl", "root_future.crl");
    optional.put("crl", "root.crl");
    assert!(!peer.is_still_trusted());
}

#[test]
fn s3_an_authority_does_not_stand_in_for_trust_that_was_withdrawn_where_the_host_is_another_one() {
    let mut works = Works::new(&["root", "leaf_other_host"], &[], &["root"]);
    works.trust.host_mismatch = HostMismatch::Report;
    let peer = works.check(&chain(&["leaf_other_host"])).unwrap();
    assert!(peer.is_still_trusted());
    works.take("trusted", "leaf_other_host.der");
    assert!(!peer.is_still_trusted());
}

#[test]
fn s3_s4_chains_that_are_made_to_be_endless_end_quickly() {
    let works = Works::new(&["root"], &[], &["root"]);
    let unit = chain(&["circle_a", "circle_b"]);
    let endless = [chain(&["leaf_of_circle"]), unit.repeat(CERTIFICATE_BYTES_MAX / unit.len() - 1)].concat();
    assert!(works.check(&endless).is_err());
    // Half a million ways from one to the next, if all were gone.
    let clique = (1..=15).flat_map(|member| chain(&[&format!("clique_{member}")]));
    let maze: Vec<_> = chain(&["leaf_of_clique"]).into_iter().chain(clique).collect();
    let fault = works.check(&maze).unwrap_err();
    assert_eq!(of("clique", &fault), Some(&Fault::ChainTooLong { max: CHAIN_ISSUERS_MAX }));
    // As many certificates as there is room for, the one that is needed behind them.
    let hidden = [chain(&["leaf_of_inter"]), b"\x30\x00".repeat(1000), chain(&["inter"])].concat();
    assert!(matches!(works.check(&hidden), Err(Fault::IssuerUnknown { .. })));
    let million = [chain(&["leaf"]), b"\x30\x00".repeat(1_000_000)].concat();
    assert_eq!(works.check(&million).err(), Some(Fault::Unreadable));
}

/// Every certificate of the matrix.
fn names() -> Vec<String> {
    let files = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/crypto/fixtures/chains")).unwrap();
    let mut names: Vec<_> = files
        .filter_map(|file| file.unwrap().file_name().to_str().unwrap().strip_suffix(".der").map(str::to_owned))
        .collect();
    names.sort();
    names
}

proptest! {
    #[test]
    fn s3_s4_no_order_in_which_certificates_are_sent_makes_anybody_trusted_who_is_not(
        picked in prop::collection::vec(prop::sample::select(names()), 1..24)
    ) {
        const VOUCHED_FOR: [&str; 6] =
            ["leaf", "leaf_sha384", "leaf_sha512", "leaf_renewed", "leaf_of_inter", "leaf_of_step_4"];
        let works = Works::new(&["root"], &[], &["root", "inter", "step_1", "step_2", "step_3", "step_4"]);
        let sent = chain(&picked.iter().map(String::as_str).collect::<Vec<_>>());
        prop_assert!(works.check(&sent).is_err() || VOUCHED_FOR.contains(&picked[0].as_str()), "{picked:?}");
    }
}

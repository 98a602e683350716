//! Signatures under certificates and revocation lists.

use rsa::{
    RsaPublicKey,
    pkcs1v15::{Signature, VerifyingKey},
    sha2::{Sha256, Sha384, Sha512},
    signature::Verifier,
};
use x509_cert::{
    der::{oid::ObjectIdentifier, referenced::OwnedToRef},
    spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned},
};

/// Signatures over MD5 and SHA-1, which can be forged: by RSA and, the last one, by elliptic curves.
const WEAK: [ObjectIdentifier; 3] = [
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"),
    ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"),
    ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"),
];

/// Whether signatures of this kind can be forged.
pub(super) fn is_weak(algorithm: &AlgorithmIdentifierOwned) -> bool {
    WEAK.contains(&algorithm.oid)
}

/// What an RSA signature (PKCS #1 v1.5) is over, of those that are verified here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

/// sha256WithRSAEncryption and its sisters (RFC 4055, 5).
const ALGORITHMS: [(ObjectIdentifier, Digest); 3] = [
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"), Digest::Sha256),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"), Digest::Sha384),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"), Digest::Sha512),
];

impl Digest {
    pub(super) fn of(algorithm: &AlgorithmIdentifierOwned) -> Option<Digest> {
        ALGORITHMS.iter().find(|(oid, _)| *oid == algorithm.oid).map(|(_, digest)| *digest)
    }
}

/// Whether the holder of this key signed.
pub(super) fn verify(key: &SubjectPublicKeyInfoOwned, digest: Digest, signed: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = RsaPublicKey::try_from(key.owned_to_ref()) else { return false };
    let Ok(signature) = Signature::try_from(signature) else { return false };
    match digest {
        Digest::Sha256 => VerifyingKey::<Sha256>::new(key).verify(signed, &signature),
        Digest::Sha384 => VerifyingKey::<Sha384>::new(key).verify(signed, &signature),
        Digest::Sha512 => VerifyingKey::<Sha512>::new(key).verify(signed, &signature),
    }
    .is_ok()
}

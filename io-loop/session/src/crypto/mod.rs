//! The only module that calls the cryptography crate, which panics on lengths that it does not expect: everything that
//! comes from a peer is measured here first.

mod application;
mod certificate;
mod chain;
#[cfg(test)]
mod chains;
#[cfg(test)]
mod matrix;
mod revocation;
mod show;
mod signature;
mod trust_list;

use std::fmt;

use opcua_crypto::{AesDerivedKeys, KeySize, PrivateKey, PublicKey, SecurityPolicy as Algorithms, random};

pub use application::{ApplicationInstance, Names};
pub(crate) use certificate::{Expectation, PeerCertificate, describe};
pub use show::{CertificateFacts, Examination, RevocationFacts, TrustItem, examine};

use crate::{SecurityPolicy, Violation};

/// Length of every symmetric signature (HMAC-SHA256), in bytes.
pub(crate) const SIGNATURE_BYTES: usize = 32;
/// Block size of AES, in bytes.
pub(crate) const BLOCK_BYTES: usize = 16;
/// Length of nonces, in bytes, for every policy in the table.
pub(crate) const NONCE_BYTES: usize = 32;
/// Accepted lengths of RSA keys, in bits, for every policy in the table.
pub(crate) const KEY_BITS: std::ops::RangeInclusive<usize> = 2048..=4096;
/// A receiver's key above this size, in bytes, makes the padding carry a second length byte (Part 6, 6.7.2.5).
const EXTRA_PADDING_KEY_BYTES: usize = 256;

/// URI of the policy without security.
pub(crate) const POLICY_NONE_URI: &str = "http://opcfoundation.org/UA/SecurityPolicy#None";

/// The algorithms of one security policy.
pub(crate) struct Suite {
    pub(crate) policy: SecurityPolicy,
    pub(crate) uri: &'static str,
    /// Algorithm of signatures in CreateSession and ActivateSession.
    pub(crate) signature_uri: &'static str,
    /// Algorithm of encrypted passwords.
    pub(crate) encryption_uri: &'static str,
    algorithms: Algorithms,
}

/// Every policy that is accepted. A new one is a row here and in [`SecurityPolicy`].
static SUITES: [Suite; 3] = [
    Suite {
        policy: SecurityPolicy::Basic256Sha256,
        uri: "http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256",
        signature_uri: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        encryption_uri: "http://www.w3.org/2001/04/xmlenc#rsa-oaep",
        algorithms: Algorithms::Basic256Sha256,
    },
    Suite {
        policy: SecurityPolicy::Aes128Sha256RsaOaep,
        uri: "http://opcfoundation.org/UA/SecurityPolicy#Aes128_Sha256_RsaOaep",
        signature_uri: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
        encryption_uri: "http://www.w3.org/2001/04/xmlenc#rsa-oaep",
        algorithms: Algorithms::Aes128Sha256RsaOaep,
    },
    Suite {
        policy: SecurityPolicy::Aes256Sha256RsaPss,
        uri: "http://opcfoundation.org/UA/SecurityPolicy#Aes256_Sha256_RsaPss",
        signature_uri: "http://opcfoundation.org/UA/security/rsa-pss-sha2-256",
        encryption_uri: "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256",
        algorithms: Algorithms::Aes256Sha256RsaPss,
    },
];

impl fmt::Debug for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.policy)
    }
}

impl Suite {
    /// The row of a policy.
    pub(crate) fn of(policy: SecurityPolicy) -> &'static Suite {
        let [basic, aes128, aes256] = &SUITES;
        match policy {
            SecurityPolicy::Basic256Sha256 => basic,
            SecurityPolicy::Aes128Sha256RsaOaep => aes128,
            SecurityPolicy::Aes256Sha256RsaPss => aes256,
        }
    }

    /// The row with this URI.
    pub(crate) fn by_uri(uri: &str) -> Option<&'static Suite> {
        SUITES.iter().find(|suite| suite.uri == uri)
    }

    /// Signs with our key. The result is as long as the key.
    pub(crate) fn sign(&self, key: &PrivateKey, data: &[u8]) -> Result<Vec<u8>, Violation> {
        let mut signature = vec![0; key.size()];
        self.algorithms.asymmetric_sign(key, data, &mut signature).map_err(|_| Violation::Security)?;
        Ok(signature)
    }

    /// Verifies a signature of the peer.
    pub(crate) fn verify(&self, peer: &PeerCertificate, data: &[u8], signature: &[u8]) -> Result<(), Violation> {
        if signature.len() != peer.key_bytes() {
            return Err(Violation::Security);
        }
        self.algorithms.asymmetric_verify_signature(peer.key(), data, signature).map_err(|_| Violation::Security)
    }

    /// Largest plain text of one RSA block for the peer's key, in bytes.
    pub(crate) fn plain_block_bytes(&self, peer: &PublicKey) -> usize {
        self.algorithms.asymmetric_padding_info(peer).block_size.max(1)
    }

    /// Size of `plain_bytes` bytes after encryption for the peer.
    pub(crate) fn cipher_bytes(&self, peer: &PublicKey, plain_bytes: usize) -> usize {
        plain_bytes.div_ceil(self.plain_block_bytes(peer)) * peer.size()
    }

    /// Encrypts for the peer, block by block.
    pub(crate) fn encrypt(&self, peer: &PublicKey, plain: &[u8]) -> Result<Vec<u8>, Violation> {
        let mut cipher = vec![0; self.cipher_bytes(peer, plain.len())];
        let written = self.algorithms.asymmetric_encrypt(peer, plain, &mut cipher).map_err(|_| Violation::Security)?;
        if written == cipher.len() { Ok(cipher) } else { Err(Violation::Security) }
    }

    /// Decrypts what the peer encrypted for us.
    pub(crate) fn decrypt(&self, key: &PrivateKey, cipher: &[u8]) -> Result<Vec<u8>, Violation> {
        if cipher.is_empty() || !cipher.len().is_multiple_of(key.size()) {
            return Err(Violation::Security);
        }
        let mut plain = vec![0; cipher.len()];
        let len = self.algorithms.asymmetric_decrypt(key, cipher, &mut plain).map_err(|_| Violation::Security)?;
        plain.truncate(len);
        Ok(plain)
    }

    /// Derives the keys of one direction of a token.
    pub(crate) fn derive(&'static self, secret: &[u8], seed: &[u8]) -> SymmetricKeys {
        SymmetricKeys { suite: self, keys: self.algorithms.make_secure_channel_keys(secret, seed) }
    }
}

/// Bytes of padding length fields that a receiver with this key expects.
pub(crate) fn padding_length_bytes(receiver_key_bytes: usize) -> usize {
    if receiver_key_bytes > EXTRA_PADDING_KEY_BYTES { 2 } else { 1 }
}

/// Appends padding so that what stands after `start`, with `signature_bytes` still to come, fills whole blocks.
pub(crate) fn pad(out: &mut Vec<u8>, start: usize, signature_bytes: usize, block_bytes: usize, length_bytes: usize) {
    let filled = out.len().saturating_sub(start) + length_bytes + signature_bytes;
    let padding = filled.next_multiple_of(block_bytes) - filled;
    let [low, high, ..] = padding.to_le_bytes();
    out.resize(out.len() + padding + 1, low);
    if length_bytes == 2 {
        out.push(high);
    }
}

/// What is left of `plain` without its padding.
pub(crate) fn unpad(plain: &[u8], length_bytes: usize) -> Result<&[u8], Violation> {
    let (fields, last) = match plain {
        [rest @ .., low, high] if length_bytes == 2 => (rest, usize::from(u16::from_le_bytes([*low, *high]))),
        [rest @ .., low] if length_bytes == 1 => (rest, usize::from(*low)),
        _ => return Err(Violation::Security),
    };
    let (body, padding) = fields.split_at_checked(fields.len().wrapping_sub(last)).ok_or(Violation::Security)?;
    let [low, ..] = last.to_le_bytes();
    if padding.iter().all(|byte| *byte == low) { Ok(body) } else { Err(Violation::Security) }
}

/// The keys with which one side signs and encrypts under one token.
pub(crate) struct SymmetricKeys {
    suite: &'static Suite,
    keys: AesDerivedKeys,
}

impl fmt::Debug for SymmetricKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SymmetricKeys({:?})", self.suite)
    }
}

impl SymmetricKeys {
    /// Appends the signature of everything after `start`. Allocates only when `out` has no room.
    pub(crate) fn sign(&self, out: &mut Vec<u8>, start: usize) -> Result<(), Violation> {
        let mut signature = [0; SIGNATURE_BYTES];
        let data = out.get(start..).unwrap_or_default();
        self.suite.algorithms.symmetric_sign(&self.keys, data, &mut signature).map_err(|_| Violation::Security)?;
        out.extend_from_slice(&signature);
        Ok(())
    }

    /// What is left of `signed` without its signature, when that is right.
    pub(crate) fn verify<'a>(&self, signed: &'a [u8]) -> Result<&'a [u8], Violation> {
        let (data, signature) = signed.split_last_chunk::<SIGNATURE_BYTES>().ok_or(Violation::Security)?;
        self.suite
            .algorithms
            .symmetric_verify_signature(&self.keys, data, signature)
            .map_err(|_| Violation::Security)?;
        Ok(data)
    }

    /// Appends the encryption of `plain`, whose length is a multiple of the block size.
    pub(crate) fn encrypt(&self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        self.transform(plain, out, Algorithms::symmetric_encrypt)
    }

    /// Appends the decryption of `cipher`.
    pub(crate) fn decrypt(&self, cipher: &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        self.transform(cipher, out, Algorithms::symmetric_decrypt)
    }

    fn transform(&self, from: &[u8], out: &mut Vec<u8>, with: Transform) -> Result<(), Violation> {
        if from.is_empty() || !from.len().is_multiple_of(BLOCK_BYTES) {
            return Err(Violation::Security);
        }
        let start = out.len();
        // The crate wants one block more than it writes.
        out.resize(start + from.len() + BLOCK_BYTES, 0);
        let room = out.get_mut(start..).unwrap_or_default();
        with(&self.suite.algorithms, &self.keys, from, room).map_err(|_| Violation::Security)?;
        out.truncate(start + from.len());
        Ok(())
    }
}

type Transform = fn(&Algorithms, &AesDerivedKeys, &[u8], &mut [u8]) -> Result<usize, opcua_types::Error>;

/// A fresh nonce.
pub(crate) fn nonce() -> [u8; NONCE_BYTES] {
    let mut bytes = [0; NONCE_BYTES];
    random::bytes(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_symmetric_message_survives_and_a_flipped_bit_does_not() {
        for suite in &SUITES {
            let keys = suite.derive(&[1; 32], &[2; 32]);
            let mut message = b"sixteen bytes ok".to_vec();
            keys.sign(&mut message, 0).unwrap();
            let mut cipher = Vec::new();
            keys.encrypt(&message, &mut cipher).unwrap();
            let mut plain = Vec::new();
            keys.decrypt(&cipher, &mut plain).unwrap();
            assert_eq!(keys.verify(&plain).unwrap(), b"sixteen bytes ok");
            plain[3] ^= 1;
            assert_eq!(keys.verify(&plain), Err(Violation::Security));
        }
    }

    #[test]
    fn lengths_that_would_make_the_crate_panic_are_refused() {
        let keys = Suite::of(SecurityPolicy::Basic256Sha256).derive(&[1; 32], &[2; 32]);
        for len in [0, 1, 15, 17, 31] {
            assert_eq!(keys.decrypt(&vec![0; len], &mut Vec::new()), Err(Violation::Security));
            assert_eq!(keys.verify(&vec![0; len]), Err(Violation::Security));
        }
    }

    proptest! {
        #[test]
        fn padding_fills_blocks_and_comes_off_again(body in prop::collection::vec(any::<u8>(), 0..600), two: bool) {
            let (signature, block, length) = if two { (512, 470, 2) } else { (32, 16, 1) };
            let mut padded = body.clone();
            pad(&mut padded, 0, signature, block, length);
            prop_assert_eq!((padded.len() + signature) % block, 0);
            prop_assert_eq!(unpad(&padded, length).unwrap(), &body[..]);
        }

        #[test]
        fn no_bytes_make_unpadding_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), two: bool) {
            let _ = unpad(&bytes, if two { 2 } else { 1 });
        }
    }
}

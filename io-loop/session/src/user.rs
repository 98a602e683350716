//! Who the user is, proven to the server: nobody, a name with a password, or a certificate.
//!
//! A password leaves this process encrypted with the server's key, or within a channel that encrypts; in no other way.

use std::sync::Arc;

use crate::{
    ConnectError, Identity, MessageMode, Violation,
    channel::Secured,
    crypto::{self, PeerCertificate, Suite},
    services::{Signature, USER_TOKEN_ANONYMOUS, USER_TOKEN_CERTIFICATE, USER_TOKEN_USER_NAME, UserProof, UserToken},
};

/// Why the user cannot be proven.
#[derive(Debug)]
pub(crate) enum NotProven {
    /// The server does not take this kind of identity, or only with algorithms that are refused here.
    NotAccepted { wanted: &'static str },
    /// The password would travel readable.
    InClear,
    /// The key does not do what is asked of it.
    Cryptography(Violation),
    /// The server's certificate is needed and not to be trusted.
    Certificate(Box<ConnectError>),
}

impl From<Violation> for NotProven {
    fn from(violation: Violation) -> Self {
        NotProven::Cryptography(violation)
    }
}

/// On which way the proof goes to the server.
pub(crate) struct Way<'a> {
    /// The channel, if it is secured.
    pub(crate) secured: Option<&'a Secured>,
    /// The server's last nonce.
    pub(crate) nonce: &'a [u8],
    /// What the endpoint takes.
    pub(crate) tokens: &'a [UserToken],
}

impl<'a> Way<'a> {
    /// The proof. `check` gives the server's certificate where the channel has not checked it.
    pub(crate) fn prove(
        &self,
        identity: &'a Identity,
        check: impl FnOnce() -> Result<Arc<PeerCertificate>, ConnectError>,
    ) -> Result<UserProof<'a>, NotProven> {
        let peer = || match self.secured {
            Some(secured) => Ok(secured.peer.clone()),
            None => check().map_err(|error| NotProven::Certificate(Box::new(error))),
        };
        match identity {
            Identity::Anonymous => self.anonymous(),
            Identity::UserPassword { user, password } => self.password(user, password, peer),
            Identity::Certificate(ours) => {
                let (token, suite) = self
                    .secured_token(USER_TOKEN_CERTIFICATE)
                    .ok_or(NotProven::NotAccepted { wanted: "a user with a certificate" })?;
                let signed = [peer()?.der(), self.nonce].concat();
                let signature = Signature { algorithm: suite.signature_uri, bytes: suite.sign(ours.key(), &signed)? };
                let certificate = ours.certificate_der();
                Ok(UserProof::Certificate { policy_id: &token.policy_id, certificate, signature })
            }
        }
    }

    fn anonymous(&self) -> Result<UserProof<'a>, NotProven> {
        match self.of_kind(USER_TOKEN_ANONYMOUS).next() {
            Some(token) => Ok(UserProof::Anonymous { policy_id: &token.policy_id }),
            // A server that describes no identities at all takes the anonymous one.
            None if self.tokens.is_empty() => Ok(UserProof::Anonymous { policy_id: "" }),
            None => Err(NotProven::NotAccepted { wanted: "an anonymous user" }),
        }
    }

    fn password(
        &self,
        user: &'a str,
        password: &str,
        peer: impl FnOnce() -> Result<Arc<PeerCertificate>, NotProven>,
    ) -> Result<UserProof<'a>, NotProven> {
        // An encrypted password before an unencrypted one.
        if let Some((token, suite)) = self.secured_token(USER_TOKEN_USER_NAME) {
            let password = encrypt_password(suite, &*peer()?, password.as_bytes(), self.nonce)?;
            let (policy_id, algorithm) = (token.policy_id.as_str(), suite.encryption_uri);
            return Ok(UserProof::UserName { policy_id, user, password, algorithm });
        }
        let token = self
            .of_kind(USER_TOKEN_USER_NAME)
            .find(|token| token.policy_uri.is_empty() || token.policy_uri == crypto::POLICY_NONE_URI)
            .ok_or(NotProven::NotAccepted { wanted: "a user with a password" })?;
        // Inside a channel that encrypts, it is not readable.
        if self.secured.is_none_or(|secured| secured.mode != MessageMode::SignAndEncrypt) {
            return Err(NotProven::InClear);
        }
        Ok(UserProof::UserName {
            policy_id: &token.policy_id,
            user,
            password: password.as_bytes().to_vec(),
            algorithm: "",
        })
    }

    fn of_kind(&self, kind: i32) -> impl Iterator<Item = &'a UserToken> {
        self.tokens.iter().filter(move |token| token.kind == kind)
    }

    /// A token of this kind with the policy that secures it: its own, or the channel's if it names none.
    fn secured_token(&self, kind: i32) -> Option<(&'a UserToken, &'static Suite)> {
        let channel = self.secured.map(|secured| secured.suite);
        self.of_kind(kind).find_map(|token| {
            let suite = if token.policy_uri.is_empty() { channel } else { Suite::by_uri(&token.policy_uri) };
            Some((token, suite?))
        })
    }
}

/// Part 4, 7.41.2.2: length, password and nonce, encrypted with the server's key.
fn encrypt_password(
    suite: &Suite,
    peer: &PeerCertificate,
    password: &[u8],
    nonce: &[u8],
) -> Result<Vec<u8>, Violation> {
    let len = u32::try_from(password.len() + nonce.len()).map_err(|_| Violation::TooLong)?;
    let secret = [&len.to_le_bytes(), password, nonce].concat();
    suite.encrypt(peer.key(), &secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(kind: i32, policy_uri: &str) -> UserToken {
        UserToken { policy_id: "id".to_owned(), kind, policy_uri: policy_uri.to_owned() }
    }

    fn prove<'a>(tokens: &'a [UserToken], identity: &'a Identity) -> Result<UserProof<'a>, NotProven> {
        let unknown = || Err(ConnectError::Url { url: "no certificate".to_owned() });
        Way { secured: None, nonce: &[1; 32], tokens }.prove(identity, unknown)
    }

    #[test]
    fn a_password_never_leaves_unencrypted() {
        let identity = Identity::UserPassword { user: "user".to_owned(), password: "secret".to_owned() };
        for policy_uri in ["", crypto::POLICY_NONE_URI] {
            let tokens = [token(USER_TOKEN_USER_NAME, policy_uri)];
            assert!(matches!(prove(&tokens, &identity), Err(NotProven::InClear)), "{policy_uri}");
        }
        // It would be encrypted with the certificate, if that were trusted.
        let tokens = [token(USER_TOKEN_USER_NAME, Suite::of(crate::SecurityPolicy::Basic256Sha256).uri)];
        assert!(matches!(prove(&tokens, &identity), Err(NotProven::Certificate(_))));
        let weak = [token(USER_TOKEN_USER_NAME, "http://opcfoundation.org/UA/SecurityPolicy#Basic128Rsa15")];
        assert!(matches!(prove(&weak, &identity), Err(NotProven::NotAccepted { .. })));
    }

    #[test]
    fn a_server_that_names_no_identities_takes_the_anonymous_one_and_one_that_names_others_does_not() {
        assert!(matches!(prove(&[], &Identity::Anonymous), Ok(UserProof::Anonymous { policy_id: "" })));
        let others = [token(USER_TOKEN_USER_NAME, "")];
        assert!(matches!(prove(&others, &Identity::Anonymous), Err(NotProven::NotAccepted { .. })));
        let offered = [token(USER_TOKEN_USER_NAME, ""), token(USER_TOKEN_ANONYMOUS, "")];
        assert!(matches!(prove(&offered, &Identity::Anonymous), Ok(UserProof::Anonymous { policy_id: "id" })));
    }
}

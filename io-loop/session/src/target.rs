//! Where to connect, how, as whom, and whom to trust.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use crate::{ApplicationError, crypto::ApplicationInstance};

/// Everything that a connection needs to know.
#[derive(Debug, Clone)]
pub struct Target {
    /// `opc.tcp://host[:port][/path]`. TCP always goes to this host and port, whatever names the server gives itself.
    pub url: String,
    /// Our ApplicationUri; with a secured endpoint the certificate's own is sent instead.
    pub application_uri: String,
    /// ApplicationUris of the servers that may be there; empty for whoever is trusted.
    pub server_uris: Vec<String>,
    /// Name of the session in the server's diagnostics.
    pub session_name: String,
    /// Policy and mode of the endpoint.
    pub security: Security,
    /// The user.
    pub identity: Identity,
    /// Which server certificates are trusted.
    pub trust: Trust,
    /// How long the server shall keep an idle session.
    pub session_timeout: Duration,
    /// Lifetime asked for the channel's keys; the server revises it.
    pub channel_lifetime: Duration,
}

impl Target {
    /// A target without any security, for laboratories and tests: no encryption, no user, nobody is checked.
    pub fn lab(url: &str, application_uri: &str) -> Target {
        Target {
            url: url.to_owned(),
            application_uri: application_uri.to_owned(),
            server_uris: Vec::new(),
            session_name: application_uri.to_owned(),
            security: Security::None,
            identity: Identity::Anonymous,
            trust: Trust::default(),
            session_timeout: Duration::from_secs(60),
            channel_lifetime: Duration::from_secs(3600),
        }
    }
}

impl Target {
    /// Our own certificates: the application's, and the user's.
    pub fn own_certificates(&mut self) -> impl Iterator<Item = &mut Arc<ApplicationInstance>> {
        let application = match &mut self.security {
            Security::None => None,
            Security::Secured { application, .. } => Some(application),
        };
        let user = match &mut self.identity {
            Identity::Certificate(user) => Some(user),
            Identity::Anonymous | Identity::UserPassword { .. } => None,
        };
        application.into_iter().chain(user)
    }

    /// Takes our own certificates from their files anew; whether there was another one. The next connection uses it.
    ///
    /// # Errors
    /// A certificate that cannot be used, which leaves the one from before in its place.
    pub fn renew(&mut self) -> Result<bool, ApplicationError> {
        let mut renewed = false;
        for own in self.own_certificates() {
            if let Some(present) = own.renewed()? {
                (*own, renewed) = (Arc::new(present), true);
            }
        }
        Ok(renewed)
    }
}

/// Policy and mode.
#[derive(Debug, Clone)]
pub enum Security {
    /// Neither signed nor encrypted.
    None,
    /// Signed, or signed and encrypted.
    Secured {
        /// The algorithms.
        policy: SecurityPolicy,
        /// What is done with every message.
        mode: MessageMode,
        /// Our certificate and key.
        application: Arc<ApplicationInstance>,
    },
}

/// The security policies that are accepted. Basic128Rsa15 and Basic256 rest on SHA-1 and PKCS #1 v1.5 and are not among
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum SecurityPolicy {
    Basic256Sha256,
    Aes128Sha256RsaOaep,
    Aes256Sha256RsaPss,
}

impl fmt::Display for SecurityPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SecurityPolicy::Basic256Sha256 => "Basic256Sha256",
            SecurityPolicy::Aes128Sha256RsaOaep => "Aes128_Sha256_RsaOaep",
            SecurityPolicy::Aes256Sha256RsaPss => "Aes256_Sha256_RsaPss",
        })
    }
}

/// What is done with every message of a secured channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum MessageMode {
    Sign,
    SignAndEncrypt,
}

impl fmt::Display for MessageMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MessageMode::Sign => "Sign",
            MessageMode::SignAndEncrypt => "SignAndEncrypt",
        })
    }
}

/// The user of the session.
#[derive(Clone)]
pub enum Identity {
    /// Nobody in particular.
    Anonymous,
    /// A user with a password.
    UserPassword {
        /// User name.
        user: String,
        /// Password; encrypted with the server's certificate before it is sent, and never printed.
        password: String,
    },
    /// A user with a certificate, whose key signs what the server asks to be signed.
    Certificate(Arc<ApplicationInstance>),
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Anonymous => f.write_str("Anonymous"),
            Identity::UserPassword { user, .. } => write!(f, "UserPassword({user:?})"),
            Identity::Certificate(user) => write!(f, "Certificate({})", user.thumbprint()),
        }
    }
}

/// Which server certificates are trusted: those whose bytes are in one of these places, and those that an authority
/// among them vouches for. Nothing is ever added by itself.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// A certificate file, DER or PEM: one server's, never an authority.
    pub pinned: Option<PathBuf>,
    /// A directory of files, DER or PEM: `trusted/` with servers and authorities, `issuers/` with authorities that stand
    /// between them and are not trusted by themselves, `crl/` with revocation lists.
    pub directory: Option<PathBuf>,
    /// What an authority has to say of those whom it vouches for.
    pub revocation: Revocation,
    /// What happens when the certificate is trusted but does not name the host we connect to.
    pub host_mismatch: HostMismatch,
}

/// What an authority has to say of those whom it vouches for. Who is revoked is refused in either case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Revocation {
    /// Every authority of a chain needs a revocation list that is not out of date.
    #[default]
    Required,
    /// An authority without one revokes nobody.
    Optional,
}

/// What happens when a certificate that is trusted by its bytes does not name the host. One that an authority alone vouches
/// for is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostMismatch {
    /// It is noted in [`crate::Session::notices`].
    #[default]
    Report,
    /// No session comes about.
    Refuse,
}

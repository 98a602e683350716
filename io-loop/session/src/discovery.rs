//! What a server offers, for people and set-up tools.

use std::sync::Arc;

use crate::{
    Clock, ConnectError,
    connect::{self, fetch_endpoints, policy_and_mode},
    crypto,
    services::UserToken,
};

/// One endpoint of a server. Nothing of it has been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedEndpoint {
    /// The URL under which the server knows the endpoint; often a host name that does not resolve elsewhere.
    pub url: String,
    /// ApplicationUri of the server.
    pub application_uri: String,
    /// Policy and mode, such as `Basic256Sha256/SignAndEncrypt` or `None`.
    pub security: String,
    /// Whether [`crate::Session::connect`] can use the policy and mode.
    pub is_supported: bool,
    /// How users may identify themselves.
    pub identities: Vec<String>,
    /// SHA-1 of the server's certificate in lower-case hexadecimal; empty without one.
    pub thumbprint: String,
    /// Subject of the certificate.
    pub subject: String,
    /// The certificate, or chain, as sent.
    pub certificate_der: Vec<u8>,
}

/// Whether a server answers whoever connects: says hello on a connection of its own, and hangs up.
///
/// # Errors
/// See [`ConnectError`].
pub fn greet(url: &str, clock: Arc<dyn Clock>, deadline_ns: u64) -> Result<(), ConnectError> {
    connect::greet(url, clock, deadline_ns)
}

/// Asks a server for its endpoints, over a channel without security.
///
/// # Errors
/// See [`ConnectError`].
pub fn discover(url: &str, clock: Arc<dyn Clock>, deadline_ns: u64) -> Result<Vec<OfferedEndpoint>, ConnectError> {
    let endpoints = fetch_endpoints(url, clock, deadline_ns)?;
    Ok(endpoints
        .into_iter()
        .filter(|endpoint| endpoint.is_binary)
        .map(|endpoint| {
            let (thumbprint, subject) = crypto::describe(&endpoint.certificate);
            let secured = crypto::Suite::by_uri(&endpoint.policy_uri).is_some() && matches!(endpoint.mode, 2 | 3);
            OfferedEndpoint {
                is_supported: secured || (endpoint.policy_uri == crypto::POLICY_NONE_URI && endpoint.mode == 1),
                security: policy_and_mode(&endpoint.policy_uri, endpoint.mode),
                identities: endpoint.user_tokens.iter().map(UserToken::name).collect(),
                url: endpoint.url,
                application_uri: endpoint.application_uri,
                thumbprint,
                subject,
                certificate_der: endpoint.certificate,
            }
        })
        .collect())
}

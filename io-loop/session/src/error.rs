//! One error per operation. [`CallError`] is `Copy`: it is what cyclic calls return.

use std::{io, path::PathBuf};

use crate::{
    AddressError, NodeAddress, NotRepresentable,
    status::{StatusName, distrusts_us},
};

/// How the peer's bytes broke the protocol. Always ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A field reaches beyond the end of what holds it.
    #[error("a message is shorter than its contents")]
    Truncated,
    /// A length, count or nesting exceeds its limit.
    #[error("a length exceeds its limit")]
    TooLong,
    /// Text is not UTF-8.
    #[error("a string is not UTF-8")]
    Text,
    /// A value that the encoding does not define.
    #[error("an encoding that the standard does not define")]
    Encoding,
    /// A message type that does not belong here.
    #[error("an unexpected message type")]
    MessageType,
    /// The buffer sizes or protocol version of the acknowledgement are unusable.
    #[error("unusable buffer sizes in the acknowledgement")]
    Acknowledge,
    /// A message of another secure channel.
    #[error("a wrong secure channel id")]
    ChannelId,
    /// A token that was never agreed, is no longer valid, or has expired.
    #[error("an unknown or expired security token")]
    Token,
    /// The sequence number is not the next one.
    #[error("a sequence number out of order")]
    SequenceNumber,
    /// Chunks of different messages are mixed.
    #[error("chunks of different messages are mixed")]
    Interleaved,
    /// A signature, padding or length does not verify.
    #[error("a message failed its security check")]
    Security,
    /// The security policy in a header is another one.
    #[error("a wrong security policy")]
    Policy,
    /// The sender's certificate is another one.
    #[error("a certificate other than the one that was checked")]
    Certificate,
    /// The certificate that was checked when connecting has been taken out of the trust list.
    #[error("the server's certificate is no longer trusted")]
    TrustWithdrawn,
    /// A nonce is too short, or repeats the last one.
    #[error("an unusable nonce")]
    Nonce,
    /// An answer is of another service than the request.
    #[error("an answer of the wrong type")]
    AnswerType,
    /// An answer holds another number of results than were asked for.
    #[error("an answer with the wrong number of results")]
    ResultCount,
    /// An answer to a request that was never sent.
    #[error("an answer that was not asked for")]
    Unsolicited,
}

/// Why a read, write or other call on a connected session failed.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum CallError {
    /// The deadline passed first. With `sent` false the server has seen nothing of it and never will; with `sent` true
    /// its outcome is unknown, and a late answer will be discarded.
    #[error("the deadline passed before the answer came (request {})", if *sent { "sent" } else { "not sent" })]
    Deadline {
        /// Whether any byte of the request may have reached the server.
        sent: bool,
    },
    /// The server refused this call; the session goes on.
    #[error("the server refused the call: {}", StatusName(*status))]
    Refused {
        /// StatusCode of the service.
        status: u32,
    },
    /// The server says that session or channel are gone.
    #[error("the server ended the session: {}", StatusName(*status))]
    Ended {
        /// StatusCode of the service or of the Error message.
        status: u32,
    },
    /// The socket failed.
    #[error("the connection failed: {kind}")]
    Socket {
        /// What the operating system said.
        kind: io::ErrorKind,
    },
    /// The server closed the connection.
    #[error("the server closed the connection")]
    Closed,
    /// The server broke the protocol.
    #[error("the server broke the protocol: {0}")]
    Violation(#[from] Violation),
    /// Too many requests are without an answer.
    #[error("the server has stopped answering")]
    Unanswered,
    /// An earlier error ended this session.
    #[error("the session has ended")]
    SessionOver,
    /// A value cannot be sent; nothing was.
    #[error("value {index}: {refused}")]
    Value {
        /// Its place in the values handed in.
        index: usize,
        /// The value and the data type.
        refused: NotRepresentable,
    },
    /// A slice is not as long as the plan; nothing was sent.
    #[error("the plan has {expected} nodes, the slice {found}")]
    Shape {
        /// Nodes in the plan.
        expected: usize,
        /// Length of the slice.
        found: usize,
    },
    /// The plan was prepared by another session; nothing was sent.
    #[error("the plan belongs to another session")]
    ForeignPlan,
}

impl CallError {
    /// Whether only a new connection helps. Otherwise merely this call failed and the session can be used on.
    pub fn needs_reconnect(&self) -> bool {
        match self {
            CallError::Ended { .. }
            | CallError::Socket { .. }
            | CallError::Closed
            | CallError::Violation(_)
            | CallError::Unanswered
            | CallError::SessionOver => true,
            CallError::Deadline { .. }
            | CallError::Refused { .. }
            | CallError::Value { .. }
            | CallError::Shape { .. }
            | CallError::ForeignPlan => false,
        }
    }
}

/// Why a plan could not be prepared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// More nodes than a plan holds.
    #[error("{found} nodes are more than the {max} a plan holds")]
    TooManyNodes {
        /// Nodes asked for.
        found: usize,
        /// [`crate::limits::PLAN_NODES_MAX`].
        max: usize,
    },
}

/// Why an address has no node id on this server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The namespace URI or index is not among the server's namespaces.
    #[error("{address}: the server has no such namespace; it has {}", offered.join(", "))]
    Namespace {
        /// The address.
        address: Box<NodeAddress>,
        /// The server's namespaces.
        offered: Vec<String>,
    },
    /// The text is no address.
    #[error(transparent)]
    Address(#[from] AddressError),
}

/// The steps of connecting, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named after the message it exchanges")]
pub enum Step {
    NameLookup,
    TcpConnect,
    Hello,
    OpenSecureChannel,
    GetEndpoints,
    CreateSession,
    ActivateSession,
    ReadNamespaces,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::NameLookup => "looking up the host name",
            Step::TcpConnect => "connecting",
            Step::Hello => "saying hello",
            Step::OpenSecureChannel => "opening the secure channel",
            Step::GetEndpoints => "asking for the endpoints",
            Step::CreateSession => "creating the session",
            Step::ActivateSession => "activating the session",
            Step::ReadNamespaces => "reading the namespaces",
        })
    }
}

/// Why no session came about.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is not `opc.tcp://host[:port][/path]`.
    #[error("`{url}` is not an OPC UA address; write opc.tcp://host:port/path")]
    Url {
        /// The text.
        url: String,
    },
    /// A step failed on the way to the server or at the server.
    #[error("{url}: {step} failed: {source}{}", reason_suffix(reason))]
    Step {
        /// The server.
        url: String,
        /// What was being done.
        step: Step,
        /// What the server gave as a reason, if it did.
        reason: String,
        /// What went wrong.
        source: CallError,
    },
    /// The server does not offer what the target asks for.
    #[error("{url} offers no endpoint with {wanted}; it offers {}", list(offered))]
    Endpoint {
        /// The server.
        url: String,
        /// Policy and mode of the target.
        wanted: String,
        /// Policies and modes of the server.
        offered: Vec<String>,
    },
    /// Somebody else is there than was expected.
    #[error(
        "{url} is {found:?}, which is not among server_application_uris of the site file: correct the address or the list"
    )]
    Server {
        /// The address.
        url: String,
        /// ApplicationUri of whoever is there.
        found: String,
    },
    /// The server does not accept the kind of identity that the target gives.
    #[error("{url} does not accept {wanted}; it accepts {}", list(offered))]
    Identity {
        /// The server.
        url: String,
        /// The identity of the target.
        wanted: &'static str,
        /// Identities that the server accepts.
        offered: Vec<String>,
    },
    /// The password would travel readable, and the target does not permit that.
    #[error("{url}: the password would be sent unencrypted; use a secured endpoint")]
    ClearPassword {
        /// The server.
        url: String,
    },
    /// The server's certificate is not to be trusted.
    #[error("{url}: {source}")]
    Certificate {
        /// The server.
        url: String,
        /// Why, with the certificate.
        source: Box<CertificateError>,
    },
}

fn reason_suffix(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}

fn list(items: &[String]) -> String {
    if items.is_empty() { "nothing".to_owned() } else { items.join(", ") }
}

impl ConnectError {
    /// Whether trying again unchanged may help: the network or the server was at fault, not the configuration.
    pub fn is_temporary(&self) -> bool {
        match self {
            ConnectError::Step { source: CallError::Refused { .. }, step, .. } => {
                !matches!(step, Step::ActivateSession)
            }
            ConnectError::Step { .. } => true,
            _ => false,
        }
    }

    /// What a person can do, where the error does not say it itself.
    pub fn remedy(&self) -> Option<&'static str> {
        let ConnectError::Step { step, source, .. } = self else { return None };
        if let CallError::Refused { status } | CallError::Ended { status } = source
            && distrusts_us(*status)
        {
            return Some(
                "let the server trust our certificate, which it may keep among those that it has rejected, and check that the \
                 certificate is valid there",
            );
        }
        match step {
            Step::NameLookup | Step::TcpConnect => {
                Some("check that the server is running and that the address (opc_conn_url) names its host and port")
            }
            Step::Hello | Step::OpenSecureChannel => {
                Some("check that the address (opc_conn_url) names the port of an OPC UA server")
            }
            _ => None,
        }
    }
}

/// Why a server's certificate is refused. What it takes to trust it is in here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the server's certificate {thumbprint} ({subject}) is refused: {fault}")]
pub struct CertificateError {
    /// SHA-1 of the DER bytes, in lower-case hexadecimal: the thumbprint of OPC UA.
    pub thumbprint: String,
    /// Subject name; empty when the bytes are no certificate.
    pub subject: String,
    /// The certificate, to be stored as pending.
    pub der: Vec<u8>,
    /// What is wrong with it.
    pub fault: CertificateFault,
}

/// What is wrong with a certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateFault {
    /// Not an X.509 certificate with an RSA key of a length that can be read at all.
    #[error("it is not an X.509 certificate with an RSA key of at most 4096 bits")]
    Unreadable,
    /// The server has none although the endpoint is secured.
    #[error("the server sent none")]
    Absent,
    /// Neither pinned nor in the trust directory.
    #[error("nobody has decided to trust it")]
    Untrusted,
    /// Not yet valid by our clock.
    #[error("it is not valid before {from_unix_s} s after 1970, our clock says {now_unix_s}; check both clocks")]
    NotYetValid {
        /// Start of validity.
        from_unix_s: i64,
        /// Our time.
        now_unix_s: i64,
    },
    /// Expired by our clock.
    #[error("it expired at {until_unix_s} s after 1970, our clock says {now_unix_s}")]
    Expired {
        /// End of validity.
        until_unix_s: i64,
        /// Our time.
        now_unix_s: i64,
    },
    /// It names another application than the endpoint.
    #[error("it belongs to application `{found}`, the endpoint says `{expected}`")]
    ApplicationUri {
        /// From the endpoint.
        expected: String,
        /// From the certificate.
        found: String,
    },
    /// It names other hosts than the one we connect to.
    #[error("it is for the hosts {}, not for `{host}`", list(names))]
    Host {
        /// From the URL.
        host: String,
        /// From the certificate.
        names: Vec<String>,
    },
    /// It names other hosts than the one we connect to, and nobody but an authority vouches for it.
    #[error(
        "it is for the hosts {}, not for `{host}`, which it has to name as long as an authority alone vouches for it: \
         have it issued for `{host}`, connect to a host that it names, or trust the certificate itself",
        list(names)
    )]
    HostNotVouchedFor {
        /// From the URL.
        host: String,
        /// From the certificate.
        names: Vec<String>,
    },
    /// Its key is too short or too long for the policy.
    #[error("its key has {bits} bits, the policy wants {min} to {max}")]
    KeyLength {
        /// The key.
        bits: usize,
        /// The policy's minimum.
        min: usize,
        /// The policy's maximum.
        max: usize,
    },
    /// It may not be used to sign, to encipher, or by a server.
    #[error("its key usage does not permit to sign, to encipher and to serve, as OPC UA needs it")]
    KeyUsage,
    /// It is signed over MD5 or SHA-1, or with something that the security policies do not know.
    #[error(
        "its own signature is over MD5 or SHA-1, which can be forged, or not by an RSA key; have it made with RSA and SHA-256"
    )]
    Digest,
    /// What is wrong is wrong with one of its issuers.
    #[error("its issuer {thumbprint} ({subject}) cannot vouch for it: {fault}")]
    Issuer {
        /// Subject name of the issuer.
        subject: String,
        /// SHA-1 of its DER bytes, in lower-case hexadecimal.
        thumbprint: String,
        /// What is wrong with it.
        fault: Box<CertificateFault>,
    },
    /// Its issuer is neither in the trust directory nor sent by the server.
    #[error(
        "nobody has decided to trust it, and the certificate of its issuer ({issuer}) is not known here; \
         add it with `corerl io trust add FILE`, and `--issuer` if it is not to be trusted by itself"
    )]
    IssuerUnknown {
        /// Name of the issuer.
        issuer: String,
    },
    /// It is a root that is not in the trust list.
    #[error("nobody has decided to trust this authority; if it is the plant's, add it with `corerl io trust add FILE`")]
    AuthorityUntrusted,
    /// Its issuer is known by name and did not sign it.
    #[error(
        "it is not signed by {issuer} as known here; it is forged, or its issuer has a new key: \
         add that one's certificate with `corerl io trust add FILE`"
    )]
    Signature {
        /// Name of the issuer.
        issuer: String,
    },
    /// Its issuers issued each other.
    #[error("its issuer ({issuer}) was issued by way of itself: the chain goes round in a circle and leads to nobody")]
    Circle {
        /// Name of the issuer.
        issuer: String,
    },
    /// The chain is longer than any is followed.
    #[error(
        "it has more than {max} issuers, or too many that might be; have it issued by an authority nearer to the root"
    )]
    ChainTooLong {
        /// Most issuers.
        max: usize,
    },
    /// It issued a certificate and is no authority.
    #[error("it is not an authority's: it lacks the CA flag, or its key usage does not permit to sign certificates")]
    NotAuthority,
    /// More authorities stand below it than it permits.
    #[error("it permits {max} authorities below it, there are {found}; have the server's certificate issued higher up")]
    PathLength {
        /// What it permits.
        max: u8,
        /// What was found.
        found: usize,
    },
    /// It has a critical extension that is not known here, or restricts names.
    #[error("it has the restriction {oid}, which is not supported; have one issued without it")]
    Restriction {
        /// Identifier of the extension.
        oid: String,
    },
    /// Its issuer has taken it back.
    #[error("{issuer} revoked it at {since_unix_s} s after 1970; have the server given a new certificate")]
    Revoked {
        /// Name of the issuer.
        issuer: String,
        /// Since when.
        since_unix_s: i64,
    },
    /// Nobody knows whether its issuer has taken it back.
    #[error(
        "whether {issuer} revoked it is not known: {why}; add the current list with `corerl io trust add FILE`, \
         or write `revocation: optional` in the site file"
    )]
    RevocationUnknown {
        /// Name of the issuer.
        issuer: String,
        /// Why its list does not say.
        why: ListFault,
    },
    /// The trust list could not be read.
    #[error("the trust list {path:?} cannot be read: {kind}")]
    TrustList {
        /// File or directory.
        path: PathBuf,
        /// What the operating system said.
        kind: io::ErrorKind,
    },
}

impl CertificateFault {
    /// Whether trusting the certificate itself would settle it: it is a person's decision, and not made yet.
    pub fn is_undecided(&self) -> bool {
        match self {
            CertificateFault::Untrusted
            | CertificateFault::IssuerUnknown { .. }
            | CertificateFault::AuthorityUntrusted
            | CertificateFault::HostNotVouchedFor { .. } => true,
            CertificateFault::Issuer { fault, .. } => fault.is_undecided(),
            _ => false,
        }
    }
}

/// Why a revocation list does not say whom its authority revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ListFault {
    /// There is none.
    #[error("there is no revocation list of this authority")]
    Absent,
    /// The ones under its name are signed by somebody else, over SHA-1, from the future, or incomplete.
    #[error(
        "the revocation list under its name is not signed by it with SHA-256, not yet in force, or not a complete one"
    )]
    Unusable,
    /// The newest one has run out.
    #[error("its revocation list ran out at {until_unix_s} s after 1970, our clock says {now_unix_s}")]
    OutOfDate {
        /// When the next one was due.
        until_unix_s: i64,
        /// Our time.
        now_unix_s: i64,
    },
}

/// Why our own certificate and key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// A file cannot be read or written.
    #[error("{path:?}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// Others than the owner may read the private key.
    #[error("{path:?} has mode {mode:04o}; a private key must be readable by its owner alone: chmod 600 {path:?}")]
    KeyMode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is no certificate, or no private key.
    #[error("{path:?} is no RSA {what} in PEM or DER form")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What it should be.
        what: &'static str,
    },
    /// Key and certificate do not belong together.
    #[error("{key:?} is not the private key of {certificate:?}")]
    Mismatch {
        /// The certificate file.
        certificate: PathBuf,
        /// The key file.
        key: PathBuf,
    },
    /// The key has a length that no policy accepts.
    #[error("a key of {bits} bits is not accepted; use 2048 to 4096")]
    KeyLength {
        /// The key.
        bits: usize,
    },
    /// The certificate could not be made.
    #[error("the certificate could not be made: {0}")]
    Making(String),
}

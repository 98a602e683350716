//! From a [`Target`] to an activated session: discovery, trust, channel, session, user.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs},
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use crate::{
    CallError, CertificateError, Clock, ConnectError, KeyWorker, Security, Step, Target, Violation,
    channel::{Channel, Secured},
    crypto::{self, Expectation, NONCE_BYTES, PeerCertificate, Suite},
    limits::{MESSAGE_BYTES_MAX, URL_BYTES_MAX},
    link::Link,
    services::{self, CreateSession, CreatedSession, Endpoint, Signature, UserToken},
    user::{NotProven, Way},
};

const DEFAULT_PORT: u16 = 4840;
/// Lifetime of a channel that only asks for endpoints, in milliseconds.
const DISCOVERY_LIFETIME_MS: u32 = 60_000;

/// Without security there is no work for a worker.
const UNSECURED: (Option<Secured>, Option<&KeyWorker>) = (None, None);

/// What connecting yields.
pub(crate) struct Connected {
    pub(crate) link: Link,
    pub(crate) membership: Membership,
    pub(crate) notices: Vec<String>,
    /// The session is the one that there was before.
    pub(crate) resumed: bool,
}

/// What is left of a session whose connection was lost; the server has its part until the session's time-out.
pub struct Remains(pub(crate) Membership);

impl fmt::Debug for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remains").finish_non_exhaustive()
    }
}

/// What server and client know of a session beyond its connection: enough to go on with it over another one.
pub(crate) struct Membership {
    url: String,
    /// Of the server, as it said when it was asked for its endpoints.
    certificate: Vec<u8>,
    /// As the server described itself over the secured channel.
    endpoint: Endpoint,
    /// The authentication token, encoded.
    pub(crate) token: Vec<u8>,
    /// The server's last nonce.
    nonce: Vec<u8>,
}

impl Membership {
    /// Whether this is still the server that granted it.
    fn is_of(&self, url: &str, endpoint: &Endpoint) -> bool {
        self.url == url && self.certificate == endpoint.certificate
    }
}

/// Host and port of an endpoint URL.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
}

fn parse_url(url: &str) -> Option<Place> {
    let rest = url.strip_prefix("opc.tcp://").filter(|_| url.len() <= URL_BYTES_MAX)?;
    let authority = rest.split('/').next()?;
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, tail) = rest.split_once(']')?;
            (host, tail.strip_prefix(':').or_else(|| tail.is_empty().then_some("")))
        }
        None => match authority.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, Some("")),
        },
    };
    let port = match port? {
        "" => DEFAULT_PORT,
        port => port.parse().ok()?,
    };
    (!host.is_empty()).then(|| Place { host: host.to_owned(), port })
}

/// Addresses of a host. Names are looked up on a thread of their own, because the system's resolver knows no deadline.
fn look_up(place: &Place, clock: &dyn Clock, deadline_ns: u64) -> Result<Vec<SocketAddr>, CallError> {
    if let Ok(address) = place.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, place.port)]);
    }
    if place.host.eq_ignore_ascii_case("localhost") {
        let own = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        return Ok(own.map(|address| SocketAddr::new(address, place.port)).to_vec());
    }
    let (sender, receiver) = mpsc::channel();
    let name = (place.host.clone(), place.port);
    thread::Builder::new()
        .name("name-lookup".to_owned())
        .spawn(move || {
            // Nobody listens any more when the deadline has passed.
            let _ = sender.send(name.to_socket_addrs().map(Vec::from_iter));
        })
        .map_err(|error| CallError::Socket { kind: error.kind() })?;
    let left = Duration::from_nanos(deadline_ns.saturating_sub(clock.monotonic_ns()));
    match receiver.recv_timeout(left) {
        Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
        Ok(Ok(_)) => Err(CallError::Socket { kind: io::ErrorKind::NotFound }),
        Ok(Err(error)) => Err(CallError::Socket { kind: error.kind() }),
        Err(_) => Err(CallError::Deadline { sent: false }),
    }
}

/// One attempt to connect.
struct Attempt<'a> {
    url: &'a str,
    place: Place,
    clock: Arc<dyn Clock>,
    deadline_ns: u64,
}

impl<'a> Attempt<'a> {
    fn new(url: &'a str, clock: Arc<dyn Clock>, deadline_ns: u64) -> Result<Self, ConnectError> {
        let place = parse_url(url).ok_or_else(|| ConnectError::Url { url: url.to_owned() })?;
        Ok(Attempt { url, place, clock, deadline_ns })
    }

    fn failed(&self, step: Step, source: CallError, reason: &str) -> ConnectError {
        ConnectError::Step { url: self.url.to_owned(), step, reason: reason.to_owned(), source }
    }

    /// Runs one step on the link, with the server's reason in the error.
    fn step<T>(
        &self,
        link: &mut Link,
        step: Step,
        run: impl FnOnce(&mut Link) -> Result<T, CallError>,
    ) -> Result<T, ConnectError> {
        run(link).map_err(|source| self.failed(step, source, link.channel.reason()))
    }

    /// Connects and says hello, for this channel. TCP goes to the host of the target, whatever `endpoint_url` says.
    fn greet(
        &self,
        endpoint_url: &str,
        (channel, worker): (Channel, Option<&KeyWorker>),
    ) -> Result<Link, ConnectError> {
        let addresses = look_up(&self.place, &*self.clock, self.deadline_ns)
            .map_err(|source| self.failed(Step::NameLookup, source, ""))?;
        let ends = (channel, worker.cloned());
        let mut link = Link::connect(&addresses, self.clock.clone(), ends, self.deadline_ns)
            .map_err(|source| self.failed(Step::TcpConnect, source, ""))?;
        self.step(&mut link, Step::Hello, |link| {
            link.channel.say_hello(endpoint_url);
            link.flush(self.deadline_ns)?;
            link.acknowledged(self.deadline_ns)
        })?;
        Ok(link)
    }

    /// Connects and opens a channel.
    fn open(
        &self,
        endpoint_url: &str,
        (security, worker): (Option<Secured>, Option<&KeyWorker>),
        lifetime_ms: u32,
    ) -> Result<Link, ConnectError> {
        let mut link = self.greet(endpoint_url, (Channel::new(security, lifetime_ms), worker))?;
        self.step(&mut link, Step::OpenSecureChannel, |link| link.open(self.deadline_ns))?;
        Ok(link)
    }

    fn endpoints(&self, link: &mut Link) -> Result<Vec<Endpoint>, ConnectError> {
        self.step(link, Step::GetEndpoints, |link| {
            link.request(self.deadline_ns, |out, handle, timestamp| {
                services::put_get_endpoints(out, handle, timestamp, self.url);
            })?;
            services::parse_get_endpoints(link.channel.body())
        })
    }

    /// The endpoint with the policy and mode of the target.
    fn choose<'e>(&self, endpoints: &'e [Endpoint], security: &Security) -> Result<&'e Endpoint, ConnectError> {
        let (policy_uri, mode) = wanted(security);
        let fits = |endpoint: &&Endpoint| {
            endpoint.is_binary && endpoint.policy_uri == policy_uri && endpoint.mode == services::mode_number(mode)
        };
        // A server with several addresses describes each endpoint under each of them.
        let same_host = |endpoint: &&Endpoint| {
            parse_url(&endpoint.url).is_some_and(|place| place.host.eq_ignore_ascii_case(&self.place.host))
        };
        endpoints.iter().filter(fits).find(same_host).or_else(|| endpoints.iter().find(fits)).ok_or_else(|| {
            ConnectError::Endpoint {
                url: self.url.to_owned(),
                wanted: policy_and_mode(policy_uri, services::mode_number(mode)),
                offered: offered(endpoints),
            }
        })
    }

    /// Whether this is one of the servers that are meant. Its certificate has to have the same name.
    fn check_name(&self, target: &Target, endpoint: &Endpoint) -> Result<(), ConnectError> {
        let found = &endpoint.application_uri;
        if target.server_uris.is_empty() || target.server_uris.contains(found) {
            return Ok(());
        }
        Err(ConnectError::Server { url: self.url.to_owned(), found: found.clone() })
    }

    fn check_certificate(
        &self,
        target: &Target,
        endpoint: &Endpoint,
    ) -> Result<(Arc<PeerCertificate>, Option<String>), ConnectError> {
        let expected = Expectation {
            host: &self.place.host,
            application_uri: &endpoint.application_uri,
            now_unix_ns: self.clock.unix_ns(),
        };
        PeerCertificate::check(&endpoint.certificate, &target.trust, expected)
            .map(|(peer, notice)| (Arc::new(peer), notice))
            .map_err(|source| self.untrusted(source))
    }

    fn not_proven(&self, endpoint: &Endpoint, refused: NotProven) -> ConnectError {
        match refused {
            NotProven::NotAccepted { wanted } => ConnectError::Identity {
                url: self.url.to_owned(),
                wanted,
                offered: endpoint.user_tokens.iter().map(UserToken::name).collect(),
            },
            NotProven::InClear => ConnectError::ClearPassword { url: self.url.to_owned() },
            NotProven::Cryptography(violation) => self.failed(Step::ActivateSession, violation.into(), ""),
            NotProven::Certificate(error) => *error,
        }
    }

    fn untrusted(&self, source: Box<CertificateError>) -> ConnectError {
        ConnectError::Certificate { url: self.url.to_owned(), source }
    }
}

fn wanted(security: &Security) -> (&'static str, Option<crate::MessageMode>) {
    match security {
        Security::None => (crypto::POLICY_NONE_URI, None),
        Security::Secured { policy, mode, .. } => (Suite::of(*policy).uri, Some(*mode)),
    }
}

/// A policy and mode for people.
pub(crate) fn policy_and_mode(policy_uri: &str, mode: i32) -> String {
    let policy = policy_uri.rsplit('#').next().unwrap_or(policy_uri);
    match mode {
        1 => policy.to_owned(),
        2 => format!("{policy}/Sign"),
        3 => format!("{policy}/SignAndEncrypt"),
        other => format!("{policy}/mode {other}"),
    }
}

fn offered(endpoints: &[Endpoint]) -> Vec<String> {
    let mut names: Vec<_> =
        endpoints.iter().filter(|e| e.is_binary).map(|e| policy_and_mode(&e.policy_uri, e.mode)).collect();
    names.sort();
    names.dedup();
    names
}

/// Says hello on a connection of its own, and hangs up.
pub(crate) fn greet(url: &str, clock: Arc<dyn Clock>, deadline_ns: u64) -> Result<(), ConnectError> {
    let attempt = Attempt::new(url, clock, deadline_ns)?;
    attempt.greet(url, (Channel::new(None, DISCOVERY_LIFETIME_MS), None)).map(drop)
}

/// Asks a server for its endpoints over a channel without security. Nothing of what it says is verified.
pub(crate) fn fetch_endpoints(
    url: &str,
    clock: Arc<dyn Clock>,
    deadline_ns: u64,
) -> Result<Vec<Endpoint>, ConnectError> {
    let attempt = Attempt::new(url, clock, deadline_ns)?;
    let mut link = attempt.open(url, UNSECURED, DISCOVERY_LIFETIME_MS)?;
    let endpoints = attempt.endpoints(&mut link)?;
    link.close(deadline_ns);
    Ok(endpoints)
}

/// Connects, and activates the session that there was before, or else a new one.
pub(crate) fn connect(
    target: &Target,
    worker: &KeyWorker,
    clock: Arc<dyn Clock>,
    before: &mut Option<Remains>,
    deadline_ns: u64,
) -> Result<Connected, ConnectError> {
    let attempt = Attempt::new(&target.url, clock.clone(), deadline_ns)?;
    let lifetime_ms = u32::try_from(target.channel_lifetime.as_millis()).unwrap_or(u32::MAX);
    let mut notices = Vec::new();
    let (mut link, endpoint, secured) = match &target.security {
        Security::None => {
            let mut link = attempt.open(&target.url, UNSECURED, lifetime_ms)?;
            let endpoints = attempt.endpoints(&mut link)?;
            let endpoint = attempt.choose(&endpoints, &target.security)?.clone();
            attempt.check_name(target, &endpoint)?;
            (link, endpoint, None)
        }
        Security::Secured { policy, mode, application } => {
            let endpoints = fetch_endpoints(&target.url, clock, deadline_ns)?;
            let endpoint = attempt.choose(&endpoints, &target.security)?.clone();
            attempt.check_name(target, &endpoint)?;
            let (peer, notice) = attempt.check_certificate(target, &endpoint)?;
            notices.extend(notice);
            let secured = Secured { suite: Suite::of(*policy), mode: *mode, ours: application.clone(), peer };
            let link = attempt.open(&endpoint.url, (Some(secured.clone()), Some(worker)), lifetime_ms)?;
            (link, endpoint, Some(secured))
        }
    };
    // It is offered once, whatever comes of it: a server that answers by hanging up would do so every time.
    if let Some(Remains(mut membership)) = before.take_if(|Remains(before)| before.is_of(&target.url, &endpoint))
        && resume_session(&attempt, &mut link, target, secured.as_ref(), &mut membership)?
    {
        return Ok(Connected { link, membership, notices, resumed: true });
    }
    let created = create_session(&attempt, &mut link, target, &endpoint, secured.as_ref())?;
    if created.timeout_ms < target.session_timeout.as_secs_f64() * 1e3 {
        notices.push(format!("the server keeps an idle session for {} ms only", created.timeout_ms));
    }
    let mut membership = Membership {
        url: target.url.clone(),
        certificate: endpoint.certificate.clone(),
        // The list that came over the secured channel is the one to believe.
        endpoint: attempt.choose(&created.endpoints, &target.security).cloned().unwrap_or(endpoint),
        token: created.token,
        nonce: created.nonce,
    };
    activate_session(&attempt, &mut link, target, secured.as_ref(), &mut membership)?;
    Ok(Connected { link, membership, notices, resumed: false })
}

/// Goes on with a session over a new channel (Part 4, 6.7), if the server still has it: whether it does.
fn resume_session(
    attempt: &Attempt<'_>,
    link: &mut Link,
    target: &Target,
    secured: Option<&Secured>,
    membership: &mut Membership,
) -> Result<bool, ConnectError> {
    match activate_session(attempt, link, target, secured, membership) {
        Ok(()) => Ok(true),
        Err(ConnectError::Step { source: CallError::Ended { .. } | CallError::Refused { .. }, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn create_session(
    attempt: &Attempt<'_>,
    link: &mut Link,
    target: &Target,
    endpoint: &Endpoint,
    secured: Option<&Secured>,
) -> Result<CreatedSession, ConnectError> {
    let nonce = crypto::nonce();
    let endpoint_url = if endpoint.url.is_empty() { &target.url } else { &endpoint.url };
    let certificate = secured.map_or(&[][..], |secured| secured.ours.certificate_der());
    let application_uri = match secured.map(|secured| secured.ours.application_uri()) {
        Some(uri) if !uri.is_empty() => uri,
        _ => &target.application_uri,
    };
    let created = attempt.step(link, Step::CreateSession, |link| {
        link.request(attempt.deadline_ns, |out, handle, timestamp| {
            let create = CreateSession {
                application_uri,
                session_name: &target.session_name,
                endpoint_url,
                nonce: &nonce,
                certificate,
                timeout_ms: target.session_timeout.as_secs_f64() * 1e3,
                message_bytes_max: u32::try_from(MESSAGE_BYTES_MAX).unwrap_or(u32::MAX),
            };
            services::put_create_session(out, handle, timestamp, &create);
        })?;
        let created = services::parse_create_session(link.channel.body())?;
        verify_server(secured, &nonce, &created)?;
        Ok(created)
    })?;
    // What the server says over the channel must not contradict what it said before there was one.
    if !created.endpoints.is_empty() {
        attempt.choose(&created.endpoints, &target.security)?;
    }
    Ok(created)
}

/// The server proves that it has the key of its certificate, by signing our certificate and nonce.
fn verify_server(secured: Option<&Secured>, nonce: &[u8], created: &CreatedSession) -> Result<(), Violation> {
    let Some(secured) = secured else { return Ok(()) };
    if !secured.peer.is(&created.certificate) {
        return Err(Violation::Certificate);
    }
    if created.nonce.len() < NONCE_BYTES || created.nonce == nonce {
        return Err(Violation::Nonce);
    }
    if created.signature_algorithm != secured.suite.signature_uri {
        return Err(Violation::Security);
    }
    let signed = [secured.ours.certificate_der(), nonce].concat();
    secured.suite.verify(&secured.peer, &signed, &created.signature)
}

fn activate_session(
    attempt: &Attempt<'_>,
    link: &mut Link,
    target: &Target,
    secured: Option<&Secured>,
    membership: &mut Membership,
) -> Result<(), ConnectError> {
    let Membership { endpoint, token, nonce, .. } = membership;
    let way = Way { secured, nonce, tokens: &endpoint.user_tokens };
    let user = way
        .prove(&target.identity, || attempt.check_certificate(target, endpoint).map(|(peer, _)| peer))
        .map_err(|refused| attempt.not_proven(endpoint, refused))?;
    *nonce = attempt.step(link, Step::ActivateSession, |link| {
        let signature = match secured {
            None => Signature::default(),
            Some(secured) => Signature {
                algorithm: secured.suite.signature_uri,
                bytes: secured.suite.sign(secured.ours.key(), &[secured.peer.der(), nonce].concat())?,
            },
        };
        link.request(attempt.deadline_ns, |out, handle, timestamp| {
            services::put_activate_session(out, (token, handle, timestamp), &signature, &user);
        })?;
        services::parse_activate_session(link.channel.body())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let place = |host: &str, port| Some(Place { host: host.to_owned(), port });
        assert_eq!(parse_url("opc.tcp://plant:4841/path"), place("plant", 4841));
        assert_eq!(parse_url("opc.tcp://plant"), place("plant", 4840));
        assert_eq!(parse_url("opc.tcp://10.0.0.1:48010"), place("10.0.0.1", 48010));
        assert_eq!(parse_url("opc.tcp://[::1]:4840/"), place("::1", 4840));
        assert_eq!(parse_url("opc.tcp://[::1]"), place("::1", 4840));
        for wrong in ["", "http://plant", "opc.tcp://", "opc.tcp://:4840", "opc.tcp://plant:x", "opc.tcp://[::1]x"] {
            assert_eq!(parse_url(wrong), None, "{wrong}");
        }
    }
}

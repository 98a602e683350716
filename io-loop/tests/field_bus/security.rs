//! Policies, modes and users against async-opcua's server.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use io_loop::{BusError, FieldBus, OpcUa, Reading};
use rt_core::setpoint::ScalarKind;
use rt_core::time::{MonoTime, Span};
use ua_session::{
    ApplicationInstance, CertificateFault, Clock, ConnectError, Identity, KeyWorker, MessageMode, ReadValue, Security,
    SecurityPolicy, Session, Target, Trust,
};

use crate::opcua::{TestClock, bus, nodes};
use crate::plant::Plant;
use crate::server::{APPLICATION_URI as SERVER_URI, PASSWORD, Server, Setup, USER, certificate, make_certificate};

const PATIENCE_NS: u64 = 20_000_000_000;
const POLICIES: [SecurityPolicy; 3] =
    [SecurityPolicy::Basic256Sha256, SecurityPolicy::Aes128Sha256RsaOaep, SecurityPolicy::Aes256Sha256RsaPss];
const MODES: [MessageMode; 2] = [MessageMode::Sign, MessageMode::SignAndEncrypt];

/// The certificates of a works: the server's, ours, and a user's.
pub(crate) struct Works {
    directory: tempfile::TempDir,
    ours: Arc<ApplicationInstance>,
    user: Arc<ApplicationInstance>,
}

impl Works {
    pub(crate) fn new() -> Self {
        Self::with_keys_of(2048)
    }

    /// Our keys have this length; the server's has the usual one.
    fn with_keys_of(bits: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let file = |kind: &str| directory.path().join(format!("{name}.{kind}"));
            Arc::new(make_certificate(bits, &file("der"), &file("pem"), &format!("urn:corerl:test:{name}")))
        };
        let (ours, user) = (make("client"), make("user"));
        Self { directory, ours, user }
    }

    /// A server with all policies.
    pub(crate) fn setup(&self, inputs: usize, outputs: &[ScalarKind]) -> Setup {
        let user_certificate = Some(self.user.thumbprint().to_owned());
        Setup { user_certificate, ..Setup::secured(inputs, outputs, &self.pki()) }
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.directory.path().join("server")
    }

    /// A target that trusts the server.
    pub(crate) fn target(&self, url: &str, policy: SecurityPolicy, mode: MessageMode) -> Target {
        Target {
            security: Security::Secured { policy, mode, application: self.ours.clone() },
            trust: Trust { pinned: Some(certificate(&self.pki())), ..Trust::default() },
            ..Target::lab(url, "urn:corerl:test")
        }
    }

    fn identities(&self) -> [Identity; 3] {
        let password = Identity::UserPassword { user: USER.to_owned(), password: PASSWORD.to_owned() };
        [Identity::Anonymous, password, Identity::Certificate(self.user.clone())]
    }
}

/// Connects and reads one value.
fn try_out(target: &Target) -> Result<f64, ConnectError> {
    let clock: Arc<dyn Clock> = Arc::new(TestClock::default());
    let within = || clock.monotonic_ns() + PATIENCE_NS;
    let mut session = Session::connect(target, &KeyWorker::start().unwrap(), clock.clone(), within())?;
    let node = session.resolve(&nodes("in", 1)[0].address).unwrap();
    let mut plan = session.prepare_read(&[node]).unwrap();
    let mut values = [ReadValue::MISSING];
    session.read(&mut plan, &mut values, within()).unwrap();
    session.close(within());
    Ok(values[0].value)
}

#[test]
fn s2_every_policy_and_mode_serves_every_kind_of_user() {
    let works = Works::new();
    let plant = Plant::shared(0);
    plant.lock().unwrap().input = 12.5;
    let server = Server::start(&works.setup(1, &[]), &plant);
    for (policy, mode) in POLICIES.into_iter().flat_map(|policy| MODES.map(|mode| (policy, mode))) {
        for identity in works.identities() {
            let target = Target { identity, ..works.target(&server.url(), policy, mode) };
            let outcome = try_out(&target);
            assert_eq!(outcome.as_ref().ok(), Some(&12.5), "{policy}/{mode} {:?}: {outcome:?}", target.identity);
        }
    }
}

#[test]
fn f41_every_kind_of_user_goes_on_with_the_session_over_a_new_channel() {
    let works = Works::new();
    let server = Server::start(&works.setup(1, &[]), &Plant::shared(0));
    let (clock, worker): (Arc<dyn Clock>, _) = (Arc::new(TestClock::default()), KeyWorker::start().unwrap());
    let within = || clock.monotonic_ns() + PATIENCE_NS;
    for (mode, identity) in MODES.into_iter().flat_map(|mode| works.identities().map(|identity| (mode, identity))) {
        let target = Target { identity, ..works.target(&server.url(), SecurityPolicy::Basic256Sha256, mode) };
        let mut session = Session::connect(&target, &worker, clock.clone(), within()).unwrap();
        // Each activation needs the nonce of the one before.
        for _ in 0..3 {
            let mut remains = Some(session.into_remains());
            session = Session::reconnect(&mut remains, &target, &worker, clock.clone(), within()).unwrap();
            assert!(session.is_resumed(), "{mode} {:?}", target.identity);
            session.describe(&[session.resolve(&nodes("in", 1)[0].address).unwrap()], within()).unwrap();
        }
    }
}

#[test]
fn f56_our_own_certificate_is_replaced_without_a_restart_and_half_of_it_is_not_taken() {
    let works = Works::new();
    let setup = Setup { token_lifetime: Duration::from_secs(4), ..works.setup(1, &[]) };
    let server = Server::start(&setup, &Plant::shared(0));
    let target = works.target(&server.url(), SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    let clock = Arc::new(TestClock::default());
    let mut bus = bus(target, clock.clone(), 1, 0);
    let within = || MonoTime::from_ns(clock.monotonic_ns() + PATIENCE_NS);
    let notices = |bus: &mut OpcUa| bus.connect(within()).unwrap().notices.join("; ");
    assert!(!notices(&mut bus).contains("serving"));

    let files = ["client.der", "client.pem"].map(|name| works.directory.path().join(name));
    let kept = std::fs::read(&files[0]).unwrap();
    make_certificate(2048, &files[0], &files[1], "urn:corerl:test:client");
    let certificate = std::fs::read(&files[0]).unwrap();
    std::fs::write(&files[0], kept).unwrap();
    assert!(notices(&mut bus).contains("the certificate from before goes on serving"));

    // Both halves are there: at the next renewal of the keys the connection is made anew.
    std::fs::write(&files[0], certificate).unwrap();
    clock.put_forward(Span::from_ms(3_000));
    let mut reading = [Reading::MISSING];
    let lost = std::iter::repeat_with(|| bus.read(&mut reading, within()).and_then(|()| bus.maintain(within())));
    let lost = lost.take(100_000).find_map(Result::err);
    assert!(matches!(lost, Some(BusError::Lost(loss)) if loss.what.contains("replaced")), "{lost:?}");
    assert!(!notices(&mut bus).contains("serving"));
    bus.read(&mut [Reading::MISSING], within()).unwrap();
}

#[test]
fn no_session_is_offered_to_another_server() {
    let servers = [0, 1].map(|_| Server::start(&Setup::open(1, &[]), &Plant::shared(0)));
    let (clock, worker): (Arc<dyn Clock>, _) = (Arc::new(TestClock::default()), KeyWorker::start().unwrap());
    let within = || clock.monotonic_ns() + PATIENCE_NS;
    let targets = servers.each_ref().map(|server| Target::lab(&server.url(), "urn:corerl:test"));
    for (other, is_resumed) in targets.iter().zip([true, false]) {
        let session = Session::connect(&targets[0], &worker, clock.clone(), within()).unwrap();
        let mut remains = Some(session.into_remains());
        let again = Session::reconnect(&mut remains, other, &worker, clock.clone(), within()).unwrap();
        assert_eq!((again.is_resumed(), remains.is_none()), (is_resumed, is_resumed));
    }
}

#[test]
fn keys_of_3072_bits_serve_on_either_side() {
    let works = Works::with_keys_of(3072);
    let setup = works.setup(1, &[]);
    let (plant, policy) = (Plant::shared(0), SecurityPolicy::Aes256Sha256RsaPss);
    for server_bits in [2048, 3072] {
        make_certificate(server_bits, &certificate(&works.pki()), &works.pki().join("private/key.pem"), SERVER_URI);
        let server = Server::start(&setup, &plant);
        for identity in works.identities() {
            let target = Target { identity, ..works.target(&server.url(), policy, MessageMode::SignAndEncrypt) };
            let outcome = try_out(&target);
            assert!(outcome.is_ok(), "{server_bits} {:?}: {outcome:?}", target.identity);
        }
    }
}

#[test]
fn a_wrong_password_and_an_unknown_certificate_are_refused_by_the_server() {
    let works = Works::new();
    let server = Server::start(&works.setup(1, &[]), &Plant::shared(0));
    let wrong = Identity::UserPassword { user: USER.to_owned(), password: "guessed".to_owned() };
    for identity in [wrong, Identity::Certificate(works.ours.clone())] {
        let secured = works.target(&server.url(), SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
        let refused = try_out(&Target { identity, ..secured }).unwrap_err();
        assert!(refused.to_string().contains("activating the session failed"), "{refused}");
        assert!(!refused.is_temporary() && !refused.to_string().contains("guessed"));
    }
}

#[test]
fn s2_a_server_that_offers_less_security_than_is_wanted_is_refused() {
    let works = Works::new();
    let server = Server::start(&Setup::open(1, &[]), &Plant::shared(0));
    for (policy, mode) in POLICIES.into_iter().flat_map(|policy| MODES.map(|mode| (policy, mode))) {
        let refused = try_out(&works.target(&server.url(), policy, mode)).unwrap_err();
        assert!(matches!(&refused, ConnectError::Endpoint { offered, .. } if offered == &["None"]), "{refused}");
    }
}

#[test]
fn s2_a_password_is_not_sent_over_a_channel_without_security() {
    let works = Works::new();
    let server = Server::start(&works.setup(1, &[]), &Plant::shared(0));
    let [_, password, _] = works.identities();
    let target = Target { identity: password, ..Target::lab(&server.url(), "urn:corerl:test") };
    assert!(matches!(try_out(&target), Err(ConnectError::ClearPassword { .. })));
}

#[test]
fn whoever_has_another_name_than_the_servers_that_are_meant_is_refused() {
    let works = Works::new();
    let server = Server::start(&works.setup(1, &[]), &Plant::shared(0));
    let secured = works.target(&server.url(), SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    for target in [secured, Target::lab(&server.url(), "urn:corerl:test")] {
        let meant = |uris: &[&str]| {
            let server_uris = uris.iter().map(|uri| (*uri).to_owned()).collect();
            try_out(&Target { server_uris, ..target.clone() })
        };
        assert!(meant(&[SERVER_URI]).is_ok() && meant(&["urn:other", SERVER_URI]).is_ok());
        let refused = meant(&["urn:other"]).unwrap_err();
        assert!(matches!(&refused, ConnectError::Server { found, .. } if found == SERVER_URI), "{refused}");
        assert!(!refused.is_temporary());
    }
}

#[test]
fn a_server_that_nobody_has_decided_about_is_refused_with_all_it_takes_to_trust_it() {
    let works = Works::new();
    let server = Server::start(&works.setup(1, &[]), &Plant::shared(0));
    let secured = works.target(&server.url(), SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    let target = Target { trust: Trust::default(), ..secured };
    let Err(ConnectError::Certificate { source, .. }) = try_out(&target) else { panic!("it was trusted") };
    assert_eq!(source.fault, CertificateFault::Untrusted);
    assert_eq!(source.der, std::fs::read(certificate(&works.pki())).unwrap());
    assert!(source.to_string().contains(&source.thumbprint) && source.thumbprint.len() == 40);
}

#[test]
fn s2_policies_that_are_not_accepted_are_never_chosen_though_the_server_offers_them() {
    let works = Works::new();
    let server = Server::start(&works.setup(1, &[]), &Plant::shared(0));
    let clock = Arc::new(TestClock::default());
    let deadline_ns = clock.monotonic_ns() + PATIENCE_NS;
    let offered = ua_session::discover(&server.url(), clock, deadline_ns).unwrap();
    for name in ["Basic256/SignAndEncrypt", "Basic128Rsa15/SignAndEncrypt"] {
        let refused = offered.iter().find(|endpoint| endpoint.security == name).unwrap();
        assert!(!refused.is_supported, "{name}");
    }
    assert_eq!(offered.iter().filter(|endpoint| endpoint.is_supported).count(), 1 + POLICIES.len() * MODES.len());
}

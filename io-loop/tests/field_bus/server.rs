//! A server on a thread of its own: async-opcua's, with the nodes of a [`Plant`].

use std::cell::Cell;
use std::fs::Permissions;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opcua_crypto::{CertificateStore, SecurityPolicy, Thumbprint, X509Data};
use opcua_server::address_space::{NodeType, VariableBuilder};
use opcua_server::authenticator::{AuthManager, Password, UserToken};
use opcua_server::diagnostics::NamespaceMetadata;
use opcua_server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua_server::{ANONYMOUS_USER_TOKEN_ID, ServerBuilder, ServerEndpoint, ServerHandle, SubscriptionLimits};
use opcua_types::{
    DataTypeId, DataValue, DateTime, EUInformation, Error, ExtensionObject, MessageSecurityMode, NodeId, ObjectId,
    QualifiedName, Range, StatusCode, UAString, UserTokenPolicy, UserTokenType, VariableTypeId, Variant,
};
use rt_core::setpoint::ScalarKind;
use tokio::net::TcpListener;
use ua_session::ApplicationInstance;

use crate::plant::{Plant, SharedPlant};

pub(crate) const NAMESPACE: &str = "urn:corerl:test:plant";
/// What the server calls the manager of the plant's nodes.
const PLANT: &str = "plant";
/// The server's own name.
pub(crate) const APPLICATION_URI: &str = "urn:corerl:test:server";
/// The user that the server knows.
pub(crate) const USER: &str = "operator";
/// His password.
pub(crate) const PASSWORD: &str = "correct horse";

/// A second in ticks of 100 ns.
const SECOND_TICKS: i64 = 10_000_000;
/// How often the server looks at subscriptions, and the shortest intervals of them, in milliseconds.
const SUBSCRIPTION_POLL_MS: u32 = 5;

/// A server that is late answers at last: a test that has failed must end.
const LATE_MAX: Duration = Duration::from_secs(20);

/// Every policy of the standard that the server can speak, the refused ones too.
const SECURED: [(SecurityPolicy, MessageSecurityMode); 8] = [
    (SecurityPolicy::Basic256Sha256, MessageSecurityMode::Sign),
    (SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt),
    (SecurityPolicy::Aes128Sha256RsaOaep, MessageSecurityMode::Sign),
    (SecurityPolicy::Aes128Sha256RsaOaep, MessageSecurityMode::SignAndEncrypt),
    (SecurityPolicy::Aes256Sha256RsaPss, MessageSecurityMode::Sign),
    (SecurityPolicy::Aes256Sha256RsaPss, MessageSecurityMode::SignAndEncrypt),
    (SecurityPolicy::Basic256, MessageSecurityMode::SignAndEncrypt),
    (SecurityPolicy::Basic128Rsa15, MessageSecurityMode::SignAndEncrypt),
];

/// How a server is set up.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) inputs: usize,
    pub(crate) outputs: Vec<ScalarKind>,
    /// Its certificate, key and store; `None` offers no security at all.
    pub(crate) pki: Option<PathBuf>,
    /// SHA-1 of the certificate of a user who needs no password.
    pub(crate) user_certificate: Option<String>,
    pub(crate) token_lifetime: Duration,
    /// A session without requests ends after this long.
    pub(crate) session_timeout: Duration,
    /// Most nodes in a request.
    pub(crate) nodes_per_request: usize,
    /// Another namespace stands before the plant's.
    pub(crate) is_second: bool,
    /// Inputs are what [`Server::set`] has made them, and not the plant's.
    pub(crate) is_set: bool,
    pub(crate) subscriptions: SubscriptionLimits,
    /// Most nodes in a request to subscribe.
    pub(crate) items_per_request: usize,
}

impl Setup {
    /// Inputs, outputs of these kinds, and no security.
    pub(crate) fn open(inputs: usize, outputs: &[ScalarKind]) -> Self {
        Self {
            inputs,
            outputs: outputs.to_vec(),
            pki: None,
            user_certificate: None,
            token_lifetime: Duration::from_secs(3600),
            session_timeout: Duration::from_secs(60),
            nodes_per_request: 1000,
            is_second: false,
            is_set: false,
            subscriptions: SubscriptionLimits {
                min_sampling_interval_ms: SUBSCRIPTION_POLL_MS.into(),
                min_publishing_interval_ms: SUBSCRIPTION_POLL_MS.into(),
                ..SubscriptionLimits::default()
            },
            items_per_request: 1000,
        }
    }

    /// The same with every policy, and with a certificate in `pki`.
    pub(crate) fn secured(inputs: usize, outputs: &[ScalarKind], pki: &Path) -> Self {
        for directory in ["own", "private", "trusted", "rejected"] {
            std::fs::create_dir_all(pki.join(directory)).unwrap();
        }
        make_certificate(2048, &certificate(pki), &pki.join("private/key.pem"), APPLICATION_URI);
        Self { pki: Some(pki.to_owned()), ..Self::open(inputs, outputs) }
    }
}

/// Where a server with this store has its certificate.
pub(crate) fn certificate(pki: &Path) -> PathBuf {
    pki.join("own/cert.der")
}

/// A certificate for this machine, with a key of this length; whatever was there is replaced.
pub(crate) fn make_certificate(bits: u32, certificate: &Path, key: &Path, uri: &str) -> ApplicationInstance {
    let data = X509Data {
        key_size: bits,
        common_name: "test".to_owned(),
        organization: String::new(),
        organizational_unit: String::new(),
        country: String::new(),
        state: String::new(),
        alt_host_names: X509Data::alt_host_names(uri, Some(vec!["127.0.0.1".to_owned()]), false, false, false),
        certificate_duration_days: 2,
    };
    CertificateStore::create_certificate_and_key(&data, true, certificate, key).unwrap();
    std::fs::set_permissions(key, Permissions::from_mode(0o600)).unwrap();
    ApplicationInstance::load(certificate, key).unwrap()
}

/// A running server. Dropping it takes it away with all its connections.
pub(crate) struct Server {
    port: u16,
    handle: ServerHandle,
    /// The time of the values that were set last.
    stamp: Cell<i64>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts on a free port.
    pub(crate) fn start(setup: &Setup, plant: &SharedPlant) -> Self {
        Self::start_on(0, setup, plant)
    }

    /// Starts on this port.
    pub(crate) fn start_on(port: u16, setup: &Setup, plant: &SharedPlant) -> Self {
        let (setup, plant) = (setup.clone(), plant.clone());
        let (started, start) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap();
                rustix::net::sockopt::set_tcp_nodelay(&listener, true).unwrap();
                let port = listener.local_addr().unwrap().port();
                let (server, handle) = builder(port, &setup).build().unwrap();
                insert_nodes(&handle, &setup, &plant);
                started.send((port, handle)).unwrap();
                // Whoever takes the server away does not care how it ended.
                let _ = server.run_with(listener).await;
            });
            runtime.shutdown_background();
        });
        let (port, handle) = start.recv().unwrap();
        Self { port, handle, stamp: Cell::new(DateTime::now().ticks()), thread: Some(thread) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("opc.tcp://127.0.0.1:{}", self.port)
    }

    /// The index of the plant's namespace.
    pub(crate) fn namespace(&self) -> u16 {
        self.handle.get_namespace_index(NAMESPACE).unwrap()
    }

    /// Says of a node in which range and unit its numbers are; what was said before holds no longer.
    pub(crate) fn set_scale(&self, node: &str, (low, high): (f64, f64), unit: &str) {
        let unit = EUInformation { display_name: unit.into(), ..EUInformation::default() };
        let properties = [
            ("EURange", DataTypeId::Range, ExtensionObject::from_message(Range { low, high })),
            ("EngineeringUnits", DataTypeId::EUInformation, ExtensionObject::from_message(unit)),
        ];
        // Asked for before the space is locked: the server locks the two in the other order.
        let namespace = self.namespace();
        let manager = self.handle.node_managers().get_by_name::<SimpleNodeManager>(PLANT).unwrap();
        let mut space = manager.address_space().write();
        for (name, data_type, value) in properties {
            let id = NodeId::new(namespace, format!("{node}.{name}"));
            space.delete(&id, true);
            VariableBuilder::new(&id, QualifiedName::new(0, name), name)
                .data_type(data_type)
                .value(value)
                .has_type_definition(VariableTypeId::PropertyType)
                .property_of(NodeId::new(namespace, node.to_owned()))
                .insert(&mut *space);
        }
    }

    /// Gives inputs their values, and tells subscribers unless it is done quietly. Each time is a second after the one before,
    /// so that none of the values comes too early for the sampling interval.
    pub(crate) fn set(&self, values: &[(usize, f64)], quietly: bool) {
        let manager = self.handle.node_managers().get_by_name::<SimpleNodeManager>(PLANT).unwrap();
        let id = |index: &usize| NodeId::new(self.namespace(), format!("in{index}"));
        self.stamp.set(self.stamp.get() + SECOND_TICKS);
        let stamped = |value: &f64| DataValue::new_at(*value, DateTime::from(self.stamp.get()));
        let values: Vec<_> = values.iter().map(|(index, value)| (id(index), stamped(value))).collect();
        if quietly {
            let mut space = manager.address_space().write();
            for (id, value) in values {
                let Some(NodeType::Variable(node)) = space.find_mut(&id) else { panic!("no variable {id}") };
                node.set_data_value(value);
            }
            return;
        }
        let values = values.iter().map(|(id, value)| (id, None, value.clone()));
        manager.set_values(self.handle.subscriptions(), values).unwrap();
    }

    /// Puts an array there, which may be written.
    pub(crate) fn insert_array(&self, name: &str, values: &[f64]) {
        let id = NodeId::new(self.namespace(), name.to_owned());
        let manager = self.handle.node_managers().get_by_name::<SimpleNodeManager>(PLANT).unwrap();
        let node = VariableBuilder::new(&id, name, name).data_type(DataTypeId::Double).value(values.to_vec());
        let node = node.value_rank(1).writable().organized_by(ObjectId::ObjectsFolder);
        node.insert(&mut *manager.address_space().write());
    }

    /// Takes a node away.
    pub(crate) fn delete(&self, name: &str) {
        let manager = self.handle.node_managers().get_by_name::<SimpleNodeManager>(PLANT).unwrap();
        let id = NodeId::new(self.namespace(), name.to_owned());
        assert!(manager.address_space().write().delete(&id, true).is_some());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.cancel();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

fn builder(port: u16, setup: &Setup) -> ServerBuilder {
    let mut builder = ServerBuilder::new()
        .application_name("test")
        .application_uri(APPLICATION_URI)
        .product_uri(APPLICATION_URI)
        .host("127.0.0.1")
        .port(port)
        .discovery_urls(vec!["/".to_owned()])
        .max_secure_channel_token_lifetime_ms(u32::try_from(setup.token_lifetime.as_millis()).unwrap())
        .max_session_timeout_ms(u64::try_from(setup.session_timeout.as_millis()).unwrap())
        .subscription_poll_interval_ms(SUBSCRIPTION_POLL_MS.into())
        .with_authenticator(Arc::new(Doorkeeper { user_certificate: setup.user_certificate.clone() }));
    if setup.is_second {
        builder = builder.with_node_manager(simple_node_manager(namespace("urn:corerl:test:other"), "other"));
    }
    builder = builder.with_node_manager(simple_node_manager(namespace(NAMESPACE), PLANT));
    builder.limits_mut().subscriptions = setup.subscriptions;
    let limits = &mut builder.limits_mut().operational;
    (limits.max_nodes_per_read, limits.max_nodes_per_write) = (setup.nodes_per_request, setup.nodes_per_request);
    limits.max_monitored_items_per_call = setup.items_per_request;
    let users = [ANONYMOUS_USER_TOKEN_ID.to_owned()];
    let none = ServerEndpoint::new("/", SecurityPolicy::None, MessageSecurityMode::None, &users);
    builder = builder.default_endpoint("none").add_endpoint("none", none);
    let Some(pki) = &setup.pki else { return builder.pki_dir("/dev/null") };
    for (policy, mode) in SECURED {
        builder = builder.add_endpoint(format!("{policy}/{mode}"), ServerEndpoint::new("/", policy, mode, &users));
    }
    builder.pki_dir(pki).certificate_path("own/cert.der").private_key_path("private/key.pem").trust_client_certs(true)
}

fn namespace(uri: &str) -> NamespaceMetadata {
    NamespaceMetadata { namespace_uri: uri.to_owned(), ..NamespaceMetadata::default() }
}

fn insert_nodes(handle: &ServerHandle, setup: &Setup, plant: &SharedPlant) {
    let namespace = handle.get_namespace_index(NAMESPACE).unwrap();
    let manager = handle.node_managers().get_by_name::<SimpleNodeManager>(PLANT).unwrap();
    let mut space = manager.address_space().write();
    let mut insert = |name: &str, data_type: DataTypeId, value: Variant, writable: bool| {
        let id = NodeId::new(namespace, name.to_owned());
        let node = VariableBuilder::new(&id, name, name).data_type(data_type).value(value);
        let node = if writable { node.writable() } else { node };
        node.organized_by(ObjectId::ObjectsFolder).insert(&mut *space);
        id
    };
    for index in 0..setup.inputs {
        let id = insert(&format!("in{index}"), DataTypeId::Double, Variant::Double(0.0), false);
        if setup.is_set {
            continue;
        }
        let plant = plant.clone();
        manager.inner().add_read_callback(id, move |_, _, _| {
            let begin = Instant::now();
            while index == 0 && plant.lock().unwrap().late && begin.elapsed() < LATE_MAX {
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok(plant.lock().unwrap().read())
        });
    }
    for (index, kind) in setup.outputs.iter().copied().enumerate() {
        let (data_type, value) = match kind {
            ScalarKind::Double => (DataTypeId::Double, Variant::Double(0.0)),
            ScalarKind::Int16 => (DataTypeId::Int16, Variant::Int16(0)),
            ScalarKind::Boolean => (DataTypeId::Boolean, Variant::Boolean(false)),
            other => panic!("the test server has no nodes of type {other:?}"),
        };
        let id = insert(&format!("out{index}"), data_type, value, true);
        let plant = plant.clone();
        manager
            .inner()
            .add_write_callback(id, move |value, _| Plant::write(&mut plant.lock().unwrap(), index, kind, &value));
    }
}

/// Lets in anybody, the operator by his password, and one user by his certificate. The library's own doorkeeper asks for
/// certificates under Basic128Rsa15, which is refused here.
struct Doorkeeper {
    user_certificate: Option<String>,
}

#[async_trait]
impl AuthManager for Doorkeeper {
    async fn authenticate_anonymous_token(&self, _: &ServerEndpoint) -> Result<(), Error> {
        Ok(())
    }

    async fn authenticate_username_identity_token(
        &self,
        _: &ServerEndpoint,
        name: &str,
        password: &Password,
    ) -> Result<UserToken, Error> {
        if (name, password.get()) == (USER, PASSWORD) { Ok(UserToken(name.to_owned())) } else { Err(unknown()) }
    }

    async fn authenticate_x509_identity_token(
        &self,
        _: &ServerEndpoint,
        thumbprint: &Thumbprint,
    ) -> Result<UserToken, Error> {
        let known = self.user_certificate.as_ref().is_some_and(|known| *known == thumbprint.as_hex_string());
        if known { Ok(UserToken("certificate".to_owned())) } else { Err(unknown()) }
    }

    fn user_token_policies(&self, endpoint: &ServerEndpoint) -> Vec<UserTokenPolicy> {
        let policy = |id: &str, token_type, security_policy_uri| UserTokenPolicy {
            policy_id: id.into(),
            token_type,
            issued_token_type: UAString::null(),
            issuer_endpoint_url: UAString::null(),
            security_policy_uri,
        };
        let own: UAString = endpoint.security_policy().to_uri().into();
        vec![
            policy("anonymous", UserTokenType::Anonymous, UAString::null()),
            policy(&user_id(endpoint), UserTokenType::UserName, UAString::null()),
            policy("x509", UserTokenType::Certificate, own),
        ]
    }
}

/// What the library expects a password's policy to be called.
fn user_id(endpoint: &ServerEndpoint) -> String {
    opcua_server::authenticator::user_pass_security_policy_id(endpoint).to_string()
}

fn unknown() -> Error {
    Error::new(StatusCode::BadIdentityTokenRejected, "nobody that the test knows")
}

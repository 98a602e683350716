//! The OPC UA server: what it listens on, whom it lets in, and the limits it keeps.

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use opcua_crypto::SecurityPolicy;
use opcua_server::address_space::AddressSpace;
use opcua_server::node_manager::ServerContext;
use opcua_server::node_manager::memory::InMemoryNodeManagerBuilder;
use opcua_server::{ANONYMOUS_USER_TOKEN_ID, Server, ServerBuilder, ServerEndpoint, ServerHandle, ServerUserToken};
use opcua_types::MessageSecurityMode;
use tokio::net::TcpListener;

use crate::args::Security;
use crate::catalogue::{NAMESPACE_INDEX, NAMESPACE_URI, Node};
use crate::identity::{APPLICATION_URI, CERTIFICATE_FILE, KEY_FILE};
use crate::space::{PlantNodes, PlantSpace};

/// The library's name for the one user.
const USER_TOKEN_ID: &str = "user";

/// At most this many clients at a time.
const SESSIONS_MAX: usize = 16;

/// Subscriptions are looked at this often; the control path does not use them.
const SUBSCRIPTION_POLL_MS: u64 = 100;

/// Who may connect, and how.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) security: Security,
    pub(crate) pki: PathBuf,
    pub(crate) trust_all_clients: bool,
    /// Name and password of the only user; `None` lets everybody in.
    pub(crate) user: Option<(String, String)>,
}

/// The server could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServerError {
    #[error("the server's configuration was refused: {0}")]
    Configuration(String),
    #[error("the namespace {NAMESPACE_URI} has index {found} instead of {NAMESPACE_INDEX}")]
    NamespaceIndex { found: u16 },
    #[error("the server has no node manager for the plant")]
    NoNodeManager,
}

/// Takes `port` on the loopback interface; 0 takes a free one.
///
/// TCP_NODELAY is set on the listener, and Linux hands it on to accepted connections: without it, two requests in
/// flight wait 40 ms for a delayed acknowledgement.
pub(crate) async fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    rustix::net::sockopt::set_tcp_nodelay(&listener, true)?;
    Ok(listener)
}

/// Builds the server with the nodes of one plant.
pub(crate) fn build(
    port: u16,
    access: &Access,
    plant: &str,
    nodes: &[Node],
) -> Result<(Server, ServerHandle, Arc<PlantSpace>), ServerError> {
    let (plant, nodes) = (plant.to_owned(), nodes.to_vec());
    let manager = InMemoryNodeManagerBuilder::new(move |context: ServerContext, space: &mut AddressSpace| {
        PlantNodes::build(&context, space, &plant, &nodes)
    });
    let (server, handle) =
        configured(port, access).with_node_manager(manager).build().map_err(ServerError::Configuration)?;
    let found = handle.get_namespace_index(NAMESPACE_URI).unwrap_or_default();
    if found != NAMESPACE_INDEX {
        return Err(ServerError::NamespaceIndex { found });
    }
    let space = handle.node_managers().get_of_type::<PlantSpace>().ok_or(ServerError::NoNodeManager)?;
    Ok((server, handle, space))
}

fn configured(port: u16, access: &Access) -> ServerBuilder {
    let mut builder = ServerBuilder::new()
        .application_name("CoreRL simulated plant")
        .application_uri(APPLICATION_URI)
        .product_uri(APPLICATION_URI)
        .host("127.0.0.1")
        .port(port)
        .pki_dir(&access.pki)
        .trust_client_certs(access.trust_all_clients)
        .discovery_urls(vec!["/".to_owned()])
        .diagnostics_enabled(false)
        .max_sessions(SESSIONS_MAX)
        .subscription_poll_interval_ms(SUBSCRIPTION_POLL_MS);
    let token = match &access.user {
        Some((user, password)) => {
            builder =
                builder.add_user_token(USER_TOKEN_ID, ServerUserToken::user_pass(user.as_str(), password.as_str()));
            USER_TOKEN_ID
        }
        None => ANONYMOUS_USER_TOKEN_ID,
    };
    let (id, policy, mode) = match access.security {
        Security::None => ("none", SecurityPolicy::None, MessageSecurityMode::None),
        Security::Encrypt => {
            builder = builder.certificate_path(CERTIFICATE_FILE).private_key_path(KEY_FILE);
            ("basic256sha256", SecurityPolicy::Basic256Sha256, MessageSecurityMode::SignAndEncrypt)
        }
    };
    let endpoint = ServerEndpoint::new("/", policy, mode, &[token.to_owned()]);
    builder.default_endpoint(id).add_endpoint(id, endpoint)
}

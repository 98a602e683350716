//! The OPC UA server with the plant's nodes.

use std::sync::Arc;

use opcua_server::address_space::AddressSpace;
use opcua_server::node_manager::ServerContext;
use opcua_server::node_manager::memory::InMemoryNodeManagerBuilder;
use opcua_server::{Server, ServerHandle, SubscriptionLimits};
use ua_host::{Access, Application};

use crate::args::Args;
use crate::catalogue::{NAMESPACE_INDEX, NAMESPACE_URI, Node};
use crate::faults::Book;
use crate::space::{PlantNodes, PlantSpace};

/// What the server calls itself.
pub(crate) const APPLICATION: Application = Application { name: "CoreRL simulated plant", uri: "urn:corerl:plant-sim" };
/// Where it can be reached.
pub(crate) const HOST: &str = "127.0.0.1";

/// Subscriptions are looked at this often, and their intervals are not shorter.
const SUBSCRIPTION_POLL_MS: u32 = 10;

/// The limits of subscriptions.
pub(crate) fn subscription_limits(args: &Args) -> SubscriptionLimits {
    SubscriptionLimits {
        max_subscriptions_per_session: args.max_subscriptions,
        max_pending_publish_requests: args.max_publish_requests,
        min_sampling_interval_ms: SUBSCRIPTION_POLL_MS.into(),
        min_publishing_interval_ms: SUBSCRIPTION_POLL_MS.into(),
        ..SubscriptionLimits::default()
    }
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

/// Builds the server with the nodes of one plant.
pub(crate) fn build(
    port: u16,
    access: &Access,
    limits: SubscriptionLimits,
    (plant, nodes): (&str, &[Node]),
    book: &Arc<Book>,
) -> Result<(Server, ServerHandle, Arc<PlantSpace>), ServerError> {
    let (plant, nodes, book) = (plant.to_owned(), nodes.to_vec(), Arc::clone(book));
    let manager = InMemoryNodeManagerBuilder::new(move |context: ServerContext, space: &mut AddressSpace| {
        PlantNodes::build(&context, space, (&plant, &nodes), Arc::clone(&book))
    });
    let mut builder =
        access.server(&APPLICATION, HOST, port).subscription_poll_interval_ms(SUBSCRIPTION_POLL_MS.into());
    builder.limits_mut().subscriptions = limits;
    let (server, handle) = builder.with_node_manager(manager).build().map_err(ServerError::Configuration)?;
    let found = handle.get_namespace_index(NAMESPACE_URI).unwrap_or_default();
    if found != NAMESPACE_INDEX {
        return Err(ServerError::NamespaceIndex { found });
    }
    let space = handle.node_managers().get_of_type::<PlantSpace>().ok_or(ServerError::NoNodeManager)?;
    Ok((server, handle, space))
}

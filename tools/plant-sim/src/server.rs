//! The OPC UA server with the plant's nodes.

use std::sync::Arc;

use opcua_server::address_space::AddressSpace;
use opcua_server::node_manager::ServerContext;
use opcua_server::node_manager::memory::InMemoryNodeManagerBuilder;
use opcua_server::{Server, ServerHandle};
use ua_host::{Access, Application};

use crate::catalogue::{NAMESPACE_INDEX, NAMESPACE_URI, Node};
use crate::space::{PlantNodes, PlantSpace};

/// What the server calls itself.
pub(crate) const APPLICATION: Application = Application { name: "CoreRL simulated plant", uri: "urn:corerl:plant-sim" };
/// Where it can be reached.
pub(crate) const HOST: &str = "127.0.0.1";

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
    plant: &str,
    nodes: &[Node],
) -> Result<(Server, ServerHandle, Arc<PlantSpace>), ServerError> {
    let (plant, nodes) = (plant.to_owned(), nodes.to_vec());
    let manager = InMemoryNodeManagerBuilder::new(move |context: ServerContext, space: &mut AddressSpace| {
        PlantNodes::build(&context, space, &plant, &nodes)
    });
    let (server, handle) = access
        .server(&APPLICATION, HOST, port)
        .with_node_manager(manager)
        .build()
        .map_err(ServerError::Configuration)?;
    let found = handle.get_namespace_index(NAMESPACE_URI).unwrap_or_default();
    if found != NAMESPACE_INDEX {
        return Err(ServerError::NamespaceIndex { found });
    }
    let space = handle.node_managers().get_of_type::<PlantSpace>().ok_or(ServerError::NoNodeManager)?;
    Ok((server, handle, space))
}

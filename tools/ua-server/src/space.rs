//! The address space: a folder per agent, made when the agent is first seen.

use std::collections::HashMap;
use std::sync::Arc;

use opcua_server::address_space::{AddressSpace, ObjectBuilder, VariableBuilder};
use opcua_server::diagnostics::NamespaceMetadata;
use opcua_server::node_manager::NodeManagerBuilder;
use opcua_server::node_manager::memory::{SimpleNodeManager, simple_node_manager};
use opcua_server::{ServerHandle, SubscriptionCache};
use opcua_types::{
    DataTypeId, DataValue, DateTime, LocalizedText, NodeId, ObjectId, StatusCode, VariableTypeId, Variant,
};
use rt_core::mode::Mode;

use crate::agent::Seen;
use crate::facts::{self, Fact, Kind};

/// The namespace of all nodes.
pub(crate) const NAMESPACE_URI: &str = "urn:corerl:runtime";

/// The address space as far as it is ours.
pub(crate) struct Space {
    manager: Arc<SimpleNodeManager>,
    subscriptions: Arc<SubscriptionCache>,
    namespace: u16,
    /// The variables of each agent.
    variables: HashMap<String, Vec<NodeId>>,
}

/// What keeps the nodes. Nobody but us can write them: they have no access level for it.
pub(crate) fn node_manager() -> impl NodeManagerBuilder {
    let namespace = NamespaceMetadata { namespace_uri: NAMESPACE_URI.to_owned(), ..Default::default() };
    simple_node_manager(namespace, "agents")
}

impl Space {
    /// The one of this server; the reason when it has none.
    pub(crate) fn of(handle: &ServerHandle) -> Result<Self, &'static str> {
        Ok(Self {
            manager: handle.node_managers().get_of_type().ok_or("the server has no node manager for the agents")?,
            subscriptions: handle.subscriptions().clone(),
            namespace: handle.get_namespace_index(NAMESPACE_URI).ok_or("the server has no namespace for the agents")?,
            variables: HashMap::new(),
        })
    }

    /// Shows an agent as it was seen just now.
    pub(crate) fn show(&mut self, label: &str, seen: &Seen) {
        let facts = facts::of(seen);
        let ids: Vec<_> = facts.iter().map(|fact| self.id_of(label, &fact.folders, Some(fact.name))).collect();
        let known = self.variables.entry(label.to_owned()).or_default();
        for (fact, id) in facts.iter().zip(&ids) {
            if !known.contains(id) {
                let folders: Vec<_> = (0..=fact.folders.len()).map(|depth| &fact.folders[..depth]).collect();
                insert(&mut self.manager.address_space().write(), self.namespace, label, &folders, fact, id);
                known.push(id.clone());
            }
        }
        let time = DateTime::now();
        let values = facts.iter().zip(&ids).map(|(fact, id)| (id.clone(), value(fact, time)));
        let ranges = facts.iter().zip(&ids).filter_map(|(fact, id)| {
            let Kind::Analog { range: (low, high), .. } = fact.kind else { return None };
            Some((ua_host::range_of(id), DataValue::new_at(ua_host::range(low, high), time)))
        });
        let values: Vec<_> = values.chain(ranges).collect();
        // A setpoint of another site file, which the agent had before, is there no more.
        let gone = known.iter().filter(|id| !ids.contains(id)).map(|id| (id.clone(), no_communication()));
        let values: Vec<_> = values.into_iter().chain(gone).collect();
        self.set(&values);
    }

    /// Shows that nothing is seen of an agent.
    pub(crate) fn show_gone(&mut self, label: &str) {
        let known = self.variables.get(label).into_iter().flatten();
        let values: Vec<_> = known.map(|id| (id.clone(), no_communication())).collect();
        self.set(&values);
    }

    fn set(&self, values: &[(NodeId, DataValue)]) {
        let values = values.iter().map(|(id, value)| (id, None, value.clone()));
        // They were all inserted: none of them can be unknown.
        let set = self.manager.set_values(&self.subscriptions, values);
        debug_assert_eq!(set, Ok(()));
    }

    fn id_of(&self, label: &str, folders: &[String], name: Option<&str>) -> NodeId {
        identifier(self.namespace, label, folders, name)
    }
}

fn identifier(namespace: u16, label: &str, folders: &[String], name: Option<&str>) -> NodeId {
    let parts = std::iter::once(label).chain(folders.iter().map(String::as_str)).chain(name);
    NodeId::new(namespace, parts.collect::<Vec<_>>().join("."))
}

fn value(fact: &Fact, time: DateTime) -> DataValue {
    match &fact.value {
        Ok(value) => DataValue::new_at(value.clone(), time),
        Err(status) => without_value(*status),
    }
}

fn no_communication() -> DataValue {
    without_value(StatusCode::BadNoCommunication)
}

/// The library tells the status of no DataValue that has no value at all; the empty one is as good (Part 6, 5.2.2.16).
fn without_value(status: StatusCode) -> DataValue {
    DataValue { status: Some(status), ..DataValue::new_now(Variant::Empty) }
}

/// Inserts a variable, and the folders on the way to it that are not there yet.
fn insert(space: &mut AddressSpace, namespace: u16, label: &str, folders: &[&[String]], fact: &Fact, id: &NodeId) {
    let mut parent: NodeId = ObjectId::ObjectsFolder.into();
    for folders in folders {
        let folder = identifier(namespace, label, folders, None);
        if space.find(&folder).is_none() {
            let name = folders.last().map_or(label, String::as_str);
            ObjectBuilder::new(&folder, name, name).is_folder().organized_by(parent).insert(space);
        }
        parent = folder;
    }
    let type_definition = match fact.kind {
        Kind::Plain => VariableTypeId::BaseDataVariableType,
        Kind::Mode => VariableTypeId::MultiStateDiscreteType,
        Kind::Analog { .. } => VariableTypeId::AnalogItemType,
    };
    VariableBuilder::new(id, fact.name, fact.name)
        .data_type(fact.data_type)
        .value(fact.value.clone().unwrap_or_default())
        .has_type_definition(type_definition)
        .component_of(parent)
        .insert(space);
    match &fact.kind {
        Kind::Plain => {}
        Kind::Mode => {
            let names = Mode::ALL.map(|mode| LocalizedText::from(mode.name())).to_vec();
            ua_host::insert_property(space, id, "EnumStrings", DataTypeId::LocalizedText, names.into());
        }
        Kind::Analog { unit, range: (low, high) } => {
            ua_host::insert_range(space, id, *low, *high);
            if !unit.is_empty() {
                ua_host::insert_unit(space, id, unit);
            }
        }
    }
}

//! The address space: built from the catalogue, read and written by clients and by the plant.

use std::sync::Arc;

use async_trait::async_trait;
use opcua_server::address_space::{AddressSpace, NodeType, ObjectBuilder, Variable, VariableBuilder, add_namespaces};
use opcua_server::diagnostics::NamespaceMetadata;
use opcua_server::node_manager::memory::{InMemoryNodeManager, InMemoryNodeManagerImpl};
use opcua_server::node_manager::{RequestContext, ServerContext, WriteNode};
use opcua_types::{
    DataEncoding, DataTypeId, DataValue, NodeId, NumericRange, ObjectId, StatusCode, TimestampsToReturn,
    VariableTypeId, Variant,
};
use parking_lot::RwLock;

use crate::catalogue::{DataType, NAMESPACE_INDEX, NAMESPACE_URI, Node, Role};
use crate::faults::Book;

/// The node manager of the plant's namespace.
pub(crate) type PlantSpace = InMemoryNodeManager<PlantNodes>;

/// The part of the node manager that is ours: which writes are accepted.
///
/// The library would store a text in a node of type Double; a controller's mistake has to be answered, so this one
/// answers BadTypeMismatch, and BadOutOfRange for a number that is not finite. An input that the plant's own logic has
/// is BadNotWritable.
pub(crate) struct PlantNodes {
    namespace_index: u16,
    inputs: Vec<NodeId>,
    remote: NodeId,
    book: Arc<Book>,
}

impl PlantNodes {
    /// Registers the namespace and inserts a folder called `plant` with all `nodes`.
    pub(crate) fn build(
        context: &ServerContext,
        space: &mut AddressSpace,
        (plant, nodes): (&str, &[Node]),
        book: Arc<Book>,
    ) -> Self {
        let namespace_index = add_namespaces(context, space, &[NAMESPACE_URI])[0];
        let folder = NodeId::new(namespace_index, plant.to_owned());
        ObjectBuilder::new(&folder, plant, plant).is_folder().organized_by(ObjectId::ObjectsFolder).insert(space);
        let faults = NodeId::new(namespace_index, format!("{plant}.Faults"));
        ObjectBuilder::new(&faults, "Faults", "Faults").is_folder().organized_by(folder.clone()).insert(space);
        for node in nodes {
            let is_fault = node.name.starts_with("Faults.");
            insert(space, if is_fault { &faults } else { &folder }, node);
        }
        let of_role = |wanted: fn(&Role) -> bool| nodes.iter().filter(move |node| wanted(&node.role)).map(id_of);
        Self {
            namespace_index,
            inputs: of_role(|role| matches!(role, Role::Input(_))).collect(),
            remote: of_role(|role| *role == Role::Remote).next().unwrap_or_default(),
            book,
        }
    }
}

fn insert(space: &mut AddressSpace, folder: &NodeId, node: &Node) {
    let id = id_of(node);
    let mut builder = VariableBuilder::new(&id, node.name.as_str(), node.name.as_str())
        .data_type(match node.data_type {
            DataType::Double => DataTypeId::Double,
            DataType::UInt16 => DataTypeId::UInt16,
            DataType::UInt32 => DataTypeId::UInt32,
            DataType::UInt64 => DataTypeId::UInt64,
            DataType::Boolean => DataTypeId::Boolean,
        })
        .value(variant(node.data_type, node.initial))
        .component_of(folder.clone());
    builder = match node.range {
        Some(_) => builder.has_type_definition(VariableTypeId::AnalogItemType),
        None => builder.has_type_definition(VariableTypeId::BaseDataVariableType),
    };
    if node.writable {
        builder = builder.writable();
    }
    builder.insert(space);
    if let Some((low, high)) = node.range {
        ua_host::insert_range(space, &id, low, high);
    }
    if let Some(unit) = node.unit {
        ua_host::insert_unit(space, &id, unit);
    }
}

/// Gives variables of this address space their values, and tells nobody.
pub(crate) fn set_quietly(space: &mut AddressSpace, values: &[(&NodeId, DataValue)]) {
    for (id, value) in values {
        let variable = space.find_mut(*id);
        // The nodes come from the same catalogue as the address space: none of them can be unknown.
        debug_assert!(variable.is_some(), "{id}");
        if let Some(NodeType::Variable(variable)) = variable {
            variable.set_data_value(value.clone());
        }
    }
}

/// The identifier of `node` in this server.
pub(crate) fn id_of(node: &Node) -> NodeId {
    NodeId::new(NAMESPACE_INDEX, node.identifier.clone())
}

/// `value` as the node's data type; a number that does not fit becomes the nearest one.
fn variant(data_type: DataType, value: f64) -> Variant {
    match data_type {
        DataType::Double => Variant::Double(value),
        DataType::UInt16 => Variant::UInt16(value as u16),
        DataType::UInt32 => Variant::UInt32(value as u32),
        DataType::UInt64 => Variant::UInt64(value as u64),
        DataType::Boolean => Variant::Boolean(value != 0.0),
    }
}

/// The value of a variable; `None` when there is no such variable.
pub(crate) fn value_of(space: &AddressSpace, id: &NodeId) -> Option<Variant> {
    match space.find(id)? {
        NodeType::Variable(variable) => current(variable).value,
        _ => None,
    }
}

fn current(variable: &Variable) -> DataValue {
    variable.value(TimestampsToReturn::Neither, &NumericRange::None, &DataEncoding::Binary, 0.0)
}

#[async_trait]
impl InMemoryNodeManagerImpl for PlantNodes {
    async fn init(&self, _space: &mut AddressSpace, _context: ServerContext) {}

    fn name(&self) -> &str {
        "plant"
    }

    fn namespaces(&self) -> Vec<NamespaceMetadata> {
        vec![NamespaceMetadata {
            namespace_uri: NAMESPACE_URI.to_owned(),
            namespace_index: self.namespace_index,
            ..Default::default()
        }]
    }

    async fn write(
        &self,
        context: &RequestContext,
        address_space: &RwLock<AddressSpace>,
        nodes_to_write: &mut [&mut WriteNode],
    ) -> Result<(), StatusCode> {
        let mut space = address_space.write();
        let type_tree = context.type_tree.read();
        let is_local = value_of(&space, &self.remote) == Some(Variant::Boolean(false));
        for write in nodes_to_write {
            let node = &write.value().node_id;
            let taken = is_local && self.inputs.contains(node);
            let instead = taken.then_some(StatusCode::BadNotWritable).or_else(|| self.book.instead_of_writing(node));
            let status = instead.unwrap_or_else(|| {
                let outcome =
                    space.validate_node_write(context, write.value(), &*type_tree).and_then(|node| store(node, write));
                outcome.map_or_else(|refusal| refusal, |()| StatusCode::Good)
            });
            self.book.tell(&write.value().node_id, write.value().value.value.as_ref(), status);
            write.set_status(status);
        }
        Ok(())
    }
}

/// Stores a written value, if it has the variable's own type and is a number where a number belongs.
fn store(node: &mut NodeType, write: &WriteNode) -> Result<(), StatusCode> {
    let NodeType::Variable(variable) = node else {
        return Err(StatusCode::BadNotWritable);
    };
    let present = current(variable).value.unwrap_or_default();
    let value = accepted(&present, write.value().value.value.as_ref())?;
    if write.value().index_range.has_range() {
        return Err(StatusCode::BadIndexRangeNoData);
    }
    let written = DataValue { source_timestamp: write.value().value.source_timestamp, ..DataValue::new_now(value) };
    variable.set_data_value(written);
    Ok(())
}

/// The value to store when `value` is written over `present`.
fn accepted(present: &Variant, value: Option<&Variant>) -> Result<Variant, StatusCode> {
    let value = value.ok_or(StatusCode::BadTypeMismatch)?;
    match (present, value) {
        (Variant::Double(_), Variant::Double(number)) if !number.is_finite() => Err(StatusCode::BadOutOfRange),
        (Variant::Double(_), Variant::Double(_))
        | (Variant::UInt16(_), Variant::UInt16(_))
        | (Variant::UInt64(_), Variant::UInt64(_))
        | (Variant::Boolean(_), Variant::Boolean(_)) => Ok(value.clone()),
        _ => Err(StatusCode::BadTypeMismatch),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_of_another_type_is_a_type_mismatch() {
        let present = Variant::Double(1.0);
        for value in
            [Variant::Float(1.0), Variant::Int32(1), Variant::Boolean(true), Variant::from("1"), Variant::Empty]
        {
            assert_eq!(accepted(&present, Some(&value)), Err(StatusCode::BadTypeMismatch));
        }
        assert_eq!(accepted(&present, None), Err(StatusCode::BadTypeMismatch));
    }

    #[test]
    fn a_number_that_is_not_finite_is_out_of_range_and_any_other_is_stored_as_it_is() {
        let present = Variant::Double(1.0);
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(accepted(&present, Some(&Variant::Double(value))), Err(StatusCode::BadOutOfRange));
        }
        assert_eq!(accepted(&present, Some(&Variant::Double(7.5))), Ok(Variant::Double(7.5)));
        assert_eq!(accepted(&Variant::UInt16(0), Some(&Variant::UInt16(999))), Ok(Variant::UInt16(999)));
    }
}

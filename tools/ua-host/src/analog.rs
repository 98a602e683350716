//! Range and unit of analog items, as properties beside the value (Part 8, 5.3.2.3).

use opcua_server::address_space::{AddressSpace, VariableBuilder};
use opcua_types::{
    DataTypeId, EUInformation, ExtensionObject, Identifier, NodeId, QualifiedName, Range, VariableTypeId, Variant,
};

/// Where EngineeringUnits of OPC UA are defined (Part 8, 5.6.3).
const UNITS_URI: &str = "http://www.opcfoundation.org/UA/units/un/cefact";
const RANGE: &str = "EURange";

/// The value of EURange.
pub fn range(low: f64, high: f64) -> Variant {
    ExtensionObject::from_message(Range { low, high }).into()
}

/// The id of a variable's EURange.
pub fn range_of(id: &NodeId) -> NodeId {
    property_of(id, RANGE)
}

/// Inserts EURange beside a variable; its id.
pub fn insert_range(space: &mut AddressSpace, of: &NodeId, low: f64, high: f64) -> NodeId {
    insert_property(space, of, RANGE, DataTypeId::Range, range(low, high))
}

/// Inserts EngineeringUnits beside a variable; its id.
pub fn insert_unit(space: &mut AddressSpace, of: &NodeId, unit: &str) -> NodeId {
    let information = EUInformation {
        namespace_uri: UNITS_URI.into(),
        unit_id: -1,
        display_name: unit.into(),
        description: unit.into(),
    };
    let value = ExtensionObject::from_message(information).into();
    insert_property(space, of, "EngineeringUnits", DataTypeId::EUInformation, value)
}

/// Inserts a property of OPC UA's own namespace beside a variable whose identifier is a string; its id.
pub fn insert_property(
    space: &mut AddressSpace,
    of: &NodeId,
    name: &str,
    data_type: DataTypeId,
    value: Variant,
) -> NodeId {
    let id = property_of(of, name);
    let mut builder = VariableBuilder::new(&id, QualifiedName::new(0, name), name).data_type(data_type);
    if let Variant::Array(_) = value {
        builder = builder.value_rank(1);
    }
    builder.value(value).has_type_definition(VariableTypeId::PropertyType).property_of(of.clone()).insert(space);
    id
}

fn property_of(id: &NodeId, name: &str) -> NodeId {
    let of = match &id.identifier {
        Identifier::String(identifier) => identifier.as_ref().to_owned(),
        other => other.to_string(),
    };
    NodeId::new(id.namespace, format!("{of}.{name}"))
}

//! What a number means: the range and the unit that the server gives it (Part 8, 5.3.2.3: EURange, EngineeringUnits).

use opcua_types::NodeId;

use crate::{
    CallError, Violation,
    browse::HAS_PROPERTY,
    codec::{DATA_VALUE_HAS_VALUE, Put, Reader},
    describe::{self, Limits},
    limits::ARRAY_LEN_MAX,
    link::Link,
    services::{self, attribute, type_id},
    status::is_bad,
};

/// The properties that are looked for, in this order.
const PROPERTIES: [&str; 2] = ["EURange", "EngineeringUnits"];
/// Range and EUInformation in the binary encoding (Part 6, A.3).
const RANGE: u32 = 886;
const EU_INFORMATION: u32 = 889;
/// A value of type ExtensionObject (Part 6, 5.2.2.16).
const EXTENSION_OBJECT: u8 = 22;

/// What a server says of the meaning of a node's value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scale {
    /// The values that are to be expected in normal operation, lowest and highest.
    pub range: Option<(f64, f64)>,
    /// The unit, as people write it.
    pub unit: Option<String>,
}

/// Where on a server the scales of some nodes are; belongs to its session.
#[derive(Debug, Clone, Default)]
pub struct ScalePlan {
    /// Number of nodes.
    count: usize,
    /// Of the properties that there are: which node's, which one, and its id.
    places: Vec<(usize, usize, NodeId)>,
}

impl ScalePlan {
    /// Whether the server gives none of the nodes a scale.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// Looks for the properties of these nodes (Part 4, 5.8.4 TranslateBrowsePathsToNodeIds). A server that knows no such service
/// has none.
pub(crate) fn find(
    link: &mut Link,
    token: &[u8],
    nodes: &[NodeId],
    limits: Limits,
    deadline_ns: u64,
) -> Result<ScalePlan, CallError> {
    let mut plan = ScalePlan { count: nodes.len(), places: Vec::new() };
    let paths: Vec<_> = (0..nodes.len()).flat_map(|node| (0..PROPERTIES.len()).map(move |of| (node, of))).collect();
    for paths in paths.chunks(limits.translate) {
        let asked = link.request(deadline_ns, |out, handle, timestamp| {
            services::put_request(out, type_id::TRANSLATE_REQUEST, token, handle, timestamp);
            out.put_count(paths.len());
            for (node, of) in paths {
                put_path(out, nodes.get(*node), PROPERTIES.get(*of));
            }
        });
        let found = asked.and_then(|()| parse_targets(link.channel.body(), paths.len()));
        match found {
            Ok(found) => {
                plan.places.extend(paths.iter().zip(found).filter_map(|((node, of), id)| Some((*node, *of, id?))))
            }
            Err(CallError::Refused { .. }) => return Ok(ScalePlan { count: nodes.len(), places: Vec::new() }),
            Err(error) => return Err(error),
        }
    }
    Ok(plan)
}

/// A path of one step, to a property in the namespace of OPC UA itself.
fn put_path(out: &mut Vec<u8>, node: Option<&NodeId>, property: Option<&&str>) {
    out.put_node_id(node.unwrap_or(&NodeId::null()));
    out.put_count(1);
    out.put_node_id(&NodeId::new(0, HAS_PROPERTY));
    // Forward, and the reference's subtypes too.
    out.put_u8(0);
    out.put_u8(1);
    out.put_u16(0);
    out.put_bytes(property.copied().unwrap_or_default().as_bytes());
}

/// Where each path leads; `None` where it leads nowhere here.
pub(crate) fn parse_targets(body: &[u8], expected: usize) -> Result<Vec<Option<NodeId>>, CallError> {
    let mut reader = services::open_answer(body, type_id::TRANSLATE_ANSWER)?;
    if reader.array_len(ARRAY_LEN_MAX)? != expected {
        return Err(Violation::ResultCount.into());
    }
    let mut found = Vec::with_capacity(expected);
    for _ in 0..expected {
        let status = reader.u32()?;
        let mut first = None;
        for _ in 0..reader.array_len(ARRAY_LEN_MAX)? {
            let target = reader.local_node_id()?;
            let rest = reader.u32()?;
            // A path that is not finished goes on in another server.
            first = first.or(target.filter(|_| rest == u32::MAX));
        }
        found.push(first.filter(|_| !is_bad(status)));
    }
    Ok(found)
}

/// Reads the scales, in the order of the nodes.
pub(crate) fn read(
    link: &mut Link,
    token: &[u8],
    plan: &ScalePlan,
    limits: Limits,
    deadline_ns: u64,
) -> Result<Vec<Scale>, CallError> {
    let mut scales = vec![Scale::default(); plan.count];
    for places in plan.places.chunks(limits.read) {
        let items: Vec<_> = places.iter().map(|(_, _, id)| (id, attribute::VALUE)).collect();
        describe::request_read(link, token, &items, deadline_ns)?;
        let properties = parse_properties(link.channel.body(), items.len())?;
        for ((node, _, _), property) in places.iter().zip(properties) {
            if let Some(scale) = scales.get_mut(*node) {
                property.add_to(scale);
            }
        }
    }
    Ok(scales)
}

/// What so many properties say.
pub(crate) fn parse_properties(body: &[u8], expected: usize) -> Result<Vec<Property>, CallError> {
    let mut reader = describe::open_results(body, expected)?;
    (0..expected).map(|_| read_property(&mut reader).map_err(CallError::from)).collect()
}

/// What one property says.
#[derive(Debug, PartialEq)]
pub(crate) enum Property {
    Range(f64, f64),
    Unit(String),
    Nothing,
}

impl Property {
    fn add_to(self, scale: &mut Scale) {
        match self {
            // One that nobody has filled in is none.
            Property::Range(low, high) if low < high && low.is_finite() && high.is_finite() => {
                scale.range = Some((low, high))
            }
            Property::Unit(unit) if !unit.is_empty() => scale.unit = Some(unit),
            Property::Range(..) | Property::Unit(_) | Property::Nothing => {}
        }
    }
}

/// A DataValue with a Range or an EUInformation in it; anything else says nothing.
fn read_property(reader: &mut Reader<'_>) -> Result<Property, Violation> {
    let mask = reader.u8()?;
    let mut property = Property::Nothing;
    if mask & DATA_VALUE_HAS_VALUE != 0 {
        let encoding = reader.u8()?;
        if encoding == EXTENSION_OBJECT {
            property = read_structure(reader)?;
        } else {
            reader.skip_variant_value(encoding, 0)?;
        }
    }
    let (status, _) = reader.data_value_tail(mask)?;
    Ok(if is_bad(status) { Property::Nothing } else { property })
}

fn read_structure(reader: &mut Reader<'_>) -> Result<Property, Violation> {
    Ok(match reader.extension_object()? {
        Some((RANGE, mut body)) => Property::Range(body.f64()?, body.f64()?),
        Some((EU_INFORMATION, mut body)) => {
            let (_namespace, _unit_id) = (body.str()?, body.u32()?);
            Property::Unit(body.localized_text()?.trim().to_owned())
        }
        _ => Property::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use opcua_types::{
        BinaryEncodable, ContextOwned, DataValue, EUInformation, ExtensionObject, Range, StatusCode, Variant,
    };
    use proptest::prelude::*;

    fn encoded(value: Variant, status: Option<StatusCode>) -> Vec<u8> {
        let value = DataValue { value: Some(value), status, ..DataValue::null() };
        value.encode_to_vec(&ContextOwned::default().context())
    }

    fn property(value: Variant, status: Option<StatusCode>) -> Property {
        let bytes = encoded(value, status);
        let mut reader = Reader::new(&bytes);
        let property = read_property(&mut reader).unwrap();
        assert_eq!(reader.rest(), b"");
        property
    }

    fn unit(text: &str) -> Variant {
        let information = EUInformation {
            namespace_uri: "http://www.opcfoundation.org/UA/units/un/cefact".into(),
            unit_id: 4_404_786,
            display_name: text.into(),
            description: "a unit".into(),
        };
        ExtensionObject::from_message(information).into()
    }

    proptest! {
        #[test]
        fn what_a_server_says_is_understood_and_what_is_bad_or_something_else_is_nothing(low: f64, high: f64, text in "\\PC{1,9}") {
            let range = Variant::from(ExtensionObject::from_message(Range { low, high }));
            let Property::Range(found_low, found_high) = property(range.clone(), None) else { panic!("no range") };
            prop_assert_eq!((found_low.to_bits(), found_high.to_bits()), (low.to_bits(), high.to_bits()));
            prop_assert_eq!(property(unit(&text), None), Property::Unit(text.trim().to_owned()));
            for value in [range, unit(&text)] {
                prop_assert_eq!(property(value, Some(StatusCode::BadUserAccessDenied)), Property::Nothing);
            }
            for value in [Variant::from(low), Variant::from(ExtensionObject::null()), Variant::from("x")] {
                prop_assert_eq!(property(value, None), Property::Nothing);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..99), cut in 0..40_usize) {
            bytes.splice(..0, encoded(unit("m"), None).into_iter().take(cut));
            let _ = read_property(&mut Reader::new(&bytes));
            let _ = parse_targets(&bytes, 1);
        }
    }

    #[test]
    fn a_range_without_an_extent_and_a_unit_without_a_name_are_none() {
        let mut scale = Scale::default();
        for nothing in [
            Property::Range(0.0, 0.0),
            Property::Range(f64::NAN, 1.0),
            Property::Range(0.0, f64::INFINITY),
            Property::Unit(String::new()),
        ] {
            nothing.add_to(&mut scale);
        }
        assert_eq!(scale, Scale::default());
        Property::Range(-1.0, 1.0).add_to(&mut scale);
        Property::Unit("m".to_owned()).add_to(&mut scale);
        assert_eq!(scale, Scale { range: Some((-1.0, 1.0)), unit: Some("m".to_owned()) });
    }

    #[test]
    fn paths_that_lead_nowhere_or_to_another_server_have_no_target() {
        let id = NodeId::new(2, "level.EURange");
        let mut body = services::tests::answer(557, 0);
        body.put_count(3);
        for (status, rest) in [(0, u32::MAX), (0x806F_0000, u32::MAX), (0, 0)] {
            body.put_u32(status);
            body.put_count(1);
            body.put_node_id(&id);
            body.put_u32(rest);
        }
        body.put_null();
        assert_eq!(parse_targets(&body, 3), Ok(vec![Some(id), None, None]));
        assert!(parse_targets(&body, 2).is_err());
    }
}

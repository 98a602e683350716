//! What lies below a node (Part 4, 5.8.2 Browse and 5.8.3 BrowseNext), for people and set-up tools.

use opcua_types::NodeId;

use crate::{
    CallError, Violation,
    codec::{Put, Reader},
    limits::{ARRAY_LEN_MAX, REFERENCES_MAX, STRING_BYTES_MAX},
    link::Link,
    services::{self, type_id},
    status::is_bad,
};

/// HierarchicalReferences, and what is derived from it.
const HIERARCHICAL: u32 = 33;
/// Objects and variables.
const NODE_CLASSES: u32 = NodeClass::Object as u32 | NodeClass::Variable as u32;
pub(crate) const HAS_PROPERTY: u32 = 46;
/// Reference type, node class, browse name and display name.
const RESULT_FIELDS: u32 = 1 | 4 | 8 | 16;
/// References that the server shall send at once.
const REFERENCES_AT_ONCE: u32 = 1_000;

/// A node as its parent shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildNode {
    /// Its id on this server.
    pub id: NodeId,
    /// Its name for people.
    pub name: String,
    /// Its name for programs, without the namespace.
    pub browse_name: String,
    /// What it is.
    pub class: NodeClass,
    /// It says something about the node above it (HasProperty, Part 3, 7.9), and is nothing by itself.
    pub is_property: bool,
}

/// What a node is; the numbers are those of Part 3, 8.29.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeClass {
    /// It holds others.
    Object = 1,
    /// It has a value.
    Variable = 2,
}

/// The objects and variables below `node`, in the server's order.
pub(crate) fn browse(
    link: &mut Link,
    token: &[u8],
    node: &NodeId,
    deadline_ns: u64,
) -> Result<Vec<ChildNode>, CallError> {
    let mut children = Vec::new();
    link.request(deadline_ns, |out, handle, timestamp| put_browse(out, token, handle, timestamp, node))?;
    let mut rest = parse_page(link.channel.body(), type_id::BROWSE_ANSWER, &mut children)?;
    while !rest.is_empty() {
        let enough = children.len() >= REFERENCES_MAX;
        link.request(deadline_ns, |out, handle, timestamp| {
            put_browse_next(out, token, handle, timestamp, &rest, enough);
        })?;
        if enough {
            break;
        }
        rest = parse_page(link.channel.body(), type_id::BROWSE_NEXT_ANSWER, &mut children)?;
    }
    Ok(children)
}

fn put_browse(out: &mut Vec<u8>, token: &[u8], handle: u32, timestamp: i64, node: &NodeId) {
    const FORWARD: i32 = 0;
    services::put_request(out, type_id::BROWSE_REQUEST, token, handle, timestamp);
    // No view.
    out.put_node_id(&NodeId::null());
    out.put_i64(0);
    out.put_u32(0);
    out.put_u32(REFERENCES_AT_ONCE);
    out.put_count(1);
    out.put_node_id(node);
    out.put_i32(FORWARD);
    out.put_node_id(&NodeId::new(0, HIERARCHICAL));
    out.put_u8(1);
    out.put_u32(NODE_CLASSES);
    out.put_u32(RESULT_FIELDS);
}

/// Asks for more, or lets the server forget what is left.
fn put_browse_next(out: &mut Vec<u8>, token: &[u8], handle: u32, timestamp: i64, point: &[u8], release: bool) {
    services::put_request(out, type_id::BROWSE_NEXT_REQUEST, token, handle, timestamp);
    out.put_u8(release.into());
    out.put_count(1);
    out.put_bytes(point);
}

/// Takes the children from an answer; where to go on, empty at the end.
pub(crate) fn parse_page(body: &[u8], answer: u32, children: &mut Vec<ChildNode>) -> Result<Vec<u8>, CallError> {
    let mut reader = services::open_answer(body, answer)?;
    if reader.array_len(ARRAY_LEN_MAX)? != 1 {
        return Err(Violation::ResultCount.into());
    }
    let status = reader.u32()?;
    if is_bad(status) {
        return Err(CallError::Refused { status });
    }
    let point = reader.bytes(STRING_BYTES_MAX)?.to_vec();
    let count = reader.array_len(ARRAY_LEN_MAX)?;
    if count == 0 && !point.is_empty() {
        // Or it would never end.
        return Err(Violation::ResultCount.into());
    }
    for _ in 0..count {
        children.extend(read_reference(&mut reader)?);
    }
    Ok(point)
}

/// One ReferenceDescription; `None` when it leads to another server, or to something else than was asked for.
fn read_reference(reader: &mut Reader<'_>) -> Result<Option<ChildNode>, Violation> {
    let is_property = reader.node_id()? == NodeId::new(0, HAS_PROPERTY);
    let _is_forward = reader.bool()?;
    let id = reader.local_node_id()?;
    let _namespace = reader.u16()?;
    let browse_name = reader.str()?.to_owned();
    let name = reader.localized_text()?.to_owned();
    let class = match reader.u32()? {
        1 => Some(NodeClass::Object),
        2 => Some(NodeClass::Variable),
        _ => None,
    };
    let _type = reader.local_node_id()?;
    Ok(id.zip(class).map(|(id, class)| ChildNode { id, name, browse_name, class, is_property }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(point: &[u8], references: &[&[u8]]) -> Vec<u8> {
        let mut out = services::tests::answer(530, 0);
        out.put_count(1);
        out.put_u32(0);
        out.put_bytes(point);
        out.put_count(references.len());
        out.extend(references.concat());
        out.put_null();
        out
    }

    /// A reference to `id`, which is followed by `tail` as an ExpandedNodeId may be.
    fn reference(id: &NodeId, flags: u8, tail: &[u8], class: u32) -> Vec<u8> {
        let mut out = Vec::new();
        out.put_node_id(&NodeId::new(0, 47));
        out.put_u8(1);
        let at = out.len();
        out.put_node_id(id);
        out[at] |= flags;
        out.extend(tail);
        out.put_u16(2);
        out.put_bytes(b"Level");
        out.put_u8(3);
        out.put_bytes(b"en");
        out.put_bytes("Füllstand".as_bytes());
        out.put_u32(class);
        out.put_node_id(&NodeId::new(0, 63));
        out
    }

    #[test]
    fn children_come_in_the_server_s_order_and_those_of_other_servers_are_left_out() {
        let id = NodeId::new(2, "plant.level");
        let elsewhere = reference(&NodeId::new(0, 7), 0x80, &[3, 0, 0, 0, b'u', b'r', b'n'], 1);
        let method = reference(&NodeId::new(2, 9), 0, &[], 4);
        let body = answer(b"go on", &[&reference(&id, 0, &[], 2), &elsewhere, &method, &reference(&id, 0, &[], 1)]);
        let mut children = Vec::new();
        assert_eq!(parse_page(&body, 530, &mut children).unwrap(), b"go on");
        let (name, browse_name) = ("Füllstand".to_owned(), "Level".to_owned());
        let child = |class| ChildNode {
            id: id.clone(),
            name: name.clone(),
            browse_name: browse_name.clone(),
            class,
            is_property: false,
        };
        assert_eq!(children, [child(NodeClass::Variable), child(NodeClass::Object)]);
    }

    #[test]
    fn a_server_that_promises_more_and_sends_nothing_breaks_the_protocol() {
        let refused = parse_page(&answer(b"go on", &[]), 530, &mut Vec::new());
        assert_eq!(refused, Err(CallError::Violation(Violation::ResultCount)));
        assert_eq!(parse_page(&answer(b"", &[]), 530, &mut Vec::new()), Ok(Vec::new()));
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(mut body in prop::collection::vec(any::<u8>(), 0..200)) {
            let whole = answer(b"", &[&reference(&NodeId::new(2, "x"), 0, &[], 2)]);
            let cut = body.first().map_or(0, |cut| usize::from(*cut)).min(whole.len());
            body.splice(..0, whole[..cut].iter().copied());
            let _ = parse_page(&body, 530, &mut Vec::new());
        }
    }
}

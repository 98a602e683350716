//! What is read once per session: namespaces, the server's limits, and what the nodes are.

use opcua_types::NodeId;

use crate::{
    CallError, ScalarKind, ValueKind, Violation,
    codec::{DATA_VALUE_HAS_VALUE, Reader, VARIANT_ARRAY, VARIANT_TYPE_MASK},
    limits::{ARRAY_LEN_MAX, REQUEST_NODES_MAX},
    link::Link,
    plan::{self, Shape},
    services::{self, attribute, type_id},
    status::{is_bad, is_too_much},
};

/// What a node is, as far as reading and writing its value go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeDescription {
    /// Good, or why the node cannot be described: BadNodeIdUnknown and the like.
    pub status: u32,
    /// The kind of its value.
    pub kind: NodeKind,
    /// Whether the server lets this user read the value.
    pub readable: bool,
    /// Whether the server lets this user write the value.
    pub writable: bool,
}

/// The kind of a node's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// A scalar that can be read and written.
    Scalar(ScalarKind),
    /// An array; of what, if its elements can be read and written.
    Array(Option<ScalarKind>),
    /// A data type that is not a plain number, a value that was never set, or no variable at all.
    Other,
}

/// How many nodes the server takes in one request; never more than our own limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) read: usize,
    pub(crate) write: usize,
    pub(crate) translate: usize,
    pub(crate) subscribe: usize,
}

impl Limits {
    /// A server that does not take more of one thing is not asked for more of another.
    fn lower_to(&mut self, most: usize) {
        for limit in [&mut self.read, &mut self.write, &mut self.translate, &mut self.subscribe] {
            *limit = most.min(*limit);
        }
    }
}

const NAMESPACE_ARRAY: u32 = 2255;
const MAX_NODES_PER_READ: u32 = 11_705;
const MAX_NODES_PER_WRITE: u32 = 11_707;
const MAX_NODES_PER_TRANSLATE: u32 = 11_712;
const MAX_MONITORED_ITEMS_PER_CALL: u32 = 11_714;
/// What is asked about the server, in this order.
const ABOUT_SERVER: [u32; 5] =
    [NAMESPACE_ARRAY, MAX_NODES_PER_READ, MAX_NODES_PER_WRITE, MAX_NODES_PER_TRANSLATE, MAX_MONITORED_ITEMS_PER_CALL];

/// Reads the namespaces and the limits.
pub(crate) fn read_server(link: &mut Link, token: &[u8], deadline_ns: u64) -> Result<(Vec<String>, Limits), CallError> {
    let nodes = ABOUT_SERVER.map(|id| NodeId::new(0, id));
    let items: Vec<_> = nodes.iter().map(|node| (node, attribute::VALUE)).collect();
    request_read(link, token, &items, deadline_ns)?;
    parse_server(link.channel.body())
}

/// The namespaces and the limits, from the answer.
pub(crate) fn parse_server(body: &[u8]) -> Result<(Vec<String>, Limits), CallError> {
    let mut reader = open_results(body, ABOUT_SERVER.len())?;
    let namespaces = read_strings(&mut reader)?;
    let mut limit = || -> Result<usize, Violation> {
        let value = plan::read_data_value(&mut reader, Shape::Scalar)?;
        // Zero, or no answer, means that there is no limit.
        let limit = match value.kind {
            ValueKind::Scalar(ScalarKind::UInt32) if value.value >= 1.0 => value.value as usize,
            _ => REQUEST_NODES_MAX,
        };
        Ok(limit.min(REQUEST_NODES_MAX))
    };
    let limits = Limits { read: limit()?, write: limit()?, translate: limit()?, subscribe: limit()? };
    Ok((namespaces, limits))
}

fn read_strings(reader: &mut Reader<'_>) -> Result<Vec<String>, CallError> {
    const STRING_ARRAY: u8 = VARIANT_ARRAY | 12;
    let mask = reader.u8()?;
    let mut strings = Vec::new();
    if mask & DATA_VALUE_HAS_VALUE != 0 {
        if reader.u8()? != STRING_ARRAY {
            return Err(Violation::AnswerType.into());
        }
        for _ in 0..reader.array_len(ARRAY_LEN_MAX)? {
            strings.push(reader.str()?.to_owned());
        }
    }
    let (status, _) = reader.data_value_tail(mask)?;
    if is_bad(status) { Err(CallError::Refused { status }) } else { Ok(strings) }
}

pub(crate) fn request_read(
    link: &mut Link,
    token: &[u8],
    items: &[(&NodeId, u32)],
    deadline_ns: u64,
) -> Result<(), CallError> {
    link.request(deadline_ns, |out, handle, timestamp| {
        let fields = services::put_read(out, token, items.len());
        for (node, attribute) in items {
            services::put_read_item(out, node, *attribute, None);
        }
        fields.patch(out, timestamp, handle);
    })
}

pub(crate) fn open_results(body: &[u8], expected: usize) -> Result<Reader<'_>, CallError> {
    let mut reader = services::open_answer(body, type_id::READ_ANSWER)?;
    if reader.array_len(ARRAY_LEN_MAX)? != expected { Err(Violation::ResultCount.into()) } else { Ok(reader) }
}

/// What is asked about every node, in this order.
const ASKED: [u32; 5] = [
    attribute::DATA_TYPE,
    attribute::VALUE_RANK,
    attribute::ACCESS_LEVEL,
    attribute::USER_ACCESS_LEVEL,
    attribute::VALUE,
];

/// Describes nodes, in their order. A server that takes less at once than it has said, or has not said it, is asked for less,
/// and `limits` keep in mind how much that was.
pub(crate) fn describe(
    link: &mut Link,
    token: &[u8],
    nodes: &[NodeId],
    limits: &mut Limits,
    deadline_ns: u64,
) -> Result<Vec<NodeDescription>, CallError> {
    let items: Vec<_> = nodes.iter().flat_map(|node| ASKED.map(|attribute| (node, attribute))).collect();
    let mut seen: Vec<Seen> = nodes.iter().map(|_| Seen::default()).collect();
    let mut first = 0;
    while let Some(left) = items.get(first..).filter(|left| !left.is_empty()) {
        let items = left.get(..limits.read).unwrap_or(left);
        let asked = request_read(link, token, items, deadline_ns);
        match asked.and_then(|()| take_answers(&mut seen, first, items.len(), link.channel.body())) {
            Ok(()) => first += items.len(),
            Err(CallError::Refused { status }) if is_too_much(status) && items.len() > 1 => {
                limits.lower_to(items.len() / 2);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(seen.into_iter().map(Seen::describe).collect())
}

/// Takes in the answers to `count` questions from the one with this number on.
fn take_answers(seen: &mut [Seen], first: usize, count: usize, body: &[u8]) -> Result<(), CallError> {
    let mut reader = open_results(body, count)?;
    for index in first..first + count {
        let asked = ASKED.get(index % ASKED.len());
        if let (Some(asked), Some(seen)) = (asked, seen.get_mut(index / ASKED.len())) {
            seen.take(*asked, &mut reader)?;
        }
    }
    Ok(())
}

/// Describes one node from the answer to all that is asked about it.
pub(crate) fn parse_description(body: &[u8]) -> Result<NodeDescription, CallError> {
    let mut seen = [Seen::default()];
    take_answers(&mut seen, 0, ASKED.len(), body)?;
    let [seen] = seen;
    Ok(seen.describe())
}

/// What the server said about one node.
#[derive(Debug, Default)]
struct Seen {
    status: u32,
    data_type: Option<NodeId>,
    rank: Option<f64>,
    access: Option<f64>,
    user_access: Option<f64>,
    value: Option<ValueKind>,
}

impl Seen {
    fn take(&mut self, asked: u32, reader: &mut Reader<'_>) -> Result<(), Violation> {
        if asked == attribute::DATA_TYPE {
            return self.take_data_type(reader);
        }
        let answer = plan::read_data_value(reader, Shape::Scalar)?;
        let number = (!is_bad(answer.status)).then_some(answer.value);
        match asked {
            attribute::VALUE_RANK => self.rank = number,
            attribute::ACCESS_LEVEL => self.access = number,
            attribute::USER_ACCESS_LEVEL => self.user_access = number,
            _ => self.value = Some(answer.kind),
        }
        Ok(())
    }

    fn take_data_type(&mut self, reader: &mut Reader<'_>) -> Result<(), Violation> {
        const NODE_ID: u8 = 17;
        let mask = reader.u8()?;
        if mask & DATA_VALUE_HAS_VALUE != 0 {
            let encoding = reader.u8()?;
            if encoding & (VARIANT_TYPE_MASK | VARIANT_ARRAY) == NODE_ID {
                self.data_type = Some(reader.node_id()?);
            } else {
                reader.skip_variant_value(encoding, 0)?;
            }
        }
        (self.status, _) = reader.data_value_tail(mask)?;
        Ok(())
    }

    fn describe(self) -> NodeDescription {
        const CURRENT_READ: u8 = 1;
        const CURRENT_WRITE: u8 = 2;
        // A server that does not tell the user's access level means the general one.
        let levels = [self.access, self.user_access];
        let may = |bit: u8| levels.iter().flatten().all(|level| *level as u8 & bit != 0);
        NodeDescription {
            status: self.status,
            kind: self.kind(),
            readable: !is_bad(self.status) && may(CURRENT_READ),
            writable: !is_bad(self.status) && may(CURRENT_WRITE),
        }
    }

    fn kind(&self) -> NodeKind {
        if is_bad(self.status) {
            return NodeKind::Other;
        }
        match (self.value, self.rank) {
            (Some(ValueKind::Mismatch { type_id, array: true }), _) => {
                return NodeKind::Array(self.built_in().or_else(|| ScalarKind::from_type_id(type_id)));
            }
            (_, Some(rank)) if rank >= 0.0 => return NodeKind::Array(self.built_in()),
            _ => {}
        }
        match (self.built_in(), self.value) {
            (Some(kind), _) => NodeKind::Scalar(kind),
            // Enumerations, abstract numbers and subtypes such as Duration: what the present value is encoded as.
            (None, Some(ValueKind::Scalar(kind))) => NodeKind::Scalar(kind),
            _ => NodeKind::Other,
        }
    }

    /// The kind, when the data type is a built-in number: their NodeIds are their type ids.
    fn built_in(&self) -> Option<ScalarKind> {
        let id = self.data_type.as_ref().filter(|id| id.namespace == 0)?;
        let opcua_types::Identifier::Numeric(number) = id.identifier else { return None };
        ScalarKind::from_type_id(u8::try_from(number).ok()?)
    }
}

//! Node addresses as they stand in a configuration.

use std::{fmt, str::FromStr};

use opcua_types::{Guid, Identifier, NodeId};

/// A node named in text: `i=2258`, `ns=2;s=Path`, `nsu=http://example.org/plant;s=Path`; identifiers `i=` (number), `s=`
/// (string), `g=` (GUID), `b=` (base64).
///
/// An address with a namespace URI keeps its meaning when a server reorders its namespaces; one with an index does not.
/// `element=3;ns=2;s=Path` names the fourth element of an array.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeAddress {
    element: Option<u32>,
    namespace: Namespace,
    identifier: Identifier,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Namespace {
    Index(u16),
    Uri(String),
}

/// A value on a server: a variable's, or one element of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ValueId {
    /// The variable.
    pub node: NodeId,
    /// The element's number, from zero, where the variable is an array.
    pub element: Option<u32>,
}

impl From<NodeId> for ValueId {
    fn from(node: NodeId) -> Self {
        Self { node, element: None }
    }
}

/// Why a text is no node address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// What follows `element=` is not a number and a semicolon.
    #[error("`{0}` does not name an element; write element=<number>; before the node, counting from zero")]
    Element(String),
    /// The namespace index is not a number from 0 to 65535.
    #[error("namespace index `{0}` is not a number from 0 to 65535")]
    NamespaceIndex(String),
    /// The namespace URI is empty.
    #[error("the namespace URI is empty")]
    NamespaceUri,
    /// The identifier does not begin with `i=`, `s=`, `g=` or `b=`, or what follows does not fit.
    #[error("`{0}` is not an identifier; write i=<number>, s=<text>, g=<GUID> or b=<base64>")]
    Identifier(String),
}

impl NodeAddress {
    /// The address of this node on a server with these namespaces: by the namespace's URI where there is one, so that it
    /// keeps its meaning.
    pub fn of(node: &NodeId, namespaces: &[String]) -> Self {
        let uri = namespaces.get(usize::from(node.namespace)).filter(|uri| node.namespace != 0 && !uri.is_empty());
        let namespace = uri.map_or(Namespace::Index(node.namespace), |uri| Namespace::Uri(uri.clone()));
        Self { element: None, namespace, identifier: node.identifier.clone() }
    }

    /// The namespace URI, when the address names one.
    pub fn namespace_uri(&self) -> Option<&str> {
        match &self.namespace {
            Namespace::Uri(uri) => Some(uri),
            Namespace::Index(_) => None,
        }
    }

    /// The number of the element, when the address names one.
    pub fn element(&self) -> Option<u32> {
        self.element
    }

    /// The node's id on a server with these namespaces; `None` when the URI is not among them or the index is beyond
    /// them.
    pub fn resolve(&self, namespaces: &[String]) -> Option<NodeId> {
        let index = match &self.namespace {
            Namespace::Index(index) => *index,
            Namespace::Uri(uri) => u16::try_from(namespaces.iter().position(|name| name == uri)?).ok()?,
        };
        (index == 0 || usize::from(index) < namespaces.len()).then(|| NodeId::new(index, self.identifier.clone()))
    }
}

impl FromStr for NodeAddress {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (element, text) = split_off_element(text)?;
        let (namespace, identifier) = if let Some(rest) = text.strip_prefix("ns=") {
            let (index, identifier) = split_at_identifier(rest, false)?;
            let index = index.parse().map_err(|_| AddressError::NamespaceIndex(index.to_owned()))?;
            (Namespace::Index(index), identifier)
        } else if let Some(rest) = text.strip_prefix("nsu=") {
            let (uri, identifier) = split_at_identifier(rest, true)?;
            if uri.is_empty() {
                return Err(AddressError::NamespaceUri);
            }
            (Namespace::Uri(uri.to_owned()), identifier)
        } else {
            (Namespace::Index(0), text)
        };
        Ok(NodeAddress { element, namespace, identifier: parse_identifier(identifier)? })
    }
}

fn split_off_element(text: &str) -> Result<(Option<u32>, &str), AddressError> {
    let Some(rest) = text.strip_prefix("element=") else { return Ok((None, text)) };
    let refused = || AddressError::Element(text.to_owned());
    let (element, rest) = rest.split_once(';').ok_or_else(refused)?;
    element.parse().map(|element| (Some(element), rest)).map_err(|_| refused())
}

/// Splits `<namespace>;<identifier>`. A URI may contain semicolons itself, so the first one that opens an identifier
/// counts.
fn split_at_identifier(text: &str, is_uri: bool) -> Result<(&str, &str), AddressError> {
    text.match_indices(';')
        .map(|(at, _)| (&text[..at], &text[at + 1..]))
        .find(|(_, rest)| !is_uri || ["i=", "s=", "g=", "b="].iter().any(|prefix| rest.starts_with(prefix)))
        .ok_or_else(|| AddressError::Identifier(text.to_owned()))
}

fn parse_identifier(text: &str) -> Result<Identifier, AddressError> {
    let refused = || AddressError::Identifier(text.to_owned());
    let (prefix, value) = text.split_once('=').ok_or_else(refused)?;
    match prefix {
        "i" => value.parse().map(Identifier::Numeric).map_err(|_| refused()),
        "s" if !value.is_empty() => Ok(Identifier::String(value.into())),
        "g" => Guid::from_str(value).map(Identifier::Guid).map_err(|_| refused()),
        "b" => opcua_types::ByteString::from_base64(value).map(Identifier::ByteString).ok_or_else(refused),
        _ => Err(refused()),
    }
}

impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(element) = self.element {
            write!(f, "element={element};")?;
        }
        match &self.namespace {
            Namespace::Index(0) => {}
            Namespace::Index(index) => write!(f, "ns={index};")?,
            Namespace::Uri(uri) => write!(f, "nsu={uri};")?,
        }
        match &self.identifier {
            Identifier::Guid(guid) => write!(f, "g={guid}"),
            other => write!(f, "{other}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces() -> Vec<String> {
        ["http://opcfoundation.org/UA/", "urn:server", "http://example.org/plant"].map(String::from).to_vec()
    }

    #[test]
    fn f47_an_address_by_uri_follows_the_namespace_wherever_it_stands() {
        let address: NodeAddress = "nsu=http://example.org/plant;s=A;B=1".parse().unwrap();
        assert_eq!(address.resolve(&namespaces()), Some(NodeId::new(2, "A;B=1")));
        let mut reordered = namespaces();
        reordered.swap(1, 2);
        assert_eq!(address.resolve(&reordered), Some(NodeId::new(1, "A;B=1")));
        assert_eq!(address.resolve(&reordered[..1]), None);
    }

    #[test]
    fn every_form_survives_printing_and_parsing() {
        for text in [
            "i=2258",
            "ns=2;s=Reactor.Temperature",
            "ns=3;g=72962b91-fa75-4ae6-8d28-b404dc7daf63",
            "ns=1;b=AQIDBA==",
            "nsu=urn:plant;v=1;i=7",
            "element=3;nsu=urn:plant;s=Path",
        ] {
            let address: NodeAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
    }

    #[test]
    fn the_address_of_a_node_leads_to_it_also_on_a_server_with_other_indices() {
        let names = namespaces();
        for node in [NodeId::new(2, "A;B=1"), NodeId::new(0, 85), NodeId::new(9, 7)] {
            let address = NodeAddress::of(&node, &names);
            assert_eq!(address.to_string().parse(), Ok(address.clone()));
            assert_eq!(address.resolve(&names), (node.namespace < 9).then_some(node));
        }
        assert_eq!(NodeAddress::of(&NodeId::new(2, "A"), &names).to_string(), "nsu=http://example.org/plant;s=A");
    }

    #[test]
    fn nonsense_is_refused_with_the_offending_part() {
        for text in [
            "",
            "x",
            "i=",
            "i=-1",
            "ns=;i=1",
            "ns=65536;i=1",
            "nsu=;i=1",
            "nsu=urn:x",
            "g=12",
            "b=%",
            "€=1",
            "s=",
            "element=3",
            "element=-1;i=1",
        ] {
            assert!(text.parse::<NodeAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_index_beyond_the_servers_namespaces_does_not_resolve() {
        let address: NodeAddress = "ns=9;i=1".parse().unwrap();
        assert_eq!(address.resolve(&namespaces()), None);
    }
}

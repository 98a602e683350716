//! `corerl io browse`: what lies on a server, as a tree.

use std::collections::HashSet;

use clap::Args;
use serde::Serialize;
use ua_session::{ChildNode, NodeAddress, NodeClass, NodeDescription, NodeId, NodeKind, ReadValue};

use super::line::{Line, Server, failed};
use super::read::{quality, value_of};
use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text, table};

/// The folder in which a server shows its plant, and the object in which it shows itself (Part 5, 8.2.4 and 8.3.2).
pub(super) const OBJECTS: &str = "i=85";
const SERVER: u32 = 2253;
/// A server that has more is looked at in parts.
const NODES_MAX: usize = 10_000;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  corerl io browse --config site.yaml\n  \
                        corerl io browse 'nsu=urn:example:plant;s=Reactor' --depth 2 --config site.yaml\n\n\
                        The node's address is what `node_identifier` in the site file wants.")]
pub(super) struct BrowseArguments {
    /// Where to begin.
    #[arg(default_value = OBJECTS)]
    node: NodeAddress,
    #[command(flatten)]
    server: Server,
    /// How deep to look.
    #[arg(long, default_value_t = 5)]
    depth: usize,
    /// Show what the server says of itself, too.
    #[arg(long)]
    all: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// One node of the tree.
#[derive(Debug, Serialize)]
struct Leaf {
    depth: usize,
    name: String,
    node: String,
    #[serde(flatten)]
    variable: Option<Variable>,
}

/// What a variable is besides.
#[derive(Debug, Serialize)]
struct Variable {
    data_type: String,
    access: &'static str,
    value: Option<f64>,
    quality: String,
}

pub(super) fn run(arguments: &BrowseArguments) -> Result<Exit, Failure> {
    #[derive(Serialize)]
    struct Tree {
        nodes: Vec<Leaf>,
    }
    let (site, index) = arguments.server.find()?;
    let mut line = Line::connect(&site, &site.connections[index])?;
    let nodes = grow(&mut line, arguments)?;
    line.close();
    if arguments.json {
        print_json("corerl.nodes/1", &Tree { nodes })?;
    } else if nodes.is_empty() {
        eprintln!("there is nothing below {}", arguments.node);
    } else {
        print_text(&drawn(&nodes))?;
    }
    Ok(Exit::Fine)
}

fn grow(line: &mut Line, arguments: &BrowseArguments) -> Result<Vec<Leaf>, Failure> {
    let found = walk(line, &arguments.node, arguments.depth, arguments.all)?;
    let variables = found.iter().filter(|found| found.child.class == NodeClass::Variable);
    let variables: Vec<_> = variables.map(|found| found.child.id.clone()).collect();
    let mut variables = describe(line, &variables)?.into_iter();
    let namespaces = line.session.namespaces();
    let leaf = |Found { depth, child }: Found| Leaf {
        depth,
        node: NodeAddress::of(&child.id, namespaces).to_string(),
        variable: (child.class == NodeClass::Variable).then(|| variables.next()).flatten(),
        name: child.name,
    };
    Ok(found.into_iter().map(leaf).collect())
}

/// A node, and how far it lies below the one where the way began: those below it come right behind it.
pub(super) struct Found {
    pub(super) depth: usize,
    pub(super) child: ChildNode,
}

/// Everything below `root`; `all`: what the server says of itself, too.
pub(super) fn walk(line: &mut Line, root: &NodeAddress, deepest: usize, all: bool) -> Result<Vec<Found>, Failure> {
    let root = line.session.resolve(root).map_err(|error| Failure::new(Exit::Unavailable, error))?;
    let mut found = Vec::new();
    let mut seen = HashSet::from([root.clone()]);
    if !all {
        seen.insert(NodeId::new(0, SERVER));
    }
    below(line, &root, 0, deepest, &mut seen, &mut found)?;
    if found.len() >= NODES_MAX {
        eprintln!("the first {NODES_MAX} nodes; begin further down to see others");
    }
    Ok(found)
}

/// Takes in everything below a node, each one once, however many ways lead to it.
fn below(
    line: &mut Line,
    node: &NodeId,
    depth: usize,
    deepest: usize,
    seen: &mut HashSet<NodeId>,
    found: &mut Vec<Found>,
) -> Result<(), Failure> {
    let deadline = line.deadline_ns();
    let mut children = line.session.browse(node, deadline).map_err(|error| failed("browsing", error))?;
    children.sort_by(|a, b| a.name.cmp(&b.name));
    for child in children {
        if found.len() >= NODES_MAX || !seen.insert(child.id.clone()) {
            continue;
        }
        let id = child.id.clone();
        found.push(Found { depth, child });
        if depth + 1 < deepest {
            below(line, &id, depth + 1, deepest, seen, found)?;
        }
    }
    Ok(())
}

fn describe(line: &mut Line, nodes: &[NodeId]) -> Result<Vec<Variable>, Failure> {
    let deadline = line.deadline_ns();
    let described =
        line.session.describe(nodes, deadline).map_err(|error| failed("asking what the nodes are", error))?;
    let mut plan = line.session.prepare_read(nodes).map_err(|error| Failure::new(Exit::Unavailable, error))?;
    let mut values = vec![ReadValue::MISSING; nodes.len()];
    let deadline = line.deadline_ns();
    line.session.read(&mut plan, &mut values, deadline).map_err(|error| failed("reading", error))?;
    let variable = |(of, value): (NodeDescription, &ReadValue)| Variable {
        data_type: match of.kind {
            NodeKind::Scalar(kind) => format!("{kind:?}"),
            NodeKind::Array(Some(kind)) => format!("{kind:?}[]"),
            NodeKind::Array(None) => "array".to_owned(),
            NodeKind::Other => "other".to_owned(),
        },
        access: match (of.readable, of.writable) {
            (true, true) => "read, write",
            (true, false) => "read",
            (false, true) => "write",
            (false, false) => "none",
        },
        value: value.value.is_finite().then_some(value.value),
        quality: quality(value.status),
    };
    Ok(described.into_iter().zip(&values).map(variable).collect())
}

fn drawn(nodes: &[Leaf]) -> String {
    let row = |leaf: &Leaf| {
        let name = format!("{}{}", "  ".repeat(leaf.depth), leaf.name);
        let [data_type, access, value] = match &leaf.variable {
            Some(of) => {
                [of.data_type.clone(), of.access.to_owned(), of.value.map_or_else(|| of.quality.clone(), value_of)]
            }
            None => [const { String::new() }; 3],
        };
        [name, data_type, access, value, leaf.node.clone()]
    };
    let heading = ["name", "type", "access", "value", "node"].map(str::to_owned);
    table(&std::iter::once(heading).chain(nodes.iter().map(row)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_shows_what_a_site_file_needs() {
        let variable = Variable {
            data_type: "Double".to_owned(),
            access: "read, write",
            value: Some(0.25),
            quality: "Good".to_owned(),
        };
        let nodes = [
            Leaf { depth: 0, name: "plant".into(), node: "nsu=urn:p;s=plant".into(), variable: None },
            Leaf { depth: 1, name: "u".into(), node: "nsu=urn:p;s=plant.u".into(), variable: Some(variable) },
        ];
        assert_eq!(
            drawn(&nodes),
            "name   type    access       value  node\n\
             plant                              nsu=urn:p;s=plant\n\
             \x20 u    Double  read, write  0.25   nsu=urn:p;s=plant.u\n"
        );
    }
}

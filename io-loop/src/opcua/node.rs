//! What is asked of a server's nodes before any of them is used.

use rt_core::setpoint::ScalarKind;
use rt_core::time::Span;
use ua_session::{NodeAddress, NodeDescription, NodeKind, Scale, Session, StatusName, ValueId};

use super::translate::{core_kind, is_good};

/// A node with the name under which people know it.
#[derive(Clone, Debug)]
pub struct BoundNode {
    /// The tag's name in the site file.
    pub name: String,
    /// Where it is on the server.
    pub address: NodeAddress,
    /// What its data type has to be good for.
    pub demand: Demand,
    /// What the site file says of its numbers: their unit, and where they are measured or may be written.
    pub scale: Scale,
}

/// What a node's data type has to be good for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Demand {
    /// For a number.
    Number,
    /// For a setpoint whose movement is limited.
    Steps(Pace),
    /// For every whole number from zero to this one.
    Whole(f64),
}

/// How fast a setpoint may be moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Engineering units per second.
    pub rate: f64,
    /// The control period, in which it moves once.
    pub period: Span,
}

/// Where the values are on this server.
///
/// # Errors
/// Names every node whose namespace the server does not have.
pub(super) fn locate<'a>(
    nodes: impl Iterator<Item = &'a BoundNode>,
    session: &Session,
) -> Result<Vec<ValueId>, String> {
    collect_all(nodes.map(|node| session.locate(&node.address).map_err(|error| format!("{}: {error}", node.name))))
}

/// What is written is written by one of our outputs alone, however its node is spelled: an alarm must not move a setpoint.
///
/// # Errors
/// Names two outputs that share a node.
pub(super) fn distinguish(outputs: &[BoundNode], values: &[ValueId]) -> Result<(), String> {
    let written = || outputs.iter().zip(values);
    for (place, (node, value)) in written().enumerate() {
        if let Some((other, _)) = written().take(place).find(|(_, earlier)| *earlier == value) {
            let (node, other, address) = (&node.name, &other.name, &node.address);
            return Err(format!(
                "`{other}` and `{node}` would be written to the same node {address}: give each its own"
            ));
        }
    }
    Ok(())
}

/// Every node must be there, be a number, and permit what we want of it. The data types of the outputs.
///
/// # Errors
/// All complaints at once.
pub(super) fn inspect(
    inputs: &[BoundNode],
    outputs: &[BoundNode],
    described: &[NodeDescription],
) -> Result<Vec<ScalarKind>, String> {
    let (read, written) = described.split_at_checked(inputs.len()).unwrap_or((described, &[]));
    let readable = inputs
        .iter()
        .zip(read)
        .map(|(node, found)| scalar(node, found).and_then(|kind| permit(node, found.readable, "read").map(|()| kind)));
    let writable = outputs.iter().zip(written).map(|(node, found)| {
        scalar(node, found).and_then(|kind| {
            permit(node, found.writable, "written")?;
            can_serve(node, kind).map(|()| kind)
        })
    });
    let kinds = collect_all(readable.chain(writable))?;
    Ok(kinds.into_iter().skip(inputs.len()).collect())
}

/// All values, or all complaints in one sentence.
fn collect_all<T>(results: impl Iterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
    let (mut good, mut complaints) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(complaint) => complaints.push(complaint),
        }
    }
    if complaints.is_empty() { Ok(good) } else { Err(complaints.join("; ")) }
}

/// A whole number that may not move by one at a time never moves: what is left of a step is not added up.
fn can_serve(node: &BoundNode, kind: ScalarKind) -> Result<(), String> {
    let BoundNode { name, address, demand, .. } = node;
    match *demand {
        Demand::Number => Ok(()),
        Demand::Steps(Pace { rate, period }) => {
            let period_s = period.as_seconds();
            let step = rate * period_s;
            if kind.holds(0.5) || step >= 1.0 {
                return Ok(());
            }
            let least = 1.0 / period_s;
            Err(format!(
                "tag `{name}`: node {address} holds whole numbers, and a rate of {rate} moves it by {step} in one control period, \
                 which is never one: write a rate of at least {least} in runtime.limits, or `unlimited`"
            ))
        }
        Demand::Whole(greatest) if kind.holds(0.0) && kind.holds(greatest) => Ok(()),
        Demand::Whole(_) => Err(format!(
            "{name}: node {address} is too small for it: name a node of type Double, UInt64 or Int64 in the site file"
        )),
    }
}

fn scalar(node: &BoundNode, found: &NodeDescription) -> Result<ScalarKind, String> {
    let BoundNode { name, address, .. } = node;
    if !is_good(found.status) {
        return Err(format!(
            "tag `{name}`: the server knows no readable node {address} ({}): correct node_identifier in the site file",
            StatusName(found.status)
        ));
    }
    match (found.kind, address.element()) {
        (NodeKind::Scalar(kind), None) | (NodeKind::Array(Some(kind)), Some(_)) => Ok(core_kind(kind)),
        (NodeKind::Scalar(_), Some(_)) => Err(format!(
            "tag `{name}`: node {address} is a single number, and no array: take `element=` out of node_identifier"
        )),
        (NodeKind::Array(Some(_)), None) => Err(format!(
            "tag `{name}`: node {address} is an array, a single number is needed: write node_identifier: element=0;{address}"
        )),
        (NodeKind::Array(None), _) => Err(format!(
            "tag `{name}`: node {address} is an array, and not of numbers: correct node_identifier in the site file"
        )),
        (NodeKind::Other, _) => {
            Err(format!("tag `{name}`: node {address} holds no number: correct node_identifier in the site file"))
        }
    }
}

fn permit(node: &BoundNode, permitted: bool, verb: &str) -> Result<(), String> {
    let BoundNode { name, address, .. } = node;
    if permitted {
        return Ok(());
    }
    Err(format!(
        "tag `{name}`: node {address} may not be {verb} by this user: change the server's access level or the user"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_that_its_rate_never_moves_is_refused_with_the_smallest_rate_that_does() {
        let node = |rate: Option<f64>| BoundNode {
            name: "VALVE".into(),
            address: "ns=2;s=Valve".parse().unwrap(),
            demand: rate.map_or(Demand::Number, |rate| Demand::Steps(Pace { rate, period: Span::from_ms(5) })),
            scale: Scale::default(),
        };
        let refused = can_serve(&node(Some(199.0)), ScalarKind::Int16).unwrap_err();
        assert!(refused.contains("`VALVE`") && refused.contains("a rate of at least 200 "), "{refused}");
        assert!(can_serve(&node(Some(0.1)), ScalarKind::Boolean).is_err());
        assert_eq!(can_serve(&node(Some(200.0)), ScalarKind::Int16), Ok(()));
        assert_eq!(can_serve(&node(None), ScalarKind::UInt64), Ok(()));
        for kind in [ScalarKind::Float, ScalarKind::Double] {
            assert_eq!(can_serve(&node(Some(1e-3)), kind), Ok(()));
        }
    }

    #[test]
    fn a_claim_s_tag_has_to_hold_every_token() {
        let node = BoundNode {
            name: "the lease".into(),
            address: "ns=2;s=Lease".parse().unwrap(),
            demand: Demand::Whole(crate::TOKEN_MAX),
            scale: Scale::default(),
        };
        for kind in [ScalarKind::Double, ScalarKind::UInt64, ScalarKind::Int64] {
            assert_eq!(can_serve(&node, kind), Ok(()));
        }
        for kind in [ScalarKind::Float, ScalarKind::UInt32, ScalarKind::Int32, ScalarKind::Boolean] {
            assert!(can_serve(&node, kind).is_err_and(|text| text.contains("UInt64")), "{kind:?}");
        }
    }
}

//! What the server offers, as data: every node of a plant with its name, type, access, unit and range.
//!
//! `--list` prints it, and the address space is built from it, so that the two cannot differ.

use plants::{Plant, Signal};
use serde::Serialize;

/// The namespace of all nodes of the plant.
pub(crate) const NAMESPACE_URI: &str = "urn:corerl:plant";

/// The index that the namespace has in this server (0 is OPC UA's own, 1 the server's).
pub(crate) const NAMESPACE_INDEX: u16 = 2;

/// What a node is to the plant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "role", content = "index")]
pub(crate) enum Role {
    /// The plant reads it: `Plant::inputs()[index]`.
    Input(usize),
    /// The plant writes it: `Plant::outputs()[index]`.
    Output(usize),
    /// The plant's own reward of the last step.
    Reward,
    /// A counter that a controller writes while it is in charge.
    Heartbeat,
    /// True while a controller says that something is the matter with it: a lamp.
    Alarm,
    /// Which controller is in charge, as controllers settle it among themselves.
    Lease,
    /// True while a controller sets the inputs; else the plant's own logic holds them at their nominal values.
    Remote,
    /// Somebody at the plant lets the controller set the inputs again, if it beats; false again at the next step.
    Rearm,
    /// Steps done.
    Step,
    /// Steps that were skipped because this program was late.
    StepsSkipped,
    /// The plant's own time, seconds: steps done times the length of a step.
    Time,
    /// True while the plant stands still and its outputs keep their values and timestamps.
    FaultFreeze,
    /// True while the outputs are not a number, with good quality.
    FaultNan,
    /// True while the outputs have bad quality.
    FaultBadQuality,
    /// True: the subscriptions that there are hear nothing of the plant any more; false again at the next step.
    FaultMute,
    /// True while the outputs are told to subscribers thousands of times a step.
    FaultFlood,
}

/// The data type of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) enum DataType {
    /// 64-bit floating point.
    Double,
    /// Unsigned, 16 bits.
    UInt16,
    /// Unsigned, 32 bits.
    UInt32,
    /// Unsigned, 64 bits.
    UInt64,
    /// True or false.
    Boolean,
}

/// One variable of the server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Node {
    /// `ns=2;s=saturation.u`.
    pub(crate) node_id: String,
    /// The identifier without its namespace: `saturation.u`.
    #[serde(skip)]
    pub(crate) identifier: String,
    /// The name shown to people.
    pub(crate) name: String,
    /// The data type.
    pub(crate) data_type: DataType,
    /// Clients may write it.
    pub(crate) writable: bool,
    /// The engineering unit, if it has one.
    pub(crate) unit: Option<&'static str>,
    /// The ends of the range, if it has one.
    pub(crate) range: Option<(f64, f64)>,
    /// The value at the start.
    pub(crate) initial: f64,
    /// What it is to the plant.
    #[serde(flatten)]
    pub(crate) role: Role,
}

/// All nodes of a plant, inputs first, then outputs, in the order of the plant.
pub(crate) fn nodes(plant: &dyn Plant) -> Vec<Node> {
    let signal = |signal: &Signal, role| Node {
        unit: Some(signal.unit),
        range: Some((signal.lo, signal.hi)),
        initial: signal.nominal,
        ..bare(plant.name(), signal.name, DataType::Double, role)
    };
    let inputs = plant.inputs().iter().enumerate().map(|(index, input)| signal(input, Role::Input(index)));
    let outputs = plant.outputs().iter().enumerate().map(|(index, output)| signal(output, Role::Output(index)));
    let others = [
        ("Reward", DataType::Double, Role::Reward),
        ("Heartbeat", DataType::UInt16, Role::Heartbeat),
        ("Alarm", DataType::Boolean, Role::Alarm),
        ("Lease", DataType::UInt64, Role::Lease),
        ("Remote", DataType::Boolean, Role::Remote),
        ("Rearm", DataType::Boolean, Role::Rearm),
        ("Step", DataType::UInt32, Role::Step),
        ("StepsSkipped", DataType::UInt32, Role::StepsSkipped),
        ("Time", DataType::Double, Role::Time),
        ("Faults.freeze", DataType::Boolean, Role::FaultFreeze),
        ("Faults.nan", DataType::Boolean, Role::FaultNan),
        ("Faults.bad_quality", DataType::Boolean, Role::FaultBadQuality),
        ("Faults.mute", DataType::Boolean, Role::FaultMute),
        ("Faults.flood", DataType::Boolean, Role::FaultFlood),
    ]
    .map(|(name, data_type, role)| bare(plant.name(), name, data_type, role));
    inputs.chain(outputs).chain(others).collect()
}

fn bare(plant: &str, name: &str, data_type: DataType, role: Role) -> Node {
    let identifier = format!("{plant}.{name}");
    Node {
        node_id: format!("ns={NAMESPACE_INDEX};s={identifier}"),
        identifier,
        name: name.to_owned(),
        data_type,
        writable: match role {
            Role::Input(_) | Role::Heartbeat | Role::Alarm | Role::Lease | Role::Rearm => true,
            Role::FaultFreeze | Role::FaultNan | Role::FaultBadQuality | Role::FaultMute | Role::FaultFlood => true,
            Role::Output(_) | Role::Reward | Role::Remote | Role::Step | Role::StepsSkipped | Role::Time => false,
        },
        unit: None,
        range: None,
        initial: if role == Role::Remote { 1.0 } else { 0.0 },
        role,
    }
}

/// The nodes as a table for people.
pub(crate) fn table(nodes: &[Node]) -> String {
    let width = nodes.iter().map(|node| node.node_id.len()).max().unwrap_or(0);
    let mut text = format!("{:width$}  {:8}  {:6}  {:5}  range\n", "node", "type", "access", "unit");
    for node in nodes {
        let range = node.range.map_or(String::new(), |(lo, hi)| format!("{lo} to {hi}"));
        let access = if node.writable { "write" } else { "read" };
        text += format!(
            "{:width$}  {:8}  {access:6}  {:5}  {range}",
            node.node_id,
            format!("{:?}", node.data_type),
            node.unit.unwrap_or("")
        )
        .trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_ids_are_readable_unique_and_only_what_a_controller_sets_is_writable() {
        for name in plants::NAMES {
            let plant = plants::by_name(name, 1).unwrap();
            let nodes = nodes(plant.as_ref());
            let mut ids: Vec<_> = nodes.iter().map(|node| node.node_id.as_str()).collect();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), nodes.len());
            for node in &nodes {
                assert_eq!(node.node_id, format!("ns=2;s={name}.{}", node.name));
                let set_by_plant = matches!(
                    node.role,
                    Role::Output(_) | Role::Reward | Role::Remote | Role::Step | Role::StepsSkipped | Role::Time
                );
                assert_eq!(node.writable, !set_by_plant, "{}", node.node_id);
            }
        }
    }

    #[test]
    fn the_table_has_one_line_per_node_and_a_heading() {
        let plant = plants::by_name("saturation", 1).unwrap();
        let nodes = nodes(plant.as_ref());
        let table = table(&nodes);
        assert_eq!(table.lines().count(), nodes.len() + 1);
        assert!(table.contains("ns=2;s=saturation.u "));
        assert!(table.contains("0 to 0.5"));
    }
}

//! What is seen of an agent, as variables with their values.

use opcua_types::{DataTypeId, StatusCode, Variant};

use crate::agent::{Seen, SeenSetpoint};

/// One variable and its value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fact {
    /// The folders on the way to it from the agent's own.
    pub(crate) folders: Vec<String>,
    pub(crate) name: &'static str,
    pub(crate) data_type: DataTypeId,
    /// A value, or why there is none.
    pub(crate) value: Result<Variant, StatusCode>,
    pub(crate) kind: Kind,
}

/// What a variable is besides.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Nothing.
    Plain,
    /// A number out of a list of names (MultiStateDiscreteType, Part 8, 5.3.3.3).
    Mode,
    /// A quantity with a unit and a range (AnalogItemType, Part 8, 5.3.2.3).
    Analog { unit: String, range: (f64, f64) },
}

/// Everything that an agent shows.
pub(crate) fn of(seen: &Seen) -> Vec<Fact> {
    let fact = |name, data_type, value, kind| Fact { folders: Vec::new(), name, data_type, value, kind };
    let count = |name, value: Option<u64>| fact(name, DataTypeId::UInt64, given(value), Kind::Plain);
    let mut facts = vec![
        fact("Mode", DataTypeId::UInt32, given(seen.mode), Kind::Mode),
        count("Heartbeat", Some(seen.cycles)),
        fact("Reward", DataTypeId::Double, given(seen.reward), Kind::Plain),
        count("PolicyVersion", seen.policy_generation),
        count("LostSlots", Some(seen.lost_slots)),
    ];
    facts.extend(seen.setpoints.iter().flat_map(of_setpoint));
    facts
}

fn of_setpoint(of: &SeenSetpoint) -> [Fact; 5] {
    let analog = || Kind::Analog { unit: of.unit.clone(), range: of.bounds };
    let fact = |folder: Option<&str>, name, data_type, value, kind| Fact {
        folders: std::iter::once(of.name.as_str()).chain(folder).map(str::to_owned).collect(),
        name,
        data_type,
        value,
        kind,
    };
    let (low, high) = of.bounds;
    let double = DataTypeId::Double;
    [
        fact(None, "SetpointRaw", double, given(of.raw), analog()),
        fact(None, "Setpoint", double, given(of.sent), analog()),
        fact(None, "Clamped", DataTypeId::Boolean, Ok(of.is_clamped.into()), Kind::Plain),
        fact(Some("Bounds"), "Low", double, Ok(low.into()), analog()),
        fact(Some("Bounds"), "High", double, Ok(high.into()), analog()),
    ]
}

fn given(value: Option<impl Into<Variant>>) -> Result<Variant, StatusCode> {
    value.map(Into::into).ok_or(StatusCode::BadNoData)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setpoint_that_is_not_written_has_no_data_and_everything_else_has() {
        let setpoint = SeenSetpoint {
            name: "PH_SP".to_owned(),
            unit: "pH".to_owned(),
            bounds: (6.0, 8.0),
            raw: Some(9.0),
            sent: None,
            is_clamped: true,
        };
        let seen = Seen {
            mode: Some(1),
            policy_generation: Some(3),
            cycles: 7,
            lost_slots: 0,
            reward: Some(-0.5),
            setpoints: vec![setpoint],
        };
        let facts = of(&seen);
        let without: Vec<_> = facts.iter().filter(|fact| fact.value.is_err()).map(|fact| fact.name).collect();
        assert_eq!((facts.len(), without), (10, vec!["Setpoint"]));
        assert_eq!(facts[6].value, Err(StatusCode::BadNoData));
        assert_eq!(facts[8].folders, ["PH_SP", "Bounds"]);
    }
}

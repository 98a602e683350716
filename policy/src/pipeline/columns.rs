//! The names and scales of the state's columns: what a policy was trained for.

use rt_config::{Range, Site};
use serde::{Deserialize, Serialize};

/// One column of the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// `TAG@decay` for a trace, `TAG.lo` and `TAG.hi` for the bounds of an action.
    pub name: String,
    /// The engineering unit, possibly empty.
    pub unit: String,
    /// The value in engineering units that the column's 0 stands for.
    pub zero: f64,
    /// The value in engineering units that the column's 1 stands for.
    pub one: f64,
}

/// The state's columns, in their order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Columns(Vec<Column>);

impl Columns {
    /// The columns of this site.
    pub fn of(site: &Site) -> Self {
        let mut columns = Vec::with_capacity(column_count(site));
        let column = |name: String, unit: &str, range: Option<Range>| {
            let (zero, one) = range.map_or((0.0, 1.0), |range| (range.lo, range.hi));
            Column { name, unit: unit.to_owned(), zero, one }
        };
        for tag in site.tags.iter().filter(|tag| tag.in_state) {
            for decay in &site.agent.traces {
                columns.push(column(format!("{}@{decay}", tag.name), &tag.unit, tag.normal_range));
            }
        }
        for setpoint in &site.setpoints {
            let Some(tag) = site.tags.get(setpoint.tag.index()) else { continue };
            for end in ["lo", "hi"] {
                columns.push(column(format!("{}.{end}", tag.name), &tag.unit, Some(setpoint.scale)));
            }
        }
        Self(columns)
    }

    /// The columns.
    pub fn as_slice(&self) -> &[Column] {
        &self.0
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// How many columns the state has.
pub(crate) fn column_count(site: &Site) -> usize {
    let traced = site.tags.iter().filter(|tag| tag.in_state).count();
    traced * site.agent.traces.len() + 2 * site.setpoints.len()
}

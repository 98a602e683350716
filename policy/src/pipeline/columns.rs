//! The names and scales of the state's columns: what a policy was trained for.

use rt_config::{DecisionClock, Range, Site, Tag, TagKind};
use serde::{Deserialize, Serialize};

use super::clock;

/// The decision clock's column; with one per observation, how many are left stands behind it.
const CLOCK: &str = "decision_clock";

/// One column of the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// `TAG@decay` for a trace, `TAG@-n` for the value of `n` observations before, `TAG.lo` and `TAG.hi` for the bounds of an
    /// action, `TAG.sin` and `TAG.cos` for a season, `decision_clock` or, in one column for each number of observations that
    /// may be left, `decision_clock=0` and so on.
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
        for (_, tag) in traced(site) {
            for decay in &site.agent.traces {
                columns.push(column(format!("{}@{decay}", tag.name), &tag.unit, tag.normal_range));
            }
        }
        for (_, tag) in traced(site) {
            for age in 1..=site.agent.past_values {
                columns.push(column(format!("{}@-{age}", tag.name), &tag.unit, tag.normal_range));
            }
        }
        for setpoint in &site.setpoints {
            let Some(tag) = site.tags.get(setpoint.tag.index()) else { continue };
            for end in ["lo", "hi"] {
                columns.push(column(format!("{}.{end}", tag.name), &tag.unit, Some(setpoint.scale)));
            }
        }
        for tag in site.tags.iter().filter(|tag| is_seasonal(tag)) {
            columns.push(column(tag.name.clone(), &tag.unit, tag.normal_range));
        }
        let every = site.observations_per_decision();
        match site.agent.decision_clock {
            DecisionClock::Off => {}
            DecisionClock::OneHot => {
                columns.extend((0..every).map(|left| column(format!("{CLOCK}={left}"), "", None)));
            }
            DecisionClock::Countdown => {
                let whole = Range { lo: 0.0, hi: every as f64 };
                columns.push(column(CLOCK.to_owned(), "", Some(whole)));
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
    let seasonal = site.tags.iter().filter(|tag| is_seasonal(tag)).count();
    let clock = clock::columns(site.agent.decision_clock, site.observations_per_decision());
    let of_a_tag = site.agent.traces.len() + site.agent.past_values;
    traced(site).count() * of_a_tag + 2 * site.setpoints.len() + seasonal + clock
}

/// The tags of the state that have traces, each with its place in the site's list. A season has none: it is smooth and known.
pub(super) fn traced(site: &Site) -> impl Iterator<Item = (usize, &Tag)> {
    site.tags.iter().enumerate().filter(|(_, tag)| tag.in_state && !is_seasonal(tag))
}

fn is_seasonal(tag: &Tag) -> bool {
    matches!(tag.kind, TagKind::Seasonal(..))
}

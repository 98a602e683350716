//! What the numbers of a recording mean, as its own site file says.

use rt_config::{Range, Site};
use rt_core::envelope::LimitsByMode;
use serde::Serialize;

/// The site that was recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Legend {
    /// Name of the site.
    pub site: String,
    /// Name of the agent.
    pub agent: String,
    /// Control period, nanoseconds.
    pub period_ns: u64,
    /// The tags, in the order of the records.
    pub tags: Vec<TagLegend>,
    /// The setpoints, in the order of the records.
    pub setpoints: Vec<SetpointLegend>,
    /// The alarms, in the order of the site: what they are written to.
    pub alarms: Vec<String>,
}

/// One tag.
#[derive(Clone, Debug, PartialEq)]
pub struct TagLegend {
    /// Its name.
    pub name: String,
    /// Its engineering unit; may be empty.
    pub unit: String,
    /// Its ranges by name, those that the site has.
    pub ranges: Vec<(Zone, Range)>,
}

/// A range of a tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Zone {
    /// A value outside counts as missing.
    Operating,
    /// Outside it is yellow.
    Yellow,
    /// Outside it is red.
    Red,
    /// What it is scaled by: the expected range, else another one.
    Normal,
}

/// One setpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct SetpointLegend {
    /// Its name, which is its tag's.
    pub name: String,
    /// Its engineering unit; may be empty.
    pub unit: String,
    /// What the envelope permits in each mode that writes, as the site file has it: limits that were changed live are told by
    /// an event.
    pub limits: LimitsByMode,
}

impl Zone {
    /// Its name: as the site file spells its key, where it is one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operating => "operating_range",
            Self::Yellow => "yellow_bounds",
            Self::Red => "red_bounds",
            Self::Normal => "normal_range",
        }
    }
}

impl Legend {
    pub(crate) fn of(site: &Site) -> Self {
        let alarms = site.connections.iter().flat_map(|connection| &connection.alarms);
        Self {
            site: site.name.clone(),
            agent: site.agent_name.clone(),
            period_ns: site.runtime.period.as_ns(),
            tags: site.tags.iter().map(TagLegend::of).collect(),
            setpoints: site.setpoints.iter().map(|setpoint| SetpointLegend::of(setpoint, site)).collect(),
            alarms: alarms.map(|alarm| alarm.node.clone()).collect(),
        }
    }
}

impl TagLegend {
    fn of(tag: &rt_config::Tag) -> Self {
        let ranges = [
            (Zone::Operating, tag.operating_range),
            (Zone::Yellow, tag.yellow_bounds),
            (Zone::Red, tag.red_bounds),
            (Zone::Normal, tag.normal_range),
        ];
        Self {
            name: tag.name.clone(),
            unit: tag.unit.clone(),
            ranges: ranges.into_iter().filter_map(|(zone, range)| Some((zone, range?))).collect(),
        }
    }

    /// One of its ranges.
    pub fn range(&self, zone: Zone) -> Option<Range> {
        self.ranges.iter().find(|(found, _)| *found == zone).map(|(_, range)| *range)
    }
}

impl SetpointLegend {
    fn of(setpoint: &rt_config::Setpoint, site: &Site) -> Self {
        let tag = site.tags.get(setpoint.tag.index());
        let (name, unit) = tag.map(|tag| (tag.name.clone(), tag.unit.clone())).unwrap_or_default();
        Self { name, unit, limits: setpoint.settings.limits }
    }
}

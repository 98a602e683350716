//! What a table says of the goals of a site: how often the reward could be computed, and how often tags were out of bounds.

use rt_config::{Range, Site};
use serde::Serialize;

use crate::source::{Source, SourceError};
use crate::table::{Cell, Table};

/// How the site's goals were met.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct GoalFacts {
    /// Observations on the site's grid.
    pub observations: u64,
    /// Those with every column of the state, from which a learner can learn.
    pub complete: u64,
    /// Those with a reward.
    pub rewarded: u64,
    /// Mean reward; none without.
    pub mean_reward: Option<f64>,
    /// The lowest reward.
    pub worst_reward: Option<f64>,
    /// Those after which a setpoint was moved.
    pub moves: u64,
    /// Tags that were out of a range of theirs.
    pub zones: Vec<ZoneFacts>,
}

/// How often a tag was out of its ranges, of the rows with a value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ZoneFacts {
    /// The tag.
    pub tag: String,
    /// Share out of the operating range: such a value counts as missing.
    pub out_of_operating: f64,
    /// Share in the red zone.
    pub red: f64,
    /// Share in the yellow zone or beyond it.
    pub yellow: f64,
}

impl GoalFacts {
    /// What a source says of this site, and the table that is told of it; every reward is handed on with its time.
    ///
    /// # Errors
    /// The source does not have what the site needs, or cannot be read.
    pub fn of(
        site: &Site,
        source: &Source,
        table: &Table,
        mut reward_at: impl FnMut(i64, f64),
    ) -> Result<Self, SourceError> {
        let mut facts = Self { zones: zones(site, table), ..Self::default() };
        let (mut sum, mut before) = (0.0, None);
        source.observe(site, |observation| {
            facts.observations += 1;
            facts.complete += u64::from(observation.complete);
            facts.moves += u64::from(before.as_ref().is_some_and(|before| *before != observation.action));
            before = Some(observation.action.clone());
            if let Some(reward) = observation.reward {
                facts.rewarded += 1;
                sum += reward;
                facts.worst_reward = Some(facts.worst_reward.map_or(reward, |worst: f64| worst.min(reward)));
                reward_at(observation.at_ns, reward);
            }
        })?;
        facts.mean_reward = (facts.rewarded > 0).then(|| sum / facts.rewarded as f64);
        Ok(facts)
    }
}

fn zones(site: &Site, table: &Table) -> Vec<ZoneFacts> {
    let of_tag = |tag: &rt_config::Tag| {
        let values: Vec<f64> = table.column(&tag.name)?.cells().filter_map(Cell::value).collect();
        let out = |range: Option<Range>| {
            let out = values.iter().filter(|value| range.is_some_and(|range| **value < range.lo || **value > range.hi));
            out.count() as f64 / values.len().max(1) as f64
        };
        let facts = ZoneFacts {
            tag: tag.name.clone(),
            out_of_operating: out(tag.operating_range),
            red: out(tag.red_bounds),
            yellow: out(tag.yellow_bounds),
        };
        (facts.out_of_operating + facts.red + facts.yellow > 0.0).then_some(facts)
    };
    site.tags.iter().filter_map(of_tag).collect()
}

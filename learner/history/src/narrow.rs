//! Tags that move within a small part of the range by which an agent sees them.
//!
//! What an agent sees of a tag is its place in its range. Of one that has the range of its instrument and moves within a few
//! percent of it, hardly more comes through than noise: what depends on it is learnt late, or not at all.

use rt_config::{Range, Site, Tag, TagKind};
use serde::Serialize;

use crate::statistics::TagFacts;

/// The part of its range that a tag should move in, at least.
const USED_MIN: f64 = 0.1;

/// A tag that hardly moves in its range.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NarrowFacts {
    /// The tag.
    pub tag: String,
    /// Its range: the expected one, or else the red, operating or yellow one.
    pub range: [f64; 2],
    /// The part of it in which 98 % of the values lie, below a tenth.
    pub used: f64,
}

impl NarrowFacts {
    /// The measured tags of a site that move in less than a tenth of their range, by what is known of each. Those that never
    /// change are not among them, nor are setpoints: their range is what the agent may do.
    #[must_use]
    pub fn of(site: &Site, tags: &[TagFacts]) -> Vec<Self> {
        let measured = site.tags.iter().filter(|tag| tag.kind == TagKind::Default);
        let known = |tag: &Tag| tags.iter().find(|facts| facts.name == tag.name);
        measured.filter_map(|tag| Self::of_tag(tag.normal_range?, known(tag)?)).collect()
    }

    fn of_tag(Range { lo, hi }: Range, facts: &TagFacts) -> Option<Self> {
        let used = (facts.high? - facts.low?) / (hi - lo);
        (used < USED_MIN && !facts.constant).then(|| Self { tag: facts.name.clone(), range: [lo, hi], used })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tag that was seen within these bounds.
    fn seen(name: &str, low: f64, high: f64) -> TagFacts {
        let [low_seen, high_seen] = [low, high].map(Some);
        TagFacts {
            name: name.to_owned(),
            values: 100,
            bad: 0,
            empty: 0,
            min: low_seen,
            max: high_seen,
            mean: low_seen,
            deviation: Some(high - low),
            low: low_seen,
            high: high_seen,
            constant: low == high,
            longest_gap_s: 1.0,
        }
    }

    #[test]
    fn a_measured_tag_that_moves_in_less_than_a_tenth_of_its_range_is_told() {
        let site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).unwrap().site;
        let (tag, range) = site
            .tags
            .iter()
            .find_map(|tag| Some((tag, tag.normal_range.filter(|_| tag.kind == TagKind::Default)?)))
            .unwrap();
        let width = range.hi - range.lo;
        let told = |part: f64| NarrowFacts::of(&site, &[seen(&tag.name, range.lo, range.lo + part * width)]);
        let [one] = &told(0.05)[..] else { panic!("{:?}", told(0.05)) };
        assert!(one.tag == tag.name && one.range == [range.lo, range.hi] && (one.used - 0.05).abs() < 1e-9, "{one:?}");
        assert!(told(0.11).is_empty() && told(0.0).is_empty(), "enough of it, and one that never changes");
    }

    #[test]
    fn a_setpoint_that_is_held_is_not_told() {
        let site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).unwrap().site;
        let setpoint = site.tags.iter().find(|tag| tag.kind == TagKind::Setpoint).unwrap();
        let lo = site.setpoints[0].nominal;
        assert!(NarrowFacts::of(&site, &[seen(&setpoint.name, lo, lo + 1e-6)]).is_empty());
    }
}

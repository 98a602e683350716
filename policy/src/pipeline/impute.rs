//! What stands in for a value that is missing, for a limited number of observations.

use rt_config::{Imputer, ImputerRule, Range, Tag};
use rt_core::carry::Carrier;

use super::{Values, clip};

/// The imputers of a site that go by the tag's own values.
#[derive(Clone, Debug)]
pub(super) struct Imputation(Vec<Stage>);

/// The imputer of one tag, and what it remembers.
#[derive(Clone, Debug)]
struct Stage {
    /// The tag's place in the site's list.
    index: usize,
    imputer: Imputer,
    /// What is imputed stays in here.
    range: Option<Range>,
    /// The last value, and what it changed by in one observation, if the one before it was there.
    last: Option<f64>,
    slope: f64,
    missing: u32,
}

impl Imputation {
    pub(super) fn new(tags: &[Tag]) -> Self {
        let stage = |(index, tag): (usize, &Tag)| Stage {
            index,
            imputer: tag.imputer,
            range: tag.operating_range.or(tag.normal_range),
            last: None,
            slope: 0.0,
            missing: 0,
        };
        let by_rule = |tag: &Tag| matches!(tag.imputer.rule, ImputerRule::Copy | ImputerRule::Linear);
        let stages = tags.iter().enumerate().filter(|(_, tag)| by_rule(tag)).map(stage);
        Self(stages.collect())
    }

    /// Fills in what is missing; a value that was filled in is as fresh as one that was read.
    pub(super) fn fill(&mut self, values: &mut Values, fresh: &mut [bool]) {
        for stage in &mut self.0 {
            let (Some(value), Some(fresh)) = (values.get_mut(stage.index), fresh.get_mut(stage.index)) else {
                continue;
            };
            let known = value.filter(|_| *fresh);
            match known {
                Some(known) => stage.note(known),
                None => {
                    if let Some(imputed) = stage.impute() {
                        (*value, *fresh) = (Some(imputed), true);
                    }
                }
            }
        }
    }

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        for Stage { index: _, imputer: _, range: _, last, slope, missing } in &mut self.0 {
            carrier.carry(last);
            carrier.carry(slope);
            carrier.carry(missing);
        }
    }
}

impl Stage {
    fn note(&mut self, value: f64) {
        // Between values that are farther apart it is anybody's guess where the change was.
        self.slope = self.last.filter(|_| self.missing == 0).map_or(0.0, |last| value - last);
        (self.last, self.missing) = (Some(value), 0);
    }

    fn impute(&mut self) -> Option<f64> {
        self.missing = self.missing.saturating_add(1);
        let last = self.last.filter(|_| self.missing <= self.imputer.horizon)?;
        let moved = match self.imputer.rule {
            ImputerRule::None | ImputerRule::MaskedAutoencoder { .. } => return None,
            ImputerRule::Copy => 0.0,
            ImputerRule::Linear => self.slope * f64::from(self.missing),
        };
        Some(self.range.map_or(last + moved, |range| clip(last + moved, range.lo, range.hi)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LEVEL, site};
    use proptest::prelude::*;

    fn imputation(rule: ImputerRule, horizon: u32) -> Imputation {
        let mut tags = site().tags;
        tags[LEVEL].imputer = Imputer { rule, horizon };
        Imputation::new(&tags)
    }

    /// What the tag's values become, one after the other.
    fn filled(rule: ImputerRule, horizon: u32, values: &[Option<f64>]) -> Vec<Option<f64>> {
        let mut imputation = imputation(rule, horizon);
        let fill = |value: &Option<f64>| {
            let (mut values, mut fresh) = (vec![None; LEVEL + 1], vec![false; LEVEL + 1]);
            (values[LEVEL], fresh[LEVEL]) = (*value, value.is_some());
            imputation.fill(&mut values, &mut fresh);
            assert_eq!(fresh[LEVEL], values[LEVEL].is_some());
            assert!(values.iter().take(LEVEL).all(Option::is_none), "no other tag has an imputer");
            values[LEVEL]
        };
        values.iter().map(fill).collect()
    }

    #[test]
    fn the_last_value_stands_in_until_the_horizon() {
        let values = [None, Some(0.25), None, None, None, Some(0.5), None];
        let expected = [None, Some(0.25), Some(0.25), Some(0.25), None, Some(0.5), Some(0.5)];
        assert_eq!(filled(ImputerRule::Copy, 2, &values), expected);
        assert_eq!(filled(ImputerRule::None, 2, &values), values);
    }

    #[test]
    fn a_line_goes_on_inside_the_range_and_not_from_a_gap() {
        // The operating range ends at 1.5.
        let values = [Some(0.5), Some(1.0), None, None, Some(1.25), None, Some(0.0), None];
        let expected = [Some(0.5), Some(1.0), Some(1.5), Some(1.5), Some(1.25), Some(1.25), Some(0.0), Some(0.0)];
        assert_eq!(filled(ImputerRule::Linear, 9, &values), expected);
    }

    #[test]
    fn an_old_value_is_missing_like_none() {
        let mut imputation = imputation(ImputerRule::Copy, 1);
        let mut fill = |value, is_fresh| {
            let (mut values, mut fresh) = (vec![None; LEVEL + 1], vec![is_fresh; LEVEL + 1]);
            values[LEVEL] = value;
            imputation.fill(&mut values, &mut fresh);
            (values[LEVEL], fresh[LEVEL])
        };
        assert_eq!(fill(Some(0.5), true), (Some(0.5), true));
        assert_eq!(fill(Some(0.75), false), (Some(0.5), true));
        assert_eq!(fill(Some(0.75), false), (Some(0.75), false), "beyond the horizon nothing is touched");
    }

    proptest! {
        #[test]
        fn what_is_known_is_never_touched_and_what_is_filled_in_is_in_range(
            values in proptest::collection::vec(proptest::option::of(0.0..1.5f64), 1..60),
            horizon in 1..10_u32,
        ) {
            let Range { lo, hi } = site().tags[LEVEL].operating_range.unwrap();
            for rule in [ImputerRule::Copy, ImputerRule::Linear] {
                let mut missing = 0;
                for (value, filled) in values.iter().zip(filled(rule, horizon, &values)) {
                    missing = if value.is_some() { 0 } else { missing + 1 };
                    prop_assert!(value.is_none() || *value == filled);
                    prop_assert!(filled.is_none_or(|filled| (lo..=hi).contains(&filled)));
                    prop_assert!(filled.is_none() || missing <= horizon);
                }
            }
        }
    }
}

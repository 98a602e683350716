//! Tags that are the change of what is read, per observation.

use rt_config::{Tag, TagKind};
use rt_core::carry::Carrier;

use super::Values;

/// The delta tags of a site.
#[derive(Clone, Debug)]
pub(super) struct Deltas(Vec<Stage>);

/// One delta tag, and what it remembers.
#[derive(Clone, Debug)]
struct Stage {
    /// The tag's place in the site's list.
    index: usize,
    /// What was read in the observation before.
    before: Option<f64>,
}

impl Deltas {
    pub(super) fn new(tags: &[Tag]) -> Self {
        let deltas = tags.iter().enumerate().filter(|(_, tag)| tag.kind == TagKind::Delta);
        Self(deltas.map(|(index, _)| Stage { index, before: None }).collect())
    }

    /// Puts the change in the place of what was read. There is none without a reading that is young enough in this
    /// observation and the one before, nor across a `gap`.
    pub(super) fn take(&mut self, raw: &mut Values, fresh: &[bool], gap: bool) {
        for Stage { index, before } in &mut self.0 {
            let (Some(value), Some(fresh)) = (raw.get_mut(*index), fresh.get(*index)) else { continue };
            let now = value.filter(|_| *fresh);
            let change = now.zip(before.filter(|_| !gap)).map(|(now, before)| now - before);
            *value = change.filter(|change| change.is_finite());
            *before = now;
        }
    }

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        self.0.iter_mut().for_each(|Stage { index: _, before }| carrier.carry(before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LEVEL, site};
    use proptest::prelude::*;

    /// What becomes of readings, each with whether it is fresh and whether a gap lies before it.
    fn changes(readings: &[(Option<f64>, bool, bool)]) -> Vec<Option<f64>> {
        let mut tags = site().tags;
        tags[LEVEL].kind = TagKind::Delta;
        let mut deltas = Deltas::new(&tags);
        let take = |&(reading, is_fresh, gap): &(Option<f64>, bool, bool)| {
            let (mut raw, fresh) = (vec![Some(7.0); tags.len()], vec![is_fresh; tags.len()]);
            raw[LEVEL] = reading;
            deltas.take(&mut raw, &fresh, gap);
            assert!(raw.iter().enumerate().all(|(index, value)| index == LEVEL || *value == Some(7.0)));
            raw[LEVEL]
        };
        readings.iter().map(take).collect()
    }

    #[test]
    fn the_first_reading_and_those_after_a_missing_or_old_one_or_a_gap_are_no_change() {
        let there = |value| (Some(value), true, false);
        let old = |value| (Some(value), false, false);
        let readings =
            [there(1.0), there(1.5), (None, true, false), there(2.0), there(1.0), (Some(5.0), true, true), there(5.5)];
        let expected = [None, Some(0.5), None, None, Some(-1.0), None, Some(0.5)];
        assert_eq!(changes(&readings), expected);
        assert_eq!(changes(&[there(1.0), old(2.0), there(3.0), there(4.0)]), [None, None, None, Some(1.0)]);
    }

    #[test]
    fn a_change_that_is_no_number_is_missing() {
        let there = |value| (Some(value), true, false);
        assert_eq!(changes(&[there(f64::MAX), there(f64::MIN), there(f64::MIN)]), [None, None, Some(0.0)]);
    }

    proptest! {
        #[test]
        fn changes_add_up_to_the_way_from_first_to_last(steps in prop::collection::vec(-1_000_i32..1_000, 1..50)) {
            let readings: Vec<_> = steps.iter().map(|step| (Some(f64::from(*step)), true, false)).collect();
            let sum: f64 = changes(&readings).iter().flatten().sum();
            prop_assert_eq!(sum, f64::from(steps[steps.len() - 1] - steps[0]));
        }
    }
}

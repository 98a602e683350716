//! Values that are odd, and therefore missing, though their quality is good and they are in their range.
//!
//! What a filter remembers of a value that it takes away is only that there was one: an outlier moves no average. It lies
//! behind the range check, so zones see what was read all the same.

use rt_config::{Filter, Tag};
use rt_core::carry::Carrier;
use rt_core::expression::Program;

use super::{Values, clip, flushed, value_of};

/// Values are cut to this magnitude before they are averaged, so that no square overflows.
const MAGNITUDE_MAX: f64 = 1e100;

/// The filters of a site, tag by tag, in the order in which a tag has them.
#[derive(Clone, Debug)]
pub(super) struct Filters(Vec<Stage>);

/// One filter of one tag.
#[derive(Clone, Debug)]
struct Stage {
    /// The tag's place in the site's list.
    index: usize,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Average(Average),
    Stuck(Stuck),
    Conditional(Box<Program>),
}

/// An exponential moving average of a tag, and of the square of the distance from it.
#[derive(Clone, Debug)]
struct Average {
    /// What a value counts for, once there were many.
    share_min: f64,
    tolerance: f64,
    deviation_min: f64,
    warmup: u32,
    mean: f64,
    variance: f64,
    /// Values in the average; it stops counting at the largest number.
    seen: u32,
    /// Outliers in a row.
    outliers: u32,
}

/// Where a tag is, and for how long.
#[derive(Clone, Debug)]
struct Stuck {
    within: f64,
    observations: u32,
    place: Option<f64>,
    /// Values near the place; it stops counting at the largest number.
    stayed: u32,
}

impl Filters {
    pub(super) fn new(tags: &[Tag]) -> Self {
        let of_tag = |(index, tag): (usize, &Tag)| {
            let stages: Vec<_> = tag.filters.iter().map(|filter| Stage { index, rule: Rule::of(filter) }).collect();
            stages
        };
        Self(tags.iter().enumerate().flat_map(of_tag).collect())
    }

    /// Takes away what is odd. Conditions see the values as they were read or computed, so that no filter depends on another
    /// tag's. A value counts for its tag's filters however old it is.
    pub(super) fn apply(&mut self, raw: &Values, values: &mut Values) {
        for Stage { index, rule } in &mut self.0 {
            let Some(slot) = values.get_mut(*index) else { continue };
            let Some(value) = *slot else { continue };
            let odd = match rule {
                Rule::Average(average) => average.is_odd(value),
                Rule::Stuck(stuck) => stuck.is_odd(value),
                // As an interlock, it holds while it is unknown.
                Rule::Conditional(condition) => {
                    condition.eval_with(|tag| value_of(raw, tag)).is_none_or(|condition| condition > 0.0)
                }
            };
            if odd {
                *slot = None;
            }
        }
    }

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        for Stage { index: _, rule } in &mut self.0 {
            match rule {
                Rule::Average(average) => average.carry(carrier),
                Rule::Stuck(stuck) => stuck.carry(carrier),
                Rule::Conditional(_) => {}
            }
        }
    }
}

impl Rule {
    fn of(filter: &Filter) -> Self {
        match filter {
            Filter::MovingAverage { decay, tolerance, deviation_min, warmup } => Self::Average(Average {
                share_min: 1.0 - decay,
                tolerance: *tolerance,
                deviation_min: *deviation_min,
                warmup: *warmup,
                mean: 0.0,
                variance: 0.0,
                seen: 0,
                outliers: 0,
            }),
            Filter::Stuck { within, observations } => {
                Self::Stuck(Stuck { within: *within, observations: *observations, place: None, stayed: 0 })
            }
            Filter::Conditional(condition) => Self::Conditional(condition.clone()),
        }
    }
}

impl Average {
    /// Whether the value is too far away; one that is not becomes part of the average. As many outliers in a row as make an
    /// average are a step of the plant: the average starts anew from the last one.
    fn is_odd(&mut self, value: f64) -> bool {
        let value = clip(value, -MAGNITUDE_MAX, MAGNITUDE_MAX);
        let deviation = self.variance.sqrt();
        let deviation = if deviation < self.deviation_min { self.deviation_min } else { deviation };
        let far = (value - self.mean).abs() > self.tolerance * deviation;
        if far && self.seen >= self.warmup {
            self.outliers = self.outliers.saturating_add(1);
            if self.outliers < self.warmup {
                return true;
            }
            self.seen = 0;
        }
        self.outliers = 0;
        self.take(value);
        false
    }

    fn take(&mut self, value: f64) {
        if self.seen == 0 {
            (self.mean, self.variance, self.seen) = (flushed(value), 0.0, 1);
            return;
        }
        self.seen = self.seen.saturating_add(1);
        // At first the plain average, which favours no value.
        let plain = 1.0 / f64::from(self.seen);
        let share = if plain > self.share_min { plain } else { self.share_min };
        let way = value - self.mean;
        self.mean = flushed(self.mean + share * way);
        self.variance = flushed((1.0 - share) * (self.variance + share * way * way));
    }

    fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { share_min: _, tolerance: _, deviation_min: _, warmup: _, mean, variance, seen, outliers } = self;
        carrier.carry(mean);
        carrier.carry(variance);
        carrier.carry(seen);
        carrier.carry(outliers);
    }
}

impl Stuck {
    /// Whether the value has stayed where it was for too long. It moves when it leaves the place where it came to rest, so a
    /// slow drift moves, too.
    fn is_odd(&mut self, value: f64) -> bool {
        let stays = self.place.is_some_and(|place| (value - place).abs() <= self.within);
        if !stays {
            (self.place, self.stayed) = (Some(value), 0);
        }
        self.stayed = self.stayed.saturating_add(1);
        self.stayed > self.observations
    }

    fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { within: _, observations: _, place, stayed } = self;
        carrier.carry(place);
        carrier.carry(stayed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LEVEL, QUALITY, site, tag};
    use proptest::prelude::*;
    use rt_core::expression::Op;

    fn filters(filters: &[Filter]) -> Filters {
        let mut tags = site().tags;
        tags[LEVEL].filters = filters.to_vec();
        Filters::new(&tags)
    }

    /// What becomes of the tag's values, one after the other, while another tag has these.
    fn beside(filters: &mut Filters, values: &[Option<f64>], other: &[Option<f64>]) -> Vec<Option<f64>> {
        let apply = |(value, other): (&Option<f64>, &Option<f64>)| {
            let mut values = vec![Some(7.0); LEVEL + 2];
            (values[LEVEL], values[QUALITY]) = (*value, *other);
            let raw = values.clone();
            filters.apply(&raw, &mut values);
            assert!((0..values.len()).all(|index| index == LEVEL || values[index] == raw[index]));
            values[LEVEL]
        };
        values.iter().zip(other).map(apply).collect()
    }

    fn left(filter: Filter, values: &[Option<f64>]) -> Vec<Option<f64>> {
        beside(&mut filters(&[filter]), values, &vec![None; values.len()])
    }

    fn all(values: &[f64]) -> Vec<Option<f64>> {
        values.iter().copied().map(Some).collect()
    }

    fn moving(decay: f64, warmup: u32) -> Filter {
        Filter::MovingAverage { decay, tolerance: 2.0, deviation_min: 0.25, warmup }
    }

    #[test]
    fn what_is_far_from_the_average_is_missing_after_the_warm_up() {
        // Within twice the smallest deviation, then beyond.
        let values = [1.0, 1.0, 1.0, 1.5, 9.0, 1.0, -9.0, 1.0];
        let mut expected = all(&values);
        (expected[4], expected[6]) = (None, None);
        assert_eq!(left(moving(0.99, 3), &all(&values)), expected);
        // Nothing is missing before there are as many values.
        assert_eq!(left(moving(0.99, 4), &all(&[1.0, 9.0, 1.0, 9.0])), all(&[1.0, 9.0, 1.0, 9.0]));
    }

    #[test]
    fn what_varies_may_vary() {
        // A deviation of 1 around 0: 2 is the edge.
        let wave: Vec<f64> = (0..40).map(|step| if step % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let with = |last| {
            let mut values = wave.clone();
            values.push(last);
            left(moving(0.99, 10), &all(&values)).pop().flatten()
        };
        assert_eq!(with(1.9), Some(1.9));
        assert_eq!(with(2.1), None);
        assert_eq!(with(-2.1), None);
    }

    #[test]
    fn an_outlier_moves_nothing_and_a_step_is_believed_after_as_many_values_as_the_warm_up() {
        let mut values = vec![1.0; 6];
        values.extend([9.0; 6]);
        let mut expected = all(&values);
        expected[6..8].fill(None);
        assert_eq!(left(moving(0.9, 3), &all(&values)), expected);
        // Outliers with good values between them are never believed, and a missing one between them is nothing.
        let spikes: Vec<_> = (0..60).map(|step| if step < 6 || step % 3 == 0 { 1.0 } else { 9.0 }).collect();
        let found = left(moving(0.9, 3), &all(&spikes));
        assert!(found.iter().zip(&spikes).all(|(found, value)| found.is_some() == (*value == 1.0)), "{found:?}");
        let values = [Some(1.0), Some(1.0), Some(9.0), None, Some(9.0), Some(9.0)];
        assert_eq!(left(moving(0.9, 2), &values), [Some(1.0), Some(1.0), None, None, Some(9.0), Some(9.0)]);
    }

    #[test]
    fn what_is_long_ago_decays() {
        let mut filters = filters(&[moving(0.5, 2)]);
        let mut values = vec![0.0; 20];
        values.push(0.25);
        beside(&mut filters, &all(&values), &[None; 21]);
        let Rule::Average(average) = &filters.0[0].rule else { panic!("an average") };
        assert_eq!((average.mean, average.variance), (0.125, 0.015625));
    }

    #[test]
    fn after_a_step_the_average_is_the_new_values_alone() {
        let mut filters = filters(&[moving(0.99, 2)]);
        beside(&mut filters, &all(&[1e99, 1e99, 8.0, 8.0]), &[None; 4]);
        let Rule::Average(average) = &filters.0[0].rule else { panic!("an average") };
        assert_eq!((average.mean, average.variance, average.seen), (8.0, 0.0, 1));
    }

    #[test]
    fn what_stays_for_longer_is_missing_until_it_moves() {
        let stuck = || Filter::Stuck { within: 0.125, observations: 3 };
        let values = [1.0, 1.0, 1.125, 0.875, 1.0, 1.25, 1.25, 1.25, 1.25, 0.0];
        let mut expected = all(&values);
        (expected[3], expected[4], expected[8]) = (None, None, None);
        assert_eq!(left(stuck(), &all(&values)), expected);
        let drift: Vec<f64> = (0..50).map(|step| 0.0625 * f64::from(step)).collect();
        assert_eq!(left(stuck(), &all(&drift)), all(&drift));
        let gaps = [Some(1.0), None, Some(1.0), None, Some(1.0), Some(1.0)];
        assert_eq!(left(stuck(), &gaps), [Some(1.0), None, Some(1.0), None, Some(1.0), None]);
    }

    #[test]
    fn a_condition_holds_above_zero_and_while_it_is_unknown() {
        let condition = || Filter::Conditional(Box::new(Program::new(&[Op::Tag(tag(QUALITY))]).unwrap()));
        let others = [Some(1.0), Some(0.0), Some(-1.0), Some(1e-9), None];
        let expected = [None, Some(5.0), Some(5.0), None, None];
        assert_eq!(beside(&mut filters(&[condition()]), &[Some(5.0); 5], &others), expected);
    }

    #[test]
    fn each_filter_sees_what_those_before_it_left() {
        let condition = Filter::Conditional(Box::new(Program::new(&[Op::Tag(tag(QUALITY))]).unwrap()));
        let stuck = Filter::Stuck { within: 0.0, observations: 1 };
        // What the condition takes away does not count as staying.
        let mut both = filters(&[condition, stuck]);
        let found = beside(&mut both, &[Some(5.0); 4], &[Some(1.0), Some(1.0), Some(0.0), Some(0.0)]);
        assert_eq!(found, [None, None, Some(5.0), None]);
    }

    proptest! {
        #[test]
        fn what_is_left_is_untouched_and_the_memory_stays_finite_and_normal(
            values in prop::collection::vec(prop::option::of(prop_oneof![any::<f64>(), -1e-20..1e-20, -2.0..2.0]), 1..80),
            decay in 0.0..1.0_f64,
            warmup in 1..6_u32,
        ) {
            let values: Vec<_> = values.into_iter().map(|value| value.filter(|value| value.is_finite())).collect();
            let mut filters = filters(&[moving(decay, warmup)]);
            let found = beside(&mut filters, &values, &vec![None; values.len()]);
            let mut missing = 0;
            for (found, value) in found.iter().zip(&values).filter(|(_, value)| value.is_some()) {
                prop_assert!(found.is_none() || found == value);
                missing = if found.is_some() { 0 } else { missing + 1 };
                prop_assert!(missing < warmup, "nothing is missing for ever");
            }
            let Rule::Average(average) = &filters.0[0].rule else { panic!("an average") };
            for x in [average.mean, average.variance] {
                prop_assert!(x.is_finite() && !x.is_subnormal(), "{x}");
            }
            prop_assert!(average.variance >= 0.0);
        }

        #[test]
        fn in_the_warm_up_the_average_is_the_plain_one(values in prop::collection::vec(-5.0..5.0_f64, 2..20)) {
            let mut filters = filters(&[moving(0.999, 100)]);
            beside(&mut filters, &all(&values), &vec![None; values.len()]);
            let count = values.len() as f64;
            let mean = values.iter().sum::<f64>() / count;
            let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
            let Rule::Average(average) = &filters.0[0].rule else { panic!("an average") };
            prop_assert!((average.mean - mean).abs() < 1e-12 && (average.variance - variance).abs() < 1e-9);
        }
    }
}

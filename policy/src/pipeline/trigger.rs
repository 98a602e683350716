//! Triggers: conditions that, when they become true, ask for a decision between those of the action period.

use rt_config::{Tag, Trigger};
use rt_core::carry::Carrier;
use rt_core::expression::Program;
use rt_core::ports::Moment;
use rt_core::time::{MonoTime, Span};

use super::{Values, all_fresh, value_of};

/// The triggers of a site.
#[derive(Clone, Debug)]
pub(super) struct Triggers(Vec<Stage>);

/// One trigger, and what it remembers.
#[derive(Clone, Debug)]
struct Stage {
    condition: Box<Program>,
    min_distance: Span,
    /// What the condition was when it was known last; `None` at first and behind a gap.
    held: Option<bool>,
    /// When it asked for a decision last.
    fired: Option<MonoTime>,
}

impl Triggers {
    pub(super) fn new(tags: &[Tag]) -> Self {
        let stage = |Trigger { condition, min_distance }: &Trigger| Stage {
            condition: condition.clone(),
            min_distance: *min_distance,
            held: None,
            fired: None,
        };
        Self(tags.iter().filter_map(|tag| tag.trigger.as_ref()).map(stage).collect())
    }

    /// Whether one of them asks for a decision now.
    pub(super) fn look(&mut self, raw: &Values, fresh: &[bool], moment: &Moment) -> bool {
        // Each of them looks, whatever the others say.
        self.0.iter_mut().map(|stage| stage.looks(raw, fresh, moment)).filter(|fires| *fires).count() > 0
    }

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        for Stage { condition: _, min_distance: _, held, fired } in &mut self.0 {
            carrier.carry(held);
            carrier.carry(fired);
        }
    }
}

impl Stage {
    fn looks(&mut self, raw: &Values, fresh: &[bool], moment: &Moment) -> bool {
        let before = self.held.filter(|_| !moment.gap);
        // A moment without a reading neither makes an edge nor hides one.
        let now = if all_fresh(&self.condition, fresh) { self.condition_on(raw) } else { None };
        self.held = now.or(before);
        let early = self.fired.is_some_and(|at| moment.release.since(at) < self.min_distance);
        let fires = before == Some(false) && now == Some(true) && !early;
        if fires {
            self.fired = Some(moment.release);
        }
        fires
    }

    fn condition_on(&self, raw: &Values) -> Option<bool> {
        self.condition.eval_with(|tag| value_of(raw, tag)).map(|value| value != 0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LEVEL, site, tag};
    use proptest::prelude::*;
    use rt_core::expression::Op;

    fn triggers(min_distance: Span) -> Triggers {
        let condition = Program::new(&[Op::Tag(tag(LEVEL)), Op::Const(0.5), Op::Gt]).unwrap();
        let mut tags = site().tags;
        tags[LEVEL].trigger = Some(Trigger { condition: Box::new(condition), min_distance });
        Triggers::new(&tags)
    }

    /// What was read, whether it is fresh, and whether a gap lies before it.
    type Reading = (Option<f64>, bool, bool);

    /// In which observations, 10 ms apart, it fires.
    fn fired(min_distance: Span, readings: &[Reading]) -> Vec<usize> {
        let mut triggers = triggers(min_distance);
        let look = |(place, &(value, is_fresh, gap)): (usize, &Reading)| {
            let (mut raw, mut fresh) = (vec![None; LEVEL + 1], vec![true; LEVEL + 1]);
            (raw[LEVEL], fresh[LEVEL]) = (value, is_fresh);
            let release = MonoTime::ZERO + Span::from_ms(10 * place as u64);
            let moment = Moment { cycle: place as u64, release, decision: false, gap, mode: 2 };
            triggers.look(&raw, &fresh, &moment).then_some(place)
        };
        readings.iter().enumerate().filter_map(look).collect()
    }

    const LOW: Reading = (Some(0.1), true, false);
    const HIGH: Reading = (Some(0.9), true, false);
    const MISSING: Reading = (None, true, false);
    const OLD: Reading = (Some(0.1), false, false);
    const AFTER_A_GAP: Reading = (Some(0.9), true, true);

    #[test]
    fn it_fires_when_the_condition_becomes_true_and_not_while_it_stays() {
        assert_eq!(fired(Span::ZERO, &[LOW, HIGH, HIGH, LOW, HIGH]), [1, 4]);
    }

    #[test]
    fn what_was_true_from_the_start_or_behind_a_gap_has_not_become_true() {
        assert_eq!(fired(Span::ZERO, &[HIGH, HIGH, LOW, HIGH]), [3]);
        assert_eq!(fired(Span::ZERO, &[LOW, AFTER_A_GAP, HIGH, LOW, HIGH]), [4]);
    }

    #[test]
    fn a_missing_or_old_reading_neither_makes_an_edge_nor_hides_one() {
        for unknown in [MISSING, OLD] {
            assert_eq!(fired(Span::ZERO, &[LOW, HIGH, unknown, HIGH]), [1]);
            assert_eq!(fired(Span::ZERO, &[LOW, unknown, HIGH]), [2]);
            assert_eq!(fired(Span::ZERO, &[unknown, HIGH, LOW, HIGH]), [3]);
        }
    }

    #[test]
    fn an_edge_too_soon_after_the_last_decision_is_passed_over_for_good() {
        let readings = [LOW, HIGH, LOW, HIGH, HIGH, HIGH, LOW, HIGH];
        assert_eq!(fired(Span::from_ms(20), &readings), [1, 3, 7]);
        assert_eq!(fired(Span::from_ms(21), &readings), [1, 7]);
        assert_eq!(fired(Span::from_ms(61), &readings), [1]);
    }

    proptest! {
        #[test]
        fn no_two_decisions_of_it_are_closer_than_the_distance_and_none_is_missed_without_one(
            readings in prop::collection::vec(prop_oneof![Just(LOW), Just(HIGH), Just(MISSING)], 1..60),
            distance_ms in 0..80_u64,
        ) {
            let all = fired(Span::ZERO, &readings);
            let known: Vec<_> = readings.iter().filter_map(|(value, ..)| *value).collect();
            prop_assert_eq!(all.len(), known.windows(2).filter(|pair| pair[0] < pair[1]).count());
            let some = fired(Span::from_ms(distance_ms), &readings);
            prop_assert!(some.iter().all(|place| all.contains(place)));
            prop_assert!(some.windows(2).all(|pair| 10 * (pair[1] - pair[0]) as u64 >= distance_ms));
        }
    }
}

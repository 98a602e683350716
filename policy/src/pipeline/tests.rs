mod golden;
mod stages;

use proptest::prelude::*;
use rt_core::expression::Op;
use rt_core::ports::InZone;
use rt_core::tag::Quality;
use rt_core::time::Span;

use super::*;
use crate::testing::{DOSE_SP, FEED_SP, LEVEL, LEVEL_ERROR, Plant, QUALITY, site, tag};

const TRACES: usize = 4;
const STATE: usize = 5 * TRACES + 4;

fn observed(feed: f64, dose: f64, level: f64, quality: f64) -> Pipeline {
    let site = site();
    let (mut pipeline, mut plant) = (Pipeline::new(&site).unwrap(), Plant::of(&site));
    plant.read(feed, dose, level, quality);
    pipeline.observe(&plant.image, &plant.moment());
    pipeline
}

#[test]
fn the_first_complete_image_makes_a_complete_state() {
    let pipeline = observed(0.25, 0.125, 0.75, 0.5);
    assert!(pipeline.complete() && pipeline.action_read_back());
    let mut expected = Vec::new();
    for value in [0.5, 0.25, 0.75, 0.5, 0.25] {
        expected.extend([value; TRACES]);
    }
    // Bounds: the feed's operating range; the dose's own, 0.125 - 0.1 and 0.125 + 0.1, of 0.5.
    expected.extend([0.0, 1.0, 0.05, 0.45]);
    for (found, expected) in pipeline.state().iter().zip(&expected) {
        assert!((found - expected).abs() < 1e-6, "{:?}", pipeline.state());
    }
    assert_eq!(pipeline.state().len(), STATE);
    assert_eq!(pipeline.action(), [0.5, 0.25]);
    // -|0.75 - 0.5| - |0.5 - 0.7|
    assert!((pipeline.reward().unwrap() + 0.45).abs() < 1e-12);
}

#[test]
fn columns_have_the_order_of_the_state() {
    let columns = Columns::of(&site());
    let names: Vec<&str> = columns.as_slice().iter().map(|column| column.name.as_str()).collect();
    let traces = |tag: &str| ["0", "0.75", "0.9", "0.95"].map(|decay| format!("{tag}@{decay}"));
    let mut expected: Vec<String> = ["FEED_SP", "DOSE_SP", "LEVEL", "QUALITY", "LEVEL_ERROR"].map(traces).concat();
    expected.extend(["FEED_SP.lo", "FEED_SP.hi", "DOSE_SP.lo", "DOSE_SP.hi"].map(String::from));
    assert_eq!(names, expected);
    let level = &columns.as_slice()[2 * TRACES];
    assert_eq!((level.unit.as_str(), level.zero, level.one), ("m", 0.0, 1.0));
}

#[test]
fn a_value_outside_its_operating_range_is_missing() {
    let pipeline = observed(0.25, 0.1, 1.6, 0.5);
    assert!(!pipeline.complete());
    let pipeline = observed(0.25, 0.1, 1.5, 0.5);
    assert!(pipeline.complete());
    // A setpoint outside its scale was not read back as an action.
    let pipeline = observed(0.6, 0.1, 0.5, 0.5);
    assert!(!pipeline.complete() && !pipeline.action_read_back());
}

#[test]
fn a_reading_in_red_is_punished_even_where_it_counts_as_missing() {
    // Red begins at 0.95, the operating range ends at 1.5.
    assert_eq!(observed(0.25, 0.1, 1.6, 0.5).reward(), Some(-8.0));
    let reward = observed(0.25, 0.1, 0.95 + 0.55 / 4.0, 0.5).reward().unwrap();
    assert!((reward + 5.0).abs() < 1e-9, "{reward}");
    let reward = observed(0.25, 0.1, 0.95 + 1e-9, 0.5).reward().unwrap();
    assert!((reward + 4.0).abs() < 1e-6, "{reward}");
}

#[test]
fn a_reading_in_yellow_costs_the_square_of_its_depth() {
    // Yellow from 0.9 to 0.95; the level's and the quality's errors come on top.
    let reward = observed(0.25, 0.1, 0.925, 0.7).reward().unwrap();
    assert!((reward + 0.425 + 2.0 * 0.25).abs() < 1e-9, "{reward}");
    let reward = observed(0.25, 0.1, 0.95, 0.7).reward().unwrap();
    assert!((reward + 0.45 + 2.0).abs() < 1e-9, "{reward}");
    let reward = observed(0.25, 0.1, 0.075, 0.7).reward().unwrap();
    assert!((reward + 0.425 + 2.0 * 0.25).abs() < 1e-9, "{reward}");
    let reward = observed(0.25, 0.1, 0.1, 0.7).reward().unwrap();
    assert!((reward + 0.4).abs() < 1e-9, "{reward}");
}

#[test]
fn a_missing_input_leaves_no_reward_and_no_complete_state() {
    let site = site();
    let (mut pipeline, mut plant) = (Pipeline::new(&site).unwrap(), Plant::of(&site));
    plant.read(0.25, 0.1, 0.5, 0.5);
    pipeline.observe(&plant.image, &plant.moment());
    plant.read(0.25, 0.1, 0.5, 0.5);
    plant.set_with(QUALITY, 0.5, Quality::Bad);
    let before = pipeline.state().to_vec();
    pipeline.observe(&plant.image, &plant.moment());
    assert_eq!((pipeline.complete(), pipeline.reward()), (false, None));
    // Its traces hold.
    assert_eq!(pipeline.state()[3 * TRACES..4 * TRACES], before[3 * TRACES..4 * TRACES]);
    // A missing reading of a bound's input leaves the bound where it was, and no decision.
    plant.read(0.25, 0.1, 0.5, 0.5);
    plant.set_with(DOSE_SP, 0.1, Quality::Bad);
    pipeline.observe(&plant.image, &plant.moment());
    assert!(!pipeline.complete() && !pipeline.action_read_back());
    plant.read(0.25, 0.1, 0.5, 0.5);
    pipeline.observe(&plant.image, &plant.moment());
    assert!(pipeline.complete());
}

#[test]
fn a_column_older_than_the_tolerance_is_unusable() {
    let mut site = site();
    site.interaction.state_age_tol = Span::from_ms(25);
    site.tags.iter_mut().for_each(|tag| tag.settings.stale_after = Span::from_ms(1_000));
    let (mut pipeline, mut plant) = (Pipeline::new(&site).unwrap(), Plant::of(&site));
    let complete = |pipeline: &mut Pipeline, plant: &Plant| {
        pipeline.observe(&plant.image, &plant.moment());
        pipeline.complete()
    };
    plant.read(0.25, 0.1, 0.5, 0.5);
    assert!(complete(&mut pipeline, &plant));
    for fresh in [true, true, false] {
        plant.step();
        [FEED_SP, DOSE_SP, QUALITY].into_iter().for_each(|index| plant.set(index, 0.2));
        assert_eq!(complete(&mut pipeline, &plant), fresh);
    }
    // The level is computed with, too: its error is as old.
    plant.set(LEVEL, 0.5);
    assert!(complete(&mut pipeline, &plant));
}

#[test]
fn bounds_are_ordered_and_inside_the_scale() {
    let bounds = |lo: f64, hi: f64| {
        let mut site = site();
        let program = |value| Program::new(&[Op::Const(value)]).unwrap();
        site.setpoints[0].action_bounds = Some((program(lo), program(hi)));
        let (mut pipeline, mut plant) = (Pipeline::new(&site).unwrap(), Plant::of(&site));
        plant.read(0.25, 0.1, 0.5, 0.5);
        pipeline.observe(&plant.image, &plant.moment());
        assert!(pipeline.complete());
        (pipeline.bounds().0[0], pipeline.bounds().1[0])
    };
    assert_eq!(bounds(0.125, 0.25), (0.25, 0.5));
    assert_eq!(bounds(0.25, 0.125), (0.25, 0.5));
    assert_eq!(bounds(-9.0, 9.0), (0.0, 1.0));
    assert_eq!(bounds(7.0, 9.0), (1.0, 1.0));
}

#[test]
fn red_bounds_limit_the_action_where_no_expression_does() {
    let mut site = site();
    site.setpoints[0].action_bounds = None;
    site.tags[FEED_SP].red_bounds = Some(Range { lo: 0.125, hi: 0.375 });
    let (mut pipeline, mut plant) = (Pipeline::new(&site).unwrap(), Plant::of(&site));
    plant.read(0.25, 0.1, 0.5, 0.5);
    pipeline.observe(&plant.image, &plant.moment());
    assert_eq!((pipeline.bounds().0[0], pipeline.bounds().1[0]), (0.25, 0.75));
}

#[test]
fn a_site_without_a_range_is_named() {
    let mut site = site();
    site.tags[LEVEL_ERROR].normal_range = None;
    let unfit = UnfitSite::NoRange { tag: "LEVEL_ERROR".into() };
    assert_eq!(Pipeline::new(&site).map(|_| ()), Err(unfit));
    site.setpoints.clear();
    assert_eq!(Pipeline::new(&site).map(|_| ()), Err(UnfitSite::NoSetpoint));
}

fn prioritised_reward(level: f64, quality: f64, feed: f64, dose: f64) -> Option<f64> {
    prioritised(level, quality, feed, dose).reward
}

/// Two goals, then low feed and high dose, weights 3 and 1.
fn prioritised(level: f64, quality: f64, feed: f64, dose: f64) -> Judgement {
    use rt_config::{Goal, Objective, Reward};
    let mut site = site();
    let threshold = |value| Program::new(&[Op::Const(value)]).unwrap();
    let unit = Range { lo: 0.0, hi: 1.0 };
    let up_to = |index, value| Goal::UpTo { tag: tag(index), threshold: threshold(value), range: unit };
    let down_to = |index, value| Goal::DownTo { tag: tag(index), threshold: threshold(value), range: unit };
    let objective =
        |index, minimise, weight| Objective { tag: tag(index), range: Range { lo: 0.0, hi: 0.5 }, minimise, weight };
    site.tags.iter_mut().for_each(|tag| (tag.red_bounds, tag.yellow_bounds) = (None, None));
    site.reward = Reward::Priorities {
        goals: vec![
            Goal::All(vec![up_to(LEVEL, 0.4), down_to(LEVEL, 0.6)]),
            Goal::Any(vec![up_to(QUALITY, 0.8), down_to(QUALITY, 0.5)]),
        ],
        optimise: vec![objective(FEED_SP, true, 3.0), objective(DOSE_SP, false, 1.0)],
    };
    let (mut pipeline, mut plant) = (Pipeline::new(&site).unwrap(), Plant::of(&site));
    plant.read(feed, dose, level, quality);
    pipeline.observe(&plant.image, &plant.moment());
    pipeline.judgement()
}

#[test]
fn goals_are_rewarded_in_the_order_of_their_priority() {
    let near = |found: Option<f64>, expected: f64| {
        assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?} instead of {expected}");
    };
    // Edges -1, -0.75, -0.5. Nothing met: as far off as can be, half way, a quarter.
    near(prioritised_reward(0.0, 0.65, 0.1, 0.1), -1.0);
    near(prioritised_reward(0.2, 0.9, 0.1, 0.1), -0.875);
    near(prioritised_reward(0.7, 0.9, 0.1, 0.1), -1.0 + 0.75 * 0.25);
    // The first goal met, of the second the nearer half: min(0.1/0.8, 0.2/0.5).
    near(prioritised_reward(0.5, 0.7, 0.1, 0.1), -0.75 + (1.0 - 0.125) * 0.25);
    // All met: 3/4 of the feed's share, 1/4 of the dose's.
    near(prioritised_reward(0.4, 0.8, 0.0, 0.5), 0.0);
    near(prioritised_reward(0.6, 0.5, 0.5, 0.0), -0.5);
    near(prioritised_reward(0.5, 0.9, 0.25, 0.5), -0.5 * 0.375);
}

#[test]
fn a_goal_whose_tag_is_missing_has_no_reward_unless_an_earlier_one_decides() {
    assert_eq!(prioritised_reward(0.5, f64::NAN, 0.1, 0.1), None);
    assert!(prioritised_reward(0.2, f64::NAN, 0.1, 0.1).is_some());
}

#[test]
fn goals_are_met_when_all_of_them_are_and_unknown_when_one_cannot_be_judged() {
    let met = |level, quality| prioritised(level, quality, 0.1, 0.1).goals_met;
    assert_eq!([met(0.5, 0.9), met(0.5, 0.5), met(0.6, 0.8)], [Some(true); 3]);
    assert_eq!([met(0.2, 0.9), met(0.5, 0.7), met(0.2, f64::NAN)], [Some(false); 3]);
    assert_eq!(met(0.5, f64::NAN), None);
    // The setpoints that are optimised are no goals.
    let without = prioritised(0.5, 0.9, f64::NAN, 0.1);
    assert_eq!((without.reward, without.goals_met, without.zones_clear), (None, Some(true), None));
    assert_eq!(observed(0.25, 0.1, 0.5, 0.5).judgement().goals_met, None, "the example has no goals");
}

#[test]
fn a_reward_says_which_goal_and_which_zone_decided_it() {
    let goal = |level, quality| prioritised(level, quality, 0.1, 0.1).because.goal.map(std::num::NonZeroU16::get);
    assert_eq!([goal(0.2, 0.9), goal(0.5, 0.7), goal(0.5, 0.9)], [Some(1), Some(2), None]);
    assert_eq!((goal(0.5, f64::NAN), goal(0.2, f64::NAN)), (None, Some(1)));
    let judged = |level| observed(0.25, 0.1, level, 0.7).judgement();
    let zone = |level| judged(level).because.zone;
    assert_eq!([zone(0.5), zone(0.9), zone(f64::NAN)], [None; 3]);
    // Yellow from 0.9, red from 0.95 to the end of the operating range.
    for (level, is_red, depth) in [(0.92, false, 0.4), (0.97, true, 0.02 / 0.55), (1.5, true, 1.0)] {
        let InZone { tag: deepest, is_red: red, depth: deep } = zone(level).unwrap();
        assert_eq!((deepest, red), (tag(LEVEL), is_red), "{level}");
        assert!((deep - depth).abs() < 1e-9, "{level}: {deep}");
    }
}

#[test]
fn zones_are_clear_when_no_tag_lies_in_one_and_unknown_without_a_reading() {
    let clear = |level| observed(0.25, 0.1, level, 0.7).judgement().zones_clear;
    // Yellow from 0.9 on, red from 0.95.
    assert_eq!(
        [clear(0.5), clear(0.9), clear(0.9 + 1e-9), clear(0.97)],
        [Some(true), Some(true), Some(false), Some(false)]
    );
    assert_eq!(clear(f64::NAN), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_read_the_state_is_finite_normal_and_bounded(
        readings in prop::collection::vec((any::<f64>(), -1e-29_f64..1e-29, -3.0_f64..3.0, any::<f64>(), 0_usize..6), 1..20),
    ) {
        let mut site = site();
        site.tags.iter_mut().for_each(|tag| tag.operating_range = None);
        let (mut pipeline, mut plant) = (Pipeline::new(&site).unwrap(), Plant::of(&site));
        for (feed, dose, level, quality, bad) in readings {
            plant.read(feed, dose, level, quality);
            plant.set_with(bad, 0.0, Quality::Bad);
            pipeline.observe(&plant.image, &plant.moment());
            let (lo, hi) = pipeline.bounds();
            for x in pipeline.state().iter().chain(pipeline.action()).chain(lo).chain(hi) {
                prop_assert!((-1.0..=2.0).contains(x) && !x.is_subnormal(), "{x}");
            }
            prop_assert!(lo.iter().zip(hi).all(|(lo, hi)| lo <= hi));
            prop_assert!(pipeline.reward().is_none_or(f64::is_finite));
        }
    }
}

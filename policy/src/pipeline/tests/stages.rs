//! The optional stages together, on top of the example site.

use proptest::prelude::*;
use rt_config::{
    DecisionClock, Filter, Guardrail, Imputer, ImputerRule, Season, SeasonPart, Site, Tag, TagKind, Trigger,
};
use rt_core::expression::Op;
use rt_core::ports::Moment;
use rt_core::setpoint::{Cascade, ModeWord};
use rt_core::tag::{Quality, Sample};

use super::*;
use crate::testing::{Luggage, PUMP_RUNNING};

const DAY: i64 = 864_000_000_000;

fn push(site: &mut Site, name: &str, kind: TagKind) -> usize {
    let mut tag: Tag = site.tags[QUALITY].clone();
    (tag.name, tag.kind, tag.operating_range) = (name.to_owned(), kind, None);
    tag.settings.required = false;
    site.tags.push(tag);
    site.tags.len() - 1
}

/// Which of the optional keys a site has.
#[derive(Clone, Debug)]
struct Keys {
    deltas: usize,
    past_values: usize,
    seasons: Vec<Season>,
    clock: DecisionClock,
    every: u64,
    filters: [bool; 3],
    imputed: bool,
    guarded: bool,
    triggered: bool,
}

fn keys() -> impl Strategy<Value = Keys> {
    let season = prop_oneof![Just(Season::Hour), Just(Season::Day), Just(Season::Week), Just(Season::Year)];
    let clock = prop_oneof![Just(DecisionClock::Off), Just(DecisionClock::OneHot), Just(DecisionClock::Countdown)];
    let sizes = (0..3_usize, 0..4_usize, prop::collection::vec(season, 0..3), 1..6_u64);
    (sizes, clock, any::<[bool; 3]>(), any::<[bool; 3]>()).prop_map(
        |((deltas, past_values, seasons, every), clock, filters, [imputed, guarded, triggered])| Keys {
            deltas,
            past_values,
            seasons,
            clock,
            every,
            filters,
            imputed,
            guarded,
            triggered,
        },
    )
}

fn site_with(keys: &Keys) -> Site {
    let mut site = site();
    for (number, season) in keys.seasons.iter().enumerate() {
        for (part, end) in [(SeasonPart::Sin, "sin"), (SeasonPart::Cos, "cos")] {
            push(&mut site, &format!("S{number}.{end}"), TagKind::Seasonal(*season, part));
        }
    }
    for number in 0..keys.deltas {
        push(&mut site, &format!("D{number}"), TagKind::Delta);
    }
    site.agent.decision_clock = keys.clock;
    site.agent.past_values = keys.past_values;
    site.interaction.action_period = site.interaction.obs_period.times(keys.every);
    let condition = Program::new(&[Op::Tag(tag(PUMP_RUNNING)), Op::Const(0.5), Op::Gt]).unwrap();
    let possible = [
        Filter::MovingAverage { decay: 0.9, tolerance: 1.0, deviation_min: 0.05, warmup: 2 },
        Filter::Stuck { within: 0.05, observations: 2 },
        Filter::Conditional(Box::new(condition)),
    ];
    let chosen = possible.into_iter().zip(keys.filters).filter(|(_, chosen)| *chosen);
    site.tags[LEVEL].filters = chosen.map(|(filter, _)| filter).collect();
    if keys.imputed {
        site.tags[LEVEL].imputer = Imputer { rule: ImputerRule::Linear, horizon: 3 };
    }
    if keys.guarded {
        site.setpoints[0].guardrail = Some(Guardrail { start: Range { lo: 0.2, hi: 0.3 }, observations: 7 });
    }
    if keys.triggered {
        site.tags[LEVEL].trigger = Some(above(LEVEL_ERROR, 0.2));
    }
    site
}

/// A trigger for when a tag rises above a value.
fn above(index: usize, value: f64) -> Trigger {
    let condition = Program::new(&[Op::Tag(tag(index)), Op::Const(value), Op::Gt]).unwrap();
    Trigger { condition: Box::new(condition), min_distance: Span::from_ms(20) }
}

/// One observation: readings, a tag that is bad, the day, and whether a gap lies before it.
type Reading = ([f64; 5], usize, i64, bool);

fn readings() -> impl Strategy<Value = Vec<Reading>> {
    let value = prop_oneof![4 => -0.2..1.2_f64, 1 => Just(0.5), 1 => any::<f64>()];
    let value = || value.clone();
    let values = [value(), value(), value(), value(), value()];
    prop::collection::vec((values, 0..12_usize, 0..400_000_i64, prop::bool::weighted(0.1)), 1..25)
}

struct Observer {
    plant: Plant,
    every: u64,
}

impl Observer {
    fn of(site: &Site, every: u64) -> Self {
        Self { plant: Plant::of(site), every }
    }

    /// Feeds every tag that the image has, and takes the moment.
    fn next(&mut self, site: &Site, (values, bad, day, gap): &Reading) -> Moment {
        let plant = &mut self.plant;
        plant.step();
        for (index, tag) in site.tags.iter().enumerate() {
            let source_time = day * DAY + plant.cycle as i64;
            let quality = if index == *bad { Quality::Bad } else { Quality::Good };
            let id = TagId::new(index).unwrap();
            let sample = Sample { tag: id, value: values[index % 5], quality, received: plant.now(), source_time };
            if !matches!(tag.kind, TagKind::Computed(_) | TagKind::Seasonal(..)) {
                plant.image.receive(&sample);
            }
        }
        Moment { decision: plant.cycle.is_multiple_of(self.every), gap: *gap, ..plant.moment() }
    }
}

/// Everything that an observer of the pipeline sees, as bits.
fn shown(pipeline: &Pipeline) -> (Vec<u32>, Option<u64>, [bool; 3], Vec<Option<u64>>) {
    let (lo, hi) = pipeline.bounds();
    let floats = pipeline.state().iter().chain(pipeline.action()).chain(lo).chain(hi);
    let flags = [pipeline.complete(), pipeline.triggered(), pipeline.action_read_back()];
    let acts = [0.0, 0.4, 1.0].map(|act| pipeline.engineering(0, act).map(f64::to_bits));
    (floats.map(|x| x.to_bits()).collect(), pipeline.reward().map(f64::to_bits), flags, acts.to_vec())
}

#[test]
fn a_past_value_is_the_untraced_one_of_so_many_observations_before() {
    const DEPTH: usize = 3;
    let mut site = site();
    site.agent.past_values = DEPTH;
    let (columns, mut pipeline) = (Columns::of(&site), Pipeline::new(&site).unwrap());
    let mut observer = Observer::of(&site, 1);
    let mut states = Vec::new();
    for step in 0..10 {
        let values = [0.31, 0.17, 0.23, 0.11, 0.29].map(|stride: f64| (stride * f64::from(step)).fract());
        let moment = observer.next(&site, &(values, usize::MAX, 0, false));
        pipeline.observe(&observer.plant.image, &moment);
        states.push(pipeline.state().to_vec());
    }
    let place = |name: &str| columns.as_slice().iter().position(|column| column.name == name).unwrap();
    let untraced: Vec<&str> = columns.as_slice().iter().filter_map(|column| column.name.strip_suffix("@0")).collect();
    assert_eq!(untraced.len(), 5);
    for (tag, age) in untraced.iter().flat_map(|tag| (1..=DEPTH).map(move |age| (tag, age))) {
        let (past, present) = (place(&format!("{tag}@-{age}")), place(&format!("{tag}@0")));
        let of = |at: usize, from: usize, to: usize| -> Vec<f32> {
            states[from..to].iter().map(|state| state[at]).collect()
        };
        assert_eq!(of(past, age, 10), of(present, 0, 10 - age), "{tag} {age}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn whatever_the_keys_columns_and_state_agree_and_every_number_is_finite_and_normal(
        keys in keys(), readings in readings(),
    ) {
        let site = site_with(&keys);
        let columns = Columns::of(&site);
        let mut pipeline = Pipeline::new(&site).unwrap();
        prop_assert_eq!((columns.len(), column_count(&site)), (pipeline.state().len(), pipeline.state().len()));
        let clock = match keys.clock {
            DecisionClock::Off => 0,
            DecisionClock::OneHot => keys.every as usize,
            DecisionClock::Countdown => 1,
        };
        let traces = (5 + keys.deltas) * (TRACES + keys.past_values);
        prop_assert_eq!(columns.len(), traces + 4 + 2 * keys.seasons.len() + clock);
        let mut names: Vec<&str> = columns.as_slice().iter().map(|column| column.name.as_str()).collect();
        prop_assert!(names[..traces].iter().all(|name| name.contains('@')));
        prop_assert!(names[traces + 4..][..2 * keys.seasons.len()].iter().all(|name| name.starts_with('S')));
        prop_assert!(names[names.len() - clock..].iter().all(|name| name.starts_with("decision_clock")));
        names.sort_unstable();
        names.dedup();
        prop_assert_eq!(names.len(), columns.len(), "every name once");
        let mut observer = Observer::of(&site, keys.every);
        for reading in &readings {
            let moment = observer.next(&site, reading);
            pipeline.observe(&observer.plant.image, &moment);
            let (lo, hi) = pipeline.bounds();
            for x in pipeline.state().iter().chain(lo).chain(hi) {
                prop_assert!((-1.0..=2.0).contains(x) && !x.is_subnormal(), "{x}");
            }
            prop_assert!(lo.iter().zip(hi).all(|(lo, hi)| lo <= hi));
            prop_assert!(pipeline.reward().is_none_or(f64::is_finite));
        }
    }

    #[test]
    fn memory_that_was_carried_gives_the_same_observations(
        keys in keys(), readings in readings(), share in 0.0..1.0_f64,
    ) {
        let site = site_with(&keys);
        let (mut one, mut other) = (Pipeline::new(&site).unwrap(), Pipeline::new(&site).unwrap());
        let mut observer = Observer::of(&site, keys.every);
        let split = (share * readings.len() as f64) as usize;
        for (step, reading) in readings.iter().enumerate() {
            let moment = observer.next(&site, reading);
            if step == split {
                let mut luggage = Luggage::default();
                one.carry(&mut luggage);
                luggage.arrive();
                other.carry(&mut luggage);
                prop_assert!(luggage.is_unpacked());
            }
            one.observe(&observer.plant.image, &moment);
            if step >= split {
                other.observe(&observer.plant.image, &moment);
                prop_assert_eq!(shown(&one), shown(&other), "step {}", step);
            }
        }
    }
}

/// A pipeline of this site and its plant.
fn begun(site: &Site) -> (Pipeline, Plant) {
    (Pipeline::new(site).unwrap(), Plant::of(site))
}

#[test]
fn a_delta_tag_is_a_change_to_state_zones_and_computed_tags() {
    let mut site = site();
    site.tags[LEVEL].kind = TagKind::Delta;
    let (mut pipeline, mut plant) = begun(&site);
    let mut observe = |level, gap| {
        plant.read(0.25, 0.1, level, 0.7);
        pipeline.observe(&plant.image, &Moment { gap, ..plant.moment() });
        (pipeline.complete(), pipeline.reward(), pipeline.state()[2 * TRACES])
    };
    assert_eq!(observe(5.0, true), (false, None, 0.0));
    let (complete, reward, column) = observe(5.5, false);
    assert_eq!((complete, column), (true, 0.5));
    // LEVEL_ERROR is of the change, which is where it shall be.
    assert!(reward.unwrap().abs() < 1e-12, "{reward:?}");
    // In the middle of the red zone, and out of the operating range: -4 - 4.
    assert_eq!(observe(7.5, false).1, Some(-8.0));
    assert_eq!(observe(8.0, true).1, None);
    assert!((observe(8.5, false).1.unwrap()).abs() < 1e-12);
}

#[test]
fn a_season_is_told_by_the_newest_timestamp_of_what_is_good_and_fresh() {
    let mut site = site();
    let sin = push(&mut site, "T.sin", TagKind::Seasonal(Season::Day, SeasonPart::Sin));
    push(&mut site, "T.cos", TagKind::Seasonal(Season::Day, SeasonPart::Cos));
    site.interaction.state_age_tol = Span::from_ms(25);
    site.tags.iter_mut().for_each(|tag| tag.settings.stale_after = Span::from_ms(1_000));
    site.tags[PUMP_RUNNING].settings.required = false;
    // So do a computed tag, which has to come after it, and the feed's own bound.
    site.tags[LEVEL_ERROR].kind = TagKind::Computed(Program::new(&[Op::Tag(tag(sin)), Op::Neg, Op::Abs]).unwrap());
    let program = |value| Program::new(&[Op::Tag(tag(sin)), Op::Const(value), Op::Mul]).unwrap();
    site.setpoints[0].action_bounds = Some((program(0.1), program(0.5)));
    let (mut pipeline, mut plant) = begun(&site);
    let stamped = |plant: &mut Plant, index, quality, source_time| {
        let received = plant.now();
        plant.image.receive(&Sample { tag: tag(index), value: 0.5, quality, received, source_time });
    };
    let mut see = |plant: &mut Plant| {
        pipeline.observe(&plant.image, &plant.moment());
        let columns = &pipeline.state()[5 * TRACES + 4..];
        let computed = pipeline.state()[4 * TRACES];
        assert!(!pipeline.complete() || computed == columns[0], "{computed}");
        ([columns[0], columns[1]], pipeline.complete(), pipeline.bounds().1[0])
    };
    let all = |plant: &mut Plant, ticks| {
        plant.step();
        (0..6).for_each(|index| stamped(plant, index, Quality::Good, ticks));
    };
    all(&mut plant, 0);
    assert_eq!(see(&mut plant), ([0.5, 0.5], false, 0.0), "without any timestamp there is no season");
    all(&mut plant, 3 * DAY + DAY / 4);
    assert_eq!(see(&mut plant), ([1.0, 0.5], true, 1.0));
    // The newest counts, be it a meta tag's; a bad one does not.
    stamped(&mut plant, PUMP_RUNNING, Quality::Good, 4 * DAY);
    stamped(&mut plant, LEVEL, Quality::Good, DAY + DAY / 2);
    assert_eq!(see(&mut plant), ([0.5, 1.0], true, 0.5));
    stamped(&mut plant, QUALITY, Quality::Bad, 4 * DAY + DAY / 2);
    assert_eq!(see(&mut plant).0, [0.5, 1.0]);
    // The meta tag grows old: what the others say counts.
    (0..3).for_each(|_| plant.step());
    (0..PUMP_RUNNING).for_each(|index| stamped(&mut plant, index, Quality::Good, 3 * DAY + DAY / 4));
    assert_eq!(see(&mut plant).0, [1.0, 0.5]);
}

#[test]
fn a_state_without_its_season_is_incomplete_even_if_all_else_is_there() {
    let mut site = site();
    push(&mut site, "T.sin", TagKind::Seasonal(Season::Year, SeasonPart::Sin));
    let (mut pipeline, mut plant) = begun(&site);
    plant.step();
    for index in [FEED_SP, DOSE_SP, LEVEL, QUALITY, PUMP_RUNNING] {
        let (received, quality) = (plant.now(), Quality::Good);
        plant.image.receive(&Sample { tag: tag(index), value: 0.3, quality, received, source_time: 0 });
    }
    // The quality's age counts from its timestamps, of which there are none here.
    plant.set(QUALITY, 0.3);
    let complete = |pipeline: &mut Pipeline, plant: &Plant| {
        pipeline.observe(&plant.image, &plant.moment());
        pipeline.complete()
    };
    assert!(complete(&mut pipeline, &plant));
    plant.set_with(QUALITY, 0.3, Quality::Uncertain);
    assert!(!complete(&mut pipeline, &plant), "an uncertain value tells no time, though its substitute does");
}

#[test]
fn a_filter_lies_behind_the_range_check_and_before_the_imputer_and_hides_no_excursion() {
    let mut site = site();
    let condition = Program::new(&[Op::Tag(tag(PUMP_RUNNING))]).unwrap();
    let average = Filter::MovingAverage { decay: 0.5, tolerance: 2.0, deviation_min: 0.05, warmup: 2 };
    site.tags[LEVEL].filters = vec![average, Filter::Conditional(Box::new(condition))];
    site.tags[LEVEL].imputer = Imputer { rule: ImputerRule::Copy, horizon: 1 };
    let (mut pipeline, mut plant) = begun(&site);
    let mut observe = |level, pump| {
        plant.read(0.25, 0.1, level, 0.7);
        plant.set(PUMP_RUNNING, pump);
        pipeline.observe(&plant.image, &plant.moment());
        (pipeline.state()[2 * TRACES], pipeline.complete(), pipeline.reward())
    };
    assert_eq!(observe(0.5, 0.0).0, 0.5);
    assert_eq!(observe(0.5, 0.0).0, 0.5);
    // Out of the range it is no value of the average; the copy stands in, and red is red.
    assert_eq!(observe(1.6, 0.0), (0.5, true, Some(-8.0)));
    assert_eq!(observe(0.5, 0.0).0, 0.5);
    // Odd: the copy stands in; and red is red.
    let (column, complete, reward) = observe(1.0, 0.0);
    assert!(column == 0.5 && complete && reward.unwrap() < -4.0);
    assert_eq!(observe(0.5, 0.0).0, 0.5);
    // Taken away by the condition, for longer than the copy stands in.
    assert!(observe(0.5, 1.0).1);
    observe(0.5, 1.0);
    assert_eq!(observe(0.5, 0.0).0, 0.5);
}

#[test]
fn a_guardrail_binds_the_action_until_it_has_widened() {
    let mut site = site();
    site.setpoints[0].guardrail = Some(Guardrail { start: Range { lo: 0.25, hi: 0.375 }, observations: 2 });
    let (mut pipeline, mut plant) = begun(&site);
    let expected = [(0.5, 0.75), (0.25, 0.875), (0.0, 1.0), (0.0, 1.0)];
    for (lo, hi) in expected {
        plant.read(0.25, 0.1, 0.5, 0.5);
        pipeline.observe(&plant.image, &plant.moment());
        assert_eq!((pipeline.bounds().0[0], pipeline.bounds().1[0]), (lo, hi));
        // In engineering units, half of it.
        let acts = [0.0, 1.0].map(|act| pipeline.engineering(0, act));
        assert_eq!(acts, [Some(f64::from(lo) / 2.0), Some(f64::from(hi) / 2.0)]);
    }
}

#[test]
fn the_clock_has_the_last_columns_and_without_it_the_state_is_incomplete() {
    for (clock, expected) in [
        (DecisionClock::OneHot, [vec![1.0, 0.0], vec![0.0, 1.0], vec![0.0, 0.0]]),
        (DecisionClock::Countdown, [vec![0.0], vec![0.5], vec![0.0]]),
    ] {
        let mut site = site();
        site.agent.decision_clock = clock;
        site.interaction.action_period = site.interaction.obs_period.times(2);
        let (mut pipeline, mut plant) = begun(&site);
        let flags = [(true, false), (false, false), (false, true)];
        for ((decision, gap), expected) in flags.into_iter().zip(&expected) {
            plant.read(0.25, 0.1, 0.5, 0.5);
            pipeline.observe(&plant.image, &Moment { decision, gap, ..plant.moment() });
            assert_eq!((&pipeline.state()[STATE..], pipeline.complete()), (expected.as_slice(), !gap));
        }
        let columns = Columns::of(&site);
        let last = &columns.as_slice()[STATE..];
        let names: Vec<&str> = last.iter().map(|column| column.name.as_str()).collect();
        match clock {
            DecisionClock::OneHot => assert_eq!(names, ["decision_clock=0", "decision_clock=1"]),
            _ => assert_eq!((names, last[0].zero, last[0].one), (vec!["decision_clock"], 0.0, 2.0)),
        }
    }
}

#[test]
fn a_trigger_sees_computed_tags_as_they_are_and_what_is_out_of_range() {
    let mut site = site();
    site.tags[LEVEL].trigger = Some(above(LEVEL_ERROR, 0.4));
    let (mut pipeline, mut plant) = begun(&site);
    let mut observe = |level, decision| {
        plant.read(0.25, 0.1, level, 0.5);
        pipeline.observe(&plant.image, &Moment { decision, ..plant.moment() });
        pipeline.triggered()
    };
    assert!(!observe(0.5, false));
    // Beyond the operating range, so that the state goes without it.
    assert!(observe(1.6, false));
    assert!(!observe(0.5, false));
    assert!(!observe(1.0, true), "the grid decides anyway");
}

#[test]
fn of_a_cascade_the_agent_sees_the_setpoint_that_the_plant_follows() {
    let mut site = site();
    site.tags[QUALITY].settings.source_time_advancing = false;
    let operators = push(&mut site, "OPERATORS", TagKind::Meta);
    site.tags[operators].in_state = false;
    let agent_when = ModeWord { tag: tag(PUMP_RUNNING), value: 1.0 };
    site.setpoints[0].settings.cascade = Some(Cascade { operators: tag(operators), operator_when: None, agent_when });
    let (mut pipeline, mut plant) = begun(&site);
    let mut observe = |mode, quality| {
        plant.read(0.25, 0.1, 0.5, 0.5);
        plant.set(operators, 0.375);
        plant.set_with(PUMP_RUNNING, mode, quality);
        pipeline.observe(&plant.image, &plant.moment());
        (pipeline.action()[0], pipeline.action_read_back(), pipeline.state()[0], pipeline.complete())
    };
    assert_eq!(observe(1.0, Quality::Good), (0.5, true, 0.5, true));
    assert_eq!(observe(0.0, Quality::Good), (0.75, true, 0.75, true));
    let (action, read_back, _, complete) = observe(1.0, Quality::Bad);
    assert_eq!((action, read_back, complete), (0.75, false, false), "nobody knows which one it follows");
    assert_eq!(observe(1.0, Quality::Good), (0.5, true, 0.5, true));
}

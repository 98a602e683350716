//! The plant as a whole against what is published of it.

use proptest::prelude::*;

use super::components::{B, COMPONENTS, F, G, H};
use super::conditions::Conditions;
use super::flowsheet::Flowsheet;
use super::measurements::{
    COMPRESSOR_WORK, PRODUCT, REACTOR_LEVEL, REACTOR_PRESSURE, REACTOR_TEMPERATURE, SEPARATOR_LEVEL, SIGNALS,
};
use super::state::State;
use super::streams::Stream;
use super::*;
use crate::conformance::{close, run};

/// The column of the reward, after the outputs.
const REWARD: usize = OUTPUTS.len();
const HOUR: usize = 60;

/// `steps` minutes with the inputs as they are at first.
fn rest(case: &str, steps: usize) -> Vec<Vec<f64>> {
    run(case, 1, &vec![vec![]; steps])
}

/// When it shuts down, under a case whose shutdowns cost 99.
fn shutdown(rows: &[Vec<f64>]) -> Option<usize> {
    rows.iter().position(|row| row[REWARD] == -99.0)
}

#[test]
fn the_base_case_is_steady_for_its_first_hour() {
    for row in rest(r#"{"name": "tennessee_eastman", "noise": 0}"#, HOUR) {
        for (value, signal) in row.iter().zip(&SIGNALS) {
            let error = (value - signal.nominal).abs();
            assert!(error <= 2e-4 * signal.nominal.abs(), "{}: {value}, at first {}", signal.name, signal.nominal);
        }
        assert!((row[REWARD] + 0.1706).abs() < 2e-4, "{}", row[REWARD]);
    }
}

#[test]
fn disturbed_it_goes_where_the_published_program_goes() {
    let columns = [REACTOR_PRESSURE, REACTOR_LEVEL, REACTOR_TEMPERATURE, SEPARATOR_LEVEL, PRODUCT, COMPRESSOR_WORK];
    let mut warm = valves::BASE.to_vec();
    warm[valves::REACTOR_WATER] = 44.1;
    let mut open = valves::BASE.to_vec();
    for (valve, position) in [(valves::PURGE, 60.0), (valves::RECYCLE, 40.0), (valves::STEAM, 20.0)] {
        open[valve] = position;
    }
    open[valves::AGITATOR] = 70.0;
    let base = valves::BASE.to_vec();
    // Computed with a translation of that program, to ten digits.
    let published = [
        (&warm, "", 10, [2_811.357_717, 73.056_097_91, 103.956_941_1, 44.631_120_74, 22.903_577_26, 349.965_690_5]),
        (&open, "", 20, [2_745.330_751, 84.565_985_87, 124.115_674_1, 30.745_361_65, 22.875_675_33, 331.571_882_4]),
        (&base, "4", 10, [2_647.983_891, 75.809_676_88, 132.142_549_1, 55.332_892_71, 23.001_932_64, 333.086_241_5]),
        (&base, "7", 10, [2_655.810_807, 73.269_641_81, 109.480_368_7, 46.122_746_18, 22.541_249_84, 339.911_740_7]),
    ];
    for (valves, idv, minutes, expected) in published {
        let case = format!(r#"{{"name": "tennessee_eastman", "noise": 0, "idv": [{idv}]}}"#);
        let rows = run(&case, 1, &vec![valves.clone(); minutes]);
        let found = columns.map(|column| rows[minutes - 1][column]);
        close(&found, &expected);
    }
}

#[test]
fn left_to_itself_it_shuts_down_by_the_pressure_of_the_reactor() {
    let four_digits = [63.05, 53.98, 24.64, 61.30, 22.21, 40.06, 38.10, 46.53, 47.45, 41.11, 18.11, 50.0];
    for (valves, hours) in [(vec![], 3..4), (four_digits.to_vec(), 2..3)] {
        let case = r#"{"name": "tennessee_eastman", "noise": 0, "shutdown_cost": 99}"#;
        let rows = run(case, 1, &vec![valves; 4 * HOUR]);
        let end = shutdown(&rows).unwrap();
        assert!(hours.contains(&(end / HOUR)), "{end}");
        assert!(rows[end][REACTOR_PRESSURE] > 2_990.0, "{:?}", rows[end]);
    }
}

#[test]
fn a_shutdown_shows_the_plant_before_it_and_the_next_step_the_base_case() {
    let mut valves = vec![valves::BASE.to_vec(); 100];
    valves.iter_mut().for_each(|valves| valves[valves::STRIPPER_LIQUID] = 0.0);
    let rows = run(r#"{"name": "tennessee_eastman", "noise": 0, "shutdown_cost": 99}"#, 1, &valves);
    let end = shutdown(&rows).unwrap();
    // 8 m^3 of the base's 4.43 m^3 at 100 % and half of that at 0 %.
    assert!((rows[end][measurements::STRIPPER_LEVEL] - 130.5).abs() < 0.5, "{:?}", rows[end]);
    assert_eq!(rows[end + 1][REWARD], 0.0);
    close(&rows[end + 1][..SIGNALS.len()], &SIGNALS.map(|signal| signal.nominal));
    assert_eq!(shutdown(&rows[end + 1..]), Some(end + 1), "it goes as it went the first time");
}

#[test]
fn the_loss_of_a_or_a_warmer_reactor_ends_the_uncontrolled_plant_soon() {
    for (idv, minutes) in [(6, 20..35), (7, 10..30), (4, 50..75)] {
        let case = format!(r#"{{"name": "tennessee_eastman", "idv": [{idv}], "shutdown_cost": 99}}"#);
        let end = shutdown(&rest(&case, 2 * HOUR)).unwrap();
        assert!(minutes.contains(&end), "{idv}: {end}");
    }
}

#[test]
fn the_inner_loops_hold_the_base_case_for_days() {
    let rows = rest(r#"{"name": "tennessee_eastman_setpoints"}"#, 48 * HOUR);
    for row in &rows[HOUR..] {
        assert!((row[REACTOR_PRESSURE] - 2_705.0).abs() < 10.0, "{row:?}");
        assert!((row[REACTOR_LEVEL] - 75.0).abs() < 5.0, "{row:?}");
        assert!((row[REACTOR_TEMPERATURE] - 120.4).abs() < 0.3, "{row:?}");
    }
    let mean = rows.iter().map(|row| row[REWARD]).sum::<f64>() / rows.len() as f64;
    assert!((-0.25..-0.18).contains(&mean), "{mean}");
}

#[test]
fn the_inner_loops_follow_their_setpoints() {
    let measured = [0, 1, 2, 3, REACTOR_PRESSURE, REACTOR_LEVEL, REACTOR_TEMPERATURE];
    let changes = [0.05, 100.0, 100.0, 0.2, 60.0, 5.0, 1.0];
    for (input, change) in changes.into_iter().enumerate() {
        let mut setpoints = loops::SIGNALS.map(|signal| signal.nominal).to_vec();
        setpoints[input] += change;
        let case = r#"{"name": "tennessee_eastman_setpoints", "noise": 0, "shutdown_cost": 99}"#;
        let rows = run(case, 1, &vec![setpoints.clone(); 6 * HOUR]);
        assert_eq!(shutdown(&rows), None, "{input}");
        let error = rows[6 * HOUR - 1][measured[input]] - setpoints[input];
        assert!(error.abs() < 0.2 * change, "{input}: {error}");
    }
}

#[test]
fn under_the_inner_loops_most_disturbances_do_not_shut_it_down() {
    for idv in [3, 4, 5, 7, 9, 10, 11, 12, 14, 15, 16] {
        let case = format!(r#"{{"name": "tennessee_eastman_setpoints", "idv": [{idv}], "shutdown_cost": 99}}"#);
        assert_eq!(shutdown(&rest(&case, 6 * HOUR)), None, "{idv}");
    }
}

#[test]
fn a_poorer_feed_is_for_whoever_gives_the_setpoints() {
    let case = r#"{"name": "tennessee_eastman_setpoints", "idv": [1], "shutdown_cost": 99}"#;
    assert!(shutdown(&rest(case, 6 * HOUR)).is_some());
    let mut setpoints = loops::SIGNALS.map(|signal| signal.nominal).to_vec();
    // 3 % of the 9.35 kscmh of A and C are no longer A.
    setpoints[0] += 0.28;
    assert_eq!(shutdown(&run(case, 1, &vec![setpoints; 6 * HOUR])), None);
}

#[test]
fn after_a_shutdown_the_inner_loops_begin_anew() {
    let case = r#"{"name": "tennessee_eastman_setpoints", "noise": 0, "idv": [1], "shutdown_cost": 99}"#;
    let rows = rest(case, 9 * HOUR);
    let end = shutdown(&rows).unwrap();
    assert_eq!(rows[end + 1][REWARD], 0.0);
    assert_eq!(shutdown(&rows[end + 1..]), Some(end + 1), "it goes as it went the first time");
}

/// A state not far from the base case, and whatever valves.
fn any_state() -> impl Strategy<Value = State> {
    let factors = proptest::collection::vec(0.7..1.3f64, 36);
    let positions = proptest::collection::vec(0.0..=100.0f64, valves::COUNT);
    (factors, positions).prop_map(|(factors, positions)| {
        let mut state = State::base();
        let mut factors = factors.into_iter();
        for holdup in [&mut state.reactor, &mut state.separator, &mut state.stripper, &mut state.feed_zone] {
            holdup.moles.iter_mut().zip(&mut factors).for_each(|(moles, factor)| *moles *= factor);
            holdup.energy *= factors.next().unwrap();
        }
        state.valves.positions.copy_from_slice(&positions);
        state
    })
}

proptest! {
    #[test]
    fn what_the_plant_gains_is_what_comes_in_less_what_goes_out(state in any_state(), a in 0.4..0.6f64) {
        let conditions = Conditions { ac_feed: Conditions::ac_feed_of(a, 0.005), ..Conditions::base() };
        let flowsheet = Flowsheet::of(&state, &conditions);
        let s = &flowsheet.streams;
        let made = reactor::react(&flowsheet.units.reactor, &conditions);
        let net = |of: &dyn Fn(&Stream) -> f64| {
            [&s.a_feed, &s.d_feed, &s.e_feed, &s.ac_feed].into_iter().map(of).sum::<f64>() - of(&s.purge) - of(&s.product)
        };
        let gained = |component: usize| flowsheet.rates.holdups.iter().map(|rate| rate.moles[component]).sum::<f64>();
        for component in 0..COMPONENTS.len() {
            let expected = net(&|stream| stream.flow * stream.fractions[component]) + made.made[component];
            prop_assert!((gained(component) - expected).abs() < 1e-7, "{component}");
        }
        prop_assert!((gained(B) - net(&|stream| stream.flow * stream.fractions[B])).abs() < 1e-7);

        let mass = |component: usize| COMPONENTS[component].molar_mass;
        let gained_mass: f64 = (0..COMPONENTS.len()).map(|component| mass(component) * gained(component)).sum();
        let net_mass = net(&|s| (0..COMPONENTS.len()).map(|i| s.flow * s.fractions[i] * mass(i)).sum());
        prop_assert!((gained_mass - net_mass).abs() < 1e-5, "{gained_mass} {net_mass}");

        let energy: f64 = flowsheet.rates.holdups.iter().map(|rate| rate.energy).sum();
        let heats = flowsheet.heats.reactor + flowsheet.heats.condenser + flowsheet.heats.stripper;
        let expected = net(&|stream| stream.flow * stream.enthalpy) + heats + made.heat;
        prop_assert!((energy - expected).abs() < 1e-8, "{energy} {expected}");
    }

    #[test]
    fn f_g_and_h_only_arise(state in any_state()) {
        let made = reactor::react(&Flowsheet::of(&state, &Conditions::base()).units.reactor, &Conditions::base()).made;
        prop_assert!(made[F] >= 0.0 && made[G] >= 0.0 && made[H] >= 0.0);
    }
}

use super::*;
use crate::carry::Luggage;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::vec::Vec;

const SETTINGS: ModeSettings = ModeSettings {
    hold_max: Span::from_ms(100),
    recover_after: Span::from_ms(50),
    returns_per_hour: 2,
    release_after: Span::from_ms(200),
};

fn good(ms: u64) -> Conditions {
    Conditions {
        now: MonoTime::ZERO + Span::from_ms(ms),
        link: true,
        inputs: None,
        read_back: true,
        policy_adopted: true,
        policy_expired: false,
        state_incomplete: false,
        decisions_late: false,
        read_back_mismatch: false,
        fallback_usable: true,
        interlock_release: false,
        trip: None,
    }
}

/// A machine that came into its mode by the book, at 0 ms.
fn machine_in(mode: Mode) -> ModeMachine {
    let mut machine = ModeMachine::new(SETTINGS);
    let mut step = |conditions: Conditions, commands: &[Command]| {
        commands.iter().for_each(|command| {
            machine.command(*command);
        });
        machine.step(&conditions);
    };
    match mode {
        Mode::Startup => {}
        Mode::Release => step(good(0), &[Command::Release]),
        _ => step(good(0), &[]),
    }
    if mode.writes() {
        step(good(0), &[Command::Lease(true), Command::Arm]);
    }
    match mode {
        Mode::Hold => step(Conditions { link: false, ..good(0) }, &[]),
        Mode::Fallback => step(Conditions { policy_expired: true, ..good(0) }, &[]),
        _ => {}
    }
    assert_eq!(machine.mode(), mode);
    machine
}

/// Every cause that latches, but for the one that the machine finds itself.
const TRIPS: [Cause; 7] = [
    Cause::OutputNotFinite,
    Cause::OutputOutOfBounds,
    Cause::WriteRefused,
    Cause::Overruns,
    Cause::LimitsCorrupt,
    Cause::InternalFault,
    Cause::Chatter,
];

type Edge = (Mode, Mode, Cause);

/// Every stimulus by itself, at a given time: what happens then in each mode.
fn stimuli() -> Vec<(u64, Vec<Command>, Conditions)> {
    let conditions = |ms, change: fn(&mut Conditions)| {
        let mut conditions = good(ms);
        change(&mut conditions);
        (ms, Vec::new(), conditions)
    };
    let command = |command| (1, Vec::from([command]), good(1));
    let mut stimuli = Vec::from([
        conditions(1, |_| {}),
        conditions(1, |c| c.link = false),
        conditions(1, |c| c.inputs = Some(Missing::Bad)),
        conditions(1, |c| c.inputs = Some(Missing::Stale)),
        conditions(1, |c| c.read_back = false),
        conditions(1, |c| c.policy_adopted = false),
        conditions(1, |c| c.policy_expired = true),
        conditions(1, |c| c.state_incomplete = true),
        conditions(1, |c| c.decisions_late = true),
        conditions(1, |c| c.read_back_mismatch = true),
        conditions(1, |c| c.interlock_release = true),
        conditions(1, |c| c.fallback_usable = false),
        conditions(99, |c| c.link = false),
        conditions(100, |c| c.link = false),
        command(Command::Arm),
        command(Command::Disarm),
        command(Command::Release),
        command(Command::Reset),
        command(Command::Hold),
        command(Command::Lease(false)),
        command(Command::Lease(true)),
        command(Command::PolicyConfirmed(MonoTime::ZERO)),
        command(Command::HandBack { setpoint: 0 }),
    ]);
    for trip in TRIPS {
        stimuli.push((1, Vec::new(), Conditions { trip: Some(trip), ..good(1) }));
    }
    stimuli
}

/// The table: from each mode, every edge that a single stimulus causes.
fn table() -> BTreeSet<(u8, u8, &'static str)> {
    use Cause::*;
    use Mode::*;
    let mut edges: Vec<Edge> = Vec::from([
        (Startup, Shadow, StartupComplete),
        (Startup, Release, ReleaseCommand),
        (Shadow, Release, ReleaseCommand),
        (Release, Startup, Armed),
        (Hold, Run, Recovered),
        (Hold, Fallback, HoldElapsed),
    ]);
    for obstacle in [LinkLost, RequiredTagBad, RequiredTagStale, ReadBackLost, NoPolicy, StateIncomplete, HoldCommand] {
        edges.push((Run, Hold, obstacle));
    }
    for to_fallback in [PolicyAge, DecisionsLate, ReadBackMismatch].into_iter().chain(TRIPS) {
        edges.extend([(Run, Fallback, to_fallback), (Hold, Fallback, to_fallback)]);
    }
    for mode in [Run, Hold, Fallback] {
        edges.extend([
            (mode, Shadow, Disarmed),
            (mode, Shadow, LeaseLost),
            (mode, Release, ReleaseCommand),
            (mode, Release, InterlockRelease),
        ]);
    }
    edges.iter().map(|(from, to, cause)| (*from as u8, *to as u8, cause.name())).collect()
}

#[test]
fn single_stimuli_cause_exactly_the_edges_of_the_table() {
    let mut seen = BTreeSet::new();
    for mode in Mode::ALL {
        for (ms, commands, conditions) in stimuli() {
            let mut machine = machine_in(mode);
            if ms > 1 && mode == Mode::Hold {
                assert_eq!(machine.step(&Conditions { now: good(1).now, ..conditions }), None);
            }
            for command in commands {
                machine.command(command);
            }
            if let Some(edge) = machine.step(&conditions) {
                assert_eq!((edge.from, edge.to), (mode, machine.mode()));
                seen.insert((edge.from as u8, edge.to as u8, edge.cause.name()));
            }
        }
    }
    assert_eq!(seen, table());
}

#[test]
fn shadow_becomes_run_only_when_every_condition_is_met() {
    let run = |arm: bool, lease: bool, change: fn(&mut Conditions)| {
        let mut machine = machine_in(Mode::Shadow);
        machine.command(Command::Lease(lease));
        if arm {
            machine.command(Command::Arm);
        }
        let mut conditions = good(1);
        change(&mut conditions);
        machine.step(&conditions).is_some_and(|edge| edge.to == Mode::Run && edge.cause == Cause::Armed)
    };
    assert!(run(true, true, |_| {}));
    assert!(!run(false, true, |_| {}));
    assert!(!run(true, false, |_| {}));
    let obstacles: [fn(&mut Conditions); 9] = [
        |c| c.link = false,
        |c| c.inputs = Some(Missing::Stale),
        |c| c.read_back = false,
        |c| c.policy_adopted = false,
        |c| c.policy_expired = true,
        |c| c.state_incomplete = true,
        |c| c.decisions_late = true,
        |c| c.read_back_mismatch = true,
        |c| c.interlock_release = true,
    ];
    assert!(obstacles.iter().all(|obstacle| !run(true, true, *obstacle)));
}

#[test]
fn startup_waits_for_link_inputs_and_read_back() {
    let obstacles: [fn(&mut Conditions); 3] =
        [|c| c.link = false, |c| c.inputs = Some(Missing::Bad), |c| c.read_back = false];
    for obstacle in obstacles {
        let mut conditions = good(1);
        obstacle(&mut conditions);
        assert_eq!(machine_in(Mode::Startup).step(&conditions), None);
    }
}

#[test]
fn fallback_returns_after_t_recover_of_good_conditions() {
    let mut machine = machine_in(Mode::Fallback);
    assert_eq!(machine.step(&good(10)), None);
    assert_eq!(machine.step(&Conditions { link: false, ..good(40) }), None);
    assert_eq!(machine.step(&good(60)), None);
    assert_eq!(machine.step(&good(109)), None);
    let back = machine.step(&good(110)).unwrap();
    assert_eq!((back.to, back.cause), (Mode::Run, Cause::Recovered));
}

#[test]
fn one_return_too_many_in_an_hour_latches() {
    let mut machine = machine_in(Mode::Fallback);
    let mut ms = 0;
    let mut returns = 0;
    for _ in 0..3 {
        machine.step(&good(ms));
        ms += 50;
        returns += usize::from(machine.step(&good(ms)).is_some());
        machine.step(&Conditions { policy_expired: true, ..good(ms) });
    }
    assert_eq!((returns, machine.mode(), machine.latch()), (2, Mode::Fallback, Some(Cause::ReturnsExhausted)));
    let hours_later = ms + 10_000_000;
    machine.step(&good(hours_later));
    assert_eq!(machine.step(&good(hours_later + 50)), None);
    assert_eq!(machine.command(Command::Reset), Effect::Taken);
    assert_eq!(machine.step(&good(hours_later + 60)).map(|edge| edge.to), Some(Mode::Run));
}

#[test]
fn a_return_an_hour_ago_no_longer_counts() {
    let mut machine = machine_in(Mode::Fallback);
    for ms in [0, 10_000, 3_600_100, 3_700_000] {
        machine.step(&good(ms));
        assert_eq!(machine.step(&good(ms + 50)).map(|edge| edge.to), Some(Mode::Run), "at {ms} ms");
        machine.step(&Conditions { policy_expired: true, ..good(ms + 51) });
    }
}

#[test]
fn a_return_counts_for_exactly_an_hour() {
    let mut machine = machine_in(Mode::Fallback);
    let mut returned = Vec::new();
    for ms in [0, 10_000, 3_599_999, 3_600_000] {
        machine.step(&good(ms));
        returned.push(machine.step(&good(ms + 50)).is_some());
        machine.command(Command::Reset);
        // A reset forgets the returns as well: only its clearing of the latch is wanted here.
        machine.returns = [None; RETURNS_MAX];
        machine.returns[..2].fill(Some(MonoTime::ZERO + Span::from_ms(50)));
        machine.step(&Conditions { policy_expired: true, ..good(ms + 51) });
    }
    assert_eq!(returned, [true, false, false, true]);
}

#[test]
fn what_is_asked_for_again_is_ignored() {
    let mut machine = machine_in(Mode::Run);
    assert_eq!((machine.command(Command::Disarm), machine.command(Command::Disarm)), (Effect::Taken, Effect::Ignored));
    let mut machine = machine_in(Mode::Release);
    assert_eq!(machine.command(Command::Release), Effect::Ignored);
    assert_eq!(machine.step(&good(1)), None);
    assert_eq!((machine.command(Command::Arm), machine.command(Command::Release)), (Effect::Taken, Effect::Taken));
    assert_eq!(machine.step(&good(2)), None, "release wins");
}

#[test]
fn a_hold_is_for_a_machine_that_runs_and_asked_for_once() {
    for mode in [Mode::Startup, Mode::Shadow, Mode::Fallback, Mode::Release] {
        let mut machine = machine_in(mode);
        assert_eq!(machine.command(Command::Hold), Effect::Ignored, "{mode:?}");
        assert_eq!(machine.command(Command::Reset), Effect::Ignored, "there is nothing to reset in {mode:?}");
    }
    let mut machine = machine_in(Mode::Run);
    assert_eq!((machine.command(Command::Hold), machine.command(Command::Hold)), (Effect::Taken, Effect::Ignored));
    assert_eq!(machine.step(&good(1)).map(|edge| edge.to), Some(Mode::Hold));
}

#[test]
fn what_a_machine_remembers_is_carried_to_whoever_goes_on() {
    let mut machine = machine_in(Mode::Hold);
    machine.command(Command::Hold);
    machine.step(&Conditions { trip: Some(Cause::Chatter), ..good(7) });
    let mut other = ModeMachine::new(SETTINGS);
    Luggage::pack(|luggage| machine.carry(luggage)).unpack(|luggage| other.carry(luggage));
    assert_eq!(other, machine);
}

#[test]
fn a_trip_stays_until_it_is_reset() {
    let mut machine = machine_in(Mode::Run);
    let tripped = machine.step(&Conditions { trip: Some(Cause::WriteRefused), ..good(1) }).unwrap();
    assert_eq!((tripped.to, tripped.cause), (Mode::Fallback, Cause::WriteRefused));
    assert_eq!(machine.step(&good(1_000)), None);
    assert_eq!(machine.latch(), Some(Cause::WriteRefused));
    assert_eq!(machine.command(Command::Reset), Effect::Taken);
    assert_eq!(machine.step(&good(1_001)).map(|edge| edge.cause), Some(Cause::Recovered));
}

#[test]
fn a_latch_survives_disarming_and_keeps_shadow_from_running() {
    let mut machine = machine_in(Mode::Run);
    machine.step(&Conditions { trip: Some(Cause::Overruns), ..good(1) });
    machine.command(Command::Disarm);
    assert_eq!(machine.step(&good(2)).map(|edge| edge.to), Some(Mode::Shadow));
    assert_eq!(machine.command(Command::Arm), Effect::Taken);
    assert_eq!(machine.step(&good(3)), None);
    machine.command(Command::Reset);
    assert_eq!(machine.step(&good(4)).map(|edge| edge.to), Some(Mode::Run));
}

#[test]
fn an_asked_for_hold_ends_with_a_reset_or_in_fallback() {
    let mut machine = machine_in(Mode::Run);
    assert_eq!(machine.command(Command::Hold), Effect::Taken);
    assert_eq!(machine.step(&good(0)).map(|edge| edge.cause), Some(Cause::HoldCommand));
    assert_eq!(machine.step(&good(99)), None);
    let mut reset = machine;
    reset.command(Command::Reset);
    assert_eq!(reset.step(&good(99)).map(|edge| edge.to), Some(Mode::Run));
    assert_eq!(machine.step(&good(100)).map(|edge| edge.cause), Some(Cause::HoldElapsed));
    assert_eq!(machine.step(&good(1_000)), None);
}

#[test]
fn fallback_that_cannot_be_computed_becomes_release_after_t_release() {
    let mut machine = machine_in(Mode::Fallback);
    let unusable = |ms| Conditions { fallback_usable: false, read_back: false, ..good(ms) };
    assert_eq!(machine.step(&unusable(10)), None);
    assert_eq!(machine.step(&unusable(209)), None);
    let released = machine.step(&unusable(210)).unwrap();
    assert_eq!((released.to, released.cause), (Mode::Release, Cause::FallbackUnusable));
    assert!(!machine.armed());
}

#[test]
fn release_wins_over_arming_in_the_same_cycle() {
    let mut machine = machine_in(Mode::Run);
    assert_eq!(machine.command(Command::Release), Effect::Taken);
    assert_eq!(machine.command(Command::Arm), Effect::Ignored);
    assert_eq!(machine.step(&good(1)).map(|edge| edge.to), Some(Mode::Release));
    assert_eq!(machine.step(&good(2)), None);
}

#[test]
fn the_properties_of_the_modes_are_those_of_the_table() {
    let properties = Mode::ALL
        .map(|mode| [mode.policy_runs(), mode.writes(), mode.heartbeat(), mode.explores(), mode.transitions()]);
    let (yes, no) = (true, false);
    assert_eq!(
        properties,
        [
            [no, no, no, no, no],
            [yes, no, no, no, yes],
            [yes, yes, yes, yes, yes],
            [yes, yes, yes, no, yes],
            [yes, yes, yes, no, yes],
            [no, no, no, no, no],
        ]
    );
    for (number, mode) in (0..).zip(Mode::ALL) {
        assert_eq!((mode as u8, Mode::from_number(number)), (number, Some(mode)));
    }
    assert_eq!(Mode::from_number(6), None);
    assert_eq!(Mode::ALL.map(Mode::name), ["startup", "shadow", "run", "hold", "fallback", "release"]);
}

#[test]
fn whoever_loses_the_lease_is_disarmed_and_whoever_waits_for_it_stays_armed() {
    let mut waiting = ModeMachine::new(SETTINGS);
    waiting.command(Command::Arm);
    assert_eq!(waiting.command(Command::Lease(false)), Effect::Ignored);
    assert!(waiting.armed() && !waiting.lease(), "it never had it");
    waiting.step(&good(0));
    assert_eq!(waiting.step(&good(1)), None);
    waiting.command(Command::Lease(true));
    assert!(waiting.lease());
    assert_eq!(waiting.step(&good(2)).map(|edge| edge.to), Some(Mode::Run));

    waiting.command(Command::Lease(false));
    let lost = Transition { from: Mode::Run, to: Mode::Shadow, cause: Cause::LeaseLost };
    assert_eq!((waiting.step(&good(3)), waiting.armed()), (Some(lost), false));
    waiting.command(Command::Lease(true));
    assert_eq!(waiting.step(&good(4)), None, "it came back, and nobody armed it");
}

fn any_command() -> impl Strategy<Value = Option<Command>> {
    use Command::*;
    let commands = [Arm, Arm, Arm, Disarm, Release, Reset, Reset, Hold, Lease(true), Lease(true), Lease(false)];
    prop::option::weighted(0.25, prop::sample::select(commands.to_vec()))
}

fn any_conditions() -> impl Strategy<Value = Conditions> {
    let missing = prop::sample::select(Vec::from([None, None, None, None, Some(Missing::Bad), Some(Missing::Stale)]));
    let trips = Vec::from([None, None, None, None, None, None, None, Some(Cause::Overruns), Some(Cause::WriteRefused)]);
    let mostly = || prop::bool::weighted(0.93);
    let all = (mostly(), mostly(), mostly(), mostly(), mostly(), mostly(), mostly());
    (missing, prop::sample::select(trips), all).prop_map(|(inputs, trip, c)| Conditions {
        link: c.0,
        inputs,
        read_back: c.1,
        policy_adopted: c.2,
        policy_expired: !c.3,
        state_incomplete: !c.4,
        fallback_usable: c.5,
        interlock_release: !c.6,
        trip,
        ..good(0)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_path_writes_without_arming_lease_and_a_verified_plant(
        steps in prop::collection::vec((any_command(), any_command(), any_conditions(), 1_u64..40), 1..300),
    ) {
        let mut machine = ModeMachine::new(SETTINGS);
        let (mut lease, mut ms, mut hold_since) = (false, 0, None);
        for (first, second, conditions, pause) in steps {
            ms += pause;
            let conditions = Conditions { now: good(ms).now, ..conditions };
            for command in [first, second].into_iter().flatten() {
                machine.command(command);
                if let Command::Lease(held) = command {
                    lease = held;
                }
            }
            let before = machine.mode();
            let transition = machine.step(&conditions);
            let after = machine.mode();
            prop_assert_eq!(transition.map_or(before, |t| t.from), before);
            prop_assert_eq!(transition.map_or(before, |t| t.to), after);
            prop_assert!(transition.is_none_or(|t| t.from != t.to));
            if after.writes() {
                prop_assert!(machine.armed() && machine.lease() && lease);
                let verified = conditions.link && conditions.inputs.is_none() && conditions.read_back;
                prop_assert!(before.writes() || verified && after == Mode::Run);
                prop_assert!(after != Mode::Run || machine.latch().is_none());
                prop_assert!(after != Mode::Run || verified && conditions.policy_adopted);
                prop_assert!(![first, second].contains(&Some(Command::Release)));
            }
            hold_since = if after == Mode::Hold { hold_since.or(Some(ms)) } else { None };
            prop_assert!(hold_since.is_none_or(|since| ms - since < 100 ));
        }
    }
}

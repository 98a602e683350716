//! Bad days at random: every cycle keeps the invariants, and when everything is well again it runs again.

use proptest::prelude::*;

use rt_core::mode::Mode;
use rt_core::ports::Command;
use rt_core::tag::Quality;
use rt_core::time::Span;

use crate::rig::{Rig, limits};

/// What may happen in one cycle of a bad day.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Nothing,
    Late(u64),
    Action(f64, f64),
    Incomplete(bool),
    Connection(bool),
    Refuse(bool),
    Mute(bool),
    Measured(f64),
    Quality(u8),
    MovedByHand(usize, f64),
    Stuck(usize, bool),
    Slow(u64),
    Say(u8),
    Limits(f64, f64),
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        30 => Just(Mishap::Nothing),
        2 => (0_u64..20_000_000).prop_map(Mishap::Late),
        4 => (any::<f64>(), -2.0..12.0_f64).prop_map(|(a, b)| Mishap::Action(a, b)),
        4 => (0.0..10.0_f64, 0.0..10.0_f64).prop_map(|(a, b)| Mishap::Action(a, b)),
        1 => any::<bool>().prop_map(Mishap::Incomplete),
        2 => any::<bool>().prop_map(Mishap::Connection),
        1 => prop::bool::weighted(0.3).prop_map(Mishap::Refuse),
        1 => any::<bool>().prop_map(Mishap::Mute),
        1 => any::<f64>().prop_map(Mishap::Measured),
        1 => (0_u8..3).prop_map(Mishap::Quality),
        1 => (0_usize..2, -20.0..30.0_f64).prop_map(|(setpoint, value)| Mishap::MovedByHand(setpoint, value)),
        1 => (0_usize..2, prop::bool::weighted(0.3)).prop_map(|(setpoint, stuck)| Mishap::Stuck(setpoint, stuck)),
        1 => (0_u64..700_000).prop_map(Mishap::Slow),
        8 => (0_u8..10).prop_map(Mishap::Say),
        1 => (0.0..10.0_f64, 0.0..10.0_f64).prop_map(|(a, b)| Mishap::Limits(a.min(b), a.max(b))),
    ]
}

impl Rig {
    fn befall(&mut self, mishap: Mishap) {
        let mut late = Span::ZERO;
        match mishap {
            Mishap::Nothing => {}
            Mishap::Late(ns) => late = Span::from_ns(ns),
            Mishap::Action(first, second) => self.policy.action = [first, second],
            Mishap::Incomplete(incomplete) => self.policy.complete = !incomplete,
            Mishap::Connection(true) => self.plant.connect(),
            Mishap::Connection(false) => self.plant.disconnect(),
            Mishap::Refuse(refuses) => self.plant.refuses = [refuses; 2],
            Mishap::Mute(mute) => self.plant.mute = mute,
            Mishap::Measured(value) => self.plant.measured = value,
            Mishap::Quality(number) => {
                self.plant.quality = [Quality::Good, Quality::Uncertain, Quality::Bad][usize::from(number)];
            }
            Mishap::MovedByHand(setpoint, value) => self.plant.hand[setpoint] = Some(value),
            Mishap::Stuck(setpoint, stuck) => self.plant.stuck[setpoint] = stuck,
            Mishap::Slow(ns) => self.policy.takes = Span::from_ns(ns),
            Mishap::Say(number) => self.say(&[[
                Command::Arm,
                Command::Arm,
                Command::Lease(true),
                Command::Reset,
                Command::Hold,
                Command::Disarm,
                Command::Release,
                Command::PolicyConfirmed(self.clock.0.get()),
                Command::HandBack { setpoint: 0 },
                Command::HandBack { setpoint: 1 },
            ][usize::from(number)]]),
            Mishap::Limits(lo, hi) => {
                self.change([limits(lo, hi), limits(0.0, 10.0)], 5.0);
            }
        }
        self.cycle_late(late);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn whatever_happens_every_cycle_keeps_the_invariants_and_run_comes_back(
        mishaps in prop::collection::vec(mishap(), 1..400),
    ) {
        let mut rig = Rig::new();
        rig.say(&[Command::Lease(true), Command::Arm]);
        for mishap in mishaps {
            rig.befall(mishap);
        }
        // Everything is well again: the operator resets, arms, and it runs.
        (rig.plant.refuses, rig.plant.mute, rig.plant.quality, rig.plant.measured) = ([false; 2], false, Quality::Good, 1.0);
        (rig.policy.complete, rig.policy.action, rig.policy.takes) = (true, [5.0, 5.0], Span::ZERO);
        rig.plant.stuck = [false; 2];
        rig.befall(Mishap::Limits(0.0, 10.0));
        rig.plant.connect();
        rig.run(30);
        rig.say(&[Command::PolicyConfirmed(rig.clock.0.get()), Command::Lease(true), Command::Reset, Command::Arm]);
        rig.say(&[Command::HandBack { setpoint: 0 }, Command::HandBack { setpoint: 1 }]);
        rig.run(140);
        prop_assert_eq!(rig.cycle.mode(), Mode::Run);
    }
}

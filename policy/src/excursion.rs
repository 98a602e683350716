//! Excursions: now and then an exploring agent that knows little goes somewhere and stays there for a while.
//!
//! Noise around the mean shows what small changes do. What lies beyond a worse stretch, or shows only after a setpoint was
//! held for long, it never shows. So a decision begins an excursion with the chance `rate exp(-updates / fading)`: a point
//! of the scale, drawn anew for each setpoint, is held for a number of decisions that is mostly small and sometimes large,
//! `P(n or more) = 1/n` (Dabney et al. 2020, "Temporally-extended epsilon-greedy exploration"). `updates` are those that
//! the learner had made when the policy was published: a policy that has learnt long makes none, whoever runs it.
//!
//! The target is an action like any other: what the agent's bounds and the envelope leave of it is written.

use rt_config::Site;
use rt_core::carry::Carrier;
use rt_core::setpoint::SETPOINTS_MAX;

use crate::explore::uniform;

/// Which of a cycle's random numbers these are; those of the setpoints' noise come before.
const WHETHER: usize = SETPOINTS_MAX;
const HOW_LONG: usize = SETPOINTS_MAX + 1;
const WHERE_TO: usize = SETPOINTS_MAX + 2;

/// A chance smaller than this part of the rate is none, and ends what has begun under another policy.
const NEGLIGIBLE: f64 = 1e-6;

/// The excursions of one agent.
#[derive(Clone, Debug)]
pub(crate) struct Excursions {
    rate: f64,
    fading_updates: f64,
    decisions_max: f64,
    seed: u64,
    /// The cycle in which the present one began: with the seed it tells the targets.
    began: u64,
    /// Decisions that it has left.
    left: u32,
}

impl Excursions {
    pub(crate) fn new(site: &Site) -> Self {
        let settings = site.agent.excursions;
        Self {
            rate: settings.rate,
            fading_updates: settings.fading_updates,
            decisions_max: f64::from(settings.decisions_max),
            seed: site.seed,
            began: 0,
            left: 0,
        }
    }

    /// Takes a decision that explores in; whether it is one of an excursion.
    ///
    /// # Real-time
    /// Wait-free, a fixed number of operations.
    pub(crate) fn tick(&mut self, cycle: u64, updates: u64) -> bool {
        let chance = self.chance(updates);
        if chance < self.rate * NEGLIGIBLE {
            self.end();
            return false;
        }
        if self.left == 0 && uniform(self.seed, cycle, WHETHER) < chance {
            self.began = cycle;
            // `1/u` is at least n with the chance 1/n.
            let long = 1.0 / uniform(self.seed, cycle, HOW_LONG);
            self.left = if long < self.decisions_max { long as u32 } else { self.decisions_max as u32 };
        }
        let is_on = self.left > 0;
        self.left = self.left.saturating_sub(1);
        is_on
    }

    /// None for the nominal policy, and for one from elsewhere, of which nobody says how much it has learnt.
    fn chance(&self, updates: u64) -> f64 {
        if updates == 0 { 0.0 } else { self.rate * libm::exp(-(updates as f64) / self.fading_updates) }
    }

    /// Where the present excursion takes a setpoint, in [0, 1].
    ///
    /// # Real-time
    /// Wait-free, a fixed number of operations.
    pub(crate) fn target(&self, setpoint: usize) -> f32 {
        uniform(self.seed, self.began, WHERE_TO + setpoint) as f32
    }

    /// Ends it: a decision that does not explore was taken.
    ///
    /// # Real-time
    /// Wait-free.
    pub(crate) fn end(&mut self) {
        self.left = 0;
    }

    /// Hands its memory over. See [`rt_core::carry`].
    ///
    /// # Real-time
    /// As wait-free as the carrier.
    pub(crate) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { rate: _, fading_updates: _, decisions_max: _, seed: _, began, left } = self;
        carrier.carry(began);
        carrier.carry(left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Luggage;

    fn excursions(rate: f64) -> Excursions {
        Excursions { rate, fading_updates: 1_000.0, decisions_max: 50.0, seed: 3, began: 0, left: 0 }
    }

    /// The lengths of all excursions in so many decisions.
    fn lengths(rate: f64, updates: u64, decisions: u64) -> Vec<u32> {
        let mut excursions = excursions(rate);
        let mut lengths = Vec::new();
        for cycle in 0..decisions {
            let began = excursions.left == 0;
            if excursions.tick(cycle, updates) && began {
                lengths.push(excursions.left + 1);
            }
        }
        lengths
    }

    #[test]
    fn they_are_as_frequent_as_the_rate_says_and_fade_with_the_updates() {
        for (updates, chance) in [(1, 0.2), (1_000, 0.2 / std::f64::consts::E), (3_000, 0.2 * f64::exp(-3.0))] {
            let lengths = lengths(0.2, updates, 200_000);
            let on: u32 = lengths.iter().sum();
            let found = lengths.len() as f64 / f64::from(200_000 - on + lengths.len() as u32);
            assert!((found / chance - 1.0).abs() < 0.06, "{found} {chance}");
        }
        assert!(lengths(0.2, 1_000_000, 200_000).is_empty() && lengths(0.0, 1, 200_000).is_empty());
        assert!(lengths(0.2, 0, 200_000).is_empty(), "from elsewhere");
    }

    #[test]
    fn most_are_short_some_are_long_and_none_is_longer_than_permitted() {
        let lengths = lengths(0.5, 1, 400_000);
        let share = |n: u32| lengths.iter().filter(|length| **length >= n).count() as f64 / lengths.len() as f64;
        for n in [1, 2, 4, 10, 50] {
            assert!((share(n) * f64::from(n) - 1.0).abs() < 0.08, "{n}: {}", share(n));
        }
        assert_eq!(share(51), 0.0);
    }

    #[test]
    fn an_excursion_holds_its_targets_and_the_next_one_has_others() {
        let mut excursions = excursions(1.0);
        let mut targets = std::collections::BTreeSet::new();
        for cycle in 0..1_000 {
            let before = (excursions.left > 0).then(|| excursions.target(1));
            assert!(excursions.tick(cycle, 1));
            let target = excursions.target(1);
            assert!((0.0..=1.0).contains(&target) && before.is_none_or(|before| before == target));
            assert_ne!(target, excursions.target(0));
            targets.insert(target.to_bits());
        }
        assert!(targets.len() > 100);
    }

    #[test]
    fn what_does_not_explore_ends_it() {
        // No new one begins with this rate.
        let mut excursions = excursions(0.0);
        excursions.left = 40;
        assert!(excursions.tick(6, 1));
        excursions.end();
        assert!(!excursions.tick(7, 1));
    }

    #[test]
    fn a_policy_that_has_learnt_long_ends_what_another_one_began() {
        let mut excursions = excursions(1.0);
        (excursions.began, excursions.left) = (1, 40);
        assert!(excursions.tick(2, 10) && !excursions.tick(3, 1_000_000));
        assert_eq!(excursions.left, 0);
    }

    #[test]
    fn a_successor_goes_on_with_the_excursion_that_has_begun() {
        let (mut one, mut other) = (excursions(0.1), excursions(0.1));
        (one.began, one.left) = (1, 40);
        let mut luggage = Luggage::default();
        one.carry(&mut luggage);
        luggage.arrive();
        other.carry(&mut luggage);
        assert!(luggage.is_unpacked());
        for cycle in 2..500 {
            assert_eq!((one.tick(cycle, 1), one.target(0)), (other.tick(cycle, 1), other.target(0)), "{cycle}");
        }
    }
}

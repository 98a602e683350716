//! Keeper and operator: what they say after a look at the last cycle.

use rt_config::{Range, Site};
use rt_core::mode::Mode;
use rt_core::ports::Command;
use rt_core::record::Flags;

use super::dice::Dice;
use super::place::OBSERVE_EVERY;
use super::witness::Witness;

/// An operator resets also without a trip when FALLBACK has lasted for so many observations.
const FALLBACK_MAX: u64 = 30;

/// A person who arms, resets and hands back, now and then; and the keeper, which wins the lease whenever it is free.
pub(crate) struct Operator {
    dice: Dice,
    /// The ranges of the setpoints.
    ranges: Vec<Range>,
    fallback_since: Option<u64>,
}

impl Operator {
    pub(crate) fn new(seed: u64, site: &Site) -> Self {
        let ranges = site.setpoints.iter().map(|setpoint| setpoint.scale).collect();
        Self { dice: Dice::new(seed, "operator"), ranges, fallback_since: None }
    }

    /// What is said in this slot. One who is `eager` does at once what has to be done.
    pub(crate) fn speak(&mut self, slot: u64, seen: &Witness, lease: bool, eager: bool) -> Vec<Command> {
        let mut said = Vec::new();
        if seen.flags.contains(Flags::LEASE) != lease {
            said.push(Command::Lease(lease));
        }
        self.fallback_since = (seen.mode == Mode::Fallback).then(|| self.fallback_since.unwrap_or(slot));
        if !slot.is_multiple_of(OBSERVE_EVERY) {
            return said;
        }
        let mut acts = |patience| eager || self.dice.one_in(patience);
        let long = self.fallback_since.is_some_and(|since| slot - since > FALLBACK_MAX * OBSERVE_EVERY);
        if (seen.flags.contains(Flags::LATCHED) || long) && acts(3) {
            said.push(Command::Reset);
        }
        if !seen.flags.contains(Flags::ARMED) && acts(3) {
            said.push(Command::Arm);
        }
        if seen.flags.contains(Flags::OPERATOR) && acts(5) {
            said.extend((0_u8..).zip(&self.ranges).map(|(setpoint, _)| Command::HandBack { setpoint }));
        }
        said
    }

    /// A setpoint that is put back into its range: in SHADOW nobody else does that, and without it there is no state.
    pub(crate) fn put_back(&mut self, slot: u64, seen: &Witness, eager: bool) -> Option<(usize, f64, bool)> {
        let looks = slot.is_multiple_of(OBSERVE_EVERY) && seen.mode == Mode::Shadow;
        if !looks || !(eager || self.dice.one_in(5)) {
            return None;
        }
        let mut beyond = seen.rows.iter().zip(&self.ranges).enumerate();
        let outside = |of: &Range, value: f64| value < of.lo || value > of.hi;
        beyond.find_map(|(setpoint, (row, range))| {
            row.read_back.filter(|value| outside(range, *value))?;
            Some((setpoint, (range.lo + range.hi) / 2.0, true))
        })
    }
}

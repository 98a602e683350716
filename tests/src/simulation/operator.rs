//! Keeper and operator: what they say after a look at the last cycle.

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
    setpoints: u8,
    fallback_since: Option<u64>,
}

impl Operator {
    pub(crate) fn new(seed: u64, setpoints: usize) -> Self {
        let setpoints = u8::try_from(setpoints).expect("at most SETPOINTS_MAX");
        Self { dice: Dice::new(seed, "operator"), setpoints, fallback_since: None }
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
            said.extend((0..self.setpoints).map(|setpoint| Command::HandBack { setpoint }));
        }
        said
    }
}

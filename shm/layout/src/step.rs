//! One step for the learner: the state at an observation slot, the action that held before it, and what the policy said.

use zerocopy::{FromBytes, IntoBytes};

use crate::SizeMismatch;

/// Most columns that state or action have.
const COLUMNS_MAX: u32 = 1 << 16;
/// Numbers of a step for each component of the action.
pub(crate) const PER_ACTION: usize = 6;

abi_struct! {
    /// What every step begins with; state, action, action bounds and decision follow as f32.
    pub struct StepHead: 56 {
        /// Control cycle of the slot.
        pub cycle: u64,
        /// Release time of the slot, CLOCK_MONOTONIC nanoseconds.
        pub time_ns: u64,
        /// Number of the step since the start, without gaps.
        pub sequence: u64,
        /// Reward since the previous step; NaN when there is none.
        pub reward: f64,
        /// Generation of the policy in use; 0 is the nominal one.
        pub policy_generation: u64,
        /// Bits: the associated constants.
        pub flags: u32,
        /// Columns of the state.
        pub n_state: u32,
        /// Columns of the action and of its bounds.
        pub n_action: u32,
        /// Number of the mode.
        pub mode: u8,
        /// Zero.
        pub reserved: [u8; 3],
    }
}

impl StepHead {
    /// Flag: every column of the state is usable.
    pub const STATE_COMPLETE: u32 = 1 << 0;
    /// Flag: the reward is a number.
    pub const REWARD_VALID: u32 = 1 << 1;
    /// Flag: the policy decided in this slot.
    pub const DECISION_SLOT: u32 = 1 << 2;
    /// Flag: the previous step does not connect to this one.
    pub const GAP_BEFORE: u32 = 1 << 3;
    /// Flag: exploration noise was added to the action.
    pub const EXPLORED: u32 = 1 << 4;
    /// Flag: the action was read back from the plant.
    pub const ACTION_READ_BACK: u32 = 1 << 5;
    /// Flag: the site has goals, and all that they need was there.
    pub const GOALS_JUDGED: u32 = 1 << 6;
    /// Flag: every goal was met.
    pub const GOALS_MET: u32 = 1 << 7;
    /// Flag: the site has red or yellow bounds, and a tag with some was there.
    pub const ZONES_JUDGED: u32 = 1 << 8;
    /// Flag: no tag lay in a red or yellow zone.
    pub const ZONES_CLEAR: u32 = 1 << 9;
    /// Flag: a decision slot because of a trigger, between those of the action period.
    pub const TRIGGERED: u32 = 1 << 10;
    /// Flag: the site has a masked autoencoder, and every value of the state that it learns from was read.
    pub const ALL_READ: u32 = 1 << 11;

    /// Whether all bits of `flag` are set.
    pub const fn has(&self, flag: u32) -> bool {
        self.flags & flag == flag
    }
}

/// The sizes of an agent's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepLayout {
    n_state: usize,
    n_action: usize,
}

/// A step in its words.
#[derive(Clone, Copy, Debug)]
pub struct StepRef<'a> {
    /// The fixed part.
    pub head: &'a StepHead,
    /// Normalised state, in the order of the policy's manifest.
    pub state: &'a [f32],
    /// Action in [0, 1], as read back.
    pub action: &'a [f32],
    /// Lower bounds of the next action, in [0, 1].
    pub lo: &'a [f32],
    /// Upper bounds of the next action, in [0, 1].
    pub hi: &'a [f32],
    /// What the policy asked for, before any bound: 0 and 1 are the ends of the setpoint's scale. NaN without a decision.
    pub mean: &'a [f32],
    /// The same with exploration.
    pub sampled: &'a [f32],
    /// What the agent's own bounds left of it, in [0, 1]; NaN without a decision.
    pub decided: &'a [f32],
}

/// A step in its words, to be filled.
#[derive(Debug)]
pub struct StepMut<'a> {
    /// The fixed part; its two counts are filled in already.
    pub head: &'a mut StepHead,
    /// Normalised state, in the order of the policy's manifest.
    pub state: &'a mut [f32],
    /// Action in [0, 1], as read back.
    pub action: &'a mut [f32],
    /// Lower bounds of the next action, in [0, 1].
    pub lo: &'a mut [f32],
    /// Upper bounds of the next action, in [0, 1].
    pub hi: &'a mut [f32],
    /// What the policy asked for, before any bound: 0 and 1 are the ends of the setpoint's scale. NaN without a decision.
    pub mean: &'a mut [f32],
    /// The same with exploration.
    pub sampled: &'a mut [f32],
    /// What the agent's own bounds left of it, in [0, 1]; NaN without a decision.
    pub decided: &'a mut [f32],
}

impl StepLayout {
    /// The layout for so many columns; `None` beyond 65,536 of either.
    pub const fn new(n_state: u32, n_action: u32) -> Option<Self> {
        if n_state > COLUMNS_MAX || n_action > COLUMNS_MAX {
            return None;
        }
        Some(Self { n_state: n_state as usize, n_action: n_action as usize })
    }

    /// The layout that a segment's [`dims`](crate::VerifiedHeader::dims) describe.
    pub const fn from_dims(dims: [u32; 4]) -> Option<Self> {
        Self::new(dims[0], dims[1])
    }

    /// The layout as a segment's header holds it.
    pub const fn dims(&self) -> [u32; 4] {
        [self.n_state as u32, self.n_action as u32, 0, 0]
    }

    /// Words of one step, the filling included.
    pub const fn words(&self) -> usize {
        let floats = self.n_state + PER_ACTION * self.n_action;
        size_of::<StepHead>() / size_of::<u64>() + floats.div_ceil(2)
    }

    /// The step in these words.
    ///
    /// # Errors
    ///
    /// [`SizeMismatch`] unless there are exactly [`words`](Self::words). The counts inside the head
    /// are not believed; the layout's are.
    pub fn view<'a>(&self, words: &'a [u64]) -> Result<StepRef<'a>, SizeMismatch> {
        self.split(words).ok_or(self.mismatch(words.len()))
    }

    /// The step in these words, to be filled; the head's counts are set.
    ///
    /// # Errors
    ///
    /// [`SizeMismatch`] unless there are exactly [`words`](Self::words).
    pub fn view_mut<'a>(&self, words: &'a mut [u64]) -> Result<StepMut<'a>, SizeMismatch> {
        let mismatch = self.mismatch(words.len());
        self.split_mut(words).ok_or(mismatch)
    }

    fn split<'a>(&self, words: &'a [u64]) -> Option<StepRef<'a>> {
        if words.len() != self.words() {
            return None;
        }
        let (head, rest) = StepHead::ref_from_prefix(words.as_bytes()).ok()?;
        let floats = <[f32]>::ref_from_bytes(rest).ok()?;
        let (state, rest) = floats.split_at_checked(self.n_state)?;
        let (action, rest) = rest.split_at_checked(self.n_action)?;
        let (lo, rest) = rest.split_at_checked(self.n_action)?;
        let (hi, rest) = rest.split_at_checked(self.n_action)?;
        let (mean, rest) = rest.split_at_checked(self.n_action)?;
        let (sampled, rest) = rest.split_at_checked(self.n_action)?;
        let (decided, _) = rest.split_at_checked(self.n_action)?;
        Some(StepRef { head, state, action, lo, hi, mean, sampled, decided })
    }

    fn split_mut<'a>(&self, words: &'a mut [u64]) -> Option<StepMut<'a>> {
        if words.len() != self.words() {
            return None;
        }
        let (head, rest) = StepHead::mut_from_prefix(words.as_mut_bytes()).ok()?;
        let floats = <[f32]>::mut_from_bytes(rest).ok()?;
        let (state, rest) = floats.split_at_mut_checked(self.n_state)?;
        let (action, rest) = rest.split_at_mut_checked(self.n_action)?;
        let (lo, rest) = rest.split_at_mut_checked(self.n_action)?;
        let (hi, rest) = rest.split_at_mut_checked(self.n_action)?;
        let (mean, rest) = rest.split_at_mut_checked(self.n_action)?;
        let (sampled, rest) = rest.split_at_mut_checked(self.n_action)?;
        let (decided, _) = rest.split_at_mut_checked(self.n_action)?;
        let [n_state, n_action, ..] = self.dims();
        (head.n_state, head.n_action) = (n_state, n_action);
        Some(StepMut { head, state, action, lo, hi, mean, sampled, decided })
    }

    fn mismatch(&self, found_words: usize) -> SizeMismatch {
        SizeMismatch { found_words, expected_words: self.words() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn a_step_is_read_as_it_was_written_for_even_and_odd_sizes() {
        for (n_state, n_action) in [(0, 0), (1, 0), (4, 1), (5, 1), (248, 8)] {
            let layout = StepLayout::new(n_state, n_action).unwrap();
            let mut words = vec![0; layout.words()];
            let step = layout.view_mut(&mut words).unwrap();
            step.head.sequence = 77;
            step.state.fill(1.0);
            step.action.fill(2.0);
            step.lo.fill(3.0);
            step.hi.fill(4.0);
            step.mean.fill(5.0);
            step.sampled.fill(6.0);
            step.decided.fill(7.0);
            let step = layout.view(&words).unwrap();
            assert_eq!(step.head.sequence, 77);
            assert_eq!((step.head.n_state, step.head.n_action), (n_state, n_action));
            assert_eq!(step.state, vec![1.0; n_state as usize]);
            assert_eq!(step.action, vec![2.0; n_action as usize]);
            assert_eq!(step.lo, vec![3.0; n_action as usize]);
            assert_eq!(step.hi, vec![4.0; n_action as usize]);
            assert_eq!(step.mean, vec![5.0; n_action as usize]);
            assert_eq!(step.sampled, vec![6.0; n_action as usize]);
            assert_eq!(step.decided, vec![7.0; n_action as usize]);
        }
    }

    #[test]
    fn every_other_length_is_refused() {
        let layout = StepLayout::new(3, 2).unwrap();
        for found_words in (0..2 * layout.words()).filter(|n| *n != layout.words()) {
            let mut words = vec![0; found_words];
            assert!(layout.view(&words).is_err());
            assert!(layout.view_mut(&mut words).is_err());
        }
    }

    #[test]
    fn a_layout_survives_the_header() {
        let layout = StepLayout::new(248, 8).unwrap();
        assert_eq!(StepLayout::from_dims(layout.dims()), Some(layout));
        assert_eq!(StepLayout::from_dims([0, u32::MAX, 0, 0]), None);
    }
}

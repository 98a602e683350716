//! The sequence numbers of notification messages: which have come, and which are missing.

use crate::limits::MESSAGES_MISSING_MAX;

/// Sequence numbers run from 1 to this one, and begin again at 1 (Part 4, 5.13.1).
const NUMBERS: u64 = u32::MAX as u64;

/// The messages of a subscription by their positions: sequence numbers that do not wrap. The first message has position 1.
#[derive(Debug)]
pub(crate) struct Sequence {
    newest: u64,
    /// In their order; never more than fit.
    missing: Vec<u64>,
    /// Messages that were missing and never came.
    lost: u64,
}

impl Sequence {
    /// Nothing was sent yet.
    pub(crate) fn new() -> Self {
        Sequence { newest: 0, missing: Vec::with_capacity(MESSAGES_MISSING_MAX), lost: 0 }
    }

    /// The position of a message with this number: the nearest one to the newest message. `None` when there is none.
    pub(crate) fn position(&self, number: u32) -> Option<u64> {
        let number = u64::from(number).checked_sub(1)?;
        let newest = (self.newest + NUMBERS - 1) % NUMBERS;
        let ahead = (number + NUMBERS - newest) % NUMBERS;
        let position =
            if ahead <= NUMBERS / 2 { self.newest + ahead } else { self.newest.checked_sub(NUMBERS - ahead)? };
        (position > 0).then_some(position)
    }

    /// The number of the message at a position.
    pub(crate) fn number(position: u64) -> u32 {
        u32::try_from((position + NUMBERS - 1) % NUMBERS + 1).unwrap_or(u32::MAX)
    }

    /// A message has come.
    pub(crate) fn arrived(&mut self, position: u64) {
        self.announced(position);
        self.missing.retain(|missing| *missing != position);
        self.newest = self.newest.max(position);
    }

    /// The message at this position is the next one: all before it were sent.
    pub(crate) fn announced(&mut self, position: u64) {
        let first = self.newest + 1;
        if position <= first {
            return;
        }
        let room = MESSAGES_MISSING_MAX.saturating_sub(self.missing.len());
        let kept = (first..position).take(room);
        self.missing.extend(kept.clone());
        self.lost += position - first - kept.count() as u64;
        self.newest = position - 1;
    }

    /// The oldest message that is missing.
    pub(crate) fn missing(&self) -> Option<u64> {
        self.missing.first().copied()
    }

    /// The message at this position will not come, if it is still missing.
    pub(crate) fn give_up(&mut self, position: u64) {
        let waiting = self.missing.len();
        self.missing.retain(|missing| *missing != position);
        self.lost += (waiting - self.missing.len()) as u64;
    }

    /// Messages that were missing and never came.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// The newest message of which is known that it was sent.
    pub(crate) fn newest(&self) -> u64 {
        self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(newest: u64) -> Sequence {
        Sequence { newest, ..Sequence::new() }
    }

    #[test]
    fn numbers_begin_at_one_and_wrap_to_one() {
        assert_eq!(Sequence::number(1), 1);
        assert_eq!(Sequence::number(NUMBERS), u32::MAX);
        assert_eq!(Sequence::number(NUMBERS + 1), 1);
        assert_eq!(at(0).position(1), Some(1));
        assert_eq!(at(NUMBERS).position(1), Some(NUMBERS + 1));
        assert_eq!(at(NUMBERS + 1).position(u32::MAX), Some(NUMBERS));
        assert_eq!(at(0).position(0), None);
        assert_eq!(at(0).position(u32::MAX), None, "nothing is before the first message");
    }

    #[test]
    fn what_is_missing_comes_late_or_is_given_up() {
        let mut sequence = Sequence::new();
        sequence.arrived(1);
        sequence.arrived(4);
        assert_eq!(sequence.missing(), Some(2));
        sequence.arrived(2);
        assert_eq!((sequence.missing(), sequence.lost()), (Some(3), 0));
        sequence.give_up(3);
        sequence.give_up(3);
        sequence.give_up(2);
        assert_eq!((sequence.missing(), sequence.lost(), sequence.newest()), (None, 1, 4));
    }

    #[test]
    fn a_gap_beyond_what_is_remembered_is_lost() {
        let mut sequence = Sequence::new();
        let gap = MESSAGES_MISSING_MAX as u64 + 5;
        sequence.announced(gap + 1);
        assert_eq!((sequence.missing(), sequence.lost(), sequence.newest()), (Some(1), 5, gap));
    }

    proptest! {
        #[test]
        fn a_number_leads_back_to_its_position(newest in 1..3 * NUMBERS, away in -1_000_000i64..1_000_000) {
            let position = newest.saturating_add_signed(away).max(1);
            prop_assert_eq!(at(newest).position(Sequence::number(position)), Some(position));
        }

        #[test]
        fn every_message_has_come_is_missing_or_is_lost(positions in prop::collection::vec(1u64..60, 1..40)) {
            let mut sequence = Sequence::new();
            positions.iter().for_each(|position| sequence.arrived(*position));
            let mut come = positions.clone();
            come.sort_unstable();
            come.dedup();
            let mut given_up = 0;
            while let Some(missing) = sequence.missing() {
                prop_assert!(!come.contains(&missing));
                sequence.give_up(missing);
                given_up += 1;
            }
            prop_assert!(given_up <= MESSAGES_MISSING_MAX as u64);
            // One that came after it was counted as lost is in both.
            prop_assert!(come.len() as u64 + sequence.lost() >= sequence.newest());
            prop_assert_eq!(sequence.newest(), *come.last().unwrap());
        }
    }
}

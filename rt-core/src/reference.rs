//! The value that a setpoint moves from: the last one written while the plant confirms what we write, and the value read
//! back after any interval without writing. In between it is unknown, and then nothing is written.

use serde::{Deserialize, Serialize};

use crate::image::ReadBack;
use crate::time::{MonoTime, Span};
use crate::trail::{Sight, Trail};

/// The times that a reference is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// A set that was handed over is not sent any more after this long; a read-back counts only from then on.
    pub(crate) expiry: Span,
    /// A changed value has to be confirmed within this time; without writing, the last value is forgotten after it.
    pub(crate) confirm: Span,
    /// After a confirmed write the plant may show the value before it for this long (`t_settle`).
    pub(crate) settle: Span,
}

/// Where the reference stands at the beginning of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// What is written counts.
    Written,
    /// The value was taken from the read-back, or lost.
    ReadBack,
    /// The plant still shows what it showed before our write. The value is lost.
    Ignored,
    /// The plant shows what nobody of us wrote. The value is lost.
    Foreign,
}

/// The reference of one setpoint.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reference {
    value: Option<f64>,
    /// The last hand-over, and whether the cycle before this one made it.
    handed_over: Option<MonoTime>,
    writing: bool,
    /// Until then somebody else may have written: a read-back counts only if it is newer.
    anew_since: Option<MonoTime>,
    trail: Trail,
    confirmed: Option<f64>,
    /// What is written differs from what is confirmed, and nothing was confirmed since.
    unconfirmed_since: Option<MonoTime>,
}

impl Reference {
    pub(crate) const UNKNOWN: Self = Self {
        value: None,
        handed_over: None,
        writing: false,
        anew_since: None,
        trail: Trail::EMPTY,
        confirmed: None,
        unconfirmed_since: None,
    };

    /// The value that the next one moves from.
    pub(crate) const fn value(&self) -> Option<f64> {
        self.value
    }

    /// At the beginning of a cycle: decides between written and read back.
    pub(crate) fn settle(&mut self, read_back: Option<ReadBack>, now: MonoTime, patience: Patience) -> Settled {
        if self.unconfirmed_since.is_some_and(|since| now.since(since) > patience.confirm) {
            self.lose();
        }
        let recent = self.handed_over.is_some_and(|at| now.since(at) <= patience.confirm);
        if self.writing && recent && self.value.is_some() {
            return self.compare(read_back, patience.settle);
        }
        let settled = |received: MonoTime| {
            self.handed_over.is_none_or(|at| received > at.plus(patience.expiry))
                && self.anew_since.is_none_or(|at| received > at)
        };
        let fresh = read_back.filter(|read_back| settled(read_back.received));
        self.value = match fresh {
            Some(read_back) => {
                (self.confirmed, self.unconfirmed_since) = (None, None);
                self.trail.start(read_back);
                Some(read_back.value)
            }
            // Nothing of ours was on its way for so short a time that the last value still counts.
            None if recent => self.value,
            None => None,
        };
        Settled::ReadBack
    }

    /// Whether the plant shows what we write.
    fn compare(&mut self, read_back: Option<ReadBack>, settle: Span) -> Settled {
        match read_back.and_then(|read_back| self.trail.judge(read_back, settle)) {
            None | Some(Sight::Ours) => Settled::Written,
            Some(sight) => {
                self.lose();
                if sight == Sight::Ignored { Settled::Ignored } else { Settled::Foreign }
            }
        }
    }

    /// The value was handed over in this cycle.
    pub(crate) fn wrote(&mut self, value: f64, cycle: u64, now: MonoTime) {
        if !self.writing || !same(self.value, value) {
            self.trail.push(value, cycle);
        }
        if same(self.confirmed, value) || same(self.value, value) && self.unconfirmed_since.is_none() {
            self.unconfirmed_since = None;
        } else {
            self.unconfirmed_since = self.unconfirmed_since.or(Some(now));
        }
        (self.value, self.handed_over, self.writing) = (Some(value), Some(now), true);
    }

    /// Nothing was written in this cycle.
    pub(crate) fn rested(&mut self) {
        self.writing = false;
    }

    /// The plant confirmed the set of this cycle.
    pub(crate) fn confirm(&mut self, cycle: u64, now: MonoTime) {
        self.confirmed = self.trail.confirm(cycle, now);
        if self.unconfirmed_since.is_some() {
            let current = self.value.is_some_and(|value| same(self.confirmed, value));
            self.unconfirmed_since = if current { None } else { Some(now) };
        }
    }

    /// Until this instant the plant was somebody else's: nothing that was read before counts.
    pub(crate) fn begin_anew(&mut self, now: MonoTime) {
        self.lose();
        self.anew_since = Some(now);
    }

    /// A write failed, or its outcome is unknown: the value on the plant has to be read back.
    pub(crate) fn lose(&mut self) {
        self.value = None;
        self.trail = Trail::EMPTY;
        self.confirmed = None;
        self.unconfirmed_since = None;
        self.writing = false;
    }
}

/// Equality of bits: what the plant holds, not what compares equal.
fn same(known: Option<f64>, value: f64) -> bool {
    known.is_some_and(|known| known.to_bits() == value.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience =
        Patience { expiry: Span::from_ms(2), confirm: Span::from_ms(10), settle: Span::from_ms(20) };

    fn at(ms: u64) -> MonoTime {
        MonoTime::ZERO + Span::from_ms(ms)
    }

    fn read(value: f64, ms: u64) -> Option<ReadBack> {
        Some(ReadBack { value, received: at(ms) })
    }

    #[test]
    fn before_any_writing_the_read_back_counts_while_it_is_there() {
        let mut reference = Reference::UNKNOWN;
        assert_eq!(reference.settle(read(3.0, 0), at(0), PATIENCE), Settled::ReadBack);
        assert_eq!(reference.value(), Some(3.0));
        reference.settle(None, at(1), PATIENCE);
        assert_eq!(reference.value(), None);
    }

    #[test]
    fn what_was_read_while_the_plant_was_somebody_elses_does_not_count() {
        let mut reference = Reference::UNKNOWN;
        reference.settle(read(3.0, 4), at(5), PATIENCE);
        reference.begin_anew(at(6));
        reference.settle(read(3.0, 6), at(6), PATIENCE);
        assert_eq!(reference.value(), None);
        reference.settle(read(3.5, 7), at(8), PATIENCE);
        assert_eq!(reference.value(), Some(3.5));
    }

    #[test]
    fn the_written_value_counts_while_confirmations_keep_up() {
        let mut reference = Reference::UNKNOWN;
        reference.settle(read(3.0, 0), at(0), PATIENCE);
        for ms in 0..50_u64 {
            let shown = ms.checked_sub(4).map_or(3.0, |cycle| 4.0 + cycle as f64);
            assert_ne!(reference.settle(read(shown, ms), at(ms), PATIENCE), Settled::Foreign);
            reference.wrote(4.0 + ms as f64, ms, at(ms));
            reference.confirm(ms.saturating_sub(3), at(ms));
            assert_eq!(reference.value(), Some(4.0 + ms as f64));
        }
    }

    #[test]
    fn f30_f33_another_hand_and_an_actuator_that_does_not_move_are_told_apart() {
        let mut reference = Reference::UNKNOWN;
        reference.settle(read(3.0, 0), at(0), PATIENCE);
        reference.wrote(4.0, 0, at(0));
        reference.confirm(0, at(1));
        let mut ignored = reference;
        let writes = |reference: &mut Reference, shown, ms| {
            let settled = reference.settle(read(shown, ms), at(ms), PATIENCE);
            if settled == Settled::Written {
                reference.wrote(4.0, ms, at(ms));
            }
            settled
        };
        assert!((1..=21).all(|ms| writes(&mut ignored, 3.0, ms) == Settled::Written));
        assert_eq!(writes(&mut ignored, 3.0, 22), Settled::Ignored);
        assert_eq!(ignored.value(), None, "and it goes on from what is read back");
        assert_eq!(writes(&mut reference, 4.0, 1), Settled::Written);
        assert_eq!(writes(&mut reference, 7.0, 2), Settled::Foreign);
        reference.settle(read(7.0, 5), at(5), PATIENCE);
        assert_eq!(reference.value(), Some(7.0));
    }

    #[test]
    fn a_change_that_is_not_confirmed_in_time_makes_it_unknown_until_it_is_read_back() {
        let mut reference = Reference::UNKNOWN;
        reference.settle(read(3.0, 0), at(0), PATIENCE);
        reference.wrote(4.0, 0, at(0));
        for ms in 1..=10 {
            reference.settle(read(3.0, ms), at(ms), PATIENCE);
            assert_eq!(reference.value(), Some(4.0));
            reference.wrote(4.0, ms, at(ms));
        }
        // The set of 10 ms may still be sent until 12 ms: what was read before proves nothing.
        reference.settle(read(3.0, 12), at(12), PATIENCE);
        assert_eq!(reference.value(), None);
        reference.rested();
        reference.settle(read(3.5, 13), at(13), PATIENCE);
        assert_eq!(reference.value(), Some(3.5));
    }

    #[test]
    fn a_value_that_does_not_change_needs_no_confirmation() {
        let mut reference = Reference::UNKNOWN;
        reference.settle(read(3.0, 0), at(0), PATIENCE);
        for ms in 0..100 {
            reference.settle(read(3.0, ms), at(ms), PATIENCE);
            reference.wrote(3.0, ms, at(ms));
        }
        assert_eq!(reference.value(), Some(3.0));
    }

    #[test]
    fn a_change_taken_back_before_it_was_sent_needs_no_confirmation() {
        let mut reference = Reference::UNKNOWN;
        reference.settle(read(3.0, 0), at(0), PATIENCE);
        reference.wrote(4.0, 0, at(0));
        reference.confirm(0, at(1));
        reference.wrote(5.0, 1, at(1));
        for ms in 2..60 {
            reference.settle(None, at(ms), PATIENCE);
            reference.wrote(4.0, ms, at(ms));
        }
        assert_eq!(reference.value(), Some(4.0));
    }

    #[test]
    fn after_a_pause_of_the_whole_process_the_read_back_counts() {
        let mut reference = Reference::UNKNOWN;
        reference.settle(read(3.0, 0), at(0), PATIENCE);
        reference.wrote(3.0, 0, at(0));
        reference.settle(read(3.0, 0), at(5_000), PATIENCE);
        assert_eq!(reference.value(), None);
        reference.settle(read(7.0, 5_001), at(5_001), PATIENCE);
        assert_eq!(reference.value(), Some(7.0));
    }

    #[test]
    fn a_short_rest_keeps_the_last_value_until_a_settled_read_back() {
        let mut reference = Reference::UNKNOWN;
        reference.settle(read(3.0, 0), at(0), PATIENCE);
        reference.wrote(4.0, 0, at(0));
        reference.confirm(0, at(1));
        reference.rested();
        reference.settle(read(3.0, 1), at(1), PATIENCE);
        assert_eq!(reference.value(), Some(4.0));
        reference.settle(read(4.25, 3), at(3), PATIENCE);
        assert_eq!(reference.value(), Some(4.25));
    }
}

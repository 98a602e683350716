//! What the learner says of decisions, read for the recording.

use shm::broadcast::{Next, Reader};
use shm_layout::{ESTIMATE_WORDS, EstimateRecord};

use crate::frame::Estimates;

/// Estimates that one look takes, at most, which is more than there are decisions in a turn: a learner that makes estimates up
/// makes a recording grow no faster than its cycles do, and what is left behind is counted.
const LOOK_MAX: usize = 64;

/// The ring of the learner that was admitted last, if there was one, and what is not written down yet.
#[derive(Debug, Default)]
pub(crate) struct Said {
    ring: Option<Reader>,
    pending: Estimates,
}

impl Said {
    /// Another learner was admitted. What the one before it has said is taken, and nothing of what it goes on to say.
    pub(crate) fn follow(&mut self, ring: Reader) {
        self.look();
        self.ring = Some(ring);
    }

    /// What was said since the last time, if anything was.
    pub(crate) fn take(&mut self) -> Option<Estimates> {
        self.look();
        let is_empty = self.pending == Estimates::default();
        (!is_empty).then(|| std::mem::take(&mut self.pending))
    }

    fn look(&mut self) {
        let Some(ring) = &mut self.ring else { return };
        let mut words = [0; ESTIMATE_WORDS];
        for _ in 0..LOOK_MAX {
            match ring.next(&mut words) {
                Next::Record { .. } => self.pending.estimates.push(EstimateRecord::from_words(&words).into()),
                Next::Lost(count) => self.pending.lost = self.pending.lost.saturating_add(count),
                Next::Empty | Next::Damaged { .. } => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shm::broadcast::{Start, heap};

    fn estimate(cycle: u64) -> EstimateRecord {
        EstimateRecord { cycle, updates: 2, value: -1.0, spread: 0.5, nominal_value: f64::NAN }
    }

    #[test]
    fn what_was_said_is_taken_once_and_what_was_overwritten_is_counted() {
        let mut writer = heap(ESTIMATE_WORDS, 8);
        let mut said = Said::default();
        assert_eq!(said.take(), None);
        said.follow(writer.reader(Start::Oldest));
        assert_eq!(said.take(), None);
        for cycle in 0..20 {
            writer.publish(&estimate(cycle).to_words()).unwrap();
        }
        let taken = said.take().unwrap();
        assert_eq!(taken.lost + taken.estimates.len() as u64, 20);
        assert_eq!(taken.estimates.last().map(|last| last.cycle), Some(19));
        assert_eq!(said.take(), None);
    }

    #[test]
    fn a_learner_is_listened_to_until_another_one_is_admitted() {
        let (mut first, mut second) = (heap(ESTIMATE_WORDS, 8), heap(ESTIMATE_WORDS, 8));
        let mut said = Said::default();
        said.follow(first.reader(Start::Oldest));
        first.publish(&estimate(1).to_words()).unwrap();
        said.follow(second.reader(Start::Oldest));
        first.publish(&estimate(3).to_words()).unwrap();
        second.publish(&estimate(2).to_words()).unwrap();
        let cycles: Vec<_> = said.take().unwrap().estimates.iter().map(|estimate| estimate.cycle).collect();
        assert_eq!(cycles, [1, 2]);
    }
}

//! What the cycle records of one runtime add up to, and what the newest of them says.

use rt_core::envelope::Acted;
use rt_core::tag::Quality;
use shm_layout::{CycleRef, SetpointPart, TagPart};
use watch::Memory;

/// The limits of the envelope, with the names that records and messages have for them.
pub(super) const LIMITS: [(Acted, &str); 5] = Acted::NAMES;

/// The qualities of a tag, as the `quality` label names them.
pub(super) const QUALITIES: [(Quality, &str); 3] =
    [(Quality::Good, "good"), (Quality::Uncertain, "uncertain"), (Quality::Bad, "bad")];

/// Counts over the records of one run of a runtime: another one begins anew.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    run: u64,
    /// Per setpoint, in the order of [`LIMITS`]: cycles in which the limit acted.
    pub(super) clamps: Vec<[u64; LIMITS.len()]>,
    /// Records that were not read.
    pub(super) missed: u64,
    /// The newest there was.
    pub(super) reward: Option<f64>,
    /// Of the newest record, as the tags.
    pub(super) setpoints: Vec<SetpointPart>,
    pub(super) tags: Vec<TagPart>,
}

impl Tally {
    /// Reads on.
    pub(super) fn take(&mut self, memory: &mut Memory) {
        let run = memory.description().run;
        if self.run != run {
            *self =
                Self { run, clamps: vec![Default::default(); memory.description().setpoints.len()], ..Self::default() };
        }
        let missed = memory.cycles(|record| self.add(record));
        self.missed += missed.lost + u64::from(missed.damaged);
    }

    fn add(&mut self, record: &CycleRef<'_>) {
        for (counts, part) in self.clamps.iter_mut().zip(record.setpoints) {
            for (count, (limit, _)) in counts.iter_mut().zip(LIMITS) {
                *count += u64::from(part.acted & u32::from(limit.bits()) != 0);
            }
        }
        self.reward = Some(record.head.reward).filter(|reward| reward.is_finite()).or(self.reward);
        self.setpoints.clear();
        self.setpoints.extend_from_slice(record.setpoints);
        self.tags.clear();
        self.tags.extend_from_slice(record.tags);
    }
}

#[cfg(test)]
mod tests {
    use shm_layout::CycleLayout;

    use super::*;

    #[test]
    fn a_limit_is_counted_in_each_cycle_in_which_it_acts_and_the_newest_record_says_how_it_is() {
        let layout = CycleLayout::new(2, 1).unwrap();
        let mut tally = Tally { clamps: vec![Default::default(); 2], ..Tally::default() };
        for (acted, reward) in [(Acted::RANGE, -1.0), (Acted::RANGE.with(Acted::RATE), f64::NAN)] {
            let mut words = vec![0; layout.words()];
            let record = layout.view_mut(&mut words).unwrap();
            record.setpoints[1].acted = acted.bits().into();
            record.head.reward = reward;
            record.tags[0].value = 7.0;
            tally.add(&layout.view(&words).unwrap());
        }
        let of = |setpoint: usize, name: &str| {
            tally.clamps[setpoint][LIMITS.iter().position(|(_, limit)| *limit == name).unwrap()]
        };
        assert_eq!((of(1, "range"), of(1, "rate"), of(1, "interlock"), of(0, "range")), (2, 1, 0, 0));
        assert_eq!((tally.reward, tally.tags[0].value), (Some(-1.0), 7.0));
    }
}

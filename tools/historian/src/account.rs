//! How far a run is in a database, and what of a commit is new there.
//!
//! Everything is counted by the numbers of the ring's records. A commit that is there already is passed over; of one that is
//! there in part, the rest is taken; what lies between is a gap. So whatever comes twice or not at all, every record is
//! accounted for once. In part happens only where a log has lost its newest commits and the ring is read once more: points have
//! cycles and not the ring's numbers, so the rest of them is what lies behind the last cycle that has a point.

use archive::{Event, Gap, Missing, Point, TrackId};

use crate::spill::{ClockAt, Position, Spilled};

/// How far a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) position: Position,
    /// The last cycle that has a point.
    pub(crate) last_cycle: Option<u64>,
    pub(crate) clock: Option<ClockAt>,
}

/// What of a commit is new.
#[derive(Debug)]
pub(crate) struct New<'a> {
    spilled: &'a Spilled,
    /// Points of later cycles only.
    after_cycle: Option<u64>,
    first_event: u64,
    pub(crate) gaps: Vec<Gap>,
    /// A relation of clocks that is new.
    pub(crate) clock: Option<ClockAt>,
}

impl New<'_> {
    pub(crate) fn points(&self) -> impl Iterator<Item = &(TrackId, Point)> {
        self.spilled.commit.points.iter().filter(|(_, point)| self.after_cycle.is_none_or(|last| point.cycle > last))
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.spilled.commit.events.iter().filter(|event| event.number >= self.first_event)
    }
}

impl Account {
    /// Up to here everything was handed out: what is not there has been lost.
    pub(crate) fn reach(&mut self, position: Position, why: &str) -> Vec<Gap> {
        let Position { cycle_record, event } = self.position;
        let ways = [(Missing::Cycles, cycle_record, position.cycle_record), (Missing::Events, event, position.event)];
        let gap = |(what, first, end): (Missing, u64, u64)| {
            let count = end.checked_sub(first).filter(|count| *count > 0)?;
            Some(Gap { what, first, count, after_cycle: self.last_cycle, before_cycle: None, why: why.to_owned() })
        };
        let gaps = ways.into_iter().filter_map(gap).collect();
        self.position = self.position.max(position);
        gaps
    }

    /// What of a commit is new; `None` if nothing is. `why` is for what lies before it and is lost.
    pub(crate) fn take<'a>(&mut self, spilled: &'a Spilled, why: &str) -> Option<New<'a>> {
        let commit = &spilled.commit;
        let end = Position { cycle_record: commit.cycle_records.end, event: commit.events_read.end };
        if end.max(self.position) == self.position {
            return None;
        }
        let before = self.position;
        let start = Position { cycle_record: commit.cycle_records.start, event: commit.events_read.start };
        let mut gaps = self.reach(start, why);
        gaps.extend(commit.gaps.iter().filter_map(|gap| rest(gap, self.position)));
        let is_overlapping = start.cycle_record < before.cycle_record;
        let after_cycle = self.last_cycle.filter(|_| is_overlapping);
        let first_event = self.position.event;
        let clock = spilled.clock.filter(|clock| self.clock != Some(*clock));
        self.clock = spilled.clock.or(self.clock);
        self.last_cycle = self.last_cycle.max(commit.last_cycle);
        self.position = self.position.max(end);
        Some(New { spilled, after_cycle, first_event, gaps, clock })
    }
}

impl Position {
    /// The later one of both, for each ring.
    fn max(self, other: Self) -> Self {
        Self { cycle_record: self.cycle_record.max(other.cycle_record), event: self.event.max(other.event) }
    }
}

/// What of a gap lies behind a position.
fn rest(gap: &Gap, position: Position) -> Option<Gap> {
    let known = match gap.what {
        Missing::Cycles => position.cycle_record,
        Missing::Events => position.event,
    };
    let first = gap.first.max(known);
    let count = (gap.first + gap.count).checked_sub(first).filter(|count| *count > 0)?;
    Some(Gap { first, count, ..gap.clone() })
}

#[cfg(test)]
mod tests {
    use archive::{Commit, RunId};
    use proptest::prelude::*;

    use super::*;

    /// Of records whose cycle is twice their number, and of which every third is overwritten before it is read.
    fn commit(cycles: std::ops::Range<u64>, events: std::ops::Range<u64>) -> Spilled {
        let point = |number| (TrackId(1), Point::new(number * 2, number as f64, 0));
        let event = |number| Event {
            number,
            cycle: number,
            unix_ns: 0,
            kind: "trip".into(),
            cause: 0,
            uid: None,
            a: 0,
            b: 0,
            text: String::new(),
        };
        let gap = |first| Gap {
            what: Missing::Cycles,
            first,
            count: 1,
            after_cycle: None,
            before_cycle: None,
            why: "overwritten".into(),
        };
        let (lost, read): (Vec<u64>, Vec<u64>) = cycles.clone().partition(|number| number % 3 == 0);
        let commit = Commit {
            cycle_records: cycles,
            events_read: events.clone(),
            last_cycle: read.last().map(|number| number * 2),
            points: read.into_iter().map(point).collect(),
            events: events.map(event).collect(),
            gaps: lost.into_iter().map(gap).collect(),
            clock: None,
        };
        Spilled { run: RunId(1), clock: Some((0, 5)), commit }
    }

    proptest! {
        #[test]
        fn whatever_comes_twice_or_not_at_all_every_record_is_accounted_for_once(
            commits in prop::collection::vec((0u64..60, 2u64..20, 0u64..30, 0u64..10), 1..20)
        ) {
            let mut account = Account::default();
            let (mut cycles, mut events) = (Vec::new(), Vec::new());
            for (first, count, event, events_count) in commits {
                let spilled = commit(first..first + count, event..event + events_count);
                let Some(new) = account.take(&spilled, "lost") else { continue };
                cycles.extend(new.points().map(|(_, point)| point.cycle / 2));
                events.extend(new.events().map(|event| event.number));
                for gap in &new.gaps {
                    match gap.what {
                        Missing::Cycles => cycles.extend(gap.first..gap.first + gap.count),
                        Missing::Events => events.extend(gap.first..gap.first + gap.count),
                    }
                }
            }
            for (mut found, end) in [(cycles, account.position.cycle_record), (events, account.position.event)] {
                found.sort_unstable();
                prop_assert_eq!(found, (0..end).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn what_a_log_no_longer_holds_is_a_gap_up_to_what_it_begins_with() {
        let mut account = Account { last_cycle: Some(4), ..Account::default() };
        let gaps = account.reach(Position { cycle_record: 9, event: 0 }, "away");
        let [gap] = &gaps[..] else { panic!("one gap: {gaps:?}") };
        assert_eq!(
            (gap.what, gap.first, gap.count, gap.after_cycle, gap.why.as_str()),
            (Missing::Cycles, 0, 9, Some(4), "away")
        );
        assert!(account.reach(Position { cycle_record: 3, event: 0 }, "away").is_empty());
    }
}

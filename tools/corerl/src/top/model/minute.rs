//! The last minute of cycles: how late, how long, how fast, second by second; and the generations that were in use.

use std::collections::VecDeque;

use shm::histogram::Snapshot;
use shm_layout::CycleHead;

const SECOND_NS: u64 = 1_000_000_000;
/// Seconds that are kept.
const SECONDS: usize = 60;
/// Changes of the policy that are kept.
const GENERATIONS_MAX: usize = 200;

/// The cycles of the last minute.
#[derive(Clone, Debug, Default)]
pub(in crate::top) struct Minute {
    seconds: VecDeque<Second>,
    generations: VecDeque<(u64, u64)>,
}

/// The cycles that were released in one second of the monotonic clock.
#[derive(Clone, Debug, Default)]
struct Second {
    number: u64,
    lateness: Snapshot,
    execution: Snapshot,
    response: Snapshot,
    skipped: u64,
    reward: f64,
}

/// Which of its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::top) enum Of {
    Lateness,
    Execution,
    Response,
}

impl Second {
    fn figures(&self, of: Of) -> &Snapshot {
        match of {
            Of::Lateness => &self.lateness,
            Of::Execution => &self.execution,
            Of::Response => &self.response,
        }
    }
}

impl Minute {
    pub(super) fn take(&mut self, head: &CycleHead) {
        let number = head.release_ns / SECOND_NS;
        // A clock that goes back is another machine's, or nonsense: what was seen of the other one is of no use.
        if self.seconds.back().is_some_and(|newest| newest.number > number) {
            self.seconds.clear();
        }
        if self.seconds.back().is_none_or(|newest| newest.number != number) {
            if self.seconds.len() >= SECONDS {
                self.seconds.pop_front();
            }
            self.seconds.push_back(Second { number, reward: f64::NAN, ..Second::default() });
        }
        if let Some(second) = self.seconds.back_mut() {
            second.lateness.record(head.lateness_ns.into());
            second.execution.record(head.execution_ns.into());
            if head.response_ns != 0 {
                second.response.record(head.response_ns.into());
            }
            second.skipped += u64::from(head.skipped);
            if head.reward.is_finite() {
                second.reward = head.reward;
            }
        }
        if self.generations.back().is_none_or(|(_, generation)| *generation != head.policy_generation) {
            super::keep(&mut self.generations, (head.release_ns, head.policy_generation), GENERATIONS_MAX);
        }
    }

    /// All cycles of the minute together.
    pub(in crate::top) fn figures(&self, of: Of) -> Snapshot {
        let mut all = Snapshot::default();
        self.recent().for_each(|second| all.merge(second.figures(of)));
        all
    }

    /// The largest value of each second, the newest last; NaN for a second without any.
    pub(in crate::top) fn largest(&self, of: Of) -> impl DoubleEndedIterator<Item = f64> {
        self.by_second(move |second| second.figures(of).max_ns().map_or(f64::NAN, |ns| ns as f64))
    }

    /// The last reward of each second.
    pub(in crate::top) fn rewards(&self) -> impl DoubleEndedIterator<Item = f64> {
        self.by_second(|second| second.reward)
    }

    /// Slots that passed without a cycle.
    pub(in crate::top) fn skipped(&self) -> u64 {
        self.recent().map(|second| second.skipped).sum()
    }

    pub(super) fn generations(&self) -> impl Iterator<Item = (u64, u64)> {
        self.generations.iter().copied()
    }

    /// The seconds that lie in the minute before the newest one: after a pause there are fewer.
    fn recent(&self) -> impl Iterator<Item = &Second> {
        let newest = self.seconds.back().map_or(0, |second| second.number);
        self.seconds.iter().filter(move |second| second.number + SECONDS as u64 > newest)
    }

    fn by_second(&self, value: impl Fn(&Second) -> f64) -> impl DoubleEndedIterator<Item = f64> {
        let mut row = vec![f64::NAN; SECONDS];
        let newest = self.seconds.back().map_or(0, |second| second.number);
        for second in self.recent() {
            let place = (SECONDS - 1).checked_sub((newest - second.number) as usize);
            if let Some(cell) = place.and_then(|place| row.get_mut(place)) {
                *cell = value(second);
            }
        }
        row.into_iter()
    }
}

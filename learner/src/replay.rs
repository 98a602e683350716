//! What the agent remembers: two rings of rows, online and historical, and the transitions over them.
//!
//! A row is one state with the action that was in force before it and the bounds of the action after it. It is stored
//! once, in `f32`, however many transitions begin or end in it; a transition takes 16 bytes, plus 4 for each member of
//! the ensemble that sees it. Memory grows with the data up to the capacity. Insertion takes constant time, and so does
//! sampling, uniformly or by [`Recency`] within a part.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::dead_time::Waiting;
use crate::options::{AgentOptions, AgentShape, ENSEMBLE_MAX};
use crate::random::Stream;
use crate::recency::Recency;
use crate::transitions::{Fate, Step, Window, Windows};

/// A batch of transitions, one row per transition in every column.
#[derive(Debug, Clone)]
pub(crate) struct Batch {
    /// The states and then the next states, so that a network passes over both at once.
    pub(crate) both_states: Vec<f32>,
    pub(crate) lo: Vec<f32>,
    pub(crate) hi: Vec<f32>,
    pub(crate) actions: Vec<f32>,
    pub(crate) rewards: Vec<f32>,
    pub(crate) discounts: Vec<f32>,
    pub(crate) next_lo: Vec<f32>,
    pub(crate) next_hi: Vec<f32>,
    /// The first row of those from recordings, which come last.
    pub(crate) historical_from: usize,
}

impl Batch {
    pub(crate) fn new(shape: AgentShape, rows: usize) -> Self {
        let zeros = |width: usize| vec![0.0; rows * width];
        Self {
            both_states: zeros(2 * shape.state),
            lo: zeros(shape.action),
            hi: zeros(shape.action),
            actions: zeros(shape.action),
            rewards: zeros(1),
            discounts: zeros(1),
            next_lo: zeros(shape.action),
            next_hi: zeros(shape.action),
            historical_from: rows,
        }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rewards.len()
    }

    pub(crate) fn states(&self) -> &[f32] {
        &self.both_states[..self.both_states.len() / 2]
    }

    pub(crate) fn states_mut(&mut self) -> &mut [f32] {
        let len = self.both_states.len() / 2;
        &mut self.both_states[..len]
    }

    pub(crate) fn next_states(&self) -> &[f32] {
        &self.both_states[self.both_states.len() / 2..]
    }
}

/// A window over stored rows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Transition {
    /// The number of its last row.
    end: u64,
    reward_sum: f32,
    n: u16,
    /// Bit m: member m of the ensemble sees it. [`TERMINAL`]: nothing comes after its last row.
    mask: u16,
}

/// The bit of a transition that ends in a terminal state.
const TERMINAL: u16 = 1 << 15;
const _: () = assert!(ENSEMBLE_MAX < 15, "a bit for every member, and one more");

/// Which half of the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// From the running plant.
    Online,
    /// From recordings.
    Historical,
}

/// The columns of a row.
struct Row<'a> {
    state: &'a [f32],
    action: &'a [f32],
    lo: &'a [f32],
    hi: &'a [f32],
}

/// One ring of rows with its transitions.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    shape: AgentShape,
    capacity: usize,
    n_max: usize,
    waiting: Waiting,
    windows: Windows,
    /// A checkpoint keeps them apart, in pieces.
    #[serde(skip)]
    rows: Vec<f32>,
    /// Rows ever stored; the number of the next one.
    rows_total: u64,
    transitions: VecDeque<Transition>,
    /// The number of the oldest transition kept.
    first: u64,
    /// For each member the transitions that it sees: the low 32 bits of their numbers.
    #[serde(skip)]
    seen_by: Vec<VecDeque<u32>>,
}

impl Part {
    fn new(shape: AgentShape, options: &AgentOptions, capacity: usize) -> Self {
        Self {
            shape,
            capacity,
            n_max: options.n_step_max,
            waiting: Waiting::new(options.dead_time),
            windows: Windows::new(options.gamma, options.n_step_max),
            rows: Vec::new(),
            rows_total: 0,
            transitions: VecDeque::new(),
            first: 0,
            seen_by: vec![VecDeque::new(); options.ensemble],
        }
    }

    fn width(&self) -> usize {
        row_width(self.shape)
    }

    /// Rows have room for the longest window beside one row for each transition.
    fn row_capacity(&self) -> usize {
        self.capacity + self.n_max
    }

    fn row(&self, number: u64) -> Row<'_> {
        let at = (number % self.row_capacity() as u64) as usize * self.width();
        let (state, rest) = self.rows[at..at + self.width()].split_at(self.shape.state);
        let (action, bounds) = rest.split_at(self.shape.action);
        let (lo, hi) = bounds.split_at(self.shape.action);
        Row { state, action, lo, hi }
    }

    fn push_row(&mut self, step: &Step<'_>) {
        /// Rows that memory grows by.
        const GROWTH_ROWS: usize = 4_096;
        let columns = [step.state, step.action, step.lo, step.hi];
        let (capacity, width) = (self.row_capacity(), self.width());
        if self.rows_total < capacity as u64 {
            if self.rows.capacity() < self.rows.len() + width {
                self.rows.reserve_exact(width * GROWTH_ROWS.min(capacity - self.rows.len() / width));
            }
            for column in columns {
                self.rows.extend_from_slice(column);
            }
        } else {
            let at = (self.rows_total % capacity as u64) as usize * width;
            let mut rest = &mut self.rows[at..at + width];
            for column in columns {
                let (to, others) = rest.split_at_mut(column.len());
                to.copy_from_slice(column);
                rest = others;
            }
        }
        self.rows_total += 1;
    }

    /// Forgets transitions over the capacity and those whose rows may be gone.
    fn evict(&mut self) {
        let oldest_row = self.rows_total.saturating_sub(self.row_capacity() as u64);
        while let Some(front) = self.transitions.front() {
            let gone = front.end < oldest_row + self.n_max as u64 && oldest_row > 0;
            if !gone && self.transitions.len() <= self.capacity {
                break;
            }
            let mask = front.mask;
            self.transitions.pop_front();
            for (member, seen) in self.seen_by.iter_mut().enumerate() {
                if mask & (1 << member) != 0 {
                    seen.pop_front();
                }
            }
            self.first += 1;
        }
    }

    fn push_transition(&mut self, window: Window, mask: u16) {
        let number = self.first + self.transitions.len() as u64;
        self.transitions.push_back(Transition {
            end: self.rows_total - 1,
            reward_sum: window.reward_sum,
            n: window.n as u16,
            mask,
        });
        for (member, seen) in self.seen_by.iter_mut().enumerate() {
            if mask & (1 << member) != 0 {
                seen.push_back(number as u32);
            }
        }
    }

    /// Builds again what a checkpoint leaves out.
    fn index(&mut self, ensemble: usize) {
        self.seen_by = vec![VecDeque::new(); ensemble.min(ENSEMBLE_MAX)];
        for (i, transition) in self.transitions.iter().enumerate() {
            for (member, seen) in self.seen_by.iter_mut().enumerate() {
                if transition.mask & (1 << member) != 0 {
                    seen.push_back((self.first + i as u64) as u32);
                }
            }
        }
    }

    /// The index of a transition that `member` sees; of any one when it sees none, or for nobody in particular.
    fn draw(&self, member: Option<usize>, recency: Option<Recency>, stream: &mut Stream) -> usize {
        let all = self.transitions.len();
        let seen = member.and_then(|member| self.seen_by.get(member)).filter(|seen| !seen.is_empty());
        let count = seen.map_or(all, VecDeque::len);
        let at = match recency {
            Some(recency) => count - 1 - recency.thinned(count as f64 / all as f64).draw(count, stream),
            None => stream.below(count),
        };
        seen.map_or(at, |seen| seen[at].wrapping_sub(self.first as u32) as usize)
    }

    /// The rewards of a transition, summed with another discount than they are kept with. The windows that end in one row lie
    /// side by side, the longest first, and what their sums differ by are the rewards: nothing else has to be kept.
    fn reward_sum(&self, index: usize, gamma: f64) -> f32 {
        let n = usize::from(self.transitions[index].n);
        let (mut sum, mut shorter) = (0.0, 0.0);
        for window in self.transitions.range(index..index + n).rev() {
            let kept = f64::from(window.reward_sum);
            sum = (kept - self.windows.gamma() * shorter) + gamma * sum;
            shorter = kept;
        }
        sum as f32
    }

    /// Whether every window is followed by those that end in the same row, down to the shortest.
    fn windows_are_complete(&self) -> bool {
        let following = self.transitions.iter().skip(1).map(Some).chain([None]);
        self.transitions.iter().zip(following).all(|(window, next)| {
            window.n == 1 || next.is_some_and(|next| next.end == window.end && next.n == window.n - 1)
        })
    }

    fn copy_into(&self, transition: Transition, at: usize, batch: &mut Batch) {
        let start = transition.end - u64::from(transition.n);
        let (first, second, last) = (self.row(start), self.row(start + 1), self.row(transition.end));
        let (n, d) = (self.shape.state, self.shape.action);
        let (state, action) = (at * n..(at + 1) * n, at * d..(at + 1) * d);
        let (states, next_states) = batch.both_states.split_at_mut(batch.rewards.len() * n);
        states[state.clone()].copy_from_slice(first.state);
        next_states[state].copy_from_slice(last.state);
        batch.lo[action.clone()].copy_from_slice(first.lo);
        batch.hi[action.clone()].copy_from_slice(first.hi);
        batch.actions[action.clone()].copy_from_slice(second.action);
        batch.next_lo[action.clone()].copy_from_slice(last.lo);
        batch.next_hi[action].copy_from_slice(last.hi);
    }
}

fn row_width(shape: AgentShape) -> usize {
    shape.state + 3 * shape.action
}

/// The memory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Replay {
    online: Part,
    historical: Part,
    mask_stream: Stream,
    ensemble: usize,
    ensemble_probability: f64,
    online_weight: f64,
    #[serde(skip)]
    recency: Option<Recency>,
    /// `gamma^n` for each n.
    discounts: Vec<f32>,
    rejected: u64,
    #[serde(skip)]
    pending: Vec<Window>,
}

impl Replay {
    pub(crate) fn new(shape: AgentShape, options: &AgentOptions) -> Self {
        let row_bytes =
            row_width(shape) * size_of::<f32>() + size_of::<Transition>() + options.ensemble * size_of::<u32>();
        let rows_max = (options.replay_memory_mib_max << 20) / (2 * row_bytes);
        let capacity = options.replay_capacity.min(rows_max).max(1);
        Self {
            online: Part::new(shape, options, capacity),
            historical: Part::new(shape, options, capacity),
            mask_stream: Stream::new(options.seed, "ensemble mask", 0),
            ensemble: options.ensemble,
            ensemble_probability: options.ensemble_probability,
            online_weight: options.online_weight,
            recency: options.recency.map(Recency::new),
            discounts: (0..=options.n_step_max).map(|n| libm::pow(options.gamma, n as f64) as f32).collect(),
            rejected: 0,
            pending: Vec::with_capacity(options.n_step_max),
        }
    }

    /// Takes in a step; the number of transitions that were completed by its reward.
    pub(crate) fn push(&mut self, step: &Step<'_>, origin: Origin) -> usize {
        let part = match origin {
            Origin::Online => &mut self.online,
            Origin::Historical => &mut self.historical,
        };
        let Some(due) = part.waiting.push(step) else { return 0 };
        let step = due.step();
        if part.windows.push(&step, &mut self.pending) == Fate::Rejected {
            self.rejected += 1;
            return 0;
        }
        part.push_row(&step);
        let ending = if step.terminal { TERMINAL } else { 0 };
        for &window in &self.pending {
            let mask = draw_mask(&mut self.mask_stream, self.ensemble, self.ensemble_probability);
            part.push_transition(window, mask | ending);
        }
        part.evict();
        self.pending.len()
    }

    /// Transitions kept.
    pub(crate) fn len(&self) -> usize {
        self.online.transitions.len() + self.historical.transitions.len()
    }

    /// Transitions that each part can keep.
    pub(crate) fn capacity(&self) -> usize {
        self.online.capacity
    }

    /// Steps that were missing something.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Fills a batch with transitions that `member` sees, discounted by `gamma`; `None` sees all. The newest online
    /// transition is always the first. There must be at least one transition.
    pub(crate) fn sample(&self, member: Option<usize>, gamma: f64, stream: &mut Stream, batch: &mut Batch) {
        let rows = batch.rows();
        let (online, historical) = (&self.online, &self.historical);
        let online_rows = self.online_rows(rows);
        batch.historical_from = online_rows;
        for at in 0..rows {
            let part = if at < online_rows { online } else { historical };
            let index = match at {
                0 if online_rows > 0 => part.transitions.len() - 1,
                _ => part.draw(member, self.recency, stream),
            };
            self.copy_into(part, index, gamma, at, batch);
        }
    }

    /// How many of `rows` are online data: as many as it is of all data, until that is `online_weight`. With more of them
    /// an agent that comes from a history would forget it over the first few transitions of its own.
    fn online_rows(&self, rows: usize) -> usize {
        match [self.online.transitions.len(), self.historical.transitions.len()] {
            [0, _] => 0,
            [_, 0] => rows,
            [online, historical] => {
                let share = online as f64 / (online + historical) as f64;
                ((rows as f64 * share.min(self.online_weight)).round() as usize).max(1)
            }
        }
    }

    /// Copies a transition of a part, discounted by `gamma`; what comes behind a terminal state counts nothing.
    fn copy_into(&self, part: &Part, index: usize, gamma: f64, at: usize, batch: &mut Batch) {
        let transition = part.transitions[index];
        let n = usize::from(transition.n);
        part.copy_into(transition, at, batch);
        let (reward_sum, discount) = if gamma == part.windows.gamma() {
            (transition.reward_sum, self.discounts[n])
        } else {
            (part.reward_sum(index, gamma), libm::pow(gamma, n as f64) as f32)
        };
        batch.rewards[at] = reward_sum;
        batch.discounts[at] = if transition.mask & TERMINAL != 0 { 0.0 } else { discount };
    }

    /// Copies the states and bounds of the last online rows, newest first; how many there were.
    pub(crate) fn recent(&self, states: &mut [f32], lo: &mut [f32], hi: &mut [f32]) -> usize {
        let (n, d) = (self.online.shape.state, self.online.shape.action);
        let kept = self.online.rows_total.min(self.online.row_capacity() as u64);
        let count = (states.len() / n).min(kept as usize);
        for i in 0..count {
            let row = self.online.row(self.online.rows_total - 1 - i as u64);
            states[i * n..(i + 1) * n].copy_from_slice(row.state);
            lo[i * d..(i + 1) * d].copy_from_slice(row.lo);
            hi[i * d..(i + 1) * d].copy_from_slice(row.hi);
        }
        count
    }

    /// The part that tells how things are: the online one, unless it is empty.
    fn present(&self) -> &Part {
        if self.online.transitions.is_empty() { &self.historical } else { &self.online }
    }

    /// The newest transitions, at most `count` of them, discounted by `gamma`; `None` without one.
    pub(crate) fn newest(&self, count: usize, gamma: f64) -> Option<Batch> {
        let part = self.present();
        let all = part.transitions.len();
        let count = count.min(all);
        let mut batch = (count > 0).then(|| Batch::new(part.shape, count))?;
        for at in 0..count {
            self.copy_into(part, all - 1 - at, gamma, at, &mut batch);
        }
        Some(batch)
    }

    /// The numbers of the rows that [`Self::state`] knows.
    pub(crate) fn kept_rows(&self) -> Range<u64> {
        let part = self.present();
        part.rows_total.saturating_sub(part.row_capacity() as u64)..part.rows_total
    }

    /// The state of a row that is kept.
    pub(crate) fn state(&self, number: u64) -> &[f32] {
        self.present().row(number).state
    }

    /// The numbers of all rows, online and historical: what a checkpoint keeps beside the rest.
    pub(crate) fn rows(&self) -> [&[f32]; 2] {
        [&self.online.rows, &self.historical.rows]
    }

    /// Makes a memory that came from a checkpoint complete: with its rows, and with what was set since.
    pub(crate) fn restore(&mut self, [online, historical]: [Vec<f32>; 2], options: &AgentOptions) {
        self.online.rows = online;
        self.historical.rows = historical;
        self.ensemble_probability = options.ensemble_probability;
        self.online_weight = options.online_weight;
        self.recency = options.recency.map(Recency::new);
        self.online.index(self.ensemble);
        self.historical.index(self.ensemble);
    }

    /// Whether everything fits together; a checkpoint's bytes are an allegation until then.
    pub(crate) fn is_consistent(&self, shape: AgentShape, options: &AgentOptions) -> bool {
        let fresh = Self::new(shape, options);
        let part_fits = |part: &Part, fresh: &Part| {
            let kept = part.rows_total.min(part.row_capacity() as u64);
            let oldest = part.rows_total - kept;
            part.shape == shape
                && part.capacity == fresh.capacity
                && part.n_max == fresh.n_max
                && part.waiting.fits(options.dead_time, shape)
                && part.rows.len() as u64 == kept * part.width() as u64
                && part.transitions.len() <= part.capacity
                && part.windows_are_complete()
                && part.transitions.iter().all(|t| {
                    let n = u64::from(t.n);
                    (1..=part.n_max as u64).contains(&n) && t.end < part.rows_total && t.end >= oldest + n
                })
        };
        part_fits(&self.online, &fresh.online)
            && part_fits(&self.historical, &fresh.historical)
            && self.ensemble == fresh.ensemble
            && self.discounts == fresh.discounts
    }
}

/// Which members see a transition: each with `probability`, one at least.
fn draw_mask(stream: &mut Stream, ensemble: usize, probability: f64) -> u16 {
    let mut mask = 0;
    for member in 0..ensemble {
        if f64::from(stream.uniform()) < probability {
            mask |= 1 << member;
        }
    }
    let one = stream.below(ensemble);
    if mask == 0 { 1 << one } else { mask }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;
    use crate::random::Stream;

    /// 500 steps that all decide, of two columns and one action, all of them noise; the reward is `reward` of the action.
    pub(crate) fn noise(shape: AgentShape, options: &AgentOptions, reward: impl Fn(f32) -> f32) -> Replay {
        let mut replay = Replay::new(shape, options);
        fill(&mut replay, Origin::Online, 0.0..1.0, reward);
        replay
    }

    /// The same as a history, of actions in `range` alone; the reward is the action.
    pub(crate) fn narrow(shape: AgentShape, options: &AgentOptions, range: Range<f32>) -> Replay {
        let mut replay = Replay::new(shape, options);
        fill(&mut replay, Origin::Historical, range, |action| action);
        replay
    }

    fn fill(replay: &mut Replay, origin: Origin, range: Range<f32>, reward: impl Fn(f32) -> f32) {
        let mut stream = Stream::new(2, "test", 0);
        for sequence in 0..500 {
            let action = range.start + (range.end - range.start) * stream.uniform();
            let step = Step {
                sequence,
                complete: true,
                all_read: false,
                reward: Some(reward(action)),
                decision: true,
                gap: false,
                terminal: false,
                state: &[stream.uniform(), stream.uniform()],
                action: &[action],
                lo: &[0.0],
                hi: &[1.0],
            };
            replay.push(&step, origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SHAPE: AgentShape = AgentShape { state: 1, action: 1 };

    fn options(capacity: usize, n_step_max: usize) -> AgentOptions {
        AgentOptions { replay_capacity: capacity, n_step_max, gamma: 0.5, ensemble: 3, ..AgentOptions::default() }
    }

    /// A step whose numbers tell which one it is: the state is its number, the action that of the step before.
    fn push(replay: &mut Replay, number: u64, decision: bool, origin: Origin) -> usize {
        let step = Step {
            sequence: number,
            complete: true,
            all_read: false,
            reward: Some(number as f32),
            decision,
            gap: false,
            terminal: false,
            state: &[number as f32],
            action: &[number as f32 - 1.0],
            lo: &[0.0],
            hi: &[1.0],
        };
        replay.push(&step, origin)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_sample_is_a_window_that_was_seen(
            capacity in 1_usize..40, n_max in 1_usize..6, count in 3_u64..200, seed: u64,
            gamma in prop_oneof![Just(0.5), 0.0..1.0_f64], recency in prop_oneof![Just(None), (0.1..50.0_f64).prop_map(Some)],
            dead_time in 0_usize..5,
        ) {
            let options = AgentOptions { recency, dead_time, ..options(capacity, n_max) };
            let (mut replay, late) = (Replay::new(SHAPE, &options), dead_time as u64);
            for number in 0..count + late {
                push(&mut replay, number, number % n_max as u64 == 0, Origin::Online);
                prop_assert!(replay.len() <= capacity);
            }
            let mut batch = Batch::new(SHAPE, 32);
            let mut stream = Stream::new(seed, "test", 0);
            for member in [None, Some(0), Some(2)] {
                replay.sample(member, gamma, &mut stream, &mut batch);
                prop_assert_eq!(batch.next_states()[0], (count - 1) as f32, "the newest comes first");
                for i in 0..32 {
                    let (start, end) = (batch.states()[i] as u64, batch.next_states()[i] as u64);
                    let n = end - start;
                    prop_assert!((1..=n_max as u64).contains(&n));
                    prop_assert_eq!(batch.actions[i] as u64, start);
                    let sum: f64 = (0..n).map(|k| (start + 1 + k + late) as f64 * gamma.powi(k as i32)).sum();
                    prop_assert!((f64::from(batch.rewards[i]) - sum).abs() < 1e-3);
                    prop_assert!((f64::from(batch.discounts[i]) - gamma.powi(n as i32)).abs() < 1e-6);
                }
            }
            prop_assert!(replay.is_consistent(SHAPE, &options));
        }

        #[test]
        fn every_transition_has_a_member_that_sees_it(seed: u64, probability in 0.01..1.0f64) {
            let mut stream = Stream::new(seed, "test", 0);
            for _ in 0..100 {
                let mask = draw_mask(&mut stream, 3, probability);
                prop_assert!(mask != 0 && mask < 8);
            }
        }
    }

    #[test]
    fn members_sample_only_what_they_see() {
        let mut replay = Replay::new(SHAPE, &options(1_000, 1));
        for number in 0..100 {
            push(&mut replay, number, true, Origin::Online);
        }
        let mut batch = Batch::new(SHAPE, 64);
        let mut stream = Stream::new(1, "test", 0);
        for member in 0..3 {
            replay.sample(Some(member), 0.5, &mut stream, &mut batch);
            for state in &batch.next_states()[1..] {
                let transition = replay.online.transitions[*state as usize - 1];
                assert!(transition.mask & (1 << member) != 0);
            }
        }
    }

    #[test]
    fn a_batch_has_what_is_online_by_its_share_of_all_up_to_its_weight_and_drops_an_empty_part() {
        let mut replay = Replay::new(SHAPE, &options(1_000, 1));
        for number in 0..10 {
            push(&mut replay, number, true, Origin::Historical);
        }
        let mut batch = Batch::new(SHAPE, 40);
        let mut stream = Stream::new(1, "test", 0);
        replay.sample(None, 0.5, &mut stream, &mut batch);
        assert!(batch.states().iter().all(|s| *s < 10.0));
        assert_eq!(batch.historical_from, 0);
        for number in 100..200 {
            push(&mut replay, number, true, Origin::Online);
            let transitions = number - 100;
            replay.sample(None, 0.5, &mut stream, &mut batch);
            let online = batch.states().iter().filter(|s| **s >= 100.0).count();
            let share = transitions as f64 / (transitions + 9) as f64;
            assert_eq!(online, (40.0 * share.min(0.75)).round() as usize, "{transitions} beside 9");
            assert_eq!(batch.historical_from, online);
            assert!(transitions == 0 || batch.next_states()[0] == number as f32);
        }
    }

    #[test]
    fn what_is_recent_is_sampled_as_often_by_a_member_as_by_all() {
        let options = AgentOptions { recency: Some(100.0), ensemble_probability: 0.3, ..options(5_000, 1) };
        let mut replay = Replay::new(SHAPE, &options);
        for number in 0..=5_000 {
            push(&mut replay, number, true, Origin::Online);
        }
        let (mut batch, mut stream) = (Batch::new(SHAPE, 10_001), Stream::new(1, "test", 0));
        for member in [None, Some(0), Some(1)] {
            replay.sample(member, 0.5, &mut stream, &mut batch);
            let ages = batch.next_states()[1..].iter().map(|state| f64::from(5_000.0 - state));
            let mean = ages.sum::<f64>() / 10_000.0;
            // 99 of 100 by the geometric law, whose mean is half a transition less than its memory, one anywhere.
            let expected = 0.99 * 99.5 + 0.01 * 2_499.5;
            assert!((mean - expected).abs() < 0.1 * expected, "{member:?}: {mean}, not {expected}");
        }
    }

    #[test]
    fn a_restored_memory_is_used_as_it_is_set_now() {
        let mut replay = Replay::new(SHAPE, &options(1_000, 1));
        for origin in [Origin::Historical, Origin::Online] {
            (0..100).for_each(|number| _ = push(&mut replay, number, true, origin));
        }
        let rows = replay.rows().map(<[f32]>::to_vec);
        let set = AgentOptions { online_weight: 0.25, recency: Some(0.1), ..options(1_000, 1) };
        replay.restore(rows, &set);
        let (mut batch, mut stream) = (Batch::new(SHAPE, 400), Stream::new(1, "test", 0));
        replay.sample(None, 0.5, &mut stream, &mut batch);
        let newest = |states: &[f32]| states.iter().filter(|state| **state == 99.0).count();
        // Nearly all that is drawn is the newest of its part.
        assert!(newest(&batch.next_states()[..100]) > 90 && newest(&batch.next_states()[100..]) > 280);
        assert!(replay.is_consistent(SHAPE, &set));
    }

    #[test]
    fn a_memory_in_which_a_window_lacks_the_shorter_ones_is_refused() {
        let options = options(1_000, 3);
        let mut replay = Replay::new(SHAPE, &options);
        (0..50).for_each(|number| _ = push(&mut replay, number, number % 3 == 0, Origin::Online));
        assert!(replay.is_consistent(SHAPE, &options));
        for at in 0..replay.online.transitions.len() {
            let mut lacking = replay.clone();
            let lost = lacking.online.transitions.remove(at).unwrap();
            // Without its longest window a row has only less to tell.
            let longest = at == 0 || replay.online.transitions[at - 1].end != lost.end;
            assert_eq!(lacking.is_consistent(SHAPE, &options), longest, "{at}");
        }
    }

    #[test]
    fn what_comes_after_a_terminal_state_counts_nothing() {
        let mut replay = Replay::new(SHAPE, &options(1_000, 1));
        for number in 0..40 {
            // Each tenth state is the last of its episode, and a new one begins behind it.
            let (terminal, gap) = (number % 10 == 9, number % 10 == 0);
            let (state, action) = ([number as f32], [0.5]);
            let step = Step {
                sequence: number,
                complete: true,
                all_read: false,
                reward: Some(1.0),
                decision: true,
                gap,
                terminal,
                state: &state,
                action: &action,
                lo: &[0.0],
                hi: &[1.0],
            };
            assert_eq!(replay.push(&step, Origin::Online), usize::from(!gap));
        }
        let mut batch = Batch::new(SHAPE, 256);
        replay.sample(Some(1), 0.5, &mut Stream::new(1, "test", 0), &mut batch);
        for batch in [&batch, &replay.newest(30, 0.5).unwrap()] {
            for (state, discount) in batch.next_states().iter().zip(&batch.discounts) {
                let ends = *state as u64 % 10 == 9;
                assert_eq!(*discount, if ends { 0.0 } else { 0.5 }, "{state}");
            }
            assert!(batch.discounts.contains(&0.0));
        }
        assert!(replay.is_consistent(SHAPE, &options(1_000, 1)));
    }

    #[test]
    fn capacity_shrinks_to_the_memory_it_may_take() {
        let options = AgentOptions { replay_memory_mib_max: 1, ..options(1_000_000, 1) };
        let shape = AgentShape { state: 248, action: 8 };
        let capacity = Replay::new(shape, &options).capacity();
        assert!((400..500).contains(&capacity), "{capacity}");
    }
}

//! What the agent remembers: two rings of rows, online and historical, and the transitions over them.
//!
//! A row is one state with the action that was in force before it and the bounds of the action after it. It is stored
//! once, in `f32`, however many transitions begin or end in it; a transition takes 16 bytes, plus 4 for each member of
//! the ensemble that sees it. Memory grows with the data up to the capacity. Insertion and sampling take constant time.

use std::collections::VecDeque;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::options::{AgentOptions, AgentShape, ENSEMBLE_MAX};
use crate::random::Stream;
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

    /// A transition that `member` sees, uniformly; any one when it sees none, or for nobody in particular.
    fn draw(&self, member: Option<usize>, stream: &mut Stream) -> Transition {
        let seen = member.and_then(|member| self.seen_by.get(member)).filter(|seen| !seen.is_empty());
        let index = match seen {
            Some(seen) => {
                let number = seen[stream.below(seen.len())];
                number.wrapping_sub(self.first as u32) as usize
            }
            None => stream.below(self.transitions.len()),
        };
        self.transitions[index]
    }

    fn copy_into(&self, transition: Transition, discount: f32, at: usize, batch: &mut Batch) {
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
        batch.rewards[at] = transition.reward_sum;
        batch.discounts[at] = discount;
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
            discounts: (0..=options.n_step_max).map(|n| libm::pow(options.gamma, n as f64) as f32).collect(),
            rejected: 0,
            pending: Vec::with_capacity(options.n_step_max),
        }
    }

    /// Takes in a step; the number of transitions that it completed.
    pub(crate) fn push(&mut self, step: &Step<'_>, origin: Origin) -> usize {
        let part = match origin {
            Origin::Online => &mut self.online,
            Origin::Historical => &mut self.historical,
        };
        if part.windows.push(step, &mut self.pending) == Fate::Rejected {
            self.rejected += 1;
            return 0;
        }
        part.push_row(step);
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

    /// Fills a batch with transitions that `member` sees; `None` sees all. The newest online transition is always the
    /// first. There must be at least one transition.
    pub(crate) fn sample(&self, member: Option<usize>, stream: &mut Stream, batch: &mut Batch) {
        let rows = batch.rows();
        let (online, historical) = (&self.online, &self.historical);
        let online_rows = match (online.transitions.is_empty(), historical.transitions.is_empty()) {
            (true, _) => 0,
            (false, true) => rows,
            (false, false) => ((rows as f64 * self.online_weight).round() as usize).max(1),
        };
        for at in 0..rows {
            let part = if at < online_rows { online } else { historical };
            let newest = part.transitions.back().filter(|_| at == 0 && online_rows > 0);
            let transition = match newest {
                Some(newest) => *newest,
                None => part.draw(member, stream),
            };
            part.copy_into(transition, self.discount(transition), at, batch);
        }
    }

    /// What the value after a transition counts: nothing behind a terminal state.
    fn discount(&self, transition: Transition) -> f32 {
        if transition.mask & TERMINAL != 0 { 0.0 } else { self.discounts[usize::from(transition.n)] }
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

    /// The newest transitions, at most `count` of them; `None` without one.
    pub(crate) fn newest(&self, count: usize) -> Option<Batch> {
        let part = self.present();
        let count = count.min(part.transitions.len());
        let mut batch = (count > 0).then(|| Batch::new(part.shape, count))?;
        for (at, transition) in part.transitions.iter().rev().take(count).enumerate() {
            part.copy_into(*transition, self.discount(*transition), at, &mut batch);
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

    /// Makes a memory that came from a checkpoint complete.
    pub(crate) fn restore_rows(&mut self, [online, historical]: [Vec<f32>; 2]) {
        self.online.rows = online;
        self.historical.rows = historical;
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
                && part.rows.len() as u64 == kept * part.width() as u64
                && part.transitions.len() <= part.capacity
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
        let mut stream = Stream::new(2, "test", 0);
        for sequence in 0..500 {
            let action = stream.uniform();
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
            replay.push(&step, Origin::Online);
        }
        replay
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
        ) {
            let mut replay = Replay::new(SHAPE, &options(capacity, n_max));
            for number in 0..count {
                push(&mut replay, number, number % n_max as u64 == 0, Origin::Online);
                prop_assert!(replay.len() <= capacity);
            }
            let mut batch = Batch::new(SHAPE, 32);
            let mut stream = Stream::new(seed, "test", 0);
            for member in [None, Some(0), Some(2)] {
                replay.sample(member, &mut stream, &mut batch);
                prop_assert_eq!(batch.next_states()[0], (count - 1) as f32, "the newest comes first");
                for i in 0..32 {
                    let (start, end) = (batch.states()[i] as u64, batch.next_states()[i] as u64);
                    let n = end - start;
                    prop_assert!((1..=n_max as u64).contains(&n));
                    prop_assert_eq!(batch.actions[i] as u64, start);
                    let sum: f32 = (0..n).map(|k| (start + 1 + k) as f32 * 0.5_f32.powi(k as i32)).sum();
                    prop_assert!((batch.rewards[i] - sum).abs() < 1e-3);
                    prop_assert_eq!(batch.discounts[i], 0.5_f32.powi(n as i32));
                }
            }
            prop_assert!(replay.is_consistent(SHAPE, &options(capacity, n_max)));
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
            replay.sample(Some(member), &mut stream, &mut batch);
            for state in &batch.next_states()[1..] {
                let transition = replay.online.transitions[*state as usize - 1];
                assert!(transition.mask & (1 << member) != 0);
            }
        }
    }

    #[test]
    fn a_batch_mixes_both_parts_as_weighted_and_drops_an_empty_one() {
        let mut replay = Replay::new(SHAPE, &options(1_000, 1));
        for number in 0..10 {
            push(&mut replay, number, true, Origin::Historical);
        }
        let mut batch = Batch::new(SHAPE, 40);
        let mut stream = Stream::new(1, "test", 0);
        replay.sample(None, &mut stream, &mut batch);
        assert!(batch.states().iter().all(|s| *s < 10.0));
        for number in 100..110 {
            push(&mut replay, number, true, Origin::Online);
        }
        replay.sample(None, &mut stream, &mut batch);
        let online = batch.states().iter().filter(|s| **s >= 100.0).count();
        assert_eq!(online, 30);
        assert_eq!(batch.next_states()[0], 109.0);
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
        replay.sample(Some(1), &mut Stream::new(1, "test", 0), &mut batch);
        for batch in [&batch, &replay.newest(30).unwrap()] {
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

//! Timing in turns.

use std::hint::black_box;
use std::time::Instant;

/// What a batch of calls takes: long against the clock's resolution, short against the time that another process has the
/// CPU when it takes it.
const BATCH_NS: f64 = 1e5;
/// Batches in a sample, of which the median counts.
const BATCHES: usize = 9;
/// Batches before them, because whoever came before left its own data in the caches.
const WARM_UP_BATCHES: usize = 2;
/// How often the rounds are drawn anew for an interval.
const RESAMPLES: usize = 2_000;
/// The ends of a 95 % interval.
const INTERVAL: [f64; 2] = [0.025, 0.975];

/// Things that are timed in turns: in every round each contestant has so many turns, one after the other's.
pub(crate) struct Contest<'a> {
    rounds: usize,
    turns: usize,
    /// Samples of a turn.
    series: usize,
    contestants: Vec<Contestant<'a>>,
}

/// A name, and what gives so many samples in nanoseconds.
struct Contestant<'a> {
    name: String,
    series: Box<dyn FnMut(usize) -> Vec<f64> + 'a>,
}

impl<'a> Contest<'a> {
    /// A contest of batches: one sample per round, the median of some batches' means.
    pub(crate) fn of_batches(rounds: usize) -> Self {
        Self::of_samples(rounds, 1)
    }

    /// A contest of single calls: so many samples of each per round, of which the round's median and 99th percentile count.
    pub(crate) fn of_samples(rounds: usize, samples: usize) -> Self {
        Self { rounds, turns: samples, series: 1, contestants: Vec::new() }
    }

    /// The same, but a contestant's samples of a round come in a row, and every other round goes backwards: for those that
    /// would cost each other a cold start, or that are other processes.
    pub(crate) fn of_series(rounds: usize, samples: usize) -> Self {
        Self { rounds, turns: 1, series: samples, contestants: Vec::new() }
    }

    /// Adds a contestant that is called in batches.
    #[must_use]
    pub(crate) fn batch<T>(self, name: &str, mut once: impl FnMut() -> T + 'a) -> Self {
        let mut calls = None;
        self.sample(name, move || {
            let calls = *calls.get_or_insert_with(|| calls_per_batch(&mut once));
            let batches: Vec<f64> = (0..WARM_UP_BATCHES + BATCHES).map(|_| mean_of(calls, &mut once)).collect();
            percentiles(&batches[WARM_UP_BATCHES..], [0.5])[0]
        })
    }

    /// Adds a contestant that gives its samples itself, in nanoseconds.
    #[must_use]
    pub(crate) fn sample(self, name: &str, mut sample: impl FnMut() -> f64 + 'a) -> Self {
        self.series(name, move |samples| (0..samples).map(|_| sample()).collect())
    }

    /// Adds a contestant that gives as many samples as it is asked for, in nanoseconds.
    #[must_use]
    pub(crate) fn series(mut self, name: &str, series: impl FnMut(usize) -> Vec<f64> + 'a) -> Self {
        self.contestants.push(Contestant { name: name.into(), series: Box::new(series) });
        self
    }

    /// Times all of them in turns; the first one twice in every turn, for the control.
    pub(crate) fn run(mut self) -> Standings {
        for contestant in &mut self.contestants {
            (contestant.series)(1);
        }
        let mut entries: Vec<Entry> = self.contestants.iter().map(|c| Entry::new(&c.name)).collect();
        let mut again = Entry::new("again");
        for round in 0..self.rounds {
            let mut samples = vec![Vec::with_capacity(self.turns * self.series); entries.len() + 1];
            for _ in 0..self.turns {
                self.take_turns(round, &mut samples);
            }
            for (entry, samples) in entries.iter_mut().chain([&mut again]).zip(&samples) {
                entry.note(samples);
            }
        }
        Standings { entries, again }
    }

    /// One turn of each, and of the first one again.
    fn take_turns(&mut self, round: usize, samples: &mut [Vec<f64>]) {
        let mut turn: Vec<_> = self.contestants.iter_mut().zip(samples.iter_mut()).collect();
        if self.series > 1 && round % 2 == 1 {
            turn.reverse();
        }
        for (contestant, samples) in turn {
            samples.extend((contestant.series)(self.series));
        }
        if let (Some(first), Some(samples)) = (self.contestants.first_mut(), samples.last_mut()) {
            samples.extend((first.series)(self.series));
        }
    }
}

/// The rounds of one contestant.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    /// Each round's median, nanoseconds.
    p50: Vec<f64>,
    /// Each round's 99th percentile, nanoseconds.
    p99: Vec<f64>,
}

impl Entry {
    fn new(name: &str) -> Self {
        Self { name: name.to_owned(), p50: Vec::new(), p99: Vec::new() }
    }

    fn note(&mut self, samples: &[f64]) {
        let [p50, p99] = percentiles(samples, [0.5, 0.99]);
        self.p50.push(p50);
        self.p99.push(p99);
    }
}

/// How a contest ended. Contestants are asked for by name; a name that did not take part is a mistake of the benchmark.
pub(crate) struct Standings {
    entries: Vec<Entry>,
    /// The first contestant, timed a second time.
    again: Entry,
}

impl Standings {
    /// The median of a contestant's typical time, nanoseconds.
    pub(crate) fn p50(&self, name: &str) -> Estimate {
        Estimate::of(&self.entry(name).p50)
    }

    /// The median of a contestant's 99th percentiles, nanoseconds.
    pub(crate) fn p99(&self, name: &str) -> Estimate {
        Estimate::of(&self.entry(name).p99)
    }

    /// A contestant's typical time in that of another one.
    pub(crate) fn ratio(&self, of: &str, to: &str) -> Estimate {
        ratio(&self.entry(of).p50, &self.entry(to).p50)
    }

    /// A contestant's 99th percentile in that of another one.
    pub(crate) fn tail_ratio(&self, of: &str, to: &str) -> Estimate {
        ratio(&self.entry(of).p99, &self.entry(to).p99)
    }

    /// The first contestant against itself: what a ratio of two equal things looks like on this machine.
    pub(crate) fn control(&self) -> Estimate {
        ratio(&self.again.p50, &self.entries[0].p50)
    }

    /// The same for the 99th percentiles.
    pub(crate) fn tail_control(&self) -> Estimate {
        ratio(&self.again.p99, &self.entries[0].p99)
    }

    fn entry(&self, name: &str) -> &Entry {
        self.entries.iter().find(|entry| entry.name == name).unwrap_or_else(|| panic!("{name} did not take part"))
    }
}

fn ratio(of: &[f64], to: &[f64]) -> Estimate {
    let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
    Estimate::of(&ratios)
}

/// A median with its 95 % bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Estimate {
    /// The median.
    pub(crate) median: f64,
    /// The interval's ends.
    pub(crate) interval: [f64; 2],
}

impl Estimate {
    /// Of values that were measured one after the other.
    pub(crate) fn of(values: &[f64]) -> Self {
        let [median] = percentiles(values, [0.5]);
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut resampled = vec![0.0; values.len()];
        let medians: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                resampled.fill_with(|| values[below(values.len(), &mut state)]);
                percentiles(&resampled, [0.5])[0]
            })
            .collect();
        Self { median, interval: percentiles(&medians, INTERVAL) }
    }

    /// The same in another unit.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self { median: self.median * factor, interval: self.interval.map(|end| end * factor) }
    }
}

/// The next number below `end` of a small generator (xorshift*); the same in every run.
fn below(end: usize, state: &mut u64) -> usize {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    let random = state.wrapping_mul(0x2545_F491_4F6C_DD1D);
    ((u128::from(random) * end as u128) >> 64) as usize
}

fn calls_per_batch<T>(once: &mut impl FnMut() -> T) -> u64 {
    let mut calls = 1;
    loop {
        let spent = mean_of(calls, once) * calls as f64;
        if spent > BATCH_NS / 4.0 {
            return ((calls as f64 * BATCH_NS / spent) as u64).max(1);
        }
        calls *= 2;
    }
}

/// The mean time of one of so many calls, nanoseconds.
fn mean_of<T>(calls: u64, once: &mut impl FnMut() -> T) -> f64 {
    let all = nanoseconds_of(|| {
        for _ in 0..calls {
            black_box(once());
        }
    });
    all / calls as f64
}

/// How long one call takes, the reading of the clock included.
pub(crate) fn nanoseconds_of<T>(call: impl FnOnce() -> T) -> f64 {
    let start = Instant::now();
    black_box(call());
    start.elapsed().as_nanos() as f64
}

/// Nearest-rank percentiles of `values`, each in [0, 1]; not a number when there are none.
fn percentiles<const N: usize>(values: &[f64], at: [f64; N]) -> [f64; N] {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    at.map(|q| {
        let rank = (q * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!(percentiles(&values, [0.0, 0.2, 0.5, 0.99, 1.0]), [1.0, 1.0, 3.0, 5.0, 5.0]);
        assert!(percentiles(&[], [0.5])[0].is_nan());
    }

    #[test]
    fn contestants_take_turns_and_ratios_are_taken_round_by_round() {
        // Every round is slower than the one before; only neighbours tell that b takes twice as long.
        let mut order = Vec::new();
        let drift = std::cell::Cell::new(1.0);
        let standings = Contest::of_samples(5, 3)
            .sample("a", || {
                drift.set(drift.get() + 1.0);
                drift.get()
            })
            .sample("b", || {
                order.push('b');
                2.0 * drift.get()
            })
            .run();
        assert_eq!(standings.ratio("b", "a"), Estimate { median: 2.0, interval: [2.0, 2.0] });
        assert!(standings.control().median > 1.0, "the second turn of the first comes later");
        assert_eq!(order.len(), 1 + 5 * 3);
    }

    #[test]
    fn a_series_comes_in_a_row_and_every_other_round_goes_backwards() {
        let order = std::cell::RefCell::new(String::new());
        let say = |name: char| {
            let order = &order;
            move |samples: usize| {
                order.borrow_mut().push(name);
                vec![f64::from(u32::from(name)); samples]
            }
        };
        let standings = Contest::of_series(2, 3).series("a", say('a')).series("b", say('b')).run();
        assert_eq!(standings.ratio("b", "a").median, 98.0 / 97.0);
        drop(standings);
        assert_eq!(order.into_inner(), "abababaa");
    }

    #[test]
    fn tails_are_those_of_each_round() {
        let mut n = 0;
        let standings = Contest::of_samples(4, 100)
            .sample("flat", || 1.0)
            .sample("spiky", || {
                n += 1;
                if n % 50 == 0 { 9.0 } else { 1.0 }
            })
            .run();
        assert_eq!(standings.ratio("spiky", "flat").median, 1.0);
        assert_eq!(standings.tail_ratio("spiky", "flat").median, 9.0);
        assert_eq!(standings.tail_control().median, 1.0);
    }

    #[test]
    fn an_interval_holds_the_median_and_is_wide_where_the_values_are() {
        let narrow: Vec<f64> = (0..60).map(|i| 10.0 + f64::from(i % 3) * 0.01).collect();
        let wide: Vec<f64> = (0..60).map(f64::from).collect();
        for (values, width) in [(narrow, 0.0..0.03), (wide, 8.0..40.0)] {
            let Estimate { median, interval: [lo, hi] } = Estimate::of(&values);
            assert!(lo <= median && median <= hi, "{lo} {median} {hi}");
            assert!(width.contains(&(hi - lo)), "{lo} {hi}");
        }
    }

    #[test]
    fn a_batch_is_the_mean_of_many_calls() {
        let mut calls = 0_u64;
        let standings = Contest::of_batches(3).batch("cheap", || calls += 1).run();
        let ns = standings.p50("cheap").median;
        assert!(ns > 0.0 && calls > 1_000, "{ns} ns, {calls} calls");
    }
}

//! Timing in turns.

use std::hint::black_box;
use std::time::Instant;

/// Time spent on one round of one contestant: long against the clock's resolution, short against the machine's drift.
const ROUND_NS: f64 = 2e6;
/// Rounds per contestant.
const ROUNDS: usize = 60;

/// One of the things that are compared: a name, and what it does once.
pub struct Contestant<'a> {
    name: String,
    once: Box<dyn FnMut() + 'a>,
}

/// Things that are timed in turns.
#[derive(Default)]
pub struct Contest<'a> {
    contestants: Vec<Contestant<'a>>,
}

/// The figures of one contestant.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Its name.
    pub name: String,
    /// Median time of one call, nanoseconds.
    pub median_ns: f64,
    /// First and third quartile, nanoseconds.
    pub quartiles_ns: (f64, f64),
    /// Median ratio to the first contestant, round by round.
    pub ratio_to_first: f64,
}

impl<'a> Contest<'a> {
    /// Adds a contestant; the first one is the reference of the ratios.
    #[must_use]
    pub fn with<T>(mut self, name: &str, mut once: impl FnMut() -> T + 'a) -> Self {
        let once = Box::new(move || {
            black_box(once());
        });
        self.contestants.push(Contestant { name: name.into(), once });
        self
    }

    /// Times all of them in turns.
    pub fn run(mut self) -> Vec<Figures> {
        let calls: Vec<u64> = self.contestants.iter_mut().map(|c| calls_per_round(&mut c.once)).collect();
        let mut times = vec![Vec::with_capacity(ROUNDS); self.contestants.len()];
        for _ in 0..ROUNDS {
            for ((contestant, calls), times) in self.contestants.iter_mut().zip(&calls).zip(&mut times) {
                times.push(nanoseconds_per_call(*calls, &mut contestant.once));
            }
        }
        let first = times.first().cloned().unwrap_or_default();
        let figures = |(contestant, times): (Contestant<'_>, Vec<f64>)| {
            let ratios: Vec<f64> = times.iter().zip(&first).map(|(time, first)| time / first).collect();
            let [lower, median_ns, upper] = percentiles(&times, [0.25, 0.5, 0.75]);
            let [ratio_to_first] = percentiles(&ratios, [0.5]);
            Figures { name: contestant.name, median_ns, quartiles_ns: (lower, upper), ratio_to_first }
        };
        self.contestants.into_iter().zip(times).map(figures).collect()
    }
}

fn calls_per_round(once: &mut impl FnMut()) -> u64 {
    let mut calls = 1;
    loop {
        let spent = nanoseconds_per_call(calls, once) * calls as f64;
        if spent > ROUND_NS / 4.0 {
            return ((calls as f64 * ROUND_NS / spent) as u64).max(1);
        }
        calls *= 2;
    }
}

/// The mean time of one call over `calls` calls, nanoseconds.
pub fn nanoseconds_per_call(calls: u64, once: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..calls {
        once();
    }
    start.elapsed().as_nanos() as f64 / calls as f64
}

/// Nearest-rank percentiles of `values`, each in [0, 1]; not a number when there are none.
pub fn percentiles<const N: usize>(values: &[f64], at: [f64; N]) -> [f64; N] {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
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
    fn a_contest_compares_with_its_first_contestant() {
        let figures = Contest::default().with("a", || 1 + 1).with("b", || 1 + 1).run();
        assert_eq!(figures.iter().map(|f| f.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(figures[0].ratio_to_first, 1.0);
    }
}

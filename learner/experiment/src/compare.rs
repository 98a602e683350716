//! Whether two reports of one case differ by more than chance.
//!
//! Scores are paired over seeds, because the same seed gives the same environment, and the mean of their differences gets a
//! percentile bootstrap interval (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13).

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde::Serialize;

use crate::report::{Report, SeedScore, mean};

/// How often the pairs are drawn anew.
const RESAMPLES: usize = 10_000;
/// The ends of the 95 % interval.
const INTERVAL: [f64; 2] = [0.025, 0.975];
/// Fewer pairs say nothing.
const PAIRS_MIN: usize = 3;

/// What became of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The case.
    pub case: String,
    /// Seeds that both have.
    pub seeds: Vec<u64>,
    /// Mean of the first one's scores less the second one's.
    pub difference: f64,
    /// Its 95 % interval.
    pub interval: [f64; 2],
    /// The interval does not hold zero.
    pub significant: bool,
}

/// Why two reports cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Incomparable {
    /// They are of different things.
    #[error("`{one}` with {one_steps} steps and `{other}` with {other_steps} steps are different cases")]
    Cases {
        /// The first one's case.
        one: String,
        /// Its steps.
        one_steps: u64,
        /// The second one's.
        other: String,
        /// Its steps.
        other_steps: u64,
    },
    /// Too few seeds in common.
    #[error("they have {common} seeds in common, at least {PAIRS_MIN} are needed: run both with the same --seeds")]
    Seeds {
        /// How many.
        common: usize,
    },
}

impl Comparison {
    /// Compares two reports of the same case.
    ///
    /// # Errors
    /// They are of different cases, or have too few seeds in common.
    pub fn of(one: &Report, other: &Report) -> Result<Self, Incomparable> {
        if (&one.case, one.steps) != (&other.case, other.steps) {
            let (one_steps, other_steps) = (one.steps, other.steps);
            return Err(Incomparable::Cases {
                one: one.case.clone(),
                one_steps,
                other: other.case.clone(),
                other_steps,
            });
        }
        let pairs: Vec<_> = one
            .seeds
            .iter()
            .filter_map(|score| Some((score, other.seeds.iter().find(|theirs| theirs.seed == score.seed)?)))
            .collect();
        if pairs.len() < PAIRS_MIN {
            return Err(Incomparable::Seeds { common: pairs.len() });
        }
        let difference = |(one, other): &(&SeedScore, &SeedScore)| match (one.mean_last, other.mean_last) {
            (Some(one), Some(other)) => one - other,
            // One of them is of a time when the case was judged by the last hundred.
            _ => one.mean_last_100 - other.mean_last_100,
        };
        let differences: Vec<f64> = pairs.iter().map(difference).collect();
        let interval = interval(&differences);
        Ok(Self {
            case: one.case.clone(),
            seeds: pairs.iter().map(|(one, _)| one.seed).collect(),
            difference: mean(&differences),
            interval,
            significant: interval[0] > 0.0 || interval[1] < 0.0,
        })
    }
}

/// The bootstrap interval of the mean; the same values give the same interval.
fn interval(values: &[f64]) -> [f64; 2] {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut drawn = || {
        let draws = (0..values.len()).map(|_| values[(random.next_u64() % values.len() as u64) as usize]);
        draws.sum::<f64>() / values.len() as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| drawn()).collect();
    means.sort_by(f64::total_cmp);
    INTERVAL.map(|share| means[(share * (RESAMPLES - 1) as f64).round() as usize])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn a_difference_that_all_seeds_share_is_significant_and_noise_is_not() {
        let base = [-0.1, -0.2, -0.15, -0.12, -0.3];
        let better = base.map(|score| score + 0.02);
        let found = Comparison::of(&report("a", &better), &report("a", &base)).unwrap();
        assert!(found.significant && (found.difference - 0.02).abs() < 1e-12, "{found:?}");
        assert_eq!(found.seeds, [1, 2, 3, 4, 5]);
        let shuffled = [-0.2, -0.1, -0.12, -0.3, -0.15];
        let found = Comparison::of(&report("a", &shuffled), &report("a", &base)).unwrap();
        assert!(!found.significant && found.interval[0] < 0.0 && found.interval[1] > 0.0, "{found:?}");
    }

    #[test]
    fn scores_are_compared_over_as_many_rewards_as_both_have() {
        let judged = |last, mean_last| {
            let mut report = report("a", &[last; 5]);
            report.seeds.iter_mut().for_each(|score| score.mean_last = mean_last);
            report
        };
        let difference = |one, other| Comparison::of(&one, &other).unwrap().difference;
        assert_eq!(difference(judged(-0.5, Some(-0.25)), judged(-0.5, Some(-0.75))), 0.5);
        assert_eq!(difference(judged(-0.5, Some(-0.25)), judged(-0.625, None)), 0.125);
    }

    #[test]
    fn an_interval_has_the_width_that_the_deviation_of_a_mean_asks_for() {
        // 400 values of deviation 1: the mean's is 1/20, and 95 % of it lie within 1.96 of that.
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 2) * 2.0 - 1.0).collect();
        let [lo, hi] = interval(&values);
        assert!((lo + 0.098).abs() < 0.01 && (hi - 0.098).abs() < 0.01, "{lo} {hi}");
    }

    #[test]
    fn what_is_not_of_one_kind_is_not_compared() {
        let (one, other) = (report("a", &[-0.1; 5]), report("b", &[-0.1; 5]));
        assert!(matches!(Comparison::of(&one, &other), Err(Incomparable::Cases { .. })));
        let few = report("a", &[-0.1; 2]);
        assert_eq!(Comparison::of(&one, &few), Err(Incomparable::Seeds { common: 2 }));
    }
}

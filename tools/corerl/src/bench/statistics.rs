//! Medians, and how far they can be trusted.

use serde::Serialize;

/// Samples that are drawn anew for an interval.
const RESAMPLES: usize = 2000;
/// An interval wider than this resolves nothing (goals: "ratio").
const WIDTH_MAX: f64 = 0.3;
/// Where the drawing begins: the same data give the same interval.
const SEED: u64 = 0x636f_7265_726c;

/// The median of some values with its 95 % bootstrap interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Median {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Median {
    /// Of values that are finite; `None` without any.
    pub(super) fn of(values: &[f64]) -> Option<Self> {
        let mut draw = SplitMix(SEED);
        let mut medians: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                let sample: Vec<f64> =
                    values.iter().filter_map(|_| values.get(draw.below(values.len()))).copied().collect();
                median(&sample)
            })
            .collect::<Option<_>>()?;
        medians.sort_by(f64::total_cmp);
        let at = |share: f64| medians.get((share * (RESAMPLES - 1) as f64).round() as usize).copied();
        Some(Self { median: median(values)?, low: at(0.025)?, high: at(0.975)? })
    }

    /// The interval is narrow enough to say something.
    pub(super) fn is_resolved(&self) -> bool {
        self.high - self.low <= WIDTH_MAX
    }
}

impl std::fmt::Display for Median {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { median, low, high } = self;
        write!(f, "{median:.3} [{low:.3}, {high:.3}]")?;
        if self.is_resolved() { Ok(()) } else { f.write_str(" not resolved here") }
    }
}

/// The same figure of two contestants, pair by pair.
#[derive(Debug, Serialize)]
pub(super) struct Ratio {
    pub(super) quantile: &'static str,
    pub(super) subject_median_ns: f64,
    pub(super) opponent_median_ns: f64,
    pub(super) ratio: Option<Median>,
    pub(super) resolved: bool,
}

impl Ratio {
    /// Of the first to the second value of every pair, nanoseconds.
    pub(super) fn of(quantile: &'static str, pairs: &[(f64, f64)]) -> Self {
        // A time of zero is one that the clock cannot tell from a nanosecond.
        let ratios: Vec<f64> = pairs.iter().map(|(one, other)| one.max(1.0) / other.max(1.0)).collect();
        let ratio = Median::of(&ratios);
        let of_all = |values: Vec<f64>| median(&values).unwrap_or(f64::NAN);
        Self {
            quantile,
            subject_median_ns: of_all(pairs.iter().map(|(one, _)| *one).collect()),
            opponent_median_ns: of_all(pairs.iter().map(|(_, other)| *other).collect()),
            ratio,
            resolved: ratio.is_some_and(|ratio| ratio.is_resolved()),
        }
    }
}

fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (below, above) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some((below + above) / 2.0)
}

/// SplitMix64: good enough to draw indices, and the same everywhere.
struct SplitMix(u64);

impl SplitMix {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(z ^ (z >> 31)) * bound as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_the_middle_between_two() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[]), None);
        assert_eq!(Median::of(&[]), None);
    }

    #[test]
    fn equal_values_have_an_interval_without_width_and_scattered_ones_are_not_resolved() {
        let same = Median::of(&[0.7; 10]).unwrap();
        assert_eq!(same, Median { median: 0.7, low: 0.7, high: 0.7 });
        assert!(same.is_resolved());
        let scattered: Vec<f64> = (0..10).map(f64::from).collect();
        let found = Median::of(&scattered).unwrap();
        assert!(found.low < found.median && found.median < found.high && !found.is_resolved());
        assert!(found.to_string().ends_with("not resolved here"), "{found}");
    }

    #[test]
    fn every_index_is_drawn_and_none_beyond() {
        let mut draw = SplitMix(1);
        let mut drawn = [0; 7];
        (0..7000).for_each(|_| drawn[draw.below(7)] += 1);
        assert!(drawn.iter().all(|count| (800..1200).contains(count)), "{drawn:?}");
    }
}

//! The state as the networks see it: every column around the middle of what was seen, and as wide as any other.
//!
//! A column's range is what the plant may do, and most of the time it does little of it: a trace of a level that is held
//! moves by some thousandths, and it is these that tell where the plant is going. Networks learn slowly from columns that
//! hardly move (LeCun et al. 1998, "Efficient BackProp", section 4.3), so they get
//! ```text
//! z = 1/2 + (x - mean) w,   w = min(spread / deviation, W)
//! ```
//! with running mean and deviation (Welford 1962). They begin as those of a column that is uniform in [0, 1], with the
//! weight of some observations, so that they move gently and a column that never moves is not blown up at once.
//!
//! The runtime knows nothing of it: what is published is an actor whose first layer takes the columns as they are.

use serde::{Deserialize, Serialize};

/// The weight of the beginning, in observations.
const PRIOR_OBSERVATIONS: f64 = 500.0;
/// Mean and variance of what is uniform in [0, 1].
const PRIOR_MEAN: f64 = 0.5;
const PRIOR_VARIANCE: f64 = 1.0 / 12.0;
/// The deviation that every column gets: about what it would have if it used all of its range.
const SPREAD: f64 = 0.3;
/// A column is widened by this factor at most.
const WIDENING_MAX: f64 = 30.0;

/// What was seen of the columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Standard {
    /// Observations, with those that the beginning counts for.
    count: f64,
    means: Vec<f64>,
    /// Sums of the squared distances from the mean.
    squares: Vec<f64>,
}

impl Standard {
    pub(crate) fn new(columns: usize) -> Self {
        Self {
            count: PRIOR_OBSERVATIONS,
            means: vec![PRIOR_MEAN; columns],
            squares: vec![PRIOR_OBSERVATIONS * PRIOR_VARIANCE; columns],
        }
    }

    /// Takes a state in.
    pub(crate) fn see(&mut self, state: &[f32]) {
        self.count += 1.0;
        for ((mean, squares), &x) in self.means.iter_mut().zip(&mut self.squares).zip(state) {
            let before = f64::from(x) - *mean;
            *mean += before / self.count;
            *squares += before * (f64::from(x) - *mean);
        }
    }

    /// Each column's factor and what is added after it.
    fn maps(&self) -> impl Iterator<Item = (f32, f32)> {
        self.means.iter().zip(&self.squares).map(|(mean, squares)| {
            let factor = (SPREAD / (squares / self.count).sqrt()).min(WIDENING_MAX);
            (factor as f32, (PRIOR_MEAN - mean * factor) as f32)
        })
    }

    /// Makes states, row by row, into what the networks see.
    pub(crate) fn apply(&self, states: &mut [f32]) {
        let maps: Vec<_> = self.maps().collect();
        for row in states.chunks_exact_mut(maps.len()) {
            for (x, (factor, offset)) in row.iter_mut().zip(&maps) {
                *x = *x * factor + offset;
            }
        }
    }

    /// Makes a first layer that takes what [`Self::apply`] gives, weights `[columns][outputs]`, into one that takes the
    /// columns as they are.
    pub(crate) fn fold(&self, weights: &mut [f32], biases: &mut [f32]) {
        for (row, (factor, offset)) in weights.chunks_exact_mut(biases.len()).zip(self.maps()) {
            for (weight, bias) in row.iter_mut().zip(biases.iter_mut()) {
                *bias += *weight * offset;
                *weight *= factor;
            }
        }
    }

    /// Whether these can be what was seen of so many columns.
    pub(crate) fn fits(&self, columns: usize) -> bool {
        let count_fits = self.count.is_finite() && self.count >= PRIOR_OBSERVATIONS;
        let is_sum = |x: &f64| x.is_finite() && *x > 0.0;
        count_fits
            && (self.means.len(), self.squares.len()) == (columns, columns)
            && self.means.iter().all(|mean| mean.is_finite())
            && self.squares.iter().all(is_sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;

    /// Saw a column that hardly moves, one that never does, and one that uses all of its range.
    fn experienced() -> (Standard, Stream) {
        let (mut standard, mut stream) = (Standard::new(3), Stream::new(1, "states", 0));
        for _ in 0..200_000 {
            standard.see(&[0.7 + 0.01 * stream.normal(), 0.2, stream.uniform()]);
        }
        (standard, stream)
    }

    #[test]
    fn columns_that_move_get_the_same_spread_around_the_same_middle() {
        let (standard, mut stream) = experienced();
        let mut states: Vec<f32> =
            (0..2_000).flat_map(|_| [0.7 + 0.01 * stream.normal(), 0.2, stream.uniform()]).collect();
        standard.apply(&mut states);
        let column = |i: usize| states.iter().skip(i).step_by(3).map(|x| f64::from(*x)).collect::<Vec<_>>();
        for i in [0, 2] {
            let column = column(i);
            let mean = column.iter().sum::<f64>() / column.len() as f64;
            let deviation = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / column.len() as f64).sqrt();
            assert!((mean - 0.5).abs() < 0.06, "{mean}");
            assert!(deviation > 0.1 && deviation < 0.33, "{deviation}");
        }
        // What never moved stays finite, and where it was in the middle.
        assert!(column(1).iter().all(|x| (x - 0.5).abs() < 0.05));
    }

    #[test]
    fn before_anything_was_seen_states_hardly_change() {
        let mut state = [0.0, 0.5, 1.0];
        Standard::new(3).apply(&mut state);
        assert!(state.iter().zip([0.0, 0.5, 1.0]).all(|(x, y)| (x - y).abs() < 0.03), "{state:?}");
    }

    #[test]
    fn a_folded_layer_makes_of_the_columns_what_the_layer_makes_of_what_it_sees() {
        let (standard, mut stream) = experienced();
        let weights: Vec<f32> = (0..6).map(|_| stream.normal()).collect();
        let biases = [0.3, -0.2];
        let layer = |weights: &[f32], biases: &[f32], state: &[f32]| -> Vec<f32> {
            (0..2).map(|o| biases[o] + (0..3).map(|i| state[i] * weights[2 * i + o]).sum::<f32>()).collect()
        };
        let state = [0.71, 0.2, 0.4];
        let mut seen = state;
        standard.apply(&mut seen);
        let expected = layer(&weights, &biases, &seen);
        let (mut folded, mut folded_biases) = (weights.clone(), biases);
        standard.fold(&mut folded, &mut folded_biases);
        for (found, expected) in layer(&folded, &folded_biases, &state).iter().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }

    #[test]
    fn a_stored_one_of_another_width_or_without_sense_is_not_believed() {
        let standard = Standard::new(2);
        assert!(standard.fits(2) && !standard.fits(3));
        assert!(!Standard { count: f64::NAN, ..standard.clone() }.fits(2));
        assert!(!Standard { squares: vec![0.0, 1.0], ..standard.clone() }.fits(2));
        assert!(!Standard { means: vec![f64::INFINITY, 1.0], ..standard }.fits(2));
    }
}

//! Element-wise loops: free of branches, in an order that does not depend on the machine.
//!
//! All are inlined, so that a kernel that runs them compiles them for its registers.

use super::Real;

/// Partial sums that a reduction keeps side by side, so that it can be vectorised without changing its order.
const LANES: usize = 16;

/// Lets the gradient pass where the output of a ReLU is positive.
#[inline(always)]
pub(crate) fn relu_backward<T: Real>(gradient: &mut [T], output: &[T]) {
    for (gradient, &output) in gradient.iter_mut().zip(output) {
        *gradient = if output > T::zero() { *gradient } else { T::zero() };
    }
}

/// The gradient at the input of a CReLU of `width`, from that at its output.
#[inline(always)]
pub(crate) fn crelu_backward<T: Real>(gradient: &[T], output: &[T], width: usize, into: &mut [T]) {
    let rows = gradient.chunks_exact(2 * width).zip(output.chunks_exact(2 * width));
    for ((gradient, output), into) in rows.zip(into.chunks_exact_mut(width)) {
        let (plus, minus) = gradient.split_at(width);
        let signs = output.iter().zip(plus.iter().zip(minus));
        for (into, (&output, (&plus, &minus))) in into.iter_mut().zip(signs) {
            // Where the input is exactly 0, both halves are flat; the negative half's slope is as good as any.
            *into = if output > T::zero() { plus } else { -minus };
        }
    }
}

/// The sum of all lanes, by halves.
#[inline(always)]
fn total<T: Real>(mut lanes: [T; LANES]) -> T {
    fold::<T, 8>(&mut lanes);
    fold::<T, 4>(&mut lanes);
    fold::<T, 2>(&mut lanes);
    lanes[0] + lanes[1]
}

const _: () = assert!(LANES == 16, "the first half that is added has 8 lanes");

/// Adds the lanes from `N` on to the first `N`.
#[inline(always)]
fn fold<T: Real, const N: usize>(lanes: &mut [T; LANES]) {
    let (low, high) = lanes.split_at_mut(N);
    for (low, &high) in low.iter_mut().zip(&high[..N]) {
        *low += high;
    }
}

/// The sum of products, in `LANES` partial sums.
#[inline(always)]
pub(crate) fn dot<T: Real>(a: &[T], b: &[T]) -> T {
    let mut lanes = [T::zero(); LANES];
    let (a_blocks, b_blocks) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let tail = a_blocks.remainder().iter().zip(b_blocks.remainder()).fold(T::zero(), |sum, (&a, &b)| sum + a * b);
    for (a, b) in a_blocks.zip(b_blocks) {
        for ((lane, &a), &b) in lanes.iter_mut().zip(a).zip(b) {
            *lane += a * b;
        }
    }
    tail + total(lanes)
}

#[inline(always)]
fn sum<T: Real>(x: &[T]) -> T {
    let mut lanes = [T::zero(); LANES];
    let blocks = x.chunks_exact(LANES);
    let tail = blocks.remainder().iter().fold(T::zero(), |sum, &x| sum + x);
    for block in blocks {
        for (lane, &x) in lanes.iter_mut().zip(block) {
            *lane += x;
        }
    }
    tail + total(lanes)
}

/// Added to the variance under the root of a layer normalisation.
const NORM_EPSILON: f64 = 1e-5;

/// Scales each row of `x` to mean 0 and variance 1, and keeps the reciprocal deviations for the way back.
///
/// There are no trained scale and offset: every normalised layer here feeds a linear one, which contains them.
#[inline(always)]
pub(crate) fn layer_norm<T: Real>(x: &[T], width: usize, out: &mut [T], reciprocal_deviations: &mut [T]) {
    let share = T::one() / T::of(width as f64);
    let rows = x.chunks_exact(width).zip(out.chunks_exact_mut(width));
    for ((x, out), reciprocal) in rows.zip(reciprocal_deviations) {
        let mean = sum(x) * share;
        for (out, &x) in out.iter_mut().zip(x) {
            *out = x - mean;
        }
        let variance = dot(out, out) * share;
        *reciprocal = T::one() / (variance + T::of(NORM_EPSILON)).sqrt();
        for out in out.iter_mut() {
            *out *= *reciprocal;
        }
    }
}

/// Turns the gradient at the output `y` of [`layer_norm`] into that at its input, in place.
#[inline(always)]
pub(crate) fn layer_norm_backward<T: Real>(gradient: &mut [T], y: &[T], width: usize, reciprocal_deviations: &[T]) {
    let share = T::one() / T::of(width as f64);
    let rows = gradient.chunks_exact_mut(width).zip(y.chunks_exact(width));
    for ((gradient, y), &reciprocal) in rows.zip(reciprocal_deviations) {
        let mean = sum(gradient) * share;
        let along = dot(gradient, y) * share;
        for (gradient, &y) in gradient.iter_mut().zip(y) {
            *gradient = (*gradient - mean - y * along) * reciprocal;
        }
    }
}

/// `into <- into + sum of the rows of x`.
#[inline(always)]
pub(crate) fn add_column_sums<T: Real>(x: &[T], into: &mut [T]) {
    for row in x.chunks_exact(into.len()) {
        for (into, &x) in into.iter_mut().zip(row) {
            *into += x;
        }
    }
}

/// `into_b <- sum of the repeat rows of x that belong to row b`.
#[inline(always)]
pub(crate) fn sum_repeats<T: Real>(x: &[T], width: usize, repeat: usize, into: &mut [T]) {
    for (rows, into) in x.chunks_exact(width * repeat).zip(into.chunks_exact_mut(width)) {
        into.fill(T::zero());
        add_column_sums(rows, into);
    }
}

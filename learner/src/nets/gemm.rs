//! Matrix products: the one place that names the library doing them.

use ndarray::linalg::general_mat_mul;
use ndarray::{ArrayView2, ArrayViewMut2};

use super::Real;

/// A row-major matrix over a slice of at least `rows * columns` numbers.
pub(crate) fn view<T>(numbers: &[T], rows: usize, columns: usize) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((rows, columns), &numbers[..rows * columns]).expect("the slice was cut to the shape")
}

fn view_mut<T>(numbers: &mut [T], rows: usize, columns: usize) -> ArrayViewMut2<'_, T> {
    ArrayViewMut2::from_shape((rows, columns), &mut numbers[..rows * columns]).expect("the slice was cut to the shape")
}

/// `c <- a b + beta c`, where `c` is row-major with `a.nrows()` rows and `b.ncols()` columns.
pub(crate) fn gemm<T: Real>(a: ArrayView2<'_, T>, b: ArrayView2<'_, T>, beta: T, c: &mut [T]) {
    let mut c = view_mut(c, a.nrows(), b.ncols());
    general_mat_mul(T::one(), &a, &b, beta, &mut c);
}

//! Matrix products, with what follows them done while the sums are still in registers.
//!
//! The right factor is laid in panels, as many columns wide as the registers like. A tile of a few rows and one panel's
//! columns is summed in registers from the first term to the last: each element is one chain, whatever the tiles, so
//! its bits depend on the terms and on whether the machine fuses multiplication and addition, and on nothing else.

use ndarray::ArrayView2;
use policy::kernels::{Arithmetic, Kernel};

use super::Real;

/// Terms that are summed before they are added to what is there: a panel of so many rows stays in the first cache.
const DEPTH: usize = 256;
/// Terms between two checks that a row of the left factor is long enough.
const STEPS: usize = 2;
/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// A row-major matrix over a slice of at least `rows * columns` numbers.
pub(crate) fn view<T>(numbers: &[T], rows: usize, columns: usize) -> ArrayView2<'_, T> {
    ArrayView2::from_shape((rows, columns), &numbers[..rows * columns]).expect("the slice was cut to the shape")
}

/// Room for the right factor of a product, laid in panels. It grows once to the largest that comes by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Panels<T> {
    numbers: Vec<T>,
}

impl<T: Real> Panels<T> {
    /// Room for `len` numbers that begins with a cache line.
    fn room(&mut self, len: usize) -> &mut [T] {
        let line = LINE_BYTES / size_of::<T>();
        if self.numbers.len() < len + line {
            self.numbers.resize(len + line, T::zero());
        }
        // The offset only saves time: where it cannot be known, none is right as well.
        let offset = self.numbers.as_ptr().align_offset(LINE_BYTES).min(line);
        &mut self.numbers[offset..offset + len]
    }
}

/// What becomes of the sums.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Finish<'a, T> {
    /// They are the result.
    Set,
    /// They are added to what is there.
    Add,
    /// A bias is added.
    Bias(&'a [T]),
    /// A bias is added, and what is negative becomes 0.
    Relu(&'a [T]),
    /// The same with a row of offsets instead of the bias, one for `repeat` rows.
    ReluEach {
        /// Rows of as many offsets as there are columns.
        offsets: &'a [T],
        /// Rows that have the same offsets.
        repeat: usize,
    },
    /// A bias is added; the result has the positive parts of a row and then the negative parts.
    Crelu(&'a [T]),
    /// They count where this is positive, and are 0 elsewhere: the way back through a ReLU with this output.
    Gate(&'a [T]),
}

/// `a b`, where each factor is row-major or the transpose of such a matrix.
#[derive(Debug)]
pub(crate) struct Product<'a, T> {
    pub(crate) a: ArrayView2<'a, T>,
    pub(crate) b: ArrayView2<'a, T>,
    pub(crate) finish: Finish<'a, T>,
    pub(crate) panels: &'a mut Panels<T>,
    pub(crate) out: &'a mut [T],
}

impl<T: Real> Product<'_, T> {
    /// Computes it.
    pub(crate) fn compute(self, kernel: Kernel) {
        assert_eq!(self.a.ncols(), self.b.nrows(), "the factors fit together");
        kernel.run(self);
    }
}

impl<T: Real> Arithmetic for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<const LANES: usize, const FUSED: bool>(self) {
        let (rows, depth) = self.a.dim();
        match (self.a.to_slice(), self.a.reversed_axes().to_slice()) {
            (Some(numbers), _) => self.of::<LANES, FUSED>(Rows { numbers, depth }),
            (None, Some(numbers)) => self.of::<LANES, FUSED>(Columns { numbers, rows }),
            (None, None) => unreachable!("a factor is row-major or the transpose of such a matrix"),
        }
    }
}

impl<T: Real> Product<'_, T> {
    #[inline(always)]
    fn of<const LANES: usize, const FUSED: bool>(self, left: impl Left<T>) {
        // Tiles as large as the registers hold beside a row of the panel.
        match LANES {
            16 => self.tiled::<8, 32, FUSED>(left),
            8 => self.tiled::<4, 16, FUSED>(left),
            _ => self.tiled::<4, 8, FUSED>(left),
        }
    }

    #[inline(always)]
    fn tiled<const M: usize, const N: usize, const FUSED: bool>(self, left: impl Left<T>) {
        let (rows, depth, columns) = (self.a.nrows(), self.a.ncols(), self.b.ncols());
        let mut target = Target { columns, finish: self.finish, out: self.out };
        // Only where sums are added to what is there, they may be so in parts.
        let part = if matches!(self.finish, Finish::Add) { DEPTH } else { depth.max(1) };
        for column in (0..columns).step_by(N) {
            let (panel, _) = self.panels.room(depth * N).as_chunks_mut::<N>();
            lay(self.b, column, panel);
            for (i, panel) in panel.chunks(part).enumerate() {
                for row in (0..rows - rows % M).step_by(M) {
                    target.take(row, column, left.tile::<M, N, FUSED>(row, i * part, panel));
                }
                for row in rows - rows % M..rows {
                    target.take(row, column, left.tile::<1, N, FUSED>(row, i * part, panel));
                }
            }
        }
    }
}

/// Lays the columns of `b` from `column` on side by side; what is missing becomes 0.
#[inline(always)]
fn lay<T: Real, const N: usize>(b: ArrayView2<'_, T>, column: usize, panel: &mut [[T; N]]) {
    let width = N.min(b.ncols() - column);
    if width < N {
        panel.fill([T::zero(); N]);
    }
    if let Some(rows) = b.to_slice() {
        for (line, row) in panel.iter_mut().zip(rows.chunks_exact(b.ncols())) {
            match row[column..].first_chunk() {
                Some(row) => *line = *row,
                None => line[..width].copy_from_slice(&row[column..]),
            }
        }
        return;
    }
    let columns = b.reversed_axes().to_slice().expect("a factor is row-major or the transpose of such a matrix");
    for (j, numbers) in columns.chunks_exact(b.nrows()).skip(column).take(width).enumerate() {
        for (line, &x) in panel.iter_mut().zip(numbers) {
            line[j] = x;
        }
    }
}

/// The left factor.
trait Left<T: Real> {
    /// The sums of `M` rows over the terms from `from` on that the panel has.
    fn tile<const M: usize, const N: usize, const FUSED: bool>(
        &self,
        row: usize,
        from: usize,
        panel: &[[T; N]],
    ) -> [[T; N]; M];
}

/// Row-major.
struct Rows<'a, T> {
    numbers: &'a [T],
    depth: usize,
}

impl<T: Real> Left<T> for Rows<'_, T> {
    #[inline(always)]
    fn tile<const M: usize, const N: usize, const FUSED: bool>(
        &self,
        row: usize,
        from: usize,
        panel: &[[T; N]],
    ) -> [[T; N]; M] {
        let mut sums = [[T::zero(); N]; M];
        let rows: [&[T]; M] = std::array::from_fn(|i| &self.numbers[(row + i) * self.depth + from..][..panel.len()]);
        let blocks = rows.map(|row| row.as_chunks::<STEPS>());
        let (panel, panel_rest) = panel.as_chunks::<STEPS>();
        for (step, lines) in panel.iter().enumerate() {
            let x: [&[T; STEPS]; M] = std::array::from_fn(|i| &blocks[i].0[step]);
            for (k, line) in lines.iter().enumerate() {
                add_products::<T, M, N, FUSED>(&mut sums, std::array::from_fn(|i| x[i][k]), line);
            }
        }
        for (k, line) in panel_rest.iter().enumerate() {
            add_products::<T, M, N, FUSED>(&mut sums, std::array::from_fn(|i| blocks[i].1[k]), line);
        }
        sums
    }
}

/// The transpose of a row-major matrix.
struct Columns<'a, T> {
    numbers: &'a [T],
    rows: usize,
}

impl<T: Real> Left<T> for Columns<'_, T> {
    #[inline(always)]
    fn tile<const M: usize, const N: usize, const FUSED: bool>(
        &self,
        row: usize,
        from: usize,
        panel: &[[T; N]],
    ) -> [[T; N]; M] {
        let mut sums = [[T::zero(); N]; M];
        let columns = self.numbers[from * self.rows..].chunks_exact(self.rows);
        for (column, line) in columns.zip(panel) {
            if let Some(x) = column[row..].first_chunk() {
                add_products::<T, M, N, FUSED>(&mut sums, *x, line);
            }
        }
        sums
    }
}

/// `sums <- sums + x line`.
#[inline(always)]
fn add_products<T: Real, const M: usize, const N: usize, const FUSED: bool>(
    sums: &mut [[T; N]; M],
    x: [T; M],
    line: &[T; N],
) {
    for (sums, x) in sums.iter_mut().zip(x) {
        for (sum, &y) in sums.iter_mut().zip(line) {
            *sum = if FUSED { x.mul_add(y, *sum) } else { *sum + x * y };
        }
    }
}

/// Where finished sums go.
struct Target<'a, T> {
    columns: usize,
    finish: Finish<'a, T>,
    out: &'a mut [T],
}

impl<T: Real> Target<'_, T> {
    /// Takes the sums of `M` rows.
    #[inline(always)]
    fn take<const M: usize, const N: usize>(&mut self, row: usize, column: usize, mut sums: [[T; N]; M]) {
        let columns = self.columns;
        let width = N.min(columns - column);
        let at = row * columns + column;
        match self.finish {
            Finish::Set => {}
            Finish::Add => {
                for (sums, out) in sums.iter_mut().zip(self.out[at..].chunks(columns)) {
                    each(sums, &load(out, width), |sum, x| x + sum);
                }
            }
            Finish::Bias(bias) => {
                let bias = load(&bias[column..], width);
                sums.iter_mut().for_each(|sums| each(sums, &bias, |sum, x| sum + x));
            }
            Finish::Relu(bias) => {
                let bias = load(&bias[column..], width);
                sums.iter_mut().for_each(|sums| each(sums, &bias, |sum, x| (sum + x).positive()));
            }
            Finish::ReluEach { offsets, repeat } => {
                for (i, sums) in sums.iter_mut().enumerate() {
                    let offsets = load(&offsets[(row + i) / repeat * columns + column..], width);
                    each(sums, &offsets, |sum, x| (sum + x).positive());
                }
            }
            Finish::Crelu(bias) => return self.take_crelu(row, column, sums, &load(&bias[column..], width)),
            Finish::Gate(output) => {
                for (sums, output) in sums.iter_mut().zip(output[at..].chunks(columns)) {
                    each(sums, &load(output, width), |sum, x| if x > T::zero() { sum } else { T::zero() });
                }
            }
        }
        store(sums, &mut self.out[at..], columns, width);
    }

    #[inline(always)]
    fn take_crelu<const M: usize, const N: usize>(
        &mut self,
        row: usize,
        column: usize,
        mut sums: [[T; N]; M],
        bias: &[T; N],
    ) {
        let columns = self.columns;
        let width = N.min(columns - column);
        sums.iter_mut().for_each(|sums| each(sums, bias, |sum, x| sum + x));
        let (mut plus, mut minus) = (sums, sums);
        plus.as_flattened_mut().iter_mut().for_each(|x| *x = x.positive());
        minus.as_flattened_mut().iter_mut().for_each(|x| *x = (-*x).positive());
        let out = &mut self.out[2 * row * columns + column..];
        store(plus, out, 2 * columns, width);
        store(minus, &mut out[columns..], 2 * columns, width);
    }
}

/// The first `width` numbers, by value: so the compiler need not fear that they change as others are written.
#[inline(always)]
fn load<T: Real, const N: usize>(numbers: &[T], width: usize) -> [T; N] {
    match numbers.first_chunk() {
        Some(all) if width == N => *all,
        _ => {
            let mut part = [T::zero(); N];
            part[..width].copy_from_slice(&numbers[..width]);
            part
        }
    }
}

/// The first `width` numbers of each row to the beginnings of rows of `columns` numbers.
#[inline(always)]
fn store<T: Real, const M: usize, const N: usize>(rows: [[T; N]; M], out: &mut [T], columns: usize, width: usize) {
    for (row, out) in rows.iter().zip(out.chunks_mut(columns)) {
        match out.first_chunk_mut() {
            Some(all) if width == N => *all = *row,
            _ => out[..width].copy_from_slice(&row[..width]),
        }
    }
}

#[inline(always)]
fn each<T: Real, const N: usize>(a: &mut [T; N], b: &[T; N], f: impl Fn(T, T) -> T) {
    for (a, &b) in a.iter_mut().zip(b) {
        *a = f(*a, b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::check::normals;
    use crate::random::Stream;
    use ndarray::linalg::general_mat_mul;
    use ndarray::{Array2, ArrayViewMut2};
    use policy::kernels::KernelKind;

    fn kernels() -> impl Iterator<Item = Kernel> {
        [KernelKind::Scalar, KernelKind::Avx2, KernelKind::Avx512].into_iter().filter_map(Kernel::of)
    }

    fn matrix(stream: &mut Stream, rows: usize, columns: usize, is_transposed: bool) -> Array2<f32> {
        let numbers: Vec<f32> = normals(stream, rows * columns).iter().map(|x| *x as f32).collect();
        let stored = if is_transposed { (columns, rows) } else { (rows, columns) };
        Array2::from_shape_vec(stored, numbers).unwrap()
    }

    fn oriented(matrix: &Array2<f32>, is_transposed: bool) -> ArrayView2<'_, f32> {
        if is_transposed { matrix.t() } else { matrix.view() }
    }

    #[test]
    fn a_product_is_that_of_the_library_for_every_kernel_shape_and_orientation() {
        let stream = &mut Stream::new(1, "test", 0);
        let mut panels = Panels::default();
        for (rows, depth, columns) in [(1, 1, 1), (8, 4, 32), (9, 5, 33), (17, 300, 7), (3, 70, 64), (26, 600, 47)] {
            for (a_transposed, b_transposed) in [(false, false), (true, false), (false, true), (true, true)] {
                let (a, b) = (matrix(stream, rows, depth, a_transposed), matrix(stream, depth, columns, b_transposed));
                let (a, b) = (oriented(&a, a_transposed), oriented(&b, b_transposed));
                let mut expected = vec![1.0; rows * columns];
                let mut view = ArrayViewMut2::from_shape((rows, columns), &mut expected).unwrap();
                general_mat_mul(1.0, &a, &b, 1.0, &mut view);
                for kernel in kernels() {
                    let mut out = vec![1.0; rows * columns];
                    Product { a, b, finish: Finish::Add, panels: &mut panels, out: &mut out }.compute(kernel);
                    for (one, other) in out.iter().zip(&expected) {
                        assert!((one - other).abs() < 2e-4, "{rows} {depth} {columns} {kernel:?}: {one} {other}");
                    }
                }
            }
        }
    }

    #[test]
    fn kernels_that_fuse_give_the_same_bits() {
        let Some(wide) = Kernel::of(KernelKind::Avx512) else { return };
        let stream = &mut Stream::new(2, "test", 0);
        let (a, b) = (matrix(stream, 13, 41, false), matrix(stream, 41, 50, false));
        let product = |kernel| {
            let (mut panels, mut out) = (Panels::default(), vec![0.0; 13 * 50]);
            let (a, b) = (a.view(), b.view());
            Product { a, b, finish: Finish::Set, panels: &mut panels, out: &mut out }.compute(kernel);
            out.iter().map(|x| x.to_bits()).collect::<Vec<u32>>()
        };
        assert_eq!(product(wide), product(Kernel::of(KernelKind::Avx2).unwrap()));
    }

    #[test]
    fn what_follows_a_product_is_what_its_name_says() {
        // Sums of 2 and -3 in turn; the offsets make them 3, -2 and 12, 7.
        let (a, b) = ([1.0_f64, 1.0], [2.0_f64, -3.0]);
        let run = |finish, width: usize| {
            let mut out = vec![0.5; 2 * width];
            let panels = &mut Panels::default();
            Product { a: view(&a, 2, 1), b: view(&b, 1, 2), finish, panels, out: &mut out }.compute(Kernel::best());
            out
        };
        let offsets = [1.0, 1.0, 10.0, 10.0];
        assert_eq!(run(Finish::Set, 2), [2.0, -3.0, 2.0, -3.0]);
        assert_eq!(run(Finish::Add, 2), [2.5, -2.5, 2.5, -2.5]);
        assert_eq!(run(Finish::Bias(&offsets), 2), [3.0, -2.0, 3.0, -2.0]);
        assert_eq!(run(Finish::Relu(&offsets), 2), [3.0, 0.0, 3.0, 0.0]);
        assert_eq!(run(Finish::ReluEach { offsets: &offsets, repeat: 1 }, 2), [3.0, 0.0, 12.0, 7.0]);
        assert_eq!(run(Finish::ReluEach { offsets: &offsets, repeat: 2 }, 2), [3.0, 0.0, 3.0, 0.0]);
        assert_eq!(run(Finish::Crelu(&offsets), 4), [3.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0, 2.0]);
        assert_eq!(run(Finish::Gate(&[0.0, 1.0, 2.0, -1.0]), 2), [0.0, -3.0, 2.0, 0.0]);
    }
}

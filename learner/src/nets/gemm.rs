//! Matrix products, with what follows them done while the sums are still in registers.
//!
//! The right factor is laid in panels, as many columns wide as the registers like. A tile of a few rows and one panel's
//! columns is summed in registers from the first term to the last: each element is one chain, whatever the tiles, so
//! its bits depend on the terms and on whether the machine fuses multiplication and addition, and on nothing else.

use ndarray::ArrayView2;
use policy::kernels::{Arithmetic, BLOCK, Kernel, KernelKind, Registers};

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
        T::compute(self, kernel);
    }

    #[inline(always)]
    pub(crate) fn run_on<R: Registers<T>>(self, registers: R) {
        let (rows, depth) = self.a.dim();
        match (self.a.to_slice(), self.a.reversed_axes().to_slice()) {
            (Some(numbers), _) => self.of(registers, Rows { numbers, depth }),
            (None, Some(numbers)) => self.of(registers, Columns { numbers, rows }),
            (None, None) => unreachable!("{ORIENTED}"),
        }
    }
}

impl Arithmetic for Product<'_, f32> {
    type Output = ();

    #[inline(always)]
    fn run<R: Registers<f32>>(self, registers: R) {
        self.run_on(registers);
    }
}

/// What every factor is.
const ORIENTED: &str = "a factor is row-major or the transpose of such a matrix";

/// A row of a panel: `H` blocks of columns.
type Line<T, const H: usize> = [[T; BLOCK]; H];
/// The sums of `M` rows and as many columns as a panel has.
type Sums<B, const M: usize, const H: usize> = [[B; H]; M];

impl<T: Real> Product<'_, T> {
    #[inline(always)]
    fn of<R: Registers<T>>(self, registers: R, left: impl Left<T>) {
        // Tiles as large as the registers hold beside a row of the panel.
        match R::KIND {
            KernelKind::Avx512 => self.tiled::<R, 8, 2>(registers, left),
            KernelKind::Avx2 => self.tiled::<R, 6, 1>(registers, left),
            KernelKind::Scalar => self.tiled::<R, 2, 1>(registers, left),
        }
    }

    #[inline(always)]
    fn tiled<R: Registers<T>, const M: usize, const H: usize>(self, registers: R, left: impl Left<T>) {
        let (rows, depth, columns) = (self.a.nrows(), self.a.ncols(), self.b.ncols());
        let mut target = Target { registers, columns, finish: self.finish, out: self.out };
        // Only where sums are added to what is there, they may be so in parts.
        let part = if matches!(self.finish, Finish::Add) { DEPTH } else { depth.max(1) };
        for column in (0..columns).step_by(H * BLOCK) {
            let numbers = self.panels.room(depth * H * BLOCK);
            let (panel, _) = numbers.as_chunks_mut::<BLOCK>().0.as_chunks_mut::<H>();
            lay(self.b, column, panel);
            for (i, panel) in panel.chunks(part).enumerate() {
                for row in (0..rows - rows % M).step_by(M) {
                    target.take(row, column, &left.tile::<R, M, H>(registers, row, i * part, panel));
                }
                for row in rows - rows % M..rows {
                    target.take(row, column, &left.tile::<R, 1, H>(registers, row, i * part, panel));
                }
            }
        }
    }
}

/// Lays the columns of `b` from `column` on side by side; what is missing becomes 0.
#[inline(always)]
fn lay<T: Real, const H: usize>(b: ArrayView2<'_, T>, column: usize, panel: &mut [Line<T, H>]) {
    let width = (H * BLOCK).min(b.ncols() - column);
    if width < H * BLOCK {
        panel.fill([[T::zero(); BLOCK]; H]);
    }
    if let Some(rows) = b.to_slice() {
        for (line, row) in panel.iter_mut().zip(rows.chunks_exact(b.ncols())) {
            match row[column..].as_chunks().0.first_chunk() {
                Some(row) => *line = *row,
                None => line.as_flattened_mut()[..width].copy_from_slice(&row[column..]),
            }
        }
        return;
    }
    let columns = b.reversed_axes().to_slice().expect(ORIENTED);
    for (j, numbers) in columns.chunks_exact(b.nrows()).skip(column).take(width).enumerate() {
        for (line, &x) in panel.iter_mut().zip(numbers) {
            line.as_flattened_mut()[j] = x;
        }
    }
}

/// The left factor.
trait Left<T: Real> {
    /// The sums of `M` rows over the terms from `from` on that the panel has.
    fn tile<R: Registers<T>, const M: usize, const H: usize>(
        &self,
        registers: R,
        row: usize,
        from: usize,
        panel: &[Line<T, H>],
    ) -> Sums<R::Block, M, H>;
}

/// Row-major.
struct Rows<'a, T> {
    numbers: &'a [T],
    depth: usize,
}

impl<T: Real> Left<T> for Rows<'_, T> {
    #[inline(always)]
    fn tile<R: Registers<T>, const M: usize, const H: usize>(
        &self,
        registers: R,
        row: usize,
        from: usize,
        panel: &[Line<T, H>],
    ) -> Sums<R::Block, M, H> {
        let mut sums = [[registers.load(&[T::zero(); BLOCK]); H]; M];
        let rows: [&[T]; M] = std::array::from_fn(|i| &self.numbers[(row + i) * self.depth + from..][..panel.len()]);
        let blocks = rows.map(|row| row.as_chunks::<STEPS>());
        let (panel, panel_rest) = panel.as_chunks::<STEPS>();
        for (step, lines) in panel.iter().enumerate() {
            let x: [&[T; STEPS]; M] = std::array::from_fn(|i| &blocks[i].0[step]);
            for (k, line) in lines.iter().enumerate() {
                add_products(registers, &mut sums, std::array::from_fn(|i| x[i][k]), line);
            }
        }
        for (k, line) in panel_rest.iter().enumerate() {
            add_products(registers, &mut sums, std::array::from_fn(|i| blocks[i].1[k]), line);
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
    fn tile<R: Registers<T>, const M: usize, const H: usize>(
        &self,
        registers: R,
        row: usize,
        from: usize,
        panel: &[Line<T, H>],
    ) -> Sums<R::Block, M, H> {
        let mut sums = [[registers.load(&[T::zero(); BLOCK]); H]; M];
        let columns = self.numbers[from * self.rows..].chunks_exact(self.rows);
        for (column, line) in columns.zip(panel) {
            if let Some(x) = column[row..].first_chunk() {
                add_products(registers, &mut sums, *x, line);
            }
        }
        sums
    }
}

/// `sums + x line`, the products of a column of the left factor and a line of the panel.
#[inline(always)]
fn add_products<T: Real, R: Registers<T>, const M: usize, const H: usize>(
    registers: R,
    sums: &mut Sums<R::Block, M, H>,
    x: [T; M],
    line: &Line<T, H>,
) {
    let line: [R::Block; H] = std::array::from_fn(|h| registers.load(&line[h]));
    for (sums, x) in sums.iter_mut().zip(x) {
        for (sum, y) in sums.iter_mut().zip(line) {
            *sum = registers.add_product(*sum, x, y);
        }
    }
}

/// Where finished sums go.
struct Target<'a, T, R> {
    registers: R,
    columns: usize,
    finish: Finish<'a, T>,
    out: &'a mut [T],
}

impl<T: Real, R: Registers<T>> Target<'_, T, R> {
    /// Takes the sums of a tile.
    #[inline(always)]
    fn take<const M: usize, const H: usize>(&mut self, row: usize, column: usize, sums: &Sums<R::Block, M, H>) {
        let (r, columns) = (self.registers, self.columns);
        let tile = Tile { row, column, width: (H * BLOCK).min(columns - column), sums };
        let out = &mut *self.out;
        match self.finish {
            Finish::Set => tile.write(r, out, columns, |sum, _| sum),
            Finish::Add => tile.write(r, out, columns, |sum, x| r.add(x, sum)),
            Finish::Bias(bias) => tile.combine(r, (bias, |_| 0), out, columns, |sum, x| r.add(sum, x)),
            Finish::Relu(bias) => {
                tile.combine(r, (bias, |_| 0), out, columns, |sum, x| r.positive(r.add(sum, x)));
            }
            Finish::ReluEach { offsets, repeat } => {
                let offsets = (offsets, |row| row / repeat * columns);
                tile.combine(r, offsets, out, columns, |sum, x| r.positive(r.add(sum, x)));
            }
            Finish::Crelu(bias) => {
                tile.combine(r, (bias, |_| 0), out, 2 * columns, |sum, x| r.positive(r.add(sum, x)));
                let out = &mut out[columns..];
                tile.combine(r, (bias, |_| 0), out, 2 * columns, |sum, x| r.positive(r.negate(r.add(sum, x))));
            }
            Finish::Gate(output) => {
                tile.combine(r, (output, |row| row * columns), out, columns, |sum, x| r.pass(sum, x));
            }
        }
    }
}

/// A tile of finished sums and its place.
struct Tile<'a, B, const M: usize, const H: usize> {
    row: usize,
    column: usize,
    /// The columns that belong to the result.
    width: usize,
    sums: &'a Sums<B, M, H>,
}

impl<B: Copy, const M: usize, const H: usize> Tile<'_, B, M, H> {
    /// Writes rows of `stride` numbers, `finish` of the sums and what is there.
    #[inline(always)]
    fn write<T: Real, R: Registers<T, Block = B>>(
        &self,
        registers: R,
        out: &mut [T],
        stride: usize,
        finish: impl Fn(B, B) -> B,
    ) {
        for (row, sums) in (self.row..).zip(self.sums) {
            let out = &mut out[row * stride + self.column..][..self.width];
            let (blocks, rest) = out.as_chunks_mut();
            for (out, sum) in blocks.iter_mut().zip(sums) {
                registers.store(finish(*sum, registers.load(out)), out);
            }
            if !rest.is_empty() {
                let present = padded(rest);
                write_part(registers, finish(sums[blocks.len()], registers.load(&present)), rest);
            }
        }
    }

    /// Writes rows of `stride` numbers, `finish` of the sums and the terms, which begin where the function of the row says.
    #[inline(always)]
    fn combine<T: Real, R: Registers<T, Block = B>>(
        &self,
        registers: R,
        (terms, begin): (&[T], impl Fn(usize) -> usize),
        out: &mut [T],
        stride: usize,
        finish: impl Fn(B, B) -> B,
    ) {
        for (row, sums) in (self.row..).zip(self.sums) {
            let out = &mut out[row * stride + self.column..][..self.width];
            let terms = &terms[begin(row) + self.column..][..self.width];
            let ((blocks, rest), (term_blocks, term_rest)) = (out.as_chunks_mut(), terms.as_chunks());
            for ((out, term), sum) in blocks.iter_mut().zip(term_blocks).zip(sums) {
                registers.store(finish(*sum, registers.load(term)), out);
            }
            if !rest.is_empty() {
                write_part(registers, finish(sums[blocks.len()], registers.load(&padded(term_rest))), rest);
            }
        }
    }
}

/// A block that begins with these numbers.
fn padded<T: Real>(numbers: &[T]) -> [T; BLOCK] {
    let mut block = [T::zero(); BLOCK];
    block[..numbers.len()].copy_from_slice(numbers);
    block
}

/// The beginning of a block, as much as there is room for.
#[inline(always)]
fn write_part<T: Real, R: Registers<T>>(registers: R, block: R::Block, out: &mut [T]) {
    let mut numbers = [T::zero(); BLOCK];
    registers.store(block, &mut numbers);
    out.copy_from_slice(&numbers[..out.len()]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::check::normals;
    use crate::random::Stream;
    use ndarray::linalg::general_mat_mul;
    use ndarray::{Array2, ArrayViewMut2};

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

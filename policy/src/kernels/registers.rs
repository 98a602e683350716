//! Sixteen numbers in registers: what the learner's products are summed in, and finished before they are stored.
//!
//! A value of `Avx2` or `Avx512` is the proof that the machine has these instructions; the dispatch alone makes one.

use super::dispatch::KernelKind;
#[cfg(target_arch = "x86_64")]
pub(super) use x86::{Avx2, Avx512};

/// Numbers in a block.
pub const BLOCK: usize = 16;

/// A kind of register for numbers of type `T`, as a value that only a machine with such registers has.
pub trait Registers<T>: Copy {
    /// The kind of kernel that uses them.
    const KIND: KernelKind;
    /// Sixteen numbers in as many registers as they take.
    type Block: Copy;

    /// Puts numbers into registers.
    fn load(self, numbers: &[T; BLOCK]) -> Self::Block;
    /// Takes them out.
    fn store(self, block: Self::Block, numbers: &mut [T; BLOCK]);
    /// `sum + x y`, rounded once where the machine has an instruction for it, else twice.
    fn add_product(self, sum: Self::Block, x: T, y: Self::Block) -> Self::Block;
    /// `a + b`.
    fn add(self, a: Self::Block, b: Self::Block) -> Self::Block;
    /// `-a`.
    fn negate(self, a: Self::Block) -> Self::Block;
    /// `a` where it is positive, else 0.
    fn positive(self, a: Self::Block) -> Self::Block;
    /// `a` where `gate` is positive, else 0.
    fn pass(self, a: Self::Block, gate: Self::Block) -> Self::Block;
}

/// What every machine of this architecture has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Baseline;

impl Registers<f32> for Baseline {
    const KIND: KernelKind = KernelKind::Scalar;
    type Block = [f32; BLOCK];

    #[inline(always)]
    fn load(self, numbers: &[f32; BLOCK]) -> Self::Block {
        *numbers
    }

    #[inline(always)]
    fn store(self, block: Self::Block, numbers: &mut [f32; BLOCK]) {
        *numbers = block;
    }

    #[inline(always)]
    fn add_product(self, mut sum: Self::Block, x: f32, y: Self::Block) -> Self::Block {
        for (sum, y) in sum.iter_mut().zip(y) {
            *sum += x * y;
        }
        sum
    }

    #[inline(always)]
    fn add(self, mut a: Self::Block, b: Self::Block) -> Self::Block {
        for (a, b) in a.iter_mut().zip(b) {
            *a += b;
        }
        a
    }

    #[inline(always)]
    fn negate(self, a: Self::Block) -> Self::Block {
        a.map(|a| -a)
    }

    #[inline(always)]
    fn positive(self, a: Self::Block) -> Self::Block {
        self.pass(a, a)
    }

    #[inline(always)]
    fn pass(self, mut a: Self::Block, gate: Self::Block) -> Self::Block {
        for (a, gate) in a.iter_mut().zip(gate) {
            *a = if gate > 0.0 { *a } else { 0.0 };
        }
        a
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{BLOCK, KernelKind, Registers};

    /// 512-bit registers.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Avx512(());

    impl Avx512 {
        /// # Safety
        /// The machine has AVX-512F.
        pub(in super::super) unsafe fn assume() -> Self {
            Self(())
        }
    }

    impl Registers<f32> for Avx512 {
        const KIND: KernelKind = KernelKind::Avx512;
        type Block = __m512;

        #[inline(always)]
        fn load(self, numbers: &[f32; BLOCK]) -> __m512 {
            // SAFETY: a block is as long as a register; `self` is the proof of AVX-512F.
            unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
        }

        #[inline(always)]
        fn store(self, block: __m512, numbers: &mut [f32; BLOCK]) {
            // SAFETY: a block is as long as a register; `self` is the proof of AVX-512F.
            unsafe { _mm512_storeu_ps(numbers.as_mut_ptr(), block) }
        }

        #[inline(always)]
        fn add_product(self, sum: __m512, x: f32, y: __m512) -> __m512 {
            // SAFETY: `self` is the proof of AVX-512F.
            unsafe { _mm512_fmadd_ps(_mm512_set1_ps(x), y, sum) }
        }

        #[inline(always)]
        fn add(self, a: __m512, b: __m512) -> __m512 {
            // SAFETY: `self` is the proof of AVX-512F.
            unsafe { _mm512_add_ps(a, b) }
        }

        #[inline(always)]
        fn negate(self, a: __m512) -> __m512 {
            // SAFETY: `self` is the proof of AVX-512F.
            unsafe { _mm512_sub_ps(_mm512_setzero_ps(), a) }
        }

        #[inline(always)]
        fn positive(self, a: __m512) -> __m512 {
            // SAFETY: `self` is the proof of AVX-512F.
            unsafe { _mm512_max_ps(a, _mm512_setzero_ps()) }
        }

        #[inline(always)]
        fn pass(self, a: __m512, gate: __m512) -> __m512 {
            // SAFETY: `self` is the proof of AVX-512F.
            unsafe { _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(gate, _mm512_setzero_ps()), a) }
        }
    }

    /// 256-bit registers, and multiplication and addition in one.
    #[derive(Clone, Copy, Debug)]
    pub(in super::super) struct Avx2(());

    impl Avx2 {
        /// # Safety
        /// The machine has AVX2 and FMA.
        pub(in super::super) unsafe fn assume() -> Self {
            Self(())
        }
    }

    impl Registers<f32> for Avx2 {
        const KIND: KernelKind = KernelKind::Avx2;
        type Block = [__m256; 2];

        #[inline(always)]
        #[expect(clippy::indexing_slicing, reason = "a block has two halves, by its type")]
        fn load(self, numbers: &[f32; BLOCK]) -> Self::Block {
            let halves = numbers.as_chunks::<{ BLOCK / 2 }>().0;
            // SAFETY: half a block is as long as a register; `self` is the proof of AVX2 and FMA.
            std::array::from_fn(|i| unsafe { _mm256_loadu_ps(halves[i].as_ptr()) })
        }

        #[inline(always)]
        fn store(self, block: Self::Block, numbers: &mut [f32; BLOCK]) {
            for (half, register) in numbers.as_chunks_mut::<{ BLOCK / 2 }>().0.iter_mut().zip(block) {
                // SAFETY: half a block is as long as a register; `self` is the proof of AVX2 and FMA.
                unsafe { _mm256_storeu_ps(half.as_mut_ptr(), register) }
            }
        }

        #[inline(always)]
        fn add_product(self, [low, high]: Self::Block, x: f32, y: Self::Block) -> Self::Block {
            // SAFETY: `self` is the proof of AVX2 and FMA.
            unsafe {
                let x = _mm256_set1_ps(x);
                [_mm256_fmadd_ps(x, y[0], low), _mm256_fmadd_ps(x, y[1], high)]
            }
        }

        #[inline(always)]
        fn add(self, a: Self::Block, b: Self::Block) -> Self::Block {
            // SAFETY: `self` is the proof of AVX2 and FMA.
            unsafe { [_mm256_add_ps(a[0], b[0]), _mm256_add_ps(a[1], b[1])] }
        }

        #[inline(always)]
        fn negate(self, a: Self::Block) -> Self::Block {
            // SAFETY: `self` is the proof of AVX2 and FMA.
            a.map(|a| unsafe { _mm256_sub_ps(_mm256_setzero_ps(), a) })
        }

        #[inline(always)]
        fn positive(self, a: Self::Block) -> Self::Block {
            // SAFETY: `self` is the proof of AVX2 and FMA.
            a.map(|a| unsafe { _mm256_max_ps(a, _mm256_setzero_ps()) })
        }

        #[inline(always)]
        fn pass(self, a: Self::Block, gate: Self::Block) -> Self::Block {
            // SAFETY: `self` is the proof of AVX2 and FMA.
            let open = gate.map(|gate| unsafe { _mm256_cmp_ps::<_CMP_GT_OQ>(gate, _mm256_setzero_ps()) });
            // SAFETY: `self` is the proof of AVX2 and FMA.
            unsafe { [_mm256_and_ps(open[0], a[0]), _mm256_and_ps(open[1], a[1])] }
        }
    }
}

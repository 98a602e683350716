//! One panel of a linear layer: the only loop that matters.

/// Lanes of a block: one AVX-512 register, one cache line.
pub(super) const LANES: usize = 16;
/// Blocks that are summed side by side: as many independent sums as the adders' latency needs.
pub(super) const BLOCKS: usize = 8;

/// A cache line of numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Block(pub(super) [f32; LANES]);

/// What one step of a panel reads: the weights of `C` inputs for `W` outputs, `W * C = 128`.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Step(pub(super) [Block; BLOCKS]);

const _: () = assert!(size_of::<Step>() == 4 * LANES * BLOCKS, "steps lie side by side without a gap");

impl Block {
    pub(super) const ZERO: Self = Self([0.0; LANES]);

    /// `self <- self + weights * x`, lane by lane, rounded twice.
    #[inline(always)]
    fn add_product(&mut self, weights: &Self, x: f32) {
        for (sum, weight) in self.0.iter_mut().zip(&weights.0) {
            *sum += weight * x;
        }
    }

    #[inline(always)]
    pub(super) fn plus(mut self, other: &Self) -> Self {
        for (sum, term) in self.0.iter_mut().zip(&other.0) {
            *sum += term;
        }
        self
    }
}

impl Step {
    pub(super) const ZERO: Self = Self([Block::ZERO; BLOCKS]);
}

/// The chains' sums of a panel with `C` chains: block `b` belongs to chain `b * C / 8`.
///
/// `G` blocks are summed per pass over the panel, as many as fit the machine's registers; it changes no bit.
#[inline(always)]
pub(super) fn chains<const G: usize, const C: usize>(steps: &[Step], inputs: &[f32]) -> [Block; BLOCKS] {
    let (inputs, _) = inputs.as_chunks::<C>();
    let mut sums = [Block::ZERO; BLOCKS];
    // Written out, because the compiler has to see `from` as a constant to keep the sums in registers.
    match G {
        8 => pass::<8, C>(0, steps, inputs, &mut sums),
        4 => {
            pass::<4, C>(0, steps, inputs, &mut sums);
            pass::<4, C>(4, steps, inputs, &mut sums);
        }
        _ => {
            pass::<2, C>(0, steps, inputs, &mut sums);
            pass::<2, C>(2, steps, inputs, &mut sums);
            pass::<2, C>(4, steps, inputs, &mut sums);
            pass::<2, C>(6, steps, inputs, &mut sums);
        }
    }
    sums
}

#[inline(always)]
fn pass<const G: usize, const C: usize>(from: usize, steps: &[Step], inputs: &[[f32; C]], sums: &mut [Block; BLOCKS]) {
    let mut group = [Block::ZERO; G];
    for (step, x) in steps.iter().zip(inputs) {
        for (k, sum) in group.iter_mut().enumerate() {
            let block = from + k;
            // Both indices are constants below the bounds once the loop is unrolled.
            if let (Some(weights), Some(x)) = (step.0.get(block), x.get(block * C / BLOCKS)) {
                sum.add_product(weights, *x);
            }
        }
    }
    for (sum, group) in sums.iter_mut().skip(from).zip(group) {
        *sum = group;
    }
}

/// The exclusive or of all words, as far as they fill whole steps: the cheapest use of every bit.
#[inline(always)]
pub(super) fn fold(words: &[u64]) -> u64 {
    // Flat words, because the compiler gathers and scatters what it finds nested.
    let mut folded = [0; LANES * BLOCKS / 2];
    for words in words.as_chunks::<{ LANES * BLOCKS / 2 }>().0 {
        for (lane, word) in folded.iter_mut().zip(words) {
            *lane ^= word;
        }
    }
    folded.iter().fold(0, |all, lane| all ^ lane)
}

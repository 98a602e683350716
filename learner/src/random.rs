//! Randomness: a ChaCha8 stream for each role, with our own transforms, so that a seed means the same bits for ever.

use policy::kernels::Kernel;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

/// A stream of random numbers, determined by a seed and by the role that it plays.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Position", into = "Position")]
pub(crate) struct Stream {
    seed: u64,
    generator: ChaCha8Rng,
}

/// Where a stream stands: what a checkpoint keeps of it.
#[derive(Serialize, Deserialize)]
struct Position {
    seed: u64,
    stream: u64,
    word: u128,
}

impl From<Position> for Stream {
    fn from(position: Position) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(position.seed);
        generator.set_stream(position.stream);
        generator.set_word_pos(position.word);
        Self { seed: position.seed, generator }
    }
}

impl From<Stream> for Position {
    fn from(stream: Stream) -> Self {
        Self { seed: stream.seed, stream: stream.generator.get_stream(), word: stream.generator.get_word_pos() }
    }
}

impl Stream {
    /// The stream of `role`, for the `index`-th of those who play it.
    pub(crate) fn new(seed: u64, role: &str, index: usize) -> Self {
        // FNV-1a: a role's numbers do not depend on which other roles there are.
        let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let stream = role.bytes().chain((index as u64).to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, fnv);
        Self::from(Position { seed, stream, word: 0 })
    }

    /// Uniform in `[0, 1)`, a multiple of 2^-24.
    pub(crate) fn uniform(&mut self) -> f32 {
        (self.generator.next_u32() >> 8) as f32 * (1.0 / (1 << 24) as f32)
    }

    /// Uniform in `[0, 1)`, a multiple of 2^-53.
    pub(crate) fn uniform_f64(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Fills `out` with uniform numbers, in order.
    pub(crate) fn uniforms(&mut self, out: &mut [f32]) {
        out.fill_with(|| self.uniform());
    }

    /// Uniform in `0..bound`; `bound` must be positive.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The high half of the product; the bias is at most bound / 2^64.
        ((u128::from(self.generator.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Normal with mean 0 and deviation 1.
    pub(crate) fn normal(&mut self) -> f32 {
        let pair = [self.uniform(), self.uniform()];
        box_muller(pair).0
    }

    /// Fills `out` with normal numbers. They come in pairs, one in each half of `out`; of the last pair of an odd number
    /// only the first counts.
    pub(crate) fn normals(&mut self, kernel: Kernel, out: &mut [f32]) {
        self.uniforms(out);
        if !out.len().is_multiple_of(2) {
            let last = out.len() - 1;
            out[last] = box_muller([out[last], self.uniform()]).0;
        }
        let (first, second) = out.split_at_mut(out.len() / 2);
        kernel.run(
            #[inline(always)]
            || {
                for (x, y) in first.iter_mut().zip(second.iter_mut()) {
                    (*x, *y) = box_muller([*x, *y]);
                }
            },
        );
    }
}

/// Two normal numbers from two uniform ones (Box and Muller).
#[inline(always)]
fn box_muller([u, v]: [f32; 2]) -> (f32, f32) {
    let radius = (-2.0 * ln(1.0 - u)).sqrt();
    let (sine, cosine) = sine_cosine(v);
    (radius * cosine, radius * sine)
}

/// The natural logarithm of a positive normal number up to 1, within 2e-7 of its magnitude.
#[inline(always)]
fn ln(x: f32) -> f32 {
    // x = 2^k m with m in [sqrt 1/2, sqrt 2).
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let offset = x.to_bits().wrapping_sub(SQRT_HALF_BITS);
    let k = (offset as i32 >> 23) as f32;
    let m = f32::from_bits((offset & 0x007f_ffff) + SQRT_HALF_BITS);
    // ln m = 2 artanh s with s = (m - 1) / (m + 1), |s| < 0.172: the term after the last is below 2^-26 of the first.
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut p = 2.0 / 9.0;
    p = p * square + 2.0 / 7.0;
    p = p * square + 2.0 / 5.0;
    p = p * square + 2.0 / 3.0;
    k * std::f32::consts::LN_2 + (s * (square * p) + 2.0 * s)
}

/// Sine and cosine of `turn` full turns, `0 <= turn < 1`, within 2e-7.
#[inline(always)]
fn sine_cosine(turn: f32) -> (f32, f32) {
    // The nearest quarter turn, and the angle from there, at most pi / 4.
    let quarter = (4.0 * turn + 0.5) as i32;
    let x = (turn - 0.25 * quarter as f32) * std::f32::consts::TAU;
    let square = x * x;
    let mut p = 1.0 / 362_880.0;
    p = p * square - 1.0 / 5_040.0;
    p = p * square + 1.0 / 120.0;
    p = p * square - 1.0 / 6.0;
    let sine = x + x * (square * p);
    let mut p = 1.0 / 40_320.0;
    p = p * square - 1.0 / 720.0;
    p = p * square + 1.0 / 24.0;
    p = p * square - 0.5;
    let cosine = 1.0 + square * p;
    // A quarter turn swaps them; the signs go round.
    let (s, c) = if quarter & 1 == 0 { (sine, cosine) } else { (cosine, sine) };
    let s = if quarter & 2 == 0 { s } else { -s };
    let c = if (quarter + 1) & 2 == 0 { c } else { -c };
    (s, c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_continues_from_its_stored_position() {
        let mut stream = Stream::new(9, "role", 1);
        for _ in 0..37 {
            stream.uniform();
        }
        let stored = postcard::to_allocvec(&stream).unwrap();
        let mut restored: Stream = postcard::from_bytes(&stored).unwrap();
        for _ in 0..100 {
            assert_eq!(stream.normal().to_bits(), restored.normal().to_bits());
        }
    }

    #[test]
    fn roles_indices_and_seeds_have_streams_of_their_own() {
        let first = |seed, role, index| Stream::new(seed, role, index).uniform().to_bits();
        let all = [first(1, "a", 0), first(1, "a", 1), first(1, "b", 0), first(2, "a", 0)];
        for (i, one) in all.iter().enumerate() {
            assert!(!all[..i].contains(one));
        }
    }

    #[test]
    fn numbers_are_distributed_as_named() {
        let mut stream = Stream::new(3, "test", 0);
        let count = 50_000;
        let (mut sum, mut squares, mut counts) = (0.0, 0.0, [0; 7]);
        for _ in 0..count {
            let x = f64::from(stream.normal());
            sum += x;
            squares += x * x;
            counts[stream.below(7)] += 1;
        }
        assert!((sum / f64::from(count)).abs() < 0.02);
        assert!((squares / f64::from(count) - 1.0).abs() < 0.03);
        assert!(counts.iter().all(|n| (6_500..7_800).contains(n)));
    }

    #[test]
    fn many_normals_are_distributed_like_one_and_continue_a_stream() {
        let (mut all, mut stream) = (vec![0.0; 40_001], Stream::new(4, "test", 0));
        stream.normals(Kernel::best(), &mut all);
        let numbers = || all.iter().map(|&x| f64::from(x));
        let count = all.len() as f64;
        let moment = |n| numbers().map(|x: f64| x.powi(n)).sum::<f64>() / count;
        for (n, expected, within) in [(1, 0.0, 0.02), (2, 1.0, 0.03), (3, 0.0, 0.08), (4, 3.0, 0.2)] {
            assert!((moment(n) - expected).abs() < within, "moment {n}: {}", moment(n));
        }
        // Neighbours, and the partners of a pair, have nothing to do with each other.
        for lag in [1, all.len() / 2] {
            let products: f64 = all.windows(lag + 1).map(|w| f64::from(w[0] * w[lag])).sum();
            assert!((products / count).abs() < 0.02, "lag {lag}");
        }
        let mut again = Stream::new(4, "test", 0);
        (0..all.len() + 1).for_each(|_| _ = again.uniform());
        assert_eq!(stream.uniform(), again.uniform());
    }

    #[test]
    fn functions_are_near_their_mathematics() {
        for i in 0..=1 << 16 {
            let x = (i as f32 / 65_536.0).max(f32::EPSILON);
            let exact = f64::from(x).ln();
            assert!((f64::from(ln(x)) - exact).abs() <= 2e-7 * exact.abs(), "ln {x} is {exact}, not {}", ln(x));
            let turn = i as f32 / 65_537.0;
            let (sine, cosine) = (f64::from(turn) * std::f64::consts::TAU).sin_cos();
            let (s, c) = sine_cosine(turn);
            assert!((f64::from(s) - sine).abs() < 2e-7 && (f64::from(c) - cosine).abs() < 2e-7, "{turn}: {s} {c}");
        }
        assert_eq!(ln(1.0), 0.0);
    }
}

//! Randomness: a ChaCha8 stream for each role, with our own transforms, so that a seed means the same bits for ever.

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

    /// Uniform in `0..bound`; `bound` must be positive.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        // The high half of the product; the bias is at most bound / 2^64.
        ((u128::from(self.generator.next_u64()) * bound as u128) >> 64) as usize
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller).
    pub(crate) fn normal(&mut self) -> f32 {
        let radius = libm::sqrtf(-2.0 * libm::logf(1.0 - self.uniform()));
        radius * libm::cosf(std::f32::consts::TAU * self.uniform())
    }
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
}

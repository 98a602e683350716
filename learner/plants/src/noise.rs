//! Noise: a ChaCha8 stream for each purpose, and our own transforms, because a library's may change.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng as _, SeedableRng as _};

/// A stream of random numbers that depends on a seed and on the name of its purpose.
#[derive(Debug, Clone)]
pub(crate) struct Noise {
    generator: ChaCha8Rng,
}

impl Noise {
    pub(crate) fn new(seed: u64, purpose: &str) -> Self {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        // FNV-1a of the name: purposes get streams that do not depend on the order in which they are made.
        let stream = purpose
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        generator.set_stream(stream);
        Self { generator }
    }

    /// Uniform in `[0, 1)`, with 53 bits.
    pub(crate) fn uniform(&mut self) -> f64 {
        (self.generator.next_u64() >> 11) as f64 * (1.0 / (1_u64 << 53) as f64)
    }

    /// Uniform in `[lo, hi)`.
    pub(crate) fn between(&mut self, lo: f64, hi: f64) -> f64 {
        lo + (hi - lo) * self.uniform()
    }

    /// Normal with mean 0 and deviation 1 (Box and Muller).
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(std::f64::consts::TAU * self.uniform())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normal_numbers_have_mean_zero_and_deviation_one() {
        let mut noise = Noise::new(3, "test");
        let count = 20_000;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..count {
            let x = noise.normal();
            sum += x;
            squares += x * x;
        }
        assert!((sum / f64::from(count)).abs() < 0.03);
        assert!((squares / f64::from(count) - 1.0).abs() < 0.05);
    }

    #[test]
    fn uniform_numbers_fill_their_interval_and_stay_in_it() {
        let mut noise = Noise::new(3, "test");
        let drawn: Vec<f64> = (0..20_000).map(|_| noise.between(-3.0, 1.0)).collect();
        assert!(drawn.iter().all(|x| (-3.0..1.0).contains(x)));
        let (mean, least) = (drawn.iter().sum::<f64>() / 20_000.0, drawn.iter().fold(1.0, |a: f64, &b| a.min(b)));
        assert!((mean + 1.0).abs() < 0.03 && least < -2.99, "{mean} {least}");
    }

    #[test]
    fn purposes_have_streams_of_their_own() {
        assert_ne!(Noise::new(3, "a").uniform().to_bits(), Noise::new(3, "b").uniform().to_bits());
    }
}

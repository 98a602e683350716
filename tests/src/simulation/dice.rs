//! Chance: everything that is drawn in a simulation comes from here.

/// SplitMix64 (Steele, Lea, Flood 2014). Every purpose has a stream of its own, so that drawing more for one changes
/// nothing for another.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The stream of `purpose` in the scenario `seed`.
    pub fn new(seed: u64, purpose: &str) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&seed.to_le_bytes()).update(purpose.as_bytes());
        let word = hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default();
        Self(u64::from_le_bytes(word))
    }

    /// Any number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// One of `0..count`; `count` is above 0.
    pub fn below(&mut self, count: u64) -> u64 {
        self.draw() % count
    }

    /// One of `0..count`, as an index.
    pub fn index(&mut self, count: usize) -> usize {
        // Below `count`, so it fits.
        self.below(count as u64) as usize
    }

    /// In [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// In [lo, hi).
    pub fn between(&mut self, lo: f64, hi: f64) -> f64 {
        lo + self.unit() * (hi - lo)
    }

    /// Once in `times`.
    pub fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Any of them.
    pub fn pick<T: Copy>(&mut self, among: &[T]) -> T {
        among[self.index(among.len())]
    }
}

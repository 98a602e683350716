//! When to try again.

use rt_core::time::{MonoTime, Span};

/// The shortest pause between two attempts.
const PAUSE_MIN: Span = Span::from_ms(250);
/// The longest pause between two attempts. Attempts never end.
const PAUSE_MAX: Span = Span::from_ms(1000);
const _: () = assert!(PAUSE_MIN.as_ns() < PAUSE_MAX.as_ns(), "the pause is drawn from between the two");

/// Draws the pauses: uniformly between the two bounds, so that many clients of one server do not return in step.
#[derive(Clone, Debug)]
pub(crate) struct Pauses {
    state: u64,
}

impl Pauses {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The instant of the next attempt after one that ended at `now`.
    pub(crate) fn next_attempt(&mut self, now: MonoTime) -> MonoTime {
        let width = PAUSE_MAX.as_ns() - PAUSE_MIN.as_ns();
        now + PAUSE_MIN + Span::from_ns(self.draw() % (width + 1))
    }

    /// SplitMix64 (Steele, Lea, Flood 2014).
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.state ^ (self.state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_lie_between_their_bounds_and_differ() {
        let mut pauses = Pauses::new(1);
        let drawn: Vec<_> = (0..1000).map(|_| pauses.next_attempt(MonoTime::ZERO).since(MonoTime::ZERO)).collect();
        assert!(drawn.iter().all(|pause| (PAUSE_MIN..=PAUSE_MAX).contains(pause)));
        assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]));
    }
}

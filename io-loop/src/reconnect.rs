//! When to try again. Pauses are drawn, so that many clients of one server do not return in step.

use rt_core::time::{MonoTime, Span};

/// The first attempt comes this soon: often only the connection is gone, and the server is not.
const FIRST_MAX: Span = Span::from_ms(100);
/// The shortest pause between two attempts.
const PAUSE_MIN: Span = Span::from_ms(200);
/// The longest pause between two attempts. Attempts never end.
const PAUSE_MAX: Span = Span::from_ms(700);
const _: () = assert!(PAUSE_MIN.as_ns() < PAUSE_MAX.as_ns(), "the pause is drawn from between the two");

/// Draws the pauses, uniformly between their bounds.
#[derive(Clone, Debug)]
pub(crate) struct Pauses {
    state: u64,
}

impl Pauses {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The instant of the first attempt after a connection that was lost at `now`.
    pub(crate) fn first_attempt(&mut self, now: MonoTime) -> MonoTime {
        now + self.draw_up_to(FIRST_MAX)
    }

    /// The instant of the next attempt after one that ended at `now`.
    pub(crate) fn next_attempt(&mut self, now: MonoTime) -> MonoTime {
        now + PAUSE_MIN + self.draw_up_to(PAUSE_MAX - PAUSE_MIN)
    }

    fn draw_up_to(&mut self, longest: Span) -> Span {
        Span::from_ns(self.draw() % (longest.as_ns() + 1))
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
        let first = pauses.first_attempt(MonoTime::ZERO).since(MonoTime::ZERO);
        assert!(first <= FIRST_MAX, "{first:?}");
        let drawn: Vec<_> = (0..1000).map(|_| pauses.next_attempt(MonoTime::ZERO).since(MonoTime::ZERO)).collect();
        assert!(drawn.iter().all(|pause| (PAUSE_MIN..=PAUSE_MAX).contains(pause)));
        assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]));
    }
}

//! What replaces the policy's action in FALLBACK, per setpoint, computed in every cycle.
//!
//! While another law drives the setpoint the fallback follows its last value, so that switching over starts exactly there.

use crate::setpoint::FallbackLaw;
use crate::time::Span;

/// The fallback of one setpoint.
///
/// # Real-time
/// Wait-free.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fallback {
    law: FallbackLaw,
    /// Where a ramp has got to. Finer than what the plant's node can hold, so that a slow ramp moves a coarse setpoint.
    position: Option<f64>,
}

impl Fallback {
    /// A fallback that knows of no value yet.
    pub const fn new(law: FallbackLaw) -> Self {
        Self { law, position: None }
    }

    /// Follows `last`, the setpoint's last value: to be called in every cycle in which the fallback's output is not the one
    /// that is written, and whenever the last value was taken from a read-back.
    pub fn track(&mut self, last: Option<f64>) {
        self.position = last;
    }

    /// The output after `dt`; `None` while no last value is known.
    pub fn step(&mut self, last: Option<f64>, dt: Span) -> Option<f64> {
        let last = last?;
        match self.law {
            FallbackLaw::Hold => Some(last),
            FallbackLaw::Nominal(value) => Some(value),
            FallbackLaw::Ramp { target, per_second } => {
                let position = toward(self.position.unwrap_or(last), target, per_second * dt.as_seconds());
                self.position = Some(position);
                Some(position)
            }
        }
    }
}

/// `target`, or the point `step` on the way to it.
fn toward(from: f64, target: f64, step: f64) -> f64 {
    if target > from {
        if target - from <= step { target } else { from + step }
    } else if from - target <= step {
        target
    } else {
        from - step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAMP: FallbackLaw = FallbackLaw::Ramp { target: 10.0, per_second: 100.0 };

    #[test]
    fn without_a_last_value_there_is_no_output() {
        for law in [FallbackLaw::Hold, FallbackLaw::Nominal(1.0), RAMP] {
            assert_eq!(Fallback::new(law).step(None, Span::from_ms(1)), None);
        }
    }

    #[test]
    fn hold_keeps_the_last_value_and_nominal_asks_for_the_nominal_one() {
        assert_eq!(Fallback::new(FallbackLaw::Hold).step(Some(3.0), Span::from_ms(1)), Some(3.0));
        assert_eq!(Fallback::new(FallbackLaw::Nominal(5.0)).step(Some(3.0), Span::from_ms(1)), Some(5.0));
    }

    #[test]
    fn a_ramp_starts_at_the_last_value_and_ends_at_its_target() {
        let mut fallback = Fallback::new(RAMP);
        fallback.track(Some(9.75));
        let outputs = [(); 4].map(|()| fallback.step(Some(9.75), Span::from_ms(1)).unwrap());
        assert_eq!(outputs, [9.85, 9.95, 10.0, 10.0]);
    }

    #[test]
    fn a_ramp_follows_the_last_value_until_it_is_switched_on() {
        let mut fallback = Fallback::new(RAMP);
        for last in [4.0, 20.0, 12.0] {
            fallback.track(Some(last));
            assert!((fallback.step(Some(last), Span::from_ms(1)).unwrap() - last).abs() < 0.1001);
        }
    }
}

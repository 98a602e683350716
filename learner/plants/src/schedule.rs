//! What changes with time by itself: oscillations, square waves and alternations.

use std::f64::consts::TAU;

/// `cos(2 pi t / period)`.
pub(crate) fn cosine(time_steps: u64, period_steps: f64) -> f64 {
    libm::cos(TAU * time_steps as f64 / period_steps)
}

/// Between 1 (at first) and 0: `(1 + cos(2 pi t / period)) / 2`.
pub(crate) fn drift(time_steps: u64, period_steps: f64) -> f64 {
    (1.0 + cosine(time_steps, period_steps)) / 2.0
}

/// `(1 - sign sin(2 pi t / period)) / 2`: 0 in the first half of each period, 1 in the second, and half where the
/// sine crosses zero. The sign is taken from the phase, because `sin` of a rounded multiple of pi has any sign.
pub(crate) fn square(time_steps: u64, period_steps: f64) -> f64 {
    let phase = libm::fmod(time_steps as f64, period_steps) / period_steps;
    if phase == 0.0 || phase == 0.5 {
        0.5
    } else if phase < 0.5 {
        0.0
    } else {
        1.0
    }
}

/// One of two values: the first for `each_steps` steps, then the second for as many, and so on.
pub(crate) fn alternate(time_steps: u64, each_steps: u64, values: [f64; 2]) -> f64 {
    values[usize::from(!(time_steps / each_steps).is_multiple_of(2))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_square_wave_is_the_sign_of_the_sine() {
        let period = 10.0;
        let wave: Vec<f64> = (0..12).map(|t| square(t, period)).collect();
        assert_eq!(wave, [0.5, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0, 1.0, 1.0, 1.0, 0.5, 0.0]);
        for t in 0..1_000 {
            let sine = libm::sin(TAU * t as f64 / std::f64::consts::E);
            assert_eq!(square(t, std::f64::consts::E), if t == 0 { 0.5 } else { (1.0 - sine.signum()) / 2.0 }, "{t}");
        }
    }

    #[test]
    fn a_drift_begins_at_one_and_is_zero_after_half_a_period() {
        assert_eq!((drift(0, 300.0), drift(150, 300.0)), (1.0, 0.0));
        assert!((drift(75, 300.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn alternation_keeps_each_value_as_long() {
        let values: Vec<f64> = (0..5).map(|t| alternate(t, 2, [3.0, 4.0])).collect();
        assert_eq!(values, [3.0, 3.0, 4.0, 4.0, 3.0]);
    }
}

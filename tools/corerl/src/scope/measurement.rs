//! What is measured of one channel's samples.

use serde::Serialize;

use super::acquisition::Sample;
use super::trigger::EdgeFinder;

/// A crossing of the mean counts after this share of the whole swing on the other side, so that noise is no oscillation.
const CROSSING_HYSTERESIS: f64 = 0.1;

/// Measured of the values that are finite.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Measurement {
    /// How many they are.
    pub(super) count: usize,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) mean: f64,
    /// Root of the mean square.
    pub(super) rms: f64,
    /// Of whole periods about the mean; `None` where there is no whole one without a gap in it.
    pub(super) frequency_hz: Option<f64>,
}

impl Measurement {
    /// Measures a channel; `None` without a finite value.
    pub(super) fn of(samples: &[Sample], channel: usize) -> Option<Self> {
        let values = || samples.iter().map(|sample| sample.values[channel]).filter(|value| value.is_finite());
        let count = values().count();
        if count == 0 {
            return None;
        }
        let (min, max) =
            values().fold((f64::INFINITY, f64::NEG_INFINITY), |(min, max), value| (min.min(value), max.max(value)));
        // Each is divided before it is summed: values may be as large as numbers go.
        let mean = values().map(|value| value / count as f64).sum();
        let largest = min.abs().max(max.abs());
        let squares: f64 = values().map(|value| (value / largest).powi(2)).sum();
        let rms = if largest > 0.0 { largest * (squares / count as f64).sqrt() } else { 0.0 };
        let frequency_hz = frequency(samples, channel, mean, (max - min) * CROSSING_HYSTERESIS);
        Some(Self { count, min, max, mean, rms, frequency_hz })
    }
}

/// Whole periods between rising crossings, over their time. What follows a gap begins anew.
fn frequency(samples: &[Sample], channel: usize, mean: f64, hysteresis: f64) -> Option<f64> {
    let fresh = || EdgeFinder::rising(mean, hysteresis);
    let (mut finder, mut crossed_ns) = (fresh(), None::<u64>);
    let (mut periods, mut time_ns) = (0_u64, 0_u64);
    for sample in samples {
        let value = sample.values[channel];
        if sample.follows_a_gap() || !value.is_finite() {
            (finder, crossed_ns) = (fresh(), None);
        }
        if finder.found(value)
            && let Some(before_ns) = crossed_ns.replace(sample.time_ns)
        {
            periods += 1;
            time_ns += sample.time_ns.saturating_sub(before_ns);
        }
    }
    (time_ns > 0).then(|| periods as f64 * 1e9 / time_ns as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::channel::CHANNELS_MAX;

    fn samples(value: impl Fn(u64) -> f64) -> Vec<Sample> {
        let of = |cycle| Sample {
            cycle,
            time_ns: cycle * 1_000_000,
            lost: 0,
            skipped: 0,
            values: std::array::from_fn(|channel| if channel == 1 { value(cycle) } else { 0.0 }),
        };
        (0..1000).map(of).collect::<Vec<Sample>>()
    }

    fn wave(cycle: u64) -> f64 {
        3.0 + 2.0 * (cycle as f64 / 50.0 * std::f64::consts::TAU).sin()
    }

    #[test]
    fn a_wave_is_measured() {
        const { assert!(CHANNELS_MAX > 1) };
        let of = Measurement::of(&samples(wave), 1).unwrap();
        assert_eq!(of.count, 1000);
        let close = |a: f64, b: f64| (a - b).abs() < 0.01;
        assert!(
            close(of.min, 1.0) && close(of.max, 5.0) && close(of.mean, 3.0) && close(of.rms, 11f64.sqrt()),
            "{of:?}"
        );
        assert!(close(of.frequency_hz.unwrap() / 20.0, 1.0), "{of:?}");
    }

    #[test]
    fn noise_about_the_mean_is_no_oscillation() {
        let noisy = |cycle: u64| wave(cycle) + if cycle.is_multiple_of(2) { 0.15 } else { -0.15 };
        let frequency = Measurement::of(&samples(noisy), 1).unwrap().frequency_hz.unwrap();
        assert!((frequency - 20.0).abs() < 0.5, "{frequency}");
    }

    #[test]
    fn a_gap_is_no_part_of_a_period() {
        let mut cut = samples(wave);
        cut.drain(110..330);
        cut[110].lost = 220;
        assert_eq!(Measurement::of(&cut, 1).unwrap().frequency_hz, Some(20.0));
        cut[110].lost = 0;
        assert_ne!(
            Measurement::of(&cut, 1).unwrap().frequency_hz,
            Some(20.0),
            "without a gap it would be a slower wave"
        );
        let missing = samples(|cycle| if cycle % 40 == 0 { f64::NAN } else { wave(cycle) });
        assert_eq!(Measurement::of(&missing, 1).unwrap().frequency_hz, None, "no whole period");
    }

    #[test]
    fn where_nothing_is_finite_nothing_is_measured_and_large_numbers_do_not_overflow() {
        assert_eq!(Measurement::of(&samples(|_| f64::INFINITY), 1), None);
        assert_eq!(Measurement::of(&[], 1), None);
        let large = Measurement::of(&samples(|_| -1e300), 1).unwrap();
        assert!((large.mean / -1e300 - 1.0).abs() < 1e-9 && (large.rms / 1e300 - 1.0).abs() < 1e-9);
        assert_eq!((large.frequency_hz, Measurement::of(&samples(|_| 0.0), 1).unwrap().rms), (None, 0.0));
    }
}

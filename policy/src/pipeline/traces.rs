//! A tag's memory: exponential averages of its normalised value, and of whether there was one.

use rt_config::Range;
use rt_core::carry::Carrier;

use super::{EXCURSION_MAX, clip, flushed, normalised};

/// A trace is usable while its quality is above this.
const QUALITY_MIN: f64 = 0.75;

/// One exponential average.
#[derive(Clone, Copy, Debug)]
struct Trace {
    decay: f64,
    value: f64,
    /// The average of "there was a value"; starts at 1, so that one good sample makes a usable state.
    quality: f64,
}

/// The traces of one tag, one for each decay.
#[derive(Clone, Debug)]
pub(super) struct TagTraces {
    /// The tag's place in the site's list.
    pub(super) index: usize,
    scale: Range,
    begun: bool,
    traces: Vec<Trace>,
}

impl TagTraces {
    pub(super) fn new(index: usize, scale: Range, decays: &[f64]) -> Self {
        let trace = |decay: &f64| Trace { decay: *decay, value: 0.0, quality: 0.0 };
        Self { index, scale, begun: false, traces: decays.iter().map(trace).collect() }
    }

    /// Takes the value in, engineering units. A missing one leaves the averages as they are and lowers their quality.
    pub(super) fn update(&mut self, value: Option<f64>) {
        // Cut before it is averaged: what is far outside must not linger.
        let value = value.map(|x| clip(normalised(x, self.scale), -EXCURSION_MAX, 1.0 + EXCURSION_MAX));
        match value {
            Some(x) if !self.begun => {
                self.begun = true;
                self.traces.iter_mut().for_each(|trace| (trace.value, trace.quality) = (flushed(x), 1.0));
            }
            _ => self.traces.iter_mut().for_each(|trace| trace.update(value)),
        }
    }

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        let Self { index: _, scale: _, begun, traces } = self;
        carrier.carry(begun);
        for Trace { decay: _, value, quality } in traces {
            carrier.carry(value);
            carrier.carry(quality);
        }
    }

    pub(super) fn usable(&self) -> bool {
        self.traces.iter().all(|trace| trace.quality > QUALITY_MIN)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = f64> {
        self.traces.iter().map(|trace| trace.value)
    }
}

impl Trace {
    fn update(&mut self, value: Option<f64>) {
        let share = 1.0 - self.decay;
        if let Some(x) = value {
            self.value = flushed(self.decay * self.value + share * x);
        }
        let valid = if value.is_some() { 1.0 } else { 0.0 };
        self.quality = flushed(self.decay * self.quality + share * valid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCALE: Range = Range { lo: -2.0, hi: 6.0 };
    const DECAYS: [f64; 4] = [0.0, 0.75, 0.9, 0.95];

    /// The average written out as a weighted sum over the whole history.
    fn model(history: &[Option<f64>], decay: f64) -> Option<(f64, f64)> {
        let first = history.iter().position(Option::is_some)?;
        let known: Vec<f64> = history.iter().flatten().map(|x| (x + 2.0) / 8.0).collect();
        let averaged = |values: &[f64]| {
            let newest = values.len() - 1;
            let weight = |i: usize| {
                if i == 0 { decay.powi(newest as i32) } else { (1.0 - decay) * decay.powi((newest - i) as i32) }
            };
            values.iter().enumerate().map(|(i, x)| weight(i) * x).sum::<f64>()
        };
        let valid: Vec<f64> = history[first..].iter().map(|x| f64::from(u8::from(x.is_some()))).collect();
        Some((averaged(&known), averaged(&valid)))
    }

    proptest! {
        #[test]
        fn traces_are_weighted_sums_of_the_history(
            history in prop::collection::vec(prop::option::weighted(0.8, -2.0_f64..6.0), 1..60),
        ) {
            let mut traces = TagTraces::new(0, SCALE, &DECAYS);
            history.iter().for_each(|x| traces.update(*x));
            for (trace, decay) in traces.traces.iter().zip(DECAYS) {
                let (value, quality) = model(&history, decay).unwrap_or((0.0, 0.0));
                prop_assert!((trace.value - value).abs() < 1e-12, "{} != {value}", trace.value);
                prop_assert!((trace.quality - quality).abs() < 1e-12, "{} != {quality}", trace.quality);
            }
        }
    }

    #[test]
    fn the_first_good_sample_makes_all_traces_usable() {
        let mut traces = TagTraces::new(0, SCALE, &DECAYS);
        traces.update(None);
        assert!(!traces.usable());
        traces.update(Some(2.0));
        assert!(traces.usable());
        assert_eq!(traces.values().collect::<Vec<_>>(), [0.5; 4]);
    }

    #[test]
    fn a_slow_trace_stays_usable_for_five_missing_samples() {
        let mut traces = TagTraces::new(0, SCALE, &[0.95]);
        traces.update(Some(2.0));
        for _ in 0..5 {
            traces.update(None);
            assert!(traces.usable());
        }
        traces.update(None);
        assert!(!traces.usable());
    }

    #[test]
    fn a_decaying_trace_ends_at_zero_without_denormals() {
        let mut traces = TagTraces::new(0, Range { lo: 0.0, hi: 1.0 }, &DECAYS);
        traces.update(Some(1.0));
        for _ in 0..3_000 {
            traces.update(Some(0.0));
            assert!(traces.values().all(|x| x == 0.0 || x >= 1e-30));
        }
        assert_eq!(traces.values().collect::<Vec<_>>(), [0.0; 4]);
    }
}

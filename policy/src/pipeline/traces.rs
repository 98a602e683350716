//! The tags' memory: exponential averages of their normalised values, and of whether there was one.

use rt_config::Range;
use rt_core::carry::Carrier;

use super::{EXCURSION_MAX, Values, clip, flushed, normalised};

/// A trace is usable while its quality is above this.
const QUALITY_MIN: f64 = 0.75;

/// The traces of all tags of the state, one of each tag for each decay.
///
/// They lie decay by decay, so that one decay's averages of all tags are computed side by side.
#[derive(Clone, Debug)]
pub(super) struct Traces {
    tags: Vec<TracedTag>,
    decays: Vec<Decay>,
    /// The present observation: each tag's normalised value, 0 where there is none.
    inputs: Vec<f64>,
    /// 1 where there is a value, 0 where there is none.
    valid: Vec<f64>,
}

#[derive(Clone, Debug)]
struct TracedTag {
    /// The tag's place in the site's list.
    index: usize,
    scale: Range,
    begun: bool,
}

/// The averages with one decay, one for each tag.
#[derive(Clone, Debug)]
struct Decay {
    decay: f64,
    values: Vec<f64>,
    /// The average of "there was a value"; starts at 1, so that one good sample makes a usable state.
    qualities: Vec<f64>,
}

impl Traces {
    pub(super) fn new(tags: &[(usize, Range)], decays: &[f64]) -> Self {
        let tag = |&(index, scale): &(usize, Range)| TracedTag { index, scale, begun: false };
        let zeros = vec![0.0; tags.len()];
        let decay = |&decay: &f64| Decay { decay, values: zeros.clone(), qualities: zeros.clone() };
        Self {
            tags: tags.iter().map(tag).collect(),
            decays: decays.iter().map(decay).collect(),
            inputs: zeros.clone(),
            valid: zeros,
        }
    }

    /// How many columns of the state they fill.
    pub(super) fn len(&self) -> usize {
        self.tags.len() * self.decays.len()
    }

    /// Takes one observation in, engineering units. A missing value leaves the tag's averages as they are and lowers their
    /// quality. Whether all traces are usable afterwards, as far as their quality goes.
    pub(super) fn update(&mut self, values: &Values) -> bool {
        let inputs = self.inputs.iter_mut().zip(&mut self.valid);
        for (place, (tag, (input, valid))) in self.tags.iter_mut().zip(inputs).enumerate() {
            let value = values.get(tag.index).copied().flatten();
            // Cut before it is averaged: what is far outside must not linger.
            let value = value.map(|x| clip(normalised(x, tag.scale), -EXCURSION_MAX, 1.0 + EXCURSION_MAX));
            (*input, *valid) = value.map_or((0.0, 0.0), |x| (x, 1.0));
            if let Some(x) = value
                && !tag.begun
            {
                tag.begun = true;
                self.decays.iter_mut().for_each(|decay| decay.begin(place, x));
            }
        }
        let mut usable = true;
        for decay in &mut self.decays {
            usable &= decay.update(&self.inputs, &self.valid);
        }
        usable
    }

    /// The present observation: each tag's normalised value, where there is one.
    pub(super) fn present(&self) -> impl Iterator<Item = Option<f64>> {
        self.inputs.iter().zip(&self.valid).map(|(x, valid)| (*valid > 0.0).then(|| flushed(*x)))
    }

    /// Writes the averages into the state: for each tag one column per decay.
    pub(super) fn write(&self, columns: &mut [f32]) {
        let width = self.decays.len();
        for (place, decay) in self.decays.iter().enumerate() {
            for (column, value) in columns.iter_mut().skip(place).step_by(width).zip(&decay.values) {
                // Averages of clipped values, flushed: each is zero or a normal f32, within one width of [0, 1].
                *column = *value as f32;
            }
        }
    }

    /// Whether every tag's present value is younger than the state tolerates.
    pub(super) fn all_fresh(&self, fresh: &[bool]) -> bool {
        self.tags.iter().all(|tag| fresh.get(tag.index).copied().unwrap_or(false))
    }

    pub(super) fn carry(&mut self, carrier: &mut impl Carrier) {
        // The present observation is filled before it is used.
        let Self { tags, decays, inputs: _, valid: _ } = self;
        tags.iter_mut().for_each(|TracedTag { index: _, scale: _, begun }| carrier.carry(begun));
        for Decay { decay: _, values, qualities } in decays {
            values.iter_mut().chain(qualities).for_each(|x| carrier.carry(x));
        }
    }
}

impl Decay {
    /// The tag's first value: as if it had always been there.
    fn begin(&mut self, place: usize, x: f64) {
        if let (Some(value), Some(quality)) = (self.values.get_mut(place), self.qualities.get_mut(place)) {
            (*value, *quality) = (flushed(x), 1.0);
        }
    }

    /// One step of every tag's averages; whether every quality is good enough.
    fn update(&mut self, inputs: &[f64], valid: &[f64]) -> bool {
        let (decay, share) = (self.decay, 1.0 - self.decay);
        for ((value, x), valid) in self.values.iter_mut().zip(inputs).zip(valid) {
            let averaged = flushed(decay * *value + share * x);
            *value = if *valid > 0.0 { averaged } else { *value };
        }
        // Counted, not looked for: a search would stop the other lanes.
        let mut poor = 0.0;
        for (quality, valid) in self.qualities.iter_mut().zip(valid) {
            *quality = flushed(decay * *quality + share * valid);
            poor += if *quality > QUALITY_MIN { 0.0 } else { 1.0 };
        }
        poor == 0.0
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
            // A second tag, always there, must not notice the first one's gaps.
            let mut traces = Traces::new(&[(0, SCALE), (1, SCALE)], &DECAYS);
            for x in &history {
                traces.update(&[*x, Some(2.0)]);
            }
            for trace in &traces.decays {
                let (value, quality) = model(&history, trace.decay).unwrap_or((0.0, 0.0));
                prop_assert!((trace.values[0] - value).abs() < 1e-12, "{} != {value}", trace.values[0]);
                prop_assert!((trace.qualities[0] - quality).abs() < 1e-12, "{} != {quality}", trace.qualities[0]);
                prop_assert!((trace.values[1] - 0.5).abs() < 1e-12 && (trace.qualities[1] - 1.0).abs() < 1e-12);
            }
        }
    }

    fn written(traces: &Traces) -> Vec<f32> {
        let mut columns = vec![f32::NAN; traces.len()];
        traces.write(&mut columns);
        columns
    }

    #[test]
    fn the_first_good_sample_makes_all_traces_usable() {
        let mut traces = Traces::new(&[(0, SCALE)], &DECAYS);
        assert!(!traces.update(&[None]));
        assert!(traces.update(&[Some(2.0)]));
        assert_eq!(written(&traces), [0.5; 4]);
    }

    #[test]
    fn a_slow_trace_stays_usable_for_five_missing_samples() {
        let mut traces = Traces::new(&[(0, SCALE)], &[0.95]);
        traces.update(&[Some(2.0)]);
        for _ in 0..5 {
            assert!(traces.update(&[None]));
        }
        assert!(!traces.update(&[None]));
    }

    #[test]
    fn the_columns_go_tag_by_tag() {
        let mut traces = Traces::new(&[(1, SCALE), (0, SCALE)], &[0.0, 0.5]);
        traces.update(&[Some(6.0), Some(-2.0)]);
        traces.update(&[Some(2.0), Some(2.0)]);
        assert_eq!(written(&traces), [0.5, 0.25, 0.5, 0.75]);
    }

    #[test]
    fn a_decaying_trace_ends_at_zero_without_denormals() {
        let mut traces = Traces::new(&[(0, Range { lo: 0.0, hi: 1.0 })], &DECAYS);
        traces.update(&[Some(1.0)]);
        for _ in 0..3_000 {
            traces.update(&[Some(0.0)]);
            assert!(written(&traces).iter().all(|x| *x == 0.0 || x.is_normal()));
        }
        assert_eq!(written(&traces), [0.0; 4]);
    }

    #[test]
    fn what_is_far_outside_is_cut_before_it_lingers() {
        let mut traces = Traces::new(&[(0, SCALE)], &[0.9]);
        traces.update(&[Some(1e300)]);
        assert_eq!(written(&traces), [2.0]);
        traces.update(&[Some(-1e300)]);
        assert!((written(&traces)[0] - 1.7).abs() < 1e-6);
    }
}

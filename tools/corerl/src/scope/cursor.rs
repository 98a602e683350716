//! Two cursors: times in a sweep, relative to its trigger.

use super::acquisition::Sample;
use super::capture::Frame;

/// A sample farther than this many periods from a cursor is not at it.
const REACH_PERIODS: u64 = 2;

/// Times of the two cursors; `None` while one is not shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Cursors {
    /// Nanoseconds after the trigger.
    pub(super) at_ns: [Option<i64>; 2],
}

impl Cursors {
    /// From the first one to the second one, nanoseconds.
    pub(super) fn difference_ns(&self) -> Option<i64> {
        let [a, b] = self.at_ns;
        Some(b? - a?)
    }

    /// The samples between them, both included; all without two of them.
    pub(super) fn between<'a>(&self, frame: &Frame, samples: &'a [Sample]) -> &'a [Sample] {
        let [Some(a), Some(b)] = self.at_ns else { return samples };
        let first = samples.partition_point(|sample| relative_ns(frame, sample) < a.min(b));
        let end = samples.partition_point(|sample| relative_ns(frame, sample) <= a.max(b));
        samples.get(first..end).unwrap_or_default()
    }
}

/// When a sample was taken, nanoseconds after the trigger.
pub(super) fn relative_ns(frame: &Frame, sample: &Sample) -> i64 {
    sample.time_ns.wrapping_sub(frame.trigger_ns).cast_signed()
}

/// The sample nearest to a time; `None` in a gap.
pub(super) fn sample_at<'a>(frame: &Frame, samples: &'a [Sample], at_ns: i64, period_ns: u64) -> Option<&'a Sample> {
    let after = samples.partition_point(|sample| relative_ns(frame, sample) < at_ns);
    let near = [after.checked_sub(1), Some(after)].into_iter().flatten().filter_map(|place| samples.get(place));
    let distance = |sample: &&Sample| relative_ns(frame, sample).abs_diff(at_ns);
    near.min_by_key(distance).filter(|sample| distance(sample) <= period_ns.saturating_mul(REACH_PERIODS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::channel::CHANNELS_MAX;

    const T: u64 = 1_000_000;
    const FRAME: Frame = Frame { span_ns: 100 * T, pre_ns: 20 * T, trigger_ns: 1_000 * T, triggered: true };

    fn samples() -> Vec<Sample> {
        let of = |cycle| Sample { cycle, time_ns: cycle * T, lost: 0, skipped: 0, values: [0.0; CHANNELS_MAX] };
        (980..1010).chain(1050..1080).map(of).collect()
    }

    #[test]
    fn a_cursor_shows_the_nearest_sample_and_none_in_a_gap() {
        let samples = samples();
        let at = |ms: f64| sample_at(&FRAME, &samples, (ms * 1e6) as i64, T).map(|sample| sample.cycle);
        assert_eq!([at(-20.0), at(0.4), at(0.6), at(50.0)], [Some(980), Some(1000), Some(1001), Some(1050)]);
        assert_eq!([at(10.9), at(30.0), at(48.5), at(200.0)], [Some(1009), None, Some(1050), None]);
    }

    #[test]
    fn what_is_measured_lies_between_the_cursors_whichever_is_first() {
        let samples = samples();
        let between = |a, b| {
            let cursors = Cursors { at_ns: [a, b] };
            let found = cursors.between(&FRAME, &samples);
            (found.first().unwrap().cycle, found.last().unwrap().cycle, cursors.difference_ns())
        };
        let ms = |ms: i64| Some(ms * 1_000_000);
        assert_eq!(between(ms(-10), ms(5)), (990, 1005, ms(15)));
        assert_eq!(between(ms(5), ms(-10)), (990, 1005, ms(-15)));
        assert_eq!(between(None, ms(5)), (980, 1079, None));
    }
}

//! Samples as columns of a picture: the lowest and the highest value of each, so that no spike is too short to be seen.

use crate::scope::acquisition::Sample;

/// A part of time that is shown: nanoseconds, and how many columns it has.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) start_ns: f64,
    pub(super) width_ns: f64,
    pub(super) columns: usize,
}

impl Axis {
    /// The column of a time, if it is shown.
    pub(super) fn column(&self, time_ns: f64) -> Option<usize> {
        let column = (time_ns - self.start_ns) / self.width_ns * self.columns as f64;
        (0.0..self.columns as f64).contains(&column).then_some(column as usize)
    }
}

/// What one channel's samples are in one column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Column {
    pub(super) first: f64,
    pub(super) last: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// Between its first value and the one before it nothing is known.
    pub(super) is_cut_off: bool,
}

/// The columns of a channel; `None` where it has no value.
pub(super) fn columns(samples: &[Sample], channel: usize, axis: Axis) -> Vec<Option<Column>> {
    let mut columns = vec![None::<Column>; axis.columns];
    let mut gap = true;
    for sample in samples {
        let value = sample.values[channel];
        gap |= sample.follows_a_gap() || !value.is_finite();
        if !value.is_finite() {
            continue;
        }
        let was_cut_off = std::mem::take(&mut gap);
        let Some(column) = axis.column(sample.time_ns as f64).and_then(|place| columns.get_mut(place)) else {
            continue;
        };
        match column {
            Some(column) => {
                column.last = value;
                (column.min, column.max) = (column.min.min(value), column.max.max(value));
            }
            None => {
                *column = Some(Column { first: value, last: value, min: value, max: value, is_cut_off: was_cut_off })
            }
        }
    }
    columns
}

/// The columns before which records were lost or slots were skipped.
pub(super) fn gaps(samples: &[Sample], axis: Axis) -> Vec<usize> {
    let after_gaps = samples.iter().skip(1).filter(|sample| sample.follows_a_gap());
    let mut columns: Vec<usize> = after_gaps.filter_map(|sample| axis.column(sample.time_ns as f64)).collect();
    columns.dedup();
    columns
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::channel::CHANNELS_MAX;

    const AXIS: Axis = Axis { start_ns: 1000.0, width_ns: 1000.0, columns: 10 };

    fn samples(values: &[(u64, f64)]) -> Vec<Sample> {
        let of =
            |&(time_ns, value)| Sample { cycle: time_ns, time_ns, lost: 0, skipped: 0, values: [value; CHANNELS_MAX] };
        values.iter().map(of).collect()
    }

    #[test]
    fn a_spike_of_one_sample_is_never_lost() {
        for spike in 0..1000 {
            let values: Vec<_> = (0..1000).map(|n| (1000 + n, if n == spike { 9.0 } else { 1.0 })).collect();
            let columns = columns(&samples(&values), 3, AXIS);
            let highest = columns.iter().map(|column| column.unwrap().max).fold(0.0, f64::max);
            assert_eq!((highest, columns[spike as usize / 100].unwrap().max), (9.0, 9.0));
        }
    }

    #[test]
    fn what_is_not_known_is_no_line() {
        let mut samples =
            samples(&[(1000, 1.0), (1100, 2.0), (1200, f64::NAN), (1300, 4.0), (1500, 5.0), (1510, 3.0), (2000, 7.0)]);
        samples[4].lost = 1;
        let columns = columns(&samples, 0, AXIS);
        let cut_off: Vec<_> = columns.iter().map(|column| column.map(|column| column.is_cut_off)).collect();
        assert_eq!(cut_off[..6], [Some(true), Some(false), None, Some(true), None, Some(true)]);
        assert_eq!(
            columns[5].map(|column| (column.first, column.last, column.min, column.max)),
            Some((5.0, 3.0, 3.0, 5.0))
        );
        assert!(columns[6..].iter().all(Option::is_none));
        assert_eq!(gaps(&samples, AXIS), [5]);
    }
}

//! Histograms in the formats that others read.

use std::fmt::Write as _;

use shm::histogram::Snapshot;

use super::tape::Tape;

/// HdrHistogram's steps between a percentile and the one that halves what remains.
const STEPS_PER_HALF: f64 = 5.0;

/// Release lateness in the format of `cyclictest --histfile`: microseconds and counts, totals behind `#`.
pub(super) fn histfile(tape: &Tape) -> String {
    // Writing into a string does not fail, here and below.
    let mut text = "# Histogram\n".to_owned();
    for (us, count) in tape.microseconds.iter().enumerate() {
        let _ = writeln!(text, "{us:06} {count:06}");
    }
    let raw = &tape.lateness.raw;
    let counted: u64 = tape.microseconds.iter().sum();
    let us = |ns: Option<u64>| ns.unwrap_or(0) / 1000;
    let _ = write!(
        text,
        "# Total: {:09}\n# Min Latencies: {:05}\n# Avg Latencies: {:05}\n# Max Latencies: {:05}\n# Histogram Overflows: {:05}\n",
        counted,
        us(raw.min_ns()),
        (raw.mean_ns().unwrap_or(0.0) / 1e3) as u64,
        us(raw.max_ns()),
        raw.count() - counted,
    );
    text
}

/// Percentiles in HdrHistogram's text format, microseconds.
pub(super) fn hgrm(histogram: &Snapshot) -> String {
    let us = |ns: u64| ns as f64 / 1e3;
    let mut text = format!("{:>12} {:>14} {:>10} {:>14}\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
    for share in shares(histogram.count()) {
        let value = histogram.quantile_ns(share).unwrap_or(0);
        let total = histogram.count() - histogram.count_above(value);
        let _ = write!(text, "{:>12.3} {share:>14.12} {total:>10}", us(value));
        let _ = if share < 1.0 { writeln!(text, " {:>14.2}", 1.0 / (1.0 - share)) } else { writeln!(text) };
    }
    let mean = histogram.mean_ns().unwrap_or(0.0);
    let _ = writeln!(
        text,
        "#[Mean    = {:>12.3}, StdDeviation   = {:>12.3}]",
        mean / 1e3,
        deviation(histogram, mean) / 1e3
    );
    let max = us(histogram.max_ns().unwrap_or(0));
    let _ = writeln!(text, "#[Max     = {max:>12.3}, Total count    = {:>12}]", histogram.count());
    let (buckets, parts) = (shm_layout::HISTOGRAM_BUCKETS, shm_layout::HISTOGRAM_SUB_BUCKETS);
    let _ = writeln!(text, "#[Buckets = {:>12}, SubBuckets     = {parts:>12}]", buckets as u64 / parts);
    text
}

/// 0, then so many steps to the half, to three quarters and so on, until one value of `count` remains; then 1.
fn shares(count: u64) -> Vec<f64> {
    let mut shares = Vec::new();
    let mut share = 0.0;
    while (1.0 - share) * count as f64 >= 1.0 {
        shares.push(share);
        let halving = (1.0_f64 / (1.0 - share)).log2().floor().exp2() * 2.0;
        share += 1.0 / (STEPS_PER_HALF * halving);
    }
    shares.push(1.0);
    shares
}

/// The standard deviation, with each value in the middle of its bucket.
fn deviation(histogram: &Snapshot, mean: f64) -> f64 {
    let max = histogram.max_ns().unwrap_or(0);
    let squares = histogram.buckets().map(|(lo, hi, count)| {
        let middle = (lo as f64 + hi.min(max) as f64) / 2.0;
        (middle - mean).powi(2) * count as f64
    });
    (squares.sum::<f64>() / histogram.count().max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rt_core::time::Period;

    fn tape() -> Tape {
        let mut tape = Tape::new(Period::from_ns(1_000_000).unwrap(), 0);
        (0..100).for_each(|us| tape.note(us * 1000, 0, 0));
        tape.note(400_000, 0, 0);
        tape
    }

    #[test]
    fn the_histogram_has_cyclictests_lines() {
        let text = histfile(&tape());
        assert!(text.starts_with("# Histogram\n000000 000001\n000001 000001\n"), "{text}");
        assert!(text.contains("# Total: 000000100\n# Min Latencies: 00000\n"), "{text}");
        assert!(text.ends_with("# Max Latencies: 00400\n# Histogram Overflows: 00001\n"), "{text}");
    }

    #[test]
    fn percentiles_rise_to_one_and_end_with_the_maximum() {
        let text = hgrm(&tape().lateness.corrected);
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|field| field.parse().unwrap()).collect())
            .collect();
        assert!(rows.is_sorted_by(|a, b| a[0] <= b[0] && a[1] < b[1] && a[2] <= b[2]), "{text}");
        assert_eq!((rows[0][1], rows[5][1], rows[10][1]), (0.0, 0.5, 0.75));
        assert_eq!(rows.last().unwrap()[..], [400.0, 1.0, 101.0]);
        assert!(text.contains("#[Max     =      400.000, Total count    =          101]"), "{text}");
    }

    #[test]
    fn an_empty_histogram_has_one_row() {
        assert_eq!(shares(0), [1.0]);
    }
}

//! Histograms as pictures: bars of text, and an SVG file.

use std::fmt::Write as _;

use chart::escaped;
use shm::histogram::Snapshot;

use crate::output::span;

/// Width of the longest bar of text, characters.
const BAR_WIDTH: f64 = 40.0;
/// Size of the drawing and of its margins, pixels.
const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 64.0;
const BOTTOM: f64 = 40.0;
/// The drawing's axis begins here, nanoseconds: below, the clock itself is what one sees.
const AXIS_FROM_NS: f64 = 10.0;
/// Quantiles that the drawing marks.
const MARKS: [(f64, &str); 4] = [(0.5, "p50"), (0.99, "p99"), (0.999, "p99.9"), (1.0, "max")];

/// One bar per octave, as long as the logarithm of its count.
pub(super) fn bars(histogram: &Snapshot) -> String {
    let octaves = octaves(histogram);
    let most = octaves.iter().map(|(_, count)| *count).max().unwrap_or(1);
    let mut text = String::new();
    for (below_ns, count) in octaves {
        let share = (1.0 + count as f64).ln() / (1.0 + most as f64).ln();
        let bar = "#".repeat((share * BAR_WIDTH).ceil() as usize);
        let _ = writeln!(text, "{:>10}  {bar:<40}  {count}", format!("< {}", span(below_ns)));
    }
    text
}

/// Counts between powers of two, each with its upper end, from the first octave with a value to the last.
fn octaves(histogram: &Snapshot) -> Vec<(u64, u64)> {
    let mut octaves: Vec<(u64, u64)> = Vec::new();
    for (lower, _, count) in histogram.buckets() {
        let below = (lower + 1).next_power_of_two().max(64);
        while let Some((last, _)) = octaves.last().copied()
            && last < below
        {
            octaves.push((last * 2, 0));
        }
        match octaves.last_mut() {
            Some(octave) => octave.1 += count,
            None => octaves.push((below, count)),
        }
    }
    octaves
}

/// The histogram with logarithmic axes and its quantiles marked.
pub(super) fn svg(title: &str, subtitle: &str, histogram: &Snapshot) -> String {
    let to = (histogram.max_ns().unwrap_or(0) as f64 * 1.2).max(AXIS_FROM_NS * 100.0);
    let x = |ns: f64| {
        let share = (ns.max(AXIS_FROM_NS) / AXIS_FROM_NS).ln() / (to / AXIS_FROM_NS).ln();
        LEFT + share * (WIDTH - LEFT - RIGHT)
    };
    let most = histogram.buckets().map(|(_, _, count)| count).max().unwrap_or(1);
    let y = |count: f64| HEIGHT - BOTTOM - (1.0 + count).ln() / (1.0 + most as f64).ln() * (HEIGHT - TOP - BOTTOM);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"15\">{}</text>\n<text x=\"{LEFT}\" y=\"38\" fill=\"#555\">{}</text>\n",
        escaped(title),
        escaped(subtitle)
    );
    for (lower, upper, count) in histogram.buckets() {
        let (from, end) = (x(lower as f64), x(upper as f64 + 1.0));
        let top = y(count as f64);
        let (width, height) = ((end - from).max(1.0), HEIGHT - BOTTOM - top);
        let _ = writeln!(
            svg,
            "<rect x=\"{from:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"#2a6f97\"/>"
        );
    }
    for decade in (1..).map(|power| 10_f64.powi(power)).take_while(|ns| *ns <= to) {
        let (at, base) = (x(decade), HEIGHT - BOTTOM);
        let label = span(decade as u64);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {base}v5\" stroke=\"#555\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            base + 20.0
        );
    }
    for decade in (0..).map(|power| 10_u64.pow(power)).take_while(|count| *count <= most) {
        let at = y(decade as f64);
        let _ = writeln!(svg, "<text x=\"{:.1}\" y=\"{at:.1}\" text-anchor=\"end\">{decade}</text>", LEFT - 6.0);
    }
    for (place, (share, name)) in MARKS.into_iter().enumerate() {
        let Some(ns) = histogram.quantile_ns(share) else { continue };
        let (at, height) = (x(ns as f64), TOP - 12.0 + 14.0 * place as f64);
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {height:.1}V{:.1}\" stroke=\"#c1121f\" stroke-dasharray=\"3 3\"/>\
             <text x=\"{:.1}\" y=\"{height:.1}\" fill=\"#c1121f\" text-anchor=\"end\">{name} {}</text>",
            HEIGHT - BOTTOM,
            at - 4.0,
            span(ns)
        );
    }
    let _ = writeln!(svg, "<path d=\"M{LEFT} {0}H{1}\" stroke=\"#555\"/>\n</svg>", HEIGHT - BOTTOM, WIDTH - RIGHT);
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[u64]) -> Snapshot {
        let mut histogram = Snapshot::default();
        values.iter().for_each(|value| histogram.record(*value));
        histogram
    }

    #[test]
    fn octaves_hold_every_value_once_and_have_no_holes() {
        let octaves = octaves(&histogram(&[0, 5, 63, 64, 100, 1000, 1000]));
        assert_eq!(octaves, [(64, 3), (128, 2), (256, 0), (512, 0), (1024, 2)]);
        assert!(super::octaves(&Snapshot::default()).is_empty());
    }

    #[test]
    fn a_bar_of_text_names_its_octave_and_count() {
        let text = bars(&histogram(&[70, 80, 90]));
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("< 128 ns") && text.trim_end().ends_with('3'), "{text}");
    }

    #[test]
    fn a_drawing_has_a_bar_per_bucket_and_escapes_its_titles() {
        let text = svg("a < b", "c & d", &histogram(&[50, 900, 30_000]));
        assert_eq!(text.matches("fill=\"#2a6f97\"").count(), 3);
        assert!(text.contains("a &lt; b") && text.contains("c &amp; d") && text.trim_end().ends_with("</svg>"));
        assert!(svg("", "", &Snapshot::default()).contains("</svg>"));
    }
}

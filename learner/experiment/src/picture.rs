//! Learning curves as an SVG file.

use std::fmt::Write as _;

use crate::report::{Report, median};

/// Size of the drawing and of its margins, pixels.
const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 36.0;
/// Lines of the grid.
const TICKS: u32 = 5;

/// From steps and rewards to pixels.
struct Frame {
    steps: f64,
    low: f64,
    high: f64,
}

impl Frame {
    fn of(report: &Report) -> Self {
        let values = report.seeds.iter().flat_map(|score| score.curve.iter().copied());
        let all: Vec<f64> = values.chain(report.reference).filter(|value| value.is_finite()).collect();
        let low = all.iter().copied().fold(f64::INFINITY, f64::min);
        let high = all.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // A curve that is flat still has a height.
        let room = ((high - low) * 0.05).max(1e-6);
        Self { steps: report.steps.max(1) as f64, low: low - room, high: high + room }
    }

    fn x(&self, step: f64) -> f64 {
        LEFT + step / self.steps * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, reward: f64) -> f64 {
        TOP + (self.high - reward) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(&self, svg: &mut String) {
        for tick in 0..=TICKS {
            let share = f64::from(tick) / f64::from(TICKS);
            let (reward, step) = (self.low + share * (self.high - self.low), share * self.steps);
            let (x, y) = (self.x(step), self.y(reward));
            let (right, below) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
            let _ = writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#ccc\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{reward:.3}</text>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{step:.0}</text>",
                LEFT - 6.0,
                y + 4.0,
                below + 18.0
            );
        }
    }

    fn line(&self, svg: &mut String, report: &Report, curve: &[f64], style: &str) {
        let points = curve.iter().enumerate().filter(|(_, value)| value.is_finite());
        let points: Vec<_> = points
            .map(|(point, value)| format!("{:.1},{:.1}", self.x(report.step_of(point) as f64), self.y(*value)))
            .collect();
        let _ = writeln!(svg, "<polyline fill=\"none\" {style} points=\"{}\"/>", points.join(" "));
    }
}

/// The curves of all seeds, their median, and the reference.
#[must_use]
pub fn picture(report: &Report) -> String {
    let frame = Frame::of(report);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}: reward over {} steps, {} seeds, median of the last 100: {:.4}\
         </text>\n",
        report.case,
        report.steps,
        report.seeds.len(),
        report.median
    );
    frame.grid(&mut svg);
    if let Some(reference) = report.reference {
        let (y, right) = (frame.y(reference), WIDTH - RIGHT);
        let _ = writeln!(
            svg,
            "<line x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right}\" y2=\"{y:.1}\" stroke=\"#b30000\" stroke-dasharray=\"6 4\"/>"
        );
    }
    for score in &report.seeds {
        frame.line(&mut svg, report, &score.curve, "stroke=\"#3b7dd8\" stroke-opacity=\"0.35\"");
    }
    frame.line(&mut svg, report, &medians(report), "stroke=\"#123a75\" stroke-width=\"2\"");
    svg + "</svg>\n"
}

/// The median of all curves at each point.
fn medians(report: &Report) -> Vec<f64> {
    let points = report.seeds.iter().map(|score| score.curve.len()).max().unwrap_or(0);
    let at = |point: usize| {
        let mut values: Vec<f64> = report.seeds.iter().filter_map(|score| score.curve.get(point).copied()).collect();
        values.sort_by(f64::total_cmp);
        median(&values)
    };
    (0..points).map(at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn a_picture_has_a_line_for_each_seed_and_one_for_their_median_all_inside() {
        let svg = picture(&report("a", &[-0.1, -0.2, -0.4]));
        assert_eq!(svg.matches("<polyline").count(), 4);
        let numbers = svg.split("points=\"").skip(1).flat_map(|rest| rest[..rest.find('"').unwrap()].split([' ', ',']));
        let numbers: Vec<f64> = numbers.map(|number| number.parse().unwrap()).collect();
        assert!(numbers.chunks(2).all(|at| (0.0..=WIDTH).contains(&at[0]) && (0.0..=HEIGHT).contains(&at[1])));
        assert!(svg.contains("stroke-dasharray"), "the reference");
    }

    #[test]
    fn a_curve_that_is_flat_or_empty_is_drawn_all_the_same() {
        assert!(!picture(&report("a", &[0.0])).contains("NaN"));
        let empty = Report { seeds: Vec::new(), reference: Some(0.0), ..report("a", &[0.0]) };
        assert!(picture(&empty).ends_with("</svg>\n"));
    }
}

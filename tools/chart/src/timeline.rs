//! States over time, as a strip of colours.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{LEFT, RIGHT, Scale, WIDTH, X_PIXELS, draw_tick_below, escaped, nothing, number, ticks};

/// Height of the strip, and of the whole drawing, pixels.
const STRIP: f64 = 30.0;
const HEIGHT: f64 = 74.0;
/// Colours in the style sheet: classes `fill0` to `fill5`.
const COLOURS: usize = 6;

/// A span of time in one state.
#[derive(Debug, Clone)]
pub struct Span {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Number of its colour, from 0.
    pub colour: usize,
    /// The state's name.
    pub name: String,
}

/// States over a common x axis.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// What the x axis shows, with its unit.
    pub x_label: String,
    /// The states, by rising x.
    pub spans: Vec<Span>,
    /// Vertical marks: x and a text that shows when the pointer rests on it.
    pub marks: Vec<(f64, String)>,
}

impl Timeline {
    /// The strip as an `<svg>` element with its legend; a sentence instead when there is nothing to show.
    #[must_use]
    pub fn render(&self) -> String {
        let (Some(first), Some(last)) = (self.spans.first(), self.spans.last()) else { return nothing() };
        let to = if last.to > first.from { last.to } else { first.from + 1.0 };
        let x = Scale { from: first.from, to, pixels: X_PIXELS };
        let mut svg = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"states over {label}\">\n\
             <text class=\"label\" x=\"{}\" y=\"{}\" text-anchor=\"middle\">{label}</text>\n",
            LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
            HEIGHT - 6.0,
            label = escaped(&self.x_label),
        );
        for Span { from, to, colour, name } in &self.spans {
            let (left, right) = (x.at(*from), x.at(*to));
            // However short it was, it is seen.
            let _ = writeln!(
                svg,
                "<rect class=\"fill{}\" x=\"{left:.1}\" y=\"4\" width=\"{:.1}\" height=\"{STRIP}\"><title>{}: {} to {}</title></rect>",
                colour % COLOURS,
                (right - left).max(1.0),
                escaped(name),
                number(*from),
                number(*to)
            );
        }
        for (at, text) in self.marks.iter().filter(|(at, _)| (x.from..=x.to).contains(at)) {
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{STRIP}\"><title>{}</title></line>",
                escaped(text),
                at = x.at(*at),
            );
        }
        for tick in ticks(&x) {
            draw_tick_below(&mut svg, x.at(tick), 4.0 + STRIP, &number(tick));
        }
        svg + "</svg>\n" + &self.legend()
    }

    fn legend(&self) -> String {
        let states: BTreeMap<_, _> = self.spans.iter().map(|span| (span.colour, &span.name)).collect();
        let mut html = String::from("<p class=\"legend\">");
        for (colour, name) in states {
            let _ = write!(
                html,
                "<svg viewBox=\"0 0 10 10\" style=\"width:.8em;height:.8em\"><rect class=\"fill{}\" width=\"10\" height=\"10\"/></svg> {} ",
                colour % COLOURS,
                escaped(name)
            );
        }
        html + "</p>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_is_seen_however_short_and_its_name_is_in_the_legend_once() {
        let span = |from, to, colour, name: &str| Span { from, to, colour, name: name.to_owned() };
        let spans = vec![span(0.0, 500.0, 2, "run"), span(500.0, 500.0, 4, "<fallback>"), span(500.0, 900.0, 2, "run")];
        let marks = vec![(500.0, "a <fault>".to_owned()), (901.0, "outside".to_owned())];
        let html = Timeline { x_label: "s".to_owned(), spans, marks }.render();
        let (strip, legend) = html.split_once("</svg>").unwrap();
        assert_eq!(strip.matches("<rect").count(), 3);
        assert!(strip.contains("a &lt;fault&gt;") && !strip.contains("outside"), "{html}");
        assert!(strip.contains("width=\"1.0\"") && legend.contains("&lt;fallback&gt;"), "{html}");
        assert_eq!(legend.matches("<rect").count(), 2);
        assert!(Timeline::default().render().contains("Nothing was recorded"));
    }

    #[test]
    fn a_single_instant_is_a_strip_too() {
        let spans = vec![Span { from: 3.0, to: 3.0, colour: 0, name: "startup".to_owned() }];
        let html = Timeline { x_label: "s".to_owned(), spans, marks: Vec::new() }.render();
        assert!(!html.contains("NaN") && !html.contains("inf"), "{html}");
    }
}

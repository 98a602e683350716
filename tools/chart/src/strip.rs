//! States over time: a bar with a colour for each state.

use std::fmt::Write as _;

use crate::{Scale, X_PIXELS, escaped, nothing, number, ticks};

/// Size of a strip, pixels.
const HEIGHT: f64 = 74.0;
const TOP: f64 = 6.0;
const BAR: f64 = 26.0;
const AXIS: f64 = 15.0;

/// A stretch of time in one state.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// Begin and end on the x axis.
    pub from: f64,
    /// Its end.
    pub to: f64,
    /// The state's name.
    pub name: String,
    /// Class in the style sheet: `c0` to `c5`.
    pub class: String,
}

/// A bar of states over a common x axis, for what has no value but a name.
#[derive(Debug, Clone, Default)]
pub struct Strip {
    /// What the x axis shows, with its unit.
    pub x_label: String,
    /// The stretches, by rising x.
    pub stretches: Vec<Stretch>,
    /// Vertical marks: x and a text that shows when the pointer rests on it.
    pub marks: Vec<(f64, String)>,
}

impl Strip {
    /// The strip as an `<svg>` element with its legend; a sentence instead when there is nothing to show.
    #[must_use]
    pub fn render(&self) -> String {
        let (Some(first), Some(last)) = (self.stretches.first(), self.stretches.last()) else { return nothing() };
        let x = Scale { from: first.from, to: last.to.max(first.from + f64::EPSILON), pixels: X_PIXELS };
        let width = X_PIXELS.1 + crate::RIGHT;
        let mut svg = format!(
            "<svg viewBox=\"0 0 {width} {HEIGHT}\" role=\"img\" aria-label=\"states over {}\">\n",
            escaped(&self.x_label)
        );
        for Stretch { from, to, name, class } in &self.stretches {
            let (left, right) = (x.at(*from), x.at(*to));
            let _ = writeln!(
                svg,
                "<rect class=\"{class}\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{BAR}\"><title>{}</title></rect>",
                (right - left).max(0.5),
                escaped(name)
            );
        }
        for (at, text) in self.marks.iter().filter(|(at, _)| (x.from..=x.to).contains(at)) {
            let at = x.at(*at);
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"0\" y2=\"{:.1}\"><title>{}</title></line>",
                TOP + BAR + 4.0,
                escaped(text)
            );
        }
        let middle = f64::midpoint(X_PIXELS.0, X_PIXELS.1);
        for tick in ticks(&x) {
            let (at, text) = (x.at(tick), number(tick));
            let _ = writeln!(
                svg,
                "<text class=\"tick\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
                TOP + BAR + AXIS
            );
        }
        let label = escaped(&self.x_label);
        let _ = writeln!(
            svg,
            "<text class=\"label\" x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
            HEIGHT - 6.0
        );
        svg + "</svg>\n" + &self.legend()
    }

    /// Each state once, in the order in which they come.
    fn legend(&self) -> String {
        let mut known: Vec<&str> = Vec::new();
        let mut html = String::from("<p class=\"legend\">");
        for Stretch { name, class, .. } in &self.stretches {
            if !known.contains(&name.as_str()) {
                known.push(name);
                let _ = write!(html, "<span class=\"{class}\">\u{25a0}</span> {} ", escaped(name));
            }
        }
        html + "</p>\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_has_a_bar_for_each_stretch_and_each_state_once_in_its_legend() {
        let stretch = |from, to, name: &str, class: &str| Stretch { from, to, name: name.into(), class: class.into() };
        let strip = Strip {
            x_label: "time, s".to_owned(),
            stretches: vec![
                stretch(0.0, 1.0, "run", "c2"),
                stretch(1.0, 2.0, "hold", "c1"),
                stretch(2.0, 3.0, "run", "c2"),
            ],
            marks: vec![(1.0, "a <fault>".to_owned()), (9.0, "outside".to_owned())],
        };
        let svg = strip.render();
        assert_eq!(svg.matches("<rect").count(), 3);
        assert_eq!(svg.matches("<span").count(), 2);
        assert!(svg.contains("a &lt;fault&gt;") && !svg.contains("outside") && !svg.contains("NaN"), "{svg}");
        assert!(Strip::default().render().contains("Nothing was recorded"));
    }
}

//! Line charts and histograms as SVG, inside a page that needs nothing from elsewhere, or as a file of its own. Colours come
//! from a style sheet that goes with them, so that light and dark both work.
#![forbid(unsafe_code)]

mod thinning;
mod timeline;

use std::fmt::Write as _;

use thinning::thinned;
pub use timeline::{Span, Timeline};

/// Size of a chart and of its margins, pixels.
const WIDTH: f64 = 880.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 44.0;
/// Room for a file's title, and for a line of its legend, pixels.
const TITLE_HEIGHT: f64 = 24.0;
const LEGEND_HEIGHT: f64 = 18.0;
/// Characters that a line of a file's legend has room for.
const LEGEND_WIDTH: usize = 110;

/// Colours in the style sheet: classes `c0` to `c5`.
pub const COLOURS: usize = 6;
const STYLE: &str = "\
:root { color-scheme: light dark; --ground: #fff; --text: #1c2126; --faint: #8a939c; --grid: #e3e6e9;
  --c0: #1f6feb; --c1: #d1570a; --c2: #188038; --c3: #a142d4; --c4: #b3261e; --c5: #00798c; --mark: #6b7680; }
@media (prefers-color-scheme: dark) { :root { --ground: #15181b; --text: #e4e7ea; --faint: #87909a; --grid: #2b3035;
  --c0: #6ea8ff; --c1: #ff9d5c; --c2: #6fd08c; --c3: #d39bf0; --c4: #ff8a80; --c5: #4dd0e1; --mark: #a0a9b2; } }
body { background: var(--ground); color: var(--text); font: 15px/1.45 system-ui, sans-serif; max-width: 920px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.4em; } h2 { font-size: 1.05em; margin: 1.8em 0 .3em; }
table { border-collapse: collapse; } td { padding: .15em 1em .15em 0; vertical-align: top; } td:first-child { color: var(--faint); }
body svg { width: 100%; height: auto; } svg text { fill: var(--text); font-size: 12px; } svg text.tick { fill: var(--faint); font-size: 11px; }
polyline { fill: none; stroke-width: 1.4; } .grid { stroke: var(--grid); } line.mark { stroke: var(--mark); stroke-dasharray: 2 3; }
.bar { fill: var(--c0); }
.legend { margin: 0; color: var(--faint); font-size: 13px; } span.mark { color: var(--mark); }
polyline.c0 { stroke: var(--c0); } polyline.c1 { stroke: var(--c1); } polyline.c2 { stroke: var(--c2); }
polyline.c3 { stroke: var(--c3); } polyline.c4 { stroke: var(--c4); } polyline.c5 { stroke: var(--c5); }
span.c0 { color: var(--c0); } span.c1 { color: var(--c1); } span.c2 { color: var(--c2); }
span.c3 { color: var(--c3); } span.c4 { color: var(--c4); } span.c5 { color: var(--c5); }
tspan.c0 { fill: var(--c0); } tspan.c1 { fill: var(--c1); } tspan.c2 { fill: var(--c2); }
tspan.c3 { fill: var(--c3); } tspan.c4 { fill: var(--c4); } tspan.c5 { fill: var(--c5); }
.faint { opacity: .35; } polyline { stroke-linecap: round; stroke-linejoin: round; }
line.level { stroke-width: 1; stroke-dasharray: 6 4; } line.limit { stroke: var(--mark); } line.yellow { stroke: #b58900; } line.red { stroke: #c1121f; }
.fill0 { fill: var(--faint); } .fill1 { fill: var(--c5); } .fill2 { fill: var(--c2); } .fill3 { fill: #b58900; } .fill4 { fill: var(--c4); } .fill5 { fill: var(--c3); }
@media print { :root { --ground: #fff; --text: #000; --faint: #555; --grid: #ddd; } body { max-width: none; margin: 0; font-size: 11px; }
  svg, tr { break-inside: avoid; } h2, h3 { break-after: avoid; } }
";

/// Ticks aimed at on an axis.
const TICKS: f64 = 6.0;

/// Width of a column of the picture that has at most four points of each line, pixels.
const COLUMN: f64 = 2.0;

/// A line of a chart.
#[derive(Debug, Clone)]
pub struct Line {
    /// For the legend.
    pub name: String,
    /// Class in the style sheet: `c0` to `c5`, or with `faint`.
    pub class: String,
    /// The points, by rising x, two of one x for a step; one that is not finite interrupts the line.
    pub points: Vec<(f64, f64)>,
}

/// A horizontal line at a value that matters.
#[derive(Debug, Clone)]
pub struct Level {
    /// Where.
    pub y: f64,
    /// A text that shows when the pointer rests on it.
    pub name: String,
    /// Class in the style sheet: `limit`, `yellow` or `red`.
    pub class: &'static str,
}

/// An x axis that has more to say than the lines: which part is asked for, and what its places are called.
#[derive(Debug, Clone)]
pub struct Axis {
    /// Where it begins.
    pub from: f64,
    /// Where it ends, after its beginning.
    pub to: f64,
    /// Places on it with their names, by rising x.
    pub ticks: Vec<(f64, String)>,
}

/// A chart of lines over a common x axis.
#[derive(Debug, Clone, Default)]
pub struct LineChart {
    /// What the x axis shows, with its unit.
    pub x_label: String,
    /// The x axis; without one it goes from the first point to the last one, and has round numbers.
    pub x_axis: Option<Axis>,
    /// What the y axis shows, with its unit.
    pub y_label: String,
    /// The lines, the first one at the bottom.
    pub lines: Vec<Line>,
    /// Vertical marks: x and a text that shows when the pointer rests on it.
    pub marks: Vec<(f64, String)>,
    /// What the marks are, for the legend.
    pub marks_name: String,
    /// Values that matter; one that is far from every line is left out, so that the lines can be seen.
    pub levels: Vec<Level>,
}

/// A histogram with logarithmic axes.
#[derive(Debug, Clone, Default)]
pub struct Bars {
    /// What the x axis shows, with its unit.
    pub x_label: String,
    /// What the y axis shows, with its unit.
    pub y_label: String,
    /// Lower end (above 0), upper end and count of each bar, by rising x; empty ones are left out.
    pub bars: Vec<(f64, f64, u64)>,
}

/// Maps values to pixels.
#[derive(Debug, Clone, Copy)]
struct Scale {
    from: f64,
    to: f64,
    pixels: (f64, f64),
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let (first, last) = self.pixels;
        first + (value - self.from) / (self.to - self.from) * (last - first)
    }
}

const X_PIXELS: (f64, f64) = (LEFT, WIDTH - RIGHT);
const Y_PIXELS: (f64, f64) = (HEIGHT - BOTTOM, TOP);

impl LineChart {
    /// The chart as an `<svg>` element with its legend; a sentence instead when there is nothing to show.
    #[must_use]
    pub fn render(&self) -> String {
        self.drawing().map_or_else(nothing, |svg| svg + &self.legend())
    }

    /// The chart as an SVG file with a title and, if there are several lines, a legend; without lines when there is nothing to
    /// show.
    #[must_use]
    pub fn file(&self, title: &str) -> String {
        let drawing = self.drawing().unwrap_or_else(|| open(&self.x_label, &self.y_label) + "</svg>\n");
        let (legend, top) = self.legend_of_file();
        let inside = format!("<svg y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\"");
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" \
             style=\"background: var(--ground)\">\n<style>\n{STYLE}</style>\n<text x=\"{LEFT}\" y=\"20\">{}</text>\n{legend}{}</svg>\n",
            HEIGHT + top,
            escaped(title),
            drawing.replacen("<svg", &inside, 1)
        )
    }

    /// The names of several lines in as many rows as they need, and where the rows end.
    fn legend_of_file(&self) -> (String, f64) {
        let (mut svg, mut bottom, mut left) = (String::new(), TITLE_HEIGHT, 0);
        for Line { name, class, .. } in self.lines.iter().filter(|_| self.lines.len() > 1) {
            let width = name.chars().count() + 4;
            if svg.is_empty() || left + width > LEGEND_WIDTH {
                svg += if svg.is_empty() { "" } else { "</text>\n" };
                bottom += LEGEND_HEIGHT;
                left = 0;
                let _ = write!(svg, "<text class=\"legend\" x=\"{LEFT}\" y=\"{}\">", bottom - 4.0);
            }
            left += width;
            let _ = write!(svg, "<tspan class=\"{class}\">\u{25a0}</tspan> {}\u{a0}\u{a0} ", escaped(name));
        }
        (if svg.is_empty() { svg } else { svg + "</text>\n" }, bottom)
    }

    fn drawing(&self) -> Option<String> {
        let finite = || self.lines.iter().flat_map(|line| &line.points).filter(|(x, y)| x.is_finite() && y.is_finite());
        let seen = extent(finite().map(|p| p.0))?;
        let (x_from, x_to) = self.x_axis.as_ref().map_or(seen, |axis| (axis.from, axis.to));
        let (y_from, y_to) = extent(finite().map(|p| p.1))?;
        let height = y_to - y_from;
        let near = |level: &&Level| (y_from - height..=y_to + height).contains(&level.y);
        let levels: Vec<_> = self.levels.iter().filter(near).collect();
        let (y_from, y_to) = levels.iter().fold((y_from, y_to), |(lo, hi), level| (lo.min(level.y), hi.max(level.y)));
        let margin = 0.05 * (y_to - y_from);
        let x = Scale { from: x_from, to: x_to, pixels: X_PIXELS };
        let y = Scale { from: y_from - margin, to: y_to + margin, pixels: Y_PIXELS };
        let mut svg = open(&self.x_label, &self.y_label);
        match &self.x_axis {
            Some(axis) => axis.ticks.iter().for_each(|(at, text)| draw_tick(&mut svg, x.at(*at), &escaped(text), true)),
            None => linear_axis(&mut svg, &x, true),
        }
        linear_axis(&mut svg, &y, false);
        levels.iter().for_each(|level| draw_level(&mut svg, y.at(level.y), level));
        for (at, text) in self.marks.iter().filter(|(at, _)| (x_from..=x_to).contains(at)) {
            draw_mark(&mut svg, x.at(*at), text);
        }
        self.lines.iter().for_each(|line| draw_line(&mut svg, line, &x, &y));
        Some(svg + "</svg>\n")
    }

    fn legend(&self) -> String {
        let mut html = String::from("<p class=\"legend\">");
        for line in &self.lines {
            let _ = write!(html, "<span class=\"{}\">\u{25a0}</span> {} ", line.class, escaped(&line.name));
        }
        if !self.marks.is_empty() {
            let _ = write!(html, "<span class=\"mark\">\u{2502}</span> {}", escaped(&self.marks_name));
        }
        html + "</p>\n"
    }
}

impl Bars {
    /// The histogram as an `<svg>` element; a sentence instead when there is nothing to show.
    #[must_use]
    pub fn render(&self) -> String {
        let bars: Vec<_> = self.bars.iter().filter(|(from, _, count)| *count > 0 && *from > 0.0).collect();
        let Some((x_from, _)) = extent(bars.iter().map(|bar| bar.0)) else {
            return nothing();
        };
        let x_to = bars.iter().map(|bar| bar.1).fold(x_from, f64::max);
        let count_max = bars.iter().map(|bar| bar.2).max().unwrap_or(1) as f64;
        let x = Scale {
            from: x_from.log10().floor(),
            to: x_to.log10().ceil().max(x_from.log10().floor() + 1.0),
            pixels: X_PIXELS,
        };
        // A count of one is a bar that can be seen: the axis begins below it.
        let y = Scale { from: -0.3, to: count_max.log10().max(1.0) + 0.1, pixels: Y_PIXELS };
        let mut svg = open(&self.x_label, &self.y_label);
        logarithmic_axis(&mut svg, &x, true);
        logarithmic_axis(&mut svg, &y, false);
        for (from, to, count) in bars {
            let (left, right) = (x.at(from.log10()), x.at(to.log10()));
            let top = y.at((*count as f64).log10());
            let _ = writeln!(
                svg,
                "<rect class=\"bar\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{} to {}: {count}</title></rect>",
                (right - left).max(1.0),
                Y_PIXELS.0 - top,
                number(*from),
                number(*to)
            );
        }
        svg + "</svg>\n"
    }
}

fn draw_level(svg: &mut String, at: f64, level: &Level) {
    let (left, right) = X_PIXELS;
    let _ = writeln!(
        svg,
        "<line class=\"level {}\" x1=\"{left}\" x2=\"{right}\" y1=\"{at:.1}\" y2=\"{at:.1}\"><title>{}</title></line>",
        level.class,
        escaped(&level.name)
    );
}

fn draw_mark(svg: &mut String, at: f64, text: &str) {
    let _ = writeln!(
        svg,
        "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"><title>{}</title></line>",
        Y_PIXELS.0,
        escaped(text)
    );
}

/// One polyline for each part between values that are missing.
fn draw_line(svg: &mut String, line: &Line, x: &Scale, y: &Scale) {
    let parts = line.points.split(|(x, y)| !x.is_finite() || !y.is_finite()).filter(|part| !part.is_empty());
    for part in parts {
        let points = thinned(part, |px| (x.at(px) / COLUMN) as i64);
        // A single point is a line from itself to itself, or nobody would see it.
        let points = points.iter().chain(points.first().filter(|_| points.len() == 1));
        let path: Vec<_> = points.map(|(px, py)| format!("{:.1},{:.1}", x.at(*px), y.at(*py))).collect();
        let _ = writeln!(svg, "<polyline class=\"{}\" points=\"{}\"/>", line.class, path.join(" "));
    }
}

fn nothing() -> String {
    "<p class=\"nothing\">Nothing was recorded.</p>\n".to_owned()
}

/// Opens the element, with the labels of both axes.
fn open(x_label: &str, y_label: &str) -> String {
    let middle_x = (X_PIXELS.0 + X_PIXELS.1) / 2.0;
    let middle_y = (Y_PIXELS.0 + Y_PIXELS.1) / 2.0;
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{y} over {x}\">\n\
         <text class=\"label\" x=\"{middle_x}\" y=\"{}\" text-anchor=\"middle\">{x}</text>\n\
         <text class=\"label\" transform=\"translate(14 {middle_y}) rotate(-90)\" text-anchor=\"middle\">{y}</text>\n",
        HEIGHT - 8.0,
        x = escaped(x_label),
        y = escaped(y_label),
    )
}

fn linear_axis(svg: &mut String, scale: &Scale, is_x: bool) {
    let ticks = ticks(scale);
    for (tick, text) in ticks.iter().zip(names(&ticks)) {
        draw_tick(svg, scale.at(*tick), &text, is_x);
    }
}

/// Round values inside the scale.
fn ticks(scale: &Scale) -> Vec<f64> {
    let step = tick_step((scale.to - scale.from) / TICKS);
    let first = (scale.from / step).ceil();
    let mut ticks = Vec::new();
    while (first + ticks.len() as f64) * step <= scale.to + 1e-9 * step {
        ticks.push((first + ticks.len() as f64) * step);
    }
    ticks
}

/// What the places of an axis are called: short, but none as another.
fn names(ticks: &[f64]) -> Vec<String> {
    let short: Vec<_> = ticks.iter().copied().map(number).collect();
    if short.windows(2).all(|pair| pair[0] != pair[1]) {
        return short;
    }
    let step = ticks.windows(2).map(|pair| pair[1] - pair[0]).fold(f64::INFINITY, f64::min);
    let digits = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
    ticks.iter().map(|tick| format!("{tick:.digits$}")).collect()
}

fn logarithmic_axis(svg: &mut String, scale: &Scale, is_x: bool) {
    let mut decade = scale.from.ceil();
    while decade <= scale.to {
        draw_tick(svg, scale.at(decade), &number(10_f64.powf(decade)), is_x);
        decade += 1.0;
    }
}

fn draw_tick(svg: &mut String, at: f64, text: &str, is_x: bool) {
    let _ = if is_x {
        writeln!(
            svg,
            "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{}\" y2=\"{}\"/>\
             <text class=\"tick\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
            Y_PIXELS.0,
            Y_PIXELS.1,
            Y_PIXELS.0 + 15.0
        )
    } else {
        writeln!(
            svg,
            "<line class=\"grid\" y1=\"{at:.1}\" y2=\"{at:.1}\" x1=\"{}\" x2=\"{}\"/>\
             <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>",
            X_PIXELS.0,
            X_PIXELS.1,
            X_PIXELS.0 - 6.0,
            at + 4.0
        )
    };
}

/// A tick of an axis that has no grid.
fn draw_tick_below(svg: &mut String, at: f64, top: f64, text: &str) {
    let _ = writeln!(
        svg,
        "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{}\"/>\
         <text class=\"tick\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{text}</text>",
        top + 4.0,
        top + 17.0
    );
}

/// The nearest of 1, 2, 5 times a power of ten that is not smaller.
fn tick_step(raw: f64) -> f64 {
    let magnitude = 10_f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(10.0 * magnitude)
}

/// Lowest and highest value, apart; `None` when there is none.
fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (lo, hi) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), value| (lo.min(value), hi.max(value)));
    match (lo <= hi, lo < hi) {
        (false, _) => None,
        (true, true) => Some((lo, hi)),
        (true, false) => Some((lo - 0.5, hi + 0.5)),
    }
}

/// A number for an axis, without needless digits.
fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let size = value.abs();
    if !(1e-4..1e6).contains(&size) {
        return format!("{value:.0e}");
    }
    let digits = (3.0 - size.log10().floor()).clamp(0.0, 6.0) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A page that needs nothing from elsewhere, readable in light and dark.
#[must_use]
pub fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}</body>\n</html>\n",
        title = escaped(title),
    )
}

/// Text for HTML.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>) -> LineChart {
        LineChart {
            x_label: "time, s".to_owned(),
            y_label: "reward <1>".to_owned(),
            lines: vec![Line { name: "a & b".to_owned(), class: "c0".to_owned(), points }],
            marks: vec![(0.5, "generation 1".to_owned()), (99.0, "outside".to_owned())],
            marks_name: "policy adopted".to_owned(),
            ..LineChart::default()
        }
    }

    #[test]
    fn a_chart_has_labels_ticks_its_line_and_the_marks_inside() {
        let svg = chart(vec![(0.0, 1.0), (1.0, 2.0)]).render();
        assert!(svg.contains("time, s") && svg.contains("reward &lt;1&gt;") && svg.contains("a &amp; b"));
        assert!(svg.contains("generation 1") && !svg.contains("outside"));
        assert_eq!(svg.matches("<polyline").count(), 1);
        assert!(svg.matches("class=\"tick\"").count() >= 8);
    }

    #[test]
    fn values_that_are_missing_never_reach_the_picture() {
        let svg = chart(vec![(0.0, f64::NAN), (0.2, 1.0), (1.0, f64::INFINITY)]).render();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(chart(vec![(0.0, f64::NAN)]).render().contains("Nothing was recorded"));
        assert!(chart(vec![]).render().contains("Nothing was recorded"));
    }

    #[test]
    fn a_line_is_interrupted_where_values_are_missing_and_a_lonely_value_is_seen() {
        let svg = chart(vec![(0.0, 1.0), (1.0, 2.0), (2.0, f64::NAN), (3.0, 2.0)]).render();
        assert_eq!(svg.matches("<polyline").count(), 2);
        let lonely = svg.rsplit("points=\"").next().unwrap().split('"').next().unwrap();
        assert_eq!(lonely.split(' ').count(), 2, "{lonely}");
    }

    #[test]
    fn levels_near_the_lines_are_drawn_and_far_ones_do_not_flatten_them() {
        let level = |y: f64, class| Level { y, name: format!("limit < {y}"), class };
        let levels = vec![level(2.5, "limit"), level(1000.0, "red")];
        let svg = LineChart { levels, ..chart(vec![(0.0, 1.0), (1.0, 2.0)]) }.render();
        assert_eq!(svg.matches("class=\"level").count(), 1);
        assert!(svg.contains("level limit") && svg.contains("limit &lt; 2.5"));
    }

    #[test]
    fn a_constant_line_is_drawn_in_the_middle() {
        let svg = chart(vec![(0.0, 3.0), (1.0, 3.0)]).render();
        assert!(!svg.contains("NaN"), "{svg}");
        assert!(svg.contains(&format!("{:.1}", (TOP + HEIGHT - BOTTOM) / 2.0)));
    }

    #[test]
    fn a_long_line_keeps_its_extremes_and_has_only_points_that_can_be_seen() {
        let points: Vec<_> = (0..100_000).map(|k| (f64::from(k), if k == 54_321 { 9.0 } else { 0.0 })).collect();
        let svg = chart(points).render();
        let path = svg.rsplit("points=\"").next().unwrap().split('"').next().unwrap();
        let heights: Vec<f64> =
            path.split(' ').map(|point| point.split(',').nth(1).unwrap().parse().unwrap()).collect();
        assert!(heights.len() <= 4 * 400, "{}", heights.len());
        assert_eq!(heights.iter().filter(|height| **height < HEIGHT / 2.0).count(), 1);
    }

    #[test]
    fn an_axis_that_is_given_has_its_own_ends_and_names() {
        let ticks = vec![(0.0, "14:00".to_owned()), (5.0, "14:05 <a>".to_owned())];
        let axis = Some(Axis { from: 0.0, to: 10.0, ticks });
        let svg = LineChart { x_axis: axis, ..chart(vec![(0.0, 1.0), (5.0, 2.0)]) }.render();
        assert!(svg.contains(">14:00<") && svg.contains(">14:05 &lt;a&gt;<"), "{svg}");
        let middle = format!("{:.1}", (X_PIXELS.0 + X_PIXELS.1) / 2.0);
        assert!(svg.contains(&format!("{}.0,", LEFT)) && svg.contains(&format!(" {middle},")), "{svg}");
    }

    #[test]
    fn a_file_says_which_line_is_which_in_as_many_rows_as_it_takes() {
        let line = |number: usize| Line {
            name: format!("tag <{number}>"),
            class: format!("c{number}"),
            points: vec![(0.0, 1.0)],
        };
        let with =
            |count: usize| LineChart { lines: (0..count).map(line).collect(), ..LineChart::default() }.file("all");
        assert!(!with(1).contains("<tspan"), "the axis says it");
        assert!(with(3).contains("<tspan class=\"c2\">\u{25a0}</tspan> tag &lt;2&gt;"));
        let rows = |file: &str| file.matches("<text class=\"legend\"").count();
        assert_eq!((rows(&with(3)), rows(&with(20))), (1, 3));
    }

    #[test]
    fn a_histogram_shows_a_single_count_and_leaves_out_empty_bars() {
        let bars = Bars {
            x_label: "us".to_owned(),
            y_label: "cycles".to_owned(),
            bars: vec![(1.0, 2.0, 1000), (2.0, 4.0, 0), (100.0, 110.0, 1)],
        };
        let svg = bars.render();
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("height=\"0.0\""), "{svg}");
    }

    #[test]
    fn a_file_is_one_picture_with_its_title_and_style_also_when_it_is_empty() {
        for points in [vec![(0.0, 1.0), (1.0, 2.0)], Vec::new()] {
            let file = chart(points).file("a <b>");
            assert!(file.starts_with("<svg xmlns") && file.ends_with("</svg>\n") && file.contains("a &lt;b&gt;"));
            assert_eq!(file.matches("<svg").count(), file.matches("</svg>").count());
            assert!(file.contains("polyline.c0"));
        }
    }

    #[test]
    fn numbers_on_axes_are_short() {
        for (value, text) in [(0.1 + 0.2, "0.3"), (1000.0, "1000"), (-0.25, "-0.25"), (1e7, "1e7"), (0.0, "0")] {
            assert_eq!(number(value), text);
        }
        assert_eq!(names(&[1.8e9, 2e9, 2.2e9]), ["1800000000", "2000000000", "2200000000"]);
        assert_eq!(names(&[1000.0, 1000.2, 1000.4]), ["1000.0", "1000.2", "1000.4"]);
        assert_eq!(tick_step(0.3), 0.5);
        assert_eq!(tick_step(1.0), 1.0);
    }
}

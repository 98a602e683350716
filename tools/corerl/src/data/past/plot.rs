//! `corerl data plot`: values over time, as a picture in a file or in the terminal.

use std::path::PathBuf;

use archive::Timed;
use chart::{COLOURS, Line, LineChart};
use clap::Args;

use super::series::Series;
use super::time::{TIMES, Window, Zone};
use super::{Where, clock};
use crate::data::ending;
use crate::failure::{Exit, Failure};
use crate::fresh::FreshFile;
use crate::output::print_text;
use crate::screen::{Pen, Raster, Theme};

/// Size of a plot in the terminal, cells, without what stands beside it.
const WIDTH: usize = 68;
const HEIGHT: usize = 10;
/// Cells for a number at the left edge.
const MARGIN: usize = 11;

#[derive(Debug, Args)]
#[command(after_help = format!("Examples:\n  corerl data plot PH --from -15m\n  \
    corerl data plot PH FEED_SP.sent FEED_SP.raw --from \"yesterday 14:00\" --to \"yesterday 15:00\" --out ph.svg\n\n\
    In a file all lines share one axis; in the terminal each has its own.\n\n{TIMES}"))]
pub(crate) struct PlotArguments {
    /// What is drawn; `corerl data tags` lists what there is.
    #[arg(required = true, value_name = "TAG")]
    tags: Vec<String>,
    #[command(flatten)]
    of: Where,
    #[command(flatten)]
    window: Window,
    /// Draw into this SVG file instead of the terminal.
    #[arg(long, value_name = "FILE.svg")]
    out: Option<PathBuf>,
    /// Replace the file, if it is there.
    #[arg(long, requires = "out")]
    force: bool,
}

/// What is drawn of a series: values that hold until the next one, none where nothing is known.
struct Drawn {
    heading: String,
    unit: String,
    points: Vec<(f64, f64)>,
}

pub(crate) fn run(arguments: &PlotArguments) -> Result<Exit, Failure> {
    arguments.out.as_deref().map(|path| ending::format(path, None, &[("svg", ())])).transpose()?;
    let (from, to, zone) = arguments.window.read()?;
    let past = arguments.of.open()?;
    let found = Series::named(&*past, &arguments.of, &arguments.tags)?;
    let many = found.iter().any(|series| series.agent != found[0].agent);
    let mut drawn = Vec::new();
    for series in &found {
        let points = series.held(&*past, from, to)?;
        let whose = if many { format!("{} ", series.agent) } else { String::new() };
        drawn.push(Drawn {
            heading: whose + &series.heading(),
            unit: series.unit.clone(),
            points: steps(&points, from, to),
        });
    }
    match &arguments.out {
        Some(path) => {
            let title = format!("{}, from {} to {}", found[0].agent, zone.tell(from), zone.tell(to));
            let text = picture(drawn, (from, to), &zone).file(&title);
            FreshFile::write(path, arguments.force, text.as_bytes())?;
            eprintln!("plot: {}", path.display());
        }
        None => {
            let pen = if Theme::of_environment(true).unicode { Pen::Braille } else { Pen::Ascii };
            let plots = drawn.iter().map(|drawn| terminal(drawn, pen, (to - from) as f64 / 1e9));
            print_text(&(plots.collect::<Vec<_>>().join("\n") + &axis(from, to, &zone)))?;
        }
    }
    Ok(Exit::Fine)
}

/// Seconds since the beginning, and values, as steps; what came before the beginning begins there.
fn steps(points: &[(Timed, u64)], from: u64, to: u64) -> Vec<(f64, f64)> {
    let second = |unix_ns: u64| unix_ns.saturating_sub(from) as f64 / 1e9;
    let mut steps = Vec::new();
    for (at, (timed, until)) in points.iter().enumerate() {
        let next = points.get(at + 1).map_or(to, |(next, _)| next.unix_ns);
        let end = next.min(*until).min(to);
        if end < from {
            continue;
        }
        steps.extend([(second(timed.unix_ns), timed.point.value), (second(end), timed.point.value)]);
        if end < next {
            steps.push((second(end), f64::NAN));
        }
    }
    steps
}

/// All lines over one axis with clock times.
fn picture(drawn: Vec<Drawn>, window: (u64, u64), zone: &Zone) -> LineChart {
    let x_axis = Some(clock::axis(zone, shown(&drawn, window), window.0));
    let y_label = match &drawn[..] {
        [only] => only.heading.clone(),
        all if all.iter().all(|drawn| drawn.unit == all[0].unit) => all[0].unit.clone(),
        _ => String::new(),
    };
    let lines = drawn.into_iter().enumerate().map(|(number, drawn)| Line {
        name: drawn.heading,
        class: format!("c{}", number % COLOURS),
        points: drawn.points,
    });
    LineChart {
        x_label: format!("time, {}", zone.name()),
        x_axis,
        y_label,
        lines: lines.collect(),
        ..LineChart::default()
    }
}

/// The window; of one that is mostly empty the part of which something is known, or nobody could see it.
fn shown(drawn: &[Drawn], (from, to): (u64, u64)) -> (u64, u64) {
    let known = drawn.iter().flat_map(|drawn| &drawn.points).filter(|(_, value)| value.is_finite()).map(|(at, _)| *at);
    let (first, last) = known.fold((f64::INFINITY, 0.0_f64), |(first, last), at| (at.min(first), at.max(last)));
    if (last - first) * 2e9 >= (to - from) as f64 || first >= last {
        return (from, to);
    }
    let unix_ns = |second: f64| from + (second * 1e9) as u64;
    (unix_ns(first), unix_ns(last).min(to))
}

/// One series in the cells of a terminal, with its highest and lowest value.
fn terminal(drawn: &Drawn, pen: Pen, seconds: f64) -> String {
    let values = drawn.points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
    let (lowest, highest) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), value| (lo.min(value), hi.max(value)));
    if lowest > highest {
        return format!("{}\n{:MARGIN$} nothing is kept\n", drawn.heading, "");
    }
    let mut raster = Raster::new(pen, WIDTH, HEIGHT);
    let (columns, span) = ((raster.columns() - 1) as f64, seconds.max(f64::MIN_POSITIVE));
    let place = |(second, value): (f64, f64)| {
        // A line that never moves lies in the middle.
        let height = if highest > lowest { (value - lowest) / (highest - lowest) } else { 0.5 };
        ((second / span * columns).round().max(0.0) as usize, height)
    };
    for pair in drawn.points.windows(2).filter(|pair| pair.iter().all(|(_, value)| value.is_finite())) {
        raster.line(0, place(pair[0]), place(pair[1]));
    }
    let mut lines = vec![vec![' '; WIDTH]; HEIGHT];
    raster.drawn().for_each(|(x, y, shown, _)| lines[y][x] = shown);
    let mut text = format!("{}\n", drawn.heading);
    for (row, line) in lines.into_iter().enumerate() {
        let edge = match row {
            0 => format!("{highest:.5}"),
            row if row == HEIGHT - 1 => format!("{lowest:.5}"),
            _ => String::new(),
        };
        let line: String = line.into_iter().collect();
        text += format!("{edge:>MARGIN$} |{line}").trim_end();
        text.push('\n');
    }
    text
}

/// What the two ends of all plots are.
fn axis(from: u64, to: u64, zone: &Zone) -> String {
    let (from, to) = (zone.tell(from), zone.tell(to));
    let gap = WIDTH.saturating_sub(from.len() + to.len());
    format!("{:MARGIN$}  {from}{:gap$}{to}\n", "", "")
}

#[cfg(test)]
mod tests {
    use archive::Point;

    use super::*;

    /// A value of this second, which holds up to that one.
    fn held(second: u64, value: f64, until: u64) -> (Timed, u64) {
        let point = Point::new(second, value, 0);
        (Timed { unix_ns: second * 1_000_000_000, point }, until * 1_000_000_000)
    }

    #[test]
    fn values_hold_until_the_next_one_and_no_longer_than_anybody_knows() {
        let points = [held(90, 1.0, 210), held(110, 2.0, 230), held(400, 3.0, 520)];
        let steps = steps(&points, 100_000_000_000, 410_000_000_000);
        let expected = [(0.0, 1.0), (10.0, 1.0), (10.0, 2.0), (130.0, 2.0)];
        assert_eq!(steps[..4], expected);
        assert!(steps[4].0 == 130.0 && steps[4].1.is_nan(), "{steps:?}");
        assert_eq!(steps[5..], [(300.0, 3.0), (310.0, 3.0)]);
    }

    /// An hour, and what is drawn in it.
    fn hour(ends_s: [f64; 2], unit: &str) -> (Drawn, (u64, u64)) {
        let points = ends_s.map(|second| (second, 1.0)).to_vec();
        (Drawn { heading: format!("level [{unit}]"), unit: unit.into(), points }, (0, 3_600_000_000_000))
    }

    #[test]
    fn a_window_is_drawn_whole_unless_it_is_mostly_empty() {
        let of = |ends_s| {
            let (drawn, window) = hour(ends_s, "m");
            shown(&[drawn], window)
        };
        assert_eq!(of([600.0, 3_000.0]), (0, 3_600_000_000_000));
        assert_eq!(of([1_200.0, 1_500.0]), (1_200_000_000_000, 1_500_000_000_000));
        assert_eq!(of([1_200.0, 1_200.0]), (0, 3_600_000_000_000), "a single point has no width");
        assert_eq!(shown(&[], (5, 10)), (5, 10));
    }

    #[test]
    fn a_picture_has_clock_times_and_says_which_line_is_which_of_what_unit() {
        let zone = Zone::of(jiff::tz::TimeZone::UTC);
        let of = |units: &[&str]| {
            let drawn = units.iter().map(|unit| hour([0.0, 3_600.0], unit).0).collect();
            picture(drawn, (0, 3_600_000_000_000), &zone)
        };
        let one = of(&["m"]);
        assert_eq!((one.x_label.as_str(), one.y_label.as_str()), ("time, UTC", "level [m]"));
        assert!(one.x_axis.as_ref().unwrap().ticks.contains(&(1_800.0, "00:30".to_owned())), "{:?}", one.x_axis);
        assert_eq!(of(&["m", "m"]).y_label, "m");
        let two = of(&["m", "bar"]);
        assert_eq!(two.y_label, "");
        assert!(two.file("both").contains("<tspan class=\"c1\">\u{25a0}</tspan> level [bar]"));
    }

    #[test]
    fn a_plot_in_the_terminal_has_its_ends_and_says_when_there_is_nothing() {
        let drawn = Drawn {
            heading: "level [m]".into(),
            unit: "m".into(),
            points: vec![(0.0, 1.0), (5.0, 1.0), (5.0, 3.0), (10.0, 3.0)],
        };
        let text = terminal(&drawn, Pen::Ascii, 10.0);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 1 + HEIGHT);
        assert!(lines[1].starts_with("    3.00000 |") && lines[1].ends_with('1'), "{text}");
        assert!(lines[HEIGHT].starts_with("    1.00000 |1"), "{text}");
        let nothing = Drawn { heading: "level".into(), unit: String::new(), points: vec![(0.0, f64::NAN)] };
        assert!(terminal(&nothing, Pen::Ascii, 10.0).contains("nothing is kept"));
    }
}

//! `report.html`: one page without anything from elsewhere, readable in light and dark.

use chart::{Bars, COLOURS, Line, LineChart, escaped};
use shm::histogram::Snapshot;

use super::plan::Pair;
use super::recording::Recording;
use super::summary::Summary;

/// The mean of so many decisions is drawn over the single rewards.
const REWARD_WINDOW: usize = 100;

/// The page. `pairs` names which tags belong together as measured value and setpoint.
pub(crate) fn page(recording: &Recording, pairs: &[Pair]) -> String {
    let summary = Summary::of(recording);
    let rows: String = summary
        .rows()
        .iter()
        .map(|(what, how_much)| format!("<tr><td>{}</td><td>{}</td></tr>\n", escaped(what), escaped(how_much)))
        .collect();
    let modes: String = recording
        .mode_changes
        .iter()
        .map(|change| {
            let cells =
                [change.cycle.to_string(), format!("{} \u{2192} {}", change.from, change.to), change.cause.clone()];
            let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
            format!("<tr>{cells}</tr>\n")
        })
        .collect();
    let happenings: String = recording
        .happenings
        .iter()
        .map(|happening| {
            let seconds = recording.seconds_at(happening.time_ns);
            format!("<tr><td>{seconds:.3} s</td><td>{}</td></tr>\n", escaped(&happening.what))
        })
        .collect();
    let sections = [
        ("Reward", reward(recording).render()),
        ("Setpoint and measured value", tracking(recording, pairs).render()),
        ("What the agent wrote", written(recording).render()),
        (
            "Lateness of the control thread",
            histogram(&recording.lateness, "wake-up after the slot's time, us").render(),
        ),
        ("Execution time of a cycle", histogram(&recording.execution, "time from wake-up to report, us").render()),
        (
            "Changes of mode",
            format!("<table>\n<tr><td>cycle</td><td>change</td><td>cause</td></tr>\n{modes}</table>\n"),
        ),
        ("Events", format!("<table>\n{happenings}</table>\n")),
    ];
    let body: String = sections.iter().map(|(title, content)| format!("<h2>{title}</h2>\n{content}")).collect();
    chart::page(&format!("CoreRL on the plant {}", recording.plant), &format!("<table>\n{rows}</table>\n{body}"))
}

fn reward(recording: &Recording) -> LineChart {
    let points: Vec<_> = recording
        .decisions
        .iter()
        .filter(|decision| decision.reward.is_finite())
        .map(|decision| (recording.seconds_at(decision.time_ns), decision.reward))
        .collect();
    LineChart {
        x_label: "time since the first cycle, s".to_owned(),
        y_label: "reward of a decision".to_owned(),
        lines: vec![
            Line { name: "each decision".to_owned(), class: "c0 faint".to_owned(), points: points.clone() },
            Line {
                name: format!("mean of {REWARD_WINDOW}"),
                class: "c1".to_owned(),
                points: moving_mean(&points, REWARD_WINDOW),
            },
        ],
        marks_name: "policy adopted".to_owned(),
        marks: recording
            .adoptions
            .iter()
            .map(|adoption| (recording.seconds_at(adoption.time_ns), format!("policy {} adopted", adoption.generation)))
            .collect(),
        ..LineChart::default()
    }
}

fn moving_mean(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    points
        .windows(window)
        .filter_map(|part| {
            let mean = part.iter().map(|point| point.1).sum::<f64>() / window as f64;
            part.last().map(|last| (last.0, mean))
        })
        .collect()
}

fn tracking(recording: &Recording, pairs: &[Pair]) -> LineChart {
    let mut lines = Vec::new();
    for (k, pair) in pairs.iter().enumerate() {
        let colour = k % (COLOURS / 2) * 2;
        for (name, class) in [(pair.setpoint, format!("c{}", colour + 1)), (pair.measured, format!("c{colour}"))] {
            lines.extend(tag_line(recording, name, class));
        }
    }
    LineChart {
        x_label: "time since the first cycle, s".to_owned(),
        y_label: "engineering units".to_owned(),
        lines,
        ..LineChart::default()
    }
}

fn tag_line(recording: &Recording, name: &str, class: String) -> Option<Line> {
    let index = recording.tags.iter().position(|tag| tag == name)?;
    let points = recording
        .decisions
        .iter()
        .filter_map(|decision| Some((recording.seconds_at(decision.time_ns), *decision.tags.get(index)?)))
        .collect();
    Some(Line { name: name.to_owned(), class, points })
}

fn written(recording: &Recording) -> LineChart {
    let line = |(index, name): (usize, &String)| Line {
        name: name.clone(),
        class: format!("c{}", index % COLOURS),
        points: recording
            .decisions
            .iter()
            .filter_map(|decision| Some((recording.seconds_at(decision.time_ns), *decision.setpoints.get(index)?)))
            .collect(),
    };
    LineChart {
        x_label: "time since the first cycle, s".to_owned(),
        y_label: "engineering units".to_owned(),
        lines: recording.setpoints.iter().enumerate().map(line).collect(),
        ..LineChart::default()
    }
}

fn histogram(histogram: &Snapshot, x_label: &str) -> Bars {
    // Below a hundredth of a microsecond a logarithmic axis has no place for a bar: it begins there.
    let us = |ns: u64| (ns as f64 / 1000.0).max(0.01);
    Bars {
        x_label: x_label.to_owned(),
        y_label: "cycles".to_owned(),
        bars: histogram
            .buckets()
            .map(|(lowest_ns, highest_ns, count)| (us(lowest_ns), us(highest_ns + 1), count))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::recording::tests::example;
    use super::*;

    const PAIRS: &[Pair] = &[Pair { measured: "level", setpoint: "level_sp" }];

    #[test]
    fn the_page_stands_alone_and_shows_all_charts() {
        let page = page(&example(), PAIRS);
        for foreign in ["http://", "https://", "<script", "<link", "url(", "src="] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert_eq!(page.matches("<svg").count(), 5);
        assert!(page.contains("policy 1 adopted") && page.contains("level_sp"));
        assert!(page.contains("prefers-color-scheme: dark"));
    }

    #[test]
    fn what_comes_from_outside_is_escaped() {
        let page = page(&example(), PAIRS);
        assert!(page.contains("no &lt;FIFO&gt; priority") && !page.contains("no <FIFO>"));
    }

    #[test]
    fn a_run_that_was_interrupted_at_once_still_has_a_page() {
        let mut recording = example();
        recording.decisions.clear();
        recording.adoptions.clear();
        recording.lateness = Snapshot::default();
        let page = page(&recording, PAIRS);
        assert!(page.contains("Nothing was recorded") && page.ends_with("</html>\n"));
    }

    #[test]
    fn a_moving_mean_needs_a_full_window() {
        let points = [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)];
        assert_eq!(moving_mean(&points, 2), [(1.0, 2.0), (2.0, 4.0)]);
        assert!(moving_mean(&points, 4).is_empty());
    }
}

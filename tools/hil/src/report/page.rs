//! A page for each scenario: verdicts, modes, setpoints with their limits, tags, reward, and when what was done.

use std::fmt::Write as _;

use chart::{COLOURS, Line, LineChart, Span, Timeline, escaped};
use rt_core::mode::Mode;

use super::Summary;
use crate::run::Result;
use crate::scenario::Scenario;
use crate::take::{CycleSeen, SetpointSeen, Take, seconds};

/// Tags that share a plot.
const TAGS_MAX: usize = COLOURS;

/// The page of one scenario, readable by itself.
pub fn page(scenario: &Scenario, result: &Result) -> String {
    let summary = Summary::of(scenario, result);
    let take = &result.take;
    let mut body = format!("<p>{}</p>\n<p>{}", escaped(&summary.about), summary.outcome.name());
    if let Some(why) = summary.outcome.why() {
        let _ = write!(body, ": {}", escaped(why));
    }
    body.push_str("</p>\n");
    verdicts(&mut body, &summary);
    steps(&mut body, take);
    if !take.cycles.is_empty() {
        let _ = write!(body, "<h2>Mode</h2>\n{}", modes(take).render());
        for (index, setpoint) in take.setpoints.iter().enumerate() {
            let _ =
                write!(body, "<h2>{}</h2>\n{}", escaped(&setpoint.name), of_setpoint(take, index, setpoint).render());
        }
        let _ = write!(body, "<h2>Tags</h2>\n{}", tags(take).render());
        let _ = write!(body, "<h2>Reward</h2>\n{}", over_time(take, "reward", "c2", |cycle| cycle.reward).render());
        let lateness = |cycle: &CycleSeen| Some(f64::from(cycle.lateness_ns) / 1e3);
        let _ = write!(body, "<h2>Lateness</h2>\n{}", over_time(take, "us", "c5", lateness).render());
    }
    for (name, said) in &result.last_words {
        let _ = write!(body, "<h2>{} said last</h2>\n<pre>{}</pre>\n", escaped(name), escaped(said));
    }
    chart::page(&scenario.name, &body)
}

fn verdicts(body: &mut String, summary: &Summary) {
    body.push_str(
        "<h2>Verdicts</h2>\n<table>\n<tr><td></td><td>expectation</td><td>found</td><td>required</td></tr>\n",
    );
    for verdict in &summary.verdicts {
        let ok = if verdict.ok { "ok" } else { "NOT" };
        let cells = [ok, &verdict.expectation, &verdict.found, &verdict.required].map(escaped);
        let _ = writeln!(body, "<tr><td>{}</td></tr>", cells.join("</td><td>"));
    }
    body.push_str("</table>\n");
}

fn steps(body: &mut String, take: &Take) {
    body.push_str("<h2>Timeline</h2>\n<table>\n");
    for step in &take.steps {
        let time = |at: Option<i64>| at.map_or(String::new(), |at| format!("{:.3} s", seconds(at)));
        let cells = [time(step.begun), time(step.ended), step.title.clone()].map(|cell| escaped(&cell));
        let _ = writeln!(body, "<tr><td>{}</td></tr>", cells.join("</td><td>"));
    }
    body.push_str("</table>\n");
}

fn marks(take: &Take) -> Vec<(f64, String)> {
    let begins = take.steps.iter().filter_map(|step| Some((seconds(step.begun?), step.title.clone())));
    let ends = take.steps.iter().filter_map(|step| Some((seconds(step.ended?), format!("over: {}", step.title))));
    begins.chain(ends).collect()
}

fn modes(take: &Take) -> Timeline {
    let mut spans: Vec<Span> = Vec::new();
    for cycle in &take.cycles {
        let name = cycle.mode().map_or("?", Mode::name);
        let at = seconds(cycle.at);
        if let Some(last) = spans.last_mut() {
            last.to = at;
        }
        if spans.last().is_none_or(|last| last.name != name) {
            let colour = cycle.mode().map_or(0, |mode| mode as usize);
            spans.push(Span { from: at, to: at, colour, name: name.to_owned() });
        }
    }
    Timeline { x_label: "time, s".to_owned(), spans, marks: marks(take) }
}

fn of_setpoint(take: &Take, index: usize, setpoint: &SetpointSeen) -> LineChart {
    let line = |name: &str, class: &str, value: &dyn Fn(&CycleSeen) -> Option<f64>| Line {
        name: name.to_owned(),
        class: class.to_owned(),
        points: points(take, value),
    };
    let part = |cycle: &CycleSeen| cycle.setpoints.get(index).copied();
    let range_at = |at: i64| setpoint.ranges.iter().rev().find(|range| range.0 <= at).or(setpoint.ranges.first());
    let lines = vec![
        line("lowest", "c4", &|cycle| Some(range_at(cycle.at)?.1)),
        line("highest", "c4", &|cycle| Some(range_at(cycle.at)?.2)),
        line("on the plant", "c0", &|cycle| part(cycle)?.readback),
        line("written", "c1", &|cycle| part(cycle).filter(|sent| sent.written)?.sent),
    ];
    let y_label = format!("{}, {}", setpoint.name, setpoint.unit);
    chart_of(take, y_label, lines)
}

fn tags(take: &Take) -> LineChart {
    let lines = take.tags.iter().enumerate().take(TAGS_MAX).map(|(index, tag)| Line {
        name: tag.name.clone(),
        class: format!("c{index}"),
        points: points(take, &|cycle| cycle.tags.get(index)?.0),
    });
    chart_of(take, "value".to_owned(), lines.collect())
}

fn over_time(take: &Take, name: &str, class: &str, value: impl Fn(&CycleSeen) -> Option<f64>) -> LineChart {
    let lines = vec![Line { name: name.to_owned(), class: class.to_owned(), points: points(take, &value) }];
    chart_of(take, name.to_owned(), lines)
}

/// Lines over the time of a take, with its timeline.
fn chart_of(take: &Take, y_label: String, lines: Vec<Line>) -> LineChart {
    let (x_label, marks_name) = ("time, s".to_owned(), "the timeline".to_owned());
    LineChart { x_label, y_label, lines, marks: marks(take), marks_name, ..LineChart::default() }
}

fn points(take: &Take, value: &dyn Fn(&CycleSeen) -> Option<f64>) -> Vec<(f64, f64)> {
    take.cycles.iter().filter_map(|cycle| Some((seconds(cycle.at), value(cycle)?))).collect()
}

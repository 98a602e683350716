//! The report as one page with plots.

use chart::{Axis, Line, LineChart, escaped};
use history::Table;

use super::past::clock;
use super::past::time::Zone;
use super::{HEADS, NARROW, Report, correlation_cells, goal_cells, narrow_cells, tag_cells};

/// Rewards are averaged over so many parts of the history.
const REWARD_PARTS: usize = 400;

/// The page of a history that is called so; `rewards` are the site's, by their times.
pub(super) fn page(report: &Report, name: &str, table: &Table, rewards: &[(i64, f64)], zone: &Zone) -> String {
    let [first, last] = [table.times_ns.first(), table.times_ns.last()].map(|time| time.copied().unwrap_or(0));
    let seconds = |at_ns: i64| (at_ns - first) as f64 / 1e9;
    let ends = [first, last].map(|time_ns| u64::try_from(time_ns).unwrap_or(0));
    let [begin, end] = ends.map(|unix_ns| zone.tell(unix_ns));
    let mut body = format!(
        "<p>{} rows over {:.1} h, from {begin} to {end}, usually {} s apart.</p>\n",
        report.rows, report.hours, report.seconds_between_rows
    );
    let trend = |name: &str, y_label: &str, points: Vec<(f64, f64)>| {
        let axis = clock::axis(zone, (ends[0], ends[1]), ends[0]);
        trend(name, y_label, points, (format!("time, {}", zone.name()), axis))
    };
    if let Some(goals) = &report.goals {
        body += &section("Goals of the site", &html_table(&[], &goal_cells(goals)));
        let points: Vec<_> = rewards.iter().map(|(at_ns, reward)| (seconds(*at_ns), *reward)).collect();
        let part = points.len().div_ceil(REWARD_PARTS).max(1);
        let means = points.chunks(part).map(|part| {
            let mean = part.iter().map(|point| point.1).sum::<f64>() / part.len() as f64;
            (part.last().map_or(0.0, |last| last.0), mean)
        });
        body += &section("Reward", &trend("reward", "mean reward", means.collect()));
    }
    let rows: Vec<_> = report.tags.iter().map(|facts| tag_cells(facts, report.rows)).collect();
    body += &section("Tags", &html_table(&HEADS, &rows));
    if !report.narrow.is_empty() {
        let rows: Vec<_> = report.narrow.iter().map(narrow_cells).collect();
        body += &format!("<p>{}</p>\n{}", escaped(NARROW), html_table(&[], &rows));
    }
    let rows: Vec<_> = report.correlations.iter().map(correlation_cells).collect();
    body += &section("Correlations", &html_table(&["leads", "follows", "coefficient", "after rows"], &rows));
    for column in &table.columns {
        let cells = table.times_ns.iter().zip(column.cells());
        let points = cells.filter_map(|(at_ns, cell)| Some((seconds(*at_ns), cell.value()?)));
        body += &section(&column.name, &trend(&column.name, &column.name, points.collect()));
    }
    chart::page(&format!("History of {name}"), &body)
}

fn section(title: &str, content: &str) -> String {
    format!("<h2>{}</h2>\n{content}", escaped(title))
}

fn html_table<const COLUMNS: usize>(heads: &[&str], rows: &[[String; COLUMNS]]) -> String {
    let row = |cells: &mut dyn Iterator<Item = &str>| {
        let cells: String = cells.map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let head = if heads.is_empty() { String::new() } else { row(&mut heads.iter().copied()) };
    let rows: String = rows.iter().map(|cells| row(&mut cells.iter().map(String::as_str))).collect();
    format!("<table>\n{head}{rows}</table>\n")
}

fn trend(name: &str, y_label: &str, points: Vec<(f64, f64)>, (x_label, axis): (String, Axis)) -> String {
    let line = Line { name: name.to_owned(), class: "c0".to_owned(), points };
    let y_label = y_label.to_owned();
    LineChart { x_label, x_axis: Some(axis), y_label, lines: vec![line], ..LineChart::default() }.render()
}

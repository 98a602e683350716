//! The page: first what happened, then the curves.

use chart::{Bars, Level, Line, LineChart, Span, Timeline, escaped};
use rt_config::Range;
use rt_core::mode::Mode;
use rt_recording::Concern;
use shm::histogram::Snapshot;

use super::Report;
use super::envelope::Spread;
use super::story::{Happening, Story, Trip};
use super::tracks::{SetpointTrack, TagTrack};
use crate::legend::{SetpointLegend, Zone};
use crate::words::mode_name;

const TIME: &str = "time since the first cycle, s";

/// The page of a report on the file of this name; it needs nothing from elsewhere.
pub fn page(report: &Report, file: &str) -> String {
    let story = &report.story;
    let name = format!("{}/{}", story.legend.site, story.legend.agent);
    let mut body = rows(&header(story, file));
    body += &section("What happened", &summary(story));
    for trip in &story.trips {
        body += &format!("<h3>{}</h3>\n{}", escaped(&trip.happening.text), trip_told(story, trip));
    }
    body += &section("Modes", &modes(story).render());
    let setpoints = story.setpoints.iter().zip(&story.legend.setpoints);
    let setpoints: String = setpoints.map(|(track, legend)| setpoint(story, track, legend)).collect();
    body += &section("Setpoints", &setpoints);
    body +=
        &section("Tags", &(tag_table(story) + &story.tags.iter().map(|tag| tag_chart(story, tag)).collect::<String>()));
    body += &section("Reward", &reward(story).render());
    body += &section(
        "Lateness of the control thread",
        &spread(story, &story.lateness, "wake-up after the slot's time, us"),
    );
    body += &section("Execution time of a cycle", &spread(story, &story.execution, "from wake-up to report, us"));
    body += &section("Policies", &policies(story));
    body += &section("Events", &events(story));
    chart::page(&format!("CoreRL report: {name}"), &body)
}

fn section(title: &str, content: &str) -> String {
    format!("<h2>{}</h2>\n{content}", escaped(title))
}

fn row(cells: &[&str]) -> String {
    let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escaped(cell))).collect();
    format!("<tr>{cells}</tr>\n")
}

fn rows(rows: &[(&str, String)]) -> String {
    let rows: String = rows.iter().map(|(what, how_much)| row(&[what, how_much])).collect();
    format!("<table>\n{rows}</table>\n")
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    let items: String = items.into_iter().map(|item| format!("<li>{}</li>\n", escaped(&item))).collect();
    format!("<ul>\n{items}</ul>\n")
}

fn header<'a>(story: &Story, file: &str) -> Vec<(&'a str, String)> {
    let (first_ns, last_ns) = story.span_ns.unwrap_or_default();
    let times = format!("{} to {}", story.clock.utc(first_ns), story.clock.utc(last_ns));
    vec![
        ("file", format!("{file}, a {}", story.provenance.kind)),
        ("made by", format!("{}; CoreRL {}", story.provenance.why, story.provenance.program)),
        ("site file", story.provenance.site_file.clone()),
        ("time", times),
        (
            "ran",
            format!(
                "{:.1} s, {} cycles of {:.3} ms",
                story.seconds(),
                story.cycles,
                story.legend.period_ns as f64 / 1e6
            ),
        ),
        ("the file", story.ending.to_string()),
    ]
}

/// The first question's answer: sentences, the worst ones first.
fn summary(story: &Story) -> String {
    let mut said = vec![match story.trips_count {
        0 => "No trip.".to_owned(),
        1 => "One trip: see below.".to_owned(),
        count => format!("{count} trips; {} of them are told below.", story.trips.len()),
    }];
    let in_modes = Mode::ALL.into_iter().zip(story.mode_ns).filter(|(_, time_ns)| *time_ns > 0);
    let in_modes = in_modes.map(|(mode, time_ns)| format!("{} {:.1} s", mode.name(), time_ns as f64 / 1e9));
    let in_modes = in_modes.collect::<Vec<_>>().join(", ");
    said.push(format!("{} changes of mode. Time in each: {in_modes}.", story.mode_changes));
    said.extend(mode_causes(story));
    said.push(lost_slots(story));
    said.extend(
        story.setpoints.iter().zip(&story.legend.setpoints).filter_map(|(track, of)| limits_told(story, track, of)),
    );
    said.extend(story.tags.iter().filter_map(|tag| quality_told(story, tag)));
    said.push(format!(
        "{} decision slots, {} decisions that count; {} policies adopted.",
        story.decisions, story.decided, story.adoptions
    ));
    if let (count @ 1.., sum) = story.rewards {
        said.push(format!("Mean reward {:.4} of {count} steps.", sum / count as f64));
    }
    if story.limits_changed {
        said.push("Limits were changed live: the lines in the charts are those of the site file.".to_owned());
    }
    said.extend(story.warnings().into_iter().map(|warning| format!("Not in this page: {warning}.")));
    list(said)
}

/// Why modes were changed, the most frequent reason first.
fn mode_causes(story: &Story) -> Option<String> {
    let mut causes: Vec<_> = story.mode_causes.iter().collect();
    causes.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let told: Vec<_> = causes.iter().map(|(cause, count)| format!("{cause} ({count})")).collect();
    (!told.is_empty()).then(|| format!("Modes were changed: {}.", told.join("; ")))
}

fn lost_slots(story: &Story) -> String {
    let Some((at_s, most, late_ns)) = story.losses.first() else { return "No slot was lost.".to_owned() };
    format!(
        "{} slots were lost; most of them at once, {most}, at {at_s:.3} s, in a cycle that was {:.1} ms late.",
        story.slots_lost,
        f64::from(*late_ns) / 1e6
    )
}

fn share(count: u64, story: &Story) -> String {
    format!("{:.2} %", count as f64 / story.cycles.max(1) as f64 * 100.0)
}

fn limits_told(story: &Story, track: &SetpointTrack, legend: &SetpointLegend) -> Option<String> {
    let acted = track.limits.iter().map(|(name, count)| format!("{} in {} of the cycles", name, share(*count, story)));
    let withheld = track.withheld.iter();
    let withheld =
        withheld.map(|(why, count)| format!("not sent ({}) in {}", why.replace('_', " "), share(*count, story)));
    let refused = (track.refused > 0)
        .then(|| format!("refused by the plant, as far as was known, in {}", share(track.refused, story)));
    let told: Vec<_> = acted.chain(withheld).chain(refused).collect();
    (!told.is_empty()).then(|| format!("{}: {}.", legend.name, told.join(", ")))
}

fn quality_told(story: &Story, tag: &TagTrack) -> Option<String> {
    let [_, uncertain, bad] = tag.qualities;
    let parts = [
        ("bad", bad),
        ("uncertain", uncertain),
        ("in its red zone", tag.red),
        ("in its yellow zone or beyond", tag.yellow),
    ];
    let told = parts.iter().filter(|(_, count)| *count > 0);
    let told: Vec<_> = told.map(|(what, count)| format!("{what} in {} of the cycles", share(*count, story))).collect();
    (!told.is_empty()).then(|| format!("{}: {}.", tag.legend.name, told.join(", ")))
}

fn trip_told(story: &Story, trip: &Trip) -> String {
    let Happening { since_s, time_ns, cycle, .. } = &trip.happening;
    let when = format!("At {since_s:.3} s ({}), in cycle {cycle}.", story.clock.utc(*time_ns));
    let mut html = format!("<p>{}</p>\n", escaped(&when));
    html += &list(trip.state.iter().cloned());
    if trip.before.is_empty() {
        return html + "<p>Nothing was told in the seconds before it.</p>\n";
    }
    let before = trip.before.iter().map(|before| {
        let ago = format!("{:.3} s before", since_s - before.since_s);
        row(&[&ago, &before.cycle.to_string(), &before.text])
    });
    html + &format!("<table>\n{}</table>\n", before.collect::<String>())
}

fn modes(story: &Story) -> Timeline {
    let span = |of: &super::story::InMode| Span {
        from: of.from_s,
        to: of.to_s,
        colour: of.mode.into(),
        name: mode_name(of.mode).to_owned(),
    };
    Timeline { x_label: TIME.to_owned(), spans: story.modes.iter().map(span).collect(), marks: Vec::new() }
}

/// Every chart shows where trips were, and what the file was written for.
fn trip_marks(story: &Story) -> Vec<(f64, String)> {
    let trips = story.trips.iter().map(|trip| (trip.happening.since_s, trip.happening.text.clone()));
    let cause = story.provenance.cause_ns.map(|time_ns| (story.since_s(time_ns), story.provenance.why.clone()));
    trips.chain(cause).collect()
}

fn chart_of(story: &Story, y_label: String, lines: Vec<Line>, levels: Vec<Level>) -> LineChart {
    LineChart {
        x_label: TIME.to_owned(),
        y_label,
        lines,
        marks: trip_marks(story),
        marks_name: "trip, or why the file was written".to_owned(),
        levels,
        ..LineChart::default()
    }
}

fn line(name: &str, class: &str, points: Vec<(f64, f64)>) -> Line {
    Line { name: name.to_owned(), class: class.to_owned(), points }
}

fn both_ends(name: &str, range: Range, class: &'static str) -> [Level; 2] {
    [("lower", range.lo), ("upper", range.hi)].map(|(end, y)| Level {
        y,
        name: format!("{name}, {end} end: {y}"),
        class,
    })
}

fn with_unit(name: &str, unit: &str) -> String {
    if unit.is_empty() { name.to_owned() } else { format!("{name}, {unit}") }
}

fn setpoint(story: &Story, track: &SetpointTrack, legend: &SetpointLegend) -> String {
    let lines = vec![
        line("asked for", "c1 faint", track.raw.points()),
        line("moved from", "c2", track.last.points()),
        line("let through by the envelope", "c0", track.sent.points()),
        line("read back", "c3", track.readback.points()),
    ];
    let run = legend.limits.run;
    let levels = both_ends("limit in RUN", Range { lo: run.lo, hi: run.hi }, "limit");
    let chart = chart_of(story, with_unit(&legend.name, &legend.unit), lines, levels.into());
    format!("<h3>{}</h3>\n{}", escaped(&legend.name), chart.render())
}

fn tag_chart(story: &Story, tag: &TagTrack) -> String {
    let zones = [(Zone::Operating, "limit"), (Zone::Yellow, "yellow"), (Zone::Red, "red")];
    let levels = zones.into_iter().filter_map(|(zone, class)| Some((zone, tag.legend.range(zone)?, class)));
    let levels = levels.flat_map(|(zone, range, class)| both_ends(&zone.name().replace('_', " "), range, class));
    let lines = vec![line(&tag.legend.name, "c0", tag.curve.points())];
    let chart = chart_of(story, with_unit(&tag.legend.name, &tag.legend.unit), lines, levels.collect());
    format!("<h3>{}</h3>\n{}", escaped(&tag.legend.name), chart.render())
}

fn tag_table(story: &Story) -> String {
    let mut html = row(&["tag", "unit", "lowest", "highest", "good", "uncertain", "bad", "yellow or red"]);
    for tag in &story.tags {
        let [lowest, highest] = match tag.extent {
            Some((lo, hi)) => [lo, hi].map(|value| format!("{value:.4}")),
            None => ["-", "-"].map(str::to_owned),
        };
        let [good, uncertain, bad] = tag.qualities.map(|count| share(count, story));
        let zones = share(tag.yellow.max(tag.red), story);
        html += &row(&[&tag.legend.name, &tag.legend.unit, &lowest, &highest, &good, &uncertain, &bad, &zones]);
    }
    format!("<table>\n{html}</table>\n")
}

fn reward(story: &Story) -> LineChart {
    let adopted = story.policies.iter().map(|(at_s, generation)| (*at_s, format!("policy {generation} adopted")));
    LineChart {
        x_label: TIME.to_owned(),
        y_label: "reward of a step".to_owned(),
        lines: vec![line("reward", "c0", story.reward.points())],
        marks: trip_marks(story).into_iter().chain(adopted).collect(),
        marks_name: "trip, why the file was written, or policy adopted".to_owned(),
        ..LineChart::default()
    }
}

fn spread(story: &Story, spread: &Spread, what: &str) -> String {
    let lines = vec![
        line("longest", "c4", spread.points(Snapshot::max_ns)),
        line("p99", "c1", spread.points(|part| part.quantile_ns(0.99))),
        line("p50", "c0", spread.points(|part| part.quantile_ns(0.5))),
    ];
    // Below a hundredth of a microsecond a logarithmic axis has no place for a bar: it begins there.
    let us = |ns: u64| (ns as f64 / 1e3).max(0.01);
    let bars = Bars {
        x_label: what.to_owned(),
        y_label: "cycles".to_owned(),
        bars: spread.all.buckets().map(|(lowest, highest, count)| (us(lowest), us(highest + 1), count)).collect(),
    };
    let quantiles = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("longest", 1.0)].into_iter();
    let told = quantiles
        .filter_map(|(name, share)| Some(format!("{name} {:.1} us", spread.all.quantile_ns(share)? as f64 / 1e3)));
    let told = told.collect::<Vec<_>>().join(", ");
    format!("<p>{told}</p>\n{}{}", chart_of(story, what.to_owned(), lines, Vec::new()).render(), bars.render())
}

fn policies(story: &Story) -> String {
    if story.policies.is_empty() {
        return "<p>No policy was adopted.</p>\n".to_owned();
    }
    let told = story.policies.iter().map(|(at_s, generation)| format!("{generation} at {at_s:.1} s"));
    let more = story.adoptions.saturating_sub(story.policies.len() as u64);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("<p>Generations adopted: {}{more}.</p>\n", told.collect::<Vec<_>>().join(", "))
}

fn events(story: &Story) -> String {
    let mut html = row(&["s", "time", "cycle", "", "event"]);
    for Happening { since_s, time_ns, cycle, concern, text } in &story.events {
        let warning = if *concern == Concern::Warning { "!" } else { "" };
        html += &row(&[&format!("{since_s:.3}"), &story.clock.utc(*time_ns), &cycle.to_string(), warning, text]);
    }
    let mut html = format!("<table>\n{html}</table>\n");
    if story.events_left_out > 0 {
        html += &format!(
            "<p>{} more are left out (slots that were lost, and what comes behind the first thousand): `corerl export --events` has all.</p>\n",
            story.events_left_out
        );
    }
    html
}

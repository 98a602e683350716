//! The scope's screen: status, traces with their time axis, channels, what is measured, and what can be done.
//!
//! Traces are told apart by colour and, because not every terminal has any, by marks: the number of its channel is written
//! on every trace. Without Unicode the marks alone are the trace.

mod columns;
mod plot;
mod scale;

pub(super) use scale::{Scale, stepped};

use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};

use super::DIVISIONS;
use super::acquisition::Sample;
use super::cursor::sample_at;
use super::desk::{Desk, KEYS};
use super::engine::Picture;
use super::measurement::Measurement;
use crate::output::span;
use crate::screen::{Look, Theme, mark};

/// Width of a channel in the list below the traces.
const ENTRY_WIDTH: u16 = 40;
/// Rows that are neither traces nor channels: status, axis, measurements, cursors, footer.
const OTHER_ROWS: u16 = 5;
/// Rows of traces that the list of channels leaves in any case.
const PLOT_ROWS_MIN: u16 = 6;
const COLOURS: [Color; 6] = [Color::Yellow, Color::Cyan, Color::Green, Color::Magenta, Color::Red, Color::Blue];
const HINTS: &str = "? keys  space stop  t trigger  e channels  [ ] time  c cursors  s save  q quit";

/// Draws all of it.
pub(super) fn draw(frame: &mut Frame<'_>, theme: Theme, desk: &Desk, trouble: Option<&str>) {
    let area = frame.area();
    let view = View { theme, desk, titles: desk.titles(), picture: desk.picture() };
    let to = frame.buffer_mut();
    let per_row = (area.width / ENTRY_WIDTH).max(1);
    let wanted = (view.titles.len() as u16).div_ceil(per_row);
    let entries = wanted.min(area.height.saturating_sub(OTHER_ROWS + PLOT_ROWS_MIN));
    let plot = Rect { y: area.y + 1, height: area.height.saturating_sub(OTHER_ROWS + entries), ..area };
    let row = |row: u16| Rect { y: (plot.bottom() + row).min(area.bottom().saturating_sub(1)), height: 1, ..area };
    view.status(to, Rect { height: area.height.min(1), ..area }, trouble);
    if desk.shows_help {
        view.help(to, plot);
    } else {
        plot::draw(to, plot, &view);
    }
    view.axis(to, row(0));
    for (place, title) in view.titles.iter().enumerate().take(usize::from(entries * per_row)) {
        let (across, down) = (place as u16 / entries.max(1), place as u16 % entries.max(1));
        let entry = Rect { x: area.x + across * ENTRY_WIDTH, width: ENTRY_WIDTH.min(area.width), ..row(1 + down) };
        view.entry(to, entry, place, title);
    }
    view.measured(to, row(1 + entries));
    view.cursors(to, row(2 + entries));
    view.footer(to, row(3 + entries));
}

/// What is drawn, and how.
struct View<'a> {
    theme: Theme,
    desk: &'a Desk,
    titles: Vec<(String, bool)>,
    picture: Option<Picture<'a>>,
}

impl View<'_> {
    fn write(&self, to: &mut Buffer, area: Rect, text: &str, style: Style) {
        let text = self.theme.fit(text, area.width.into());
        to.set_stringn(area.x, area.y, text, area.width.into(), style);
    }

    fn style_of(&self, channel: usize) -> Style {
        if self.theme.colour { Style::new().fg(COLOURS[channel % COLOURS.len()]) } else { Style::new() }
    }

    fn status(&self, to: &mut Buffer, area: Rect, trouble: Option<&str>) {
        let Desk { agent, scope, loaded, .. } = self.desk;
        let text = match (loaded, scope) {
            (Some(saved), _) => {
                let division = span(saved.capture.frame.span_ns / DIVISIONS);
                let samples = saved.capture.samples.len();
                format!("{} loaded  {samples} samples  {division}/div  {}", saved.agent, saved.trigger)
            }
            (None, Some(scope)) => {
                let timing = scope.timing();
                let counts = scope.counts();
                let missed = [(counts.lost, "lost"), (counts.events_lost, "events lost")]
                    .map(|(count, what)| if count > 0 { format!("  {count} {what}") } else { String::new() })
                    .concat();
                let blind = if scope.is_blind() { " (not there)" } else { "" };
                let damaged = if counts.damaged > 0 { "  ring damaged" } else { "" };
                format!(
                    "{agent} {} {}  {}/div  {:.0} % before  {}{blind}{missed}{damaged}",
                    scope.state_name(),
                    scope.repeat().name(),
                    span(timing.span_ns / DIVISIONS),
                    timing.pre() * 100.0,
                    scope.trigger(),
                )
            }
            (None, None) => String::new(),
        };
        match trouble {
            Some(trouble) => self.write(to, area, &format!("{text}  {trouble}"), self.theme.style(Look::Bad)),
            None => self.write(to, area, &text, self.theme.style(Look::Heading)),
        }
    }

    fn help(&self, to: &mut Buffer, area: Rect) {
        let per_row = usize::from((area.width / ENTRY_WIDTH).max(1));
        let rows = KEYS.len().div_ceil(per_row);
        for (place, (keys, what)) in KEYS.iter().enumerate() {
            let (across, down) = ((place / rows) as u16, (place % rows) as u16);
            if down < area.height {
                let entry = Rect { x: area.x + across * ENTRY_WIDTH, y: area.y + down, width: ENTRY_WIDTH, height: 1 };
                self.write(to, entry.intersection(area), &format!("{keys:<15}{what}"), Style::new());
            }
        }
    }

    /// The time at both ends, and where trigger and cursors are.
    fn axis(&self, to: &mut Buffer, area: Rect) {
        let Some(Picture { frame, .. }) = self.picture else { return };
        let window = self.desk.window;
        let at = |share: f64| (share * frame.span_ns as f64) as i64 - frame.pre_ns as i64;
        let (left, right) = (time(at(window.left)), time(at(window.left + window.width)));
        let style = self.theme.style(Look::Muted);
        self.write(to, area, &left, style);
        let width = (right.chars().count() as u16).min(area.width);
        self.write(to, Rect { x: area.right() - width, width, ..area }, &right, style);
        let marks = [('T', Some(0)), ('A', self.desk.cursors.at_ns[0]), ('B', self.desk.cursors.at_ns[1])];
        for (name, at_ns) in marks {
            if let Some(x) = at_ns.and_then(|at_ns| self.x_of(area, at_ns)) {
                to.set_string(x, area.y, name.to_string(), self.theme.style(Look::Plain));
            }
        }
    }

    /// The column of a time after the trigger.
    fn x_of(&self, area: Rect, at_ns: i64) -> Option<u16> {
        let column = self.time_axis(area.width.into())?.column(at_ns as f64 + self.picture?.frame.trigger_ns as f64)?;
        Some(area.x + column as u16)
    }

    /// What is shown of time, in so many columns.
    fn time_axis(&self, columns: usize) -> Option<columns::Axis> {
        let frame = self.picture?.frame;
        let window = self.desk.window;
        let span_ns = frame.span_ns as f64;
        let start_ns = frame.trigger_ns as f64 - frame.pre_ns as f64 + window.left * span_ns;
        Some(columns::Axis { start_ns, width_ns: window.width * span_ns, columns })
    }

    /// One channel: its mark, its name, its scale, its value at the cursor or the newest one.
    fn entry(&self, to: &mut Buffer, area: Rect, channel: usize, (title, is_there): &(String, bool)) {
        let Some(trace) = self.desk.traces.get(channel) else { return };
        let is_selected = channel == self.desk.selected;
        let value = match trace.is_hidden {
            _ if !is_there => "not there".to_owned(),
            true => "hidden".to_owned(),
            false => self.sample_shown().map_or("-".to_owned(), |sample| figure(sample.values[channel])),
        };
        let arrow = if is_selected { '>' } else { ' ' };
        let right = format!("{}/div {value:>10}", figure(trace.scale.per_division));
        let room = usize::from(area.width).saturating_sub(right.chars().count() + 5);
        let name = self.theme.fit(title, room);
        let line = format!("{arrow}{} {name:room$} {right}", mark(channel));
        let style = self.style_of(channel);
        self.write(to, area, &line, if is_selected { style.patch(self.theme.style(Look::Chosen)) } else { style });
    }

    /// The sample whose values are listed.
    fn sample_shown(&self) -> Option<&Sample> {
        let Picture { frame, samples, .. } = self.picture?;
        match self.desk.cursors.at_ns[self.desk.active.unwrap_or(0)] {
            Some(at_ns) => sample_at(&frame, samples, at_ns, self.desk.period_ns()),
            None => samples.last(),
        }
    }

    fn measured(&self, to: &mut Buffer, area: Rect) {
        let Some(Picture { frame, samples, ended }) = self.picture else { return };
        let channel = self.desk.selected;
        let between = self.desk.cursors.between(&frame, samples);
        let place = if self.desk.cursors.difference_ns().is_some() { "A..B" } else { "all" };
        let text = match Measurement::of(between, channel) {
            _ if self.titles.is_empty() => String::new(),
            None => format!("{} {place}: no value", mark(channel)),
            Some(of) => {
                let [min, max, mean, rms] = [of.min, of.max, of.mean, of.rms].map(figure);
                let frequency = of.frequency_hz.map_or("-".to_owned(), |hz| format!("{} Hz", figure(hz)));
                format!("{} {place}: min {min}  max {max}  mean {mean}  rms {rms}  f {frequency}", mark(channel))
            }
        };
        let ended = if ended { "  the runtime ended here" } else { "" };
        self.write(to, area, &format!("{text}{ended}"), Style::new());
    }

    fn cursors(&self, to: &mut Buffer, area: Rect) {
        let Some(Picture { frame, samples, .. }) = self.picture else { return };
        let Desk { cursors, active, selected, .. } = self.desk;
        let value = |at_ns: Option<i64>| {
            let sample = sample_at(&frame, samples, at_ns?, self.desk.period_ns())?;
            Some(sample.values[*selected])
        };
        let [a, b] = cursors.at_ns.map(value);
        let mut parts = Vec::new();
        for (place, (name, value)) in [('A', a), ('B', b)].into_iter().enumerate() {
            if let Some(at_ns) = cursors.at_ns[place] {
                let is_active = if *active == Some(place) { "*" } else { "" };
                parts.push(format!("{name}{is_active} {} {}", time(at_ns), value.map_or("-".to_owned(), figure)));
            }
        }
        if let Some(difference_ns) = cursors.difference_ns() {
            let values = a.zip(b).map_or("-".to_owned(), |(a, b)| figure(b - a));
            let rate = if difference_ns == 0 {
                String::new()
            } else {
                format!("  1/t {} Hz", figure(1e9 / difference_ns.abs() as f64))
            };
            parts.push(format!("B-A {} {values}{rate}", time(difference_ns)));
        }
        self.write(to, area, &parts.join("  "), Style::new());
    }

    fn footer(&self, to: &mut Buffer, area: Rect) {
        let Desk { prompt, message, .. } = self.desk;
        match prompt {
            Some((asked, prompt)) => {
                let text = format!("{}: {}_", asked.name(), prompt.text());
                // The end of what is typed has to be seen.
                let beyond = text.chars().count().saturating_sub(area.width.into());
                self.write(to, area, &text.chars().skip(beyond).collect::<String>(), self.theme.style(Look::Heading));
            }
            None if message.is_empty() => self.write(to, area, HINTS, self.theme.style(Look::Muted)),
            None => self.write(to, area, message, self.theme.style(Look::Doubtful)),
        }
    }
}

/// A value in five digits.
pub(super) fn figure(value: f64) -> String {
    match value.abs() {
        size if size.is_nan() => "-".to_owned(),
        0.0 => "0".to_owned(),
        1e-3..1e6 => {
            let digits = (4 - value.abs().log10().floor() as i32).clamp(0, 7) as usize;
            let text = format!("{value:.digits$}");
            if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
        }
        size if size.is_infinite() => value.to_string(),
        _ => format!("{value:.3e}"),
    }
}

/// A time after the trigger, or before it.
fn time(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    format!("{sign}{}", span(ns.unsigned_abs()))
}

#[cfg(test)]
mod tests;

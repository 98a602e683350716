//! What was seen, as a picture of any size. Pure: the moment is an argument.

mod facts;
mod grid;
mod numbers;
mod overview;
mod policy;
mod tables;

use std::time::{Duration, Instant};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use shm_layout::Counter;

use self::grid::Grid;
use self::numbers::duration;
use super::model::{Model, Presence, printable};
use super::state::{Drawn, State, Tab};
use crate::screen::{Look, Theme};

/// Below this nothing can be told.
const COLUMNS_MIN: u16 = 40;
const ROWS_MIN: u16 = 8;
/// Without a cycle for so long, and for three periods, the cycles stand still.
const STILL_AFTER: Duration = Duration::from_secs(2);

/// When the picture is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// The same on the clock that records are stamped with, nanoseconds.
    pub(super) now_ns: u64,
}

impl Moment {
    /// How long ago that was.
    fn since(self, time_ns: u64) -> String {
        duration(Duration::from_nanos(self.now_ns.saturating_sub(time_ns)))
    }
}

/// All that a picture is made of.
pub(super) struct Picture<'a> {
    pub(super) model: &'a Model,
    pub(super) state: &'a State,
    pub(super) theme: Theme,
    pub(super) moment: Moment,
    /// The agent's name, its place among all, and how many there are.
    pub(super) agent: (&'a str, usize, usize),
    /// For how long the picture stands while the world goes on.
    pub(super) frozen: Option<Duration>,
}

impl Picture<'_> {
    /// Draws it; what the table in it holds.
    pub(super) fn draw(&self, buffer: &mut Buffer) -> Drawn {
        let area = buffer.area;
        if area.width < COLUMNS_MIN || area.height < ROWS_MIN {
            let said = format!("{COLUMNS_MIN} x {ROWS_MIN} at least, please");
            buffer.set_stringn(area.x, area.y, said, area.width.into(), self.theme.style(Look::Plain));
            return Drawn::default();
        }
        self.top(Rect { height: 1, ..area }, buffer);
        self.tabs(Rect { y: area.y + 1, height: 1, ..area }, buffer);
        let alerts = self.alerts();
        let mut y = area.y + 2;
        for (look, alert) in alerts.iter().take(3) {
            self.line(Rect { y, height: 1, ..area }, buffer, alert, *look);
            y += 1;
        }
        self.bottom(Rect { y: area.bottom() - 1, height: 1, ..area }, buffer);
        let body = Rect { y, height: area.bottom() - 1 - y, ..area };
        if self.state.help { self.help(body, buffer) } else { self.body(body, buffer) }
    }

    fn line(&self, area: Rect, buffer: &mut Buffer, text: &str, look: Look) {
        buffer.set_string(area.x, area.y, self.theme.fit(text, area.width.into()), self.theme.style(look));
    }

    fn top(&self, area: Rect, buffer: &mut Buffer) {
        let (agent, place, of) = self.agent;
        let others = if of > 1 { format!(" ({} of {of}: n, p)", place + 1) } else { String::new() };
        let (look, mode) = overview::mode(self.model);
        let left = format!("{}{others}  {mode}", printable(agent));
        self.line(area, buffer, &left, look);
        let right = match (self.frozen, &self.model.status) {
            (Some(since), _) => format!(" FROZEN for {} ", duration(since)),
            (None, Some(status)) if status.uptime_s.is_finite() && status.uptime_s >= 0.0 => {
                format!("up {}", duration(Duration::try_from_secs_f64(status.uptime_s).unwrap_or_default()))
            }
            _ => String::new(),
        };
        let x = area.right().saturating_sub(right.chars().count() as u16);
        let look = if self.frozen.is_some() { Look::Chosen } else { Look::Muted };
        buffer.set_string(x, area.y, right, self.theme.style(look));
    }

    fn tabs(&self, area: Rect, buffer: &mut Buffer) {
        let mut x = area.x;
        for (number, tab) in (1..).zip(Tab::ALL) {
            let is_open = tab == self.state.tab;
            let text =
                if is_open { format!("[{number} {}]", tab.name()) } else { format!(" {number} {} ", tab.name()) };
            let look = if is_open { Look::Chosen } else { Look::Muted };
            let left = usize::from(area.right().saturating_sub(x));
            buffer.set_stringn(x, area.y, &text, left, self.theme.style(look));
            x = x.saturating_add(text.chars().count() as u16);
        }
    }

    /// What has to be known on every tab.
    fn alerts(&self) -> Vec<(Look, String)> {
        let mut alerts = Vec::new();
        match &self.model.presence {
            Presence::Awaited => alerts.push((Look::Doubtful, "waiting for a runtime to answer".into())),
            Presence::Gone(since) => {
                let text = format!("NOBODY THERE for {}; this is what was seen last", self.ago(*since));
                alerts.push((Look::Bad, text));
            }
            Presence::Silent { since, why } => {
                let text = format!("NO ANSWER for {}: {}", self.ago(*since), printable(why));
                alerts.push((Look::Bad, text));
                alerts.extend(self.standstill());
            }
            Presence::Here => alerts.extend(self.standstill()),
        }
        if self.model.damaged {
            alerts.push((Look::Bad, "a ring holds what no sound writer writes; some records were passed over".into()));
        }
        alerts
    }

    fn standstill(&self) -> Option<(Look, String)> {
        let since = self.model.still_since()?;
        let periods = Duration::from_nanos(self.model.counters.get(Counter::Period)).saturating_mul(3);
        let is_still = self.moment.now.saturating_duration_since(since) >= STILL_AFTER.max(periods);
        is_still.then(|| (Look::Bad, format!("CYCLES STAND STILL for {}", self.ago(since))))
    }

    fn ago(&self, since: Instant) -> String {
        duration(self.moment.now.saturating_duration_since(since))
    }

    fn bottom(&self, area: Rect, buffer: &mut Buffer) {
        let listing = self.state.listing();
        if self.state.typing {
            self.line(area, buffer, &format!("/{}_", listing.filter.text()), Look::Plain);
            return;
        }
        let filter = match listing.filter.text() {
            "" => String::new(),
            text => format!("filter `{text}`  "),
        };
        let missed = match self.model.missed {
            0 => String::new(),
            missed => format!("{missed} records missed  "),
        };
        let keys = match self.state.tab {
            Tab::Overview => "? help  Tab next  space freeze  q quit",
            _ => "? help  Tab next  / filter  < > sort  I invert  space freeze  q quit",
        };
        self.line(area, buffer, &format!("{filter}{missed}{keys}"), Look::Muted);
    }

    fn body(&self, area: Rect, buffer: &mut Buffer) -> Drawn {
        match self.state.tab {
            Tab::Overview => {
                self.overview(area.width).draw(area, buffer, self.theme);
                Drawn::default()
            }
            Tab::Tags => self.grid(self.tags(area.width), area, buffer),
            Tab::Setpoints => self.grid(self.setpoints(area.width), area, buffer),
            Tab::Policy => {
                // The table of what happened keeps a third of the screen at least.
                let facts = Rect { height: area.height - area.height / 3, ..area };
                let used = self.policy().draw(facts, buffer, self.theme);
                let rest = Rect { y: area.y + used, height: area.height - used, ..area };
                self.grid(self.policy_events(), rest, buffer)
            }
            Tab::Threads => {
                let unseen = &self.model.processes.unseen;
                for (line, y) in unseen.iter().take(2).zip(area.y..area.bottom()) {
                    self.line(Rect { y, height: 1, ..area }, buffer, line, Look::Doubtful);
                }
                let used = (unseen.len().min(2) as u16).min(area.height);
                let rest = Rect { y: area.y + used, height: area.height - used, ..area };
                self.grid(self.threads(), rest, buffer)
            }
            Tab::Events => self.grid(self.events(), area, buffer),
        }
    }

    fn grid(&self, grid: Grid, area: Rect, buffer: &mut Buffer) -> Drawn {
        grid.draw(area, buffer, self.state.listing(), self.theme)
    }

    fn help(&self, area: Rect, buffer: &mut Buffer) -> Drawn {
        for (line, y) in HELP.iter().zip(area.y..area.bottom()) {
            self.line(Rect { y, height: 1, ..area }, buffer, line, Look::Plain);
        }
        Drawn::default()
    }
}

/// The picture as lines of text.
pub(super) fn text(buffer: &Buffer) -> String {
    let line = |row: &[ratatui::buffer::Cell]| {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        format!("{}\n", line.trim_end())
    };
    buffer.content.chunks(buffer.area.width.into()).map(line).collect()
}

const HELP: &[&str] = &[
    "Tab, Shift-Tab, left, right, 1 to 6      the tabs",
    "up, down, PgUp, PgDn, Home, End          the rows",
    "/ or F4      show the rows that hold what is typed; Enter keeps it, Esc forgets",
    ">, F6, <     put the rows in the order of the next column, of the one before",
    "I            invert the order",
    "space        freeze the picture; what happens meanwhile is counted",
    "n, p         the next agent, the one before",
    "Ctrl-L       draw everything anew",
    "q, F10       quit",
    "",
    "Lateness, execution and response are the last minute's; each column of a",
    "sparkline is a second's largest. A tag's range is what was seen of it. Of a",
    "setpoint: raw is what policy or fallback asked for, sent what the limits let",
    "through, last what it moves from, plant what was read back. Of a thread:",
    "page faults, and switches that it wanted (vol) and did not (invol).",
    "Looking changes nothing: shared memory is mapped read-only.",
    "",
    "Any key goes back.",
];

#[cfg(test)]
mod tests;

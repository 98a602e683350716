//! The scope's front panel: what is shown of a sweep, and what each key does.

use std::path::Path;

use super::acquisition::{Repeat, State, Timing};
use super::channel::CHANNELS_MAX;
use super::cursor::{Cursors, relative_ns};
use super::engine::{Picture, Scope};
use super::file::Saved;
use super::trigger::Trigger;
use super::view::{Scale, stepped};
use super::{DIVISIONS, load, save};
use crate::screen::{Key, Prompt};

/// The part of the sweep that can be shown at least.
const ZOOM_MAX: f64 = 1e-4;
/// Arrows move by this share of what is shown.
const ARROW: f64 = 0.02;
/// A step of the trigger's place in the sweep.
const PRE_STEP: f64 = 0.1;

/// What every key does, for the help.
pub(super) const KEYS: [(&str, &str); 18] = [
    ("space", "stop, and go on"),
    ("n", "one sweep (single)"),
    ("r", "normal/continuous/single"),
    ("f", "sweep without a trigger"),
    ("t", "type a trigger"),
    ("e", "type channels, by commas"),
    ("[ ]", "shorter, longer time base"),
    ("< >", "trigger earlier, later"),
    ("z Z", "zoom in, out"),
    ("left right", "move in time, or cursor"),
    ("c", "cursor A, B, none active"),
    ("C", "both cursors off"),
    ("up down, 1-9", "choose a channel"),
    ("+ -", "fewer, more units/div"),
    ("PgUp PgDn", "move a trace up, down"),
    ("a A", "scale a channel, all"),
    ("h", "hide a channel, show it"),
    ("s l", "save, load a capture"),
];

/// How one channel is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trace {
    pub(super) scale: Scale,
    pub(super) is_hidden: bool,
}

/// The part of a sweep that is shown, as shares of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Window {
    pub(super) left: f64,
    pub(super) width: f64,
}

impl Window {
    const WHOLE: Self = Self { left: 0.0, width: 1.0 };

    /// As wide as that, about the same place.
    fn zoom(&mut self, factor: f64, about: f64) {
        let width = (self.width * factor).clamp(ZOOM_MAX, 1.0);
        let place = (about - self.left) / self.width;
        *self = Self { left: about - place * width, width };
        self.pan(0.0);
    }

    /// Moved by a share of what is shown.
    fn pan(&mut self, share: f64) {
        self.left = (self.left + share * self.width).clamp(0.0, 1.0 - self.width);
    }
}

/// What a typed line is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Trigger,
    Channels,
    Save,
    Load,
}

impl Asked {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Trigger => "trigger",
            Self::Channels => "channels",
            Self::Save => "save as",
            Self::Load => "load",
        }
    }
}

/// The front panel.
pub(super) struct Desk {
    pub(super) agent: String,
    /// The scope; there is none when only a file is looked at.
    pub(super) scope: Option<Scope>,
    /// A capture that was loaded is shown in place of the scope's.
    pub(super) loaded: Option<Saved>,
    pub(super) traces: Vec<Trace>,
    pub(super) selected: usize,
    pub(super) window: Window,
    pub(super) cursors: Cursors,
    /// The cursor that the arrows move.
    pub(super) active: Option<usize>,
    pub(super) prompt: Option<(Asked, Prompt)>,
    pub(super) message: String,
    pub(super) shows_help: bool,
    /// The file that saving offers.
    offered: String,
}

impl Desk {
    pub(super) fn new(agent: String, scope: Option<Scope>, loaded: Option<Saved>, offered: Option<&Path>) -> Self {
        Self {
            agent,
            scope,
            loaded,
            traces: Vec::new(),
            selected: 0,
            window: Window::WHOLE,
            cursors: Cursors::default(),
            active: None,
            prompt: None,
            message: String::new(),
            shows_help: false,
            offered: offered.map_or("scope.csv".to_owned(), |path| path.display().to_string()),
        }
    }

    /// What there is to be seen.
    pub(super) fn picture(&self) -> Option<Picture<'_>> {
        match &self.loaded {
            Some(saved) => Some(Picture::of(&saved.capture)),
            None => self.scope.as_ref()?.picture(),
        }
    }

    /// Titles of the channels, and whether the runtime has them.
    pub(super) fn titles(&self) -> Vec<(String, bool)> {
        match (&self.loaded, &self.scope) {
            (Some(saved), _) => saved.titles.iter().map(|title| (title.clone(), true)).collect(),
            (None, Some(scope)) => {
                scope.channels().iter().map(|channel| (channel.title(), channel.signal.is_some())).collect()
            }
            (None, None) => Vec::new(),
        }
    }

    /// The channel that the trigger looks at, if it is shown, and the level.
    pub(super) fn trigger_level(&self) -> Option<(usize, f64)> {
        let scope = self.scope.as_ref().filter(|_| self.loaded.is_none())?;
        let looks_at = scope.trigger().signal()?;
        let channel = scope.channels().iter().position(|channel| channel.name == looks_at)?;
        Some((channel, scope.trigger().level()?))
    }

    pub(super) fn period_ns(&self) -> u64 {
        let of_scope = || self.scope.as_ref().map_or(1, Scope::period_ns);
        self.loaded.as_ref().map_or_else(of_scope, |saved| saved.period_ns)
    }

    /// Before drawing: as many traces as channels, and those that scale themselves do.
    pub(super) fn settle(&mut self) {
        let channels = self.titles().len().min(CHANNELS_MAX);
        self.traces.resize(channels, Trace { scale: Scale::automatic(), is_hidden: false });
        self.selected = self.selected.min(channels.saturating_sub(1));
        let ranges: Vec<_> = (0..channels).map(|channel| self.range(channel)).collect();
        for (trace, range) in self.traces.iter_mut().zip(ranges) {
            if let Some((min, max)) = range {
                trace.scale.follow(min, max);
            }
        }
    }

    /// The lowest and the highest value of a channel.
    fn range(&self, channel: usize) -> Option<(f64, f64)> {
        let values = self.picture()?.samples.iter().map(|sample| sample.values[channel]);
        values.filter(|value| value.is_finite()).map(|value| (value, value)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// A key was pressed; whether to go on.
    pub(super) fn press(&mut self, key: Key) -> bool {
        if self.prompt.is_some() {
            self.type_in(key);
            return true;
        }
        self.message.clear();
        match key {
            _ if self.shows_help => self.shows_help = false,
            Key::Char('q') | Key::Control('c') => return false,
            Key::Char('?') | Key::Function(1) => self.shows_help = true,
            Key::Char('t') => self.ask(Asked::Trigger),
            Key::Char('e') => self.ask(Asked::Channels),
            Key::Char('s') => self.ask(Asked::Save),
            Key::Char('l') => self.ask(Asked::Load),
            Key::Escape => self.leave(),
            _ if self.press_for_time(key) || self.press_for_channel(key) => {}
            _ => self.press_for_scope(key),
        }
        true
    }

    /// Out of what was loaded, where there is something else.
    fn leave(&mut self) {
        if self.scope.is_some() && self.loaded.take().is_some() {
            self.show_anew();
        }
        self.active = None;
    }

    /// Other samples are shown: from their whole.
    fn show_anew(&mut self) {
        (self.window, self.cursors, self.active) = (Window::WHOLE, Cursors::default(), None);
        self.traces.clear();
    }

    fn press_for_time(&mut self, key: Key) -> bool {
        let about = self.zoom_about();
        match key {
            Key::Char('z') => self.window.zoom(0.5, about),
            Key::Char('Z') => self.window.zoom(2.0, about),
            Key::Char('c') => self.next_cursor(),
            Key::Char('C') => (self.cursors, self.active) = (Cursors::default(), None),
            Key::Left => self.move_by(-ARROW),
            Key::Right => self.move_by(ARROW),
            _ => return false,
        }
        true
    }

    /// The active cursor, or the middle.
    fn zoom_about(&self) -> f64 {
        let middle = self.window.left + self.window.width / 2.0;
        let cursor = self.active.and_then(|active| self.cursors.at_ns[active]);
        let place = |picture: Picture<'_>| {
            let from_start = cursor? as f64 + picture.frame.pre_ns as f64;
            Some(from_start / picture.frame.span_ns as f64)
        };
        self.picture().and_then(place).filter(|place| (0.0..=1.0).contains(place)).unwrap_or(middle)
    }

    fn move_by(&mut self, share: f64) {
        let Some(frame) = self.picture().map(|picture| picture.frame) else { return };
        let Some(active) = self.active else { return self.window.pan(share * 5.0) };
        let step = (share * self.window.width * frame.span_ns as f64) as i64;
        let step = if step == 0 { share.signum() as i64 } else { step };
        let (first, last) = (-(frame.pre_ns as i64), (frame.span_ns - frame.pre_ns) as i64);
        let at = self.cursors.at_ns[active].unwrap_or(0);
        self.cursors.at_ns[active] = Some((at + step).clamp(first, last));
    }

    fn next_cursor(&mut self) {
        self.active = match self.active {
            None => Some(0),
            Some(0) => Some(1),
            Some(_) => None,
        };
        let Some(active) = self.active else { return };
        if self.cursors.at_ns[active].is_none() {
            self.cursors.at_ns[active] = self.middle_ns();
        }
    }

    /// The sample in the middle of what is shown, after the trigger.
    fn middle_ns(&self) -> Option<i64> {
        let Picture { frame, samples, .. } = self.picture()?;
        let middle = self.window.left + self.window.width / 2.0;
        let wanted = (middle * frame.span_ns as f64) as i64 - frame.pre_ns as i64;
        let after = samples.partition_point(|sample| relative_ns(&frame, sample) < wanted);
        Some(samples.get(after).map_or(wanted, |sample| relative_ns(&frame, sample)))
    }

    fn press_for_channel(&mut self, key: Key) -> bool {
        let channels = self.traces.len().max(1);
        let range = self.range(self.selected.min(CHANNELS_MAX - 1));
        let trace = self.traces.get_mut(self.selected);
        match (key, trace) {
            (Key::Up | Key::BackTab, _) => self.selected = (self.selected + channels - 1) % channels,
            (Key::Down | Key::Tab, _) => self.selected = (self.selected + 1) % channels,
            (Key::Char(digit @ '1'..='9'), _) => {
                let place = digit as usize - '1' as usize;
                self.selected = place.min(channels - 1);
            }
            (Key::Char('+' | '='), Some(trace)) => trace.scale.step(-1),
            (Key::Char('-'), Some(trace)) => trace.scale.step(1),
            (Key::PageUp, Some(trace)) => trace.scale.shift(0.5),
            (Key::PageDown, Some(trace)) => trace.scale.shift(-0.5),
            (Key::Char('h'), Some(trace)) => trace.is_hidden = !trace.is_hidden,
            (Key::Char('a'), Some(trace)) => {
                trace.scale.is_automatic = true;
                if let Some((min, max)) = range {
                    trace.scale.fit(min, max);
                }
            }
            (Key::Char('A'), _) => self.traces.iter_mut().for_each(|trace| trace.scale = Scale::automatic()),
            _ => return false,
        }
        true
    }

    fn press_for_scope(&mut self, key: Key) {
        if self.loaded.is_some() {
            self.message = match self.scope {
                Some(_) => "this capture was loaded; Escape goes back to the agent".to_owned(),
                None => "this capture was loaded: there is no agent to do that with".to_owned(),
            };
            return;
        }
        let Some(scope) = &mut self.scope else { return };
        let timing = scope.timing();
        match key {
            Key::Char(' ') if scope.state() == State::Stopped => {
                if scope.repeat() == Repeat::Single {
                    scope.set_repeat(Repeat::Normal);
                }
                scope.arm();
            }
            Key::Char(' ') => scope.stop(),
            Key::Char('n') => {
                scope.set_repeat(Repeat::Single);
                scope.arm();
            }
            Key::Char('r') => scope.set_repeat(match scope.repeat() {
                Repeat::Normal => Repeat::Continuous,
                Repeat::Continuous => Repeat::Single,
                Repeat::Single => Repeat::Normal,
            }),
            Key::Char('f') => scope.force(),
            Key::Char('[') => self.retime(stepped_timing(timing, -1)),
            Key::Char(']') => self.retime(stepped_timing(timing, 1)),
            Key::Char('<') => self.retime(Timing::new(timing.span_ns, timing.pre() - PRE_STEP)),
            Key::Char('>') => self.retime(Timing::new(timing.span_ns, timing.pre() + PRE_STEP)),
            _ => {}
        }
    }

    fn retime(&mut self, timing: Timing) {
        self.window = Window::WHOLE;
        if let Some(Err(why)) = self.scope.as_mut().map(|scope| scope.set_timing(timing)) {
            self.message = why;
        }
    }

    fn ask(&mut self, asked: Asked) {
        let text = match (asked, &self.scope) {
            (Asked::Trigger, Some(scope)) => scope.trigger().to_string(),
            (Asked::Channels, Some(scope)) => {
                scope.channels().iter().map(|channel| channel.name.as_str()).collect::<Vec<_>>().join(", ")
            }
            (Asked::Save, _) => self.offered.clone(),
            (Asked::Load, _) => String::new(),
            (Asked::Trigger | Asked::Channels, None) => return self.press_for_scope(Key::Enter),
        };
        let mut prompt = Prompt::default();
        text.chars().for_each(|character| _ = prompt.take(Key::Char(character)));
        self.prompt = Some((asked, prompt));
    }

    fn type_in(&mut self, key: Key) {
        let Some((asked, prompt)) = &mut self.prompt else { return };
        if prompt.take(key) {
            return;
        }
        let (asked, text) = (*asked, prompt.text().trim().to_owned());
        self.prompt = None;
        if !text.is_empty() && key == Key::Enter {
            self.message = self.answer(asked, &text).unwrap_or_else(|why| why);
        }
    }

    /// Does what was typed; what to say about it.
    fn answer(&mut self, asked: Asked, text: &str) -> Result<String, String> {
        match (asked, &mut self.scope) {
            (Asked::Trigger, Some(scope)) => {
                scope.set_trigger(text.parse::<Trigger>()?)?;
                Ok(format!("waiting for {}", scope.trigger()))
            }
            (Asked::Channels, Some(scope)) => {
                let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
                scope.set_channels(&names)?;
                self.show_anew();
                Ok(String::new())
            }
            (Asked::Load, _) => {
                self.loaded = Some(load(Path::new(text)).map_err(|failure| failure.to_string())?);
                self.show_anew();
                Ok(format!("{text} was loaded"))
            }
            (Asked::Save, _) => self.save_as(text),
            (Asked::Trigger | Asked::Channels, None) => Ok(String::new()),
        }
    }

    fn save_as(&mut self, text: &str) -> Result<String, String> {
        let path = super::capture_file(text)?;
        let of_scope = |scope: &Scope| Some(scope.saved(self.agent.clone(), scope.last()?));
        let saved = self.loaded.clone().or_else(|| self.scope.as_ref().and_then(of_scope));
        let saved = saved.ok_or("there is no sweep yet: stop what rolls by with space, and save that")?;
        save(&saved, &path).map_err(|failure| failure.to_string())?;
        text.clone_into(&mut self.offered);
        Ok(format!("{} samples are in {text}", saved.capture.samples.len()))
    }
}

/// The next time base of 1, 2, 5, 10, ….
fn stepped_timing(timing: Timing, direction: i32) -> Timing {
    let division_ns = stepped(timing.span_ns as f64 / DIVISIONS as f64, direction);
    Timing::new((division_ns.round() as u64).saturating_mul(DIVISIONS), timing.pre())
}

#[cfg(test)]
mod tests;

//! The scope on a screen.

use std::time::{Duration, Instant};

use super::ScopeArguments;
use super::desk::Desk;
use super::file::Saved;
use super::source::Source;
use super::view;
use crate::failure::{Exit, Failure};
use crate::screen::{Happened, Key, Screen, Theme};

/// How long a picture stays when no key is pressed.
const FRAME: Duration = Duration::from_millis(80);
const INSTEAD: &str = "add --headless to take one sweep without a screen";

/// Follows a running agent until somebody quits.
pub(super) fn watch(arguments: &ScopeArguments) -> Result<Exit, Failure> {
    // The terminal first: whoever has none is told so, agent or not.
    let mut screen = Screen::open(INSTEAD)?;
    let (source, scope) = Source::open(arguments, Instant::now())?;
    let mut desk = Desk::new(source.label(), Some(scope), None, arguments.save.as_deref());
    show(arguments, &mut screen, &mut desk, Some(source))
}

/// Shows a capture until somebody quits.
pub(super) fn look_at(arguments: &ScopeArguments, saved: Saved) -> Result<Exit, Failure> {
    let mut screen = Screen::open(INSTEAD)?;
    let mut desk = Desk::new(saved.agent.clone(), None, Some(saved), arguments.save.as_deref());
    show(arguments, &mut screen, &mut desk, None)
}

fn show(
    arguments: &ScopeArguments,
    screen: &mut Screen,
    desk: &mut Desk,
    mut source: Option<Source>,
) -> Result<Exit, Failure> {
    let theme = Theme::of_environment(arguments.no_color);
    loop {
        if let (Some(source), Some(scope)) = (&mut source, &mut desk.scope) {
            source.feed(scope, Instant::now());
        }
        desk.settle();
        let trouble = source.as_ref().and_then(Source::trouble);
        if screen.draw(|frame| view::draw(frame, theme, desk, trouble)).is_err() {
            return Ok(Exit::Fine);
        }
        match screen.wait(FRAME) {
            Happened::Key(Key::Control('l')) if screen.clear().is_err() => return Ok(Exit::Fine),
            Happened::Key(key) if !desk.press(key) => return Ok(Exit::Fine),
            Happened::Key(_) | Happened::Nothing => {}
            Happened::End => return Ok(Exit::Fine),
        }
    }
}

//! Facts, one below the other: a name, and what is to be said.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::screen::{Look, Theme};

/// Room for the names.
pub(super) const NAME_WIDTH: u16 = 12;
/// What is longer than so many lines is cut.
const LINES_MAX: usize = 3;

/// Facts in the order of their importance: what does not fit is left out from the end.
#[derive(Debug, Default)]
pub(super) struct Facts(Vec<(&'static str, String, Look)>);

impl Facts {
    pub(super) fn say(&mut self, name: &'static str, text: impl Into<String>, look: Look) {
        self.0.push((name, text.into(), look));
    }

    pub(super) fn plain(&mut self, name: &'static str, text: impl Into<String>) {
        self.say(name, text, Look::Plain);
    }

    /// Draws them; the lines that they take.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer, theme: Theme) -> u16 {
        let width = usize::from(area.width.saturating_sub(NAME_WIDTH));
        let mut y = area.y;
        for (name, text, look) in &self.0 {
            let lines = wrap(text, width, theme);
            if y + lines.len() as u16 > area.bottom() {
                break;
            }
            buffer.set_stringn(area.x, y, name, NAME_WIDTH.into(), theme.style(Look::Heading));
            for line in lines {
                buffer.set_stringn(area.x + NAME_WIDTH, y, line, width, theme.style(*look));
                y += 1;
            }
        }
        y - area.y
    }
}

/// The text in lines, broken between words.
fn wrap(text: &str, width: usize, theme: Theme) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut rest = text;
    while rest.chars().count() > width && lines.len() < LINES_MAX {
        let end = rest.char_indices().nth(width).map_or(rest.len(), |(at, _)| at);
        let (line, behind) = rest.split_at(end);
        // A word that ends where the line does fits.
        let cut = if behind.starts_with(' ') { end } else { line.rfind(' ').filter(|cut| *cut > 0).unwrap_or(end) };
        let (line, behind) = rest.split_at(cut);
        if let Some(last) = lines.last_mut() {
            line.clone_into(last);
        }
        rest = behind.trim_start();
        lines.push(String::new());
    }
    if let Some(last) = lines.last_mut() {
        *last = theme.fit(rest, width);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_broken_between_words_and_cut_in_its_third_line() {
        let theme = Theme { colour: false, unicode: false };
        assert_eq!(wrap("one two three", 8, theme), ["one two", "three"]);
        assert_eq!(wrap("einszweidrei vier", 6, theme), ["einszw", "eidrei", "vier"]);
        assert_eq!(wrap("aaaa bbb öccc dddd", 9, theme), ["aaaa bbb", "öccc dddd"]);
        assert_eq!(wrap("a b c d e f", 3, theme), ["a b", "c d", "e f"]);
        assert_eq!(wrap("a b c d e f g", 3, theme)[2], "e ~");
        assert_eq!(wrap("", 3, theme), [""]);
    }
}

//! How things look: with or without colour, with or without characters beyond ASCII.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of text is; the theme knows how that looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// As any other.
    Plain,
    /// A heading, or the name of a number.
    Heading,
    /// What explains, and is not needed.
    Muted,
    /// As it should be.
    Good,
    /// To be looked at.
    Doubtful,
    /// Wrong.
    Bad,
    /// What is chosen.
    Chosen,
}

/// What the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Theme {
    /// Colours may be used.
    pub(crate) colour: bool,
    /// Characters beyond ASCII may be used.
    pub(crate) unicode: bool,
}

/// From nothing to all, in characters.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const MARKS: [char; 8] = ['_', '.', ',', '-', '~', '=', '*', '#'];

impl Theme {
    /// What the environment says: `NO_COLOR`, the terminal's kind, and the locale.
    pub(crate) fn of_environment(no_colour: bool) -> Self {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG"));
        Self {
            colour: !no_colour && set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb"),
            unicode: speaks_unicode(locale.as_deref()),
        }
    }

    /// How that looks.
    pub(crate) fn style(self, look: Look) -> Style {
        let coloured = |colour| if self.colour { Style::new().fg(colour) } else { Style::new() };
        match look {
            Look::Plain => Style::new(),
            Look::Heading => coloured(Color::Cyan).add_modifier(Modifier::BOLD),
            Look::Muted => coloured(Color::DarkGray),
            Look::Good => coloured(Color::Green),
            Look::Doubtful => coloured(Color::Yellow).add_modifier(Modifier::BOLD),
            Look::Bad => coloured(Color::Red).add_modifier(Modifier::BOLD),
            Look::Chosen => Style::new().add_modifier(Modifier::REVERSED),
        }
    }

    /// The newest `width` values as a row of columns, from the lowest of them to the highest; a space where there is none.
    pub(crate) fn sparkline(self, values: impl DoubleEndedIterator<Item = f64>, width: usize) -> String {
        let mut shown: Vec<f64> = values.rev().take(width).collect();
        shown.reverse();
        let finite = || shown.iter().copied().filter(|value| value.is_finite());
        let (lo, hi) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
        let steps = if self.unicode { BLOCKS } else { MARKS };
        let column = |value: f64| {
            if !value.is_finite() {
                return ' ';
            }
            let share = if hi > lo { (value - lo) / (hi - lo) } else { 0.0 };
            steps.get((share * 7.0).round() as usize).copied().unwrap_or(' ')
        };
        let line: String = shown.iter().copied().map(column).collect();
        format!("{line:>width$}")
    }

    /// A bar of `width` characters from `lo` to `hi`, with a mark where the value lies; an arrow where it lies beyond. Empty
    /// when there is nothing to show.
    pub(crate) fn range_bar(self, value: f64, lo: f64, hi: f64, width: usize) -> String {
        let is_range = lo < hi && (hi - lo).is_finite();
        if !value.is_finite() || !is_range || width < 4 {
            return " ".repeat(width);
        }
        let (line, mark, below, above) = if self.unicode { ('─', '█', '◄', '►') } else { ('-', '#', '<', '>') };
        let inside = width - 2;
        let place = ((value - lo) / (hi - lo) * (inside - 1) as f64).round();
        let mut bar: Vec<char> = std::iter::repeat_n(line, inside).collect();
        let (at, sign) = match value {
            value if value < lo => (0, below),
            value if value > hi => (inside - 1, above),
            _ => (place as usize, mark),
        };
        if let Some(character) = bar.get_mut(at) {
            *character = sign;
        }
        format!("[{}]", bar.into_iter().collect::<String>())
    }

    /// What stands for text that was cut.
    pub(crate) fn ellipsis(self) -> char {
        if self.unicode { '…' } else { '~' }
    }

    /// A name in at most `width` characters: the middle goes first, because names of one plant often begin alike.
    pub(crate) fn fit_name(self, name: &str, width: usize) -> String {
        let length = name.chars().count();
        if length <= width || width < 3 {
            return self.fit(name, width);
        }
        let end = (width - 1) / 2;
        let begin = name.chars().take(width - 1 - end);
        begin.chain([self.ellipsis()]).chain(name.chars().skip(length - end)).collect()
    }

    /// The text in at most `width` characters.
    pub(crate) fn fit(self, text: &str, width: usize) -> String {
        if text.chars().count() <= width {
            return text.to_owned();
        }
        let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
        if width > 0 {
            cut.push(self.ellipsis());
        }
        cut
    }
}

/// A locale without a name is C, which is ASCII.
fn speaks_unicode(locale: Option<&str>) -> bool {
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RICH: Theme = Theme { colour: true, unicode: true };
    const PLAIN: Theme = Theme { colour: false, unicode: false };

    #[test]
    fn a_sparkline_spans_from_the_lowest_to_the_highest_and_shows_gaps() {
        let values = [9.0, 0.0, f64::NAN, 7.0, f64::INFINITY, 3.5];
        assert_eq!(RICH.sparkline(values.into_iter(), 5), "▁ █ ▅");
        assert_eq!(PLAIN.sparkline(values.into_iter(), 5), "_ # ~");
        assert_eq!(PLAIN.sparkline([2.0, 2.0].into_iter(), 4), "  __", "what does not change lies at the ground");
        assert_eq!(PLAIN.sparkline(std::iter::empty(), 3), "   ");
    }

    #[test]
    fn a_range_bar_marks_the_value_and_points_to_what_lies_beyond() {
        assert_eq!(PLAIN.range_bar(0.0, 0.0, 1.0, 8), "[#-----]");
        assert_eq!(RICH.range_bar(1.0, 0.0, 1.0, 8), "[─────█]");
        assert_eq!(PLAIN.range_bar(-0.1, 0.0, 1.0, 8), "[<-----]");
        assert_eq!(RICH.range_bar(1.5, 0.0, 1.0, 8), "[─────►]");
        for (value, lo, hi) in [(f64::NAN, 0.0, 1.0), (0.5, 1.0, 1.0), (0.5, f64::NAN, 1.0), (0.0, f64::MIN, f64::MAX)]
        {
            assert_eq!(RICH.range_bar(value, lo, hi, 8), " ".repeat(8));
        }
    }

    #[test]
    fn without_colour_no_style_has_one() {
        let looks = [Look::Plain, Look::Heading, Look::Muted, Look::Good, Look::Doubtful, Look::Bad, Look::Chosen];
        assert!(looks.iter().all(|look| PLAIN.style(*look).fg.is_none()));
        assert!(RICH.style(Look::Bad).fg.is_some());
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        assert_eq!(
            [RICH.fit("Überdruck", 4), PLAIN.fit("Überdruck", 4), RICH.fit("abc", 3), RICH.fit("abc", 0)],
            ["Übe…", "Übe~", "abc", ""].map(String::from)
        );
        assert_eq!(
            ["TANK_LEVEL_1", "TANK_LEVEL_2", "PH", "PUMP"].map(|name| RICH.fit_name(name, 6)),
            ["TAN…_1", "TAN…_2", "PH", "PUMP"]
        );
        assert_eq!(
            [PLAIN.fit_name("PUMP", 3), PLAIN.fit_name("PUMP", 2), PLAIN.fit_name("PUMP", 0)],
            ["P~P", "P~", ""]
        );
    }

    #[test]
    fn only_a_locale_of_utf_8_is_given_more_than_ascii() {
        assert!(speaks_unicode(Some("de_DE.UTF-8")) && speaks_unicode(Some("C.utf8")));
        assert!(!speaks_unicode(Some("C")) && !speaks_unicode(Some("de_DE.ISO-8859-1")) && !speaks_unicode(None));
    }
}

//! What is said about a file: errors that refuse it, notices that do not.

use std::fmt;
use std::path::{Path, PathBuf};

/// The most complaints that one check reports; the rest is counted.
pub(crate) const COMPLAINTS_MAX: usize = 200;

/// Characters of a file's own words that are quoted in a message; longer ones are cut.
const QUOTED_MAX: usize = 60;

/// Characters of a source line that are shown under a complaint.
const LINE_SHOWN_MAX: usize = 160;

/// A place in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// Whether a complaint refuses the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is accepted; the reader should know this.
    Notice,
}

impl Severity {
    /// The severity's name in messages and in JSON: `error` or `notice`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Notice => "notice",
        }
    }
}

/// One thing to say about a file: where, what, and what to write instead.
///
/// It displays as a compiler would print it: `file:line:column: error: …`, the source line with a caret, and the help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// The file, as the caller named it.
    pub file: PathBuf,
    /// The place in the file; `None` when the complaint is about the file as a whole.
    pub place: Option<Place>,
    /// Whether it refuses the file.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to write or to do instead.
    pub help: Option<String>,
    /// The line of the file that `place` names, without control characters.
    pub source_line: Option<String>,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(place) = self.place {
            write!(f, ":{}:{}", place.line, place.column)?;
        }
        write!(f, ": {}: {}", self.severity.name(), self.message)?;
        if let (Some(place), Some(line)) = (self.place, &self.source_line) {
            let number = place.line.to_string();
            let margin = " ".repeat(number.len());
            write!(f, "\n {number} | {line}")?;
            if place.column <= LINE_SHOWN_MAX {
                write!(f, "\n {margin} | {}^", " ".repeat(place.column.saturating_sub(1)))?;
            }
        }
        if let Some(help) = &self.help {
            write!(f, "\n help: {help}")?;
        }
        Ok(())
    }
}

/// The file under examination and everything said about it so far.
#[derive(Debug)]
pub struct Complaints<'a> {
    file: PathBuf,
    /// What helps whoever has an empty one.
    where_to_begin: &'static str,
    text: &'a str,
    said: Vec<Complaint>,
    /// Keys that mean nothing here, and why or what does instead.
    strays: Vec<(Place, String)>,
    left_out: usize,
    errors: usize,
}

impl<'a> Complaints<'a> {
    /// Nothing said yet about `file` with this text.
    pub(crate) fn new(file: &Path, text: &'a str) -> Self {
        Self::of(file, text, "`corerl config example` prints a complete site file")
    }

    /// Nothing said yet about another kind of file. `where_to_begin` helps whoever has an empty one.
    pub fn of(file: &Path, text: &'a str, where_to_begin: &'static str) -> Self {
        Self {
            file: file.to_owned(),
            where_to_begin,
            text,
            said: Vec::new(),
            strays: Vec::new(),
            left_out: 0,
            errors: 0,
        }
    }

    /// The text under examination.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    pub(crate) fn where_to_begin(&self) -> &'static str {
        self.where_to_begin
    }

    /// Refuses the file because of what is at `place`.
    pub fn error(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.say(Some(place), Severity::Error, message.into(), help.into());
    }

    /// Refuses the file as a whole.
    pub fn error_of_file(&mut self, message: impl Into<String>, help: impl Into<String>) {
        self.say(None, Severity::Error, message.into(), help.into());
    }

    /// Lets the reader know something about what is at `place`.
    pub fn notice(&mut self, place: Place, message: impl Into<String>, help: impl Into<String>) {
        self.say(Some(place), Severity::Notice, message.into(), help.into());
    }

    fn say(&mut self, place: Option<Place>, severity: Severity, message: String, help: String) {
        self.errors += usize::from(severity == Severity::Error);
        if self.said.len() >= COMPLAINTS_MAX {
            self.left_out += 1;
            return;
        }
        let source_line =
            place.and_then(|place| lines(self.text).nth(place.line.saturating_sub(1))).map(printable_line);
        let help = (!help.is_empty()).then_some(help);
        let complaint = Complaint { file: self.file.clone(), place, severity, message, help, source_line };
        if !self.said.contains(&complaint) {
            self.said.push(complaint);
        }
    }

    /// Notes a key that means nothing here, beside what is said about it.
    pub(crate) fn note_stray(&mut self, place: Place, instead: &str) {
        self.strays.push((place, instead.to_owned()));
    }

    /// The keys that mean nothing here, and why or what does instead.
    pub(crate) fn strays(&self) -> &[(Place, String)] {
        &self.strays
    }

    /// Whether anything refuses the file.
    pub fn refuses(&self) -> bool {
        self.errors > 0
    }

    /// Everything that was said, sorted by place.
    pub fn into_sorted(mut self) -> Vec<Complaint> {
        self.said.sort_by_key(|complaint| (complaint.place, complaint.severity));
        if self.left_out > 0 {
            self.said.push(Complaint {
                file: self.file,
                place: None,
                severity: if self.errors > 0 { Severity::Error } else { Severity::Notice },
                message: format!("{} more complaints are not shown", self.left_out),
                help: Some("correct the ones above first".to_owned()),
                source_line: None,
            });
        }
        self.said
    }
}

/// The lines of a text as YAML counts them: a carriage return alone ends one, too.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split("\r\n").flat_map(|part| part.split(['\n', '\r']))
}

/// A source line as it may be shown on a terminal: no control characters, and not too long.
fn printable_line(line: &str) -> String {
    line.chars().take(LINE_SHOWN_MAX).map(|c| if c == '\t' { ' ' } else { printable(c) }).collect()
}

fn printable(c: char) -> char {
    if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }
}

/// The file's own words in a message: in backticks, without control characters, cut when long.
pub fn quoted(words: &str) -> String {
    let mut shown: String = words.chars().take(QUOTED_MAX).map(printable).collect();
    if words.chars().nth(QUOTED_MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_reads_like_a_compilers() {
        let mut complaints = Complaints::new(Path::new("site.yaml"), "one: 1\nrange: [2, 1]\n");
        complaints.error(Place { line: 2, column: 8 }, "the range is reversed", "write [1, 2]");
        let said = complaints.into_sorted();
        let shown = said.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        assert_eq!(
            shown,
            "site.yaml:2:8: error: the range is reversed\n 2 | range: [2, 1]\n   |        ^\n help: write [1, 2]"
        );
    }

    #[test]
    fn lines_are_counted_as_yaml_counts_them_whatever_they_end_with() {
        assert_eq!(lines("a\nb\r\nc\rd\r\re").collect::<Vec<_>>(), ["a", "b", "c", "d", "", "e"]);
        let refused =
            crate::parse("schema: corerl/1\ragent_nam: a\r\n", Path::new("site.yaml")).unwrap_err().to_string();
        assert!(
            refused.contains("site.yaml:2:1: error: unknown key `agent_nam`\n 2 | agent_nam: a\n   | ^"),
            "{refused}"
        );
    }

    #[test]
    fn complaints_are_sorted_by_place_and_bounded() {
        let mut complaints = Complaints::new(Path::new("site.yaml"), "");
        for line in (1..=COMPLAINTS_MAX + 5).rev() {
            complaints.error(Place { line, column: 1 }, "wrong", "");
        }
        let said = complaints.into_sorted();
        assert_eq!(said.len(), COMPLAINTS_MAX + 1);
        assert!(said.iter().take(COMPLAINTS_MAX).is_sorted_by_key(|complaint| complaint.place));
        assert!(said.last().is_some_and(|last| last.message.starts_with("5 more")));
    }

    #[test]
    fn quoted_words_are_short_and_harmless() {
        assert_eq!(quoted("a\u{1b}[2Jb"), "`a\u{fffd}[2Jb`");
        assert_eq!(quoted(&"x".repeat(200)).chars().count(), QUOTED_MAX + 3);
    }
}

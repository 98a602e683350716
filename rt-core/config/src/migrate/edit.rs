//! Edits of a file's text, found by the places of keys.

use std::ops::Range;

use super::Done;
use crate::complaint::Place;
use crate::yaml::{Key, Kind, Node};

/// What becomes of an entry of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// It becomes a comment.
    LeaveOut,
    /// Its key is called otherwise.
    Rename { to: String },
    /// Another entry, `key: value`, stands in its place.
    Put { text: String },
}

impl Edit {
    pub(super) const fn done(&self) -> Done {
        match self {
            Self::LeaveOut => Done::LeftOut,
            Self::Rename { .. } => Done::Renamed,
            Self::Put { .. } => Done::Replaced,
        }
    }
}

/// A file's text by lines.
pub(super) struct Text<'t> {
    text: &'t str,
    /// Where each line begins.
    starts: Vec<usize>,
}

/// An entry of a mapping in the tree.
#[derive(Clone, Copy)]
struct Entry<'n> {
    key: &'n Key,
    value: &'n Node,
    /// What stands before it in the same mapping.
    before: &'n [(Key, Node)],
    /// The mapping.
    of: &'n Node,
}

/// Bytes and what stands in their place.
type Replacement = (Range<usize>, String);

/// An edit, the place of its key, and a remark.
type Planned = (Edit, Place, String);

impl<'t> Text<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let behind = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(behind).collect() }
    }

    /// The text after the edits.
    pub(super) fn edit(&self, tree: &Node, edits: &[Planned]) -> Result<String, String> {
        let mut replacements = Vec::new();
        for (edit, at, remark) in edits {
            let entry = entry(tree, *at).ok_or("a key is not where it was")?;
            let made = self.replacements(entry, edit, remark, edits);
            let fits = |made: &Vec<Replacement>| made.iter().all(|(range, _)| self.text.get(range.clone()).is_some());
            let made = made.filter(fits).ok_or_else(|| format!("the key in line {} cannot be edited", at.line))?;
            replacements.extend(made);
        }
        // From the end, so that places before stay; what lies inside of something that is left out goes with it.
        replacements.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
        let mut kept: Vec<Replacement> = Vec::new();
        for (range, text) in replacements {
            if kept.last().is_none_or(|(last, _)| range.start >= last.end) {
                kept.push((range, text));
            }
        }
        let mut edited = self.text.to_owned();
        kept.into_iter().rev().for_each(|(range, text)| edited.replace_range(range, &text));
        Ok(edited)
    }

    fn replacements(&self, entry: Entry<'_>, edit: &Edit, remark: &str, all: &[Planned]) -> Option<Vec<Replacement>> {
        let start = self.byte(entry.key.at)?;
        match edit {
            Edit::Rename { to } => {
                let rest = self.text.get(start..)?;
                let quotes = usize::from(!rest.starts_with(&entry.key.name)) * 2;
                Some(vec![(start..start + entry.key.name.len() + quotes, to.clone())])
            }
            Edit::Put { text } => match &entry.value.kind {
                Kind::Scalar(scalar) if scalar.end() > start => Some(vec![(start..scalar.end(), text.clone())]),
                _ => None,
            },
            Edit::LeaveOut if self.text.get(self.byte(entry.of.at)?..)?.starts_with('{') => {
                self.cut(entry, start, remark, all)
            }
            Edit::LeaveOut => Some(vec![self.comment_out(entry.key.at, start, remark)?]),
        }
    }

    /// An entry between braces goes away, and a line before says so.
    fn cut(&self, entry: Entry<'_>, start: usize, remark: &str, all: &[Planned]) -> Option<Vec<Replacement>> {
        let rest = self.text.get(start..)?;
        let length = length_in_braces(rest);
        let words = rest.get(..length)?.trim_end();
        let behind = rest.get(length..)?;
        let is_kept = |key: &Key| !all.iter().any(|(edit, at, _)| *at == key.at && *edit == Edit::LeaveOut);
        // With the comma before it, or, where nothing is left before it, the one behind.
        let range = if entry.before.iter().any(|(key, _)| is_kept(key)) {
            let before = self.text.get(..start)?.trim_end();
            before.strip_suffix(',').unwrap_or(before).len()..start + words.len()
        } else if let Some(next) = behind.strip_prefix(',') {
            start..self.text.len() - next.trim_start_matches(' ').len()
        } else {
            start..start + words.len()
        };
        let line = *self.starts.get(entry.key.at.line.checked_sub(1)?)?;
        let indent = self.indent_of(entry.key.at.line - 1)?;
        let shown = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let comment = format!("{:indent$}# Left out: {remark}\n{:indent$}# {shown}\n", "", "");
        Some(vec![(line..line, comment), (range, String::new())])
    }

    /// An entry with lines of its own becomes comments, behind one that says why.
    fn comment_out(&self, at: Place, start: usize, remark: &str) -> Option<Replacement> {
        let (first, column) = (at.line.checked_sub(1)?, at.column.checked_sub(1)?);
        let mut last = first;
        for line in first + 1..self.starts.len() {
            let content = self.line(line)?.trim_start_matches(' ');
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            let indent = self.indent_of(line)?;
            // The items of a list, and the end of brackets, may stand where their key does.
            let closes = content.starts_with(['-', ']', '}']);
            if indent < column || indent == column && !closes {
                break;
            }
            last = line;
        }
        let mut text = format!("# Left out: {remark}");
        for line in first..=last {
            let whole = self.line(line)?;
            let words = if line == first {
                self.text.get(start..*self.starts.get(line)? + whole.len())?
            } else {
                whole.get(whole.len().min(column).min(self.indent_of(line)?)..)?
            };
            text += &format!("\n{:column$}# {words}", "");
        }
        Some((start..*self.starts.get(last)? + self.line(last)?.len(), text))
    }

    fn indent_of(&self, line: usize) -> Option<usize> {
        let whole = self.line(line)?;
        Some(whole.len() - whole.trim_start_matches(' ').len())
    }

    /// A line without its end.
    fn line(&self, line: usize) -> Option<&'t str> {
        let start = *self.starts.get(line)?;
        let end = self.starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        Some(self.text.get(start..end)?.trim_end_matches('\r'))
    }

    /// The byte at a place.
    fn byte(&self, at: Place) -> Option<usize> {
        let line = at.line.checked_sub(1)?;
        let before: usize = self.line(line)?.chars().take(at.column.checked_sub(1)?).map(char::len_utf8).sum();
        Some(self.starts.get(line)? + before)
    }
}

/// The entry whose key is at this place.
fn entry(node: &Node, at: Place) -> Option<Entry<'_>> {
    match &node.kind {
        Kind::Scalar(_) => None,
        Kind::List(items) => items.iter().find_map(|item| entry(item, at)),
        Kind::Map(entries) => entries.iter().enumerate().find_map(|(place, (key, value))| {
            let here = (key.at == at).then(|| Entry { key, value, before: &entries[..place], of: node });
            here.or_else(|| entry(value, at))
        }),
    }
}

/// Up to the comma or the closing brace behind an entry between braces.
fn length_in_braces(text: &str) -> usize {
    let (mut depth, mut quote, mut last) = (0_usize, None, ':');
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some('"'), _) if escaped => escaped = false,
            (Some('"'), '\\') => escaped = true,
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            // A quote inside of a word is none.
            (None, '"' | '\'') if ":,[{".contains(last) => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ',' | ']' | '}') if depth == 0 => return at,
            (None, ']' | '}') => depth -= 1,
            (None, _) => {}
        }
        if !c.is_whitespace() {
            last = c;
        }
    }
    text.len()
}

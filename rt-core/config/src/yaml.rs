//! Text to a tree in which every node knows its place. The only module that touches the YAML crate.
//!
//! The tree is closed: aliases are expanded, comments gone, and what a site file does not need (tags, several
//! documents, keys that are not text) is complained of. Depth, size and expansion are bounded, so no input can exhaust
//! the machine.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, Span};

use crate::complaint::{Complaints, Place, quoted};

/// The largest site file, in bytes.
pub(crate) const TEXT_BYTES_MAX: usize = 1 << 20;
/// The deepest nesting of lists and mappings.
const DEPTH_MAX: usize = 32;
/// The most nodes of a tree after the expansion of aliases.
const NODES_MAX: usize = 100_000;

/// A node of the tree and where it begins.
#[derive(Clone, Debug)]
pub struct Node {
    /// Its place.
    pub at: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Kind {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the file's order; no key is there twice.
    Map(Vec<(Key, Node)>),
}

/// The key of a mapping's entry.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its text.
    pub name: String,
    /// Its place.
    pub at: Place,
}

/// A scalar: its text after escapes, and where its characters stand in the file.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// Its text after escapes.
    pub text: String,
    /// It stands without quotes.
    pub plain: bool,
    bytes: Range<usize>,
}

/// What a scalar says by itself (YAML's core schema).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plain {
    /// Nothing.
    Null,
    /// True or false.
    Flag(bool),
    /// A number.
    Number(f64),
    /// Text.
    Text,
}

impl Scalar {
    /// The byte of the file behind it.
    pub(crate) const fn end(&self) -> usize {
        self.bytes.end
    }

    /// What the scalar says: quoted ones are text, whatever they look like.
    pub fn plain(&self) -> Plain {
        if self.plain { plain_value(&self.text) } else { Plain::Text }
    }
}

impl Node {
    /// What kind of thing the node is, for messages.
    pub fn called(&self) -> String {
        match &self.kind {
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
            Kind::Scalar(scalar) => match scalar.plain() {
                Plain::Null => "empty".to_owned(),
                Plain::Flag(_) => format!("the flag {}", quoted(&scalar.text)),
                Plain::Number(_) => format!("the number {}", quoted(&scalar.text)),
                Plain::Text => format!("the text {}", quoted(&scalar.text)),
            },
        }
    }

    /// The place of the byte at `offset` of a scalar's text. Where the text was folded or escaped before it, the
    /// scalar's own place.
    pub(crate) fn place_of(&self, offset: usize, text: &str) -> Place {
        let Kind::Scalar(scalar) = &self.kind else { return self.at };
        let skip = usize::from(!scalar.plain);
        let before = scalar.text.get(..offset);
        let raw = text.get(scalar.bytes.clone()).and_then(|raw| raw.get(skip..));
        match (before, raw) {
            (Some(before), Some(raw)) if raw.starts_with(before) && !before.contains('\n') => {
                Place { line: self.at.line, column: self.at.column + skip + before.chars().count() }
            }
            _ => self.at,
        }
    }

    /// The node with every place in it replaced by `at`: for defaults, which stand nowhere in the file.
    pub(crate) fn moved_to(mut self, at: Place) -> Self {
        self.at = at;
        match &mut self.kind {
            Kind::Scalar(scalar) => scalar.bytes = 0..0,
            Kind::List(items) => items.iter_mut().for_each(|item| *item = item.clone().moved_to(at)),
            Kind::Map(entries) => entries.iter_mut().for_each(|(key, value)| {
                key.at = at;
                *value = value.clone().moved_to(at);
            }),
        }
        self
    }

    fn count(&self) -> usize {
        match &self.kind {
            Kind::Scalar(_) => 1,
            Kind::List(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Kind::Map(entries) => 1 + entries.iter().map(|(_, value)| 1 + value.count()).sum::<usize>(),
        }
    }
}

/// YAML's core schema for plain scalars.
fn plain_value(text: &str) -> Plain {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Plain::Null,
        "true" | "True" | "TRUE" => return Plain::Flag(true),
        "false" | "False" | "FALSE" => return Plain::Flag(false),
        ".nan" | ".NaN" | ".NAN" => return Plain::Number(f64::NAN),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Plain::Number(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let radix =
        [("0x", 16), ("0o", 8)].into_iter().find_map(|(prefix, radix)| Some((text.strip_prefix(prefix)?, radix)));
    if let Some((digits, radix)) = radix {
        return u64::from_str_radix(digits, radix).map_or(Plain::Text, |value| Plain::Number(value as f64));
    }
    // Rust also reads `inf` and `nan`, which YAML calls text.
    if unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return text.parse().map_or(Plain::Text, Plain::Number);
    }
    Plain::Text
}

/// The tree of the text under examination; `None` when there is none, with a complaint.
pub fn read(complaints: &mut Complaints<'_>) -> Option<Node> {
    let text = complaints.text();
    if text.len() > TEXT_BYTES_MAX {
        complaints.error_of_file(
            format!("the file has {} bytes; the limit is {TEXT_BYTES_MAX}", text.len()),
            "such a file is a few pages: is this the right file?",
        );
        return None;
    }
    let mut builder =
        Builder { open: Vec::new(), anchors: BTreeMap::new(), root: None, opened: false, nodes: 0, complaints };
    let mut options = Options::default();
    options.set_emit_comments(false);
    for next in Parser::new_from_str_with_options(text, options) {
        match next {
            Ok((event, span)) => builder.take(event, &span)?,
            Err(error) => {
                complain_of_syntax(&error, complaints);
                return None;
            }
        }
    }
    let root = builder.root.take();
    if root.is_none() {
        complaints.error_of_file("the file is empty", complaints.where_to_begin());
    }
    root
}

/// The tree of a default value, which is part of this crate and stands at `at` for messages.
pub(crate) fn read_default(text: &str, at: Place) -> Option<Node> {
    let mut complaints = Complaints::new(std::path::Path::new("default"), text);
    read(&mut complaints).map(|node| node.moved_to(at))
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line().max(1), column: marker.col() + 1 }
}

fn complain_of_syntax(error: &ScanError, complaints: &mut Complaints<'_>) {
    use ErrorKind as E;
    let help = match error.kind() {
        E::UnexpectedEof
        | E::UnexpectedEofBlockMapping
        | E::UnexpectedEofBlockSequence
        | E::UnexpectedEofFlowMapping
        | E::UnexpectedEofFlowSequence
        | E::UnexpectedEofImplicitFlowMapping
        | E::UnclosedQuotedScalar
        | E::UnclosedFlowCollection { .. } => "close the bracket or the quote; if the file was cut short, restore it",
        kind if kind.to_string().contains("tab") => "indent with spaces, not with tabs",
        E::UnknownAnchor => "define the anchor (`&name`) before it is used (`*name`)",
        E::RecursionLimitExceeded => "such a file needs only a few levels",
        E::SimpleKeyExpected | E::InvalidSimpleKey | E::ExpectedBlockMappingKey => {
            "write `key: value`, with a space after the colon; if the file was cut short, restore it"
        }
        E::MappingValueNotAllowed => "put text with a colon or a brace in quotes; one key per line",
        E::InvalidIndentation => "indent the keys of one mapping equally",
        _ => "put text that begins with or contains special characters in quotes",
    };
    complaints.error(place(*error.marker()), format!("this is not YAML: {}", error.kind()), help);
}

/// A list or a mapping whose end has not come yet.
struct Open {
    at: Place,
    anchor: usize,
    content: OpenContent,
}

enum OpenContent {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, seen: BTreeMap<String, Place>, pending: Pending },
}

/// Where a mapping stands between key and value.
enum Pending {
    Key,
    Value(Key),
    /// The key was complained of; its value is dropped.
    Dropped,
}

struct Builder<'c, 't> {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    root: Option<Node>,
    /// The document opened with `---`.
    opened: bool,
    nodes: usize,
    complaints: &'c mut Complaints<'t>,
}

impl Builder<'_, '_> {
    /// Takes one event; `None` stops the reading, with a complaint.
    fn take(&mut self, event: Event<'_>, span: &Span) -> Option<()> {
        let at = place(span.start);
        match event {
            Event::DocumentStart(..) if self.root.is_some() => {
                self.complaints.error(at, "a second document begins here", "write one YAML document");
                None
            }
            Event::DocumentStart(explicit, _) => {
                self.opened = explicit;
                Some(())
            }
            Event::DocumentEnd => self.end_document(at, span),
            Event::Scalar(text, style, anchor, tag) => {
                self.complain_of_tag(at, tag.is_some());
                let plain = style == ScalarStyle::Plain;
                let bytes = span.byte_range().unwrap_or(0..0);
                let scalar = Scalar { text: text.into_owned(), plain, bytes };
                self.complete(Node { at, kind: Kind::Scalar(scalar) }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.complain_of_tag(at, tag.is_some());
                self.begin(at, anchor, OpenContent::List(Vec::new()))
            }
            Event::MappingStart(_, anchor, tag) => {
                self.complain_of_tag(at, tag.is_some());
                let content = OpenContent::Map { entries: Vec::new(), seen: BTreeMap::new(), pending: Pending::Key };
                self.begin(at, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let open = self.open.pop()?;
                let kind = match open.content {
                    OpenContent::List(items) => Kind::List(items),
                    OpenContent::Map { entries, .. } => Kind::Map(entries),
                };
                self.complete(Node { at: open.at, kind }, open.anchor)
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => {
                    self.spend(node.count(), at)?;
                    self.complete(node, 0)
                }
                None => {
                    self.complaints.error(at, "this alias stands inside its own anchor", "write the value out");
                    None
                }
            },
            _ => Some(()),
        }
    }

    /// A file that opens with `---` promises to close with `...`: so a file that was cut short anywhere is recognised.
    fn end_document(&mut self, at: Place, span: &Span) -> Option<()> {
        let text = self.complaints.text();
        let closed = span.slice(text).is_some_and(|end| end.starts_with("..."));
        if self.opened && !closed {
            self.complaints.error(
                at,
                "the file opens with `---` but does not close with `...`: it may have been cut short",
                "restore the file, or add a last line `...` when it is complete",
            );
            return None;
        }
        if !closed && !text.ends_with('\n') {
            self.complaints.notice(
                at,
                "the last line has no line break: the file may have been cut short",
                "end the last line with a line break",
            );
        }
        Some(())
    }

    fn complain_of_tag(&mut self, at: Place, tagged: bool) {
        if tagged {
            self.complaints.error(at, "YAML tags (`!…`) have no meaning here", "remove the tag");
        }
    }

    fn begin(&mut self, at: Place, anchor: usize, content: OpenContent) -> Option<()> {
        if self.open.len() >= DEPTH_MAX {
            self.complaints.error(at, format!("nested deeper than {DEPTH_MAX} levels"), "such a file needs only a few");
            return None;
        }
        self.open.push(Open { at, anchor, content });
        Some(())
    }

    /// Counts nodes against the limit.
    fn spend(&mut self, nodes: usize, at: Place) -> Option<()> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > NODES_MAX {
            self.complaints.error(at, format!("the file has more than {NODES_MAX} values"), "use fewer aliases");
            return None;
        }
        Some(())
    }

    /// Puts a complete node where it belongs: the root, a list's end, a mapping's key or value.
    fn complete(&mut self, node: Node, anchor: usize) -> Option<()> {
        self.spend(1, node.at)?;
        if anchor != 0 {
            self.spend(node.count(), node.at)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(OpenContent::List(items)) => items.push(node),
            Some(OpenContent::Map { entries, seen, pending }) => {
                *pending = match std::mem::replace(pending, Pending::Key) {
                    Pending::Key => begin_entry(node, seen, self.complaints),
                    Pending::Value(key) => {
                        entries.push((key, node));
                        Pending::Key
                    }
                    Pending::Dropped => Pending::Key,
                };
            }
        }
        Some(())
    }
}

fn begin_entry(node: Node, seen: &mut BTreeMap<String, Place>, complaints: &mut Complaints<'_>) -> Pending {
    let Kind::Scalar(scalar) = node.kind else {
        complaints.error(node.at, "a key must be a word, not a list or a mapping", "write `key: value`");
        return Pending::Dropped;
    };
    if let Some(first) = seen.get(&scalar.text) {
        complaints.error(
            node.at,
            format!("the key {} is given twice, first in line {}", quoted(&scalar.text), first.line),
            "keep one of the two",
        );
        return Pending::Dropped;
    }
    seen.insert(scalar.text.clone(), node.at);
    Pending::Value(Key { name: scalar.text, at: node.at })
}

//! How the file's keys are described: once, for decoding, for complaints, and for the JSON Schema.
//!
//! A [`Form`] is what a value may look like. The macro [`sections`] declares mappings: each key's name, form, presence
//! and description stand in one place, and everything else follows from there.

use serde_json::{Map, Value, json};

use crate::complaint::{Complaints, Place, quoted};
use crate::inherited;
use crate::spelling::nearest;
use crate::yaml::{Key, Kind, Node, Plain, read_default};

/// What a value may look like.
pub trait Form: Sized {
    /// The value; `None` with a complaint when it does not look like this.
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self>;
    /// The JSON Schema of the value.
    fn schema() -> Value;
}

/// Whether a key must be there, and what holds when it is not.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Presence {
    /// The file is refused without it.
    Required,
    /// It may be absent; its description says what that means.
    Optional,
    /// It may be absent; this YAML stands for it then.
    Default(&'static str),
    /// It is one of CoreRL's keys and changes nothing here: a notice says so.
    Unused,
}

/// One key's description.
#[derive(Clone, Copy, Debug)]
pub struct KeyInfo {
    /// As the file spells it.
    pub name: &'static str,
    /// What it is, for help and schema.
    pub doc: &'static str,
    /// Whether it must be there.
    pub presence: Presence,
}

/// A key as the file gave it.
#[derive(Clone, Debug)]
pub struct Field<T> {
    /// The decoded value or the default; `None` when it is absent or was complained of.
    pub value: Option<T>,
    /// The value's place, or the section's when the key is absent.
    pub at: Place,
    /// The file has this key.
    pub given: bool,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub at: Place,
}

impl<T: Form> Form for At<T> {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        Some(Self { value: T::decode(node, complaints)?, at: node.at })
    }

    fn schema() -> Value {
        T::schema()
    }
}

/// A mapping under examination.
#[derive(Debug)]
pub struct Section<'n> {
    at: Place,
    entries: &'n [(Key, Node)],
    /// Known keys that misspelt ones probably mean: they are not missing as well.
    meant: Vec<&'static str>,
}

impl<'n> Section<'n> {
    /// The mapping, with complaints about keys that are not in `known`.
    pub fn open(node: &'n Node, known: &[KeyInfo], complaints: &mut Complaints<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            let names: Vec<&str> = known.iter().map(|key| key.name).take(4).collect();
            complaints.error(
                node.at,
                format!("this is {} where a mapping belongs", node.called()),
                format!("write keys such as {}, each with a value", names.join(", ")),
            );
            return None;
        };
        let strangers = entries.iter().filter(|(key, _)| !known.iter().any(|info| info.name == key.name));
        let meant = strangers.filter_map(|(key, _)| complain_of_key(key, known, complaints)).collect();
        Some(Self { at: node.at, entries, meant })
    }

    /// The value of one key.
    pub fn field<T: Form>(&self, info: &KeyInfo, complaints: &mut Complaints<'_>) -> Field<T> {
        let Some((key, node)) = self.entries.iter().find(|(key, _)| key.name == info.name) else {
            return self.absent(info, complaints);
        };
        match info.presence {
            Presence::Unused => {
                complaints.notice(key.at, format!("`{}` has no effect here", info.name), info.doc.trim());
                complaints.note_stray(key.at, info.doc.trim());
            }
            Presence::Required | Presence::Optional | Presence::Default(_) => {
                return Field { value: T::decode(node, complaints), at: node.at, given: true };
            }
        }
        Field { value: None, at: node.at, given: true }
    }

    fn absent<T: Form>(&self, info: &KeyInfo, complaints: &mut Complaints<'_>) -> Field<T> {
        let value = match info.presence {
            Presence::Default(text) => read_default(text, self.at).and_then(|node| T::decode(&node, complaints)),
            Presence::Required if self.meant.contains(&info.name) => None,
            Presence::Required => {
                complaints.error(self.at, format!("`{}` is missing here", info.name), info.doc.trim());
                None
            }
            Presence::Optional | Presence::Unused => None,
        };
        Field { value, at: self.at, given: false }
    }
}

/// Complains of an unknown key; the known one that it probably means.
fn complain_of_key(key: &Key, known: &[KeyInfo], complaints: &mut Complaints<'_>) -> Option<&'static str> {
    let instead = inherited::instead(&key.name);
    let meant = nearest(&key.name, known.iter().map(|info| info.name)).filter(|_| instead.is_none());
    let help = match (meant, instead) {
        _ if key.name == "<<" => {
            "merge keys are not supported; write the keys out, or use an alias for the whole mapping".to_owned()
        }
        (_, Some(instead)) => instead.to_string(),
        (Some(name), None) => format!("did you mean `{name}`?"),
        (None, None) => {
            let names: Vec<&str> = known.iter().map(|info| info.name).collect();
            format!("known here: {}", names.join(", "))
        }
    };
    let unheard = meant.is_none() && instead.is_none();
    complaints.note_stray(key.at, if unheard { "this runtime has no such key" } else { &help });
    complaints.error(key.at, format!("unknown key {}", quoted(&key.name)), help);
    meant
}

/// The JSON Schema of a mapping with these keys.
pub fn section_schema(doc: &str, keys: impl IntoIterator<Item = (&'static KeyInfo, Value)>) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (info, schema) in keys {
        let mut schema = match (info.presence, schema) {
            (Presence::Unused, _) => json!({}),
            (_, schema) => schema,
        };
        let remark = match info.presence {
            Presence::Unused => " (Accepted without effect.)",
            _ => "",
        };
        schema["description"] = json!(format!("{}{remark}", info.doc.trim()));
        if let Presence::Default(text) = info.presence {
            schema["default"] = read_default(text, Place::default()).as_ref().map_or(Value::Null, to_json);
        }
        if info.presence == Presence::Required {
            required.push(info.name);
        }
        properties.insert(info.name.to_owned(), schema);
    }
    let mut schema = json!({
        "type": "object",
        "description": doc.trim(),
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

/// A tree as JSON.
pub fn to_json(node: &Node) -> Value {
    match &node.kind {
        Kind::List(items) => items.iter().map(to_json).collect(),
        Kind::Map(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.name.clone(), to_json(value))).collect())
        }
        Kind::Scalar(scalar) => match scalar.plain() {
            Plain::Null => Value::Null,
            Plain::Flag(flag) => json!(flag),
            Plain::Number(number) => {
                scalar.text.parse::<i64>().map_or_else(|_| json!(number), |integer| json!(integer))
            }
            Plain::Text => json!(scalar.text),
        },
    }
}

/// Declares mappings of the file: per key `name: Form, Presence;` under its description. The description's first
/// sentence says what it is and in which unit; defaults that depend on other keys are stated in it. The crate that calls it has
/// `serde_json`.
#[macro_export]
macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])+
        struct $section:ident {
            $( $(#[doc = $doc:literal])+ $key:ident : $form:ty, $presence:ident $(($text:literal))?; )+
        }
    )+) => { $(
        $(#[doc = $section_doc])+
        #[derive(Clone, Debug)]
        #[allow(dead_code, reason = "keys without effect are decoded to nothing")]
        pub(crate) struct $section {
            /// Where the mapping begins.
            pub(crate) at: $crate::document::Place,
            $( $(#[doc = $doc])+ pub(crate) $key: $crate::document::Field<$form>, )+
        }

        impl $crate::document::Form for $section {
            fn decode(
                node: &$crate::document::Node,
                complaints: &mut $crate::document::Complaints<'_>,
            ) -> Option<Self> {
                let section = $crate::document::Section::open(node, Self::KEYS, complaints)?;
                let mut keys = Self::KEYS.iter();
                Some(Self {
                    at: node.at,
                    $( $key: section.field(keys.next()?, complaints), )+
                })
            }

            fn schema() -> serde_json::Value {
                let schemas = [$( <$form as $crate::document::Form>::schema() ),+];
                $crate::document::section_schema(concat!($($section_doc),+), Self::KEYS.iter().zip(schemas))
            }
        }

        impl $section {
            const KEYS: &'static [$crate::document::KeyInfo] = &[$(
                $crate::document::KeyInfo {
                    name: $crate::document::key_name(stringify!($key)),
                    doc: concat!($($doc),+),
                    presence: $crate::document::Presence::$presence $(($text))?,
                },
            )+];
        }
    )+ };
}
pub(crate) use sections;

/// A key as the file spells it: Rust's mark for reserved words removed.
pub const fn key_name(identifier: &'static str) -> &'static str {
    match identifier.as_bytes() {
        [b'r', b'#', ..] => identifier.split_at(2).1,
        _ => identifier,
    }
}

/// Declares a value that is one of a few words. The crate that calls it has `serde_json`.
#[macro_export]
macro_rules! choices {
    ($(
        $(#[doc = $choice_doc:literal])+
        enum $choice:ident { $( $(#[doc = $doc:literal])+ $variant:ident = $word:literal, )+ }
    )+) => { $(
        $(#[doc = $choice_doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum $choice { $( $(#[doc = $doc])+ $variant, )+ }

        impl $crate::document::Form for $choice {
            fn decode(
                node: &$crate::document::Node,
                complaints: &mut $crate::document::Complaints<'_>,
            ) -> Option<Self> {
                let word = $crate::document::one_of(node, &[$($word),+], complaints)?;
                match word { $( $word => Some(Self::$variant), )+ _ => None }
            }

            fn schema() -> serde_json::Value {
                serde_json::json!({ "enum": [$($word),+] })
            }
        }
    )+ };
}
pub(crate) use choices;

/// The word of `words` that a scalar is.
pub fn one_of(node: &Node, words: &[&'static str], complaints: &mut Complaints<'_>) -> Option<&'static str> {
    let text = match &node.kind {
        Kind::Scalar(scalar) => scalar.text.as_str(),
        Kind::List(_) | Kind::Map(_) => "",
    };
    let found = words.iter().find(|word| **word == text).copied();
    if found.is_none() {
        let help = nearest(text, words.iter().copied())
            .map_or_else(|| format!("write one of: {}", words.join(", ")), |word| format!("did you mean `{word}`?"));
        complaints.error(node.at, format!("this is {}, which is not possible here", node.called()), help);
    }
    found
}

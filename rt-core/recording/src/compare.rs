//! Naming the first value that differs.
//!
//! The fields of a record are those that the ABI's own description lists, so that a field that is added to it is compared
//! and named without a word here.

use std::fmt::{Debug, Display, LowerHex};

use zerocopy::IntoBytes;

/// The first value in which a replay differs from its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The cycle.
    pub cycle: u64,
    /// The value's name.
    pub value: String,
    /// What was recorded.
    pub recorded: String,
    /// What came out of the replay.
    pub replayed: String,
}

impl Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { cycle, value, recorded, replayed } = self;
        write!(f, "cycle {cycle}: {value} was {recorded}, the replay gives {replayed}")
    }
}

/// What is compared, and how much of it there is.
pub(crate) struct Part<'a> {
    /// Said before the field's name.
    pub(crate) name: String,
    /// A description of the ABI, or one number's type.
    pub(crate) description: &'a str,
}

/// Compares words that consist of these parts, one behind the other.
pub(crate) fn words<'a>(
    cycle: u64,
    recorded: &[u64],
    replayed: &[u64],
    parts: impl IntoIterator<Item = Part<'a>>,
) -> Result<(), Difference> {
    if recorded == replayed {
        return Ok(());
    }
    let (mut one, mut other) = (recorded.as_bytes(), replayed.as_bytes());
    for part in parts {
        for Field { name, kind, bytes } in fields(part.description) {
            let halves = one.split_at_checked(bytes).zip(other.split_at_checked(bytes));
            let Some(((found, rest), (expected, rest_expected))) = halves else { break };
            (one, other) = (rest, rest_expected);
            if found != expected {
                let value = format!("{}{name}", part.name);
                let (recorded, replayed) = (shown(kind, found), shown(kind, expected));
                return Err(Difference { cycle, value, recorded, replayed });
            }
        }
    }
    // Behind the last field: another length, or filling.
    let said = |words: &[u64]| format!("{} words", words.len());
    Err(Difference { cycle, value: "the record's size".into(), recorded: said(recorded), replayed: said(replayed) })
}

/// Compares two values of one kind.
pub(crate) fn values<T: PartialEq + Debug>(
    cycle: u64,
    value: impl FnOnce() -> String,
    recorded: &T,
    replayed: &T,
) -> Result<(), Difference> {
    if recorded == replayed {
        return Ok(());
    }
    let (recorded, replayed) = (format!("{recorded:?}"), format!("{replayed:?}"));
    Err(Difference { cycle, value: value(), recorded, replayed })
}

/// A field of a description.
struct Field<'a> {
    name: &'a str,
    kind: &'a str,
    bytes: usize,
}

/// Every field in `Name:bytes{field:type;…}`; a bare type is one field without a name.
fn fields(description: &str) -> Vec<Field<'_>> {
    let inner = description.split_once('{').map_or(description, |(_, inner)| inner.trim_end_matches('}'));
    let mut fields: Vec<Field<'_>> = Vec::new();
    for piece in inner.split_terminator(';') {
        let (name, kind) = piece.split_once(':').unwrap_or(("", piece));
        match (piece.strip_suffix(']'), fields.last_mut()) {
            // An array is written `name:[type; count]`, and so comes in two pieces.
            (Some(count), Some(array)) => array.bytes *= count.trim().parse().unwrap_or(0),
            _ => fields.push(Field { name, kind, bytes: bytes_of(kind.trim_start_matches('[')) }),
        }
    }
    fields
}

fn bytes_of(kind: &str) -> usize {
    match kind {
        "u64" | "i64" | "f64" => 8,
        "u32" | "i32" | "f32" => 4,
        "u16" | "i16" => 2,
        "u8" | "i8" => 1,
        _ => 0,
    }
}

/// A number for people, with its bits where they tell more.
fn shown(kind: &str, bytes: &[u8]) -> String {
    fn float(value: impl Display, bits: impl LowerHex) -> String {
        format!("{value} ({bits:#x})")
    }
    let word = bytes.iter().rev().fold(0_u64, |word, byte| word << 8 | u64::from(*byte));
    match kind {
        "f64" => float(f64::from_bits(word), word),
        "f32" => float(f32::from_bits(word as u32), word),
        _ => word.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIR: &str = "Pair:16{a:u64;b:[u8; 4];c:u16;d:u8;e:u8;}";

    fn named(change: impl Fn(&mut [u8])) -> String {
        let recorded = [1_u64, 2];
        let mut replayed = recorded;
        change(replayed.as_mut_bytes());
        let parts = [Part { name: "pair: ".into(), description: PAIR }];
        words(7, &recorded, &replayed, parts).map_or_else(|difference| difference.value, |()| "nothing".into())
    }

    #[test]
    fn the_first_field_that_differs_is_named_by_the_description() {
        assert_eq!(named(|_| {}), "nothing");
        let fields = [(0, "a"), (7, "a"), (8, "b"), (11, "b"), (12, "c"), (14, "d"), (15, "e")];
        for (byte, field) in fields {
            assert_eq!(named(|bytes| bytes[byte] ^= 0x80), format!("pair: {field}"));
        }
        assert_eq!(named(|bytes| bytes.fill(0xff)), "pair: a");
    }

    #[test]
    fn another_length_is_a_difference() {
        let parts = || [Part { name: String::new(), description: "u64" }];
        let difference = words(7, &[1], &[1, 2], parts()).unwrap_err();
        assert_eq!(difference.to_string(), "cycle 7: the record's size was 1 words, the replay gives 2 words");
    }

    #[test]
    fn every_description_of_the_abi_fills_its_structure() {
        use shm_layout::{CycleHead, SetpointPart, StepHead, TagPart};
        let bytes = |description| fields(description).iter().map(|field| field.bytes).sum::<usize>();
        assert_eq!(bytes(CycleHead::DESCRIPTION), size_of::<CycleHead>());
        assert_eq!(bytes(SetpointPart::DESCRIPTION), size_of::<SetpointPart>());
        assert_eq!(bytes(TagPart::DESCRIPTION), size_of::<TagPart>());
        assert_eq!(bytes(StepHead::DESCRIPTION), size_of::<StepHead>());
    }
}

//! `layout.json`: the ABI for programs in other languages, held against the structures themselves.
//!
//! A failure here means that the file is out of date: it is written anew with `CORERL_WRITE_LAYOUT=1 cargo test -p shm-layout`.

use std::format;
use std::string::{String, ToString as _};
use std::vec::Vec;

use crate::*;

/// The file as it was written.
const WRITTEN: &str = include_str!("../layout.json");
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/layout.json");

/// Name, type and offset of every field, out of a structure's own text: there is no padding, which the derives prove.
pub(crate) fn fields(description: &str) -> Vec<(String, String, usize)> {
    let (_, body) = description.split_once('{').unwrap();
    // Types like `[u8; 8]` have a semicolon of their own, with a space behind it.
    let body = body.trim_end_matches('}').replace("; ", "*");
    let mut offset = 0;
    let fields = body.split_terminator(';').map(|field| {
        let (name, kind) = field.split_once(':').unwrap();
        let at = offset;
        offset += size_of_type(kind);
        (name.to_string(), kind.replace('*', "; "), at)
    });
    fields.collect()
}

fn size_of_type(kind: &str) -> usize {
    if let Some((element, count)) = kind.trim_matches(['[', ']']).split_once('*') {
        return size_of_type(element) * count.parse::<usize>().unwrap();
    }
    match kind {
        "u8" => 1,
        "u16" => 2,
        "u32" => 4,
        "u64" | "i64" | "f64" => 8,
        "LayerDims" => size_of::<LayerDims>(),
        other => panic!("a type of unknown size: {other}"),
    }
}

fn structure(description: &str, bytes: usize) -> String {
    let name = description.split(':').next().unwrap();
    let fields = fields(description);
    let fields = fields.iter().map(|(name, kind, offset)| format!("      \"{name}\": [{offset}, \"{kind}\"]"));
    let fields = fields.collect::<Vec<_>>().join(",\n");
    format!("    \"{name}\": {{ \"bytes\": {bytes}, \"fields\": {{\n{fields}\n    }} }}")
}

fn table(name: &str, names: impl Iterator<Item = &'static str>) -> String {
    let names = names.map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    format!("    \"{name}\": [{names}]")
}

fn text() -> String {
    let structures = [
        structure(SegmentHeader::DESCRIPTION, size_of::<SegmentHeader>()),
        structure(CycleHead::DESCRIPTION, size_of::<CycleHead>()),
        structure(SetpointPart::DESCRIPTION, size_of::<SetpointPart>()),
        structure(TagPart::DESCRIPTION, size_of::<TagPart>()),
        structure(StepHead::DESCRIPTION, size_of::<StepHead>()),
        structure(EstimateRecord::DESCRIPTION, size_of::<EstimateRecord>()),
        structure(EventRecord::DESCRIPTION, size_of::<EventRecord>()),
        structure(WeightsHeader::DESCRIPTION, size_of::<WeightsHeader>()),
        structure(LayerDims::DESCRIPTION, size_of::<LayerDims>()),
    ];
    let tables = [
        table("SegmentKind", SegmentKind::ALL.iter().map(|entry| entry.name())),
        table("Counter", Counter::ALL.iter().map(|entry| entry.name())),
        table("LearnerCounter", LearnerCounter::ALL.iter().map(|entry| entry.name())),
        table("ConnectionCounter", ConnectionCounter::ALL.iter().map(|entry| entry.name())),
        table("EventKind", EventKind::ALL.iter().map(|entry| entry.name())),
        table("HistogramKind", HistogramKind::ALL.iter().map(|entry| entry.name())),
        table("RoundTrip", RoundTrip::ALL.iter().map(|entry| entry.name())),
        table("LearnerHistogram", LearnerHistogram::ALL.iter().map(|entry| entry.name())),
        table("Activation", Activation::ALL.iter().map(|entry| entry.name())),
    ];
    let numbers = [
        ("claim_word", CLAIM_WORD),
        ("control_word", CONTROL_WORD),
        ("data_word", DATA_WORD),
        ("triple_slots", TRIPLE_SLOTS),
        ("triple_dirty", TRIPLE_DIRTY as usize),
        ("histogram_buckets", HISTOGRAM_BUCKETS),
        ("histogram_words", HISTOGRAM_WORDS),
    ];
    let numbers = numbers.map(|(name, value)| format!("  \"{name}\": {value},\n")).concat();
    let magic = core::str::from_utf8(&MAGIC).unwrap();
    let weights_magic = core::str::from_utf8(&WEIGHTS_MAGIC).unwrap();
    format!(
        "{{\n  \"layout_version\": {LAYOUT_VERSION},\n  \"layout_hash\": \"{LAYOUT_HASH:016x}\",\n  \"magic\": \"{magic}\",\n  \
         \"weights_magic\": \"{weights_magic}\",\n{numbers}  \"structs\": {{\n{}\n  }},\n  \"tables\": {{\n{}\n  }}\n}}\n",
        structures.join(",\n"),
        tables.join(",\n")
    )
}

#[test]
fn the_description_for_other_languages_is_that_of_this_build() {
    let text = text();
    if std::env::var_os("CORERL_WRITE_LAYOUT").is_some() {
        std::fs::write(PATH, &text).unwrap();
    } else {
        assert_eq!(
            text, WRITTEN,
            "write it anew with CORERL_WRITE_LAYOUT=1, and raise LAYOUT_VERSION if bytes have moved"
        );
    }
}

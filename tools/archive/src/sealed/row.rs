//! The columns of sealed files, and their rows. `site` and `date` are in the path, as partitions of Hive are.

use std::borrow::Cow;

use tables::{Column, Kind, Value};

use crate::block::Point;
use crate::rows::{Event, Gap, TrackKind, TrackName};

/// Whose a row is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) agent: String,
    pub(crate) instance: String,
    /// As 16 hexadecimal digits.
    pub(crate) run: String,
}

/// A point, and what there is to say about it.
pub(crate) struct Sample<'a> {
    pub(crate) unix_ns: u64,
    pub(crate) owner: &'a Owner,
    pub(crate) track: &'a TrackName,
    pub(crate) point: Point,
}

/// What a table begins with.
const WHOSE: [(&str, Kind, &str, &str); 4] = [
    ("time", Kind::Time, "", "wall-clock time, UTC"),
    ("agent", Kind::Word, "", "the agent"),
    ("instance", Kind::Word, "", "its instance"),
    ("run", Kind::Word, "", "the run of the runtime, which no other one shares"),
];

fn columns(of: &[(&str, Kind, &str, &'static str)]) -> Vec<Column> {
    let column = |(name, kind, unit, about): &(&str, Kind, &str, &'static str)| Column {
        name: (*name).to_owned(),
        kind: *kind,
        unit: (*unit).to_owned(),
        about,
    };
    WHOSE.iter().chain(of).map(column).collect()
}

/// Of samples.
pub(crate) fn sample_columns() -> Vec<Column> {
    columns(&[
        ("kind", Kind::Word, "", "tag, setpoint.raw, setpoint.sent, setpoint.written, setpoint.readback, reward …"),
        ("tag", Kind::Word, "", "the name of the tag or setpoint"),
        ("unit", Kind::Word, "", "the unit of the value"),
        (
            "value",
            Kind::Number,
            "",
            "in engineering units; empty for none; it holds until the next row of the same tag",
        ),
        ("quality", Kind::Word, "", "good, uncertain or bad, for tags"),
        (
            "state",
            Kind::Count,
            "",
            "the quality's number; limits that acted, as bits; why nothing was written; or the mode's flags",
        ),
        ("age_us", Kind::Count, "us", "how old the value was"),
        ("cycle", Kind::Count, "", "the control cycle in which it was so, counted by the run"),
        ("source_time", Kind::Micros, "", "when it was so by the clock of its source, if that says anything of it"),
    ])
}

/// The places of a sample's own numbers among the columns. Files of older versions end before the sources' times.
pub(super) const SOURCE: usize = 12;
pub(super) const CYCLE: usize = 11;
pub(super) const AGE: usize = 10;
pub(super) const STATE: usize = 9;
pub(super) const VALUE: usize = 7;

pub(crate) fn sample_row<'a>(sample: &Sample<'a>) -> [Value<'a>; 13] {
    let Sample { unix_ns, owner, track, point } = sample;
    let quality = match (track.kind, point.state) {
        (TrackKind::Tag, 0) => word("good"),
        (TrackKind::Tag, 1) => word("uncertain"),
        (TrackKind::Tag, 2) => word("bad"),
        (TrackKind::Tag, TrackKind::STALE) => word("stale"),
        (TrackKind::Tag, _) => word("unknown"),
        _ => Value::Nothing,
    };
    let [agent, instance, run] = whose(owner);
    [
        Value::Time(*unix_ns),
        agent,
        instance,
        run,
        word(track.kind.name()),
        word(&track.name),
        word(&track.unit),
        Value::Number(point.value),
        quality,
        Value::Count(point.state.into()),
        Value::Count(point.age_us.into()),
        Value::Count(point.cycle),
        point.source().map_or(Value::Nothing, Value::Micros),
    ]
}

/// Of events.
pub(crate) fn event_columns() -> Vec<Column> {
    columns(&[
        ("number", Kind::Count, "", "its number in the run"),
        ("cycle", Kind::Count, "", "cycle in which it happened"),
        ("event", Kind::Word, "", "what kind of event it is"),
        ("cause", Kind::Count, "", "the cause's number"),
        ("uid", Kind::Count, "", "who asked for it"),
        ("a", Kind::Bits, "", "first number"),
        ("b", Kind::Bits, "", "second number"),
        ("text", Kind::Word, "", "what happened"),
    ])
}

pub(crate) fn event_row<'a>(owner: &'a Owner, event: &'a Event) -> [Value<'a>; 12] {
    let [agent, instance, run] = whose(owner);
    [
        Value::Time(event.unix_ns),
        agent,
        instance,
        run,
        Value::Count(event.number),
        Value::Count(event.cycle),
        word(&event.kind),
        Value::Count(event.cause.into()),
        event.uid.map_or(Value::Nothing, |uid| Value::Count(uid.into())),
        Value::Bits(event.a),
        Value::Bits(event.b),
        word(&event.text),
    ]
}

/// Of gaps.
pub(crate) fn gap_columns() -> Vec<Column> {
    columns(&[
        ("missing", Kind::Word, "", "cycles or events"),
        ("first", Kind::Count, "", "number of the first one that is missing"),
        ("count", Kind::Count, "", "how many are"),
        ("after_cycle", Kind::Count, "", "the last cycle before it that is kept"),
        ("before_cycle", Kind::Count, "", "the first one behind it"),
        ("why", Kind::Word, "", "why"),
    ])
}

pub(crate) fn gap_row<'a>(unix_ns: u64, owner: &'a Owner, gap: &'a Gap) -> [Value<'a>; 10] {
    let [agent, instance, run] = whose(owner);
    let cycle = |cycle: Option<u64>| cycle.map_or(Value::Nothing, Value::Count);
    [
        Value::Time(unix_ns),
        agent,
        instance,
        run,
        word(gap.what.name()),
        Value::Count(gap.first),
        Value::Count(gap.count),
        cycle(gap.after_cycle),
        cycle(gap.before_cycle),
        word(&gap.why),
    ]
}

fn whose(owner: &Owner) -> [Value<'_>; 3] {
    [word(&owner.agent), word(&owner.instance), word(&owner.run)]
}

const fn word(text: &str) -> Value<'_> {
    Value::Word(Cow::Borrowed(text))
}

//! What a cycle record has to say, as fields with a name, a kind, a unit and a sentence: one table for all formats.
//!
//! A [`Topic`] is the cycle itself, a tag or a setpoint. Tables have a column for each field of each topic; MCAP has a channel
//! for each topic and a message with its fields.

use shm_layout::{CycleHead, CycleRef, SetpointPart, TagPart};
use tables::{Kind, Value};

use crate::legend::Legend;
use crate::words::{limit_names, mode_name, reply_name, tag_quality, withheld_name, zone_name};

/// A field as all topics of its kind have it.
type Spec = (&'static str, Kind, &'static str, &'static str);

/// One field of a topic.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// May be empty.
    pub(crate) unit: String,
    pub(crate) about: &'static str,
}

/// What a topic is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Cycle,
    Tag(usize),
    Setpoint(usize),
}

/// What belongs together.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Topic {
    pub(crate) subject: Subject,
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}

const CYCLE: [Spec; 22] = [
    ("number", Kind::Count, "", "number of the control slot since the start, skipped ones counted"),
    ("mode", Kind::Choice, "", "the mode after this cycle"),
    ("armed", Kind::Switch, "", "the runtime may write"),
    ("latched", Kind::Switch, "", "a trip is latched until an operator resets it"),
    ("connected", Kind::Switch, "", "the connections to the plant are up"),
    ("observation", Kind::Switch, "", "the pipeline observed in this slot"),
    ("decision", Kind::Switch, "", "the policy was asked in this slot"),
    ("decided", Kind::Switch, "", "the policy's decision counts"),
    ("explored", Kind::Switch, "", "exploration noise was added"),
    ("wrote", Kind::Switch, "", "setpoints were handed to the io thread"),
    ("policy_generation", Kind::Count, "", "generation of the policy in use, 0 for the nominal one"),
    ("reward", Kind::Number, "", "reward of the step that ended here"),
    ("goal", Kind::Count, "", "first goal of the reward that is not met, from 1; 0: all are, or there is none"),
    ("zone", Kind::Word, "", "the zone that decides the reward, yellow or red, if one does"),
    ("zone_tag", Kind::Count, "", "the tag that lies in it, by its place in the site file from 0"),
    ("zone_depth", Kind::Number, "", "how deep it lies in it: above 0, and 1 at the far end; 0: in none"),
    ("lateness_us", Kind::Number, "us", "wake-up after the release time"),
    ("execution_us", Kind::Number, "us", "from wake-up to this record"),
    ("response_us", Kind::Number, "us", "from the newest sample's receipt to the setpoints"),
    ("dt_us", Kind::Number, "us", "time since the cycle before"),
    ("skipped", Kind::Count, "", "slots that were lost before this one"),
    ("samples", Kind::Count, "", "samples that were taken in"),
];

const TAG: [Spec; 4] = [
    ("value", Kind::Number, "", "value in engineering units as the runtime knew it"),
    ("quality", Kind::Choice, "", "how far it could be trusted"),
    ("age_s", Kind::Number, "s", "time since it was received"),
    ("source_time", Kind::Time, "", "when the sample received last was so by the clock of its source, if that says so"),
];

const SETPOINT: [Spec; 7] = [
    ("raw", Kind::Number, "", "what the policy, or the fallback, asked for"),
    (
        "sent",
        Kind::Number,
        "",
        "what the envelope let through and was handed to the io thread; not all of it reaches the plant: see reply",
    ),
    (
        "reply",
        Kind::Word,
        "",
        "what the plant answered last to a write of ours, as this cycle knew it: accepted or refused; it may be the answer to the \
         write before the latest",
    ),
    (
        "last",
        Kind::Number,
        "",
        "the value that it moves from: the last one sent, as far as no refusal is known, or read back",
    ),
    ("readback", Kind::Number, "", "the value on the plant, as it was read back"),
    ("limits", Kind::Word, "", "the limits that changed the value"),
    ("withheld", Kind::Word, "", "why nothing was sent, if nothing was"),
];

/// The topics of a site, in the order of its records.
pub(crate) fn topics(legend: &Legend) -> Vec<Topic> {
    let cycle = Topic { subject: Subject::Cycle, name: "cycle".to_owned(), fields: fields(&CYCLE, "") };
    let tag = |(at, tag): (usize, &crate::TagLegend)| Topic {
        subject: Subject::Tag(at),
        name: tag.name.clone(),
        fields: fields(&TAG, &tag.unit),
    };
    let setpoint = |(at, setpoint): (usize, &crate::SetpointLegend)| Topic {
        subject: Subject::Setpoint(at),
        name: setpoint.name.clone(),
        fields: fields(&SETPOINT, &setpoint.unit),
    };
    let tags = legend.tags.iter().enumerate().map(tag);
    std::iter::once(cycle).chain(tags).chain(legend.setpoints.iter().enumerate().map(setpoint)).collect()
}

/// Fields of a kind of topic; a number without a unit of its own has the topic's.
fn fields(specs: &[Spec], unit: &str) -> Vec<Field> {
    let field = |(name, kind, own, about): &Spec| {
        let inherits = *kind == Kind::Number && own.is_empty();
        Field { name, kind: *kind, unit: if inherits { unit } else { own }.to_owned(), about }
    };
    specs.iter().map(field).collect()
}

impl Topic {
    /// Appends what its fields hold in this cycle, in their order.
    pub(crate) fn values<'a>(&self, record: &CycleRef<'_>, to: &mut Vec<Value<'a>>) {
        match self.subject {
            Subject::Cycle => to.extend(of_cycle(record.head)),
            Subject::Tag(at) => to.extend(record.tags.get(at).into_iter().flat_map(of_tag)),
            Subject::Setpoint(at) => to.extend(record.setpoints.get(at).into_iter().flat_map(of_setpoint)),
        }
    }
}

fn of_cycle<'a>(head: &CycleHead) -> [Value<'a>; CYCLE.len()] {
    let flag = |flag| Value::Switch(head.has(flag));
    let us = |ns: u64| Value::Number(ns as f64 / 1e3);
    let wrote = head.has(CycleHead::WROTE);
    [
        Value::Count(head.cycle),
        Value::Choice(head.mode, mode_name(head.mode)),
        flag(CycleHead::ARMED),
        flag(CycleHead::LATCHED),
        flag(CycleHead::CONNECTED),
        flag(CycleHead::OBSERVATION_SLOT),
        flag(CycleHead::DECISION_SLOT),
        flag(CycleHead::DECIDED),
        flag(CycleHead::EXPLORED),
        flag(CycleHead::WROTE),
        Value::Count(head.policy_generation),
        Value::Number(head.reward),
        Value::Count(head.goal.into()),
        Value::Word(zone_name(head.zone.into()).unwrap_or_default().into()),
        Value::Count(head.zone_tag.into()),
        Value::Number(head.zone_depth),
        us(head.lateness_ns.into()),
        us(head.execution_ns.into()),
        // Without a write there is no response, and 0 in the record.
        if wrote { us(head.response_ns.into()) } else { Value::Number(f64::NAN) },
        us(head.dt_ns),
        Value::Count(head.skipped.into()),
        Value::Count(head.samples_drained.into()),
    ]
}

fn of_tag<'a>(part: &TagPart) -> [Value<'a>; TAG.len()] {
    let (quality, name) = tag_quality(part);
    [
        Value::Number(part.value),
        Value::Choice(quality, name),
        // The age of what never came is the end of the scale.
        Value::Number(part.age().map_or(f64::NAN, |age_ns| age_ns as f64 / 1e9)),
        part.source_unix_ns().map_or(Value::Nothing, Value::Time),
    ]
}

fn of_setpoint<'a>(part: &SetpointPart) -> [Value<'a>; SETPOINT.len()] {
    let limits = limit_names(part.acted).fold(String::new(), |text, name| {
        let gap = if text.is_empty() { "" } else { " " };
        text + gap + name
    });
    [
        Value::Number(part.desired),
        Value::Number(part.sent),
        Value::Word(reply_name(part.reply).unwrap_or_default().into()),
        Value::Number(part.last),
        Value::Number(part.readback),
        Value::Word(limits.into()),
        Value::Word(withheld_name(part.state).unwrap_or_default().into()),
    ]
}

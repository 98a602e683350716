//! Segments that are rings of records: cycles, transitions, events.

use footage::words::zone_name;
use rt_control::Description;
use rt_core::mode::Mode;
use rt_core::record::Reply;
use serde_json::{Value, json};
use shm::{Segment, broadcast};
use shm_layout::{
    CycleHead, CycleLayout, CycleRef, ESTIMATE_WORDS, EVENT_WORDS, EstimateRecord, EventRecord, StepHead, StepLayout,
    StepRef,
};

use super::{Content, internal, names_of_bits};
use crate::failure::Failure;
use crate::output::{span, table};

/// Flags of a cycle, by name.
const CYCLE_FLAGS: [(u64, &str); 15] = [
    (CycleHead::OBSERVATION_SLOT as u64, "observation"),
    (CycleHead::DECISION_SLOT as u64, "decision"),
    (CycleHead::ARMED as u64, "armed"),
    (CycleHead::POLICY_ADOPTED as u64, "policy_adopted"),
    (CycleHead::EXPLORED as u64, "explored"),
    (CycleHead::WROTE as u64, "wrote"),
    (CycleHead::LATCHED as u64, "latched"),
    (CycleHead::STEP_SENT as u64, "step_sent"),
    (CycleHead::FAULT as u64, "fault"),
    (CycleHead::CONNECTED as u64, "connected"),
    (CycleHead::DECIDED as u64, "decided"),
    (CycleHead::NOT_FINITE as u64, "not_finite"),
    (CycleHead::OUT_OF_BOUNDS as u64, "out_of_bounds"),
    (CycleHead::LATE_DECISION as u64, "late_decision"),
    (CycleHead::TRIGGERED as u64, "triggered"),
];

/// Flags of a step, by name.
const STEP_FLAGS: [(u64, &str); 12] = [
    (StepHead::STATE_COMPLETE as u64, "state_complete"),
    (StepHead::REWARD_VALID as u64, "reward_valid"),
    (StepHead::DECISION_SLOT as u64, "decision"),
    (StepHead::GAP_BEFORE as u64, "gap_before"),
    (StepHead::EXPLORED as u64, "explored"),
    (StepHead::ACTION_READ_BACK as u64, "action_read_back"),
    (StepHead::GOALS_JUDGED as u64, "goals_judged"),
    (StepHead::GOALS_MET as u64, "goals_met"),
    (StepHead::ZONES_JUDGED as u64, "zones_judged"),
    (StepHead::ZONES_CLEAR as u64, "zones_clear"),
    (StepHead::TRIGGERED as u64, "triggered"),
    (StepHead::ALL_READ as u64, "all_read"),
];

/// Records as JSON and as rows, and what was missed.
struct Found<const COLUMNS: usize> {
    json: Vec<Value>,
    rows: Vec<[String; COLUMNS]>,
    lost: u64,
    damaged: bool,
}

/// The newest `last` records. As many as were asked for end it, so a fast writer cannot keep us here.
fn newest<const COLUMNS: usize>(
    segment: &Segment,
    last: u64,
    heading: [&str; COLUMNS],
    mut show: impl FnMut(u64, &[u64]) -> Option<(Value, [String; COLUMNS])>,
) -> Result<Found<COLUMNS>, Failure> {
    let mut reader = broadcast::Reader::new(segment, broadcast::Start::Back(last)).map_err(internal)?;
    let mut words = vec![0; reader.slot_words()];
    let mut found = Found { json: Vec::new(), rows: vec![heading.map(String::from)], lost: 0, damaged: false };
    for _ in 0..last.min(segment.header().slots() as u64) {
        match reader.next(&mut words) {
            broadcast::Next::Record { sequence } => {
                if let Some((json, row)) = show(sequence, &words) {
                    found.json.push(json);
                    found.rows.push(row);
                }
            }
            broadcast::Next::Lost(count) => found.lost += count,
            broadcast::Next::Empty => break,
            broadcast::Next::Damaged { .. } => {
                found.damaged = true;
                break;
            }
        }
    }
    Ok(found)
}

impl<const COLUMNS: usize> From<Found<COLUMNS>> for Content {
    fn from(found: Found<COLUMNS>) -> Self {
        let mut text = table(&found.rows);
        if found.lost > 0 {
            text.push_str(&format!("{} records were overwritten while they were read\n", found.lost));
        }
        if found.damaged {
            text.push_str("the ring is damaged: it holds what no sound writer writes\n");
        }
        Self { json: json!({ "records": found.json, "lost": found.lost, "damaged": found.damaged }), text }
    }
}

pub(super) fn mode_name(number: u8) -> String {
    Mode::from_number(number).map_or_else(|| number.to_string(), |mode| mode.name().to_owned())
}

/// Numbers for people; a dash for what is not a number.
pub(super) fn number(value: f64) -> String {
    if value.is_finite() { format!("{value:.5}") } else { "-".into() }
}

fn words_of(flags: &[Value]) -> String {
    flags.iter().map(|flag| flag.as_str().map_or_else(|| flag.to_string(), str::to_owned)).collect::<Vec<_>>().join(" ")
}

pub(super) fn cycles(segment: &Segment, names: &Description, last: u64) -> Result<Content, Failure> {
    let layout =
        CycleLayout::from_dims(segment.header().dims()).ok_or_else(|| internal("impossible sizes of records"))?;
    let heading = ["cycle", "mode", "late", "execution", "policy", "reward", "setpoints", "flags"];
    let found =
        newest(segment, last, heading, |sequence, words| Some(cycle(sequence, &layout.view(words).ok()?, names)))?;
    Ok(found.into())
}

fn cycle(sequence: u64, record: &CycleRef<'_>, names: &Description) -> (Value, [String; 8]) {
    let head = record.head;
    let flags = names_of_bits(head.flags.into(), &CYCLE_FLAGS);
    let setpoint_name = |index: usize| names.setpoints.get(index).map_or("?", |setpoint| setpoint.name.as_str());
    let tag_name = |index: usize| names.tags.get(index).map_or("?", |tag| tag.name.as_str());
    let sent = record
        .setpoints
        .iter()
        .enumerate()
        .map(|(index, part)| format!("{} {}", setpoint_name(index), number(part.sent)));
    let row = [
        head.cycle.to_string(),
        mode_name(head.mode),
        span(head.lateness_ns.into()),
        span(head.execution_ns.into()),
        head.policy_generation.to_string(),
        number(head.reward),
        sent.collect::<Vec<_>>().join(", "),
        words_of(&flags),
    ];
    let setpoints = record.setpoints.iter().enumerate().map(|(index, part)| {
        json!({
            "name": setpoint_name(index), "desired": part.desired, "sent": part.sent, "last": part.last,
            "readback": part.readback, "acted": part.acted, "state": part.state,
            "reply": Reply::from_number(part.reply).map(Reply::name),
        })
    });
    let tags = record.tags.iter().enumerate().map(|(index, part)| {
        json!({
            "name": tag_name(index), "value": part.value, "age_ns": part.age(), "source_unix_ns": part.source_unix_ns(),
            "quality": part.quality, "stale": part.stale != 0,
        })
    });
    let zone = zone_name(head.zone.into())
        .map(|name| json!({ "name": name, "tag": tag_name(head.zone_tag.into()), "depth": head.zone_depth }));
    let json = json!({
        "sequence": sequence,
        "cycle": head.cycle,
        "release_ns": head.release_ns,
        "dt_ns": head.dt_ns,
        "lateness_ns": head.lateness_ns,
        "execution_ns": head.execution_ns,
        "response_ns": head.response_ns,
        "skipped": head.skipped,
        "samples_drained": head.samples_drained,
        "samples_lost": head.samples_lost,
        "policy_generation": head.policy_generation,
        "reward": head.reward,
        "goal": head.goal,
        "zone": zone,
        "mode": mode_name(head.mode),
        "mode_previous": mode_name(head.mode_previous),
        "cause": head.cause,
        "flags": flags,
        "setpoints": setpoints.collect::<Vec<_>>(),
        "tags": tags.collect::<Vec<_>>(),
    });
    (json, row)
}

pub(super) fn transitions(segment: &Segment, names: &Description, last: u64) -> Result<Content, Failure> {
    let layout =
        StepLayout::from_dims(segment.header().dims()).ok_or_else(|| internal("impossible sizes of records"))?;
    let heading = ["step", "cycle", "mode", "policy", "reward", "action", "flags"];
    let found =
        newest(segment, last, heading, |sequence, words| Some(step(sequence, &layout.view(words).ok()?, names)))?;
    Ok(found.into())
}

fn step(sequence: u64, record: &StepRef<'_>, names: &Description) -> (Value, [String; 7]) {
    let head = record.head;
    let flags = names_of_bits(head.flags.into(), &STEP_FLAGS);
    let action = record.action.iter().map(|value| number(f64::from(*value)));
    let row = [
        head.sequence.to_string(),
        head.cycle.to_string(),
        mode_name(head.mode),
        head.policy_generation.to_string(),
        number(head.reward),
        action.collect::<Vec<_>>().join(" "),
        words_of(&flags),
    ];
    let column_name = |index: usize| names.columns.get(index).map_or("?", String::as_str);
    let state = record.state.iter().enumerate().map(|(index, value)| json!([column_name(index), value]));
    let json = json!({
        "sequence": sequence,
        "step": head.sequence,
        "cycle": head.cycle,
        "time_ns": head.time_ns,
        "mode": mode_name(head.mode),
        "policy_generation": head.policy_generation,
        "reward": head.reward,
        "flags": flags,
        "state": state.collect::<Vec<_>>(),
        "action": record.action,
        "lo": record.lo,
        "hi": record.hi,
        "mean": record.mean,
        "sampled": record.sampled,
        "decided": record.decided,
    });
    (json, row)
}

pub(super) fn estimates(segment: &Segment, last: u64) -> Result<Content, Failure> {
    let heading = ["cycle", "value", "spread", "nominal", "updates"];
    let found = newest(segment, last, heading, |sequence, words| {
        let words: &[u64; ESTIMATE_WORDS] = words.first_chunk()?;
        Some(estimate(sequence, &EstimateRecord::from_words(words)))
    })?;
    Ok(found.into())
}

fn estimate(sequence: u64, record: &EstimateRecord) -> (Value, [String; 5]) {
    let EstimateRecord { cycle, updates, value, spread, nominal_value } = *record;
    let row = [cycle.to_string(), number(value), number(spread), number(nominal_value), updates.to_string()];
    let json = json!({
        "sequence": sequence, "cycle": cycle, "value": value, "spread": spread, "nominal_value": nominal_value,
        "updates": updates,
    });
    (json, row)
}

pub(super) fn events(segment: &Segment, last: u64) -> Result<Content, Failure> {
    let heading = ["time", "cycle", "event", "cause", "a", "b", "user", "text"];
    let found = newest(segment, last, heading, |sequence, words| {
        let words: &[u64; EVENT_WORDS] = words.first_chunk()?;
        Some(event(sequence, &EventRecord::from_words(words)))
    })?;
    Ok(found.into())
}

fn event(sequence: u64, record: &EventRecord) -> (Value, [String; 8]) {
    let kind = record.kind().map_or_else(|| format!("unknown {}", record.kind), |kind| kind.name().to_owned());
    let uid = (record.uid != u32::MAX).then_some(record.uid);
    // Foreign bytes are not let loose on a terminal.
    let text: String = record.text().chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    let row = [
        span(record.time_ns),
        record.cycle.to_string(),
        kind.clone(),
        record.cause.to_string(),
        record.a.to_string(),
        record.b.to_string(),
        uid.map_or("-".into(), |uid| uid.to_string()),
        text.clone(),
    ];
    let json = json!({
        "sequence": sequence,
        "time_ns": record.time_ns,
        "cycle": record.cycle,
        "kind": kind,
        "cause": record.cause,
        "uid": uid,
        "a": record.a,
        "b": record.b,
        "text": text,
    });
    (json, row)
}

//! MCAP with Protobuf messages: one channel for the cycle, for each tag and each setpoint, and one for events.
//!
//! A channel for each tag and not one message with all of them, because names and units of a plant then stay what they are:
//! a topic may be called anything and has metadata, a field of a message has neither.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufWriter;

use rt_recording::Concern;
use shm_layout::{CycleRef, EventRecord};
use tables::{Kind, Value};

use super::column::{Field, Subject, Topic, topics};
use super::{ExportError, Instant, Sink};
use crate::file::Footage;
use crate::legend::Legend;
use crate::mcap::{Container, Message, Schema, Texts, Type};
use crate::words::told;

/// Levels of foxglove.Log.
const DEBUG: u64 = 1;
const INFO: u64 = 2;
const WARNING: u64 = 3;
const NS_PER_S: u64 = 1_000_000_000;

/// A file that is being written.
pub(super) struct McapFile {
    container: Container<BufWriter<File>>,
    channels: Vec<Channel>,
    events: u16,
    legend: Legend,
    message: Message,
    /// Of the message before, as readers expect it.
    sequence: u32,
}

struct Channel {
    id: u16,
    topic: Topic,
}

impl McapFile {
    pub(super) fn begin(footage: &Footage, file: File) -> Result<Self, ExportError> {
        let library = concat!("corerl ", env!("CARGO_PKG_VERSION"));
        let mut container = Container::begin(BufWriter::new(file), library)?;
        container.metadata("corerl", &origin(footage))?;
        let legend = footage.legend().clone();
        let channels = channels(&mut container, &legend)?;
        let log = container.schema(&Schema::log())?;
        let events = container.channel(log, "/events", &Texts::new())?;
        Ok(Self { container, channels, events, legend, message: Message::default(), sequence: 0 })
    }

    fn put(&mut self, channel_id: u16, at: Instant) -> Result<(), ExportError> {
        self.sequence = self.sequence.wrapping_add(1);
        Ok(self.container.message(channel_id, self.sequence, at.unix_ns, self.message.bytes())?)
    }
}

/// Where the file comes from, for those who look at its metadata.
fn origin(footage: &Footage) -> Texts {
    let (legend, provenance) = (footage.legend(), footage.provenance());
    let entries = [
        ("site", legend.site.clone()),
        ("agent", legend.agent.clone()),
        ("period_ns", legend.period_ns.to_string()),
        ("site_file", provenance.site_file.clone()),
        ("program", provenance.program.clone()),
        ("why", provenance.why.clone()),
    ];
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// A channel for each topic, and one schema for each kind of topic.
fn channels(container: &mut Container<BufWriter<File>>, legend: &Legend) -> Result<Vec<Channel>, ExportError> {
    let mut schemas = BTreeMap::new();
    let mut channels = Vec::new();
    for topic in topics(legend) {
        let (message, path) = match topic.subject {
            Subject::Cycle => ("Cycle", "/cycle".to_owned()),
            Subject::Tag(_) => ("Tag", format!("/tags/{}", topic.name)),
            Subject::Setpoint(_) => ("Setpoint", format!("/setpoints/{}", topic.name)),
        };
        let schema_id = match schemas.get(message) {
            Some(id) => *id,
            None => {
                let id = container.schema(&schema(message, &topic.fields))?;
                schemas.insert(message, id);
                id
            }
        };
        let id = container.channel(schema_id, &path, &metadata(&topic, legend))?;
        channels.push(Channel { id, topic });
    }
    Ok(channels)
}

/// A message with these fields. Beside the number of a choice stands its name: Foxglove and PlotJuggler plot numbers, people
/// read names.
fn schema(name: &str, fields: &[Field]) -> Schema {
    let beside: Vec<String> = fields.iter().map(|field| format!("{}_name", field.name)).collect();
    let mut typed = Vec::new();
    for (field, name_beside) in fields.iter().zip(&beside) {
        match field.kind {
            Kind::Number => typed.push((field.name, Type::Double)),
            Kind::Time | Kind::Micros | Kind::Count | Kind::Bits => typed.push((field.name, Type::Uint64)),
            Kind::Switch => typed.push((field.name, Type::Bool)),
            Kind::Word => typed.push((field.name, Type::String)),
            Kind::Choice => typed.extend([(field.name, Type::Uint64), (name_beside, Type::String)]),
        }
    }
    Schema::of(name, &typed)
}

/// Units of a channel's fields, what they are, and the ranges of what it is about.
fn metadata(topic: &Topic, legend: &Legend) -> Texts {
    let mut entries = Texts::new();
    for Field { name, unit, about, .. } in &topic.fields {
        entries.insert(format!("about.{name}"), (*about).to_owned());
        if !unit.is_empty() {
            entries.insert(format!("unit.{name}"), unit.clone());
        }
    }
    match topic.subject {
        Subject::Cycle => {}
        Subject::Tag(at) => {
            let tag = legend.tags.get(at);
            entries.insert("unit".to_owned(), tag.map(|tag| tag.unit.clone()).unwrap_or_default());
            let ranges = tag.into_iter().flat_map(|tag| &tag.ranges);
            entries.extend(ranges.map(|(zone, of)| (zone.name().to_owned(), format!("[{}, {}]", of.lo, of.hi))));
        }
        Subject::Setpoint(at) => {
            let Some(setpoint) = legend.setpoints.get(at) else { return entries };
            let run = setpoint.limits.run;
            entries.insert("unit".to_owned(), setpoint.unit.clone());
            entries.insert("limits".to_owned(), format!("[{}, {}]", run.lo, run.hi));
        }
    }
    entries
}

impl Sink for McapFile {
    fn cycle(&mut self, at: Instant, record: &CycleRef<'_>) -> Result<(), ExportError> {
        let mut values = Vec::new();
        for channel in 0..self.channels.len() {
            let Some(Channel { id, topic }) = self.channels.get(channel) else { continue };
            let id = *id;
            values.clear();
            topic.values(record, &mut values);
            self.message.clear();
            encode(&values, &mut self.message);
            self.put(id, at)?;
        }
        Ok(())
    }

    fn event(&mut self, at: Instant, event: &EventRecord) -> Result<(), ExportError> {
        let level = match Concern::of(event) {
            Concern::Detail => DEBUG,
            Concern::Note => INFO,
            Concern::Warning => WARNING,
        };
        let mut timestamp = Message::default();
        timestamp.count(1, at.unix_ns / NS_PER_S).count(2, at.unix_ns % NS_PER_S);
        let name = format!("{}/{}", self.legend.site, self.legend.agent);
        self.message.clear();
        self.message.message(1, &timestamp).count(2, level).text(3, &told(event, &self.legend)).text(4, &name);
        self.put(self.events, at)
    }

    fn finish(self: Box<Self>) -> Result<(), ExportError> {
        self.container.finish()?;
        Ok(())
    }
}

/// The fields of a message by their numbers, which count as the schema counts them.
fn encode(values: &[Value<'_>], message: &mut Message) {
    let mut field = 0;
    for value in values {
        field += 1;
        match value {
            Value::Number(number) => _ = message.number(field, *number),
            Value::Time(count) | Value::Micros(count) | Value::Count(count) | Value::Bits(count) => {
                _ = message.count(field, *count)
            }
            Value::Switch(on) => _ = message.count(field, u64::from(*on)),
            Value::Word(text) => _ = message.text(field, text),
            Value::Nothing => {}
            Value::Choice(number, name) => {
                let beside = field + 1;
                message.count(field, (*number).into()).text(beside, name);
                field = beside;
            }
        }
    }
}

//! MCAP: a channel `/sample` with `cycle`, `lost` and `skipped`, and one for each channel of the scope, called `/scope/TITLE`,
//! with `value`. A message of `/sample` opens each sample; a value that is not a number has its message, too. Times are
//! CLOCK_MONOTONIC, as `trigger_ns`; the facts are metadata called `corerl.scope/1`.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use footage::mcap::{Container, Entry, Message, Part, Reader, Schema, Texts, Type, parts};

use super::super::acquisition::Sample;
use super::super::channel::CHANNELS_MAX;
use super::{SCHEMA, Saved};

const SAMPLE: &str = "/sample";
/// What stands before the title of a channel.
const CHANNEL: &str = "/scope/";

/// Writes a capture.
pub(super) fn write(saved: &Saved, to: &mut impl Write) -> io::Result<()> {
    let mut container = Container::begin(to, concat!("corerl ", env!("CARGO_PKG_VERSION")))?;
    let facts = saved.facts().map(|(name, value)| (name.to_owned(), value));
    container.metadata(SCHEMA, &Texts::from(facts))?;
    let counts = [("cycle", Type::Uint64), ("lost", Type::Uint64), ("skipped", Type::Uint64)];
    let schema = container.schema(&Schema::of("Sample", &counts))?;
    let sample_channel = container.channel(schema, SAMPLE, &Texts::new())?;
    let schema = container.schema(&Schema::of("Value", &[("value", Type::Double)]))?;
    let mut channels = Vec::new();
    for title in &saved.titles {
        channels.push(container.channel(schema, &format!("{CHANNEL}{title}"), &Texts::new())?);
    }
    let mut message = Message::default();
    for (sequence, sample) in (0..).zip(&saved.capture.samples) {
        message.clear();
        message.count(1, sample.cycle).count(2, sample.lost).count(3, sample.skipped.into());
        container.message(sample_channel, sequence, sample.time_ns, message.bytes())?;
        for (channel, value) in channels.iter().zip(sample.values) {
            message.clear();
            container.message(*channel, sequence, sample.time_ns, message.number(1, value).bytes())?;
        }
    }
    container.finish().map(drop)
}

/// Reads a capture.
pub(super) fn read(from: impl Read) -> Result<Saved, String> {
    let mut entries = Reader::begin(io::BufReader::new(from)).map_err(|error| error.to_string())?;
    let mut reading = loop {
        let entry = entries
            .next()
            .ok_or_else(|| format!("it has no metadata `{SCHEMA}`: is it a capture of `corerl shm scope`?"));
        if let Entry::Metadata(name, facts) = entry?.map_err(|error| error.to_string())?
            && name == SCHEMA
        {
            break Reading { saved: Saved::of_facts(&facts)?, channels: BTreeMap::new(), open: None };
        }
    };
    for entry in entries {
        match entry.map_err(|error| error.to_string())? {
            Entry::Channel { id, topic, .. } => reading.channel(id, &topic)?,
            Entry::Message { channel, time, data } => reading.message(channel, time, &data)?,
            Entry::Metadata(..) => {}
        }
    }
    reading.close()?;
    Ok(reading.saved)
}

/// What the messages of a channel are.
#[derive(Clone, Copy)]
enum Place {
    Sample,
    Channel(usize),
}

struct Reading {
    saved: Saved,
    channels: BTreeMap<u16, Place>,
    /// The sample to which values may still come.
    open: Option<Sample>,
}

impl Reading {
    fn channel(&mut self, id: u16, topic: &str) -> Result<(), String> {
        if topic == SAMPLE {
            self.channels.insert(id, Place::Sample);
        } else if let Some(title) = topic.strip_prefix(CHANNEL) {
            self.channels.insert(id, Place::Channel(self.saved.titles.len()));
            self.saved.add_title(title.to_owned())?;
        }
        Ok(())
    }

    fn message(&mut self, channel: u16, time_ns: u64, data: &[u8]) -> Result<(), String> {
        match (self.channels.get(&channel), &mut self.open) {
            (Some(Place::Sample), _) => {
                self.close()?;
                self.open = Some(sample(time_ns, data).ok_or("a message of /sample is none")?);
            }
            (Some(Place::Channel(at)), Some(sample)) if sample.time_ns == time_ns => {
                sample.values[*at] = value(data).ok_or("a message of a channel is no value")?;
            }
            (Some(Place::Channel(_)), _) => return Err("a value belongs to no sample".to_owned()),
            (None, _) => {}
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(whole) = self.open.take() else { return Ok(()) };
        self.saved.add(whole, format_args!("cycle {}", whole.cycle))
    }
}

fn sample(time_ns: u64, message: &[u8]) -> Option<Sample> {
    let mut sample = Sample { cycle: 0, time_ns, lost: 0, skipped: 0, values: [f64::NAN; CHANNELS_MAX] };
    for part in parts(message) {
        match part.ok()? {
            (1, Part::Count(cycle)) => sample.cycle = cycle,
            (2, Part::Count(lost)) => sample.lost = lost,
            (3, Part::Count(skipped)) => sample.skipped = skipped.try_into().ok()?,
            _ => {}
        }
    }
    Some(sample)
}

fn value(message: &[u8]) -> Option<f64> {
    let mut value = 0.0;
    for part in parts(message) {
        match part.ok()? {
            (1, Part::Number(found)) => value = found,
            (1, _) => return None,
            _ => {}
        }
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{bytes_of, small};
    use super::*;

    #[test]
    fn what_is_no_capture_is_refused_with_what_is_wrong() {
        let other = |metadata: &str, topic: &str, data: &[u8]| {
            let mut container = Container::begin(Vec::new(), "test").unwrap();
            let facts = Texts::from(small().facts().map(|(name, value)| (name.to_owned(), value)));
            container.metadata(metadata, &facts).unwrap();
            let schema = container.schema(&Schema::of("Value", &[("value", Type::Double)])).unwrap();
            let channel = container.channel(schema, topic, &Texts::new()).unwrap();
            for time in [5, 5] {
                container.message(channel, 0, time, data).unwrap();
            }
            read(&container.finish().unwrap()[..]).unwrap_err()
        };
        assert!(other("corerl", SAMPLE, &[]).contains("is it a capture"));
        assert!(other(SCHEMA, SAMPLE, &[]).contains("cycle 0 is not later"));
        assert!(other(SCHEMA, SAMPLE, &[7]).contains("/sample"));
        assert!(other(SCHEMA, "/scope/level", &[]).contains("belongs to no sample"));
        let whole = bytes_of(&small(), Format::Mcap);
        assert!(read(&whole[..400]).unwrap_err().contains("middle of a record"));
        assert!(read(&b"time_s,cycle"[..]).unwrap_err().contains("MCAP"));
    }
}

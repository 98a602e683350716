//! Writing: messages in chunks with indexes, and a summary at the end, so that viewers find any time in a file of any size.
//! From beginning to end; nothing is held but one chunk and the index of the chunks.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::{ENCODING, MAGIC, Schema, Texts, UNCHECKED, op};

/// A chunk is closed once it has so many bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// A file that is being written.
pub struct Container<W> {
    output: W,
    /// Bytes so far.
    position: u64,
    chunk: Chunk,
    /// Schemas and channels once more, for the summary.
    declared: Vec<u8>,
    /// Of the summary: where chunks and metadata are.
    indexes: Vec<u8>,
    totals: Totals,
}

/// The messages since the last chunk.
#[derive(Default)]
struct Chunk {
    records: Vec<u8>,
    span: Option<Span>,
    /// Of each channel: when its messages are, and where in the chunk.
    index: BTreeMap<u16, Vec<(u64, u64)>>,
}

#[derive(Clone, Copy)]
struct Span {
    from: u64,
    to: u64,
}

impl Span {
    fn with(span: Option<Self>, time: u64) -> Self {
        span.map_or(Self { from: time, to: time }, |span| Self { from: span.from.min(time), to: span.to.max(time) })
    }
}

#[derive(Default)]
struct Totals {
    messages: BTreeMap<u16, u64>,
    schemas: u16,
    chunks: u32,
    metadata: u32,
    channels: u16,
    span: Option<Span>,
}

impl<W: Write> Container<W> {
    /// Begins a file of a program.
    ///
    /// # Errors
    /// As the output, here and below.
    pub fn begin(mut output: W, library: &str) -> io::Result<Self> {
        output.write_all(MAGIC)?;
        let (position, totals) = (MAGIC.len() as u64, Totals::default());
        let (chunk, declared, indexes) = (Chunk::default(), Vec::new(), Vec::new());
        let mut container = Self { output, position, chunk, declared, indexes, totals };
        container.write(&record(op::HEADER, |content| {
            text(content, "");
            text(content, library);
        }))?;
        Ok(container)
    }

    /// Texts about the whole, for those who look at the file's metadata.
    pub fn metadata(&mut self, name: &str, entries: &Texts) -> io::Result<()> {
        let written = record(op::METADATA, |content| {
            text(content, name);
            texts(content, entries);
        });
        let (offset, length) = (self.position, written.len() as u64);
        self.write(&written)?;
        self.totals.metadata += 1;
        self.indexes.extend(record(op::METADATA_INDEX, |content| {
            content.extend(offset.to_le_bytes());
            content.extend(length.to_le_bytes());
            text(content, name);
        }));
        Ok(())
    }

    /// Declares a schema; its number.
    pub fn schema(&mut self, schema: &Schema) -> io::Result<u16> {
        self.totals.schemas += 1;
        let id = self.totals.schemas;
        let written = record(op::SCHEMA, |content| {
            content.extend(id.to_le_bytes());
            text(content, &schema.name);
            text(content, ENCODING);
            bytes(content, &schema.descriptors);
        });
        self.declare(&written)?;
        Ok(id)
    }

    /// Declares a channel of messages; its number.
    pub fn channel(&mut self, schema: u16, topic: &str, metadata: &Texts) -> io::Result<u16> {
        let id = self.totals.channels;
        self.totals.channels = id
            .checked_add(1)
            .ok_or_else(|| io::Error::other("a file has at most 65,535 channels: there are more tags"))?;
        let written = record(op::CHANNEL, |content| {
            content.extend(id.to_le_bytes());
            content.extend(schema.to_le_bytes());
            text(content, topic);
            text(content, ENCODING);
            texts(content, metadata);
        });
        self.declare(&written)?;
        Ok(id)
    }

    /// Appends a message.
    pub fn message(&mut self, channel: u16, sequence: u32, time: u64, data: &[u8]) -> io::Result<()> {
        let at = self.chunk.records.len() as u64;
        self.chunk.records.extend(record(op::MESSAGE, |content| {
            content.extend(channel.to_le_bytes());
            content.extend(sequence.to_le_bytes());
            // When it was logged, and when it was published.
            content.extend(time.to_le_bytes());
            content.extend(time.to_le_bytes());
            content.extend(data);
        }));
        self.chunk.index.entry(channel).or_default().push((time, at));
        self.chunk.span = Some(Span::with(self.chunk.span, time));
        self.totals.span = Some(Span::with(self.totals.span, time));
        *self.totals.messages.entry(channel).or_default() += 1;
        if self.chunk.records.len() >= CHUNK_BYTES { self.end_chunk() } else { Ok(()) }
    }

    /// Writes what is still missing: the last chunk and the summary.
    pub fn finish(mut self) -> io::Result<W> {
        self.end_chunk()?;
        self.write(&record(op::DATA_END, |content| content.extend(UNCHECKED.to_le_bytes())))?;
        let summary_start = self.position;
        let summary = [&self.declared[..], &self.indexes, &self.totals.record()].concat();
        self.write(&summary)?;
        self.write(&record(op::FOOTER, |content| {
            content.extend(summary_start.to_le_bytes());
            // No offsets of the summary's groups.
            content.extend(0_u64.to_le_bytes());
            content.extend(UNCHECKED.to_le_bytes());
        }))?;
        self.output.write_all(MAGIC)?;
        self.output.flush()?;
        Ok(self.output)
    }

    fn write(&mut self, written: &[u8]) -> io::Result<()> {
        self.output.write_all(written)?;
        self.position += written.len() as u64;
        Ok(())
    }

    fn declare(&mut self, written: &[u8]) -> io::Result<()> {
        self.declared.extend(written);
        self.write(written)
    }

    fn end_chunk(&mut self) -> io::Result<()> {
        let Chunk { records, span: Some(span), index } = std::mem::take(&mut self.chunk) else { return Ok(()) };
        let size = records.len() as u64;
        let chunk = record(op::CHUNK, |content| {
            content.extend(span.from.to_le_bytes());
            content.extend(span.to.to_le_bytes());
            content.extend(size.to_le_bytes());
            content.extend(crc32fast::hash(&records).to_le_bytes());
            text(content, "");
            content.extend(size.to_le_bytes());
            content.extend(&records);
        });
        let (chunk_at, chunk_length) = (self.position, chunk.len() as u64);
        self.write(&chunk)?;
        let index_at = self.position;
        let mut offsets = Vec::new();
        for (channel, messages) in index {
            offsets.extend(channel.to_le_bytes());
            offsets.extend(self.position.to_le_bytes());
            self.write(&record(op::MESSAGE_INDEX, |content| {
                content.extend(channel.to_le_bytes());
                let entries = messages.iter().flat_map(|(time, at)| [time.to_le_bytes(), at.to_le_bytes()]).flatten();
                bytes(content, &entries.collect::<Vec<_>>());
            }))?;
        }
        let index_length = self.position - index_at;
        self.totals.chunks += 1;
        self.indexes.extend(record(op::CHUNK_INDEX, |content| {
            [span.from, span.to, chunk_at, chunk_length].iter().for_each(|number| content.extend(number.to_le_bytes()));
            bytes(content, &offsets);
            content.extend(index_length.to_le_bytes());
            text(content, "");
            // Compressed or not, it is as long.
            [size, size].iter().for_each(|number| content.extend(number.to_le_bytes()));
        }));
        Ok(())
    }
}

impl Totals {
    fn record(&self) -> Vec<u8> {
        let span = self.span.unwrap_or(Span { from: 0, to: 0 });
        let counts = self
            .messages
            .iter()
            .flat_map(|(channel, count)| channel.to_le_bytes().into_iter().chain(count.to_le_bytes()));
        record(op::STATISTICS, |content| {
            content.extend(self.messages.values().sum::<u64>().to_le_bytes());
            content.extend(self.schemas.to_le_bytes());
            let no_attachments = 0;
            let numbers = [self.channels.into(), no_attachments, self.metadata, self.chunks];
            numbers.iter().for_each(|number: &u32| content.extend(number.to_le_bytes()));
            content.extend(span.from.to_le_bytes());
            content.extend(span.to.to_le_bytes());
            bytes(content, &counts.collect::<Vec<_>>());
        })
    }
}

/// A record: its kind, its length, its content.
fn record(kind: u8, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    const HEAD: usize = 1 + size_of::<u64>();
    let mut written = vec![0; HEAD];
    fill(&mut written);
    let length = (written.len() - HEAD) as u64;
    if let Some((first, rest)) = written.split_first_mut()
        && let Some(room) = rest.first_chunk_mut()
    {
        (*first, *room) = (kind, length.to_le_bytes());
    }
    written
}

/// Bytes behind their length. Nothing here has four gigabytes: names have a line, a chunk has a megabyte.
fn bytes(to: &mut Vec<u8>, value: &[u8]) {
    to.extend(u32::try_from(value.len()).unwrap_or(u32::MAX).to_le_bytes());
    to.extend(value);
}

fn text(to: &mut Vec<u8>, value: &str) {
    bytes(to, value.as_bytes());
}

fn texts(to: &mut Vec<u8>, entries: &Texts) {
    let mut content = Vec::new();
    for (key, value) in entries {
        text(&mut content, key);
        text(&mut content, value);
    }
    bytes(to, &content);
}

//! Reading, from beginning to end and without the indexes. A file is an allegation: no length in it is believed before as many
//! bytes were there, and none of them makes this panic.

use std::io::{self, Read};

use super::{ENCODING, MAGIC, Texts, UNCHECKED, op};

/// The largest record that is believed, bytes; chunks of other programs have a few megabytes.
const RECORD_MAX: u64 = 256 << 20;

/// Something that a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Texts about the whole.
    Metadata(String, Texts),
    /// From here on there may be messages with this number.
    Channel {
        /// Its number.
        id: u16,
        /// What it is called.
        topic: String,
        /// Texts about it.
        metadata: Texts,
    },
    /// One message.
    Message {
        /// The number of its channel.
        channel: u16,
        /// When it was logged, nanoseconds.
        time: u64,
        /// Protobuf: see [`parts`](super::parts).
        data: Vec<u8>,
    },
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The file system says so.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Another kind of file.
    #[error("it does not begin like an MCAP file")]
    Foreign,
    /// The end is missing.
    #[error("it ends in the middle of a record")]
    Torn,
    /// A record that contradicts itself.
    #[error("a record of kind {kind:#04x} is damaged")]
    Damaged {
        /// The kind of record.
        kind: u8,
    },
    /// Compressed chunks.
    #[error("it is compressed with {0}: write it anew without compression")]
    Compressed(String),
    /// Other messages than Protobuf's.
    #[error("messages of {topic} are {encoding} and not protobuf")]
    Encoding {
        /// Of the channel.
        topic: String,
        /// Of its messages.
        encoding: String,
    },
}

/// A file that is being read.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    /// What is left of the chunk.
    chunk: io::Cursor<Vec<u8>>,
    is_over: bool,
}

impl<R: Read> Reader<R> {
    /// Begins at the beginning.
    ///
    /// # Errors
    /// [`Unreadable::Foreign`], or as the input.
    pub fn begin(mut input: R) -> Result<Self, Unreadable> {
        let mut magic = [0; MAGIC.len()];
        match input.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => Ok(Self { input, chunk: io::Cursor::default(), is_over: false }),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => Err(error.into()),
            _ => Err(Unreadable::Foreign),
        }
    }

    /// The next thing; `None` at the end of the data.
    fn entry(&mut self) -> Result<Option<Entry>, Unreadable> {
        loop {
            let in_chunk = self.chunk.position() < self.chunk.get_ref().len() as u64;
            let (kind, content) = if in_chunk { record(&mut self.chunk)? } else { record(&mut self.input)? };
            let mut rest = Rest { kind, bytes: &content };
            match kind {
                op::DATA_END | op::FOOTER => return Ok(None),
                op::CHUNK if !in_chunk => self.chunk = io::Cursor::new(rest.chunk()?),
                op::METADATA => return Ok(Some(Entry::Metadata(rest.text()?, rest.texts()?))),
                op::CHANNEL => return Ok(Some(rest.channel()?)),
                op::MESSAGE => return Ok(Some(rest.message()?)),
                _ => {}
            }
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Entry, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let entry = self.entry().transpose();
        self.is_over = !matches!(entry, Some(Ok(_)));
        entry
    }
}

/// The next record: its kind and its content.
fn record(from: &mut impl Read) -> Result<(u8, Vec<u8>), Unreadable> {
    let mut head = [0; 9];
    from.read_exact(&mut head).map_err(torn)?;
    let [kind, length @ ..] = head;
    let length = u64::from_le_bytes(length);
    if length > RECORD_MAX {
        return Err(Unreadable::Damaged { kind });
    }
    let mut content = Vec::new();
    let found = from.take(length).read_to_end(&mut content)?;
    if found as u64 == length { Ok((kind, content)) } else { Err(Unreadable::Torn) }
}

fn torn(error: io::Error) -> Unreadable {
    if error.kind() == io::ErrorKind::UnexpectedEof { Unreadable::Torn } else { error.into() }
}

/// What is left of a record's content.
struct Rest<'a> {
    kind: u8,
    bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.bytes.split_at_checked(count).ok_or(Unreadable::Damaged { kind: self.kind })?;
        self.bytes = rest;
        Ok(taken)
    }

    fn number<const BYTES: usize>(&mut self) -> Result<[u8; BYTES], Unreadable> {
        self.take(BYTES)?.try_into().map_err(|_| Unreadable::Damaged { kind: self.kind })
    }

    fn u16(&mut self) -> Result<u16, Unreadable> {
        self.number().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Unreadable> {
        self.number().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Unreadable> {
        self.number().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, Unreadable> {
        let length = self.u32()? as usize;
        let text = std::str::from_utf8(self.take(length)?);
        text.map(str::to_owned).map_err(|_| Unreadable::Damaged { kind: self.kind })
    }

    fn texts(&mut self) -> Result<Texts, Unreadable> {
        let length = self.u32()? as usize;
        let mut entries = Rest { kind: self.kind, bytes: self.take(length)? };
        let mut texts = Texts::new();
        while !entries.bytes.is_empty() {
            texts.insert(entries.text()?, entries.text()?);
        }
        Ok(texts)
    }

    fn channel(&mut self) -> Result<Entry, Unreadable> {
        let (id, _schema) = (self.u16()?, self.u16()?);
        let (topic, encoding) = (self.text()?, self.text()?);
        if encoding != ENCODING {
            return Err(Unreadable::Encoding { topic, encoding });
        }
        Ok(Entry::Channel { id, topic, metadata: self.texts()? })
    }

    fn message(&mut self) -> Result<Entry, Unreadable> {
        let (channel, _sequence) = (self.u16()?, self.u32()?);
        let (time, _published) = (self.u64()?, self.u64()?);
        Ok(Entry::Message { channel, time, data: self.bytes.to_vec() })
    }

    /// The records of a chunk.
    fn chunk(&mut self) -> Result<Vec<u8>, Unreadable> {
        let (_from, _to, _size) = (self.u64()?, self.u64()?, self.u64()?);
        let (sum, compression, length) = (self.u32()?, self.text()?, self.u64()?);
        if !compression.is_empty() {
            return Err(Unreadable::Compressed(compression));
        }
        let records = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        if sum != UNCHECKED && sum != crc32fast::hash(records) {
            return Err(Unreadable::Damaged { kind: self.kind });
        }
        Ok(records.to_vec())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Container, Message, Part, Schema, Type, parts};
    use super::*;

    /// One channel with a double and a count, messages at each time.
    fn written(values: &[(u64, f64, u64)]) -> Vec<u8> {
        let mut container = Container::begin(Vec::new(), "test").unwrap();
        container.metadata("about", &Texts::from([("who".to_owned(), "us".to_owned())])).unwrap();
        let schema = Schema::of("Sample", &[("value", Type::Double), ("count", Type::Uint64)]);
        let id = container.schema(&schema).unwrap();
        let unit = Texts::from([("unit".to_owned(), "m".to_owned())]);
        let channel = container.channel(id, "/level", &unit).unwrap();
        for (sequence, (time, value, count)) in (0..).zip(values) {
            let mut message = Message::default();
            message.number(1, *value).count(2, *count);
            container.message(channel, sequence, *time, message.bytes()).unwrap();
        }
        container.finish().unwrap()
    }

    fn read(bytes: &[u8]) -> Result<Vec<Entry>, Unreadable> {
        Reader::begin(bytes)?.collect()
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_with_every_bit(
            values in prop::collection::vec((any::<u64>(), any::<u64>().prop_map(f64::from_bits), any::<u64>()), 0..40)
        ) {
            let entries = read(&written(&values)).unwrap();
            prop_assert_eq!(entries.len(), values.len() + 2);
            let about = Entry::Metadata("about".to_owned(), Texts::from([("who".into(), "us".into())]));
            prop_assert_eq!(&entries[0], &about);
            let channel = Entry::Channel { id: 0, topic: "/level".to_owned(), metadata: Texts::from([("unit".into(), "m".into())]) };
            prop_assert_eq!(&entries[1], &channel);
            for (entry, (at, value, count)) in entries[2..].iter().zip(values) {
                let Entry::Message { channel: 0, time, data } = entry else { panic!("{entry:?}") };
                let (mut number, mut whole) = (0.0, 0);
                for part in parts(data) {
                    match part.unwrap() {
                        (1, Part::Number(found)) => number = found,
                        (2, Part::Count(found)) => whole = found,
                        other => panic!("{other:?}"),
                    }
                }
                prop_assert_eq!((*time, number.to_bits(), whole), (at, value.to_bits(), count));
            }
        }

        #[test]
        fn a_damaged_file_is_told_and_never_a_panic(at in 0usize..2000, bit in 0u8..8, cut in 0usize..2000) {
            let mut bytes = written(&[(1, 2.0, 3), (4, 5.0, 6)]);
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            bytes.truncate(cut);
            let _ = read(&bytes);
        }
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        assert!(matches!(read(b"# a,b,c\n"), Err(Unreadable::Foreign)));
        assert!(matches!(read(b""), Err(Unreadable::Foreign)));
        let whole = written(&[(1, 2.0, 3)]);
        let value = whole.windows(8).position(|part| part == 2.0_f64.to_le_bytes()).unwrap();
        assert!(matches!(read(&whole[..value]), Err(Unreadable::Torn)));
        let mut other = whole.clone();
        other[value] ^= 1;
        assert!(matches!(read(&other), Err(Unreadable::Damaged { kind: op::CHUNK })));
        let mut long = whole;
        long[9..17].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(read(&long), Err(Unreadable::Damaged { kind: op::HEADER })));
    }
}

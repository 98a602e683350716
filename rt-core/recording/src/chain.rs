//! The chain of frames that recordings and captures consist of: each frame is believed only with its digest, which continues
//! the one before.

use std::io::{self, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of the name of a format.
const MAGIC_BYTES: usize = 8;
/// Magic and version.
const PREAMBLE_BYTES: usize = 12;
/// Length and inverted length before a payload.
const HEAD_BYTES: usize = 8;
/// The digest behind it.
const DIGEST_BYTES: usize = 16;
/// The longest payload.
const PAYLOAD_BYTES_MAX: usize = 80 << 20;

const _: () =
    assert!(PAYLOAD_BYTES_MAX > 4 * policy::kernels::PARAMETERS_MAX + 1024, "the largest network fits into one frame");

type Digest = [u8; DIGEST_BYTES];

/// What a file begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Format {
    /// Its name.
    pub(crate) magic: [u8; MAGIC_BYTES],
    /// Its version.
    pub(crate) version: u32,
}

impl Format {
    /// Magic, version, and the digest that the first frame continues.
    fn preamble(self) -> ([u8; PREAMBLE_BYTES], Digest) {
        let mut bytes = [0; PREAMBLE_BYTES];
        let (magic, version) = bytes.split_at_mut(MAGIC_BYTES);
        magic.copy_from_slice(&self.magic);
        version.copy_from_slice(&self.version.to_le_bytes());
        (bytes, digest(&[0; DIGEST_BYTES], &[0; HEAD_BYTES], &bytes))
    }

    /// Whether a file that begins with these bytes, perhaps only a few, can be one of this format.
    pub(crate) fn begins(&self, bytes: &[u8]) -> bool {
        self.magic.iter().zip(bytes).all(|(one, other)| one == other)
    }
}

/// What a payload's digest covers.
fn digest(before: &Digest, head: &[u8; HEAD_BYTES], payload: &[u8]) -> Digest {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(head).update(payload);
    hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
}

/// The head of a payload of this length.
fn head(length: u32) -> [u8; HEAD_BYTES] {
    (u64::from(length) | u64::from(!length) << 32).to_le_bytes()
}

/// The length that a head tells, when both halves of it say the same.
fn length_of(head: [u8; HEAD_BYTES]) -> Option<usize> {
    let word = u64::from_le_bytes(head);
    let (length, inverted) = (word as u32, (word >> 32) as u32);
    let length = (length == !inverted).then_some(length)?;
    usize::try_from(length).ok().filter(|length| *length <= PAYLOAD_BYTES_MAX)
}

/// A chain that is being written.
#[derive(Debug)]
pub(crate) struct Writer<W> {
    output: W,
    digest: Digest,
    bytes: u64,
}

impl<W: Write> Writer<W> {
    /// Begins a file.
    pub(crate) fn begin(mut output: W, format: Format) -> io::Result<Self> {
        let (bytes, digest) = format.preamble();
        output.write_all(&bytes)?;
        Ok(Self { output, digest, bytes: PREAMBLE_BYTES as u64 })
    }

    /// Appends a frame.
    pub(crate) fn append(&mut self, frame: &impl Serialize) -> io::Result<()> {
        let payload = postcard::to_allocvec(frame).map_err(io::Error::other)?;
        let head = head(u32::try_from(payload.len()).map_err(io::Error::other)?);
        self.digest = digest(&self.digest, &head, &payload);
        self.output.write_all(&head)?;
        self.output.write_all(&payload)?;
        self.output.write_all(&self.digest)?;
        self.bytes += (head.len() + payload.len() + DIGEST_BYTES) as u64;
        Ok(())
    }

    /// Hands everything to whatever is written to.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What is written to.
    pub(crate) fn into_output(self) -> W {
        self.output
    }
}

/// Why nothing of a file is read.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// It cannot be read.
    Io(io::Error),
    /// It begins with the name of another format, or of none; so much of what it begins with.
    Foreign([u8; MAGIC_BYTES]),
    /// Another version of the format.
    Version(u32),
    /// It ends before its first frame begins.
    Empty,
}

/// What comes next in a chain.
pub(crate) enum Link<F> {
    /// A whole frame.
    Frame(F),
    /// The file stops between frames or inside of one.
    Cut {
        /// Bytes behind the last whole frame.
        surplus_bytes: u64,
    },
    /// Something behind the last believed frame is not what was written.
    Damaged {
        /// Where the damaged frame begins.
        at_byte: u64,
    },
}

/// Reads a chain from its beginning.
#[derive(Debug)]
pub(crate) struct Reader<R> {
    input: R,
    digest: Digest,
    bytes: u64,
}

impl<R: Read> Reader<R> {
    /// Reads what the file begins with.
    pub(crate) fn open(mut input: R, format: Format) -> Result<Self, Unopened> {
        let mut found = [0; PREAMBLE_BYTES];
        let length = fill(&mut input, &mut found).map_err(Unopened::Io)?;
        let (expected, digest) = format.preamble();
        if !format.begins(found.get(..length).unwrap_or(&found)) {
            return Err(Unopened::Foreign(found.first_chunk().copied().unwrap_or_default()));
        }
        if length < PREAMBLE_BYTES {
            return Err(Unopened::Empty);
        }
        if found != expected {
            return Err(Unopened::Version(found.last_chunk().copied().map_or(0, u32::from_le_bytes)));
        }
        Ok(Reader { input, digest, bytes: PREAMBLE_BYTES as u64 })
    }

    /// Bytes of whole frames that were read.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next frame, or why there is none; whoever was told that there is none does not ask again.
    pub(crate) fn next<F: DeserializeOwned>(&mut self) -> io::Result<Link<F>> {
        let damaged = Ok(Link::Damaged { at_byte: self.bytes });
        let cut = |surplus: usize| Ok(Link::Cut { surplus_bytes: surplus as u64 });
        let mut head = [0; HEAD_BYTES];
        let length = fill(&mut self.input, &mut head)?;
        if length < HEAD_BYTES {
            return cut(length);
        }
        let Some(length) = length_of(head) else { return damaged };
        let mut rest = Vec::new();
        let wanted = length + DIGEST_BYTES;
        (&mut self.input).take(wanted as u64).read_to_end(&mut rest)?;
        if rest.len() < wanted {
            return cut(HEAD_BYTES + rest.len());
        }
        let (payload, found) = rest.split_at(length);
        let expected = digest(&self.digest, &head, payload);
        if found != expected {
            return damaged;
        }
        let Ok(frame) = postcard::from_bytes(payload) else { return damaged };
        self.digest = expected;
        self.bytes += (HEAD_BYTES + wanted) as u64;
        Ok(Link::Frame(frame))
    }
}

/// Reads until `room` is full or nothing more comes; how much there was.
fn fill(input: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = room.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Words as differences to the words before: most change little from cycle to cycle, and small numbers are short.
#[derive(Debug, Default)]
pub(crate) struct Previous(Vec<u64>);

impl Previous {
    /// Replaces words by their differences.
    pub(crate) fn take(&mut self, words: &mut [u64]) {
        self.0.resize(words.len().max(self.0.len()), 0);
        for (before, word) in self.0.iter_mut().zip(words) {
            (*before, *word) = (*word, *word ^ *before);
        }
    }

    /// Puts the words back.
    pub(crate) fn put_back(&mut self, words: &mut [u64]) {
        self.0.resize(words.len().max(self.0.len()), 0);
        for (before, word) in self.0.iter_mut().zip(words) {
            *word ^= *before;
            *before = *word;
        }
    }
}

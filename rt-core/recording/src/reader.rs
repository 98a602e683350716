//! Reading a recording: frame by frame, each believed only with its digest.

use std::io::{self, Read};

use crate::frame::{
    DIGEST_BYTES, Differences, FORMAT_VERSION, Frame, HEAD_BYTES, Lost, MAGIC, Opening, PREAMBLE_BYTES, digest,
    length_of, preamble,
};

/// Why nothing of a file is read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingRefused {
    /// It cannot be read.
    #[error("the recording cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It begins differently.
    #[error("this is no recording of CoreRL: it does not begin with the name of the format")]
    NotARecording,
    /// Another version of the format.
    #[error(
        "the recording has format {found}, and this program reads format {FORMAT_VERSION} alone: replay it with the version of CoreRL that made it"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// There is no whole first frame: the recorder did not get so far.
    #[error("the recording ends before its first frame does: it holds nothing to replay")]
    Empty,
    /// The first frame is damaged, or does not open a recording.
    #[error("the recording's first frame is damaged: nothing in it can be believed")]
    Opening,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// A whole frame; never an opening, a loss or a closing.
    Frame(Frame),
    /// Nothing more.
    End(Ending),
}

/// How a recording ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was closed in order.
    Closed,
    /// Records are missing from here on.
    Lost(Lost),
    /// It stops between frames or inside of one, as after a crash; so many bytes are no whole frame.
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

/// Reads a recording from its beginning.
#[derive(Debug)]
pub struct Reader<R> {
    input: R,
    opening: Opening,
    digest: [u8; DIGEST_BYTES],
    differences: Differences,
    bytes: u64,
    ending: Option<Ending>,
}

/// A frame, or why there is none.
enum Found {
    Frame(Frame),
    Nothing(Ending),
}

impl<R: Read> Reader<R> {
    /// Reads and believes the opening.
    ///
    /// # Errors
    /// This is no recording, or one of another version, or nothing of it is whole.
    pub fn open(mut input: R) -> Result<Self, RecordingRefused> {
        let mut found = [0; PREAMBLE_BYTES];
        let length = fill(&mut input, &mut found)?;
        let (expected, digest) = preamble();
        if !MAGIC.iter().zip(found.iter().take(length)).all(|(one, other)| one == other) {
            return Err(RecordingRefused::NotARecording);
        }
        if length < PREAMBLE_BYTES {
            return Err(RecordingRefused::Empty);
        }
        if found != expected {
            let version = found.last_chunk().copied().map_or(0, u32::from_le_bytes);
            return Err(RecordingRefused::Version { found: version });
        }
        let (differences, bytes) = (Differences::default(), PREAMBLE_BYTES as u64);
        let mut reader = Reader { input, opening: Opening::nothing(), digest, differences, bytes, ending: None };
        match reader.frame()? {
            Found::Frame(Frame::Opening(opening)) => Ok(Self { opening: *opening, ..reader }),
            Found::Nothing(Ending::Cut { .. }) => Err(RecordingRefused::Empty),
            _ => Err(RecordingRefused::Opening),
        }
    }

    /// What the file opens with.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// Bytes of whole frames that were read.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next frame, or the end; the end again and again.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_frame(&mut self) -> io::Result<Next> {
        if let Some(ending) = self.ending {
            return Ok(Next::End(ending));
        }
        let begin = self.bytes;
        let ending = match self.frame()? {
            Found::Frame(Frame::Lost(lost)) => Ending::Lost(lost),
            Found::Frame(Frame::Closing) => Ending::Closed,
            Found::Frame(Frame::Opening(_)) => Ending::Damaged { at_byte: begin },
            Found::Frame(frame) => return Ok(Next::Frame(frame)),
            Found::Nothing(ending) => ending,
        };
        self.ending = Some(ending);
        Ok(Next::End(ending))
    }

    fn frame(&mut self) -> io::Result<Found> {
        let damaged = Found::Nothing(Ending::Damaged { at_byte: self.bytes });
        let cut = |surplus: usize| Found::Nothing(Ending::Cut { surplus_bytes: surplus as u64 });
        let mut head = [0; HEAD_BYTES];
        let length = fill(&mut self.input, &mut head)?;
        if length < HEAD_BYTES {
            return Ok(cut(length));
        }
        let Some(length) = length_of(head) else { return Ok(damaged) };
        let mut rest = Vec::new();
        let wanted = length + DIGEST_BYTES;
        (&mut self.input).take(wanted as u64).read_to_end(&mut rest)?;
        if rest.len() < wanted {
            return Ok(cut(HEAD_BYTES + rest.len()));
        }
        let (payload, found) = rest.split_at(length);
        let expected = digest(&self.digest, &head, payload);
        if found != expected {
            return Ok(damaged);
        }
        let Ok(mut frame) = postcard::from_bytes(payload) else { return Ok(damaged) };
        if let Frame::Cycle(cycle) = &mut frame {
            self.differences.put_back(cycle);
        }
        self.digest = expected;
        self.bytes += (HEAD_BYTES + wanted) as u64;
        Ok(Found::Frame(frame))
    }
}

impl Opening {
    /// Before anything was read.
    fn nothing() -> Self {
        Self {
            program: String::new(),
            site_file: String::new(),
            site_text: String::new(),
            tag_list_hash: 0,
            kernel: String::new(),
            unix_ns: 0,
            number: 0,
            lost_before: 0,
            generation: 0,
            steps_sent: 0,
            state: Vec::new(),
        }
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

//! Reading a recording: frame by frame, each believed only with its digest.

use std::io::{self, Read};

use crate::capture;
use crate::capture::Clocks;
use crate::chain::{self, Link, Unopened};
use crate::frame::{Differences, FORMAT, FORMAT_VERSION, Frame, Lost, Opening};

/// Why nothing of a file is read.
#[derive(Debug, thiserror::Error)]
pub enum RecordingRefused {
    /// It cannot be read.
    #[error("the recording cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It begins differently.
    #[error("this is no recording of CoreRL: it does not begin with the name of the format")]
    NotARecording,
    /// It is a capture.
    #[error("this is a capture, which cannot be replayed; `corerl export` and `corerl report` read it")]
    Capture,
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
    chain: chain::Reader<R>,
    opening: Opening,
    differences: Differences,
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
    pub fn open(input: R) -> Result<Self, RecordingRefused> {
        let chain = chain::Reader::open(input, FORMAT)?;
        let mut reader =
            Reader { chain, opening: Opening::nothing(), differences: Differences::default(), ending: None };
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
        self.chain.bytes()
    }

    /// The next frame, or the end; the end again and again.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_frame(&mut self) -> io::Result<Next> {
        if let Some(ending) = self.ending {
            return Ok(Next::End(ending));
        }
        let begin = self.bytes();
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
        Ok(match self.chain.next()? {
            Link::Frame(mut frame) => {
                if let Frame::Cycle(cycle) = &mut frame {
                    self.differences.put_back(cycle);
                }
                Found::Frame(frame)
            }
            Link::Cut { surplus_bytes } => Found::Nothing(Ending::Cut { surplus_bytes }),
            Link::Damaged { at_byte } => Found::Nothing(Ending::Damaged { at_byte }),
        })
    }
}

impl From<Unopened> for RecordingRefused {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Io(error) => Self::Io(error),
            Unopened::Foreign(capture::MAGIC) => Self::Capture,
            Unopened::Foreign(_) => Self::NotARecording,
            Unopened::Version(found) => Self::Version { found },
            Unopened::Empty => Self::Empty,
        }
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
            clocks: Clocks { monotonic_ns: 0, unix_ns: 0 },
            number: 0,
            lost_before: 0,
            generation: 0,
            steps_sent: 0,
            state: Vec::new(),
        }
    }
}

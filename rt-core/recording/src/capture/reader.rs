//! Reading a capture: frame by frame, each believed only with its digest.

use std::io::{self, Read};

use shm_layout::CycleLayout;

use super::frame::{Closed, FORMAT, FORMAT_VERSION, Frame, Opening};
use crate::chain::{self, Link, Previous, Unopened};
use crate::frame::MAGIC as RECORDING;

/// Why nothing of a file is read.
#[derive(Debug, thiserror::Error)]
pub enum CaptureRefused {
    /// It cannot be read.
    #[error("the capture cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It begins differently.
    #[error("this is no capture of CoreRL: it does not begin with the name of the format")]
    NotACapture,
    /// It is a recording.
    #[error("this is a recording and not a capture: `corerl replay` runs it once more")]
    Recording,
    /// Another version of the format.
    #[error(
        "the capture has format {found}, and this program reads format {FORMAT_VERSION} alone: read it with the version of CoreRL that made it"
    )]
    Version {
        /// Its version.
        found: u32,
    },
    /// There is no whole first frame: the writer did not get so far.
    #[error("the capture ends before its first frame does: it holds nothing")]
    Empty,
    /// The first frame is damaged, or does not open a capture.
    #[error("the capture's first frame is damaged: nothing in it can be believed")]
    Opening,
}

/// What comes next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// A whole frame; never an opening or a closing. A cycle has exactly the words of the [`Reader::layout`].
    Frame(Frame),
    /// Nothing more.
    End(Ending),
}

/// How a capture ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was closed in order.
    Closed(Closed),
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

/// Reads a capture from its beginning.
#[derive(Debug)]
pub struct Reader<R> {
    chain: chain::Reader<R>,
    opening: Opening,
    layout: CycleLayout,
    previous: Previous,
    ending: Option<Ending>,
}

impl<R: Read> Reader<R> {
    /// Reads and believes the opening.
    ///
    /// # Errors
    /// This is no capture, or one of another version, or nothing of it is whole.
    pub fn open(input: R) -> Result<Self, CaptureRefused> {
        let mut chain = chain::Reader::open(input, FORMAT)?;
        let opening = match chain.next()? {
            Link::Frame(Frame::Opening(opening)) => *opening,
            Link::Cut { .. } => return Err(CaptureRefused::Empty),
            _ => return Err(CaptureRefused::Opening),
        };
        let layout = opening.layout().ok_or(CaptureRefused::Opening)?;
        Ok(Self { chain, opening, layout, previous: Previous::default(), ending: None })
    }

    /// What the file opens with.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The layout of the cycle records.
    pub fn layout(&self) -> CycleLayout {
        self.layout
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
        let ending = match self.chain.next()? {
            Link::Frame(Frame::Cycle(mut words)) if words.len() == self.layout.words() => {
                self.previous.put_back(&mut words);
                return Ok(Next::Frame(Frame::Cycle(words)));
            }
            Link::Frame(frame @ (Frame::Event(_) | Frame::Gap(_) | Frame::Trigger(_))) => {
                return Ok(Next::Frame(frame));
            }
            Link::Frame(Frame::Closing(closed)) => Ending::Closed(closed),
            Link::Frame(Frame::Cycle(_) | Frame::Opening(_)) => Ending::Damaged { at_byte: begin },
            Link::Cut { surplus_bytes } => Ending::Cut { surplus_bytes },
            Link::Damaged { at_byte } => Ending::Damaged { at_byte },
        };
        self.ending = Some(ending);
        Ok(Next::End(ending))
    }
}

impl From<Unopened> for CaptureRefused {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Io(error) => Self::Io(error),
            Unopened::Foreign(RECORDING) => Self::Recording,
            Unopened::Foreign(_) => Self::NotACapture,
            Unopened::Version(found) => Self::Version { found },
            Unopened::Empty => Self::Empty,
        }
    }
}

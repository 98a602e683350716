//! An open file, whichever kind it is, as one stream of moments.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use rt_config::Site;
use rt_recording::RecordingRefused;
use rt_recording::capture::{self, CaptureRefused, Gap, What};
use shm_layout::{CycleLayout, CycleRef, EventRecord};

use crate::capture::Capture;
use crate::ending::Ending;
use crate::legend::Legend;
use crate::recording::Recording;
use crate::wall::WallClock;

/// Why nothing of a file is read.
#[derive(Debug, thiserror::Error)]
pub enum FootageRefused {
    /// It cannot be opened or read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is no recording, or nothing of it is whole.
    #[error(transparent)]
    Recording(RecordingRefused),
    /// It is a capture of which nothing is whole.
    #[error(transparent)]
    Capture(CaptureRefused),
    /// The site file that it opens with is not understood, so nobody knows what its numbers mean.
    #[error("the site file in it is not understood by this version:\n{0}")]
    Site(String),
}

impl From<CaptureRefused> for FootageRefused {
    fn from(refused: CaptureRefused) -> Self {
        match refused {
            CaptureRefused::Io(error) => Self::Io(error),
            refused => Self::Capture(refused),
        }
    }
}

impl From<RecordingRefused> for FootageRefused {
    fn from(refused: RecordingRefused) -> Self {
        match refused {
            RecordingRefused::Io(error) => Self::Io(error),
            refused => Self::Recording(refused),
        }
    }
}

/// Where a file comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// What kind of file it is, for people.
    pub kind: &'static str,
    /// Version of the program that made it.
    pub program: String,
    /// Name of the site file.
    pub site_file: String,
    /// Why it was made.
    pub why: String,
    /// What it was made for, by the monotonic clock, if that was an instant: the trip that a flight recorder saved.
    pub cause_ns: Option<u64>,
    /// Cycles before the first one that were not recorded.
    pub lost_before: u64,
}

/// What is next in a file.
#[derive(Debug)]
pub enum Moment<'a> {
    /// A cycle.
    Cycle(CycleRef<'a>),
    /// Something that happened; those of a cycle come behind it.
    Event(EventRecord),
    /// Records are missing here.
    Gap(Gap),
    /// Nothing more.
    End(Ending),
}

/// A recording that is being read.
#[derive(Debug)]
pub struct Footage {
    source: Source<BufReader<File>>,
    layout: CycleLayout,
    legend: Legend,
    provenance: Provenance,
    clock: WallClock,
    bytes_total: u64,
    words: Vec<u64>,
    ending: Option<Ending>,
}

/// What a source finds.
#[derive(Debug)]
pub(crate) enum Found {
    /// The words of a cycle record.
    Cycle(Vec<u64>),
    Event(EventRecord),
    Gap(Gap),
    End(Ending),
}

/// The kinds of files.
#[derive(Debug)]
enum Source<R> {
    Recording(Box<Recording<R>>),
    Capture(Box<Capture<R>>),
}

impl<R: BufRead> Source<R> {
    /// Looks at the name of the format, which both kinds begin with. `input` reads `file`.
    fn open(mut input: R, file: File) -> Result<Self, FootageRefused> {
        if input.fill_buf()?.starts_with(&capture::MAGIC) {
            Capture::open(input, file).map(|capture| Self::Capture(Box::new(capture)))
        } else {
            Recording::open(input).map(|recording| Self::Recording(Box::new(recording)))
        }
    }

    fn provenance(&self) -> Provenance {
        match self {
            Self::Recording(recording) => recording.provenance(),
            Self::Capture(capture) => capture.provenance(),
        }
    }

    fn site(&self) -> Result<Site, FootageRefused> {
        match self {
            Self::Recording(recording) => Ok(recording.site()),
            Self::Capture(capture) => capture.site(),
        }
    }

    /// One instant by both clocks.
    fn clock(&self) -> WallClock {
        match self {
            Self::Recording(recording) => recording.clock(),
            Self::Capture(capture) => capture.clock(),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Recording(recording) => recording.bytes(),
            Self::Capture(capture) => capture.bytes(),
        }
    }

    fn next(&mut self) -> io::Result<Found> {
        match self {
            Self::Recording(recording) => recording.next(),
            Self::Capture(capture) => capture.next(),
        }
    }
}

impl Footage {
    /// Opens a file and reads how it begins.
    ///
    /// # Errors
    /// It cannot be read, is no recording, or holds a site that is not understood.
    pub fn open(path: &Path) -> Result<Self, FootageRefused> {
        let file = File::open(path)?;
        let bytes_total = file.metadata().map_or(0, |metadata| metadata.len());
        let source = Source::open(BufReader::new(file.try_clone()?), file)?;
        let (provenance, site) = (source.provenance(), source.site()?);
        let layout = layout_of(&site)?;
        let (clock, legend) = (source.clock(), Legend::of(&site));
        let (words, ending) = (Vec::new(), None);
        Ok(Self { source, layout, legend, provenance, clock, bytes_total, words, ending })
    }

    /// What its numbers mean.
    pub fn legend(&self) -> &Legend {
        &self.legend
    }

    /// Where it comes from.
    pub fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// How its times are told.
    pub fn clock(&self) -> WallClock {
        self.clock
    }

    /// Bytes that were read, of how many.
    pub fn progress(&self) -> (u64, u64) {
        (self.source.bytes(), self.bytes_total)
    }

    /// What comes next; the end again and again.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_moment(&mut self) -> io::Result<Moment<'_>> {
        if let Some(ending) = &self.ending {
            return Ok(Moment::End(ending.clone()));
        }
        match self.source.next()? {
            Found::Event(event) => Ok(Moment::Event(event)),
            Found::Gap(gap) => Ok(Moment::Gap(gap)),
            Found::End(ending) => Ok(self.end(ending)),
            // Whole, believed, and of another site than the file opens with: whoever wrote it was not sound.
            Found::Cycle(words) if words.len() != self.layout.words() => {
                let at_byte = self.source.bytes();
                Ok(self.end(Ending::Damaged { at_byte }))
            }
            Found::Cycle(words) => {
                self.words = words;
                let damaged = Ending::Damaged { at_byte: 0 };
                Ok(self.layout.view(&self.words).map_or(Moment::End(damaged), Moment::Cycle))
            }
        }
    }

    fn end(&mut self, ending: Ending) -> Moment<'static> {
        self.ending = Some(ending.clone());
        Moment::End(ending)
    }
}

/// Counts what a gap lacks. Cycles that are missing between others are left out: the numbers of those tell it. Before the first
/// one and behind the last nobody sees it by numbers.
pub(crate) fn count_gap(gap: &Gap, cycles: &mut u64, events: &mut u64) {
    let is_at_an_end = gap.after.is_none() || gap.before.is_none();
    let count = match gap.what {
        What::Events => events,
        What::Cycles if is_at_an_end => cycles,
        What::Cycles => return,
    };
    *count = count.saturating_add(gap.count);
}

/// The site that a file opens with. Passwords that it refers to are not fetched.
pub(crate) fn understood(text: &str, file: &str) -> Result<Site, FootageRefused> {
    let loaded = rt_config::parse_to_look_at(text, Path::new(file));
    Ok(loaded.map_err(|complaints| FootageRefused::Site(complaints.to_string()))?.site)
}

fn layout_of(site: &Site) -> Result<CycleLayout, FootageRefused> {
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    CycleLayout::new(count(site.setpoints.len()), count(site.tags.len()))
        .ok_or_else(|| FootageRefused::Site("it has more tags than a record can hold".to_owned()))
}

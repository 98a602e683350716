//! Captures: what a flight recorder or `corerl record` saw of an agent from outside.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use rt_config::Site;
use rt_recording::capture::{self, Frame, Gap, Next, Reader, Reason, Trigger, What};
use shm_layout::EventRecord;

use crate::file::{FootageRefused, Found, Provenance, understood};
use crate::wall::WallClock;

/// Events that are read ahead: those that two threads told lie in their order of arrival.
const EVENTS_AHEAD: usize = 64;

/// A capture. A writer takes cycles and events turn by turn, so an event may lie behind cycles of long after it; here each
/// comes when it happened.
#[derive(Debug)]
pub(crate) struct Capture<R> {
    reader: Reader<R>,
    /// The same file once more, read for its events.
    events: Option<Events>,
    /// Read, and not given yet: events of before come first.
    next: Option<Found>,
}

/// The events of a file, in the order of their times.
#[derive(Debug)]
struct Events {
    reader: Reader<BufReader<At>>,
    /// Gaps have the time of the event behind them.
    ahead: VecDeque<(u64, Found)>,
    gap: Option<Gap>,
    is_over: bool,
}

/// A file, read from a place of one's own.
#[derive(Debug)]
struct At {
    file: File,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

impl Events {
    /// Nothing when the file can be read only once, as a pipe.
    fn open(file: File) -> Result<Option<Self>, FootageRefused> {
        if !file.metadata()?.is_file() {
            return Ok(None);
        }
        let reader = Reader::open(BufReader::new(At { file, offset: 0 }))?;
        Ok(Some(Self { reader, ahead: VecDeque::new(), gap: None, is_over: false }))
    }

    /// The next one that was before this instant.
    fn before(&mut self, time_ns: u64) -> io::Result<Option<Found>> {
        while !self.is_over && self.ahead.len() < EVENTS_AHEAD {
            match self.reader.next_frame()? {
                Next::Frame(Frame::Event(event)) => self.take(event),
                Next::Frame(Frame::Gap(gap)) if gap.what == What::Events => self.gap = Some(gap),
                Next::Frame(_) => {}
                Next::End(_) => {
                    self.is_over = true;
                    self.ahead.extend(self.gap.take().map(|gap| (u64::MAX, Found::Gap(gap))));
                }
            }
        }
        let is_due = self.ahead.front().is_some_and(|(at, _)| *at < time_ns);
        Ok(self.ahead.pop_front_if(|_| is_due).map(|(_, found)| found))
    }

    fn take(&mut self, event: EventRecord) {
        let place = self.ahead.partition_point(|(at, _)| *at <= event.time_ns);
        self.ahead.insert(place, (event.time_ns, Found::Event(event)));
        if let Some(gap) = self.gap.take() {
            self.ahead.insert(place, (event.time_ns, Found::Gap(gap)));
        }
    }
}

impl<R: Read> Capture<R> {
    /// A capture that is read from `input`, which reads `file` from its beginning.
    pub(crate) fn open(input: R, file: File) -> Result<Self, FootageRefused> {
        Ok(Self { reader: Reader::open(input)?, events: Events::open(file)?, next: None })
    }

    pub(crate) fn site(&self) -> Result<Site, FootageRefused> {
        let opening = self.reader.opening();
        understood(&opening.site_text, &opening.site_file)
    }

    pub(crate) fn provenance(&self) -> Provenance {
        let opening = self.reader.opening();
        let (why, cause_ns) = match &opening.reason {
            Reason::Continuous { number } => (format!("`corerl record`, file {number} of the run"), None),
            Reason::Flight(Trigger { kind, time_ns, text, cycle }) => {
                let what = kind.name().replace('_', " ");
                (format!("the flight recorder, for a {what} in cycle {cycle}: {text}"), Some(*time_ns))
            }
        };
        Provenance {
            kind: "capture",
            program: opening.program.clone(),
            site_file: opening.site_file.clone(),
            why,
            cause_ns,
            lost_before: 0,
        }
    }

    pub(crate) fn clock(&self) -> WallClock {
        let capture::Clocks { monotonic_ns, unix_ns } = self.reader.opening().clocks;
        WallClock { monotonic_ns, unix_ns }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.reader.bytes()
    }

    pub(crate) fn next(&mut self) -> io::Result<Found> {
        let found = match self.next.take() {
            Some(found) => found,
            None => self.read()?,
        };
        let Some(events) = &mut self.events else { return Ok(found) };
        // An event of a cycle has the time of its release, and comes behind it.
        let time_ns = match &found {
            Found::Cycle(words) => self.reader.layout().view(words).map_or(0, |record| record.head.release_ns),
            Found::End(_) => u64::MAX,
            _ => return Ok(found),
        };
        let is_end = matches!(found, Found::End(_));
        let before = match events.before(time_ns)? {
            None if is_end => events.ahead.pop_front().map(|(_, last)| last),
            before => before,
        };
        match before {
            Some(before) => {
                self.next = Some(found);
                Ok(before)
            }
            None => Ok(found),
        }
    }

    /// The next frame, without the events that are read for themselves.
    fn read(&mut self) -> io::Result<Found> {
        let is_alone = self.events.is_none();
        loop {
            return Ok(match self.reader.next_frame()? {
                Next::Frame(Frame::Cycle(words)) => Found::Cycle(words),
                Next::Frame(Frame::Event(event)) if is_alone => Found::Event(event),
                Next::Frame(Frame::Gap(gap)) if is_alone || gap.what == What::Cycles => Found::Gap(gap),
                // A trigger while the file was written; what happened is an event, too.
                Next::Frame(_) => continue,
                Next::End(ending) => Found::End(ending.into()),
            });
        }
    }
}

//! Captures: what a flight recorder or `corerl record` saw of an agent from outside.

use std::io::{self, Read};

use rt_config::Site;
use rt_recording::capture::{self, Frame, Next, Reader, Reason, Trigger};

use crate::file::{FootageRefused, Found, Provenance, understood};
use crate::wall::WallClock;

/// A capture.
#[derive(Debug)]
pub(crate) struct Capture<R> {
    reader: Reader<R>,
}

impl<R: Read> Capture<R> {
    pub(crate) fn open(input: R) -> Result<Self, FootageRefused> {
        Ok(Self { reader: Reader::open(input)? })
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
        loop {
            return Ok(match self.reader.next_frame()? {
                Next::Frame(Frame::Cycle(words)) => Found::Cycle(words),
                Next::Frame(Frame::Event(event)) => Found::Event(event),
                Next::Frame(Frame::Gap(gap)) => Found::Gap(gap),
                // A trigger while the file was written; what happened is an event, too.
                Next::Frame(_) => continue,
                Next::End(ending) => Found::End(ending.into()),
            });
        }
    }
}

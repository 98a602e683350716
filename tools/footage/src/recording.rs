//! Recordings that replay, read for what can be seen of them.

use std::collections::VecDeque;
use std::io::{self, Read};

use rt_config::Site;
use rt_core::record::Event;
use rt_recording::capture::Clocks;
use rt_recording::{CycleFrame, Frame, Next, Reader, event_record};
use shm_layout::EventRecord;

use crate::file::{FootageRefused, Found, Provenance, understood};
use crate::legend::Legend;
use crate::wall::WallClock;

/// A recording; weights, inputs and estimates in it are passed over.
#[derive(Debug)]
pub(crate) struct Recording<R> {
    reader: Reader<R>,
    site: Site,
    /// Names of its setpoints.
    setpoints: Vec<String>,
    /// Of the last cycle, not given yet.
    events: VecDeque<EventRecord>,
}

impl<R: Read> Recording<R> {
    pub(crate) fn open(input: R) -> Result<Self, FootageRefused> {
        let reader = Reader::open(input)?;
        let site = understood(&reader.opening().site_text, &reader.opening().site_file)?;
        let setpoints = Legend::of(&site).setpoints.into_iter().map(|setpoint| setpoint.name).collect();
        Ok(Self { reader, site, setpoints, events: VecDeque::new() })
    }

    pub(crate) fn site(&self) -> Site {
        self.site.clone()
    }

    pub(crate) fn provenance(&self) -> Provenance {
        let opening = self.reader.opening();
        Provenance {
            kind: "recording",
            program: opening.program.clone(),
            site_file: opening.site_file.clone(),
            why: format!("`corerl run --record`, file {} of the run", opening.number),
            cause_ns: None,
            lost_before: opening.lost_before,
        }
    }

    pub(crate) fn clock(&self) -> WallClock {
        let Clocks { monotonic_ns, unix_ns } = self.reader.opening().clocks;
        WallClock { monotonic_ns, unix_ns }
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.reader.bytes()
    }

    pub(crate) fn next(&mut self) -> io::Result<Found> {
        if let Some(event) = self.events.pop_front() {
            return Ok(Found::Event(event));
        }
        loop {
            match self.reader.next_frame()? {
                Next::Frame(Frame::Cycle(cycle)) => return Ok(self.cycle(*cycle)),
                Next::Frame(_) => {}
                Next::End(ending) => return Ok(Found::End(ending.into())),
            }
        }
    }

    fn cycle(&mut self, cycle: CycleFrame) -> Found {
        let CycleFrame { slot, events, record, .. } = cycle;
        let recorded = |kind| event_record(&Event { cycle: slot.index, at: slot.release, kind }, &self.setpoints).0;
        self.events.extend(events.into_iter().map(recorded));
        Found::Cycle(record)
    }
}

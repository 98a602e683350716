//! Writing a capture.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use shm_layout::{CycleHead, EventRecord};
use zerocopy::{FromBytes, IntoBytes};

use super::frame::{Closed, FORMAT, Frame, Gap, Opening, Trigger, What};
use crate::chain::{self, Previous};
use crate::volume;

/// Begins a file that is its owner's alone.
///
/// # Errors
/// The disk refuses, or something lies at `path` already, which stays as it is.
pub fn create(path: &Path, opening: &Opening) -> io::Result<Writer<BufWriter<File>>> {
    Writer::begin(BufWriter::new(volume::create_new_private(path)?), opening)
}

/// Hands a finished file to the disk.
///
/// # Errors
/// The disk refuses.
pub fn to_the_disk(file: BufWriter<File>) -> io::Result<()> {
    volume::to_the_disk(file)
}

/// What a file has so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Cycle records.
    pub cycles: u64,
    /// Events.
    pub events: u64,
    /// Cycle records that are missing.
    pub lost_cycles: u64,
    /// Events that are missing.
    pub lost_events: u64,
}

/// Writes one capture.
#[derive(Debug)]
pub struct Writer<W> {
    chain: chain::Writer<W>,
    previous: Previous,
    cycles: Side,
    events: Side,
}

/// What is known of one kind of records.
#[derive(Debug, Default)]
struct Side {
    written: u64,
    lost: u64,
    /// Lost since the last record.
    pending: u64,
    /// Cycle of the last record.
    last: Option<u64>,
}

impl Side {
    /// A record of this cycle comes next, or none at all; the gap before it.
    fn gap(&mut self, what: What, before: Option<u64>) -> Option<Gap> {
        let count = std::mem::take(&mut self.pending);
        (count > 0).then_some(Gap { what, count, after: self.last, before })
    }

    fn miss(&mut self, count: u64) {
        self.pending = self.pending.saturating_add(count);
        self.lost = self.lost.saturating_add(count);
    }

    fn note(&mut self, cycle: u64) {
        self.written += 1;
        self.last = Some(cycle);
    }
}

impl<W: Write> Writer<W> {
    /// Begins a capture with its opening.
    ///
    /// # Errors
    /// What is written to refuses.
    pub fn begin(output: W, opening: &Opening) -> io::Result<Self> {
        let mut chain = chain::Writer::begin(output, FORMAT)?;
        chain.append(&Frame::Opening(Box::new(opening.clone())))?;
        Ok(Self { chain, previous: Previous::default(), cycles: Side::default(), events: Side::default() })
    }

    /// Appends a cycle record: as many words as the opening's layout has.
    ///
    /// # Errors
    /// What is written to refuses.
    pub fn cycle(&mut self, words: &[u64]) -> io::Result<()> {
        let cycle = CycleHead::ref_from_prefix(words.as_bytes()).map_or(0, |(head, _)| head.cycle);
        let gap = self.cycles.gap(What::Cycles, Some(cycle));
        self.write_gap(gap)?;
        self.cycles.note(cycle);
        let mut words = words.to_vec();
        self.previous.take(&mut words);
        self.chain.append(&Frame::Cycle(words))
    }

    /// Appends an event.
    ///
    /// # Errors
    /// What is written to refuses.
    pub fn event(&mut self, event: &EventRecord) -> io::Result<()> {
        let gap = self.events.gap(What::Events, Some(event.cycle));
        self.write_gap(gap)?;
        self.events.note(event.cycle);
        self.chain.append(&Frame::Event(*event))
    }

    /// So many records are missing between the last one of this kind and the next. The gap is written when that one comes, or
    /// with the file's end.
    pub fn missing(&mut self, what: What, count: u64) {
        match what {
            What::Cycles => self.cycles.miss(count),
            What::Events => self.events.miss(count),
        }
    }

    /// Appends a trigger that came while the capture went on.
    ///
    /// # Errors
    /// What is written to refuses.
    pub fn trigger(&mut self, trigger: Trigger) -> io::Result<()> {
        self.chain.append(&Frame::Trigger(trigger))
    }

    /// Hands everything to what is written to: of a file, a crash of this process then loses nothing.
    ///
    /// # Errors
    /// What is written to refuses.
    pub fn flush(&mut self) -> io::Result<()> {
        self.chain.flush()
    }

    /// Ends the capture in order, and gives back what was written to.
    ///
    /// # Errors
    /// What is written to refuses.
    pub fn finish(mut self, closed: Closed) -> io::Result<W> {
        let gaps = [self.cycles.gap(What::Cycles, None), self.events.gap(What::Events, None)];
        gaps.into_iter().try_for_each(|gap| self.write_gap(gap))?;
        self.chain.append(&Frame::Closing(closed))?;
        self.chain.flush()?;
        Ok(self.chain.into_output())
    }

    /// What the file has so far.
    pub const fn written(&self) -> Written {
        let (cycles, events) = (&self.cycles, &self.events);
        Written { cycles: cycles.written, events: events.written, lost_cycles: cycles.lost, lost_events: events.lost }
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.chain.bytes()
    }

    fn write_gap(&mut self, gap: Option<Gap>) -> io::Result<()> {
        gap.map_or(Ok(()), |gap| self.chain.append(&Frame::Gap(gap)))
    }
}

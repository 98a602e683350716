//! One file of the flight recorder while it is being written.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};

use rt_core::time::{MonoTime, Span};
use shm::broadcast::{self, Next, Start};
use shm_layout::{CycleLayout, EVENT_WORDS, EventRecord};

use super::files::Place;
use super::{FlightOptions, LISTED_MAX, LONGER_MAX};
use crate::capture::{self, Closed, Opening, Trigger, What, Writer, Written};

/// Records that one turn takes of each ring: a runtime that ends does not wait for more.
const TURN_RECORDS_MAX: usize = 1 << 17;
/// A record is in its ring so long after its time at the latest, as far as a file waits for it.
const LATE_MAX: Span = Span::from_ms(100);

/// The rings from which a file is filled.
#[derive(Debug)]
pub(super) struct Rings {
    pub(super) cycles: broadcast::Reader,
    pub(super) layout: CycleLayout,
    pub(super) events: broadcast::Reader,
}

impl Rings {
    pub(super) fn newest_cycle(&self) -> Option<u64> {
        let mut words = vec![0; self.layout.words()];
        match self.cycles.again(Start::Back(1)).next(&mut words) {
            Next::Record { .. } => self.layout.view(&words).ok().map(|record| record.head.cycle),
            _ => None,
        }
    }
}

#[derive(Debug)]
pub(super) struct Saving {
    place: Place,
    writer: Writer<BufWriter<File>>,
    cycles: Side,
    events: Side,
    layout: CycleLayout,
    /// Records of this time are wanted.
    from_ns: u64,
    until_ns: u64,
    /// However many triggers come.
    until_ns_max: u64,
    listed: usize,
    bytes_max: u64,
}

/// One ring, read from where the file begins to where it ends.
#[derive(Debug)]
struct Side {
    ring: broadcast::Reader,
    words: Vec<u64>,
    /// A record behind the end was seen.
    is_past: bool,
}

impl Side {
    fn new(ring: broadcast::Reader) -> Self {
        Self { words: vec![0; ring.slot_words()], ring, is_past: false }
    }
}

impl Saving {
    pub(super) fn begin(
        options: &FlightOptions,
        rings: &Rings,
        place: Place,
        opening: &Opening,
        trigger: &Trigger,
        now: MonoTime,
    ) -> io::Result<Self> {
        let writer = capture::create(&place.part, opening)?;
        let after_ns = options.after.as_ns();
        let from_ns = trigger.time_ns.saturating_sub(options.before.as_ns());
        // Skipped slots have no record, so this many records reach back as far or farther.
        let records = now.as_ns().saturating_sub(from_ns) / opening.period_ns.max(1) + 2;
        Ok(Self {
            place,
            writer,
            cycles: Side::new(rings.cycles.again(Start::Back(records))),
            events: Side::new(rings.events.again(Start::Oldest)),
            layout: rings.layout,
            from_ns,
            until_ns: trigger.time_ns.saturating_add(after_ns),
            until_ns_max: trigger.time_ns.saturating_add(after_ns.saturating_mul(LONGER_MAX)),
            listed: 0,
            bytes_max: options.bytes_max,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.place.path
    }

    /// Another trigger: the file lists it and becomes longer.
    pub(super) fn go_on_for(&mut self, trigger: Trigger, after: Span) -> io::Result<()> {
        let until_ns = trigger.time_ns.saturating_add(after.as_ns());
        self.until_ns = self.until_ns.max(until_ns.min(self.until_ns_max));
        if self.listed == LISTED_MAX {
            return Ok(());
        }
        self.listed += 1;
        self.writer.trigger(trigger)
    }

    /// Takes what is there; why the file is done, when it is.
    pub(super) fn turn(&mut self, now: MonoTime) -> io::Result<Option<Closed>> {
        let is_drained = self.take_cycles()? & self.take_events()?;
        self.writer.flush()?;
        if self.writer.bytes() >= self.bytes_max {
            return Ok(Some(Closed::Full));
        }
        let is_over = now.as_ns() >= self.until_ns.saturating_add(LATE_MAX.as_ns());
        Ok((is_drained && is_over).then_some(Closed::Complete))
    }

    /// Whether the ring was read to its end.
    fn take_cycles(&mut self) -> io::Result<bool> {
        let Self { cycles, writer, layout, from_ns, until_ns, bytes_max, .. } = self;
        cycles.take(|record, words| match record {
            Record::Missing(count) => {
                writer.missing(What::Cycles, count);
                Ok(true)
            }
            Record::Whole => {
                let release_ns = layout.view(words).map_or(0, |record| record.head.release_ns);
                if (*from_ns..=*until_ns).contains(&release_ns) {
                    writer.cycle(words)?;
                }
                Ok(release_ns <= *until_ns && writer.bytes() < *bytes_max)
            }
        })
    }

    fn take_events(&mut self) -> io::Result<bool> {
        let Self { events, writer, from_ns, until_ns, .. } = self;
        events.take(|record, words| {
            match (record, words.first_chunk::<EVENT_WORDS>()) {
                // Nobody knows whether those before the first one were of this time.
                (Record::Missing(count), _) if writer.written().events > 0 => writer.missing(What::Events, count),
                (Record::Whole, Some(words)) => {
                    let event = EventRecord::from_words(words);
                    if (*from_ns..=*until_ns).contains(&event.time_ns) {
                        writer.event(&event)?;
                    }
                }
                _ => {}
            }
            Ok(true)
        })
    }

    /// Closes the file and gives it its name.
    pub(super) fn finish(self, closed: Closed) -> io::Result<(PathBuf, Written)> {
        let Self { writer, place, .. } = self;
        let written = writer.written();
        let named = writer.finish(closed).and_then(|file| {
            // What was handed to the operating system survives this process, and a process that ends does not wait for the disk.
            if closed != Closed::RuntimeEnded {
                return capture::to_the_disk(file).and_then(|()| place.give_name());
            }
            place.give_name()?;
            capture::to_the_disk(file)
        });
        match named {
            Ok(()) => Ok((place.path, written)),
            Err(error) => {
                place.discard();
                Err(error)
            }
        }
    }

    /// Takes the file away again: what is still buffered would fail like what came before it.
    pub(super) fn discard(self) {
        self.place.discard();
    }
}

/// What a ring gave.
enum Record {
    Whole,
    Missing(u64),
}

impl Side {
    /// Reads on until nothing more comes or `put` has had enough; whether this ring has nothing more to give.
    fn take(&mut self, mut put: impl FnMut(Record, &[u64]) -> io::Result<bool>) -> io::Result<bool> {
        for _ in 0..TURN_RECORDS_MAX {
            if self.is_past {
                return Ok(true);
            }
            match self.ring.next(&mut self.words) {
                Next::Record { .. } => self.is_past = !put(Record::Whole, &self.words)?,
                Next::Lost(count) => self.is_past = !put(Record::Missing(count), &[])?,
                Next::Empty => return Ok(true),
                Next::Damaged { .. } => return Err(io::Error::other("the ring of records is damaged")),
            }
        }
        Ok(false)
    }
}

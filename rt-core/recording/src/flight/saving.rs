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
    period_ns: u64,
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
    /// `words` is this record, which lies behind the end, and is looked at again when the file becomes longer.
    held: Option<u64>,
    /// Number of the next record, if none is missing.
    expected: u64,
    /// When the record before it was.
    last_ns: Option<u64>,
}

impl Side {
    fn new(ring: broadcast::Reader, expected: u64) -> Self {
        Self { words: vec![0; ring.slot_words()], ring, held: None, expected, last_ns: None }
    }
}

impl Saving {
    /// Begins a file at its place. `events_before` events or more had been published when the file's time began.
    pub(super) fn begin(
        options: &FlightOptions,
        rings: &Rings,
        place: Place,
        opening: &Opening,
        trigger: &Trigger,
        (now, events_before): (MonoTime, u64),
    ) -> io::Result<Self> {
        let writer = Writer::begin(BufWriter::new(place.create()?), opening)?;
        let after_ns = options.after.as_ns();
        let from_ns = trigger.time_ns.saturating_sub(options.before.as_ns());
        // Skipped slots have no record, so this many records reach back as far or farther.
        let records = now.as_ns().saturating_sub(from_ns) / opening.period_ns.max(1) + 2;
        let cycles_before = rings.cycles.again(Start::Newest).cursor().saturating_sub(records);
        Ok(Self {
            place,
            writer,
            cycles: Side::new(rings.cycles.again(Start::Back(records)), cycles_before),
            events: Side::new(rings.events.again(Start::Oldest), events_before),
            layout: rings.layout,
            period_ns: opening.period_ns.max(1),
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

    /// Bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.writer.bytes()
    }

    /// Whether the file can become long enough for what was before and after this trigger.
    pub(super) const fn has_room_for(&self, trigger: &Trigger, after: Span) -> bool {
        trigger.time_ns.saturating_add(after.as_ns()) <= self.until_ns_max
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

    /// Whether the ring was read to its end, or to the file's.
    fn take_cycles(&mut self) -> io::Result<bool> {
        for _ in 0..TURN_RECORDS_MAX {
            let Some(sequence) = self.cycles.next()? else { return Ok(true) };
            let release_ns = self.release_ns();
            if release_ns > self.until_ns {
                self.cycles.held = Some(sequence);
                return Ok(true);
            }
            let missing = self.missing_cycles(sequence, release_ns);
            self.writer.missing(What::Cycles, missing);
            (self.cycles.expected, self.cycles.last_ns) = (sequence + 1, Some(release_ns));
            if release_ns >= self.from_ns {
                self.writer.cycle(&self.cycles.words)?;
            }
            if self.writer.bytes() >= self.bytes_max {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn release_ns(&self) -> u64 {
        self.layout.view(&self.cycles.words).map_or(0, |record| record.head.release_ns)
    }

    /// Cycle records of the file's time that are missing before this one: not more than were published, and not more than
    /// there were slots for.
    fn missing_cycles(&self, sequence: u64, release_ns: u64) -> u64 {
        let period_ns = self.period_ns;
        let behind_last = self.cycles.last_ns.map_or(0, |last_ns| last_ns.saturating_add(period_ns));
        let (first_ns, last_ns) =
            (behind_last.max(self.from_ns), self.until_ns.min(release_ns.saturating_sub(period_ns)));
        let slots = last_ns.checked_sub(first_ns).map_or(0, |span_ns| span_ns / period_ns + 1);
        sequence.saturating_sub(self.cycles.expected).min(slots)
    }

    fn take_events(&mut self) -> io::Result<bool> {
        for _ in 0..TURN_RECORDS_MAX {
            let Some(sequence) = self.events.next()? else { return Ok(true) };
            let Some(words) = self.events.words.first_chunk::<EVENT_WORDS>() else { continue };
            let event = EventRecord::from_words(words);
            // Those that are missing were between this one and the one before.
            let may_be_wanted =
                event.time_ns >= self.from_ns && self.events.last_ns.is_none_or(|last_ns| last_ns <= self.until_ns);
            if may_be_wanted {
                self.writer.missing(What::Events, sequence.saturating_sub(self.events.expected));
            }
            (self.events.expected, self.events.last_ns) = (sequence + 1, Some(event.time_ns));
            if (self.from_ns..=self.until_ns).contains(&event.time_ns) {
                self.writer.event(&event)?;
            }
        }
        Ok(false)
    }

    /// Closes the file and gives it its name.
    pub(super) fn finish(mut self, closed: Closed) -> io::Result<(PathBuf, Written)> {
        if let Some(sequence) = self.cycles.held {
            let missing = self.missing_cycles(sequence, self.release_ns());
            self.writer.missing(What::Cycles, missing);
        }
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

impl Side {
    /// Reads the next record that is still there; its number. `None` when there is none yet.
    fn next(&mut self) -> io::Result<Option<u64>> {
        if let Some(held) = self.held.take() {
            return Ok(Some(held));
        }
        loop {
            match self.ring.next(&mut self.words) {
                Next::Record { sequence } => return Ok(Some(sequence)),
                // The next one's number tells how many.
                Next::Lost(_) => {}
                Next::Empty => return Ok(None),
                Next::Damaged { .. } => return Err(io::Error::other("the ring of records is damaged")),
            }
        }
    }
}

//! What one runtime publishes, with cursors of our own.

use std::time::{Duration, Instant};

use rt_control::{Client, Description};
use shm::broadcast::{self, Next, Start};
use shm::histogram::{self, Snapshot};
use shm::{Segment, SegmentKind, counters};
use shm_layout::{
    ConnectionCounter, Counter, CycleLayout, CycleRef, ESTIMATE_WORDS, EVENT_WORDS, EstimateRecord, EventRecord,
    HistogramKind, LearnerCounter, LearnerHistogram, RoundTrip,
};

use crate::agent::Blind;
use crate::segment::segment;

/// Cycles that do not advance for so long, and for so many periods, stand still, whatever the socket says.
const STANDSTILL_MAX: Duration = Duration::from_secs(3);
const STANDSTILL_PERIODS: u32 = 3;

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// With what comes next.
    Newest,
    /// With the oldest record that the rings still hold.
    Oldest,
}

impl From {
    const fn start(self) -> Start {
        match self {
            // The newest record says how it is now; a ring without one has none.
            Self::Newest => Start::Back(1),
            Self::Oldest => Start::Oldest,
        }
    }
}

/// What was not read, of what should have been.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Missed {
    /// Records that were overwritten before they were read.
    pub lost: u64,
    /// The ring holds what no sound writer writes; reading goes on with what comes next.
    pub damaged: bool,
}

/// Readers of one runtime's segments.
#[derive(Debug)]
pub struct Memory {
    description: Description,
    counters: counters::Reader<Counter>,
    histograms: Vec<histogram::Reader>,
    connections: Vec<counters::Reader<ConnectionCounter>>,
    round_trips: Vec<histogram::Reader>,
    cycles: Ring,
    layout: CycleLayout,
    events: Ring,
    learner: Option<Learner>,
    from: From,
    /// The cycles at the last look that saw them move, and when that was.
    moved: (u64, Instant),
}

#[derive(Debug)]
struct Learner {
    epoch: u64,
    counters: counters::Reader<LearnerCounter>,
    histograms: Vec<histogram::Reader>,
    /// Not there while it cannot be attached to: nothing depends on it.
    estimates: Option<Ring>,
}

#[derive(Debug)]
struct Ring {
    reader: broadcast::Reader,
    /// Records that it holds.
    slots: usize,
    words: Vec<u64>,
}

impl Memory {
    pub(crate) fn attach(client: &mut Client, description: Description, from: From) -> Result<Self, Blind> {
        let counted = segment(client, SegmentKind::Counters)?;
        let cycles = segment(client, SegmentKind::Cycles)?;
        let layout = CycleLayout::from_dims(cycles.header().dims())
            .filter(|layout| layout.words() == cycles.header().slot_words())
            .ok_or_else(|| Blind::memory(SegmentKind::Cycles)(&"impossible sizes of records"))?;
        let connections = segment(client, SegmentKind::Connections)?;
        Ok(Self {
            counters: counters::Reader::new(&counted)
                .map_err(|refused| Blind::memory(SegmentKind::Counters)(&refused))?,
            histograms: histograms(client, SegmentKind::Histograms)?,
            connections: counters::Reader::all(&connections)
                .map_err(|refused| Blind::memory(SegmentKind::Connections)(&refused))?,
            round_trips: histograms(client, SegmentKind::RoundTrips)?,
            cycles: Ring::new(&cycles, from)?,
            layout,
            events: Ring::new(&segment(client, SegmentKind::Events)?, from)?,
            learner: None,
            from,
            moved: (0, Instant::now()),
            description,
        })
    }

    /// Whether it is the memory of the runtime that says this of itself.
    pub(crate) fn is_of(&self, description: &Description) -> bool {
        self.description.run == description.run
    }

    /// Limits may have been changed live.
    pub(crate) fn describe(&mut self, description: Description) {
        self.description = description;
    }

    /// A learner that takes over gets a segment of its own: attach to that one.
    pub(crate) fn follow_learner(&mut self, client: &mut Client) {
        let epoch = self.counter(Counter::LearnerEpoch);
        if epoch == 0 || self.learner.as_ref().is_some_and(|learner| learner.epoch == epoch) {
            return;
        }
        // Between the grant and its descriptors lies a moment; the next look tries again.
        self.learner = Learner::attach(client, epoch, self.from).or(self.learner.take());
    }

    /// What the runtime controls, as it said at the latest look.
    pub fn description(&self) -> &Description {
        &self.description
    }

    /// The sizes of its cycle records.
    pub fn layout(&self) -> CycleLayout {
        self.layout
    }

    /// One of the runtime's counters.
    pub fn counter(&self, counter: Counter) -> u64 {
        self.counters.get(counter)
    }

    /// One of the learner's counters; `None` before the first one joined.
    pub fn learner_counter(&self, counter: LearnerCounter) -> Option<u64> {
        self.learner.as_ref().map(|learner| learner.counters.get(counter))
    }

    /// The epoch of the learner whose counters are read; `None` before the first one joined.
    pub fn learner_epoch(&self) -> Option<u64> {
        self.learner.as_ref().map(|learner| learner.epoch)
    }

    /// One of the histograms, as it is now.
    pub fn histogram(&self, kind: HistogramKind) -> Snapshot {
        self.histograms.get(kind as usize).map(histogram::Reader::snapshot).unwrap_or_default()
    }

    /// One of the learner's histograms, as it is now; `None` before the first one joined.
    pub fn learner_histogram(&self, kind: LearnerHistogram) -> Option<Snapshot> {
        self.learner.as_ref()?.histograms.get(kind as usize).map(histogram::Reader::snapshot)
    }

    /// One of a connection's counters; connections are counted as in the site file, and `None` stands for one that is not there.
    pub fn connection_counter(&self, connection: usize, counter: ConnectionCounter) -> Option<u64> {
        self.connections.get(connection).map(|counters| counters.get(counter))
    }

    /// What a connection's calls took; empty for a connection that is not there.
    pub fn round_trips(&self, connection: usize, call: RoundTrip) -> Snapshot {
        self.round_trips.get(call.slot(connection)).map(histogram::Reader::snapshot).unwrap_or_default()
    }

    /// Goes on where another reader of this very run stopped: with the cycle record and the event of these numbers.
    pub fn go_on_at(&mut self, cycle_record: u64, event: u64) {
        self.cycles.reader = self.cycles.reader.again(Start::At(cycle_record));
        self.events.reader = self.events.reader.again(Start::At(event));
    }

    /// The numbers of the cycle record and of the event that are read next, counted since the runtime started.
    pub fn next_numbers(&self) -> (u64, u64) {
        (self.cycles.reader.cursor(), self.events.reader.cursor())
    }

    /// Reads the cycle records since the last time, a ring full at most.
    pub fn cycles(&mut self, mut take: impl FnMut(&CycleRef<'_>)) -> Missed {
        let layout = self.layout;
        self.cycle_words(|words, _| {
            if let Ok(record) = layout.view(words) {
                take(&record);
            }
        })
    }

    /// The same as words, for whoever keeps them: each record, and how many were overwritten between it and the one before.
    pub fn cycle_words(&mut self, take: impl FnMut(&[u64], u64)) -> Missed {
        self.cycles.read(take)
    }

    /// Reads the events since the last time, a ring full at most.
    pub fn events(&mut self, mut take: impl FnMut(&EventRecord)) -> Missed {
        self.events_after_gaps(|record, _| take(record))
    }

    /// The same, and how many were overwritten between each and the one before.
    pub fn events_after_gaps(&mut self, mut take: impl FnMut(&EventRecord, u64)) -> Missed {
        self.events.read(|words, lost| {
            if let Some(words) = words.first_chunk::<EVENT_WORDS>() {
                take(&EventRecord::from_words(words), lost);
            }
        })
    }

    /// Reads what the learner's critics expected of decisions, since the last time, a ring full at most.
    pub fn estimates(&mut self, mut take: impl FnMut(&EstimateRecord)) -> Missed {
        let Some(ring) = self.learner.as_mut().and_then(|learner| learner.estimates.as_mut()) else {
            return Missed::default();
        };
        ring.read(|words, _| {
            if let Some(words) = words.first_chunk::<ESTIMATE_WORDS>() {
                take(&EstimateRecord::from_words(words));
            }
        })
    }

    /// For how long no cycle was seen to be executed, if that is too long: three seconds, and three periods. Whoever asks rarely
    /// learns it late.
    pub fn standstill(&mut self) -> Option<Duration> {
        let cycles = self.counter(Counter::Cycles);
        if cycles != self.moved.0 {
            self.moved = (cycles, Instant::now());
        }
        let period = Duration::from_nanos(self.description.period_ns);
        Some(self.moved.1.elapsed()).filter(|still| *still > STANDSTILL_MAX.max(period * STANDSTILL_PERIODS))
    }
}

impl Learner {
    fn attach(client: &mut Client, epoch: u64, from: From) -> Option<Self> {
        let counters = segment(client, SegmentKind::LearnerCounters).ok()?;
        let estimates = segment(client, SegmentKind::Estimates);
        Some(Self {
            epoch,
            counters: counters::Reader::new(&counters).ok()?,
            histograms: histograms(client, SegmentKind::LearnerHistograms).ok()?,
            estimates: estimates.and_then(|segment| Ring::new(&segment, from)).ok(),
        })
    }
}

impl Ring {
    fn new(segment: &Segment, from: From) -> Result<Self, Blind> {
        let header = segment.header();
        let reader =
            broadcast::Reader::new(segment, from.start()).map_err(|refused| Blind::memory(header.kind())(&refused))?;
        Ok(Self { reader, slots: header.slots(), words: vec![0; header.slot_words()] })
    }

    fn read(&mut self, mut take: impl FnMut(&[u64], u64)) -> Missed {
        let (mut missed, mut before) = (Missed::default(), 0);
        for _ in 0..=self.slots {
            match self.reader.next(&mut self.words) {
                Next::Record { .. } => take(&self.words, std::mem::take(&mut before)),
                Next::Lost(count) => {
                    missed.lost += count;
                    before += count;
                }
                Next::Empty => break,
                Next::Damaged { .. } => {
                    missed.damaged = true;
                    break;
                }
            }
        }
        missed
    }
}

fn histograms(client: &mut Client, kind: SegmentKind) -> Result<Vec<histogram::Reader>, Blind> {
    histogram::Reader::all(&segment(client, kind)?).map_err(|refused| Blind::memory(kind)(&refused))
}

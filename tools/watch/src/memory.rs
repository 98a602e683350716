//! What one runtime publishes, with cursors of our own.

use std::time::{Duration, Instant};

use rt_control::{Client, Description};
use shm::broadcast::{self, Next, Start};
use shm::histogram::{self, Snapshot};
use shm::{Access, Segment, SegmentKind, counters};
use shm_layout::{Counter, CycleLayout, CycleRef, EVENT_WORDS, EventRecord, HistogramKind, LearnerCounter};

use crate::agent::Blind;

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
    histograms: [histogram::Reader; HistogramKind::COUNT],
    cycles: Ring,
    layout: CycleLayout,
    events: Ring,
    learner: Option<Learner>,
    /// The cycles at the last look that saw them move, and when that was.
    moved: (u64, Instant),
}

#[derive(Debug)]
struct Learner {
    epoch: u64,
    counters: counters::Reader<LearnerCounter>,
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
        let distributions = segment(client, SegmentKind::Histograms)?;
        let [lateness, execution, response] =
            [HistogramKind::Lateness, HistogramKind::Execution, HistogramKind::Response].map(|kind| {
                histogram::Reader::new(&distributions, kind)
                    .map_err(|refused| Blind::memory(SegmentKind::Histograms)(&refused))
            });
        Ok(Self {
            counters: counters::Reader::new(&counted)
                .map_err(|refused| Blind::memory(SegmentKind::Counters)(&refused))?,
            histograms: [lateness?, execution?, response?],
            cycles: Ring::new(&cycles, from)?,
            layout,
            events: Ring::new(&segment(client, SegmentKind::Events)?, from)?,
            learner: None,
            moved: (0, Instant::now()),
            description,
        })
    }

    /// Whether it is the memory of the runtime that says this of itself.
    pub(crate) fn is_of(&self, description: &Description) -> bool {
        let Description { pid, tag_list_hash, .. } = self.description;
        (pid, tag_list_hash) == (description.pid, description.tag_list_hash)
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
        let attached = segment(client, SegmentKind::LearnerCounters).ok();
        if let Some(counters) = attached.and_then(|segment| counters::Reader::new(&segment).ok()) {
            self.learner = Some(Learner { epoch, counters });
        }
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
        self.events.read(|words, _| {
            if let Some(words) = words.first_chunk::<EVENT_WORDS>() {
                take(&EventRecord::from_words(words));
            }
        })
    }

    /// For how long no cycle was seen to be executed, as far as anybody looked: whoever asks rarely learns it late.
    pub fn standstill(&mut self) -> Duration {
        let cycles = self.counter(Counter::Cycles);
        if cycles != self.moved.0 {
            self.moved = (cycles, Instant::now());
        }
        self.moved.1.elapsed()
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

fn segment(client: &mut Client, kind: SegmentKind) -> Result<Segment, Blind> {
    let descriptor = client.segment(kind.code())?;
    Segment::attach(descriptor, Access::ReadOnly, kind).map_err(|refused| Blind::memory(kind)(&refused))
}

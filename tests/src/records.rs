//! What the runtime records: cycles and events, none of them missed.

use rt_core::mode::Mode;
use shm::Segment;
use shm::broadcast::{self, Next};
use shm_layout::{CycleHead, CycleLayout, EVENT_WORDS, EventKind, EventRecord, SetpointPart, TagPart};

use crate::wait_for;

/// One cycle's record.
#[derive(Clone, Debug)]
pub struct CycleRecord {
    /// The fixed part.
    pub head: CycleHead,
    /// One part per setpoint.
    pub setpoints: Vec<SetpointPart>,
    /// One part per tag.
    pub tags: Vec<TagPart>,
}

/// A reader of the ring of cycle records.
pub struct Cycles {
    reader: broadcast::Reader,
    layout: CycleLayout,
}

impl Cycles {
    pub(crate) fn new(segment: &Segment) -> Self {
        let layout = CycleLayout::from_dims(segment.header().dims()).expect("the runtime's own sizes");
        let reader = broadcast::Reader::new(segment, broadcast::Start::Newest).expect("a ring of records");
        Self { reader, layout }
    }

    /// The records since the last call.
    ///
    /// # Panics
    /// Some were lost, or the ring is damaged.
    pub fn drain(&mut self) -> Vec<CycleRecord> {
        let mut words = vec![0; self.layout.words()];
        let mut records = Vec::new();
        while is_record(self.reader.next(&mut words)) {
            let record = self.layout.view(&words).expect("the layout's size");
            let (setpoints, tags) = (record.setpoints.to_vec(), record.tags.to_vec());
            records.push(CycleRecord { head: *record.head, setpoints, tags });
        }
        records
    }
}

/// Asserts that every slot is a cycle or skipped, and no cycle follows another one sooner than the grid says.
///
/// # Panics
/// A cycle ran outside of its slot.
pub fn assert_on_grid(records: &[CycleRecord], period_ns: u64) {
    for pair in records.windows(2) {
        let slots = u64::from(pair[1].head.skipped) + 1;
        assert_eq!(pair[1].head.release_ns - pair[0].head.release_ns, slots * period_ns, "{:?}", pair[1].head);
    }
}

/// A reader of the ring of events.
pub struct Events {
    reader: broadcast::Reader,
}

impl Events {
    pub(crate) fn new(segment: &Segment) -> Self {
        Self { reader: broadcast::Reader::new(segment, broadcast::Start::Oldest).expect("a ring of records") }
    }

    /// The events since the last call.
    ///
    /// # Panics
    /// Some were lost, or the ring is damaged.
    pub fn drain(&mut self) -> Vec<EventRecord> {
        let mut words = [0; EVENT_WORDS];
        let mut events = Vec::new();
        while is_record(self.reader.next(&mut words)) {
            events.push(EventRecord::from_words(&words));
        }
        events
    }

    /// Waits for an event of this kind among those since the last call.
    ///
    /// # Panics
    /// There is none.
    pub fn next(&mut self, kind: EventKind) -> EventRecord {
        wait_for(kind.name(), || self.drain().into_iter().find(|event| event.kind() == Some(kind)))
    }

    /// The texts of those events since the last call that are of this kind.
    pub fn texts(&mut self, kind: EventKind) -> Vec<String> {
        self.drain().iter().filter(|event| event.kind() == Some(kind)).map(|event| event.text().to_owned()).collect()
    }

    /// The modes that were entered since the last call.
    pub fn modes(&mut self) -> Vec<Mode> {
        let changes = self.drain().into_iter().filter(|event| event.kind() == Some(EventKind::ModeChange));
        changes.filter_map(|event| Mode::from_number(u8::try_from(event.b).ok()?)).collect()
    }

    /// Waits until `last` was entered; the modes that were entered since the last call, that one included. A mode holds
    /// before its event can be read, so waiting for the mode alone is too short.
    ///
    /// # Panics
    /// It is not entered.
    pub fn modes_until(&mut self, last: Mode) -> Vec<Mode> {
        let mut modes = Vec::new();
        wait_for(&format!("mode {}", last.name()), || {
            modes.extend(self.modes());
            (modes.last() == Some(&last)).then_some(())
        });
        modes
    }
}

fn is_record(next: Next) -> bool {
    match next {
        Next::Record { .. } => true,
        Next::Empty => false,
        Next::Lost(count) => panic!("{count} records were overwritten before they were read"),
        Next::Damaged { .. } => panic!("the ring is damaged"),
    }
}

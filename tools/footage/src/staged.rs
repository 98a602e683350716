//! Recordings that never happened, for tests: written as `rt-recording` documents its format.

use std::path::PathBuf;

use rt_core::record::EventKind;
use rt_core::schedule::Slot;
use rt_core::time::{MonoTime, Span};
use rt_recording::capture::Clocks;
use rt_recording::{CycleFrame, FORMAT_VERSION, Frame, Lost, MAGIC, Opening, Why};
use shm_layout::{CycleHead, CycleLayout, CycleMut};

/// Two tags, of which one is a setpoint, with names and units that no format likes.
pub(crate) const SITE: &str = r#"
agent_name: "stage"
lab: true
coreio:
  opc_connections: [{connection_id: plant, opc_conn_url: "opc.tcp://localhost:4840"}]
interaction: {obs_period: 1ms, action_period: 2ms}
pipeline:
  reward: {value: "-abs({LEVEL, \"A\"})"}
  tags:
    - {name: "FEED_SP", type: ai_setpoint, unit: "m³/h", node_identifier: "ns=2;s=F", operating_range: [0, 10]}
    - {name: "LEVEL, \"A\"", unit: "%", node_identifier: "ns=2;s=L", operating_range: [0, 100], yellow_bounds: [20, 80],
       red_bounds: [10, 90]}
runtime:
  site: theatre
  period: 1ms
  limits: {FEED_SP: {range: [1, 9], rate: 1}}
"#;

/// The first cycle's release, and the same by the wall clock.
pub(crate) const FIRST_NS: u64 = 7_000_000_000;
pub(crate) const FIRST_UNIX_NS: u64 = 1_709_210_096_000_000_000;
const PERIOD_NS: u64 = 1_000_000;

/// A recording that grows frame by frame.
pub(crate) struct Staged {
    bytes: Vec<u8>,
    digest: [u8; 16],
    before: Vec<u64>,
    layout: CycleLayout,
}

fn digest(before: &[u8; 16], head: &[u8], payload: &[u8]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(before).update(head).update(payload);
    *hasher.finalize().as_bytes().first_chunk().unwrap()
}

impl Staged {
    pub(crate) fn new() -> Self {
        Self::of(SITE, CycleLayout::new(1, 2).unwrap())
    }

    pub(crate) fn of(site: &str, layout: CycleLayout) -> Self {
        let bytes = [&MAGIC[..], &FORMAT_VERSION.to_le_bytes()].concat();
        let digest = digest(&[0; 16], &[0; 8], &bytes);
        let mut staged = Self { bytes, digest, before: vec![0; layout.words()], layout };
        staged.frame(&Frame::Opening(Box::new(Opening {
            program: "9.9.9".into(),
            site_file: "site.yaml".into(),
            site_text: site.into(),
            tag_list_hash: 0,
            kernel: "scalar".into(),
            clocks: Clocks { monotonic_ns: FIRST_NS, unix_ns: FIRST_UNIX_NS },
            number: 0,
            lost_before: 0,
            generation: 0,
            steps_sent: 0,
            state: Vec::new(),
        })));
        staged
    }

    fn frame(&mut self, frame: &Frame) {
        let payload = postcard::to_allocvec(frame).unwrap();
        let length = u32::try_from(payload.len()).unwrap();
        let head = [length.to_le_bytes(), (!length).to_le_bytes()].concat();
        self.digest = digest(&self.digest, &head, &payload);
        self.bytes.extend([&head[..], &payload, &self.digest].concat());
    }

    /// Cycle `number`, with what `fill` puts into its record, and these events.
    pub(crate) fn cycle(
        &mut self,
        number: u64,
        fill: impl FnOnce(&mut CycleMut<'_>),
        events: Vec<EventKind>,
    ) -> &mut Self {
        let release_ns = FIRST_NS + number * PERIOD_NS;
        let mut words = vec![0; self.layout.words()];
        let mut record = self.layout.view_mut(&mut words).unwrap();
        (record.head.cycle, record.head.release_ns, record.head.reward) = (number, release_ns, f64::NAN);
        record.head.flags = if number.is_multiple_of(2) { CycleHead::DECISION_SLOT } else { 0 };
        fill(&mut record);
        let differences = words.iter().zip(&self.before).map(|(word, before)| word ^ before).collect();
        self.before = words;
        let slot = Slot {
            index: number,
            release: MonoTime::from_ns(release_ns),
            woke: MonoTime::from_ns(release_ns),
            lateness: Span::ZERO,
            skipped: 0,
            dt: Span::from_ns(PERIOD_NS),
        };
        self.frame(&Frame::Cycle(Box::new(CycleFrame {
            slot,
            commands: Vec::new(),
            changes: None,
            reports: Vec::new(),
            clock: Vec::new(),
            adopted: None,
            set: None,
            events,
            record: differences,
            step: Vec::new(),
        })));
        self
    }

    pub(crate) fn lost(&mut self, cycle: u64) -> &mut Self {
        self.frame(&Frame::Lost(Lost { cycle, why: Why::RingFull }));
        self
    }

    pub(crate) fn closed(&mut self) -> &mut Self {
        self.frame(&Frame::Closing);
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file so far, with the directory that it goes away with.
    pub(crate) fn file(&self) -> (tempfile::TempDir, PathBuf) {
        file(&self.bytes)
    }
}

/// A file of these bytes.
pub(crate) fn file(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("stage.rec");
    std::fs::write(&path, bytes).unwrap();
    (directory, path)
}

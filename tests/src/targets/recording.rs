//! A recording from somewhere, read and replayed.

use std::path::PathBuf;
use std::sync::LazyLock;

use policy::kernels::Kernel;
use policy::pipeline::Columns;
use policy::{Agent, Kept, PolicySource, PolicySpec};
use rt_config::Site;
use rt_core::ports::Recorder;
use rt_core::record::{CycleView, Event, Flags};
use rt_core::setpoint::ScalarKind;
use rt_core::time::MonoTime;
use rt_daemon::VerifiedPolicy;
use rt_recording::{
    CycleRecords, FORMAT_VERSION, Frame, KeptPolicy, MAGIC, Next, Options, Outputs, Reader, Replay, recording,
};
use shm::broadcast;
use shm_layout::{CycleLayout, StepLayout};

use super::chain::{frames_of, payloads, sealed};
use super::{Verdict, forge, with_room};
use crate::SiteFile;
use crate::simulation::{Controller, Desk, World, tour};

/// Frames of one file that are looked at.
const FRAMES_MAX: usize = 1_024;
/// Cycles of the genuine recording: all that happens in half of a [`tour`].
const CYCLES: u64 = 500;
/// Cycles that are replayed after one that was altered.
const CYCLES_AFTER: usize = 20;

/// The payloads of a genuine recording's frames, weights left out.
static GENUINE: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| with_room(|| Genuine::new().recorded()));

/// The first byte, how the rest is meant: the file as it is; payloads, each behind its length in three bytes, to be sealed
/// into frames; or the number of a genuine frame in two bytes, and a forger's words over it.
pub(super) fn run(bytes: &[u8]) -> Verdict {
    let [what, rest @ ..] = bytes else { return Verdict::Refused };
    let file = match what % 3 {
        0 => rest.to_vec(),
        1 => sealed(MAGIC, FORMAT_VERSION, &payloads(rest)),
        _ => forged(rest),
    };
    Verdict::of(with_room(|| replayed(&file)) > 0)
}

/// The genuine recording up to a while after the frame with this number, which the forger's words alter.
fn forged(bytes: &[u8]) -> Vec<u8> {
    let [low, high, words @ ..] = bytes else { return Vec::new() };
    let number = usize::from(u16::from_le_bytes([*low, *high])) % GENUINE.len();
    let mut frames: Vec<_> = GENUINE.iter().take(number + 1 + CYCLES_AFTER).cloned().collect();
    forge::alter(&mut frames[number], words);
    sealed(MAGIC, FORMAT_VERSION, &frames)
}

/// Reads it to its end, and runs what can be run of it; how many cycles.
fn replayed(file: &[u8]) -> usize {
    let Ok(mut reader) = Reader::open(file) else { return 0 };
    let mut replay = Replay::new(reader.opening(), Kernel::best()).ok();
    if let Some(replay) = &mut replay {
        // Weights are too long for a corpus: those in use are always the same.
        let policy = policy_for(replay.site(), reader.opening().generation);
        replay.take_policy(&policy).expect("a network of the site's shape");
    }
    let mut cycles = 0;
    for _ in 0..FRAMES_MAX {
        let frame = match reader.next_frame().expect("bytes can be read") {
            Next::Frame(frame) => frame,
            ending @ Next::End(_) => {
                assert_eq!(reader.next_frame().expect("bytes can be read"), ending);
                break;
            }
        };
        assert!(reader.bytes() <= file.len() as u64);
        let Some(replay) = &mut replay else { continue };
        match frame {
            Frame::Policy(policy) => drop(replay.take_policy(&policy)),
            Frame::Cycle(cycle) => cycles += usize::from(replay.run(&cycle).is_ok()),
            other => panic!("{other:?} is no frame of the middle"),
        }
    }
    cycles
}

fn policy_for(site: &Site, generation: u64) -> KeptPolicy {
    let spec = PolicySpec::of(site);
    KeptPolicy { origin: Kept { generation, updates: 0, nominal: false }, parameters: vec![0.01; spec.parameters()] }
}

/// A simulated run of the rig's site that is recorded.
struct Genuine {
    site: Site,
    text: String,
    world: World,
    controller: Controller<Agent<VerifiedPolicy>>,
    records: Published,
    cycle_layout: CycleLayout,
    steps: broadcast::Writer,
    step_layout: StepLayout,
}

/// A ring of cycle records, filled as the runtime fills it.
struct Published {
    ring: broadcast::Writer,
    records: CycleRecords,
}

impl Recorder for Published {
    fn cycle(&mut self, view: &CycleView<'_>) {
        let record = self.records.fill(view).expect("the layout's words");
        self.ring.publish(record).expect("a slot of this size");
    }

    fn event(&mut self, _event: Event) {}
}

impl Genuine {
    fn new() -> Self {
        let text = SiteFile::text("opc.tcp://127.0.0.1:1", &[]);
        let site = rt_config::parse(&text, "site.yaml".as_ref()).expect("the rig's site is valid").site;
        let (_desk, agent) = Desk::new(&site, Kernel::best(), None);
        let plant = plants::by_name("saturation", 1).expect("a plant of this name");
        let count = |n: usize| u32::try_from(n).expect("a small site");
        let (setpoints, columns) = (count(site.setpoints.len()), count(Columns::of(&site).len()));
        let cycle_layout = CycleLayout::new(setpoints, count(site.tags.len())).expect("a small record");
        let step_layout = StepLayout::new(columns, setpoints).expect("a small step");
        let ring = broadcast::heap(cycle_layout.words(), 2 * CYCLES as usize);
        Self {
            world: World::new(&site, plant, &[ScalarKind::Double], 1),
            controller: Controller::new(&site, agent),
            cycle_layout,
            records: Published { ring, records: CycleRecords::new(cycle_layout, 0) },
            steps: broadcast::heap(step_layout.words(), 2 * CYCLES as usize),
            step_layout,
            site,
            text,
        }
    }

    /// Runs and records it; the payloads of the frames.
    fn recorded(mut self) -> Vec<Vec<u8>> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("genuine.rec");
        let (mut tape, mut scribe, policies) =
            recording(&self.site, self.options(path.clone()), self.outputs()).expect("a file can be made");
        policies.leave_policy(self.controller.policy.source().current().expect("the nominal policy"));
        let (mut sent, mut steps_sent) = (None, 0);
        for cycle in 0..CYCLES {
            let inputs = self.world.next(sent, tour(cycle, self.site.runtime.period.span()));
            let (outcome, set) = self.controller.run_noted(&inputs, &mut tape, steps_sent, &mut self.records);
            if outcome.flags.contains(Flags::OBSERVED) && outcome.mode.transitions() {
                self.send_step(steps_sent);
                steps_sent += 1;
            }
            tape.hand_over(&inputs.slot);
            scribe.turn(inputs.slot.woke, 0, |notice| assert!(!format!("{notice:?}").contains("Failed"), "{notice:?}"));
            sent = set;
        }
        scribe.turn(MonoTime::ZERO, 0, |_| {});
        scribe.close().expect("the file can be closed");
        let file = std::fs::read(path).expect("the file can be read");
        frames_of(&file).filter(|payload| !matches!(payload, [POLICY, ..])).map(<[u8]>::to_vec).collect()
    }

    fn options(&self, path: PathBuf) -> Options {
        Options {
            path,
            bytes_max: 1 << 24,
            files_max: 1,
            program: "fuzz".to_owned(),
            kernel: "best".to_owned(),
            site_file: "site.yaml".to_owned(),
            site_text: self.text.clone(),
        }
    }

    fn outputs(&self) -> Outputs {
        Outputs {
            cycles: self.records.ring.reader(broadcast::Start::Newest),
            cycle_layout: self.cycle_layout,
            steps: self.steps.reader(broadcast::Start::Newest),
            step_layout: self.step_layout,
        }
    }

    fn send_step(&mut self, sequence: u64) {
        let mut words = vec![0; self.step_layout.words()];
        let record = self.step_layout.view_mut(&mut words).expect("the layout's words");
        record.head.sequence = sequence;
        self.controller.policy.step().write_to(record);
        self.steps.publish(&words).expect("a slot of this size");
    }
}

/// What the payload of weights begins with.
const POLICY: u8 = 1;

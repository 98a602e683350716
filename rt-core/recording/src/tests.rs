//! Whole recordings of a site in this process: taken, damaged, replayed.

use std::fs;
use std::path::{Path, PathBuf};

use policy::kernels::{Kernel, KernelKind};
use policy::pipeline::Columns;
use policy::{AdoptedPolicy, Agent, Kept, PolicySource, PolicySpec};
use rt_config::Site;
use rt_core::changes::{ChangeSet, SetpointTuning};
use rt_core::cycle::Cycle;
use rt_core::ports::{Clock, Command, Commands, Field, FieldReport, Recorder};
use rt_core::record::{CycleView, Event, Flags};
use rt_core::schedule::Grid;
use rt_core::setpoint::{ScalarKind, SetpointSet};
use rt_core::tag::{Quality, Sample, TagId};
use rt_core::time::{MonoTime, Span};
use shm::broadcast::{self, Start};
use shm_layout::{CycleLayout, ESTIMATE_WORDS, EstimateRecord, StepHead, StepLayout};

use super::*;
use crate::volume::Volume;

const KINDS: [KernelKind; 3] = [KernelKind::Scalar, KernelKind::Avx2, KernelKind::Avx512];

/// Runs a test on a stack with room for cycles, which are large and built there.
fn with_room(test: fn()) {
    let thread = std::thread::Builder::new().stack_size(16 << 20).spawn(test).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// A site, its cycle and agent, and a recording of them, driven cycle by cycle.
struct Rig {
    site: Site,
    grid: Grid,
    cycle: Box<Cycle>,
    agent: Agent<Weights>,
    plant: Plant,
    records: Published,
    steps: broadcast::Writer,
    step_layout: StepLayout,
    steps_sent: u64,
    tape: Tape,
    scribe: Option<Scribe>,
    slot: KeeperSlot,
    notices: Vec<Notice>,
    quality_fails: bool,
    directory: tempfile::TempDir,
}

struct Weights {
    current: AdoptedPolicy,
    is_new: bool,
}

impl PolicySource for Weights {
    fn refresh(&mut self) -> bool {
        std::mem::take(&mut self.is_new)
    }

    fn current(&self) -> Option<&AdoptedPolicy> {
        Some(&self.current)
    }
}

/// Reports, commands and the clock.
struct Plant {
    now: MonoTime,
    reports: Vec<FieldReport>,
    commands: Vec<Command>,
    changes: Option<ChangeSet>,
    setpoints: Vec<f64>,
    sets: u64,
}

/// A clock that stands.
struct Now(MonoTime);

impl Clock for Now {
    fn now(&self) -> MonoTime {
        self.0
    }
}

impl Field for Plant {
    fn next_report(&mut self) -> Option<FieldReport> {
        if self.reports.is_empty() { None } else { Some(self.reports.remove(0)) }
    }

    fn send(&mut self, set: &SetpointSet) -> bool {
        for (setpoint, value) in self.setpoints.iter_mut().zip(set.values) {
            *setpoint = value.unwrap_or(*setpoint);
        }
        let written = (1 << self.setpoints.len()) - 1;
        self.reports.push(FieldReport::Wrote { cycle: set.cycle, written, refused: 0 });
        self.sets += 1;
        // Now and then the ring is full.
        !self.sets.is_multiple_of(7)
    }
}

struct Orders<'a> {
    commands: &'a mut Vec<Command>,
    changes: Option<ChangeSet>,
}

impl Commands for Orders<'_> {
    fn next_command(&mut self) -> Option<Command> {
        self.commands.pop()
    }

    fn next_changes(&mut self) -> Option<&ChangeSet> {
        self.changes.as_ref()
    }
}

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

impl Rig {
    fn new(bytes_max: u64) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("site.rec");
        Self::at(directory, path, bytes_max)
    }

    fn at(directory: tempfile::TempDir, path: PathBuf, bytes_max: u64) -> Self {
        Self::of(rt_config::example(), directory, path, bytes_max)
    }

    /// A site whose quality is not read now and then, and imputed by the network that comes with the policy.
    fn imputing() -> Self {
        let text = rt_config::example().replace("# imputer: {name: masked-ae} ", "imputer: {name: masked-ae} ");
        assert_ne!(text, rt_config::example());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("site.rec");
        Self { quality_fails: true, ..Self::of(&text, directory, path, u64::MAX) }
    }

    fn of(text: &str, directory: tempfile::TempDir, path: PathBuf, bytes_max: u64) -> Self {
        let site = rt_config::parse(text, "site.yaml".as_ref()).expect("a valid site").site;
        let lists = site.cycle_lists();
        let cycle = Box::new(Cycle::new(&site.cycle_settings(&lists)).unwrap());
        let (columns, setpoints) = (Columns::of(&site).len(), site.setpoints.len());
        let spec = PolicySpec::of(&site);
        let current = AdoptedPolicy::nominal(&spec, &site).unwrap();
        let agent = Agent::new(&site, Weights { current, is_new: true }, Kernel::best()).unwrap();
        let cycle_layout = CycleLayout::new(setpoints as u32, site.tags.len() as u32).unwrap();
        let step_layout = StepLayout::new(columns as u32, setpoints as u32).unwrap();
        let ring = broadcast::heap(cycle_layout.words(), 16_384);
        let steps = broadcast::heap(step_layout.words(), 16_384);
        let outputs = Outputs {
            cycles: ring.reader(Start::Newest),
            cycle_layout,
            steps: steps.reader(Start::Newest),
            step_layout,
        };
        let options = Options {
            path,
            bytes_max,
            files_max: 3,
            program: "test".into(),
            kernel: "best".into(),
            site_file: "site.yaml".into(),
            site_text: text.into(),
        };
        let (tape, scribe, slot) = recording(&site, options, outputs).unwrap();
        slot.leave_policy(agent.source().current().unwrap());
        Self {
            grid: Grid::new(MonoTime::from_ns(5_000_000), site.runtime.period),
            plant: Plant {
                now: MonoTime::ZERO,
                reports: connected(),
                commands: vec![Command::Arm, Command::Lease(true)],
                changes: None,
                setpoints: vec![0.25, 0.2],
                sets: 0,
            },
            records: Published { ring, records: CycleRecords::new(cycle_layout, 0) },
            site,
            cycle,
            agent,
            steps,
            step_layout,
            steps_sent: 0,
            tape,
            scribe: Some(scribe),
            slot,
            notices: Vec::new(),
            quality_fails: false,
            directory,
        }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("site.rec")
    }

    /// One cycle: the plant is read, and every 20th wake-up is late.
    fn cycle(&mut self) {
        let index = self.grid.cycles();
        let late = if index % 20 == 19 { 1_300_000 } else { 1_000 + index % 7 };
        let woke = self.grid.next_release() + Span::from_ns(late);
        self.plant.now = woke + Span::from_ns(20_000 + index % 13);
        self.read_plant(woke, index);
        let slot = self.grid.wake(woke);
        let Plant { now, commands, changes, .. } = &mut self.plant;
        let (now, mut commands, changes) = (*now, std::mem::take(commands), changes.take());
        let outcome = self.tape.run(
            &slot,
            self.steps_sent,
            &mut self.cycle,
            &Now(now),
            &mut self.plant,
            &mut Orders { commands: &mut commands, changes },
            &mut self.agent,
            &mut self.records,
        );
        if outcome.flags.contains(Flags::OBSERVED) && outcome.mode.transitions() {
            let mut words = vec![0; self.step_layout.words()];
            let record = self.step_layout.view_mut(&mut words).unwrap();
            record.head.sequence = self.steps_sent;
            self.agent.step().write_to(record);
            self.steps.publish(&words).unwrap();
            self.steps_sent += 1;
        }
        self.tape.hand_over(&slot);
    }

    fn read_plant(&mut self, woke: MonoTime, index: u64) {
        let noise = |salt: u64| policy::noise(index, salt, 0) * 0.01;
        let measured = [(2, 0.5 + noise(1)), (3, 0.7 + noise(2)), (5, 1.0)];
        let setpoints = self.plant.setpoints.iter().copied().enumerate();
        for (tag, value) in setpoints.chain(measured) {
            let quality = match tag {
                3 if self.quality_fails && index % 100 >= 60 => Quality::Bad,
                3 if index % 50 == 49 => Quality::Uncertain,
                _ => Quality::Good,
            };
            let source_time = 130_000_000_000 + index as i64;
            let tag = TagId::new(tag).unwrap();
            self.plant.reports.push(FieldReport::Sample(Sample { tag, value, quality, received: woke, source_time }));
        }
    }

    fn cycles(&mut self, count: usize) {
        (0..count).for_each(|_| self.cycle());
    }

    /// Limits at half their width, and tags that go stale sooner.
    fn narrower(&self) -> ChangeSet {
        let setpoints = self.site.setpoints.iter().map(|setpoint| {
            let mut limits = setpoint.settings.limits;
            limits.run.hi *= 0.5;
            SetpointTuning { limits, nominal: setpoint.nominal }
        });
        let tags = self.site.tags.iter().map(|tag| {
            let mut settings = tag.settings;
            settings.substitute_for = Span::ZERO;
            settings
        });
        ChangeSet::new(1, &setpoints.collect::<Vec<_>>(), &tags.collect::<Vec<_>>()).unwrap()
    }

    /// New weights, different for each generation.
    fn publish(&mut self, generation: u64) {
        let Weights { current, is_new } = self.agent.source_mut();
        let spec = PolicySpec::of(&self.site);
        let nominal = AdoptedPolicy::nominal(&spec, &self.site).unwrap().parameters();
        let shifted: Vec<_> = nominal.iter().map(|x| x + 1e-4 * (1 + generation % 16) as f32).collect();
        *current =
            AdoptedPolicy::kept(&spec, Kept { generation, updates: generation, nominal: false }, &shifted).unwrap();
        *is_new = true;
        self.slot.leave_policy(&current.clone());
    }

    /// Weights that were in use before.
    fn put_back(&mut self, policy: &AdoptedPolicy) {
        let Weights { current, is_new } = self.agent.source_mut();
        current.copy_from(policy);
        *is_new = true;
        self.slot.leave_policy(policy);
    }

    fn turn(&mut self) {
        self.turn_at(self.plant.now);
    }

    fn turn_at(&mut self, now: MonoTime) {
        let notices = &mut self.notices;
        self.scribe.as_mut().unwrap().turn(now, 1, |notice| notices.push(notice));
    }

    fn close(&mut self) {
        self.turn();
        self.scribe.take().unwrap().close().unwrap();
    }

    /// A run with everything in it, in one closed file.
    fn eventful() -> Self {
        let mut rig = Self::new(u64::MAX);
        for generation in 1..4 {
            rig.cycles(100);
            rig.publish(generation);
            rig.turn();
        }
        rig.plant.changes = Some(rig.narrower());
        rig.cycles(10);
        rig.plant.reports.push(FieldReport::Link(false));
        rig.cycles(20);
        rig.plant.reports.extend(connected());
        rig.cycles(40);
        rig.plant.commands.push(Command::Disarm);
        rig.cycles(30);
        rig.close();
        rig
    }
}

fn connected() -> Vec<FieldReport> {
    let kind = |setpoint| FieldReport::Kind { setpoint, kind: ScalarKind::Double };
    vec![FieldReport::Link(true), kind(0), kind(1)]
}

/// What the replay of a file comes to.
#[derive(Debug)]
struct Told {
    cycles: u64,
    policies: usize,
    modes: Vec<u8>,
    ending: Ending,
    difference: Option<Difference>,
}

fn replay(bytes: &[u8], kernel: Kernel) -> Result<Told, RecordingRefused> {
    replay_changed(bytes, kernel, |_| {})
}

/// Replays, with every cycle changed on the way.
fn replay_changed(bytes: &[u8], kernel: Kernel, change: impl Fn(&mut CycleFrame)) -> Result<Told, RecordingRefused> {
    let mut reader = Reader::open(bytes)?;
    let mut replay = Replay::new(reader.opening(), kernel).expect("an opening that can be used");
    let mut told = Told { cycles: 0, policies: 0, modes: Vec::new(), ending: Ending::Closed, difference: None };
    loop {
        match reader.next_frame().unwrap() {
            Next::Frame(Frame::Policy(policy)) => {
                replay.take_policy(&policy).unwrap();
                told.policies += 1;
            }
            Next::Frame(Frame::Cycle(mut cycle)) => {
                change(&mut cycle);
                told.cycles += 1;
                // The mode is the head's second last byte.
                told.modes.push((cycle.record[9] >> 48) as u8);
                if let Err(difference) = replay.run(&cycle).expect("weights are there") {
                    told.difference = Some(difference);
                    return Ok(told);
                }
            }
            Next::Frame(Frame::Estimates(_)) => {}
            Next::Frame(other) => panic!("{other:?}"),
            Next::End(ending) => return Ok(Told { ending, ..told }),
        }
    }
}

#[test]
fn a_recording_replays_bit_for_bit_with_every_kernel() {
    with_room(|| {
        let rig = Rig::eventful();
        let bytes = fs::read(rig.path()).unwrap();
        for kernel in KINDS.into_iter().filter_map(Kernel::of) {
            let told = replay(&bytes, kernel).unwrap();
            assert_eq!(told.difference, None, "{kernel:?}");
            assert_eq!((told.cycles, told.policies, told.ending), (400, 4, Ending::Closed));
            for mode in [1, 2, 3] {
                assert!(told.modes.contains(&mode), "the run went through mode {mode}");
            }
        }
        assert!(rig.steps_sent > 20 && rig.plant.sets > 200);
    });
}

#[test]
fn what_a_network_imputed_replays_bit_for_bit_with_every_kernel() {
    with_room(|| {
        let mut rig = Rig::imputing();
        for generation in 1..4 {
            rig.cycles(100);
            rig.publish(generation);
            rig.turn();
        }
        rig.cycles(100);
        rig.close();
        let bytes = fs::read(rig.path()).unwrap();
        for kernel in KINDS.into_iter().filter_map(Kernel::of) {
            let told = replay(&bytes, kernel).unwrap();
            assert_eq!((told.difference, told.cycles, told.policies), (None, 400, 4), "{kernel:?}");
        }
        let imputed = imputed(&bytes, rig.step_layout);
        assert!(imputed.iter().all(|cycle| *cycle >= 100), "the nominal policy imputes nothing: {imputed:?}");
        assert!(imputed.len() >= 6, "{imputed:?}");
    });
}

/// The cycles whose state is complete although something was not read.
fn imputed(bytes: &[u8], layout: StepLayout) -> Vec<u64> {
    let (mut reader, mut cycles) = (Reader::open(bytes).unwrap(), Vec::new());
    while let Next::Frame(frame) = reader.next_frame().unwrap() {
        let Frame::Cycle(cycle) = frame else { continue };
        let Ok(step) = layout.view(&cycle.step) else { continue };
        if step.head.has(StepHead::STATE_COMPLETE) && !step.head.has(StepHead::ALL_READ) {
            cycles.push(cycle.slot.index);
        }
    }
    cycles
}

#[test]
fn a_cycle_that_was_changed_on_purpose_is_named_with_its_value() {
    with_room(|| {
        let rig = Rig::eventful();
        let bytes = fs::read(rig.path()).unwrap();
        let difference = |change: &dyn Fn(&mut CycleFrame)| {
            replay_changed(&bytes, Kernel::SCALAR, change).unwrap().difference.expect("a difference")
        };
        let at = |cycle: &CycleFrame| cycle.slot.index == 150;
        let sample = difference(&|cycle| {
            for report in cycle.reports.iter_mut().filter(|_| cycle.slot.index == 155) {
                if let FieldReport::Sample(sample) = report
                    && sample.tag.index() == 3
                {
                    sample.value = sample.value.next_up();
                }
            }
        });
        assert_eq!((sample.cycle, sample.value.as_str()), (155, "tag QUALITY: value"));
        assert!(sample.recorded.starts_with("0.") && sample.recorded != sample.replayed, "{sample}");
        let output = difference(&|cycle| {
            if let (true, Some(set)) = (at(cycle), &mut cycle.set) {
                set.values[1] = set.values[1].map(f64::next_up);
            }
        });
        assert_eq!(output.value, "setpoint DOSE_SP in the set");
        let record = difference(&|cycle| cycle.record[3] ^= u64::from(at(cycle)));
        assert_eq!((record.cycle, record.value.as_str()), (150, "policy_generation"));
        let clock = difference(&|cycle| {
            if at(cycle) {
                cycle.clock.pop();
            }
        });
        assert_eq!(clock.value, "clock readings that the cycle left or missed");
        let step = difference(&|cycle| {
            if let (true, Some(last)) = (cycle.slot.index >= 150, cycle.step.last_mut()) {
                *last ^= 1;
            }
        });
        assert!(step.value.starts_with("step: decision of "), "{step}");
        let unchanged = difference(&|cycle| cycle.changes = None);
        assert_eq!(unchanged.value, "setpoint FEED_SP: sent", "{unchanged}");
        let events = difference(&|cycle| cycle.events.clear());
        assert_eq!((events.cycle, events.value.as_str()), (0, "the events"));
    });
}

#[test]
fn what_learners_say_of_decisions_is_kept_beside_the_cycles_and_changes_no_replay() {
    with_room(|| {
        let said = |cycle| EstimateRecord { cycle, updates: 3, value: -1.0, spread: 0.5, nominal_value: -2.0 };
        let mut rig = Rig::new(u64::MAX);
        let (mut first, mut second) = (broadcast::heap(ESTIMATE_WORDS, 8), broadcast::heap(ESTIMATE_WORDS, 8));
        rig.slot.leave_estimates(first.reader(Start::Oldest));
        rig.cycles(20);
        first.publish(&said(10).to_words()).unwrap();
        rig.turn();
        rig.cycles(20);
        rig.slot.leave_estimates(second.reader(Start::Oldest));
        for cycle in 20..50 {
            second.publish(&said(cycle).to_words()).unwrap();
        }
        rig.turn();
        rig.cycles(20);
        rig.close();
        let bytes = fs::read(rig.path()).unwrap();
        let (frames, _) = read(&bytes).unwrap();
        let kept: Vec<&Estimates> = frames
            .iter()
            .filter_map(|(_, frame)| if let Frame::Estimates(kept) = frame { Some(kept) } else { None })
            .collect();
        assert_eq!((kept.len(), kept[0].lost, kept[0].estimates[0]), (2, 0, said(10).into()));
        assert_eq!(kept[1].lost + kept[1].estimates.len() as u64, 30, "what was overwritten is counted");
        assert_eq!(kept[1].estimates.last(), Some(&said(49).into()));
        let told = replay(&bytes, Kernel::SCALAR).unwrap();
        assert_eq!((told.difference, told.cycles, told.ending), (None, 60, Ending::Closed));
    });
}

/// A recording of six cycles, with so few weights that one can look at every byte of it.
fn small() -> Vec<u8> {
    let mut rig = Rig::new(u64::MAX);
    rig.cycles(6);
    rig.close();
    let bytes = fs::read(rig.path()).unwrap();
    let mut reader = Reader::open(&bytes[..]).unwrap();
    let mut opening = reader.opening().clone();
    opening.site_text.truncate(100);
    let path = rig.directory.path().join("small.rec");
    let mut volume = Volume::create(&path, 1).unwrap();
    volume.frame(&Frame::Opening(Box::new(opening))).unwrap();
    while let Next::Frame(frame) = reader.next_frame().unwrap() {
        match frame {
            Frame::Cycle(cycle) => volume.cycle(cycle).unwrap(),
            Frame::Policy(mut policy) => {
                policy.parameters.truncate(8);
                volume.frame(&Frame::Policy(policy)).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    volume.close().unwrap();
    fs::read(path).unwrap()
}

/// The frames up to the ending, each with the byte that it ends at.
fn read(bytes: &[u8]) -> Result<(Vec<(usize, Frame)>, Ending), RecordingRefused> {
    let mut reader = Reader::open(bytes)?;
    let mut frames = Vec::new();
    loop {
        match reader.next_frame()? {
            Next::Frame(frame) => frames.push((reader.bytes() as usize, frame)),
            Next::End(ending) => return Ok((frames, ending)),
        }
    }
}

#[test]
fn a_recording_cut_at_any_byte_is_read_up_to_the_last_whole_frame() {
    with_room(|| {
        let bytes = small();
        let first = Reader::open(&bytes[..]).unwrap().bytes() as usize;
        let (frames, ending) = read(&bytes).unwrap();
        assert_eq!((frames.len(), ending), (7, Ending::Cut { surplus_bytes: 0 }));
        for length in 0..bytes.len() {
            let cut = read(&bytes[..length]);
            if length < first {
                assert!(matches!(cut, Err(RecordingRefused::Empty)), "{length}");
                continue;
            }
            let whole: Vec<_> = frames.iter().filter(|(end, _)| *end <= length).cloned().collect();
            let end = whole.last().map_or(first, |(end, _)| *end);
            assert_eq!(cut.unwrap(), (whole, Ending::Cut { surplus_bytes: (length - end) as u64 }), "{length}");
        }
    });
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is_and_nothing_behind_it_is_believed() {
    with_room(|| {
        let bytes = small();
        let (frames, _) = read(&bytes).unwrap();
        for bit in 0..8 * bytes.len() {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            match read(&damaged) {
                Err(_) => assert!(bit / 8 < frames[0].0, "bit {bit}"),
                Ok((read, ending)) => {
                    let before: Vec<_> = frames.iter().filter(|(end, _)| *end <= bit / 8).cloned().collect();
                    assert!(matches!(ending, Ending::Damaged { .. }), "bit {bit}: {ending:?}");
                    assert_eq!(read, before, "bit {bit}");
                }
            }
        }
    });
}

#[test]
fn another_version_and_other_files_are_refused_with_a_sentence() {
    with_room(|| {
        let mut rig = Rig::new(u64::MAX);
        rig.cycles(2);
        rig.close();
        let mut bytes = fs::read(rig.path()).unwrap();
        bytes[8] = 77;
        let refused = Reader::open(&bytes[..]).unwrap_err();
        assert!(matches!(refused, RecordingRefused::Version { found: 77 }));
        assert!(refused.to_string().contains("replay it with the version of CoreRL that made it"), "{refused}");
        assert!(matches!(Reader::open(&b"agent_name: a\n"[..]), Err(RecordingRefused::NotARecording)));
        assert!(matches!(Reader::open(&b""[..]), Err(RecordingRefused::Empty)));
    });
}

#[test]
fn a_recording_that_is_bounded_rotates_and_every_file_replays_by_itself() {
    with_room(|| {
        let mut rig = Rig::new(3 << 20);
        let mut peak = 0;
        for round in 1..40 {
            rig.cycles(100);
            rig.publish(round);
            rig.turn();
            peak = peak.max(total_bytes(rig.directory.path()));
        }
        rig.close();
        // A file ends with the first state that comes after it is full.
        assert!(peak <= (3 << 20) * 3 / 2, "{peak} bytes");
        let files =
            ["site.rec", "site.rec.1", "site.rec.2"].map(|name| fs::read(rig.directory.path().join(name)).unwrap());
        assert_eq!(fs::read_dir(rig.directory.path()).unwrap().count(), files.len());
        let numbers = files.each_ref().map(|bytes| {
            let told = replay(bytes, Kernel::best()).unwrap();
            assert_eq!((told.difference, told.ending), (None, Ending::Closed));
            assert!(told.cycles > 100);
            let opening = Reader::open(&bytes[..]).unwrap().opening().clone();
            assert_eq!(opening.lost_before, 0);
            opening.number
        });
        assert_eq!([numbers[1] + 1, numbers[2] + 2], [numbers[0]; 2]);
    });
}

#[test]
fn weights_that_come_back_replay_however_many_others_were_in_use_between() {
    with_room(|| {
        let mut rig = Rig::new(u64::MAX);
        rig.publish(1);
        rig.cycles(20);
        rig.turn();
        let first = rig.agent.source().current().unwrap().clone();
        for (generation, others) in [(2, 1), (10, 7), (30, 8), (50, 20)] {
            for generation in generation..generation + others {
                rig.publish(generation);
                rig.cycles(10);
                rig.turn();
            }
            rig.put_back(&first);
            rig.cycles(20);
            rig.turn();
        }
        rig.close();
        let told = replay(&fs::read(rig.path()).unwrap(), Kernel::best()).unwrap();
        assert_eq!((told.difference, told.ending), (None, Ending::Closed));
        assert!(told.cycles > 300, "{} cycles", told.cycles);
    });
}

fn total_bytes(directory: &Path) -> u64 {
    fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn a_full_ring_is_counted_and_ends_the_file_and_the_next_one_replays() {
    with_room(|| {
        let mut rig = Rig::new(u64::MAX);
        rig.cycles(50);
        rig.turn();
        // The scribe sleeps for longer than its ring lasts.
        rig.cycles(6_000);
        let slept_until = rig.grid.cycles();
        rig.turn();
        rig.cycles(40);
        rig.close();
        let older = fs::read(rig.directory.path().join("site.rec.1")).unwrap();
        let told = replay(&older, Kernel::best()).unwrap();
        let Ending::Lost(Lost { cycle, why: Why::RingFull }) = told.ending else { panic!("{told:?}") };
        assert_eq!(told.difference, None);
        assert!(rig.notices.iter().any(|notice| matches!(notice, Notice::Lost(lost) if lost.cycle == cycle)));
        let newer = fs::read(rig.path()).unwrap();
        let opening = Reader::open(&newer[..]).unwrap().opening().clone();
        assert_eq!(told.cycles + opening.lost_before, slept_until, "every cycle is recorded or counted");
        let told = replay(&newer, Kernel::best()).unwrap();
        assert_eq!((told.difference, told.cycles, told.ending), (None, 40, Ending::Closed));
    });
}

#[test]
fn a_full_disk_stops_the_recording_not_the_cycle_and_is_said_and_counted() {
    with_room(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("site.rec");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let mut rig = Rig::at(directory, path.clone(), u64::MAX);
        rig.cycles(100);
        rig.turn();
        assert!(
            matches!(rig.notices.as_slice(), [Notice::Failed(error)] if error.kind() == std::io::ErrorKind::StorageFull)
        );
        rig.cycles(100);
        rig.turn();
        assert_eq!(rig.scribe.as_ref().unwrap().unrecorded(), 200);
        // There is room again: after a while a new file begins.
        fs::remove_file(&path).unwrap();
        rig.turn_at(rig.plant.now + Span::from_ms(31_000));
        rig.cycles(60);
        rig.turn();
        rig.close();
        let bytes = fs::read(&path).unwrap();
        assert_eq!(Reader::open(&bytes[..]).unwrap().opening().lost_before, 200);
        let told = replay(&bytes, Kernel::best()).unwrap();
        assert_eq!((told.difference, told.cycles, told.ending), (None, 60, Ending::Closed));
    });
}

#[test]
fn weights_that_did_not_arrive_end_the_file_and_are_named() {
    with_room(|| {
        let mut rig = Rig::new(u64::MAX);
        rig.cycles(10);
        rig.turn();
        rig.publish(1);
        // Too many at once: the first ones are in the slot, the last is not.
        for generation in 2..=40 {
            rig.publish(generation);
        }
        rig.cycles(10);
        rig.turn();
        let told = replay(&fs::read(rig.path()).unwrap(), Kernel::best()).unwrap();
        let why = Why::WeightsMissing { generation: 40 };
        assert!(matches!(told.ending, Ending::Lost(lost) if lost.why == why), "{told:?}");
        assert_eq!((told.cycles, told.difference), (10, None));
    });
}

#[test]
fn a_recording_is_its_owners_alone() {
    with_room(|| {
        use std::os::unix::fs::PermissionsExt;
        let mut rig = Rig::new(u64::MAX);
        rig.cycles(1);
        rig.close();
        assert_eq!(fs::metadata(rig.path()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(rig.site.agent_name, "saturation");
    });
}

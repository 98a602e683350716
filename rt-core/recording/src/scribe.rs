//! The ordinary thread's side: entries become frames, frames become files.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use policy::AdoptedPolicy;
use rt_config::Site;
use rt_core::time::{MonoTime, Span};
use shm::broadcast;
use shm::spsc::{Consumer, Producer, channel};
use shm_layout::{CycleHead, CycleLayout, StepLayout};

use crate::capture::Clocks;
use crate::estimates::Said;
use crate::frame::{CycleFrame, Frame, Handover, KeptPolicy, Lost, Opening, POLICIES_KEPT, Why};
use crate::state;
use crate::tape::{CHUNK_BYTES, Entry, StateWanted, Tape};
use crate::volume::Volume;

/// The scribe may sleep, or wait for the disk, for so long before anything is lost.
const RING_SPAN: Span = Span::from_ms(2_000);
/// Entries of a cycle beside its reports and the values of its set.
const ENTRIES_BESIDE: usize = 8;
/// The ring is not longer than this, however short the period.
const RING_ENTRIES_MAX: usize = 1 << 20;
/// Weights and rings of learners that may wait for the scribe.
const LEFT_WAITING_MAX: usize = 16;
/// After a failure of the disk a new file is tried this often.
const RETRY_EVERY: Span = Span::from_ms(30_000);
/// A state that was asked for and did not come is asked for again.
const ASK_AGAIN_AFTER: Span = Span::from_ms(1_000);

/// Where a recording goes.
#[derive(Clone, Debug)]
pub struct Options {
    /// The newest file; older ones are called after it.
    pub path: PathBuf,
    /// All files together have at most about so many bytes.
    pub bytes_max: u64,
    /// Files, the newest one included; at least 1.
    pub files_max: usize,
    /// Version of the program.
    pub program: String,
    /// Name of the kernel in use.
    pub kernel: String,
    /// Name of the site file.
    pub site_file: String,
    /// Its text.
    pub site_text: String,
}

/// Where the cycle's outputs are published.
#[derive(Debug)]
pub struct Outputs {
    /// Cycle records.
    pub cycles: broadcast::Reader,
    /// Their layout.
    pub cycle_layout: CycleLayout,
    /// Steps for the learner.
    pub steps: broadcast::Reader,
    /// Their layout.
    pub step_layout: StepLayout,
}

/// What the scribe has to tell.
#[derive(Debug)]
pub enum Notice {
    /// A file was begun; so many cycles were not recorded before it.
    Began {
        /// Its number, from 0.
        number: u64,
        /// Cycles that are missing between the file before and this one.
        lost_before: u64,
    },
    /// Records are missing from here on, until the next file begins.
    Lost(Lost),
    /// The disk refused: nothing is recorded until a new file can be begun.
    Failed(io::Error),
}

/// What the keeper leaves for the scribe.
#[derive(Debug)]
enum Left {
    Policy(KeptPolicy),
    Estimates(broadcast::Reader),
}

/// Where adopted weights and the rings of new learners are left for the scribe: the keeper's end.
#[derive(Clone, Debug)]
pub struct KeeperSlot(SyncSender<Left>);

impl KeeperSlot {
    /// Leaves a copy, before the control thread can follow it. Allocates: not for the real-time thread.
    pub fn leave_policy(&self, policy: &AdoptedPolicy) {
        // Weights that do not fit are missed by the cycle that follows them, which is when it is said.
        let kept = KeptPolicy { origin: policy.origin(), parameters: policy.parameters() };
        let _ = self.0.try_send(Left::Policy(kept));
    }

    /// Leaves the ring in which the learner that was admitted last says what its critics expect. Not for the real-time thread.
    pub fn leave_estimates(&self, ring: broadcast::Reader) {
        // One that does not fit is a learner that is not heard; the cycles are recorded all the same.
        let _ = self.0.try_send(Left::Estimates(ring));
    }
}

/// Both ends of a recording of this site's cycle, and where the keeper leaves things.
///
/// # Errors
/// Nothing can be written at the path.
pub fn recording(site: &Site, options: Options, outputs: Outputs) -> io::Result<(Tape, Scribe, KeeperSlot)> {
    let state_bytes = state::bytes_max(site);
    let per_cycle = ENTRIES_BESIDE + site.tags.len() + site.setpoints.len();
    let cycles = usize::try_from(RING_SPAN.periods(site.runtime.period)).unwrap_or(usize::MAX).max(16);
    let entries = cycles.saturating_mul(per_cycle).saturating_add(state_bytes / CHUNK_BYTES + 2);
    let (entry, entries) = channel(entries.min(RING_ENTRIES_MAX));
    let (mut ask, wanted) = channel(1);
    // The first file begins with the first cycle.
    let _ = ask.push(StateWanted);
    let (leave, left) = sync_channel(LEFT_WAITING_MAX);
    let tape = Tape::new(entry, wanted, state_bytes, site.setpoints.len());
    let first = Volume::create(&options.path, options.files_max.saturating_sub(1))?;
    first.abandon();
    let scribe = Scribe {
        entries,
        ask,
        asked: None,
        outputs: Published::new(outputs),
        left,
        said: Said::default(),
        kept: Vec::new(),
        tag_list_hash: site.tag_list_hash(),
        options,
        volume: None,
        number: 0,
        retry_at: MonoTime::ZERO,
        without_file: 0,
        unrecorded: 0,
        gathering: Gathering::Nothing,
    };
    Ok((tape, scribe, KeeperSlot(leave)))
}

/// Writes a recording. It is told the time and never sleeps.
#[derive(Debug)]
pub struct Scribe {
    entries: Consumer<Entry>,
    ask: Producer<StateWanted>,
    asked: Option<MonoTime>,
    outputs: Published,
    left: Receiver<Left>,
    said: Said,
    /// The newest last.
    kept: Vec<KeptPolicy>,
    tag_list_hash: u64,
    options: Options,
    volume: Option<Open>,
    /// Of the next file.
    number: u64,
    /// No new file before this instant.
    retry_at: MonoTime,
    /// Cycles that came while there was no file, since the last one.
    without_file: u64,
    /// All cycles that were not recorded.
    unrecorded: u64,
    gathering: Gathering,
}

/// A file and what is in it.
#[derive(Debug)]
struct Open {
    volume: Volume,
    /// Of the newest weights in it, which are those that a replay keeps.
    generations: Vec<u64>,
}

/// What the entries so far belong to.
#[derive(Debug)]
enum Gathering {
    Nothing,
    State { missing: usize, state: Vec<u8>, generation: u64, steps_sent: u64, lost: u64 },
    Cycle { cycle: Box<CycleFrame>, changes: Option<Encoded> },
}

/// A change set in pieces.
#[derive(Debug, Default)]
struct Encoded {
    bytes: Vec<u8>,
    missing: usize,
}

/// Why a cycle does not become a frame.
enum Missed {
    Lost(Lost),
    Disk(io::Error),
}

impl From<io::Error> for Missed {
    fn from(error: io::Error) -> Self {
        Self::Disk(error)
    }
}

impl Scribe {
    /// Takes in everything that waits and writes it down; `now` and `unix_ns` are one instant. Blocks as long as the disk does; not for the real-time thread.
    pub fn turn(&mut self, now: MonoTime, unix_ns: u64, mut tell: impl FnMut(Notice)) {
        // Not more than was there at the beginning: a turn ends.
        for _ in 0..self.entries.waiting() {
            let Some(entry) = self.entries.pop() else { break };
            if let Some(notice) = self.take(entry, now, unix_ns) {
                tell(notice);
            }
        }
        if let Err(error) = self.write_estimates() {
            tell(self.give_up(error, now));
        }
        if let Some(Err(error)) = self.volume.as_mut().map(|open| open.volume.flush()) {
            tell(self.give_up(error, now));
        }
        self.ask_for_a_state(now);
    }

    /// Closes the file in order.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn close(mut self) -> io::Result<()> {
        self.close_volume()
    }

    fn close_volume(&mut self) -> io::Result<()> {
        match self.volume.take() {
            Some(mut open) => {
                open.volume.frame(&Frame::Closing)?;
                open.volume.close()
            }
            None => Ok(()),
        }
    }

    /// A new file needs a state; so it is asked for when there is no file, and when the file is full.
    fn ask_for_a_state(&mut self, now: MonoTime) {
        let share = self.options.bytes_max / self.options.files_max.max(1) as u64;
        let due = match &self.volume {
            Some(open) => open.volume.bytes() >= share,
            None => now >= self.retry_at,
        };
        let patient = self.asked.is_some_and(|at| now.since(at) < ASK_AGAIN_AFTER);
        if due && !patient {
            let _ = self.ask.push(StateWanted);
            self.asked = Some(now);
        }
    }

    fn take(&mut self, entry: Entry, now: MonoTime, unix_ns: u64) -> Option<Notice> {
        match entry {
            Entry::State { bytes, generation, steps_sent, lost } => {
                let (missing, state) = (bytes as usize, Vec::with_capacity(bytes as usize));
                self.gathering = Gathering::State { missing, state, generation, steps_sent, lost };
                None
            }
            Entry::Chunk(chunk) => self.take_chunk(&chunk, now, unix_ns),
            Entry::Slot(slot) => {
                self.gathering = Gathering::Cycle { cycle: Box::new(CycleFrame::begun(slot)), changes: None };
                None
            }
            Entry::End => match std::mem::replace(&mut self.gathering, Gathering::Nothing) {
                Gathering::Cycle { cycle, changes } => self.finish_cycle(cycle, changes, now),
                _ => None,
            },
            Entry::Lost { cycle } => self.end_replayable_part(Lost { cycle, why: Why::RingFull }, now),
            of_a_cycle => {
                if let Gathering::Cycle { cycle, changes } = &mut self.gathering {
                    match of_a_cycle {
                        Entry::Changes { bytes } => {
                            *changes = Some(Encoded { bytes: Vec::new(), missing: bytes as usize });
                        }
                        entry => cycle.take(entry),
                    }
                }
                None
            }
        }
    }

    fn take_chunk(&mut self, chunk: &[u8], now: MonoTime, unix_ns: u64) -> Option<Notice> {
        let (missing, state) = match &mut self.gathering {
            Gathering::Cycle { changes: Some(Encoded { bytes, missing }), .. } => {
                let part = chunk.get(..*missing).unwrap_or(chunk);
                bytes.extend_from_slice(part);
                *missing -= part.len();
                return None;
            }
            Gathering::State { missing, state, .. } => (missing, state),
            _ => return None,
        };
        let part = chunk.get(..*missing).unwrap_or(chunk);
        state.extend_from_slice(part);
        *missing -= part.len();
        if *missing > 0 {
            return None;
        }
        let Gathering::State { state, generation, steps_sent, lost, .. } =
            std::mem::replace(&mut self.gathering, Gathering::Nothing)
        else {
            return None;
        };
        self.asked = None;
        self.unrecorded += lost;
        let lost_before = self.without_file + lost;
        let opening = Opening {
            program: self.options.program.clone(),
            site_file: self.options.site_file.clone(),
            site_text: self.options.site_text.clone(),
            tag_list_hash: self.tag_list_hash,
            kernel: self.options.kernel.clone(),
            clocks: Clocks { monotonic_ns: now.as_ns(), unix_ns },
            number: self.number,
            lost_before,
            generation,
            steps_sent,
            state,
        };
        match self.begin_file(opening) {
            Ok(()) => {
                (self.number, self.without_file) = (self.number + 1, 0);
                Some(Notice::Began { number: self.number - 1, lost_before })
            }
            Err(Missed::Lost(lost)) => self.end_replayable_part(lost, now),
            Err(Missed::Disk(error)) => {
                self.without_file = lost_before;
                Some(self.give_up(error, now))
            }
        }
    }

    fn begin_file(&mut self, opening: Opening) -> Result<(), Missed> {
        self.close_volume()?;
        let volume = Volume::create(&self.options.path, self.options.files_max.saturating_sub(1))?;
        self.volume = Some(Open { volume, generations: Vec::new() });
        let begun = self.write_beginning(opening);
        if let Err(Missed::Disk(_)) = begun
            && let Some(open) = self.volume.take()
        {
            // A file without a beginning is worth nothing, and must not push older ones out.
            open.volume.discard(&self.options.path);
        }
        begun
    }

    fn write_beginning(&mut self, opening: Opening) -> Result<(), Missed> {
        let generation = opening.generation;
        if let Some(open) = &mut self.volume {
            open.volume.frame(&Frame::Opening(Box::new(opening)))?;
        }
        self.write_policy(generation, 0)?;
        if let Some(open) = &mut self.volume {
            open.volume.flush()?;
        }
        Ok(())
    }

    /// The weights go ahead of the first cycle in a file that follows them.
    fn write_policy(&mut self, generation: u64, cycle: u64) -> Result<(), Missed> {
        self.collect_left();
        let Some(open) = self.volume.as_mut().filter(|open| !open.generations.contains(&generation)) else {
            return Ok(());
        };
        let Some(place) = self.kept.iter().position(|kept| kept.origin.generation == generation) else {
            return Err(Missed::Lost(Lost { cycle, why: Why::WeightsMissing { generation } }));
        };
        // The one in use is the last that is forgotten: the next file needs it, too.
        let policy = self.kept.remove(place);
        self.kept.push(policy.clone());
        open.volume.frame(&Frame::Policy(policy))?;
        open.generations.push(generation);
        let surplus = open.generations.len().saturating_sub(POLICIES_KEPT);
        open.generations.drain(..surplus);
        Ok(())
    }

    /// What a learner said while there was no file is gone with the cycles of that time.
    fn write_estimates(&mut self) -> io::Result<()> {
        self.collect_left();
        match (self.said.take(), &mut self.volume) {
            (Some(said), Some(open)) => open.volume.frame(&Frame::Estimates(said)),
            _ => Ok(()),
        }
    }

    fn collect_left(&mut self) {
        while let Ok(left) = self.left.try_recv() {
            match left {
                Left::Policy(policy) => {
                    self.kept.retain(|kept| kept.origin.generation != policy.origin.generation);
                    self.kept.push(policy);
                }
                Left::Estimates(ring) => self.said.follow(ring),
            }
        }
        let surplus = self.kept.len().saturating_sub(POLICIES_KEPT);
        self.kept.drain(..surplus);
    }

    fn finish_cycle(&mut self, cycle: Box<CycleFrame>, changes: Option<Encoded>, now: MonoTime) -> Option<Notice> {
        let written = if self.volume.is_some() { self.write_cycle(cycle, changes).map(|()| true) } else { Ok(false) };
        let missed = u64::from(!matches!(written, Ok(true)));
        (self.without_file, self.unrecorded) = (self.without_file + missed, self.unrecorded + missed);
        match written {
            Ok(_) => None,
            Err(Missed::Lost(lost)) => self.end_replayable_part(lost, now),
            Err(Missed::Disk(error)) => Some(self.give_up(error, now)),
        }
    }

    fn write_cycle(&mut self, mut cycle: Box<CycleFrame>, changes: Option<Encoded>) -> Result<(), Missed> {
        let index = cycle.slot.index;
        if let Some(Encoded { bytes, .. }) = changes {
            let lost = Missed::Lost(Lost { cycle: index, why: Why::ChangesMissing });
            cycle.changes = Some(postcard::from_bytes(&bytes).map_err(|_| lost)?);
        }
        if let Some(generation) = cycle.adopted {
            self.write_policy(generation, index)?;
        }
        let overwritten = Missed::Lost(Lost { cycle: index, why: Why::OutputsOverwritten });
        (cycle.record, cycle.step) = self.outputs.of_cycle(index).ok_or(overwritten)?;
        match &mut self.volume {
            Some(open) => Ok(open.volume.cycle(cycle)?),
            None => Ok(()),
        }
    }

    fn end_replayable_part(&mut self, lost: Lost, now: MonoTime) -> Option<Notice> {
        let mut open = self.volume.take()?;
        match open.volume.frame(&Frame::Lost(lost)).and_then(|()| open.volume.close()) {
            Ok(()) => Some(Notice::Lost(lost)),
            Err(error) => Some(self.give_up(error, now)),
        }
    }

    fn give_up(&mut self, error: io::Error, now: MonoTime) -> Notice {
        if let Some(open) = self.volume.take() {
            open.volume.abandon();
        }
        self.retry_at = now + RETRY_EVERY;
        Notice::Failed(error)
    }

    /// Where the newest file is.
    pub fn path(&self) -> &Path {
        &self.options.path
    }

    /// Cycles that are missing so far. Those that the control thread lost are known when the next file begins.
    pub const fn unrecorded(&self) -> u64 {
        self.unrecorded
    }
}

impl CycleFrame {
    fn begun(slot: rt_core::schedule::Slot) -> Self {
        Self {
            slot,
            commands: Vec::new(),
            changes: None,
            reports: Vec::new(),
            clock: Vec::new(),
            adopted: None,
            set: None,
            events: Vec::new(),
            record: Vec::new(),
            step: Vec::new(),
        }
    }

    fn take(&mut self, entry: Entry) {
        match entry {
            Entry::Command(command) => self.commands.push(command),
            Entry::Report(report) => self.reports.push(report),
            Entry::Reading(reading) => self.clock.push(reading),
            Entry::Adopted(generation) => self.adopted = Some(generation),
            Entry::Event(event) => self.events.push(event),
            Entry::Set { expires, heartbeat, alarms, taken } => {
                self.set = Some(Handover { expires, heartbeat, alarms, values: Vec::new(), taken });
            }
            Entry::Value(value) => self.set.iter_mut().for_each(|set| set.values.push(value)),
            Entry::State { .. }
            | Entry::Chunk(_)
            | Entry::Changes { .. }
            | Entry::Slot(_)
            | Entry::End
            | Entry::Lost { .. } => {}
        }
    }
}

/// The rings in which outputs are published, read cycle by cycle.
#[derive(Debug)]
struct Published {
    outputs: Outputs,
    record: Vec<u64>,
    step: Vec<u64>,
}

impl Published {
    fn new(outputs: Outputs) -> Self {
        let (record, step) = (vec![0; outputs.cycle_layout.words()], vec![0; outputs.step_layout.words()]);
        Self { outputs, record, step }
    }

    /// Record and step of this cycle; the step is empty when there was none.
    fn of_cycle(&mut self, cycle: u64) -> Option<(Vec<u64>, Vec<u64>)> {
        let Self { outputs, record, step } = self;
        let head = advance(&mut outputs.cycles, record, |words| {
            outputs.cycle_layout.view(words).ok().filter(|found| found.head.cycle >= cycle).map(|found| *found.head)
        })?;
        if head.cycle != cycle {
            return None;
        }
        if !head.has(CycleHead::STEP_SENT) {
            return Some((record.clone(), Vec::new()));
        }
        let of = advance(&mut outputs.steps, step, |words| {
            outputs.step_layout.view(words).ok().map(|found| found.head.cycle).filter(|found| *found >= cycle)
        })?;
        (of == cycle).then(|| (record.clone(), step.clone()))
    }
}

/// Reads on until `is_it` finds something.
fn advance<T>(
    ring: &mut broadcast::Reader,
    words: &mut [u64],
    mut is_it: impl FnMut(&[u64]) -> Option<T>,
) -> Option<T> {
    loop {
        match ring.next(words) {
            broadcast::Next::Record { .. } => {
                if let Some(found) = is_it(words) {
                    return Some(found);
                }
            }
            broadcast::Next::Lost(_) => {}
            broadcast::Next::Empty | broadcast::Next::Damaged { .. } => return None,
        }
    }
}

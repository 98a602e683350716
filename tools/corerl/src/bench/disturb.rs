//! Disturbances: processes that are in the way, for a bounded time and with bounded means.

use std::fs::File;
use std::hint::black_box;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use rt_core::time::Span;
use rt_sys::Cpus;
use rustix::fs::Advice;
use rustix::process::{Pid, getppid};
use shm::broadcast::{self, Next, Start};
use shm::{Segment, SegmentKind};
use shm_layout::CycleLayout;

use super::contestant::Running;
use crate::failure::{Exit, Failure};
use crate::top;

/// A disturbance begins before the measurement and outlives it by so much at most.
const BEFORE_AND_AFTER: Duration = Duration::from_secs(4);
/// The file that goes through the page cache, and the memory that is streamed through; per process.
const FILE_BYTES: u64 = 128 << 20;
const STREAM_BYTES: usize = 64 << 20;
const CHUNK_BYTES: usize = 1 << 20;
/// Records between two looks at the clock.
const RECORDS_PER_LOOK: usize = 4096;
/// How often `corerl shm top` looks and draws by itself.
const SCREEN_EVERY: Duration = Duration::from_millis(200);
/// How often a recorder takes what has come in.
const FOLLOW_EVERY: Duration = Duration::from_millis(20);
/// How often whoever counts for metrics does.
const SCRAPE_EVERY: Duration = Duration::from_secs(1);

/// By what means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Kind {
    /// Processes that compute, two for each CPU.
    Cpu,
    /// A file that is written, read back and dropped from the page cache.
    PageCache,
    /// Memory that is read and written in long streams, on each CPU.
    Memory,
    /// The loop's cycle records, read without a pause.
    SharedMemory,
    /// The screen of `corerl shm top`, which reads every cycle record and draws into nothing.
    Screen,
    /// Every cycle record, read as it comes.
    Recorder,
    /// Every cycle record, those of a second at once, as metrics are counted.
    Scraper,
}

impl Kind {
    /// What is in the way.
    pub(super) const LOADS: [Self; 4] = [Self::Cpu, Self::PageCache, Self::Memory, Self::SharedMemory];
    /// What only looks.
    pub(super) const WATCHERS: [Self; 3] = [Self::Screen, Self::Recorder, Self::Scraper];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::PageCache => "page-cache",
            Self::Memory => "memory",
            Self::SharedMemory => "shared-memory",
            Self::Screen => "screen",
            Self::Recorder => "recorder",
            Self::Scraper => "scraper",
        }
    }

    /// It needs a loop that writes cycle records.
    pub(super) const fn reads_records(self) -> bool {
        matches!(self, Self::SharedMemory | Self::Screen | Self::Recorder | Self::Scraper)
    }

    fn processes(self) -> usize {
        let cpus = Cpus::allowed().list().len();
        match self {
            Self::Cpu => 2 * cpus,
            Self::Memory => cpus,
            Self::PageCache | Self::SharedMemory | Self::Screen | Self::Recorder | Self::Scraper => 1,
        }
    }
}

/// Processes in the way. Dropping it ends them.
pub(super) struct Disturbance {
    kind: Kind,
    children: Vec<Child>,
}

impl Disturbance {
    /// Starts the processes, which outlive `duration` by a few seconds at most, whatever becomes of this one.
    pub(super) fn start(kind: Kind, duration: Span, running: &Running) -> Result<Self, Failure> {
        let attempt = |error| Failure::io(format_args!("cannot disturb by {}", kind.name()), &error);
        let program = std::env::current_exe().map_err(attempt)?;
        let seconds = duration.as_seconds().ceil() + BEFORE_AND_AFTER.as_secs_f64();
        let mut disturbance = Self { kind, children: Vec::new() };
        for _ in 0..kind.processes() {
            let mut command = Command::new(&program);
            command.args(["bench", "disturb", kind.name(), "--seconds", &seconds.to_string()]);
            command.stdin(match running.shared_memory().filter(|_| kind.reads_records()) {
                Some(memory) => Stdio::from(memory.try_clone_to_owned().map_err(attempt)?),
                None => Stdio::null(),
            });
            disturbance.children.push(command.stdout(Stdio::null()).spawn().map_err(attempt)?);
        }
        Ok(disturbance)
    }

    /// Ends them. A process that had ended before did not disturb, and the measurement is not what it says.
    pub(super) fn end(mut self) -> Result<(), Failure> {
        let ended = |child: &mut Child| child.try_wait().ok().flatten();
        match self.children.iter_mut().find_map(ended) {
            Some(status) => {
                let message =
                    format!("the disturbance by {} ended before the measurement did: {status}", self.kind.name());
                Err(Failure::new(Exit::Internal, message))
            }
            None => Ok(()),
        }
    }
}

impl Drop for Disturbance {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It has ended, or it is ended: either way it is waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct DisturbArguments {
    kind: Kind,
    /// End after this long.
    #[arg(long)]
    seconds: f64,
}

/// When a disturbance has to end: in time, or with its parent.
struct Limit {
    end: Instant,
    parent: Option<Pid>,
}

impl Limit {
    fn is_reached(&self) -> bool {
        Instant::now() >= self.end || getppid() != self.parent
    }
}

pub(super) fn run(arguments: &DisturbArguments) -> Result<Exit, Failure> {
    let length = Duration::try_from_secs_f64(arguments.seconds).unwrap_or(BEFORE_AND_AFTER);
    let limit = Limit { end: Instant::now() + length, parent: getppid() };
    match arguments.kind {
        Kind::Cpu => compute(&limit),
        Kind::PageCache => {
            write_and_drop(&limit).map_err(|error| Failure::io("cannot use a temporary file", &error))?
        }
        Kind::Memory => stream(&limit),
        Kind::SharedMemory => hammer(&limit, &cycle_records()?)?,
        Kind::Screen => look(&limit, &cycle_records()?)?,
        Kind::Recorder => follow(&limit, &cycle_records()?, FOLLOW_EVERY)?,
        Kind::Scraper => follow(&limit, &cycle_records()?, SCRAPE_EVERY)?,
    }
    Ok(Exit::Fine)
}

fn compute(limit: &Limit) {
    let mut value = 1_u64;
    while !limit.is_reached() {
        for _ in 0..100_000 {
            value = black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}

/// The file has no name any more when the first byte is written, so that nothing is left behind.
fn write_and_drop(limit: &Limit) -> std::io::Result<()> {
    let path = std::env::temp_dir().join(format!("corerl-bench-{}", std::process::id()));
    let mut file = File::options().read(true).write(true).create_new(true).open(&path)?;
    std::fs::remove_file(&path)?;
    let mut chunk = vec![0x5a_u8; CHUNK_BYTES];
    while !limit.is_reached() {
        file.seek(SeekFrom::Start(0))?;
        for _ in 0..FILE_BYTES / CHUNK_BYTES as u64 {
            file.write_all(&chunk)?;
            if limit.is_reached() {
                return Ok(());
            }
        }
        file.sync_data()?;
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
        file.seek(SeekFrom::Start(0))?;
        while !limit.is_reached() && file.read(&mut chunk)? > 0 {}
    }
    Ok(())
}

fn stream(limit: &Limit) {
    let (mut from, mut to) = (vec![1_u8; STREAM_BYTES], vec![0_u8; STREAM_BYTES]);
    while !limit.is_reached() {
        to.copy_from_slice(&from);
        std::mem::swap(&mut from, &mut to);
        black_box(&mut from);
    }
}

/// Standard input is the descriptor of the loop's cycle records; a loop without any has none to read.
fn cycle_records() -> Result<Segment, Failure> {
    let descriptor = std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| unreadable(&error))?;
    watch::attach(descriptor, SegmentKind::Cycles).map_err(|error| unreadable(&error))
}

fn unreadable(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(Exit::Internal, format_args!("the cycle records: {error}"))
}

fn records(segment: &Segment, start: Start) -> Result<broadcast::Reader, Failure> {
    broadcast::Reader::new(segment, start).map_err(|error| unreadable(&error))
}

fn hammer(limit: &Limit, segment: &Segment) -> Result<(), Failure> {
    let mut words = vec![0; segment.header().slot_words()];
    while !limit.is_reached() {
        let mut reader = records(segment, Start::Oldest)?;
        let mut read = 0;
        while read < RECORDS_PER_LOOK && reader.next(&mut words) != Next::Empty {
            read += 1;
        }
        black_box(&mut words);
    }
    Ok(())
}

/// `corerl shm top` itself, but for the terminal.
fn look(limit: &Limit, segment: &Segment) -> Result<(), Failure> {
    let layout = CycleLayout::from_dims(segment.header().dims())
        .filter(|layout| layout.words() == segment.header().slot_words())
        .ok_or_else(|| unreadable(&"impossible sizes of records"))?;
    let failed = |error| Failure::io("cannot draw", &error);
    let mut screen = top::Bystander::new().map_err(failed)?;
    let mut words = vec![0; layout.words()];
    let mut reader = records(segment, Start::Oldest)?;
    while !limit.is_reached() {
        for _ in 0..segment.header().slots() {
            match reader.next(&mut words) {
                Next::Record { .. } => layout.view(&words).iter().for_each(|record| screen.cycle(record)),
                Next::Lost(_) => {}
                Next::Empty | Next::Damaged { .. } => break,
            }
        }
        screen.draw().map_err(failed)?;
        std::thread::sleep(SCREEN_EVERY);
    }
    Ok(())
}

fn follow(limit: &Limit, segment: &Segment, every: Duration) -> Result<(), Failure> {
    let mut words = vec![0; segment.header().slot_words()];
    let mut reader = records(segment, Start::Newest)?;
    while !limit.is_reached() {
        while reader.next(&mut words) != Next::Empty {
            black_box(&mut words);
        }
        std::thread::sleep(every);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_disturbance_of_ones_own_ends_by_itself() {
        let limit = || Limit { end: Instant::now() + Duration::from_millis(20), parent: getppid() };
        compute(&limit());
        stream(&limit());
        write_and_drop(&limit()).unwrap();
        assert!(limit().parent.is_some());
    }

    #[test]
    fn a_disturbance_ends_with_its_parent() {
        let orphan = Limit { end: Instant::now() + Duration::from_secs(3600), parent: None };
        assert!(orphan.is_reached());
    }
}

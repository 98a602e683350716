//! `corerl replay`: runs recorded cycles once more and compares every bit that came out of them.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use policy::kernels::{Kernel, KernelKind};
use rt_recording::{Difference, Ending, Frame, Lost, Next, Opening, Reader, Replay};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::{print_json, print_text};
use crate::reading::Progress;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
                        corerl run --config site.yaml --arm --record site.rec\n  \
                        corerl replay site.rec                       with the fastest kernel of this machine\n  \
                        corerl replay site.rec --kernel all --json\n  \
                        corerl replay site.rec.2 site.rec.1 site.rec\n\n\
                        Every file replays by itself. A file that a crash cut short is replayed up to its last whole record.\n\n\
                        Exit codes: 0 every bit is the same, 1 something differs or is damaged or is no recording, 69 a file \
                        or a kernel is not there.")]
pub(crate) struct ReplayArguments {
    /// The recordings.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The instructions that the policy is computed with [default: the widest of this machine].
    #[arg(long, value_enum)]
    kernel: Option<Which>,
    /// Print one object with what was replayed.
    #[arg(long)]
    json: bool,
}

/// A choice of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Which {
    Scalar,
    Avx2,
    Avx512,
    /// All that this machine has.
    All,
}

pub(crate) fn run(arguments: &ReplayArguments) -> Result<Exit, Failure> {
    let kernels = kernels(arguments.kernel)?;
    let mut files = Vec::new();
    for path in &arguments.files {
        files.push(replay(path, &kernels)?);
    }
    if arguments.json {
        print_json("corerl.replay/1", &Report { files: &files })?;
    } else {
        print_text(&files.iter().map(Replayed::text).collect::<String>())?;
    }
    Ok(if files.iter().all(Replayed::is_sound) { Exit::Fine } else { Exit::CheckFailed })
}

/// The kernels that were asked for.
fn kernels(which: Option<Which>) -> Result<Vec<Kernel>, Failure> {
    let one = |kind| {
        let absent = || {
            let name = kernel_name(kind);
            Failure::new(Exit::Unavailable, format_args!("this machine has no {name}: choose another --kernel"))
        };
        Ok(vec![Kernel::of(kind).ok_or_else(absent)?])
    };
    match which {
        None => Ok(vec![Kernel::best()]),
        Some(Which::Scalar) => one(KernelKind::Scalar),
        Some(Which::Avx2) => one(KernelKind::Avx2),
        Some(Which::Avx512) => one(KernelKind::Avx512),
        Some(Which::All) => {
            let all = [KernelKind::Scalar, KernelKind::Avx2, KernelKind::Avx512];
            for kind in all.into_iter().filter(|kind| Kernel::of(*kind).is_none()) {
                eprintln!("this machine has no {}: left out", kernel_name(kind));
            }
            Ok(all.into_iter().filter_map(Kernel::of).collect())
        }
    }
}

fn kernel_name(kind: KernelKind) -> &'static str {
    match kind {
        KernelKind::Scalar => "scalar",
        KernelKind::Avx2 => "avx2",
        KernelKind::Avx512 => "avx512",
    }
}

#[derive(Serialize)]
struct Report<'a> {
    files: &'a [Replayed],
}

/// What became of one file.
#[derive(Debug, Serialize)]
struct Replayed {
    file: String,
    program: String,
    site: String,
    agent: String,
    recorded_kernel: String,
    number: u64,
    lost_before: u64,
    cycles: u64,
    first_cycle: Option<u64>,
    last_cycle: Option<u64>,
    policies: u64,
    ending: Ended,
    kernels: Vec<ByKernel>,
}

/// What one kernel made of it.
#[derive(Debug, Serialize)]
struct ByKernel {
    kernel: &'static str,
    /// Cycles of which every bit is the same.
    equal_cycles: u64,
    difference: Option<Differs>,
}

/// The first value that differs.
#[derive(Debug, Serialize)]
struct Differs {
    cycle: u64,
    value: String,
    recorded: String,
    replayed: String,
}

/// How the file ends.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Ended {
    /// In order.
    Closed,
    /// By a crash, or it is still being written.
    Cut { surplus_bytes: u64 },
    /// Records are missing.
    Lost { from_cycle: u64, reason: String },
    /// What follows is not what was written.
    Damaged { at_byte: u64 },
}

/// A replay on one kernel, until its first difference.
struct Lane {
    replay: Replay,
    told: ByKernel,
}

impl Lane {
    fn new(opening: &Opening, kernel: Kernel, path: &Path) -> Result<Self, Failure> {
        let replay = Replay::new(opening, kernel).map_err(|refused| no_replay(path, &refused))?;
        let told = ByKernel { kernel: kernel_name(kernel.kind()), equal_cycles: 0, difference: None };
        Ok(Self { replay, told })
    }

    fn take(&mut self, frame: &Frame, path: &Path) -> Result<(), Failure> {
        if self.told.difference.is_some() {
            return Ok(());
        }
        match frame {
            Frame::Policy(policy) => self.replay.take_policy(policy).map_err(|refused| no_replay(path, &refused)),
            Frame::Cycle(cycle) => {
                match self.replay.run(cycle).map_err(|refused| no_replay(path, &refused))? {
                    Ok(()) => self.told.equal_cycles += 1,
                    Err(difference) => self.told.difference = Some(difference.into()),
                }
                Ok(())
            }
            Frame::Opening(_) | Frame::Estimates(_) | Frame::Lost(_) | Frame::Closing => Ok(()),
        }
    }
}

fn no_replay(path: &Path, refused: &dyn std::error::Error) -> Failure {
    Failure::new(Exit::CheckFailed, format_args!("{}: {refused}", path.display()))
}

fn replay(path: &Path, kernels: &[Kernel]) -> Result<Replayed, Failure> {
    let unreadable = |error: &std::io::Error| Failure::io(format_args!("cannot read {}", path.display()), error);
    let file = File::open(path).map_err(|error| unreadable(&error))?;
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let mut reader = Reader::open(BufReader::new(file)).map_err(|refused| no_replay(path, &refused))?;
    let lanes = kernels.iter().map(|kernel| Lane::new(reader.opening(), *kernel, path));
    let mut lanes = lanes.collect::<Result<Vec<_>, _>>()?;
    let site = lanes.first().map(|lane| (lane.replay.site().name.clone(), lane.replay.site().agent_name.clone()));
    let mut replayed = Replayed::new(path, reader.opening(), site.unwrap_or_default());
    let progress = Progress::new(path, length);
    loop {
        match reader.next_frame().map_err(|error| unreadable(&error))? {
            Next::Frame(frame) => {
                replayed.count(&frame);
                for lane in &mut lanes {
                    lane.take(&frame, path)?;
                }
                progress.at(reader.bytes());
            }
            Next::End(ending) => {
                progress.end();
                replayed.ending = ending.into();
                replayed.kernels = lanes.into_iter().map(|lane| lane.told).collect();
                return Ok(replayed);
            }
        }
    }
}

impl Replayed {
    fn new(path: &Path, opening: &Opening, (site, agent): (String, String)) -> Self {
        Self {
            file: path.display().to_string(),
            program: opening.program.clone(),
            site,
            agent,
            recorded_kernel: opening.kernel.clone(),
            number: opening.number,
            lost_before: opening.lost_before,
            cycles: 0,
            first_cycle: None,
            last_cycle: None,
            policies: 0,
            ending: Ended::Closed,
            kernels: Vec::new(),
        }
    }

    fn count(&mut self, frame: &Frame) {
        match frame {
            Frame::Cycle(cycle) => {
                self.cycles += 1;
                self.first_cycle = self.first_cycle.or(Some(cycle.slot.index));
                self.last_cycle = Some(cycle.slot.index);
            }
            Frame::Policy(_) => self.policies += 1,
            Frame::Opening(_) | Frame::Estimates(_) | Frame::Lost(_) | Frame::Closing => {}
        }
    }

    fn is_sound(&self) -> bool {
        let is_damaged = matches!(self.ending, Ended::Damaged { .. });
        !is_damaged && self.kernels.iter().all(|kernel| kernel.difference.is_none())
    }

    /// The report for people.
    fn text(&self) -> String {
        let Self { file, site, agent, cycles, policies, recorded_kernel, .. } = self;
        let range = match (self.first_cycle, self.last_cycle) {
            (Some(first), Some(last)) => format!(" ({first} to {last})"),
            _ => String::new(),
        };
        let mut text = format!(
            "{file}: {site}/{agent}, {cycles} cycles{range}, {policies} policies, recorded with {recorded_kernel}\n"
        );
        if self.lost_before > 0 {
            text += &format!("  {} cycles before this file were not recorded\n", self.lost_before);
        }
        for ByKernel { kernel, equal_cycles, difference } in &self.kernels {
            text += &match difference {
                None => format!("  {kernel}: every bit of {equal_cycles} cycles is the same\n"),
                Some(Differs { cycle, value, recorded, replayed }) => format!(
                    "  {kernel}: {equal_cycles} cycles are the same; in cycle {cycle} {value} was {recorded}, the replay gives {replayed}\n"
                ),
            };
        }
        text + &self.ending.text()
    }
}

impl Ended {
    fn text(&self) -> String {
        match self {
            Self::Closed => String::new(),
            Self::Cut { surplus_bytes } => {
                let left_out = match surplus_bytes {
                    0 => String::new(),
                    bytes => format!("; {bytes} bytes of a record that is not whole were left out"),
                };
                format!("  the file was not closed (a crash, a full disk, or it is still being written){left_out}\n")
            }
            Self::Lost { from_cycle, reason } => {
                format!("  the file ends before cycle {from_cycle}, which was not recorded: {reason}\n")
            }
            Self::Damaged { at_byte } => format!(
                "  the file is damaged at byte {at_byte}: nothing behind it can be believed, and none of it was replayed\n"
            ),
        }
    }
}

impl From<Ending> for Ended {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Closed => Self::Closed,
            Ending::Cut { surplus_bytes } => Self::Cut { surplus_bytes },
            Ending::Lost(Lost { cycle, why }) => Self::Lost { from_cycle: cycle, reason: why.to_string() },
            Ending::Damaged { at_byte } => Self::Damaged { at_byte },
        }
    }
}

impl From<Difference> for Differs {
    fn from(Difference { cycle, value, recorded, replayed }: Difference) -> Self {
        Self { cycle, value, recorded, replayed }
    }
}

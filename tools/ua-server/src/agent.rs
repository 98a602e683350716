//! What is seen of running agents, through their control sockets and read-only shared memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rt_control::{Address, Client, Description};
use rt_core::envelope::Acted;
use shm::{Access, Segment, broadcast, counters};
use shm_layout::{Counter, CycleLayout, CycleRef, SegmentKind};

/// How long a runtime may take for an answer; the other agents wait meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);
/// An agent whose cycles stand still for so long is gone, whatever its socket says.
const STANDSTILL_MAX: Duration = Duration::from_secs(3);

/// One agent at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seen {
    /// `None` before the first cycle, as everything that a cycle says.
    pub(crate) mode: Option<u32>,
    pub(crate) policy_generation: Option<u64>,
    pub(crate) cycles: u64,
    pub(crate) lost_slots: u64,
    /// The newest there was; `None` before the first.
    pub(crate) reward: Option<f64>,
    pub(crate) setpoints: Vec<SeenSetpoint>,
}

/// One setpoint of it, engineering units.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SeenSetpoint {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) bounds: (f64, f64),
    /// What policy or fallback asked for.
    pub(crate) raw: Option<f64>,
    /// What was sent.
    pub(crate) sent: Option<f64>,
    /// More than rounding kept the one from being the other.
    pub(crate) is_clamped: bool,
}

/// All agents that were ever seen.
pub(crate) struct Agents {
    runtime_dir: PathBuf,
    /// Those that are shown; all when it is empty.
    wanted: Vec<String>,
    known: BTreeMap<String, Agent>,
}

/// One agent, whoever leads it.
struct Agent {
    address: Address,
    attached: Option<Attached>,
    complaint: String,
}

/// The memory of the runtime that leads.
struct Attached {
    pid: u32,
    counters: counters::Reader<Counter>,
    cycles: broadcast::Reader,
    /// Records that the ring holds.
    kept: usize,
    layout: CycleLayout,
    words: Vec<u64>,
    newest: Newest,
    /// The cycles at the last look that saw them move, and when that was.
    moved: (u64, Instant),
}

/// What the records say that were read so far.
#[derive(Clone, Debug, Default)]
struct Newest {
    mode: Option<u32>,
    policy_generation: Option<u64>,
    reward: Option<f64>,
    /// Per setpoint: asked for, sent, clamped.
    setpoints: Vec<(Option<f64>, Option<f64>, bool)>,
}

/// Why nothing is seen of an agent.
#[derive(Debug, thiserror::Error)]
enum Blind {
    #[error("{0}")]
    Call(#[from] rt_control::CallError),
    #[error("its shared memory cannot be read: {0}; are both of one version?")]
    Memory(String),
    #[error("its cycles stand still")]
    Standstill,
}

impl Agents {
    pub(crate) fn new(runtime_dir: PathBuf, wanted: Vec<String>) -> Self {
        Self { runtime_dir, wanted, known: BTreeMap::new() }
    }

    /// One look at every agent; `None` for one that is gone. What is new about that is said on standard error.
    pub(crate) fn look(&mut self) -> Vec<(String, Option<Seen>)> {
        // A directory that cannot be read holds no agent that could be asked.
        for address in rt_control::list(&self.runtime_dir).unwrap_or_default() {
            let label = address.label();
            if !address.is_standby() && (self.wanted.is_empty() || self.wanted.contains(&label)) {
                self.known.entry(label).or_insert_with(|| Agent { address, attached: None, complaint: String::new() });
            }
        }
        self.known.iter_mut().map(|(label, agent)| (label.clone(), agent.look_and_tell(label))).collect()
    }
}

impl Agent {
    fn look_and_tell(&mut self, label: &str) -> Option<Seen> {
        let (seen, complaint) = match self.look() {
            Ok(seen) => (Some(seen), String::new()),
            Err(blind) => (None, blind.to_string()),
        };
        if self.complaint != complaint {
            match complaint.as_str() {
                "" => tracing::info!(agent_id = label, "{label}: is back"),
                _ => tracing::warn!(agent_id = label, "{label}: {complaint}"),
            }
            self.complaint = complaint;
        }
        seen
    }

    /// Asks anew each time: whoever leads now may be another process than before, and may have other limits.
    fn look(&mut self) -> Result<Seen, Blind> {
        let mut client = Client::connect(&self.address, ANSWER_TIMEOUT).map_err(rt_control::CallError::from)?;
        let description = client.describe()?;
        let attached = match self.attached.take().filter(|attached| attached.pid == description.pid) {
            Some(attached) => attached,
            None => Attached::new(&mut client, description.pid)?,
        };
        self.attached.insert(attached).look(&description)
    }
}

impl Attached {
    fn new(client: &mut Client, pid: u32) -> Result<Self, Blind> {
        let memory = |error: &dyn std::fmt::Display| Blind::Memory(error.to_string());
        let mut segment = |kind: SegmentKind| -> Result<Segment, Blind> {
            let descriptor = client.segment(kind.code())?;
            Segment::attach(descriptor, Access::ReadOnly, kind).map_err(|error| memory(&error))
        };
        let (counted, recorded) = (segment(SegmentKind::Counters)?, segment(SegmentKind::Cycles)?);
        let layout =
            CycleLayout::from_dims(recorded.header().dims()).ok_or_else(|| memory(&"impossible sizes of records"))?;
        Ok(Self {
            pid,
            counters: counters::Reader::new(&counted).map_err(|error| memory(&error))?,
            cycles: broadcast::Reader::new(&recorded, broadcast::Start::Oldest).map_err(|error| memory(&error))?,
            kept: recorded.header().slots(),
            layout,
            words: vec![0; layout.words()],
            newest: Newest::default(),
            moved: (0, Instant::now()),
        })
    }

    fn look(&mut self, description: &Description) -> Result<Seen, Blind> {
        let cycles = self.counters.get(Counter::Cycles);
        if cycles != self.moved.0 {
            self.moved = (cycles, Instant::now());
        } else if self.moved.1.elapsed() > STANDSTILL_MAX {
            return Err(Blind::Standstill);
        }
        self.read_on()?;
        let newest = self.newest.setpoints.iter().copied().chain(std::iter::repeat((None, None, false)));
        let setpoints = description.setpoints.iter().zip(newest).map(|(of, (raw, sent, is_clamped))| SeenSetpoint {
            name: of.name.clone(),
            unit: of.unit.clone(),
            bounds: (of.lo, of.hi),
            raw,
            sent,
            is_clamped,
        });
        Ok(Seen {
            mode: self.newest.mode,
            policy_generation: self.newest.policy_generation,
            cycles,
            lost_slots: self.counters.get(Counter::SlotsSkipped),
            reward: self.newest.reward,
            setpoints: setpoints.collect(),
        })
    }

    /// Reads the records since the last look, at most a ring full: a fast writer cannot keep us here.
    fn read_on(&mut self) -> Result<(), Blind> {
        for _ in 0..=self.kept {
            match self.cycles.next(&mut self.words) {
                broadcast::Next::Record { .. } => {
                    let record = self.layout.view(&self.words).map_err(|error| Blind::Memory(error.to_string()))?;
                    self.newest.take(&record);
                }
                broadcast::Next::Lost(_) => {}
                broadcast::Next::Empty => break,
                broadcast::Next::Damaged { .. } => return Err(Blind::Memory("the ring is damaged".to_owned())),
            }
        }
        Ok(())
    }
}

impl Newest {
    fn take(&mut self, record: &CycleRef<'_>) {
        let known = |value: f64| Some(value).filter(|value| value.is_finite());
        let rounded = u32::from(Acted::ROUNDED.bits());
        self.mode = Some(record.head.mode.into());
        self.policy_generation = Some(record.head.policy_generation);
        self.reward = known(record.head.reward).or(self.reward);
        self.setpoints.clear();
        self.setpoints.extend(
            record.setpoints.iter().map(|part| (known(part.desired), known(part.sent), part.acted & !rounded != 0)),
        );
    }
}

//! What is seen of running agents, through their control sockets and read-only shared memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use rt_core::envelope::Acted;
use shm_layout::{Counter, CycleRef};
use watch::{Agent, From, Memory};

/// How long a runtime may take for an answer; the other agents wait meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(500);

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
    agents: watch::Agents,
    views: BTreeMap<String, View>,
}

/// What was read of one agent so far, and what is wrong with it.
#[derive(Default)]
struct View {
    /// Of this process.
    run: u64,
    newest: Newest,
    complaint: String,
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
    #[error(transparent)]
    Watch(#[from] watch::Blind),
    #[error("its shared memory cannot be read: the ring is damaged")]
    Damaged,
    #[error("its cycles stand still")]
    Standstill,
}

impl Agents {
    pub(crate) fn new(runtime_dir: PathBuf, wanted: Vec<String>) -> Self {
        let agents = watch::Agents::below(runtime_dir, From::Oldest).only(wanted).within(ANSWER_TIMEOUT);
        Self { agents, views: BTreeMap::new() }
    }

    /// One look at every agent; `None` for one that is gone. What is new about that is said on standard error.
    pub(crate) fn look(&mut self) -> Vec<(String, Option<Seen>)> {
        let views = &mut self.views;
        let seen = self.agents.find().map(|agent| {
            let label = agent.label();
            let seen = views.entry(label.clone()).or_default().look_and_tell(&label, agent);
            (label, seen)
        });
        seen.collect()
    }
}

impl View {
    fn look_and_tell(&mut self, label: &str, agent: &mut Agent) -> Option<Seen> {
        let (seen, complaint) = match agent.look().map_err(Blind::from).and_then(|memory| self.look(memory)) {
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

    fn look(&mut self, memory: &mut Memory) -> Result<Seen, Blind> {
        if memory.standstill().is_some() {
            return Err(Blind::Standstill);
        }
        let run = memory.description().run;
        if self.run != run {
            (self.run, self.newest) = (run, Newest::default());
        }
        let missed = memory.cycles(|record| self.newest.take(record));
        if missed.damaged {
            return Err(Blind::Damaged);
        }
        Ok(self.newest.seen(memory))
    }
}

impl Newest {
    fn seen(&self, memory: &Memory) -> Seen {
        let newest = self.setpoints.iter().copied().chain(std::iter::repeat((None, None, false)));
        let described = memory.description().setpoints.iter();
        let setpoints = described.zip(newest).map(|(of, (raw, sent, is_clamped))| SeenSetpoint {
            name: of.name.clone(),
            unit: of.unit.clone(),
            bounds: (of.lo, of.hi),
            raw,
            sent,
            is_clamped,
        });
        Seen {
            mode: self.mode,
            policy_generation: self.policy_generation,
            cycles: memory.counter(Counter::Cycles),
            lost_slots: memory.counter(Counter::SlotsSkipped),
            reward: self.reward,
            setpoints: setpoints.collect(),
        }
    }

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

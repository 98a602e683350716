//! Scenarios: what is started, what happens to it, and what has to be seen.

mod raw;
mod resolve;
pub(crate) mod site;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rt_config::document::Complaints;
use rt_config::{Complaint, Site};
use rt_core::mode::Mode;
use rt_core::tag::Quality;
use serde_json::{Value, json};
use shm_layout::EventKind;

/// The shortest time that is worth a timeline.
pub(crate) const DURATION_MIN: Duration = Duration::from_millis(100);
/// Where the timeline may end at the latest.
pub(crate) const DURATION_MAX: Duration = Duration::from_secs(600);

/// Certificates and keys of a simulated plant live so long at most.
pub(crate) const LIFETIME_MAX: Duration = Duration::from_secs(3600);

/// A scenario, valid by construction.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it shows, in a sentence.
    pub about: String,
    /// Numbers of the catalogue of faults that it covers.
    pub faults: Vec<String>,
    /// Its file.
    pub file: PathBuf,
    /// The plant.
    pub(crate) plant: Plant,
    /// A learner runs beside the runtime.
    pub(crate) learner: bool,
    /// A historian keeps what the runtime publishes.
    pub(crate) historian: bool,
    /// The timeline begins in this mode.
    pub(crate) begin: Mode,
    /// The timeline's length.
    pub duration: Duration,
    /// What happens, by rising time.
    pub(crate) steps: Vec<Step>,
    /// What has to be seen.
    pub(crate) expectations: Vec<Expectation>,
    pub(crate) arm: bool,
    pub(crate) disk_full: bool,
    /// The timeline begins after so many policies were adopted.
    pub(crate) adopted: u64,
    pub(crate) seed: u64,
    /// The site as the scenario wants it, for any plant.
    pub(crate) site: Site,
    pub(crate) template: site::Template,
}

/// What a scenario is run against.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Plant {
    /// `corerl-plant`.
    Simulated {
        /// Its name.
        name: String,
        /// Time between its steps.
        step: Duration,
        /// How long the heartbeat may stand still.
        heartbeat_timeout: Option<Duration>,
        /// How its connections are signed and encrypted, if they are.
        secured: Option<Secured>,
    },
    /// A server that is started by a command.
    External {
        /// Program and arguments; `{port}` stands for a free port.
        start: Vec<String>,
        /// Where it listens then.
        endpoint: String,
        /// A line of its standard output that holds this says that it listens.
        ready: Option<String>,
        /// How long that may take.
        timeout: Duration,
        /// Where it is started.
        directory: Option<PathBuf>,
    },
    /// A server that is there already.
    Existing {
        /// The rig that describes it.
        rig: String,
    },
}

/// Certificates and keys of a simulated plant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Secured {
    /// The runtime trusts its certificate from the start.
    pub(crate) trusted: bool,
    /// How long its first certificate is valid at most.
    pub(crate) certificate_lifetime: Option<Duration>,
    /// Within this time the keys of a connection are renewed.
    pub(crate) key_lifetime: Option<Duration>,
}

impl Plant {
    /// How its server shows a certificate; then the runtime has to have one, too.
    pub(crate) const fn secured(&self) -> Option<Secured> {
        match self {
            Self::Simulated { secured, .. } => *secured,
            Self::External { .. } | Self::Existing { .. } => None,
        }
    }
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// When, after the timeline's begin.
    pub(crate) at: Duration,
    /// How long it lasts, when it is taken back.
    pub(crate) lasts: Option<Duration>,
    /// Its name.
    pub(crate) label: Option<String>,
    /// It has to be refused.
    pub(crate) refused: bool,
    /// What it is.
    pub(crate) act: Act,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Act {
    /// Something at the plant.
    Plant(PlantFault),
    /// Something between runtime and plant.
    Cable(Cable),
    /// A program is killed.
    Kill(Program),
    /// A program is stopped and goes on later.
    Pause(Program),
    /// A program is started.
    Start(Program),
    /// A hostile learner publishes.
    Publish(Forgery),
    /// Processes compute at full speed.
    Busy(u32),
    /// The wall clock jumps.
    ClockJump(Duration),
    /// An operator's command.
    Command(rt_control::Act),
    /// A person trusts the plant's certificate.
    Trust,
    /// A person trusts it no longer.
    Distrust,
    /// Somebody gets a new certificate.
    Certify(Certified),
    /// A setpoint is handed back.
    HandBack(String),
    /// Values of the site file, by their dotted path, are applied live.
    Apply(Vec<(String, Value)>),
}

/// A request to the simulated plant.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlantFault {
    /// The node that it is about.
    pub(crate) node: String,
    /// As the plant takes it.
    pub(crate) request: Value,
}

/// What a cable does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cable {
    /// Nothing is even acknowledged.
    Pulled,
    /// All connections are reset, once.
    Reset,
    /// What comes is acknowledged and goes nowhere.
    Silent,
    /// The present connections are forgotten.
    Forgotten,
    /// Everything travels so much later.
    Delay(Duration),
    /// So many of a hundred packets are lost.
    Loss(u32),
}

/// One of the programs of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The plant's server.
    Plant,
    /// The runtime that leads.
    Runtime,
    /// A runtime that stands by.
    Standby,
    /// The learner.
    Learner,
    /// The historian.
    Historian,
}

impl Program {
    /// Its name for people.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Plant => "the plant",
            Self::Runtime => "the runtime",
            Self::Standby => "the standby",
            Self::Learner => "the learner",
            Self::Historian => "the historian",
        }
    }
}

/// Who can get a new certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Certified {
    /// The plant's server, for its next start.
    Plant,
    /// The runtime, while it runs.
    Runtime,
}

/// What a learner without conscience publishes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Forgery {
    /// A parameter that is this.
    Parameter(f32),
    /// Parameters that are permitted one by one, and whose outputs are not.
    Overflowing,
    /// Single bits flipped, one publication after another.
    BitsFlipped,
    /// Words of two publications, as a torn read would see them.
    Torn,
    /// A damaged header, one word after another.
    HeaderDamaged,
    /// A network of another shape.
    OtherShape,
    /// A network whose setpoints all lie far beyond their ends.
    Saturating,
    /// A sound network.
    Sound,
}

/// What has to be seen, and when.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Expectation {
    /// Times count from this; `None` for the timeline's begin.
    pub(crate) after: Option<After>,
    /// The latest time.
    pub(crate) within: Option<Duration>,
    /// The window's begin.
    pub(crate) from: Duration,
    /// The window's end; `None` for the timeline's.
    pub(crate) to: Option<Duration>,
    /// By how much a bound may be missed.
    pub(crate) tolerance: f64,
    /// What it is.
    pub(crate) wanted: Wanted,
}

/// A step from which times count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct After {
    /// Its place among the scenario's steps.
    pub(crate) step: usize,
    /// They count from its end.
    pub(crate) end: bool,
    /// Its name, as the scenario has it.
    pub(crate) name: String,
}

impl After {
    /// When that is, by the timeline.
    pub(crate) fn origin(&self, steps: &[Step]) -> Duration {
        steps
            .get(self.step)
            .map_or(Duration::ZERO, |step| step.at.saturating_add(step.lasts.filter(|_| self.end).unwrap_or_default()))
    }
}

/// What can be expected.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Wanted {
    /// A mode is reached.
    Reaches(Mode),
    /// A mode holds in every cycle of the window.
    Stays(Mode),
    /// A mode holds in no cycle of the window.
    Never(Mode),
    /// A mode is reached and not left any more.
    Settles(Mode),
    /// Modes are entered in this order, others perhaps between.
    Passes(Vec<Mode>),
    /// Events are seen.
    Event {
        /// Their kind.
        kind: EventKind,
        /// Their text holds this.
        says: String,
        /// At least so many of them.
        at_least: u64,
        /// At most so many.
        at_most: Option<u64>,
    },
    /// A tag is near its target.
    Error {
        /// The tag's index.
        tag: usize,
        /// Where it should be.
        target: f64,
        /// The error is below this.
        below: f64,
        /// It is the mean of the window, and not the largest.
        mean: bool,
    },
    /// The mean reward is at least this.
    Reward(f64),
    /// At most so many slots passed without a cycle.
    LostSlots(u64),
    /// At most so much of the run is not in the history.
    HistoryLost(u64),
    /// Nothing is written to this setpoint.
    Untouched(usize),
    /// No write of this setpoint reaches the plant.
    NoWrite(usize),
    /// A tag has a quality.
    Quality {
        /// The tag's index.
        tag: usize,
        /// The quality.
        quality: Quality,
    },
    /// A setpoint is written with this value.
    Value {
        /// The setpoint's index.
        setpoint: usize,
        /// The value.
        is: f64,
    },
}

/// Why there is no scenario.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// It cannot be read.
    #[error("{} cannot be read: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is refused.
    #[error("{}", complaints.iter().map(Complaint::to_string).collect::<Vec<_>>().join("\n"))]
    Refused {
        /// All that is wrong with it, sorted by place.
        complaints: Vec<Complaint>,
    },
}

impl Scenario {
    /// Reads and checks the scenario in a file, and the site file that it names.
    ///
    /// # Errors
    /// A file that cannot be read, or everything that is wrong with it.
    pub fn load(file: &Path) -> Result<Self, ScenarioError> {
        let read = std::fs::read_to_string(file);
        let text = read.map_err(|source| ScenarioError::Read { file: file.to_owned(), source })?;
        Self::parse(&text, file)
    }

    /// Checks the text of a scenario; paths in it are relative to the directory of `file`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ScenarioError> {
        let mut complaints = Complaints::of(file, text, "tests/hil has scenarios to begin with");
        let scenario = resolve::scenario(file, &mut complaints);
        match scenario {
            Some(scenario) if !complaints.refuses() => Ok(scenario),
            _ => Err(ScenarioError::Refused { complaints: complaints.into_sorted() }),
        }
    }

    /// The JSON Schema of a scenario's file.
    pub fn schema() -> Value {
        resolve::schema()
    }

    /// What a step is, for people.
    pub(crate) fn title(&self, step: &Step) -> String {
        let lasts = step.lasts.map_or(String::new(), |lasts| format!(" for {}", seconds(lasts)));
        format!("{}{lasts}", step.act)
    }
}

/// A time for people.
pub(crate) fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) && time.subsec_nanos().is_multiple_of(1_000_000) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{} s", (time.as_secs_f64() * 1e3).round() / 1e3)
    }
}

impl PlantFault {
    /// The request that takes it back, and no other fault of its node.
    pub(crate) fn end(&self) -> Value {
        json!({ "do": "clear", "node": self.node, "kind": self.request["do"] })
    }
}

impl Act {
    /// What it has to itself while it lasts: another one that has the same would be ended by this one's end.
    fn claims(&self) -> Option<String> {
        Some(match self {
            Self::Plant(fault) => match fault.request["do"].as_str() {
                Some("set") | None => return None,
                Some(what) => format!("{what} of {}", fault.node),
            },
            Self::Cable(Cable::Pulled | Cable::Loss(_)) => "the loss of packets".to_owned(),
            Self::Cable(Cable::Silent) => "silence".to_owned(),
            Self::Cable(Cable::Delay(_)) => "delay".to_owned(),
            Self::Kill(program) | Self::Pause(program) => program.name().to_owned(),
            Self::Busy(_) => "the processes that compute".to_owned(),
            Self::Cable(Cable::Reset | Cable::Forgotten)
            | Self::Start(_)
            | Self::Publish(_)
            | Self::ClockJump(_)
            | Self::Command(_)
            | Self::Trust
            | Self::Distrust
            | Self::Certify(_)
            | Self::HandBack(_)
            | Self::Apply(_) => return None,
        })
    }
}

impl Step {
    /// What both want at the same time, though one of them ends by giving it up.
    pub(crate) fn collides_with(&self, other: &Self) -> Option<String> {
        let end = |step: &Self| step.lasts.map_or(Duration::MAX, |lasts| step.at.saturating_add(lasts));
        // What is killed for good can be started by another step.
        let claims = |step: &Self| {
            let for_good = matches!(step.act, Act::Kill(_)) && step.lasts.is_none();
            step.act.claims().filter(|_| !for_good)
        };
        let meet = self.at < end(other) && other.at < end(self);
        let ends = self.lasts.is_some() || other.lasts.is_some();
        claims(self).filter(|claim| meet && ends && Some(claim) == claims(other).as_ref())
    }
}

impl std::fmt::Display for Act {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Plant(fault) => write!(f, "{fault}"),
            Self::Cable(cable) => match cable {
                Cable::Pulled => f.write_str("the cable is pulled"),
                Cable::Reset => f.write_str("the connections are reset"),
                Cable::Silent => f.write_str("the plant acknowledges and is silent"),
                Cable::Forgotten => f.write_str("the connections are forgotten"),
                Cable::Delay(by) => write!(f, "everything travels {} later", seconds(*by)),
                Cable::Loss(percent) => write!(f, "{percent} % of the packets are lost"),
            },
            Self::Kill(program) => write!(f, "{} is killed", program.name()),
            Self::Pause(program) => write!(f, "{} is stopped", program.name()),
            Self::Start(program) => write!(f, "{} is started", program.name()),
            Self::Publish(forgery) => write!(f, "a hostile learner publishes {forgery}"),
            Self::Busy(count) => write!(f, "{count} processes compute"),
            Self::ClockJump(by) => write!(f, "the wall clock jumps by {}", seconds(*by)),
            Self::Command(act) => write!(f, "an operator's {}", act.name()),
            Self::Trust => f.write_str("the plant's certificate is trusted"),
            Self::Distrust => f.write_str("the plant's certificate is trusted no longer"),
            Self::Certify(Certified::Plant) => f.write_str("the plant gets a new certificate"),
            Self::Certify(Certified::Runtime) => f.write_str("the runtime gets a new certificate"),
            Self::HandBack(setpoint) => write!(f, "{setpoint} is handed back"),
            Self::Apply(values) => {
                let values: Vec<_> = values.iter().map(|(path, value)| format!("{path} = {value}")).collect();
                write!(f, "applied: {}", values.join(", "))
            }
        }
    }
}

impl std::fmt::Display for PlantFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what = self.request["do"].as_str().unwrap_or_default();
        let how = ["value", "by", "by_s", "deviation", "status"].iter().find_map(|key| self.request.get(key));
        match how {
            Some(how) => write!(f, "{} {what} {}", self.node, how.to_string().trim_matches('"')),
            None => write!(f, "{} {what}", self.node),
        }
    }
}

impl std::fmt::Display for Forgery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Parameter(value) => write!(f, "a network with the parameter {value:e}"),
            Self::Overflowing => f.write_str("a network whose outputs overflow"),
            Self::BitsFlipped => f.write_str("networks with a flipped bit"),
            Self::Torn => f.write_str("a network that is half another one"),
            Self::HeaderDamaged => f.write_str("networks with a damaged header"),
            Self::OtherShape => f.write_str("a network of another shape"),
            Self::Saturating => f.write_str("a network that presses beyond every end"),
            Self::Sound => f.write_str("a sound network"),
        }
    }
}

#[cfg(test)]
mod tests;

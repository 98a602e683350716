//! What is said over the control socket. A change here is a change of the protocol: bump [`PROTOCOL`].

use serde::{Deserialize, Serialize};

/// The protocol's version; the first thing both sides compare.
pub const PROTOCOL: u16 = 9;

/// The longest site file that fits into a request.
pub const CONFIGURATION_BYTES_MAX: usize = 120 * 1024;

/// A request of a tool or a learner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// What does this runtime control? Answered by [`Answer::Description`].
    Describe,
    /// How is it? Answered by [`Answer::Status`].
    Status,
    /// A read-only descriptor of a segment, by its number (`shm_layout::SegmentKind`). Answered by [`Answer::Segment`]
    /// with one descriptor.
    Segment {
        /// The segment's number.
        kind: u32,
    },
    /// The site file that holds, for whoever writes captures from outside. Answered by [`Answer::SiteFile`].
    SiteFile,
    /// The descriptors that a learner needs. Answered by [`Answer::Learner`] with five: transitions (read-only),
    /// weights, learner counters, estimates and learner histograms (all of them fresh and writable). A learner that was granted
    /// before is fenced out by it.
    JoinAsLearner {
        /// The hash of tag list and columns that the learner was configured with.
        tag_list_hash: u64,
    },
    /// To stand by for the runtime that leads. Answered by [`Answer::Lease`] with one descriptor, the writable lease.
    StandBy,
    /// An act of an operator. Answered by [`Answer::Done`].
    Act {
        /// Which.
        act: Act,
        /// Why, in the operator's words; recorded.
        cause: String,
    },
    /// A person gives setpoints back that were taken on the plant. Answered by [`Answer::Done`].
    HandBack {
        /// The setpoint's tag; `None` for all of them.
        setpoint: Option<String>,
        /// Why, in the operator's words; recorded.
        cause: String,
    },
    /// The flight recorder shall save what was just now. Answered by [`Answer::Done`], which names the file.
    SaveFlight {
        /// Why, in the operator's words; it is in the file.
        cause: String,
    },
    /// Another site file: its limits, nominal values and rules for tags, live. Answered by [`Answer::Done`].
    Configure {
        /// The file's text, at most [`CONFIGURATION_BYTES_MAX`].
        text: String,
        /// Why, in the operator's words; recorded.
        cause: String,
    },
}

/// What an operator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Act {
    /// Let the policy write as soon as all gates pass.
    Arm,
    /// Back to SHADOW.
    Disarm,
    /// Hands off the plant, heartbeat off.
    Release,
    /// Clear latched trips and end a commanded hold.
    Reset,
    /// Hold the present setpoints.
    Hold,
    /// Let the runtime that stands by lead from its next cycle on: asked of it by an operator, and by it of the one that
    /// leads.
    HandOver,
}

impl Act {
    /// The act's name as on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Arm => "arm",
            Self::Disarm => "disarm",
            Self::Release => "release",
            Self::Reset => "reset",
            Self::Hold => "hold",
            Self::HandOver => "hand-over",
        }
    }
}

/// An answer of the runtime.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Describe`].
    Description(Description),
    /// To [`Request::Status`].
    Status(Box<Status>),
    /// To [`Request::Segment`]; one descriptor travels with it.
    Segment,
    /// To [`Request::SiteFile`].
    SiteFile(SiteFile),
    /// To [`Request::JoinAsLearner`]; five descriptors travel with it.
    Learner(LearnerGrant),
    /// To [`Request::StandBy`]; one descriptor travels with it.
    Lease {
        /// The process that leads.
        pid: u32,
    },
    /// To [`Request::Act`].
    Done {
        /// What was done, for people.
        message: String,
    },
    /// The request was not carried out.
    Refused(Refusal),
}

/// A site file as it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteFile {
    /// The file's name, without its directory.
    pub name: String,
    /// Its text, with what was applied live; at most [`CONFIGURATION_BYTES_MAX`].
    pub text: String,
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// The peer's user may not do that.
    NotPermitted {
        /// The user id that the kernel reported.
        uid: u32,
    },
    /// The learner was configured for other tags or columns.
    OtherTagList {
        /// What the learner has.
        found: u64,
        /// What the runtime has.
        expected: u64,
    },
    /// There is no such segment.
    NoSuchSegment {
        /// The number asked for.
        kind: u32,
    },
    /// The site file is wrong; the old configuration stays.
    Configuration {
        /// What is wrong with it, for people.
        complaints: String,
    },
    /// There is no such setpoint.
    NoSuchSetpoint {
        /// The name asked for.
        name: String,
    },
    /// What would change what the plant gets cannot be recorded in the audit log, and is not done.
    NotRecorded {
        /// Why, for people.
        reason: String,
    },
    /// The packet was not understood.
    NotUnderstood,
    /// The act makes no sense in the present mode.
    NotNow {
        /// Why, for people.
        message: String,
    },
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotPermitted { uid } => write!(
                f,
                "user {uid} may not do that: only root, the runtime's own user and those in `runtime.operators` may"
            ),
            Self::OtherTagList { found, expected } => write!(
                f,
                "the tag list differs (here {found:016x}, in the runtime {expected:016x}): start both with the same site file"
            ),
            Self::NoSuchSegment { kind } => write!(f, "there is no segment with the number {kind}"),
            Self::Configuration { complaints } => f.write_str(complaints),
            Self::NoSuchSetpoint { name } => {
                write!(f, "there is no setpoint `{name}`: `corerl agent status` lists them")
            }
            Self::NotRecorded { reason } => write!(
                f,
                "{reason}; what cannot be recorded is not done (disarm, hold and release are always done): make room, or let the runtime's user write there"
            ),
            Self::NotUnderstood => write!(f, "the runtime did not understand the request: are both of one version?"),
            Self::NotNow { message } => f.write_str(message),
        }
    }
}

/// What a learner was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnerGrant {
    /// The learner's epoch: goes into every header that it publishes.
    pub epoch: u64,
    /// The newest generation that was looked at so far, adopted or not: the learner publishes above it.
    pub generation: u64,
}

/// What a runtime controls: constant while it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// The protocol's version, [`PROTOCOL`].
    pub protocol: u16,
    /// The runtime's version.
    pub version: String,
    /// Site, agent and instance.
    pub site: String,
    /// The agent's name.
    pub agent: String,
    /// The instance.
    pub instance: String,
    /// The runtime's process.
    pub pid: u32,
    /// A number that no other run of a runtime has; process ids come again.
    pub run: u64,
    /// Unencrypted connections and unsigned policies are permitted.
    pub lab: bool,
    /// Control period.
    pub period_ns: u64,
    /// Observation period.
    pub obs_period_ns: u64,
    /// Decision period.
    pub action_period_ns: u64,
    /// The tags in the order of the cycle record.
    pub tags: Vec<TagInfo>,
    /// The setpoints in the order of the cycle record.
    pub setpoints: Vec<SetpointInfo>,
    /// The names of the state's columns.
    pub columns: Vec<String>,
    /// Hash of tag list and columns.
    pub tag_list_hash: u64,
}

/// A tag, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TagInfo {
    /// Name in the site file.
    pub name: String,
    /// Engineering unit.
    pub unit: String,
    /// It has a yellow or a red zone.
    pub has_zones: bool,
}

/// A setpoint, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetpointInfo {
    /// Name of its tag.
    pub name: String,
    /// Engineering unit.
    pub unit: String,
    /// Lowest permitted value.
    pub lo: f64,
    /// Highest permitted value.
    pub hi: f64,
    /// The values that the actions 0 and 1 stand for.
    pub scale: [f64; 2],
}

/// How a runtime is, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The mode's name.
    pub mode: String,
    /// The policy may write.
    pub armed: bool,
    /// Whether it leads or stands by.
    pub lease: LeaseStatus,
    /// A trip is latched: its cause.
    pub latched: Option<String>,
    /// Since when.
    pub latched_since: Option<LatchedSince>,
    /// Setpoints that a person has, by name.
    pub with_operator: Vec<String>,
    /// What was asked of the kernel and not granted, empty when nothing.
    pub degraded: Vec<String>,
    /// The kernel's preemption model, for people.
    pub preemption: String,
    /// Cycles so far.
    pub cycles: u64,
    /// Slots that passed without a cycle.
    pub slots_skipped: u64,
    /// The adopted generation; zero is the nominal policy.
    pub policy_generation: u64,
    /// A newer policy is tried in the shadow.
    pub on_trial: Option<PolicyProgress>,
    /// The adopted policy is watched, and the one before it comes back if it fails.
    pub on_probation: Option<PolicyProbation>,
    /// The learner.
    pub learner: LearnerStatus,
    /// How often the site's goals and zones were as they should be.
    pub wishes: Wishes,
    /// The connections.
    pub connections: Vec<ConnectionStatus>,
    /// The audit log.
    pub audit: AuditStatus,
    /// What the flight recorder has saved; `None` where it is off.
    pub flight: Option<FlightStatus>,
    /// The file with what was applied live, which the next start will use; `None` while the site file alone holds.
    pub applied: Option<String>,
    /// Seconds since the start.
    pub uptime_s: f64,
}

/// When a trip was latched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatchedSince {
    /// The control cycle.
    pub cycle: u64,
    /// The time, for people: UTC by the wall clock.
    pub utc: String,
    /// Seconds ago, by the monotonic clock.
    pub ago_s: f64,
}

/// The flight recorder's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlightStatus {
    /// The directory that they lie in.
    pub directory: String,
    /// The newest one that is whole.
    pub newest: Option<String>,
    /// The one that is being written.
    pub saving: Option<String>,
}

/// Whose the plant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseStatus {
    /// This runtime has the agent's address: it leads. Else it stands by.
    pub leads: bool,
    /// The epoch under which this runtime holds the lease; zero while it does not.
    pub epoch: u64,
    /// The process that stands by for this one, or that this one stands by for.
    pub partner: Option<u32>,
}

/// How far a policy is on its way to being proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyProgress {
    /// Its generation.
    pub generation: u64,
    /// Decisions that it has stood.
    pub decisions: u32,
    /// Decisions that it has to stand.
    pub of: u32,
}

/// How far the adopted policy is on its probation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyProbation {
    /// Its generation.
    pub generation: u64,
    /// Decisions that it has stood.
    pub decisions: u32,
    /// Decisions that it has to stand.
    pub of: u32,
    /// The generation that comes back if it fails; zero is the nominal policy.
    pub before: u64,
}

/// How the audit log is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditStatus {
    /// Where it is.
    pub path: String,
    /// Its newest entry, `NUMBER:HASH`: noted elsewhere, it proves later that the log was not rewritten. `None` before the
    /// first one.
    pub head: Option<String>,
    /// Why it cannot be written at the moment.
    pub trouble: Option<String>,
}

/// How the learner is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearnerStatus {
    /// Its epoch; zero before the first one joined.
    pub epoch: u64,
    /// Its process.
    pub pid: u32,
    /// Its heartbeat is recent.
    pub alive: bool,
    /// It lives, gets steps, and neither learns nor publishes.
    pub stalled: bool,
    /// How much of it is done, 0 to 1, while it learns from the history what it had learnt before.
    pub rebuilding: Option<f64>,
    /// How learning gets on; `None` before the first look at it.
    pub health: Option<LearnerHealth>,
}

/// How learning gets on, as the learner says. A number that cannot be said is NaN. As a metric each field is called
/// `corerl_learner_` and its name.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LearnerHealth {
    /// Critic updates at the latest look.
    pub updates: u64,
    /// The critics' mean loss.
    pub critic_loss: f64,
    /// The actor's loss; pathwise, the mean size of the value's slope at its actions.
    pub actor_loss: f64,
    /// Length of the critics' gradient, mean over the ensemble.
    pub critic_gradient_norm: f64,
    /// Length of the actor's gradient.
    pub actor_gradient_norm: f64,
    /// Share of the critics' units that are off at every state of late.
    pub dead_units: f64,
    /// Stable rank of the critics' features at the states of late, the lowest of the ensemble.
    pub stable_rank: f64,
    /// Mean standard deviation of the critics' values at the states of late.
    pub ensemble_spread: f64,
    /// Mean size of the temporal difference of late.
    pub prediction_error: f64,
    /// Mean shift of the state's columns of late, in standard deviations of before.
    pub drift_mean: f64,
    /// The largest of these shifts.
    pub drift_largest: f64,
    /// The column that it is of, in the order of [`Description::columns`].
    pub drift_column: u64,
    /// What the critics expect of the actor beyond the nominal setpoint.
    pub value_added: f64,
}

/// How often the site's goals and zones were as they should be, in observations since the start. As a metric each field is
/// called `corerl_rt_`, its name, and `_total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wishes {
    /// It could be said whether all goals were met: none without goals.
    pub goals_judged: u64,
    /// All goals were met.
    pub goals_met: u64,
    /// It could be said whether a tag lay in a red or yellow zone: none without zones.
    pub zones_judged: u64,
    /// No tag lay in one.
    pub zones_clear: u64,
}

/// How a connection is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// `connection_id`.
    pub id: String,
    /// The server's address.
    pub url: String,
    /// Samples are coming in.
    pub up: bool,
    /// The last complaint, if there was one.
    pub last_error: Option<String>,
    /// Whether the plant shows this runtime's name; `None` when it has no tag for that. Without it nothing is written.
    pub claimed: Option<bool>,
}

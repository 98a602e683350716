//! The resolved site: valid by construction. Whoever holds a [`Site`] need not check anything again.

mod agent;

use std::path::PathBuf;

use rt_core::alarm::AlarmSettings;
use rt_core::envelope::Interlock;
use rt_core::expression::Program;
use rt_core::pacing::Spin;
use rt_core::setpoint::SetpointSettings;
use rt_core::tag::{TagId, TagSettings};
use rt_core::time::{Period, Span};
use rt_core::trips::{ChatterSettings, OutOf};

pub use self::agent::{
    AgentOptions, Aggregation, Candidates, DecisionClock, Excursions, GammaSchedule, Improver, Sweep, SweepStart,
};
use crate::password::PasswordSource;

/// Everything the runtime and the learner need to know about one agent on one plant.
#[derive(Clone, Debug, PartialEq)]
pub struct Site {
    /// The plant's name (`runtime.site`, default the file's stem): first part of the key of sockets, segments and lease.
    pub name: String,
    /// `agent_name`: second part of the key.
    pub agent_name: String,
    /// `runtime.instance`, default `main`: third part of the key.
    pub instance: String,
    /// Unencrypted connections and unsigned policies are permitted. Shown everywhere.
    pub lab: bool,
    /// The seed of every random stream of this agent.
    pub seed: u64,
    /// The connections, at least one.
    pub connections: Vec<Connection>,
    /// All tags; a tag's [`TagId`] is its index here. Setpoints and computed tags included.
    pub tags: Vec<Tag>,
    /// The computed tags in the order in which to evaluate them: each after those that it refers to.
    pub computed: Vec<TagId>,
    /// The setpoints, in the order of the action's components.
    pub setpoints: Vec<Setpoint>,
    /// When the agent observes and acts.
    pub interaction: Interaction,
    /// How the reward comes about.
    pub reward: Reward,
    /// The learner's options.
    pub agent: AgentOptions,
    /// Where a learner begins that has no checkpoint.
    pub learner: Learner,
    /// The `runtime:` section.
    pub runtime: Runtime,
    /// The historian's database; without it the historian keeps in files. The runtime does not use it.
    pub database: Option<Database>,
}

/// The historian's PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Database {
    /// The host, or the directory of its socket.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// The database.
    pub name: String,
    /// Where the role's password is; `None`: the role needs none, or libpq's environment has it.
    pub password: Option<PasswordSource>,
    /// How the way there is secured.
    pub encryption: Encryption,
    /// What the historian shows of itself, where the server asks for that.
    pub own: Option<OwnCertificate>,
}

/// A certificate of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnCertificate {
    /// It, and those between it and its authority (PEM).
    pub certificate: PathBuf,
    /// Its key (PEM).
    pub key: PathBuf,
}

/// How the way to the historian's database is secured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// As `Required`, unless the way never leaves this machine.
    UnlessHere,
    /// It is not.
    Off,
    /// Encrypted, and the server has shown who it is.
    Required {
        /// Whoever issued its certificate (PEM); `None`: whom this machine trusts.
        authority: Option<PathBuf>,
    },
}

/// One OPC UA server.
#[derive(Clone, Debug, PartialEq)]
pub struct Connection {
    /// `connection_id`.
    pub id: String,
    /// `opc_conn_url`, `opc.tcp://host:port[/path]`.
    pub url: String,
    /// The other servers of a redundant set, each as `url`.
    pub failover_urls: Vec<String>,
    /// `application_uri`: ours, as the server will see it.
    pub application_uri: String,
    /// `server_application_uris`: who may be there; empty for whoever is trusted.
    pub server_uris: Vec<String>,
    /// Policy, mode and certificates.
    pub security: Security,
    /// Who we say we are.
    pub identity: Identity,
    /// The I/O period; a multiple of the control period.
    pub io_period: Span,
    /// How far after the control grid's slots the I/O grid lies.
    pub io_phase: Span,
    /// The deadline of one call.
    pub call_timeout: Span,
    /// How long the io thread looks for an answer before it sleeps.
    pub spin: Span,
    /// Write this cycle's setpoints and read the next samples in one round trip.
    pub paired: bool,
    /// The node of the plant heartbeat and the longest pause between two beats.
    pub heartbeat: Option<Heartbeat>,
    /// The tags in which the plant's operators are told about the runtime.
    pub alarms: Vec<Alarm>,
    /// The tag in which runtimes on several machines settle who writes.
    pub lease: Option<LeaseTag>,
    /// What the server tells by itself; all else is read in every I/O period.
    pub subscribe: Option<Subscribe>,
}

/// Tags that a server tells by itself when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// It looks at them, and tells what has changed, this often.
    pub every: Span,
    /// The tags, none of them a setpoint; each is read when nothing was heard of it for so long, which is at most half of
    /// its `stale_after`.
    pub watch: Vec<(TagId, Span)>,
}

/// The plant heartbeat: a counter modulo 1000 that the runtime writes while it is in charge.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// The node, `ns=2;s=Path` or `nsu=uri;s=Path`.
    pub node: String,
    /// A beat is written this often.
    pub period: Span,
}

/// A tag of the server that is 1 while something is the matter with the runtime, and else 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// The node, `ns=2;s=Path` or `nsu=uri;s=Path`.
    pub node: String,
    /// When it is raised and cleared.
    pub settings: AlarmSettings,
}

/// A tag of the server that shows which runtime may write.
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseTag {
    /// The node, `ns=2;s=Path` or `nsu=uri;s=Path`.
    pub node: String,
    /// A runtime that is silent for this long has lost it.
    pub term: Span,
}

/// How a connection is secured.
#[derive(Clone, Debug, PartialEq)]
pub enum Security {
    /// In clear; needs `lab: true`.
    None,
    /// Signed, and encrypted if need be.
    Secured {
        /// The algorithms.
        policy: SecurityPolicy,
        /// Encrypt as well as sign.
        encrypt: bool,
        /// Our certificate (DER or PEM).
        client_cert: PathBuf,
        /// Our private key (PEM, mode 0600).
        client_key: PathBuf,
        /// The pinned server certificate; else the trust directory decides.
        server_cert: Option<PathBuf>,
        /// What authorities have to say of those whom they vouch for.
        revocation: Revocation,
        /// Certificates that are trusted (`trusted/`) and those that wait for a decision (`pending/`).
        trust_dir: PathBuf,
    },
}

/// What an authority has to say of the servers that it vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// Each needs a revocation list that is not out of date.
    Required,
    /// One without a list revokes nobody.
    Optional,
}

/// The algorithms of a secured connection, as OPC UA names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum SecurityPolicy {
    Basic256Sha256,
    Aes128Sha256RsaOaep,
    Aes256Sha256RsaPss,
}

/// The user at the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Identity {
    /// No user.
    Anonymous,
    /// User and password; the password was read from where the site file says.
    Password {
        /// The user's name.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A certificate.
    Certificate {
        /// The certificate (DER or PEM).
        certificate: PathBuf,
        /// Its private key (PEM, mode 0600).
        key: PathBuf,
    },
}

/// A secret that never shows in logs or dumps.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub(crate) String);

impl Secret {
    /// The secret itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// One tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Tag {
    /// Its name in the site file.
    pub name: String,
    /// Engineering unit, for people and for the policy's manifest; may be empty.
    pub unit: String,
    /// What kind of tag it is.
    pub kind: TagKind,
    /// Where it comes from; `None` for a computed or seasonal tag.
    pub source: Option<Source>,
    /// A value outside counts as missing.
    pub operating_range: Option<Range>,
    /// The range used for normalisation: expected, else red, operating or yellow; every column of the state has one.
    pub normal_range: Option<Range>,
    /// Yellow zone's edges.
    pub yellow_bounds: Option<Range>,
    /// Red zone's edges.
    pub red_bounds: Option<Range>,
    /// What makes a value missing besides quality and range, one after the other.
    pub filters: Vec<Filter>,
    /// What stands in for a missing value.
    pub imputer: Imputer,
    /// What makes an extra decision.
    pub trigger: Option<Trigger>,
    /// Which of its values the historian keeps; `None`: as it does anyway.
    pub kept: Option<Kept>,
    /// How the image judges it.
    pub settings: TagSettings,
    /// The tag is part of the agent's state (everything but meta tags).
    pub in_state: bool,
}

/// Which values of a tag the historian keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kept {
    /// One of each observation.
    Every,
    /// One of an observation that differs from what was kept last by more than the deadband, and one each heartbeat all the same.
    ByException {
        /// Engineering units, not below 0.
        deadband: f64,
        /// Above zero, at most [`KEPT_HEARTBEAT_MAX`].
        heartbeat: Span,
    },
}

/// The longest heartbeat of what is kept: whoever reads a history believes a value for two of them.
pub const KEPT_HEARTBEAT_MAX: Span = Span::from_ms(60_000);

/// What makes a value missing although its quality is good.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    /// Too far from an exponential moving average.
    MovingAverage {
        /// The average's decay per observation, in [0, 1).
        decay: f64,
        /// So many standard deviations are too far, above 0.
        tolerance: f64,
        /// The standard deviation counts as at least this, engineering units, above 0.
        deviation_min: f64,
        /// Values before anything is missing, and outliers in a row that are believed.
        warmup: u32,
    },
    /// It no longer moves.
    Stuck {
        /// It moves when it leaves where it was by more than this, engineering units.
        within: f64,
        /// It is missing when it did not move for more observations.
        observations: u32,
    },
    /// While the program's value is above 0, or there is none.
    Conditional(Box<Program>),
}

/// What makes a decision between those of the action period.
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger {
    /// When this becomes true. Judged on what was read, computed tags included.
    pub condition: Box<Program>,
    /// The least time between two decisions that it makes.
    pub min_distance: Span,
}

/// What stands in for a value that is missing in an observation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Imputer {
    /// What it is made from.
    pub rule: ImputerRule,
    /// For so many observations in a row, at most.
    pub horizon: u32,
}

/// From what a missing value is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ImputerRule {
    /// Nothing stands in.
    None,
    /// The last value.
    Copy,
    /// The last two values, carried on along a straight line inside the tag's range.
    Linear,
    /// What a trained network makes of the other tags of the state, inside the tag's range.
    MaskedAutoencoder {
        /// The largest share of the state's tags that may be missing, this one included: above 0 and below 1.
        missing_max: f64,
    },
}

/// What a tag is for.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are a few of them, made once at start")]
pub enum TagKind {
    /// A measured value.
    Default,
    /// The change of a measured value since the observation before; the image holds the value itself.
    Delta,
    /// A setpoint that the agent writes.
    Setpoint,
    /// Calculated from other tags.
    Computed(Program),
    /// One coordinate of a place on a circle that the plant's time goes round; not in the image.
    Seasonal(Season, SeasonPart),
    /// Read, but not part of the state.
    Meta,
}

/// How long the plant's time takes to go round once, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Season {
    /// An hour.
    Hour,
    /// A day, from midnight.
    Day,
    /// A week, from Monday.
    Week,
    /// A year, from the first of January.
    Year,
}

/// Which coordinate, scaled to [0, 1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeasonPart {
    /// The sine: 0.5 at the beginning, 1 after a quarter.
    Sin,
    /// The cosine: 1 at the beginning, 0.5 after a quarter.
    Cos,
}

/// Where a tag is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// Index into [`Site::connections`].
    pub connection: usize,
    /// The node, `ns=2;s=Path` or `nsu=uri;s=Path`.
    pub node: String,
}

/// A closed interval in engineering units, `lo < hi`, both finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// Lower end.
    pub lo: f64,
    /// Upper end.
    pub hi: f64,
}

/// One setpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Setpoint {
    /// The tag that it is (and by which it is read back).
    pub tag: TagId,
    /// Range, rate, fallback, refresh: for the envelope.
    pub settings: SetpointSettings,
    /// Interlocks, at most four. Their conditions read measured tags alone: computed ones are written out in them.
    pub interlocks: Vec<Interlock>,
    /// The scale of the action: 0 is `lo`, 1 is `hi` (the operating range).
    pub scale: Range,
    /// The agent's own bounds in engineering units, as programs over tags: `action_bounds`, else the red bounds; `None` for
    /// the operating range.
    pub action_bounds: Option<(Program, Program)>,
    /// What the agent's own bounds are cut to at first.
    pub guardrail: Option<Guardrail>,
    /// Where an untrained agent holds it, engineering units inside `scale`.
    pub nominal: f64,
}

/// A range that widens, observation by observation, from `start` to the setpoint's scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guardrail {
    /// The range of the first observation, inside the scale and around the nominal setpoint.
    pub start: Range,
    /// After so many observations it is the scale; at least 1.
    pub observations: u32,
}

/// The agent's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Interaction {
    /// Time between observations, an exact multiple of the control period.
    pub obs_period: Span,
    /// Time between decisions, an exact multiple of `obs_period`.
    pub action_period: Span,
    /// Experience to collect before the first update.
    pub warmup_period: Span,
    /// A column of the state older than this makes it incomplete.
    pub state_age_tol: Span,
    /// Time between checkpoints.
    pub checkpoint_every: Span,
}

impl Interaction {
    /// The observations from one decision to the next, at least 1.
    pub fn observations_per_decision(&self) -> u64 {
        (self.action_period.as_ns() / self.obs_period.as_ns().max(1)).max(1)
    }
}

/// Where the reward comes from.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there are a few of them, made once at start")]
pub enum Reward {
    /// An expression over tags.
    Expression(Program),
    /// Goals in order of priority, then an optimisation.
    Priorities {
        /// The goals, first the most important.
        goals: Vec<Goal>,
        /// What to optimise once all goals are met.
        optimise: Vec<Objective>,
    },
}

/// A goal or a combination of goals.
#[derive(Clone, Debug, PartialEq)]
pub enum Goal {
    /// The tag shall be at least the threshold.
    UpTo {
        /// The tag, with a normal range.
        tag: TagId,
        /// The threshold, engineering units.
        threshold: Program,
        /// The tag's range for the violation's scale.
        range: Range,
    },
    /// The tag shall be at most the threshold.
    DownTo {
        /// The tag, with a normal range.
        tag: TagId,
        /// The threshold, engineering units.
        threshold: Program,
        /// The tag's range for the violation's scale.
        range: Range,
    },
    /// All of them.
    All(Vec<Goal>),
    /// One of them.
    Any(Vec<Goal>),
}

/// One term of the optimisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// The tag.
    pub tag: TagId,
    /// Its range, for the scale.
    pub range: Range,
    /// Low values are better; otherwise high ones.
    pub minimise: bool,
    /// Relative weight, positive.
    pub weight: f64,
}

/// Where a learner begins that has no checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learner {
    /// It learns from the history before it publishes anything, and nothing that nobody stands by drives the plant meanwhile.
    pub rebuilds: bool,
    /// The historian's directory, if there is one there.
    pub history: PathBuf,
}

/// What a new policy has to show in the shadow before it is adopted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Canary {
    /// Decisions on which it is tried; at least 1.
    pub decisions: u32,
    /// The largest share of its outputs that may press against an end of a setpoint's scale.
    pub saturation: f64,
    /// The largest share of its outputs that may lie outside the limits' range in RUN.
    pub clamps: f64,
    /// The largest mean distance from the policy in use, in parts of the setpoints' scales.
    pub divergence: f64,
}

/// What a new policy has to show after it was adopted, or the one before it comes back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Probation {
    /// Decisions with which it has to drive the plant, and with which it is compared; at least 1.
    pub decisions: u32,
    /// By so much the share of outputs outside the limits' range may rise.
    pub clamps: f64,
    /// By so many standard deviations of the rewards before the mean reward may fall.
    pub reward: f64,
}

/// How often a runtime may die before it waits for an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts {
    /// So many starts that did not end in order are as usual.
    pub n: u32,
    /// In this time.
    pub within: Span,
}

/// What the flight recorder saves, when, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flight {
    /// Where the files go, if the file says so.
    pub dir: Option<PathBuf>,
    /// What makes it save, beside commands.
    pub on: Vec<FlightTrigger>,
    /// So long before the incident a file begins.
    pub before: Span,
    /// So long behind the last incident it ends.
    pub after: Span,
    /// After a file no other one is begun for lost slots and faults for so long.
    pub pause: Span,
    /// All files together have at most so many bytes.
    pub budget_bytes: u64,
}

/// What makes the flight recorder save by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlightTrigger {
    /// FALLBACK was entered and is latched.
    Trip,
    /// The control thread missed a slot.
    LostSlot,
    /// A violated expectation inside the runtime.
    Fault,
}

/// The `runtime:` section.
#[derive(Clone, Debug, PartialEq)]
pub struct Runtime {
    /// The control period T.
    pub period: Period,
    /// How far the control grid lies behind the multiples of T since boot; below T.
    pub phase: Span,
    /// Whether the control thread spins before a slot; a margin is at most [`Spin::longest`].
    pub spin: Spin,
    /// CPU of the control thread; `None` lets the runtime choose.
    pub control_cpu: Option<usize>,
    /// CPU of the io threads.
    pub io_cpu: Option<usize>,
    /// SCHED_FIFO priority of the control thread, 1 to 98.
    pub control_priority: u8,
    /// SCHED_FIFO priority of the io threads, lower than the control thread's.
    pub io_priority: u8,
    /// CPUs of the learner; `None`: all that control and io leave.
    pub learner_cpus: Option<Vec<usize>>,
    /// By how much the learner's nice value is raised, 0 to 19.
    pub learner_nice: u8,
    /// Refuse to start without real-time privileges instead of running degraded.
    pub strict: bool,
    /// HOLD at most this long.
    pub t_hold: Span,
    /// Good conditions needed before FALLBACK ends by itself.
    pub t_recover: Span,
    /// Unusable fallback inputs for this long lead to RELEASE.
    pub t_release: Span,
    /// After a confirmed write the plant may show the value before it for this long.
    pub t_settle: Span,
    /// Returns from FALLBACK per hour before it latches.
    pub recoveries_per_hour: u32,
    /// The policy's output may be not finite for so many cycles in a row; one more trips.
    pub nan_limit: u32,
    /// So many actions in a row may lie outside the limits' range; one more trips.
    pub clamp_limit: u32,
    /// The plant may refuse so many writes of a setpoint in a row; one more trips.
    pub write_fail_limit: u32,
    /// Late cycles that trip.
    pub overrun_limit: OutOf,
    /// A decision that takes longer is not used.
    pub decide_within: Span,
    /// Late decisions that lead to FALLBACK.
    pub late_limit: OutOf,
    /// Reversals that trip; `None`: `chatter: off`.
    pub chatter: Option<ChatterSettings>,
    /// The trial of a new policy; `None`: `canary: off`.
    pub canary: Option<Canary>,
    /// The probation of a new policy; `None`: `probation: off`.
    pub probation: Option<Probation>,
    /// RUN without a confirmation by the learner for this long leads to FALLBACK; `None`: never (`learner: off`).
    pub max_policy_age: Option<Span>,
    /// Setpoint sets expire this long after their cycle.
    pub setpoint_expiry: Span,
    /// The runtime arms itself after a start, and after the lease was lost.
    pub rearms: bool,
    /// One that keeps dying waits in RELEASE; `None`: `restarts: off`.
    pub restarts: Option<Restarts>,
    /// A runtime whose cycles stand still for this long has lost the lease to the one that stands by.
    pub lease_term: Span,
    /// Users who may arm, beside root and the service's own: names or numbers.
    pub operators: Vec<String>,
    /// Cycle records kept in shared memory.
    pub record_span: Span,
    /// The flight recorder; `None`: `flight: off`.
    pub flight: Option<Flight>,
    /// Where the audit log and what was applied live are kept, if the file says so.
    pub state_dir: Option<PathBuf>,
    /// The policy file to start from, if any.
    pub policy_file: Option<PathBuf>,
    /// The public keys whose signatures on policy files are trusted: 64 hexadecimal digits, small letters.
    pub policy_keys: Vec<String>,
}

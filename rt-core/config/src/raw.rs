//! The site file as it is written: every key, its form, its default and its description, in one place.
//!
//! Decoding, complaints about unknown keys, and the JSON Schema all follow from these declarations. What the values
//! mean together is settled in `resolve`.

use rt_core::mode::RETURNS_MAX;
use rt_core::pacing::Spin;
use rt_core::time::Span;
use rt_core::trips::WINDOW_MAX;

use crate::form::{At, choices, sections};
use crate::form_special::{
    FallbackChoice, Goals, Identifier, KeptChoice, OneOrMore, OrOff, Password, PolicyKey, RateChoice, SchemaVersion,
    TagChoice, Then,
};
use crate::raw_agent::Agent;
use crate::raw_recorder::Recorder;
use crate::raw_stages::{Cascade, Filter, GuardrailSchedule, SeasonName, Trigger};
use crate::site::Range;
use crate::value::{Anything, Formula, FormulaPair, Named, Whole};

choices! {
    /// The security policy of a connection.
    enum PolicyName {
        /// In clear.
        None = "none",
        /// Basic256Sha256.
        Basic256Sha256 = "basic256_sha256",
        /// Aes128_Sha256_RsaOaep.
        Aes128Sha256RsaOaep = "aes128_sha256_rsaoaep",
        /// Aes256_Sha256_RsaPss.
        Aes256Sha256RsaPss = "aes256_sha256_rsapss",
        /// Basic128Rsa15; refused, because it can be broken.
        Basic128Rsa15 = "basic128_rsa15",
        /// Basic256; refused, because it can be broken.
        Basic256 = "basic256",
    }

    /// What a secured connection does to messages.
    enum SecurityMode {
        /// Signed, readable by others.
        Sign = "sign",
        /// Signed and encrypted.
        SignAndEncrypt = "sign_and_encrypt",
    }

    /// How the way to the database is secured, libpq's words.
    enum SslMode {
        /// Encrypted, with the right server alone.
        VerifyFull = "verify-full",
        /// In clear.
        Disable = "disable",
    }

    /// Whether an authority needs a revocation list.
    enum RevocationName {
        /// Each needs a current one.
        Required = "required",
        /// One without revokes nobody.
        Optional = "optional",
    }

    /// A tag's type, CoreRL's words.
    enum TagType {
        /// A setpoint.
        AiSetpoint = "ai_setpoint",
        /// A measured value.
        Default = "default",
        /// Calculated.
        Computed = "computed",
        /// Read, not part of the state.
        Meta = "meta",
        /// The change of a measured value.
        Delta = "delta",
        /// Time of day, week or year.
        Seasonal = "seasonal",
    }

    /// From when a tag's age counts.
    enum SourceTime {
        /// From the last receipt.
        Any = "any",
        /// From the last receipt whose SourceTimestamp advanced.
        Advancing = "advancing",
    }

    /// From what a missing value is made, CoreRL's words.
    enum ImputerName {
        /// Nothing stands in.
        Identity = "identity",
        /// The last value.
        Copy = "copy",
        /// The last two values, carried on.
        Linear = "linear",
        /// The next value; only known afterwards.
        Backfill = "backfill",
        /// What a network makes of the other tags.
        MaskedAutoencoder = "masked-ae",
    }

    /// When the plant is read.
    enum Pairing {
        /// Just before the control slot.
        Fresh = "fresh",
        /// In one round trip with the write.
        Paired = "paired",
    }

    /// What an alarm tells.
    enum TroubleName {
        /// Nothing is written: the plant is on its own.
        NotInCharge = "not_in_charge",
        /// The last setpoints stay (HOLD).
        Hold = "hold",
        /// The fallback drives the plant (FALLBACK).
        Fallback = "fallback",
        /// Hands off, until armed again (RELEASE).
        Release = "release",
        /// A trip waits for an operator's reset.
        Tripped = "tripped",
        /// A required tag is bad or stale.
        InputBad = "input_bad",
        /// The policy was not confirmed for longer than `max_policy_age`.
        PolicyExpired = "policy_expired",
        /// A person has a setpoint.
        Operator = "operator",
        /// Control slots were skipped.
        SlotsSkipped = "slots_skipped",
        /// The plant refused to write a setpoint.
        WriteRefused = "write_refused",
    }

    /// Who arms the runtime after a start.
    enum Rearm {
        /// An operator, or the command line.
        Manual = "manual",
        /// The runtime itself: it writes as soon as all conditions are met.
        AfterGates = "after_gates",
    }

    /// A goal's operator.
    enum GoalOp {
        /// All goals.
        And = "and",
        /// One goal.
        Or = "or",
        /// At least the threshold.
        UpTo = "up_to",
        /// At most the threshold.
        DownTo = "down_to",
    }

    /// Which values of a tag are better.
    enum Direction {
        /// Low ones.
        Min = "min",
        /// High ones.
        Max = "max",
    }
}

sections! {
    /// A CoreRL site file: one agent on one plant.
    struct SiteFile {
        /// The version of this file's schema, `corerl/1`.
        schema: SchemaVersion, Optional;
        /// Permit connections in clear, plain passwords and unsigned policies. For the laboratory only.
        lab: bool, Default("false");
        /// The agent's name: letters, digits, `-`, `_` and `.`. Part of the key of sockets, segments and lease.
        agent_name: Identifier, Required;
        /// The plant is a simulation; the runtime treats both alike.
        is_simulation: bool, Optional;
        /// The seed of every random stream of this agent.
        seed: Whole<0, { u64::MAX }>, Default("0");
        /// Logs go to standard error as JSON lines.
        log_path: String, Unused;
        /// Services around the runtime.
        infra: Infra, Optional;
        /// The connections to the plant.
        coreio: CoreIo, Required;
        /// When the agent observes, acts and learns.
        interaction: Interaction, Required;
        /// The learner's options.
        agent: Agent, Default("{}");
        /// Where a learner begins that has no checkpoint.
        learner: Learner, Default("{}");
        /// Tags and reward.
        pipeline: Pipeline, Required;
        /// The real-time runtime: period, limits, fallbacks, trips.
        runtime: Runtime, Default("{}");
    }

    /// Where a learner begins that has no checkpoint.
    struct Learner {
        /// It learns from what the historian has kept of the agent before it publishes anything. Until it has, a runtime without a `policy_file` stays in SHADOW, and one that was running goes to FALLBACK after `runtime.max_policy_age`.
        rebuild: bool, Default("false");
        /// The historian's directory; relative to the site file. Where none is there, the running historian is asked.
        history: String, Default("history");
    }

    /// Services around the runtime. They are for the historian, which `corerl-historian --config` shows the file; the runtime uses none of them.
    struct Infra {
        /// The historian's PostgreSQL.
        db: Database, Optional;
    }

    /// The historian's PostgreSQL.
    struct Database {
        /// The driver, `postgresql` or `timescaledb` with or without `+` and whose it is; nothing else is spoken.
        drivername: String, Optional;
        /// The database user. Absent: `corerl_historian`.
        username: String, Optional;
        /// The password, by reference: `{env: NAME}`, `{file: PATH}` or `{credential: NAME}` of the service manager; in clear with `lab: true` only.
        password: Password, Optional;
        /// The host, or the directory of its socket. Absent: `localhost`.
        ip: String, Optional;
        /// The TCP port.
        port: Whole<1, 65535>, Default("5432");
        /// The database. Absent: the one that is called as the user is.
        db_name: String, Optional;
        /// `verify-full`: encrypted, and only with a server whose certificate bears the host's name and was issued by whom we trust; `disable`: in clear. Absent: in clear on this machine, and `verify-full` elsewhere.
        sslmode: SslMode, Optional;
        /// Who issues such certificates (PEM). Absent: whom this machine trusts.
        sslrootcert: String, Optional;
        /// The historian's own certificate and those between it and its authority (PEM), for a server that asks for one; with `sslkey`.
        sslcert: String, Optional;
        /// Its key (PEM), which nobody else may read.
        sslkey: String, Optional;
    }

    /// The connections to the plant.
    struct CoreIo {
        /// There is no message broker: the runtime speaks to the plant itself.
        coreio_origin: Anything, Unused;
        /// The OPC UA servers, at least one.
        opc_connections: Vec<At<Connection>>, Required;
        /// How samples come in.
        data_ingress: DataIngress, Default("{}");
    }

    /// How samples come in.
    struct DataIngress {
        /// The runtime always reads its tags.
        enabled: bool, Unused;
        /// Time between two readings: the default of `runtime.io.CONNECTION.period`.
        ingress_period: Span, Optional;
    }

    /// One OPC UA server.
    struct Connection {
        /// The name by which tags refer to it.
        connection_id: String, Required;
        /// The endpoint, `opc.tcp://host:port[/path]`.
        opc_conn_url: String, Required;
        /// The other servers of a redundant set, which have the same nodes: tried in turn when one cannot be reached. Their certificates belong into `trust_dir`, because `server_cert_path` names one alone.
        failover_urls: Vec<At<String>>, Default("[]");
        /// Our application URI, as the server sees it and as our certificate says.
        application_uri: String, Default("urn:corerl:rt");
        /// The application URIs of the servers that this may lead to, as `corerl io discover` shows them. Empty: whoever is trusted.
        server_application_uris: Vec<At<String>>, Default("[]");
        /// Policy, mode and certificates. Absent: in clear, which needs `lab: true`.
        security_policy: SecurityPolicy, Optional;
        /// User and password, or a user's certificate. Absent: anonymous.
        authentication_mode: Authentication, Optional;
    }

    /// Policy, mode and certificates of a connection.
    struct SecurityPolicy {
        /// `none` (needs `lab: true`), `basic256_sha256`, `aes128_sha256_rsaoaep` or `aes256_sha256_rsapss`.
        policy: PolicyName, Required;
        /// `sign` or `sign_and_encrypt`.
        mode: SecurityMode, Default("sign_and_encrypt");
        /// Our certificate, DER or PEM; relative to the site file. Needed unless the policy is `none`.
        client_cert_path: String, Optional;
        /// Our private key, PEM, readable by the service's user alone; relative to the site file. Needed unless the policy is `none`.
        client_key_path: String, Optional;
        /// The server's pinned certificate; relative to the site file. Absent: `trust_dir` decides.
        server_cert_path: String, Optional;
        /// `required`: an authority that vouches for a server needs a revocation list that is not out of date. `optional`: one
        /// without revokes nobody.
        revocation: RevocationName, Default("required");
        /// The directory of trusted servers and authorities (`trusted/`), issuers between them (`issuers/`), revocation lists
        /// (`crl/`), and servers that wait for a decision (`pending/`); relative to the site file.
        trust_dir: String, Default("trust");
    }

    /// The user at the server.
    struct Authentication {
        /// The user's name.
        username: String, Optional;
        /// The password, by reference: `{env: NAME}`, `{file: PATH}` or `{credential: NAME}` of the service manager; in clear with `lab: true` only.
        password: Password, Optional;
        /// The user's certificate, DER or PEM, instead of name and password; relative to the site file.
        certificate: String, Optional;
        /// Its private key, PEM, readable by the service's user alone; relative to the site file. Needed with `certificate`.
        certificate_key: String, Optional;
    }

    /// When the agent observes, acts and learns.
    struct Interaction {
        /// Time between observations: an exact multiple of `runtime.period`.
        obs_period: Span, Required;
        /// Time between decisions: an exact multiple of `obs_period`. Absent: `obs_period`.
        action_period: Span, Optional;
        /// The learner updates as fast as its share of the CPUs permits.
        update_period: Span, Unused;
        /// Experience to collect before the first update of the learner. The state's traces need none: they begin with the first value.
        warmup_period: Span, Default("0s");
        /// A column of the state that is older makes the state incomplete. Absent: 3 observation periods.
        state_age_tol: Span, Optional;
        /// Batches are composed as `agent.batch_size` says.
        historical_batch_size: Anything, Unused;
        /// Time between checkpoints of the learner.
        checkpoint_freq: Span, Default("60s");
        /// The plant heartbeat, on the only connection or on `connection_id`. The same as `runtime.io.CONNECTION.heartbeat`.
        heartbeat: InteractionHeartbeat, Optional;
    }

    /// The plant heartbeat, as CoreRL spells it.
    struct InteractionHeartbeat {
        /// The node that is written: a counter modulo 1000.
        node: String, Required;
        /// Time between two beats.
        period: Span, Default("1s");
        /// Its connection; may be absent when there is only one.
        connection_id: String, Optional;
    }

    /// Tags and reward.
    struct Pipeline {
        /// The tags, setpoints and computed tags included; their order is the order of the state's columns.
        tags: Vec<At<Tag>>, Required;
        /// What the agent is to reach.
        reward: Reward, Required;
    }

    /// Which values of a tag the historian keeps.
    struct KeptByException {
        /// Those that differ from the one that was kept last by more than this. Engineering units.
        deadband: f64, Default("0");
        /// One each so long all the same, at most 60 s.
        heartbeat: Span, Default("60s");
    }

    /// One tag.
    struct Tag {
        /// Its name, without braces.
        name: String, Required;
        /// `ai_setpoint`, `default`, `delta` (the change of what is read since the observation before, and all ranges are the change's), `computed`, `seasonal` (two tags, `NAME.sin` and `NAME.cos`, from 0 to 1) or `meta`.
        r#type: TagType, Default("default");
        /// Engineering unit, for people and for the policy's manifest.
        unit: String, Optional;
        /// The connection it is read from; may be absent when there is only one.
        connection_id: String, Optional;
        /// The node, `ns=2;s=Path` or `nsu=URI;s=Path`; of an array, one element: `element=3;nsu=URI;s=Path`.
        node_identifier: String, Optional;
        /// A value outside counts as missing; a setpoint's action is scaled by it. Engineering units.
        operating_range: Range, Optional;
        /// The values to expect, for normalisation. Engineering units.
        expected_range: Range, Optional;
        /// The edges of the yellow zone. Engineering units.
        yellow_bounds: Range, Optional;
        /// The edges of the red zone. Engineering units.
        red_bounds: Range, Optional;
        /// The agent's own bounds of a setpoint: two numbers or expressions such as `"{PH_SP} - 0.2"`. Engineering units.
        action_bounds: FormulaPair, Optional;
        /// A range that widens with time, from a narrow one to the operating range, and to which the agent's bounds are cut.
        guardrail_schedule: GuardrailSchedule, Optional;
        /// Where an untrained agent holds a setpoint. Engineering units; absent: the middle of the operating range.
        nominal_setpoint: f64, Optional;
        /// An operator's setpoint beside this one, and who says which of them the plant follows.
        cascade: Cascade, Optional;
        /// The expression of a computed tag.
        value: Formula, Optional;
        /// What a seasonal tag tells, by the newest source timestamp of the plant, UTC: `second_in_hour`, `time_of_day`, `day_of_week` or `day_of_year`. Absent: the tag's name says it.
        seasonal: SeasonName, Optional;
        /// What makes a decision between those of `interaction.action_period`.
        trigger: Trigger, Optional;
        /// What stands in for a missing value of the state. Absent: nothing, and no decision is taken without it.
        imputer: Imputer, Optional;
        /// What makes a value missing besides quality and range: one filter, or a list with at most one of each kind.
        filter: OneOrMore<Filter>, Optional;
        /// Every column is made of the traces of `agent.traces`.
        reward_constructor: Anything, Unused;
        /// Without it there is no RUN. Absent: true for tags that are read and part of the state.
        required: bool, Optional;
        /// Age beyond which a reading is stale. Absent: 3 observation periods, or 3 I/O periods when that is longer.
        stale_after: Span, Optional;
        /// Which values the historian keeps: `every`, or those that differ by more than a deadband, and one each heartbeat all the same. Absent: every change, and one a minute.
        kept: KeptChoice, Optional;
        /// How long the last good value stands in for an uncertain one. Absent: as `stale_after`.
        substitute_for: Span, Optional;
        /// `advancing`: age counts from the last receipt whose SourceTimestamp advanced.
        source_time: SourceTime, Default("any");
        /// The sensor's span, 4 to 20 mA: values beyond 3.8 and 20.5 mA (NAMUR NE 43) are bad. Engineering units; absent: every finite value is taken, and for a setpoint those no farther out of its operating range than the range is wide.
        sensor_span: Range, Optional;
        /// A change that is not believed before several samples have shown it. Absent: every change is.
        spike: Spike, Optional;
        /// A value that stays the same, bit for bit, for longer is uncertain. Absent: it may stay for ever.
        frozen_after: Span, Optional;
    }

    /// What stands in for a missing value.
    struct Imputer {
        /// `copy` (the last value), `linear` (along the last two values), `masked-ae` (what a network that the learner trains makes of the other tags; nothing before it is trained), or `identity` (nothing).
        name: ImputerName, Required;
        /// For so many observations in a row, at most.
        imputation_horizon: Whole<1, 1_000_000>, Default("10");
        /// With `masked-ae`: the largest share of the state's tags that may be missing, this one included; above 0 and below 1. With more nothing stands in.
        missing_max: f64, Default("0.25");
    }

    /// A change that is not believed at once.
    struct Spike {
        /// The largest change from one sample to the next that is believed at once, above 0. Engineering units.
        step: f64, Required;
        /// So many samples in a row make a larger one believed.
        samples: Whole<2, 255>, Default("3");
    }

    /// What the agent is to reach: `value` or `priorities`.
    struct Reward {
        /// The reward as an expression over tags.
        value: Formula, Optional;
        /// Goals in order of priority; the last entry may be an optimisation `{tags, directions, weights}`.
        priorities: Goals, Optional;
    }

    /// A goal, a joint goal, or (last) an optimisation.
    struct Priority {
        /// `and` or `or` with `goals`; `up_to` or `down_to` with `tag` and `thresh`.
        op: GoalOp, Optional;
        /// The parts of a joint goal.
        goals: Goals, Optional;
        /// The goal's tag.
        tag: String, Optional;
        /// The goal's threshold, a number or an expression. Engineering units.
        thresh: Formula, Optional;
        /// The tags to optimise.
        tags: Vec<At<String>>, Optional;
        /// `min` or `max`, one for all tags or a list.
        directions: OneOrMore<Direction>, Optional;
        /// Relative weights, one per tag. Absent: all equal.
        weights: Vec<At<f64>>, Optional;
    }

    /// The real-time runtime.
    struct Runtime {
        /// The plant's name, part of the key of sockets, segments and lease. Absent: the file's name without extension.
        site: Identifier, Optional;
        /// Distinguishes two runtimes of the same agent on the same plant.
        instance: Identifier, Default("main");
        /// The control period, at least 50us.
        period: Span, Default("1ms");
        /// The control slots lie this far behind the multiples of the period since the machine's boot, below the period: runtimes
        /// that share a machine keep out of each other's way by it. Absent: half a period, at most 500us, away from the
        /// kernel's tick.
        phase: Span, Optional;
        /// How long before each slot the control thread stops sleeping and reads the clock instead: a duration of at most a
        /// quarter of the period, `off`, or `auto`: as long as this machine's wake-ups take, where the control thread has a CPU
        /// of its own and a priority.
        spin: Spin, Default("auto");
        /// The CPUs of the real-time threads.
        cpus: Cpus, Default("{}");
        /// The SCHED_FIFO priorities of the real-time threads, and how the learner stands behind all others.
        priorities: Priorities, Default("{}");
        /// Refuse to start without real-time privileges instead of running degraded.
        strict: bool, Default("false");
        /// HOLD at most this long. Absent: 10 observation periods.
        t_hold: Span, Optional;
        /// Good conditions needed before FALLBACK ends by itself. Absent: 10 observation periods.
        t_recover: Span, Optional;
        /// Unusable fallback inputs for this long lead to RELEASE.
        t_release: Span, Default("60s");
        /// Returns from FALLBACK per hour before it latches.
        recoveries_per_hour: Whole<0, { RETURNS_MAX as u64 }>, Default("6");
        /// After a confirmed write the plant may show the value before it for this long; then it ignores us. Absent: 1s, or 3 I/O periods of the slowest connection when that is longer.
        t_settle: Span, Optional;
        /// The envelope of each setpoint: every setpoint must have an entry.
        limits: Named<Limits>, Default("{}");
        /// What is written in FALLBACK, per setpoint: `hold`, `nominal`, `{ramp: {to, rate}}`, `{pid: {…}}` or `{state_space: {…}}`. Absent: `hold`.
        fallback: Named<FallbackChoice>, Default("{}");
        /// Cycles in a row in which the policy's output may be not finite; one more trips.
        nan_limit: Whole<0, 1_000_000>, Default("1");
        /// Actions in a row that may lie outside the limits' range; one more trips.
        clamp_limit: Whole<0, 1_000_000>, Default("100");
        /// Writes of a setpoint in a row that the plant may refuse; one more trips.
        write_fail_limit: Whole<0, 1_000_000>, Default("10");
        /// Late cycles before a trip.
        overruns: Overruns, Default("{}");
        /// Decisions that come too late.
        inference: Inference, Default("{}");
        /// Setpoints that are moved to and fro; `off`: they may be.
        chatter: OrOff<Chatter>, Default("{}");
        /// What a new policy has to show in the shadow of the one in use before it is adopted; `off`: nothing but that its numbers are sound.
        canary: OrOff<Canary>, Default("{}");
        /// What a new policy has to show while it drives the plant, or the one before it comes back; `off`: nothing.
        probation: OrOff<Probation>, Default("{}");
        /// RUN without a confirmation by the learner for this long leads to FALLBACK; `off`: never.
        max_policy_age: OrOff<Span>, Default("60s");
        /// A set of setpoints is not sent later than this after its cycle. Absent: 2 I/O periods of the slowest connection.
        setpoint_expiry: Span, Optional;
        /// A setpoint that did not change is sent again after this long.
        refresh: Span, Default("1s");
        /// Who arms it after a start and after the lease was lost: `manual`, an operator or `--arm`; `after_gates`, the runtime itself.
        rearm: Rearm, Default("manual");
        /// A runtime that keeps dying: after so many starts that did not end in order it waits in RELEASE until somebody arms it; `off`: never.
        restarts: OrOff<Restarts>, Default("{}");
        /// Of two runtimes of the same agent one writes and the other one stands by.
        lease: Lease, Default("{}");
        /// Users and numbers of users who may arm, beside root and the service's own.
        operators: Vec<At<String>>, Default("[]");
        /// Cycle records kept in shared memory.
        record_span: Span, Default("60s");
        /// What is kept of incidents.
        recorder: Recorder, Default("{}");
        /// Where the audit log and what was applied live are kept; relative to the site file. Absent: systemd's state directory for a service, else `state` beside the site file.
        state_dir: String, Optional;
        /// The policy file to start from; relative to the site file. Absent: the nominal policy.
        policy_file: String, Optional;
        /// The public keys of those whose signatures on policy files are trusted: 64 hexadecimal digits each, as `corerl model keygen` prints them.
        policy_keys: Vec<At<PolicyKey>>, Default("[]");
        /// How each connection is served.
        io: Named<Io>, Default("{}");
    }

    /// The right to write to the plant, which one runtime of an agent holds on a host.
    struct Lease {
        /// A runtime whose cycles stand still for this long has lost it to the one that stands by; at least 8 control periods. Absent: 1s, or 16 control periods when that is longer.
        term: Span, Optional;
    }

    /// The CPUs of the real-time threads. Absent: the runtime chooses.
    struct Cpus {
        /// The control thread's.
        control: Whole<0, 1023>, Optional;
        /// The io threads'.
        io: Whole<0, 1023>, Optional;
        /// Those of the learner, which has a thread on each. Absent: all that control and io leave.
        learner: Vec<At<Whole<0, 1023>>>, Optional;
    }

    /// The SCHED_FIFO priorities of the real-time threads.
    struct Priorities {
        /// The control thread's.
        control: Whole<2, 98>, Default("80");
        /// The io threads', below the control thread's.
        io: Whole<1, 97>, Default("70");
        /// By how much the learner's nice value is raised. Of learners that share a CPU, one with a step less gets a quarter more of it.
        learner_nice: Whole<0, 19>, Default("5");
    }

    /// Late cycles before a trip: `m` in any `n`.
    struct Overruns {
        /// So many late cycles trip when they lie within `n`.
        m: Whole<1, { WINDOW_MAX as u64 }>, Default("16");
        /// The number of cycles in which late ones are counted.
        n: Whole<1, { WINDOW_MAX as u64 }>, Default("64");
    }

    /// Decisions that come too late: `m` of any `n` lead to FALLBACK.
    struct Inference {
        /// A decision that takes longer is not used: the setpoints stay where they are. Absent: half a control period.
        within: Span, Optional;
        /// So many late decisions are too many when they lie within `n`.
        m: Whole<1, { WINDOW_MAX as u64 }>, Default("8");
        /// The number of decisions in which late ones are counted.
        n: Whole<1, { WINDOW_MAX as u64 }>, Default("64");
    }

    /// When a setpoint chatters: `m` of any `n` decisions turn it around.
    struct Chatter {
        /// So many reversals trip when they lie within `n`.
        m: Whole<1, { WINDOW_MAX as u64 }>, Default("60");
        /// The number of decisions in which reversals are counted.
        n: Whole<1, { WINDOW_MAX as u64 }>, Default("64");
        /// A way back that is shorter than this part of the limits' range is no reversal; above 0 and at most 1.
        stroke: f64, Default("0.01");
    }

    /// A new policy answers the states of live decisions beside the one in use, and what it says does not count yet.
    struct Canary {
        /// It is tried on so many decisions. When decisions fail to come for four times as long as they take, what was seen decides.
        decisions: Whole<1, 10_000>, Default("16");
        /// At most this share of its outputs may lie beyond the ends of the setpoints' operating ranges by a tenth of their width or more.
        saturation: f64, Default("0.5");
        /// At most this share of its outputs may lie outside the limits' range in RUN.
        clamps: f64, Default("0.5");
        /// At most so far from those of the policy in use may its outputs lie on average, in parts of the operating ranges. Not judged beside the nominal policy.
        divergence: f64, Default("0.5");
    }

    /// Starts that did not end in order.
    struct Restarts {
        /// So many are as usual; one more is not.
        n: Whole<1, 100>, Default("4");
        /// Those in this time count.
        within: Span, Default("600s");
    }

    /// A new policy that drives the plant is compared with the one before it.
    struct Probation {
        /// Decisions of either that are compared, in RUN: as many as the plant's usual swings take, or a swing passes for a collapse. When decisions fail to come for four times as long as they take, what was seen decides.
        decisions: Whole<1, 10_000>, Default("64");
        /// The share of outputs outside the limits' range in RUN may rise by this much.
        clamps: f64, Default("0.5");
        /// The mean reward may fall by so many standard deviations of the rewards before; they are taken to vary by an eighth of their mean at least.
        reward: f64, Default("4.0");
    }

    /// The envelope of one setpoint.
    struct Limits {
        /// The permitted values. Engineering units; absent: the operating range.
        range: Range, Optional;
        /// The fastest permitted change in engineering units per second, or `unlimited`.
        rate: RateChoice, Required;
        /// Conditions that limit the setpoint, at most four.
        interlocks: Vec<At<Interlock>>, Default("[]");
        /// Narrower limits in single modes.
        by_mode: ByMode, Default("{}");
        /// A condition under which a person has the setpoint, such as "{PH_MODE} != 1": while it is true, and while an input is missing, it is not written.
        operator_when: Formula, Optional;
    }

    /// Narrower limits in single modes.
    struct ByMode {
        /// What binds the policy.
        run: ModeLimits, Default("{}");
        /// What binds the last value while it stays.
        hold: ModeLimits, Default("{}");
        /// What binds the fallback.
        fallback: ModeLimits, Default("{}");
    }

    /// Limits in one mode, inside the setpoint's own.
    struct ModeLimits {
        /// The permitted values. Engineering units; absent: as in the other modes.
        range: Range, Optional;
        /// The fastest permitted change in engineering units per second. Absent: as in the other modes.
        rate: RateChoice, Optional;
    }

    /// A condition that limits a setpoint.
    struct Interlock {
        /// The condition, an expression over tags: true trips it, and so does a missing input.
        when: Formula, Required;
        /// `block_increase`, `block_decrease`, `release` or `{force: VALUE}`.
        then: Then, Required;
    }

    /// How a connection is served.
    struct Io {
        /// Time between two I/O cycles: an exact multiple of `runtime.period`. Absent: `coreio.data_ingress.ingress_period`, else `runtime.period`.
        period: Span, Optional;
        /// How far after the control slots the I/O slots lie; below the I/O period. Absent: half a control period.
        phase: Span, Optional;
        /// The deadline of one call. Absent: 2 I/O periods, but at least 100ms.
        call_timeout: Span, Optional;
        /// `fresh`: read just before the control slot. `paired`: write and next read share a round trip.
        pairing: Pairing, Default("fresh");
        /// The I/O thread looks for an answer for this long before it sleeps, at most a quarter of the I/O period: for one with a CPU of its own. Absent: it sleeps at once.
        spin: Span, Optional;
        /// The plant heartbeat on this connection.
        heartbeat: Heartbeat, Optional;
        /// Tags that the server shall tell by itself when they change. Absent: all are read in every I/O period.
        subscribe: Subscribe, Optional;
        /// Tags in which the plant's operators are told about the runtime, at most 32 on all connections.
        alarms: Vec<At<AlarmTag>>, Optional;
        /// A tag of the server in which runtimes on several machines settle who writes. Absent: nothing excludes those of other machines.
        lease: LeaseTag, Optional;
    }

    /// Tags that the server tells by itself when they change (an OPC UA subscription). What it refuses to tell, or does not tell any more, is read.
    struct Subscribe {
        /// `all` that are read over this connection, or a list of tags. Setpoints are read in any case.
        tags: TagChoice, Required;
        /// The server looks at the values, and tells what has changed, this often; not below the I/O period. Absent: the I/O period.
        every: Span, Optional;
        /// A tag of which nothing was heard for this long is read; at most half of its `stale_after`. Absent: half of it.
        watchdog: Span, Optional;
    }

    /// A tag for the lease: of type Double, UInt64 or Int64, zero at first, and written by nothing but runtimes.
    struct LeaseTag {
        /// The node, `ns=2;s=Path` or `nsu=URI;s=Path`.
        node: String, Required;
        /// So long a runtime has to be silent before another one takes over: at least 32 I/O periods, and 16 times what the server takes to show a written value. The same for all runtimes. Absent: 1s, or 32 I/O periods when that is longer.
        term: Span, Optional;
    }

    /// A tag of type Boolean or a number, 1 while something is the matter with the runtime and else 0. It is written while the runtime holds the lease, in every mode. For eyes: a plant relies on the heartbeat.
    struct AlarmTag {
        /// The node, `ns=2;s=Path` or `nsu=URI;s=Path`.
        node: String, Required;
        /// What raises it; any one of these.
        when: Vec<At<TroubleName>>, Required;
        /// For so long it has to last first.
        on_delay: Span, Default("0s");
        /// It is cleared when nothing was the matter for so long; what comes and goes rings no more often.
        off_delay: Span, Default("1min");
    }

    /// The plant heartbeat: a counter modulo 1000, written only while the runtime is in charge.
    struct Heartbeat {
        /// The node, `ns=2;s=Path` or `nsu=URI;s=Path`.
        node: String, Required;
        /// Time between two beats.
        period: Span, Default("1s");
    }

    /// A ramp to a safe value.
    struct Ramp {
        /// Where to go. Engineering units, inside the limits.
        to: f64, Required;
        /// How fast, engineering units per second, above 0.
        rate: f64, Required;
    }

    /// A PID controller in velocity form.
    struct Pid {
        /// The measured value, a tag that is read.
        input: String, Required;
        /// Where it shall be, a number or an expression. Engineering units of the input.
        target: Formula, Required;
        /// Engineering units of the setpoint per engineering unit of the input; negative when a higher setpoint lowers the input.
        gain: f64, Required;
        /// After this long the integral has done as much as the proportional part. Absent: no integral part.
        integral_time: Span, Optional;
        /// How far the derivative looks ahead.
        derivative_time: Span, Default("0s");
    }

    /// A linear controller in discrete time: x' = A x + B e + L (u - y), y = C x + D e + offset; e is input less target, u what became of y.
    struct StateSpaceController {
        /// Time between two steps, which the matrices were made for: an exact multiple of the control period.
        period: Span, Required;
        /// The measured values, at most four.
        inputs: Vec<At<ControllerInput>>, Required;
        /// A: a row per state, a number per state in it.
        a: Vec<At<Vec<At<f64>>>>, Required;
        /// B: a row per state, a number per input in it.
        b: Vec<At<Vec<At<f64>>>>, Required;
        /// C: a number per state.
        c: Vec<At<f64>>, Required;
        /// D: a number per input. Absent: zeros.
        d: Vec<At<f64>>, Optional;
        /// L: a number per state; with it the states follow whoever drives the setpoint. A - L C has to be stable.
        tracking: Vec<At<f64>>, Required;
        /// The output at the operating point. Engineering units.
        offset: f64, Default("0.0");
    }

    /// A measured value that a controller sees.
    struct ControllerInput {
        /// A tag that is read.
        tag: String, Required;
        /// Where it shall be. Engineering units.
        target: f64, Required;
    }
}

//! A scenario as it is written: every key, its form, its default and its description, in one place.

use rt_config::document::{At, Complaints, Form, Kind, Named, Node, Whole, to_json, wanted};
use rt_config::{choices, sections};
use rt_core::time::Span;
use serde_json::Value;

choices! {
    /// A mode of the runtime.
    enum ModeName {
        /// Waits for good inputs.
        Startup = "startup",
        /// Decides and writes nothing.
        Shadow = "shadow",
        /// The policy drives the plant.
        Run = "run",
        /// The last value stays.
        Hold = "hold",
        /// The fallback drives the plant.
        Fallback = "fallback",
        /// Hands off.
        Release = "release",
    }

    /// One of the programs of a scenario.
    enum ProgramName {
        /// The plant's server.
        Plant = "plant",
        /// The runtime that leads.
        Runtime = "runtime",
        /// A second runtime, which stands by.
        Standby = "standby",
        /// The learner.
        Learner = "learner",
        /// The historian.
        Historian = "historian",
    }

    /// What happens to the cable between runtime and plant.
    enum CableName {
        /// Pulled: nothing is even acknowledged.
        Pulled = "pulled",
        /// All connections are reset, once.
        Reset = "reset",
        /// What comes is acknowledged and goes nowhere.
        Silent = "silent",
        /// The present connections are forgotten; new ones work.
        Forgotten = "forgotten",
    }

    /// What a learner without conscience publishes.
    enum ForgeryName {
        /// A parameter is no number.
        Nan = "nan",
        /// A parameter is infinite.
        Infinite = "infinite",
        /// A parameter is huge.
        Huge = "huge",
        /// Every parameter is one that is permitted, and what they make of any state is not.
        Overflowing = "overflowing",
        /// Single bits are flipped, in one publication after another.
        BitsFlipped = "bits_flipped",
        /// Words of two publications are mixed, as a torn read would see them.
        Torn = "torn",
        /// The header is damaged, word after word, in one publication after another.
        HeaderDamaged = "header_damaged",
        /// A network of another shape.
        OtherShape = "other_shape",
        /// A network whose setpoints all lie far beyond their ends.
        Saturating = "saturating",
        /// A sound network.
        Sound = "sound",
    }

    /// What an operator does.
    enum CommandName {
        /// Lets the policy write.
        Arm = "arm",
        /// Back to SHADOW.
        Disarm = "disarm",
        /// Hands off the plant.
        Release = "release",
        /// Clears a trip.
        Reset = "reset",
        /// The present setpoints stay.
        Hold = "hold",
        /// The runtime that stands by shall lead.
        HandOver = "hand_over",
    }

    /// Whose certificate a person trusts, or trusts no longer.
    enum TrustName {
        /// The plant's.
        Plant = "plant",
    }

    /// Who gets a new certificate.
    enum CertifiedName {
        /// The plant's server, which shows it when it is started the next time.
        Plant = "plant",
        /// The runtime, which goes on running. The plant takes its old one no more.
        Runtime = "runtime",
    }

    /// How a plant is secured.
    enum SecurityName {
        /// Not at all.
        None = "none",
        /// Signed and encrypted.
        Encrypt = "encrypt",
    }

    /// What is taken of the errors of a window.
    enum MeasureName {
        /// The largest.
        Max = "max",
        /// The mean.
        Mean = "mean",
    }
}

sections! {
    /// A scenario of hardware in the loop.
    struct ScenarioFile {
        /// Its name: letters, digits, `_` and `-`. Without it the file's.
        name: String, Optional;
        /// What it shows, in a sentence.
        about: String, Required;
        /// Numbers of the catalogue of faults that it covers, such as F34.
        faults: Vec<At<String>>, Default("[]");
        /// The site file, relative to this one. The address of its server becomes the plant's.
        site: String, Required;
        /// Values of the site file that are others here, by their dotted path; an element of a list by its name.
        with: Named<Raw>, Default("{}");
        /// The plant: one of simulated, external and existing.
        plant: PlantChoice, Required;
        /// A learner runs beside the runtime.
        learner: bool, Default("false");
        /// A historian keeps what the runtime publishes.
        historian: bool, Default("false");
        /// The runtime is armed from the start.
        arm: bool, Default("true");
        /// The runtime records every cycle to a disk that is full.
        disk_full: bool, Default("false");
        /// The timeline begins when this mode is reached.
        begin: ModeName, Default("run");
        /// The timeline begins after so many policies were adopted.
        adopted: Whole<0, 1000>, Default("0");
        /// The length of the timeline, 10 min at most.
        duration: Span, Required;
        /// Determines the noise of a simulated plant. The learner's seed is the site file's: `with: {seed: 2}` makes it another one.
        seed: Whole<0, 4294967295>, Default("1");
        /// What happens, and when.
        timeline: Vec<At<Step>>, Default("[]");
        /// What has to be seen.
        expect: Vec<At<Expectation>>, Required;
    }

    /// The plant: exactly one of these.
    struct PlantChoice {
        /// `corerl-plant`.
        simulated: Simulated, Optional;
        /// Any OPC UA server that a command starts.
        external: External, Optional;
        /// A server that is there already: real hardware. It takes `--rig`.
        existing: Existing, Optional;
    }

    /// A simulated plant.
    struct Simulated {
        /// Its name, as `corerl-plant --plant` has it.
        name: String, Default("saturation");
        /// Time between its steps.
        step: Span, Default("20ms");
        /// How long the controller's heartbeat may stand still before the plant's own logic takes over; without it for ever.
        heartbeat_timeout: Span, Optional;
        /// How its connections are secured. With `encrypt` the runtime gets a certificate, and trusts nobody's until a step does.
        security: SecurityName, Default("none");
        /// The runtime trusts the plant's certificate from the start.
        trusted: bool, Default("false");
        /// How long the plant's first certificate is valid at most, an hour or less; with 0s it has expired. Without it ten years.
        certificate_lifetime: Span, Optional;
        /// The keys of a connection are renewed within this time, an hour or less; without it once an hour.
        key_lifetime: Span, Optional;
    }

    /// A server that is started by a command.
    struct External {
        /// The program and its arguments. `{port}` stands for a free port.
        start: Vec<At<String>>, Required;
        /// Where it listens then: `opc.tcp://127.0.0.1:{port}/path`.
        endpoint: String, Required;
        /// A line of its standard output that holds this says that it listens; without it the port is asked.
        ready: String, Optional;
        /// How long that may take.
        timeout: Span, Default("30s");
        /// Where it is started, relative to this file; without it in a temporary directory.
        directory: String, Optional;
    }

    /// A server that is there already.
    struct Existing {
        /// The rig's name, as its file has it.
        rig: String, Required;
    }

    /// Something that happens: exactly one of the keys after `refused`.
    struct Step {
        /// When, after the timeline's begin.
        when: Span, Required;
        /// How long; then it is taken back, continued, or started again.
        r#for: Span, Optional;
        /// A name for it, to which expectations refer.
        r#as: String, Optional;
        /// It has to be refused.
        refused: bool, Default("false");
        /// This output keeps its value, and its time goes on.
        frozen: String, Optional;
        /// This output keeps its value and its time.
        stale: String, Optional;
        /// This output is no number, with good quality.
        nan: String, Optional;
        /// An output has another value, whatever the plant does: a goal that is changed, say.
        forced: NodeValue, Optional;
        /// An output is higher by so much.
        offset: NodeBy, Optional;
        /// An output has noise of this deviation.
        noise: NodeBy, Optional;
        /// An output has this status, an OPC UA name such as BadSensorFailure or UncertainInitialValue.
        quality: NodeStatus, Optional;
        /// The clock of the plant is wrong: the source times of this output are moved.
        skewed: NodeTime, Optional;
        /// Writes of an input are refused with this status.
        refuse: NodeStatus, Optional;
        /// Writes of this input are answered with Good and forgotten.
        ignore: String, Optional;
        /// So much reaches the plant beside what is written to an input: a disturbance.
        load: NodeBy, Optional;
        /// Somebody at the plant sets an input by hand.
        set: NodeValue, Optional;
        /// What happens to the cable.
        cable: CableName, Optional;
        /// Everything travels so much later.
        delay: Span, Optional;
        /// So many of a hundred packets are lost.
        loss: Whole<1, 100>, Optional;
        /// This program is killed; after `for` it is started again.
        kill: ProgramName, Optional;
        /// This program is stopped for `for`.
        pause: ProgramName, Optional;
        /// This program is started.
        start: ProgramName, Optional;
        /// A hostile learner takes over and publishes this.
        publish: ForgeryName, Optional;
        /// So many processes compute at full speed for `for`.
        busy: Whole<1, 64>, Optional;
        /// The wall clock of this machine jumps by so much.
        clock_jump: Span, Optional;
        /// What an operator does.
        command: CommandName, Optional;
        /// A person trusts this certificate, which the runtime has refused and put aside: `corerl io trust add`.
        trust: TrustName, Optional;
        /// A person takes this certificate out of those that the runtime trusts: `corerl io trust remove`.
        distrust: TrustName, Optional;
        /// This one gets a new certificate and key, which nobody trusts yet but for the plant, which takes any client's.
        certify: CertifiedName, Optional;
        /// This setpoint is handed back to the policy.
        hand_back: String, Optional;
        /// Values of the site file that are applied live, by their dotted path.
        apply: Named<Raw>, Optional;
    }

    /// A node and a value.
    struct NodeValue {
        /// The plant's name of it.
        node: String, Required;
        /// The value, engineering units.
        value: f64, Required;
    }

    /// A node and a difference.
    struct NodeBy {
        /// The plant's name of it.
        node: String, Required;
        /// The difference, engineering units.
        by: f64, Required;
    }

    /// A node and a status.
    struct NodeStatus {
        /// The plant's name of it.
        node: String, Required;
        /// OPC UA's name of the status.
        status: String, Required;
    }

    /// A node and a time.
    struct NodeTime {
        /// The plant's name of it.
        node: String, Required;
        /// How far.
        by: Span, Required;
        /// Into the past.
        back: bool, Default("false");
    }

    /// What has to be seen: exactly one of the keys after `tolerance`. Times count from the timeline's begin, or from `after`.
    struct Expectation {
        /// A step's name: times count from when it begins. With `/end` behind it from when it was taken back.
        after: String, Optional;
        /// The latest time.
        within: Span, Optional;
        /// The window's begin.
        from: Span, Optional;
        /// The window's end; without it the timeline's.
        to: Span, Optional;
        /// By how much a bound may be missed.
        tolerance: f64, Default("0");
        /// This mode is reached, `within`.
        mode: ModeName, Optional;
        /// This mode holds in every cycle of the window.
        stays: ModeName, Optional;
        /// This mode holds in no cycle of the window.
        never: ModeName, Optional;
        /// This mode is reached and not left any more, `within`.
        settles: ModeName, Optional;
        /// These modes are entered in this order, others perhaps between.
        modes: Vec<At<ModeName>>, Optional;
        /// An event is seen, `within` or in the window.
        event: EventWanted, Optional;
        /// How far a tag lies from where it should, in the window.
        error: ErrorWanted, Optional;
        /// The mean reward of the window is at least this.
        reward: f64, Optional;
        /// At most so many slots of the whole run passed without a cycle.
        lost_slots: Whole<0, 1000000000>, Optional;
        /// At most so much of the whole run is not in the historian's history: records in its gaps, and rewards that it does not have.
        history_lost: Whole<0, 1000000000>, Optional;
        /// Nothing is written to this setpoint in the window.
        untouched: String, Optional;
        /// No write of this setpoint reaches the plant in the window, whatever the runtime tries. A simulated plant tells it.
        no_write: String, Optional;
        /// A tag has a quality, `within`.
        quality: QualityWanted, Optional;
        /// A setpoint reaches a value, `within`.
        value: ValueWanted, Optional;
    }

    /// An event.
    struct EventWanted {
        /// Its kind, as `corerl shm dump events` has it.
        kind: String, Required;
        /// Its text holds this: the cause of a mode change or trip, say.
        says: String, Optional;
        /// At least so many of them.
        at_least: Whole<0, 1000000>, Default("1");
        /// At most so many.
        at_most: Whole<0, 1000000>, Optional;
    }

    /// How far a tag is from its target.
    struct ErrorWanted {
        /// The tag, as the site file has it.
        tag: String, Required;
        /// Where it should be, engineering units.
        target: f64, Required;
        /// The error is below this.
        below: f64, Required;
        /// What is taken of the window's errors.
        measure: MeasureName, Default("max");
    }

    /// A tag's quality.
    struct QualityWanted {
        /// The tag, as the site file has it.
        tag: String, Required;
        /// `good`, `uncertain` or `bad`.
        is: QualityName, Required;
    }

    /// A setpoint's value, as it was written.
    struct ValueWanted {
        /// The setpoint, as the site file has it.
        setpoint: String, Required;
        /// The value, engineering units.
        is: f64, Required;
    }
}

choices! {
    /// The quality of a tag.
    enum QualityName {
        /// Used.
        Good = "good",
        /// Replaced for a while.
        Uncertain = "uncertain",
        /// Missing.
        Bad = "bad",
    }
}

/// A value for the site file, which the site file's own rules check.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Raw(pub(crate) Value);

impl Form for Raw {
    fn decode(node: &Node, complaints: &mut Complaints<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(_) | Kind::List(_) | Kind::Map(_) if !to_json(node).is_null() => Some(Self(to_json(node))),
            _ => wanted(node, "a value", "write the value, as the site file would have it", complaints),
        }
    }

    fn schema() -> Value {
        Value::Object(serde_json::Map::new())
    }
}

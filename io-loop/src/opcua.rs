//! The OPC UA backend: one [`ua_session::Session`], made anew after every loss.

use std::collections::VecDeque;
use std::sync::Arc;
use std::{io, iter};

use rt_core::setpoint::ScalarKind;
use rt_core::tag::Quality;
use rt_core::time::{MonoTime, Span};
use ua_session::{
    CallError, Clock, ConnectError, KeyWorker, NodeAddress, NodeDescription, NodeId, NodeKind, ReadPlan, ReadValue,
    Remains, Scale, ScalePlan, Session, StatusName, Step, Target, WritePlan,
};

use crate::bus::{BusError, ConnectFailure, Connected, FieldBus, Loss, Reading, UntrustedCertificate, WriteResult};
use crate::scale;

/// A connection on which nothing was answered for this long is given up, whatever TCP thinks of it.
const SILENCE_MAX: Span = Span::from_ms(30_000);
/// After this long it is found out whether the server answers on another one.
const SILENCE_SUSPECT: Span = Span::from_ms(1_500);
/// For so long it may keep the thread waiting that finds it out.
const GREETING_MAX: Span = Span::from_ms(400);
/// Severity bits of a StatusCode (OPC UA Part 4, 7.39): 00 good, 01 uncertain, 1x bad.
const SEVERITY_MASK: u32 = 0xC000_0000;
const SEVERITY_UNCERTAIN: u32 = 0x4000_0000;

/// The server says with a value that its unit or range has changed (Part 4, 7.39.1, SemanticsChanged).
const SEMANTICS_CHANGED: u32 = 1 << 14;
/// So often it is looked whether units and ranges are still the same, where a server does not say it.
const SCALES_EVERY: Span = Span::from_ms(10_000);

/// A node with the name under which people know it.
#[derive(Clone, Debug)]
pub struct BoundNode {
    /// The tag's name in the site file.
    pub name: String,
    /// Where it is on the server.
    pub address: NodeAddress,
    /// What its data type has to be good for.
    pub demand: Demand,
    /// What the site file says of its numbers: their unit, and where they are measured or may be written.
    pub scale: Scale,
}

/// What a node's data type has to be good for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Demand {
    /// For a number.
    Number,
    /// For a setpoint whose movement is limited.
    Steps(Pace),
    /// For every whole number from zero to this one.
    Whole(f64),
}

/// How fast a setpoint may be moved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pace {
    /// Engineering units per second.
    pub rate: f64,
    /// The control period, in which it moves once.
    pub period: Span,
}

/// An OPC UA server as a field bus, or a redundant set of them (Part 4, 6.6.2: non-transparent, the client chooses).
pub struct OpcUa {
    target: Target,
    /// The addresses of the whole set; the target has the first one of them that is tried next.
    servers: VecDeque<String>,
    worker: KeyWorker,
    clock: Arc<dyn Clock>,
    inputs: Vec<BoundNode>,
    outputs: Vec<BoundNode>,
    line: Option<Line>,
    /// Of the session whose connection was lost last.
    remains: Option<Remains>,
    /// How long a connection may be silent before it is compared with another one; longer each time until something is
    /// read, or a slow server would never come to its answer.
    patience: Span,
    /// What the server said of the numbers' meaning when it was first connected.
    scales: Vec<Scale>,
}

/// What exists only while there is a session.
struct Line {
    session: Session,
    read: ReadPlan,
    write: WritePlan,
    values: Vec<ReadValue>,
    status: Vec<u32>,
    /// When it was last found that the server answers nobody else either.
    compared: MonoTime,
    /// How often its keys were renewed when our own certificates were looked at last.
    looked_at: u64,
    scales: ScalePlan,
    next_look_at_scales: MonoTime,
}

impl Line {
    fn take_values(&mut self, inputs: &mut [Reading]) {
        for (input, value) in inputs.iter_mut().zip(&self.values) {
            let quality = match value.status & SEVERITY_MASK {
                0 => Quality::Good,
                SEVERITY_UNCERTAIN => Quality::Uncertain,
                _ => Quality::Bad,
            };
            *input = Reading::new(value.value, quality, value.source_time);
            if value.status & SEMANTICS_CHANGED != 0 {
                self.next_look_at_scales = MonoTime::ZERO;
            }
        }
    }
}

/// What is prepared on a new session.
struct Ready {
    kinds: Vec<ScalarKind>,
    read: ReadPlan,
    write: WritePlan,
    scales: ScalePlan,
}

impl OpcUa {
    /// A bus that will connect to `target`, read `inputs` and write `outputs`. When it cannot be reached, the servers at
    /// `others` are tried in turn, and it again: they have the same nodes, and are asked for the same security.
    ///
    /// Starts the thread that renews keys, with the scheduling of the calling thread: to be called before that one becomes
    /// real-time.
    ///
    /// # Errors
    /// The operating system gives no more threads.
    pub fn new(
        target: Target,
        others: &[String],
        clock: Arc<dyn Clock>,
        inputs: Vec<BoundNode>,
        outputs: Vec<BoundNode>,
    ) -> io::Result<Self> {
        let servers = iter::once(&target.url).chain(others).cloned().collect();
        Ok(Self {
            target,
            servers,
            worker: KeyWorker::start()?,
            clock,
            inputs,
            outputs,
            line: None,
            remains: None,
            patience: SILENCE_SUSPECT,
            scales: Vec::new(),
        })
    }

    /// The next attempt is made at the next server of the set.
    fn turn_to_the_next(&mut self) {
        self.servers.rotate_left(1);
        if let Some(next) = self.servers.front() {
            self.target.url.clone_from(next);
        }
    }

    /// Gives the connection up on which nothing comes any more: while the server answers on another one, or for too long.
    ///
    /// What lies between may keep acknowledging for a server that has forgotten the connection. A server that is merely slow
    /// is slow to everybody.
    fn look_at_silence(&mut self) -> Result<(), BusError> {
        let now = MonoTime::from_ns(self.clock.monotonic_ns());
        let Some(line) = &mut self.line else { return Ok(()) };
        let silence = now.since(MonoTime::from_ns(line.session.last_answer_ns()));
        if silence > SILENCE_MAX {
            return self.lose("the server has not answered for 30 s");
        }
        if silence <= self.patience || now.since(line.compared) <= self.patience {
            return Ok(());
        }
        line.compared = now;
        if ua_session::greet(&self.target.url, self.clock.clone(), (now + GREETING_MAX).as_ns()).is_err() {
            return Ok(());
        }
        self.patience = (self.patience + self.patience).min(SILENCE_MAX);
        self.lose("the server answers new connections, and not on this one")
    }

    /// With every renewal of the keys: one of our certificates that was replaced meanwhile needs a new connection. One that
    /// cannot be used changes nothing; it is told of when the connection is made anew.
    fn look_at_own_certificates(&mut self) -> Result<(), BusError> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let renewals = line.session.renewals();
        if std::mem::replace(&mut line.looked_at, renewals) == renewals {
            return Ok(());
        }
        match self.target.renew() {
            Ok(true) => self.lose("our own certificate was replaced"),
            Ok(false) | Err(_) => Ok(()),
        }
    }

    fn lose(&mut self, what: &'static str) -> Result<(), BusError> {
        self.on_line(|_| Err(BusError::Lost(Loss { what, status: 0 })))
    }

    /// Runs `call` on the session and drops the session when it is beyond use.
    fn on_line(&mut self, call: impl FnOnce(&mut Line) -> Result<(), BusError>) -> Result<(), BusError> {
        let Some(line) = &mut self.line else {
            return Err(BusError::Lost(Loss { what: "there is no session", status: 0 }));
        };
        let outcome = call(line);
        if matches!(outcome, Err(BusError::Lost(_))) {
            self.remains = self.line.take().map(|line| line.session.into_remains());
        }
        outcome
    }

    fn resolve(&self, session: &Session) -> Result<Vec<NodeId>, String> {
        let nodes = self.inputs.iter().chain(&self.outputs);
        let resolved =
            nodes.map(|node| session.resolve(&node.address).map_err(|error| format!("{}: {error}", node.name)));
        collect_all(resolved)
    }

    /// Every node must be there, be a number, and permit what we want of it. All complaints at once.
    fn inspect(&self, described: &[NodeDescription]) -> Result<Vec<ScalarKind>, String> {
        let (inputs, outputs) = described.split_at_checked(self.inputs.len()).unwrap_or((described, &[]));
        let readable = self.inputs.iter().zip(inputs).map(|(node, found)| {
            scalar(node, found).and_then(|kind| permit(node, found.readable, "read").map(|()| kind))
        });
        let writable = self.outputs.iter().zip(outputs).map(|(node, found)| {
            scalar(node, found).and_then(|kind| {
                permit(node, found.writable, "written")?;
                can_serve(node, kind).map(|()| kind)
            })
        });
        let kinds = collect_all(readable.chain(writable))?;
        Ok(kinds.into_iter().skip(self.inputs.len()).collect())
    }

    /// A new channel, and on it the session that there was before, or else a new one.
    fn establish(&self, deadline: MonoTime) -> Result<Session, ConnectError> {
        let (target, worker, clock) = (&self.target, &self.worker, self.clock.clone());
        match &self.remains {
            Some(remains) => Session::reconnect(remains, target, worker, clock, deadline.as_ns()),
            None => Session::connect(target, worker, clock, deadline.as_ns()),
        }
    }

    fn open(&mut self, deadline: MonoTime) -> Result<(Line, Connected), ConnectFailure> {
        let mut session = self.establish(deadline).map_err(describe_failure)?;
        match self.make_ready(&mut session, deadline) {
            Ok(ready) => {
                let (notices, resumed) = (session.notices().to_vec(), session.is_resumed());
                let connected = Connected { server: self.target.url.clone(), kinds: ready.kinds, notices, resumed };
                let Ready { read, write, scales, .. } = ready;
                let (values, status) = (vec![ReadValue::MISSING; read.len()], vec![0; write.len()]);
                let next_look_at_scales = MonoTime::from_ns(self.clock.monotonic_ns()) + SCALES_EVERY;
                let (compared, looked_at) = (MonoTime::ZERO, 0);
                let line =
                    Line { session, read, write, values, status, compared, looked_at, scales, next_look_at_scales };
                Ok((line, connected))
            }
            Err(complaint) => {
                // Or a server that is tried again and again would collect sessions until it takes no more.
                session.close(deadline.as_ns());
                Err(ConnectFailure { message: format!("{}: {complaint}", self.target.url), untrusted: None })
            }
        }
    }

    /// Finds the nodes, makes sure of what they are and mean, and prepares what is asked in every cycle.
    fn make_ready(&mut self, session: &mut Session, deadline: MonoTime) -> Result<Ready, String> {
        fn text(error: impl std::fmt::Display) -> String {
            error.to_string()
        }
        let nodes = self.resolve(session)?;
        let kinds = self.inspect(&session.describe(&nodes, deadline.as_ns()).map_err(text)?)?;
        let scales = session.find_scales(&nodes, deadline.as_ns()).map_err(text)?;
        self.compare_scales(session.read_scales(&scales, deadline.as_ns()).map_err(text)?)?;
        let (inputs, outputs) = nodes.split_at(self.inputs.len());
        let typed: Vec<_> = outputs.iter().cloned().zip(kinds.iter().map(|kind| session_kind(*kind))).collect();
        let read = session.prepare_read(inputs).map_err(text)?;
        let write = session.prepare_write(&typed).map_err(text)?;
        Ok(Ready { kinds, read, write, scales })
    }

    /// The numbers have to mean what the site file says, and what they meant when the runtime connected first.
    fn compare_scales(&mut self, found: Vec<Scale>) -> Result<(), String> {
        let mut complaints = scale::contradictions(&self.inputs, &self.outputs, &found);
        complaints.extend(scale::changes(self.inputs.iter().chain(&self.outputs), &self.scales, &found));
        if !complaints.is_empty() {
            return Err(complaints.join("; "));
        }
        scale::remember(&mut self.scales, found);
        Ok(())
    }

    /// Once in a while, and when the server says so: whether the numbers still mean the same.
    fn look_at_scales(&mut self, deadline: MonoTime) -> Result<(), BusError> {
        let now = MonoTime::from_ns(self.clock.monotonic_ns());
        let mut found = None;
        self.on_line(|line| {
            if line.scales.is_empty() || now < line.next_look_at_scales {
                return Ok(());
            }
            line.next_look_at_scales = now + SCALES_EVERY;
            found = Some(line.session.read_scales(&line.scales, deadline.as_ns()).map_err(bus_error)?);
            Ok(())
        })?;
        let nodes = self.inputs.iter().chain(&self.outputs);
        if found.is_some_and(|found| !scale::changes(nodes, &self.scales, &found).is_empty()) {
            return self.lose("the unit or the range of a tag has changed on the server");
        }
        Ok(())
    }
}

impl FieldBus for OpcUa {
    fn connect(&mut self, deadline: MonoTime) -> Result<Connected, ConnectFailure> {
        self.line = None;
        let unusable = self.target.renew().err();
        let (line, mut connected) = self.open(deadline).inspect_err(|_| self.turn_to_the_next())?;
        connected.notices.extend(unusable.map(|error| format!("{error}; the certificate from before goes on serving")));
        (self.line, self.remains) = (Some(line), None);
        Ok(connected)
    }

    fn read(&mut self, inputs: &mut [Reading], deadline: MonoTime) -> Result<(), BusError> {
        self.on_line(|line| {
            line.session.read(&mut line.read, &mut line.values, deadline.as_ns()).map_err(bus_error)?;
            line.take_values(inputs);
            Ok(())
        })?;
        self.patience = SILENCE_SUSPECT;
        Ok(())
    }

    fn write(
        &mut self,
        outputs: &[Option<f64>],
        results: &mut [WriteResult],
        deadline: MonoTime,
    ) -> Result<(), BusError> {
        self.on_line(|line| {
            line.session.write(&mut line.write, outputs, &mut line.status, deadline.as_ns()).map_err(bus_error)?;
            take_status(&line.status, outputs, results);
            Ok(())
        })
    }

    fn exchange(
        &mut self,
        outputs: &[Option<f64>],
        results: &mut [WriteResult],
        inputs: &mut [Reading],
        deadline: MonoTime,
    ) -> (Result<(), BusError>, Result<(), BusError>) {
        let mut write = Ok(());
        let read = self.on_line(|line| {
            let Line { session, read, write: plan, values, status, .. } = line;
            let both = session.exchange((plan, outputs, status), (read, values), deadline.as_ns());
            write = both.write.map_err(bus_error);
            if write.is_ok() {
                take_status(status, outputs, results);
            }
            both.read.map_err(bus_error)?;
            line.take_values(inputs);
            Ok(())
        });
        if read.is_ok() {
            self.patience = SILENCE_SUSPECT;
        }
        (write, read)
    }

    fn maintain(&mut self, deadline: MonoTime) -> Result<(), BusError> {
        self.look_at_silence()?;
        self.look_at_own_certificates()?;
        self.look_at_scales(deadline)?;
        self.on_line(|line| line.session.maintain(deadline.as_ns()).map_err(bus_error))
    }

    fn disconnect(&mut self, deadline: MonoTime) {
        if let Some(line) = self.line.take() {
            line.session.close(deadline.as_ns());
        }
    }
}

/// All values, or all complaints in one sentence.
fn collect_all<T>(results: impl Iterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
    let (mut good, mut complaints) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(complaint) => complaints.push(complaint),
        }
    }
    if complaints.is_empty() { Ok(good) } else { Err(complaints.join("; ")) }
}

/// A whole number that may not move by one at a time never moves: what is left of a step is not added up.
fn can_serve(node: &BoundNode, kind: ScalarKind) -> Result<(), String> {
    let BoundNode { name, address, demand, .. } = node;
    match *demand {
        Demand::Number => Ok(()),
        Demand::Steps(Pace { rate, period }) => {
            let period_s = period.as_seconds();
            let step = rate * period_s;
            if kind.holds(0.5) || step >= 1.0 {
                return Ok(());
            }
            let least = 1.0 / period_s;
            Err(format!(
                "tag `{name}`: node {address} holds whole numbers, and a rate of {rate} moves it by {step} in one control period, \
                 which is never one: write a rate of at least {least} in runtime.limits, or `unlimited`"
            ))
        }
        Demand::Whole(greatest) if kind.holds(0.0) && kind.holds(greatest) => Ok(()),
        Demand::Whole(_) => Err(format!(
            "{name}: node {address} is too small for it: name a node of type Double, UInt64 or Int64 in the site file"
        )),
    }
}

fn scalar(node: &BoundNode, found: &NodeDescription) -> Result<ScalarKind, String> {
    let BoundNode { name, address, .. } = node;
    if found.status & SEVERITY_MASK != 0 {
        return Err(format!(
            "tag `{name}`: the server knows no readable node {address} ({}): correct node_identifier in the site file",
            StatusName(found.status)
        ));
    }
    match found.kind {
        NodeKind::Scalar(kind) => Ok(core_kind(kind)),
        NodeKind::Array => Err(format!(
            "tag `{name}`: node {address} is an array, a single number is needed: correct node_identifier in the site file"
        )),
        NodeKind::Other => {
            Err(format!("tag `{name}`: node {address} holds no number: correct node_identifier in the site file"))
        }
    }
}

fn permit(node: &BoundNode, permitted: bool, verb: &str) -> Result<(), String> {
    let BoundNode { name, address, .. } = node;
    if permitted {
        return Ok(());
    }
    Err(format!(
        "tag `{name}`: node {address} may not be {verb} by this user: change the server's access level or the user"
    ))
}

fn describe_failure(error: ConnectError) -> ConnectFailure {
    let untrusted = match &error {
        ConnectError::Certificate { source, .. } if source.fault.is_undecided() => {
            Some(UntrustedCertificate { thumbprint: source.thumbprint.clone(), der: source.der.clone() })
        }
        _ => None,
    };
    ConnectFailure { message: format!("{error}{}", remedy(&error)), untrusted }
}

/// What a person can do, where the error does not say it itself.
const fn remedy(error: &ConnectError) -> &'static str {
    let ConnectError::Step { step, .. } = error else { return "" };
    match step {
        Step::NameLookup | Step::TcpConnect => {
            "; check that the server is running and that opc_conn_url names its host and port"
        }
        Step::Hello | Step::OpenSecureChannel => "; check that opc_conn_url names the port of an OPC UA server",
        _ => "",
    }
}

fn bus_error(error: CallError) -> BusError {
    match error {
        CallError::Deadline { sent: false } => BusError::NotSent,
        CallError::Deadline { sent: true } => BusError::Unknown,
        CallError::Refused { status } => BusError::Refused { status },
        CallError::Ended { status } => BusError::Lost(Loss { what: "the server ended the session", status }),
        CallError::Socket { .. } => BusError::Lost(Loss { what: "the connection failed", status: 0 }),
        CallError::Closed => BusError::Lost(Loss { what: "the server closed the connection", status: 0 }),
        CallError::Violation(_) => BusError::Lost(Loss { what: "the server broke the protocol", status: 0 }),
        CallError::Unanswered => BusError::Lost(Loss { what: "the server stopped answering", status: 0 }),
        CallError::SessionOver => BusError::Lost(Loss { what: "the session has ended", status: 0 }),
        // Nothing was sent; the envelope converts to the node's own type, so only a server that changed it gets here.
        CallError::Value { .. } => BusError::Lost(Loss { what: "a value does not fit the node's type", status: 0 }),
        CallError::Shape { .. } | CallError::ForeignPlan => {
            BusError::Lost(Loss { what: "the request does not fit the session", status: 0 })
        }
    }
}

fn take_status(status: &[u32], outputs: &[Option<f64>], results: &mut [WriteResult]) {
    for ((result, status), _) in results.iter_mut().zip(status).zip(outputs).filter(|(_, output)| output.is_some()) {
        *result = match status & SEVERITY_MASK {
            0 => WriteResult::Done,
            _ => WriteResult::Refused { status: *status },
        };
    }
}

/// Pairs the two crates' names of one thing in both directions.
macro_rules! same_kinds {
    ($($kind:ident),*) => {
        fn core_kind(kind: ua_session::ScalarKind) -> ScalarKind {
            match kind { $(ua_session::ScalarKind::$kind => ScalarKind::$kind),* }
        }
        fn session_kind(kind: ScalarKind) -> ua_session::ScalarKind {
            match kind { $(ScalarKind::$kind => ua_session::ScalarKind::$kind),* }
        }
    };
}
same_kinds!(Boolean, SByte, Byte, Int16, UInt16, Int32, UInt32, Int64, UInt64, Float, Double);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_number_that_its_rate_never_moves_is_refused_with_the_smallest_rate_that_does() {
        let node = |rate: Option<f64>| BoundNode {
            name: "VALVE".into(),
            address: "ns=2;s=Valve".parse().unwrap(),
            demand: rate.map_or(Demand::Number, |rate| Demand::Steps(Pace { rate, period: Span::from_ms(5) })),
            scale: Scale::default(),
        };
        let refused = can_serve(&node(Some(199.0)), ScalarKind::Int16).unwrap_err();
        assert!(refused.contains("`VALVE`") && refused.contains("a rate of at least 200 "), "{refused}");
        assert!(can_serve(&node(Some(0.1)), ScalarKind::Boolean).is_err());
        assert_eq!(can_serve(&node(Some(200.0)), ScalarKind::Int16), Ok(()));
        assert_eq!(can_serve(&node(None), ScalarKind::UInt64), Ok(()));
        for kind in [ScalarKind::Float, ScalarKind::Double] {
            assert_eq!(can_serve(&node(Some(1e-3)), kind), Ok(()));
        }
    }

    #[test]
    fn a_claim_s_tag_has_to_hold_every_token() {
        let node = BoundNode {
            name: "the lease".into(),
            address: "ns=2;s=Lease".parse().unwrap(),
            demand: Demand::Whole(crate::TOKEN_MAX),
            scale: Scale::default(),
        };
        for kind in [ScalarKind::Double, ScalarKind::UInt64, ScalarKind::Int64] {
            assert_eq!(can_serve(&node, kind), Ok(()));
        }
        for kind in [ScalarKind::Float, ScalarKind::UInt32, ScalarKind::Int32, ScalarKind::Boolean] {
            assert!(can_serve(&node, kind).is_err_and(|text| text.contains("UInt64")), "{kind:?}");
        }
    }
}

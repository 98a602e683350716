//! The OPC UA backend: one [`ua_session::Session`], carried on or made anew after every loss.

mod intake;
mod node;
mod scale;
mod silence;
mod translate;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use std::{io, iter};

use rt_core::setpoint::ScalarKind;
use rt_core::time::{MonoTime, Span};
use ua_session::{Clock, KeyWorker, Remains, Scale, ScalePlan, Session, Target, WritePlan};

use crate::bus::{BusError, ConnectFailure, Connected, Feed, FieldBus, Loss, Reading, WriteResult};
use intake::Intake;
use silence::Silence;
use translate::{bus_error, describe_failure, session_kind, take_status};

pub use intake::Subscribing;
pub use node::{BoundNode, Demand, Pace};

/// For so long it may keep the thread waiting whether a silent server answers on another connection.
const GREETING_MAX: Span = Span::from_ms(400);
/// So often it is looked whether units and ranges are still the same, where a server does not say it.
const SCALES_EVERY: Span = Span::from_ms(10_000);

/// An OPC UA server as a field bus, or a redundant set of them (Part 4, 6.6.2: non-transparent, the client chooses).
pub struct OpcUa {
    target: Target,
    /// The addresses of the whole set; the target has the first one of them that is tried next.
    servers: VecDeque<String>,
    worker: KeyWorker,
    clock: Arc<dyn Clock>,
    inputs: Vec<BoundNode>,
    outputs: Vec<BoundNode>,
    subscribing: Option<Subscribing>,
    spin: Span,
    feed: Feed,
    line: Option<Line>,
    /// Of the session whose connection was lost last.
    remains: Option<Remains>,
    silence: Silence,
    /// What the servers have said of the numbers' meaning so far.
    scales: Vec<Scale>,
}

/// What exists only while there is a session.
struct Line {
    session: Session,
    intake: Intake,
    write: WritePlan,
    status: Vec<u32>,
    /// How often its keys were renewed when our own certificates were looked at last.
    looked_at: u64,
    scales: ScalePlan,
    next_look_at_scales: MonoTime,
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
            subscribing: None,
            spin: Span::ZERO,
            feed: Feed::default(),
            line: None,
            remains: None,
            silence: Silence::new(),
            scales: Vec::new(),
        })
    }

    /// Lets the server tell some of the inputs by itself.
    pub fn subscribing(self, subscribing: Option<Subscribing>) -> Self {
        Self { subscribing, ..self }
    }

    /// Looks for answers for so long before it sleeps.
    pub fn spinning(self, spin: Span) -> Self {
        Self { spin, ..self }
    }

    fn now(&self) -> MonoTime {
        MonoTime::from_ns(self.clock.monotonic_ns())
    }

    fn nodes(&self) -> impl Iterator<Item = &BoundNode> {
        self.inputs.iter().chain(&self.outputs)
    }

    /// The next attempt is made at the next server of the set.
    fn turn_to_the_next(&mut self) {
        self.servers.rotate_left(1);
        if let Some(next) = self.servers.front() {
            self.target.url.clone_from(next);
        }
    }

    fn open(&mut self, deadline: MonoTime) -> Result<(Line, Connected), ConnectFailure> {
        // A new channel, and on it the session that there was before, or else a new one.
        let (target, worker, clock) = (&self.target, &self.worker, self.clock.clone());
        let mut session =
            Session::reconnect(&mut self.remains, target, worker, clock, deadline.as_ns()).map_err(describe_failure)?;
        match self.make_ready(&mut session, deadline) {
            Ok(Ready { kinds, intake, write, scales }) => {
                session.spin_for(Duration::from_nanos(self.spin.as_ns()));
                let (notices, resumed) = (session.notices().to_vec(), session.is_resumed());
                let (status, next_look_at_scales) = (vec![0; kinds.len()], self.now() + SCALES_EVERY);
                let connected = Connected { server: self.target.url.clone(), kinds, notices, resumed };
                Ok((Line { session, intake, write, status, looked_at: 0, scales, next_look_at_scales }, connected))
            }
            Err(complaint) => {
                // Or a server that is tried again and again would collect sessions until it takes no more.
                session.close(deadline.as_ns());
                Err(ConnectFailure { message: format!("{}: {complaint}", self.target.url), certificate: None })
            }
        }
    }

    /// Finds the nodes, makes sure of what they are and mean, and prepares what is asked in every cycle.
    fn make_ready(&mut self, session: &mut Session, deadline: MonoTime) -> Result<Ready, String> {
        fn text(error: impl std::fmt::Display) -> String {
            error.to_string()
        }
        let values = node::locate(self.nodes(), session)?;
        let (inputs, outputs) = values.split_at(self.inputs.len());
        node::distinguish(&self.outputs, outputs)?;
        let nodes: Vec<_> = values.iter().map(|value| value.node.clone()).collect();
        let described = session.describe(&nodes, deadline.as_ns()).map_err(text)?;
        let kinds = node::inspect(&self.inputs, &self.outputs, &described)?;
        let scales = session.find_scales(&nodes, deadline.as_ns()).map_err(text)?;
        self.compare_scales(session.read_scales(&scales, deadline.as_ns()).map_err(text)?)?;
        let typed: Vec<_> = outputs.iter().cloned().zip(kinds.iter().map(|kind| session_kind(*kind))).collect();
        let write = session.prepare_write(&typed).map_err(text)?;
        let subscribing = (self.subscribing.as_ref(), self.feed);
        let intake = Intake::open(session, inputs, subscribing, (self.now(), deadline))?;
        Ok(Ready { kinds, intake, write, scales })
    }

    /// The numbers have to mean what the site file says, and what they meant when the runtime connected first.
    fn compare_scales(&mut self, found: Vec<Scale>) -> Result<(), String> {
        let mut complaints = scale::contradictions(&self.inputs, &self.outputs, &found);
        complaints.extend(scale::changes(self.nodes(), &self.scales, &found));
        if !complaints.is_empty() {
            return Err(complaints.join("; "));
        }
        scale::remember(&mut self.scales, found);
        Ok(())
    }

    /// Runs `call` on the session and drops the session when it is beyond use.
    fn on_line(&mut self, call: impl FnOnce(&mut Line) -> Result<(), BusError>) -> Result<(), BusError> {
        let Some(line) = &mut self.line else {
            return Err(BusError::Lost(Loss { what: "there is no session", status: 0 }));
        };
        let outcome = call(line);
        self.feed = line.intake.feed();
        if matches!(outcome, Err(BusError::Lost(_))) {
            self.remains = self.line.take().map(|line| line.session.into_remains());
        }
        outcome
    }

    fn lose(&mut self, what: &'static str) -> Result<(), BusError> {
        self.on_line(|_| Err(BusError::Lost(Loss { what, status: 0 })))
    }

    /// Keeps in mind whether what was asked at this instant was answered in time.
    fn note(&mut self, asked: MonoTime, outcome: Result<(), BusError>) -> Result<(), BusError> {
        match outcome {
            Ok(()) | Err(BusError::Refused { .. }) => self.silence.asked(true, asked),
            Err(BusError::NotSent | BusError::Unknown) => self.silence.asked(false, asked),
            Err(BusError::Lost(_)) => {}
        }
        outcome
    }

    /// Gives a connection up that is silent while the server answers on another one, or for too long.
    fn look_at_silence(&mut self) -> Result<(), BusError> {
        let now = self.now();
        let Some(line) = &self.line else { return Ok(()) };
        let heard = MonoTime::from_ns(line.session.last_answer_ns());
        let (url, clock) = (&self.target.url, self.clock.clone());
        let greets = || ua_session::greet(url, clock, (now + GREETING_MAX).as_ns()).is_ok();
        match self.silence.judge(heard, now, greets) {
            Some(what) => self.lose(what),
            None => Ok(()),
        }
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

    /// Once in a while, and when the server says so: whether the numbers still mean the same.
    fn look_at_scales(&mut self, deadline: MonoTime) -> Result<(), BusError> {
        let (now, mut found) = (self.now(), None);
        self.on_line(|line| {
            let is_due = line.intake.take_meaning_changed() || now >= line.next_look_at_scales;
            if is_due && !line.scales.is_empty() {
                line.next_look_at_scales = now + SCALES_EVERY;
                found = Some(line.session.read_scales(&line.scales, deadline.as_ns()).map_err(bus_error)?);
            }
            Ok(())
        })?;
        if found.is_some_and(|found| !scale::changes(self.nodes(), &self.scales, &found).is_empty()) {
            return self.lose("the unit or the range of a tag has changed on the server");
        }
        Ok(())
    }
}

/// What is prepared on a new session.
struct Ready {
    /// The data types of the outputs.
    kinds: Vec<ScalarKind>,
    intake: Intake,
    write: WritePlan,
    scales: ScalePlan,
}

impl FieldBus for OpcUa {
    fn connect(&mut self, deadline: MonoTime) -> Result<Connected, ConnectFailure> {
        self.line = None;
        let unusable = self.target.renew().err();
        let (line, mut connected) = self.open(deadline).inspect_err(|_| self.turn_to_the_next())?;
        connected.notices.extend(unusable.map(|error| format!("{error}; the certificate from before goes on serving")));
        self.feed = line.intake.feed();
        self.line = Some(line);
        self.silence.begin_anew();
        Ok(connected)
    }

    fn read(&mut self, inputs: &mut [Reading], deadline: MonoTime) -> Result<(), BusError> {
        let (now, clock) = (self.now(), self.clock.clone());
        let outcome = self.on_line(|Line { session, intake, .. }| {
            intake.begin(session, (now, deadline)).map_err(bus_error)?;
            if let Some((plan, values)) = intake.request() {
                session.read(plan, values, deadline.as_ns()).map_err(bus_error)?;
            }
            intake.finish(session, MonoTime::from_ns(clock.monotonic_ns()), inputs);
            Ok(())
        });
        self.note(now, outcome)
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
        let (now, clock) = (self.now(), self.clock.clone());
        let mut write = Err(BusError::NotSent);
        let read = self.on_line(|Line { session, intake, write: plan, status, .. }| {
            intake.begin(session, (now, deadline)).map_err(bus_error)?;
            let Some(read) = intake.request() else { return Err(BusError::NotSent) };
            let both = session.exchange((plan, outputs, status), read, deadline.as_ns());
            write = both.write.map_err(bus_error);
            if write.is_ok() {
                take_status(status, outputs, results);
            }
            both.read.map_err(bus_error)?;
            intake.finish(session, MonoTime::from_ns(clock.monotonic_ns()), inputs);
            Ok(())
        });
        (write, self.note(now, read))
    }

    fn feed(&self) -> Feed {
        self.feed
    }

    fn maintain(&mut self, deadline: MonoTime) -> Result<(), BusError> {
        self.look_at_silence()?;
        self.look_at_own_certificates()?;
        self.look_at_scales(deadline)?;
        let now = self.now();
        self.on_line(|line| {
            line.session.maintain(deadline.as_ns()).map_err(bus_error)?;
            line.intake.keep_subscribed(&mut line.session, (now, deadline)).map_err(bus_error)
        })
    }

    fn disconnect(&mut self, deadline: MonoTime) {
        if let Some(line) = self.line.take() {
            line.session.close(deadline.as_ns());
        }
    }
}

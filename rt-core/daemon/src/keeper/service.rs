//! The control socket's answers: who may ask for what, and what is said.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use io_loop::{ConnectFailure, FeedState, News};
use rt_config::{Connection, Runtime, Security, Site};
use rt_control::{
    Act, Answer, CONFIGURATION_BYTES_MAX, CallError, ConnectionStatus, Conversation, Description, LatchedSince,
    LearnerGrant, Peer, Refusal, Request, SetpointInfo, SiteFile, Status, Wishes,
};
use rt_core::envelope::LimitsByMode;
use rt_core::mode::{Cause, Mode};
use rt_core::ports::Command;
use rt_core::record::{Event, EventKind as CoreEvent};
use rt_core::time::MonoTime;
use rt_sys::MonotonicClock;
use shm::counters;
use shm::spsc::Producer;
use shm_layout::{Counter, EventKind, SegmentKind};

use crate::adapters::Order;
use crate::flight::{Asked, FlightRecorder};
use crate::keeper::{ACT_PATIENCE, Configuration, Journal, LeaseDesk, WeightsDesk};
use crate::pending::keep_pending;
use crate::segments::Shelf;

/// The same complaint about a connection is repeated in the log this often.
const REPEAT_COMPLAINT: Duration = Duration::from_secs(120);

/// What is said about this runtime, and to whom.
pub(crate) struct Service {
    description: Description,
    shelf: Shelf,
    operators: Vec<u32>,
    own_uid: u32,
    degraded: Vec<String>,
    preemption: String,
    connections: Vec<Wired>,
    started: Instant,
    latched: Option<Latch>,
    configuration: Configuration,
    /// The setpoints that a person has, as bits.
    with_operator: u32,
}

/// What answering needs of the keeper's other parts.
pub(crate) struct Means<'a> {
    pub(crate) desk: &'a mut WeightsDesk,
    pub(crate) lease: &'a mut LeaseDesk,
    pub(crate) orders: &'a mut Producer<Order>,
    pub(crate) journal: &'a mut Journal,
    pub(crate) counters: &'a counters::Writer<Counter>,
    pub(crate) flight: Option<&'a FlightRecorder>,
    /// What this caller is answered with later.
    pub(crate) later: &'a mut Option<Asked>,
}

/// A trip that is latched.
struct Latch {
    cause: Cause,
    cycle: u64,
    at: MonoTime,
}

/// One connection's state, and where its undecided certificates go.
struct Wired {
    status: ConnectionStatus,
    /// The names of what is read.
    inputs: Vec<String>,
    trust_dir: Option<PathBuf>,
    complained: Option<Instant>,
    /// The certificate that was told of last, and whether somebody had decided about it.
    refused: Option<(String, bool)>,
}

impl Service {
    pub(crate) fn new(
        description: Description,
        shelf: Shelf,
        degraded: Vec<String>,
        preemption: String,
        configuration: Configuration,
    ) -> Self {
        let site @ Site { connections, runtime: Runtime { operators, .. }, .. } = configuration.site();
        let wired = |(index, connection)| Wired::new(site, index, connection);
        Self {
            description,
            shelf,
            operators: operators.iter().filter_map(|name| user_id(name)).collect(),
            own_uid: rustix::process::getuid().as_raw(),
            degraded,
            preemption,
            connections: connections.iter().enumerate().map(wired).collect(),
            started: Instant::now(),
            latched: None,
            configuration,
            with_operator: 0,
        }
    }

    /// Answers one request.
    ///
    /// # Errors
    /// The caller cannot be reached any more.
    pub(crate) fn answer(
        &mut self,
        caller: &mut Conversation,
        request: Request,
        mut means: Means<'_>,
    ) -> io::Result<()> {
        let peer = caller.peer();
        if let Some(refusal) = self.refusal(peer, &request) {
            let wish = wish(&request);
            means.journal.entry(EventKind::AccessRefused).numbers(peer.pid.into(), 0).by(peer).text(wish).publish();
            return caller.answer(&Answer::Refused(refusal), &[]);
        }
        match request {
            Request::Describe => caller.answer(&Answer::Description(self.description.clone()), &[]),
            Request::Status => caller.answer(&Answer::Status(Box::new(self.status(&means))), &[]),
            Request::Segment { kind } => self.hand_out(caller, kind, &means),
            Request::SiteFile => caller.answer(&self.site_file(), &[]),
            Request::JoinAsLearner { tag_list_hash } => self.admit_learner(caller, tag_list_hash, means),
            Request::StandBy => stand_by(caller, means),
            Request::Act { act, cause } => {
                let answer = self.act(peer, act, &cause, means);
                caller.answer(&answer, &[])
            }
            Request::HandBack { setpoint, cause } => {
                let answer = self.hand_back(peer, setpoint.as_deref(), &cause, means);
                caller.answer(&answer, &[])
            }
            Request::SaveFlight { cause } => match save_flight(peer, &cause, &means) {
                Ok(asked) => {
                    *means.later = Some(asked);
                    Ok(())
                }
                Err(message) => caller.answer(&flight_begun(Err(message)), &[]),
            },
            Request::Configure { text, cause } => {
                let answer = self.configure(peer, &text, &cause, &mut means);
                caller.answer(&answer, &[])
            }
        }
    }

    /// From now on this is what was asked of the kernel and is not so.
    pub(crate) fn set_degraded(&mut self, degraded: &[String]) {
        self.degraded = degraded.to_vec();
    }

    /// Keeps in mind what an event says about the state.
    pub(crate) fn note(&mut self, event: &Event) {
        match event.kind {
            CoreEvent::Latched { cause } => {
                self.latched = Some(Latch { cause, cycle: event.cycle, at: event.at });
            }
            CoreEvent::LatchCleared { .. } => self.latched = None,
            CoreEvent::SetpointTaken { setpoint } => self.with_operator |= 1 << setpoint,
            CoreEvent::SetpointReturned { setpoint } => self.with_operator &= !(1 << setpoint),
            _ => {}
        }
    }

    /// Keeps in mind how a connection is, and says so once in a while.
    pub(crate) fn take_news(&mut self, index: usize, news: &News, journal: &mut Journal) {
        let Some(wired) = self.connections.get_mut(index) else { return };
        match news {
            News::Up { server, notices, resumed } => {
                (wired.status.up, wired.status.last_error, wired.complained) = (true, None, None);
                wired.refused = None;
                wired.status.url.clone_from(server);
                let goes_on = if *resumed { ": the session goes on" } else { "" };
                let text = format!("{}{goes_on}", wired.status.id);
                journal.entry(EventKind::ConnectionUp).numbers(index as u64, (*resumed).into()).text(&text).publish();
                notices.iter().for_each(|notice| tracing::warn!(connection_id = %wired.status.id, "{notice}"));
            }
            News::Down(loss) => {
                let reason = if loss.status == 0 {
                    loss.what.to_owned()
                } else {
                    format!("{} ({})", loss.what, ua_session::StatusName(loss.status))
                };
                let text = format!("{}: {reason}", wired.status.id);
                journal
                    .entry(EventKind::ConnectionDown)
                    .numbers(index as u64, loss.status.into())
                    .text(&text)
                    .publish();
                (wired.status.up, wired.status.last_error) = (false, Some(reason));
            }
            News::Feed(state) => {
                let is_live = matches!(state, FeedState::Live { .. });
                let text = format!("{}: {}", wired.status.id, wired.describe_feed(*state));
                journal.entry(EventKind::Subscription).numbers(index as u64, is_live.into()).text(&text).publish();
            }
            News::SetpointRefused { setpoint, value, status } => {
                let name = self.description.setpoints.get(usize::from(*setpoint)).map_or("?", |found| &found.name);
                // What a record has no room for is the end of the value.
                let text = format!("{name}: {} for {value}", ua_session::StatusName(*status));
                let bit = 1 << setpoint;
                journal.entry(EventKind::SetpointRejected).numbers(bit, (*status).into()).text(&text).publish();
                wired.status.last_error = Some(text);
            }
            News::ClaimRefused { status } => {
                let reason = format!(
                    "the server refuses to write the lease tag ({}): nothing is written; correct its access or type, or take \
                     `lease` out of runtime.io",
                    ua_session::StatusName(*status)
                );
                journal.note(EventKind::Fault, &format!("{}: {reason}", wired.status.id));
                wired.status.last_error = Some(reason);
            }
            News::AlarmRefused { alarm, status } => {
                let node = self.configuration.site().alarms().nth((*alarm).into()).map_or("?", |alarm| &alarm.node);
                let reason = format!(
                    "the server refuses to write alarm {alarm}, {node} ({}): correct its access or type",
                    ua_session::StatusName(*status)
                );
                journal.note(EventKind::Fault, &format!("{}: {reason}", wired.status.id));
                wired.status.last_error = Some(reason);
            }
            News::CannotConnect(failure) => {
                let complaint = wired.complaint(failure);
                if let Some(text) = wired.refusal(failure) {
                    journal.note(EventKind::Fault, &text);
                } else if let Some(message) = complaint {
                    journal.complain(index as u64, &wired.status.id, &message);
                }
            }
        }
    }

    /// Has the limits of the runtime that leads, while this one stands by.
    pub(crate) fn follow(&mut self, journal: &mut Journal, flight: Option<&FlightRecorder>) {
        match self.configuration.follow() {
            Ok(None) => {}
            Ok(Some(number)) => {
                self.description.setpoints = describe_setpoints(self.configuration.site());
                self.tell_flight(flight);
                let text = format!("change {number}: what was applied to the runtime that leads");
                journal.entry(EventKind::Configured).numbers(number, 0).text(&text).publish();
            }
            Err(reason) => journal.note(EventKind::Fault, &format!("cannot follow the runtime that leads: {reason}")),
        }
    }

    /// What the flight recorder saves is understood with the limits that hold now.
    fn tell_flight(&self, flight: Option<&FlightRecorder>) {
        let (_, text) = self.configuration.file();
        flight.inspect(|flight| flight.set_site_text(text));
    }

    fn names_of(&self, setpoints: u32) -> Vec<String> {
        let named = (0..u32::BITS).zip(&self.description.setpoints);
        named.filter(|(bit, _)| setpoints >> bit & 1 == 1).map(|(_, setpoint)| setpoint.name.clone()).collect()
    }

    fn refusal(&self, peer: Peer, request: &Request) -> Option<Refusal> {
        let own = peer.uid == 0 || peer.uid == self.own_uid;
        let permitted = match request {
            Request::JoinAsLearner { .. } | Request::StandBy => own,
            _ => own || self.operators.contains(&peer.uid),
        };
        (!permitted).then_some(Refusal::NotPermitted { uid: peer.uid })
    }

    fn hand_out(&self, caller: &mut Conversation, number: u32, means: &Means<'_>) -> io::Result<()> {
        let Some(kind) = SegmentKind::from_code(number) else {
            return caller.answer(&Answer::Refused(Refusal::NoSuchSegment { kind: number }), &[]);
        };
        if let Some(descriptor) = self.shelf.descriptor(kind) {
            return caller.answer(&Answer::Segment, &[descriptor]);
        }
        match means.desk.read_only(kind) {
            Some(descriptor) => caller.answer(&Answer::Segment, &[descriptor?.as_fd()]),
            None => {
                let message = "no learner has joined yet: its segments do not exist".to_owned();
                caller.answer(&Answer::Refused(Refusal::NotNow { message }), &[])
            }
        }
    }

    fn site_file(&self) -> Answer {
        let (name, text) = self.configuration.file();
        if text.len() > CONFIGURATION_BYTES_MAX {
            let message = format!(
                "the site file has {} bytes, and an answer at most {CONFIGURATION_BYTES_MAX}: captures cannot be written from outside, and the flight recorder writes them",
                text.len()
            );
            return Answer::Refused(Refusal::NotNow { message });
        }
        Answer::SiteFile(SiteFile { name, text: text.to_owned() })
    }

    fn admit_learner(&self, caller: &mut Conversation, found: u64, means: Means<'_>) -> io::Result<()> {
        let expected = self.description.tag_list_hash;
        if found != expected {
            return caller.answer(&Answer::Refused(Refusal::OtherTagList { found, expected }), &[]);
        }
        let Some(steps) = self.shelf.descriptor(SegmentKind::Transitions) else {
            return caller.answer(&Answer::Refused(Refusal::NotUnderstood), &[]);
        };
        let peer = caller.peer();
        let (epoch, generation, segments) = means.desk.admit(peer.pid)?;
        means.counters.set(Counter::LearnerEpoch, epoch);
        let [weights, counters, estimates, histograms] = segments.writable();
        let descriptors: [BorrowedFd<'_>; 5] = [steps, weights, counters, estimates, histograms];
        caller.answer(&Answer::Learner(LearnerGrant { epoch, generation }), &descriptors)?;
        means
            .journal
            .entry(EventKind::LearnerAttached)
            .numbers(epoch, peer.pid.into())
            .by(peer)
            .text(&format!("process {}", peer.pid))
            .publish();
        Ok(())
    }

    /// What may change what the plant gets is done when it is recorded. What takes hands off the plant is done in any case.
    fn act(&self, peer: Peer, act: Act, cause: &str, means: Means<'_>) -> Answer {
        let (command, must_be_recorded) = match act {
            Act::HandOver => return self.hand_over(peer, cause, means),
            Act::Arm => (Command::Arm, true),
            Act::Reset => (Command::Reset, true),
            Act::Disarm => (Command::Disarm, false),
            Act::Release => (Command::Release, false),
            Act::Hold => (Command::Hold, false),
        };
        let mode = mode_name(means.counters);
        let text = format!("{} by uid {}: {cause}", act.name(), peer.uid);
        if must_be_recorded {
            if let Err(refusal) = record(means.journal, peer, &text) {
                return Answer::Refused(refusal);
            }
        } else {
            means.journal.command(peer, &text);
        }
        if means.orders.push(Order::Command(command)).is_err() {
            return not_taken(means.journal, peer, &text);
        }
        Answer::Done { message: format!("{}: handed to the runtime, which was in mode {mode}", act.name()) }
    }

    /// The plant goes from the runtime that leads to the one that stands by: an operator asks the latter, which knows whether
    /// it is ready, and it asks the former.
    fn hand_over(&self, peer: Peer, cause: &str, means: Means<'_>) -> Answer {
        let not_now = |message: String| Answer::Refused(Refusal::NotNow { message });
        let mode = Mode::from_number(means.counters.get(Counter::Mode).try_into().unwrap_or(u8::MAX));
        let text = format!("hand-over by uid {}: {cause}", peer.uid);
        if !means.lease.is_behind(peer.pid) {
            if mode != Some(Mode::Shadow) || means.counters.get(Counter::Connected) == 0 {
                return not_now("this runtime is not ready to lead: it has not read the plant yet".to_owned());
            }
            if let Err(refusal) = record(means.journal, peer, &text) {
                return Answer::Refused(refusal);
            }
            return match means.lease.ask_for_it(&text) {
                Some(Ok(message)) => Answer::Done { message },
                Some(Err(error @ CallError::TimedOut(_))) => {
                    not_now(format!("{error}: `corerl agent status` shows whether it lets go all the same"))
                }
                Some(Err(error)) => not_now(format!("the runtime that leads does not let go: {error}")),
                None => not_now("this runtime leads: the one that stands by has to be asked".to_owned()),
            };
        }
        // Whoever takes over knows nothing of a trip, a hold or a person's setpoint: it must not end them.
        if self.latched.is_some() || matches!(mode, Some(Mode::Hold | Mode::Fallback) | None) {
            return not_now(format!("it is in mode {}", mode_name(means.counters)));
        }
        if self.with_operator != 0 {
            return not_now(format!(
                "a person has {}: hand it back first",
                self.names_of(self.with_operator).join(", ")
            ));
        }
        if let Err(refusal) = record(means.journal, peer, cause) {
            return Answer::Refused(refusal);
        }
        if means.orders.push(Order::LetGo).is_err() {
            return not_taken(means.journal, peer, cause);
        }
        means.lease.lets_go(means.counters.get(Counter::Armed) != 0);
        Answer::Done { message: format!("hand-over: process {} leads from its next cycle on", peer.pid) }
    }

    fn hand_back(&self, peer: Peer, name: Option<&str>, cause: &str, means: Means<'_>) -> Answer {
        let setpoints = || (0_u8..).zip(&self.description.setpoints);
        let wanted: Vec<_> =
            setpoints().filter(|(_, setpoint)| name.is_none_or(|name| setpoint.name == name)).collect();
        if let (true, Some(name)) = (wanted.is_empty(), name) {
            return Answer::Refused(Refusal::NoSuchSetpoint { name: name.to_owned() });
        }
        let what = name.unwrap_or("all setpoints");
        let text = format!("hand back {what} by uid {}: {cause}", peer.uid);
        if let Err(refusal) = record(means.journal, peer, &text) {
            return Answer::Refused(refusal);
        }
        for (setpoint, _) in &wanted {
            if means.orders.push(Order::Command(Command::HandBack { setpoint: *setpoint })).is_err() {
                return not_taken(means.journal, peer, &text);
            }
        }
        Answer::Done { message: format!("hand back {what}: handed to the runtime") }
    }

    fn configure(&mut self, peer: Peer, text: &str, cause: &str, means: &mut Means<'_>) -> Answer {
        if !means.lease.status().leads {
            let message = "this runtime stands by, and follows what is applied to the one that leads: apply it there";
            return Answer::Refused(Refusal::NotNow { message: message.to_owned() });
        }
        let by = format!("by uid {}: {cause}", peer.uid);
        let proposal = match self.configuration.judge(text) {
            Ok(proposal) => proposal,
            Err(complaints) => {
                means.journal.command(peer, &format!("configure, refused, {by}"));
                return Answer::Refused(Refusal::Configuration { complaints });
            }
        };
        if let Err(refusal) = record(means.journal, peer, &format!("configure {by}")) {
            return Answer::Refused(refusal);
        }
        let number = match self.configuration.apply(proposal) {
            Ok(number) => number,
            Err(error) => {
                let reason = format!("the file cannot be kept for the next start: {error}");
                means.journal.command(peer, &format!("configure, not done: {reason}"));
                return Answer::Refused(Refusal::NotRecorded { reason });
            }
        };
        self.description.setpoints = describe_setpoints(self.configuration.site());
        self.tell_flight(means.flight);
        let kept = match self.configuration.applied() {
            Some(path) => format!("kept in {} for the next start, unless the site file is edited", path.display()),
            None => "it is the file that the runtime was started with".to_owned(),
        };
        let message = format!("change {number}: handed to the runtime, which takes it in its next cycle; {kept}");
        Answer::Done { message }
    }

    fn connection_status(&self, lease: &LeaseDesk) -> Vec<ConnectionStatus> {
        let all = self.connections.iter().enumerate();
        let with_claim = |(index, wired): (usize, &Wired)| {
            // Nobody knows what a plant shows that cannot be reached.
            let claimed = lease.claimed(index).map(|claimed| claimed && wired.status.up);
            ConnectionStatus { claimed, ..wired.status.clone() }
        };
        all.map(with_claim).collect()
    }

    fn status(&self, means: &Means<'_>) -> Status {
        let count = |counter| means.counters.get(counter);
        let (on_trial, on_probation) = means.desk.progress();
        Status {
            mode: mode_name(means.counters).to_owned(),
            armed: count(Counter::Armed) != 0,
            lease: means.lease.status(),
            latched: self.latched.as_ref().map(|latch| latch.cause.name().to_owned()),
            latched_since: self.latched.as_ref().map(Latch::since),
            with_operator: self.names_of(self.with_operator),
            degraded: self.degraded.clone(),
            preemption: self.preemption.clone(),
            cycles: count(Counter::Cycles),
            slots_skipped: count(Counter::SlotsSkipped),
            policy_generation: count(Counter::PolicyGeneration),
            on_trial,
            on_probation,
            learner: means.desk.learner(),
            wishes: Wishes {
                goals_judged: count(Counter::GoalsJudged),
                goals_met: count(Counter::GoalsMet),
                zones_judged: count(Counter::ZonesJudged),
                zones_clear: count(Counter::ZonesClear),
            },
            connections: self.connection_status(means.lease),
            audit: means.journal.audit_status().clone(),
            flight: means.flight.map(|flight| flight.status().clone()),
            applied: self.configuration.applied().map(|path| path.display().to_string()),
            uptime_s: self.started.elapsed().as_secs_f64(),
        }
    }
}

fn stand_by(caller: &mut Conversation, means: Means<'_>) -> io::Result<()> {
    let pid = caller.peer().pid;
    match means.lease.admit(pid) {
        Some(lease) => caller.answer(&Answer::Lease { pid: std::process::id() }, &[lease]),
        None => {
            let message = "this runtime does not hold the lease of the plant".to_owned();
            caller.answer(&Answer::Refused(Refusal::NotNow { message }), &[])
        }
    }
}

/// Changes nothing that the plant gets, so it is in the log and not in the audit log.
fn save_flight(peer: Peer, cause: &str, means: &Means<'_>) -> Result<Asked, String> {
    let off = "the flight recorder is off: `runtime.recorder.flight` in the site file";
    let asked = means.flight.ok_or_else(|| off.to_owned())?.save(cause)?;
    tracing::info!(uid = peer.uid, pid = peer.pid, "save-flight: {cause}");
    Ok(asked)
}

/// Whether a file was begun, for the one who asked.
pub(crate) fn flight_begun(begun: Result<PathBuf, String>) -> Answer {
    match begun {
        Ok(path) => {
            let path = path.display();
            Answer::Done { message: format!("what was before, and the seconds to come, go to {path}") }
        }
        Err(message) => Answer::Refused(Refusal::NotNow { message }),
    }
}

/// Puts an act on the disk before it is done.
fn record(journal: &mut Journal, peer: Peer, text: &str) -> Result<(), Refusal> {
    let entry = journal.entry(EventKind::Command).numbers(peer.pid.into(), 0).by(peer).text(text);
    entry.require(ACT_PATIENCE).map_err(|reason| {
        journal.command(peer, &format!("not recorded, not done: {text}"));
        Refusal::NotRecorded { reason }
    })
}

fn not_taken(journal: &mut Journal, peer: Peer, text: &str) -> Answer {
    journal.command(peer, &format!("not taken by the control thread: {text}"));
    let message = "the control thread does not take commands: is it running?".to_owned();
    Answer::Refused(Refusal::NotNow { message })
}

/// The setpoints for people, with the widest range that any mode has.
pub(crate) fn describe_setpoints(site: &Site) -> Vec<SetpointInfo> {
    let describe = |of: &rt_config::Setpoint| {
        let (name, unit) =
            site.tags.get(of.tag.index()).map(|tag| (tag.name.clone(), tag.unit.clone())).unwrap_or_default();
        let LimitsByMode { run, hold, fallback } = of.settings.limits;
        let all = [run, hold, fallback];
        let lo = all.iter().fold(f64::INFINITY, |lo, limits| lo.min(limits.lo));
        let hi = all.iter().fold(f64::NEG_INFINITY, |hi, limits| hi.max(limits.hi));
        SetpointInfo { name, unit, lo, hi, scale: [of.scale.lo, of.scale.hi] }
    };
    site.setpoints.iter().map(describe).collect()
}

impl Latch {
    fn since(&self) -> LatchedSince {
        let (now, wall) = MonotonicClock::new().with_wall_time();
        let ago = now.since(self.at);
        let utc = rt_state::audit::utc(wall.as_ns().saturating_sub(ago.as_ns()));
        LatchedSince { cycle: self.cycle, utc, ago_s: ago.as_seconds() }
    }
}

impl Wired {
    fn new(site: &Site, index: usize, connection: &Connection) -> Self {
        let trust_dir = match &connection.security {
            Security::None => None,
            Security::Secured { trust_dir, .. } => Some(trust_dir.clone()),
        };
        let status = ConnectionStatus {
            id: connection.id.clone(),
            url: connection.url.clone(),
            up: false,
            last_error: Some("not connected yet".to_owned()),
            claimed: None,
        };
        Self { status, inputs: crate::plant::input_names(site, index), trust_dir, complained: None, refused: None }
    }

    /// How the server tells by itself what changes.
    fn describe_feed(&self, state: FeedState) -> String {
        const READ: &str = "everything is read until another subscription is there";
        match state {
            FeedState::Off => "everything is read".to_owned(),
            FeedState::Live { refused: 0 } => "subscribed".to_owned(),
            FeedState::Live { refused } => {
                format!("subscribed, but for {refused} tags that the server refuses: they are read")
            }
            FeedState::Refused { status } => {
                format!("no subscription ({}): everything is read", ua_session::StatusName(status))
            }
            FeedState::Over { status: 0 } => format!("no subscription: the server is too slow; {READ}"),
            FeedState::Over { status } => {
                format!("the subscription has ended ({}); {READ}", ua_session::StatusName(status))
            }
            FeedState::Mute { input } => {
                let tag = self.inputs.get(input).map_or("", String::as_str);
                format!("the subscription says nothing of `{tag}`, which has changed; {READ}")
            }
        }
    }

    /// A connection that does not come about is tried again twice a second; what to say about it when the reason changes, and
    /// once in a while.
    fn complaint(&mut self, failure: &ConnectFailure) -> Option<String> {
        let mut message = failure.message.clone();
        let undecided = failure.certificate.as_ref().filter(|certificate| certificate.fault.is_none());
        if let (Some(certificate), Some(dir)) = (undecided, &self.trust_dir) {
            message = keep_pending(&message, &certificate.thumbprint, &certificate.der, dir);
        }
        let same = self.status.last_error.as_ref() == Some(&message);
        let due = !same || self.complained.is_none_or(|at| at.elapsed() >= REPEAT_COMPLAINT);
        (self.status.up, self.status.last_error) = (false, Some(message.clone()));
        due.then(|| {
            self.complained = Some(Instant::now());
            message
        })
    }

    /// What is told of a certificate that is refused, once while the server shows the same one. An event has room for its
    /// begin alone: there it says what is wrong.
    fn refusal(&mut self, failure: &ConnectFailure) -> Option<String> {
        let certificate = failure.certificate.as_ref()?;
        let told = (certificate.thumbprint.clone(), certificate.fault.is_some());
        if self.refused.as_ref() == Some(&told) {
            return None;
        }
        self.refused = Some(told);
        let (id, said) = (&self.status.id, self.status.last_error.as_deref().unwrap_or(&failure.message));
        Some(match &certificate.fault {
            Some(fault) => format!("{id}: refused certificate: {fault} ({})", certificate.thumbprint),
            None => format!("{id}: untrusted certificate: {said}"),
        })
    }
}

fn mode_name(counters: &counters::Writer<Counter>) -> &'static str {
    let number = u8::try_from(counters.get(Counter::Mode)).ok();
    number.and_then(Mode::from_number).map_or("unknown", Mode::name)
}

fn wish(request: &Request) -> &'static str {
    match request {
        Request::Describe => "describe",
        Request::Status => "status",
        Request::Segment { .. } => "a segment",
        Request::JoinAsLearner { .. } => "to join as learner",
        Request::StandBy => "to stand by",
        Request::Act { act, .. } => act.name(),
        Request::HandBack { .. } => "to hand back a setpoint",
        Request::SiteFile => "the site file",
        Request::SaveFlight { .. } => "to save a flight",
        Request::Configure { .. } => "to configure",
    }
}

/// The number of a user given by name or number; unknown names permit nobody.
fn user_id(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let passwd = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_loop::RefusedCertificate;

    #[test]
    fn users_are_known_by_name_and_by_number_and_unknown_ones_permit_nobody() {
        assert_eq!(user_id("root"), Some(0));
        assert_eq!(user_id("1234"), Some(1234));
        assert_eq!(user_id("nobody-of-this-name"), None);
    }

    #[test]
    fn a_certificate_that_is_refused_is_told_once_and_again_when_it_is_another_one_or_for_another_reason() {
        let site = rt_config::parse(rt_config::example(), "site.yaml".as_ref()).unwrap().site;
        let mut wired = Wired::new(&site, 0, &site.connections[0]);
        let told = |wired: &mut Wired, shown: Option<(&str, Option<&str>)>| {
            let certificate = shown.map(|(thumbprint, fault)| RefusedCertificate {
                thumbprint: thumbprint.to_owned(),
                der: Vec::new(),
                fault: fault.map(str::to_owned),
            });
            wired.refusal(&ConnectFailure { message: "it is refused".to_owned(), certificate })
        };
        assert_eq!(told(&mut wired, None), None);
        let first = told(&mut wired, Some(("ab", None))).unwrap();
        assert!(first.starts_with(&format!("{}: untrusted certificate: ", wired.status.id)), "{first}");
        assert_eq!(told(&mut wired, Some(("ab", None))), None);
        assert_eq!(told(&mut wired, None), None);
        assert!(told(&mut wired, Some(("cd", None))).is_some());
        // A person trusts it, and it is refused all the same.
        let id = wired.status.id.clone();
        let expired = told(&mut wired, Some(("cd", Some("it expired")))).unwrap();
        assert_eq!(expired, format!("{id}: refused certificate: it expired (cd)"));
        assert_eq!(told(&mut wired, Some(("cd", Some("it expired")))), None);
    }
}

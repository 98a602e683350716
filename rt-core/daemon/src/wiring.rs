//! Who is wired to whom. Read it from top to bottom to see the process being put together, run and taken apart.

use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, bounded};
use io_loop::{FieldBus, IoLoop, Rights, news, sets};
use policy::file::{Purpose, Trust};
use policy::kernels::Kernel;
use policy::pipeline::Columns;
use policy::trial::Succession;
use policy::{AdoptedPolicy, PolicySpec};
use rt_config::{Connection, Site, Tag};
use rt_control::{Address, Description, PROTOCOL, Server, TagInfo, default_runtime_dir};
use rt_core::changes::ChangeSet;
use rt_core::cycle::REPORTS_PER_CYCLE_MAX;
use rt_core::ports::{Clock as _, Command, FieldReport};
use rt_core::record::Event;
use rt_core::time::Period;
use rt_sys::{Cpus, Granted, Lifeline, MonotonicClock, Placement, RealtimeRequest};
use shm::broadcast;
use shm::lease::Lease;
use shm::spsc::{Consumer, Producer, channel};
use shm::{cell, counters};
use shm_layout::{Counter, EventKind};

use crate::adapters::{Line, Order};
use crate::arguments::Arguments;
use crate::control::{ControlLoop, Ends};
use crate::failure::Failure;
use crate::flight::{self, FlightRecorder};
use crate::io::{IoThread, Stop};
use crate::keeper::{
    Audit, Configuration, Expiry, Journal, Keeper, LeaseDesk, Lookout, Outlet, START_PATIENCE, Service, Steps, Warmth,
    Watched, WeightsDesk, Wire, describe_setpoints,
};
use crate::recorder::{self, Recorder};
use crate::segments::{self, Meter, Records, Shelf, Writers};
use crate::state::{self, Start};
use crate::tenure::Tenure;

/// Orders of the keeper that may wait for the control thread.
const ORDERS_WAITING_MAX: usize = 64;
/// Events of the control thread that may wait for the keeper.
const EVENTS_WAITING_MAX: usize = 1024;
/// How long a thread may take to say what the kernel granted it.
const GRANT_PATIENCE: Duration = Duration::from_secs(5);
/// What the real-time threads need of a CPU: the control thread may spin for a quarter of each period, and its cycle and the
/// io thread may share the CPU with it.
const THROTTLE_SHARE_MIN: f64 = 0.5;
/// What the out-of-memory killer shall think of this process.
const OOM_SCORE: i16 = -900;

/// Puts the runtime together, runs it until something asks it to stop, and takes it apart in order.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    // Before any thread exists, so that all of them have the signals blocked.
    let lifeline = Lifeline::new(arguments.tether).map_err(Failure::resource("the signal descriptor"))?;
    let Start { site, text, audit, kept, starts, directory, said } = state::start(&arguments.config)?;
    let runtime_dir = arguments.runtime_dir.clone().unwrap_or_else(default_runtime_dir);
    let address = Address::new(&runtime_dir, &site.name, &site.agent_name, &site.instance)?;
    let server = Server::bind(&address)?;
    let manager =
        rt_sys::ServiceManager::from_environment().map_err(Failure::resource("the service manager's socket"))?;

    let n_state = Columns::of(&site).len();
    let spec = PolicySpec::of(&site);
    let kernel = Kernel::best();
    let slot_words = policy::wire::slot_words(&spec).map_err(Failure::internal)?;
    let (first_policy, of_file) = first_policy(&site, &spec)?;
    let policies = Succession::new(&site, &spec, &first_policy, kernel).map_err(Failure::internal)?;
    let (shelf, writers) = Shelf::create(&site, n_state).map_err(Failure::resource("the shared memory"))?;
    let Writers { records, events, meters, lease } = writers;
    let counters = records.counters.clone();
    let steps = Steps::new(records.steps.reader(broadcast::Start::Newest), records.step_layout);
    let flight = flight::at_rest(&site, arguments.site_file_name(), text.clone(), directory, &records, &events);
    let recording = recorder::begin(arguments, &site, text, kernel, &records)?;
    let (tape, scribe, keeper_slot) = unzip(recording);
    if let Some(slot) = &keeper_slot {
        slot.leave_policy(&first_policy);
    }

    let expiry = Expiry::of(&site);
    let clock = MonotonicClock::new();
    let plants = site.connections.iter().enumerate().map(|(index, connection)| {
        let bus = crate::plant::bus(&site, index, connection)?;
        Ok(Plant::new(&site, index, connection, bus, lease.lease.clone()))
    });
    let (lines, plants): (Vec<_>, Vec<_>) = plants.collect::<Result<Vec<_>, Failure>>()?.into_iter().unzip();
    let claims: Vec<_> = plants.iter().map(|plant| plant.claim.clone()).collect();
    let (heirs, heir) = cell::channel([None, None, None]);
    let tenure = Tenure::new(lease.lease.clone(), heir, claims.iter().flatten().cloned().collect());
    let AtRest { control, mut orders, changes, facts, adopted } = at_rest(&site, first_policy, records, lines, tenure)?;
    let control = match tape {
        Some(tape) => control.recorded_on(tape),
        None => control,
    };

    let memory = rt_sys::lock_memory();
    if let Err(error) = rt_sys::set_oom_score_adj(OOM_SCORE) {
        tracing::warn!("this process is not protected when memory is short: {error} (grant CAP_SYS_RESOURCE)");
    }
    // Where it is not permitted, `corerl doctor` says what it costs.
    let _awake = rt_sys::CpusAwake::hold();
    let placement = Cpus::allowed().placement(site.runtime.control_cpu, site.runtime.io_cpu);
    let control = start_control(control, &site, &placement)?;
    let io: Vec<_> = plants
        .into_iter()
        .zip(meters)
        .map(|(plant, meter)| plant.start(&site, &placement, clock, counters.clone(), meter))
        .collect::<Result<_, _>>()?;

    let (io, watched) = split(io);
    let lookout = Lookout::new(control.watched, watched, memory.err(), site.runtime.period);
    let degraded = lookout.degraded().to_vec();
    counters.set(Counter::Degraded, degraded.len() as u64);
    if site.runtime.strict && !degraded.is_empty() {
        let _ = orders.push(Order::Stop);
        return Err(Failure::NotGranted(degraded.join("; ")));
    }

    let recorder = match scribe {
        Some(scribe) => Some(
            Recorder::start(scribe, &placement.others, clock, counters.clone())
                .map_err(Failure::resource("the recorder's thread"))?,
        ),
        None => None,
    };
    let flight = flight.map(|flight| FlightRecorder::start(flight, &placement.others, clock)).transpose();
    let flight = flight.map_err(Failure::resource("the flight recorder's thread"))?;

    // A start that was refused has not died.
    let restless = state::restless(&starts, &site);
    let mut lease_desk = LeaseDesk::new(lease, heirs, address.clone(), &site, claims, restless.is_none());
    lease_desk.begin(&server, clock.now());
    let audit = Audit::start(audit, &placement.others).map_err(Failure::resource("the audit log's thread"))?;
    let mut journal = Journal::new(events, clock, audit, counters.clone(), setpoint_names(&site));
    announce(&mut journal, &site, &degraded, &server);
    for said in said.into_iter().chain(of_file) {
        journal.note(EventKind::Configured, &said);
    }
    if let Some(restless) = &restless {
        journal.note(EventKind::Fault, restless);
        tracing::error!(
            "it keeps dying, so nobody but an operator arms it: `corerl agent arm`, when the reason is found"
        );
        let _ = orders.push(Order::Command(Command::Release));
    } else if let Some(by) = armed_by(arguments, &site)
        && may_arm(&mut journal, by)
    {
        let _ = orders.push(Order::Command(Command::Arm));
    }
    let host = rt_sys::Host::read();
    warn_of_throttling(&host, &site);
    let outlet = Outlet { adopted, recorded: keeper_slot };
    let desk = WeightsDesk::new(site.clone(), policies, slot_words, steps, outlet, counters.clone(), clock);
    let service = Service::new(
        describe(&site),
        shelf,
        degraded,
        host.preemption.value.map_or("unknown".to_owned(), |mode| format!("{mode:?}").to_lowercase()),
        Configuration::new(site, arguments.config.clone(), kept, changes),
    );
    let Io { wires, stops, handles } = io;
    let mut keeper = Keeper {
        clock,
        lifeline,
        manager,
        server,
        orders,
        events: facts,
        wires,
        counters,
        lookout,
        desk,
        journal,
        lease: lease_desk,
        service,
        callers: Vec::new(),
        complained: None,
        warm: Warmth::Cold,
        recorder,
        flight,
        expiry,
    };
    keeper.run();

    for mut stop in stops {
        let _ = stop.push(Stop);
    }
    keeper.wind_up(|| control.thread.is_finished() && handles.iter().all(JoinHandle::is_finished));
    // Were it left there, the next start would count it: that is the safe side.
    let _ = rt_state::starts::forget(&starts);
    Ok(())
}

/// The three ends of a recording, or three times nothing.
fn unzip<A, B, C>(all: Option<(A, B, C)>) -> (Option<A>, Option<B>, Option<C>) {
    match all {
        Some((a, b, c)) => (Some(a), Some(b), Some(c)),
        None => (None, None, None),
    }
}

/// The control loop before its thread is started, and the ends of its rings that others hold.
pub(crate) struct AtRest {
    pub(crate) control: ControlLoop,
    pub(crate) orders: Producer<Order>,
    pub(crate) changes: cell::Writer<Box<ChangeSet>>,
    pub(crate) facts: Consumer<Event>,
    pub(crate) adopted: cell::Writer<AdoptedPolicy>,
}

/// Puts the control loop together.
pub(crate) fn at_rest(
    site: &Site,
    first_policy: AdoptedPolicy,
    records: Records,
    lines: Vec<Line>,
    tenure: Tenure,
) -> Result<AtRest, Failure> {
    let (orders, ordered) = channel::<Order>(ORDERS_WAITING_MAX);
    let (events, facts) = channel(EVENTS_WAITING_MAX);
    let (adopted, networks) = cell::channel([first_policy.clone(), first_policy.clone(), first_policy]);
    let unchanged = Box::new(site.change_set(0).map_err(Failure::internal)?);
    let (changes, changing) = cell::channel([unchanged.clone(), unchanged.clone(), unchanged]);
    let ends = Ends { lines, orders: ordered, changes: changing, tenure, events, networks, records };
    let control = ControlLoop::new(site, Kernel::best(), MonotonicClock::new(), ends).map_err(Failure::internal)?;
    Ok(AtRest { control, orders, changes, facts, adopted })
}

/// The policy file that the site names, and what is to be told of it; or the nominal policy.
pub(crate) fn first_policy(site: &Site, spec: &PolicySpec) -> Result<(AdoptedPolicy, Option<String>), Failure> {
    let mut first = AdoptedPolicy::nominal(spec, site).map_err(Failure::internal)?;
    let Some(path) = &site.runtime.policy_file else { return Ok((first, None)) };
    let refused = |reason: String| Failure::Policy(format!("{}: {reason}", path.display()));
    let file = policy::file::load(path, &Purpose::of(site), &Trust::of(site));
    let file = file.map_err(|error| refused(error.to_string()))?;
    first.adopt(&file.weights()).map_err(|error| refused(error.to_string()))?;
    let signer = match &file.manifest().signature {
        Some(signature) => format!("signed with the key {}", signature.key),
        None => "signed by nobody".to_owned(),
    };
    let generation = file.manifest().origin.generation;
    Ok((first, Some(format!("policy of generation {generation} from {}, {signer}", path.display()))))
}

/// One connection before its thread is started.
pub(crate) struct Plant<B> {
    pub(crate) index: usize,
    pub(crate) io: IoLoop<B>,
    pub(crate) news: Receiver<io_loop::News>,
    /// Held while the plant shows our name, when it has a tag for that.
    pub(crate) claim: Option<Lease>,
    period: Period,
    phase: rt_core::time::Span,
}

impl<B: FieldBus + Send + 'static> Plant<B> {
    /// The control thread's end, and everything that the io thread will own.
    pub(crate) fn new(site: &Site, index: usize, connection: &Connection, bus: B, lease: Lease) -> (Line, Self) {
        let (reports, reported) = channel::<FieldReport>(4 * REPORTS_PER_CYCLE_MAX);
        let (sets, newest) = sets();
        let (teller, news) = news();
        let settings = crate::plant::settings(site, index, connection);
        let rights = Rights::new(lease, &settings);
        let claim = rights.claim.clone();
        let io = IoLoop::new(bus, &settings, reports, newest, teller, rights);
        let period = Period::from_ns(connection.io_period.as_ns()).unwrap_or(site.runtime.period);
        (Line::new(reported, sets), Self { index, io, news, claim, period, phase: connection.io_phase })
    }

    pub(crate) fn start(
        self,
        site: &Site,
        placement: &Placement,
        clock: MonotonicClock,
        counters: counters::Writer<Counter>,
        meter: Meter,
    ) -> Result<IoStarted, Failure> {
        let (stop, stopping) = channel(1);
        let (grant, granted) = bounded(1);
        let thread = IoThread {
            clock,
            period: self.period,
            phase: self.phase,
            io: self.io,
            stop: stopping,
            counters,
            meter,
            control_period: site.runtime.period,
        };
        let request = RealtimeRequest { cpu: placement.io, priority: Some(site.runtime.io_priority) };
        let handle = rt_sys::spawn_realtime("corerl-io", request, move |found| {
            let _ = grant.send((found, rt_sys::current_tid()));
            thread.run();
        })
        .map_err(Failure::resource("the io thread"))?;
        let watched = watched("io", &granted)?;
        Ok(IoStarted { watched, handle, stop, wire: Wire { index: self.index, news: self.news } })
    }
}

/// A started io thread.
pub(crate) struct IoStarted {
    pub(crate) watched: Watched,
    pub(crate) handle: JoinHandle<()>,
    pub(crate) stop: Producer<Stop>,
    wire: Wire,
}

/// The io threads, by what is done with them.
#[derive(Default)]
struct Io {
    wires: Vec<Wire>,
    stops: Vec<Producer<Stop>>,
    handles: Vec<JoinHandle<()>>,
}

fn split(started: Vec<IoStarted>) -> (Io, Vec<Watched>) {
    let (mut io, mut all) = (Io::default(), Vec::new());
    for IoStarted { watched, handle, stop, wire } in started {
        io.wires.push(wire);
        io.stops.push(stop);
        io.handles.push(handle);
        all.push(watched);
    }
    (io, all)
}

/// The started control thread.
pub(crate) struct ControlStarted {
    pub(crate) watched: Watched,
    pub(crate) thread: JoinHandle<()>,
}

pub(crate) fn start_control(
    control: ControlLoop,
    site: &Site,
    placement: &Placement,
) -> Result<ControlStarted, Failure> {
    let cpu_is_alone = placement.control_is_alone();
    let (grant, granted) = bounded(1);
    let request = RealtimeRequest { cpu: placement.control, priority: Some(site.runtime.control_priority) };
    let thread = rt_sys::spawn_realtime("corerl-control", request, move |found| {
        control.run(&found, cpu_is_alone, || {
            let _ = grant.send((found, rt_sys::current_tid()));
        });
    })
    .map_err(Failure::resource("the control thread"))?;
    Ok(ControlStarted { watched: watched("control", &granted)?, thread })
}

/// Waits until a new thread says what it was granted, and who it is.
fn watched(name: &'static str, granted: &Receiver<(Granted, i32)>) -> Result<Watched, Failure> {
    let (granted, tid) = granted
        .recv_timeout(GRANT_PATIENCE)
        .map_err(|_| Failure::Internal(format!("the {name} thread did not start")))?;
    Watched::new(name, tid, granted).map_err(Failure::resource("a thread's state"))
}

/// The kernel stops real-time threads that use up their share of a CPU; control may use what it spins, and a cycle.
fn warn_of_throttling(host: &rt_sys::Host, site: &Site) {
    if let Some(limit) = host.throttling.value.filter(|limit| limit.share() < THROTTLE_SHARE_MIN) {
        tracing::warn!(
            period_us = site.runtime.period.as_ns() / 1000,
            "the kernel stops real-time threads beyond {:.0} % of a CPU ({}): with less than {:.0} %, cycles may be lost",
            100.0 * limit.share(),
            host.throttling.source,
            100.0 * THROTTLE_SHARE_MIN
        );
    }
}

/// What arms the runtime at its start, if anything does.
fn armed_by(arguments: &Arguments, site: &Site) -> Option<&'static str> {
    match (arguments.arm, site.runtime.rearms) {
        (true, _) => Some("the command line: --arm"),
        (false, true) => Some("the site file: runtime.rearm"),
        (false, false) => None,
    }
}

/// Arms at the start as by the socket: recorded first, or not at all.
fn may_arm(journal: &mut Journal, by: &str) -> bool {
    let uid = rustix::process::getuid().as_raw();
    let entry = journal.entry(EventKind::Command).uid(uid).text(&format!("arm by {by}"));
    let recorded = entry.require(START_PATIENCE);
    if let Err(reason) = &recorded {
        tracing::error!("not armed by {by}: {reason}; `corerl agent arm` arms when the log can be written");
    }
    recorded.is_ok()
}

fn announce(journal: &mut Journal, site: &Site, degraded: &[String], server: &Server) {
    let pid = u64::from(std::process::id());
    let text = format!("{} {}/{}", env!("CARGO_PKG_VERSION"), site.name, site.agent_name);
    journal.entry(EventKind::Started).numbers(pid, 0).text(&text).publish();
    let place = if server.leads() { "leads" } else { "stands by: another runtime leads" };
    tracing::info!("{place}, control socket {}", server.address().socket().display());
    if site.lab {
        tracing::warn!("lab: unencrypted connections and unsigned policies are permitted");
    }
    for reason in degraded {
        journal.entry(EventKind::Degraded).text(reason).publish();
    }
}

fn setpoint_names(site: &Site) -> Vec<String> {
    describe_setpoints(site).into_iter().map(|setpoint| setpoint.name).collect()
}

fn tag_info(tag: &Tag) -> TagInfo {
    let has_zones = tag.yellow_bounds.is_some() || tag.red_bounds.is_some();
    TagInfo { name: tag.name.clone(), unit: tag.unit.clone(), has_zones }
}

fn describe(site: &Site) -> Description {
    Description {
        protocol: PROTOCOL,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        site: site.name.clone(),
        agent: site.agent_name.clone(),
        instance: site.instance.clone(),
        pid: std::process::id(),
        run: segments::run(),
        lab: site.lab,
        period_ns: site.runtime.period.as_ns(),
        obs_period_ns: site.interaction.obs_period.as_ns(),
        action_period_ns: site.interaction.action_period.as_ns(),
        tags: site.tags.iter().map(tag_info).collect(),
        setpoints: describe_setpoints(site),
        columns: Columns::of(site).as_slice().iter().map(|column| column.name.clone()).collect(),
        tag_list_hash: site.tag_list_hash(),
    }
}

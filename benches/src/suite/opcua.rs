//! A cycle's I/O over OPC UA on the loopback interface: reading 50 doubles and writing 8, against TCP alone.
//!
//! The server is `corerl-plant` of the same build, which stands on async-opcua; its nodes are read several times to make
//! 50, and one is written 8 times. The floor sends as many bytes there and back as the session does, to a process that
//! answers at once: two round trips for Write and then Read, one for both together (`paired`). The client has one CPU,
//! whoever answers the other.

use std::cell::RefCell;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use rt_core::ports::Clock as _;
use rt_daemon::Clocks;
use rt_sys::{MonotonicClock, guard};
use serde::Deserialize;
use ua_session::{
    ApplicationInstance, KeyWorker, MessageMode, Names, ReadPlan, ReadValue, ScalarKind, Security, SecurityPolicy,
    Session, Target, Trust, WritePlan,
};

use crate::harness::{Contest, Row, Seats, nanoseconds_of};
use crate::helper::Helper;

const READ: usize = 50;
const WRITTEN: usize = 8;
const ROUNDS: usize = 30;
const SAMPLES_PER_ROUND: usize = 100;
const CALL_MAX_NS: u64 = 2_000_000_000;
const CONNECT_MAX_NS: u64 = 10_000_000_000;
const APPLICATION_URI: &str = "urn:corerl:bench";
/// What of the plant holds doubles; the first is written.
const NODES: [&str; 4] = ["saturation.u", "saturation.level", "saturation.level_sp", "saturation.Time"];

/// Bytes of a request and of its answer.
type Sizes = (usize, usize);

pub(super) fn run() -> Result<Vec<Row>, String> {
    let directory = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut rows = Vec::new();
    for encrypted in [false, true] {
        rows.extend(measure(encrypted, directory.path())?);
    }
    Ok(rows)
}

fn measure(encrypted: bool, directory: &Path) -> Result<Vec<Row>, String> {
    let seats = Seats::take();
    let plant = seats.for_others(|| Plant::start(encrypted, directory))?;
    let (write, read) = sizes(&plant)?;
    let (_helper, mut two) = seats.for_others(|| Helper::answering([write, read]))?;
    let together = (write.0 + read.0, write.1 + read.1);
    let (_other_helper, mut one) = seats.for_others(|| Helper::answering([together; 2]))?;
    let client = RefCell::new(Client::connect(&plant, &plant.said.url)?);
    let standings = Contest::of_samples(ROUNDS, SAMPLES_PER_ROUND)
        .sample("floor", || nanoseconds_of(|| round_trips(&mut two, &[write, read])))
        .sample("floor of one", || nanoseconds_of(|| round_trips(&mut one, &[together])))
        .sample("sequential", || client.borrow_mut().timed(Client::sequential))
        .sample("paired", || client.borrow_mut().timed(Client::paired))
        .run();
    let client = client.into_inner();
    if client.failed > 0 {
        return Err(format!("{} calls failed", client.failed));
    }
    let security = if encrypted { "SignAndEncrypt" } else { "None" };
    let row = |what: &str| format!("{security}, {what}");
    let us = |what: &str, name: &str| Row::measured(row(what), standings.p50(name).times(1e-3), "us");
    let goal = |row: Row| if encrypted { row } else { row.at_most(1.5) };
    Ok(vec![
        Row::exact(row("bytes written and answered"), (write.0 + write.1) as f64, "B"),
        Row::exact(row("bytes of read and answer"), (read.0 + read.1) as f64, "B"),
        us("floor, two round trips, p50", "floor"),
        us("write, then read, p50", "sequential"),
        Row::measured(row("write, then read, p99"), standings.p99("sequential").times(1e-3), "us"),
        goal(Row::ratio(row("write, then read : floor"), standings.ratio("sequential", "floor"))),
        us("floor, one round trip, p50", "floor of one"),
        us("paired, p50", "paired"),
        Row::measured(row("paired, p99"), standings.p99("paired").times(1e-3), "us"),
        goal(Row::ratio(row("paired : floor"), standings.ratio("paired", "floor of one"))),
        Row::ratio(row("control"), standings.control()).note("the floor against itself"),
        Row::exact(row("allocations in all calls"), client.allocations as f64, "").at_most(0.0),
    ])
}

/// The simulated plant as a process.
struct Plant {
    _process: Helper,
    said: Announcement,
    security: Security,
}

/// What it says when it is ready.
#[derive(Deserialize)]
struct Announcement {
    url: String,
    certificate: Option<PathBuf>,
}

impl Plant {
    fn start(encrypted: bool, directory: &Path) -> Result<Self, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?.with_file_name("corerl-plant");
        let mut command = Command::new(program);
        command.args(["--plant", "saturation", "--port", "0", "--json", "--tether"]);
        if encrypted {
            command.args(["--security", "encrypt", "--trust-all-clients", "--pki"]).arg(directory.join("plant"));
        }
        let process = Helper::spawn(command)?;
        let said = serde_json::from_str(process.line()).map_err(|error| error.to_string())?;
        let security = if encrypted { secured(directory)? } else { Security::None };
        Ok(Self { _process: process, said, security })
    }
}

fn secured(directory: &Path) -> Result<Security, String> {
    let hosts = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let names = Names {
        application_uri: APPLICATION_URI,
        common_name: "bench",
        organization: "",
        hosts: &hosts,
        valid_days: 2,
    };
    let application =
        ApplicationInstance::generate(&directory.join("client.der"), &directory.join("client.pem"), &names)
            .map_err(|error| error.to_string())?;
    let (policy, mode) = (SecurityPolicy::Basic256Sha256, MessageMode::SignAndEncrypt);
    Ok(Security::Secured { policy, mode, application: Arc::new(application) })
}

/// The session with its plans, buffers and counts.
struct Client {
    clock: MonotonicClock,
    session: Session,
    read: ReadPlan,
    write: WritePlan,
    values: [ReadValue; READ],
    wanted: [Option<f64>; WRITTEN],
    status: [u32; WRITTEN],
    allocations: u64,
    failed: u64,
}

impl Client {
    fn connect(plant: &Plant, url: &str) -> Result<Self, String> {
        let clock = MonotonicClock::new();
        let trust = Trust { pinned: plant.said.certificate.clone(), ..Trust::default() };
        let target = Target { security: plant.security.clone(), trust, ..Target::lab(url, APPLICATION_URI) };
        let deadline_ns = clock.now().as_ns() + CONNECT_MAX_NS;
        let worker = KeyWorker::start().map_err(|error| error.to_string())?;
        let session = Session::connect(&target, &worker, Arc::new(Clocks::default()), deadline_ns)
            .map_err(|error| error.to_string())?;
        let node = |name: &str| {
            let address = format!("nsu=urn:corerl:plant;s={name}").parse();
            session.resolve(&address.map_err(|error| format!("{name}: {error}"))?).map_err(|error| error.to_string())
        };
        let nodes = NODES.iter().map(|name| node(name)).collect::<Result<Vec<_>, _>>()?;
        let reads: Vec<_> = nodes.iter().cycle().take(READ).cloned().collect();
        let writes: Vec<_> = (0..WRITTEN).map(|_| (nodes[0].clone(), ScalarKind::Double)).collect();
        let read = session.prepare_read(&reads).map_err(|error| error.to_string())?;
        let write = session.prepare_write(&writes).map_err(|error| error.to_string())?;
        let values = [ReadValue::MISSING; READ];
        let mut client = Self {
            clock,
            session,
            read,
            write,
            values,
            wanted: [Some(0.25); WRITTEN],
            status: [0; WRITTEN],
            allocations: 0,
            failed: 0,
        };
        // The first calls grow the buffers.
        let warm = client.sequential() && client.paired() && client.all_good();
        if warm { Ok(client) } else { Err("the plant answers with bad values".to_owned()) }
    }

    fn all_good(&self) -> bool {
        self.values.iter().all(|value| value.status == 0 && value.value.is_finite()) && self.status == [0; WRITTEN]
    }

    fn deadline_ns(&self) -> u64 {
        self.clock.now().as_ns() + CALL_MAX_NS
    }

    fn write(&mut self) -> bool {
        let deadline_ns = self.deadline_ns();
        self.session.write(&mut self.write, &self.wanted, &mut self.status, deadline_ns).is_ok()
    }

    fn read(&mut self) -> bool {
        let deadline_ns = self.deadline_ns();
        self.session.read(&mut self.read, &mut self.values, deadline_ns).is_ok()
    }

    fn sequential(&mut self) -> bool {
        self.write() && self.read()
    }

    fn paired(&mut self) -> bool {
        let deadline_ns = self.deadline_ns();
        let Self { session, write, wanted, status, read, values, .. } = self;
        let exchange = session.exchange((write, wanted, status), (read, values), deadline_ns);
        exchange.write.is_ok() && exchange.read.is_ok()
    }

    /// What such a call takes, nanoseconds; allocations and failures are counted.
    fn timed(&mut self, call: impl FnOnce(&mut Self) -> bool) -> f64 {
        let before = guard::counts();
        guard::arm();
        let mut done = false;
        let took = nanoseconds_of(|| done = call(self));
        guard::disarm();
        self.allocations += guard::counts().since(before).total();
        self.failed += u64::from(!done || !self.all_good());
        took
    }
}

/// Requests and answers of these sizes, one after the other.
fn round_trips(stream: &mut TcpStream, sizes: &[Sizes]) {
    let mut buffer = [1; 16 * 1024];
    for (request, answer) in sizes {
        stream.write_all(&buffer[..*request]).expect("the helper lives as long as the contest");
        stream.read_exact(&mut buffer[..*answer]).expect("the helper lives as long as the contest");
    }
}

/// The sizes of a Write and of a Read with their answers, counted on their way through a relay.
fn sizes(plant: &Plant) -> Result<(Sizes, Sizes), String> {
    let server = plant.said.url.trim_start_matches("opc.tcp://").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (count, counted) = channel();
    thread::spawn(move || relay(&listener, &server, &count));
    let mut client = Client::connect(plant, &format!("opc.tcp://{address}"))?;
    total(&counted);
    let mut size_of =
        |call: fn(&mut Client) -> bool| if call(&mut client) { Ok(total(&counted)) } else { Err("a call failed") };
    Ok((size_of(Client::write)?, size_of(Client::read)?))
}

/// Passed on by the relay: to the server, or from it.
enum Passed {
    Request(usize),
    Answer(usize),
}

/// What was passed on since the last look. An answer is counted before it is passed on, so all of it is there.
fn total(counted: &Receiver<Passed>) -> Sizes {
    counted.try_iter().fold((0, 0), |(requests, answers), passed| match passed {
        Passed::Request(bytes) => (requests + bytes, answers),
        Passed::Answer(bytes) => (requests, answers + bytes),
    })
}

/// Passes on whatever comes in; a client connects more than once, first to discover the endpoints.
fn relay(listener: &TcpListener, server: &str, count: &Sender<Passed>) {
    for client in listener.incoming() {
        let Ok((client, server)) = client.and_then(|client| Ok((client, TcpStream::connect(server)?))) else { return };
        let (Ok(client_too), Ok(server_too)) = (client.try_clone(), server.try_clone()) else { return };
        let (requests, answers) = (count.clone(), count.clone());
        thread::spawn(move || pass_on(client_too, server_too, |bytes| drop(requests.send(Passed::Request(bytes)))));
        thread::spawn(move || pass_on(server, client, |bytes| drop(answers.send(Passed::Answer(bytes)))));
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, count: impl Fn(usize)) {
    let mut buffer = [0; 64 * 1024];
    let mut pass = || -> io::Result<usize> {
        let bytes = from.read(&mut buffer)?;
        count(bytes);
        to.write_all(&buffer[..bytes])?;
        Ok(bytes)
    };
    while pass().is_ok_and(|bytes| bytes > 0) {}
    let _ = to.shutdown(Shutdown::Write);
}

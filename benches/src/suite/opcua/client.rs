//! Our client.

use std::sync::Arc;
use std::time::Duration;

use rt_core::ports::Clock as _;
use rt_daemon::Clocks;
use rt_sys::{MonotonicClock, guard};
use ua_session::{KeyWorker, NodeId, ReadPlan, ReadValue, ScalarKind, Session, Target, Trust, WritePlan};

use super::server::{APPLICATION_URI, Server};
use super::{READ, WRITTEN};
use crate::harness::nanoseconds_of;

pub(super) const CALL_MAX_NS: u64 = 2_000_000_000;
const CONNECT_MAX_NS: u64 = 10_000_000_000;
/// What of the server holds doubles; the first is written.
const NODES: [&str; 4] = ["saturation.u", "saturation.level", "saturation.level_sp", "saturation.Reward"];

/// A session with the server at this address.
pub(super) fn connect(server: &Server, url: &str) -> Result<Session, String> {
    let trust = Trust { pinned: server.certificate.clone(), ..Trust::default() };
    let target = Target { security: server.security.clone(), trust, ..Target::lab(url, APPLICATION_URI) };
    let deadline_ns = MonotonicClock::new().now().as_ns() + CONNECT_MAX_NS;
    let worker = KeyWorker::start().map_err(|error| error.to_string())?;
    Session::connect(&target, &worker, Arc::new(Clocks::default()), deadline_ns).map_err(|error| error.to_string())
}

/// One of the plant's nodes.
pub(super) fn node(session: &Session, name: &str) -> Result<NodeId, String> {
    let address = format!("nsu=urn:corerl:plant;s={name}").parse().map_err(|error| format!("{name}: {error}"))?;
    session.resolve(&address).map_err(|error| error.to_string())
}

/// The session with its plans, buffers and counts.
pub(super) struct Client {
    clock: MonotonicClock,
    session: Session,
    read: ReadPlan,
    write: WritePlan,
    values: [ReadValue; READ],
    wanted: [Option<f64>; WRITTEN],
    status: [u32; WRITTEN],
    pub(super) allocations: u64,
    pub(super) failed: u64,
}

impl Client {
    /// One that looks for each answer for so long before it sleeps.
    pub(super) fn connect(server: &Server, url: &str, spin: Duration) -> Result<Self, String> {
        let clock = MonotonicClock::new();
        let mut session = connect(server, url)?;
        session.spin_for(spin);
        let nodes = NODES.iter().map(|name| node(&session, name)).collect::<Result<Vec<_>, _>>()?;
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
        if warm { Ok(client) } else { Err("the server answers with bad values".to_owned()) }
    }

    fn all_good(&self) -> bool {
        self.values.iter().all(|value| value.status == 0 && value.value.is_finite()) && self.status == [0; WRITTEN]
    }

    fn deadline_ns(&self) -> u64 {
        self.clock.now().as_ns() + CALL_MAX_NS
    }

    pub(super) fn write(&mut self) -> bool {
        let deadline_ns = self.deadline_ns();
        self.session.write(&mut self.write, &self.wanted, &mut self.status, deadline_ns).is_ok()
    }

    pub(super) fn read(&mut self) -> bool {
        let deadline_ns = self.deadline_ns();
        self.session.read(&mut self.read, &mut self.values, deadline_ns).is_ok()
    }

    pub(super) fn sequential(&mut self) -> bool {
        self.write() && self.read()
    }

    pub(super) fn paired(&mut self) -> bool {
        let deadline_ns = self.deadline_ns();
        let Self { session, write, wanted, status, read, values, .. } = self;
        let exchange = session.exchange((write, wanted, status), (read, values), deadline_ns);
        exchange.write.is_ok() && exchange.read.is_ok()
    }

    /// What such a call takes, nanoseconds; allocations and failures are counted.
    pub(super) fn timed(&mut self, call: impl FnOnce(&mut Self) -> bool) -> f64 {
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

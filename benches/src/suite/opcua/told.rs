//! Many values that the server tells when they change, taken in on the grid of an io thread.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rt_core::ports::Clock as _;
use rt_sys::{MonotonicClock, guard};
use rustix::time::{ClockId, clock_gettime};
use ua_session::{Session, Subscription, SubscriptionTally};

use super::client::{self, CALL_MAX_NS};
use super::server::Server;
use crate::harness::{Estimate, Row, Seats};
use crate::peer::{Peer, Role, with_role};

const ITEMS: usize = 1_000;
const EVERY: Duration = Duration::from_millis(10);
const ROUNDS: usize = 20;
const CYCLES_PER_ROUND: u32 = 50;
/// Cycles before them, in which buffers grow.
const UNHEEDED: u32 = 100;
/// The share of a core that they may take.
const SHARE_MAX: f64 = 0.04;

/// Rows about a thousand values a hundred times a second; none without open62541's server, which alone has them.
pub(super) fn measure(encrypted: bool, peers: &[Peer], directory: &Path) -> Result<Vec<Row>, String> {
    if with_role(peers, Role::Open62541Server).is_none() {
        return Ok(Vec::new());
    }
    let seats = Seats::take();
    let server = seats.for_others(|| Server::start(encrypted, ITEMS, peers, directory))?;
    let mut listener = Listener::start(&server)?;
    listener.listen(UNHEEDED)?;
    let before = (listener.tally()?, guard::counts(), Instant::now());
    // What is counted are the session's allocations, not ours.
    let mut shares = Vec::with_capacity(ROUNDS);
    guard::arm();
    shares.extend((0..ROUNDS).map(|_| listener.listen(CYCLES_PER_ROUND)));
    guard::disarm();
    let shares = shares.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (tally, seconds) = (listener.tally()?, before.2.elapsed().as_secs_f64());
    let gaps = tally.lost - before.0.lost + (tally.overflows - before.0.overflows);
    let allocations = guard::counts().since(before.1).total();
    let told = format!("{}, {ITEMS} values told at 100 Hz", if encrypted { "SignAndEncrypt" } else { "None" });
    Ok(vec![
        Row::measured(format!("{told}, share of a core"), Estimate::of(&shares), "").at_most(SHARE_MAX),
        Row::exact(format!("{told}, values a second"), ((tally.values - before.0.values) as f64 / seconds).round(), ""),
        Row::exact(format!("{told}, values or messages lost"), gaps as f64, "").at_most(0.0),
        Row::exact(format!("{told}, allocations"), allocations as f64, "").at_most(0.0),
    ])
}

struct Listener {
    session: Session,
    clock: MonotonicClock,
}

impl Listener {
    fn start(server: &Server) -> Result<Self, String> {
        let (clock, mut session) = (MonotonicClock::new(), client::connect(server, &server.url)?);
        let names = (0..ITEMS).map(|item| format!("saturation.item.{item}"));
        let nodes = names.map(|name| client::node(&session, &name)).collect::<Result<Vec<_>, _>>()?;
        let deadline_ns = clock.now().as_ns() + CALL_MAX_NS;
        session.subscribe(&nodes, EVERY, deadline_ns).map_err(|error| error.to_string())?;
        let refused =
            session.subscription().map_or(0, |told| told.accepted().iter().filter(|status| **status != 0).count());
        if refused == 0 {
            Ok(Self { session, clock })
        } else {
            Err(format!("the server refuses to tell {refused} values"))
        }
    }

    /// The share of its time that this thread needed for so many cycles.
    fn listen(&mut self, cycles: u32) -> Result<f64, String> {
        let (began, cpu) = (Instant::now(), thread_time());
        for cycle in 1..=cycles {
            thread::sleep((began + EVERY * cycle).saturating_duration_since(Instant::now()));
            let deadline_ns = self.clock.now().as_ns() + CALL_MAX_NS;
            self.session.take_changes(deadline_ns).map_err(|error| error.to_string())?;
        }
        Ok((thread_time() - cpu).as_secs_f64() / began.elapsed().as_secs_f64())
    }

    fn tally(&self) -> Result<SubscriptionTally, String> {
        let told = self.session.subscription().filter(|told| told.over().is_none());
        told.map(Subscription::tally).ok_or_else(|| "the subscription has ended".to_owned())
    }
}

/// CPU time of this thread.
fn thread_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

//! A runtime as a test sees it: over its control socket, and through read-only shared memory.

use std::path::Path;
use std::time::Duration;

use hil::Forger;
use rt_control::{Address, Client, Status};
use shm::{Access, Segment, counters};
use shm_layout::{Counter, SegmentKind};

use crate::{Cycles, Events, Process, SiteFile, wait_for};

/// How long the control socket may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How long it may take to say whose it is; whoever was stopped does not.
const GLANCE: Duration = Duration::from_millis(500);

/// A running runtime, or a foreground parent with everything it starts.
pub struct Runtime {
    /// The process.
    pub process: Process,
    address: Address,
    /// The process is the runtime itself, and not its parent.
    alone: bool,
}

impl Runtime {
    pub(crate) fn new(process: Process, address: Address, alone: bool) -> Self {
        Self { process, address, alone }
    }

    /// Where the control socket is of whoever leads.
    pub fn socket(&self) -> &Path {
        self.address.socket()
    }

    /// A client, as soon as the runtime listens, wherever that is.
    pub fn client(&self) -> Client {
        wait_for("the control socket", || self.connect())
    }

    /// A learner that says what the test wants it to say, in the place of the present one.
    ///
    /// # Panics
    /// It is not admitted.
    pub fn forger(&self, site: &SiteFile) -> Forger {
        let site = rt_config::load(site.path()).expect("the rig's site").site;
        Forger::join(&mut self.client(), &site).expect("a grant")
    }

    fn connect(&self) -> Option<Client> {
        let ours = |address: &Address| {
            let described = Client::connect(address, GLANCE).ok()?.describe().ok()?;
            (!self.alone || described.pid == self.process.pid()).then(|| address.clone())
        };
        let address = ours(&self.address).or_else(|| ours(&self.address.standby()))?;
        Client::connect(&address, ANSWER).ok()
    }

    /// Its present state.
    pub fn status(&self) -> Status {
        wait_for("a status", || self.connect()?.status().ok())
    }

    /// Waits for a state in which `holds` is true.
    pub fn wait_for_status(&self, what: &str, holds: impl Fn(&Status) -> bool) -> Status {
        wait_for(what, || Some(self.status()).filter(&holds))
    }

    /// Waits until it is in this mode.
    pub fn wait_for_mode(&self, mode: &str) {
        self.wait_for_status(&format!("mode {mode}"), |status| status.mode == mode);
    }

    /// One of its segments, read-only.
    pub fn segment(&self, kind: SegmentKind) -> Segment {
        let descriptor = self.client().segment(kind.code()).expect("the runtime hands out its segments");
        Segment::attach(descriptor, Access::ReadOnly, kind).expect("a valid segment")
    }

    /// Its counters, live, and readable beyond its death.
    pub fn counters(&self) -> counters::Reader<Counter> {
        counters::Reader::new(&self.segment(SegmentKind::Counters)).expect("a segment of counters")
    }

    /// Its cycle records from now on.
    pub fn cycles(&self) -> Cycles {
        Cycles::new(&self.segment(SegmentKind::Cycles))
    }

    /// Its events from the first one on.
    pub fn events(&self) -> Events {
        Events::new(&self.segment(SegmentKind::Events))
    }
}

/// Waits until a counter has reached `at_least`.
pub fn wait_for_count(counters: &counters::Reader<Counter>, counter: Counter, at_least: u64) {
    wait_for(&format!("{} >= {at_least}", counter.name()), || (counters.get(counter) >= at_least).then_some(()));
}

/// Waits until so many more of something were counted.
pub fn wait_for_more(counters: &counters::Reader<Counter>, counter: Counter, more: u64) {
    wait_for_count(counters, counter, counters.get(counter) + more);
}

/// Asserts that the slots that a cycle ran in and those that were skipped add up to those that the clock says have passed.
/// To be asked after the end, because the counters are no snapshot.
///
/// # Panics
/// They do not.
pub fn assert_accounted(counters: &counters::Reader<Counter>) {
    let running_ns = counters.get(Counter::TimeLast).saturating_sub(counters.get(Counter::TimeFirst));
    let elapsed = running_ns / counters.get(Counter::Period) + 1;
    assert_eq!(counters.get(Counter::Cycles) + counters.get(Counter::SlotsSkipped), elapsed);
}

//! Who leads: the keeper's part of the lease. The control thread takes it and lets go of it, the io threads hold the claims;
//! here the address follows, the one who stands by finds the one who leads, and everything is written down.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rt_config::Site;
use rt_control::{Act, Address, CallError, Client, LeaseStatus, Server};
use rt_core::ports::{Clock, Command};
use rt_core::time::MonoTime;
use rt_sys::MonotonicClock;
use shm::lease::{Heir, Lease, State};
use shm::spsc::Producer;
use shm::{Access, Segment, SegmentKind, cell};
use shm_layout::EventKind;

use crate::adapters::Order;
use crate::keeper::{ACT_PATIENCE, Journal};
use crate::segments::SharedLease;
use crate::tenure::epoch_of;

/// How long the runtime that leads may take to answer; the keeper waits meanwhile.
const CALL_TIMEOUT: Duration = Duration::from_millis(100);
/// How long it may take to let go. With what it takes to record the wish before, less than the service manager's patience.
const LET_GO_TIMEOUT: Duration = Duration::from_millis(400);
/// Pause between two attempts to reach it.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(250);

/// Whoever leads while this runtime stands by.
struct Ahead {
    pid: u32,
    heir: Heir,
}

/// The claim of one connection.
struct Claimed {
    connection: String,
    claim: Lease,
    /// The epoch that was written down last; `None` when the loss was.
    noted: Option<u64>,
}

/// The keeper's part of the lease.
pub(crate) struct LeaseDesk {
    own: SharedLease,
    /// Hands the control thread whom to succeed.
    heirs: cell::Writer<Option<Heir>>,
    leader: Address,
    rearms: bool,
    /// It lets go unarmed, and is not armed for that.
    lets_go_unarmed: bool,
    leads: bool,
    /// The epoch that was written down last; zero when the loss was.
    noted_epoch: u64,
    /// By connection.
    claims: Vec<Option<Claimed>>,
    ahead: Option<Ahead>,
    behind: Option<u32>,
    next_attempt: Instant,
}

impl LeaseDesk {
    /// `claims`: by connection, where the plant has a tag for it. `rearms`: the site file may arm after a loss, too.
    pub(crate) fn new(
        own: SharedLease,
        heirs: cell::Writer<Option<Heir>>,
        leader: Address,
        site: &Site,
        claims: Vec<Option<Lease>>,
        rearms: bool,
    ) -> Self {
        let claims = claims.into_iter().zip(&site.connections);
        let claimed = |claim, connection: &str| Claimed { connection: connection.to_owned(), claim, noted: None };
        Self {
            claims: claims.map(|(claim, of)| Some(claimed(claim?, &of.id))).collect(),
            own,
            heirs,
            leader,
            rearms: rearms && site.runtime.rearms,
            lets_go_unarmed: false,
            leads: false,
            noted_epoch: 0,
            ahead: None,
            behind: None,
            next_attempt: Instant::now(),
        }
    }

    /// Takes the lease at the start, if nobody else leads.
    pub(crate) fn begin(&mut self, server: &Server, now: MonoTime) {
        self.leads = server.leads();
        if self.leads {
            self.own.lease.take(server.epoch_before() + 1, now.as_ns());
        }
    }

    /// One look at everything.
    pub(crate) fn turn(
        &mut self,
        server: &mut Server,
        orders: &mut Producer<Order>,
        journal: &mut Journal,
        clock: &MonotonicClock,
    ) {
        let held = epoch_of(&self.own.lease);
        let moved = match (server.leads(), held) {
            // The control thread has taken over.
            (false, Some(_)) => server.promote(&self.leader, true).map(drop),
            (false, None) => self.stand_by(server, clock),
            (true, None) if matches!(self.own.lease.state(), State::Taken { .. }) => {
                // Until the winner has moved to the agent's address there is no place for the loser.
                let _ = server.step_down();
                Ok(())
            }
            (true, _) => Ok(()),
        };
        if let Err(error) = moved {
            tracing::error!(%error, "the address of the agent cannot be taken");
        }
        if self.leads != server.leads() {
            self.leads = server.leads();
            (self.ahead, self.behind) = (None, None);
            *self.heirs.back_mut() = None;
            self.heirs.publish();
        }
        self.write_down(server, orders, journal);
        self.write_down_claims(orders, journal);
    }

    /// Waits for the death of whoever leads, and sees to it that the control thread can wait for everything else.
    fn stand_by(&mut self, server: &mut Server, clock: &MonotonicClock) -> Result<(), rt_control::BindError> {
        if server.promote(&self.leader, false)? {
            let buried = self.ahead.as_ref().and_then(|ahead| ahead.heir.bury());
            let epoch = buried.map_or(0, |succession| succession.epoch).max(server.epoch_before() + 1);
            // False when the control thread was faster.
            self.own.lease.take(epoch, clock.now().as_ns());
            return Ok(());
        }
        let over = |ahead: &Ahead| matches!(ahead.heir.state(), State::Vacant | State::Taken { .. });
        if self.ahead.as_ref().is_none_or(over) && Instant::now() >= self.next_attempt {
            self.next_attempt = Instant::now() + ATTEMPT_PAUSE;
            match self.join() {
                Ok(ahead) => {
                    tracing::info!("stands by for process {}", ahead.pid);
                    // What the one has claimed the other one goes on with.
                    self.own.lease.name(ahead.heir.claimant());
                    *self.heirs.back_mut() = Some(ahead.heir.clone());
                    self.heirs.publish();
                    self.ahead = Some(ahead);
                }
                Err(reason) => tracing::debug!("cannot stand by yet: {reason}"),
            }
        }
        Ok(())
    }

    fn join(&self) -> Result<Ahead, String> {
        let called = |error: CallError| error.to_string();
        let mut client = Client::connect(&self.leader, CALL_TIMEOUT).map_err(|error| error.to_string())?;
        let (pid, descriptor) = client.stand_by().map_err(called)?;
        let segment = Segment::attach(descriptor, Access::ReadWrite, SegmentKind::Lease);
        let segment = segment.map_err(|error| error.to_string())?;
        Ok(Ahead { pid, heir: Heir::new(&segment).map_err(|error| error.to_string())? })
    }

    /// A lease that was taken, let go or lost has a record, and whoever lost it arms again only if the site file says so.
    fn write_down(&mut self, server: &Server, orders: &mut Producer<Order>, journal: &mut Journal) {
        let epoch = epoch_of(&self.own.lease).unwrap_or(0);
        if epoch == self.noted_epoch || epoch != 0 && !server.leads() {
            return;
        }
        let before = std::mem::replace(&mut self.noted_epoch, epoch);
        // Another epoch is another lease: the one before was lost, if only between two looks.
        if before != 0 {
            journal.entry(EventKind::LeaseLost).numbers(before, 0).text(&self.how_it_went()).publish();
            if !std::mem::take(&mut self.lets_go_unarmed) && self.rearms {
                rearm(orders, journal);
            }
        }
        if epoch != 0 {
            if let Err(error) = server.write_epoch(epoch) {
                tracing::warn!(%error, "the epoch of the lease cannot be written down");
            }
            let text = format!("leads under epoch {epoch}");
            journal.entry(EventKind::LeaseTaken).numbers(epoch, before).text(&text).publish();
        }
    }

    /// The same for the claims.
    fn write_down_claims(&mut self, orders: &mut Producer<Order>, journal: &mut Journal) {
        let leads = epoch_of(&self.own.lease).is_some();
        for Claimed { connection, claim, noted } in self.claims.iter_mut().flatten() {
            let epoch = epoch_of(claim);
            if epoch == *noted {
                continue;
            }
            let before = std::mem::replace(noted, epoch);
            if let Some(before) = before {
                let who = match (epoch, leads) {
                    (Some(_), _) => "somebody else had",
                    (None, true) => "another machine has",
                    (None, false) => "whoever leads now has",
                };
                let text = format!("{who} the lease of {connection}");
                journal.entry(EventKind::LeaseLost).numbers(before, 0).text(&text).publish();
                if leads && self.rearms {
                    rearm(orders, journal);
                }
            }
            if let Some(epoch) = epoch {
                let text = format!("has the lease of {connection} under epoch {epoch}");
                journal.entry(EventKind::LeaseTaken).numbers(epoch, before.unwrap_or(0)).text(&text).publish();
            }
        }
    }

    fn how_it_went(&self) -> String {
        match self.own.lease.state() {
            State::Taken { by } => format!("taken over under epoch {by}"),
            State::Held { .. } => "lost, and taken anew".to_owned(),
            _ => "let go for the runtime that stands by".to_owned(),
        }
    }

    /// Somebody may have removed the files of the address: then the next runtime would believe that nobody leads.
    pub(crate) fn guard_the_address(&mut self, server: &mut Server) {
        if epoch_of(&self.own.lease).is_none() || server.is_in_place() {
            return;
        }
        match server.restore() {
            Ok(()) => tracing::warn!("the files of the control socket were removed, and are there again"),
            Err(error) => {
                tracing::error!(%error, "another runtime has the address: the lease is given up");
                self.own.lease.heir().bury();
            }
        }
    }

    /// Whose the plant is.
    pub(crate) fn status(&self) -> LeaseStatus {
        let epoch = epoch_of(&self.own.lease).unwrap_or(0);
        let partner = if self.leads { self.behind } else { self.ahead.as_ref().map(|ahead| ahead.pid) };
        LeaseStatus { leads: self.leads, epoch, partner }
    }

    /// Whether the plant of this connection shows our name; `None` when it has no tag for that.
    pub(crate) fn claimed(&self, connection: usize) -> Option<bool> {
        let claimed = self.claims.get(connection)?.as_ref()?;
        Some(epoch_of(&claimed.claim).is_some())
    }

    /// The lease for process `pid`, which stands by from now on; `None` when there is none to hand out.
    pub(crate) fn admit(&mut self, pid: u32) -> Option<BorrowedFd<'_>> {
        epoch_of(&self.own.lease)?;
        self.behind = Some(pid);
        Some(self.own.segment.as_fd())
    }

    /// Whether process `pid` is the one that stands by.
    pub(crate) fn is_behind(&self, pid: u32) -> bool {
        self.leads && self.behind == Some(pid)
    }

    /// The control thread is about to let go: what an operator disarmed stays so, whatever the site file says of losses.
    pub(crate) fn lets_go(&mut self, armed: bool) {
        self.lets_go_unarmed = !armed;
    }

    /// Asks whoever leads to let go; `None` when this runtime leads itself.
    pub(crate) fn ask_for_it(&self, cause: &str) -> Option<Result<String, CallError>> {
        let ask = || Client::connect(&self.leader, LET_GO_TIMEOUT)?.act(Act::HandOver, cause);
        (!self.leads).then(ask)
    }
}

/// Arms again after a loss, as the site file wants it: recorded first, or not at all.
fn rearm(orders: &mut Producer<Order>, journal: &mut Journal) {
    let entry = journal.entry(EventKind::Command).text("arm by the site file: runtime.rearm");
    match entry.require(ACT_PATIENCE) {
        Ok(()) => drop(orders.push(Order::Command(Command::Arm))),
        Err(reason) => tracing::error!("not armed by runtime.rearm: {reason}"),
    }
}

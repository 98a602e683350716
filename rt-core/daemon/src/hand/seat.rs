//! The place of the one who writes: a hand takes it as a second runtime of the agent would, and gives it back by going away.
//!
//! While a disarmed runtime leads, it is asked to let go; it stands by meanwhile, and leads again when the process that has the
//! address is gone, however it went. Without a runtime the address is free, and one that starts meanwhile stands by. So no
//! runtime of this machine writes while a hand does, and nobody else can take the lease, which is never handed out.

use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use rt_control::{
    Act, Address, Answer, BindError, Client, ConnectError, Conversation, Received, Refusal, Server, Status,
};
use rt_core::ports::Clock as _;
use rt_sys::MonotonicClock;
use shm::lease::{Heir, Lease, State};
use shm::{Access, Segment};
use shm_layout::SegmentKind;

use super::error::HandError;
use crate::tenure::epoch_of;

/// How long the runtime may take for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take to let go of the lease, and to make room.
const LET_GO_TIMEOUT: Duration = Duration::from_secs(2);
/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// How long a caller may take to say what it wants.
const CALLER_PATIENCE: Duration = Duration::from_millis(10);

/// The agent's address and the lease of its plant, for as long as it lives.
#[derive(Debug)]
pub(super) struct Seat {
    server: Server,
    lease: Lease,
}

impl Seat {
    /// Takes it. `lease` is held from then on, and known to nobody else.
    ///
    /// # Errors
    /// See [`HandError`]; whoever had it before has it then.
    pub(super) fn take(
        lease: &Lease,
        address: &Address,
        cause: &str,
        clock: &MonotonicClock,
    ) -> Result<Self, HandError> {
        check_user(address)?;
        let mut server = Server::bind(address).map_err(refused)?;
        if server.leads() {
            lease.take(server.epoch_before() + 1, clock.now().as_ns());
        } else {
            succeed(lease, address, cause, clock)?;
            server.promote(address, true).map_err(refused)?;
            wait_for_room(address);
        }
        let written = server.write_epoch(epoch_of(lease).unwrap_or_default());
        written.map_err(|error| HandError::Lease(error.to_string()))?;
        Ok(Self { server, lease: lease.clone() })
    }

    /// The lease holds for another term, and the address is still ours.
    ///
    /// # Errors
    /// Somebody has removed or taken the files of the address.
    pub(super) fn renew(&self, clock: &MonotonicClock) -> Result<(), HandError> {
        let held = self.server.is_in_place() && self.lease.renew(clock.now().as_ns()).is_some();
        held.then_some(()).ok_or_else(|| HandError::Ousted { path: self.server.address().lock().display().to_string() })
    }

    /// Tells everybody who calls within this time that the plant is in a person's hand.
    pub(super) fn attend(&self, timeout: Duration) {
        let until = Instant::now() + timeout;
        while let Ok(Some(caller)) = self.server.accept(until.saturating_duration_since(Instant::now())) {
            turn_away(caller);
        }
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
    }
}

fn turn_away(mut caller: Conversation) {
    if let Received::Request(_) = caller.receive(CALLER_PATIENCE) {
        let message = format!(
            "process {} writes setpoints by hand (`corerl io write`): the runtime leads again when it has ended",
            std::process::id()
        );
        // Whoever does not listen asks again.
        let _ = caller.answer(&Answer::Refused(Refusal::NotNow { message }), &[]);
    }
}

/// The lock file of another user could not be locked by the runtime again.
fn check_user(address: &Address) -> Result<(), HandError> {
    let own = rustix::process::geteuid().as_raw();
    match std::fs::metadata(address.lock()).map(|lock| lock.uid()) {
        Ok(uid) if uid != own => Err(HandError::OtherUser { uid }),
        _ => Ok(()),
    }
}

fn refused(error: BindError) -> HandError {
    match error {
        BindError::Held { .. } => HandError::Busy(error),
        BindError::Io { .. } => HandError::Address(error),
    }
}

/// Takes over from the runtime that leads, unless it is armed. One that was armed meanwhile takes its offer back, armed.
fn succeed(lease: &Lease, address: &Address, cause: &str, clock: &MonotonicClock) -> Result<(), HandError> {
    let mut client = Client::connect(address, CALL_TIMEOUT).map_err(rt_control::CallError::from)?;
    let Status { armed, .. } = client.status()?;
    if armed {
        return Err(HandError::Armed);
    }
    let unusable = |error: &dyn std::fmt::Display| HandError::Lease(error.to_string());
    let (_, descriptor) = client.stand_by()?;
    let segment =
        Segment::attach(descriptor, Access::ReadWrite, SegmentKind::Lease).map_err(|error| unusable(&error))?;
    let heir = Heir::new(&segment).map_err(|error| unusable(&error))?;
    client.act(Act::HandOver, cause)?;
    wait_for_offer(&heir)?;
    // What the one has claimed the other one goes on with.
    lease.name(heir.claimant());
    let succession = heir.succeed(clock.now().as_ns()).ok_or_else(|| unusable(&"it was taken back"))?;
    lease.take(succession.epoch, clock.now().as_ns());
    Ok(())
}

fn wait_for_offer(heir: &Heir) -> Result<(), HandError> {
    let until = Instant::now() + LET_GO_TIMEOUT;
    while Instant::now() < until {
        match heir.state() {
            State::Offered { armed: false, .. } => return Ok(()),
            State::Offered { armed: true, .. } => return Err(HandError::Armed),
            State::Held { .. } => std::thread::sleep(LOOK_EVERY),
            State::Vacant | State::Taken { .. } => break,
        }
    }
    Err(HandError::Lease("it is not let go".to_owned()))
}

/// Until it stands by, the runtime would not find the epoch that was written down for it.
fn wait_for_room(address: &Address) {
    let until = Instant::now() + LET_GO_TIMEOUT;
    let standby = address.standby();
    while matches!(Client::connect(&standby, CALL_TIMEOUT), Err(ConnectError::NotRunning { .. }))
        && Instant::now() < until
    {
        std::thread::sleep(LOOK_EVERY);
    }
}

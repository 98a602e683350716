//! Rings behind the ports of the cycle. Everything here is called by the control thread unless it says otherwise.

use io_loop::SetSender;
use policy::{AdoptedPolicy, NOMINAL_GENERATION, PolicySource};
use rt_core::changes::ChangeSet;
use rt_core::ports::{Command, Commands, Field, FieldReport, Recorder};
use rt_core::record::{CycleView, Event, Flags};
use rt_core::setpoint::SetpointSet;
use rt_core::time::MonoTime;
use rt_recording::CycleRecords;
use shm::spsc::{Consumer, Producer};
use shm::{broadcast, cell};
use shm_layout::CycleLayout;

use crate::tenure::Tenure;

/// One connection as the control thread sees it.
pub struct Line {
    reports: Consumer<FieldReport>,
    sets: SetSender,
    up: bool,
}

impl Line {
    /// A connection that is down, until a report says otherwise.
    pub fn new(reports: Consumer<FieldReport>, sets: SetSender) -> Self {
        Self { reports, sets, up: false }
    }
}

/// All connections: reports are taken in turns, a set goes to each of them, and the link is up when all are.
pub(crate) struct Lines {
    lines: Box<[Line]>,
    next: usize,
    link: bool,
}

impl Lines {
    pub(crate) fn new(lines: Vec<Line>) -> Self {
        Self { lines: lines.into(), next: 0, link: false }
    }

    /// Takes note that the line in turn came up or went down; what this means for all of them, when it changes that.
    fn note_link(&mut self, up: bool) -> Option<bool> {
        if let Some(line) = self.lines.get_mut(self.next) {
            line.up = up;
        }
        let link = self.lines.iter().all(|line| line.up);
        let changed = link != self.link;
        self.link = link;
        changed.then_some(link)
    }
}

impl Field for Lines {
    // Inlined, and the report looked at where it is: a copy on the way costs more than taking it out of the ring.
    #[inline]
    fn next_report(&mut self) -> Option<FieldReport> {
        for _ in 0..self.lines.len() {
            while let Some(report) = self.lines.get_mut(self.next).and_then(|line| line.reports.pop()) {
                let FieldReport::Link(up) = &report else { return Some(report) };
                if let Some(link) = self.note_link(*up) {
                    return Some(FieldReport::Link(link));
                }
            }
            self.next = if self.next + 1 < self.lines.len() { self.next + 1 } else { 0 };
        }
        None
    }

    fn send(&mut self, set: &SetpointSet) -> bool {
        self.lines.iter_mut().for_each(|line| line.sets.send(set));
        true
    }
}

/// What the keeper asks of the control thread.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// A command for the cycle.
    Command(Command),
    /// Let go of the lease for the runtime that stands by, in this cycle.
    LetGo,
    /// Everything that happened so far has been warm-up: count allocations from now on.
    WarmedUp,
    /// Leave the loop after this cycle.
    Stop,
}

/// What the lease says and the keeper orders; what is not for the cycle is put aside.
pub(crate) struct Orders {
    ring: Consumer<Order>,
    changes: cell::Reader<Box<ChangeSet>>,
    tenure: Tenure,
    now: MonoTime,
    armed: bool,
    pub(crate) stop: bool,
    pub(crate) warmed_up: bool,
}

impl Orders {
    pub(crate) fn new(ring: Consumer<Order>, changes: cell::Reader<Box<ChangeSet>>, tenure: Tenure) -> Self {
        Self { ring, changes, tenure, now: MonoTime::ZERO, armed: false, stop: false, warmed_up: false }
    }

    /// At the beginning of a cycle, before any command is asked for.
    pub(crate) fn begin_cycle(&mut self, now: MonoTime) {
        self.now = now;
        self.tenure.turn(now);
    }

    /// At the end of a cycle; whether it was armed goes with the lease.
    pub(crate) fn end_cycle(&mut self, armed: bool) {
        self.armed = armed;
    }

    /// The epoch under which the lease is held; zero while it is not.
    pub(crate) fn lease_epoch(&self) -> u64 {
        self.tenure.epoch()
    }
}

impl Commands for Orders {
    fn next_command(&mut self) -> Option<Command> {
        loop {
            if let Some(command) = self.tenure.next_command() {
                // Whoever has lost it is disarmed by that, also when it has it again.
                self.armed &= command != Command::Lease(false);
                return Some(command);
            }
            match self.ring.pop()? {
                Order::Command(command) => return Some(command),
                Order::LetGo => self.tenure.let_go(self.armed, self.now),
                Order::WarmedUp => self.warmed_up = true,
                Order::Stop => self.stop = true,
            }
        }
    }

    fn next_changes(&mut self) -> Option<&ChangeSet> {
        self.changes.update().then(|| self.changes.get().as_ref())
    }
}

/// The newest network that the keeper has verified and packed. There is one from the start, and it counts as new once.
#[derive(Debug)]
pub struct VerifiedPolicy {
    networks: cell::Reader<AdoptedPolicy>,
    announced: bool,
}

impl VerifiedPolicy {
    /// Those that come through this cell.
    pub fn new(networks: cell::Reader<AdoptedPolicy>) -> Self {
        Self { networks, announced: false }
    }
}

impl PolicySource for VerifiedPolicy {
    fn refresh(&mut self) -> bool {
        let first = !self.announced;
        self.announced = true;
        self.networks.update() || first
    }

    fn current(&self) -> Option<&AdoptedPolicy> {
        Some(self.networks.get())
    }
}

/// Cycle records into shared memory, events to the keeper.
pub(crate) struct Recording {
    cycles: broadcast::Writer,
    records: CycleRecords,
    events: Producer<Event>,
    /// Totals over all cycles, for the counters.
    pub(crate) totals: Totals,
}

/// What the records add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Totals {
    pub(crate) clamps: u64,
    pub(crate) not_finite: u64,
    pub(crate) no_writes: u64,
    pub(crate) sets_lost: u64,
    pub(crate) events_lost: u64,
    pub(crate) generation: u64,
}

impl Recording {
    pub(crate) fn new(cycles: broadcast::Writer, layout: CycleLayout, events: Producer<Event>) -> Self {
        let records = CycleRecords::new(layout, NOMINAL_GENERATION);
        Self { cycles, records, events, totals: Totals::default() }
    }

    fn add_up(&mut self, view: &CycleView<'_>) {
        let totals = &mut self.totals;
        let clamped = view.setpoints.iter().filter(|row| row.acted.bits() != 0).count();
        totals.clamps += clamped as u64;
        totals.not_finite += u64::from(view.flags.contains(Flags::NOT_FINITE));
        totals.no_writes += u64::from(view.setpoints.iter().all(|row| row.sent.is_none()));
        totals.sets_lost += u64::from(view.flags.contains(Flags::SET_LOST));
        totals.generation = view.generation;
    }
}

impl Recorder for Recording {
    fn cycle(&mut self, view: &CycleView<'_>) {
        self.add_up(view);
        // Were the words ever of another size, the record would be left out and the cycle go on.
        let Some(record) = self.records.fill(view) else { return };
        let _ = self.cycles.publish(record);
    }

    fn event(&mut self, event: Event) {
        self.totals.events_lost += u64::from(self.events.push(event).is_err());
    }
}

#[cfg(test)]
mod tests {
    use rt_core::time::Span;
    use shm::lease::Lease;

    use super::*;

    #[test]
    fn whoever_lets_go_of_a_lease_in_the_cycle_that_tells_of_its_loss_hands_no_arming_over() {
        let at = |ms| MonoTime::ZERO + Span::from_ms(ms);
        let lease = Lease::heap(Span::from_ms(100).as_ns());
        let (_heirs, heir) = cell::channel([None, None, None]);
        let (_changes, newest) = cell::channel([(); 3].map(|()| Box::new(ChangeSet::new(0, &[], &[]).unwrap())));
        let (mut ring, orders) = shm::spsc::channel(4);
        let mut orders = Orders::new(orders, newest, Tenure::new(lease.clone(), heir, Vec::new()));
        assert!(lease.take(1, 0));
        orders.begin_cycle(at(0));
        assert_eq!(orders.next_command(), Some(Command::Lease(true)));
        orders.end_cycle(true);

        // Somebody else had it while this cycle stood still.
        assert!(lease.heir().bury().is_some() && lease.take(3, at(500).as_ns()));
        assert!(ring.push(Order::LetGo).is_ok());
        orders.begin_cycle(at(500));
        let told: Vec<_> = std::iter::from_fn(|| orders.next_command()).collect();
        assert_eq!(told, [Command::Lease(false), Command::Lease(true), Command::Lease(false)]);
        assert_eq!(lease.heir().succeed(at(501).as_ns()).map(|succession| succession.armed), Some(false));
    }
}

//! Two runtimes of one agent on one plant, in simulated time: who writes when either of them is stopped, killed, started
//! again or asked to hand over.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use io_loop::{IoLoop, SetSender, Settings};
use policy::Agent;
use policy::kernels::Kernel;
use rt_config::Site;
use rt_core::mode::Mode;
use rt_core::ports::{Command, FieldReport};
use rt_core::record::Flags;
use rt_core::schedule::Grid;
use rt_core::setpoint::Rate;
use rt_core::time::{MonoTime, Span};
use rt_daemon::{Tenure, VerifiedPolicy};
use shm::cell;
use shm::lease::{Heir, Lease, State};
use shm::spsc::Consumer;

use super::controller::{Controller, Inputs};
use super::desk::Desk;
use super::dice::Dice;
use super::oracle::{Broken, Verdict, demand};
use super::place::Place;
use super::server::{Line, Server, SimulatedClock, Traffic, Weather};
use super::witness::Witness;
use super::world::{io_settings, start_io};

/// Something goes wrong once in so many slots.
const TROUBLE_EVERY: u64 = 25;
/// The longest standstill and the longest time that somebody is dead, in slots.
const STANDSTILL_MAX: u64 = 60;
/// A set is good for so many slots.
const EXPIRY_SLOTS: u64 = 2;
/// Slots that a lease may need beyond its term to change hands.
const GRACE_SLOTS: u64 = 2;

/// What scenario to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Everything follows from it.
    pub seed: u64,
    /// The slots that it lasts.
    pub slots: u64,
    /// The planted bug: the io threads send without a look at the lease.
    pub blind: bool,
}

/// A scenario in which at most one wrote at any time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairPassed {
    /// Setpoints that arrived.
    pub writes: u64,
    /// Times that the writer changed.
    pub switches: u64,
    /// Leases that were offered and accepted.
    pub handed_over: u64,
    /// Leases that were taken from somebody who stood still.
    pub seized: u64,
    /// Runtimes that were killed.
    pub killed: u64,
    /// The most slots in a row without anybody who might have written.
    pub vacant_max: u64,
}

/// One runtime: its threads, and until when they stand still.
struct Runtime {
    lease: Lease,
    heirs: cell::Writer<Option<Heir>>,
    tenure: Tenure,
    controller: Controller<Agent<VerifiedPolicy>>,
    _desk: Desk,
    grid: Grid,
    io: IoLoop<Line>,
    reported: Consumer<FieldReport>,
    sets: SetSender,
    seen: Witness,
    control_sleeps_until: u64,
    io_sleeps_until: u64,
    asked_to_let_go: bool,
}

struct Scene {
    pair: Pair,
    site: Site,
    settings: Settings,
    clock: Rc<SimulatedClock>,
    server: Rc<RefCell<Server>>,
    dice: Dice,
    start: MonoTime,
    slot: u64,
    runtimes: [Option<Runtime>; 2],
    /// When the dead come back.
    back_at: [u64; 2],
    server_back_at: u64,
    /// The newest epoch that was written beside the address.
    epoch: u64,
    watch: Watch,
    counts: PairPassed,
}

/// What the plant has seen.
struct Watch {
    writer: Option<usize>,
    in_slot: BTreeSet<usize>,
    /// Value and slot of the last write per setpoint.
    last: Vec<(f64, u64)>,
    rates: Vec<Rate>,
    /// Somebody who can has held the lease in this slot, if only until it let go.
    held: bool,
    vacant: u64,
}

impl Pair {
    /// Runs it.
    ///
    /// # Errors
    /// The first thing that may not be.
    ///
    /// # Panics
    /// A piece of the composition cannot be made: a mistake of the simulation.
    pub fn run(self) -> Result<PairPassed, Broken> {
        let mut scene = Scene::new(self);
        while scene.slot < self.slots {
            scene.step()?;
            scene.slot += 1;
        }
        Ok(scene.counts)
    }
}

impl Scene {
    fn new(pair: Pair) -> Self {
        let Place { site, plant, kinds } = Place::draw(pair.seed, Span::from_ms(100).as_ns());
        let start = MonoTime::from_ns(1_000_000_000);
        let clock = Rc::new(SimulatedClock::new(start));
        let present: Vec<_> = plant.inputs().iter().map(|signal| (signal.nominal, 0)).collect();
        let server = Server::new(Rc::clone(&clock), plant, &kinds, site.interaction.obs_period);
        let rates = site.setpoints.iter().map(|setpoint| setpoint.settings.limits.run.rate).collect();
        let mut scene = Self {
            settings: io_settings(&site, pair.seed),
            server: Rc::new(RefCell::new(server)),
            dice: Dice::new(pair.seed, "pair"),
            watch: Watch { writer: None, in_slot: BTreeSet::new(), last: present, rates, held: false, vacant: 0 },
            counts: PairPassed::default(),
            runtimes: [None, None],
            back_at: [0, 0],
            server_back_at: 0,
            epoch: 0,
            slot: 0,
            pair,
            site,
            clock,
            start,
        };
        scene.runtimes = [0, 1].map(|_| Some(scene.new_runtime()));
        scene
    }

    fn new_runtime(&self) -> Runtime {
        let (desk, agent) = Desk::new(&self.site, Kernel::best(), None);
        let lease = Lease::heap(self.site.runtime.lease_term.as_ns());
        let (heirs, heir) = cell::channel([None, None, None]);
        let permit = if self.pair.blind { Lease::unshared() } else { lease.clone() };
        let (io, reported, sets) = start_io(&self.server, &self.settings, permit);
        Runtime {
            tenure: Tenure::new(lease.clone(), heir, Vec::new()),
            lease,
            heirs,
            controller: Controller::new(&self.site, agent),
            _desk: desk,
            grid: Grid::new(self.release(self.slot), self.site.runtime.period),
            io,
            reported,
            sets,
            seen: Witness::default(),
            control_sleeps_until: 0,
            io_sleeps_until: 0,
            asked_to_let_go: false,
        }
    }

    fn release(&self, slot: u64) -> MonoTime {
        self.start + self.site.runtime.period.span().times(slot)
    }

    fn step(&mut self) -> Verdict {
        self.watch.in_slot.clear();
        self.watch.held = false;
        self.make_trouble();
        for which in [0, 1] {
            self.keep(which);
        }
        let first = self.dice.index(2);
        for (turn, which) in (1..).zip([first, 1 - first]) {
            self.run_control(which, turn);
        }
        let first = self.dice.index(2);
        for which in [first, 1 - first] {
            self.run_io(which)?;
        }
        self.judge_vacancy()
    }

    /// What goes wrong in this slot, if anything.
    fn make_trouble(&mut self) {
        self.server.borrow_mut().weather = Weather { gone: self.slot < self.server_back_at, ..Weather::default() };
        for which in [0, 1] {
            if self.runtimes[which].is_none() && self.slot >= self.back_at[which] {
                self.runtimes[which] = Some(self.new_runtime());
            }
        }
        if !self.dice.one_in(TROUBLE_EVERY) {
            return;
        }
        let (which, slots) = (self.dice.index(2), 1 + self.dice.below(STANDSTILL_MAX));
        let until = self.slot + slots;
        match (self.dice.below(8), &mut self.runtimes[which]) {
            (0, found) => {
                self.counts.killed += u64::from(found.take().is_some());
                self.back_at[which] = until;
            }
            (1, Some(runtime)) => (runtime.control_sleeps_until, runtime.io_sleeps_until) = (until, until),
            (2, Some(runtime)) => runtime.control_sleeps_until = until,
            (3, Some(runtime)) => runtime.io_sleeps_until = self.slot + 1 + slots % 2,
            (4, _) => self.server_back_at = self.slot + 1 + slots / 4,
            (_, _) => self.ask_for_hand_over(),
        }
    }

    /// An operator asks whoever stands by, which asks whoever leads; its io thread may be late just then.
    fn ask_for_hand_over(&mut self) {
        let ready = |of: &Option<Runtime>| {
            of.as_ref().is_some_and(|of| of.seen.mode == Mode::Shadow && of.seen.flags.contains(Flags::LINK))
        };
        for which in [0, 1] {
            let is_ready = ready(&self.runtimes[1 - which]);
            let late = self.dice.one_in(2);
            if let Some(runtime) = self.runtimes[which].as_mut().filter(|of| of.tenure.epoch() > 0 && is_ready) {
                runtime.asked_to_let_go = true;
                runtime.io_sleeps_until = runtime.io_sleeps_until.max(self.slot + u64::from(late));
            }
        }
    }

    /// The keeper's part, which is the daemon's own in the system tests: whom to succeed, and an address that is free.
    fn keep(&mut self, which: usize) {
        let holds = |of: &Runtime| matches!(of.lease.state(), State::Held { .. } | State::Offered { .. });
        let leader = self.runtimes[1 - which].as_ref().filter(|other| holds(other)).map(|other| other.lease.heir());
        let now = self.release(self.slot);
        let Some(own) = &mut self.runtimes[which] else { return };
        if self.slot < own.control_sleeps_until.min(own.io_sleeps_until) {
            return;
        }
        if leader.is_none() && !holds(own) {
            self.epoch += 1;
            own.lease.take(self.epoch, now.as_ns());
        }
        *own.heirs.back_mut() = leader;
        own.heirs.publish();
    }

    fn run_control(&mut self, which: usize, turn: u64) {
        let woke = self.release(self.slot) + Span::from_ns(turn * self.site.runtime.period.as_ns() / 10);
        let operator = self.dice.one_in(5);
        let Some(own) = self.runtimes[which].as_mut().filter(|own| self.slot >= own.control_sleeps_until) else {
            return;
        };
        let (armed, before) = (own.seen.flags.contains(Flags::ARMED), own.lease.state());
        own.tenure.turn(woke);
        self.watch.held |= own.tenure.epoch() > 0;
        if std::mem::take(&mut own.asked_to_let_go) {
            own.tenure.let_go(armed, woke);
        }
        let mut commands: Vec<_> = std::iter::from_fn(|| own.tenure.next_command()).collect();
        let taken = commands.contains(&Command::Lease(true)) && !matches!(before, State::Held { .. });
        self.counts.handed_over += u64::from(taken && commands.contains(&Command::Arm));
        self.counts.seized += u64::from(taken && !commands.contains(&Command::Arm));
        commands.push(Command::PolicyConfirmed(woke));
        if operator {
            commands.extend([Command::Arm, Command::Reset]);
        }
        let slot = own.grid.wake(woke);
        let reports = std::iter::from_fn(|| own.reported.pop()).collect();
        let inputs = Inputs { slot, pace: Span::ZERO, commands, changes: None, reports };
        own.seen.forget();
        let (_, sent) = own.controller.run_before(&inputs, &mut own.seen);
        if let Some(set) = sent {
            own.sets.send(&set);
        }
        self.epoch = self.epoch.max(own.tenure.epoch());
    }

    fn run_io(&mut self, which: usize) -> Verdict {
        self.clock.set(self.release(self.slot) + Span::from_ns(self.site.runtime.period.as_ns() / 2));
        let Some(own) = self.runtimes[which].as_mut().filter(|own| self.slot >= own.io_sleeps_until) else {
            return Ok(());
        };
        own.io.run_slot(&*self.clock);
        let traffic = std::mem::take(&mut self.server.borrow_mut().traffic);
        let epoch = own.tenure.epoch();
        let newest = self.runtimes.iter().flatten().map(|of| of.tenure.epoch()).max();
        demand(traffic.is_empty() || epoch > 0 && Some(epoch) == newest, "sent under the newest epoch", || {
            format!("epoch {epoch} of {newest:?} in slot {}: {traffic:?}", self.slot)
        })?;
        for event in traffic {
            self.watch.judge(which, self.slot, event, self.site.runtime.period.span(), &mut self.counts)?;
        }
        Ok(())
    }

    /// Somebody who can holds the lease again, a term after whoever held it at the latest.
    fn judge_vacancy(&mut self) -> Verdict {
        let somebody_can = self.runtimes.iter().flatten().any(|of| self.slot >= of.control_sleeps_until);
        let vacant = somebody_can && !self.watch.held;
        self.watch.vacant = if vacant { self.watch.vacant + 1 } else { 0 };
        self.counts.vacant_max = self.counts.vacant_max.max(self.watch.vacant);
        let term = self.site.runtime.lease_term.as_ns() / self.site.runtime.period.as_ns();
        demand(self.watch.vacant <= term + GRACE_SLOTS, "taken over within one term", || {
            format!("nobody leads since {} slots, in slot {}", self.watch.vacant, self.slot)
        })
    }
}

impl Watch {
    fn judge(&mut self, who: usize, slot: u64, event: Traffic, period: Span, counts: &mut PairPassed) -> Verdict {
        self.in_slot.insert(who);
        demand(self.in_slot.len() == 1, "one writer in every cycle", || {
            format!("both wrote in slot {slot}: {event:?}")
        })?;
        counts.switches += u64::from(self.writer.is_some_and(|before| before != who));
        self.writer = Some(who);
        let Traffic::Wrote { setpoint, value, .. } = event else { return Ok(()) };
        counts.writes += 1;
        let (from, since) = std::mem::replace(&mut self.last[setpoint], (value, slot));
        let Rate::PerSecond(rate) = self.rates[setpoint] else { return Ok(()) };
        // The set that was written last may have been as old as a set may be.
        let permitted = rate * period.times(slot - since + EXPIRY_SLOTS).as_ns() as f64 * 1e-9;
        demand((value - from).abs() <= permitted * (1.0 + 1e-9), "bumpless", || {
            format!("setpoint {setpoint}: {from} to {value} in {} slots", slot - since)
        })
    }
}

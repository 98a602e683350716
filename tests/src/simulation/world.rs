//! Everything outside of the control thread: plant, server, I/O loop and time.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use io_loop::{IoLoop, Rights, SetSender, Settings, news, sets};
use plants::Plant;
use rt_config::Site;
use rt_core::changes::ChangeSet;
use rt_core::ports::{Clock, Command, FieldReport};
use rt_core::schedule::Grid;
use rt_core::setpoint::{ScalarKind, SetpointSet};
use rt_core::tag::TagId;
use rt_core::time::{MonoTime, Span};
use shm::lease::Lease;
use shm::spsc::{self, Consumer};

use super::controller::Inputs;
use super::dice::Dice;
use super::server::{Line, Server, SimulatedClock, Traffic, Weather};

/// Room for reports, far beyond what an I/O slot leaves.
const REPORTS: usize = 256;

/// What happens in one cycle.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// At the plant and on the way to it.
    pub weather: Weather,
    /// How much later than a little the control thread wakes up.
    pub late: Span,
    /// The io thread sleeps as long as the control thread is late: the whole process was stopped.
    pub asleep: bool,
    /// Time between two looks at the clock within the cycle.
    pub pace: Span,
    /// What operator and keeper say.
    pub commands: Vec<Command>,
    /// Limits, nominal values and rules for tags that hold from now on.
    pub changes: Option<Box<ChangeSet>>,
    /// A person moves a setpoint: which, where to, and whether before the next write or after it.
    pub hand: Option<(usize, f64, bool)>,
}

/// The world of one runtime.
pub struct World {
    grid: Grid,
    io_clock: Rc<SimulatedClock>,
    server: Rc<RefCell<Server>>,
    io: IoLoop<Line>,
    io_period: Span,
    io_next: MonoTime,
    reported: Consumer<FieldReport>,
    /// Reports on their way, each with the moment from which the control thread can see it.
    way: VecDeque<(MonoTime, FieldReport)>,
    sets: SetSender,
    newest: Option<SetpointSet>,
    settings: Settings,
    dice: Dice,
}

impl World {
    /// This plant behind the first connection of the site; `kinds` are the data types of its setpoints.
    ///
    /// # Panics
    /// The site has no connection.
    pub fn new(site: &Site, plant: Box<dyn Plant>, kinds: &[ScalarKind], seed: u64) -> Self {
        let connection = site.connections.first().expect("a site has a connection");
        let start = MonoTime::from_ns(1_000_000_000 + seed % 1_000_000_000);
        let io_clock = Rc::new(SimulatedClock::new(start));
        let server = Server::new(Rc::clone(&io_clock), plant, kinds, site.interaction.obs_period);
        let server = Rc::new(RefCell::new(server));
        let settings = io_settings(site, seed);
        let (io, reported, sets) = start_io(&server, &settings, Lease::unshared());
        Self {
            grid: Grid::new(start, site.runtime.period),
            io_clock,
            server,
            io,
            io_period: connection.io_period,
            io_next: start + connection.io_phase,
            reported,
            way: VecDeque::new(),
            sets,
            newest: None,
            settings,
            dice: Dice::new(seed, "world"),
        }
    }

    /// The next slot, if nothing is late.
    pub(crate) fn next_slot(&self) -> u64 {
        self.grid.cycles() + self.grid.skipped()
    }

    /// Its release.
    pub(crate) fn now(&self) -> MonoTime {
        self.grid.next_release()
    }

    /// What the next cycle takes in, after the I/O slots until then have sent what the one before decided.
    pub fn next(&mut self, sent: Option<SetpointSet>, circumstances: Circumstances) -> Inputs {
        if let Some(set) = sent {
            self.sets.send(&set);
            self.newest = Some(set);
        }
        let Circumstances { weather, late, asleep, pace, commands, changes, hand } = circumstances;
        self.server.borrow_mut().weather = weather;
        let woke = self.grid.next_release() + self.a_little() + late;
        if let Some((setpoint, value, at_once)) = hand {
            self.io_clock.set(self.io_clock.now().max(self.io_next));
            self.server.borrow_mut().move_by_hand(setpoint, value, at_once);
        }
        self.run_io(woke, asleep);
        let slot = self.grid.wake(woke);
        let visible = self.way.iter().take_while(|(from, _)| *from <= woke).count();
        let reports = self.way.drain(..visible).map(|(_, report)| report).collect();
        Inputs { slot, pace, commands, changes, reports }
    }

    /// The runtime dies and is started again; what it knew is gone, the plant goes on.
    pub fn restart(&mut self) {
        (self.io, self.reported, self.sets) = start_io(&self.server, &self.settings, Lease::unshared());
        self.way.clear();
        self.newest = None;
    }

    /// What happened at the plant since the last call, and the set that was newest meanwhile.
    pub(crate) fn take_traffic(&mut self) -> (Vec<Traffic>, Option<SetpointSet>) {
        (std::mem::take(&mut self.server.borrow_mut().traffic), self.newest)
    }

    /// The I/O slots before the control thread wakes up. A slot that begins while a call still waits is missed.
    fn run_io(&mut self, woke: MonoTime, asleep: bool) {
        while self.io_next < woke {
            let free_at = self.io_clock.now();
            if free_at <= self.io_next && !(asleep && self.io_next > self.grid.next_release()) {
                self.io_clock.set(self.io_next);
                self.io.run_slot(&*self.io_clock);
                let done = self.io_clock.now();
                self.way.extend(std::iter::from_fn(|| self.reported.pop()).map(|report| (done, report)));
            }
            self.io_next = self.io_next + self.io_period;
        }
    }

    /// The lateness of every wake-up: up to a fifth of a period.
    fn a_little(&mut self) -> Span {
        Span::from_ns(self.dice.below(self.grid.period().as_ns() / 5))
    }
}

/// An io thread's loop with a line of its own, and the control thread's ends of its rings.
pub(crate) fn start_io(
    server: &Rc<RefCell<Server>>,
    settings: &Settings,
    lease: Lease,
) -> (IoLoop<Line>, Consumer<FieldReport>, SetSender) {
    let (reports, reported) = spsc::channel(REPORTS);
    let (sets, newest) = sets();
    (IoLoop::new(Line::new(server), settings, reports, newest, news().0, Rights::new(lease, settings)), reported, sets)
}

/// How the io thread of this site's first connection is driven.
///
/// # Panics
/// The site has no connection.
pub(crate) fn io_settings(site: &Site, seed: u64) -> Settings {
    let connection = site.connections.first().expect("a site has a connection");
    Settings {
        inputs: (0..site.tags.len()).filter_map(TagId::new).collect(),
        outputs: (0_u8..).zip(&site.setpoints).map(|(index, of)| (index, of.settings.refresh)).collect(),
        heartbeat_every: connection.heartbeat.as_ref().map(|heartbeat| heartbeat.period),
        alarms: (0..).zip(&connection.alarms).map(|(place, _)| place).collect(),
        claim_term: None,
        call_timeout: connection.call_timeout,
        paired: connection.paired,
        seed,
    }
}

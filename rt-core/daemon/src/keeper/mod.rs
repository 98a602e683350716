//! The keeper: the main thread, without deadlines. Verifies weights, serves the control socket, watches heartbeats, stands
//! by or sees to it that somebody can, turns facts into records and logs.

mod audit;
mod configuration;
mod expiry;
mod journal;
mod lease;
mod lookout;
mod restraint;
mod service;
mod weights;

use std::io;
use std::time::{Duration, Instant};

use crossbeam::channel::Receiver;
use io_loop::News;
use rt_control::{Conversation, Received, Server};
use rt_core::ports::{Clock, Command};
use rt_core::record::{Event, EventKind as CoreEvent};
use rt_core::time::{MonoTime, Span};
use rt_sys::{Faults, Lifeline, MonotonicClock, ServiceManager, Wake};
use shm::counters;
use shm::spsc::{Consumer, Producer};
use shm_layout::{Counter, EventKind};

use crate::adapters::Order;
use crate::flight::{Asked, FlightRecorder};
use crate::recorder::Recorder;

pub(crate) use audit::{ACT_PATIENCE, Audit, START_PATIENCE};
pub(crate) use configuration::{Configuration, Kept};
pub(crate) use expiry::Expiry;
pub(crate) use journal::Journal;
pub(crate) use lease::LeaseDesk;
pub(crate) use lookout::{Lookout, Watched};
pub(crate) use service::{Service, describe_setpoints};
pub(crate) use weights::{Outlet, Steps, WeightsDesk};

/// How often the keeper looks at everything.
const TURN: Duration = Duration::from_millis(5);
/// Cycles before which nothing is counted as an allocation or a page fault of the cycle.
const WARM_UP_CYCLES: u64 = 200;
/// How often page faults and grants are read and the service manager is told.
const SLOW_TURNS: u64 = 50;
/// The same complaint about the control socket is repeated in the log this often.
const REPEAT_COMPLAINT: Span = Span::from_ms(10_000);
/// Callers that are listened to at the same time; the one that was silent for longest makes room.
const CALLERS_MAX: usize = 32;
/// How long the threads may take to stop, and all of the end with them: the last entries of the audit log have the rest.
const STOP_PATIENCE: Duration = Duration::from_millis(700);
const END_PATIENCE: Duration = Duration::from_millis(950);

/// News of one connection.
pub(crate) struct Wire {
    pub(crate) index: usize,
    pub(crate) news: Receiver<News>,
}

/// Everything the keeper works with.
pub(crate) struct Keeper {
    pub(crate) clock: MonotonicClock,
    pub(crate) lifeline: Lifeline,
    pub(crate) manager: Option<ServiceManager>,
    pub(crate) server: Server,
    pub(crate) orders: Producer<Order>,
    pub(crate) events: Consumer<Event>,
    pub(crate) wires: Vec<Wire>,
    pub(crate) counters: counters::Writer<Counter>,
    pub(crate) lookout: Lookout,
    pub(crate) desk: WeightsDesk,
    pub(crate) journal: Journal,
    pub(crate) lease: LeaseDesk,
    pub(crate) service: Service,
    pub(crate) callers: Vec<Caller>,
    /// When the control socket failed last, as far as the log tells.
    pub(crate) complained: Option<MonoTime>,
    pub(crate) warm: Warmth,
    pub(crate) recorder: Option<Recorder>,
    pub(crate) flight: Option<FlightRecorder>,
    pub(crate) expiry: Expiry,
}

/// Somebody at the control socket.
pub(crate) struct Caller {
    conversation: Conversation,
    /// Waits for this, and is not listened to before it has come.
    awaits: Option<Asked>,
}

/// Whether the loop has warmed up, and the control thread's page faults at that moment.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Warmth {
    Cold,
    Warm { faults: Faults },
}

impl Keeper {
    /// Runs until something asks the process to stop. The plant is released first when the parent is gone.
    pub(crate) fn run(&mut self) {
        let mut watchdog = Watchdog::default();
        self.tell_manager("READY=1");
        for turn in 0_u64.. {
            self.listen();
            self.lease.turn(&mut self.server, &mut self.orders, &mut self.journal, &self.clock);
            self.desk.turn(&mut self.orders, &mut self.journal);
            self.take_events();
            self.take_news();
            let cycles = self.counters.get(Counter::Cycles);
            self.lookout.follow(cycles, self.clock.now(), &mut self.journal);
            self.journal.turn();
            if turn.is_multiple_of(SLOW_TURNS) {
                self.watch_page_faults();
                self.watch_grants();
                self.expiry.turn(rt_sys::unix_time().as_s(), &mut self.journal);
                self.lease.guard_the_address(&mut self.server);
                if !self.lease.status().leads {
                    self.service.follow(&mut self.journal, self.flight.as_ref());
                }
                if watchdog.sees_progress(cycles) {
                    self.tell_manager("WATCHDOG=1");
                }
            }
            match self.lifeline.wait(Duration::ZERO) {
                Wake::Quiet => {}
                wake if wake.asks_to_stop() => return self.begin_to_stop(wake),
                wake => self.journal.note(EventKind::Signal, &format!("{wake:?}")),
            }
        }
    }

    /// Orders everything to stop and keeps the books until `stopped` says that the threads are done.
    pub(crate) fn wind_up(&mut self, stopped: impl Fn() -> bool) {
        let begun = Instant::now();
        while begun.elapsed() < STOP_PATIENCE {
            self.take_events();
            self.take_news();
            if stopped() {
                break;
            }
            std::thread::sleep(TURN);
        }
        self.take_events();
        if let Some(recorder) = self.recorder.take() {
            recorder.stop(&mut self.journal);
        }
        if let Some(flight) = self.flight.take() {
            flight.stop(&mut self.journal);
        }
        self.journal.note(EventKind::Stopping, "stopped in order");
        self.journal.close(begun + END_PATIENCE);
    }

    /// A manager that does not listen is none: what it does about it is its own business.
    fn tell_manager(&self, state: &str) {
        let _ = self.manager.as_ref().map(|manager| manager.tell(state));
    }

    fn begin_to_stop(&mut self, wake: Wake) {
        self.tell_manager("STOPPING=1");
        if wake == Wake::ParentGone {
            self.journal.note(EventKind::Stopping, "the foreground parent is gone: releasing the plant");
            let _ = self.orders.push(Order::Command(Command::Release));
        }
        let _ = self.orders.push(Order::Stop);
    }

    /// One look at the socket and at every caller; the wait for a new one is the keeper's rest.
    fn listen(&mut self) {
        match self.server.accept(TURN) {
            Ok(Some(caller)) => {
                if self.callers.len() == CALLERS_MAX {
                    self.callers.remove(0);
                }
                self.callers.push(Caller { conversation: caller, awaits: None });
            }
            Ok(None) => {}
            Err(error) => self.cannot_listen(&error),
        }
        let Self { callers, service, lease, desk, orders, journal, counters, flight, .. } = self;
        let flight = flight.as_ref();
        callers.retain_mut(|Caller { conversation, awaits: later }| {
            if let Some(asked) = later {
                let Some(begun) = asked.answer() else { return true };
                *later = None;
                return conversation.answer(&service::flight_begun(begun), &[]).is_ok();
            }
            match conversation.receive(Duration::ZERO) {
                Received::Nothing => true,
                Received::Gone => false,
                Received::Request(request) => service
                    .answer(
                        conversation,
                        request,
                        service::Means { desk, lease, orders, journal, counters, flight, later },
                    )
                    .is_ok(),
            }
        });
    }

    /// No new caller for a while: without a descriptor for it, say. The others are served as before.
    fn cannot_listen(&mut self, error: &io::Error) {
        let now = self.clock.now();
        if self.complained.is_none_or(|at| now.since(at) >= REPEAT_COMPLAINT) {
            tracing::error!(%error, "no caller can be accepted at the control socket");
            self.complained = Some(now);
        }
        std::thread::sleep(TURN);
    }

    fn take_events(&mut self) {
        while let Some(event) = self.events.pop() {
            self.service.note(&event);
            self.journal.record(&event);
            if let CoreEvent::Latched { cause } = event.kind {
                self.counters.add(Counter::Trips, 1);
                self.desk.trip(cause, &mut self.journal);
            }
        }
        self.counters.set(Counter::Events, self.journal.count());
    }

    fn take_news(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.report(&mut self.journal);
        }
        if let Some(flight) = &mut self.flight {
            flight.report(&mut self.journal);
        }
        for wire in &self.wires {
            while let Ok(news) = wire.news.try_recv() {
                self.service.take_news(wire.index, &news, &mut self.journal);
            }
        }
    }

    /// What the kernel granted may be taken away by anybody who is permitted to.
    fn watch_grants(&mut self) {
        if self.lookout.look_again(&mut self.journal) {
            self.counters.set(Counter::Degraded, self.lookout.degraded().len() as u64);
            self.service.set_degraded(self.lookout.degraded());
        }
    }

    fn watch_page_faults(&mut self) {
        let Ok(now) = self.lookout.control().faults() else { return };
        match self.warm {
            Warmth::Cold if self.counters.get(Counter::Cycles) >= WARM_UP_CYCLES => {
                if self.orders.push(Order::WarmedUp).is_ok() {
                    self.warm = Warmth::Warm { faults: now };
                }
            }
            Warmth::Cold => {}
            Warmth::Warm { faults } => {
                let since = now.since(faults);
                self.counters.set(Counter::PageFaultsInCycle, since.minor + since.major);
            }
        }
    }
}

/// The service manager is told that we live only while the control thread's cycles advance.
#[derive(Default)]
struct Watchdog {
    cycles: u64,
}

impl Watchdog {
    fn sees_progress(&mut self, cycles: u64) -> bool {
        cycles > std::mem::replace(&mut self.cycles, cycles)
    }
}
